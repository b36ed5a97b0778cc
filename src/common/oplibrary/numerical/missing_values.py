"""Reductions that leave out NaN, and NaN replaced by numbers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from oplibrary.messages.errors import ArgumentError
from oplibrary.numerical.operands import as_array, as_dtype, flat, offered
from oplibrary.ops.arguments import Axis, is_real_number
from oplibrary.ops.comparison import equal, isnan, less_equal, logical_not
from oplibrary.ops.dtypes import finfo
from oplibrary.ops.effects import assert_
from oplibrary.ops.elementwise import abs as magnitude
from oplibrary.ops.elementwise import cast, imag, real, square, where
from oplibrary.ops.exponential import sqrt
from oplibrary.ops.numbers import number_array
from oplibrary.ops.reduction import all as all_
from oplibrary.ops.reduction import argmax, argmin, prod
from oplibrary.ops.reduction import max as greatest
from oplibrary.ops.reduction import min as least
from oplibrary.ops.reduction import sum as sum_
from oplibrary.ops.scan import cumulative_prod, cumulative_sum
from oplibrary.ops.statistics import mean, std, var
from oplibrary.values.dtypes import FLOATING, REAL_FLOATING, to_dtype
from oplibrary.values.types import number_kind


def _has_nan(x: Any) -> bool:
    return x.dtype.kind in FLOATING


def _filled(x: Any, value: float) -> Any:
    return where(isnan(x), np.asarray(value, x.dtype), x) if _has_nan(x) else x


def _summed(x: Any, dtype: Any, reduce: Callable[..., Any], **given: Any) -> Any:
    if dtype is None:
        return reduce(x, **given)
    return as_dtype(reduce(as_dtype(x, to_dtype(dtype)), **given), to_dtype(dtype))


@offered
def nansum(a: Any, axis: Axis = None, dtype: Any = None, keepdims: bool = False) -> Any:
    """Return the sum over `axis` of the elements that are not NaN.

    Examples
    --------
    >>> float(nansum(np.array([1.0, np.nan, 2.0])))
    3.0
    """
    return _summed(_filled(as_array(a), 0), dtype, sum_, axis=axis, keepdims=keepdims)


@offered
def nanprod(a: Any, axis: Axis = None, dtype: Any = None, keepdims: bool = False) -> Any:
    """Return the product over `axis` of the elements that are not NaN."""
    return _summed(_filled(as_array(a), 1), dtype, prod, axis=axis, keepdims=keepdims)


def _running(x: Any, value: float, axis: Any, dtype: Any, scan: Callable[..., Any]) -> Any:
    x = _filled(as_array(x), value)
    if axis is None:
        x, axis = flat(x), 0
    return _summed(x, dtype, scan, axis=axis)


@offered
def nancumsum(a: Any, axis: int | None = None, dtype: Any = None) -> Any:
    """Return the running sum along `axis`, or of one line, in which NaN counts as 0."""
    return _running(a, 0, axis, dtype, cumulative_sum)


@offered
def nancumprod(a: Any, axis: int | None = None, dtype: Any = None) -> Any:
    """Return the running product along `axis`, or of one line, in which NaN counts as 1."""
    return _running(a, 1, axis, dtype, cumulative_prod)


def _extremum(a: Any, worst: float, reduce: Any, axis: Any, keepdims: Any) -> Any:
    x = as_array(a)
    if not _has_nan(x):
        return reduce(x, axis=axis, keepdims=keepdims)
    found = reduce(_filled(x, worst), axis=axis, keepdims=keepdims)
    nothing = all_(isnan(x), axis=axis, keepdims=keepdims)
    return where(nothing, np.asarray(np.nan, x.dtype), found)


@offered
def nanmax(a: Any, axis: Axis = None, keepdims: bool = False) -> Any:
    """Return the greatest element over `axis` that is not NaN; NaN where there is none."""
    return _extremum(a, -np.inf, greatest, axis, keepdims)


@offered
def nanmin(a: Any, axis: Axis = None, keepdims: bool = False) -> Any:
    """Return the least element over `axis` that is not NaN; NaN where there is none."""
    return _extremum(a, np.inf, least, axis, keepdims)


def _place(name: str, a: Any, worst: float, find: Any, axis: Any, keepdims: Any) -> Any:
    x = as_array(a)
    if not _has_nan(x):
        return find(x, axis=axis, keepdims=keepdims)
    found = find(_filled(x, worst), axis=axis, keepdims=keepdims)  # refuses what has no elements
    nothing = all_(isnan(x), axis=axis)
    assert_(logical_not(nothing), f"{name}: a part of the array holds nothing but NaN")
    return found


@offered
def nanargmax(a: Any, axis: int | None = None, keepdims: bool = False) -> Any:
    """Return where along `axis` the greatest element stands that is not NaN.

    Raises
    ------
    AssertionFailedError
        If there is nothing but NaN.
    """
    return _place("nanargmax", a, -np.inf, argmax, axis, keepdims)


@offered
def nanargmin(a: Any, axis: int | None = None, keepdims: bool = False) -> Any:
    """Return where along `axis` the least element stands that is not NaN; see `nanargmax`."""
    return _place("nanargmin", a, np.inf, argmin, axis, keepdims)


# means --------------------------------------------------------------------------------------------


def _count(x: Any, axis: Any, keepdims: bool) -> Any:
    real = np.empty(0, x.dtype).real.dtype
    return sum_(cast(logical_not(isnan(x)), dtype=real), axis=axis, keepdims=keepdims)


@offered
def nanmean(a: Any, axis: Axis = None, keepdims: bool = False) -> Any:
    """Return the mean over `axis` of the elements that are not NaN; NaN where there is none.

    Examples
    --------
    >>> float(nanmean(np.array([1.0, np.nan, 2.0])))
    1.5
    """
    x = as_array(a)
    if not _has_nan(x):
        return mean(x, axis=axis, keepdims=keepdims)
    return sum_(_filled(x, 0), axis=axis, keepdims=keepdims) / _count(x, axis, keepdims)


@offered
def nanvar(a: Any, axis: Axis = None, ddof: float = 0, keepdims: bool = False) -> Any:
    """Return the variance over `axis` of the elements that are not NaN.

    The squares are divided by their number less `ddof`; where that is not positive, it is NaN.
    """
    x = as_array(a)
    if not _has_nan(x):
        return var(x, axis=axis, correction=ddof, keepdims=keepdims)
    gone = isnan(x)
    away = where(gone, np.asarray(0, x.dtype), x - nanmean(x, axis, True))
    squares = square(magnitude(away) if x.dtype.kind == "c" else away)
    free = _count(x, axis, keepdims) - ddof
    none = less_equal(free, 0)
    total = sum_(squares, axis=axis, keepdims=keepdims) / where(none, 1.0, free)
    return where(none, np.asarray(np.nan, total.dtype), total)


@offered
def nanstd(a: Any, axis: Axis = None, ddof: float = 0, keepdims: bool = False) -> Any:
    """Return the standard deviation over `axis` of the elements that are not NaN; see `nanvar`.

    Its gradient is 0 where all of them are equal, as that of `std`.
    """
    x = as_array(a)
    if not _has_nan(x):
        return std(x, axis=axis, correction=ddof, keepdims=keepdims)
    spread = nanvar(x, axis, ddof, keepdims)
    zero = equal(spread, 0.0)
    return where(zero, np.asarray(0.0, spread.dtype), sqrt(where(zero, 1.0, spread)))


# replaced -----------------------------------------------------------------------------------------


@offered
def nan_to_num(x: Any, nan: Any = 0.0, posinf: Any = None, neginf: Any = None) -> Any:
    """Return the array with numbers in place of NaN and of both infinities.

    Parameters
    ----------
    x : array
    nan : number
    posinf, neginf : number, optional
        By default the greatest and the least number of the dtype.

    Raises
    ------
    ArgumentError
        If one that is not finite is to stand in complex numbers.

    Examples
    --------
    >>> nan_to_num(np.array([1.0, np.nan])).tolist()
    [1.0, 0.0]
    """
    x = as_array(x)
    if x.dtype.kind == "c":
        for name, value in (("nan", nan), ("posinf", posinf), ("neginf", neginf)):
            if is_real_number(value) and not np.isfinite(value):
                raise ArgumentError(
                    f"nan_to_num: {name} is {value} for {x.dtype}",
                    cause="a product puts the parts together, which gives NaN in both of them",
                    fix="pass finite numbers, or replace in the real and the imaginary part apart",
                )
        parts = [nan_to_num(part, nan, posinf, neginf) for part in (real(x), imag(x))]
        return as_dtype(parts[0] + parts[1] * 1j, x.dtype)
    if x.dtype.kind not in REAL_FLOATING:
        return x
    limits = finfo(x.dtype)
    high = limits.max if posinf is None else posinf
    low = limits.min if neginf is None else neginf
    for place, value in ((isnan(x), nan), (equal(x, np.inf), high), (equal(x, -np.inf), low)):
        if number_kind(value) is not None or not hasattr(value, "dtype"):
            value = number_array(value, x.dtype)
        x = as_dtype(where(place, value, x), x.dtype)
    return x
