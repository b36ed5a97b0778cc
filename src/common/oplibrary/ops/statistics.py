"""Means, variances and norms, each a reduction with a kernel of its own."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from oplibrary.core.op import Kind, Op, example
from oplibrary.core.registry import public_in, register
from oplibrary.core.rules import reduced_shape, reduction
from oplibrary.messages.errors import ArgumentError, DTypeError
from oplibrary.ops.arguments import Axis, is_real_number, operand_type
from oplibrary.ops.comparison import equal, isfinite
from oplibrary.ops.elementwise import abs as magnitude
from oplibrary.ops.elementwise import cast, conj, maximum, where
from oplibrary.ops.exponential import exp, log, sqrt
from oplibrary.ops.kernels import in_float32, lowered_in_float32
from oplibrary.ops.reduction import (
    EXAMPLES,
    add_reduce,
    count_nonzero,
    count_reduced,
    expand_reduced,
    refuse_axis,
    spread_sum,
)
from oplibrary.ops.reduction import max as greatest
from oplibrary.ops.reduction import min as least
from oplibrary.ops.reduction import sum as sum_over
from oplibrary.values.dtypes import FLOAT32, FLOATING, HALF, REAL_FLOATING, is_half
from oplibrary.values.types import Array, TensorType, is_scalar

FLOAT64 = np.dtype(np.float64)
maximum_reduce: Any = np.maximum.reduce


def _float_dtype(name: str, complex_result: str) -> Callable[[np.dtype[Any]], np.dtype[Any]]:
    """Return a dtype rule: whole numbers become float64, floating-point numbers stay.

    `complex_result` tells what complex numbers become: ``"complex"``, ``"real"``,
    or ``""``, an error.
    """

    def infer_dtype(dtype: np.dtype[Any]) -> np.dtype[Any]:
        if dtype.kind in "biu":
            return FLOAT64
        if dtype.kind in REAL_FLOATING:
            return dtype
        if dtype.kind == "c" and complex_result:
            return dtype if complex_result == "complex" else np.empty(0, dtype).real.dtype
        raise DTypeError(
            f"{name} is not defined for {dtype}",
            cause="it needs real numbers" if not complex_result else "it needs numbers",
            fix="convert with astype first, or take the real part of complex numbers",
        )

    return infer_dtype


def _real_or_float(x: Array) -> Array:
    """Return `x` as floating-point numbers."""
    return x if x.dtype.kind in FLOATING else x.astype(FLOAT64)


def _divide(total: Any, count: float) -> Any:
    """Divide a reduction's result, in place where it is an array."""
    if type(total) is np.ndarray:
        return np.true_divide(total, count, total)
    return total / count


# mean and spread ----------------------------------------------------------------------------------


def _mean(x: Array, out: Array | None = None, *, axis: Axis = None, keepdims: bool = False) -> Any:
    if x.dtype.char in HALF:
        return in_float32(_mean, (x,), out, {"axis": axis, "keepdims": keepdims})
    dtype = None if x.dtype.kind in FLOATING else FLOAT64
    total = add_reduce(x, axis, dtype, out, keepdims)
    return _divide(total, count_reduced(x.shape, axis))


def _mean_vjp(g: Any, _out: Any, x_type: TensorType, *, axis: Axis, keepdims: bool) -> Any:
    # divided before it is spread out: one division an element of the result
    count = count_reduced(x_type.shape, axis) or 1
    if is_half(x_type.dtype):  # of which none may be as large as the count
        share = cast(cast(g, dtype=FLOAT32) / count, dtype=x_type.dtype)
    else:
        share = g / count
    return spread_sum(share, None, x_type, axis=axis, keepdims=keepdims)


@lowered_in_float32
def _lower_mean(x: Any, *, axis: Axis, keepdims: bool) -> Any:
    if x.dtype.kind not in FLOATING:
        x = cast(x, dtype=FLOAT64)
    return sum_over(x, axis=axis, keepdims=keepdims) / count_reduced(tuple(x.shape), axis)


