"""Elements: how NumPy's dtypes are kept in memory and computed with.

A bfloat16 is the upper half of a float, and a float in registers: one that has no lower half.
"""

from __future__ import annotations

import math
import sys
from typing import Any

import numpy as np

from oplibrary.machine.code import Code
from oplibrary.machine.register import Register
from oplibrary.values.dtypes import REAL_FLOATING, is_bfloat16, is_half

DType = np.dtype[Any]

_STORED = {
    "b1": "i8",
    "i1": "i8",
    "i2": "i16",
    "i4": "i32",
    "i8": "i64",
    "u1": "i8",
    "u2": "i16",
    "u4": "i32",
    "u8": "i64",
    "f2": "half",
    "f4": "float",
    "f8": "double",
    "c8": "i64",
    "c16": "i128",
}
BOOL = np.dtype(np.bool_)
FLOAT16, FLOAT32, FLOAT64 = (np.dtype(f"f{n}") for n in (2, 4, 8))


class Unsupported(Exception):
    """Something that is left to NumPy; the message says why, in a report's words."""


def stored_element(dtype: DType) -> str:
    """Return the LLVM element that `dtype` is kept as in memory.

    Raises
    ------
    Unsupported
        If it is not a number in the machine's byte order.
    """
    element = _STORED.get(f"{dtype.kind}{dtype.itemsize}") if dtype.isnative else None
    if element is None and is_bfloat16(dtype):
        return "i16"
    if element is None:
        raise Unsupported(f"{dtype} elements")
    return element


def element_of(dtype: DType) -> str:
    """Return the LLVM element that `dtype` is computed with."""
    if dtype == BOOL:
        return "i1"
    return "float" if is_bfloat16(dtype) else stored_element(dtype)


def from_memory(code: Code, x: Register, dtype: DType) -> Register:
    """Return elements as they are computed with, of what is in memory."""
    if dtype == BOOL:
        return x.differs(0)
    if not is_bfloat16(dtype):
        return x
    return (code.cast("zext", x, "i32") << 16).as_float()


def to_memory(code: Code, x: Register, dtype: DType) -> Register:
    """Return elements as they are in memory."""
    if dtype == BOOL:
        return code.cast("zext", x, "i8")
    if not is_bfloat16(dtype):
        return x
    return code.cast("trunc", x.as_integer().shift_right_unsigned(16), "i16")


def wide_dtype(dtype: DType) -> DType:
    """Return the dtype that sums and products of many elements are made in."""
    return FLOAT32 if is_half(dtype) else dtype


def is_unsigned(dtype: DType) -> bool:
    """Tell whether integers of `dtype` have no sign."""
    return dtype.kind in "ub"


def number(code: Code, value: Any, dtype: DType, lanes: int = 1) -> Register:
    """Return a number as a constant of `dtype`, which holds it where it is whole."""
    if dtype.kind in "iu" and type(value) is int:
        most = int(np.iinfo(dtype).max)
        # a negative number may stand for its bits, and no other wraps around
        assert -most - 1 <= value <= most, (value, dtype)
    with np.errstate(all="ignore"):
        found = np.asarray(value).astype(dtype)
    whole = found.item()
    if dtype.kind == "c":  # its bits
        whole = int.from_bytes(found.tobytes(), sys.byteorder, signed=True)
    return code.constant(whole, element_of(dtype), lanes)


def convert(code: Code, x: Register, source: DType, target: DType) -> Register:
    """Return `x` converted from one dtype to another, as NumPy's ``astype`` does."""
    if source == target:
        return x
    if is_bfloat16(source):
        return convert(code, x, FLOAT32, target)
    if is_bfloat16(target):
        return _without_lower_half(code, convert(code, x, source, FLOAT32))
    if target == BOOL:
        return x.differs(0.0 if x.is_float else 0)
    if source == BOOL:
        if target.kind == "f":
            return code.cast("uitofp", x, element_of(target))
        return code.cast("zext", x, element_of(target))
    if source.kind == "f":
        return _from_float(code, x, target)
    if target.kind == "f":
        word = "uitofp" if is_unsigned(source) else "sitofp"
        return code.cast(word, x, element_of(target))
    return _resize(code, x, source, target)


