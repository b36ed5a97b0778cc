"""Code that tells what it reads: the user's bytecode, with an observer at each read from outside.

A copy of a code object does what the original does and calls `Site` objects on the way: one at each
load of a global, a closure's variable or an attribute, at each call, and at each store outside. The
copy keeps the user's lines, so that messages point where they would have pointed.

An observer is called by a subscript, ``site[value]``: that needs nothing of the stack but its top,
and so works alike in every version of Python.
"""

from __future__ import annotations

import dis
import sys
from collections.abc import Callable, Iterator
from itertools import chain, groupby
from types import CodeType
from typing import Any, NamedTuple

_MODERN = sys.version_info >= (3, 13)
"""Whether a call's missing ``self`` stands behind the callable, as from Python 3.13 on."""

_LOADS_HAVE_METHODS = sys.version_info >= (3, 12)
"""Whether ``LOAD_ATTR`` loads methods, too."""

_OPS = dis.opmap
_EXTENDED, _CACHE = _OPS["EXTENDED_ARG"], _OPS["CACHE"]
_JUMPS = frozenset(dis.hasjrel)
_BACKWARD = frozenset(number for name, number in _OPS.items() if "BACKWARD" in name)


def _caches(name: str) -> int:
    entries: Any = dis._inline_cache_entries  # type: ignore[attr-defined]
    return int(entries.get(name, 0) if isinstance(entries, dict) else entries[_OPS[name]])


_CACHES = {number: _caches(name) for name, number in _OPS.items() if number < 256}


_Position = tuple[int | None, int | None, int | None, int | None]
"""First and last line, first and last column."""


class CodePlace(NamedTuple):
    """Where in a code object a site stands: its index in units of bytecode, as frames count."""

    code: CodeType
    unit: int


class Instruction:
    """One instruction, while its code is rewritten."""

    __slots__ = ("arg", "op", "position", "prefixes", "target")

    def __init__(self, name: str, arg: int = 0) -> None:
        self.op = _OPS[name]
        self.arg = arg
        self.prefixes = _prefixes(arg)
        self.target: int | None = None  # the unit of the original that a jump leads to
        self.position: _Position = (None,) * 4

    @property
    def size(self) -> int:
        """How many units it takes, with prefixes and caches."""
        return self.prefixes + 1 + _CACHES[self.op]


def _prefixes(arg: int) -> int:
    return (arg > 0xFF) + (arg > 0xFFFF) + (arg > 0xFFFFFF)


Sites = Callable[[str, Any, CodePlace], Any]
"""Makes the observer of a site out of its kind, what is named there, and where it stands."""


def instrument(code: CodeType, site: Sites) -> CodeType:
    """Return `code` with observers, those of the functions that it defines included.

    Parameters
    ----------
    code : CodeType
    site : callable
        ``site(kind, name, place)`` returns an object whose ``__getitem__`` is given

        - ``"match"``: ``(object, class)`` that are matched; dropped,
        - ``"compared"``: what is compared, or looked for in something; dropped,
        - ``"identity"``: the two that ``is`` compares; dropped,
        - ``"contents"``: what Python itself looks into, such as what is iterated over; dropped,
        - ``"start"``: None, when the code begins to run; dropped,
        - ``"global"``: None, and returns the value,
        - ``"closure"``: the cell, and returns what it holds,
        - ``"attribute"``: the owner, and returns the attribute,
        - ``"super"``: ``(super, class, self)``, and returns the attribute,
        - ``"module"``: ``(level, names)`` of an import, and returns the module,
        - ``"imported name"``: the module that a name is imported from; dropped,
        - ``"import"``: ``(module, value)``, returns the value,
        - ``"class closure"``: ``(value, cell)`` of what a class body loads, returns the value,
        - ``"name"``: None, and returns what a class body means by a name,
        - ``"call"``: ``(arguments, callable)``, and returns the arguments in reverse,
        - ``"called"``: ``(callable,)``, of a call without arguments; dropped, as is
        - ``"unpacked call"``: ``((arguments, keywords), callable)``, of ``f(*a, **k)``,
        - ``"result"``: what a call returned; it returns it,
        - ``"store global"``, ``"store closure"``, ``"store attribute"``, ``"store item"``: None,
          the cell, the owner, the container; what it returns is dropped.
    """
    return _Rewriting(code, site).result()


