"""The flexibility matrix: a line a program, a column a mode, and what each of them said."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Iterator, Sequence
from operator import methodcaller
from typing import Any

from sidebyside.report import html, units
from sidebyside.report.column import NO_CSV, Column, record, table_lines
from sidebyside.report.comparison import RATIO
from sidebyside.report.renderer import enter
from sidebyside.report.text_table import draw_table, indented, natural_widths
from sidebyside.results.flexibility import ExampleCell, ExampleRow, Matrix
from sidebyside.results.plain import plain
from sidebyside.studies.flexibility.columns import DYNAMIC, OWN, REWRITE, STATIC

SCHEMA = 1

LEGEND = (
    ("120 µs (3)", "ran: dyngraph's results, the time of a call with its gradients; built 3 times"),
    ("+2 0.50x", "rewritten: 2 lines of code more, half of dyngraph's time"),
    ("SBS-301, refused", "ended with an error, which stands below"),
    ("WRONG, warned", "ran, with results that are not dyngraph's: silently, or with a warning"),
    ("–", "there is no rewrite, or nothing to compare with"),
)
"""What may stand in a cell, and what it means."""

BREAKS = (
    ("120 µs /4", "ran in pieces: 4 times what was compiled was left for Python in the middle"),
    ("120 µs eager", "ran, but nothing of it was compiled: Python ran all of it"),
)
"""What else may stand there where a compiler leaves parts of a program to Python."""

_NARROWEST = 12
"""Characters that the names of programs have at least."""


# columns ------------------------------------------------------------------------------------------


def _failure(cell: ExampleCell) -> dict[str, Any] | None:
    failure = cell.failure
    return None if failure is None else {**plain(failure), "id": failure.id}


SECONDS = {"seconds": "value", "seconds_low": "low", "seconds_high": "high"}

EXAMPLE_COLUMNS: tuple[Column[ExampleRow], ...] = (Column("example"), Column("program"))
"""What a row has before its cells."""

CELL_COLUMNS: tuple[Column[ExampleCell], ...] = (
    Column("column", "mode"),
    Column("outcome"),
    Column("seconds", "steady", csv=SECONDS),
    Column("ratio", csv=RATIO),
    Column("first_seconds"),
    Column("builds"),
    Column("lines"),
    Column("extra_lines"),
    Column("failure", _failure, csv={"failure": lambda failure: failure["id"] or failure["kind"]}),
    Column("text", csv=NO_CSV),
    Column("warnings", csv=NO_CSV),
    Column("notes", csv=NO_CSV),
    Column("breaks", csv={"broken": lambda breaks: sum(times for _, times in breaks)}),
    Column("reason"),
)
"""What a cell has as data."""


def matrix_columns(modes: Sequence[str]) -> list[Column[ExampleRow]]:
    """Return what is shown of a program: its name, and a cell a mode."""
    return [
        Column("program", "label", "\nprogram"),
        *[
            Column(mode, methodcaller("cell", mode), _heading(mode), show=_shown_in(mode))
            for mode in modes
        ],
    ]


def _shown_in(mode: str) -> Callable[[ExampleRow], str]:
    return lambda row: cell_text(row.cell(mode))


def _heading(mode: str) -> str:
    """Return the heading of a mode's column, in two lines."""
    names = {STATIC: "static,\ntraced", REWRITE: "static,\nrewritten"}
    upper, dot, lower = mode.partition(".")
    return names.get(mode) or (f"{upper}.\n{lower}" if dot else f"\n{upper}")


# text ---------------------------------------------------------------------------------------------


def matrix_text(matrix: Matrix, width: int = 100) -> str:
    """Return the matrix, its legend, what was said, and what follows from it."""
    table = f"{_table(matrix, width)}\n{_legend(matrix, width)}"
    return "\n\n".join([table, *_below(matrix, width)])


def _below(matrix: Matrix, width: int) -> list[str]:
    """Return what was said, and what follows from the matrix."""
    parts = []
    messages = _messages(matrix, width)
    if messages:
        said = "What they said, the first line of each (--json has the whole messages):"
        parts.append(f"{said}\n{messages}")
    rewrites = _rewrites(matrix, width)
    if rewrites:
        parts.append(f"What the rewrites cost and won:\n{rewrites}")
    parts += [f"{name} was left out: {reason}." for name, reason in matrix.left_out]
    parts.append(textwrap.fill(conclusion(matrix), width, break_on_hyphens=False))
    return [*parts, f"Measured in {matrix.seconds:.0f} s."]


