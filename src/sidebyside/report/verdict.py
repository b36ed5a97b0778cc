"""What the numbers say, in sentences; a difference that noise could explain is never a win."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from sidebyside.report import units
from sidebyside.results.comparison import Comparison, Row, TimedCell

BUILD_BOUND = 10_000
"""A break-even beyond so many calls is called build-bound."""


class Pair(NamedTuple):
    """A row, and its cells of the modes dynamic and static, both timed."""

    row: Row
    dynamic: TimedCell
    static: TimedCell


def cell_verdict(row: Row, cell: TimedCell) -> str:
    """Return one sentence on a mode against the reference of its row; empty for the reference."""
    if cell.failure is not None:
        if cell.failure.disagrees:
            return f"{cell.mode} computes something else, so no time is shown."
        return f"{cell.mode} cannot run this program."
    if cell.speedup is None:
        return ""
    return f"{_against(row, cell)}{_payback(cell)}."


def _against(row: Row, cell: TimedCell) -> str:
    speedup = cell.speedup
    assert speedup is not None
    if cell.speed == "no verdict":
        why = "it differs from itself on this machine" if row.control else "it has no control"
        return f"{cell.mode} has no verdict against {row.reference}: {why}"
    if cell.speed == "too few samples":
        return (
            f"{cell.mode} took {units.factor(1 / speedup.value)} times as long as {row.reference} "
            f"in {speedup.count} {'sample' if speedup.count == 1 else 'samples'}, too few for a "
            "verdict"
        )
    if cell.speed == "no difference":
        return (
            f"{cell.mode} and {row.reference} do not differ by more than noise could explain "
            f"({units.factor(speedup.low)} to {units.factor(speedup.high)} times as fast)"
        )
    word = cell.speed
    factor = speedup if word == "faster" else speedup.inverse()
    return (
        f"{cell.mode} is {units.factor(factor.value)} times {word} than {row.reference} "
        f"({units.factor(factor.low)} to {units.factor(factor.high)})"
    )


def _payback(cell: TimedCell) -> str:
    even = cell.break_even
    if even is None or cell.start is None or cell.speed in ("too few samples", "no verdict"):
        return ""
    if not cell.build and (not even.known or even.never or even.low <= 1):
        return ""  # a mode that builds nothing has nothing to pay back
    cost = f"its start of {units.seconds(cell.start.value)}"
    if not even.known:
        return f"; no sure gain pays back {cost}"
    if even.never:
        return f"; {cost} is never paid back"
    if even.at_once:
        return ", from the first call on"
    shown = f"{cost} is paid back after {units.break_even(even)} calls"
    return f"; build-bound: {shown}" if even.calls > BUILD_BOUND else f"; {shown}"


def bottleneck_sentences(row: Row) -> list[str]:
    """Return what bounds the program in each mode of which that is known."""
    found = {cell.mode: cell.bottleneck for cell in row.cells}
    found.setdefault("dynamic", None)
    found["dynamic"] = found["dynamic"] or row.bottleneck
    return [
        f"{mode} is {bottleneck.name}: {bottleneck.reason}."
        for mode, bottleneck in found.items()
        if bottleneck is not None
    ]


def check_sentences(row: Row) -> list[str]:
    """Return what real calls from a cold start say of the break-evens."""
    found = []
    for check in row.checks:
        mode, other = units.seconds(check.seconds), units.seconds(check.reference_seconds)
        said = "as the break-even says"
        if not check.foretold:
            said = "which the break-even does not say"
            if check.within:
                said = "which its interval leaves open"
        found.append(
            f"Validated: {check.calls:,} calls from a cold start take {mode} in {check.mode} and "
            f"{other} in {row.reference}, {said}."
        )
    return found


def instruction_sentences(row: Row) -> list[str]:
    """Return what counted instructions say, beside times."""
    reference = next((cell for cell in row.cells if cell.mode == row.reference), None)
    if reference is None or not reference.instructions:
        return []
    base = reference.instructions
    found = [f"{row.reference} runs {base:,.0f} instructions a call (cachegrind)."]
    for cell in row.cells:
        if cell.instructions is None or cell is reference:
            continue
        ratio = cell.instructions / base
        text = (
            f"{cell.mode} runs {cell.instructions:,.0f} instructions a call, {units.times(ratio)}"
        )
        fewer = ratio < 1
        if cell.speed in ("faster", "slower") and fewer != (cell.speed == "faster"):
            text += (
                f": time says {cell.speed}, instructions say the opposite, so memory, threads or "
                "wider instructions decide; or cachegrind ran other machine code, since its "
                "processor is not this one"
            )
        found.append(f"{text}.")
    return found


def steps_sentence(cell: TimedCell) -> str:
    """Return how much is saved from operations one by one to the mode, and by which step most."""
    first, *between, _ = cell.steps
    whole = cell.steps[-2]
    text = (
        f"Where {cell.mode} comes from: {units.seconds(first.seconds.value)} a call operation by "
        f"operation, {units.seconds(whole.seconds.value)} compiled"
    )
    sure = [step for step in between if step.change is not None and step.change.high < 0]
    if sure:
        most = min(sure, key=lambda step: step.change.value if step.change else 0.0)
        text += f"; most is saved by {most.name}"
    return f"{text}. Each step keeps those above it, and they add up."


def crossing_sentences(comparison: Comparison) -> list[str]:
    """Return from which size on a mode is ahead, where several sizes were measured."""
    found = []
    for crossing in comparison.crossings:
        low, high = (units.amount(x) if x else "below" for x in (crossing.low, crossing.high))
        word = "faster" if crossing.faster else "slower"
        ends = f"{low} to {'beyond' if math.isinf(crossing.high) else high}"
        found.append(
            f"{crossing.workload}: {crossing.mode} is {word} than {crossing.reference} from "
            f"{crossing.parameter} "
            f"{units.amount(crossing.size)} on ({ends})."
        )
    return found


# the three rows of the classical table ------------------------------------------------------------


def verdicts(pairs: Sequence[Pair], refused: Sequence[Row]) -> tuple[str, str, str]:
    """Return the verdict on each row, `refused` being what static refuses and dynamic runs."""
    return (
        building_verdict(pairs),
        efficiency_verdict(pairs, refused),
        waiting_verdict(pairs),
    )


def building_verdict(pairs: Sequence[Pair]) -> str:
    """Return the verdict on "builds while it computes" against "builds first"."""
    builds = [(static.built.value, row) for row, _, static in pairs if static.built is not None]
    if not builds:
        return "Not measured."
    (least, quickest), (most, slowest) = min(builds, key=_first), max(builds, key=_first)
    return (
        f"Confirmed: static builds for {units.seconds(least)} ({quickest.label}) to "
        f"{units.seconds(most)} ({slowest.label}) before it computes anything; dynamic has "
        "nothing to build."
    )


def efficiency_verdict(pairs: Sequence[Pair], refused: Sequence[Row]) -> str:
    """Return the verdict on "flexible" against "efficient, but inflexible"."""
    if not pairs:
        return "Not measured."
    count = {
        outcome: sum(static.speed == outcome for _, _, static in pairs)
        for outcome in ("faster", "slower", "no difference", "too few samples")
    }
    whole = count["faster"] == len(pairs)
    most = count["faster"] > len(pairs) / 2
    word = "Confirmed" if whole and refused else "Mostly" if whole or most else "Not here"
    text = f"{word}: static is faster in {count['faster']} of {len(pairs)} measurements"
    if count["no difference"]:
        text += f", not different beyond noise in {count['no difference']}"
    if count["slower"]:
        text += f", slower in {count['slower']}"
    if count["too few samples"]:
        text += f", undecided in {count['too few samples']}"
    text += f"; {_extremes(pairs)}"
    if refused:
        text += f"; it refuses {', '.join(row.label for row in refused)}, which dynamic runs"
    return text + "."


def _extremes(pairs: Sequence[Pair]) -> str:
    """Return where static gains most and least beyond noise, and what bounds dynamic there."""
    gains = [
        (static.speedup.value, row)
        for row, _, static in pairs
        if static.speedup is not None and static.speed in ("faster", "slower")
    ]
    if not gains:
        return "no speed-up is sure"
    (least, low), (most, high) = min(gains, key=_first), max(gains, key=_first)

    def shown(gain: float, row: Row) -> str:
        bottleneck = f", {row.bottleneck.name}" if row.bottleneck is not None else ""
        return f"{units.times(gain)} ({row.label}{bottleneck})"

    if len(gains) == 1:
        return f"its speed-up is {shown(most, high)}"
    return f"its speed-up is {shown(most, high)} at most, {shown(least, low)} at least"


def waiting_verdict(pairs: Sequence[Pair]) -> str:
    """Return the verdict on "results at once" against "needs a whole graph first"."""
    starts = [
        (row, dynamic.start, static.start)
        for row, dynamic, static in pairs
        if dynamic.start is not None and static.start is not None
    ]
    if not starts:
        return "Not measured."
    later = [
        (static.value / dynamic.value, row)
        for row, dynamic, static in starts
        if static.low > dynamic.high
    ]
    earlier = [row.label for row, dynamic, static in starts if static.high < dynamic.low]
    if not later:
        return f"Not here: dynamic does not have its first number first; {_payments(pairs)}."
    longest, row = max(later, key=_first)
    text = (
        f"{'Confirmed' if len(later) == len(starts) else 'Mostly'}: static's first number takes up "
        f"to {units.factor(longest)} times as long ({row.label})"
    )
    if earlier:
        text += f", though it comes first for {', '.join(earlier)}"
    return f"{text}; {_payments(pairs)}."


def _payments(pairs: Sequence[Pair]) -> str:
    """Return when the wait for a static graph is paid back."""
    paid, unpaid, unknown = [], [], []
    for row, _, static in pairs:
        even = static.break_even
        if even is None or not even.known:
            unknown.append(row.label)
        elif math.isinf(even.calls):
            unpaid.append(row.label)
        elif not even.at_once:
            paid.append((even.calls, row))
    parts = []
    if paid:
        (few, first), (many, last) = min(paid, key=_first), max(paid, key=_first)
        text = f"the wait is paid back after {units.calls(few)} calls ({first.label})"
        if last is not first:
            text += f" to {units.calls(many)} ({last.label})"
        parts.append(text)
    if unpaid:
        parts.append(f"never for {', '.join(unpaid)}")
    if unknown:
        parts.append(f"with no sure gain for {', '.join(unknown)}")
    return ", ".join(parts) or "it is ahead from the first call"


def _first(entry: tuple[float, Row]) -> float:
    return entry[0]


def pairs_of(comparison: Comparison) -> list[Pair]:
    """Return the rows in which dynamic and static were both timed, with their cells."""
    found = []
    for row in comparison.rows:
        dynamic, static = row.cell("dynamic"), row.cell("static")
        if dynamic is None or static is None or static.steady is None or dynamic.steady is None:
            continue
        found.append(Pair(row, dynamic, static))
    return found
