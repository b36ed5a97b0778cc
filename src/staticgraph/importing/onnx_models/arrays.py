"""ONNX's operators that make, move and select elements."""

from __future__ import annotations

import builtins
from math import prod
from typing import Any

import numpy as np

from oplibrary.messages.errors import UnsupportedOpError
from staticgraph.importing.onnx_models.known import is_live, lengths
from staticgraph.importing.onnx_models.table import TABLE

INT64 = np.dtype("int64")


def _axis(axis: int, rank: int) -> int:
    return axis + rank if axis < 0 else axis


def _listed(value: Any) -> list[Any]:
    return list(value) if isinstance(value, (list, tuple)) else [value]


def _is(length: Any, number: int) -> bool:
    return isinstance(length, int) and length == number


def key_along(rank: int, axis: int, chosen: Any) -> tuple[Any, ...]:
    """Return an index that selects along one axis."""
    key: list[Any] = [builtins.slice(None)] * rank
    key[axis] = chosen
    return tuple(key)


# creation -----------------------------------------------------------------------------------------


@TABLE.entry("Constant")
def _constant(
    xp: Any,
    value: Any = None,
    value_float: Any = None,
    value_floats: Any = None,
    value_int: Any = None,
    value_ints: Any = None,
    sparse_value: Any = None,
    value_string: Any = None,
    value_strings: Any = None,
) -> Any:
    for given, dtype in (
        (value_float, "float32"),
        (value_floats, "float32"),
        (value_int, "int64"),
        (value_ints, "int64"),
    ):
        if given is not None:
            return np.array(given, dtype)
    if value is None:
        raise UnsupportedOpError(
            "Constant holds a text or a sparse array",
            cause="values are dense arrays of numbers",
            fix="store the numbers as a dense tensor",
        )
    return value


@TABLE.entry("ConstantOfShape", known=("input",))
def _constant_of_shape(xp: Any, input: Any, value: Any = None) -> Any:
    number = np.zeros(1, "float32") if value is None else value
    return xp.full(tuple(input), number.reshape(())[()], dtype=number.dtype)


@TABLE.entry("EyeLike", typed=("input",))
def _eye_like(xp: Any, input: Any, k: int = 0, dtype: Any = None) -> Any:
    rows, columns = map(int, input.shape)
    return xp.asarray(np.eye(rows, columns, k, input.dtype if dtype is None else dtype))


@TABLE.entry("Range", known=("start", "limit", "delta"), ignored=("stash_type",))
def _range(xp: Any, start: Any, limit: Any, delta: Any) -> Any:
    start, limit, delta = (x[0] if isinstance(x, list) else x for x in (start, limit, delta))
    dtype = np.dtype("float32" if isinstance(start, float) else "int64")
    return xp.arange(start, limit, delta, dtype=dtype)


@TABLE.entry("Shape", typed=("data",), whole=True)
def _shape(xp: Any, data: Any, start: int = 0, end: Any = None) -> Any:
    return lengths(list(data.shape)[start:end])


@TABLE.entry("Size", typed=("data",), whole=True)
def _size(xp: Any, data: Any) -> Any:
    return lengths(prod(data.shape, start=1))


@TABLE.entry("OneHot", known=("depth",))
def _one_hot(xp: Any, indices: Any, depth: Any, values: Any, axis: int) -> Any:
    depth = int(depth[0] if isinstance(depth, list) else depth)
    rank = len(indices.shape) + 1
    at = _axis(axis, rank)
    shape = [1] * rank
    shape[at] = depth
    ids = xp.expand_dims(indices, axis=at)
    ids = xp.where(xp.less(ids, 0), ids + depth, ids)
    places = xp.reshape(xp.asarray(np.arange(depth).astype(indices.dtype)), tuple(shape))
    return xp.where(xp.equal(ids, places), values[1], values[0])


# movement -----------------------------------------------------------------------------------------


@TABLE.entry("Reshape", known=("shape",), ignored=("consumed_inputs",))
def _reshape(xp: Any, data: Any, shape: Any, allowzero: int = 0) -> Any:
    shape = _listed(shape)
    if not allowzero:
        shape = [data.shape[i] if _is(n, 0) else n for i, n in enumerate(shape)]
    return xp.reshape(data, tuple(shape))


@TABLE.entry("Flatten")
def _flatten(xp: Any, input: Any, axis: int) -> Any:
    at = _axis(axis, len(input.shape)) if axis else 0
    first, rest = prod(input.shape[:at], start=1), prod(input.shape[at:], start=1)
    return xp.reshape(input, (first, rest))


