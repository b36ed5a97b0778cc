"""Branches and loops by the native backend: the oracle's results and gradients, within rounding."""

import numpy as np
import pytest

pytest.importorskip("llvmlite")

import staticgraph as sg
from oplibrary.messages.errors import IndexingError
from oplibrary.values.tree import flatten


def draws(*shapes, dtype="float32", scale=0.5):
    rng = np.random.default_rng(0)
    return [(rng.normal(size=shape) * scale).astype(dtype) for shape in shapes]


def recurrence(w, u, s, xs):
    return sg.scan(lambda h, x: (sg.tanh(h @ w + x @ u), sg.sum(h * x)), s, xs)


def stacked(w, s, xs):
    def cell(carry, x):
        h, c = carry
        c = sg.sigmoid(h @ w) * c + sg.tanh(x)
        return (sg.tanh(c), c), h

    return sg.scan(cell, (s, s * 0.5), xs)


def rooted(x):
    return sg.while_loop(lambda r: sg.abs(r * r - x) > 1e-5, lambda r: (r + x / r) / 2, x + 1.0)


def halved(x, w):
    carry = (x, sg.sum(x) * 0)
    return sg.while_loop(
        lambda c: sg.sum(c[0] * c[0]) > 0.05, lambda c: (sg.tanh(c[0] @ w) * 0.5, c[1] + 1), carry
    )


def chosen(x, w):
    return sg.cond(sg.sum(x) > 0, lambda a: sg.exp(a) @ w, lambda a: (a * 3.0) @ w, x)


def switched(i, x):
    return sg.switch(i, [sg.tanh, lambda v: v * v, lambda v: sg.exp(v) + sg.sum(v)], x)


def repeated(x, w):
    return sg.fori_loop(0, 7, lambda i, y: sg.sin(y @ w) + sg.cast(i, "float32") * 0.1, x)


def mapped(xs, w):
    return sg.map(lambda x: sg.softmax(x @ w) * sg.max(x), xs)


def nested(xs, w):
    """A branch in a loop in a loop, which use what is around them."""

    def outer(h, x):
        def inner(i, y):
            return sg.cond(sg.sum(y) > 0, lambda: sg.tanh(y @ w), lambda: y * 0.5 + x)

        h = sg.fori_loop(0, 3, inner, h)
        return h, sg.sum(h)

    return sg.scan(outer, xs[0] * 0, xs)


def taken(xs, i):
    return sg.scan(lambda h, j: (h + sg.take(xs, j, axis=0), h), xs[0] * 0, i)


PROGRAMS = {
    "scan": (recurrence, draws((6, 6), (6, 6), (6,), (9, 6)), (0, 1, 2, 3)),
    "scan of 200 steps": (
        recurrence,
        draws((24, 24), (24, 24), (24,), (200, 24), scale=0.2),
        (0, 2),
    ),
    "scan in float64": (recurrence, draws((6, 6), (6, 6), (6,), (9, 6), dtype="float64"), (0, 3)),
    "scan of no steps": (recurrence, draws((6, 6), (6, 6), (6,), (0, 6)), (0, 2)),
    "scan with a carry of two": (stacked, draws((5, 5), (5,), (12, 5)), (0, 1, 2)),
    "while": (rooted, [np.abs(draws(())[0]) + 2], (0,)),
    "while with a count": (halved, draws((8,), (8, 8)), (0, 1)),
    "cond, taken": (chosen, [np.ones(4, "float32"), *draws((4, 3))], (0, 1)),
    "cond, not taken": (chosen, [-np.ones(4, "float32"), *draws((4, 3))], (0, 1)),
    "switch": (switched, [np.array(2), *draws((5,))], (1,)),
    "switch below": (switched, [np.array(-4), *draws((5,))], (1,)),
    "fori": (repeated, draws((4,), (4, 4)), (0, 1)),
    "map": (mapped, draws((7, 4), (4, 3)), (0, 1)),
    "nested": (nested, draws((5, 4), (4, 4)), (0, 1)),
    "selection": (taken, [*draws((6, 3)), np.array([5, 0, -1, 0, 2])], (0,)),
}


def total(function):
    """Return a function that sums the numbers of what `function` returns."""

    def summed(*operands):
        leaves = [x for x in flatten(function(*operands))[0] if x.dtype.kind == "f"]
        return sum(sg.sum(x * x) for x in leaves)

    return summed


@pytest.mark.parametrize("name", PROGRAMS)
def test_values_and_gradients_are_the_oracles(name):
    function, arrays, wanted = PROGRAMS[name]

    def declare(*operands):
        return function(*operands), sg.grad(total(function), argnums=wanted)(*operands)

    found, expected = (
        flatten(sg.function(declare, backend=backend)(*arrays))[0]
        for backend in ("native", "interpret")
    )
    assert len(found) == len(expected)
    for one, other in zip(found, expected, strict=True):
        assert (one.shape, one.dtype) == (other.shape, other.dtype)
        scale = float(np.abs(other).max(initial=0.0))
        bound = 2000 * np.finfo(other.dtype).eps * scale if other.dtype.kind == "f" else 0
        np.testing.assert_allclose(one, other, rtol=0, atol=bound)


def test_the_gradient_of_a_long_scan_of_products_with_vectors():
    """What a step computes for itself alone has no memory of its own."""
    arrays = draws((64, 64), (64, 64), (64,), (1000, 64), scale=0.1)
    found, expected = (
        sg.function(sg.grad(total(recurrence), argnums=(0, 1)), backend=backend)(*arrays)
        for backend in ("native", "interpret")
    )
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=0, atol=1e-4 * np.abs(other).max())


def test_second_derivatives_go_through_scan_and_cond():
    def energy(x, w):
        last, _ = sg.scan(
            lambda h, row: (sg.cond(sg.sum(row) > 0, lambda: sg.sin(h * row), lambda: h + row), h),
            w,
            x,
        )
        return sg.sum(last * last)

    def twice(x, w):
        return sg.grad(lambda w: sg.sum(sg.grad(energy, argnums=1)(x, w) ** 2))(w)

    arrays = draws((5, 3), (3,))
    found, expected = (
        sg.function(twice, backend=backend)(*arrays) for backend in ("native", "interpret")
    )
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6)


def test_a_branch_that_is_not_taken_does_not_run():
    """It would fail: it selects beyond the end."""
    run = sg.function(
        lambda x, i: sg.cond(sg.sum(x) > 0, lambda: sg.take(x, i, axis=0), lambda: x[0] * 0),
        backend="native",
    )
    assert run(np.array([1.0, 2.0]), np.array(1)) == 2.0
    assert run(np.array([-1.0, -2.0]), np.array(99)) == 0.0
    with pytest.raises(IndexingError):
        run(np.array([1.0, 2.0]), np.array(99))
    assert run(np.array([1.0, 2.0]), np.array(1)) == 2.0  # and the next run is a good one
