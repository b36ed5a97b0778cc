"""Losses of class scores by margins, and of several labels an example."""

from __future__ import annotations

from typing import Any

import numpy as np

from oplibrary.core.registry import public
from oplibrary.functional.activation import logsigmoid
from oplibrary.functional.distance_losses import pairwise_distance
from oplibrary.functional.loss_reduction import reduce_losses, require_same_shape
from oplibrary.functional.normalization import require_float
from oplibrary.messages.errors import ArgumentError, ShapeError
from oplibrary.ops.arguments import operand_type, require_flag, require_number
from oplibrary.ops.comparison import equal, greater, greater_equal, logical_and
from oplibrary.ops.elementwise import (
    add,
    cast,
    clip,
    divide,
    minimum,
    multiply,
    negative,
    square,
    subtract,
    where,
)
from oplibrary.ops.gather import require_integers, take, take_along_axis
from oplibrary.ops.movement import expand_dims
from oplibrary.ops.reduction import sum as sum_
from oplibrary.ops.running import cumulative_min
from oplibrary.ops.statistics import mean
from oplibrary.values.parameters import require_callable
from oplibrary.values.types import TensorType


def _require_scores(name: str, x: Any) -> TensorType:
    """Return the type of scores, ``(n, c)`` or ``(c,)``."""
    given = require_float(name, x)
    if given.ndim not in (1, 2) or not given.shape[-1]:
        raise ShapeError(
            f"{name}: scores of shape {given.shape}",
            cause="there is one for each class, (n, c), or (c,) for one example",
            fix="reshape them to (n, c)",
        )
    return given


def _require_weight(name: str, weight: Any, classes: int) -> None:
    if weight is not None and operand_type(name, weight).shape != (classes,):
        raise ShapeError(
            f"{name}: weight of shape {tuple(weight.shape)} for {classes} classes",
            cause="each class has one weight",
            fix=f"pass a weight of shape ({classes},)",
        )


@public
def multi_margin_loss(
    x: Any,
    target: Any,
    p: int = 1,
    margin: float = 1.0,
    weight: Any = None,
    reduction: str = "mean",
) -> Any:
    """Return by how much scores of other classes come nearer than `margin` to that of the label.

    Parameters
    ----------
    x : array
        Scores, ``(n, c)``, or ``(c,)`` for one example.
    target : integer array
        Class ids, ``(n,)`` or ``()``.
    p : {1, 2}
        The power of what is missing.
    margin : float
    weight : array, (c,), optional
        What each label counts.
    reduction : {"mean", "sum", "none"}

    Raises
    ------
    ShapeError
        If the shapes do not fit.
    DTypeError
        If scores are no floating-point numbers, or ids no whole ones.
    IndexingError
        If an id is no class.
    ArgumentError
        If `p` is neither, or `reduction` is unknown.
    """
    name = "multi_margin_loss"
    given, ids = _require_scores(name, x), operand_type(name, target)
    require_integers(name, ids)
    require_number(margin, "margin")
    if p not in (1, 2):
        raise ArgumentError(f"{name}: p is {p!r}", cause="it is 1 or 2", fix="pass p=1")
    if ids.shape != given.shape[:-1]:
        raise ShapeError(
            f"{name}: labels of shape {ids.shape} for scores {given.shape}",
            cause="there is one for each example",
            fix="give the labels the shape of the scores without the last axis",
        )
    _require_weight(name, weight, given.shape[-1])
    label = expand_dims(target, axis=-1)
    short = clip(subtract(add(x, margin), take_along_axis(x, label, axis=-1)), min=0.0)
    short = short if p == 1 else square(short)
    if weight is not None:
        short = multiply(short, take(weight, label, axis=0))
    classes = given.shape[-1]
    own = equal(np.arange(classes), where(greater(0, label), add(label, classes), label))
    losses = divide(sum_(where(own, 0.0, short), axis=-1), float(classes))
    return reduce_losses(name, losses, reduction)


