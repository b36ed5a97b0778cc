"""Losses of numbers and probabilities, each against its own target."""

from __future__ import annotations

from math import log as log_of_number
from math import pi
from typing import Any

from oplibrary.core.registry import public
from oplibrary.functional.loss_reduction import (
    reduce_losses,
    require_number_above,
    require_same_shape,
)
from oplibrary.messages.errors import ArgumentError, ShapeError
from oplibrary.ops.arguments import operand_type, require_flag
from oplibrary.ops.binary_cross_entropy import binary_cross_entropy as _binary_cross_entropy
from oplibrary.ops.comparison import equal, greater
from oplibrary.ops.elementwise import abs as abs_
from oplibrary.ops.elementwise import (
    add,
    clip,
    divide,
    multiply,
    negative,
    square,
    subtract,
    where,
)
from oplibrary.ops.exponential import exp, log, softplus
from oplibrary.ops.movement import expand_dims
from oplibrary.ops.reduction import sum as sum_


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
    require_same_shape("mse_loss", x, target)
    return reduce_losses("mse_loss", square(subtract(x, target)), reduction)


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
    require_same_shape("l1_loss", x, target)
    return reduce_losses("l1_loss", abs_(subtract(x, target)), reduction)


@public
def huber_loss(x: Any, target: Any, reduction: str = "mean", delta: float = 1.0) -> Any:
    """Return the mean of the squared differences / 2, growing linearly beyond `delta`.

    Parameters
    ----------
    x : array
        Prediction.
    target : array
        Of the same shape.
    reduction : {"mean", "sum", "none"}
        How the losses of the elements become one number.
    delta : float
        The difference from which on the loss is ``delta * (difference - delta / 2)``.

    Raises
    ------
    ShapeError
        If the shapes differ, even if they broadcast.
    ArgumentError
        If `reduction` is unknown, or `delta` is not positive.
    """
    require_same_shape("huber_loss", x, target)
    require_number_above("huber_loss", "delta", delta)
    if delta == 0:
        raise ArgumentError(
            "huber_loss: delta is 0",
            cause="every loss would be 0",
            fix="pass delta=1.0, or use l1_loss(x, target)",
        )
    return reduce_losses("huber_loss", _huber(x, target, delta, 1.0, delta), reduction)


@public
def smooth_l1_loss(x: Any, target: Any, reduction: str = "mean", beta: float = 1.0) -> Any:
    """Return the mean of the absolute differences, smooth below `beta`.

    Parameters
    ----------
    x : array
        Prediction.
    target : array
        Of the same shape.
    reduction : {"mean", "sum", "none"}
        How the losses of the elements become one number.
    beta : float
        The difference up to which the loss is ``difference ** 2 / (2 * beta)``, from where on it is
        ``difference - beta / 2``.

    Raises
    ------
    ShapeError
        If the shapes differ, even if they broadcast.
    ArgumentError
        If `reduction` is unknown, or `beta` is negative.

    Notes
    -----
    Girshick, "Fast R-CNN" (2015).
    """
    require_same_shape("smooth_l1_loss", x, target)
    require_number_above("smooth_l1_loss", "beta", beta)
    if beta == 0:
        return reduce_losses("smooth_l1_loss", abs_(subtract(x, target)), reduction)
    return reduce_losses("smooth_l1_loss", _huber(x, target, beta, 1.0 / beta, 1.0), reduction)


def _huber(x: Any, target: Any, bound: float, curve: float, slope: float) -> Any:
    """Return ``curve * d * d / 2`` of the distances d, and a line of that slope from `bound` on."""
    distance = abs_(subtract(x, target))
    small = clip(distance, max=bound)
    squares = multiply(square(small), 0.5 * curve)
    return add(squares, multiply(subtract(distance, small), slope))


