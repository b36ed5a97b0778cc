"""Mixture of experts with real dispatch: each image goes to one expert, and only there.

A gate sends every digit of a batch to the expert it trusts most. Each expert then gets a matrix
with as many rows as were sent to it, which differs from batch to batch, and an expert that nobody
was sent to does not run at all. The work is that of one expert, however many there are.

A static graph fixes every shape before it runs: it refuses at ``nonzero``. Written with masks it
would run every expert on every image and throw most of the work away.
"""

import numpy as np

import dyngraph as dg
import staticgraph as sg
from sidebyside import Example
from sidebyside.workloads.datasets import digits

EXPERTS = 4
WIDTH = 16


def forward(xp, weights, images):
    """Return the scores of ten digits, the number of images each expert got, and their imbalance.

    W. Fedus, B. Zoph and N. Shazeer, Switch transformers, 2021: one expert an image.
    """
    gate, *experts = weights
    trust = xp.exp(images @ gate)
    trust = trust / xp.sum(trust, axis=1, keepdims=True)
    chosen = xp.argmax(trust, axis=1)
    importance = xp.mean(trust, axis=0)
    rows, scores, load = [], [], []
    for expert in range(EXPERTS):
        mine = indices(xp, chosen == expert)
        load.append(len(mine))
        if load[-1] == 0:
            continue
        inward, outward = experts[2 * expert : 2 * expert + 2]
        answer = xp.tanh(images[mine] @ inward) @ outward
        rows.append(mine)
        scores.append(answer * trust[mine, expert].reshape((-1, 1)))
    imbalance = sum(importance[expert] * load[expert] for expert in range(EXPERTS))
    # back into the order of the batch
    scores = xp.concat(scores)[xp.argsort(xp.concat(rows))]
    return scores, load, imbalance * EXPERTS / len(images)


def indices(xp, mask):
    """Return the positions of the true elements."""
    found = xp.nonzero(mask)
    return found[0] if isinstance(found, tuple) else found[:, 0]  # PyTorch gives one matrix


def cross_entropy(xp, scores, classes):
    chosen = scores[xp.arange(len(classes)), classes]
    return xp.mean(xp.logsumexp(scores, 1) - chosen)


def forward_rewritten(xp, weights, images):
    """Return the same: every expert sees every image, and a mask keeps what was asked for."""
    gate, *experts = weights
    trust = xp.exp(images @ gate)
    trust = trust / xp.sum(trust, axis=1, keepdims=True)
    chosen = xp.argmax(trust, axis=1)
    importance = xp.mean(trust, axis=0)
    scores, load, imbalance = 0, [], 0
    for expert in range(EXPERTS):
        mine = chosen == expert
        load.append(xp.sum(mine))
        imbalance = imbalance + load[-1].astype("float32") / len(images) * importance[expert]
        inward, outward = experts[2 * expert : 2 * expert + 2]
        answer = xp.tanh(images @ inward) @ outward
        scores = scores + xp.where(mine, trust[:, expert], 0).reshape((-1, 1)) * answer
    return scores, load, imbalance * EXPERTS


def batches():
    """Return batches of images, which the experts share differently."""
    data = digits()
    return [(initial_weights(), data.train_x[start : start + 32]) for start in (0, 32, 64)]


PROGRAMS = (Example(forward, inputs=batches, rewrite=forward_rewritten, wrt=(0,)),)


def initial_weights():
    rng = np.random.default_rng(0)
    shapes = [(64, EXPERTS), *[(64, WIDTH), (WIDTH, 10)] * EXPERTS]
    return [rng.normal(0, shape[0] ** -0.5, shape).astype(np.float32) for shape in shapes]


def run(xp=dg, epochs=8, rate=0.5, batch=32, price=0.3):
    """Learn the digits; return how much work each expert had and the test accuracy."""
    data = digits()
    weights = [xp.tensor(w, requires_grad=True) for w in initial_weights()]
    rng = np.random.default_rng(0)
    loads, losses = [], []
    for _ in range(epochs):
        order = rng.permutation(len(data.train_x))
        for start in range(0, len(order) - batch + 1, batch):
            part = order[start : start + batch]
            scores, load, imbalance = forward(xp, weights, xp.tensor(data.train_x[part]))
            loss = cross_entropy(xp, scores, xp.tensor(data.train_y[part]))
            loads.append(load)
            losses.append(loss.item())
            (loss + price * imbalance).backward()
            with xp.no_grad():
                for weight in weights:
                    if weight.grad is not None:  # of an expert that did not run
                        weight -= rate * weight.grad
                        weight.grad = None
    with xp.no_grad():
        scores, test_load, _ = forward(xp, weights, xp.tensor(data.test_x))
        found = xp.argmax(scores, axis=1).numpy()
    return {
        "first_loss": float(np.mean(losses[:20])),
        "last_loss": float(np.mean(losses[-20:])),
        "accuracy": float(np.mean(found == data.test_y)),
        "rows_an_expert": sorted({rows for load in loads for rows in load}),
        "idle": sum(rows == 0 for load in loads for rows in load),
        "test_load": test_load,
    }


def declare():
    """Trace the same function: SBS-304 at ``xp.nonzero(mask)``."""
    images = sg.TensorType((32, 64), "float32")
    return sg.trace(lambda w, x: forward(sg, w, x)[0], initial_weights(), images)


def main():
    found = run()
    print(f"loss {found['first_loss']:.3f} -> {found['last_loss']:.3f}")
    print(f"rows an expert got: {found['rows_an_expert']}; idle {found['idle']} times")
    print(f"test accuracy {found['accuracy']:.3f}, images an expert: {found['test_load']}")


if __name__ == "__main__":
    main()
