"""Windows of images: their number and size, and the columns of a matrix that they become.

The columns are copied in one of two orders, whichever moves longer runs of memory: row by row of
the image (channels first), or all channels of a pixel together (channels last). On one core, a
convolution of 64 images of 16 channels and 8x8 pixels took 0.66 ms in the first order and 0.53 ms
in the second, one of 32 images of 3 channels and 32x32 pixels 0.43 ms and 1.3 ms.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from math import prod
from typing import Any, NamedTuple

import numpy as np
from numpy.lib.stride_tricks import as_strided

from oplibrary.messages.errors import ArgumentError, ShapeError
from oplibrary.ops.arguments import require_int
from oplibrary.values.types import Array, Shape

Lengths = tuple[int, ...]
Margins = tuple[tuple[int, int], ...]
"""How much is added before and after each axis."""

_MOST = 2**63
"""More pixels than can be counted."""

AXES = {1: ("length",), 2: ("height", "width"), 3: ("depth", "height", "width")}
"""What the axes of an image are called, by their number."""


def per_axis(value: int | Sequence[int], name: str, least: int, count: int) -> Lengths:
    """Return an int, or one of them for each of `count` axes, as a tuple.

    Raises
    ------
    ArgumentError
        If it is neither, or less than `least`.
    """
    if isinstance(value, (int, np.integer)):
        values: tuple[Any, ...] = (value,) * count
    else:
        values = _listed(value)
    if len(values) != count or not all(isinstance(v, (int, np.integer)) for v in values):
        raise ArgumentError(
            f"{name}={value!r} is neither an int nor {_counted(count)}",
            cause=f"there is one for each axis of an image: ({', '.join(AXES[count])})",
            fix=f"pass {name}=2, or {name}={(2, 1, 1)[:count]}",
        )
    _require_least(value, values, name, least)
    if max(values) >= _MOST:
        raise ArgumentError(
            f"{name}={value!r} is more than 64 bits hold",
            cause=f"{name} counts pixels",
            fix=f"pass {name}=2, or another number of pixels that an image may have",
        )
    return tuple(map(int, values))


def _listed(value: Any) -> tuple[Any, ...]:
    """Return the entries of a sequence; none of anything else, which has too few of them."""
    return tuple(value) if hasattr(value, "__iter__") and not hasattr(value, "detach") else ()


def _counted(count: int) -> str:
    return {1: "one in a tuple", 2: "a pair of ints", 3: "three ints"}[count]


def _require_least(value: Any, numbers: Iterable[int], name: str, least: int) -> None:
    if min(numbers) < least:
        raise ArgumentError(
            f"{name}={value!r}, the least is {least}",
            cause=f"{name} counts pixels",
            fix=f"pass {name} of at least {least}",
        )


def margins_of(padding: Any, count: int) -> Margins:
    """Return what `padding` adds before and after each of `count` axes.

    Parameters
    ----------
    padding : int, or sequence of int or (int, int)
        One number for all ends, or for each axis one number or a pair.
    count : int

    Raises
    ------
    ArgumentError
        If it is something else, or negative.
    """
    listed = (padding,) * count if isinstance(padding, (int, np.integer)) else padding
    sides = [
        (each, each) if isinstance(each, (int, np.integer)) else _listed(each)
        for each in _listed(listed)
    ]
    if len(sides) != count or any(
        len(each) != 2 or not all(isinstance(n, (int, np.integer)) for n in each) for each in sides
    ):
        raise ArgumentError(
            f"padding={padding!r} is neither an int nor {_counted(count)}, nor pairs of ints",
            cause=f"there is one for each axis of an image, ({', '.join(AXES[count])}), or a pair: "
            "before and after",
            fix=f"pass padding=1, or padding={((1, 0), (1, 1), (0, 0))[:count]}",
        )
    _require_least(padding, [n for each in sides for n in each], "padding", 0)
    return tuple((int(before), int(after)) for before, after in sides)


def require_axes(name: str, x: Shape, count: int) -> None:
    """Refuse an image that has not `count` axes besides those of images and channels.

    Raises
    ------
    ShapeError
    """
    if len(x) != count + 2:
        raise ShapeError(
            f"{name}: image {x} must have {count + 2} axes",
            cause=f"an image is (images, channels, {', '.join(AXES[count])})",
            fix="add the missing axis, for one image with expand_dims(x, axis=0)",
        )


_CHUNK_BYTES = 1 << 20
"""Columns are made and used in pieces of this size, which stay in the second-level cache."""


class Geometry(NamedTuple):
    """The lengths that a convolution is made of; tuples have one number for each axis."""

    images: int
    groups: int
    channels: int  # of the image, a group
    filters: int  # channels of the result, a group
    lengths: Lengths
    kernel: Lengths
    out: Lengths
    stride: Lengths
    dilation: Lengths
    padding: Margins

    @property
    def axes(self) -> int:
        """How many axes an image has, besides those of images and channels."""
        return len(self.lengths)

    @property
    def depth(self) -> int:
        """Products summed for one element of the result."""
        return self.channels * prod(self.kernel)

    @property
    def x_shape(self) -> Shape:
        """Shape of the images."""
        return self.images, self.groups * self.channels, *self.lengths

    @property
    def result_shape(self) -> Shape:
        """Shape of the result."""
        return self.images, self.groups * self.filters, *self.out

    @property
    def padded(self) -> bool:
        """Whether there is anything around the image."""
        return any(map(any, self.padding))

    @property
    def channels_last(self) -> bool:
        """Whether a run of memory is longer with the channels last: see the module's text."""
        run = self.kernel[-1] * self.channels if self.dilation[-1] == 1 else self.channels
        return self.out[-1] < 16 and self.out[-1] < run and not self.pointwise

    @property
    def pointwise(self) -> bool:
        """Whether the image is its own matrix of columns."""
        return set(self.kernel) == set(self.stride) == {1} and not self.padded

    def offsets(self) -> Iterator[tuple[Lengths, tuple[slice, ...]]]:
        """Yield each position in a window, and the slices that pick it from every window."""
        return window_offsets(self.kernel, self.stride, self.dilation, self.out)


