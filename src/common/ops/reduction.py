"""Reductions over axes."""

from __future__ import annotations

from typing import Any

import numpy as np

from common.op import example
from common.ops.movement import broadcast_to
from common.rules import reduction
from common.types import Array, TensorType, normalize_axes

Axis = int | tuple[int, ...] | None


def expand_reduced(g: Any, x_type: TensorType, axis: Axis, keepdims: bool) -> Any:
    """Return `g`, the gradient of a reduction's result, with the reduced axes back as length 1."""
    if keepdims:
        return g
    axes = normalize_axes(axis, x_type.ndim)
    return g.reshape(tuple(1 if i in axes else n for i, n in enumerate(x_type.shape)))


def _sum(x: Array, out: Array | None = None, *, axis: Axis = None, keepdims: bool = False) -> Any:
    return np.add.reduce(x, axis, None, out, keepdims)


def _sum_dtype(dtype: np.dtype[Any]) -> np.dtype[Any]:
    return np.add.reduce(np.zeros(0, dtype)).dtype


def _sum_vjp(g: Any, _out: Any, x_type: TensorType, *, axis: Axis, keepdims: bool) -> Any:
    return broadcast_to(expand_reduced(g, x_type, axis, keepdims), shape=x_type.shape)


sum = reduction(  # noqa: A001  the array API's name
    "sum",
    _sum,
    infer_dtype=_sum_dtype,
    vjp=_sum_vjp,
    examples=(example((3, 4)), example((3, 4), axis=0), example((2, 3, 4), axis=(0, 2), keepdims=True)),
    doc="Sum the elements over `axis`.",
)
