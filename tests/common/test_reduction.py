"""Reductions, scans, statistics and sorting, against NumPy and torch."""

import math

import numpy as np
import pytest
import torch

from oplibrary.core.dispatch import EXECUTORS
from oplibrary.core.registry import REGISTRY, namespace
from oplibrary.executors.autodiff import pull_back
from oplibrary.messages.errors import (
    ArgumentError,
    AxisError,
    DataDependentShapeError,
    DTypeError,
    ShapeError,
    SideBySideError,
)
from oplibrary.ops.reduction import count_reduced
from oplibrary.values.types import TensorType, type_of

NAMES = namespace()


def run(name, *args, **kwargs):
    return NAMES[name](*args, **kwargs)


def draw(*shape, dtype="float64", seed=0):
    return np.random.default_rng(seed).uniform(-2, 2, shape).astype(dtype)


# a tape of a page, so that rules run on something else than arrays --------------------------------


class Value:
    """A recorded value: what dyngraph's Tensor is, without its speed and its manners."""

    def __init__(self, array, op=None, operands=(), attrs=None):
        self.array, self.op, self.operands, self.attrs = np.asarray(array), op, operands, attrs

    shape = property(lambda self: self.array.shape)
    dtype = property(lambda self: self.array.dtype)
    ndim = property(lambda self: self.array.ndim)

    def reshape(self, shape):
        return run("reshape", self, shape=shape)


def _operator(name, reflected=False):
    if reflected:
        return lambda self, other: run(name, other, self)
    return lambda self, *other: run(name, self, *other)


for dunder, op_name in {
    "add": "add",
    "sub": "subtract",
    "mul": "multiply",
    "truediv": "divide",
    "pow": "pow",
}.items():
    setattr(Value, f"__{dunder}__", _operator(op_name))
    setattr(Value, f"__r{dunder}__", _operator(op_name, reflected=True))
Value.__neg__ = _operator("negative")


def _apply(op, operands, attrs):
    arrays = [x.array if isinstance(x, Value) else x for x in operands]
    return Value(op.kernel(*arrays, **attrs), op, operands, attrs)


@pytest.fixture(autouse=True)
def _executor():
    EXECUTORS[Value] = _apply
    yield
    del EXECUTORS[Value]


def differentiate(out, leaves, g):
    """Return the gradients of `leaves` as Values, so that they can be differentiated again."""
    order, seen = [], set()

    def visit(value):
        if isinstance(value, Value) and id(value) not in seen:
            seen.add(id(value))
            for operand in value.operands:
                visit(operand)
            order.append(value)

    visit(out)
    cotangents = {id(out): g}
    for value in reversed(order):
        if value.op is None or id(value) not in cotangents:
            continue
        for position, operand in enumerate(value.operands):
            rule = value.op.operand_rule(position)
            if rule is None or not isinstance(operand, Value) or operand.dtype.kind != "f":
                continue
            needs = rule.needs(position, len(value.operands))
            saved = tuple(
                {"value": o, "type": type_of(o), "": None}[need]
                for o, need in zip(value.operands, needs, strict=True)
            )
            result = {"value": value, "type": type_of(value), "": None}[rule.out]
            grad = pull_back(
                value.op,
                position,
                cotangents[id(value)],
                result,
                saved,
                value.attrs,
                type_of(operand),
            )
            old = cotangents.get(id(operand))
            cotangents[id(operand)] = grad if old is None else old + grad
    return [cotangents.get(id(leaf)) for leaf in leaves]


def agrees(function, reference, *arrays, orders=2, tolerance=1e-12):
    """Compare a function's value and its first and second gradients with torch's."""
    leaves = [Value(x) for x in arrays]
    peers = [torch.tensor(x, requires_grad=True) for x in arrays]
    out, expected = function(*leaves), reference(*peers)
    assert out.shape == tuple(expected.shape)
    for order in range(orders + 1):
        np.testing.assert_allclose(
            out.array, expected.detach().numpy(), rtol=tolerance, atol=tolerance, err_msg=str(order)
        )
        if order == orders:
            return
        g = draw(*out.shape, seed=order + 1)
        found = differentiate(out, leaves, Value(g))
        wanted = torch.autograd.grad(
            expected, peers, torch.tensor(g), create_graph=True, allow_unused=True
        )
        pairs = [(f, w) for f, w in zip(found, wanted, strict=True) if f is not None]
        assert pairs
        assert all(w is not None for _, w in pairs)
        weights = [draw(*f.shape, seed=9) for f, _ in pairs]
        out = _total(run("sum", f * w) for (f, _), w in zip(pairs, weights, strict=True))
        expected = _total((w * torch.tensor(v)).sum() for (_, w), v in zip(pairs, weights))
        for (f, w), x in zip(pairs, arrays, strict=False):
            assert f.dtype == x.dtype
            np.testing.assert_allclose(
                f.array, w.detach().numpy(), rtol=tolerance, atol=tolerance, err_msg=str(order)
            )
        if not expected.requires_grad:
            return


