"""What a function reads from outside itself, found in its bytecode.

Tracing runs a function once, so whatever it reads that is not an argument is fixed in the graph.
This module finds those reads before the trace: globals, closures, defaults and the attributes of
objects, also in the user's functions and methods that are called from there.
"""

from __future__ import annotations

import dis
import functools
import inspect
import itertools
import site
import sysconfig
from collections.abc import Callable, Iterator, Mapping
from types import CellType, CodeType, FunctionType, MethodType, ModuleType
from typing import Any, NamedTuple

from oplibrary.messages.source import Source, is_ours

MISSING = object()
"""Read in place of a name that has no value."""


class Read(NamedTuple):
    """One value that the traced code reads from outside.

    Attributes
    ----------
    path : str
        As the program spells it, such as ``config.lr``.
    kind : str
        ``"global"``, ``"closure"``, ``"default"`` or ``"attribute"``.
    source : Source
        Where it is read.
    value : object
    read : callable
        Returns the value that the program would read now; ValueError or `MISSING` means none.
    """

    path: str
    kind: str
    source: Source
    value: Any
    read: Callable[[], Any]


class Effect(NamedTuple):
    """Something that the traced code does besides computing: it happens while tracing only."""

    what: str
    source: Source


class Captures(NamedTuple):
    """Everything that a function reads from outside, and does to the outside.

    Attributes
    ----------
    reads : list of Read
    effects : list of Effect
    owners : list of object
        Objects whose methods were looked into, so that what they read is among the reads.
    """

    reads: list[Read]
    effects: list[Effect]
    owners: list[Any]


def captures_of(function: Callable[..., Any], static: Mapping[str, Any] | None = None) -> Captures:
    """Return the values that `function` reads from outside itself.

    Parameters
    ----------
    function : callable
        A function, a method, a callable object, a partial, or a wrapper with ``__wrapped__``.
    static : mapping of str to object, optional
        Parameters that are passed objects as they are; attributes read from them count too.
    """
    scan = _Scan()
    scan.callable(function, static or {})
    written = scan.written
    reads = {
        read.path: read
        for read in reversed(scan.reads)
        if read.path not in written and f".{read.path.rpartition('.')[2]}" not in written
    }
    return Captures(list(reversed(reads.values())), scan.effects, scan.owners)


def is_user_code(code: CodeType) -> bool:
    """Tell whether `code` is the user's own: neither ours nor an installed package's."""
    name = code.co_filename
    return not (is_ours(code) or name.startswith(_INSTALLED) or name.startswith("<frozen"))


def is_wrapper(value: Any) -> bool:
    """Tell whether `value` calls another function, which it names as its ``__wrapped__``."""
    return callable(inspect.getattr_static(value, "__wrapped__", None))


_INSTALLED = tuple(
    {
        *(sysconfig.get_paths()[key] for key in ("stdlib", "platstdlib", "purelib", "platlib")),
        *site.getsitepackages(),
    }
)
_SPEAKS = frozenset({"print", "input", "open"})
_MUTATORS = frozenset(
    ["append", "extend", "insert", "pop", "remove", "clear", "update", "add", "discard"]
) | {"setdefault", "popitem", "sort", "reverse"}
_MOST_CODES = 500


def _contents(cell: CellType) -> Any:
    try:
        return cell.cell_contents
    except ValueError:
        return MISSING


def _read_attribute(owner: Callable[[], Any], name: str) -> Any:
    return getattr(owner(), name, MISSING)


def _plain_attribute(owner: Any, name: str) -> Any:
    """Return an attribute that is read without running code of its own, or `MISSING`."""
    for space in (owner, *type(owner).__mro__):
        found = getattr(space, "__dict__", {}).get(name, MISSING)
        if found is not MISSING:
            is_code = hasattr(type(found), "__get__") and space is not owner
            return MISSING if is_code and not _is_slot(found) else getattr(owner, name, MISSING)
    return MISSING


def _is_slot(found: Any) -> bool:
    return type(found).__name__ == "member_descriptor"


class _Names(NamedTuple):
    """How a code object's names are read."""

    globals: dict[str, Any]
    cells: dict[str, CellType]
    objects: Mapping[str, Any]


