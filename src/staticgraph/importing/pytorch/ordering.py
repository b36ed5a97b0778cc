"""PyTorch's operators that order elements, count them, or find places among ordered ones."""

from __future__ import annotations

import builtins
from typing import Any

import numpy as np

from oplibrary.values.dtypes import FLOATING
from staticgraph.importing.pytorch.arrays import at_axis
from staticgraph.importing.pytorch.table import TABLE
from staticgraph.importing.shared.block import Several


@TABLE.entry("aten.sort.default")
def _sort(xp: Any, self: Any, dim: int = -1, descending: bool = False) -> Any:
    order = xp.argsort(self, axis=dim, descending=descending)
    return Several(lambda: xp.take_along_axis(self, order, axis=dim), lambda: order)


@TABLE.entry("aten.sort.stable", ignored=("stable",))
def _sort_stable(xp: Any, self: Any, dim: int = -1, descending: bool = False) -> Any:
    return _sort(xp, self, dim, descending)


@TABLE.entry("aten.argsort.default", "aten.argsort.stable", ignored=("stable",))
def _argsort(xp: Any, self: Any, dim: int = -1, descending: bool = False) -> Any:
    return xp.argsort(self, axis=dim, descending=descending)


def _kth(xp: Any, x: Any, k: int, dim: int, keepdim: bool) -> Any:
    """Return the k-th smallest element along an axis, from 0 on, and where it stands."""
    order = xp.argsort(x, axis=dim)
    where = order[at_axis(x, dim, builtins.slice(k, k + 1))]

    def squeezed(y: Any) -> Any:
        return y if keepdim else xp.squeeze(y, axis=dim)

    return Several(
        lambda: squeezed(xp.take_along_axis(x, where, axis=dim)), lambda: squeezed(where)
    )


@TABLE.entry("aten.kthvalue.default")
def _kthvalue(xp: Any, self: Any, k: int, dim: int = -1, keepdim: bool = False) -> Any:
    return _kth(xp, self, k - 1, dim, keepdim)


@TABLE.entry("aten.topk.default", ignored=("sorted",))
def _topk(xp: Any, self: Any, k: int, dim: int = -1, largest: bool = True) -> Any:
    return xp.topk(self, k, axis=dim, largest=largest)


@TABLE.entry("aten.bucketize.Tensor", "aten.bucketize.Scalar", ignored=("out_int32",))
def _bucketize(xp: Any, self: Any, boundaries: Any, right: bool = False) -> Any:
    return xp.searchsorted(boundaries, xp.asarray(self), side="right" if right else "left")


@TABLE.entry("aten.searchsorted.Tensor", "aten.searchsorted.Scalar", ignored=("out_int32",))
def _searchsorted(
    xp: Any,
    sorted_sequence: Any,
    self: Any,
    right: bool = False,
    side: str | None = None,
    sorter: Any = None,
) -> Any:
    edges = sorted_sequence
    if sorter is not None:
        edges = xp.take_along_axis(edges, sorter, axis=-1)
    values, after = xp.asarray(self), right or side == "right"
    if len(edges.shape) == 1:
        return xp.searchsorted(edges, values, side="right" if after else "left")
    edges, values = xp.expand_dims(edges, axis=-2), xp.expand_dims(values, axis=-1)
    before = edges <= values if after else edges < values
    return xp.sum(xp.astype(before, np.dtype("int64")), axis=-1)


def _is_nan(xp: Any, x: Any) -> Any:
    return xp.isnan(x) if x.dtype.kind in FLOATING else xp.zeros(x.shape, dtype=np.dtype(bool))


def _running_extreme(name: str) -> Any:
    """Return an entry of the running extremes and the last places where they stand."""

    def entry(xp: Any, self: Any, dim: int) -> Any:
        if not len(self.shape):
            return Several(lambda: self, lambda: xp.zeros((), dtype=np.dtype("int64")))
        found = getattr(xp, f"cumulative_{name}")(xp.stop_gradient(self), axis=dim)
        lengths = [1] * len(self.shape)
        lengths[dim] = self.shape[dim]
        places = xp.reshape(xp.arange(self.shape[dim]), tuple(lengths))
        reached = xp.logical_or(xp.equal(self, found), _is_nan(xp, self))
        where = xp.cumulative_max(xp.where(reached, places, 0), axis=dim)
        return Several(lambda: xp.take_along_axis(self, where, axis=dim), lambda: where)

    return entry


for each in ("max", "min"):
    TABLE.entry(f"aten.cum{each}.default")(_running_extreme(each))


@TABLE.entry("aten.logcumsumexp.default")
def _logcumsumexp(xp: Any, self: Any, dim: int) -> Any:
    return xp.cumulative_logsumexp(self, axis=dim)


def _middle(nans_count: bool) -> Any:
    """Return an entry of the median, the lower one of two, and where it stands."""

    def entry(xp: Any, self: Any, dim: int, keepdim: bool = False) -> Any:
        if not len(self.shape):
            return Several(lambda: self, lambda: xp.zeros((), dtype=np.dtype("int64")))
        order = xp.argsort(self, axis=dim)  # NaNs come last
        isnan = _is_nan(xp, self)
        missing = xp.sum(xp.astype(isnan, np.dtype("int64")), axis=dim, keepdims=True)
        n = self.shape[dim]
        if nans_count:
            place = xp.where(missing > 0, n - 1, (n - 1) // 2)
        else:
            place = xp.floor_divide(xp.maximum(n - missing - 1, 0), 2)
        where = xp.take_along_axis(order, place, axis=dim)

        def squeezed(y: Any) -> Any:
            return y if keepdim else xp.squeeze(y, axis=dim)

        return Several(
            lambda: squeezed(xp.take_along_axis(self, where, axis=dim)), lambda: squeezed(where)
        )

    return entry


def _middle_of_all(nans_count: bool) -> Any:
    """Return an entry of the median of all elements; equal ones share its gradient."""

    def entry(xp: Any, self: Any) -> Any:
        row = xp.reshape(self, (-1,))
        found = xp.stop_gradient(_middle(nans_count)(xp, row, 0)[0])
        if self.dtype.kind not in FLOATING:
            return found
        same = xp.logical_or(xp.equal(row, found), xp.isnan(row) & xp.isnan(found))
        count = xp.sum(xp.astype(same, self.dtype))
        return xp.sum(xp.where(same, row, xp.zeros_like(row))) / count

    return entry


for each, nans_count in (("median", True), ("nanmedian", False)):
    TABLE.entry(f"aten.{each}.dim")(_middle(nans_count))
    TABLE.entry(f"aten.{each}.default")(_middle_of_all(nans_count))


@TABLE.entry("aten.histc.default")
def _histc(xp: Any, self: Any, bins: int = 100, min: Any = 0, max: Any = 0) -> Any:
    row = xp.reshape(xp.stop_gradient(self), (-1,))
    low, high = (xp.min(row), xp.max(row)) if min == max else (min, max)
    if min == max:  # as wide as PyTorch makes it where all elements are the same
        low, high = (
            xp.where(xp.equal(low, high), low - 1, low),
            xp.where(xp.equal(low, high), high + 1, high),
        )
    place = xp.floor((row - low) * (bins / (high - low)))
    place = xp.clip(xp.astype(place, np.dtype("int64")), 0, bins - 1)
    inside = xp.astype(xp.logical_and(row >= low, row <= high), self.dtype)
    return xp.scatter_add(xp.zeros(bins, dtype=self.dtype), place, inside)