class _Rewriting:
    def __init__(self, code: CodeType, site: Sites) -> None:
        self.code = code
        self._site = site
        self._constants: list[Any] = [
            instrument(each, site) if isinstance(each, CodeType) else each
            for each in code.co_consts
        ]
        local = (*code.co_varnames, *(n for n in code.co_cellvars if n not in code.co_varnames))
        self._first_free = len(local)
        self._unit = 0
        self._names: list[Instruction] = []  # of the keywords of the call that follows

    def result(self) -> CodeType:
        groups = self._groups()
        starts = _lay_out(groups)
        written = list(_write(groups))
        return self.code.replace(
            co_code=bytes([byte for op, arg, _ in written for byte in (op, arg)]),
            co_consts=tuple(self._constants),
            co_stacksize=self.code.co_stacksize + 6,
            co_linetable=_line_table([position for _, _, position in written], self.code),
            co_exceptiontable=_exception_table(self.code, starts),
        )

    def _groups(self) -> dict[int, list[Instruction]]:
        """Return what stands in place of each original instruction, by its unit."""
        raw = self.code.co_code
        positions = list(self.code.co_positions())
        groups: dict[int, list[Instruction]] = {}
        start = extended = 0
        began = False
        for unit in range(len(raw) // 2):
            op, arg = raw[2 * unit], raw[2 * unit + 1]
            if op == _CACHE:
                groups.setdefault(unit, [])
                continue
            if not began:
                start, began = unit, True
            if op == _EXTENDED:
                extended = (extended | arg) << 8
                continue
            instruction = Instruction(dis.opname[op], extended | arg)
            extended, began = 0, False
            self._unit = unit
            if op in _JUMPS:
                after = unit + 1 + _CACHES[op]
                instruction.target = after + (-1 if op in _BACKWARD else 1) * instruction.arg
            group = self._observed(instruction)
            for each in group:
                each.position = positions[unit]
            groups[start] = group
            for between in range(start + 1, unit + 1):
                groups[between] = []
        groups[len(raw) // 2] = []
        return groups

    # what stands in place of an instruction -------------------------------------------------------

    def _observer(self, kind: str, name: Any = "") -> Instruction:
        """Return the load of a site's observer."""
        self._constants.append(self._site(kind, name, CodePlace(self.code, self._unit)))
        return Instruction("LOAD_CONST", len(self._constants) - 1)

    def _asked(self, kind: str, name: Any = "") -> list[Instruction]:
        """Return what puts the answer of an observer in place of the value on top."""
        return [self._observer(kind, name), Instruction("SWAP", 2), Instruction("BINARY_SUBSCR")]

    def _told(self, kind: str, name: Any = "") -> list[Instruction]:
        """Return what tells an observer the value on top, and drops that."""
        return [*self._asked(kind, name), Instruction("POP_TOP")]

    def _observed(self, instruction: Instruction) -> list[Instruction]:
        make = _MAKERS.get(dis.opname[instruction.op])
        return [instruction] if make is None else make(self, instruction)

    def _start(self, resume: Instruction) -> list[Instruction]:
        if resume.arg:  # after a yield
            return [resume]
        return [resume, Instruction("LOAD_CONST", self._none()), *self._told("start")]

    def _none(self) -> int:
        if None not in self._constants:
            self._constants.append(None)
        return self._constants.index(None)

    def _global(self, load: Instruction) -> list[Instruction]:
        asked = self._looked_up("global", self.code.co_names[load.arg >> 1])
        if not load.arg & 1:
            return asked
        null = Instruction("PUSH_NULL")
        return [*asked, null] if _MODERN else [null, *asked]

    def _looked_up(self, kind: str, name: str) -> list[Instruction]:
        """Return what an observer looks up by itself: a load that fails tells nobody."""
        return [Instruction("LOAD_CONST", self._none()), *self._asked(kind, name)]

    def _name(self, load: Instruction) -> list[Instruction]:
        return self._looked_up("name", self.code.co_names[load.arg])

    def _closure(self, load: Instruction) -> list[Instruction]:
        free = load.arg - self._first_free
        if free < 0:
            return [load]
        return [self._cell(load.arg), *self._asked("closure", self.code.co_freevars[free])]

    def _class_closure(self, load: Instruction) -> list[Instruction]:
        free = load.arg - self._first_free
        if free < 0:
            return [load]
        pair = [load, self._cell(load.arg), Instruction("BUILD_TUPLE", 2)]
        return [*pair, *self._asked("class closure", self.code.co_freevars[free])]

    def _cell(self, number: int) -> Instruction:
        return Instruction("LOAD_FAST" if _MODERN else "LOAD_CLOSURE", number)

    def _attribute(self, load: Instruction) -> list[Instruction]:
        is_method, number = False, load.arg
        if _LOADS_HAVE_METHODS:
            is_method, number = bool(load.arg & 1), load.arg >> 1
        asked = self._asked("attribute", self.code.co_names[number])
        return self._as_method(asked) if is_method else asked

    def _method(self, load: Instruction) -> list[Instruction]:
        return self._as_method(self._asked("attribute", self.code.co_names[load.arg]))

    def _as_method(self, asked: list[Instruction]) -> list[Instruction]:
        if _MODERN:
            return [*asked, Instruction("PUSH_NULL")]
        return [*asked, Instruction("PUSH_NULL"), Instruction("SWAP", 2)]

    def _super(self, load: Instruction) -> list[Instruction]:
        asked = [
            Instruction("BUILD_TUPLE", 3),
            *self._asked("super", self.code.co_names[load.arg >> 2]),
        ]
        return self._as_method(asked) if load.arg & 1 else asked

    def _import(self, load: Instruction) -> list[Instruction]:
        name = self.code.co_names[load.arg]
        return [Instruction("BUILD_TUPLE", 2), *self._asked("module", name)]

    def _import_from(self, load: Instruction) -> list[Instruction]:
        name = self.code.co_names[load.arg]
        return [
            Instruction("COPY", 1),
            *self._told("imported name", name),
            load,
            Instruction("COPY", 2),
            Instruction("SWAP", 2),
            Instruction("BUILD_TUPLE", 2),
            *self._asked("import", name),
        ]

    def _result(self, call: Instruction) -> list[Instruction]:
        return [call, *self._asked("result")]

    def _call(self, call: Instruction) -> list[Instruction]:
        return [*self._before_call(call), *self._asked("result")]

    def _keyword_call(self, call: Instruction) -> list[Instruction]:
        return [*self._arguments(call.arg + 1), call, *self._asked("result")]

    def _before_call(self, call: Instruction) -> list[Instruction]:
        """Return what stands in place of ``PRECALL``, which comes before ``CALL`` in 3.11."""
        names, self._names = self._names, []
        return [*self._arguments(call.arg), *names, call]

    def _keywords(self, names: Instruction) -> list[Instruction]:
        """Keep ``KW_NAMES`` for right before the call: nothing may be called in between."""
        self._names = [names]
        return []

    def _arguments(self, count: int) -> list[Instruction]:
        """Return what shows an observer `count` values on top and the callable under them."""
        depth = 2 if _MODERN else 1
        if not count:
            return [
                Instruction("COPY", depth),
                Instruction("BUILD_TUPLE", 1),
                *self._told("called"),
            ]
        return [
            Instruction("BUILD_TUPLE", count),
            Instruction("COPY", depth + 1),
            Instruction("BUILD_TUPLE", 2),
            *self._asked("call"),
            Instruction("UNPACK_SEQUENCE", count),
        ]

    def _unpacked_call(self, call: Instruction) -> list[Instruction]:
        count = 1 + (call.arg & 1)  # a tuple, and a dict behind it
        told = [
            *[Instruction("COPY", count) for _ in range(count)],
            Instruction("BUILD_TUPLE", count),
            Instruction("COPY", count + (3 if _MODERN else 2)),
            Instruction("BUILD_TUPLE", 2),
            *self._told("unpacked call"),
        ]
        return [*told, call, *self._asked("result")]

    def _matched(self, match: Instruction) -> list[Instruction]:
        pair = [Instruction("COPY", 3), Instruction("COPY", 3), Instruction("BUILD_TUPLE", 2)]
        return [*pair, *self._told("match"), match]

    def _identity(self, compared: Instruction) -> list[Instruction]:
        pair = [Instruction("COPY", 2), Instruction("COPY", 2), Instruction("BUILD_TUPLE", 2)]
        return [*pair, *self._told("identity"), compared]

    def _contents(self, reading: Instruction) -> list[Instruction]:
        """Return what shows an observer what `reading` looks into."""
        name = dis.opname[reading.op]
        kind = "compared" if name in _COMPARING else "contents"
        shown = [
            [Instruction("COPY", depth), *self._told(kind, name)] for depth in _LOOKED_INTO[name]
        ]
        return [*chain.from_iterable(shown), reading]

    def _store_global(self, store: Instruction) -> list[Instruction]:
        return [*self._noted("store global", self.code.co_names[store.arg]), store]

    def _noted(self, kind: str, name: str) -> list[Instruction]:
        return [
            Instruction("COPY", 1),
            *self._told(kind, name),
        ]

    def _store_closure(self, store: Instruction) -> list[Instruction]:
        free = store.arg - self._first_free
        if free < 0:
            return [store]
        return [
            self._cell(store.arg),
            *self._told("store closure", self.code.co_freevars[free]),
            store,
        ]

    def _store_attribute(self, store: Instruction) -> list[Instruction]:
        return [*self._noted("store attribute", self.code.co_names[store.arg]), store]

    def _store_item(self, store: Instruction) -> list[Instruction]:
        return [Instruction("COPY", 2), *self._told("store item"), store]


_TRUTHS = ("_IF_TRUE", "_IF_FALSE", "_IF_TRUE_OR_POP", "_IF_FALSE_OR_POP")
_LOOKED_INTO = {
    **dict.fromkeys(("GET_ITER", "UNPACK_SEQUENCE", "UNPACK_EX", "CONTAINS_OP"), (1,)),
    **dict.fromkeys(("LIST_EXTEND", "SET_UPDATE", "DICT_UPDATE", "DICT_MERGE"), (1,)),
    **dict.fromkeys(("GET_LEN", "MATCH_MAPPING", "MATCH_SEQUENCE", "FORMAT_VALUE"), (1,)),
    **dict.fromkeys(("UNARY_NEGATIVE", "UNARY_INVERT", "BEFORE_WITH"), (1,)),
    **dict.fromkeys(("FORMAT_SIMPLE", "CONVERT_VALUE", "TO_BOOL", "UNARY_NOT"), (1,)),
    **dict.fromkeys([each for each in _OPS if "JUMP" in each and each.endswith(_TRUTHS)], (1,)),
    **dict.fromkeys(("BINARY_SUBSCR", "FORMAT_WITH_SPEC", "MATCH_KEYS"), (2,)),
    **dict.fromkeys(("BINARY_OP", "COMPARE_OP"), (1, 2)),
    "BINARY_SLICE": (3,),
}
"""Instructions that read what a container holds, and how deep on the stack that lies."""
_COMPARING = ("COMPARE_OP", "CONTAINS_OP")

_MAKERS: dict[str, Callable[[_Rewriting, Instruction], list[Instruction]]] = {
    **{name: _Rewriting._contents for name in _LOOKED_INTO if name in _OPS},
    "RESUME": _Rewriting._start,
    "LOAD_GLOBAL": _Rewriting._global,
    "LOAD_NAME": _Rewriting._name,
    "LOAD_DEREF": _Rewriting._closure,
    "LOAD_CLASSDEREF": _Rewriting._class_closure,
    "LOAD_FROM_DICT_OR_DEREF": _Rewriting._class_closure,
    "LOAD_ATTR": _Rewriting._attribute,
    "LOAD_METHOD": _Rewriting._method,
    "LOAD_SUPER_ATTR": _Rewriting._super,
    "IMPORT_FROM": _Rewriting._import_from,
    "IMPORT_NAME": _Rewriting._import,
    "KW_NAMES": _Rewriting._keywords,
    "PRECALL": _Rewriting._before_call,
    "CALL": _Rewriting._call if _LOADS_HAVE_METHODS else _Rewriting._result,
    "CALL_KW": _Rewriting._keyword_call,
    "CALL_FUNCTION_EX": _Rewriting._unpacked_call,
    "MATCH_CLASS": _Rewriting._matched,
    "IS_OP": _Rewriting._identity,
    "STORE_GLOBAL": _Rewriting._store_global,
    "STORE_DEREF": _Rewriting._store_closure,
    "STORE_ATTR": _Rewriting._store_attribute,
    "STORE_SUBSCR": _Rewriting._store_item,
}


# writing ------------------------------------------------------------------------------------------


def _lay_out(groups: dict[int, list[Instruction]]) -> dict[int, int]:
    """Return the new unit of each original one; jumps get as many prefixes as they need."""
    units = sorted(groups)
    while True:
        starts, at = {}, 0
        for unit in units:
            starts[unit] = at
            at += sum([each.size for each in groups[unit]])
        is_settled = True
        at = 0
        for unit in units:
            for each in groups[unit]:
                at += each.size
                if each.target is not None:
                    each.arg = abs(starts[each.target] - at)
                    if _prefixes(each.arg) > each.prefixes:
                        each.prefixes = _prefixes(each.arg)
                        is_settled = False
        if is_settled:
            return starts


def _write(groups: dict[int, list[Instruction]]) -> Iterator[tuple[int, int, _Position]]:
    """Yield each unit of the new code: operation, argument and position."""
    for unit in sorted(groups):
        for each in groups[unit]:
            for shift in range(8 * each.prefixes, 0, -8):
                yield _EXTENDED, each.arg >> shift & 0xFF, each.position
            yield each.op, each.arg & 0xFF, each.position
            for _ in range(_CACHES[each.op]):
                yield _CACHE, 0, each.position


# The two tables are as CPython's Objects/locations.md and Objects/exception_handling_notes.txt
# describe them.


def _line_table(positions: list[_Position], code: CodeType) -> bytes:
    table = bytearray()
    line = code.co_firstlineno
    for position, run in groupby(positions):
        length = len(list(run))
        while length:
            units = min(length, 8)
            length -= units
            first, last, column, end = position
            if first is None:
                table.append(0x80 | 15 << 3 | units - 1)
                continue
            has_columns = last is not None and column is not None and end is not None
            table.append(0x80 | (14 if has_columns else 13) << 3 | units - 1)
            change = first - line
            line = first
            table += _little(change << 1 if change >= 0 else -change << 1 | 1)
            if last is not None and column is not None and end is not None:
                table += _little(last - first) + _little(column + 1) + _little(end + 1)
    return bytes(table)


def _exception_table(code: CodeType, starts: dict[int, int]) -> bytes:
    table = bytearray()
    entries: Any = dis._parse_exception_table(code)  # type: ignore[attr-defined]
    for start, end, target, depth, lasti in entries:
        first, stop, handler = (starts[offset // 2] for offset in (start, end, target))
        numbers = (first, stop - first, handler, depth << 1 | lasti)
        encoded = [bytearray(_big(number)) for number in numbers]
        encoded[0][0] |= 0x80
        table += b"".join(encoded)
    return bytes(table)


def _little(number: int) -> bytes:
    """Return a number in units of six bits, the lowest first."""
    found = []
    while number > 63:
        found.append(number & 63 | 64)
        number >>= 6
    return bytes([*found, number])


def _big(number: int) -> bytes:
    """Return a number in units of six bits, the highest first."""
    found = [number & 63]
    while number > 63:
        number >>= 6
        found.append(number & 63 | 64)
    return bytes(reversed(found))
