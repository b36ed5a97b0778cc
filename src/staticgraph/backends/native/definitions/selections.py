"""Selections: elements read, or added, at positions that index arrays hold."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import ClassVar

from oplibrary.machine.elements import BOOL, Unsupported, wide_dtype
from oplibrary.values.types import Shape
from staticgraph.backends.native.definitions.affine import row_major
from staticgraph.backends.native.definitions.definition import (
    Definition,
    Stored,
    Uniform,
    cast_to,
    copy_of,
)
from staticgraph.backends.native.definitions.open_lengths import nominal
from staticgraph.backends.native.definitions.products import Strided, find_strided, spread
from staticgraph.program.program import Instruction

SELECTED = "@"


@dataclass(eq=False, slots=True, repr=False)
class Gathered(Definition):
    """Elements of what is in memory, at positions that are computed.

    Attributes
    ----------
    source : Definition
        In memory.
    start : int
    strides : tuple of int
        Elements of the source between neighbours along each axis of the result.
    indices : tuple of Definition
        Each of the result's shape.
    axes : tuple of (int, int)
        For each index, the length of the axis that it selects from, and how far apart its elements
        are.
    """

    source: Definition = None  # type: ignore[assignment]
    start: int = 0
    strides: tuple[int, ...] = ()
    indices: tuple[Definition, ...] = ()
    axes: tuple[tuple[int, int], ...] = ()

    @property
    def operands(self) -> tuple[Definition, ...]:
        """The source and the indices."""
        return (self.source, *self.indices)


@dataclass(eq=False, slots=True, repr=False)
class Scattered(Stored):
    """Zeros with elements added at positions that index arrays hold, in the order of the elements.

    Attributes
    ----------
    extents : tuple of int
        The shape of what is added.
    places : tuple of Strided
        Where what is added is, and the indices, along these extents.
    strides : tuple of int
        Elements of the result between neighbours along each axis of what is added.
    axes : tuple of (int, int)
        As of `Gathered`.
    """

    in_machine_code: ClassVar[bool] = True
    accumulable: ClassVar[bool] = True

    extents: Shape = ()
    places: tuple[Strided, ...] = ()
    strides: tuple[int, ...] = ()
    axes: tuple[tuple[int, int], ...] = ()

    @property
    def work(self) -> float:
        """Estimated nanoseconds."""
        return 5.0 * float(nominal(prod(self.extents)))


@dataclass(eq=False, slots=True, repr=False)
class Assigned(Scattered):
    """A copy of a value with elements replaced at positions that index arrays hold, in their order.

    Attributes
    ----------
    into : Strided
        Where the value is that is copied: nothing is, where the result lies in its memory.
    """

    accumulable: ClassVar[bool] = False

    into: Strided = None  # type: ignore[assignment]

    @property
    def work(self) -> float:
        """Estimated nanoseconds, without those of a copy."""
        return 3.0 * float(nominal(prod(self.extents)))


def define_selection(
    instruction: Instruction, operands: tuple[Definition, ...], subscripts: str
) -> Definition:
    """Return what an op that selects by index arrays is.

    Raises
    ------
    Unsupported
        If it selects otherwise.
    """
    if not subscripts:
        raise Unsupported("a selection by a mask")
    left, result = subscripts.split("->")
    first, *selectors = left.split(",")
    into, (data, *indices) = None, operands
    if SELECTED in first and SELECTED in result:
        into, data, *indices = operands
        first, *selectors = selectors
    if not all(each.size for each in operands) or not instruction.output.type.size:
        raise Unsupported("a selection of no elements")
    if any(index.dtype.kind not in "iu" for index in indices):
        raise Unsupported("indices that are not integers")
    if into is not None:
        return _assigned(instruction, into, data, indices, first, selectors, result)
    if SELECTED in result:
        return _scattered(instruction, data, indices, first, selectors, result)
    return _gathered(instruction, data, indices, first, selectors, result)


def _gathered(
    instruction: Instruction,
    data: Definition,
    indices: list[Definition],
    own: str,
    selectors: list[str],
    result: str,
) -> Definition:
    type_ = instruction.output.type
    strided = _in_memory(data)
    strides = [0] * len(result)
    axes = []
    for label, n, stride in zip(own, data.shape, strided.strides, strict=True):
        if label == SELECTED:
            axes.append((n, stride))
        elif n != 1:
            strides[result.index(label)] = stride
    wide = [
        spread(instruction, index, labels, result, type_.shape)
        for index, labels in zip(indices, selectors, strict=True)
    ]
    return Gathered(
        type_.shape,
        type_.dtype,
        instruction,
        strided.base,
        strided.start,
        tuple(strides),
        tuple(wide),
        tuple(axes),
    )


def _scattered(
    instruction: Instruction,
    data: Definition,
    indices: list[Definition],
    own: str,
    selectors: list[str],
    result: str,
) -> Definition:
    type_ = instruction.output.type
    if type_.dtype == BOOL:
        raise Unsupported("truth values added at indices")
    dtype = wide_dtype(type_.dtype)
    wide = cast_to(data, dtype)
    places, strides, axes = _placed(instruction, wide, indices, own, selectors, result)
    operation = tuple([place.base for place in places])
    made = Scattered(type_.shape, dtype, instruction, operation, data.shape, places, strides, axes)
    return cast_to(made, type_.dtype)


def _assigned(
    instruction: Instruction,
    into: Definition,
    value: Definition,
    indices: list[Definition],
    own: str,
    selectors: list[str],
    result: str,
) -> Definition:
    type_ = instruction.output.type
    lengths = {label: 1 for label in result if label != SELECTED}
    for labels, each in zip(selectors, indices, strict=True):
        for label, n in zip(labels, each.shape, strict=True):
            lengths[label] = n if n != 1 else lengths.get(label, 1)
    for label, n in zip(result, type_.shape, strict=True):
        if label != SELECTED:
            lengths[label] = n
    # what the value has no axis for comes first, and each axis as long as what is selected
    whole = "".join(sorted(lengths.keys() - set(own))) + own
    extents = tuple([lengths[label] for label in whole])
    data = spread(instruction, cast_to(value, type_.dtype), own, whole, extents)
    places, strides, axes = _placed(instruction, data, indices, whole, selectors, result)
    copied = _in_memory(into)
    operation = tuple([place.base for place in (*places, copied)])
    return Assigned(
        type_.shape,
        type_.dtype,
        instruction,
        operation,
        extents,
        places,
        strides,
        axes,
        into=copied,
    )


def _placed(
    instruction: Instruction,
    data: Definition,
    indices: list[Definition],
    own: str,
    selectors: list[str],
    result: str,
) -> tuple[tuple[Strided, ...], tuple[int, ...], tuple[tuple[int, int], ...]]:
    """Return where the data and the indices are, the strides of the result, and its axes."""
    type_ = instruction.output.type
    strides = [0] * len(own)
    axes = []
    for label, n, stride in zip(result, type_.shape, row_major(type_.shape), strict=True):
        if label == SELECTED:
            axes.append((n, stride))
        elif n != 1:
            strides[own.index(label)] = stride
    wide = [
        spread(instruction, index, labels, own, data.shape)
        for index, labels in zip(indices, selectors, strict=True)
    ]
    places = tuple([_in_memory(each) for each in (data, *wide)])
    return places, tuple(strides), tuple(axes)


def _in_memory(definition: Definition) -> Strided:
    strided = find_strided(definition)
    if not isinstance(strided.base, Uniform):
        return strided
    return Strided(copy_of(definition), 0, row_major(definition.shape))
