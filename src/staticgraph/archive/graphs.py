"""A declared graph as a document, and again a graph: its nodes, in the order of declaration."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from oplibrary.core.op import Op
from oplibrary.messages.errors import PicklingError
from oplibrary.values.dtypes import to_dtype
from oplibrary.values.types import Array
from staticgraph.archive.operations import find_op
from staticgraph.archive.reading import DocumentReader
from staticgraph.archive.values import damaged
from staticgraph.archive.writing import ProgramWriter
from staticgraph.declare.custom_calls import customs_of
from staticgraph.graph.graph import Graph
from staticgraph.graph.graph_ops import (
    ARGUMENT,
    ASSIGN,
    CONSTANT,
    GROUP,
    PLACEHOLDER,
    SOURCES,
    STOP_GRADIENT,
    VARIABLE,
)
from staticgraph.graph.node import Node
from staticgraph.program.program import Variable

_OF_GRAPHS: Mapping[str, Op] = {
    op.name: op for op in (PLACEHOLDER, CONSTANT, VARIABLE, ASSIGN, GROUP, ARGUMENT, STOP_GRADIENT)
}
"""The ops that only a declared graph has."""

_OF_NODES = frozenset({"op", "name", "shape", "dtype"})
"""What a graph says of each node itself, in the terms of networkx."""


def graph_document(graph: Graph, writer: ProgramWriter) -> dict[str, Any]:
    """Return a graph as JSON.

    Raises
    ------
    ProgramFileError
        If an op or an attribute cannot be written.
    PicklingError
        If the graph is that of a branch or a loop's body, or its nodes are not as declared.
    """
    if type(graph) is not Graph:
        raise PicklingError(
            f"graph {graph.name!r} is that of a branch or a loop's body",
            cause="it is a part of the graph around it",
            fix="pickle the graph around it",
        )
    nodes = sorted(graph, key=lambda node: node.sequence)
    numbers = {node: number for number, node in enumerate(nodes)}
    if any(
        node.graph is not graph or graph.in_degree(node) != len(node.operands) for node in nodes
    ):
        raise PicklingError(
            f"graph {graph.name!r} was changed by networkx since it was declared",
            cause="its edges are no longer the uses of operands",
            fix="pickle graph.copy(), or the graph as it was declared",
        )
    for node in nodes:
        customs = customs_of(node.op, node.attrs)
        if customs:
            raise PicklingError(
                f"graph {graph.name!r} has a function with a derivative of its own, "
                f"{customs[0].name}",
                cause="its rule is Python code, and a document holds none",
                fix="pickle what is compiled of the graph, which holds the derivatives themselves",
                related=(("declared", node.source),),
            )
    written = []
    for node in nodes:
        attrs: dict[str, Any] = {}
        if node.op is CONSTANT:
            attrs = {"value": writer.array(node.attrs["value"])}
        elif node.op is VARIABLE:
            attrs = {"variable": writer.variable(node.attrs["variable"])}
        elif _OF_GRAPHS.get(node.op.name) is not node.op:
            attrs = writer.attributes(node.op, node.attrs, node.source)
        written.append(
            {
                "op": node.op.name,
                "operands": [numbers[operand] for operand in node.operands],
                "attrs": attrs,
                "sequence": node.sequence,
                "notes": {k: v for k, v in graph.nodes[node].items() if k not in _OF_NODES},
                **writer.named(node.name, node.type, node.source),
                **writer.source(node.source),
            }
        )
    return {
        "nodes": written,
        "inputs": [numbers[node] for node in graph.inputs],
        "results": [numbers[node] for node in graph.outputs],
        "outputs": writer.structure(graph.output_tree),
        "weak": sorted(numbers[node] for node in graph.weak if node in numbers),
        "selected": sorted(numbers[node] for node in nodes if node.selection is not None),
        "casts": [
            [numbers[node], dtype.str, numbers[cast]]
            for (node, dtype), cast in graph.weak_casts.items()
            if node in numbers and cast in numbers
        ],
        "state": graph.declared_state(),
        "notes": dict(graph.graph),
        **writer.shared(),
    }


class GraphReader(DocumentReader):
    """Makes a graph of a document.

    Parameters are those of `ProgramReader`.

    Attributes
    ----------
    graph : Graph
    """

    def __init__(
        self,
        document: Mapping[str, Any],
        arrays: Sequence[Array],
        library: str = "",
        variables: Sequence[Variable] | None = None,
    ) -> None:
        super().__init__(document, arrays, library, variables)
        self.graph = graph = Graph()
        self._nodes: list[Node] = []
        for each in document["nodes"]:
            self._nodes.append(self._node(each))
        graph.inputs = self._listed(document["inputs"])
        graph.outputs = self._listed(document["results"])
        if document["outputs"] is not None:
            graph.output_tree = self._values.structure(document["outputs"])
        graph.weak = set(self._listed(document["weak"]))
        for node in self._listed(document.get("selected", ())):
            node.selection = node.operands[0], None
        for node, dtype, cast in document["casts"]:
            graph.weak_casts[self._nodes[node], to_dtype(dtype)] = self._nodes[cast]
        graph.graph.update(document["notes"])
        graph.restore_state(document["state"])

    def _listed(self, numbers: Sequence[int]) -> list[Node]:
        return [self._nodes[number] for number in numbers]

    def _node(self, written: Mapping[str, Any]) -> Node:
        declared = self._source(written)
        name, graph = written["op"], self.graph
        op = _OF_GRAPHS.get(name) or find_op(name)
        if op is None:
            raise self._unknown(f"the op {name!r}", declared)
        operands = tuple(self._listed(written["operands"]))
        type = self._values.type(written["type"])
        if op is CONSTANT:
            attrs = {"value": self._array(written["attrs"]["value"])}
        elif op is VARIABLE:
            attrs = {"variable": self._variables[written["attrs"]["variable"]]}
        elif name in _OF_GRAPHS:
            attrs = {}
        else:
            attrs = self._attributes(op, written["attrs"], declared)
            self._require_fit(op, [operand.type for operand in operands], attrs)
        if op not in SOURCES and op.infer(*[x.type for x in operands], **attrs) != type:
            raise damaged(f"{name} does not give a {type}")
        node = graph.add_op(op, operands, attrs, type=type, name=written["name"])
        node.source, node.sequence = declared, written["sequence"]
        graph.nodes[node].update(written["notes"])
        return node
