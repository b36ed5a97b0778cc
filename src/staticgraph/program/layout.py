"""Where the elements of each value lie in memory: foreseen, so that a backend can choose it.

The dynamic executor lets every kernel choose the layout of its result, and a sum over other strides
can round to other bits. A backend that wants the same bits therefore keeps the same layout. It is
foreseen from what the record promises and, where that does not settle it, by asking the kernel
itself: it is run once on zeros of the same type and strides, and its result is looked at.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from oplibrary.core.op import Kind, Op
from oplibrary.core.registry import REGISTRY
from oplibrary.values.keys import exact_key
from oplibrary.values.types import Array, Shape, TensorType
from staticgraph.program.lengths import program_at, program_is_symbolic
from staticgraph.program.program import Instruction, Program, Value

Strides = tuple[int, ...]

PROBE_ELEMENTS = 1 << 22
"""A kernel is asked only about operands and results of at most that many elements in all."""

# kinds that say that the kernel does nothing but compute its result, in bounded time
_PROBED = frozenset(
    {Kind.ELEMENTWISE, Kind.REDUCTION, Kind.MOVEMENT, Kind.CONTRACTION, Kind.INDEXING}
)


def _may_ask(op: Op) -> bool:
    """Tell whether the kernel may be run on zeros; an opaque one must be the library's own."""
    if op.effect:
        return False
    return op.kind in _PROBED or (op.kind is Kind.OPAQUE and REGISTRY.get(op.name) is op)


@dataclass(frozen=True, slots=True, eq=False)
class Layout:
    """Where the elements of one value lie.

    Attributes
    ----------
    strides : tuple of int or None
        Bytes between neighbours along each axis, 0 for an axis of length 1; None if unknown.
    base : Value
        The value whose memory this is: the value itself, unless it is a view.
    offset : int
        Bytes from the base's first element to this one's.
    contiguous : bool
        Whether the elements are known to lie in row-major order without gaps.
    """

    strides: Strides | None
    base: Value
    offset: int
    contiguous: bool

    def coincides(self, other: Layout) -> bool:
        """Tell whether two values of one type are known to be laid out alike."""
        return self.strides is not None and self.strides == other.strides


@lru_cache(4096)
def contiguous_strides(shape: Shape, itemsize: int) -> Strides:
    """Return the strides of a row-major array, 0 for axes of length 1."""
    strides = []
    step = itemsize
    for n in reversed(shape):
        strides.append(0 if n == 1 else step)
        step *= max(n, 1)
    return tuple(reversed(strides))


def layout_of_array(value: Value, array: Array) -> Layout:
    """Return the layout of `array`, which `value` holds."""
    return _own(value, _canonical(array), array.flags.c_contiguous)


def _own(value: Value, strides: Strides | None, contiguous: bool) -> Layout:
    return Layout(strides, value, 0, contiguous)


def row_major_layout(value: Value) -> Layout:
    """Return the layout of a row-major array of its own."""
    return _own(value, contiguous_strides(value.type.shape, value.type.dtype.itemsize), True)


def strides_unless_row_major(array: Array) -> Strides | None:
    """Return how `array` lies in memory, or None if that is in row-major order."""
    return None if array.flags.c_contiguous else _canonical(array)


def _canonical(array: Array) -> Strides:
    if array.flags.c_contiguous:
        return contiguous_strides(array.shape, array.itemsize)
    return tuple(0 if n == 1 else s for n, s in zip(array.shape, array.strides, strict=True))


# asking the kernel --------------------------------------------------------------------------------


class _Attrs:
    """Attributes as part of a key."""

    __slots__ = ("attrs", "key")

    def __init__(self, attrs: Mapping[str, Any]) -> None:
        self.attrs = attrs
        self.key = exact_key(attrs)
        hash(self.key)

    def __hash__(self) -> int:
        return hash(self.key)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Attrs) and self.key == other.key


class _Outcome(NamedTuple):
    """What a kernel did with operands of known types and strides."""

    strides: Strides
    contiguous: bool
    shares: bool
    offset: int


_Operand = tuple[TensorType, Strides]


@lru_cache(4096)
def _ask(op: Op, operands: tuple[_Operand, ...], attrs: _Attrs) -> _Outcome | None:
    """Run the kernel on zeros and return how its result lies, or None if it refuses them."""
    try:
        arrays = [_exemplar(type_, strides) for type_, strides in operands]
        with np.errstate(all="ignore"):
            result = np.asarray(op.kernel(*arrays, **attrs.attrs))
    except Exception:  # whatever is wrong with zeros, or with the operands, a run will tell
        return None
    shares = op.view and np.may_share_memory(result, arrays[0])
    offset = _address(result) - _address(arrays[0]) if shares else 0
    return _Outcome(_canonical(result), result.flags.c_contiguous, shares, offset)


