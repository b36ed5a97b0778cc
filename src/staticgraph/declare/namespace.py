"""The functions of the namespace ``staticgraph``: the op library, bound to this executor."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

import oplibrary.functional
import oplibrary.ops  # noqa: F401  importing them fills the registry
from oplibrary.core.op import EXECUTORS, Op, explain_call, named_as, namespace
from oplibrary.core.tree import flatten, map_tree
from oplibrary.messages.errors import SideBySideError
from oplibrary.ops.creation import CREATION
from staticgraph.declare.build import constant, declare, require_graph
from staticgraph.declare.creation import declare_creation
from staticgraph.graph.dimension import has_dims
from staticgraph.graph.graph import Graph, current_graph
from staticgraph.graph.node import Node
from staticgraph.program.polynomial import named_text


def lookup(name: str, below: str = "") -> Callable[..., Any] | None:
    """Return the declaring form of the library's function called `name`, or None.

    Parameters
    ----------
    name : str
    below : str
        Its namespace below the main one, such as ``"linalg"``.
    """
    if name in CREATION and not below:
        return _creation(CREATION[name])
    found = namespace(below).get(name)
    if found is None:
        return None
    return _op(found) if isinstance(found, Op) else _composition(found)


def names(below: str = "") -> list[str]:
    """Return every name that `lookup` knows."""
    return sorted({*namespace(below), *(() if below else CREATION)})


def _op(op: Op) -> Callable[..., Node]:
    """Return `op` as a function that declares it whatever it is called with."""

    def call(*args: Any, **kwargs: Any) -> Node:
        if not op.options.keys().isdisjoint(kwargs):
            return op.call_with_options(call, args, kwargs)  # type: ignore[no-any-return]
        operands, attrs = op.bind(args, kwargs)
        return declare(op, operands, attrs)

    return named_as(op, call)  # type: ignore[no-any-return]


def _composition(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return a composition of ops as a function that declares them."""

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        values, _ = flatten((args, kwargs))
        if not any(type(x) in EXECUTORS for x in values):
            if any(isinstance(x, np.ndarray) for x in values):
                graph = require_graph(function.__name__)
                # single numbers stay as they are: they may be axes and lengths
                args, kwargs = map_tree(
                    lambda x: _lift(graph, x) if isinstance(x, np.ndarray) else x, (args, kwargs)
                )
            elif current_graph() is None:
                return _called(function, args, kwargs)  # of plain numbers, such as a seed
        result = _called(function, args, kwargs)
        opened = current_graph()
        return result if opened is None else map_tree(lambda x: _lift(opened, x), result)

    return call


def _called(function: Callable[..., Any], args: Any, kwargs: Any) -> Any:
    try:
        return function(*args, **kwargs)
    except SideBySideError as error:
        error.what, error.cause = named_text(error.what), named_text(error.cause)
        raise
    except (TypeError, AttributeError) as error:
        raise explain_call(function.__name__, function, error) from error


def _lift(graph: Graph, x: Any) -> Any:
    """Return arrays as constants and everything else as it is."""
    return graph.constant_array(np.asarray(x)) if isinstance(x, (np.ndarray, np.generic)) else x


def _creation(function: Callable[..., Any]) -> Callable[..., Node]:
    """Return a function that makes an array as one that declares it as a constant."""

    @functools.wraps(function)
    def create(*args: Any, **kwargs: Any) -> Node:
        graph = require_graph(function.__name__)
        if has_dims((args, kwargs)):
            return declare_creation(graph, function, args, kwargs)
        return graph.constant_array(_called(function, args, kwargs), copy=False, own=True)

    return create


def asarray(value: Any, dtype: Any = None) -> Node:
    """Return `value` as a node: itself, or a constant.

    Examples
    --------
    >>> with Graph():
    ...     asarray([1.0, 2.0])
    Node(constant: float32[2])
    """
    if isinstance(value, Node):
        return value if dtype is None or np.dtype(dtype) == value.dtype else value.astype(dtype)
    return constant(value, dtype)
