"""Elementwise ops against PyTorch: values and gradients, also where floating point is special."""

import zlib
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F

import dyngraph as dg
import staticgraph as sg
from oplibrary.core.registry import FUNCTIONS, REGISTRY
from oplibrary.core.samples import draw, uniform
from oplibrary.executors.autodiff import pull_back
from oplibrary.messages.errors import ArgumentError, DTypeError, SideBySideError
from oplibrary.values.types import type_of

inf, nan = np.inf, np.nan

UNARY: dict[str, Callable[..., Any]] = {
    "abs": torch.abs,
    "acos": torch.acos,
    "acosh": torch.acosh,
    "asin": torch.asin,
    "asinh": torch.asinh,
    "atan": torch.atan,
    "atanh": torch.atanh,
    "ceil": torch.ceil,
    "cos": torch.cos,
    "cosh": torch.cosh,
    "erf": torch.erf,
    "exp": torch.exp,
    "expm1": torch.expm1,
    "floor": torch.floor,
    "gelu": F.gelu,
    "gelu_tanh": lambda x: F.gelu(x, approximate="tanh"),
    "log": torch.log,
    "log10": torch.log10,
    "log1p": torch.log1p,
    "log2": torch.log2,
    "negative": torch.negative,
    "reciprocal": torch.reciprocal,
    "relu": torch.relu,
    "round": torch.round,
    "rsqrt": torch.rsqrt,
    "sigmoid": torch.sigmoid,
    "sign": torch.sign,
    "silu": F.silu,
    "sin": torch.sin,
    "sinh": torch.sinh,
    "softplus": F.softplus,
    "sqrt": torch.sqrt,
    "square": torch.square,
    "tan": torch.tan,
    "tanh": torch.tanh,
    "trunc": torch.trunc,
}
WITH_ATTRIBUTES: dict[str, Callable[..., Any]] = {
    "clip": torch.clip,
    "elu": F.elu,
    "leaky_relu": F.leaky_relu,
}
BINARY: dict[str, Callable[..., Any]] = {
    "add": torch.add,
    "atan2": torch.atan2,
    "divide": torch.divide,
    "hypot": torch.hypot,
    "logaddexp": torch.logaddexp,
    "maximum": torch.maximum,
    "minimum": torch.minimum,
    "multiply": torch.multiply,
    "pow": torch.pow,
    "remainder": torch.remainder,
    "subtract": torch.subtract,
}
WITHOUT_GRADIENT: dict[str, Callable[..., Any]] = {
    "bitwise_and": torch.bitwise_and,
    "bitwise_invert": torch.bitwise_not,
    "bitwise_left_shift": torch.bitwise_left_shift,
    "bitwise_or": torch.bitwise_or,
    "bitwise_right_shift": torch.bitwise_right_shift,
    "bitwise_xor": torch.bitwise_xor,
    "equal": torch.eq,
    "floor_divide": torch.floor_divide,
    "greater": torch.gt,
    "greater_equal": torch.ge,
    "isfinite": torch.isfinite,
    "isinf": torch.isinf,
    "isnan": torch.isnan,
    "less": torch.lt,
    "less_equal": torch.le,
    "logical_and": torch.logical_and,
    "logical_not": torch.logical_not,
    "logical_or": torch.logical_or,
    "logical_xor": torch.logical_xor,
    "not_equal": torch.ne,
}
DIFFERENTIABLE = {**UNARY, **WITH_ATTRIBUTES, **BINARY}
TOLERANCE = {2: 2e-3, 4: 3e-6, 8: 1e-12}
# torch's softplus is x itself beyond 20
LOOSER = {"softplus": 1e-8}


def tolerance(name: str, dtype: Any) -> float:
    return max(TOLERANCE[np.dtype(dtype).itemsize], LOOSER.get(name, 0.0))


def ours(
    name: str, operands: tuple[Any, ...], attrs: dict[str, Any], g: Any
) -> tuple[Any, list[Any]]:
    """Return the result and, for a cotangent, the gradient of every operand."""
    op = REGISTRY[name]
    out = np.asarray(op.kernel(*operands, **attrs))
    if g is None:
        return out, []
    gradients = [
        pull_back(op, i, g, out, operands, attrs, type_of(operand))
        for i, operand in enumerate(operands)
    ]
    return out, gradients


