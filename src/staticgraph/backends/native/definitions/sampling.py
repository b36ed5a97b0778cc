"""Sampling: what is found by running a kernel, found for all lengths by running it at some."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from oplibrary.machine.elements import Unsupported
from staticgraph.backends.native.definitions.open_lengths import (
    Assumptions,
    Lengths,
    OpenLength,
    value_at,
)

Found = TypeVar("Found")
_FIRST = (11, 13, 17, 19, 23)
"""Lengths of a sample: no two symbols have the same, and none has one that is often written."""


def at_all_lengths(function: Callable[..., Found], *arguments: Any) -> Found:
    """Return ``function(*arguments)`` with open lengths in it, where the arguments have them.

    The function is run at some lengths, and the numbers in what it returns are taken for sums of
    lengths if that is what they are at all of them.

    Raises
    ------
    Unsupported
        If the numbers are no such sums.
    """
    found = next(_open_in(arguments), None)
    if found is None:
        return function(*arguments)
    assumptions = found.assumptions
    names = list(assumptions.lengths)
    base = {name: _FIRST[i % len(_FIRST)] + 14 * (i // len(_FIRST)) for i, name in enumerate(names)}
    points = [base]
    points += [{**base, name: base[name] + 1} for name in names]
    # the rest is for proof
    points += [{**base, name: base[name] + 6} for name in names]
    points.append({name: n + 2 + 3 * i for i, (name, n) in enumerate(base.items())})
    results = [function(*replaced(arguments, Lengths(at))) for at in points]
    joined: Found = _joined(assumptions, points, results)
    return joined


def _open_in(value: Any) -> Any:
    if isinstance(value, OpenLength):
        yield value
    elif isinstance(value, dict):
        yield from _open_in(tuple(value.values()))
    elif isinstance(value, (tuple, list)):
        for each in value:
            yield from _open_in(each)
    elif isinstance(value, slice):
        yield from _open_in((value.start, value.stop, value.step))


def replaced(value: Any, lengths: Lengths) -> Any:
    """Return `value`, arguments or attributes, with the numbers that lengths are in a run."""
    if isinstance(value, dict):
        return {name: replaced(each, lengths) for name, each in value.items()}
    if isinstance(value, (tuple, list)):
        parts = [replaced(each, lengths) for each in value]
        return type(value)(*parts) if hasattr(value, "_fields") else type(value)(parts)
    if isinstance(value, slice):
        return slice(*replaced((value.start, value.stop, value.step), lengths))
    return value_at(value, lengths)


def _joined(assumptions: Assumptions, points: list[dict[str, int]], results: list[Any]) -> Any:
    first = results[0]
    if all(type(each) is type(first) and each == first for each in results):
        return first
    if isinstance(first, tuple) and all(
        type(each) is type(first) and len(each) == len(first) for each in results
    ):
        parts = [_joined(assumptions, points, list(each)) for each in zip(*results, strict=True)]
        return type(first)(*parts) if hasattr(first, "_fields") else tuple(parts)
    if not all(type(each) is int for each in results):
        raise Unsupported("what it does depends on the lengths")
    total: Any = first
    for each, (name, length) in zip(results[1:], assumptions.lengths.items(), strict=False):
        total += (each - first) * (length - points[0][name])
    if any(value_at(total, Lengths(at)) != each for at, each in zip(points, results, strict=True)):
        raise Unsupported("what it does depends on the lengths, not in proportion to them")
    return total
