"""TensorFlow's ops that select from arrays and scatter into them."""

from __future__ import annotations

import builtins
from collections.abc import Sequence
from typing import Any

import numpy as np

from staticgraph.importing.graphdefs.ops.table import entry, is_known, lengths, number

# selecting ----------------------------------------------------------------------------------------


@entry("Slice", ignored="T Index")
def _slice(xp: Any, input: Any, begin: Any, size: Any) -> Any:
    sizes = lengths(size, "size")
    starts = _elements(begin, len(sizes))
    key: list[Any] = []
    for axis, (start, n) in enumerate(zip(starts, sizes, strict=True)):
        if is_known(start):
            key.append(builtins.slice(int(start), int(start) + n if n >= 0 else None))
            continue
        if n < 0:
            lengths(start, "size")  # which refuses it
        places = start + np.arange(n).astype(start.dtype)
        input = xp.take(input, places, axis=axis)
        key.append(builtins.slice(None))
    return input[tuple(key)] if key else input


def _elements(vector: Any, count: int) -> list[Any]:
    """Return the elements of a vector, each an array if it is known."""
    if isinstance(vector, list):
        return vector
    if is_known(vector):
        return [np.asarray(each) for each in vector]
    return [vector[i] for i in range(count)]


def _key(
    shape: Any,
    begin: Any,
    end: Any,
    strides: Any,
    begin_mask: int,
    end_mask: int,
    ellipsis_mask: int,
    new_axis_mask: int,
    shrink_axis_mask: int,
) -> list[Any]:
    """Return what NumPy selects by: slices, None, Ellipsis, and indices that may be values."""
    steps = lengths(strides, "stride")
    starts, ends = _elements(begin, len(steps)), _elements(end, len(steps))
    key: list[Any] = []
    for i, step in enumerate(steps):
        bit = 1 << i
        if ellipsis_mask & bit:
            key.append(Ellipsis)
        elif new_axis_mask & bit:
            key.append(None)
        elif shrink_axis_mask & bit:
            key.append(int(starts[i]) if is_known(starts[i]) else starts[i])
        else:
            low = None if begin_mask & bit else number(starts[i], "start of a slice")
            high = None if end_mask & bit else number(ends[i], "end of a slice")
            key.append(builtins.slice(low, high, step))
    return key


@entry("StridedSlice", ignored="T Index")
def _strided_slice(
    xp: Any,
    input: Any,
    begin: Any,
    end: Any,
    strides: Any,
    begin_mask: int,
    end_mask: int,
    ellipsis_mask: int,
    new_axis_mask: int,
    shrink_axis_mask: int,
) -> Any:
    masks = (begin_mask, end_mask, ellipsis_mask, new_axis_mask, shrink_axis_mask)
    key = _key(input.shape, begin, end, strides, *masks)
    moving = [i for i, each in enumerate(key) if hasattr(each, "shape")]
    if len(moving) > 1 or (moving and any(each in (None, Ellipsis) for each in _plain(key))):
        for i in reversed(moving):  # one index after the other, so that no axis changes its place
            axis = _axis(key, i, len(input.shape))
            input = xp.take(input, key[i], axis=axis)
            del key[i]
    return input[tuple(key)] if key else input


def _plain(key: Sequence[Any]) -> list[Any]:
    return [each for each in key if not hasattr(each, "shape")]


def _axis(key: Sequence[Any], i: int, rank: int) -> int:
    """Return which axis of an array the part `i` of a key is about."""
    about = [each for each in _plain(key) if each is not None and each is not Ellipsis]
    indices = len(key) - len(_plain(key))
    before = 0
    for each in key[:i]:
        if each is Ellipsis:
            before += rank - len(about) - indices
        elif hasattr(each, "shape") or each is not None:
            before += 1
    return before


@entry("StridedSliceGrad", ignored="T Index")
def _strided_slice_grad(
    xp: Any,
    shape: Any,
    begin: Any,
    end: Any,
    strides: Any,
    dy: Any,
    begin_mask: int,
    end_mask: int,
    ellipsis_mask: int,
    new_axis_mask: int,
    shrink_axis_mask: int,
) -> Any:
    masks = (begin_mask, end_mask, ellipsis_mask, new_axis_mask, shrink_axis_mask)
    full = lengths(shape)
    key = _key(full, begin, end, strides, *masks)
    return xp.set_item(xp.asarray(np.zeros(full, dy.dtype)), tuple(key), dy)


@entry("TensorStridedSliceUpdate", ignored="T Index")
def _strided_slice_update(
    xp: Any,
    input: Any,
    begin: Any,
    end: Any,
    strides: Any,
    value: Any,
    begin_mask: int,
    end_mask: int,
    ellipsis_mask: int,
    new_axis_mask: int,
    shrink_axis_mask: int,
) -> Any:
    masks = (begin_mask, end_mask, ellipsis_mask, new_axis_mask, shrink_axis_mask)
    key = _key(input.shape, begin, end, strides, *masks)
    return xp.set_item(input, tuple(key), value)


