"""Differences along an axis and what is made of them: slopes, areas, interpolation."""

from __future__ import annotations

from math import pi
from typing import Any

import numpy as np

from oplibrary.messages.errors import ArgumentError, DTypeError, ShapeError
from oplibrary.numerical.operands import along, as_array, as_dtype, dtype_in_numpy, flat, offered
from oplibrary.ops.arguments import Axis
from oplibrary.ops.broadcasting import diff
from oplibrary.ops.comparison import equal, greater, isnan, less, logical_and
from oplibrary.ops.elementwise import abs as magnitude
from oplibrary.ops.elementwise import clip, remainder, where
from oplibrary.ops.gather import take
from oplibrary.ops.joining import concat
from oplibrary.ops.movement import reshape
from oplibrary.ops.reduction import sum as sum_
from oplibrary.ops.scan import cumulative_sum
from oplibrary.ops.searching import searchsorted
from oplibrary.ops.sorting import argsort
from oplibrary.values.dtypes import castable, promoted
from oplibrary.values.types import normalize_axes, normalize_axis, number_kind


@offered
def ediff1d(ary: Any, to_end: Any = None, to_begin: Any = None) -> Any:
    """Return the differences of neighbours of one line, with elements before and behind them.

    Examples
    --------
    >>> ediff1d(np.array([1, 4, 9]), to_begin=0).tolist()
    [0, 3, 5]
    """
    line = flat(ary)
    found = diff(line, axis=0)
    ends = [None if x is None else flat(x) for x in (to_begin, to_end)]
    for x in ends:
        if x is not None and not castable(x.dtype, line.dtype, casting="same_kind"):
            raise ArgumentError(
                f"ediff1d: elements of {x.dtype} beside differences of {line.dtype}",
                cause="the result has the dtype of the array",
                fix="convert the array with astype first",
            )
    begin, end = (None if x is None else as_dtype(x, line.dtype) for x in ends)
    return concat([x for x in (begin, found, end) if x is not None], axis=0)


@offered
def trapezoid(y: Any, x: Any = None, dx: float = 1.0, axis: int = -1) -> Any:
    """Return the area under `y` along `axis`, with straight lines between the points.

    Parameters
    ----------
    y : array
    x : array, optional
        Where the points lie; by default `dx` apart.
    dx : float
    axis : int

    Examples
    --------
    >>> float(trapezoid(np.array([1.0, 2.0, 3.0])))
    4.0
    """
    y = as_array(y)
    at = normalize_axis(axis, len(y.shape))
    step: Any = dx
    if x is not None:
        x = as_array(x)
        if len(x.shape) == 1:
            step = reshape(diff(x, axis=0), shape=((-1,) + (1,) * (len(y.shape) - 1 - at)))
        else:
            step = diff(x, axis=axis)
    return sum_(step * (along(y, at, slice(1, None)) + along(y, at, slice(-1))) / 2.0, axis=at)


# slopes -------------------------------------------------------------------------------------------


def _spacings(f: Any, axes: tuple[int, ...], given: tuple[Any, ...]) -> list[Any]:
    if not given:
        return [1.0] * len(axes)
    if len(given) == 1 and not len(getattr(given[0], "shape", np.shape(given[0]))):
        given = given * len(axes)
    if len(given) != len(axes):
        raise ArgumentError(
            f"gradient: {len(given)} spacings for {len(axes)} axes",
            cause="each axis has a spacing of its own, or all have one",
            fix="pass one number, or one number or array for each axis",
        )
    found = []
    for each, axis in zip(given, axes, strict=True):
        x: Any = as_array(each) if number_kind(each) is None else each
        if len(getattr(x, "shape", ())):
            if len(x.shape) != 1 or x.shape[0] != f.shape[axis]:
                raise ShapeError(
                    f"gradient: coordinates of shape {tuple(x.shape)} along axis {axis} of "
                    f"{tuple(f.shape)}",
                    cause="each point along the axis has one coordinate",
                    fix="pass as many coordinates as the axis has elements",
                )
            if x.dtype.kind in "iu":
                x = as_dtype(x, np.dtype(np.float64))
            x = diff(x, axis=0)
        found.append(x)
    return found


