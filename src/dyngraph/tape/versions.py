"""Version counters of storage, at no cost to operations that do not write in place.

An in-place change is entered here, under the array that owns the memory, with the moment it
happened. A backward pass asks only whether anything changed after an operation ran, so the usual
program, which changes its parameters between one pass and the next, never pays.
"""

from __future__ import annotations

import weakref
from dataclasses import dataclass
from typing import Any

import numpy as np

from dyngraph.tape.nodes import tick
from oplibrary.messages.source import Place, Source, source_of, user_place
from oplibrary.values.types import Array


@dataclass(slots=True)
class Change:
    """The last in-place change of one storage.

    Attributes
    ----------
    sequence : int
        When, on the clock that numbers operations.
    version : int
        How many changes there were.
    operation : str
    place : Place or None
        The user's line.
    """

    sequence: int
    version: int
    operation: str
    place: Place | None
    reference: Any

    @property
    def source(self) -> Source | None:
        """The user's line that made the change."""
        return source_of(self.place)


latest = [0]
"""The moment of the last change of any storage."""

changes: dict[int, Change] = {}
"""The last change of each storage that is still alive, by the id of the array that owns it."""


def storage_of(array: Array) -> Array:
    """Return the array that owns the memory of `array`."""
    base = array.base
    while isinstance(base, np.ndarray):
        array, base = base, base.base
    return array


def changed(array: Array, operation: str) -> None:
    """Enter that `array` was just written to."""
    owner = storage_of(array)
    key = id(owner)
    now = latest[0] = tick()
    known = changes.get(key)
    if known is None:

        def forget(_: Any) -> None:
            changes.pop(key, None)

        reference = weakref.ref(owner, forget)
        changes[key] = Change(now, 1, operation, user_place(), reference)
    else:
        known.sequence = now
        known.version += 1
        known.operation = operation
        known.place = user_place()


def change_after(array: Array, sequence: int) -> Change | None:
    """Return the change of `array`'s storage that is later than `sequence`, or None."""
    change = changes.get(id(storage_of(array)))
    return change if change is not None and change.sequence > sequence else None


def version_of(array: Array) -> int:
    """Return how often the storage of `array` was written to in place."""
    change = changes.get(id(storage_of(array)))
    return 0 if change is None else change.version
