"""A training step of a three-layer perceptron in the size of MNIST: 784-256-128-10, batch 64."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np

from sidebyside.workloads.builtin.primitives import cross_entropy, glorot
from sidebyside.workloads.datasets import one_hot
from sidebyside.workloads.workload import Workload

WIDTHS = (784, 256, 128, 10)


def mlp(xp: Any, layers: Any, images: Any, targets: Any) -> Any:
    """Return the mean cross entropy of a batch.

    Parameters
    ----------
    layers : sequence of (weight, bias)
        Weights of shape ``(n, m)`` and biases ``(m,)``.
    images : (batch, 784)
    targets : (batch, 10), one-hot
    """
    x = images
    for weight, bias in layers[:-1]:
        x = xp.tanh(x @ weight + bias)
    weight, bias = layers[-1]
    return cross_entropy(xp, x @ weight + bias, targets)


def _inputs(rng: np.random.Generator, size: int) -> tuple[Any, ...]:
    layers = [(glorot(rng, n, m), np.zeros(m, np.float32)) for n, m in pairwise(WIDTHS)]
    images = rng.random((size, WIDTHS[0]), np.float32)
    return layers, images, one_hot(rng.integers(0, WIDTHS[-1], size), WIDTHS[-1])


WORKLOAD = Workload(
    mlp,
    inputs=_inputs,
    wrt=(0,),
    sizes=(64,),
    learning_rate=0.1,
    name="mlp",
    title="MLP 784-256-128-10, training step",
    description="Matrix products large enough to count; random images.",
)