def _total(values):
    values = list(values)
    total = values[0]
    for value in values[1:]:
        total = total + value
    return total


# values and gradients -----------------------------------------------------------------------------

AXES = [
    ((3, 4), None, False),
    ((3, 4), 0, False),
    ((3, 4), 1, True),
    ((3, 4), -1, False),
    ((2, 3, 4), (0, 2), False),
    ((2, 3, 4), (-1, 0), True),
    ((2, 3, 4), 1, False),
    ((2, 3), None, True),
    ((), None, False),
    ((5,), 0, False),
    ((1, 3), 0, False),
]


def _dims(shape, axis):
    return tuple(range(len(shape))) if axis is None else axis


def _torch_prod(x, axis, keepdims):
    axes = [a % max(x.ndim, 1) for a in (axis if isinstance(axis, tuple) else (axis,))]
    for a in sorted(axes, reverse=True):
        x = x.prod(a, keepdim=keepdims)
    return x


REFERENCES = {
    "sum": lambda x, d, k: x.sum(d, keepdim=k),
    "mean": lambda x, d, k: x.mean(d, keepdim=k),
    "var": lambda x, d, k: x.var(d, correction=0, keepdim=k),
    "max": lambda x, d, k: x.amax(d, keepdim=k),
    "min": lambda x, d, k: x.amin(d, keepdim=k),
    "logsumexp": lambda x, d, k: x.logsumexp(d, keepdim=k),
    "euclidean_norm": lambda x, d, k: torch.linalg.vector_norm(x, 2, d, keepdim=k),
    "prod": _torch_prod,
}


@pytest.mark.parametrize(("shape", "axis", "keepdims"), AXES)
@pytest.mark.parametrize("name", REFERENCES)
def test_reductions_are_those_of_torch_to_second_order(name, shape, axis, keepdims):
    if name in ("var", "euclidean_norm") and math.prod(shape) < 2:
        pytest.skip("not twice differentiable at 0")
    agrees(
        lambda x: run(name, x, axis=axis, keepdims=keepdims),
        lambda x: REFERENCES[name](x, _dims(shape, axis), keepdims),
        draw(*shape),
    )


@pytest.mark.parametrize(("shape", "axis", "keepdims"), AXES)
def test_std_is_that_of_torch_to_second_order(shape, axis, keepdims):
    counted = math.prod(
        np.atleast_1d(shape)[list(np.atleast_1d(_dims(shape, axis)))] if shape else [1]
    )
    if counted < 2:
        pytest.skip("not twice differentiable at 0")
    agrees(
        lambda x: run("std", x, axis=axis, keepdims=keepdims),
        lambda x: x.std(_dims(shape, axis), correction=0, keepdim=keepdims),
        draw(*shape),
    )


@pytest.mark.parametrize("correction", [0, 1, 0.5, 2])
@pytest.mark.parametrize("name", ["var", "std"])
def test_correction_is_that_of_torch(name, correction):
    agrees(
        lambda x: run(name, x, axis=1, correction=correction),
        lambda x: getattr(x, name)(1, correction=correction),
        draw(3, 4),
    )


ZEROS = [
    [1.5, 0.0, -2.0, 0.5],
    [0.0, 1.5, 0.0, 3.0],
    [0.0, 0.0, 0.0, 1.0],
    [2.0],
    [0.0],
]


@pytest.mark.parametrize("x", ZEROS)
def test_prod_has_right_gradients_at_zeros(x):
    x = np.array(x)
    agrees(lambda x: run("prod", x), lambda x: x.prod(), x)
    grid = np.stack([x, x[::-1] + 1.0, x])
    agrees(lambda x: run("prod", x, axis=1), lambda x: x.prod(1), grid)
    agrees(lambda x: run("prod", x, axis=(0, 1)), lambda x: x.flatten().prod(), grid)


