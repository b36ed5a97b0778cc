"""Modes that do not settle: their times go on changing, or jump, while they are measured."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from sidebyside.measuring.replicates import mean_estimate

Numbers = npt.NDArray[np.float64]

LEAST = 0.02
"""A change of less than this part of the time is not worth a word."""

SHUFFLES = 499
"""Random orders that a series is compared with."""

FEWEST_BLOCKS = 12
"""Blocks of a series in which a jump can be told from noise."""


def drift(replicates: Sequence[Numbers]) -> float:
    """Return by which part a mode's times change from the first half of its blocks to the second.

    0 where that is less than `LEAST`, or where it varies so much between replicates that it may be
    noise.

    Parameters
    ----------
    replicates : sequence of ndarray
        Times of the blocks of each replicate, in the order in which they were taken.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> steady = [1 + 0.001 * rng.standard_normal(20) for _ in range(4)]
    >>> drift(steady), round(drift([each * np.linspace(1, 0.8, 20) for each in steady]), 1)
    (0.0, -0.1)
    """
    halves = []
    for blocks in replicates:
        middle = len(blocks) // 2
        if middle:
            first, second = np.median(blocks[:middle]), np.median(blocks[-middle:])
            halves.append(float(np.log(second) - np.log(first)))
    if len(halves) < 3:
        return 0.0
    found = mean_estimate(halves)
    sure = found.low > 0 or found.high < 0
    return float(np.expm1(found.value)) if sure and abs(found.value) > LEAST else 0.0


def jump(blocks: Numbers, seed: int = 0) -> tuple[int, float]:
    """Return where a series jumps, and by which part; 0 and 0.0 where it does not.

    The place is where the cumulated sum of the ranks' deviations is farthest from zero; noise alone
    explains it where one of `SHUFFLES` random orders of the same series goes as far (Taylor,
    "Change-Point Analysis", 2000). Ranks, so that single slow blocks do not count for more.

    Examples
    --------
    >>> rng = np.random.default_rng(1)
    >>> noise = 1 + 0.002 * rng.standard_normal(30)
    >>> jump(noise), jump(np.where(np.arange(30) < 10, 1.0, 1.2) * noise)[0]
    ((0, 0.0), 10)
    """
    count = len(blocks)
    if count < FEWEST_BLOCKS:
        return 0, 0.0
    ranks = np.argsort(np.argsort(blocks)) - (count - 1) / 2
    walk = np.abs(np.cumsum(ranks))[:-1]
    place = int(np.argmax(walk)) + 1
    rng = np.random.default_rng(seed)
    shuffled = rng.permuted(np.tile(ranks, (SHUFFLES, 1)), axis=1)
    if np.max(np.abs(np.cumsum(shuffled, axis=1))[:, :-1]) >= walk.max():
        return 0, 0.0
    change = float(np.median(blocks[place:]) / np.median(blocks[:place]) - 1)
    return (place, change) if abs(change) > LEAST else (0, 0.0)


def unsettled(replicates: Sequence[Numbers]) -> str:
    """Return in words that a mode never settled; empty where it did.

    Parameters
    ----------
    replicates : sequence of ndarray
        See `drift`.
    """
    change = drift(replicates)
    if change:
        word = "shorter" if change < 0 else "longer"
        return (
            f"its calls grow {word} while they are measured, by {abs(change):.0%}: it never settles"
        )
    jumps = [found for blocks in replicates if (found := jump(blocks)[1])]
    if len(jumps) > len(replicates) / 2:
        return (
            f"its times jump by {np.median(np.abs(jumps)):.0%} while they are measured, in "
            f"{len(jumps)} of {len(replicates)} processes: it has no steady state"
        )
    return ""
