"""Special functions: the op library's namespace of this name, bound to the static executor."""

from typing import Any as _Any

from oplibrary.executors.spellings import MissingName as _MissingName
from staticgraph.declare.namespace import lookup as _lookup
from staticgraph.declare.namespace import names as _names

__all__ = _names("special")


def __getattr__(name: str) -> _Any:
    found = None if name.startswith("_") else _lookup(name, "special")
    if found is None:
        raise _MissingName("staticgraph", name, __all__, "special")
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return list(__all__)
