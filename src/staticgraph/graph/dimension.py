"""dim: the length of an axis that is known only when the graph runs."""

from __future__ import annotations

import operator
import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

from oplibrary.messages.errors import ArgumentError, SymbolicBoolError, SymbolicValueError
from oplibrary.messages.source import is_our_file, is_users
from oplibrary.values.types import PICKLED_LENGTHS
from staticgraph.program.polynomial import (
    Polynomial,
    bounded,
    is_symbolic,
    named,
    number_of,
    polynomial_of,
    symbol,
)
from staticgraph.program.upcall import Upcall

declare_length: Upcall[[int], Any] = Upcall("staticgraph.declare.build")
"""Declare a length as a value of the graph."""

_FIX = (
    "write the number if the length is always the same; use sg.sum, sg.mean, scan, map or -1 in "
    "reshape, which take any length; or let sg.function trace each length"
)
_FIX_ARRAY = (
    "make an array of the graph's values: sg.arange(x.shape[0]), sg.zeros(x.shape), x * 0; "
    f"otherwise, {_FIX}"
)


def dim(name: str, min: int = 1) -> Dim:
    """Return a length that each run may choose anew, for use in the shape of a placeholder.

    Parameters
    ----------
    name : str
        One name is one length: axes of the same name are equally long in a run.
    min : int
        No run has fewer. Whatever is declared must hold for every length from there on.

    Raises
    ------
    ArgumentError
        If the name is no identifier, or has another bound already.

    Examples
    --------
    >>> import numpy as np
    >>> import staticgraph as sg
    >>> with sg.Graph():
    ...     x = sg.placeholder("x", (sg.dim("batch"), 3))
    ...     run = sg.compile(sg.mean(x, axis=0), backend="numpy")
    >>> x
    Node(x: float32[batch,3])
    >>> run(np.ones((2, 3), "float32")).tolist(), run(np.ones((5, 3), "float32")).tolist()
    ([1.0, 1.0, 1.0], [1.0, 1.0, 1.0])
    """
    if not isinstance(name, str) or not name.isidentifier():
        raise ArgumentError(
            f"dim: the name is {name!r}",
            cause="the name tells which axes are equally long, and stands in messages",
            fix='write an identifier, such as dim("batch")',
        )
    if not isinstance(min, int) or isinstance(min, bool) or min < 0:
        raise ArgumentError(
            f"dim: min is {min!r}",
            cause="it is the least length of a run",
            fix="pass a whole number, 0 or more",
        )
    return Dim(symbol(name, min).stand_in)


def _asked_by_user() -> bool:
    """Tell whether the user's code, and not the library, runs the operator that calls this."""
    frame: FrameType | None = sys._getframe(2)
    return frame is not None and is_users(frame.f_code)


def _asked_by_us() -> bool:
    """Tell whether the library, and not the user or NumPy, runs the operator that calls this."""
    frame: FrameType | None = sys._getframe(2)
    return frame is not None and is_our_file(frame.f_code.co_filename)


