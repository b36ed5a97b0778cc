"""The classical table as text: each claim, what was measured for it, and the verdict."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

from sidebyside import verdict
from sidebyside.comparison import Cell, Failure, Row
from sidebyside.report import units
from sidebyside.report.box import Line, Span, draw_table
from sidebyside.report.terminal import environment_text
from sidebyside.statistics import Estimate
from sidebyside.training import TrainingComparison

if TYPE_CHECKING:
    from sidebyside.table import Table

Pair = tuple[Row, Cell, Cell]

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


def table_text(table: Table, width: int = 100) -> str:
    """Return the whole report, for a terminal of `width` columns."""
    pairs = verdict.pairs_of(table.comparison)
    refused = [row for row in table.comparison.rows if _refusal(row) is not None]
    parts = [claims_text(pairs, refused, width), rows_text(pairs)]
    native = [row for row in table.comparison.rows if row.cell(NATIVE) is not None]
    if native:
        parts.append(native_text(native))
    parts += [refusal_text(row, width) for row in refused]
    parts += [_disagreement(row) for row in table.comparison.rows if _disagrees(row)]
    parts += [f"{name} was left out: {text}" for name, text in table.skipped]
    if table.trainings:
        parts.append(training_text(table.trainings, width))
    parts.append(_closing(table, width))
    return "\n\n".join(parts)


# the three rows -----------------------------------------------------------------------------------


def claims_text(pairs: list[Pair], refused: list[Row], width: int) -> str:
    """Return the three rows of the classical table."""
    column = (width - 7) // 2
    example = next((p for p in pairs if p[0].workload == EXAMPLE), pairs[0] if pairs else None)
    lines: list[Line] = [["DYNAMIC GRAPH (dyngraph)", "STATIC GRAPH (staticgraph)"], None]
    rows = (
        (
            ["builds the graph while it computes", "builds first, executes afterwards"],
            _building(example),
            verdict.building_verdict(pairs),
        ),
        (
            ["flexible, native control flow", "efficient, but inflexible"],
            _efficiency(example, refused),
            verdict.efficiency_verdict(pairs, refused),
        ),
        (
            ["results at once, easy to debug", "needs a whole graph before any result"],
            _waiting(example),
            verdict.waiting_verdict(pairs),
        ),
    )
    for claims, measured, sentence in rows:
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
            right.append(f"{row.label}: refused, {failure.id}, see below")
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


def rows_text(pairs: list[Pair]) -> str:
    """Return one line a workload and size."""
    lines = [_line([heading for heading, _ in _COLUMNS]), _line([unit for _, unit in _COLUMNS])]
    rule = "─" * len(lines[0])
    lines.append(rule)
    lines += [_line(_entries(*pair)) for pair in pairs]
    lines.append(rule)
    if any(static.outcome not in ("faster", "slower") for *_, static in pairs):
        lines.append("~ noise could explain this difference.")
    same = all(static.difference is not None and static.difference.ulp == 0 for *_, static in pairs)
    if pairs and same:
        lines.append("Both modes gave the same results to the last bit (0 ULP) in every line.")
    return "\n".join(lines)


def _line(entries: list[str]) -> str:
    first, *rest = entries
    cells = [f"{first:<{_WIDTHS[0]}}"]
    cells += [f"{entry:>{width}}" for entry, width in zip(rest, _WIDTHS[1:], strict=True)]
    return "  ".join(cells)


def _entries(row: Row, dynamic: Cell, static: Cell) -> list[str]:
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


def native_text(rows: list[Row]) -> str:
    """Return one line a workload and size for the machine-code backend of the static mode."""
    headings = ("machine code", "takes", "(99% interval)", "speed-up", "builds", "differs by")
    lines = [_native_line(headings)]
    rule = "─" * len(lines[0])
    lines.append(rule)
    for row in rows:
        cell = row.cell(NATIVE)
        if cell is None or row.cell("static") is None or _refusal(row) is not None:
            continue
        if cell.failure is not None:
            lines.append(f"{row.label:<17}  {cell.failure.id}: {cell.failure.kind}")
            continue
        assert cell.steady is not None
        assert cell.built is not None
        assert cell.speedup is not None
        takes, _, interval = units.seconds_with_interval(cell.steady).partition(" (")
        difference = "no bit"
        if cell.difference is not None and cell.difference.ulp:
            difference = f"{cell.difference.relative:.1e}"
        lines.append(
            _native_line(
                (
                    row.label,
                    takes,
                    f"({interval}" if interval else "",
                    _gain(cell, cell.speedup).partition(" (")[0],
                    units.seconds(cell.built.value),
                    difference,
                )
            )
        )
    lines.append(rule)
    lines.append(
        "The same static programs by the native backend, against dynamic; relative differences."
    )
    return "\n".join(lines)


def _native_line(entries: tuple[str, ...]) -> str:
    first, *rest = entries
    widths = (10, 20, 10, 10, 12)
    cells = [f"{first:<17}"]
    cells += [f"{entry:>{width}}" for entry, width in zip(rest, widths, strict=True)]
    return "  ".join(cells)


def _gain(cell: Cell, speedup: Estimate) -> str:
    sure = cell.outcome in ("faster", "slower")
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
    lines = [f"What static says to {row.label} ({row.title}), which dynamic runs:"]
    for line in (failure.text or failure.kind).splitlines():
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
    return "\n".join(lines)


def _closing(table: Table, width: int) -> str:
    cell = table.self_check.cells[1]
    assert cell.ratio is not None
    found = (
        "no difference, as it must be"
        if cell.outcome == "no difference"
        else (f"{cell.outcome}: this machine is too noisy, read the intervals with care")
    )
    return (
        f"Self-check: dynamic against itself takes {units.times_with_interval(cell.ratio)}: "
        f"{found}."
        f"\n{environment_text(table.comparison, width)}\nMeasured in {table.seconds:.0f} s."
    )
