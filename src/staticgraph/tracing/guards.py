"""Guards: the values that a trace read from outside, checked at each later call.

A number, string or array that a traced function reads from a closure, a global, a default or an
object's attribute is fixed in the graph. A guard remembers it; when it has changed, the function is
traced anew. What cannot be compared is recorded as baked, so that nothing is fixed silently.
"""

from __future__ import annotations

import enum
import os
import random
import sys
from collections import ChainMap, Counter, OrderedDict, UserDict, defaultdict
from collections.abc import Callable, Mapping
from types import BuiltinFunctionType, FunctionType, MappingProxyType, MethodType, ModuleType
from typing import Any, NamedTuple

import numpy as np

from oplibrary.core.keys import exact_key
from oplibrary.core.tree import LEAF, flatten
from oplibrary.core.types import Array, TensorType
from oplibrary.messages.source import Source, is_users_file
from staticgraph.graph.node import Node
from staticgraph.tracing.captures import (
    MISSING,
    Captures,
    Read,
    captures_of,
    is_user_code,
    is_wrapper,
)

LARGEST_COMPARED = 64 * 1024
"""Arrays of more bytes are guarded by identity only: comparing their elements would cost more than
many a call."""

_PLAIN = (bool, int, float, complex, str, bytes, type(None), np.generic, np.dtype, enum.Enum)
_PLAIN_TYPES = (*_PLAIN, TensorType, range, slice, type(Ellipsis))
_MAPPINGS = frozenset(
    {OrderedDict, defaultdict, Counter, ChainMap, UserDict, MappingProxyType, type(os.environ)}
)
_COMPARABLE = (*_PLAIN_TYPES, frozenset, FunctionType, MethodType)


class Baked(NamedTuple):
    """A value that is fixed in the graph and is not watched, or not wholly.

    Attributes
    ----------
    path, kind, source
        As in `Read`.
    shown : str
    why : str
        Why it is not watched, or not wholly.
    """

    path: str
    kind: str
    source: Source
    shown: str
    why: str

    def __str__(self) -> str:
        shown = f"={self.shown}" if self.shown else ""
        return f"baked {self.path}{shown} ({self.kind}, {self.source.place}): {self.why}"


class Guard:
    """One value that was read while tracing, as it was then.

    Attributes
    ----------
    path, kind, source
        As in `Read`.
    expected : object
        The value itself; a container or an array that can change in place also as a snapshot.
    states : bool
        Whether the attributes of the user's own objects are watched, too.
    """

    __slots__ = (
        "_leaves",
        "_structure",
        "_take_apart",
        "expected",
        "kind",
        "path",
        "read",
        "source",
    )

    def __init__(self, read: Read, states: bool = False) -> None:
        self.path, self.kind, self.source, self.expected, self.read = read
        self._take_apart = _take_states_apart if states else _take_apart
        structure, leaves = self._take_apart(self.expected)
        self._structure, self._leaves = structure, [(leaf, _contents(leaf)) for leaf in leaves]

    @property
    def mutable(self) -> bool:
        """Whether the value may change while it stays the same object."""
        return self._structure is not LEAF or self._leaves[0][1] is not None

    def holds_for(self, value: Any) -> bool:
        """Tell whether `value` is what was read while tracing."""
        if value is MISSING:
            return False
        structure, leaves = self._take_apart(value)
        return bool(structure == self._structure) and all(map(_is_same, leaves, self._leaves))

    def describe_change(self) -> str:
        """Return the change as text, as in ``lr: 0.1 -> 0.2 (closure, train.py:12)``."""
        try:
            now = self.read()
        except ValueError:
            now = MISSING
        old, new = _show(self.expected), "missing" if now is MISSING else _show(now)
        change = "its elements changed" if old == new else f"{old} -> {new}"
        return f"{self.path}: {change} ({self.kind}, {self.source.place})"

    def __str__(self) -> str:
        return f"{self.path}={_show(self.expected)} ({self.kind}, {self.source.place})"


