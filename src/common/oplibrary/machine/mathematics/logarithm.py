"""log, log2, log10 and log1p: the exponent, and a polynomial of the mantissa."""

from __future__ import annotations

import math

from oplibrary.machine.code import Code
from oplibrary.machine.mathematics.exponential import (
    FORMATS,
    integer_as_whole,
    whole_as_integer,
)
from oplibrary.machine.mathematics.registry import function
from oplibrary.machine.register import Register

# the bits of the least mantissa: 2/3 in float, the root of 1/2 in double
_LEAST = {"float": 0x3F2AAAAB, "double": 0x3FE6A09E667F3BCD}
_SMALLEST_NORMAL = {"float": 2.0**-126, "double": 2.0**-1022}
# (log(1 + f) - f + f**2 / 2) / f**3
_FLOAT_LOG = (
    3.3333215e-01,
    -2.4999797e-01,
    2.0010404e-01,
    -1.6680472e-01,
    1.4005905e-01,
    -1.21845156e-01,
    1.3984263e-01,
    -1.289048e-01,
)
# log2(1 + f) / f
_FLOAT_LOG2 = (
    1.442695e00,
    -7.213476e-01,
    4.8089582e-01,
    -3.6066878e-01,
    2.887183e-01,
    -2.4069974e-01,
    2.0169868e-01,
    -1.7526296e-01,
    2.0323887e-01,
    -1.8783173e-01,
)
# (log((1 + s) / (1 - s)) - 2 s) / s**3 in powers of s**2: fdlibm's Lg1 to Lg7
_DOUBLE_LOG = (
    0.6666666666666735,
    0.3999999999940942,
    0.2857142874366239,
    0.22222198432149784,
    0.1818357216161805,
    0.15313837699209373,
    0.14798198605116586,
)
LN2_HIGH, LN2_LOW = 0.6931471803691238, 1.9082149292705877e-10


def split_mantissa(code: Code, x: Register) -> tuple[Register, Register]:
    """Return `e` and `m` near 1 with ``x == 2**e * m``, for positive and finite x."""
    format_ = FORMATS[x.element]
    subnormal = x.less(_SMALLEST_NORMAL[x.element])
    shift = float(format_.mantissa + 2)
    x = code.select(subnormal, x * 2.0**shift, x)
    e, m = _split_bits(code, x)
    return e - code.select(subnormal, code.constant(shift, x.element, x.lanes), 0.0), m


def _split_bits(code: Code, x: Register) -> tuple[Register, Register]:
    format_ = FORMATS[x.element]
    bits = x.as_integer()
    exponent = (bits - _LEAST[x.element]) >> format_.mantissa
    m = (bits - (exponent << format_.mantissa)).as_float()
    return integer_as_whole(code, exponent, x.element), m


def special_cases(code: Code, x: Register, result: Register, pole: float = 0.0) -> Register:
    """Return `result` but infinity, NaN, and what lies at and below the `pole`."""
    result = code.select(x.less(math.inf), result, x)
    result = code.select(x.equals(pole), -math.inf, result)
    return code.select(x.less(pole), math.nan, result)


def _float_mantissa_log(code: Code, f: Register) -> Register:
    """Return log(1 + f) in float."""
    p = code.fma(code.polynomial(f, _FLOAT_LOG), f, -0.5)
    return code.fma(p, f * f, f)


def _double_mantissa_terms(code: Code, f: Register) -> tuple[Register, Register]:
    """Return `half` and `s` with log(1 + f) == f - (half - s), where f is the leading part."""
    s = f / (f + 2.0)
    z = s * s
    half = f * f * 0.5
    return half, s * (half + code.polynomial(z, _DOUBLE_LOG) * z)


@function("log")
def log(code: Code, x: Register) -> Register:
    """Write the natural logarithm (in double by fdlibm's formula)."""
    e, m = split_mantissa(code, x)
    f = m - 1.0
    if x.element == "float":
        result = code.fma(e, math.log(2), _float_mantissa_log(code, f))
    else:
        half, s = _double_mantissa_terms(code, f)
        result = e * LN2_HIGH - ((half - code.fma(e, LN2_LOW, s)) - f)
    return special_cases(code, x, result)


def _scaled_log(code: Code, x: Register, factor: float, factor_low: float, one: float) -> Register:
    """Return log(x) * factor in double, with `one` the factor times log(2)."""
    e, m = split_mantissa(code, x)
    f = m - 1.0
    half, s = _double_mantissa_terms(code, f)
    rest = s - half
    high = f + rest
    low = (f - high) + rest
    product = high * factor
    product_low = code.fma(high, factor, -product) + code.fma(low, factor, high * factor_low)
    if one == 1.0:
        whole, whole_low = e, product_low
    else:
        whole = e * _LOG10_2_HIGH
        whole_low = code.fma(e, _LOG10_2_LOW, product_low)
    total = whole + product
    # the larger part is the whole one, unless e is 0
    rounded = (whole - total) + product
    return special_cases(code, x, total + (rounded + whole_low))


_LOG2E_LOW = 2.0355273740931033e-17
_LOG10E_LOW = 1.098319650216765e-17
_LOG10_2_HIGH, _LOG10_2_LOW = 0.30102999566361177, 3.694239077158931e-13


@function("log2")
def log2(code: Code, x: Register) -> Register:
    """Write the logarithm to base 2."""
    if x.element == "double":
        return _scaled_log(code, x, math.log2(math.e), _LOG2E_LOW, 1.0)
    e, m = split_mantissa(code, x)
    f = m - 1.0
    return special_cases(code, x, code.fma(code.polynomial(f, _FLOAT_LOG2), f, e))


@function("log10")
def log10(code: Code, x: Register) -> Register:
    """Write the logarithm to base 10."""
    if x.element == "double":
        return _scaled_log(code, x, math.log10(math.e), _LOG10E_LOW, math.log10(2))
    e, m = split_mantissa(code, x)
    f = m - 1.0
    p = _float_mantissa_log(code, f)
    high = p * 0.4342944920063019
    low = code.fma(p, 0.4342944920063019, -high) + p * -1.0103e-08
    # log10(2) in two parts, the first with zeros at its end
    whole = e * 0.301025390625
    total = whole + high
    return special_cases(
        code, x, total + (code.fma(e, 4.6050390e-06, low) + ((whole - total) + high))
    )


@function("log1p")
def log1p(code: Code, x: Register) -> Register:
    """Write log(1 + x), exact where x is small."""
    u = x + 1.0
    e, m = _split_bits(code, u)
    if x.element == "float":
        # m - 1 from x itself, scaled, so that no digit of x is lost; by 2**(2 - e), since 2**-e is
        # no normal number for the largest x
        power = _power_of_two(code, 2.0 - e)
        f = code.fma(x * 0.25, power, code.fma(power, 0.25, -1.0))
        result = code.fma(e, math.log(2), _float_mantissa_log(code, f))
    else:
        f = m - 1.0
        lost = code.select(u.greater(2.0), 1.0 - (u - x), x - (u - 1.0)) / u
        half, s = _double_mantissa_terms(code, f)
        result = e * LN2_HIGH - ((half - (s + code.fma(e, LN2_LOW, lost))) - f)
    result = special_cases(code, x, result, -1.0)
    # the sign of a zero
    return code.select(code.absolute(x).less(2.0 ** -(FORMATS[x.element].mantissa + 2)), x, result)


def _power_of_two(code: Code, n: Register) -> Register:
    """Return 2**n for a whole number `n` that leaves it a normal number."""
    format_ = FORMATS[n.element]
    return ((whole_as_integer(code, n) + format_.bias) << format_.mantissa).as_float()
