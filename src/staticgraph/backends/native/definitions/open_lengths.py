"""Open lengths: whole numbers of a plan that are others in each run.

A plan for all lengths is made by the code that makes one for given lengths: it computes with whole
numbers, and with an `OpenLength` in the place of one it computes a polynomial. Whatever needs the
number itself, as `range` does, fails, so that nothing is fixed by mistake.

A comparison is decided as it is at the nominal lengths, and that is noted: the plan is one for the
lengths at which all would be decided alike (`Assumptions`). That two numbers are equal in some run
is no reason for another plan, so they are equal if they are the same polynomial, and nothing is
noted. What a plan only weighs, such as what is worth a thread, asks for the `nominal` number.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from typing import Any


class Lengths(dict[str, int]):
    """The length of each symbolic dimension in a run, by its name, and what follows from them."""

    def __init__(self, lengths: Mapping[str, int]) -> None:
        super().__init__(lengths)
        self.computed: dict[Any, Any] = {}


_numbers = itertools.count()


class _Named:
    """A symbolic dimension."""

    __slots__ = ("name", "nominal", "order")

    def __init__(self, name: str, nominal: int) -> None:
        self.name = name
        self.nominal = nominal
        self.order = next(_numbers)

    def at(self, lengths: Lengths) -> int:
        """Return its length in a run."""
        return lengths[self.name]

    def __repr__(self) -> str:
        return self.name


class Computed:
    """What a function makes of numbers that are not known yet: a number, or something else."""

    __slots__ = ("arguments", "assumptions", "function", "nominal", "order")

    def __init__(self, function: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
        self.function = function
        self.arguments = arguments
        self.nominal = function(*map(nominal, arguments))
        self.assumptions = next(each.assumptions for each in arguments if is_open(each))
        self.order = next(_numbers)

    def at(self, lengths: Lengths) -> Any:
        """Return what it is in a run."""
        found = lengths.computed.get(self)
        if found is None:
            arguments = [value_at(each, lengths) for each in self.arguments]
            found = lengths.computed[self] = self.function(*arguments)
        return found

    def __repr__(self) -> str:
        return f"{self.function.__name__}({', '.join(map(repr, self.arguments))})"


_Atom = _Named | Computed
_Monomial = tuple[_Atom, ...]
_Terms = dict[_Monomial, int]


class Assumptions:
    """What a plan takes for granted of the lengths: differences that are positive, or are not.

    Parameters
    ----------
    names : mapping of str to int
        The nominal length of each symbolic dimension.

    Attributes
    ----------
    nominal : Lengths
    lengths : dict of str to OpenLength
    noted : dict of (OpenLength, bool) to None
        Differences, in order, and whether each is positive.
    """

    def __init__(self, names: Mapping[str, int]) -> None:
        self._computed: dict[tuple[Any, ...], OpenLength] = {}
        self.noted: dict[tuple[OpenLength, bool], None] = {}
        self.nominal = Lengths(names)
        self.lengths = {
            name: OpenLength(self, {(_Named(name, n),): 1}) for name, n in names.items()
        }

    def note(self, difference: OpenLength | int) -> bool:
        """Tell whether a difference is positive at the nominal lengths, and note that."""
        if isinstance(difference, int):
            return difference > 0
        positive: bool = difference.nominal > 0
        self.noted[difference, positive] = None
        return positive

    def hold(self, lengths: Lengths) -> bool:
        """Tell whether the plan is one for those lengths."""
        return all((each.at(lengths) > 0) == positive for each, positive in self.noted)

    def computed(self, function: Callable[..., int], *arguments: Any) -> OpenLength:
        """Return what a function will make of its arguments."""
        key = (function, *arguments)
        known = self._computed.get(key)
        if known is None:
            known = OpenLength(self, {(Computed(function, arguments),): 1})
            self._computed[key] = known
        return known

    def __repr__(self) -> str:
        return "\n".join([f"{each!r} {'>' if yes else '<='} 0" for each, yes in self.noted])


class OpenLength:
    """A whole number that is a polynomial of the lengths of a run."""

    __slots__ = ("_hash", "assumptions", "nominal", "terms")

    def __init__(self, assumptions: Assumptions, terms: _Terms) -> None:
        self.assumptions = assumptions
        self.terms = terms
        self._hash = hash(frozenset(terms.items()))
        total = 0
        for monomial, factor in terms.items():
            for atom in monomial:
                factor *= atom.nominal
            total += factor
        self.nominal = total

    def at(self, lengths: Lengths) -> int:
        """Return its value in a run."""
        total = 0
        for monomial, factor in self.terms.items():
            for atom in monomial:
                factor *= atom.at(lengths)
            total += factor
        return total

    def __repr__(self) -> str:
        parts = ["*".join([str(f), *map(repr, monomial)]) for monomial, f in self.terms.items()]
        return " + ".join(parts)

    def __str__(self) -> str:
        raise TypeError(f"{self!r} is not known before a run")

    def __format__(self, _: str) -> str:
        return str(self)

    def __hash__(self) -> int:
        return self._hash

    def __bool__(self) -> bool:
        return True

    # arithmetic ---------------------------------------------------------------------------------

    def __add__(self, other: Any) -> Any:
        if not isinstance(other, (int, OpenLength)):
            return NotImplemented
        terms = dict(self.terms)
        for monomial, factor in _terms(other).items():
            terms[monomial] = terms.get(monomial, 0) + factor
        return _number(self.assumptions, terms)

    __radd__ = __add__

    def __neg__(self) -> Any:
        return self * -1

    def __sub__(self, other: Any) -> Any:
        if not isinstance(other, (int, OpenLength)):
            return NotImplemented
        return self + other * -1

    def __rsub__(self, other: Any) -> Any:
        return self * -1 + other

    def __mul__(self, other: Any) -> Any:
        if not isinstance(other, (int, OpenLength)):
            return NotImplemented
        terms: _Terms = {}
        for monomial, factor in self.terms.items():
            for more, times in _terms(other).items():
                product = tuple(sorted((*monomial, *more), key=lambda each: each.order))
                terms[product] = terms.get(product, 0) + factor * times
        return _number(self.assumptions, terms)

    __rmul__ = __mul__

    def __floordiv__(self, other: Any) -> Any:
        return _divided(self.assumptions, self, other)

    def __rfloordiv__(self, other: Any) -> Any:
        return _divided(self.assumptions, other, self)

    def __mod__(self, other: Any) -> Any:
        return self - self // other * other

    def __rmod__(self, other: Any) -> Any:
        return other - other // self * self

    # comparisons --------------------------------------------------------------------------------

    def __eq__(self, other: object) -> bool:
        return isinstance(other, OpenLength) and self.terms == other.terms

    def __gt__(self, other: Any) -> bool:
        return self.assumptions.note(self - other)

    def __lt__(self, other: Any) -> bool:
        return self.assumptions.note(other - self)

    def __ge__(self, other: Any) -> bool:
        return not self < other

    def __le__(self, other: Any) -> bool:
        return not self > other


def nominal(number: Any) -> Any:
    """Return a number as a plan for all lengths weighs it."""
    return number.nominal if isinstance(number, (OpenLength, Computed)) else number


def value_at(number: Any, lengths: Lengths) -> Any:
    """Return a number as it is in a run."""
    return number.at(lengths) if isinstance(number, (OpenLength, Computed)) else number


def is_open(*numbers: Any) -> bool:
    """Tell whether any of some numbers is not known before a run."""
    return any(isinstance(each, (OpenLength, Computed)) for each in numbers)


def surely_less(one: Any, other: Any) -> bool:
    """Tell whether a number is less than another one, where to say no is never wrong.

    Only a yes is noted.
    """
    return bool(nominal(one) < nominal(other) and one < other)


def at_most(number: Any, limit: int) -> bool:
    """Tell whether a number is at most `limit`; an open length, for all that is known, is not."""
    return not is_open(number) and bool(number <= limit)


def apply(function: Callable[..., int], *arguments: Any) -> Any:
    """Return ``function(*arguments)``, or what it will be in a run where one of them is open."""
    for each in arguments:
        if is_open(each):
            return each.assumptions.computed(function, *arguments)
    return function(*arguments)


def _terms(number: Any) -> _Terms:
    if isinstance(number, OpenLength):
        return number.terms
    if isinstance(number, int):
        return {(): number}
    raise TypeError(f"an open length and {type(number).__name__}")


def _number(assumptions: Assumptions, terms: _Terms) -> OpenLength | int:
    terms = {monomial: factor for monomial, factor in terms.items() if factor}
    if not terms:
        return 0
    if list(terms) == [()]:
        return terms[()]
    return OpenLength(assumptions, terms)


def _floor(number: int, divisor: int) -> int:
    return number // divisor


def _divided(assumptions: Assumptions, number: Any, divisor: Any) -> Any:
    """Return the quotient rounded down: a polynomial where it is one at the nominal lengths."""
    quotient, rest = _quotient(assumptions, number, divisor)
    step = nominal(rest) // nominal(divisor)
    quotient, rest = quotient + step, rest - step * divisor
    if not is_open(divisor) and is_open(rest):
        # a polynomial is no rest of a division by a number, whatever it is at the nominal lengths
        return assumptions.computed(_floor, number, divisor)
    if not (rest >= 0 and rest < divisor):
        return assumptions.computed(_floor, number, divisor)
    return quotient


def _quotient(assumptions: Assumptions, number: Any, divisor: Any) -> tuple[Any, Any]:
    """Return what a product of lengths goes into a sum of them, term by term, and what is left."""
    terms = _terms(divisor)
    if len(terms) != 1:
        if _terms(number) == terms:
            return 1, 0
        return 0, number
    ((atoms, times),) = terms.items()
    whole: _Terms = {}
    rest: _Terms = {}
    for monomial, factor in _terms(number).items():
        left = list(monomial)
        inside = all(atoms.count(each) <= left.count(each) for each in atoms)
        if inside and (factor % times == 0 or monomial):
            for each in atoms:
                left.remove(each)
            whole[tuple(left)] = factor // times
            if factor % times:
                rest[monomial] = factor % times
        else:
            rest[monomial] = factor
    return _number(assumptions, whole), _number(assumptions, rest)
