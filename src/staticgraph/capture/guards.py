"""Guards: the values that a trace read from outside, checked at each later call.

A number, string or array that a traced function reads from a closure, a global, a default or an
object's attribute is fixed in the graph. A guard remembers it; when it has changed, the function is
traced anew. What cannot be compared is recorded as baked, so that nothing is fixed silently.
"""

from __future__ import annotations

import builtins
import contextlib
import random
import time
from collections.abc import Callable, Mapping
from types import (
    CodeType,
    FunctionType,
    MethodType,
    ModuleType,
)
from typing import Any, NamedTuple

import numpy as np

from oplibrary.core.dispatch import HELD
from oplibrary.messages.source import Source
from oplibrary.values.keys import exact_key
from oplibrary.values.tree import LEAF
from oplibrary.values.types import Array, TensorType
from staticgraph.capture.changes import may_change
from staticgraph.capture.contents import (
    COMPARABLE,
    MOST_COMPARED,
    attributes_of,
    is_settled,
    keeps_attributes,
    take_apart,
    take_states_apart,
)
from staticgraph.capture.observation import Observation
from staticgraph.capture.observers import is_wrapper, observed_code
from staticgraph.capture.reads import MISSING, Read
from staticgraph.capture.value_kinds import (
    generator_state,
    hides_state,
    is_library_object,
    is_observable,
)
from staticgraph.graph.node import Node

LARGEST_COMPARED = 64 * 1024
"""Arrays of more bytes are guarded by identity only: comparing their elements would cost more than
many a call."""


class Baked(NamedTuple):
    """A value that is fixed in the graph and is not watched, or not wholly.

    Attributes
    ----------
    path, kind, source
        As in `Read`.
    shown : str
    why : str
        Why it is not watched, or not wholly.
    fix : str
        What to write instead.
    """

    path: str
    kind: str
    source: Source
    shown: str
    why: str
    fix: str

    def __str__(self) -> str:
        return f"baked {self.what} ({self.kind}, {self.source.place}): {self.why}"

    @property
    def what(self) -> str:
        """Its name with its value."""
        return f"{self.path}={self.shown}" if self.shown else self.path


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
        "check",
        "expected",
        "kind",
        "owner",
        "path",
        "read",
        "source",
    )

    def __init__(self, read: Read, states: bool = False) -> None:
        self.path, self.kind, self.source, self.expected, self.read, self.check, self.owner = read
        self._take_apart = take_states_apart if states else take_apart
        structure, leaves = self._take_apart(self.expected)
        self._structure, self._leaves = structure, [(leaf, _state_of(leaf)) for leaf in leaves]

    def as_read(self) -> Read:
        """Return what the guard is made of."""
        return Read(
            *(self.path, self.kind, self.source, self.expected, self.read, self.check, self.owner)
        )

    @property
    def mutable(self) -> bool:
        """Whether the value may change while it stays the same object."""
        return self._structure is not LEAF or self._leaves[0][1] is not None

    @property
    def compared(self) -> Any:
        """What `check` gives while the value is the same."""
        return self.expected.__func__ if self.kind == "method" else self.expected

    def holds_for(self, value: Any) -> bool:
        """Tell whether `value` is what was read while tracing."""
        kind = type(value)
        if kind is float or kind is int:  # often another object of the same number
            expected = self.expected
            if kind is type(expected) and value == expected != 0:
                return True
        if value is MISSING or self.expected is MISSING:
            return value is self.expected
        if self.kind == "code":  # while another thread traces, it is a copy
            return value is self.expected or value is observed_code(self.expected)
        structure, leaves = self._take_apart(value)
        return bool(structure == self._structure) and all(map(_is_same, leaves, self._leaves))

    def describe_change(self) -> str:
        """Return the change as text, as in ``lr: 0.1 -> 0.2 (closure, train.py:12)``."""
        try:
            now = self.read()
        except (ValueError, AttributeError):
            now = MISSING
        old, new = _show(self.expected), "missing" if now is MISSING else _show(now)
        change = "its elements changed" if old == new else f"{old} -> {new}"
        return f"{self.path}: {change} ({self.kind}, {self.source.place})"

    def __str__(self) -> str:
        return f"{self.path}={_show(self.expected)} ({self.kind}, {self.source.place})"


