"""Selection along one axis by an array of indices, its gradient, and what is made of it.

A negative index counts from the end. An index outside its axis raises `IndexingError` when the
kernel runs, since only then the indices are known.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from math import prod
from string import ascii_lowercase, ascii_uppercase
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np

from oplibrary.core.batching import Rows, along_axis, move_axis
from oplibrary.core.op import Kind, Op, example
from oplibrary.core.registry import public, register
from oplibrary.messages.errors import DTypeError, IndexingError, ShapeError
from oplibrary.ops.arguments import operand_type, require_int
from oplibrary.ops.comparison import equal, logical_or
from oplibrary.ops.elementwise import cast, where
from oplibrary.ops.movement import expand_dims
from oplibrary.values.dtypes import FLOAT32, is_half, to_dtype
from oplibrary.values.types import (
    Array,
    Shape,
    TensorType,
    broadcast_shapes,
    normalize_axis,
    type_of_array,
)

if TYPE_CHECKING:
    import numpy.typing as npt

# checks -------------------------------------------------------------------------------------------


_UNFIT = "?LQ"
"""The characters of the dtypes that NumPy takes for indices, or for a mask, and that are none."""


def require_integers(name: str, indices: TensorType) -> None:
    """Refuse an array that cannot hold indices.

    Raises
    ------
    DTypeError
        If its dtype is not an integer that fits in int64.
    """
    if indices.dtype.kind not in "iu" or indices.dtype == np.uint64:
        raise DTypeError(
            f"{name}: indices are {indices.dtype}",
            cause="an index counts elements, as a whole number that fits in int64",
            fix="convert the indices with astype(indices, 'int64')",
        )


def raise_out_of_range(
    name: str, shape: Shape, arrays: Sequence[Array], axes: Sequence[int]
) -> NoReturn:
    """Name the first index that lies outside its axis."""
    for indices, axis in zip(arrays, axes):
        n = shape[axis]
        wrong = indices[(indices < -n) | (indices >= n)]
        if wrong.size:
            raise IndexingError(
                f"{name}: index {wrong.flat[0]} is out of bounds for axis {axis} of length {n}",
                cause=f"valid indices are {-n} to {n - 1}" if n else "the axis has no elements",
                fix="check the indices against the axis length",
            )
    raise IndexingError(
        f"{name}: index arrays of shapes {', '.join(str(a.shape) for a in arrays)} "
        f"do not select from {shape}",
        cause="index arrays broadcast together, and each selects from one axis",
        fix="give the index arrays shapes that broadcast",
    )


def from_start(indices: Array, n: int) -> Array:
    """Return `indices`, which are valid, counted from the start of an axis of length `n`.

    They are of NumPy's own index type, since neither a length nor a place in memory need fit in
    the type that they came in.
    """
    indices = indices.astype(np.intp, copy=False)
    return np.where(indices < 0, indices + n, indices)


def scatter_rows(g: Array, indices: Array, rows: int) -> Array:
    """Add the rows of `g`, ``(k, d)``, into zeros ``(rows, d)`` at `indices`, ``(k,)`` of intp.

    One flat index an element: NumPy's ``add.at`` has a fast loop for one dimension only, four times
    as fast as whole rows.
    """
    if is_half(g.dtype):
        return scatter_rows(g.astype(FLOAT32), indices, rows).astype(g.dtype)
    width = g.shape[1]
    result = np.zeros(rows * width, g.dtype)
    if width == 1:
        np.add.at(result, indices, g.reshape(-1))
    elif g.size:
        flat = (indices * width)[:, None] + np.arange(width)
        np.add.at(result, flat.reshape(-1), g.reshape(-1))
    return result.reshape(rows, width)


# take: one array, one axis ------------------------------------------------------------------------


def _take_axis(shape: Shape, axis: int | None) -> int:
    if axis is None:
        if len(shape) != 1:
            raise ShapeError(
                f"take: axis is missing for shape {shape}",
                cause="only an array of one axis has one axis to choose",
                fix="pass axis=0, or another axis",
            )
        return 0
    return normalize_axis(axis, len(shape))


def _take(x: Array, indices: Array, *, axis: int | None = None) -> Any:
    if axis is None or not x.ndim:
        axis = _take_axis(x.shape, axis)
    if type(indices) is np.ndarray and indices.dtype.char in _UNFIT:
        require_integers("take", type_of_array(indices))
    try:
        return x.take(indices, axis)
    except IndexError:
        axis = normalize_axis(axis, x.ndim)
        raise_out_of_range("take", x.shape, [np.asarray(indices)], [axis])


def _take_infer(x: TensorType, indices: TensorType, *, axis: int | None = None) -> TensorType:
    position = _take_axis(x.shape, axis)
    require_integers("take", indices)
    return TensorType((*x.shape[:position], *indices.shape, *x.shape[position + 1 :]), x.dtype)


def _take_gradient_kernel(g: Array, indices: Array, *, shape: Shape, axis: int) -> Array:
    indices = np.asarray(indices)
    flat = from_start(indices, shape[axis]).reshape(-1)
    if flat.size and not 0 <= np.minimum.reduce(flat) <= np.maximum.reduce(flat) < shape[axis]:
        raise_out_of_range("take_gradient", shape, [indices], [axis])
    before, after = shape[:axis], shape[axis + 1 :]
    if not before:
        rows = scatter_rows(g.reshape(flat.size, prod(after)), flat, shape[0])
        return rows.reshape(shape)
    g = np.moveaxis(g.reshape((*before, flat.size, *after)), axis, 0)
    rows = scatter_rows(g.reshape(flat.size, prod(before + after)), flat, shape[axis])
    moved = np.moveaxis(rows.reshape((shape[axis], *before, *after)), 0, axis)
    return np.ascontiguousarray(moved)


def _take_gradient_infer(
    g: TensorType, indices: TensorType, *, shape: Shape, axis: int
) -> TensorType:
    expected = _take_infer(TensorType(shape, g.dtype), indices, axis=axis).shape
    if g.shape != expected:
        raise ShapeError(
            f"take_gradient: updates of shape {g.shape} for indices {indices.shape} into {shape}",
            cause=f"one update an index is {expected}",
            fix="give the updates that shape",
        )
    return TensorType(shape, g.dtype)


def _taken(ndim: int, index_ndim: int, axis: int) -> tuple[str, str, str]:
    """Return the subscripts of the operand, the indices and the result of `take`."""
    before, after = ascii_lowercase[:axis], ascii_lowercase[axis : ndim - 1]
    selected = ascii_uppercase[:index_ndim]
    return f"{before}@{after}", selected, before + selected + after


def _take_subscripts(x: TensorType, indices: TensorType, *, axis: int | None) -> str:
    source, selected, result = _taken(x.ndim, indices.ndim, _take_axis(x.shape, axis))
    return f"{source},{selected}->{result}"


def _take_gradient_subscripts(
    _g: TensorType, indices: TensorType, *, shape: Shape, axis: int
) -> str:
    target, selected, given = _taken(len(shape), indices.ndim, axis % len(shape))
    return f"{given},{selected}->{target}"


def _take_rows(rows: Rows) -> Any:
    rows.result()
    x, indices = rows.operands
    x_type, index_type = rows.types
    axis = _take_axis(x_type.shape, rows.attrs["axis"])
    if not rows.batched[1]:
        return take(x, indices, axis=axis + 1)
    if not rows.batched[0]:
        ndim = x_type.ndim + index_type.ndim
        return move_axis(take(x, indices, axis=axis), ndim, axis, 0)
    return NotImplemented


take: Op = register(
    Op(
        name="take",
        kind=Kind.INDEXING,
        arity=2,
        selection=_take_subscripts,
        kernel=_take,
        infer=_take_infer,
        vjp=(
            lambda g, _out, x_type, indices, *, axis: take_gradient(
                g, indices, shape=x_type.shape, axis=_take_axis(x_type.shape, axis)
            ),
            None,
        ),
        attrs={"axis": None},
        operand_names=("x", "indices"),
        examples=(
            example((5, 3), np.array([0, 4, 4, -1]), axis=0),
            example((2, 4, 3), np.array([[1, 0], [3, 1]]), axis=1),
            example((5,), np.array([2, 2])),
            example((3, 4), np.array(2), axis=-1),
            example((3, 4), np.zeros((0,), np.int64), axis=0),
        ),
        batch=_take_rows,
        doc="Take the elements at `indices` along `axis`, which may be left out for one axis.",
    )
)

take_gradient: Op = register(
    Op(
        name="take_gradient",
        public=False,
        kind=Kind.INDEXING,
        arity=2,
        selection=_take_gradient_subscripts,
        kernel=_take_gradient_kernel,
        infer=_take_gradient_infer,
        vjp=(lambda h, _out, _g, indices, *, shape, axis: take(h, indices, axis=axis), None),
        attrs={"shape": ..., "axis": ...},
        operand_names=("g", "indices"),
        examples=(
            example((4, 3), np.array([0, 4, 4, -1]), shape=(5, 3), axis=0),
            example((2, 2, 2, 3), np.array([[1, 0], [3, 1]]), shape=(2, 4, 3), axis=1),
            example((3,), np.array(2), shape=(3, 4), axis=1),
        ),
        doc="Add each slice of g into zeros of `shape` at its index: the gradient of take.",
    )
)


# take_along_axis: one index an element ------------------------------------------------------------


@lru_cache(maxsize=1024)
def _grid(shape: Shape, axis: int) -> tuple[Array, ...]:
    """Return the index arrays of every axis of `shape` but `axis`, in order."""
    ndim = len(shape)
    return tuple(
        np.arange(n).reshape([n if a == b else 1 for b in range(ndim)])
        for a, n in enumerate(shape)
        if a != axis
    )


def index_along(shape: Shape, indices: Array, axis: int) -> tuple[Array, ...]:
    """Return the NumPy index that takes, at each place, the element at `indices` along `axis`."""
    grid = _grid(shape, axis)
    return (*grid[:axis], indices, *grid[axis:])


def _take_along_axis(x: Array, indices: Array, *, axis: int = -1) -> Any:
    ndim = x.ndim
    if indices.ndim != ndim or type(axis) is not int:
        _take_along_axis_infer(TensorType(x.shape), TensorType(indices.shape, "int64"), axis=axis)
    if indices.dtype.char in _UNFIT:
        require_integers("take_along_axis", type_of_array(indices))
    if axis < 0:
        axis += ndim
    try:
        return x[index_along(x.shape, indices, axis)]
    except IndexError:
        normalize_axis(axis, ndim)
        require_integers("take_along_axis", TensorType((), indices.dtype))
        _take_along_axis_infer(TensorType(x.shape), TensorType(indices.shape, "int64"), axis=axis)
        raise_out_of_range("take_along_axis", x.shape, [indices], [axis])


def _take_along_axis_infer(x: TensorType, indices: TensorType, *, axis: int = -1) -> TensorType:
    if x.ndim != indices.ndim:
        raise ShapeError(
            f"take_along_axis: indices {indices.shape} for x {x.shape}",
            cause="there is one index an element of the result, so both have the same axes",
            fix="expand_dims the indices, or use take(x, indices, axis) for whole slices",
        )
    position = normalize_axis(axis, x.ndim)
    require_integers("take_along_axis", indices)
    others = [(*t.shape[:position], 1, *t.shape[position + 1 :]) for t in (x, indices)]
    joint = broadcast_shapes(*others)
    length = indices.shape[position]
    return TensorType((*joint[:position], length, *joint[position + 1 :]), x.dtype)


def _take_along_axis_gradient_kernel(g: Array, indices: Array, *, shape: Shape, axis: int) -> Array:
    if g.shape[axis] == 1 and g.shape[:axis] + g.shape[axis + 1 :] == (
        shape[:axis] + shape[axis + 1 :]
    ):
        # no element is selected twice
        result = np.zeros(shape, g.dtype)
        try:
            result[index_along(shape, indices, axis)] = g
        except IndexError:
            raise_out_of_range("scatter_add", shape, [indices], [axis])
        return result
    counted = from_start(indices, shape[axis])
    try:
        flat = np.ravel_multi_index(np.broadcast_arrays(*index_along(shape, counted, axis)), shape)
    except ValueError:  # NumPy's says neither which index nor of which length
        raise_out_of_range("scatter_add", shape, [indices], [axis])
    return scatter_rows(g.reshape(-1, 1), flat.reshape(-1), prod(shape)).reshape(shape)


def _along_subscripts(x: TensorType, _indices: TensorType, *, axis: int) -> str:
    letters = ascii_lowercase[: x.ndim]
    position = axis % x.ndim
    return f"{letters[:position]}@{letters[position + 1 :]},{letters}->{letters}"


def _along_gradient_subscripts(
    g: TensorType, _indices: TensorType, *, shape: Shape, axis: int
) -> str:
    letters = ascii_lowercase[: g.ndim]
    position = axis % g.ndim
    return f"{letters},{letters}->{letters[:position]}@{letters[position + 1 :]}"


take_along_axis: Op = register(
    Op(
        name="take_along_axis",
        kind=Kind.INDEXING,
        arity=2,
        selection=_along_subscripts,
        kernel=_take_along_axis,
        infer=_take_along_axis_infer,
        vjp=(
            lambda g, _out, x_type, indices, *, axis: take_along_axis_gradient(
                g, indices, shape=x_type.shape, axis=normalize_axis(axis, x_type.ndim)
            ),
            None,
        ),
        attrs={"axis": -1},
        operand_names=("x", "indices"),
        examples=(
            example((3, 4), np.array([[1], [0], [-1]])),
            example((3, 4), np.array([[2, 2, 0, 1], [0, 2, 0, 1]]), axis=0),
            example((3, 4), np.array([[2, 2]])),
            example((1, 4), np.array([[2], [2], [3]])),
        ),
        batch=along_axis,
        doc="Take one element an index along `axis`; the other axes are paired and broadcast.",
    )
)


def _along_axis_gradient_rows(rows: Rows) -> Any:
    shape, axis = rows.attrs["shape"], rows.attrs["axis"]
    return take_along_axis_gradient(
        rows.whole(0),
        rows.whole(1),
        shape=(rows.size, *shape),
        axis=normalize_axis(axis, len(shape)) + 1,
    )


take_along_axis_gradient: Op = register(
    Op(
        name="take_along_axis_gradient",
        public=False,
        kind=Kind.INDEXING,
        arity=2,
        selection=_along_gradient_subscripts,
        kernel=_take_along_axis_gradient_kernel,
        infer=lambda g, indices, *, shape, axis: TensorType(shape, g.dtype),
        vjp=(
            lambda h, _out, _g, indices, *, shape, axis: take_along_axis(h, indices, axis=axis),
            None,
        ),
        attrs={"shape": ..., "axis": ...},
        operand_names=("g", "indices"),
        examples=(
            example((3, 1), np.array([[1], [0], [-1]]), shape=(3, 4), axis=1),
            example((2, 4), np.array([[2, 2, 0, 1], [0, 2, 0, 1]]), shape=(3, 4), axis=0),
        ),
        batch=_along_axis_gradient_rows,
        doc="Add each element of g into zeros of `shape` at its index: the gradient of "
        "take_along_axis.",
    )
)


# made of them -------------------------------------------------------------------------------------


@public
def embedding(weight: Any, ids: Any, padding_idx: int | None = None) -> Any:
    """Look up the row of `weight`, ``(n, d)``, of each id.

    Parameters
    ----------
    weight : array
        One row an id, ``(n, d)``.
    ids : integer array
        Of any shape.
    padding_idx : int, optional
        An id whose row gets no gradient; a negative one counts from the last row.

    Returns
    -------
    array
        Of the shape of `ids` with ``d`` added on the right.

    Raises
    ------
    IndexingError
        If an id is not a row of `weight`, or `padding_idx` is none.
    """
    rows = take(weight, ids, axis=0)
    if padding_idx is None or not hasattr(weight, "detach"):  # plain arrays have no gradients
        return rows
    n, wanted = weight.shape[0], require_int(padding_idx, "padding_idx")
    if not -n <= wanted < n:
        raise IndexingError(
            f"embedding: padding_idx {wanted} is no row of {tuple(weight.shape)}",
            cause=f"valid ids are {-n} to {n - 1}",
            fix="pass the id of a row",
        )
    first = wanted % n
    padding = logical_or(equal(ids, first), equal(ids, first - n))
    return where(expand_dims(padding, axis=-1), take(weight.detach(), ids, axis=0), rows)


@public
def one_hot(ids: Any, depth: int, dtype: npt.DTypeLike = np.float32) -> Any:
    """Return a row of zeros an id, with a one at the id.

    Parameters
    ----------
    ids : integer array
        An id outside 0 to ``depth - 1`` gives a row of zeros.
    depth : int
        Length of a row.
    dtype : dtype
        Of the result.

    Returns
    -------
    array
        Of the shape of `ids` with ``depth`` added on the right.
    """
    require_integers("one_hot", operand_type("one_hot", ids))
    hits = equal(expand_dims(ids, axis=-1), np.arange(require_int(depth, "depth")))
    return cast(hits, dtype=to_dtype(dtype))
