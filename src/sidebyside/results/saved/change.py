"""What became of the times of a program from one saved result to another."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from oplibrary.messages.errors import ArgumentError, NotComparableError
from sidebyside.measuring.replicates import ratio_of_two, visible_between
from sidebyside.measuring.statistics import CONFIDENCE, Estimate, differs
from sidebyside.results.comparison import Row, TimedCell
from sidebyside.results.result import Result
from sidebyside.results.saved.contents import comparison_of
from sidebyside.results.saved.file import SavedResult, load

KINDS = ("machine", "versions", "settings")
"""What two results may differ in, besides the program."""

_MACHINE = ("processor", "system", "cores")
_SETTINGS = ("budget", "replicates", "seed", "attribute")


@dataclass(frozen=True, slots=True)
class Mismatch:
    """Something besides the program that is not the same in two results.

    Attributes
    ----------
    kind : {"machine", "versions", "settings"}
    name : str
    before, after : any
    """

    kind: str
    name: str
    before: Any
    after: Any

    def __str__(self) -> str:
        return f"{self.name}: {self.before}, then {self.after}"


@dataclass(frozen=True, slots=True)
class Change:
    """One program of one size in one mode, in two results.

    Attributes
    ----------
    workload, size, mode : str
        The size is the value of a parameter with its name where that was swept.
    before, after : Estimate or None
        Seconds of a call.
    ratio : Estimate or None
        How many times as long a call takes after as before, with its interval.
    start_ratio : Estimate or None
        The same of the time to the first result.
    visible : float or None
        The smallest relative difference that as many replicates, as steady as these, would show.
    reason : str
        Why there is no verdict; empty where there is one.
    """

    workload: str
    size: str
    mode: str
    before: Estimate | None = None
    after: Estimate | None = None
    ratio: Estimate | None = None
    start_ratio: Estimate | None = None
    visible: float | None = None
    reason: str = ""

    @property
    def label(self) -> str:
        """The program with its size."""
        return f"{self.workload} {self.size}".strip()

    @property
    def speed(self) -> str:
        """What became of it: faster, slower, no difference, or no verdict."""
        if self.reason or self.ratio is None:
            return "no verdict"
        if not differs(self.ratio):
            return "no difference"
        return "slower" if self.ratio.value > 1 else "faster"

    def is_slower_by(self, part: float) -> bool:
        """Tell whether it is slower by more than a part, as its whole interval says."""
        ratio = self.ratio
        return not self.reason and ratio is not None and ratio.low > 1 + part

    def may_be_slower_by(self, part: float) -> bool:
        """Tell whether it may be slower by more than a part, since its interval does not end below.

        So it is where there is no verdict, too.
        """
        return self.reason != "" or self.ratio is None or self.ratio.high > 1 + part


@dataclass(frozen=True, repr=False)
class Changes(Result):
    """The result of `diff`.

    Attributes
    ----------
    before, after : mapping
        The environments of both results.
    changes : tuple of Change
        One a program, size and mode that stands in either of them.
    mismatches : tuple of Mismatch
        What else differs, and was allowed to.
    limit : float or None
        The part by which a call may become slower.
    """

    before: Mapping[str, Any]
    after: Mapping[str, Any]
    changes: tuple[Change, ...]
    mismatches: tuple[Mismatch, ...] = ()
    limit: float | None = None

    @property
    def slower(self) -> tuple[Change, ...]:
        """What is slower by more than `limit`, as the whole interval says; none without one."""
        if self.limit is None:
            return ()
        return tuple(each for each in self.changes if each.is_slower_by(self.limit))

    @property
    def unseen(self) -> tuple[Change, ...]:
        """What may be slower by more than `limit`: these samples cannot tell."""
        if self.limit is None:
            return ()
        return tuple(
            each
            for each in self.changes
            if each.may_be_slower_by(self.limit) and not each.is_slower_by(self.limit)
        )


def diff(
    old: SavedResult | str | os.PathLike[str],
    new: SavedResult | str | os.PathLike[str],
    *,
    across: str | Sequence[str] = (),
    limit: float | None = None,
) -> Changes:
    """Return what became of the times of a program from one result to another.

    The replicates of the two are independent, so the interval of a ratio is Welch's, of the
    logarithms of their times. It holds what varies between processes. What lies between the two
    occasions (other work on the machine, another temperature) it cannot hold; measured one right
    after the other on an idle machine, they tell most.

    Parameters
    ----------
    old, new : Comparison, Decision, Table, or path
        Of a file that ``save`` or ``--save`` has written.
    across : sequence of str, or str with commas
        What may differ besides the program: ``"machine"``, ``"versions"``, ``"settings"``.
    limit : float, optional
        The part by which a call may become slower, 0.05 for 5%; see `Changes.slower`.

    Returns
    -------
    Changes

    Raises
    ------
    NotComparableError
        If the two were not measured alike, or have no program in common.
    ResultFileError
        If a file cannot be read.

    Examples
    --------
    >>> import numpy as np, sidebyside as sbs
    >>> found = sbs.compare({"sum": lambda: lambda: np.ones(3).sum()}, budget=0.01)
    >>> [each.speed for each in sbs.diff(found, found).changes]  # in one process: for a look only
    ['no verdict']
    """
    allowed = kinds_of(across)
    names = ["the old result", "the new result"]
    results = []
    for position, given in enumerate((old, new)):
        if not isinstance(given, SavedResult):
            names[position] = str(given)
            given = load(given)
        results.append(comparison_of(given))
    before, after = results
    mismatches = find_mismatches(before.environment, after.environment)
    refuse_mismatches(names, [each for each in mismatches if each.kind not in allowed])
    rows = {(row.workload, row.place): row for row in before.rows}
    later = {(row.workload, row.place): row for row in after.rows}
    if not set(rows) & set(later):
        raise NotComparableError(
            f"{names[0]} and {names[1]} have no program in common",
            cause=f"the first has {_programs(rows)}, the second {_programs(later)}",
            fix="name two results of one program and size",
        )
    changes = []
    for key in dict.fromkeys((*rows, *later)):
        changes += _row_changes(key, rows.get(key), later.get(key))
    return Changes(before.environment, after.environment, tuple(changes), tuple(mismatches), limit)


def _programs(rows: Mapping[tuple[str, str], Row]) -> str:
    return ", ".join(f"{name} {size}".strip() for name, size in rows) or "none"


def kinds_of(across: str | Sequence[str]) -> list[str]:
    """Return what may differ, each of `KINDS`.

    Raises
    ------
    ArgumentError
        If something else is named.
    """
    names = across.split(",") if isinstance(across, str) else list(across)
    found = [name.strip() for name in names if name.strip()]
    for name in found:
        if name not in KINDS:
            raise ArgumentError(
                f"across={name!r}",
                cause=f"results may differ in {', '.join(KINDS)}",
                fix="name some of these, separated by commas",
            )
    return found


# what else differs --------------------------------------------------------------------------------


def find_mismatches(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[Mismatch]:
    """Return what is not the same in two environments; what one does not say is left out.

    The name of the machine does not count, which a service for continuous integration makes up anew
    each time; nor does the release of its system.
    """
    found = _differing("machine", before, after, _MACHINE)
    found += _differing("versions", before, after, ("python",))
    found += _differing("versions", before.get("versions", {}), after.get("versions", {}))
    found += _differing("settings", before, after, ("threads", "thread_variables"))
    one, other = before.get("settings", {}), after.get("settings", {})
    found += _differing("settings", one, other, _SETTINGS)
    found += _differing(
        "settings", one.get("tolerance", {}), other.get("tolerance", {}), None, "tolerance of "
    )
    alone = [bool(each.get("one_process")) for each in (before, after)]
    if alone[0] != alone[1]:
        found.append(Mismatch("settings", "in one process", *alone))
    pools, later = before.get("pools", {}), after.get("pools", {})
    for mode in (mode for mode in pools if mode in later):
        for kind, keys in (
            ("versions", ("library", "version", "architecture")),
            ("settings", ("threads",)),
        ):
            pair = [[[pool[key] for key in keys] for pool in each[mode]] for each in (pools, later)]
            if sorted(map(repr, pair[0])) != sorted(map(repr, pair[1])):
                shown = (
                    " and ".join(" ".join(map(str, pool)) for pool in each) or "none"
                    for each in pair
                )
                found.append(Mismatch(kind, f"{' '.join(keys)} of the pools of {mode}", *shown))
    return found


def _differing(
    kind: str,
    before: Mapping[str, Any],
    after: Mapping[str, Any],
    keys: Sequence[str] | None = None,
    prefix: str = "",
) -> list[Mismatch]:
    chosen = before if keys is None else keys
    return [
        Mismatch(kind, f"{prefix}{key}", before[key], after[key])
        for key in chosen
        if key in before and key in after and before[key] != after[key]
    ]


def refuse_mismatches(names: Sequence[str], mismatches: Sequence[Mismatch]) -> None:
    """Refuse two results that were not measured alike.

    Raises
    ------
    NotComparableError
        If `mismatches` holds any.
    """
    if not mismatches:
        return
    kinds = tuple(dict.fromkeys(each.kind for each in mismatches))
    raise NotComparableError(
        f"{names[0]} and {names[1]} were not measured alike",
        cause="; ".join(map(str, mismatches)),
        fix=f"measure both alike, or pass across={','.join(kinds)!r} if that is meant (on the "
        f"command line --across {','.join(kinds)})",
    )


# times --------------------------------------------------------------------------------------------


def _row_changes(key: tuple[str, str], before: Row | None, after: Row | None) -> list[Change]:
    modes = dict.fromkeys(
        cell.mode for row in (before, after) if row is not None for cell in row.cells
    )
    return [_change(key, mode, before, after) for mode in modes]


def _change(key: tuple[str, str], mode: str, before: Row | None, after: Row | None) -> Change:
    old = None if before is None else before.cell(mode)
    new = None if after is None else after.cell(mode)
    if old is None or new is None or before is None or after is None:
        reason = f"not in the {'old' if old is None else 'new'} result"
        was, now = (None if each is None else each.steady for each in (old, new))
        return Change(*key, mode, was, now, reason=reason)
    for cell, which in ((old, "old"), (new, "new")):
        if cell.steady is None:
            said = cell.failure.first_line if cell.failure is not None else "it was not timed"
            reason = f"{which} result: {said}"
            return Change(*key, mode, old.steady, new.steady, reason=reason)
    confidence = max(before.confidence, after.confidence, CONFIDENCE)
    ratio = _ratio(old, new, "steady", confidence)
    reason = ""
    if not ratio.known:
        reason = "measured in one process, or only once: for a look only"
    elif not (before.trusted and after.trusted):
        which, row = ("new", after) if before.trusted else ("old", before)
        why = "differs from itself" if row.control is not None else "failed while it was measured"
        reason = f"the {which} result's reference {why}"
    return Change(
        *key,
        mode,
        old.steady,
        new.steady,
        ratio,
        _ratio(old, new, "start", confidence),
        visible_between(_logs(old, "steady"), _logs(new, "steady"), confidence),
        reason,
    )


def _logs(cell: TimedCell, quantity: str) -> list[float]:
    return [math.log(max(getattr(each, quantity), 1e-300)) for each in cell.replicates]


def _ratio(old: TimedCell, new: TimedCell, quantity: str, confidence: float) -> Estimate:
    if min(len(old.replicates), len(new.replicates)) >= 2:
        return ratio_of_two(_logs(new, quantity), _logs(old, quantity), confidence)
    one, other = getattr(new, quantity), getattr(old, quantity)
    value = one.value / other.value
    return Estimate(value, value, value, 0.0, 1)