def window_offsets(
    kernel: Lengths, stride: Lengths, dilation: Lengths, out: Lengths
) -> Iterator[tuple[Lengths, tuple[slice, ...]]]:
    """Yield each position in a window, and the slices that pick it from every window."""
    for place in np.ndindex(kernel):
        yield (
            place,
            tuple(
                slice(i * d, i * d + (n - 1) * s + 1, s)
                for i, d, n, s in zip(place, dilation, out, stride, strict=True)
            ),
        )


@lru_cache(maxsize=4096, typed=True)
def geometry_of(
    x: Shape, weight: Shape, stride: Lengths, padding: Margins, dilation: Lengths, groups: int
) -> Geometry:
    """Check the shapes and return the lengths; the one author of convolution's error texts."""
    axes = len(stride)
    name, names = f"conv{axes}d", AXES[axes]
    if len(x) != axes + 2 or len(weight) != axes + 2:
        raise ShapeError(
            f"{name}: image {x} and weight {weight}, both must have {axes + 2} axes",
            cause=f"an image is (images, channels, {', '.join(names)}), a weight is "
            f"(filters, channels / groups, {', '.join(names)})",
            fix="add the missing axis, for one image with expand_dims(x, axis=0)",
        )
    groups = require_int(groups, "groups")
    images, channels, *lengths = x
    filters, _, *kernel = weight
    _check_channels(name, x, weight, groups)
    out = []
    for axis, n, k, s, d, margin in zip(names, lengths, kernel, stride, dilation, padding):
        padded, reach = n + margin[0] + margin[1], d * (k - 1) + 1
        if k < 1 or reach > padded:
            raise ShapeError(
                f"{name}: kernel {axis} {reach} is larger than the padded image's {padded}"
                if k
                else f"{name}: kernel {axis} is 0",
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
        tuple(lengths),
        tuple(kernel),
        tuple(out),
        stride,
        dilation,
        padding,
    )


def _check_channels(name: str, x: Shape, weight: Shape, groups: int) -> None:
    channels, (filters, depth) = x[1], weight[:2]
    if groups < 1 or channels % groups or filters % groups:
        raise ShapeError(
            f"{name}: {channels} channels and {filters} filters do not split into {groups} groups",
            cause="groups divides the channels of the image and the filters of the weight",
            fix="choose groups=1, or a divisor of both",
        )
    if channels // groups != depth:
        per_group = f" in each of {groups} groups" if groups > 1 else ""
        check = f"check that the image is (images, channels, {', '.join(AXES[len(x) - 2])})"
        raise ShapeError(
            f"{name}: image {x} has {channels // groups} channels{per_group}, "
            f"weight {weight} expects {depth}",
            cause="axis 1 of the weight is the number of image channels that a filter reads",
            fix=f"{check}, or set groups={channels // depth}"
            if depth and channels % depth == 0
            else check,
        )


