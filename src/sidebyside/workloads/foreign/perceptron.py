"""The perceptron with which Dive into Deep Learning shows what a compiled network saves."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np

from sidebyside.workloads.builtin.primitives import glorot
from sidebyside.workloads.workload import Workload

WIDTHS = (512, 256, 128, 2)


def d2l_mlp(xp: Any, layers: Any, x: Any) -> Any:
    """Return two scores for each row of `x`, of shape ``(n, 512)``; there are no gradients.

    References
    ----------
    A. Zhang, Z. Lipton, M. Li and A. Smola, Dive into Deep Learning, chapter on compilers and
    interpreters: https://d2l.ai/chapter_computational-performance/hybridize.html
    """
    for weight, bias in layers[:-1]:
        x = xp.relu(x @ weight + bias)
    weight, bias = layers[-1]
    return x @ weight + bias


def _inputs(rng: np.random.Generator, size: int) -> tuple[Any, ...]:
    layers = [
        (glorot(rng, n, m), 0.1 * rng.standard_normal(m, np.float32)) for n, m in pairwise(WIDTHS)
    ]
    return layers, rng.standard_normal((size, WIDTHS[0]), np.float32)


D2L_MLP = Workload(
    d2l_mlp,
    inputs=_inputs,
    sizes=(1,),
    name="d2l_mlp",
    title="MLP 512-256-128-2, forward",
    description="One row at a time: three small products with a vector.",
)
