"""Checked runs: memory is poisoned before each, so that a read of what was not written shows."""

from __future__ import annotations

import os
from collections.abc import Iterable

import numpy as np

from oplibrary.core.dtypes import FLOATING
from oplibrary.core.types import Array
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


def poison_arena(arena: Array, plan: NativePlan) -> None:
    """Fill an arena, each place with what its first value is not."""
    arena[...] = NAN_BYTE
    for definition, location in plan.locations.items():
        if location.slot == plan.arena_slot and definition.dtype.kind not in FLOATING:
            arena[location.offset : location.offset + definition.nbytes] = PATTERN
    for definition, location in plan.locations.items():
        if location.slot == plan.arena_slot and definition.dtype.kind in FLOATING:
            arena[location.offset : location.offset + definition.nbytes] = NAN_BYTE
