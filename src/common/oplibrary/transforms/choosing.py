"""Choices that each example makes for itself: all sides run, and each takes its values from one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from oplibrary.core.op import REGISTRY
from oplibrary.core.tree import flatten, unflatten
from oplibrary.core.types import type_of
from oplibrary.messages.errors import BranchTypeError, DTypeError


def require_choice(name: str, condition: Any) -> None:
    """Refuse what does not decide once an example.

    Raises
    ------
    DTypeError
    """
    type = type_of(condition)
    if type.shape or type.dtype.kind not in "biu":
        raise DTypeError(
            f"{name}: the condition of each example is {type}",
            cause="it decides once for the whole example",
            fix="pass one bool, such as any(x > 0); to choose element by element, use where",
        )


def chosen(name: str, condition: Any, one: Any, other: Any, array: Callable[[Any], Any]) -> Any:
    """Return for each example what `one` or `other` holds, as its condition is.

    Parameters
    ----------
    name : str
        Of the control flow, for messages.
    condition : array
    one, other : tree of array
    array : callable
        Makes an array of the executor of a value.

    Raises
    ------
    BranchTypeError
        If they are of different types.
    """
    leaves, structure = flatten(one)
    others, other_structure = flatten(other)
    leaves, others = list(map(array, leaves)), list(map(array, others))
    types = [type_of(x) for x in leaves]
    other_types = [type_of(x) for x in others]
    if structure != other_structure or types != other_types:
        raise BranchTypeError(
            f"{name}: one side gives {types} and the other {other_types}",
            cause="under vmap both sides run, and each example takes its value from one of them",
        )
    where = REGISTRY["where"]
    return unflatten(
        structure, [where(condition, x, y) for x, y in zip(leaves, others, strict=True)]
    )
