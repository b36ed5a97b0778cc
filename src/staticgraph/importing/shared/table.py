"""Tables: what each operation of a source is, written over a namespace of the library."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from keyword import iskeyword
from typing import Any

from oplibrary.messages.errors import UnsupportedOpError
from oplibrary.messages.source import Source

Function = Callable[..., Any]


@dataclass(frozen=True)
class Entry:
    """What runs one operation of a source.

    Attributes
    ----------
    function : callable
        ``function(xp, **arguments)``, its parameters called as in the source's schema, or with
        ``_`` behind what is a word of Python. One called ``draw`` is no argument: it gives the
        random numbers that are made of a key.
    ignored : frozenset of str
        Arguments that do not change the values, such as where they lie.
    fixed : mapping
        Arguments that are refused unless they have this value.
    """

    function: Function
    ignored: frozenset[str]
    fixed: Mapping[str, Any]
    parameters: frozenset[str]
    takes_any: bool

    def names(self) -> frozenset[str]:
        """Return every argument that the entry says something about."""
        return self.parameters | self.ignored | self.fixed.keys()

    @property
    def random(self) -> bool:
        """Whether it draws random numbers."""
        return "draw" in inspect.signature(self.function).parameters

    def accepted(
        self, label: str, arguments: Mapping[str, Any], line: Source | None
    ) -> dict[str, Any]:
        """Return the arguments that `function` takes, and refuse those that nothing handles.

        Raises
        ------
        UnsupportedOpError
            If an argument is unknown here, or has a value that is not handled.
        """
        accepted = {}
        for name, value in arguments.items():
            if name in self.ignored:
                continue
            if name in self.fixed:
                if value != self.fixed[name]:
                    raise UnsupportedOpError(
                        f"{label}: {name}={value!r} is not supported",
                        cause=f"the table has the operation with {name}={self.fixed[name]!r} only",
                        fix=f"write it with {name}={self.fixed[name]!r}",
                        source=line,
                    )
                continue
            if name not in self.parameters and not self.takes_any:
                raise UnsupportedOpError(
                    f"{label}: the argument {name} is not known here",
                    cause="another version of the source has an argument that the table lacks",
                    source=line,
                )
            accepted[f"{name}_" if iskeyword(name) else name] = value
        return accepted


def _in_schema(name: str) -> str:
    return name[:-1] if name.endswith("_") and iskeyword(name[:-1]) else name


class Table(dict[str, Entry]):
    """The entries of one source by the names that it has for its operations."""

    def entry(
        self, *names: str, ignored: Iterable[str] = (), **fixed: Any
    ) -> Callable[[Function], Function]:
        """Return a decorator that enters a function under `names`."""

        def enter(function: Function) -> Function:
            parameters = list(inspect.signature(function).parameters.values())[1:]
            for name in names:
                assert name not in self, f"two entries for {name}"
                self[name] = Entry(
                    function,
                    frozenset(ignored),
                    fixed,
                    frozenset(_in_schema(p.name) for p in parameters) - {"draw"},
                    any(p.kind is p.VAR_KEYWORD for p in parameters),
                )
            return function

        return enter
