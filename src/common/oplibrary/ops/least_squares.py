"""Pseudoinverses and least squares.

Both are differentiated at constant rank: G. H. Golub and V. Pereyra, "The differentiation of
pseudo-inverses and nonlinear least squares problems whose variables separate", SIAM J. Numer. Anal.
10 (1973).
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from oplibrary.core.batching import trailing
from oplibrary.core.op import Kind, Op, example
from oplibrary.core.registry import public_in, register
from oplibrary.messages.errors import DTypeError, LinAlgError, ShapeError, SideBySideError
from oplibrary.ops.arguments import operand_type, require_number
from oplibrary.ops.comparison import greater
from oplibrary.ops.elementwise import abs as magnitude
from oplibrary.ops.elementwise import cast, maximum, square
from oplibrary.ops.linalg import matmul
from oplibrary.ops.matrices import (
    NOT_CONVERGED,
    Conjugating,
    adjoint,
    attempted,
    computed,
    given,
    matrix_dtype,
    require_matrix,
)
from oplibrary.ops.movement import expand_dims, squeeze
from oplibrary.ops.reduction import count_nonzero
from oplibrary.ops.reduction import max as greatest
from oplibrary.ops.reduction import sum as sum_over
from oplibrary.ops.singular_values import svdvals
from oplibrary.values.dtypes import FLOATING, REAL_FLOATING
from oplibrary.values.types import Array, TensorType, broadcast_shapes, is_known, type_of

NAMESPACES = ("linalg",)
Number = float | None


def _tolerance(x: Array, rtol: Any) -> Any:
    """Return the part of the greatest singular value below which others count as 0."""
    if rtol is not None:
        if not hasattr(rtol, "shape"):
            require_number(rtol, "rtol")
        return rtol
    return max(x.shape[-2:]) * float(np.finfo(matrix_dtype("pinv", type_of(x))).eps)


# the pseudoinverse --------------------------------------------------------------------------------


def _pinv(x: Array, out: Array | None = None, *, rtol: Any = None) -> Any:
    def inverted(each: Array) -> Any:
        return np.linalg.pinv(each, rcond=_tolerance(each, rtol))

    wanted = x if x.dtype.kind in FLOATING else x.astype(np.float64)
    told = {"refusal": NOT_CONVERGED, "square": False, "refuses": np.linalg.pinv}
    return computed("pinv", inverted, wanted, out, **told)


def _pinv_infer(x: TensorType, *, rtol: float | None = None) -> TensorType:
    rows, columns = require_matrix("pinv", x)
    if rtol is not None:
        require_number(rtol, "rtol")
    return TensorType((*x.shape[:-2], columns, rows), matrix_dtype("pinv", x))


def _pinv_rule(g: Any, out: Any, x: Any, *, rtol: Number) -> Any:
    back, h = adjoint(out), adjoint(g)
    within = matmul(matmul(back, g), back)
    above = matmul(h - matmul(x, matmul(out, h)), matmul(out, back))
    beside = matmul(matmul(back, out), h - matmul(matmul(h, out), x))
    return above + beside - within


def _pinv_within_infer(x: TensorType, rtol: TensorType) -> TensorType:
    if broadcast_shapes(x.shape[:-2], rtol.shape) != x.shape[:-2]:
        raise ShapeError(
            f"pinv: rtol {rtol.shape} for matrices {x.shape}",
            cause="each matrix has one tolerance",
            fix=f"give rtol the shape {x.shape[:-2]}, or pass a number",
        )
    if rtol.dtype.kind not in "iu" and rtol.dtype.kind not in REAL_FLOATING:
        raise DTypeError(
            f"pinv: rtol is {rtol.dtype}",
            cause="it is compared with singular values, which are real numbers",
            fix="pass real numbers",
        )
    return _pinv_infer(x)


def _pinv_within(x: Array, rtol: Array, out: Array | None = None) -> Any:
    _pinv_within_infer(type_of(x), type_of(rtol))
    return _pinv(x, out, rtol=np.broadcast_to(rtol, x.shape[:-2]))


_PINV_WITHIN: Op = register(
    Op(
        name="pinv_within",
        kind=Kind.OPAQUE,
        arity=2,
        kernel=_pinv_within,
        infer=_pinv_within_infer,
        vjp=(Conjugating(lambda g, out, x, _rtol: _pinv_rule(g, out, x, rtol=None)), None),
        takes_out=True,
        public=False,
        examples=(
            example((2, 3, 2), np.array([1e-9, 1e-12])),
            example((3, 2), np.array(1e-9)),
        ),
        doc="Return the pseudoinverses of matrices, each with a tolerance of its own.",
    )
)

_PINV: Op = register(
    Op(
        name="pinv",
        kind=Kind.OPAQUE,
        arity=1,
        kernel=_pinv,
        infer=_pinv_infer,
        vjp=(Conjugating(_pinv_rule),),
        attrs={"rtol": None},
        takes_out=True,
        namespaces=NAMESPACES,
        examples=(
            example((3, 2)),
            example((2, 3)),
            example((2, 2, 2), rtol=1e-9),
            example((1, 1)),
            example((0, 2)),
        ),
        batch=trailing,
        doc="Return the Moore-Penrose pseudoinverses of matrices.\n\n"
        "Singular values up to `rtol` times the greatest count as 0; by default `rtol` is the "
        "greater length times the dtype's eps. The gradient is that at constant rank.",
    )
)


@public_in("linalg")
def pinv(x: Any, rtol: Any = None) -> Any:
    """Return the Moore-Penrose pseudoinverses of matrices; their gradient is that at constant rank.

    Parameters
    ----------
    x : array, (..., n, m)
    rtol : float or array, (...), optional
        Singular values up to this part of the greatest count as 0; by default the greater length
        times the dtype's eps.

    Returns
    -------
    array, (..., m, n)

    Raises
    ------
    MatrixShapeError
        If `x` has fewer than two axes.
    ShapeError
        If `rtol` does not broadcast to one number for each matrix.

    Examples
    --------
    >>> pinv(np.array([[2.0, 0.0], [0.0, 1e-9]]), rtol=1e-6).tolist()
    [[0.5, 0.0], [0.0, 0.0]]
    """
    by_number = rtol is None or not hasattr(rtol, "shape")
    found = _PINV(x, rtol=rtol) if by_number else _PINV_WITHIN(x, rtol)
    given_type = operand_type("pinv", x)
    if any(is_known(n) and n == 0 for n in given_type.shape[-2:]):
        return cast(found, dtype=given_type.dtype)  # NumPy computes nothing, and keeps the dtype
    return found


# least squares ------------------------------------------------------------------------------------


class LstsqResult(NamedTuple):
    """A solution, its residual sums, and what is known of the matrices."""

    solution: Any
    residuals: Any
    rank: Any
    singular_values: Any


def _lstsq_infer(a: TensorType, b: TensorType, *, rtol: float | None = None) -> TensorType:
    rows, columns = require_matrix("lstsq", a)
    require_matrix("lstsq", b)
    if rtol is not None:
        require_number(rtol, "rtol")
    if b.shape[-2] != rows:
        raise ShapeError(
            f"lstsq: shapes {a.shape} and {b.shape}: {rows} equations have {b.shape[-2]} right "
            "sides",
            cause="the right sides are the rows of b, one an equation",
            fix="give b as many rows as a has; transpose it where they are its columns",
        )
    batch = broadcast_shapes(a.shape[:-2], b.shape[:-2])
    return TensorType((*batch, columns, b.shape[-1]), matrix_dtype("lstsq", a, b))


def _lstsq(a: Array, b: Array, out: Array | None = None, *, rtol: float | None = None) -> Any:
    found = _lstsq_infer(type_of(a), type_of(b), rtol=rtol)
    batch = found.shape[:-2]
    lefts = np.broadcast_to(a, (*batch, *a.shape[-2:]))
    rights = np.broadcast_to(b, (*batch, *b.shape[-2:]))
    result = np.empty(found.shape, found.dtype)
    tolerance = _tolerance(a, rtol)
    for index in np.ndindex(batch):

        def solution(each: Array, right: Array = rights[index]) -> Any:
            return np.linalg.lstsq(each, right, tolerance)[0]

        result[index] = attempted(
            "lstsq", solution, lefts[index], refusal=NOT_CONVERGED, square=False
        )
    return given(result, out)


def _lstsq_b_rule(g: Any, _out: Any, a: Any, _b: Any, *, rtol: Number) -> Any:
    return matmul(adjoint(pinv(a, rtol=rtol)), g)


def _lstsq_a_rule(g: Any, out: Any, a: Any, b: Any, *, rtol: Number) -> Any:
    inverse = pinv(a, rtol=rtol)
    back = adjoint(inverse)
    pulled = matmul(back, g)
    residual = b - matmul(a, out)
    beside = g - matmul(inverse, matmul(a, g))
    return (
        matmul(residual, adjoint(matmul(inverse, pulled)))
        + matmul(matmul(back, out), adjoint(beside))
        - matmul(pulled, adjoint(out))
    )


lstsq_matrix: Op = register(
    Op(
        name="lstsq",
        kind=Kind.OPAQUE,
        arity=2,
        kernel=_lstsq,
        infer=_lstsq_infer,
        vjp=(Conjugating(_lstsq_a_rule), Conjugating(_lstsq_b_rule)),
        attrs={"rtol": None},
        takes_out=True,
        operand_names=("a", "b"),
        public=False,
        namespaces=NAMESPACES,
        examples=(
            example((3, 2), (3, 1)),
            example((2, 3), (2, 2)),
            example((2, 2, 2), (2, 1)),
            example((3, 0), (3, 1)),
        ),
        doc="Return the shortest x for which a @ x is nearest to the matrices b.",
    )
)


def _require_full_rank(residuals: Array, rank: Array, *, columns: int) -> Array:
    if rank < columns:
        raise LinAlgError(
            f"lstsq: the residuals for a matrix of rank {rank} with {columns} columns",
            cause="there are none where the rank is lower, and the length of a result is fixed",
            fix="compute them, as sum((b - a @ x) ** 2, axis=0)",
        )
    return np.array(residuals)


full_rank_residuals: Op = register(
    Op(
        name="full_rank_residuals",
        kind=Kind.OPAQUE,
        arity=2,
        kernel=_require_full_rank,
        infer=lambda residuals, _rank, *, columns: residuals,
        vjp=(lambda g, _out, _residuals, _rank, *, columns: g, None),
        attrs={"columns": ...},
        operand_names=("residuals", "rank"),
        public=False,
        namespaces=NAMESPACES,
        examples=(example((2,), np.array(3), columns=3),),
        doc="Return the residuals; a rank below the number of columns is refused.",
    )
)


def _of_full_rank(residuals: Any, rank: Any, columns: int) -> Any:
    """Return the residuals, or none where the rank is below the number of columns."""
    try:
        known = int(rank)
    except SideBySideError:  # a value that only a run knows
        return full_rank_residuals(residuals, rank, columns=columns)
    return residuals if known == columns else residuals[:0]


@public_in("linalg")
def lstsq(a: Any, b: Any, rtol: float | None = None) -> LstsqResult:
    """Return the shortest x for which ``a @ x`` is nearest to `b`.

    Parameters
    ----------
    a : array, (..., n, m)
    b : array, (n,) or (..., n, k)
    rtol : float, optional
        Singular values up to this part of the greatest count as 0; by default the greater length
        times the dtype's eps.

    Returns
    -------
    solution : array, (m,) or (..., m, k)
    residuals : array, (1,) or (..., k)
        The sum of the squares of ``b - a @ x`` for each column of `b`; of length 0 where there are
        no more equations than unknowns, or where the rank of a single matrix is lower, as in NumPy.
        Where only a run knows the rank, residuals that are read are refused then.
    rank : array, (...)
        How many singular values do not count as 0.
    singular_values : array, (..., min(n, m))

    Raises
    ------
    LinAlgError
        If a matrix holds NaN or infinities.
    ShapeError
        If the shapes do not fit.

    Examples
    --------
    >>> a = np.array([[1.0, 0.0], [1.0, 1.0], [1.0, 2.0]])
    >>> lstsq(a, np.array([1.0, 3.0, 5.0])).solution.round(9).tolist()
    [1.0, 2.0]
    """
    rows, columns = require_matrix("lstsq", operand_type("lstsq", a))
    is_vector = operand_type("lstsq", b).ndim == 1
    right = expand_dims(b, axis=-1) if is_vector else b
    solution = lstsq_matrix(a, right, rtol=rtol)
    residuals = sum_over(square(magnitude(right - matmul(a, solution))), axis=-2)
    values = svdvals(a)
    rank = _rank(values, a, rtol)
    if rows <= columns:
        residuals = residuals[..., :0]
    elif len(a.shape) == 2:
        residuals = _of_full_rank(residuals, rank, columns)
    return LstsqResult(
        squeeze(solution, axis=-1) if is_vector else solution,
        residuals,
        rank,
        values if values.dtype == residuals.dtype else cast(values, dtype=residuals.dtype),
    )


# the rank -----------------------------------------------------------------------------------------


def _rank(values: Any, x: Any, rtol: Any) -> Any:
    """Return how many singular values of `x` are above `rtol` times the greatest."""
    if values.shape[-1] == 0:
        return count_nonzero(values, axis=-1)
    most = greatest(values, axis=-1, keepdims=True)
    if rtol is None:
        eps = float(np.finfo(matrix_dtype("matrix_rank", type_of(x))).eps)
        # each length by itself, since it may be one that only a run knows
        rows, columns = operand_type("matrix_rank", x).shape[-2:]
        bound = maximum(most * eps * rows, most * eps * columns)
    else:
        bound = most * rtol
    return count_nonzero(greater(values, bound), axis=-1)


@public_in("linalg")
def matrix_rank(x: Any, rtol: Any = None) -> Any:
    """Return how many singular values of each matrix do not count as 0.

    Parameters
    ----------
    x : array, (..., n, m)
    rtol : float or array, (...), optional
        Singular values up to this part of the greatest count as 0; by default the greater length
        times the dtype's eps.

    Returns
    -------
    array, (...)
        Whole numbers.

    Raises
    ------
    MatrixShapeError
        If `x` has fewer than two axes.

    Examples
    --------
    >>> int(matrix_rank(np.array([[1.0, 2.0], [2.0, 4.0]])))
    1
    """
    require_matrix("matrix_rank", operand_type("matrix_rank", x))
    if getattr(rtol, "shape", ()):
        rtol = expand_dims(rtol, axis=-1)
    return _rank(svdvals(x), x, rtol)