@offered
def gradient(f: Any, *varargs: Any, axis: Axis = None, edge_order: int = 1) -> Any:
    """Return the slopes of `f` along axes: central differences inside, one-sided at the ends.

    Parameters
    ----------
    f : array
    *varargs : number or array
        The distance of neighbours, or their coordinates, one for all axes or one for each.
    axis : int or tuple of int, optional
        All by default.
    edge_order : {1, 2}
        The order of accuracy at the ends (Fornberg, Generation of Finite Difference Formulas on
        Arbitrarily Spaced Grids, 1988).

    Returns
    -------
    array or tuple of array
        One for each axis.

    Examples
    --------
    >>> gradient(np.array([1.0, 4.0, 9.0])).tolist()
    [3.0, 4.0, 5.0]
    """
    f = as_array(f)
    axes = normalize_axes(axis, len(f.shape))
    if isinstance(axis, (tuple, list)):
        axes = tuple(normalize_axis(each, len(f.shape)) for each in axis)
    if edge_order not in (1, 2):
        raise ArgumentError(
            f"gradient: edge_order is {edge_order!r}",
            cause="slopes at the ends are of first or second order",
            fix="pass edge_order=1 or edge_order=2",
        )
    steps = _spacings(f, axes, varargs)
    f = as_dtype(f, dtype_in_numpy(np.gradient, f))
    found = tuple(_slopes(f, at, h, edge_order) for at, h in zip(axes, steps, strict=True))
    return found[0] if len(found) == 1 else found


def _slopes(f: Any, at: int, h: Any, order: int) -> Any:
    length = f.shape[at]
    if length < order + 1:
        raise ShapeError(
            f"gradient: axis {at} has length {length}",
            cause=f"slopes take {order + 1} points or more",
            fix="leave the axis out, or give it more elements",
        )

    def at_(index: Any) -> Any:
        return along(f, at, index)

    def side(h: Any) -> Any:
        return reshape(h, shape=((-1,) + (1,) * (len(f.shape) - at - 1)))

    low, mid, high = at_(slice(None, -2)), at_(slice(1, -1)), at_(slice(2, None))
    uniform = not len(getattr(h, "shape", ()))
    if uniform:
        inner = (high - low) / (2.0 * h)
    else:
        one, two = side(h[:-1]), side(h[1:])
        a, b, c = -two / (one * (one + two)), (two - one) / (one * two), one / (two * (one + two))
        inner = a * low + b * mid + c * high
    first, last = (h, h) if uniform else (h[0], h[-1])
    if order == 1:
        left = (at_(slice(1, 2)) - at_(slice(0, 1))) / first
        right = (at_(slice(-1, None)) - at_(slice(-2, -1))) / last
    else:
        begin = [at_(slice(i, i + 1)) for i in range(3)]
        end = [at_(slice(length - i, length - i + 1)) for i in (3, 2, 1)]
        if uniform:
            left = (-1.5 * begin[0] + 2.0 * begin[1] - 0.5 * begin[2]) / h
            right = (0.5 * end[0] - 2.0 * end[1] + 1.5 * end[2]) / h
        else:
            one, two = h[0], h[1]
            a = -(2.0 * one + two) / (one * (one + two))
            b, c = (one + two) / (one * two), -one / (two * (one + two))
            left = a * begin[0] + b * begin[1] + c * begin[2]
            one, two = h[-2], h[-1]
            a, b = two / (one * (one + two)), -(two + one) / (one * two)
            c = (2.0 * two + one) / (two * (one + two))
            right = a * end[0] + b * end[1] + c * end[2]
    parts = [as_dtype(part, f.dtype) for part in (left, inner, right)]
    return concat(parts if length > 2 else parts[::2], axis=at)


# interpolation ------------------------------------------------------------------------------------


