"""Plan and build a program by a backend, which may need numbers where lengths are symbolic."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from oplibrary.values.tree import flatten
from oplibrary.values.types import Array
from staticgraph.backends import interpret
from staticgraph.backends.backend import Backend, Opened, Restored, Runner
from staticgraph.passes.fold_constants import fold_constants
from staticgraph.program.lengths import (
    current_lengths,
    program_at,
    program_is_symbolic,
    program_symbols,
)
from staticgraph.program.memory import BufferPlan
from staticgraph.program.program import Program

_MOST_KEPT = 16
"""A backend that needs numbers keeps what it built for that many different lengths."""


def plan_program(backend: Backend, program: Program, borrow: bool = False) -> BufferPlan:
    """Return the plan of `program`; of one that waits for lengths a backend may have none."""
    if program_is_symbolic(program) and not backend.takes_lengths:
        return interpret.plan(program)
    return backend.plan(program, borrow)


def restore_program(backend: Backend, program: Program) -> Restored | None:
    """Return the runner of `program` that an earlier build left, or None."""
    if backend.restore is None or program_is_symbolic(program):
        return None
    return backend.restore(program)


def build_runner(backend: Backend, program: Program, plan: BufferPlan) -> Runner:
    """Return the runner of `program` by `backend`; for each length anew if that needs numbers."""
    if not program_is_symbolic(program) or backend.takes_lengths:
        return backend.build(program, plan)
    opened = "it needs numbers" if backend.build_open is None else backend.build_open(program)
    built: dict[tuple[int, ...], Runner] = {}
    listed = flatten([0 for _ in program.outputs])[1]
    names = sorted({each.name for each in program_symbols(program)})

    def numbered() -> Runner:
        """Return the runner for the lengths of this run."""
        lengths = current_lengths()
        if isinstance(opened, Opened) and opened.holds(lengths):
            return opened.runner
        key = tuple([lengths[name] for name in names])
        runner = built.get(key)
        if runner is None:
            program_here = fold_constants(program_at(program, lengths)[0])
            runner = backend.build(program_here, backend.plan(program_here, False))
            if runner.quicken is not None:
                runner = replace(runner, call=runner.quicken(runner.call, listed))
            while len(built) >= _MOST_KEPT:
                built.pop(next(iter(built)), None)
            built[key] = runner
        return runner

    def call(*arrays: Array) -> list[Array]:
        return numbered().call(*arrays)

    def bind(
        inputs: Sequence[Array], outputs: Sequence[Array], result: Any
    ) -> Callable[[], Any] | None:
        runner = numbered()
        return None if runner.bind is None else runner.bind(inputs, outputs, result)

    if isinstance(opened, str):
        note = f"lengths    built once for each of them, since {opened}"
        return Runner(call, notes=(note,), bind=bind)
    note = "lengths    built once for all of them"
    return replace(opened.runner, call=call, notes=(note,), bind=bind)
