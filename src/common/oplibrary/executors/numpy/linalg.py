"""What the functions of ``numpy.linalg`` are called here, where names alone do not say it."""

from __future__ import annotations

from typing import Any

import numpy as np

from oplibrary.executors.numpy.protocols import unsupported
from oplibrary.messages.errors import SymbolicArrayError
from oplibrary.numerical.operands import as_dtype
from oplibrary.numerical.polynomials import poly, roots
from oplibrary.ops.comparison import not_equal
from oplibrary.ops.effects import assert_
from oplibrary.ops.eigenvalues import eig, eigh, eigvals, eigvalsh
from oplibrary.ops.least_squares import lstsq
from oplibrary.ops.orthogonalization import qr
from oplibrary.ops.reduction import any as any_
from oplibrary.ops.singular_values import svd, svdvals


def _upper(triangle: Any) -> bool:
    """Return whether the triangle that NumPy is told to read is the upper one."""
    if triangle not in ("L", "U", "l", "u"):
        raise ValueError("UPLO argument must be 'L' or 'U'")
    return triangle in ("U", "u")


def _require_complex(name: str, a: Any) -> None:
    """Refuse real numbers, whose eigenvalues are real in NumPy where they happen to be."""
    if a.dtype.kind != "c":
        raise unsupported(f"numpy.{name} of {a.dtype}, of which the values choose a dtype,")


def complex_eig(a: Any) -> Any:
    """Return the eigenvalues and eigenvectors of complex matrices."""
    _require_complex("linalg.eig", a)
    return eig(a)


def complex_eigvals(a: Any) -> Any:
    """Return the eigenvalues of complex matrices."""
    _require_complex("linalg.eigvals", a)
    return eigvals(a)


def complex_roots(p: Any) -> Any:
    """Return the roots of a polynomial of complex coefficients."""
    if p.dtype.kind != "c":
        raise SymbolicArrayError(
            f"numpy.roots of {p.dtype} has no counterpart here",
            cause="its result is complex or real, as the numbers happen to be",
            fix="write xp.roots(x), of the namespace xp; its result is complex for any numbers",
        )
    if tuple(p.shape) == (1,):
        return np.zeros(0)
    # NumPy takes out the zeros behind, and of none it makes real numbers
    assert_(any_(not_equal(p[1:], 0)), "roots: all coefficients but the first are 0")
    return roots(p)


def real_poly(seq_of_zeros: Any) -> Any:
    """Return the coefficients of a polynomial of real roots, or of a real matrix."""
    if seq_of_zeros.dtype.kind == "c":
        raise unsupported("numpy.poly of complex numbers, whose values choose the dtype")
    if seq_of_zeros.dtype == np.float16:  # computed in float64 there
        seq_of_zeros = as_dtype(seq_of_zeros, np.dtype(np.float64))
    return poly(seq_of_zeros)


def read_eigh(a: Any, UPLO: Any = "L") -> Any:
    """Return eigenvalues and eigenvectors, from the triangle that NumPy is told to read."""
    return eigh(a, upper=_upper(UPLO))


def read_eigvalsh(a: Any, UPLO: Any = "L") -> Any:
    """Return eigenvalues, from the triangle that NumPy is told to read."""
    return eigvalsh(a, upper=_upper(UPLO))


def solved_by_least_squares(a: Any, b: Any, rcond: Any = None) -> Any:
    """Return the four results of NumPy; a negative `rcond` is the dtype's eps there."""
    if rcond is not None and rcond < 0:
        raise unsupported("numpy.linalg.lstsq with a negative rcond")
    return tuple(lstsq(a, b, rtol=rcond))


def qr_or_triangle(a: Any, mode: Any = "reduced") -> Any:
    """Return the decomposition, or its triangular part alone."""
    if mode == "raw":
        raise unsupported('numpy.linalg.qr with mode="raw"')
    return qr(a).R if mode == "r" else qr(a, mode=mode)


def svd_or_values(a: Any, full_matrices: Any = True, compute_uv: Any = True) -> Any:
    """Return the decomposition, or the singular values alone."""
    return svd(a, full_matrices=full_matrices) if compute_uv else svdvals(a)
