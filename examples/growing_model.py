"""A model edited between steps: hidden units are added while training stands still.

The network begins with two hidden units. Whenever the loss has hardly fallen over the last epochs,
two more are appended, with a gate that starts at zero so that nothing changes at first; a plain
Python list holds the parts. The next forward pass simply is the larger model.

A static graph refuses at the test of the loss. Decided outside of the graph it works, and every
edit means a new graph, traced and compiled again.
"""

import numpy as np

import dyngraph as dg
import staticgraph as sg
from sidebyside.datasets import digits


def new_unit_pair(rng):
    """Return two hidden units: weights inward, weights outward, and a closed gate."""
    return [
        rng.normal(0, 0.2, (64, 2)).astype(np.float32),
        rng.normal(0, 0.5, (2, 10)).astype(np.float32),
        np.zeros((), np.float32),
    ]


def forward(xp, model, images):
    """Return the scores of ten digits: the sum over all pairs of units."""
    return sum(gate * (xp.tanh(images @ inward) @ outward) for inward, outward, gate in model)


def cross_entropy(xp, model, images, targets):
    scores = forward(xp, model, images)
    return xp.mean(xp.logsumexp(scores, 1) - xp.sum(scores * targets, axis=1))


def grown(xp, model, before, images, targets, spare):
    """Return the loss, and the model with one pair of units more where it has stopped to learn."""
    loss = cross_entropy(xp, model, images, targets)
    if loss > 0.97 * before:
        model = [*model, spare]
    return loss, model


def run(xp=dg, rounds=25, epochs=5, rate=0.5, batch=128):
    """Train and grow; return the loss and the number of units of each round."""
    data = digits()
    targets = np.eye(10, dtype=np.float32)[data.train_y]
    rng = np.random.default_rng(0)

    def parameters(arrays):
        return [xp.tensor(array, requires_grad=True) for array in arrays]

    model = [parameters(new_unit_pair(rng))]
    with xp.no_grad():
        model[0][2] += 1
    whole = xp.tensor(data.train_x), xp.tensor(targets)
    losses, units = [np.inf], []
    for _ in range(rounds):
        for _ in range(epochs):
            order = rng.permutation(len(data.train_x))
            for start in range(0, len(order) - batch + 1, batch):
                part = order[start : start + batch]
                x, y = xp.tensor(data.train_x[part]), xp.tensor(targets[part])
                cross_entropy(xp, model, x, y).backward()
                with xp.no_grad():
                    for weight in (weight for pair in model for weight in pair):
                        weight -= rate * weight.grad
                        weight.grad = None
        units.append(2 * len(model))
        spare = parameters(new_unit_pair(rng))
        loss, model = grown(xp, model, losses[-1], *whole, spare)
        losses.append(loss.item())
    with xp.no_grad():
        found = xp.argmax(forward(xp, model, xp.tensor(data.test_x)), 1).numpy()
    return {
        "losses": losses[1:],
        "units": units,
        "accuracy": float(np.mean(found == data.test_y)),
    }


def declare():
    """Trace the same function: SBS-301 at ``if loss > 0.97 * before``."""
    rng = np.random.default_rng(0)
    pair = new_unit_pair(rng)
    x, y = sg.TensorType((100, 64), "float32"), sg.TensorType((100, 10), "float32")
    return sg.trace(
        lambda pair, before, x, y: grown(sg, [pair], before, x, y, pair), pair, np.float32(9), x, y
    )


def main():
    found = run()
    for round_, (loss, units) in enumerate(zip(found["losses"], found["units"])):
        print(f"round {round_:>2}: {units:>2} hidden units, loss {loss:.4f}")
    print(f"test accuracy {found['accuracy']:.3f}")


if __name__ == "__main__":
    main()
