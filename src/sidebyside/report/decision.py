"""A decision: one sentence first, then the evidence."""

from __future__ import annotations

import textwrap
from itertools import pairwise
from typing import Any

from sidebyside.measuring.statistics import BreakEven, Estimate
from sidebyside.report import html, units
from sidebyside.report.comparison import (
    comparison_data,
    comparison_parts,
    comparison_text,
    csv_columns,
    csv_lines,
)
from sidebyside.report.renderer import enter
from sidebyside.results.comparison import Row
from sidebyside.results.decision import Decision
from sidebyside.results.plain import plain

_WORDS = {
    "eager": "eager",
    "torch.compile": "compile",
    "jax": "operation by operation",
    "jax.jit": "jit",
    "numpy": "NumPy",
    "static:native": "machine code",
}
"""How a sentence calls the modes that people have words for."""


def sentence(decision: Decision) -> str:
    """Return what to do, in one sentence."""
    row = decision.row
    if not row.reference:
        return _nothing(row)
    reference = _word(row.reference)
    if not row.trusted and row.control is None:
        failed = ", ".join(_word(cell.mode) for cell in row.cells if cell.failure is not None)
        return (
            f"Undecided: {failed} failed while it was measured, so nothing can be held against it."
        )
    if not row.trusted:
        return (
            f"Undecided on this machine: {reference} differs from itself by more than chance, so "
            "no difference can be trusted here."
        )
    others = [cell for cell in row.cells if cell.ratio is not None]
    if not others:
        reasons = "; ".join(f"{c.mode}: {_first(c.failure.text)}" for c in row.cells if c.failure)
        return f"Stay with {reference}: nothing else runs it ({reasons})."
    if not row.replicates:
        return (
            "Undecided: all was measured in one process, for a look only; leave budget out for a "
            "decision."
        )
    if len(decision.stages) <= 1:
        return _stay(decision, reference)
    if len(decision.stages) == 2 and decision.stages[0].mode == row.reference:
        return _two(decision, reference)
    return _several(decision)


def _nothing(row: Row) -> str:
    """Return why there is no reference: no mode runs the program, or none agrees with another."""
    failed = [cell for cell in row.cells if cell.failure is not None]
    if not failed:
        return "Undecided: nothing was measured in the time that there was."
    if any(cell.failure.disagrees for cell in failed if cell.failure):
        return "Undecided: the modes disagree about what the program computes."
    reasons = {_first(cell.failure.text): cell.mode for cell in failed if cell.failure}
    if len(reasons) == 1:
        return f"Undecided: no mode could run the program: {next(iter(reasons))}."
    return "Undecided: no mode could run the program; each says why below."


def _stay(decision: Decision, reference: str) -> str:
    row = decision.row
    if decision.stages and decision.stages[0].mode != row.reference:
        word = _big(_word(decision.stages[0].mode))
        return f"{word}: ahead from the first call on{_worth(decision)}."
    if decision.undecided:
        return f"Undecided on this machine: {_open(decision)}."
    found = _refusals(row)
    found += [
        f"{_word(cell.mode)} never pays, a call takes {units.times(cell.ratio.value)} as long"
        for cell in row.cells
        if cell.ratio is not None
    ]
    return f"Stay {_stay_word(reference)}: {'; '.join(found)}."


def _open(decision: Decision) -> str:
    """Return why nothing is decided: calls are faster, or no difference can be seen."""
    row = decision.row
    cells = [cell for cell in row.cells if cell.mode in decision.undecided and cell.ratio]
    faster = [
        f"a call of {_word(cell.mode)} takes {units.times(cell.ratio.value)} as long"
        for cell in cells
        if cell.ratio is not None and cell.speed == "faster"
    ]
    if faster:
        return f"{'; '.join(faster)}; from how many calls on that pays cannot be told here"
    ends = [max(cell.ratio.high, 1 / cell.ratio.low) - 1 for cell in cells if cell.ratio]
    return f"{units.unseen(max([row.visible or 0.0, *ends]))} cannot be seen here"


