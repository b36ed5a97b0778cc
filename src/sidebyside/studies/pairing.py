"""One program in all its modes, in this process: where no other can run it, or for a look."""

from __future__ import annotations

import copy
import gc
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from oplibrary.messages.errors import DisagreementError, OutOfMemoryError, SideBySideError
from oplibrary.values.types import Array
from sidebyside.measuring.agreement import Difference, check_agreement
from sidebyside.measuring.call_stack import Frames, forget_frames
from sidebyside.measuring.clock import (
    FailedRunError,
    Timings,
    failures_of,
    frozen_heap,
    measure,
    time_once,
)
from sidebyside.measuring.memory import measure_memory
from sidebyside.measuring.processes import ReturnedCopies
from sidebyside.measuring.scrutiny import Scrutiny, examine, lost_in, said_of
from sidebyside.measuring.statistics import (
    CONFIDENCE,
    ENOUGH,
    break_even,
    median_estimate,
    paired_difference,
    paired_ratio,
)
from sidebyside.modes import PassEffect, Prepared
from sidebyside.modes.overhead import measure_overhead
from sidebyside.results.cell import Failure
from sidebyside.results.comparison import Row, Step, TimedCell
from sidebyside.studies.explaining.attribution import climb, steps_of
from sidebyside.studies.explaining.roofline import below_roofs, bottleneck_of_dynamic, works_of
from sidebyside.studies.replication import ATTRIBUTION
from sidebyside.studies.settings import Report, Settings
from sidebyside.studies.subject import Subject

STARTS = ENOUGH + 1
"""Most fresh builds behind a start time."""

LONG_START = 0.25
"""Seconds of a first start in a process for which it matters little that it is the first."""

START_BUDGET = 4
"""The most that starts may take, in budgets."""


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


