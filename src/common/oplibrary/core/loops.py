"""Loops of the executors, for compositions that need one."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from oplibrary.core.dispatch import SCANS


def scan_of(values: Iterable[Any]) -> Callable[..., Any]:
    """Return the ``scan(body, init, xs, reverse=False)`` of the executor that values belong to."""
    for value in values:
        found = SCANS.get(type(value))
        if found is not None:
            return found
    return _scan_arrays


def _scan_arrays(
    body: Callable[..., Any], init: Any, xs: Any, reverse: bool = False
) -> tuple[Any, Any]:
    """Run ``carry, y = body(carry, x)`` for each row of an array, and stack the ys, if any."""
    carry, rows = init, []
    for x in reversed(xs) if reverse else xs:
        carry, y = body(carry, x)
        rows.append(y)
    if all(row is None for row in rows):
        return carry, None
    return carry, np.stack(rows[::-1] if reverse else rows)
