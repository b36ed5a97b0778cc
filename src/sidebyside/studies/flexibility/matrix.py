"""The matrix: what every run came to, compared with what dyngraph computed."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from oplibrary.messages.errors import WorkloadError
from sidebyside.measuring.statistics import Estimate, median_estimate, paired_ratio
from sidebyside.studies.flexibility.columns import DYNAMIC, OWN, REWRITE, choose_peers
from sidebyside.studies.flexibility.processes import Lost, run_tasks
from sidebyside.studies.flexibility.program import find_examples
from sidebyside.studies.flexibility.record import Begun, Failure, Finished, Listed, Run, Task, Timed

TIMEOUT = 60.0
"""Seconds that a program may take in one column, its builds included."""

BUDGET = 0.2
"""Seconds of samples for one program, all columns of this library together."""

RAN = "ran"
WRONG = "wrong"
REWRITTEN = "rewritten"
REFUSED = "refused"
FAILED = "failed"
CRASHED = "crashed"
TIMED_OUT = "timed out"
NOT_TRIED = "not tried"


@dataclass(frozen=True)
class Cell:
    """One program in one column.

    Attributes
    ----------
    column : str
    outcome : str
        ``"ran"``: the results are dyngraph's. ``"rewritten"``: so are those of the rewrite.
        ``"wrong"``: it ran and computed something else. ``"refused"``: it ended with an error.
        ``"failed"``: dyngraph itself did. ``"crashed"``, ``"timed out"``: its process was lost.
        ``"not tried"``: there is no rewrite, or nothing to compare with.
    seconds : Estimate or None
        Of a call, once everything is built.
    ratio : Estimate or None
        Its time over dyngraph's, for the columns that were timed in turns with it.
    first_seconds : float or None
        Of the first call.
    builds : int or None
        How often it was traced or compiled.
    lines, extra_lines : int
        Lines of code of what ran, and how many more these are than the dynamic function's.
    failure : Failure or None
        The error.
    text : str
        What differed, or how the process ended.
    warnings : tuple of str
        What was warned of.
    notes : tuple of str
        What the mode says about its traces when it is asked, by ``explain()``.
    breaks : tuple of (str, int)
        Why what was compiled was left for Python in the middle, in full, and how often.
    """

    column: str
    outcome: str
    seconds: Estimate | None = None
    ratio: Estimate | None = None
    first_seconds: float | None = None
    builds: int | None = None
    lines: int = 0
    extra_lines: int = 0
    failure: Failure | None = None
    text: str = ""
    warnings: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    breaks: tuple[tuple[str, int], ...] = ()

    @property
    def good(self) -> bool:
        """Whether it computed what dyngraph did."""
        return self.outcome in (RAN, REWRITTEN)

    @property
    def reason(self) -> str:
        """What it said, in one line; empty where nothing is to be said."""
        if self.failure is not None:
            return self.failure.first_line
        return self.text or self._left_to_python()

    @property
    def broken(self) -> int:
        """How often what was compiled was left for Python in the middle."""
        return sum(times for _, times in self.breaks)

    def _left_to_python(self) -> str:
        """Return why not all of a program was compiled, the first line of each reason."""
        if not self.breaks:
            return ""
        count: dict[str, int] = {}
        for reason, times in self.breaks:
            line = reason.strip().partition("\n")[0]
            count[line] = count.get(line, 0) + times
        reasons = "; ".join(f"{line} ({times}x)" for line, times in count.items())
        what = f"broken into {self.builds} graphs" if self.builds else "nothing was compiled"
        return f"ran, {what}: {reasons}"


@dataclass(frozen=True)
class Row:
    """One program in every column.

    Attributes
    ----------
    example : str
    program : str
        Which of the example's programs; empty for its first.
    cells : tuple of Cell
    """

    example: str
    program: str
    cells: tuple[Cell, ...]

    @property
    def label(self) -> str:
        """The name of the row: ``ragged_lstm: by length``."""
        return f"{self.example}: {self.program}" if self.program else self.example

    def cell(self, column: str) -> Cell:
        """Return the cell of a column."""
        return next(cell for cell in self.cells if cell.column == column)


@dataclass(frozen=True, repr=False)
class Matrix:
    """What `measure_flexibility` found.

    Attributes
    ----------
    columns : tuple of str
    rows : tuple of Row
    left_out : tuple of (str, str)
        Files without a program to compare, with the reason.
    seconds : float
        That everything took.
    """

    columns: tuple[str, ...]
    rows: tuple[Row, ...]
    left_out: tuple[tuple[str, str], ...] = ()
    seconds: float = 0.0

    def row(self, label: str) -> Row:
        """Return the row called `label`."""
        return next(row for row in self.rows if row.label == label)

    def text(self, width: int = 100) -> str:
        """Return the matrix as text for a terminal of `width` columns."""
        from sidebyside.report.flexibility import matrix_text

        return matrix_text(self, width)

    def to_json(self, path: str | os.PathLike[str]) -> None:
        """Write everything that was found as JSON, with the whole messages.

        Raises
        ------
        OutputError
            If `path` cannot be written; nothing is left half-written.
        """
        from sidebyside.report.data import to_text
        from sidebyside.report.flexibility import matrix_data
        from sidebyside.report.writing import write_whole

        write_whole(path, to_text(matrix_data(self)))

    def __repr__(self) -> str:
        return self.text()


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
        If a peer is unknown or not installed.
    """
    started = time.perf_counter()
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
            fix="define PROGRAMS = (Program(function, inputs=...),)",
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
) -> tuple[list[Task], list[tuple[Path, Cell]], list[tuple[str, str]]]:
    """Return a task for each program, the files that cannot be loaded, and those without one."""
    tasks: list[Task] = []
    broken: list[tuple[Path, Cell]] = []
    left_out: list[tuple[str, str]] = []
    for event in run_tasks([Task(path) for path in paths], timeout, on_begin):
        path = event.task.path
        if isinstance(event, Lost):
            broken.append((path, _lost_cell(DYNAMIC, event)))
        elif isinstance(event, Listed) and event.failure is not None:
            broken.append((path, Cell(DYNAMIC, FAILED, failure=event.failure)))
        elif isinstance(event, Listed) and not event.programs:
            left_out.append((path.stem, "it names no program in PROGRAMS"))
        elif isinstance(event, Listed):
            tasks += [Task(path, name) for name in event.programs]
    return tasks, broken, left_out


