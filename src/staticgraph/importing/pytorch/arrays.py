"""PyTorch's operators that make, move and select elements."""

from __future__ import annotations

import builtins
from collections.abc import Sequence
from typing import Any

import numpy as np

from oplibrary.messages.errors import UnsupportedOpError
from staticgraph.importing.pytorch.table import PLACED, TABLE

_END = 2**63 - 1


def _axis(dim: int, rank: int) -> int:
    return dim + rank if dim < 0 else dim


def _number_dtype(dtype: Any, *numbers: Any) -> Any:
    if dtype is not None:
        return dtype
    kinds = {type(number) for number in numbers}
    if bool in kinds:
        return np.dtype(bool)
    return np.dtype("float32") if float in kinds else np.dtype("int64")


# creation -----------------------------------------------------------------------------------------


@TABLE.entry("aten.full.default", ignored=PLACED)
def _full(xp: Any, size: Any, fill_value: Any, dtype: Any = None) -> Any:
    return xp.full(tuple(size), fill_value, dtype=_number_dtype(dtype, fill_value))


@TABLE.entry("aten.zeros.default", ignored=PLACED)
def _zeros(xp: Any, size: Any, dtype: Any = None) -> Any:
    return xp.zeros(tuple(size), dtype=dtype)


@TABLE.entry("aten.empty.memory_format", ignored=PLACED)
def _empty(xp: Any, size: Any, dtype: Any = None) -> Any:
    return xp.zeros(tuple(size), dtype=dtype)


@TABLE.entry("aten.empty_permuted.default", ignored=(*PLACED, "physical_layout"))
def _empty_permuted(xp: Any, size: Any, dtype: Any = None) -> Any:
    return xp.zeros(tuple(size), dtype=dtype)


@TABLE.entry("aten.ones.default", ignored=PLACED)
def _ones(xp: Any, size: Any, dtype: Any = None) -> Any:
    return xp.ones(tuple(size), dtype=dtype)


@TABLE.entry("aten.full_like.default", ignored=PLACED)
def _full_like(xp: Any, self: Any, fill_value: Any, dtype: Any = None) -> Any:
    return xp.full_like(self, fill_value, dtype=dtype)


@TABLE.entry("aten.zeros_like.default", ignored=PLACED)
def _zeros_like(xp: Any, self: Any, dtype: Any = None) -> Any:
    return xp.zeros_like(self, dtype=dtype)


@TABLE.entry("aten.ones_like.default", ignored=PLACED)
def _ones_like(xp: Any, self: Any, dtype: Any = None) -> Any:
    return xp.ones_like(self, dtype=dtype)


@TABLE.entry("aten.fill.Scalar", "aten.fill.Tensor")
def _fill(xp: Any, self: Any, value: Any) -> Any:
    return xp.broadcast_to(xp.astype(xp.asarray(value), self.dtype), self.shape)


@TABLE.entry("aten.scalar_tensor.default", ignored=PLACED)
def _scalar_tensor(xp: Any, s: Any, dtype: Any = None) -> Any:
    return xp.full((), s, dtype=_number_dtype(dtype, s))


@TABLE.entry("aten.arange.start_step", ignored=PLACED)
def _arange(xp: Any, start: Any, end: Any, step: Any = 1, dtype: Any = None) -> Any:
    return xp.arange(start, end, step, dtype=_number_dtype(dtype, start, end, step))


@TABLE.entry("aten.eye.default", "aten.eye.m", ignored=PLACED)
def _eye(xp: Any, n: int, m: int | None = None, dtype: Any = None) -> Any:
    return xp.eye(n, m, dtype=dtype)


# movement -----------------------------------------------------------------------------------------


@TABLE.entry("aten.view.default", "aten._unsafe_view.default")
def _view(xp: Any, self: Any, size: Any) -> Any:
    return xp.reshape(self, tuple(size))


@TABLE.entry("aten.reshape.default")
def _reshape(xp: Any, self: Any, shape: Any) -> Any:
    return xp.reshape(self, tuple(shape))


@TABLE.entry("aten.permute.default")
def _permute(xp: Any, self: Any, dims: Any) -> Any:
    return xp.permute_dims(self, tuple(dims))