class Dim:
    """A length that is not known while the graph is declared; see `dim`.

    Sums, differences and products with whole numbers and other lengths are lengths again. With a
    float it becomes a value of the graph. It has no number yet: asking for one is an error.
    """

    __slots__ = ("stand_in",)

    def __init__(self, stand_in: int) -> None:
        self.stand_in = int(stand_in)

    @property
    def polynomial(self) -> Polynomial:
        """What it is, in terms of those that `dim` made."""
        return _polynomial(self.stand_in)

    def __repr__(self) -> str:
        return str(named(self.stand_in))

    def __format__(self, spec: str) -> str:
        return format(repr(self), spec)

    def __hash__(self) -> int:
        return hash(self.stand_in)

    def __reduce__(self) -> Any:
        # a stand-in means nothing in another process
        terms = self.polynomial.terms.items()
        listed = [(f, [(each.name, each.least) for each in symbols]) for symbols, f in terms]
        return _dim_of, (listed,)

    # numbers for the library, errors for the user -------------------------------------------------

    def __index__(self) -> int:
        if not _asked_by_us():
            raise self._no_number("an index", _FIX_ARRAY)
        return self.stand_in

    def __int__(self) -> int:
        if not _asked_by_us():
            raise self._no_number("an int")
        return self.stand_in

    def __float__(self) -> float:
        raise self._no_number("a float")  # the library's, too: a root of a stand-in means nothing

    def _no_number(self, wanted: str, fix: str = _FIX) -> SymbolicValueError:
        return SymbolicValueError(
            f"{wanted} was asked of the symbolic length {self!r}",
            cause="each run has its own length, and one graph is declared for all of them",
            fix=fix,
        )

    # comparisons ----------------------------------------------------------------------------------

    def __eq__(self, other: object) -> Any:
        number = _stand_in(other)
        if number is None:
            return NotImplemented
        if _asked_by_user():
            least = self.least_difference(number)
            # a length may be equal to what is not below its least value
            if number != self.stand_in and (least is None or least <= 0):
                raise self._undecided("==", other)
        return number == self.stand_in

    def __ne__(self, other: object) -> Any:
        number = _stand_in(other)
        if number is None:
            return NotImplemented
        if _asked_by_user():
            least = self.least_difference(number)
            if number != self.stand_in and (least is None or least <= 0):
                raise self._undecided("!=", other)
        return number != self.stand_in

    def __lt__(self, other: Any) -> Any:
        return self._compare("<", other, _asked_by_user())

    def __le__(self, other: Any) -> Any:
        return self._compare("<=", other, _asked_by_user())

    def __gt__(self, other: Any) -> Any:
        return self._compare(">", other, _asked_by_user())

    def __ge__(self, other: Any) -> Any:
        return self._compare(">=", other, _asked_by_user())

    def __bool__(self) -> bool:
        if _asked_by_user() and (self.least_difference(0) or 0) <= 0:
            raise self._undecided("!=", 0)
        return True

    def _compare(self, sign: str, other: Any, asked_by_user: bool) -> Any:
        number = _stand_in(other)
        if number is None:
            return NotImplemented
        if asked_by_user and number != self.stand_in:
            least = self.least_difference(number)
            if least is None or (least < 0 or (least == 0 and sign in ("<=", ">"))):
                raise self._undecided(sign, other)
        mine = self.stand_in
        if sign == "<":
            return mine < number
        if sign == "<=":
            return mine <= number
        return mine > number if sign == ">" else mine >= number

    def least_difference(self, number: int) -> int | None:
        """Return the least that this length can be above `number`, or None if that is unknown."""
        difference = polynomial_of(self.stand_in - number)
        if difference is None:
            return self.stand_in - number
        if any(factor < 0 for monomial, factor in difference.terms.items() if monomial):
            return None
        return difference.at({each.name: each.least for each in difference.symbols})

    def _undecided(self, sign: str, other: object) -> SymbolicBoolError:
        names = sorted(each.name for each in self.polynomial.symbols)
        least = 2
        if isinstance(other, int) and other > 0 and not is_symbolic(other):
            least = other + 1
        return SymbolicBoolError(
            f"the truth value of {self!r} {sign} {other!r} was asked",
            cause=f"it is another one for some lengths: each run chooses {', '.join(names)}",
            fix=f"bound the length, as in {bounded(names[0], least)}, if that decides it; choose "
            "in the graph with where or cond on x.shape[0] * 1.0; or let sg.function trace each "
            "length",
        )

    # arithmetic -----------------------------------------------------------------------------------

    def __add__(self, other: Any) -> Any:
        return self._apply(operator.add, other)

    def __radd__(self, other: Any) -> Any:
        return self._apply(_reversed(operator.add), other)

    def __sub__(self, other: Any) -> Any:
        return self._apply(operator.sub, other)

    def __rsub__(self, other: Any) -> Any:
        return self._apply(_reversed(operator.sub), other)

    def __mul__(self, other: Any) -> Any:
        return self._apply(operator.mul, other)

    def __rmul__(self, other: Any) -> Any:
        return self._apply(_reversed(operator.mul), other)

    def __truediv__(self, other: Any) -> Any:
        return self._apply(operator.truediv, other, whole=False)

    def __rtruediv__(self, other: Any) -> Any:
        return self._apply(_reversed(operator.truediv), other, whole=False)

    def __neg__(self) -> Any:
        return _length(number_of(-self.polynomial))

    def __floordiv__(self, other: Any) -> Any:
        return self._divided(other)

    def __mod__(self, other: Any) -> Any:
        quotient = self._divided(other)  # which is refused where it leaves a rest
        return quotient if quotient is NotImplemented else 0

    def __pow__(self, exponent: Any) -> Any:
        if isinstance(exponent, int) and 0 <= exponent <= 3:
            power = Polynomial({(): 1})
            for _ in range(exponent):
                power *= self.polynomial
            return _length(number_of(power))
        return self._node() ** exponent

    def _apply(
        self,
        operate: Callable[[Any, Any], Any],
        other: Any,
        whole: bool = True,
    ) -> Any:
        """Return a length, a value of the graph where a float is involved, or NotImplemented."""
        number = _stand_in(other)
        if number is not None and whole:
            return _length(number_of(operate(self.polynomial, _polynomial(number))))
        if number is None and not isinstance(other, (float, complex)):
            return NotImplemented
        return operate(self._node(), other._node() if isinstance(other, Dim) else other)

    def over(self, other: Any) -> Any:
        """Return how many times another length or number goes into it, or None if it does not."""
        number = _stand_in(other)
        quotient = None if number is None else self._quotient(number)
        return None if quotient is None else _length(number_of(quotient))

    def _divided(self, other: Any) -> Any:
        if _stand_in(other) is None:
            return NotImplemented
        quotient = self.over(other)
        if quotient is not None:
            return quotient
        raise SymbolicValueError(
            f"{self!r} was divided by {other!r}, which does not divide it",
            cause="the quotient is no polynomial in the lengths",
            fix=f'declare the axis as a multiple, {other!r} * dim("parts"), or write the number',
        )

    def _quotient(self, number: int) -> Polynomial | None:
        """Return how many times a length goes into this one, or None where that is no length."""
        divisor = _polynomial(number)
        found = self.polynomial.over(divisor)
        if found is None and number and self.stand_in % number == 0:
            read = _polynomial(self.stand_in // number)  # which may have been read back wrongly
            found = read if (read * divisor).terms == self.polynomial.terms else None
        return found

    def _node(self) -> Any:
        return declare_length(self.stand_in)


def _reversed(operate: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    return lambda a, b: operate(b, a)


def _stand_in(value: object) -> int | None:
    if isinstance(value, Dim):
        return value.stand_in
    return int(value) if isinstance(value, int) and not isinstance(value, bool) else None


def _polynomial(number: int) -> Polynomial:
    return polynomial_of(number) or Polynomial({(): number})


def _length(number: int) -> Any:
    """Return the length that `number` stands for: a `Dim`, or an int where it is known."""
    return Dim(number) if polynomial_of(number) is not None else number


def symbolic_shape(shape: tuple[int, ...]) -> tuple[Any, ...]:
    """Return `shape` as the user sees it, with a `Dim` for each length that is not known."""
    return tuple(map(_length, shape))


def without_dims(value: Any) -> Any:
    """Return `value`, an attribute, with the stand-in of each `Dim` in it."""
    if isinstance(value, Dim):
        return value.stand_in
    if type(value) in (tuple, list):
        return type(value)([without_dims(each) for each in value])
    if isinstance(value, slice):
        return slice(*map(without_dims, (value.start, value.stop, value.step)))
    return value


def _dim_of(terms: Any) -> Any:
    """Return the length of what stands in a pickle; see `Dim.__reduce__`."""
    total = Polynomial({})
    for factor, symbols in terms:
        product = Polynomial({(): factor})
        for name, least in symbols:
            product *= Polynomial({(symbol(name, least),): 1})
        total += product
    return Dim(number_of(total))


PICKLED_LENGTHS.insert(0, symbolic_shape)


def has_dims(value: Any) -> bool:
    """Tell whether there is a `Dim` in `value`."""
    if isinstance(value, (tuple, list)):
        return any(map(has_dims, value))
    if isinstance(value, dict):
        return any(map(has_dims, value.values()))
    return isinstance(value, Dim)