def _take_apart(value: Any) -> tuple[Any, list[Any]]:
    """Return structure and leaves; of Python's own mappings those of their items."""
    if isinstance(value, (set, frozenset)):
        return LEAF, [frozenset(value)]
    if type(value) in _MAPPINGS:
        value = dict(value)
    leaves, structure = flatten(value)
    return structure, leaves


def _take_states_apart(value: Any) -> tuple[Any, list[Any]]:
    """Return structure and leaves, with those of the attributes of objects behind them."""
    structure, pending = _take_apart(value)
    structures, leaves = [structure], []
    seen: set[int] = set()
    pending.reverse()
    while pending:
        leaf = pending.pop()
        leaves.append(leaf)
        if _is_users_object(leaf) and id(leaf) not in seen:
            seen.add(id(leaf))
            structure, more = _take_apart(_attributes_of(leaf))
            structures.append(structure)
            pending += reversed(more)
    return tuple(structures), leaves


def _attributes_of(value: Any) -> dict[str, Any]:
    """Return the attributes of an object and, behind them, the values that its classes give."""
    found = dict(vars(value))
    for kind in type(value).__mro__:
        if kind.__module__ == "builtins":
            break
        for name, each in vars(kind).items():
            if not name.startswith("__") and not hasattr(type(each), "__get__"):
                found.setdefault(name, each)
    return found


def _is_users_object(value: Any) -> bool:
    """Tell whether `value` is an object of a class of the user's, which keeps its attributes."""
    kind = type(value)
    module = sys.modules.get(kind.__module__)
    filename = getattr(module, "__file__", None) or "<user>"
    return (
        type(getattr(value, "__dict__", None)) is dict
        and not isinstance(value, (type, FunctionType, ModuleType))
        and kind.__module__ != "builtins"
        and is_users_file(filename)
    )


def _contents(leaf: Any) -> bytes | None:
    if isinstance(leaf, np.ndarray) and leaf.nbytes <= LARGEST_COMPARED and leaf.flags.writeable:
        return leaf.tobytes()
    return None


def _is_same(value: Any, remembered: tuple[Any, bytes | None]) -> bool:
    expected, contents = remembered
    if value is expected:
        return contents is None or value.tobytes() == contents
    if type(value) is not type(expected) or not isinstance(expected, _COMPARABLE):
        return False
    return bool(exact_key(value) == exact_key(expected))


class Guards:
    """All guards of one trace."""

    def __init__(self, guards: list[Guard]) -> None:
        self.guards = guards
        self._fixed = [(guard.read, guard.expected, guard) for guard in guards]
        self._mutable = [(guard.read, guard) for guard in guards if guard.mutable]

    def failed(self) -> Guard | None:
        """Return the first guard whose value has changed since the trace, or None."""
        guard = None
        try:
            for read, expected, guard in self._fixed:
                value = read()
                if value is not expected and not guard.holds_for(value):
                    return guard
            for read, guard in self._mutable:
                if not guard.holds_for(read()):
                    return guard
        except ValueError:  # the closure's variable was deleted
            return guard
        return None


_GENERATORS = (np.random.Generator, np.random.RandomState, random.Random)


class Watch(NamedTuple):
    """What a trace reads from outside: guarded, baked, and what it does besides."""

    guards: Guards
    baked: list[Baked]
    effects: list[str]

    @property
    def generators(self) -> dict[str, Any]:
        """The random generators that are read, by their names."""
        return {
            each.path: each.expected
            for each in self.guards.guards
            if isinstance(each.expected, _GENERATORS)
        }


