"""Ops that order elements, and those whose shape depends on the elements."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from oplibrary.core.batching import along_axis
from oplibrary.core.op import Kind, Op, example
from oplibrary.core.registry import public, register
from oplibrary.messages.errors import ArgumentError, DataDependentShapeError, DTypeError, ShapeError
from oplibrary.ops.arguments import operand_type, require_flag, require_int
from oplibrary.ops.gather import take_along_axis
from oplibrary.ops.joining import unstack
from oplibrary.ops.options import STABLE
from oplibrary.ops.slicing import slice_axis
from oplibrary.tangents.families import Push
from oplibrary.values.dtypes import FLOAT32, is_bfloat16, is_numeric
from oplibrary.values.types import Array, TensorType, normalize_axis, type_of_array

ORDER_EXAMPLES = (
    example((5,)),
    example((3, 4), axis=0),
    example((3, 4), axis=-1, descending=True),
    example((2, 3, 4), axis=1),
    example((0, 3)),
)


def _reverse(ndim: int, axis: int) -> tuple[slice, ...]:
    """Return the index that reverses `axis`."""
    return (slice(None),) * (axis % ndim) + (slice(None, None, -1),)


def in_order(x: Array) -> Array:
    """Return an array that NumPy puts in order, NaN last: of bfloat16 it places NaN anywhere."""
    return x.astype(FLOAT32) if is_bfloat16(x.dtype) else x


def _check_order(name: str, x: TensorType, axis: Any, descending: Any = False) -> None:
    require_flag(descending, "descending")
    if type(axis) is bool:  # no axis, of a scalar too
        normalize_axis(axis, x.ndim)
    if x.ndim == 0:
        raise ShapeError(
            f"{name} of a scalar",
            cause="there is no axis to order",
            fix="reshape it to one axis first",
        )
    normalize_axis(axis, x.ndim)
    if not is_numeric(x.dtype):
        raise DTypeError(f"{name} is not defined for {x.dtype}")


def _sort(x: Array, out: Array | None = None, *, axis: int = -1, descending: bool = False) -> Any:
    if type(axis) is not int:  # NumPy reads a bool as an axis
        axis = normalize_axis(axis, x.ndim)
    dtype = x.dtype
    x = in_order(x)
    if x.dtype != dtype:
        found = _sort(x, axis=axis, descending=descending).astype(dtype)
        if out is None:
            return found
        out[...] = found
        return out
    if out is None:
        out = np.empty(x.shape, x.dtype)
    out[...] = x
    out.sort(axis)
    if require_flag(descending, "descending"):
        out[...] = out[_reverse(x.ndim, axis)]
    return out


def _sort_infer(x: TensorType, *, axis: int = -1, descending: bool = False) -> TensorType:
    _check_order("sort", x, axis, descending)
    return x


def _sort_vjp(g: Any, _out: Any, x: Any, *, axis: int, descending: bool) -> Any:
    # the inverse of a permutation is its argsort
    order = argsort(x, axis=axis, descending=descending)
    return take_along_axis(g, argsort(order, axis=axis), axis=axis)


def _sort_jvp(push: Push) -> Any:
    (x,), (t,) = push.operands, push.tangents
    return take_along_axis(t, argsort(x, **push.attrs), axis=push.attrs["axis"])


sort = register(
    Op(
        name="sort",
        kind=Kind.OPAQUE,
        arity=1,
        kernel=_sort,
        infer=_sort_infer,
        vjp=(_sort_vjp,),
        jvp=_sort_jvp,
        attrs={"axis": -1, "descending": False},
        options=STABLE,
        routine="oplibrary.machine.routines.sorting:values",
        takes_out=True,
        examples=ORDER_EXAMPLES,
        batch=along_axis,
        doc="Order the elements along `axis`. NaN counts as the greatest number.",
    )
)


def _argsort(x: Array, *, axis: int = -1, descending: bool = False) -> Any:
    if not x.ndim:
        _check_order("argsort", type_of_array(x), axis, descending)
    axis = normalize_axis(axis, x.ndim)
    x = in_order(x)
    if not require_flag(descending, "descending"):
        return x.argsort(axis, "stable")
    # ordered backwards and read backwards, so that equal elements keep their order
    reverse = _reverse(x.ndim, axis)
    return x.shape[axis] - 1 - x[reverse].argsort(axis, "stable")[reverse]


def _argsort_infer(x: TensorType, *, axis: int = -1, descending: bool = False) -> TensorType:
    _check_order("argsort", x, axis, descending)
    return TensorType(x.shape, np.int64)


argsort = register(
    Op(
        name="argsort",
        kind=Kind.OPAQUE,
        arity=1,
        kernel=_argsort,
        infer=_argsort_infer,
        attrs={"axis": -1, "descending": False},
        options=STABLE,
        routine="oplibrary.machine.routines.sorting:indices",
        examples=ORDER_EXAMPLES,
        batch=along_axis,
        doc="Return the indices that order the elements along `axis`; equal elements keep their "
        "order.",
    )
)


@public
def topk(x: Any, k: int, axis: int = -1, largest: bool = True) -> tuple[Any, Any]:
    """Return the `k` greatest elements along an axis, in order, and their indices.

    Parameters
    ----------
    x : array
    k : int
    axis : int
    largest : bool
        False takes the least elements instead.

    Returns
    -------
    values, indices : array
        Along `axis` of length `k`. The first of equal elements comes first.

    Raises
    ------
    ArgumentError
        If the axis has fewer than `k` elements.

    Examples
    --------
    >>> values, indices = topk(np.array([3, 1, 4, 1, 5]), 2)
    >>> values.tolist(), indices.tolist()
    ([5, 4], [4, 2])
    """
    given = operand_type("topk", x)
    _check_order("topk", given, axis)
    length = given.shape[axis]
    if not 0 <= require_int(k, "k") <= length:
        raise ArgumentError(
            f"topk: k {k} is out of range for axis {axis} of {given.shape}",
            cause=f"the axis has {length} elements",
            fix=f"choose k from 0 to {length}",
        )
    order = argsort(x, axis=axis, descending=require_flag(largest, "largest"))
    indices = slice_axis(order, start=0, stop=int(k), axis=axis)
    return take_along_axis(x, indices, axis=axis), indices


# shapes that depend on the data -------------------------------------------------------------------


def _argwhere(x: Array) -> Any:
    if x.ndim == 0:
        return np.zeros((1 if x else 0, 0), np.int64)
    return np.array(x.nonzero(), np.int64).T


def _argwhere_infer(x: TensorType) -> TensorType:
    raise DataDependentShapeError(
        f"nonzero: how many of the {x.size} elements of {x} are nonzero depends on the data"
    )


argwhere = register(
    Op(
        name="argwhere",
        kind=Kind.OPAQUE,
        arity=1,
        kernel=_argwhere,
        infer=_argwhere_infer,
        doc="Return the indices of the nonzero elements, one row an element, in row-major order.",
    )
)


@public
def nonzero(x: Any) -> tuple[Any, ...]:
    """Return the indices of the nonzero elements, in row-major order.

    Parameters
    ----------
    x : array
        With one axis or more.

    Returns
    -------
    tuple of array
        The indices along each axis, int64.

    Raises
    ------
    ShapeError
        If `x` is a scalar.
    DataDependentShapeError
        If `x` is a static value.

    Examples
    --------
    >>> [index.tolist() for index in nonzero(np.array([[0, 1], [2, 0]]))]
    [[0, 1], [1, 0]]
    """
    if operand_type("nonzero", x).ndim == 0:
        raise ShapeError(
            "nonzero of a scalar",
            cause="its indices would have no axis to count along",
            fix="reshape it to one axis first",
        )
    found: tuple[Any, ...] = unstack(argwhere(x), axis=1)
    return found


def _unique_values_infer(x: TensorType) -> TensorType:
    raise DataDependentShapeError(
        f"how many of the {x.size} elements of {x} differ depends on the data"
    )


unique_values = register(
    Op(
        name="unique_values",
        kind=Kind.OPAQUE,
        arity=1,
        kernel=lambda x: np.unique(x, equal_nan=False),
        infer=_unique_values_infer,
        alias=("unique",),
        doc="Return the distinct elements in ascending order; NaN is distinct from itself.",
    )
)


class UniqueAll(NamedTuple):
    """The distinct elements, where each stands first, what makes `x` of them, and how often."""

    values: Any
    indices: Any
    inverse_indices: Any
    counts: Any


class UniqueCounts(NamedTuple):
    """The distinct elements, and how often each occurs."""

    values: Any
    counts: Any


class UniqueInverse(NamedTuple):
    """The distinct elements, and what makes `x` of them."""

    values: Any
    inverse_indices: Any


def _unique_parts(x: Array) -> tuple[Any, ...]:
    return tuple(np.unique(x, True, True, True, equal_nan=False))


_UNIQUE = register(
    Op(
        name="_unique_parts",
        public=False,
        kind=Kind.OPAQUE,
        arity=1,
        kernel=_unique_parts,
        infer=_unique_values_infer,
        doc="Return the four results of unique_all.",
    )
)


@public
def unique_all(x: Any) -> UniqueAll:
    """Return the distinct elements in ascending order, with where they stand.

    Parameters
    ----------
    x : array
        NaN is distinct from itself.

    Returns
    -------
    values : array, (k,)
    indices : array, (k,)
        Where in the flattened `x` each stands first.
    inverse_indices : array
        Of the shape of `x`: ``take(values, inverse_indices)`` is `x`.
    counts : array, (k,)

    Raises
    ------
    DataDependentShapeError
        If `x` is a static value.

    Examples
    --------
    >>> [part.tolist() for part in unique_all(np.array([3, 1, 3]))]
    [[1, 3], [1, 0], [1, 0, 1], [1, 2]]
    """
    operand_type("unique_all", x)
    return UniqueAll(*_UNIQUE(x))


@public
def unique_counts(x: Any) -> UniqueCounts:
    """Return the distinct elements in ascending order and how often each occurs; see `unique_all`.

    Examples
    --------
    >>> values, counts = unique_counts(np.array([3, 1, 3]))
    >>> values.tolist(), counts.tolist()
    ([1, 3], [1, 2])
    """
    operand_type("unique_counts", x)
    values, _, _, counts = _UNIQUE(x)
    return UniqueCounts(values, counts)


@public
def unique_inverse(x: Any) -> UniqueInverse:
    """Return the distinct elements in ascending order and what makes `x` of them.

    Examples
    --------
    >>> values, inverse = unique_inverse(np.array([3, 1, 3]))
    >>> values.tolist(), inverse.tolist()
    ([1, 3], [1, 0, 1])
    """
    operand_type("unique_inverse", x)
    values, _, inverse, _ = _UNIQUE(x)
    return UniqueInverse(values, inverse)
