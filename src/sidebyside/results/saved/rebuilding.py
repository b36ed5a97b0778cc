"""Values from JSON, by the types that the fields of dataclasses are annotated with."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from functools import cache
from types import NoneType, UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints, is_typeddict

import numpy as np

from sidebyside.results.plain import NOT_FINITE
from sidebyside.results.saved.recorded import CHECKED, Finite

NOT_KEPT = frozenset({("TrainingRecord", "parameters")})
"""Fields, by the class and the name, that no file holds: they are much, and of no use there."""


class UnfitError(Exception):
    """Data that are not of the type that is wanted; the text says which."""


def rebuild(kind: Any, data: Any, where: str = "") -> Any:
    """Return the value of a type that `data` stand for, as `plain` makes them.

    What the type does not know is left out; a field that is missing has its default. A class that
    has a method ``unsound`` says with it what in one of its objects cannot be.

    Parameters
    ----------
    kind : type
        A dataclass, or what one is made of.
    data : any
        As JSON is read.
    where : str
        The way to it from the outermost object, for the message.

    Raises
    ------
    UnfitError

    Examples
    --------
    >>> rebuild(tuple[float, ...], [1, "Infinity"])
    (1.0, inf)
    """
    arguments, origin = get_args(kind), get_origin(kind) or kind
    if origin in (Any, object):
        return data
    if origin in (Union, UnionType):
        if data is None and NoneType in arguments:
            return None
        (kind,) = (each for each in arguments if each is not NoneType)
        return rebuild(kind, data, where)
    if dataclasses.is_dataclass(kind):
        return _object(kind, _of(data, Mapping, "an object", where), where)
    if is_typeddict(kind):
        return _checked(kind, _of(data, Mapping, "an object", where), where)
    if origin is np.ndarray:
        return np.array([_number(x, f"{where}[{n}]") for n, x in _numbered(data, where)], float)
    if origin in (tuple, list, Sequence):
        return _sequence(origin, arguments, _of(data, list, "a list", where), where)
    if origin in (dict, Mapping):
        whole = _of(data, Mapping, "an object", where)
        key_kind, value_kind = arguments
        return {
            rebuild(key_kind, _key(key_kind, key), where): rebuild(
                value_kind, each, f"{where}.{key}"
            )
            for key, each in whole.items()
        }
    return _PLAIN[origin](data, where)


def _of(data: Any, kinds: Any, words: str, where: str) -> Any:
    if not isinstance(data, kinds) or (isinstance(data, bool) and kinds is not bool):
        raise _unfit(data, words, where)
    return data


def _unfit(data: Any, words: str, where: str) -> UnfitError:
    found = "nothing" if data is None else repr(data)
    found = found if len(found) <= 60 else f"{found[:57]}..."
    return UnfitError(f"{where or 'it'} is {found}, where {words} belongs")


# what is made of nothing else ---------------------------------------------------------------------


def _number(data: Any, where: str) -> float:
    """Return a number, which may be none that is finite."""
    if isinstance(data, str) and data in NOT_FINITE:
        return NOT_FINITE[data]
    try:
        return float(_of(data, (int, float), "a number", where))
    except OverflowError:
        raise _unfit(data, "a number", where) from None


def _amount(data: Any, where: str) -> float:
    found = _number(data, where)
    if math.isnan(found):
        raise _unfit(data, "a number", where)
    return found


def _finite(data: Any, where: str) -> float:
    found = _number(_of(data, (int, float), "a number", where), where)
    if not math.isfinite(found):
        raise _unfit(data, "a number", where)
    return found


def _count(data: Any, where: str) -> int:
    found: int = _of(data, int, "a whole number", where)
    if found < 0:
        raise _unfit(data, "a whole number of 0 or more", where)
    return found


def _moment(data: Any, where: str) -> datetime:
    text = _of(data, str, "a date", where)
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        raise _unfit(data, "a date", where) from None


_PLAIN: dict[Any, Callable[[Any, str], Any]] = {
    bool: lambda data, where: _of(data, bool, "true or false", where),
    int: _count,
    float: _amount,
    Finite: _finite,
    str: lambda data, where: _of(data, str, "text", where),
    datetime: _moment,
}
"""How what is made of nothing else is read, by its type."""


def _key(kind: Any, key: str) -> Any:
    """Return the key of an object, which is text in JSON, as it is written by itself."""
    return int(key) if kind is int and key.isdecimal() and len(key) < 20 else key


# what is made of others ---------------------------------------------------------------------------


def _numbered(data: Any, where: str) -> list[tuple[int, Any]]:
    return list(enumerate(_of(data, list, "a list", where)))


def _sequence(origin: Any, arguments: tuple[Any, ...], data: list[Any], where: str) -> Any:
    if origin is tuple and arguments[-1] is not Ellipsis:
        if len(data) != len(arguments):
            raise UnfitError(f"{where} has {len(data)} entries in place of {len(arguments)}")
        kinds: Sequence[Any] = arguments
    else:
        kinds = [arguments[0]] * len(data)
    found = [
        rebuild(kind, each, f"{where}[{position}]")
        for position, (kind, each) in enumerate(zip(kinds, data, strict=True))
    ]
    return tuple(found) if origin is tuple else found


def _object(kind: Any, data: Mapping[str, Any], where: str) -> Any:
    found = {}
    for field, hint in kept_fields(kind):
        if field.name in data:
            within = f"{where}.{field.name}".strip(".")
            checked = CHECKED.get((kind.__name__, field.name))
            if checked is not None:
                rebuild(checked, data[field.name], within)
            found[field.name] = rebuild(hint, data[field.name], within)
        elif field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING:
            raise UnfitError(f"{where or 'it'} has no {field.name}")
    made = kind(**found)
    trouble = made.unsound() if hasattr(kind, "unsound") else ""
    if trouble:
        raise UnfitError(f"{where}: {trouble}" if where else trouble)
    return made


def _checked(kind: Any, data: Mapping[str, Any], where: str) -> Any:
    """Return an object as it is, once what is known of it is known to fit."""
    for name, hint in get_type_hints(kind).items():
        if name in data:
            rebuild(hint, data[name], f"{where}.{name}")
        elif name in kind.__required_keys__:
            raise UnfitError(f"{where} has no {name}")
    return data


@cache
def kept_fields(kind: Any) -> tuple[tuple[dataclasses.Field[Any], Any], ...]:
    """Return the fields of a dataclass that files hold, each with its type."""
    hints = get_type_hints(kind)
    return tuple(
        (field, hints[field.name])
        for field in dataclasses.fields(kind)
        if (kind.__name__, field.name) not in NOT_KEPT
    )
