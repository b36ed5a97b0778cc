"""Losses: the distance of a prediction from its target, reduced to one number."""

from __future__ import annotations

from typing import Any

from oplibrary.core.op import public
from oplibrary.core.types import Shape, normalize_axis
from oplibrary.messages.errors import ArgumentError, ShapeError, SideBySideError
from oplibrary.ops.arguments import operand_type, require_int, require_number
from oplibrary.ops.comparison import not_equal
from oplibrary.ops.cross_entropy import check_labels
from oplibrary.ops.cross_entropy import cross_entropy as _cross_entropy
from oplibrary.ops.elementwise import abs as abs_
from oplibrary.ops.elementwise import add, cast, divide, multiply, negative, square, subtract, where
from oplibrary.ops.exponential import softplus
from oplibrary.ops.gather import take, take_along_axis
from oplibrary.ops.movement import expand_dims
from oplibrary.ops.reduction import sum as sum_
from oplibrary.ops.softmax import log_softmax
from oplibrary.ops.statistics import mean


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
def cross_entropy(
    logits: Any,
    labels: Any,
    reduction: str = "mean",
    axis: int = 1,
    weight: Any = None,
    ignore_index: int | None = None,
    label_smoothing: float = 0.0,
) -> Any:
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
    weight : array, (c,), optional
        What each class counts. With class ids, the mean divides by the sum of their weights.
    ignore_index : int, optional
        The class id of elements to leave out: their loss is 0 and the mean does not count them.
    label_smoothing : float
        Which part of each label is spread evenly over all classes, 0 to 1.

    Raises
    ------
    ShapeError
        If the shapes do not fit.
    DTypeError
        If labels of the shape without the class axis are not integers.
    IndexingError
        If a label is not a class; a negative one neither.
    ArgumentError
        If `reduction` is unknown, `label_smoothing` is outside 0 to 1, or an id is to be ignored
        among probabilities.

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
    if weight is None and ignore_index is None and label_smoothing == 0:
        if distributions:
            products = multiply(log_softmax(logits, axis=axis), labels)
            losses = negative(sum_(products, axis=axis))
        else:
            losses = _cross_entropy(logits, labels, axis=axis)
        return _reduce("cross_entropy", losses, reduction)
    weights = _class_weights(logits, weight, axis)
    smoothing = _smoothing(label_smoothing)
    if not distributions:
        return _weighted(logits, labels, reduction, axis, weights, ignore_index, smoothing)
    if ignore_index is not None:
        raise ArgumentError(
            f"cross_entropy: ignore_index is {ignore_index!r}, and the labels are probabilities",
            cause="only class ids can be one that is ignored",
            fix="leave ignore_index out, or pass class ids",
        )
    target = add(multiply(labels, 1 - smoothing), smoothing / logits.shape[axis])
    if weights is not None:
        target = multiply(target, weights)
    losses = negative(sum_(multiply(log_softmax(logits, axis=axis), target), axis=axis))
    return _reduce("cross_entropy", losses, reduction)


def _weighted(
    logits: Any,
    labels: Any,
    reduction: str,
    axis: int,
    weights: Any,
    ignore_index: int | None,
    smoothing: float,
) -> Any:
    """Return the cross entropy with class ids, some of which count differently."""
    try:
        check_labels(operand_type("", logits), operand_type("", labels), axis)
    except SideBySideError as error:
        raise error.with_context("cross_entropy") from None
    counted = None
    if ignore_index is not None:
        counted = not_equal(labels, require_int(ignore_index, "ignore_index"))
        labels = where(counted, labels, 0)
    losses = _cross_entropy(logits, labels, axis=axis)  # refuses what is no class
    share = None if weights is None else take(weights.reshape(-1), labels, axis=0)
    if share is not None:
        losses = multiply(losses, share)
    if smoothing:
        spread = log_softmax(logits, axis=axis)
        spread = sum_(spread if weights is None else multiply(spread, weights), axis=axis)
        every = multiply(spread, -smoothing / logits.shape[axis])
        losses = add(multiply(losses, 1 - smoothing), every)
    if counted is not None:
        losses = where(counted, losses, 0.0)
        ones = cast(counted, dtype=losses.dtype)
        share = ones if share is None else multiply(share, ones)
    if reduction == "mean" and share is not None:
        return divide(sum_(losses), sum_(share))
    return _reduce("cross_entropy", losses, reduction)


def _class_weights(logits: Any, weight: Any, axis: int) -> Any:
    """Return the weights of the classes, so that they broadcast against the logits."""
    if weight is None:
        return None
    shape, classes = operand_type("cross_entropy", weight).shape, logits.shape[axis]
    if shape != (classes,):
        raise ShapeError(
            f"cross_entropy: weight of shape {shape} for {classes} classes",
            cause="each class has one weight",
            fix=f"pass a weight of shape ({classes},)",
        )
    return weight.reshape((classes,) + (1,) * (len(logits.shape) - axis - 1))


def _smoothing(value: float) -> float:
    require_number(value, "label_smoothing")
    if not 0 <= value <= 1:
        raise ArgumentError(
            f"cross_entropy: label_smoothing is {value}",
            cause="it is a part of each label",
            fix="pass a number from 0 to 1",
        )
    return float(value)


def _class_axis(shape: Shape, axis: int) -> int:
    # a single vector of scores has no batch axis in front of the classes
    return 0 if len(shape) == 1 and axis == 1 else normalize_axis(axis, len(shape))
