"""Scatter with reductions and sums over segments, against PyTorch, NumPy and differences."""

from __future__ import annotations

import numpy as np
import pytest

import dyngraph as dg
import staticgraph as sg
from dyngraph import errors

REDUCTIONS = {"add": "sum", "mean": "mean", "prod": "prod", "max": "amax", "min": "amin"}
CASES = {
    "line": ((4,), [1, 1, 3], 0),
    "one": ((3,), [2], 0),
    "rows": ((4, 3), [[1, 0, 3], [1, 2, 3], [0, 0, 3]], 0),
    "last axis": ((2, 4), [[0, 0, 3, 0, 1], [2, 2, 2, 2, 2]], 1),
    "shorter": ((4, 3), [[1, 0], [1, 3]], 0),
    "three axes": ((2, 3, 2), [[[2, 0], [2, 1]], [[0, 0], [0, 0]]], 1),
}


def draw(*shape, seed=0):
    """Return numbers of which some are equal and some 0."""
    rng = np.random.default_rng([seed, *shape])
    return rng.integers(-2, 3, shape) * 1.0


@pytest.mark.parametrize("include_self", [True, False])
@pytest.mark.parametrize("name", REDUCTIONS)
@pytest.mark.parametrize("case", CASES)
def test_scatter_is_that_of_torch(case, name, include_self):
    torch = pytest.importorskip("torch")
    from tests.common.against_torch import in_every_mode

    shape, places, axis = CASES[case]
    indices = np.array(places)
    x, updates = draw(*shape), draw(*indices.shape, seed=1)

    def ours(xp, x, updates):
        function = getattr(xp, f"scatter_{name}")
        return function(x, indices, updates, axis, include_self=include_self)

    y, dx, du = in_every_mode(ours, x, updates)
    tx, tu = (torch.tensor(a, requires_grad=True) for a in (x, updates))
    ty = tx.scatter_reduce(
        axis, torch.tensor(indices), tu, REDUCTIONS[name], include_self=include_self
    )
    np.testing.assert_allclose(y, ty.detach().numpy())
    if name in ("max", "min") and not include_self:
        return  # PyTorch counts an element that is left out where it equals the result
    weights = torch.tensor(np.linspace(0.5, 1.5, y.size).reshape(y.shape))
    (ty * weights).sum().backward()
    np.testing.assert_allclose(du, tu.grad.numpy(), atol=1e-12)
    np.testing.assert_allclose(dx, tx.grad.numpy(), atol=1e-12)


@pytest.mark.parametrize("include_self", [True, False])
@pytest.mark.parametrize("name", REDUCTIONS)
def test_derivatives_are_those_of_differences(name, include_self):
    indices = np.array([[1, 0, 3], [1, 2, 3], [1, 0, 3]])
    rng = np.random.default_rng(5)
    x = dg.tensor(rng.normal(size=(4, 3)), requires_grad=True)
    updates = dg.tensor(rng.normal(size=(3, 3)), requires_grad=True)
    function = getattr(dg, f"scatter_{name}")

    def program(x, updates):
        return function(x, indices, updates, include_self=include_self) ** 2

    assert dg.gradcheck(program, (x, updates))
    assert dg.gradgradcheck(program, (x, updates))


def test_second_derivatives_of_a_product_with_zeros():
    indices = np.array([0, 0, 0, 0])
    u = dg.tensor([0.0, 0.0, 3.0, 5.0], dtype="float64")
    found = dg.hessian(lambda u: dg.scatter_prod(dg.tensor([2.0]), indices, u)[0], u)
    expected = np.zeros((4, 4))
    expected[0, 1] = expected[1, 0] = 2 * 3 * 5
    np.testing.assert_allclose(found.numpy(), expected)


def test_what_is_infinite_stays_in_its_own_place():
    indices = np.array([0, 1, 0, 1])
    u = np.array([np.inf, 2.0, np.nan, 3.0])
    slope = dg.grad(lambda u: dg.sum(dg.scatter_prod(dg.ones(2), indices, u)))(dg.tensor(u))
    np.testing.assert_array_equal(slope.numpy(), [np.nan, 3, np.inf, 2])
    x = dg.tensor([np.nan, 1.0, 2.0])
    slope = dg.grad(lambda x: dg.sum(dg.scatter_max(x, np.array([1]), dg.tensor([0.0]))))(x)
    assert slope.tolist() == [1, 1, 1]


