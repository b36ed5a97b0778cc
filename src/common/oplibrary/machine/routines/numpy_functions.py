"""The functions that NumPy has for compiled code: where they are, and how code declares them.

NumPy documents that they are found in the library of its module ``numpy.random._generator``; what
they take stands in ``numpy/random/distributions.h``.
"""

from __future__ import annotations

import ctypes
from functools import lru_cache

from oplibrary.machine.module import Module

_SIGNATURES: dict[str, tuple[str, tuple[str, ...]]] = {
    "random_standard_normal_fill": ("void", ("ptr", "i64", "ptr")),
    "random_standard_normal_fill_f": ("void", ("ptr", "i64", "ptr")),
    "random_bounded_uint64_fill": ("void", ("ptr", "i64", "i64", "i64", "i8 zeroext", "ptr")),
    "random_interval": ("i64", ("ptr", "i64")),
}


@lru_cache(maxsize=64)
def address_of(name: str) -> int:
    """Return where a function is, or 0 where NumPy does not show it."""
    from numpy.random import _generator

    try:
        library = ctypes.CDLL(_generator.__file__)
        return ctypes.cast(getattr(library, name), ctypes.c_void_p).value or 0
    except (AttributeError, OSError):
        return 0


def declare(module: Module, name: str) -> None:
    """Declare a function in a module that calls it."""
    returns, parameters = _SIGNATURES[name]
    module.declare(name, returns, parameters)
