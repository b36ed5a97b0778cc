"""What is wrong with the arguments of a call: one is unknown, missing, or cannot be used."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from inspect import Parameter
from typing import Any

import numpy as np

from oplibrary.messages.errors import ArgumentError, OutOfMemoryError, out_of_memory
from oplibrary.messages.source import is_users
from oplibrary.messages.suggestion import argument_meant

UNFIT = (TypeError, AttributeError, ValueError, LookupError, ArithmeticError, MemoryError)
"""What Python and NumPy raise where an argument is of a kind that the code was not written for."""

_UNEXPECTED = re.compile(r"unexpected keyword argument '(\w+)'")


_TOO_LARGE = re.compile(
    "array is too big|Maximum allowed (dimension|size) exceeded|iterator is too large"
)
"""How NumPy tells of an array too large for any memory, where it does not say MemoryError."""


def written(name: str, value: Any, meant: str | None) -> str:
    """Return the advice to write one argument in place of another, or "" where none is meant."""
    if meant is None:
        return ""
    if not isinstance(value, (bool, int, float, str, tuple, type(None))):
        return f"write {meant}= in place of {name}="
    # unbiased is divided by one less than the number of elements
    same = int(value) if name == "unbiased" and isinstance(value, bool) else value
    return f"write {meant}={same!r} in place of {name}={value!r}"


def explain_call(name: str, function: Callable[..., Any], error: Exception) -> Exception:
    """Return the error that says why the composition called `name` could not use its arguments.

    Parameters
    ----------
    name : str
    function : callable
    error : Exception
        What calling it raised, one of `UNFIT`. Where the user's own code did, which a function that
        takes functions runs, it is returned as it is.
    """
    trace = error.__traceback__
    while trace is not None:
        if is_users(trace.tb_frame.f_code):
            return error
        trace = trace.tb_next
    if isinstance(error, MemoryError):
        return out_of_memory(error, name)
    if isinstance(error, ValueError) and _TOO_LARGE.match(str(error)):
        return OutOfMemoryError(
            f"{name}: an array would have more elements than any can have",
            cause="the arguments ask for more than any memory holds",
        )
    signature = inspect.signature(function)
    parameters = [p.replace(annotation=Parameter.empty) for p in signature.parameters.values()]
    unknown = _UNEXPECTED.search(str(error))
    meant = unknown and argument_meant(unknown[1], signature.parameters)
    advice = f"write {meant}= in place of {unknown[1]}=; " if unknown and meant else ""
    return ArgumentError(
        f"{name}: there is no argument {unknown[1]!r}" if unknown else f"{name}: {error}",
        cause="an argument is missing, unknown, or of a kind that the function cannot use",
        fix=f"{advice}the signature is {name}{inspect.Signature(parameters)}",
    )


def explain_creation(
    function: Callable[..., Any], args: tuple[Any, ...], error: Exception
) -> Exception:
    """Return `explain_call` of a function that makes an array; lengths may be no tuple, too."""
    name = function.__name__
    first = next(iter(inspect.signature(function).parameters), "")
    if first == "shape" and len(args) > 2 and all(isinstance(n, (int, np.integer)) for n in args):
        shown = ", ".join(map(repr, args))
        return ArgumentError(
            f"{name}: {error}",
            cause="the lengths of all axes are one argument",
            fix=f"write {name}(({shown}))",
        )
    return explain_call(name, function, error)
