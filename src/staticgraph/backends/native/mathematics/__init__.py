"""Functions of mathematics as vector code: polynomials, no tables, no calls, no branches but one.

Coefficients are minimax fits (Remez exchange with 60 digits, weighted by the relative error) unless
a source is named. The greatest errors are listed in ``docs/native.md`` and are held by tests.
"""

from staticgraph.backends.native.mathematics import (
    error_function,
    exponential,
    hyperbolic,
    inverse,
    logarithm,
    power,
    trigonometric,
)
from staticgraph.backends.native.mathematics.registry import FUNCTIONS

__all__ = ["FUNCTIONS"]

_WRITTEN = (error_function, exponential, hyperbolic, inverse, logarithm, power, trigonometric)
