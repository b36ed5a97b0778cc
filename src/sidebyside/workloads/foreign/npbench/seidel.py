"""NPBench's seidel_2d: each element is a mean with neighbours that are new already."""

from __future__ import annotations

from typing import Any

import numpy as np

from sidebyside.workloads.foreign.loops import scan
from sidebyside.workloads.workload import Workload


def seidel_2d(xp: Any, a: Any, times: Any) -> Any:
    """Return the sum of squares of a plane after sweeps by Gauss and Seidel, and the plane.

    A row reads the new row above it, an element the new one to its left, so there is a loop in a
    loop in a loop.

    References
    ----------
    A. Ziogas et al., NPBench: a benchmarking suite for high-performance NumPy, ICS 2021:
    https://github.com/spcl/npbench; after PolyBench. The sum of squares is ours: something has to
    be differentiated.
    """

    def next_element(left: Any, known: Any) -> tuple[Any, Any]:
        left = (known + left) / 9
        return left, left

    def next_row(above: Any, rows: Any) -> tuple[Any, Any]:
        row, below = rows
        known = above[:-2] + above[1:-1] + above[2:] + row[1:-1] + row[2:]
        known = known + below[:-2] + below[1:-1] + below[2:]
        _, inner = scan(xp, next_element, row[0], known)
        row = xp.concat((row[:1], inner, row[-1:]), axis=0)
        return row, row

    def sweep(a: Any, time: Any) -> tuple[Any, Any]:
        _, rows = scan(xp, next_row, a[0], (a[1:-1], a[2:]))
        return xp.concat((a[:1], rows, a[-1:]), axis=0), time

    a, _ = scan(xp, sweep, a, times)
    return xp.sum(a * a), a


def _inputs(rng: np.random.Generator, size: tuple[int, int]) -> tuple[Any, ...]:
    steps, width = size
    return rng.random((width, width)), np.zeros(steps)


SEIDEL_2D = Workload(
    seidel_2d,
    inputs=_inputs,
    wrt=(0,),
    sizes=((8, 50),),
    name="seidel_2d",
    title="Gauss-Seidel stencil on 50x50, 8 sweeps, and the gradient",
    description="18,000 steps on single numbers, each of which needs the one before.",
)
"""Sizes are sweeps and width: NPBench's smallest."""
