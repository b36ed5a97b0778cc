"""Nested sequences that hold values of an executor, such as ``[x, [y, 1.0]]`` of Tensors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from oplibrary.core.dispatch import EXECUTORS
from oplibrary.core.registry import FUNCTIONS
from oplibrary.messages.errors import DTypeError
from oplibrary.ops.numbers import number_array
from oplibrary.values.types import number_kind


def holds_values(data: Any) -> bool:
    """Tell whether nested lists and tuples hold an executor's value, such as a Tensor."""
    if not isinstance(data, (list, tuple)):
        return type(data) in EXECUTORS
    # looking at each kind of element once costs a long list of numbers nothing
    kinds = set(map(type, data))
    if not kinds.isdisjoint(EXECUTORS):
        return True
    return any(issubclass(kind, (list, tuple)) for kind in kinds) and any(map(holds_values, data))


def stack_nested(data: Sequence[Any]) -> Any:
    """Return nested sequences that hold an executor's values as one array of that executor.

    Gradients flow through it. Numbers beside the values take their dtype, as in operations; alone
    they have NumPy's.

    Raises
    ------
    DTypeError
        If the nesting is not rectangular, as of nested numbers.
    """
    leaves: list[Any] = []
    shape = _nested_shape(data, leaves)
    if all(number_kind(x) is not None for x in leaves):
        leaves = list(map(number_array, leaves))
    return FUNCTIONS["stack"](leaves).reshape(shape)


def _nested_shape(data: Any, leaves: list[Any]) -> tuple[int, ...]:
    """Return the shape of nested sequences of arrays and numbers, and append these to `leaves`."""
    if not isinstance(data, (list, tuple)):
        leaves.append(data)
        return tuple(getattr(data, "shape", ()))
    inner = [_nested_shape(each, leaves) for each in data]
    if len(set(inner)) > 1:
        other = next(shape for shape in inner if shape != inner[0])
        raise DTypeError(
            f"a {type(data).__name__} holds values of shapes {inner[0]} and {other}",
            cause="the values must stand in a rectangular arrangement",
            fix="pad the rows to one length",
        )
    return (len(inner), *(inner[0] if inner else ()))
