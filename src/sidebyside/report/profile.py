"""Where the time of a call goes: a table of operations for each mode."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from operator import attrgetter
from typing import Any

from sidebyside.report import html, units
from sidebyside.report.column import NO_CSV, Column, left_columns, record, table_lines
from sidebyside.report.renderer import ResultRenderer
from sidebyside.report.text_table import (
    as_list,
    draw_table,
    indented,
    natural_widths,
    without_lost_marks,
)
from sidebyside.results.profile import ModeProfile, OpProfile, Profile
from sidebyside.results.result import RENDERERS

LONGEST = 25
"""Operations that a table shows."""

Entry = tuple[ModeProfile, OpProfile]
"""What the operations of one name took in a mode."""


def _rate(count: int | None, seconds: float) -> float | None:
    """Return how many a second; None where nothing is counted."""
    return count / seconds if count and seconds else None


PROFILE_COLUMNS: tuple[Column[Profile], ...] = (
    Column("workload", attrgetter("workload")),
    Column("size", attrgetter("size")),
    Column("runs", attrgetter("runs")),
)
"""What a profile has before its modes."""

MODE_COLUMNS: tuple[Column[ModeProfile], ...] = (
    Column("mode", attrgetter("mode")),
    Column("refusal", lambda mode: mode.refusal or None),
    Column("call_seconds", lambda mode: None if mode.refusal else mode.call_seconds),
    Column("seconds", lambda mode: None if mode.refusal else mode.seconds, csv=NO_CSV),
)
"""What a mode has before its operations."""

OP_COLUMNS: tuple[Column[Entry], ...] = (
    Column("op", lambda entry: entry[1].op, "op"),
    Column("calls", lambda entry: entry[1].calls, "calls", "1"),
    Column("seconds", lambda entry: entry[1].seconds, "total", "s"),
    Column("share", lambda entry: entry[0].share(entry[1]), "share", "%"),
    Column("mean", lambda entry: entry[1].mean, "mean", "s"),
    Column("flops", lambda entry: entry[1].flops, "FLOPs", "1"),
    Column("", lambda entry: _rate(entry[1].flops, entry[1].seconds), "GFLOP/s", "G"),
    Column("bytes", lambda entry: entry[1].bytes),
    Column("", lambda entry: _rate(entry[1].bytes, entry[1].seconds), "GB/s", "G"),
    Column("line", lambda entry: entry[1].line or None, "line", left=True),
)
"""What operations have; where nothing is known of any, text and HTML leave the column out."""


def profile_text(profile: Profile, width: int) -> str:
    """Return a table for each mode, as lists where a table would be wider than `width`."""
    return "\n\n".join(_mode_text(profile, mode, width) for mode in profile.modes)


def _mode_text(profile: Profile, mode: ModeProfile, width: int) -> str:
    if mode.refusal:
        said = without_lost_marks(mode.refusal, width - 2).splitlines()
        return "\n".join([_title(profile, mode), *(indented(line, width) for line in said)])
    return f"{textwrap.fill(_title(profile, mode), width)}\n{_table(mode, width)}"


def _title(profile: Profile, mode: ModeProfile) -> str:
    label = " ".join(filter(None, (profile.workload, profile.size)))
    if mode.refusal:
        return f"{label}, {mode.mode}: refused"
    return (
        f"{label}, {mode.mode}: a call takes {units.seconds(mode.call_seconds)}, "
        f"its operations one by one {units.seconds(mode.seconds)} (medians of {profile.runs} runs)"
    )


def _columns(mode: ModeProfile) -> list[Column[Entry]]:
    """Return the columns of which something is known."""
    return [
        column
        for column in OP_COLUMNS
        if not mode.rows or any(column.read((mode, row)) is not None for row in mode.rows)
    ]


def _lines(mode: ModeProfile) -> list[list[str] | None]:
    return table_lines(_columns(mode), [(mode, row) for row in mode.rows[:LONGEST]])


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


def _parts(profile: Profile) -> list[str]:
    """Return the parts of a profile as HTML."""
    parts = []
    for mode in profile.modes:
        parts.append(html.element("h3", _title(profile, mode)))
        parts.append(
            html.element("pre", mode.refusal) if mode.refusal else html.table(_lines(mode))
        )
        parts += [html.element("p", text) for text in _rest(mode)]
    return parts


def profile_data(profile: Profile) -> dict[str, Any]:
    """Return a profile as nested dicts and lists; times are in seconds."""
    return {
        **record(PROFILE_COLUMNS, profile),
        "modes": [
            {
                **record(MODE_COLUMNS, mode),
                "rows": [record(OP_COLUMNS, (mode, row)) for row in mode.rows],
            }
            for mode in profile.modes
        ],
    }


def _csv_lines(profile: Profile) -> Iterator[tuple[Profile, ModeProfile, Entry | None]]:
    for mode in profile.modes:
        yield from ((profile, mode, (mode, row)) for row in mode.rows)
        if mode.refusal:
            yield profile, mode, None


RENDERERS[Profile] = ResultRenderer(
    "where the time of a call goes",
    profile_text,
    profile_data,
    _parts,
    lambda: (PROFILE_COLUMNS, MODE_COLUMNS, OP_COLUMNS),
    _csv_lines,
)
