"""The table of ONNX's operators, which the files of their families fill."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from oplibrary.messages.errors import UnsupportedOpError
from staticgraph.importing.onnx_models.known import (
    ON_LENGTHS,
    as_live,
    has_lengths,
    holds_lengths,
    is_live,
)
from staticgraph.importing.shared.block import Several
from staticgraph.importing.shared.namespaces import ON_ARRAYS
from staticgraph.importing.shared.table import Entry, Function

NO_ARGUMENTS = frozenset({"version", "outputs", "endless"})
"""Parameters of entries that stand for no argument: the version of the operator that a model has,
how many results it names, and whether the body of a loop never ends it."""


@dataclass(frozen=True)
class Operator(Entry):
    """What runs one of ONNX's operators.

    An argument is an input or an attribute; versions of an operator differ in which of the two it
    is, and an entry serves them all by calling it by its name.

    Attributes
    ----------
    known : frozenset of str
        Arguments that must be known when a program is read, such as shapes. The function gets them
        as numbers, in lists.
    since : int
        The first version of the operator that is accepted.
    renamed : mapping
        What other versions call an argument.
    typed : frozenset of str
        Arguments of which only the shape and the dtype matter.
    whole : bool
        Whether the function gets values as they are: it is what decides by them what is run.
    takes : frozenset of str
        Which of `NO_ARGUMENTS` it takes.
    """

    known: frozenset[str] = frozenset()
    since: int = 1
    renamed: Mapping[str, str] | None = None
    typed: frozenset[str] = frozenset()
    whole: bool = False
    takes: frozenset[str] = frozenset()

    def names(self) -> frozenset[str]:
        """Return every argument that the entry says something about."""
        return super().names() | set(self.renamed or ())

    def bound(self, label: str, dtypes: Sequence[Any], given: Mapping[str, Any]) -> Entry:
        """Return the entry for one node, whose results have `dtypes`; None is any."""
        extra = {name: given[name] for name in self.takes}
        run = partial(self.run, label, tuple(dtypes), extra)
        return Entry(run, frozenset(), {}, frozenset(), True)

    def run(
        self, label: str, dtypes: tuple[Any, ...], extra: dict[str, Any], xp: Any, **arguments: Any
    ) -> Any:
        """Run the operator; on arrays, if all of its values are known."""
        arguments = {(self.renamed or {}).get(n, n): x for n, x in arguments.items()}
        values = {n: x for n, x in arguments.items() if n not in self.known}
        given = {n: _numbers(label, n, x) for n, x in arguments.items() if n in self.known}
        if self.whole:
            return self.function(xp, **values, **given, **extra)
        inputs = [x for n, x in values.items() if n not in self.typed]
        if not is_live(inputs):
            if not (has_lengths(inputs) or holds_lengths(given)):
                with suppress(AttributeError), np.errstate(all="ignore"):
                    found = self.function(ON_ARRAYS, **values, **given, **extra)
                    return _in(ON_ARRAYS, found, dtypes)
            elif has_lengths(inputs):
                with suppress(AttributeError):
                    return self.function(ON_LENGTHS, **values, **given, **extra)
        # what is not computed with arrays or lengths is computed with values
        values = {n: as_live(xp, x) for n, x in values.items()}
        return _in(xp, self.function(xp, **values, **given, **extra), dtypes)


def _numbers(label: str, name: str, value: Any) -> Any:
    """Return a value that must be known as numbers and lists."""
    if is_live(value):
        raise UnsupportedOpError(
            f"{label}: {name} must be known when the model is read",
            cause="it decides shapes, or which operations there are, and is computed from values, "
            "such as the counter of a loop",
            fix="export the model so that it follows from shapes and stored numbers alone",
        )
    return value.tolist() if isinstance(value, (np.ndarray, np.generic)) else value


def _in(xp: Any, found: Any, dtypes: tuple[Any, ...]) -> Any:
    """Return results in the dtypes that the source's schema gives them."""
    if isinstance(found, Several):
        return Several(*[partial(_part, xp, found, i, d) for i, d in enumerate(dtypes)])
    if isinstance(found, (tuple, list)):
        return [_cast(xp, each, dtype) for each, dtype in zip(found, dtypes, strict=False)]
    return _cast(xp, found, dtypes[0])


def _part(xp: Any, found: Several, index: int, dtype: Any) -> Any:
    return _cast(xp, found[index], dtype)


def _cast(xp: Any, value: Any, dtype: Any) -> Any:
    if has_lengths(value):
        return value
    if xp is ON_ARRAYS and not isinstance(value, np.ndarray):
        value = np.asarray(value)
    if dtype is None or value.dtype == dtype:
        return value
    return xp.astype(value, dtype)


class Operators(dict[str, Operator]):
    """The entries by the operators' names; those of other domains have the domain in front."""

    def entry(
        self,
        *names: str,
        since: int = 1,
        known: Iterable[str] = (),
        ignored: Iterable[str] = (),
        renamed: Mapping[str, str] | None = None,
        typed: Iterable[str] = (),
        whole: bool = False,
        **fixed: Any,
    ) -> Callable[[Function], Function]:
        """Return a decorator that enters a function under `names`."""

        def enter(function: Function) -> Function:
            parameters = list(inspect.signature(function).parameters.values())[1:]
            called = frozenset(p.name for p in parameters)
            for name in names:
                assert name not in self, f"two entries for {name}"
                self[name] = Operator(
                    function,
                    frozenset(ignored),
                    fixed,
                    called - NO_ARGUMENTS,
                    False,
                    known=frozenset(known),
                    since=since,
                    renamed=renamed,
                    typed=frozenset(typed),
                    whole=whole,
                    takes=called & NO_ARGUMENTS,
                )
            return function

        return enter


TABLE = Operators()
"""By the operator's name."""