def _broken_row(path: Path, cell: Cell, columns: Sequence[str]) -> Row:
    return Row(path.stem, "", (cell, *[Cell(column, NOT_TRIED) for column in columns[1:]]))


def _lost_cell(column: str, lost: Lost) -> Cell:
    return Cell(column, TIMED_OUT if lost.timed_out else CRASHED, text=lost.text)


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
        return isinstance(run, Run) and run.failure is None

    def row(self, task: Task, columns: Sequence[str]) -> Row:
        """Return the row of a program."""
        place = (task.path, task.program)
        reference = self._runs.get((*place, DYNAMIC))
        cells = []
        for column in columns:
            run = self._runs.get((*place, column))
            if run is None or (column != DYNAMIC and not self.ran(task)):
                cell = Cell(column, NOT_TRIED)
            elif isinstance(run, Lost):
                cell = _lost_cell(column, run)
            else:
                assert isinstance(reference, Run)
                cell = _judge(column, run, reference)
            cells.append(self._with_times(cell, place) if cell.good else cell)
        return Row(task.path.stem, task.program, tuple(cells))

    def _with_times(self, cell: Cell, place: tuple[Path, str]) -> Cell:
        """Return the cell with the time of a call, and how that compares with dyngraph's."""
        times = self._times.get(place, {})
        run = self._runs[(*place, cell.column)]
        if cell.column not in times or not isinstance(run, Run):
            return cell
        calls = max(1, len(run.results))
        samples = np.array(times[cell.column]) / calls
        ratio = None
        reference = times.get(DYNAMIC)
        if cell.column in OWN[1:] and reference is not None and len(reference) == len(samples):
            ratio = paired_ratio(times[cell.column], reference)
        return replace(cell, seconds=median_estimate(samples), ratio=ratio)


def _judge(column: str, run: Run, reference: Run) -> Cell:
    """Return the cell of a run that came to an end."""
    found = Cell(
        column,
        REFUSED if column != DYNAMIC else FAILED,
        first_seconds=run.first_seconds,
        builds=run.builds,
        lines=run.lines,
        extra_lines=run.lines - reference.lines,
        failure=run.failure,
        warnings=run.warnings,
        notes=run.notes,
        breaks=run.breaks,
    )
    if run.failure is not None:
        return found
    if column == REWRITE and not run.results:
        return Cell(column, NOT_TRIED)
    difference = first_difference(run.results, reference.results, reference.tolerance)
    if difference:
        return replace(found, outcome=WRONG, text=difference)
    return replace(found, outcome=REWRITTEN if column == REWRITE else RAN)


# results ------------------------------------------------------------------------------------------


def first_difference(
    results: Sequence[Sequence[Any]], reference: Sequence[Sequence[Any]], tolerance: float
) -> str:
    """Return in which call two runs first differ, and how; empty if they agree.

    Parameters
    ----------
    results, reference : sequences
        The results of each call.
    tolerance : float
        Largest difference that counts as rounding, relative to the largest element of a result.
    """
    for call, (found, expected) in enumerate(zip(results, reference, strict=False), 1):
        if len(found) != len(expected):
            return f"call {call} gave {len(found)} results in place of {len(expected)}"
        for position, (x, y) in enumerate(zip(found, expected, strict=True)):
            difference = _difference(x, y, tolerance)
            if difference:
                which = f"call {call}" + (f", result {position}" if len(found) > 1 else "")
                return f"{which} is {difference}"
    return ""


def _difference(x: Any, y: Any, tolerance: float) -> str:
    if not isinstance(x, np.ndarray) or not isinstance(y, np.ndarray):
        same = type(x) is type(y) and x == y
        return "" if same else f"{_shown(x)} in place of {_shown(y)}"
    if x.shape != y.shape and not x.size == y.size == 1:
        return f"of shape {x.shape} in place of {y.shape}"
    if (x.dtype.kind == "f") != (y.dtype.kind == "f"):
        return f"{x.dtype} in place of {y.dtype}"
    if y.dtype.kind != "f":
        tolerance = 0.0
    x, y = x.reshape(-1).astype(np.float64), y.reshape(-1).astype(np.float64)
    finite = np.abs(y[np.isfinite(y)])
    largest = float(finite.max()) if finite.size and finite.max() > 0 else 1.0
    with np.errstate(invalid="ignore"):
        gaps = np.where((x == y) | (np.isnan(x) & np.isnan(y)), 0.0, np.abs(x - y))
    gaps = np.where(np.isnan(gaps), np.inf, gaps)
    if not gaps.size or gaps.max() <= tolerance * largest:
        return ""
    worst = int(np.argmax(gaps))
    return f"{x[worst]:.6g} in place of {y[worst]:.6g}"


def _shown(value: Any) -> str:
    text = f"array {value.dtype}{list(value.shape)}" if isinstance(value, np.ndarray) else None
    return text or repr(value)[:60]
