"""How each type of result is shown is entered here, where results look for it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar

from sidebyside.report import html
from sidebyside.report.column import Column, csv_headings, csv_rows, csv_text
from sidebyside.report.markdown import markdown_text
from sidebyside.results.plain import to_text
from sidebyside.results.result import RENDERERS, Renderer, Result
from sidebyside.results.saved.file import header

Shown = TypeVar("Shown", bound=Result)


def enter(
    kind: type[Shown],
    title: str,
    *,
    text: Callable[[Shown, int], str],
    data: Callable[[Shown], dict[str, Any]],
    parts: Callable[[Shown], Sequence[str]],
    columns: Callable[[], Sequence[Sequence[Column[Any]]]],
    lines: Callable[[Shown], Iterable[Sequence[Any]]],
    page: Callable[[Shown], Sequence[str]] | None = None,
) -> None:
    """Enter how results of one type are shown.

    Parameters
    ----------
    kind : type
    title : str
        Of an HTML document.
    text : callable
        ``text(result, width)`` returns text for a terminal of `width` columns.
    data : callable
        Returns nested dicts and lists, for JSON.
    parts : callable
        Returns the parts of an HTML document, as a notebook shows them.
    columns, lines : callable
        Return what `csv_text` takes: the columns in CSV, and the entries of each line.
    page : callable, optional
        Returns the parts of a document of its own, which has figures besides.
    """

    def fragment(result: Shown) -> str:
        return html.block(parts(result))

    def whole(result: Shown) -> dict[str, Any]:
        return {**header(kind), **data(result)}

    RENDERERS[kind] = Renderer(
        text,
        whole,
        json=lambda result: to_text(whole(result)),
        csv=lambda result: csv_text(columns(), lines(result)),
        markdown=lambda result: markdown_text(parts(result)),
        rows=lambda result: (csv_headings(columns()), csv_rows(columns(), lines(result))),
        html=lambda result: html.document(title, html.block((page or parts)(result))),
        fragment=fragment,
    )
