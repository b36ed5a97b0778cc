"""Pools by the power mean of their windows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod
from typing import Any

from oplibrary.core.registry import public
from oplibrary.functional.loss_reduction import require_number_above
from oplibrary.functional.normalization import require_float
from oplibrary.functional.pooling import avg_pool1d, avg_pool2d, avg_pool3d
from oplibrary.messages.errors import ArgumentError
from oplibrary.ops.activation import relu
from oplibrary.ops.elementwise import abs as magnitude
from oplibrary.ops.elementwise import multiply, pow, sign
from oplibrary.ops.windows import per_axis

_Size = int | Sequence[int]


def _pool(
    name: str,
    average: Callable[..., Any],
    axes: int,
    x: Any,
    norm_type: float,
    kernel_size: _Size,
    stride: _Size | None,
    ceil_mode: bool,
) -> Any:
    require_float(name, x)
    require_number_above(name, "norm_type", norm_type)
    if not norm_type:
        raise ArgumentError(
            f"{name}: norm_type is 0",
            cause="the power mean of order 0 is another one",
            fix="pass norm_type=2",
        )
    count = prod(per_axis(kernel_size, "kernel_size", 1, axes))
    found = average(pow(x, float(norm_type)), kernel_size, stride, ceil_mode=ceil_mode)
    found = multiply(multiply(sign(found), relu(magnitude(found))), float(count))
    return pow(found, 1.0 / norm_type)


@public
def lp_pool1d(
    x: Any,
    norm_type: float,
    kernel_size: _Size,
    stride: _Size | None = None,
    ceil_mode: bool = False,
) -> Any:
    """Return ``sum(x ** p) ** (1 / p)`` of each window of `x`, ``(images, channels, width)``.

    Parameters
    ----------
    x : array
    norm_type : float
        The power p, positive. Of an odd one the sum may be negative, and its root then NaN.
    kernel_size, stride : int or one for each axis
        The windows, and how far apart they are; by default they lie side by side.
    ceil_mode : bool
        Whether windows may reach beyond the end; they are counted as full.

    Raises
    ------
    ShapeError
        If `x` has another number of axes, or is shorter than a window.
    DTypeError
        If `x` is not floating-point.
    ArgumentError
        If a number is out of range.
    """
    return _pool("lp_pool1d", avg_pool1d, 1, x, norm_type, kernel_size, stride, ceil_mode)


@public
def lp_pool2d(
    x: Any,
    norm_type: float,
    kernel_size: _Size,
    stride: _Size | None = None,
    ceil_mode: bool = False,
) -> Any:
    """Return ``sum(x ** p) ** (1 / p)`` of each window of ``(images, channels, height, width)``.

    The arguments are those of `lp_pool1d`.
    """
    return _pool("lp_pool2d", avg_pool2d, 2, x, norm_type, kernel_size, stride, ceil_mode)


@public
def lp_pool3d(
    x: Any,
    norm_type: float,
    kernel_size: _Size,
    stride: _Size | None = None,
    ceil_mode: bool = False,
) -> Any:
    """Return ``sum(x ** p) ** (1 / p)`` of each window of three axes.

    The arguments are those of `lp_pool1d`.
    """
    return _pool("lp_pool3d", avg_pool3d, 3, x, norm_type, kernel_size, stride, ceil_mode)
