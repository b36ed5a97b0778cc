"""The lengths that symbolic dimensions have in a run, and programs that wait for them."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from oplibrary.values.types import TensorType
from staticgraph.program.polynomial import (
    Symbol,
    evaluated,
    is_symbolic,
    named,
    symbols_exist,
    symbols_in,
)
from staticgraph.program.program import Instruction, Program, Value
from staticgraph.program.tuple_values import TupleType


class _Current(threading.local):
    lengths: Mapping[str, int] | None = None


_current = _Current()


def current_lengths() -> Mapping[str, int]:
    """Return the length of each symbolic dimension in the run of this thread."""
    assert _current.lengths is not None, "no run with symbolic dimensions"
    return _current.lengths


def current_shape(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Return `shape` as it is in the run of this thread."""
    if not is_symbolic(shape):
        return shape
    return tuple(evaluated(tuple(shape), current_lengths()))


class running_with:
    """Let what runs in this thread have those lengths, in a ``with`` block."""

    __slots__ = ("before", "lengths")

    def __init__(self, lengths: Mapping[str, Any]) -> None:
        self.lengths = lengths

    def __enter__(self) -> None:
        self.before, _current.lengths = _current.lengths, self.lengths

    def __exit__(self, *_: object) -> None:
        _current.lengths = self.before


# what is symbolic ---------------------------------------------------------------------------------


def type_is_symbolic(type: TensorType) -> bool:
    """Tell whether a length of `type` is not known."""
    if isinstance(type, TupleType):
        return any(map(type_is_symbolic, type.items))
    return is_symbolic(type.shape)


def instruction_is_symbolic(instruction: Instruction) -> bool:
    """Tell whether an attribute, or a length of the result, is not known."""
    return type_is_symbolic(instruction.output.type) or is_symbolic(
        tuple(instruction.attrs.values())
    )


def program_is_symbolic(program: Program) -> bool:
    """Tell whether any length in `program` is not known before it runs."""
    return symbols_exist() and _is_symbolic(program)


def _is_symbolic(program: Program) -> bool:
    return any(type_is_symbolic(value.type) for value in program.inputs) or any(
        map(instruction_is_symbolic, program.instructions)
    )


def named_type(type: TensorType) -> TensorType:
    """Return `type` with lengths that show what they stand for."""
    if isinstance(type, TupleType):
        return TupleType([named_type(item) for item in type.items])
    if not is_symbolic(type.shape):
        return type
    return _with_shape(type, named(type.shape))


def _with_shape(type: TensorType, shape: tuple[Any, ...]) -> TensorType:
    result = TensorType((), type.dtype)
    object.__setattr__(result, "shape", shape)
    return result


def type_at(type: TensorType, lengths: Mapping[str, Any]) -> TensorType:
    """Return `type` with those lengths: whole numbers, or what computes like them."""
    if isinstance(type, TupleType):
        return TupleType([type_at(item, lengths) for item in type.items])
    if not is_symbolic(type.shape):
        return type
    return _with_shape(type, evaluated(tuple(type.shape), lengths))


def attrs_at(attrs: Mapping[str, Any], lengths: Mapping[str, Any]) -> dict[str, Any]:
    """Return `attrs` with those lengths."""
    return {name: evaluated(value, lengths) for name, value in attrs.items()}


def program_at(program: Program, lengths: Mapping[str, Any]) -> tuple[Program, dict[Value, Value]]:
    """Return `program` as it is with those lengths: whole numbers, or what computes like them.

    Returns
    -------
    program : Program
    values : dict of Value to Value
        What stands in it for each value.
    """
    values: dict[Value, Value] = {}

    def at(value: Value) -> Value:
        known = values.get(value)
        if known is None:
            known = values[value] = Value(type_at(value.type, lengths), value.name)
        return known

    instructions = tuple(
        replace(
            each,
            inputs=tuple(map(at, each.inputs)),
            output=at(each.output),
            attrs=attrs_at(each.attrs, lengths),
        )
        for each in program.instructions
    )
    numbered = Program(
        inputs=tuple(map(at, program.inputs)),
        constants={at(value): array for value, array in program.constants.items()},
        variables={at(value): each for value, each in program.variables.items()},
        instructions=instructions,
        outputs=tuple(map(at, program.outputs)),
        updates=tuple((variable, at(value)) for variable, value in program.updates),
        owned=frozenset(map(at, program.owned)),
    )
    return numbered, values


def program_symbols(program: Program) -> set[Symbol]:
    """Return the symbolic dimensions that occur in `program`."""
    found: set[Symbol] = set()
    for value in (*program.inputs, *[each.output for each in program.instructions]):
        items = value.type.items if isinstance(value.type, TupleType) else (value.type,)
        for item in items:
            found.update(symbols_in(item.shape))
    for instruction in program.instructions:
        found.update(symbols_in(tuple(instruction.attrs.values())))
    return found
