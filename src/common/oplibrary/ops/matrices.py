"""What the ops of linear algebra share: checks, dtypes, conjugate transposes, and refusals.

A matrix is the last two axes of an operand; the axes before them are those of a batch. Several
results of one decomposition are parts of one array, which a single op computes: its parts are
sliced out of it, so that a gradient goes to all of them at once.

Gradients are PyTorch's, for complex numbers too: they are written with conjugate transposes.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import numpy as np

from oplibrary.messages.errors import DTypeError, LinAlgError, MatrixShapeError
from oplibrary.ops.comparison import equal, logical_and
from oplibrary.ops.diagonal import diagonal, diagonal_embed
from oplibrary.ops.elementwise import conj, where
from oplibrary.ops.movement import matrix_transpose
from oplibrary.ops.slicing import slice_axis
from oplibrary.values.dtypes import FLOATING, is_bfloat16, promoted
from oplibrary.values.types import Array, TensorType, type_of

# checks -------------------------------------------------------------------------------------------


def require_matrix(name: str, x: TensorType) -> tuple[int, int]:
    """Return the lengths of the last two axes.

    Raises
    ------
    MatrixShapeError
        If `x` has fewer than two axes.
    """
    if x.ndim < 2:
        raise MatrixShapeError(
            f"{name} of shape {x.shape}, which has fewer than two axes",
            fix="make a vector a matrix of one row or column with expand_dims",
        )
    return x.shape[-2], x.shape[-1]


def require_square(name: str, x: TensorType) -> int:
    """Return the length of the last two axes, which must be one.

    Raises
    ------
    MatrixShapeError
        If it is not.
    """
    rows, columns = require_matrix(name, x)
    if rows != columns:
        raise MatrixShapeError(
            f"{name} of shape {x.shape}: the matrices have {rows} rows and {columns} columns",
            cause="it is defined for square matrices only",
            fix="use lstsq, pinv, qr or svd, which take matrices of any shape",
        )
    return rows


def matrix_dtype(name: str, *types: TensorType) -> np.dtype[Any]:
    """Return the dtype that LAPACK computes in: whole numbers become float64.

    Raises
    ------
    DTypeError
        If LAPACK knows no such numbers.
    """
    result = np.dtype(np.float32)
    for each in types:
        dtype = each.dtype
        if dtype.kind in "biu":
            dtype = np.dtype(np.float64)
        elif dtype.kind not in FLOATING or real_dtype(dtype).itemsize not in (4, 8):
            raise DTypeError(
                f"{name} is not defined for {dtype}",
                cause="LAPACK computes in float32, float64, complex64 and complex128",
                fix="convert with astype first",
            )
        result = promoted(result, dtype)
    return result


def real_dtype(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """Return the dtype of the parts of numbers of `dtype`."""
    return np.empty(0, dtype).real.dtype


# refusals -----------------------------------------------------------------------------------------


def attempted(
    name: str,
    function: Callable[..., Any],
    x: Array,
    *,
    refusal: str,
    square: bool = True,
    refuses: Callable[[Array], Any] | None = None,
) -> Any:
    """Return ``function(x)``, a function of NumPy's, whose refusal is told in our terms.

    Parameters
    ----------
    name : str
        What the user called.
    function : callable
    x : ndarray
    refusal : str
        What is wrong with a matrix that it refuses.
    square : bool
        Whether the matrices must be square.
    refuses : callable, optional
        What refuses the same single matrices; `function` itself by default.

    Raises
    ------
    LinAlgError
        Naming the first matrix of a batch that is refused.
    """
    if is_bfloat16(x.dtype):  # NumPy takes any dtype that converts to float64
        matrix_dtype(name, type_of(x))
    try:
        return function(x)
    except np.linalg.LinAlgError:
        (require_square if square else require_matrix)(name, type_of(x))
        place = _first_refused(refuses or function, x)
        raise LinAlgError(f"{name}: {refusal}{place}") from None


def _first_refused(refuses: Callable[[Array], Any], x: Array) -> str:
    """Return where the first matrix stands that is refused; nothing if `x` is a single one."""
    for index in np.ndindex(x.shape[:-2]):
        try:
            refuses(x[index])
        except np.linalg.LinAlgError:
            return f"; it is matrix {', '.join(map(str, index))} of the batch" if index else ""
    return ""


def computed(
    name: str, function: Callable[..., Any], x: Array, out: Array | None, **told: Any
) -> Any:
    """Return `attempted` in row-major order: in `out`, if there is one."""
    return given(attempted(name, function, x, **told), out)


def given(result: Any, out: Array | None) -> Any:
    """Return `result` in row-major order: in `out`, if there is one."""
    if out is None:
        return np.asarray(result, order="C")
    out[...] = result
    return out


SINGULAR = "the matrix is singular"
NOT_DEFINITE = "the matrix is not positive definite"
NOT_CONVERGED = "the iteration did not converge: the matrix holds NaN or infinities"


# what rules are made of ---------------------------------------------------------------------------


class Conjugating:
    """A gradient rule as it is written with conjugate transposes.

    The gradient of a real L by ``z = x + iy`` is then dL/dx + i dL/dy, as in the literature and for
    users; executors pass on its conjugate (`oplibrary.executors.autodiff.conjugated`).

    Parameters
    ----------
    rule : callable
        See `vjp` of an op.
    """

    def __init__(self, rule: Callable[..., Any]) -> None:
        self._rule = rule
        self.__signature__ = inspect.signature(rule)  # it says what the rule reads

    def __call__(self, g: Any, *saved: Any, **attrs: Any) -> Any:
        """Return the conjugate of the gradient that the rule gives for the conjugate of `g`."""
        result = self._rule(_conjugated(g), *saved, **attrs)
        return _conjugated(result)


def _conjugated(x: Any) -> Any:
    return conj(x) if x.dtype.kind == "c" else x


def adjoint(x: Any) -> Any:
    """Return the conjugate transposes of matrices."""
    return matrix_transpose(_conjugated(x))


def part(x: Any, rows: tuple[int, int], columns: tuple[int, int]) -> Any:
    """Return the block of each matrix from the first up to the second of `rows` and `columns`."""
    if columns != (0, x.shape[-1]):
        x = slice_axis(x, start=columns[0], stop=columns[1], axis=-1)
    if rows != (0, x.shape[-2]):
        x = slice_axis(x, start=rows[0], stop=rows[1], axis=-2)
    return x


def on_diagonal(x: Any, like: Any) -> Any:
    """Return matrices of the shape of `like` with `x` on their diagonals, and zeros."""
    return diagonal_embed(x, shape=like.shape)


def without_diagonal(x: Any) -> Any:
    """Return matrices with zeros on their diagonals."""
    return x - on_diagonal(diagonal(x), x)


def quotient(x: Any, y: Any) -> Any:
    """Return ``x / y``, and 0 where both are 0.

    In a gradient `y` is what lies between two eigenvalues or singular values: where they are equal,
    a result that does not depend on the choice of their vectors has an `x` of 0 there.
    """
    neither = logical_and(equal(y, 0), equal(x, 0))
    return x / where(neither, 1, y)
