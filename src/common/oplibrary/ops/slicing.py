"""Ops that take, reverse, rotate and embed ranges of axes."""

from __future__ import annotations

import itertools
import operator
from functools import lru_cache
from typing import Any

import numpy as np

from oplibrary.core.batching import along_axis
from oplibrary.core.op import Kind, Op, example
from oplibrary.core.registry import register
from oplibrary.core.rules import movement
from oplibrary.messages.errors import ArgumentError, IndexingError, ShapeError
from oplibrary.ops.arguments import Axis, normalize_ints, require_int
from oplibrary.ops.creation import require_number, require_number_once
from oplibrary.values.types import Array, Shape, TensorType, normalize_axes, normalize_axis

Widths = tuple[tuple[int, int], ...]


# one axis -----------------------------------------------------------------------------------------


@lru_cache(4096, typed=True)
def _range_index(shape: Shape, start: int, stop: int, axis: int) -> tuple[slice, ...]:
    axis = normalize_axis(axis, len(shape))
    start, stop = require_int(start, "start"), require_int(stop, "stop")
    if not 0 <= start <= stop <= shape[axis]:
        raise IndexingError(
            f"slice_axis: the range {start} to {stop} is not inside axis {axis} of {shape}",
            cause=f"0 <= start <= stop <= {shape[axis]} must hold",
            fix="check both against the axis length; count from the left",
        )
    return (slice(None),) * axis + (slice(start, stop),)


def _slice_axis_infer(x: TensorType, *, start: int, stop: int, axis: int = 0) -> TensorType:
    index = _range_index(x.shape, start, stop, axis)
    at = len(index) - 1
    return TensorType((*x.shape[:at], int(stop) - int(start), *x.shape[at + 1 :]), x.dtype)


def _widths_around(shape: Shape, start: int, stop: int, axis: int) -> Widths:
    """Return the pad widths that put the range `start` to `stop` back where it came from."""
    at = normalize_axis(axis, len(shape))
    return tuple((start, n - stop) if i == at else (0, 0) for i, n in enumerate(shape))


slice_axis = movement(
    "slice_axis",
    lambda x, *, start, stop, axis=0: x[_range_index(x.shape, start, stop, axis)],
    infer=_slice_axis_infer,
    vjp=lambda g, _out, x_type, *, start, stop, axis: pad_op(
        g, pad_width=_widths_around(x_type.shape, start, stop, axis)
    ),
    attrs={"start": ..., "stop": ..., "axis": 0},
    view=True,
    examples=(
        example((5, 3), start=1, stop=4),
        example((2, 5), start=0, stop=2, axis=-1),
        example((4,), start=2, stop=2),
    ),
    batch=along_axis,
    doc="Take the positions from `start` up to `stop` of one axis.",
)


@lru_cache(4096, typed=True)
def _position_index(shape: Shape, index: int, axis: int) -> tuple[Any, ...]:
    axis = normalize_axis(axis, len(shape))
    index = require_int(index, "index")
    if not -shape[axis] <= index < shape[axis]:
        raise IndexingError(
            f"index_axis: index {index} is out of range for axis {axis} of {shape}",
            cause=f"the axis has {shape[axis]} positions",
            fix="check the index against the axis length",
        )
    # the ellipsis keeps the result an array that shares memory, also where no axis is left
    return (slice(None),) * axis + (index % shape[axis], ...)


def _index_axis_infer(x: TensorType, *, index: int, axis: int = 0) -> TensorType:
    at = len(_position_index(x.shape, index, axis)) - 2
    return TensorType(x.shape[:at] + x.shape[at + 1 :], x.dtype)


def _index_axis_vjp(g: Any, _out: Any, x_type: TensorType, *, index: int, axis: int) -> Any:
    at = normalize_axis(axis, x_type.ndim)
    start = index % x_type.shape[at]
    kept = tuple(1 if i == at else n for i, n in enumerate(x_type.shape))
    return pad_op(g.reshape(kept), pad_width=_widths_around(x_type.shape, start, start + 1, at))


