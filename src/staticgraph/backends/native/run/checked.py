"""Checked runs: memory is poisoned before each, so that a read of what was not written shows."""

from __future__ import annotations

import os
from collections.abc import Iterable

import numpy as np

from oplibrary.values.dtypes import FLOATING
from oplibrary.values.types import Array
from staticgraph.backends.native.definitions.open_lengths import Lengths, value_at
from staticgraph.backends.native.planning.plan import NativePlan

VARIABLE = "SIDEBYSIDE_CHECKED"
PATTERN = 0xA5
"""Each byte of an integer or a truth value that was not written."""
NAN_BYTE = 0xFF
"""Each byte of a floating-point number that was not written: a NaN, in every width."""


def is_checked() -> bool:
    """Tell whether ``SIDEBYSIDE_CHECKED`` asks for checked runs; it is read at each build."""
    return os.environ.get(VARIABLE, "").lower() not in ("", "0", "no", "off", "false")


def poison_results(arrays: Iterable[Array]) -> None:
    """Fill arrays with NaN, or a pattern."""
    for array in arrays:
        if not array.dtype.hasobject and array.size:
            byte = NAN_BYTE if array.dtype.kind in FLOATING else PATTERN
            array.reshape(-1).view(np.uint8)[...] = byte


def poison_arena(arena: Array, plan: NativePlan, lengths: Lengths) -> None:
    """Fill an arena, each place with what its first value is not, at the lengths of a run."""
    arena[...] = NAN_BYTE
    places: list[tuple[bool, slice]] = []
    for definition, location in plan.locations.items():
        if location.slot == plan.arena_slot:
            start = value_at(location.offset, lengths)
            stop = start + value_at(definition.nbytes, lengths)
            places.append((definition.dtype.kind in FLOATING, slice(start, stop)))
    for is_floating, place in sorted(places, key=lambda each: each[0]):
        arena[place] = NAN_BYTE if is_floating else PATTERN