def holds_the_same(one: Any, other: Any, seen: frozenset[int] = frozenset()) -> bool:
    """Tell whether two objects that are equal hold equal values, those that equality leaves out."""
    if not keeps_attributes(one) or id(one) in seen:
        return True
    seen |= {id(one)}
    structure, leaves = take_apart(attributes_of(one))
    other_structure, others = take_apart(attributes_of(other))
    return bool(structure == other_structure) and all(
        _is_same(value, (leaf, _state_of(leaf)))
        or (value == leaf and holds_the_same(leaf, value, seen))
        for leaf, value in zip(leaves, others, strict=True)
    )


def _state_of(leaf: Any) -> Any:
    """Return what may change while a leaf stays the same object, or None where nothing can."""
    if isinstance(leaf, np.ndarray):
        return _state_of_array(leaf)
    kind = type(leaf)
    if kind in HELD:
        held = HELD[kind](leaf)
        arrays = held if isinstance(held, tuple) else (held,)
        # what a variable holds is replaced, and never written to
        return tuple([(_Same(each), _state_of_array(each)) for each in arrays])
    if hides_state(kind):
        with contextlib.suppress(TypeError, ValueError, BufferError):
            return bytes(memoryview(leaf).cast("B"))
    return None


class _Same:
    """An object that is equal to itself alone."""

    __slots__ = ("value",)

    def __init__(self, value: Any) -> None:
        self.value = value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Same) and other.value is self.value

    __hash__ = None  # type: ignore[assignment]


def _state_of_array(array: Array) -> tuple[Any, ...]:
    compared = array.nbytes <= LARGEST_COMPARED and may_change(array)
    held = array.tobytes() if compared else None
    return array.shape, array.dtype, array.dtype.names, held


def _is_same(value: Any, remembered: tuple[Any, Any]) -> bool:
    expected, state = remembered
    if value is expected:
        return state is None or bool(_state_of(value) == state)
    if type(value) is not type(expected) or not isinstance(expected, COMPARABLE):
        return False
    return bool(exact_key(value) == exact_key(expected))


class Guards:
    """All guards of one trace."""

    def __init__(self, guards: list[Guard]) -> None:
        self.guards = guards
        self._check: Callable[[], Guard | None] | None = None

    def failed(self) -> Guard | None:
        """Return the first guard whose value has changed since the trace, or None."""
        check = self._check
        if check is None:  # at the second call of what was traced
            check = self._check = _written_out(self.guards, self._search)
        return check()

    def seconds(self) -> float:
        """Return how long one check takes, measured now."""
        self.failed()
        times = []
        for _ in range(5):
            started = time.perf_counter()
            for _ in range(20):
                self.failed()
            times.append(time.perf_counter() - started)
        return min(times) / 20

    def _search(self) -> Guard | None:
        for guard in self.guards:
            try:
                value = guard.read()
            except (ValueError, AttributeError):  # it was deleted
                return guard
            if not guard.holds_for(value):
                return guard
        return None


def _written_out(
    guards: list[Guard], search: Callable[[], Guard | None]
) -> Callable[[], Guard | None]:
    """Return generated code that looks at every value, at no call for those that are the same."""
    names: dict[str, Any] = {"search": search, "builtins": vars(builtins)}
    lines = []
    hidden: dict[int, tuple[dict[str, Any], list[str]]] = {}  # modules, and builtins they use
    for number, guard in enumerate(guards):
        names[f"holds_{number}"] = guard.holds_for
        names[f"read_{number}"] = guard.read
        if guard.mutable or not guard.check:
            lines.append(f"if not holds_{number}(read_{number}()): return search()")
            continue
        names[f"owner_{number}"] = guard.owner
        names[f"old_{number}"] = guard.compared
        now = guard.check.format(f"owner_{number}")
        lines.append(
            f"if {now} is not old_{number} and not holds_{number}(read_{number}()): return search()"
        )
        if guard.kind == "builtin":
            hidden.setdefault(id(guard.owner), (guard.owner, []))[1].append(guard.path)
    for number, (space, builtin_names) in enumerate(hidden.values()):
        names[f"module_{number}"], names[f"hidden_{number}"] = space.keys(), tuple(builtin_names)
        lines.append(f"if not module_{number}.isdisjoint(hidden_{number}): return search()")
    body = "\n            ".join([*lines, "return None"])
    source = f"""
def bind({", ".join(names)}):
    def check():
        try:
            {body}
        except (ValueError, AttributeError, KeyError):
            return search()
    return check
"""
    made: dict[str, Any] = {}
    exec(compile(source, "<staticgraph guards>", "exec"), made)
    check: Callable[[], Guard | None] = made["bind"](**names)
    return check


