"""What to do with a program: which mode pays from how many calls on, and what it is worth."""

from __future__ import annotations

import math
from dataclasses import dataclass

from sidebyside.measuring.statistics import BreakEven, Estimate
from sidebyside.results.comparison import Comparison, Row, TimedCell
from sidebyside.results.result import RENDERERS
from sidebyside.results.saved.file import SavedResult


@dataclass(frozen=True, slots=True)
class Stage:
    """A mode, and from which call on it is the best.

    Attributes
    ----------
    mode : str
        Its name.
    begins : BreakEven
        Against the mode of the stage before it; at once for the first.
    """

    mode: str
    begins: BreakEven


@dataclass(frozen=True, repr=False)
class Decision(SavedResult):
    """The result of `decide`; printing it shows one sentence first, then the evidence.

    Attributes
    ----------
    comparison : Comparison
        The evidence: of one program.
    calls : int or None
        How often the program will be called; None where that is not known.
    kind : str
        What was recognised: ``PyTorch``, ``JAX``, ``NumPy``, ``workload``.
    stages : tuple of Stage
        The best mode by the number of calls, each with where it begins. What cannot be told from
        the one before it is left out.
    chosen : str
        The mode to take; empty where that is undecided.
    undecided : tuple of str
        Modes that cannot be told from the reference on this machine; or are faster, and how soon
        their start is paid back cannot be told.
    """

    comparison: Comparison
    calls: int | None
    kind: str
    stages: tuple[Stage, ...]
    chosen: str
    undecided: tuple[str, ...] = ()

    def unsound(self) -> str:
        """Return what in it cannot be; empty where nothing is wrong."""
        if len(self.comparison.rows) != 1:
            return f"{len(self.comparison.rows)} programs in place of the one that it is about"
        if self.calls == 0:
            return "no calls"
        modes = [cell.mode for cell in self.row.cells]
        named = [*(stage.mode for stage in self.stages), *self.undecided, self.chosen]
        strange = [mode for mode in named if mode and mode not in modes]
        return f"{strange[0]!r} is none of its modes, {', '.join(modes)}" if strange else ""

    @property
    def row(self) -> Row:
        """The row of the program."""
        return self.comparison.rows[0]

    @property
    def saved(self) -> Estimate | None:
        """Seconds that the chosen mode saves over all calls, its start counted."""
        if self.calls is None or not self.chosen or self.chosen == self.row.reference:
            return None
        return self.row.saving(self.chosen, self.row.reference, self.calls)

    @property
    def sentence(self) -> str:
        """What to do, in one sentence."""
        found: str = RENDERERS[type(self)].data(self)["sentence"]
        return found


def decide_from(comparison: Comparison, kind: str, calls: int | None = None) -> Decision:
    """Return what follows from a comparison of one program.

    Parameters
    ----------
    comparison : Comparison
    kind : str
        See `Decision`.
    calls : int, optional
    """
    row = comparison.rows[0]
    stages = stages_of(row)
    undecided = tuple(cell.mode for cell in row.cells if _is_open(row, cell))
    chosen = ""
    if len(stages) > 1 or (stages and not undecided):
        reached = [each.mode for each in stages if calls is None or each.begins.calls <= calls]
        chosen = reached[-1]
    return Decision(comparison, calls, kind, stages, chosen, undecided)


def _is_open(row: Row, cell: TimedCell) -> bool:
    """Tell whether a mode may be the better one, and from when on cannot be told."""
    if cell.speed == "faster":
        begins = row.break_even(cell.mode, row.reference)
        return begins is None or not begins.known or math.isinf(begins.calls)
    return cell.speed == "no difference"


def stages_of(row: Row) -> tuple[Stage, ...]:
    """Return the best mode by the number of calls: the lower envelope of the total times.

    From the mode that is the first with a result, each next stage is the mode that is ahead of the
    last one the earliest, among those whose calls are surely shorter.

    Parameters
    ----------
    row : Row
        Measured in replicates.
    """
    cells = {cell.mode: cell for cell in row.cells if cell.replicates and cell.start is not None}
    if row.reference not in cells or not row.trusted:
        return ()
    mode = row.reference
    found = [Stage(mode, BreakEven(1, 1, 1, True))]
    while True:
        best: Stage | None = None
        for other in cells:
            begins = row.break_even(other, mode)
            if other in {stage.mode for stage in found} or begins is None:
                continue
            if not begins.known or math.isinf(begins.calls):
                continue
            earlier = best is None or begins.calls < best.begins.calls
            if earlier or (
                best is not None
                and begins.calls == best.begins.calls
                and _shorter(row, other, best.mode)
            ):
                best = Stage(other, begins)
        if best is None:
            return tuple(found)
        if best.begins.calls <= found[-1].begins.calls:  # the stage before it is never the best
            found.pop()
            begins = best.begins
            if found:
                against = row.break_even(best.mode, found[-1].mode)
                begins = begins if against is None else against
            best = Stage(best.mode, begins)
        found.append(best)
        mode = best.mode


def _shorter(row: Row, mode: str, other: str) -> bool:
    one, two = row.cell(mode), row.cell(other)
    assert one is not None and two is not None and one.steady and two.steady
    return one.steady.value < two.steady.value
