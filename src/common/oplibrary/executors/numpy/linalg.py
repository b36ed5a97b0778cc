"""What the functions of ``numpy.linalg`` are called here, where names alone do not say it."""

from __future__ import annotations

from typing import Any

from oplibrary.executors.numpy.protocols import unsupported
from oplibrary.ops.eigenvalues import eigh, eigvalsh
from oplibrary.ops.elementwise import conj
from oplibrary.ops.least_squares import lstsq
from oplibrary.ops.movement import matrix_transpose
from oplibrary.ops.singular_values import svd, svdvals


def _lower(a: Any, triangle: Any) -> Any:
    """Return `a` with the triangle that is to be read as the lower one."""
    if triangle not in ("L", "U", "l", "u"):
        raise ValueError("UPLO argument must be 'L' or 'U'")
    return a if triangle in ("L", "l") else matrix_transpose(conj(a))


def read_eigh(a: Any, UPLO: Any = "L") -> Any:
    """Return eigenvalues and eigenvectors, from the triangle that NumPy is told to read."""
    return eigh(_lower(a, UPLO))


def read_eigvalsh(a: Any, UPLO: Any = "L") -> Any:
    """Return eigenvalues, from the triangle that NumPy is told to read."""
    return eigvalsh(_lower(a, UPLO))


def solved_by_least_squares(a: Any, b: Any, rcond: Any = None) -> Any:
    """Return the four results of NumPy; a negative `rcond` is the dtype's eps there."""
    if rcond is not None and rcond < 0:
        raise unsupported("numpy.linalg.lstsq with a negative rcond")
    return tuple(lstsq(a, b, rtol=rcond))


def svd_or_values(a: Any, full_matrices: Any = True, compute_uv: Any = True) -> Any:
    """Return the decomposition, or the singular values alone."""
    return svd(a, full_matrices=full_matrices) if compute_uv else svdvals(a)
