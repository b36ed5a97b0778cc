"""Weighted means, spreads and covariances."""

from __future__ import annotations

from typing import Any

import numpy as np

from oplibrary.messages.errors import ArgumentError, DTypeError, ShapeError
from oplibrary.numerical.operands import as_array, as_dtype, offered
from oplibrary.ops.arguments import Axis
from oplibrary.ops.comparison import not_equal
from oplibrary.ops.diagonal import diag
from oplibrary.ops.effects import assert_
from oplibrary.ops.elementwise import clip, conj, imag, real, subtract
from oplibrary.ops.exponential import sqrt
from oplibrary.ops.joining import concat
from oplibrary.ops.linalg import matmul
from oplibrary.ops.movement import broadcast_to, matrix_transpose, reshape, squeeze
from oplibrary.ops.reduction import all as all_
from oplibrary.ops.reduction import count_reduced
from oplibrary.ops.reduction import max as greatest
from oplibrary.ops.reduction import min as least
from oplibrary.ops.reduction import sum as sum_
from oplibrary.ops.statistics import mean
from oplibrary.values.dtypes import FLOATING, promoted, to_dtype
from oplibrary.values.types import normalize_axes


@offered
def ptp(a: Any, axis: Axis = None, keepdims: bool = False) -> Any:
    """Return the distance from the least to the greatest element over `axis`.

    Examples
    --------
    >>> float(ptp(np.array([3.0, -1.0, 2.0])))
    4.0
    """
    x = as_array(a)
    top = greatest(x, axis=axis, keepdims=keepdims)
    return subtract(top, least(x, axis=axis, keepdims=keepdims))


@offered
def average(
    a: Any,
    axis: Axis = None,
    weights: Any = None,
    returned: bool = False,
    *,
    keepdims: bool = False,
) -> Any:
    """Return the mean over `axis`, in which each element counts as much as its weight.

    Parameters
    ----------
    a : array
    axis : int, tuple of int or None
    weights : array, optional
        Of the shape of `a`, or of its axes `axis`.
    returned : bool
        Whether to return the sum of the weights, too.
    keepdims : bool

    Raises
    ------
    AssertionFailedError
        If the weights add up to 0.

    Examples
    --------
    >>> float(average(np.array([1.0, 4.0]), weights=np.array([2.0, 1.0])))
    2.0
    """
    x = as_array(a)
    if weights is None:
        found = mean(x, axis=axis, keepdims=keepdims)
        total: Any = np.asarray(count_reduced(tuple(x.shape), axis), found.dtype)
        return (found, broadcast_to(total, shape=tuple(found.shape))) if returned else found
    w = as_array(weights)
    whole = x.dtype.kind in "biu"
    dtype = promoted(x.dtype, w.dtype, *(["float64"] if whole else []))
    if tuple(w.shape) != tuple(x.shape):
        axes = normalize_axes(axis, len(x.shape))
        order = (
            [each % len(x.shape) for each in (axis if isinstance(axis, tuple) else (axis,))]
            if axis is not None
            else []
        )
        if axis is None or tuple(w.shape) != tuple(x.shape[each] for each in order):
            raise ShapeError(
                f"average: weights of shape {tuple(w.shape)} for {tuple(x.shape)}",
                cause="each element has a weight, or each position along the axes",
                fix="give the weights the shape of the array, or of its axes",
            )
        if order != sorted(order):
            raise ArgumentError(
                f"average: axis {axis} is not in order",
                cause="the axes of the weights are those of the array, in its order",
                fix="pass the axes in order",
            )
        kept = [n if i in axes else 1 for i, n in enumerate(x.shape)]
        w = broadcast_to(reshape(w, shape=tuple(kept)), shape=tuple(x.shape))
    w = as_dtype(w, dtype)
    total = sum_(w, axis=axis, keepdims=keepdims)
    assert_(all_(not_equal(total, 0)), "average: the weights add up to 0")
    found = sum_(as_dtype(x, dtype) * w, axis=axis, keepdims=keepdims) / total
    return (found, total) if returned else found


# covariances --------------------------------------------------------------------------------------


