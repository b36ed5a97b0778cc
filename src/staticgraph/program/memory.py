"""How long each value is needed, and where in one block of memory it is kept.

The plan is made once, from the order of the steps; a run then allocates nothing but its results.
"""

from __future__ import annotations

import bisect
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from oplibrary.core.op import Kind
from oplibrary.values.memory import ALIGNMENT
from oplibrary.values.types import Shape
from staticgraph.program.layout import Layout
from staticgraph.program.program import Instruction, Program, Value

IN_PLACE_BYTES = 4096
"""Smaller values get memory of their own: NumPy takes 0.25 µs longer to find that one element may
overlap itself, and there is little to save."""


class Blocks(NamedTuple):
    """How a group of elementwise instructions is cut into blocks.

    Attributes
    ----------
    rows : int
        Length of the leading axes, merged.
    inner : tuple of int
        The axes that are not cut.
    bounds : tuple of (int, int)
        First row of each block, and the first one after it.
    """

    rows: int
    inner: Shape
    bounds: tuple[tuple[int, int], ...]

    @property
    def block_rows(self) -> int:
        """Rows of the largest block."""
        return max(stop - start for start, stop in self.bounds)

    @property
    def block_size(self) -> int:
        """Elements of the largest block."""
        size = self.block_rows
        for n in self.inner:
            size *= n
        return size


@dataclass(frozen=True, slots=True, eq=False)
class PlannedStep:
    """What runs as one: an instruction, or a loop over blocks of several.

    Attributes
    ----------
    instructions : tuple of Instruction
    blocks : Blocks or None
    inner : frozenset of Value
        Results that only this loop reads: they exist one block at a time.
    """

    instructions: tuple[Instruction, ...]
    blocks: Blocks | None = None
    inner: frozenset[Value] = frozenset()


@dataclass(frozen=True, slots=True, eq=False)
class BufferPlan:
    """Where the values of a program are kept, as far as every backend says it.

    Attributes
    ----------
    steps : tuple of PlannedStep
        The whole program, in order.
    offsets : mapping of Value to int
        Bytes from the start of the arena, for each value that is computed into it. For a value
        that exists one block at a time, where its block is.
    last_use : mapping of Value to int
        For each value that owns memory the last step that reads it or a view of it; the number of
        steps for results.
    arena_bytes : int
    peak_bytes : int
        Most bytes that computed values, inside and outside the arena, take at once.
    unplanned_bytes : int
        What all computed values would take if nothing was ever freed or shared.
    in_place : mapping of Value to Value
        The operand whose memory a result takes over whole: in the arena, or an input's own.
    """

    steps: tuple[PlannedStep, ...]
    offsets: Mapping[Value, int]
    last_use: Mapping[Value, int]
    arena_bytes: int
    peak_bytes: int
    unplanned_bytes: int
    in_place: Mapping[Value, Value] = field(default_factory=dict)

    def table(self) -> str:
        """Return the arena as text, one line a value: where it is, from which step to which."""
        made_at = {
            each.output: (number, step)
            for number, step in enumerate(self.steps)
            for each in step.instructions
        }
        lines = [f"{'offset':>12} {'bytes':>12}  steps        value"]
        for value, offset in self.offsets.items():
            number, step = made_at[value]
            nbytes, last, note = value.type.nbytes, self.last_use.get(value, number), ""
            if value in step.inner and step.blocks is not None:
                nbytes, last = step.blocks.block_size * value.type.dtype.itemsize, number
                note = f" one of {len(step.blocks.bounds)} blocks"
            elif value in self.in_place:
                note = f" in place of {self.in_place[value].name or 'its operand'}"
            lines.append(f"{offset:>12,} {nbytes:>12,}  {number:>4} to {last:<4} {value}{note}")
        return "\n".join(lines)


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class ArrayPlan(BufferPlan):
    """The plan of a backend whose values are arrays of NumPy.

    Attributes
    ----------
    layouts : mapping of Value to Layout
    """

    layouts: Mapping[Value, Layout]


