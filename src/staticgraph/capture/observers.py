"""Observers: code that tells what it reads, and the functions that have it during a trace."""

from __future__ import annotations

import contextlib
import inspect
import site
import sys
import sysconfig
import threading
from importlib.util import resolve_name
from types import CellType, CodeType, FrameType, FunctionType
from typing import Any, Protocol

import numpy as np

from oplibrary.core.op import Op
from oplibrary.messages.source import Source, is_our_file, source_of
from staticgraph.capture.array_calls import MAKERS, joined_lists
from staticgraph.capture.instrumentation import CodePlace, instrument
from staticgraph.capture.reads import MISSING
from staticgraph.graph.node import Node


def is_user_code(code: CodeType) -> bool:
    """Tell whether `code` is the user's own: neither ours nor an installed package's."""
    return is_user_file(code.co_filename)


def is_user_file(name: str) -> bool:
    """Tell whether a file is the user's own."""
    return not (is_our_file(name) or name.startswith(INSTALLED) or name.startswith("<frozen"))


INSTALLED = tuple(
    {
        *(sysconfig.get_paths()[key] for key in ("stdlib", "platstdlib", "purelib", "platlib")),
        *site.getsitepackages(),
    }
)


def is_wrapper(value: Any) -> bool:
    """Tell whether `value` calls another function, which it names as its ``__wrapped__``."""
    return callable(inspect.getattr_static(value, "__wrapped__", None))


# code with observers ------------------------------------------------------------------------------

_MOST_KEPT = 4096
_observed_codes: dict[int, tuple[CodeType, CodeType]] = {}
"""Each original with its copy, by the original's id."""


def observed_code(code: CodeType) -> CodeType:
    """Return the copy of `code` that tells what it reads; made once."""
    known = _observed_codes.get(id(code))
    if known is None:
        if len(_observed_codes) >= _MOST_KEPT:
            _observed_codes.pop(next(iter(_observed_codes)))
        known = _observed_codes[id(code)] = (code, instrument(code, _make_site))
    return known[1]


def is_observed(code: CodeType) -> bool:
    """Tell whether `code` is a copy with observers, or stands inside one."""
    return bool(code.co_consts) and isinstance(code.co_consts[-1], Site)


class _Swaps:
    """The functions whose code is a copy now: they get their own back when no trace is left."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._traces = 0
        self._originals: dict[int, tuple[FunctionType, CodeType]] = {}

    def swap(self, function: FunctionType) -> None:
        with self._lock:
            code = function.__code__
            if not is_observed(code):
                self._originals[id(function)] = (function, code)
                function.__code__ = observed_code(code)

    def original(self, function: FunctionType) -> CodeType:
        """Return the code that `function` has outside of traces."""
        known = self._originals.get(id(function))
        return function.__code__ if known is None else known[1]

    def begin(self) -> None:
        with self._lock:
            self._traces += 1

    def end(self) -> None:
        with self._lock:
            self._traces -= 1
            if not self._traces:
                for function, code in self._originals.values():
                    if is_observed(function.__code__):
                        function.__code__ = code
                self._originals.clear()


swaps = _Swaps()


OBSERVERS_FILE = __file__


class Listener(Protocol):
    """Whom the observers in code tell what they see: an observation."""

    def not_told(self, at: Any, error: Exception) -> None:
        """Take down that something could not be looked at."""

    def started(self, code: CodeType) -> None:
        """Take down that `code` begins to run."""

    def global_read(self, at: Site, space: dict[str, Any], value: Any) -> None:
        """Take down a global or a builtin that was loaded, or `MISSING`."""

    def closure_read(self, at: Site, cell: CellType, value: Any) -> None:
        """Take down a variable of a function around that was loaded, or `MISSING`."""

    def module_read(self, at: Site, name: str, module: Any) -> None:
        """Take down a module that was imported, or `MISSING`."""

    def attribute_read(self, at: Site, owner: Any, value: Any) -> None:
        """Take down an attribute that was loaded."""

    def attribute_missing(self, at: Site, owner: Any) -> None:
        """Take down an attribute that is not there."""

    def super_read(self, at: Site, owner: Any, value: Any) -> None:
        """Take down an attribute of a ``super()`` that was loaded."""

    def call(self, at: Site, called: Any, values: tuple[Any, ...]) -> None:
        """Take down that `called` is about to be called with `values`."""

    def matched(self, at: Site, value: Any, kind: Any) -> None:
        """Take down that an object is matched with a class."""

    def compared(self, at: Site, value: Any) -> None:
        """Take down that an object, or what a container holds, is compared."""

    def identity_asked(self, at: Site, values: tuple[Any, Any]) -> None:
        """Take down that two different objects were compared with ``is``."""

    def contents_read(self, at: Site, value: Any) -> None:
        """Take down that Python itself reads what a container holds."""

    def result(self, value: Any) -> None:
        """Take down what a call returned."""

    def global_written(self, at: Site, space: dict[str, Any]) -> None:
        """Take down that a global is set."""

    def closure_written(self, at: Site, cell: CellType) -> None:
        """Take down that a variable of a function around is set."""

    def attribute_written(self, at: Site, owner: Any) -> None:
        """Take down that an attribute is set."""

    def item_written(self, at: Site, container: Any) -> None:
        """Take down that an item is set."""


class _Active(threading.local):
    """The observers of this thread's traces, innermost last."""

    def __init__(self) -> None:
        self.observations: list[Listener] = []


