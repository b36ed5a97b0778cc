"""ADBench's ba: reprojection errors of cameras and points, with their sparse Jacobian."""

from __future__ import annotations

from typing import Any

import numpy as np

from sidebyside.workloads.workload import Workload


def rotated(xp: Any, axis: Any, x: Any) -> Any:
    """Return rows of `x` turned about rows of `axis`, whose length is the angle (Rodrigues)."""
    angle = xp.sqrt(xp.sum(axis * axis, axis=1, keepdims=True))
    unit = axis / angle
    cosine = xp.cos(angle)
    along = xp.sum(unit * x, axis=1, keepdims=True) * (1 - cosine)
    return x * cosine + cross(xp, unit, x) * xp.sin(angle) + unit * along


def cross(xp: Any, a: Any, b: Any) -> Any:
    """Return the cross product of rows."""
    (a0, a1, a2), (b0, b1, b2) = ([x[:, i] for i in range(3)] for x in (a, b))
    return xp.stack((a1 * b2 - a2 * b1, a2 * b0 - a0 * b2, a0 * b1 - a1 * b0), axis=1)


def errors(xp: Any, observed: Any, features: Any) -> Any:
    """Return the weighed distances ``(n, 2)`` of projected points to what was seen.

    Parameters
    ----------
    observed : tuple of array
        Cameras ``(n, 11)``: axis of rotation, centre, focal length, principal point, two
        coefficients of distortion; points ``(n, 3)``; and weights ``(n, 1)``.
    features : (n, 2)
    """
    camera, point, weight = observed
    seen = rotated(xp, camera[:, :3], point - camera[:, 3:6])
    flat = seen[:, :2] / seen[:, 2:3]
    square = xp.sum(flat * flat, axis=1, keepdims=True)
    bent = flat * (1 + camera[:, 9:10] * square + camera[:, 10:11] * square * square)
    return weight * (bent * camera[:, 6:7] + camera[:, 7:9] - features)


def ba(
    xp: Any, cameras: Any, points: Any, weights: Any, seen_by: Any, seen: Any, features: Any
) -> Any:
    """Return the errors, those of the weights, and all elements of the Jacobian that are not 0.

    An observation reads a camera, a point and a weight of its own, so the derivatives of the sum of
    a coordinate's errors by what is gathered are the rows of the Jacobian, 15 numbers each.

    Parameters
    ----------
    cameras : (cameras, 11)
    points : (points, 3)
    weights : (observations,)
    seen_by, seen : (observations,), integers
        The camera and the point of each observation.
    features : (observations, 2)

    Returns
    -------
    tuple of array
        Errors ``(observations, 2)``, of weights ``(observations,)``; for each coordinate the
        derivatives by camera, point and weight; and those of the weights' errors.

    References
    ----------
    F. Srajer, Z. Kukelova and A. Fitzgibbon, A benchmark of selected algorithmic differentiation
    tools on some problems in computer vision and machine learning, 2018:
    https://arxiv.org/abs/1807.10129; GradBench, ``evals/ba``: https://github.com/gradbench/gradbench
    """
    gathered = (cameras[seen_by], points[seen], weights[:, None])

    def total(coordinate: int) -> Any:
        return lambda given: xp.sum(errors(xp, given, features)[:, coordinate])

    rows = [xp.value_and_grad(total(coordinate))(gathered)[1] for coordinate in range(2)]
    return errors(xp, gathered, features), 1 - weights * weights, *rows[0], *rows[1], -2 * weights


def _inputs(rng: np.random.Generator, size: tuple[int, int, int]) -> tuple[Any, ...]:
    count, many, observations = size
    cameras = np.concatenate(
        [
            0.3 * rng.standard_normal((count, 3)),
            rng.standard_normal((count, 3)) - [0, 0, 10],
            rng.uniform(500, 600, (count, 1)),
            rng.uniform(-10, 10, (count, 2)),
            0.01 * rng.standard_normal((count, 2)),
        ],
        axis=1,
    )
    number = np.arange(observations)
    return (
        cameras,
        rng.standard_normal((many, 3)),
        rng.uniform(0.5, 1.5, observations),
        number % count,
        number % many,
        rng.uniform(-100, 100, (observations, 2)),
    )


BA = Workload(
    ba,
    inputs=_inputs,
    sizes=((49, 7_776, 31_843),),
    name="ba",
    title="bundle adjustment, 49 cameras, 7,776 points, 31,843 observations, sparse Jacobian",
    description="Gathers, then some hundred elementwise operations on long columns.",
)
"""Sizes are cameras, points and observations: the smallest of ADBench."""
