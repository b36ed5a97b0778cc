"""The error that says why an op failed, in place of its kernel's own."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from math import prod
from typing import Any, Protocol

import numpy as np

from oplibrary.core.dispatch import EXECUTORS
from oplibrary.messages.errors import (
    ArgumentError,
    DTypeError,
    IndexingError,
    OutOfMemoryError,
    RunError,
    SideBySideError,
    out_of_memory,
)
from oplibrary.values.types import TensorType, is_scalar, type_of


class Operation(Protocol):
    """What an error says of an op."""

    @property
    def name(self) -> str:
        """What it is called."""

    @property
    def signature(self) -> inspect.Signature:
        """How it is called."""

    @property
    def takes_numbers(self) -> bool:
        """Whether operands may be Python numbers."""

    @property
    def infer(self) -> Callable[..., TensorType]:
        """The rule for shape and dtype."""


def explain(
    op: Operation, operands: tuple[Any, ...], attrs: Mapping[str, Any], error: Exception
) -> Exception:
    """Return the error that says why `op` failed on `operands`, in place of the kernel's own.

    `infer` is asked first: it is the author of the text. Where it finds nothing wrong, the
    kernel's message is kept.
    """
    if isinstance(error, RecursionError):
        return error
    fixed = _not_fixed(op, attrs)
    if fixed is not None:
        return fixed
    own = isinstance(error, SideBySideError) and not isinstance(error, MemoryError)
    types = []
    for position, operand in enumerate(operands):
        try:
            listed = isinstance(operand, (list, tuple)) or is_scalar(operand)
            types.append(type_of(np.asarray(operand) if listed else operand))
        except (AttributeError, ValueError):
            if own:
                return error.with_context(op.name)  # type: ignore[attr-defined,no-any-return]
            return DTypeError(
                f"{op.name}: operand {position} is a {kind_of(operand)}, not an array",
                cause="operands are arrays or Python numbers",
                fix="convert it first, for example with asarray",
            )
    try:
        result = op.infer(*types, **attrs)
    except SideBySideError as known:
        # of one mistake, the kernel, which has the values, says more
        told = error if own and type(error) is type(known) else known
        return told.with_context(op.name)
    except Exception as refusal:
        return refused(op, types, refusal)
    if own:
        return error.with_context(op.name)  # type: ignore[attr-defined,no-any-return]
    if is_beyond_memory(result):
        return beyond_memory(op, types, result)
    if isinstance(error, MemoryError):
        return out_of_memory(error, op.name)
    for position, operand in enumerate(operands):
        if is_scalar(operand) and not op.takes_numbers:
            return DTypeError(
                f"{op.name}: operand {position} is the Python number {operand!r}",
                cause=f"{op.name} works on arrays",
                fix="make it one first, for example with asarray",
            )
    listing = ", ".join(map(repr, types))
    return class_of_refusal(error)(
        f"{op.name}({listing}): {error}",
        cause="NumPy's kernel refused these operands",
        fix=f"the signature is {op.name}{op.signature}",
    )


def class_of_refusal(error: Exception) -> type[SideBySideError]:
    """Return the class of the error to raise where a kernel refused its operands with `error`.

    It is one for every executor, so that one program has one error.
    """
    if isinstance(error, IndexError):
        return IndexingError
    if isinstance(error, TypeError):
        return DTypeError
    return ArgumentError if isinstance(error, (ValueError, OverflowError)) else RunError


def kind_of(value: Any) -> str:
    """Return the name of the type of `value`, with its library: ``torch.Tensor`` is not ours."""
    kind = type(value)
    library = kind.__module__.partition(".")[0]
    return kind.__name__ if library == "builtins" else f"{library}.{kind.__name__}"


def refused(op: Operation, types: Iterable[TensorType], error: Exception) -> ArgumentError:
    """Return the error to raise where the rule of `op` for shape and dtype ended with `error`.

    A rule that was written for the right kinds of attributes meets a wrong one with whatever
    Python raises.
    """
    return ArgumentError(
        f"{op.name}({', '.join(map(repr, types))}): {error}",
        cause="the op's shape rule refused these arguments",
        fix=f"the signature is {op.name}{op.signature}",
    )


BEYOND_INDICES = 2**63
"""How far NumPy counts: elements, bytes and positions stay below."""


def is_beyond_memory(result: Any) -> bool:
    """Tell whether an array has more bytes than can be counted; axes of length 0 do not count."""
    return (
        isinstance(result, TensorType)
        and prod([n for n in result.shape if n]) * result.dtype.itemsize >= BEYOND_INDICES
    )


def beyond_memory(op: Operation, types: Iterable[TensorType], result: TensorType) -> Exception:
    """Return the error of a result of which `is_beyond_memory` is true, one for every executor."""
    return OutOfMemoryError(
        f"{op.name}({', '.join(map(repr, types))}): the result would be {result!r}",
        cause="it has more elements than an array can have, whatever the memory",
    )


def _not_fixed(op: Operation, attrs: Mapping[str, Any]) -> ArgumentError | None:
    """Return the error of an attribute that is a value of an executor, or None."""
    for name, value in attrs.items():
        for each in value if type(value) in (tuple, list) else (value,):
            if type(each) in EXECUTORS:
                return ArgumentError(
                    f"{op.name}: {name} is a {type(each).__name__}, {type_of(each)}",
                    cause=f"{name} is a constant of the operation, and no operand",
                    fix=f"the signature is {op.name}{op.signature}; pass {name} as a plain value",
                )
    return None
