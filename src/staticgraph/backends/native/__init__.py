"""Run a program as machine code: fused, vectorised loops that LLVM compiles for this processor."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

from staticgraph.backends.backend import Backend, Restored, Runner
from staticgraph.program.memory import BufferPlan
from staticgraph.program.program import Program


def plan(program: Program, borrow: bool = False) -> BufferPlan:
    """Return the loops that `program` becomes, and where its values are kept."""
    from staticgraph.backends.native.planning.planning import make_plan

    return make_plan(program)


def build(program: Program, plan: BufferPlan) -> Runner:
    """Return what runs the program: NumPy, if the machine code calls what is not there."""
    from oplibrary.machine.target import LinkError
    from staticgraph.backends import numpy
    from staticgraph.backends.native.planning.plan import NativePlan
    from staticgraph.backends.native.run.running import build_machine, make_runner

    assert isinstance(plan, NativePlan)
    try:
        machine, text = build_machine(program, plan)
    except LinkError as error:
        runner = numpy.build(program, numpy.plan(program))
        return replace(runner, notes=(f"left to NumPy  all, since linking failed: {error}",))
    return make_runner(machine, lambda: text)


def restore(program: Program) -> Restored | None:
    """Return what an earlier build of the program left on disk, or None."""
    from staticgraph.backends.native.planning.planning import make_plan
    from staticgraph.backends.native.run.running import build_machine, make_runner, restore_machine

    make = cache(lambda: make_plan(program))
    machine = restore_machine(program, make)
    if machine is None:
        return None
    return Restored(make_runner(machine, lambda: build_machine(program, make())[1]), make)


BACKEND = Backend(name="native", plan=plan, build=build, restore=restore, writes_control=True)
