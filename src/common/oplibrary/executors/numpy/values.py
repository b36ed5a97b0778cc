"""Operands, results and targets of NumPy's functions, as our functions take them."""

from __future__ import annotations

from typing import Any

import numpy as np

from oplibrary.core.dispatch import EXECUTORS
from oplibrary.core.registry import REGISTRY
from oplibrary.executors.numpy.protocols import unsupported
from oplibrary.messages.errors import DTypeError
from oplibrary.values.data import to_numbers
from oplibrary.values.dtypes import castable
from oplibrary.values.types import is_scalar


def is_value(x: Any) -> bool:
    """Tell whether `x` is a value of an executor, such as a Tensor."""
    return type(x) in EXECUTORS


def as_operand(x: Any) -> Any:
    """Return an operand that may be a number or a list; NumPy gives lists a dtype of their own."""
    return x if hasattr(x, "shape") else to_numbers(x, None, "operand")


def numbers(x: Any) -> Any:
    """Return `x` as plain numbers.

    Raises
    ------
    SymbolicValueError, NotDifferentiableError
        If it is a static value, or one that requires a gradient.
    """
    return x.numpy() if is_value(x) else np.asarray(x)


def converted(x: Any, dtype: np.dtype[Any]) -> Any:
    """Return `x` as `dtype`: itself where it has it."""
    return x if is_scalar(x) or x.dtype == dtype else REGISTRY["cast"](x, dtype=dtype)


def put_into(
    out: Any, result: Any, shown: str, casting: Any = "same_kind", where: Any = True
) -> Any:
    """Overwrite `out` with `result`, and return it.

    Parameters
    ----------
    out, result : array
    shown : str
        What the user called.
    casting : str
        NumPy's rule for which dtypes are converted.
    where : bool array or True
        Which elements are overwritten.

    Raises
    ------
    SymbolicArrayError
        If `out` is neither a value of an executor nor an ndarray for numbers that are at hand.
    NotDifferentiableError
        If it is an ndarray, and `result` requires a gradient.
    DTypeError
        If the rule forbids the conversion.
    """
    if isinstance(out, np.ndarray) and getattr(result, "_memory", lambda: None)() is not None:
        # numbers at hand, written where NumPy would; of a gradient there would be none left
        np.copyto(out, numbers(result), casting, numbers(where))
        return out
    if not is_value(out):
        raise unsupported(f"{shown}: argument 'out' that is no array of this library")
    result = fitting(result, out.dtype, shown, casting)
    if where is not True:
        result = converted(REGISTRY["where"](as_operand(where), result, out), out.dtype)
    return out.copy_(result)


def fitting(x: Any, dtype: np.dtype[Any], shown: str, casting: Any = "same_kind") -> Any:
    """Return `x` as `dtype`, where NumPy would convert it of itself."""
    if not castable(x.dtype, dtype, casting):
        raise DTypeError(
            f"{shown}: a result of dtype {x.dtype} does not fit into {dtype}",
            cause="an in-place operation cannot change its target's dtype",
            fix="convert the target or the operand with astype first",
        )
    return converted(x, dtype)
