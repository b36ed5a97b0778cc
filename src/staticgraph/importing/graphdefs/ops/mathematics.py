"""TensorFlow's reductions, products, decompositions, transforms and segments."""

from __future__ import annotations

import builtins
from typing import Any

import numpy as np

from oplibrary.messages.errors import UnsupportedOpError
from staticgraph.importing.graphdefs.ops.table import entry, known, lengths, number
from staticgraph.importing.shared.block import Several

# reductions ---------------------------------------------------------------------------------------


def _reduction(name: str) -> Any:
    def call(xp: Any, input: Any, reduction_indices: Any, keep_dims: bool) -> Any:
        axes = lengths(reduction_indices, "axes")
        if name == "vector_norm":
            return xp.sqrt(xp.sum(input * input, axis=axes, keepdims=keep_dims))
        return getattr(xp, name)(input, axis=axes, keepdims=keep_dims)

    return call


for theirs, ours in (
    ("Sum", "sum"),
    ("Max", "max"),
    ("Min", "min"),
    ("Prod", "prod"),
    ("EuclideanNorm", "vector_norm"),
):
    entry(theirs, ignored="T Tidx")(_reduction(ours))
for theirs, ours in (("All", "all"), ("Any", "any")):
    entry(theirs, ignored="Tidx")(_reduction(ours))


@entry("Mean", ignored="T Tidx")
def _mean(xp: Any, input: Any, reduction_indices: Any, keep_dims: bool) -> Any:
    axes = lengths(reduction_indices, "axes")
    if input.dtype.kind in "iu":  # TensorFlow's means of whole numbers are whole
        count = int(np.prod([input.shape[a] for a in axes]))
        total = xp.sum(input, axis=axes, keepdims=keep_dims)
        return xp.trunc(xp.astype(total, np.dtype("float64")) / count)
    return xp.mean(input, axis=axes, keepdims=keep_dims)


def _position(name: str) -> Any:
    def call(xp: Any, input: Any, dimension: Any) -> Any:
        return getattr(xp, name)(input, axis=number(dimension, "axis"))

    return call


entry("ArgMax", ignored="T Tidx output_type")(_position("argmax"))
entry("ArgMin", ignored="T Tidx output_type")(_position("argmin"))


def _running(name: str, first: Any) -> Any:
    def call(xp: Any, x: Any, axis: Any, exclusive: bool, reverse: bool) -> Any:
        at = number(axis, "axis") % len(x.shape)
        x = xp.flip(x, axis=at) if reverse else x
        found = getattr(xp, name)(x, axis=at)
        if exclusive:
            before = (builtins.slice(None),) * at
            widths = [(0, 0)] * len(x.shape)
            widths[at] = (1, 0)
            found = xp.pad(found[(*before, builtins.slice(0, -1))], widths, first)
        return xp.flip(found, axis=at) if reverse else found

    return call


entry("Cumsum", ignored="T Tidx")(_running("cumulative_sum", 0))
entry("Cumprod", ignored="T Tidx")(_running("cumulative_prod", 1))
entry("CumulativeLogsumexp", ignored="T Tidx")(_running("cumulative_logsumexp", -np.inf))


@entry("L2Loss")
def _l2_loss(xp: Any, t: Any) -> Any:
    return xp.sum(t * t) / 2


@entry("TopKV2", ignored="T Tk index_type sorted")
def _top_k(xp: Any, input: Any, k: Any) -> Any:
    return xp.topk(input, number(k, "number of elements"))


@entry("InTopKV2")
def _in_top_k(xp: Any, predictions: Any, targets: Any, k: Any) -> Any:
    at = xp.expand_dims(xp.astype(targets, np.dtype("int64")), axis=-1)
    target = xp.take_along_axis(predictions, at, axis=-1)
    larger = xp.sum(xp.astype(predictions > target, np.dtype("int64")), axis=-1)
    return larger < number(k, "number of elements")


def _bound(side: str) -> Any:
    def call(xp: Any, sorted_inputs: Any, values: Any) -> Any:
        rows = [
            xp.searchsorted(sorted_inputs[i], values[i], side=side)
            for i in range(sorted_inputs.shape[0])
        ]
        return xp.stack(rows, axis=0)

    return call


