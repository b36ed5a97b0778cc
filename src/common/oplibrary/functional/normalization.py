"""Normalisation to mean 0 and variance 1."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

from oplibrary.core.registry import public
from oplibrary.messages.errors import ArgumentError, DTypeError, ShapeError
from oplibrary.ops.arguments import normalize_ints, operand_type, require_flag
from oplibrary.ops.elementwise import add, multiply, square, subtract
from oplibrary.ops.exponential import rsqrt
from oplibrary.ops.statistics import mean
from oplibrary.values.dtypes import REAL_FLOATING
from oplibrary.values.types import TensorType


def require_float(name: str, x: Any) -> TensorType:
    """Return the type of `x`, which must be of floating-point numbers.

    Raises
    ------
    DTypeError
    """
    x_type = operand_type(name, x)
    if x_type.dtype.kind not in REAL_FLOATING:
        raise DTypeError(
            f"{name}: x is {x_type.dtype}",
            cause="mean and variance are floating-point numbers",
            fix="convert with astype(x, 'float32')",
        )
    return x_type


@public
def layer_norm(
    x: Any,
    normalized_shape: int | Sequence[int],
    weight: Any = None,
    bias: Any = None,
    eps: float = 1e-5,
) -> Any:
    """Normalise over the last axes, then scale by `weight` and shift by `bias`.

    Parameters
    ----------
    x : array
        ``(..., *normalized_shape)``.
    normalized_shape : int or tuple of int
        The lengths of the axes that are normalised together.
    weight : array, optional
        Of shape `normalized_shape`.
    bias : array, optional
        Of shape `normalized_shape`.
    eps : float
        Added to the variance.

    Raises
    ------
    ShapeError
        If the last axes of `x`, or `weight` or `bias`, do not have `normalized_shape`.
    DTypeError
        If `x` is not floating-point.

    Notes
    -----
    Ba, Kiros and Hinton, "Layer normalization" (2016). The variance divides by the number of
    elements.
    """
    x_type = require_float("layer_norm", x)
    axes = last_axes("layer_norm", x_type, normalized_shape, weight=weight, bias=bias)
    centred = subtract(x, mean(x, axis=axes, keepdims=True))
    variance = mean(square(centred), axis=axes, keepdims=True)
    result = multiply(centred, rsqrt(add(variance, eps)))
    if weight is not None:
        result = multiply(result, weight)
    return result if bias is None else add(result, bias)


def last_axes(
    name: str, x_type: TensorType, normalized_shape: int | Sequence[int], **parameters: Any
) -> tuple[int, ...]:
    """Return the last axes of `x`, which must have the lengths `normalized_shape`.

    Raises
    ------
    ShapeError
        If they have others, or one of the `parameters` has.
    """
    shape = normalize_ints(normalized_shape, "normalized_shape")
    if not shape or x_type.shape[-len(shape) :] != shape:
        raise ShapeError(
            f"{name}: x {x_type.shape} does not end in normalized_shape {shape}",
            cause="the last axes of x are normalised together",
            fix=f"pass normalized_shape={x_type.shape[-max(len(shape), 1) :]}",
        )
    for which, parameter in parameters.items():
        if parameter is not None and tuple(parameter.shape) != shape:
            raise ShapeError(
                f"{name}: {which} {tuple(parameter.shape)}, normalized_shape {shape}",
                cause=f"the {which} has one number for each normalised element",
                fix=f"give it the shape {shape}",
            )
    return tuple(range(x_type.ndim - len(shape), x_type.ndim))


@public
def batch_norm(
    x: Any,
    weight: Any = None,
    bias: Any = None,
    running_mean: Any = None,
    running_var: Any = None,
    training: bool = True,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Any:
    """Normalise each channel over the batch, then scale by `weight` and shift by `bias`.

    Nothing is changed in place: in training, the new running statistics are returned.

    Parameters
    ----------
    x : array
        ``(n, c, ...)``.
    weight, bias : array, optional
        ``(c,)``.
    running_mean, running_var : array, optional
        ``(c,)``; needed, and used instead of the batch's statistics, if not `training`.
    training : bool
        Normalise with the statistics of this batch.
    momentum : float
        Weight of this batch in the new running statistics.
    eps : float
        Added to the variance.

    Returns
    -------
    array, or (array, array, array)
        The normalised `x`; in training with running statistics also the new running mean and
        variance, to be fed to the next step.

    Raises
    ------
    ShapeError
        If `x` has no channel axis, a parameter is not ``(c,)``, or a batch has one element a
        channel.
    ArgumentError
        If the running statistics are missing.
    DTypeError
        If `x` is not floating-point.

    Notes
    -----
    Ioffe and Szegedy, "Batch normalization" (2015). As in PyTorch, the batch is normalised with the
    variance divided by n, and the running variance is updated with the one divided by n - 1.
    """
    x_type = require_float("batch_norm", x)
    channels = check_channels(
        "batch_norm",
        x_type,
        weight=weight,
        bias=bias,
        running_mean=running_mean,
        running_var=running_var,
    )
    training = require_flag(training, "training")
    if (running_mean is None) != (running_var is None) or (running_mean is None and not training):
        raise ArgumentError(
            "batch_norm: running_mean and running_var are missing",
            cause="without training, x is normalised with both running statistics",
            fix="pass both, or training=True",
        )
    along_channels = (1, channels) + (1,) * (x_type.ndim - 2)
    if training:
        axes = (0, *range(2, x_type.ndim))
        count = prod(x_type.shape[a] for a in axes)
        if count < 2:
            raise ShapeError(
                f"batch_norm: x {x_type.shape} has {count} elements a channel",
                cause="the variance of fewer than two elements says nothing",
                fix="train with larger batches, or pass training=False",
            )
        centre = mean(x, axis=axes, keepdims=True)
        centred = subtract(x, centre)
        variance = mean(square(centred), axis=axes, keepdims=True)
    else:
        centred = subtract(x, running_mean.reshape(along_channels))
        variance = running_var.reshape(along_channels)
    result = multiply(centred, rsqrt(add(variance, eps)))
    if weight is not None:
        result = multiply(result, weight.reshape(along_channels))
    if bias is not None:
        result = add(result, bias.reshape(along_channels))
    if not training or running_mean is None:
        return result
    unbiased = multiply(variance.reshape((channels,)), momentum * count / (count - 1))
    return (
        result,
        add(
            multiply(running_mean, 1.0 - momentum), multiply(centre.reshape((channels,)), momentum)
        ),
        add(multiply(running_var, 1.0 - momentum), unbiased),
    )


def check_channels(function: str, x_type: TensorType, **parameters: Any) -> int:
    """Return the number of channels, axis 1; each of the `parameters` has one number for each.

    Raises
    ------
    ShapeError
    """
    if x_type.ndim < 2:
        raise ShapeError(
            f"{function}: x {x_type.shape} has no channel axis",
            cause="axis 0 is the batch and axis 1 the channels",
            fix="reshape x to (n, c)",
        )
    channels = x_type.shape[1]
    for name, parameter in parameters.items():
        if parameter is not None and tuple(parameter.shape) != (channels,):
            raise ShapeError(
                f"{function}: {name} {tuple(parameter.shape)} for {channels} channels",
                cause=f"axis 1 of x {x_type.shape} is the channels, and {name} has one number each",
                fix=f"give it the shape ({channels},)",
            )
    return channels
