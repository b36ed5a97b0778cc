"""TensorFlow's ops on shapes, and those that join and make arrays."""

from __future__ import annotations

import builtins
from collections.abc import Sequence
from typing import Any

import numpy as np

from oplibrary.messages.errors import UnsupportedOpError
from staticgraph.importing.graphdefs.ops.table import entry, known, lengths, number

# lengths ------------------------------------------------------------------------------------------


@entry("Shape")
def _shape(xp: Any, input: Any, out_type: Any) -> Any:
    return np.array(input.shape, out_type)


@entry("ShapeN", ignored="N T")
def _shape_n(xp: Any, input: Any, out_type: Any) -> Any:
    return [np.array(x.shape, out_type) for x in input]


@entry("VariableShape", ignored="")
def _variable_shape(xp: Any, input: Any, out_type: Any) -> Any:
    return np.array(input.shape, out_type)


@entry("Size")
def _size(xp: Any, input: Any, out_type: Any) -> Any:
    total: Any = 1
    for n in input.shape:
        total = total * n
    return np.array(total, out_type)


@entry("Rank")
def _rank(xp: Any, input: Any) -> Any:
    return np.array(len(input.shape), "int32")


@entry("BroadcastArgs")
def _broadcast_args(xp: Any, s0: Any, s1: Any) -> Any:
    found = np.broadcast_shapes(lengths(s0), lengths(s1))
    return np.array(found, s0.dtype)


@entry("BroadcastGradientArgs")
def _broadcast_gradient_args(xp: Any, s0: Any, s1: Any) -> Any:
    """Return the axes along which each operand of these shapes was repeated."""
    shapes = [lengths(s0), lengths(s1)]
    rank = max(map(len, shapes))
    wide = [(1,) * (rank - len(shape)) + shape for shape in shapes]
    return [np.array([a for a in range(rank) if wide[i][a] == 1], s0.dtype) for i in range(2)]


@entry("ConcatOffset", ignored="N")
def _concat_offset(xp: Any, concat_dim: Any, shape: Any, shape_type: Any = None) -> Any:
    axis = number(concat_dim, "axis")
    start, found = 0, []
    for each in shape:
        offset = np.zeros(len(known(each, "shape")), each.dtype)
        offset[axis] = start
        start += int(known(each, "shape")[axis])
        found.append(offset)
    return found


@entry("InvertPermutation")
def _invert_permutation(xp: Any, x: Any) -> Any:
    return np.argsort(known(x, "permutation")).astype(x.dtype)


@entry("ListDiff", ignored="T")
def _list_diff(xp: Any, x: Any, y: Any, out_idx: Any) -> Any:
    some, others = known(x, "list"), known(y, "list")
    places = np.flatnonzero(~np.isin(some, others))
    return [some[places], places.astype(out_idx)]


@entry("UnravelIndex", ignored="Tidx")
def _unravel_index(xp: Any, indices: Any, dims: Any) -> Any:
    return xp.stack(list(xp.unravel_index(indices, lengths(dims))), axis=0)


# shapes -------------------------------------------------------------------------------------------


@entry("Reshape", ignored="T Tshape")
def _reshape(xp: Any, tensor: Any, shape: Any) -> Any:
    return xp.reshape(tensor, lengths(shape))


@entry("Squeeze")
def _squeeze(xp: Any, input: Any, squeeze_dims: Any) -> Any:
    axes = tuple(squeeze_dims) or tuple([a for a, n in enumerate(input.shape) if n == 1])
    return xp.squeeze(input, axis=axes) if axes else input


@entry("ExpandDims", ignored="T Tdim")
def _expand_dims(xp: Any, input: Any, dim: Any) -> Any:
    return xp.expand_dims(input, axis=number(dim, "axis"))


@entry("Transpose", ignored="T Tperm")
def _transpose(xp: Any, x: Any, perm: Any) -> Any:
    return xp.permute_dims(x, lengths(perm, "permutation"))


