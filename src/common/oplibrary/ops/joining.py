"""Ops that join arrays and take them apart again."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np

from oplibrary.core.batching import Rows
from oplibrary.core.op import Kind, Op, example
from oplibrary.core.registry import FUNCTIONS, public, register
from oplibrary.messages.errors import ArgumentError, ShapeError
from oplibrary.ops.arguments import normalize_ints, operand_type, require_steps
from oplibrary.ops.numbers import number_array
from oplibrary.ops.slicing import index_axis, slice_axis
from oplibrary.values.dtypes import promoted
from oplibrary.values.types import Array, TensorType, normalize_axis, number_kind


def _sequence(function: str, arrays: Any) -> tuple[Any, ...]:
    """Return `arrays` as a tuple of one operand or more."""
    try:
        operands = tuple(arrays)
    except TypeError:
        operands = ()
    if operands:
        return operands
    raise ArgumentError(
        f"{function}: needs a sequence of one array or more, not {arrays!r}",
        cause="there is nothing to join",
        fix=f"pass the arrays as one tuple: {function}((a, b), axis=0)",
    )


def _common_dtype(types: Sequence[TensorType]) -> np.dtype[Any]:
    return promoted(*(t.dtype for t in types))


# joining along an axis that exists ----------------------------------------------------------------


def _concat_infer(*types: TensorType, axis: int | None = 0) -> TensorType:
    _sequence("concat", types)
    if axis is None:
        return TensorType((sum(t.size for t in types),), _common_dtype(types))
    first = types[0].shape
    if not first:
        raise ShapeError(
            "concat: a scalar has no axis to join along",
            cause="concat makes an axis longer, it adds none",
            fix="use stack, or axis=None to flatten first",
        )
    at = normalize_axis(axis, len(first))
    for position, t in enumerate(types):
        if len(t.shape) != len(first) or t.shape[:at] + t.shape[at + 1 :] != (
            first[:at] + first[at + 1 :]
        ):
            raise ShapeError(
                f"concat: shapes {first} and {t.shape} of operands 0 and {position} "
                f"do not fit along axis {at}",
                cause="every axis but the joined one must have the same length in all operands",
                fix="pad, slice or expand_dims the operand, or choose another axis",
            )
    total = sum(t.shape[at] for t in types)
    return TensorType((*first[:at], total, *first[at + 1 :]), _common_dtype(types))


def _concat_vjp(
    position: int, g: Any, _out: Any, *operand_types: TensorType, axis: int | None
) -> Any:
    before, own = operand_types[:position], operand_types[position]
    if axis is None:
        start = sum(t.size for t in before)
        return slice_axis(g, start=start, stop=start + own.size).reshape(own.shape)
    at = normalize_axis(axis, own.ndim)
    start = sum(t.shape[at] for t in before)
    return slice_axis(g, start=start, stop=start + own.shape[at], axis=at)


def _concat_rows(rows: Rows) -> Any:
    rows.result()
    whole = [rows.whole(i) for i in range(len(rows.operands))]
    if rows.attrs["axis"] is None:
        flat = [x.reshape((rows.size, t.size)) for x, t in zip(whole, rows.types, strict=True)]
        return _concat(*flat, axis=1)
    return _concat(*whole, axis=normalize_axis(rows.attrs["axis"], rows.types[0].ndim) + 1)


def _joined(arrays: Sequence[Array], axis: int) -> Any:
    try:
        return np.concatenate(arrays, axis)
    except TypeError:  # dtypes that NumPy does not promote
        return np.concatenate(arrays, axis, dtype=promoted(*arrays))


_concat: Op = register(
    Op(
        name="concat",
        kind=Kind.MOVEMENT,
        arity=None,
        kernel=lambda *arrays, axis=0: _joined(arrays, axis),
        infer=_concat_infer,
        vjp=_concat_vjp,
        attrs={"axis": 0},
        alias=("cat",),
        examples=(
            example((2, 3), (4, 3)),
            example((2, 3), (2, 1), (2, 2), axis=-1),
            example((2, 3), (2,), (), axis=None),
            example((0, 3), (2, 3)),
            example((3,)),
        ),
        batch=_concat_rows,
        doc="Join arrays along an axis that they have.",
    )
)


@public
def concat(arrays: Sequence[Any], axis: int | None = 0) -> Any:
    """Join arrays along an axis that they have.

    Parameters
    ----------
    arrays : sequence of array
        Equal in shape but for the joined axis; the dtypes are promoted.
    axis : int or None
        None flattens each operand first.

    Raises
    ------
    ShapeError
        If the other axes differ, or there is no such axis.
    ArgumentError
        If there is nothing to join.

    Examples
    --------
    >>> concat((np.zeros((2, 3)), np.ones((1, 3)))).shape
    (3, 3)
    """
    return _concat(*_sequence("concat", arrays), axis=axis)


FUNCTIONS["cat"] = FUNCTIONS["concatenate"] = concat


# joining along a new axis -------------------------------------------------------------------------


def _stack_kernel(*arrays: Array, axis: int = 0) -> Any:
    shape = arrays[0].shape
    at = normalize_axis(axis, len(shape) + 1)
    for array in arrays:
        if array.shape != shape:
            raise ValueError("all operands must have the same shape")
    if at == len(shape):
        return _joined([a.reshape((*shape, 1)) for a in arrays], at)
    # joined along the axis that follows, then cut: one reshape in place of one an operand
    return _joined(arrays, at).reshape((*shape[:at], len(arrays), *shape[at:]))


def _stack_infer(*types: TensorType, axis: int = 0) -> TensorType:
    _sequence("stack", types)
    first = types[0].shape
    at = normalize_axis(axis, len(first) + 1)
    for position, t in enumerate(types):
        if t.shape != first:
            raise ShapeError(
                f"stack: shapes {first} and {t.shape} of operands 0 and {position} differ",
                cause="the operands become equal slices of one array",
                fix="pad or slice them to one shape, or use concat to join along an axis they have",
            )
    return TensorType((*first[:at], len(types), *first[at:]), _common_dtype(types))


def _stack_rows(rows: Rows) -> Any:
    axis = normalize_axis(rows.attrs["axis"], rows.result().ndim) + 1
    return _stack(*[rows.whole(i) for i in range(len(rows.operands))], axis=axis)


_stack: Op = register(
    Op(
        name="stack",
        kind=Kind.MOVEMENT,
        arity=None,
        kernel=_stack_kernel,
        infer=_stack_infer,
        vjp=lambda position, g, _out, *_operands, axis: index_axis(g, index=position, axis=axis),
        attrs={"axis": 0},
        examples=(
            example((2, 3), (2, 3)),
            example((2, 3), (2, 3), (2, 3), axis=1),
            example((3,), (3,), axis=-1),
            example((), ()),
            example((0, 2), (0, 2), axis=1),
        ),
        batch=_stack_rows,
        doc="Join arrays of one shape along a new axis.",
    )
)


@public
def stack(arrays: Sequence[Any], axis: int = 0) -> Any:
    """Join arrays of one shape along a new axis.

    Parameters
    ----------
    arrays : sequence of array
    axis : int
        Where the new axis stands in the result.

    Raises
    ------
    ShapeError
        If the shapes differ, or there is no such axis.
    ArgumentError
        If there is nothing to join.

    Examples
    --------
    >>> stack((np.zeros(3), np.ones(3)), axis=1).shape
    (3, 2)
    """
    operands = _sequence("stack", arrays)
    if all(number_kind(x) is not None for x in operands):  # each has the dtype of a number alone
        operands = tuple([number_array(x, operand_type("stack", x).dtype) for x in operands])
    return _stack(*operands, axis=axis)


# taking apart -------------------------------------------------------------------------------------


@public
def split(x: Any, sections: int | Sequence[int], axis: int = 0) -> tuple[Any, ...]:
    """Cut an array into parts along an axis.

    Parameters
    ----------
    x : array
    sections : int or sequence of int
        An int is the number of equal parts, as in NumPy; a sequence holds the length of each part,
        as in PyTorch.
    axis : int

    Returns
    -------
    tuple of array

    Raises
    ------
    ShapeError
        If the parts do not add up to the axis.

    Examples
    --------
    >>> [part.shape for part in split(np.ones((6, 2)), (1, 2, 3))]
    [(1, 2), (2, 2), (3, 2)]
    """
    shape = operand_type("split", x).shape
    at = normalize_axis(axis, len(shape))
    length = shape[at]
    lengths = normalize_ints(sections, "sections")
    if not hasattr(sections, "__len__"):
        count = require_steps(lengths[0], "sections")
        if count < 1 or length % count:
            raise ShapeError(
                f"split: axis {at} of length {length} cannot be cut into {count} equal parts",
                cause=f"{length} is not a multiple of {count}"
                if count > 0
                else "there must be one part or more",
                fix="pass the length of each part instead, as a tuple",
            )
        lengths = (length // count,) * count
    if any(n < 0 for n in lengths) or sum(lengths) != length:
        raise ShapeError(
            f"split: parts of {lengths} do not make up axis {at} of length {length}",
            cause=f"the parts sum to {sum(lengths)}",
            fix="every position belongs to one part: adjust the lengths",
        )
    stops = itertools.accumulate(lengths)
    return tuple(
        slice_axis(x, start=stop - n, stop=stop, axis=at)
        for n, stop in zip(lengths, stops, strict=True)
    )


@public
def unstack(x: Any, axis: int = 0) -> tuple[Any, ...]:
    """Cut an array into its positions along an axis, which disappears.

    Parameters
    ----------
    x : array
    axis : int

    Returns
    -------
    tuple of array

    Raises
    ------
    ShapeError
        If there is no such axis.
    OutOfMemoryError
        If it has more positions than arrays can be made, empty ones too.

    Examples
    --------
    >>> [row.tolist() for row in unstack(np.array([[1, 2], [3, 4]]))]
    [[1, 2], [3, 4]]
    """
    shape = operand_type("unstack", x).shape
    at = normalize_axis(axis, len(shape))
    count = require_steps(shape[at], "unstack: the length of the axis")
    return tuple(index_axis(x, index=i, axis=at) for i in range(count))


FUNCTIONS["unbind"] = unstack
