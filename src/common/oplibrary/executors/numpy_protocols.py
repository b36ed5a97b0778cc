"""NumPy functions on Tensors and Nodes: ``np.tanh(x)`` runs our op of the same meaning."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from oplibrary.core.op import REGISTRY, lookup
from oplibrary.messages.errors import SymbolicArrayError

# NumPy's names of functions that the array API standard spells otherwise
_SPELLINGS = {
    "concatenate": "concat",
    "transpose": "permute_dims",
    "amax": "max",
    "amin": "min",
    "arcsin": "asin",
    "arccos": "acos",
    "arctan": "atan",
    "arctan2": "atan2",
    "arcsinh": "asinh",
    "arccosh": "acosh",
    "arctanh": "atanh",
    "absolute": "abs",
    "power": "pow",
    "true_divide": "divide",
}


def _counterpart(name: str) -> Callable[..., Any] | None:
    return lookup(_SPELLINGS.get(name, name))


def _unsupported(what: str) -> SymbolicArrayError:
    return SymbolicArrayError(
        f"{what} has no counterpart here",
        cause="NumPy would need the plain numbers, and the graph would be lost",
        fix=f"use the library's own functions in place of {what}; for a dynamic tensor, "
        "x.detach().numpy() gives the numbers",
    )


def call_ufunc(ufunc: np.ufunc, method: str, inputs: tuple[Any, ...], kwargs: Any) -> Any:
    """Run the op of `ufunc`; the body of ``__array_ufunc__``.

    Raises
    ------
    SymbolicArrayError
        If there is no such op, or `method` or an argument has no counterpart.
    """
    name = ufunc.__name__
    if method == "reduce" and name in _REDUCTIONS and kwargs.keys() <= {"axis", "keepdims"}:
        reduce = REGISTRY[_REDUCTIONS[name]]
        axis = kwargs.get("axis", 0)
        return reduce(*inputs, axis=axis, keepdims=kwargs.get("keepdims", False))
    ours = _counterpart(name)
    if ours is None or method != "__call__" or kwargs:
        raise _unsupported(f"numpy.{name}" if method == "__call__" else f"numpy.{name}.{method}")
    return ours(*inputs)


_REDUCTIONS = {
    "add": "sum",
    "multiply": "prod",
    "maximum": "max",
    "minimum": "min",
    "logical_and": "all",
    "logical_or": "any",
}


_ATTRIBUTES = frozenset({"shape", "ndim", "size"})


def call_function(function: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Run our function of the same name; the body of ``__array_function__``.

    Raises
    ------
    SymbolicArrayError
        If there is none.
    """
    name = function.__name__
    if name in _ATTRIBUTES and len(args) == 1 and not kwargs:
        return getattr(args[0], name)
    if name in ("var", "std") and "ddof" in kwargs:
        kwargs["correction"] = kwargs.pop("ddof")
    ours = _counterpart(name)
    if ours is None:
        raise _unsupported(f"{function.__module__}.{name}")
    if name == "transpose":
        axes = kwargs.pop("axes", None) or (args[1] if len(args) > 1 else None)
        x = args[0]
        return ours(x, axes=tuple(axes) if axes is not None else tuple(range(x.ndim))[::-1])
    return ours(*args, **kwargs)