@public
def poisson_nll_loss(
    x: Any,
    target: Any,
    reduction: str = "mean",
    log_input: bool = True,
    full: bool = False,
    eps: float = 1e-8,
) -> Any:
    """Return the mean negative log-likelihood of counts under Poisson distributions.

    Parameters
    ----------
    x : array
        The expected counts, or their logarithms.
    target : array
        Counts, of the same shape.
    reduction : {"mean", "sum", "none"}
        How the losses of the elements become one number.
    log_input : bool
        Whether `x` holds logarithms.
    full : bool
        Add Stirling's approximation of ``log(target!)`` where a target is above 1.
    eps : float
        Added to expected counts before their logarithm is taken.

    Raises
    ------
    ShapeError
        If the shapes differ, even if they broadcast.
    ArgumentError
        If `reduction` is unknown.
    """
    name = "poisson_nll_loss"
    require_same_shape(name, x, target)
    require_number_above(name, "eps", eps)
    if require_flag(log_input, "log_input"):
        losses = subtract(exp(x), multiply(target, x))
    else:
        losses = subtract(x, multiply(target, log(add(x, eps))))
    if require_flag(full, "full"):
        large = greater(target, 1)
        safe = where(large, target, 1)
        factorial = subtract(multiply(safe, log(safe)), safe)
        factorial = add(factorial, multiply(log(multiply(safe, 2 * pi)), 0.5))
        losses = add(losses, where(large, factorial, 0.0))
    return reduce_losses(name, losses, reduction)


@public
def gaussian_nll_loss(
    x: Any,
    target: Any,
    var: Any,
    reduction: str = "mean",
    full: bool = False,
    eps: float = 1e-6,
) -> Any:
    """Return the mean negative log-likelihood of numbers under normal distributions.

    Parameters
    ----------
    x : array
        The expected numbers.
    target : array
        Of the same shape.
    var : array
        Their variances: of the shape of `x`, or with one number for its last axis, which has the
        length 1 or is left out.
    reduction : {"mean", "sum", "none"}
        How the losses of the elements become one number.
    full : bool
        Add the constant ``log(2 * pi) / 2``.
    eps : float
        The least variance that is counted with. One that is smaller has no gradient.

    Raises
    ------
    ShapeError
        If the shapes do not fit.
    ArgumentError
        If `reduction` is unknown, or `eps` is negative.

    Notes
    -----
    Nix and Weigend, "Estimating the mean and variance of the target probability distribution"
    (1994).
    """
    name = "gaussian_nll_loss"
    require_same_shape(name, x, target)
    require_number_above(name, "eps", eps)
    shape, var_shape = operand_type(name, x).shape, operand_type(name, var).shape
    if var_shape not in (shape, shape[:-1], (*shape[:-1], 1)):
        raise ShapeError(
            f"{name}: var {var_shape} for x {shape}",
            cause="there is a variance for each element, or one for the last axis",
            fix=f"give var the shape {shape}",
        )
    if len(var_shape) < len(shape):
        var = expand_dims(var, axis=-1)
    least = clip(var, min=float(eps))
    losses = multiply(add(log(least), divide(square(subtract(x, target)), least)), 0.5)
    if require_flag(full, "full"):
        losses = add(losses, 0.5 * log_of_number(2 * pi))
    return reduce_losses(name, losses, reduction)


# of probabilities ---------------------------------------------------------------------------------


@public
def binary_cross_entropy(x: Any, target: Any, reduction: str = "mean", weight: Any = None) -> Any:
    """Return the mean cross entropy of probabilities `x` with `target`.

    Parameters
    ----------
    x : array
        Probabilities, 0 to 1. Outside, the loss is NaN.
    target : array
        Probabilities of the same shape.
    reduction : {"mean", "sum", "none"}
        How the losses of the elements become one number.
    weight : array, optional
        What each element counts; it broadcasts to the shape of `x`.

    Raises
    ------
    ShapeError
        If the shapes differ, even if they broadcast, or `weight` does not broadcast to them.
    ArgumentError
        If `reduction` is unknown.

    Notes
    -----
    As in PyTorch, no logarithm is below -100, and the gradient divides by no less than 1e-12.
    `binary_cross_entropy_with_logits` is more exact where a model ends in a sigmoid.
    """
    name = "binary_cross_entropy"
    require_same_shape(name, x, target)
    _require_weight(name, "weight", weight, x)
    losses = _binary_cross_entropy(x, target)
    if weight is not None:
        losses = multiply(losses, weight)
    return reduce_losses(name, losses, reduction)


