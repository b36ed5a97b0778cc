"""Python numbers among the arguments: what a program is fed in their place.

A graph computes with numbers in 64 bits, where Python's ints have no end, a division by zero is an
error and a root of a negative number is complex. So what the traced function makes of numbers alone
Python makes itself before each run, and the program is fed the results. Where one is not what the
trace was told (of another type, too large for the dtype beside it, an error) the function is
traced with the number as it is, which then means what a number in its text means.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from oplibrary.values.types import Array
from staticgraph.backends.source import SourceWriter
from staticgraph.declare.effects import has_effect
from staticgraph.graph.graph import Graph
from staticgraph.graph.node import Node

KINDS: dict[str, type] = {"b": bool, "i": int, "f": float, "c": complex}

UNFIT = (ArithmeticError, ValueError, TypeError)
"""What Python and NumPy raise where a number cannot be what the program is to be fed."""


class UnfitNumbers(Exception):
    """Numbers for which the program was not made.

    Attributes
    ----------
    positions : frozenset of int
        Of the arguments.
    """

    def __init__(self, positions: frozenset[int]) -> None:
        super().__init__(positions)
        self.positions = positions


class _Step(NamedTuple):
    """A number that Python makes of others: of earlier steps, given by their place, or literals."""

    function: Callable[..., Any]
    operands: tuple[Any, ...]  # nodes and literals
    kind: type
    positions: frozenset[int]


class NumberFeeds:
    """What the inputs of a program are that stand for Python numbers.

    Parameters
    ----------
    graph : Graph
        The trace.
    arguments : mapping of Node to int
        The placeholders of numbers, with the positions of the arguments.

    Attributes
    ----------
    nodes : list of Node
        The inputs.
    """

    def __init__(self, graph: Graph, arguments: Mapping[Node, int]) -> None:
        self._arguments = {node: frozenset([position]) for node, position in arguments.items()}
        self._steps = _steps(graph, self._arguments)
        limits = graph.ranges.limits
        self._limits = {node: limits[node] for node in self._arguments if node in limits}
        self.nodes: list[Node] = []
        self._feeds: list[tuple[Node, np.dtype[Any]]] = []
        if arguments:
            self._find(graph)

    def _find(self, graph: Graph) -> None:
        casts = {cast: source for (source, _), cast in graph.weak_casts.items()}
        readers = _readers(graph, {*self._arguments, *self._steps})
        for number in (*self._arguments, *self._steps):
            reading = readers.get(number, {})
            cast_to = [node for node in reading if casts.get(node) is number]
            others = len(cast_to) < len(reading)
            if number.dtype.kind == "i" or (len(cast_to) == 1 and not others):
                fed = [*cast_to, *([number] if others else [])]
            else:  # a cast of these is the same in the graph
                fed = [number] if reading else []
            self.nodes += fed
            self._feeds += [(number, node.dtype) for node in fed]

    def arrays(self, leaves: Sequence[Any]) -> list[Array]:
        """Return the inputs for the arguments of a call.

        Raises
        ------
        UnfitNumbers
        """
        values: dict[Any, Any] = {
            node: leaves[next(iter(position))] for node, position in self._arguments.items()
        }
        positions = dict(self._arguments)
        for node, (least, most) in self._limits.items():
            if not least <= values[node] <= most:
                raise UnfitNumbers(positions[node])
        for node, step in self._steps.items():
            positions[node] = step.positions
            try:
                made = step.function(*[values.get(x, x) for x in step.operands])
            except UNFIT:
                raise UnfitNumbers(step.positions) from None
            if type(made) is not step.kind:
                raise UnfitNumbers(step.positions)
            values[node] = made
        result = []
        for node, dtype in self._feeds:
            try:
                result.append(np.asarray(values[node], dtype))
            except UNFIT:
                raise UnfitNumbers(positions[node]) from None
        return result

    def write(self, writer: SourceWriter, names: Mapping[int, str]) -> list[str]:
        """Write what makes the numbers of those called `names`; return expressions of the inputs.

        What is written returns None where `arrays` raises, or raises one of `UNFIT`.
        """
        known = {node: names[next(iter(position))] for node, position in self._arguments.items()}
        for node, (least, most) in self._limits.items():
            writer.line(f"if not {least} <= {known[node]} <= {most}: return None")
        for node, step in self._steps.items():
            operands = [
                known[x] if type(x) is Node else writer.bind(x, "number") for x in step.operands
            ]
            name = known[node] = writer.new_name("n")
            writer.line(f"{name} = {writer.bind(step.function, 'python')}({', '.join(operands)})")
            writer.line(f"if type({name}) is not {step.kind.__name__}: return None")
        return [f"asarray({known[node]}, {writer.dtype(dtype)})" for node, dtype in self._feeds]


def _steps(graph: Graph, arguments: Mapping[Node, frozenset[int]]) -> dict[Node, _Step]:
    """Return the numbers that Python has to make, in the order of declaration."""
    possible: dict[Node, _Step] = {}
    for node, (function, operands) in graph.made_of_numbers.items():
        nodes = [x for x in operands if type(x) is Node]
        made_of = [
            possible[x].positions if x in possible else arguments.get(x, frozenset()) for x in nodes
        ]
        if all(made_of):  # else it is made of lengths, too
            kind = KINDS[node.dtype.kind]
            positions = frozenset().union(*made_of)
            possible[node] = _Step(function, operands, kind, positions)
    wanted: set[Node] = set()
    for node in reversed(possible):
        if node in wanted or not _same_in_graph(node, possible[node]):
            wanted.add(node)
            wanted.update(x for x in possible[node].operands if x in possible)
    return {node: step for node, step in possible.items() if node in wanted}


_EXACT = frozenset(
    {operator.add, operator.sub, operator.mul, operator.neg, operator.pos, operator.abs}
)
"""What of floats is the same float in Python and in a graph."""


def _same_in_graph(node: Node, step: _Step) -> bool:
    """Tell whether the graph makes the same number, whatever the operands are."""
    return step.kind is float and step.function in _EXACT


def _readers(graph: Graph, numbers: set[Node]) -> dict[Node, dict[Node, None]]:
    """Return for each number the nodes that read it in a run, where all of them are inputs."""
    found: dict[Node, dict[Node, None]] = {}
    stack = [*graph.outputs, *[node for node in graph if has_effect(node.op, node.attrs)]]
    seen = set(stack)
    while stack:
        node = stack.pop()
        for x in node.operands:
            if x in numbers:
                found.setdefault(x, {})[node] = None
            elif x not in seen:
                seen.add(x)
                stack.append(x)
    return found
