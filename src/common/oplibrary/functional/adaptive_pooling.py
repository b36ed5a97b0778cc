"""Pooling into a number of windows, over one, two and three axes."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any, NamedTuple

import numpy as np

from oplibrary.core.registry import public
from oplibrary.functional.pooling import divisible
from oplibrary.messages.errors import ShapeError
from oplibrary.ops.arguments import operand_type
from oplibrary.ops.creation import empty
from oplibrary.ops.elementwise import divide, where
from oplibrary.ops.gather import take
from oplibrary.ops.pooling import max_pool, sum_pool
from oplibrary.ops.windows import AXES, per_axis, require_axes
from oplibrary.values.types import Array


class _Division(NamedTuple):
    """An axis divided into windows, which overlap or differ in size where it does not divide."""

    starts: Array
    ends: Array

    @property
    def width(self) -> int:
        return int((self.ends - self.starts).max())

    @property
    def even(self) -> bool:
        return bool(np.all(self.ends - self.starts == self.width)) and bool(
            np.all(self.starts[1:] == self.ends[:-1])
        )


def _divide_axes(name: str, axes: int, x: Any, output_size: Any) -> list[_Division]:
    shape = operand_type(name, x).shape
    require_axes(name, shape, axes)
    lengths = shape[2:]
    if not isinstance(output_size, (int, np.integer)) and output_size is not None:
        sizes = [n if size is None else size for n, size in zip(lengths, output_size)]
        output_size = (*sizes, *tuple(output_size)[axes:])
    wanted = per_axis(lengths if output_size is None else output_size, "output_size", 1, axes)
    if not all(lengths):
        raise ShapeError(
            f"{name}: image {shape} has no pixels",
            cause=f"each of {prod(wanted)} windows needs one",
            fix=f"check {', '.join(AXES[axes])}",
        )
    empty((1, 1, *wanted), np.bool_)  # refuses what no memory can hold
    found = []
    for n, out in zip(lengths, wanted):
        places = np.arange(out)
        found.append(_Division(places * n // out, -((places + 1) * n // -out)))
    return found


def _tiled(x: Any, divisions: list[_Division], fill: float | None) -> Any:
    """Return `x` with windows of one size side by side.

    The places beyond a smaller window are filled, with its last element if `fill` is None.
    """
    for axis, each in enumerate(divisions, 2):
        if each.even:
            continue
        places = each.starts[:, None] + np.arange(each.width)
        beyond = places >= each.ends[:, None]
        places = np.where(beyond, each.ends[:, None] - 1, places)
        x = take(x, places.reshape(-1), axis=axis)
        if fill is not None:
            mask = beyond.reshape((-1,) + (1,) * (len(x.shape) - axis - 1))
            x = where(mask, fill, x)
    return x


def _attrs_of(divisions: list[_Division]) -> dict[str, Any]:
    kernel = tuple(each.width for each in divisions)
    axes = len(divisions)
    return {
        "kernel": kernel,
        "stride": kernel,
        "padding": ((0, 0),) * axes,
        "dilation": (1,) * axes,
    }


def _adaptive_average(axes: int, x: Any, output_size: Any) -> Any:
    divisions = _divide_axes(f"adaptive_avg_pool{axes}d", axes, x, output_size)
    x = divisible(x)
    total = sum_pool(_tiled(x, divisions, 0.0), **_attrs_of(divisions))
    if all(each.even for each in divisions):
        return divide(total, float(prod(each.width for each in divisions)))
    counts = np.ones((), total.dtype)
    for each in divisions:
        counts = np.multiply.outer(counts, (each.ends - each.starts).astype(total.dtype))
    return divide(total, counts.reshape((1, 1, *counts.shape)))


def _adaptive_largest(axes: int, x: Any, output_size: Any) -> Any:
    divisions = _divide_axes(f"adaptive_max_pool{axes}d", axes, x, output_size)
    return max_pool(_tiled(x, divisions, None), **_attrs_of(divisions))


# the public functions ----------------------------------------------------------------------------


@public
def adaptive_avg_pool1d(x: Any, output_size: int | Sequence[int | None] | None) -> Any:
    """Return the mean of each of `output_size` windows that cover `x`.

    Parameters
    ----------
    x : array
        Sequences, ``(images, channels, length)``.
    output_size : int or a tuple of one
        Number of windows along each axis; None keeps the length. Window i begins at
        ``floor(i * n / size)`` and ends at ``ceil((i + 1) * n / size)``, as in PyTorch.

    Raises
    ------
    ShapeError
        If `x` has another number of axes, or no pixels.
    ArgumentError
        If a size is below 1.
    """
    return _adaptive_average(1, x, output_size)


@public
def adaptive_avg_pool2d(x: Any, output_size: int | Sequence[int | None] | None) -> Any:
    """Return the mean of each of `output_size` windows that cover `x`.

    Parameters
    ----------
    x : array
        Images, ``(images, channels, height, width)``.
    output_size : int or pair of int
        Number of windows along each axis; None keeps the length. Window i begins at
        ``floor(i * n / size)`` and ends at ``ceil((i + 1) * n / size)``, as in PyTorch.

    Raises
    ------
    ShapeError
        If `x` has another number of axes, or no pixels.
    ArgumentError
        If a size is below 1.
    """
    return _adaptive_average(2, x, output_size)


@public
def adaptive_avg_pool3d(x: Any, output_size: int | Sequence[int | None] | None) -> Any:
    """Return the mean of each of `output_size` windows that cover `x`.

    Parameters
    ----------
    x : array
        Volumes, ``(images, channels, depth, height, width)``.
    output_size : int or three
        Number of windows along each axis; None keeps the length. Window i begins at
        ``floor(i * n / size)`` and ends at ``ceil((i + 1) * n / size)``, as in PyTorch.

    Raises
    ------
    ShapeError
        If `x` has another number of axes, or no pixels.
    ArgumentError
        If a size is below 1.
    """
    return _adaptive_average(3, x, output_size)


@public
def adaptive_max_pool1d(x: Any, output_size: int | Sequence[int | None] | None) -> Any:
    """Return the largest element of each of `output_size` windows that cover `x`.

    Parameters
    ----------
    x : array
        Sequences, ``(images, channels, length)``.
    output_size : int or a tuple of one
        Number of windows along each axis; None keeps the length. Window i begins at
        ``floor(i * n / size)`` and ends at ``ceil((i + 1) * n / size)``, as in PyTorch.

    Raises
    ------
    ShapeError
        If `x` has another number of axes, or no pixels.
    ArgumentError
        If a size is below 1.
    """
    return _adaptive_largest(1, x, output_size)


@public
def adaptive_max_pool2d(x: Any, output_size: int | Sequence[int | None] | None) -> Any:
    """Return the largest element of each of `output_size` windows that cover `x`.

    Parameters
    ----------
    x : array
        Images, ``(images, channels, height, width)``.
    output_size : int or pair of int
        Number of windows along each axis; None keeps the length. Window i begins at
        ``floor(i * n / size)`` and ends at ``ceil((i + 1) * n / size)``, as in PyTorch.

    Raises
    ------
    ShapeError
        If `x` has another number of axes, or no pixels.
    ArgumentError
        If a size is below 1.
    """
    return _adaptive_largest(2, x, output_size)


@public
def adaptive_max_pool3d(x: Any, output_size: int | Sequence[int | None] | None) -> Any:
    """Return the largest element of each of `output_size` windows that cover `x`.

    Parameters
    ----------
    x : array
        Volumes, ``(images, channels, depth, height, width)``.
    output_size : int or three
        Number of windows along each axis; None keeps the length. Window i begins at
        ``floor(i * n / size)`` and ends at ``ceil((i + 1) * n / size)``, as in PyTorch.

    Raises
    ------
    ShapeError
        If `x` has another number of axes, or no pixels.
    ArgumentError
        If a size is below 1.
    """
    return _adaptive_largest(3, x, output_size)