@pytest.mark.filterwarnings("ignore:index_reduce")
def test_slices_are_placed_as_by_index_add():
    torch = pytest.importorskip("torch")
    from tests.common.against_torch import in_every_mode

    indices = np.array([2, 0, 2, -1])
    x, updates = draw(3, 5, 2), draw(3, 4, 2, seed=1)
    positive = torch.tensor(indices % 5)
    for name, reduce in (("prod", "prod"), ("mean", "mean"), ("max", "amax"), ("min", "amin")):
        y, *_ = in_every_mode(
            lambda xp, x, u, name=name: getattr(xp, f"scatter_{name}")(x, indices, u, axis=1),
            x,
            updates,
        )
        theirs = torch.tensor(x).index_reduce(1, positive, torch.tensor(updates), reduce)
        np.testing.assert_allclose(y, theirs.numpy())
    theirs = torch.tensor(x).index_add(1, positive, torch.tensor(updates))
    np.testing.assert_array_equal(dg.scatter_add(dg.tensor(x), indices, updates, 1), theirs.numpy())


@pytest.mark.parametrize("name", ["sum", "mean", "prod", "max", "min"])
@pytest.mark.parametrize("dtype", ["float32", "float64", "int32"])
def test_segments_are_folded_apart(name, dtype):
    ids = np.array([3, 0, 3, 1, -1])
    x = draw(5, 2).astype(dtype)
    fold = getattr(np, name)
    empty = {
        "sum": 0,
        "mean": 0,
        "prod": 1,
        "max": -np.inf if dtype[0] == "f" else np.iinfo(dtype).min,
        "min": np.inf if dtype[0] == "f" else np.iinfo(dtype).max,
    }[name]
    rows = [x[ids % 4 == k] for k in range(4)]
    expected = np.array([fold(row, axis=0) if len(row) else [empty] * 2 for row in rows])
    eager = getattr(dg, f"segment_{name}")(dg.tensor(x), ids, 4)
    np.testing.assert_allclose(eager.numpy(), expected, rtol=1e-6)
    assert eager.dtype == (np.float64 if (name, dtype) == ("mean", "int32") else np.dtype(dtype))
    for backend in ("numpy", "native"):
        run = sg.function(lambda x: getattr(sg, f"segment_{name}")(x, ids, 4), backend=backend)
        np.testing.assert_allclose(run(x), eager.numpy(), rtol=1e-6)


def test_nothing_to_place_and_nowhere():
    none = np.zeros(0, np.int64)
    for name in REDUCTIONS:
        function = getattr(dg, f"scatter_{name}")
        x = dg.tensor([1.0, 2.0], requires_grad=True)
        y = function(x, none, dg.zeros(0), include_self=False)
        assert y.tolist() == [1, 2]
        y.sum().backward()
        assert x.grad.tolist() == [1, 1]
    assert dg.segment_max(dg.zeros((0, 2)), none, 1).tolist() == [[-np.inf] * 2]
    assert dg.segment_sum(dg.zeros((0, 2)), none, 0).shape == (0, 2)
    assert dg.segment_sum(dg.tensor([True, True]), np.array([0, 0]), 1).tolist() == [2]


def test_under_vmap():
    indices = np.array([0, 2, 0])
    x, u = draw(4, 3), draw(4, 3, seed=2)
    for name in REDUCTIONS:
        for xp, run in ((dg, lambda f: f), (sg, sg.function)):
            function = getattr(xp, f"scatter_{name}")
            batched = run(xp.vmap(lambda x, u, f=function: f(x, indices, u)))
            given = (dg.tensor(x), dg.tensor(u)) if xp is dg else (x, u)
            rows = [getattr(dg, f"scatter_{name}")(a, indices, b) for a, b in zip(x, u)]
            np.testing.assert_array_equal(np.asarray(batched(*given)), np.stack(rows))


