"""GradBench's ode: a chain of linear differential equations, by Runge and Kutta's method."""

from __future__ import annotations

from typing import Any

import numpy as np

from sidebyside.workloads.foreign.loops import scan
from sidebyside.workloads.workload import Workload

END = 2.0
"""The time up to which the equations are integrated, from 0."""


def ode(xp: Any, x: Any, times: Any) -> tuple[Any, Any]:
    """Return the last element of y at `END`, and all of y.

    The equations are ``y[0]' = x[0]`` and ``y[i]' = x[i] y[i - 1]``, from 0 on. In exact arithmetic
    ``y[i] = x[0] ... x[i] t**(i + 1) / (i + 1)!``, which four stages give exactly up to ``i = 3``.

    Parameters
    ----------
    x : (n,)
    times : (steps,)
        When each step begins.

    References
    ----------
    GradBench, ``evals/ode``: https://github.com/gradbench/gradbench, after B. Bell's cmpad,
    ``an_ode``: https://cmpad.readthedocs.io
    """
    step = END / times.shape[0]
    first = xp.ones_like(x[:1])

    def slope(y: Any) -> Any:
        return x * xp.concat((first, y[:-1]), axis=0)

    def advance(y: Any, time: Any) -> tuple[Any, Any]:
        first_slope = slope(y)
        second = slope(y + (step / 2) * first_slope)
        third = slope(y + (step / 2) * second)
        fourth = slope(y + step * third)
        return y + (step / 6) * (first_slope + 2 * second + 2 * third + fourth), time

    y, _ = scan(xp, advance, x * 0, times)
    return y[-1], y


def _inputs(rng: np.random.Generator, size: int, *, steps: int = 10) -> tuple[Any, ...]:
    return rng.random(size), np.arange(steps) * (END / steps)


ODE = Workload(
    ode,
    inputs=_inputs,
    wrt=(0,),
    sizes=(1_000,),
    name="ode",
    title="Runge-Kutta of 1,000 equations, 10 steps, and the gradient",
    description="A loop whose steps are four stages of elementwise work.",
)
