"""Run workloads in several modes and compare: results first, then times, memory and break-even."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from oplibrary.core.types import Array
from oplibrary.messages.errors import (
    ArgumentError,
    DisagreementError,
    OutOfMemoryError,
    SideBySideError,
    WorkloadError,
)
from sidebyside.measuring.agreement import Difference, check_agreement
from sidebyside.measuring.bottleneck import Bottleneck, find_bottleneck
from sidebyside.measuring.call_stack import Frames, forget_frames, frames_below
from sidebyside.measuring.clock import (
    Timings,
    environment,
    frozen_heap,
    load_average,
    measure,
    time_once,
)
from sidebyside.measuring.memory import measure_memory
from sidebyside.measuring.statistics import (
    ENOUGH,
    break_even,
    median_estimate,
    paired_difference,
    paired_ratio,
)
from sidebyside.modes import Mode, PassEffect, Prepared, find_mode
from sidebyside.modes.registry import mode_names
from sidebyside.results.cell import Failure
from sidebyside.results.comparison import Comparison, PassGain, Row, TimedCell
from sidebyside.workloads.workload import Workload, size_label

STARTS = ENOUGH + 1
"""Most fresh builds behind a start time."""

START_BUDGET = 4
"""The most that fresh builds may take, in budgets."""

Report = Callable[[str], None]


def compare(
    workloads: Sequence[Workload] | Workload,
    modes: str | Sequence[str] = ("dynamic", "static"),
    *,
    budget: float = 2.0,
    sizes: Sequence[Any] | None = None,
    attribute: bool = False,
    seed: int = 0,
    report: Report | None = None,
) -> Comparison:
    """Run each workload of each size in each mode, and compare what they gave and took.

    The first mode that can run a workload is the reference. A mode whose results differ from the
    reference's is not timed: between dynamic and static every bit must be the same, elsewhere the
    workload's tolerance holds.

    Parameters
    ----------
    workloads : sequence of Workload
    modes : sequence of str, or str with commas
        See `sidebyside.modes.MODES`. A mode named twice is compared with itself: an A/A test.
    budget : float
        Seconds of steady-state samples for each workload and size. Fresh builds take up to
        `START_BUDGET` times as long, and there is at least one.
    sizes : sequence, optional
        In place of the workloads' own.
    attribute : bool
        Also measure what each compiler pass buys, by switching it off.
    seed : int
        Of the inputs and of the order of the modes.
    report : callable, optional
        Called with a line of text when something new begins.

    Returns
    -------
    Comparison

    Raises
    ------
    ArgumentError, MissingPackageError
        If a mode does not exist or its package is not installed.
    Exception
        What the program itself raises where no mode can run it.
    """
    if isinstance(workloads, Workload):
        workloads = [workloads]
    modes = mode_names(modes)
    if not modes:
        raise ArgumentError(
            "no modes", cause="there is nothing to compare", fix="name at least one"
        )
    if not budget > 0:
        raise ArgumentError(
            f"a budget of {budget} seconds",
            cause="samples take time",
            fix="leave it out, or pass a positive number of seconds",
        )
    found = {label: find_mode(name) for label, name in _labels(modes).items()}
    say = report or (lambda text: None)
    load, known = load_average(), frames_below()
    rows = []
    for workload in workloads:
        chosen = workload.sizes if sizes is None else tuple(sizes)
        for size in chosen:
            row = _Pairing(workload, size, found, budget, seed, say, known).row(attribute)
            rows.append(replace(row, several=len(chosen) > 1))
    packages = dict.fromkeys(name for mode in found.values() for name in mode.packages[:1])
    return Comparison(tuple(rows), {**environment(tuple(packages)), "load": load})


def _labels(modes: Sequence[str]) -> dict[str, str]:
    """Return a label for each mode; one named twice is numbered."""
    labels: dict[str, str] = {}
    for name in modes:
        count = sum(other == name for other in labels.values())
        labels[f"{name} #{count + 1}" if count else name] = name
    return labels


def _numbers(results: list[Any]) -> list[Array]:
    """Return the results of a program, if there are any and all of them are numbers.

    Raises
    ------
    WorkloadError
        If not: there would be nothing to compare.
    """
    if not results:
        raise WorkloadError(
            "the program returns nothing",
            cause="modes are compared by what the program computes, and this is None",
            fix="return an array, or several in a tuple, list or dict",
        )
    arrays = list(map(np.asarray, results))
    for position, found in enumerate(arrays):
        if found.dtype.kind not in "biufc":
            raise WorkloadError(
                f"result {position} of the program is no array of numbers, but {found[()]!r}",
                cause="modes are compared by the numbers that the program computes",
                fix="return arrays only, in tuples, lists or dicts if there are several",
            )
    return arrays


@dataclass(frozen=True, slots=True)
class _Start:
    """One way from nothing to the first result: what was built, and the first call."""

    first_call: float
    build: Mapping[str, float]
    passes: tuple[PassEffect, ...]

    @property
    def total(self) -> float:
        """Seconds until the first result."""
        return self.first_call + sum(self.build.values())


class _Pairing:
    """The modes on one workload of one size."""

    def __init__(
        self,
        workload: Workload,
        size: Any,
        modes: Mapping[str, Mode],
        budget: float,
        seed: int,
        say: Report,
        known: Frames,
    ) -> None:
        self.workload = workload
        self.modes = modes
        self.budget = budget
        self.seed = seed
        label = f"{workload.name} {size_label(size)}".strip()
        self._say = say
        self._label = label
        self.size = size_label(size)
        self.inputs = workload.make_inputs(size, seed)
        self.prepared: dict[str, Prepared] = {}
        self.results: dict[str, list[Array]] = {}
        self.failures: dict[str, Failure] = {}
        self.callers = known
        self.differences: dict[str, Difference] = {}
        self.reference = ""

    def say(self, text: str) -> None:
        """Report that something begins."""
        self._say(f"{self._label}: {text}")

    def row(self, attribute: bool) -> Row:
        """Measure everything."""
        self._run_each_once()
        timed = self._gate()
        cells = {label: TimedCell(label, self.failures.get(label)) for label in self.modes}
        bottleneck = None
        if timed:
            starts = self._measure_starts(timed)
            self.say("steady state")
            timings = measure(
                {label: self.prepared[label].run for label in timed}, self.budget, seed=self.seed
            )
            for label in timed:
                cells[label] = self._cell(label, timings, starts)
                if attribute:
                    cells[label] = replace(cells[label], passes=self._attribute(label))
            bottleneck = self._bottleneck(cells)
        return Row(
            self.workload.name,
            self.workload.title,
            self.size,
            tuple(cells.values()),
            self.reference if timed else "",
            bottleneck,
        )

    # results ------------------------------------------------------------------------------------

    def _run_each_once(self) -> None:
        """Run every mode once, and keep its results or why it has none."""
        errors: list[Exception] = []
        for label, mode in self.modes.items():
            self.say(f"{label}, first results")
            try:
                prepared = mode.prepare_anew(self.workload, self.inputs)
                self.results[label] = _numbers(prepared.arrays(prepared.run()))
            except Exception as error:  # whatever the library says belongs in the cell
                self.failures[label] = self._failure(error)
                errors.append(error)
            else:
                self.prepared[label] = prepared
        if errors and not self.results:
            raise next((e for e in errors if not isinstance(e, SideBySideError)), errors[0])

    def _gate(self) -> list[str]:
        """Return the labels that may be timed: the reference, and all that agree with it."""
        self.reference = next(iter(self.results))
        agreeing = [self.reference]
        for label, results in self.results.items():
            if label == self.reference:
                continue
            exact = self.modes[label].exact and self.modes[self.reference].exact
            try:
                self.differences[label] = check_agreement(
                    results,
                    self.results[self.reference],
                    pair=f"{label} and {self.reference}",
                    tolerance=None if exact else self.workload.tolerance,
                )
            except DisagreementError as error:
                self.failures[label] = self._failure(error)
            else:
                agreeing.append(label)
        disagreeing = len(self.results) - len(agreeing)
        return [] if disagreeing and len(agreeing) == 1 else agreeing

    def _failure(self, error: Exception) -> Failure:
        if isinstance(error, MemoryError) and not isinstance(error, SideBySideError):
            error = OutOfMemoryError(str(error) or "an array does not fit in memory")
        if isinstance(error, SideBySideError):
            forget_frames(error, self.callers)
        return Failure(type(error).__name__, str(error))

    # times --------------------------------------------------------------------------------------

    def _measure_starts(self, timed: Sequence[str]) -> dict[str, list[_Start]]:
        """Build each mode afresh several times, in turn; as a user would.

        The collector runs before each build and is on during it.
        """
        self.say("fresh builds")
        starts: dict[str, list[_Start]] = {label: [] for label in timed}
        deadline = time.perf_counter() + START_BUDGET * self.budget
        spent = dict.fromkeys(timed, 0.0)
        with frozen_heap():
            for label in [*timed] * STARTS:
                # one that would not end in time is left with the samples it has
                usual = spent[label] / max(1, len(starts[label]))
                if starts[label] and time.perf_counter() + usual > deadline:
                    continue
                gc.collect()
                whole, start = time_once(partial(self._start, label))
                spent[label] += whole
                starts[label].append(start)
        return starts

    def _start(self, label: str) -> _Start:
        prepared = self.modes[label].prepare_anew(self.workload, self.inputs)
        seconds, _ = time_once(prepared.run)
        return _Start(seconds, prepared.build, prepared.passes)

    def _cell(
        self, label: str, timings: Timings, starts: Mapping[str, Sequence[_Start]]
    ) -> TimedCell:
        mode, samples, own = self.modes[label], timings.samples, starts[label]
        start = median_estimate([each.total for each in own])
        cell = TimedCell(
            label,
            steady=median_estimate(samples[label]).scaled(1e-9),
            start=start,
            first_call=median_estimate([each.first_call for each in own]),
            built=median_estimate([sum(each.build.values()) for each in own]),
            build={
                phase: float(np.median([each.build[phase] for each in own]))
                for phase in own[0].build
            },
            passes=tuple(PassGain(record) for record in own[-1].passes),
            calls=timings.calls[label],
        )
        if mode.counts_memory:
            self.say(f"{label}, memory")
            memory = measure_memory(lambda: mode.prepare_anew(self.workload, self.inputs).run)
            plan = self.prepared[label].plan_memory
            cell = replace(cell, memory=memory, planned_bytes=None if plan is None else plan())
        if label == self.reference:
            return cell
        gain = paired_difference(samples[self.reference], samples[label]).scaled(1e-9)
        reference_start = median_estimate([each.total for each in starts[self.reference]])
        return replace(
            cell,
            difference=self.differences[label],
            ratio=paired_ratio(samples[label], samples[self.reference]),
            break_even=break_even(start, reference_start, gain),
        )

    # what explains them -------------------------------------------------------------------------

    def _attribute(self, label: str) -> tuple[PassGain, ...]:
        """Measure the mode with each pass switched off, beside the mode as it is."""
        without = self.modes[label].without_pass
        prepared = self.prepared[label]
        if without is None or not prepared.passes:
            return ()
        variants = {"": prepared.run}
        for record in prepared.passes:
            self.say(f"{label} without {record.name}")
            variants[record.name] = (
                without(record.name).prepare_anew(self.workload, self.inputs).run
            )
        timings = measure(variants, self.budget * 2, seed=self.seed)
        whole = timings.samples[""]
        return tuple(
            PassGain(record, paired_ratio(timings.samples[record.name], whole))
            for record in prepared.passes
        )

    def _bottleneck(self, cells: Mapping[str, TimedCell]) -> Bottleneck | None:
        work = next((p.work for p in self.prepared.values() if p.work is not None), None)
        reference = cells.get("dynamic")
        if work is None or reference is None or reference.steady is None:
            return None
        return find_bottleneck(work, reference.steady.value * 1e9)
