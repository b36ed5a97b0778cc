"""Peak memory of a call, in a run of its own that is not timed."""

from __future__ import annotations

import gc
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
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


def available_memory() -> int | None:
    """Return the bytes that this process can still have, or None where that is not known."""
    found = []
    try:
        for line in Path("/proc/meminfo").read_text().splitlines():
            if line.startswith("MemAvailable:"):
                found.append(int(line.split()[1]) * 1024)
        limit = Path("/sys/fs/cgroup/memory.max").read_text().strip()
        if limit.isdigit():
            used = int(Path("/sys/fs/cgroup/memory.current").read_text())
            found.append(max(0, int(limit) - used))
    except (OSError, ValueError):
        pass
    return min(found, default=None)


@contextmanager
def memory_limit() -> Iterator[None]:
    """Let an allocation beyond the memory that is there fail at once inside the block.

    Linux promises more memory than it has, and ends the process when it is used; with the limit
    there is a MemoryError instead. On other systems this does nothing.
    """
    available = available_memory()
    try:
        import resource
    except ImportError:
        available = None
    if available is None:
        yield
        return
    before = resource.getrlimit(resource.RLIMIT_DATA)
    limit = available + _data_size()
    lower = before[0] == resource.RLIM_INFINITY or before[0] > limit
    if lower:
        resource.setrlimit(resource.RLIMIT_DATA, (limit, before[1]))
    try:
        yield
    finally:
        if lower:
            resource.setrlimit(resource.RLIMIT_DATA, before)


def _data_size() -> int:
    """Return the bytes of this process that the limit counts already."""
    try:
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmData:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    return 0
