"""ONNX's operators that act on each element."""

from __future__ import annotations

from functools import reduce
from typing import Any

import numpy as np

from oplibrary.messages.errors import UnsupportedOpError
from oplibrary.values.dtypes import FLOATING
from staticgraph.importing.onnx_models.table import TABLE

_OLD = ("consumed_inputs",)  # of the first versions: what may be overwritten


def _unary(function: str, argument: str) -> Any:
    def of_x(xp: Any, X: Any) -> Any:
        return getattr(xp, function)(X)

    def of_input(xp: Any, input: Any) -> Any:
        return getattr(xp, function)(input)

    return of_x if argument == "X" else of_input


for _name, _function in {
    "Abs": "abs",
    "BitwiseNot": "bitwise_invert",
    "Ceil": "ceil",
    "Floor": "floor",
    "HardSwish": "hardswish",
    "IsNaN": "isnan",
    "Mish": "mish",
    "Neg": "negative",
    "Not": "logical_not",
    "Reciprocal": "reciprocal",
    "Relu": "relu",
    "Round": "round",
    "Sigmoid": "sigmoid",
    "Softplus": "softplus",
    "Sqrt": "sqrt",
}.items():
    TABLE.entry(_name, ignored=_OLD)(_unary(_function, "X"))
for _name, _function in {
    "Acos": "acos",
    "Acosh": "acosh",
    "Asin": "asin",
    "Asinh": "asinh",
    "Atan": "atan",
    "Atanh": "atanh",
    "Cos": "cos",
    "Cosh": "cosh",
    "Det": "det",
    "Erf": "erf",
    "Exp": "exp",
    "Identity": "positive",
    "Log": "log",
    "Sign": "sign",
    "Sin": "sin",
    "Sinh": "sinh",
    "Softsign": "softsign",
    "Tan": "tan",
    "Tanh": "tanh",
}.items():
    if _name not in ("Det", "Identity"):
        TABLE.entry(_name, ignored=_OLD)(_unary(_function, "input"))


@TABLE.entry("Identity")
def _identity(xp: Any, input: Any) -> Any:
    return input


@TABLE.entry("Det")
def _det(xp: Any, X: Any) -> Any:
    return xp.linalg.det(X)


# two operands -------------------------------------------------------------------------------------


def _aligned(xp: Any, A: Any, B: Any, broadcast: int, axis: Any) -> Any:
    """Return `B` so that it broadcasts as it did before version 7: its axes begin at `axis`."""
    if not broadcast:
        return B
    rank, own = len(A.shape), len(B.shape)
    at = rank - own if axis is None else axis % rank
    missing = rank - own - at
    return xp.reshape(B, (*B.shape, *(1,) * missing)) if missing > 0 else B


def _binary(function: str, names: str = "AB") -> Any:
    def of_ab(xp: Any, A: Any, B: Any, broadcast: int = 0, axis: Any = None) -> Any:
        return getattr(xp, function)(A, _aligned(xp, A, B, broadcast, axis))

    def of_xy(xp: Any, X: Any, Y: Any) -> Any:
        return getattr(xp, function)(X, Y)

    return of_ab if names == "AB" else of_xy


for _name, _function in {
    "Add": "add",
    "And": "logical_and",
    "BitwiseAnd": "bitwise_and",
    "BitwiseOr": "bitwise_or",
    "BitwiseXor": "bitwise_xor",
    "Equal": "equal",
    "Greater": "greater",
    "GreaterOrEqual": "greater_equal",
    "Less": "less",
    "LessOrEqual": "less_equal",
    "Mul": "multiply",
    "Or": "logical_or",
    "Sub": "subtract",
    "Xor": "logical_xor",
}.items():
    TABLE.entry(_name, ignored=_OLD)(_binary(_function))


@TABLE.entry("Div", ignored=_OLD)
def _div(xp: Any, A: Any, B: Any, broadcast: int = 0, axis: Any = None) -> Any:
    B = _aligned(xp, A, B, broadcast, axis)
    if A.dtype.kind in FLOATING:
        return xp.divide(A, B)
    down = xp.floor_divide(A, B)
    if A.dtype.kind != "i":
        return down
    # toward zero: one more where a rest was rounded away from it
    rest = xp.not_equal(xp.multiply(down, B), A)
    apart = xp.not_equal(xp.less(A, 0), xp.less(B, 0))
    return xp.add(down, xp.astype(xp.logical_and(rest, apart), A.dtype))


@TABLE.entry("Pow")
def _pow(xp: Any, X: Any, Y: Any, broadcast: int = 0, axis: Any = None) -> Any:
    Y = _aligned(xp, X, Y, broadcast, axis)
    if X.dtype != Y.dtype and X.dtype.kind in FLOATING:
        Y = xp.astype(Y, X.dtype)
    return xp.pow(X, Y)


@TABLE.entry("Mod")
def _mod(xp: Any, A: Any, B: Any, fmod: int) -> Any:
    return xp.fmod(A, B) if fmod else xp.remainder(A, B)


@TABLE.entry("BitShift")
def _bit_shift(xp: Any, X: Any, Y: Any, direction: str) -> Any:
    bits = X.dtype.itemsize * 8
    if direction == "RIGHT" and X.dtype.kind == "i":  # the sign is what comes in
        return xp.bitwise_right_shift(X, xp.minimum(Y, bits - 1))
    shift = xp.bitwise_left_shift if direction == "LEFT" else xp.bitwise_right_shift
    return xp.where(xp.less(Y, bits), shift(X, xp.minimum(Y, bits - 1)), xp.zeros_like(X))


