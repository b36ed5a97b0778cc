"""ONNX's convolutions and pools."""

from __future__ import annotations

import builtins
from math import prod
from typing import Any

import numpy as np

from oplibrary.messages.errors import UnsupportedOpError
from oplibrary.ops.pooling import max_pool, max_pool_indices, sum_pool
from staticgraph.graph.dimension import Dim
from staticgraph.importing.onnx_models.arrays import INT64, key_along
from staticgraph.importing.onnx_models.table import TABLE
from staticgraph.importing.shared.block import Several


def _same_pads(shape: Any, kernel: Any, strides: Any, dilations: Any, at_end: bool) -> list[Any]:
    """Return the pairs with which there is a window for each step of the stride."""
    pairs = []
    for n, k, s, d in zip(shape, kernel, strides, dilations, strict=True):
        reach = d * (k - 1) + 1
        if isinstance(n, Dim) and s != 1:
            raise UnsupportedOpError(
                f"auto_pad along the length {n!r} with a stride of {s} is not supported",
                cause="the padding is no polynomial in the length",
                fix="write the pads, or fix the length",
            )
        total = reach - 1 if s == 1 else max((-(n // -s) - 1) * s + reach - n, 0)
        less = total // 2
        pairs.append((less, total - less) if at_end else (total - less, less))
    return pairs


class Geometry:
    """The windows of a node: a number an axis, and a pair of them for the padding."""

    def __init__(
        self, shape: Any, kernel: Any, strides: Any, pads: Any, dilations: Any, auto_pad: str
    ) -> None:
        rank = len(shape) - 2
        self.kernel = tuple(kernel)
        self.stride = tuple(strides or [1] * rank)
        self.dilation = tuple(dilations or [1] * rank)
        if auto_pad in ("SAME_UPPER", "SAME_LOWER"):
            upper = auto_pad == "SAME_UPPER"
            self.padding = tuple(
                _same_pads(shape[2:], self.kernel, self.stride, self.dilation, upper)
            )
        elif auto_pad == "VALID" or not pads:
            self.padding = ((0, 0),) * rank
        else:
            self.padding = tuple(zip(pads[:rank], pads[rank:], strict=True))


@TABLE.entry("Conv", ignored=("kernel_shape",))
def _conv(
    xp: Any,
    X: Any,
    W: Any,
    B: Any = None,
    *,
    auto_pad: str,
    group: int,
    pads: Any = None,
    strides: Any = None,
    dilations: Any = None,
) -> Any:
    at = Geometry(X.shape, W.shape[2:], strides, pads, dilations, auto_pad)
    return getattr(xp, f"conv{len(at.kernel)}d")(
        X, W, B, stride=at.stride, padding=at.padding, dilation=at.dilation, groups=group
    )


@TABLE.entry("ConvTranspose", ignored=("kernel_shape",))
def _conv_transpose(
    xp: Any,
    X: Any,
    W: Any,
    B: Any = None,
    *,
    auto_pad: str,
    group: int,
    pads: Any = None,
    strides: Any = None,
    dilations: Any = None,
    output_padding: Any = None,
    output_shape: Any = None,
) -> Any:
    given = auto_pad == "NOTSET" and output_shape is None
    at = Geometry(X.shape, W.shape[2:], strides, pads if given else None, dilations, "NOTSET")
    rank = len(at.kernel)
    more = list(output_padding or [0] * rank)
    padding = list(at.padding)
    if not given and auto_pad != "VALID":
        for a in range(rank):
            n, s = X.shape[a + 2], at.stride[a]
            whole = (n - 1) * s + at.dilation[a] * (at.kernel[a] - 1) + 1 + more[a]
            want = n * s if output_shape is None else output_shape[-rank:][a]
            total = whole - want
            if total < 0:  # zeros at the end
                more[a], total = more[a] - total, 0
            half = total // 2
            padding[a] = (total - half, half) if auto_pad == "SAME_LOWER" else (half, total - half)
            if auto_pad == "NOTSET":
                padding[a] = (half, total - half)
    # the library adds less than a stride at the end; the rest is zeros, or the bias
    limits = [max(s, d) - 1 for s, d in zip(at.stride, at.dilation, strict=True)]
    own = [min(m, limit) for m, limit in zip(more, limits, strict=True)]
    beyond = [m - o for m, o in zip(more, own, strict=True)]
    late = [min(b, p[1]) for b, p in zip(beyond, padding, strict=True)]
    padding = [(p[0], p[1] - x) for p, x in zip(padding, late, strict=True)]
    rest = [b - x for b, x in zip(beyond, late, strict=True)]
    y = getattr(xp, f"conv_transpose{rank}d")(
        X,
        W,
        None if any(rest) else B,
        stride=at.stride,
        padding=tuple(padding),
        output_padding=tuple(own),
        groups=group,
        dilation=at.dilation,
    )
    if not any(rest):
        return y
    y = xp.pad(y, [(0, 0), (0, 0), *[(0, r) for r in rest]])
    return y if B is None else y + xp.reshape(B, (1, -1, *(1,) * rank))


# pools --------------------------------------------------------------------------------------------


def _ceiled(shape: Any, at: Geometry) -> tuple[Any, ...]:
    """Return the padding with which the last window may end outside, if it begins inside."""
    pairs = []
    for n, k, s, d, (before, after) in zip(
        shape[2:], at.kernel, at.stride, at.dilation, at.padding, strict=True
    ):
        reach = d * (k - 1) + 1
        last = -((n + before + after - reach) // -s)
        if last * s >= n + before:
            last -= 1
        pairs.append((before, max(last * s + reach - n - before, after)))
    return tuple(pairs)


def _pool_attrs(at: Geometry, padding: Any) -> dict[str, Any]:
    return {
        "kernel": at.kernel,
        "stride": at.stride,
        "padding": tuple((int(a), int(b)) for a, b in padding),
        "dilation": at.dilation,
    }


@TABLE.entry("MaxPool")
def _max_pool(
    xp: Any,
    X: Any,
    kernel_shape: Any,
    auto_pad: str,
    pads: Any = None,
    strides: Any = None,
    dilations: Any = None,
    ceil_mode: int = 0,
    storage_order: int = 0,
) -> Any:
    at = Geometry(X.shape, kernel_shape, strides, pads, dilations, auto_pad)
    attrs = _pool_attrs(at, _ceiled(X.shape, at) if ceil_mode else at.padding)

    def places() -> Any:
        inside = max_pool_indices(X, found, **attrs)
        n, c, *lengths = X.shape
        if storage_order and len(lengths) > 1:  # columns first
            parts: list[Any] = []
            for length in lengths[::-1]:
                parts.insert(0, xp.remainder(inside, int(length)))
                inside = xp.floor_divide(inside, int(length))
            inside, step = parts[0], lengths[0]
            for part, length in zip(parts[1:], lengths[1:], strict=True):
                inside = inside + part * step
                step = step * length
        row = np.arange(int(n) * int(c)).reshape(int(n), int(c), *(1,) * len(lengths))
        return inside + row * prod(lengths)

    found = max_pool(X, **attrs)
    return Several(lambda: found, places)


@TABLE.entry("AveragePool")
def _average_pool(
    xp: Any,
    X: Any,
    kernel_shape: Any,
    auto_pad: str,
    pads: Any = None,
    strides: Any = None,
    dilations: Any = None,
    ceil_mode: int = 0,
    count_include_pad: int = 0,
) -> Any:
    at = Geometry(X.shape, kernel_shape, strides, pads, dilations, auto_pad)
    whole = _ceiled(X.shape, at) if ceil_mode else at.padding
    total = sum_pool(X, **_pool_attrs(at, whole))
    plain = whole == at.padding and (count_include_pad or not any(map(any, at.padding)))
    if plain:
        return total / float(prod(at.kernel))
    counts = np.ones(())
    for a, (k, s, d) in enumerate(zip(at.kernel, at.stride, at.dilation, strict=True)):
        n, (before, after) = int(X.shape[a + 2]), at.padding[a]
        starts = np.arange(int(total.shape[a + 2]))[:, None] * s - before
        taps = starts + np.arange(k) * d
        inside = (
            (taps >= -before) & (taps < n + after)
            if count_include_pad
            else (taps >= 0) & (taps < n)
        )
        counts = np.multiply.outer(counts, inside.sum(axis=1))
    return total / counts.astype(np.dtype(total.dtype))


@TABLE.entry("LpPool", since=2)
def _lp_pool(
    xp: Any,
    X: Any,
    kernel_shape: Any,
    auto_pad: str,
    p: int,
    pads: Any = None,
    strides: Any = None,
    dilations: Any = None,
    ceil_mode: int = 0,
) -> Any:
    at = Geometry(X.shape, kernel_shape, strides, pads, dilations, auto_pad)
    padding = _ceiled(X.shape, at) if ceil_mode else at.padding
    power = xp.square(X) if p == 2 else xp.pow(xp.abs(X), float(p))
    total = sum_pool(power, **_pool_attrs(at, padding))
    return xp.sqrt(total) if p == 2 else xp.pow(total, 1.0 / p)


def _spatial(x: Any) -> tuple[int, ...]:
    return tuple(range(2, len(x.shape)))


@TABLE.entry("GlobalAveragePool")
def _global_average_pool(xp: Any, X: Any) -> Any:
    return xp.mean(X, axis=_spatial(X), keepdims=True)


@TABLE.entry("GlobalMaxPool")
def _global_max_pool(xp: Any, X: Any) -> Any:
    return xp.max(X, axis=_spatial(X), keepdims=True)


@TABLE.entry("GlobalLpPool", since=2)
def _global_lp_pool(xp: Any, X: Any, p: int) -> Any:
    total = xp.sum(xp.pow(xp.abs(X), float(p)), axis=_spatial(X), keepdims=True)
    return xp.pow(total, 1.0 / p)


@TABLE.entry("MaxUnpool", known=("output_shape",))
def _max_unpool(
    xp: Any,
    X: Any,
    I: Any,  # noqa: E741  as in the schema
    output_shape: Any = None,
    *,
    kernel_shape: Any,
    pads: Any = None,
    strides: Any = None,
) -> Any:
    at = Geometry(X.shape, kernel_shape, strides, pads, None, "NOTSET")
    usual = [
        (n - 1) * s - sum(p) + k
        for n, s, p, k in zip(X.shape[2:], at.stride, at.padding, at.kernel, strict=True)
    ]
    shape = [*X.shape[:2], *usual]
    # indices count through an output of the usual shape
    flat = xp.zeros((int(prod(shape)),), dtype=X.dtype)
    found = xp.set_item(flat, (xp.reshape(I, (-1,)),), xp.reshape(X, (-1,)))
    if output_shape is None or list(output_shape) == shape:
        return xp.reshape(found, tuple(shape))
    places = xp.reshape(I, (-1,))
    index: list[Any] = []
    whole = places
    for n in shape[::-1]:
        index.insert(0, xp.remainder(whole, int(n)))
        whole = xp.floor_divide(whole, int(n))
    empty = xp.zeros(tuple(output_shape), dtype=X.dtype)
    return xp.set_item(empty, tuple(index), xp.reshape(X, (-1,)))


@TABLE.entry("Col2Im", known=("image_shape", "block_shape"))
def _col2im(
    xp: Any,
    input: Any,
    image_shape: Any,
    block_shape: Any,
    dilations: Any = None,
    pads: Any = None,
    strides: Any = None,
) -> Any:
    shape = (1, 1, *image_shape)
    at = Geometry(shape, block_shape, strides, pads, dilations, "NOTSET")
    rank, count = len(image_shape), prod(block_shape)
    padded = [n + sum(p) for n, p in zip(image_shape, at.padding, strict=True)]
    places: Any = 0
    for a, (n, k, s, d) in enumerate(zip(padded, at.kernel, at.stride, at.dilation, strict=True)):
        windows = (n - d * (k - 1) - 1) // s + 1
        taps = np.arange(k)[:, None] * d + np.arange(windows) * s
        at_axes = [1] * (2 * rank)
        at_axes[a], at_axes[rank + a] = k, windows
        places = places * n + taps.reshape(at_axes)
    n, c = input.shape[0], input.shape[1] // count
    rows = xp.reshape(input, (n, c, places.size))
    empty = xp.zeros((int(n), int(c), prod(padded)), dtype=input.dtype)
    flat = np.broadcast_to(places.reshape(1, 1, -1), (int(n), int(c), places.size))
    found = xp.reshape(xp.scatter_add(empty, flat, rows, axis=2), (n, c, *padded))
    key = [builtins.slice(b, b + m) for (b, _), m in zip(at.padding, image_shape, strict=True)]
    return found[(builtins.slice(None), builtins.slice(None), *key)]


__all__ = ["INT64", "Geometry", "key_along"]