index_axis = movement(
    "index_axis",
    lambda x, *, index, axis=0: x[_position_index(x.shape, index, axis)],
    infer=_index_axis_infer,
    vjp=_index_axis_vjp,
    attrs={"index": ..., "axis": 0},
    view=True,
    examples=(
        example((3, 4), index=1),
        example((3, 4), index=-1, axis=1),
        example((3,), index=0),
    ),
    batch=along_axis,
    doc="Take one position of an axis, which disappears.",
)


# reversing and rotating ---------------------------------------------------------------------------


@lru_cache(1024, typed=True)
def _reversed_index(ndim: int, several: bool, *axis: Any) -> tuple[Any, ...]:
    # one by one, since of what is inside a tuple `typed` sees no types
    axes = normalize_axes(axis if several else axis[0], ndim)
    # the ellipsis keeps a scalar an array that shares memory
    return (*(slice(None, None, -1 if i in axes else 1) for i in range(ndim)), ...)


def _flip_infer(x: TensorType, *, axis: Axis = None) -> TensorType:
    normalize_axes(axis, x.ndim)
    return x


flip: Op = movement(
    "flip",
    lambda x, *, axis=None: x[
        _reversed_index(x.ndim, True, *axis)
        if type(axis) is tuple
        else _reversed_index(x.ndim, False, axis)
    ],
    infer=_flip_infer,
    vjp=lambda g, _out, _x, *, axis: flip(g, axis=axis),
    attrs={"axis": None},
    view=True,
    examples=(
        example((3, 4)),
        example((3, 4), axis=0),
        example((2, 3, 4), axis=(0, -1)),
        example(()),
    ),
    batch=lambda rows: flip(
        rows.operands[0],
        axis=tuple([a + 1 for a in normalize_axes(rows.attrs["axis"], rows.types[0].ndim)]),
    ),
    doc="Reverse the order along `axis`, or along every axis.",
)


def _shifts(shift: Any, axis: Any, shape: Shape) -> dict[int, int]:
    """Return how far each axis of `shape` is rotated to the right."""
    axes = normalize_ints(axis, "axis")
    by = normalize_ints(shift, "shift")
    if len(by) == 1:
        by *= len(axes)
    if len(by) != len(axes):
        raise ArgumentError(
            f"roll: shift {shift} and axis {axis} differ in length",
            cause="each axis needs one shift",
            fix="pass one shift for all axes, or as many as axes",
        )
    total: dict[int, int] = {}
    for amount, a in zip(by, axes, strict=True):
        at = normalize_axis(a, len(shape))
        total[at] = (total.get(at, 0) + amount) % max(shape[at], 1)
    return total


def _rotate(x: Array, out: Array, shifts: dict[int, int]) -> Array:
    """Write `x` rotated into `out`, block by block: each rotated axis is cut in two."""
    cuts: list[list[tuple[slice, slice]]] = []
    for i in range(x.ndim):
        by = shifts.get(i, 0)
        if by:
            cuts.append([(slice(by, None), slice(None, -by)), (slice(None, by), slice(-by, None))])
        else:
            cuts.append([(slice(None), slice(None))])
    for block in itertools.product(*cuts):
        out[tuple(to for to, _ in block)] = x[tuple(source for _, source in block)]
    return out


def _roll(x: Array, out: Array | None = None, *, shift: Any, axis: Any = None) -> Any:
    result = np.empty(x.shape, x.dtype) if out is None else out
    if axis is not None:
        return _rotate(x, result, _shifts(shift, axis, x.shape))
    line = x.reshape(-1)
    rotated = _rotate(line, np.empty_like(line), _shifts(shift, 0, line.shape))
    result[...] = rotated.reshape(x.shape)
    return result


def _roll_infer(x: TensorType, *, shift: Any, axis: Any = None) -> TensorType:
    if axis is None:
        _shifts(shift, 0, (x.size,))
    else:
        _shifts(shift, axis, x.shape)
    return x


def _roll_vjp(g: Any, _out: Any, _x: Any, *, shift: Any, axis: Any) -> Any:
    back = tuple(-n for n in shift) if isinstance(shift, tuple) else -shift
    return roll(g, shift=back, axis=axis)


