"""GradBench's lse: the logarithm of a sum of exponentials, and its gradient."""

from __future__ import annotations

from typing import Any

from sidebyside.workloads.workload import Workload


def lse(xp: Any, x: Any) -> Any:
    """Return ``log(sum(exp(x)))``, the largest element taken out first.

    References
    ----------
    GradBench, ``evals/lse``: https://github.com/gradbench/gradbench
    """
    largest = xp.amax(x)
    return largest + xp.log(xp.sum(xp.exp(x - largest)))


LSE = Workload(
    lse,
    inputs=lambda rng, size: (rng.random(size),),
    wrt=(0,),
    sizes=(10_000,),
    name="lse",
    title="log-sum-exp, and the gradient",
    description="Two reductions over a vector with elementwise work between them.",
)
"""Drawn from [0, 1); GradBench goes from 2,500 to 1,280,000 numbers."""
