"""Beam search: complete words with a character model, keeping only the best beginnings.

A small network learns from Python's reference texts which character follows four others. To
complete a word, several beginnings grow side by side; each round sorts them by their scores and
drops the worst, and a word that ends leaves the beam. What is computed next depends on every score
so far, and nobody knows beforehand when it ends.

A static graph refuses where the beam is sorted.
"""

import numpy as np

import dyngraph as dg
import staticgraph as sg
from sidebyside import Example
from sidebyside.workloads.datasets import text

LETTERS = " abcdefghijklmnopqrstuvwxyz"
CONTEXT = 4
LONGEST = 16
"""Letters that a completion may add."""

WIDTH = 64


def encode(words):
    """Return the ids of a text in small letters; whatever is no letter separates words."""
    letters = "".join(c if c in LETTERS else " " for c in words.lower())
    return np.array([LETTERS.index(c) for c in " ".join(letters.split())])


def log_probabilities(xp, weights, contexts):
    """Return the log-probability of each next letter for contexts ``(n, 4)``."""
    embedding, hidden, bias, readout = weights
    seen = embedding[contexts].reshape((len(contexts), -1))
    scores = xp.tanh(seen @ hidden + bias) @ readout
    return scores - xp.logsumexp(scores, 1, keepdims=True)


def complete(xp, weights, start, width, longest=LONGEST):
    """Return the best completion of `start`, its log-probability and the rounds it took."""
    beam = [(0.0, start)]
    finished = []
    rounds = 0
    while beam and rounds < longest:
        rounds += 1
        contexts = xp.stack([word[-CONTEXT:] for _, word in beam])
        found = log_probabilities(xp, weights, contexts)
        longer = [
            (score + found[row, letter], xp.concat([word, xp.asarray([letter])]))
            for row, (score, word) in enumerate(beam)
            for letter in range(len(LETTERS))
        ]
        beam = sorted(longer, key=lambda entry: float(entry[0]), reverse=True)[:width]
        finished += [entry for entry in beam if entry[1][-1] == 0]
        beam = [entry for entry in beam if entry[1][-1] != 0]
        # no beginning can overtake: a word's probability only falls as it grows
        if finished and beam and max(f[0] for f in finished) > beam[0][0]:
            break
    score, word = max(finished or beam, key=lambda entry: float(entry[0]))
    return word, score, rounds


def best_completion(xp, weights, start, width=4):
    """Return the best completion, filled up with spaces to one length, its score and rounds."""
    word, score, rounds = complete(xp, weights, start, width)
    missing = len(start) + LONGEST - len(word)
    return xp.concat([word, xp.zeros(missing, dtype=xp.int64)]), score, rounds


def best_completion_rewritten(xp, weights, start, width=4):
    """Return the same from arrays of a fixed size; a beginning that has ended scores -inf."""
    known = start.shape[0]
    columns = xp.arange(known + LONGEST)
    lowest = xp.asarray(np.float32(-np.inf))

    def goes_on(now):
        rounds, _, scores, best_score, _ = now
        leading = xp.max(scores)
        is_open = xp.logical_and(leading > lowest, best_score <= leading)
        return xp.logical_and(rounds < LONGEST, is_open)

    def grow(now):
        rounds, words, scores, best_score, best_word = now
        end = known + rounds
        contexts = xp.take(words, end - CONTEXT + xp.arange(CONTEXT), axis=1)
        longer = scores.reshape((-1, 1)) + log_probabilities(xp, weights, contexts)
        longer = longer.reshape((-1,))
        best = xp.argsort(longer, descending=True)[:width]
        row, letter = best // len(LETTERS), best % len(LETTERS)
        words = xp.where(columns == end, letter.reshape((-1, 1)), words[row])
        finished = xp.where(letter == 0, longer[best], lowest)
        first = xp.argmax(finished, 0)
        is_better = finished[first] > best_score
        best_word = xp.where(is_better, words[first], best_word)
        best_score = xp.maximum(finished[first], best_score)
        scores = xp.where(letter == 0, lowest, longer[best])
        return rounds + 1, words, scores, best_score, best_word

    word = xp.concat([start, xp.zeros(LONGEST, dtype=xp.int64)])
    words = xp.broadcast_to(word, (width, known + LONGEST))
    scores = xp.where(xp.arange(width) == 0, xp.zeros_like(lowest), lowest)
    begin = xp.asarray(0), words, scores, lowest, word
    rounds, words, scores, best_score, best_word = xp.while_loop(goes_on, grow, begin)
    is_finished = best_score > lowest
    best_word = xp.where(is_finished, best_word, words[0])
    return best_word, xp.where(is_finished, best_score, scores[0]), rounds