@pytest.mark.parametrize("x", ZEROS)
def test_cumulative_prod_has_right_gradients_at_zeros(x):
    def running(x):
        return torch.stack([x[: i + 1].prod() for i in range(len(x))])

    agrees(lambda x: run("cumprod", x), running, np.array(x))


def test_ties_share_the_gradient_of_an_extremum():
    x = np.array([[1.0, 3.0, 3.0], [2.0, 2.0, 2.0]])
    for name in ("max", "min"):
        agrees(
            lambda x, n=name: run(n, x, axis=1),
            lambda x, n=name: getattr(x, f"a{n}")(1),
            x,
            orders=1,
        )


@pytest.mark.parametrize("name", ["std", "euclidean_norm"])
def test_gradient_of_a_root_at_zero_is_zero(name):
    x = Value(np.zeros((2, 3)))
    out = run(name, x, axis=1)
    (grad,) = differentiate(out, [x], Value(np.ones(2)))
    np.testing.assert_array_equal(grad.array, np.zeros((2, 3)))


@pytest.mark.parametrize("ord", [2, 1, 3, 2.5, -1, math.inf, -math.inf])
@pytest.mark.parametrize(("axis", "keepdims"), [(None, False), (1, True), ((0, 2), False)])
def test_vector_norm_is_that_of_torch(ord, axis, keepdims):
    agrees(
        lambda x: run("vector_norm", x, axis=axis, keepdims=keepdims, ord=ord),
        lambda x: torch.linalg.vector_norm(x, ord, axis, keepdim=keepdims),
        draw(2, 3, 4),
        orders=1,
    )


def test_vector_norm_of_order_0_and_at_the_origin():
    x = np.array([[0, 3], [0, 0]])
    counted = run("vector_norm", x, axis=1, ord=0)
    np.testing.assert_array_equal(counted, np.array([1.0, 0.0]), strict=True)
    for ord in (1, 2, 3, math.inf):
        assert run("vector_norm", x, ord=ord) == pytest.approx(3.0)
        zero = Value(np.zeros(3))
        (grad,) = differentiate(run("vector_norm", zero, ord=ord), [zero], Value(1.0))
        assert np.isfinite(grad.array).all()


# scans --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("shape", "axis"), [((4,), None), ((3, 4), 0), ((2, 3, 4), -2), ((0, 2), 0)]
)
@pytest.mark.parametrize("name", ["cumsum", "cumprod"])
def test_scans_are_those_of_torch(name, shape, axis):
    dim = 0 if axis is None else axis
    agrees(
        lambda x: run(name, x, axis=axis),
        lambda x: getattr(x, name)(dim),
        draw(*shape),
    )
    start = 0.0 if name == "cumsum" else 1.0

    def from_initial(x):
        first = torch.full_like(x.narrow(dim, 0, 0), start)
        shape = list(x.shape)
        shape[dim] = 1
        first = torch.full(shape, start, dtype=x.dtype)
        return torch.cat([first, getattr(x, name)(dim)], dim)

    agrees(lambda x: run(name, x, axis=axis, include_initial=True), from_initial, draw(*shape))


def test_scans_promote_as_numpy():
    for dtype in ("bool", "int32", "uint8", "float32"):
        x = np.array([1, 0, 1]).astype(dtype)
        np.testing.assert_array_equal(run("cumsum", x), np.cumsum(x), strict=True)
        np.testing.assert_array_equal(run("cumulative_prod", x), np.cumprod(x), strict=True)
        assert run("cumsum", x, include_initial=True).dtype == np.cumsum(x).dtype


def _recurrence(a, b, dim):
    ys, y = [], torch.zeros_like(a.select(dim, 0))
    for ak, bk in zip(a.unbind(dim), b.unbind(dim), strict=True):
        y = ak * y + bk
        ys.append(y)
    return torch.stack(ys, dim)


@pytest.mark.parametrize(("shape", "axis"), [((1,), 0), ((9,), 0), ((3, 5), -1), ((4, 300), 0)])
def test_linear_recurrence_by_loop_and_by_doubling(shape, axis):
    agrees(
        lambda a, b: run("linear_recurrence", a, b, axis=axis),
        lambda a, b: _recurrence(a, b, axis),
        draw(*shape),
        draw(*shape, seed=1),
        tolerance=1e-10,
    )