mean = reduction(
    "mean",
    _mean,
    infer_dtype=_float_dtype("mean", "complex"),
    vjp=_mean_vjp,
    lowering=_lower_mean,
    examples=EXAMPLES,
    doc="Return the arithmetic mean over `axis`; of whole numbers, as float64.",
)


def _free(shape: tuple[int, ...], axis: Axis, correction: float) -> Any:
    """Return the degrees of freedom, the divisor of a variance; never less than 0."""
    free = count_reduced(shape, axis) - (correction + 0.0)
    # with a length that only a run knows it is a value of the graph
    number = is_scalar(free) or isinstance(free, (np.ndarray, np.generic))
    return max(free, 0.0) if number else maximum(free, 0.0)


def _free_or_nan(shape: tuple[int, ...], axis: Axis, correction: float) -> Any:
    """Return the degrees of freedom, NaN where there are none."""
    free = _free(shape, axis, correction)
    return free or math.nan if is_scalar(free) else where(equal(free, 0.0), math.nan, free)


def _var(
    x: Array,
    out: Array | None = None,
    *,
    axis: Axis = None,
    keepdims: bool = False,
    correction: float = 0.0,
) -> Any:
    if x.dtype.char in HALF:
        return in_float32(
            _var, (x,), out, {"axis": axis, "keepdims": keepdims, "correction": correction}
        )
    # two passes: subtracting the mean first loses no digits where the mean is large
    deviation = np.subtract(x, _mean(x, axis=axis, keepdims=True))
    if deviation.dtype.kind == "c":
        deviation = np.hypot(deviation.real, deviation.imag)
    deviation *= deviation
    total = add_reduce(deviation, axis, None, out, keepdims)
    return _divide(total, _free(x.shape, axis, correction))


def _var_vjp(g: Any, _out: Any, x: Any, *, axis: Axis, keepdims: bool, correction: float) -> Any:
    free = _free_or_nan(x.shape, axis, correction)
    g = expand_reduced(g * (2.0 / free), x, axis, keepdims)
    return g * _conjugated(x - mean(x, axis=axis, keepdims=True))


def _conjugated(x: Any) -> Any:
    return conj(x) if x.dtype.kind == "c" else x


def _magnitude(x: Any) -> Any:
    return magnitude(x) if x.dtype.kind == "c" else x


def _divided(g: Any, out: Any) -> Any:
    """Return ``g / out``, and 0 of every order where `out` is 0."""
    zero = equal(out, 0.0)
    return where(zero, 0.0, g) / where(zero, 1.0, out)


def _std_vjp(g: Any, out: Any, x: Any, *, axis: Axis, keepdims: bool, correction: float) -> Any:
    # 0 of every order where all elements are equal, as in PyTorch; the limit does not exist
    free = _free_or_nan(x.shape, axis, correction)
    g = expand_reduced(_divided(g / free, out), x, axis, keepdims)
    return g * _conjugated(x - mean(x, axis=axis, keepdims=True))


def _std(
    x: Array,
    out: Array | None = None,
    *,
    axis: Axis = None,
    keepdims: bool = False,
    correction: float = 0.0,
) -> Any:
    if x.dtype.char in HALF:
        return in_float32(
            _std, (x,), out, {"axis": axis, "keepdims": keepdims, "correction": correction}
        )
    variance = _var(x, out, axis=axis, keepdims=keepdims, correction=correction)
    return np.sqrt(variance, variance) if type(variance) is np.ndarray else np.sqrt(variance)


@lowered_in_float32
def _lower_var(x: Any, *, axis: Axis, keepdims: bool, correction: float) -> Any:
    deviation = _magnitude(x - _lower_mean(x, axis=axis, keepdims=True))
    total = sum_over(deviation * deviation, axis=axis, keepdims=keepdims)
    return total / _free(tuple(x.shape), axis, correction)


@lowered_in_float32
def _lower_std(x: Any, **attrs: Any) -> Any:
    return sqrt(_lower_var(x, **attrs))


