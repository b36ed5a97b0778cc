"""Convolution and pooling made of simpler ops, for compilers that have loops for those.

A convolution is a sum of products over a view of the image's windows; a pooling combines the image
with shifted views of itself. No gradient rule is needed: programs are differentiated before.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from itertools import product
from math import prod
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import as_strided

from oplibrary.core.op import Op, example
from oplibrary.core.rules import movement
from oplibrary.ops.comparison import equal, logical_and, logical_not, logical_or, not_equal
from oplibrary.ops.einsum import einsum
from oplibrary.ops.elementwise import add, cast, where
from oplibrary.ops.gather import take
from oplibrary.ops.indexing import Slice, basic_index
from oplibrary.ops.joining import concat, stack
from oplibrary.ops.movement import permute_dims, reshape
from oplibrary.ops.padding import pad
from oplibrary.ops.slicing import flip
from oplibrary.ops.windows import Geometry, Lengths, PoolWindows, geometry_of, pool_windows
from oplibrary.values.dtypes import REAL_FLOATING, promoted
from oplibrary.values.types import Array, Shape, TensorType, is_known

WINDOW_BYTES = 1 << 19
"""Windows that are copied, since BLAS cannot read them, are copied for so many images at a time."""
MOST_PARTS = 16
"""More products than that of one convolution take longer to build than their copies are worth."""
FEW_PLACES = 16
"""Places in a window beyond which windows that tile the image are folds of its axes."""
MOST_PLACES = 64
"""Places in a window beyond which a view of the image for each is more than a loop is worth."""
LEAST_LINE = 8
"""Pixels of a line that fill a vector, so that windows are read where they are."""


@lru_cache(4096, typed=True)
def _windows_shape(
    shape: Shape, kernel: Lengths, stride: Lengths, dilation: Lengths, groups: int
) -> tuple[int, ...]:
    n, c, *lengths = shape
    out = [
        (length - d * (k - 1) - 1) // s + 1
        for length, k, s, d in zip(lengths, kernel, stride, dilation, strict=True)
    ]
    return (n, groups, c // groups, *kernel, *out)


def _windows_kernel(
    x: Array, *, kernel: Lengths, stride: Lengths, dilation: Lengths, groups: int
) -> Array:
    n, c, *steps = x.strides
    shape = _windows_shape(x.shape, kernel, stride, dilation, groups)
    strides = (
        n,
        c * shape[2],
        c,
        *[step * d for step, d in zip(steps, dilation, strict=True)],
        *[step * s for step, s in zip(steps, stride, strict=True)],
    )
    return as_strided(x, shape, strides, writeable=False)


windows: Op = movement(
    "_windows",
    _windows_kernel,
    infer=lambda x, **attrs: TensorType(_windows_shape(x.shape, **attrs), x.dtype),
    vjp=None,
    attrs={"kernel": ..., "stride": ..., "dilation": ..., "groups": 1},
    view=True,
    examples=(
        example((2, 3, 5, 6), kernel=(3, 2), stride=(1, 1), dilation=(1, 1)),
        example((1, 4, 6, 6), kernel=(2, 2), stride=(2, 1), dilation=(1, 2), groups=2),
        example((2, 2, 7), kernel=(3,), stride=(2,), dilation=(1,)),
    ),
    public=False,
    doc="View images (n, c, ...) as their windows (n, groups, c / groups, *kernel, *out).",
)


def _padded(x: Any, geometry: Geometry) -> Any:
    if not geometry.padded:
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
    if most is None or not images or not is_known(images):
        return [slice(0, images)]
    nbytes = images * geometry.groups * geometry.depth * prod(geometry.out) * itemsize
    parts = max(min(-(-nbytes // most), images, MOST_PARTS), 1)
    even = [n for n in range(parts, 2 * parts + 1) if images % n == 0]
    few = -(-images // (even[0] if even else parts))
    return [slice(at, min(at + few, images)) for at in range(0, images, few)]


def _both(x: Any, y: Any) -> tuple[Any, Any]:
    dtype = promoted(x.dtype, y.dtype)
    x, y = (each if each.dtype == dtype else cast(each, dtype=dtype) for each in (x, y))
    return x, y


def _subscripts(geometry: Geometry) -> tuple[str, str]:
    """Return the letters of the axes of a window and of the result."""
    return "klm"[: geometry.axes], "ijh"[: geometry.axes]


def lower_convolution(x: Any, weight: Any, **attrs: Any) -> Any:
    """Return a convolution as a product with the windows of the image."""
    x, weight = _both(x, weight)
    geometry = geometry_of(tuple(x.shape), tuple(weight.shape), **attrs)
    by_group = reshape(
        weight, shape=(geometry.groups, geometry.filters, geometry.channels, *geometry.kernel)
    )
    # lines of some length can be read where they are, and no window is copied
    copied = geometry.stride[-1] > 1 or geometry.out[-1] < LEAST_LINE
    views = _views(x, geometry, WINDOW_BYTES if copied else None)
    inside, out = _subscripts(geometry)
    product = f"ngc{inside}{out},gfc{inside}->ngf{out}"
    products = [einsum(product, view, by_group) for _, view in views]
    whole = products[0] if len(products) == 1 else concat(products, axis=0)
    return reshape(whole, shape=geometry.result_shape)


def lower_weight_gradient(g: Any, x: Any, *, shape: Shape, **attrs: Any) -> Any:
    """Return the gradient by the weight as a product with the windows of the image."""
    g, x = _both(g, x)
    geometry = geometry_of(tuple(x.shape), shape, **attrs)
    by_group = reshape(g, shape=(geometry.images, geometry.groups, geometry.filters, *geometry.out))
    inside, out = _subscripts(geometry)
    product = f"ngf{out},ngc{inside}{out}->gfc{inside}"
    total = None
    for images, view in _views(x, geometry, WINDOW_BYTES):
        whole = images.stop - images.start == geometry.images
        part = einsum(product, by_group if whole else _some(by_group, images), view)
        total = part if total is None else total + part
    return reshape(total, shape=shape)


def lower_input_gradient(g: Any, weight: Any, *, shape: Shape, **attrs: Any) -> Any | None:
    """Return the gradient by the image as a convolution with turned filters.

    Where windows are strides apart, zeros stand for those between them. Where padding is wider than
    a window reaches, pixels of `g` are left out; None if it covers a whole axis of it.
    """
    geometry = geometry_of(shape, tuple(weight.shape), **attrs)
    margins = []
    for length, out, k, stride, d, (before, _) in zip(
        geometry.lengths,
        geometry.out,
        geometry.kernel,
        geometry.stride,
        geometry.dilation,
        geometry.padding,
    ):
        reach = d * (k - 1)
        before = reach - before
        margins.append((before, length + reach - before - (out - 1) * stride - 1))
    groups, filters, channels = geometry.groups, geometry.filters, geometry.channels
    turned = reshape(weight, shape=(groups, filters, channels, *geometry.kernel))
    kernel = tuple(range(3, 3 + geometry.axes))
    turned = permute_dims(flip(turned, axis=kernel), axes=(0, 2, 1, *kernel))
    turned = reshape(turned, shape=(groups * channels, filters, *geometry.kernel))
    spread = _spread(g, geometry.stride)
    if min(map(min, margins)) < 0:
        inside = [
            (max(-before, 0), n - max(-after, 0))
            for n, (before, after) in zip(spread.shape[2:], margins, strict=True)
        ]
        if any(stop <= start for start, stop in inside):
            return None
        kept = [Slice(start, stop, 1) for start, stop in inside]
        spread = basic_index(spread, index=(Slice(), Slice(), *kept))
    return lower_convolution(
        spread,
        turned,
        stride=(1,) * geometry.axes,
        padding=tuple((max(before, 0), max(after, 0)) for before, after in margins),
        dilation=geometry.dilation,
        groups=groups,
    )


def _spread(g: Any, stride: Lengths) -> Any:
    """Return images with zeros between their pixels, so that these are `stride` apart."""
    n, f, *lengths = g.shape
    if set(stride) == {1} or not prod(lengths):
        return g
    beside = [length for each in lengths for length in (each, 1)]
    margins = [sides for step in stride for sides in ((0, 0), (0, step - 1))]
    apart = pad(reshape(g, shape=(n, f, *beside)), ((0, 0), (0, 0), *margins))
    wide = [length * step for length, step in zip(lengths, stride, strict=True)]
    kept = [
        Slice(0, (length - 1) * step + 1, 1) for length, step in zip(lengths, stride, strict=True)
    ]
    return basic_index(reshape(apart, shape=(n, f, *wide)), index=(Slice(), Slice(), *kept))


# pooling ------------------------------------------------------------------------------------------


def _shifted(x: Any, windows: PoolWindows, fill: Any) -> list[Any]:
    """Return for each place in a window the elements that stand there, of all windows."""
    if windows.padded:
        x = pad(x, ((0, 0), (0, 0), *windows.padding), value=fill)
    return [
        basic_index(
            x, index=(Slice(), Slice(), *[Slice(at.start, at.stop, at.step) for at in place])
        )
        for _, place in windows.offsets()
    ]


def lower_pool(
    name: str,
    combine: Callable[[Any, Any], Any],
    reduce: Callable[..., Any],
    lowest: Callable[[Any], Any],
) -> Callable[..., Any]:
    """Return the lowering of a pooling that combines the elements of a window."""

    def lower(x: Any, **attrs: Any) -> Any | None:
        windows = pool_windows(f"{name}{len(attrs['kernel'])}d", tuple(x.shape), **attrs)
        places = prod(windows.kernel)
        if places > FEW_PLACES and windows.tiles:
            inside = [n for each in zip(windows.out, windows.kernel) for n in each]
            apart = reshape(x, shape=(*x.shape[:2], *inside))
            return reduce(apart, axis=tuple(range(3, 3 + 2 * len(windows.out), 2)))
        if places > MOST_PLACES:
            return None
        first, *rest = _shifted(x, windows, lowest(x.dtype))
        for each in rest:
            first = combine(first, each)
        return first

    return lower


def _is_small(windows: PoolWindows, by_number: bool = True) -> bool:
    """Tell whether the places of windows can be written out, each an instruction of its own.

    Where windows are `by_number`, or do not tile the image, the lengths of that must be known.
    """
    if prod(windows.kernel) > MOST_PLACES:
        return False
    return (windows.tiles and not by_number) or all(map(is_known, windows.shape[2:]))


def lower_max_gradient(g: Any, x: Any, largest: Any, **attrs: Any) -> Any | None:
    """Return the gradient of the largest element; None where windows have too many places."""
    windows = pool_windows(f"max_pool{len(attrs['kernel'])}d", tuple(x.shape), **attrs)
    if not _is_small(windows, by_number=False):
        return None
    if not windows.tiles:
        return _gathered(g, windows, _first_places(x, largest, windows))
    shares = []
    found = None
    for each in _shifted(x, windows, 0):
        here = equal(each, largest)
        if x.dtype.kind in REAL_FLOATING:  # NaN is the largest, and equals nothing
            here = logical_or(here, not_equal(each, each))
        if found is None:
            found = here
        else:
            here, found = logical_and(here, logical_not(found)), logical_or(found, here)
        shares.append(where(here, g, np.zeros((), g.dtype)))
    return _tiled(shares, windows)


def lower_max_select(h: Any, x: Any, largest: Any, **attrs: Any) -> Any | None:
    """Return what `h` has at the largest elements; None where windows have too many places."""
    windows = pool_windows(f"max_pool{len(attrs['kernel'])}d", tuple(x.shape), **attrs)
    if not _is_small(windows):
        return None
    first = _first_places(x, largest, windows)
    found: Any = np.zeros((), h.dtype)
    for number, each in enumerate(_shifted(h, windows, 0)):
        found = where(equal(first, np.array(number, np.int32)), each, found)
    return found


def lower_max_indices(x: Any, largest: Any, **attrs: Any) -> Any | None:
    """Return where the largest elements are; None where windows have too many places."""
    windows = pool_windows(f"max_pool{len(attrs['kernel'])}d", tuple(x.shape), **attrs)
    if not _is_small(windows):
        return None
    first = _first_places(x, largest, windows)
    # a window's first pixel, counted as if there were pixels in the padding, and a place's from it
    steps = np.cumprod([1, *windows.shape[:2:-1]])[::-1].astype(np.int64)
    corners = np.zeros(windows.out, np.int64)
    for axis, (n, step) in enumerate(zip(windows.out, steps, strict=True)):
        line = np.arange(n) * windows.stride[axis] - windows.padding[axis][0]
        corners += step * line.reshape((-1,) + (1,) * (len(windows.out) - axis - 1))
    inside: Any = np.zeros((), np.int64)  # of windows without a largest element it stays 0
    for number, place in enumerate(product(*map(range, windows.kernel))):
        offset = int(np.dot(np.multiply(place, windows.dilation), steps))
        here = equal(first, np.array(number, np.int32))
        inside = where(here, (corners + offset)[None, None], inside)
    return inside


def lower_sum_gradient(g: Any, *, shape: Shape, **attrs: Any) -> Any | None:
    """Return the gradient of the sum; None where windows have too many places."""
    windows = pool_windows(f"avg_pool{len(attrs['kernel'])}d", shape, **attrs)
    if not _is_small(windows, by_number=False):
        return None
    if not windows.tiles:
        return _gathered(g, windows)
    return _tiled([g] * prod(windows.kernel), windows)


def _tiled(places: list[Any], windows: PoolWindows) -> Any:
    """Return the image of which `places` has what stands at each place of all windows."""
    for axis in reversed(range(len(windows.kernel))):
        k = windows.kernel[axis]
        places = [stack(places[i : i + k], axis=3 + axis) for i in range(0, len(places), k)]
    return reshape(places[0], shape=windows.shape)


def _first_places(x: Any, largest: Any, windows: PoolWindows) -> Any:
    """Return at which place of each window its first largest element stands, counted from 0 on."""
    inside = np.pad(np.ones(windows.shape[2:], bool), windows.padding)
    places = [inside[place] for _, place in windows.offsets()]
    first: Any = np.full((1,) * len(windows.shape), len(places), np.int32)
    for number, each in reversed(list(enumerate(_shifted(x, windows, 0)))):
        here = equal(each, largest)
        if x.dtype.kind in REAL_FLOATING:  # NaN is the largest, and equals nothing
            here = logical_or(here, not_equal(each, each))
        if not places[number].all():
            here = logical_and(here, places[number][None, None])
        first = where(here, np.array(number, np.int32), first)
    return first


def _gathered(g: Any, windows: PoolWindows, chosen: Any = None) -> Any:
    """Return for each pixel the sum of `g` at the windows that it is in.

    Parameters
    ----------
    g : array
        A number a window.
    windows : PoolWindows
        They may overlap, or leave gaps.
    chosen : array, optional
        The place in each window that alone gets its number, counted row by row; otherwise all do.
    """
    lengths = windows.shape[2:]
    axes = [_windows_of(windows, axis) for axis in range(len(lengths))]
    total: Any = None
    for turn in product(*[range(len(each)) for each in axes]):
        taken, selected, number = g, chosen, np.zeros((), np.int32)
        valid: Array = np.ones((1,) * len(lengths), bool)
        for axis, i in enumerate(turn):
            window, place, there = axes[axis][i]
            along = (1,) * axis + (-1,) + (1,) * (len(lengths) - axis - 1)
            valid = valid & there.reshape(along)
            number = number * windows.kernel[axis] + place.reshape(along)
            taken = take(taken, window, axis=2 + axis)
            if selected is not None:
                selected = take(selected, window, axis=2 + axis)
        if selected is not None:
            number = np.where(valid, number, -1).astype(np.int32)  # which no place is
            taken = where(equal(selected, number[None, None]), taken, np.zeros((), g.dtype))
        elif not valid.all():
            taken = where(valid[None, None], taken, np.zeros((), g.dtype))
        total = taken if total is None else add(total, taken)
    return total


def _windows_of(windows: PoolWindows, axis: int) -> list[tuple[Array, Array, Array]]:
    """Return the windows that each pixel of an axis is in: which, at what place, and whether any.

    One triple for the first window of each pixel, one for the second, and so on, in the order of
    the places.
    """
    n, out = windows.shape[2 + axis], windows.out[axis]
    step, gap, before = windows.stride[axis], windows.dilation[axis], windows.padding[axis][0]
    found: list[list[tuple[int, int]]] = [[] for _ in range(n)]
    for place in range(windows.kernel[axis]):
        for window in range(out):
            pixel = window * step + place * gap - before
            if 0 <= pixel < n:
                found[pixel].append((window, place))
    triples = []
    for turn in range(max(map(len, found), default=0) or 1):
        there = np.array([len(each) > turn for each in found], bool)
        pairs = [each[turn] if len(each) > turn else (0, 0) for each in found]
        which = np.array([window for window, _ in pairs], np.int64)
        triples.append((which, np.array([place for _, place in pairs], np.int32), there))
    return triples
