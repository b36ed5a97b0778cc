"""What a comparison found: a row a workload and size, a cell a mode."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

from sidebyside.measuring.agreement import Difference
from sidebyside.measuring.bottleneck import Bottleneck, Work
from sidebyside.measuring.memory import Memory
from sidebyside.measuring.replicates import (
    Numbers,
    break_even_of,
    ratio_estimate,
    saving,
    time_estimate,
)
from sidebyside.measuring.statistics import CONFIDENCE, BreakEven, Estimate, differs
from sidebyside.modes.mode import PassEffect
from sidebyside.results.cell import Cell
from sidebyside.results.saved.file import SavedResult


@dataclass(frozen=True, slots=True)
class Step:
    """One step from operations one by one to the compiled program.

    Attributes
    ----------
    name : str
        What is changed from the step before; a compiler pass by its own name.
    seconds : Estimate
        Of a call, with this and all changes before it.
    change : Estimate or None
        Seconds that a call takes longer than before this step; None of the first.
    effect : PassEffect or None
        What a compiler pass did.
    """

    name: str
    seconds: Estimate
    change: Estimate | None = None
    effect: PassEffect | None = None


@dataclass(frozen=True, slots=True)
class Replicate:
    """One mode in one repetition of the experiment, in a process of its own.

    Attributes
    ----------
    start : float
        Seconds until the first result, with nothing on disk of earlier builds.
    warm : float
        The same once more, with what the first one left.
    blocks : ndarray
        Seconds of a call in each block, in the order in which they were taken.
    """

    start: float
    warm: float
    blocks: Numbers

    def unsound(self) -> str:
        """Return what in it cannot be; empty where nothing is wrong."""
        times = (self.start, self.warm, *self.blocks)
        if not len(self.blocks):
            return "it has no blocks"
        return "" if all(0 < each < math.inf for each in times) else "a time that is none"

    @property
    def steady(self) -> float:
        """Seconds of a call: the median of the blocks."""
        return float(np.median(self.blocks))


class _CostAndGain(NamedTuple):
    """What a mode's start costs and its calls gain, one number a replicate.

    Attributes
    ----------
    cost, gain : ndarray
        In calls of the other mode in the same replicate.
    units : ndarray
        Seconds of such a call.
    """

    cost: Numbers
    gain: Numbers
    units: Numbers


@dataclass(frozen=True, slots=True)
class Check:
    """A break-even that was checked by real calls from a cold start.

    Attributes
    ----------
    mode : str
        That was held against the reference.
    calls : int
        That were made.
    seconds, reference_seconds : float
        What the start and all calls took, in the mode and in the reference.
    foretold : bool
        Whether the one that the break-even says was ahead.
    within : bool
        Whether these calls lie within the interval of the break-even, so that either may be.
    """

    mode: str
    calls: int
    seconds: float
    reference_seconds: float
    foretold: bool
    within: bool = False


@dataclass(frozen=True, slots=True)
class DrawnGraph:
    """A graph of a program, for a page.

    Attributes
    ----------
    title : str
        What it is, and how many instructions it has.
    note : str
        What was done to get there, or why there is none.
    data : str
        JSON, as `sidebyside.drawing.nested` makes it; empty where there is none.
    """

    title: str
    note: str = ""
    data: str = ""


@dataclass(frozen=True)
class TimedCell(Cell):
    """One workload of one size in one mode. All times are in seconds.

    Attributes
    ----------
    start : Estimate or None
        From nothing to the first result: the build and the first call.
    first_call : Estimate or None
        Of a fresh build, once that is there.
    built : Estimate or None
        All that comes before the first call.
    build : mapping of str to float
        Median seconds of each phase of it.
    memory : Memory or None
        What a call needs, where that can be seen.
    planned_bytes : int or None
        Peak of its buffers, where the mode plans them.
    difference : Difference or None
        From the reference.
    break_even : BreakEven or None
        Calls after which the mode has made up for a later start than the reference's.
    passes : tuple of PassEffect
        Of a mode that has compiler passes, in their order.
    steps : tuple of Step
        Where its time was saved, step by step, if that was asked for: the changes add up. The last
        is a call of nothing.
    calls : int
        Calls in a sample.
    warm_start : Estimate or None
        From nothing to the first result where an earlier start has left what it builds.
    replicates : tuple of Replicate
        What everything follows from; empty where all was measured in one process.
    samples : tuple of float
        Where all was measured in one process: seconds of a call in each round.
    withheld : bool
        Whether there is no verdict, since the reference differs from itself.
    notes : tuple of str
        What is to be said of the mode before its figures.
    instructions : float or None
        Of a call, as cachegrind counts them.
    work : Work or None
        What a call does, where that is known.
    bottleneck : Bottleneck or None
        What bounds it, on the machine that the environment of the comparison describes.
    """

    start: Estimate | None = None
    first_call: Estimate | None = None
    built: Estimate | None = None
    build: Mapping[str, float] = field(default_factory=dict)
    memory: Memory | None = None
    planned_bytes: int | None = None
    difference: Difference | None = None
    break_even: BreakEven | None = None
    passes: tuple[PassEffect, ...] = ()
    steps: tuple[Step, ...] = ()
    calls: int = 0
    warm_start: Estimate | None = None
    replicates: tuple[Replicate, ...] = ()
    withheld: bool = False
    notes: tuple[str, ...] = ()
    instructions: float | None = None
    samples: tuple[float, ...] = ()
    work: Work | None = None
    bottleneck: Bottleneck | None = None

    def unsound(self) -> str:
        """Return what in it cannot be; empty where nothing is wrong."""
        times = (self.steady, self.start, self.warm_start)
        if not all(each is None or 0 < each.value < math.inf for each in times):
            return "a time that is none"
        if len(self.steps) == 1 or any(step.change is None for step in self.steps[1:]):
            return "a step without one before it"
        if self.ratio is not None and not 0 < self.ratio.low <= self.ratio.high < math.inf:
            return "a ratio that is none"
        return super().unsound()

    @property
    def speedup(self) -> Estimate | None:
        """The reference's time over the mode's, paired: above 1 where the mode is faster."""
        return None if self.ratio is None else self.ratio.inverse()

    @property
    def speed(self) -> str:
        """Against the reference: faster, slower, no difference, too few samples, or empty.

        Where there is no verdict, ``no verdict``.
        """
        if self.ratio is None:
            return ""
        if self.withheld:
            return "no verdict"
        if not self.ratio.known:
            return "too few samples"
        if not differs(self.ratio):
            return "no difference"
        return "faster" if self.ratio.value < 1 else "slower"


@dataclass(frozen=True)
class Row:
    """One workload of one size.

    Attributes
    ----------
    workload, title, size : str
        The name, what it is in words, and its size as a person writes it; each may be empty.
    cells : tuple of TimedCell
        The first that has a timing is the reference.
    reference : str
        Its mode; empty if no mode could run the program.
    bottleneck : Bottleneck or None
        What bounds the dynamic mode.
    several : bool
        Whether the workload was measured in several sizes.
    control : Estimate or None
        The reference against itself, in other processes: an interval that must hold 1.
    visible : float or None
        The smallest relative difference that can be seen, as the control tells.
    replicates : int
        Repetitions of the whole experiment; 0 where it was made in one process.
    confidence : float
        Of the intervals at the look at which measuring ended: the looks together keep 99%.
    notes : tuple of str
        What is to be said of the program before any figure.
    checks : tuple of Check
        Break-evens against reality.
    parameter : str
        What the size is the value of: ``size``, or a parameter of the program that was swept.
    graphs : tuple of DrawnGraph
        The declared and the compiled graph, if that was asked for.
    """

    workload: str
    title: str
    size: str
    cells: tuple[TimedCell, ...]
    reference: str = ""
    bottleneck: Bottleneck | None = None
    several: bool = False
    control: Estimate | None = None
    visible: float | None = None
    replicates: int = 0
    confidence: float = CONFIDENCE
    notes: tuple[str, ...] = ()
    checks: tuple[Check, ...] = ()
    parameter: str = "size"
    graphs: tuple[DrawnGraph, ...] = ()

    def unsound(self) -> str:
        """Return what in it cannot be; empty where nothing is wrong."""
        modes = [cell.mode for cell in self.cells]
        if len(set(modes)) < len(modes):
            return f"two cells of one mode, in {', '.join(modes)}"
        named = dict.fromkeys([self.reference, *(check.mode for check in self.checks)])
        for mode in filter(None, named):
            if mode not in modes:
                return (
                    f"{mode!r} is none of its modes, {', '.join(modes) or 'of which it has none'}"
                )
        return "" if 0 < self.confidence <= 1 else f"a confidence of {self.confidence:g}"

    @property
    def amount(self) -> float:
        """The size, or the value of the parameter, as a number; 0 where it is none above 0."""
        try:
            amount = float(self.size.replace(",", ""))
        except ValueError:
            return 0
        return amount if 0 < amount < math.inf else 0

    @property
    def trusted(self) -> bool:
        """Whether the reference did not differ from itself, and was there to the end."""
        if any(cell.withheld for cell in self.cells):
            return False
        return self.control is None or not differs(self.control)

    def break_even(self, mode: str, against: str, start: str = "cold") -> BreakEven | None:
        """Return after how many calls a mode is ahead of another; None where that was not measured.

        Each replicate counts in calls of the other mode in that replicate: a process that is twice
        as slow as another takes twice as long for all of it, which says nothing of the crossing.
        It is known where the calls differ by more than noise, by their ratio, too: few replicates
        may tell the one and not the other, and a report says one thing.

        Parameters
        ----------
        mode, against : str
        start : str
            ``"cold"``, with nothing of earlier builds, or ``"warm"``.
        """
        found = self._cost_and_gain(mode, against, start)
        if found is None:
            return None
        even = break_even_of(found.cost, found.gain, self.confidence)
        if even.known and not self._differ(mode, against):
            return replace(even, low=1.0, high=math.inf, known=False)
        return even

    def _differ(self, mode: str, against: str) -> bool:
        """Tell whether noise cannot explain that calls of two modes take differently long."""
        one, other = self.cell(mode), self.cell(against)
        assert one is not None and other is not None
        pairs = list(zip(one.replicates, other.replicates, strict=False))
        mine, its = ([each[side].blocks for each in pairs] for side in (0, 1))
        return differs(ratio_estimate(mine, its, self.confidence))

    def saving(self, mode: str, against: str, calls: float, start: str = "cold") -> Estimate | None:
        """Return the seconds that a mode saves over `calls` calls; None where not measured.

        It is what is saved in calls of the other mode, which is surely more than 0 where `calls` is
        surely behind the break-even, times what such a call takes. Each has an interval of half
        the error that is allowed, and the product takes the ends of both.
        """
        found = self._cost_and_gain(mode, against, start)
        if found is None:
            return None
        half = (1 + self.confidence) / 2
        saved = saving(found.cost, found.gain, calls, half)
        unit = time_estimate(found.units, half)
        ends = [x * y for x in (saved.low, saved.high) for y in (unit.low, unit.high)]
        known = self.confidence if saved.known else 0.0
        return Estimate(saved.value * unit.value, min(ends), max(ends), known, saved.count)

    def _cost_and_gain(self, mode: str, against: str, start: str) -> _CostAndGain | None:
        one, other = self.cell(mode), self.cell(against)
        if one is None or other is None or not (one.replicates and other.replicates):
            return None
        pairs = list(zip(one.replicates, other.replicates, strict=False))
        units = np.array([y.steady for _, y in pairs])
        starts = [x.warm - y.warm if start == "warm" else x.start - y.start for x, y in pairs]
        gains = [y.steady - x.steady for x, y in pairs]
        return _CostAndGain(np.array(starts) / units, np.array(gains) / units, units)

    @property
    def label(self) -> str:
        """The workload's name, with its size where it has several."""
        return f"{self.workload} {self.place if self.several else ''}".strip()

    @property
    def place(self) -> str:
        """The size, or the value of a parameter with its name: what tells rows of a program apart.

        Examples
        --------
        >>> Row("w", "", "3", ()).place, Row("w", "", "3", (), parameter="depth").place
        ('3', 'depth 3')
        """
        return self.size if self.parameter == "size" else f"{self.parameter} {self.size}"

    def cell(self, mode: str) -> TimedCell | None:
        """Return the cell of a mode, or None."""
        return next((cell for cell in self.cells if cell.mode == mode), None)