@TABLE.entry("Transpose")
def _transpose(xp: Any, data: Any, perm: Any = None) -> Any:
    axes = range(len(data.shape))[::-1] if perm is None else perm
    return xp.permute_dims(data, tuple(axes))


@TABLE.entry("Squeeze", known=("axes",))
def _squeeze(xp: Any, data: Any, axes: Any = None) -> Any:
    if axes is None:
        axes = [a for a, n in enumerate(data.shape) if _is(n, 1)]
    return xp.squeeze(data, axis=tuple(_listed(axes))) if axes or axes == 0 else data


@TABLE.entry("Unsqueeze", known=("axes",))
def _unsqueeze(xp: Any, data: Any, axes: Any) -> Any:
    rank = len(data.shape) + len(_listed(axes))
    for axis in sorted(_axis(a, rank) for a in _listed(axes)):
        data = xp.expand_dims(data, axis=axis)
    return data


@TABLE.entry("Expand", known=("shape",))
def _expand(xp: Any, input: Any, shape: Any) -> Any:
    own, given = list(input.shape), _listed(shape)
    rank = max(len(own), len(given))
    own, given = [1] * (rank - len(own)) + own, [1] * (rank - len(given)) + given
    return xp.broadcast_to(
        input, tuple([n if _is(m, 1) else m for n, m in zip(own, given, strict=True)])
    )


@TABLE.entry("Tile", known=("repeats", "tiles", "axis"))
def _tile(xp: Any, input: Any, repeats: Any = None, tiles: Any = None, axis: Any = None) -> Any:
    if repeats is None:  # before version 6: so often along one axis
        repeats = [1] * len(input.shape)
        repeats[_listed(axis)[0]] = _listed(tiles)[0]
    return xp.tile(input, tuple(_listed(repeats))) if input.shape else input


@TABLE.entry("Concat")
def _concat(xp: Any, inputs: Any, axis: int = 1) -> Any:
    return xp.concat(list(inputs), axis=axis)