def theirs(
    function: Callable[..., Any], operands: tuple[Any, ...], attrs: dict[str, Any], g: Any
) -> tuple[Any, list[Any]]:
    tensors = [torch.tensor(operand, requires_grad=True) for operand in operands]
    out = function(*tensors, **attrs)
    if g is None:
        return out.detach().numpy(), []
    out.backward(torch.tensor(g))
    return out.detach().numpy(), [tensor.grad.numpy() for tensor in tensors]


def compare(
    name: str,
    operands: tuple[Any, ...],
    attrs: dict[str, Any] | None = None,
    gradients: bool = True,
) -> None:
    attrs = attrs or {}
    shape = np.broadcast_shapes(*(x.shape for x in operands))
    g = np.random.default_rng(1).uniform(0.5, 1.5, shape).astype(operands[0].dtype)
    if not gradients:
        g = None
    out, found = ours(name, operands, {**REGISTRY[name].attrs, **attrs}, g)
    expected, wanted = theirs(DIFFERENTIABLE[name], operands, attrs, g)
    close = {"rtol": (bound := tolerance(name, operands[0].dtype)), "atol": bound}
    assert out.dtype == expected.dtype
    np.testing.assert_allclose(out, expected, **close)
    for one, other in zip(found, wanted, strict=True):
        np.testing.assert_allclose(one, other, **close)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", DIFFERENTIABLE)
def test_values_and_gradients_on_the_domain(name, dtype):
    op = REGISTRY[name]
    rng = np.random.default_rng(zlib.crc32(name.encode()))
    for example in op.examples:
        if name == "clip" and not example.attrs:
            continue  # torch wants one bound at least
        compare(name, draw(op, example, dtype, rng), dict(example.attrs))


@pytest.mark.parametrize("name", WITHOUT_GRADIENT)
def test_values_of_ops_without_gradient(name):
    op = REGISTRY[name]
    assert not op.differentiable
    for example in op.examples:
        operands = draw(op, example, np.float32, np.random.default_rng(0))
        expected = WITHOUT_GRADIENT[name](*map(torch.tensor, operands)).numpy()
        np.testing.assert_array_equal(np.asarray(op.kernel(*operands)), expected, strict=True)


# special values -----------------------------------------------------------------------------------

SPECIAL = [-inf, -1e30, -1000.0, -90.0, -20.0, -0.0, 0.0, 1e-30, 20.0, 90.0, 1000.0, inf, nan]
FINITE = [x for x in SPECIAL if abs(x) <= 1000]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", ["erf", "relu", "sigmoid", "softplus", "floor", "tanh"])
def test_special_values(name, dtype):
    compare(name, (np.array(SPECIAL, dtype),), gradients=False)
    compare(name, (np.array(FINITE, dtype),))


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("name", ["gelu", "gelu_tanh", "silu"])
def test_gated_activations_have_their_limits_at_infinity(name, dtype):
    kernel = REGISTRY[name].kernel
    # torch gives NaN, which is not the limit
    x = np.array([-inf, -1000.0, 1000.0, inf, nan], dtype)
    np.testing.assert_array_equal(kernel(x), [0.0, 0.0, 1000.0, inf, nan])
    compare(name, (np.array([*FINITE, -3.0, 3.0], dtype),), gradients=False)
    if dtype is not np.float16:
        compare(name, (np.array(FINITE, dtype),))


@pytest.mark.parametrize("name", ["elu", "leaky_relu"])
@pytest.mark.parametrize("attr", [0.0, 0.25, 1.0, 1.5])
def test_rectifiers_at_special_values(name, attr):
    (attribute,) = REGISTRY[name].attrs
    values = FINITE if attr == 0 else SPECIAL[:-1]
    compare(name, (np.array(values),), {attribute: attr})
    assert np.isnan(REGISTRY[name].kernel(np.array([nan]), **{attribute: attr}))
    assert REGISTRY[name].kernel(np.array([inf]), **{attribute: attr}) == inf