@dataclass(frozen=True, slots=True)
class Crossing:
    """The size from which on a mode is faster than its reference, or slower.

    Attributes
    ----------
    workload, mode, reference : str
    size : float
    low, high : float
        Where the ends of the intervals cross; 0 and ``inf`` where they do not.
    faster : bool
        Whether the mode is the faster one beyond.
    parameter : str
        What the size is the value of.
    """

    workload: str
    mode: str
    reference: str
    size: float
    low: float
    high: float
    faster: bool
    parameter: str = "size"


def _crossings_of(workload: str, mode: str, rows: list[Row]) -> list[Crossing]:
    """Return the crossings of one mode, between sizes that follow each other."""
    points: list[tuple[float, list[float]]] = []
    reference = ""
    for row in rows:
        cell = row.cell(mode)
        if cell is not None and cell.ratio is not None:
            ratio = cell.ratio
            logs = [math.log(max(x, 1e-300)) for x in (ratio.value, ratio.low, ratio.high)]
            points.append((math.log(row.amount), logs))
            reference = reference or row.reference
    zeros = [_zeros([(x, logs[part]) for x, logs in points]) for part in range(3)]
    found = []
    for place, rising in zeros[0]:
        ends = [x for each in zeros[1:] for x, up in each if up == rising]
        below, above = [x for x in ends if x <= place], [x for x in ends if x >= place]
        low = math.exp(max(below)) if below else 0.0
        high = math.exp(min(above)) if above else math.inf
        size, parameter = math.exp(place), rows[0].parameter
        found.append(Crossing(workload, mode, reference, size, low, high, not rising, parameter))
    return found


