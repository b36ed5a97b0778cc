"""JAX's gather and scatter: windows of an array at positions that other arrays hold."""

from __future__ import annotations

import builtins
from math import prod
from typing import Any

import numpy as np

from oplibrary.messages.errors import UnsupportedOpError
from oplibrary.values.dtypes import FLOATING
from staticgraph.importing.jaxprs.lengths import clipped, counted
from staticgraph.importing.jaxprs.table import TABLE

_CLIP, _DROP = 0, 1
"""Of the modes of JAX: positions outside are moved inside, or what is there is left out."""


def _mode(mode: Any) -> str:
    name = str(getattr(mode, "name", mode)).upper()
    if "CLIP" in name or mode == _CLIP:
        return "clip"
    return "drop" if "FILL" in name or mode == _DROP else "inside"


def _positions(
    xp: Any, indices: Any, shape: Any, sizes: Any, axes: Any, rows: Any, index_rows: Any, mode: str
) -> tuple[list[Any], Any]:
    """Return the index of every element of the windows along every axis.

    Parameters
    ----------
    indices : array
        ``(..., k)``: where each window starts, along each of `axes`.
    shape, sizes
        Of the array, and of a window.
    axes : sequence of int
        Which axis each number of an index counts along.
    rows, index_rows
        Axes that the array and the indices have in common, which are paired.

    Returns
    -------
    index : list of array
        One an axis, of shapes that broadcast to ``(..., *sizes)``.
    inside : array or None
        Which windows lie inside the array, if others are to be dropped.
    """
    rank = len(indices.shape) - 1
    inside: Any = None
    found = []
    for axis, (n, size) in enumerate(zip(shape, sizes, strict=True)):
        around = (1,) * (rank + axis) + (-1,) + (1,) * (len(shape) - axis - 1)
        window = counted(xp, size).reshape(around)
        if axis in axes:
            start = indices[(..., list(axes).index(axis))]
            if mode == "drop":
                fits = xp.logical_and(start >= 0, start <= n - size)
                inside = fits if inside is None else xp.logical_and(inside, fits)
            if mode != "inside":
                start = clipped(xp, start, n - size)
            start = xp.reshape(start, (*indices.shape[:-1], *(1,) * len(shape)))
            found.append(start + xp.astype(xp.asarray(window), start.dtype))
        elif axis in rows:
            row = index_rows[list(rows).index(axis)]
            lengths = [1] * (rank + len(shape))
            lengths[row] = n
            found.append(counted(xp, n).reshape(tuple(lengths)))
        else:
            found.append(window)
    return found, inside


@TABLE.entry("gather", ignored=("unique_indices", "indices_are_sorted"))
def _gather(
    xp: Any,
    x: Any,
    indices: Any,
    dimension_numbers: Any,
    slice_sizes: Any,
    mode: Any,
    fill_value: Any,
) -> Any:
    d = dimension_numbers
    how = _mode(mode)
    rows = tuple(getattr(d, "operand_batching_dims", ()))
    index_rows = tuple(getattr(d, "start_indices_batching_dims", ()))
    rank = len(indices.shape) - 1
    found, inside = _positions(
        xp, indices, x.shape, slice_sizes, d.start_index_map, rows, index_rows, how
    )
    gone = {*d.collapsed_slice_dims, *rows}
    kept = [a for a in range(len(x.shape)) if a not in gone]
    # axes that are taken whole stay slices: they are put last, behind those that indices select
    whole = [a for a in kept if a not in d.start_index_map and slice_sizes[a] == x.shape[a]]
    chosen = [a for a in range(len(x.shape)) if a not in whole]
    turned = xp.permute_dims(xp.asarray(x), (*chosen, *whole))
    drop = tuple([rank + a for a in range(len(x.shape)) if a in gone or a in whole])
    key = [_without(xp, found[a], drop) for a in chosen]
    values = turned[tuple(key)] if key else turned
    order = [a for a in kept if a in chosen] + whole  # behind the axes of the indices
    total = rank + len(order)
    if inside is not None:
        lowest: Any = np.nan if x.dtype.kind in FLOATING else _extreme(x.dtype)
        fill = lowest if fill_value is None else fill_value
        mask = xp.reshape(inside, (*inside.shape, *(1,) * len(order)))
        values = xp.where(mask, values, xp.asarray(np.asarray(fill, x.dtype)))
    windows = [rank + order.index(a) for a in kept]
    batch = iter(range(rank))
    at = iter(windows)
    places = [next(at) if i in d.offset_dims else next(batch) for i in range(total)]
    return xp.permute_dims(values, tuple(places)) if places != list(range(total)) else values


def _extreme(dtype: Any) -> Any:
    if dtype == np.bool_:
        return True
    limits = np.iinfo(dtype)
    return limits.max if dtype.kind == "u" else limits.min


def _without(xp: Any, index: Any, axes: tuple[int, ...]) -> Any:
    shape = tuple([n for a, n in enumerate(index.shape) if a not in axes])
    return xp.reshape(xp.asarray(index), shape)


