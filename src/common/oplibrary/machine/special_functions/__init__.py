"""Special functions of float32 as vector code, computed in double and rounded once.

The error of each formula is below 1e-9 of the result, so that what is rounded is within 0.52 units
in the last place. The polynomials are interpolations at Chebyshev's points, in powers of an
argument from -1 to 1. Those of float64 are SciPy's; see ``foreign``.
"""

from oplibrary.machine.special_functions import bessel, normal
from oplibrary.machine.special_functions.registry import IN_SINGLE

__all__ = ["IN_SINGLE", "bessel", "normal"]
