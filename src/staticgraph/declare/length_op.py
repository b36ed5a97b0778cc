"""The op that gives a length as a value, where a gradient divides by it, say."""

from __future__ import annotations

from typing import Any

import numpy as np

from oplibrary.core.op import Kind, Op
from oplibrary.core.types import Array, TensorType
from staticgraph.program.polynomial import is_symbolic


def _value(length: int, over: float | None, dtype: np.dtype[Any]) -> Array:
    return np.asarray(length if over is None else over / length, dtype)


LENGTH = Op(
    name="length",
    kind=Kind.CREATION,
    arity=0,
    kernel=lambda *, length, over, dtype: _value(length, over, dtype),
    infer=lambda *, length, over, dtype: TensorType((), dtype),
    attrs={"length": ..., "over": None, "dtype": ...},
    doc="A length that each run has, or a number divided by it.",
)


def is_made_of_lengths(number: Any) -> bool:
    """Tell whether a Python number was computed from lengths that are not known."""
    if isinstance(number, float):
        return is_symbolic(int(number)) if number.is_integer() else _reciprocal(number) is not None
    return isinstance(number, int) and is_symbolic(number)


def length_attrs(number: int | float) -> dict[str, Any]:
    """Return the attributes of `LENGTH` for a number that is made of lengths."""
    if isinstance(number, int):
        return {"length": number, "over": None, "dtype": np.dtype(np.int64)}
    dtype = np.dtype(np.float64)
    if number.is_integer():
        return {"length": int(number), "over": None, "dtype": dtype}
    found = _reciprocal(number)
    assert found is not None
    return {"length": found[1], "over": found[0], "dtype": dtype}


def _reciprocal(number: float) -> tuple[float, int] | None:
    """Return `a` and `n` where `number` is ``a / n`` for a length and a small whole number."""
    if not 0 < abs(number) < 1e-5:
        return None
    for over in (1.0, 2.0, -1.0, -2.0):
        length = round(over / number)
        if over / length == number and is_symbolic(length):
            return over, length
    return None
