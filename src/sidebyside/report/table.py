"""The classical table: each claim, what was measured for it, and the verdict."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import Any, NamedTuple

from sidebyside.measuring.statistics import BreakEven, Estimate
from sidebyside.report import html, units, verdict
from sidebyside.report.column import Column, fitting, table_lines
from sidebyside.report.comparison import (
    about_html,
    comparison_data,
    csv_columns,
    csv_lines,
    environment_text,
    row_data,
    row_html,
)
from sidebyside.report.figures.comparison import comparison_figures
from sidebyside.report.figures.drawing import figures
from sidebyside.report.renderer import enter
from sidebyside.report.text_table import Line, Span, draw_table, natural_widths, without_lost_marks
from sidebyside.report.training import training_data, training_text
from sidebyside.report.verdict import Pair
from sidebyside.results.cell import Failure
from sidebyside.results.comparison import Comparison, Row, TimedCell
from sidebyside.results.plain import plain
from sidebyside.results.table import NATIVE, Table

CLAIMS = (
    ("builds the graph while it computes", "builds first, executes afterwards"),
    ("flexible, native control flow", "efficient, but inflexible"),
    ("results at once, easy to debug", "needs a whole graph before any result"),
)
"""The three rows of the classical table: what is said of dynamic, and of static graphs."""

EXAMPLE = "mlp_digits"
"""The workload whose numbers stand in the cells of the three rows."""


# columns ------------------------------------------------------------------------------------------


def _gain(cell: TimedCell) -> str:
    sure = cell.speed in ("faster", "slower")
    return ("" if sure else "~") + units.in_unit(cell.speedup, "x±")


def _without_interval(text: str) -> str:
    return text.partition(" (")[0]


def _peaks(pair: Pair) -> float | None:
    if pair.dynamic.memory is None or pair.static.memory is None:
        return None
    return pair.static.memory.peak / max(1, pair.dynamic.memory.peak)


def _pays_after(pair: Pair) -> str:
    return _without_interval(units.in_unit(pair.static.break_even, "calls±"))


def _bound_by(pair: Pair) -> str:
    return "" if pair.row.bottleneck is None else pair.row.bottleneck.name.removesuffix("-bound")


PAIR_COLUMNS: tuple[Column[Pair], ...] = (
    Column("", "row.label", "a call of\n", width=17),
    Column("", "dynamic.steady", "dynamic\ntakes", "s", width=7, order=1),
    Column("", "static.steady", "static\ntakes", "s", width=7, order=2),
    Column("", lambda p: _gain(p.static), "speed-up\n(99% interval)", width=18, order=3),
    Column("", "static.built", "static\nbuilds", "s", width=7, order=5),
    Column("", _pays_after, "pays after\ncalls", width=12, order=4),
    Column("", _peaks, "peak\nmemory", "x", width=6, order=7),
    Column("", _bound_by, "dynamic\nbound by", show=_bound_by, width=9, order=6),
)
"""What is shown of a workload and size in both modes."""


class Native(NamedTuple):
    """A row, and its cell of the machine-code backend."""

    row: Row
    cell: TimedCell


def _interval(native: Native) -> str:
    _, bracket, interval = units.in_unit(native.cell.steady, "s±").partition("(")
    return bracket + interval


def _native_gain(native: Native) -> str:
    return _without_interval(_gain(native.cell))


def _difference(native: Native) -> str:
    difference = native.cell.difference
    return f"{difference.relative:.1e}" if difference is not None and difference.ulp else "no bit"


NATIVE_COLUMNS: tuple[Column[Native], ...] = (
    Column("", "row.label", "machine code", width=17),
    Column("", "cell.steady", "takes", "s", width=10, order=1),
    Column("", _interval, "(99% interval)", width=20, order=5),
    Column("", _native_gain, "speed-up", width=10, order=2),
    Column("", "cell.built", "builds", "s", width=10, order=3),
    Column("", _difference, "differs by", width=12, order=4),
)
"""What is shown of a workload and size as machine code."""


# text ---------------------------------------------------------------------------------------------


def table_text(table: Table, width: int = 100) -> str:
    """Return the whole report, for a terminal of `width` columns."""
    pairs = verdict.pairs_of(table.comparison)
    refused = refused_rows(table.comparison)
    parts = [claims_text(pairs, refused, width), rows_text(pairs, width)]
    native = [row for row in table.comparison.rows if row.cell(NATIVE) is not None]
    if native:
        parts.append(native_text(native, width))
    parts += [refusal_text(row, width) for row in refused]
    parts += [_disagreement(row) for row in table.comparison.rows if _disagrees(row)]
    parts += [f"{name} was left out: {text}" for name, text in table.skipped]
    if table.trainings:
        parts.append(training_text(table.trainings, width))
    parts.append(_closing(table, width))
    return "\n\n".join(parts)


def refused_rows(comparison: Comparison) -> list[Row]:
    """Return the rows whose program static refuses and dynamic runs."""
    return [row for row in comparison.rows if _refusal(row) is not None]


# the three rows -----------------------------------------------------------------------------------


def claims_text(pairs: list[Pair], refused: list[Row], width: int) -> str:
    """Return the three rows of the classical table."""
    column = (width - 7) // 2
    example = next((p for p in pairs if p[0].workload == EXAMPLE), pairs[0] if pairs else None)
    lines: list[Line] = [["DYNAMIC GRAPH (dyngraph)", "STATIC GRAPH (staticgraph)"], None]
    measured = _by_example(example)
    for texts, more in zip(measured[1], _by_refused(refused), strict=True):
        texts += more
    sentences = verdict.verdicts(pairs, refused)
    for claims, cells, sentence in zip(CLAIMS, measured, sentences, strict=True):
        shown = [_indented(texts, column) for texts in cells]
        lines += [claims, shown, None, Span(f"→ {sentence}"), None]
    lines.pop()
    return draw_table(lines, [column, width - 7 - column], left=(0, 1))


def _indented(texts: Sequence[str], column: int) -> str:
    lines = [line for text in texts for line in text.split("\n")] or [units.NOTHING]
    return "\n".join(
        textwrap.fill(line, column, initial_indent="  ", subsequent_indent="    ") for line in lines
    )


def _time(estimate: Estimate | None) -> str:
    return units.in_unit(estimate, "s±")


def _by_example(example: Pair | None) -> list[tuple[list[str], list[str]]]:
    """Return what the example says to each claim, of the dynamic and of the static mode."""
    if example is None:
        return [([], []) for _ in CLAIMS]
    label, dynamic, static = example.row.label, example.dynamic, example.static
    phases = ", ".join(f"{name} {units.seconds(took)}" for name, took in static.build.items())
    said = (
        (
            f"nothing to build; its first call takes {_time(dynamic.first_call)}",
            f"builds for {_time(static.built)}\n({phases})",
        ),
        (f"{_time(dynamic.steady)} a call", f"{_time(static.steady)} a call"),
        (
            f"first number after {_time(dynamic.start)}",
            f"first number after {_time(static.start)}{_ahead(static.break_even)}",
        ),
    )
    return [([f"{label}: {left}"], [f"{label}: {right}"]) for left, right in said]


def _ahead(even: BreakEven | None) -> str:
    if even is None:
        return ""
    if even.never or not even.known:
        return "\nnever ahead"
    return "\nahead at once" if even.at_once else f"\nahead after {units.break_even(even)} calls"


def _by_refused(refused: Sequence[Row]) -> tuple[list[str], list[str]]:
    """Return what the programs that static refuses say to the claim of flexibility."""
    runs, refusals = [], []
    for row in refused:
        cell, failure = row.cell("dynamic"), _refusal(row)
        if cell is not None and cell.steady is not None:
            runs.append(f"{row.label}: runs, {_time(cell.steady)} a call")
        if failure is not None:
            refusals.append(f"{row.label}: refused, {failure.id or failure.kind}, see below")
    return runs, refusals


# below them ---------------------------------------------------------------------------------------


def rows_text(pairs: list[Pair], width: int = 100) -> str:
    """Return one line a workload and size, with as many columns as there is room for."""
    columns = fitting(PAIR_COLUMNS, pairs, width)
    table = _plain_table(columns, table_lines(columns, pairs))
    notes = [
        "Speed-up and peak memory: static against dynamic. Pays after: the call from which on the "
        "build has paid for itself."
    ]
    if any(static.speed not in ("faster", "slower") for *_, static in pairs):
        notes.append("~ noise could explain this difference.")
    same = all(static.difference is not None and static.difference.ulp == 0 for *_, static in pairs)
    if pairs and same:
        notes.append("Both modes gave the same results to the last bit (0 ULP) in every line.")
    return "\n".join([table, *(textwrap.fill(note, width) for note in notes)])


def _plain_table(columns: Sequence[Column[Any]], lines: Sequence[Line]) -> str:
    """Return a table without a frame, its columns as wide as they are in every report."""
    natural = natural_widths(lines)
    widths = [max(column.width, n) for column, n in zip(columns, natural, strict=True)]
    return draw_table([*lines, None], widths, gap="  ")


def native_text(rows: list[Row], width: int = 100) -> str:
    """Return one line a workload and size for the machine-code backend of the static mode."""
    tried: list[Native] = []
    for row in rows:
        cell = row.cell(NATIVE)
        if cell is not None and row.cell("static") is not None and _refusal(row) is None:
            tried.append(Native(row, cell))
    timed = [native for native in tried if native.cell.failure is None]
    columns = fitting(NATIVE_COLUMNS, timed, width)
    lines: list[Line] = [*table_lines(columns, timed)]
    for position, (row, cell) in enumerate(tried, 2):
        if cell.failure is not None:
            kind = cell.failure.kind
            text = f"{row.label:<{columns[0].width}}  {cell.failure.id or kind}: {kind}"
            lines.insert(position, Span(text))
    note = (
        "The same static programs as machine code, against dynamic; differences relative to the "
        "largest element."
    )
    return f"{_plain_table(columns, lines)}\n{textwrap.fill(note, width)}"


def _refusal(row: Row) -> Failure | None:
    """Return the static mode's error where it refused a program that dynamic runs."""
    cell = row.cell("static")
    if cell is None or cell.failure is None or cell.failure.disagrees:
        return None
    return cell.failure


