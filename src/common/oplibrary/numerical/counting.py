"""How often values occur: histograms, bins, distinct values of several arrays."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np

from oplibrary.messages.errors import ArgumentError, DTypeError, ShapeError
from oplibrary.numerical.operands import (
    as_array,
    as_dtype,
    at_hand,
    flat,
    is_value,
    known,
    offered,
    shape_from_values,
    together,
)
from oplibrary.ops.arguments import require_int
from oplibrary.ops.broadcasting import diff
from oplibrary.ops.comparison import equal, less_equal
from oplibrary.ops.effects import assert_
from oplibrary.ops.elementwise import add, cast, multiply, where
from oplibrary.ops.gather import take
from oplibrary.ops.joining import concat
from oplibrary.ops.reduction import all as all_
from oplibrary.ops.reduction import max as greatest
from oplibrary.ops.reduction import min as least
from oplibrary.ops.reduction import sum as sum_
from oplibrary.ops.scan import cumulative_sum
from oplibrary.ops.scatter import scatter_add
from oplibrary.ops.searching import isin, searchsorted
from oplibrary.ops.sorting import argsort, sort, unique_values
from oplibrary.values.dtypes import FLOATING, REAL_FLOATING, promoted

FLOAT64 = np.dtype(np.float64)


# bins ---------------------------------------------------------------------------------------------


@offered
def digitize(x: Any, bins: Any, right: bool = False) -> Any:
    """Return the number of the bin of each element: bin i is from ``bins[i-1]`` to ``bins[i]``.

    Parameters
    ----------
    x : array
    bins : array, (n,)
        In ascending or descending order.
    right : bool
        Whether the right end of a bin belongs to it, in place of the left one.

    Examples
    --------
    >>> digitize(np.array([0.5, 2.5]), np.array([0.0, 1.0, 2.0])).tolist()
    [1, 3]
    """
    x, bins = as_array(x), as_array(bins)
    if len(bins.shape) != 1:
        raise ShapeError(
            f"digitize: bins of shape {tuple(bins.shape)}",
            cause="the ends of the bins stand in one row",
            fix="flatten them first",
        )
    side = "left" if right else "right"
    upward = searchsorted(bins, x, side=side)
    # compared, since differences of whole numbers may wrap around
    rising, falling = all_(bins[1:] >= bins[:-1]), all_(bins[1:] <= bins[:-1])
    if known(bins) is not None:
        if rising:
            return upward
        if not falling:
            raise ArgumentError(
                "digitize: the bins are in no order",
                cause="each bin ends where the next one begins",
                fix="pass sort(bins)",
            )
    else:
        assert_(rising | falling, "digitize: the bins are in no order")
    downward = bins.shape[0] - searchsorted(bins[::-1], x, side=side)
    return where(rising, upward, downward)


def _length(function: str, x: Any, minlength: int) -> int:
    if not x.shape[0]:
        return minlength
    numbers = at_hand(x)
    if numbers is None:
        raise shape_from_values(
            function,
            "how many bins there are, the greatest element and one more,",
            "choose n, at least the greatest element and one more, and write "
            "sg.scatter_add(sg.zeros(n), x, sg.ones(x.shape))",
        )
    if numbers.min() < 0:
        raise ArgumentError(
            f"{function}: an element is {int(numbers.min())}",
            cause="each element is the number of its bin, counted from 0",
            fix="shift them: x - min(x)",
        )
    return max(int(numbers.max()) + 1, minlength)


@offered
def bincount(x: Any, weights: Any = None, minlength: int = 0) -> Any:
    """Return how often each whole number from 0 on occurs, or the sum of its weights.

    Parameters
    ----------
    x : array of integers, (n,)
        None negative.
    weights : array, (n,), optional
        Gradients go to them.
    minlength : int
        The least length of the result.

    Raises
    ------
    DataDependentShapeError
        If `x` is a static value: the length of the result is ``max(x) + 1``.

    Examples
    --------
    >>> bincount(np.array([0, 2, 2])).tolist()
    [1, 0, 2]
    """
    x = as_array(x)
    if len(x.shape) != 1 or (x.dtype.kind not in "biu" and x.shape[0]) or x.dtype == np.uint64:
        raise DTypeError(
            f"bincount of {x.dtype} of shape {tuple(x.shape)}",
            cause="each element of a vector is the number of its bin",
            fix='flatten and convert it: x.flatten().astype("int64")',
        )
    if require_int(minlength, "minlength") < 0:
        raise ArgumentError(
            f"bincount: minlength is {minlength}", cause="it is a length", fix="pass 0 or more"
        )
    x = as_dtype(x, np.dtype(np.int64))
    length = _length("bincount", x, int(minlength))
    if weights is None:
        return scatter_add(np.zeros(length, np.int64), x, np.ones(tuple(x.shape), np.int64))
    weights = as_array(weights)
    if weights.dtype.kind == "c":
        raise DTypeError(
            "bincount: complex weights", cause="NumPy adds real ones", fix="count both parts"
        )
    if tuple(weights.shape) != tuple(x.shape):
        raise ShapeError(
            f"bincount: weights of shape {tuple(weights.shape)} for {tuple(x.shape)}",
            cause="each element has a weight",
            fix="give both one shape",
        )
    return scatter_add(np.zeros(length), x, as_dtype(weights, FLOAT64))


def _edges(name: str, a: Any, bins: Any, range: Any) -> Any:
    if isinstance(bins, str):
        raise ArgumentError(
            f"{name}: bins is {bins!r}",
            cause="the number of bins would follow from the elements",
            fix="pass a number of bins, or their edges",
        )
    if is_value(bins) or np.ndim(bins):
        edges = as_array(bins)
        if len(edges.shape) != 1:
            raise ShapeError(
                f"{name}: edges of shape {tuple(edges.shape)}",
                cause="the edges of the bins stand in one row",
                fix="flatten them first",
            )
        given = known(edges)
        if given is None:
            assert_(all_(edges[1:] >= edges[:-1]), f"{name}: the edges are not in order")
        elif np.any(given[:-1] > given[1:]):
            raise ArgumentError(
                f"{name}: the edges are not in order",
                cause="each bin ends where the next one begins",
                fix="pass sort(bins)",
            )
        return edges
    count = require_int(bins, "bins")
    if count < 1:
        raise ArgumentError(f"{name}: {count} bins", cause="there is one or more", fix="pass 10")
    dtype = promoted(a.dtype, np.float64) if a.dtype.kind in "biu" else a.dtype
    if range is not None or not a.shape[0]:
        first, last = (0.0, 1.0) if range is None else range
        if not np.isfinite(first) or not np.isfinite(last) or first > last:
            raise ArgumentError(
                f"{name}: range is {range!r}",
                cause="it reaches from a number to a greater one",
                fix="pass range=(0.0, 1.0)",
            )
        if first == last:
            first, last = first - 0.5, last + 0.5
        dtype = promoted(first, last, np.empty(0, a.dtype))
        dtype = dtype if dtype.kind in REAL_FLOATING else FLOAT64
        return np.linspace(first, last, count + 1, dtype=dtype)
    low, high = as_dtype(least(a), dtype), as_dtype(greatest(a), dtype)
    alone = equal(low, high)
    low, high = where(alone, low - 0.5, low), where(alone, high + 0.5, high)
    places = np.arange(count, dtype=dtype)
    inner = places * ((high - low) / count) + low
    return as_dtype(concat([inner, high.reshape((1,))], axis=0), dtype)


@offered
def histogram_bin_edges(a: Any, bins: Any = 10, range: Any = None) -> Any:
    """Return the edges of the bins that `histogram` would count in."""
    return _edges("histogram_bin_edges", flat(a), bins, range)


def _places(ordered: Any, edges: Any) -> Any:
    """Return how many elements stand before each edge; the last bin has both of its ends."""
    last = searchsorted(ordered, edges[-1:], side="right")
    return concat([searchsorted(ordered, edges[:-1]), last], axis=0)


def _weighed(line: Any, edges: Any, weights: Any) -> Any:
    """Return the sum of the weights in each bin; a large one, or NaN, is in no other bin's."""
    count = edges.shape[0] - 1
    place = searchsorted(edges, line, side="right") - 1
    place = where(equal(line, edges[-1]), count - 1, place)
    place = where(less_equal(0, place), place, count)  # what is in no bin comes behind all
    place = where(less_equal(place, count), place, count)
    wide = as_dtype(weights, promoted(weights.dtype, FLOAT64))
    found = scatter_add(np.zeros(count + 1, wide.dtype), place, wide)[:-1]
    return as_dtype(found, weights.dtype)


