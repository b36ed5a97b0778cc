"""From the declared graph to a program: prune to what is asked for, in the order declared."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import networkx as nx
import numpy as np

from oplibrary.core.op import Kind, Op
from oplibrary.messages.errors import CycleError, FeedError, GraphError, SideBySideError
from oplibrary.messages.source import Source
from oplibrary.values.types import Array, TensorType
from staticgraph.declare.build import placeholder
from staticgraph.declare.effects import computable_effects, silenced
from staticgraph.graph.graph import Graph
from staticgraph.graph.graph_ops import (
    ASSIGN,
    CONSTANT,
    GROUP,
    PLACEHOLDER,
    TRANSPARENT,
    VARIABLE,
    computed_from,
)
from staticgraph.graph.node import Node
from staticgraph.program.program import Instruction, Program, Value, Variable


def lower(
    graph: Graph,
    outputs: Sequence[Node | str],
    inputs: Sequence[Node | str] | None = None,
    effects: bool = True,
) -> Program:
    """Return the program that computes `outputs` of `graph` and has its effects, and nothing else.

    Parameters
    ----------
    graph : Graph
        Left as it is.
    outputs : sequence of Node or str
        An assignment is made, as an update of the program, if an output is computed from it.
    inputs : sequence of Node or str, optional
        What a call passes, in order: any nodes, whose own computation is then left out. Defaults to
        the placeholders that are needed, as declared. An input that no output needs is allowed.
    effects : bool
        Whether the program prints, asserts and so on: whatever the graph declares of that kind and
        can be computed from the inputs, needed for an output or not. It makes no further
        assignment.

    Returns
    -------
    Program
        Its instructions stand in the order of declaration.

    Raises
    ------
    FeedError
        If a placeholder is needed and is not an input; all of them are named.
    GraphError
        If an input is named twice, a variable is assigned twice, or an output is not a node.
    CycleError
        If edges were added to the graph that make a cycle.
    """
    fetched = [graph.resolve(node) for node in outputs]
    fed = None if inputs is None else [graph.resolve(node) for node in inputs]
    if fed is not None:
        _refuse_duplicates(fed)
    needed = _needed(fetched, fed or ())
    placeholders = [node for node in needed if node.op is PLACEHOLDER]
    if fed is None:
        fed = placeholders
    elif not set(placeholders) <= set(fed):
        missing = missing_error(fetched, fed)
        assert missing is not None
        raise missing
    if effects:
        more = computable_effects(graph, set(needed), set(fed))
        if more:
            needed = _needed([*needed, *more], fed)
    return _Lowering(graph, fed, effects).program(needed, fetched)


def _needed(outputs: Iterable[Node], fed: Iterable[Node]) -> list[Node]:
    """Return the nodes that must be computed for `outputs` where `fed` is given, in order."""
    given = set(fed)
    seen = set(outputs)
    stack = [node for node in seen if node not in given]
    while stack:
        for operand in computed_from(stack.pop()):
            if operand not in seen:
                seen.add(operand)
                if operand not in given:
                    stack.append(operand)
    return sorted(seen, key=_sequence)


def _sequence(node: Node) -> float:
    return node.sequence


def _refuse_duplicates(fed: list[Node]) -> None:
    seen = set()
    for node in fed:
        if node in seen:
            raise GraphError(
                f"{node!r} is an input twice",
                cause="a run has one value for each input",
                fix="name it once",
                related=((f"{node.name} declared", node.source),),
            )
        seen.add(node)


def missing_error(fetched: Sequence[Node], fed: Sequence[Node]) -> FeedError | None:
    """Return the error of placeholders that `fetched` needs and that are not fed, or None."""
    given = set(fed)
    missing = [n for n in _needed(fetched, fed) if n.op is PLACEHOLDER and n not in given]
    if not missing:
        return None
    needs = []
    for node in missing:
        fetch = next(each for each in fetched if node in set(_needed([each], fed)))
        needs.append(f"{node.name} ({node.type}), needed by {fetch.name}")
    return FeedError(
        f"{'inputs are' if len(missing) > 1 else 'an input is'} missing: {'; '.join(needs)}",
        cause="every placeholder that a fetch depends on must be fed",
        fix=f"feed {', '.join(node.name for node in missing)}, or fetch values that do not "
        "depend on them",
        related=tuple((f"{node.name} declared", node.source) for node in missing),
    )


class _Lowering:
    """What has been lowered so far."""

    def __init__(self, graph: Graph, fed: Sequence[Node], effects: bool) -> None:
        self.graph = graph
        self.effects = effects
        self.values: dict[Node, Value] = {node: Value(node.type, node.name) for node in fed}
        self.inputs = tuple(self.values.values())
        self.constants: dict[Value, Array] = {}
        self.variables: dict[Value, Variable] = {}
        self.instructions: list[Instruction] = []
        self.updates: dict[Node, Node] = {}

    def program(self, needed: list[Node], fetched: list[Node]) -> Program:
        """Return the program of the nodes `needed` that gives those `fetched`."""
        values = self.values
        for node in needed:
            self._check_edges(node)
            if node not in values:
                self._lower(node)
        return Program(
            inputs=self.inputs,
            constants=self.constants,
            variables=self.variables,
            instructions=tuple(self.instructions),
            outputs=tuple([values[node] for node in fetched]),
            updates=tuple(
                (variable.attrs["variable"], values[assign])
                for variable, assign in self.updates.items()
            ),
        )

    def _lower(self, node: Node) -> None:
        op, values = node.op, self.values
        if op is CONSTANT:
            values[node] = value = Value(node.type, node.name)
            self.constants[value] = node.attrs["value"]
        elif op is VARIABLE:
            values[node] = value = Value(node.type, node.name)
            self.variables[value] = node.attrs["variable"]
        elif op is ASSIGN:
            self._update(node)
        elif op is GROUP:
            values[node] = value = Value(TensorType((), np.bool_), node.name)
            self.constants[value] = np.array(True)
        elif op in TRANSPARENT or (op.effect and not self.effects):
            values[node] = values[node.operands[0]]
        else:
            values[node] = value = Value(node.type, node.name)
            sources: tuple[Source, ...] = () if node.source is None else (node.source,)
            attrs = node.attrs
            if op.kind is Kind.CONTROL and not self.effects:
                attrs = silenced(attrs)
            self.instructions.append(
                Instruction(op, tuple([values[x] for x in node.operands]), value, attrs, sources)
            )

    def _update(self, node: Node) -> None:
        variable, new = node.operands
        other = self.updates.get(variable)
        if other is not None:
            raise GraphError(
                f"one run assigns {variable.name} twice, by {other.name} and {node.name}",
                cause="every read in a run sees the old value, so the second would win by chance",
                fix="make one assignment of the final value, or fetch them in separate runs",
                related=((other.name, other.source), (node.name, node.source)),
            )
        self.updates[variable] = node
        self.values[node] = self.values[new]

    def _check_edges(self, node: Node) -> None:
        """Refuse a node whose edges were changed behind the declaration's back."""
        uses = self.graph._pred.get(node)
        if (
            uses is None
            or len(node.operands) != sum(map(len, uses.values()))
            or not all(operand in uses for operand in node.operands)
        ):
            raise self._edited_error(node)

    def _edited_error(self, node: Node) -> GraphError | CycleError:
        related = ((f"{node.name} declared", node.source),)
        missing = [x for x in (node, *node.operands) if x not in self.graph]
        if missing:
            return GraphError(
                f"{missing[0]!r} was removed from graph {self.graph.name!r} and is needed",
                cause="an op needs all of its operands",
                fix="fetch values that do not depend on it, or declare the graph without it",
                related=related,
            )
        try:
            cycle = [edge[0] for edge in nx.find_cycle(self.graph, node)]
        except nx.NetworkXNoCycle:
            listed = ", ".join(x.name for x in node.operands)
            return GraphError(
                f"the edges into {node!r} are not those of its operands ({listed})",
                cause="edges were added to or removed from a declared graph",
                fix="change a copy, graph.copy(), and declare it with Graph.from_networkx",
                related=related,
            )
        names = [x.name for x in (*cycle, cycle[0])]
        return CycleError(
            f"graph {self.graph.name!r} has the cycle {' -> '.join(names)}",
            related=tuple((f"{x.name} declared", x.source) for x in cycle),
        )


def lowered_op(op: Op, types: Sequence[TensorType], attrs: Mapping[str, Any]) -> Program | None:
    """Return the program of the simpler ops that `op` is made of, or None if there are none.

    Parameters
    ----------
    op : Op
        With a `lowering`.
    types : sequence of TensorType
        Of the operands.
    attrs : mapping
    """
    assert op.lowering is not None
    graph = Graph(name=op.name)
    try:
        with graph:
            operands = [placeholder(f"x{i}", t.shape, t.dtype) for i, t in enumerate(types)]
            result = op.lowering(*operands, **attrs)
    except SideBySideError:
        return None
    return None if result is None else lower(graph, [result], operands)
