"""No gradient is lost without a word: it arrives, or the place where it ends is named."""

import math
import sys
import threading
import warnings

import numpy as np
import pytest

import dyngraph as dg
import staticgraph as sg
from oplibrary.messages.errors import (
    DTypeError,
    LostGradientWarning,
    MixedModesError,
)

# complex numbers on the way -----------------------------------------------------------------------

COMPLEX = {
    "a product": lambda xp, x: xp.sum(xp.real(x * 1j * 1j)),
    "beside a real path": lambda xp, x: xp.sum(x) + xp.sum(xp.abs(x * 1j)),
    "a sum": lambda xp, x: xp.sum(xp.imag(x + 1j)),
    "a cast": lambda xp, x: xp.sum(xp.real(xp.astype(x, "complex128"))),
    "a division": lambda xp, x: xp.sum(xp.abs(1j / (x + 2.0))),
    "joined": lambda xp, x: xp.sum(xp.real(xp.concat([x, x * 1j]))),
    "a matrix product": lambda xp, x: xp.real(xp.matmul(x, np.array([1j, 2.0]))),
    "in a branch": lambda xp, x: xp.cond(
        x[0] > -1.0, lambda: xp.sum(xp.real(x * 1j)), lambda: xp.sum(x)
    ),
}


@pytest.mark.parametrize("name", COMPLEX)
def test_a_path_through_complex_numbers_arrives_in_both_modes(name):
    x = np.array([0.5, 2.0])

    def function(xp):
        return lambda x: COMPLEX[name](xp, x)

    def derived(xp, x):
        of = function(xp)
        value, gradient = xp.value_and_grad(of)(x)
        return value, gradient, xp.grad(of)(x), xp.jacobian(of, x), xp.hessian(of, x)

    recorded = derived(dg, dg.asarray(x))
    for found, wanted in zip(sg.function(lambda x: derived(sg, x))(x), recorded, strict=True):
        np.testing.assert_allclose(found, wanted.numpy(), rtol=1e-12, atol=1e-12)
    tracked = dg.tensor(x, requires_grad=True)
    assert dg.gradcheck(function(dg), tracked)
    assert dg.gradgradcheck(function(dg), tracked)


def test_complex_numbers_beside_the_path_are_no_matter():
    x = np.array([0.5, 2.0])

    def function(xp):
        weights = xp.real(xp.asarray(np.array([1j, 2.0 + 1j])) * 2.0)
        return lambda x: xp.sum(x * weights)

    expected = [0.0, 4.0]
    assert dg.grad(function(dg))(dg.asarray(x)).tolist() == expected
    assert sg.function(lambda x: sg.grad(function(sg))(x))(x).tolist() == expected


# sequences that hold values -----------------------------------------------------------------------

SEQUENCES = {
    "an operand": lambda xp, x: x * [x[0], x[1]],
    "an operand with numbers": lambda xp, x: xp.add(x, [2.0, x[0]]),
    "the left operand": lambda xp, x: [x[0], 3.0] - x,
    "a tuple": lambda xp, x: x * (x[1], x[1]),
    "nested": lambda xp, x: x * [[x[0], 1], [2, x[1] * x[1]]],
    "rows": lambda xp, x: xp.matmul([x, 2.0 * x], x),
    "asarray": lambda xp, x: xp.asarray([x[0], x[0] * x[1]]),
    "asarray of rows": lambda xp, x: xp.asarray([[x, x], [x, x * x]]),
    "of another function": lambda xp, x: xp.where(x > 1.0, [x[0], x[0]], x),
    "joined": lambda xp, x: xp.concat([[x[0], x[1]], x]),
}