@TABLE.entry("PRelu", ignored=_OLD)
def _prelu(xp: Any, X: Any, slope: Any) -> Any:
    if 0 < len(slope.shape) < len(X.shape) and slope.shape[0] not in (1, X.shape[-1]):
        # one a channel, as the first versions had it
        slope = xp.reshape(slope, (*slope.shape, *(1,) * (len(X.shape) - 1 - len(slope.shape))))
    return xp.where(xp.less(X, 0), xp.multiply(X, slope), X)


def _all_of(function: str) -> Any:
    def entry(xp: Any, data_0: Any) -> Any:
        return reduce(getattr(xp, function), data_0)

    return entry


for _name, _function in {"Max": "maximum", "Min": "minimum", "Sum": "add"}.items():
    TABLE.entry(_name, ignored=_OLD)(_all_of(_function))


@TABLE.entry("Mean", ignored=_OLD)
def _mean(xp: Any, data_0: Any) -> Any:
    return reduce(xp.add, data_0) / len(data_0)


@TABLE.entry("Where")
def _where(xp: Any, condition: Any, X: Any, Y: Any) -> Any:
    return xp.where(condition, X, Y)


# with attributes ----------------------------------------------------------------------------------


@TABLE.entry("Clip", ignored=_OLD)
def _clip(xp: Any, input: Any, min: Any = None, max: Any = None) -> Any:
    if min is not None:
        input = xp.maximum(input, _like(xp, min, input))
    return input if max is None else xp.minimum(input, _like(xp, max, input))


def _like(xp: Any, bound: Any, x: Any) -> Any:
    """Return a bound of `x`, a number or a value, in its dtype; both may be lengths."""
    if hasattr(bound, "shape"):
        return bound
    return np.asarray(bound).astype(x.dtype)


@TABLE.entry("Elu", ignored=_OLD)
def _elu(xp: Any, X: Any, alpha: float) -> Any:
    return xp.where(xp.less(X, 0), xp.multiply(xp.expm1(xp.minimum(X, 0)), alpha), X)


@TABLE.entry("Selu", ignored=_OLD)
def _selu(xp: Any, X: Any, alpha: float, gamma: float) -> Any:
    negative = xp.multiply(xp.expm1(xp.minimum(X, 0)), alpha)
    return xp.multiply(xp.where(xp.greater(X, 0), X, negative), gamma)


@TABLE.entry("Celu")
def _celu(xp: Any, X: Any, alpha: float) -> Any:
    below = xp.multiply(xp.expm1(xp.minimum(X, 0) / alpha), alpha)
    return xp.add(xp.maximum(X, 0), below)


@TABLE.entry("LeakyRelu", ignored=_OLD)
def _leaky_relu(xp: Any, X: Any, alpha: float) -> Any:
    return xp.where(xp.less(X, 0), xp.multiply(X, alpha), X)


@TABLE.entry("ThresholdedRelu")
def _thresholded_relu(xp: Any, X: Any, alpha: float) -> Any:
    return xp.where(xp.greater(X, alpha), X, xp.zeros_like(X))


@TABLE.entry("HardSigmoid", ignored=_OLD)
def _hard_sigmoid(xp: Any, X: Any, alpha: float, beta: float) -> Any:
    return xp.clip(X * alpha + beta, 0, 1)


@TABLE.entry("Shrink")
def _shrink(xp: Any, input: Any, bias: float, lambd: float) -> Any:
    zero = xp.zeros_like(input)
    above = xp.where(xp.greater(input, lambd), input - bias, zero)
    return xp.where(xp.less(input, -lambd), input + bias, above)


@TABLE.entry("Gelu")
def _gelu(xp: Any, X: Any, approximate: str) -> Any:
    return xp.gelu(X, approximate=approximate)


@TABLE.entry("Swish")
def _swish(xp: Any, X: Any, alpha: float) -> Any:
    return X * xp.sigmoid(X * alpha)


@TABLE.entry("IsInf")
def _is_inf(xp: Any, X: Any, detect_negative: int, detect_positive: int) -> Any:
    found = xp.isinf(X)
    if detect_negative and detect_positive:
        return found
    if not (detect_negative or detect_positive):
        return xp.zeros_like(found)
    return xp.logical_and(found, xp.less(X, 0) if detect_negative else xp.greater(X, 0))


# dtypes -------------------------------------------------------------------------------------------


@TABLE.entry("Cast", ignored=("saturate", "round_mode"))  # of floats of 8 bits, which are refused
def _cast(xp: Any, input: Any, to: Any) -> Any:
    return converted(xp, input, to)


@TABLE.entry("CastLike", ignored=("saturate", "round_mode"), typed=("target_type",))
def _cast_like(xp: Any, input: Any, target_type: Any) -> Any:
    return converted(xp, input, target_type.dtype)


def converted(xp: Any, x: Any, dtype: Any) -> Any:
    """Return `x` in another dtype."""
    if x.dtype == object:  # lengths are whole numbers
        if dtype.kind == "i":
            return x
        raise AttributeError("computed as values")
    return x if x.dtype == dtype else xp.astype(x, dtype)


@TABLE.entry("BitCast")
def _bit_cast(xp: Any, input: Any, to: Any) -> Any:
    if not isinstance(input, np.ndarray):
        raise UnsupportedOpError(
            "BitCast reads the bits of a value",
            cause="values of the library are numbers, whatever their bits are",
            fix="leave it out, or import the model with what it reads as constants=",
        )
    return input.view(to)
