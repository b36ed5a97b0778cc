"""Module: the functions that are compiled together, with what they call."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from oplibrary.machine.target import Target


class Body(Protocol):
    """What a module reads of a function that has been written."""

    lines: list[str]
    allocations: list[str]


class Module:
    """Collect functions of LLVM IR.

    Parameters
    ----------
    target : Target

    Attributes
    ----------
    mathematics : dict
        The symbols of the functions of mathematics written so far, by name, element and lanes.
    foreign : set of str
        What is called of `oplibrary.machine.foreign.functions`.
    numbers : callable
        ``numbers(code)`` returns what finds the register of a whole number that only a run knows in
        a function that is being written; None for what is a number.
    """

    def __init__(self, target: Target) -> None:
        self.target = target
        self._declared: dict[str, str] = {}
        self._globals: dict[str, str] = {}
        self._functions: list[str] = []
        self.mathematics: dict[tuple[str, str, int], str] = {}
        self.foreign: set[str] = set()
        self._names: Counter[str] = Counter()
        self.numbers: Callable[[Any], Callable[[Any], Any]] = lambda code: lambda n: None

    def new_name(self, kind: str) -> str:
        """Return a name for a function that is not in use."""
        self._names[kind] += 1
        return f"{kind}_{self._names[kind] - 1}"

    def declare(self, symbol: str, result: str, parameters: Sequence[str]) -> None:
        """Declare a function that is defined elsewhere, such as an intrinsic."""
        if symbol not in self._declared:
            self._declared[symbol] = f"declare {result} @{symbol}({', '.join(parameters)})"

    def add_global(self, symbol: str, definition: str) -> bool:
        """Add a constant table; tell whether it is new."""
        new = symbol not in self._globals
        self._globals[symbol] = f"@{symbol} = {definition}"
        return new

    def add_function(
        self,
        symbol: str,
        code: Body,
        result: str,
        parameters: Sequence[str],
        linkage: str = "",
        convention: str = "",
        attributes: str = "",
    ) -> None:
        """Add a function whose body has been written."""
        head = " ".join(filter(None, ("define", linkage, convention, result)))
        body = "\n".join((*code.allocations, *code.lines))
        self._functions.append(
            f"{head} @{symbol}({', '.join(parameters)}) {attributes} #0 {{\nentry:\n{body}\n}}"
        )

    def __str__(self) -> str:
        parts = [
            f'target triple = "{self.target.triple}"',
            *self._globals.values(),
            *self._declared.values(),
            *self._functions,
            f"attributes #0 = {{ {self.target.attributes} }}",
        ]
        return "\n".join(parts) + "\n"