def test_linear_recurrence_of_nothing():
    for axis in (0, 1):
        a = Value(np.zeros((0, 2)))
        out = run("linear_recurrence", a, a, axis=axis)
        assert out.shape == (0, 2)
        assert differentiate(out, [a], Value(np.zeros((0, 2))))[0].shape == (0, 2)


# values -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("shape", "axis", "keepdims"), AXES)
def test_logic_and_counts_are_those_of_numpy(shape, axis, keepdims):
    x = (np.abs(draw(*shape)) > 0.7) * draw(*shape)
    for name in ("all", "any", "count_nonzero"):
        expected = np.asarray(getattr(np, name)(x, axis=axis, keepdims=keepdims))
        np.testing.assert_array_equal(
            np.asarray(run(name, x, axis=axis, keepdims=keepdims)), expected, strict=True
        )


@pytest.mark.parametrize("name", ["argmax", "argmin"])
def test_positions_are_those_of_numpy(name):
    x = np.array([[1.0, 3.0, 3.0], [0.0, -1.0, -1.0]])
    for axis in (None, 0, 1, -1):
        for keepdims in (False, True):
            np.testing.assert_array_equal(
                np.asarray(run(name, x, axis=axis, keepdims=keepdims)),
                np.asarray(getattr(np, name)(x, axis=axis, keepdims=keepdims)),
                strict=True,
            )
    assert run(name, np.array([1.0, np.nan])) == 1
    assert run(name, np.zeros((0, 3)), axis=1).shape == (0,)


@pytest.mark.parametrize("dtype", ["bool", "int8", "int64", "uint16", "float32", "float64"])
@pytest.mark.parametrize("name", ["sum", "prod", "mean", "var", "std", "max", "min"])
def test_dtypes_are_those_of_numpy(name, dtype):
    x = np.array([[1, 0, 1], [1, 1, 0]]).astype(dtype)
    for attrs in ({}, {"axis": 1}, {"axis": 0, "keepdims": True}):
        out = np.asarray(run(name, x, **attrs))
        expected = np.asarray(getattr(np, name)(x, **attrs))
        assert out.dtype == expected.dtype
        np.testing.assert_allclose(out, expected, rtol=1e-6)
        assert REGISTRY[name].infer(type_of(x), **attrs) == type_of(out)


def test_complex_numbers_forward():
    x = draw(3, 4) + 1j * draw(3, 4, seed=1)
    for name in ("sum", "prod", "mean", "var", "std", "cumsum"):
        for attrs in ({"axis": 0},):
            out, expected = run(name, x, **attrs), getattr(np, name)(x, **attrs)
            assert out.dtype == expected.dtype
            np.testing.assert_allclose(out, expected, rtol=1e-12)
            assert REGISTRY.get(name, NAMES[name]).infer(type_of(x), **attrs) == type_of(out)
    np.testing.assert_allclose(run("euclidean_norm", x), np.linalg.norm(x), rtol=1e-12)


def test_nothing_to_reduce():
    x = np.zeros((0, 3), "float32")
    assert run("sum", x) == 0 and run("prod", x) == 1
    assert run("all", x) and not run("any", x) and run("count_nonzero", x) == 0
    assert run("logsumexp", x) == -math.inf
    np.testing.assert_array_equal(run("euclidean_norm", x, axis=0), np.zeros(3, "float32"))
    assert run("max", x, axis=1).shape == (0,)
    with pytest.warns(RuntimeWarning):
        assert np.isnan(run("mean", x))
    grad = Value(x)
    out = run("sum", grad, axis=0)
    assert differentiate(out, [grad], Value(np.ones(3, "float32")))[0].shape == (0, 3)


def test_logsumexp_neither_overflows_nor_loses_infinities():
    rows = np.array(
        [
            [1000.0, 1000.0],
            [-1000.0, -1001.0],
            [-np.inf, -np.inf],
            [np.inf, 1000.0],
            [-np.inf, 0.0],
            [np.nan, 0.0],
        ]
    )
    expected = torch.logsumexp(torch.tensor(rows), 1).numpy()
    np.testing.assert_allclose(run("logsumexp", rows, axis=1), expected, rtol=1e-15)
    for row, value in zip(rows, expected, strict=True):
        np.testing.assert_allclose(run("logsumexp", row), value, rtol=1e-15)
    assert run("logsumexp", np.array([1, 2])).dtype == np.float64


