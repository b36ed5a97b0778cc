"""Numbers at equal distances between ends that are values: ``np.linspace(x, y, 5)``."""

from __future__ import annotations

import operator
from typing import Any

import numpy as np

from oplibrary.executors.numpy.adapters import ours
from oplibrary.messages.errors import ArgumentError, DTypeError
from oplibrary.numerical.operands import as_array, as_dtype, require_known, together
from oplibrary.values.dtypes import to_dtype


def linspace(
    start: Any,
    stop: Any,
    num: int = 50,
    endpoint: bool = True,
    retstep: bool = False,
    dtype: Any = None,
    axis: int = 0,
) -> Any:
    """Return numbers at equal distances from `start` to `stop`, along a new axis."""
    count = operator.index(num)
    if count < 0:
        raise ArgumentError(f"numpy.linspace: num is {num}", cause="it counts", fix="pass 50")
    start, stop = together(start, stop)
    kind = np.linspace(np.ones(1, start.dtype), np.ones(1, stop.dtype), 2).dtype
    require_known("numpy.linspace", *start.shape, *stop.shape)
    start, stop = ours("broadcast_arrays")(as_dtype(start, kind), as_dtype(stop, kind))
    shape = tuple(start.shape)
    gaps = count - 1 if endpoint else count
    places = np.arange(count, dtype=kind).reshape((-1, *(1,) * len(shape)))
    distance = stop - start
    step = distance / gaps if gaps > 0 else np.nan
    found = start + (places * step if gaps > 0 else places * distance)
    if endpoint and count > 1:
        found = ours("concat")([found[:-1], stop[None]], axis=0)
    found = ours("moveaxis")(found, 0, axis) if axis else found
    if dtype is not None:
        whole = to_dtype(dtype).kind in "iu"
        found = as_dtype(ours("floor")(found) if whole else found, to_dtype(dtype))
    return (found, step) if retstep else found


def geomspace(
    start: Any,
    stop: Any,
    num: int = 50,
    endpoint: bool = True,
    dtype: Any = None,
    axis: int = 0,
) -> Any:
    """Return numbers of equal ratios from `start` to `stop`, along a new axis.

    Raises
    ------
    AssertionFailedError
        If an end is 0.
    DTypeError
        If an end is complex.
    """
    start, stop = as_array(start), as_array(stop)
    kind = np.geomspace(np.ones(1, start.dtype), np.ones(1, stop.dtype), 2).dtype
    if kind.kind == "c":
        raise DTypeError(
            "numpy.geomspace: complex ends",
            cause="they are taken as lengths and signs here",
            fix="take the exponential of linspace between the logarithms of the ends",
        )
    start, stop = ours("broadcast_arrays")(as_dtype(start, kind), as_dtype(stop, kind))
    for end in (start, stop):
        ours("assert_")(ours("all")(end != 0), "numpy.geomspace: an end is 0")
    sign = ours("sign")(start)
    low, high = start / sign, stop / sign
    found = logspace(ours("log10")(low), ours("log10")(high), num, endpoint, dtype=kind)
    if found.shape[0]:  # the ends as they are, not by way of their logarithms
        ends = [low[None], found[1:]]
        if endpoint and found.shape[0] > 1:
            ends = [low[None], found[1:-1], high[None]]
        found = ours("concat")(ends, axis=0)
    found = found * sign
    found = ours("moveaxis")(found, 0, axis) if axis else found
    return found if dtype is None else as_dtype(found, to_dtype(dtype))


def logspace(
    start: Any,
    stop: Any,
    num: int = 50,
    endpoint: bool = True,
    base: Any = 10.0,
    dtype: Any = None,
    axis: int = 0,
) -> Any:
    """Return the powers of `base` at equal distances of their exponents."""
    exponents = linspace(start, stop, num, endpoint, axis=axis)
    base = together(base, exponents)[0]
    if len(base.shape):
        base = ours("expand_dims")(base, axis=axis)
    found = ours("pow")(base, exponents)
    return found if dtype is None else as_dtype(found, to_dtype(dtype))
