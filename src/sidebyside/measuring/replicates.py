"""Estimates from replicates: whole repetitions of an experiment, processes and builds included.

A replicate starts every mode in a process of its own, builds it, and times blocks of calls in
turns. What a process happens to be given (addresses, the order of its pages, a build's choices) is
the same in all its blocks, so more blocks do not make it smaller: an interval made of blocks alone
is too narrow. Here all blocks of a replicate come to one number, the effect in that replicate, and
the interval follows from how much these numbers vary. With as many repetitions at each level the
variance of the highest level holds that of all below it (Kalibera and Jones, "Rigorous Benchmarking
in Reasonable Time", ISMM 2013, sections 6 and 7; there, too, the effect is a ratio of times). The
effects are logarithms of ratios, which are symmetric where two modes are alike.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from sidebyside.measuring.statistics import CONFIDENCE, BreakEven, Estimate

Numbers = npt.NDArray[np.float64]

FEWEST = 3
"""Replicates before the first look at the result."""

SPENDING = 2.0
"""Exponent of the spending function: little of the allowed error is spent on early looks."""

POWER = 0.9
"""How surely a difference is found that is called visible."""


def t_quantile(degrees: float, probability: float) -> float:
    """Return the quantile of Student's t distribution."""
    from scipy.special import stdtrit

    return float(stdtrit(degrees, probability))