def _scattered(
    xp: Any, x: Any, indices: Any, updates: Any, dimension_numbers: Any, mode: Any
) -> tuple[Any, Any, Any, int]:
    """Return an array as a row with a place behind it, where updates go, they, and its size."""
    d = dimension_numbers
    rows = tuple(getattr(d, "operand_batching_dims", ()))
    index_rows = tuple(getattr(d, "scatter_indices_batching_dims", ()))
    inserted = {*d.inserted_window_dims, *rows}
    kept = [a for a in range(len(x.shape)) if a not in inserted]
    sizes = [1] * len(x.shape)
    for a, at in zip(kept, d.update_window_dims, strict=True):
        sizes[a] = updates.shape[at]
    how = _mode(mode)
    found, inside = _positions(
        xp, indices, x.shape, sizes, d.scatter_dims_to_operand_dims, rows, index_rows, how
    )
    size = prod(x.shape)
    where: Any = 0
    for a, index in enumerate(found):
        where = where * x.shape[a] + xp.astype(xp.asarray(index), np.dtype("int64"))
    full = (*indices.shape[:-1], *sizes)
    where = xp.broadcast_to(xp.asarray(where), full)
    if inside is not None:  # those outside go to the place behind
        where = xp.where(xp.reshape(inside, (*inside.shape, *(1,) * len(sizes))), where, size)
    others = [i for i in range(len(updates.shape)) if i not in d.update_window_dims]
    turned = xp.permute_dims(updates, (*others, *d.update_window_dims))
    row = xp.pad(xp.reshape(x, (-1,)), [(0, 1)], 0)
    return row, xp.reshape(where, (-1,)), xp.reshape(turned, (-1,)), size


_UNREAD = ("indices_are_sorted", "unique_indices", "update_jaxpr", "update_consts")


@TABLE.entry("scatter-add", ignored=_UNREAD)
def _scatter_add(
    xp: Any, x: Any, indices: Any, updates: Any, dimension_numbers: Any, mode: Any
) -> Any:
    row, where, values, size = _scattered(xp, x, indices, updates, dimension_numbers, mode)
    return xp.reshape(xp.scatter_add(row, where, values)[:size], x.shape)


@TABLE.entry("scatter-sub", ignored=_UNREAD)
def _scatter_sub(xp: Any, x: Any, indices: Any, updates: Any, **given: Any) -> Any:
    return _scatter_add(xp, x, indices, -updates, **given)


def _scatter_with(name: str) -> Any:
    def entry(
        xp: Any, x: Any, indices: Any, updates: Any, dimension_numbers: Any, mode: Any
    ) -> Any:
        row, where, values, size = _scattered(xp, x, indices, updates, dimension_numbers, mode)
        return xp.reshape(getattr(xp, name)(row, where, values)[:size], x.shape)

    return entry


for theirs, ours in (("max", "max"), ("min", "min"), ("mul", "prod")):
    TABLE.entry(f"scatter-{theirs}", ignored=_UNREAD)(_scatter_with(f"scatter_{ours}"))


@TABLE.entry("scatter", ignored=("indices_are_sorted", "update_consts"))
def _scatter(
    xp: Any,
    x: Any,
    indices: Any,
    updates: Any,
    dimension_numbers: Any,
    mode: Any,
    update_jaxpr: Any = None,
    unique_indices: bool = False,
) -> Any:
    row, where, values, size = _scattered(xp, x, indices, updates, dimension_numbers, mode)
    if update_jaxpr is not None:  # a function of what is there, in the place of the updates
        if not unique_indices and prod(indices.shape[:-1]) != 1:
            raise UnsupportedOpError(
                "a function is applied at several indices",
                cause="JAX applies it again each time that an index comes",
                fix="pass unique_indices=True to apply, where none comes twice",
            )
        (values,) = update_jaxpr(xp.take(row, where, axis=0), values)
    return xp.reshape(xp.set_item(row, (where,), values)[:size], x.shape)


def _window_key(xp: Any, x: Any, starts: Any, sizes: Any) -> tuple[Any, ...]:
    """Return what selects a window; starts that would leave the array are moved inside."""
    some = [a for a, (n, size) in enumerate(zip(x.shape, sizes, strict=True)) if n != size]
    key: list[Any] = [builtins.slice(None)] * len(sizes)
    for i, a in enumerate(some):
        start = clipped(xp, starts[a], x.shape[a] - sizes[a])
        index = start + xp.astype(xp.asarray(counted(xp, sizes[a])), start.dtype)
        key[a] = xp.reshape(index, (-1,) + (1,) * (len(some) - i - 1))
    if some and some != list(range(some[0], some[0] + len(some))):
        for a in range(len(sizes)):  # indices of every axis, so that none changes its place
            rest = len(sizes) - a - 1
            index = key[a] if a in some else xp.asarray(counted(xp, sizes[a]))
            key[a] = xp.reshape(index, (-1,) + (1,) * rest)
    return tuple(key)


@TABLE.entry("dynamic_slice")
def _dynamic_slice(xp: Any, x: Any, *starts: Any, slice_sizes: Any) -> Any:
    return xp.asarray(x)[_window_key(xp, x, starts, slice_sizes)]


@TABLE.entry("dynamic_update_slice")
def _dynamic_update_slice(xp: Any, x: Any, update: Any, *starts: Any) -> Any:
    return xp.set_item(x, _window_key(xp, x, starts, update.shape), update)
