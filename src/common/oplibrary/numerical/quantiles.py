"""Medians and quantiles: sorted, then read between two neighbours."""

from __future__ import annotations

from typing import Any

import numpy as np

from oplibrary.messages.errors import ArgumentError, DTypeError
from oplibrary.numerical.missing_values import nanmean
from oplibrary.numerical.operands import (
    as_array,
    as_dtype,
    at_hand,
    dtype_in_numpy,
    in_line,
    is_value,
    keeping,
    offered,
    require_known,
)
from oplibrary.ops.arguments import Axis
from oplibrary.ops.comparison import greater_equal, isnan, logical_not
from oplibrary.ops.elementwise import cast, maximum, minimum, where
from oplibrary.ops.gather import take, take_along_axis
from oplibrary.ops.movement import moveaxis, reshape
from oplibrary.ops.reduction import sum as sum_
from oplibrary.ops.rounding import floor
from oplibrary.ops.sorting import sort
from oplibrary.values.dtypes import REAL, REAL_FLOATING

# medians ------------------------------------------------------------------------------------------


def _ordered(name: str, a: Any, axis: Any) -> tuple[Any, Any]:
    """Return the elements in order along one axis, the last, and the shape of ``keepdims``."""
    x = as_array(a)
    if x.dtype.kind == "c":
        raise DTypeError(
            f"{name} is not defined for {x.dtype}",
            cause="only real numbers are ordered",
            fix="take the real part or the magnitude first",
        )
    line, shape = in_line(x, axis)
    return (line if not line.shape[-1] else sort(line, axis=-1)), shape


def _or_nan(result: Any, ordered: Any) -> Any:
    """Return `result`, and NaN where the elements hold one: it stands last in order."""
    if ordered.dtype.kind not in REAL_FLOATING or not ordered.shape[-1]:
        return result
    return where(isnan(ordered[..., -1]), np.asarray(np.nan, ordered.dtype), result)


