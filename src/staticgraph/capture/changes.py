"""Values that can be changed in place, as they were when a trace met them.

Code that changes an array or a container need not be observed: compiled code does it, another
thread, or NumPy that is given ``out=``. So what can be changed is remembered when it is met, and
looked at again when the trace ends.
"""

from __future__ import annotations

import zlib
from array import array
from collections import ChainMap, UserDict, deque
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np

CONTAINERS = (
    *(list, tuple, dict, set, frozenset, deque, bytearray, array),
    *(UserDict, ChainMap, MappingProxyType),
)
"""What holds values, in Python's own places."""

_RAW = (bytearray, array)
"""Containers of bytes or numbers, which are no objects."""


def items_of(container: Any) -> Iterable[Any]:
    """Return the objects that a container holds, of a mapping its values."""
    if isinstance(container, np.ndarray):
        return container.ravel().tolist() if container.dtype.hasobject else ()
    if isinstance(container, _RAW):
        return ()
    return list(container.values() if isinstance(container, Mapping) else container)


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
        return Met(value, path, _contents(value)) if value.flags.writeable else None
    if isinstance(value, CONTAINERS) and not isinstance(value, (tuple, frozenset)):
        return Met(value, path, _contents(value))
    return None


def _contents(value: Any) -> Any:
    """Return what a value holds: objects in a list, and anything else as what can be compared."""
    if isinstance(value, np.ndarray):
        if value.dtype.hasobject:
            return list(items_of(value))
        flat = np.asarray(value).reshape(-1)
        return value.shape, value.dtype, zlib.crc32(np.ascontiguousarray(flat).view("uint8").data)
    if isinstance(value, _RAW):
        return bytes(value)
    if isinstance(value, (set, Mapping)):
        return [*value, *items_of(value)] if isinstance(value, Mapping) else set(value)
    return list(value)
