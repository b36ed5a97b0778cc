"""Windows of images: their number and size, and the columns of a matrix that they become.

The columns are copied in one of two orders, whichever moves longer runs of memory: row by row of
the image (channels first), or all channels of a pixel together (channels last). On one core, a
convolution of 64 images of 16 channels and 8x8 pixels took 0.66 ms in the first order and 0.53 ms
in the second, one of 32 images of 3 channels and 32x32 pixels 0.43 ms and 1.3 ms.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.lib.stride_tricks import as_strided

from oplibrary.core.types import Array, Shape
from oplibrary.messages.errors import ArgumentError, ShapeError
from oplibrary.ops.arguments import require_int

Pair = tuple[int, int]
Margins = tuple[Pair, Pair]


def pair(value: int | Sequence[int], name: str, least: int) -> Pair:
    """Return an int, or two of them, as a pair (vertical, horizontal).

    Raises
    ------
    ArgumentError
        If it is neither, or less than `least`.
    """
    values = (value, value) if isinstance(value, (int, np.integer)) else tuple(value)
    if len(values) != 2 or not all(isinstance(v, (int, np.integer)) for v in values):
        raise ArgumentError(
            f"{name}={value!r} is neither an int nor a pair of ints",
            cause="a pair is (vertical, horizontal)",
            fix=f"pass {name}=2, or {name}=(2, 1)",
        )
    if min(values) < least:
        raise ArgumentError(
            f"{name}={value!r}, the least is {least}",
            cause=f"{name} counts pixels",
            fix=f"pass {name} of at least {least}",
        )
    return int(values[0]), int(values[1])


_CHUNK_BYTES = 1 << 20
"""Columns are made and used in pieces of this size, which stay in the second-level cache."""


class Geometry(NamedTuple):
    """The lengths that a convolution is made of."""

    images: int
    groups: int
    channels: int  # of the image, a group
    filters: int  # channels of the result, a group
    height: int
    width: int
    kernel: Pair
    out: Pair
    stride: Pair
    dilation: Pair
    padding: Margins

    @property
    def depth(self) -> int:
        """Products summed for one element of the result."""
        return self.channels * self.kernel[0] * self.kernel[1]

    @property
    def x_shape(self) -> Shape:
        """Shape of the images."""
        return self.images, self.groups * self.channels, self.height, self.width

    @property
    def result_shape(self) -> Shape:
        """Shape of the result."""
        return self.images, self.groups * self.filters, *self.out

    @property
    def channels_last(self) -> bool:
        """Whether a run of memory is longer with the channels last: see the module's text."""
        run = self.kernel[1] * self.channels if self.dilation[1] == 1 else self.channels
        return self.out[1] < 16 and self.out[1] < run and not self.pointwise

    @property
    def pointwise(self) -> bool:
        """Whether the image is its own matrix of columns."""
        return self.kernel == self.stride == (1, 1) and self.padding == ((0, 0), (0, 0))


