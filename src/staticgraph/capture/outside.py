"""What a trace meets from outside: objects, by what the program calls them, and their code."""

from __future__ import annotations

import contextlib
import functools
import gc
import random
from types import (
    BuiltinFunctionType,
    CodeType,
    FunctionType,
    MethodType,
    MethodWrapperType,
    ModuleType,
)
from typing import Any

import numpy as np

from oplibrary.core.dispatch import HELD
from staticgraph.capture.changes import Met, is_container, items_of, met
from staticgraph.capture.observers import is_observed, is_user_code, is_wrapper, swaps
from staticgraph.capture.value_kinds import (
    VALUES,
    generator_state,
    is_library_object,
    is_users_class,
)

_GENERATORS = (np.random.Generator, np.random.RandomState, random.Random)


class Outside:
    """The objects that were there before a trace and that it meets.

    Meeting an object lets its code be observed, before that can run.

    Attributes
    ----------
    generators : dict of str to object
        Random generators, with the state that they had.
    """

    def __init__(self) -> None:
        self.generators: dict[str, tuple[Any, Any]] = {}
        self._objects: dict[int, tuple[Any, str]] = {}  # and what the program calls them
        self._entered: set[int] = set()
        self._entered_classes: set[tuple[int, bool]] = set()
        self._waiting: dict[int, list[FunctionType]] = {}  # that did not run yet, by their code
        self._met: dict[int, Met] = {}
        self._holders: dict[
            int, tuple[type, str]
        ] = {}  # the class of a function, and its name there

    def __contains__(self, value: Any) -> bool:
        return id(value) in self._objects

    def path_of(self, value: Any) -> str | None:
        """Return what the program calls an object, or None if it is not from outside."""
        known = self._objects.get(id(value))
        if known is not None:
            return known[1]
        found = self._met.get(id(value))
        return None if found is None else found.path

    def changed(self) -> list[Met]:
        """Return what was changed in place since it was met."""
        return [each for each in self._met.values() if each.is_changed]

    def begun(self, code: CodeType) -> list[FunctionType]:
        """Return the functions of a code that begins to run for the first time."""
        return self._waiting.pop(id(code), [])

    def meet(self, value: Any, path: str) -> None:
        """Take down that `value` comes from outside, and let its code be observed."""
        if id(value) not in self._met:
            found = met(value, path)
            if found is not None:
                self._met[id(value)] = found
        if isinstance(value, np.ndarray) and value.dtype == object and value not in self:
            self._objects[id(value)] = (value, path)
            self._meet_items(value, path)
        if is_plain(value, VALUES) or value in self or is_library_object(value):
            if type(value) in HELD:
                self._objects.setdefault(id(value), (value, path))
            self._wrapped(value, path)
            return
        self._objects[id(value)] = (value, path)
        if isinstance(value, _GENERATORS) and not isinstance(value, random.SystemRandom):
            self.generators[path] = (value, generator_state(value))
        elif isinstance(value, MethodType):
            self.meet(value.__self__, path.rpartition(".")[0] or path)
            self.meet(value.__func__, path)
        elif isinstance(value, functools.partial):
            for each in (value.func, value.args, value.keywords):
                self.meet(each, path)
        elif isinstance(value, FunctionType):
            self._enter(value, path)
        elif isinstance(value, type):
            self.enter_class(value)
        elif is_container(value):
            self.enter_class(type(value))
            self._meet_items(value, path)
        elif isinstance(value, (BuiltinFunctionType, MethodWrapperType)):
            if not isinstance(value.__self__, (ModuleType, type, type(None))):
                self.meet(value.__self__, f"{path}.__self__")
        elif isinstance(value, ModuleType):
            self.enter_function(vars(value).get("__getattr__"))
        else:
            self.enter_class(type(value))
            self._wrapped(value, path)
            self._meet_called(value, path)

    def _meet_called(self, value: Any, path: str) -> None:
        """Let functions be observed that an object of a foreign class calls."""
        if isinstance(value, np.ufunc):  # one of numpy.frompyfunc has no attribute for it
            held = gc.get_referents(value)
        else:
            held = [] if is_users_class(type(value)) else [*getattr(value, "__dict__", {}).values()]
        for each in held:
            if callable(each):
                self.meet(each, path)

    def _wrapped(self, value: Any, path: str) -> None:
        """Let the function behind a wrapper be observed."""
        if id(value) in self._entered:
            return
        if callable(value) and is_wrapper(value):
            self._entered.add(id(value))
            self._objects.setdefault(id(value), (value, path))
            self.meet(value.__wrapped__, path)
        if isinstance(value, FunctionType) and is_library_object(value) and value.__closure__:
            self._entered.add(id(value))
            self._objects.setdefault(id(value), (value, path))
            for found in closure_of(value).values():  # of a transformation: what it takes
                if callable(found) and found not in self:
                    self.meet(found, path)

    def _meet_items(self, container: Any, path: str) -> None:
        for each in items_of(container):
            if isinstance(each, np.ndarray) or not is_plain(each, VALUES):
                self.meet(each, f"{path}[...]")

    def _enter(self, function: FunctionType, path: str) -> None:
        """Let `function` be observed, and take down what belongs to it."""
        if id(function) in self._entered:
            return
        self._entered.add(id(function))
        code = swaps.original(function)
        if is_observed(code):  # it was made while a function was observed
            return
        if not is_user_code(code):
            self._wrapped(function, path)
            for name, found in closure_of(function).items():
                if callable(found) or is_container(found):
                    self.meet(found, f"{path}.{name}")
            return
        swaps.swap(function)
        self._waiting.setdefault(id(code), []).append(function)
        for cell in function.__closure__ or ():
            self._objects.setdefault(id(cell), (cell, path))
        for value in (*(function.__defaults__ or ()), *(function.__kwdefaults__ or {}).values()):
            self.meet(value, path)
        if is_wrapper(function):
            self.meet(function.__wrapped__, path)  # type: ignore[attr-defined]

    def enter_class(self, kind: type, whole: bool = False) -> None:
        """Let what Python calls by itself of a class of the user's be observed.

        Parameters
        ----------
        kind : type
        whole : bool
            Whether all its methods are, which code that is not observed may call by their names.
        """
        if (id(kind), whole) in self._entered_classes:
            return
        self._entered_classes.add((id(kind), whole))
        for each in kind.__mro__:
            if each is object or not is_users_class(each):
                continue
            for name, found in list(vars(each).items()):
                if isinstance(found, (property, functools.cached_property)):
                    getter = found.fget if isinstance(found, property) else found.func
                    self.enter_function(getter)
                elif whole or (name.startswith("__") and name.endswith("__")):
                    self.enter_function(found, (each, name))
                elif not isinstance(found, (FunctionType, type)) and hasattr(
                    type(found), "__get__"
                ):
                    if is_users_class(type(found)):
                        self.meet(found, f"{each.__name__}.{name}")
                    else:
                        self.enter_class(type(found))
        if type(kind) is not type:
            self.enter_class(type(kind))

    def enter_function(self, value: Any, holder: tuple[type, str] | None = None) -> None:
        """Let a function be observed that is given as it is, or as what a class makes of it."""
        if isinstance(value, (staticmethod, classmethod, MethodType)):
            value = value.__func__
        if isinstance(value, FunctionType):
            if holder is not None:
                self._holders.setdefault(id(value), holder)
            self._enter(value, value.__name__)

    def holder_of(self, function: FunctionType) -> tuple[type, str] | None:
        """Return the class that Python finds a function in by itself, and its name there."""
        return self._holders.get(id(function))


def is_plain(value: Any, kinds: tuple[type, ...]) -> bool:
    """Tell whether `value` is one of some kinds, and not of a class of the user's made of one."""
    return issubclass(type(value), kinds) and not is_users_class(type(value))


def closure_of(function: FunctionType) -> dict[str, Any]:
    """Return the variables of a function's closure that have a value."""
    found = {}
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
        with contextlib.suppress(ValueError):
            found[name] = cell.cell_contents
    return found
