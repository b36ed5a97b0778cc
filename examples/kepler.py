"""Kepler's equation for real orbits: a gradient through ``while True`` with ``break``.

Where a body stands on its ellipse follows from ``mean = angle - e * sin(angle)``, which has no
closed solution. Newton's method finds the angle in four rounds for the Earth and needs more for a
comet; the loop stops when the last step was small. ``backward()`` then goes through exactly the
rounds that ran, and gives how the angle changes with the eccentricity.

A static graph has no number to test when it is declared: it refuses at the ``if``.
"""

import math

import numpy as np

import dyngraph as dg
import staticgraph as sg
from sidebyside import Example

ORBITS = {
    "Venus": 0.00677,
    "Earth": 0.01671,
    "Mars": 0.0934,
    "Mercury": 0.20563,
    "Pluto": 0.2488,
    "Eros": 0.2227,
    "Icarus": 0.827,
    "Halley's comet": 0.96714,
    "Comet Hale-Bopp": 0.9951,
}
"""Orbits of the solar system and their eccentricities."""


def anomaly(xp, mean, eccentricity, tolerance=1e-13):
    """Return the eccentric anomaly and the rounds it took.

    Starting from pi, Newton's method always converges for 0 < mean < pi.
    """
    angle = xp.zeros_like(mean) + math.pi
    rounds = 0
    while True:
        error = angle - eccentricity * xp.sin(angle) - mean
        step = error / (1 - eccentricity * xp.cos(angle))
        angle = angle - step
        rounds += 1
        if abs(step) < tolerance:
            break
    return angle, rounds


def anomaly_rewritten(xp, mean, eccentricity, tolerance=1e-13):
    """Return the same, as a static graph declares it."""

    def is_rough(state):
        _, step, _ = state
        return xp.abs(step) >= tolerance

    def improve(state):
        angle, _, rounds = state
        error = angle - eccentricity * xp.sin(angle) - mean
        step = error / (1 - eccentricity * xp.cos(angle))
        return angle - step, step, rounds + 1

    start = xp.zeros_like(mean) + math.pi
    angle, _, rounds = xp.while_loop(is_rough, improve, (start, start, xp.asarray(0)))
    return angle, rounds


def orbits():
    """Return the arguments for each orbit."""
    return [(np.array(0.5), np.array(eccentricity)) for eccentricity in ORBITS.values()]


PROGRAMS = (Example(anomaly, inputs=orbits, rewrite=anomaly_rewritten, wrt=(1,)),)


def run(xp=dg, mean=0.5):
    """Solve for every orbit, and differentiate by its eccentricity."""
    found = {}
    for name, eccentricity in ORBITS.items():
        m = xp.tensor(mean, dtype=xp.float64)
        e = xp.tensor(eccentricity, dtype=xp.float64, requires_grad=True)
        angle, rounds = anomaly(xp, m, e)
        angle.backward()
        found[name] = {
            "angle": angle.item(),
            "rounds": rounds,
            "gradient": e.grad.item(),
            "residual": abs(angle.item() - eccentricity * math.sin(angle.item()) - mean),
            # from the implicit function theorem, without any loop
            "expected_gradient": math.sin(angle.item())
            / (1 - eccentricity * math.cos(angle.item())),
        }
    return found


def declare():
    """Trace the same function: SBS-301 at ``if abs(step) < tolerance``."""
    scalar = sg.TensorType((), "float64")
    return sg.trace(lambda mean, e: anomaly(sg, mean, e)[0], scalar, scalar)


def main():
    print(f"{'orbit':<16} {'angle':>8} {'rounds':>6} {'d angle / d e':>14}")
    for name, row in run().items():
        print(f"{name:<16} {row['angle']:>8.5f} {row['rounds']:>6} {row['gradient']:>14.5f}")


if __name__ == "__main__":
    main()
