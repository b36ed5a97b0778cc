"""What runs on its own, a program or a region of one, and its values when it does."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from oplibrary.values.types import Array
from staticgraph.debugging.frame import locked
from staticgraph.graph.graph import Graph
from staticgraph.program.program import Program, Value


@dataclass(frozen=True, slots=True, eq=False)
class Unit:
    """What runs on its own: the program, or one branch or loop body of it.

    Attributes
    ----------
    path : str
        Empty for the program; ``"scan.body"`` for a body.
    program : Program
    names : dict of Value to str
    graph : Graph
    """

    path: str
    program: Program
    names: dict[Value, str]
    graph: Graph

    def full_name(self, value: Value) -> str:
        """Return the name of `value`, with the path in front."""
        return f"{self.path}/{self.names[value]}" if self.path else self.names[value]


def node_names(program: Program) -> dict[Value, str]:
    """Return a name of its own for each value: that of its node, where it still has one."""
    names: dict[Value, str] = {}
    taken: set[str] = set()

    def add(value: Value, wanted: str) -> None:
        name, count = wanted, 0
        while name in taken:
            count += 1
            name = f"{wanted}_{count}"
        taken.add(name)
        names[value] = name

    for value in (*program.inputs, *program.variables, *program.constants):
        add(value, value.name or "value")
    for instruction in program.instructions:
        add(instruction.output, instruction.output.name or instruction.op.name)
    return names


@dataclass(slots=True, eq=False)
class Activation:
    """A unit while it runs, and its values when it has.

    Attributes
    ----------
    unit : Unit
    values : dict of Value to result
    step : int
        How often the unit has run in this run of the program, this time included.
    """

    unit: Unit
    values: dict[Value, Any]
    step: int

    def named(self) -> dict[str, Array]:
        """Return every array that there is, by name."""
        names = self.unit.names
        return {
            names[value]: locked(array)
            for value, array in self.values.items()
            if type(array) is not tuple
        }