def _zeros(points: list[tuple[float, float]]) -> list[tuple[float, bool]]:
    """Return where a line through points crosses zero, and whether it rises there."""
    found = []
    for (x, y), (next_x, next_y) in pairwise(points):
        if (y < 0) != (next_y < 0):
            found.append((x + (next_x - x) * y / (y - next_y), next_y > y))
    return found


@dataclass(frozen=True, repr=False)
class Comparison(SavedResult):
    """The result of `compare`.

    Attributes
    ----------
    rows : tuple of Row
        One a workload and size.
    environment : mapping
        The machine and how the measurement was made.
    """

    rows: tuple[Row, ...]
    environment: Mapping[str, Any]

    @property
    def confidence(self) -> float:
        """That of every interval, at least."""
        return CONFIDENCE

    @property
    def fails(self) -> bool:
        """Whether there is a program that no mode could run."""
        return any(
            not row.reference and any(cell.failure is not None for cell in row.cells)
            for row in self.rows
        )

    @property
    def disagrees(self) -> bool:
        """Whether some mode computed something else than its reference."""
        return any(
            cell.failure is not None and cell.failure.disagrees
            for row in self.rows
            for cell in row.cells
        )

    @property
    def crossings(self) -> tuple[Crossing, ...]:
        """Where a mode and its reference change places as the size grows, on log axes."""
        found: list[Crossing] = []
        for workload in dict.fromkeys(row.workload for row in self.rows):
            rows = [row for row in self.rows if row.workload == workload and row.amount]
            rows.sort(key=lambda row: row.amount)
            for mode in dict.fromkeys(cell.mode for row in rows for cell in row.cells):
                found += _crossings_of(workload, mode, rows)
        return tuple(found)

    def slower_than(self, factor: float) -> list[tuple[Row, str, Estimate]]:
        """Return the modes that surely take more than `factor` times as long as their reference.

        Each comes as its row, its name and its ratio.
        """
        return [
            (row, cell.mode, cell.ratio)
            for row in self.rows
            for cell in row.cells
            if cell.ratio is not None and cell.ratio.known and cell.ratio.low > factor
            if not cell.withheld
        ]

    def row(self, workload: str, size: str = "") -> Row:
        """Return the row of a workload, or its first one.

        Raises
        ------
        KeyError
            If there is none.
        """
        for row in self.rows:
            if row.workload == workload and size in ("", row.size):
                return row
        raise KeyError(workload)
