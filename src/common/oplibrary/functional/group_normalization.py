"""Normalisation over groups of channels, over instances, and by size alone."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

from oplibrary.core.registry import public
from oplibrary.functional.loss_reduction import require_number_above
from oplibrary.functional.normalization import check_channels, last_axes, require_float
from oplibrary.messages.errors import ArgumentError, ShapeError
from oplibrary.ops.arguments import require_int, require_number
from oplibrary.ops.dtypes import finfo
from oplibrary.ops.elementwise import add, clip, divide, multiply, pow, square, subtract
from oplibrary.ops.exponential import rsqrt
from oplibrary.ops.slicing import pad_op, slice_axis
from oplibrary.ops.statistics import mean, vector_norm
from oplibrary.values.types import TensorType, is_known


@public
def group_norm(
    x: Any, num_groups: int, weight: Any = None, bias: Any = None, eps: float = 1e-5
) -> Any:
    """Normalise each group of channels of each instance, then scale and shift each channel.

    Parameters
    ----------
    x : array
        ``(n, c, ...)``.
    num_groups : int
        It divides the number of channels.
    weight, bias : array, optional
        ``(c,)``.
    eps : float
        Added to the variance.

    Raises
    ------
    ShapeError
        If `x` has no channel axis, the groups do not divide the channels, or a parameter is not
        ``(c,)``.
    DTypeError
        If `x` is not floating-point.

    Notes
    -----
    Wu and He, "Group normalization" (2018). The variance divides by the number of elements.
    """
    x_type = require_float("group_norm", x)
    require_number(eps, "eps")
    channels = check_channels("group_norm", x_type, weight=weight, bias=bias)
    groups = require_int(num_groups, "num_groups")
    if groups < 1 or channels % groups:
        raise ShapeError(
            f"group_norm: {channels} channels do not split into {groups} groups",
            cause="num_groups divides the number of channels, which is axis 1",
            fix="pass a divisor of it, such as num_groups=1",
        )
    return _by_group(x, x_type, groups, weight, bias, eps)


@public
def instance_norm(x: Any, weight: Any = None, bias: Any = None, eps: float = 1e-5) -> Any:
    """Normalise each channel of each instance, then scale by `weight` and shift by `bias`.

    Parameters
    ----------
    x : array
        ``(n, c, ...)``.
    weight, bias : array, optional
        ``(c,)``.
    eps : float
        Added to the variance.

    Raises
    ------
    ShapeError
        If `x` has no channel axis, a channel has one element, or a parameter is not ``(c,)``.
    DTypeError
        If `x` is not floating-point.

    Notes
    -----
    Ulyanov, Vedaldi and Lempitsky, "Instance normalization" (2016).
    """
    x_type = require_float("instance_norm", x)
    require_number(eps, "eps")
    channels = check_channels("instance_norm", x_type, weight=weight, bias=bias)
    if prod(x_type.shape[2:]) < 2 and x_type.size:
        raise ShapeError(
            f"instance_norm: x {x_type.shape} has one element a channel",
            cause="the variance of one element says nothing",
            fix="normalise over the batch, with batch_norm(x)",
        )
    return _by_group(x, x_type, channels, weight, bias, eps)


def _by_group(x: Any, x_type: TensorType, groups: int, weight: Any, bias: Any, eps: float) -> Any:
    n, channels, *lengths = x_type.shape
    rows = x.reshape((n, groups, prod(lengths) * (channels // max(groups, 1))))
    if rows.shape[-1]:
        centred = subtract(rows, mean(rows, axis=-1, keepdims=True))
        variance = mean(square(centred), axis=-1, keepdims=True)
        rows = multiply(centred, rsqrt(add(variance, eps)))
    result = rows.reshape(x_type.shape)
    along_channels = (1, channels) + (1,) * len(lengths)
    if weight is not None:
        result = multiply(result, weight.reshape(along_channels))
    return result if bias is None else add(result, bias.reshape(along_channels))


@public
def rms_norm(
    x: Any,
    normalized_shape: int | Sequence[int],
    weight: Any = None,
    eps: float | None = None,
) -> Any:
    """Divide by the root of the mean square over the last axes, then scale by `weight`.

    Parameters
    ----------
    x : array
        ``(..., *normalized_shape)``.
    normalized_shape : int or tuple of int
        The lengths of the axes that are normalised together.
    weight : array, optional
        Of shape `normalized_shape`.
    eps : float, optional
        Added to the mean square; by default the spacing of numbers around 1.

    Raises
    ------
    ShapeError
        If the last axes of `x`, or `weight`, do not have `normalized_shape`.
    DTypeError
        If `x` is not floating-point.

    Notes
    -----
    Zhang and Sennrich, "Root mean square layer normalization" (2019).
    """
    x_type = require_float("rms_norm", x)
    if eps is None:
        eps = finfo(x_type.dtype).eps
    require_number(eps, "eps")
    axes = last_axes("rms_norm", x_type, normalized_shape, weight=weight)
    square_mean = mean(square(x), axis=axes, keepdims=True)
    result = multiply(x, rsqrt(add(square_mean, eps)))
    return result if weight is None else multiply(result, weight)


@public
def normalize(x: Any, p: float = 2.0, axis: int = 1, eps: float = 1e-12) -> Any:
    """Divide the vectors along `axis` by their p-norm, but by no less than `eps`.

    Parameters
    ----------
    x : array
    p : float
        Order of the norm; see `vector_norm`.
    axis : int
    eps : float

    Raises
    ------
    ShapeError
        If there is no such axis.
    ArgumentError
        If `p` is no number, or `eps` is negative.
    """
    require_number_above("normalize", "eps", eps)
    norm = vector_norm(x, axis=axis, keepdims=True, ord=p)
    return divide(x, clip(norm, min=float(eps)))


@public
def local_response_norm(
    x: Any, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0
) -> Any:
    """Divide by ``(k + alpha * s) ** beta``, where s is the mean square of neighbouring channels.

    Parameters
    ----------
    x : array
        ``(n, c, ...)``.
    size : int
        How many channels are averaged, around the own one; those beyond the ends count as 0.
    alpha, beta, k : float

    Raises
    ------
    ShapeError
        If `x` has no channel axis.
    ArgumentError
        If `size` is below 1.
    DTypeError
        If `x` is not floating-point.

    Notes
    -----
    Krizhevsky, Sutskever and Hinton, "ImageNet classification with deep convolutional neural
    networks" (2012), with the mean of the squares for their sum, as in PyTorch.
    """
    x_type = require_float("local_response_norm", x)
    channels = check_channels("local_response_norm", x_type)
    width = require_int(size, "size")
    for name, value in (("alpha", alpha), ("beta", beta), ("k", k)):
        require_number(value, name)
    if width < 1:
        raise ArgumentError(
            f"local_response_norm: size is {width}",
            cause="it counts the channels that are averaged",
            fix="pass size=1 or more",
        )
    before, after = width // 2, (width - 1) // 2
    if is_known(channels):  # there is nothing but zeros beyond
        before, after = min(before, channels), min(after, channels)
    margins = [(0, 0)] * x_type.ndim
    margins[1] = (before, after)
    squares = pad_op(square(x), pad_width=tuple(margins))
    total = slice_axis(squares, start=0, stop=channels, axis=1)
    for first in range(1, before + 1 + after):
        total = add(total, slice_axis(squares, start=first, stop=first + channels, axis=1))
    return divide(x, pow(add(multiply(divide(total, float(width)), alpha), k), beta))
