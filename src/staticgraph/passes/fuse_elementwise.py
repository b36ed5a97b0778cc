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
        neighbours = before.get(instruction.output, ())
        earliest = max([unit_of[value] for value in neighbours], default=0)
        place = None if shape is None else latest.get(shape)
        if (
            place is None
            or place < earliest
            or not units[place].takes(instruction, neighbours, place == len(units) - 1)
        ):
            place = len(units)
            units.append(_Unit())
            if shape is not None:
                latest[shape] = place
        units[place].add(instruction)
        unit_of[instruction.output] = place
    return [unit.members for unit in units]


class _Unit:
    """Instructions that stay together."""

    __slots__ = ("made", "members", "read")

    def __init__(self) -> None:
        self.members: list[Instruction] = []
        self.made: set[Value] = set()
        self.read: set[Value] = set()

    def add(self, instruction: Instruction) -> None:
        shape = instruction.output.type.shape
        self.members.append(instruction)
        self.made.add(instruction.output)
        self.read.update([v for v in instruction.inputs if v.type.shape == shape])

    def takes(self, instruction: Instruction, neighbours: Sequence[Value], adjacent: bool) -> bool:
        if len(self.members) >= MAX_MEMBERS:
            return False
        # what only reads the same values gains little, so it does not move for that
        return not self.made.isdisjoint(neighbours) or (
            adjacent and not self.read.isdisjoint(instruction.inputs)
        )
