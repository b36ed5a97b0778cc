"""Values of several vectorised functions at once: the array that holds them, and how it does.

A value may have rows of several open calls. What an executor keeps of it, as an operand of a loop,
is one array, with an axis for each of them in front, the outermost first.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from oplibrary.core.op import REGISTRY
from oplibrary.core.types import type_of
from oplibrary.transforms.batched import Batched, Level

Levels = tuple[Level, ...]
"""Open calls, the outermost first."""


def levels_of(x: Any) -> Levels:
    """Return the calls whose rows a value has."""
    found: list[Level] = []
    while type(x) is Batched:
        found.append(x._level)
        x = x._value
    return tuple(reversed(found))


def union(several: Iterable[Levels]) -> Levels:
    """Return all the calls that occur."""
    found = {level for levels in several for level in levels}
    return tuple(sorted(found, key=lambda level: level.depth))


def bare(x: Any, levels: Levels | None = None) -> Any:
    """Return the array that holds a value, with rows of `levels`, which are at least its own."""
    if levels is not None:
        x = _with_levels(x, levels)
    while type(x) is Batched:
        x = x._value
    return x


def _with_levels(x: Any, levels: Levels) -> Any:
    if not levels:
        return x
    *outer, level = levels
    if type(x) is Batched and x._level is level:
        value = x._value
    else:
        value = REGISTRY["broadcast_to"](x, shape=(level.size, *type_of(x).shape))
    return Batched(_with_levels(value, tuple(outer)), level)


def held_by(array: Any, levels: Sequence[Level]) -> Any:
    """Return the value that an array holds, with an axis for each of `levels` in front."""
    for level in levels:
        array = Batched(array, level)
    return array
