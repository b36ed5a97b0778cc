"""Importing a module when what it holds is first asked for."""

from __future__ import annotations

import sys
from importlib import import_module
from types import ModuleType
from typing import Any

_KEPT: dict[str, ModuleType] = {}
"""The library's modules that were loaded late."""


def bring(name: str) -> ModuleType:
    """Return the module of this library called `name`, imported now if need be.

    It stays, with all that it loaded: programs, tests above all, may put ``sys.modules`` back to
    what it was. Modules that ran again would enter everything twice.
    """
    for each, kept in _KEPT.items():
        sys.modules.setdefault(each, kept)
    before = set(sys.modules)
    found = import_module(name)
    packages = (name.partition(".")[0], __name__.partition(".")[0])
    for each in sys.modules.keys() - before:
        if each.partition(".")[0] in packages:
            _KEPT[each] = sys.modules[each]
    return found


def is_running(name: str) -> bool:
    """Tell whether the module called `name` is being imported right now."""
    found = sys.modules.get(name)
    return found is not None and getattr(found.__spec__, "_initializing", False)


def load(place: str) -> Any:
    """Return what stands at a place such as ``"oplibrary.ops.indexing:getitem"``."""
    where, _, name = place.partition(":")
    return getattr(bring(where), name)