def _lines(matrix: Matrix) -> list[list[str] | None]:
    """Return the lines of the table; the programs of one example stand below its first."""
    lines = table_lines(matrix_columns(matrix.columns), matrix.rows)
    previous = ""
    for row, line in zip(matrix.rows, lines[2:], strict=True):
        if row.program and row.example == previous:
            assert line is not None
            line[0] = f"  {row.program}"
        previous = row.example
    return lines


def _table(matrix: Matrix, width: int) -> str:
    lines = _lines(matrix)
    first, *others = natural_widths(lines)
    rest = sum(others)
    gap = "  " if rest + first + 2 * len(others) <= width else " "
    first = max(_NARROWEST, min(first, width - rest - len(gap) * len(others)))
    cut = [line and [_cut(line[0], first), *line[1:]] for line in lines]
    return draw_table([*cut, None], [first, *others], gap=gap)


def _cut(text: str, width: int) -> str:
    return text if "\n" in text or len(text) <= width else f"{text[: width - 1]}…"


def cell_text(cell: ExampleCell) -> str:
    """Return a cell in a few characters."""
    if cell.outcome == "not tried":
        return units.NOTHING
    if cell.outcome == "wrong":
        return "warned" if cell.warnings else "WRONG"
    if cell.outcome == "refused" and cell.failure is not None:
        return cell.failure.id or "refused"
    if not cell.good:
        return cell.outcome
    if cell.outcome == "rewritten":
        time = "ran" if cell.ratio is None else f"{_ratio(cell.ratio.value)}x"
        return f"{cell.extra_lines:+d} {time}"
    time = "ran" if cell.steady is None else units.seconds(cell.steady.value)
    if cell.broken:
        return f"{time} /{cell.broken}" if cell.builds else f"{time} eager"
    return f"{time} ({cell.builds})" if (cell.builds or 0) > 1 else time


def _legend(matrix: Matrix, width: int) -> str:
    broken = any(cell.broken for row in matrix.rows for cell in row.cells)
    return "\n".join(
        textwrap.fill(meaning, width, initial_indent=f"  {mark:<18}", subsequent_indent=" " * 20)
        for mark, meaning in (*LEGEND, *(BREAKS if broken else ()))
    )


# below it -----------------------------------------------------------------------------------------


def _messages(matrix: Matrix, width: int) -> str:
    lines = []
    for row in matrix.rows:
        said = [cell for cell in row.cells if cell.reason]
        if said:
            lines.append(row.label)
        for cell in said:
            lines += _entry(cell, width)
    return "\n".join(lines)


def _entry(cell: ExampleCell, width: int) -> list[str]:
    text = cell.reason
    if cell.outcome == "wrong":
        text += "".join(f"; it warned: {warning}" for warning in cell.warnings)
        text += "".join(f"; explain() says: {note}" for note in cell.notes)
    head = f"  {cell.mode:<14}"
    lines = textwrap.wrap(
        text, width, initial_indent=head, subsequent_indent=" " * len(head), break_on_hyphens=False
    )
    if cell.failure is not None and cell.failure.place and cell.mode in (DYNAMIC, STATIC):
        place = f"{' ' * len(head)}at {cell.failure.place}"
        lines.append(place if len(place) <= width else f"{place[: width - 1]}…")
    return lines


def _rewrites(matrix: Matrix, width: int) -> str:
    lines = []
    for row in matrix.rows:
        for cell in row.cells:
            if cell.outcome == "rewritten":
                lines.append(indented(_rewrite(row, cell), width))
    return "\n".join(lines)


def _rewrite(row: ExampleRow, cell: ExampleCell) -> str:
    lines = f"{cell.lines} lines in place of {cell.lines - cell.extra_lines}"
    text = f"{row.label}: {lines}"
    if cell.first_seconds is not None:
        text += f"; its first call takes {units.seconds(cell.first_seconds)}"
    if cell.ratio is not None and cell.steady is not None:
        text += (
            f", a later one {units.seconds(cell.steady.value)}, "
            f"{units.times_with_interval(cell.ratio)} of dyngraph's time"
        )
    return f"{text}."


# the conclusion -----------------------------------------------------------------------------------