def refusal_text(row: Row, width: int) -> str:
    """Return the exact error of the static mode on a program that dynamic runs."""
    failure = _refusal(row)
    assert failure is not None
    lines = [
        textwrap.fill(f"What static says to {row.label} ({row.title}), which dynamic runs:", width)
    ]
    for line in without_lost_marks(failure.text or failure.kind, width - 2).splitlines():
        lines += textwrap.wrap(
            line, width, initial_indent="  ", subsequent_indent="      ", break_on_hyphens=False
        )
    return "\n".join(lines)


def _disagrees(row: Row) -> bool:
    return any(cell.failure is not None and cell.failure.disagrees for cell in row.cells)


def _disagreement(row: Row) -> str:
    texts = [cell.failure.text for cell in row.cells if cell.failure is not None]
    return "\n".join([f"{row.label}: no timing is shown", *texts])


def _closing(table: Table, width: int) -> str:
    cell = table.self_check.cells[1]
    assert cell.ratio is not None
    found = (
        "no difference, as it must be"
        if cell.speed == "no difference"
        else (f"{cell.speed}: this machine is too noisy, read the intervals with care")
    )
    ratio = units.times_with_interval(cell.ratio)
    check = f"Self-check: dynamic against itself takes {ratio}: {found}."
    return (
        f"{textwrap.fill(check, width)}\n{environment_text(table.comparison, width)}\n"
        f"Measured in {table.seconds:.0f} s."
    )


