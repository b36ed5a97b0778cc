"""Leave out what no result needs."""

from __future__ import annotations

from dataclasses import replace

from staticgraph.declare.effects import has_effect
from staticgraph.program.program import Program


def eliminate_dead_code(program: Program) -> Program:
    """Drop instructions, constants and variables that no result depends on.

    Inputs stay: they are what a call passes. So do instructions with an effect, and what they read.
    """
    needed = set(program.results)
    kept = []
    for instruction in reversed(program.instructions):
        if instruction.output in needed or has_effect(instruction.op, instruction.attrs):
            needed.update(instruction.inputs)
            kept.append(instruction)
    constants = {v: array for v, array in program.constants.items() if v in needed}
    variables = {v: variable for v, variable in program.variables.items() if v in needed}
    if (
        len(kept) == len(program.instructions)
        and len(constants) == len(program.constants)
        and len(variables) == len(program.variables)
    ):
        return program
    return replace(
        program, instructions=tuple(reversed(kept)), constants=constants, variables=variables
    )
