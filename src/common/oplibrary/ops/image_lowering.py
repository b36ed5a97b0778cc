"""Convolution and pooling made of simpler ops, for compilers that have loops for those.

A convolution is a sum of products over a view of the image's windows; a pooling combines the image
with shifted views of itself. No gradient rule is needed: programs are differentiated before.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from math import prod
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import as_strided

from oplibrary.core.op import Op, example
from oplibrary.core.rules import movement
from oplibrary.core.types import Array, Shape, TensorType
from oplibrary.ops.comparison import equal, logical_and, logical_not, logical_or, not_equal
from oplibrary.ops.einsum import einsum
from oplibrary.ops.elementwise import cast, where
from oplibrary.ops.indexing import Slice, basic_index
from oplibrary.ops.joining import concat, stack
from oplibrary.ops.movement import permute_dims, reshape
from oplibrary.ops.padding import pad
from oplibrary.ops.slicing import flip
from oplibrary.ops.windows import Geometry, Pair, geometry_of

WINDOW_BYTES = 1 << 19
"""Windows that are copied, since BLAS cannot read them, are copied for so many images at a time."""
MOST_PARTS = 16
"""More products than that of one convolution take longer to build than their copies are worth."""
LEAST_LINE = 8
"""Pixels of a line that fill a vector, so that windows are read where they are."""


@lru_cache(4096, typed=True)
def _windows_shape(
    shape: Shape, kernel: Pair, stride: Pair, dilation: Pair, groups: int
) -> tuple[int, ...]:
    n, c, h, w = shape
    out = [
        (length - d * (k - 1) - 1) // s + 1
        for length, k, s, d in zip((h, w), kernel, stride, dilation, strict=True)
    ]
    return (n, groups, c // groups, *kernel, *out)


def _windows_kernel(x: Array, *, kernel: Pair, stride: Pair, dilation: Pair, groups: int) -> Array:
    n, c, i, j = x.strides
    shape = _windows_shape(x.shape, kernel, stride, dilation, groups)
    strides = (
        n,
        c * shape[2],
        c,
        i * dilation[0],
        j * dilation[1],
        i * stride[0],
        j * stride[1],
    )
    return as_strided(x, shape, strides, writeable=False)


windows: Op = movement(
    "_windows",
    _windows_kernel,
    infer=lambda x, **attrs: TensorType(_windows_shape(x.shape, **attrs), x.dtype),
    vjp=None,
    attrs={"kernel": ..., "stride": (1, 1), "dilation": (1, 1), "groups": 1},
    view=True,
    examples=(
        example((2, 3, 5, 6), kernel=(3, 2)),
        example((1, 4, 6, 6), kernel=(2, 2), stride=(2, 1), dilation=(1, 2), groups=2),
    ),
    public=False,
    doc="View images (n, c, h, w) as their windows (n, groups, c / groups, kh, kw, oh, ow).",
)


def _padded(x: Any, geometry: Geometry) -> Any:
    if geometry.padding == ((0, 0), (0, 0)):
        return x
    return pad(x, ((0, 0), (0, 0), *geometry.padding))


def _views(x: Any, geometry: Geometry, most: int | None) -> list[tuple[slice, Any]]:
    """Return the windows of a few images at a time, of `most` bytes, and which ones these are."""
    padded = _padded(x, geometry)
    found = []
    for few in _few_images(geometry, x.dtype.itemsize, most):
        images = padded
        if few.stop - few.start < geometry.images:
            images = _some(padded, few)
        view = windows(
            images,
            kernel=geometry.kernel,
            stride=geometry.stride,
            dilation=geometry.dilation,
            groups=geometry.groups,
        )
        found.append((few, view))
    return found


def _some(x: Any, images: slice) -> Any:
    rest = [Slice()] * (len(x.shape) - 1)
    return basic_index(x, index=(Slice(images.start, images.stop, 1), *rest))


def _few_images(geometry: Geometry, itemsize: int, most: int | None) -> list[slice]:
    """Return ranges of images, of equal length where one is found, of `most` bytes of windows."""
    images = geometry.images
    if most is None or not images:
        return [slice(0, images)]
    nbytes = images * geometry.groups * geometry.depth * prod(geometry.out) * itemsize
    parts = max(min(-(-nbytes // most), images, MOST_PARTS), 1)
    even = [n for n in range(parts, 2 * parts + 1) if images % n == 0]
    few = -(-images // (even[0] if even else parts))
    return [slice(at, min(at + few, images)) for at in range(0, images, few)]


def _both(x: Any, y: Any) -> tuple[Any, Any]:
    dtype = np.result_type(x.dtype, y.dtype)
    x, y = (each if each.dtype == dtype else cast(each, dtype=dtype) for each in (x, y))
    return x, y


def lower_conv2d(x: Any, weight: Any, **attrs: Any) -> Any:
    """Return conv2d as a product with the windows of the image."""
    x, weight = _both(x, weight)
    geometry = geometry_of(tuple(x.shape), tuple(weight.shape), **attrs)
    by_group = reshape(
        weight, shape=(geometry.groups, geometry.filters, geometry.channels, *geometry.kernel)
    )
    # lines of some length can be read where they are, and no window is copied
    copied = geometry.stride[1] > 1 or geometry.out[1] < LEAST_LINE
    views = _views(x, geometry, WINDOW_BYTES if copied else None)
    products = [einsum("ngcklij,gfckl->ngfij", view, by_group) for _, view in views]
    product = products[0] if len(products) == 1 else concat(products, axis=0)
    return reshape(product, shape=geometry.result_shape)


def lower_weight_gradient(g: Any, x: Any, *, shape: Shape, **attrs: Any) -> Any:
    """Return the gradient by the weight as a product with the windows of the image."""
    g, x = _both(g, x)
    geometry = geometry_of(tuple(x.shape), shape, **attrs)
    by_group = reshape(g, shape=(geometry.images, geometry.groups, geometry.filters, *geometry.out))
    total = None
    for images, view in _views(x, geometry, WINDOW_BYTES):
        whole = images.stop - images.start == geometry.images
        product = einsum(
            "ngfij,ngcklij->gfckl", by_group if whole else _some(by_group, images), view
        )
        total = product if total is None else total + product
    return reshape(total, shape=shape)


def lower_input_gradient(g: Any, weight: Any, *, shape: Shape, **attrs: Any) -> Any | None:
    """Return the gradient by the image as a convolution with turned filters.

    Where windows are strides apart, zeros stand for those between them. None where padding is wider
    than a window reaches.
    """
    geometry = geometry_of(shape, tuple(weight.shape), **attrs)
    margins = []
    for length, out, k, stride, d, (before, _) in zip(
        (geometry.height, geometry.width),
        geometry.out,
        geometry.kernel,
        geometry.stride,
        geometry.dilation,
        geometry.padding,
    ):
        reach = d * (k - 1)
        before = reach - before
        margins.append((before, length + reach - before - (out - 1) * stride - 1))
    if min(map(min, margins)) < 0:
        return None
    groups, filters, channels = geometry.groups, geometry.filters, geometry.channels
    turned = reshape(weight, shape=(groups, filters, channels, *geometry.kernel))
    turned = permute_dims(flip(turned, axis=(3, 4)), axes=(0, 2, 1, 3, 4))
    turned = reshape(turned, shape=(groups * channels, filters, *geometry.kernel))
    spread = _spread(g, geometry.stride)
    return lower_conv2d(spread, turned, **{**attrs, "stride": (1, 1), "padding": tuple(margins)})


def _spread(g: Any, stride: Pair) -> Any:
    """Return images with zeros between their pixels, so that these are `stride` apart."""
    n, f, h, w = g.shape
    if stride == (1, 1) or not h * w:
        return g
    apart = pad(
        reshape(g, shape=(n, f, h, 1, w, 1)),
        ((0, 0), (0, 0), (0, 0), (0, stride[0] - 1), (0, 0), (0, stride[1] - 1)),
    )
    wide = reshape(apart, shape=(n, f, h * stride[0], w * stride[1]))
    lengths = ((h - 1) * stride[0] + 1, (w - 1) * stride[1] + 1)
    return basic_index(wide, index=(Slice(), Slice(), *[Slice(0, length, 1) for length in lengths]))


# pooling ------------------------------------------------------------------------------------------


def _shifted(x: Any, kernel: Pair, stride: Pair, padding: Pair, fill: Any) -> list[Any]:
    """Return for each place in a window the elements that stand there, of all windows."""
    if padding != (0, 0):
        (top, left) = padding
        x = pad(x, ((0, 0), (0, 0), (top, top), (left, left)), value=fill)
    out = [(n - k) // s + 1 for n, k, s in zip(x.shape[2:], kernel, stride, strict=True)]
    return [
        basic_index(
            x,
            index=(
                Slice(),
                Slice(),
                Slice(i, i + (out[0] - 1) * stride[0] + 1, stride[0]),
                Slice(j, j + (out[1] - 1) * stride[1] + 1, stride[1]),
            ),
        )
        for i in range(kernel[0])
        for j in range(kernel[1])
    ]


def lower_pool(
    combine: Callable[[Any, Any], Any], lowest: Callable[[Any], Any]
) -> Callable[..., Any]:
    """Return the lowering of a pooling that combines the elements of a window."""

    def lower(x: Any, *, kernel: Pair, stride: Pair, padding: Pair) -> Any:
        first, *rest = _shifted(x, kernel, stride, padding, lowest(x.dtype))
        for each in rest:
            first = combine(first, each)
        return first

    return lower


def _tiles(shape: Shape, kernel: Pair, stride: Pair, padding: Pair) -> bool:
    """Tell whether every pixel is in one window."""
    whole = shape[2] % kernel[0] == 0 and shape[3] % kernel[1] == 0
    return stride == kernel and padding == (0, 0) and whole


def lower_max_gradient(
    g: Any, x: Any, largest: Any, *, kernel: Pair, stride: Pair, padding: Pair
) -> Any | None:
    """Return the gradient of the largest element; None where windows overlap or leave gaps."""
    if not _tiles(tuple(x.shape), kernel, stride, padding):
        return None
    shares = []
    found = None
    for each in _shifted(x, kernel, stride, padding, 0):
        here = equal(each, largest)
        if x.dtype.kind == "f":  # NaN is the largest, and equals nothing
            here = logical_or(here, not_equal(each, each))
        if found is None:
            found = here
        else:
            here, found = logical_and(here, logical_not(found)), logical_or(found, here)
        shares.append(where(here, g, np.zeros((), g.dtype)))
    width = kernel[1]
    rows = [stack(shares[i : i + width], axis=-1) for i in range(0, len(shares), width)]
    return reshape(stack(rows, axis=3), shape=tuple(x.shape))


def lower_mean_gradient(
    g: Any, *, shape: Shape, kernel: Pair, stride: Pair, padding: Pair
) -> Any | None:
    """Return the gradient of the mean; None where windows overlap or leave gaps."""
    if not _tiles(shape, kernel, stride, padding):
        return None
    share = g / float(kernel[0] * kernel[1])
    rows = stack([share] * kernel[1], axis=-1)
    return reshape(stack([rows] * kernel[0], axis=3), shape=shape)
