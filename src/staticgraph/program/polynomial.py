"""Lengths that are not known yet: polynomials in symbolic dimensions, each written as one number.

A symbolic dimension is given a *stand-in*, a prime so large and so odd that no length of a program
is like it. The library computes with stand-ins as with any length: what is equal for every length
is equal for the stand-in, and nothing else is. From the number that comes out the polynomial is
read back, as digits are read back from a number: ``3 * 41234587 + 1`` is ``3*batch + 1``. What the
user computes with lengths is known as it is, and is not read back.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from itertools import combinations_with_replacement
from typing import Any

from oplibrary.core.types import LENGTH_TEXTS
from oplibrary.messages.errors import ArgumentError

_FIRST = 41_234_567
_STEP = 3_234_571
_SMALLEST = 1 << 21
"""Numbers below it are what they are."""

_LARGEST_FACTOR = 1 << 22
_LARGEST_REST, _SMALL_REST = 1 << 10, 64
_MULTIPLES = 16


@dataclass(frozen=True, slots=True)
class Symbol:
    """One symbolic dimension.

    Attributes
    ----------
    name : str
    least : int
        No length is smaller.
    stand_in : int
    """

    name: str
    least: int
    stand_in: int


_symbols: dict[str, Symbol] = {}


def symbol(name: str, least: int) -> Symbol:
    """Return the symbol called `name`, one for each name.

    Raises
    ------
    ArgumentError
        If it exists with another least length.
    """
    known = _symbols.get(name)
    if known is None:
        known = _symbols[name] = Symbol(name, least, _prime(_FIRST + _STEP * len(_symbols)))
        _read_back.cache_clear()
    elif known.least != least:
        raise ArgumentError(
            f"dim({name!r}) has min={known.least} already, and min={least} was asked for",
            cause="one name is one length, with one bound",
            fix="use the same bound, the dim that exists, or another name",
        )
    return known


def symbols_exist() -> bool:
    """Tell whether any symbolic dimension was ever made."""
    return bool(_symbols)


def _prime(start: int) -> int:
    number = start | 1
    while any(number % k == 0 for k in range(3, int(number**0.5) + 1, 2)):
        number += 2
    return number


Monomial = tuple[Symbol, ...]


class Polynomial:
    """A length: a sum of products of symbols with whole factors.

    Attributes
    ----------
    terms : mapping of Monomial to int
        The constant stands under the empty monomial.
    """

    __slots__ = ("terms",)

    def __init__(self, terms: Mapping[Monomial, int]) -> None:
        self.terms = {monomial: factor for monomial, factor in terms.items() if factor}

    @property
    def symbols(self) -> set[Symbol]:
        """What it is made of."""
        return {each for monomial in self.terms for each in monomial}

    def at(self, lengths: Mapping[str, int]) -> int:
        """Return its value."""
        total = 0
        for monomial, factor in self.terms.items():
            for each in monomial:
                factor *= lengths[each.name]
            total += factor
        return total

    def __add__(self, other: Polynomial) -> Polynomial:
        terms = dict(self.terms)
        for monomial, factor in other.terms.items():
            terms[monomial] = terms.get(monomial, 0) + factor
        return Polynomial(terms)

    def __neg__(self) -> Polynomial:
        return Polynomial({monomial: -factor for monomial, factor in self.terms.items()})

    def __sub__(self, other: Polynomial) -> Polynomial:
        return self + -other

    def __mul__(self, other: Polynomial) -> Polynomial:
        total = Polynomial({})
        for monomial, factor in self.terms.items():
            for symbols, times in other.terms.items():
                product = tuple(sorted((*monomial, *symbols), key=lambda each: each.stand_in))
                total += Polynomial({product: factor * times})
        return total

    def over(self, divisor: Polynomial) -> Polynomial | None:
        """Return the quotient, or None where a product or number `divisor` does not divide it."""
        if len(divisor.terms) != 1:
            return None
        ((symbols, number),) = divisor.terms.items()
        terms: dict[Monomial, int] = {}
        for monomial, factor in self.terms.items():
            rest = list(monomial)
            for each in symbols:
                if each not in rest:
                    return None
                rest.remove(each)
            if factor % number:
                return None
            terms[tuple(rest)] = factor // number
        return Polynomial(terms)

    def __str__(self) -> str:
        parts = []
        for monomial, factor in sorted(self.terms.items(), key=lambda term: -len(term[0])):
            names = "*".join(each.name for each in monomial)
            size = abs(factor)
            text = names if size == 1 and names else "*".join(filter(None, (str(size), names)))
            parts.append(("-" if factor < 0 else "+") + text)
        return "".join(parts).removeprefix("+") or "0"


_known: dict[int, Polynomial] = {}


def number_of(polynomial: Polynomial) -> int:
    """Return what stands for `polynomial`, which is known from then on.

    Raises
    ------
    ArgumentError
        If another polynomial is written as the same number.
    """
    number = polynomial.at({each.name: each.stand_in for each in polynomial.symbols})
    if polynomial.symbols and _known.setdefault(number, polynomial).terms != polynomial.terms:
        raise ArgumentError(
            f"the length {polynomial} cannot be told from {_known[number]}",
            cause="both are written as the same number",
            fix="compute with smaller factors",
        )
    return number


def polynomial_of(number: int) -> Polynomial | None:
    """Return the polynomial that `number` stands for, or None where it is what it is.

    What nobody has named by `number_of` is read back: products, and sums of a few terms with a
    small constant, which is what shapes are made of.
    """
    if -_SMALLEST < number < _SMALLEST or not _symbols:
        return None
    return _known.get(number) or _read_back(number)


@lru_cache(1 << 14)
def _read_back(number: int) -> Polynomial | None:
    found = _product(number)
    if found is not None:
        return found
    candidates = [*_linear(number, _LARGEST_REST), *_two_terms(number), *_quadratic(number)]
    return min(candidates, key=_cost, default=None)


def _product(number: int) -> Polynomial | None:
    """Return a factor times symbols that is exactly `number`."""
    monomial: list[Symbol] = []
    for each in _symbols.values():
        while number % each.stand_in == 0:
            number //= each.stand_in
            monomial.append(each)
    if not monomial or abs(number) >= _LARGEST_FACTOR:
        return None
    return Polynomial({tuple(monomial): number})


def _linear(number: int, largest_rest: int) -> Iterator[Polynomial]:
    """Yield a factor times one symbol, and a constant."""
    for each in _symbols.values():
        factor = _nearest(number, each.stand_in)
        rest = number - factor * each.stand_in
        if factor and abs(factor) < _LARGEST_FACTOR and abs(rest) <= largest_rest:
            yield Polynomial({(each,): factor, (): rest})


def _two_terms(number: int) -> Iterator[Polynomial]:
    """Yield sums of multiples of two symbols."""
    if abs(number) > _LARGEST_FACTOR * _FIRST:
        return
    for each in _symbols.values():
        for factor in (*range(-_MULTIPLES, 0), *range(1, _MULTIPLES + 1)):
            for other in _linear(number - factor * each.stand_in, _SMALL_REST):
                if (each,) not in other.terms:
                    yield Polynomial({**other.terms, (each,): factor})


def _quadratic(number: int) -> Iterator[Polynomial]:
    """Yield a factor times two symbols, a multiple of one, and a constant."""
    for pair in combinations_with_replacement(_symbols.values(), 2):
        product = pair[0].stand_in * pair[1].stand_in
        factor = _nearest(number, product)
        rest = number - factor * product
        if not factor or abs(factor) >= _LARGEST_FACTOR:
            continue
        if abs(rest) <= _SMALL_REST:
            yield Polynomial({pair: factor, (): rest})
        for other in _linear(rest, _SMALL_REST):
            yield Polynomial({**other.terms, pair: factor})


def _nearest(number: int, unit: int) -> int:
    return (2 * number + unit) // (2 * unit)


def _cost(found: Polynomial) -> int:
    """Return how unlikely a length is: of few terms and small numbers is the likely one."""
    return sum(16 + abs(factor).bit_length() for factor in found.terms.values())


def is_symbolic(value: Any) -> bool:
    """Tell whether `value`, an attribute or a shape, has a length in it that is not known."""
    if not _symbols:
        return False
    if isinstance(value, int):
        return not -_SMALLEST < value < _SMALLEST and polynomial_of(int(value)) is not None
    if isinstance(value, (tuple, list)):
        return any(map(is_symbolic, value))
    return isinstance(value, slice) and is_symbolic((value.start, value.stop, value.step))


_LARGEST_DIVISOR = 16


def is_quotient(number: int) -> bool:
    """Tell whether `number` is what a division by a small number left of an unknown length.

    It is then no length: half a stand-in is not the stand-in of half a length.
    """
    if not _symbols or -_SMALLEST < number < _SMALLEST or polynomial_of(number) is not None:
        return False
    return any(
        next(_linear(number * divisor, divisor), None) is not None
        for divisor in range(2, _LARGEST_DIVISOR + 1)
    )


def symbols_in(value: Any) -> Iterator[Symbol]:
    """Yield the symbols that occur in `value`."""
    if isinstance(value, int):
        found = polynomial_of(int(value))
        if found is not None:
            yield from found.symbols
    elif isinstance(value, (tuple, list)):
        for each in value:
            yield from symbols_in(each)
    elif isinstance(value, slice):
        yield from symbols_in((value.start, value.stop, value.step))


def evaluated(value: Any, lengths: Mapping[str, int]) -> Any:
    """Return `value` with the numbers that its lengths have."""
    if isinstance(value, bool):
        return value
    if isinstance(value, int):
        found = polynomial_of(int(value))
        return value if found is None else found.at(lengths)
    if isinstance(value, (tuple, list)):
        parts = [evaluated(each, lengths) for each in value]
        return type(value)(*parts) if hasattr(value, "_fields") else type(value)(parts)
    if isinstance(value, slice):
        return slice(*evaluated((value.start, value.stop, value.step), lengths))
    return value


class Length(int):
    """A stand-in that is shown as the polynomial that it stands for."""

    __slots__ = ()

    def __repr__(self) -> str:
        return str(polynomial_of(int(self)) or int(self))

    __str__ = __repr__


def named(value: Any) -> Any:
    """Return `value` with stand-ins that show what they stand for."""
    if not _symbols or isinstance(value, bool):
        return value
    if isinstance(value, int):
        return Length(value) if is_symbolic(value) else value
    if type(value) is tuple:
        return tuple(map(named, value))
    return value


LENGTH_TEXTS.insert(0, lambda n: str(named(n)))


def named_text(text: str) -> str:
    """Return `text`, of an error, with the names of lengths in place of their stand-ins."""
    if not _symbols:
        return text
    return re.sub(r"\d{7,}", lambda found: str(named(int(found[0]))), text)


def samples(found: set[Symbol]) -> list[dict[str, int]]:
    """Return some small lengths, on which a rule for all lengths can be tried."""
    ordered = sorted(found, key=lambda each: each.name)
    steps = (0, 1, 2, 5, 10)
    return [
        {each.name: each.least + steps[(k + i) % len(steps)] for i, each in enumerate(ordered)}
        for k in range(len(steps))
    ]
