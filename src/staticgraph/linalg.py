"""Linear algebra: the op library's functions of this namespace, bound to the static executor."""

from typing import Any as _Any

from oplibrary.executors.spellings import MissingName as _MissingName
from oplibrary.messages.errors import LinAlgError as LinAlgError
from staticgraph.declare.namespace import lookup as _lookup
from staticgraph.declare.namespace import names as _names

__all__ = sorted(["LinAlgError", *_names("linalg")])


def __getattr__(name: str) -> _Any:
    found = None if name.startswith("_") else _lookup(name, "linalg")
    if found is None:
        raise _MissingName("staticgraph", name, __all__, "linalg")
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return list(__all__)