class _Scan:
    """One walk over a function and what it calls."""

    def __init__(self) -> None:
        self.reads: list[Read] = []
        self.effects: list[Effect] = []
        self.written: set[str] = set()
        self.owners: list[Any] = []
        self._seen: set[tuple[Any, ...]] = set()

    def callable(self, value: Any, static: Mapping[str, Any]) -> None:
        """Scan what calling `value` runs."""
        if isinstance(value, functools.partial):
            self.callable(value.func, static)
            return
        if is_wrapper(value):
            self.callable(value.__wrapped__, static)
        elif isinstance(value, MethodType):
            function: Any = value.__func__
            self._function(function, self._with_first(function, value.__self__, static))
        elif isinstance(value, FunctionType):
            self._function(value, static)
        elif not isinstance(value, type):
            method = inspect.getattr_static(type(value), "__call__", None)
            if isinstance(method, FunctionType):
                self.owners.append(value)
                self._function(method, self._with_first(method, value, static))

    @staticmethod
    def _with_first(
        function: FunctionType, owner: Any, static: Mapping[str, Any]
    ) -> dict[str, Any]:
        names = function.__code__.co_varnames[:1]
        return {**static, **dict.fromkeys(names, owner)}

    def _function(self, function: FunctionType, objects: Mapping[str, Any]) -> None:
        code = function.__code__
        key = (code, *map(id, objects.values()), *map(id, function.__closure__ or ()))
        if not is_user_code(code) or key in self._seen or len(self._seen) >= _MOST_CODES:
            return
        self._seen.add(key)
        cells = dict(zip(code.co_freevars, function.__closure__ or (), strict=True))
        self._defaults(function)
        self._code(code, _Names(function.__globals__, cells, objects))

    def _defaults(self, function: FunctionType) -> None:
        code = function.__code__
        source = Source(code.co_filename, code.co_firstlineno, code.co_name)
        count = code.co_argcount
        values = function.__defaults__ or ()
        for position, value in enumerate(values):
            name = code.co_varnames[count - len(values) + position]
            read = functools.partial(_read_default, function, position)
            self._found(Read(name, "default", source, value, read))
        for name, value in (function.__kwdefaults__ or {}).items():
            read = functools.partial(_read_keyword_default, function, name)
            self._found(Read(name, "default", source, value, read))

    def _code(self, code: CodeType, names: _Names) -> None:
        stored = {
            name
            for instruction in dis.get_instructions(code)
            if instruction.opname.startswith("STORE_FAST")
            for name in _tuple(instruction.argval)
        }
        names = names._replace(
            objects={name: value for name, value in names.objects.items() if name not in stored}
        )
        instructions = list(dis.get_instructions(code))
        for position, instruction in enumerate(instructions):
            line = instruction.positions.lineno if instruction.positions else None
            source = Source(code.co_filename, line or code.co_firstlineno, code.co_name)
            self._instruction(instruction, instructions[position + 1 :], names, source, code)
        for inner in code.co_consts:
            if isinstance(inner, CodeType):
                own = {name: c for name, c in names.cells.items() if name in inner.co_freevars}
                self._code(inner, _Names(names.globals, own, {}))

    def _instruction(
        self,
        instruction: dis.Instruction,
        following: list[dis.Instruction],
        names: _Names,
        source: Source,
        code: CodeType,
    ) -> None:
        operation = instruction.opname
        name = _tuple(instruction.argval)[-1] if instruction.argval is not None else ""
        if operation in ("STORE_GLOBAL", "DELETE_GLOBAL"):
            self._writes(name, f"global {name} is set", source)
        elif operation == "STORE_DEREF" and name in names.cells and name in code.co_freevars:
            self._writes(name, f"nonlocal {name} is set", source)
        elif operation == "STORE_ATTR":
            self._writes(f".{name}", f"attribute {name} is set", source)
        elif operation in ("LOAD_GLOBAL", "LOAD_NAME"):
            value = names.globals.get(name, MISSING)
            if name in _SPEAKS and value is MISSING:
                self.effects.append(Effect(f"{name}() runs", source))
            read = functools.partial(names.globals.get, name, MISSING)
            if name in names.globals:
                self._chain(Read(name, "global", source, value, read), following)
        elif operation in ("LOAD_DEREF", "LOAD_CLASSDEREF", "LOAD_FROM_DICT_OR_DEREF"):
            if name in names.cells:
                cell = names.cells[name]
                read = functools.partial(getattr, cell, "cell_contents")  # without a Python frame
                self._chain(Read(name, "closure", source, _contents(cell), read), following)
        elif operation.startswith("LOAD_FAST") and name in names.objects:
            value = names.objects[name]
            root = Read(name, "argument", source, value, functools.partial(_itself, value))
            self._chain(root, following)

    def _writes(self, path: str, what: str, source: Source) -> None:
        self.written.add(path)
        self.effects.append(Effect(what, source))

    def _chain(self, root: Read, following: list[dis.Instruction]) -> None:
        """Follow the attributes that are read off a name: ``config.optimizer.lr``."""
        read = root
        for name in _attributes(following):
            if name in _MUTATORS and isinstance(read.value, (list, dict, set)):
                self.written.add(read.path)
                self.effects.append(Effect(f"{read.path}.{name}() runs", read.source))
                return
            value = _plain_attribute(read.value, name)
            if value is MISSING:
                self._method(read.value, name)
                break
            getter = functools.partial(_read_attribute, read.read, name)
            read = Read(f"{read.path}.{name}", "attribute", read.source, value, getter)
        if read.kind != "argument":
            self._found(read)
        if not isinstance(read.value, (type, ModuleType)) and callable(read.value):
            self.callable(read.value, {})

    def _method(self, owner: Any, name: str) -> None:
        found = inspect.getattr_static(type(owner), name, None)
        if isinstance(found, (property, functools.cached_property)):
            found = found.fget if isinstance(found, property) else found.func
        if isinstance(found, FunctionType) and is_user_code(found.__code__):
            self.owners.append(owner)
            self._function(found, self._with_first(found, owner, {}))

    def _found(self, read: Read) -> None:
        if read.value is not MISSING:
            self.reads.append(read)


def _attributes(following: list[dis.Instruction]) -> Iterator[str]:
    loads = itertools.takewhile(
        lambda instruction: instruction.opname in ("LOAD_ATTR", "LOAD_METHOD"), following
    )
    return (str(instruction.argval) for instruction in loads)


def _tuple(value: Any) -> tuple[Any, ...]:
    return value if isinstance(value, tuple) else (value,)


def _itself(value: Any) -> Any:
    return value


def _read_default(function: FunctionType, position: int) -> Any:
    values = function.__defaults__ or ()
    return values[position] if position < len(values) else MISSING


def _read_keyword_default(function: FunctionType, name: str) -> Any:
    return (function.__kwdefaults__ or {}).get(name, MISSING)
