"""Activation functions of neural networks."""

from __future__ import annotations

from math import pi, sqrt
from typing import Any

import numpy as np

from oplibrary.core.op import Kind, Op, example
from oplibrary.core.registry import public, register
from oplibrary.core.rules import UNARY_EXAMPLES
from oplibrary.messages.errors import ArgumentError, DTypeError
from oplibrary.ops.arguments import require_number
from oplibrary.ops.elementwise import where
from oplibrary.ops.error_function import (
    FLOAT32,
    FLOAT64,
    approximation,
    erf,
    negative_log_erfc,
)
from oplibrary.ops.exponential import exp, sigmoid
from oplibrary.ops.kernels import Constant, blockwise, float_infer
from oplibrary.ops.trigonometry import tanh
from oplibrary.values.dtypes import REAL_NUMBERS
from oplibrary.values.types import Array, TensorType

_ZERO = Constant(0)
_ONE = Constant(1)
_HALF = Constant(0.5)
_MINUS_HALF = Constant(-0.5)


def _with_number(name: str, attribute: str) -> Any:
    """Return the infer rule of an op of one real operand and a number."""
    infer = float_infer(name)

    def checked(x: TensorType, **attrs: Any) -> TensorType:
        if attribute in attrs:
            require_number(attrs[attribute], attribute)
        return infer(x)

    return checked


# relu and its relatives ---------------------------------------------------------------------------


def _relu(x: Any, out: Array | None = None) -> Any:
    x = np.asarray(x)
    return np.maximum(x, _ZERO[x.dtype], out=out)


def _relu_infer(x: TensorType) -> TensorType:
    if x.dtype.kind not in REAL_NUMBERS:
        raise DTypeError(
            f"relu is not defined for {x.dtype}",
            cause="relu compares its operand with 0",
            fix="convert with astype first",
        )
    return TensorType(x.shape, x.dtype)


relu = register(
    Op(
        name="relu",
        kind=Kind.ELEMENTWISE,
        arity=1,
        kernel=_relu,
        infer=_relu_infer,
        # of the result, which the next op keeps anyway, and not of x
        vjp=(lambda g, out, _x: where(out > 0, g, 0.0),),
        expr="max({0}, 0)",
        takes_out=True,
        kinks=(0.0,),
        examples=UNARY_EXAMPLES,
        doc="Return max(x, 0); the gradient at 0 is 0.",
    )
)


@blockwise("leaky_relu")
def _leaky_relu(x: Array, out: Array, *, negative_slope: float) -> None:
    if 0 < negative_slope <= 1:
        np.maximum(x, np.multiply(x, negative_slope), out=out)
        return
    # only where it is asked for: the product is NaN where x is infinite and the slope 0
    negative = ~(x > 0)
    np.copyto(out, x)
    np.multiply(x, negative_slope, out=out, where=negative)


leaky_relu = register(
    Op(
        name="leaky_relu",
        kind=Kind.ELEMENTWISE,
        arity=1,
        kernel=_leaky_relu,
        infer=_with_number("leaky_relu", "negative_slope"),
        vjp=(lambda g, _out, x, *, negative_slope: where(x > 0, g, g * negative_slope),),
        attrs={"negative_slope": 0.01},
        expr="{0} if {0} > 0 else {0} * {negative_slope}",
        takes_out=True,
        kinks=(0.0,),
        examples=(
            example((3, 4)),
            example((), negative_slope=0.2),
            example((5,), negative_slope=1.5),
            example((2, 3), negative_slope=0.0),
        ),
        doc="Return x where it is positive and `negative_slope` times x elsewhere.",
    )
)


@blockwise("elu")
def _elu(x: Array, out: Array, *, alpha: float) -> None:
    # of equal zeros NumPy gives the second, so -0.0 stays what it is
    negative = np.minimum(_ZERO[x.dtype], x, out=np.empty_like(x))
    np.expm1(negative, negative)
    if alpha != 1:
        np.multiply(negative, alpha + 0.0, negative)
    np.maximum(_ZERO[x.dtype], x, out=out)
    np.add(out, negative, out)


def _elu_vjp(g: Any, out: Any, x: Any, *, alpha: float) -> Any:
    # the second derivative at 0 is that from above, 0, as in PyTorch
    above = g if alpha == 1 else where(x <= 0, g * alpha, g)
    return where(x < 0, g * (out + alpha), above)


elu = register(
    Op(
        name="elu",
        kind=Kind.ELEMENTWISE,
        arity=1,
        kernel=_elu,
        infer=_with_number("elu", "alpha"),
        vjp=(_elu_vjp,),
        attrs={"alpha": 1.0},
        expr="{0} if {0} > 0 else {alpha} * expm1({0})",
        takes_out=True,
        kinks=(0.0,),
        examples=(example((3, 4)), example((), alpha=0.5), example((5,), alpha=2.0)),
        doc="Return x where it is positive and `alpha` (exp(x) - 1) elsewhere.",
    )
)

# smooth ones --------------------------------------------------------------------------------------

_VANISHED = Constant(-1000.0)  # where every dtype's silu is -0


@blockwise("silu")
@np.errstate(over="ignore")  # exp(-x) = inf gives the right limit, 0
def _silu(x: Array, out: Array) -> None:
    # cut off, so that silu(-inf) is not -inf / inf
    numerator = np.maximum(x, _VANISHED[x.dtype], out=np.empty_like(x))
    denominator = np.negative(numerator, np.empty_like(x))
    np.exp(denominator, denominator)
    np.add(denominator, _ONE[x.dtype], denominator)
    np.divide(numerator, denominator, out)


