"""JAX's reductions of windows, and their gradients."""

from __future__ import annotations

from typing import Any

import numpy as np

from oplibrary.messages.errors import UnsupportedOpError
from staticgraph.importing.jaxprs.primitives import pad
from staticgraph.importing.jaxprs.table import TABLE


def _window(kind: str) -> Any:
    def entry(
        xp: Any,
        x: Any,
        window_dimensions: Any,
        window_strides: Any,
        padding: Any,
        base_dilation: Any,
        window_dilation: Any,
    ) -> Any:
        moved = [a for a, n in enumerate(window_dimensions) if n != 1 or window_strides[a] != 1]
        if not 1 <= len(moved) <= 3 or {*base_dilation, *window_dilation} != {1}:
            raise UnsupportedOpError(
                f"windows of shape {tuple(window_dimensions)} are not supported",
                cause="a pool has windows along one to three axes, without dilation",
                fix="pool along these axes one after the other",
            )
        outside = -np.inf if kind == "max" else 0.0
        padded = pad(xp, x, np.float32(outside), [(*each, 0) for each in padding])
        kept = [a for a in range(len(x.shape)) if a not in moved]
        order = (*kept, *moved)
        turned = xp.permute_dims(padded, order)
        before = [padded.shape[a] for a in kept]
        images = xp.reshape(turned, (-1, 1, *[padded.shape[a] for a in moved]))
        kernel = tuple([window_dimensions[a] for a in moved])
        stride = tuple([window_strides[a] for a in moved])
        name = f"{kind}_pool{len(moved)}d"
        given = {} if kind == "max" else {"divisor_override": 1}
        found = getattr(xp, name)(images, kernel, stride, **given)
        found = xp.reshape(found, (*before, *found.shape[2:]))
        return xp.permute_dims(found, tuple(np.argsort(order).tolist()))

    return entry


TABLE.entry("reduce_window_max")(_window("max"))
TABLE.entry("reduce_window_sum")(_window("avg"))


@TABLE.entry("reduce_window_min")
def _window_min(xp: Any, x: Any, **given: Any) -> Any:
    return -_window("max")(xp, -x, **given)


@TABLE.entry("select_and_scatter_add")
def _select_and_scatter_add(
    xp: Any,
    source: Any,
    x: Any,
    select_prim: Any,
    window_dimensions: Any,
    window_strides: Any,
    padding: Any,
) -> Any:
    """Add each number of `source` where the first extreme of its window stands in `x`."""
    sign = {"ge": 1, "le": -1}[str(select_prim)]
    widths = [(low, high, 0) for low, high in padding]
    padded = pad(xp, x if sign > 0 else -x, np.float32(-np.inf), widths)
    shape = padded.shape
    # where each element of each window stands in the padded array, as a row of numbers
    axes = [
        np.arange((n - size) // step + 1)[:, None] * step + np.arange(size)
        for n, size, step in zip(shape, window_dimensions, window_strides, strict=True)
    ]
    rank, place = len(shape), np.zeros((), dtype="int64")
    for a, (index, n) in enumerate(zip(axes, shape, strict=True)):
        lengths = [1] * (2 * rank)
        lengths[a], lengths[rank + a] = index.shape
        place = place * n + index.reshape(lengths)
    windows = place.reshape(*source.shape, -1)
    values = xp.take(xp.reshape(padded, (-1,)), xp.asarray(windows), axis=0)
    first = xp.argmax(values, axis=-1, keepdims=True)
    where = xp.take_along_axis(xp.asarray(windows), first, axis=-1)
    row = xp.zeros(int(np.prod(shape)), dtype=source.dtype)
    row = xp.scatter_add(row, xp.reshape(where, (-1,)), xp.reshape(source, (-1,)))
    return pad(xp, xp.reshape(row, shape), np.float32(0), [(-a, -b, 0) for a, b in padding])