@offered
def histogram(
    a: Any, bins: Any = 10, range: Any = None, density: bool = False, weights: Any = None
) -> tuple[Any, Any]:
    """Return how many elements lie in each bin, and the edges of the bins.

    Parameters
    ----------
    a : array
    bins : int or array
        How many of one width, or the edges in order.
    range : (float, float), optional
        From where to where bins of one width reach; by default the least and greatest element.
    density : bool
        Whether the counts are divided so that the area is 1.
    weights : array, optional
        What each element counts. Gradients go to them.

    Returns
    -------
    counts : array, (n,)
    edges : array, (n + 1,)
        The last bin has both of its ends, the others the left one.

    Examples
    --------
    >>> counts, edges = histogram(np.array([1.0, 2.0, 2.0, 4.0]), bins=2)
    >>> counts.tolist(), edges.tolist()
    ([3, 1], [1.0, 2.5, 4.0])
    """
    given = as_array(a)
    line = flat(given)
    edges = _edges("histogram", line, bins, range)
    if line.dtype == np.bool_:
        line = as_dtype(line, np.dtype(np.uint8))
    if weights is not None:
        weights = as_array(weights)
        if tuple(weights.shape) != tuple(given.shape):
            raise ShapeError(
                f"histogram: weights of shape {tuple(weights.shape)} for {tuple(given.shape)}",
                cause="each element has a weight",
                fix="give both one shape",
            )
        weights = flat(weights)
    if weights is None:
        counts = diff(_places(sort(line, axis=0) if line.shape[0] else line, edges), axis=0)
    elif is_value(bins) or np.ndim(bins):
        order = argsort(line, axis=0)
        running = cumulative_sum(take(weights, order, axis=0), axis=0)
        running = concat([np.zeros(1, weights.dtype), running], axis=0)
        counts = diff(take(running, _places(take(line, order, axis=0), edges), axis=0), axis=0)
        counts = as_dtype(counts, weights.dtype)
    else:
        counts = _weighed(line, edges, weights)
    if density:
        shares = counts / as_dtype(diff(edges, axis=0), np.dtype(np.float64))
        counts = shares / sum_(counts)
    return counts, edges


