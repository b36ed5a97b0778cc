"""Samples taken with a clock that the test controls, and memory that it allocates."""

import gc

import numpy as np
import pytest

from oplibrary.messages.errors import DisagreementError
from oplibrary.values.dtypes import to_dtype
from sidebyside.measuring import clock as measuring
from sidebyside.measuring.agreement import check_agreement, compare_results, ulp_distance
from sidebyside.measuring.clock import FailedRunError, calibrate_clock, measure, take_sample
from sidebyside.measuring.environment import environment
from sidebyside.measuring.memory import available_memory, measure_memory, memory_limit


class FakeTime:
    """A clock that moves only when it is read and when a call is made."""

    def __init__(self, read_cost=40):
        self.now = 0
        self.read_cost = read_cost

    def perf_counter_ns(self):
        self.now += self.read_cost
        return self.now

    def perf_counter(self):
        return self.now / 1e9

    def work(self, nanoseconds):
        def run():
            self.now += nanoseconds

        return run


@pytest.fixture
def clock(monkeypatch):
    fake = FakeTime()
    monkeypatch.setattr(measuring, "time", fake)
    return fake


def test_the_clock_knows_its_own_cost(clock):
    found = calibrate_clock()
    assert found.read == 40
    assert take_sample(clock.work(100), 1, found) == 100
    assert take_sample(clock.work(100), 50, found) == 100


def test_medians_are_the_times_of_a_call(clock):
    timings = measure({"quick": clock.work(250), "slow": clock.work(3_000_000)}, budget=0.5)
    assert set(timings.samples["quick"]) == {250.0}
    assert set(timings.samples["slow"]) == {3_000_000.0}
    assert timings.rounds >= 8


