"""A column of a report: one record, from which text, HTML, JSON and CSV are drawn."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Any, Generic, TypeVar

from sidebyside.report import units
from sidebyside.results.plain import plain

Entry = TypeVar("Entry")
"""What a line of a table is about."""


Reader = str | Callable[[Any], Any]
"""How a value is got from another: the path of an attribute, such as ``cell.steady``, or a call."""


def _get(reader: Reader, source: Any) -> Any:
    return attrgetter(reader)(source) if isinstance(reader, str) else reader(source)


@dataclass(frozen=True)
class Column(Generic[Entry]):
    """One column of a report.

    Attributes
    ----------
    name : str
        The key in JSON; empty for a column that is only shown.
    source : str or callable
        Where the value of an entry is found, which may be None; by default the attribute `name`.
    heading : str
        Above the column in text and HTML; empty for a column that is not shown.
    unit : str
        Of the values, see `sidebyside.report.units.UNITS`.
    show : callable, optional
        Returns the text of an entry, in place of the value in its unit.
    csv : mapping of str to str or callable, optional
        The headings in CSV, and where in a value is found what stands below each; by default the
        name and the value itself.
    width : int
        Characters that the column has at least.
    order : int
        The columns of the largest are the first that a narrow terminal does without.
    left : bool
        Whether its text stands at the left, as that of a first column always does.
    """

    name: str
    source: Reader = ""
    heading: str = ""
    unit: str = ""
    show: Callable[[Entry], str] | None = None
    csv: Mapping[str, Reader] | None = None
    width: int = 0
    order: int = 0
    left: bool = False

    def read(self, entry: Entry) -> Any:
        """Return the value of an entry."""
        return _get(self.source or self.name, entry)

    def text(self, entry: Entry) -> str:
        """Return what is shown of an entry."""
        return self.show(entry) if self.show else units.in_unit(self.read(entry), self.unit)

    @property
    def headings(self) -> Mapping[str, Reader]:
        """The headings in CSV, and where in a value is found what stands below each."""
        whole: dict[str, Reader] = {self.name: lambda value: value} if self.name else {}
        return whole if self.csv is None else self.csv

    def cells(self, entry: Entry | None) -> list[Any]:
        """Return what stands below `headings`; None, which CSV leaves empty, where nothing is."""
        value = None if entry is None else self.read(entry)
        return [value if value is None else _get(part, value) for part in self.headings.values()]


NO_CSV: Mapping[str, Reader] = {}
"""For a column that only JSON has."""

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
    return [heading for columns in parts for column in columns for heading in column.headings]


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
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(csv_headings(parts))
    writer.writerows(csv_rows(parts, lines))
    return text.getvalue()


def csv_rows(
    parts: Sequence[Sequence[Column[Any]]], lines: Iterable[Sequence[Any]]
) -> list[list[Any]]:
    """Return what stands below the headings in CSV, as values; see `csv_text`."""
    return [
        [
            cell
            for columns, entry in zip(parts, entries, strict=True)
            for column in columns
            for cell in column.cells(entry)
        ]
        for entries in lines
    ]
