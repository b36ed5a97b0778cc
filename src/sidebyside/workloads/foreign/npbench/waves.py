"""NPBench's fdtd_2d: electromagnetic waves in a plane, in finite differences of time."""

from __future__ import annotations

from typing import Any

import numpy as np

from sidebyside.workloads.foreign.loops import scan
from sidebyside.workloads.workload import Workload


def fdtd_2d(xp: Any, fields: Any, source: Any) -> Any:
    """Return the energy of the fields after all times, and the fields.

    Parameters
    ----------
    fields : tuple of array
        The electric field along both axes and the magnetic one, each ``(n, m)``.
    source : (times,)
        The electric field at the border at each time.

    References
    ----------
    A. Ziogas et al., NPBench: a benchmarking suite for high-performance NumPy, ICS 2021:
    https://github.com/spcl/npbench; after PolyBench. The energy is ours: something has to be
    differentiated.
    """

    def step(fields: Any, now: Any) -> tuple[Any, Any]:
        along, across, magnetic = fields
        moved = across[1:] - 0.5 * (magnetic[1:] - magnetic[:-1])
        across = xp.concat((magnetic[:1] * 0 + now, moved), axis=0)
        moved = along[:, 1:] - 0.5 * (magnetic[:, 1:] - magnetic[:, :-1])
        along = xp.concat((along[:, :1], moved), axis=1)
        curl = along[:-1, 1:] - along[:-1, :-1] + across[1:, :-1] - across[:-1, :-1]
        inner = xp.concat((magnetic[:-1, :-1] - 0.7 * curl, magnetic[:-1, -1:]), axis=1)
        magnetic = xp.concat((inner, magnetic[-1:]), axis=0)
        return (along, across, magnetic), now

    fields, _ = scan(xp, step, tuple(fields), source)
    return sum(xp.sum(field * field) for field in fields), *fields


def _inputs(rng: np.random.Generator, size: tuple[int, int, int]) -> tuple[Any, ...]:
    times, height, width = size
    return tuple(rng.random((3, height, width))), np.arange(times, dtype=np.float64)


FDTD_2D = Workload(
    fdtd_2d,
    inputs=_inputs,
    wrt=(0,),
    sizes=((20, 200, 220),),
    name="fdtd_2d",
    title="waves in a plane of 200x220, 20 times, and the gradient",
    description="A loop over three fields that read each other.",
)
"""Sizes are times, height and width: NPBench's smallest."""