@pytest.mark.parametrize("xp", [dg, sg])
def test_what_does_not_fit_is_named(xp):
    def call(name, *operands, **named):
        def run(*operands):
            return getattr(xp, name)(*operands, **named)

        if xp is dg:
            return run(*[dg.tensor(x) for x in operands])
        return sg.function(run)(*operands)

    x, u = np.ones((3, 2)), np.ones((2, 2))
    with pytest.raises(errors.IndexingError, match="index 3 is out of bounds for axis 0 of length"):
        call("scatter_max", x, np.array([0, 3]), u)
    with pytest.raises(errors.DTypeError, match="indices are float64"):
        call("scatter_max", x, np.array([0.0, 1.0]), u)
    with pytest.raises(errors.ShapeError, match=r"updates of shape \(2, 2\)"):
        call("scatter_prod", x, np.array([0]), u)
    with pytest.raises(errors.ShapeError, match="indices of shape"):
        call("scatter_mean", x, np.zeros((1, 1, 1), np.int64), u)
    with pytest.raises(errors.AxisError):
        call("scatter_min", x, np.array([0, 1]), u, axis=2)
    with pytest.raises(errors.ArgumentError, match="include_self must be a bool"):
        call("scatter_add", x, np.array([0, 1]), u, include_self="no")
    with pytest.raises(errors.DTypeError, match="scatter_max is not defined for complex128"):
        call("scatter_max", x + 0j, np.array([0, 1]), u)
    with pytest.raises(errors.ShapeError, match="segment_ids of shape"):
        call("segment_sum", x, np.array([0]), num_segments=2)
    with pytest.raises(errors.ArgumentError, match="num_segments is -1"):
        call("segment_sum", x, np.array([0, 1, 1]), num_segments=-1)
    with pytest.raises(errors.IndexingError):
        call("segment_mean", x, np.array([0, 1, 2]), num_segments=2)


# running extrema ----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["cummax", "cummin", "logcumsumexp"])
@pytest.mark.parametrize(("shape", "axis"), [((6,), 0), ((3, 5), 1), ((3, 5), 0), ((1, 2), 0)])
def test_running_values_are_those_of_torch(name, shape, axis):
    torch = pytest.importorskip("torch")
    from tests.common.against_torch import against_torch

    def theirs(x):
        found = getattr(torch, name)(x, axis)
        return found if name == "logcumsumexp" else found.values

    x = draw(*shape)
    against_torch(lambda xp, x: getattr(xp, name)(x, axis=axis), theirs, x, rtol=1e-6)
    if x.size and name == "logcumsumexp":
        x = dg.tensor(x, requires_grad=True)
        assert dg.gradgradcheck(lambda x: dg.logcumsumexp(x, axis=axis), (x,))


def test_running_extrema_of_nan_and_ints():
    x = dg.tensor([1.0, np.nan, 0.0], requires_grad=True)
    y = dg.cummax(x)
    np.testing.assert_array_equal(y.detach().numpy(), [1, np.nan, np.nan])
    y.sum().backward()
    assert x.grad.tolist() == [1, 2, 0]
    assert dg.cummin(dg.tensor([3, 1, 2])).dtype == np.int64
    with pytest.raises(errors.DTypeError, match="cumulative_max is not defined for complex64"):
        dg.cummax(dg.tensor([1j]))
    with pytest.raises(errors.ShapeError, match="axis is missing"):
        dg.logcumsumexp(dg.zeros((2, 2)))


def test_running_sums_of_exponentials_far_out():
    x = np.array([-np.inf, -np.inf, 800.0, -np.inf, 1000.0, -1000.0])
    y, slope = dg.value_and_grad(lambda x: dg.sum(dg.logcumsumexp(x)[2:]))(dg.tensor(x))
    assert np.isfinite(y.item())
    np.testing.assert_allclose(slope.numpy(), [0, 0, 2, 0, 2, 0], atol=1e-80)
    assert dg.logcumsumexp(dg.tensor([1, 2])).dtype == np.float64


@pytest.mark.parametrize("kind", ["sum", "mean", "max", "min", "prod"])
@pytest.mark.parametrize("ids", [[0, 5, 1], [0, -4, 1], [[0, 0], [1, 1], [3, 1]]])
def test_a_segment_or_place_outside_is_named_in_every_mode(kind, ids):
    x, ids = np.ones((3, 2), "float32"), np.array(ids)
    outside = ids[(ids < -3) | (ids > 2)].item()

    def program(xp, x, ids):
        if ids.ndim == 1:
            return getattr(xp, f"segment_{kind}")(x, ids, 3)
        return getattr(xp, f"scatter_{'add' if kind == 'sum' else kind}")(x, ids, x)

    calls = [
        lambda: program(dg, dg.tensor(x), dg.tensor(ids)),
        *[
            lambda backend=backend: sg.function(lambda *a: program(sg, *a), backend=backend)(x, ids)
            for backend in ("interpret", "numpy", None)
        ],
    ]
    for call in calls:
        with pytest.raises(errors.IndexingError, match=f"index {outside} is out of bounds"):
            call()
