"""What compile starts from: the program that some nodes declare, and how it is called."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from oplibrary.messages.errors import GraphError
from oplibrary.values.tree import Structure, flatten
from staticgraph.compiler.feeds import Feed
from staticgraph.declare.lower import lower
from staticgraph.graph.graph import Graph
from staticgraph.graph.node import Node
from staticgraph.program.program import Program


class Declared(NamedTuple):
    """A program as it was declared, and how it is called.

    Attributes
    ----------
    graph : Graph
    lowered : Program
        Before the passes.
    feeds : list of Feed
        What a call passes, in order.
    structure : structure
        Of the outputs; see `oplibrary.values.tree`.
    """

    graph: Graph
    lowered: Program
    feeds: list[Feed]
    structure: Structure


def declared_program(outputs: Any, inputs: Iterable[Node | str] | None) -> Declared:
    """Return the program of `outputs` and `inputs`, which are those of `compile`.

    Raises
    ------
    FeedError, GraphError
        As in `compile`.
    """
    leaves, structure = flatten(outputs)
    given = None if inputs is None else list(inputs)
    graph = graph_of(leaves, given)
    if given is None:
        given = list(graph.inputs)
    nodes = [graph.resolve(node) for node in given]
    lowered = lower(graph, leaves, nodes)
    feeds = [Feed(node.name, node.type, node.source) for node in nodes]
    return Declared(graph, lowered, feeds, structure)


def graph_of(leaves: Sequence[Any], inputs: Sequence[Any] | None) -> Graph:
    """Return the graph that outputs and inputs belong to.

    Raises
    ------
    GraphError
        If none of them is a node.
    """
    for node in (*leaves, *(inputs or ())):
        if isinstance(node, Node):
            graph: Graph = node.graph
            return graph
    found = ", ".join(sorted({type(leaf).__name__ for leaf in leaves})) or "nothing"
    raise GraphError(
        f"compile: the outputs are {found}, not nodes",
        cause="a program computes nodes of a declared graph",
        fix="pass what an op returned inside `with sg.Graph():`, or the outputs of sg.trace",
    )
