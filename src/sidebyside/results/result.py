"""What all results of studies have in common: they are shown, and written to files."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from sidebyside.results.frame import data_frame
from sidebyside.results.writing import write_whole


class Text(str):
    """Text that a Python prompt shows as it is."""

    __slots__ = ()

    def __repr__(self) -> str:
        return str(self)


@dataclass(frozen=True)
class Renderer:
    """How results of one type are shown.

    Attributes
    ----------
    text : callable
        ``text(result, width)`` for a terminal of `width` columns.
    data : callable
        Everything as nested dicts and lists.
    json, csv, markdown : callable
        Text of a file.
    rows : callable
        The headings of CSV, and the lines below them as values.
    html : callable
        A whole document.
    fragment : callable
        What a notebook shows: the body of the document, with its style.
    """

    text: Callable[[Any, int], str]
    data: Callable[[Any], dict[str, Any]]
    json: Callable[[Any], str]
    csv: Callable[[Any], str]
    markdown: Callable[[Any], str]
    rows: Callable[[Any], tuple[list[str], list[list[Any]]]]
    html: Callable[[Any], str]
    fragment: Callable[[Any], str]


class _Renderers(dict[type, Renderer]):
    """The renderers by the types of results; the first that is asked for has all imported."""

    def __missing__(self, kind: type) -> Renderer:
        before = len(self)
        import_module("sidebyside.report")
        if len(self) == before:
            raise KeyError(kind)
        return self[kind]


RENDERERS: dict[type, Renderer] = _Renderers()
"""How each type of result is shown; entered by `sidebyside.report`."""


class Result:
    """What a study found; printing it shows it as text.

    Subclasses are data alone: how they are shown is entered in `RENDERERS`.
    """

    __slots__ = ()

    def text(self, width: int = 100) -> Text:
        """Return the result as text for a terminal of `width` columns."""
        return Text(RENDERERS[type(self)].text(self, width))

    def to_data(self) -> dict[str, Any]:
        """Return everything as nested dicts and lists, as `to_json` writes it."""
        return RENDERERS[type(self)].data(self)

    def to_json(self, path: str | os.PathLike[str]) -> None:
        """Write everything as JSON; times are in seconds.

        Raises
        ------
        OutputError
            If `path` cannot be written; nothing is left half-written.
        """
        write_whole(path, RENDERERS[type(self)].json(self))

    def to_csv(self, path: str | os.PathLike[str]) -> None:
        """Write what was measured as CSV, one line a cell of the result; times are in seconds.

        Raises
        ------
        OutputError
            If `path` cannot be written; nothing is left half-written.
        """
        write_whole(path, RENDERERS[type(self)].csv(self))

    def to_html(self, path: str | os.PathLike[str]) -> None:
        """Write the result as one HTML file that needs no other.

        Raises
        ------
        OutputError
            If `path` cannot be written; nothing is left half-written.
        """
        write_whole(path, RENDERERS[type(self)].html(self))

    def to_markdown(self, path: str | os.PathLike[str]) -> None:
        """Write the result as Markdown, for a page, an issue, or the summary of a workflow.

        Raises
        ------
        OutputError
            If `path` cannot be written; nothing is left half-written.
        """
        write_whole(path, RENDERERS[type(self)].markdown(self))

    def to_frame(self, library: str = "") -> Any:
        """Return what `to_csv` writes as a data frame; times are in seconds.

        Parameters
        ----------
        library : {"", "pandas", "polars"}
            By default the first of them that is installed.

        Returns
        -------
        pandas.DataFrame or polars.DataFrame

        Raises
        ------
        MissingPackageError
            If it is not installed.
        ArgumentError
            If it is another one.
        """
        return data_frame(*RENDERERS[type(self)].rows(self), library)

    def _repr_html_(self) -> str:
        return RENDERERS[type(self)].fragment(self)

    def __str__(self) -> str:
        return str(self.text())

    __repr__ = __str__