def test_var_keeps_its_digits_where_the_mean_is_large():
    x = np.array([1e8, 1e8 + 1, 1e8 + 2])
    assert run("var", x) == pytest.approx(2 / 3, rel=1e-12)


def test_mean_of_whole_numbers_does_not_overflow():
    assert run("mean", np.full(3, 2**62)) == float(2**62)


# out ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["float32", "float64", "int64"])
def test_kernels_write_the_same_bits_into_out(dtype):
    x = (draw(3, 5, 4) * 3).astype(dtype)
    checked = 0
    for op in REGISTRY.values():
        if op.arity != 1 or not op.takes_out or op.infer.__module__ not in MODULES:
            continue
        for shape, attrs in (
            ((3, 5, 4), {"axis": None}),
            ((3, 5, 4), {"axis": 1}),
            ((3, 5, 4), {"axis": -1, "keepdims": True}),
            ((60,), {"axis": 0}),
        ):
            if set(attrs) - set(op.attrs) or (len(shape) > 1 and attrs["axis"] is None):
                continue
            operand = x.reshape(shape)
            plain = np.asarray(op.kernel(operand, **attrs))
            out = np.empty(plain.shape[::-1], plain.dtype).T
            assert op.kernel(operand, out, **attrs) is out
            assert out.tobytes() == plain.tobytes(), op.name
            checked += 1
    assert checked > 30


MODULES = {
    f"oplibrary.{name}"
    for name in ("core.rules", "ops.reduction", "ops.statistics", "ops.scan", "ops.sorting")
}


# sorting ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("descending", [False, True])
@pytest.mark.parametrize(("shape", "axis"), [((5,), -1), ((3, 4), 0), ((2, 3, 4), 1), ((0, 3), 0)])
def test_sort_is_that_of_torch(shape, axis, descending):
    x = draw(*shape)
    agrees(
        lambda x: run("sort", x, axis=axis, descending=descending),
        lambda x: x.sort(axis, descending=descending).values,
        x,
        orders=1,
    )
    np.testing.assert_array_equal(
        run("argsort", x, axis=axis, descending=descending),
        torch.tensor(x).argsort(dim=axis, descending=descending, stable=True).numpy(),
        strict=True,
    )


@pytest.mark.parametrize("descending", [False, True])
@pytest.mark.parametrize("dtype", ["float32", "int64", "uint8", "bool"])
def test_equal_elements_keep_their_order(dtype, descending):
    x = np.random.default_rng(0).integers(0, 2, 50).astype(dtype)
    expected = torch.tensor(x).argsort(descending=descending, stable=True).numpy()
    np.testing.assert_array_equal(run("argsort", x, descending=descending), expected)
    np.testing.assert_array_equal(run("sort", x, descending=descending), x[expected])


def test_nan_counts_as_the_greatest():
    x = np.array([1.0, np.nan, -1.0])
    np.testing.assert_array_equal(run("sort", x), [-1.0, 1.0, np.nan])
    np.testing.assert_array_equal(run("sort", x, descending=True), [np.nan, 1.0, -1.0])


@pytest.mark.parametrize("largest", [True, False])
def test_topk_is_that_of_torch(largest):
    x = draw(3, 5)
    for axis, k in [(-1, 2), (0, 3), (1, 0)]:
        values, indices = run("topk", x, k, axis=axis, largest=largest)
        expected = torch.tensor(x).topk(k, axis, largest=largest)
        np.testing.assert_array_equal(values, expected.values.numpy())
        np.testing.assert_array_equal(indices, expected.indices.numpy(), strict=True)
    agrees(
        lambda x: run("topk", x, 2, largest=largest)[0],
        lambda x: x.topk(2, largest=largest).values,
        x,
        orders=1,
    )


def test_data_dependent_shapes_run_on_arrays_only():
    x = np.array([[0.0, 2.0], [1.0, 0.0]])
    np.testing.assert_array_equal(run("argwhere", x), np.argwhere(x), strict=True)
    assert run("argwhere", np.array(3.0)).shape == (1, 0)
    for got, expected in zip(run("nonzero", x), np.nonzero(x), strict=True):
        np.testing.assert_array_equal(got, expected, strict=True)
    np.testing.assert_array_equal(run("unique_values", x), [0.0, 1.0, 2.0])
    assert len(run("unique", np.array([np.nan, np.nan]))) == 2
    for name in ("argwhere", "unique_values"):
        op = REGISTRY[name]
        assert not op.differentiable
        with pytest.raises(DataDependentShapeError, match="of the 4 elements"):
            op.infer(type_of(x))


