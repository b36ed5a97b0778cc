"""Kinds of values that a trace meets: whose they are, and whether reads of them are seen."""

from __future__ import annotations

import enum
import functools
import random
import sys
import threading
from types import BuiltinFunctionType, FunctionType, MethodType, ModuleType, SimpleNamespace
from typing import Any

import numpy as np

from oplibrary.messages.source import is_our_file
from staticgraph.capture.changes import CONTAINERS
from staticgraph.capture.observers import INSTALLED
from staticgraph.graph.node import Node

VALUES = (bool, int, float, complex, str, bytes, type(None), np.generic, np.dtype, np.ndarray)
"""What is nothing but its value, so that the same object may come from anywhere."""

_BAGS = frozenset({"types.SimpleNamespace", "argparse.Namespace"})
"""Classes of others whose objects are nothing but their attributes."""
_SEEDED = (
    *(np.random.default_rng, np.random.RandomState, random.Random, np.random.SeedSequence),
    *(np.random.PCG64, np.random.PCG64DXSM, np.random.MT19937, np.random.Philox, np.random.SFC64),
)
"""What the system seeds where no seed is given."""
_READERS = frozenset(
    "open input load loadtxt genfromtxt fromfile memmap read_text read_bytes urlopen exists "
    "lexists isfile isdir islink getsize getmtime getatime getctime glob iglob iterdir rglob stat "
    "is_file is_dir run call check_call check_output getoutput Popen read getline getlines "
    "run_path run_module ZipFile TarFile GzipFile BZ2File LZMAFile FileInput mmap".split()
)
_READING_MODULES = frozenset(
    "builtins io _io numpy pathlib urllib genericpath posixpath ntpath glob subprocess gzip bz2 "
    "lzma zipfile tarfile configparser linecache runpy fileinput shelve dbm mmap".split()
)
_OURS = frozenset({"oplibrary", "dyngraph", "staticgraph", "sidebyside"})


def generator_state(generator: Any) -> Any:
    """Return the state of a random generator as something to compare."""
    if isinstance(generator, np.random.Generator):
        return repr(generator.bit_generator.state)
    if isinstance(generator, np.random.RandomState):
        return repr(generator.get_state(legacy=False))
    return generator.getstate()


def path_of(called: Any) -> str:
    """Return the name of a function with its module or class."""
    owner = getattr(called, "__module__", None) or getattr(
        getattr(called, "__self__", None), "__name__", ""
    )
    return f"{owner}.{called.__name__}" if owner else str(called.__name__)


_IMPURE = frozenset({"time", "uuid", "secrets", "posix", "nt"})


def differs_each_time(called: Any, values: tuple[Any, ...]) -> bool:
    """Tell whether a call gives something of the clock, the system or chance."""
    if any(called is each for each in _SEEDED):
        return not values or values[0] is None
    if called is np.datetime64:
        return bool(values) and isinstance(values[0], str) and values[0] in ("now", "today")
    owner = getattr(called, "__self__", None)
    if called is random.SystemRandom or isinstance(owner, random.SystemRandom):
        return True
    if isinstance(owner, type) and getattr(called, "__name__", "") in ("now", "today", "utcnow"):
        return True
    if not isinstance(called, (BuiltinFunctionType, FunctionType)):
        return False
    return called.__module__ in _IMPURE


def reads_files(called: Any) -> bool:
    """Tell whether a call reads files, what another program says, or what a user types."""
    name = getattr(called, "__name__", "")
    module = str(getattr(called, "__module__", "")).partition(".")[0]
    return name in _READERS and module in _READING_MODULES


def is_library_object(value: Any) -> bool:
    """Tell whether `value` belongs to this library, whose own state no trace depends on."""
    if isinstance(value, FunctionType):
        return is_our_file(value.__code__.co_filename)
    kind = value if isinstance(value, type) else type(value)
    module = value.__name__ if isinstance(value, ModuleType) else kind.__module__
    return str(module).partition(".")[0] in _OURS and not _is_users_module(str(module))


def _is_users_module(name: str) -> bool:
    """Tell whether a module inside this library is a program, such as a builtin workload."""
    module = sys.modules.get(name)
    filename = getattr(module, "__file__", None)
    return filename is not None and not is_our_file(filename)


def is_users_class(kind: type) -> bool:
    """Tell whether the methods of a class are the user's own code."""
    module = sys.modules.get(kind.__module__)
    if kind.__module__ == "builtins" or not is_made_by_python(kind):
        return False
    filename = getattr(module, "__file__", None)
    if filename is None:
        return not (module is not None and kind.__module__ in sys.builtin_module_names)
    return not (is_our_file(filename) or filename.startswith(INSTALLED))


def is_observable(value: Any) -> bool:
    """Tell whether all that is read of `value` is read by code that is observed."""
    kind = type(value)
    return f"{kind.__module__}.{kind.__qualname__}" in _BAGS or (
        not isinstance(value, (type, ModuleType, FunctionType, MethodType, Node))
        and is_users_class(kind)
        and not hides_state(kind)
    )


_OPEN = (
    *(object, SimpleNamespace, BaseException, threading.local, property, staticmethod, classmethod),
    *(functools.partial, random.Random.__base__, *VALUES, *CONTAINERS),
)
"""Classes of compiled code whose objects keep no state besides attributes, values and items."""


def hides_state(kind: type) -> bool:
    """Tell whether a class has one of compiled code for a base, which may keep state of its own."""
    return not all(is_made_by_python(each) or _is_open(each) for each in kind.__mro__)


def _is_open(kind: type) -> bool:
    return kind in _OPEN or issubclass(kind, (BaseException, *VALUES, *CONTAINERS))


def is_made_by_python(kind: type) -> bool:
    """Tell whether a ``class`` statement made it, so that no compiled code keeps state in it."""
    is_heap, is_immutable = kind.__flags__ & 1 << 9, kind.__flags__ & 1 << 8
    return bool(is_heap and not is_immutable) or kind in (object, SimpleNamespace)


def inherits_methods(kind: type) -> bool:
    """Tell whether a class of the user's has methods of others, which are not observed."""
    return any(
        not is_users_class(each)
        and each not in _OPEN
        and not issubclass(each, _UNREMARKABLE)
        and each.__module__ not in _MIXING_MODULES
        for each in kind.__mro__
    )


_MIXING_MODULES = frozenset({"abc", "typing", "collections.abc", "numbers", "contextlib"})
"""Modules of classes whose methods call those of derived classes, and keep nothing."""
_UNREMARKABLE = (BaseException, enum.Enum, *VALUES, *CONTAINERS)