@public
def binary_cross_entropy_with_logits(
    x: Any,
    target: Any,
    reduction: str = "mean",
    weight: Any = None,
    pos_weight: Any = None,
) -> Any:
    """Return the cross entropy of probabilities ``sigmoid(x)`` with `target`.

    Parameters
    ----------
    x : array
        Logits.
    target : array
        Probabilities, 0 to 1, of the same shape.
    reduction : {"mean", "sum", "none"}
        How the losses of the elements become one number.
    weight : array, optional
        What each element counts; it broadcasts to the shape of `x`.
    pos_weight : array, optional
        What a target of 1 counts against one of 0; it broadcasts to the shape of `x`, so that a
        number for each class, ``(c,)``, fits logits ``(n, c)``.

    Raises
    ------
    ShapeError
        If the shapes differ, even if they broadcast, or a weight does not broadcast to them.
    ArgumentError
        If `reduction` is unknown.

    Notes
    -----
    Computed as ``softplus(x) - x * target``, which no logit makes overflow.
    """
    name = "binary_cross_entropy_with_logits"
    require_same_shape(name, x, target)
    _require_weight(name, "weight", weight, x)
    _require_weight(name, "pos_weight", pos_weight, x)
    if pos_weight is None:
        losses = subtract(softplus(x), multiply(x, target))
    else:
        share = add(multiply(subtract(pos_weight, 1), target), 1)
        losses = add(multiply(subtract(1, target), x), multiply(share, softplus(negative(x))))
    if weight is not None:
        losses = multiply(losses, weight)
    return reduce_losses(name, losses, reduction)


def _require_weight(name: str, which: str, weight: Any, x: Any) -> None:
    if weight is None:
        return
    shape, wanted = operand_type(name, weight).shape, operand_type(name, x).shape
    lengths = zip(reversed(shape), reversed(wanted), strict=False)
    if len(shape) > len(wanted) or any(n not in (1, m) for n, m in lengths):
        raise ShapeError(
            f"{name}: {which} {shape} for x {wanted}",
            cause=f"{which} broadcasts to the shape of x",
            fix="give it that shape, or as many numbers as the last axis of x is long",
        )


@public
def kl_div(x: Any, target: Any, reduction: str = "mean", log_target: bool = False) -> Any:
    """Return the mean of ``target * (log(target) - x)``: the divergence of exp(x) from `target`.

    Parameters
    ----------
    x : array
        Logarithms of probabilities.
    target : array
        Probabilities of the same shape; a term where one is 0 is 0.
    reduction : {"mean", "batchmean", "sum", "none"}
        How the terms become one number. ``"batchmean"`` divides their sum by the length of axis 0,
        which is the divergence as it is defined; ``"mean"`` divides by the number of elements.
    log_target : bool
        Whether `target` holds logarithms of probabilities, too.

    Raises
    ------
    ShapeError
        If the shapes differ, even if they broadcast.
    ArgumentError
        If `reduction` is unknown.

    Notes
    -----
    Kullback and Leibler, "On information and sufficiency" (1951).
    """
    require_same_shape("kl_div", x, target)
    if require_flag(log_target, "log_target"):
        terms = multiply(exp(target), subtract(target, x))
    else:
        entropy = multiply(target, log(where(equal(target, 0), 1, target)))
        terms = subtract(entropy, multiply(target, x))
    if isinstance(reduction, str) and reduction == "batchmean":
        shape = operand_type("kl_div", terms).shape
        return divide(sum_(terms), float(shape[0] if shape else 1))
    return reduce_losses("kl_div", terms, reduction)