@offered
def median(a: Any, axis: Axis = None, keepdims: bool = False) -> Any:
    """Return the median over `axis`: of an even number of elements, the mean of the middle two.

    Whole numbers have one of float64. Where an element is NaN, it is.

    Examples
    --------
    >>> float(median(np.array([3.0, 1.0, 2.0, 10.0])))
    2.5
    """
    ordered, shape = _ordered("median", a, axis)
    count = ordered.shape[-1]
    require_known("median", count)
    dtype = dtype_in_numpy(np.mean, ordered)
    if not count:
        return keeping(sum_(as_dtype(ordered, dtype), axis=-1) / 0.0, shape, keepdims)
    high = as_dtype(ordered[..., count // 2], dtype)
    if not count % 2:
        high = (as_dtype(ordered[..., count // 2 - 1], dtype) + high) / 2.0
    return keeping(_or_nan(high, ordered), shape, keepdims)


@offered
def nanmedian(a: Any, axis: Axis = None, keepdims: bool = False) -> Any:
    """Return the median over `axis` of the elements that are not NaN; of none, NaN."""
    x = as_array(a)
    if x.dtype.kind not in REAL_FLOATING or not x.size:
        return median(x, axis, keepdims)
    ordered, shape = _ordered("nanmedian", x, axis)
    count = _count(ordered)
    middle = [maximum((count - 1) // 2, 0), count // 2]
    low, high = (take_along_axis(ordered, place, axis=-1)[..., 0] for place in middle)
    # the same element twice is itself, without a sum that may overflow
    mean = where((count % 2 == 1)[..., 0], high, (low + high) / 2.0)
    return keeping(mean, shape, keepdims)


def _count(ordered: Any) -> Any:
    """Return how many elements are not NaN, along an axis of length 1."""
    numbers = cast(logical_not(isnan(ordered)), dtype=np.dtype(np.int64))
    return sum_(numbers, axis=-1, keepdims=True)


# quantiles ----------------------------------------------------------------------------------------

METHODS = frozenset(
    """
    linear lower higher midpoint nearest hazen weibull median_unbiased normal_unbiased inverted_cdf
    averaged_inverted_cdf closest_observation interpolated_inverted_cdf
    """.split()
)


def _fractions(name: str, q: Any, most: float) -> Any:
    numbers = at_hand(q)
    if numbers is None:
        raise ArgumentError(
            f"{name}: q is a {type(q).__name__}",
            cause="which fractions are asked for is a constant of the operation",
            fix="pass q as a plain number or a list of them",
        )
    found = numbers / most if most != 1 else numbers
    if found.dtype.kind not in REAL or not np.all((found >= 0) & (found <= 1)):
        raise ArgumentError(
            f"{name}: q is {q!r}",
            cause=f"a fraction lies between 0 and {most:g}",
            fix=f"choose numbers from 0 to {most:g}",
        )
    # NumPy works out the places in the precision of the fractions
    return found if found.dtype.kind in REAL_FLOATING else found.astype(np.float64)


def _require_method(name: str, method: str, methods: Any) -> None:
    if method not in methods:
        raise ArgumentError(
            f"{name}: method is {method!r}",
            cause="it says what is read between two neighbours: " + ", ".join(sorted(methods)),
            fix='pass method="linear"',
        )


def _between(low: Any, high: Any, part: Any, dtype: Any) -> Any:
    """Return what lies at `part` of the way from `low` to `high`, from the nearer of both."""
    distance = high - low
    part = as_dtype(part, dtype)
    near = low + distance * part
    far = high - distance * (1 - part)
    return where(greater_equal(part, 0.5), far, near)


def _quantile(
    name: str, a: Any, q: Any, most: float, axis: Axis, method: str, keepdims: bool
) -> Any:
    _require_method(name, method, METHODS)
    fractions = _fractions(name, q, most)
    x = as_array(a)
    if x.dtype == np.bool_:
        raise DTypeError(
            f"{name} is not defined for bool",
            cause="it reads between numbers",
            fix='convert with astype("float64") first',
        )
    ordered, shape = _ordered(name, x, axis)
    function = getattr(np, name.removeprefix("nan"))
    dtype = np.asarray(
        function(np.ones(2, x.dtype), at_hand(q) if is_value(q) else q, method=method)
    ).dtype
    count = ordered.shape[-1]
    require_known(name, count)
    if not count:
        raise ArgumentError(
            f"{name} of no elements",
            cause="there is nothing between which to read",
            fix="leave out arrays without elements",
        )
    if method == "linear":
        places = fractions * (count - 1)
    else:  # of 0, 1, 2 ... the quantiles are the places themselves
        way: Any = method
        places = np.asarray(np.quantile(np.arange(float(count)), fractions, method=way))
    places = places.astype(np.float64)
    low = np.minimum(np.floor(places), count - 1).astype(np.intp)
    high = np.minimum(low + 1, count - 1)
    values = as_dtype(ordered, dtype)
    if np.array_equal(low, places):
        found = take(values, low, axis=-1)
    else:
        part = (places - low).astype(dtype)
        found = _between(take(values, low, axis=-1), take(values, high, axis=-1), part, dtype)
    if values.dtype.kind in REAL_FLOATING:
        nan = isnan(values[..., -1])
        nan = reshape(nan, shape=(*nan.shape, *(1,) * places.ndim))
        found = where(nan, np.asarray(np.nan, dtype), found)
    return _in_front(found, places.ndim, shape, keepdims)


def _in_front(found: Any, ndim: int, shape: Any, keepdims: Any) -> Any:
    """Return the result with the axes of the fractions first."""
    total = len(found.shape)
    if ndim:
        found = moveaxis(found, tuple(range(total - ndim, total)), tuple(range(ndim)))
    return reshape(found, shape=(*found.shape[:ndim], *shape)) if keepdims else found


@offered
def quantile(
    a: Any, q: Any, axis: Axis = None, method: str = "linear", keepdims: bool = False
) -> Any:
    """Return the quantiles over `axis` at the fractions `q`, whose axes come first.

    Parameters
    ----------
    a : array
        Real numbers.
    q : float or sequence of float
        From 0 to 1.
    axis : int, tuple of int or None
    method : str
        One of NumPy's ways of reading between two neighbours (Hyndman and Fan, Sample Quantiles
        in Statistical Packages, 1996).
    keepdims : bool

    Raises
    ------
    ArgumentError
        If a fraction lies outside, or there is no such method.

    Examples
    --------
    >>> quantile(np.array([0.0, 10.0]), [0.25, 0.5]).tolist()
    [2.5, 5.0]
    """
    return _quantile("quantile", a, q, 1, axis, method, keepdims)


@offered
def percentile(
    a: Any, q: Any, axis: Axis = None, method: str = "linear", keepdims: bool = False
) -> Any:
    """Return the quantiles over `axis` at `q` hundredths; see `quantile`.

    Examples
    --------
    >>> float(percentile(np.array([0.0, 10.0]), 25))
    2.5
    """
    return _quantile("percentile", a, q, 100, axis, method, keepdims)


def _nanquantile(
    name: str, a: Any, q: Any, most: float, axis: Axis, method: str, keepdims: bool
) -> Any:
    x = as_array(a)
    if x.dtype.kind not in REAL_FLOATING:
        return _quantile(name, x, q, most, axis, method, keepdims)
    _require_method(name, method, ("linear",))
    fractions = _fractions(name, q, most)
    if not x.size:  # without axes for `q`, as in NumPy
        return nanmean(x, axis, keepdims)
    dtype = np.asarray(
        getattr(np, name)(np.ones(2, x.dtype), at_hand(q) if is_value(q) else q)
    ).dtype
    ordered, shape = _ordered(name, x, axis)
    count = _count(ordered)
    line = reshape(fractions, shape=(-1,))
    last = maximum(count - 1, 0)
    wide = np.dtype(np.float64)
    places = cast(line * cast(last, dtype=line.dtype), dtype=wide)
    low = cast(minimum(floor(places), cast(last, dtype=wide)), dtype=np.dtype(np.int64))
    high = minimum(low + 1, last)
    values = as_dtype(ordered, dtype)
    part = places - cast(low, dtype=wide)
    below, above = (take_along_axis(values, place, axis=-1) for place in (low, high))
    found = _between(below, above, part, dtype)
    found = reshape(found, shape=(*found.shape[:-1], *fractions.shape))
    return _in_front(found, fractions.ndim, shape, keepdims)


@offered
def nanquantile(
    a: Any, q: Any, axis: Axis = None, method: str = "linear", keepdims: bool = False
) -> Any:
    """Return the quantiles over `axis` of the elements that are not NaN; of none, NaN.

    The parameters are those of `quantile`; the only method is ``"linear"``.
    """
    return _nanquantile("nanquantile", a, q, 1, axis, method, keepdims)


@offered
def nanpercentile(
    a: Any, q: Any, axis: Axis = None, method: str = "linear", keepdims: bool = False
) -> Any:
    """Return the quantiles at `q` hundredths of the elements that are not NaN; of none, NaN."""
    return _nanquantile("nanpercentile", a, q, 100, axis, method, keepdims)