# HTML and data ------------------------------------------------------------------------------------


def table_parts(table: Table, drawn: bool = False) -> list[str]:
    """Return the parts of the classical table as HTML."""
    pairs = verdict.pairs_of(table.comparison)
    lines: list[Line] = [["dynamic graph (dyngraph)", "static graph (staticgraph)"], None]
    for claims, sentence in zip(
        CLAIMS, verdict.verdicts(pairs, refused_rows(table.comparison)), strict=True
    ):
        lines += [claims, Span(sentence)]
    rows = [row_html(row, drawn) for row in table.comparison.rows]
    parts = [html.table(lines, "claims"), *rows]
    if drawn:
        parts += figures(comparison_figures(table.comparison))
    parts += [html.element("p", f"{name} was left out: {text}") for name, text in table.skipped]
    if table.trainings:
        parts.append(html.element("pre", training_text(table.trainings, 100)))
    return [*parts, about_html(table.comparison)]


def table_data(table: Table) -> dict[str, Any]:
    """Return the table's measurements as nested dicts and lists; loss curves included."""
    return {
        "comparison": comparison_data(table.comparison),
        "seconds": table.seconds,
        "skipped": plain(table.skipped),
        "self_check": row_data(table.self_check),
        "trainings": [training_data(training) for training in table.trainings],
    }


enter(
    Table,
    "dynamic against static graphs, measured",
    text=table_text,
    data=table_data,
    parts=table_parts,
    columns=csv_columns,
    lines=lambda table: csv_lines(table.comparison),
    page=lambda table: table_parts(table, drawn=True),
)
