"""Whether two modes computed the same: to the last bit, or within a bound."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from oplibrary.messages.errors import DisagreementError
from oplibrary.values.dtypes import FLOATING, REAL_FLOATING, promoted
from oplibrary.values.types import Array


@dataclass(frozen=True, slots=True)
class Difference:
    """How far two sets of results are apart.

    Attributes
    ----------
    ulp : float
        Most floating-point numbers that lie between two elements that should be equal; 0 means
        the same bits, ``inf`` that one is NaN and the other not.
    relative : float
        Largest difference, relative to the largest element of the same result.
    where : str
        The element that differs most, such as ``result 1[3, 0]``; empty where nothing differs.
    values : tuple of float or None
        Its two values.
    """

    ulp: float
    relative: float
    where: str = ""
    values: tuple[object, object] | None = None


def compare_results(results: Sequence[Array], reference: Sequence[Array]) -> Difference:
    """Return the largest difference between two sequences of arrays.

    A number of one element counts as a scalar whatever its shape, since libraries differ there.

    Raises
    ------
    DisagreementError
        If the numbers of results, their shapes or their dtypes differ.
    """
    if len(results) != len(reference):
        raise DisagreementError(f"{len(results)} results against {len(reference)}")
    largest = Difference(0.0, 0.0)
    for position, (x, y) in enumerate(zip(results, reference, strict=True)):
        one_element = x.size == y.size == 1
        if x.dtype != y.dtype or (x.shape != y.shape and not one_element):
            raise DisagreementError(
                f"result {position} is {x.dtype}{list(x.shape)} against {y.dtype}{list(y.shape)}"
            )
        if one_element:
            x, y = x.reshape(1), y.reshape(1)
        found = _compare_arrays(x, y, position)
        if (found.relative, found.ulp) > (largest.relative, largest.ulp):
            largest = found
        if found.ulp > largest.ulp:
            largest = Difference(found.ulp, largest.relative, largest.where, largest.values)
    return largest


def _compare_arrays(x: Array, y: Array, position: int) -> Difference:
    if x.size == 0:
        return Difference(0.0, 0.0)
    x, y = np.atleast_1d(x), np.atleast_1d(y)
    if x.dtype.kind == "c":
        parts = (x.real, y.real), (x.imag, y.imag)
        found = [
            _compare_arrays(np.ascontiguousarray(a), np.ascontiguousarray(b), position)
            for a, b in parts
        ]
        return max(found, key=lambda difference: (difference.relative, difference.ulp))
    distances = ulp_distance(x, y)
    ulp = float(distances.max())
    if ulp == 0:
        return Difference(0.0, 0.0)
    with np.errstate(all="ignore"):
        wide_x, wide_y = x.astype(np.float64), y.astype(np.float64)
        gaps = np.where(distances == 0, 0.0, np.abs(wide_x - wide_y))
        gaps = np.where(np.isnan(gaps), np.inf, gaps)
        finite = np.abs(wide_y[np.isfinite(wide_y)])
        scale = float(finite.max()) if finite.size and finite.max() > 0 else 1.0
    index = np.unravel_index(int(np.argmax(gaps)), gaps.shape)
    label = f"result {position}"
    if x.size > 1:
        label += f"[{', '.join(str(int(i)) for i in index)}]"
    return Difference(ulp, float(gaps.max()) / scale, label, (x[index].item(), y[index].item()))


def ulp_distance(x: Array, y: Array) -> Array:
    """Return for each pair of elements how many representable numbers they are apart.

    Both zeros count as neighbours, two NaN as equal. Integers and booleans are subtracted.

    Returns
    -------
    numpy.ndarray of float64

    Examples
    --------
    >>> one = np.float32([1.0, 0.0, np.nan])
    >>> ulp_distance(one, np.float32([np.nextafter(np.float32(1), np.float32(2)), -0.0, np.nan]))
    array([1., 1., 0.])
    """
    if x.dtype.kind not in REAL_FLOATING:
        equal = x == y
        gap = np.abs(x.astype(np.float64) - y.astype(np.float64))
        return np.where(equal, 0.0, np.maximum(gap, 1.0))
    x_nan, y_nan = np.isnan(x), np.isnan(y)
    unordered = np.where(x_nan & y_nan, 0.0, np.inf)
    if x.dtype.itemsize > np.dtype("i8").itemsize:  # no integer has the bits of a long double
        with np.errstate(all="ignore"):
            steps = np.abs(x - y) / np.spacing(np.minimum(np.abs(x), np.abs(y)))
            steps = np.where(x == y, np.signbit(x) != np.signbit(y), np.fmin(steps, 2.0**80))
        return np.where(x_nan | y_nan, unordered, steps).astype(np.float64)
    integer = np.dtype(f"i{x.dtype.itemsize}")
    low = np.iinfo(integer).min

    def ordered(array: Array) -> Array:
        bits = np.ascontiguousarray(array).view(integer)
        # negative floats, whose bits grow with their magnitude, mirrored below zero
        return np.where(bits < 0, ~(bits ^ low), bits)

    a, b = ordered(x), ordered(y)
    # the gap between two signed integers always fits the unsigned one of their width
    unsigned = np.dtype(f"u{x.dtype.itemsize}")
    high, low_end = np.maximum(a, b).view(unsigned), np.minimum(a, b).view(unsigned)
    distance = (high - low_end).astype(np.float64)
    return np.where(x_nan | y_nan, unordered, distance)


def check_agreement(
    results: Sequence[Array],
    reference: Sequence[Array],
    *,
    pair: str,
    tolerance: float | None,
) -> Difference:
    """Return the difference between two modes, or refuse the pair.

    Parameters
    ----------
    results, reference : sequences of ndarray
    pair : str
        Names both, for the message, such as ``static and dynamic``.
    tolerance : float or None
        Largest relative difference allowed; None asks for the same bits.

    Raises
    ------
    DisagreementError
        If they differ by more.
    """
    difference = compare_results(results, reference)
    bound = "not one bit may differ" if tolerance is None else f"{tolerance:.0e} is allowed"
    if difference.ulp > 0 and (tolerance is None or not difference.relative <= tolerance):
        first, second = difference.values or ("", "")
        raise DisagreementError(
            f"{pair} disagree: {difference.where} is {first} against {second}",
            cause=f"{difference.ulp:,.0f} ULP, {difference.relative:.1e} of the largest element; "
            f"{bound}",
        )
    return difference


# calls --------------------------------------------------------------------------------------------


def first_difference(
    results: Sequence[Sequence[Any]], reference: Sequence[Sequence[Any]], tolerance: float
) -> str:
    """Return in which call two runs first differ, and how; empty if they agree.

    Parameters
    ----------
    results, reference : sequences
        The results of each call.
    tolerance : float
        Largest difference that counts as rounding, relative to the largest element of a result.
    """
    for call, (found, expected) in enumerate(zip(results, reference, strict=False), 1):
        if len(found) != len(expected):
            return f"call {call} gave {len(found)} results in place of {len(expected)}"
        for position, (x, y) in enumerate(zip(found, expected, strict=True)):
            difference = _difference(x, y, tolerance)
            if difference:
                which = f"call {call}" + (f", result {position}" if len(found) > 1 else "")
                return f"{which} is {difference}"
    return ""


def _difference(x: Any, y: Any, tolerance: float) -> str:
    if not isinstance(x, np.ndarray) or not isinstance(y, np.ndarray):
        same = type(x) is type(y) and x == y
        return "" if same else f"{_shown(x)} in place of {_shown(y)}"
    if x.shape != y.shape and not x.size == y.size == 1:
        return f"of shape {x.shape} in place of {y.shape}"
    if (x.dtype.kind in REAL_FLOATING) != (y.dtype.kind in REAL_FLOATING):
        return f"{x.dtype} in place of {y.dtype}"
    # libraries have their own widths; whole numbers are not rounded
    wide = promoted(x.dtype, y.dtype)
    found = _compare_arrays(x.reshape(-1).astype(wide), y.reshape(-1).astype(wide), 0)
    if found.relative <= (tolerance if wide.kind in FLOATING else 0.0):
        return ""
    first, second = found.values or ("", "")
    return f"{first:.6g} in place of {second:.6g}"


def _shown(value: Any) -> str:
    text = f"array {value.dtype}{list(value.shape)}" if isinstance(value, np.ndarray) else None
    return text or repr(value)[:60]