entry("LowerBound", ignored="T out_type")(_bound("left"))
entry("UpperBound", ignored="T out_type")(_bound("right"))


# segments -----------------------------------------------------------------------------------------


def _unsorted_segments(name: str) -> Any:
    def call(xp: Any, data: Any, segment_ids: Any, num_segments: Any) -> Any:
        n, rank = number(num_segments, "number of segments"), len(segment_ids.shape)
        rest = data.shape[rank:]
        ids = xp.reshape(segment_ids, (-1,))
        ids = xp.where(ids < 0, n, ids)  # what belongs to no segment goes to one behind
        rows = xp.reshape(data, (-1, *rest))
        return getattr(xp, name)(rows, ids, n + 1)[:n]

    return call


def _segments(name: str) -> Any:
    def call(xp: Any, data: Any, segment_ids: Any) -> Any:
        ids = known(segment_ids, "number of segments, which is one of the numbers that are given,")
        return getattr(xp, name)(data, ids, int(ids.max()) + 1)

    return call


for theirs in ("Sum", "Prod"):
    ours = f"segment_{theirs.lower()}"
    entry(f"UnsortedSegment{theirs}", ignored="T Tindices Tnumsegments")(_unsorted_segments(ours))
for theirs in ("Sum", "Mean", "Prod"):
    entry(f"Segment{theirs}", ignored="T Tindices")(_segments(f"segment_{theirs.lower()}"))


def _extreme_segments(name: str, largest: bool) -> Any:
    def call(xp: Any, data: Any, segment_ids: Any, num_segments: Any) -> Any:
        n, rank = number(num_segments, "number of segments"), len(segment_ids.shape)
        limits = np.finfo(data.dtype) if data.dtype.kind == "f" else np.iinfo(data.dtype)
        worst = limits.min if largest else limits.max
        rest = data.shape[rank:]
        ids = xp.reshape(segment_ids, (-1,))
        ids = xp.where(ids < 0, n, ids)
        start = xp.asarray(np.full((n + 1, *rest), worst, data.dtype))
        rows = xp.reshape(data, (-1, *rest))
        return getattr(xp, name)(start, ids, rows, axis=0)[:n]

    return call


for theirs, ours, large in (("Max", "scatter_max", True), ("Min", "scatter_min", False)):
    entry(f"UnsortedSegment{theirs}", ignored="T Tindices Tnumsegments")(
        _extreme_segments(ours, large)
    )


@entry("Bincount")
def _bincount(xp: Any, arr: Any, size: Any, weights: Any) -> Any:
    return _counted(xp, xp.reshape(arr, (-1,)), number(size, "number of bins"), weights)


@entry("DenseBincount", ignored="Tidx T", binary_output=False)
def _dense_bincount(xp: Any, input: Any, size: Any, weights: Any) -> Any:
    if len(input.shape) != 1:
        raise UnsupportedOpError(
            "counting in each row is not supported",
            cause="the library counts the numbers of one vector",
            fix="sum tf.one_hot(x, depth) along the axis",
        )
    return _counted(xp, input, number(size, "number of bins"), weights)


def _counted(xp: Any, ids: Any, n: int, weights: Any) -> Any:
    if not int(np.prod(weights.shape)):
        weights = np.ones(tuple(ids.shape), weights.dtype)
    return xp.segment_sum(xp.asarray(weights), xp.where(ids < n, ids, n), n + 1)[:n]


# products -----------------------------------------------------------------------------------------


@entry("MatMul", ignored="T grad_a grad_b")
def _matmul(xp: Any, a: Any, b: Any, transpose_a: bool, transpose_b: bool) -> Any:
    a = xp.matrix_transpose(a) if transpose_a else a
    return xp.matmul(a, xp.matrix_transpose(b) if transpose_b else b)


def _batch_matmul(xp: Any, x: Any, y: Any, adj_x: bool, adj_y: bool) -> Any:
    return xp.matmul(_adjoint(xp, x) if adj_x else x, _adjoint(xp, y) if adj_y else y)


