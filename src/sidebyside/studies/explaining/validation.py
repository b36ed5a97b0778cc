"""Check a break-even against reality: fewer and more calls than it says, each from a cold start."""

from __future__ import annotations

import math
from collections.abc import Sequence

from sidebyside.results.comparison import Check, Row
from sidebyside.studies.mode_process import ModeProcessError
from sidebyside.studies.settings import Report, Settings
from sidebyside.studies.subject import Subject
from sidebyside.studies.team import Team

FACTORS = (0.5, 2.0)
"""Of the break-even: the calls that are really made."""


def validate(subject: Subject, row: Row, settings: Settings, say: Report) -> tuple[Check, ...]:
    """Make half and twice as many calls as each break-even of a row says, and time all of them.

    Every mode starts in a process of its own with nothing of earlier builds. A break-even that is
    not known, that is at once or never, or that takes longer than the time limit, is not checked.
    """
    found = []
    for cell in row.cells:
        even = cell.break_even
        if even is None or cell.steady is None or not even.known or not 2 < even.calls < math.inf:
            continue
        for factor in FACTORS:
            calls = max(1, round(factor * even.calls))
            reference = row.cell(row.reference)
            assert reference is not None and reference.steady is not None
            slowest = max(cell.steady.value, reference.steady.value)
            if calls * slowest > settings.time_limit / 2:
                continue
            say(f"{subject.label}: {calls:,} calls of {cell.mode} and {row.reference}")
            try:
                mode, other = _totals(subject, (cell.mode, row.reference), calls, settings)
            except ModeProcessError:
                continue
            foretold = (mode < other) == (factor > 1)
            within = even.low <= calls <= even.high
            found.append(Check(cell.mode, calls, mode, other, foretold, within))
    return tuple(found)


def _totals(
    subject: Subject, labels: Sequence[str], calls: int, settings: Settings
) -> tuple[float, float]:
    """Return the seconds of a cold start and all calls, in each of two modes."""
    modes, packed = subject.packed_modes(), subject.packed()
    with Team({label: modes[label] for label in labels}, settings.time_limit) as team:
        for label in labels:
            team.ask(label, "take", packed)
        mode, other = (team.ask(label, "whole", calls) for label in labels)
    return float(mode), float(other)
