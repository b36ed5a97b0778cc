"""A character LSTM over Python's own reference texts, unrolled over 50 steps."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from sidebyside.workloads.builtin.primitives import cross_entropy, glorot
from sidebyside.workloads.datasets import ALPHABET, one_hot, text_ids
from sidebyside.workloads.workload import Workload

STEPS = 50
HIDDEN = 128
SYMBOLS = len(ALPHABET)


class Parameters(NamedTuple):
    """What a character, and the last state, add to the gates; and the scores of the next character.

    ``(symbols, 4 hidden)``, ``(hidden, 4 hidden)``, ``(4 hidden,)``, ``(hidden, symbols)``,
    ``(symbols,)``.
    """

    embedding: Any
    recurrent: Any
    bias: Any
    readout: Any
    readout_bias: Any


def lstm_text(xp: Any, p: Any, characters: Any, targets: Any) -> Any:
    """Return the mean cross entropy of predicting each next character.

    Parameters
    ----------
    p : Parameters
    characters : (steps, batch), integers
    targets : (steps * batch, symbols), one-hot
        The character that follows each.

    References
    ----------
    S. Hochreiter and J. Schmidhuber, Long short-term memory, 1997; with forget gates as in
    F. Gers et al., Learning to forget, 2000.
    """
    steps, batch = characters.shape
    zeros = xp.zeros((batch, HIDDEN), dtype=xp.float32)
    hidden, cell = zeros, zeros
    states = []
    for step in range(steps):
        gates = p.embedding[characters[step]] + hidden @ p.recurrent + p.bias
        # three sigmoids at once: fewer, larger operations in every mode
        opened = xp.sigmoid(gates[:, : 3 * HIDDEN])
        candidate = xp.tanh(gates[:, 3 * HIDDEN :])
        write = opened[:, :HIDDEN]
        keep = opened[:, HIDDEN : 2 * HIDDEN]
        read = opened[:, 2 * HIDDEN :]
        cell = keep * cell + write * candidate
        hidden = read * xp.tanh(cell)
        states.append(hidden)
    return cross_entropy(xp, xp.concat(states, axis=0) @ p.readout + p.readout_bias, targets)


def initial(rng: np.random.Generator) -> Parameters:
    """Draw initial parameters; the forget gates start open."""
    bias = np.zeros(4 * HIDDEN, np.float32)
    bias[HIDDEN : 2 * HIDDEN] = 1
    return Parameters(
        glorot(rng, SYMBOLS, 4 * HIDDEN, inward=HIDDEN),
        glorot(rng, HIDDEN, 4 * HIDDEN),
        bias,
        glorot(rng, HIDDEN, SYMBOLS),
        np.zeros(SYMBOLS, np.float32),
    )


def _inputs(rng: np.random.Generator, size: int, *, steps: int = STEPS) -> tuple[Any, ...]:
    ids = text_ids()
    starts = rng.integers(0, len(ids) - steps - 1, size)
    windows = ids[starts + np.arange(steps + 1)[:, None]]
    return initial(rng), windows[:-1], one_hot(windows[1:].reshape(-1), SYMBOLS)


WORKLOAD = Workload(
    lstm_text,
    inputs=_inputs,
    wrt=(0,),
    sizes=(16,),
    learning_rate=0.5,
    name="lstm_text",
    title="character LSTM, 50 steps, batch 16, hidden 128, training step",
    description="Some 700 operations one after the other, on the text of pydoc_data.topics.",
)