def _refusals(row: Row) -> list[str]:
    """Return which modes cannot run the program, and why, the modes of one reason together."""
    modes: dict[str, list[str]] = {}
    for cell in row.cells:
        if cell.failure is not None and not cell.failure.disagrees:
            modes.setdefault(cell.failure.id or cell.failure.kind, []).append(_word(cell.mode))
    return [f"{' and '.join(names)} cannot run it ({why})" for why, names in modes.items()]


def _two(decision: Decision, reference: str) -> str:
    stage, calls = decision.stages[1], decision.calls
    word = _word(stage.mode)
    pays = f"pays after {_range(stage.begins)} calls"
    if calls is None:
        return f"{_big(word)} if you call it more often: it {pays}."
    if stage.begins.low <= calls <= stage.begins.high:
        return f"Undecided for {calls:,} calls: {word} {pays}."
    if decision.chosen == stage.mode:
        return f"{_big(word)}: {pays}{_worth(decision)}."
    lost = decision.row.saving(stage.mode, decision.row.reference, calls)
    cost = "" if lost is None else f"; over your {calls:,} it would cost {_seconds(lost, -1)}"
    return f"Stay {_stay_word(reference)}: {word} {pays}{cost}."


def _several(decision: Decision) -> str:
    """Return where each mode is the best."""
    stages = decision.stages
    parts: list[str] = []
    for stage, following in pairwise(stages):
        word = _word(stage.mode)
        bound = units.calls(following.begins.calls)
        if parts:
            parts.append(f"{word} to {bound}")
        else:
            parts.append(f"Stay {_stay_word(word)} below {bound} calls")
    parts.append(f"{_word(stages[-1].mode)} beyond" if parts else _big(_word(stages[-1].mode)))
    return f"{'; '.join(parts)}{_worth(decision)}."


def _worth(decision: Decision) -> str:
    saved = decision.saved
    if saved is None:
        return ""
    if saved.low <= 0 <= saved.high:
        return f"; whether it saves anything in your {decision.calls:,} cannot be told here"
    return f"; of your {decision.calls:,} it saves {_seconds(saved)}"


def _seconds(found: Estimate, sign: int = 1) -> str:
    """Return an estimate in seconds with its interval, turned around where `sign` is -1."""
    scale = units.scale_of(abs(found.value))
    low, high = sorted((sign * found.low, sign * found.high))
    ends = f"{units.three_digits(low / scale)}–{units.three_digits(high / scale)}"
    return f"{units.seconds(sign * found.value)} ({ends})"


def _range(even: BreakEven) -> str:
    return f"{units.calls(even.calls)} ({units.calls(even.low)}–{units.calls(even.high)})"


def _word(mode: str) -> str:
    return _WORDS.get(mode, mode)


def _stay_word(word: str) -> str:
    return word if word == "eager" or word.startswith("operation") else f"with {word}"


def _big(word: str) -> str:
    return word[0].upper() + word[1:]


def _first(text: str) -> str:
    return next(iter(text.splitlines()), "")


def decision_text(decision: Decision, width: int = 100) -> str:
    """Return the sentence and the evidence as text."""
    return (
        f"{textwrap.fill(sentence(decision), width)}\n\n"
        f"{comparison_text(decision.comparison, width)}"
    )


def decision_data(decision: Decision) -> dict[str, Any]:
    """Return a decision as nested dicts and lists: what follows, and the comparison behind it."""
    return {
        "sentence": sentence(decision),
        "calls": decision.calls,
        "kind": decision.kind,
        "chosen": decision.chosen,
        "undecided": list(decision.undecided),
        "stages": plain(decision.stages),
        "comparison": comparison_data(decision.comparison),
    }


def _parts(decision: Decision, drawn: bool = False) -> list[str]:
    evidence = comparison_parts(decision.comparison, drawn)
    return [html.element("p", sentence(decision)), *evidence]


enter(
    Decision,
    "what to do",
    text=decision_text,
    data=decision_data,
    parts=_parts,
    columns=csv_columns,
    lines=lambda decision: csv_lines(decision.comparison),
    page=lambda decision: _parts(decision, drawn=True),
)