@pytest.mark.parametrize("dtype", ["bool", "int8", "uint64", "float16"])
def test_logaddexp_of_many_elements_is_that_of_few(dtype):
    few = np.array([[0, 1, 1, 0], [1, 1, 0, 0]]).astype(dtype)
    many = np.repeat(few, 200, axis=1)
    expected = np.asarray(dg.logaddexp(few[0], few[1]))
    found = np.asarray(dg.logaddexp(many[0], many[1]))
    assert found.dtype == expected.dtype
    np.testing.assert_array_equal(found, np.repeat(expected, 200))


@pytest.mark.parametrize("size", [1, 100])  # from 512 elements on logaddexp is another program
def test_logaddexp_of_special_values(size):
    values = np.array([-inf, -3e38, -1000.0, -1.0, 0.0, 2.0, 1000.0, 3e38, inf, nan], np.float32)
    x, y = (np.tile(each.reshape(-1), size) for each in np.meshgrid(values, values))
    compare("logaddexp", (x, y), gradients=False)
    finite = np.isfinite(x) & np.isfinite(y)
    compare("logaddexp", (x[finite] / 2, y[finite] / 2))
    one_sided = np.isfinite(x) & np.isinf(y)
    compare("logaddexp", (x[one_sided], y[one_sided]))


@pytest.mark.parametrize("name", ["maximum", "minimum"])
def test_extrema_share_the_gradient_of_ties(name):
    values = np.array([-inf, -1.0, -0.0, 0.0, 2.0, inf, nan])
    x, y = np.meshgrid(values, values)
    compare(name, (x, y))


def test_clip_lets_the_bounds_through():
    x = np.array([-inf, -2.0, -1.0, 0.0, 0.5, 1.0, inf, nan])
    for attrs in ({"min": -1.0, "max": 0.5}, {"min": -1}, {"max": 0.5}, {"min": 1.0, "max": -1.0}):
        compare("clip", (x,), attrs, gradients=attrs.get("min") != 1.0)


def test_pow_at_zero():
    compare("pow", (np.array([0.0, 0.0, 0.0, -2.0, -2.0]), np.array([0.0, 1.0, 2.0, 2.0, 3.0])),
            gradients=False)  # fmt: skip
    x, y = np.array([0.0, 0.0, 0.0, -2.0, 2.0]), np.array([0.0, 1.0, 2.0, 3.0, 0.0])
    _, (dx, dy) = ours("pow", (x, y), {}, np.ones(5))
    np.testing.assert_array_equal(dx, [0.0, 1.0, 0.0, 12.0, 0.0])
    np.testing.assert_allclose(dy, [0.0, 0.0, 0.0, np.nan, np.log(2)])  # as in torch
    # a Python number as base or exponent keeps float32
    x32 = np.array([0.0, 1.0, 3.0], np.float32)
    for xp in (dg, sg):
        for exponent in (0, 1, 2, 1.5):
            base = xp.grad(lambda x, xp=xp, n=exponent: xp.sum(x**n))
            base = base(dg.tensor(x32)).numpy() if xp is dg else sg.function(base)(x32)
            assert base.dtype == np.float32
            np.testing.assert_allclose(base, [torch_power_slope(v, exponent) for v in x32])
        for number in (2.0, 0.0, -1.0):
            dy = xp.grad(lambda x, xp=xp, n=number: xp.sum(n**x))
            dy = dy(dg.tensor(x32)).numpy() if xp is dg else sg.function(dy)(x32)
            assert dy.dtype == np.float32
            slope = np.log(number) if number > 0 else 0.0 if number == 0 else np.nan
            np.testing.assert_allclose(dy, number**x32 * slope, rtol=1e-6)


def torch_power_slope(x: float, exponent: float) -> float:
    tensor = torch.tensor(float(x), requires_grad=True)
    (tensor**exponent).backward()
    return float(tensor.grad)


MASKING = ["floor", "ceil", "round", "trunc", "sign", "relu", "clip", "maximum", "minimum"]


