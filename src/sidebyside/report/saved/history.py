"""The saved results of a program: a line an occasion, a column a mode, and the course of each."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Iterator, Sequence
from typing import Any

from sidebyside.report import html, units
from sidebyside.report.column import Column, fitting, record, table_lines
from sidebyside.report.renderer import enter
from sidebyside.report.text_table import draw_table, indented
from sidebyside.results.comparison import TimedCell
from sidebyside.results.plain import plain
from sidebyside.results.saved.history import Entry, History

BARS = "▁▂▃▄▅▆▇█"

ENTRY_COLUMNS: tuple[Column[Entry], ...] = (
    Column("date", heading="date (UTC)"),
    Column("commit", heading="commit", left=True, order=2),
    Column("machine", heading="machine", left=True, order=3),
    Column("file", heading="file", left=True, order=4),
)
"""What is shown of an occasion before its times."""

PROGRAM_COLUMNS: tuple[Column[Entry], ...] = (
    Column("workload", "row.workload"),
    Column("size", "row.size"),
)

STEADY = {"steady_seconds": "value", "steady_low": "low", "steady_high": "high", "samples": "count"}

CELL_COLUMNS: tuple[Column[TimedCell], ...] = (
    Column("mode"),
    Column("steady", csv=STEADY),
    Column("start", csv={"start_seconds": "value"}),
)
"""What CSV and JSON have of a mode."""


def sparkline(values: Sequence[float | None]) -> str:
    """Return a bar for each value, on a logarithmic scale; a gap where there is none.

    Examples
    --------
    >>> sparkline([1.0, 2.0, None, 4.0]), sparkline([3.0, 3.0])
    ('▁▄ █', '▄▄')
    """
    logs = [None if value is None else math.log(max(value, 1e-300)) for value in values]
    known = [each for each in logs if each is not None]
    if not known:
        return " " * len(values)
    low, span = min(known), max(known) - min(known)

    def bar(value: float | None) -> str:
        if value is None:
            return " "
        return BARS[3] if span == 0 else BARS[int((value - low) / span * (len(BARS) - 1))]

    return "".join(map(bar, logs))


def modes_of(entries: Sequence[Entry]) -> list[str]:
    """Return the modes of a program's entries."""
    return list(dict.fromkeys(cell.mode for each in entries for cell in each.row.cells))


def _columns(entries: Sequence[Entry]) -> list[Column[Entry]]:
    """Return the columns of one program: one for each mode behind what all have."""

    def steady(mode: str) -> Column[Entry]:
        return Column(mode, lambda entry: _steady(entry, mode), mode, "s±", order=1)

    return [ENTRY_COLUMNS[0], *map(steady, modes_of(entries)), *ENTRY_COLUMNS[1:]]


def _steady(entry: Entry, mode: str) -> Any:
    cell = entry.row.cell(mode)
    return None if cell is None else cell.steady


def _courses(entries: Sequence[Entry]) -> list[str]:
    """Return a line a mode that shows how its times went."""
    found = []
    for mode in modes_of(entries):
        values = [None if s is None else s.value for s in (_steady(e, mode) for e in entries)]
        known = [value for value in values if value is not None]
        if known:
            ends = f"{units.seconds(min(known))} to {units.seconds(max(known))}"
            found.append(f"{mode}  {sparkline(values)}  {ends}")
    if len({entry.machine for entry in entries}) > 1:
        found.append("Not all on one machine: times of different ones say nothing of the program.")
    return found


def _notes(history: History) -> list[str]:
    found = [f"{name} was left out: {why}." for name, why in history.unread]
    return found if history.entries else [f"{history.folder} holds no saved result.", *found]


def history_text(history: History, width: int = 100) -> str:
    """Return all programs as text of at most `width` columns where that can be done."""
    parts = []
    for label, entries in history.programs.items():
        columns = fitting(_columns(entries), entries, width)
        left = [n for n, column in enumerate(columns) if column.left or n == 0]
        table = draw_table(table_lines(columns, entries), left=left, gap="  ")
        parts.append("\n".join([label, table, *(indented(e, width) for e in _courses(entries))]))
    notes = _notes(history)
    if notes:
        parts.append("\n".join(textwrap.fill(each, width) for each in notes))
    return "\n\n".join(parts)


def history_data(history: History) -> dict[str, Any]:
    """Return all programs as nested dicts and lists."""
    return {
        "folder": history.folder,
        "entries": [
            {
                **record(PROGRAM_COLUMNS, entry),
                **record(ENTRY_COLUMNS, entry),
                "environment": plain(dict(entry.environment)),
                "cells": [record(CELL_COLUMNS, cell) for cell in entry.row.cells],
            }
            for entry in history.entries
        ],
        "unread": plain(history.unread),
    }


def history_parts(history: History) -> list[str]:
    """Return the parts of an HTML document."""
    parts = []
    for label, entries in history.programs.items():
        parts += [html.element("h3", label), html.table(table_lines(_columns(entries), entries))]
        parts += [html.element("p", each) for each in _courses(entries)]
    return [*parts, *(html.element("p", each) for each in _notes(history))]


def _csv_lines(history: History) -> Iterator[tuple[Entry, Entry, TimedCell]]:
    return ((entry, entry, cell) for entry in history.entries for cell in entry.row.cells)


enter(
    History,
    "saved results",
    text=history_text,
    data=history_data,
    parts=history_parts,
    columns=lambda: (PROGRAM_COLUMNS, ENTRY_COLUMNS, CELL_COLUMNS),
    lines=_csv_lines,
)
