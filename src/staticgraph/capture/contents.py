"""What values hold, as structure and leaves, so that it can be compared at a later call."""

from __future__ import annotations

import enum
import functools
import operator
import os
import random
import re
import sys
import threading
from array import array
from collections import ChainMap, Counter, OrderedDict, UserDict, defaultdict, deque, namedtuple
from types import (
    BuiltinFunctionType,
    ClassMethodDescriptorType,
    CodeType,
    FunctionType,
    GetSetDescriptorType,
    MappingProxyType,
    MemberDescriptorType,
    MethodDescriptorType,
    MethodType,
    MethodWrapperType,
    ModuleType,
    WrapperDescriptorType,
)
from typing import Any

import numpy as np

from oplibrary.values.tree import LEAF, flatten
from oplibrary.values.types import TensorType
from staticgraph.capture.changes import CONTAINERS, plain
from staticgraph.capture.reads import MISSING
from staticgraph.capture.value_kinds import (
    VALUES,
    is_library_object,
    is_made_by_python,
    is_users_class,
)

MOST_COMPARED = 300
"""Objects of others that hold more values, however deep, are guarded by identity only."""

_PLAIN = (bool, int, float, complex, str, bytes, type(None), np.generic, np.dtype, enum.Enum)
_PLAIN_TYPES = (*_PLAIN, TensorType, range, slice, type(Ellipsis))
_MAPPINGS = frozenset(
    {OrderedDict, defaultdict, Counter, ChainMap, UserDict, MappingProxyType, type(os.environ)}
)
_SEQUENCES = frozenset({deque, bytearray, array})
_CLOSED = frozenset(
    {bool, int, float, complex, str, bytes, np.dtype, FunctionType, type, ModuleType}
    | {list, tuple, dict, OrderedDict}
)
"""What is no container, or one that `flatten` opens."""
COMPARABLE = (*_PLAIN_TYPES, frozenset, FunctionType, MethodType, BuiltinFunctionType, CodeType)
_SETTLED = (
    *(BuiltinFunctionType, MethodDescriptorType, MethodWrapperType, ModuleType, np.ufunc),
    # how a class written in C, or one with slots or named fields, finds what its objects hold
    *(MemberDescriptorType, GetSetDescriptorType, WrapperDescriptorType, ClassMethodDescriptorType),
    *(type(vars(namedtuple("_", "field"))["field"]), functools.cached_property),
    functools.partialmethod,
    *(property, staticmethod, classmethod, functools.partial, re.Pattern),
    *(operator.itemgetter, operator.attrgetter, operator.methodcaller, threading.local),
    *(type(sys.version_info), type(sys.flags), type(sys.float_info), type(sys.hash_info)),
    *(type(threading.Lock()), type(threading.RLock())),
    *(np.random.Generator, np.random.RandomState, random.Random),  # drawing from them is noticed
)
"""Objects that do not change, or whose changes are no concern of a graph."""

_COMPILED_FUNCTIONS = frozenset({"cython_function_or_method", "fused_cython_function", "nb_func"})
"""Classes of functions by the tools that compile them."""

_NAMES_OF_OTHERS = frozenset({("torch", "dtype"), ("torch", "device"), ("torch", "layout")})

_SETTLED_MODULES = frozenset({"datetime", "decimal", "fractions", "pathlib", "uuid", "zoneinfo"})
"""Modules whose objects do not change; they need not be loaded to know one."""


def take_apart(value: Any, seen: dict[int, int] | None = None) -> tuple[Any, list[Any]]:
    """Return structure and leaves; containers of every kind are opened, at every depth.

    One that holds itself, or stands there twice, is opened once: `seen` has the ids of those that
    were opened, with numbers by which the structure names them from then on.
    """
    seen = {} if seen is None else seen
    if type(value) not in _CLOSED:
        opened = _open(value, seen)
        if opened is not None:
            return opened
    leaves, structure = flatten(value)
    if _CLOSED.issuperset(map(type, leaves)):  # each call of a traced function may come by here
        return structure, leaves
    inner = [_open(leaf, seen) for leaf in leaves]
    if not any(inner):
        return structure, leaves
    structures, found = [structure], []
    for leaf, each in zip(leaves, inner, strict=True):
        structures.append(LEAF if each is None else each[0])
        found += [leaf] if each is None else each[1]
    return tuple(structures), found


