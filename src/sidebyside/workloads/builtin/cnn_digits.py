"""A small convolutional network that learns to read the digit images of scikit-learn."""

from __future__ import annotations

from functools import partial
from typing import Any, NamedTuple

import numpy as np

from sidebyside.workloads.builtin.primitives import accuracy_of, cross_entropy, glorot
from sidebyside.workloads.datasets import digit_splits
from sidebyside.workloads.workload import Training, Workload

CHANNELS = 8, 16
POOLED = 4 * 4 * CHANNELS[1]


class Parameters(NamedTuple):
    """Two layers of 3x3 filters with a bias a channel, and a linear layer."""

    filter1: Any
    bias1: Any
    filter2: Any
    bias2: Any
    weight: Any
    bias: Any


def scores(xp: Any, p: Any, images: Any) -> Any:
    """Return one score a class for images ``(n, 1, 8, 8)``."""
    x = xp.relu(xp.conv2d(images, p.filter1, padding=1) + p.bias1)
    x = xp.relu(xp.conv2d(x, p.filter2, padding=1) + p.bias2)
    x = xp.max_pool2d(x, 2)
    return x.reshape((-1, POOLED)) @ p.weight + p.bias


def cnn_digits(xp: Any, parameters: Any, images: Any, targets: Any) -> Any:
    """Return the mean cross entropy of images ``(n, 1, 8, 8)`` and one-hot targets ``(n, 10)``."""
    return cross_entropy(xp, scores(xp, parameters, images), targets)


def initial(rng: np.random.Generator) -> Parameters:
    """Draw initial parameters."""
    first, second = CHANNELS
    return Parameters(
        glorot(rng, first, 1, 3, 3, inward=9),
        np.zeros((first, 1, 1), np.float32),
        glorot(rng, second, first, 3, 3, inward=9 * first),
        np.zeros((second, 1, 1), np.float32),
        glorot(rng, POOLED, 10),
        np.zeros(10, np.float32),
    )


def _inputs(rng: np.random.Generator, size: int) -> tuple[Any, ...]:
    images, targets = digit_splits(1, 8, 8).train
    return initial(rng), images[:size], targets[:size]


WORKLOAD = Workload(
    cnn_digits,
    inputs=_inputs,
    wrt=(0,),
    sizes=(64,),
    learning_rate=0.3,
    training=Training(
        partial(digit_splits, 1, 8, 8),
        initial,
        accuracy_of(scores),
        epochs=15,
        batch_size=64,
        target=0.97,
    ),
    name="cnn_digits",
    title="CNN on digit images, training step",
    description="Two 3x3 convolutions, max pooling and a linear layer.",
)
