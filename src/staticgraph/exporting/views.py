"""Views in ONNX, read off their strides, and arrays that are made of lengths alone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from oplibrary.core.op import Op
from staticgraph.exporting.lengths import OpenLength
from staticgraph.exporting.structural import Call, writes
from staticgraph.exporting.writer import BEFORE_ALL, Name
from staticgraph.program.polynomial import evaluated, is_symbolic, samples, symbols_in


class Layout(NamedTuple):
    """What a view does, in order: a range of each axis, another order, axes added or repeated.

    Attributes
    ----------
    starts, stops, steps : tuple of int
        For each axis of the operand.
    order : tuple of int
        The axis of the result that each axis of the operand becomes, -1 if it is dropped.
    kept : tuple of bool
        For each axis of the result, whether the operand has it; others have length 1.
    repeats : bool
        Whether some of those are longer in the result.
    """

    starts: tuple[int, ...]
    stops: tuple[int, ...]
    steps: tuple[int, ...]
    order: tuple[int, ...]
    kept: tuple[bool, ...]
    repeats: bool


_RESHAPED, _EMPTY = "all elements in their order", "no elements"


def view(call: Call) -> Name | None:
    """Write an op whose result is a view of its operand, as the view's strides say.

    Lengths that each run chooses are tried: what the view does must be the same for all of them.
    None for a view of another kind.

    Raises
    ------
    OpenLength
        If what the view does depends on lengths.
    """
    shape = call.types[0].shape
    attrs = tuple(call.attrs.values())
    if is_symbolic(shape) or is_symbolic(attrs) or is_symbolic(call.type.shape):
        found = set(symbols_in((*shape, *call.type.shape, attrs)))
        # from 2 on, as an axis of 1 element shows no stride
        tried = [{n: k + 2 for n, k in each.items()} for each in samples(found)]
        candidates = {tuple(evaluated(n, each) for each in tried): n for n in _lengths_in(attrs)}
        layouts = [
            _layout(call.op, evaluated(shape, each), _attrs_at(call, each)) for each in tried
        ]
        layout = _common(layouts, [evaluated(shape, each) for each in tried], shape, candidates)
    else:
        layout = _layout(call.op, shape, call.attrs)
    return layout if layout is None else _written(call, layout)


def _attrs_at(call: Call, lengths: Mapping[str, int]) -> dict[str, Any]:
    return {name: evaluated(value, lengths) for name, value in call.attrs.items()}


def _lengths_in(value: Any) -> Iterator[int]:
    """Yield the lengths that occur in the attributes of an op."""
    if isinstance(value, (tuple, list)):
        for each in value:
            yield from _lengths_in(each)
    elif isinstance(value, int) and is_symbolic(int(value)):
        yield int(value)


def _layout(op: Op, shape: Sequence[int], attrs: Mapping[str, Any]) -> Layout | str | None:
    """Return what a view does to an operand of that shape; `_RESHAPED` and `_EMPTY` are short."""
    operand = np.empty(shape, np.int8)  # of single bytes: strides count elements
    found = op.kernel(operand, **attrs)
    if found.size == operand.size and found.flags.c_contiguous:
        return _RESHAPED
    if not found.size:
        return _EMPTY
    offset = found.__array_interface__["data"][0] - operand.__array_interface__["data"][0]
    starts, stops, steps, order = [], [], [], []
    axes = [axis for axis in range(found.ndim) if found.shape[axis] > 1 and found.strides[axis]]
    repeats = any(n > 1 and axis not in axes for axis, n in enumerate(found.shape))
    for position, stride in enumerate(operand.strides):
        start, offset = divmod(offset, stride) if shape[position] > 1 else (0, offset)
        read = [i for i in axes if stride <= abs(found.strides[i]) < stride * shape[position]]
        if len(read) > 1 or any(found.strides[i] % stride for i in read):
            return None
        step = found.strides[read[0]] // stride if read else 1
        stop = start + step * found.shape[read[0]] if read else start + 1
        starts.append(start)
        steps.append(step)
        stops.append(stop if stop >= 0 else BEFORE_ALL)
        order.append(read[0] if read else -1)
    kept = tuple(axis in axes for axis in range(found.ndim))
    return Layout(tuple(starts), tuple(stops), tuple(steps), tuple(order), kept, repeats)


def _common(
    layouts: Sequence[Layout | str | None],
    shapes: Sequence[Sequence[int]],
    shape: Sequence[int],
    candidates: Mapping[tuple[int, ...], int],
) -> Layout | str | None:
    """Return the layout that those for some lengths are examples of.

    Its bounds are numbers, as far from the end of an axis for each length, or among `candidates`.

    Raises
    ------
    OpenLength
        If there is none.
    """
    first = layouts[0]
    if not isinstance(first, Layout):
        if any(each != first for each in layouts):
            raise OpenLength
        return first
    alike = [each for each in layouts if isinstance(each, Layout) and each[2:] == first[2:]]
    if len(alike) < len(layouts):
        raise OpenLength
    bounds = []
    for found in ([each.starts for each in alike], [each.stops for each in alike]):
        bound = []
        for axis, values in enumerate(zip(*found, strict=True)):
            from_the_end = {v - each[axis] for v, each in zip(values, shapes, strict=True)}
            if len(set(values)) == 1:
                bound.append(values[0])
            elif len(from_the_end) == 1:
                bound.append(int(shape[axis]) + from_the_end.pop())
            elif values in candidates:
                bound.append(candidates[values])
            else:
                raise OpenLength
        bounds.append(tuple(bound))
    return first._replace(starts=bounds[0], stops=bounds[1])


def _written(call: Call, layout: Layout | str) -> Name:
    writer, shape, name = call.writer, call.types[0].shape, call.names[0]
    if layout == _RESHAPED:
        return writer.reshape(name, call.type.shape)
    if layout == _EMPTY:
        return writer.filled(0, call.type.shape, call.type.dtype)
    assert isinstance(layout, Layout)
    cut = [
        axis
        for axis, bounds in enumerate(zip(layout.starts, layout.stops, layout.steps, strict=True))
        if bounds != (0, int(shape[axis]), 1)
    ]
    if cut:
        parts = [[each[axis] for axis in cut] for each in layout[:3]]
        parts.insert(2, cut)
        name = writer.node("Slice", name, *map(writer.integers, parts))
    order = list(layout.order)
    if order != sorted(order):
        name = writer.node("Transpose", name, perm=np.argsort(order, kind="stable").tolist())
    result = call.type.shape
    name = writer.reshape(
        name, [n if kept else 1 for n, kept in zip(result, layout.kept, strict=True)]
    )
    if not layout.repeats:
        return name
    # a 1 leaves an axis as it is
    beside = [1 if kept else n for n, kept in zip(result, layout.kept, strict=True)]
    return writer.node("Expand", name, writer.integers(beside))


# arrays that are made of lengths ------------------------------------------------------------------


@writes("length")
def _length(call: Call) -> Name:
    """Write a length, or a number divided by one, as a value."""
    writer, dtype = call.writer, call.type.dtype
    found = writer.number(call.attrs["length"])
    found = writer.cast(found, np.dtype(np.int64), dtype)
    over = call.attrs["over"]
    if over is None:
        return found
    return writer.node("Div", writer.constant(np.array(over, dtype)), found)


@writes("created")
def _created(call: Call) -> Name:
    """Write an array of one number, or of those from 0 on.

    Raises
    ------
    OpenLength
        If it has others.
    """
    writer, dtype = call.writer, call.type.dtype
    lengths = samples(set(symbols_in(tuple(call.attrs.values()))))
    tried = [call.op.kernel(**_attrs_at(call, each)) for each in lengths]
    numbers = np.concatenate([each.reshape(-1) for each in tried])
    if np.array_equal(numbers, np.full_like(numbers, numbers[0]), equal_nan=dtype.kind in "fc"):
        return writer.filled(numbers[0], call.type.shape, dtype)
    if any(each.ndim != 1 or (each != np.arange(each.size)).any() for each in tried):
        raise OpenLength
    counted = writer.node("Range", *map(writer.number, (0, call.type.shape[0], 1)))
    return writer.cast(counted, np.dtype(np.int64), dtype)