def test_short_calls_are_batched_and_long_ones_are_not(clock):
    timings = measure({"quick": clock.work(250), "slow": clock.work(3_000_000)}, budget=10)
    assert timings.calls == {"quick": measuring.SAMPLE_NS // 250, "slow": 1}


def test_a_small_budget_takes_shorter_samples(clock):
    timings = measure({"quick": clock.work(250)}, budget=1e-4)
    assert timings.calls["quick"] == measuring.SHORT_SAMPLE_NS // 250
    assert timings.rounds == 8


def test_the_budget_ends_the_rounds(clock):
    timings = measure({"slow": clock.work(10_000_000)}, budget=0.2)
    assert timings.rounds == 20
    assert measure({"quick": clock.work(10)}, budget=1e6, most=30).rounds == 30


def test_modes_take_turns_in_random_order(clock):
    order = []

    def mode(name):
        def run():
            clock.now += 2_000_000
            order.append(name)

        return run

    rounds = []
    measure(
        {"a": mode("a"), "b": mode("b")},
        budget=1,
        on_round=lambda: rounds.append(tuple(order[-2:])),
    )
    assert set(rounds) == {("a", "b"), ("b", "a")}


def test_warm_up_is_apart(clock):
    calls = []

    def run():
        calls.append(None)
        clock.now += 50_000_000 if len(calls) == 1 else 1_000

    timings = measure({"cold": run}, budget=0.01)
    assert set(timings.samples["cold"]) == {1_000.0}


def test_the_collector_rests_during_samples_only(clock):
    states = []

    def run():
        states.append(gc.isenabled())
        clock.now += 1_000_000

    assert gc.isenabled()
    before = gc.get_freeze_count()
    try:
        gc.freeze()
        measure({"mode": run}, budget=1e-4, most=8)
        assert gc.get_freeze_count() > 0  # what the program has frozen stays so
        gc.unfreeze()
        measure({"mode": run}, budget=1e-4, most=8)
        assert gc.get_freeze_count() == 0
    finally:
        if before:
            gc.freeze()
    assert not any(states)
    assert gc.isenabled()


def test_the_collector_returns_after_a_failure(clock):
    def fail():
        raise RuntimeError("broken")

    with pytest.raises(FailedRunError) as caught:
        measure({"mode": fail})
    assert caught.value.label == "mode" and str(caught.value.error) == "broken"
    assert gc.isenabled()


def test_environment_names_versions_and_threads(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    found = environment(("no-such-package",))
    assert found["threads"] == 1
    assert found["thread_variables"]["OMP_NUM_THREADS"] == "1"
    assert found["versions"]["numpy"] == np.__version__
    assert "no-such-package" not in found["versions"]


# memory -------------------------------------------------------------------------------------------


def test_peak_counts_what_a_call_allocates_at_one_time():
    def run():
        first = np.ones(100_000, np.float64)
        del first
        return np.ones(50_000, np.float64)

    found = measure_memory(lambda: run)
    assert found.held == 0
    assert 800_000 <= found.peak < 850_000


def test_held_arrays_count_to_the_peak():
    def prepare():
        buffer = np.empty(25_000, np.float64)
        return lambda: (buffer, np.empty(12_500, np.float64))

    found = measure_memory(prepare)
    assert found.held == 200_000
    assert 300_000 <= found.peak < 320_000


def test_an_allocation_beyond_the_memory_fails_at_once():
    available = available_memory()
    if available is None:
        pytest.skip("this system does not say how much memory there is")
    with memory_limit(), pytest.raises(MemoryError):
        np.ones(2 * available, np.uint8)
    np.ones(1000)


# equivalence --------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["bfloat16", "float16", "float32", "float64", "longdouble"])
def test_ulp_distance_counts_the_numbers_between(dtype):
    x = np.array([1.0, -1.0, 0.0, 1e-3, 5.0], to_dtype(dtype))
    y = x.copy()
    for _ in range(3):
        y = np.nextafter(y, np.array(np.inf, x.dtype))
    assert list(ulp_distance(x, y)) == [3.0] * 5
    assert list(ulp_distance(x, x)) == [0.0] * 5
    odd = np.array([0.0, np.nan, np.nan, np.inf, np.inf], x.dtype)
    other = np.array([-0.0, np.nan, 1.0, np.inf, -np.inf], x.dtype)
    found = ulp_distance(odd, other)
    assert list(found[:4]) == [1.0, 0.0, np.inf, 0.0] and found[4] > 0


def test_zeros_of_both_signs_are_not_the_same_bits():
    assert compare_results([np.float32([0.0])], [np.float32([-0.0])]).ulp == 1


def test_nan_equals_nan_only():
    nan, one = np.float32([np.nan, 2.0]), np.float32([1.0, 2.0])
    assert compare_results([nan], [nan]).ulp == 0
    assert compare_results([nan], [one]).ulp == np.inf
    with pytest.raises(DisagreementError):
        check_agreement([nan], [one], pair="a and b", tolerance=1.0)


def test_integers_and_booleans_are_compared_too():
    assert compare_results([np.array([1, 2])], [np.array([1, 5])]).ulp == 3
    assert compare_results([np.array([True])], [np.array([False])]).ulp == 1


def test_the_largest_difference_is_located():
    x = np.ones((2, 3), np.float32)
    y = x.copy()
    y[1, 2] = 1.5
    found = compare_results([x, x], [x, y])
    assert found.where == "result 1[1, 2]"
    assert found.values == (1.0, 1.5)
    assert found.relative == pytest.approx(1 / 3)


def test_one_number_may_have_any_shape_but_the_rest_must_fit():
    assert compare_results([np.float32(1)], [np.float32([[1]])]).ulp == 0
    for x, y in [
        ([np.ones(2)], [np.ones(3)]),
        ([np.ones(2, "f4")], [np.ones(2)]),
        ([np.ones(2)], []),
    ]:
        with pytest.raises(DisagreementError):
            compare_results(x, y)


def test_agreement_is_bitwise_or_within_the_tolerance():
    x, y = np.float32([1.0]), np.nextafter(np.float32([1.0]), np.float32(2))
    assert check_agreement([y], [x], pair="a and b", tolerance=1e-6).ulp == 1
    with pytest.raises(DisagreementError, match="a and b disagree: result 0 is 1.0000001"):
        check_agreement([y], [x], pair="a and b", tolerance=None)