@entry("GatherV2", ignored="Tparams Tindices Taxis")
def _gather(xp: Any, params: Any, indices: Any, axis: Any, batch_dims: int) -> Any:
    at = number(axis, "axis") % max(len(params.shape), 1)
    rows = batch_dims % (len(indices.shape) + 1) if batch_dims < 0 else batch_dims
    if not rows:
        return xp.take(params, indices, axis=at)
    rank = len(indices.shape) - rows
    before = list(range(rows, at))
    order = (*range(rows), at, *before, *range(at + 1, len(params.shape)))
    turned = xp.permute_dims(params, order)
    key: list[Any] = []
    for a in range(rows):
        along = [1] * len(indices.shape)
        along[a] = params.shape[a]
        key.append(np.arange(params.shape[a]).reshape(along))
    found = turned[(*key, indices)]
    back = (
        *range(rows),
        *[rows + rank + i for i in range(len(before))],
        *range(rows, rows + rank),
        *range(rows + rank + len(before), len(found.shape)),
    )
    return xp.permute_dims(found, back)


@entry("Gather", ignored="Tparams Tindices validate_indices")
def _gather_first(xp: Any, params: Any, indices: Any) -> Any:
    return xp.take(params, indices, axis=0)


@entry("ResourceGather", ignored="dtype Tindices validate_indices", batch_dims=0)
def _resource_gather(xp: Any, resource: Any, indices: Any) -> Any:
    return xp.take(resource, indices, axis=0)


@entry("GatherNd", ignored="Tparams Tindices", bad_indices_policy="")
def _gather_nd(xp: Any, params: Any, indices: Any) -> Any:
    count = indices.shape[-1]
    if not count:
        return xp.broadcast_to(params, (*indices.shape[:-1], *params.shape))
    return params[tuple([indices[..., i] for i in range(count)])]


@entry("ResourceGatherNd", ignored="dtype Tindices")
def _resource_gather_nd(xp: Any, resource: Any, indices: Any) -> Any:
    return _gather_nd(xp, resource, indices)


# scattering ---------------------------------------------------------------------------------------


def _scattered(xp: Any, name: str, tensor: Any, indices: Any, updates: Any) -> Any:
    """Return `tensor` with updates added, or taken as limits, where indices say."""
    count = indices.shape[-1]
    around, rest = tensor.shape[:count], tensor.shape[count:]
    where: Any = 0
    for i, n in enumerate(around):
        where = where * n + xp.astype(xp.asarray(indices[..., i]), np.dtype("int64"))
    rows = xp.reshape(tensor, (-1, *rest))
    found = getattr(xp, name)(
        rows, xp.reshape(where, (-1,)), xp.reshape(updates, (-1, *rest)), axis=0
    )
    return xp.reshape(found, tensor.shape)


@entry("ScatterNd", ignored="T Tindices", bad_indices_policy="")
def _scatter_nd(xp: Any, indices: Any, updates: Any, shape: Any) -> Any:
    zeros = xp.asarray(np.zeros(lengths(shape), updates.dtype))
    return _scattered(xp, "scatter_add", zeros, indices, updates)


@entry("TensorScatterAdd", ignored="T Tindices", bad_indices_policy="")
def _tensor_scatter_add(xp: Any, tensor: Any, indices: Any, updates: Any) -> Any:
    return _scattered(xp, "scatter_add", tensor, indices, updates)


@entry("TensorScatterSub", ignored="T Tindices", bad_indices_policy="")
def _tensor_scatter_sub(xp: Any, tensor: Any, indices: Any, updates: Any) -> Any:
    return _scattered(xp, "scatter_add", tensor, indices, -updates)


@entry("TensorScatterMax", ignored="T Tindices", bad_indices_policy="")
def _tensor_scatter_max(xp: Any, tensor: Any, indices: Any, updates: Any) -> Any:
    return _scattered(xp, "scatter_max", tensor, indices, updates)


@entry("TensorScatterMin", ignored="T Tindices", bad_indices_policy="")
def _tensor_scatter_min(xp: Any, tensor: Any, indices: Any, updates: Any) -> Any:
    return _scattered(xp, "scatter_min", tensor, indices, updates)


@entry("TensorScatterUpdate", ignored="T Tindices", bad_indices_policy="")
def _tensor_scatter_update(xp: Any, tensor: Any, indices: Any, updates: Any) -> Any:
    return xp.set_item(tensor, tuple([indices[..., i] for i in range(indices.shape[-1])]), updates)
