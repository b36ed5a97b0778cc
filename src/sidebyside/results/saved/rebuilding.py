"""Values from JSON, by the types that the fields of dataclasses are annotated with."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from functools import cache
from types import NoneType, UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

import numpy as np

from sidebyside.results.plain import NOT_FINITE

NOT_KEPT = frozenset({("TrainingRecord", "parameters")})
"""Fields, by the class and the name, that no file holds: they are much, and of no use there."""


class UnfitError(Exception):
    """Data that are not of the type that is wanted; the text says which."""


def rebuild(kind: Any, data: Any, where: str = "") -> Any:
    """Return the value of a type that `data` stand for, as `plain` makes them.

    What the type does not know is left out; a field that is missing has its default.

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
    if origin is float:
        if isinstance(data, str) and data in NOT_FINITE:
            return NOT_FINITE[data]
        return float(_of(data, (int, float), "a number", where))
    if origin is np.ndarray:
        return np.array(rebuild(tuple[float, ...], data, where), np.float64)
    if origin in (tuple, list, Sequence):
        return _sequence(origin, arguments, _of(data, list, "a list", where), where)
    if origin in (dict, Mapping):
        whole = _of(data, Mapping, "an object", where)
        return {key: rebuild(arguments[1], each, f"{where}.{key}") for key, each in whole.items()}
    words = {bool: "true or false", int: "a whole number", str: "text"}
    return _of(data, origin, words[origin], where)


def _of(data: Any, kinds: Any, words: str, where: str) -> Any:
    if not isinstance(data, kinds) or (isinstance(data, bool) and kinds is not bool):
        found = "nothing" if data is None else repr(data)
        raise UnfitError(f"{where or 'it'} is {found[:60]}, where {words} belongs")
    return data


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
            found[field.name] = rebuild(hint, data[field.name], f"{where}.{field.name}".strip("."))
        elif field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING:
            raise UnfitError(f"{where or 'it'} has no {field.name}")
    return kind(**found)


@cache
def kept_fields(kind: Any) -> tuple[tuple[dataclasses.Field[Any], Any], ...]:
    """Return the fields of a dataclass that files hold, each with its type."""
    hints = get_type_hints(kind)
    return tuple(
        (field, hints[field.name])
        for field in dataclasses.fields(kind)
        if (kind.__name__, field.name) not in NOT_KEPT
    )
