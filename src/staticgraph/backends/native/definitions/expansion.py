"""Expansion: ops that have a lowering are replaced by the simpler ops that it is made of."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from typing import Any

from oplibrary.core.op import Op
from oplibrary.machine.elements import Unsupported, element_of
from oplibrary.values.keys import exact_key
from oplibrary.values.types import TensorType
from staticgraph.declare.lower import lowered_op
from staticgraph.program.program import Instruction, Program, Value


def expand(program: Program) -> Program:
    """Return the program with every lowering written out."""
    if not any(instruction.op.lowering for instruction in program.instructions):
        return program
    expanded: list[Instruction] = []
    constants = dict(program.constants)
    swap: dict[Value, Value] = {}
    for instruction in program.instructions:
        inputs = tuple([swap.get(value, value) for value in instruction.inputs])
        if inputs != instruction.inputs:
            instruction = replace(instruction, inputs=inputs)
        body = _lowered(instruction)
        if body is None:
            expanded.append(instruction)
            continue
        inside = dict(zip(body.inputs, inputs, strict=True))
        constants.update(body.constants)
        for inner in body.instructions:
            output = Value(inner.output.type)
            operands = tuple([inside.get(value, value) for value in inner.inputs])
            inside[inner.output] = output
            expanded.append(
                replace(inner, inputs=operands, output=output, sources=instruction.sources)
            )
        (result,) = body.outputs
        swap[instruction.output] = inside.get(result, result)
    return program.with_instructions(expanded, swap, constants)


def _lowered(instruction: Instruction) -> Program | None:
    op = instruction.op
    if op.lowering is None:
        return None
    types = tuple([value.type for value in instruction.inputs])
    try:
        for each in (*types, instruction.output.type):
            element_of(each.dtype)
        if not all(each.size for each in types):
            return None
        request = _Request(op, types, instruction.attrs)
    except (TypeError, Unsupported):  # an attribute that cannot be hashed
        return None
    return _body(request)


class _Request:
    __slots__ = ("attrs", "key", "op", "types")

    def __init__(self, op: Op, types: tuple[TensorType, ...], attrs: Any) -> None:
        self.op = op
        self.types = types
        self.attrs = attrs
        self.key = (op, types, exact_key(attrs))
        hash(self.key)

    def __hash__(self) -> int:
        return hash(self.key)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Request) and self.key == other.key


@lru_cache(maxsize=1024)
def _body(request: _Request) -> Program | None:
    """Return the program that computes what the op does, or None if its type is another."""
    program = lowered_op(request.op, request.types, request.attrs)
    if program is None:
        return None
    expected = request.op.infer(*request.types, **request.attrs)
    return expand(program) if program.outputs[0].type == expected else None