@TABLE.entry("aten.transpose.int")
def _transpose(xp: Any, self: Any, dim0: int, dim1: int) -> Any:
    return xp.swapaxes(self, dim0, dim1) if len(self.shape) else self


@TABLE.entry("aten.t.default")
def _t(xp: Any, self: Any) -> Any:
    return xp.swapaxes(self, 0, 1) if len(self.shape) == 2 else self


@TABLE.entry("aten.expand.default", ignored=("implicit",))
def _expand(xp: Any, self: Any, size: Any) -> Any:
    missing = len(size) - len(self.shape)
    lengths = [
        self.shape[i - missing] if isinstance(n, int) and n == -1 else n for i, n in enumerate(size)
    ]
    return xp.broadcast_to(self, tuple(lengths))


@TABLE.entry("aten.unsqueeze.default")
def _unsqueeze(xp: Any, self: Any, dim: int) -> Any:
    return xp.expand_dims(self, axis=dim)


@TABLE.entry("aten.squeeze.dim", "aten.squeeze.dims", "aten.squeeze.default")
def _squeeze(xp: Any, self: Any, dim: Any = None) -> Any:
    rank = len(self.shape)
    given = range(rank) if dim is None else [dim] if isinstance(dim, int) else dim
    ones = [a for a in given if rank and _is_one(self.shape[_axis(a, rank)])]
    return xp.squeeze(self, axis=tuple(ones)) if ones else self


def _is_one(length: Any) -> bool:
    return isinstance(length, int) and length == 1


@TABLE.entry("aten.repeat.default")
def _repeat(xp: Any, self: Any, repeats: Any) -> Any:
    return xp.tile(self, tuple(repeats))


@TABLE.entry("aten.flip.default")
def _flip(xp: Any, self: Any, dims: Any) -> Any:
    return xp.flip(self, axis=tuple(dims)) if dims else self


@TABLE.entry("aten.roll.default")
def _roll(xp: Any, self: Any, shifts: Any, dims: Any = ()) -> Any:
    return xp.roll(self, tuple(shifts), tuple(dims)) if dims else xp.roll(self, shifts[0])


@TABLE.entry("aten.cat.default")
def _cat(xp: Any, tensors: Any, dim: int = 0) -> Any:
    filled = [x for x in tensors if not (len(x.shape) == 1 and _is_zero(x.shape[0]))]
    return xp.concat(filled or list(tensors), axis=dim)


def _is_zero(length: Any) -> bool:
    return isinstance(length, int) and length == 0


@TABLE.entry("aten.stack.default")
def _stack(xp: Any, tensors: Any, dim: int = 0) -> Any:
    return xp.stack(list(tensors), axis=dim)


@TABLE.entry("aten.split_with_sizes.default")
def _split_with_sizes(xp: Any, self: Any, split_sizes: Any, dim: int = 0) -> Any:
    start, parts = 0, []
    for size in split_sizes:
        parts.append(_slice(xp, self, dim, start, start + size))
        start = start + size
    return parts


@TABLE.entry("aten.split.Tensor")
def _split(xp: Any, self: Any, split_size: int, dim: int = 0) -> Any:
    length = self.shape[dim]
    starts = range(0, length, split_size)
    return [_slice(xp, self, dim, at, min(at + split_size, length)) for at in starts]


@TABLE.entry("aten.unbind.int")
def _unbind(xp: Any, self: Any, dim: int = 0) -> Any:
    return list(xp.unbind(self, axis=dim))


@TABLE.entry("aten.slice.Tensor")
def _slice(
    xp: Any, self: Any, dim: int = 0, start: Any = None, end: Any = None, step: int = 1
) -> Any:
    key = _slice_key(self, dim, start, end, step)
    return self if key is None else self[key]


def _slice_key(x: Any, dim: int, start: Any, end: Any, step: int) -> Any:
    if isinstance(end, int) and end >= _END:
        end = None
    if isinstance(start, int) and start == 0:
        start = None
    if start is None and end is None and step == 1:
        return None
    return at_axis(x, dim, builtins.slice(start, end, step))


def at_axis(x: Any, dim: int, index: Any) -> tuple[Any, ...]:
    """Return the key that selects `index` along one axis."""
    return (builtins.slice(None),) * _axis(dim, len(x.shape)) + (index,)


