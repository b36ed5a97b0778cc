"""How two results differ: bit for bit, and by how much."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from oplibrary.values.dtypes import FLOATING, REAL_FLOATING
from oplibrary.values.types import Array, type_of_array

Digest = int | tuple[Any, ...] | None


def digest(result: Any) -> Digest:
    """Return a number that equal results share, whichever NaN they hold; None for no result."""
    if type(result) is tuple:
        return tuple(map(digest, result))
    if result is None:
        return None
    array = np.asarray(result, order="C")
    if array.dtype.kind in FLOATING:
        nan = np.isnan(array)
        if nan.any():
            array = np.where(nan, np.array(np.nan, array.dtype), array)
    return hash((array.dtype.str, array.shape, array.tobytes()))


def same(first: Digest, second: Digest) -> bool:
    """Tell whether two digests are of equal results; a result that was left out equals any."""
    if first is None or second is None:
        return True
    if isinstance(first, tuple) and isinstance(second, tuple):
        return len(first) == len(second) and all(map(same, first, second))
    return first == second


class Difference(NamedTuple):
    """How a result differs from the one expected.

    Attributes
    ----------
    ulps : int
        The largest distance in units in the last place, 1 for zeros of unlike signs; a very large
        one where they cannot be compared.
    text : str
    """

    ulps: int
    text: str


_INCOMPARABLE = 1 << 64
_FEW = 1 << 20


def differ(expected: Any, found: Any) -> Difference | None:
    """Return how `found` differs from `expected`, or None if every bit is the same.

    Examples
    --------
    >>> differ(np.array([1.0, 2.0]), np.array([1.0, 2.5])).text
    '1 of 2 elements differ, by 0.5 at most: 2.5 in place of 2.0 at [1]'
    """
    if type(expected) is tuple:
        pairs = zip(expected, found, strict=True)
        found_differences = (differ(x, y) for x, y in pairs if x is not None and y is not None)
        return next((each for each in found_differences if each is not None), None)
    if type_of_array(expected) != type_of_array(found):
        text = f"it is {type_of_array(found)} in place of {type_of_array(expected)}"
        return Difference(_INCOMPARABLE, text)
    if same(digest(expected), digest(found)):
        return None
    return _numerical(expected, found)


def _numerical(expected: Array, found: Array) -> Difference:
    kind = expected.dtype.kind
    unequal = expected != found
    if kind in FLOATING:
        unequal &= ~(np.isnan(expected) & np.isnan(found))
        unequal |= ~unequal & (_signs(expected) != _signs(found)) & ~np.isnan(expected)
    with np.errstate(all="ignore"):
        wide = np.complex128 if kind == "c" else np.float64
        distance = np.abs(expected.astype(wide) - found.astype(wide))
    distance = np.where(unequal & ~np.isfinite(distance), np.inf, np.where(unequal, distance, -1))
    index = np.unravel_index(int(np.argmax(distance)), distance.shape)
    largest = distance[index]
    ulps = max(1, ulp_distance(expected[unequal], found[unequal]))
    by = f", by {largest:.6g} at most" if np.isfinite(largest) else ""
    if kind in REAL_FLOATING and ulps < _FEW:
        by += f" ({ulps:,} ULP)"
    shown = f"{found[index]} in place of {expected[index]}"
    if not expected.ndim:
        return Difference(ulps, f"it differs{by}: {shown}")
    count, place = int(unequal.sum()), [int(n) for n in index]
    return Difference(ulps, f"{count} of {expected.size} elements differ{by}: {shown} at {place}")


def _signs(array: Array) -> Array:
    if array.dtype.kind == "c":
        return np.signbit(array.real) + 2 * np.signbit(array.imag).astype(np.int8)  # type: ignore[no-any-return]
    return np.signbit(array)


def ulp_distance(expected: Array, found: Array) -> int:
    """Return the most floating-point numbers between an element and its counterpart.

    Examples
    --------
    >>> ulp_distance(np.array([1.0]), np.array([1.0 + 2**-52]))
    1
    """
    if expected.dtype.kind == "c":
        return max(ulp_distance(expected.real, found.real), ulp_distance(expected.imag, found.imag))
    if not expected.size:
        return 0
    if expected.dtype.kind not in REAL_FLOATING or expected.dtype.itemsize > 8:
        return _INCOMPARABLE
    if not np.array_equal(np.isfinite(expected), np.isfinite(found)):
        return _INCOMPARABLE
    pairs = zip(_steps(expected), _steps(found), strict=True)
    return max([abs(a - b) for a, b in pairs])


def _steps(array: Array) -> list[int]:
    """Return for each element how many numbers lie between it and zero, with its sign."""
    bits = np.ascontiguousarray(array).view(f"i{array.dtype.itemsize}").tolist()
    least = -(1 << (8 * array.dtype.itemsize - 1))
    return [b if b >= 0 else least - b for b in bits]
