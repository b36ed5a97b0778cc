"""Pieces of models that several workloads share, written with elementary array functions only.

No ready-made softmax or loss is called: the same lines run in dyngraph, staticgraph, NumPy, PyTorch
and JAX, and a compiler finds something to fuse.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from oplibrary.values.types import Array


def softmax(xp: Any, x: Any) -> Any:
    """Return the softmax over the last axis."""
    weights = xp.exp(x - xp.amax(x, axis=-1, keepdims=True))
    return weights / xp.sum(weights, axis=-1, keepdims=True)


def layer_norm(xp: Any, x: Any, gain: Any, bias: Any) -> Any:
    """Return `x` with mean 0 and variance 1 along the last axis, then scaled and shifted."""
    centred = x - xp.mean(x, axis=-1, keepdims=True)
    variance = xp.mean(centred * centred, axis=-1, keepdims=True)
    return centred / xp.sqrt(variance + 1e-5) * gain + bias


def cross_entropy(xp: Any, scores: Any, targets: Any) -> Any:
    """Return the mean cross entropy of scores ``(n, classes)`` and one-hot targets."""
    shifted = scores - xp.amax(scores, axis=-1, keepdims=True)
    normalizer = xp.log(xp.sum(xp.exp(shifted), axis=-1))
    return xp.mean(normalizer - xp.sum(shifted * targets, axis=-1))


def accuracy_of(scores: Callable[..., Any]) -> Callable[..., Any]:
    """Return what gives the fraction of samples whose largest score is that of their target."""

    def accuracy(xp: Any, parameters: Any, samples: Any, targets: Any) -> Any:
        found = xp.argmax(scores(xp, parameters, samples), axis=-1)
        return xp.mean((found == xp.argmax(targets, axis=-1)).astype("float32"))

    return accuracy


def glorot(rng: np.random.Generator, *shape: int, inward: int = 0) -> Array:
    """Draw float32 weights whose variance is 1 over the number of inputs.

    References
    ----------
    X. Glorot and Y. Bengio, Understanding the difficulty of training deep feedforward neural
    networks, AISTATS 2010.
    """
    drawn: Array = rng.standard_normal(shape) / np.sqrt(inward or shape[0])
    return drawn.astype(np.float32)
