"""What the numbers say, in sentences; a difference that noise could explain is never a win."""

from __future__ import annotations

import math
from collections.abc import Sequence

from sidebyside.comparison import Cell, Comparison, Row
from sidebyside.report import units

BUILD_BOUND = 10_000
"""A break-even beyond so many calls is called build-bound."""


def cell_verdict(row: Row, cell: Cell) -> str:
    """Return one sentence on a mode against the reference of its row.

    Examples
    --------
    >>> from sidebyside.comparison import Cell, Row
    >>> cell = Cell("static")
    >>> cell_verdict(Row("seed", "", "", (cell,), "static"), cell)
    ''
    """
    if cell.failure is not None:
        if cell.failure.kind == "DisagreementError":
            return f"{cell.mode} computes something else, so no time is shown."
        return f"{cell.mode} cannot run this program."
    if cell.ratio is None:
        return ""
    return f"{_against(row, cell)}{_payback(row, cell)}."


def _against(row: Row, cell: Cell) -> str:
    assert cell.ratio is not None
    ratio = cell.ratio
    between = f"{units.ratio(ratio.low)} to {units.ratio(ratio.high)}"
    if cell.outcome == "too few samples":
        return (
            f"{cell.mode} took {units.ratio(ratio.value)} {row.reference}'s time in "
            f"{ratio.count} samples, too few for a verdict"
        )
    if cell.outcome == "no difference":
        return (
            f"no difference between {cell.mode} and {row.reference} that noise could not "
            f"explain ({between})"
        )
    factor, word = (
        (1 / ratio.value, "faster") if cell.outcome == "faster" else (ratio.value, "slower")
    )
    return (
        f"{cell.mode} is {units.three_digits(factor)} times {word} than {row.reference} "
        f"({between} of its time)"
    )


def _payback(row: Row, cell: Cell) -> str:
    even = cell.break_even
    if even is None or cell.start is None:
        return ""
    if cell.outcome == "too few samples":
        return ""
    cost = f"a start of {units.seconds(cell.start.value)}"
    if not even.known:
        return f"; no later call pays for {cost}"
    if even.never:
        return f" and never makes up for {cost}"
    if even.calls <= 1:
        return " and ahead from the first call"
    if even.calls > BUILD_BOUND:
        return f"; build-bound: {cost} pays only after {units.break_even(even)} calls"
    return f" and has paid for {cost} after {units.break_even(even)} calls"


def regime_sentence(row: Row) -> str:
    """Return what bounds the dynamic mode, or an empty string."""
    if row.regime is None:
        return ""
    return f"{row.regime.name}: in dynamic {row.regime.reason}."


def span_of(values: Sequence[float], show: object = units.seconds) -> str:
    """Return ``least to most``, or the one value they all show as."""
    assert callable(show)
    texts = [show(min(values)), show(max(values))]
    return str(texts[0]) if texts[0] == texts[1] else f"{texts[0]} to {texts[1]}"


# the three rows of the classical table ------------------------------------------------------------


def building_verdict(pairs: Sequence[tuple[Row, Cell, Cell]]) -> str:
    """Return the verdict on "builds while it computes" against "builds first"."""
    builds = [(static.built.value, row) for row, _, static in pairs if static.built is not None]
    if not builds:
        return "Not measured."
    (least, _), (most, slowest) = min(builds, key=_first), max(builds, key=_first)
    return (
        f"Confirmed: static builds for {units.seconds(least)} to {units.seconds(most)} "
        f"({slowest.label}) before it computes anything; dynamic has nothing to build."
    )


def efficiency_verdict(pairs: Sequence[tuple[Row, Cell, Cell]], refused: Sequence[Row]) -> str:
    """Return the verdict on "flexible" against "efficient, but inflexible"."""
    count = {
        outcome: sum(static.outcome == outcome for _, _, static in pairs)
        for outcome in ("faster", "slower", "no difference", "too few samples")
    }
    parts = [f"faster in {count['faster']} of {len(pairs)} programs"]
    if count["no difference"]:
        parts.append(f"no different in {count['no difference']}")
    if count["slower"]:
        parts.append(f"slower in {count['slower']}")
    if count["too few samples"]:
        parts.append(f"undecided in {count['too few samples']}")
    if not pairs:
        word = "Not shown"
    elif count["faster"] == len(pairs):
        word = "Confirmed"
    elif count["faster"] > count["slower"] + count["no difference"]:
        word = "Mostly"
    else:
        word = "Not here"
    gains = [pair[2].ratio.value for pair in pairs if pair[2].ratio is not None]
    spread = f" ({span_of(gains, units.ratio)} of dynamic's time)" if gains else ""
    names = ", ".join(row.workload for row in refused)
    refusal = f"; it cannot declare {names}, which dynamic runs" if refused else ""
    return f"{word}: static is {', '.join(parts)}{spread}{refusal}."


def waiting_verdict(pairs: Sequence[tuple[Row, Cell, Cell]]) -> str:
    """Return the verdict on "results at once" against "needs a whole graph first"."""
    ends = [
        (static.break_even.calls, row)
        for row, _, static in pairs
        if static.break_even is not None and static.break_even.known
    ]
    waits = [
        static.start.value / dynamic.start.value
        for _, dynamic, static in pairs
        if static.start is not None and dynamic.start is not None
    ]
    if not waits:
        return "Not measured."
    word = "Confirmed" if min(waits) > 1 else "Mostly" if max(waits) > 1 else "Not here"
    text = f"{word}: static's first number comes {span_of(waits, units.ratio)} as late as dynamic's"
    paid = [(calls, row) for calls, row in ends if not math.isinf(calls)]
    if paid:
        (few, first), (many, last) = min(paid, key=_first), max(paid, key=_first)
        text += f"; the wait has paid after {units.calls(few)} calls ({first.label})"
        if last is not first:
            text += f" to {units.calls(many)} ({last.label})"
    unpaid = [row.label for calls, row in ends if math.isinf(calls)]
    unpaid += [
        row.label
        for row, _, static in pairs
        if static.break_even is not None and not static.break_even.known
    ]
    if unpaid:
        text += f", never for {', '.join(unpaid)}"
    return text + "."


def _first(entry: tuple[float, Row]) -> float:
    return entry[0]


def pairs_of(comparison: Comparison) -> list[tuple[Row, Cell, Cell]]:
    """Return the rows in which dynamic and static were both timed, with their cells."""
    found = []
    for row in comparison.rows:
        dynamic, static = row.cell("dynamic"), row.cell("static")
        if dynamic is None or static is None or static.steady is None or dynamic.steady is None:
            continue
        found.append((row, dynamic, static))
    return found