def _open(value: Any, seen: dict[int, int]) -> tuple[Any, list[Any]] | None:
    """Return structure and leaves of what `flatten` leaves whole and can be looked into.

    These are Python's other containers, arrays of objects, and objects of classes that were derived
    from a value or a container, which have attributes besides.
    """
    kind = type(value)
    if kind in _CLOSED or isinstance(value, enum.Enum):
        return None
    if id(value) in seen:
        return ("again", seen[id(value)]), []
    if kind is set or kind is frozenset:  # whoever goes through one meets an order
        return take_apart([kind.__name__, *value], seen)
    if kind in _MAPPINGS:
        seen[id(value)] = len(seen)
        return take_apart(dict(value), seen)
    if kind in _SEQUENCES:
        seen[id(value)] = len(seen)
        return take_apart([kind.__name__, *value], seen)
    if kind is np.ndarray:
        if not value.dtype.hasobject:
            return None
        seen[id(value)] = len(seen)
        structure, leaves = take_apart(value.ravel().tolist(), seen)
        return (kind, value.shape, structure), leaves
    if not issubclass(kind, (*VALUES, *CONTAINERS)) or not _has_attributes(value):
        return None
    seen[id(value)] = len(seen)
    structure, leaves = take_apart(attributes_of(value), seen)
    if isinstance(value, VALUES):
        return (kind, structure), [*leaves, value]
    inside, more = take_apart(plain(value), seen)
    return (kind, structure, inside), leaves + more


def _has_attributes(value: Any) -> bool:
    """Tell whether a value, or the class of its own that it has, holds attributes."""
    return hasattr(value, "__dict__") or is_users_class(type(value))


def take_states_apart(value: Any) -> tuple[Any, list[Any]]:
    """Return structure and leaves, with those of the attributes of objects behind them."""
    structure, pending = take_apart(value)
    structures, leaves = [structure], []
    seen: set[int] = set()
    pending.reverse()
    while pending:
        leaf = pending.pop()
        leaves.append(leaf)
        if len(leaves) > MOST_COMPARED:
            break
        if keeps_attributes(leaf) and id(leaf) not in seen:
            seen.add(id(leaf))
            structure, more = take_apart(attributes_of(leaf))
            structures.append((type(leaf), structure))
            pending += reversed(more)
    return tuple(structures), leaves


def attributes_of(value: Any) -> dict[str, Any]:
    """Return the attributes of an object and, behind them, the values that its classes give."""
    found = dict(getattr(value, "__dict__", {}))
    for kind in type(value).__mro__:
        if kind.__module__ == "builtins":
            break
        for name, each in vars(kind).items():
            if isinstance(each, MemberDescriptorType):
                found.setdefault(name, getattr(value, name, MISSING))
            elif not name.startswith("__") and not hasattr(type(each), "__get__"):
                found.setdefault(name, each)
    return found


def keeps_attributes(value: Any) -> bool:
    """Tell whether `value` is an object whose attributes, in Python's own places, can be read."""
    kind = type(value)
    return (
        not isinstance(value, (*COMPARABLE, type, np.ndarray))
        and not is_settled(value)
        and kind.__module__ != "builtins"
        and not is_library_object(value)
        and all(map(is_made_by_python, kind.__mro__))
    )


def is_settled(value: Any) -> bool:
    """Tell whether an object does not change, or in no way that a graph depends on."""
    kind = type(value)
    return (
        kind is object  # of which nothing can be asked but which one it is
        or isinstance(value, _SETTLED)
        or kind.__name__ in _COMPILED_FUNCTIONS
        or (kind.__module__, kind.__name__) in _NAMES_OF_OTHERS
        or kind.__module__.partition(".")[0] in _SETTLED_MODULES
    )
