"""ADBench's gmm: the posterior of a Gaussian mixture with a Wishart prior."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from sidebyside.workloads.workload import Workload

GAMMA, FREEDOM = 1.0, 0
"""The prior: precision, and degrees of freedom beyond the dimension."""


class Mixture(NamedTuple):
    """Weights, means and inverse covariances of k components in d dimensions.

    Attributes
    ----------
    alphas : (k,)
        Logarithms of the weights, up to a constant.
    means : (k, d)
    diagonals : (k, d)
        Logarithms of the diagonals of the triangular factors of the inverse covariances.
    below : (k, d (d - 1) / 2)
        What stands below those diagonals, column by column.
    """

    alphas: Any
    means: Any
    diagonals: Any
    below: Any


def log_sum_exp(xp: Any, x: Any) -> Any:
    """Return the logarithm of the sum of exponentials along the last axis."""
    largest = xp.amax(x, axis=-1, keepdims=True)
    return largest[..., 0] + xp.log(xp.sum(xp.exp(x - largest), axis=-1))


def gmm(xp: Any, mixture: Any, points: Any, places: Any, lower: Any, unit: Any) -> Any:
    """Return the logarithm of the posterior of a mixture.

    Parameters
    ----------
    mixture : Mixture
    points : (n, d)
    places : (d, d), integers
        Where each element of a triangular factor stands in `Mixture.below`.
    lower, unit : (d, d)
        1 below the diagonal, and on it.

    References
    ----------
    F. Srajer, Z. Kukelova and A. Fitzgibbon, A benchmark of selected algorithmic differentiation
    tools on some problems in computer vision and machine learning, 2018:
    https://arxiv.org/abs/1807.10129; GradBench, ``evals/gmm``:
    https://github.com/gradbench/gradbench
    """
    count, dimensions = points.shape
    widths = xp.exp(mixture.diagonals)
    volumes = xp.sum(mixture.diagonals, axis=1)
    factors = mixture.below[:, places] * lower + widths[:, :, None] * unit
    centred = points[None, :, :] - mixture.means[:, None, :]
    scaled = centred @ xp.swapaxes(factors, 1, 2)
    terms = (mixture.alphas + volumes)[:, None] - 0.5 * xp.sum(scaled * scaled, axis=2)
    likelihood = xp.sum(log_sum_exp(xp, xp.swapaxes(terms, 0, 1)))
    weights = count * log_sum_exp(xp, mixture.alphas)
    squares = xp.sum(widths * widths) + xp.sum(mixture.below * mixture.below)
    prior = FREEDOM * xp.sum(volumes) - 0.5 * GAMMA**2 * squares
    constants = mixture.alphas.shape[0] * wishart_constant(dimensions)
    return likelihood - weights + prior + (constants - 0.5 * count * dimensions * LOG_TWO_PI)


LOG_TWO_PI = math.log(2 * math.pi)


def wishart_constant(dimensions: int) -> float:
    """Return the logarithm of what a Wishart density is multiplied with."""
    freedom = dimensions + FREEDOM + 1
    gammas = sum(math.lgamma(0.5 * (freedom - j)) for j in range(dimensions))
    gammas += 0.25 * dimensions * (dimensions - 1) * math.log(math.pi)
    return freedom * dimensions * (math.log(GAMMA) - 0.5 * math.log(2)) - gammas


def _inputs(rng: np.random.Generator, size: tuple[int, int, int]) -> tuple[Any, ...]:
    count, dimensions, components = size
    mixture = Mixture(
        rng.standard_normal(components),
        rng.random((components, dimensions)),
        rng.standard_normal((components, dimensions)),
        rng.standard_normal((components, dimensions * (dimensions - 1) // 2)),
    )
    places = np.zeros((dimensions, dimensions), np.int64)
    columns, rows = np.triu_indices(dimensions, 1)
    places[rows, columns] = np.arange(len(rows))
    lower, unit = np.tri(dimensions, k=-1), np.eye(dimensions)
    return mixture, rng.standard_normal((count, dimensions)), places, lower, unit


GMM = Workload(
    gmm,
    inputs=_inputs,
    wrt=(0,),
    sizes=((1_000, 10, 25),),
    name="gmm",
    title="Gaussian mixture, 1,000 points, 10 dimensions, 25 components, and the gradient",
    description="Products of many small matrices, and a log-sum-exp a point.",
)
"""Sizes are points, dimensions and components; GradBench goes to 1,000, 64 and 100."""
