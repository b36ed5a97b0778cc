"""Ops that repeat elements: a broadcast over new axes, which are then merged into the old ones."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from oplibrary.core.op import Kind, Op, example
from oplibrary.core.registry import FUNCTIONS, public, register
from oplibrary.messages.errors import ArgumentError, OutOfMemoryError, ShapeError
from oplibrary.ops.arguments import normalize_ints, operand_type, require_int
from oplibrary.ops.gather import take
from oplibrary.ops.movement import broadcast_to, reshape
from oplibrary.ops.reduction import sum_to
from oplibrary.values.types import Array, Shape, TensorType, normalize_axis


class Spread(NamedTuple):
    """Three shapes that make a repetition: reshape, broadcast, reshape.

    Attributes
    ----------
    source : tuple of int
        The operand with an axis of length 1 beside each axis that repeats.
    repeated : tuple of int
        The same with those axes enlarged.
    result : tuple of int
        The same with those axes merged.
    """

    source: Shape
    repeated: Shape
    result: Shape


def _spread(x: Array, out: Array | None, plan: Spread) -> Array:
    if out is None:
        out = np.empty(plan.result, x.dtype)
    # splitting axes is a view whatever the strides, so this writes into `out`
    out.reshape(plan.repeated)[...] = x.reshape(plan.source)
    return out


def _lower(x: Any, plan: Spread) -> Any:
    return broadcast_to(x.reshape(plan.source), shape=plan.repeated).reshape(plan.result)


def _gather(g: Any, x_type: TensorType, plan: Spread) -> Any:
    """Return the gradient of an operand: the sum over its copies."""
    return sum_to(g.reshape(plan.repeated), shape=plan.source).reshape(x_type.shape)


def _counts(value: Any, name: str) -> tuple[int, ...]:
    counts = normalize_ints(value, name)
    if any(n < 0 for n in counts):
        raise ArgumentError(
            f"{name} {value} is negative",
            cause="elements are repeated zero times or more",
            fix="use flip to reverse an axis",
        )
    return counts


def _tile_plan(shape: Shape, repetitions: Any) -> Spread:
    counts = _counts(repetitions, "repetitions")
    ndim = max(len(counts), len(shape))
    counts = (1,) * (ndim - len(counts)) + counts
    lengths = (1,) * (ndim - len(shape)) + shape
    pairs = list(zip(counts, lengths, strict=True))
    return Spread(
        tuple(n for _, length in pairs for n in (1, length)),
        tuple(n for pair in pairs for n in pair),
        tuple(count * length for count, length in pairs),
    )


tile = register(
    Op(
        name="tile",
        kind=Kind.MOVEMENT,
        arity=1,
        kernel=lambda x, out=None, *, repetitions: _spread(
            x, out, _tile_plan(x.shape, repetitions)
        ),
        infer=lambda x, *, repetitions: TensorType(
            _tile_plan(x.shape, repetitions).result, x.dtype
        ),
        vjp=(
            lambda g, _out, x_type, *, repetitions: _gather(
                g, x_type, _tile_plan(x_type.shape, repetitions)
            ),
        ),
        attrs={"repetitions": ...},
        lowering=lambda x, *, repetitions: _lower(x, _tile_plan(tuple(x.shape), repetitions)),
        takes_out=True,
        examples=(
            example((2, 3), repetitions=(2, 1)),
            example((2, 3), repetitions=2),
            example((3,), repetitions=(2, 2)),
            example((2, 1, 3), repetitions=(3, 2)),
            example((2,), repetitions=0),
            example((), repetitions=(2, 3)),
        ),
        doc="Lay copies of x side by side, `repetitions` times along each axis.",
    )
)


@lru_cache(1024, typed=True)
def _repeat_plan(shape: Shape, repeats: Any, axis: int | None) -> Spread:
    (count,) = _counts(require_int(repeats, "repeats"), "repeats")
    if axis is None:
        at, shape = 0, (math.prod(shape),)
    else:
        at = normalize_axis(axis, len(shape))
    before, length, after = shape[:at], shape[at], shape[at + 1 :]
    return Spread(
        (*before, length, 1, *after),
        (*before, length, count, *after),
        (*before, length * count, *after),
    )


_MOST = 2**48
"""More elements than any memory has."""


def _repeat(x: Array, out: Array | None = None, *, repeats: int, axis: int | None = None) -> Any:
    plan = _repeat_plan(x.shape, repeats, axis)
    # NumPy's repeat counts neither what overflows nor copies of nothing; what makes an array does
    if out is None and 0 < math.prod(plan.result) < _MOST:
        return x.repeat(repeats, axis)
    return _spread(x, out, plan)


_REPEAT = register(
    Op(
        name="repeat",
        kind=Kind.MOVEMENT,
        arity=1,
        kernel=_repeat,
        infer=lambda x, *, repeats, axis=None: TensorType(
            _repeat_plan(x.shape, repeats, axis).result, x.dtype
        ),
        vjp=(
            lambda g, _out, x_type, *, repeats, axis: _gather(
                g, x_type, _repeat_plan(x_type.shape, repeats, axis)
            ),
        ),
        attrs={"repeats": ..., "axis": None},
        lowering=lambda x, *, repeats, axis: _lower(x, _repeat_plan(tuple(x.shape), repeats, axis)),
        takes_out=True,
        examples=(
            example((2, 3), repeats=2),
            example((2, 3), repeats=3, axis=0),
            example((2, 3), repeats=2, axis=-1),
            example((2, 3), repeats=0, axis=1),
            example((), repeats=2),
        ),
        doc="Repeat each element `repeats` times along `axis`, or of the flattened operand.",
    )
)


@public
def repeat(x: Any, repeats: Any, axis: int | None = None) -> Any:
    """Repeat each element `repeats` times along `axis`, or of the flattened operand.

    Parameters
    ----------
    x : array
    repeats : int or sequence of int or integer array
        How often; one number for all elements, or one for each along the axis. The shape of the
        result follows from it, so in a graph it has to be known when the graph is declared.
    axis : int, optional

    Raises
    ------
    ArgumentError
        If a number is negative or no whole number.
    ShapeError
        If there are not as many numbers as elements along the axis.
    OutOfMemoryError
        If the result does not fit in memory.

    Examples
    --------
    >>> import numpy as np
    >>> repeat(np.array([1, 2, 3]), [2, 0, 1]).tolist()
    [1, 1, 3]
    """
    if type(repeats) is int:
        return _REPEAT(x, repeats=repeats, axis=axis)
    counts = _counts(repeats, "repeats")
    if len(counts) == 1:
        return _REPEAT(x, repeats=counts[0], axis=axis)
    if axis is None:
        x, axis = reshape(x, shape=(-1,)), 0
    length = operand_type("repeat", x).shape[normalize_axis(axis, len(x.shape))]
    if len(counts) != length:
        raise ShapeError(
            f"repeat: {len(counts)} numbers for {length} elements",
            cause="each element along the axis has a number of its own, or all have one",
            fix="pass one number, or one for each element",
        )
    if sum(counts) >= _MOST:
        raise OutOfMemoryError(f"repeat: {sum(counts)} elements along the axis")
    return take(x, np.repeat(np.arange(length), counts), axis=axis)


FUNCTIONS["repeat_interleave"] = repeat
