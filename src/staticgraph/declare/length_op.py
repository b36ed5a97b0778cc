"""The op that gives a length as a value, where a gradient divides by it, say."""

from __future__ import annotations

from typing import Any

import numpy as np

from oplibrary.core.op import Kind, Op
from oplibrary.values.types import Array, TensorType


def _value(length: int, over: float | None, dtype: np.dtype[Any]) -> Array:
    return np.asarray(length if over is None else over / length, dtype)


LENGTH = Op(
    name="length",
    kind=Kind.CREATION,
    arity=0,
    kernel=lambda *, length, over, dtype: _value(length, over, dtype),
    infer=lambda *, length, over, dtype: TensorType((), dtype),
    # programs that were saved by version 0.1 have what is divided by a length
    attrs={"length": ..., "dtype": ..., "over": None},
    doc="A length that each run has, or a number divided by it.",
)
