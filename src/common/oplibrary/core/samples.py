"""Sample operands of an op, for its tests, documentation and benchmarks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from oplibrary.core.op import Example, Op
from oplibrary.values.dtypes import REAL_FLOATING, promoted, to_dtype
from oplibrary.values.types import Array, Shape

if TYPE_CHECKING:
    import numpy.typing as npt

_MARGIN = 1 / 128
"""The part of the domain's width that samples keep away from its ends and from kinks."""


def draw(
    op: Op, example: Example, dtype: npt.DTypeLike, rng: np.random.Generator
) -> tuple[Array, ...]:
    """Return operands of `op` for one of its examples.

    Parameters
    ----------
    op : Op
    example : Example
        One of ``op.examples``. An operand given as a shape is drawn from the op's domain, away from
        its kinks, and symmetric where the op reads it so; one given as an array is used as it is,
        floating-point and complex numbers in the precision of `dtype`.
    dtype : numpy dtype
        Of the operands that are drawn.
    rng : numpy.random.Generator

    Returns
    -------
    tuple of numpy.ndarray
        None of them is an array of the example itself.

    Examples
    --------
    >>> from oplibrary.ops.exponential import log
    >>> (x,) = draw(log, log.examples[0], "float64", np.random.default_rng(0))
    >>> x.shape, x.dtype, bool((x > 0).all())
    ((3, 4), dtype('float64'), True)
    """
    wanted = to_dtype(dtype)
    return tuple(
        _given(operand, wanted)
        if isinstance(operand, np.ndarray)
        else _drawn(op, position, operand, wanted, rng)
        for position, operand in enumerate(example.operands)
    )


def _drawn(
    op: Op, position: int, shape: Shape, dtype: np.dtype[Any], rng: np.random.Generator
) -> Array:
    x = uniform(shape, op.domain, op.kinks, dtype, rng)
    return symmetric_part(x) if op.symmetric and not position else x


def symmetric_part(x: Array) -> Array:
    """Return the symmetric (Hermitian) parts of square matrices."""
    result: Array = (x + x.swapaxes(-1, -2).conj()) / 2
    return result


def uniform(
    shape: Shape,
    domain: tuple[float, float],
    kinks: Sequence[float],
    dtype: npt.DTypeLike,
    rng: np.random.Generator,
) -> Array:
    """Return numbers drawn uniformly from `domain`, away from its ends and from `kinks`.

    Integers are whole numbers of the domain; booleans are true half the time; both parts of complex
    numbers are drawn alike.
    """
    dtype = to_dtype(dtype)
    low, high = domain
    if dtype.kind == "b":
        return np.asarray(rng.random(shape) < 0.5)
    if dtype.kind in "iu":
        least = max(low, 0) if dtype.kind == "u" else low
        return np.asarray(rng.integers(int(np.ceil(least)), int(np.floor(high)) + 1, shape), dtype)
    if dtype.kind == "c":
        parts = [uniform(shape, domain, kinks, np.float64, rng) for _ in range(2)]
        return np.asarray(parts[0] + 1j * parts[1], dtype)
    margin = (high - low) * _MARGIN
    gaps = [kink for kink in sorted(kinks) if low < kink < high]
    width = high - low - 2 * margin * (1 + len(gaps))
    x = np.asarray(low + margin + rng.random(shape) * width)
    for kink in gaps:  # what lies beyond the gap's start moves past its end
        x += 2 * margin * (x > kink - margin)
    return x.astype(dtype)


def _given(array: Array, dtype: np.dtype[Any]) -> Array:
    """Return a copy of an example's own array, in the precision of `dtype` if it has one."""
    if dtype.kind in REAL_FLOATING and array.dtype.kind in REAL_FLOATING:
        return array.astype(dtype)
    if dtype.kind in REAL_FLOATING and array.dtype.kind == "c":
        return array.astype(promoted(dtype, np.dtype(np.complex64)))
    return array.copy()
