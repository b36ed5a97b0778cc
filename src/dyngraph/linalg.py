"""Linear algebra: the op library's functions of this namespace, bound to the dynamic executor."""

from typing import Any as _Any

from dyngraph.engine.namespace import functions_of as _functions_of
from oplibrary.executors.spellings import MissingName as _MissingName
from oplibrary.messages.errors import LinAlgError as LinAlgError

_FUNCTIONS = _functions_of("linalg")
globals().update(_FUNCTIONS)
__all__ = sorted(["LinAlgError", *_FUNCTIONS])


def __getattr__(name: str) -> _Any:
    raise _MissingName("dyngraph", name, __all__, "linalg")


def __dir__() -> list[str]:
    return list(__all__)
