"""What a loop's counter can be, and whether 64 bits hold what is made of it.

A counter acts as Python's int, and the graph computes with it in 64 bits. Where its bounds are
known, Python itself tries all its values while the loop is declared, or, of very many, intervals
say enough. A number that would be another one in the graph is refused.
"""

from __future__ import annotations

import itertools
import math
import operator
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from oplibrary.messages.errors import DTypeError
from oplibrary.values.types import fit_scalar
from staticgraph.graph.declaration import Declaration

Interval = tuple[Any, Any]
"""The least and the largest number, both included."""

TRIED_FIRST, TRIED_AT_MOST = 2**10, 2**18
"""How many values are tried before intervals are asked, and how many where these do not tell."""

FAR = 2**31
"""How far counters whose bounds a run finds, and ints that are passed, are taken to go."""

_NARROWER = tuple(2**n for n in (31, 21, 16, 15, 12, 10, 8, 7, 6, 5, 4, 3))
_ANY: Interval = (-math.inf, math.inf)


class Counter:
    """What is known of a loop's counter.

    Attributes
    ----------
    values : range or None
        All of them, if that is known.
    least : int or None
        Otherwise the first one, if that is.
    far : int
        What it is taken to be less than, and to be at least minus that.
    """

    def __init__(self, values: range | None, least: int | None = None) -> None:
        self.values = values
        self.least = least
        self.far = FAR

    @property
    def interval(self) -> Interval:
        """The least and the largest value."""
        if self.values is not None:
            return self.values[0], self.values[-1]
        least = -self.far if self.least is None else max(self.least, -self.far)
        return least, max(self.far - 1, least)


class NumberRanges:
    """What is known of the numbers of a graph and of those around it.

    Attributes
    ----------
    counters : dict of Node to Counter
    limits : dict of Node to Interval
        Where numbers that are passed have to lie, so that what is made of them and of counters is
        right; elsewhere the function is to be traced with the number as it is.
    """

    def __init__(self) -> None:
        self.counters: dict[Any, Counter] = {}
        self.limits: dict[Any, Interval] = {}


def require_number(python: Callable[..., Any], operands: tuple[Any, ...], kind: type) -> None:
    """Refuse a number made of counters that is not what Python makes of them.

    Parameters
    ----------
    python : callable
        Python's operator.
    operands : tuple of Node and number
    kind : type
        Of the number that the graph makes.

    Raises
    ------
    DTypeError
        If 64 bits do not hold it, or it is a number of another kind.
    ArithmeticError, ValueError
        What Python raises where it is an error.
    """

    def right(value: Any) -> bool:
        return type(value) is kind and (type(value) is not int or -(2**63) <= value < 2**63)

    def inside(found: Interval | None) -> bool:
        return found is not None and (kind is not int or -(2.0**63) <= found[0] <= found[1] < 2**63)

    def refuse(value: Any) -> DTypeError:
        made = f"it is {value!r}" if value is not None else "it may be more than 64 bits hold"
        return DTypeError(
            f"a number made of the counter of a loop by {python.__name__} is another in a graph",
            cause=f"{made}, and the graph makes {kind.__name__} of 64 bits",
            fix='make an array of the counter first, k = asarray(k, dtype="float32")',
        )

    if not (kind is float and python in _EXACT_OF_FLOATS) and python not in _COMPARISONS:
        _prove(python, operands, right, inside, refuse)


def require_fitting(node: Any, dtype: np.dtype[Any], narrow: bool = True) -> None:
    """Refuse to make `dtype` of an int made of counters that does not fit.

    Parameters
    ----------
    node : Node
    dtype : dtype
    narrow : bool
        Whether a loop may be held to what fits, where only a run finds how far it goes.

    Raises
    ------
    DTypeError
    """
    if node.dtype.kind != "i" or dtype.kind not in "iu":
        return
    limits = np.iinfo(dtype)

    def inside(found: Interval | None) -> bool:
        return found is not None and limits.min <= found[0] <= found[1] <= limits.max

    def refuse(value: Any) -> DTypeError:
        try:
            fit_scalar(2**70 if value is None else value, (dtype,))
        except DTypeError as error:
            return error
        raise AssertionError(value)

    _prove(operator.pos, (node,), lambda x: limits.min <= x <= limits.max, inside, refuse, narrow)


