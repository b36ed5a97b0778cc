"""Ops that order, accumulate and rotate, in ONNX, and what selects along an axis."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from oplibrary.values.dtypes import REAL_FLOATING
from staticgraph.exporting.lengths import OpenLength
from staticgraph.exporting.structural import Call, writes
from staticgraph.exporting.writer import BEFORE_ALL, Name
from staticgraph.program.polynomial import evaluated, is_symbolic, polynomial_of

_FLOAT32, _INT64 = np.dtype("float32"), np.dtype("int64")
_WIDE = frozenset("float32 float64 int32 int64 uint32 uint64".split())
"""Dtypes that ONNX adds up as they are."""


# order --------------------------------------------------------------------------------------------


def _order(call: Call) -> Name | None:
    """Write the indices that order the operand; equal elements keep their order.

    ONNX says nothing of NaN, which is the greatest number here: it is put in the place of infinity,
    and what was NaN is then put behind what was infinite.
    """
    writer, (name,), (x,) = call.writer, call.names, call.types
    if x.dtype.kind == "c":
        return None
    floating = x.dtype.kind in REAL_FLOATING
    key, dtype = name, x.dtype
    if dtype.itemsize < _FLOAT32.itemsize:  # which ONNX's own runtime orders only so
        dtype = _FLOAT32 if floating else _INT64
        key = writer.cast(name, x.dtype, dtype)
    if not floating:
        return _ordered(call, key)
    unknown = writer.node("IsNaN", key)
    infinity = writer.constant(np.array(np.inf, dtype))
    first = _ordered(call, writer.node("Where", unknown, infinity, key))
    last = writer.cast(unknown, np.dtype(bool), _INT64)
    axis = call.attrs["axis"]
    again = _ordered(call, writer.node("GatherElements", last, first, axis=axis))
    return writer.node("GatherElements", first, again, axis=axis)


def _ordered(call: Call, key: Name) -> Name:
    axis = call.attrs["axis"] % call.type.ndim
    count = call.writer.integers([call.type.shape[axis]])
    _, found = call.writer.nodes_results(
        "TopK", [key, count], 2, axis=axis, largest=int(call.attrs["descending"])
    )
    return found


@writes("argsort")
def _argsort(call: Call) -> Name | None:
    return _order(call)


@writes("sort")
def _sort(call: Call) -> Name | None:
    order = _order(call)
    if order is None:
        return None
    return call.writer.node("GatherElements", call.names[0], order, axis=call.attrs["axis"])


# sums ---------------------------------------------------------------------------------------------


@writes("cumulative_sum")
def _cumulative_sum(call: Call) -> Name | None:
    writer, dtype = call.writer, call.type.dtype
    if dtype.kind == "c":
        return None
    axis = 0 if call.attrs["axis"] is None else call.attrs["axis"] % call.type.ndim
    wide = dtype if dtype.name in _WIDE else _FLOAT32  # as halves are added up here
    name = writer.cast(call.names[0], call.types[0].dtype, wide)
    found = writer.node("CumSum", name, writer.constant(np.array(axis, _INT64)))
    found = writer.cast(found, wide, dtype)
    if not call.attrs["include_initial"]:
        return found
    before = list(call.type.shape)
    before[axis] = 1
    return writer.node("Concat", writer.filled(0, before, dtype), found, axis=axis)


@writes("det")
def _det(call: Call) -> Name | None:
    if call.type.dtype.kind == "c":
        return None
    return call.writer.node("Det", *call.same_dtype)


# movement -----------------------------------------------------------------------------------------


@writes("roll")
def _roll(call: Call) -> Name:
    """Cut each axis in two, and join the parts in the other order."""
    writer, name, axes = call.writer, call.names[0], call.attrs["axis"]
    shape = list(call.type.shape)
    if axes is None:
        name, shape, axes = writer.reshape(name, (-1,)), [call.type.size], 0
    axes = (axes,) if isinstance(axes, int) else axes
    shift = call.attrs["shift"]
    shifts = (shift,) if isinstance(shift, int) else shift
    if len(shifts) == 1:
        shifts = shifts * len(axes)
    for axis, by in zip(axes, shifts, strict=True):
        at = axis % len(shape)
        name = _rotated(call, name, at, shape[at], by)
    return name if len(shape) == call.type.ndim else writer.reshape(name, call.type.shape)


def _rotated(call: Call, name: Name, axis: int, length: int, by: int) -> Name:
    found = polynomial_of(int(length)) if is_symbolic(int(length)) else None
    if found is None:
        by %= max(length, 1)
    elif (
        is_symbolic(int(by))
        or any(factor < 0 for monomial, factor in found.terms.items() if monomial)
        or abs(by) > evaluated(length, {each.name: each.least for each in found.symbols})
    ):
        raise OpenLength  # it may go around more than once
    if not by:
        return name
    numbers, writer = call.writer.integers, call.writer
    end = writer.node("Slice", name, numbers([-by]), numbers([-BEFORE_ALL]), numbers([axis]))
    start = writer.node("Slice", name, numbers([0]), numbers([-by]), numbers([axis]))
    return writer.node("Concat", end, start, axis=axis)


# along an axis ------------------------------------------------------------------------------------


@writes("take_along_axis")
def _take_along_axis(call: Call) -> Name:
    axis, shape = call.attrs["axis"] % call.type.ndim, call.type.shape
    name, indices = call.names
    wanted = list(shape)
    wanted[axis] = call.types[0].shape[axis]
    name = _widened(call, name, call.types[0].shape, wanted)
    indices = _widened(call, indices, call.types[1].shape, shape)
    return call.writer.node("GatherElements", name, indices, axis=axis)


@writes("take_along_axis_gradient")
def _take_along_axis_gradient(call: Call) -> Name | None:
    axis, given = call.attrs["axis"] % call.type.ndim, call.types[0].shape
    if _without(given, axis) != _without(call.type.shape, axis):  # it was repeated, too
        return None
    indices = _widened(call, call.names[1], call.types[1].shape, given)
    zeros = call.writer.filled(0, call.type.shape, call.type.dtype)
    return call.writer.node(
        "ScatterElements", zeros, indices, call.names[0], axis=axis, reduction="add"
    )


def _widened(call: Call, name: Name, have: Sequence[int], want: Sequence[int]) -> Name:
    """Repeat a value along axes of length 1; ONNX pairs none."""
    if list(have) == list(want):
        return name
    # a 1 leaves an axis as it is
    shape = [1 if n == m else m for n, m in zip(have, want, strict=True)]
    return call.writer.node("Expand", name, call.writer.integers(shape))


def _without(shape: tuple[int, ...], axis: int) -> tuple[int, ...]:
    return (*shape[:axis], *shape[axis + 1 :])
