"""Powers of two: their exponentials and logarithms, and the parts of a floating-point number."""

from __future__ import annotations

from collections.abc import Callable
from math import log as _log
from typing import Any

import numpy as np

from oplibrary.core.batching import elementwise
from oplibrary.core.op import Kind, Op, example
from oplibrary.core.registry import public, register
from oplibrary.core.rules import UNARY_EXAMPLES, binary, elementwise_infer, unary
from oplibrary.messages.errors import DTypeError
from oplibrary.ops.elementwise import cast, pow
from oplibrary.ops.exponential import sigmoid
from oplibrary.ops.kernels import in_float32
from oplibrary.tangents.families import symmetric
from oplibrary.values.dtypes import is_bfloat16
from oplibrary.values.types import Array, TensorType, type_of

exp2 = unary(
    "exp2",
    np.exp2,
    expr="2 ** {0}",
    vjp=lambda g, out, _x: g * (out * _log(2)),
    doc="Return 2 to the x.",
)
logaddexp2 = binary(
    "logaddexp2",
    np.logaddexp2,
    expr="{0} + 1 if {0} == {1} "
    "else max({0}, {1}) + log1p(2 ** -abs({0} - {1})) * 1.4426950408889634",
    vjp=(
        lambda g, _out, x, y: g * sigmoid((x - y) * _log(2)),
        lambda g, _out, x, y: g * sigmoid((y - x) * _log(2)),
    ),
    commutative=True,
    doc="Return log2(2**x + 2**y) without overflow.",
)

# x = mantissa * 2**exponent -----------------------------------------------------------------------

_EXPONENTS = np.array([1, -2, 0, 3])
_SPECIAL = np.array([0.0, -0.0, 1.0, 6.0, -0.3, np.inf, -np.inf, 1e-310])


def _ldexp(x: Any, y: Any, out: Array | None = None) -> Any:
    if is_bfloat16(np.asarray(x).dtype):  # which NumPy would make wider beside int64
        return in_float32(np.ldexp, (x, y), out, decisive=1)
    return np.ldexp(x, y, out)


ldexp: Op = register(
    Op(
        name="ldexp",
        kind=Kind.OPAQUE,  # its second operand is a whole number, whatever the first one is
        arity=2,
        kernel=_ldexp,
        infer=elementwise_infer("ldexp", np.ldexp),
        vjp=(lambda g, _out, _x, y: ldexp(g, y), None),
        jvp=symmetric,
        expr="ldexp({0}, {1})",
        takes_out=True,
        examples=(example((3, 4), _EXPONENTS), example((), _EXPONENTS.astype(np.int32))),
        batch=elementwise,
        doc="Return x * 2**y, for whole numbers y.",
    )
)


def _part_infer(position: int) -> Callable[[TensorType], TensorType]:
    def infer(x: TensorType) -> TensorType:
        try:
            return TensorType(x.shape, np.frexp.resolve_dtypes((x.dtype, None, None))[1 + position])
        except TypeError:
            raise DTypeError(
                f"frexp is not defined for {x.dtype}",
                cause="it takes real floating-point numbers apart",
                fix="convert with astype first, or take the real part of complex numbers",
            ) from None

    return infer


def _mantissa(x: Any, out: Array | None = None) -> Any:
    return np.frexp(x, out, None)[0]


def _exponent(x: Any, out: Array | None = None) -> Any:
    return np.frexp(x, None, out)[1]


mantissa = register(
    Op(
        name="mantissa",
        kind=Kind.ELEMENTWISE,
        arity=1,
        kernel=_mantissa,
        infer=_part_infer(0),
        vjp=(lambda g, _out, x: ldexp(g, -exponent(x)),),
        expr="mantissa({0})",
        takes_out=True,
        examples=(*UNARY_EXAMPLES, example(np.array([6.0, -0.3]))),
        kinks=(-2.0, -1.0, -0.5, 0.0, 0.5, 1.0, 2.0),
        public=False,
        doc="Return the part of x that is from 0.5 up to 1 in magnitude: the first result of "
        "frexp.",
    )
)
exponent: Op = register(
    Op(
        name="exponent",
        kind=Kind.ELEMENTWISE,
        arity=1,
        kernel=_exponent,
        infer=_part_infer(1),
        expr="exponent({0})",
        takes_out=True,
        examples=(*UNARY_EXAMPLES, example(_SPECIAL[:5])),
        public=False,
        doc="Return the power of two that the mantissa of x is multiplied with, int32: the second "
        "result of frexp.",
    )
)
spacing = unary(
    "spacing",
    np.spacing,
    expr="spacing({0})",
    examples=(*UNARY_EXAMPLES, example(_SPECIAL[:5])),
    doc="Return the distance from x to the next number of its dtype, away from 0.",
)


@public
def frexp(x: Any) -> tuple[Any, Any]:
    """Take floating-point numbers apart, into a mantissa and a power of two.

    Parameters
    ----------
    x : array
        Whole numbers become floating-point ones.

    Returns
    -------
    mantissa : array
        From 0.5 up to 1 in magnitude, or 0.
    exponent : array of int32
        ``ldexp(mantissa, exponent)`` is `x`.

    Examples
    --------
    >>> [part.tolist() for part in frexp(np.array([6.0, -0.25]))]
    [[0.75, -0.5], [3, -1]]
    """
    return mantissa(x), exponent(x)


@public
def float_power(x: Any, y: Any) -> Any:
    """Return x to the power of y in double precision, whatever the dtypes of x and y.

    Examples
    --------
    >>> float_power(np.array([2, 4]), -1).tolist()
    [0.5, 0.25]
    """
    complex_ = "c" in (type_of(x).dtype.kind, type_of(y).dtype.kind)
    dtype = np.complex128 if complex_ else np.float64
    return pow(cast(x, dtype=dtype), cast(y, dtype=dtype))
