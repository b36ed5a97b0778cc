"""Forward mode, declared: tangents as further nodes of the same graph."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from oplibrary.executors.autodiff import pull_back
from oplibrary.messages.errors import SideBySideError
from oplibrary.tangents.families import Push, tangent_rule_of
from oplibrary.values.types import TensorType
from staticgraph.declare.autodiff import part_read, path_between
from staticgraph.declare.build import full, require_graph
from staticgraph.graph.graph import Graph
from staticgraph.graph.node import Node

Transpose = Callable[..., list[Any]]


def push_tangents(
    outputs: Sequence[Node],
    inputs: Sequence[Node],
    tangents: Sequence[Any],
    transpose: Transpose,
) -> list[Any]:
    """Declare the tangent of each output, None for one that no input leads to.

    Parameters
    ----------
    outputs, inputs : sequence of Node
        Of the graph that is being declared.
    tangents : sequence of Node, or of rows of them
        Of each input.
    transpose : callable
        Pushes through what has gradient rules only.
    """
    graph = require_graph("jvp")
    targets, sources = [graph.adopt(y) for y in outputs], [graph.adopt(x) for x in inputs]
    given = dict(zip(sources, tangents, strict=True))
    found: dict[Node, Any] = dict(given)
    outer = graph.line
    try:
        for node in sorted(path_between(targets, sources), key=lambda node: node.sequence):
            if node not in given:
                graph.line = node.source
                moved = [found.get(operand) for operand in node.operands]
                try:
                    found[node] = _push(graph, node, moved, transpose)
                except SideBySideError as error:
                    error.related += ((f"{node.name} declared", node.source),)
                    raise error.with_context(f"tangent of {node.op.name}") from None
    finally:
        graph.line = outer
    return [found.get(y) for y in targets]


def _push(graph: Graph, node: Node, tangents: Sequence[Any], transpose: Transpose) -> Any:
    """Declare the tangent of `node`, given those of its operands; None where it stays."""
    op, operands = node.op, node.operands
    count = len(operands)
    moved = tuple([t if op.operand_rule(i) is not None else None for i, t in enumerate(tangents)])
    rules = [op.operand_rule(i) for i, t in enumerate(moved) if t is not None]
    if not rules:
        return None
    # what the gradient rules of the operands that move read together, as dyngraph keeps it
    needs_out = max([rule.out for rule in rules if rule is not None])
    needs = [""] * count
    for position, tangent in enumerate(moved):
        rule = op.operand_rule(position)
        if tangent is not None and rule is not None:
            needs = list(map(max, needs, rule.needs(position, count)))
    out, saved = part_read(node, needs_out), tuple(map(part_read, operands, needs))
    types = tuple([x.type for x in operands])
    push_rule = tangent_rule_of(op)
    if push_rule is None:

        def pull(cotangents: list[Any]) -> list[Any]:
            return [
                None
                if t is None
                else pull_back(op, i, cotangents[0], out, saved, node.attrs, types[i])
                for i, t in enumerate(moved)
            ]

        return transpose(pull, [node.type], moved, True)[0]

    def of_type(type: TensorType, value: float) -> Node:
        return full(graph, type, value)

    push = Push(op, moved, out, saved, types, node.type, node.attrs, of_type, transpose)
    tangent = push_rule(push)
    return tangent if tangent is None or node.type.dtype.kind == "O" else push.fitted(tangent)
