"""Powers, products and functions of matrices."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np

from oplibrary.core.batching import trailing
from oplibrary.core.op import Kind, Op
from oplibrary.core.registry import public_in, register
from oplibrary.messages.errors import ArgumentError, ShapeError
from oplibrary.ops.arguments import normalize_ints, operand_type, require_int
from oplibrary.ops.creation import ones_like, zeros_like
from oplibrary.ops.diagonal import diagonal
from oplibrary.ops.joining import concat
from oplibrary.ops.linalg import matmul
from oplibrary.ops.matrices import (
    Conjugating,
    adjoint,
    given,
    matrix_dtype,
    on_diagonal,
    part,
    require_square,
)
from oplibrary.ops.movement import expand_dims, moveaxis, reshape, squeeze
from oplibrary.ops.solving import SQUARE_EXAMPLES, inv, solve
from oplibrary.values.types import Array, TensorType, type_of

# powers -------------------------------------------------------------------------------------------


@public_in("linalg")
def matrix_power(x: Any, n: int) -> Any:
    """Return square matrices to the power of a whole number, by repeated squaring.

    Parameters
    ----------
    x : array, (..., m, m)
    n : int
        0 gives identity matrices, a negative power that of the inverses.

    Raises
    ------
    LinAlgError
        If a matrix without an inverse is raised to a negative power.
    MatrixShapeError
        If `x` holds no square matrices.
    ArgumentError
        If `n` is no int.

    Examples
    --------
    >>> matrix_power(np.array([[1, 1], [0, 1]]), 5).tolist()
    [[1, 5], [0, 1]]
    """
    require_square("matrix_power", operand_type("matrix_power", x))
    if isinstance(n, bool):
        raise ArgumentError(
            f"matrix_power: n must be an int, not {n!r}",
            cause="it counts the factors",
            fix="pass a number, such as n=2",
        )
    n = require_int(n, "n")
    if n == 0:
        return on_diagonal(ones_like(diagonal(x)), x)
    square = inv(x) if n < 0 else x
    result = None
    n = abs(n)
    while True:
        if n % 2:
            result = square if result is None else matmul(result, square)
        n //= 2
        if not n:
            return result
        square = matmul(square, square)


@public_in("linalg")
def multi_dot(arrays: Sequence[Any]) -> Any:
    """Return the product of two matrices or more, multiplied in the cheapest order.

    The order is found by dynamic programming (T. Cormen et al., "Introduction to algorithms",
    section 15.2).

    Parameters
    ----------
    arrays : sequence of array, (n, m)
        The first and the last one may be vectors.

    Raises
    ------
    ArgumentError
        If there are fewer than two.
    ShapeError
        If one is no matrix, or neighbours do not fit.

    Examples
    --------
    >>> multi_dot([np.ones((2, 3)), np.ones((3, 4)), np.ones(4)]).tolist()
    [12.0, 12.0]
    """
    if not isinstance(arrays, (list, tuple)) or len(arrays) < 2:
        raise ArgumentError(
            "multi_dot: it needs a list of two arrays or more",
            cause="a product has two factors at least",
            fix="pass them as one list: multi_dot([a, b, c])",
        )
    factors = list(arrays)
    ends = [operand_type("multi_dot", factors[at]).ndim == 1 for at in (0, -1)]
    if ends[0]:
        factors[0] = expand_dims(factors[0], axis=0)
    if ends[1]:
        factors[-1] = expand_dims(factors[-1], axis=-1)
    shapes = [operand_type("multi_dot", each).shape for each in factors]
    for number, shape in enumerate(shapes):
        if len(shape) != 2:
            raise ShapeError(
                f"multi_dot: array {number} has shape {shape}",
                cause="the factors are matrices; the first and the last may be vectors",
                fix="use matmul for stacks of matrices",
            )
    result = _chained(factors, _splits(shapes), 0, len(factors) - 1)
    for end, axis in zip(ends, (0, -1)):
        result = squeeze(result, axis=axis) if end else result
    return result


def _splits(shapes: list[tuple[int, ...]]) -> dict[tuple[int, int], int]:
    """Return where each product of neighbours, from one factor to another, is split best."""
    lengths = [shapes[0][0], *[shape[1] for shape in shapes]]
    count = len(shapes)
    costs = dict.fromkeys([(i, i) for i in range(count)], 0)
    splits = {}
    for span in range(1, count):
        for first in range(count - span):
            last = first + span
            costs[first, last], splits[first, last] = min(
                (
                    costs[first, at]
                    + costs[at + 1, last]
                    + lengths[first] * lengths[at + 1] * lengths[last + 1],
                    at,
                )
                for at in range(first, last)
            )
    return splits


def _chained(factors: list[Any], splits: dict[tuple[int, int], int], first: int, last: int) -> Any:
    if first == last:
        return factors[first]
    at = splits[first, last]
    return matmul(_chained(factors, splits, first, at), _chained(factors, splits, at + 1, last))


# the exponential ----------------------------------------------------------------------------------


def _expm(x: Array, out: Array | None = None) -> Any:
    from scipy.linalg import expm as exponential

    require_square("expm", type_of(x))
    dtype = matrix_dtype("expm", type_of(x))
    if not x.size:
        return given(np.zeros(x.shape, dtype), out)
    return given(exponential(x.astype(dtype)).astype(dtype, copy=False), out)


def _expm_infer(x: TensorType) -> TensorType:
    require_square("expm", x)
    return TensorType(x.shape, matrix_dtype("expm", x))


def _expm_rule(g: Any, _out: Any, x: Any) -> Any:
    """Return the gradient, a block of the exponential of a matrix of twice the order.

    R. Mathias, "A chain rule for matrix functions and applications", SIAM J. Matrix Anal. Appl. 17
    (1996).
    """
    n = x.shape[-1]
    back = adjoint(x)
    upper = concat([back, g], axis=-1)
    lower = concat([zeros_like(g), back], axis=-1)
    return part(expm(concat([upper, lower], axis=-2)), (0, n), (n, 2 * n))


expm: Op = register(
    Op(
        name="expm",
        kind=Kind.OPAQUE,
        arity=1,
        kernel=_expm,
        infer=_expm_infer,
        vjp=(Conjugating(_expm_rule),),
        takes_out=True,
        alias=("matrix_exp",),
        namespaces=("linalg",),
        examples=SQUARE_EXAMPLES,
        batch=trailing,
        doc="Return the exponentials of square matrices.",
    )
)


# tensors as matrices ------------------------------------------------------------------------------


@public_in("linalg")
def tensorsolve(a: Any, b: Any, axes: Sequence[int] | None = None) -> Any:
    """Return the x whose product with `a`, summed over all axes of x, is `b`.

    Parameters
    ----------
    a : array
        Of shape ``b.shape + x.shape``, as many elements in one as in the other.
    b : array
    axes : sequence of int, optional
        Axes of `a` that are moved to the end first.

    Raises
    ------
    LinAlgError
        If `a` as a matrix is singular.
    ShapeError
        If the shapes do not fit.

    Examples
    --------
    >>> tensorsolve(np.eye(4).reshape(2, 2, 2, 2), np.array([[1.0, 2.0], [3.0, 4.0]])).tolist()
    [[1.0, 2.0], [3.0, 4.0]]
    """
    ndim = operand_type("tensorsolve", a).ndim
    if axes is not None:
        moved = normalize_ints(axes, "axes")
        a = moveaxis(a, moved, tuple(range(ndim - len(moved), ndim)))
    kept = operand_type("tensorsolve", b).ndim
    # as NumPy counts: where b has all axes of a, so has x
    shape = tuple(a.shape[kept - ndim :])
    size = prod(b.shape)
    if prod(shape) != size or prod(a.shape[:kept]) != size:
        raise ShapeError(
            f"tensorsolve: shapes {tuple(a.shape)} and {tuple(b.shape)}: {prod(shape)} unknowns, "
            f"{size} equations",
            cause="a is read as a square matrix: the axes of b first, then those of x",
            fix="reshape a, or name with axes= those that belong to x",
        )
    return reshape(solve(reshape(a, shape=(size, size)), reshape(b, shape=(size,))), shape=shape)


@public_in("linalg")
def tensorinv(a: Any, ind: int = 2) -> Any:
    """Return the inverse of `a`, read as a matrix whose rows are its first `ind` axes.

    Parameters
    ----------
    a : array
        With as many elements along the first `ind` axes as along the others.
    ind : int
        1 or more.

    Raises
    ------
    LinAlgError
        If `a` as a matrix is singular.
    ShapeError
        If it is not square.
    ArgumentError
        If `ind` is not positive.

    Examples
    --------
    >>> tensorinv(2 * np.eye(4).reshape(4, 2, 2), ind=1).shape
    (2, 2, 4)
    """
    shape = operand_type("tensorinv", a).shape
    if isinstance(ind, bool) or require_int(ind, "ind") <= 0:
        raise ArgumentError(
            f"tensorinv: ind is {ind!r}",
            cause="it counts the axes of the rows",
            fix="pass 1 or more",
        )
    rows, columns = shape[:ind], shape[ind:]
    if prod(rows) != prod(columns):
        raise ShapeError(
            f"tensorinv of shape {shape}, ind={ind}: {prod(rows)} rows, {prod(columns)} columns",
            cause="only a square matrix has an inverse",
            fix="choose ind so that the axes before and behind have as many elements",
        )
    return reshape(inv(reshape(a, shape=(prod(rows), prod(columns)))), shape=columns + rows)
