"""Pooling over one, two and three axes, by windows of one size."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any, NamedTuple

import numpy as np

from oplibrary.core.registry import public
from oplibrary.messages.errors import ArgumentError
from oplibrary.ops.arguments import operand_type, require_flag, require_int
from oplibrary.ops.elementwise import cast, divide
from oplibrary.ops.pooling import max_pool, max_pool_indices, sum_pool
from oplibrary.ops.windows import (
    Lengths,
    Margins,
    margins_of,
    per_axis,
    pool_windows,
    require_axes,
)
from oplibrary.values.dtypes import promoted_by
from oplibrary.values.types import Array, Shape

_Size = int | Sequence[int]
_Padding = int | Sequence[int | Sequence[int]]


class _Pooling(NamedTuple):
    """What a pooling was asked for: as attributes of the op, and what counts as padding."""

    shape: Shape
    kernel: Lengths
    stride: Lengths
    dilation: Lengths
    asked: Margins
    padding: Margins

    @property
    def attrs(self) -> dict[str, Any]:
        return {
            "kernel": self.kernel,
            "stride": self.stride,
            "padding": self.padding,
            "dilation": self.dilation,
        }


def _pooling(
    name: str,
    axes: int,
    x: Any,
    kernel_size: Any,
    stride: Any,
    padding: Any,
    dilation: Any,
    ceil_mode: Any,
) -> _Pooling:
    shape = operand_type(name, x).shape
    require_axes(name, shape, axes)
    kernel = per_axis(kernel_size, "kernel_size", 1, axes)
    steps = kernel if stride is None else per_axis(stride, "stride", 1, axes)
    spread = per_axis(dilation, "dilation", 1, axes)
    margins = margins_of(padding, axes)
    if any(2 * max(sides) > d * (k - 1) + 1 for sides, k, d in zip(margins, kernel, spread)):
        raise ArgumentError(
            f"{name}: padding {padding} is more than half of the kernel {kernel}",
            cause="a window would lie in the padding alone",
            fix="pad less, or pool larger windows",
        )
    whole = margins
    if require_flag(ceil_mode, "ceil_mode"):
        lengths = zip(shape[2:], kernel, steps, spread, margins)
        whole = tuple((sides[0], _end(n, k, s, d, sides)) for n, k, s, d, sides in lengths)
    pool_windows(name, shape, kernel, steps, whole, spread)  # or refuses
    return _Pooling(shape, kernel, steps, spread, margins, whole)


def _end(n: int, k: int, s: int, d: int, sides: tuple[int, int]) -> int:
    """Return the padding at the end with which windows cover all of an axis.

    None begins in the padding at the end. Where no window fits at all, there is none.
    """
    before, after = sides
    reach = d * (k - 1) + 1
    last = -((n + before + after - reach) // -s)
    if last * s >= n + before:
        last -= 1
    return max(last * s + reach - n - before, after) if last >= 0 else after


def _largest(
    axes: int,
    x: Any,
    kernel_size: Any,
    stride: Any,
    padding: Any,
    dilation: Any,
    ceil_mode: Any,
    return_indices: Any,
) -> Any:
    name = f"max_pool{axes}d"
    attrs = _pooling(name, axes, x, kernel_size, stride, padding, dilation, ceil_mode).attrs
    found = max_pool(x, **attrs)
    if require_flag(return_indices, "return_indices"):
        return found, max_pool_indices(x, found, **attrs)
    return found


def _averages(
    axes: int,
    x: Any,
    kernel_size: Any,
    stride: Any,
    padding: Any,
    ceil_mode: Any,
    count_include_pad: Any,
    divisor_override: Any,
) -> Any:
    name = f"avg_pool{axes}d"
    pooling = _pooling(name, axes, x, kernel_size, stride, padding, 1, ceil_mode)
    with_padding = require_flag(count_include_pad, "count_include_pad")
    x = divisible(x)
    total = sum_pool(x, **pooling.attrs)
    if divisor_override is not None:
        divisor = require_int(divisor_override, "divisor_override")
        if not divisor:
            raise ArgumentError(
                f"{name}: divisor_override is 0",
                cause="sums are divided by it",
                fix="pass another number, or leave it out",
            )
        return divide(total, float(divisor))
    plain = pooling.padding == pooling.asked and (with_padding or not any(map(any, pooling.asked)))
    if plain:
        return divide(total, float(prod(pooling.kernel)))
    return divide(total, _counts(pooling, total, with_padding))


def divisible(x: Any) -> Any:
    """Return `x` in the dtype of its mean: sums of integers would wrap around."""
    dtype = promoted_by(np.true_divide, x.dtype, x.dtype)
    return x if x.dtype == dtype else cast(x, dtype=dtype)


def _counts(pooling: _Pooling, total: Any, with_padding: bool) -> Array:
    """Return how many elements of each window count, so that it broadcasts to `total`."""
    counts = np.ones((), total.dtype)
    axes = zip(total.shape[2:], pooling.shape[2:], pooling.kernel, pooling.stride, pooling.asked)
    for out, n, k, s, (before, after) in axes:
        starts = np.arange(out) * s - before
        ends = np.minimum(starts + k, n + after if with_padding else n)
        inside = ends - (starts if with_padding else np.maximum(starts, 0))
        counts = np.multiply.outer(counts, inside.astype(total.dtype))
    return counts.reshape((1, 1, *counts.shape))


# the public functions -----------------------------------------------------------------------------


@public
def max_pool1d(
    x: Any,
    kernel_size: _Size,
    stride: _Size | None = None,
    padding: _Padding = 0,
    dilation: _Size = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:
    """Return the largest element of each window of `x`, ``(images, channels, length)``.

    Parameters
    ----------
    x : array
        Sequences of real numbers.
    kernel_size : int or a tuple of one
        Size of a window, in pixels.
    stride : int or a tuple of one, optional
        Step between windows; by default the size of one, so that they tile the sequence.
    padding : int, a tuple of one, of int or (int, int)
        Pixels around the sequence that are never the largest: as many on both sides, or a pair
        (before, after).
    dilation : int or a tuple of one
        Distance between the pixels of a window.
    ceil_mode : bool
        Let the last window end beyond the sequence, if it begins inside.
    return_indices : bool
        Also return where in its sequence each largest element is, counted row by row.

    Returns
    -------
    array, or (array, array of int64)

    Raises
    ------
    ShapeError
        If no window fits the padded sequence.
    ArgumentError
        If an option has no meaning, or the padding is more than half a window.

    Notes
    -----
    The gradient goes to the first of equal elements, row by row, as in PyTorch. NaN is the largest.
    """
    return _largest(1, x, kernel_size, stride, padding, dilation, ceil_mode, return_indices)


@public
def max_pool2d(
    x: Any,
    kernel_size: _Size,
    stride: _Size | None = None,
    padding: _Padding = 0,
    dilation: _Size = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:
    """Return the largest element of each window of `x`, ``(images, channels, height, width)``.

    Parameters
    ----------
    x : array
        Images of real numbers.
    kernel_size : int or pair of int
        Size of a window, in pixels.
    stride : int or pair of int, optional
        Step between windows; by default the size of one, so that they tile the image.
    padding : int, pair of int, of int or (int, int)
        Pixels around the image that are never the largest: as many on both sides, or a pair
        (before, after).
    dilation : int or pair of int
        Distance between the pixels of a window.
    ceil_mode : bool
        Let the last window end beyond the image, if it begins inside.
    return_indices : bool
        Also return where in its image each largest element is, counted row by row.

    Returns
    -------
    array, or (array, array of int64)

    Raises
    ------
    ShapeError
        If no window fits the padded image.
    ArgumentError
        If an option has no meaning, or the padding is more than half a window.

    Notes
    -----
    The gradient goes to the first of equal elements, row by row, as in PyTorch. NaN is the largest.
    """
    return _largest(2, x, kernel_size, stride, padding, dilation, ceil_mode, return_indices)


@public
def max_pool3d(
    x: Any,
    kernel_size: _Size,
    stride: _Size | None = None,
    padding: _Padding = 0,
    dilation: _Size = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:
    """Return the largest element of each window of volumes `x`.

    Parameters
    ----------
    x : array
        Volumes of real numbers, ``(images, channels, depth, height, width)``.
    kernel_size : int or three
        Size of a window, in pixels.
    stride : int or three, optional
        Step between windows; by default the size of one, so that they tile the volume.
    padding : int, three, of int or (int, int)
        Pixels around the volume that are never the largest: as many on both sides, or a pair
        (before, after).
    dilation : int or three
        Distance between the pixels of a window.
    ceil_mode : bool
        Let the last window end beyond the volume, if it begins inside.
    return_indices : bool
        Also return where in its volume each largest element is, counted row by row.

    Returns
    -------
    array, or (array, array of int64)

    Raises
    ------
    ShapeError
        If no window fits the padded volume.
    ArgumentError
        If an option has no meaning, or the padding is more than half a window.

    Notes
    -----
    The gradient goes to the first of equal elements, row by row, as in PyTorch. NaN is the largest.
    """
    return _largest(3, x, kernel_size, stride, padding, dilation, ceil_mode, return_indices)


@public
def avg_pool1d(
    x: Any,
    kernel_size: _Size,
    stride: _Size | None = None,
    padding: _Padding = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> Any:
    """Return the mean of each window of `x`, ``(images, channels, length)``.

    Parameters
    ----------
    x : array
        Sequences.
    kernel_size : int or a tuple of one
        Size of a window, in pixels.
    stride : int or a tuple of one, optional
        Step between windows; by default the size of one, so that they tile the sequence.
    padding : int, a tuple of one, of int or (int, int)
        Zeros around the sequence: as many on both sides, or a pair (before, after).
    ceil_mode : bool
        Let the last window end beyond the sequence, if it begins inside; what is beyond the padding
        does not count.
    count_include_pad : bool
        Whether the zeros of the padding count in the mean.
    divisor_override : int, optional
        What sums are divided by, in place of the number of elements.

    Raises
    ------
    ShapeError
        If no window fits the padded sequence.
    ArgumentError
        If an option has no meaning, or the padding is more than half a window.
    """
    return _averages(
        1,
        x,
        kernel_size,
        stride,
        padding,
        ceil_mode,
        count_include_pad,
        divisor_override,
    )


@public
def avg_pool2d(
    x: Any,
    kernel_size: _Size,
    stride: _Size | None = None,
    padding: _Padding = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> Any:
    """Return the mean of each window of `x`, ``(images, channels, height, width)``.

    Parameters
    ----------
    x : array
        Images.
    kernel_size : int or pair of int
        Size of a window, in pixels.
    stride : int or pair of int, optional
        Step between windows; by default the size of one, so that they tile the image.
    padding : int, pair of int, of int or (int, int)
        Zeros around the image: as many on both sides, or a pair (before, after).
    ceil_mode : bool
        Let the last window end beyond the image, if it begins inside; what is beyond the padding
        does not count.
    count_include_pad : bool
        Whether the zeros of the padding count in the mean.
    divisor_override : int, optional
        What sums are divided by, in place of the number of elements.

    Raises
    ------
    ShapeError
        If no window fits the padded image.
    ArgumentError
        If an option has no meaning, or the padding is more than half a window.
    """
    return _averages(
        2,
        x,
        kernel_size,
        stride,
        padding,
        ceil_mode,
        count_include_pad,
        divisor_override,
    )


@public
def avg_pool3d(
    x: Any,
    kernel_size: _Size,
    stride: _Size | None = None,
    padding: _Padding = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> Any:
    """Return the mean of each window of volumes `x`.

    Parameters
    ----------
    x : array
        Volumes, ``(images, channels, depth, height, width)``.
    kernel_size : int or three
        Size of a window, in pixels.
    stride : int or three, optional
        Step between windows; by default the size of one, so that they tile the volume.
    padding : int, three, of int or (int, int)
        Zeros around the volume: as many on both sides, or a pair (before, after).
    ceil_mode : bool
        Let the last window end beyond the volume, if it begins inside; what is beyond the padding
        does not count.
    count_include_pad : bool
        Whether the zeros of the padding count in the mean.
    divisor_override : int, optional
        What sums are divided by, in place of the number of elements.

    Raises
    ------
    ShapeError
        If no window fits the padded volume.
    ArgumentError
        If an option has no meaning, or the padding is more than half a window.
    """
    return _averages(
        3,
        x,
        kernel_size,
        stride,
        padding,
        ceil_mode,
        count_include_pad,
        divisor_override,
    )
