"""What a trace read from outside, as records."""

from __future__ import annotations

from collections.abc import Callable
from types import CellType, FunctionType
from typing import Any, NamedTuple

from oplibrary.messages.source import Source

MISSING = object()
"""Read in place of a name that has no value."""


class Read(NamedTuple):
    """One value that the traced code read from outside.

    Attributes
    ----------
    path : str
        As the program spells it, such as ``config.lr``.
    kind : str
        ``"global"``, ``"builtin"``, ``"closure"``, ``"default"``, ``"attribute"``, ``"method"``,
        ``"class"``, ``"module"``, ``"code"`` or ``"state"``.
    source : Source
        Where it was read.
    value : object
        `MISSING` where nothing was found, which the program may have caught.
    read : callable
        Returns the value that the program would read now; an error or `MISSING` means none.
    check : str
        The same as an expression of `owner`, for generated code; empty where there is none.
    owner : object
        What it was read from.
    """

    path: str
    kind: str
    source: Source
    value: Any
    read: Callable[[], Any]
    check: str = ""
    owner: Any = None


class Unwatched(NamedTuple):
    """Something that the trace fixed and that nothing can watch."""

    path: str
    source: Source
    why: str


def held_in(cell: CellType) -> Any:
    """Return what a variable of a function around holds, or `MISSING`."""
    try:
        return cell.cell_contents
    except ValueError:
        return MISSING


def default_of(function: FunctionType, position: int) -> Any:
    """Return the default of a parameter, counted from the first that has one, or `MISSING`."""
    values = function.__defaults__ or ()
    return values[position] if position < len(values) else MISSING


def keyword_default_of(function: FunctionType, name: str) -> Any:
    """Return the default of a parameter that is passed by name alone, or `MISSING`."""
    return (function.__kwdefaults__ or {}).get(name, MISSING)
