"""Elements chosen by conditions, indices and order."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from oplibrary.messages.errors import ArgumentError, ShapeError
from oplibrary.numerical.operands import as_array, as_dtype, dtype_of_all, flat, known, offered
from oplibrary.ops.arguments import normalize_ints, normalize_shape
from oplibrary.ops.broadcasting import broadcast_arrays
from oplibrary.ops.comparison import greater_equal, less
from oplibrary.ops.effects import assert_
from oplibrary.ops.elementwise import clip, floor_divide, remainder, where
from oplibrary.ops.gather import take, take_along_axis
from oplibrary.ops.indexing import getitem, set_item
from oplibrary.ops.joining import stack
from oplibrary.ops.numbers import number_array
from oplibrary.ops.reduction import all as all_
from oplibrary.ops.sorting import argsort, nonzero, sort
from oplibrary.values.types import normalize_axis, number_kind


@offered
def select(condlist: Sequence[Any], choicelist: Sequence[Any], default: Any = 0) -> Any:
    """Return each element of the first choice whose condition is true there, else the default.

    Examples
    --------
    >>> x = np.arange(4)
    >>> select([x < 1, x > 2], [x - 10, x + 10], default=0).tolist()
    [-10, 0, 0, 13]
    """
    if len(condlist) != len(choicelist) or not len(condlist):
        raise ArgumentError(
            f"select: {len(condlist)} conditions for {len(choicelist)} choices",
            cause="each choice has a condition",
            fix="pass two lists of one length",
        )
    conditions = [as_array(x) for x in condlist]
    for position, condition in enumerate(conditions):
        if condition.dtype != np.bool_:
            raise ArgumentError(
                f"select: condition {position} is {condition.dtype}",
                cause="a condition is True or False",
                fix="write a comparison, such as x != 0",
            )
    choices = [x if _is_number(x) else as_array(x) for x in choicelist]
    default = default if _is_number(default) else as_array(default)
    dtype = dtype_of_all((*choices, default))
    *choices, found = [
        number_array(x, dtype) if _is_number(x) else as_dtype(x, dtype) for x in (*choices, default)
    ]
    everything = broadcast_arrays(*conditions, *choices)
    conditions, choices = everything[: len(conditions)], everything[len(conditions) :]
    for condition, choice in zip(conditions[::-1], choices[::-1], strict=True):
        found = where(condition, choice, found)
    return found


def _is_number(x: Any) -> bool:
    return number_kind(x) is not None


@offered
def choose(a: Any, choices: Any, mode: str = "raise") -> Any:
    """Return each element of the choice whose number stands in `a`.

    Parameters
    ----------
    a : array of integers
    choices : sequence of array
        They broadcast against each other and `a`.
    mode : {"raise", "wrap", "clip"}
        What happens to numbers of no choice.

    Examples
    --------
    >>> choose(np.array([1, 0]), [np.array([1, 2]), np.array([10, 20])]).tolist()
    [10, 2]
    """
    a = as_array(a)
    if a.dtype.kind not in "biu":
        raise ArgumentError(
            f"choose by {a.dtype}", cause="choices are numbered", fix='convert a to "int64" first'
        )
    parts = [as_array(x) for x in choices]
    count = len(parts)
    a, *parts = broadcast_arrays(a, *parts)
    a = as_dtype(a, np.dtype(np.int64))
    if mode == "wrap":
        a = remainder(a, count)
    elif mode == "clip":
        a = clip(a, 0, count - 1)
    elif mode == "raise":
        a = where(less(a, 0), count, a)  # which the selection refuses
    else:
        raise ArgumentError(
            f"choose: mode is {mode!r}", cause="raise, wrap or clip", fix='pass mode="raise"'
        )
    return take_along_axis(stack(parts), a[None], axis=0)[0]


@offered
def compress(condition: Any, a: Any, axis: int | None = None) -> Any:
    """Return what stands along an axis, or in one line, where a vector of conditions is true.

    Raises
    ------
    DataDependentShapeError
        If the condition is a static value.

    Examples
    --------
    >>> compress([True, False, True], np.array([1, 2, 3])).tolist()
    [1, 3]
    """
    a, condition = as_array(a), as_array(condition)
    if len(condition.shape) != 1:
        raise ShapeError(
            f"compress: a condition of shape {tuple(condition.shape)}",
            cause="each element along the axis has one condition",
            fix="use a[condition] for conditions of more axes",
        )
    if axis is None:
        a, axis = flat(a), 0
    (places,) = nonzero(condition)
    return take(a, places, axis=normalize_axis(axis, len(a.shape)))


@offered
def extract(condition: Any, arr: Any) -> Any:
    """Return the elements of `arr`, in one line, where the condition is true.

    Raises
    ------
    DataDependentShapeError
        If the condition is a static value.
    """
    (places,) = nonzero(flat(condition))
    return take(flat(arr), places, axis=0)


@offered
def piecewise(x: Any, condlist: Any, funclist: Sequence[Any]) -> Any:
    """Return a function that is given in parts: of each element, that of the last true condition.

    Parameters
    ----------
    x : array
    condlist : sequence of bool array
    funclist : sequence of function or number
        One for each condition; one more is for where none is true. A function is called with the
        elements of its part, in one line.

    Raises
    ------
    DataDependentShapeError
        If a condition of a function is a static value; see `select`.

    Examples
    --------
    >>> x = np.array([-1.0, 2.0])
    >>> piecewise(x, [x < 0], [0.0, lambda part: part * 10]).tolist()
    [0.0, 20.0]
    """
    x = as_array(x)
    conditions = [as_array(c) for c in ([condlist] if hasattr(condlist, "shape") else condlist)]
    if len(conditions) == 1 and len(conditions[0].shape) == len(x.shape) + 1:
        conditions = [conditions[0][i] for i in range(conditions[0].shape[0])]
    if len(funclist) == len(conditions) + 1:
        rest = ~conditions[0]
        for condition in conditions[1:]:
            rest = rest & ~condition
        conditions.append(rest)
    if len(funclist) != len(conditions):
        raise ArgumentError(
            f"piecewise: {len(funclist)} functions for {len(conditions)} conditions",
            cause="each condition has a function, and one more may be for the rest",
            fix="pass two lists of one length",
        )
    found = as_dtype(x * 0, x.dtype)
    for condition, function in zip(conditions, funclist, strict=True):
        if not callable(function):
            found = set_item(found, condition, as_dtype(as_array(function), x.dtype))
            continue
        part = getitem(x, condition)
        if part.shape[0]:
            found = set_item(found, condition, as_dtype(as_array(function(part)), x.dtype))
    return found


# order --------------------------------------------------------------------------------------------


def _kth(name: str, kth: Any, x: Any, axis: int) -> None:
    length = x.shape[normalize_axis(axis, len(x.shape))]
    for place in normalize_ints(kth, "kth"):
        if not -length <= place < length:
            raise ShapeError(
                f"{name}: kth {place} of an axis of length {length}",
                cause="it is the place of an element",
                fix=f"choose one from 0 to {length - 1}",
            )


@offered
def partition(a: Any, kth: Any, axis: int | None = -1) -> Any:
    """Return the array with the `kth` element along an axis where it stands in order.

    What is less stands before it, what is greater behind it; here all of it is in order.
    """
    x = as_array(a)
    if axis is None:
        x, axis = flat(x), 0
    _kth("partition", kth, x, axis)
    return sort(x, axis=axis)


@offered
def argpartition(a: Any, kth: Any, axis: int | None = -1) -> Any:
    """Return the indices that partition the array along an axis; see `partition`."""
    x = as_array(a)
    if axis is None:
        x, axis = flat(x), 0
    _kth("argpartition", kth, x, axis)
    return argsort(x, axis=axis)


@offered
def lexsort(keys: Any, axis: int = -1) -> Any:
    """Return the indices that order by several keys, the last of which comes first.

    Examples
    --------
    >>> lexsort([np.array([3, 1, 2]), np.array([1, 1, 0])]).tolist()
    [2, 1, 0]
    """
    if hasattr(keys, "shape"):
        keys = [keys[i] for i in range(keys.shape[0])]
    parts = [as_array(key) for key in keys]
    if not parts:
        raise ArgumentError("lexsort of no keys", cause="it orders by keys", fix="pass one or more")
    if not parts[0].shape:
        raise ShapeError(
            "lexsort of scalars", cause="there is no axis to order", fix="pass vectors"
        )
    at = normalize_axis(axis, len(parts[0].shape))
    order = argsort(parts[0], axis=at)
    for key in parts[1:]:
        again = argsort(take_along_axis(key, order, axis=at), axis=at)
        order = take_along_axis(order, again, axis=at)
    return order


@offered
def sort_complex(a: Any) -> Any:
    """Return the elements in order along the last axis, as complex numbers."""
    x = sort(as_array(a), axis=-1)
    if x.dtype.kind == "c":
        return x
    narrow = x.dtype.char in "bhBHf" or x.dtype == np.bool_
    if x.dtype.char == "f" or x.dtype == np.bool_:
        narrow = x.dtype.char in "bhBH"
    return as_dtype(x, np.dtype(np.complex64 if narrow else np.complex128))


# places -------------------------------------------------------------------------------------------


@offered
def unravel_index(indices: Any, shape: Any) -> tuple[Any, ...]:
    """Return the indices along each axis of what stands at `indices` in one line.

    Examples
    --------
    >>> [each.tolist() for each in unravel_index(np.array([5]), (2, 3))]
    [[1], [2]]
    """
    x, lengths = as_array(indices), normalize_shape(shape)
    _require_places("unravel_index", x, int(np.prod(lengths, dtype=np.int64)))
    x = as_dtype(x, np.dtype(np.int64))
    found = []
    for length in lengths[::-1]:
        found.append(remainder(x, length))
        x = floor_divide(x, length)
    return tuple(found[::-1])


@offered
def ravel_multi_index(multi_index: Any, dims: Any, mode: str | Sequence[str] = "raise") -> Any:
    """Return where in one line stands what has these indices along each axis.

    Parameters
    ----------
    multi_index : sequence of integer array
    dims : tuple of int
        Lengths of the axes.
    mode : {"raise", "wrap", "clip"}
        What happens to indices outside.

    Examples
    --------
    >>> ravel_multi_index((np.array([1]), np.array([2])), (2, 3)).tolist()
    [5]
    """
    lengths = normalize_shape(dims, "dims")
    modes = (mode,) * len(lengths) if isinstance(mode, str) else tuple(mode)
    if hasattr(multi_index, "shape"):
        multi_index = [multi_index[i] for i in range(multi_index.shape[0])]
    if len(multi_index) != len(lengths) or not {*modes} <= {"raise", "wrap", "clip"}:
        raise ArgumentError(
            f"ravel_multi_index: {len(multi_index)} index arrays for {len(lengths)} axes, "
            f"mode {mode!r}",
            cause="each axis has an index array, and a mode of raise, wrap or clip",
            fix="pass one index array for each length in dims",
        )
    total: Any = None
    for each, length, how in zip(multi_index, lengths, modes, strict=True):
        x = as_array(each)
        if how == "raise":
            _require_places("ravel_multi_index", x, length)
        x = as_dtype(x, np.dtype(np.int64))
        if how == "wrap":
            x = remainder(x, length)
        elif how == "clip":
            x = clip(x, 0, length - 1)
        total = x if total is None else total * length + x
    return total


def _require_places(name: str, x: Any, length: int) -> None:
    if x.dtype.kind not in "iu":
        raise ArgumentError(
            f"{name} of {x.dtype}", cause="indices are whole numbers", fix='use astype("int64")'
        )
    inside = all_(greater_equal(x, 0) & less(x, length))
    if known(x) is None:
        assert_(inside, f"{name}: an index lies outside of {length} elements")
    elif not inside:
        raise ShapeError(
            f"{name}: an index lies outside of {length} elements",
            cause=f"indices are from 0 to {length - 1}",
            fix="check the indices against the shape",
        )