@TABLE.entry("aten.select.int")
def _select(xp: Any, self: Any, dim: int, index: Any) -> Any:
    return self[at_axis(self, dim, index)]


@TABLE.entry("aten.slice_scatter.default")
def _slice_scatter(
    xp: Any, self: Any, src: Any, dim: int = 0, start: Any = None, end: Any = None, step: int = 1
) -> Any:
    key = _slice_key(self, dim, start, end, step)
    return src if key is None else xp.set_item(self, key, src)


@TABLE.entry("aten.select_scatter.default")
def _select_scatter(xp: Any, self: Any, src: Any, dim: int, index: Any) -> Any:
    return xp.set_item(self, at_axis(self, dim, index), src)


@TABLE.entry("aten.copy.default", ignored=PLACED)
def _copy(xp: Any, self: Any, src: Any) -> Any:
    return xp.broadcast_to(xp.astype(xp.asarray(src), self.dtype), self.shape)


@TABLE.entry("aten.diagonal.default")
def _diagonal(xp: Any, self: Any, offset: int = 0, dim1: int = 0, dim2: int = 1) -> Any:
    return xp.diagonal(xp.moveaxis(self, (dim1, dim2), (-2, -1)), offset=offset)


@TABLE.entry("aten.diagonal_scatter.default")
def _diagonal_scatter(
    xp: Any, self: Any, src: Any, offset: int = 0, dim1: int = 0, dim2: int = 1
) -> Any:
    turned = xp.moveaxis(self, (dim1, dim2), (0, 1))
    rows = np.arange(src.shape[-1]) + max(-offset, 0)
    key = (xp.asarray(rows), xp.asarray(rows + offset))
    found = xp.set_item(turned, key, xp.moveaxis(src, -1, 0))
    return xp.moveaxis(found, (0, 1), (dim1, dim2))


@TABLE.entry("aten.tril.default")
def _tril(xp: Any, self: Any, diagonal: int = 0) -> Any:
    return xp.tril(self, k=diagonal)


@TABLE.entry("aten.triu.default")
def _triu(xp: Any, self: Any, diagonal: int = 0) -> Any:
    return xp.triu(self, k=diagonal)


@TABLE.entry("aten.constant_pad_nd.default")
def _constant_pad_nd(xp: Any, self: Any, pad: Any, value: Any = 0) -> Any:
    widths = _pad_widths(self, pad)
    inner = self
    if any(n < 0 for pair in widths for n in pair):
        inner = self[
            tuple(
                [
                    builtins.slice(max(-a, 0), self.shape[i] + min(b, 0))
                    for i, (a, b) in enumerate(widths)
                ]
            )
        ]
        widths = [(max(a, 0), max(b, 0)) for a, b in widths]
    return xp.pad(inner, widths, value)


def _pad_widths(x: Any, pad: Sequence[int]) -> list[tuple[int, int]]:
    """Return the widths of all axes; PyTorch lists pairs from the last axis on."""
    pairs = [(pad[i], pad[i + 1]) for i in range(0, len(pad), 2)]
    return [(0, 0)] * (len(x.shape) - len(pairs)) + pairs[::-1]


def _padding(mode: str) -> Any:
    def entry(xp: Any, self: Any, padding: Any) -> Any:
        return xp.pad(self, _pad_widths(self, padding), mode=mode)

    return entry


for rank in (1, 2, 3):
    TABLE.entry(f"aten.reflection_pad{rank}d.default")(_padding("reflect"))
    TABLE.entry(f"aten.replication_pad{rank}d.default")(_padding("edge"))


# selecting ----------------------------------------------------------------------------------------


def _key(indices: Any) -> tuple[Any, ...]:
    return tuple([builtins.slice(None) if each is None else each for each in indices])


@TABLE.entry("aten.index.Tensor", "aten._unsafe_index.Tensor")
def _index(xp: Any, self: Any, indices: Any) -> Any:
    return self[_key(indices)]


@TABLE.entry("aten.index_put.default", "aten._unsafe_index_put.default")
def _index_put(xp: Any, self: Any, indices: Any, values: Any, accumulate: bool = False) -> Any:
    if not accumulate:
        return xp.set_item(self, _key(indices), values)
    if any(each is not None and each.dtype == np.bool_ for each in indices):
        raise UnsupportedOpError(
            "accumulate=True at a mask is not supported",
            cause="what is added up stands at indices",
            fix="add torch.where(mask, values, 0) in place of it",
        )
    return xp.add(self, _added(xp, self, _key(indices), values))


