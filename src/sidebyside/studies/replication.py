"""Repeat the whole experiment: every mode in fresh processes, in turns, until it is decided.

A replicate starts a process for each mode, and another one for the reference: the control. All
stand still while one of them runs. Programs are looked at after few replicates and after more
(`sidebyside.measuring.replicates.looks`); those whose verdicts are sure are left out of the next.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

import numpy as np

from oplibrary.messages.errors import DisagreementError, WorkloadError
from oplibrary.values.types import Array
from sidebyside.measuring.agreement import Difference, check_agreement, compare_results
from sidebyside.measuring.bottleneck import Overhead
from sidebyside.measuring.drift import unsettled
from sidebyside.measuring.memory import Memory
from sidebyside.measuring.replicates import (
    FEWEST,
    confidence_at,
    effects_of,
    looks,
    mean_estimate,
    ratio_estimate,
    smallest_visible,
    time_estimate,
)
from sidebyside.measuring.scrutiny import Scrutiny, lost_in, said_of
from sidebyside.modes import Counted
from sidebyside.results.cell import Failure
from sidebyside.results.comparison import Replicate, Row, TimedCell
from sidebyside.studies.explaining.attribution import Climbed, steps_of, together
from sidebyside.studies.explaining.roofline import below_roofs, bottleneck_of_dynamic, works_of
from sidebyside.studies.mode_process import Built, ModeProcessError
from sidebyside.studies.settings import Report, Settings
from sidebyside.studies.subject import Subject
from sidebyside.studies.team import CONTROL, Team

BLOCKS = 24
"""Blocks of a replicate, where calls are short."""

MOST_BLOCKS = 40
LONGEST_BLOCK, SHORTEST_BLOCK = 5e-3, 20e-6
"""Seconds of a block; one call takes as long as it does."""

START_BUDGET = 4
"""What starts may take, in budgets, before no further replicate is begun."""

PRECISE = 0.1
"""Half width of an interval of a log ratio with which its sure verdict is good enough."""

ALIKE = 0.003
"""Half width with which modes that do not differ need no further replicate."""

ATTRIBUTION = 2
"""Budgets that finding out where time is saved takes for each mode, beside the samples."""

CALLS_COMPARED = 3
"""Calls whose results are compared: programs may have state."""

OTHER_DRAWS = (
    "its results change from call to call: if random numbers do that, such as a dropout's, each "
    "mode draws its own; compare it without, as after model.eval(), or pass them as an input; what "
    "the program keeps from call to call, a trace changes once: take it as an input and return it"
)
"""What to do about two modes that disagree on a program whose calls differ in one mode already."""


class Experiment:
    """One program in all its modes, replicate after replicate."""

    def __init__(self, subject: Subject, settings: Settings, say: Report) -> None:
        self.subject = subject
        self.settings = settings
        self.packed = subject.packed()
        self.say = say
        self.rng = np.random.default_rng(settings.seed)
        self.reference = ""
        self.timed: list[str] = []
        self.failures: dict[str, Failure] = {}
        self.differences: dict[str, Difference] = {}
        self.replicates: dict[str, list[Replicate]] = {}
        self.built: dict[str, list[Built]] = {}
        self.memory: dict[str, tuple[Memory | None, int | None]] = {}
        self.counted: dict[str, Counted | None] = {}
        self.overheads: dict[str, Overhead] = {}
        self.climbed: dict[str, list[Climbed]] = {}
        self.unclimbed: dict[str, str] = {}
        # the results of the first calls
        self.found: dict[str, list[list[Array]]] = {}
        self.scrutiny: dict[str, Scrutiny] = {}
        self.calls: dict[str, int] = {}
        self.pools: dict[str, list[dict[str, Any]]] = {}
        self.notes: list[str] = []
        self.starting = 0.0
        self.done = False
        # references that failed later
        self.lost: list[str] = []

    @property
    def count(self) -> int:
        """How many replicates there are of every mode."""
        return min((len(found) for found in self.replicates.values()), default=0)

    def run(self, team: Team) -> None:
        """Make one replicate."""
        first = not self.reference
        if first:
            self._first_results(team)
        labels = [*self.timed, CONTROL] if self.timed else []
        starts: dict[str, tuple[float, float]] = {}
        order = [labels[position] for position in self.rng.permutation(len(labels))]
        for label in order:
            if not first:
                self.say(f"{self.subject.label}: {label}, start {self.count + 1}")
                self._try(team, label, self._start)
        for label in order:
            if self._try(team, label, self._warm_start):
                starts[label] = self._last_start
        self._blocks(team, [label for label in labels if label in starts], starts)
        if first:
            for label in list(self.timed):
                self._try(team, label, self._examine)
                self._try(team, label, self._remember)
            self._describe()
            self._count(team)
        if self.settings.attribute:
            for label in list(self.timed):
                self._attribute(team, label)
        if not self.timed or (self.reference not in self.timed):
            self.done = True

    # starts -------------------------------------------------------------------------------------

    def _try(self, team: Team, label: str, action: Callable[[Team, str], None]) -> bool:
        """Do something with a mode; where that fails, the mode is a failure from then on."""
        if label != CONTROL and label in self.failures:
            return False
        try:
            action(team, label)
        except ModeProcessError as error:
            self._fail(label, Failure(error.kind or "ModeProcessError", error.text))
            return False
        return True

    def _fail(self, label: str, failure: Failure) -> None:
        self.failures[label] = failure
        if label == CONTROL:
            return
        self.replicates.pop(label, None)
        if label in self.timed:
            self.timed.remove(label)
        if label == self.reference and self.timed:
            self.reference = self.timed[0]
            self.replicates.pop(CONTROL, None)
            self.lost.append(label)
            self.done = True

    def _start(self, team: Team, label: str) -> None:
        team.ask(label, "take", self.packed)
        built = team.ask(label, "build")
        self.built.setdefault(label, []).append(built)
        self.starting += built.start

    def _warm_start(self, team: Team, label: str) -> None:
        warm = team.ask(label, "build").start
        self._last_start = self.built[label][-1].start, warm
        self.starting += warm

    def _first_results(self, team: Team) -> None:
        """Start every mode, and compare what they compute."""
        found: dict[str, list[list[Array]]] = {}
        for label in self.subject.modes:
            self.say(f"{self.subject.label}: {label}, first results")
            if self._try(team, label, lambda t, at: self._results(t, at, found)):
                self.reference = self.reference or label
        if not self.reference:
            return
        team.repeat(self.reference)
        self._try(team, CONTROL, lambda t, at: self._results(t, at, found))
        self.failures.pop(CONTROL, None)
        alike = CONTROL in found and _alike(
            found[CONTROL], found[self.reference], self.subject.workload.tolerance
        )
        if not alike:
            self.notes.append(
                "it is not deterministic: in two processes, from the same seed, it gives other "
                "numbers; only kinds and shapes of results were compared"
            )
        self.timed = [label for label in found if label not in (CONTROL, *self.failures)]
        for label in [label for label in self.timed if label != self.reference]:
            self._agree(label, found, alike)
        self.found = found

    def _results(self, team: Team, label: str, found: dict[str, list[list[Array]]]) -> None:
        self._start(team, label)
        first = self.built[label][-1].results
        calls = [first, *team.ask(label, "results", CALLS_COMPARED - 1)]
        try:
            found[label] = list(map(self.subject.numbers, calls))
        except WorkloadError as error:
            raise ModeProcessError(str(error), "WorkloadError", str(error)) from error

    def _agree(self, label: str, found: Mapping[str, list[list[Array]]], alike: bool) -> None:
        modes = self.subject.modes
        exact = modes[label].exact and modes[self.reference].exact
        tolerance = None if exact else self.subject.workload.tolerance
        try:
            for mine, other in zip(found[label], found[self.reference], strict=True):
                difference = check_agreement(
                    mine,
                    other,
                    pair=f"{label} and {self.reference}",
                    tolerance=tolerance if alike else math.inf,
                )
                self.differences.setdefault(label, difference)
        except DisagreementError as error:
            calls = found[self.reference]
            if not _alike([calls[0]], [calls[1]], 0.0):
                error.fix = OTHER_DRAWS
            self._fail(label, Failure(type(error).__name__, str(error)))

    def _examine(self, team: Team, label: str) -> None:
        self.scrutiny[label] = team.ask(label, "examine")

    def _describe(self) -> None:
        """Say what is to be known before any figure."""
        if not self.timed:
            return
        seen = self.scrutiny.get(self.reference, Scrutiny())
        calls = self.found[self.reference]
        if not seen.writes and not _alike([calls[0]], [calls[1]], 0.0):
            self.notes.append(
                f"its results change from call to call, by state or random numbers: the first "
                f"{CALLS_COMPARED} calls of each mode were compared"
            )
        if not calls[0]:
            self.notes.append("it returns nothing, so nothing was compared")
        self.notes += said_of(seen)

    def _remember(self, team: Team, label: str) -> None:
        if self.settings.memory:
            self.say(f"{self.subject.label}: {label}, memory")
            self.memory[label] = team.ask(label, "memory")
        self.pools[label] = team.ask(label, "pools")

    def _count(self, team: Team) -> None:
        """Find out what a call does in each mode, and what the mode takes beside it."""
        for label in list(self.timed):
            self._try(team, label, self._count_work)
        modes = {label: self.subject.modes[label] for label in self.timed}
        for label, work in works_of(modes, self.counted).items():
            self.say(f"{self.subject.label}: {label}, overhead")
            with suppress(ModeProcessError):  # then nothing is said of what bounds it
                self.overheads[label] = team.ask(label, "overhead", work.gradients)

    def _count_work(self, team: Team, label: str) -> None:
        self.counted[label] = team.ask(label, "count_work")

    # steady calls -------------------------------------------------------------------------------

    def _blocks(
        self, team: Team, labels: list[str], starts: Mapping[str, tuple[float, float]]
    ) -> None:
        """Time blocks of all modes in turns, in an order drawn anew for each."""
        self.say(f"{self.subject.label}: steady state")
        warm: dict[str, float] = {}

        def warm_up(team: Team, label: str) -> None:
            warm[label] = team.ask(label, "warm_up") * 1e-9

        labels = [label for label in labels if self._try(team, label, warm_up)]
        if not labels:
            return
        share = self.settings.budget / self.settings.replicates
        length = min(LONGEST_BLOCK, max(SHORTEST_BLOCK, share / (len(labels) * BLOCKS)))
        calls = {label: max(1, int(length / max(warm[label], 1e-9))) for label in labels}
        each = sum(warm[label] * (calls[label] + 1) for label in labels)
        count = int(min(MOST_BLOCKS, max(2, share / max(each, 1e-9))))
        taken: dict[str, list[float]] = {label: [] for label in labels}

        def block(team: Team, label: str) -> None:
            taken[label].append(team.ask(label, "block", calls[label]))

        for _ in range(count):
            for position in self.rng.permutation(len(labels)):
                self._try(team, labels[position], block)
        self.calls.update(calls)
        whole = [label for label in labels if len(taken[label]) == count]
        if self.lost:
            whole = [label for label in whole if label in self.timed]
        elif CONTROL not in whole:  # its replicates and the reference's are taken in pairs
            self.notes.append(f"one repetition is left out: {CONTROL} failed in it")
            return
        for label in whole:
            blocks = np.array(taken[label])
            self.replicates.setdefault(label, []).append(Replicate(*starts[label], blocks))

    def _attribute(self, team: Team, label: str) -> None:
        """Measure the steps of a mode; one whose steps fail has times all the same."""
        if label in self.unclimbed:
            return
        self.say(f"{self.subject.label}: {label}, step by step")
        budget = ATTRIBUTION * self.settings.budget / self.settings.replicates
        try:
            climbed = team.ask(label, "climb", budget, int(self.rng.integers(1 << 31)))
        except ModeProcessError as error:
            self.unclimbed[label] = f"its steps could not be measured: {error}"
        else:
            if climbed is not None:
                self.climbed.setdefault(label, []).append(climbed)

    # verdicts -----------------------------------------------------------------------------------

    def look(self) -> None:
        """Decide whether more replicates would tell more."""
        count, settings = self.count, self.settings
        if self.done or count < min(FEWEST, settings.replicates):
            return
        if self.starting > START_BUDGET * settings.budget and count >= FEWEST:
            self.done = True
        if count not in looks(settings.replicates):
            return
        confidence = confidence_at(count, settings.replicates)
        self.done = (
            self.done
            or count >= settings.replicates
            or all(
                self._is_sure(label, confidence) for label in self.timed if label != self.reference
            )
        )

    def _is_sure(self, label: str, confidence: float) -> bool:
        pairs = self._blocks_of(label), self._blocks_of(self.reference)
        effects = effects_of(*map(_shortest(pairs), pairs))
        found = mean_estimate(effects, confidence)
        half = (found.high - found.low) / 2
        if found.low <= 0 <= found.high:
            return half < ALIKE
        return half < max(PRECISE, abs(found.value) / 4)

    def _blocks_of(self, label: str) -> list[Any]:
        return [each.blocks for each in self.replicates.get(label, ())]

    def row(self) -> Row:
        """Return what was found."""
        count, subject = self.count, self.subject
        confidence = confidence_at(count, self.settings.replicates) if count else 0.99
        control = visible = None
        if count >= 2 and CONTROL in self.replicates:
            pair = self._blocks_of(CONTROL)[:count], self._blocks_of(self.reference)[:count]
            control = ratio_estimate(*pair, confidence)
            visible = smallest_visible(effects_of(*pair), max(count, self.settings.replicates))
        works = works_of({label: subject.modes[label] for label in self.timed}, self.counted)
        cells = [
            below_roofs(self._cell(label, confidence), works.get(label), self.overheads.get(label))
            for label in subject.modes
        ]
        row = Row(
            subject.workload.name,
            subject.workload.title,
            subject.size,
            tuple(cells),
            self.reference if self.timed and count else "",
            bottleneck_of_dynamic(cells),
            subject.several,
            control,
            visible,
            count,
            confidence,
            tuple(self.notes),
            parameter=subject.parameter,
        )
        if self.lost and row.reference:
            what = (
                f"{' and '.join(self.lost)} failed after the first results, with which all were "
                f"compared: {row.reference} is the reference, without a control"
            )
            row = replace(row, notes=(*row.notes, what))
        elif row.trusted:
            return row
        return replace(row, cells=tuple(replace(cell, withheld=True) for cell in row.cells))

    def _cell(self, label: str, confidence: float) -> TimedCell:
        failure, own = self.failures.get(label), self.replicates.get(label, [])[: self.count]
        if failure is not None or not own:
            return TimedCell(label, failure)
        built = self.built[label]
        memory, planned = self.memory.get(label, (None, None))
        climbed = self.climbed.get(label, ())
        cell = TimedCell(
            label,
            steady=time_estimate([each.steady for each in own], confidence),
            start=time_estimate([each.start for each in own], confidence),
            warm_start=time_estimate([each.warm for each in own], confidence),
            first_call=time_estimate([each.first_call for each in built], confidence),
            built=time_estimate([sum(each.build.values()) for each in built], confidence),
            build={
                phase: float(np.median([each.build[phase] for each in built]))
                for phase in built[0].build
            },
            passes=built[-1].passes,
            calls=self.calls[label],
            memory=memory,
            planned_bytes=planned,
            replicates=tuple(own),
            notes=self._notes_on(label),
            steps=steps_of(together(climbed), confidence) if climbed else (),
        )
        reference = self.replicates.get(self.reference, [])[: len(own)]
        if label == self.reference or not reference:
            return cell
        row = Row(
            "", "", "", (cell, TimedCell("", replicates=tuple(reference))), confidence=confidence
        )
        return replace(
            cell,
            difference=self.differences.get(label),
            ratio=ratio_estimate(
                [each.blocks for each in own], [each.blocks for each in reference], confidence
            ),
            break_even=row.break_even(label, ""),
        )

    def _notes_on(self, label: str) -> tuple[str, ...]:
        mine, other = self.scrutiny.get(label), self.scrutiny.get(self.reference)
        notes = [] if mine is None or other is None else list(lost_in(mine, other))
        if label in self.unclimbed:
            notes.append(self.unclimbed[label])
        trouble = unsettled(self._blocks_of(label))
        return (*notes, trouble) if trouble else tuple(notes)


def _shortest(pairs: tuple[list[Any], ...]) -> Callable[[list[Any]], list[Any]]:
    count = min(map(len, pairs))
    return lambda blocks: blocks[:count]


def _alike(
    one: Sequence[Sequence[Array]], other: Sequence[Sequence[Array]], tolerance: float
) -> bool:
    """Tell whether the results of calls are the same within a tolerance."""
    try:
        return all(
            compare_results(x, y).relative <= tolerance for x, y in zip(one, other, strict=True)
        )
    except DisagreementError:
        return False


def replicate_all(
    subjects: Sequence[Subject], settings: Settings, say: Report, kept: list[Experiment]
) -> None:
    """Repeat the experiments of all programs until each is decided.

    Parameters
    ----------
    subjects : sequence of Subject
        All of the same modes.
    settings : Settings
    say : callable
    kept : list of Experiment
        Takes the experiments, so that whoever interrupts this finds what was measured.

    Raises
    ------
    CannotTravelError
        If a program has no form in which another process could take it.
    """
    modes = subjects[0].packed_modes()
    kept += [Experiment(subject, settings, say) for subject in subjects]
    began = time.monotonic()

    def say_left(text: str) -> None:
        passed = time.monotonic() - began
        left = (
            f", at most {passed / made * (settings.replicates - made):.0f} s left" if made else ""
        )
        say(f"{text}{left}")

    for experiment in kept:
        experiment.say = say_left
    for made in range(settings.replicates):  # noqa: B007  say_left reads it
        waiting = [each for each in kept if not each.done]
        if not waiting or time.monotonic() > settings.deadline:
            return
        with Team(modes, settings.time_limit) as team:
            for experiment in waiting:
                if experiment.reference:
                    team.repeat(experiment.reference)
                experiment.run(team)
                experiment.look()
