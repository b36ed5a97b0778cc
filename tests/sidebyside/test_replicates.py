"""The statistics on simulated times whose variance components are known; never on time itself."""

import math

import numpy as np
import pytest
from scipy import stats

from sidebyside.measuring.drift import drift, jump, unsettled
from sidebyside.measuring.replicates import (
    break_even_of,
    clopper_pearson,
    confidence_at,
    half_width,
    log_ratios,
    looks,
    mean_estimate,
    ratio_estimate,
    saving,
    smallest_visible,
    t_quantile,
)
from sidebyside.measuring.statistics import BreakEven
from sidebyside.results.comparison import Replicate, Row, TimedCell

SLOW = (0.5, 1.0, 2.0)
EXPERIMENTS = 4000
PROCESS, BLOCK = 0.02, 0.05


def simulate(rng, experiments, replicates, blocks=24, ratio=1.0, heavy=False):
    """Return times of a mode and of its reference, of shape (experiments, replicates, blocks).

    Each process has its own speed, and each block its noise; with `heavy` some blocks are slow, as
    beside busy processes.
    """

    def one(scale):
        process = PROCESS * rng.standard_normal((experiments, replicates, 1))
        noise = BLOCK * rng.standard_normal((experiments, replicates, blocks))
        if heavy:
            noise += (rng.random(noise.shape) < 0.1) * rng.exponential(0.5, noise.shape)
        return scale * np.exp(process + noise)

    return one(ratio), one(1.0)


def bounds(hits):
    """Return the interval of a rate that all but 1 of 1000 correct runs hold."""
    return clopper_pearson(int(np.sum(hits)), len(hits), 0.999)


@pytest.mark.parametrize("heavy", [False, True])
@pytest.mark.parametrize("replicates", [3, 8])
def test_the_interval_holds_the_true_ratio_as_often_as_it_says(replicates, heavy):
    rng = np.random.default_rng(replicates)
    effects = log_ratios(*simulate(rng, EXPERIMENTS, replicates, ratio=1.3, heavy=heavy))
    half = half_width(effects, 0.99)
    low, high = bounds(np.abs(np.mean(effects, axis=-1) - math.log(1.3)) <= half)
    assert low <= 0.99 <= high


def test_blocks_alone_would_give_an_interval_that_is_too_narrow():
    rng = np.random.default_rng(1)
    mode, reference = simulate(rng, EXPERIMENTS, 3)
    blocks = (np.log(mode) - np.log(reference)).reshape(EXPERIMENTS, -1)
    covered = np.abs(np.mean(blocks, axis=-1)) <= half_width(blocks, 0.99)
    assert np.mean(covered) < 0.9


@pytest.mark.parametrize("most", [8, 12, 20])
def test_looking_several_times_keeps_the_rate_of_false_alarms(most):
    rng = np.random.default_rng(most)
    effects = log_ratios(*simulate(rng, EXPERIMENTS, most, heavy=True))
    alarm = np.zeros(EXPERIMENTS, bool)
    for count in looks(most):
        seen = effects[:, :count]
        alarm |= np.abs(np.mean(seen, axis=-1)) > half_width(seen, confidence_at(count, most))
    assert bounds(alarm)[0] <= 0.01
    assert np.mean(alarm) > 0.001  # nor is it far too careful


def test_what_the_looks_may_spend_is_spent():
    for most in (2, 3, 4, 7, 8, 20, 33):
        spent = sum(1 - confidence_at(count, most) for count in looks(most))
        assert spent == pytest.approx(0.01)
    # one that ends early from outside has what is left
    assert 1 - confidence_at(5, 8) + 1 - confidence_at(4, 8) == pytest.approx(0.01)
    assert confidence_at(3, 8) == pytest.approx(0.99)


def test_a_difference_that_is_called_visible_is_found():
    rng = np.random.default_rng(3)
    most = 8
    scale = math.hypot(PROCESS, PROCESS)
    spread = math.sqrt(scale**2 + 2 * (BLOCK * 1.25) ** 2 / 24)
    stated = smallest_visible(spread * np.array([1.0, -1.0] * 50), most)
    found = np.zeros(EXPERIMENTS, bool)
    effects = log_ratios(*simulate(rng, EXPERIMENTS, most, ratio=1 + stated))
    half = half_width(effects, confidence_at(most, most))
    found = np.mean(effects, axis=-1) - half > 0
    assert 0.85 < np.mean(found) < 0.95


