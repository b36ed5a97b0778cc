"""GradBench's saddle: a gradient descent whose function is the result of another one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from sidebyside.workloads.workload import Workload

CLOSE = 1e-5
"""The gradient, or the step, below which a descent ends."""


def saddle(xp: Any, start: Any, *, rate: float = 0.1) -> tuple[Any, Any]:
    """Return the x and y of ``min over x of max over y of |x|**2 - |y|**2``, from one start.

    Both extrema are sought by gradient descent, the one inside of the other, in reverse mode; how
    often the loops run depends on values.

    Parameters
    ----------
    start : (2,)
    rate : float
        Of the first steps; it is halved after a step that leads up, and doubled after ten down.
        GradBench begins with 1e-5, which takes fifty times as long: a descent doubles its rate
        first, for every step of the one around it.

    References
    ----------
    B. Pearlmutter and J. Siskind, Using programming language theory to make automatic
    differentiation sound and efficient, 2008; GradBench, ``evals/saddle``:
    https://github.com/gradbench/gradbench
    """

    def height(x: Any, y: Any) -> Any:
        return xp.sum(x * x) - xp.sum(y * y)

    def highest(x: Any) -> Any:
        y = descend(xp, lambda y: -height(x, y), start, rate)
        return height(x, y)

    x = descend(xp, highest, start, rate)
    return x, descend(xp, lambda y: -height(x, y), start, rate)


def descend(xp: Any, function: Callable[[Any], Any], x: Any, rate: float) -> Any:
    """Return where a gradient descent from `x` ends."""
    slope = xp.value_and_grad(function)
    value, gradient = slope(x)
    since = 0
    while length(xp, gradient) > CLOSE:
        if since == 10:
            rate, since = 2 * rate, 0
            continue
        following = x - rate * gradient
        if length(xp, following - x) <= CLOSE:
            break
        lower, steeper = slope(following)
        if lower < value:
            x, value, gradient, since = following, lower, steeper, since + 1
        else:
            rate, since = rate / 2, 0
    return x


def length(xp: Any, x: Any) -> Any:
    """Return the Euclidean length of a vector."""
    return xp.sqrt(xp.sum(x * x))


SADDLE = Workload(
    saddle,
    inputs=lambda rng, size: (np.ones(2),),
    name="saddle",
    title="saddle point by nested gradient descent",
    description="Derivatives of a loop that takes derivatives; its length depends on values.",
    dynamic_only=True,
)