def _resize(code: Code, x: Register, source: DType, target: DType) -> Register:
    element = element_of(target)
    if source.itemsize == target.itemsize:
        return x
    if source.itemsize > target.itemsize:
        return code.cast("trunc", x, element)
    return code.cast("zext" if is_unsigned(source) else "sext", x, element)


def _from_float(code: Code, x: Register, target: DType) -> Register:
    if target.kind == "f":
        element = element_of(target)
        order = ("half", "float", "double")
        if (x.element, element) == ("double", "half"):
            x = _rounded_to_odd(code, x)
        wider = order.index(element) > order.index(x.element)
        return code.cast("fpext" if wider else "fptrunc", x, element)
    if x.element == "half":
        x = code.cast("fpext", x, "float")
    # what does not fit has no meaning, here as in NumPy, but it must stay one number: `freeze`
    if target.kind == "u" and target.itemsize == 8:
        found = code.cast("fptoui", x, "i64")
    elif target.itemsize == 8 or (target.kind == "u" and target.itemsize == 4):
        found = code.cast("fptosi", x, "i64")
    else:
        found = code.cast("fptosi", x, "i32")
    found = code.pure(f"freeze {found.type} {found.ref}", found.element, found.lanes)
    element = element_of(target)
    return found if found.element == element else code.cast("trunc", found, element)


def _without_lower_half(code: Code, x: Register) -> Register:
    """Return floats rounded to the nearest bfloat16, to the even one of two."""
    bits = x.as_integer()
    even = bits.shift_right_unsigned(16) & 1
    rounded = (bits + (even + 0x7FFF)) & -(1 << 16)
    quiet = (bits & -(1 << 31)) | 0x7FC00000
    return code.select(x.is_nan(), quiet, rounded).as_float()


def _rounded_to_odd(code: Code, x: Register) -> Register:
    """Return doubles as singles from which rounding to half gives what rounding once would.

    Few processors round a double to half, and there is no function to call on the others. What a
    single has no bits for is gathered in its last one, so that no tie comes up that was none.
    """
    lost = (1 << 29) - 1
    bits = code.cast("bitcast", x, "i64")
    bits = (bits | ((bits & lost) + lost)) & ~lost
    return code.cast("fptrunc", code.cast("bitcast", bits, "double"), "float")


def maximum(code: Code, x: Register, y: Register, dtype: DType) -> Register:
    """Return the larger operand, or NaN if one is NaN."""
    if dtype.kind in REAL_FLOATING:
        larger = code.select(x.greater(y), x, y)
        return code.select(x.is_nan(), x, larger)
    if dtype == BOOL:
        return x | y
    return code.select(code.compare("gt", x, y, not is_unsigned(dtype)), x, y)


def minimum(code: Code, x: Register, y: Register, dtype: DType) -> Register:
    """Return the smaller operand, or NaN if one is NaN."""
    if dtype.kind in REAL_FLOATING:
        smaller = code.select(x.less(y), x, y)
        return code.select(x.is_nan(), x, smaller)
    if dtype == BOOL:
        return x & y
    return code.select(code.compare("lt", x, y, not is_unsigned(dtype)), x, y)


def lowest(dtype: DType) -> Any:
    """Return the least value of `dtype`."""
    if dtype.kind in REAL_FLOATING:
        return -math.inf
    return False if dtype == BOOL else int(np.iinfo(dtype).min)


def highest(dtype: DType) -> Any:
    """Return the greatest value of `dtype`."""
    if dtype.kind in REAL_FLOATING:
        return math.inf
    return True if dtype == BOOL else int(np.iinfo(dtype).max)
