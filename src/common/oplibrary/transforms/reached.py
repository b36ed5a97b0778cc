"""The executors' values that code can reach: its arguments, and what its functions read."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from types import BuiltinFunctionType, CodeType, FunctionType, MethodType, ModuleType
from typing import Any

from oplibrary.core.dispatch import EXECUTORS
from oplibrary.messages.source import is_users

MOST_VISITED = 100_000
"""Objects that are looked into; what holds more is data, and no code that reads tensors."""


def reached(root: Any) -> Iterator[Any]:
    """Yield the values of executors that stand in `root`, or that its functions can read.

    Containers, attributes, closures, defaults and the globals that a function names are followed,
    through functions and methods of the user's, too.
    """
    pending = [root]
    seen: dict[int, Any] = {}
    while pending and len(seen) < MOST_VISITED:
        each = pending.pop()
        if id(each) in seen:
            continue
        seen[id(each)] = each  # kept, so that nothing else gets its id
        if type(each) in EXECUTORS:
            yield each
        else:
            pending += _inside(each)


def _inside(value: Any) -> Iterable[Any]:
    """Return what can be reached from `value` in one step."""
    if isinstance(value, FunctionType):
        return _read_by(value) if is_users(value.__code__) else _closure(value)
    if isinstance(value, MethodType):
        return value.__func__, value.__self__
    if isinstance(value, partial):
        return value.func, value.args, value.keywords
    if isinstance(value, Mapping):
        return value.values()
    if isinstance(value, (list, tuple, set, frozenset)):
        return value
    if isinstance(value, (type, ModuleType, BuiltinFunctionType)):
        return ()
    return [*getattr(value, "__dict__", {}).values(), vars(type(value)).get("__call__")]


def _read_by(function: FunctionType) -> list[Any]:
    space = function.__globals__
    named = [space[name] for name in _names(function.__code__) if name in space]
    return [*_closure(function), *(function.__defaults__ or ()), *named]


def _closure(function: FunctionType) -> list[Any]:
    found = []
    for cell in function.__closure__ or ():
        try:
            found.append(cell.cell_contents)
        except ValueError:  # nothing is in it yet
            continue
    return found


def _names(code: CodeType) -> set[str]:
    """Return the names that code loads, those of the functions that it defines included."""
    inner = [_names(each) for each in code.co_consts if isinstance(each, CodeType)]
    return set(code.co_names).union(*inner)
