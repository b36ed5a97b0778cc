"""The lowered program: an ordered list of typed instructions in single assignment.

A `Program` is what passes rewrite, the plan measures and backends run. It is never changed in
place: a pass builds a new one, or returns the one it got to say that it found nothing to do.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from copy import deepcopy
from dataclasses import dataclass, field, replace
from html import escape
from typing import Any

from oplibrary.core.op import Op
from oplibrary.messages.source import Source
from oplibrary.values.types import Array, TensorType
from staticgraph.program.pickled import reduced
from staticgraph.program.upcall import Upcall
from staticgraph.program.variable import Variable as Variable

program_as_svg: Upcall[[Program], str] = Upcall("staticgraph.show.drawing")
"""Return a drawing of a program."""

program_as_text: Upcall[[Program], str] = Upcall("staticgraph.show.printing")
"""Print a program."""

MOST_DRAWN = 500
"""Notebooks draw graphs and programs of at most this many nodes."""


@dataclass(slots=True, eq=False)
class Value:
    """One value of a program: an input, a constant, a variable's content or a result."""

    type: TensorType
    name: str = ""

    def __repr__(self) -> str:
        return f"{self.name or 'value'}:{self.type}"


@dataclass(frozen=True, slots=True, eq=False)
class Instruction:
    """One application of an op.

    Attributes
    ----------
    op : Op
    inputs : tuple of Value
    output : Value
    attrs : mapping
    sources : tuple of Source
        The user's lines it came from; several after common subexpressions.
    group : int
        Neighbours with one number other than 0 may run as one loop over their elements; all of
        them are elementwise and have one shape.
    """

    op: Op
    inputs: tuple[Value, ...]
    output: Value
    attrs: Mapping[str, Any] = field(default_factory=dict)
    sources: tuple[Source, ...] = ()
    group: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class Program:
    """An ordered list of instructions with what it reads and what it gives.

    Attributes
    ----------
    inputs : tuple of Value
        What a call passes, in order.
    constants : mapping of Value to numpy.ndarray
    variables : mapping of Value to Variable
        Read when a run starts.
    instructions : tuple of Instruction
        In an order in which every operand is defined before it is used.
    outputs : tuple of Value
        May repeat, and may be inputs, constants or variables.
    updates : tuple of (Variable, Value)
        What each assigned variable holds after the run.
    owned : frozenset of Value
        Inputs whose arrays a run may overwrite: the caller does not read them again.
    strides : mapping of Value to tuple of int
        How the inputs lie in memory that are not row-major: bytes along each axis.
    """

    inputs: tuple[Value, ...]
    constants: Mapping[Value, Array]
    variables: Mapping[Value, Variable]
    instructions: tuple[Instruction, ...]
    outputs: tuple[Value, ...]
    updates: tuple[tuple[Variable, Value], ...] = ()
    owned: frozenset[Value] = frozenset()
    strides: Mapping[Value, tuple[int, ...]] = field(default_factory=dict)

    @property
    def results(self) -> tuple[Value, ...]:
        """Every value that must exist when the run ends: the outputs, then the updates."""
        return self.outputs + tuple(value for _, value in self.updates)

    def with_instructions(
        self,
        instructions: Iterable[Instruction],
        replaced: Mapping[Value, Value] | None = None,
        constants: Mapping[Value, Array] | None = None,
    ) -> Program:
        """Return the program with other instructions.

        Parameters
        ----------
        instructions : iterable of Instruction
            With their operands already replaced.
        replaced : mapping of Value to Value, optional
            What outputs and updates are to read instead.
        constants : mapping, optional
            The new constants; defaults to the old ones.
        """
        swap = replaced or {}
        return replace(
            self,
            instructions=tuple(instructions),
            constants=self.constants if constants is None else constants,
            outputs=tuple(swap.get(v, v) for v in self.outputs),
            updates=tuple((variable, swap.get(v, v)) for variable, v in self.updates),
        )

    def users(self) -> dict[Value, list[Instruction]]:
        """Return for each value the instructions that read it, in order, once each."""
        users: dict[Value, list[Instruction]] = {}
        for instruction in self.instructions:
            for value in dict.fromkeys(instruction.inputs):
                users.setdefault(value, []).append(instruction)
        return users

    def __reduce__(self) -> Any:
        return reduced(self)

    def __deepcopy__(self, memo: dict[int, Any]) -> Program:
        """Return the program with variables of its own; all else in it never changes."""
        copies = {each: deepcopy(each, memo) for each in self.variables.values()}
        copies |= {each: deepcopy(each, memo) for each, _ in self.updates}
        return replace(
            self,
            variables={value: copies[each] for value, each in self.variables.items()},
            updates=tuple((copies[each], value) for each, value in self.updates),
        )

    def __str__(self) -> str:
        return program_as_text(self)

    def _repr_html_(self) -> str:
        if len(self.instructions) <= MOST_DRAWN:
            return program_as_svg(self)
        return f"<pre>{escape(str(self))}</pre>"
