"""How attributes are read: where Python found one, and that it was not there."""

from __future__ import annotations

import functools
from types import FunctionType, MethodType, ModuleType
from typing import Any

from oplibrary.core.dispatch import HELD
from oplibrary.messages.source import Source
from staticgraph.capture.changes import CONTAINERS, is_container
from staticgraph.capture.observers import Site, is_user_code, is_user_file, swaps
from staticgraph.capture.outside import closure_of, is_plain
from staticgraph.capture.reads import MISSING, Read
from staticgraph.capture.record import Record
from staticgraph.capture.value_kinds import (
    VALUES,
    inherits_methods,
    is_library_object,
    is_users_class,
)

_SPACES = (type, ModuleType, FunctionType)
"""What holds names, and no state besides."""


class AttributeReads(Record):
    """Takes down reads of attributes."""

    def attribute_read(self, at: Site, owner: Any, value: Any) -> None:
        """Take down an attribute that was loaded."""
        known = self.outside.path_of(owner)
        if type(owner) is super:
            self.super_read(at, owner, value)
            return
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
        key, path = ("attribute", id(owner), at.name), f"{known}.{at.name}"
        if key in self._reads or is_plain(owner, VALUES):
            return
        if type(owner) in HELD:  # such as the gradient of a tensor
            held = value is None or type(value) in HELD
            if not held or getattr(owner, at.name) is not value:
                return
        elif is_plain(owner, CONTAINERS) and callable(value) and hasattr(value, "__self__"):
            return  # one of its methods
        self._attribute(key, path, at, owner, value)
        self.outside.meet(value, path)

    def attribute_missing(self, at: Site, owner: Any) -> None:
        """Take down an attribute that is not there; one that a property refuses reads others."""
        name, kind = at.name, type(owner)
        if kind is super:
            self.super_read(at, owner, MISSING)
            return
        known = self.outside.path_of(owner)
        if is_plain(owner, (*VALUES, *CONTAINERS)) or kind in HELD:
            return
        if known is None:
            if isinstance(owner, _SPACES) and not is_library_object(owner):
                known = owner.__name__
            elif is_users_class(kind) and not is_library_object(owner):
                getter = functools.partial(class_attribute, kind, name)
                if getter() is MISSING:
                    read = Read(f"{kind.__name__}.{name}", "class", at.source, MISSING, getter)
                    self._found(("attribute", id(kind), name), read)
                return
            else:
                return
        self._absent(("attribute", id(owner), name), f"{known}.{name}", at.source, owner, name)

    def _absent(
        self, key: tuple[Any, ...], path: str, source: Source, owner: Any, name: str
    ) -> None:
        """Take down that neither an object nor its classes hold a name."""
        getter = functools.partial(found_statically, owner, name)
        if type(getter()).__name__ == "member_descriptor":  # a slot without a value
            getter = functools.partial(getattr, owner, name, MISSING)
        if getter() is MISSING:
            self._found(key, Read(path, "attribute", source, MISSING, getter))

    def named_read(self, at: Site, owner: Any, name: str) -> bool:
        """Take down what ``getattr`` and ``hasattr`` read, where that calls no code of the user's.

        Returns
        -------
        bool
            Whether nothing else of the owner is read.
        """
        there, kind = Site(name, at.place), type(owner)
        if not (isinstance(owner, _SPACES) or is_users_class(kind)) or is_container(owner):
            return False
        found = found_statically(owner, name)
        if found is MISSING or type(found).__name__ == "member_descriptor":
            if found is MISSING or getattr(owner, name, MISSING) is MISSING:
                self.attribute_missing(there, owner)
            else:
                self.attribute_read(there, owner, getattr(owner, name))
        elif isinstance(owner, _SPACES):
            self.attribute_read(there, owner, getattr(owner, name))
        elif hasattr(type(found), "__get__") and name not in getattr(owner, "__dict__", {}):
            getter = functools.partial(class_attribute, kind, name)
            read = Read(f"{kind.__name__}.{name}", "class", at.source, getter(), getter)
            self._found(("attribute", id(kind), name), read)
            self.outside.enter_class(kind, whole=True)
        else:
            self.attribute_read(there, owner, found)
        return True

    def _read_of_class(self, at: Site, owner: Any) -> None:
        """Take down an attribute of an object made while tracing, where its class holds it."""
        kind, name = type(owner), at.name
        if not is_users_class(kind) or name in getattr(owner, "__dict__", {}):
            return
        holder = next((each for each in kind.__mro__ if name in each.__dict__), None)
        if holder is None or not is_users_class(holder):
            return
        key, path = ("attribute", id(kind), name), f"{holder.__name__}.{name}"
        if key not in self._reads:
            held = holder.__dict__[name]
            getter = functools.partial(class_attribute, kind, name)
            self._found(key, Read(path, "class", at.source, held, getter))
            self.outside.meet(held, path)

    def _attribute(self, key: tuple[Any, ...], path: str, at: Site, owner: Any, value: Any) -> None:
        name = at.name
        kind = owner if isinstance(owner, type) else type(owner)
        static = class_attribute(kind, name)
        if static is MISSING and isinstance(owner, type):  # its metaclass may hold it
            kind = type(owner)
            static = class_attribute(kind, name)
        own = getattr(owner, "__dict__", {})
        if _is_own_method(value, owner, name in own):
            getter = functools.partial(getattr, owner, name)
            check = f"{{}}.{name}.__func__"
            self._found(key, Read(path, "method", at.source, value, getter, check, owner))
            return
        if static is MISSING and name not in own:  # what __getattr__ gives
            self._absent(key, path, at.source, owner, name)
            if not is_users_class(kind):  # otherwise its own reads are observed
                self._watch_whole(path.rpartition(".")[0], at.source, owner)
            return
        is_code = hasattr(type(static), "__get__") and not isinstance(static, FunctionType)
        if is_code and (isinstance(static, property) or name not in own):
            if type(static).__name__ in ("member_descriptor", "getset_descriptor"):
                if not _is_steady(getattr(owner, name), value):
                    return  # computed, by an object of others that is named where it is read
            elif isinstance(static, (staticmethod, classmethod)):
                pass
            else:
                getter = functools.partial(class_attribute, kind, name)
                self._found(key, Read(path, "class", at.source, static, getter))
                self._computed(key, path, at, owner, value, static)
                if is_users_class(type(static)):
                    self.outside.meet(static, path)
                return
        getter = functools.partial(getattr, owner, name)
        self._found(key, Read(path, "attribute", at.source, value, getter, f"{{}}.{name}", owner))

    def _computed(
        self, key: tuple[Any, ...], path: str, at: Site, owner: Any, value: Any, static: Any
    ) -> None:
        """Take down what a descriptor of others gives; what one of the user's reads is observed."""
        dispatcher = getattr(static, "dispatcher", None)
        if isinstance(dispatcher, FunctionType):  # of functools.singledispatchmethod
            self.outside.meet(dispatcher, path)
            self._foreign_closure(at, dispatcher)
        if isinstance(static, functools.partialmethod):
            self.outside.meet(static, path)
            self._partial(static, at.source)
        if _is_of_user(static) or isinstance(owner, type):
            return
        again = getattr(owner, at.name)
        if _is_steady(again, value):
            getter = functools.partial(getattr, owner, at.name)
            self._found((*key, "value"), Read(path, "attribute", at.source, value, getter))
        else:  # another object each time
            self._watch_whole(self.outside.path_of(owner) or path, at.source, owner)

    def _foreign_closure(self, at: Site, called: FunctionType) -> None:
        """Take down the containers that a function of others keeps, such as a registry."""
        pending, seen = [called], {id(called)}
        while pending:
            function = pending.pop()
            for name, held in closure_of(function).items() if function in self.outside else ():
                if is_container(held):
                    path = f"{self.outside.path_of(function)}.{name}"
                    self._watch_whole(path, at.source, held)
                elif isinstance(held, FunctionType) and id(held) not in seen:
                    seen.add(id(held))  # it may hold itself
                    pending += [] if is_user_code(held.__code__) else [held]

    def super_read(self, at: Site, owner: Any, value: Any) -> None:
        """Take down an attribute of a ``super()`` that was loaded."""
        name = at.name
        key = ("super", id(owner.__thisclass__), id(owner.__self_class__), name)
        path = f"super().{name}"
        if value is MISSING:
            getter = functools.partial(getattr, owner, name, MISSING)
            self._found(key, Read(path, "attribute", at.source, value, getter))
            return
        getter = functools.partial(getattr, owner, name)
        self._found(key, Read(path, "attribute", at.source, value, getter, "", owner))
        self.outside.enter_function(value)

    def _special_methods(self, at: Site, value: Any) -> None:
        """Take down that Python looks for special methods in the classes of an object.

        Those that run are observed, so what counts is that no others are added.
        """
        kind = type(value)
        if is_users_class(kind):
            self._special_methods_of(at, kind)
            if value in self.outside and inherits_methods(kind):
                self._watch_whole(self.outside.path_of(value) or kind.__name__, at.source, value)

    def _special_methods_of(self, at: Site, kind: type) -> None:
        self.outside.enter_class(kind)
        for each in kind.__mro__:
            if is_users_class(each):
                for key, path, getter, check in (
                    ("names", "__dict__", _names_held, "' '.join({}.__dict__)"),
                    ("order", "__mro__", _order_of, "id({}.__mro__)"),
                ):
                    path = f"{each.__name__}.{path}"
                    found = functools.partial(getter, each, each.__mro__)
                    read = Read(path, "class", at.source, found(), found, check, each)
                    self._found((key, id(each)), read)
                self._objects_called(at, each)

    def _objects_called(self, at: Site, kind: type) -> None:
        """Take down the special methods of a class that are objects which can be called."""
        for name, held in list(vars(kind).items()):
            if name.startswith("__") and is_users_class(type(held)) and callable(held):
                path = f"{kind.__name__}.{name}"
                getter = functools.partial(class_attribute, kind, name)
                self._found(
                    ("attribute", id(kind), name), Read(path, "class", at.source, held, getter)
                )
                if held not in self.outside:
                    self.outside.meet(held, path)
                    self._special_methods(at, held)

    def _partial(self, called: Any, source: Source) -> None:
        """Take down what a partial function or method passes."""
        path = self.outside.path_of(called) or "partial(...)"
        for name in ("func", "args", "keywords") if called in self.outside else ():
            getter = functools.partial(getattr, called, name)
            read = Read(f"{path}.{name}", "attribute", source, getter(), getter)
            self._found(("attribute", id(called), name), read)

    def _namespace(self, path: str, source: Source, space: Any) -> None:
        """Take down that code which is not observed may read any name of a class or a module."""
        if is_library_object(space) or not (
            isinstance(space, FunctionType)
            or (isinstance(space, type) and is_users_class(space))
            or is_users_module(space)
        ):
            return
        getter = functools.partial(names_of, space)
        self._found(("names of", id(space)), Read(path, "state", source, getter(), getter))