@pytest.mark.parametrize("name", MASKING)
def test_infinite_cotangent_does_not_pass_where_the_gradient_is_zero(name):
    attrs = {"min": 0.0, "max": 1.0} if name == "clip" else {}
    x = np.array([-3.25, -2.75, -0.25])
    operands = (x, x - 1.0 if name == "minimum" else x + 1.0)[: REGISTRY[name].arity]
    _, gradients = ours(name, operands, attrs, np.array([inf, nan, -inf]))
    np.testing.assert_array_equal(gradients[0], np.zeros(3))


# sizes, layouts and dtypes ------------------------------------------------------------------------

COMPOSITE = ["elu", "erf", "gelu", "gelu_tanh", "leaky_relu", "sigmoid", "silu", "softplus"]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", COMPOSITE)
def test_layout_changes_no_value(name, dtype):
    op = REGISTRY[name]
    x = np.random.default_rng(2).normal(size=(150, 250)).astype(dtype) * 3
    expected = DIFFERENTIABLE[name](torch.tensor(x)).numpy()
    padded = np.zeros((300, 250), dtype)
    padded[::2] = x
    out = np.empty((250, 150), dtype).T
    for layout in (x, np.asfortranarray(x), padded[::2]):
        for given in (None, out, np.empty_like(x)):
            result = op.kernel(layout, given, **op.attrs)
            assert given is None or result is given
            close = tolerance(name, dtype)
            np.testing.assert_allclose(result, expected, rtol=close, atol=close)


@pytest.mark.parametrize("name", [*COMPOSITE, "reciprocal", "rsqrt"])
def test_dtypes_follow_exp(name):
    op = REGISTRY[name]
    for dtype in (np.bool_, np.int8, np.uint16, np.int64, np.float16, np.float32, np.longdouble):
        x = np.ones(3, dtype)
        result = op.kernel(x, **op.attrs)
        assert result.dtype == np.exp(x).dtype == op.infer(type_of(x), **op.attrs).dtype
        double = op.kernel(np.ones(3), **op.attrs)
        np.testing.assert_allclose(result, double, rtol=4 * max(np.finfo(result.dtype).eps, 1e-16))


@pytest.mark.parametrize("name", [*COMPOSITE, "relu"])
def test_complex_numbers_are_refused_by_infer_and_kernel_alike(name):
    op = REGISTRY[name]
    x = np.ones(3, np.complex64)
    with pytest.raises(DTypeError, match=f"{name} is not defined for complex64"):
        op(x)
    with pytest.raises(DTypeError, match=f"{name} is not defined for complex64"):
        op.infer(type_of(x), **op.attrs)


def test_relu_and_round_keep_integers():
    x = np.array([-2, 0, 3], np.int16)
    np.testing.assert_array_equal(REGISTRY["relu"](x), np.array([0, 0, 3], np.int16), strict=True)
    np.testing.assert_array_equal(REGISTRY["round"](x), x, strict=True)
    with pytest.raises(DTypeError, match="relu is not defined for bool"):
        REGISTRY["relu"](x > 0)


@pytest.mark.parametrize("name", [*COMPOSITE, "relu", "round", "reciprocal", "clip", "real"])
def test_python_numbers_are_operands_too(name):
    op = REGISTRY[name]
    expected = op.kernel(np.array(0.75), **op.attrs)
    assert op(0.75) == expected


def test_where_selects_alike_at_every_size_and_dtype():
    where = REGISTRY["where"]
    rng = np.random.default_rng(3)
    condition = rng.random((60, 70)) < 0.5
    dtypes = (np.int8, np.float16, np.int32, np.float32, np.float64, np.complex64, np.complex128)
    for dtype in dtypes:
        x, y = (rng.integers(-9, 9, (60, 70)).astype(dtype) for _ in range(2))
        operands = [(x, y), (x, y[0]), (x[:, :1], y), (x, dtype(0)), (dtype(0), y), (x, y.T[0, 0])]
        if np.dtype(dtype).kind != "i":
            operands += [(x, 0.0), (0.0, y), (x, -0.0), (1.5, -2.5)]
        for left, right in operands:
            expected = np.where(condition, left, right)
            result = where(condition, left, right)
            assert result.dtype == expected.dtype
            assert result.tobytes() == expected.tobytes()
            out = np.empty_like(expected)
            assert where.kernel(condition, left, right, out).tobytes() == expected.tobytes()
    # the result is larger than the condition
    deep = rng.normal(size=(2, 60, 70)).astype(np.float32)
    np.testing.assert_array_equal(where(condition, deep, 0.0), np.where(condition, deep, 0.0))
    np.testing.assert_array_equal(where(condition, 0.0, deep), np.where(condition, 0.0, deep))
    special = np.array([nan, inf, -inf, -0.0] * 1050, np.float32).reshape(60, 70)
    assert where(condition, special, 0.0).tobytes() == np.where(condition, special, 0.0).tobytes()


