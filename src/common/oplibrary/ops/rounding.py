"""Rounding to whole numbers."""

from __future__ import annotations

from typing import Any

import numpy as np

from oplibrary.core.rules import unary
from oplibrary.ops.elementwise import flat
from oplibrary.values.dtypes import FLOATING
from oplibrary.values.types import Array

_WHOLE = (-2.0, -1.0, 0.0, 1.0, 2.0)
_HALVES = (-1.5, -0.5, 0.5, 1.5)

floor = unary(
    "floor",
    np.floor,
    expr="floor({0})",
    vjp=flat,
    kinks=_WHOLE,
    doc="Return the largest whole number not above x.",
)
ceil = unary(
    "ceil",
    np.ceil,
    expr="ceil({0})",
    vjp=flat,
    kinks=_WHOLE,
    doc="Return the smallest whole number not below x.",
)
trunc = unary(
    "trunc",
    np.trunc,
    expr="trunc({0})",
    vjp=flat,
    kinks=_WHOLE,
    doc="Return x without its fraction.",
)


def _round(x: Any, out: Array | None = None) -> Any:
    x = np.asarray(x)
    if x.dtype.kind in FLOATING:
        return np.rint(x, out)
    return np.positive(x, out)  # rint would turn integers into floating-point numbers


round = unary(
    "round",
    _round,
    dtypes=np.positive,
    expr="round({0})",
    vjp=flat,
    kinks=_HALVES,
    doc="Return the nearest whole number, the even one of two.",
)
