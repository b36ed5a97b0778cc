"""Bring elementwise instructions together that can run as one loop, and mark them as a group."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import count

from common.op import Kind
from common.types import Shape
from staticgraph.program import Instruction, Program, Value

MAX_MEMBERS = 64
"""A group has at most that many instructions, so that what it reads and writes stays in cache."""


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
    latest: dict[Shape, int] = {}
    for instruction in instructions:
        shape = _shape(instruction)
        near = sorted({unit_of[value] for value in before.get(instruction.output, ())})
        earliest = near[-1] if near else -1
        place = None
        if shape is not None and shape in latest:
            mine = [each for each in near if units[each].shape == shape]
            if mine and mine[-1] == earliest:
                place = _merge(units, unit_of, mine)
            else:
                place = latest[shape]
                adjacent = place == len(units) - 1
                # what only reads the same values gains little, so it does not move for that
                if place < earliest or not (mine or (adjacent and units[place].reads(instruction))):
                    place = None
            if place is not None and len(units[place].members) >= MAX_MEMBERS:
                place = None
        if place is None:
            place = len(units)
            units.append(_Unit(shape))
        if shape is not None:
            latest[shape] = max(place, latest.get(shape, place))
        unit = units[place]
        unit.add(instruction)
        unit.earliest = max([unit.earliest, *[each for each in near if each < place]])
        unit_of[instruction.output] = place
    return [unit.members for unit in units if unit.members]


def _merge(units: list[_Unit], unit_of: dict[Value, int], places: list[int]) -> int:
    """Join units of one shape, the last into those before it where it may move; return where."""
    place = places[-1]
    for older in reversed(places[:-1]):
        last, unit = units[place], units[older]
        if last.earliest > older or len(last.members) + len(unit.members) >= MAX_MEMBERS:
            break
        for instruction in last.members:
            unit.add(instruction)
            unit_of[instruction.output] = older
        unit.earliest = max([unit.earliest, *[e for e in (last.earliest,) if e < older]])
        last.members = []
        place = older
    return place


class _Unit:
    """Instructions that stay together.

    `earliest` is the last other unit that one of them needs to come after.
    """

    __slots__ = ("earliest", "members", "shape", "touched")

    def __init__(self, shape: Shape | None) -> None:
        self.shape = shape
        self.members: list[Instruction] = []
        self.touched: set[Value] = set()
        self.earliest = -1

    def add(self, instruction: Instruction) -> None:
        self.members.append(instruction)
        self.touched.update([v for v in instruction.inputs if v.type.shape == self.shape])

    def reads(self, instruction: Instruction) -> bool:
        return not self.touched.isdisjoint(instruction.inputs)
