"""Images of another size: interpolated, sampled, or with channels turned into pixels."""

from __future__ import annotations

from collections.abc import Sequence
from math import floor, prod
from typing import Any

import numpy as np

from oplibrary.core.registry import public
from oplibrary.functional.adaptive_pooling import (
    adaptive_avg_pool1d,
    adaptive_avg_pool2d,
    adaptive_avg_pool3d,
)
from oplibrary.messages.errors import ArgumentError, DTypeError, ShapeError, SymbolicValueError
from oplibrary.ops.arguments import (
    is_real_number,
    operand_type,
    require_flag,
    require_int,
    require_number,
)
from oplibrary.ops.creation import empty
from oplibrary.ops.elementwise import add, multiply
from oplibrary.ops.gather import take
from oplibrary.ops.indexing import Slice, basic_index, basic_index_gradient
from oplibrary.ops.joining import stack
from oplibrary.ops.movement import permute_dims
from oplibrary.ops.slicing import pad_op
from oplibrary.ops.windows import AXES, margins_of, per_axis, pool_windows, require_axes
from oplibrary.values.types import Array, is_known

_AREA = {1: adaptive_avg_pool1d, 2: adaptive_avg_pool2d, 3: adaptive_avg_pool3d}
_MODES = {
    "nearest": (1, 2, 3),
    "nearest-exact": (1, 2, 3),
    "linear": (1,),
    "bilinear": (2,),
    "trilinear": (3,),
    "bicubic": (2,),
    "area": (1, 2, 3),
}
"""Over how many axes each mode goes."""

_KEYS = -0.75  # the parameter of the cubic kernel


@public
def interpolate(
    x: Any,
    size: int | Sequence[int] | None = None,
    scale_factor: float | Sequence[float] | None = None,
    mode: str = "nearest",
    align_corners: bool | None = None,
    antialias: bool = False,
) -> Any:
    """Return images of another size.

    Parameters
    ----------
    x : array
        ``(images, channels, ...)`` with one, two or three axes more.
    size : int or one for each axis, optional
        Lengths of the result.
    scale_factor : float or one for each axis, optional
        How many times as long the result is, rounded down; either this or `size`.
    mode : str
        ``"nearest"``, ``"nearest-exact"`` (of the centre, as other libraries do it), ``"linear"``
        (one axis), ``"bilinear"``, ``"bicubic"`` (two), ``"trilinear"`` (three), or ``"area"``, the
        mean of what a pixel covers.
    align_corners : bool, optional
        Let the centres of the outermost pixels stay where they are, in place of the edges. Only for
        modes that weigh pixels.
    antialias : bool
        Not offered: True is refused.

    Returns
    -------
    array
        ``(images, channels, *size)``.

    Raises
    ------
    ShapeError
        If `x` has another number of axes than the mode, or no pixels.
    ArgumentError
        If neither or both of `size` and `scale_factor` are given, or an option has no meaning.
    DTypeError
        If pixels are weighed that are not floating-point.
    SymbolicValueError
        If a length that changes has a symbolic dimension.

    Notes
    -----
    Values are PyTorch's, without ``recompute_scale_factor``. The cubic kernel is that of Keys,
    "Cubic convolution interpolation for digital image processing" (1981), with the parameter -0.75.

    Examples
    --------
    >>> x = np.array([[[0.0, 1.0, 2.0]]])
    >>> interpolate(x, size=5, mode="linear", align_corners=True)
    array([[[0. , 0.5, 1. , 1.5, 2. ]]])
    """
    given = operand_type("interpolate", x)
    axes = given.ndim - 2
    allowed = _MODES.get(mode, ()) if isinstance(mode, str) else ()
    if not allowed:
        raise ArgumentError(
            f"interpolate: mode is {mode!r}",
            cause="it says how pixels between those of x are made",
            fix=f"pass one of {', '.join(map(repr, _MODES))}",
        )
    if axes not in allowed:
        raise ShapeError(
            f"interpolate: x {given.shape} in mode {mode!r}",
            cause="the mode is for images (images, channels, "
            + " or ".join(", ".join(AXES[each]) for each in allowed)
            + ")",
            fix="choose the mode for the number of axes: linear, bilinear or trilinear",
        )
    if require_flag(antialias, "antialias"):
        raise ArgumentError(
            "interpolate: antialias=True is not offered",
            cause="each pixel is made of its nearest neighbours",
            fix='leave it out; mode="area" averages all pixels that one covers',
        )
    weighs = mode not in ("nearest", "nearest-exact", "area")
    if align_corners is not None and not weighs:
        raise ArgumentError(
            f"interpolate: align_corners in mode {mode!r}",
            cause="only modes that weigh pixels know it",
            fix='leave it out, or pass mode="bilinear"',
        )
    corners = align_corners is not None and require_flag(align_corners, "align_corners")
    if weighs and given.dtype.kind in "biuc":
        raise DTypeError(
            f"interpolate: x is {given.dtype}",
            cause=f"mode {mode!r} weighs pixels, which are floating-point numbers",
            fix="convert with astype(x, 'float32')",
        )
    lengths = given.shape[2:]
    if not all(lengths):
        raise ShapeError(
            f"interpolate: x {given.shape} has no pixels",
            cause="those of the result are made of them",
            fix="check the lengths first",
        )
    for axis, n in enumerate(lengths):
        if not is_known(n):
            raise SymbolicValueError(
                f"interpolate: axis {axis + 2} of x has a length that is not known yet",
                cause="which pixels are read, and their weights, are worked out when declaring",
                fix="declare the image with fixed lengths; the number of images may be symbolic",
            )
    wanted, steps = _sizes(lengths, size, scale_factor)
    empty((1, 1, *wanted), given.dtype)  # refuses what no memory can hold
    if mode == "area":
        return _AREA[axes](x, wanted)
    for axis in reversed(range(axes)):
        n, out = lengths[axis], wanted[axis]
        if n == out and steps[axis] == 1:
            continue
        x = _along(x, axis + 2, mode, n, out, steps[axis], corners)
    return x