def test_the_stated_difference_follows_the_control():
    rng = np.random.default_rng(4)
    quiet, loud = 0.001 * rng.standard_normal(8), 0.01 * rng.standard_normal(8)
    assert smallest_visible(loud, 8) > 3 * smallest_visible(quiet, 8)
    assert smallest_visible(quiet, 20) < smallest_visible(quiet, 8)
    assert smallest_visible(quiet[:1], 8) == math.inf


def test_break_even_lies_in_its_interval_as_often_as_it_says():
    rng = np.random.default_rng(5)
    experiments, replicates = 2000, 5
    cost = 1.0 + 0.1 * rng.standard_normal((experiments, replicates))
    gain = 0.01 + 0.001 * rng.standard_normal((experiments, replicates))
    found = [break_even_of(*pair) for pair in zip(cost, gain, strict=True)]
    assert all(each.known for each in found[:10])
    low, high = bounds(np.array([not x.known or x.low <= 101 <= x.high for x in found]))
    assert low <= 0.99 <= high


def test_break_even_knows_never_and_at_once():
    assert break_even_of([1.0, 1.1, 0.9], [-0.1, -0.11, -0.1]) == BreakEven(
        math.inf, math.inf, math.inf, True
    )
    assert break_even_of([-1.0, -1.1, -0.9], [0.1, 0.11, 0.1]).at_once
    unsure = break_even_of([1.0, 1.1, 0.9], [0.1, -0.1, 0.01])
    assert not unsure.known
    assert unsure.high == math.inf
    assert not break_even_of([1.0], [0.1]).known


def test_a_slow_process_is_slow_in_everything():
    """Processes four times as slow as others leave no doubt about what is faster in all of them."""
    replicates = {
        mode: tuple(Replicate(slow * start, slow * start, np.full(4, slow * call)) for slow in SLOW)
        for mode, start, call in (("dynamic", 1e-4, 2e-5), ("static", 2.1e-3, 1e-6))
    }
    cells = tuple(TimedCell(mode, replicates=found) for mode, found in replicates.items())
    row = Row("seed", "", "", cells, "dynamic", replicates=len(SLOW))
    even = row.break_even("static", "dynamic")
    assert even.known
    assert even.calls == 107
    assert 106 <= even.low <= even.high <= 108
    saved = row.saving("static", "dynamic", 1001)
    assert saved.value == pytest.approx(1.9e-5 * 1000 - 2e-3)
    assert saved.low > 0


def test_savings_count_the_start():
    found = saving([2.0, 2.2, 1.8], [0.01, 0.01, 0.01], 1001)
    assert found.value == pytest.approx(8.0)
    assert found.low < 8 < found.high
    assert found.known


def test_estimates_of_few_replicates_are_not_known():
    assert not mean_estimate([1.0]).known
    assert mean_estimate([1.0, 1.1]).known
    ratio = ratio_estimate([np.full(4, 2.0)] * 3, [np.ones(4)] * 3)
    assert (ratio.value, ratio.low, ratio.high) == pytest.approx((2, 2, 2))


def test_quantiles_and_rates_are_those_of_the_textbook():
    assert t_quantile(2, 0.995) == pytest.approx(stats.t.ppf(0.995, 2))
    for hits, trials in ((0, 10), (3, 60), (10, 10), (84, 100)):
        exact = stats.binomtest(hits, trials).proportion_ci(0.95, "exact")
        assert clopper_pearson(hits, trials) == pytest.approx((exact.low, exact.high))


# drift --------------------------------------------------------------------------------------------


def steady(rng, replicates=5, blocks=30):
    return [1 + 0.01 * rng.standard_normal(blocks) for _ in range(replicates)]


def test_what_is_steady_is_seldom_called_unsettled():
    rng = np.random.default_rng(6)
    called = sum(bool(unsettled(steady(rng))) for _ in range(200))
    assert called <= 2


def test_what_never_settles_is_found():
    rng = np.random.default_rng(7)
    slower = [each * np.linspace(1, 1.3, 30) for each in steady(rng)]
    assert drift(slower) == pytest.approx(0.16, abs=0.03)
    assert "grow longer" in unsettled(slower)
    places = rng.integers(8, 22, 5)
    jumping = [
        each * np.where(np.arange(30) < place, 1.0, 1.25 if number % 2 else 0.8)
        for number, (each, place) in enumerate(zip(steady(rng), places, strict=True))
    ]
    assert "jump by" in unsettled(jumping)
    place, change = jump(jumping[1])
    assert abs(place - places[1]) <= 1
    assert change == pytest.approx(0.25, abs=0.02)
