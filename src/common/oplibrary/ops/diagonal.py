"""Ops on diagonals and triangles of the last two axes."""

from __future__ import annotations

from typing import Any

import numpy as np

from oplibrary.core.batching import trailing
from oplibrary.core.op import Kind, Op, example
from oplibrary.core.registry import public, public_in, register
from oplibrary.core.rules import movement
from oplibrary.messages.errors import ArgumentError, ShapeError
from oplibrary.ops.arguments import normalize_shape, operand_type, require_int
from oplibrary.ops.comparison import equal, greater_equal, less_equal
from oplibrary.ops.creation import ones_like
from oplibrary.ops.elementwise import cast, where
from oplibrary.ops.indexing import Slice, basic_index
from oplibrary.ops.movement import broadcast_to, expand_dims
from oplibrary.ops.reduction import sum as sum_over
from oplibrary.ops.scan import cumulative_sum
from oplibrary.values.types import Array, Shape, TensorType, is_known


def _matrix(name: str, shape: Shape) -> tuple[int, int]:
    """Return the lengths of the last two axes."""
    if len(shape) < 2:
        raise ShapeError(
            f"{name} of shape {shape}, which has fewer than two axes",
            cause="a diagonal runs through the last two axes",
            fix="use diag to make a matrix of a vector",
        )
    return shape[-2], shape[-1]


def _length(rows: int, columns: int, offset: int) -> int:
    return max(0, min(rows - max(-offset, 0), columns - max(offset, 0)))


def _diagonal_infer(x: TensorType, *, offset: int = 0) -> TensorType:
    rows, columns = _matrix("diagonal", x.shape)
    if abs(require_int(offset, "offset")) >= 2**31 and abs(offset) > rows + columns:
        raise ArgumentError(
            f"diagonal: offset is {offset}",
            cause="it is counted with 32 bits, and no diagonal is so far away",
            fix="pass a number of rows or columns of the matrix",
        )
    return TensorType(
        (*x.shape[:-2], _length(rows, columns, require_int(offset, "offset"))), x.dtype
    )


diagonal: Op = movement(
    "diagonal",
    lambda x, *, offset=0: x.diagonal(require_int(offset, "offset"), -2, -1),
    infer=_diagonal_infer,
    vjp=lambda g, _out, x_type, *, offset: diagonal_embed(g, shape=x_type.shape, offset=offset),
    attrs={"offset": 0},
    view=True,
    examples=(
        example((3, 3)),
        example((3, 4), offset=1),
        example((2, 4, 3), offset=-2),
        example((2, 2), offset=5),
    ),
    namespaces=("", "linalg"),
    batch=trailing,
    doc="Return the diagonal of the last two axes, `offset` columns to the right. Read-only.",
)


def _diagonal_embed(x: Array, out: Array | None = None, *, shape: Any, offset: int = 0) -> Any:
    if out is None:
        out = np.zeros(normalize_shape(shape), x.dtype)
    else:
        out.fill(0)
    positions = np.arange(_length(out.shape[-2], out.shape[-1], offset))
    if x.shape != (*out.shape[:-2], len(positions)):
        raise ValueError("not a diagonal of that shape")
    out[..., positions + max(-offset, 0), positions + max(offset, 0)] = x
    return out


def _diagonal_embed_infer(x: TensorType, *, shape: Any, offset: int = 0) -> TensorType:
    wanted = normalize_shape(shape)
    _matrix("diagonal_embed into", wanted)
    diagonal_type = _diagonal_infer(TensorType(wanted, x.dtype), offset=offset)
    if diagonal_type.shape != x.shape:
        raise ShapeError(
            f"diagonal_embed: shape {x.shape} is not a diagonal of {wanted}",
            cause=f"the diagonal with offset {offset} has shape {diagonal_type.shape}",
            fix="change the shape or the offset",
        )
    return TensorType(wanted, x.dtype)


def _lower_diagonal_embed(x: Any, *, shape: Any, offset: int = 0) -> Any | None:
    """Return the diagonal of a matrix chosen from copies of it; None where it is not as long."""
    if offset or tuple(shape[-2:]) != (x.shape[-1],) * 2:
        return None
    copies = broadcast_to(expand_dims(x, axis=-1), shape=tuple(shape))
    here = equal(_right_of_diagonal(copies), 0)
    return where(here, copies, np.zeros((), x.dtype))