def _ask_about_small(op: Op, operands: tuple[_Operand, ...], result: TensorType) -> _Outcome | None:
    """Return how the result of a contraction lies, in which only the order of the axes counts.

    The kernel is run on two positions of each axis, as far apart as they are in the operands.
    """
    small = tuple([(_small(type_), strides) for type_, strides in operands])
    outcome = _ask(op, small, _Attrs({}))
    if outcome is None or outcome.strides == contiguous_strides(
        _small(result).shape, result.dtype.itemsize
    ):
        strides = contiguous_strides(result.shape, result.dtype.itemsize)
        return outcome and outcome._replace(strides=strides)
    return _ask(op, operands, _Attrs({}))


def _small(type_: TensorType) -> TensorType:
    return TensorType([min(n, 2) for n in type_.shape], type_.dtype)


def _exemplar(type_: TensorType, strides: Strides) -> Array:
    if strides == contiguous_strides(type_.shape, type_.dtype.itemsize):
        return np.zeros(type_.shape, type_.dtype)  # pages that nobody touches cost nothing
    first = last = 0
    for n, stride in zip(type_.shape, strides, strict=True):
        first += min(0, (n - 1) * stride)
        last += max(0, (n - 1) * stride)
    memory = np.zeros(last - first + type_.dtype.itemsize, np.uint8)
    return np.ndarray(type_.shape, type_.dtype, memory.data, -first, strides)


def _address(array: Array) -> int:
    return int(array.__array_interface__["data"][0])


class _Unlikely(dict[str, int]):
    """A length for each name, which the lengths of a program are seldom equal to."""

    def __missing__(self, name: str) -> int:
        self[name] = (97, 101, 103, 107, 109, 113)[len(self) % 6]
        return self[name]


# the analysis -------------------------------------------------------------------------------------


def find_layouts(program: Program) -> dict[Value, Layout]:
    """Return the layout that each value of `program` has in the dynamic executor.

    Inputs and variables are row-major there, but for inputs of regions, which are as the values
    around it; constants are as they are. The time is linear in
    the instructions, plus one run of each different kernel call that has to be asked. Where lengths
    are not known, it is the layout with some small ones that say little by chance.
    """
    if program_is_symbolic(program):
        numbered, values = program_at(program, _Unlikely())
        found = find_layouts(numbered)
        back = {at: value for value, at in values.items()}
        return {
            value: replace(found[at], base=back[found[at].base]) for value, at in values.items()
        }
    layouts: dict[Value, Layout] = {}
    for value in (*program.inputs, *program.variables):
        layouts[value] = row_major_layout(value)
    for value, strides in program.strides.items():
        layouts[value] = _own(value, strides, False)
    for value, array in program.constants.items():
        layouts[value] = layout_of_array(value, array)
    for instruction in program.instructions:
        operands = [layouts[value] for value in instruction.inputs]
        layouts[instruction.output] = result_layout(instruction, operands)
    return layouts


def result_layout(instruction: Instruction, operands: list[Layout]) -> Layout:
    """Return the layout of what `instruction` makes of operands that lie like `operands`."""
    op, output = instruction.op, instruction.output
    if op.projection:  # what branches and loops give is row-major
        return row_major_layout(output)
    if not op.view:
        if op.kind is Kind.ELEMENTWISE and all(in_order(x) for x in operands):
            return row_major_layout(output)
        # a kernel that takes a row-major output makes one by itself, from row-major operands
        if op.takes_out and all(x.contiguous for x in operands):
            return row_major_layout(output)
    outcome = _outcome(instruction, operands)
    if outcome is None:
        base = operands[0].base if op.view and operands else output
        return Layout(None, base, 0, False)
    if not outcome.shares:
        return _own(output, outcome.strides, outcome.contiguous)
    first = operands[0]
    return Layout(outcome.strides, first.base, first.offset + outcome.offset, outcome.contiguous)


def in_order(layout: Layout) -> bool:
    """Tell whether the axes that have a stride stand in row-major order.

    If those of every operand do, an elementwise result is row-major: a broadcast axis, of stride
    0, says nothing about the order in which NumPy walks the others.
    """
    if layout.contiguous:
        return True
    if layout.strides is None:
        return False
    steps = [stride for stride in layout.strides if stride]
    return steps == sorted(set(steps), reverse=True) and (not steps or steps[-1] > 0)


def _outcome(instruction: Instruction, operands: list[Layout]) -> _Outcome | None:
    op = instruction.op
    if not _may_ask(op) or any(x.strides is None for x in operands):
        return None
    if not op.view:
        size = instruction.output.type.size + sum([v.type.size for v in instruction.inputs])
        if size > PROBE_ELEMENTS:
            return None
    described = tuple(
        [(v.type, x.strides or ()) for v, x in zip(instruction.inputs, operands, strict=True)]
    )
    try:
        if op.contraction and not instruction.attrs:
            return _ask_about_small(op, described, instruction.output.type)
        return _ask(op, described, _Attrs(instruction.attrs))
    except TypeError:  # an attribute that cannot be hashed
        return None
