"""The tape of a dynamic run as a networkx graph, in the form that staticgraph draws."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

import networkx as nx
import numpy as np

import dyngraph
from dyngraph.tape.nodes import AccumulateGrad, Extra, GradFn, TapeNode
from oplibrary.messages.source import Source
from oplibrary.values.dtypes import REAL_FLOATING
from oplibrary.values.tree import flatten, leaf_paths, map_tree
from oplibrary.values.types import TensorType, type_of
from sidebyside.modes.conversion import numbers
from sidebyside.workloads.workload import Workload

dg: Any = dyngraph


def tape_graph(workload: Workload, inputs: tuple[Any, ...]) -> nx.MultiDiGraph:
    """Run a workload's program once, and return what it left on the tape.

    Every input of a floating dtype requires a gradient, so that the whole computation is recorded.

    Returns
    -------
    networkx.MultiDiGraph
        From leaves to the result, with the attributes of `staticgraph.drawing.plain_graph`; a
        result that the gradient does not pass is not on the tape.
    """
    arguments = [map_tree(_leaf, x) for x in inputs]
    names = {
        leaf._node: name
        for leaf, name in zip(flatten(arguments)[0], argument_names(workload, inputs), strict=True)
        if leaf.requires_grad
    }
    with dg.detect_anomaly():  # so that each node knows its line
        results = numbers(workload.function(dg, *arguments))
        roots = [x for x in results if isinstance(x, dg.Tensor) and x.requires_grad]
        nodes = nodes_below([root._node for root in roots])
        types = _types(nodes, roots)
    return _as_networkx(nodes, names, types, {root._node for root in roots})


def argument_names(workload: Workload, inputs: tuple[Any, ...]) -> list[str]:
    """Return a name for each leaf of the inputs, such as ``p.weight1``."""
    parameters = list(inspect.signature(workload.function).parameters)[1:]
    names: list[str] = []
    for position, tree in enumerate(inputs):
        name = parameters[position] if position < len(parameters) else f"input_{position}"
        names += leaf_paths(flatten(tree)[1], name)
    return names


def _leaf(array: Any) -> Any:
    tensor = dg.from_numpy(np.array(array))
    return tensor.requires_grad_() if tensor.dtype.kind in REAL_FLOATING else tensor


def nodes_below(roots: list[Any]) -> list[TapeNode]:
    """Return all nodes that lead to `roots`, in the order in which they ran."""
    seen: set[Any] = set(roots)
    stack = list(seen)
    while stack:
        node = stack.pop()
        for edge in node.edges if isinstance(node, GradFn) else ():
            if edge is not None and edge not in seen:
                seen.add(edge)
                stack.append(edge)
    return sorted(seen, key=lambda node: node.sequence)


def _types(nodes: list[TapeNode], roots: list[Any]) -> dict[TapeNode, TensorType]:
    """Return the type of each node's result: that of the gradient which arrives there."""
    types: dict[TapeNode, TensorType] = {}
    for node in nodes:
        if node.extra is None:
            node.extra = Extra()

        def note(gradient: Any, node: TapeNode = node) -> None:
            types[node] = type_of(gradient)

        node.extra.hooks.append(note)
    if roots:
        dg.backward(roots, [np.ones(root.shape, root.dtype) for root in roots])
    return types


def _as_networkx(
    nodes: list[TapeNode],
    names: Mapping[TapeNode, str],
    types: Mapping[TapeNode, TensorType],
    results: set[TapeNode],
) -> nx.MultiDiGraph:
    graph = nx.MultiDiGraph(name="tape")
    shown = {
        node: names.get(node, f"leaf_{number}")
        if isinstance(node, AccumulateGrad)
        else f"%{number}"
        for number, node in enumerate(nodes)
    }
    for node in nodes:
        leaf = isinstance(node, AccumulateGrad)
        type = types.get(node)
        source: Source | None = node.extra.source if node.extra is not None else None
        graph.add_node(
            shown[node],
            op=node.name(),
            label=shown[node] if leaf else node.name(),
            role="placeholder" if leaf else "op",
            type="" if type is None else repr(type),
            shape="" if type is None else "x".join(map(str, type.shape)),
            dtype="" if type is None else type.dtype.name,
            place="" if leaf or source is None else source.place,
            output=node in results,
        )
    for node in nodes:
        for position, edge in enumerate(node.edges if isinstance(node, GradFn) else ()):
            if edge is not None:
                graph.add_edge(shown[edge], shown[node], position, position=position)
    return graph


def tape_text(graph: nx.MultiDiGraph) -> str:
    """Return a tape as text: one line a recorded operation, in the order in which they ran."""
    rows = []
    for name, data in graph.nodes(data=True):
        uses = sorted(graph.in_edges(name, keys=True), key=lambda edge: edge[2])
        call = (
            data["op"]
            if data["role"] != "op"
            else (f"{data['op']}({', '.join(operand for operand, _, _ in uses)})")
        )
        rows.append((f"{name} = {call}", data["type"], data["place"]))
    left = max((len(text) for text, _, _ in rows), default=0)
    middle = max((len(kind) for _, kind, _ in rows), default=0)
    lines = []
    for text, kind, place in rows:
        line = f"  {text:{left}}  {kind:{middle}}"
        lines.append(f"{line}  # {place}" if place else line.rstrip())
    results = ", ".join(name for name, data in graph.nodes(data=True) if data["output"])
    return "\n".join(["tape {", *lines, f"  return {results}", "}"])
