"""TensorFlow's convolutions, by images in either layout, and their gradients."""

from __future__ import annotations

import builtins
from collections.abc import Sequence
from typing import Any

import numpy as np

from oplibrary.messages.errors import UnsupportedOpError
from staticgraph.importing.graphdefs.ops.table import entry, lengths

# layouts ------------------------------------------------------------------------------------------


def channels_first(xp: Any, x: Any, data_format: str) -> Any:
    """Return images as ``(images, channels, ...)``."""
    if data_format.startswith("NC"):
        return x
    rank = len(x.shape)
    return xp.permute_dims(x, (0, rank - 1, *range(1, rank - 1)))


def as_before(xp: Any, x: Any, data_format: str) -> Any:
    """Return what `channels_first` was applied to."""
    if data_format.startswith("NC"):
        return x
    return xp.permute_dims(x, (0, *range(2, len(x.shape)), 1))


def inner_axes(values: Sequence[int], data_format: str, what: str) -> tuple[int, ...]:
    """Return what an attribute says of the axes of an image."""
    first = data_format.startswith("NC")
    inner = values[2:] if first else values[1:-1]
    others = values[:2] if first else (values[0], values[-1])
    if {*others} != {1}:
        raise UnsupportedOpError(
            f"{what}={list(values)} is not supported",
            cause="windows do not move across images or channels",
            fix=f"write {what} with 1 for the images and the channels",
        )
    return tuple(inner)


