"""TensorFlow's ops of networks beside convolutions: pools, norms and losses, with gradients."""

from __future__ import annotations

import builtins
from typing import Any

import numpy as np

from staticgraph.importing.graphdefs.ops.convolutions import (
    as_before,
    by_input,
    channels_first,
    inner_axes,
    padded,
    window_pads,
)
from staticgraph.importing.graphdefs.ops.table import entry, lengths
from staticgraph.importing.shared.block import Several


@entry("BiasAdd")
def _bias_add(xp: Any, value: Any, bias: Any, data_format: str) -> Any:
    if data_format.startswith("NC"):
        bias = xp.reshape(bias, (-1, *(1,) * (len(value.shape) - 2)))
    return value + bias


@entry("BiasAddV1")
def _bias_add_v1(xp: Any, value: Any, bias: Any) -> Any:
    return value + bias


@entry("BiasAddGrad")
def _bias_add_grad(xp: Any, out_backprop: Any, data_format: str) -> Any:
    rank = len(out_backprop.shape)
    kept = 1 if data_format.startswith("NC") else rank - 1
    return xp.sum(out_backprop, axis=tuple([a for a in range(rank) if a != kept]))


# pools --------------------------------------------------------------------------------------------


def _windows(images: Any, ksize: Any, strides: Any, padding: str, data_format: str) -> Any:
    kernel = inner_axes(ksize, data_format, "ksize")
    steps = inner_axes(strides, data_format, "strides")
    ones = (1,) * len(kernel)
    return kernel, steps, window_pads(images.shape[2:], kernel, steps, ones, padding)


def _max_pool(xp: Any, input: Any, ksize: Any, strides: Any, padding: str, data_format: str) -> Any:
    images = channels_first(xp, input, data_format)
    kernel, steps, pads = _windows(images, ksize, strides, padding, data_format)
    around = padded(xp, images, pads, -np.inf)
    return as_before(xp, getattr(xp, f"max_pool{len(kernel)}d")(around, kernel, steps), data_format)


@entry("MaxPool", explicit_paddings=())
def _max_pool2d(
    xp: Any, input: Any, ksize: Any, strides: Any, padding: str, data_format: str
) -> Any:
    return _max_pool(xp, input, ksize, strides, padding, data_format)


@entry("MaxPoolV2")
def _max_pool2d_v2(
    xp: Any, input: Any, ksize: Any, strides: Any, padding: str, data_format: str
) -> Any:
    return _max_pool(
        xp, input, lengths(ksize, "window"), lengths(strides, "stride"), padding, data_format
    )


entry("MaxPool3D")(_max_pool)


def _counts(sizes: Any, kernel: Any, steps: Any, pads: Any, dtype: Any) -> Any:
    """Return how many elements of the images each window has."""
    found: Any = np.ones((), dtype)
    for axis, (n, k, s, (low, high)) in enumerate(zip(sizes, kernel, steps, pads, strict=True)):
        starts = np.arange(0, n + low + high - k + 1, s) - low
        counts = np.minimum(starts + k, n) - np.maximum(starts, 0)
        found = found * counts.reshape((-1,) + (1,) * (len(sizes) - axis - 1)).astype(dtype)
    return found


def _avg_pool(xp: Any, value: Any, ksize: Any, strides: Any, padding: str, data_format: str) -> Any:
    images = channels_first(xp, value, data_format)
    kernel, steps, pads = _windows(images, ksize, strides, padding, data_format)
    total = getattr(xp, f"avg_pool{len(kernel)}d")(
        padded(xp, images, pads), kernel, steps, divisor_override=1
    )
    counts = _counts(images.shape[2:], kernel, steps, pads, value.dtype)
    return as_before(xp, total / counts, data_format)


entry("AvgPool")(_avg_pool)


@entry("AvgPool3D")
def _avg_pool3d(
    xp: Any, input: Any, ksize: Any, strides: Any, padding: str, data_format: str
) -> Any:
    return _avg_pool(xp, input, ksize, strides, padding, data_format)


