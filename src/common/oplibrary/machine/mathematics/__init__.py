"""Functions of mathematics as vector code: polynomials, no calls, no branches but one.

Coefficients are minimax fits (Remez exchange with 60 digits, weighted by the relative error) unless
a source is named. The greatest errors are listed in ``docs/native.md`` and are held by tests.
"""

from oplibrary.machine.mathematics.divisors import gcd
from oplibrary.machine.mathematics.error_function import erf
from oplibrary.machine.mathematics.exponential import exp, expm1
from oplibrary.machine.mathematics.hyperbolic import (
    acosh,
    asinh,
    atanh,
    cosh,
    hypot,
    sinh,
    tanh,
)
from oplibrary.machine.mathematics.inverse import acos, asin, atan, atan2
from oplibrary.machine.mathematics.logarithm import log, log1p, log2, log10
from oplibrary.machine.mathematics.power import cbrt, exp2, power, product_of_equals, whole_power
from oplibrary.machine.mathematics.powers_of_two import (
    exponent,
    ldexp,
    mantissa,
    next_after,
    spacing,
)
from oplibrary.machine.mathematics.registry import FUNCTIONS, call
from oplibrary.machine.mathematics.remainders import floor_divide, fmod, remainder
from oplibrary.machine.mathematics.trigonometric import cos, sin, tan

__all__ = [
    "FUNCTIONS",
    "acos",
    "acosh",
    "asin",
    "asinh",
    "atan",
    "atan2",
    "atanh",
    "call",
    "cbrt",
    "cos",
    "cosh",
    "erf",
    "exp",
    "exp2",
    "expm1",
    "exponent",
    "floor_divide",
    "fmod",
    "gcd",
    "hypot",
    "ldexp",
    "log",
    "log1p",
    "log2",
    "log10",
    "mantissa",
    "next_after",
    "power",
    "product_of_equals",
    "remainder",
    "sin",
    "sinh",
    "spacing",
    "tan",
    "tanh",
    "whole_power",
]
