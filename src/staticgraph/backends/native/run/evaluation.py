"""Evaluation: all that a run needs to know of its lengths, by one generated Python function."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from staticgraph.backends.native.definitions.open_lengths import (
    Assumptions,
    Computed,
    OpenLength,
)

Evaluate = Callable[..., tuple[Any, ...] | None]


def evaluation(assumptions: Assumptions, numbers: Sequence[Any]) -> Evaluate:
    """Return a function of the lengths that gives some numbers as they are in a run.

    It gives None for lengths at which the assumptions do not hold, and takes the lengths in the
    order of `Assumptions.lengths`. Objects that are asked for their values take ten times as long.

    Parameters
    ----------
    assumptions : Assumptions
    numbers : sequence of int, float, OpenLength or Computed
    """
    writer = _Writer([*assumptions.lengths])
    for difference, positive in assumptions.noted:
        text = writer.text(difference)  # which may need what is not there if one before fails
        writer.lines.append(f"if {text} {'<=' if positive else '>'} 0: return None")
    texts = "".join([f"{writer.text(number)}, " for number in numbers])
    lines = [f"def evaluate({', '.join(writer.parameters)}):", *writer.lines, f"return ({texts})"]
    scope = dict(writer.scope)
    exec("\n    ".join(lines), scope)
    evaluate: Evaluate = scope["evaluate"]
    return evaluate


class _Writer:
    def __init__(self, names: Sequence[str]) -> None:
        self.parameters = [f"n{i}" for i in range(len(names))]
        self.lines: list[str] = []
        self.scope: dict[str, Any] = {}
        self._atoms: dict[Any, str] = {}
        self._lengths = dict(zip(names, self.parameters, strict=True))
        self._known: dict[int, str] = {}

    def text(self, number: Any) -> str:
        """Return an expression of a number, or of what a function makes of numbers."""
        if isinstance(number, OpenLength):
            products = [
                "*".join(
                    [*map(self._atom, atoms), *([str(factor)] if factor != 1 or not atoms else [])]
                )
                for atoms, factor in number.terms.items()
            ]
            return f"({' + '.join(products)})"
        if isinstance(number, Computed):
            return self._atom(number)
        if type(number) in (int, float):
            return repr(number)
        return self._kept(number)

    def _atom(self, atom: Any) -> str:
        known = self._atoms.get(atom)
        if known is None:
            if isinstance(atom, Computed):
                called = ", ".join(map(self.text, atom.arguments))
                known = f"c{len(self._atoms)}"
                self.lines.append(f"{known} = {self._kept(atom.function)}({called})")
            else:
                known = self._lengths[atom.name]
            self._atoms[atom] = known
        return known

    def _kept(self, value: Any) -> str:
        """Return the name of an object."""
        known = self._known.get(id(value))
        if known is None:
            known = self._known[id(value)] = f"k{len(self._known)}"
            self.scope[known] = value
        return known
