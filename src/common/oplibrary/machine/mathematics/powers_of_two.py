"""Powers of two that are parts of numbers, and numbers that are neighbours: what their bits say."""

from __future__ import annotations

import math

from oplibrary.machine.code import Code
from oplibrary.machine.mathematics.exponential import FORMATS
from oplibrary.machine.mathematics.registry import function
from oplibrary.machine.register import BITS, INTEGER_OF, Register

_SCALE = 64
"""Numbers below the normal ones are multiplied by two to the power of that."""


def _raw_exponent(x: Register) -> Register:
    format_ = FORMATS[x.element]
    return x.as_integer().shift_right_unsigned(format_.mantissa) & (2 * format_.bias + 1)


def _normal(code: Code, x: Register) -> tuple[Register, Register]:
    """Return whether numbers are below the normal ones, and the numbers, made normal."""
    small = code.absolute(x).less(2.0 ** (1 - FORMATS[x.element].bias))
    return small, code.select(small, x * 2.0**_SCALE, x)


def exponent_bits(code: Code, x: Register) -> Register:
    """Return the biased exponent of positive numbers, as if all of them were normal."""
    small, normal = _normal(code, x)
    raw = _raw_exponent(normal)
    return code.select(small, raw - _SCALE, raw)


def power_of_two(code: Code, exponent: Register, element: str) -> Register:
    """Return two to the power of integers, which must be those of normal numbers."""
    format_ = FORMATS[element]
    return ((exponent + format_.bias) << format_.mantissa).as_float()


def _is_special(code: Code, x: Register) -> Register:
    return ~(code.absolute(x).less(math.inf) & x.differs(0.0))


def _mantissa(code: Code, x: Register) -> Register:
    """Return what is from 0.5 up to 1 in magnitude, of numbers that are not special."""
    format_ = FORMATS[x.element]
    _, normal = _normal(code, x)
    kept = normal.as_integer() & ~((2 * format_.bias + 1) << format_.mantissa)
    return (kept | ((format_.bias - 1) << format_.mantissa)).as_float()


@function("mantissa")
def mantissa(code: Code, x: Register) -> Register:
    """Write the first result of C's ``frexp``."""
    return code.select(_is_special(code, x), x, _mantissa(code, x))


@function("exponent")
def exponent(code: Code, x: Register) -> Register:
    """Write the second result of C's ``frexp``, a whole number."""
    found = exponent_bits(code, x) - (FORMATS[x.element].bias - 1)
    return code.select(_is_special(code, x), 0.0, code.cast("sitofp", found, x.element))


@function("ldexp", 2)
def ldexp(code: Code, x: Register, power: Register) -> Register:
    """Write x times two to the power of whole numbers, rounded once."""
    format_ = FORMATS[x.element]
    most = 4.0 * format_.bias
    limited = code.smaller(code.larger(power, -most), most)
    shift = code.cast("fptosi", limited, INTEGER_OF[x.element])
    shift = shift + exponent_bits(code, x) - (format_.bias - 1)
    most_left = format_.bias + format_.mantissa + 3  # nothing is left, or all is too much
    shift = code.larger(code.smaller(shift, most_left), -most_left)
    # the first product is exact, the second one rounds
    half = shift >> 1
    found = _mantissa(code, x) * power_of_two(code, half, x.element)
    found = found * power_of_two(code, shift - half, x.element)
    return code.select(_is_special(code, x), x, found)


def next_after(code: Code, x: Register, y: Register, unit: int = 1) -> Register:
    """Write the number next to x towards y, as C's ``nextafter``; of halves, as NumPy's.

    `unit` is how far apart the integers are that have the bits of neighbours.
    """
    # comparisons of halves are those of singles
    half = x.element == "half"
    a, b = (code.cast("fpext", v, "float") if half else v for v in (x, y))
    bits = x.as_integer()
    away = a.less(b) ^ a.less(0.0)
    moved = code.select(away, bits + unit, bits - unit)
    least = (y.as_integer() & -(1 << (BITS[x.element] - 1))) | unit
    moved = code.select(a.equals(0.0), least, moved).as_float()
    found = code.select(a.equals(b), x if half else y, moved)
    return code.select(a.is_nan() | b.is_nan(), math.nan, found)


def spacing(code: Code, x: Register, unit: int = 1) -> Register:
    """Write the distance to the next number away from 0; of halves to the next larger one."""
    if x.element == "half":
        above = next_after(code, x, code.constant(math.inf, "half", x.lanes))
        wide = code.cast("fpext", x, "float")
        found = code.cast("fpext", above, "float") - wide
    else:
        wide = x
        found = (x.as_integer() + unit).as_float() - x
        least = code.constant(unit, INTEGER_OF[x.element], x.lanes).as_float()
        if unit > 1:  # NumPy's distance from a zero has its sign
            least = code.copy_sign(least, x)
        found = code.select(x.equals(0.0), least, found)
    special = code.absolute(wide).equals(math.inf) | wide.is_nan()
    found = code.select(special, math.nan, found)
    return found if x.element == found.element else code.cast("fptrunc", found, x.element)
