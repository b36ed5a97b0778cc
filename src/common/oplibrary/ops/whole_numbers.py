"""Divisors, multiples and bits of whole numbers, and remainders with the sign of the dividend."""

from __future__ import annotations

from typing import Any

import numpy as np

from oplibrary.core.op import example
from oplibrary.core.registry import public
from oplibrary.core.rules import binary, unary
from oplibrary.ops.elementwise import divide, floor_divide, remainder
from oplibrary.ops.rounding import trunc

_ROW = np.array([12, -18, 0, 7, 30])
_PAIRS = (
    example(_ROW, np.array([8, 12, 5, 0, -20])),
    example(_ROW, np.array([[4], [9]])),
    example(_ROW.astype(np.int8), np.array(6, np.int8)),
)

fmod = binary(
    "fmod",
    np.fmod,
    expr="fmod({0}, {1})",
    vjp=(
        lambda g, _out, _x, _y: g,
        lambda g, _out, x, y: -(g * trunc(divide(x, y))),
    ),
    domain=(0.5, 2.0),
    examples=(example((3, 4), (4,)), example((), (2, 3)), example(_ROW, np.array([[5], [-4]]))),
    doc="Return x - y * trunc(x / y), which has the sign of x.",
)


gcd = binary(
    "gcd",
    np.gcd,
    expr="gcd({0}, {1})",
    examples=_PAIRS,
    doc="Return the greatest common divisor, which is not negative.",
)
lcm = binary(
    "lcm",
    np.lcm,
    expr="lcm({0}, {1})",
    examples=_PAIRS,
    doc="Return the least common multiple, which is not negative.",
)
bitwise_count = unary(
    "bitwise_count",
    np.bitwise_count,
    expr="bitwise_count({0})",
    examples=(example(_ROW), example(_ROW.astype(np.int8))),
    doc="Return how many bits of the magnitude of x are 1, as uint8.",
)


@public
def divmod(x: Any, y: Any) -> tuple[Any, Any]:
    """Return ``floor_divide(x, y)`` and ``remainder(x, y)``.

    Examples
    --------
    >>> [part.tolist() for part in divmod(np.array([7, -7]), 3)]
    [[2, -3], [1, 2]]
    """
    return floor_divide(x, y), remainder(x, y)