def window_pads(
    sizes: Sequence[int],
    kernel: Sequence[int],
    strides: Sequence[int],
    dilations: Sequence[int],
    padding: str,
    explicit: Sequence[int] = (),
    data_format: str = "NHWC",
) -> list[tuple[int, int]]:
    """Return how many elements are put before and behind each axis of the images."""
    if padding == "VALID":
        return [(0, 0)] * len(sizes)
    if padding == "EXPLICIT":
        pairs = [(explicit[i], explicit[i + 1]) for i in range(0, len(explicit), 2)]
        return pairs[2:] if data_format.startswith("NC") else pairs[1:-1]
    found = []
    for n, k, s, d in zip(sizes, kernel, strides, dilations, strict=True):
        total = max((-(-n // s) - 1) * s + (k - 1) * d + 1 - n, 0)
        found.append((total // 2, total - total // 2))
    return found


def padded(xp: Any, x: Any, pads: Sequence[tuple[int, int]], value: Any = 0) -> Any:
    """Return images with `value` around them."""
    return xp.pad(x, [(0, 0), (0, 0), *pads], value) if any(map(any, pads)) else x


# convolutions -------------------------------------------------------------------------------------


def _convolved(
    xp: Any,
    images: Any,
    weight: Any,
    strides: Sequence[int],
    pads: Sequence[tuple[int, int]],
    dilations: Sequence[int],
    groups: int,
) -> Any:
    even = all(low == high for low, high in pads)
    return getattr(xp, f"conv{len(strides)}d")(
        images if even else padded(xp, images, pads),
        weight,
        stride=tuple(strides),
        padding=tuple([low for low, _ in pads]) if even else 0,
        dilation=tuple(dilations),
        groups=groups,
    )


def _weight(xp: Any, filter: Any, depthwise: bool) -> Any:
    """Return a filter as ``(results, channels of a group, ...)``."""
    rank = len(filter.shape)
    if not depthwise:
        return xp.permute_dims(filter, (rank - 1, rank - 2, *range(rank - 2)))
    turned = xp.permute_dims(filter, (2, 3, 0, 1))
    return xp.reshape(turned, (filter.shape[2] * filter.shape[3], 1, *filter.shape[:2]))


def _convolution(
    xp: Any,
    input: Any,
    filter: Any,
    strides: Any,
    padding: str,
    dilations: Any,
    data_format: str,
    explicit_paddings: Any = (),
    depthwise: bool = False,
) -> Any:
    images = channels_first(xp, input, data_format)
    steps = inner_axes(strides, data_format, "strides")
    gaps = inner_axes(dilations, data_format, "dilations")
    kernel = filter.shape[:-2]
    pads = window_pads(
        images.shape[2:], kernel, steps, gaps, padding, explicit_paddings, data_format
    )
    groups = images.shape[1] if depthwise else images.shape[1] // filter.shape[-2]
    found = _convolved(xp, images, _weight(xp, filter, depthwise), steps, pads, gaps, groups)
    return as_before(xp, found, data_format)


entry("Conv2D", ignored="T use_cudnn_on_gpu")(
    lambda xp, input, filter, strides, padding, dilations, data_format, explicit_paddings: (
        _convolution(xp, input, filter, strides, padding, dilations, data_format, explicit_paddings)
    )
)
entry("Conv3D")(
    lambda xp, input, filter, strides, padding, dilations, data_format: _convolution(
        xp, input, filter, strides, padding, dilations, data_format
    )
)
entry("DepthwiseConv2dNative")(
    lambda xp, input, filter, strides, padding, dilations, data_format, explicit_paddings: (
        _convolution(
            xp, input, filter, strides, padding, dilations, data_format, explicit_paddings, True
        )
    )
)


def by_input(
    xp: Any,
    sizes: Any,
    filter: Any,
    out_backprop: Any,
    strides: Any,
    padding: str,
    dilations: Any,
    data_format: str,
    explicit_paddings: Any = (),
    depthwise: bool = False,
) -> Any:
    """Return the gradient of a convolution by its images, which is a transposed convolution."""
    full = lengths(sizes)
    inner = full[2:] if data_format.startswith("NC") else full[1:-1]
    channels = full[1] if data_format.startswith("NC") else full[-1]
    if len(full) == len(filter.shape) - 2:  # the axes of images only
        inner, channels = full, filter.shape[-2]
    steps = inner_axes(strides, data_format, "strides")
    gaps = inner_axes(dilations, data_format, "dilations")
    kernel = filter.shape[:-2]
    pads = window_pads(inner, kernel, steps, gaps, padding, explicit_paddings, data_format)
    groups = channels if depthwise else channels // filter.shape[-2]
    found = getattr(xp, f"conv_transpose{len(steps)}d")(
        channels_first(xp, out_backprop, data_format),
        _weight(xp, filter, depthwise),
        stride=steps,
        dilation=gaps,
        groups=groups,
    )
    missing = [
        max(low + n - have, 0)
        for n, (low, _), have in zip(inner, pads, found.shape[2:], strict=True)
    ]
    found = padded(xp, found, [(0, n) for n in missing])
    cut = [builtins.slice(low, low + n) for n, (low, _) in zip(inner, pads, strict=True)]
    return as_before(xp, found[(builtins.slice(None), builtins.slice(None), *cut)], data_format)


entry("Conv2DBackpropInput", ignored="T use_cudnn_on_gpu")(
    lambda xp, input_sizes, filter, out_backprop, strides, padding, dilations, data_format, explicit_paddings: (  # noqa: E501
        by_input(
            xp,
            input_sizes,
            filter,
            out_backprop,
            strides,
            padding,
            dilations,
            data_format,
            explicit_paddings,
        )
    )
)
entry("DepthwiseConv2dNativeBackpropInput")(
    lambda xp, input_sizes, filter, out_backprop, strides, padding, dilations, data_format, explicit_paddings: (  # noqa: E501
        by_input(
            xp,
            input_sizes,
            filter,
            out_backprop,
            strides,
            padding,
            dilations,
            data_format,
            explicit_paddings,
            True,
        )
    )
)
entry("Conv3DBackpropInputV2", ignored="T Tshape")(
    lambda xp, input_sizes, filter, out_backprop, strides, padding, dilations, data_format: (
        by_input(xp, input_sizes, filter, out_backprop, strides, padding, dilations, data_format)
    )
)


def _by_filter(
    xp: Any,
    input: Any,
    filter_sizes: Any,
    out_backprop: Any,
    strides: Any,
    padding: str,
    dilations: Any,
    data_format: str,
    explicit_paddings: Any = (),
    depthwise: bool = False,
) -> Any:
    """Return the gradient of a convolution by its filter, one position of the filter at a time."""
    images = channels_first(xp, input, data_format)
    slopes = channels_first(xp, out_backprop, data_format)
    full = lengths(filter_sizes)
    kernel = full[:-2]
    steps = inner_axes(strides, data_format, "strides")
    gaps = inner_axes(dilations, data_format, "dilations")
    pads = window_pads(
        images.shape[2:], kernel, steps, gaps, padding, explicit_paddings, data_format
    )
    images = padded(xp, images, pads)
    n, channels = images.shape[:2]
    groups = channels if depthwise else channels // full[-2]
    count = int(np.prod(slopes.shape[2:]))
    of_results = xp.reshape(slopes, (n, groups, slopes.shape[1] // groups, count))
    found = []
    for place in np.ndindex(*kernel):
        key = [
            builtins.slice(at * gap, at * gap + (size - 1) * step + 1, step)
            for at, gap, step, size in zip(place, gaps, steps, slopes.shape[2:], strict=True)
        ]
        seen = images[(builtins.slice(None), builtins.slice(None), *key)]
        seen = xp.reshape(seen, (n, groups, channels // groups, count))
        found.append(xp.einsum("ngis,ngos->igo", seen, of_results))
    return xp.reshape(xp.stack(found, axis=0), full)


entry("Conv2DBackpropFilter", ignored="T use_cudnn_on_gpu")(
    lambda xp, input, filter_sizes, out_backprop, strides, padding, dilations, data_format, explicit_paddings: (  # noqa: E501
        _by_filter(
            xp,
            input,
            filter_sizes,
            out_backprop,
            strides,
            padding,
            dilations,
            data_format,
            explicit_paddings,
        )
    )
)
entry("DepthwiseConv2dNativeBackpropFilter")(
    lambda xp, input, filter_sizes, out_backprop, strides, padding, dilations, data_format, explicit_paddings: (  # noqa: E501
        _by_filter(
            xp,
            input,
            filter_sizes,
            out_backprop,
            strides,
            padding,
            dilations,
            data_format,
            explicit_paddings,
            True,
        )
    )
)
entry("Conv3DBackpropFilterV2")(
    lambda xp, input, filter_sizes, out_backprop, strides, padding, dilations, data_format: (
        _by_filter(xp, input, filter_sizes, out_backprop, strides, padding, dilations, data_format)
    )
)
