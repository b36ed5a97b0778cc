"""Tracing: run a Python function on placeholders, and keep the graph that it declares."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from oplibrary.core.dispatch import EXECUTORS
from oplibrary.messages.errors import GraphError, MixedModesError
from oplibrary.messages.source import Source, defined_at, is_ours
from oplibrary.values.tree import flatten, leaf_paths, unflatten
from oplibrary.values.types import TensorType, is_scalar
from staticgraph.declare.build import placeholder, to_node
from staticgraph.declare.namespace import lookup
from staticgraph.declare.operands import as_array
from staticgraph.graph.graph import Graph, leaked
from staticgraph.graph.node import Node

MAX_NODES = 200_000
"""How many nodes a trace may declare unless told otherwise: a loop unrolled to that many is a
mistake more often than not."""


def trace(
    function: Callable[..., Any], *specs: Any, max_nodes: int = MAX_NODES, **named: Any
) -> Any:
    """Run `function` once on placeholders and return the graph that it declares.

    Parameters
    ----------
    function : callable
        It calls ops on what it is given and returns a node, or a tree of nodes.
    *specs, **named
        What stands for each argument: a `TensorType` or an example array becomes a placeholder;
        a tree of them becomes a tree of placeholders; anything else, Python numbers included, is
        passed on as it is.
    max_nodes : int
        The most nodes that the graph may have.

    Returns
    -------
    Graph
        With `inputs`, the placeholders in the order of the arguments; `outputs`, the leaves of
        what the function returned; and `output_tree`, their structure.

    Raises
    ------
    NodeBudgetError
        If a Python loop declares more than `max_nodes` nodes; the loop's line is named.
    SymbolicBoolError, SymbolicValueError
        If the function needs a number before the graph runs.
    GraphError
        If it returns something that is not a value.

    Notes
    -----
    Given an array in place of a function, it declares the sum of the array's diagonal: the op
    ``trace`` of the library.

    Examples
    --------
    >>> import staticgraph as sg
    >>> graph = trace(lambda x, n: sg.sum(x) * n, TensorType((3,)), 2.0)
    >>> graph.inputs, graph.outputs
    ([Node(x: float32[3])], [Node(multiply: float32[])])
    """
    if not callable(function):
        diagonal_sum = lookup("trace")
        assert diagonal_sum is not None
        return diagonal_sum(function, *specs, **named)
    slots, structure = flatten((specs, named))
    names = argument_names(function, structure)
    graph = Graph(name=getattr(function, "__name__", type(function).__name__), max_nodes=max_nodes)
    with graph, declared_at(graph, definition_of(function)):
        values = [
            as_placeholder(graph, name, spec) for name, spec in zip(names, slots, strict=True)
        ]
    args, kwargs = unflatten(structure, values)
    run_trace(graph, function, args, kwargs)
    return graph


def run_trace(
    graph: Graph, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> None:
    """Run `function` in `graph`, which keeps what it returns as its outputs and is sealed."""
    with graph:
        result = function(*args, **kwargs)
        leaves, graph.output_tree = flatten(result)
        paths = leaf_paths(graph.output_tree)
        graph.outputs = [_output(graph, *each) for each in zip(paths, leaves, strict=True)]
    graph.seal()


def definition_of(function: Any) -> Source | None:
    """Return the line on which the user defined `function`, or None if that cannot be told."""
    if hasattr(function, "__wrapped__"):
        return definition_of(function.__wrapped__)
    if isinstance(function, functools.partial):
        return definition_of(function.func)
    code = getattr(function, "__code__", None)
    if code is None or is_ours(code):
        return None
    return defined_at(code)


@contextmanager
def declared_at(graph: Graph, line: Source | None) -> Iterator[None]:
    """Give the nodes that are declared inside that line, or the running one if it is None."""
    outer, graph.line = graph.line, line
    try:
        yield
    finally:
        graph.line = outer


def argument_names(function: Callable[..., Any], structure: Any) -> list[str]:
    """Return a name for each leaf of a call's ``(args, kwargs)``, such as ``params['w']``."""
    _, _, (args, kwargs) = structure
    names: list[str] = []
    for parameter, child in zip(_parameters(function, len(args[2])), args[2], strict=True):
        names += leaf_paths(child, parameter)
    for key, child in zip(kwargs[1], kwargs[2], strict=True):
        names += leaf_paths(child, str(key))
    return names


def _parameters(function: Callable[..., Any], count: int) -> list[str]:
    """Return the names of the first `count` positional parameters."""
    try:
        parameters = list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError):
        parameters = []
    names: list[str] = []
    for parameter in parameters:
        if parameter.kind in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD):
            names.append(parameter.name)
        elif parameter.kind is parameter.VAR_POSITIONAL:
            names += [f"{parameter.name}[{i}]" for i in range(count - len(names))]
    names += [f"argument_{i}" for i in range(len(names), count)]
    return names[:count]


def as_placeholder(graph: Graph, name: str, spec: Any) -> Any:
    """Return a placeholder for an array or a type, and anything else as it is."""
    type = spec_type(spec)
    if type is None:
        if isinstance(spec, Node):
            raise leaked(spec, graph, f"argument {name}")
        return spec
    return placeholder(name, type.shape, type.dtype)


def spec_type(spec: Any) -> TensorType | None:
    """Return the type of the placeholder that `spec` asks for, or None if it asks for none.

    Raises
    ------
    MixedModesError
        If it is a value of another executor.
    """
    if isinstance(spec, TensorType):
        return spec
    if isinstance(spec, (np.ndarray, np.generic)):
        array = as_array(spec)
        return TensorType(array.shape, array.dtype)
    if type(spec) in EXECUTORS and not isinstance(spec, Node):
        raise MixedModesError(f"a {type(spec).__name__} was passed to a traced function")
    return None


def _output(graph: Graph, path: str, value: Any) -> Node:
    if isinstance(value, Node) or is_scalar(value) or isinstance(value, (np.ndarray, np.generic)):
        return to_node(graph, value)
    raise GraphError(
        f"the traced function {graph.name!r} returned a {type(value).__name__}"
        + (f" at {path}" if path else ""),
        cause="each value it returns is computed by the graph: a node, an array or a number",
        fix="return nodes, in tuples, lists and dicts if there are several",
    )