def watch(function: Callable[..., Any], static: Mapping[str, Any] | None = None) -> Watch:
    """Return the guards of what `function` reads from outside, and what cannot be guarded.

    Parameters
    ----------
    function : callable
        What is traced.
    static : mapping of str to object, optional
        Parameters that are passed objects as they are.
    """
    captures: Captures = captures_of(function, static)
    guards: list[Guard] = []
    baked: list[Baked] = []
    for read in captures.reads:
        if read.value is os.getenv:  # it is guarded as what it reads
            read = read._replace(path="os.environ", value=os.environ, read=lambda: os.environ)
        if _differs_each_time(read.value):
            why = "it gives another value each time, and that of the trace is fixed"
            baked.append(Baked(f"{read.path}()", read.kind, read.source, "", why))
        if _is_ignored(read.value):
            continue
        why = _why_unwatched(read.value)
        if not why or any(read.value is owner for owner in captures.owners):
            guards.append(Guard(read))
            continue
        guards.append(Guard(read, states=True))
        baked.append(Baked(read.path, read.kind, read.source, _show(read.value), why))
    effects = [
        f"{effect.what} while tracing, and not in later calls ({effect.source.place})"
        for effect in captures.effects
    ]
    return Watch(Guards(guards), baked, list(dict.fromkeys(effects)))


_TOO_LARGE = f"an array of more than {LARGEST_COMPARED // 1024} KiB is watched by identity only"


_IMPURE = frozenset({"time", "uuid", "secrets", "posix", "nt"})


def _differs_each_time(value: Any) -> bool:
    """Tell whether `value` is a function of the clock, the system or chance."""
    if not isinstance(value, (BuiltinFunctionType, FunctionType)):
        return False
    owner = getattr(value, "__self__", None)
    return value.__module__ in _IMPURE or getattr(owner, "__module__", None) == "datetime"


def _is_ignored(value: Any) -> bool:
    """Tell whether rebinding or changing `value` is no concern: the library's own and modules."""
    if isinstance(value, (ModuleType, BuiltinFunctionType, np.ufunc, Node)):
        return True
    if isinstance(value, (FunctionType, MethodType)):
        code = value.__code__
        return not is_user_code(code) and not is_wrapper(value)
    return isinstance(value, type) and value.__module__ in ("builtins", "numpy")


def _why_unwatched(value: Any) -> str:
    """Return why `value` cannot be compared with itself later, or an empty string."""
    _, leaves = _take_apart(value)
    why = ""
    for leaf in leaves:
        if isinstance(leaf, np.ndarray):
            if leaf.nbytes > LARGEST_COMPARED and leaf.flags.writeable:
                why = _TOO_LARGE
        elif not isinstance(leaf, (*_COMPARABLE, type)) and not is_wrapper(leaf):
            name = type(leaf).__name__
            if _is_users_object(leaf):
                return f"a {name} may hold state beside its attributes, which are watched"
            return f"a {name} may hold state; only which one it is, is watched"
    return why


def _show(value: Any) -> str:
    if isinstance(value, np.ndarray):
        return f"array {TensorType(value.shape, value.dtype)}"
    if isinstance(value, (FunctionType, MethodType, type)):
        return str(getattr(value, "__qualname__", value))
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


class RandomState:
    """Whether random generators were drawn from since this was made.

    Parameters
    ----------
    generators : mapping of str to object
        Which ones besides the global ones, by the name that a report shows.
    """

    def __init__(self, generators: Mapping[str, Any]) -> None:
        self._others = {name: (each, _state(each)) for name, each in generators.items()}
        self._numpy = _numpy_state()
        self._python = random.getstate()

    def drawn(self) -> list[str]:
        """Return the names of the generators that were drawn from."""
        names = []
        if random.getstate() != self._python:
            names.append("random")
        if _numpy_state() != self._numpy:
            names.append("numpy.random")
        names += [name for name, (each, state) in self._others.items() if _state(each) != state]
        return names


def _state(generator: Any) -> str:
    if isinstance(generator, np.random.Generator):
        return repr(generator.bit_generator.state)
    if isinstance(generator, np.random.RandomState):
        return repr(generator.get_state(legacy=False))
    return repr(generator.getstate())


def _numpy_state() -> tuple[Any, ...]:
    state: Any = np.random.get_state(legacy=True)  # noqa: NPY002  it is watched, not used
    key: Array = state[1]
    return (key.tobytes(), *state[2:])
