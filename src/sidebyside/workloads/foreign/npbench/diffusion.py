"""NPBench's hdiff: the horizontal diffusion of a weather model, limited where it would amplify."""

from __future__ import annotations

from typing import Any

import numpy as np

from sidebyside.workloads.workload import Workload


def hdiff(xp: Any, field: Any, coefficient: Any) -> Any:
    """Return the sum of squares of a diffused field, and the field.

    Parameters
    ----------
    field : (i + 4, j + 4, k)
    coefficient : (i, j, k)

    References
    ----------
    A. Ziogas et al., NPBench: a benchmarking suite for high-performance NumPy, ICS 2021:
    https://github.com/spcl/npbench; a stencil of the COSMO model. The sum of squares is ours:
    something has to be differentiated.
    """
    neighbours = field[2:, 1:-1] + field[:-2, 1:-1] + field[1:-1, 2:] + field[1:-1, :-2]
    curved = 4 * field[1:-1, 1:-1] - neighbours
    along = curved[1:, 1:-1] - curved[:-1, 1:-1]
    along = xp.where(along * (field[2:-1, 2:-2] - field[1:-2, 2:-2]) > 0, 0 * along, along)
    across = curved[1:-1, 1:] - curved[1:-1, :-1]
    across = xp.where(across * (field[2:-2, 2:-1] - field[2:-2, 1:-2]) > 0, 0 * across, across)
    flux = along[1:] - along[:-1] + across[:, 1:] - across[:, :-1]
    field = field[2:-2, 2:-2] - coefficient * flux
    return xp.sum(field * field), field


def _inputs(rng: np.random.Generator, size: tuple[int, int, int]) -> tuple[Any, ...]:
    i, j, k = size
    return rng.random((i + 4, j + 4, k)), rng.random((i, j, k))


HDIFF = Workload(
    hdiff,
    inputs=_inputs,
    wrt=(0, 1),
    sizes=((64, 64, 60),),
    name="hdiff",
    title="horizontal diffusion on 64x64x60, and the gradients",
    description="One pass over memory if it is fused, some thirty if not.",
)
"""Sizes are NPBench's smallest."""
