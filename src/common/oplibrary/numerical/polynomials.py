"""Polynomials by their coefficients, that of the highest power first, and by their roots."""

from __future__ import annotations

from typing import Any

import numpy as np

from oplibrary.messages.errors import ArgumentError, ShapeError
from oplibrary.numerical.operands import (
    as_array,
    as_dtype,
    at_hand,
    offered,
    require_known,
    shape_from_values,
)
from oplibrary.numerical.products import convolve
from oplibrary.ops.comparison import not_equal
from oplibrary.ops.effects import assert_
from oplibrary.ops.eigenvalues import eigvals
from oplibrary.ops.elementwise import real
from oplibrary.ops.joining import concat, stack
from oplibrary.ops.movement import expand_dims
from oplibrary.values.dtypes import FLOATING, promoted


def _coefficients(name: str, p: Any) -> Any:
    """Return a vector of coefficients, of floating-point or complex numbers."""
    p = as_array(p)
    if not p.shape:
        p = p.reshape((1,))
    if len(p.shape) != 1:
        raise ShapeError(
            f"{name}: coefficients of shape {tuple(p.shape)}",
            cause="those of one polynomial stand in a row, that of the highest power first",
            fix="use vmap for many polynomials",
        )
    require_known(name, *p.shape)
    return p if p.dtype.kind in FLOATING else as_dtype(p, np.dtype(np.float64))


@offered
def roots(p: Any) -> Any:
    """Return the numbers at which a polynomial is zero.

    Parameters
    ----------
    p : array, (n,)
        Its coefficients, that of the highest power first, which is not 0.

    Returns
    -------
    array of complex numbers, (n - 1,)
        Differentiable where all are different.

    Raises
    ------
    AssertionFailedError
        If the first coefficient is 0.

    Notes
    -----
    The eigenvalues of the companion matrix. ``np.roots`` drops zeros in front; here each run has
    the same number of roots.

    Examples
    --------
    >>> roots(np.array([1.0, -3.0, 2.0])).tolist()
    [(2+0j), (1+0j)]
    """
    p = _coefficients("roots", p)
    degree = p.shape[0] - 1
    first = p[:1]
    assert_(not_equal(first, 0), "roots: the first coefficient is 0")
    if degree < 1:
        return np.zeros(0, promoted(p.dtype, np.dtype(np.complex64)))
    top = expand_dims(-p[1:] / first, axis=0)
    return eigvals(concat([top, np.eye(degree - 1, degree, dtype=p.dtype)], axis=0))


@offered
def poly(seq_of_zeros: Any) -> Any:
    """Return the coefficients of the polynomial that is zero at some numbers, the first one 1.

    Parameters
    ----------
    seq_of_zeros : array, (n,) or (n, n)
        The numbers, or a matrix, whose characteristic polynomial it is.

    Returns
    -------
    array, (n + 1,)
        Of complex numbers if those given are.

    Examples
    --------
    >>> poly(np.array([2.0, 1.0])).tolist()
    [1.0, -3.0, 2.0]
    """
    given = as_array(seq_of_zeros)
    if not given.shape:
        given = given.reshape((1,))
    require_known("poly", *given.shape)
    if len(given.shape) > 2 or (len(given.shape) == 2 and given.shape[0] != given.shape[1]):
        raise ShapeError(
            f"poly: an array of shape {tuple(given.shape)}",
            cause="it takes the roots of one polynomial, or a square matrix",
            fix="pass a vector or a square matrix",
        )
    if given.dtype.kind not in FLOATING:
        given = as_dtype(given, np.dtype(np.float64))
    zeros = eigvals(given) if len(given.shape) == 2 else given
    found: Any = np.ones(1, zeros.dtype)
    for i in np.arange(zeros.shape[0]).tolist():
        found = convolve(found, stack([np.ones((), zeros.dtype), -zeros[i]]))
    # the eigenvalues of a real matrix come in conjugate pairs
    return found if found.dtype == given.dtype else as_dtype(real(found), given.dtype)


@offered
def polydiv(u: Any, v: Any) -> tuple[Any, Any]:
    """Return the quotient and the remainder of two polynomials.

    Parameters
    ----------
    u, v : array
        Coefficients, that of the highest power first, which is not 0 in `v`.

    Raises
    ------
    DataDependentShapeError
        If one is a static value: how many zeros stand in front of the remainder is not known.
    ArgumentError
        If the first coefficient of `v` is 0.

    Examples
    --------
    >>> quotient, remainder = polydiv(np.array([3.0, 5.0, 2.0]), np.array([2.0, 1.0]))
    >>> quotient.tolist(), remainder.tolist()
    ([1.5, 1.75], [0.25])
    """
    u, v = _coefficients("polydiv", u), _coefficients("polydiv", v)
    dtype = promoted(u.dtype, v.dtype)
    u, v = as_dtype(u, dtype), as_dtype(v, dtype)
    numbers = at_hand(v)
    if numbers is None or at_hand(u) is None:
        raise shape_from_values(
            "polydiv",
            "how many zeros stand in front of the remainder",
            "divide in dyngraph, or write the steps for polynomials of known degrees",
        )
    if numbers[0] == 0:
        raise ArgumentError(
            "polydiv: the first coefficient of the divisor is 0",
            cause="each step divides by it",
            fix="leave zeros in front out",
        )
    steps = max(u.shape[0] - v.shape[0] + 1, 0)
    scale, rest, quotient, leading = 1.0 / v[0], u, [], []
    for _ in np.arange(steps).tolist():
        digit = scale * rest[0]
        quotient.append(digit)
        leading.append(rest[:1] - digit * v[:1])  # 0 but for rounding, unless there are NaNs
        head = rest[1 : v.shape[0]] - digit * v[1:]
        rest = concat([head, rest[v.shape[0] :]], axis=0)
    rest = concat([*leading, rest], axis=0)
    while rest.shape[0] > 1 and np.allclose(at_hand(rest)[0], 0, rtol=1e-14):
        rest = rest[1:]
    return (stack(quotient) if quotient else np.zeros(1, dtype)), rest
