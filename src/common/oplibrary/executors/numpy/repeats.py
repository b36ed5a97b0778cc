"""The method ``at`` of universal functions: in place, as often as the indices say so."""

from __future__ import annotations

from typing import Any

import numpy as np

from oplibrary.core.registry import REGISTRY
from oplibrary.executors.numpy.protocols import counterpart, unsupported
from oplibrary.executors.numpy.values import as_operand, fitting, is_value, numbers
from oplibrary.ops.indexing import getitem, set_item
from oplibrary.ops.scatter import scatter_add


def at(ufunc: np.ufunc, x: Any, indices: Any, *operands: Any) -> None:
    """Apply `ufunc` in place where the indices say, once for each time that they say so.

    Raises
    ------
    SymbolicArrayError
        If `x` is no value of an executor, or indices are static values and the function is neither
        ``add`` nor ``subtract``.
    """
    shown = f"numpy.{ufunc.__name__}.at"
    if not is_value(x):
        raise unsupported(f"{shown} of a plain array")
    positions = np.arange(int(np.prod(x.shape))).reshape(tuple(x.shape))
    places = as_operand(getitem(positions, indices))
    flat, line = places.reshape((-1,)), x.reshape((-1,))
    shape = tuple(places.shape)
    spread = [REGISTRY["broadcast_to"](as_operand(v), shape=shape).reshape((-1,)) for v in operands]
    if ufunc in (np.add, np.subtract):
        (change,) = spread
        change = fitting(change if ufunc is np.add else -change, x.dtype, shown)
        x.copy_(scatter_add(line, flat, change).reshape(x.shape))
        return
    known = numbers(flat)
    for turn in _turns(known):
        chosen = REGISTRY["take"](line, known[turn], axis=0)
        others = [REGISTRY["take"](v, turn, axis=0) for v in spread]
        result = fitting(counterpart(ufunc)(chosen, *others), x.dtype, shown)
        line = set_item(line, known[turn], result)
    x.copy_(line.reshape(x.shape))


def _turns(places: np.ndarray[Any, Any]) -> list[np.ndarray[Any, Any]]:
    """Return the positions in `places` in turns, in each of which no place is named twice."""
    order = np.argsort(places, kind="stable")
    ordered = places[order]
    begins = np.flatnonzero(np.diff(ordered, prepend=-1))
    lengths = np.diff(begins, append=len(ordered))
    turn = np.empty_like(order)
    turn[order] = np.arange(len(order)) - np.repeat(begins, lengths)
    return [np.flatnonzero(turn == number) for number in range(lengths.max(initial=0))]
