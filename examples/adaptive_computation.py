"""Adaptive computation time: each image decides how long the network thinks about it.

The network looks at a digit again and again. After every look a halting unit says how sure it is;
the loop ends when these add up to one, and the answer is the weighted mean of the states on the
way. Thinking costs: the number of looks is part of the loss. Some digits are read at a glance and
others take several looks.

A static graph refuses at the ``while``.
"""

import numpy as np

import dyngraph as dg
import staticgraph as sg
from sidebyside import Example
from sidebyside.workloads.datasets import digits

WIDTH = 24
MOST = 6
THRESHOLD = 0.99


def think(xp, weights, image):
    """Return the scores of ten digits, the ponder cost and the number of looks.

    A. Graves, Adaptive computation time for recurrent neural networks, 2016.
    """
    see, recur, bias, halt, halt_bias, read, read_bias = weights
    seen = image @ see + bias
    state = xp.tanh(seen)
    answer, total = 0 * state, 0 * halt_bias
    looks = 0
    while True:
        looks += 1
        sure = xp.sigmoid(xp.sum(state * halt) + halt_bias)
        if looks == MOST or total + sure >= THRESHOLD:
            break
        answer = answer + sure * state
        total = total + sure
        state = xp.tanh(seen + state @ recur)
    rest = 1 - total  # the last look gets what is left of one
    answer = answer + rest * state
    return answer @ read + read_bias, looks + rest, looks


def think_rewritten(xp, weights, image):
    """Return the same, as a static graph declares it."""
    see, recur, bias, halt, halt_bias, read, read_bias = weights
    seen = image @ see + bias

    def sureness(state):
        return xp.sigmoid(xp.sum(state * halt) + halt_bias)

    def is_undecided(now):
        looks, _, sure, _, total = now
        return xp.logical_and(looks < MOST, total + sure < THRESHOLD)

    def look_again(now):
        looks, state, sure, answer, total = now
        answer = answer + sure * state
        state_after = xp.tanh(seen + state @ recur)
        return looks + 1, state_after, sureness(state_after), answer, total + sure

    state = xp.tanh(seen)
    first = xp.asarray(1), state, sureness(state), 0 * state, 0 * halt_bias
    looks, state, _, answer, total = xp.while_loop(is_undecided, look_again, first)
    rest = 1 - total
    answer = answer + rest * state
    return answer @ read + read_bias, looks + rest, looks


def images():
    """Return one set of weights with several images."""
    weights = initial_weights()
    weights[3] *= 6  # so that some images need fewer looks than others
    return [(weights, image) for image in digits().train_x[:8]]


PROGRAMS = (Example(think, inputs=images, rewrite=think_rewritten, wrt=(0,)),)


def initial_weights():
    rng = np.random.default_rng(0)
    shapes = [(64, WIDTH), (WIDTH, WIDTH), (WIDTH,), (WIDTH,), (), (WIDTH, 10), (10,)]
    scales = [0.15, 0.2, 0, 0.3, 0, 0.2, 0]
    weights = [
        np.asarray(scale * rng.standard_normal(shape), np.float32)
        for shape, scale in zip(shapes, scales)
    ]
    weights[4] -= 2  # begin by looking often: what is never tried is never learned
    return weights


def run(xp=dg, images=1400, rate=0.1, ponder_price=0.003):
    """Learn one image after the other, then read the test images."""
    data = digits()
    weights = [xp.tensor(w, requires_grad=True) for w in initial_weights()]
    losses = []
    for image, digit in zip(data.train_x[:images], data.train_y[:images]):
        scores, ponder, _ = think(xp, weights, xp.tensor(image))
        loss = xp.logsumexp(scores, 0) - scores[int(digit)] + ponder_price * ponder
        losses.append(loss.item())
        loss.backward()
        with xp.no_grad():
            for weight in weights:
                if weight.grad is not None:  # an image read at one look does not recur
                    weight -= rate * weight.grad
                    weight.grad = None
    right, looks = 0, []
    with xp.no_grad():
        for image, digit in zip(data.test_x, data.test_y):
            scores, _, count = think(xp, weights, xp.tensor(image))
            right += int(xp.argmax(scores, 0)) == digit
            looks.append(count)
    return {
        "first_loss": float(np.mean(losses[:100])),
        "last_loss": float(np.mean(losses[-100:])),
        "accuracy": float(right / len(looks)),
        "looks": looks,
    }


def declare():
    """Trace the same function: SBS-301 at ``or total + sure >= THRESHOLD``."""
    image = sg.TensorType((64,), "float32")
    return sg.trace(lambda w, x: think(sg, w, x)[0], initial_weights(), image)


def main():
    found = run()
    print(f"loss {found['first_loss']:.3f} -> {found['last_loss']:.3f}")
    print(f"test accuracy {found['accuracy']:.3f}")
    for looks in range(1, MOST + 1):
        print(f"{looks} looks: {found['looks'].count(looks)} images")


if __name__ == "__main__":
    main()
