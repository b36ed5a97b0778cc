"""Run a program as machine code: fused, vectorised loops that LLVM compiles for this processor."""

from __future__ import annotations

from functools import partial

from staticgraph.backends import Runner
from staticgraph.memory import BufferPlan
from staticgraph.program import Program

WRITES_CONTROL = True
"""Loops and branches are machine code, too: their regions are not built apart."""


def plan(program: Program, *, borrow: bool = False) -> BufferPlan:
    """Return the loops that `program` becomes, and where its values are kept."""
    from staticgraph.backends.native.analysis.planning import make_plan

    return make_plan(program)


def build(program: Program, plan: BufferPlan) -> Runner:
    """Return what runs the program."""
    from staticgraph.backends.native.analysis.planning import NativePlan
    from staticgraph.backends.native.run.running import Machine, make_call, quicken

    assert isinstance(plan, NativePlan)
    machine = Machine(plan)
    notes = [f"left to NumPy: {each.op.name}: {why}" for each, why in plan.definitions.reasons]
    return Runner(make_call(machine), machine.text, tuple(notes), partial(quicken, machine))
