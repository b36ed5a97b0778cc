"""Lengths that are not known yet: polynomials in symbolic dimensions, each written as one number.

A symbolic dimension is given a *stand-in*, a number so large that no program holds one like it: it
fits no integer and no float of a machine, so that what would take it for one fails in place of
computing with it, and what a user writes is never taken for a length. The library computes with
stand-ins as with any length: what is equal for every length is equal for the stand-in, and nothing
else is. From the number that comes out the polynomial is read back, as digits are read back from a
number. What the user computes with lengths is known as it is, and is not read back.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from math import gcd, prod
from random import Random
from typing import Any

from oplibrary.messages.errors import ArgumentError
from oplibrary.values.types import LENGTH_TEXTS

_SMALLEST = 1 << 1024
"""Numbers below it are what they are: all that integers and floats of a machine can be."""

_BITS, _CHANCE = 2112, 1100
"""A stand-in is a power of two, of that many bits and its digit, and that many bits by chance."""

_DIGIT, _DIGITS = 32, 16
"""Stand-ins one after another differ by so many bits, so that sums are read digit by digit."""

_LARGEST_REST = 1 << 64
_LARGEST_DEGREE = 3
_TRIES = 4000
"""How many products are tried before a number is said to be no polynomial."""

_SMALL_PRIMES = prod(n for n in range(2, 1000) if all(n % k for k in range(2, int(n**0.5) + 1)))


@dataclass(frozen=True, slots=True)
class Symbol:
    """One symbolic dimension.

    Attributes
    ----------
    name : str
    least : int
        No length is smaller.
    order : int
        How many were made before it.
    stand_in : int
    """

    name: str
    least: int
    order: int
    stand_in: int

    @property
    def digit(self) -> int:
        """Where its stand-in stands among the others."""
        return self.order % _DIGITS


_symbols: dict[str, Symbol] = {}
_by_digit: list[list[Symbol]] = [[] for _ in range(_DIGITS)]


def bounded(name: str, least: int) -> str:
    """Return what declares a length like that called `name` with another bound, under another name.

    Examples
    --------
    >>> bounded("batch", 5)
    "dim('batch_from_5', min=5)"
    """
    return f"dim({f'{name}_from_{least}'!r}, min={least})"


def symbol(name: str, least: int) -> Symbol:
    """Return the symbol called `name`, one for each name.

    Raises
    ------
    ArgumentError
        If it exists with another least length.
    """
    known = _symbols.get(name)
    if known is None:
        known = _symbols[name] = Symbol(name, least, len(_symbols), _stand_in(len(_symbols)))
        _by_digit[known.digit].append(known)
        _read_back.cache_clear()
    elif known.least != least:
        raise ArgumentError(
            f"dim({name!r}) has min={known.least} already, and min={least} was asked for",
            cause="one name is one length, with one bound",
            fix="use the same bound, the dim that exists, or another name, as in "
            f"{bounded(name, least)}",
        )
    return known


def symbols_exist() -> bool:
    """Tell whether any symbolic dimension was ever made."""
    return bool(_symbols)


def _stand_in(order: int) -> int:
    power = 1 << (_BITS + _DIGIT * (order % _DIGITS))
    draw, number = Random(order), 0
    while gcd(number, _SMALL_PRIMES) != 1:  # so that only what is a multiple seems to be one
        number = power + draw.getrandbits(_CHANCE)
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
                product = tuple(sorted((*monomial, *symbols), key=lambda each: each.order))
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
        for monomial in sorted(self.terms, key=lambda each: (-len(each), [x.order for x in each])):
            factor = self.terms[monomial]
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

    What nobody has named by `number_of` is read back: sums and products of lengths and numbers,
    up to cubes, and products of these with any lengths.
    """
    if -_SMALLEST < number < _SMALLEST or not _symbols:
        return None
    return _known.get(number) or _read_back(number)


@lru_cache(1 << 14)
def _read_back(number: int) -> Polynomial | None:
    factors: list[Symbol] = []
    for each in _symbols.values():
        while number % each.stand_in == 0:
            number //= each.stand_in
            factors.append(each)
    terms = _sum(number, iter(range(_TRIES)))
    if terms is None and abs(number) < 1 << _BITS:
        # a difference of two lengths that have the same digit
        for each in _symbols.values():
            for sign in (1, -1):
                rest = _sum(number - sign * each.stand_in, iter(range(_TRIES)))
                if rest is not None:
                    terms = {**rest, (each,): sign}
    return None if terms is None else Polynomial(terms) * Polynomial({tuple(factors): 1})


def _sum(number: int, tries: Iterator[int]) -> dict[Monomial, int] | None:
    """Return the terms of a sum, the largest one first, or None where `number` is no sum."""
    if -_LARGEST_REST < number < _LARGEST_REST:
        return {(): number}
    degree, bits = divmod(abs(number).bit_length() - 1, _BITS)
    if not 0 < degree <= _LARGEST_DEGREE:
        return None
    digit = (bits + 1) // _DIGIT  # what is subtracted may take one bit
    for monomial, _ in zip(_monomials(degree, digit), tries, strict=False):
        product = prod(each.stand_in for each in monomial)
        factor = (2 * number + product) // (2 * product)
        rest = _sum(number - factor * product, tries) if factor else None
        if rest is not None:
            return {monomial: factor, **rest}
    return None


def _monomials(degree: int, digit: int, first: int = 0) -> Iterator[Monomial]:
    """Yield the products of `degree` symbols, from `first` on, whose digits add up to `digit`."""
    if degree == 1:
        for each in _by_digit[digit] if digit < _DIGITS else ():
            if each.order >= first:
                yield (each,)
    elif digit < degree * _DIGITS:
        for each in islice(_symbols.values(), first, None):
            if each.digit <= digit:
                for others in _monomials(degree - 1, digit - each.digit, each.order):
                    yield (each, *others)


def is_symbolic(value: Any) -> bool:
    """Tell whether `value`, an attribute or a shape, has a length in it that is not known."""
    if not _symbols:
        return False
    if isinstance(value, int):
        return not -_SMALLEST < value < _SMALLEST and polynomial_of(int(value)) is not None
    if isinstance(value, (tuple, list)):
        return any(map(is_symbolic, value))
    return isinstance(value, slice) and is_symbolic((value.start, value.stop, value.step))


def is_lost(number: int) -> bool:
    """Tell whether `number` was computed from lengths that are not known, and is no length.

    Half a stand-in, say, is not the stand-in of half a length.
    """
    large = not -_SMALLEST < number < _SMALLEST
    return large and bool(_symbols) and polynomial_of(number) is None


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
