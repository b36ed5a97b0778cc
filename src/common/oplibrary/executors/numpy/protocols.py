"""NumPy's universal functions on Tensors and Nodes: ``np.tanh(x)`` runs our op of that meaning."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from oplibrary.core.registry import REGISTRY, lookup
from oplibrary.messages.errors import ArgumentError, SideBySideError, SymbolicArrayError
from oplibrary.ops.numbers import number_array
from oplibrary.values.types import number_kind, type_of

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


_SORTS = ("quicksort", "mergesort", "heapsort", "stable", "quick", "merge", "heap", None)
_CHOICES: Mapping[str, tuple[Any, ...]] = {
    "order": ("C", "F", "A", "K"),
    "numpy.sort kind": _SORTS,
    "numpy.argsort kind": _SORTS,
    "numpy.partition kind": ("introselect",),
    "numpy.argpartition kind": ("introselect",),
    "numpy.isin kind": ("sort", "table", None),
}
"""Values of arguments without effect here, by the argument, or by function and argument."""


def require_choice(function: str, argument: str, value: Any) -> None:
    """Refuse a value that NumPy refuses, of an argument that is otherwise without effect.

    Raises
    ------
    ArgumentError
    """
    choices = _CHOICES.get(f"{function} {argument}", _CHOICES.get(argument))
    if choices is not None and value not in choices:
        raise ArgumentError(
            f"{function}: {argument} is {value!r}",
            cause="NumPy knows " + ", ".join(repr(each) for each in choices if each is not None),
            fix="leave it out: it says how NumPy computes, and never which value",
        )


def require_one_of(function: str, names: tuple[str, ...], given: Mapping[str, Any]) -> None:
    """Refuse more than one of some arguments that say the same, as NumPy does.

    Raises
    ------
    ArgumentError
    """
    found = [each for each in names if given.get(each) is not None]
    if len(found) > 1:
        raise ArgumentError(
            f"{function}: {' and '.join(found)} are both given",
            cause="each says in which way the same is computed",
            fix=f"leave out {found[0]}",
        )


def _rint(x: Any) -> Any:
    kind = type_of(x)
    if kind.dtype.kind in "biu":
        x = REGISTRY["cast"](x, dtype=np.rint.resolve_dtypes((kind.dtype, None))[-1])
    return REGISTRY["round"](x)


def _reciprocal(x: Any) -> Any:
    if type_of(x).dtype.kind in "biu":  # 1 / 2 is 0 there
        raise unsupported("numpy.reciprocal of whole numbers")
    return REGISTRY["reciprocal"](x)


_OTHER_FOR_INTEGERS: dict[np.ufunc, Callable[..., Any]] = {
    np.rint: _rint,
    np.reciprocal: _reciprocal,
}
"""Functions whose result of whole numbers has another dtype in NumPy."""


def counterpart(ufunc: np.ufunc) -> Callable[..., Any]:
    """Return our function of the meaning of `ufunc`.

    Raises
    ------
    SymbolicArrayError
        If there is none.
    """
    name = ufunc.__name__
    ours = _OTHER_FOR_INTEGERS.get(ufunc) or lookup(_SPELLINGS.get(name, name))
    if ours is None:
        raise unsupported(f"numpy.{name}")
    return ours


def call_ufunc(ufunc: np.ufunc, inputs: tuple[Any, ...]) -> Any:
    """Run the op of `ufunc`; the body of ``__array_ufunc__`` for a call with operands alone.

    Raises
    ------
    SymbolicArrayError
        If there is no such op.
    """
    try:
        return counterpart(ufunc)(*inputs)
    except SideBySideError:
        raise
    except (TypeError, AttributeError, ValueError, IndexError) as error:
        raise unusable(f"numpy.{ufunc.__name__}", error) from error


def call_on_numbers(ufunc: np.ufunc, inputs: tuple[Any, ...]) -> Any:
    """Run the op of `ufunc` on what acts as Python numbers, and on numbers and arrays of NumPy's.

    Where such a value is a plain number, as in the dynamic executor, nothing but NumPy runs: the
    operands get the dtypes that it would choose.
    """
    kinds = [number_kind(x) or np.asarray(x).dtype for x in inputs]
    try:
        dtypes = ufunc.resolve_dtypes((*kinds, *[None] * ufunc.nout))
    except TypeError:  # the op says what is wrong
        dtypes = ()
    if not dtypes or any(dtype.kind == "O" for dtype in dtypes):  # ints are compared as objects
        return call_ufunc(ufunc, inputs)
    operands = [number_array(x, dtype) for x, dtype in zip(inputs, dtypes, strict=False)]
    return call_ufunc(ufunc, tuple(operands))