def plan_buffers(
    program: Program,
    steps: Sequence[PlannedStep],
    layouts: Mapping[Value, Layout],
    buffered: Collection[Value],
    owned: Collection[Value] = (),
) -> ArrayPlan:
    """Return where each value of `buffered` is kept in one arena.

    Offsets are given in the order of the steps, each the smallest free place that fits (best fit),
    so two values overlap only if one is dead before the other is made. A result takes over the
    memory of an operand that dies with it where a ufunc makes it, element by element.
    O(n log n) in the instructions.

    Parameters
    ----------
    program : Program
    steps : sequence of PlannedStep
        All instructions of the program, in order.
    layouts : mapping of Value to Layout
    buffered : collection of Value
        What the backend computes into memory that it is given; not views. Values that exist one
        block at a time are always planned.
    owned : collection of Value
        Inputs whose memory results may take over.
    """
    planner = _Planner(steps, layouts, buffered, last_uses(program, steps, layouts), set(owned))
    for number, step in enumerate(steps):
        planner.plan_step(number, step)
    return ArrayPlan(
        steps=tuple(steps),
        layouts=layouts,
        offsets=planner.offsets,
        in_place=planner.in_place,
        last_use=planner.last_use,
        arena_bytes=planner.arena.size,
        peak_bytes=planner.peak,
        unplanned_bytes=planner.total,
    )


def last_uses(
    program: Program, steps: Sequence[PlannedStep], layouts: Mapping[Value, Layout]
) -> dict[Value, int]:
    """Return for each value that owns memory the last step that needs it.

    A view extends the life of the value that it shows; a result lives past the last step. What a
    control-flow op gives may be one of its operands, so these live as long.
    """
    last: dict[Value, int] = {}
    for number, step in enumerate(steps):
        for instruction in step.instructions:
            for value in (*instruction.inputs, instruction.output):
                last[layouts[value].base] = number
    for value in program.results:
        last[layouts[value].base] = len(steps)
    for step in reversed(steps):
        for instruction in step.instructions:
            if instruction.op.kind is Kind.CONTROL:
                until = last[instruction.output]
                for value in instruction.inputs:
                    base = layouts[value].base
                    last[base] = max(last[base], until)
    return last


@dataclass(slots=True)
class _Planner:
    steps: Sequence[PlannedStep]
    layouts: Mapping[Value, Layout]
    buffered: Collection[Value]
    last_use: dict[Value, int]
    owned: set[Value]
    arena: Arena = field(default_factory=lambda: Arena())
    offsets: dict[Value, int] = field(default_factory=dict)
    in_place: dict[Value, Value] = field(default_factory=dict)
    dying: dict[int, list[Value]] = field(default_factory=dict)
    given: set[Value] = field(default_factory=set)
    in_use: int = 0
    peak: int = 0
    total: int = 0

    def plan_step(self, number: int, step: PlannedStep) -> None:
        for position, instruction in enumerate(step.instructions):
            output = instruction.output
            if self.layouts[output].base is not output:
                continue
            nbytes = output.type.nbytes
            self.total += nbytes
            if output in step.inner:
                continue
            self.dying.setdefault(self.last_use[output], []).append(output)
            donor = self._donor(instruction, number, step, position)
            if donor is not None:
                self.given.add(donor)
                self.in_place[output] = donor
                if donor in self.offsets:
                    self.offsets[output] = self.offsets[donor]
                else:
                    self.owned.add(output)  # and may pass it on
                    self.in_use += nbytes
                continue
            self.in_use += nbytes
            if output in self.buffered:
                self.offsets[output] = self.arena.take(nbytes)
        scratch = self._plan_blocks(step) if step.blocks is not None else []
        self.peak = max(self.peak, self.in_use + sum(nbytes for _, nbytes in scratch))
        for offset, nbytes in scratch:
            self.arena.give_back(offset, nbytes)
        for value in self.dying.pop(number, ()):
            if value in self.given:
                continue
            self.in_use -= value.type.nbytes
            if value in self.offsets:
                self.arena.give_back(self.offsets[value], value.type.nbytes)

    def _donor(
        self, instruction: Instruction, number: int, step: PlannedStep, position: int
    ) -> Value | None:
        """Return the operand whose memory the result can take over, or None."""
        output = instruction.output
        if output.type.nbytes < IN_PLACE_BYTES or not isinstance(instruction.op.run, np.ufunc):
            return None
        for value in instruction.inputs:
            if (
                self._is_to_be_had(value, output, step)
                and value not in self.given
                and value not in step.inner
                and self.last_use[value] == number
                and value.type == output.type
                and self.layouts[value].coincides(self.layouts[output])
                and self._read_only_as_itself(value, step, position)
            ):
                return value
        return None

    def _is_to_be_had(self, value: Value, output: Value, step: PlannedStep) -> bool:
        """Tell whether `output` may lie in memory of the kind that `value` has."""
        if value in self.offsets:
            return output in self.buffered
        return value in self.owned and step.blocks is None

    def _read_only_as_itself(self, value: Value, step: PlannedStep, position: int) -> bool:
        """Tell whether `step` reads the memory of `value` element by element, up to `position`."""
        return all(
            operand is value and place <= position
            for place, instruction in enumerate(step.instructions)
            for operand in instruction.inputs
            if self.layouts[operand].base is value
        )

    def _plan_blocks(self, step: PlannedStep) -> list[tuple[int, int]]:
        """Give each value that exists one block at a time a place, and return those taken."""
        assert step.blocks is not None
        last: dict[Value, int] = {}
        for position, instruction in enumerate(step.instructions):
            for value in (*instruction.inputs, instruction.output):
                last[value] = position
        taken: list[tuple[int, int]] = []
        free: dict[np.dtype[np.generic], list[int]] = {}
        for position, instruction in enumerate(step.instructions):
            output = instruction.output
            dead = [
                value
                for value in dict.fromkeys((*instruction.inputs, output))
                if value in step.inner and value in self.offsets and last[value] == position
            ]
            if isinstance(instruction.op.run, np.ufunc):
                self._release(dead, free)
                dead = []
            if output in step.inner and instruction.op.takes_out:
                places = free.setdefault(output.type.dtype, [])
                if not places:
                    nbytes = step.blocks.block_size * output.type.dtype.itemsize
                    places.append(self.arena.take(nbytes))
                    taken.append((places[0], nbytes))
                self.offsets[output] = places.pop()
            self._release(dead, free)
        return taken

    def _release(self, values: list[Value], free: dict[np.dtype[np.generic], list[int]]) -> None:
        for value in values:
            free.setdefault(value.type.dtype, []).append(self.offsets[value])


