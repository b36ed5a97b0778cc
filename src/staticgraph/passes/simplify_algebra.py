"""Leave out arithmetic that gives back its operand, bit for bit."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from oplibrary.core.expression import parse_expression
from oplibrary.core.op import Kind
from oplibrary.values.dtypes import REAL_FLOATING
from oplibrary.values.keys import exact_key
from oplibrary.values.types import Array
from staticgraph.passes.rewriting import with_inputs
from staticgraph.program.layout import find_layouts
from staticgraph.program.program import Instruction, Program, Value

# scalar expressions that undo themselves, and those that change nothing where the dtype stays
_INVOLUTIONS = frozenset(map(parse_expression, ("-{0}", "~{0}")))
_CONVERSIONS = frozenset(map(parse_expression, ("cast({0})", "{0}")))

_SEARCHED = 1 << 24
"""Constants of at most that many elements are searched for other values than the unit."""


def simplify_algebra(program: Program) -> Program:
    """Replace ``x * 1``, ``x / 1``, ``x - 0.0``, ``x + -0.0``, ``-(-x)`` and needless casts by x.

    What an op's unit is, and what undoes itself, its record says. A replacement has the type and
    the memory layout of what it replaces; ``x * 0`` and ``x + 0.0`` stay, since they change bits.
    """
    candidates: dict[Value, Value] = {}
    made_by: dict[Value, Instruction] = {}
    for instruction in program.instructions:
        if instruction.op.kind is Kind.ELEMENTWISE:
            same = _same_value(instruction, program.constants, made_by, candidates)
            if same is not None and same.type == instruction.output.type:
                candidates[instruction.output] = candidates.get(same, same)
        made_by[instruction.output] = instruction
    if not candidates:
        return program
    layouts = find_layouts(program)
    swap: dict[Value, Value] = {}
    kept = []
    for instruction in program.instructions:
        output = instruction.output
        same = candidates.get(output)
        if same is not None and layouts[same].coincides(layouts[output]):
            swap[output] = same
        else:
            kept.append(with_inputs(instruction, swap))
    return program.with_instructions(kept, swap) if swap else program


def _same_value(
    instruction: Instruction,
    constants: Mapping[Value, Array],
    made_by: dict[Value, Instruction],
    candidates: dict[Value, Value],
) -> Value | None:
    """Return the operand that `instruction` gives back, or None."""
    op, inputs = instruction.op, instruction.inputs
    if op.unit is not None and len(inputs) == 2:
        x, y = inputs
        dtype = instruction.output.type.dtype
        if y in constants and _is_unit(constants[y], op.unit, dtype):
            return x
        if op.commutative and x in constants and _is_unit(constants[x], op.unit, dtype):
            return y
    if op.expression in _CONVERSIONS:
        return inputs[0]
    if op.expression in _INVOLUTIONS:
        inner = made_by.get(candidates.get(inputs[0], inputs[0]))
        if (
            inner is not None
            and inner.op is op
            and exact_key(inner.attrs) == exact_key(instruction.attrs)
        ):
            return inner.inputs[0]
    return None


def _is_unit(array: Array, unit: float, dtype: np.dtype) -> bool:
    """Tell whether every element is `unit`, sign included, where it is computed in `dtype`."""
    if not any(array.strides):
        array = array[(slice(1),) * array.ndim]  # one element, repeated
    if (
        not 0 < array.size <= _SEARCHED
        or array[(0,) * array.ndim] != unit
        or not np.all(array == unit)
    ):
        return False
    array = array.astype(dtype, copy=False)
    if dtype.kind == "c":
        # (a + bi) * (1 + 0i) computes a - b*0, which is not a where b is infinite
        return unit == 0 and _has_sign(array.real, unit) and _has_sign(array.imag, unit)
    return dtype.kind not in REAL_FLOATING or unit != 0 or _has_sign(array, unit)


def _has_sign(array: Array, unit: float) -> bool:
    return bool(np.all(np.signbit(array) == np.signbit(unit)))
