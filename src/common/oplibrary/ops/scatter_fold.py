"""Elements folded into places that indices name: by maximum, minimum or product.

Where several go to one place they are folded in their order. Gradients are PyTorch's: of equal
extremes each has the same share, and the gradient of a factor is the product of all others, also
where elements are 0.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from oplibrary.core.batching import along_axis
from oplibrary.core.op import Kind, Op, example
from oplibrary.core.registry import register
from oplibrary.messages.errors import DTypeError
from oplibrary.ops.comparison import equal, greater, logical_not, logical_or
from oplibrary.ops.creation import ones_like
from oplibrary.ops.elementwise import cast, where
from oplibrary.ops.gather import (
    from_start,
    index_along,
    raise_out_of_range,
    take_along_axis,
    take_along_axis_gradient,
)
from oplibrary.ops.joining import concat
from oplibrary.ops.kernels import halves_in_float32
from oplibrary.ops.slicing import flip, slice_axis
from oplibrary.ops.sorting import argsort
from oplibrary.values.dtypes import REAL_FLOATING
from oplibrary.values.types import Array, TensorType

_FOLDS: dict[str, np.ufunc] = {"max": np.maximum, "min": np.minimum, "prod": np.multiply}


def _lowest_of(dtype: np.dtype[Any]) -> Any:
    """Return what no number of `dtype` is below."""
    if dtype.kind in REAL_FLOATING:
        return -np.inf
    return False if dtype.kind == "b" else int(np.iinfo(dtype).min)


def _highest_of(dtype: np.dtype[Any]) -> Any:
    if dtype.kind in REAL_FLOATING:
        return np.inf
    return True if dtype.kind == "b" else int(np.iinfo(dtype).max)


NEUTRAL: dict[str, Callable[[np.dtype[Any]], Any]] = {
    "max": _lowest_of,
    "min": _highest_of,
    "prod": lambda _: 1,
}
"""What each fold begins with, of a dtype."""


def _require_order(reduction: str, dtype: np.dtype[Any]) -> None:
    if dtype.kind == "c" and reduction != "prod":
        raise DTypeError(
            f"scatter_{reduction} is not defined for {dtype}",
            cause="it compares elements, and complex numbers have no order",
            fix="take it of the real part, or of the magnitude",
        )


@halves_in_float32(3, 1)
def _fold_kernel(
    x: Array, indices: Array, updates: Array, *, axis: int, reduction: str, include_self: bool
) -> Array:
    _require_order(reduction, x.dtype)
    places = from_start(indices, x.shape[axis])
    result = np.array(x, order="C")
    if not places.size:
        return result
    try:
        whole = np.broadcast_arrays(*index_along(x.shape, places, axis))
        flat = np.ravel_multi_index(whole, x.shape).reshape(-1)
    except ValueError:
        raise_out_of_range(f"scatter_{reduction}", x.shape, [indices], [axis])
    line = result.reshape(-1)
    if not include_self:
        line[flat] = NEUTRAL[reduction](x.dtype)
    _FOLDS[reduction].at(line, flat, updates.reshape(-1))
    return result


def _fold_infer(
    x: TensorType,
    indices: TensorType,
    updates: TensorType,
    *,
    axis: int,
    reduction: str,
    include_self: bool,
) -> TensorType:
    _require_order(reduction, x.dtype)
    return x


def _hits(x: Any, indices: Any, axis: int) -> Any:
    """Return how often an index points to each element of `x`."""
    ones = ones_like(indices, dtype=np.int64)
    return take_along_axis_gradient(ones, indices, shape=x.shape, axis=axis)


def _extreme_share(g: Any, out: Any, x: Any, indices: Any, updates: Any, attrs: Any) -> Any:
    """Return whether each element of `x`, and of the updates, is chosen, and the share of each."""
    axis = attrs["axis"]
    hit = greater(_hits(out, indices, axis), 0)
    own = equal(x, out) if attrs["include_self"] else logical_not(hit)
    own = cast(logical_or(own, logical_not(hit)), dtype=g.dtype)
    chosen = cast(equal(updates, take_along_axis(out, indices, axis=axis)), dtype=g.dtype)
    count = own + take_along_axis_gradient(chosen, indices, shape=x.shape, axis=axis)
    return own, chosen, g / count


def _others(updates: Any, indices: Any, axis: int) -> Any:
    """Return for each element the product of all others that go to the same place."""
    order = argsort(indices, axis=axis)
    back = argsort(order, axis=axis)
    line = take_along_axis(updates, order, axis=axis)
    places = take_along_axis(indices, order, axis=axis)
    before = _products_before(line, places, axis)
    after = flip(_products_before(flip(line, axis=axis), flip(places, axis=axis), axis), axis=axis)
    return take_along_axis(before * after, back, axis=axis)


def _products_before(line: Any, places: Any, axis: int) -> Any:
    """Return the product of the elements before each one among those of the same place.

    By doubling (Hillis and Steele, 1986): no step multiplies across places, so that what is
    infinite or NaN stays in its own, and none divides.
    """
    length = line.shape[axis]

    def part(x: Any, start: int, stop: int) -> Any:
        return slice_axis(x, start=start, stop=stop, axis=axis)

    one = ones_like(part(line, 0, 1))
    if length == 1:
        return one
    same = equal(part(places, 1, length), part(places, 0, length - 1))
    open_ = concat([equal(one, 0), same], axis=axis)
    products = concat([one, where(same, part(line, 0, length - 1), 1)], axis=axis)
    reach = 1
    while reach < length:
        earlier, later = part(products, 0, length - reach), part(products, reach, length)
        going_on = part(open_, reach, length)
        products = concat(
            [part(products, 0, reach), where(going_on, earlier, 1) * later], axis=axis
        )
        open_ = concat(
            [part(open_, 0, reach), going_on & part(open_, 0, length - reach)], axis=axis
        )
        reach *= 2
    return products


def _x_rule(g: Any, out: Any, x: Any, indices: Any, updates: Any, **attrs: Any) -> Any:
    if attrs["reduction"] != "prod":
        own, _, share = _extreme_share(g, out, x, indices, updates, attrs)
        return own * share
    if not attrs["include_self"]:
        return where(greater(_hits(g, indices, attrs["axis"]), 0), 0.0, g)
    return g * scatter_fold(ones_like(x), indices, updates, **attrs)


def _updates_rule(g: Any, out: Any, x: Any, indices: Any, updates: Any, **attrs: Any) -> Any:
    axis = attrs["axis"]
    if not updates.shape[axis]:
        return updates * 0.0
    if attrs["reduction"] != "prod":
        _, chosen, share = _extreme_share(g, out, x, indices, updates, attrs)
        return chosen * take_along_axis(share, indices, axis=axis)
    gathered = take_along_axis(g * x if attrs["include_self"] else g, indices, axis=axis)
    return gathered * _others(updates, indices, axis)


scatter_fold: Op = register(
    Op(
        name="scatter_fold",
        public=False,
        kind=Kind.OPAQUE,
        arity=3,
        routine="oplibrary.machine.routines.folding:extremes_and_products",
        kernel=_fold_kernel,
        infer=_fold_infer,
        vjp=(_x_rule, None, _updates_rule),
        attrs={"axis": ..., "reduction": ..., "include_self": True},
        operand_names=("x", "indices", "updates"),
        examples=(
            example((4,), np.array([1, 1, -1]), (3,), axis=0, reduction="max"),
            example((4,), np.array([1, 1, 3]), (3,), axis=0, reduction="min", include_self=False),
            example((4,), np.array([1, 1, 0, 1]), (4,), axis=0, reduction="prod"),
            example(
                (2, 3),
                np.array([[2, 0, 2, 2], [1, 1, 0, 1]]),
                (2, 4),
                axis=1,
                reduction="prod",
                include_self=False,
            ),
            example((2, 3), np.zeros((0, 3), np.int64), (0, 3), axis=0, reduction="max"),
        ),
        batch=along_axis,
        doc="Fold each element of `updates` into x at its index along `axis`, by `reduction`.",
    )
)
