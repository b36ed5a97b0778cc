"""Distances of vectors, and losses of pairs and triples that are near or far."""

from __future__ import annotations

from typing import Any

from oplibrary.core.registry import public
from oplibrary.functional.loss_reduction import (
    reduce_losses,
    require_number_above,
    require_same_shape,
)
from oplibrary.messages.errors import ArgumentError, ShapeError
from oplibrary.ops.arguments import operand_type, require_flag, require_number
from oplibrary.ops.comparison import equal
from oplibrary.ops.elementwise import (
    add,
    clip,
    divide,
    minimum,
    multiply,
    negative,
    subtract,
    where,
)
from oplibrary.ops.exponential import softplus
from oplibrary.ops.movement import broadcast_to
from oplibrary.ops.reduction import sum as sum_
from oplibrary.ops.statistics import euclidean_norm, vector_norm
from oplibrary.values.types import Shape, broadcast_shapes, normalize_axis


def _shape_of_both(name: str, x: Any, y: Any) -> Shape:
    """Return the shape that vectors which are compared broadcast to."""
    return broadcast_shapes(operand_type(name, x).shape, operand_type(name, y).shape)


@public
def cosine_similarity(x: Any, y: Any, axis: int = 1, eps: float = 1e-8) -> Any:
    """Return the cosine of the angle between the vectors along `axis`.

    Parameters
    ----------
    x, y : array
        Of shapes that broadcast.
    axis : int
        The axis of the vectors' elements, of the shape that both broadcast to.
    eps : float
        The least length that is divided by, so that the similarity of zeros is 0.

    Raises
    ------
    ShapeError
        If the shapes do not broadcast, or there is no such axis.

    Examples
    --------
    >>> import numpy as np
    >>> cosine_similarity(np.array([[1.0, 0.0]]), np.array([[1.0, 1.0]])).round(4)
    array([0.7071])
    """
    shape = _shape_of_both("cosine_similarity", x, y)
    require_number_above("cosine_similarity", "eps", eps)
    at = normalize_axis(axis, len(shape))
    units = []
    for each in (x, y):
        if tuple(each.shape) != shape:
            each = broadcast_to(each, shape=shape)
        norm = euclidean_norm(each, axis=at, keepdims=True)
        units.append(divide(each, clip(norm, min=float(eps))))
    return sum_(multiply(*units), axis=at)


@public
def pairwise_distance(
    x: Any, y: Any, p: float = 2.0, eps: float = 1e-6, keepdims: bool = False
) -> Any:
    """Return the p-norm of ``x - y + eps`` along the last axis.

    Parameters
    ----------
    x, y : array
        Vectors along the last axis, of shapes that broadcast.
    p : float
        Order of the norm.
    eps : float
        Added to the differences, as in PyTorch, so that there is a gradient where `x` is `y`.
    keepdims : bool
        Keep the last axis, with length 1.
    """
    _shape_of_both("pairwise_distance", x, y)
    require_number(eps, "eps")
    difference = add(subtract(x, y), eps)
    return vector_norm(difference, axis=-1, keepdims=keepdims, ord=p)


def _require_signs(name: str, target: Any, shape: tuple[int, ...]) -> None:
    given = operand_type(name, target).shape
    if given not in ((), shape):
        raise ShapeError(
            f"{name}: target {given} for pairs {shape}",
            cause="there is one target, 1 or -1, for each pair",
            fix=f"give it the shape {shape}",
        )


@public
def cosine_embedding_loss(
    x: Any, y: Any, target: Any, margin: float = 0.0, reduction: str = "mean"
) -> Any:
    """Return the mean of ``1 - cos(x, y)`` for like pairs and ``max(0, cos(x, y) - margin)`` else.

    Parameters
    ----------
    x, y : array
        Vectors, ``(n, d)`` or ``(d,)``, of one shape.
    target : array
        1 for each pair that is to be alike, -1 for each that is not, ``(n,)`` or ``()``.
    margin : float
        The similarity up to which pairs that are not alike cost nothing, -1 to 1.
    reduction : {"mean", "sum", "none"}
        How the losses of the pairs become one number.

    Raises
    ------
    ShapeError
        If the shapes do not fit.
    ArgumentError
        If `reduction` is unknown, or `margin` is no number.
    """
    name = "cosine_embedding_loss"
    require_same_shape(name, x, y)
    shape = operand_type(name, x).shape
    if len(shape) not in (1, 2):
        raise ShapeError(
            f"{name}: x {shape} must have one or two axes",
            cause="the vectors are rows, and their elements are along the last axis",
            fix="reshape to (n, d)",
        )
    require_number(margin, "margin")
    _require_signs(name, target, shape[:-1])
    cosine = cosine_similarity(x, y, axis=-1, eps=1e-6)
    apart = clip(subtract(cosine, margin), min=0.0)
    return _signed(name, target, subtract(1.0, cosine), apart, reduction)


