"""The singular value decomposition, and what is made of singular values."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from oplibrary.core.batching import trailing, unchanged
from oplibrary.core.op import Kind, Op, example
from oplibrary.core.registry import public_in, register
from oplibrary.messages.errors import NotDifferentiableError
from oplibrary.ops.arguments import operand_type, require_flag
from oplibrary.ops.diagonal import diagonal
from oplibrary.ops.elementwise import real
from oplibrary.ops.joining import concat
from oplibrary.ops.linalg import matmul
from oplibrary.ops.matrices import (
    NOT_CONVERGED,
    Conjugating,
    adjoint,
    computed,
    matrix_dtype,
    on_diagonal,
    part,
    quotient,
    real_dtype,
    require_matrix,
    without_diagonal,
)
from oplibrary.ops.movement import expand_dims, matrix_transpose
from oplibrary.ops.slicing import index_axis, slice_axis
from oplibrary.values.types import Array, Shape, TensorType

# columns that nothing determines ------------------------------------------------------------------


def _refuse(*_: Any, **__: Any) -> Any:
    raise NotDifferentiableError(
        "the gradient of the columns that complete an orthogonal basis",
        cause="the matrix does not determine them: any basis of what they span would do",
        fix="ask for the others alone: svd(x, full_matrices=False), or qr(x)",
    )


undetermined: Op = register(
    Op(
        name="undetermined",
        kind=Kind.MOVEMENT,
        arity=1,
        kernel=lambda x: x[...],
        infer=lambda x: x,
        vjp=(lambda _g, _out, _x: _refuse(),),
        view=True,
        public=False,
        examples=(example(np.arange(3)),),
        batch=unchanged,
        doc="Return the operand; a gradient of it is refused.",
    )
)


def completed(columns: Any, count: int) -> Any:
    """Return orthogonal columns of which the first `count` have gradients."""
    if columns.shape[-1] == count:
        return columns
    others = slice_axis(columns, start=count, stop=columns.shape[-1], axis=-1)
    first = slice_axis(columns, start=0, stop=count, axis=-1)
    return concat([first, undetermined(others)], axis=-1)


# svd ----------------------------------------------------------------------------------------------


class SVDResult(NamedTuple):
    """The singular vectors and values: ``x = U @ diag(S) @ Vh``."""

    U: Any
    S: Any
    Vh: Any


def _widths(shape: Shape, full_matrices: bool) -> tuple[int, int, int]:
    """Return how many singular values there are, and columns of U and of V."""
    rows, columns = shape[-2:]
    least = min(rows, columns)
    return (least, rows, columns) if full_matrices else (least, least, least)


def _svd_joined(x: Array, full_matrices: bool) -> Array:
    """Return U, a row of singular values, and the transpose of Vh, one above the other."""
    u, s, vh = np.linalg.svd(x, full_matrices=full_matrices)
    rows, columns = x.shape[-2:]
    least, left, right = _widths(x.shape, full_matrices)
    result = np.zeros((*x.shape[:-2], rows + 1 + columns, max(left, right)), u.dtype)
    result[..., :rows, :left] = u
    result[..., rows, :least] = s
    result[..., rows + 1 :, :right] = vh.swapaxes(-1, -2)
    return result


def _svd_infer(x: TensorType, *, full_matrices: bool = True) -> TensorType:
    rows, columns = require_matrix("svd", x)
    _, left, right = _widths(x.shape, bool(full_matrices))
    shape = (*x.shape[:-2], rows + 1 + columns, max(left, right))
    return TensorType(shape, matrix_dtype("svd", x))


def _svd_parts(joined: Any, shape: Shape, left: int, right: int) -> tuple[Any, Any, Any]:
    """Return so many columns of U, the singular values, and so many rows of Vh."""
    rows, columns = shape[-2:]
    values = index_axis(joined, index=rows, axis=-2)
    if min(rows, columns) != values.shape[-1]:
        values = slice_axis(values, start=0, stop=min(rows, columns), axis=-1)
    v = part(joined, (rows + 1, rows + 1 + columns), (0, right))
    return (
        part(joined, (0, rows), (0, left)),
        real(values) if joined.dtype.kind == "c" else values,
        matrix_transpose(v),
    )


def _svd_rule(g: Any, out: Any, x_type: TensorType, *, full_matrices: bool) -> Any:
    """Return the gradient; J. Townsend, "Differentiating the singular value decomposition" (2016).

    For complex matrices: Z. Wan and S. Zhang, "Automatic differentiation for complex valued SVD",
    arXiv:1909.02659, without the phases of the singular vectors, which a result may not depend on.
    """
    rows, columns = x_type.shape[-2:]
    least = min(rows, columns)
    u, s, vh = _svd_parts(out, x_type.shape, least, least)
    gu, gs, gvh = _svd_parts(g, x_type.shape, least, least)
    left, right = matmul(adjoint(u), gu), matmul(vh, adjoint(gvh))
    row, column = expand_dims(s, axis=-2), expand_dims(s, axis=-1)
    gaps = (row - column) * (row + column)
    turned_left, turned_right = left - adjoint(left), right - adjoint(right)
    inner = quotient(without_diagonal(turned_left), gaps) * row
    inner = inner + column * quotient(without_diagonal(turned_right), gaps)
    inner = inner + on_diagonal(gs, inner)
    if x_type.dtype.kind == "c":
        phases = quotient(diagonal(turned_left) - diagonal(turned_right), 4 * s)
        inner = inner + on_diagonal(phases, inner)
    result = matmul(u, inner)
    if rows > columns:
        result = result + quotient(gu - matmul(u, left), row)
    result = matmul(result, vh)
    if columns > rows:
        beyond = gvh - matmul(matmul(gvh, adjoint(vh)), vh)
        result = result + matmul(u, quotient(beyond, column))
    return result


svd_joined: Op = register(
    Op(
        name="svd",
        kind=Kind.OPAQUE,
        arity=1,
        kernel=lambda x, out=None, *, full_matrices=True: computed(
            "svd",
            lambda each: _svd_joined(each, require_flag(full_matrices, "full_matrices")),
            x,
            out,
            refusal=NOT_CONVERGED,
            square=False,
        ),
        infer=_svd_infer,
        vjp=(Conjugating(_svd_rule),),
        attrs={"full_matrices": True},
        takes_out=True,
        public=False,
        namespaces=("linalg",),
        examples=(
            example((3, 3)),
            example((3, 2), full_matrices=False),
            example((2, 2, 3), full_matrices=False),
            example((1, 1)),
            example((0, 2), full_matrices=False),
            example((2, 0, 0)),
        ),
        batch=trailing,
        doc="Return the singular vectors and values of matrices, joined.",
    )
)


@public_in("linalg")
def svd(x: Any, full_matrices: bool = True) -> SVDResult:
    """Return the singular value decompositions ``x = U @ diag(S) @ Vh``.

    Gradients are those of singular vectors up to signs (phases), and infinite or NaN where singular
    values are equal or, of matrices that are not square, 0. The columns that `full_matrices` adds
    have none; a gradient of them is refused.

    Parameters
    ----------
    x : array, (..., n, m)
    full_matrices : bool
        Complete U and Vh to square matrices; otherwise they have min(n, m) columns and rows.

    Returns
    -------
    U : array, (..., n, n) or (..., n, min(n, m))
    S : array, (..., min(n, m))
        Real, in descending order.
    Vh : array, (..., m, m) or (..., min(n, m), m)

    Raises
    ------
    ArgumentError
        If `full_matrices` is no bool.
    LinAlgError
        If a matrix holds NaN or infinities.
    MatrixShapeError
        If `x` has fewer than two axes.

    Examples
    --------
    >>> svd(np.array([[3.0, 0.0], [0.0, -4.0]])).S.tolist()
    [4.0, 3.0]
    """
    require_flag(full_matrices, "full_matrices")
    shape = operand_type("svd", x).shape
    rows, columns = require_matrix("svd", operand_type("svd", x))
    joined = svd_joined(x, full_matrices=full_matrices and rows != columns)
    least, left, right = _widths(shape, bool(full_matrices))
    u, s, vh = _svd_parts(joined, shape, left, right)
    v = completed(matrix_transpose(vh), least)
    return SVDResult(completed(u, least), s, matrix_transpose(v))


# the values alone ---------------------------------------------------------------------------------


def _svdvals_infer(x: TensorType) -> TensorType:
    rows, columns = require_matrix("svdvals", x)
    return TensorType((*x.shape[:-2], min(rows, columns)), real_dtype(matrix_dtype("svdvals", x)))


def _svdvals_rule(g: Any, _out: Any, x: Any) -> Any:
    u, _, vh = svd(x, full_matrices=False)
    return matmul(u * expand_dims(g, axis=-2), vh)


svdvals: Op = register(
    Op(
        name="svdvals",
        kind=Kind.OPAQUE,
        arity=1,
        kernel=lambda x, out=None: computed(
            "svdvals",
            lambda each: np.linalg.svd(each, compute_uv=False),
            x,
            out,
            refusal=NOT_CONVERGED,
            square=False,
        ),
        infer=_svdvals_infer,
        vjp=(Conjugating(_svdvals_rule),),
        takes_out=True,
        namespaces=("linalg",),
        examples=(
            example((3, 3)),
            example((3, 2)),
            example((2, 2, 3)),
            example((1, 1)),
            example((0, 2)),
        ),
        batch=trailing,
        doc="Return the singular values of matrices, in descending order.",
    )
)
