"""sinh, cosh, tanh and their inverses, and hypot."""

from __future__ import annotations

import math
from functools import lru_cache

from oplibrary.machine.code import Code
from oplibrary.machine.mathematics.exponential import expm1, half_exp, small_expm1
from oplibrary.machine.mathematics.logarithm import log, log1p
from oplibrary.machine.mathematics.registry import function
from oplibrary.machine.mathematics.table import interval, lookup, piecewise
from oplibrary.machine.register import Register

# above it, sqrt(x**2 + 1) is x
_LARGE = {"float": 2.0**13, "double": 2.0**28}
_LOWEST = -4
"""The exponent at which tanh's table begins; see `table`."""


@function("tanh")
def tanh(code: Code, x: Register) -> Register:
    """Write the hyperbolic tangent, by expm1 or, where that is quicker, by table."""
    if x.element == "float" and code.module.target.avx512:
        return _tanh_by_table(code, x)
    magnitude = code.smaller(code.absolute(x), 22.0)
    grown = small_expm1(code, magnitude + magnitude)
    return code.copy_sign(grown / (grown + 2.0), x)


def _tanh_by_table(code: Code, x: Register) -> Register:
    # at 11, the middle of an interval, the polynomial gives 1, which it is from 9.02 on
    magnitude = code.smaller(code.absolute(x), 11.0)
    where = interval(code, magnitude, _LOWEST)
    shift, *coefficients = (
        lookup(code, f"tanh_{i}", entries, where, _LOWEST)
        for i, entries in enumerate(_tanh_tables())
    )
    rest = magnitude - shift
    result = coefficients.pop()
    while coefficients:
        result = code.fma(result, rest, coefficients.pop())
    return code.copy_sign(result, x)


@lru_cache
def _tanh_tables() -> list[tuple[float, ...]]:
    return piecewise(math.tanh, _LOWEST, degree=5)


@function("sinh")
def sinh(code: Code, x: Register) -> Register:
    """Write the hyperbolic sine."""
    magnitude = code.absolute(x)
    limit = 40.0
    grown = expm1(code, code.smaller(magnitude, limit))
    small = (grown + grown / (grown + 1.0)) * 0.5
    result = code.select(magnitude.greater(limit), half_exp(code, magnitude), small)
    return code.copy_sign(result, x)


@function("cosh")
def cosh(code: Code, x: Register) -> Register:
    """Write the hyperbolic cosine."""
    half = half_exp(code, code.absolute(x))
    return half + 0.25 / half


@function("asinh")
def asinh(code: Code, x: Register) -> Register:
    """Write the inverse of sinh."""
    magnitude = code.absolute(x)
    border = _LARGE[x.element]
    large = magnitude.greater(border)
    a = code.smaller(magnitude, border)
    square = a * a
    root = code.call_intrinsic("sqrt", square + 1.0)
    small = log1p(code, a + square / (root + 1.0))
    return code.copy_sign(code.select(large, log(code, magnitude) + math.log(2), small), x)


@function("acosh")
def acosh(code: Code, x: Register) -> Register:
    """Write the inverse of cosh, NaN below 1."""
    border = _LARGE[x.element]
    large = x.greater(border)
    t = code.smaller(x, border) - 1.0
    small = log1p(code, t + code.call_intrinsic("sqrt", t * (t + 2.0)))
    result = code.select(large, log(code, x) + math.log(2), small)
    return code.select(x.less(1.0), math.nan, result)


@function("atanh")
def atanh(code: Code, x: Register) -> Register:
    """Write the inverse of tanh, NaN beyond 1."""
    magnitude = code.absolute(x)
    twice = magnitude + magnitude
    # twice / (1 - magnitude), but exact in its leading part where that is small
    small = magnitude.less(0.5)
    rest = 1.0 - magnitude
    quotient = code.select(small, twice * magnitude, twice) / rest
    argument = code.select(small, twice + quotient, quotient)
    return code.copy_sign(log1p(code, argument) * 0.5, x)


@function("hypot", 2)
def hypot(code: Code, x: Register, y: Register) -> Register:
    """Write the length of the vector (x, y), without overflow on the way."""
    if x.element == "float":
        a, b = (code.cast("fpext", v, "double") for v in (x, y))
        result = code.cast("fptrunc", code.call_intrinsic("sqrt", code.fma(a, a, b * b)), "float")
    else:
        a, b = code.absolute(x), code.absolute(y)
        swap = a.less(b)
        a, b = code.select(swap, b, a), code.select(swap, a, b)
        one = code.constant(1.0, x.element, x.lanes)
        up = code.select(a.less(2.0**-500), one * 2.0**600, one)
        up = code.select(a.greater(2.0**500), one * 2.0**-600, up)
        a, b = a * up, b * up
        root = code.call_intrinsic("sqrt", code.fma(a, a, b * b))
        # what rounding the squares lost, divided out (Borges, 2019)
        lost = code.fma(root, root, -(a * a)) - b * b
        exact_a = code.fma(a, a, -(a * a))
        lost = lost - exact_a - code.fma(b, b, -(b * b))
        corrected = root - lost / (root + root)
        root = code.select(root.greater(0.0) & root.less(math.inf), corrected, root)
        result = root / up
    infinite = code.absolute(x).equals(math.inf) | code.absolute(y).equals(math.inf)
    return code.select(infinite, math.inf, result)
