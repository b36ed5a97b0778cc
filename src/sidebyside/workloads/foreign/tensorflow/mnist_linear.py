"""The linear model that AutoGraph's authors train on MNIST, with random images."""

from __future__ import annotations

from typing import Any

import numpy as np

from sidebyside.workloads.builtin.primitives import cross_entropy
from sidebyside.workloads.datasets import one_hot
from sidebyside.workloads.foreign.loops import scan
from sidebyside.workloads.workload import Workload

PIXELS, CLASSES = 784, 10
RATE = 0.1


def mnist_linear(xp: Any, weight: Any, bias: Any, images: Any, targets: Any) -> Any:
    """Return the last loss of a training loop, and the weight and bias after it.

    Parameters
    ----------
    weight, bias : (784, 10), (10,)
    images : (steps, batch, 784)
    targets : (steps, batch, 10), one-hot

    References
    ----------
    D. Moldovan et al., AutoGraph: imperative-style coding with graph-based performance, SysML 2019:
    https://arxiv.org/abs/1810.08061, the model of its table on in-graph training.
    """

    def loss(parameters: Any, images: Any, targets: Any) -> Any:
        weight, bias = parameters
        return cross_entropy(xp, images @ weight + bias, targets)

    def step(parameters: Any, batch: Any) -> tuple[Any, Any]:
        value, (by_weight, by_bias) = xp.value_and_grad(lambda each: loss(each, *batch))(parameters)
        weight, bias = parameters
        return (weight - RATE * by_weight, bias - RATE * by_bias), value

    (weight, bias), losses = scan(xp, step, (weight, bias), (images, targets))
    return losses[-1], weight, bias


def _inputs(rng: np.random.Generator, size: int, *, steps: int = 10) -> tuple[Any, ...]:
    images = rng.random((steps, size, PIXELS), np.float32)
    targets = one_hot(rng.integers(0, CLASSES, (steps, size)), CLASSES)
    return (
        np.zeros((PIXELS, CLASSES), np.float32),
        np.zeros(CLASSES, np.float32),
        images,
        targets,
    )


MNIST_LINEAR = Workload(
    mnist_linear,
    inputs=_inputs,
    sizes=(200,),
    name="mnist_linear",
    title="linear model 784-10, a loop of 10 training steps of 200 images",
    description="The loop is part of the program: a graph holds it whole.",
)
