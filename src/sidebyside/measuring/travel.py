"""Programs on their way to another process: functions, closures and models as bytes.

A function that can be imported travels by its name; one that cannot (of the script that is run, of
a notebook, a lambda, a closure) by its code and what it reads. So a script needs no guard
``if __name__ == "__main__"``: no process runs it again.
"""

from __future__ import annotations

import io
import pickle
import sys
from collections import ChainMap
from collections.abc import Callable
from types import CodeType, ModuleType
from typing import Any


class CannotTravelError(Exception):
    """Something has no form in which another process could take it."""


def pack(thing: Any) -> bytes:
    """Return `thing` as bytes.

    Raises
    ------
    CannotTravelError
        With the reason in one line.

    Examples
    --------
    >>> factor = 3
    >>> unpack(pack(lambda x: factor * x))(2)
    6
    """
    try:
        import cloudpickle
    except ImportError:
        raise CannotTravelError("the package cloudpickle is not installed") from None
    modules = _run_from_files()
    for module in modules:
        cloudpickle.register_pickle_by_value(module)
    try:
        packed = io.BytesIO()
        usual = cloudpickle.Pickler.dispatch_table
        table = ChainMap({CodeType: _with_file(usual[CodeType])}, usual)
        pickler: Any = type("Pickler", (cloudpickle.Pickler,), {"dispatch_table": table})
        pickler(packed).dump(thing)
    except Exception as error:  # whatever the library of an object says
        lines = str(error).strip().splitlines() or [""]
        raise CannotTravelError(f"{type(error).__name__}: {lines[0]}") from error
    finally:
        for module in modules:
            cloudpickle.unregister_pickle_by_value(module)
    return packed.getvalue()


def _with_file(reduce: Callable[[CodeType], tuple[Any, ...]]) -> Callable[[CodeType], Any]:
    """Return how code travels with the name of its file, which messages about its lines need."""
    return lambda code: (_code_of_file, (code.co_filename, *reduce(code)[:2]))


def _code_of_file(name: str, make: Callable[..., CodeType], arguments: tuple[Any, ...]) -> CodeType:
    """Return code of the file `name`."""
    return make(*arguments).replace(co_filename=name)


def _run_from_files() -> list[ModuleType]:
    """Return the modules that nobody imported: files of a user that were run as such."""
    return [
        module
        for name, module in list(sys.modules.items())
        if type(module) is ModuleType
        and name == module.__name__ != "__main__"
        and getattr(module, "__spec__", None) is None
        and getattr(module, "__file__", None)
    ]


def unpack(packed: bytes) -> Any:
    """Return what `pack` was given."""
    return pickle.loads(packed)
