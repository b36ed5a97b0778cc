"""The process that runs programs, and reports to the one that started it.

It reads its tasks from the standard input and writes reports to what was the standard output; what
the programs print goes to the error stream.
"""

from __future__ import annotations

import faulthandler
import os
import pickle
import sys
import time
import warnings
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from sidebyside.flexibility.columns import REWRITE, Prepared, load_column, prepare
from sidebyside.flexibility.program import Program, code_lines, load_module, programs_of
from sidebyside.flexibility.record import (
    Begun,
    Failure,
    Finished,
    Listed,
    Report,
    Run,
    Task,
    Timed,
    failure_of,
)

BUDGET = 0.2
"""Seconds of samples for one program."""

ROUNDS = 60
"""The most samples of one program."""


def main() -> None:
    """Do every task that the standard input holds."""
    faulthandler.enable()
    tasks: list[Task] = pickle.load(sys.stdin.buffer)
    reports = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)

    def send(report: Report) -> None:
        pickle.dump(report, reports)
        reports.flush()

    for column in tasks[0].columns:
        with suppress(Exception):  # it will be raised again where it can be reported
            load_column(column)
    for task in tasks:
        if task.columns:
            run_task(task, send)
        else:
            send(Begun(task, ""))
            send(list_programs(task))


def list_programs(task: Task) -> Listed:
    """Return the names of the programs that a file offers."""
    try:
        return Listed(task, tuple(programs_of(load_module(task.path))))
    except (Exception, SystemExit) as error:
        return Listed(task, failure=failure_of(error, task.path, 0))


def run_task(task: Task, send: Callable[[Report], None]) -> None:
    """Run a program in each column, then time those that ran in turns."""
    timers: dict[str, Callable[[], Any]] = {}
    for column in task.columns:
        send(Begun(task, column))
        made = make_calls(task, column)
        send(Finished(task, column, made.run))
        if made.again is not None:
            timers[column] = made.again
    send(Begun(task, "timing"))
    send(Timed(task, time_calls(timers)))


@dataclass(frozen=True)
class Made:
    """The calls that were made, and what makes all of them once more."""

    run: Run
    again: Callable[[], Any] | None = None


def make_calls(task: Task, column: str) -> Made:
    """Prepare a program once and make all its calls."""
    call, lines = 0, 0
    results: list[list[Any]] = []
    converted: list[Any] = []
    first_seconds = 0.0
    prepared: Prepared | None = None
    tolerance = 0.0
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        failure: Failure | None = None
        try:
            # a module of its own, so that no column sees what another has changed
            program = programs_of(load_module(task.path))[task.program]
            tolerance = program.tolerance
            function = program.rewrite if column == REWRITE else program.function
            if function is None:
                return Made(Run())
            lines = code_lines(function)
            prepared = prepare(column, program)
            for arguments in program.calls():
                call += 1
                converted.append(prepared.convert(arguments))
                started = time.perf_counter()
                found = prepared.call(converted[-1])
                if call == 1:
                    first_seconds = time.perf_counter() - started
                results.append(prepared.results(found))
            if not results:
                failure = _no_calls(program)
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # libraries raise exceptions of every kind
            failure = failure_of(error, task.path, call)
    run = Run(
        tuple(results),
        failure,
        first_seconds,
        prepared.builds() if prepared is not None else None,
        lines,
        tuple(dict.fromkeys(_warning(each) for each in caught if _matters(each))),
        tolerance,
    )
    if failure is not None or prepared is None:
        return Made(run)
    make = prepared.call
    return Made(run, lambda: [make(each) for each in converted])


def _no_calls(program: Program) -> Failure:
    name = getattr(program.inputs, "__name__", "inputs")
    return Failure("ValueError", "", f"{name}() gives no call", "")


def _warning(message: warnings.WarningMessage) -> str:
    lines = str(message.message).strip().splitlines()
    return f"{message.category.__name__}: {lines[0] if lines else ''}"


def _matters(message: warnings.WarningMessage) -> bool:
    """Tell whether a warning is about the program, and not about its library's own affairs."""
    return not issubclass(message.category, (DeprecationWarning, FutureWarning, ImportWarning))


def time_calls(timers: dict[str, Callable[[], Any]]) -> dict[str, list[float]]:
    """Return the seconds that all calls take in each column, one sample a round."""
    from sidebyside.measure import measure
    from sidebyside.statistics import ENOUGH

    if not timers:
        return {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            timings = measure(timers, BUDGET, fewest=ENOUGH, most=ROUNDS)
        except Exception:
            return {}  # a program that runs once and not again has no time
    return {name: _seconds(samples) for name, samples in timings.samples.items()}


def _seconds(samples: Sequence[float]) -> list[float]:
    return [float(sample) * 1e-9 for sample in samples]
