"""Slices or elements added, multiplied, averaged or chosen into places that indices name."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from oplibrary.core.registry import public
from oplibrary.messages.errors import ShapeError
from oplibrary.ops.arguments import operand_type, require_flag
from oplibrary.ops.comparison import greater
from oplibrary.ops.creation import ones_like
from oplibrary.ops.elementwise import add, cast, divide, maximum, where
from oplibrary.ops.gather import require_integers, take_along_axis_gradient, take_gradient
from oplibrary.ops.indexing import Slice, basic_set
from oplibrary.ops.movement import broadcast_to, reshape
from oplibrary.ops.scatter_fold import scatter_fold
from oplibrary.ops.slicing import slice_axis
from oplibrary.values.dtypes import FLOATING, promoted
from oplibrary.values.types import normalize_axis

# how the functions are called ---------------------------------------------------------------------


class ScatterCall(NamedTuple):
    """A call whose arguments fit: what is written to, and an index for each slice or element.

    Attributes
    ----------
    x, indices, updates : array
        `x` is the part of the first operand that is written to; without `slices` all have its axes.
    axis : int
    slices : bool
        Each index places a slice, and is alone along its axis.
    whole : array
        The first operand.
    """

    x: Any
    indices: Any
    updates: Any
    axis: int
    slices: bool
    whole: Any

    def sums(self, values: Any) -> Any:
        """Return zeros like `x` with the values added at the indices."""
        if self.slices:
            return take_gradient(values, self.indices, shape=self.x.shape, axis=self.axis)
        return take_along_axis_gradient(values, self.indices, shape=self.x.shape, axis=self.axis)

    def counts(self) -> Any:
        """Return how many values each element of `x` gets."""
        return self.sums(ones_like(self.updates, dtype=np.int64))

    def fold(self, reduction: str, include_self: bool) -> Any:
        """Return `x` with the updates folded in."""
        indices = self.indices
        if self.slices:
            line = [1] * len(self.updates.shape)
            line[self.axis] = indices.shape[0]
            indices = broadcast_to(reshape(indices, shape=tuple(line)), shape=self.updates.shape)
        attrs = {"axis": self.axis, "reduction": reduction, "include_self": include_self}
        return scatter_fold(self.x, indices, self.updates, **attrs)

    def put_back(self, part: Any) -> Any:
        """Return the first operand with `part` in the place of `x`."""
        if part.shape == self.whole.shape:
            return part
        return basic_set(self.whole, part, index=tuple([Slice(0, n) for n in part.shape]))


def fit_call(name: str, x: Any, indices: Any, updates: Any, axis: int) -> ScatterCall:
    """Return the call of `name` with these arguments.

    Raises
    ------
    ShapeError
        If the shapes do not fit.
    DTypeError
        If the indices are no whole numbers.
    """
    x_type, index_type = operand_type(name, x), operand_type(name, indices)
    update_type = operand_type(name, updates)
    at = normalize_axis(axis, x_type.ndim)
    require_integers(name, index_type)
    slices = index_type.ndim == 1 and x_type.ndim > 1
    expected = list(index_type.shape)
    if slices:
        expected = [*x_type.shape[:at], index_type.shape[0], *x_type.shape[at + 1 :]]
    part = list(expected)
    part[at : at + 1] = [x_type.shape[at]]
    if len(expected) != x_type.ndim or any(n > m for n, m in zip(part, x_type.shape)):
        raise ShapeError(
            f"{name}: indices of shape {index_type.shape} for axis {at} of {x_type.shape}",
            cause="they have one axis, and each places a slice; or they have the axes of x, no "
            "longer than these along the others, and each places an element",
            fix="flatten the indices, and the updates' axes with them",
        )
    if update_type.shape != tuple(expected):
        raise ShapeError(
            f"{name}: updates of shape {update_type.shape} for indices {index_type.shape} along "
            f"axis {at} of {x_type.shape}",
            cause=f"each index places one slice or element, so they have shape {tuple(expected)}",
            fix="give the updates that shape",
        )
    dtype = promoted(x_type.dtype, update_type.dtype)
    whole = written = x if x_type.dtype == dtype else cast(x, dtype=dtype)
    for position, (n, m) in enumerate(zip(part, x_type.shape)):
        if n != m:
            written = slice_axis(written, start=0, stop=n, axis=position)
    updates = updates if update_type.dtype == dtype else cast(updates, dtype=dtype)
    return ScatterCall(written, indices, updates, at, slices, whole)


# the functions ------------------------------------------------------------------------------------


@public
def scatter_add(
    x: Any, indices: Any, updates: Any, axis: int = 0, include_self: bool = True
) -> Any:
    """Return `x` with each slice or element of `updates` added at its index.

    Parameters
    ----------
    x : array
        What the updates are added to.
    indices : integer array
        Positions along `axis`: ``(k,)``, each of which places one slice; or as many axes as `x`,
        each of which places one element. Along other axes they may then be shorter than `x`.
    updates : array
        The shape of `x`, with length ``k`` along `axis`; or that of the indices.
    axis : int
        The axis that the indices count along.
    include_self : bool
        Whether what gets updates keeps its own element, too. What gets none always does.

    Raises
    ------
    ShapeError
        If the shapes do not fit.
    DTypeError
        If the indices are no whole numbers.
    IndexingError
        If an index is outside the axis.

    Notes
    -----
    Slices are placed as by PyTorch's ``index_add``, elements as by its ``scatter_add``.

    Examples
    --------
    >>> scatter_add(np.ones(3), np.array([0, 2, 2]), np.array([1.0, 2.0, 3.0])).tolist()
    [2.0, 1.0, 6.0]
    """
    call = fit_call("scatter_add", x, indices, updates, axis)
    kept = call.x
    if not require_flag(include_self, "include_self"):
        kept = where(greater(call.counts(), 0), 0, kept)
    return call.put_back(add(kept, call.sums(call.updates)))


@public
def scatter_mean(
    x: Any, indices: Any, updates: Any, axis: int = 0, include_self: bool = True
) -> Any:
    """Return `x` with the mean of itself and all updates of each index.

    The arguments are those of `scatter_add`. Whole numbers become floating-point ones.

    Examples
    --------
    >>> scatter_mean(np.ones(3), np.array([0, 2, 2]), np.array([1.0, 2.0, 3.0])).tolist()
    [1.0, 1.0, 2.0]
    """
    call = fit_call("scatter_mean", x, indices, updates, axis)
    counts = call.counts()
    if require_flag(include_self, "include_self"):
        kept, counts = call.x, add(counts, 1)
    else:
        kept, counts = where(greater(counts, 0), 0, call.x), maximum(counts, 1)
    total = add(kept, call.sums(call.updates))
    return call.put_back(mean_of(total, counts))


def mean_of(total: Any, counts: Any) -> Any:
    """Return the mean that a sum is of, in the dtype of the sum where it is inexact."""
    return divide(
        total, cast(counts, dtype=total.dtype) if total.dtype.kind in FLOATING else counts
    )


@public
def scatter_max(
    x: Any, indices: Any, updates: Any, axis: int = 0, include_self: bool = True
) -> Any:
    """Return `x` with the largest of itself and all updates of each index.

    The arguments are those of `scatter_add`. Of equal ones each has the same share of the gradient.

    Examples
    --------
    >>> scatter_max(np.ones(3), np.array([0, 2, 2]), np.array([0.0, 2.0, 3.0])).tolist()
    [1.0, 1.0, 3.0]
    """
    return _folded("scatter_max", x, indices, updates, axis, include_self)


@public
def scatter_min(
    x: Any, indices: Any, updates: Any, axis: int = 0, include_self: bool = True
) -> Any:
    """Return `x` with the smallest of itself and all updates of each index.

    The arguments are those of `scatter_add`. Of equal ones each has the same share of the gradient.

    Examples
    --------
    >>> scatter_min(np.ones(3), np.array([0, 2, 2]), np.array([0.0, 2.0, 3.0])).tolist()
    [0.0, 1.0, 1.0]
    """
    return _folded("scatter_min", x, indices, updates, axis, include_self)


@public
def scatter_prod(
    x: Any, indices: Any, updates: Any, axis: int = 0, include_self: bool = True
) -> Any:
    """Return `x` multiplied by all updates of each index.

    The arguments are those of `scatter_add`. The gradient holds where elements are 0, too.

    Examples
    --------
    >>> scatter_prod(np.full(3, 5.0), np.array([0, 2, 2]), np.array([1.0, 2.0, 3.0])).tolist()
    [5.0, 5.0, 30.0]
    """
    return _folded("scatter_prod", x, indices, updates, axis, include_self)


def _folded(name: str, x: Any, indices: Any, updates: Any, axis: int, include_self: bool) -> Any:
    kept = require_flag(include_self, "include_self")
    call = fit_call(name, x, indices, updates, axis)
    return call.put_back(call.fold(name.removeprefix("scatter_"), kept))
