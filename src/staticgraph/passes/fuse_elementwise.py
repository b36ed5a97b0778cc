"""Bring elementwise instructions together that can run as one loop, and mark them as a group."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import count

from oplibrary.core.op import Kind
from oplibrary.values.types import Shape
from staticgraph.program.program import Instruction, Program, Value

MAX_MEMBERS = 64
"""A group has at most that many instructions, so that what it reads and writes stays in cache."""

MAX_OPERANDS = 8
"""A group reads at most that many values of its own size from outside. All of them exist at once:
fifty gradients that are summed one by one would otherwise have to wait for each other."""


def fuse_elementwise(program: Program) -> Program:
    """Group elementwise instructions of one shape that feed each other or read the same.

    First an instruction moves up to the group that makes its operands, then down to the group
    that reads its result, where nothing between depends on it. Neighbours of one group then share
    a loop: what only the group reads need not exist as a whole.
    """
    instructions = program.instructions
    if sum([_shape(each) is not None for each in instructions]) < 2:
        return program
    made = {each.output for each in instructions}
    operands = {each.output: [v for v in each.inputs if v in made] for each in instructions}
    users = {value: [each.output for each in using] for value, using in program.users().items()}
    up = _gather(instructions, operands)
    down = _gather([each for unit in reversed(up) for each in reversed(unit)], users)
    units = [list(reversed(unit)) for unit in reversed(down)]
    numbers = count(1)
    result: list[Instruction] = []
    for unit in units:
        group = next(numbers) if len(unit) > 1 else 0
        result += [each if each.group == group else replace(each, group=group) for each in unit]
    if all(new is old for new, old in zip(result, instructions, strict=True)):
        return program
    return program.with_instructions(result)


def _shape(instruction: Instruction) -> Shape | None:
    """Return the shape of the loop that `instruction` can be part of, or None."""
    output = instruction.output.type
    if instruction.op.kind is Kind.ELEMENTWISE and not instruction.op.view and output.size > 1:
        return output.shape
    return None


def _gather(
    instructions: Iterable[Instruction], before: Mapping[Value, Sequence[Value]]
) -> list[list[Instruction]]:
    """Return the instructions in units, in an order of the units that is as valid.

    Parameters
    ----------
    instructions : iterable of Instruction
        Forwards or backwards.
    before : mapping of Value to sequence of Value
        For each instruction those that must come earlier in this direction: what makes its
        operands, or what reads its result. An instruction is told by its output.
    """
    units: list[_Unit] = []
    unit_of: dict[Value, int] = {}
    for instruction in instructions:
        shape = _shape(instruction)
        near = {unit_of[value] for value in before.get(instruction.output, ())}
        last = max(near, default=-1)
        place = None
        if last >= 0 and units[last].shape == shape is not None:
            place = _merge(units, unit_of, near)
            near = {unit_of[value] for value in before[instruction.output]}
        elif units and units[-1].shape == shape is not None and units[-1].reads(instruction):
            # what only reads the same values gains little, so it joins its neighbour alone
            place = len(units) - 1
        if place is None or not units[place].has_room([instruction]):
            place = len(units)
            units.append(_Unit(shape))
        units[place].add(instruction)
        units[place].after |= near
        unit_of[instruction.output] = place
    return [unit.members for unit in units if unit.members]


def _merge(units: list[_Unit], unit_of: dict[Value, int], near: set[int]) -> int:
    """Join units that one instruction depends on, the last into older ones where it may move.

    Returns
    -------
    int
        The unit that the instruction can be part of.
    """
    place = max(near)
    shape = units[place].shape
    others = max([each for each in near if units[each].shape != shape], default=-1)
    for older in sorted(near - {place}, reverse=True):
        unit, last = units[older], units[place]
        # everything that the moving unit, or the instruction, needs must come before
        if older <= others or max(last.after - {place}, default=-1) > older:
            break
        if not unit.has_room(last.members):
            break
        for instruction in last.members:
            unit.add(instruction)
            unit_of[instruction.output] = older
        unit.after |= last.after - {place}
        last.members = []
        place = older
    return place


class _Unit:
    """Instructions that stay together; `after` are the units that they need to come after."""

    __slots__ = ("after", "made", "members", "shape", "touched")

    def __init__(self, shape: Shape | None) -> None:
        self.shape = shape
        self.members: list[Instruction] = []
        self.touched: set[Value] = set()
        self.made: set[Value] = set()
        self.after: set[int] = set()

    def add(self, instruction: Instruction) -> None:
        self.members.append(instruction)
        self.made.add(instruction.output)
        self.touched |= self._read(instruction)

    def has_room(self, more: Sequence[Instruction]) -> bool:
        """Tell whether `more` may join without making the group too large."""
        if len(self.members) + len(more) > MAX_MEMBERS:
            return False
        touched = self.touched.union(*map(self._read, more))
        return len(touched - self.made - {each.output for each in more}) <= MAX_OPERANDS

    def reads(self, instruction: Instruction) -> bool:
        return not self.touched.isdisjoint(instruction.inputs)

    def _read(self, instruction: Instruction) -> set[Value]:
        return {value for value in instruction.inputs if value.type.shape == self.shape}
