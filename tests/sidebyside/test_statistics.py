"""Intervals that hold what they promise, and comparisons that never call noise a win."""

import math

import numpy as np
import pytest

from sidebyside.measuring.statistics import (
    CONFIDENCE,
    ENOUGH,
    Estimate,
    break_even,
    differs,
    interval_rank,
    median_estimate,
    paired_difference,
    paired_ratio,
)


def noisy_times(rng, rounds, modes, cost=1.0):
    """Times of equal modes on a bad machine: drift, bursts, heavy tails, and a cost of being first.

    The order inside a round is drawn at random, as `measure` does.
    """
    drift = 1 + 0.3 * np.sin(np.linspace(0, 5, rounds))
    burst = np.where(rng.random(rounds) < 0.1, 3.0, 1.0)
    times = np.empty((modes, rounds))
    for taken in range(rounds):
        for place, mode in enumerate(rng.permutation(modes)):
            own = cost * rng.lognormal(0, 0.1) + (rng.pareto(2.0) if rng.random() < 0.05 else 0)
            times[mode, taken] = drift[taken] * burst[taken] * own * (1.1 if place == 0 else 1.0)
    return times


@pytest.mark.parametrize("count", [8, 9, 20, 101, 400])
@pytest.mark.parametrize("confidence", [0.9, 0.95, 0.99])
def test_ranks_are_those_of_the_binomial_distribution(count, confidence):
    binomial = pytest.importorskip("scipy.stats").binom(count, 0.5)
    rank, reached = interval_rank(count, confidence)
    assert reached == pytest.approx(1 - 2 * binomial.cdf(rank))
    if reached >= confidence:
        assert 1 - 2 * binomial.cdf(rank + 1) < confidence
    else:
        assert rank == 0


def test_fewest_samples_are_just_enough():
    assert median_estimate(range(ENOUGH)).known
    assert not median_estimate(range(ENOUGH - 1)).known


@pytest.mark.parametrize("count", [1, 2, 3, 7])
def test_few_samples_give_their_range_and_no_verdict(count):
    estimate = median_estimate([2.0 + i for i in range(count)])
    assert (estimate.low, estimate.high) == (2.0, 1.0 + count)
    assert not estimate.known
    assert not differs(estimate)


def test_no_samples_are_refused():
    with pytest.raises(ValueError, match="at least one"):
        median_estimate([])


def test_interval_holds_the_median_as_often_as_promised():
    rng = np.random.default_rng(1)
    held = 0
    for _ in range(1000):
        estimate = median_estimate(rng.exponential(size=25))
        held += estimate.low <= math.log(2) <= estimate.high
    assert held / 1000 >= CONFIDENCE - 0.01


def test_a_mode_against_itself_shows_no_difference():
    rng = np.random.default_rng(2)
    verdicts = [differs(paired_ratio(*noisy_times(rng, rounds=40, modes=2))) for _ in range(400)]
    assert np.mean(verdicts) <= 0.05


@pytest.mark.parametrize("rounds", [8, 40, 150])
def test_a_ratio_lies_in_its_interval_as_often_as_promised(rounds):
    rng = np.random.default_rng(rounds)
    held = 0
    for _ in range(400):
        first, second = noisy_times(rng, rounds, modes=2)
        ratio = paired_ratio(1.7 * first, second)
        held += ratio.low <= 1.7 <= ratio.high
    assert held / 400 >= CONFIDENCE - 0.02


def test_break_even_lies_in_its_interval_as_often_as_promised():
    rng = np.random.default_rng(5)
    start, reference_start, steady, reference_steady = 1.0, 0.1, 0.010, 0.013
    true = 1 + (start - reference_start) / (reference_steady - steady)
    held = 0
    for _ in range(300):
        shared = rng.lognormal(0, 0.3, 60)  # what a round suffers; its median is 1
        gain = paired_difference(reference_steady * shared, steady * shared)
        starts = median_estimate(start * rng.lognormal(0, 0.1, 9))
        reference_starts = median_estimate(reference_start * rng.lognormal(0, 0.1, 9))
        even = break_even(starts, reference_starts, gain)
        held += even.low <= true <= even.high + 1
    assert held / 300 >= CONFIDENCE - 0.02


def test_a_real_difference_is_found_in_the_same_noise():
    rng = np.random.default_rng(3)
    found = 0
    for _ in range(100):
        first, second = noisy_times(rng, rounds=100, modes=2)
        ratio = paired_ratio(1.2 * first, second)
        found += differs(ratio) and ratio.value > 1
    assert found >= 95


def test_pairing_removes_what_both_modes_suffer():
    rng = np.random.default_rng(4)
    shared = rng.lognormal(0, 2, size=50)
    ratio = paired_ratio(shared * 1.01, shared)
    assert ratio.low == pytest.approx(1.01)
    assert differs(ratio)


def test_inverse_of_a_ratio_turns_its_interval_around():
    estimate = Estimate(2.0, 1.6, 2.5, 0.99, 10)
    assert estimate.inverse() == Estimate(0.5, 0.4, 0.625, 0.99, 10)


def exactly(seconds):
    return median_estimate([seconds] * ENOUGH)


def between(low, value, high):
    return Estimate(value, low, high, CONFIDENCE, 20)


def test_break_even_is_the_first_call_that_is_ahead_in_total():
    start, reference_start, steady, reference_steady = 1.0, 0.25, 0.5, 0.75
    found = break_even(exactly(start), exactly(reference_start), exactly(reference_steady - steady))
    calls = int(found.calls)

    def ahead(n):
        return start + (n - 1) * steady <= reference_start + (n - 1) * reference_steady

    assert ahead(calls)
    assert not ahead(calls - 1)


def test_break_even_widens_by_both_intervals():
    found = break_even(between(0.9, 1.0, 1.1), between(0.1, 0.2, 0.3), between(0.05, 0.1, 0.2))
    assert (found.low, found.calls, found.high) == (4, 9, 21)
    assert found.known


@pytest.mark.parametrize(
    ("gain", "known", "never"),
    [
        (between(-0.3, -0.2, -0.1), True, True),
        (between(-0.1, 0.1, 0.3), False, False),
        (between(0.1, 0.2, 0.3), True, False),
    ],
)
def test_break_even_is_only_known_where_the_gain_is(gain, known, never):
    found = break_even(exactly(1.0), exactly(0.0), gain)
    assert (found.known, found.never) == (known, never)


def test_a_mode_that_starts_earlier_is_ahead_at_once():
    found = break_even(exactly(0.1), exactly(0.2), exactly(0.01))
    assert found.calls == 1
    assert found.at_once


def test_differences_are_paired():
    difference = paired_difference([3.0] * 8, [1.0] * 8)
    assert (difference.low, difference.value, difference.high) == (2.0, 2.0, 2.0)
