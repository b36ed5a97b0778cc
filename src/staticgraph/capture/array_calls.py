"""NumPy's calls that take lists of nodes: it asks an argument whether it is its own, not a list.

``np.array([x, y])`` and ``np.mean([x, y])`` would ask every node for its numbers. In a function
that is traced the first is ours, and the list that the second is given becomes a node.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import numpy as np

from oplibrary.core.dispatch import LIFTED
from oplibrary.ops.numbers import number_array
from oplibrary.values.types import number_kind
from staticgraph.declare.namespace import asarray
from staticgraph.graph.node import Node

_ONE_ARRAY = frozenset("a a1 A arr array ary condition m p u v val x x1 y z".split())
"""What NumPy calls a first parameter that is one array, and not a sequence of arrays."""


def with_nodes(call: Callable[..., Any], copies: bool) -> Callable[..., Any]:
    """Return ``numpy.array`` or ``numpy.asarray`` for nodes and lists of them, too."""

    def of_nodes(object: Any, dtype: Any = None, *others: Any, **named: Any) -> Any:
        if others or not named.keys() <= {"copy"} or not _has_node(object):
            given = () if dtype is None else (dtype,)
            return call(object, *given, *others, **named)
        copied = named.get("copy", copies)
        return _joined(object, dtype, copied)

    of_nodes.__name__ = call.__name__
    of_nodes.__wrapped__ = call  # type: ignore[attr-defined]
    return of_nodes


MAKERS: dict[int, Callable[..., Any]] = {
    id(np.array): with_nodes(np.array, True),
    id(np.asarray): with_nodes(np.asarray, False),
}
"""What stands in a traced function for NumPy's functions that make arrays, by the id of those."""


def joined_lists(called: Any, arguments: tuple[Any, ...]) -> tuple[Any, ...]:
    """Return the arguments of a call, lists of nodes as nodes where NumPy takes an array."""
    if isinstance(called, np.ufunc):
        return tuple([_joined(x) if _is_list_of_nodes(x) else x for x in arguments])
    if not (arguments and type(called) is type(np.sum) and _is_list_of_nodes(arguments[0])):
        return arguments
    if _first_parameter(called) in _ONE_ARRAY:
        return (_joined(arguments[0]), *arguments[1:])
    return arguments


def _first_parameter(called: Callable[..., Any]) -> str:
    try:
        return next(iter(inspect.signature(called).parameters), "")
    except ValueError:  # before NumPy 2.4 its functions in C told nobody
        return ""


def _is_list_of_nodes(value: Any) -> bool:
    return type(value) in (list, tuple) and _has_node(value)


def _has_node(value: Any) -> bool:
    if isinstance(value, (list, tuple)):
        return any(map(_has_node, value))
    return isinstance(value, Node) or type(value) in LIFTED


def _joined(value: Any, dtype: Any = None, copy: bool | None = None) -> Any:
    """Return a node, or nodes and numbers in nested lists, as one node of NumPy's dtype."""
    return asarray(_strong(value), dtype, copy=copy or None)


def _strong(value: Any) -> Any:
    """Return numbers as arrays, which have a dtype of their own beside nodes, as in NumPy."""
    if not _has_node(value):
        return np.asarray(value)
    if isinstance(value, (list, tuple)):
        return [_strong(each) for each in value]
    return value if number_kind(value) is None else number_array(value)
