"""Reductions over axes."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from math import prod as product
from typing import Any

import numpy as np

from oplibrary.core.batching import Rows
from oplibrary.core.op import Kind, Op, example
from oplibrary.core.registry import register
from oplibrary.core.rules import reduced_shape, reduction
from oplibrary.messages.errors import ArgumentError, DTypeError, ShapeError
from oplibrary.ops.arguments import Axis, normalize_shape
from oplibrary.ops.comparison import bitwise_or, equal, not_equal
from oplibrary.ops.elementwise import cast, where
from oplibrary.ops.kernels import in_float32
from oplibrary.ops.movement import broadcast_to, broadcast_to_infer, permute_dims, reshape
from oplibrary.ops.options import DTYPE
from oplibrary.ops.scan import exclusive_prod
from oplibrary.ops.slicing import flip
from oplibrary.tangents.families import linear
from oplibrary.values.dtypes import HALF
from oplibrary.values.types import (
    Array,
    Shape,
    TensorType,
    normalize_axes,
    normalize_axis,
    type_of_array,
)

BOOL = np.dtype(np.bool_)
INDEX = np.dtype(np.int64)
multiply_reduce: Any = np.multiply.reduce


@lru_cache(4096, typed=True)
def _aligned_shape(shape: Shape, axis: Axis) -> Shape:
    """Return the shape of a reduction's result from which it broadcasts back to `shape`."""
    axes = normalize_axes(axis, len(shape))
    kept = reduced_shape(shape, axis, True)
    # leading axes come back by broadcasting alone
    leading = 0
    while leading < len(shape) and leading in axes:
        leading += 1
    return kept[leading:]


def expand_reduced(g: Any, x_type: Any, axis: Axis, keepdims: bool) -> Any:
    """Return `g`, of the shape of a reduction's result, so that it broadcasts against the operand.

    `x_type` is the operand or its type. Reduced axes are back with length 1, except leading ones.
    """
    if keepdims:
        return g
    shape = _aligned_shape(x_type.shape, axis)
    return g if g.shape == shape else g.reshape(shape)


@lru_cache(4096, typed=True)
def count_reduced(shape: Shape, axis: Axis) -> int:
    """Return how many elements of `shape` a reduction over `axis` folds into one."""
    return product(shape[a] for a in normalize_axes(axis, len(shape)))


def refuse_axis(axis: Axis) -> None:
    """Refuse `axis` of a scalar, for which NumPy takes the axis of one element that is not there.

    Raises
    ------
    ShapeError
    """
    normalize_axes(axis, 0)


def _reduced_dtype(name: str, ufunc: np.ufunc) -> Any:
    """Return the rule for the dtype of ``ufunc.reduce``."""

    @lru_cache(64)
    def infer_dtype(dtype: np.dtype[Any]) -> np.dtype[Any]:
        try:
            result: np.dtype[Any] = ufunc.reduce(np.zeros(1, dtype)).dtype
        except TypeError:
            raise DTypeError(
                f"{name} is not defined for {dtype}",
                cause=f"NumPy has no {ufunc.__name__} for {dtype}",
            ) from None
        return result

    return infer_dtype


# untyped: NumPy's stubs know these arguments only by name, and by position they are quicker
add_reduce: Any = np.add.reduce


# sum and product ----------------------------------------------------------------------------------


def _sum(x: Array, out: Array | None = None, *, axis: Axis = None, keepdims: bool = False) -> Any:
    if x.dtype.char in HALF:
        return in_float32(_sum, (x,), out, {"axis": axis, "keepdims": keepdims})
    if axis is not None and not x.ndim:
        refuse_axis(axis)
    return add_reduce(x, axis, None, out, keepdims)


def spread_sum(g: Any, _out: Any, x_type: TensorType, *, axis: Axis, keepdims: bool) -> Any:
    """Return the gradient of a sum: that of the result for each element."""
    return broadcast_to(expand_reduced(g, x_type, axis, keepdims), shape=x_type.shape)


EXAMPLES = (
    example((3, 4)),
    example((3, 4), axis=0),
    example((3, 4), axis=-1, keepdims=True),
    example((2, 3, 4), axis=(0, 2)),
    example((2, 3, 4), axis=(0, 2), keepdims=True),
    example((2, 3, 4), axis=1),
    example((2, 3), axis=()),
    example(()),
)
EMPTY = (example((0, 3)), example((0, 3), axis=0))

sum = reduction(
    "sum",
    _sum,
    infer_dtype=_reduced_dtype("sum", np.add),
    vjp=spread_sum,
    combine="add",
    options=DTYPE,
    examples=EXAMPLES + EMPTY,
    doc="Sum the elements over `axis`. Of no elements it is 0.",
)


def _prod(x: Array, out: Array | None = None, *, axis: Axis = None, keepdims: bool = False) -> Any:
    if x.dtype.char in HALF:
        return in_float32(_prod, (x,), out, {"axis": axis, "keepdims": keepdims})
    if axis is not None and not x.ndim:
        refuse_axis(axis)
    return multiply_reduce(x, axis, None, out, keepdims)


