"""What bounds the time of a workload: overhead, memory or computing, told by measured probes."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Any

import numpy as np

import dyngraph
from sidebyside.measuring.clock import calibrate_clock, take_sample, warm_up

dg: Any = dyngraph

NEAR = 3.0
"""A mean operation within this factor of a probe is bound by what the probe measures."""


FEW_BYTES = 1024
"""A mean operation on no more than this is overhead: even a product of 9x9 matrices is quicker to
compute than to call."""


@dataclass(frozen=True, slots=True)
class Work:
    """What a program does before any optimisation.

    Attributes
    ----------
    operations : int
    bytes : int
        That its operations read and write, each operand and result counted once an operation.
    gradients : bool
        Whether it has a backward pass.
    """

    operations: int
    bytes: int
    gradients: bool


@dataclass(frozen=True, slots=True)
class Bottleneck:
    """What bounds a workload in the dynamic mode.

    Attributes
    ----------
    name : {"overhead-bound", "memory-bound", "compute-bound"}
        What bounds it.
    reason : str
        The measured comparison behind it.
    """

    name: str
    reason: str


def find_bottleneck(work: Work, nanoseconds: float) -> Bottleneck:
    """Return what bounds a program that takes `nanoseconds` a call in the dynamic mode.

    Its mean operation is compared with one on a single number, and with a copy of as many bytes.
    """
    each = nanoseconds / max(1, work.operations)
    smallest = smallest_operation(work.gradients)
    if each <= NEAR * smallest:
        return Bottleneck(
            "overhead-bound",
            f"an operation takes {_times(each / smallest)} the time of one on a single number",
        )
    size = work.bytes / max(1, work.operations)
    if size <= FEW_BYTES:
        return Bottleneck(
            "overhead-bound",
            f"an operation reads and writes {size:.0f} bytes, less than a call costs",
        )
    copy = copy_time(_rounded(size))
    return Bottleneck(
        "memory-bound" if each <= NEAR * copy else "compute-bound",
        f"an operation takes {_times(each / copy)} the time of copying its bytes",
    )


def _times(factor: float) -> str:
    return f"{factor:.1f}x" if factor < 10 else f"{factor:.0f}x"


@cache
def smallest_operation(gradients: bool) -> float:
    """Return the ns of one operation on a single number, in a program of six.

    With `gradients` three of them are recorded and three belong to the backward pass.
    """
    x = dg.tensor([2.0], requires_grad=gradients)

    def program() -> None:
        y = (x + x) * x + x
        if gradients:
            y.backward()
            x.grad = None
        else:
            (y * x - x) * y

    return _median_time(program) / 6


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
