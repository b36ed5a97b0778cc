"""The classical table as text: each claim, what was measured for it, and the verdict."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING

from sidebyside.measuring.statistics import Estimate
from sidebyside.report import units
from sidebyside.report.box import Line, Span, draw_table, without_lost_marks
from sidebyside.report.terminal import environment_text
from sidebyside.results import verdict
from sidebyside.results.cell import Failure
from sidebyside.results.comparison import Comparison, Row, TimedCell
from sidebyside.studies.training import TrainingComparison

if TYPE_CHECKING:
    from sidebyside.studies.table import Table

Pair = tuple[Row, TimedCell, TimedCell]

CLAIMS = (
    ("builds the graph while it computes", "builds first, executes afterwards"),
    ("flexible, native control flow", "efficient, but inflexible"),
    ("results at once, easy to debug", "needs a whole graph before any result"),
)
"""The three rows of the classical table: what is said of dynamic, and of static graphs."""

NATIVE = "static:native"

EXAMPLE = "mlp_digits"
"""The workload whose numbers stand in the cells of the three rows."""

_COLUMNS = (
    ("a call of", ""),
    ("dynamic", "takes"),
    ("static", "takes"),
    ("speed-up", "(99% interval)"),
    ("static", "builds"),
    ("pays after", "calls"),
    ("peak", "memory"),
    ("dynamic", "bound by"),
)
_WIDTHS = (17, 7, 7, 18, 7, 12, 6, 9)
_WANTED = (0, 1, 2, 3, 5, 4, 7, 6)
"""The columns, the one that a narrow terminal can do without last."""
_NATIVE_WIDTHS = (17, 10, 20, 10, 10, 12)
_NATIVE_WANTED = (0, 1, 3, 4, 5, 2)


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
    rows = (
        (_building(example), verdict.building_verdict(pairs)),
        (_efficiency(example, refused), verdict.efficiency_verdict(pairs, refused)),
        (_waiting(example), verdict.waiting_verdict(pairs)),
    )
    for claims, (measured, sentence) in zip(CLAIMS, rows, strict=True):
        lines += [claims, _indented(measured, column), None, Span(f"→ {sentence}"), None]
    lines.pop()
    return draw_table(lines, [column, width - 7 - column])


def _indented(cells: tuple[str, str], column: int) -> list[str]:
    return [
        "\n".join(
            textwrap.fill(line, column, initial_indent="  ", subsequent_indent="    ")
            for line in cell.split("\n")
        )
        for cell in cells
    ]


def _building(example: Pair | None) -> tuple[str, str]:
    if example is None:
        return units.NOTHING, units.NOTHING
    row, dynamic, static = example
    assert dynamic.first_call is not None
    assert static.built is not None
    phases = ", ".join(f"{name} {units.seconds(took)}" for name, took in static.build.items())
    return (
        f"{row.label}: nothing to build; its first call takes "
        f"{units.seconds_with_interval(dynamic.first_call)}",
        f"{row.label}: builds for {units.seconds_with_interval(static.built)}\n({phases})",
    )


def _efficiency(example: Pair | None, refused: list[Row]) -> tuple[str, str]:
    left, right = [], []
    if example is not None:
        row, dynamic, static = example
        assert dynamic.steady is not None
        assert static.steady is not None
        left.append(f"{row.label}: {units.seconds_with_interval(dynamic.steady)} a call")
        right.append(f"{row.label}: {units.seconds_with_interval(static.steady)} a call")
    for row in refused:
        cell, failure = row.cell("dynamic"), _refusal(row)
        if cell is not None and cell.steady is not None:
            left.append(f"{row.label}: runs, {units.seconds_with_interval(cell.steady)} a call")
        if failure is not None:
            right.append(f"{row.label}: refused, {failure.id or failure.kind}, see below")
    return "\n".join(left) or units.NOTHING, "\n".join(right) or units.NOTHING


def _waiting(example: Pair | None) -> tuple[str, str]:
    if example is None:
        return units.NOTHING, units.NOTHING
    row, dynamic, static = example
    assert dynamic.start is not None
    assert static.start is not None
    even = static.break_even
    paid = ""
    if even is not None and (even.never or not even.known):
        paid = "\nnever ahead"
    elif even is not None:
        paid = (
            "\nahead at once" if even.at_once else f"\nahead after {units.break_even(even)} calls"
        )
    return (
        f"{row.label}: first number after {units.seconds_with_interval(dynamic.start)}",
        f"{row.label}: first number after {units.seconds_with_interval(static.start)}{paid}",
    )


# below them ---------------------------------------------------------------------------------------


def rows_text(pairs: list[Pair], width: int = 100) -> str:
    """Return one line a workload and size, with as many columns as there is room for."""
    chosen = fitting(_WIDTHS, _WANTED, width)
    headings, units_below = zip(*_COLUMNS, strict=True)
    lines = [_line(headings, _WIDTHS, chosen), _line(units_below, _WIDTHS, chosen)]
    rule = "─" * len(lines[0])
    lines.append(rule)
    lines += [_line(_entries(*pair), _WIDTHS, chosen) for pair in pairs]
    lines.append(rule)
    notes = [
        "Speed-up and peak memory: static against dynamic. Pays after: the call from which on the "
        "build has paid for itself."
    ]
    if any(static.speed not in ("faster", "slower") for *_, static in pairs):
        notes.append("~ noise could explain this difference.")
    same = all(static.difference is not None and static.difference.ulp == 0 for *_, static in pairs)
    if pairs and same:
        notes.append("Both modes gave the same results to the last bit (0 ULP) in every line.")
    return "\n".join([*lines, *(textwrap.fill(note, width) for note in notes)])


def fitting(widths: Sequence[int], wanted: Sequence[int], width: int) -> list[int]:
    """Return the columns that fit into `width` characters, two apart, in their order.

    Examples
    --------
    >>> fitting((10, 5, 5), wanted=(0, 2, 1), width=18)
    [0, 2]
    """
    chosen: list[int] = []
    used = -2
    for column in wanted:
        if chosen and used + widths[column] + 2 > width:
            break
        chosen.append(column)
        used += widths[column] + 2
    return sorted(chosen)


def _line(entries: Sequence[str], widths: Sequence[int], chosen: Sequence[int]) -> str:
    """Return a line of a table without borders: the first column at the left."""
    cells = [
        f"{entries[column]:<{widths[column]}}"
        if column == 0
        else f"{entries[column]:>{widths[column]}}"
        for column in chosen
    ]
    return "  ".join(cells)


def _entries(row: Row, dynamic: TimedCell, static: TimedCell) -> list[str]:
    assert dynamic.steady is not None
    assert static.steady is not None
    assert static.built is not None
    assert static.speedup is not None
    even = static.break_even
    pays = units.break_even(even).partition(" (")[0]
    memory = units.NOTHING
    if dynamic.memory is not None and static.memory is not None:
        memory = units.times(static.memory.peak / max(1, dynamic.memory.peak))
    return [
        row.label,
        units.seconds(dynamic.steady.value),
        units.seconds(static.steady.value),
        _gain(static, static.speedup),
        units.seconds(static.built.value),
        pays,
        memory,
        "" if row.regime is None else row.regime.name.removesuffix("-bound"),
    ]


def native_text(rows: list[Row], width: int = 100) -> str:
    """Return one line a workload and size for the machine-code backend of the static mode."""
    headings = ("machine code", "takes", "(99% interval)", "speed-up", "builds", "differs by")
    chosen = fitting(_NATIVE_WIDTHS, _NATIVE_WANTED, width)
    lines = [_line(headings, _NATIVE_WIDTHS, chosen)]
    rule = "─" * len(lines[0])
    lines.append(rule)
    for row in rows:
        cell = row.cell(NATIVE)
        if cell is None or row.cell("static") is None or _refusal(row) is not None:
            continue
        if cell.failure is not None:
            kind = cell.failure.kind
            lines.append(f"{row.label:<17}  {cell.failure.id or kind}: {kind}")
            continue
        assert cell.steady is not None
        assert cell.built is not None
        assert cell.speedup is not None
        takes, _, interval = units.seconds_with_interval(cell.steady).partition(" (")
        difference = "no bit"
        if cell.difference is not None and cell.difference.ulp:
            difference = f"{cell.difference.relative:.1e}"
        lines.append(
            _line(
                (
                    row.label,
                    takes,
                    f"({interval}" if interval else "",
                    _gain(cell, cell.speedup).partition(" (")[0],
                    units.seconds(cell.built.value),
                    difference,
                ),
                _NATIVE_WIDTHS,
                chosen,
            )
        )
    lines.append(rule)
    lines.append(
        textwrap.fill(
            "The same static programs as machine code, against dynamic; differences relative to "
            "the largest element.",
            width,
        )
    )
    return "\n".join(lines)


def _gain(cell: TimedCell, speedup: Estimate) -> str:
    sure = cell.speed in ("faster", "slower")
    return ("" if sure else "~") + units.times_with_interval(speedup)


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


def training_text(trainings: tuple[TrainingComparison, ...], width: int) -> str:
    """Return how the training runs ended."""
    first = trainings[0]
    lines = [
        f"Trained in both modes on {first.examples:,} of {first.examples + first.test_examples:,} "
        "real digit images, tested on the others:"
    ]
    for training in trainings:
        accuracies = sorted({f"{record.accuracy:.1%}" for record in training.records})
        steps = len(training.records[0].losses)
        curve = (
            "the same losses and parameters to the last bit"
            if training.identical
            else f"losses differ by {max(d.ulp for d in training.differences):,.0f} ULP"
        )
        times = ", ".join(f"{r.mode} {units.seconds(r.seconds)}" for r in training.records)
        reached = "over" if training.reached else "BELOW"
        lines.append(
            f"  {training.workload}: {' and '.join(accuracies)} right ({reached} the target of "
            f"{training.target:.0%}), {curve}"
        )
        lines.append(f"    {steps:,} steps: {times}")
    return "\n".join(textwrap.fill(line, width, subsequent_indent="    ") for line in lines)


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
