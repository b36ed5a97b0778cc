"""Losses: the distance of a prediction from its target, reduced to one number."""

from __future__ import annotations

from typing import Any

from common.errors import ArgumentError, ShapeError, SideBySideError
from common.op import public
from common.ops.arguments import operand_type
from common.ops.cross_entropy import check_labels
from common.ops.cross_entropy import cross_entropy as _cross_entropy
from common.ops.elementwise import abs as abs_
from common.ops.elementwise import multiply, negative, square, subtract
from common.ops.exponential import softplus
from common.ops.gather import take_along_axis
from common.ops.movement import expand_dims
from common.ops.reduction import sum as sum_
from common.ops.softmax import log_softmax
from common.ops.statistics import mean
from common.types import Shape, normalize_axis


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
    try:
        same = x.shape == target.shape
    except AttributeError:
        same = False
    if not same:
        x_shape, target_shape = operand_type(name, x).shape, operand_type(name, target).shape
        if x_shape == target_shape:
            return
        raise ShapeError(
            f"{name}: prediction {x_shape} and target {target_shape}",
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
    scores_type = operand_type("nll_loss", log_probabilities)
    position = _class_axis(scores_type.shape, axis)
    try:
        shape = check_labels(scores_type, operand_type("nll_loss", labels), position)
    except SideBySideError as error:
        raise error.with_context("nll_loss") from None
    picked = take_along_axis(log_probabilities, expand_dims(labels, axis=position), axis=position)
    return negative(_reduce("nll_loss", picked.reshape(shape), reduction))


@public
def cross_entropy(logits: Any, labels: Any, reduction: str = "mean", axis: int = 1) -> Any:
    """Return the mean cross entropy of class probabilities ``softmax(logits)`` with the labels.

    Parameters
    ----------
    logits : array
        ``(n, c)``, or ``(n, c, ...)``; ``(c,)`` for a single one.
    labels : array
        Class ids, integers of the shape without the class axis; or probabilities of every class,
        floating-point numbers of the shape of `logits`.
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
        If a label is not a class; a negative one neither.
    ArgumentError
        If `reduction` is unknown.

    Examples
    --------
    >>> import numpy as np
    >>> round(float(cross_entropy(np.zeros((2, 4)), np.array([0, 3]))), 4)
    1.3863
    """
    try:
        axis = _class_axis(logits.shape, axis)
        distributions = labels.dtype.kind == "f" and labels.shape == logits.shape
    except AttributeError:
        operand_type("cross_entropy", logits)
        operand_type("cross_entropy", labels)
        raise
    if distributions:
        products = multiply(log_softmax(logits, axis=axis), labels)
        losses = negative(sum_(products, axis=axis))
    else:
        losses = _cross_entropy(logits, labels, axis=axis)
    return _reduce("cross_entropy", losses, reduction)


def _class_axis(shape: Shape, axis: int) -> int:
    # a single vector of scores has no batch axis in front of the classes
    return 0 if len(shape) == 1 and axis == 1 else normalize_axis(axis, len(shape))