class PoolWindows(NamedTuple):
    """The lengths of a pooling; tuples have one entry for each axis."""

    shape: Shape
    kernel: Lengths
    stride: Lengths
    padding: Margins
    dilation: Lengths
    out: Lengths

    @property
    def result_shape(self) -> Shape:
        """Shape of the result."""
        return *self.shape[:2], *self.out

    @property
    def padded(self) -> bool:
        """Whether there is anything around the image."""
        return any(map(any, self.padding))

    @property
    def padded_shape(self) -> Shape:
        """Shape of the image with its margins."""
        sides = zip(self.shape[2:], self.padding, strict=True)
        return *self.shape[:2], *[n + before + after for n, (before, after) in sides]

    @property
    def apart(self) -> bool:
        """Whether no pixel is in two windows."""
        reaches = zip(self.stride, self.kernel, self.dilation, strict=True)
        return all(s > d * (k - 1) for s, k, d in reaches)

    @property
    def tiles(self) -> bool:
        """Whether every pixel is in one window."""
        whole = all(n % k == 0 for n, k in zip(self.shape[2:], self.kernel, strict=True))
        return (
            whole and self.stride == self.kernel and set(self.dilation) == {1} and not self.padded
        )

    def offsets(self) -> Iterator[tuple[Lengths, tuple[slice, ...]]]:
        """Yield each position in a window, and the slices that pick it from every window."""
        return window_offsets(self.kernel, self.stride, self.dilation, self.out)


@lru_cache(maxsize=4096, typed=True)
def pool_windows(
    name: str, shape: Shape, kernel: Lengths, stride: Lengths, padding: Margins, dilation: Lengths
) -> PoolWindows:
    """Check the shapes of a pooling and return its lengths."""
    axes = len(kernel)
    require_axes(name, shape, axes)
    out = []
    for axis, n, k, s, d, (before, after) in zip(
        AXES[axes], shape[2:], kernel, stride, dilation, padding
    ):
        padded, reach = n + before + after, d * (k - 1) + 1
        if reach > padded:
            raise ShapeError(
                f"{name}: kernel {axis} {reach} is larger than the padded image's {padded}",
                cause=f"image {n}, padding {before} + {after}, kernel {k}, dilation {d}: "
                "no window fits",
                fix="use a smaller kernel",
            )
        out.append((padded - reach) // s + 1)
    return PoolWindows(shape, kernel, stride, padding, dilation, tuple(out))


def pad_image(x: Array, geometry: Geometry, last: bool) -> Array:
    """Return `x` with its margins, with the channels last in memory if `last`.

    The result has the axes of `x` in either case.
    """
    n, c, *lengths = x.shape
    if not last and not geometry.padded:
        return np.ascontiguousarray(x)
    whole = [k + before + after for k, (before, after) in zip(lengths, geometry.padding)]
    if last:
        memory = np.zeros if geometry.padded else np.empty
        padded = np.moveaxis(memory((n, *whole, c), x.dtype), -1, 1)
    else:
        padded = np.zeros((n, c, *whole), x.dtype)
    padded[inner(geometry.padding, lengths)] = x
    return padded


def inner(margins: Margins, lengths: Sequence[int]) -> tuple[slice, ...]:
    """Return the index of an image in a padded one."""
    parts = [slice(before, before + n) for n, (before, _) in zip(lengths, margins, strict=True)]
    return slice(None), slice(None), *parts


def view_windows(x: Array, geometry: Geometry) -> Array:
    """View a padded image as its windows, ``(images, groups, channels, *kernel, *out)``."""
    n, c, *steps = x.strides
    g, per_group = geometry.groups, geometry.channels
    return as_strided(
        x,
        (x.shape[0], g, per_group, *geometry.kernel, *geometry.out),
        (
            n,
            c * per_group,
            c,
            *[step * d for step, d in zip(steps, geometry.dilation)],
            *[step * s for step, s in zip(steps, geometry.stride)],
        ),
        writeable=False,
    )


def columns_last(x: Array, geometry: Geometry) -> Array:
    """Return columns ``(groups, images * prod(out), prod(kernel) * channels)``."""
    windows = view_windows(pad_image(x, geometry, True), geometry)
    axes = geometry.axes
    kernel, out = range(3, 3 + axes), range(3 + axes, 3 + 2 * axes)
    columns = np.ascontiguousarray(windows.transpose(1, 0, *out, *kernel, 2))
    return columns.reshape(geometry.groups, -1, geometry.depth)


def chunks_first(x: Array, geometry: Geometry) -> Iterator[tuple[slice, Array]]:
    """Yield slices of the images with their columns ``(images, groups, depth, prod(out))``."""
    area = prod(geometry.out)
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
