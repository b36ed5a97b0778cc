"""TimedMachine: machine code that takes the time of each of its steps."""

from __future__ import annotations

import ctypes
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from oplibrary.machine.target import assemble
from oplibrary.messages.errors import BackendError
from oplibrary.values.types import Array
from staticgraph.backends.native.definitions.definition import Stored
from staticgraph.backends.native.emit.segments import StepClock, segments_of, write_module
from staticgraph.backends.native.planning.plan import NativePlan
from staticgraph.backends.native.planning.steps import Call
from staticgraph.backends.native.run.image import make_image
from staticgraph.backends.native.run.running import Machine, State, link
from staticgraph.program.program import Instruction, Program


class TimedMachine:
    """A program as the machine code that `native` runs, and behind each step a look at a clock.

    Parameters
    ----------
    program : Program
    plan : NativePlan
        Of it.

    Attributes
    ----------
    program : Program
        What is planned: the one that was given, with every lowering written out.
    steps : tuple of tuple of Instruction
        What each step computes of that.

    Raises
    ------
    BackendError
        If the system has no clock that machine code can read.
    """

    def __init__(self, program: Program, plan: NativePlan) -> None:
        clock = StepClock(_clock())
        segments = segments_of(plan)
        module, names = write_module(plan, segments, clock=clock)
        symbols = (*names, StepClock.TABLE) if names else ()
        image = replace(
            make_image(program, plan), symbols=symbols, functions=tuple(sorted(module.foreign))
        )
        library = link(image, assemble(str(module), plan.target) if names else b"")
        found = iter(names)
        order = [each if isinstance(each, Call) else next(found) for each in segments]
        self.program = plan.program
        self.steps: tuple[tuple[Instruction, ...], ...] = tuple(
            [step.instructions for step in plan.steps]
        )
        self._in_machine_code = [
            not isinstance(step, Call) or step.definition.in_machine_code
            for step in plan.grouping.steps
        ]
        self._functions = clock.functions
        moments = sum(clock.functions) + 2 * len(clock.functions)
        table: Any = ctypes.c_int64 * (2 * moments)
        address = library.addresses[StepClock.TABLE] if library is not None else None
        self._moments = np.empty((0, 2), np.int64)
        if address is not None:
            self._moments = np.ctypeslib.as_array(table.from_address(address)).reshape(-1, 2)
        self._state = _TimedState(Machine(program, image, library, lambda: plan, order))

    def run(self, arrays: Sequence[Array]) -> list[float]:
        """Run once, and return the seconds that each step took.

        Parameters
        ----------
        arrays : sequence of numpy.ndarray
            The inputs, row-major.
        """
        self._state.seconds.clear()
        self._state.run(*arrays)
        left, made = iter(self._state.seconds), self._seconds()
        return [next(made) if inside else next(left) for inside in self._in_machine_code]

    def _seconds(self) -> Iterator[float]:
        """Yield the seconds of the steps in machine code."""
        moments = self._moments[:, 0] - self._moments[:1, 0].sum() + self._moments[:, 1] * 1e-9
        first = 0
        for count in self._functions:
            taken = np.diff(moments[first : first + count + 2])
            # to take a moment is a part of each step
            yield from np.maximum(taken[1:] - taken[0], 0.0).tolist()
            first += count + 2


class _TimedState(State):
    """A run that takes the time of what is left to NumPy, too."""

    def __init__(self, machine: Machine) -> None:
        super().__init__(machine)
        self.seconds: list[float] = []

    def _call(self, definition: Stored) -> None:
        begin = time.perf_counter()
        super()._call(definition)
        self.seconds.append(time.perf_counter() - begin)


def _clock() -> int:
    """Return the number of a clock that goes evenly."""
    clock = getattr(time, "CLOCK_MONOTONIC", None)
    if clock is None:
        raise BackendError(
            f"machine code cannot take the time of its steps on {sys.platform}",
            cause="it calls clock_gettime, which is not there",
            fix='profile the modes "dynamic" and "static"',
        )
    return int(clock)
