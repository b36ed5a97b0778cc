"""ONNX's operators that combine the elements of axes, and products of matrices."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from oplibrary.messages.errors import UnsupportedOpError
from oplibrary.values.dtypes import FLOATING
from staticgraph.importing.onnx_models.known import is_live
from staticgraph.importing.onnx_models.table import TABLE
from staticgraph.importing.shared.block import Several


def _reduction(function: Callable[[Any, Any, Any, bool], Any]) -> Any:
    def entry(
        xp: Any, data: Any, axes: Any = None, keepdims: int = 1, noop_with_empty_axes: int = 0
    ) -> Any:
        if not axes and noop_with_empty_axes:
            axis: Any = ()
        else:
            axis = tuple(axes) if axes else None
        return function(xp, data, axis, bool(keepdims))

    return entry


def _named(name: str) -> Callable[[Any, Any, Any, bool], Any]:
    def reduced(xp: Any, x: Any, axis: Any, keep: bool) -> Any:
        return x if axis == () else getattr(xp, name)(x, axis=axis, keepdims=keep)

    return reduced


def _extreme(name: str, whole: str) -> Callable[[Any, Any, Any, bool], Any]:
    def reduced(xp: Any, x: Any, axis: Any, keep: bool) -> Any:
        if axis == ():
            return x
        taken = range(len(x.shape)) if axis is None else axis
        if any(isinstance(x.shape[a], int) and x.shape[a] == 0 for a in taken):
            return xp.full(_left(x.shape, taken, keep), _least(x.dtype, name), dtype=x.dtype)
        if x.dtype == np.bool_:
            return getattr(xp, whole)(x, axis=axis, keepdims=keep)
        return getattr(xp, name)(x, axis=axis, keepdims=keep)

    return reduced


def _left(shape: Any, axes: Any, keep: bool) -> tuple[Any, ...]:
    gone = {a % len(shape) for a in axes}
    if keep:
        return tuple([1 if a in gone else n for a, n in enumerate(shape)])
    return tuple([n for a, n in enumerate(shape) if a not in gone])


def _least(dtype: Any, name: str) -> Any:
    """Return the extreme of no elements."""
    if dtype.kind in FLOATING:
        return -np.inf if name == "max" else np.inf
    if dtype == np.bool_:
        return name == "min"
    limits = np.iinfo(dtype)
    return limits.min if name == "max" else limits.max


def _logsumexp(xp: Any, x: Any, axis: Any, keep: bool) -> Any:
    if axis == ():
        return x
    taken = range(len(x.shape)) if axis is None else axis
    if any(isinstance(x.shape[a], int) and x.shape[a] == 0 for a in taken):
        return xp.full(_left(x.shape, taken, keep), -np.inf, dtype=x.dtype)
    return xp.logsumexp(x, axis=axis, keepdims=keep)


_sum = _named("sum")


for _name, _function in {
    "ReduceSum": _sum,
    "ReduceProd": _named("prod"),
    "ReduceMean": _named("mean"),
    "ReduceMax": _extreme("max", "any"),
    "ReduceMin": _extreme("min", "all"),
    "ReduceL1": lambda xp, x, axis, keep: _sum(xp, xp.abs(x), axis, keep),
    "ReduceL2": lambda xp, x, axis, keep: xp.sqrt(_sum(xp, xp.square(x), axis, keep)),
    "ReduceSumSquare": lambda xp, x, axis, keep: _sum(xp, xp.square(x), axis, keep),
    "ReduceLogSum": lambda xp, x, axis, keep: xp.log(_sum(xp, x, axis, keep)),
    "ReduceLogSumExp": _logsumexp,
}.items():
    TABLE.entry(_name, known=("axes",))(_reduction(_function))


def _position(name: str) -> Any:
    def entry(xp: Any, data: Any, axis: int, keepdims: int, select_last_index: int = 0) -> Any:
        if not select_last_index:
            return getattr(xp, name)(data, axis=axis, keepdims=bool(keepdims))
        found = getattr(xp, name)(xp.flip(data, axis=axis), axis=axis, keepdims=bool(keepdims))
        return data.shape[axis] - 1 - found

    return entry


TABLE.entry("ArgMax")(_position("argmax"))
TABLE.entry("ArgMin")(_position("argmin"))


def _running(name: str) -> Any:
    def entry(xp: Any, x: Any, axis: Any, exclusive: int, reverse: int) -> Any:
        axis = axis[0] if isinstance(axis, list) else axis
        x = xp.flip(x, axis=axis) if reverse else x
        found = getattr(xp, name)(x, axis=axis, include_initial=bool(exclusive))
        if exclusive:
            key = [slice(None)] * len(x.shape)
            key[axis] = slice(0, -1)
            found = found[tuple(key)]
        return xp.flip(found, axis=axis) if reverse else found

    return entry


TABLE.entry("CumSum", known=("axis",))(_running("cumulative_sum"))
TABLE.entry("CumProd", known=("axis",))(_running("cumulative_prod"))


@TABLE.entry("TopK", known=("K",), ignored=("sorted",), renamed={"k": "K"})
def _top_k(xp: Any, X: Any, K: Any, axis: int = -1, largest: int = 1) -> Any:
    k = K[0] if isinstance(K, list) else K
    # the first of equal elements comes first in either direction
    order = xp.argsort(X, axis=axis, descending=bool(largest), stable=True)
    key = [slice(None)] * len(X.shape)
    key[axis] = slice(0, k)
    places = order[tuple(key)]
    return [xp.take_along_axis(X, places, axis=axis), xp.astype(places, np.dtype("int64"))]


# products -----------------------------------------------------------------------------------------


@TABLE.entry("MatMul")
def _matmul(xp: Any, A: Any, B: Any) -> Any:
    return xp.matmul(A, B)


@TABLE.entry("Gemm", ignored=("broadcast",))
def _gemm(
    xp: Any, A: Any, B: Any, C: Any = None, *, alpha: float, beta: float, transA: int, transB: int
) -> Any:
    y = xp.matmul(xp.matrix_transpose(A) if transA else A, xp.matrix_transpose(B) if transB else B)
    y = y if alpha == 1 else scaled(xp, y, alpha)
    if C is None:
        return y
    return xp.add(y, C if beta == 1 else scaled(xp, C, beta))


def scaled(xp: Any, x: Any, factor: float) -> Any:
    """Return `x` times a number, in the dtype of `x`."""
    return xp.astype(xp.multiply(x, factor), x.dtype)


@TABLE.entry("Einsum")
def _einsum(xp: Any, Inputs: Any, equation: str) -> Any:
    return xp.einsum(equation.replace(" ", ""), *Inputs)


# normal numbers along axes ------------------------------------------------------------------------


def _along(function: str) -> Any:
    def entry(xp: Any, input: Any, axis: int, version: int) -> Any:
        if version >= 13:
            return getattr(xp, function)(input, axis=axis)
        # earlier versions take all axes from this one on as one
        flat = _as_matrix(xp, input, axis)
        return xp.reshape(getattr(xp, function)(flat, axis=-1), input.shape)

    return entry


def _as_matrix(xp: Any, x: Any, axis: int) -> Any:
    first: Any = 1
    for n in x.shape[: axis % max(len(x.shape), 1)]:
        first = first * n
    rest: Any = 1
    for n in x.shape[axis % max(len(x.shape), 1) :]:
        rest = rest * n
    return xp.reshape(x, (first, rest))


TABLE.entry("Softmax")(_along("softmax"))
TABLE.entry("LogSoftmax")(_along("log_softmax"))


@TABLE.entry("Hardmax")
def _hardmax(xp: Any, input: Any, axis: int, version: int) -> Any:
    if version < 13:
        flat = _as_matrix(xp, input, axis)
        return xp.reshape(_hardmax(xp, flat, -1, 13), input.shape)
    length = input.shape[axis]
    at = [1] * len(input.shape)
    at[axis] = length
    places = xp.reshape(xp.asarray(np.arange(int(length))), tuple(at))
    chosen = xp.argmax(input, axis=axis, keepdims=True)
    return xp.astype(xp.equal(chosen, places), input.dtype)


@TABLE.entry("LpNormalization")
def _lp_normalization(xp: Any, input: Any, axis: int, p: int) -> Any:
    if p == 1:
        size = xp.sum(xp.abs(input), axis=axis, keepdims=True)
    else:
        size = xp.sqrt(xp.sum(xp.square(input), axis=axis, keepdims=True))
    # what has no length stays nothing
    none = xp.equal(size, 0)
    return xp.where(none, xp.zeros_like(input), input / xp.where(none, xp.ones_like(size), size))


@TABLE.entry("MeanVarianceNormalization")
def _mean_variance(xp: Any, X: Any, axes: Any) -> Any:
    axis = tuple(axes)
    apart = X - xp.mean(X, axis=axis, keepdims=True)
    return apart / (xp.sqrt(xp.mean(xp.square(apart), axis=axis, keepdims=True)) + 1e-9)


def _stashed(xp: Any, x: Any, stash_type: int) -> Any:
    """Return `x` in the dtype that statistics are computed in."""
    if stash_type not in (0, 1):
        raise UnsupportedOpError(
            f"stash_type={stash_type} is not supported",
            cause="statistics are computed in float32, or in what is given",
            fix="write the operator with stash_type=1",
        )
    wide = stash_type == 1 and x.dtype.itemsize < 4
    return xp.astype(x, np.dtype("float32")) if wide else x


def _normal_axes(x: Any, axis: int) -> tuple[int, ...]:
    return tuple(range(axis % len(x.shape), len(x.shape)))


@TABLE.entry("LayerNormalization")
def _layer_norm(
    xp: Any, X: Any, Scale: Any, B: Any = None, *, axis: int, epsilon: float, stash_type: int
) -> Any:
    x, axes = _stashed(xp, X, stash_type), _normal_axes(X, axis)
    mean = xp.mean(x, axis=axes, keepdims=True)
    apart = x - mean
    deviation = xp.reciprocal(
        xp.sqrt(xp.mean(xp.square(apart), axis=axes, keepdims=True) + epsilon)
    )
    y = xp.astype(apart * deviation, X.dtype) * Scale
    return Several(lambda: y if B is None else y + B, lambda: mean, lambda: deviation)


@TABLE.entry("RMSNormalization")
def _rms_norm(xp: Any, X: Any, scale: Any, axis: int, epsilon: float, stash_type: int) -> Any:
    x, axes = _stashed(xp, X, stash_type), _normal_axes(X, axis)
    size = xp.sqrt(xp.mean(xp.square(x), axis=axes, keepdims=True) + epsilon)
    return xp.astype(x / size, scale.dtype) * scale


@TABLE.entry("InstanceNormalization", ignored=("consumed_inputs",))
def _instance_norm(xp: Any, input: Any, scale: Any, B: Any, epsilon: float) -> Any:
    return xp.instance_norm(input, scale, B, epsilon)


@TABLE.entry("GroupNormalization", since=21)
def _group_norm(
    xp: Any, X: Any, scale: Any, bias: Any, num_groups: int, epsilon: float, stash_type: int
) -> Any:
    found = xp.group_norm(_stashed(xp, X, stash_type), num_groups, None, None, epsilon)
    shape = (-1, *(1,) * (len(X.shape) - 2))
    found = xp.astype(found, X.dtype)
    return found * xp.reshape(scale, shape) + xp.reshape(bias, shape)


@TABLE.entry("BatchNormalization", ignored=("consumed_inputs",), spatial=1)
def _batch_norm(
    xp: Any,
    X: Any,
    scale: Any,
    B: Any,
    input_mean: Any = None,
    input_var: Any = None,
    mean: Any = None,
    var: Any = None,
    *,
    epsilon: float,
    momentum: float,
    training_mode: int = 0,
    is_test: int = 1,
    outputs: int = 1,
) -> Any:
    center = mean if input_mean is None else input_mean
    spread = var if input_var is None else input_var
    shape = (-1, *(1,) * (len(X.shape) - 2))
    training = bool(training_mode) or not is_test or (outputs > 1 and not training_mode)
    x = X
    if training:
        axes = (0, *range(2, len(X.shape)))
        wide = xp.astype(X, spread.dtype) if X.dtype != spread.dtype else X
        now, width = xp.mean(wide, axis=axes), xp.var(wide, axis=axes)
    else:
        now, width = center, spread
    wide = xp.astype(x, now.dtype) if x.dtype != now.dtype else x
    y = (wide - xp.reshape(now, shape)) / xp.sqrt(xp.reshape(width, shape) + epsilon)
    y = xp.reshape(scale, shape) * xp.astype(y, X.dtype) + xp.reshape(B, shape)
    return Several(
        lambda: y,
        lambda: center * momentum + now * (1 - momentum),
        lambda: spread * momentum + width * (1 - momentum),
        lambda: now,
        lambda: width,
    )


@TABLE.entry("LRN")
def _lrn(xp: Any, X: Any, alpha: float, beta: float, bias: float, size: int) -> Any:
    before = (size - 1) // 2
    widths = [(0, 0)] * len(X.shape)
    widths[1] = (before, size - 1 - before)
    square = xp.pad(xp.square(X), widths)
    channels = X.shape[1]
    parts = []
    for i in range(size):
        key = [slice(None)] * len(X.shape)
        key[1] = slice(i, i + int(channels))
        parts.append(square[tuple(key)])
    total = parts[0]
    for part in parts[1:]:
        total = total + part
    return X / xp.pow(total * (alpha / size) + bias, beta)


@TABLE.entry("Dropout", ignored=("consumed_inputs", "seed"), known=("training_mode",))
def _dropout(
    xp: Any, data: Any, ratio: Any = 0.5, training_mode: Any = False, is_test: int = 1
) -> Any:
    if (training_mode or not is_test) and (is_live(ratio) or np.any(ratio)):
        raise UnsupportedOpError(
            "Dropout draws random numbers in training",
            cause="ONNX does not say which, so that nothing could be compared",
            fix="export the model for inference, and train it here with sg.dropout",
        )
    return Several(lambda: data, lambda: xp.ones_like(data, dtype=np.dtype(bool)))