def _prod_vjp(g: Any, _out: Any, x: Any, *, axis: Axis, keepdims: bool) -> Any:
    axes = normalize_axes(axis, x.ndim)
    g = expand_reduced(g, x, axis, keepdims)
    # the reduced axes last and merged, since "before" and "after" need an order
    order = tuple(i for i in range(x.ndim) if i not in axes) + axes
    moved_shape = tuple(x.shape[i] for i in order)
    kept = moved_shape[: x.ndim - len(axes)]
    line = permute_dims(x, axes=order).reshape((*kept, count_reduced(x.shape, axes)))
    # the product of all others, and not out / x: it holds where x is 0, to every order
    at = len(kept)
    others = exclusive_prod(line, at) * flip(exclusive_prod(flip(line, axis=at), at), axis=at)
    back = tuple(order.index(i) for i in range(x.ndim))
    return g * permute_dims(others.reshape(moved_shape), axes=back)


prod = reduction(
    "prod",
    _prod,
    infer_dtype=_reduced_dtype("prod", np.multiply),
    vjp=_prod_vjp,
    combine="multiply",
    options=DTYPE,
    examples=EXAMPLES + EMPTY,
    doc="Multiply the elements over `axis`. Of no elements it is 1.",
)


# extrema ------------------------------------------------------------------------------------------


def _extremum_vjp(g: Any, out: Any, x: Any, *, axis: Axis, keepdims: bool) -> Any:
    chosen = equal(x, expand_reduced(out, x, axis, keepdims))
    share = cast(chosen, dtype=g.dtype)
    count = sum(share, axis=axis, keepdims=True)
    return share * (expand_reduced(g, x, axis, keepdims) / count)


def _extremum(name: str, ufunc: np.ufunc, alias: str, doc: str) -> Op:
    reduce: Any = ufunc.reduce

    def kernel(
        x: Array, out: Array | None = None, *, axis: Axis = None, keepdims: bool = False
    ) -> Any:
        if axis is not None and not x.ndim:
            refuse_axis(axis)
        return reduce(x, axis, None, out, keepdims)

    return reduction(
        name,
        kernel,
        infer_dtype=_reduced_dtype(name, ufunc),
        vjp=_extremum_vjp,
        combine=name,
        alias=(alias,),
        examples=EXAMPLES,
        needs_elements=True,
        doc=doc,
    )


max = _extremum(
    "max",
    np.maximum,
    "amax",
    "Return the greatest element over `axis`, NaN if there is one. Ties share the gradient evenly.",
)
min = _extremum(
    "min",
    np.minimum,
    "amin",
    "Return the least element over `axis`, NaN if there is one. Ties share the gradient evenly.",
)


def _lower_position(extremum: Callable[..., Any], x: Any, axis: int | None, keepdims: bool) -> Any:
    """Return the least position at which the extremum stands."""
    shape = tuple(x.shape)
    if axis is None:
        line = x.reshape((product(shape),))
        found = _lower_position(extremum, line, 0, False)
        return found.reshape((1,) * len(shape)) if keepdims else found
    at = normalize_axis(axis, len(shape))
    numbers = np.arange(shape[at]).reshape((shape[at],) + (1,) * (len(shape) - at - 1))
    # an extremum that is NaN stands where x is NaN
    hits = bitwise_or(equal(x, extremum(x, axis=at, keepdims=True)), not_equal(x, x))
    return min(where(hits, numbers, shape[at]), axis=at, keepdims=keepdims)


def _position(name: str, find: Callable[..., Any], extremum: Callable[..., Any], doc: str) -> Op:
    """Register an op that returns where along one axis an extremum stands."""

    def kernel(
        x: Array, out: Array | None = None, *, axis: int | None = None, keepdims: bool = False
    ) -> Any:
        if not x.ndim or type(keepdims) is not bool:  # NumPy takes axis 0 and any truth value
            infer(type_of_array(x), axis=axis, keepdims=keepdims)
        return find(x, axis, out, keepdims)

    def infer(x: TensorType, *, axis: int | None = None, keepdims: bool = False) -> TensorType:
        if isinstance(axis, tuple):
            raise ArgumentError(
                f"{name}: axis must be one int or None, not {axis}",
                cause="a position along several axes is not one number",
                fix="reshape the axes into one first",
            )
        if axis is not None:
            normalize_axis(axis, x.ndim)
        if not count_reduced(x.shape, axis):
            raise ShapeError(
                f"{name} of no elements, shape {x.shape}, axis {axis}",
                cause="there is nothing to choose from",
                fix="check the length first",
            )
        return TensorType(reduced_shape(x.shape, axis, keepdims), INDEX)

    return register(
        Op(
            name=name,
            kind=Kind.REDUCTION,
            arity=1,
            kernel=kernel,
            infer=infer,
            attrs={"axis": None, "keepdims": False},
            lowering=lambda x, *, axis, keepdims: _lower_position(extremum, x, axis, keepdims),
            takes_out=True,
            examples=(
                example((3, 4)),
                example((3, 4), axis=0),
                example((2, 3, 4), axis=-1, keepdims=True),
                example((3, 4), keepdims=True),
                example(()),
            ),
            doc=doc,
        )
    )


