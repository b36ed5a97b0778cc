"""The long function of HIPS autograd's benchmarks: 50 sines, one after the other."""

from __future__ import annotations

from typing import Any

import numpy as np

from sidebyside.workloads.workload import Workload


def sine_chain(xp: Any, x: Any, *, depth: int = 50) -> Any:
    """Return the sine of the sine of ... `x`.

    References
    ----------
    D. Maclaurin, D. Duvenaud, M. Johnson and J. Townsend, autograd, ``benchmarks/bench_core.py``:
    https://github.com/HIPS/autograd
    """
    for _ in range(depth):
        x = xp.sin(x)
    return x


SINE_CHAIN = Workload(
    sine_chain,
    inputs=lambda rng, size: (np.array(2.0) if size is None else rng.standard_normal(size),),
    wrt=(0,),
    name="sine_chain",
    title="50 sines of one number, and the gradient",
    description="A chain of the smallest operations: all that is measured is overhead.",
)