def _dispersion(
    name: str,
    kernel: Callable[..., Any],
    vjp: Callable[..., Any],
    lowering: Callable[..., Any],
    doc: str,
) -> Op:
    """Register a reduction whose divisor is the number of elements less a `correction`."""
    infer_dtype = _float_dtype(name, "real")

    def infer(
        x: TensorType, *, axis: Axis = None, keepdims: bool = False, correction: float = 0.0
    ) -> TensorType:
        if not is_real_number(correction):
            raise ArgumentError(
                f"{name}: correction must be a number, not {correction!r}",
                cause="the sum of squares is divided by the number of elements less the correction",
                fix="pass 0 for a population, 1 for a sample",
            )
        return TensorType(reduced_shape(x.shape, axis, keepdims), infer_dtype(x.dtype))

    return register(
        Op(
            name=name,
            kind=Kind.REDUCTION,
            arity=1,
            kernel=kernel,
            infer=infer,
            vjp=(vjp,),
            attrs={"axis": None, "keepdims": False, "correction": 0.0},
            lowering=lowering,
            takes_out=True,
            examples=(*EXAMPLES, example((3, 4), axis=0, correction=1.0)),
            doc=doc,
        )
    )


var = _dispersion(
    "var",
    _var,
    _var_vjp,
    _lower_var,
    "Return the variance over `axis`: the squared deviations from the mean, "
    "summed and divided by their number less `correction`.",
)
std = _dispersion(
    "std",
    _std,
    _std_vjp,
    _lower_std,
    "Return the standard deviation over `axis`, the root of the variance. "
    "Its gradient is 0 where all elements are equal.",
)


# sums of exponentials and norms -------------------------------------------------------------------


def _logsumexp(
    x: Array, out: Array | None = None, *, axis: Axis = None, keepdims: bool = False
) -> Any:
    if x.dtype.char in HALF:
        return in_float32(_logsumexp, (x,), out, {"axis": axis, "keepdims": keepdims})
    if axis is not None and not x.ndim:
        refuse_axis(axis)
    if x.dtype.kind not in REAL_FLOATING:
        if x.dtype.kind == "c":
            raise TypeError("complex numbers have no order")
        x = x.astype(FLOAT64)
    top = maximum_reduce(x, axis, None, None, True, -math.inf)
    if np.logical_and.reduce(np.isfinite(top), None):
        return _logsumexp_above(x, top, out, axis, keepdims)
    # an infinite maximum must not be subtracted from itself
    top = np.where(np.isfinite(top), top, 0)
    with np.errstate(over="ignore", divide="ignore"):
        return _logsumexp_above(x, top, out, axis, keepdims)


def _logsumexp_above(x: Array, top: Any, out: Array | None, axis: Axis, keepdims: bool) -> Any:
    scaled = np.subtract(x, top)
    scaled = np.exp(scaled, scaled) if type(scaled) is np.ndarray else np.exp(scaled)
    total = add_reduce(scaled, axis, None, out, keepdims)
    if type(total) is not np.ndarray:
        return np.log(total) + top.reshape(())
    np.log(total, total)
    return np.add(total, top.reshape(total.shape), total)


def _logsumexp_vjp(g: Any, out: Any, x: Any, *, axis: Axis, keepdims: bool) -> Any:
    weight = exp(x - expand_reduced(out, x, axis, keepdims))
    return expand_reduced(g, x, axis, keepdims) * weight


@lowered_in_float32
def _lower_logsumexp(x: Any, *, axis: Axis, keepdims: bool) -> Any:
    if x.dtype.kind not in REAL_FLOATING:
        x = cast(x, dtype=FLOAT64)
    top = greatest(x, axis=axis, keepdims=True)
    top = where(isfinite(top), top, 0.0)
    total = sum_over(exp(x - top), axis=axis, keepdims=keepdims)
    return log(total) + top.reshape(total.shape)


logsumexp = reduction(
    "logsumexp",
    _logsumexp,
    infer_dtype=_float_dtype("logsumexp", ""),
    vjp=_logsumexp_vjp,
    lowering=_lower_logsumexp,
    examples=EXAMPLES,
    doc="Return log(sum(exp(x))) over `axis` without overflow; of no elements, -inf.",
)


