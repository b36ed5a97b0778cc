"""Losses: the distance of a prediction from its target, reduced to one number."""

from __future__ import annotations

from typing import Any

from common.errors import ArgumentError, DTypeError, ShapeError
from common.op import public
from common.ops.arguments import operand_type
from common.ops.elementwise import abs as abs_
from common.ops.elementwise import multiply, negative, square, subtract
from common.ops.exponential import softplus
from common.ops.gather import take_along_axis
from common.ops.reduction import sum as sum_
from common.ops.softmax import log_softmax
from common.ops.statistics import mean
from common.types import TensorType, normalize_axis


def _reduce(name: str, losses: Any, reduction: str) -> Any:
    if reduction == "mean":
        return mean(losses)
    if reduction == "sum":
        return sum_(losses)
    if reduction == "none":
        return losses
    raise ArgumentError(
        f"{name}: reduction is {reduction!r}",
        cause="the losses of the elements are averaged, summed or returned as they are",
        fix='pass "mean", "sum" or "none"',
    )


def _require_same_shape(name: str, x: Any, target: Any) -> None:
    x_type, target_type = operand_type(name, x), operand_type(name, target)
    if x_type.shape != target_type.shape:
        raise ShapeError(
            f"{name}: prediction {x_type.shape} and target {target_type.shape}",
            cause="each element has its own target; shapes that broadcast would compare every "
            "prediction with every target",
            fix="reshape one of them, for example with x.reshape(target.shape)",
        )


# of numbers ---------------------------------------------------------------------------------------


@public
def mse_loss(x: Any, target: Any, reduction: str = "mean") -> Any:
    """Return the mean of the squared differences.

    Parameters
    ----------
    x : array
        Prediction.
    target : array
        Of the same shape.
    reduction : {"mean", "sum", "none"}
        How the losses of the elements become one number.

    Raises
    ------
    ShapeError
        If the shapes differ, even if they broadcast.
    ArgumentError
        If `reduction` is unknown.
    """
    _require_same_shape("mse_loss", x, target)
    return _reduce("mse_loss", square(subtract(x, target)), reduction)


@public
def l1_loss(x: Any, target: Any, reduction: str = "mean") -> Any:
    """Return the mean of the absolute differences.

    Parameters
    ----------
    x : array
        Prediction.
    target : array
        Of the same shape.
    reduction : {"mean", "sum", "none"}
        How the losses of the elements become one number.

    Raises
    ------
    ShapeError
        If the shapes differ, even if they broadcast.
    ArgumentError
        If `reduction` is unknown.
    """
    _require_same_shape("l1_loss", x, target)
    return _reduce("l1_loss", abs_(subtract(x, target)), reduction)


@public
def binary_cross_entropy_with_logits(x: Any, target: Any, reduction: str = "mean") -> Any:
    """Return the cross entropy of probabilities ``sigmoid(x)`` with `target`.

    Parameters
    ----------
    x : array
        Logits.
    target : array
        Probabilities, 0 to 1, of the same shape.
    reduction : {"mean", "sum", "none"}
        How the losses of the elements become one number.

    Raises
    ------
    ShapeError
        If the shapes differ, even if they broadcast.
    ArgumentError
        If `reduction` is unknown.

    Notes
    -----
    Computed as ``softplus(x) - x * target``, which no logit makes overflow.
    """
    name = "binary_cross_entropy_with_logits"
    _require_same_shape(name, x, target)
    return _reduce(name, subtract(softplus(x), multiply(x, target)), reduction)


# of classes ---------------------------------------------------------------------------------------


@public
def nll_loss(log_probabilities: Any, labels: Any, reduction: str = "mean", axis: int = 1) -> Any:
    """Return the mean of the negative log-probabilities of the labelled classes.

    Parameters
    ----------
    log_probabilities : array
        ``(n, c)``, or ``(n, c, ...)``; ``(c,)`` for a single one.
    labels : integer array
        Class ids: the shape without the class axis. A negative id counts from the last class.
    reduction : {"mean", "sum", "none"}
        How the losses of the elements become one number.
    axis : int
        The class axis.

    Raises
    ------
    ShapeError
        If the labels have not the shape without the class axis.
    DTypeError
        If the labels are not integers.
    IndexingError
        If a label is not a class.
    ArgumentError
        If `reduction` is unknown.
    """
    return _nll("nll_loss", log_probabilities, labels, reduction, axis)


@public
def cross_entropy(logits: Any, labels: Any, reduction: str = "mean", axis: int = 1) -> Any:
    """Return the mean cross entropy of class probabilities ``softmax(logits)`` with the labels.

    Parameters
    ----------
    logits : array
        ``(n, c)``, or ``(n, c, ...)``; ``(c,)`` for a single one.
    labels : array
        Class ids, integers of the shape without the class axis; or probabilities of every class,
        floating-point numbers of the shape of `logits`. A negative id counts from the last class.
    reduction : {"mean", "sum", "none"}
        How the losses of the elements become one number.
    axis : int
        The class axis.

    Raises
    ------
    ShapeError
        If the shapes do not fit.
    DTypeError
        If labels of the shape without the class axis are not integers.
    IndexingError
        If a label is not a class.
    ArgumentError
        If `reduction` is unknown.

    Examples
    --------
    >>> import numpy as np
    >>> round(float(cross_entropy(np.zeros((2, 4)), np.array([0, 3]))), 4)
    1.3863
    """
    logits_type, labels_type = operand_type("cross_entropy", logits), operand_type("", labels)
    position = _class_axis("cross_entropy", logits_type, axis)
    log_probabilities = log_softmax(logits, axis=position)
    if labels_type.dtype.kind == "f" and labels_type.shape == logits_type.shape:
        products = multiply(log_probabilities, labels)
        losses = negative(sum_(products, axis=position))
        return _reduce("cross_entropy", losses, reduction)
    return _nll("cross_entropy", log_probabilities, labels, reduction, axis)


def _class_axis(name: str, scores: TensorType, axis: int) -> int:
    # a single vector of scores has no batch axis in front of the classes
    return 0 if scores.ndim == 1 and axis == 1 else normalize_axis(axis, scores.ndim)


def _nll(name: str, scores: Any, labels: Any, reduction: str, axis: int) -> Any:
    scores_type, labels_type = operand_type(name, scores), operand_type(name, labels)
    position = _class_axis(name, scores_type, axis)
    shape = scores_type.shape
    expected = shape[:position] + shape[position + 1 :]
    if labels_type.shape != expected:
        last = labels_type.shape == shape[:-1]
        raise ShapeError(
            f"{name}: labels of shape {labels_type.shape} for scores {shape}, "
            f"class axis {position}",
            cause=f"there is one label for each {shape[position]} scores along the class axis, so "
            f"the labels have shape {expected}",
            fix="pass axis=-1, if the classes are on the last axis"
            if last
            else f"give the labels the shape {expected}",
        )
    if labels_type.dtype.kind not in "iu":
        raise DTypeError(
            f"{name}: labels are {labels_type.dtype}",
            cause="a label is the number of a class",
            fix="convert with astype(labels, 'int64')",
        )
    one = (*shape[:position], 1, *shape[position + 1 :])
    picked = take_along_axis(scores, labels.reshape(one), axis=position).reshape(expected)
    return negative(_reduce(name, picked, reduction))
