"""What a mode takes for a call, and for each operation, however little there is to compute."""

from __future__ import annotations

from typing import Any

import numpy as np

from sidebyside.measuring.bottleneck import Overhead
from sidebyside.measuring.clock import calibrate_clock, take_sample, warm_up
from sidebyside.modes.mode import Mode
from sidebyside.workloads.workload import Workload

LINKS = 17
"""Operations of the longer of two programs; the shorter one has one."""

SAMPLES, SAMPLE_NS = 15, 100_000

_MEASURED: dict[tuple[str, bool], Overhead] = {}


def measure_overhead(mode: Mode, gradients: bool) -> Overhead:
    """Return what a mode takes beside computing; measured once for a mode, on single numbers.

    Parameters
    ----------
    mode : Mode
    gradients : bool
        Whether operations are recorded and followed by a backward pass: each link then is two.
    """
    key = mode.name, gradients
    if key not in _MEASURED:
        short, long = _seconds(mode, 1, gradients), _seconds(mode, LINKS, gradients)
        a_link = 2 if gradients else 1
        operation = max(0.0, (long - short) / (LINKS - 1) / a_link)
        _MEASURED[key] = Overhead(max(0.0, short - a_link * operation), operation)
    return _MEASURED[key]


def _seconds(mode: Mode, links: int, gradients: bool) -> float:
    """Return the seconds of a call of a chain of products."""

    def chain(xp: Any, x: Any, scale: Any) -> Any:
        for _ in range(links):
            x = x * scale
        return x

    numbers = np.ones(1, np.float32), np.ones(1, np.float32)
    workload = Workload(chain, lambda rng, size: numbers, wrt=(0,) if gradients else ())
    run, clock = mode.prepare(workload, workload.make_inputs(None)).run, calibrate_clock(200, 2000)
    calls = max(1, int(SAMPLE_NS / max(1.0, warm_up(run, clock))))
    return float(np.median([take_sample(run, calls, clock) for _ in range(SAMPLES)])) * 1e-9
