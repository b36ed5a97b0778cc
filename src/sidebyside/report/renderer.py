"""How one type of result is shown: one record a type, entered where results look for it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from sidebyside.report import html
from sidebyside.report.column import Column, csv_text
from sidebyside.report.data import to_text

Shown = TypeVar("Shown")
"""The type of the result."""


@dataclass(frozen=True)
class ResultRenderer(Generic[Shown]):
    """How results of one type are shown.

    Attributes
    ----------
    title : str
        Of an HTML document.
    as_text : callable
        ``as_text(result, width)`` returns text for a terminal of `width` columns.
    as_data : callable
        Returns nested dicts and lists, for JSON.
    parts : callable
        Returns the parts of an HTML document.
    csv_columns : callable
        Returns the columns in CSV, one list for each kind of entry in a line.
    csv_lines : callable
        Returns the entries of each line.
    """

    title: str
    as_text: Callable[[Shown, int], str]
    as_data: Callable[[Shown], dict[str, Any]]
    parts: Callable[[Shown], Sequence[str]]
    csv_columns: Callable[[], Sequence[Sequence[Column[Any]]]]
    csv_lines: Callable[[Shown], Iterable[Sequence[Any]]]

    def text(self, result: Shown, width: int) -> str:
        """Return `result` as text for a terminal of `width` columns."""
        return self.as_text(result, width)

    def data(self, result: Shown) -> dict[str, Any]:
        """Return everything in `result` as nested dicts and lists."""
        return self.as_data(result)

    def json(self, result: Shown) -> str:
        """Return `data` as JSON text."""
        return to_text(self.as_data(result))

    def csv(self, result: Shown) -> str:
        """Return the lines of `result` as CSV text, headings first."""
        return csv_text(self.csv_columns(), self.csv_lines(result))

    def html(self, result: Shown) -> str:
        """Return `result` as a whole HTML document."""
        return html.document(self.title, self.fragment(result))

    def fragment(self, result: Shown) -> str:
        """Return `result` as a fragment of HTML, with its style."""
        return html.block(self.parts(result))
