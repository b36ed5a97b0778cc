"""The matrix: what every run came to, compared with what dyngraph computed."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from oplibrary.messages.errors import WorkloadError
from sidebyside.measuring.agreement import first_difference
from sidebyside.measuring.clock import require_seconds
from sidebyside.measuring.statistics import median_estimate, paired_ratio
from sidebyside.results.cell import (
    CRASHED,
    FAILED,
    NOT_TRIED,
    RAN,
    REFUSED,
    REWRITTEN,
    TIMED_OUT,
    WRONG,
)
from sidebyside.results.flexibility import ExampleCell, ExampleRow, Matrix
from sidebyside.studies.flexibility.columns import DYNAMIC, OWN, REWRITE, choose_peers
from sidebyside.studies.flexibility.example import find_examples
from sidebyside.studies.flexibility.record import Begun, Finished, Listed, Run, Task, Timed
from sidebyside.studies.flexibility.tasks import Lost, run_tasks

TIMEOUT = 60.0
"""Seconds that a program may take in one column, its builds included."""

BUDGET = 0.2
"""Seconds of samples for one program, all columns of this library together."""


def measure_flexibility(
    names: Iterable[str] = (),
    *,
    folder: str | os.PathLike[str] | None = None,
    peers: str | None = None,
    timeout: float = TIMEOUT,
    budget: float = BUDGET,
    report: Callable[[str], None] | None = None,
) -> Matrix:
    """Run examples in every mode and return what happened.

    Parameters
    ----------
    names : iterable of str
        Examples by name or file; without names all of the folder.
    folder : path, optional
        Where they are; by default the examples of the source tree.
    peers : str, optional
        Such as ``"torch,jax.jit"``, or ``"none"``; by default all that are installed.
    timeout : float
        Seconds that a program may take in one column.
    budget : float
        Seconds of samples for one program.
    report : callable, optional
        Called with a line of text when something new begins.

    Raises
    ------
    WorkloadError
        If an example does not exist, or none has a program.
    ArgumentError
        If a peer is unknown or not installed, or `timeout` or `budget` is no amount of time.
    """
    started = time.perf_counter()
    require_seconds("timeout", timeout)
    require_seconds("budget", budget)
    chosen = choose_peers(peers)
    paths = find_examples(names, folder)

    def on_begin(begun: Begun) -> None:
        if report is not None and begun.column:
            columns = begun.task.columns
            where = f" in {columns[0]}" if len(columns) == 1 else ""
            report(f"{begun.task.path.stem}{where}: {begun.task.program or begun.column}")

    tasks, broken, left_out = _list_programs(paths, timeout, on_begin)
    if not tasks and not broken:
        raise WorkloadError(
            "none of the files has a program to compare",
            cause="the matrix runs what a file names in PROGRAMS",
            fix="define PROGRAMS = (Example(function, inputs=...),)",
        )
    board = _Board()
    for event in run_tasks(
        [replace(task, columns=OWN, budget=budget) for task in tasks], timeout, on_begin
    ):
        board.take(event)
    comparable = [task for task in tasks if board.ran(task)]
    for peer in chosen:
        jobs = [replace(task, columns=(peer,), budget=budget) for task in comparable]
        for event in run_tasks(jobs, timeout, on_begin):
            board.take(event)
    columns = (*OWN, *chosen)
    rows = [board.row(task, columns) for task in tasks]
    rows += [_broken_row(path, cell, columns) for path, cell in broken]
    rows.sort(key=lambda row: row.example)
    return Matrix(columns, tuple(rows), tuple(left_out), time.perf_counter() - started)


def _list_programs(
    paths: Sequence[Path], timeout: float, on_begin: Callable[[Begun], None]
) -> tuple[list[Task], list[tuple[Path, ExampleCell]], list[tuple[str, str]]]:
    """Return a task for each program, the files that cannot be loaded, and those without one."""
    tasks: list[Task] = []
    broken: list[tuple[Path, ExampleCell]] = []
    left_out: list[tuple[str, str]] = []
    for event in run_tasks([Task(path) for path in paths], timeout, on_begin):
        path = event.task.path
        if isinstance(event, Lost):
            broken.append((path, _lost_cell(DYNAMIC, event)))
        elif isinstance(event, Listed) and event.failure is not None:
            broken.append((path, ExampleCell(DYNAMIC, event.failure, FAILED)))
        elif isinstance(event, Listed) and not event.programs:
            left_out.append((path.stem, "it names no program in PROGRAMS"))
        elif isinstance(event, Listed):
            tasks += [Task(path, name) for name in event.programs]
    return tasks, broken, left_out


def _broken_row(path: Path, cell: ExampleCell, columns: Sequence[str]) -> ExampleRow:
    return ExampleRow(
        path.stem, "", (cell, *[ExampleCell(column, outcome=NOT_TRIED) for column in columns[1:]])
    )


def _lost_cell(column: str, lost: Lost) -> ExampleCell:
    return ExampleCell(column, outcome=TIMED_OUT if lost.timed_out else CRASHED, text=lost.text)


class _Board:
    """Gathers what the processes report, and judges it."""

    def __init__(self) -> None:
        self._runs: dict[tuple[Path, str, str], Run | Lost] = {}
        self._times: dict[tuple[Path, str], dict[str, list[float]]] = {}

    def take(self, event: Any) -> None:
        """Write down one report."""
        place = (event.task.path, event.task.program)
        if isinstance(event, Finished):
            # after a loss dyngraph runs once more, as the reference of the times
            self._runs.setdefault((*place, event.column), event.run)
        elif isinstance(event, Lost) and event.column != "timing":
            self._runs.setdefault((*place, event.column or event.task.columns[0]), event)
        elif isinstance(event, Timed):
            self._times.setdefault(place, {}).update(event.samples)

    def ran(self, task: Task) -> bool:
        """Tell whether dyngraph ran the program."""
        run = self._runs.get((task.path, task.program, DYNAMIC))
        return isinstance(run, Run) and run.cell.failure is None

    def row(self, task: Task, columns: Sequence[str]) -> ExampleRow:
        """Return the row of a program."""
        place = (task.path, task.program)
        reference = self._runs.get((*place, DYNAMIC))
        cells = []
        for column in columns:
            run = self._runs.get((*place, column))
            if run is None or (column != DYNAMIC and not self.ran(task)):
                cell = ExampleCell(column, outcome=NOT_TRIED)
            elif isinstance(run, Lost):
                cell = _lost_cell(column, run)
            else:
                assert isinstance(reference, Run)
                cell = _judge(column, run, reference)
            cells.append(self._with_times(cell, place) if cell.good else cell)
        return ExampleRow(task.path.stem, task.program, tuple(cells))

    def _with_times(self, cell: ExampleCell, place: tuple[Path, str]) -> ExampleCell:
        """Return the cell with the time of a call, and how that compares with dyngraph's."""
        times = self._times.get(place, {})
        run = self._runs[(*place, cell.mode)]
        if cell.mode not in times or not isinstance(run, Run):
            return cell
        calls = max(1, len(run.results))
        samples = np.array(times[cell.mode]) / calls
        ratio = None
        reference = times.get(DYNAMIC)
        if cell.mode in OWN[1:] and reference is not None and len(reference) == len(samples):
            ratio = paired_ratio(times[cell.mode], reference)
        return replace(cell, steady=median_estimate(samples), ratio=ratio)


def _judge(column: str, run: Run, reference: Run) -> ExampleCell:
    """Return the cell of a run that came to an end."""
    cell = run.cell
    if cell.outcome == NOT_TRIED:
        return cell
    cell = replace(cell, extra_lines=cell.lines - reference.cell.lines)
    if cell.failure is not None:
        return replace(cell, outcome=REFUSED if column != DYNAMIC else FAILED)
    difference = first_difference(run.results, reference.results, reference.tolerance)
    if difference:
        return replace(cell, outcome=WRONG, text=difference)
    return replace(cell, outcome=REWRITTEN if column == REWRITE else RAN)