@pytest.mark.parametrize("name", SEQUENCES)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_gradients_flow_into_sequences(name, dtype):
    x = np.array([0.5, 2.0], dtype)

    def loss(xp):
        def function(x):
            y = SEQUENCES[name](xp, x)
            return xp.sum(y * y), y

        return xp.value_and_grad(function, has_aux=True)

    step = 1e-6

    def number(x):
        return dg.sum(dg.square(SEQUENCES[name](dg, dg.asarray(x)))).item()

    wide = x.astype("float64")
    expected = [(number(wide + d) - number(wide - d)) / (2 * step) for d in np.eye(2) * step]
    (_, dynamic), gradient = loss(dg)(dg.asarray(x))
    (_, static), static_gradient = sg.function(loss(sg))(x)
    assert dynamic.dtype == gradient.dtype == np.dtype(dtype)
    np.testing.assert_allclose(gradient.numpy(), expected, rtol=1e-4)
    np.testing.assert_array_equal(dynamic.detach().numpy(), static)
    np.testing.assert_allclose(gradient.numpy(), static_gradient, rtol=1e-6)
    assert static.dtype == static_gradient.dtype == np.dtype(dtype)


def test_assignment_of_a_sequence_keeps_its_gradients():
    t = dg.tensor(2.0, requires_grad=True)
    x = dg.zeros((3,))
    x[:2] = [t, t * t]
    x.sum().backward()
    assert t.grad.item() == 5.0
    x = dg.zeros((2,))
    x.copy_([t, 3.0 * t])
    (gradient,) = dg.grad(x.sum(), t)
    assert gradient.item() == 4.0


def test_sequences_that_are_not_rectangular_say_so():
    t = dg.tensor([1.0, 2.0])
    for wrong in ([t, t[0]], [[t[0], t[1]], [t[0]]], [t, 1.0]):
        with pytest.raises(DTypeError):
            dg.asarray(wrong)
        with pytest.raises(DTypeError):
            t * wrong
    with sg.Graph():
        x = sg.placeholder("x", (2,))
        with pytest.raises(DTypeError):
            sg.asarray([x, x[0]])
        with pytest.raises(MixedModesError):
            x * [t[0], x[0]]
        with pytest.raises(MixedModesError):
            x * [t[0], t[1]]


# plain numbers ------------------------------------------------------------------------------------


def _store(t):
    buffer = np.zeros(3)
    buffer[0] = t
    return buffer[0]


def _store_in_loop(t):
    buffer = np.zeros((2, 2))
    for i in range(2):
        buffer[i, 0] = t * 1.0
    return buffer[1, 0]


def _fill(t):
    buffer = np.zeros(3)
    buffer.fill(t)
    return buffer[0]


@pytest.mark.parametrize(
    "take",
    [_store, _store_in_loop, _fill, lambda t: math.fabs(t), lambda t: np.float64(t)],
)
def test_a_number_that_is_taken_unasked_is_announced(take):
    t = dg.tensor(2.0, requires_grad=True)
    with pytest.warns(LostGradientWarning, match="takes the number") as caught:
        assert take(t) == 2.0
    assert "test_lost_gradients.py" in str(caught[0].message)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert take(t.detach()) == 2.0


def test_copies_of_tensors_are_announced():
    t = dg.tensor(2.0, requires_grad=True)
    for copied in (t, [t, t], [[t], [1.0]]):
        with pytest.warns(LostGradientWarning, match="copies the numbers"):
            assert not dg.tensor(copied).requires_grad
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        dg.tensor(t, requires_grad=True)  # asked for as a new leaf
        dg.tensor([t.detach(), 2.0])
        with dg.no_grad():
            dg.tensor([t, t])


def test_numbers_that_are_asked_for_are_not():
    t = dg.tensor(2.0, requires_grad=True)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        shown = [float(t), t.item(), f"{t:.1f}", round(float(t)), str(t), complex(t)]
    assert shown[0] == 2.0 and shown[2] == "2.0"


# threads ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("create_graph", [False, True])
def test_threads_that_share_a_leaf_lose_nothing(create_graph):
    threads, passes = 8, 400
    leaf = dg.tensor(np.zeros(3), requires_grad=True)
    kept = dg.tensor(np.ones(2), requires_grad=True)
    ready = threading.Barrier(threads)

    def work():
        ready.wait()
        for _ in range(passes):
            (leaf * 2.0).sum().backward(create_graph=create_graph)
            (kept[0] + leaf[1] * 0.0).backward(create_graph=create_graph)

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        workers = [threading.Thread(target=work) for _ in range(threads)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
    finally:
        sys.setswitchinterval(interval)
    assert leaf.grad.tolist() == [2.0 * threads * passes] * 3
    assert kept.grad.tolist() == [threads * passes, 0.0]