class Arena:
    """Free places in a block of memory that grows at its end."""

    def __init__(self) -> None:
        self.size = 0
        self._by_size: list[tuple[int, int]] = []
        self._ends: dict[int, int] = {}
        self._starts: dict[int, int] = {}

    def take(self, nbytes: int) -> int:
        """Return the offset of the smallest free place of `nbytes`; the block grows if needed."""
        nbytes = aligned(nbytes)
        at = bisect.bisect_left(self._by_size, (nbytes, -1))
        if at < len(self._by_size):
            size, offset = self._by_size[at]
            self._remove(offset, size)
            if size > nbytes:
                self._insert(offset + nbytes, size - nbytes)
            return offset
        offset = self._ends.get(self.size, self.size)  # a free place at the end is enlarged
        if offset < self.size:
            self._remove(offset, self.size - offset)
        self.size = offset + nbytes
        return offset

    def size_with(self, nbytes: int) -> int:
        """Return how large the block would be with another place of `nbytes`."""
        nbytes = aligned(nbytes)
        if self._by_size and self._by_size[-1][0] >= nbytes:
            return self.size
        return self._ends.get(self.size, self.size) + nbytes

    def give_back(self, offset: int, nbytes: int) -> None:
        """Free a place; free neighbours become one."""
        nbytes = aligned(nbytes)
        before = self._ends.get(offset)
        if before is not None:
            self._remove(before, offset - before)
            nbytes += offset - before
            offset = before
        after = self._starts.get(offset + nbytes)
        if after is not None:
            self._remove(offset + nbytes, after)
            nbytes += after
        self._insert(offset, nbytes)

    def _insert(self, offset: int, nbytes: int) -> None:
        bisect.insort(self._by_size, (nbytes, offset))
        self._starts[offset] = nbytes
        self._ends[offset + nbytes] = offset

    def _remove(self, offset: int, nbytes: int) -> None:
        del self._by_size[bisect.bisect_left(self._by_size, (nbytes, offset))]
        del self._starts[offset], self._ends[offset + nbytes]


def aligned(nbytes: int) -> int:
    """Return `nbytes` rounded up; every value has a place, also one of no elements."""
    return max(-(-nbytes // ALIGNMENT), 1) * ALIGNMENT
