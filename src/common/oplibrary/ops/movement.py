"""Ops that give the same elements another shape, mostly without copying."""

from __future__ import annotations

import math
import operator
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from oplibrary.core.batching import Rows, rearranged, trailing, unchanged
from oplibrary.core.op import Kind, Op, Option, example
from oplibrary.core.registry import REGISTRY, public, register
from oplibrary.core.rules import movement
from oplibrary.messages.errors import ArgumentError, ShapeError
from oplibrary.ops.arguments import (
    Axis,
    normalize_ints,
    normalize_shape,
    operand_type,
    require_flag,
)
from oplibrary.values.types import (
    Array,
    Shape,
    TensorType,
    broadcast_shapes,
    normalize_axes,
    normalize_axis,
    type_of,
)

# reshaping ----------------------------------------------------------------------------------------


def _reshape_infer(x: TensorType, *, shape: Any) -> TensorType:
    wanted = normalize_ints(shape, "shape")
    known = math.prod(n for n in wanted if n != -1)
    negative = [n for n in wanted if n < 0]
    if not negative and known == x.size:
        return TensorType(wanted, x.dtype)
    if negative == [-1] and known and x.size % known == 0:
        return TensorType((x.size // known if n == -1 else n for n in wanted), x.dtype)
    if len(negative) > 1 or negative not in ([], [-1]):
        cause = "at most one length may be left open, by writing -1"
    elif negative and not known:
        cause = "beside a length of 0, any number would do for -1"
    else:
        cause = f"{x.shape} has {x.size} elements and {wanted} holds " + (
            f"a multiple of {known}" if negative else str(known)
        )
    raise ShapeError(
        f"cannot reshape {x.shape} to {wanted}",
        cause=cause,
        fix="the product of the lengths must stay the same; write -1 for one that follows",
    )


def _reshape(x: Array, *, shape: Any) -> Any:
    result = x.reshape(shape)
    if result.shape != shape and not (type(shape) is tuple and -1 in shape):
        # NumPy reads any negative length as -1, and None as the old shape
        _reshape_infer(type_of(x), shape=shape)
    return result


def _memory(x: Any) -> Array | None:
    """Return the array that holds the elements of `x`; None of a node, which has none yet."""
    return x if isinstance(x, np.ndarray) else x._memory()


def _copied(result: Any, copy: Any, x: Any) -> Any:
    """Return the result of a movement of `x` as a copy, or refuse one."""
    if copy is None:
        return result
    if require_flag(copy, "copy"):
        return clone(result)
    before, after = _memory(x), _memory(result)
    known = before is not None and after is not None and before.size
    if known and not np.shares_memory(before, after):
        raise ArgumentError(
            f"reshape: {tuple(x.shape)} cannot become {tuple(result.shape)} with copy=False",
            cause="its elements lie in memory in another order",
            fix="leave copy out: reshape copies only where it has to",
        )
    return result


reshape = movement(
    "reshape",
    _reshape,
    infer=_reshape_infer,
    vjp=lambda g, _out, x_type, *, shape: g.reshape(x_type.shape),
    attrs={"shape": ...},
    options={"copy": Option(None, after=lambda result, copy, x: _copied(result, copy, x))},
    view=True,
    examples=(
        example((3, 4), shape=(2, 6)),
        example((2, 3, 4), shape=(-1, 4)),
        example((), shape=(1, 1)),
        example((0, 3), shape=(3, 0)),
        example((2, 3), shape=6),
    ),
    batch=rearranged,
    doc="Arrange the elements, in row-major order, in `shape`; one length may be -1. "
    "Shares memory with x where its strides allow.",
)


@lru_cache(1024, typed=True)
def _expanded(shape: Shape, *axis: Any) -> Shape:
    # one by one, since of what is inside a tuple `typed` sees no types
    added = normalize_ints(axis[0] if len(axis) == 1 else axis, "axis")
    ndim = len(shape) + len(added)
    axes = normalize_axes(added, ndim)
    lengths = iter(shape)
    return tuple(1 if i in axes else next(lengths) for i in range(ndim))


def _expand_dims_shape(shape: Shape, axis: Any) -> Shape:
    return _expanded(shape, *axis) if type(axis) is tuple else _expanded(shape, axis)


expand_dims = movement(
    "expand_dims",
    lambda x, *, axis: x.reshape(_expand_dims_shape(x.shape, axis)),
    infer=lambda x, *, axis: TensorType(_expand_dims_shape(x.shape, axis), x.dtype),
    vjp=lambda g, _out, x_type, *, axis: g.reshape(x_type.shape),
    attrs={"axis": ...},
    view=True,
    alias=("unsqueeze",),
    examples=(
        example((3, 4), axis=0),
        example((3, 4), axis=-1),
        example((3,), axis=(0, 2)),
        example((), axis=0),
    ),
    batch=rearranged,
    doc="Add an axis of length 1 that stands at `axis` in the result.",
)


def _squeeze_infer(x: TensorType, *, axis: Axis = None) -> TensorType:
    if axis is None:
        return TensorType((n for n in x.shape if n != 1), x.dtype)
    axes = normalize_axes(axis, x.ndim)
    for a in axes:
        if x.shape[a] != 1:
            raise ShapeError(
                f"cannot squeeze axis {a} of {x.shape}: its length is {x.shape[a]}",
                cause="only an axis of length 1 can be dropped without losing elements",
                fix="index or reduce the axis instead, or leave `axis` out",
            )
    return TensorType((n for i, n in enumerate(x.shape) if i not in axes), x.dtype)


def _squeeze(x: Array, *, axis: Axis = None) -> Any:
    if axis is not None and not x.ndim:  # NumPy takes axis 0 of a scalar
        normalize_axes(axis, 0)
    return x.squeeze(axis)


squeeze = movement(
    "squeeze",
    _squeeze,
    infer=_squeeze_infer,
    vjp=lambda g, _out, x_type, *, axis: g.reshape(x_type.shape),
    attrs={"axis": None},
    view=True,
    examples=(
        example((1, 3, 1)),
        example((1, 3, 1), axis=0),
        example((1, 3, 1), axis=(0, -1)),
        example(()),
    ),
    batch=rearranged,
    doc="Drop axes of length 1: those named by `axis`, or all.",
)


@public
def flatten(x: Any, start_axis: int = 0, end_axis: int = -1) -> Any:
    """Merge the axes from `start_axis` to `end_axis` (inclusive) into one.

    Parameters
    ----------
    x : array
        A scalar becomes one axis of length 1.
    start_axis, end_axis : int

    Raises
    ------
    ShapeError
        If an axis does not exist or the first comes after the last.

    Examples
    --------
    >>> flatten(np.ones((2, 3, 4)), 1).shape
    (2, 12)
    """
    shape = operand_type("flatten", x).shape or (1,)
    first = normalize_axis(start_axis, len(shape), "start_axis")
    last = normalize_axis(end_axis, len(shape), "end_axis")
    if first > last:
        raise ShapeError(
            f"flatten: start_axis {start_axis} comes after end_axis {end_axis} in {shape}",
            cause=f"counted from the left they are {first} and {last}",
            fix="swap them",
        )
    merged = math.prod(shape[first : last + 1])
    return reshape(x, shape=(*shape[:first], merged, *shape[last + 1 :]))


# reordering axes ----------------------------------------------------------------------------------


def _order(axes: Any, ndim: int) -> tuple[int, ...]:
    """Return the permutation `axes`, counted from the left; None reverses."""
    if axes is None:
        return tuple(range(ndim))[::-1]
    order = tuple(normalize_axis(a, ndim, "axes") for a in normalize_ints(axes, "axes"))
    if sorted(order) != list(range(ndim)):
        raise ShapeError(
            f"axes {axes} do not permute the {ndim} axes of the operand",
            cause=f"each of the axes {', '.join(map(str, range(ndim)))} must be named once"
            if ndim
            else "a scalar has no axes",
            fix="name every axis once, or use moveaxis to move only some",
        )
    return order


@lru_cache(1024)
def _are_c_ints(axes: tuple[Any, ...]) -> bool:
    return all(-(2**31) <= operator.index(axis) < 2**31 for axis in axes)


def _permute_dims(x: Array, *, axes: Any = None) -> Array:
    # NumPy keeps the lower 32 bits of an axis, and so takes others for one that there is
    if axes is not None and not (type(axes) is tuple and _are_c_ints(axes)):
        axes = _order(axes, x.ndim)
    return x.transpose(axes)


def _permute_dims_vjp(g: Any, _out: Any, x_type: TensorType, *, axes: Any) -> Any:
    order = _order(axes, x_type.ndim)
    return permute_dims(g, axes=tuple(order.index(i) for i in range(x_type.ndim)))


def _permute_rows(rows: Rows) -> Any:
    order = _order(rows.attrs["axes"], rows.types[0].ndim)
    return permute_dims(rows.operands[0], axes=(0, *[axis + 1 for axis in order]))


permute_dims: Op = movement(
    "permute_dims",
    _permute_dims,
    infer=lambda x, *, axes=None: TensorType((x.shape[a] for a in _order(axes, x.ndim)), x.dtype),
    vjp=_permute_dims_vjp,
    attrs={"axes": None},
    view=True,
    alias=("permute",),
    examples=(
        example((2, 3, 4), axes=(2, 0, 1)),
        example((2, 3, 4)),
        example((2, 3), axes=(-1, 0)),
        example((), axes=()),
    ),
    batch=_permute_rows,
    doc="Put the axes in the order `axes`; without it, reverse them.",
)


def _swapaxes_infer(x: TensorType, *, axis0: int, axis1: int) -> TensorType:
    a, b = normalize_axis(axis0, x.ndim, "axis0"), normalize_axis(axis1, x.ndim, "axis1")
    shape = list(x.shape)
    shape[a], shape[b] = shape[b], shape[a]
    return TensorType(shape, x.dtype)


def _swapaxes(x: Array, *, axis0: int, axis1: int) -> Any:
    if type(axis0) is not int or type(axis1) is not int:  # NumPy reads a bool as an axis
        _swapaxes_infer(type_of(x), axis0=axis0, axis1=axis1)
    return x.swapaxes(axis0, axis1)


def _swap_rows(rows: Rows) -> Any:
    first, second = (
        normalize_axis(rows.attrs[name], rows.types[0].ndim, name) + 1
        for name in ("axis0", "axis1")
    )
    return swapaxes(rows.operands[0], axis0=first, axis1=second)


swapaxes: Op = movement(
    "swapaxes",
    _swapaxes,
    infer=_swapaxes_infer,
    vjp=lambda g, _out, _x, *, axis0, axis1: swapaxes(g, axis0=axis0, axis1=axis1),
    attrs={"axis0": ..., "axis1": ...},
    view=True,
    examples=(example((2, 3, 4), axis0=0, axis1=-1), example((3, 4), axis0=0, axis1=0)),
    batch=_swap_rows,
    doc="Exchange two axes.",
)


@public
def transpose(
    x: Any,
    axis0: int | Sequence[int] | None = None,
    axis1: int | None = None,
    *,
    axes: Sequence[int] | None = None,
) -> Any:
    """Exchange two axes, put all axes in the order that one tuple gives, or turn it round.

    The first is PyTorch's `transpose`, the others are NumPy's.

    Parameters
    ----------
    x : array
    axis0 : int or tuple of int, optional
        The first axis; or, where there is no second one, the order of all.
    axis1 : int, optional
    axes : tuple of int, optional
        The order of all axes, by NumPy's name. Without any of the three it is the reverse.

    Returns
    -------
    array
        A view.

    Raises
    ------
    AxisError
        If there is no such axis.
    ShapeError
        If a tuple does not name each axis once.
    ArgumentError
        If both axes and their order are given.

    Examples
    --------
    >>> x = np.ones((2, 3, 4))
    >>> transpose(x, 0, 2).shape, transpose(x, (2, 0, 1)).shape, transpose(x).shape
    ((4, 3, 2), (4, 2, 3), (4, 3, 2))
    """
    if axes is not None:
        if axis0 is not None or axis1 is not None:
            raise ArgumentError(
                "transpose: two axes and an order of all",
                cause="axis0 and axis1 are exchanged, axes is the order of all",
                fix="leave axes out, or the two others",
            )
        axis0 = axes
    if axis1 is None:
        if axis0 is None:
            axis0 = tuple(range(len(operand_type("transpose", x).shape)))[::-1]
        return permute_dims(x, axes=normalize_ints(axis0, "axes"))
    return swapaxes(x, axis0=axis0, axis1=axis1)


def _matrix_transpose_infer(x: TensorType) -> TensorType:
    if x.ndim < 2:
        raise ShapeError(
            f"matrix_transpose of shape {x.shape}, which has fewer than two axes",
            cause="it exchanges the last two axes",
            fix="a vector is its own transpose; use expand_dims for a row or a column",
        )
    return TensorType((*x.shape[:-2], x.shape[-1], x.shape[-2]), x.dtype)


matrix_transpose: Op = movement(
    "matrix_transpose",
    lambda x: x.swapaxes(-1, -2),
    infer=_matrix_transpose_infer,
    vjp=lambda g, _out, _x: matrix_transpose(g),
    attrs={},
    view=True,
    examples=(example((3, 4)), example((2, 3, 4)), example((0, 2))),
    namespaces=("", "linalg"),
    batch=trailing,
    doc="Exchange the last two axes.",
)


@public
def moveaxis(x: Any, source: int | Sequence[int], destination: int | Sequence[int]) -> Any:
    """Move axes to new positions; the others keep their order.

    Parameters
    ----------
    x : array
    source, destination : int or sequence of int
        Where each axis is now, and where it stands in the result.

    Raises
    ------
    ShapeError
        If an axis does not exist or is named twice, or the two differ in length.

    Examples
    --------
    >>> moveaxis(np.ones((2, 3, 4)), 0, -1).shape
    (3, 4, 2)
    """
    ndim = operand_type("moveaxis", x).ndim
    old, new = normalize_ints(source, "source"), normalize_ints(destination, "destination")
    if len(old) != len(new):
        raise ShapeError(
            f"moveaxis: source {source} and destination {destination} differ in length",
            cause="each axis that moves needs one new position",
            fix="name as many destinations as sources",
        )
    normalize_axes(old, ndim)
    normalize_axes(new, ndim)
    placed = {b % ndim: a % ndim for a, b in zip(old, new, strict=True)}
    rest = iter([a for a in range(ndim) if a not in placed.values()])
    return permute_dims(
        x, axes=tuple(placed[i] if i in placed else next(rest) for i in range(ndim))
    )


# broadcasting -------------------------------------------------------------------------------------


def broadcast_to_infer(x: TensorType, *, shape: Any) -> TensorType:
    """Return the type of `x` broadcast to `shape`.

    Raises
    ------
    ShapeError
        If it does not broadcast to it.
    """
    wanted = normalize_shape(shape)
    if broadcast_shapes(x.shape, wanted) != wanted:
        raise ShapeError(
            f"shape {x.shape} does not broadcast to {wanted}",
            cause="only axes of length 1, and new axes on the left, can be enlarged",
            fix="reshape or expand_dims first",
        )
    return TensorType(wanted, x.dtype)


@lru_cache(4096)
def _broadcast_strides(old: Shape, strides: tuple[int, ...], shape: Shape) -> tuple[int, ...]:
    broadcast_to_infer(TensorType(old), shape=shape)
    kept = tuple(0 if n == 1 else stride for n, stride in zip(old, strides, strict=True))
    return (0,) * (len(shape) - len(old)) + kept


def _broadcast_to(x: Array, *, shape: Any) -> Any:
    if type(shape) is not tuple:
        shape = normalize_shape(shape)
    strides = _broadcast_strides(x.shape, x.strides, shape)
    if x.flags.c_contiguous:
        # the constructor takes a quarter of the 2 µs of np.broadcast_to, but wants a whole buffer
        result: Array = np.ndarray(shape, x.dtype, x, 0, strides)
        result.setflags(write=False)
        return result
    return np.broadcast_to(x, shape)


def _broadcast_rows(rows: Rows) -> Any:
    shape = rows.result().shape
    return broadcast_to(rows.padded(0, len(shape)), shape=(rows.size, *shape))


broadcast_to: Op = movement(
    "broadcast_to",
    _broadcast_to,
    infer=broadcast_to_infer,
    vjp=lambda g, _out, x_type, *, shape: REGISTRY["sum_to"](g, shape=x_type.shape),
    attrs={"shape": ...},
    view=True,
    examples=(
        example((3, 1), shape=(2, 3, 4)),
        example((), shape=(2,)),
        example((2, 3), shape=(2, 3)),
        example((1, 3), shape=(0, 3)),
        example((1,), shape=4),
    ),
    batch=_broadcast_rows,
    doc="Enlarge axes of length 1, and add axes on the left, without copying. Read-only.",
)


def _clone(x: Array) -> Array:
    return np.array(x, order="C")


clone = register(
    Op(
        name="clone",
        kind=Kind.MOVEMENT,
        arity=1,
        kernel=_clone,
        infer=lambda x: TensorType(x.shape, x.dtype),
        vjp=(lambda g, _out, _x: g,),
        examples=(example((2, 3)), example(())),
        batch=unchanged,
        doc="Return a copy of x, in row-major order.",
    )
)