def _columns(sample: Any) -> list[Any]:
    """Return the coordinates of points: an array has a point a row, a list a coordinate each."""
    if not hasattr(sample, "shape"):
        listed = [as_array(each) for each in sample]
        return (
            [flat(each) for each in listed]
            if any(each.shape for each in listed)
            else [as_array(sample)]
        )
    if len(sample.shape) != 2:
        return [flat(sample)]
    return [sample[:, i] for i in np.arange(sample.shape[1]).tolist()]


def _each_of(name: str, what: str, value: Any, count: int) -> list[Any]:
    if len(value) != count:
        raise ArgumentError(
            f"{name}: {len(value)} {what} for {count} coordinates",
            cause="each coordinate has its own",
            fix=f"pass {count} of them, or one for all",
        )
    return list(value)


@offered
def histogramdd(
    sample: Any, bins: Any = 10, range: Any = None, density: bool = False, weights: Any = None
) -> tuple[Any, list[Any]]:
    """Return how many points lie in each box of a grid, and the edges along each coordinate.

    Parameters
    ----------
    sample : array, (n, d), or list of d arrays, (n,)
    bins : int, or list of int or array
        How many of one width, along all coordinates or each, or the edges in order.
    range : list of (float, float) or None, optional
        Along each coordinate from where to where bins of one width reach; by default the least and
        greatest element.
    density : bool
        Whether the counts are divided so that the volume is 1.
    weights : array, (n,), optional
        What each point counts. Gradients go to them.

    Returns
    -------
    counts : array of float64
        With an axis for each coordinate.
    edges : list of array

    Examples
    --------
    >>> counts, _ = histogramdd([np.array([0.0, 1.0, 1.0]), np.array([0.0, 1.0, 0.4])], bins=2)
    >>> counts.tolist()
    [[1.0, 0.0], [1.0, 1.0]]
    """
    name = "histogramdd"
    columns = _columns(sample)
    count = len(columns)
    one = (
        not is_value(bins) and np.ndim(bins) == 0 if not isinstance(bins, (list, tuple)) else False
    )
    each_bins = [bins] * count if one else _each_of(name, "bins", bins, count)
    ranges = [None] * count if range is None else _each_of(name, "ranges", range, count)
    edges = [_edges(name, *each) for each in zip(columns, each_bins, ranges, strict=True)]
    place: Any = 0
    lengths = [int(each.shape[0]) + 1 for each in edges]  # with what lies outside, on both sides
    for x, ends, length in zip(columns, edges, lengths, strict=True):
        number = searchsorted(ends, as_dtype(x, promoted(x.dtype, ends.dtype)), side="right")
        # the last bin has both of its ends
        number = number - as_dtype(equal(x, ends[-1]), number.dtype)
        place = add(multiply(place, length), number)
    if weights is None:
        found = as_dtype(
            scatter_add(
                np.zeros(prod(lengths), np.int64), place, np.ones(tuple(place.shape), np.int64)
            ),
            FLOAT64,
        )
    else:
        weights = as_array(weights)
        if tuple(weights.shape) != tuple(place.shape):
            raise ShapeError(
                f"{name}: weights of shape {tuple(weights.shape)} for {tuple(place.shape)}",
                cause="each point has a weight",
                fix="pass a vector of one number for each",
            )
        found = scatter_add(np.zeros(prod(lengths)), place, as_dtype(weights, FLOAT64))
    counts = found.reshape(tuple(lengths))[(slice(1, -1),) * count]
    if density:
        total = sum_(counts)
        for axis, ends in enumerate(edges):
            widths = diff(ends, axis=0)
            counts = counts / widths.reshape([-1 if i == axis else 1 for i in np.arange(count)])
        counts = counts / total
    return counts, edges


