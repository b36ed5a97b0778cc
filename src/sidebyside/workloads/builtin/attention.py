"""One transformer block, forward and backward: sequence 128, width 128, 4 heads."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from sidebyside.workloads.builtin.primitives import glorot, layer_norm, softmax
from sidebyside.workloads.workload import Workload

HEADS = 4


class Parameters(NamedTuple):
    """Two layer norms, the attention's projections and the two layers of the perceptron."""

    gain1: Any
    shift1: Any
    queries_keys_values: Any
    output: Any
    gain2: Any
    shift2: Any
    expand: Any
    expand_bias: Any
    contract: Any
    contract_bias: Any


def attend(xp: Any, x: Any, projection: Any, output: Any) -> Any:
    """Return unmasked multi-head attention of ``(length, width)`` to itself."""
    length, width = x.shape
    per_head = width // HEADS
    # (3, heads, length, width of a head)
    projected = (x @ projection).reshape((length, 3, HEADS, per_head))
    queries, keys, values = (xp.swapaxes(projected[:, i], 0, 1) for i in range(3))
    weights = softmax(xp, queries @ xp.swapaxes(keys, 1, 2) * (1 / math.sqrt(per_head)))
    return xp.swapaxes(weights @ values, 0, 1).reshape((length, width)) @ output


def gelu(xp: Any, x: Any) -> Any:
    """Return the tanh form of the Gaussian error linear unit.

    References
    ----------
    D. Hendrycks and K. Gimpel, Gaussian error linear units, 2016.
    """
    inner = (x + x * x * x * 0.044715) * math.sqrt(2 / math.pi)
    return x * (xp.tanh(inner) + 1) * 0.5


def attention(xp: Any, p: Any, x: Any, target: Any) -> Any:
    """Return the mean squared distance of the block's result ``(length, width)`` to a target.

    References
    ----------
    A. Vaswani et al., Attention is all you need, 2017; normalized before each part as in GPT-2.
    """
    x = x + attend(xp, layer_norm(xp, x, p.gain1, p.shift1), p.queries_keys_values, p.output)
    inner = gelu(xp, layer_norm(xp, x, p.gain2, p.shift2) @ p.expand + p.expand_bias)
    error = x + inner @ p.contract + p.contract_bias - target
    return xp.mean(error * error)


def initial(rng: np.random.Generator, width: int) -> Parameters:
    """Draw initial parameters."""
    ones, zeros = np.ones(width, np.float32), np.zeros(width, np.float32)
    return Parameters(
        ones,
        zeros,
        glorot(rng, width, 3 * width),
        glorot(rng, width, width),
        ones.copy(),
        zeros.copy(),
        glorot(rng, width, 4 * width),
        np.zeros(4 * width, np.float32),
        glorot(rng, 4 * width, width),
        zeros.copy(),
    )


def _inputs(rng: np.random.Generator, size: tuple[int, int]) -> tuple[Any, ...]:
    x, target = rng.standard_normal((2, *size), np.float32)
    return initial(rng, size[1]), x, target


WORKLOAD = Workload(
    attention,
    inputs=_inputs,
    wrt=(0,),
    sizes=((128, 128),),
    learning_rate=0.01,
    name="attention",
    title="transformer block, forward and backward",
    description="Layer norms, attention with 4 heads and an MLP, 128 positions of width 128.",
)
