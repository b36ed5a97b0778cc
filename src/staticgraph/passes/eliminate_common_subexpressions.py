"""Compute equal things once."""

from __future__ import annotations

from typing import Any

from oplibrary.core.op import Kind
from oplibrary.values.keys import exact_key
from oplibrary.values.types import Array
from staticgraph.passes.rewriting import with_inputs, with_sources
from staticgraph.program.layout import Layout, find_layouts
from staticgraph.program.program import Instruction, Program, Value

_COMPARED = 4096
"""Constants of at most that many bytes are compared by their bytes, larger ones by identity."""


def eliminate_common_subexpressions(program: Program) -> Program:
    """Merge instructions with one op, operands and attributes, and constants with equal bytes.

    The operands of a commutative op are put in one order, unless it gives complex numbers; only
    where both are row-major, since otherwise the first decides the layout.
    """
    swap: dict[Value, Value] = {}
    constants = _merged_constants(program, swap)
    number = {value: n for n, value in enumerate((*program.inputs, *program.variables, *constants))}
    layouts: dict[Value, Layout] | None = None
    first: dict[Any, int] = {}
    kept: list[Instruction] = []
    for instruction in program.instructions:
        instruction = with_inputs(instruction, swap)
        op, output = instruction.op, instruction.output
        number[output] = len(number)
        operands = [number[value] for value in instruction.inputs]
        commutative = op.commutative and output.type.dtype.kind != "c"
        if commutative and operands[0] > operands[-1]:
            layouts = layouts or find_layouts(program)
            if all(layouts[value].contiguous for value in instruction.inputs):
                operands.sort()
        try:
            key = (op, tuple(operands), exact_key(instruction.attrs), output.type)
            each_runs = op.effect or op.kind is Kind.CONTROL
            place = None if each_runs else first.setdefault(key, len(kept))
        except TypeError:  # an attribute that cannot be hashed
            place = None
        if place is None or place == len(kept):
            kept.append(instruction)
        else:
            swap[output] = kept[place].output
            kept[place] = with_sources(kept[place], instruction.sources)
    return program.with_instructions(kept, swap, constants) if swap else program


def _merged_constants(program: Program, swap: dict[Value, Value]) -> dict[Value, Array]:
    first: dict[Any, Value] = {}
    constants = {}
    for value, array in program.constants.items():
        key: Any = id(array)
        if array.nbytes <= _COMPARED:
            key = (value.type, array.strides, array.tobytes())
        same = first.setdefault(key, value)
        if same is value:
            constants[value] = array
        else:
            swap[value] = same
    return constants
