"""What this machine can do at most: bytes, products and functions a second, measured once.

These are roofs: the best of several probes on all cores, each of which does one thing only. What a
program could not beat if it did nothing else follows from them (S. Williams, A. Waterman and
D. Patterson, "Roofline", Communications of the ACM 52, 2009).
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

from sidebyside.measuring.environment import thread_count

COPIED = (1 << 15, 1 << 19, 1 << 22, 1 << 26)
"""Bytes that are read and written by copies: in the caches, and beyond all of them."""

SHARED = 1 << 21
"""Copies of more bytes than that are shared among threads; for fewer that takes longer."""

WIDTH = 512
"""Of the square matrices whose product is timed."""

VALUES = 1 << 14
"""Values of tanh that are computed at once: they stay in a cache."""

FEWEST, MOST, SECONDS = 3, 20, 0.02
"""Of each probe the best of so many counts, as many as there is time for."""


@dataclass(frozen=True, slots=True)
class Machine:
    """The most that this machine does in a second.

    Attributes
    ----------
    copies : mapping of int to float
        Bytes read and written a second, by the bytes of the copy.
    products : mapping of str to float
        Floating-point operations a second in a product of matrices, by dtype.
    functions : float
        Values of tanh a second.
    """

    copies: Mapping[int, float]
    products: Mapping[str, float]
    functions: float

    def unsound(self) -> str:
        """Return what in it cannot be; empty where nothing is wrong."""
        if not self.copies or not {"float32", "float64"} <= set(self.products):
            return "it has no rates of copies and products"
        rates = (*self.copies, *self.copies.values(), *self.products.values(), self.functions)
        return "" if all(0 < each < math.inf for each in rates) else "a rate that is none"

    def bandwidth(self, size: float) -> float:
        """Return the bytes a second of an operation that reads and writes `size` bytes.

        Examples
        --------
        >>> machine = Machine({1000: 9e9, 100_000: 1e9}, {}, 1e9)
        >>> machine.bandwidth(10), machine.bandwidth(1e9)
        (9000000000.0, 1000000000.0)
        """
        nearest = min(self.copies, key=lambda each: abs(np.log(each / max(1.0, size))))
        return self.copies[nearest]


@cache
def measure_machine() -> Machine:
    """Return what this machine does at most; it takes about 0.2 s, once in a process."""
    threads = thread_count()
    with ThreadPoolExecutor(threads) as pool:
        copies = {size: size / _copy_seconds(size, threads, pool) for size in COPIED}
    products = {name: 2 * WIDTH**3 / _product_seconds(name) for name in ("float32", "float64")}
    return Machine(copies, products, threads * VALUES / _tanh_seconds())


def _copy_seconds(size: int, threads: int, pool: ThreadPoolExecutor) -> float:
    source = np.ones(size // 2, np.uint8)
    target = np.empty_like(source)
    if size <= SHARED or threads == 1:
        return _best(lambda: np.copyto(target, source))
    sources, targets = np.array_split(source, threads), np.array_split(target, threads)
    return _best(lambda: list(pool.map(np.copyto, targets, sources)))


def _product_seconds(dtype: str) -> float:
    matrix = np.ones((WIDTH, WIDTH), dtype)
    product = np.empty_like(matrix)
    return _best(lambda: np.matmul(matrix, matrix, out=product))


def _tanh_seconds() -> float:
    values = np.linspace(-3, 3, VALUES, dtype=np.float32)
    results = np.empty_like(values)
    return _best(lambda: np.tanh(values, out=results))


def _best(action: Callable[[], Any]) -> float:
    """Return the seconds of the quickest of several times."""
    found: list[float] = []
    while len(found) < FEWEST or (len(found) < MOST and sum(found) < SECONDS):
        started = time.perf_counter()
        action()
        found.append(time.perf_counter() - started)
    return min(found)
