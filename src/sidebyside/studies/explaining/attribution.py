"""Where the time between operations one by one and a compiled program is saved, step by step."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from sidebyside.measuring.clock import measure
from sidebyside.measuring.replicates import Numbers, mean_estimate
from sidebyside.modes.mode import Mode, PassEffect
from sidebyside.results.comparison import Step
from sidebyside.workloads.workload import Workload

BATCHES = 8
"""Into so many the rounds of one process are cut, each of which comes to one number."""


@dataclass(frozen=True, slots=True)
class Climbed:
    """The times of all rungs of a mode, taken in turns.

    Attributes
    ----------
    names : tuple of str
    effects : tuple of PassEffect or None
    batches : ndarray of shape (batches, rungs)
        Seconds of a call.
    """

    names: tuple[str, ...]
    effects: tuple[PassEffect | None, ...]
    batches: Numbers


def climb(
    mode: Mode, workload: Workload, inputs: tuple[Any, ...], budget: float, seed: int = 0
) -> Climbed | None:
    """Time every rung of a mode in turns; None where the mode has none.

    Parameters
    ----------
    mode : Mode
    workload : Workload
    inputs : tuple
    budget : float
        Seconds of samples.
    seed : int
        Of the order in each round.
    """
    if mode.climb is None:
        return None
    rungs = mode.climb(workload, inputs)
    timings = measure({rung.name: rung.prepared.run for rung in rungs}, budget, seed=seed)
    rounds = np.array([timings.samples[rung.name] for rung in rungs]) * 1e-9
    batches = [
        np.median(each, axis=1) for each in np.array_split(rounds, BATCHES, axis=1) if each.size
    ]
    return Climbed(
        tuple(rung.name for rung in rungs), tuple(rung.effect for rung in rungs), np.array(batches)
    )


def together(replicates: Sequence[Climbed]) -> Climbed:
    """Return one number a rung of each replicate: of all that was taken in one process."""
    first = replicates[0]
    if len(replicates) == 1:
        return first
    medians = [np.median(each.batches, axis=0) for each in replicates]
    return Climbed(first.names, first.effects, np.array(medians))


def steps_of(climbed: Climbed, confidence: float) -> tuple[Step, ...]:
    """Return the steps between rungs, whose changes add up to that from the first to the last.

    The value of a rung is the mean over batches, so that the difference of two such values is the
    mean of the differences, and has an interval of its own.
    """
    values = climbed.batches
    return tuple(
        Step(
            name,
            mean_estimate(values[:, place], confidence),
            mean_estimate(values[:, place] - values[:, place - 1], confidence) if place else None,
            climbed.effects[place],
        )
        for place, name in enumerate(climbed.names)
    )