@public
def hinge_embedding_loss(x: Any, target: Any, margin: float = 1.0, reduction: str = "mean") -> Any:
    """Return the mean of `x`, a distance, for like pairs and ``max(0, margin - x)`` for others.

    Parameters
    ----------
    x : array
        Distances.
    target : array
        1 for each pair that is to be alike, -1 for each that is not, of the same shape.
    margin : float
        The distance from which on pairs that are not alike cost nothing.
    reduction : {"mean", "sum", "none"}
        How the losses of the pairs become one number.

    Raises
    ------
    ShapeError
        If the shapes differ, even if they broadcast.
    ArgumentError
        If `reduction` is unknown, or `margin` is no number.
    """
    name = "hinge_embedding_loss"
    require_same_shape(name, x, target)
    require_number(margin, "margin")
    return _signed(name, target, x, clip(subtract(margin, x), min=0.0), reduction)


def _signed(name: str, target: Any, like: Any, unlike: Any, reduction: str) -> Any:
    """Reduce the losses of pairs that are alike (1) and that are not (-1); of others both count."""
    unlike = where(equal(target, 1), 0.0, unlike)
    return reduce_losses(name, add(where(equal(target, -1), 0.0, like), unlike), reduction)


@public
def margin_ranking_loss(
    x: Any, y: Any, target: Any, margin: float = 0.0, reduction: str = "mean"
) -> Any:
    """Return the mean of ``max(0, -target * (x - y) + margin)``.

    Parameters
    ----------
    x, y : array
        Scores, of one shape.
    target : array
        1 where `x` is to be above `y`, -1 where below; of the same shape.
    margin : float
        By how much.
    reduction : {"mean", "sum", "none"}
        How the losses of the pairs become one number.

    Raises
    ------
    ShapeError
        If the shapes differ, even if they broadcast.
    ArgumentError
        If `reduction` is unknown, or `margin` is no number.
    """
    name = "margin_ranking_loss"
    require_same_shape(name, x, y)
    require_same_shape(name, x, target)
    require_number(margin, "margin")
    losses = add(multiply(negative(target), subtract(x, y)), margin)
    return reduce_losses(name, clip(losses, min=0.0), reduction)


@public
def soft_margin_loss(x: Any, target: Any, reduction: str = "mean") -> Any:
    """Return the mean of ``log(1 + exp(-target * x))``.

    Parameters
    ----------
    x : array
        Scores.
    target : array
        1 or -1, of the same shape.
    reduction : {"mean", "sum", "none"}
        How the losses of the elements become one number.

    Raises
    ------
    ShapeError
        If the shapes differ, even if they broadcast.
    ArgumentError
        If `reduction` is unknown.
    """
    require_same_shape("soft_margin_loss", x, target)
    losses = softplus(multiply(negative(target), x))
    return reduce_losses("soft_margin_loss", losses, reduction)


@public
def triplet_margin_loss(
    anchor: Any,
    positive: Any,
    negative: Any,
    margin: float = 1.0,
    p: float = 2.0,
    eps: float = 1e-6,
    swap: bool = False,
    reduction: str = "mean",
) -> Any:
    """Return the mean of ``max(0, |anchor - positive| - |anchor - negative| + margin)``.

    Parameters
    ----------
    anchor, positive, negative : array
        Vectors along the last axis, of one shape.
    margin : float
        By how much the anchor is to be nearer to the positive than to the negative; positive.
    p, eps : float
        Of the distances: see `pairwise_distance`.
    swap : bool
        Take the distance between positive and negative where that is the smaller one.
    reduction : {"mean", "sum", "none"}
        How the losses of the triples become one number.

    Raises
    ------
    ShapeError
        If the shapes differ, even if they broadcast.
    ArgumentError
        If `reduction` is unknown, or `margin` is not positive.

    Notes
    -----
    Balntas et al., "Learning local feature descriptors with triplets and shallow convolutional
    neural networks" (2016).
    """
    name = "triplet_margin_loss"
    require_same_shape(name, anchor, positive)
    require_same_shape(name, anchor, negative)
    require_number(margin, "margin")
    if not margin > 0:
        raise ArgumentError(
            f"{name}: margin is {margin}",
            cause="without one, a model that maps everything to one point has no loss",
            fix="pass margin=1.0, or another positive number",
        )
    near = pairwise_distance(anchor, positive, p, eps)
    far = pairwise_distance(anchor, negative, p, eps)
    if require_flag(swap, "swap"):
        far = minimum(far, pairwise_distance(positive, negative, p, eps))
    losses = clip(add(subtract(near, far), margin), min=0.0)
    return reduce_losses(name, losses, reduction)
