"""The tutorial's graph, ``y = (x + w) * (w + 1)``, with both gradients."""

from __future__ import annotations

from typing import Any

import numpy as np

from sidebyside.workloads.workload import Workload


def seed(xp: Any, x: Any, w: Any) -> Any:
    """Return ``(x + w) * (w + 1)``; at x = 2 and w = 1 it is 6, its gradients are 2 and 5."""
    return (x + w) * (w + 1)


WORKLOAD = Workload(
    seed,
    inputs=lambda rng, size: (np.full(size, 2, np.float32), np.full(size, 1, np.float32)),
    wrt=(0, 1),
    sizes=(1,),
    name="seed",
    title="(x+w)*(w+1), forward and both gradients",
    description="Three operations on single numbers: all that is measured is overhead.",
)
