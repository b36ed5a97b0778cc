"""A column of a report: one record, from which text, HTML, JSON and CSV are drawn."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Any, Generic, TypeVar

from sidebyside.report import units
from sidebyside.report.data import plain

Entry = TypeVar("Entry")
"""What a line of a table is about."""


@dataclass(frozen=True)
class Column(Generic[Entry]):
    """One column of a report.

    Attributes
    ----------
    name : str
        The key in JSON; empty for a column that is only shown.
    read : callable
        Returns the value of an entry, None where there is none.
    heading : str
        Above the column in text and HTML; empty for a column that is not shown.
    unit : str
        Of the values, see `sidebyside.report.units.UNITS`.
    show : callable, optional
        Returns the text of an entry, in place of the value in its unit.
    csv : mapping of str to callable, optional
        The headings in CSV, and what stands below each for a value that is not None; by default the
        name and the value itself.
    width : int
        Characters that the column has at least.
    order : int
        The columns of the largest are the first that a narrow terminal does without.
    left : bool
        Whether its text stands at the left, as that of a first column always does.
    """

    name: str
    read: Callable[[Entry], Any]
    heading: str = ""
    unit: str = ""
    show: Callable[[Entry], str] | None = None
    csv: Mapping[str, Callable[[Any], Any]] | None = None
    width: int = 0
    order: int = 0
    left: bool = False

    @property
    def fields(self) -> Mapping[str, Callable[[Any], Any]]:
        """The headings in CSV, and how what stands below them is got from a value."""
        if self.csv is not None or not self.name:
            return self.csv or {}
        return {self.name: lambda value: value}

    def text(self, entry: Entry) -> str:
        """Return what is shown of an entry."""
        if self.show is not None:
            return self.show(entry)
        return units.in_unit(self.read(entry), self.unit)


NO_CSV: Mapping[str, Callable[[Any], Any]] = {}
"""For a column that only JSON has."""


def estimate_fields(name: str, value: str) -> dict[str, Callable[[Any], Any]]:
    """Return the fields of an estimate in CSV, `value` being the heading of its median."""
    ends = {f"{name}_{end}": attrgetter(end) for end in ("low", "high")}
    return {value: attrgetter("value"), **ends}


# what is shown ------------------------------------------------------------------------------------


def shown(columns: Iterable[Column[Entry]]) -> list[Column[Entry]]:
    """Return the columns that text and HTML have."""
    return [column for column in columns if column.heading]


def table_lines(
    columns: Iterable[Column[Entry]], entries: Iterable[Entry]
) -> list[list[str] | None]:
    """Return the lines of a table: the headings, a rule, and a line an entry."""
    kept = shown(columns)
    body = [[column.text(entry) for column in kept] for entry in entries]
    return [[column.heading for column in kept], None, *body]


def left_columns(columns: Iterable[Column[Any]]) -> list[int]:
    """Return the positions of the columns whose text stands at the left."""
    return [n for n, column in enumerate(shown(columns)) if column.left or n == 0]


def fitting(
    columns: Sequence[Column[Entry]], entries: Sequence[Entry], width: int
) -> list[Column[Entry]]:
    """Return the columns that fit into `width` characters, two apart; the first always."""
    chosen: list[Column[Entry]] = []
    used = -2
    for column in sorted(shown(columns), key=lambda column: column.order):
        texts = [column.heading, *map(column.text, entries)]
        used += 2 + max(column.width, *(len(line) for text in texts for line in text.split("\n")))
        if chosen and used > width:
            break
        chosen.append(column)
    return [column for column in columns if column in chosen]


# data ---------------------------------------------------------------------------------------------


def record(columns: Iterable[Column[Entry]], entry: Entry) -> dict[str, Any]:
    """Return an entry as JSON has it."""
    return {column.name: plain(column.read(entry)) for column in columns if column.name}


def csv_headings(parts: Iterable[Sequence[Column[Any]]]) -> list[str]:
    """Return the headings of all columns of `parts` in CSV."""
    return [heading for columns in parts for column in columns for heading in column.fields]


def csv_text(parts: Sequence[Sequence[Column[Any]]], lines: Iterable[Sequence[Any]]) -> str:
    """Return CSV text.

    Parameters
    ----------
    parts : sequence of sequence of Column
        One list of columns for each kind of entry.
    lines : iterable of sequence
        For each line an entry of each kind, in the order of `parts`; None leaves them empty.
    """
    text = io.StringIO()
    writer = csv.DictWriter(text, csv_headings(parts), restval="", lineterminator="\n")
    writer.writeheader()
    for entries in lines:
        line: dict[str, Any] = {}
        for columns, entry in zip(parts, entries, strict=True):
            for column in columns if entry is not None else ():
                value = column.read(entry)
                if value is not None:
                    line |= {heading: get(value) for heading, get in column.fields.items()}
        writer.writerow({heading: value for heading, value in line.items() if value is not None})
    return text.getvalue()
