"""ADBench's ht: how far a posed model of a hand is from measured points, with the Jacobian."""

from __future__ import annotations

from typing import Any

import numpy as np

from sidebyside.workloads.workload import Workload

FINGERS, JOINTS = 5, 4
BONES = 2 + FINGERS * JOINTS
ANGLES = 26


def joint_angles(xp: Any, theta: Any) -> list[tuple[Any, Any]]:
    """Return what each bone is turned by, about x and z: nothing but three joints a finger.

    The first joint of a finger bends and spreads, the next two bend, its last bone is stiff; so
    are the wrist before the fingers and the forearm after them.
    """
    still = theta[0] * 0
    angles = [(still, still)]
    place = 6
    for _ in range(FINGERS):
        angles += [(theta[place], theta[place + 1]), (theta[place + 2], still)]
        angles += [(theta[place + 3], still), (still, still)]
        place += 4
    return [*angles, (still, still)]


def turned(xp: Any, about_x: Any, about_z: Any) -> Any:
    """Return the ``(4, 4)`` matrix of a turn about x, then about z."""
    zero, one = about_x * 0, about_x * 0 + 1
    cos_x, sin_x, cos_z, sin_z = (
        xp.cos(about_x),
        xp.sin(about_x),
        xp.cos(about_z),
        xp.sin(about_z),
    )
    rows = (
        (cos_z, -sin_z * cos_x, sin_z * sin_x, zero),
        (sin_z, cos_z * cos_x, -cos_z * sin_x, zero),
        (zero, sin_x, cos_x, zero),
        (zero, zero, zero, one),
    )
    return xp.stack([xp.stack(row) for row in rows])


def about_axis(xp: Any, axis: Any) -> Any:
    """Return the ``(3, 3)`` matrix of a turn about `axis`, by its length (Rodrigues)."""
    angle = xp.sqrt(xp.sum(axis * axis))
    x, y, z = (axis[i] / angle for i in range(3))
    cosine, sine = xp.cos(angle), xp.sin(angle)
    rest = 1 - cosine
    rows = (
        (x * x * rest + cosine, x * y * rest - z * sine, x * z * rest + y * sine),
        (x * y * rest + z * sine, y * y * rest + cosine, y * z * rest - x * sine),
        (x * z * rest - y * sine, y * z * rest + x * sine, z * z * rest + cosine),
    )
    return xp.stack([xp.stack(row) for row in rows])


def ht(
    xp: Any,
    theta: Any,
    bases: Any,
    inverses: Any,
    rest: Any,
    weights: Any,
    matches: Any,
    points: Any,
) -> Any:
    """Return the errors ``(3 n,)`` of n matched points, and their Jacobian ``(3 n, 26)``.

    Parameters
    ----------
    theta : (26,)
        Turn and place of the hand, and four angles a finger.
    bases, inverses : (bones, 4, 4)
        Each bone at rest, from its parent, and from the whole hand back.
    rest : (4, vertices)
        The surface at rest, homogeneous.
    weights : (bones, vertices)
        How much each bone moves each vertex.
    matches : (n,), integers
        The vertex of each measured point.
    points : (3, n)

    References
    ----------
    F. Srajer, Z. Kukelova and A. Fitzgibbon, A benchmark of selected algorithmic differentiation
    tools on some problems in computer vision and machine learning, 2018:
    https://arxiv.org/abs/1807.10129, the simple variant; GradBench, ``evals/ht``:
    https://github.com/gradbench/gradbench
    """

    def errors(theta: Any) -> Any:
        placed: list[Any] = []
        for bone, (about_x, about_z) in enumerate(joint_angles(xp, theta)):
            relative = bases[bone] @ turned(xp, about_x, about_z)
            parent = parent_of(bone)
            placed.append(relative if parent < 0 else placed[parent] @ relative)
        moved = xp.stack([each @ inverses[bone] for bone, each in enumerate(placed)]) @ rest
        surface = xp.sum(moved[:, :3] * weights[:, None, :], axis=0)
        surface = about_axis(xp, theta[:3]) @ surface + theta[3:6, None]
        return xp.swapaxes(points - surface[:, matches], 0, 1).reshape((-1,))

    return errors(theta), xp.jacobian(errors, theta)


def parent_of(bone: int) -> int:
    """Return the parent of a bone, -1 for the root: fingers and the forearm hang on the wrist."""
    if bone == 0:
        return -1
    return 0 if bone == BONES - 1 or (bone - 1) % JOINTS == 0 else bone - 1


def _inputs(rng: np.random.Generator, size: tuple[int, int]) -> tuple[Any, ...]:
    vertices, count = size
    bases = np.tile(np.eye(4), (BONES, 1, 1))
    bases[:, :3, 3] = rng.uniform(-1, 1, (BONES, 3))
    inverses: list[Any] = []
    placed: list[Any] = []
    for bone in range(BONES):
        parent = parent_of(bone)
        placed.append(bases[bone] if parent < 0 else placed[parent] @ bases[bone])
        inverses.append(np.linalg.inv(placed[-1]))
    weights = rng.random((BONES, vertices))
    return (
        0.3 * rng.standard_normal(ANGLES),
        bases,
        np.stack(inverses),
        np.concatenate([rng.standard_normal((3, vertices)), np.ones((1, vertices))]),
        weights / weights.sum(axis=0),
        rng.integers(0, vertices, count),
        rng.standard_normal((3, count)),
    )


HT = Workload(
    ht,
    inputs=_inputs,
    sizes=((544, 100),),
    name="ht",
    title="hand tracking, 22 bones, 544 vertices, 100 points, dense Jacobian",
    description="Many small matrices, and derivatives by 26 numbers.",
)
"""Sizes are vertices and matched points: the smallest of ADBench."""
