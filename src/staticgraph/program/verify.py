"""Prove that a program is well formed: what every pass must leave behind."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby

from oplibrary.core.op import Kind
from oplibrary.messages.errors import PassError, SideBySideError
from oplibrary.values.types import type_of_array
from staticgraph.program.program import Instruction, Program, Value


def verify(program: Program, after: str = "lowering") -> None:
    """Check single assignment, definition before use, every type, and every group.

    Parameters
    ----------
    program : Program
    after : str
        The name of the pass that made it, for the message.

    Raises
    ------
    PassError
        At the first instruction that is wrong, with its user's line.
    """
    defined: set[Value] = set()
    for value in (*program.inputs, *program.constants, *program.variables):
        if value in defined:
            raise _error(after, f"{value} is defined twice")
        defined.add(value)
    for value, array in program.constants.items():
        if type_of_array(array) != value.type:
            raise _error(after, f"constant {value} holds a {type_of_array(array)}")
    for variable_value, variable in program.variables.items():
        if type_of_array(variable.stored) != variable_value.type:
            raise _error(after, f"{variable_value} holds a {type_of_array(variable.stored)}")
    for instruction in program.instructions:
        _check_instruction(instruction, defined, after)
        defined.add(instruction.output)
    for value in program.results:
        if value not in defined:
            raise _error(after, f"result {value} is not defined")
    for variable, value in program.updates:
        if type_of_array(variable.stored) != value.type:
            raise _error(after, f"{variable} is updated with {value}")
    _check_groups(program, after)


def _check_instruction(instruction: Instruction, defined: set[Value], after: str) -> None:
    op, output = instruction.op, instruction.output
    if op.arity is not None and len(instruction.inputs) != op.arity:
        raise _error(after, f"{op.name} has {len(instruction.inputs)} operands", instruction)
    for value in instruction.inputs:
        if value not in defined:
            raise _error(after, f"{op.name} reads {value} before it is defined", instruction)
    if output in defined:
        raise _error(after, f"{op.name} defines {output} again", instruction)
    types = [value.type for value in instruction.inputs]
    try:
        inferred = op.infer(*types, **instruction.attrs)
    except SideBySideError as error:
        raise _error(after, f"{op.name}: {error.what}", instruction) from error
    if inferred != output.type:
        what = f"{op.name} gives {inferred}, and the program says {output.type}"
        raise _error(after, what, instruction)


def _check_groups(program: Program, after: str) -> None:
    seen = set()
    for number, members in _groups(program):
        first = members[0]
        if number in seen:
            raise _error(after, f"group {number} is in two places", first)
        seen.add(number)
        for instruction in members:
            if instruction.op.kind is not Kind.ELEMENTWISE:
                raise _error(after, f"{instruction.op.name} is in group {number}", instruction)
            if instruction.output.type.shape != first.output.type.shape:
                raise _error(after, f"the shapes in group {number} differ", instruction)


def _groups(program: Program) -> Iterator[tuple[int, list[Instruction]]]:
    for number, members in groupby(program.instructions, lambda each: each.group):
        if number:
            yield number, list(members)


def _error(after: str, what: str, instruction: Instruction | None = None) -> PassError:
    source = instruction.sources[0] if instruction is not None and instruction.sources else None
    return PassError(f"after {after}: {what}", source=source)
