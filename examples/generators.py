"""Generators: training and sampling as streams that their consumer stops.

``training`` yields the model after each step, for ever; whoever reads the stream decides when the
model is good enough. ``letters`` yields one character after the other from the model and never
ends; ``takewhile`` ends it at the first space. Both are ordinary Python generators: the model runs
between two ``yield``s, and only when somebody asks.

A static graph refuses where a letter is compared. A generator cannot be what a traced function
returns either: there is nobody to ask for its next value when the graph runs.
"""

from itertools import islice, takewhile

import numpy as np

import dyngraph as dg
import staticgraph as sg
from sidebyside import Example
from sidebyside.workloads.datasets import text

LETTERS = " abcdefghijklmnopqrstuvwxyz"


def encode(words):
    """Return the ids of a text in small letters; whatever is no letter separates words."""
    letters = "".join(c if c in LETTERS else " " for c in words.lower())
    return np.array([LETTERS.index(c) for c in " ".join(letters.split())])


def scores(weights, before, last):
    """Return the scores of each next letter after the letters `before` and `last`."""
    return weights[0][before] + weights[1][last] + weights[2][before * len(LETTERS) + last]


def training(xp, weights, ids, rate, batch=256):
    """Yield the loss of step after step, for ever."""
    rng = np.random.default_rng(0)
    while True:
        at = rng.integers(2, len(ids), batch)
        before, last, following = (xp.tensor(ids[at - back]) for back in (2, 1, 0))
        found = scores(weights, before, last)
        loss = xp.mean(xp.logsumexp(found, 1) - found[xp.arange(batch), following])
        loss.backward()
        with xp.no_grad():
            for weight in weights:
                weight -= rate * weight.grad
                weight.grad = None
        yield loss.item()


def letters(xp, weights, noise):
    """Yield letters, each drawn after the two before it, for ever; `noise` is a stream as well.

    The largest of scores plus Gumbel noise is a draw from their softmax.
    """
    before = last = xp.asarray(0)
    for each in noise:
        following = xp.argmax(scores(weights, before, last) + each, 0)
        yield following
        before, last = last, following


def one_word(xp, weights, noise):
    """Return the letters up to the first space."""
    return list(takewhile(lambda letter: letter != 0, letters(xp, weights, noise)))


def gumbel(xp, rng):
    """Yield noise, for ever."""
    while True:
        yield xp.tensor(rng.gumbel(size=len(LETTERS)).astype(np.float32))


def initial_weights():
    count = len(LETTERS)
    return [np.zeros(shape, np.float32) for shape in ((count, count),) * 2 + ((count**2, count),)]


def noises():
    """Return weights with the noise for several words."""
    rng = np.random.default_rng(0)
    weights = [rng.normal(0, 0.5, array.shape).astype(np.float32) for array in initial_weights()]
    for _ in range(3):
        yield weights, rng.gumbel(size=(40, len(LETTERS))).astype(np.float32)


PROGRAMS = (Example(one_word, inputs=noises),)


def run(xp=dg, target=2.35, most=2000, words=12):
    """Train until a moving average of the loss reaches the target, then draw words."""
    weights = [xp.tensor(w, requires_grad=True) for w in initial_weights()]
    average, history = 3.3, []
    for loss in islice(training(xp, weights, encode(text()), rate=5.0), most):
        average += 0.02 * (loss - average)
        history.append(average)
        if average < target:
            break
    with xp.no_grad():
        stream = gumbel(xp, np.random.default_rng(0))
        drawn = [one_word(xp, weights, stream) for _ in range(words)]
    return {
        "steps": len(history),
        "average": average,
        "words": ["".join(LETTERS[int(letter)] for letter in word) for word in drawn],
    }


def declare():
    """Trace the same function: SBS-301 at ``letter != 0``."""
    noise = sg.TensorType((5, len(LETTERS)), "float32")
    return sg.trace(lambda w, n: one_word(sg, w, n), initial_weights(), noise)


def declare_stream():
    """Trace a function that returns the generator itself: SBS-309, it is not a value."""
    noise = sg.TensorType((5, len(LETTERS)), "float32")
    return sg.trace(lambda w, n: letters(sg, w, n), initial_weights(), noise)


def main():
    found = run()
    print(f"stopped after {found['steps']} steps at {found['average']:.3f} nats a letter")
    print("drawn words:", *(repr(word) for word in found["words"]))


if __name__ == "__main__":
    main()
