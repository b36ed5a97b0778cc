"""Time several modes fairly: in one process, in interleaved rounds, with the clock's cost known.

A round takes one sample of each mode, in an order drawn at random. A sample is the time of a batch
of calls, long enough for the clock, divided by their number. The collector is off while a sample is
taken and runs between rounds; the objects that exist beforehand are frozen, so that it is quick.
"""

from __future__ import annotations

import gc
import math
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import repeat
from typing import Any

import numpy as np
import numpy.typing as npt

from oplibrary.messages.errors import ArgumentError
from sidebyside.measuring.statistics import ENOUGH

Run = Callable[[], Any]
Times = npt.NDArray[np.float64]

SAMPLE_NS = 1_000_000
"""Length of a sample: long enough that 50 ns of clock and the odd interrupt do not show."""

SHORT_SAMPLE_NS = 20_000
"""Length of a sample where the budget does not allow that."""

MOST_ROUNDS = 400
WARM_UP_CALLS = 3
WARM_UP_NS = 20_000_000


def require_seconds(what: str, seconds: float, most: float = math.inf) -> None:
    """Refuse what is no amount of time to measure in.

    Raises
    ------
    ArgumentError
    """
    if not 0 < seconds <= most:
        raise ArgumentError(
            f"a {what} of {seconds} seconds",
            cause="samples take time",
            fix="leave it out, or pass a positive number of seconds",
        )


@dataclass(frozen=True, slots=True)
class Clock:
    """What taking a sample costs by itself.

    Attributes
    ----------
    read : float
        ns between two readings of the clock that follow each other.
    iteration : float
        ns of one round of the loop around the calls.
    """

    read: float
    iteration: float

    def cost(self, calls: int) -> float:
        """Return the ns that a sample of `calls` calls holds beside the calls."""
        return self.read + self.iteration * calls


def calibrate_clock(readings: int = 2000, iterations: int = 20_000) -> Clock:
    """Measure what the clock and the loop around the calls cost."""
    now = time.perf_counter_ns
    reads = np.empty(readings)
    for position in range(readings):
        start = now()
        reads[position] = now() - start
    loops = np.empty(20)
    for position in range(len(loops)):
        start = now()
        for _ in repeat(None, iterations):
            pass
        loops[position] = now() - start
    read = float(np.median(reads))
    return Clock(read, max(0.0, (float(np.median(loops)) - read) / iterations))


def take_sample(run: Run, calls: int, clock: Clock) -> float:
    """Return the ns of one call, over a batch of `calls`."""
    now = time.perf_counter_ns
    rounds = repeat(None, calls)
    start = now()
    for _ in rounds:
        run()
    elapsed = now() - start
    return max(elapsed - clock.cost(calls), 0.1) / calls


@contextmanager
def frozen_heap() -> Iterator[None]:
    """Keep what exists already out of the collector's sight, so that it is quick inside the block.

    With PyTorch and JAX loaded a collection takes 0.1 s, else.
    """
    frozen = gc.get_freeze_count()
    gc.collect()
    gc.freeze()
    try:
        yield
    finally:
        if not frozen:  # else the program has chosen what stays out of collections
            gc.unfreeze()


@contextmanager
def collector_at_rest() -> Iterator[None]:
    """Keep the collector off inside the block, to be run by hand only."""
    was_enabled = gc.isenabled()
    with frozen_heap():
        gc.disable()
        try:
            yield
        finally:
            if was_enabled:
                gc.enable()


def warm_up(run: Run, clock: Clock) -> float:
    """Call `run` until it is warm, and return the ns that its last calls took each."""
    spent, calls, last = 0.0, 0, 0.0
    while calls < WARM_UP_CALLS or spent < WARM_UP_NS:
        batch = 1 if last == 0 else max(1, min(calls, int(WARM_UP_NS / 4 / last)))
        last = take_sample(run, batch, clock)
        spent += last * batch
        calls += batch
    return last


class FailedRunError(Exception):
    """A call failed that had gone well before.

    Attributes
    ----------
    label : str
        Whose call it was.
    error : BaseException
    """

    def __init__(self, label: str, error: BaseException) -> None:
        super().__init__(label)
        self.label = label
        self.error = error


@contextmanager
def failures_of(label: str) -> Iterator[None]:
    """Say whose call it was that fails inside the block; a program may call sys.exit.

    Raises
    ------
    FailedRunError
    """
    try:
        yield
    except (Exception, SystemExit) as error:
        raise FailedRunError(label, error) from error


@dataclass(frozen=True)
class Timings:
    """Samples of several modes, round by round.

    Attributes
    ----------
    samples : mapping of str to ndarray
        ns of a call, one entry a round; the rounds of all modes are the same.
    calls : mapping of str to int
        Calls in a sample.
    clock : Clock
    """

    samples: Mapping[str, Times]
    calls: Mapping[str, int]
    clock: Clock

    @property
    def rounds(self) -> int:
        """How many rounds there were."""
        return min(map(len, self.samples.values()), default=0)


def measure(
    runs: Mapping[str, Run],
    budget: float = 1.0,
    *,
    seed: int = 0,
    fewest: int = ENOUGH,
    most: int = MOST_ROUNDS,
    on_round: Callable[[], None] | None = None,
) -> Timings:
    """Time the calls of several modes in interleaved rounds.

    Parameters
    ----------
    runs : mapping of str to callable
        Each takes nothing and does one call.
    budget : float
        Seconds for all rounds together; exceeded only to reach `fewest` rounds.
    seed : int
        Of the order of the modes in each round.
    fewest, most : int
        Rounds to take at least and at most.
    on_round : callable, optional
        Called after each round, outside every sample.

    Returns
    -------
    Timings

    Raises
    ------
    FailedRunError
        With what a call has raised.
    """
    clock = calibrate_clock()
    names = list(runs)
    rng = np.random.default_rng(seed)
    with collector_at_rest():
        warm = {}
        for name in names:
            with failures_of(name):
                warm[name] = warm_up(runs[name], clock)
        length = _sample_length(warm.values(), budget, fewest)
        calls = {name: max(1, int(length / max(warm[name], 1.0))) for name in names}
        samples: dict[str, list[float]] = {name: [] for name in names}
        deadline = time.perf_counter() + budget
        for taken in range(most):
            if taken >= fewest and time.perf_counter() >= deadline:
                break
            for position in rng.permutation(len(names)):
                name = names[position]
                with failures_of(name):
                    samples[name].append(take_sample(runs[name], calls[name], clock))
            gc.collect()
            if on_round is not None:
                on_round()
    return Timings({name: np.array(taken) for name, taken in samples.items()}, calls, clock)


def _sample_length(warm: Any, budget: float, fewest: int) -> float:
    """Return the ns of a sample that leaves room for enough rounds in the budget."""
    each = budget * 1e9 / (4 * fewest * max(1, len(warm)))
    return min(SAMPLE_NS, max(SHORT_SAMPLE_NS, each))


def time_once(action: Callable[[], Any]) -> tuple[float, Any]:
    """Return the seconds that `action` took, and what it returned."""
    start = time.perf_counter()
    result = action()
    return time.perf_counter() - start, result
