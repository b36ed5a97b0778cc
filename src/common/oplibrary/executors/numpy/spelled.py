"""Calls with NumPy's arguments: what ours of the same name does not know, NumPy's may."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from oplibrary.core.op import Op
from oplibrary.executors.numpy.functions import call_function, counterpart_of, signature_of
from oplibrary.executors.numpy.ufuncs import call_ufunc_with
from oplibrary.values.types import is_scalar, resolve_scalar


def call_as_numpy(
    function: Op | Callable[..., Any],
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    error: Exception,
) -> Any:
    """Return what NumPy's function of the same name gives, for a call that ours has refused.

    So ``round(x, decimals=1)`` and ``max(x, initial=0.0)`` mean what they mean in NumPy, without
    any cost for calls that are right.

    Parameters
    ----------
    function : Op or callable
        Ours. Where the call fits its signature, something else is wrong.
    args, kwargs
        Of the call.
    error : Exception
        Why ours refused it; raised where NumPy's has no such arguments, either.

    Raises
    ------
    SymbolicArrayError
        If NumPy's function has the arguments, and one of them has no counterpart here.
    """
    own = inspect.signature(function)
    if _binds(own, args, kwargs):
        raise error
    for theirs in _of_name(function):
        if isinstance(theirs, np.ufunc):
            if len(args) == theirs.nin and kwargs and kwargs.keys() <= _OF_UFUNCS:
                return call_ufunc_with(theirs, "__call__", args, kwargs)
            continue
        taken, signature = _taken_of(theirs), signature_of(theirs)
        if not taken or signature is None or not kwargs.keys() <= {*signature.parameters, *taken}:
            continue
        bound = _binds(signature, args, kwargs)
        # what there is too much of may be anything
        if bound is None or not (kwargs or _are_options(bound, len(own.parameters))):
            continue
        if args and is_scalar(args[0]):
            args = (resolve_scalar(args[0], ()), *args[1:])
        return call_function(theirs, args, kwargs)
    raise error


_OF_UFUNCS = frozenset({"out", "where", "dtype", "casting", "order", "subok"})


def _of_name(function: Op | Callable[..., Any]) -> Iterator[Any]:
    """Yield NumPy's functions that are called as ours is, by any of its names."""
    names = (function.name, *function.alias) if isinstance(function, Op) else (function.__name__,)
    for name in names:
        for namespace in (np, np.linalg, np.fft):
            if callable(found := getattr(namespace, name, None)):
                yield found


def _binds(
    signature: inspect.Signature, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> inspect.BoundArguments | None:
    """Return the arguments by name where a call fits a signature, and None elsewhere."""
    try:
        return signature.bind(*args, **kwargs)
    except TypeError:
        return None


def _are_options(bound: inspect.BoundArguments, known: int) -> bool:
    """Tell whether the arguments beyond those that ours knows are constants, and none is `out`."""
    beyond = list(bound.arguments.items())[known:]
    return all(name != "out" and isinstance(value, int | str) for name, value in beyond)


def _taken_of(function: Any) -> frozenset[str]:
    """Return the arguments that are taken of one of NumPy's functions; none of a class."""
    if isinstance(function, type):
        return frozenset()
    found = counterpart_of(f"{function.__module__}.{function.__name__}")
    return frozenset() if found is None else found[0]
