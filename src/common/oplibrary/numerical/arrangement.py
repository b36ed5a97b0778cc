"""Arrays put beside each other, turned, lengthened and cut, as NumPy's functions do it."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from math import prod
from typing import Any

import numpy as np

from oplibrary.messages.errors import ArgumentError, DTypeError, ShapeError
from oplibrary.numerical.operands import (
    along,
    as_array,
    as_dtype,
    at_hand,
    flat,
    is_value,
    offered,
    require_known,
)
from oplibrary.ops.arguments import normalize_ints, require_steps
from oplibrary.ops.diagonal import diag
from oplibrary.ops.gather import take
from oplibrary.ops.joining import concat, split
from oplibrary.ops.movement import broadcast_to, moveaxis, permute_dims, reshape, swapaxes
from oplibrary.ops.slicing import flip
from oplibrary.ops.sorting import argwhere, nonzero
from oplibrary.values.types import normalize_axis

# more axes ----------------------------------------------------------------------------------------


def _each(function: Any, arrays: tuple[Any, ...]) -> Any:
    results = tuple(function(as_array(x)) for x in arrays)
    return results[0] if len(results) == 1 else results


@offered
def atleast_1d(*arys: Any) -> Any:
    """Return each array, a scalar with one axis; one alone, several as a tuple."""
    return _each(lambda x: x if len(x.shape) else reshape(x, shape=(1,)), arys)


@offered
def atleast_2d(*arys: Any) -> Any:
    """Return each array with two axes or more, new ones in front; several as a tuple."""

    def lengthened(x: Any) -> Any:
        missing = 2 - len(x.shape)
        return reshape(x, shape=((1,) * missing + tuple(x.shape))) if missing > 0 else x

    return _each(lengthened, arys)


@offered
def atleast_3d(*arys: Any) -> Any:
    """Return each array with three axes or more, ``(n,)`` as (1, n, 1), ``(m, n)`` as (m, n, 1)."""

    def lengthened(x: Any) -> Any:
        shape = tuple(x.shape)
        if len(shape) > 2:
            return x
        ends = {0: (1, 1, 1), 1: (1, *shape, 1), 2: (*shape, 1)}
        return reshape(x, shape=ends[len(shape)])

    return _each(lengthened, arys)


@offered
def ravel(a: Any) -> Any:
    """Return the elements in one line, in row-major order and without gaps.

    Examples
    --------
    >>> ravel(np.array([[1, 2], [3, 4]])).tolist()
    [1, 2, 3, 4]
    """
    line = flat(a)
    return np.ascontiguousarray(line) if isinstance(line, np.ndarray) else line.contiguous()


# joining ------------------------------------------------------------------------------------------


def _all(tup: Any, lengthened: Any) -> list[Any]:
    if hasattr(tup, "shape"):
        tup = [tup[i] for i in range(tup.shape[0])]
    return [lengthened(x) for x in tup]


@offered
def vstack(tup: Sequence[Any]) -> Any:
    """Join arrays along the first axis; vectors are rows.

    Examples
    --------
    >>> vstack([np.array([1, 2]), np.array([3, 4])]).tolist()
    [[1, 2], [3, 4]]
    """
    return concat(_all(tup, atleast_2d), axis=0)


@offered
def hstack(tup: Sequence[Any]) -> Any:
    """Join arrays along the second axis, vectors along their only one.

    Examples
    --------
    >>> hstack([np.array([1, 2]), np.array([3])]).tolist()
    [1, 2, 3]
    """
    arrays = _all(tup, atleast_1d)
    return concat(arrays, axis=0 if arrays and len(arrays[0].shape) == 1 else 1)


@offered
def dstack(tup: Sequence[Any]) -> Any:
    """Join arrays along the third axis, which matrices and vectors get first."""
    return concat(_all(tup, atleast_3d), axis=2)


@offered
def column_stack(tup: Sequence[Any]) -> Any:
    """Join vectors as the columns of a matrix, beside matrices as they are."""

    def as_columns(x: Any) -> Any:
        x = as_array(x)
        return x if len(x.shape) > 1 else reshape(x, shape=(-1, 1))

    return concat(_all(tup, as_columns), axis=1)


@offered
def block(arrays: Any) -> Any:
    """Join nested lists of arrays: the innermost along the last axis, those around along others.

    Examples
    --------
    >>> block([[np.eye(1), np.zeros((1, 1))], [np.zeros((1, 1)), np.eye(1)]]).tolist()
    [[1.0, 0.0], [0.0, 1.0]]
    """
    depth = _depth(arrays)
    most = max([depth, *[len(x.shape) for x in _leaves(arrays)]])
    return _joined(arrays, depth, most)


def _depth(nested: Any) -> int:
    if not isinstance(nested, list):
        return 0
    depths = {_depth(each) for each in nested}
    if len(depths) != 1:
        raise ArgumentError(
            "block: lists are nested to different depths",
            cause="each depth is an axis to join along" if nested else "a list is empty",
            fix="nest all of them alike",
        )
    return depths.pop() + 1


def _leaves(nested: Any) -> list[Any]:
    if isinstance(nested, list):
        return [leaf for each in nested for leaf in _leaves(each)]
    return [as_array(nested)]


def _joined(nested: Any, depth: int, most: int) -> Any:
    if depth:
        return concat([_joined(each, depth - 1, most) for each in nested], axis=most - depth)
    x = as_array(nested)
    return reshape(x, shape=((1,) * (most - len(x.shape)) + tuple(x.shape)))


@offered
def append(arr: Any, values: Any, axis: int | None = None) -> Any:
    """Return `arr` with `values` behind it along an axis; without one, both in one line."""
    if axis is None:
        return concat([flat(arr), flat(values)], axis=0)
    return concat([as_array(arr), as_array(values)], axis=axis)


# elements put in and taken out --------------------------------------------------------------------


def _positions(function: str, obj: Any) -> Any:
    """Return positions that are known; a shape cannot follow from others."""
    if isinstance(obj, slice):
        return obj
    found = at_hand(obj)
    if found is None:
        raise ArgumentError(
            f"{function}: the positions are values of a graph",
            cause="where elements go is a constant of the operation",
            fix="pass positions as plain ints, or compute the result with where or take",
        )
    return found


def _applied(positions: Any, function: Any, *operands: Any) -> Any:
    try:
        return function(*operands)
    except IndexError as error:
        if not isinstance(positions, slice) and np.asarray(positions).dtype.kind not in "iub":
            raise DTypeError(
                f"{function.__name__}: {error}",
                cause="a position is a whole number",
                fix="convert the positions to int64 first",
            ) from None
        raise ShapeError(
            f"{function.__name__}: {error}",
            cause="a position lies outside the axis",
            fix="check the positions against the length of the axis",
        ) from None


@offered
def delete(arr: Any, obj: Any, axis: int | None = None) -> Any:
    """Return `arr` without what stands at the positions `obj` of an axis, or of its one line.

    Parameters
    ----------
    arr : array
    obj : int, slice, sequence of int or mask
        Known where a graph is declared.
    axis : int, optional

    Examples
    --------
    >>> delete(np.array([1, 2, 3, 4]), [0, 2]).tolist()
    [2, 4]
    """
    arr = as_array(arr)
    if axis is None:
        arr, axis = flat(arr), 0
    at = normalize_axis(axis, len(arr.shape))
    require_known("delete", arr.shape[at])
    positions = _positions("delete", obj)
    kept = _applied(positions, np.delete, np.arange(arr.shape[at]), positions)
    return take(arr, kept, axis=at)


@offered
def insert(arr: Any, obj: Any, values: Any, axis: int | None = None) -> Any:
    """Return `arr` with `values` before the positions `obj` of an axis, or of its one line.

    Parameters
    ----------
    arr : array
    obj : int, slice, sequence of int or mask
        Known where a graph is declared.
    values : array or number
        Converted to the dtype of `arr`; they broadcast.
    axis : int, optional

    Examples
    --------
    >>> insert(np.array([1, 2, 3]), 1, 9).tolist()
    [1, 9, 2, 3]
    """
    arr = as_array(arr)
    if axis is None:
        arr, axis = flat(arr), 0
    at = normalize_axis(axis, len(arr.shape))
    length = arr.shape[at]
    require_known("insert", length)
    positions = _positions("insert", obj)
    values = as_dtype(as_array(values), arr.dtype)
    if len(values.shape) < len(arr.shape):
        missing = len(arr.shape) - len(values.shape)
        values = reshape(values, shape=((1,) * missing + tuple(values.shape)))
    if isinstance(positions, slice) or np.size(positions) != 1:
        count = _applied(positions, np.insert, np.arange(length), positions, -1).size - length
    else:
        if np.ndim(positions) == 0:
            values = moveaxis(values, 0, at)
        count = values.shape[at]
    shape = (*arr.shape[:at], count, *arr.shape[at + 1 :])
    values = broadcast_to(values, shape=shape)
    if not isinstance(positions, slice) and np.size(positions) == 1:
        (place,) = np.ravel(positions).tolist() if positions.dtype != bool else [int(positions)]
        positions = np.full(count, place)
        if not -length <= place <= length:
            raise ShapeError(
                f"insert: position {place} of an axis of length {length}",
                cause="a position is that of an element, or behind the last one",
                fix=f"choose one from {-length} to {length}",
            )
    new = np.arange(length, length + count)
    order = _applied(positions, np.insert, np.arange(length), positions, new)
    return take(concat([arr, values], axis=at), order, axis=at)


@offered
def resize(a: Any, new_shape: Any) -> Any:
    """Return an array of another size, with the elements repeated as often as they are needed.

    Examples
    --------
    >>> resize(np.array([1, 2, 3]), (2, 2)).tolist()
    [[1, 2], [3, 1]]
    """
    line, shape = flat(a), normalize_ints(new_shape, "new_shape")
    if any(n < 0 for n in shape):
        raise ArgumentError(
            f"resize: new_shape {shape} has a negative length",
            cause="an axis has zero elements or more",
            fix="use reshape, which takes -1",
        )
    count = line.shape[0]
    require_known("resize", count)
    if not count:
        return as_dtype(np.zeros(shape), line.dtype)
    return reshape(take(line, np.arange(prod(shape)) % count, axis=0), shape=shape)


@offered
def trim_zeros(filt: Any, trim: str = "fb") -> Any:
    """Return a vector without the zeros at its front (``"f"``) and its back (``"b"``).

    Raises
    ------
    DataDependentShapeError
        If it is a static value.
    """
    x = as_array(filt)
    (places,) = nonzero(x)
    first = int(places[0]) if places.shape[0] else x.shape[0]
    last = int(places[-1]) + 1 if places.shape[0] else x.shape[0]
    front, back = "f" in trim.lower(), "b" in trim.lower()
    return x[first if front else 0 : last if back else x.shape[0]]


# cutting ------------------------------------------------------------------------------------------


@offered
def array_split(ary: Any, indices_or_sections: Any, axis: int = 0) -> list[Any]:
    """Return the parts of an array: as many as an int says, about equal, or cut at places.

    Examples
    --------
    >>> [part.tolist() for part in array_split(np.arange(5), 2)]
    [[0, 1, 2], [3, 4]]
    """
    return cut(ary, indices_or_sections, axis, equal=False)


def cut(x: Any, where: Any, axis: int, *, equal: bool) -> list[Any]:
    """Return the parts of `x`: as many as an int says, or cut at the places of a sequence."""
    x = as_array(x)
    position = normalize_axis(axis, len(x.shape))
    length = x.shape[position]
    places = normalize_ints(where, "indices_or_sections")
    if np.ndim(where):
        return _pieces(x, [0, *places], [*places, length], position)
    (count,) = places
    if not equal:
        require_known("array_split", length)
    require_steps(count, "indices_or_sections")
    if equal or count < 1:  # the latter is refused there
        return list(split(x, count, axis=position))
    sizes = [length // count + (number < length % count) for number in range(count)]
    stops = list(accumulate(sizes))
    return _pieces(x, [0, *stops[:-1]], stops, position)


def _pieces(x: Any, starts: list[int], stops: list[int], axis: int) -> list[Any]:
    return [along(x, axis, slice(a, b)) for a, b in zip(starts, stops, strict=True)]


def _needs(function: str, ary: Any, ndim: int) -> Any:
    x = as_array(ary)
    if len(x.shape) < ndim:
        raise ShapeError(
            f"{function} of an array of shape {tuple(x.shape)}",
            cause=f"it cuts along an axis of arrays that have {ndim} or more",
            fix="use array_split(x, sections, axis=0)",
        )
    return x


@offered
def vsplit(ary: Any, indices_or_sections: Any) -> list[Any]:
    """Return the parts of an array, cut along its first axis; see `array_split`."""
    return cut(_needs("vsplit", ary, 2), indices_or_sections, 0, equal=True)


@offered
def hsplit(ary: Any, indices_or_sections: Any) -> list[Any]:
    """Return the parts of an array, cut along its second axis, a vector along its only one."""
    x = _needs("hsplit", ary, 1)
    return cut(x, indices_or_sections, min(len(x.shape) - 1, 1), equal=True)


@offered
def dsplit(ary: Any, indices_or_sections: Any) -> list[Any]:
    """Return the parts of an array, cut along its third axis; see `array_split`."""
    return cut(_needs("dsplit", ary, 3), indices_or_sections, 2, equal=True)


# turning ------------------------------------------------------------------------------------------


@offered
def flipud(m: Any) -> Any:
    """Return the array with its first axis reversed."""
    return flip(_needs("flipud", m, 1), axis=0)


@offered
def fliplr(m: Any) -> Any:
    """Return the array with its second axis reversed."""
    return flip(_needs("fliplr", m, 2), axis=1)


@offered
def rot90(m: Any, k: int = 1, axes: Sequence[int] = (0, 1)) -> Any:
    """Return the array turned by `k` quarters of a circle, from the first axis to the second.

    Examples
    --------
    >>> rot90(np.array([[1, 2], [3, 4]])).tolist()
    [[2, 4], [1, 3]]
    """
    x = as_array(m)
    given = normalize_ints(axes, "axes")
    if len(given) != 2:
        raise ArgumentError(
            f"rot90: axes is {axes!r}", cause="a plane has two axes", fix="pass axes=(0, 1)"
        )
    first, second = (normalize_axis(axis, len(x.shape)) for axis in given)
    if first == second:
        raise ArgumentError(
            f"rot90: axes {given} are one axis",
            cause="an array is turned in the plane of two axes",
            fix="pass two that differ",
        )
    turns = k % 4
    if turns == 0:
        return x
    if turns == 2:
        return flip(flip(x, axis=first), axis=second)
    if turns == 1:
        return swapaxes(flip(x, axis=second), axis0=first, axis1=second)
    return flip(swapaxes(x, axis0=first, axis1=second), axis=second)


@offered
def rollaxis(a: Any, axis: int, start: int = 0) -> Any:
    """Return the array with an axis moved to stand before the axis `start`.

    A negative `start` counts from the last axis; what is behind it is counted from the left alone.
    """
    x = as_array(a)
    ndim = len(x.shape)
    at = normalize_axis(axis, ndim)
    before = normalize_axis(start, ndim + 1 if start >= 0 else ndim)
    if at < before:
        before -= 1
    order = [each for each in range(ndim) if each != at]
    order.insert(before, at)
    return permute_dims(x, axes=tuple(order))


@offered
def diagflat(v: Any, k: int = 0) -> Any:
    """Return a matrix with the elements of `v`, in one line, on its `k`-th diagonal."""
    return diag(flat(v), offset=k)


# indices ------------------------------------------------------------------------------------------


@offered
def ix_(*indices: Any) -> tuple[Any, ...]:
    """Return index arrays that select all combinations of the indices of each axis.

    Examples
    --------
    >>> np.arange(6).reshape(2, 3)[ix_(np.array([1]), np.array([0, 2]))].tolist()
    [[3, 5]]
    """
    found = []
    for position, each in enumerate(indices):
        x = as_array(each)
        if len(x.shape) != 1:
            raise ShapeError(
                f"ix_: argument {position} has shape {tuple(x.shape)}",
                cause="each argument holds the indices along one axis",
                fix="flatten it first",
            )
        if x.dtype == np.bool_:
            (x,) = nonzero(x)
        elif not x.shape[0] and not is_value(x):
            x = x.astype(np.intp)
        found.append(
            reshape(x, shape=((1,) * position + (-1,) + (1,) * (len(indices) - position - 1)))
        )
    return tuple(found)


@offered
def flatnonzero(a: Any) -> Any:
    """Return where in its one line the elements of an array are not 0."""
    return reshape(argwhere(flat(a)), shape=(-1,))
