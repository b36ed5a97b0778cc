"""TensorFlow's ops on images."""

from __future__ import annotations

import builtins
from collections.abc import Sequence
from typing import Any

import numpy as np

from staticgraph.importing.graphdefs.ops.table import entry, lengths

# other sizes --------------------------------------------------------------------------------------

Taps = Sequence[tuple[Any, Any]]
"""Indices and weights: what each element of a result is the weighed sum of."""


def _positions(n: int, m: int, corners: bool, centres: bool) -> Any:
    """Return where the elements of an axis of `m` lie on one of `n`, as TensorFlow rounds them."""
    scale = np.float32((n - 1) / (m - 1)) if corners and m > 1 else np.float32(n / m)
    at = np.arange(m, dtype="float32")
    return (at + np.float32(0.5)) * scale - np.float32(0.5) if centres else at * scale


def _linear(n: int, m: int, corners: bool, centres: bool) -> Taps:
    at = _positions(n, m, corners, centres)
    floor = np.floor(at)
    low = np.maximum(floor, 0).astype(int)
    high = np.minimum(np.ceil(at), n - 1).astype(int)
    share = (at - floor).astype("float32")
    return [(low, 1 - share), (high, share)]


def _nearest(n: int, m: int, corners: bool, centres: bool) -> Any:
    scale = np.float32((n - 1) / (m - 1)) if corners and m > 1 else np.float32(n / m)
    at = np.arange(m, dtype="float32")
    at = (at + np.float32(0.5)) * scale if centres else at * scale
    whole = np.sign(at) * np.floor(np.abs(at) + 0.5) if corners else np.floor(at)
    return np.clip(whole, 0, n - 1).astype(int)


def _cubic(n: int, m: int, corners: bool, centres: bool) -> Taps:
    a = -0.5 if centres else -0.75
    at = _positions(n, m, corners, centres)
    floor = np.floor(at)
    share = np.round((at - floor) * 1024) / 1024  # TensorFlow takes weights from a table
    found = []
    total = np.zeros(m)
    for i in range(-1, 3):
        t = np.abs(i - share)
        near = ((a + 2) * t - (a + 3)) * t * t + 1
        far = ((a * t - 5 * a) * t + 8 * a) * t - 4 * a
        weight = np.where(t <= 1, near, np.where(t < 2, far, 0))
        index = (floor + i).astype(int)
        if centres:  # what lies outside does not count
            weight = np.where((index >= 0) & (index < n), weight, 0)
        total += weight
        found.append((np.clip(index, 0, n - 1), weight))
    scale = np.where(np.abs(total) > 1000 * np.finfo("float32").tiny, total, 1) if centres else 1
    return [(index, (weight / scale).astype("float32")) for index, weight in found]


def _area(n: int, m: int, corners: bool) -> Taps:
    scale = np.float32((n - 1) / (m - 1)) if corners and m > 1 else np.float32(n / m)
    starts = np.arange(m, dtype="float32") * scale
    ends = (np.arange(m, dtype="float32") + 1) * scale
    width = int(np.ceil(float(scale))) + 1
    found = []
    for i in range(width):
        index = np.floor(starts).astype(int) + i
        weight = np.minimum(ends, index + 1) - np.maximum(starts, index)
        found.append((np.clip(index, 0, n - 1), np.maximum(weight, 0) / scale))
    return [(index, weight.astype("float32")) for index, weight in found]


def _resampled(xp: Any, images: Any, taps: Sequence[Taps]) -> Any:
    x = xp.astype(images, np.dtype("float32")) if images.dtype.kind != "f" else images
    for axis, each in reversed([*enumerate(taps, 1)]):
        rows = [1] * len(x.shape)
        rows[axis] = -1
        parts = [
            xp.take(x, index, axis=axis) * weight.astype(x.dtype).reshape(rows)
            for index, weight in each
        ]
        x = sum(parts[1:], parts[0])
    return x


def _matrix(taps: Taps, n: int, dtype: Any) -> Any:
    """Return the matrix that taps stand for."""
    found = np.zeros((len(taps[0][0]), n), dtype)
    for index, weight in taps:
        np.add.at(found, (np.arange(len(index)), index), weight.astype(dtype))
    return found


def _transposed(xp: Any, grads: Any, taps: Sequence[Taps], sizes: Sequence[int]) -> Any:
    high, wide = [_matrix(t, n, grads.dtype) for t, n in zip(taps, sizes, strict=True)]
    return xp.einsum("yh,nyxc,xw->nhwc", high, grads, wide)


def _resize(kind: Any) -> Any:
    def call(xp: Any, images: Any, size: Any, align_corners: bool, half_pixel_centers: bool) -> Any:
        taps = [
            kind(n, m, align_corners, half_pixel_centers)
            for n, m in zip(images.shape[1:3], lengths(size), strict=True)
        ]
        return _resampled(xp, images, taps)

    return call


def _resize_grad(kind: Any) -> Any:
    def call(
        xp: Any, grads: Any, original_image: Any, align_corners: bool, half_pixel_centers: bool
    ) -> Any:
        sizes = original_image.shape[1:3]
        taps = [
            kind(n, m, align_corners, half_pixel_centers)
            for n, m in zip(sizes, grads.shape[1:3], strict=True)
        ]
        return _transposed(xp, grads, taps, sizes)

    return call


