"""Checks of what functions on tensors are passed."""

from __future__ import annotations

from typing import Any

from dyngraph.tensors.tensor import Tensor
from oplibrary.messages.errors import ArgumentError


def listed_tensors(values: Any, what: str) -> tuple[Tensor, ...]:
    """Return `values`, a tensor or a sequence of tensors, as a tuple.

    Raises
    ------
    ArgumentError
        If there is something else among them.
    """
    if isinstance(values, Tensor):
        return (values,)
    try:
        listed = tuple(values)
    except TypeError:
        raise _no_tensor(values, what) from None
    for position, value in enumerate(listed):
        if not isinstance(value, Tensor):
            raise _no_tensor(value, f"{what} {position}")
    return listed


def _no_tensor(value: Any, what: str) -> ArgumentError:
    return ArgumentError(
        f"{what} is a {type(value).__name__}, not a Tensor",
        cause="gradients are taken of tensors, with respect to tensors",
        fix="pass the tensor that the computation started from, or ended in",
    )
