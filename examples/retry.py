"""try and except around a training step: go back and take a smaller step when the loss blows up.

A linear model learns the course of diabetes by gradient descent. The first step size is far too
large. Each step is tried; when its loss is not finite or has jumped, the step raises, the caller
restores the weights, halves the step size and tries again. Nobody has to know the right step size
beforehand.

A static graph refuses at the test of the loss: an exception cannot depend on a number that is not
there yet.
"""

import numpy as np

import dyngraph as dg
import staticgraph as sg
from sidebyside import Example
from sidebyside.workloads.datasets import diabetes


class Diverged(ArithmeticError):
    """The loss after a step is not finite, or far above the one before."""


def loss(xp, weights, x, y):
    error = x @ weights[0] + weights[1] - y
    return xp.mean(error * error)


def attempt(xp, weights, x, y, before, rate):
    """Return the loss of `weights`, which `rate` led to, or raise `Diverged`."""
    value = loss(xp, weights, x, y)
    if not xp.isfinite(value):
        raise Diverged(f"loss is not finite at rate {rate}")
    if value > 1.5 * before:
        raise Diverged(f"loss rose from {float(before):.3f} to {float(value):.3f} at rate {rate}")
    return value


def careful_step(xp, weights, gradients, x, y, before, rate):
    """Return the loss after the longest step that does not diverge, and its rate."""
    while True:
        moved = [weight - rate * gradient for weight, gradient in zip(weights, gradients)]
        try:
            return attempt(xp, moved, x, y, before, rate), rate
        except Diverged:
            rate = rate / 2


def careful_step_rewritten(xp, weights, gradients, x, y, before, rate):
    """Return the same; nothing is raised, the loop asks what the exception would have said."""

    def tried(rate):
        moved = [weight - rate * gradient for weight, gradient in zip(weights, gradients)]
        return loss(xp, moved, x, y), rate

    def has_diverged(now):
        value, _ = now
        return xp.logical_or(xp.logical_not(xp.isfinite(value)), value > 1.5 * before)

    return xp.while_loop(has_diverged, lambda now: tried(now[1] / 2), tried(rate))


def first_steps():
    """Return the first step of training, with several step sizes to begin with."""
    data = diabetes()
    x, y = data.train_x, data.train_y
    gradients = [-2 / len(x) * (y @ x), -2 * np.mean(y)]
    for rate in (64, 4, 0.1):
        yield initial_weights(), gradients, x, y, np.mean(y * y), np.float32(rate)


PROGRAMS = (Example(careful_step, inputs=first_steps, rewrite=careful_step_rewritten, wrt=(0,)),)


def run(xp=dg, steps=60, rate=64.0):
    """Train, and return the losses and every retry."""
    data = diabetes()
    x, y = xp.tensor(data.train_x), xp.tensor(data.train_y)
    weights = [xp.tensor(w, requires_grad=True) for w in initial_weights()]
    losses, retries = [], []
    value = loss(xp, weights, x, y)
    for step in range(steps):
        losses.append(value.item())
        value.backward()
        while True:
            moved = [(w.detach() - rate * w.grad).requires_grad_() for w in weights]
            try:
                value = attempt(xp, moved, x, y, losses[-1], rate)
            except Diverged as error:
                retries.append((step, rate, str(error)))
                rate = rate / 2
            else:
                weights = moved
                break
    test_x, test_y = xp.tensor(data.test_x), xp.tensor(data.test_y)
    return {
        "losses": [*losses, value.item()],
        "retries": retries,
        "rate": rate,
        "test_loss": loss(xp, weights, test_x, test_y).item(),
        "weights": [w.detach().numpy() for w in weights],
    }


def initial_weights():
    return [np.zeros(10, np.float32), np.zeros((), np.float32)]


def declare():
    """Trace the same function: SBS-301 at ``if not xp.isfinite(value)``."""
    data = diabetes()
    before = np.float32(1)
    return sg.trace(
        lambda w, x, y, b: attempt(sg, w, x, y, b, 0.1),
        initial_weights(),
        data.train_x,
        data.train_y,
        before,
    )


def main():
    found = run()
    for step, rate, error in found["retries"]:
        print(f"step {step}, rate {rate}: {error}")
    print(
        f"loss {found['losses'][0]:.4f} -> {found['losses'][-1]:.4f} at rate {found['rate']}, "
        f"test loss {found['test_loss']:.4f}"
    )


if __name__ == "__main__":
    main()
