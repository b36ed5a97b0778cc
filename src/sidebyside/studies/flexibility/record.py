"""What a process that runs programs says about each of them."""

from __future__ import annotations

import re
import traceback
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from oplibrary.messages.errors import SideBySideError
from oplibrary.messages.source import Source
from sidebyside.results.cell import Failure
from sidebyside.results.flexibility import ExampleCell


def failure_of(error: BaseException, path: Path, call: int) -> Failure:
    """Return what an exception says, with the innermost line of the example that led to it."""
    source: Source | None = None
    for frame, line in traceback.walk_tb(error.__traceback__):
        if frame.f_code.co_filename == str(path):
            source = Source(str(path), line, frame.f_code.co_name)
    if isinstance(error, SideBySideError):
        source = error.source or source
    if source is None:
        source = _place_in(str(error), path)
    return Failure(type(error).__name__, str(error), "" if source is None else str(source), call)


def _place_in(text: str, path: Path) -> Source | None:
    """Return the last line of the example that a message names in the form of a traceback."""
    named = re.findall(rf'File "{re.escape(str(path))}", line (\d+), in ([^\s,]+)', text)
    return Source(str(path), int(named[-1][0]), named[-1][1]) if named else None


@dataclass(frozen=True)
class Run:
    """All calls of one program in one column.

    Attributes
    ----------
    cell : ExampleCell
        What is known of them before the results are compared.
    results : tuple of list
        Of each call, as ndarrays and other plain values.
    tolerance : float
        Of the program.
    """

    cell: ExampleCell
    results: tuple[list[Any], ...] = ()
    tolerance: float = 0.0


@dataclass(frozen=True)
class Task:
    """What a process is asked to do with one file.

    Attributes
    ----------
    path : Path
    program : str
        The name of one of its programs.
    columns : tuple of str
        In which to run it; none to list the names of its programs.
    budget : float
        Seconds of samples.
    """

    path: Path
    program: str = ""
    columns: tuple[str, ...] = ()
    budget: float = 0.2


# what a process reports, one after the other ------------------------------------------------------


@dataclass(frozen=True)
class Begun:
    """Something begins that may never end."""

    task: Task
    column: str


@dataclass(frozen=True)
class Listed:
    """The names of the programs of a file, or why they are not known; ends its task."""

    task: Task
    programs: tuple[str, ...] = ()
    failure: Failure | None = None


@dataclass(frozen=True)
class Finished:
    """A column is done."""

    task: Task
    column: str
    run: Run


@dataclass(frozen=True)
class Timed:
    """Seconds of a call in each column, one sample a round; ends its task."""

    task: Task
    samples: dict[str, list[float]] = field(default_factory=dict)
