"""The namespaces in which programs are run when they are read: declaring, and on arrays."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from oplibrary.core.registry import CREATION
from oplibrary.core.registry import lookup as shared
from staticgraph.control import cond, fori_loop, map, scan, switch, while_loop
from staticgraph.declare.build import stop_gradient
from staticgraph.declare.namespace import asarray, lookup

_CONTROL = {
    "asarray": asarray,
    "cond": cond,
    "fori_loop": fori_loop,
    "map": map,
    "scan": scan,
    "stop_gradient": stop_gradient,
    "switch": switch,
    "while_loop": while_loop,
}


class Namespace:
    """The functions of the library by name, found by `find`, with those of namespaces below."""

    def __init__(self, find: Callable[[str, str], Any], below: str = "") -> None:
        self._find, self._below = find, below

    def __getattr__(self, name: str) -> Any:
        if name in ("linalg", "special", "fft") and not self._below:
            return Namespace(self._find, name)
        found = self._find(name, self._below)
        if found is None:
            raise AttributeError(name)
        setattr(self, name, found)
        return found


def _declaring(name: str, below: str) -> Any:
    return lookup(name, below) or _CONTROL.get(name)


def _on_arrays(name: str, below: str) -> Any:
    if not below and name in CREATION:
        return CREATION[name]
    if name == "asarray":
        return np.asarray
    if name == "stop_gradient":
        return lambda x: x
    return shared(f"{below}.{name}" if below else name)


DECLARING = Namespace(_declaring)
"""Declares nodes in the graph that is open, as the namespace ``staticgraph`` does."""

ON_ARRAYS = Namespace(_on_arrays)
"""Runs kernels on arrays; it has no control flow."""
