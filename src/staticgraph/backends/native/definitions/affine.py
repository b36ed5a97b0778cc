"""Forms: positions in an array as whole linear functions of the indices of a loop nest.

A form is a tuple: the constant, then a coefficient for each axis of the loops. A position has one
form an axis of the array.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

from oplibrary.values.types import Shape
from staticgraph.backends.native.definitions.open_lengths import surely_less

AffineForm = tuple[int, ...]
Position = tuple[AffineForm, ...]


@lru_cache(maxsize=4096)
def identity(ndim: int) -> Position:
    """Return the position that is the loops' own indices."""
    return tuple(
        tuple(1 if place == axis + 1 else 0 for place in range(ndim + 1)) for axis in range(ndim)
    )


@lru_cache(maxsize=4096)
def row_major(shape: Shape) -> tuple[int, ...]:
    """Return how many elements apart neighbours along each axis are."""
    strides = []
    step = 1
    for n in reversed(shape):
        strides.append(step)
        step *= n
    return tuple(reversed(strides))


def combine(
    constant: int, factors: Sequence[int], forms: Sequence[AffineForm], length: int
) -> AffineForm:
    """Return `constant` plus the sum of forms times factors; `length` is that of a form."""
    total = [0] * length
    total[0] = constant
    for factor, form in zip(factors, forms, strict=True):
        if factor:
            for place, coefficient in enumerate(form):
                if coefficient:
                    total[place] += factor * coefficient
    return tuple(total)


def flatten(shape: Shape, position: Position, length: int) -> AffineForm:
    """Return the form of the offset, in elements, of a position in a row-major array."""
    return combine(0, row_major(shape), position, length)


def bounds(form: AffineForm, box: Sequence[tuple[int, int]]) -> tuple[int, int]:
    """Return the least and the greatest value of a form where each index runs from lo to hi - 1."""
    low = high = form[0]
    for coefficient, (start, stop) in zip(form[1:], box, strict=True):
        if coefficient > 0:
            low += coefficient * start
            high += coefficient * (stop - 1)
        elif coefficient:
            low += coefficient * (stop - 1)
            high += coefficient * start
    return low, high


@lru_cache(maxsize=65536)
def split(form: AffineForm, shape: Shape, extents: Shape) -> Position | None:
    """Return the position in `shape` that has the offset `form`, or None if it is not linear.

    Each term of the offset must belong to one axis of `shape` for all indices.
    """
    strides = row_major(shape)
    rest = form[0]
    parts = []
    for stride in strides:
        at = rest // stride
        rest -= at * stride
        parts.append([at] + [0] * (len(form) - 1))
    for place, coefficient in enumerate(form[1:], 1):
        if not coefficient or extents[place - 1] == 1:
            continue
        for axis, stride in enumerate(strides):
            if shape[axis] != 1 and coefficient % stride == 0:
                parts[axis][place] = coefficient // stride
                break
        else:
            return None
    box = [(0, n) for n in extents]
    for n, part in zip(shape, parts, strict=True):
        low, high = bounds(tuple(part), box)
        if not (surely_less(-1, low) and surely_less(high, n)):
            return None
    return tuple(map(tuple, parts))