argmax = _position(
    "argmax",
    lambda x, axis, out, keepdims: x.argmax(axis, out, keepdims=keepdims),
    max,
    "Return the position of the first greatest element along `axis`, or of the flattened operand.",
)
argmin = _position(
    "argmin",
    lambda x, axis, out, keepdims: x.argmin(axis, out, keepdims=keepdims),
    min,
    "Return the position of the first least element along `axis`, or of the flattened operand.",
)


# logic --------------------------------------------------------------------------------------------


def _predicate(name: str, ufunc: np.ufunc, combine: str, doc: str) -> Op:
    reduce: Any = ufunc.reduce

    def kernel(
        x: Array, out: Array | None = None, *, axis: Axis = None, keepdims: bool = False
    ) -> Any:
        if axis is not None and not x.ndim:
            refuse_axis(axis)
        return reduce(x, axis, None, out, keepdims)

    return reduction(
        name,
        kernel,
        infer_dtype=lambda _: BOOL,
        combine=combine,
        examples=EXAMPLES + EMPTY,
        doc=doc,
    )


all = _predicate(
    "all",
    np.logical_and,
    "and",
    "Tell whether all elements over `axis` are nonzero; of none, True.",
)
any = _predicate(
    "any",
    np.logical_or,
    "or",
    "Tell whether any element over `axis` is nonzero; of none, False.",
)


def _count_nonzero(
    x: Array, out: Array | None = None, *, axis: Axis = None, keepdims: bool = False
) -> Any:
    if axis is not None and not x.ndim:
        refuse_axis(axis)
    return add_reduce(x.astype(np.bool_, copy=False), axis, INDEX, out, keepdims)


count_nonzero = reduction(
    "count_nonzero",
    _count_nonzero,
    infer_dtype=lambda _: INDEX,
    lowering=lambda x, *, axis, keepdims: sum(cast(x, dtype=BOOL), axis=axis, keepdims=keepdims),
    examples=EXAMPLES + EMPTY,
    doc="Count the elements over `axis` that are not zero.",
)


# the gradient of broadcasting ---------------------------------------------------------------------


@lru_cache(4096)
def _broadcast_axes(shape: Shape, old: Shape) -> tuple[int, ...]:
    """Return the axes of `shape` that broadcasting from `old` enlarged or added."""
    broadcast_to_infer(TensorType(old), shape=shape)
    extra = len(shape) - len(old)
    return tuple(range(extra)) + tuple(
        i for i, n in enumerate(old, extra) if n == 1 and shape[i] != 1
    )


def _sum_to(x: Array, out: Array | None = None, *, shape: Any) -> Any:
    if x.dtype.char in HALF:
        return in_float32(_sum_to, (x,), out, {"shape": shape})
    if type(shape) is not tuple:
        shape = normalize_shape(shape)
    axes = _broadcast_axes(x.shape, shape)
    if out is None:
        if not axes:
            return x.reshape(shape).copy()
        return add_reduce(x, axes, x.dtype, None, True).reshape(shape)
    kept = out.reshape((1,) * (x.ndim - len(shape)) + shape)
    if axes:
        add_reduce(x, axes, x.dtype, kept, True)
    else:
        kept[...] = x
    return out


def _sum_to_infer(x: TensorType, *, shape: Any) -> TensorType:
    wanted = normalize_shape(shape)
    broadcast_to_infer(TensorType(wanted, x.dtype), shape=x.shape)
    return TensorType(wanted, x.dtype)


def _lower_sum_to(x: Any, *, shape: Any) -> Any:
    axes = _broadcast_axes(tuple(x.shape), tuple(shape))
    return reshape(cast(sum(x, axis=axes), dtype=x.dtype) if axes else x, shape=shape)


def _sum_to_rows(rows: Rows) -> Any:
    shape = rows.result().shape
    ones = (1,) * (rows.types[0].ndim - len(shape))
    found = sum_to(rows.operands[0], shape=(rows.size, *ones, *shape))
    return found.reshape((rows.size, *shape)) if ones else found


sum_to: Op = register(
    Op(
        name="sum_to",
        public=False,
        kind=Kind.REDUCTION,
        arity=1,
        kernel=_sum_to,
        infer=_sum_to_infer,
        vjp=(lambda g, _out, x_type, *, shape: broadcast_to(g, shape=x_type.shape),),
        jvp=linear,
        attrs={"shape": ...},
        lowering=_lower_sum_to,
        takes_out=True,
        examples=(
            example((2, 3, 4), shape=(3, 1)),
            example((2, 3), shape=()),
            example((2, 3), shape=(2, 3)),
            example((1, 3), shape=(3,)),
            example((0, 3), shape=(1, 3)),
        ),
        batch=_sum_to_rows,
        doc="Sum the axes that broadcasting from `shape` enlarged: the gradient of broadcast_to.",
    )
)
