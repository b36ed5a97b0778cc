"""The commands on saved results, ``history`` and ``diff``; and what ``compare`` is held against."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from sidebyside.command_options import add_reports, report_result, write_beside
from sidebyside.measuring.environment import environment
from sidebyside.report import units
from sidebyside.report.saved.changes import limit_sentences
from sidebyside.results.comparison import Comparison
from sidebyside.results.saved.change import (
    KINDS,
    Changes,
    diff,
    find_mismatches,
    kinds_of,
    refuse_mismatches,
)
from sidebyside.results.saved.contents import comparison_of
from sidebyside.results.saved.file import SavedResult, load
from sidebyside.results.saved.history import FOLDER, history

OK, SLOWER = 0, 3


def add_history(commands: Any) -> None:
    """Add ``sidebyside history``."""
    command = commands.add_parser("history", help="list saved results, one program over time")
    command.add_argument(
        "folder", nargs="?", type=Path, default=FOLDER, metavar="DIR", help="default %(default)s"
    )
    command.add_argument("--program", default="", metavar="NAME", help="leave out all others")
    add_reports(command)
    command.set_defaults(command=history_command)


def add_diff(commands: Any) -> None:
    """Add ``sidebyside diff``."""
    command = commands.add_parser(
        "diff", help="say what became slower from a saved result to another"
    )
    command.add_argument("old", type=Path, metavar="OLD.json")
    command.add_argument("new", type=Path, metavar="NEW.json")
    add_limit(command, "a call is surely slower than before by more than that")
    add_reports(command)
    command.set_defaults(command=diff_command)


def add_limit(command: Any, when: str) -> None:
    """Add the options for what may be slower, and how alike measurements must be."""
    command.add_argument(
        "--fail-if-slower",
        metavar="P%",
        type=parse_percent,
        help=f"end with exit code {SLOWER} if {when}; what cannot be seen is said and no failure",
    )
    command.add_argument(
        "--across",
        default="",
        metavar="A,B",
        help=f"what may differ besides the program: {', '.join(KINDS)}",
    )


def parse_percent(text: str) -> float:
    """Return the part that a percentage is.

    Examples
    --------
    >>> parse_percent("5%"), parse_percent("0.5%")
    (0.05, 0.005)
    """
    number, sign, rest = text.strip().partition("%")
    try:
        value = float(number) / 100
    except ValueError:
        value = -1.0
    if not sign or rest or not 0 <= value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text} is no percentage; write 5%")
    return value


# commands -----------------------------------------------------------------------------------------


def history_command(options: argparse.Namespace) -> int:
    """Run ``sidebyside history``."""
    report_result(history(options.folder, options.program), options)
    return OK


def diff_command(options: argparse.Namespace) -> int:
    """Run ``sidebyside diff``."""
    found = diff(options.old, options.new, across=options.across, limit=options.fail_if_slower)
    report_result(found, options)
    return exit_code(found)


def exit_code(changes: Changes) -> int:
    """Return whether something is slower than allowed, and say it on the error stream."""
    for sentence in limit_sentences(changes) if changes.slower else ():
        print(sentence, file=sys.stderr)
    return SLOWER if changes.slower else OK


# what a comparison is held against ----------------------------------------------------------------


def check_baseline(options: argparse.Namespace, effort: dict[str, Any]) -> SavedResult | None:
    """Return the baseline of a comparison, once it is known to be of this machine and effort.

    Before anything is measured: what would not be comparable need not be measured.

    Raises
    ------
    NotComparableError, ResultFileError
    """
    if options.baseline is None:
        return None
    baseline = load(options.baseline)
    settings = {key: effort[key] for key in ("budget", "replicates", "seed")}
    now = {**environment(), "settings": settings}
    mismatches = find_mismatches(comparison_of(baseline).environment, now)
    allowed = kinds_of(options.across)
    refuse_mismatches(
        [str(options.baseline), "what is asked for"],
        [each for each in mismatches if each.kind not in allowed],
    )
    return baseline


def hold_against(
    comparison: Comparison, baseline: SavedResult | None, options: argparse.Namespace
) -> int:
    """Hold a comparison against a baseline or its reference, and return the exit code."""
    limit = options.fail_if_slower
    if baseline is not None:
        found = diff(baseline, comparison, across=options.across, limit=limit)
        write_beside(str(found.text()), options)
        return exit_code(found)
    if limit is None:
        return OK
    code = OK
    for row in comparison.rows:
        for cell in row.cells:
            if cell.ratio is None or cell.mode == row.reference:
                continue
            shown = units.times_with_interval(cell.ratio)
            sure = cell.ratio.known and not cell.withheld
            said = f"slower than {row.reference} by more than {units.percent(limit)}"
            if sure and cell.ratio.low > 1 + limit:
                code = SLOWER
                text = f"{row.label}: {cell.mode} is {said}: it takes {shown} as long"
            elif not sure or cell.ratio.high > 1 + limit:
                text = (
                    f"{row.label}: whether {cell.mode} is {said} cannot be seen: it takes {shown}"
                )
            else:
                continue
            print(f"{text}.", file=sys.stderr)
    return code
