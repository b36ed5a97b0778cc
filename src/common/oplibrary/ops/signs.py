"""Signs, and the next number of a dtype: what looks at the bits of floating-point numbers."""

from __future__ import annotations

from typing import Any

import numpy as np

from oplibrary.core.op import example
from oplibrary.core.registry import public
from oplibrary.core.rules import UNARY_EXAMPLES, binary, resolve_dtype, unary
from oplibrary.ops.arguments import operand_type
from oplibrary.ops.comparison import isinf
from oplibrary.ops.elementwise import cast, flat, sign, where
from oplibrary.ops.rounding import trunc

_SPECIAL = np.array([0.0, -0.0, 1.5, -1.5, np.inf, -np.inf, np.nan, -np.nan])
_PAIRS = (
    example((3, 4), (4,)),
    example((2, 1), (1, 3)),
    example((), ()),
    example((0, 3), (1,)),
    example(_SPECIAL, _SPECIAL[:, None]),
)

positive = unary(
    "positive", np.positive, expr="{0}", vjp=lambda g, _out, _x: g, doc="Return a copy of x."
)
fabs = unary(
    "fabs",
    np.fabs,
    expr="abs({0})",
    vjp=lambda g, _out, x: g * sign(x),
    kinks=(0.0,),
    doc="Return |x| as floating-point numbers; the gradient at 0 is 0.",
)
heaviside = binary(
    "heaviside",
    np.heaviside,
    expr="{0} if {0} != {0} else 0 if {0} < 0 else 1 if {0} > 0 else {1}",
    vjp=(
        lambda g, out, x, _y: flat(g, out, x),
        lambda g, _out, x, _y: where(x == 0, g, 0.0),
    ),
    examples=_PAIRS[:-1],
    doc="Return 0 where x is negative, 1 where it is positive, and y where it is 0.",
)
signbit = unary(
    "signbit",
    np.signbit,
    expr="signbit({0})",
    examples=(*UNARY_EXAMPLES, example(_SPECIAL)),
    doc="Return whether x has a minus sign, as -0.0 has, too.",
)
copysign = binary(
    "copysign",
    np.copysign,
    expr="copysign({0}, {1})",
    vjp=(
        lambda g, out, x, _y: where(x == 0, 0.0, where(x == out, g, -g)),
        lambda g, out, x, _y: flat(g, out, x),
    ),
    kinks=(0.0,),
    examples=_PAIRS[:-1],
    doc="Return x with the sign of y; the gradient at 0 is 0, and that of y.",
)
nextafter = binary(
    "nextafter",
    np.nextafter,
    expr="nextafter({0}, {1})",
    examples=_PAIRS,
    doc="Return the number of the dtype that is next to x, towards y.",
)


@public
def modf(x: Any) -> tuple[Any, Any]:
    """Take numbers apart, into their fractions and their whole parts.

    Parameters
    ----------
    x : array
        Whole numbers become floating-point ones.

    Returns
    -------
    fraction, whole : array
        Both with the sign of `x`.

    Examples
    --------
    >>> [part.tolist() for part in modf(np.array([2.5, -0.25]))]
    [[0.5, -0.25], [2.0, -0.0]]
    """
    dtype = resolve_dtype("modf", np.spacing, (operand_type("modf", x),))
    x = cast(x, dtype=dtype)
    whole = trunc(x)
    return copysign(where(isinf(x), 0.0, x - whole), x), whole