class Pairing:
    """The modes on one workload of one size."""

    def __init__(self, subject: Subject, settings: Settings, say: Report, known: Frames) -> None:
        self.subject = subject
        self.workload = subject.workload
        self.modes = subject.modes
        self.budget = settings.budget
        self.seed = settings.seed
        self.attribute = settings.attribute
        self.memory = settings.memory
        self._say = say
        self._label = subject.label
        self.size = subject.size
        self.prepared: dict[str, Prepared] = {}
        self.first: dict[str, _Start] = {}
        self.results: dict[str, list[Array]] = {}
        self.failures: dict[str, Failure] = {}
        self.callers = known
        self.differences: dict[str, Difference] = {}
        self.scrutiny: dict[str, Scrutiny] = {}
        self.reference = ""

    @property
    def inputs(self) -> tuple[Any, ...]:
        """A copy of the inputs: what one mode writes into them, no other sees."""
        return copy.deepcopy(self.subject.inputs)

    def say(self, text: str) -> None:
        """Report that something begins."""
        self._say(f"{self._label}: {text}")

    def row(self) -> Row:
        """Measure everything."""
        self.run_each_once()
        while True:
            timed = self._gate()
            try:
                cells = self._measured(timed)
                break
            except FailedRunError as failed:
                self._take_out(failed)
        return Row(
            self.workload.name,
            self.workload.title,
            self.size,
            tuple(cells.values()),
            self.reference if timed else "",
            bottleneck_of_dynamic(cells.values()),
            self.subject.several,
            notes=said_of(self.scrutiny.get(self.reference, Scrutiny())),
            parameter=self.subject.parameter,
        )

    def _measured(self, timed: Sequence[str]) -> dict[str, TimedCell]:
        """Look at what the modes do beside computing, then time them.

        Raises
        ------
        FailedRunError
            If a mode fails that has given results before.
        """
        cells = {label: TimedCell(label, self.failures.get(label)) for label in self.modes}
        if not timed:
            return cells
        self.scrutiny = {label: self._examine(label) for label in timed}
        with frozen_heap():  # once for both: what there is is walked through to freeze it
            starts = self._measure_starts(timed)
            self.say("steady state")
            runs = {label: self.prepared[label].run for label in timed}
            timings = measure(runs, self.budget, seed=self.seed)
        for label in timed:
            with failures_of(label):
                cells[label] = self._cell(label, timings, starts)
            if self.attribute:
                cells[label] = replace(cells[label], steps=self._attribute(label))
        self._below_roofs(cells, timed)
        return cells

    def _examine(self, label: str) -> Scrutiny:
        prepared = self.prepared[label]
        with failures_of(label):
            return examine(prepared.run, prepared.given, self.workload.function, listen=False)

    def _take_out(self, failed: FailedRunError) -> None:
        """Leave out a mode that fails later; the others are held against what is left."""
        del self.results[failed.label]
        self.failures[failed.label] = self._failure(failed.error)
        if not self.results:
            raise failed.error

    # results ------------------------------------------------------------------------------------

    def run_each_once(self) -> None:
        """Run every mode once, and keep its results or why it has none."""
        errors: list[BaseException] = []
        copies = ReturnedCopies()
        for label, mode in self.modes.items():
            self.say(f"{label}, first results")
            try:
                prepared = mode.prepare_anew(self.workload, self.inputs)
                began = time.perf_counter()
                try:
                    results = prepared.run()
                finally:
                    copies.end()
                seconds = time.perf_counter() - began
                self.first[label] = _Start(seconds, prepared.build, prepared.passes)
                self.results[label] = self.subject.numbers(prepared.arrays(results))
            except (Exception, SystemExit) as error:  # whatever it says belongs in the cell
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

    def _failure(self, error: BaseException) -> Failure:
        if isinstance(error, MemoryError) and not isinstance(error, SideBySideError):
            error = OutOfMemoryError(str(error) or "an array does not fit in memory")
        if isinstance(error, SideBySideError):
            forget_frames(error, self.callers)
        return Failure(type(error).__name__, str(error))

    # times --------------------------------------------------------------------------------------

    def _measure_starts(self, timed: Sequence[str]) -> dict[str, list[_Start]]:
        """Build each mode afresh several times, in turn; as a user would.

        The collector runs before each build and is on during it. One that took long when results
        were compared, and more than its share of the time, is not built once more: it counts.
        """
        self.say("fresh builds")
        share = max(LONG_START, START_BUDGET * self.budget / len(timed))
        long = {label: [self.first[label]] for label in timed if self.first[label].total > share}
        starts: dict[str, list[_Start]] = {label: long.get(label, []) for label in timed}
        deadline = time.perf_counter() + START_BUDGET * self.budget
        spent = dict.fromkeys(timed, 0.0)
        for label in [label for label in timed if label not in long] * STARTS:
            # one that would not end in time is left with the samples it has
            usual = spent[label] / max(1, len(starts[label]))
            if starts[label] and time.perf_counter() + usual > deadline:
                continue
            gc.collect()
            with failures_of(label):
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
            notes=lost_in(self.scrutiny[label], self.scrutiny[self.reference]),
            steady=median_estimate(samples[label]).scaled(1e-9),
            start=start,
            first_call=median_estimate([each.first_call for each in own]),
            built=median_estimate([sum(each.build.values()) for each in own]),
            build={
                phase: float(np.median([each.build[phase] for each in own]))
                for phase in own[0].build
            },
            passes=own[-1].passes,
            calls=timings.calls[label],
            samples=tuple((samples[label] * 1e-9).tolist()),
        )
        if mode.counts_memory and self.memory:
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

    def _attribute(self, label: str) -> tuple[Step, ...]:
        """Measure where the time of a mode is saved."""
        self.say(f"{label}, step by step")
        inputs, budget = self.inputs, ATTRIBUTION * self.budget
        climbed = climb(self.modes[label], self.workload, inputs, budget, self.seed)
        return () if climbed is None else steps_of(climbed, CONFIDENCE)

    def _below_roofs(self, cells: dict[str, TimedCell], timed: Sequence[str]) -> None:
        """Find what bounds the program in each mode of which it is known what it does."""
        counts = {label: self.prepared[label].count_work for label in timed}
        counted = {label: count() for label, count in counts.items() if count is not None}
        for label, work in works_of({name: self.modes[name] for name in timed}, counted).items():
            self.say(f"{label}, overhead")
            overhead = measure_overhead(self.modes[label], work.gradients)
            cells[label] = below_roofs(cells[label], work, overhead)
