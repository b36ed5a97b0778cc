"""Run a program instruction by instruction, as it is written: the oracle of all else."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np

from oplibrary.values.types import Array
from staticgraph.backends.backend import Backend, Runner
from staticgraph.program.failures import raise_explained
from staticgraph.program.layout import find_layouts
from staticgraph.program.lengths import attrs_at, current_lengths, instruction_is_symbolic
from staticgraph.program.memory import BufferPlan, PlannedStep, plan_buffers
from staticgraph.program.program import Instruction, Program, Value

Hook = Callable[[Instruction, tuple[Array, ...], Array], object]
"""Called after each instruction with its operands and its result."""


def plan(program: Program, borrow: bool = False) -> BufferPlan:
    """Return the plan that keeps nothing in an arena; every kernel allocates its result."""
    steps = [PlannedStep((instruction,)) for instruction in program.instructions]
    return plan_buffers(program, steps, find_layouts(program), ())


def build(program: Program, plan: BufferPlan, hooks: Iterable[Hook] = ()) -> Runner:
    """Return the runner of `program`.

    Parameters
    ----------
    program : Program
    plan : BufferPlan
        Not needed here.
    hooks : iterable of callable
        Gone through anew after each instruction, so hooks may be added to a list later.
    """
    waiting = {each for each in program.instructions if instruction_is_symbolic(each)}

    def run(*inputs: Array) -> list[Array]:
        values: dict[Value, Array] = dict(zip(program.inputs, inputs, strict=True))
        values.update(program.constants)
        for value, variable in program.variables.items():
            values[value] = variable.stored
        for instruction in program.instructions:
            operands = tuple([values[value] for value in instruction.inputs])
            attrs = instruction.attrs
            if instruction in waiting:
                attrs = attrs_at(attrs, current_lengths())
            try:
                result = instruction.op.run(*operands, **attrs)
            except Exception as error:
                raise_explained(instruction, error)
            if isinstance(result, np.generic):  # what NumPy makes of an array without axes
                result = np.asarray(result)
            values[instruction.output] = result
            for hook in hooks:
                hook(instruction, operands, result)
        results = [values[value].copy() for value in program.results]
        outputs, updates = results[: len(program.outputs)], results[len(program.outputs) :]
        for (variable, _), array in zip(program.updates, updates, strict=True):
            variable.stored = array
        return outputs

    return Runner(run)


BACKEND = Backend(name="interpret", plan=plan, build=build, takes_lengths=True, keeps_layouts=True)
