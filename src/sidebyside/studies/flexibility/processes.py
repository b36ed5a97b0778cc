"""Run tasks in processes of their own, so that a crash or a hang is a result like any other."""

from __future__ import annotations

import os
import pickle
import queue
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from types import TracebackType
from typing import IO, Any, Self

from sidebyside.studies.flexibility.columns import DYNAMIC
from sidebyside.studies.flexibility.record import Begun, Finished, Listed, Report, Task, Timed

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
        with _Process(pending, cache) as process:
            wait = max(timeout, STARTING)
            while pending:
                report = process.next_report(wait)
                if isinstance(report, str):
                    yield Lost(now.task, now.column, process.timed_out, report)
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


class _Process:
    """A worker process; leaving its block ends it, and all that it started."""

    def __init__(self, tasks: Sequence[Task], cache: str) -> None:
        self._tasks = tasks
        self._cache = cache
        self.timed_out = False

    def __enter__(self) -> Self:
        # the same modules as here, however they were found
        code = (
            f"import sys; sys.path[:] = {sys.path!r}; "
            "from sidebyside.studies.flexibility.worker import main; main()"
        )
        self._said: IO[bytes] = tempfile.TemporaryFile()
        self._process = subprocess.Popen(
            [sys.executable, "-c", code],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._said,
            env={**os.environ, **_settings(self._cache)},
            start_new_session=True,
        )
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):
            self._process.stdin.write(pickle.dumps(list(self._tasks)))
            self._process.stdin.close()
        self._reports: queue.SimpleQueue[Report | None] = queue.SimpleQueue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        return self

    def _read(self) -> None:
        assert self._process.stdout is not None
        with suppress(EOFError, pickle.UnpicklingError, OSError, ValueError):
            while True:
                self._reports.put(pickle.load(self._process.stdout))
        self._reports.put(None)

    def next_report(self, timeout: float) -> Any:
        """Return the next report, or in words why there will be none."""
        try:
            report = self._reports.get(timeout=timeout)
        except queue.Empty:
            self.timed_out = True
            return f"did not end within {timeout:g} s"
        return self._ending() if report is None else report

    def _ending(self) -> str:
        code = self._process.wait()
        if code < 0:
            with suppress(ValueError):
                text = f"ended by {signal.Signals(-code).name}"
        else:
            text = f"ended with exit code {code}"
        said = self._last_words()
        return f"{text}: {said}" if said else text

    def _last_words(self) -> str:
        """Return the line of the error stream that says why the process ended."""
        self._said.seek(0)
        lines = self._said.read().decode(errors="replace").splitlines()
        lines = [line for line in lines if line.strip()]
        for line in lines:
            if line.startswith("Fatal Python error"):
                return line
        return lines[-1].strip() if lines else ""

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._process.returncode is None and hasattr(os, "killpg"):
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
        elif self._process.returncode is None:
            self._process.kill()
        self._process.wait()
        self._reader.join()
        assert self._process.stdout is not None
        self._process.stdout.close()
        self._said.close()


def _settings(folder: str) -> dict[str, str]:
    """Return the environment in which libraries compile anew, quietly and in one process."""
    return {
        "TORCHINDUCTOR_CACHE_DIR": folder,
        "TORCHINDUCTOR_COMPILE_THREADS": "1",
        "TF_CPP_MIN_LOG_LEVEL": "3",
        "PYTHONDONTWRITEBYTECODE": "1",
    }
