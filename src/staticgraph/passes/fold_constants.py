"""Compute once, when compiling, what every run would compute alike."""

from __future__ import annotations

import numpy as np

from oplibrary.core.op import Kind
from oplibrary.values.types import Array, type_of_array
from staticgraph.program.lengths import instruction_is_symbolic
from staticgraph.program.program import Instruction, Program

MAX_BYTES = 1 << 20
"""A result of more bytes is left to the run: it would be kept as long as the program."""


def fold_constants(program: Program) -> Program:
    """Replace instructions whose operands are constants by constants.

    A view of a constant takes no memory and is always folded. An instruction that would fail, or
    warn, is left in the program: it then does so when it runs, with its user's line.
    """
    constants = dict(program.constants)
    kept = []
    for instruction in program.instructions:
        if all(value in constants for value in instruction.inputs) and _foldable(instruction):
            array = _compute(instruction, [constants[value] for value in instruction.inputs])
            if array is not None:
                constants[instruction.output] = array
                continue
        kept.append(instruction)
    if len(kept) == len(program.instructions):
        return program
    return program.with_instructions(kept, constants=constants)


def _foldable(instruction: Instruction) -> bool:
    op = instruction.op
    if op.kind is Kind.CONTROL or op.effect or instruction_is_symbolic(instruction):
        return False
    # without an operand nothing says that an opaque op gives the same every time
    if op.kind is Kind.OPAQUE and not instruction.inputs:
        return False
    return op.view or instruction.output.type.nbytes <= MAX_BYTES


def _compute(instruction: Instruction, operands: list[Array]) -> Array | None:
    try:
        with np.errstate(divide="raise", over="raise", invalid="raise"):
            array = np.asarray(instruction.op.run(*operands, **instruction.attrs))
    except Exception:  # of any kind: the run will raise it where the user can see it
        return None
    if type_of_array(array) != instruction.output.type:
        return None
    if instruction.op.view and not any(np.may_share_memory(array, each) for each in operands):
        return array if array.nbytes <= MAX_BYTES else None
    return array
