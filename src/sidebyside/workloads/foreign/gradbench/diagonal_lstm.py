"""ADBench's lstm: a recurrent network whose matrices are diagonal, on a text bit by bit."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from sidebyside.workloads.foreign.loops import scan
from sidebyside.workloads.workload import Workload


class Parameters(NamedTuple):
    """Weights and biases.

    Attributes
    ----------
    weights, biases : (layers, 4, bits)
        Of the gates that forget, write and read, and of the candidate.
    inward, outward, outward_bias : (bits,)
        What the input and the last layer are multiplied with.
    """

    weights: Any
    biases: Any
    inward: Any
    outward: Any
    outward_bias: Any


def lstm(xp: Any, p: Any, hiddens: Any, cells: Any, text: Any) -> Any:
    """Return the mean loss of predicting each next character.

    Two gates read what comes in, two the state, element by element. The normalizer of a prediction
    has 2 beside its exponentials, as the benchmark defines it.

    Parameters
    ----------
    p : Parameters
    hiddens, cells : (layers, bits)
        The first state.
    text : (characters, bits)

    References
    ----------
    ADBench: https://github.com/microsoft/ADBench; GradBench, ``evals/lstm``:
    https://github.com/gradbench/gradbench
    """
    layers, bits = hiddens.shape

    def read(state: Any, pair: Any) -> tuple[Any, Any]:
        character, following = pair
        state, signal = list(state), character * p.inward
        for layer in range(layers):
            hidden, cell = state[layer]
            weights, biases = p.weights[layer], p.biases[layer]
            forget = xp.sigmoid(signal * weights[0] + biases[0])
            write = xp.sigmoid(hidden * weights[1] + biases[1])
            opened = xp.sigmoid(signal * weights[2] + biases[2])
            candidate = xp.tanh(hidden * weights[3] + biases[3])
            cell = cell * forget + write * candidate
            signal = opened * xp.tanh(cell)
            state[layer] = signal, cell
        scores = signal * p.outward + p.outward_bias
        normalizer = xp.log(xp.sum(xp.exp(scores)) + 2)
        return tuple(state), xp.sum(following * (scores - normalizer))

    state = tuple((hiddens[layer], cells[layer]) for layer in range(layers))
    _, gains = scan(xp, read, state, (text[:-1], text[1:]))
    return -xp.sum(gains) / (bits * gains.shape[0])


def _inputs(
    rng: np.random.Generator, size: int, *, layers: int = 2, bits: int = 14
) -> tuple[Any, ...]:
    parameters = Parameters(
        rng.uniform(-1, 1, (layers, 4, bits)),
        rng.uniform(-1, 1, (layers, 4, bits)),
        *rng.uniform(-1, 1, (3, bits)),
    )
    hiddens, cells = rng.uniform(-1, 1, (2, layers, bits))
    return parameters, hiddens, cells, (rng.random((size, bits)) < 0.5).astype(np.float64)


LSTM = Workload(
    lstm,
    inputs=_inputs,
    wrt=(0,),
    sizes=(1_024,),
    name="lstm",
    title="diagonal LSTM, 2 layers of 14, 1,024 characters, and the gradient",
    description="A long loop of small elementwise steps.",
)
"""GradBench has 2 and 4 layers, and 1,024 and 4,096 characters."""
