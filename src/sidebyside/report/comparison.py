"""A comparison: its columns, a box a workload and size with a line a mode, and what follows."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Iterator, Sequence
from html import escape
from typing import Any

from sidebyside.report import html, units
from sidebyside.report.column import (
    NO_CSV,
    Column,
    record,
    table_lines,
)
from sidebyside.report.figures.comparison import comparison_figures, row_figures
from sidebyside.report.figures.drawing import can_draw, figures
from sidebyside.report.figures.graphs import graph_figures, script
from sidebyside.report.renderer import enter
from sidebyside.report.text_table import (
    Line,
    Span,
    as_list,
    draw_table,
    indented,
    natural_widths,
    without_lost_marks,
)
from sidebyside.report.verdict import (
    bottleneck_sentences,
    cell_verdict,
    check_sentences,
    crossing_sentences,
    instruction_sentences,
    steps_sentence,
)
from sidebyside.results.cell import Failure
from sidebyside.results.comparison import Comparison, Row, Step, TimedCell
from sidebyside.results.plain import plain

BUSY = 0.5
"""A load above this part of the cores is worth a warning."""


# columns ------------------------------------------------------------------------------------------


def _start(cell: TimedCell) -> str:
    start = units.in_unit(cell.start, "s")
    if cell.build and cell.built is not None:
        start += f"\nbuild {units.seconds(cell.built.value)}"
    return start


def _peak(cell: TimedCell) -> str:
    return units.in_unit(cell.memory and cell.memory.peak, "B")


def _difference(cell: TimedCell) -> str:
    if cell.difference is None:
        return units.NOTHING
    if cell.difference.ulp == 0:
        return "no bit"
    relative = f"{cell.difference.relative:.0e}"
    if cell.difference.ulp > MOST_ULP:
        return relative
    return f"{cell.difference.ulp:,.0f} ULP\n{relative}"


MOST_ULP = 1000
"""The most units in the last place that are shown: elements beside 0 are millions apart."""


def _first_line(failure: Failure) -> str:
    return (failure.text or failure.kind).splitlines()[0]


STEADY = {"steady_seconds": "value", "steady_low": "low", "steady_high": "high", "samples": "count"}
RATIO = {"ratio": "value", "ratio_low": "low", "ratio_high": "high"}
EVEN = {"break_even_calls": "calls", "break_even_low": "low", "break_even_high": "high"}
MEMORY = {"peak_bytes": "peak", "held_bytes": "held"}
WORK = {"operations": "operations", "bytes": "bytes", "flops": "flops"}
DIFFERENCE = {"largest_ulp": "ulp", "largest_relative": "relative"}

WORKLOAD_COLUMNS: tuple[Column[Row], ...] = (
    Column("workload"),
    Column("title", csv=NO_CSV),
    Column("size"),
    Column("parameter"),
)
"""What a row has before its cells."""

MODE_COLUMNS: tuple[Column[TimedCell], ...] = (
    Column("mode", heading="mode"),
    Column("failure", csv={"failure": _first_line}),
    Column("steady", heading="a call", unit="s±", csv=STEADY),
    Column("ratio", heading="speed-up", show=lambda c: units.in_unit(c.speedup, "x±"), csv=RATIO),
    Column("outcome"),
    Column("speed"),
    Column("start", heading="first result", show=_start, csv={"start_seconds": "value"}),
    Column("built", csv={"build_seconds": "value"}),
    Column("build", csv=NO_CSV),
    Column("first_call", csv={"first_call_seconds": "value"}),
    Column("break_even", heading="break-even", unit="calls±", csv=EVEN),
    Column("memory", heading="peak", show=_peak, csv=MEMORY),
    Column("planned_bytes"),
    Column("difference", heading="differs by", show=_difference, csv=DIFFERENCE),
    Column("passes", csv=NO_CSV),
    Column("steps", csv=NO_CSV),
    Column("calls", csv=NO_CSV),
    Column("warm_start", csv={"warm_start_seconds": "value"}),
    Column("notes", csv=NO_CSV),
    Column("instructions"),
    Column("work", csv=WORK),
    Column("bottleneck", csv={"bottleneck": "name"}),
    Column("withheld", csv=NO_CSV),
    Column("replicates", csv=NO_CSV),
    Column("samples", csv=NO_CSV),
)
"""What a cell has: a line of text, an object in JSON, a line of CSV."""

EXPLANATION_COLUMNS: tuple[Column[Row], ...] = (
    Column("reference", csv=NO_CSV),
    Column("bottleneck", csv=NO_CSV),
    Column("several", csv=NO_CSV),
    Column("control", csv=NO_CSV),
    Column("visible", csv=NO_CSV),
    Column("replicates", csv=NO_CSV),
    Column("confidence", csv=NO_CSV),
    Column("notes", csv=NO_CSV),
    Column("checks", csv=NO_CSV),
)
"""What a row has after its cells."""


def _done(step: Step) -> str:
    if step.effect is None:
        return units.NOTHING
    before, after = step.effect.before, step.effect.after
    return f"{before:,} → {after:,}" if after != before else f"{before:,}"


def _changed(step: Step) -> str:
    change = step.change
    if change is None:
        return units.NOTHING
    if change.known and change.low <= 0 <= change.high:
        return "no difference"
    return units.signed_with_interval(change)


STEP_COLUMNS: tuple[Column[Step], ...] = (
    Column("name", heading="step"),
    Column("instructions", "effect", "instructions", show=_done),
    Column("seconds", heading="a call", unit="s"),
    Column("change", heading="the step", show=_changed),
)
"""What is shown of each step from operations one by one to the compiled program."""


# text ---------------------------------------------------------------------------------------------


def comparison_text(comparison: Comparison, width: int = 100) -> str:
    """Return a comparison as text of at most `width` columns where that can be done."""
    blocks = [row_text(row, width) for row in comparison.rows]
    crossings = [textwrap.fill(each, width) for each in crossing_sentences(comparison)]
    return "\n\n".join([*blocks, *crossings, environment_text(comparison, width)])


def row_text(row: Row, width: int = 100) -> str:
    """Return one workload of one size."""
    text = [textwrap.fill(_title(row), width)]
    text += [indented(sentence, width) for sentence in before_figures(row)]
    text += filter(None, [_cells_text(row, width)])
    text += [indented(sentence, width) for sentence in _sentences(row)]
    text += [steps_text(cell, width) for cell in row.cells if cell.steps]
    return "\n".join(text)


def before_figures(row: Row) -> list[str]:
    """Return what is to be known before any figure: notes, and what can be seen on this machine."""
    found = [f"Note: {note}." for note in row.notes]
    found += [f"Note on {cell.mode}: {note}." for cell in row.cells for note in cell.notes]
    if row.control is not None and row.visible is not None:
        control = units.times_with_interval(row.control)
        text = f"Control: {row.reference} against itself takes {control} in {row.replicates} runs"
        if row.trusted:
            text += f"; {units.unseen(row.visible)} cannot be seen here"
        else:
            text += ", where it must not differ: this machine is too unsteady for any verdict"
        found.append(f"{text}.")
    return found


def _title(row: Row) -> str:
    return f"{row.label}: {row.title}" if row.title else row.label


def _mode_lines(row: Row) -> list[list[str] | None]:
    """Return the lines of a table of the modes that were timed; none where none was."""
    timed = [cell for cell in row.cells if cell.steady is not None]
    return table_lines(MODE_COLUMNS, timed) if timed else []


def _intervals_below(line: list[str] | None) -> list[str] | None:
    """Return a line with the interval of each value below it."""
    return line and [text.replace(" (", "\n(") for text in line]


def _cells_text(row: Row, width: int) -> str:
    """Return a line a mode: as a table, or as a list where a table would be too wide."""
    failed, timed = failures(row), _mode_lines(row)
    lines: list[Line] = [_intervals_below(line) for line in timed]
    for text in failed:
        lines += [None, Span(text)] if lines else [Span(text)]
    if not timed:
        return draw_table(lines, [width - 4]) if lines else ""
    widths = natural_widths(lines)
    if sum(widths) + 3 * len(widths) + 1 <= width:
        return draw_table(lines, widths)
    flat = [line and [text.replace("\n", ", ") for text in line] for line in timed]
    parts = [part for text in failed for part in without_lost_marks(text, width - 2).splitlines()]
    return "\n".join(as_list(flat, width, "; ") + [indented(part, width) for part in parts])


def failures(row: Row) -> list[str]:
    """Return what went wrong, the same message once for all modes that gave it."""
    modes: dict[str, list[str]] = {}
    for cell in row.cells:
        if cell.failure is not None:
            modes.setdefault(cell.failure.text or cell.failure.kind, []).append(cell.mode)
    return [f"{', '.join(names)}: {text}" for text, names in modes.items()]


def _sentences(row: Row) -> list[str]:
    """Return what the numbers of a row say."""
    found = [cell_verdict(row, cell) for cell in row.cells] + bottleneck_sentences(row)
    found += [*check_sentences(row), *instruction_sentences(row)]
    return [sentence for sentence in found if sentence]


def steps_text(cell: TimedCell, width: int = 100) -> str:
    """Return where the time of a mode is saved."""
    lines = table_lines(STEP_COLUMNS, cell.steps)
    widths = natural_widths(lines)
    wide = sum(widths) + 3 * len(widths) + 1 > width
    table = "\n".join(as_list(lines, width, ", ")) if wide else draw_table(lines, widths)
    return f"{indented(steps_sentence(cell), width)}\n{table}"


def environment_text(comparison: Comparison, width: int = 100) -> str:
    """Return the machine and the method."""
    about = comparison.environment
    versions = [f"{name} {version}" for name, version in about.get("versions", {}).items()]
    python = f"Python {about.get('python', '?')}"
    lines = [
        f"{', '.join([python, *versions])}; "
        f"{about.get('system', 'machine unknown')}, {about.get('cores', '?')} cores, "
        f"{about.get('threads', '?')} threads.",
        _method(comparison),
    ]
    load = about.get("load")
    if load is not None and load > BUSY * about.get("cores", math.inf):
        lines.append(
            f"The machine was busy before this began (load {load:.1f}): on an idle one the "
            "intervals are narrower."
        )
    return "\n".join(textwrap.fill(line, width) for line in lines)


def _method(comparison: Comparison) -> str:
    """Return how it was measured."""
    turns = "the modes take turns in random order; the collector runs between samples, not during"
    alone = comparison.environment.get("one_process")
    text = f"Medians with 99% intervals; {turns} them."
    if any(row.replicates for row in comparison.rows):
        text = f"Every mode in processes of its own, with 99% intervals over them; {turns} them."
    elif alone:
        text += (
            f" All modes in one process, since {alone}: no interval counts what differs between "
        )
        text += "processes."
    if comparison.environment.get("interrupted"):
        text += " Interrupted: this is what was measured until then."
    return text


# HTML ---------------------------------------------------------------------------------------------


def comparison_parts(comparison: Comparison, drawn: bool = False) -> list[str]:
    """Return the parts of a comparison as HTML, with figures if it is to be `drawn`."""
    crossings = [html.element("p", each) for each in crossing_sentences(comparison)]
    together = figures(comparison_figures(comparison)) if drawn else []
    rows, graphs = [], 0
    for row in comparison.rows:
        rows.append(row_html(row, drawn, graphs))
        graphs += len(row.graphs)
    return [*rows, *crossings, *together, about_html(comparison), *script(rows)]


def comparison_page(comparison: Comparison) -> list[str]:
    """Return the parts of a page: what was found in short, then the evidence, with figures."""
    said = [
        html.element("li", f"{row.label}: {sentence}")
        for row in comparison.rows
        for cell in row.cells
        if (sentence := cell_verdict(row, cell))
    ]
    short = [f'<ul class="short">{"".join(said)}</ul>'] if said else []
    return [*short, *comparison_parts(comparison, drawn=True)]


def row_html(row: Row, drawn: bool = False, graphs: int = 0) -> str:
    """Return one workload of one size as HTML, with figures if it is to be `drawn`.

    The page has so many `graphs` before it.
    """
    parts = [html.element("h3", _title(row))]
    parts += [html.element("p", sentence) for sentence in before_figures(row)]
    lines = _mode_lines(row)
    if lines:
        parts += [_bars(row.cells), html.table([_intervals_below(line) for line in lines])]
    parts += [html.element("pre", text) for text in failures(row)]
    parts += [html.element("p", sentence) for sentence in _sentences(row)]
    for cell in row.cells:
        if cell.steps:
            parts.append(html.element("p", steps_sentence(cell)))
            parts.append(html.table(table_lines(STEP_COLUMNS, cell.steps)))
    if drawn and can_draw():
        parts += figures(row_figures(row))
    if drawn:
        parts += graph_figures(row.graphs, graphs)
    return "\n".join(parts)


def _bars(cells: Sequence[TimedCell]) -> str:
    """Return the times of a call as bars with their intervals, on one scale."""
    left, wide, high = 150, 420, 24
    shown = [(cell.mode, cell.steady) for cell in cells if cell.steady is not None]
    # an interval far beyond its median must not flatten all bars
    most = max(min(steady.high, 3 * steady.value) for _, steady in shown)
    parts = []
    for position, (mode, steady) in enumerate(shown):
        top = position * high
        low, value, end = (
            left + wide * min(1.0, x / most) for x in (steady.low, steady.value, steady.high)
        )
        middle = top + high / 2
        parts.append(
            f'<text x="{left - 8}" y="{middle + 5:g}" text-anchor="end">{escape(mode)}</text>'
            f'<rect class="bar" x="{left}" y="{top + 4}" width="{value - left:.1f}" '
            f'height="{high - 8}"/>'
            f'<path class="whisker" d="M{low:.1f} {middle:g}H{end:.1f}"/>'
            f'<text x="{max(value, end) + 8:.1f}" y="{middle + 5:g}">'
            f"{escape(units.seconds(steady.value))}</text>"
        )
    width, height = left + wide + 90, high * len(shown)
    size = f'width="{width}" height="{height}" viewBox="0 0 {width} {height}"'
    label = "time of a call with its 99% interval"
    return f'<svg class="bars" {size} role="img" aria-label="{label}">{"".join(parts)}</svg>'


def about_html(comparison: Comparison) -> str:
    """Return the machine and the method as HTML."""
    return html.element("p", environment_text(comparison, 10_000), "about")


# data ---------------------------------------------------------------------------------------------


def row_data(row: Row) -> dict[str, Any]:
    """Return one workload of one size as nested dicts and lists."""
    return {
        **record(WORKLOAD_COLUMNS, row),
        "cells": [record(MODE_COLUMNS, cell) for cell in row.cells],
        **record(EXPLANATION_COLUMNS, row),
        "graphs": plain(row.graphs),
    }


def comparison_data(comparison: Comparison) -> dict[str, Any]:
    """Return a comparison as nested dicts and lists, its fields and what follows from them.

    docs/result_files.md lists them. Numbers that are not finite are text: ``"Infinity"`` calls mean
    never.
    """
    return {
        "confidence": comparison.confidence,
        "environment": plain(dict(comparison.environment)),
        "rows": [row_data(row) for row in comparison.rows],
        "crossings": plain(comparison.crossings),
    }


def csv_columns() -> tuple[Sequence[Column[Any]], ...]:
    """Return the columns of a comparison in CSV."""
    return WORKLOAD_COLUMNS, MODE_COLUMNS, EXPLANATION_COLUMNS


def csv_lines(comparison: Comparison) -> Iterator[tuple[Row, TimedCell, Row]]:
    """Return the entries of each line in CSV: one line a cell."""
    return ((row, cell, row) for row in comparison.rows for cell in row.cells)


enter(
    Comparison,
    "dynamic and static, side by side",
    text=comparison_text,
    data=comparison_data,
    parts=comparison_parts,
    columns=csv_columns,
    lines=csv_lines,
    page=comparison_page,
)