@offered
def histogram2d(
    x: Any,
    y: Any,
    bins: Any = 10,
    range: Any = None,
    density: bool = False,
    weights: Any = None,
) -> tuple[Any, Any, Any]:
    """Return how many points lie in each cell of a grid, and the edges along both coordinates.

    Parameters
    ----------
    x, y : array, (n,)
    bins, range, density, weights
        As for `histogramdd`; an array of more than two numbers is the edges along both.

    Examples
    --------
    >>> counts, _, _ = histogram2d(np.array([0.0, 1.0, 1.0]), np.array([0.0, 1.0, 0.4]), bins=2)
    >>> counts.tolist()
    [[1.0, 0.0], [1.0, 1.0]]
    """
    x, y = as_array(x), as_array(y)
    if tuple(x.shape) != tuple(y.shape) or len(x.shape) != 1:
        raise ShapeError(
            f"histogram2d: coordinates of shapes {tuple(x.shape)} and {tuple(y.shape)}",
            cause="each point has both",
            fix="pass two vectors of one length",
        )
    if (isinstance(bins, (list, tuple)) or np.ndim(bins)) and len(bins) not in (1, 2):
        bins = [bins, bins]
    dtype = promoted(x.dtype, y.dtype)
    x, y = as_dtype(x, dtype), as_dtype(y, dtype)
    counts, edges = histogramdd([x, y], bins, range, density, weights)
    return counts, edges[0], edges[1]


# sets ---------------------------------------------------------------------------------------------


def distinct(x: Any) -> Any:
    """Return the distinct elements in order, in which NaN counts as one."""
    values = unique_values(flat(x))
    if values.dtype.kind not in FLOATING:
        return values
    surplus = int(sum_(cast(values != values, dtype=np.dtype(np.int64)))) - 1
    return values[: values.shape[0] - surplus] if surplus > 0 else values


@offered
def union1d(ar1: Any, ar2: Any) -> Any:
    """Return the distinct elements of two arrays in order.

    Raises
    ------
    DataDependentShapeError
        If an array is a static value.
    """
    return distinct(concat([flat(x) for x in together(ar1, ar2)], axis=0))


@offered
def intersect1d(ar1: Any, ar2: Any, assume_unique: bool = False) -> Any:
    """Return the distinct elements that are in both arrays, in order; see `union1d`."""
    both = [flat(x) if assume_unique else distinct(x) for x in (ar1, ar2)]
    joint = sort(concat(both, axis=0), axis=0)
    return joint[:-1][equal(joint[1:], joint[:-1])]


@offered
def setdiff1d(ar1: Any, ar2: Any, assume_unique: bool = False) -> Any:
    """Return the distinct elements of one array that are not in another, in order."""
    first = flat(ar1) if assume_unique else distinct(ar1)
    return first[isin(first, flat(ar2), invert=True)]


@offered
def setxor1d(ar1: Any, ar2: Any, assume_unique: bool = False) -> Any:
    """Return the distinct elements that are in one of two arrays only, in order."""
    both = [distinct(x) for x in (ar1, ar2)]
    if assume_unique:
        both = [flat(x) for x in together(ar1, ar2)]
    joint = sort(concat(both, axis=0), axis=0)
    if not joint.shape[0]:
        return joint
    edge = np.array([True])
    new = concat([edge, joint[1:] != joint[:-1], edge], axis=0)
    return joint[new[1:] & new[:-1]]
