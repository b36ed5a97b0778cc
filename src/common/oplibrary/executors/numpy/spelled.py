"""Calls with NumPy's arguments: what ours of the same name does not know, NumPy's may."""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np

from oplibrary.executors.numpy.functions import call_function, counterpart_of, signature_of
from oplibrary.values.types import is_scalar, resolve_scalar


def call_as_numpy(
    name: str,
    own: inspect.Signature,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    error: Exception,
) -> Any:
    """Return what NumPy's function called `name` gives, for a call that ours has refused.

    So ``round(x, decimals=1)`` and ``max(x, initial=0.0)`` mean what they mean in NumPy, without
    any cost for calls that are right.

    Parameters
    ----------
    name : str
        In NumPy or its ``linalg`` or ``fft``.
    own : inspect.Signature
        Of our function of that name. Where the call fits it, something else is wrong.
    args, kwargs
        Of the call.
    error : Exception
        Why ours refused it; raised where NumPy's has no such arguments, either.

    Raises
    ------
    SymbolicArrayError
        If NumPy's function has the arguments, and one of them has no counterpart here.
    """
    try:
        own.bind(*args, **kwargs)
    except TypeError:
        pass
    else:
        raise error
    found = [getattr(namespace, name, None) for namespace in (np, np.linalg, np.fft)]
    function = next(filter(_taken_of, found), None)
    signature = None if function is None else signature_of(function)
    if signature is None or not kwargs.keys() <= {*signature.parameters, *_taken_of(function)}:
        raise error
    try:
        bound = signature.bind(*args, **kwargs)
    except TypeError:
        raise error from None
    if not kwargs and not _are_options(bound, len(own.parameters)):
        raise error  # what there is too much of may be anything
    if args and is_scalar(args[0]):
        args = (resolve_scalar(args[0], ()), *args[1:])
    return call_function(function, args, kwargs)


def _are_options(bound: inspect.BoundArguments, known: int) -> bool:
    """Tell whether the arguments beyond those that ours knows are constants, and none is `out`."""
    beyond = list(bound.arguments.items())[known:]
    return all(name != "out" and isinstance(value, int | str) for name, value in beyond)


def _taken_of(function: Any) -> frozenset[str]:
    """Return the arguments that are taken of one of NumPy's functions; none of anything else."""
    if not callable(function) or isinstance(function, type | np.ufunc):
        return frozenset()
    found = counterpart_of(f"{function.__module__}.{function.__name__}")
    return frozenset() if found is None else found[0]
