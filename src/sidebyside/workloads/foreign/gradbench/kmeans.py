"""GradBench's kmeans: the direction of Newton's method for the centroids of clusters."""

from __future__ import annotations

from typing import Any

import numpy as np

from sidebyside.workloads.workload import Workload


def kmeans(xp: Any, points: Any, centroids: Any) -> tuple[Any, Any]:
    """Return the sum of squared distances to the nearest centroid, and Newton's direction.

    The Hessian is diagonal: its product with ones, the gradient of the sum of the gradient, is
    that diagonal.

    Parameters
    ----------
    points : (n, d)
    centroids : (k, d)

    References
    ----------
    L. Bottou and Y. Bengio, Convergence properties of the k-means algorithms, NIPS 1994; GradBench,
    ``evals/kmeans``: https://github.com/gradbench/gradbench
    """

    def cost(centroids: Any) -> Any:
        difference = points[:, None, :] - centroids[None, :, :]
        return xp.sum(xp.amin(xp.sum(difference * difference, axis=2), axis=1))

    def slope(centroids: Any) -> Any:
        return xp.sum(xp.value_and_grad(cost)(centroids)[1])

    value, gradient = xp.value_and_grad(cost)(centroids)
    _, diagonal = xp.value_and_grad(slope)(centroids)
    return value, gradient / diagonal


def _inputs(rng: np.random.Generator, size: tuple[int, int, int]) -> tuple[Any, ...]:
    count, dimensions, clusters = size
    points = rng.random((count, dimensions))
    return points, points[-clusters:].copy()  # so that no cluster is empty


KMEANS = Workload(
    kmeans,
    inputs=_inputs,
    sizes=((1_000, 8, 10),),
    name="kmeans",
    title="k-means, Newton's direction for 10 centroids of 1,000 points",
    description="First and second derivatives inside of the program.",
)
"""Sizes are points, dimensions and clusters; GradBench goes to 100,000, 16 and 1,000."""
