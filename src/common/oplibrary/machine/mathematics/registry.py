"""The table of functions of mathematics that are written as vector code."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from oplibrary.machine.register import Register

Write = Callable[..., Register]


class Function(NamedTuple):
    """A function of mathematics.

    Attributes
    ----------
    write : callable
        ``write(code, *operands)`` writes its instructions for float or double operands of any
        number of lanes, and returns the result.
    arity : int
    """

    write: Write
    arity: int


FUNCTIONS: dict[str, Function] = {}
"""Every function by the name it has in scalar expressions."""


def function(name: str, arity: int = 1) -> Callable[[Write], Write]:
    """Enter a function under `name`."""

    def enter(write: Write) -> Write:
        FUNCTIONS[name] = Function(write, arity)
        return write

    return enter
