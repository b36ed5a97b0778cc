"""Sums, means and maxima of the rows that bags of ids name."""

from __future__ import annotations

from typing import Any

import numpy as np

from oplibrary.core.registry import public
from oplibrary.messages.errors import ArgumentError, ShapeError
from oplibrary.ops.arguments import operand_type
from oplibrary.ops.comparison import less
from oplibrary.ops.creation import ones_like
from oplibrary.ops.elementwise import add, multiply, subtract, where
from oplibrary.ops.gather import require_integers, take
from oplibrary.ops.movement import expand_dims
from oplibrary.ops.reduction import max as max_
from oplibrary.ops.reduction import sum as sum_
from oplibrary.ops.scan import cumulative_sum
from oplibrary.ops.searching import searchsorted
from oplibrary.ops.segments import segment_max, segment_mean, segment_sum
from oplibrary.ops.statistics import mean

_ROWS = {"sum": sum_, "mean": mean, "max": max_}
_SEGMENTS = {"sum": segment_sum, "mean": segment_mean, "max": segment_max}


@public
def embedding_bag(
    weight: Any,
    ids: Any,
    offsets: Any = None,
    mode: str = "mean",
    per_sample_weights: Any = None,
) -> Any:
    """Return one row for each bag of ids: the sum, mean or maximum of their rows of `weight`.

    Parameters
    ----------
    weight : array
        ``(n, d)``.
    ids : integer array
        ``(bags, k)``, or ``(k,)`` with `offsets`.
    offsets : integer array, (bags,), optional
        Where each bag begins among the ids, from 0 on and in order.
    mode : {"sum", "mean", "max"}
    per_sample_weights : array, optional
        A factor for each row, in the shape of the ids; only with ``"sum"``.

    Returns
    -------
    array, (bags, d)
        Zeros for a bag without ids.

    Raises
    ------
    ShapeError
        If the shapes do not fit.
    DTypeError
        If ids or offsets are no whole numbers.
    IndexingError
        If an id is no row, or an id stands before the first bag.
    ArgumentError
        If `mode` is unknown, or weights are given for another one than ``"sum"``.

    Examples
    --------
    >>> weight = np.array([[1.0], [2.0], [4.0]])
    >>> embedding_bag(weight, np.array([0, 2, 1]), np.array([0, 2]), "sum").tolist()
    [[5.0], [2.0]]
    """
    given, rows = operand_type("embedding_bag", ids), operand_type("embedding_bag", weight)
    require_integers("embedding_bag", given)
    if mode not in _ROWS:
        raise ArgumentError(
            f"embedding_bag: mode is {mode!r}",
            cause="the rows of a bag become one",
            fix='pass "sum", "mean" or "max"',
        )
    if per_sample_weights is not None and mode != "sum":
        raise ArgumentError(
            f"embedding_bag: per_sample_weights with mode {mode!r}",
            cause="only a sum has factors",
            fix='pass mode="sum", or leave them out',
        )
    if rows.ndim != 2 or given.ndim != (2 if offsets is None else 1):
        raise ShapeError(
            f"embedding_bag: ids of shape {given.shape} for weight {rows.shape}",
            cause="they are (bags, k), or (k,) with offsets, and rows of a weight (n, d)",
            fix="pass offsets with ids of one axis, and none with two",
        )
    picked = take(weight, ids, axis=0)
    if per_sample_weights is not None:
        if operand_type("embedding_bag", per_sample_weights).shape != given.shape:
            raise ShapeError(
                f"embedding_bag: per_sample_weights of shape {tuple(per_sample_weights.shape)} "
                f"for ids {given.shape}",
                cause="each id has one",
                fix="give them the shape of the ids",
            )
        picked = multiply(picked, expand_dims(per_sample_weights, axis=-1))
    if offsets is None:
        fold = _ROWS[mode] if given.shape[1] else sum_
        return fold(picked, axis=1)
    begins = operand_type("embedding_bag", offsets)
    require_integers("embedding_bag", begins)
    if begins.ndim != 1:
        raise ShapeError(
            f"embedding_bag: offsets of shape {begins.shape}",
            cause="there is one for each bag",
            fix="give them one axis",
        )
    bags = begins.shape[0]
    places = subtract(cumulative_sum(ones_like(ids, dtype=np.int64), axis=0), 1)
    found = searchsorted(offsets, places, side="right")
    # what stands before the first bag is in none
    segments = where(less(found, 1), bags, add(found, -1))
    folded = _SEGMENTS[mode](picked, segments, bags)
    if mode != "max":
        return folded
    counts = segment_sum(ones_like(ids, dtype=np.int64), segments, bags)
    return where(expand_dims(less(counts, 1), axis=-1), 0.0, folded)
