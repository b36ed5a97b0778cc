"""A loop that ends when its numbers say so: square roots with a convergence test."""

from __future__ import annotations

from typing import Any

import numpy as np

from sidebyside.workloads.workload import Workload

TOLERANCE = 1e-5


def control_flow(xp: Any, numbers: Any) -> Any:
    """Return the sum of the square roots, by the Babylonian rule.

    How often the loop runs depends on the numbers: a static graph cannot be declared from it.
    """
    root = numbers
    while xp.max(xp.abs(root * root / numbers - 1)) > TOLERANCE:
        root = (root + numbers / root) * 0.5
    return xp.sum(root)


def _inputs(rng: np.random.Generator, size: int) -> tuple[Any, ...]:
    return (np.exp(rng.uniform(-4, 4, size)).astype(np.float32),)


WORKLOAD = Workload(
    control_flow,
    inputs=_inputs,
    wrt=(0,),
    sizes=(1_000,),
    name="control_flow",
    title="square roots, iterated until they converge",
    description="A native while loop whose length depends on the numbers.",
    dynamic_only=True,
)