def _euclidean_norm(
    x: Array, out: Array | None = None, *, axis: Axis = None, keepdims: bool = False
) -> Any:
    if x.dtype.char in HALF:
        return in_float32(_euclidean_norm, (x,), out, {"axis": axis, "keepdims": keepdims})
    if axis is not None and not x.ndim:
        refuse_axis(axis)
    x = np.hypot(x.real, x.imag) if x.dtype.kind == "c" else _real_or_float(x)
    total = add_reduce(x * x, axis, None, out, keepdims)
    return np.sqrt(total, total) if type(total) is np.ndarray else np.sqrt(total)


def _euclidean_norm_vjp(g: Any, out: Any, x: Any, *, axis: Axis, keepdims: bool) -> Any:
    # 0 of every order at the origin, where the norm has no gradient; the first is PyTorch's
    return _conjugated(x) * expand_reduced(_divided(g, out), x, axis, keepdims)


@lowered_in_float32
def _lower_euclidean_norm(x: Any, *, axis: Axis, keepdims: bool) -> Any:
    if x.dtype.kind not in FLOATING:
        x = cast(x, dtype=FLOAT64)
    x = _magnitude(x)
    return sqrt(sum_over(x * x, axis=axis, keepdims=keepdims))


euclidean_norm = reduction(
    "euclidean_norm",
    _euclidean_norm,
    infer_dtype=_float_dtype("euclidean_norm", "real"),
    vjp=_euclidean_norm_vjp,
    lowering=_lower_euclidean_norm,
    examples=EXAMPLES,
    doc="Return the root of the sum of squares over `axis`. Its gradient is 0 at the origin.",
)


@public_in("", "linalg")
def vector_norm(x: Any, axis: Axis = None, keepdims: bool = False, ord: float = 2) -> Any:
    """Return the norm of the vectors along `axis`.

    Parameters
    ----------
    x : array
    axis : int, tuple of int or None
        None takes all elements as one vector.
    keepdims : bool
    ord : float
        The order p of ``sum(abs(x) ** p) ** (1 / p)``; ``inf`` and ``-inf`` are the greatest and
        the least magnitude, 0 counts the nonzero elements. Its gradient is 0 at the origin, and
        for elements that are 0.

    Raises
    ------
    ArgumentError
        If `ord` is not a number.
    ShapeError
        If an axis does not exist.

    Examples
    --------
    >>> float(vector_norm(np.array([3.0, 4.0])))
    5.0
    """
    if not is_real_number(ord) or math.isnan(ord):
        raise ArgumentError(
            f"vector_norm: ord must be a number, not {ord!r}",
            cause="it is the power that the elements are raised to",
            fix="use 1, 2 or inf",
        )
    if ord == 2:
        return euclidean_norm(x, axis=axis, keepdims=keepdims)
    dtype = euclidean_norm.infer(operand_type("vector_norm", x)).dtype
    if ord == 0:
        return cast(count_nonzero(x, axis=axis, keepdims=keepdims), dtype=dtype)
    size = magnitude(x)
    if size.dtype != dtype:
        size = cast(size, dtype=dtype)
    if ord == math.inf:
        return greatest(size, axis=axis, keepdims=keepdims)
    if ord == -math.inf:
        return least(size, axis=axis, keepdims=keepdims)
    if ord == 1:
        return sum_over(size, axis=axis, keepdims=keepdims)
    # a power has no slope at 0 that could be multiplied with the magnitude's own
    none = equal(size, 0.0)
    powers = where(none, 0.0 if ord > 0 else math.inf, where(none, 1.0, size) ** float(ord))
    total = sum_over(powers, axis=axis, keepdims=keepdims)
    zero = equal(total, 0.0)
    # of a negative power the sum is 0 where all are infinite, or there are none
    return where(zero, 0.0 if ord > 0 else math.inf, where(zero, 1.0, total) ** (1.0 / ord))