class Watch(NamedTuple):
    """What a trace read from outside: guarded, baked, and what it did besides."""

    guards: Guards
    baked: list[Baked]
    effects: list[str]


def watch(observation: Observation) -> Watch:
    """Return the guards of what a trace read, and what cannot be guarded.

    Parameters
    ----------
    observation : Observation
        Of the whole trace.
    """
    guards: list[Guard] = []
    fix = "do it outside, and pass the result as an argument"
    baked = [
        Baked(path, "call", source, "", why, fix) for path, source, why in observation.unwatched
    ]
    for read in observation.overwritten:
        why = "it is read and set while tracing: what was read is fixed, and is set once"
        fix = f"pass {read.path} as an argument, and return its new value"
        baked.append(Baked(read.path, read.kind, read.source, _show(read.value), why, fix))
    for read in observation.reads:
        if isinstance(read.value, Node):
            continue
        states = read.kind == "state" or _needs_states(read.value)
        why = _why_unwatched(read.value, states)
        guards.append(Guard(read, states=states and why != _TOO_MANY))
        if why:
            fix = f"pass {read.path} as an argument" + (
                f", or fix it: {read.path}.flags.writeable = False"
                if why == _TOO_LARGE and isinstance(read.value, np.ndarray)
                else ", or what it computes"
            )
            baked.append(Baked(read.path, read.kind, read.source, _show(read.value), why, fix))
    return Watch(Guards(guards), baked, list(observation.effects))


_TOO_LARGE = f"an array of more than {LARGEST_COMPARED // 1024} KiB is watched by identity only"
_TOO_MANY = f"it holds more than {MOST_COMPARED} values: only which one it is, is watched"


def _needs_states(value: Any) -> bool:
    """Tell whether the state of an object counts that no observer sees being read."""
    _, leaves = take_apart(value)
    return any(keeps_attributes(leaf) and not is_observable(leaf) for leaf in leaves)


def _why_unwatched(value: Any, states: bool) -> str:
    """Return why `value` cannot be compared with itself later, or an empty string."""
    _, leaves = take_states_apart(value) if states else take_apart(value)
    if states and len(leaves) > MOST_COMPARED:
        return _TOO_MANY
    why = ""
    for leaf in leaves:
        if isinstance(leaf, np.ndarray):
            if leaf.nbytes > LARGEST_COMPARED and may_change(leaf):
                why = _TOO_LARGE
        elif type(leaf) in HELD:
            held = HELD[type(leaf)](leaf)
            if isinstance(held, np.ndarray) and held.nbytes > LARGEST_COMPARED:
                why = _TOO_LARGE
        elif hides_state(type(leaf)) and _state_of(leaf) is not None:
            pass  # its bytes are compared
        elif not (
            isinstance(leaf, (*COMPARABLE, type))
            or is_settled(leaf)
            or is_wrapper(leaf)
            or is_library_object(leaf)
            or is_observable(leaf)
            or (states and keeps_attributes(leaf))
        ):
            return f"a {type(leaf).__name__} may hold state; only which one it is, is watched"
    return why


def _show(value: Any) -> str:
    if isinstance(value, np.ndarray):
        return f"array {TensorType(value.shape, value.dtype)}"
    if value is MISSING:
        return "missing"
    if isinstance(value, CodeType):
        return f"its code at line {value.co_firstlineno}"
    if isinstance(value, (FunctionType, MethodType, type)):
        return str(getattr(value, "__qualname__", value))
    if isinstance(value, ModuleType):
        return f"module {value.__name__}"
    try:
        text = repr(value)
    except Exception:  # of a class of the user's
        text = f"a {type(value).__name__}"
    return text if len(text) <= 60 else f"{text[:57]}..."


class RandomState:
    """Whether the random generators of modules were drawn from since this was made."""

    def __init__(self) -> None:
        self._numpy = _numpy_state()
        self._python = random.getstate()

    def drawn(self, others: Mapping[str, tuple[Any, Any]]) -> list[str]:
        """Return the names of the generators that were drawn from.

        Parameters
        ----------
        others : mapping of str to (object, object)
            Further generators, each with its state when it was first read.
        """
        names = []
        if random.getstate() != self._python:
            names.append("random")
        if _numpy_state() != self._numpy:
            names.append("numpy.random")
        names += [name for name, (each, state) in others.items() if generator_state(each) != state]
        return names


def _numpy_state() -> tuple[Any, ...]:
    state: Any = np.random.get_state(legacy=True)  # noqa: NPY002  it is watched, not used
    key: Array = state[1]
    return (key.tobytes(), *state[2:])
