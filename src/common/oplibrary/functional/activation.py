"""Activation functions that are compositions of ops.

Where a function has a corner, its gradient there is PyTorch's. Branches that are not taken are
given a harmless operand: the gradient of one would be 0 times infinity.
"""

from __future__ import annotations

from math import prod
from typing import Any

from oplibrary.core.registry import public
from oplibrary.messages.errors import ArgumentError, ShapeError
from oplibrary.ops.activation import elu
from oplibrary.ops.arguments import operand_type, require_flag, require_number
from oplibrary.ops.comparison import greater, greater_equal, less, less_equal, logical_or
from oplibrary.ops.elementwise import (
    abs as abs_,
)
from oplibrary.ops.elementwise import (
    add,
    cast,
    divide,
    maximum,
    multiply,
    negative,
    subtract,
    where,
)
from oplibrary.ops.exponential import expm1, log, sigmoid
from oplibrary.ops.exponential import softplus as softplus_
from oplibrary.ops.gather import one_hot
from oplibrary.ops.kernels import float_dtype
from oplibrary.ops.movement import moveaxis
from oplibrary.ops.random import uniform
from oplibrary.ops.reduction import argmax
from oplibrary.ops.slicing import slice_axis
from oplibrary.ops.softmax import softmax
from oplibrary.ops.trigonometry import tanh
from oplibrary.values.types import TensorType, normalize_axis, number_kind

_SELU_ALPHA = 1.6732632423543772
_SELU_SCALE = 1.0507009873554805


def _real(name: str, x: Any) -> tuple[Any, TensorType]:
    """Return `x` as an array of floating-point numbers, and its type.

    Raises
    ------
    DTypeError
        If it is no array of real numbers.
    """
    given = operand_type(name, x)
    dtype = float_dtype(name, given.dtype)
    if dtype != given.dtype or number_kind(x) is not None or not hasattr(x, "dtype"):
        x = cast(x, dtype=dtype)
    return x, TensorType(given.shape, dtype)


def _require_numbers(**numbers: Any) -> None:
    for name, value in numbers.items():
        require_number(value, name)


def _require_positive(function: str, name: str, value: Any) -> None:
    require_number(value, name)
    if not value > 0:
        raise ArgumentError(
            f"{function}: {name} is {value}",
            cause=f"the function is scaled by {name}",
            fix=f"pass {name}=1.0, or another positive number",
        )


# of straight pieces -------------------------------------------------------------------------------


@public
def hardtanh(x: Any, min_val: float = -1.0, max_val: float = 1.0) -> Any:
    """Return x, not below `min_val` and not above `max_val`; the gradient at both ends is 0.

    Parameters
    ----------
    x : array
        Real numbers.
    min_val, max_val : float
        The least and the greatest result.

    Raises
    ------
    ArgumentError
        If a bound is no number, or `min_val` is above `max_val`.
    """
    x, _ = _real("hardtanh", x)
    _require_numbers(min_val=min_val, max_val=max_val)
    if not min_val <= max_val:
        raise ArgumentError(
            f"hardtanh: min_val {min_val} is above max_val {max_val}",
            cause="the results lie between them",
            fix="pass the smaller number first",
        )
    above = where(greater_equal(x, max_val), float(max_val), x)
    return where(less_equal(x, min_val), float(min_val), above)


@public
def relu6(x: Any) -> Any:
    """Return x, not below 0 and not above 6; the gradient at both ends is 0."""
    x, _ = _real("relu6", x)
    return where(less_equal(x, 0.0), 0.0, where(greater_equal(x, 6.0), 6.0, x))


@public
def hardsigmoid(x: Any) -> Any:
    """Return x / 6 + 1 / 2, not below 0 and not above 1 (Howard et al., 2019)."""
    x, _ = _real("hardsigmoid", x)
    line = divide(add(x, 3.0), 6.0)
    return where(less_equal(x, -3.0), 0.0, where(greater_equal(x, 3.0), 1.0, line))


