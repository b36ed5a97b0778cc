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
from sidebyside import Example
from sidebyside.workloads.datasets import digits


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


def grow_once(xp, pair, before, images, targets, spare):
    """Return the loss, and how many units the model has afterwards."""
    loss, model = grown(xp, [pair], before, images, targets, spare)
    return loss, 2 * len(model)


def losses_before():
    """Return one model, which has stopped to learn or has not."""
    data, rng = digits(), np.random.default_rng(0)
    pair, spare = new_unit_pair(rng), new_unit_pair(rng)
    targets = np.eye(10, dtype=np.float32)[data.train_y[:100]]
    for before in (9, 1):
        yield pair, np.float32(before), data.train_x[:100], targets, spare


current_model = []
"""The model that `edited` computes with, a list that grows between two calls."""


def edited(xp, images, targets):
    """Return the loss of the model as it is now."""
    model = [[xp.asarray(part) for part in pair] for pair in current_model]
    return cross_entropy(xp, model, images, targets)


def edits():
    """Return the same images again and again; in between the model grows."""
    data, rng = digits(), np.random.default_rng(0)
    targets = np.eye(10, dtype=np.float32)[data.train_y[:100]]
    current_model.clear()
    for _ in range(3):
        inward, outward, gate = new_unit_pair(rng)
        current_model.append([inward, outward, gate + np.float32(1)])
        yield data.train_x[:100], targets


PROGRAMS = (
    Example(grow_once, inputs=losses_before, wrt=(0,)),
    Example(edited, inputs=edits, name="edited outside"),
)


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
