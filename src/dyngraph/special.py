"""Special functions: the op library's namespace of this name, bound to the dynamic executor."""

from typing import Any as _Any

from dyngraph.engine.namespace import functions_of as _functions_of
from oplibrary.executors.spellings import MissingName as _MissingName

_FUNCTIONS = _functions_of("special")
globals().update(_FUNCTIONS)
__all__ = sorted(_FUNCTIONS)


def __getattr__(name: str) -> _Any:
    raise _MissingName("dyngraph", name, __all__, "special")


def __dir__() -> list[str]:
    return list(__all__)