@offered
def interp(
    x: Any, xp: Any, fp: Any, left: Any = None, right: Any = None, period: float | None = None
) -> Any:
    """Return the values at `x` of the straight lines between the points ``(xp, fp)``.

    Parameters
    ----------
    x : array
    xp : array, (n,)
        In ascending order, unless there is a period.
    fp : array, (n,)
    left, right : number, optional
        Values below ``xp[0]`` and above ``xp[-1]``; by default those at the ends.
    period : float, optional
        Of the coordinates.

    Returns
    -------
    array
        float64, or complex128 where `fp` is complex.

    Examples
    --------
    >>> interp(np.array([0.5, 3.0]), np.array([0.0, 1.0]), np.array([10.0, 20.0])).tolist()
    [15.0, 20.0]
    """
    x, xp, fp = as_array(x), as_array(xp), as_array(fp)
    if len(xp.shape) != 1 or tuple(xp.shape) != tuple(fp.shape) or not xp.shape[0]:
        raise ShapeError(
            f"interp: points of shapes {tuple(xp.shape)} and {tuple(fp.shape)}",
            cause="each point has one coordinate and one value",
            fix="pass two vectors of one length",
        )
    for each in (x, xp):
        if each.dtype.kind == "c":
            raise DTypeError(
                f"interp is not defined for coordinates of {each.dtype}",
                cause="only real numbers are ordered; what is read between them may be complex",
                fix="take the real part or the magnitude first",
            )
    x, xp = as_dtype(x, np.dtype(np.float64)), as_dtype(xp, np.dtype(np.float64))
    fp = as_dtype(fp, np.dtype(np.complex128 if fp.dtype.kind == "c" else np.float64))
    if period is not None:
        if period == 0:
            raise ArgumentError(
                "interp: period is 0", cause="coordinates repeat after it", fix="leave it out"
            )
        period = magnitude(period) if hasattr(period, "shape") else abs(period)
        x, xp = remainder(x, period), remainder(xp, period)
        order = argsort(xp, axis=0)
        xp, fp = take(xp, order, axis=0), take(fp, order, axis=0)
        xp = concat([xp[-1:] - period, xp, xp[:1] + period], axis=0)
        fp = concat([fp[-1:], fp, fp[:1]], axis=0)
        left = right = None
    count = xp.shape[0]
    low_value = fp[0] if left is None else left
    high_value = fp[-1] if right is None else right
    if count == 1:
        found = where(equal(x, x), fp[0], x)
    else:
        place = clip(searchsorted(xp, x, side="right") - 1, 0, count - 2)
        line = reshape(place, shape=(-1,))
        low, high, value, after = (
            reshape(take(points, at, axis=0), shape=tuple(x.shape))
            for points, at in ((xp, line), (xp, line + 1), (fp, line), (fp, line + 1))
        )
        inside = logical_and(greater(x, low), less(x, high))
        width = where(inside, high - low, 1.0)
        found = where(inside, (after - value) / width * (x - low) + value, value)
        found = where(equal(x, high), after, found)
        found = where(isnan(x), x, found)
    found = where(less(x, xp[0]), low_value, found)
    found = where(greater(x, xp[-1]), high_value, found)
    return as_dtype(found, fp.dtype)


@offered
def unwrap(p: Any, discont: float | None = None, axis: int = -1, period: float = 2 * pi) -> Any:
    """Return angles without jumps: each step of more than half a period is made a smaller one.

    Examples
    --------
    >>> unwrap(np.array([0, 3, 1, 4]), period=4).tolist()
    [0, -1, -3, -4]
    """
    p = as_array(p)
    at = normalize_axis(axis, len(p.shape))
    steps = diff(p, axis=at)
    dtype = promoted(steps.dtype, period)
    if discont is None:
        discont = period / 2
    if dtype.kind in "iu":
        high, rest = divmod(period, 2)
        ambiguous = rest == 0
    else:
        high, ambiguous = period / 2, True
    wrapped = remainder(steps + high, period) - high
    if ambiguous:
        up = logical_and(equal(wrapped, -high), greater(steps, 0))
        wrapped = where(up, np.asarray(high, wrapped.dtype), wrapped)
    correction = wrapped - steps
    none = np.asarray(0, correction.dtype)
    correction = where(less(magnitude(steps), discont), none, correction)
    rest_ = along(p, at, slice(1, None)) + cumulative_sum(correction, axis=at)
    return concat([as_dtype(along(p, at, slice(0, 1)), dtype), as_dtype(rest_, dtype)], axis=at)
