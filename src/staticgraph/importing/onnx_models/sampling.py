"""ONNX's operators that read images between their pixels."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from typing import Any

import numpy as np

from oplibrary.messages.errors import UnsupportedOpError
from staticgraph.graph.dimension import Dim
from staticgraph.importing.onnx_models.arrays import INT64
from staticgraph.importing.onnx_models.networks import Geometry
from staticgraph.importing.onnx_models.table import TABLE

# resizing -----------------------------------------------------------------------------------------


def _origins(mode: str, scale: float, n: int, count: int, roi: Any) -> Any:
    """Return where along an axis of `n` pixels each of `count` pixels comes from."""
    at = np.arange(count, dtype=np.float64)
    whole = scale * n
    if mode == "align_corners":
        return at * (n - 1) / (whole - 1) if whole != 1 else np.zeros(count)
    if mode == "asymmetric":
        return at / scale
    if mode == "tf_crop_and_resize":
        start, end = roi
        span = (end - start) * (n - 1)
        first = start * (n - 1)
        return first + (at * span / (whole - 1) if whole != 1 else np.full(count, span / 2))
    if mode == "pytorch_half_pixel" and whole == 1:
        return np.full(count, -0.5)
    centre = (at + 0.5) / scale - 0.5
    if mode == "half_pixel_symmetric":
        return centre + n / 2 * (1 - count / whole)
    return centre


def _triangle(distance: Any) -> Any:
    return np.clip(1 - np.abs(distance), 0, None)


def _keys(a: float) -> Callable[[Any], Any]:
    """Return the cubic kernel of R. Keys (1981) with the parameter `a`."""

    def kernel(distance: Any) -> Any:
        d = np.abs(distance)
        near = ((a + 2) * d - (a + 3)) * d * d + 1
        far = ((a * d - 5 * a) * d + 8 * a) * d - 4 * a
        return np.where(d <= 1, near, np.where(d < 2, far, 0.0))

    return kernel


_ROUNDINGS: dict[str, Callable[[Any], Any]] = {
    "round_prefer_floor": lambda x: np.ceil(x - 0.5),
    "round_prefer_ceil": lambda x: np.floor(x + 0.5),
    "floor": np.floor,
    "ceil": np.ceil,
    "simple": np.floor,
}


def _taps(
    x: Any, n: int, scale: float, kernel: Any, reach: int, antialias: int, exclude: int
) -> tuple[Any, Any]:
    """Return which pixels each new one is made of, and their weights: a row each."""
    stretch = min(scale, 1.0) if antialias else 1.0
    wide = int(np.ceil(reach / stretch))
    places = np.floor(x)[:, None] + np.arange(1 - wide, wide + 1)
    weights = kernel((places - x[:, None]) * stretch)
    if exclude:
        weights = np.where((places >= 0) & (places < n), weights, 0.0)
    if exclude or antialias:
        total = weights.sum(axis=1, keepdims=True)
        weights = weights / np.where(total == 0, 1.0, total)
    return np.clip(places, 0, n - 1).astype(np.int64), weights


@TABLE.entry("Resize", known=("roi", "scales", "sizes"))
def _resize(
    xp: Any,
    X: Any,
    roi: Any = None,
    scales: Any = None,
    sizes: Any = None,
    *,
    mode: str,
    antialias: int = 0,
    axes: Any = None,
    coordinate_transformation_mode: str = "asymmetric",
    cubic_coeff_a: float = -0.75,
    exclude_outside: int = 0,
    extrapolation_value: float = 0.0,
    keep_aspect_ratio_policy: str = "stretch",
    nearest_mode: str = "simple",
    version: int = 19,
) -> Any:
    rank = len(X.shape)
    given = list(range(rank)) if axes is None else [a % rank for a in axes]
    factors: dict[int, float] = {}
    lengths: dict[int, int] = {}
    if sizes:
        for axis, length in zip(given, sizes, strict=True):
            lengths[axis], factors[axis] = length, _ratio(length, X.shape[axis])
        if keep_aspect_ratio_policy != "stretch":
            choose = min if keep_aspect_ratio_policy == "not_larger" else max
            one = choose(factors.values())
            factors = dict.fromkeys(given, one)
            lengths = {axis: int(one * X.shape[axis] + 0.5) for axis in given}
    else:
        for axis, factor in zip(given, scales, strict=True):
            factors[axis] = factor
            lengths[axis] = X.shape[axis] if factor == 1 else int(factor * _fixed(X.shape[axis]))
    crops = coordinate_transformation_mode == "tf_crop_and_resize"
    kernel, reach = (_triangle, 1) if mode == "linear" else (_keys(cubic_coeff_a), 2)
    outside: Any = None
    y = X
    whole = X.dtype.kind in "iu"
    if whole and mode != "nearest":
        y = xp.astype(y, np.dtype("float64"))
    for i, axis in enumerate(given):
        n, count, scale = X.shape[axis], lengths[axis], factors[axis]
        part = (roi[i], roi[i + len(given)]) if crops else None
        if part in (None, (0.0, 1.0)) and scale == 1:
            continue
        n = _fixed(n)
        x = _origins(coordinate_transformation_mode, scale, n, count, part)
        if crops:
            at = [1] * rank
            at[axis] = count
            beyond = ((x < 0) | (x > n - 1)).reshape(at)
            outside = beyond if outside is None else outside | beyond
        if mode == "nearest":
            chosen = np.clip(_ROUNDINGS[nearest_mode](x), 0, n - 1).astype(np.int64)
            y = xp.take(y, chosen, axis=axis)
            continue
        places, weights = _taps(x, n, scale, kernel, reach, antialias, exclude_outside)
        at = [1] * rank
        at[axis] = count
        total: Any = None
        for tap in range(places.shape[1]):
            if not weights[:, tap].any():
                continue
            share = weights[:, tap].astype(np.dtype(y.dtype)).reshape(at)
            term = xp.take(y, places[:, tap], axis=axis) * share
            total = term if total is None else total + term
        y = total
    if outside is not None and outside.any():
        y = xp.where(outside, np.asarray(extrapolation_value).astype(y.dtype), y)
    if whole and mode != "nearest":
        limits = np.iinfo(X.dtype)
        y = xp.astype(xp.clip(xp.trunc(y), float(limits.min), float(limits.max)), X.dtype)
    return y


def _fixed(length: Any) -> int:
    if isinstance(length, Dim):
        raise UnsupportedOpError(
            f"Resize along an axis of the length {length!r}, which each run chooses",
            cause="which pixels are read is computed when the model is read",
            fix="fix the length of the image, as in dynamic={}",
        )
    return int(length)


def _ratio(length: Any, n: Any) -> float:
    if isinstance(length, Dim) or isinstance(n, Dim):
        if not isinstance(length - n, Dim) and length - n == 0:
            return 1.0
        _fixed(n)
        _fixed(length)
    return float(length / n)


@TABLE.entry("Upsample", known=("scales",))
def _upsample(
    xp: Any,
    X: Any,
    mode: str,
    scales: Any = None,
    height_scale: float = 1.0,
    width_scale: float = 1.0,
) -> Any:
    scales = [1.0, 1.0, height_scale, width_scale] if scales is None else scales
    mode = "linear" if mode == "bilinear" else mode
    return _resize(xp, X, scales=scales, mode=mode)


# sampling at places that are computed -------------------------------------------------------------

_MODES = {"linear": "bilinear", "cubic": "bicubic"}


@TABLE.entry("GridSample")
def _grid_sample(
    xp: Any, X: Any, grid: Any, align_corners: int, mode: str, padding_mode: str
) -> Any:
    return xp.grid_sample(
        X,
        grid,
        mode=_MODES.get(mode, mode),
        padding_mode=padding_mode,
        align_corners=bool(align_corners),
    )


def _between(xp: Any, image: Any, places: list[Any], clamps: bool) -> Any:
    """Return the pixels of ``(channels, rows * columns)`` at places between them.

    Parameters
    ----------
    image : array
        ``(n, channels, height, width)``.
    places : list of array
        Row and column, each ``(n, ...)``; with `clamps` those within a pixel of the image are
        moved inside, others are 0.
    """
    n, c, *lengths = image.shape
    flat = xp.reshape(image, (n, c, lengths[0] * lengths[1]))
    shape = places[0].shape
    inside: Any = None
    taps = []
    for at, length in zip(places, lengths, strict=True):
        if clamps:
            fits = xp.logical_and(at >= -1.0, at <= float(length))
            inside = fits if inside is None else xp.logical_and(inside, fits)
            at = xp.clip(at, 0.0, float(length - 1))
        low = xp.floor(at)
        share = at - low
        taps.append([(low, 1.0 - share), (low + 1.0, share)])
    total: Any = None
    for row, column in product(*taps):
        weight = row[1] * column[1]
        valid = xp.logical_and(
            xp.logical_and(row[0] >= 0, row[0] < lengths[0]),
            xp.logical_and(column[0] >= 0, column[0] < lengths[1]),
        )
        where = xp.where(valid, row[0] * lengths[1] + column[0], xp.zeros_like(row[0]))
        index = xp.reshape(xp.astype(where, INT64), (n, 1, -1))
        index = xp.broadcast_to(index, (n, c, index.shape[-1]))
        found = xp.reshape(xp.take_along_axis(flat, index, axis=2), (n, c, *shape[1:]))
        weight = xp.expand_dims(xp.where(valid, weight, xp.zeros_like(weight)), axis=1)
        term = found * weight
        total = term if total is None else total + term
    if inside is not None:
        total = xp.where(xp.expand_dims(inside, axis=1), total, xp.zeros_like(total))
    return total


@TABLE.entry("RoiAlign")
def _roi_align(
    xp: Any,
    X: Any,
    rois: Any,
    batch_indices: Any,
    output_height: int,
    output_width: int,
    sampling_ratio: int,
    spatial_scale: float,
    mode: str,
    coordinate_transformation_mode: str = "output_half_pixel",
) -> Any:
    if sampling_ratio <= 0:
        raise UnsupportedOpError(
            "RoiAlign with sampling_ratio=0 is not supported",
            cause="how many places are read depends on the regions, which are values",
            fix="give it the number of places, such as sampling_ratio=2",
        )
    half = 0.5 if coordinate_transformation_mode == "half_pixel" else 0.0
    image = xp.take(X, batch_indices, axis=0)
    count = sampling_ratio
    places = []
    for first, size in ((1, output_height), (0, output_width)):
        start = rois[:, first] * spatial_scale - half
        span = rois[:, first + 2] * spatial_scale - half - start
        if not half:
            span = xp.maximum(span, 1.0)
        steps = (np.arange(size * count) // count) + (np.arange(size * count) % count + 0.5) / count
        steps = steps.astype(np.dtype(X.dtype)).reshape(1, -1)
        places.append(xp.expand_dims(start, axis=1) + xp.expand_dims(span / size, axis=1) * steps)
    rows, columns = output_height * count, output_width * count
    n = rois.shape[0]
    y = xp.broadcast_to(xp.reshape(places[0], (n, rows, 1)), (n, rows, columns))
    x = xp.broadcast_to(xp.reshape(places[1], (n, 1, columns)), (n, rows, columns))
    if mode == "max":
        return _largest_taps(xp, image, y, x, (output_height, output_width), count)
    found = _between(xp, image, [y, x], True)
    shape = (n, X.shape[1], output_height, count, output_width, count)
    return xp.mean(xp.reshape(found, shape), axis=(3, 5))


def _largest_taps(xp: Any, image: Any, y: Any, x: Any, size: Any, count: int) -> Any:
    """Return the largest product of a pixel and its weight, which is what ONNX takes."""
    raise UnsupportedOpError(
        "RoiAlign with mode='max' is not supported",
        cause="it takes the largest product of a pixel and a weight, which no library trains with",
        fix="write it with mode='avg'",
    )


@TABLE.entry("DeformConv", ignored=("kernel_shape",))
def _deform_conv(
    xp: Any,
    X: Any,
    W: Any,
    offset: Any,
    B: Any = None,
    mask: Any = None,
    *,
    group: int,
    offset_group: int,
    dilations: Any = None,
    pads: Any = None,
    strides: Any = None,
) -> Any:
    at = Geometry(X.shape, W.shape[2:], strides, pads, dilations, "NOTSET")
    n, c = X.shape[:2]
    kw = at.kernel[1]
    rows, columns = offset.shape[2:]
    g, taps = offset_group, at.kernel[0] * kw
    moved = xp.reshape(offset, (n, g, taps, 2, rows, columns))
    image = xp.reshape(X, (n * g, c // g, *X.shape[2:]))
    places = []
    for axis in (0, 1):
        tap = np.arange(taps) // kw if axis == 0 else np.arange(taps) % kw
        along = np.arange(rows if axis == 0 else columns) * at.stride[axis] - at.padding[axis][0]
        grid = along.reshape((-1, 1) if axis == 0 else (1, -1))
        start = (tap * at.dilation[axis]).reshape(-1, 1, 1) + grid
        base = np.broadcast_to(start, (taps, rows, columns)).astype(np.dtype(X.dtype))
        place = moved[:, :, :, axis] + base
        places.append(xp.reshape(place, (n * g, taps, rows, columns)))
    found = _between(xp, image, places, False)
    found = xp.reshape(found, (n, g, c // g, taps, rows, columns))
    if mask is not None:
        found = found * xp.reshape(mask, (n, g, 1, taps, rows, columns))
    filters = W.shape[0]
    found = xp.reshape(found, (n, group, c // group * taps, rows * columns))
    weight = xp.reshape(W, (group, filters // group, c // group * taps))
    y = xp.reshape(xp.matmul(weight, found), (n, filters, rows, columns))
    return y if B is None else y + xp.reshape(B, (1, -1, 1, 1))