def _position(xp: Any, x: Any, key: Sequence[Any], axes: Any = None) -> Any:
    """Return one index that counts through all selected axes of `x`, in row-major order."""
    where: Any = 0
    for a, index in zip(axes or range(len(key)), key, strict=True):
        where = where * x.shape[a] + xp.where(index < 0, index + x.shape[a], index)
    return where


def _added(xp: Any, x: Any, key: tuple[Any, ...], values: Any) -> Any:
    """Return zeros of the shape of `x` to which `values` are added where `key` says."""
    rank = len(x.shape)
    axes = tuple([a for a, index in enumerate(key) if not isinstance(index, builtins.slice)])
    rest = tuple([a for a in range(rank) if a not in axes])
    chosen = xp.broadcast_arrays(*[key[a] for a in axes]) if len(axes) > 1 else [key[axes[0]]]
    points = len(chosen[0].shape)
    together = axes == tuple(range(axes[0], axes[0] + len(axes)))
    first = axes[0] if together else 0
    kept = [x.shape[a] for a in rest]
    updates = xp.broadcast_to(values, (*kept[:first], *chosen[0].shape, *kept[first:]))
    updates = xp.moveaxis(updates, tuple(range(first, first + points)), tuple(range(points)))
    where = _position(xp, x, [key[a] for a in axes], axes)
    total: Any = 1
    for a in axes:
        total = total * x.shape[a]
    rows = xp.scatter_add(
        xp.zeros((total, *kept), dtype=x.dtype),
        xp.reshape(xp.broadcast_to(where, chosen[0].shape), (-1,)),
        xp.reshape(updates, (-1, *kept)),
    )
    found = xp.reshape(rows, (*[x.shape[a] for a in axes], *kept))
    return xp.moveaxis(found, tuple(range(len(axes))), axes)


@TABLE.entry("aten.index_add.default")
def _index_add(xp: Any, self: Any, dim: int, index: Any, source: Any, alpha: Any = 1) -> Any:
    return xp.scatter_add(self, index, source if alpha == 1 else source * alpha, axis=dim)


@TABLE.entry("aten.index_select.default")
def _index_select(xp: Any, self: Any, dim: int, index: Any) -> Any:
    return xp.take(self, index, axis=dim)


@TABLE.entry("aten.embedding.default", ignored=("sparse",), scale_grad_by_freq=False)
def _embedding(xp: Any, weight: Any, indices: Any, padding_idx: int = -1) -> Any:
    return xp.embedding(weight, indices, None if padding_idx < 0 else padding_idx)


def _cropped(x: Any, shape: Any, dim: int) -> Any:
    """Return `x` no longer than `shape` along all axes but `dim`."""
    axis = _axis(dim, len(x.shape))
    cuts = [
        builtins.slice(None) if a == axis or n == m else builtins.slice(0, m)
        for a, (n, m) in enumerate(zip(x.shape, shape, strict=True))
    ]
    return x if all(cut.stop is None for cut in cuts) else x[tuple(cuts)]


@TABLE.entry("aten.gather.default", ignored=("sparse_grad",))
def _gather(xp: Any, self: Any, dim: int, index: Any) -> Any:
    if not len(self.shape):
        return xp.reshape(
            xp.take(xp.reshape(self, (1,)), xp.reshape(index, (-1,)), axis=0), index.shape
        )
    return xp.take_along_axis(_cropped(self, index.shape, dim), index, axis=dim)


def _scatter_key(xp: Any, index: Any, dim: int) -> tuple[Any, ...]:
    """Return the index arrays that stand for an index along one axis."""
    rank = len(index.shape)
    grid = [
        xp.reshape(xp.arange(n), (1,) * a + (-1,) + (1,) * (rank - a - 1))
        for a, n in enumerate(index.shape)
    ]
    grid[_axis(dim, rank)] = index
    return tuple(grid)


def _part(x: Any, shape: Any) -> Any:
    """Return the first elements of `x` along all axes."""
    return x[tuple([builtins.slice(0, n) for n in shape])] if tuple(x.shape) != tuple(shape) else x