def _variables(x: Any, rowvar: bool) -> Any:
    x = as_array(x)
    if len(x.shape) > 2:
        raise ShapeError(
            f"cov: an array of shape {tuple(x.shape)}",
            cause="it holds variables by observations, on two axes",
            fix="merge axes with reshape first",
        )
    if len(x.shape) < 2:
        return reshape(x, shape=(1, -1))
    return x if rowvar else matrix_transpose(x)


@offered
def cov(
    m: Any,
    y: Any = None,
    rowvar: bool = True,
    bias: bool = False,
    ddof: int | None = None,
    fweights: Any = None,
    aweights: Any = None,
    *,
    dtype: Any = None,
) -> Any:
    """Return the covariances of variables.

    Parameters
    ----------
    m : array, (n, k) or (k,)
        k observations of n variables, a variable a row.
    y : array, optional
        More variables.
    rowvar : bool
        False if a variable is a column.
    bias : bool
        Divide by the number of observations, in place of one less.
    ddof : int, optional
        What the number is lessened by, in place of what `bias` says.
    fweights, aweights : array, (k,), optional
        How often each observation counts, and how much it is worth.
    dtype : dtype, optional
        float64 or wider by default.

    Returns
    -------
    array, (n, n)
        Of one variable, its variance.

    Examples
    --------
    >>> cov(np.array([[1.0, 2.0, 3.0], [3.0, 2.0, 1.0]])).tolist()
    [[1.0, -1.0], [-1.0, 1.0]]
    """
    x = _variables(m, rowvar)
    if not x.shape[0]:  # whatever y holds, as in NumPy
        return np.zeros((0, 0))
    given = [x.dtype]
    if y is not None:
        other = _variables(y, rowvar)
        given.append(other.dtype)
        x = concat([x, other], axis=0)
    kind = to_dtype(dtype) if dtype is not None else promoted(*given, np.float64)
    if kind.kind not in FLOATING:
        raise DTypeError(
            f"cov: dtype is {kind}",
            cause="covariances are no whole numbers",
            fix="pass a dtype of floating-point or complex numbers",
        )
    x = as_dtype(x, kind)
    if ddof is None:
        ddof = 0 if bias else 1
    elif ddof != int(ddof):
        raise ArgumentError(
            f"cov: ddof is {ddof!r}", cause="it is a whole number", fix="pass ddof=1"
        )
    weights: Any = None
    for each in (fweights, aweights):
        if each is not None:
            each = as_array(each)
            if tuple(each.shape) != (x.shape[1],):
                raise ShapeError(
                    f"cov: weights of shape {tuple(each.shape)} for {x.shape[1]} observations",
                    cause="each observation has a weight",
                    fix="pass a vector of one number for each",
                )
            each = as_dtype(each, np.dtype(np.float64))
            weights = each if weights is None else weights * each
    if weights is None:
        center, total = mean(x, axis=1, keepdims=True), x.shape[1]
        free: Any = max(total - ddof, 0)
    else:
        total = sum_(weights)
        center = sum_(x * weights, axis=1, keepdims=True) / total
        free = total
        if ddof:
            taken = ddof if aweights is None else sum_(weights * as_array(aweights)) / total * ddof
            free = clip(total - taken, 0.0, None)
    away = x - center
    right = matrix_transpose(away if weights is None else away * weights)
    product = matmul(away, conj(right) if kind.kind == "c" else right)
    scale = np.true_divide(1, free) if weights is None else 1.0 / free
    result = as_dtype(product * scale, product.dtype)
    return squeeze(result)


@offered
def corrcoef(x: Any, y: Any = None, rowvar: bool = True, *, dtype: Any = None) -> Any:
    """Return the correlations of variables, which are from -1 to 1; see `cov`.

    Examples
    --------
    >>> corrcoef(np.array([[1.0, 2.0, 3.0], [3.0, 2.0, 1.0]])).tolist()
    [[1.0, -1.0], [-1.0, 1.0]]
    """
    found = cov(x, y, rowvar, dtype=dtype)
    if not len(found.shape):
        return found / found
    spread = sqrt(real(diag(found)) if found.dtype.kind == "c" else diag(found))
    found = found / reshape(spread, shape=(-1, 1)) / spread
    if found.dtype.kind == "c":
        parts = [clip(part, -1.0, 1.0) for part in (real(found), imag(found))]
        return as_dtype(parts[0] + parts[1] * 1j, found.dtype)
    return clip(found, -1.0, 1.0)
