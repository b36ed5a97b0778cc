"""x to the power of y, whole powers, powers of two, and the cube root."""

from __future__ import annotations

import math

from oplibrary.machine.code import Code
from oplibrary.machine.mathematics.exponential import (
    FORMATS,
    round_to_whole,
    scale,
    small_exp,
    split_exponent,
)
from oplibrary.machine.mathematics.logarithm import LN2_HIGH, split_mantissa
from oplibrary.machine.mathematics.registry import function
from oplibrary.machine.register import Register

# log((1 + s) / (1 - s)) - 2 s in powers of s**2, divided by s**3: enough for a result in float
_LOG_FOR_FLOAT = (
    0.6666666671258129,
    0.399999839923772,
    0.28573237811962543,
    0.22133343720238444,
    0.20142539147984337,
)
# the same after 2 / 3 * s**3, divided by s**5
_LOG_FOR_DOUBLE = (
    0.3999999999999998,
    0.2857142857144515,
    0.2222222221752695,
    0.18181818871486266,
    0.15384556790886256,
    0.1333632050617018,
    0.11674755757800613,
    0.11989536373974892,
)
_THIRDS_LOW = 3.700743415417188e-17
_LN2_REST = 1.9082149292705877e-10


def _float_power(code: Code, x: Register, y: Register) -> Register:
    """Return x**y for positive x, computed in double and rounded once."""
    a = code.cast("fpext", x, "double")
    b = code.cast("fpext", y, "double")
    e, m = split_mantissa(code, a)
    s = (m - 1.0) / (m + 1.0)
    z = s * s
    logarithm = code.fma(e, math.log(2), s * 2.0 + s * z * code.polynomial(z, _LOG_FOR_FLOAT))
    product = code.smaller(code.larger(logarithm * b, -200.0), 200.0)
    n, r = split_exponent(code, product)
    return code.cast("fptrunc", scale(code, small_exp(code, r), n), "float")


def _double_power(code: Code, x: Register, y: Register) -> Register:
    """Return x**y for positive x, the logarithm in two parts."""
    e, m = split_mantissa(code, x)
    f = m - 1.0
    below = m + 1.0
    below_low = f - (below - 2.0)
    s = f / below
    s_low = (code.fma(-s, below, f) - s * below_low) / below
    z = s * s
    z_low = code.fma(s, s, -z) + (s * s_low) * 2.0
    # 2 / 3 + z * p in two parts
    tail = z * code.polynomial(z, _LOG_FOR_DOUBLE)
    thirds = tail + 2 / 3
    thirds_low = ((2 / 3 - thirds) + tail) + _THIRDS_LOW
    # s**3 in two parts, times that
    cube = z * s
    cube_low = code.fma(z, s, -cube) + code.fma(z_low, s, z * s_low)
    term = cube * thirds
    term_low = code.fma(cube, thirds, -term) + code.fma(cube, thirds_low, cube_low * thirds)
    # e * log(2) + 2 s + term; the first product is exact
    whole = e * LN2_HIGH
    twice = s + s
    first = whole + twice
    first_low = code.select(
        e.equals(0.0), code.constant(0.0, x.element, x.lanes), (whole - first) + twice
    )
    total = first + term
    low = (first - total) + term
    rest = e * _LN2_REST
    low = low + (first_low + (code.fma(s_low, 2.0, term_low) + rest))
    logarithm = total + low
    logarithm_low = (total - logarithm) + low
    product = logarithm * y
    product_low = code.fma(logarithm, y, -product) + logarithm_low * y
    format_ = FORMATS["double"]
    inside = code.absolute(product).less(800.0)
    product_low = code.select(inside, product_low, 0.0)
    product = code.smaller(code.larger(product, format_.lowest), format_.highest)
    return _exp_in_two_parts(code, product, product_low)


def _exp_in_two_parts(code: Code, x: Register, low: Register) -> Register:
    """Return e to the ``x + low``, rounded as good as once, so that exact powers are exact."""
    format_ = FORMATS["double"]
    n, r = split_exponent(code, x)
    lost = code.fma(n, -format_.ln2_low, code.fma(n, -format_.ln2_high, x) - r)
    return scale(code, _small_exp_in_two_parts(code, r, lost + low), n)


def _small_exp_in_two_parts(code: Code, r: Register, low: Register) -> Register:
    """Return e to the ``r + low`` for ``abs(r) <= log(2) / 2``, rounded as good as once."""
    format_ = FORMATS["double"]
    square = r * r
    square_low = code.fma(r, r, -square)
    # 1 + r + r**2 / 2 in two parts, the rest being small
    first = r + 1.0
    first_low = r - (first - 1.0)
    half = square * 0.5
    total = first + half
    total_low = half - (total - first)
    rest = square * r * code.polynomial(r, format_.exp[1:])
    rest = code.fma(square_low, 0.5, rest) + (first_low + total_low)
    return total + code.fma(total + rest, low, rest)


