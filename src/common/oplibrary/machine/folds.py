"""Folds: how two elements of a reduction become one, in registers and across their lanes."""

from __future__ import annotations

from typing import Any

from oplibrary.machine.code import Code
from oplibrary.machine.complex_numbers.arithmetic import add
from oplibrary.machine.complex_numbers.parts import packed, unpacked
from oplibrary.machine.elements import (
    BOOL,
    DType,
    element_of,
    highest,
    lowest,
    maximum,
    minimum,
)
from oplibrary.machine.register import Register
from oplibrary.values.dtypes import REAL_FLOATING


def neutral(combine: str, dtype: DType) -> Any:
    """Return the number that a reduction begins with: NumPy's, so that a sum of -0.0 is 0.0."""
    if combine == "add":
        return 0.0 if dtype.kind in REAL_FLOATING else 0
    if combine == "max":
        return lowest(dtype)
    if combine == "min":
        return highest(dtype)
    return {"multiply": 1, "and": True, "or": False}[combine]


def neutral_register(code: Code, combine: str, dtype: DType, lanes: int) -> Register:
    """Return the number that a reduction begins with in every lane."""
    return code.constant(neutral(combine, dtype), element_of(dtype), lanes)


def fold_two(code: Code, combine: str, dtype: DType, x: Register, y: Register) -> Register:
    """Return the combination of two registers, lane by lane."""
    x, y = code.pair(x, y)
    if dtype.kind == "c":  # of which nothing but sums are made here
        assert combine == "add"
        total = add(code, unpacked(code, x, dtype), unpacked(code, y, dtype))
        return packed(code, total, dtype)
    if combine == "max":
        return maximum(code, x, y, dtype)
    if combine == "min":
        return minimum(code, x, y, dtype)
    if combine in ("and", "or") or dtype == BOOL:
        return x & y if combine in ("and", "multiply") else x | y
    return x + y if combine == "add" else x * y


def fold_lanes(code: Code, combine: str, dtype: DType, x: Register) -> Register:
    """Return the combination of all lanes: the upper half with the lower one until one is left."""
    while x.lanes > 1:
        half = x.lanes // 2
        low, high = code.shuffle(x, range(half)), code.shuffle(x, range(half, 2 * half))
        x = fold_two(code, combine, dtype, low, high)
    return x
