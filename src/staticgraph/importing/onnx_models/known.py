"""What is known of values when a program is read: numbers, or lengths that each run chooses."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from oplibrary.messages.errors import UnsupportedOpError
from staticgraph.graph.dimension import Dim, declare_length
from staticgraph.importing.shared.namespaces import Namespace

_INT64 = np.dtype("int64")


def is_live(value: Any) -> bool:
    """Tell whether `value`, or a part of it, is computed in each run."""
    if isinstance(value, (list, tuple)):
        return any(map(is_live, value))
    return hasattr(value, "shape") and not isinstance(value, (np.ndarray, np.generic))


def has_lengths(value: Any) -> bool:
    """Tell whether `value` holds lengths that each run chooses: an array of objects."""
    if isinstance(value, (list, tuple)):
        return any(map(has_lengths, value))
    return isinstance(value, np.ndarray) and value.dtype == object


def holds_lengths(arguments: Any) -> bool:
    """Tell whether lengths that each run chooses are among numbers and lists."""
    if isinstance(arguments, dict):
        arguments = list(arguments.values())
    if isinstance(arguments, (list, tuple)):
        return any(map(holds_lengths, arguments))
    return isinstance(arguments, Dim)


def lengths(numbers: Any) -> Any:
    """Return whole numbers and lengths as an array: of int64 if no length is among them."""
    found = np.array(numbers, object)
    symbolic = any(isinstance(each, Dim) for each in found.flat)
    return found if symbolic else found.astype(np.int64)


def as_live(xp: Any, value: Any) -> Any:
    """Return `value` with arrays of lengths as values of the graph."""
    if isinstance(value, (list, tuple)):
        return [as_live(xp, each) for each in value]
    if not has_lengths(value):
        return value
    parts = [
        xp.astype(declare_length(each.stand_in), _INT64)
        if isinstance(each, Dim)
        else xp.asarray(np.array(each, _INT64))
        for each in value.flat
    ]
    return xp.reshape(xp.stack(parts, axis=0), value.shape)


# arithmetic of lengths ----------------------------------------------------------------------------


def _each(function: Callable[[Any, Any], Any]) -> Any:
    apply = np.frompyfunc(function, 2, 1)
    return lambda x, y: lengths(apply(x, y))


def _divided(x: Any, y: Any) -> Any:
    quotient = x.over(y) if isinstance(x, Dim) else None
    if quotient is not None:
        return quotient
    if isinstance(x, Dim) or isinstance(y, Dim):
        raise UnsupportedOpError(
            f"{x!r} is divided by {y!r}, which may not divide it",
            cause="a length is a sum of products of the lengths of the inputs",
            fix="fix the length, as in dynamic={}, which takes those of the example inputs",
        )
    return x // y


def _same(x: Any, y: Any) -> bool:
    """Tell whether two lengths are equal, whatever a run chooses."""
    if not (isinstance(x, Dim) or isinstance(y, Dim)):
        return bool(x == y)
    difference = x - y
    if not isinstance(difference, Dim):
        return bool(difference == 0)
    for sign in (difference, -difference):
        least = sign.least_difference(0)
        if least is not None and least > 0:
            return False
    raise UnsupportedOpError(
        f"whether {x!r} is {y!r} is asked, and each run may choose otherwise",
        cause="one program serves every length",
        fix="fix the length, as in dynamic={}, which takes those of the example inputs",
    )


def _chosen(condition: Any, x: Any, y: Any) -> Any:
    return lengths(np.where(condition, np.asarray(x, object), np.asarray(y, object)))


_FUNCTIONS = {
    "add": _each(lambda x, y: x + y),
    "subtract": _each(lambda x, y: x - y),
    "multiply": _each(lambda x, y: x * y),
    "floor_divide": _each(_divided),
    "equal": lambda x, y: np.frompyfunc(_same, 2, 1)(x, y).astype(bool),
    "where": _chosen,
    "concat": lambda xs, axis=0: lengths(np.concatenate(list(xs), axis=axis)),
    "take": lambda x, at, axis=None: lengths(np.take(x, np.asarray(at, np.int64), axis=axis)),
    "reshape": lambda x, shape: np.reshape(x, shape),
    "expand_dims": lambda x, axis: np.expand_dims(x, axis),
    "squeeze": lambda x, axis=None: np.squeeze(x, axis),
    "asarray": np.asarray,
    "prod": lambda x, axis=None, keepdims=False: lengths(np.prod(x, axis=axis, keepdims=keepdims)),
    "sum": lambda x, axis=None, keepdims=False: lengths(np.sum(x, axis=axis, keepdims=keepdims)),
    "flip": lambda x, axis=None: np.flip(x, axis),
    "broadcast_to": lambda x, shape: np.broadcast_to(x, shape),
}


def _on_lengths(name: str, below: str) -> Any:
    return None if below else _FUNCTIONS.get(name)


ON_LENGTHS = Namespace(_on_lengths)
"""Computes with lengths that each run chooses: what exporters compute with shapes."""
