"""Where the time of one call goes: a table of operations for each mode.

Every operation is timed by itself, as in ``sidebyside trace``, in several runs of the same call;
what is shown are medians. Looking at each operation takes time by itself, so a call that nobody
looks at is timed too, and both times are shown. In the static mode it is the program after the
passes that runs, instruction by instruction: what fusion saves is in the time of the whole call
alone. Its operations and bytes are those of `staticgraph.cost`.
"""

from __future__ import annotations

import json
import os
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sidebyside.report import units
from sidebyside.report.box import natural_widths, without_lost_marks
from sidebyside.report.writing import write_whole

_SHOWN = 25


@dataclass(frozen=True, slots=True)
class OpProfile:
    """What all operations of one name took in a call, or those of one name on one line.

    Attributes
    ----------
    op : str
        The name of the op; of a step of the backward pass that of its node.
    line : str
        The user's line, if lines are asked for and it is known.
    calls : int
    seconds : float
        Of all of them, in one call of the program.
    flops : int or None
        Floating-point operations; None where they are not known, as in the dynamic mode.
    bytes : int or None
        Bytes read and written, likewise.
    """

    op: str
    line: str
    calls: int
    seconds: float
    flops: int | None = None
    bytes: int | None = None

    @property
    def mean(self) -> float:
        """Seconds of one of them."""
        return self.seconds / self.calls


@dataclass(frozen=True, slots=True)
class ModeProfile:
    """Where the time goes in one mode.

    Attributes
    ----------
    mode : str
    rows : tuple of OpProfile
        The dearest first.
    call_seconds : float
        A call that nobody looks at.
    refusal : str
        Why the mode does not run the program; empty where it does.
    """

    mode: str
    rows: tuple[OpProfile, ...] = ()
    call_seconds: float = 0.0
    refusal: str = ""

    @property
    def seconds(self) -> float:
        """What all operations took."""
        return sum(row.seconds for row in self.rows)

    def share(self, row: OpProfile) -> float:
        """Return the part of the time of all operations that `row` took."""
        return row.seconds / self.seconds if self.seconds else 0.0


@dataclass(frozen=True, slots=True)
class Profile:
    """Where the time of a workload's call goes; printing it shows a table for each mode.

    Attributes
    ----------
    workload : str
    size : str
    runs : int
    lines : bool
        Whether operations are told apart by the user's lines.
    modes : tuple of ModeProfile
    """

    workload: str
    size: str
    runs: int
    lines: bool
    modes: tuple[ModeProfile, ...]

    def text(self, width: int = 100) -> str:
        """Return a table for each mode, as lists where a table would be wider than `width`."""
        return "\n\n".join(_text(self, mode, width) for mode in self.modes)

    def to_dict(self) -> dict[str, Any]:
        """Return everything as plain containers, for JSON."""
        return {
            "workload": self.workload,
            "size": self.size,
            "runs": self.runs,
            "modes": [
                {
                    "mode": mode.mode,
                    "refusal": mode.refusal or None,
                    "call_seconds": None if mode.refusal else mode.call_seconds,
                    "seconds": None if mode.refusal else mode.seconds,
                    "rows": [
                        {
                            "op": row.op,
                            "line": row.line or None,
                            "calls": row.calls,
                            "seconds": row.seconds,
                            "share": mode.share(row),
                            "mean": row.mean,
                            "flops": row.flops,
                            "bytes": row.bytes,
                        }
                        for row in mode.rows
                    ],
                }
                for mode in self.modes
            ],
        }

    def to_json(self, path: str | os.PathLike[str]) -> None:
        """Write everything as JSON.

        Raises
        ------
        OutputError
            If `path` cannot be written; nothing is left half-written.
        """
        write_whole(path, json.dumps(self.to_dict(), indent=1) + "\n")

    def __str__(self) -> str:
        return self.text()

    __repr__ = __str__


# as text ------------------------------------------------------------------------------------------


def _text(profile: Profile, mode: ModeProfile, width: int) -> str:
    label = " ".join(filter(None, (profile.workload, profile.size)))
    if mode.refusal:
        said = without_lost_marks(mode.refusal, width - 2).splitlines()
        return "\n".join([f"{label}, {mode.mode}: refused", *(_indented(x, width) for x in said)])
    title = (
        f"{label}, {mode.mode}: a call takes {units.seconds(mode.call_seconds)}, "
        f"its operations one by one {units.seconds(mode.seconds)} (medians of {profile.runs} runs)"
    )
    return f"{textwrap.fill(title, width)}\n{_table(profile, mode, width)}"


def _indented(line: str, width: int) -> str:
    """Return `line` indented by 2, wrapped if it does not fit."""
    if len(line) + 2 <= width:
        return f"  {line}"
    return textwrap.fill(line.strip(), width, initial_indent="  ", subsequent_indent="    ")


def _table(profile: Profile, mode: ModeProfile, width: int) -> str:
    counted = any(row.bytes is not None for row in mode.rows)
    headings = ["op", "calls", "total", "share", "mean"]
    headings += ["FLOPs", "GFLOP/s", "GB/s"] if counted else []
    numbers = range(1, len(headings))
    headings += ["line"] if profile.lines else []
    shown = [_cells(mode, row, counted, profile.lines) for row in mode.rows[:_SHOWN]]
    rest = mode.rows[_SHOWN:]
    last = f"and {len(rest)} more, {sum(map(mode.share, rest)):.1%} of the time"
    widths = natural_widths([headings, *shown], len(headings))
    whole = sum(widths) + 2 * (len(widths) - 1)
    if whole > width:
        lines = [_indented(_as_sentence(headings, cells), width) for cells in shown]
        return "\n".join([*lines, f"  {last}"] if rest else lines)
    lines = [
        "  ".join(
            cell.rjust(n) if column in numbers else cell.ljust(n)
            for column, (cell, n) in enumerate(zip(cells, widths, strict=True))
        ).rstrip()
        for cells in (headings, *shown)
    ]
    lines.insert(1, "─" * whole)
    return "\n".join([*lines, last] if rest else lines)


def _as_sentence(headings: Sequence[str], cells: Sequence[str]) -> str:
    pairs = zip(headings[1:], cells[1:], strict=True)
    said = [f"{heading} {cell}" for heading, cell in pairs if cell != units.NOTHING]
    return f"{cells[0]}: {', '.join(said)}"


def _cells(mode: ModeProfile, row: OpProfile, counted: bool, lines: bool) -> list[str]:
    cells = [
        row.op,
        f"{row.calls:,}",
        units.seconds(row.seconds),
        f"{mode.share(row):.1%}",
        units.seconds(row.mean),
    ]
    if counted:
        cells += [
            units.NOTHING if row.flops is None else f"{row.flops:,}",
            _rate(row.flops, row.seconds),
            _rate(row.bytes, row.seconds),
        ]
    return [*cells, row.line or units.NOTHING] if lines else cells


def _rate(count: int | None, seconds: float) -> str:
    """Return billions a second; nothing where nothing is counted."""
    return units.three_digits(count / seconds / 1e9) if count and seconds else units.NOTHING
