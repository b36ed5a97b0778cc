"""Pooling over any number of axes: the largest, or the sum, of each window of an image."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from oplibrary.core.op import Kind, Op, example
from oplibrary.core.registry import register
from oplibrary.messages.errors import DTypeError
from oplibrary.ops.elementwise import BITS, MANY, add, maximum
from oplibrary.ops.image_lowering import (
    lower_max_gradient,
    lower_max_indices,
    lower_max_select,
    lower_pool,
    lower_sum_gradient,
)
from oplibrary.ops.kernels import halves_in_float32, lowered_in_float32
from oplibrary.ops.reduction import max as max_
from oplibrary.ops.reduction import sum as sum_
from oplibrary.ops.windows import PoolWindows, inner, pool_windows
from oplibrary.tangents.families import linear
from oplibrary.values.dtypes import REAL_FLOATING, REAL_NUMBERS
from oplibrary.values.types import Array, TensorType

_ATTRS = {"kernel": ..., "stride": ..., "padding": ..., "dilation": ...}
"""Each has one entry for each axis; the padding has a pair, before and after."""


def _pad(x: Array, windows: PoolWindows, value: Any) -> Array:
    if not windows.padded:
        return np.ascontiguousarray(x)
    padded = np.full((*x.shape[:2], *windows.padded_shape[2:]), value, x.dtype)
    padded[inner(windows.padding, x.shape[2:])] = x
    return padded


def _crop(padded: Array, windows: PoolWindows) -> Array:
    if not windows.padded:
        return padded
    return np.ascontiguousarray(padded[inner(windows.padding, windows.shape[2:])])


def _pool(x: Array, windows: PoolWindows, combine: np.ufunc) -> Array:
    """Combine each window of a padded image: along one axis after the other."""
    last = len(windows.kernel) - 1
    sizes = zip(windows.kernel, windows.stride, windows.dilation, windows.out, strict=True)
    for axis, (k, s, d, n) in enumerate(sizes):
        if axis == last and s == k and d == 1 and x.shape[-1] == n * k:
            # the windows tile each row: one long strided run instead of a short one a row
            flat = x.reshape(-1)
            parts = [flat[j::k] for j in range(k)]
        else:
            before = (slice(None),) * (2 + axis)
            reach = (n - 1) * s + 1
            parts = [x[(*before, slice(j * d, j * d + reach, s))] for j in range(k)]
        x = parts[0]
        for j in range(1, k):
            into = x if j > 1 else None
            x = combine(x, parts[j], out=into)
    return x.reshape(windows.result_shape)


def _finish(result: Array, source: Array, out: Array | None) -> Array:
    """Return `result` as a fresh contiguous array, or in `out`."""
    if out is not None:
        out[...] = result
        return out
    return result.copy() if np.may_share_memory(result, source) else result


# the largest --------------------------------------------------------------------------------------


def _lowest(dtype: np.dtype[Any]) -> Any:
    return -np.inf if dtype.kind in REAL_FLOATING else np.iinfo(dtype).min


def _max_pool_kernel(x: Array, out: Array | None = None, **attrs: Any) -> Array:
    windows = pool_windows(f"max_pool{len(attrs['kernel'])}d", x.shape, **attrs)
    pooled = _pool(_pad(x, windows, _lowest(x.dtype)), windows, np.maximum)
    return _finish(pooled, x, out)


def _first_largest(x: Array, largest: Array, windows: PoolWindows) -> Iterator[tuple[Any, Array]]:
    """Yield each position in the windows with a mask of those whose first maximum is there.

    NaN is the largest where there is one. Padding is never the largest, not even of -inf.
    """
    padded = _pad(x, windows, _lowest(x.dtype))
    inside = None
    if windows.padded:
        inside = _pad(np.ones((1, 1, *x.shape[2:]), np.bool_), windows, False)
    undefined = bool(np.isnan(largest).any())
    found: Array | None = None
    places = [place for _, place in windows.offsets()]
    for number, place in enumerate(places, 1):
        position = (slice(None), slice(None), *place)
        element = padded[position]
        here = element == largest
        if undefined:
            here |= np.isnan(element)
        if inside is not None:
            here &= inside[position]
        if found is None:
            found = here.copy()
        else:
            # a later position counts only where no earlier one did
            np.greater(here, found, out=here)
            if number < len(places):
                np.logical_or(found, here, out=found)
        yield position, here


def _put_where(target: Array, source: Array, mask: Array, once: bool) -> None:
    """Put the elements that `mask` has where zeros are: by their bits, without a branch for each.

    `np.copyto` decides element by element, which takes twice as long where the mask has no pattern.
    With `once`, nothing else is put into `target`, before or after.
    """
    bits = BITS.get(target.dtype.itemsize)
    if bits is None or source.dtype != target.dtype or mask.size < MANY:
        np.copyto(target, source, where=mask)
        return
    selected = mask.astype(bits)
    np.negative(selected, selected)  # all bits, or none
    into = target.view(bits)
    np.bitwise_and(selected, source.view(bits), into if once else selected)
    if not once:
        np.bitwise_or(into, selected, into)


@halves_in_float32(3)
def _max_pool_gradient_kernel(g: Array, x: Array, largest: Array, **attrs: Any) -> Array:
    windows = pool_windows(f"max_pool{len(attrs['kernel'])}d", x.shape, **attrs)
    padded = np.zeros(windows.padded_shape, g.dtype)
    for position, mask in _first_largest(x, largest, windows):
        # selected and not multiplied, as NaN times 0 is NaN
        if windows.apart:
            _put_where(padded[position], g, mask, once=True)
        else:
            np.add(padded[position], g, out=padded[position], where=mask)
    return _crop(padded, windows)


def _select(source: Array, x: Array, largest: Array, attrs: Any) -> Array:
    """Return what an image, or any that broadcasts to it, has at the largest elements of `x`."""
    windows = pool_windows(f"max_pool{len(attrs['kernel'])}d", x.shape, **attrs)
    padded = _pad(source, windows, 0)
    result = np.zeros(windows.result_shape, source.dtype)
    for position, mask in _first_largest(x, largest, windows):
        _put_where(result, padded[position], mask, once=False)
    return result


def _max_pool_indices_kernel(x: Array, largest: Array, **attrs: Any) -> Array:
    lengths = x.shape[2:]
    places = np.arange(np.prod(lengths, dtype=np.int64)).reshape(1, 1, *lengths)
    return _select(places, x, largest, attrs)


def _max_infer(x: TensorType, **attrs: Any) -> TensorType:
    windows = pool_windows(f"max_pool{len(attrs['kernel'])}d", x.shape, **attrs)
    if x.dtype.kind not in REAL_NUMBERS:
        raise DTypeError(
            f"max_pool{len(windows.kernel)}d is not defined for {x.dtype}",
            cause="the largest of real numbers is sought",
            fix="convert with astype first",
        )
    return TensorType(windows.result_shape, x.dtype)


# distinct numbers, so that no step of a numerical derivative changes which is the largest
def _sample(*shape: int) -> Array:
    count = int(np.prod(shape))
    return (np.arange(count) * 77 % count).reshape(shape) / (count / 2)


_PLAIN: tuple[tuple[tuple[int, ...], dict[str, Any]], ...] = (
    ((2, 3, 5, 6), {"kernel": (2, 2), "stride": (2, 2), "padding": ((0, 0), (0, 0))}),
    ((2, 3, 5, 6), {"kernel": (2, 3), "stride": (2, 1), "padding": ((1, 1), (1, 1))}),
    ((2, 3, 5, 6), {"kernel": (3, 3), "stride": (1, 2), "padding": ((0, 0), (1, 1))}),
    ((2, 3, 5, 6), {"kernel": (2, 2), "stride": (1, 2), "padding": ((0, 1), (1, 0))}),
    ((2, 2, 9), {"kernel": (3,), "stride": (3,), "padding": ((0, 0),)}),
    (
        (1, 2, 3, 4, 5),
        {"kernel": (2, 1, 3), "stride": (1, 2, 2), "padding": ((1, 0), (0, 0), (1, 0))},
    ),
)
_POOLINGS = tuple(
    (_sample(*shape), {**attrs, "dilation": (2 if number == 3 else 1, *(1,) * (len(shape) - 3))})
    for number, (shape, attrs) in enumerate(_PLAIN)
)

max_pool: Op = register(
    Op(
        name="max_pool",
        public=False,
        kind=Kind.OPAQUE,
        arity=1,
        kernel=_max_pool_kernel,
        infer=_max_infer,
        lowering=lower_pool("max_pool", maximum, max_, _lowest),
        vjp=(
            lambda g, out, x, *, kernel, stride, padding, dilation: max_pool_gradient(
                g, x, out, kernel, stride, padding, dilation
            ),
        ),
        jvp=lambda push: max_pool_select(
            push.tangents[0], push.operands[0], push.out, **push.attrs
        ),
        attrs=_ATTRS,
        takes_out=True,
        examples=tuple(example(x, **attrs) for x, attrs in _POOLINGS),
        doc="Return the largest element of each window of images (n, c, ...).",
    )
)

_LARGEST = tuple((x, _max_pool_kernel(x, **attrs), attrs) for x, attrs in _POOLINGS)

max_pool_gradient: Op = register(
    Op(
        name="max_pool_gradient",
        public=False,
        kind=Kind.OPAQUE,
        arity=3,
        kernel=_max_pool_gradient_kernel,
        infer=lambda g, x, largest, **attrs: TensorType(x.shape, g.dtype),
        lowering=lower_max_gradient,
        vjp=(
            lambda h, _out, _g, x, largest, *, kernel, stride, padding, dilation: max_pool_select(
                h, x, largest, kernel, stride, padding, dilation
            ),
            None,
            None,
        ),
        jvp=linear,
        attrs=_ATTRS,
        operand_names=("g", "x", "largest"),
        examples=tuple(example(y.shape, x, y, **attrs) for x, y, attrs in _LARGEST),
        doc="Move each element of g to the first largest element of its window: the gradient of "
        "max_pool.",
    )
)

max_pool_select: Op = register(
    Op(
        name="max_pool_select",
        public=False,
        kind=Kind.OPAQUE,
        arity=3,
        kernel=lambda h, x, largest, **attrs: _select(h, x, largest, attrs),
        infer=lambda h, x, largest, **attrs: TensorType(largest.shape, h.dtype),
        lowering=lower_max_select,
        vjp=(
            lambda g, _out, _h, x, largest, *, kernel, stride, padding, dilation: max_pool_gradient(
                g, x, largest, kernel, stride, padding, dilation
            ),
            None,
            None,
        ),
        jvp=linear,
        attrs=_ATTRS,
        operand_names=("h", "x", "largest"),
        examples=tuple(example(x.shape, x, y, **attrs) for x, y, attrs in _LARGEST),
        doc="Take from h the element where x has the first largest of each window.",
    )
)

max_pool_indices: Op = register(
    Op(
        name="max_pool_indices",
        public=False,
        kind=Kind.OPAQUE,
        arity=2,
        kernel=_max_pool_indices_kernel,
        infer=lambda x, largest, **attrs: TensorType(largest.shape, np.int64),
        lowering=lower_max_indices,
        attrs=_ATTRS,
        operand_names=("x", "largest"),
        examples=tuple(example(x, y, **attrs) for x, y, attrs in _LARGEST),
        doc="Return where in its image, counted row by row, x has the first largest of each "
        "window, int64.",
    )
)


# the sum ------------------------------------------------------------------------------------------


@halves_in_float32(1)
def _sum_pool_kernel(x: Array, out: Array | None = None, **attrs: Any) -> Array:
    windows = pool_windows(f"avg_pool{len(attrs['kernel'])}d", x.shape, **attrs)
    return _finish(_pool(_pad(x, windows, 0), windows, np.add), x, out)


@halves_in_float32(1)
def _sum_pool_gradient_kernel(g: Array, *, shape: Any, **attrs: Any) -> Array:
    windows = pool_windows(f"avg_pool{len(attrs['kernel'])}d", shape, **attrs)
    padded = np.zeros(windows.padded_shape, g.dtype)
    for _, place in windows.offsets():
        padded[(slice(None), slice(None), *place)] += g
    return _crop(padded, windows)


def _sum_infer(x: TensorType, **attrs: Any) -> TensorType:
    return TensorType(
        pool_windows(f"avg_pool{len(attrs['kernel'])}d", x.shape, **attrs).result_shape, x.dtype
    )


sum_pool: Op = register(
    Op(
        name="sum_pool",
        public=False,
        kind=Kind.OPAQUE,
        arity=1,
        kernel=_sum_pool_kernel,
        infer=_sum_infer,
        lowering=lowered_in_float32(lower_pool("avg_pool", add, sum_, lambda _: 0)),
        vjp=(
            lambda g, _out, x_type, *, kernel, stride, padding, dilation: sum_pool_gradient(
                g, x_type.shape, kernel, stride, padding, dilation
            ),
        ),
        jvp=linear,
        attrs=_ATTRS,
        takes_out=True,
        examples=tuple(example(x.shape, **attrs) for x, attrs in _POOLINGS),
        doc="Return the sum of each window of images (n, c, ...), in their dtype.",
    )
)

sum_pool_gradient: Op = register(
    Op(
        name="sum_pool_gradient",
        public=False,
        kind=Kind.OPAQUE,
        arity=1,
        kernel=_sum_pool_gradient_kernel,
        infer=lambda g, *, shape, **_: TensorType(shape, g.dtype),
        lowering=lowered_in_float32(lower_sum_gradient),
        vjp=(
            lambda h, _out, _g, *, shape, kernel, stride, padding, dilation: sum_pool(
                h, kernel, stride, padding, dilation
            ),
        ),
        jvp=linear,
        attrs={"shape": ..., **_ATTRS},
        operand_names=("g",),
        examples=tuple(example(y.shape, shape=x.shape, **attrs) for x, y, attrs in _LARGEST),
        doc="Add each element of g to every element of its window: the gradient of sum_pool.",
    )
)