@public
def hardswish(x: Any) -> Any:
    """Return x times hardsigmoid(x) (Howard et al., "Searching for MobileNetV3", 2019)."""
    x, _ = _real("hardswish", x)
    low, high = less_equal(x, -3.0), greater_equal(x, 3.0)
    inside = where(logical_or(low, high), 0.0, x)
    curve = divide(multiply(inside, add(inside, 3.0)), 6.0)
    return where(low, 0.0, where(high, x, curve))


@public
def threshold(x: Any, threshold: float, value: float) -> Any:
    """Return x where it is above `threshold` and `value` elsewhere."""
    x, _ = _real("threshold", x)
    _require_numbers(threshold=threshold, value=value)
    return where(less_equal(x, threshold), float(value), x)


@public
def hardshrink(x: Any, lambd: float = 0.5) -> Any:
    """Return x where it is farther than `lambd` from 0, and 0 elsewhere."""
    x, _ = _real("hardshrink", x)
    _require_numbers(lambd=lambd)
    return where(less_equal(abs_(x), lambd), 0.0, x)


@public
def softshrink(x: Any, lambd: float = 0.5) -> Any:
    """Return x moved by `lambd` towards 0, and 0 where that would go past it.

    Raises
    ------
    ArgumentError
        If `lambd` is negative or no number.
    """
    x, _ = _real("softshrink", x)
    _require_numbers(lambd=lambd)
    if not lambd >= 0:
        raise ArgumentError(
            f"softshrink: lambd is {lambd}",
            cause="it is the distance by which numbers move towards 0",
            fix="pass lambd=0.5, or another number that is not negative",
        )
    below = where(less(x, -lambd), add(x, lambd), multiply(x, 0.0))
    return where(greater(x, lambd), subtract(x, lambd), below)


@public
def prelu(x: Any, weight: Any) -> Any:
    """Return x where it is positive and `weight` times x elsewhere.

    Parameters
    ----------
    x : array
        ``(n, c, ...)``, or of any shape if there is one weight.
    weight : array
        ``()``, ``(1,)``, or one number a channel, ``(c,)``.

    Raises
    ------
    ShapeError
        If `weight` is none of these.

    Notes
    -----
    He et al., "Delving deep into rectifiers" (2015).
    """
    x, x_type = _real("prelu", x)
    weight, weight_type = _real("prelu", weight)
    channels = x_type.shape[1] if x_type.ndim > 1 else 1
    if weight_type.shape not in ((), (1,), (channels,)):
        raise ShapeError(
            f"prelu: weight {weight_type.shape} for x {x_type.shape}",
            cause="there is one weight, or one for each channel, which is axis 1 of x",
            fix=f"give it the shape (1,) or ({channels},)",
        )
    if prod(weight_type.shape) == 1:
        weight = weight.reshape(())
    else:
        weight = weight.reshape((channels,) + (1,) * (x_type.ndim - 2))
    return where(greater(x, 0.0), x, multiply(x, weight))


# smooth ones --------------------------------------------------------------------------------------


@public
def softplus(x: Any, beta: float = 1.0) -> Any:
    """Return log(1 + exp(beta x)) / beta, a smooth relu.

    Parameters
    ----------
    x : array
        Real numbers.
    beta : float
        Positive; the larger, the nearer to relu.

    Notes
    -----
    No x makes it overflow, so there is no threshold from which on it would be x.
    """
    if type(beta) is float and beta == 1.0:
        return softplus_(x)
    _require_positive("softplus", "beta", beta)
    return divide(softplus_(multiply(_real("softplus", x)[0], beta)), beta)


@public
def logsigmoid(x: Any) -> Any:
    """Return log(sigmoid(x)) without overflow."""
    return negative(softplus_(negative(_real("logsigmoid", x)[0])))


@public
def mish(x: Any) -> Any:
    """Return x times tanh(softplus(x)) (Misra, "Mish", 2019)."""
    x, _ = _real("mish", x)
    # cut off where every dtype's mish is -0: -inf would be multiplied by 0
    x = where(less(x, -1000.0), -1000.0, x)
    return multiply(x, tanh(softplus_(x)))


