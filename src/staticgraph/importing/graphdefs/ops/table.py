"""The table of TensorFlow's ops, which the files of their families fill."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any

import numpy as np

from oplibrary.messages.errors import SideBySideError, UnsupportedOpError
from staticgraph.importing.shared.namespaces import ON_ARRAYS
from staticgraph.importing.shared.table import Function, Table

TABLE = Table()
"""By the name of TensorFlow's op definition; inputs and attributes are called as there."""

WRITES: dict[str, tuple[str, ...]] = {}
"""Of an op that assigns: the inputs that are variables, whose next values are its results."""

OWN = frozenset({"draw", "moving", "element"})
"""Arguments that the reader gives and no op definition has."""


def entry(
    *names: str, ignored: str = "T", writes: str = "", **fixed: Any
) -> Callable[[Function], Function]:
    """Return a decorator that enters a function for ops.

    Parameters
    ----------
    *names : str
    ignored : str
        Inputs and attributes that do not change the values, with blanks between them: mostly the
        dtypes of operands, which they have themselves.
    writes : str
        Inputs that are variables and assigned.
    **fixed : any
        What is refused unless it has this value.
    """

    def enter(function: Function) -> Function:
        for name in names:
            TABLE.entry(name, ignored=ignored.split(), **fixed)(_partly(function))
            if writes:
                WRITES[name] = tuple(writes.split())
        return function

    return enter


def named(function: Callable[..., Any], names: str) -> Function:
    """Return a function of ``xp`` and operands as one whose operands have these names."""
    order = names.split()

    def run(xp: Any, **operands: Any) -> Any:
        return function(xp, *[operands[name] for name in order])

    kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
    parameters = [inspect.Parameter(name, kind) for name in ("xp", *order)]
    run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    return run


def _partly(function: Function) -> Function:
    """Return a function that computes what it is given as arrays at once.

    TensorFlow computes shapes by ops, of lengths that are known here when the program is run: as
    arrays they stay known.
    """

    @functools.wraps(function)
    def run(xp: Any, **arguments: Any) -> Any:
        if xp is not ON_ARRAYS and _known(list(arguments.values())) and "draw" not in arguments:
            try:
                return _as_arrays(function(ON_ARRAYS, **arguments))
            except (SideBySideError, TypeError, LookupError, AttributeError):
                pass  # the run below says what is wrong
        return function(xp, **arguments)

    return run


def _as_arrays(results: Any) -> Any:
    """Return NumPy's numbers as arrays: they are values, too."""
    if isinstance(results, (list, tuple)):
        return [_as_arrays(each) for each in results]
    return np.asarray(results) if isinstance(results, np.generic) else results


def _known(values: list[Any]) -> bool:
    """Tell whether no value is a node, a tensor or a function."""
    for value in values:
        if isinstance(value, (list, tuple)):
            if not _known(list(value)):
                return False
        elif callable(value) and not isinstance(value, np.dtype):
            return False
        if hasattr(value, "shape") and not is_known(value):
            return False
    return True


def is_known(value: Any) -> bool:
    """Tell whether a value is an array, and neither a node nor a tensor."""
    return isinstance(value, (np.ndarray, np.generic))


def known(value: Any, what: str) -> Any:
    """Return a value that has to be known when a graph is declared, as an array.

    Raises
    ------
    UnsupportedOpError
        If it is computed from values of the program.
    """
    if isinstance(value, list):  # the parts of a vector
        return np.asarray([known(each, what) for each in value])
    if not is_known(value) and not isinstance(value, (int, float, bool, tuple)):
        raise UnsupportedOpError(
            f"the {what} depends on values",
            cause="shapes and axes are known when a graph is declared",
            fix="compute it from shapes and Python's numbers, or select with tf.where(mask, x, 0)",
        )
    return np.asarray(value)


def lengths(value: Any, what: str = "shape") -> tuple[int, ...]:
    """Return whole numbers that have to be known when a graph is declared."""
    return tuple([int(n) for n in np.atleast_1d(known(value, what)).tolist()])


def number(value: Any, what: str) -> int:
    """Return one whole number that has to be known when a graph is declared."""
    return int(known(value, what))