@lru_cache(maxsize=4096, typed=True)
def geometry_of(
    x: Shape, weight: Shape, stride: Pair, padding: Margins, dilation: Pair, groups: int
) -> Geometry:
    """Check the shapes and return the lengths; the one author of convolution's error texts."""
    if len(x) != 4 or len(weight) != 4:
        raise ShapeError(
            f"conv2d: image {x} and weight {weight}, both must have 4 axes",
            cause="an image is (images, channels, height, width), a weight is "
            "(filters, channels / groups, height, width)",
            fix="add the missing axis, for one image with expand_dims(x, axis=0)",
        )
    groups = require_int(groups, "groups")
    images, channels, height, width = x
    filters, _, *kernel = weight
    _check_channels(x, weight, groups)
    out = []
    for name, n, k, s, d, margin in zip(
        ("height", "width"), (height, width), kernel, stride, dilation, padding
    ):
        padded, reach = n + margin[0] + margin[1], d * (k - 1) + 1
        if k < 1 or reach > padded:
            raise ShapeError(
                f"conv2d: kernel {name} {reach} is larger than the padded image's {padded}"
                if k
                else f"conv2d: kernel {name} is 0",
                cause=f"image {n}, padding {margin[0]} + {margin[1]}, kernel {k}, dilation {d}: "
                "no window fits",
                fix="pad the image more, or use a smaller kernel or dilation",
            )
        out.append((padded - reach) // s + 1)
    return Geometry(
        images,
        groups,
        channels // groups,
        filters // groups,
        height,
        width,
        (kernel[0], kernel[1]),
        (out[0], out[1]),
        stride,
        dilation,
        padding,
    )


def _check_channels(x: Shape, weight: Shape, groups: int) -> None:
    channels, (filters, depth) = x[1], weight[:2]
    if groups < 1 or channels % groups or filters % groups:
        raise ShapeError(
            f"conv2d: {channels} channels and {filters} filters do not split into {groups} groups",
            cause="groups divides the channels of the image and the filters of the weight",
            fix="choose groups=1, or a divisor of both",
        )
    if channels // groups != depth:
        per_group = f" in each of {groups} groups" if groups > 1 else ""
        raise ShapeError(
            f"conv2d: image {x} has {channels // groups} channels{per_group}, "
            f"weight {weight} expects {depth}",
            cause="axis 1 of the weight is the number of image channels that a filter reads",
            fix="check that the image is (images, channels, height, width), or set groups="
            f"{channels // depth}"
            if depth and channels % depth == 0
            else "check that the image is (images, channels, height, width)",
        )


def pad_image(x: Array, geometry: Geometry, last: bool) -> Array:
    """Return `x` with its margins, as (images, height, width, channels) in memory if `last`.

    The result has the axes (images, channels, height, width) in either case.
    """
    (top, bottom), (left, right) = geometry.padding
    n, c, h, w = x.shape
    rows, columns = h + top + bottom, w + left + right
    if last:
        memory = np.empty if (rows, columns) == (h, w) else np.zeros
        padded = memory((n, rows, columns, c), x.dtype).transpose(0, 3, 1, 2)
    elif (rows, columns) == (h, w):
        return np.ascontiguousarray(x)
    else:
        padded = np.zeros((n, c, rows, columns), x.dtype)
    padded[:, :, top : top + h, left : left + w] = x
    return padded


def view_windows(x: Array, geometry: Geometry) -> Array:
    """View a padded image as its windows, ``(images, groups, channels, kh, kw, oh, ow)``."""
    n, c, i, j = x.strides
    (si, sj), (di, dj) = geometry.stride, geometry.dilation
    g, per_group = geometry.groups, geometry.channels
    return as_strided(
        x,
        (x.shape[0], g, per_group, *geometry.kernel, *geometry.out),
        (n, c * per_group, c, i * di, j * dj, i * si, j * sj),
        writeable=False,
    )


def columns_last(x: Array, geometry: Geometry) -> Array:
    """Return columns ``(groups, images * oh * ow, kh * kw * channels)``."""
    windows = view_windows(pad_image(x, geometry, True), geometry)
    columns = np.ascontiguousarray(windows.transpose(1, 0, 5, 6, 3, 4, 2))
    return columns.reshape(geometry.groups, -1, geometry.depth)


def chunks_first(x: Array, geometry: Geometry) -> Iterator[tuple[slice, Array]]:
    """Yield slices of the images with their columns ``(images, groups, depth, oh * ow)``."""
    area = geometry.out[0] * geometry.out[1]
    shape = (geometry.groups, geometry.depth, area)
    if geometry.pointwise:
        yield slice(None), x.reshape(geometry.images, *shape)
        return
    windows = view_windows(pad_image(x, geometry, False), geometry)
    each = max(geometry.groups * geometry.depth * area * x.itemsize, 1)
    step = min(max(_CHUNK_BYTES // each, 1), geometry.images)
    memory = np.empty((step, *windows.shape[1:]), x.dtype)
    for start in range(0, geometry.images, step):
        part = windows[start : start + step]
        columns = memory[: len(part)]
        columns[...] = part
        yield slice(start, start + step), columns.reshape(len(part), *shape)
