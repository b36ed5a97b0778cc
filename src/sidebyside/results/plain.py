"""Values as JSON has them."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Mapping
from typing import Any

import numpy as np

NOT_FINITE = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}
"""The texts that stand for numbers which JSON does not have."""


def plain(value: Any) -> Any:
    """Return `value` as JSON has it: dataclasses as objects, numbers that are not finite as text.

    Examples
    --------
    >>> plain({"calls": float("inf"), "phases": ("trace", 1.5), "blocks": np.ones(2)})
    {'calls': 'Infinity', 'phases': ['trace', 1.5], 'blocks': [1.0, 1.0]}
    """
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {
            field.name: plain(getattr(value, field.name)) for field in dataclasses.fields(value)
        }
    if isinstance(value, Mapping):
        return {str(key): plain(each) for key, each in value.items()}
    if isinstance(value, (np.ndarray, np.generic)):
        return plain(value.tolist())
    if isinstance(value, (tuple, list)):
        return [plain(each) for each in value]
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    return value


def to_text(data: Any) -> str:
    """Return `data` as JSON text."""
    return json.dumps(data, indent=2, ensure_ascii=False) + "\n"