_NUMBERS = (bool, int, float, complex)
_NO_STATE = frozenset(
    "__dict__ __weakref__ __doc__ __module__ __annotations__ __abstractmethods__ _abc_impl "
    "__static_attributes__ __firstlineno__ __builtins__ __cached__ __spec__ __loader__".split()
)


def names_of(space: Any) -> dict[str, Any]:
    """Return what a class with its own bases, a module or a function holds, by name."""
    found: dict[str, Any] = {}
    spaces = space.__mro__ if isinstance(space, type) else (space,)
    for each in spaces:
        if each is space or is_users_class(each):
            for name, value in vars(each).items():
                if name not in _NO_STATE:
                    found.setdefault(name, value)
    return found


def is_users_module(value: Any) -> bool:
    """Tell whether a module is the user's own code."""
    if not isinstance(value, ModuleType):
        return False
    code = getattr(value, "__file__", None)
    return code is None or is_user_file(code)


def _names_held(kind: type, _: tuple[type, ...]) -> str:
    """Return the names that a class holds, as one text."""
    return " ".join(vars(kind))


def _order_of(kind: type, kept: tuple[type, ...]) -> int:
    """Tell which tuple of classes a class inherits from; that of the trace is kept alive."""
    return id(kept if kind.__mro__ is kept else kind.__mro__)


