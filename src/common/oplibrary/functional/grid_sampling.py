"""Images sampled at places that are computed, as spatial transformers do it.

M. Jaderberg, K. Simonyan, A. Zisserman and K. Kavukcuoglu, "Spatial transformer networks" (2015).
Values and gradients are PyTorch's.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial, reduce
from itertools import product
from math import prod
from typing import Any

import numpy as np

from oplibrary.core.registry import public
from oplibrary.messages.errors import ArgumentError, DTypeError, ShapeError
from oplibrary.ops.arguments import normalize_shape, operand_type, require_flag
from oplibrary.ops.comparison import greater_equal, isfinite, less, less_equal, logical_and
from oplibrary.ops.elementwise import abs as magnitude
from oplibrary.ops.elementwise import add, cast, divide, multiply, subtract, where
from oplibrary.ops.gather import take_along_axis
from oplibrary.ops.linalg import matmul
from oplibrary.ops.movement import expand_dims, matrix_transpose, reshape
from oplibrary.ops.reduction import all as all_of
from oplibrary.ops.rounding import floor
from oplibrary.ops.rounding import round as nearest_whole
from oplibrary.ops.slicing import index_axis
from oplibrary.values.dtypes import REAL_FLOATING, promoted
from oplibrary.values.types import Shape, TensorType

_MODES = {"bilinear": (2, 3), "nearest": (2, 3), "bicubic": (2,)}
_PADDINGS = ("zeros", "border", "reflection")
_NOWHERE = -100.0  # a place outside of every image
_KEYS = -0.75  # the parameter of the cubic kernel


@public
def grid_sample(
    x: Any,
    grid: Any,
    mode: str = "bilinear",
    padding_mode: str = "zeros",
    align_corners: bool = False,
) -> Any:
    """Return images whose pixels are taken from `x` at the places that `grid` names.

    Parameters
    ----------
    x : array
        ``(n, c, h, w)`` or ``(n, c, d, h, w)``.
    grid : array
        ``(n, ..., 2)`` or ``(n, ..., 3)`` with as many axes as `x`: places from -1 to 1, along the
        last axis of `x` first.
    mode : {"bilinear", "nearest", "bicubic"}
        How a pixel is made of those around its place; ``"bilinear"`` is trilinear in three
        dimensions, in which ``"bicubic"`` is not offered.
    padding_mode : {"zeros", "border", "reflection"}
        What lies outside: zeros, the nearest pixels, or the image mirrored.
    align_corners : bool
        Whether -1 and 1 are the centres of the outermost pixels, and not the edges of the image.

    Returns
    -------
    array
        ``(n, c, ...)`` with the axes of `grid` between its first and its last.

    Raises
    ------
    ShapeError
        If the shapes do not fit, or there are no pixels.
    DTypeError
        If `x` or `grid` is not of floating-point numbers.
    ArgumentError
        If a mode is unknown.

    Notes
    -----
    A place that is infinite or NaN is outside: its pixel is 0. The gradient by a place is that of
    the weights, 0 at a border and beyond it, and for ``"nearest"``.
    """
    given, places = operand_type("grid_sample", x), operand_type("grid_sample", grid)
    axes = given.ndim - 2
    _check(given, places, mode, padding_mode)
    corners = require_flag(align_corners, "align_corners")
    lengths, n = given.shape[2:], given.shape[0]
    dtype = promoted(given.dtype, places.dtype)
    x = x if given.dtype == dtype else cast(x, dtype=dtype)
    grid = grid if places.dtype == dtype else cast(grid, dtype=dtype)
    count = prod(places.shape[1:-1])
    grid = reshape(grid, shape=(n, count, axes))

    sane = isfinite(grid)
    grid, sane = where(sane, grid, 0.0), all_of(sane, axis=-1)
    # along each axis, pairs of the place of a neighbour and its weight
    taps: list[list[tuple[Any, Any]]] = []
    for axis, length in enumerate(lengths):
        at = index_axis(grid, index=axes - 1 - axis, axis=-1)
        half = divide(add(at, 1.0), 2.0)
        at = multiply(half, length - 1.0) if corners else subtract(multiply(half, length), 0.5)
        pad = partial(_padded, length=length, padding_mode=padding_mode, corners=corners)
        taps.append(_TAPS[mode](at, pad))

    pixels = reshape(x, shape=(n, given.shape[1], prod(lengths)))
    terms = []
    for chosen in product(*taps):
        place: Any = 0
        inside, weight = sane, None
        for (at, share), length in zip(chosen, lengths, strict=True):
            valid = logical_and(greater_equal(at, 0), less(at, length))
            inside = logical_and(inside, valid)
            place = add(multiply(place, length), where(valid, at, 0))
            if share is not None:
                weight = share if weight is None else multiply(weight, share)
        found = take_along_axis(pixels, expand_dims(place, axis=1), axis=2)
        if weight is not None:
            found = multiply(found, expand_dims(where(inside, weight, 0.0), axis=1))
        terms.append(where(expand_dims(inside, axis=1), found, 0.0))
    return reshape(reduce(add, terms), shape=(*given.shape[:2], *places.shape[1:-1]))


def _check(given: TensorType, places: TensorType, mode: Any, padding_mode: Any) -> None:
    for name, value, known in (("mode", mode, _MODES), ("padding_mode", padding_mode, _PADDINGS)):
        if not isinstance(value, str) or value not in known:
            raise ArgumentError(
                f"grid_sample: {name} is {value!r}",
                cause="it says how pixels between and beyond those of x are made",
                fix=f"pass one of {', '.join(map(repr, known))}",
            )
    axes = given.ndim - 2
    if axes not in _MODES[mode]:
        raise ShapeError(
            f"grid_sample: x {given.shape} in mode {mode!r}",
            cause="images are (n, c, h, w) or (n, c, d, h, w), and bicubic is for the first",
            fix="add the axes that are missing, or choose another mode",
        )
    fits = places.ndim == given.ndim and places.shape[0] == given.shape[0]
    if not fits or places.shape[-1] != axes:
        raise ShapeError(
            f"grid_sample: a grid of shape {places.shape} for x {given.shape}",
            cause=f"it has a place for each pixel of the result, (n, ..., {axes})",
            fix="give it as many axes as x, and the same n",
        )
    if not all(given.shape[2:]):
        raise ShapeError(
            f"grid_sample: x {given.shape} has no pixels",
            cause="those of the result are made of them",
            fix="check the lengths first",
        )
    for name, each in (("x", given), ("grid", places)):
        if each.dtype.kind not in REAL_FLOATING:
            raise DTypeError(
                f"grid_sample: {name} is {each.dtype}",
                cause="pixels are weighed, and places lie between them",
                fix="convert with astype(x, 'float32')",
            )


# places -------------------------------------------------------------------------------------------


def _padded(at: Any, length: int, padding_mode: str, corners: bool) -> Any:
    """Return places moved into the image, unless what is outside is 0."""
    if padding_mode == "zeros":
        return at
    if padding_mode == "reflection":
        at = _reflected(at, length, corners)
    return where(less_equal(at, 0.0), 0.0, where(greater_equal(at, length - 1.0), length - 1.0, at))


def _reflected(at: Any, length: int, corners: bool) -> Any:
    """Return places mirrored at the outermost centres, or at the edges, until they are inside."""
    low, span = (0.0, length - 1.0) if corners else (-0.5, float(length))
    if not span:
        return multiply(at, 0.0)
    distance = magnitude(subtract(at, low))
    turns = floor(divide(distance, span))
    rest = subtract(distance, multiply(turns, span))
    even = less(subtract(turns, multiply(floor(divide(turns, 2.0)), 2.0)), 0.5)
    return add(where(even, rest, subtract(span, rest)), low)


def _whole(at: Any) -> Any:
    """Return whole places as indices, outside where an index cannot hold them."""
    return cast(where(less(magnitude(at), 2.0**30), at, _NOWHERE), dtype=np.int64)


Pad = Callable[[Any], Any]


def _nearest(at: Any, pad: Pad) -> list[tuple[Any, Any]]:
    return [(_whole(nearest_whole(pad(at))), None)]


def _linear(at: Any, pad: Pad) -> list[tuple[Any, Any]]:
    at = pad(at)
    below = floor(at)
    share = subtract(at, below)
    first = _whole(below)
    return [(first, subtract(1.0, share)), (add(first, 1), share)]


def _cubic(at: Any, pad: Pad) -> list[tuple[Any, Any]]:
    below = floor(at)
    t = subtract(at, below)
    weights = (_outer(add(t, 1.0)), _inner(t), _inner(subtract(1.0, t)), _outer(subtract(2.0, t)))
    return [(_whole(pad(add(below, k - 1.0))), weight) for k, weight in enumerate(weights)]


_TAPS = {"nearest": _nearest, "bilinear": _linear, "bicubic": _cubic}


def _inner(t: Any) -> Any:
    """Return the cubic kernel of Keys (1981) at a distance up to 1."""
    return add(multiply(subtract(multiply(t, _KEYS + 2), _KEYS + 3), multiply(t, t)), 1.0)


def _outer(t: Any) -> Any:
    """Return the cubic kernel at a distance from 1 to 2."""
    return _KEYS * (((t - 5.0) * t + 8.0) * t - 4.0)


# the grid of an affine map ------------------------------------------------------------------------


@public
def affine_grid(theta: Any, size: Sequence[int], align_corners: bool = False) -> Any:
    """Return the places at which an affine map of each image looks for its pixels.

    Parameters
    ----------
    theta : array
        ``(n, 2, 3)`` or ``(n, 3, 4)``, a matrix and a shift for each image.
    size : tuple of int
        Of the result of `grid_sample`: ``(n, c, h, w)`` or ``(n, c, d, h, w)``.
    align_corners : bool
        As for `grid_sample`.

    Returns
    -------
    array
        ``(n, h, w, 2)`` or ``(n, d, h, w, 3)``.

    Raises
    ------
    ShapeError
        If `theta` and `size` do not fit.
    DTypeError
        If `theta` is not of floating-point numbers.

    Examples
    --------
    >>> grid = affine_grid(np.array([[[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]]), (1, 1, 1, 2))
    >>> grid.tolist()
    [[[[-0.5, 0.0], [0.5, 0.0]]]]
    """
    given, lengths = operand_type("affine_grid", theta), normalize_shape(size, "size")
    axes = len(lengths) - 2
    if axes not in (2, 3) or given.shape != (lengths[0], axes, axes + 1):
        raise ShapeError(
            f"affine_grid: theta of shape {given.shape} for size {lengths}",
            cause="it is (n, 2, 3) for images (n, c, h, w), (n, 3, 4) for (n, c, d, h, w)",
            fix="give theta that shape, one matrix with a shift an image",
        )
    if given.dtype.kind not in REAL_FLOATING:
        raise DTypeError(
            f"affine_grid: theta is {given.dtype}",
            cause="places are floating-point numbers",
            fix="convert with astype(theta, 'float32')",
        )
    corners = require_flag(align_corners, "align_corners")
    places = _places(lengths[2:], corners).astype(given.dtype)
    grid = matmul(places, matrix_transpose(theta))
    return reshape(grid, shape=(lengths[0], *lengths[2:], axes))


def _places(lengths: Shape, corners: bool) -> Any:
    """Return the places of all pixels with a 1 behind each, ``(pixels, axes + 1)``."""
    lines = []
    for n in lengths:
        line = np.linspace(-1.0, 1.0, n) if n > 1 else np.zeros(n)
        lines.append(line if corners or not n else line * ((n - 1) / n))
    grids = np.meshgrid(*lines, indexing="ij")
    columns = [each.reshape(-1) for each in reversed(grids)]
    return np.stack([*columns, np.ones(prod(lengths))], axis=-1)