# refusals -----------------------------------------------------------------------------------------

X = np.arange(6.0).reshape(2, 3)
EMPTY = np.zeros((0, 3))

AXIS_OPS = [
    op.name
    for op in REGISTRY.values()
    if tuple(op.attrs)[:2] == ("axis", "keepdims") and op.name not in ("argmax", "argmin")
]

REFUSED = [
    *(
        (name, (X, axis), error, text)
        for name in (*AXIS_OPS, "vector_norm")
        for axis, error, text in [
            (2, AxisError, "axis 2 is out of range for 2 axes"),
            ((0, -2), ShapeError, "names an axis twice"),
            ((0, 5), AxisError, "out of range"),
        ]
    ),
    ("max", (EMPTY,), ShapeError, "max of no elements"),
    ("min", (EMPTY, 0), ShapeError, "min of no elements"),
    ("argmax", (EMPTY,), ShapeError, "argmax of no elements"),
    ("argmax", (X, (0, 1)), ArgumentError, "axis must be one int or None"),
    ("argmin", (X, 2), AxisError, "out of range"),
    ("argmin", (X, 0.0), ArgumentError, "axis must be an int"),
    ("sum", (X, 0, False, 3), ArgumentError, "one argument too many was passed"),
    ("sum", ("abc",), DTypeError, "is a str, not an array"),
    ("var", (X, None, False, "1"), ArgumentError, "correction must be a number"),
    ("std", (X, None, False, None), ArgumentError, "correction must be a number"),
    ("logsumexp", (X * 1j,), DTypeError, "logsumexp is not defined for complex128"),
    ("cumsum", (X,), ShapeError, "axis is missing"),
    ("cumsum", (X, 2), AxisError, "out of range"),
    ("cumprod", (X, (0,)), ArgumentError, "axis must be an int"),
    ("cumprod", (np.array(1.0),), ShapeError, "of a scalar"),
    ("linear_recurrence", (X, X[:1]), ShapeError, "shapes (2, 3) and (1, 3) differ"),
    ("linear_recurrence", (X, X, 2), AxisError, "out of range"),
    ("sort", (X, 2), AxisError, "out of range"),
    ("sort", (np.array(1.0),), ShapeError, "sort of a scalar"),
    ("sort", (X, None), ArgumentError, "axis must be an int"),
    ("argsort", (X, None), ArgumentError, "axis must be an int"),
    ("argsort", (np.array(1.0),), ShapeError, "scalar"),
    ("topk", (X, 4), ArgumentError, "k 4 is out of range"),
    ("topk", (X, 1.5), ArgumentError, "k must be an int"),
    ("topk", (X, 1, 2), AxisError, "out of range"),
    ("nonzero", (np.array(1.0),), ShapeError, "nonzero of a scalar"),
    ("vector_norm", (X, None, False, "fro"), ArgumentError, "ord must be a number"),
    ("vector_norm", (X, None, False, math.nan), ArgumentError, "ord must be a number"),
]


@pytest.mark.parametrize(("name", "args", "kind", "text"), REFUSED)
def test_bad_arguments_are_refused(name, args, kind, text):
    with pytest.raises(SideBySideError) as caught:
        run(name, *args)
    assert type(caught.value) is kind
    assert text in str(caught.value)
    assert caught.value.fix and caught.value.cause
    assert "test_reduction.py" in str(caught.value)


def test_infer_is_the_author_of_the_refusals():
    for name, args, kind, text in REFUSED:
        op = NAMES[name]
        if op not in REGISTRY.values() or "too many" in text or "not an array" in text:
            continue
        operands, attrs = op.bind(args, {})
        with pytest.raises(kind) as caught:
            op.infer(*map(type_of, operands), **attrs)
        assert text in str(caught.value)


def test_infer_knows_shapes_without_values():
    huge = TensorType((10**6, 10**6), "float32")
    assert REGISTRY["mean"].infer(huge, axis=0) == TensorType((10**6,), "float32")
    assert REGISTRY["sort"].infer(huge, axis=0) == huge
    assert count_reduced((10**6, 10**6), None) == 10**12