def class_attribute(kind: type, name: str) -> Any:
    """Return what the classes of an object hold under a name, as it is there."""
    for each in kind.__mro__:
        found = each.__dict__.get(name, MISSING)
        if found is not MISSING:
            return found
    return MISSING


def found_statically(owner: Any, name: str) -> Any:
    """Return what an object or its classes hold under a name, and run no code for it."""
    if isinstance(owner, type):
        found = class_attribute(owner, name)
        return class_attribute(type(owner), name) if found is MISSING else found
    found = getattr(owner, "__dict__", {}).get(name, MISSING)
    return class_attribute(type(owner), name) if found is MISSING else found


def _is_steady(again: Any, value: Any) -> bool:
    """Tell whether a second look gave the same, so that a third one can be compared."""
    if again is value:
        return True
    return type(again) is type(value) and is_plain(value, (*_NUMBERS, str)) and again == value


def _is_own_method(value: Any, owner: Any, is_held: bool) -> bool:
    """Tell whether `value` is a method of its owner's class, and not of another object's."""
    return (
        isinstance(value, MethodType)
        and (isinstance(owner, type) or not is_held)
        and (value.__self__ is owner or isinstance(value.__self__, type))
    )


def _is_of_user(descriptor: Any) -> bool:
    """Tell whether what a descriptor gives is computed by code that is observed."""
    function = getattr(descriptor, "fget", None) or getattr(descriptor, "func", None)
    if isinstance(function, FunctionType):
        return is_user_code(swaps.original(function))
    return is_users_class(type(descriptor))
