"""The matrix product, and the products made of it."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from string import ascii_uppercase
from typing import Any

import numpy as np

from oplibrary.core.batching import Rows
from oplibrary.core.op import Kind, Op, example
from oplibrary.core.registry import public, public_in, register
from oplibrary.core.rules import resolve_dtype
from oplibrary.messages.errors import ArgumentError, ShapeError
from oplibrary.ops.arguments import normalize_ints, operand_type
from oplibrary.ops.elementwise import add, cast, conj, multiply
from oplibrary.ops.kernels import halves_lowered, in_float32
from oplibrary.ops.movement import (
    expand_dims,
    matrix_transpose,
    moveaxis,
    permute_dims,
    reshape,
)
from oplibrary.ops.reduction import sum as sum_
from oplibrary.values.dtypes import HALF, promoted
from oplibrary.values.types import Array, Shape, TensorType, broadcast_shapes, normalize_axis

# matmul -------------------------------------------------------------------------------------------


def _matmul(x: Any, y: Any, out: Array | None = None) -> Any:
    if x.dtype.char in HALF or y.dtype.char in HALF:
        return in_float32(_matmul, (x, y), out)
    if y.ndim == 2 and x.ndim > 2:
        # one product of (rows, k) is up to 2.5 times as fast as one small product a batch entry
        rows, k = x.size // max(x.shape[-1], 1), x.shape[-1]
        if x.size and y.shape[0] == k:
            shape = (*x.shape[:-1], y.shape[1])
            if out is not None and out.flags.c_contiguous:
                np.matmul(x.reshape(rows, k), y, out.reshape(rows, y.shape[1]))
                return out
            result = np.matmul(x.reshape(rows, k), y).reshape(shape)
            if out is None:
                return result
            out[...] = result
            return out
    return np.matmul(x, y, out)


def _matmul_infer(x: TensorType, y: TensorType) -> TensorType:
    if not x.ndim or not y.ndim:
        raise ShapeError(
            f"matmul: {x.shape} @ {y.shape}: a scalar has no axis to sum over",
            cause="a matrix product sums the last axis of x against the second-to-last of y",
            fix="use multiply, or x * y, to scale by a scalar",
        )
    inner = y.shape[0] if y.ndim == 1 else y.shape[-2]
    if x.shape[-1] != inner:
        raise ShapeError(
            f"matmul: {x.shape} @ {y.shape}: inner lengths {x.shape[-1]} and {inner} differ",
            cause="the last axis of x is summed against "
            + ("the only axis of y" if y.ndim == 1 else "the second-to-last axis of y"),
            fix=_matmul_fix(x, y, inner),
        )
    shape: Shape = ()
    if x.ndim > 1 and y.ndim > 1:
        shape = broadcast_shapes(x.shape[:-2], y.shape[:-2])
    elif max(x.ndim, y.ndim) > 1:
        shape = x.shape[:-2] if x.ndim > 1 else y.shape[:-2]
    shape += x.shape[-2:-1] if x.ndim > 1 else ()
    shape += y.shape[-1:] if y.ndim > 1 else ()
    return TensorType(shape, resolve_dtype("matmul", np.matmul, (x, y)))


def _matmul_fix(x: TensorType, y: TensorType, inner: int) -> str:
    if y.ndim > 1 and y.shape[-1] == x.shape[-1]:
        return "transpose y: x @ matrix_transpose(y) fits"
    if x.ndim > 1 and x.shape[-2] == inner:
        return "transpose x: matrix_transpose(x) @ y fits"
    return "give both axes the same length"


def _rows(x: Any) -> Any:
    """Return `x` with every axis but the last one merged."""
    return x.reshape((prod(x.shape[:-1]), x.shape[-1]))


def _matmul_x_rule(g: Any, _out: Any, x_type: TensorType, y: Any) -> Any:
    if len(y.shape) == 1:
        return multiply(g if x_type.ndim == 1 else expand_dims(g, axis=-1), y)
    if x_type.ndim == 2 and len(y.shape) == 2:
        return g @ y.mT  # on arrays NumPy's own operator, the quickest way to the same product
    if x_type.ndim > 1:
        return matmul(g, matrix_transpose(y))
    if len(y.shape) == 2:
        return matmul(y, g)
    return matmul(y, expand_dims(g, axis=-1)).reshape(y.shape[:-1])


def _matmul_y_rule(g: Any, _out: Any, x: Any, y_type: TensorType) -> Any:
    if len(x.shape) == 1:
        if y_type.ndim == 1:
            return multiply(g, x)
        return multiply(expand_dims(x, axis=-1), expand_dims(g, axis=-2))
    if y_type.ndim == 1:
        return matmul(g.reshape((prod(g.shape),)), _rows(x))
    if y_type.ndim == 2 and len(x.shape) > 2:
        return matmul(matrix_transpose(_rows(x)), _rows(g))
    if len(x.shape) == 2 and y_type.ndim == 2:
        return x.mT @ g
    return matmul(matrix_transpose(x), g)


def _matmul_subscripts(x: TensorType, y: TensorType) -> str:
    left = "i" if x.ndim > 1 else ""
    right = "j" if y.ndim > 1 else ""
    # letters of the axes before the last two, aligned on the right
    letters = ascii_uppercase[: max(x.ndim, y.ndim, 2) - 2]
    x_batch = letters[len(letters) - max(x.ndim - 2, 0) :]
    y_batch = letters[len(letters) - max(y.ndim - 2, 0) :]
    return f"{x_batch}{left}k,{y_batch}k{right}->{letters}{left}{right}"


def _matmul_rows(rows: Rows) -> Any:
    rows.result()
    (x_batched, _), (x_type, y_type) = rows.batched, rows.types
    if x_batched and not rows.batched[1] and y_type.ndim == 2 and x_type.ndim < 3:
        return matmul(*rows.operands)  # one product for all
    ndim = max(x_type.ndim, y_type.ndim, 2)
    x, y = rows.operands
    if x_type.ndim == 1:
        x = expand_dims(x, axis=-2)
    if y_type.ndim == 1:
        y = expand_dims(y, axis=-1)
    x, y = (
        z.reshape((rows.size, *(1,) * (ndim - len(z.shape) + 1), *z.shape[1:])) if own else z
        for z, own in zip((x, y), rows.batched, strict=True)
    )
    return matmul(x, y).reshape((rows.size, *rows.result().shape))


matmul: Op = register(
    Op(
        name="matmul",
        kind=Kind.CONTRACTION,
        arity=2,
        kernel=_matmul,
        infer=_matmul_infer,
        contraction=_matmul_subscripts,
        lowering=halves_lowered("matmul"),
        vjp=(_matmul_x_rule, _matmul_y_rule),
        takes_out=True,
        examples=(
            example((3, 4), (4, 2)),
            example((4,), (4,)),
            example((3, 4), (4,)),
            example((4,), (4, 2)),
            example((2, 3, 4), (4, 5)),
            example((2, 3, 4), (2, 4, 5)),
            example((2, 1, 3, 4), (5, 4, 2)),
            example((2, 3, 4), (4,)),
            example((4,), (2, 4, 3)),
            example((0, 4), (4, 2)),
            example((3, 0), (0, 2)),
        ),
        namespaces=("", "linalg"),
        batch=_matmul_rows,
        doc="Return the matrix product, broadcasting the axes before the last two.",
    )
)


# products made of them ----------------------------------------------------------------------------


@public_in("", "linalg")
def outer(x: Any, y: Any) -> Any:
    """Return the products of every element of `x`, ``(n,)``, with every one of `y`, ``(m,)``.

    Raises
    ------
    ShapeError
        If an operand is not one-dimensional.
    """
    if len(x.shape) != 1 or len(y.shape) != 1:
        raise ShapeError(
            f"outer: shapes {x.shape} and {y.shape}, both must have one axis",
            cause="the outer product is defined for two vectors",
            fix="flatten with reshape(x, (-1,)), or use tensordot(x, y, axes=0)",
        )
    return multiply(x.reshape((x.shape[0], 1)), y)


@public_in("", "linalg")
def vecdot(x: Any, y: Any, axis: int = -1) -> Any:
    """Return the dot products of the vectors along `axis`; the other axes broadcast.

    Complex numbers of `x` are conjugated. The dtype is that of the product of two elements. Each
    operand counts `axis` among its own axes.

    Raises
    ------
    ShapeError
        If the vectors' lengths differ.
    """
    places = [normalize_axis(axis, len(each.shape)) - len(each.shape) for each in (x, y)]
    from_right = places[0]
    if places[0] != places[1]:  # of different numbers of axes, an axis counted from the left
        x, y = (moveaxis(each, at, -1) for each, at in zip((x, y), places, strict=True))
        from_right = -1
    if x.shape[from_right] != y.shape[from_right]:
        raise ShapeError(
            f"vecdot: shapes {x.shape} and {y.shape}: lengths {x.shape[from_right]} and "
            f"{y.shape[from_right]} along axis {axis} differ",
            cause="a dot product pairs the elements of two vectors of one length",
            fix="choose the axis that holds the vectors",
        )
    if x.dtype.kind == "c":
        x = conj(x)
    if len(x.shape) == len(y.shape) == 1:
        return matmul(x, y)
    total = sum_(multiply(x, y), axis=from_right)
    dtype = promoted(x.dtype, y.dtype)  # a sum is wider than its small integers, a dot is not
    return total if total.dtype == dtype else cast(total, dtype=dtype)


@public
def dot(x: Any, y: Any) -> Any:
    """Sum the products over the last axis of `x` and the second-to-last of `y`, as NumPy's ``dot``.

    Of two vectors it is their dot product, of two matrices their matrix product, with a scalar the
    product.
    """
    if not operand_type("dot", x).ndim or not operand_type("dot", y).ndim:
        return multiply(x, y)
    if len(x.shape) <= 2 and len(y.shape) <= 2:
        return matmul(x, y)
    return tensordot(x, y, axes=((-1,), (max(len(y.shape) - 2, 0),)))


@public_in("", "linalg")
def tensordot(x: Any, y: Any, axes: int | Sequence[int | Sequence[int]] = 2) -> Any:
    """Sum the products over the listed axes of `x` and `y`.

    Parameters
    ----------
    x : array
        Left operand.
    y : array
        Right operand.
    axes : int or (axes of x, axes of y)
        With an int, the last `axes` axes of `x` against the first of `y`.

    Returns
    -------
    array
        The remaining axes of `x`, then those of `y`.

    Raises
    ------
    ShapeError
        If paired axes differ in length or do not exist.
    """
    left, right = _tensordot_axes(axes, len(x.shape), len(y.shape))
    for a, b in zip(left, right):
        if x.shape[a] != y.shape[b]:
            raise ShapeError(
                f"tensordot: shapes {x.shape} and {y.shape}: axis {a} of x has length "
                f"{x.shape[a]}, axis {b} of y has {y.shape[b]}",
                cause="the axes that are summed together have one length",
                fix="list the axes in matching order",
            )
    kept_left = tuple(a for a in range(len(x.shape)) if a not in left)
    kept_right = tuple(b for b in range(len(y.shape)) if b not in right)
    size = prod(x.shape[a] for a in left)
    rows = tuple(x.shape[a] for a in kept_left)
    columns = tuple(y.shape[b] for b in kept_right)
    x = reshape(permute_dims(x, axes=kept_left + left), shape=(prod(rows), size))
    y = reshape(permute_dims(y, axes=right + kept_right), shape=(size, prod(columns)))
    return reshape(matmul(x, y), shape=rows + columns)


def _tensordot_axes(
    axes: int | Sequence[int | Sequence[int]], x_ndim: int, y_ndim: int
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    if isinstance(axes, (int, np.integer)):
        if not 0 <= axes <= min(x_ndim, y_ndim):
            raise ShapeError(
                f"tensordot: axes={axes} with operands of {x_ndim} and {y_ndim} axes",
                cause="an int counts the axes summed: the last of x, the first of y",
                fix=f"choose 0 to {min(x_ndim, y_ndim)}",
            )
        return tuple(range(x_ndim - axes, x_ndim)), tuple(range(axes))
    try:
        first, second = axes
    except (TypeError, ValueError):
        raise ArgumentError(
            f"tensordot: axes is {axes!r}",
            cause="it counts the axes that are summed, or lists those of x and those of y",
            fix="pass axes=1, or a pair such as axes=((1,), (0,))",
        ) from None
    left = tuple(normalize_axis(a, x_ndim) for a in normalize_ints(first, "axes of x"))
    right = tuple(normalize_axis(b, y_ndim) for b in normalize_ints(second, "axes of y"))
    if len(left) != len(right) or len(set(left)) < len(left) or len(set(right)) < len(right):
        raise ShapeError(
            f"tensordot: axes={axes!r} does not pair axes",
            cause="each listed axis of x is summed with one axis of y, each axis once",
            fix="list as many axes of x as of y",
        )
    return left, right


@public
def linear(x: Any, weight: Any, bias: Any = None) -> Any:
    """Apply an affine map, ``x @ weight.mT + bias``.

    Parameters
    ----------
    x : array
        Inputs along the last axis, ``(..., n)``.
    weight : array
        One row an output, ``(m, n)``.
    bias : array, optional
        One number an output, ``(m,)``.

    Returns
    -------
    array
        Outputs along the last axis, ``(..., m)``.

    Raises
    ------
    ShapeError
        If the last axis of `x` is not as long as a row of `weight`.
    """
    if len(weight.shape) != 2 or not len(x.shape) or x.shape[-1] != weight.shape[-1]:
        raise ShapeError(
            f"linear: x {x.shape} does not fit weight {weight.shape}",
            cause="weight is (outputs, inputs), and the last axis of x holds the inputs",
            fix="give x's last axis the length of weight's, or pass matrix_transpose(weight)",
        )
    result = matmul(x, matrix_transpose(weight))
    return result if bias is None else add(result, bias)