entry("ResizeBilinear")(_resize(_linear))
entry("ResizeBicubic")(_resize(_cubic))
entry("ResizeBilinearGrad")(_resize_grad(_linear))
entry("ResizeBicubicGrad")(_resize_grad(_cubic))


@entry("ResizeArea")
def _resize_area(xp: Any, images: Any, size: Any, align_corners: bool) -> Any:
    sizes = zip(images.shape[1:3], lengths(size), strict=True)
    return _resampled(xp, images, [_area(n, m, align_corners) for n, m in sizes])


@entry("ResizeNearestNeighbor")
def _resize_nearest(
    xp: Any, images: Any, size: Any, align_corners: bool, half_pixel_centers: bool
) -> Any:
    for axis, m in enumerate(lengths(size), 1):
        index = _nearest(images.shape[axis], m, align_corners, half_pixel_centers)
        images = xp.take(images, index, axis=axis)
    return images


@entry("ResizeNearestNeighborGrad")
def _resize_nearest_grad(
    xp: Any, grads: Any, size: Any, align_corners: bool, half_pixel_centers: bool
) -> Any:
    sizes = lengths(size)
    taps = []
    for n, m in zip(sizes, grads.shape[1:3], strict=True):
        index = _nearest(n, m, align_corners, half_pixel_centers)
        taps.append([(index, np.ones(len(index)))])
    return _transposed(xp, grads, taps, sizes)


# patches ------------------------------------------------------------------------------------------


@entry("ExtractImagePatches")
def _patches(xp: Any, images: Any, ksizes: Any, strides: Any, rates: Any, padding: str) -> Any:
    kernel, steps, gaps = ksizes[1:3], strides[1:3], rates[1:3]
    keys = []
    pads: list[tuple[int, int]] = []
    for n, k, s, d in zip(images.shape[1:3], kernel, steps, gaps, strict=True):
        whole = (k - 1) * d + 1
        count = -(-n // s) if padding == "SAME" else (n - whole) // s + 1
        total = max((count - 1) * s + whole - n, 0) if padding == "SAME" else 0
        pads.append((total // 2, total - total // 2))
        keys.append((count, s, d))
    x = xp.pad(images, [(0, 0), *pads, (0, 0)], 0) if any(map(any, pads)) else images
    found = []
    for place in np.ndindex(*kernel):
        key = [
            builtins.slice(at * d, at * d + (count - 1) * s + 1, s)
            for at, (count, s, d) in zip(place, keys, strict=True)
        ]
        found.append(x[(builtins.slice(None), *key)])
    return xp.concat(found, axis=-1)


# colours ------------------------------------------------------------------------------------------


@entry("AdjustContrastv2")
def _adjust_contrast(xp: Any, images: Any, contrast_factor: Any) -> Any:
    mean = xp.mean(images, axis=(-3, -2), keepdims=True)
    return (images - mean) * contrast_factor + mean


@entry("RGBToHSV")
def _rgb_to_hsv(xp: Any, images: Any) -> Any:
    r, g, b = [images[..., i] for i in range(3)]
    value = xp.maximum(xp.maximum(r, g), b)
    spread = value - xp.minimum(xp.minimum(r, g), b)
    one = xp.ones_like(value)
    saturation = xp.where(value > 0, spread / xp.where(value > 0, value, one), 0 * one)
    norm = 1 / (6 * xp.where(spread > 0, spread, one))
    hue = xp.where(
        xp.equal(r, value),
        norm * (g - b),
        xp.where(xp.equal(g, value), norm * (b - r) + 2 / 6, norm * (r - g) + 4 / 6),
    )
    hue = xp.where(spread > 0, hue, 0 * one)
    return xp.stack([xp.where(hue < 0, hue + 1, hue), saturation, value], axis=-1)


@entry("HSVToRGB")
def _hsv_to_rgb(xp: Any, images: Any) -> Any:
    h, s, v = [images[..., i] for i in range(3)]
    factors = [
        xp.clip(xp.abs(h * 6 - 3) - 1, 0, 1),
        xp.clip(2 - xp.abs(h * 6 - 2), 0, 1),
        xp.clip(2 - xp.abs(h * 6 - 4), 0, 1),
    ]
    return xp.stack([(1 - s + s * factor) * v for factor in factors], axis=-1)


@entry("AdjustSaturation")
def _adjust_saturation(xp: Any, images: Any, scale: Any) -> Any:
    hsv = _rgb_to_hsv(xp, images)
    saturation = xp.clip(hsv[..., 1] * scale, 0, 1)
    return _hsv_to_rgb(xp, xp.stack([hsv[..., 0], saturation, hsv[..., 2]], axis=-1))


@entry("AdjustHue")
def _adjust_hue(xp: Any, images: Any, delta: Any) -> Any:
    hsv = _rgb_to_hsv(xp, images)
    hue = xp.remainder(hsv[..., 0] + delta, xp.ones_like(hsv[..., 0]))
    return _hsv_to_rgb(xp, xp.stack([hue, hsv[..., 1], hsv[..., 2]], axis=-1))
