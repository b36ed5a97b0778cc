"""Peak memory of a call, in a run of its own that is not timed."""

from __future__ import annotations

import gc
import tracemalloc
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

_ARRAYS = tracemalloc.DomainFilter(True, np.lib.tracemalloc_domain)


@dataclass(frozen=True, slots=True)
class Memory:
    """Bytes that a mode needs.

    Attributes
    ----------
    held : int
        Elements of arrays that it keeps between calls, such as planned buffers and constants,
        beside the inputs.
    peak : int
        Most bytes during a call: what it holds, and what the call allocates at one time.
    """

    held: int
    peak: int


def measure_memory(prepare: Callable[[], Callable[[], Any]]) -> Memory:
    """Return what a mode holds and the peak of one call.

    NumPy reports the elements of its arrays to `tracemalloc`; memory that other libraries take is
    not seen.

    Parameters
    ----------
    prepare : callable
        Builds the mode and returns what does one call.
    """
    gc.collect()
    tracemalloc.start(1)
    try:
        run = prepare()
        run()
        gc.collect()
        held = _array_bytes()
        before = tracemalloc.get_traced_memory()[0]
        tracemalloc.reset_peak()
        result = run()
        peak = tracemalloc.get_traced_memory()[1] - before
        del result
    finally:
        tracemalloc.stop()
    return Memory(held, held + max(0, peak))


def _array_bytes() -> int:
    snapshot = tracemalloc.take_snapshot().filter_traces([_ARRAYS])
    return sum(trace.size for trace in snapshot.traces)