active = _Active()


def tell(what: str, *told: Any) -> None:
    """Tell every listener something; code of the user's that this runs is not observed.

    Nothing that goes wrong with looking at the user's objects is an error of the user's program.
    """
    listeners, active.observations = active.observations, []
    try:
        for each in listeners:
            try:
                getattr(each, what)(*told)
            except Exception as error:
                each.not_told(told[0], error)
    finally:
        active.observations = listeners


# the observers ------------------------------------------------------------------------------------


class Site:
    """Where code reads: what stands there is what instruction, and which name."""

    __slots__ = ("name", "place")

    def __init__(self, name: Any, place: CodePlace) -> None:
        self.name = name
        self.place = place

    @property
    def source(self) -> Source:
        """The user's place."""
        found = source_of((self.place.code, 2 * self.place.unit))
        assert found is not None
        return found


class _Start(Site):
    __slots__ = ()

    def __getitem__(self, _: None) -> None:
        tell("started", self.place.code)


class _Match(Site):
    __slots__ = ()

    def __getitem__(self, pair: tuple[Any, Any]) -> None:
        tell("matched", self, *pair)


class _Compared(Site):
    __slots__ = ()

    def __getitem__(self, value: Any) -> None:
        if type(value) not in _NO_CONTAINERS or type(value) is tuple:
            tell("compared", self, value)


class _Identity(Site):
    __slots__ = ()

    def __getitem__(self, values: tuple[Any, Any]) -> None:
        if values[0] is not values[1]:
            tell("identity_asked", self, values)


class _Contents(Site):
    __slots__ = ()

    def __getitem__(self, value: Any) -> None:
        if type(value) not in _NO_CONTAINERS:
            tell("contents_read", self, value)


class _Global(Site):
    __slots__ = ()

    def __getitem__(self, _: None) -> Any:
        return self.looked_up(sys._getframe(1))

    def looked_up(self, frame: FrameType) -> Any:
        """Return what the name means in the module of a frame."""
        name, space = self.name, frame.f_globals
        try:
            value = space[name]
        except KeyError:
            value = frame.f_builtins.get(name, MISSING)
        tell("global_read", self, space, value)
        if value is MISSING:
            raise NameError(f"name {name!r} is not defined", name=name)
        return MAKERS.get(id(value), value)


class _Name(_Global):
    __slots__ = ()

    def __getitem__(self, _: None) -> Any:
        frame = sys._getframe(1)
        local = frame.f_locals
        if local is frame.f_globals:
            return self.looked_up(frame)
        try:
            value = local[self.name]
        except KeyError:
            return self.looked_up(frame)
        return MAKERS.get(id(value), value)


class _Closure(Site):
    __slots__ = ()

    def __getitem__(self, cell: CellType) -> Any:
        try:
            value = cell.cell_contents
        except ValueError:
            value = MISSING
        tell("closure_read", self, cell, value)
        if value is MISSING:
            raise NameError(
                f"cannot access free variable {self.name!r} where it is not associated with a "
                "value in enclosing scope",
                name=self.name,
            )
        return MAKERS.get(id(value), value)


