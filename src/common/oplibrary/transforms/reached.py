"""The executors' values that code can reach: its arguments, and what its functions read."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from types import BuiltinFunctionType, CodeType, FunctionType, MethodType, ModuleType
from typing import Any

from oplibrary.core.dispatch import EXECUTORS
from oplibrary.messages.source import is_users

_HOLDING = {list, tuple, dict, set, frozenset}
MOST_VISITED = 100_000
"""Objects that are looked into; what holds more is data, and no code that reads tensors."""


def reached(root: Any) -> Iterator[Any]:
    """Yield the values of executors that stand in `root`, or that its functions can read.

    Containers, attributes, closures, defaults and the globals that a function names are followed,
    through functions and methods of the user's, modules and classes, too.
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
    kind = type(value)
    found = [*getattr(value, "__dict__", {}).values(), vars(kind).get("__call__")]
    for each in kind.__mro__:
        found += [getattr(value, name, None) for name in _slots(each)]
        found += [x for x in vars(each).values() if type(x) in EXECUTORS or type(x) in _HOLDING]
    return found


def _slots(kind: type) -> tuple[str, ...]:
    """Return the names of what objects of a class keep outside of a dict."""
    found = vars(kind).get("__slots__", ())
    names = (found,) if isinstance(found, str) else tuple(found)
    return tuple([name for name in names if name not in ("__dict__", "__weakref__")])


def _read_by(function: FunctionType) -> list[Any]:
    space, names = function.__globals__, _names(function.__code__)
    named = [space[name] for name in names if name in space]
    named += _closure(function)
    # of a module and a class, what the code names, through modules in modules
    for each in named:
        if isinstance(each, ModuleType | type):
            members = vars(each)
            found = [members[name] for name in names if name in members]
            named += [x for x in found if not any(x is other for other in named)]
    return [*named, *(function.__defaults__ or ())]


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
