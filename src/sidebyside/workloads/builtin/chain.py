"""A chain of 20 elementwise operations, from one element to four million."""

from __future__ import annotations

from typing import Any

import numpy as np

from sidebyside.workloads.workload import Workload

LINKS = 10


def chain(xp: Any, x: Any, scale: Any, *, depth: int = LINKS) -> Any:
    """Multiply by `scale` and take the tanh, `depth` times over."""
    for _ in range(depth):
        x = xp.tanh(x * scale)
    return x


def _inputs(rng: np.random.Generator, size: int) -> tuple[Any, ...]:
    return rng.standard_normal(size, np.float32), np.array(1.5, np.float32)


WORKLOAD = Workload(
    chain,
    inputs=_inputs,
    sizes=(1, 1_000, 100_000, 4_000_000),
    name="chain",
    title="20-op tanh chain",
    description="Ten times x = tanh(x * scale): one pass over memory if fused, twenty if not.",
)