@entry("AvgPoolGrad", "AvgPool3DGrad")
def _avg_pool_grad(
    xp: Any,
    orig_input_shape: Any,
    grad: Any,
    ksize: Any,
    strides: Any,
    padding: str,
    data_format: str,
) -> Any:
    full = lengths(orig_input_shape)
    slopes = channels_first(xp, grad, data_format)
    first = full if data_format.startswith("NC") else (full[0], full[-1], *full[1:-1])
    kernel, steps, pads = _windows(np.empty(first, bool), ksize, strides, padding, data_format)
    shares = slopes / _counts(first[2:], kernel, steps, pads, grad.dtype)
    rows = xp.reshape(shares, (-1, 1, *slopes.shape[2:]))
    ones = np.ones((*kernel, 1, 1), grad.dtype)
    found = by_input(
        xp,
        np.array([rows.shape[0], 1, *first[2:]]),
        ones,
        rows,
        (1, 1, *steps),
        padding,
        (1,) * (len(kernel) + 2),
        "NC",
    )
    return as_before(xp, xp.reshape(found, first), data_format)


@entry("MaxPoolGrad", explicit_paddings=())
def _max_pool_grad(
    xp: Any,
    orig_input: Any,
    orig_output: Any,
    grad: Any,
    ksize: Any,
    strides: Any,
    padding: str,
    data_format: str,
) -> Any:
    images = channels_first(xp, orig_input, data_format)
    slopes = channels_first(xp, grad, data_format)
    kernel, steps, pads = _windows(images, ksize, strides, padding, data_format)
    around = padded(xp, images, pads, -np.inf)
    n, c, *inner = around.shape
    _, places = xp.max_pool2d(around, kernel, steps, return_indices=True)
    size = int(np.prod(inner))
    rows = np.arange(n * c).reshape(n, c, 1, 1) * size
    where = xp.reshape(xp.astype(places, np.dtype("int64")) + rows, (-1,))
    zeros = xp.asarray(np.zeros(n * c * size, grad.dtype))
    found = xp.scatter_add(zeros, where, xp.reshape(slopes, (-1,)))
    found = xp.reshape(found, around.shape)
    cut = [builtins.slice(low, low + m) for (low, _), m in zip(pads, images.shape[2:], strict=True)]
    return as_before(xp, found[(builtins.slice(None), builtins.slice(None), *cut)], data_format)


# norms --------------------------------------------------------------------------------------------


def _about_channels(xp: Any, x: Any, data_format: str) -> tuple[Any, Any, int]:
    """Return the axes to sum over, what gives numbers of channels their axis, and the count."""
    rank = len(x.shape)
    channel = 1 if data_format.startswith("NC") else rank - 1
    axes = tuple([a for a in range(rank) if a != channel])
    shape = tuple([-1 if a == channel else 1 for a in range(rank)])
    count = 1
    for a in axes:
        count = count * x.shape[a]
    return axes, lambda v: xp.reshape(v, shape), count


def _batch_norm(
    xp: Any,
    x: Any,
    scale: Any,
    offset: Any,
    mean: Any,
    variance: Any,
    epsilon: float,
    exponential_avg_factor: float,
    data_format: str,
    is_training: bool,
) -> Any:
    axes, wide, count = _about_channels(xp, x, data_format)
    if is_training:
        centre, spread = xp.mean(x, axis=axes), xp.var(x, axis=axes)
    else:
        centre, spread = mean, variance

    def normed() -> Any:
        factor = wide(xp.rsqrt(spread + np.asarray(epsilon, spread.dtype)) * scale)
        return (x - wide(centre)) * factor + wide(offset)

    def mixed(old: Any, new: Any) -> Any:
        if not is_training:
            return old
        share = exponential_avg_factor
        return new if share == 1 else old * (1 - share) + new * share

    def unbiased() -> Any:
        return mixed(variance, spread * (count / max(count - 1, 1)) if is_training else spread)

    return Several(
        normed,
        lambda: mixed(mean, centre),
        unbiased,
        lambda: centre,
        lambda: spread,
        lambda: xp.zeros_like(scale),
    )


