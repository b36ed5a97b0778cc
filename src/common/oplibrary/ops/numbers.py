"""Numbers among the operands of compositions: Python's, and values that act as these."""

from __future__ import annotations

from typing import Any

import numpy as np

from oplibrary.core.dispatch import EXECUTORS
from oplibrary.core.registry import REGISTRY
from oplibrary.values.types import number_kind


def number_array(x: Any, dtype: Any = None) -> Any:
    """Return a number, or nested ones, as an array of `dtype`, by default of NumPy's for them."""
    if type(x) in EXECUTORS:  # it acts as a number
        return REGISTRY["cast"](x, dtype=x.dtype if dtype is None else dtype)
    return np.asarray(x, dtype)


def array_of(x: Any) -> Any:
    """Return an operand that may be a number or a list; those have the dtype that NumPy gives."""
    if type(x) in EXECUTORS and number_kind(x) is not None:
        return number_array(x)
    return x if hasattr(x, "dtype") else np.asarray(x)