@public
def multilabel_margin_loss(x: Any, target: Any, reduction: str = "mean") -> Any:
    """Return by how much scores of other classes come nearer than 1 to those of the labels.

    Parameters
    ----------
    x : array
        Scores, ``(n, c)``, or ``(c,)`` for one example.
    target : integer array
        Of the same shape: the labels of an example, and -1 behind the last one.
    reduction : {"mean", "sum", "none"}

    Raises
    ------
    ShapeError
        If the shapes differ.
    DTypeError
        If scores are no floating-point numbers, or ids no whole ones.
    IndexingError
        If an id is no class.
    ArgumentError
        If `reduction` is unknown.
    """
    name = "multilabel_margin_loss"
    given = _require_scores(name, x)
    require_same_shape(name, x, target)
    require_integers(name, operand_type(name, target))
    counts = cast(greater_equal(target, 0), dtype=np.int64)
    counted = equal(cumulative_min(counts, axis=-1), 1)
    label = where(counted, target, 0)
    classes = given.shape[-1]
    hits = equal(expand_dims(label, axis=-1), np.arange(classes))
    hits = logical_and(hits, expand_dims(counted, axis=-1))
    other = equal(sum_(cast(hits, dtype=np.int64), axis=-2, keepdims=True), 0)
    own = expand_dims(take_along_axis(x, label, axis=-1), axis=-1)
    short = clip(add(subtract(1.0, own), expand_dims(x, axis=-2)), min=0.0)
    short = where(logical_and(other, expand_dims(counted, axis=-1)), short, 0.0)
    losses = divide(sum_(short, axis=(-2, -1)), float(classes))
    return reduce_losses(name, losses, reduction)


@public
def multilabel_soft_margin_loss(
    x: Any, target: Any, weight: Any = None, reduction: str = "mean"
) -> Any:
    """Return the mean over the classes of the binary cross entropy of their logits.

    Parameters
    ----------
    x : array
        Logits, ``(..., c)``.
    target : array
        Of the same shape: 1 for the labels of an example, 0 for other classes.
    weight : array, (c,), optional
        What each class counts.
    reduction : {"mean", "sum", "none"}

    Raises
    ------
    ShapeError
        If the shapes do not fit.
    DTypeError
        If the logits are no floating-point numbers.
    ArgumentError
        If `reduction` is unknown.
    """
    name = "multilabel_soft_margin_loss"
    given = require_float(name, x)
    require_same_shape(name, x, target)
    if not given.ndim:
        raise ShapeError(
            f"{name}: logits of shape ()",
            cause="there is one for each class, along the last axis",
            fix="reshape them to (n, c)",
        )
    _require_weight(name, weight, given.shape[-1])
    target = cast(target, dtype=given.dtype)
    like = multiply(target, logsigmoid(x))
    unlike = multiply(subtract(1.0, target), logsigmoid(negative(x)))
    losses = negative(add(like, unlike))
    if weight is not None:
        losses = multiply(losses, weight)
    return reduce_losses(name, mean(losses, axis=-1), reduction)


@public
def triplet_margin_with_distance_loss(
    anchor: Any,
    positive: Any,
    negative: Any,
    distance_function: Any = None,
    margin: float = 1.0,
    swap: bool = False,
    reduction: str = "mean",
) -> Any:
    """Return `triplet_margin_loss` by another distance.

    Parameters
    ----------
    anchor, positive, negative : array
        Of one shape.
    distance_function : callable, optional
        ``distance_function(x, y)``; by default `pairwise_distance`.
    margin, swap, reduction
        As for `triplet_margin_loss`.

    Raises
    ------
    ShapeError
        If the shapes differ.
    ArgumentError
        If `margin` is not positive, or `reduction` is unknown.
    """
    name = "triplet_margin_with_distance_loss"
    require_same_shape(name, anchor, positive)
    require_same_shape(name, anchor, negative)
    require_number(margin, "margin")
    if not margin > 0:
        raise ArgumentError(
            f"{name}: margin is {margin}",
            cause="without one, a model that maps everything to one point has no loss",
            fix="pass margin=1.0, or another positive number",
        )
    distance = pairwise_distance if distance_function is None else distance_function
    require_callable(name, distance)
    near, far = distance(anchor, positive), distance(anchor, negative)
    if require_flag(swap, "swap"):
        far = minimum(far, distance(positive, negative))
    return reduce_losses(name, clip(add(subtract(near, far), margin), min=0.0), reduction)