@entry("ConjugateTranspose", ignored="T Tperm")
def _conjugate_transpose(xp: Any, x: Any, perm: Any) -> Any:
    return xp.conj(xp.permute_dims(x, lengths(perm, "permutation")))


@entry("BroadcastTo", ignored="T Tidx")
def _broadcast_to(xp: Any, input: Any, shape: Any) -> Any:
    return xp.broadcast_to(xp.asarray(input), lengths(shape))


@entry("Tile", ignored="T Tmultiples")
def _tile(xp: Any, input: Any, multiples: Any) -> Any:
    return xp.tile(input, lengths(multiples))


@entry("ReverseV2", ignored="T Tidx")
def _reverse(xp: Any, tensor: Any, axis: Any) -> Any:
    axes = lengths(axis, "axes")
    return xp.flip(tensor, axis=axes) if axes else tensor


@entry("Roll", ignored="T Tshift Taxis")
def _roll(xp: Any, input: Any, shift: Any, axis: Any) -> Any:
    return xp.roll(input, lengths(shift, "shift"), axis=lengths(axis, "axes"))


@entry("ReverseSequence", ignored="T Tlen")
def _reverse_sequence(xp: Any, input: Any, seq_lengths: Any, seq_dim: int, batch_dim: int) -> Any:
    rank, n = len(input.shape), input.shape[seq_dim]
    rows = [1] * rank
    rows[batch_dim] = input.shape[batch_dim]
    along = [1] * rank
    along[seq_dim] = n
    ends = xp.reshape(xp.astype(xp.asarray(seq_lengths), np.dtype("int64")), tuple(rows))
    places = np.arange(n).reshape(along)
    index = xp.where(places < ends, ends - 1 - places, places + xp.zeros_like(ends))
    return xp.take_along_axis(input, xp.broadcast_to(index, input.shape), axis=seq_dim)


def _pairs(paddings: Any) -> list[tuple[int, int]]:
    return [(int(low), int(high)) for low, high in known(paddings, "padding").reshape(-1, 2)]


@entry("Pad", ignored="T Tpaddings")
def _pad(xp: Any, input: Any, paddings: Any) -> Any:
    return xp.pad(input, _pairs(paddings), 0)


@entry("PadV2", ignored="T Tpaddings")
def _pad_with(xp: Any, input: Any, paddings: Any, constant_values: Any) -> Any:
    return xp.pad(input, _pairs(paddings), known(constant_values, "number to pad with").item())


@entry("MirrorPad", ignored="T Tpaddings")
def _mirror_pad(xp: Any, input: Any, paddings: Any, mode: str) -> Any:
    skip = 1 if mode == "REFLECT" else 0
    for axis, (low, high) in enumerate(_pairs(paddings)):
        if not (low or high):
            continue
        n = input.shape[axis]
        places = np.r_[
            np.arange(low - 1 + skip, -1 + skip, -1),
            np.arange(n),
            np.arange(n - 1 - skip, n - 1 - skip - high, -1),
        ]
        input = xp.take(input, places, axis=axis)
    return input


@entry("MirrorPadGrad", ignored="T Tpaddings")
def _mirror_pad_grad(xp: Any, input: Any, paddings: Any, mode: str) -> Any:
    skip = 1 if mode == "REFLECT" else 0
    for axis, (low, high) in enumerate(_pairs(paddings)):
        n = input.shape[axis] - low - high
        before = (builtins.slice(None),) * axis
        found = input[(*before, builtins.slice(low, low + n))]
        widths = [(0, 0)] * len(input.shape)
        if low:
            part = xp.flip(input[(*before, builtins.slice(0, low))], axis=axis)
            widths[axis] = (skip, n - low - skip)
            found = found + xp.pad(part, widths, 0)
        if high:
            part = xp.flip(input[(*before, builtins.slice(low + n, low + n + high))], axis=axis)
            widths[axis] = (n - high - skip, skip)
            found = found + xp.pad(part, widths, 0)
        input = found
    return input