@TABLE.entry("aten.scatter.src")
def _scatter(xp: Any, self: Any, dim: int, index: Any, src: Any) -> Any:
    return xp.set_item(self, _scatter_key(xp, index, dim), _part(src, index.shape))


@TABLE.entry("aten.scatter.value")
def _scatter_value(xp: Any, self: Any, dim: int, index: Any, value: Any) -> Any:
    return xp.set_item(self, _scatter_key(xp, index, dim), value)


@TABLE.entry("aten.scatter_add.default")
def _scatter_add(xp: Any, self: Any, dim: int, index: Any, src: Any) -> Any:
    return xp.add(self, _added(xp, self, _scatter_key(xp, index, dim), _part(src, index.shape)))


_FOLDS = {"sum": "add", "add": "add", "mean": "mean", "prod": "prod", "multiply": "prod"}
_FOLDS |= {"amax": "max", "amin": "min"}
"""What PyTorch's reductions of the elements of one index are called here."""


@TABLE.entry("aten.scatter_reduce.two")
def _scatter_reduce(
    xp: Any, self: Any, dim: int, index: Any, src: Any, reduce: str, include_self: bool = True
) -> Any:
    key = _scatter_key(xp, index, dim)
    size = int(np.prod(self.shape))
    where = xp.reshape(xp.broadcast_to(_position(xp, self, key), index.shape), (-1,))
    given = (xp.reshape(self, (size,)), where, xp.reshape(_part(src, index.shape), (-1,)))
    if _FOLDS[reduce] == "add" and include_self:
        found = xp.scatter_add(*given)
    elif _FOLDS[reduce] == "add":
        ones = xp.ones(where.shape, dtype=where.dtype)
        touched = xp.scatter_add(xp.zeros(size, dtype=where.dtype), where, ones) > 0
        found = xp.scatter_add(xp.where(touched, xp.zeros_like(given[0]), given[0]), *given[1:])
    else:
        found = getattr(xp, f"scatter_{_FOLDS[reduce]}")(*given, include_self=include_self)
    return xp.reshape(found, self.shape)


@TABLE.entry("aten.scatter.reduce")
def _scatter_with(xp: Any, self: Any, dim: int, index: Any, src: Any, reduce: str) -> Any:
    return _scatter_reduce(xp, self, dim, index, src, reduce)


@TABLE.entry("aten.scatter.value_reduce")
def _scatter_value_with(xp: Any, self: Any, dim: int, index: Any, value: Any, reduce: str) -> Any:
    src = xp.full(index.shape, value, dtype=self.dtype)
    return _scatter_reduce(xp, self, dim, index, src, reduce)


@TABLE.entry("aten.index_reduce.default")
def _index_reduce(
    xp: Any, self: Any, dim: int, index: Any, source: Any, reduce: str, include_self: bool = True
) -> Any:
    name = f"scatter_{_FOLDS[reduce]}"
    return getattr(xp, name)(self, index, source, axis=dim, include_self=include_self)


@TABLE.entry("aten.masked_scatter.default")
def _masked_scatter(xp: Any, self: Any, mask: Any, source: Any) -> Any:
    shape = np.broadcast_shapes(self.shape, mask.shape)
    chosen = xp.broadcast_to(mask, shape)
    count = xp.cumulative_sum(xp.astype(xp.reshape(chosen, (-1,)), np.dtype("int64")), axis=0)
    where = xp.reshape(xp.clip(count - 1, 0, int(np.prod(source.shape)) - 1), shape)
    taken = xp.take(xp.reshape(source, (-1,)), where, axis=0)
    return xp.where(chosen, taken, xp.broadcast_to(self, shape))


@TABLE.entry("aten.unfold.default")
def _unfold(xp: Any, self: Any, dimension: int, size: int, step: int) -> Any:
    axis = _axis(dimension, len(self.shape))
    starts = np.arange(0, self.shape[axis] - size + 1, step)
    index = (starts[:, None] + np.arange(size)).reshape(-1)
    rows = xp.take(self, xp.asarray(index), axis=axis)
    shape = (*self.shape[:axis], len(starts), size, *self.shape[axis + 1 :])
    return xp.moveaxis(xp.reshape(rows, shape), axis + 1, -1)
