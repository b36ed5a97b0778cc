"""Shapes that the data decide: a classifier that works only on the samples it still gets wrong.

A linear support vector machine learns to tell benign from malignant tumours. Its loss is zero for
every sample that is far on the right side, so each round selects the others with a mask, and only
those take part: the matrices shrink from round to round. At the end ``unique`` and ``nonzero`` say
which classes and which samples are left at the margin.

A static graph fixes every shape before it runs: it refuses at ``x[active]``.
"""

import numpy as np

import dyngraph as dg
import staticgraph as sg
from sidebyside import Example
from sidebyside.workloads.datasets import breast_cancer


def margins(weights, x, y):
    """Return how far each sample is on its own side."""
    return (x @ weights[0] + weights[1]) * y


def hinge(xp, weights, x, y, price=1e-3):
    """Return the summed hinge loss, computed from the active samples only, and their number."""
    active = margins(weights, x, y) < 1
    rows = x[active]
    loss = xp.sum(1 - margins(weights, rows, y[active]))
    return loss + price * xp.sum(weights[0] * weights[0]), len(rows)


def hinge_rewritten(xp, weights, x, y, price=1e-3):
    """Return the same from all samples, the inactive ones masked."""
    gaps = 1 - margins(weights, x, y)
    active = gaps > 0
    loss = xp.sum(xp.where(active, gaps, 0))
    return loss + price * xp.sum(weights[0] * weights[0]), xp.sum(active)


def rounds_of_training():
    """Return the weights at the beginning and further on, with the data."""
    data = breast_cancer()
    for size in (0.0, 0.05, 0.2):
        weights = [np.full(30, size, np.float32), np.zeros((), np.float32)]
        yield weights, data.train_x, data.train_y.astype(np.float32)


PROGRAMS = (Example(hinge, inputs=rounds_of_training, rewrite=hinge_rewritten, wrt=(0,)),)


def run(xp=dg, rounds=200, rate=1e-3):
    """Train; return how the active set shrank, and who is left in it."""
    data = breast_cancer()
    x, y = xp.tensor(data.train_x), xp.tensor(data.train_y.astype(np.float32))
    weights = [xp.tensor(w, requires_grad=True) for w in initial_weights()]
    sizes, losses = [], []
    for _ in range(rounds):
        loss, active = hinge(xp, weights, x, y)
        sizes.append(active)
        losses.append(loss.item())
        if active == 0:
            break
        loss.backward()
        with xp.no_grad():
            for weight in weights:
                weight -= rate * weight.grad
                weight.grad = None
    with xp.no_grad():
        left = xp.nonzero(margins(weights, x, y) < 1)
        left = left[0] if isinstance(left, tuple) else left[:, 0]  # PyTorch gives one matrix
        test_y = xp.tensor(data.test_y.astype(np.float32))
        right = margins(weights, xp.tensor(data.test_x), test_y) > 0
        return {
            "sizes": sizes,
            "losses": losses,
            "left": left.tolist(),
            "classes_left": xp.unique(y[left]).tolist(),
            "accuracy": float(xp.mean(right.float())),
        }


def initial_weights():
    return [np.zeros(30, np.float32), np.zeros((), np.float32)]


def declare():
    """Trace the same function: SBS-304 at ``x[active]``."""
    data = breast_cancer()
    return sg.trace(
        lambda w, x, y: hinge(sg, w, x, y)[0],
        initial_weights(),
        data.train_x,
        data.train_y.astype(np.float32),
    )


def main():
    found = run()
    for round_ in range(0, len(found["sizes"]), 25):
        print(
            f"round {round_:>3}: {found['sizes'][round_]:>3} active samples, "
            f"loss {found['losses'][round_]:.3f}"
        )
    print(f"left at the margin: {len(found['left'])} samples of classes {found['classes_left']}")
    print(f"test accuracy {found['accuracy']:.3f}")


if __name__ == "__main__":
    main()