@function("pow", 2)
def power(code: Code, x: Register, y: Register) -> Register:
    """Write x to the power of y, with the special cases of C's ``pow``."""
    magnitude = code.absolute(x)
    write = _float_power if x.element == "float" else _double_power
    result = write(code, magnitude, y)
    size = code.absolute(y)
    whole = code.call_intrinsic("trunc", y).equals(y)
    half = y * 0.5
    odd = whole & code.call_intrinsic("trunc", half).differs(half)
    # 0 and infinity: the other one for negative exponents
    negative_y = y.less(0.0)
    zero = code.constant(0.0, x.element, x.lanes)
    infinity = code.constant(math.inf, x.element, x.lanes)
    at_zero = code.select(negative_y, infinity, zero)
    at_infinity = code.select(negative_y, zero, infinity)
    result = code.select(magnitude.equals(0.0), at_zero, result)
    result = code.select(magnitude.equals(math.inf), at_infinity, result)
    # infinite exponents
    grows = magnitude.greater(1.0) ^ negative_y
    result = code.select(size.equals(math.inf), code.select(grows, infinity, zero), result)
    negative_x = x.as_integer().less(0)
    result = code.select(negative_x & odd, -result, result)
    no_root = x.less(0.0) & x.greater(-math.inf) & ~whole
    result = code.select(no_root, math.nan, result)
    result = code.select(x.is_nan() | y.is_nan(), x + y, result)
    one = magnitude.equals(1.0) & (size.equals(math.inf) | ~negative_x)
    return code.select(one | y.equals(0.0), 1.0, result)


MOST_WHOLE = 32
"""The largest exponent for which a power is products; roundings in double add up to no more."""


def whole_power(code: Code, x: Register, exponent: int) -> Register | None:
    """Write x to the power of a whole number as products, or return None where `pow` is nearer.

    The special cases are those of C's ``pow``: products and quotients have them.
    """
    if exponent == -1:
        return code.constant(1.0, x.element, x.lanes) / x
    if x.element == "float" and 0 < abs(exponent) <= MOST_WHOLE:
        # what is too large or too small for double is so for float
        wide = code.cast("fpext", x, "double")
        one = code.constant(1.0, "double", x.lanes)
        product = product_of_equals(wide, abs(exponent), one)
        if exponent < 0:
            product = one / product
        return code.cast("fptrunc", product, "float")
    if exponent not in (3, 4):
        return None
    square = x * x
    low = code.fma(x, x, -square)
    other = x if exponent == 3 else square
    product = square * other
    rest = code.fma(square, other, -product) + low * (other if exponent == 3 else other * 2.0)
    size = code.absolute(product)
    return code.select(size.less(math.inf) & size.greater(0.0), product + rest, product)


def product_of_equals(x: Register, count: int, one: Register) -> Register:
    """Return x to the power of `count`, by squares; integers that overflow wrap around."""
    product, square = one, x
    while count:
        if count & 1:
            product = product * square
        count >>= 1
        if count:
            square = square * square
    return product


_LN2_PART = 2.3190468138462996e-17
"""What is left of log(2) beside its float64."""


@function("exp2")
def exp2(code: Code, x: Register) -> Register:
    """Write 2 to the x; whole powers are exact."""
    format_ = FORMATS[x.element]
    lowest, highest = format_.lowest * format_.log2e, format_.highest * format_.log2e
    x = code.smaller(code.larger(x, lowest), highest)
    n = round_to_whole(code, x)
    r = x - n
    scaled = r * math.log(2)
    if x.element == "float":
        return scale(code, small_exp(code, scaled), n)
    low = code.fma(r, math.log(2), -scaled) + r * _LN2_PART
    return scale(code, _small_exp_in_two_parts(code, scaled, low), n)


# of the fifth-order estimate of a cube root that FreeBSD's C library begins with
_CUBE_ROOT = (
    1.87595182427177009643,
    -1.88497979543377169875,
    1.621429720105354466140,
    -0.758397934778766047437,
    0.145996192886612446982,
)
_THIRDS_OF_BIAS = {"float": 709958130, "double": 715094163}
"""Two thirds of the bias, less 0.03306235651, in the upper 32 bits of a number."""
_SMALL = {"float": (2.0**-60, 2.0**48, 2.0**-16), "double": (2.0**-1022, 2.0**54, 2.0**-18)}
"""Below what numbers are scaled, so that nothing on the way is below the normal ones."""


def _float_cube_root(code: Code, x: Register) -> Register:
    """Return the cube root of positive normal floats: an estimate, and Newton's step."""
    third = code.cast("fptosi", code.cast("sitofp", x.as_integer(), "float") * (1 / 3), "i32")
    t = (third + _THIRDS_OF_BIAS["float"]).as_float()
    t = t * code.polynomial((t * t) * (t / x), _CUBE_ROOT)
    square = t * t
    rest = code.fma(-square, t, x) - code.fma(t, t, -square) * t
    return t + rest / (square * 3.0)


def _double_cube_root(code: Code, x: Register) -> Register:
    """Return the cube root of positive normal doubles: an estimate, and Halley's step."""
    high = x.as_integer().shift_right_unsigned(32)
    third = (high * 0x55555556).shift_right_unsigned(32)
    t = ((third + _THIRDS_OF_BIAS["double"]) << 32).as_float()
    t = t * code.polynomial((t * t) * (t / x), _CUBE_ROOT)
    t = ((t.as_integer() + 0x80000000) & -0x40000000).as_float()
    r = x / (t * t)
    return code.fma(t, (r - t) / (t + t + r), t)


@function("cbrt")
def cbrt(code: Code, x: Register) -> Register:
    """Write the cube root, which has the sign of x."""
    below, up, down = _SMALL[x.element]
    size = code.absolute(x)
    small = size.less(below)
    write = _float_cube_root if x.element == "float" else _double_cube_root
    root = write(code, code.select(small, size * up, size))
    root = code.copy_sign(code.select(small, root * down, root), x)
    return code.select(x.differs(0.0) & size.less(math.inf), root, x)