roll = register(
    Op(
        name="roll",
        kind=Kind.MOVEMENT,
        arity=1,
        kernel=_roll,
        infer=_roll_infer,
        vjp=(_roll_vjp,),
        attrs={"shift": ..., "axis": None},
        takes_out=True,
        examples=(
            example((3, 4), shift=1),
            example((3, 4), shift=-5, axis=1),
            example((3, 4), shift=(1, 2), axis=(0, 1)),
            example((2, 3), shift=1, axis=(0, 1)),
            example((0, 3), shift=1, axis=0),
            example((), shift=2),
        ),
        doc="Rotate the elements by `shift` along `axis`, or in row-major order without it.",
    )
)


# embedding ----------------------------------------------------------------------------------------


def normalize_widths(pad_width: Any, ndim: int) -> Widths:
    """Return `pad_width` as one (before, after) an axis."""
    try:
        if hasattr(pad_width, "__index__"):
            pairs: list[Any] = [(pad_width, pad_width)] * ndim
        else:
            pairs = list(pad_width)
            if len(pairs) == 2 and all(hasattr(n, "__index__") for n in pairs):
                pairs = [tuple(pairs)] * ndim
        widths = tuple((operator.index(before), operator.index(after)) for before, after in pairs)
    except (TypeError, ValueError):
        raise ArgumentError(
            f"pad: pad_width {pad_width!r} is not made of (before, after) pairs of ints",
            cause="each axis is padded by a whole number at either end",
            fix="pass ((before, after), ...) with one pair an axis, one pair for all, or one int",
        ) from None
    if len(widths) != ndim:
        raise ShapeError(
            f"pad: pad_width {pad_width} has {len(widths)} pairs for {ndim} axes",
            cause="each axis needs one (before, after)",
            fix="write (0, 0) for an axis that keeps its length",
        )
    if any(n < 0 for pair in widths for n in pair):
        raise ArgumentError(
            f"pad: pad_width {pad_width} has a negative width",
            cause="padding adds elements",
            fix="use slice_axis or an index to remove elements",
        )
    return widths


def _pad_kernel(x: Array, out: Array | None = None, *, pad_width: Widths, value: Any = 0) -> Any:
    inside = tuple(slice(b, b + n) for (b, _), n in zip(pad_width, x.shape, strict=True))
    if out is None:
        shape = tuple(b + n + a for (b, a), n in zip(pad_width, x.shape, strict=True))
        if type(value) is int and value == 0:
            # zero pages come from the system without being written
            result = np.zeros(shape, x.dtype)
            result[inside] = x
            return result
        require_number_once(value, x.dtype)
        out = np.empty(shape, x.dtype)
    out.fill(value)
    out[inside] = x
    return out


def _pad_infer(x: TensorType, *, pad_width: Any, value: Any = 0) -> TensorType:
    widths = normalize_widths(pad_width, x.ndim)
    require_number(value, x.dtype)
    return TensorType((b + n + a for (b, a), n in zip(widths, x.shape, strict=True)), x.dtype)


def _pad_vjp(g: Any, _out: Any, x_type: TensorType, *, pad_width: Widths, value: Any) -> Any:
    for axis, (before, after) in enumerate(pad_width):
        if before or after:
            g = slice_axis(g, start=before, stop=before + x_type.shape[axis], axis=axis)
    return g


pad_op: Op = register(
    Op(
        name="pad",
        kind=Kind.MOVEMENT,
        arity=1,
        kernel=_pad_kernel,
        infer=_pad_infer,
        vjp=(_pad_vjp,),
        jvp=lambda push: pad_op(push.tangents[0], pad_width=push.attrs["pad_width"]),
        attrs={"pad_width": ..., "value": 0.0},
        takes_out=True,
        examples=(
            example((2, 3), pad_width=((1, 2), (0, 1))),
            example((2, 3), pad_width=((0, 0), (2, 0)), value=3),
            example((0,), pad_width=((1, 1),)),
            example((), pad_width=()),
        ),
        batch=lambda rows: pad_op(
            rows.operands[0],
            pad_width=((0, 0), *normalize_widths(rows.attrs["pad_width"], rows.types[0].ndim)),
            value=rows.attrs["value"],
        ),
        doc="Put `before` and `after` elements of `value` around each axis.",
    )
)