@public
def selu(x: Any) -> Any:
    """Return elu(x), scaled so that mean 0 and variance 1 are kept (Klambauer et al., 2017)."""
    return multiply(elu(_real("selu", x)[0], alpha=_SELU_ALPHA), _SELU_SCALE)


@public
def celu(x: Any, alpha: float = 1.0) -> Any:
    """Return x where it is positive and `alpha` (exp(x / alpha) - 1) elsewhere (Barron, 2017)."""
    x, _ = _real("celu", x)
    _require_positive("celu", "alpha", alpha)
    positive = greater(x, 0.0)
    below = expm1(divide(where(positive, 0.0, x), alpha))
    return where(positive, x, multiply(below, alpha))


@public
def softsign(x: Any) -> Any:
    """Return x / (1 + abs(x))."""
    x, _ = _real("softsign", x)
    return divide(x, add(abs_(x), 1.0))


@public
def tanhshrink(x: Any) -> Any:
    """Return x - tanh(x)."""
    x, _ = _real("tanhshrink", x)
    return subtract(x, tanh(x))


@public
def glu(x: Any, axis: int = -1) -> Any:
    """Return the first half of `x` times sigmoid of the second half.

    Parameters
    ----------
    x : array
        Real numbers.
    axis : int
        The axis that is halved; it has an even length.

    Raises
    ------
    ShapeError
        If there is no such axis, or its length is odd.

    Notes
    -----
    Dauphin et al., "Language modeling with gated convolutional networks" (2017).
    """
    x, x_type = _real("glu", x)
    at = normalize_axis(axis, x_type.ndim)
    half, odd = divmod(x_type.shape[at], 2)
    if odd:
        raise ShapeError(
            f"glu: axis {axis} of x {x_type.shape} has an odd length",
            cause="it holds the values and behind them as many gates",
            fix="make the layer before twice as wide as the result is to be",
        )
    value = slice_axis(x, start=0, stop=half, axis=at)
    return multiply(value, sigmoid(slice_axis(x, start=half, stop=2 * half, axis=at)))


# along an axis ------------------------------------------------------------------------------------


@public
def softmin(x: Any, axis: int = -1) -> Any:
    """Return softmax(-x): positive numbers along `axis` whose sum is 1, large where x is small."""
    return softmax(negative(_real("softmin", x)[0]), axis=axis)


@public
def gumbel_softmax(
    logits: Any, key: Any, tau: float = 1.0, hard: bool = False, axis: int = -1
) -> Any:
    """Draw from the classes of `logits` so that the draw has a gradient.

    Parameters
    ----------
    logits : array
        Logarithms of probabilities, up to a constant along `axis`.
    key : array
        Key of the draw; see `random_key`.
    tau : float
        Temperature: the lower, the nearer to one class.
    hard : bool
        Return exactly one class, with the gradient of the soft draw.
    axis : int
        The axis of the classes.

    Returns
    -------
    array
        Of the shape of `logits`; along `axis` the sum is 1.

    Raises
    ------
    ArgumentError
        If `tau` is not positive.

    Notes
    -----
    Jang, Gu and Poole, "Categorical reparameterization with Gumbel-softmax" (2017).
    """
    logits, given = _real("gumbel_softmax", logits)
    _require_positive("gumbel_softmax", "tau", tau)
    at = normalize_axis(axis, given.ndim)
    # a draw of 0 is never taken: the class would be certain to lose, and all of them might
    draws = maximum(uniform(key, shape=given.shape, dtype=given.dtype), 1e-30)
    noise = negative(log(negative(log(draws))))
    soft = softmax(divide(add(logits, noise), tau), axis=at)
    if not require_flag(hard, "hard"):
        return soft
    chosen = one_hot(argmax(soft, axis=at), given.shape[at], given.dtype)
    chosen = moveaxis(chosen, -1, at)
    if not hasattr(soft, "detach"):  # plain arrays have no gradients
        return chosen
    return add(chosen, subtract(soft, soft.detach()))
