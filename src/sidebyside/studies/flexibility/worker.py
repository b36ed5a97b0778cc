"""The process that runs programs, and reports to the one that started it.

It loads a library once, and then divides for each task: no program meets what another one left
behind, and none waits for the library.
"""

from __future__ import annotations

import os
import time
import warnings
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from importlib import import_module
from typing import Any

import numpy as np

from oplibrary.messages.errors import WorkloadError
from sidebyside.measuring.clock import measure
from sidebyside.measuring.processes import Give, Take, in_a_copy
from sidebyside.measuring.statistics import ENOUGH
from sidebyside.modes import Mode, Prepared
from sidebyside.results.cell import NOT_TRIED, Failure
from sidebyside.results.flexibility import ExampleCell
from sidebyside.studies.flexibility.columns import REWRITE, mode_of, prepare
from sidebyside.studies.flexibility.example import Example, code_lines, load_module, programs_of
from sidebyside.studies.flexibility.record import (
    Begun,
    Finished,
    Listed,
    Run,
    Task,
    Timed,
    failure_of,
)

ROUNDS = 60
"""The most samples of one program."""


def do_tasks(take: Take, give: Give) -> None:
    """Do every task of the list that is the one message."""
    parent = os.getppid()
    tasks: list[Task] = take()
    import_module("sidebyside.public")  # which examples import, and no program's time is to hold
    for column in tasks[0].columns:
        with suppress(Exception):  # it will be raised again where it can be reported
            mode = mode_of(column)
            mode.load()
            in_a_copy(lambda mode=mode: _try_warm_up(mode), parent)  # type: ignore[misc]
    if len(tasks) > 1:
        with suppress(ImportError):  # most examples read their data with it; it takes a second
            import_module("sklearn.datasets")
    for task in tasks:
        in_a_copy(lambda task=task: do_task(task, give), parent)  # type: ignore[misc]


def do_task(task: Task, give: Give) -> None:
    """Do what a task asks for, and report it."""
    if task.columns:
        run_task(task, give)
    else:
        give(Begun(task, ""))
        give(list_programs(task))


def _try_warm_up(mode: Mode) -> None:
    with suppress(Exception):  # a program will say why
        mode.warm_up()


def list_programs(task: Task) -> Listed:
    """Return the names of the programs that a file offers."""
    try:
        return Listed(task, tuple(programs_of(load_module(task.path))))
    except (Exception, SystemExit) as error:
        return Listed(task, failure=failure_of(error, task.path, 0))


def run_task(task: Task, give: Give) -> None:
    """Run a program in each column, then time those that ran in turns."""
    timers: dict[str, Callable[[], Any]] = {}
    for column in task.columns:
        give(Begun(task, column))
        made = make_calls(task, column)
        give(Finished(task, column, made.run))
        if made.again is not None:
            timers[column] = made.again
    give(Begun(task, "timing"))
    give(Timed(task, time_calls(timers, task.budget)))


@dataclass(frozen=True)
class Made:
    """The calls that were made, and what makes all of them once more."""

    run: Run
    again: Callable[[], Any] | None = None


@dataclass
class _Calls:
    """The calls of one program, as far as they came."""

    begun: int = 0
    results: list[list[Any]] = field(default_factory=list)
    arguments: list[Any] = field(default_factory=list)
    first_seconds: float = 0.0
    lines: int = 0
    prepared: Prepared | None = None


def make_calls(task: Task, column: str) -> Made:
    """Prepare a program once and make all its calls."""
    calls = _Calls()
    failure: Failure | None = None
    tolerance = 0.0
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            # a module of its own, so that no column sees what another has changed
            program = programs_of(load_module(task.path))[task.program]
            if column == REWRITE and program.rewrite is None:
                return Made(Run(ExampleCell(column, outcome=NOT_TRIED)))
            tolerance = program.tolerance
            _make_all(calls, program, column)
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # libraries raise exceptions of every kind
            failure = failure_of(error, task.path, calls.begun)
    prepared = calls.prepared
    cell = ExampleCell(
        column,
        failure,
        first_seconds=calls.first_seconds,
        lines=calls.lines,
        warnings=tuple(dict.fromkeys(_warning(each) for each in caught if _matters(each))),
    )
    if prepared is not None:
        cell = replace(
            cell,
            builds=prepared.builds(),
            notes=tuple(dict.fromkeys(prepared.notes())),
            breaks=tuple(prepared.breaks().items()),
        )
    run = Run(cell, tuple(calls.results), tolerance)
    if failure is not None or prepared is None:
        return Made(run)
    make = prepared.call
    return Made(run, lambda: [make(*each) for each in calls.arguments])


def _make_all(calls: _Calls, program: Example, column: str) -> None:
    function = program.rewrite if column == REWRITE else program.function
    assert function is not None
    calls.lines = code_lines(function)
    calls.prepared = prepared = prepare(column, program)
    for arguments in program.calls():
        calls.begun += 1
        calls.arguments.append(prepared.convert(arguments))
        started = time.perf_counter()
        found = prepared.call(*calls.arguments[-1])
        if calls.begun == 1:
            calls.first_seconds = time.perf_counter() - started
        calls.results.append(list(map(_plain, prepared.arrays(found))))
    if not calls.results:
        raise WorkloadError(
            f"the program {program.function.__name__} has no calls",
            cause="its inputs() gives no arguments",
            fix="return or yield a tuple of arguments for each call",
        )


def _plain(leaf: Any) -> Any:
    """Return a result as it can be sent: what is no number in words."""
    return leaf if isinstance(leaf, (np.ndarray, str)) else repr(leaf)


def _warning(message: warnings.WarningMessage) -> str:
    lines = str(message.message).strip().splitlines()
    return f"{message.category.__name__}: {lines[0] if lines else ''}"


def _matters(message: warnings.WarningMessage) -> bool:
    """Tell whether a warning is about the program, and not about its library's own affairs."""
    return not issubclass(message.category, (DeprecationWarning, FutureWarning, ImportWarning))


def time_calls(timers: dict[str, Callable[[], Any]], budget: float) -> dict[str, list[float]]:
    """Return the seconds that all calls take in each column, one sample a round."""
    if not timers:
        return {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            timings = measure(timers, budget, fewest=ENOUGH, most=ROUNDS)
        except Exception:
            return {}  # a program that runs once and not again has no time
    return {name: _seconds(samples) for name, samples in timings.samples.items()}


def _seconds(samples: Iterable[float]) -> list[float]:
    return [float(sample) * 1e-9 for sample in samples]
