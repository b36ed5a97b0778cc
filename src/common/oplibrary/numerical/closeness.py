"""Whether arrays agree, and tests of single numbers."""

from __future__ import annotations

from typing import Any

import numpy as np

from oplibrary.messages.errors import ShapeError
from oplibrary.numerical.operands import as_array, as_dtype, offered
from oplibrary.ops.comparison import (
    equal,
    isfinite,
    isinf,
    isnan,
    less_equal,
    logical_and,
    logical_not,
    logical_or,
    not_equal,
)
from oplibrary.ops.creation import zeros_like
from oplibrary.ops.elementwise import abs as magnitude
from oplibrary.ops.elementwise import imag
from oplibrary.ops.reduction import all as all_
from oplibrary.ops.signs import signbit
from oplibrary.values.dtypes import promoted
from oplibrary.values.types import broadcast_shapes


@offered
def isclose(
    a: Any, b: Any, rtol: float = 1e-05, atol: float = 1e-08, equal_nan: bool = False
) -> Any:
    """Tell of each element whether it differs from that of `b` by at most ``atol + rtol * abs(b)``.

    Infinities are close where they are equal, NaN to itself if `equal_nan` says so.

    Examples
    --------
    >>> isclose(np.array([1.0, 2.0]), np.array([1.0 + 1e-9, 2.1])).tolist()
    [True, False]
    """
    x, y = as_array(a), as_array(b)
    if y.dtype.kind in "biu":
        y = as_dtype(y, promoted(y.dtype, 1.0))
    near = less_equal(magnitude(x - y), atol + rtol * magnitude(y))
    close = logical_or(logical_and(near, isfinite(y)), equal(x, y))
    if equal_nan:
        close = logical_or(close, logical_and(isnan(x), isnan(y)))
    return close


@offered
def allclose(
    a: Any, b: Any, rtol: float = 1e-05, atol: float = 1e-08, equal_nan: bool = False
) -> Any:
    """Tell whether all elements are close; see `isclose`. In a graph it is a bool of the graph."""
    return all_(isclose(a, b, rtol, atol, equal_nan))


@offered
def array_equal(a1: Any, a2: Any, equal_nan: bool = False) -> Any:
    """Tell whether two arrays have one shape and equal elements; in a graph, a bool of the graph.

    Examples
    --------
    >>> bool(array_equal(np.array([1, 2]), np.array([1, 3])))
    False
    """
    x, y = as_array(a1), as_array(a2)
    if tuple(x.shape) != tuple(y.shape):
        return False
    same = equal(x, y)
    if equal_nan:
        same = logical_or(same, logical_and(isnan(x), isnan(y)))
    return all_(same)


@offered
def array_equiv(a1: Any, a2: Any) -> Any:
    """Tell whether two arrays have equal elements once they are broadcast."""
    x, y = as_array(a1), as_array(a2)
    try:
        broadcast_shapes(tuple(x.shape), tuple(y.shape))
    except ShapeError:
        return False
    return all_(equal(x, y))


@offered
def isposinf(x: Any) -> Any:
    """Tell of each element whether it is positive infinity."""
    x = as_array(x)
    return logical_and(isinf(x), logical_not(signbit(x)))


@offered
def isneginf(x: Any) -> Any:
    """Tell of each element whether it is negative infinity."""
    x = as_array(x)
    return logical_and(isinf(x), signbit(x))


@offered
def isreal(x: Any) -> Any:
    """Tell of each element whether its imaginary part is 0."""
    return logical_not(iscomplex(x))


@offered
def iscomplex(x: Any) -> Any:
    """Tell of each element whether its imaginary part is not 0."""
    x = as_array(x)
    if x.dtype.kind != "c":
        return zeros_like(x, dtype=np.dtype(np.bool_))
    return not_equal(imag(x), 0.0)


@offered
def iscomplexobj(x: Any) -> bool:
    """Tell whether the elements are complex numbers, whatever their values."""
    return bool(as_array(x).dtype.kind == "c")


@offered
def isrealobj(x: Any) -> bool:
    """Tell whether the elements are no complex numbers."""
    return not iscomplexobj(x)
