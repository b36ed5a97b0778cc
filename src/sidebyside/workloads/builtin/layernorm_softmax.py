"""Layer normalization and softmax of a 512x512 matrix, written as primitives."""

from __future__ import annotations

from typing import Any

import numpy as np

from sidebyside.workloads.builtin.primitives import layer_norm, softmax
from sidebyside.workloads.workload import Workload


def layernorm_softmax(xp: Any, x: Any, gain: Any, bias: Any) -> Any:
    """Return the softmax of the normalized rows."""
    return softmax(xp, layer_norm(xp, x, gain, bias))


def _inputs(rng: np.random.Generator, size: tuple[int, int]) -> tuple[Any, ...]:
    _, width = size
    return (
        rng.standard_normal(size, np.float32),
        1 + 0.1 * rng.standard_normal(width, np.float32),
        0.1 * rng.standard_normal(width, np.float32),
    )


WORKLOAD = Workload(
    layernorm_softmax,
    inputs=_inputs,
    sizes=((512, 512),),
    name="layernorm_softmax",
    title="layer norm and softmax, as primitives",
    description="Reductions along rows with elementwise work between them.",
)
