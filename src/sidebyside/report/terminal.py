"""A comparison as text: a box a workload and size, a line a mode, and the verdict below."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

from sidebyside.measuring.statistics import differs
from sidebyside.report import units
from sidebyside.report.box import Line, Span, draw_table, natural_widths, without_lost_marks
from sidebyside.results.comparison import Comparison, PassGain, Row, TimedCell
from sidebyside.results.verdict import cell_verdict, regime_sentence

BUSY = 0.5
"""A load above this part of the cores is worth a warning."""

HEADINGS = (
    "mode",
    "a call",
    "speed-up",
    "first result",
    "break-even",
    "peak",
    "differs by",
)


def comparison_text(comparison: Comparison, width: int = 100) -> str:
    """Return a comparison as text of at most `width` columns where that can be done."""
    blocks = [row_text(row, width) for row in comparison.rows]
    return "\n\n".join([*blocks, environment_text(comparison, width)])


def row_text(row: Row, width: int = 100) -> str:
    """Return one workload of one size."""
    title = f"{row.label}: {row.title}" if row.title else row.label
    text = [textwrap.fill(title, width), _cells_text(row, width)]
    text += [_wrapped(sentence, width) for sentence in sentences(row)]
    for cell in row.cells:
        if any(gain.gain is not None for gain in cell.passes):
            text.append(passes_text(cell))
    return "\n".join(text)


def _cells_text(row: Row, width: int) -> str:
    """Return a line a mode: as a table, or as a list where a table would be too wide."""
    failed = failures(row)
    lines: list[Line] = []
    timed = [cell for cell in row.cells if cell.steady is not None]
    if timed:
        lines += [HEADINGS, None]
        lines += [_cells(cell) for cell in timed]
    for text in failed:
        if lines:
            lines.append(None)
        lines.append(Span(text))
    widths = natural_widths(lines, len(HEADINGS))
    around = 3 * (len(HEADINGS) - 1) + 4
    if not timed:
        widths = [0] * (len(HEADINGS) - 1) + [width - around]
    if sum(widths) + around > width:
        return _as_list(timed, failed, width)
    return draw_table(lines, widths, right=range(1, len(HEADINGS)))


def failures(row: Row) -> list[str]:
    """Return what went wrong, the same message once for all modes that gave it."""
    modes: dict[str, list[str]] = {}
    for cell in row.cells:
        if cell.failure is not None:
            modes.setdefault(cell.failure.text or cell.failure.kind, []).append(cell.mode)
    return [f"{', '.join(names)}: {text}" for text, names in modes.items()]


def _as_list(timed: list[TimedCell], failed: list[str], width: int) -> str:
    """Return what the table holds, mode by mode."""
    parts = []
    for cell in timed:
        values = [text.replace("\n(", " (").replace("\n", ", ") for text in _cells(cell)[1:]]
        shown = [
            f"{heading} {value}"
            for heading, value in zip(HEADINGS[1:], values, strict=True)
            if value != units.NOTHING
        ]
        parts.append(f"{cell.mode}: {'; '.join(shown)}")
    for text in failed:
        parts += without_lost_marks(text, width - 2).splitlines()
    return "\n".join(_wrapped(part, width) for part in parts)


def headings_and_cells(timed: Sequence[TimedCell]) -> list[Sequence[str]]:
    """Return the lines of a table of modes, the headings first."""
    return [HEADINGS, *map(_cells, timed)]


def sentences(row: Row) -> list[str]:
    """Return what the numbers of a row say."""
    found = [cell_verdict(row, cell) for cell in row.cells] + [regime_sentence(row)]
    return [sentence for sentence in found if sentence]


def _wrapped(sentence: str, width: int) -> str:
    return textwrap.fill(
        sentence, width, initial_indent="  ", subsequent_indent="    ", break_on_hyphens=False
    )


def _cells(cell: TimedCell) -> list[str]:
    """Return the cells of a mode's line; each value has its interval below it."""
    assert cell.steady is not None
    assert cell.start is not None
    time, spread = units.seconds_with_interval(cell.steady).split(" (")
    shown = [cell.mode, f"{time}\n({spread}"]
    speedup = units.NOTHING
    if cell.speedup is not None:
        speedup = units.times_with_interval(cell.speedup).replace(" ", "\n")
    shown.append(speedup)
    start = units.seconds(cell.start.value)
    if cell.build and cell.built is not None:
        start += f"\nbuild {units.seconds(cell.built.value)}"
    shown.append(start)
    shown.append(units.break_even(cell.break_even).replace(" (", "\n("))
    shown.append(units.NOTHING if cell.memory is None else units.size_in_bytes(cell.memory.peak))
    shown.append(_difference(cell))
    return shown


def _difference(cell: TimedCell) -> str:
    if cell.difference is None:
        return units.NOTHING
    if cell.difference.ulp == 0:
        return "no bit"
    return f"{cell.difference.ulp:,.0f} ULP\n{cell.difference.relative:.0e}"


def passes_text(cell: TimedCell) -> str:
    """Return what each compiler pass of a mode did and bought."""
    lines: list[Line] = [["pass", "instructions", "its time", "a call without it"], None]
    lines += [_pass_cells(gain) for gain in cell.passes]
    table = draw_table(lines, natural_widths(lines, 4), right=(1, 2, 3))
    return f"  what the passes of {cell.mode} buy\n{table}"


def _pass_cells(gain: PassGain) -> list[str]:
    record = gain.record
    change = f"{record.before:,}"
    if record.after != record.before:
        change += f" → {record.after:,}"
    bought = units.NOTHING
    if gain.gain is not None:
        bought = units.times_with_interval(gain.gain) if differs(gain.gain) else "no difference"
    return [record.name, change, units.seconds(record.seconds), bought]


def environment_text(comparison: Comparison, width: int = 100) -> str:
    """Return the machine and the method."""
    about = comparison.environment
    versions = ", ".join(f"{name} {version}" for name, version in about["versions"].items())
    lines = [
        f"Python {about['python']}, {versions}; {about['system']}, {about['cores']} cores, "
        f"{about['threads']} threads.",
        "Medians with 99% intervals; the modes take turns in random order; the collector runs "
        "between samples, not during them.",
    ]
    load = about.get("load")
    if load is not None and load > BUSY * about["cores"]:
        lines.append(
            f"The machine was busy before this began (load {load:.1f}): on an idle one the "
            "intervals are narrower."
        )
    return "\n".join(textwrap.fill(line, width) for line in lines)
