"""Declare what an ordinary networkx graph describes."""

from __future__ import annotations

import difflib
from typing import Any

import networkx as nx
import numpy as np

from oplibrary.core.op import Op
from oplibrary.core.registry import FUNCTIONS, REGISTRY, namespace
from oplibrary.messages.errors import CycleError, DTypeError, GraphError, SideBySideError
from oplibrary.values.dtypes import is_numeric
from staticgraph.declare.build import constant, placeholder, variable
from staticgraph.graph.graph import Graph, networkx_import
from staticgraph.graph.graph_ops import ARGUMENT
from staticgraph.graph.node import Node

_SOURCES = ("placeholder", "constant", "variable")


def import_networkx(dag: nx.DiGraph, graph: Graph) -> Graph:
    """Declare into `graph` what the nodes and edges of `dag` describe.

    Parameters
    ----------
    dag : networkx.DiGraph or networkx.MultiDiGraph
        Each node has the attribute ``op``: the name or alias of an op or function, or

        - ``"placeholder"``, with ``shape`` and perhaps ``dtype``;
        - ``"constant"`` or ``"variable"``, with ``value``.

        ``attrs``, a dict, holds the op's attributes. Edges lead from an operand to its user; the
        order of operands is the edges' ``position`` attribute, or else their keys, or else the
        order in which they were added. A node that no edge leaves is an output.
    graph : Graph
        Empty.

    Returns
    -------
    Graph
        `graph`; its nodes have the names that `dag` gives them, as text.

    Raises
    ------
    CycleError
        If `dag` is not acyclic, with the cycle.
    GraphError
        If an op is unknown, an operand is missing or an attribute is, with the node.
    ShapeError, DTypeError, ...
        If operands do not fit an op, with the node.

    Examples
    --------
    >>> dag = nx.MultiDiGraph()
    >>> dag.add_node("x", op="placeholder", shape=(3,))
    >>> dag.add_node("y", op="multiply")
    >>> _ = dag.add_edge("x", "y", 0), dag.add_edge("x", "y", 1)
    >>> import_networkx(dag, Graph()).outputs
    [Node(y: float32[3])]
    """
    if not isinstance(dag, nx.Graph) or not dag.is_directed():
        raise GraphError(
            f"from_networkx was given a {type(dag).__name__}",
            cause="an edge leads from an operand to its user, so it needs a direction",
            fix="use networkx.DiGraph, or networkx.MultiDiGraph where an operand is used twice",
        )
    _refuse_cycles(dag)
    graph.reserve(map(str, dag))
    declared: dict[Any, Node] = {}
    with graph:
        for label in nx.topological_sort(dag):
            operands = [declared[source] for source in _operands(dag, label)]
            try:
                declared[label] = _declare(graph, dag.nodes[label], label, operands)
            except SideBySideError as error:
                raise error.with_context(f"node {label!r}") from None
    graph.outputs = [declared[label] for label in dag if not dag.out_degree(label)]
    return graph


def _refuse_cycles(dag: nx.DiGraph) -> None:
    try:
        edges = nx.find_cycle(dag)
    except nx.NetworkXNoCycle:
        return
    labels = [edge[0] for edge in edges]
    cycle = " -> ".join(repr(label) for label in (*labels, labels[0]))
    raise CycleError(f"the graph has the cycle {cycle}")


def _operands(dag: nx.DiGraph, label: Any) -> list[Any]:
    """Return the labels of the operands of `label`, in order."""
    if dag.is_multigraph():
        edges = list(dag.in_edges(label, keys=True, data=True))
    else:
        edges = [(*edge[:2], None, edge[2]) for edge in dag.in_edges(label, data=True)]
    positions = [data.get("position", key) for _, _, key, data in edges]
    if sorted(position for position in positions if isinstance(position, int)) == list(
        range(len(edges))
    ):
        return [edges[index][0] for index in np.argsort(positions)]
    sources = [edge[0] for edge in edges]
    told = any("position" in data for *_, data in edges)
    if not told and len(set(sources)) == len(sources):
        # networkx numbers parallel edges only, so these keys say nothing: the order added counts
        return sources
    raise GraphError(
        f"node {label!r}: its operands have the positions {positions}",
        cause="operands are numbered 0, 1, 2, ... by the edges' position attribute or key",
        fix=f"give the {len(edges)} edges into {label!r} the positions 0 to {len(edges) - 1}",
    )


def _declare(graph: Graph, data: dict[str, Any], label: Any, operands: list[Node]) -> Node:
    name = data.get("op")
    if name is None:
        raise GraphError("it has no op attribute", fix='write dag.add_node("y", op="add")')
    text = str(label)
    if name in _SOURCES:
        if operands:
            raise GraphError(
                f"a {name} has no operands, and this one has {len(operands)}",
                fix="remove the edges that lead to it",
            )
        return _declare_source(name, data, text)
    called = _function(name)
    attrs = data.get("attrs", {})
    arity = called.arity if isinstance(called, Op) else None
    if arity is not None and len(operands) != arity:
        raise GraphError(
            f"{name} takes {arity} operands, and {len(operands)} edges lead here",
            cause="every operand is an edge; an operand used twice needs two, in a MultiDiGraph",
            fix=f"add an edge for each of {', '.join(called.operand_names)}",
        )
    try:
        result = called(*operands, **attrs)
    except SideBySideError:
        raise
    except TypeError as error:
        raise GraphError(
            f"{name} was given {len(operands)} operands and the attributes {attrs}: {error}",
            cause="edges give the operands, and attrs everything else by name",
            fix=f"see the signature of {name}",
        ) from None
    if not isinstance(result, Node):
        raise GraphError(
            f"{name} gives a {type(result).__name__} and not one value",
            fix="use ops that give one array",
        )
    if any(result is operand for operand in operands):
        result = graph.add_op(ARGUMENT, (result,), {})
    graph.rename(result, text)
    return result


def _declare_source(name: str, data: dict[str, Any], text: str) -> Node:
    needed = "shape" if name == "placeholder" else "value"
    if needed not in data:
        raise GraphError(
            f"the {name} has no {needed} attribute",
            fix=f'write dag.add_node({text!r}, op="{name}", {needed}=...)',
        )
    if name == "placeholder":
        return placeholder(text, data["shape"], data.get("dtype", "float32"))
    value = data["value"]
    if isinstance(value, str) or not is_numeric(np.asarray(value).dtype):
        raise DTypeError(
            f"the {name} has the value {value!r}",
            cause="elements are numbers or booleans",
            fix="give numbers, or an array",
        )
    make = constant if name == "constant" else variable
    return make(value, dtype=data.get("dtype"), name=text)


def _function(name: Any) -> Any:
    found = REGISTRY.get(name) or namespace().get(name) or FUNCTIONS.get(name)
    if found is None:
        close = difflib.get_close_matches(str(name), (*namespace(), *_SOURCES), n=3)
        raise GraphError(
            f"there is no op {name!r}",
            cause=f"the closest names are {', '.join(map(repr, close))}"
            if close
            else "no op has a name like it",
            fix="use a name or alias of the op table, or placeholder, constant or variable",
        )
    return found


networkx_import.enter(import_networkx)
