"""A small perceptron that learns to read the 1,797 digit images of scikit-learn."""

from __future__ import annotations

from functools import partial
from typing import Any, NamedTuple

import numpy as np

from sidebyside.workloads.builtin.primitives import accuracy_of, cross_entropy, glorot
from sidebyside.workloads.datasets import digit_splits
from sidebyside.workloads.workload import Training, Workload

HIDDEN = 32


class Parameters(NamedTuple):
    """Two layers: ``(64, 32)``, ``(32,)``, ``(32, 10)``, ``(10,)``."""

    weight1: Any
    bias1: Any
    weight2: Any
    bias2: Any


def scores(xp: Any, p: Any, images: Any) -> Any:
    """Return one score a class for images ``(n, 64)``."""
    return xp.tanh(images @ p.weight1 + p.bias1) @ p.weight2 + p.bias2


def mlp_digits(xp: Any, parameters: Any, images: Any, targets: Any) -> Any:
    """Return the mean cross entropy of images ``(n, 64)`` and one-hot targets ``(n, 10)``."""
    return cross_entropy(xp, scores(xp, parameters, images), targets)


def initial(rng: np.random.Generator) -> Parameters:
    """Draw initial parameters."""
    return Parameters(
        glorot(rng, 64, HIDDEN),
        np.zeros(HIDDEN, np.float32),
        glorot(rng, HIDDEN, 10),
        np.zeros(10, np.float32),
    )


def _inputs(rng: np.random.Generator, size: int) -> tuple[Any, ...]:
    images, targets = digit_splits(64).train
    return initial(rng), images[:size], targets[:size]


WORKLOAD = Workload(
    mlp_digits,
    inputs=_inputs,
    wrt=(0,),
    sizes=(32,),
    learning_rate=0.5,
    training=Training(
        partial(digit_splits, 64),
        initial,
        accuracy_of(scores),
        epochs=20,
        batch_size=32,
        target=0.95,
    ),
    name="mlp_digits",
    title="MLP 64-32-10 on digit images, training step",
    description="Small matrices: two dozen operations of a few microseconds each.",
)