entry("BatchMatMul", "BatchMatMulV2", ignored="T grad_x grad_y")(_batch_matmul)
entry("BatchMatMulV3", ignored="Ta Tb Tout grad_x grad_y")(_batch_matmul)


def _adjoint(xp: Any, x: Any) -> Any:
    turned = xp.matrix_transpose(x)
    return xp.conj(turned) if x.dtype.kind == "c" else turned


@entry("Einsum", ignored="N T")
def _einsum(xp: Any, inputs: Any, equation: str) -> Any:
    return xp.einsum(equation, *inputs)


@entry("Cross")
def _cross(xp: Any, a: Any, b: Any) -> Any:
    return xp.linalg.cross(a, b)


# decompositions -----------------------------------------------------------------------------------


@entry("Cholesky")
def _cholesky(xp: Any, input: Any) -> Any:
    return xp.linalg.cholesky(input)


@entry("MatrixInverse")
def _inverse(xp: Any, input: Any, adjoint: bool) -> Any:
    return xp.linalg.inv(_adjoint(xp, input) if adjoint else input)


@entry("MatrixDeterminant")
def _determinant(xp: Any, input: Any) -> Any:
    return xp.linalg.det(input)


@entry("LogMatrixDeterminant")
def _log_determinant(xp: Any, input: Any) -> Any:
    found = xp.linalg.slogdet(input)
    return [found[0], found[1]]


@entry("MatrixSolve")
def _solve(xp: Any, matrix: Any, rhs: Any, adjoint: bool) -> Any:
    return xp.linalg.solve(_adjoint(xp, matrix) if adjoint else matrix, rhs)


@entry("MatrixTriangularSolve")
def _triangular_solve(xp: Any, matrix: Any, rhs: Any, lower: bool, adjoint: bool) -> Any:
    turned = _adjoint(xp, matrix) if adjoint else matrix
    return xp.linalg.solve_triangular(turned, rhs, lower=lower != adjoint)


@entry("MatrixExponential")
def _matrix_exponential(xp: Any, input: Any) -> Any:
    return xp.linalg.expm(input)


@entry("Qr")
def _qr(xp: Any, input: Any, full_matrices: bool) -> Any:
    found = xp.linalg.qr(input, mode="complete" if full_matrices else "reduced")
    return [found[0], found[1]]


@entry("SelfAdjointEigV2")
def _eigh(xp: Any, input: Any, compute_v: bool) -> Any:
    if not compute_v:
        return Several(lambda: xp.linalg.eigvalsh(input), lambda: xp.zeros_like(input[..., :0, :0]))
    found = xp.linalg.eigh(input)
    return [found[0], found[1]]


@entry("Svd")
def _svd(xp: Any, input: Any, compute_uv: bool, full_matrices: bool) -> Any:
    if not compute_uv:
        return Several(lambda: xp.linalg.svdvals(input))
    u, s, v = xp.linalg.svd(input, full_matrices=full_matrices)
    return Several(lambda: s, lambda: u, lambda: _adjoint(xp, v))


# transforms ---------------------------------------------------------------------------------------


def _transform(name: str, rank: int) -> Any:
    def call(xp: Any, input: Any) -> Any:
        return getattr(xp.fft, name)(input, axes=tuple(range(-rank, 0)))

    return call


def _real_transform(name: str, rank: int) -> Any:
    def call(xp: Any, input: Any, fft_length: Any) -> Any:
        axes = tuple(range(-rank, 0))
        return getattr(xp.fft, name)(input, s=lengths(fft_length, "length"), axes=axes)

    return call


for axes, ending in ((1, ""), (2, "2D"), (3, "3D")):
    entry(f"FFT{ending}", ignored="Tcomplex")(_transform("fftn", axes))
    entry(f"IFFT{ending}", ignored="Tcomplex")(_transform("ifftn", axes))
    entry(f"RFFT{ending}", ignored="Treal Tcomplex")(_real_transform("rfftn", axes))
    entry(f"IRFFT{ending}", ignored="Treal Tcomplex")(_real_transform("irfftn", axes))
