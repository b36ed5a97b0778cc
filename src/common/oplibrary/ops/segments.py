"""Sums, means, products and extremes of the slices that belong together, as ids say."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from oplibrary.core.registry import public
from oplibrary.messages.errors import ArgumentError, ShapeError
from oplibrary.ops.arguments import operand_type, require_int
from oplibrary.ops.elementwise import cast, maximum
from oplibrary.ops.scatter import ScatterCall, fit_call, mean_of
from oplibrary.ops.scatter_fold import NEUTRAL
from oplibrary.values.types import TensorType


def _segments(name: str, x: Any, ids: Any, count: Any, empty: Callable[..., Any]) -> ScatterCall:
    """Return the call that folds the slices of `x` along axis 0 into ones of `empty`."""
    x_type, id_type = operand_type(name, x), operand_type(name, ids)
    number = require_int(count, "num_segments")
    if number < 0:
        raise ArgumentError(
            f"{name}: num_segments is {number}",
            cause="it counts the segments of the result",
            fix="pass the largest id plus 1",
        )
    if id_type.ndim != 1 or not x_type.ndim or x_type.shape[:1] != id_type.shape:
        raise ShapeError(
            f"{name}: segment_ids of shape {id_type.shape} for {x_type.shape}",
            cause="there is one id for each position of axis 0",
            fix="give the ids one axis, as long as axis 0 of the data",
        )
    if x_type.dtype.kind == "b" and name == "segment_sum":
        x_type = TensorType(x_type.shape, np.int64)
        x = cast(x, dtype=np.int64)
    target = np.full((number, *x_type.shape[1:]), empty(x_type.dtype), x_type.dtype)
    return fit_call(name, target, ids, x, 0)


@public
def segment_sum(x: Any, segment_ids: Any, num_segments: int) -> Any:
    """Add up the slices along axis 0 that have the same id.

    Parameters
    ----------
    x : array
        ``(n, ...)``.
    segment_ids : integer array
        Which segment each slice belongs to, ``(n,)``, in any order. A negative one counts from the
        last segment.
    num_segments : int
        How many segments the result has.

    Returns
    -------
    array
        ``(num_segments, ...)``; 0 for a segment without slices.

    Raises
    ------
    ShapeError
        If the ids do not have the length of axis 0.
    DTypeError
        If the ids are no whole numbers.
    IndexingError
        If an id is none of the segments.

    Examples
    --------
    >>> segment_sum(np.array([1.0, 2.0, 3.0]), np.array([0, 2, 0]), 3).tolist()
    [4.0, 0.0, 2.0]
    """
    call = _segments("segment_sum", x, segment_ids, num_segments, lambda _: 0)
    return call.sums(call.updates)


@public
def segment_mean(x: Any, segment_ids: Any, num_segments: int) -> Any:
    """Return the mean of the slices along axis 0 that have the same id, 0 where there are none.

    The arguments are those of `segment_sum`.

    Examples
    --------
    >>> segment_mean(np.array([1.0, 2.0, 3.0]), np.array([0, 2, 0]), 3).tolist()
    [2.0, 0.0, 2.0]
    """
    call = _segments("segment_mean", x, segment_ids, num_segments, lambda _: 0)
    return mean_of(call.sums(call.updates), maximum(call.counts(), 1))


@public
def segment_prod(x: Any, segment_ids: Any, num_segments: int) -> Any:
    """Multiply the slices along axis 0 that have the same id; 1 where there are none.

    The arguments are those of `segment_sum`.

    Examples
    --------
    >>> segment_prod(np.array([1.0, 2.0, 3.0]), np.array([0, 2, 0]), 3).tolist()
    [3.0, 1.0, 2.0]
    """
    call = _segments("segment_prod", x, segment_ids, num_segments, lambda _: 1)
    return call.fold("prod", True)


@public
def segment_max(x: Any, segment_ids: Any, num_segments: int) -> Any:
    """Return the largest elements of the slices along axis 0 that have the same id.

    The arguments are those of `segment_sum`. Where there are no slices it is the least value of the
    dtype, ``-inf`` of floating-point numbers. Of equal elements each has the same share of the
    gradient.

    Examples
    --------
    >>> segment_max(np.array([1.0, 2.0, 3.0]), np.array([0, 2, 0]), 3).tolist()
    [3.0, -inf, 2.0]
    """
    call = _segments("segment_max", x, segment_ids, num_segments, NEUTRAL["max"])
    return call.fold("max", False)


@public
def segment_min(x: Any, segment_ids: Any, num_segments: int) -> Any:
    """Return the smallest elements of the slices along axis 0 that have the same id.

    The arguments are those of `segment_sum`. Where there are no slices it is the greatest value of
    the dtype, ``inf`` of floating-point numbers. Of equal elements each has the same share of the
    gradient.

    Examples
    --------
    >>> segment_min(np.array([1.0, 2.0, 3.0]), np.array([0, 2, 0]), 3).tolist()
    [1.0, inf, 2.0]
    """
    call = _segments("segment_min", x, segment_ids, num_segments, NEUTRAL["min"])
    return call.fold("min", False)
