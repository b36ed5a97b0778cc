"""Losses of class scores: how far they are from the labels."""

from __future__ import annotations

from typing import Any

from oplibrary.core.registry import public
from oplibrary.functional.loss_reduction import reduce_losses, require_reduction
from oplibrary.messages.errors import ArgumentError, ShapeError, SideBySideError
from oplibrary.ops.arguments import operand_type, require_int, require_number
from oplibrary.ops.comparison import not_equal
from oplibrary.ops.cross_entropy import check_labels
from oplibrary.ops.cross_entropy import cross_entropy as _cross_entropy
from oplibrary.ops.elementwise import add, cast, divide, multiply, negative, where
from oplibrary.ops.gather import take, take_along_axis
from oplibrary.ops.movement import expand_dims
from oplibrary.ops.reduction import sum as sum_
from oplibrary.ops.softmax import log_softmax
from oplibrary.values.dtypes import REAL_FLOATING
from oplibrary.values.types import Shape, normalize_axis


@public
def nll_loss(
    log_probabilities: Any,
    labels: Any,
    reduction: str = "mean",
    axis: int = 1,
    weight: Any = None,
    ignore_index: int | None = None,
) -> Any:
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
    weight : array, (c,), optional
        What each class counts; the mean divides by the sum of the labels' weights.
    ignore_index : int, optional
        The class id of elements to leave out: their loss is 0 and the mean does not count them.
        The mean of nothing is NaN.

    Raises
    ------
    ShapeError
        If the labels have not the shape without the class axis, or `weight` not one number a class.
    DTypeError
        If the labels are not integers.
    IndexingError
        If a label is not a class.
    ArgumentError
        If `reduction` is unknown, or `ignore_index` is no int.
    """
    scores_type = operand_type("nll_loss", log_probabilities)
    position = _class_axis(scores_type.shape, axis)
    try:
        shape = check_labels(scores_type, operand_type("nll_loss", labels), position)
    except SideBySideError as error:
        raise error.with_context("nll_loss") from None
    weights = _class_weights("nll_loss", log_probabilities, weight, position)
    counted, labels = _counted(labels, ignore_index)
    picked = take_along_axis(log_probabilities, expand_dims(labels, axis=position), axis=position)
    picked = picked.reshape(shape)
    if weights is None and counted is None:
        return negative(reduce_losses("nll_loss", picked, reduction))
    share = _share(weights, labels)
    losses = negative(picked if share is None else multiply(picked, share))
    return _reduce_counted("nll_loss", losses, reduction, share, counted)


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
        The mean of nothing is NaN, as in PyTorch.
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
        distributions = labels.dtype.kind in REAL_FLOATING and labels.shape == logits.shape
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
        return reduce_losses("cross_entropy", losses, reduction)
    weights = _class_weights("cross_entropy", logits, weight, axis)
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
    return reduce_losses("cross_entropy", losses, reduction)


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
    counted, labels = _counted(labels, ignore_index)
    losses = _cross_entropy(logits, labels, axis=axis)  # refuses what is no class
    share = _share(weights, labels)
    if share is not None:
        losses = multiply(losses, share)
    if smoothing:
        spread = log_softmax(logits, axis=axis)
        spread = sum_(spread if weights is None else multiply(spread, weights), axis=axis)
        every = multiply(spread, -smoothing / logits.shape[axis])
        losses = add(multiply(losses, 1 - smoothing), every)
    return _reduce_counted("cross_entropy", losses, reduction, share, counted)


def _counted(labels: Any, ignore_index: int | None) -> tuple[Any, Any]:
    """Return which labels count, or None for all of them, and class ids in place of the others."""
    if ignore_index is None:
        return None, labels
    counted = not_equal(labels, require_int(ignore_index, "ignore_index"))
    return counted, where(counted, labels, 0)


def _share(weights: Any, labels: Any) -> Any:
    return None if weights is None else take(weights.reshape(-1), labels, axis=0)


def _reduce_counted(name: str, losses: Any, reduction: str, share: Any, counted: Any) -> Any:
    """Reduce losses that count as much as their `share`, and nothing unless they are `counted`."""
    require_reduction(name, reduction)
    if counted is not None:
        losses = where(counted, losses, 0.0)
        ones = cast(counted, dtype=losses.dtype)
        share = ones if share is None else multiply(share, ones)
    if reduction == "mean" and share is not None:
        return divide(sum_(losses), sum_(share))
    return reduce_losses(name, losses, reduction)


def _class_weights(name: str, logits: Any, weight: Any, axis: int) -> Any:
    """Return the weights of the classes, so that they broadcast against the logits."""
    if weight is None:
        return None
    shape, classes = operand_type(name, weight).shape, logits.shape[axis]
    if shape != (classes,):
        raise ShapeError(
            f"{name}: weight of shape {shape} for {classes} classes",
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
