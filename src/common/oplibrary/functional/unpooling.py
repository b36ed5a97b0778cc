"""Pixels put back to where a pool by maximum found them."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np

from oplibrary.core.registry import public
from oplibrary.messages.errors import ArgumentError, ShapeError
from oplibrary.ops.arguments import normalize_shape, operand_type
from oplibrary.ops.creation import zeros_like
from oplibrary.ops.elementwise import add
from oplibrary.ops.gather import require_integers
from oplibrary.ops.movement import reshape
from oplibrary.ops.reduction import sum as sum_
from oplibrary.ops.scatter import scatter_max
from oplibrary.ops.windows import per_axis, require_axes

_Size = int | Sequence[int]


def _unpool(
    name: str,
    axes: int,
    x: Any,
    indices: Any,
    kernel_size: _Size,
    stride: _Size | None,
    padding: _Size,
    output_size: Sequence[int] | None,
) -> Any:
    given, spots = operand_type(name, x), operand_type(name, indices)
    require_axes(name, given.shape, axes)
    require_integers(name, spots)
    if spots.shape != given.shape:
        raise ShapeError(
            f"{name}: indices of shape {spots.shape} for x {given.shape}",
            cause="each pixel has its place",
            fix="pass what the pool returned with return_indices=True",
        )
    kernel = per_axis(kernel_size, "kernel_size", 1, axes)
    step = kernel if stride is None else per_axis(stride, "stride", 1, axes)
    margin = per_axis(padding, "padding", 0, axes)
    usual = [
        (n - 1) * s - 2 * p + k
        for n, k, s, p in zip(given.shape[2:], kernel, step, margin, strict=True)
    ]
    lengths = tuple(usual)
    if output_size is not None:
        lengths = normalize_shape(output_size, "output_size")[-axes:]
        fits = len(lengths) == axes and all(
            abs(n - m) < s for n, m, s in zip(lengths, usual, step, strict=True)
        )
        if not fits:
            raise ArgumentError(
                f"{name}: output_size is {tuple(output_size)}",
                cause=f"the pool of {given.shape} was of about {tuple(usual)}, within a stride",
                fix="pass the shape of what was pooled",
            )
    if min(lengths) < 0:
        raise ArgumentError(
            f"{name}: a result of lengths {lengths}",
            cause="the padding is wider than what it goes around",
            fix="pass the arguments of the pool",
        )
    lead, pixels = given.shape[:2], prod(given.shape[2:])
    places, values = [reshape(each, shape=(*lead, pixels)) for each in (indices, x)]
    # zeros of x, whose first axes may be as long as only a run knows
    line = np.zeros(prod(lengths), given.dtype)
    zeros = add(sum_(zeros_like(values), axis=2, keepdims=True), line)
    found = scatter_max(zeros, places, values, axis=2, include_self=False)
    return reshape(found, shape=(*lead, *lengths))


@public
def max_unpool1d(
    x: Any,
    indices: Any,
    kernel_size: _Size,
    stride: _Size | None = None,
    padding: _Size = 0,
    output_size: Sequence[int] | None = None,
) -> Any:
    """Return zeros with the pixels of `x`, ``(images, channels, width)``, at their places.

    Parameters
    ----------
    x : array
        What a pool by maximum returned.
    indices : integer array
        What it returned for ``return_indices=True``, of the same shape. Where several pixels have
        one place, it is the largest.
    kernel_size, stride, padding
        Those of the pool.
    output_size : tuple of int, optional
        The lengths of the result, where several were pooled to those of `x`.

    Raises
    ------
    ShapeError
        If the shapes do not fit.
    DTypeError
        If the indices are no whole numbers.
    IndexingError
        If an index is no place of the result.
    ArgumentError
        If `output_size` does not fit the pool.
    """
    return _unpool("max_unpool1d", 1, x, indices, kernel_size, stride, padding, output_size)


@public
def max_unpool2d(
    x: Any,
    indices: Any,
    kernel_size: _Size,
    stride: _Size | None = None,
    padding: _Size = 0,
    output_size: Sequence[int] | None = None,
) -> Any:
    """Return zeros with the pixels of ``(images, channels, height, width)`` at their places.

    The arguments are those of `max_unpool1d`.
    """
    return _unpool("max_unpool2d", 2, x, indices, kernel_size, stride, padding, output_size)


@public
def max_unpool3d(
    x: Any,
    indices: Any,
    kernel_size: _Size,
    stride: _Size | None = None,
    padding: _Size = 0,
    output_size: Sequence[int] | None = None,
) -> Any:
    """Return zeros with the pixels of ``(images, channels, ...)``, of three axes, at their places.

    The arguments are those of `max_unpool1d`.
    """
    return _unpool("max_unpool3d", 3, x, indices, kernel_size, stride, padding, output_size)