def _silu_vjp(g: Any, out: Any, x: Any) -> Any:
    s = sigmoid(x)
    # 1 - s and not s - s * s: exact where s is near 1 and out is large
    return g * (s + out * (1 - s))


silu = register(
    Op(
        name="silu",
        kind=Kind.ELEMENTWISE,
        arity=1,
        kernel=_silu,
        infer=float_infer("silu"),
        vjp=(_silu_vjp,),
        expr="max({0}, -1000) / (1 + exp(-{0}))",  # not -inf / inf
        alias=("swish",),
        takes_out=True,
        examples=UNARY_EXAMPLES,
        doc="Return x times sigmoid(x).",
    )
)

_SINGLE = approximation(np.float32, *FLOAT32, scale=sqrt(0.5))
_DOUBLE = approximation(np.float64, *FLOAT64, scale=sqrt(0.5))


@blockwise("gelu")
def _gelu(x: Array, out: Array) -> None:
    # max(x, 0) - |x| erfc(|x| / sqrt(2)) / 2: no cancellation on either side, no inf * 0
    size = np.absolute(x, np.empty_like(x))
    tail = negative_log_erfc(size, _SINGLE, _DOUBLE)
    np.exp(tail, tail)
    np.multiply(tail, size, tail)
    np.multiply(tail, _MINUS_HALF[x.dtype], tail)
    np.maximum(x, _ZERO[x.dtype], out=out)
    np.add(out, tail, out)


_DENSITY = 1 / sqrt(2 * pi)


def _gelu_vjp(g: Any, _out: Any, x: Any) -> Any:
    return g * (erf(x * sqrt(0.5)) * 0.5 + 0.5 + x * exp(x * x * -0.5) * _DENSITY)


gelu_erf = register(
    Op(
        name="gelu",
        kind=Kind.ELEMENTWISE,
        arity=1,
        kernel=_gelu,
        infer=float_infer("gelu"),
        vjp=(_gelu_vjp,),
        expr="0.5 * max({0}, -40) * (1 + erf({0} * 0.7071067811865476))",  # not -inf * 0
        takes_out=True,
        examples=UNARY_EXAMPLES,
        doc="Return x times the normal distribution function of x (Hendrycks and Gimpel, 2016).",
    )
)

# gelu_tanh(x) = x / 2 * (1 + tanh(x * (_LINEAR + _CUBIC * x * x)))
_LINEAR = sqrt(2 / pi)
_CUBIC = 0.044715 * _LINEAR
_LINEAR_TERM = Constant(_LINEAR)
_CUBIC_TERM = Constant(_CUBIC)
_SATURATED = Constant(20.0)  # where tanh is 1 in every dtype
_MINUS_SATURATED = Constant(-20.0)


@blockwise("gelu_tanh")
def _gelu_tanh(x: Array, out: Array) -> None:
    dtype = x.dtype
    # cut off where tanh is constant, so that neither the cube nor -inf * 0 can do harm
    factor = np.maximum(x, _MINUS_SATURATED[dtype], out=np.empty_like(x))
    argument = np.minimum(factor, _SATURATED[dtype], out=np.empty_like(x))
    inner = np.multiply(argument, argument, np.empty_like(x))
    np.multiply(inner, _CUBIC_TERM[dtype], inner)
    np.add(inner, _LINEAR_TERM[dtype], inner)
    np.multiply(inner, argument, inner)
    np.tanh(inner, inner)
    np.add(inner, _ONE[dtype], inner)
    np.multiply(factor, _HALF[dtype], factor)
    np.multiply(factor, inner, out)


def _gelu_tanh_vjp(g: Any, _out: Any, x: Any) -> Any:
    square = x * x
    t = tanh(x * (square * _CUBIC + _LINEAR))
    slope = (1 - t * t) * x * (square * (3 * _CUBIC) + _LINEAR)
    return g * ((slope + t + 1) * 0.5)


gelu_tanh = register(
    Op(
        name="gelu_tanh",
        kind=Kind.ELEMENTWISE,
        arity=1,
        kernel=_gelu_tanh,
        infer=float_infer("gelu_tanh"),
        vjp=(_gelu_tanh_vjp,),
        # cut off where tanh is -1, so that -inf is not multiplied by 0
        expr="0.5 * max({0}, -40) * "
        f"(1 + tanh({{0}} * ({_LINEAR!r} + {_CUBIC!r} * {{0}} * {{0}})))",
        takes_out=True,
        examples=UNARY_EXAMPLES,
        doc="Return gelu with the normal distribution function approximated through tanh.",
    )
)


@public
def gelu(x: Any, approximate: str = "none") -> Any:
    """Return x times the normal distribution function of x.

    Parameters
    ----------
    x : array
        Real numbers.
    approximate : {"none", "tanh"}
        ``"tanh"`` computes the distribution function as (1 + tanh(...)) / 2, as in BERT and GPT-2;
        it differs by up to 5e-4.

    Raises
    ------
    ArgumentError
        If `approximate` is neither.

    Examples
    --------
    >>> gelu(np.array([-1.0, 0.0, 1.0])).round(4)
    array([-0.1587,  0.    ,  0.8413])
    """
    if approximate == "none":
        return gelu_erf(x)
    if approximate == "tanh":
        return gelu_tanh(x)
    raise ArgumentError(
        f"gelu: approximate is {approximate!r}",
        cause='gelu knows "none" and "tanh"',
        fix='pass approximate="tanh", or leave it out',
    )
