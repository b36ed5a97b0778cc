"""NPBench's jacobi_1d, jacobi_2d and heat_3d: means of neighbours, again and again."""

from __future__ import annotations

from typing import Any

import numpy as np

from sidebyside.workloads.foreign.loops import scan
from sidebyside.workloads.foreign.npbench.borders import within
from sidebyside.workloads.workload import Workload


def line_of_means(xp: Any, a: Any) -> Any:
    """Return the mean of each inner element and its two neighbours."""
    return 0.33333 * (a[:-2] + a[1:-1] + a[2:])


def plane_of_means(xp: Any, a: Any) -> Any:
    """Return the mean of each inner element and its four neighbours."""
    across = a[1:-1, :-2] + a[1:-1, 2:]
    return 0.2 * (a[1:-1, 1:-1] + across + a[2:, 1:-1] + a[:-2, 1:-1])


def heated(xp: Any, a: Any) -> Any:
    """Return each inner element after a short time of diffusion in space."""
    inner = a[1:-1, 1:-1, 1:-1]
    along = a[2:, 1:-1, 1:-1] - 2 * inner + a[:-2, 1:-1, 1:-1]
    across = a[1:-1, 2:, 1:-1] - 2 * inner + a[1:-1, :-2, 1:-1]
    upward = a[1:-1, 1:-1, 2:] - 2 * inner + a[1:-1, 1:-1, :-2]
    return 0.125 * along + 0.125 * across + 0.125 * upward + inner


def smoothed(xp: Any, a: Any, times: Any, inner: Any) -> Any:
    """Return `a` after two sweeps a time, as NPBench goes from A to B and back; a border stays."""

    def step(a: Any, time: Any) -> tuple[Any, Any]:
        for _ in range(2):
            a = within(xp, a, inner(xp, a))
        return a, time

    return scan(xp, step, a, times)[0]


def jacobi_1d(xp: Any, a: Any, times: Any) -> Any:
    """Return the sum of squares of a smoothed line.

    References
    ----------
    A. Ziogas et al., NPBench: a benchmarking suite for high-performance NumPy, ICS 2021:
    https://github.com/spcl/npbench; after PolyBench. The sum of squares is ours: something has to
    be differentiated.
    """
    a = smoothed(xp, a, times, line_of_means)
    return xp.sum(a * a), a


def jacobi_2d(xp: Any, a: Any, times: Any) -> Any:
    """Return the sum of squares of a smoothed plane; see `jacobi_1d`."""
    a = smoothed(xp, a, times, plane_of_means)
    return xp.sum(a * a), a


def heat_3d(xp: Any, a: Any, times: Any) -> Any:
    """Return the sum of squares of the heat in a box; see `jacobi_1d`."""
    a = smoothed(xp, a, times, heated)
    return xp.sum(a * a), a


def _inputs(dimensions: int) -> Any:
    def inputs(rng: np.random.Generator, size: tuple[int, int]) -> tuple[Any, ...]:
        steps, width = size
        return rng.random((width,) * dimensions), np.zeros(steps)

    return inputs


JACOBI_1D = Workload(
    jacobi_1d,
    inputs=_inputs(1),
    wrt=(0,),
    sizes=((800, 3_200),),
    name="jacobi_1d",
    title="Jacobi stencil on a line of 3,200, 800 times two sweeps, and the gradient",
    description="A long loop of short sweeps.",
)
"""Sizes are steps and width: NPBench's smallest."""

JACOBI_2D = Workload(
    jacobi_2d,
    inputs=_inputs(2),
    wrt=(0,),
    sizes=((50, 150),),
    name="jacobi_2d",
    title="Jacobi stencil on 150x150, 50 times two sweeps, and the gradient",
    description="A loop of sweeps over a plane.",
)
"""Sizes are steps and width: NPBench's smallest."""

HEAT_3D = Workload(
    heat_3d,
    inputs=_inputs(3),
    wrt=(0,),
    sizes=((25, 25),),
    name="heat_3d",
    title="heat in a box of 25x25x25, 25 times two sweeps, and the gradient",
    description="A loop of sweeps over a box.",
)
"""Sizes are steps and width: NPBench's smallest."""