_EXACT_OF_FLOATS = frozenset({operator.add, operator.sub, operator.mul, operator.neg, operator.abs})
_COMPARISONS = frozenset(
    {operator.eq, operator.ne, operator.lt, operator.le, operator.gt, operator.ge}
)


def _prove(
    python: Callable[..., Any],
    operands: tuple[Any, ...],
    right: Callable[[Any], bool],
    inside: Callable[[Interval | None], bool],
    refuse: Callable[[Any], DTypeError],
    narrow: bool = True,
) -> None:
    leaves = _leaves(operands)
    counters = {x: x.graph.ranges.counters.get(x) for x in leaves}
    known = [each for each in counters.values() if each is not None]
    if not known or any(each.values is not None and not each.values for each in known):
        return  # not of counters, or of loops without a step
    trials = math.prod(
        len(each.values) if each and each.values is not None else TRIED_AT_MOST + 1
        for each in counters.values()
    )
    if trials > TRIED_FIRST and inside(_interval_of(python, operands, {})):
        return
    if trials <= TRIED_AT_MOST:
        for value in _values(python, operands, {x: each.values for x, each in counters.items()}):
            if not right(value):
                raise refuse(value)
        return
    passed = [x for x, each in counters.items() if each is None]
    for x in passed:
        x.graph.ranges.limits[x] = (1, 0)  # which no number is in
    if passed:
        return
    for far in _NARROWER if narrow else ():
        before = [each.far for each in known]
        for each in known:
            each.far = min(each.far, far)
        if inside(_interval_of(python, operands, {})):
            return
        for each, again in zip(known, before, strict=True):
            each.far = again
    raise refuse(None)


def _declared(x: Any) -> Any:
    """Return the number that `x` is, in the graph that declared it."""
    outer = x.graph.stands_for(x)
    while outer is not None:
        x, outer = outer, outer.graph.stands_for(outer)
    return x


def _leaves(operands: Iterable[Any]) -> dict[Any, None]:
    """Return the counters, and the numbers that are passed, of which others are made."""
    found: dict[Any, None] = {}
    stack = [_declared(x) for x in operands if isinstance(x, Declaration)]
    seen = set(stack)
    while stack:
        x = stack.pop()
        made = x.graph.made_of_numbers.get(x)
        if made is None:
            found[x] = None
            continue
        fresh = {_declared(each) for each in made[1] if isinstance(each, Declaration)} - seen
        seen |= fresh
        stack += fresh
    return found


def _values(
    python: Callable[..., Any], operands: tuple[Any, ...], ranges: dict[Any, range]
) -> Iterator[Any]:
    """Yield what Python makes of the operands for all values of the counters."""

    def value(x: Any) -> Any:
        if not isinstance(x, Declaration):
            return x
        x = _declared(x)
        if x not in now:
            function, made_of = x.graph.made_of_numbers[x]
            now[x] = function(*map(value, made_of))
        return now[x]

    for each in itertools.product(*ranges.values()):
        now = dict(zip(ranges, each, strict=True))
        yield python(*map(value, operands))


def _interval_of(
    python: Callable[..., Any], operands: Sequence[Any], known: dict[Any, Interval | None]
) -> Interval | None:
    """Return where a number lies that is made of others, or None if that cannot be told."""
    intervals = [_interval(x, known) for x in operands]
    rule = _RULES.get(python)
    if rule is None or None in intervals:
        return None
    found: Interval | None = rule(*intervals)
    return found


