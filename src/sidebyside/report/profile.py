"""Where the time of a call goes: a table of operations for each mode."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from sidebyside.report import html, units
from sidebyside.report.column import NO_CSV, Column, left_columns, record, table_lines
from sidebyside.report.figures.drawing import figures
from sidebyside.report.figures.profile import profile_figures
from sidebyside.report.renderer import enter
from sidebyside.report.text_table import (
    as_list,
    draw_table,
    indented,
    natural_widths,
    without_lost_marks,
)
from sidebyside.results.profile import ModeProfile, OpProfile, Profile

BARS = "▁▂▃▄▅▆▇█"

LONGEST = 25
"""Operations that a table shows."""


class Entry(NamedTuple):
    """What the operations of one name took in a mode."""

    mode: ModeProfile
    row: OpProfile


def _unless_refused(name: str) -> Callable[[ModeProfile], float | None]:
    return lambda mode: None if mode.refusal else getattr(mode, name)


def _rate(name: str) -> Callable[[Entry], float | None]:
    """Return what reads how many a second; None where nothing is counted."""

    def read(entry: Entry) -> float | None:
        count, seconds = getattr(entry.row, name), entry.row.seconds
        return count / seconds if count and seconds else None

    return read


PROFILE_COLUMNS: tuple[Column[Profile], ...] = (Column("workload"), Column("size"), Column("runs"))
"""What a profile has before its modes."""

MODE_COLUMNS: tuple[Column[ModeProfile], ...] = (
    Column("mode"),
    Column("refusal", lambda mode: mode.refusal or None),
    Column("call_seconds", _unless_refused("call_seconds")),
    Column("seconds", _unless_refused("seconds"), csv=NO_CSV),
    Column("memory", csv=NO_CSV),
)
"""What a mode has before its operations."""

OP_COLUMNS: tuple[Column[Entry], ...] = (
    Column("op", "row.op", "op"),
    Column("calls", "row.calls", "calls", "1"),
    Column("seconds", "row.seconds", "total", "s"),
    Column("share", lambda entry: entry.mode.share(entry.row), "share", "%"),
    Column("mean", "row.mean", "mean", "s"),
    Column("flops", "row.flops", "FLOPs", "1"),
    Column("", _rate("flops"), "GFLOP/s", "G"),
    Column("bytes", "row.bytes"),
    Column("", _rate("bytes"), "GB/s", "G"),
    Column("line", lambda entry: entry.row.line or None, "line", left=True),
)
"""What operations have; where nothing is known of any, text and HTML leave the column out."""


def profile_text(profile: Profile, width: int) -> str:
    """Return a table for each mode, as lists where a table would be wider than `width`."""
    return "\n\n".join(_mode_text(profile, mode, width) for mode in profile.modes)


def _mode_text(profile: Profile, mode: ModeProfile, width: int) -> str:
    if mode.refusal:
        said = without_lost_marks(mode.refusal, width - 2).splitlines()
        return "\n".join([_title(profile, mode), *(indented(line, width) for line in said)])
    parts = [textwrap.fill(_title(profile, mode), width), _table(mode, width)]
    return "\n".join([*parts, *filter(None, [memory_line(mode, width)])])


def memory_line(mode: ModeProfile, width: int) -> str:
    """Return the allocated bytes over the time of a call as a line of bars; empty without any."""
    most = max((size for _, size in mode.memory), default=0)
    if most == 0:
        return ""
    before, after = "memory over the call ", f" at most {units.size_in_bytes(most)}"
    bars = max(8, min(48, width - len(before) - len(after)))
    end, heights, current = mode.memory[-1][0], [], 0
    left = list(mode.memory)
    for place in range(1, bars + 1):
        tallest = current
        while left and (left[0][0] <= end * place / bars or place == bars):
            current = left.pop(0)[1]
            tallest = max(tallest, current)
        heights.append(BARS[min(len(BARS) - 1, int(tallest / most * len(BARS)))])
    return f"{before}{''.join(heights)}{after}"


def _title(profile: Profile, mode: ModeProfile) -> str:
    label = " ".join(filter(None, (profile.workload, profile.size)))
    if mode.refusal:
        return f"{label}, {mode.mode}: refused"
    return (
        f"{label}, {mode.mode}: a call takes {units.seconds(mode.call_seconds)}, "
        f"its parts one by one {units.seconds(mode.seconds)} (medians of {profile.runs} runs)"
    )


def _columns(mode: ModeProfile) -> list[Column[Entry]]:
    """Return the columns of which something is known."""
    return [
        column
        for column in OP_COLUMNS
        if not mode.rows or any(column.read(Entry(mode, row)) is not None for row in mode.rows)
    ]


def _lines(mode: ModeProfile) -> list[list[str] | None]:
    return table_lines(_columns(mode), [Entry(mode, row) for row in mode.rows[:LONGEST]])


def _rest(mode: ModeProfile) -> list[str]:
    """Return what is left out of a table, if anything is."""
    rest = mode.rows[LONGEST:]
    share = sum(map(mode.share, rest))
    return [f"and {len(rest)} more, {share:.1%} of the time"] if rest else []


def _table(mode: ModeProfile, width: int) -> str:
    lines = _lines(mode)
    widths = natural_widths(lines)
    if sum(widths) + 2 * (len(widths) - 1) > width:
        return "\n".join([*as_list(lines, width, ", "), *(f"  {text}" for text in _rest(mode))])
    table = draw_table(lines, widths, left_columns(_columns(mode)), gap="  ")
    return "\n".join([table, *_rest(mode)])


def _parts(profile: Profile, drawn: bool = False) -> list[str]:
    """Return the parts of a profile as HTML, with figures if it is to be `drawn`."""
    parts = []
    for mode in profile.modes:
        parts.append(html.element("h3", _title(profile, mode)))
        parts.append(
            html.element("pre", mode.refusal) if mode.refusal else html.table(_lines(mode))
        )
        parts += [html.element("p", text) for text in _rest(mode)]
    if drawn:
        parts += figures(profile_figures(profile))
    return parts


def profile_data(profile: Profile) -> dict[str, Any]:
    """Return a profile as nested dicts and lists; times are in seconds."""
    return {
        **record(PROFILE_COLUMNS, profile),
        "modes": [
            {
                **record(MODE_COLUMNS, mode),
                "rows": [record(OP_COLUMNS, Entry(mode, row)) for row in mode.rows],
            }
            for mode in profile.modes
        ],
    }


def _csv_lines(profile: Profile) -> Iterator[tuple[Profile, ModeProfile, Entry | None]]:
    for mode in profile.modes:
        yield from ((profile, mode, Entry(mode, row)) for row in mode.rows)
        if mode.refusal:
            yield profile, mode, None


enter(
    Profile,
    "where the time of a call goes",
    text=profile_text,
    data=profile_data,
    parts=_parts,
    columns=lambda: (PROFILE_COLUMNS, MODE_COLUMNS, OP_COLUMNS),
    lines=_csv_lines,
    page=lambda profile: _parts(profile, drawn=True),
)