diagonal_embed: Op = register(
    Op(
        name="diagonal_embed",
        kind=Kind.MOVEMENT,
        arity=1,
        kernel=_diagonal_embed,
        infer=_diagonal_embed_infer,
        vjp=(lambda g, _out, _x, *, shape, offset: diagonal(g, offset=offset),),
        attrs={"shape": ..., "offset": 0},
        lowering=_lower_diagonal_embed,
        takes_out=True,
        examples=(
            example((3,), shape=(3, 3)),
            example((2, 2), shape=(2, 4, 3), offset=-2),
            example((0,), shape=(2, 2), offset=5),
        ),
        doc="Return zeros of `shape` with x on a diagonal: the gradient of diagonal.",
    )
)


@public
def diag(x: Any, offset: int = 0) -> Any:
    """Make a matrix with `x` on its diagonal, or take the diagonal of a matrix.

    Parameters
    ----------
    x : array, (n,) or (n, m)
    offset : int
        Columns to the right of the main diagonal; negative counts down.

    Raises
    ------
    ShapeError
        If `x` has neither one axis nor two.

    Examples
    --------
    >>> diag(np.array([1, 2])).tolist()
    [[1, 0], [0, 2]]
    >>> diag(np.array([[1, 2], [3, 4]]), 1).tolist()
    [2]
    """
    shape = operand_type("diag", x).shape
    if len(shape) == 2:
        return diagonal(x, offset=offset)
    if len(shape) != 1:
        raise ShapeError(
            f"diag of shape {shape}",
            cause="diag is defined for vectors and matrices",
            fix="use diagonal for a stack of matrices",
        )
    n = shape[0] + abs(require_int(offset, "offset"))
    return diagonal_embed(x, shape=(n, n), offset=offset)


@public_in("", "linalg")
def trace(x: Any, offset: int = 0, *, dtype: Any = None) -> Any:
    """Sum the diagonal of the last two axes.

    Parameters
    ----------
    x : array, (..., n, m)
    offset : int
    dtype : dtype, optional
        What the elements are converted to before they are added.

    Raises
    ------
    ShapeError
        If `x` has fewer than two axes.

    Examples
    --------
    >>> int(trace(np.array([[1, 2], [3, 4]])))
    5
    """
    return sum_over(diagonal(x, offset=offset), axis=-1, dtype=dtype)


def _right_of_diagonal(x: Any) -> Any:
    """Return how far right of the main diagonal each place of a matrix is, counted in the run."""
    corner = (0,) * (len(x.shape) - 2)
    sides = [basic_index(x, index=(*corner, *at)) for at in ((Slice(), 0), (0, Slice()))]
    rows, columns = [cumulative_sum(ones_like(each, dtype=np.int64), axis=0) for each in sides]
    return columns - expand_dims(rows, axis=1)


def _triangle(name: str, compare: np.ufunc, beside: Op, doc: str) -> Op:
    def mask(shape: Shape, k: int) -> Array:
        rows, columns = _matrix(name, shape)
        k = require_int(k, "k")
        if abs(k) >= 2**63:
            raise OverflowError(f"k={k} is more than 64 bits hold")
        # beyond both corners it makes no difference, and the sums below would leave 64 bits
        k = max(-rows - columns, min(k, rows + columns))
        inside: Array = compare.outer(np.arange(rows), np.arange(-k, columns - k))
        return inside

    def kernel(x: Array, out: Array | None = None, *, k: int = 0) -> Any:
        inside = mask(x.shape, k)
        if out is None:
            out = np.zeros(x.shape, x.dtype)
        else:
            out.fill(0)
        # not a product with a mask of ones and zeros: that would keep NaN
        np.copyto(out, x, where=inside)
        return out

    def lower(x: Any, *, k: int) -> Any:
        if all(map(is_known, x.shape)):
            inside: Any = mask(tuple(x.shape), k)
        else:
            inside = beside(_right_of_diagonal(x), k)
        return cast(where(inside, x, np.zeros((), x.dtype)), dtype=x.dtype)

    def infer(x: TensorType, *, k: int = 0) -> TensorType:
        _matrix(name, x.shape)
        require_int(k, "k")
        return x

    op = register(
        Op(
            name=name,
            kind=Kind.MOVEMENT,
            arity=1,
            kernel=kernel,
            infer=infer,
            vjp=(lambda g, _out, _x, *, k: op(g, k=k),),
            attrs={"k": 0},
            lowering=lower,
            takes_out=True,
            examples=(
                example((3, 3)),
                example((3, 4), k=1),
                example((2, 4, 3), k=-2),
                example((0, 2)),
            ),
            batch=trailing,
            doc=doc,
        )
    )
    return op


tril = _triangle(
    "tril",
    np.greater_equal,
    less_equal,
    "Keep the lower triangle, up to the `k`-th diagonal, and zero the rest.",
)
triu = _triangle(
    "triu",
    np.less_equal,
    greater_equal,
    "Keep the upper triangle, from the `k`-th diagonal on, and zero the rest.",
)
