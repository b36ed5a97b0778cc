"""Fourier transforms: the op library's namespace of this name, bound to the dynamic executor."""

from typing import Any as _Any

from dyngraph.engine.namespace import Functions as _Functions
from oplibrary.executors.spellings import MissingName as _MissingName

_FUNCTIONS = _Functions("fft")
__all__ = _FUNCTIONS.names()


def __getattr__(name: str) -> _Any:
    if name not in __all__:
        raise _MissingName("dyngraph", name, __all__, "fft")
    return globals().setdefault(name, _FUNCTIONS[name])


def __dir__() -> list[str]:
    return list(__all__)
