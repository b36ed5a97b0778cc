"""Parts: a complex number is one integer where it is moved, and two numbers where it is computed.

So all that reads, writes, chooses and arranges elements needs no knowledge of complex numbers.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from oplibrary.machine.code import Code
from oplibrary.machine.elements import DType, convert, element_of, number
from oplibrary.machine.register import Register, type_text


class Complex(NamedTuple):
    """Complex numbers in registers."""

    real: Register
    imaginary: Register

    @property
    def lanes(self) -> int:
        """How many there are."""
        return max(self.real.lanes, self.imaginary.lanes)


def part_of(dtype: DType) -> DType:
    """Return the dtype of the parts."""
    return np.dtype(f"f{dtype.itemsize // 2}")


def unpacked(code: Code, x: Register, dtype: DType) -> Complex:
    """Return the parts of elements as they are in memory."""
    part, count = element_of(part_of(dtype)), 2 * x.lanes
    wide = code.pure(f"bitcast {x.type} {x.ref} to {type_text(part, count)}", part, count)
    return Complex(code.shuffle(wide, range(0, count, 2)), code.shuffle(wide, range(1, count, 2)))


def packed(code: Code, x: Complex, dtype: DType) -> Register:
    """Return elements as they are in memory."""
    real, imaginary = code.pair(*x)
    lanes, part = real.lanes, real.element
    if lanes == 1:
        both = code.insert(Register(code, "poison", part, 2), real, 0)
        both = code.insert(both, imaginary, 1)
    else:
        order = ", ".join(f"i32 {i}, i32 {lanes + i}" for i in range(lanes))
        both = code.pure(
            f"shufflevector {real.type} {real.ref}, {imaginary.type} {imaginary.ref}, "
            f"<{2 * lanes} x i32> <{order}>",
            part,
            2 * lanes,
        )
    element = element_of(dtype)
    return code.pure(
        f"bitcast {both.type} {both.ref} to {type_text(element, lanes)}", element, lanes
    )


def converted(code: Code, x: Complex, source: DType, target: DType) -> Complex:
    """Return complex numbers of another dtype."""
    one, other = part_of(source), part_of(target)
    return Complex(*[convert(code, part, one, other) for part in x])


def from_real(code: Code, x: Register, source: DType, target: DType) -> Complex:
    """Return real numbers as complex ones."""
    part = part_of(target)
    return Complex(convert(code, x, source, part), number(code, 0, part, x.lanes))


def from_number(code: Code, value: Any, target: DType, lanes: int) -> Complex:
    """Return one number as a constant."""
    whole = np.asarray(value).astype(target)
    part = part_of(target)
    return Complex(*[number(code, each, part, lanes) for each in (whole.real, whole.imag)])
