"""Loops that are part of the graph, as workloads: in ours and in JAX's own spelling."""

import functools

import numpy as np

from sidebyside.workloads.workload import Workload

STEPS, HIDDEN = 1_000, 64


def inputs(rng, _):
    """Return two matrices, the first carry and what the steps read."""
    w, u = (rng.standard_normal((HIDDEN, HIDDEN)) * 0.1 for _ in range(2))
    xs = rng.standard_normal((STEPS, HIDDEN))
    return tuple(x.astype(np.float32) for x in (w, u, np.zeros(HIDDEN), xs))


def _loops(xp):
    """Return the functions ``scan(body, carry, xs)`` and ``while_loop(holds, body, carry)``."""
    if hasattr(xp, "while_loop"):
        return xp.scan, xp.while_loop
    raise NotImplementedError("this library has no loops in the graph that are spelled like these")


def recurrence(xp, w, u, start, xs):
    """Return the sum of the last state of a recurrent network."""
    scan, _ = _loops(xp)
    # leaky, so that the gradient does not vanish: XLA rounds its subnormal numbers to zero, and
    # whoever keeps them, as NumPy does, would be measured on how slow processors are at them
    last, _ = scan(lambda h, x: (h * 0.99 + xp.tanh(h @ w + x @ u) * 0.01, None), start, xs)
    return xp.sum(last)


def repetition(xp, w, u, start, xs):
    """Return the sum of the state after a number of steps that a condition decides."""
    _, while_loop = _loops(xp)
    first = xp.sum(xs[0]) * 0

    def step(carry):
        count, h = carry
        return count + 1, xp.tanh(h @ w + 1) @ u

    return xp.sum(while_loop(lambda carry: carry[0] < STEPS, step, (first, start + 1))[1])


scanned = functools.partial(Workload, recurrence, inputs, name="scan")
scanned_gradients = functools.partial(Workload, recurrence, inputs, wrt=(0, 1), name="scan")
while_loop = functools.partial(Workload, repetition, inputs, name="while_loop")
