"""Where numbers stand among ordered ones, by halving."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from oplibrary.machine.code import Code
from oplibrary.machine.elements import DType, Unsupported, element_of, is_unsigned
from oplibrary.machine.memory_access import load_lanes, store_lanes
from oplibrary.machine.register import Register
from oplibrary.machine.routines.routine import Routine, each_of, weighed
from oplibrary.values.dtypes import REAL_FLOATING, promoted
from oplibrary.values.types import TensorType

INDEX = np.dtype(np.int64)
NANOSECONDS = 4.0
"""About what a round of a search takes."""


def require_order(dtype: DType) -> None:
    """Refuse elements that nothing orders here.

    Raises
    ------
    Unsupported
    """
    element_of(dtype)
    if dtype.kind == "c":
        raise Unsupported("the order of complex numbers")


def goes_before(code: Code, x: Register, y: Register, dtype: DType) -> Register:
    """Write whether `x` stands before `y` in ascending order, in which NaN comes last."""
    assert dtype.kind != "c", "what orders calls require_order"
    if dtype.kind not in REAL_FLOATING:
        return code.compare("lt", x, y, signed=not is_unsigned(dtype))
    if x.element == "half":
        x, y = code.cast("fpext", x, "float"), code.cast("fpext", y, "float")
    return x.less(y) | (y.is_nan() & ~x.is_nan())


def _rounds(code: Code, length: int) -> Register | int:
    """Return how often a length can be halved until nothing is left."""
    if isinstance(length, int):
        return length.bit_length()
    symbol = "llvm.ctlz.i64"
    code.module.declare(symbol, "i64", ["i64", "i1"])
    zeros = code.pure(f"call i64 @{symbol}(i64 {code.whole(length)}, i1 true)", "i64", 1)
    return code.constant(64, "i64") - zeros


def search(types: Sequence[TensorType], result: TensorType, attrs: Mapping[str, Any]) -> Routine:
    """Return the routine that searches each element of the second operand in the first."""
    dtype = promoted(*[each.dtype for each in types])
    length, count, right = types[0].size, types[1].size, attrs["side"] == "right"
    require_order(dtype)

    def write(code: Code, target: Register, operands: Sequence[Register]) -> None:
        ordered, values = operands

        def find(at: Register | int) -> None:
            value = load_lanes(code, values, dtype, at, 1, 1)
            low, high = code.constant(0, "i64"), code.constant(length, "i64")
            if length:
                loop = code.begin_loop(0, _rounds(code, length), 1, [low, high])
                low, high = loop.carried
                middle = (low + high).shift_right_unsigned(1)
                inside = low.less(high)
                there = code.select(inside, middle, 0)
                other = load_lanes(code, ordered, dtype, there, 1, 1)
                if right:
                    above = ~goes_before(code, value, other, dtype)
                else:
                    above = goes_before(code, other, value, dtype)
                after = code.select(inside & above, middle + 1, low)
                until = code.select(inside & ~above, middle, high)
                low, _ = code.end_loop(loop, [after, until])
            store_lanes(code, target, INDEX, at, 1, low)

        each_of(code, count, find)

    work = NANOSECONDS * weighed(count) * (1 + weighed(length).bit_length())
    return Routine(("search", dtype, length, count, right), (dtype, dtype), write, 1, work)