def _sizes(
    lengths: tuple[int, ...], size: Any, scale_factor: Any
) -> tuple[tuple[int, ...], list[float]]:
    """Return the lengths of the result, and how many pixels of the image one of it is apart."""
    if (size is None) == (scale_factor is None):
        raise ArgumentError(
            "interpolate: pass one of size and scale_factor",
            cause="each of them says how large the result is",
            fix="pass size=32, or scale_factor=2.0",
        )
    if size is not None:
        wanted = per_axis(size, "size", 1, len(lengths))
        return wanted, [n / out for n, out in zip(lengths, wanted)]
    factors = scale_factor
    if is_real_number(scale_factor):
        factors = (scale_factor,) * len(lengths)
    for each in factors:
        require_number(each, "scale_factor")
    if len(factors) != len(lengths) or not all(0 < each < float("inf") for each in factors):
        raise ArgumentError(
            f"interpolate: scale_factor is {scale_factor!r}",
            cause=f"it is positive, one number or one for each of {len(lengths)} axes",
            fix="pass scale_factor=2.0",
        )
    wanted = tuple(floor(n * float(each)) for n, each in zip(lengths, factors))
    if not all(wanted):
        raise ArgumentError(
            f"interpolate: scale_factor {scale_factor!r} makes lengths {wanted} of {lengths}",
            cause="an image has a pixel or more along each axis",
            fix="pass a larger scale_factor",
        )
    return wanted, [1.0 / float(each) for each in factors]


def _along(x: Any, axis: int, mode: str, n: int, out: int, step: float, corners: bool) -> Any:
    places = np.arange(out)
    if mode.startswith("nearest"):
        shift = 1 if mode == "nearest-exact" else 0
        if step == n / out:  # without any rounding
            nearest = (2 * places + shift) * n // (2 * out)
        else:  # rounded to single precision, so that a whole number is one
            nearest = np.floor(((places + 0.5 * shift) * step).astype(np.float32)).astype(np.int64)
        return take(x, np.minimum(nearest, n - 1), axis=axis)
    if corners:
        sources = places * ((n - 1) / (out - 1) if out > 1 else 0.0)
    else:
        sources = (places + 0.5) * step - 0.5
    if mode == "bicubic":
        first = np.floor(sources)
        taps = [(first + shift, _cubic(sources - first - shift)) for shift in (-1, 0, 1, 2)]
    else:
        sources = np.maximum(sources, 0.0)
        first = np.minimum(np.floor(sources), n - 1)
        part = sources - first
        taps = [(first, 1.0 - part), (first + 1, part)]
    total = None
    for places, weights in taps:
        pixels = take(x, np.clip(places, 0, n - 1).astype(np.int64), axis=axis)
        shape = (-1,) + (1,) * (len(x.shape) - axis - 1)
        term = multiply(pixels, weights.astype(x.dtype).reshape(shape))
        total = term if total is None else add(total, term)
    return total


