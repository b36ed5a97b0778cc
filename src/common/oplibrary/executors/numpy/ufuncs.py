"""What NumPy's universal functions can do besides being called with operands.

``np.add(x, y, out=z, where=mask)``, ``np.add.reduce``, ``accumulate``, ``outer``, ``reduceat`` and
``at`` are compositions of ops, so they run in every mode and are differentiable.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from oplibrary.executors.numpy.folds import accumulate, reduce, reduceat
from oplibrary.executors.numpy.protocols import counterpart, require_choice, unsupported, unusable
from oplibrary.executors.numpy.repeats import at
from oplibrary.executors.numpy.values import as_operand, converted, put_into
from oplibrary.messages.errors import DTypeError, ShapeError, SideBySideError
from oplibrary.ops.numbers import number_array
from oplibrary.values.dtypes import to_dtype
from oplibrary.values.types import number_kind


def call_ufunc_with(
    ufunc: np.ufunc, method: str, inputs: tuple[Any, ...], kwargs: dict[str, Any]
) -> Any:
    """Run `ufunc`, or a method of it, with arguments; the body of ``__array_ufunc__``.

    Raises
    ------
    SymbolicArrayError
        If there is no such op, or `method` or an argument has no counterpart.
    """
    try:
        if method == "__call__":
            return call(ufunc, inputs, dict(kwargs))
        return call_method(ufunc, method, inputs, dict(kwargs))
    except SideBySideError:
        raise
    except (TypeError, AttributeError, ValueError, IndexError, OverflowError) as error:
        raise unusable(f"numpy.{ufunc.__name__}", error) from error


# calls --------------------------------------------------------------------------------------------


def call(ufunc: np.ufunc, inputs: tuple[Any, ...], given: dict[str, Any]) -> Any:
    """Run the op of `ufunc` with what NumPy takes by name.

    Raises
    ------
    SymbolicArrayError
        If an argument has no counterpart.
    """
    shown = f"numpy.{ufunc.__name__}"
    out, where = given.pop("out", None), given.pop("where", True)
    dtype, casting = given.pop("dtype", None), given.pop("casting", "same_kind")
    given.pop("subok", None)  # of which class the result is
    require_choice(shown, "order", given.pop("order", "K"))  # how it lies in memory
    for argument, value in given.items():
        if argument != "axis" or ufunc.signature is None:
            raise unsupported(f"{shown}: argument {argument!r}")
        if value not in (-1, None):
            raise unsupported(f"{shown}: argument 'axis' other than -1")
    if where is not True and out is None:
        raise unsupported(f"{shown}: argument 'where' without 'out'")
    if dtype is not None or casting != "same_kind":
        inputs = _as_loop(ufunc, inputs, dtype, casting)
    result = counterpart(ufunc)(*inputs)
    results = result if isinstance(result, tuple) else (result,)
    if dtype is not None and ufunc.nout == 1:
        results = (converted(results[0], to_dtype(dtype)),)
    if out is not None:
        targets = out if isinstance(out, tuple) else (out,)
        if ufunc.signature is not None and targets[0].shape != results[0].shape:
            # NumPy would compute whole vectors or matrices into it while it is still read
            raise unsupported(f"{shown}: argument 'out' of another shape")
        results = tuple(
            each if target is None else put_into(target, each, shown, casting, where)
            for target, each in zip(targets, results, strict=True)
        )
    return results[0] if len(results) == 1 else results


def _as_loop(ufunc: np.ufunc, inputs: tuple[Any, ...], dtype: Any, casting: Any) -> Any:
    """Return the operands as the loop with results of `dtype` takes them."""
    found = [number_kind(x) for x in inputs]
    operands = [as_operand(x) if kind is None else x for x, kind in zip(inputs, found, strict=True)]
    kinds: list[Any] = [kind or x.dtype for x, kind in zip(operands, found, strict=True)]
    kinds = [np.dtype(bool) if kind is bool else kind for kind in kinds]  # no weak number in NumPy
    if casting in ("equiv", b"equiv") and any(isinstance(kind, type) for kind in kinds):
        # NumPy's call refuses them, but asked for the loop it does not come back
        raise DTypeError(
            f"numpy.{ufunc.__name__}: casting={casting!r} with a Python number",
            cause="a number is converted to the dtype beside it, which this rule forbids",
            fix="convert it with asarray first, or leave the argument casting out",
        )
    given: dict[str, Any] = {"casting": casting}
    if dtype is not None:
        given["signature"] = (*[None] * ufunc.nin, *[to_dtype(dtype)] * ufunc.nout)
    try:
        loop = ufunc.resolve_dtypes((*kinds, *[None] * ufunc.nout), **given)
    except TypeError as error:
        raise DTypeError(
            f"numpy.{ufunc.__name__}: {error}",
            cause="NumPy has no such loop for operands of these dtypes",
            fix="convert the operands with astype first",
        ) from None
    return [
        converted(x, to) if number_kind(x) is None else number_array(x, to)
        for x, to in zip(operands, loop, strict=False)
    ]


# methods ------------------------------------------------------------------------------------------


def call_method(
    ufunc: np.ufunc, method: str, inputs: tuple[Any, ...], given: dict[str, Any]
) -> Any:
    """Run a method of `ufunc`, such as ``np.add.reduce``.

    Raises
    ------
    SymbolicArrayError
        If there is none, or an argument has no counterpart.
    """
    shown = f"numpy.{ufunc.__name__}.{method}"
    run = _METHODS.get(method)
    if run is None or (method != "at" and ufunc.nin != 2) or ufunc.nout != 1 or ufunc.signature:
        raise unsupported(shown)
    counterpart(ufunc)
    out = given.pop("out", None)
    (target,) = out if isinstance(out, tuple) else (out,)
    code = run.__code__
    taken = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
    for argument in given:
        if argument == "out_dtype" or (argument not in taken and method != "outer"):
            raise unsupported(f"{shown}: argument {argument!r}")
    if target is not None and "out_dtype" in taken:
        given["out_dtype"] = target.dtype
    result = run(ufunc, *inputs, **given)
    if target is None or method == "at":
        return result
    if target.shape != result.shape:
        raise ShapeError(
            f"{shown}: a result of shape {result.shape} does not fit into {target.shape}",
            cause="the argument out has the shape of the result",
            fix="leave it out, or pass one of that shape",
        )
    return put_into(target, result, shown, "unsafe" if "dtype" in given else "same_kind")


def outer(ufunc: np.ufunc, a: Any, b: Any, **given: Any) -> Any:
    """Apply `ufunc` to all pairs of an element of `a` and one of `b`."""
    a, b = as_operand(a), as_operand(b)
    spread = a.reshape((*a.shape, *(1,) * len(b.shape)))
    return call(ufunc, (spread, b), given)


_METHODS: dict[str, Callable[..., Any]] = {
    "reduce": reduce,
    "accumulate": accumulate,
    "outer": outer,
    "reduceat": reduceat,
    "at": at,
}
