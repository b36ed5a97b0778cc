"""How one of our functions is called with the arguments of NumPy's."""

from __future__ import annotations

from collections.abc import Callable
from inspect import unwrap
from typing import Any

import numpy as np

from oplibrary.core.registry import lookup
from oplibrary.executors.numpy.folds import reduce
from oplibrary.executors.numpy.protocols import unsupported
from oplibrary.values.dtypes import to_dtype

Call = Callable[..., Any]


def ours(name: str) -> Call:
    """Return our function called `name`."""
    function = lookup(name)
    assert function is not None, name
    return function


def renamed(name: str, *operands: str, **named: str) -> tuple[frozenset[str], Call]:
    """Return the arguments of NumPy's that are taken, and a call of our function `name` with them.

    Parameters
    ----------
    name : str
        Of our function.
    *operands : str
        NumPy's names of what we take by position.
    **named : str
        NumPy's name of each of our other parameters.
    """

    def call(**given: Any) -> Any:
        keywords = {mine: given[theirs] for mine, theirs in named.items() if theirs in given}
        return ours(name)(*[given[each] for each in operands], **keywords)

    return frozenset({*operands, *named.values()}), call


def written(function: Any) -> tuple[frozenset[str], Call]:
    """Return the arguments that `function` takes, and itself: it has NumPy's parameters."""
    code = unwrap(function).__code__  # quicker than a signature
    return frozenset(code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]), function


def folded(name: str, ufunc: np.ufunc | None = None, **named: str) -> tuple[frozenset[str], Call]:
    """Return `renamed` of a reduction that knows ``where`` and ``initial``, as ``ufunc.reduce``."""
    taken, call = renamed(name, "a", **named)
    if ufunc is None:
        return taken, call

    def fold(**given: Any) -> Any:
        if given.keys() & {"where", "initial"}:
            x = given.pop("a")
            return reduce(ufunc, x, **{"axis": None, **given})
        given.pop("dtype", None)  # of what the result is written to, which converts it
        return call(**given)

    known = {"where"} if name in ("all", "any") else {"where", "initial"}
    return taken | known, fold


def summed_in(
    name: str, ufunc: np.ufunc | None = None, **named: str
) -> tuple[frozenset[str], Call]:
    """Return `folded` of a reduction that can be told in which dtype to add up."""
    taken, call = folded(name, ufunc, **named)

    def summed(a: Any, dtype: Any = None, **given: Any) -> Any:
        if given.keys() & {"where", "initial"}:
            return call(a=a, dtype=dtype, **given)
        if dtype is None:
            return call(a=a, **given)
        result = call(a=ours("astype")(a, dtype), **given)
        return result if result.dtype == to_dtype(dtype) else ours("astype")(result, dtype)

    return taken | {"dtype"}, summed


def averaged_in(name: str, **named: str) -> tuple[frozenset[str], Call]:
    """Return `summed_in` where the dtype must be one of fractions, as NumPy rounds others apart."""
    taken, call = summed_in(name, None, **named)

    def averaged(a: Any, dtype: Any = None, ddof: Any = None, **given: Any) -> Any:
        kind = "" if dtype is None else to_dtype(dtype).kind
        if kind and kind != "c" and (kind != "f" or a.dtype.kind == "c"):
            raise unsupported(f"numpy.{name} with dtype={to_dtype(dtype)}")
        if ddof is not None:
            if "correction" in given:
                raise ValueError("ddof and correction are two names of one number")
            given["correction"] = ddof
        return call(a=a, dtype=dtype, **given)

    return taken | ({"ddof"} if "correction" in named else frozenset()), averaged


def flat(x: Any) -> Any:
    """Return the elements in one line."""
    return ours("reshape")(x, (-1,))


def ordered(name: str) -> tuple[frozenset[str], Call]:
    """Return a call that orders along an axis, where None flattens first."""

    def call(a: Any, axis: Any = -1) -> Any:
        return ours(name)(flat(a), axis=0) if axis is None else ours(name)(a, axis=axis)

    return written(call)


def accumulated(name: str) -> tuple[frozenset[str], Call]:
    """Return a running fold, where None flattens first."""
    _, summed = summed_in(name, axis="axis")

    def call(a: Any, axis: Any = None, dtype: Any = None) -> Any:
        return summed(flat(a), dtype, axis=0) if axis is None else summed(a, dtype, axis=axis)

    return written(call)


def cumulative(name: str) -> tuple[frozenset[str], Call]:
    """Return a running fold of the array API standard."""

    def call(x: Any, axis: Any = None, dtype: Any = None, include_initial: bool = False) -> Any:
        if axis is None and len(x.shape) != 1:
            raise unsupported(f"numpy.{name} of several axes without axis=")
        _, summed = summed_in(name, axis="axis", include_initial="include_initial")
        return summed(x, dtype, axis=axis, include_initial=include_initial)

    return written(call)
