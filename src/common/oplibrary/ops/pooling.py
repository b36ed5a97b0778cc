"""Two-dimensional pooling: the largest, or the mean, of each window of an image."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from oplibrary.core.op import Kind, Op, example, public, register
from oplibrary.core.types import Array, Shape, TensorType
from oplibrary.messages.errors import ArgumentError, DTypeError, ShapeError
from oplibrary.ops.elementwise import add, cast, maximum
from oplibrary.ops.image_lowering import lower_max_gradient, lower_mean_gradient, lower_pool
from oplibrary.ops.windows import Pair, pair

_ATTRS = {"kernel": ..., "stride": ..., "padding": (0, 0)}


class _Windows(NamedTuple):
    """The lengths of a pooling."""

    shape: Shape
    kernel: Pair
    stride: Pair
    padding: Pair
    out: Pair

    @property
    def result_shape(self) -> Shape:
        return (*self.shape[:2], *self.out)

    @property
    def padded_shape(self) -> Shape:
        n, c, h, w = self.shape
        return n, c, h + 2 * self.padding[0], w + 2 * self.padding[1]

    def offsets(self) -> Iterator[tuple[slice, slice]]:
        """Yield, for each position in a window, the slices that pick it from every window."""
        (kh, kw), (sh, sw), (oh, ow) = self.kernel, self.stride, self.out
        for i in range(kh):
            for j in range(kw):
                yield (
                    slice(i, i + (oh - 1) * sh + 1, sh),
                    slice(j, j + (ow - 1) * sw + 1, sw),
                )


@lru_cache(maxsize=4096, typed=True)
def _windows(name: str, shape: Shape, kernel: Pair, stride: Pair, padding: Pair) -> _Windows:
    if len(shape) != 4:
        raise ShapeError(
            f"{name}: image {shape} must have 4 axes",
            cause="an image is (images, channels, height, width)",
            fix="add the missing axis, for one image with expand_dims(x, axis=0)",
        )
    if any(2 * p > k for p, k in zip(padding, kernel)):
        raise ArgumentError(
            f"{name}: padding {padding} is more than half of the kernel {kernel}",
            cause="a window would lie in the padding alone",
            fix="pad less, or pool larger windows",
        )
    out = []
    for axis, n, k, s, p in zip(("height", "width"), shape[2:], kernel, stride, padding):
        if k > n + 2 * p:
            raise ShapeError(
                f"{name}: kernel {axis} {k} is larger than the padded image's {n + 2 * p}",
                cause=f"image {n}, padding {p} on both sides: no window fits",
                fix="use a smaller kernel",
            )
        out.append((n + 2 * p - k) // s + 1)
    return _Windows(shape, kernel, stride, padding, (out[0], out[1]))


def _pad(x: Array, windows: _Windows, value: Any) -> Array:
    if windows.padding == (0, 0):
        return np.ascontiguousarray(x)
    (top, left), (_, _, h, w) = windows.padding, windows.shape
    padded = np.full(windows.padded_shape, value, x.dtype)
    padded[:, :, top : top + h, left : left + w] = x
    return padded


def _crop(padded: Array, windows: _Windows) -> Array:
    if windows.padding == (0, 0):
        return padded
    (top, left), (_, _, h, w) = windows.padding, windows.shape
    return np.ascontiguousarray(padded[:, :, top : top + h, left : left + w])


def _pool(x: Array, windows: _Windows, combine: np.ufunc) -> Array:
    """Combine each window of a padded image: along its height, then along its width."""
    (kh, kw), (sh, sw), (oh, ow) = windows.kernel, windows.stride, windows.out
    n, c, _, width = x.shape
    last = (oh - 1) * sh + 1
    rows = x[:, :, 0:last:sh]
    for i in range(1, kh):
        into = rows if i > 1 else None
        rows = combine(rows, x[:, :, i : i + last : sh], out=into)
    if sw == kw and width == ow * kw:
        # the windows tile each row: one long strided run instead of a short one a row
        flat = rows.reshape(-1)
        parts = [flat[j::kw] for j in range(kw)]
    else:
        last = (ow - 1) * sw + 1
        parts = [rows[..., j : j + last : sw] for j in range(kw)]
    result = parts[0]
    for j in range(1, kw):
        into = result if j > 1 else None
        result = combine(result, parts[j], out=into)
    return result.reshape(n, c, oh, ow)


def _finish(result: Array, source: Array, out: Array | None) -> Array:
    """Return `result` as a fresh contiguous array, or in `out`."""
    if out is not None:
        out[...] = result
        return out
    return result.copy() if np.may_share_memory(result, source) else result


# the largest --------------------------------------------------------------------------------------


def _lowest(dtype: np.dtype[Any]) -> Any:
    return -np.inf if dtype.kind == "f" else np.iinfo(dtype).min


def _max_pool2d_kernel(x: Array, out: Array | None = None, **attrs: Any) -> Array:
    windows = _windows("max_pool2d", x.shape, **attrs)
    pooled = _pool(_pad(x, windows, _lowest(x.dtype)), windows, np.maximum)
    return _finish(pooled, x, out)


def _first_largest(x: Array, largest: Array, windows: _Windows) -> Iterator[tuple[Any, Array]]:
    """Yield each position in the windows with a mask of those whose first maximum is there.

    NaN is the largest where there is one. Padding is never the largest, not even of -inf.
    """
    padded = _pad(x, windows, _lowest(x.dtype))
    inside = None
    if windows.padding != (0, 0):
        one = windows._replace(shape=(1, 1, *x.shape[2:]))
        inside = _pad(np.ones(one.shape, np.bool_), one, False)
    undefined = bool(np.isnan(largest).any())
    found: Array | None = None
    for rows, columns in windows.offsets():
        element = padded[:, :, rows, columns]
        here = element == largest
        if undefined:
            here |= np.isnan(element)
        if inside is not None:
            here &= inside[:, :, rows, columns]
        if found is None:
            found = here.copy()
        else:
            # a later position counts only where no earlier one did
            np.greater(here, found, out=here)
            np.logical_or(found, here, out=found)
        yield (slice(None), slice(None), rows, columns), here


def _max_pool2d_gradient_kernel(g: Array, x: Array, largest: Array, **attrs: Any) -> Array:
    windows = _windows("max_pool2d", x.shape, **attrs)
    padded = np.zeros(windows.padded_shape, g.dtype)
    apart = windows.stride[0] >= windows.kernel[0] and windows.stride[1] >= windows.kernel[1]
    for position, mask in _first_largest(x, largest, windows):
        # selected and not multiplied, as NaN times 0 is NaN
        if apart:
            np.copyto(padded[position], g, where=mask)
        else:
            np.add(padded[position], g, out=padded[position], where=mask)
    return _crop(padded, windows)


def _max_pool2d_select_kernel(h: Array, x: Array, largest: Array, **attrs: Any) -> Array:
    windows = _windows("max_pool2d", x.shape, **attrs)
    padded = _pad(h, windows, 0)
    result = np.zeros(windows.result_shape, h.dtype)
    for position, mask in _first_largest(x, largest, windows):
        np.copyto(result, padded[position], where=mask)
    return result


def _pool_infer(name: str, mean: bool) -> Callable[..., TensorType]:
    def infer(x: TensorType, **attrs: Any) -> TensorType:
        windows = _windows(name, x.shape, **attrs)
        if not mean and x.dtype.kind not in "iuf":
            raise DTypeError(
                f"{name} is not defined for {x.dtype}",
                cause="the largest of real numbers is sought",
                fix="convert with astype first",
            )
        dtype = np.true_divide.resolve_dtypes((x.dtype, x.dtype, None))[-1] if mean else x.dtype
        return TensorType(windows.result_shape, dtype)

    return infer


# distinct numbers, so that no step of a numerical derivative changes which is the largest
_SAMPLE = (np.arange(180) * 77 % 180).reshape(2, 3, 5, 6) / 90.0
_POOLINGS: tuple[dict[str, Any], ...] = (
    {"kernel": (2, 2), "stride": (2, 2), "padding": (0, 0)},
    {"kernel": (2, 3), "stride": (2, 1), "padding": (1, 1)},
    {"kernel": (3, 3), "stride": (1, 2), "padding": (0, 1)},
)

_max_pool2d: Op = register(
    Op(
        name="max_pool2d",
        kind=Kind.OPAQUE,
        arity=1,
        kernel=_max_pool2d_kernel,
        infer=_pool_infer("max_pool2d", False),
        lowering=lower_pool(maximum, _lowest),
        vjp=(
            lambda g, out, x, *, kernel, stride, padding: _max_pool2d_gradient(
                g, x, out, kernel, stride, padding
            ),
        ),
        attrs=_ATTRS,
        takes_out=True,
        examples=tuple(example(_SAMPLE, **attrs) for attrs in _POOLINGS),
        doc="Return the largest element of each window of images (n, c, h, w).",
    )
)

_LARGEST = tuple((_max_pool2d_kernel(_SAMPLE, **attrs), attrs) for attrs in _POOLINGS)

_max_pool2d_gradient: Op = register(
    Op(
        name="max_pool2d_gradient",
        public=False,
        kind=Kind.OPAQUE,
        arity=3,
        kernel=_max_pool2d_gradient_kernel,
        infer=lambda g, x, largest, **attrs: TensorType(x.shape, g.dtype),
        lowering=lower_max_gradient,
        vjp=(
            lambda h, _out, _g, x, largest, *, kernel, stride, padding: _max_pool2d_select(
                h, x, largest, kernel, stride, padding
            ),
            None,
            None,
        ),
        attrs=_ATTRS,
        operand_names=("g", "x", "largest"),
        examples=tuple(example(y.shape, _SAMPLE, y, **attrs) for y, attrs in _LARGEST),
        doc="Move each element of g to the first largest element of its window: the gradient of "
        "max_pool2d.",
    )
)

_max_pool2d_select: Op = register(
    Op(
        name="max_pool2d_select",
        public=False,
        kind=Kind.OPAQUE,
        arity=3,
        kernel=_max_pool2d_select_kernel,
        infer=lambda h, x, largest, **attrs: TensorType(largest.shape, h.dtype),
        vjp=(
            lambda g, _out, _h, x, largest, *, kernel, stride, padding: _max_pool2d_gradient(
                g, x, largest, kernel, stride, padding
            ),
            None,
            None,
        ),
        attrs=_ATTRS,
        operand_names=("h", "x", "largest"),
        examples=tuple(example(_SAMPLE.shape, _SAMPLE, y, **attrs) for y, attrs in _LARGEST),
        doc="Take from h the element where x has the first largest of each window.",
    )
)


# the mean -----------------------------------------------------------------------------------------


def _avg_pool2d_kernel(x: Array, out: Array | None = None, **attrs: Any) -> Array:
    windows = _windows("avg_pool2d", x.shape, **attrs)
    if x.dtype.kind in "biu":  # their sums would wrap around
        x = x.astype(np.true_divide.resolve_dtypes((x.dtype, x.dtype, None))[-1])
    total = _pool(_pad(x, windows, 0), windows, np.add)
    return np.true_divide(total, windows.kernel[0] * windows.kernel[1], out)


def _avg_pool2d_gradient_kernel(g: Array, *, shape: Shape, **attrs: Any) -> Array:
    windows = _windows("avg_pool2d", shape, **attrs)
    padded = np.zeros(windows.padded_shape, g.dtype)
    share = g / (windows.kernel[0] * windows.kernel[1])
    for rows, columns in windows.offsets():
        padded[:, :, rows, columns] += share
    return _crop(padded, windows)


def _lower_mean(x: Any, *, kernel: Pair, stride: Pair, padding: Pair) -> Any:
    dtype = np.true_divide.resolve_dtypes((x.dtype, x.dtype, None))[-1]
    x = x if x.dtype == dtype else cast(x, dtype=dtype)
    total = lower_pool(add, lambda _: 0)(x, kernel=kernel, stride=stride, padding=padding)
    return total / float(kernel[0] * kernel[1])


_avg_pool2d: Op = register(
    Op(
        name="avg_pool2d",
        kind=Kind.OPAQUE,
        arity=1,
        kernel=_avg_pool2d_kernel,
        infer=_pool_infer("avg_pool2d", True),
        lowering=_lower_mean,
        vjp=(
            lambda g, _out, x_type, *, kernel, stride, padding: _avg_pool2d_gradient(
                g, x_type.shape, kernel, stride, padding
            ),
        ),
        attrs=_ATTRS,
        takes_out=True,
        examples=tuple(example((2, 3, 5, 6), **attrs) for attrs in _POOLINGS),
        doc="Return the mean of each window of images (n, c, h, w); padding counts as zeros.",
    )
)

_avg_pool2d_gradient: Op = register(
    Op(
        name="avg_pool2d_gradient",
        public=False,
        kind=Kind.OPAQUE,
        arity=1,
        kernel=_avg_pool2d_gradient_kernel,
        infer=lambda g, *, shape, **_: TensorType(shape, g.dtype),
        lowering=lower_mean_gradient,
        vjp=(
            lambda h, _out, _g, *, shape, kernel, stride, padding: _avg_pool2d(
                h, kernel, stride, padding
            ),
        ),
        attrs={"shape": ..., **_ATTRS},
        operand_names=("g",),
        examples=tuple(example(y.shape, shape=_SAMPLE.shape, **attrs) for y, attrs in _LARGEST),
        doc="Share each element of g among its window: the gradient of avg_pool2d.",
    )
)


# the public functions -----------------------------------------------------------------------------


def _options(
    kernel_size: int | Sequence[int],
    stride: int | Sequence[int] | None,
    padding: int | Sequence[int],
) -> dict[str, Pair]:
    kernel = pair(kernel_size, "kernel_size", 1)
    return {
        "kernel": kernel,
        "stride": kernel if stride is None else pair(stride, "stride", 1),
        "padding": pair(padding, "padding", 0),
    }


@public
def max_pool2d(
    x: Any,
    kernel_size: int | Sequence[int],
    stride: int | Sequence[int] | None = None,
    padding: int | Sequence[int] = 0,
) -> Any:
    """Return the largest element of each window of `x`, ``(images, channels, height, width)``.

    Parameters
    ----------
    x : array
        Images.
    kernel_size : int or pair of int
        Size of a window, in pixels.
    stride : int or pair of int, optional
        Step between windows; by default the size of one, so that they tile the image.
    padding : int or pair of int
        Pixels around the image that are never the largest.

    Raises
    ------
    ShapeError
        If no window fits the padded image.
    ArgumentError
        If an option has no meaning, or the padding is more than half a window.

    Notes
    -----
    The gradient goes to the first of equal elements, row by row, as in PyTorch.
    """
    return _max_pool2d(x, **_options(kernel_size, stride, padding))


@public
def avg_pool2d(
    x: Any,
    kernel_size: int | Sequence[int],
    stride: int | Sequence[int] | None = None,
    padding: int | Sequence[int] = 0,
) -> Any:
    """Return the mean of each window of `x`, ``(images, channels, height, width)``.

    Parameters
    ----------
    x : array
        Images.
    kernel_size : int or pair of int
        Size of a window, in pixels.
    stride : int or pair of int, optional
        Step between windows; by default the size of one, so that they tile the image.
    padding : int or pair of int
        Zeros around the image; they count in the mean.

    Raises
    ------
    ShapeError
        If no window fits the padded image.
    ArgumentError
        If an option has no meaning, or the padding is more than half a window.
    """
    return _avg_pool2d(x, **_options(kernel_size, stride, padding))