def beginnings():
    """Return a model that has read a little, with the beginnings of several words."""
    weights, _ = train(dg, encode(text()), steps=100, rate=0.5)
    weights = [weight.detach().numpy() for weight in weights]
    for start in ("retu", "stri", "func", "pyth"):
        yield weights, encode("a " + start)


PROGRAMS = (Example(best_completion, inputs=beginnings, rewrite=best_completion_rewritten),)


def initial_weights():
    rng = np.random.default_rng(0)
    shapes = [(len(LETTERS), 12), (CONTEXT * 12, WIDTH), (WIDTH,), (WIDTH, len(LETTERS))]
    scales = [0.5, 0.15, 0, 0.1]
    return [
        (scale * rng.standard_normal(shape)).astype(np.float32)
        for shape, scale in zip(shapes, scales)
    ]


def train(xp, ids, steps, rate, batch=128):
    """Return weights that predict the text, and the loss of each step."""
    weights = [xp.tensor(w, requires_grad=True) for w in initial_weights()]
    rng = np.random.default_rng(0)
    losses = []
    for _ in range(steps):
        starts = rng.integers(0, len(ids) - CONTEXT, batch)
        contexts = xp.tensor(ids[starts[:, None] + np.arange(CONTEXT)])
        found = log_probabilities(xp, weights, contexts)
        loss = -xp.mean(found[xp.arange(batch), xp.tensor(ids[starts + CONTEXT])])
        losses.append(loss.item())
        loss.backward()
        with xp.no_grad():
            for weight in weights:
                weight -= rate * weight.grad
                weight.grad = None
    return weights, losses


def run(
    xp=dg, steps=2500, width=8, starts=("retu", "func", "pyth", "st", "tup", "exec", "con", "pa")
):
    """Learn the text, then complete the beginnings of words with a narrow and a wide beam."""
    weights, losses = train(xp, encode(text()), steps, rate=0.5)
    words = {}
    with xp.no_grad():
        for start in starts:
            ids = xp.tensor(encode("a " + start))
            row = {}
            for name, beam in (("greedy", 1), ("beam", width)):
                word, score, rounds = complete(xp, weights, ids, beam)
                spelled = "".join(LETTERS[int(i)] for i in word)[2:]
                row[name] = (spelled, float(score), rounds)
            words[start] = row
    return {"first_loss": losses[0], "last_loss": float(np.mean(losses[-50:])), "words": words}


def declare():
    """Trace the same function: SBS-302 at ``float(entry[0])``."""
    start = sg.TensorType((6,), "int64")
    return sg.trace(lambda w, s: complete(sg, w, s, 2)[0], initial_weights(), start)


def main():
    found = run()
    print(f"loss {found['first_loss']:.3f} -> {found['last_loss']:.3f}")
    for start, row in found["words"].items():
        (greedy, low, _), (best, high, rounds) = row["greedy"], row["beam"]
        better = ", which is worse" if low < high else ""
        print(
            f"{start}: {best!r} {high:.2f}, {rounds} rounds; greedily {greedy!r} {low:.2f}{better}"
        )


if __name__ == "__main__":
    main()