@TABLE.entry("Split", known=("split",))
def _split(
    xp: Any,
    input: Any,
    split: Any = None,
    axis: int = 0,
    num_outputs: Any = None,
    outputs: int = 1,
) -> Any:
    count = num_outputs or outputs
    if not split:
        length = input.shape[axis]
        size = -(-length // count) if isinstance(length, int) else length // count
        split = [size] * (count - 1)
        split.append(length - size * (count - 1))
    parts, start = [], 0
    for size in split:
        parts.append(input[key_along(len(input.shape), axis, builtins.slice(start, start + size))])
        start = start + size
    return parts


@TABLE.entry("Slice", known=("starts", "ends", "axes", "steps"))
def _slice(xp: Any, data: Any, starts: Any, ends: Any, axes: Any = None, steps: Any = None) -> Any:
    starts, ends = _listed(starts), _listed(ends)
    axes = range(len(starts)) if axes is None else _listed(axes)
    steps = [1] * len(starts) if steps is None else _listed(steps)
    key: list[Any] = [builtins.slice(None)] * len(data.shape)
    flipped = []
    for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
        axis, length = _axis(axis, len(data.shape)), data.shape[axis]
        if step < 0:  # slices go forward here: the axis is turned around first
            at = _clamped(start, length, -1)
            to = _clamped(end, length, -1)
            flipped.append(axis)
            start, end, step = length - 1 - at, length - 1 - to, -step
        elif isinstance(length, int) and isinstance(start, int) and isinstance(end, int):
            start, end, _ = builtins.slice(start, end).indices(length)
        elif isinstance(end, int) and end > 2**31 - 2:
            end = None
        key[axis] = builtins.slice(start, end, step)
    if flipped:
        data = xp.flip(data, axis=tuple(flipped))
    return data[tuple(key)]


def _clamped(place: Any, length: Any, least: int) -> Any:
    """Return where a slice that goes backward begins or ends."""
    if isinstance(place, int) and place < 2 - 2**31:  # which stands for what is before all
        return least
    if place < 0:
        place = place + length
    if not isinstance(place, int) or not isinstance(length, int):
        return length - 1 if isinstance(place, int) and place > 2**31 - 2 else place
    return max(least, min(place, length - 1))


@TABLE.entry("Pad", known=("pads", "axes"), renamed={"paddings": "pads"})
def _pad(
    xp: Any,
    data: Any,
    pads: Any,
    constant_value: Any = None,
    axes: Any = None,
    mode: str = "constant",
    value: Any = 0,
) -> Any:
    rank = len(data.shape)
    axes = list(range(rank)) if axes is None else [_axis(a, rank) for a in _listed(axes)]
    widths: list[list[Any]] = [[0, 0] for _ in range(rank)]
    for i, axis in enumerate(axes):
        widths[axis] = [pads[i], pads[i + len(axes)]]
    fill = value if constant_value is None else constant_value
    key = []
    for width, length in zip(widths, data.shape, strict=True):
        cut = [max(0, -w) if isinstance(w, int) else 0 for w in width]
        key.append(builtins.slice(cut[0], length - cut[1]))
        width[:] = [max(0, w) if isinstance(w, int) else w for w in width]
    if any(k.start or k.stop is not n for k, n in zip(key, data.shape, strict=True)):
        data = data[tuple(key)]
    if mode == "constant":
        return _padded(xp, data, [tuple(w) for w in widths], fill)
    return xp.pad(data, [tuple(w) for w in widths], mode=mode)


def _padded(xp: Any, data: Any, widths: Any, fill: Any) -> Any:
    """Return `data` with numbers around it, which may be computed in each run."""
    if is_live(fill):
        inside = xp.pad(xp.ones_like(data, dtype=np.dtype(bool)), widths, False)
        return xp.where(inside, xp.pad(data, widths), xp.reshape(fill, ()))
    return xp.pad(data, widths, np.asarray(fill).astype(data.dtype).reshape(())[()].item())


@TABLE.entry("CenterCropPad", known=("shape",))
def _center_crop_pad(xp: Any, input_data: Any, shape: Any, axes: Any = None) -> Any:
    rank = len(input_data.shape)
    axes = range(rank) if axes is None else [_axis(a, rank) for a in axes]
    key: list[Any] = [builtins.slice(None)] * rank
    widths = [(0, 0)] * rank
    for axis, want in zip(axes, shape, strict=True):
        have = int(input_data.shape[axis])
        if want < have:
            start = (have - want) // 2
            key[axis] = builtins.slice(start, start + want)
        elif want > have:
            before = (want - have) // 2
            widths[axis] = (before, want - have - before)
    return xp.pad(input_data[tuple(key)], widths)


@TABLE.entry("DepthToSpace")
def _depth_to_space(xp: Any, input: Any, blocksize: int, mode: str = "DCR") -> Any:
    n, c, h, w = input.shape
    b = blocksize
    if mode == "DCR":
        x = xp.reshape(input, (n, b, b, c // (b * b), h, w))
        x = xp.permute_dims(x, (0, 3, 4, 1, 5, 2))
    else:
        x = xp.reshape(input, (n, c // (b * b), b, b, h, w))
        x = xp.permute_dims(x, (0, 1, 4, 2, 5, 3))
    return xp.reshape(x, (n, c // (b * b), h * b, w * b))


@TABLE.entry("SpaceToDepth")
def _space_to_depth(xp: Any, input: Any, blocksize: int, mode: str = "DCR") -> Any:
    n, c, h, w = input.shape
    b = blocksize
    x = xp.reshape(input, (n, c, h // b, b, w // b, b))
    x = xp.permute_dims(x, (0, 3, 5, 1, 2, 4) if mode == "DCR" else (0, 1, 3, 5, 2, 4))
    return xp.reshape(x, (n, c * b * b, h // b, w // b))


@TABLE.entry("Trilu", known=("k",))
def _trilu(xp: Any, input: Any, k: Any = 0, upper: int = 1) -> Any:
    k = _listed(k)[0]
    return xp.triu(input, k) if upper else xp.tril(input, k)


@TABLE.entry("ReverseSequence")
def _reverse_sequence(
    xp: Any, input: Any, sequence_lens: Any, batch_axis: int, time_axis: int
) -> Any:
    return reversed_rows(xp, input, sequence_lens, batch_axis, time_axis)


def reversed_rows(xp: Any, x: Any, counts: Any, batch_axis: int, time_axis: int) -> Any:
    """Return `x` with the first so many steps of each row in reverse."""
    rank = len(x.shape)
    steps, rows = [1] * rank, [1] * rank
    steps[time_axis], rows[batch_axis] = x.shape[time_axis], x.shape[batch_axis]
    time = np.arange(int(x.shape[time_axis])).reshape(steps)
    counts = xp.reshape(xp.astype(xp.asarray(counts), INT64), tuple(rows))
    places = xp.where(xp.less(time, counts), counts - 1 - time, time)
    return xp.take_along_axis(x, xp.broadcast_to(places, x.shape), axis=time_axis)


# selection ----------------------------------------------------------------------------------------


@TABLE.entry("Gather")
def _gather(xp: Any, data: Any, indices: Any, axis: int) -> Any:
    return xp.take(data, indices, axis=axis)


@TABLE.entry("GatherElements")
def _gather_elements(xp: Any, data: Any, indices: Any, axis: int) -> Any:
    key = [
        builtins.slice(None) if a == _axis(axis, len(data.shape)) else builtins.slice(0, n)
        for a, n in enumerate(indices.shape)
    ]
    return xp.take_along_axis(data[tuple(key)], xp.astype(indices, INT64), axis=axis)


def _columns(xp: Any, indices: Any, rows: int, shape: Any) -> tuple[Any, ...]:
    """Return a tuple of indices of the numbers in the last axis, below `rows` shared axes."""
    rank = len(indices.shape) - 1
    key: list[Any] = []
    for axis in range(rows):
        at = [1] * rank
        at[axis] = shape[axis]
        key.append(np.arange(int(shape[axis])).reshape(at))
    for i in range(int(indices.shape[-1])):
        key.append(xp.astype(indices[(..., i)], INT64))
    return tuple(key)


@TABLE.entry("GatherND")
def _gather_nd(xp: Any, data: Any, indices: Any, batch_dims: int = 0) -> Any:
    return data[_columns(xp, indices, batch_dims, data.shape)]


def _combined(xp: Any, data: Any, key: Any, updates: Any, reduction: str) -> Any:
    """Put `updates` where an index of every axis says, one after another where they meet."""
    if reduction == "none":
        return xp.set_item(data, key, updates)
    places: Any = 0
    for axis, n in enumerate(data.shape):
        index = xp.asarray(key[axis])
        places = places * n + xp.where(xp.less(index, 0), index + n, index)
    places = xp.broadcast_to(places, updates.shape)
    flat, where, values = (xp.reshape(x, (-1,)) for x in (data, places, updates))
    scatter = {"add": "add", "mul": "prod", "max": "max", "min": "min"}[reduction]
    return xp.reshape(getattr(xp, f"scatter_{scatter}")(flat, where, values), data.shape)


@TABLE.entry("Scatter")
def _scatter(xp: Any, data: Any, indices: Any, updates: Any, axis: int) -> Any:
    return _scatter_elements(xp, data, indices, updates, axis)


@TABLE.entry("ScatterElements")
def _scatter_elements(
    xp: Any, data: Any, indices: Any, updates: Any, axis: int, reduction: str = "none"
) -> Any:
    rank, key = len(data.shape), []
    for a, n in enumerate(indices.shape):
        at = [1] * rank
        at[a] = n
        along = np.arange(int(n)).reshape(at)
        key.append(xp.astype(indices, INT64) if a == _axis(axis, rank) else along)
    return _combined(xp, data, tuple(key), updates, reduction)


@TABLE.entry("ScatterND")
def _scatter_nd(xp: Any, data: Any, indices: Any, updates: Any, reduction: str = "none") -> Any:
    key = list(_columns(xp, indices, 0, data.shape))
    if reduction == "none":
        return xp.set_item(data, tuple(key), updates)
    rest = len(data.shape) - len(key)
    key = [xp.reshape(k, (*k.shape, *(1,) * rest)) for k in key]
    for axis in range(rest):
        at = [1] * rest
        n = data.shape[len(key)]
        at[axis] = n
        key.append(np.arange(int(n)).reshape(at))
    return _combined(xp, data, tuple(key), updates, reduction)


@TABLE.entry("TensorScatter")
def _tensor_scatter(
    xp: Any, past_cache: Any, update: Any, write_indices: Any = None, *, axis: int, mode: str
) -> Any:
    rank = len(past_cache.shape)
    at, rows, count = _axis(axis, rank), int(past_cache.shape[0]), int(update.shape[axis])
    if write_indices is None:
        write_indices = np.zeros(rows, "int64")
    places = xp.reshape(xp.astype(xp.asarray(write_indices), INT64), (rows, 1)) + np.arange(count)
    if mode == "circular":
        places = xp.remainder(places, past_cache.shape[at])
    order = (0, at, *[a for a in range(1, rank) if a != at])
    back = tuple(int(a) for a in np.argsort(order))
    key = (np.arange(rows).reshape(rows, 1), places)
    found = xp.set_item(xp.permute_dims(past_cache, order), key, xp.permute_dims(update, order))
    return xp.permute_dims(found, back)


@TABLE.entry("Compress", known=("condition",))
def _compress(xp: Any, input: Any, condition: Any, axis: Any = None) -> Any:
    if axis is None:
        input, axis = xp.reshape(input, (-1,)), 0
    return xp.take(input, np.flatnonzero(condition), axis=axis)
