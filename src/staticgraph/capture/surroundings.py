"""What a trace reads of the interpreter around it, through functions of other modules."""

from __future__ import annotations

import builtins
import gc
import sys
import threading
from collections.abc import Callable
from types import BuiltinFunctionType, FunctionType, MethodType
from typing import Any

import numpy as np

_REPORTED = (
    *(np.geterr, np.geterrcall, np.get_printoptions, np.getbufsize),
    *(sys.getrecursionlimit, sys.getswitchinterval),
    *(gc.isenabled, gc.get_threshold, threading.active_count),
)
"""Functions that say what is set, as values to compare."""

_LOOK_AROUND = {id(each) for each in (globals, locals, eval, exec, sys._getframe)}
_LOOKING_MODULES = {
    "gc": frozenset({"get_objects", "get_referrers", "get_referents", "get_count", "get_stats"}),
    "sys": frozenset({"_current_frames", "getrefcount", "getallocatedblocks"}),
    "inspect": frozenset({"currentframe", "stack", "trace"}),
    "threading": frozenset({"enumerate", "current_thread", "get_ident", "get_native_id"}),
    "_thread": frozenset({"get_ident", "get_native_id"}),
    "asyncio": frozenset({"current_task", "all_tasks"}),
}
"""Functions through which anything can be read."""

_STARTERS = frozenset(
    "start start_new_thread start_joinable_thread submit map apply apply_async map_async "
    "imap imap_unordered starmap starmap_async".split()
)
_STARTING_MODULES = frozenset({"threading", "_thread", "concurrent", "multiprocessing", "joblib"})


def state_told_by(called: Any) -> tuple[str, Callable[[], Any]] | None:
    """Return what a call tells of settings that can be compared: its name and what reads it.

    Arithmetic of `decimal` depends on a context that belongs to the thread, which every call of
    that module reads.
    """
    for each in _REPORTED:
        if called is each:
            return f"{called.__module__}.{called.__name__}()", called
    if getattr(called, "__module__", None) in ("decimal", "_decimal", "_pydecimal"):
        return "decimal.getcontext()", _decimal_context
    kind = getattr(called, "__self__", None)
    if isinstance(kind, type) and called == kind.__subclasses__:
        return f"{kind.__name__}.__subclasses__()", called
    return None


def _decimal_context() -> tuple[Any, ...]:
    context = sys.modules["decimal"].getcontext()
    return context.prec, context.rounding, context.Emin, context.Emax, context.clamp


def looks_around(called: Any, values: tuple[Any, ...]) -> bool:
    """Tell whether a call gives access to what the code does not name."""
    if id(called) in _LOOK_AROUND or ((called is vars or called is dir) and not values):
        return True
    if not isinstance(called, (BuiltinFunctionType, FunctionType)):
        return False
    names = _LOOKING_MODULES.get(str(called.__module__).partition(".")[0], frozenset())
    return called.__name__ in names


def starts_another_thread(called: Any) -> bool:
    """Tell whether a call runs code in a thread or a process of its own."""
    if not isinstance(called, (BuiltinFunctionType, FunctionType, MethodType)):
        return False
    module = str(called.__module__).partition(".")[0]
    return module in _STARTING_MODULES and called.__name__ in _STARTERS


def global_or_builtin(space: dict[str, Any], name: str, missing: Any) -> Any:
    """Return what a name means in a module: its global, or what Python has by that name."""
    return space.get(name, vars(builtins).get(name, missing))