def _interval(x: Any, known: dict[Any, Interval | None]) -> Interval | None:
    if not isinstance(x, Declaration):
        return (x, x) if type(x) in (bool, int, float) else None
    x = _declared(x)
    if x not in known:
        made = x.graph.made_of_numbers.get(x)
        if made is None:
            known[x] = _interval_of_leaf(x)
        else:
            known[x] = _interval_of(made[0], made[1], known)
    return known[x]


def _interval_of_leaf(x: Any) -> Interval | None:
    counter: Counter | None = x.graph.ranges.counters.get(x)
    if counter is not None:
        return counter.interval
    if x.dtype.kind == "b":
        return 0, 1
    if x.dtype.kind == "i":
        limits: Interval = x.graph.ranges.limits.setdefault(x, (-FAR, FAR))
        return limits if limits[0] <= limits[1] else None
    return _ANY if x.dtype.kind == "f" else None


def _corners(python: Callable[..., Any]) -> Callable[..., Interval]:
    """Return the rule of what is least and largest where its operands are."""

    def rule(*intervals: Interval) -> Interval:
        if any(math.isinf(end) for ends in intervals for end in ends):
            return _ANY
        found = [python(*ends) for ends in itertools.product(*intervals)]
        return min(found), max(found)

    return rule


def _quotient(python: Callable[..., Any]) -> Callable[..., Interval | None]:
    def rule(x: Interval, y: Interval) -> Interval | None:
        return None if y[0] <= 0 <= y[1] else _corners(python)(x, y)

    return rule


def _rest(_x: Interval, y: Interval) -> Interval | None:
    if y[0] <= 0 <= y[1]:
        return None
    return min(0, y[0]), max(0, y[1])


def _power(x: Interval, y: Interval) -> Interval | None:
    if _ANY in (x, y) or y[1] * math.log2(max(abs(x[0]), abs(x[1]), 2)) > _LARGEST_EXPONENT:
        return None
    if y[0] < 0 and (x[0] <= 0 or y[0] != y[1]):  # by zero, or now a float and now an int
        return None
    if x[0] >= 0:
        return _corners(operator.pow)(x, y)
    if type(y[0]) is float:  # it may be complex
        return None
    most = max(abs(x[0]), abs(x[1])) ** y[1]
    return -most, max(most, 1)


def _rounded(x: Interval) -> Interval | None:
    return None if math.isinf(x[0]) or math.isinf(x[1]) else (math.floor(x[0]), math.ceil(x[1]))


def _shifted(x: Interval, y: Interval) -> Interval | None:
    return _corners(operator.lshift)(x, y) if 0 <= y[0] <= y[1] < 64 else None


def _absolute(x: Interval) -> Interval:
    return 0, max(abs(x[0]), abs(x[1]))


def _bits(x: Interval, y: Interval) -> Interval:
    most = 1 << max(int(abs(end)).bit_length() for end in (*x, *y))
    return -most, most


_LARGEST_EXPONENT = 1000
"""Of the powers of two that are surely floats."""

_RULES: dict[Any, Callable[..., Interval | None]] = {
    **{each: _corners(each) for each in (operator.add, operator.sub, operator.mul, operator.neg)},
    operator.pos: lambda x: x,
    operator.abs: _absolute,
    operator.invert: _corners(operator.invert),
    operator.truediv: _quotient(operator.truediv),
    operator.floordiv: _quotient(operator.floordiv),
    operator.mod: _rest,
    operator.pow: _power,
    round: _rounded,
    operator.lshift: _shifted,
    operator.rshift: lambda x, y: (min(x[0], 0), max(x[1], 0)) if y[0] >= 0 else None,
    **dict.fromkeys((operator.and_, operator.or_, operator.xor), _bits),
    **{each: lambda _x, _y: (0, 1) for each in _COMPARISONS},
}
"""What makes intervals of intervals; None where an error of Python's is among the results."""
