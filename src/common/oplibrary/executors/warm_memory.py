"""Let the memory of dead arrays be used again, in place of new pages for each large result.

A page that comes from the system is filled with zeros when it is first written: for an array of a
megabyte that takes longer than adding two of them. glibc gives such an array pages of its own and
hands them back when it dies. Once a program has freed a larger one, it takes all up to that size
from memory that stays, and hands back only what is more than twice that size at its end: so it
adapts to what a program does [1]_.

References
----------
.. [1] mallopt(3), M_MMAP_THRESHOLD, in the Linux manual pages.
"""

from __future__ import annotations

import sys
from functools import lru_cache

import numpy as np

LARGEST = (32 << 20) - (64 << 10)
"""Bytes of an array that glibc still adapts to: it stops at 32 MiB, its own words included."""


@lru_cache(1)
def keep_memory_warm() -> None:
    """Show glibc the largest array that it adapts to; none of its pages is touched.

    What stays with the process is at most 64 MiB. Who sets ``MALLOC_TRIM_THRESHOLD_`` or another
    of glibc's thresholds in the environment has chosen, and nothing changes; so it is with other C
    libraries.
    """
    if sys.platform != "linux":
        return
    try:
        np.empty(LARGEST, np.uint8)
    except MemoryError:  # the system allows less; then it has to be as it is
        return
