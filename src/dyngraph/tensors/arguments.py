"""Checks of what functions on tensors are passed."""

from __future__ import annotations

from typing import Any

from dyngraph.tensors.tensor import Tensor
from oplibrary.messages.errors import ArgumentError


def require_callable(function: Any, name: str) -> None:
    """Refuse `function`, an argument of `name`, where it cannot be called.

    Raises
    ------
    ArgumentError
    """
    if not callable(function):
        raise ArgumentError(
            f"{name} was given a {type(function).__name__} where it needs a function",
            cause="it calls the function with tensors",
            fix=f"pass the function itself, such as {name}(lambda x: ...)",
        )


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


def result_tensor(value: Any, name: str) -> Tensor:
    """Return `value`, the result of the function that `name` called, which must be a tensor.

    Raises
    ------
    ArgumentError
    """
    if isinstance(value, Tensor):
        return value
    raise ArgumentError(
        f"{name}: the function returned a {type(value).__name__}",
        cause="its result is differentiated, so it must be one tensor",
        fix="return a tensor, computed with dyngraph's functions",
    )


def _no_tensor(value: Any, what: str) -> ArgumentError:
    return ArgumentError(
        f"{what} is a {type(value).__name__}, not a Tensor",
        cause="gradients are taken of tensors, with respect to tensors",
        fix="pass the tensor that the computation started from, or ended in",
    )