def conclusion(matrix: Matrix) -> str:
    """Return what the cells come to, in one sentence."""
    total = len(matrix.rows)
    ran = sum(row.cell(DYNAMIC).good for row in matrix.rows)
    parts = [f"dyngraph runs {_of(ran, total)}", f"traced, staticgraph {_did(matrix, STATIC)}"]
    rewritten = [row.cell(REWRITE) for row in matrix.rows if row.cell(REWRITE).lines]
    if rewritten:
        parts.append(_rewritten(rewritten))
    parts += [f"{column} {_did(matrix, column)}" for column in matrix.columns[len(OWN) :]]
    return f"Here {'; '.join(parts)}."


def _of(count: int, total: int) -> str:
    if count == total:
        return "the program" if total == 1 else f"all {total} programs"
    return f"{count} of {total} programs"


def _did(matrix: Matrix, column: str) -> str:
    """Return how often each thing happened in a column."""
    cells = [row.cell(column) for row in matrix.rows]
    count = {name: sum(cell.outcome == name for cell in cells) for name in _VERBS}
    silent = sum(cell.outcome == "wrong" and not cell.warnings for cell in cells)
    found = []
    for name, verb in _VERBS.items():
        if not count[name]:
            continue
        text = f"{verb} {count[name]}"
        if name == "ran":
            text += _in_pieces(cells)
        if name == "refused" and column == STATIC:
            named = sum(cell.failure is not None and bool(cell.failure.place) for cell in cells)
            text += f" ({'each' if named == count[name] else f'{named} of them'} with its line)"
        if name == "wrong":
            text += " without a word" if silent == count[name] else f", {silent} without a word"
        found.append(text)
    return " and ".join(filter(None, [", ".join(found[:-1]), *found[-1:]])) or "was not tried"


def _in_pieces(cells: Sequence[ExampleCell]) -> str:
    """Return how many of the programs that ran were not compiled whole."""
    broken = [cell for cell in cells if cell.good and cell.broken]
    pieces = sum(bool(cell.builds) for cell in broken)
    eager = len(broken) - pieces
    parts = [f"{pieces} in pieces"] * bool(pieces) + [f"{eager} uncompiled"] * bool(eager)
    return f" ({', '.join(parts)})" if parts else ""


_VERBS = {
    "ran": "runs",
    "refused": "refuses",
    "wrong": "computes something else in",
    "crashed": "crashes in",
    "timed out": "does not end in",
}


def _rewritten(cells: Sequence[ExampleCell]) -> str:
    good = [cell for cell in cells if cell.good]
    if not good:
        return f"none of its {len(cells)} rewrites runs"
    if len(good) == len(cells):
        text = "its rewrite runs" if len(cells) == 1 else f"its {len(cells)} rewrites run"
    else:
        text = f"{len(good)} of its {len(cells)} rewrites run"
    extra = [cell.extra_lines for cell in good]
    text += f", with {_range(f'{min(extra):+d}', f'{max(extra):+d}')} lines"
    ratios = [cell.ratio.value for cell in good if cell.ratio is not None]
    if ratios:
        text += f" and {_range(_ratio(min(ratios)), _ratio(max(ratios)))} times dyngraph's time"
    return text


def _ratio(value: float) -> str:
    return f"{max(value, 0.01):.2f}"


def _range(low: str, high: str) -> str:
    return low if low == high else f"{low} to {high}"


# HTML and data ------------------------------------------------------------------------------------


def matrix_parts(matrix: Matrix) -> list[str]:
    """Return the parts of the matrix as HTML."""
    texts = (_legend(matrix, 100), *_below(matrix, 100))
    table = html.table(table_lines(matrix_columns(matrix.columns), matrix.rows))
    return [table, *(html.element("pre", text) for text in texts)]


def matrix_data(matrix: Matrix) -> dict[str, Any]:
    """Return the matrix as nested dicts and lists; times are in seconds."""
    return {
        "schema": SCHEMA,
        "columns": list(matrix.columns),
        "rows": [
            {
                **record(EXAMPLE_COLUMNS, row),
                "cells": [record(CELL_COLUMNS, cell) for cell in row.cells],
            }
            for row in matrix.rows
        ],
        "left_out": plain(matrix.left_out),
        "conclusion": conclusion(matrix),
        "seconds": matrix.seconds,
    }


def _csv_lines(matrix: Matrix) -> Iterator[tuple[ExampleRow, ExampleCell]]:
    return ((row, cell) for row in matrix.rows for cell in row.cells)


enter(
    Matrix,
    "what each mode makes of control flow",
    text=matrix_text,
    data=matrix_data,
    parts=matrix_parts,
    columns=lambda: (EXAMPLE_COLUMNS, CELL_COLUMNS),
    lines=_csv_lines,
)
