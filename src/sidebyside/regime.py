"""What bounds the time of a workload: overhead, memory or computing, told by measured probes."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Any

import numpy as np

import dyngraph
from sidebyside.measure import calibrate_clock, take_sample, warm_up

dg: Any = dyngraph

NEAR = 3.0
"""A mean operation within this factor of a probe is bound by what the probe measures."""


@dataclass(frozen=True, slots=True)
class Work:
    """What a program does before any optimisation.

    Attributes
    ----------
    operations : int
    bytes : int
        That its operations read and write, each operand and result counted once an operation.
    """

    operations: int
    bytes: int


@dataclass(frozen=True, slots=True)
class Regime:
    """What bounds a workload in the dynamic mode.

    Attributes
    ----------
    name : {"overhead-bound", "memory-bound", "compute-bound"}
    reason : str
        The measured comparison behind it.
    """

    name: str
    reason: str


def find_regime(work: Work, nanoseconds: float) -> Regime:
    """Return what bounds a program that takes `nanoseconds` a call in the dynamic mode.

    Its mean operation is compared with the smallest operation, and with a copy of as many bytes.
    """
    each = nanoseconds / max(1, work.operations)
    smallest = smallest_operation()
    if each <= NEAR * smallest:
        return Regime(
            "overhead-bound",
            f"an operation takes {each / smallest:.1f}x the time of one on a single number",
        )
    copy = copy_time(_rounded(work.bytes / max(1, work.operations)))
    if each <= NEAR * copy:
        return Regime(
            "memory-bound", f"an operation takes {each / copy:.1f}x the time of copying its bytes"
        )
    return Regime(
        "compute-bound", f"an operation takes {each / copy:.1f}x the time of copying its bytes"
    )


@cache
def smallest_operation() -> float:
    """Return the ns of one recorded operation on a single number."""
    x = dg.tensor([1.0], requires_grad=True)
    return _median_time(lambda: x + x)


def _rounded(size: float) -> int:
    """Return `size` rounded to a power of two, so that few sizes are probed."""
    return 1 << max(6, min(26, round(float(np.log2(max(size, 1.0))))))


@lru_cache(maxsize=64)
def copy_time(size: int) -> float:
    """Return the ns it takes to read and write `size` bytes in all."""
    source = np.zeros(size // 2, np.uint8)
    target = np.empty_like(source)
    return _median_time(lambda: np.copyto(target, source))


def _median_time(run: Any) -> float:
    clock = calibrate_clock(200, 2000)
    calls = max(1, int(100_000 / max(1.0, warm_up(run, clock))))
    return float(np.median([take_sample(run, calls, clock) for _ in range(15)]))
