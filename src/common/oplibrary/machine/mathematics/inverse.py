"""asin, acos, atan and atan2."""

from __future__ import annotations

import math

from oplibrary.machine.code import Code
from oplibrary.machine.mathematics.registry import function
from oplibrary.machine.register import Register

# (asin(x) - x) / x**3 in powers of x**2, up to 1/2
_ASIN = {
    "float": (1.666666e-01, 7.500511e-02, 4.451572e-02, 3.1817622e-02, 1.4402561e-02, 3.756526e-02),
    "double": (
        0.16666666666666763,
        0.07499999999970265,
        0.04464285717511766,
        0.030381942683756376,
        0.02237221565657637,
        0.017351600156937156,
        0.013980960678877422,
        0.011397782325659396,
        0.010786493115545507,
        0.003683180142961295,
        0.02176315559184997,
        -0.02107679400604281,
        0.03267656997191695,
    ),
}
# (atan(x) - x) / x**3 in powers of x**2, up to tan(pi / 8)
_ATAN = {
    "float": (-3.3333316e-01, 1.9998483e-01, -1.424374e-01, 1.0595144e-01, -6.0811665e-02),
    "double": (
        -0.33333333333333326,
        0.1999999999999767,
        -0.1428571428538814,
        0.11111111088185616,
        -0.09090908144795296,
        0.0769228276435497,
        -0.06666226836614139,
        0.05877022527872025,
        -0.05218408795983628,
        0.04503566183396885,
        -0.033474820313516895,
        0.015195495573101419,
    ),
}
# pi / 2 and pi / 4 in two parts
_RIGHT = {
    "float": (1.5707963705062866, -4.371138828673793e-08),
    "double": (1.5707963267948966, 6.123233995736766e-17),
}
_TAN_EIGHTH = math.sqrt(2) - 1


def _small_asin(code: Code, x: Register, z: Register) -> Register:
    """Return the arc sine of `x`, whose square is `z`, up to 1/2."""
    return code.fma(code.polynomial(z, _ASIN[x.element]) * z, x, x)


def _half_angle(code: Code, x: Register) -> tuple[Register, Register, Register]:
    """Return where ``abs(x)`` is above 1/2, and the arc sine of what is below it.

    Above, ``asin(x) == pi / 2 - 2 * asin(sqrt((1 - x) / 2))``.
    """
    magnitude = code.absolute(x)
    above = magnitude.greater(0.5)
    z = code.select(above, (1.0 - magnitude) * 0.5, magnitude * magnitude)
    root = code.call_intrinsic("sqrt", z)
    return above, magnitude, _small_asin(code, code.select(above, root, magnitude), z)


@function("asin")
def asin(code: Code, x: Register) -> Register:
    """Write the arc sine."""
    high, low = _RIGHT[x.element]
    above, _, angle = _half_angle(code, x)
    result = code.select(above, high - (angle + angle - low), angle)
    return code.select(x.is_nan(), x, code.copy_sign(result, x))


@function("acos")
def acos(code: Code, x: Register) -> Register:
    """Write the arc cosine."""
    high, low = _RIGHT[x.element]
    above, _, angle = _half_angle(code, x)
    negative = x.less(0.0)
    twice = angle + angle
    far = code.select(negative, 2 * high - (twice - 2 * low), twice)
    signed = code.copy_sign(angle, x)
    return code.select(above, far, high - (signed - low))


def _first_octants(code: Code, y: Register, x: Register) -> Register:
    """Return the angle of ``y / x`` for operands that are not negative."""
    high, low = _RIGHT[x.element]
    steep = (y * _TAN_EIGHTH).greater(x)
    middle = y.greater(x * _TAN_EIGHTH)
    above = code.select(steep, -x, code.select(middle, y - x, y))
    below = code.select(steep, y, code.select(middle, y + x, x))
    q = above / below
    z = q * q
    rest = code.polynomial(z, _ATAN[x.element]) * z
    zero = code.constant(0.0, x.element, x.lanes)
    base = code.select(steep, high, code.select(middle, high / 2, zero))
    base_low = code.select(steep, low, code.select(middle, low / 2, zero))
    return base + (q + code.fma(rest, q, base_low))


@function("atan")
def atan(code: Code, x: Register) -> Register:
    """Write the arc tangent."""
    one = code.constant(1.0, x.element, x.lanes)
    return code.copy_sign(_first_octants(code, code.absolute(x), one), x)


@function("atan2", 2)
def atan2(code: Code, y: Register, x: Register) -> Register:
    """Write the angle of the point (x, y)."""
    a, b = code.absolute(y), code.absolute(x)
    largest = 2.0**100 if x.element == "float" else 2.0**1000
    # so that a + b is finite, and a fraction of either is not 0
    larger = code.select(a.greater(b), a, b)
    one = code.constant(1.0, x.element, x.lanes)
    factor = code.select(larger.less(1 / largest), one * 2.0**60, one)
    factor = code.select(larger.greater(largest), one * 2.0**-4, factor)
    infinite = a.equals(math.inf) & b.equals(math.inf)
    angle = _first_octants(
        code, code.select(infinite, 1.0, a * factor), code.select(infinite, 1.0, b * factor)
    )
    angle = code.select(a.equals(0.0), 0.0, angle)
    high, low = _RIGHT[x.element]
    left = x.as_integer().less(0)
    angle = code.select(left, 2 * high - (angle - 2 * low), angle)
    result = code.copy_sign(angle, y)
    return code.select(x.is_nan() | y.is_nan(), x + y, result)