@pytest.mark.parametrize("xp", [dg, sg])
def test_pythons_round_is_that_of_the_library(xp):
    x = np.array([0.5, 1.5, -2.4, 7.0], np.float32)
    if xp is dg:
        result = round(dg.tensor(x)).numpy()
    else:
        result = sg.function(round)(x)
    assert result.tolist() == [0, 2, -2, 7]
    assert result.dtype == np.float32
    exact = np.array([0.126, 1.5, -2.4567], np.float32)
    if xp is dg:
        result = round(dg.tensor(exact), 2).numpy()
    else:
        result = sg.function(lambda x: round(x, 2))(exact)
    np.testing.assert_array_equal(result, np.round(exact, 2), strict=True)


def test_cast_to_real_keeps_the_real_part():
    cast = REGISTRY["cast"]
    z = np.array([1 + 2j, -3.5 - 1j])
    np.testing.assert_array_equal(cast(z, "float32"), np.array([1, -3.5], np.float32), strict=True)
    np.testing.assert_array_equal(cast(z, dtype="bool"), [True, True])


def test_gelu_takes_the_approximation_by_name():
    gelu = FUNCTIONS["gelu"]
    x = np.linspace(-3, 3, 7)
    for approximate in ("none", "tanh"):
        expected = F.gelu(torch.tensor(x), approximate=approximate).numpy()
        np.testing.assert_allclose(gelu(x, approximate=approximate), expected, rtol=1e-12)
    with pytest.raises(ArgumentError, match="approximate is 'sigmoid'"):
        gelu(x, approximate="sigmoid")


def test_clip_wants_numbers_for_bounds():
    clip = REGISTRY["clip"]
    x = np.arange(4.0, dtype=np.float32)
    assert clip(x, np.float64(1.5), np.int64(2)).dtype == np.float32
    for bound in (np.zeros(4), "low"):
        with pytest.raises(SideBySideError, match="min must be a number or"):
            clip(x, min=bound)


# accuracy -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("dtype", "bound"), [(np.float32, 4), (np.float64, 4)])
def test_erf_is_accurate_to_a_few_units_in_the_last_place(dtype, bound):
    special = pytest.importorskip("scipy.special")
    rng = np.random.default_rng(4)
    x = np.concatenate([
        rng.uniform(-6, 6, 20000), 10 ** rng.uniform(-30, 0, 10000), [0.0, 30.0, -30.0],
    ]).astype(dtype)  # fmt: skip
    expected = special.erf(x.astype(np.float64))
    unit = np.spacing(np.abs(expected).astype(dtype)).astype(np.float64)
    error = np.abs(REGISTRY["erf"].kernel(x).astype(np.float64) - expected) / unit
    assert error.max() <= bound


def test_gelu_is_accurate_in_its_tail():
    special = pytest.importorskip("scipy.special")
    x = uniform((2000,), (-25.0, 0.0), (), np.float64, np.random.default_rng(5))
    expected = x * special.ndtr(x)
    np.testing.assert_allclose(REGISTRY["gelu"].kernel(x), expected, rtol=1e-10)
    single = x[x > -12].astype(np.float32)
    exact = single.astype(np.float64) * special.ndtr(single.astype(np.float64))
    np.testing.assert_allclose(REGISTRY["gelu"].kernel(single), exact, rtol=1e-4)
