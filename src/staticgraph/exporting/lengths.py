"""Lengths that each run chooses, in ONNX: read off the shapes of inputs, and computed of these."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from onnx import NodeProto, helper

from oplibrary.messages.errors import BackendError
from staticgraph.program.lengths import program_symbols
from staticgraph.program.polynomial import (
    Polynomial,
    Symbol,
    is_symbolic,
    named,
    polynomial_of,
)
from staticgraph.program.program import Program, Value


class OpenLength(Exception):
    """A length that each run chooses stands where ONNX, or what writes it, has numbers only."""


class Place(NamedTuple):
    """Where a length is read: an axis of an input is `factor` times it and `rest`."""

    name: str
    axis: int
    factor: int
    rest: int


def places_of(program: Program, names: Mapping[Value, str]) -> dict[Symbol, Place]:
    """Return where each length of a program is read.

    Raises
    ------
    BackendError
        If no input has it.
    """
    found: dict[Symbol, Place] = {}
    for value in program.inputs:
        for axis, n in enumerate(value.type.shape):
            place = _place(names[value], axis, polynomial_of(int(n)))
            if place is not None:
                symbol, read = place
                plain = (read.factor, read.rest) == (1, 0)
                if symbol not in found or (plain and (found[symbol][2:] != (1, 0))):
                    found[symbol] = read
    for symbol in sorted(program_symbols(program), key=lambda each: each.name):
        if symbol not in found:
            raise BackendError(
                f"the length of dim({symbol.name!r}) is not that of an axis of any input",
                cause="an ONNX model reads each length off what it is passed",
                fix="declare an input with such an axis",
            )
    return found


def _place(name: str, axis: int, found: Polynomial | None) -> tuple[Symbol, Place] | None:
    if found is None or any(len(monomial) > 1 for monomial in found.terms):
        return None
    if len(found.symbols) != 1:
        return None
    (symbol,) = found.symbols
    return symbol, Place(name, axis, found.terms[(symbol,)], found.terms.get((), 0))


class Lengths:
    """Writes the arithmetic of lengths, once for each, before all that uses it.

    Attributes
    ----------
    nodes : list of NodeProto
    """

    def __init__(self, writer: Any) -> None:
        self.nodes: list[NodeProto] = []
        self.places: Mapping[Symbol, Place] = {}
        self._writer = writer
        self._known: dict[Any, str] = {}

    def vector(self, numbers: Sequence[int]) -> str:
        """Return a vector of int64 with those numbers, some of which are lengths."""
        key = tuple(map(int, numbers))
        if key not in self._known:
            parts = [self._number(n) for n in key]
            self._known[key] = parts[0] if len(parts) == 1 else self._node("Concat", parts, axis=0)
        return self._known[key]

    def _number(self, number: int) -> str:
        found = polynomial_of(number)
        if found is None:
            return self._constant(number)
        if number not in self._known:
            terms = [self._term(monomial, factor) for monomial, factor in found.terms.items()]
            total = terms[0]
            for each in terms[1:]:
                total = self._node("Add", [total, each])
            self._known[number] = total
        return self._known[number]

    def _term(self, monomial: Sequence[Symbol], factor: int) -> str:
        if not monomial:
            return self._constant(factor)
        name = self._symbol(monomial[0])
        for each in monomial[1:]:
            name = self._node("Mul", [name, self._symbol(each)])
        return name if factor == 1 else self._node("Mul", [name, self._constant(factor)])

    def _symbol(self, symbol: Symbol) -> str:
        if symbol not in self._known:
            name, axis, factor, rest = self.places[symbol]
            length = self._node("Shape", [name], start=axis, end=axis + 1)
            if rest:
                length = self._node("Sub", [length, self._constant(rest)])
            if factor != 1:
                length = self._node("Div", [length, self._constant(factor)])
            self._known[symbol] = length
        return self._known[symbol]

    def _constant(self, number: int) -> str:
        return str(self._writer.array(np.array([number], np.int64)))

    def _node(self, kind: str, operands: Sequence[str], **attributes: Any) -> str:
        name = str(self._writer.fresh())
        self.nodes.append(helper.make_node(kind, list(operands), [name], **attributes))
        return name


def shown(length: int) -> int | str:
    """Return a length as a model declares it: a number, or the text of what it is made of."""
    return str(named(length)) if is_symbolic(length) else int(length)


def require_numbers(value: Any) -> None:
    """Refuse an attribute or a small array that holds a length.

    Raises
    ------
    OpenLength
    """
    if isinstance(value, np.ndarray):
        value = tuple(value.reshape(-1).tolist()) if value.size <= 64 else ()
    if is_symbolic(tuple(value) if isinstance(value, (tuple, list)) else value):
        raise OpenLength
