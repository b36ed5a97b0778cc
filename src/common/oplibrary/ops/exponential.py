"""Exponentials, logarithms, roots, and the logistic functions made of them."""

from __future__ import annotations

from math import log as _log
from typing import Any

import numpy as np

from oplibrary.core.op import Kind, Op
from oplibrary.core.registry import register
from oplibrary.core.rules import UNARY_EXAMPLES, binary, unary
from oplibrary.ops.kernels import Constant, blockwise, float_infer
from oplibrary.values.dtypes import REAL_FLOATING
from oplibrary.values.types import Array

_ZERO = Constant(0)
_ONE = Constant(1)
_POSITIVE = (0.1, 4.0)

exp = unary(
    "exp", np.exp, expr="exp({0})", vjp=lambda g, out, _x: g * out, doc="Return e to the x."
)
expm1 = unary(
    "expm1",
    np.expm1,
    expr="expm1({0})",
    vjp=lambda g, out, _x: g + g * out,
    doc="Return exp(x) - 1 without losing digits near 0.",
)
log = unary(
    "log",
    np.log,
    expr="log({0})",
    vjp=lambda g, _out, x: g / x,
    domain=_POSITIVE,
    doc="Return the natural logarithm.",
)
log2 = unary(
    "log2",
    np.log2,
    expr="log2({0})",
    vjp=lambda g, _out, x: g / (x * _log(2)),
    domain=_POSITIVE,
    doc="Return the logarithm to base 2.",
)
log10 = unary(
    "log10",
    np.log10,
    expr="log10({0})",
    vjp=lambda g, _out, x: g / (x * _log(10)),
    domain=_POSITIVE,
    doc="Return the logarithm to base 10.",
)
log1p = unary(
    "log1p",
    np.log1p,
    expr="log1p({0})",
    vjp=lambda g, _out, x: g / (x + 1),
    domain=(-0.9, 3.0),
    doc="Return log(1 + x) without losing digits near 0.",
)
sqrt = unary(
    "sqrt",
    np.sqrt,
    expr="sqrt({0})",
    vjp=lambda g, out, _x: g / (out + out),
    domain=_POSITIVE,
    doc="Return the square root.",
)
cbrt = unary(
    "cbrt",
    np.cbrt,
    # a power of 1/3 would be as far off as 1/3 is, times the logarithm
    expr="cbrt({0})",
    vjp=lambda g, out, _x: g / (out * out * 3),
    kinks=(0.0,),
    doc="Return the cube root, which is negative where x is.",
)


def _rsqrt(x: Any, out: Array | None = None) -> Any:
    root = np.sqrt(x, out)
    return np.reciprocal(root, root if type(root) is np.ndarray else None)


rsqrt = unary(
    "rsqrt",
    _rsqrt,
    dtypes=np.sqrt,
    expr="1 / sqrt({0})",
    # of the result alone, so that x need not be kept
    vjp=lambda g, out, _x: g * out * out * out * -0.5,
    domain=_POSITIVE,
    doc="Return 1 / sqrt(x).",
)


@np.errstate(over="ignore")  # exp(-x) = inf gives the right limit, 0
def _fill_sigmoid(x: Array, out: Array) -> None:
    np.negative(x, out)
    np.exp(out, out)
    np.add(out, _ONE[out.dtype], out)
    np.reciprocal(out, out)


def _sigmoid_vjp(g: Any, out: Any, _x: Any) -> Any:
    slope = g * out
    return slope - slope * out


sigmoid = register(
    Op(
        name="sigmoid",
        kind=Kind.ELEMENTWISE,
        arity=1,
        kernel=blockwise("sigmoid")(_fill_sigmoid),
        infer=float_infer("sigmoid"),
        vjp=(_sigmoid_vjp,),
        expr="1 / (1 + exp(-{0}))",
        takes_out=True,
        examples=UNARY_EXAMPLES,
        doc="Return the logistic function 1 / (1 + exp(-x)).",
    )
)


@blockwise("softplus")
def _softplus(x: Array, out: Array) -> None:
    # max(x, 0) + log1p(exp(-|x|)): the exponential can only underflow
    tail = np.absolute(x, np.empty_like(x))
    np.negative(tail, tail)
    np.exp(tail, tail)
    np.log1p(tail, tail)
    np.maximum(x, _ZERO[x.dtype], out=out)
    np.add(out, tail, out)


softplus = register(
    Op(
        name="softplus",
        kind=Kind.ELEMENTWISE,
        arity=1,
        kernel=_softplus,
        infer=float_infer("softplus"),
        vjp=(lambda g, _out, x: g * sigmoid(x),),
        expr="max({0}, 0) + log1p(exp(-abs({0})))",
        takes_out=True,
        examples=UNARY_EXAMPLES,
        doc="Return log(1 + exp(x)), a smooth relu.",
    )
)

_LARGE = 512  # elements from which on vectorised calls outweigh their number


# the difference of infinities or of huge numbers deserves no warning: the result is right
@np.errstate(invalid="ignore", over="ignore")
def _logaddexp(x: Any, y: Any, out: Array | None = None) -> Any:
    """Return log(exp(x) + exp(y)).

    NumPy's own loop calls the C library twice an element: 16 ns, against 2 ns for these calls.
    """
    if getattr(x, "size", 1) < _LARGE and getattr(y, "size", 1) < _LARGE:
        return np.logaddexp(x, y, out)
    dtype = np.result_type(x, y)  # truth values have no difference
    if dtype.kind not in REAL_FLOATING or dtype.itemsize == 2:
        return np.logaddexp(x, y, out)
    gap = np.subtract(x, y)
    np.absolute(gap, gap)
    np.negative(gap, gap)
    # fmin drops the NaN that equal infinities leave; that of an operand comes back with maximum
    np.fmin(gap, _ZERO[gap.dtype], gap)
    np.exp(gap, gap)
    np.log1p(gap, gap)
    return np.add(np.maximum(x, y, out=out), gap, gap if out is None else out)


logaddexp = binary(
    "logaddexp",
    _logaddexp,
    dtypes=np.logaddexp,
    expr="{0} + 0.6931471805599453 if {0} == {1} else max({0}, {1}) + log1p(exp(-abs({0} - {1})))",
    vjp=(
        lambda g, _out, x, y: g * sigmoid(x - y),
        lambda g, _out, x, y: g * sigmoid(y - x),
    ),
    commutative=True,
    doc="Return log(exp(x) + exp(y)) without overflow.",
)
