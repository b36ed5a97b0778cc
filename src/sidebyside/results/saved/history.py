"""The saved results of one program, in the order in which they were measured."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from oplibrary.messages.errors import ArgumentError, ResultFileError
from oplibrary.messages.suggestion import did_you_mean
from sidebyside.results.comparison import Row
from sidebyside.results.result import Result
from sidebyside.results.saved.contents import comparison_of
from sidebyside.results.saved.file import load

FOLDER = Path(".sidebyside")
"""Where results are kept that are given no name."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One program of one size in one saved result.

    Attributes
    ----------
    file : str
    environment : mapping
    row : Row
    """

    file: str
    environment: Mapping[str, Any]
    row: Row

    @property
    def date(self) -> str:
        """When it was measured, in UTC, to the minute."""
        return str(self.environment.get("date", ""))[:16].replace("T", " ")

    @property
    def commit(self) -> str:
        """The first letters of the commit; a star where tracked files were changed."""
        whole, _, dirty = (self.environment.get("commit") or "").partition("-")
        return whole[:9] + ("*" if dirty else "")

    @property
    def machine(self) -> str:
        """The processor and the number of its cores."""
        about = self.environment
        return f"{about.get('processor', '?')}, {about.get('cores', '?')} cores"


@dataclass(frozen=True, repr=False)
class History(Result):
    """The result of `history`.

    Attributes
    ----------
    folder : str
    entries : tuple of Entry
        By program, then by date.
    unread : tuple of (str, str)
        Files of the folder that hold no result, with what is wrong with them.
    """

    folder: str
    entries: tuple[Entry, ...]
    unread: tuple[tuple[str, str], ...] = ()

    @property
    def programs(self) -> dict[str, list[Entry]]:
        """The entries of each program and size."""
        found: dict[str, list[Entry]] = {}
        for entry in self.entries:
            label = f"{entry.row.workload} {entry.row.place}".strip()
            found.setdefault(label, []).append(entry)
        return found


def _order(entry: Entry) -> tuple[Any, ...]:
    row = entry.row
    return row.workload, row.parameter != "size", row.parameter, row.amount, row.size, entry.date


def history(folder: str | os.PathLike[str] = FOLDER, program: str = "") -> History:
    """Return the saved results in a folder, one program after the other, by date.

    Parameters
    ----------
    folder : path
    program : str
        The name of a workload, to leave out all others.

    Returns
    -------
    History

    Raises
    ------
    ResultFileError
        If there is no such folder.
    ArgumentError
        If it holds results, and none of that program.

    Examples
    --------
    >>> import tempfile, sidebyside as sbs
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     sbs.Comparison((), {}).save(f"{folder}/a.json")
    ...     sbs.history(folder).entries
    ()
    """
    place = Path(folder)
    if not place.is_dir():
        raise ResultFileError(
            f"there is no folder {place}",
            cause=f"the folder at hand is {Path.cwd()}",
            fix="keep results first, by --save on the command line, or name another folder",
        )
    entries, unread, programs = [], [], set()
    for path in sorted(place.glob("*.json")):
        try:
            found = comparison_of(load(path))
        except ResultFileError as error:
            unread.append((path.name, f"{error.what}: {error.cause}"))
            continue
        programs |= {row.workload for row in found.rows}
        entries += [
            Entry(path.name, found.environment, row)
            for row in found.rows
            if program in ("", row.workload)
        ]
    if program and programs and program not in programs:
        raise ArgumentError(
            f"{place} holds no result of {program!r}{did_you_mean(program, programs)}",
            cause=f"its programs are {', '.join(sorted(programs))}",
            fix="name one of them, without its size, or leave the name out for all",
        )
    entries.sort(key=_order)
    return History(str(place), tuple(entries), tuple(unread))
