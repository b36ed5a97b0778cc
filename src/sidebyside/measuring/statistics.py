"""Medians and their confidence intervals, without assuming any distribution.

The interval of a median runs between two order statistics, whose ranks the binomial distribution
gives (Conover, *Practical Nonparametric Statistics*, 3rd ed., section 3.2). Two modes are compared
by the ratio of their times in one round; since the order inside a round is drawn at random, a mode
against itself gives a ratio above 1 as often as below, whatever the noise, and the interval of the
median ratio then holds 1 at least as often as the confidence says.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
import numpy.typing as npt

CONFIDENCE = 0.99
"""Of every interval that is shown."""

ENOUGH = 8
"""Fewest samples whose interval can have that confidence: 1 - 2 / 2**8 = 0.992."""

Samples = Sequence[float] | npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Estimate:
    """A median with its confidence interval.

    Attributes
    ----------
    value : float
        The median.
    low, high : float
        Ends of the interval; the least and the largest sample where there are too few of them.
    confidence : float
        The probability that the interval holds the true median, at least.
    count : int
        Samples behind it.
    """

    value: float
    low: float
    high: float
    confidence: float
    count: int

    @property
    def known(self) -> bool:
        """Whether there are enough samples for an interval of `CONFIDENCE`."""
        return self.confidence >= CONFIDENCE

    def unsound(self) -> str:
        """Return what in it cannot be; empty where nothing is wrong."""
        if not self.low <= self.value <= self.high:
            return f"{self.value:g} does not lie from {self.low:g} to {self.high:g}"
        return "" if 0 <= self.confidence <= 1 else f"a confidence of {self.confidence:g}"

    def scaled(self, factor: float) -> Estimate:
        """Return the estimate in another unit."""
        value, low, high = (x * factor for x in (self.value, self.low, self.high))
        return replace(self, value=value, low=low, high=high)

    def inverse(self) -> Estimate:
        """Return the estimate of one over it; the median of a ratio turned around."""
        return Estimate(1 / self.value, 1 / self.high, 1 / self.low, self.confidence, self.count)


@lru_cache(maxsize=4096)
def interval_rank(count: int, confidence: float = CONFIDENCE) -> tuple[int, float]:
    """Return the rank of the interval's lower end, and the confidence it reaches.

    The interval runs from the sample of that rank, counted from 0 in ascending order, to the one
    of the same rank counted from the largest.

    Examples
    --------
    >>> interval_rank(8, 0.99)
    (0, 0.9921875)
    >>> interval_rank(100, 0.95)[0]
    39
    """
    total = 1 << count
    allowed = (1 - confidence) * total / 2
    rank, tail, term = 0, 1, 1
    while True:
        term = term * (count - rank) // (rank + 1)
        if tail + term > allowed or rank + 1 >= count // 2:
            break
        rank += 1
        tail += term
    return rank, max(0.0, 1 - 2 * tail / total)


def median_estimate(samples: Samples, confidence: float = CONFIDENCE) -> Estimate:
    """Return the median of `samples` with its interval.

    Examples
    --------
    >>> estimate = median_estimate([3.0, 1.0, 2.0, 5.0, 4.0, 7.0, 6.0, 8.0, 9.0])
    >>> estimate.value, estimate.low, estimate.high, estimate.known
    (5.0, 1.0, 9.0, True)
    """
    ordered = np.sort(np.asarray(samples, np.float64))
    count = len(ordered)
    if not count:
        raise ValueError("a median needs at least one sample")
    rank, reached = interval_rank(count, confidence)
    return Estimate(
        float(np.median(ordered)),
        float(ordered[rank]),
        float(ordered[count - 1 - rank]),
        reached,
        count,
    )


def paired_ratio(samples: Samples, reference: Samples) -> Estimate:
    """Return the median of ``samples / reference``, taken round by round.

    Parameters
    ----------
    samples, reference : sequences of float
        Times of the same rounds, in the same order.
    """
    return median_estimate(np.asarray(samples, np.float64) / np.asarray(reference, np.float64))


def paired_difference(samples: Samples, reference: Samples) -> Estimate:
    """Return the median of ``samples - reference``, taken round by round."""
    return median_estimate(np.asarray(samples, np.float64) - np.asarray(reference, np.float64))


def differs(ratio: Estimate) -> bool:
    """Tell whether noise cannot explain a ratio other than 1."""
    return ratio.known and not ratio.low <= 1.0 <= ratio.high


@dataclass(frozen=True, slots=True)
class BreakEven:
    """After how many calls the mode that builds first has paid for its start.

    Attributes
    ----------
    calls, low, high : float
        From that call on it is ahead in total; ``inf`` for never, 1 where it starts ahead.
    known : bool
        Whether the steady times differ by more than noise.
    """

    calls: float
    low: float
    high: float
    known: bool

    def unsound(self) -> str:
        """Return what in it cannot be; empty where nothing is wrong."""
        if self.calls < 1 or not 1 <= self.low <= self.high:
            return f"{self.calls:g} calls, from {self.low:g} to {self.high:g}"
        return ""

    @property
    def at_once(self) -> bool:
        """Whether it is ahead from the first call on."""
        return self.known and self.calls <= 1

    @property
    def never(self) -> bool:
        """Whether it surely never pays."""
        return self.known and math.isinf(self.calls)


def break_even(start: Estimate, reference_start: Estimate, gain: Estimate) -> BreakEven:
    """Return the number of calls after which a mode is ahead of the reference, for good.

    A start is the build and the first call together. After `n` calls the mode has taken
    ``start + (n - 1) * steady``, the reference ``reference_start + (n - 1) * reference_steady``.

    Parameters
    ----------
    start, reference_start : Estimate
        Seconds until the first result.
    gain : Estimate
        Seconds that a later call saves, ``reference_steady - steady``, paired.

    Returns
    -------
    BreakEven
        Its low end takes the smallest cost and the largest gain, its high end the opposite, so
        the interval is wider than its confidence asks for. Where there are too few starts for an
        interval, their range is taken.

    Examples
    --------
    >>> def exactly(seconds):
    ...     return median_estimate([seconds] * 8)
    >>> break_even(exactly(1.0), exactly(0.0), exactly(0.125)).calls
    9.0
    >>> break_even(exactly(1.0), exactly(0.0), exactly(-0.125)).never
    True
    """

    def calls(cost: float, saved: float) -> float:
        if saved <= 0:
            return math.inf
        return float(max(1, math.ceil(1 + cost / saved)))

    return BreakEven(
        calls(start.value - reference_start.value, gain.value),
        calls(start.low - reference_start.high, gain.high),
        calls(start.high - reference_start.low, gain.low),
        gain.known and not gain.low <= 0 <= gain.high,
    )
