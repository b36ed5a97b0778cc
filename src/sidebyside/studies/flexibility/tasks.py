"""Run the tasks of the matrix in processes of their own; a lost one is replaced by another."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from sidebyside.measuring.processes import LostProcessError, WorkerProcess
from sidebyside.studies.flexibility.columns import DYNAMIC
from sidebyside.studies.flexibility.record import Begun, Finished, Listed, Task, Timed
from sidebyside.studies.flexibility.worker import do_tasks

STARTING = 300.0
"""Seconds that a process may take to begin, whatever a program is given: its library is loaded."""


@dataclass(frozen=True)
class Lost:
    """A process that ended, or was ended, before its work was done.

    Attributes
    ----------
    task : Task
    column : str
        What it was doing.
    timed_out : bool
    text : str
        How it ended, and the last it said.
    """

    task: Task
    column: str
    timed_out: bool
    text: str


def run_tasks(
    tasks: Sequence[Task], timeout: float, on_begin: Callable[[Begun], None] | None = None
) -> Iterator[Listed | Finished | Timed | Lost]:
    """Yield what happens, until every task is done; a lost process is replaced by another.

    Parameters
    ----------
    tasks : sequence of Task
    timeout : float
        Seconds that one column of a task may take.
    on_begin : callable, optional
        Told of everything that begins.
    """
    # what a library builds for the machine is there for the next process when one is lost
    with tempfile.TemporaryDirectory(prefix="sidebyside-", ignore_cleanup_errors=True) as cache:
        yield from _run(list(tasks), timeout, on_begin, cache)


def _run(
    pending: list[Task], timeout: float, on_begin: Callable[[Begun], None] | None, cache: str
) -> Iterator[Listed | Finished | Timed | Lost]:
    while pending:
        now = Begun(pending[0], "")
        with WorkerProcess(do_tasks, _settings(cache)) as process:
            process.send(pending)
            wait = max(timeout, STARTING)
            while pending:
                try:
                    report = process.receive(wait)
                except LostProcessError as lost:
                    yield Lost(now.task, now.column, lost.timed_out, str(lost))
                    pending = _without(pending, now)
                    break
                wait = timeout
                if isinstance(report, Begun):
                    now = report
                    if on_begin is not None:
                        on_begin(report)
                    continue
                yield report
                if isinstance(report, (Listed, Timed)):
                    pending = pending[1:]


def _without(pending: list[Task], lost: Begun) -> list[Task]:
    """Return the tasks without what was lost; the dynamic column goes along as the reference."""
    task, rest = pending[0], pending[1:]
    columns = task.columns
    if lost.column not in columns or lost.column == DYNAMIC:
        return rest
    left = columns[columns.index(lost.column) + 1 :]
    if not left:
        return rest
    reference = (DYNAMIC,) if DYNAMIC in columns else ()
    return [replace(task, columns=reference + left), *rest]


def _settings(folder: str) -> dict[str, str]:
    """Return the environment in which libraries compile anew, quietly and in one process."""
    return {
        "TORCHINDUCTOR_CACHE_DIR": folder,
        "TORCHINDUCTOR_COMPILE_THREADS": "1",
        "TF_CPP_MIN_LOG_LEVEL": "3",
        "PYTHONDONTWRITEBYTECODE": "1",
    }
