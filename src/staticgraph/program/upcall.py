"""Calls upward: what a lower room calls, and a higher one enters when it is imported."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")


class Upcall(Generic[P, R]):
    """A function whose name a lower room knows, and whose body a higher room has.

    A program prints itself, say, but the room that prints stands above that of programs. Importing
    ``staticgraph`` imports every room, so each function is there before anything calls it.

    Parameters
    ----------
    home : str
        The module that enters the function.

    Examples
    --------
    >>> shout: Upcall[[str], str] = Upcall("the.room.above")
    >>> shout.enter(str.upper)
    >>> shout("below")
    'BELOW'
    """

    def __init__(self, home: str) -> None:
        self.home = home
        self._function: Callable[P, R] | None = None

    def enter(self, function: Callable[P, R]) -> None:
        """Let `function` be what is called."""
        self._function = function

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Call what was entered."""
        assert self._function is not None, f"{self.home} was not imported"
        return self._function(*args, **kwargs)
