"""Methods that are made, or loaded, when they are first asked for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


class LateMethod:
    """Stands in a class for a function until it is asked for, then gives its place to it.

    So a method costs what others cost from its first use on, and nothing before. Operators are
    found in the same way.

    Parameters
    ----------
    kind : type
        The class that it stands in.
    name : str
    make : callable
        Returns the function.
    """

    def __init__(self, kind: type, name: str, make: Callable[[], Any]) -> None:
        self._kind, self._name, self._make = kind, name, make

    def __get__(self, instance: Any, owner: type | None = None) -> Any:
        function = self._make()
        setattr(self._kind, self._name, function)
        return function.__get__(instance, owner)


def install(kind: type, name: str, make: Callable[[], Any]) -> None:
    """Give the class `kind` a method called `name`, which `make` returns once it is asked for."""
    setattr(kind, name, LateMethod(kind, name, make))
