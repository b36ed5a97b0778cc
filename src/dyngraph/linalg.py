"""Linear algebra: the op library's functions of this namespace, bound to the dynamic executor."""

from typing import Any as _Any

from dyngraph.engine.namespace import Functions as _Functions
from oplibrary.executors.spellings import MissingName as _MissingName
from oplibrary.messages.errors import LinAlgError as LinAlgError

_FUNCTIONS = _Functions("linalg")
__all__ = sorted(["LinAlgError", *_FUNCTIONS.names()])


def __getattr__(name: str) -> _Any:
    if name not in __all__:
        raise _MissingName("dyngraph", name, __all__, "linalg")
    return globals().setdefault(name, _FUNCTIONS[name])


def __dir__() -> list[str]:
    return list(__all__)
