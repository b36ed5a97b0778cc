"""associative_scan: every partial result, its gradients, in both modes, against a plain loop."""

from __future__ import annotations

import numpy as np
import pytest

import dyngraph as dg
import staticgraph as sg
from dyngraph import errors

LENGTHS = [1, 2, 3, 7, 8, 17]


def sums(xp, a, b):
    return a + b


def products(xp, a, b):
    return a @ b  # of matrices, so the order matters


def recurrence(xp, a, b):
    return {"factor": a["factor"] * b["factor"], "term": b["factor"] * a["term"] + b["term"]}


def in_a_loop(function, rows):
    """Return all partial results of a list, one after the other."""
    found = rows[:1]
    for row in rows[1:]:
        found.append(function(np, found[-1], row))
    return found


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("n", LENGTHS)
def test_partial_results_are_those_of_a_loop(n, reverse):
    rng = np.random.default_rng(n)
    x = rng.normal(size=(n, 3, 3))
    rows = list(x[::-1] if reverse else x)
    expected = np.stack(in_a_loop(products, rows))
    expected = expected[::-1] if reverse else expected
    plain = dg.associative_scan(lambda a, b: a @ b, dg.tensor(x), reverse=reverse)
    np.testing.assert_allclose(plain.numpy(), expected, rtol=1e-9)
    for backend in ("interpret", "numpy", "native"):
        run = sg.function(
            lambda x: sg.associative_scan(lambda a, b: a @ b, x, reverse=reverse), backend=backend
        )
        close = 1e-9 if backend == "native" else 0
        np.testing.assert_allclose(run(x), plain.numpy(), rtol=close, atol=close)


@pytest.mark.parametrize("axis", [0, 1, -1])
def test_a_tree_along_an_axis(axis):
    rng = np.random.default_rng(1)
    tree = {"factor": rng.normal(size=(4, 5)), "term": rng.normal(size=(4, 5))}

    def program(xp, tree):
        return xp.associative_scan(lambda a, b: recurrence(xp, a, b), tree, axis=axis)["term"]

    expected = dg.linear_recurrence(tree["factor"], tree["term"], axis=axis)
    eager = program(dg, {name: dg.tensor(x) for name, x in tree.items()})
    np.testing.assert_allclose(eager.numpy(), expected, rtol=1e-9)
    run = sg.function(lambda tree: program(sg, tree), backend="numpy")
    np.testing.assert_array_equal(run(tree), eager.numpy())


def test_against_jax():
    jax = pytest.importorskip("jax")
    x = np.random.default_rng(2).normal(size=(9, 2)).astype("float32")
    for reverse in (False, True):
        theirs = jax.lax.associative_scan(jax.numpy.maximum, x, reverse=reverse, axis=0)
        ours = dg.associative_scan(dg.maximum, dg.tensor(x), reverse=reverse)
        np.testing.assert_array_equal(ours.numpy(), np.asarray(theirs))


def test_gradients_to_second_order_in_both_modes():
    x = np.random.default_rng(3).normal(size=(5, 2, 2))

    def loss(xp, x):
        y = xp.associative_scan(lambda a, b: a @ b, x)
        return xp.sum(y * y)

    leaf = dg.tensor(x, requires_grad=True)
    assert dg.gradcheck(lambda x: loss(dg, x), (leaf,))
    assert dg.gradgradcheck(lambda x: loss(dg, x), (leaf,))
    eager = dg.grad(lambda x: loss(dg, x))(dg.tensor(x)).numpy()
    for backend in ("numpy", "native"):
        slope = sg.function(sg.grad(lambda x: loss(sg, x)), backend=backend)(x)
        np.testing.assert_allclose(slope, eager, rtol=1e-9 if backend == "native" else 0)


def test_what_overflows_elsewhere_leaves_no_trace():
    # 2e300 is never multiplied by what is no neighbour of it
    x = dg.tensor(np.array([1e-300, 1e300, 1e-300, 2e300, 1e-300]), requires_grad=True)
    y = dg.associative_scan(lambda a, b: a * b, x)
    y.sum().backward()
    assert np.isfinite(y.detach().numpy()).all()
    assert np.isfinite(x.grad.numpy()).all()


def test_a_static_program_traces_the_function_once():
    calls = []

    def function(a, b):
        calls.append(a.shape)
        return a + b

    run = sg.function(lambda x: sg.associative_scan(function, x))
    np.testing.assert_array_equal(run(np.arange(100.0)), np.cumsum(np.arange(100.0)))
    assert len(calls) == 1


def test_under_vmap():
    x = np.random.default_rng(4).normal(size=(3, 6))
    found = dg.vmap(lambda row: dg.associative_scan(dg.add, row))(dg.tensor(x))
    np.testing.assert_allclose(found.numpy(), np.cumsum(x, axis=1), rtol=1e-12)


@pytest.mark.parametrize("xp", [dg, sg])
def test_what_cannot_be_scanned_is_named(xp):
    def call(function, *xs, **named):
        def run(*xs):
            return xp.associative_scan(function, xs if len(xs) != 1 else xs[0], **named)

        return run(*map(dg.tensor, xs)) if xp is dg else sg.function(run)(*xs)

    x = np.ones((4, 2), "float32")
    with pytest.raises(errors.BranchTypeError, match="the function makes"):
        call(lambda a, b: (a + b).astype("float64"), x)
    with pytest.raises(errors.BranchTypeError, match="the function makes"):
        call(lambda a, b: xp.sum(a + b), x)
    with pytest.raises(errors.BranchTypeError, match="the function makes"):
        call(lambda a, b: (a, b), x)
    with pytest.raises(errors.ShapeError, match="lengths"):
        call(lambda a, b: a, x, x[:3])
    with pytest.raises(errors.AxisError):
        call(lambda a, b: a + b, x, axis=2)
    with pytest.raises(errors.ArgumentError):
        call(3, x)


def test_nothing_and_one():
    assert dg.associative_scan(dg.add, dg.zeros((0, 2))).shape == (0, 2)
    assert dg.associative_scan(dg.add, dg.ones((1, 2))).tolist() == [[1, 1]]
    with sg.Graph():
        x = sg.placeholder("x", (sg.dim("n"), 2))
        with pytest.raises(errors.ArgumentError, match="the length is not known yet"):
            sg.associative_scan(sg.add, x)
