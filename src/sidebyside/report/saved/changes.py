"""Two results: what became of each time, and what cannot be seen."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from typing import Any

from sidebyside.report import html, units
from sidebyside.report.column import NO_CSV, Column, fitting, record, table_lines
from sidebyside.report.renderer import enter
from sidebyside.report.text_table import draw_table
from sidebyside.results.plain import plain
from sidebyside.results.saved.change import Change, Changes


def _verdict(change: Change) -> str:
    """Return what became of it, in words."""
    if change.speed == "no difference" and change.visible is not None:
        return f"no difference; one under {units.percent(change.visible)} cannot be seen"
    return f"no verdict: {change.reason}" if change.reason else change.speed


RATIO = {"ratio": "value", "ratio_low": "low", "ratio_high": "high"}

CHANGE_COLUMNS: tuple[Column[Change], ...] = (
    Column("label", heading="program", csv=NO_CSV),
    Column("workload"),
    Column("size"),
    Column("mode", heading="mode", left=True),
    Column("before", heading="before", unit="s", order=2, csv={"before_seconds": "value"}),
    Column("after", heading="after", unit="s", order=2, csv={"after_seconds": "value"}),
    Column("ratio", heading="a call takes", unit="x±", order=1, csv=RATIO),
    Column("start_ratio", heading="first result", unit="x±", order=3, csv={"start": "value"}),
    Column("visible"),
    Column("speed"),
    Column("reason"),
    Column("", _verdict, "which is", show=_verdict, left=True, csv=NO_CSV),
)
"""What is shown of a program in one mode."""


def _lines(changes: Changes, width: int) -> tuple[list[Any], list[Column[Change]]]:
    columns = fitting(CHANGE_COLUMNS, changes.changes, width)
    return table_lines(columns, changes.changes), columns


def occasion(environment: Mapping[str, Any]) -> str:
    """Return when, of which commit and where something was measured."""
    date = str(environment.get("date", "an unknown date"))[:16].replace("T", " ")
    commit = environment.get("commit")
    at = f", commit {commit[:9]}{'*' if '-' in commit else ''}" if commit else ""
    return f"{date}{at}, on {environment.get('host', 'an unknown machine')}"


def sentences(changes: Changes) -> list[str]:
    """Return what is to be known before the times, and what follows from them."""
    found = [f"Before: {occasion(changes.before)}. After: {occasion(changes.after)}."]
    found += [f"Not measured alike: {each}." for each in changes.mismatches]
    return found


def limit_sentences(changes: Changes) -> list[str]:
    """Return what is slower than allowed, and where that cannot be told."""
    if changes.limit is None:
        return []
    limit = units.percent(changes.limit)
    found = []
    for each in changes.slower:
        assert each.ratio is not None
        found.append(
            f"{each.label}: {each.mode} is slower by more than {limit}: a call takes "
            f"{units.times_with_interval(each.ratio)} as long."
        )
    for each in changes.unseen:
        why = each.reason
        if not why and each.ratio is not None:
            why = f"a call takes {units.times_with_interval(each.ratio)} as long"
        found.append(
            f"{each.label}: whether {each.mode} is slower by more than {limit} cannot be seen: "
            f"{why}."
        )
    return found or [f"Nothing is slower by more than {limit}."]


def changes_text(changes: Changes, width: int = 100) -> str:
    """Return the changes as text of at most `width` columns where that can be done."""
    lines, columns = _lines(changes, width)
    left = [n for n, column in enumerate(columns) if column.left or n == 0]
    verdicts = []
    if not any(column.heading == "which is" for column in columns):
        verdicts = [f"{each.label}, {each.mode}: {_verdict(each)}." for each in changes.changes]
    parts = [
        *(textwrap.fill(each, width) for each in sentences(changes)),
        draw_table(lines, left=left, gap="  "),
        *(textwrap.fill(each, width) for each in (*verdicts, *limit_sentences(changes))),
    ]
    return "\n".join(parts)


def changes_data(changes: Changes) -> dict[str, Any]:
    """Return the changes as nested dicts and lists."""
    return {
        "before": plain(dict(changes.before)),
        "after": plain(dict(changes.after)),
        "mismatches": plain(changes.mismatches),
        "limit": changes.limit,
        "changes": [record(CHANGE_COLUMNS, each) for each in changes.changes],
    }


def changes_parts(changes: Changes) -> list[str]:
    """Return the parts of the changes as HTML."""
    return [
        *(html.element("p", each) for each in sentences(changes)),
        html.table(table_lines(CHANGE_COLUMNS, changes.changes)),
        *(html.element("p", each) for each in limit_sentences(changes)),
    ]


enter(
    Changes,
    "what became of it",
    text=changes_text,
    data=changes_data,
    parts=changes_parts,
    columns=lambda: (CHANGE_COLUMNS,),
    lines=lambda changes: ((each,) for each in changes.changes),
)
