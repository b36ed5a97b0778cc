"""The lengths of a run: what waits for symbolic dimensions reads them off what it is passed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from oplibrary.messages.errors import FeedError, GraphError
from oplibrary.values.types import Array
from staticgraph.backends.backend import Runner
from staticgraph.compiler.feeds import Feed
from staticgraph.program.lengths import program_is_symbolic, program_symbols, running_with
from staticgraph.program.polynomial import (
    Symbol,
    bounded,
    evaluated,
    is_symbolic,
    polynomial_of,
    symbols_in,
)
from staticgraph.program.program import Program


def measure_lengths(runner: Runner, program: Program, feeds: Sequence[Feed]) -> Runner:
    """Return `runner`, of a whole program, as one that finds the lengths in what it is passed.

    Raises
    ------
    GraphError
        If a length cannot be read off any input.
    """
    if not program_is_symbolic(program):
        return runner
    read = _remembered(lengths_reader(program, feeds))

    def call(*arrays: Array) -> list[Array]:
        with running_with(read(arrays)):
            return runner.call(*arrays)

    def bind(
        inputs: Sequence[Array], outputs: Sequence[Array], result: Any
    ) -> Callable[[], Any] | None:
        if runner.bind is None:
            return None
        with running_with(read(inputs)):
            return runner.bind(inputs, outputs, result)

    return replace(runner, call=call, bind=bind)


_MOST_REMEMBERED = 256
"""The lengths of that many combinations of shapes are found without looking at them again."""


def _remembered(
    read: Callable[[Sequence[Array]], dict[str, int]],
) -> Callable[[Sequence[Array]], dict[str, int]]:
    known: dict[tuple[Any, ...], dict[str, int]] = {}

    def remembered(arrays: Sequence[Array]) -> dict[str, int]:
        shapes = tuple([array.shape for array in arrays])
        lengths = known.get(shapes)
        if lengths is None:
            lengths = read(arrays)
            if len(known) >= _MOST_REMEMBERED:
                known.clear()
            known[shapes] = lengths
        return lengths

    return remembered


def lengths_reader(
    program: Program, feeds: Sequence[Feed]
) -> Callable[[Sequence[Array]], dict[str, int]]:
    """Return what reads the length of each symbolic dimension off the inputs of a run.

    It raises a FeedError where they are not lengths of one run.

    Raises
    ------
    GraphError
        If a length cannot be read off any input.
    """
    checks = [
        (position, axis, int(n))
        for position, feed in enumerate(feeds)
        for axis, n in enumerate(feed.type.shape)
        if is_symbolic(n)
    ]
    found: dict[Symbol, _Place] = {}
    for position, axis, n in checks:
        place = _place(position, axis, n)
        if place is not None:
            known = found.get(place.symbol)
            if known is None or (place.factor, place.rest) == (1, 0):
                found[place.symbol] = place if known is None or known.factor != 1 else known
    missing = sorted(
        each.name
        for each in (program_symbols(program) | {s for _, _, n in checks for s in symbols_in(n)})
        if each not in found
    )
    if missing:
        raise GraphError(
            f"the length of dim({missing[0]!r}) is not that of an axis of any input",
            cause="a run reads each length off the arrays that it is passed",
            fix=f"declare an input with an axis that is dim({missing[0]!r}), or a multiple of it",
        )
    places = list(found.values())

    def read(arrays: Sequence[Array]) -> dict[str, int]:
        lengths = {}
        for symbol, i, axis, factor, rest in places:
            n = lengths[symbol.name] = (arrays[i].shape[axis] - rest) // factor
            if n < symbol.least:
                raise _too_short(symbol, feeds[i], axis, arrays[i].shape[axis], n)
        for i, axis, n in checks:
            if arrays[i].shape[axis] != evaluated(n, lengths):
                raise _unequal(feeds, arrays, i, axis, n, lengths)
        return lengths

    return read


class _Place(NamedTuple):
    """An axis of an input from which a length follows: it has ``factor * length + rest``."""

    symbol: Symbol
    position: int
    axis: int
    factor: int
    rest: int


def _place(position: int, axis: int, number: int) -> _Place | None:
    polynomial = polynomial_of(number)
    assert polynomial is not None
    monomials = [monomial for monomial in polynomial.terms if monomial]
    if len(monomials) != 1 or len(monomials[0]) != 1:
        return None
    factor, rest = polynomial.terms[monomials[0]], polynomial.terms.get((), 0)
    return _Place(monomials[0][0], position, axis, factor, rest)


def _too_short(symbol: Symbol, feed: Feed, axis: int, length: int, least: int) -> FeedError:
    other = f", or declare {bounded(symbol.name, least)}" if least >= 0 else ""
    return FeedError(
        f"input {feed.name!r} is {feed.type}, and axis {axis} of what was fed has length {length}",
        cause=f"the graph was declared for {symbol.name} of at least {symbol.least}",
        fix=f"feed longer arrays{other}",
        related=((f"{feed.name} declared", feed.source),),
    )


def _unequal(
    feeds: Sequence[Feed],
    arrays: Sequence[Array],
    position: int,
    axis: int,
    number: int,
    lengths: Mapping[str, int],
) -> FeedError:
    feed = feeds[position]
    known = ", ".join(f"{name} is {n}" for name, n in lengths.items())
    return FeedError(
        f"input {feed.name!r} is {feed.type}, and an array of shape {arrays[position].shape} was "
        f"fed: axis {axis} would have length {evaluated(number, lengths)}",
        cause=f"one name is one length in a run, and {known} by the inputs before",
        fix="feed arrays of equal lengths, or declare the axes with names of their own",
        related=((f"{feed.name} declared", feed.source),),
    )
