"""Values that can be changed in place, as they were when a trace met them.

Code that changes an array or a container need not be observed: compiled code does it, another
thread, or NumPy that is given ``out=``. So what can be changed is remembered when it is met, and
looked at again when the trace ends.
"""

from __future__ import annotations

import zlib
from array import array
from collections import ChainMap, UserDict, deque
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np

from oplibrary.core.dispatch import HELD

CONTAINERS = (
    *(list, tuple, dict, set, frozenset, deque, bytearray, array),
    *(UserDict, ChainMap, MappingProxyType),
)
"""What holds values, in Python's own places."""


def is_container(value: Any) -> bool:
    """Tell whether a value is one of `CONTAINERS`, by its class and not by what it says of that."""
    return issubclass(type(value), CONTAINERS)


_RAW = (bytearray, array)
"""Containers of bytes or numbers, which are no objects."""


def plain(container: Any) -> Any:
    """Return what a container holds as a dict or list, past what a class of its own overrides."""
    if isinstance(container, dict):
        return dict(dict.items(container))
    if isinstance(container, Mapping):
        return dict(container)
    base: Any = next(each for each in CONTAINERS if isinstance(container, each))
    return list(base.__iter__(container))


def items_of(container: Any) -> list[Any]:
    """Return the objects that a container or an array holds, of a mapping its keys and values."""
    if isinstance(container, np.ndarray):
        return container.ravel().tolist() if container.dtype == object else []
    if isinstance(container, _RAW):
        return []
    held = plain(container)
    return [*held, *held.values()] if type(held) is dict else held


def may_change(array: np.ndarray[Any, Any]) -> bool:
    """Tell whether an array can be written to, itself or through what it is a view of."""
    each: Any = array
    while isinstance(each, np.ndarray):
        if each.flags.writeable:
            return True
        each = each.base
    try:
        return each is not None and not memoryview(each).readonly
    except (TypeError, ValueError, BufferError):  # it lends its memory, and to nobody else
        return False


class Met(NamedTuple):
    """A value that can be changed in place, as it was when it was met.

    Attributes
    ----------
    value : object
    path : str
        What the program calls it.
    contents : object
        What it held, so that it can be compared.
    """

    value: Any
    path: str
    contents: Any

    @property
    def is_changed(self) -> bool:
        """Whether it holds something else now."""
        now = _contents(self.value)
        if not isinstance(now, list):
            return bool(now != self.contents)
        return len(now) != len(self.contents) or any(
            new is not old for new, old in zip(now, self.contents, strict=True)
        )


def met(value: Any, path: str) -> Met | None:
    """Return `value` as it is now, or None where it cannot be changed in place."""
    if isinstance(value, np.ndarray):
        return Met(value, path, _contents(value)) if may_change(value) else None
    if type(value) in HELD:
        return Met(value, path, _contents(value))
    if is_container(value) and not isinstance(value, (tuple, frozenset)):
        return Met(value, path, _contents(value))
    return None


def _contents(value: Any) -> Any:
    """Return what a value holds: objects in a list, and anything else as what can be compared."""
    if type(value) in HELD:
        held = HELD[type(value)](value)
        return tuple(map(_contents, held)) if isinstance(held, tuple) else _contents(held)
    if isinstance(value, np.ndarray):
        if value.dtype == object:
            return items_of(value)
        if value.dtype.hasobject:  # text, or records with objects, which are made anew
            return value.shape, value.dtype, value.tolist()
        flat = np.asarray(value).reshape(-1)
        return value.shape, value.dtype, zlib.crc32(np.ascontiguousarray(flat).view("uint8").data)
    if isinstance(value, _RAW):
        return bytes(value)
    held = plain(value)
    if isinstance(value, set):
        return set(held)
    return [*held, *held.values()] if type(held) is dict else held
