"""One training step of a language model like GPT-2, by Adam: some 30 million parameters."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from sidebyside.workloads.builtin.attention import gelu
from sidebyside.workloads.builtin.primitives import cross_entropy, layer_norm, softmax
from sidebyside.workloads.datasets import one_hot
from sidebyside.workloads.workload import Workload

RATE, DECAY, SQUARE_DECAY, TINY = 3e-4, 0.9, 0.999, 1e-8
"""Adam's step, its two rates of decay, and what is added to a root."""

HEAD = 64
"""The width of a head."""


class Block(NamedTuple):
    """A layer: gains and shifts of two norms, attention, and a perceptron."""

    gain1: Any
    shift1: Any
    project: Any
    project_bias: Any
    output: Any
    output_bias: Any
    gain2: Any
    shift2: Any
    expand: Any
    expand_bias: Any
    contract: Any
    contract_bias: Any


class Model(NamedTuple):
    """A vector a token, which also reads out, and one a position; the layers; the last norm."""

    tokens: Any
    positions: Any
    blocks: tuple[Block, ...]
    gain: Any
    shift: Any


def attend(xp: Any, p: Any, x: Any, mask: Any) -> Any:
    """Return causal attention of ``(batch, length, width)`` to itself."""
    batch, length, width = x.shape
    heads = max(1, width // HEAD)
    projected = (x @ p.project + p.project_bias).reshape((batch, length, 3, heads, width // heads))
    queries, keys, values = (xp.swapaxes(projected[:, :, i], 1, 2) for i in range(3))
    scores = queries @ xp.swapaxes(keys, 2, 3) * math.sqrt(heads / width) + mask
    mixed = xp.swapaxes(softmax(xp, scores) @ values, 1, 2).reshape((batch, length, width))
    return mixed @ p.output + p.output_bias


def loss(xp: Any, model: Any, tokens: Any, targets: Any, mask: Any) -> Any:
    """Return the mean cross entropy of predicting each next token."""
    x = model.tokens[tokens] + model.positions
    for p in model.blocks:
        x = x + attend(xp, p, layer_norm(xp, x, p.gain1, p.shift1), mask)
        inner = gelu(xp, layer_norm(xp, x, p.gain2, p.shift2) @ p.expand + p.expand_bias)
        x = x + inner @ p.contract + p.contract_bias
    x = layer_norm(xp, x, model.gain, model.shift).reshape((-1, x.shape[-1]))
    return cross_entropy(xp, x @ xp.swapaxes(model.tokens, 0, 1), targets)


def gpt(xp: Any, model: Any, means: Any, squares: Any, count: Any, *batch: Any) -> Any:
    """Return the loss, and the model and Adam's moments after one step.

    Parameters
    ----------
    model, means, squares : Model
        Parameters, and the running means of their gradients and of the squares of those.
    count : scalar
        Of this step, from 1.
    *batch : array
        Tokens ``(batch, length)``, integers; the tokens that follow, one-hot, ``(batch * length,
        vocabulary)``; and the mask ``(length, length)``, large and negative where attention may
        not look.

    References
    ----------
    A. Radford et al., Language models are unsupervised multitask learners, 2019; D. Kingma and
    J. Ba, Adam: a method for stochastic optimization, ICLR 2015: https://arxiv.org/abs/1412.6980
    """
    value, slopes = xp.value_and_grad(lambda model: loss(xp, model, *batch))(model)
    rate = RATE * xp.sqrt(1 - SQUARE_DECAY**count) / (1 - DECAY**count)
    stepped = [
        _adam(xp, rate, *each)
        for each in zip(*map(_leaves, (model, means, squares, slopes)), strict=True)
    ]
    return value, *(list(part) for part in zip(*stepped, strict=True))


def _adam(xp: Any, rate: Any, parameter: Any, mean: Any, square: Any, slope: Any) -> Any:
    mean = DECAY * mean + (1 - DECAY) * slope
    square = SQUARE_DECAY * square + (1 - SQUARE_DECAY) * slope * slope
    return parameter - rate * mean / (xp.sqrt(square) + TINY), mean, square


def _leaves(model: Any) -> list[Any]:
    """Return the arrays of a Model in order."""
    return [
        model.tokens,
        model.positions,
        *(array for block in model.blocks for array in block),
        model.gain,
        model.shift,
    ]


def initial(
    rng: np.random.Generator, layers: int, width: int, vocabulary: int, length: int
) -> Model:
    """Draw initial parameters as GPT-2 does: deviations of 0.02."""

    def drawn(*shape: int) -> Any:
        return rng.standard_normal(shape, np.float32) * np.float32(0.02)

    def zeros(count: int) -> Any:
        return np.zeros(count, np.float32)

    def ones() -> Any:
        return np.ones(width, np.float32)

    def block() -> Block:
        return Block(
            ones(),
            zeros(width),
            drawn(width, 3 * width),
            zeros(3 * width),
            drawn(width, width),
            zeros(width),
            ones(),
            zeros(width),
            drawn(width, 4 * width),
            zeros(4 * width),
            drawn(4 * width, width),
            zeros(width),
        )

    blocks = tuple(block() for _ in range(layers))
    return Model(drawn(vocabulary, width), drawn(length, width), blocks, ones(), zeros(width))


def _inputs(
    rng: np.random.Generator,
    size: tuple[int, int],
    *,
    layers: int = 8,
    width: int = 512,
    vocabulary: int = 8_192,
) -> tuple[Any, ...]:
    batch, length = size
    model = initial(rng, layers, width, vocabulary, length)
    text = rng.integers(0, vocabulary, (batch, length + 1))
    mask = np.triu(np.full((length, length), -1e9, np.float32), k=1)
    return (
        model,
        _like(model, lambda shape: rng.standard_normal(shape, np.float32) * np.float32(1e-4)),
        _like(model, lambda shape: (rng.random(shape, np.float32) + 1) * np.float32(1e-8)),
        np.array(1_000, np.float32),
        text[:, :-1],
        one_hot(text[:, 1:].reshape(-1), vocabulary),
        mask,
    )


def _like(model: Model, draw: Callable[[tuple[int, ...]], Any]) -> Model:
    """Return a model of arrays that `draw` makes of the shapes of another's.

    They stand for moments in the middle of training: after none, a first step of Adam has the
    sign of each gradient alone, and some are zero but for rounding.
    """

    def made(array: Any) -> Any:
        return draw(array.shape)

    blocks = tuple(Block(*map(made, block)) for block in model.blocks)
    tokens, positions, gain, shift = map(
        made, (model.tokens, model.positions, model.gain, model.shift)
    )
    return Model(tokens, positions, blocks, gain, shift)


GPT = Workload(
    gpt,
    inputs=_inputs,
    sizes=((4, 128),),
    name="gpt",
    title="GPT-2 of 29 million parameters, 4 texts of 128 tokens, training step with Adam",
    description="Matrix products are nearly all of it.",
)
"""Sizes are texts and tokens; layers, width and vocabulary are parameters of their own."""
