"""How a static function leaves the process: by its name, or as its Python function."""

from __future__ import annotations

import functools
import sys
from types import FrameType, FunctionType, MethodType
from typing import Any

from oplibrary.messages.errors import PicklingError

_BY_VALUE = frozenset({"cloudpickle", "cloudpickle_fast", "_dill"})
"""Modules that pickle functions with their code, those of ``__main__`` at least."""


def reduced_function(static: Any, function: Any) -> str | None:
    """Return the name by which a pickle holds `static`, or None where it holds `function`.

    A decorated function is the only thing of its name: pickle finds it there, at both ends.
    What pickles functions by their code does so with those of the script that runs.

    Raises
    ------
    PicklingError
        If neither is possible.
    """
    by_value = _pickled_by_value()
    named = _found(static.__module__, static.__qualname__) is static
    if named and not (by_value and static.__module__ == "__main__"):
        return str(static.__qualname__)
    if by_value:
        return None
    require_name(function, f"the static function {static.__name__}")
    return None


def require_name(function: Any, what: str) -> None:
    """Refuse to pickle `what`, a part of which is `function`, if no other process can find that.

    Raises
    ------
    PicklingError
    """
    while True:
        if isinstance(function, functools.partial):
            function = function.func
        elif isinstance(function, MethodType):
            function = function.__func__
        else:
            break
    if not isinstance(function, (FunctionType, type)) or _pickled_by_value():
        return
    name = function.__qualname__
    if _found(function.__module__, name) is not function:
        raise PicklingError(
            f"{what} cannot be pickled",
            cause=f"another process looks {name!r} up in the module {function.__module__!r}, "
            "where it is not",
            fix="define the function with def, at the top level of a module, or pickle with "
            "cloudpickle",
        )


def _found(module: str, qualified_name: str) -> Any:
    found: Any = sys.modules.get(module)
    for name in qualified_name.split("."):
        found = getattr(found, name, None)
    return found


def _pickled_by_value() -> bool:
    frame: FrameType | None = sys._getframe(2)
    while frame is not None:
        if str(frame.f_globals.get("__name__")).rpartition(".")[2] in _BY_VALUE:
            return True
        frame = frame.f_back
    return False
