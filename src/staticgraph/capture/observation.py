"""What a traced function reads from outside, told by the observers in its code while it runs.

A trace runs a function once, so whatever it reads that is not an argument is fixed in the graph.
While an `Observation` is made, the code of every function of the user's that the trace can reach is
a copy with observers: a function is given one when it is first seen, which is before it can be
called. So reads are found by whatever route they are made. What runs unobserved all the same, such
as compiled code that is given an object, is watched whole, or named.
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import os
import sys
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

from oplibrary.core.dispatch import HELD
from oplibrary.messages.source import Source, is_our_file
from staticgraph.capture.attributes import AttributeReads, class_attribute
from staticgraph.capture.changes import is_container, items_of
from staticgraph.capture.observers import (
    OBSERVERS_FILE,
    Site,
    active,
    is_user_code,
    is_wrapper,
    swaps,
)
from staticgraph.capture.reads import (
    MISSING,
    Read,
    default_of,
    held_in,
    keyword_default_of,
)
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

_READS_THE_ENVIRONMENT = (os.getenv, os.path.expandvars, os.path.expanduser)
_ASKS_NOTHING = {id(each) for each in (isinstance, issubclass, type, id, callable, super, object)}
"""What may be given any object: nothing of its state is read."""

_SHALLOW = (len, enumerate, zip, reversed, iter, list, tuple, dict, map, filter, bool, range)
"""What reads which items there are, and nothing of the items."""
_ITEM_READERS = frozenset("get items keys values copy".split())

_MUTATORS = frozenset(
    "append extend insert remove clear add discard sort reverse appendleft extendleft "
    "rotate".split()
)
_TAKERS = frozenset("pop popitem popleft setdefault update".split())
"""Methods that change a container, and those whose container is mostly read, too."""


class Observation(AttributeReads):
    """What one trace reads from outside, does to the outside, and cannot watch; see `Record`."""

    def __init__(self) -> None:
        super().__init__()
        self._foreign = ""
        self._cached: dict[int, int] = {}  # how many results functions kept before the trace
        self._traced: dict[int, Any] = {}  # functions that ran compiled

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
            call = class_attribute(type(function), "__call__")
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

    def _look_again(self) -> None:
        """Take down what was changed, and what was read, by code that is not observed."""
        for traced in self._traced.values():
            for number, read in enumerate(traced.outside_reads()):
                path = f"{traced.__name__}: {read.path}"
                self._found(("traced", id(traced), number), read._replace(path=path))
        for each in self.outside.changed():
            if id(each.value) not in self._changed:
                self._change(each.value, isinstance(each.value, np.ndarray))
                self.effects.setdefault(
                    f"{each.path} is changed while tracing, and not in later calls"
                )

    def not_told(self, at: Any, error: Exception) -> None:
        """Take down that something could not be looked at."""
        if isinstance(at, Site):
            why = f"to look at it raises {type(error).__name__}"
            self._unwatched(str(at.name) or "what is read here", at.source, why)

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
        holder = self.outside.holder_of(function)
        if holder is not None:
            kind, name = holder
            path, held = f"{kind.__name__}.{name}", vars(kind).get(name, MISSING)
            getter = functools.partial(class_attribute, kind, name)
            check = f"{{}}.__dict__[{name!r}]"
            read = Read(path, "class", source, held, getter, check, kind)
            self._found(("attribute", id(kind), name), read)

    def _defaults(self, function: FunctionType, code: CodeType, source: Source) -> None:
        values = function.__defaults__ or ()
        first = code.co_argcount - len(values)
        for position, value in enumerate(values):
            name = code.co_varnames[first + position]
            read = functools.partial(default_of, function, position)
            self._found(("default", id(function), name), Read(name, "default", source, value, read))
        for name, value in (function.__kwdefaults__ or {}).items():
            read = functools.partial(keyword_default_of, function, name)
            self._found(("default", id(function), name), Read(name, "default", source, value, read))

    # what code does -------------------------------------------------------------------------------

    def global_read(self, at: Site, space: dict[str, Any], value: Any) -> None:
        """Take down a global or a builtin that was loaded."""
        name = at.name
        key = ("global", id(space), name)
        if key in self._reads:
            return
        if value is MISSING:
            kind, check = "global", ""
            getter: Callable[[], Any] = functools.partial(global_or_builtin, space, name, MISSING)
        elif name in space:
            kind, check = "global", f"{{}}[{name!r}]"
            getter = functools.partial(space.get, name, MISSING)
        else:  # a builtin, as long as nobody defines the name
            kind, check = "builtin", f"builtins[{name!r}]"
            getter = functools.partial(global_or_builtin, space, name, MISSING)
        self._found(key, Read(name, kind, at.source, value, getter, check, space))
        self.outside.meet(value, name)

    def closure_read(self, at: Site, cell: CellType, value: Any) -> None:
        """Take down a variable of a function around that was loaded."""
        key = ("closure", id(cell))
        if cell in self.outside and key not in self._reads:
            check = "" if value is MISSING else "{}.cell_contents"
            getter = functools.partial(getattr, cell, "cell_contents", MISSING)
            if value is MISSING:
                getter = functools.partial(held_in, cell)
            self._found(key, Read(at.name, "closure", at.source, value, getter, check, cell))
            self.outside.meet(value, at.name)

    def module_read(self, at: Site, name: str, module: Any) -> None:
        """Take down a module that was imported, or `MISSING`."""
        getter = functools.partial(sys.modules.get, name, MISSING)
        check = "" if module is MISSING else f"{{}}[{name!r}]"
        read = Read(name, "module", at.source, module, getter, check, sys.modules)
        self._found(("module", name), read)
        if module is not MISSING:
            self.outside.meet(module, name)

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
                self._special_methods_of(at, called)
                return
        elif isinstance(called, functools.partial):
            self._partial(called, at.source)
        elif is_library_object(called):
            if hasattr(called, "outside_reads"):
                self._traced[id(called)] = called
            return
        elif is_users_class(type(called)):
            self._special_methods(at, called)
            if isinstance(class_attribute(type(called), "__call__"), FunctionType):
                return
            values = (called, *values)
        self._foreign_call(at, called, values)

    def _foreign_call(self, at: Site, called: Any, values: tuple[Any, ...]) -> None:
        """Take down a call of code that nothing observes."""
        if is_users_class(type(called)):  # it may compute any attribute
            self._foreign = type(called).__name__
            for each in values:
                self.looked_into(at, each)
            return
        name = str(getattr(called, "__name__", type(called).__name__))
        self._foreign = name
        owner = getattr(called, "__self__", None)
        if id(called) in _ASKS_NOTHING:
            self._asked(at, called, values)
            return
        if called is print:
            self.effects.setdefault(_effect("print() runs", at.source))
            return
        self._announce(at, called, values)
        if any(called is each for each in _READS_THE_ENVIRONMENT):
            self._environment(at)
        if isinstance(called, functools._lru_cache_wrapper):
            self._cached_call(at, called, values)
        told = state_told_by(called)
        if told is not None:
            self._told(at, *told)
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
        by_name = (called is getattr or called is hasattr) and isinstance(values[1], str)
        if by_name and self.named_read(at, *values[:2]):
            values = values[2:]
        if called is importlib.import_module and isinstance(values[0], str):
            self.module_read(at, values[0], sys.modules.get(values[0], MISSING))
        shallow = any(called is each for each in _SHALLOW) or (
            is_container(owner) and name in _ITEM_READERS
        )
        for each in values:
            if shallow and (is_container(each) or is_users_class(type(each))):
                self.contents_read(at, each)
            else:
                self.looked_into(at, each)

    def _asked(self, at: Site, called: Any, values: tuple[Any, ...]) -> None:
        """Take down what the class of an object is, where that was asked."""
        if called is type and len(values) == 1:
            self._class_of(at, values[0])
        elif called in (isinstance, issubclass) and len(values) == 2:
            subject, kinds = values
            if called is isinstance:
                self._class_of(at, subject)
                if subject not in self.outside:  # it is not kept, and its class tells the same
                    called, subject = issubclass, type(subject)
            # what has a metaclass may be told of further classes, as abc.ABC is
            if any(is_users_class(each) and _is_told(type(each)) for each in _flat(kinds)):
                getter = functools.partial(called, subject, kinds)
                with contextlib.suppress(Exception):  # of protocols with data, classes tell nothing
                    path = f"{called.__name__}({self.outside.path_of(subject)}, ...)"
                    read = Read(path, "state", at.source, getter(), getter)
                    self._found(("asked", id(subject), id(kinds)), read)
        elif called is callable and values:
            self._special_methods(at, values[0])

    def _class_of(self, at: Site, value: Any) -> None:
        path = self.outside.path_of(value)
        if path is not None and is_users_class(type(value)):
            getter = functools.partial(getattr, value, "__class__")
            read = Read(
                f"{path}.__class__",
                *("attribute", at.source, value.__class__, getter, "{}.__class__", value),
            )
            self._found(("attribute", id(value), "__class__"), read)

    def _cached_call(self, at: Site, called: Any, values: tuple[Any, ...]) -> None:
        """Take down that a result may be one that was computed before, unobserved."""
        if not values:
            self._told(at, f"{path_of(called)}()", called)
            return
        known = self._cached.setdefault(id(called), called.cache_info().currsize)
        if known and called in self.outside:
            why = "it may give what it computed before, and what it read then is not watched"
            self._unwatched(f"{path_of(called)}()", at.source, why)

    def _told(self, at: Site, path: str, getter: Callable[[], Any]) -> None:
        self._found(("told", path), Read(path, "state", at.source, getter(), getter))

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
            if isinstance(value, (type, ModuleType)) and not is_library_object(value):
                self._namespace(f"vars({value.__name__})", at.source, value)
            return
        self._looked_into.add(id(value))
        kind = type(value)
        if is_container(value):
            self._special_methods(at, value)
            for each in items_of(value):
                self.looked_into(at, each)
        elif isinstance(value, FunctionType):
            self._code(value, swaps.original(value), at.source)
            if vars(value):
                self._namespace(f"vars({path})", at.source, value)
        elif isinstance(value, (type, ModuleType)):
            self._namespace(f"vars({path})", at.source, value)
        elif isinstance(value, functools.partial):
            self._partial(value, at.source)
            self.looked_into(at, value.func)
        elif isinstance(value, BuiltinFunctionType):
            owner = value.__self__
            if owner in self.outside and not isinstance(owner, (type, ModuleType)):
                self._watch_whole(f"{path}.__self__", at.source, owner)
        elif is_users_class(kind):
            self.outside.enter_class(kind, whole=True)
            self._watch_whole(path, at.source, value)
        elif is_observable(value):
            self._watch_whole(path, at.source, value)

    def matched(self, at: Site, value: Any, kind: Any) -> None:
        """Take down that an object is matched with a class and its positional attributes."""
        self.looked_into(at, value)
        self._asked(at, isinstance, (value, kind))
        if isinstance(kind, type) and is_users_class(kind):
            self.named_read(at, kind, "__match_args__")

    def compared(self, at: Site, value: Any) -> None:
        """Take down that an object, or what a container holds, is compared."""
        self.contents_read(at, value)
        by_hash = at.name == "CONTAINS_OP" and isinstance(value, (dict, set, frozenset))
        if is_container(value) and not by_hash:  # which looks at few of what may be many
            for kind in {type(each) for each in items_of(value)}:
                if is_users_class(kind):
                    self._special_methods_of(at, kind)

    def contents_read(self, at: Site, value: Any) -> None:
        """Take down that Python itself reads what an object holds, or calls its methods."""
        if is_container(value) and value in self.outside:
            self._looked_into.add(id(value))
        told = state_told_by(type(value))
        if told is not None:
            self._told(at, *told)
        self._special_methods(at, value)

    def identity_asked(self, at: Site, values: tuple[Any, Any]) -> None:
        """Take down that an argument was compared with another one, or with what is outside.

        A trace has a node for each argument, also where a call passes one object several times.
        """
        arguments = [type(x) is Node and any(x is each for each in x.graph.inputs) for x in values]
        if any(arguments) and all(
            is_argument or type(x) is np.ndarray or type(x) in HELD
            for x, is_argument in zip(values, arguments, strict=True)
        ):
            first, second = [
                x.name if is_argument else self.outside.path_of(x) or "an array"
                for x, is_argument in zip(values, arguments, strict=True)
            ]
            why = "each argument of a trace is an object of its own, whichever a call passes"
            self._unwatched(f"{first} is {second}", at.source, why)

    def _environment(self, at: Site) -> None:
        self._found(
            ("environment",),
            Read("os.environ", "global", at.source, os.environ, lambda: os.environ),
        )

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


def _effect(what: str, source: Source) -> str:
    return f"{what} while tracing, and not in later calls ({source.place})"


def _is_told(kind: type) -> bool:
    """Tell whether a metaclass lets classes be registered, by code that is not observed."""
    found = class_attribute(kind, "__instancecheck__")
    return isinstance(found, FunctionType) and not is_user_code(swaps.original(found))


def _flat(kinds: Any) -> Iterator[type]:
    """Yield the classes that ``isinstance`` is given."""
    for each in kinds if isinstance(kinds, tuple) else (kinds,):
        if isinstance(each, type):
            yield each
        elif isinstance(each, tuple):
            yield from _flat(each)


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
