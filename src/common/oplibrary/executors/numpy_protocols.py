"""NumPy's universal functions on Tensors and Nodes: ``np.tanh(x)`` runs our op of that meaning."""

from __future__ import annotations

from typing import Any

import numpy as np

from oplibrary.core.op import REGISTRY, lookup
from oplibrary.core.types import type_of
from oplibrary.messages.errors import ArgumentError, SideBySideError, SymbolicArrayError

_SPELLINGS = {
    "arcsin": "asin",
    "arccos": "acos",
    "arctan": "atan",
    "arctan2": "atan2",
    "arcsinh": "asinh",
    "arccosh": "acosh",
    "arctanh": "atanh",
    "absolute": "abs",
    "conjugate": "conj",
    "invert": "bitwise_invert",
    "left_shift": "bitwise_left_shift",
    "power": "pow",
    "right_shift": "bitwise_right_shift",
    "rint": "round",
    "true_divide": "divide",
}
"""NumPy's names of functions that the array API standard spells otherwise."""

_REDUCTIONS = {
    "add": "sum",
    "multiply": "prod",
    "maximum": "max",
    "minimum": "min",
    "logical_and": "all",
    "logical_or": "any",
}

_OTHER_FOR_INTEGERS = frozenset({"reciprocal", "rint"})
"""Functions whose result of whole numbers has another dtype in NumPy: 1 / 2 is 0 there."""


def unsupported(what: str) -> SymbolicArrayError:
    """Return the error of a NumPy function, or an argument of one, that there is no op for."""
    return SymbolicArrayError(
        f"{what} has no counterpart here",
        cause="NumPy would need the plain numbers, and the graph would be lost",
        fix=f"use the library's own functions in place of {what}; for a dynamic tensor, "
        "x.detach().numpy() gives the numbers",
    )


def unusable(what: str, error: Exception) -> ArgumentError:
    """Return the error of a NumPy function whose arguments our functions ended with `error` on."""
    return ArgumentError(
        f"{what}: {error}",
        cause="an argument is of a kind that the function cannot use here",
        fix="pass arrays as arrays of this library, and what is constant as plain numbers",
    )


def require_out(ufunc: np.ufunc, result: Any, out: Any) -> None:
    """Refuse an ``out`` that a function of whole vectors or matrices would fill several times.

    NumPy computes into it then while it may still be read.

    Raises
    ------
    SymbolicArrayError
    """
    if ufunc.signature is not None and result.shape != out.shape:
        raise unsupported(f"numpy.{ufunc.__name__}: argument 'out' of another shape")


def call_ufunc(ufunc: np.ufunc, method: str, inputs: tuple[Any, ...], kwargs: Any) -> Any:
    """Run the op of `ufunc`; the body of ``__array_ufunc__``.

    Raises
    ------
    SymbolicArrayError
        If there is no such op, or `method` or an argument has no counterpart.
    """
    name = ufunc.__name__
    shown = f"numpy.{name}" if method == "__call__" else f"numpy.{name}.{method}"
    taken = {}
    for argument, value in kwargs.items():
        if method == "reduce" and argument in ("axis", "keepdims"):
            taken[argument] = value
        elif value is not None:
            raise unsupported(f"{shown}: argument {argument!r}")
    if method == "reduce" and name in _REDUCTIONS:
        return REGISTRY[_REDUCTIONS[name]](*inputs, **{"axis": 0, **taken})
    ours = lookup(_SPELLINGS.get(name, name))
    if ours is None or method != "__call__":
        raise unsupported(shown)
    if name in _OTHER_FOR_INTEGERS and type_of(inputs[0]).dtype.kind in "biu":
        raise unsupported(f"{shown} of whole numbers")
    try:
        return ours(*inputs)
    except SideBySideError:
        raise
    except (TypeError, AttributeError, ValueError, IndexError) as error:
        raise unusable(shown, error) from error
