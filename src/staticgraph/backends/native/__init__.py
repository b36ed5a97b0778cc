"""Run a program as machine code: fused, vectorised loops that LLVM compiles for this processor."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING, cast

from oplibrary.messages.errors import SideBySideError
from staticgraph.backends.backend import Backend, Opened, Restored, Runner
from staticgraph.program.memory import BufferPlan
from staticgraph.program.program import Program

if TYPE_CHECKING:
    from staticgraph.backends.native.planning.plan import NativePlan
    from staticgraph.backends.native.run.timed import TimedMachine


def plan(program: Program, borrow: bool = False) -> BufferPlan:
    """Return the loops that `program` becomes, and where its values are kept."""
    from staticgraph.backends import numpy
    from staticgraph.backends.native.run.fallback import plan_what_works

    found = plan_what_works(program, lambda made: None)
    return numpy.plan(program) if isinstance(found, str) else found[0]


def build(program: Program, plan: BufferPlan) -> Runner:
    """Return what runs the program: NumPy, if the machine code calls what is not there."""
    from oplibrary.machine.target import LinkError
    from staticgraph.backends.native.planning.plan import NativePlan
    from staticgraph.backends.native.run.calls import make_runner
    from staticgraph.backends.native.run.fallback import plan_what_works
    from staticgraph.backends.native.run.running import build_machine

    try:
        assert isinstance(plan, NativePlan), "no plan"
        machine, text = build_machine(program, plan)
    except LinkError as error:
        return _all_to_numpy(program, f"linking failed: {error}")
    except (SideBySideError, MemoryError):
        raise
    except Exception:
        found = plan_what_works(program, lambda made: build_machine(program, made))
        if isinstance(found, str):
            return _all_to_numpy(program, found)
        machine, text = found[1]
    return make_runner(machine, lambda: text)


def _all_to_numpy(program: Program, why: str) -> Runner:
    from staticgraph.backends import numpy

    runner = numpy.build(program, numpy.plan(program))
    return replace(runner, notes=(f"left to NumPy  all, since {why}",))


def restore(program: Program) -> Restored | None:
    """Return what an earlier build of the program left on disk, or None."""
    from staticgraph.backends.native.run.calls import make_runner
    from staticgraph.backends.native.run.checked import is_checked
    from staticgraph.backends.native.run.running import build_machine, restore_machine

    if is_checked():  # a plan that is to be proved has to be made
        return None
    make = cache(lambda: cast("NativePlan", plan(program)))
    machine = restore_machine(program, make)
    if machine is None:
        return None
    return Restored(make_runner(machine, lambda: build_machine(program, make())[1]), make)


def build_open(program: Program) -> Opened | str:
    """Return what runs the program at any lengths, or why it has to be built for each of them."""
    from staticgraph.backends.native.run.open_machine import OpenMachine

    try:
        return OpenMachine(program).opened()
    except MemoryError:
        raise
    except Exception as error:  # what needs the numbers says so in many ways
        return " ".join(str(error).split())[:200] or type(error).__name__


def time_steps(program: Program) -> TimedMachine | None:
    """Return a program as machine code that takes the time of its steps; None if it is none."""
    from staticgraph.backends.native.planning.plan import NativePlan
    from staticgraph.backends.native.run.timed import TimedMachine

    found = plan(program)
    return TimedMachine(program, found) if isinstance(found, NativePlan) else None


BACKEND = Backend(
    name="native",
    plan=plan,
    build=build,
    restore=restore,
    build_open=build_open,
    writes_control=True,
)
