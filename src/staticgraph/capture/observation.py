"""What a traced function reads from outside, told by the observers in its code while it runs.

A trace runs a function once, so whatever it reads that is not an argument is fixed in the graph.
While an `Observation` is made, the code of every function of the user's that the trace can reach is
a copy with observers: a function is given one when it is first seen, which is before it can be
called. So reads are found by whatever route they are made. What runs unobserved all the same, such
as compiled code that is given an object, is watched whole, or named.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from types import (
    BuiltinFunctionType,
    CellType,
    CodeType,
    FunctionType,
    MethodType,
    MethodWrapperType,
    ModuleType,
    TracebackType,
)
from typing import Any

import numpy as np

from oplibrary.messages.source import Source, is_our_file
from staticgraph.capture.changes import CONTAINERS, items_of
from staticgraph.capture.observers import (
    OBSERVERS_FILE,
    Site,
    active,
    is_user_code,
    is_wrapper,
    swaps,
)
from staticgraph.capture.outside import MISSING, VALUES, Outside, closure_of, is_plain
from staticgraph.capture.reads import Read, Unwatched
from staticgraph.capture.surroundings import (
    global_or_builtin,
    looks_around,
    starts_another_thread,
    state_told_by,
)
from staticgraph.capture.value_kinds import (
    differs_each_time,
    is_library_object,
    is_observable,
    is_users_class,
    path_of,
    reads_files,
)
from staticgraph.graph.node import Node

_ASKS_NOTHING = {id(each) for each in (isinstance, issubclass, type, id, callable, super, object)}
"""What may be given any object: nothing of its state is read."""

_MUTATORS = frozenset(
    "append extend insert remove clear add discard sort reverse appendleft extendleft "
    "rotate".split()
)
_TAKERS = frozenset("pop popitem popleft setdefault update".split())
"""Methods that change a container, and those whose container is mostly read, too."""


class Observation:
    """What one trace reads from outside, does to the outside, and cannot watch.

    Attributes
    ----------
    effects : dict of str to None
        What the code does besides computing, in order.
    unwatched : list of Unwatched
    outside : Outside
        What it met.
    """

    def __init__(self) -> None:
        self.effects: dict[str, None] = {}
        self.unwatched: list[Unwatched] = []
        self._reads: dict[tuple[Any, ...], Read] = {}
        self.outside = Outside()
        self._written: set[tuple[Any, ...]] = set()
        self._changed: dict[int, str] = {}  # containers, and what the program calls them
        self._looked_into: set[int] = set()
        self._foreign = ""

    # begin and end --------------------------------------------------------------------------------

    @contextmanager
    def of(self, function: Callable[..., Any], static: Mapping[str, Any]) -> Iterator[None]:
        """Observe what `function` reads in this thread inside the block.

        Parameters
        ----------
        function : callable
        static : mapping of str to object
            Parameters that are passed objects as they are; what is read of them counts.
        """
        swaps.begin()
        active.observations.append(self)
        try:
            self._root(function)
            for name, value in static.items():
                self.outside.meet(value, name)
            yield
            self._look_again()
        except BaseException as error:
            error.__traceback__ = _without_observers(error.__traceback__)
            raise
        finally:
            active.observations.remove(self)
            swaps.end()

    def _root(self, function: Any) -> None:
        if isinstance(function, MethodType):
            self._first(function.__func__, function.__self__)
        elif not isinstance(function, (FunctionType, functools.partial, type)):
            call = _class_attribute(type(function), "__call__")
            if isinstance(call, FunctionType) and not is_wrapper(function):
                self._first(call, function)
        self.outside.meet(function, getattr(function, "__name__", type(function).__name__))
        if isinstance(function, functools.partial):
            code = getattr(function.func, "__code__", None)
            if code is not None:
                place = Source(code.co_filename, code.co_firstlineno, code.co_name)
                self._partial(function, place)

    def _first(self, function: Any, owner: Any) -> None:
        names = getattr(getattr(function, "__code__", None), "co_varnames", ())
        if names:
            self.outside.meet(owner, names[0])

    @property
    def reads(self) -> list[Read]:
        """Everything that was read and not written, in order."""
        return [
            read
            for key, read in self._reads.items()
            if key not in self._written and id(read.value) not in self._changed
        ]

    @property
    def overwritten(self) -> list[Read]:
        """What was read and written too, so that what was read is fixed."""
        written = {key[1] for key in self._written if key[0] == "attribute"}
        changed = {key: path for key, path in self._changed.items() if key in self._looked_into}
        return [
            read
            for key, read in self._reads.items()
            if key in self._written
            or (read.kind == "state" and id(read.value) in written)
            or id(read.value) in changed
            or any(path.startswith(f"{read.path}[...]") for path in changed.values())
        ]

    def _look_again(self) -> None:
        """Take down what was changed by code that is not observed."""
        for each in self.outside.changed():
            if id(each.value) not in self._changed:
                self._change(each.value, isinstance(each.value, np.ndarray))
                self.effects.setdefault(
                    f"{each.path} is changed while tracing, and not in later calls"
                )

    # what was read -------------------------------------------------------------------------------

    def started(self, code: CodeType) -> None:
        """Take down that `code` begins to run: what it is, and the defaults of its parameters."""
        for function in self.outside.begun(code):
            self._code(function, code, Source(code.co_filename, code.co_firstlineno, code.co_name))

    def _code(self, function: FunctionType, code: CodeType, source: Source) -> None:
        """Take down what a function is: its code, and the defaults of its parameters."""
        getter = functools.partial(getattr, function, "__code__")
        read = Read(function.__qualname__, "code", source, code, getter, "{}.__code__", function)
        self._found(("code", id(function)), read)
        self._defaults(function, code, source)

    def _defaults(self, function: FunctionType, code: CodeType, source: Source) -> None:
        values = function.__defaults__ or ()
        first = code.co_argcount - len(values)
        for position, value in enumerate(values):
            name = code.co_varnames[first + position]
            read = functools.partial(_default, function, position)
            self._found(("default", id(function), name), Read(name, "default", source, value, read))
        for name, value in (function.__kwdefaults__ or {}).items():
            read = functools.partial(_keyword_default, function, name)
            self._found(("default", id(function), name), Read(name, "default", source, value, read))

    def _found(self, key: tuple[Any, ...], read: Read) -> None:
        self._reads.setdefault(key, read)

    # what code does -------------------------------------------------------------------------------

    def global_read(self, at: Site, space: dict[str, Any], value: Any) -> None:
        """Take down a global or a builtin that was loaded."""
        name = at.name
        key = ("global", id(space), name)
        if key in self._reads:
            return
        if name in space:
            kind, check = "global", f"{{}}[{name!r}]"
            getter: Callable[[], Any] = functools.partial(space.get, name, MISSING)
        else:  # a builtin, as long as nobody defines the name
            kind, check = "builtin", f"builtins[{name!r}]"
            getter = functools.partial(global_or_builtin, space, name, MISSING)
        self._found(key, Read(name, kind, at.source, value, getter, check, space))
        self.outside.meet(value, name)

    def closure_read(self, at: Site, cell: CellType, value: Any) -> None:
        """Take down a variable of a function around that was loaded."""
        key = ("closure", id(cell))
        if cell in self.outside and key not in self._reads:
            getter = functools.partial(getattr, cell, "cell_contents")  # without a Python frame
            self._found(
                key, Read(at.name, "closure", at.source, value, getter, "{}.cell_contents", cell)
            )
            self.outside.meet(value, at.name)

    def attribute_read(self, at: Site, owner: Any, value: Any) -> None:
        """Take down an attribute that was loaded."""
        known = self.outside.path_of(owner)
        if known is None:
            if type(owner) is not ModuleType and not isinstance(owner, type):
                self.outside.enter_function(value)
                self._read_of_class(at, owner)
                return
            if is_library_object(owner):
                return
            if isinstance(owner, type) and owner.__module__ == "builtins":
                return
            known = owner.__name__
        key = ("attribute", id(owner), at.name)
        if key in self._reads or is_plain(owner, (*VALUES, *CONTAINERS)):
            return
        path = f"{known}.{at.name}"
        self._attribute(key, path, at, owner, value)
        self.outside.meet(value, path)

    def _read_of_class(self, at: Site, owner: Any) -> None:
        """Take down an attribute of an object made while tracing, where its class holds it."""
        kind, name = type(owner), at.name
        if not is_users_class(kind) or name in getattr(owner, "__dict__", {}):
            return
        holder = next((each for each in kind.__mro__ if name in each.__dict__), None)
        if holder is None or not is_users_class(holder):
            return
        key, path = ("attribute", id(holder), name), f"{holder.__name__}.{name}"
        if key not in self._reads:
            held = holder.__dict__[name]
            getter = functools.partial(_class_attribute, kind, name)
            self._found(key, Read(path, "class", at.source, held, getter))
            self.outside.meet(held, path)

    def _attribute(self, key: tuple[Any, ...], path: str, at: Site, owner: Any, value: Any) -> None:
        name = at.name
        if isinstance(value, MethodType):
            getter = functools.partial(getattr, owner, name)
            check = f"{{}}.{name}.__func__"
            self._found(key, Read(path, "method", at.source, value, getter, check, owner))
            return
        kind = owner if isinstance(owner, type) else type(owner)
        static = _class_attribute(kind, name)
        own = getattr(owner, "__dict__", {})
        if static is MISSING and name not in own:  # what __getattr__ gives
            if not is_users_class(kind):  # otherwise its own reads are observed
                self._watch_whole(path.rpartition(".")[0], at.source, owner)
            return
        is_code = hasattr(type(static), "__get__") and not isinstance(static, FunctionType)
        if is_code and (isinstance(static, property) or name not in own):
            if type(static).__name__ in ("member_descriptor", "getset_descriptor"):
                pass  # a slot
            elif isinstance(static, (staticmethod, classmethod)):
                pass
            else:
                getter = functools.partial(_class_attribute, kind, name)
                self._found(key, Read(path, "class", at.source, static, getter))
                return
        getter = functools.partial(getattr, owner, name)
        self._found(key, Read(path, "attribute", at.source, value, getter, f"{{}}.{name}", owner))

    def super_read(self, at: Site, owner: Any, value: Any) -> None:
        """Take down an attribute of a ``super()`` that was loaded."""
        key = ("super", id(getattr(value, "__func__", value)), at.name)
        getter = functools.partial(getattr, owner, at.name)
        path = f"super().{at.name}"
        self._found(key, Read(path, "attribute", at.source, value, getter, "", owner))
        self.outside.enter_function(value)

    def call(self, at: Site, called: Any, values: tuple[Any, ...]) -> None:
        """Take down that `called` is about to be called with `values`."""
        self._foreign = ""
        if isinstance(called, FunctionType):
            self.outside.enter_function(called)
            if is_user_code(swaps.original(called)) or is_library_object(called):
                return
            self._foreign_closure(at, called)
        elif isinstance(called, MethodType):
            self.outside.enter_function(called)
            if isinstance(called.__func__, FunctionType):  # Cython's have code, too
                code = called.__func__.__code__
                if is_our_file(code.co_filename) or is_user_code(code):
                    return
            values = (called.__self__, *values)
        elif isinstance(called, type):
            self.outside.enter_class(called)
            if is_users_class(called):
                return
        elif isinstance(called, functools.partial):
            self._partial(called, at.source)
        elif is_library_object(called):
            return
        self._foreign_call(at, called, values)

    def _partial(self, called: functools.partial[Any], source: Source) -> None:
        """Take down what a partial function passes."""
        path = self.outside.path_of(called) or "partial(...)"
        for name in ("func", "args", "keywords") if called in self.outside else ():
            getter = functools.partial(getattr, called, name)
            read = Read(f"{path}.{name}", "attribute", source, getter(), getter)
            self._found(("attribute", id(called), name), read)

    def _foreign_closure(self, at: Site, called: FunctionType) -> None:
        """Take down the containers that a function of others keeps, such as a registry."""
        pending, seen = [called], {id(called)}
        while pending:
            function = pending.pop()
            for name, held in closure_of(function).items() if function in self.outside else ():
                if isinstance(held, CONTAINERS):
                    path = f"{self.outside.path_of(function)}.{name}"
                    self._watch_whole(path, at.source, held)
                elif isinstance(held, FunctionType) and id(held) not in seen:
                    seen.add(id(held))  # it may hold itself
                    pending += [] if is_user_code(held.__code__) else [held]

    def _foreign_call(self, at: Site, called: Any, values: tuple[Any, ...]) -> None:
        """Take down a call of code that nothing observes."""
        name = str(getattr(called, "__name__", type(called).__name__))
        self._foreign = name
        owner = getattr(called, "__self__", None)
        if id(called) in _ASKS_NOTHING:
            return
        if called is print:
            self.effects.setdefault(_effect("print() runs", at.source))
            return
        self._announce(at, called, values)
        if called is os.getenv:
            self._environment(at)
        told = state_told_by(called)
        if told is not None:
            path, getter = told
            self._found(("told", path), Read(path, "state", at.source, getter(), getter))
        if isinstance(called, (BuiltinFunctionType, MethodWrapperType)) and not isinstance(
            owner, (ModuleType, type(None))
        ):
            is_read = any(read.value is owner for read in self._reads.values())
            if called in self.outside and not is_read:
                self._watch_whole(f"{self.outside.path_of(called)}.__self__", at.source, owner)
            if name in _MUTATORS | _TAKERS and owner in self.outside:
                what = f"{self.outside.path_of(owner)}.{name}() runs"
                self.effects.setdefault(_effect(what, at.source))
                self._change(owner, name in _TAKERS)
                return
            values = (owner, *values)
        if (called is setattr or called is delattr) and len(values) > 1:
            self._written.add(("attribute", id(values[0]), values[1]))
            self.effects.setdefault(_effect(f"attribute {values[1]} is set", at.source))
            return
        for each in values:
            self.looked_into(at, each)

    def _announce(self, at: Site, called: Any, values: tuple[Any, ...]) -> None:
        """Take down what a call of others' code reads and nothing can watch."""
        why = ""
        if differs_each_time(called, values):
            why = "it gives another value each time, and that of the trace is fixed"
        elif reads_files(called):
            why = "what it reads may be another thing the next time, and that of the trace is fixed"
        elif looks_around(called, values):
            why = "what is read through it is not seen"
        elif starts_another_thread(called):
            why = "what another thread reads is not seen"
        if why:
            self._unwatched(f"{path_of(called)}()", at.source, why)

    def looked_into(self, at: Site, value: Any) -> None:
        """Take down that something which is not observed reads attributes of `value`."""
        path = self.outside.path_of(value)
        if path is None:
            return
        self._looked_into.add(id(value))
        if isinstance(value, CONTAINERS):
            for each in items_of(value):
                self.looked_into(at, each)
        elif isinstance(value, FunctionType):
            self._code(value, swaps.original(value), at.source)
        elif is_observable(value):
            self._watch_whole(path, at.source, value)

    def contents_read(self, at: Site, value: Any) -> None:
        """Take down that Python itself reads what a container holds."""
        if isinstance(value, CONTAINERS) and value in self.outside:
            self._looked_into.add(id(value))

    def _environment(self, at: Site) -> None:
        self._found(
            ("environment",),
            Read("os.environ", "global", at.source, os.environ, lambda: os.environ),
        )

    def _watch_whole(self, path: str, source: Source, value: Any) -> None:
        getter = functools.partial(_itself, value)
        self._found(("state", id(value)), Read(path, "state", source, value, getter))

    def result(self, value: Any) -> None:
        """Take down what a call returned."""
        if self._foreign and value not in self.outside:
            name, self._foreign = self._foreign, ""
            if isinstance(value, (FunctionType, MethodType, type)) or is_observable(value):
                self.outside.meet(value, f"{name}(...)")

    def global_written(self, at: Site, space: dict[str, Any]) -> None:
        """Take down that a global is set."""
        self._written.add(("global", id(space), at.name))
        self.effects.setdefault(_effect(f"global {at.name} is set", at.source))

    def closure_written(self, at: Site, cell: CellType) -> None:
        """Take down that a variable of a function around is set."""
        if cell in self.outside:
            self._written.add(("closure", id(cell)))
            self.effects.setdefault(_effect(f"nonlocal {at.name} is set", at.source))

    def attribute_written(self, at: Site, owner: Any) -> None:
        """Take down that an attribute is set."""
        if owner in self.outside:
            self._written.add(("attribute", id(owner), at.name))
            self.effects.setdefault(_effect(f"attribute {at.name} is set", at.source))

    def item_written(self, at: Site, container: Any) -> None:
        """Take down that an item is set."""
        path = self.outside.path_of(container)
        if path and not isinstance(container, Node):
            self._change(container, True)
            self.effects.setdefault(_effect(f"an item of {path} is set", at.source))

    def _change(self, container: Any, is_read: bool) -> None:
        """Take down that a container is changed, and whether what it held was read, too."""
        self._changed[id(container)] = self.outside.path_of(container) or ""
        if is_read:
            self._looked_into.add(id(container))

    def _unwatched(self, path: str, source: Source, why: str) -> None:
        found = Unwatched(path, source, why)
        if found not in self.unwatched:
            self.unwatched.append(found)


def _effect(what: str, source: Source) -> str:
    return f"{what} while tracing, and not in later calls ({source.place})"


def _class_attribute(kind: type, name: str) -> Any:
    """Return what the classes of an object hold under a name, as it is there."""
    for each in kind.__mro__:
        found = each.__dict__.get(name, MISSING)
        if found is not MISSING:
            return found
    return MISSING


def _itself(value: Any) -> Any:
    return value


def _default(function: FunctionType, position: int) -> Any:
    values = function.__defaults__ or ()
    return values[position] if position < len(values) else MISSING


def _keyword_default(function: FunctionType, name: str) -> Any:
    return (function.__kwdefaults__ or {}).get(name, MISSING)


def _without_observers(trace: TracebackType | None) -> TracebackType | None:
    """Return a traceback without the frames of observers, which the user did not write."""
    while trace is not None and trace.tb_frame.f_code.co_filename == OBSERVERS_FILE:
        trace = trace.tb_next
    each = trace
    while each is not None:
        following = each.tb_next
        while following is not None and following.tb_frame.f_code.co_filename == OBSERVERS_FILE:
            following = following.tb_next
        each.tb_next = following
        each = following
    return trace
