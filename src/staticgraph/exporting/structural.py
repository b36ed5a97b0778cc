"""Ops that move, select, reduce or contract, in ONNX: a table of one function an op."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np

from oplibrary.core.op import Op
from oplibrary.ops.indexing import Slice, range_length, selected
from oplibrary.values.types import TensorType
from staticgraph.exporting.lengths import OpenLength
from staticgraph.exporting.writer import Name, Writer
from staticgraph.program.polynomial import is_symbolic

TRANSLATIONS: dict[str, Translation] = {}
"""The name of an op to what writes it."""


@dataclass(frozen=True)
class Call:
    """One application of an op that is to be written.

    Attributes
    ----------
    writer : Writer
    op : Op
    names : list of str
        Its operands.
    types : list of TensorType
    type : TensorType
        Of its result.
    attrs : mapping
    """

    writer: Writer
    op: Op
    names: Sequence[Name]
    types: Sequence[TensorType]
    type: TensorType
    attrs: Mapping[str, Any]

    @property
    def same_dtype(self) -> list[Name]:
        """The operands in the dtype of the result; ONNX converts nothing by itself."""
        return [
            self.writer.cast(name, each.dtype, self.type.dtype)
            for name, each in zip(self.names, self.types, strict=True)
        ]


Translation = Callable[[Call], Name | None]


def writes(*names: str) -> Callable[[Translation], Translation]:
    """Enter a function as what writes the ops of these names."""

    def enter(translation: Translation) -> Translation:
        TRANSLATIONS.update(dict.fromkeys(names, translation))
        return translation

    return enter


# movement -----------------------------------------------------------------------------------------


@writes("clone")
def _clone(call: Call) -> Name:
    return call.writer.node("Identity", call.names[0])


@writes("concat")
def _concat(call: Call) -> Name:
    axis = call.attrs["axis"]
    names = call.same_dtype
    if axis is None:
        axis, names = 0, [call.writer.reshape(name, (-1,)) for name in names]
    return call.writer.node("Concat", *names, axis=axis)


@writes("stack")
def _stack(call: Call) -> Name:
    axis = call.attrs["axis"] % call.type.ndim
    shape = (*call.type.shape[:axis], 1, *call.type.shape[axis + 1 :])
    parts = [call.writer.reshape(name, shape) for name in call.same_dtype]
    return call.writer.node("Concat", *parts, axis=axis)


def _spelled(index: Any, shape: tuple[int, ...]) -> list[Slice]:
    """Return one slice an axis of the operand: an int keeps one element, what is left out all."""
    entries = [entry for entry in index if entry is not None]
    entries += [Slice()] * (len(shape) - len(entries))
    return [
        entry if isinstance(entry, Slice) else Slice(entry % length, entry % length + 1)
        for entry, length in zip(entries, shape, strict=True)
    ]


@writes("full_like", "zeros_like", "ones_like")
def _full_like(call: Call) -> Name:
    kernel = call.op.kernel
    example = np.empty((), call.types[0].dtype)
    value = call.writer.constant(np.asarray(kernel(example, **call.attrs)))
    return call.writer.node("Expand", value, call.writer.integers(call.type.shape))


@writes("pad")
def _pad(call: Call) -> Name:
    width = call.attrs["pad_width"]
    if not width:
        return call.names[0]
    ends = [before for before, _ in width] + [after for _, after in width]
    value = call.writer.constant(np.array(call.attrs["value"], call.type.dtype))
    return call.writer.node("Pad", call.names[0], call.writer.integers(ends), value)


# indexing -----------------------------------------------------------------------------------------


@writes("basic_index_gradient")
def _basic_index_gradient(call: Call) -> Name:
    """Put the operand into zeros: by padding, or element by element where it skips some."""
    shape = call.type.shape
    ranges = [
        selected(entry, length)
        for entry, length in zip(_spelled(call.attrs["index"], shape), shape, strict=True)
    ]
    name = call.writer.reshape(call.names[0], [range_length(each) for each in ranges])
    if all(each.step == 1 for each in ranges) and shape:
        before = [each.start for each in ranges]
        after = [length - each.stop for each, length in zip(ranges, shape, strict=True)]
        return call.writer.node("Pad", name, call.writer.integers(before + after))
    if is_symbolic(shape):
        raise OpenLength
    positions = np.arange(prod(shape)).reshape(shape)[np.ix_(*ranges)].reshape(-1)
    return _scattered(call, call.writer.constant(positions), name, "none")


def _scattered(call: Call, positions: Name, updates: Name, reduction: str) -> Name:
    """Put `updates` into flat zeros, and give them the shape of the result."""
    writer = call.writer
    empty = writer.reshape(writer.filled(0, call.type.shape, call.type.dtype), (-1,))
    flat = [writer.reshape(name, (-1,)) for name in (positions, updates)]
    found = writer.node("ScatterElements", empty, *flat, axis=0, reduction=reduction)
    return writer.reshape(found, call.type.shape)


@writes("take")
def _take(call: Call) -> Name:
    name, axis = call.names[0], call.attrs["axis"]
    if axis is None:
        name, axis = call.writer.reshape(name, (-1,)), 0
    return call.writer.node("Gather", name, call.names[1], axis=axis)


@writes("take_gradient")
def _take_gradient(call: Call) -> Name:
    writer, shape = call.writer, call.type.shape
    axis, taken = call.attrs["axis"] % len(shape), call.types[1].ndim
    # the axes of the indices first: rows are what ScatterND adds
    first = list(range(axis, axis + taken))
    others = [i for i in range(call.types[0].ndim) if i not in first]
    updates = writer.node("Transpose", call.names[0], perm=first + others)
    moved = (shape[axis], *shape[:axis], *shape[axis + 1 :])
    # ScatterND takes no indices from the end
    length = writer.number(shape[axis])
    rows = writer.cast(call.names[1], call.types[1].dtype, np.dtype(np.int64))
    rows = writer.node("Mod", writer.node("Add", rows, length), length)
    rows = writer.reshape(rows, (*call.types[1].shape, 1))
    empty = writer.filled(0, moved, call.type.dtype)
    found = writer.node("ScatterND", empty, rows, updates, reduction="add")
    back = [*range(1, axis + 1), 0, *range(axis + 1, len(shape))]
    return writer.node("Transpose", found, perm=back)


# reductions and contractions ----------------------------------------------------------------------

_REDUCTIONS = {
    "add": "ReduceSum",
    "multiply": "ReduceProd",
    "max": "ReduceMax",
    "min": "ReduceMin",
    "and": "ReduceMin",
    "or": "ReduceMax",
}


def reduction(call: Call) -> Name:
    """Write a reduction that does nothing but combine, as its record says."""
    name, kind = call.same_dtype[0], _REDUCTIONS[call.op.combine]
    if call.type.dtype.kind != "b":
        return _reduced(call, kind, name)
    number = np.dtype(np.int32)  # ONNX reduces no booleans
    found = _reduced(call, kind, call.writer.cast(name, call.type.dtype, number))
    # above zero and not merely other: the maximum of nothing is the least integer
    return call.writer.node("Greater", found, call.writer.constant(np.zeros((), number)))


def contraction(call: Call) -> Name:
    """Write a contraction by the subscripts of its record."""
    assert call.op.contraction is not None
    subscripts = call.op.contraction(*call.types, **call.attrs)
    return call.writer.node("Einsum", *call.same_dtype, equation=subscripts)


def _reduced(call: Call, kind: str, name: Name) -> Name:
    axis, keep = call.attrs["axis"], int(call.attrs["keepdims"])
    if axis is None:
        return call.writer.node(kind, name, keepdims=keep)
    axes = axis if isinstance(axis, (tuple, list)) else (axis,)
    # no axes at all would mean every axis
    return call.writer.node(
        kind, name, call.writer.integers(axes), keepdims=keep, noop_with_empty_axes=1
    )


@writes("argmax")
def _argmax(call: Call) -> Name:
    axis, name = call.attrs["axis"], call.names[0]
    if axis is None:
        name, axis = call.writer.reshape(name, (-1,)), 0
    found = call.writer.node("ArgMax", name, axis=axis, keepdims=0)
    return call.writer.reshape(found, call.type.shape)


@writes("matmul")
def _matmul(call: Call) -> Name:
    return call.writer.node("MatMul", *call.same_dtype)


# images -------------------------------------------------------------------------------------------


def _window(attrs: Mapping[str, Any]) -> dict[str, Any]:
    """Return what ONNX calls the geometry of a convolution."""
    return {
        "strides": list(attrs["stride"]),
        "pads": _pads(attrs["padding"]),
        "dilations": list(attrs["dilation"]),
        "group": attrs["groups"],
    }


def _pads(padding: Sequence[tuple[int, int]]) -> list[int]:
    """Return the padding before every axis, then that after."""
    return [*[before for before, _ in padding], *[after for _, after in padding]]


@writes("convolution")
def _convolution(call: Call) -> Name:
    return call.writer.node("Conv", *call.same_dtype, **_window(call.attrs))


@writes("convolution_input_gradient")
def _convolution_input_gradient(call: Call) -> Name:
    geometry = _window(call.attrs)
    kernel = call.types[1].shape[2:]
    beyond = [
        length - (stride * (given - 1) + spread * (size - 1) + 1 - margin)
        for length, given, size, stride, spread, margin in zip(
            call.type.shape[2:],
            call.types[0].shape[2:],
            kernel,
            geometry["strides"],
            geometry["dilations"],
            map(sum, call.attrs["padding"]),
            strict=True,
        )
    ]
    return call.writer.node("ConvTranspose", *call.same_dtype, output_padding=beyond, **geometry)


@writes("convolution_weight_gradient")
def _convolution_weight_gradient(call: Call) -> Name | None:
    """Convolve the image with the gradient: images and channels, steps and spread change places."""
    geometry = _window(call.attrs)
    if geometry["group"] != 1:
        return None
    axes = range(2, 2 + len(call.attrs["stride"]))
    gradient, image = (
        call.writer.node("Transpose", name, perm=[1, 0, *axes]) for name in call.same_dtype
    )
    found = call.writer.node(
        "Conv",
        image,
        gradient,
        strides=geometry["dilations"],
        dilations=geometry["strides"],
        pads=geometry["pads"],
    )
    found = call.writer.node("Transpose", found, perm=[1, 0, *axes])
    numbers = call.writer.integers
    # a window that does not fit at the end leaves places beyond the filter
    return call.writer.node(
        "Slice", found, numbers((0,) * len(axes)), numbers(call.type.shape[2:]), numbers(axes)
    )


def _pooling(attrs: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "kernel_shape": list(attrs["kernel"]),
        "strides": list(attrs["stride"]),
        "pads": _pads(attrs["padding"]),
        "dilations": list(attrs["dilation"]),
    }


@writes("max_pool")
def _max_pool(call: Call) -> Name:
    return call.writer.node("MaxPool", call.names[0], **_pooling(call.attrs))


@writes("max_pool_gradient")
def _max_pool_gradient(call: Call) -> Name:
    """Find once more where each largest element lies, and add the gradient there."""
    gradient, image, _ = call.names
    _, places = call.writer.nodes_results("MaxPool", [image], 2, **_pooling(call.attrs))
    return _scattered(call, places, gradient, "add")