# joining ------------------------------------------------------------------------------------------


@entry("ConcatV2", ignored="N T Tidx")
def _concat(xp: Any, values: Any, axis: Any) -> Any:
    return xp.concat(list(values), axis=number(axis, "axis"))


@entry("Concat", ignored="N T")
def _concat_first(xp: Any, concat_dim: Any, values: Any) -> Any:
    return xp.concat(list(values), axis=number(concat_dim, "axis"))


@entry("Pack", ignored="N T")
def _pack(xp: Any, values: Any, axis: int) -> Any:
    return xp.stack(list(values), axis=axis)


@entry("Unpack", ignored="T")
def _unpack(xp: Any, value: Any, num: int, axis: int) -> Any:
    before = (builtins.slice(None),) * (axis % len(value.shape))
    return [value[(*before, i)] for i in range(num)]


@entry("Split")
def _split(xp: Any, split_dim: Any, value: Any, num_split: int) -> Any:
    axis = number(split_dim, "axis")
    return _parts(value, [value.shape[axis] // num_split] * num_split, axis)


@entry("SplitV", ignored="T Tlen num_split")
def _split_by(xp: Any, value: Any, size_splits: Any, split_dim: Any) -> Any:
    axis = number(split_dim, "axis")
    sizes = list(lengths(size_splits, "sizes"))
    if -1 in sizes:
        sizes[sizes.index(-1)] = value.shape[axis] - (sum(sizes) + 1)
    return _parts(value, sizes, axis)


def _parts(x: Any, sizes: Sequence[int], axis: int) -> list[Any]:
    before = (builtins.slice(None),) * (axis % len(x.shape))
    found, start = [], 0
    for size in sizes:
        found.append(x[(*before, builtins.slice(start, start + size))])
        start += size
    return found


@entry("DynamicStitch", "ParallelDynamicStitch", ignored="N T")
def _stitch(xp: Any, indices: Any, data: Any) -> Any:
    places = [known(each, "indices") for each in indices]
    flat = np.concatenate([each.reshape(-1) for each in places])
    rest = data[0].shape[places[0].ndim :]
    rows = xp.concat([xp.reshape(x, (-1, *rest)) for x in data], axis=0)
    last = np.zeros(int(flat.max()) + 1 if flat.size else 0, "int64")
    last[flat] = np.arange(flat.size)  # the last of several wins
    return xp.take(rows, last, axis=0)


# making -------------------------------------------------------------------------------------------


@entry("Fill", ignored="T index_type")
def _fill(xp: Any, dims: Any, value: Any) -> Any:
    return xp.broadcast_to(xp.asarray(value), lengths(dims))


@entry("ZerosLike")
def _zeros_like(xp: Any, x: Any) -> Any:
    return xp.zeros_like(x)


@entry("OnesLike")
def _ones_like(xp: Any, x: Any) -> Any:
    return xp.ones_like(x)


@entry("Empty", ignored="")
def _empty(xp: Any, shape: Any, dtype: Any, init: bool) -> Any:
    return np.zeros(lengths(shape), dtype)


@entry("Range", ignored="")
def _range(xp: Any, start: Any, limit: Any, delta: Any, Tidx: Any) -> Any:
    limits = [known(each, "limits").item() for each in (start, limit, delta)]
    return np.arange(*limits).astype(Tidx)


@entry("LinSpace", ignored="T Tidx")
def _linspace(xp: Any, start: Any, stop: Any, num: Any) -> Any:
    n = number(num, "number of elements")
    step = (stop - start) / max(n - 1, 1)
    found = start + step * np.arange(n).astype(start.dtype)
    return found if n < 2 else xp.concat([found[:-1], xp.reshape(xp.asarray(stop), (1,))], axis=0)


@entry("OneHot", ignored="T TI")
def _one_hot(xp: Any, indices: Any, depth: Any, on_value: Any, off_value: Any, axis: int) -> Any:
    n, rank = number(depth, "depth"), len(indices.shape)
    at = axis % (rank + 1)
    classes = np.arange(n, dtype=indices.dtype).reshape((-1,) + (1,) * (rank - at))
    return xp.where(xp.equal(xp.expand_dims(indices, axis=at), classes), on_value, off_value)


# diagonals ----------------------------------------------------------------------------------------


def _band(rows: int, columns: int, low: int, high: int) -> Any:
    """Return which elements of a matrix lie on the diagonals from `low` to `high`."""
    offsets = np.arange(columns)[None, :] - np.arange(rows)[:, None]
    return (offsets >= low) & (offsets <= high)


@entry("MatrixBandPart", ignored="T Tindex")
def _band_part(xp: Any, input: Any, num_lower: Any, num_upper: Any) -> Any:
    rows, columns = input.shape[-2:]
    lower, upper = number(num_lower, "band"), number(num_upper, "band")
    low = -rows if lower < 0 else -lower
    high = columns if upper < 0 else upper
    return xp.where(_band(rows, columns, low, high), input, xp.zeros_like(input))


def _one_diagonal(k: Any) -> int:
    found = lengths(k, "diagonal")
    if len(found) > 1 and found[0] != found[-1]:
        raise UnsupportedOpError(
            f"the diagonals {found[0]} to {found[-1]} at once are not supported",
            cause="the library has one diagonal a call",
            fix="take or set one diagonal after the other",
        )
    return found[0]


@entry("MatrixDiagPartV2")
def _diag_part_v2(xp: Any, input: Any, k: Any, padding_value: Any) -> Any:
    return xp.diagonal(input, offset=_one_diagonal(k))


@entry("MatrixDiagPartV3", ignored="T align")
def _diag_part_v3(xp: Any, input: Any, k: Any, padding_value: Any) -> Any:
    return xp.diagonal(input, offset=_one_diagonal(k))


@entry("MatrixDiagPart", "DiagPart")
def _diag_part(xp: Any, input: Any) -> Any:
    if len(input.shape) == 4:
        n = input.shape[0] * input.shape[1]
        return xp.reshape(xp.diagonal(xp.reshape(input, (n, n))), input.shape[:2])
    return xp.diagonal(input)


@entry("MatrixDiagV2")
def _diag_v2(
    xp: Any, diagonal: Any, k: Any, num_rows: Any, num_cols: Any, padding_value: Any
) -> Any:
    offset = _one_diagonal(k)
    least = diagonal.shape[-1] + abs(offset)
    rows, columns = number(num_rows, "rows"), number(num_cols, "columns")
    if {rows, columns} - {-1, least} or known(padding_value, "padding").item() != 0:
        raise UnsupportedOpError(
            "a diagonal in a larger matrix, or among other numbers than 0, is not supported",
            cause="the library makes the smallest square matrix with this diagonal",
            fix="pad the matrix with tf.pad",
        )
    wide = xp.expand_dims(diagonal, axis=-1)
    n = diagonal.shape[-1]
    square = xp.where(np.eye(n, dtype=bool), wide, xp.zeros_like(wide))
    if not offset:
        return square
    widths = [(0, 0)] * (len(square.shape) - 2)
    up, down = max(offset, 0), max(-offset, 0)
    return xp.pad(square, [*widths, (down, up), (up, down)], 0)


@entry("MatrixDiagV3", ignored="T align")
def _diag_v3(
    xp: Any, diagonal: Any, k: Any, num_rows: Any, num_cols: Any, padding_value: Any
) -> Any:
    return _diag_v2(xp, diagonal, k, num_rows, num_cols, padding_value)


@entry("MatrixDiag")
def _diag(xp: Any, diagonal: Any) -> Any:
    wide = xp.expand_dims(diagonal, axis=-1)
    return xp.where(np.eye(diagonal.shape[-1], dtype=bool), wide, xp.zeros_like(wide))


@entry("MatrixSetDiag")
def _set_diag(xp: Any, input: Any, diagonal: Any) -> Any:
    return _set_diag_v2(xp, input, diagonal, np.array(0))


@entry("MatrixSetDiagV2")
def _set_diag_v2(xp: Any, input: Any, diagonal: Any, k: Any) -> Any:
    offset = _one_diagonal(k)
    rows, columns = input.shape[-2:]
    places = np.clip(np.arange(rows) + min(offset, 0), 0, diagonal.shape[-1] - 1)
    of_rows = xp.expand_dims(xp.take(diagonal, places, axis=-1), axis=-1)
    return xp.where(_band(rows, columns, offset, offset), of_rows, input)


@entry("MatrixSetDiagV3", ignored="T align")
def _set_diag_v3(xp: Any, input: Any, diagonal: Any, k: Any) -> Any:
    return _set_diag_v2(xp, input, diagonal, k)


# blocks -------------------------------------------------------------------------------------------


@entry("SpaceToBatchND", ignored="T Tblock_shape Tpaddings")
def _space_to_batch(xp: Any, input: Any, block_shape: Any, paddings: Any) -> Any:
    block, pads = lengths(block_shape), _pairs(paddings)
    m = len(block)
    rest = input.shape[m + 1 :]
    x = xp.pad(input, [(0, 0), *pads, *[(0, 0)] * len(rest)], 0)
    n, inner = x.shape[0], x.shape[1 : m + 1]
    split = [part for size, b in zip(inner, block, strict=True) for part in (size // b, b)]
    x = xp.reshape(x, (n, *split, *rest))
    within = [2 * i + 2 for i in range(m)]
    outside = [2 * i + 1 for i in range(m)]
    x = xp.permute_dims(x, (*within, 0, *outside, *range(2 * m + 1, len(x.shape))))
    return xp.reshape(x, (-1, *[s // b for s, b in zip(inner, block, strict=True)], *rest))


@entry("BatchToSpaceND", ignored="T Tblock_shape Tcrops")
def _batch_to_space(xp: Any, input: Any, block_shape: Any, crops: Any) -> Any:
    block, cuts = lengths(block_shape), _pairs(crops)
    m = len(block)
    n = input.shape[0] // int(np.prod(block))
    inner, rest = input.shape[1 : m + 1], input.shape[m + 1 :]
    x = xp.reshape(input, (*block, n, *inner, *rest))
    order = [m, *[a for i in range(m) for a in (m + 1 + i, i)]]
    x = xp.permute_dims(x, (*order, *range(2 * m + 1, len(x.shape))))
    sizes = [s * b for s, b in zip(inner, block, strict=True)]
    x = xp.reshape(x, (n, *sizes, *rest))
    key = [builtins.slice(low, size - high) for size, (low, high) in zip(sizes, cuts, strict=True)]
    return x[(builtins.slice(None), *key)]


@entry("SpaceToDepth", data_format="NHWC")
def _space_to_depth(xp: Any, input: Any, block_size: int) -> Any:
    n, h, w, c = input.shape
    b = block_size
    x = xp.reshape(input, (n, h // b, b, w // b, b, c))
    return xp.reshape(xp.permute_dims(x, (0, 1, 3, 2, 4, 5)), (n, h // b, w // b, b * b * c))


@entry("DepthToSpace", data_format="NHWC")
def _depth_to_space(xp: Any, input: Any, block_size: int) -> Any:
    n, h, w, c = input.shape
    b = block_size
    x = xp.reshape(input, (n, h, w, b, b, c // (b * b)))
    return xp.reshape(xp.permute_dims(x, (0, 1, 3, 2, 4, 5)), (n, h * b, w * b, c // (b * b)))
