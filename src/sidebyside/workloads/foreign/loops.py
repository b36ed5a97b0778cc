"""A loop for every namespace: its own, where it has one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from oplibrary.values.tree import flatten, map_tree


def scan(xp: Any, step: Callable[..., Any], carry: Any, items: Any) -> tuple[Any, Any]:
    """Return the last carry of ``step(carry, item) -> (carry, array)``, and the arrays, stacked.

    Parameters
    ----------
    xp : namespace
        With its own ``scan`` (dyngraph, staticgraph, JAX), that one runs; elsewhere Python does.
    step : callable
    carry : tree of array
    items : tree of array
        Of one length along axis 0; each step gets one position.
    """
    if hasattr(xp, "scan"):
        found: tuple[Any, Any] = xp.scan(step, carry, items)
        return found
    given = []
    for position in range(flatten(items)[0][0].shape[0]):
        carry, array = step(carry, map_tree(lambda each: each[position], items))  # noqa: B023
        given.append(array)
    return carry, xp.stack(given)
