"""Norms of matrices, and the condition number."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from oplibrary.core.registry import public_in
from oplibrary.messages.errors import ArgumentError, ShapeError
from oplibrary.ops.arguments import Axis, normalize_ints, operand_type
from oplibrary.ops.comparison import isnan, logical_and, logical_not
from oplibrary.ops.elementwise import abs as magnitude
from oplibrary.ops.elementwise import cast, where
from oplibrary.ops.matrices import matrix_dtype, require_matrix, require_square
from oplibrary.ops.movement import expand_dims, moveaxis
from oplibrary.ops.reduction import any as any_of
from oplibrary.ops.reduction import max as greatest
from oplibrary.ops.reduction import min as least
from oplibrary.ops.reduction import sum as sum_over
from oplibrary.ops.singular_values import svdvals
from oplibrary.ops.slicing import index_axis
from oplibrary.ops.solving import inverse_or_nan
from oplibrary.ops.statistics import vector_norm
from oplibrary.values.types import normalize_axis

Order = float | str | None
ORDERS = ("fro", "nuc", 1, -1, 2, -2, math.inf, -math.inf)


def _extreme(x: Any, order: float) -> Any:
    """Return the greatest number along the last axis, or for a negative order the least.

    Of nothing the greatest is 0, as of absolute values.
    """
    if order > 0 and x.shape[-1] == 0:
        return sum_over(x, axis=-1)
    return (greatest if order > 0 else least)(x, axis=-1)


@public_in("linalg")
def matrix_norm(x: Any, keepdims: bool = False, ord: float | str | None = "fro") -> Any:
    """Return the norms of matrices.

    Parameters
    ----------
    x : array, (..., n, m)
    keepdims : bool
        Keep the last two axes, with length 1.
    ord : {"fro", "nuc", 1, -1, 2, -2, inf, -inf}
        ``"fro"`` is the root of the sum of squares, 2 and -2 the greatest and the least singular
        value and ``"nuc"`` the sum of them, 1 and -1 the greatest and the least sum of the
        absolute values of a column, inf and -inf of a row. None is ``"fro"``.

    Returns
    -------
    array, (...)
        Real.

    Raises
    ------
    ArgumentError
        If `ord` is another one.
    MatrixShapeError
        If `x` has fewer than two axes.

    Examples
    --------
    >>> x = np.array([[3.0, 0.0], [4.0, 0.0]])
    >>> [float(matrix_norm(x, ord=each)) for each in ("fro", 1, np.inf)]
    [5.0, 7.0, 4.0]
    """
    given = operand_type("matrix_norm", x)
    require_matrix("matrix_norm", given)
    if isinstance(ord, bool) or not isinstance(ord, (int, float, str, np.number, type(None))):
        raise _unknown(ord)
    if ord is None or ord == "fro":
        return vector_norm(x, axis=(-2, -1), keepdims=keepdims)
    if ord not in ORDERS:
        raise _unknown(ord)
    dtype = matrix_dtype("matrix_norm", given)
    if ord in ("nuc", 2, -2):
        values = svdvals(x)
        result = sum_over(values, axis=-1) if ord == "nuc" else _extreme(values, float(ord))
    else:
        size = magnitude(x if given.dtype == dtype else cast(x, dtype=dtype))
        result = _extreme(
            sum_over(size, axis=-1 if ord in (math.inf, -math.inf) else -2), float(ord)
        )
    return expand_dims(result, axis=(-2, -1)) if keepdims else result


def _unknown(order: Any) -> ArgumentError:
    return ArgumentError(
        f"matrix_norm: ord is {order!r}",
        cause="a matrix has these norms: 'fro', 'nuc', 1, -1, 2, -2, inf, -inf",
        fix='pass one of them, such as ord="fro"; vector_norm takes every power of the elements',
    )


@public_in("linalg")
def norm(x: Any, ord: float | str | None = None, axis: Axis = None, keepdims: bool = False) -> Any:
    """Return the norm of vectors or matrices, as NumPy's ``linalg.norm``.

    Parameters
    ----------
    x : array
    ord : float or str, optional
        See `vector_norm` and `matrix_norm`; None is the root of the sum of squares, of all
        elements where there is no `axis` either.
    axis : int or (int, int), optional
        The axis of the vectors, or those of the rows and columns of matrices. None takes `x`
        whole, as a vector or a matrix.
    keepdims : bool

    Raises
    ------
    ArgumentError
        If there is no such norm.
    ShapeError
        If `x` has more than two axes, with an `ord` and no `axis`.

    Examples
    --------
    >>> float(norm(np.array([3.0, 4.0])))
    5.0
    """
    ndim = operand_type("norm", x).ndim
    if axis is None and ord is None:
        return vector_norm(x, axis=None, keepdims=keepdims)
    axes = tuple(range(ndim)) if axis is None else normalize_ints(axis, "axis")
    if len(axes) not in (1, 2):
        raise ShapeError(
            f"norm: {len(axes)} axes, ord {ord!r}",
            cause="a norm of an order is one of vectors, along one axis, or of matrices, along two",
            fix="pass axis=-1 or axis=(-2, -1), or vector_norm of as many axes as you like",
        )
    if len(axes) == 1:
        if isinstance(ord, str):
            raise ArgumentError(
                f"norm: ord is {ord!r}, along one axis",
                cause="vectors have norms of orders that are numbers",
                fix="pass a number, or the two axes of matrices: axis=(-2, -1)",
            )
        return vector_norm(x, axis=axes[0], keepdims=keepdims, ord=2 if ord is None else ord)
    rows, columns = (normalize_axis(each, ndim) for each in axes)
    if rows == columns:
        raise ShapeError(
            f"norm: axis {axis} names an axis twice",
            cause="the rows and the columns of a matrix are two axes",
            fix="pass two axes, such as axis=(-2, -1)",
        )
    result = matrix_norm(moveaxis(x, (rows, columns), (-2, -1)), ord=ord)
    return expand_dims(result, axis=tuple(sorted((rows, columns)))) if keepdims else result


@public_in("linalg")
def cond(x: Any, p: float | str | None = None) -> Any:
    """Return the condition numbers of matrices: how much an inverse magnifies errors.

    Parameters
    ----------
    x : array, (..., n, m)
    p : {None, "fro", "nuc", 1, -1, 2, -2, inf, -inf}
        The norm; None is 2, the ratio of the greatest to the least singular value, which
        matrices have that are not square, too.

    Returns
    -------
    array, (...)
        Infinite for singular matrices.

    Raises
    ------
    ArgumentError
        If there is no such norm.
    MatrixShapeError
        If `x` holds no matrices, or for other norms than 2 and -2 no square ones.
    ShapeError
        If the matrices are empty.

    Examples
    --------
    >>> float(cond(np.array([[2.0, 0.0], [0.0, 0.5]])))
    4.0
    """
    given = operand_type("cond", x)
    if 0 in require_matrix("cond", given):
        raise ShapeError(
            f"cond of shape {given.shape}, of empty matrices",
            cause="they have no singular values that could be compared",
            fix="check the lengths first",
        )
    if p is None or p in (2, -2):
        values = svdvals(x)
        first, last = (index_axis(values, index=i, axis=-1) for i in (0, -1))
        result = last / first if p == -2 else first / last
    else:
        require_square("cond", given)
        result = matrix_norm(x, ord=p) * matrix_norm(inverse_or_nan(x), ord=p)
    told = any_of(isnan(x), axis=(-2, -1))
    return where(logical_and(isnan(result), logical_not(told)), math.inf, result)
