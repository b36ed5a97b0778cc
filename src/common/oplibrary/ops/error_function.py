"""The error function, from one rational approximation that holds on the whole axis.

With ``t = |x|`` and ``S(t) = -log(erfc(t))``, ``erf(x)`` is ``-expm1(-S(t))`` with the sign of `x`:
near 0 no digit is lost, since S is linear there, and no range needs a formula of its own, which
arrays could only follow by computing every branch for every element. ``S(t) / t`` is smooth and is
approximated by a quotient of polynomials whose coefficients are all positive, so that evaluating
them is stable.

The coefficients are weighted minimax fits, made by Lawson's algorithm on the linearised quotient in
50 digits, in the manner of W. J. Cody, "Rational Chebyshev approximations for the error function",
Math. Comp. 23 (1969). In float64 and float32 their relative error in erf is 4e-17 and 9e-9; that in
``erfc = exp(-S)`` is below 2e-11 and 4e-5, down to where erfc underflows.
"""

from __future__ import annotations

from math import pi, sqrt
from typing import Any, NamedTuple

import numpy as np

from oplibrary.core.op import Kind, Op
from oplibrary.core.registry import register
from oplibrary.core.rules import UNARY_EXAMPLES
from oplibrary.ops.exponential import exp
from oplibrary.ops.kernels import blockwise, float_infer
from oplibrary.values.types import Array


class Approximation(NamedTuple):
    """``-log(erfc(t))`` as ``t P(t) / Q(t)``.

    Attributes
    ----------
    limit : numpy.ndarray
        Where erfc has underflown; `t` is cut off there.
    numerator, denominator : tuple of numpy.ndarray
        The coefficients of -P and Q as 0-d arrays, highest power first, divided by that of Q's
        highest power, which is left out.
    """

    limit: Array
    numerator: tuple[Array, ...]
    denominator: tuple[Array, ...]


def approximation(
    dtype: Any, limit: float, p: tuple[float, ...], q: tuple[float, ...], scale: float = 1.0
) -> Approximation:
    """Return the approximation in ``x = t / scale``, its coefficients lowest power first."""

    def typed(coefficients: tuple[float, ...], factor: float) -> tuple[Array, ...]:
        scaled = [factor * c * scale**k for k, c in enumerate(coefficients)]
        return tuple(np.asarray(c, dtype) for c in reversed(scaled))

    leading = q[-1] * scale ** (len(q) - 1)
    return Approximation(
        np.asarray(limit / scale, dtype), typed(p, -scale / leading), typed(q[:-1], 1 / leading)
    )


FLOAT32 = (
    10.1,
    (1.1283791567645499, 1.5179783953425532, 0.91190444476695873, 0.27830080988892126,
     0.036458968544132863),
    (1.0, 0.78108314118797178, 0.27640128565903846, 0.036487417100834805),
)  # fmt: skip
FLOAT64 = (
    27.3,
    (1.1283791670955125, 2.7248498325285215, 3.1005112901334258, 2.1501244582275222,
     0.98745822824969470, 0.30654539580574562, 0.062930217719028818, 0.0079593107550323566,
     0.00053433605576833712, 1.5248749616140017e-5, 1.2546186642431581e-7),
    (1.0, 1.8506457058544456, 1.6125617096615843, 0.84410328326272237, 0.28356372194948936,
     0.060980540577298709, 0.0078882982980912454, 0.00053355039596983930, 1.5248225865401518e-5,
     1.2546270229281087e-7),
)  # fmt: skip

_SINGLE = approximation(np.float32, *FLOAT32)
_DOUBLE = approximation(np.float64, *FLOAT64)


def negative_log_erfc(t: Array, single: Approximation, double: Approximation) -> Array:
    """Return ``log(erfc(t))`` for `t` not negative, and cut `t` off at the limit, in place."""
    limit, numerator, denominator = single if t.dtype.itemsize == 4 else double
    np.minimum(t, limit, out=t)
    p = np.multiply(t, numerator[0], np.empty_like(t))
    np.add(p, numerator[1], p)
    for coefficient in numerator[2:]:
        np.multiply(p, t, p)
        np.add(p, coefficient, p)
    np.multiply(p, t, p)
    q = np.add(t, denominator[0], np.empty_like(t))
    for coefficient in denominator[1:]:
        np.multiply(q, t, q)
        np.add(q, coefficient, q)
    return np.divide(p, q, p)


@blockwise("erf")
def _erf(x: Array, out: Array) -> None:
    t = np.absolute(x, np.empty_like(x))
    log_erfc = negative_log_erfc(t, _SINGLE, _DOUBLE)
    np.expm1(log_erfc, log_erfc)
    np.copysign(log_erfc, x, out)


_SLOPE = 2 / sqrt(pi)

erf = register(
    Op(
        name="erf",
        kind=Kind.ELEMENTWISE,
        arity=1,
        kernel=_erf,
        infer=float_infer("erf"),
        vjp=(lambda g, _out, x: g * exp(-(x * x)) * _SLOPE,),
        expr="erf({0})",
        takes_out=True,
        examples=UNARY_EXAMPLES,
        doc="Return the error function, the integral of 2/sqrt(pi) exp(-t*t) from 0 to x.",
    )
)