class _Module(Site):
    __slots__ = ()

    def __getitem__(self, pair: tuple[int, Any]) -> Any:
        frame = sys._getframe(1)
        level, names = pair
        space = frame.f_globals
        full = self.name
        if level:
            with contextlib.suppress(ImportError, TypeError):  # the import says what is wrong
                full = resolve_name("." * level + self.name, space.get("__package__") or "")
        try:
            return frame.f_builtins["__import__"](self.name, space, None, names, level)
        finally:
            tell("module_read", self, full, sys.modules.get(full, MISSING))


_NO_CONTAINERS = frozenset({Node, np.ndarray, str, int, float, bool, tuple, type(None)})
_QUICK = frozenset({Node, np.ndarray, np.dtype, str, list, dict, tuple, Op, int, float})


class _Attribute(Site):
    __slots__ = ()

    def __getitem__(self, owner: Any) -> Any:
        if type(owner) in _QUICK:
            value = getattr(owner, self.name)
        else:
            try:
                value = getattr(owner, self.name)
            except AttributeError:
                tell("attribute_missing", self, owner)
                raise
            tell("attribute_read", self, owner, value)
        return MAKERS.get(id(value), value)


class _Super(Site):
    __slots__ = ()

    def __getitem__(self, three: tuple[Any, Any, Any]) -> Any:
        owner = three[0](*three[1:])
        try:
            value = getattr(owner, self.name)
        except AttributeError:
            tell("super_read", self, owner, MISSING)
            raise
        tell("super_read", self, owner, value)
        return value


class _ClassClosure(Site):
    __slots__ = ()

    def __getitem__(self, pair: tuple[Any, CellType]) -> Any:
        tell("closure_read", self, pair[1], pair[0])
        return pair[0]


class _ImportedName(Site):
    __slots__ = ()

    def __getitem__(self, module: Any) -> None:
        if self.name not in getattr(module, "__dict__", {}):
            tell("attribute_missing", self, module)


class _Import(Site):
    __slots__ = ()

    def __getitem__(self, pair: tuple[Any, Any]) -> Any:
        tell("attribute_read", self, *pair)
        return pair[1]


class _Call(Site):
    __slots__ = ()

    def __getitem__(self, pair: tuple[tuple[Any, ...], Any]) -> tuple[Any, ...]:
        arguments, called = pair
        if type(called) is not Op:
            tell("call", self, called, arguments)
        return joined_lists(called, arguments)[::-1]


class _Called(Site):
    __slots__ = ()

    def __getitem__(self, one: tuple[Any]) -> None:
        tell("call", self, one[0], ())


class _UnpackedCall(Site):
    __slots__ = ()

    def __getitem__(self, pair: tuple[tuple[Any, ...], Any]) -> None:
        (arguments, *named), called = pair
        if isinstance(arguments, (list, tuple)):
            values = (*arguments, *(named[0].values() if named else ()))
            tell("contents_read", self, arguments)
            tell("call", self, called, values)


class _Result(Site):
    __slots__ = ()

    def __getitem__(self, value: Any) -> Any:
        if type(value) not in _QUICK:
            tell("result", value)
        return value


class _StoreGlobal(Site):
    __slots__ = ()

    def __getitem__(self, _: Any) -> None:
        tell("global_written", self, sys._getframe(1).f_globals)


class _StoreClosure(Site):
    __slots__ = ()

    def __getitem__(self, cell: CellType) -> None:
        tell("closure_written", self, cell)


class _StoreAttribute(Site):
    __slots__ = ()

    def __getitem__(self, owner: Any) -> None:
        tell("attribute_written", self, owner)


class _StoreItem(Site):
    __slots__ = ()

    def __getitem__(self, container: Any) -> None:
        tell("item_written", self, container)


_SITES: dict[str, type[Site]] = {
    "match": _Match,
    "identity": _Identity,
    "compared": _Compared,
    "contents": _Contents,
    "start": _Start,
    "global": _Global,
    "name": _Name,
    "closure": _Closure,
    "attribute": _Attribute,
    "super": _Super,
    "module": _Module,
    "imported name": _ImportedName,
    "class closure": _ClassClosure,
    "import": _Import,
    "call": _Call,
    "called": _Called,
    "unpacked call": _UnpackedCall,
    "result": _Result,
    "store global": _StoreGlobal,
    "store closure": _StoreClosure,
    "store attribute": _StoreAttribute,
    "store item": _StoreItem,
}


def _make_site(kind: str, name: Any, place: CodePlace) -> Site:
    return _SITES[kind](name, place)
