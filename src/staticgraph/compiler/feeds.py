"""What a call passes: checked, converted where nothing can be lost, or refused all at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from oplibrary.messages.errors import FeedError, SideBySideError, out_of_memory
from oplibrary.messages.source import Source
from oplibrary.values.data import masked_elements
from oplibrary.values.dtypes import BREADTH, is_numeric
from oplibrary.values.types import Array, Shape, TensorType
from staticgraph.program.polynomial import is_symbolic

MISSING: Any = type("Missing", (), {"__repr__": lambda _: "(not fed)"})()
"""In place of an input that a call did not pass."""


class Feed(NamedTuple):
    """One input of an executable.

    Attributes
    ----------
    name : str
    type : TensorType
    source : Source or None
        Where it was declared.
    """

    name: str
    type: TensorType
    source: Source | None = None


def convert_feeds(
    feeds: Sequence[Feed], arrays: Sequence[Any], named: Mapping[str, Any]
) -> list[Array]:
    """Return a row-major array of the declared type for each input.

    An array must have the declared shape and dtype; only its layout is changed. Python numbers and
    nested lists of them have no dtype of their own and take the declared one, unless a float or
    complex number would lose its fraction or imaginary part.

    Parameters
    ----------
    feeds : sequence of Feed
    arrays : sequence
        By position.
    named : mapping of str to object
        By name.

    Raises
    ------
    FeedError
        Naming every input that is missing, unknown, passed twice or of the wrong type.
    """
    problems: list[_Problem] = []
    values = _bind(feeds, arrays, named, problems)
    result = []
    for feed in feeds:
        value = values.get(feed.name, MISSING)
        if value is MISSING:
            problems.append(
                _Problem(f"{feed.name!r} ({feed.type}) is missing", f"pass {feed.name}", feed)
            )
            continue
        try:
            array = _convert(feed, value)
        except MemoryError as error:
            raise out_of_memory(error, f"input {feed.name!r}") from None
        if isinstance(array, _Problem):
            problems.append(array)
        else:
            result.append(array)
    if problems:
        raise _error(feeds, problems)
    return result


class _Problem(NamedTuple):
    what: str
    fix: str
    feed: Feed | None = None


def _bind(
    feeds: Sequence[Feed],
    arrays: Sequence[Any],
    named: Mapping[str, Any],
    problems: list[_Problem],
) -> dict[str, Any]:
    passed = [array for array in arrays if array is not MISSING]
    values = {feed.name: array for feed, array in zip(feeds, passed, strict=False)}
    if len(passed) > len(feeds):
        surplus = len(passed) - len(feeds)
        problems.append(
            _Problem(
                f"{len(passed)} arrays were passed for {len(feeds)} inputs",
                f"leave out the last {surplus}" if surplus > 1 else "leave out the last one",
            )
        )
    known = {feed.name for feed in feeds}
    for name, value in named.items():
        if name not in known:
            problems.append(_Problem(f"there is no input {name!r}", f"leave out {name}"))
        elif name in values:
            problems.append(_Problem(f"{name!r} was passed twice", "pass it once"))
        else:
            values[name] = value
    return values


def _convert(feed: Feed, value: Any) -> Array | _Problem:
    declared = feed.type
    weak = isinstance(value, (int, float, complex, list, tuple)) and not isinstance(
        value, np.generic
    )
    hidden = masked_elements(value)
    if hidden:
        return _Problem(
            f"{feed.name!r} is {declared}, and {hidden} of the elements that were fed are masked",
            f"feed {feed.name}.filled(value), and the mask as an input of its own",
            feed,
        )
    try:
        array = np.asarray(value)
    except SideBySideError as error:  # a Node says best itself that it is no array
        return _Problem(f"{feed.name!r}: {error.what}", error.fix, feed)
    except (TypeError, ValueError, OverflowError) as error:
        return _Problem(
            f"{feed.name!r} is {declared}, and this {type(value).__name__} is no array: {error}",
            "feed an array of numbers",
            feed,
        )
    if not is_numeric(array.dtype):
        given = type(value).__name__ if array.dtype.kind in "OUS" else str(array.dtype)
        return _Problem(
            f"{feed.name!r} is {declared}, and a {given} was fed", "feed an array of numbers", feed
        )
    if array.shape != declared.shape and not fits(array.shape, declared.shape):
        return _Problem(
            f"{feed.name!r} is {declared}, and an array of shape {array.shape} was fed",
            f"reshape it to {declared.shape}, or declare {feed.name} with shape {array.shape}",
            feed,
        )
    if not array.dtype.isnative:  # the same numbers, with their bytes in the other order
        array = array.astype(array.dtype.newbyteorder("="))
    if array.dtype != declared.dtype:
        if not weak or not _keeps_kind(array.dtype, declared.dtype):
            return _Problem(
                f"{feed.name!r} is {declared}, and {TensorType(array.shape, array.dtype)} was fed",
                f'feed {feed.name}.astype("{declared.dtype}"), '
                f"or declare {feed.name} as {array.dtype}",
                feed,
            )
        try:
            array = np.asarray(value, declared.dtype)
        except OverflowError as error:
            return _Problem(f"{feed.name!r} is {declared}: {error}", "feed smaller numbers", feed)
    return np.require(array, requirements=("C_CONTIGUOUS", "ALIGNED"))


def fits(shape: Shape, declared: Shape) -> bool:
    """Tell whether `shape` is `declared` where that is known; the run looks at the rest."""
    return len(shape) == len(declared) and all(
        n == m or is_symbolic(m) for n, m in zip(shape, declared, strict=True)
    )


def _keeps_kind(given: np.dtype[Any], declared: np.dtype[Any]) -> bool:
    """Tell whether Python numbers, which NumPy would make `given`, can be `declared`."""
    if not (is_numeric(given) and is_numeric(declared)):
        return False
    return BREADTH[given.kind] <= BREADTH[declared.kind]


def _error(feeds: Sequence[Feed], problems: list[_Problem]) -> FeedError:
    signature = ", ".join(f"{feed.name}: {feed.type}" for feed in feeds) or "nothing"
    wrong = [problem.feed for problem in problems if problem.feed is not None]
    related = tuple((f"{feed.name} declared", feed.source) for feed in wrong)
    if len(problems) == 1:
        what = f"input {problems[0].what}" if problems[0].feed else problems[0].what
    else:
        what = "\n    ".join([f"{len(problems)} inputs do not fit:", *[p.what for p in problems]])
    return FeedError(
        what,
        cause=f"a call passes {signature}",
        fix="; ".join(dict.fromkeys(problem.fix for problem in problems)),
        related=related,
    )
