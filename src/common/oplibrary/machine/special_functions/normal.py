"""The normal distribution: its tails, and the numbers of probabilities."""

from __future__ import annotations

import math

from oplibrary.machine.code import Code
from oplibrary.machine.mathematics import exp, log
from oplibrary.machine.register import Register
from oplibrary.machine.special_functions.registry import in_double

_MIDDLE = 3.0
_STRETCH = 1.263157894736842
"""(x - 3) / (x + 3) is from -1 to 7 / 12 for x up to 11.4; stretched it is from -1 to 1."""
# exp(x**2) * erfc(x) * (1 + 2 * x)
_TAIL = (
    1.2777723610403895,
    -0.07434388305052861,
    -0.10436139854808836,
    0.13054448705239086,
    -0.08108096987902415,
    0.03084778395037076,
    -0.0060644301241843295,
    -0.0003214461310217054,
    0.0004580729224619289,
    -3.62613710478902e-05,
    -3.100515364301149e-05,
    4.151293073162617e-06,
    1.941951196639465e-06,
    -2.595565036410052e-07,
)
_NOTHING_LEFT = 16.0
"""The normal number from which on the distribution's tail is 0 in float."""


def _scaled_tail(code: Code, a: Register) -> Register:
    """Return exp(a**2) * erfc(a) for a from 0 to 11.4."""
    growing = code.fma(a, 2.0, 1.0)
    inverse = 1.0 / ((a + _MIDDLE) * growing)
    t = code.fma((a - _MIDDLE) * growing * inverse, _STRETCH, _STRETCH - 1.0)
    return code.polynomial(t, _TAIL) * ((a + _MIDDLE) * inverse)


@in_double("erfc")
def erfc(code: Code, x: Register) -> Register:
    """Write 1 less the error function."""
    a = code.smaller(code.absolute(x), _NOTHING_LEFT / math.sqrt(2))
    tail = exp(code, -(a * a)) * _scaled_tail(code, a)
    return code.select(x.less(0.0), 2.0 - tail, tail)


@in_double("ndtr")
def ndtr(code: Code, x: Register) -> Register:
    """Write the distribution function of normal numbers."""
    a = code.smaller(code.absolute(x), _NOTHING_LEFT)
    tail = exp(code, a * a * -0.5) * _scaled_tail(code, a * math.sqrt(0.5)) * 0.5
    return code.select(x.greater(0.0), 1.0 - tail, tail)


# Wichura's algorithm AS 241, Applied Statistics 37 (1988): numerator and denominator near the
# middle, in the tails, and far out in them
_QUANTILE = (
    (
        (
            3.3871328727963666080,
            133.14166789178437745,
            1971.5909503065514427,
            13731.693765509461125,
            45921.953931549871457,
            67265.770927008700853,
            33430.575583588128105,
            2509.0809287301226727,
        ),
        (
            1.0,
            42.313330701600911252,
            687.18700749205790830,
            5394.1960214247511077,
            21213.794301586595867,
            39307.895800092710610,
            28729.085735721942674,
            5226.4952788528545610,
        ),
    ),
    (
        (
            1.42343711074968357734,
            4.63033784615654529590,
            5.76949722146069140550,
            3.64784832476320460504,
            1.27045825245236838258,
            0.241780725177450611770,
            0.0227238449892691845833,
            7.74545014278341407640e-4,
        ),
        (
            1.0,
            2.05319162663775882187,
            1.67638483018380384940,
            0.689767334985100004550,
            0.148103976427480074590,
            0.0151986665636164571966,
            5.47593808499534494600e-4,
            1.05075007164441684324e-9,
        ),
    ),
    (
        (
            6.65790464350110377720,
            5.46378491116411436990,
            1.78482653991729133580,
            0.296560571828504891230,
            0.0265321895265761230930,
            1.24266094738807843860e-3,
            2.71155556874348757815e-5,
            2.01033439929228813265e-7,
        ),
        (
            1.0,
            0.599832206555887937690,
            0.136929880922735805310,
            0.0148753612908506148525,
            7.86869131145613259100e-4,
            1.84631831751005468180e-5,
            1.42151175831644588870e-7,
            2.04426310338993978564e-15,
        ),
    ),
)
_NEAR, _NEAR_SQUARE, _TAILS, _FAR = 0.425, 0.180625, 1.6, 5.0


def _quantile(code: Code, q: Register, tail: Register) -> Register:
    """Return the normal number whose probability is q above a half; that beyond it is `tail`."""
    size = code.absolute(q)
    near = size.less(_NEAR) | size.equals(_NEAR)
    root = code.call_intrinsic("sqrt", -log(code, tail))
    arguments = (code.fma(-q, q, _NEAR_SQUARE), root - _TAILS, root - _FAR)
    pairs = [
        [code.polynomial(argument, each) for each in pair]
        for argument, pair in zip(arguments, _QUANTILE, strict=True)
    ]
    beyond = root.greater(_FAR)
    chosen = [
        code.select(near, a, code.select(beyond, c, b)) for a, b, c in zip(*pairs, strict=True)
    ]
    found = chosen[0] / chosen[1] * code.select(near, size, 1.0)
    found = code.select(tail.equals(0.0), math.inf, found)
    found = code.select(tail.less(0.0), math.nan, found)
    return code.copy_sign(found, q)


@in_double("ndtri")
def ndtri(code: Code, x: Register) -> Register:
    """Write the inverse of the distribution function of normal numbers."""
    other = 1.0 - x
    return _quantile(code, x - 0.5, code.select(other.less(x), other, x))


@in_double("erfinv")
def erfinv(code: Code, x: Register) -> Register:
    """Write the inverse of the error function."""
    tail = (1.0 - code.absolute(x)) * 0.5
    found = _quantile(code, x * 0.5, tail) * math.sqrt(0.5)
    return code.select(x.equals(0.0), 0.0, found)  # SciPy's zero has no sign
