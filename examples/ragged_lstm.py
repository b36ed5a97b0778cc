"""A character LSTM over words of every length, without padding.

The words are Python's own names, laid end to end in one array, as sparse matrices store their rows:
word ``i`` is ``letters[bounds[i]:bounds[i + 1]]``. The model learns to spell them. Each word gets a
graph of its own length; no step is computed for padding, and no mask hides it afterwards.

A static graph whose words are inputs refuses at ``range(start, stop)``, since the bounds are
numbers of the data. With bounds that are plain Python numbers it accepts, and declares another
graph for each length: correct, and compiled anew every time a new length comes by.
"""

import builtins
import keyword

import numpy as np

import dyngraph as dg
import staticgraph as sg
from sidebyside import Example

ALPHABET = ".abcdefghijklmnopqrstuvwxyz_"
"""The full stop begins and ends each word."""

WIDTH = 32


def words():
    """Return all names that every Python program knows, in small letters."""
    names = {name.lower().strip("_") for name in [*dir(builtins), *keyword.kwlist]}
    return sorted(name for name in names if name and set(name) <= set(ALPHABET))


def pack(names):
    """Return the letters of all words, one after the other, and where each word begins."""
    letters = [ALPHABET.index(c) for name in names for c in f".{name}."]
    bounds = np.cumsum([0] + [len(name) + 2 for name in names])
    return np.array(letters), bounds


def spell(xp, weights, letters, start, stop):
    """Return the mean loss of predicting each letter of one word from those before it."""
    embedding, recurrent, bias, readout = weights
    hidden = cell = 0 * bias[:WIDTH]
    loss = 0 * bias[0]
    steps = 0
    for position in range(start, stop - 1):
        gates = embedding[letters[position]] + hidden @ recurrent + bias
        opened = xp.sigmoid(gates[: 3 * WIDTH])
        cell = opened[:WIDTH] * cell + opened[WIDTH : 2 * WIDTH] * xp.tanh(gates[3 * WIDTH :])
        hidden = opened[2 * WIDTH :] * xp.tanh(cell)
        scores = hidden @ readout
        loss = loss + xp.logsumexp(scores, 0) - scores[letters[position + 1]]
        steps += 1
    return loss / steps


LONGEST = 28
"""Letters that the padded rewrite has room for, both full stops included."""


def spell_rewritten(xp, weights, letters, start, stop):
    """Return the same, every word padded to one length; a mask hides what is not there."""
    embedding, recurrent, bias, readout = weights
    positions = start + xp.arange(LONGEST - 1)
    inside = positions < stop - 1
    last = letters.shape[0] - 1
    read = letters[xp.minimum(positions, last)]
    expected = letters[xp.minimum(positions + 1, last)]

    def step(state, each):
        hidden, cell, loss = state
        letter, following, is_inside = each
        gates = embedding[letter] + hidden @ recurrent + bias
        opened = xp.sigmoid(gates[: 3 * WIDTH])
        cell_after = opened[:WIDTH] * cell + opened[WIDTH : 2 * WIDTH] * xp.tanh(gates[3 * WIDTH :])
        hidden_after = opened[2 * WIDTH :] * xp.tanh(cell_after)
        scores = hidden_after @ readout
        more = xp.logsumexp(scores, 0) - scores[following]
        state = (
            xp.where(is_inside, hidden_after, hidden),
            xp.where(is_inside, cell_after, cell),
            loss + xp.where(is_inside, more, 0),
        )
        return state, None

    nothing = 0 * bias[:WIDTH]
    (_, _, loss), _ = xp.scan(step, (nothing, nothing, nothing[0]), (read, expected, inside))
    return loss / xp.sum(inside)


def some_words():
    """Return words of several lengths, each by its bounds in the array of all letters."""
    letters, bounds = pack(words())
    for word in (0, 1, 40, 80, 120):
        yield initial_weights(), letters, bounds[word], bounds[word + 1]


def words_by_length():
    """Return words of several lengths, their bounds as plain Python numbers."""
    letters, bounds = pack(words())
    for word in (0, 1, 40, 80, 120):
        yield initial_weights(), letters, int(bounds[word]), int(bounds[word + 1])


PROGRAMS = (
    Example(spell, inputs=some_words, rewrite=spell_rewritten, wrt=(0,)),
    Example(spell, inputs=words_by_length, static=(2, 3), wrt=(0,), name="plain bounds"),
)


def initial_weights():
    rng = np.random.default_rng(0)
    shapes = [(len(ALPHABET), 4 * WIDTH), (WIDTH, 4 * WIDTH), (4 * WIDTH,), (WIDTH, len(ALPHABET))]
    weights = [rng.normal(0, 0.2, shape).astype(np.float32) for shape in shapes]
    weights[2][:] = 0
    weights[2][:WIDTH] = 1  # begin by remembering
    return weights


def run(xp=dg, epochs=3, rate=2.0):
    """Learn the words one by one; return the mean loss of each epoch."""
    names = words()
    letters, bounds = pack(names)
    weights = [xp.tensor(w, requires_grad=True) for w in initial_weights()]
    letters, bounds = xp.tensor(letters), xp.tensor(bounds)
    rng = np.random.default_rng(0)
    losses = []
    for _ in range(epochs):
        total = 0.0
        for word in rng.permutation(len(names)):
            loss = spell(xp, weights, letters, bounds[word], bounds[word + 1])
            total += loss.item()
            loss.backward()
            with xp.no_grad():
                for weight in weights:
                    weight -= rate * weight.grad
                    weight.grad = None
        losses.append(total / len(names))
    lengths = [len(name) for name in names]
    return {
        "words": len(names),
        "lengths": sorted(set(lengths)),
        "steps": sum(lengths) + len(names),
        "padded_steps": len(names) * (max(lengths) + 1),
        "losses": losses,
    }


def declare():
    """Trace the same function: SBS-302 at ``range(start, stop - 1)``."""
    letters, bounds = pack(words())
    return sg.trace(
        lambda w, letters, start, stop: spell(sg, w, letters, start, stop),
        initial_weights(),
        letters,
        bounds[0],
        bounds[1],
    )


def declare_length(length):
    """Trace with plain numbers for bounds: accepted, a graph for words of this length only."""
    return sg.trace(
        lambda w, letters: spell(sg, w, letters, 0, length),
        initial_weights(),
        sg.TensorType((length,), "int64"),
    )


def main():
    found = run()
    print(f"{found['words']} words of {len(found['lengths'])} lengths")
    print(f"{found['steps']} steps an epoch; padded to one length {found['padded_steps']}")
    for epoch, loss in enumerate(found["losses"]):
        print(f"epoch {epoch}: {loss:.3f} nats a letter")


if __name__ == "__main__":
    main()