def looks(most: int, fewest: int = FEWEST) -> tuple[int, ...]:
    """Return after how many replicates the result is looked at, `most` being the last.

    Examples
    --------
    >>> looks(12), looks(3), looks(2)
    ((3, 6, 12), (3,), (2,))
    """
    found = [most]
    while found[0] // 2 >= fewest:
        found.insert(0, found[0] // 2)
    return tuple(found)


def confidence_at(count: int, most: int, confidence: float = CONFIDENCE) -> float:
    """Return the confidence of an interval at one look, so that all looks together keep theirs.

    Whoever looks several times and stops at the first difference errs more often than an interval
    says. The allowed error is spent over the looks by the power family of spending functions (Lan
    and DeMets, Biometrika 70, 1983; Kim and DeMets, Biometrika 74, 1987); what each look is given
    bounds its own error, so the sum bounds that of all, whatever their dependence. At a number that
    is no look, measuring was ended from outside, and all that is left is spent.

    Examples
    --------
    >>> sum(1 - confidence_at(count, 12) for count in looks(12)) <= 0.01 + 1e-12
    True
    >>> confidence_at(3, 3)
    0.99
    """
    at, planned = looks(most), most
    if count not in at:  # ended from outside, not by what was seen: what is left is spent
        at = (*(look for look in at if look < count), count)
        most = count
    place = at.index(count)
    spent = float((at[place - 1] / planned) ** SPENDING) if place else 0.0
    share = float((count / most) ** SPENDING) - spent
    return 1 - (1 - confidence) * share


def mean_estimate(effects: Sequence[float] | Numbers, confidence: float = CONFIDENCE) -> Estimate:
    """Return the mean of one number a replicate, with Student's interval.

    Fewer than two have no interval; their confidence is 0.

    Examples
    --------
    >>> found = mean_estimate([1.0, 2.0, 3.0], 0.99)
    >>> found.value, round(found.high - found.value, 2), found.known
    (2.0, 5.73, True)
    """
    values = np.asarray(effects, np.float64)
    count, mean = len(values), float(np.mean(values))
    if count < 2:
        return Estimate(mean, mean, mean, 0.0, count)
    half = float(half_width(values, confidence))
    return Estimate(mean, mean - half, mean + half, max(confidence, CONFIDENCE), count)


def time_estimate(seconds: Sequence[float] | Numbers, confidence: float = CONFIDENCE) -> Estimate:
    """Return the geometric mean of one time a replicate, with an interval of times.

    Examples
    --------
    >>> found = time_estimate([1.0, 2.0, 4.0])
    >>> round(found.value, 6), 0 < found.low < 2 < found.high
    (2.0, True)
    """
    values = np.asarray(seconds, np.float64)
    if np.any(values <= 0):  # a phase that does not exist takes no time at all
        return mean_estimate(values, confidence)
    return _exponential(mean_estimate(np.log(values), confidence))


def _exponential(found: Estimate) -> Estimate:
    logs = found.value, found.low, found.high
    value, low, high = (math.exp(max(-700.0, min(x, 700.0))) for x in logs)
    return Estimate(value, low, high, found.confidence, found.count)


def half_width(effects: Numbers, confidence: float = CONFIDENCE) -> Any:
    """Return half the width of Student's interval, along the last axis."""
    count = effects.shape[-1]
    spread = np.std(effects, axis=-1, ddof=1)
    return t_quantile(count - 1, 1 - (1 - confidence) / 2) * spread / math.sqrt(count)


def log_ratios(samples: Numbers, reference: Numbers) -> Numbers:
    """Return the effect in each replicate: the median log ratio of its blocks, taken in pairs.

    Parameters
    ----------
    samples, reference : ndarray of shape (..., replicates, blocks)
        Times of a call; blocks of one place were taken one after the other.

    Returns
    -------
    ndarray of shape (..., replicates)
    """
    found: Numbers = np.median(np.log(samples) - np.log(reference), axis=-1)
    return found


def ratio_estimate(
    samples: Sequence[Numbers], reference: Sequence[Numbers], confidence: float = CONFIDENCE
) -> Estimate:
    """Return how many times as long as the reference a mode takes.

    Parameters
    ----------
    samples, reference : sequence of ndarray
        The blocks of each replicate; those of one replicate are as many in both.

    Examples
    --------
    >>> blocks = [np.full(8, 2.0), np.full(8, 2.02), np.full(8, 1.98)]
    >>> found = ratio_estimate(blocks, [np.ones(8)] * 3)
    >>> round(found.value, 2), found.low < 2 < found.high
    (2.0, True)
    """
    return _exponential(mean_estimate(effects_of(samples, reference), confidence))


def ratio_of_two(
    logs: Sequence[float] | Numbers,
    reference: Sequence[float] | Numbers,
    confidence: float = CONFIDENCE,
) -> Estimate:
    """Return the ratio of two times that were measured apart, with Welch's interval.

    Parameters
    ----------
    logs, reference : sequence of float
        Logarithms of times, one a replicate, two at least; the variances may differ (Welch,
        Biometrika 34, 1947).

    Examples
    --------
    >>> found = ratio_of_two(np.log([2.0, 2.02, 1.98, 2.0]), np.log([1.0, 1.01, 0.99]))
    >>> round(found.value, 2), found.low < 2 < found.high, found.known
    (2.0, True, True)
    """
    one, other = np.asarray(logs, np.float64), np.asarray(reference, np.float64)
    value = float(np.mean(one) - np.mean(other))
    half = _welch_half_width(one, other, confidence)
    found = Estimate(value, value - half, value + half, confidence, min(len(one), len(other)))
    return _exponential(found)


def visible_between(
    logs: Sequence[float] | Numbers,
    reference: Sequence[float] | Numbers,
    confidence: float = CONFIDENCE,
) -> float | None:
    """Return the smallest relative difference that `ratio_of_two` finds with `POWER`.

    None where one of them has fewer than two replicates.

    Examples
    --------
    >>> round(visible_between([0.0, 0.01, -0.01, 0.0], [0.0, 0.01, -0.01, 0.0]), 3)
    0.03
    """
    one, other = np.asarray(logs, np.float64), np.asarray(reference, np.float64)
    if min(len(one), len(other)) < 2:
        return None
    half = _welch_half_width(one, other, confidence)
    power = _welch_half_width(one, other, 2 * POWER - 1)
    return math.expm1(min(half + power, 700.0))


def _welch_half_width(one: Numbers, other: Numbers, confidence: float) -> float:
    parts = [float(np.var(each, ddof=1)) / len(each) for each in (one, other)]
    whole = sum(parts)
    if whole == 0:
        return 0.0
    ends = (part**2 / (len(each) - 1) for part, each in zip(parts, (one, other), strict=True))
    degrees = whole**2 / sum(ends)
    return t_quantile(degrees, 1 - (1 - confidence) / 2) * math.sqrt(whole)


def effects_of(samples: Sequence[Numbers], reference: Sequence[Numbers]) -> Numbers:
    """Return the log ratio of each replicate, whose numbers of blocks may differ."""
    return np.array([float(log_ratios(x, y)) for x, y in zip(samples, reference, strict=True)])


def smallest_visible(effects: Numbers, most: int, confidence: float = CONFIDENCE) -> float:
    """Return the smallest relative difference that `most` replicates find with `POWER`.

    Parameters
    ----------
    effects : ndarray
        Log ratios of the reference to itself, one a replicate: the control.
    most : int
        Replicates when all are taken.

    Examples
    --------
    >>> round(smallest_visible(np.array([-0.01, 0.0, 0.01]), 12), 3)
    0.011
    """
    if len(effects) < 2:
        return math.inf
    # about zero, not about their mean: the control is known to have no effect
    spread = math.sqrt(float(np.mean(np.square(effects))))
    degrees = max(most - 1, 1)
    found = t_quantile(degrees, 1 - (1 - confidence_at(most, most, confidence)) / 2)
    power = t_quantile(degrees, POWER)
    return math.expm1(min((found + power) * spread / math.sqrt(most), 700.0))


def break_even_of(
    cost: Sequence[float] | Numbers, gain: Sequence[float] | Numbers, confidence: float = CONFIDENCE
) -> BreakEven:
    """Return after how many calls a mode has paid for its start, with Fieller's interval.

    In replicate `r` a mode is ahead of another after `n` calls by ``(n - 1) * gain[r] - cost[r]``,
    in seconds or in another unit of that replicate. The interval holds every `n` for which the mean
    of that may be zero, so it counts that cost and gain of one replicate vary together (Fieller,
    J. R. Stat. Soc. B 16, 1954).

    Parameters
    ----------
    cost : sequence of float
        How much longer the start takes than that of the other, one number a replicate.
    gain : sequence of float
        How much shorter each later call is.

    Examples
    --------
    >>> found = break_even_of([1.0, 1.1, 0.9], [0.01, 0.01, 0.01])
    >>> round(found.calls), found.low < 101 < found.high, found.known
    (101, True, True)
    >>> break_even_of([1.0, 1.1, 0.9], [-0.01, -0.01, -0.01]).never
    True
    """
    cost, gain = np.asarray(cost, np.float64), np.asarray(gain, np.float64)
    count, mean_cost, mean_gain = len(cost), float(np.mean(cost)), float(np.mean(gain))
    calls = _calls(mean_cost, mean_gain)
    if count < 2:
        return BreakEven(calls, 1.0, math.inf, False)
    t_squared = t_quantile(count - 1, 1 - (1 - confidence) / 2) ** 2
    variance = np.cov(cost, gain) / count
    # (mean_cost - m * mean_gain)**2 = t**2 * var(cost - m * gain), m the calls after the first
    a = mean_gain**2 - t_squared * float(variance[1, 1])
    b = mean_cost * mean_gain - t_squared * float(variance[0, 1])
    c = mean_cost**2 - t_squared * float(variance[0, 0])
    known = a > 0  # the gain is surely not zero
    if not known:
        return BreakEven(calls, 1.0, math.inf, False)
    if mean_gain < 0:
        return BreakEven(calls, calls, calls, True)
    root = math.sqrt(max(0.0, b * b - a * c))
    low, high = (b - root) / a, (b + root) / a
    return BreakEven(calls, max(1.0, 1 + low), max(1.0, math.ceil(1 + high)), True)


def _calls(cost: float, gain: float) -> float:
    if gain <= 0:
        return 1.0 if cost <= 0 and gain == 0 else math.inf
    return float(max(1, math.ceil(1 + cost / gain)))


def saving(
    cost: Sequence[float] | Numbers,
    gain: Sequence[float] | Numbers,
    calls: float,
    confidence: float = CONFIDENCE,
) -> Estimate:
    """Return what a mode saves over `calls` calls, its start counted, in the unit of both.

    Examples
    --------
    >>> round(saving([1.0, 1.1, 0.9], [0.01, 0.01, 0.01], 1001).value, 2)
    9.0
    """
    return mean_estimate((calls - 1) * np.asarray(gain) - np.asarray(cost), confidence)


def clopper_pearson(hits: int, trials: int, confidence: float = 0.95) -> tuple[float, float]:
    """Return the exact interval of a probability (Clopper and Pearson, Biometrika 26, 1934).

    Examples
    --------
    >>> low, high = clopper_pearson(3, 60)
    >>> round(low, 4), round(high, 4), clopper_pearson(0, 0)
    (0.0104, 0.1392, (0.0, 1.0))
    """
    from scipy.special import betaincinv

    if not trials:
        return 0.0, 1.0
    tail = (1 - confidence) / 2
    low = float(betaincinv(hits, trials - hits + 1, tail)) if hits else 0.0
    high = float(betaincinv(hits + 1, trials - hits, 1 - tail)) if hits < trials else 1.0
    return low, high