entry("FusedBatchNorm")(_batch_norm)
entry("FusedBatchNormV2", "FusedBatchNormV3", ignored="T U")(_batch_norm)


def _batch_norm_grad(
    xp: Any,
    y_backprop: Any,
    x: Any,
    scale: Any,
    reserve_space_1: Any,
    reserve_space_2: Any,
    epsilon: float,
    data_format: str,
    is_training: bool,
) -> Any:
    axes, wide, count = _about_channels(xp, x, data_format)
    if is_training:  # afresh: what the op keeps for its gradient is another on each device
        mean, variance = xp.mean(x, axis=axes), xp.var(x, axis=axes)
    else:
        mean, variance = reserve_space_1, reserve_space_2
    factor = xp.rsqrt(variance + np.asarray(epsilon, variance.dtype))
    centred = (x - wide(mean)) * wide(factor)
    by_offset = xp.sum(y_backprop, axis=axes)
    by_scale = xp.sum(y_backprop * centred, axis=axes)

    def by_x() -> Any:
        if not is_training:
            return y_backprop * wide(factor * scale)
        inner = y_backprop - wide(by_offset / count) - centred * wide(by_scale / count)
        return inner * wide(factor * scale)

    return Several(by_x, lambda: by_scale, lambda: by_offset)


entry("FusedBatchNormGrad")(_batch_norm_grad)
entry("FusedBatchNormGradV2", ignored="T U")(_batch_norm_grad)
entry("FusedBatchNormGradV3", ignored="T U reserve_space_3")(_batch_norm_grad)


@entry("LRN")
def _local_response_norm(
    xp: Any, input: Any, depth_radius: int, bias: float, alpha: float, beta: float
) -> Any:
    squares = xp.pad(xp.square(input), [(0, 0)] * 3 + [(depth_radius, depth_radius)], 0)
    n = input.shape[-1]
    total = squares[..., 0:n]
    for i in range(1, 2 * depth_radius + 1):
        total = total + squares[..., i : i + n]
    return input * xp.pow(bias + alpha * total, -beta)


# losses -------------------------------------------------------------------------------------------


@entry("Softmax")
def _softmax(xp: Any, logits: Any) -> Any:
    return xp.softmax(logits, axis=-1)


@entry("LogSoftmax")
def _log_softmax(xp: Any, logits: Any) -> Any:
    return xp.log_softmax(logits, axis=-1)


@entry("SoftmaxCrossEntropyWithLogits")
def _cross_entropy(xp: Any, features: Any, labels: Any) -> Any:
    def loss() -> Any:
        # TensorFlow's gradient is softmax(features) - labels, whatever the labels sum to
        over = xp.logsumexp(features, axis=-1)
        weight = xp.sum(labels, axis=-1)
        value = -xp.sum(labels * xp.log_softmax(features, axis=-1), axis=-1)
        sloped = over * (1 + weight - xp.stop_gradient(weight)) - xp.sum(labels * features, axis=-1)
        return xp.stop_gradient(value) + (sloped - xp.stop_gradient(sloped))

    return Several(loss, lambda: xp.softmax(features, axis=-1) - labels)


@entry("SparseSoftmaxCrossEntropyWithLogits", ignored="T Tlabels")
def _sparse_cross_entropy(xp: Any, features: Any, labels: Any) -> Any:
    at = xp.expand_dims(xp.astype(xp.asarray(labels), np.dtype("int64")), axis=-1)

    def loss() -> Any:
        found = xp.take_along_axis(xp.log_softmax(features, axis=-1), at, axis=-1)
        return -xp.squeeze(found, axis=-1)

    def slope() -> Any:
        classes = np.arange(features.shape[-1])
        chosen = xp.astype(xp.equal(at, classes), features.dtype)
        return xp.softmax(features, axis=-1) - chosen

    return Several(loss, slope)
