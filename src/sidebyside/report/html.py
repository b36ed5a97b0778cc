"""A report as HTML: one file that needs no other, and what a notebook shows."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import TYPE_CHECKING

from sidebyside.report import units
from sidebyside.report.classical import CLAIMS, refused_rows, training_text
from sidebyside.report.terminal import environment_text, failures, headings_and_cells, sentences
from sidebyside.results import verdict
from sidebyside.results.comparison import Comparison, Row, TimedCell

if TYPE_CHECKING:
    from sidebyside.studies.table import Table

_STYLE = """
.sbs { font: 15px/1.5 system-ui, sans-serif; color: #222; background: #fff; max-width: 70em; }
.sbs table { border-collapse: collapse; margin: .5em 0; }
.sbs th, .sbs td { border-bottom: 1px solid #ccc; padding: .3em .8em; text-align: right;
  vertical-align: top; white-space: pre-line; }
.sbs th:first-child, .sbs td:first-child, .sbs .claims td, .sbs .claims th { text-align: left; }
.sbs .claims td { white-space: normal; width: 50%; }
.sbs .claims .verdict td { background: #eef3fb; border-bottom: 2px solid #999; }
.sbs pre { background: #f6f6f6; padding: .6em; overflow-x: auto; }
.sbs .bar { fill: #7aa6d8; } .sbs .whisker { stroke: #222; } .sbs svg text { font-size: 13px; }
.sbs .about { color: #666; font-size: 13px; white-space: pre-line; }
"""


def comparison_body(comparison: Comparison) -> str:
    """Return a comparison as a fragment of HTML, with its style."""
    parts = [_row(row) for row in comparison.rows]
    return _block([*parts, _about(comparison)])


def comparison_html(comparison: Comparison) -> str:
    """Return a comparison as a whole document."""
    return _document("dynamic and static, side by side", comparison_body(comparison))


def table_body(table: Table) -> str:
    """Return the classical table as a fragment of HTML, with its style."""
    pairs = verdict.pairs_of(table.comparison)
    refused = refused_rows(table.comparison)
    verdicts = (
        verdict.building_verdict(pairs),
        verdict.efficiency_verdict(pairs, refused),
        verdict.waiting_verdict(pairs),
    )
    lines = ["<tr><th>dynamic graph (dyngraph)</th><th>static graph (staticgraph)</th></tr>"]
    for (dynamic, static), sentence in zip(CLAIMS, verdicts, strict=True):
        lines.append(f"<tr><td>{escape(dynamic)}</td><td>{escape(static)}</td></tr>")
        lines.append(f'<tr class="verdict"><td colspan="2">{escape(sentence)}</td></tr>')
    parts = [f'<table class="claims">{"".join(lines)}</table>']
    parts += [_row(row) for row in table.comparison.rows]
    parts += [f"<p>{escape(name)} was left out: {escape(text)}</p>" for name, text in table.skipped]
    if table.trainings:
        parts.append(f"<pre>{escape(training_text(table.trainings, 100))}</pre>")
    return _block([*parts, _about(table.comparison)])


def table_html(table: Table) -> str:
    """Return the classical table as a whole document."""
    return _document("dynamic against static graphs, measured", table_body(table))


# parts --------------------------------------------------------------------------------------------


def _document(title: str, body: str) -> str:
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width">'
        f"<title>{escape(title)}</title></head><body>\n{body}\n</body></html>\n"
    )


def _block(parts: Sequence[str]) -> str:
    return "\n".join([f'<div class="sbs"><style>{_STYLE}</style>', *parts, "</div>"])


def _row(row: Row) -> str:
    title = f"{row.label}: {row.title}" if row.title else row.label
    parts = [f"<h3>{escape(title)}</h3>"]
    timed = [cell for cell in row.cells if cell.steady is not None]
    if timed:
        parts.append(_bars(timed))
        parts.append(_table(headings_and_cells(timed)))
    parts += [f"<pre>{escape(text)}</pre>" for text in failures(row)]
    parts += [f"<p>{escape(sentence)}</p>" for sentence in sentences(row)]
    return "\n".join(parts)


def _table(lines: Sequence[Sequence[str]]) -> str:
    tags = ["th"] + ["td"] * (len(lines) - 1)
    rows = [
        "<tr>" + "".join(f"<{tag}>{escape(text)}</{tag}>" for text in line) + "</tr>"
        for tag, line in zip(tags, lines, strict=True)
    ]
    return f"<table>{''.join(rows)}</table>"


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
    size = f'width="{left + wide + 90}" height="{high * len(shown)}"'
    label = "time of a call with its 99% interval"
    return f'<svg {size} role="img" aria-label="{label}">{"".join(parts)}</svg>'


def _about(comparison: Comparison) -> str:
    return f'<p class="about">{escape(environment_text(comparison, 10_000))}</p>'