def _cubic(distance: Array) -> Array:
    """Return the weights of pixels at so many pixels' distance (Keys, 1981)."""
    d, a = np.abs(distance), _KEYS
    near = ((a + 2) * d - (a + 3)) * d * d + 1
    far = ((a * d - 5 * a) * d + 8 * a) * d - 4 * a
    return np.where(d <= 1, near, np.where(d < 2, far, 0.0))


# channels and pixels ------------------------------------------------------------------------------


@public
def pixel_shuffle(x: Any, upscale_factor: int) -> Any:
    """Turn channels into pixels: ``(..., c * r * r, h, w)`` becomes ``(..., c, h * r, w * r)``.

    Parameters
    ----------
    x : array
    upscale_factor : int
        r.

    Raises
    ------
    ShapeError
        If there are fewer than three axes, or r * r does not divide the channels.

    Notes
    -----
    Shi et al., "Real-time single image and video super-resolution using an efficient sub-pixel
    convolutional neural network" (2016).
    """
    r, lead, (c, h, w) = _shuffled("pixel_shuffle", x, upscale_factor)
    if c % (r * r):
        raise ShapeError(
            f"pixel_shuffle: {c} channels for an upscale_factor of {r}",
            cause=f"{r * r} channels become one with {r} x {r} times the pixels",
            fix="pass a factor whose square divides the channels",
        )
    n = len(lead)
    parts = x.reshape((*lead, c // (r * r), r, r, h, w))
    parts = permute_dims(parts, axes=(*range(n), n, n + 3, n + 1, n + 4, n + 2))
    return parts.reshape((*lead, c // (r * r), h * r, w * r))


@public
def pixel_unshuffle(x: Any, downscale_factor: int) -> Any:
    """Turn pixels into channels: ``(..., c, h * r, w * r)`` becomes ``(..., c * r * r, h, w)``.

    Parameters
    ----------
    x : array
    downscale_factor : int
        r.

    Raises
    ------
    ShapeError
        If there are fewer than three axes, or r does not divide the last two.
    """
    r, lead, (c, h, w) = _shuffled("pixel_unshuffle", x, downscale_factor)
    if h % r or w % r:
        raise ShapeError(
            f"pixel_unshuffle: images of {h} x {w} pixels for a downscale_factor of {r}",
            cause=f"{r} x {r} pixels become channels of one",
            fix="pass a factor that divides both lengths",
        )
    n = len(lead)
    parts = x.reshape((*lead, c, h // r, r, w // r, r))
    parts = permute_dims(parts, axes=(*range(n), n, n + 2, n + 4, n + 1, n + 3))
    return parts.reshape((*lead, c * r * r, h // r, w // r))


@public
def channel_shuffle(x: Any, groups: int) -> Any:
    """Mix channels of several groups: each group of the result has some of all.

    Parameters
    ----------
    x : array
        ``(n, c, ...)``.
    groups : int
        It divides the number of channels.

    Raises
    ------
    ShapeError
        If `x` has no channel axis, or the groups do not divide the channels.

    Notes
    -----
    Zhang, Zhou, Lin and Sun, "ShuffleNet" (2018).
    """
    shape, count = operand_type("channel_shuffle", x).shape, require_int(groups, "groups")
    if len(shape) < 2 or count < 1 or shape[1] % count:
        raise ShapeError(
            f"channel_shuffle: x {shape} in {count} groups",
            cause="groups divide the channels, which are axis 1",
            fix="pass a divisor of their number",
        )
    n, channels, *rest = shape
    parts = x.reshape((n, count, channels // count, *rest))
    axes = (0, 2, 1, *range(3, len(shape) + 1))
    return permute_dims(parts, axes=axes).reshape(shape)


def _shuffled(name: str, x: Any, factor: Any) -> tuple[int, tuple[int, ...], tuple[int, int, int]]:
    shape, r = operand_type(name, x).shape, require_int(factor, f"{name}'s factor")
    if len(shape) < 3:
        raise ShapeError(
            f"{name}: x {shape} must have three axes or more",
            cause="the last three are channels, height and width",
            fix="add the axis that is missing with expand_dims",
        )
    if r < 1:
        raise ArgumentError(
            f"{name}: the factor is {r}",
            cause="it counts pixels",
            fix="pass 1 or more",
        )
    c, h, w = shape[-3:]
    return r, shape[:-3], (c, h, w)


# windows ------------------------------------------------------------------------------------------

_Size = int | Sequence[int]
_Padding = int | Sequence[int | Sequence[int]]


@public
def unfold(
    x: Any, kernel_size: _Size, dilation: _Size = 1, padding: _Padding = 0, stride: _Size = 1
) -> Any:
    """Return the windows of images as columns.

    Parameters
    ----------
    x : array
        Images, ``(images, channels, height, width)``.
    kernel_size, dilation, padding, stride
        See `max_pool2d`; padding is zeros.

    Returns
    -------
    array
        ``(images, channels * pixels of a window, windows)``, as in PyTorch.

    Raises
    ------
    ShapeError
        If no window fits the padded image.
    ArgumentError
        If an option has no meaning.
    """
    shape = operand_type("unfold", x).shape
    windows = _windows("unfold", shape, kernel_size, dilation, padding, stride)
    if windows.padded:
        x = pad_op(x, pad_width=((0, 0), (0, 0), *windows.padding))
    places = [basic_index(x, index=_index(place)) for _, place in windows.offsets()]
    columns = stack(places, axis=2)
    return columns.reshape((shape[0], shape[1] * prod(windows.kernel), prod(windows.out)))


@public
def fold(
    x: Any,
    output_size: _Size,
    kernel_size: _Size,
    dilation: _Size = 1,
    padding: _Padding = 0,
    stride: _Size = 1,
) -> Any:
    """Add windows, given as columns, into images: what `unfold` takes apart, summed up.

    Parameters
    ----------
    x : array
        ``(images, channels * pixels of a window, windows)``.
    output_size : int or pair of int
        Height and width of the result.
    kernel_size, dilation, padding, stride
        Those of the `unfold` that gives columns of this shape.

    Returns
    -------
    array
        ``(images, channels, *output_size)``.

    Raises
    ------
    ShapeError
        If `x` has not the columns of such images.
    ArgumentError
        If an option has no meaning.
    """
    shape = operand_type("fold", x).shape
    kernel = per_axis(kernel_size, "kernel_size", 1, 2)
    size = per_axis(output_size, "output_size", 1, 2)
    channels = shape[1] // prod(kernel) if len(shape) == 3 else 0
    image = (shape[0] if shape else 0, channels, *size)
    windows = _windows("fold", image, kernel, dilation, padding, stride)
    if shape != (image[0], channels * prod(kernel), prod(windows.out)):
        raise ShapeError(
            f"fold: x {shape} for {prod(windows.out)} windows of {prod(kernel)} pixels",
            cause="x is (images, channels * pixels of a window, windows)",
            fix="pass the columns that unfold gives with the same options",
        )
    columns = x.reshape((*image[:2], prod(kernel), *windows.out))
    total = None
    for number, (_, place) in enumerate(windows.offsets()):
        part = basic_index(columns, index=(Slice(), Slice(), number))
        spread = basic_index_gradient(part, shape=windows.padded_shape, index=_index(place))
        total = spread if total is None else add(total, spread)
    inside = [slice(before, before + n) for n, (before, _) in zip(size, windows.padding)]
    return basic_index(total, index=_index(inside)) if windows.padded else total


def _windows(
    name: str, shape: tuple[int, ...], kernel_size: Any, dilation: Any, padding: Any, stride: Any
) -> Any:
    require_axes(name, shape, 2)
    return pool_windows(
        name,
        shape,
        per_axis(kernel_size, "kernel_size", 1, 2),
        per_axis(stride, "stride", 1, 2),
        margins_of(padding, 2),
        per_axis(dilation, "dilation", 1, 2),
    )


def _index(place: Sequence[slice]) -> tuple[Slice, ...]:
    return (Slice(), Slice(), *[Slice(each.start, each.stop, each.step) for each in place])
