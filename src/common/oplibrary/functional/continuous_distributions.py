"""Real numbers drawn from an explicit key, differentiable by the parameters of their distribution.

Each draws from the start of its key's stream: the same key gives the same numbers in every mode.
The formulas are those of Devroye, "Non-uniform random variate generation" (1986).
"""

from __future__ import annotations

from collections.abc import Sequence
from math import pi
from typing import TYPE_CHECKING, Any

import numpy as np

from oplibrary.core.registry import public
from oplibrary.messages.errors import DTypeError, ShapeError
from oplibrary.ops.arguments import operand_type
from oplibrary.ops.comparison import greater, less
from oplibrary.ops.dtypes import finfo
from oplibrary.ops.elementwise import (
    add,
    cast,
    clip,
    divide,
    multiply,
    negative,
    subtract,
    where,
)
from oplibrary.ops.exponential import exp, log, log1p, sigmoid
from oplibrary.ops.linalg import matmul
from oplibrary.ops.movement import expand_dims, squeeze
from oplibrary.ops.numbers import number_array
from oplibrary.ops.random import normal, random_split, uniform
from oplibrary.ops.random_parameters import drawn_shape, standard_gamma
from oplibrary.ops.slicing import index_axis
from oplibrary.ops.softmax import softmax
from oplibrary.ops.solving import cholesky
from oplibrary.ops.special import ndtr, ndtri
from oplibrary.ops.trigonometry import tan
from oplibrary.values.dtypes import REAL_NUMBERS, promoted, to_dtype
from oplibrary.values.types import Shape, TensorType, number_kind

if TYPE_CHECKING:
    import numpy.typing as npt

# one distribution ---------------------------------------------------------------------------------


def _open_uniform(key: Any, shape: int | Sequence[int], dtype: npt.DTypeLike) -> Any:
    """Return numbers between 0 and 1, neither of which is drawn."""
    return uniform(key, shape=shape, low=float(finfo(to_dtype(dtype)).tiny), dtype=dtype)


@public
def exponential(key: Any, shape: int | Sequence[int], dtype: npt.DTypeLike = np.float32) -> Any:
    """Return numbers of the exponential distribution of mean 1.

    Parameters
    ----------
    key : array, (2,) of uint64
        Made by `random_key` or `random_split`.
    shape : tuple of int
    dtype : dtype
        float32 or float64.

    Raises
    ------
    DTypeError
        If the key is none, or for another dtype.
    """
    return negative(log1p(negative(uniform(key, shape=shape, dtype=dtype))))


@public
def gumbel(key: Any, shape: int | Sequence[int], dtype: npt.DTypeLike = np.float32) -> Any:
    """Return numbers of the standard Gumbel distribution, ``exp(-exp(-x))``.

    The arguments are those of `exponential`.
    """
    return negative(log(negative(log(_open_uniform(key, shape, dtype)))))


@public
def laplace(key: Any, shape: int | Sequence[int], dtype: npt.DTypeLike = np.float32) -> Any:
    """Return numbers of the standard Laplace distribution, ``exp(-|x|) / 2``.

    The arguments are those of `exponential`.
    """
    draw = _open_uniform(key, shape, dtype)
    # each half by its own formula, exact where it is small
    upper = negative(log(multiply(subtract(1.0, draw), 2.0)))
    return where(less(draw, 0.5), log(multiply(draw, 2.0)), upper)


@public
def cauchy(key: Any, shape: int | Sequence[int], dtype: npt.DTypeLike = np.float32) -> Any:
    """Return numbers of the standard Cauchy distribution, ``1 / (pi * (1 + x**2))``.

    The arguments are those of `exponential`.
    """
    return tan(multiply(subtract(_open_uniform(key, shape, dtype), 0.5), pi))


# those with parameters ----------------------------------------------------------------------------


def _parameters(name: str, dtype: Any, *values: Any) -> tuple[list[Any], np.dtype[Any]]:
    """Return parameters as arrays of the dtype in which is drawn.

    Raises
    ------
    DTypeError
        If one is no real number.
    """
    types = [operand_type(name, value) for value in values]
    known = [t.dtype for t, value in zip(types, values) if number_kind(value) is None]
    kind = to_dtype(dtype) if dtype is not None else promoted(np.dtype(np.float32), *known)
    if kind not in (np.float32, np.float64) or any(t.dtype.kind not in REAL_NUMBERS for t in types):
        listing = ", ".join([str(t.dtype) for t in types])
        raise DTypeError(
            f"{name}: parameters of {listing}, draws of {kind}",
            cause="parameters are real numbers, and float32 or float64 is drawn",
            fix="convert the parameters with astype, or pass dtype",
        )
    made = []
    for value, given in zip(values, types):
        if number_kind(value) is not None:
            made.append(number_array(value, kind))
        else:
            made.append(value if given.dtype == kind else cast(value, dtype=kind))
    return made, kind


def _halves(key: Any) -> tuple[Any, Any]:
    keys = random_split(key, n=2)
    return index_axis(keys, index=0, axis=0), index_axis(keys, index=1, axis=0)


@public
def gamma(
    key: Any,
    concentration: Any,
    shape: int | Sequence[int] | None = None,
    dtype: npt.DTypeLike | None = None,
) -> Any:
    """Return numbers of the gamma distribution of scale 1.

    Parameters
    ----------
    key : array, (2,) of uint64
        Made by `random_key` or `random_split`.
    concentration : float or array
        Not negative. Multiply the draws by a scale, or divide them by a rate.
    shape : tuple of int, optional
        Of the draws, to which the parameters broadcast; by default the shape of these.
    dtype : dtype, optional
        float32 or float64; by default that of the parameters, float32 for Python numbers.

    Returns
    -------
    array
        Differentiable by the concentration, once: Figurnov, Mohamed and Mnih, "Implicit
        reparameterization gradients" (2018).

    Raises
    ------
    ArgumentError
        If a concentration is negative or NaN.
    DTypeError
        If the key is none, or the parameters are no real numbers.
    ShapeError
        If the parameters do not broadcast to `shape`.
    """
    (concentration,), _ = _parameters("gamma", dtype, concentration)
    drawn = drawn_shape("gamma", shape, concentration.shape)
    return standard_gamma(key, concentration, shape=drawn)


def _log_gamma(key: Any, concentration: Any, shape: Shape, kind: np.dtype[Any]) -> Any:
    """Return logarithms of gamma draws, which do not underflow for small concentrations.

    A draw for a + 1 times ``u ** (1 / a)`` is one for a (Marsaglia and Tsang, 2000).
    """
    first, second = _halves(key)
    above = standard_gamma(first, add(concentration, 1.0), shape=shape)
    return add(log(above), divide(log(_open_uniform(second, shape, kind)), concentration))


@public
def beta(
    key: Any,
    a: Any,
    b: Any,
    shape: int | Sequence[int] | None = None,
    dtype: npt.DTypeLike | None = None,
) -> Any:
    """Return numbers of the beta distribution, ``x ** (a - 1) * (1 - x) ** (b - 1)``.

    Parameters
    ----------
    key, shape, dtype
        As for `gamma`.
    a, b : float or array
        Positive. The draws are differentiable by both, once.

    Raises
    ------
    ArgumentError, DTypeError, ShapeError
        As by `gamma`.
    """
    (a, b), kind = _parameters("beta", dtype, a, b)
    drawn = drawn_shape("beta", shape, a.shape, b.shape)
    first, second = _halves(key)
    difference = subtract(_log_gamma(first, a, drawn, kind), _log_gamma(second, b, drawn, kind))
    return sigmoid(difference)


@public
def dirichlet(
    key: Any,
    concentration: Any,
    shape: int | Sequence[int] | None = None,
    dtype: npt.DTypeLike | None = None,
) -> Any:
    """Return vectors of the Dirichlet distribution, whose elements add up to 1.

    Parameters
    ----------
    key, dtype
        As for `gamma`.
    concentration : array
        Positive, ``(..., k)``. The draws are differentiable by it, once.
    shape : tuple of int, optional
        Of the draws without their last axis, to which ``...`` broadcasts.

    Raises
    ------
    ArgumentError, DTypeError, ShapeError
        As by `gamma`; also if the concentration has no axis.
    """
    (concentration,), kind = _parameters("dirichlet", dtype, concentration)
    if not concentration.shape:
        raise ShapeError(
            "dirichlet: the concentration has no axis",
            cause="there is one for each element of a vector, along the last axis",
            fix="pass one for each, such as full((3,), 1.0)",
        )
    drawn = (*drawn_shape("dirichlet", shape, concentration.shape[:-1]), concentration.shape[-1])
    return softmax(_log_gamma(key, concentration, drawn, kind), axis=-1)


@public
def student_t(
    key: Any, df: Any, shape: int | Sequence[int] | None = None, dtype: npt.DTypeLike | None = None
) -> Any:
    """Return numbers of Student's t distribution with `df` degrees of freedom.

    Parameters
    ----------
    key, shape, dtype
        As for `gamma`.
    df : float or array
        Positive. The draws are differentiable by it, once.

    Raises
    ------
    ArgumentError, DTypeError, ShapeError
        As by `gamma`.
    """
    (df,), kind = _parameters("student_t", dtype, df)
    drawn = drawn_shape("student_t", shape, df.shape)
    first, second = _halves(key)
    half = divide(df, 2.0)
    # in logarithms, since few degrees of freedom draw numbers that underflow
    spread = exp(multiply(subtract(log(half), _log_gamma(second, half, drawn, kind)), 0.5))
    return multiply(normal(first, shape=drawn, dtype=kind), spread)


@public
def truncated_normal(
    key: Any,
    lower: Any,
    upper: Any,
    shape: int | Sequence[int] | None = None,
    dtype: npt.DTypeLike | None = None,
) -> Any:
    """Return standard normal numbers between two bounds.

    Parameters
    ----------
    key, shape, dtype
        As for `gamma`.
    lower, upper : float or array
        The draws are differentiable by both, to any order. Where they are not in this order the
        draws are NaN.

    Raises
    ------
    DTypeError, ShapeError
        As by `gamma`.

    Notes
    -----
    By the quantile, in the tail that is known to its last digits. Bounds beyond about 13 standard
    deviations in float32, 37 in float64, give what is nearest of the bounds.
    """
    (lower, upper), kind = _parameters("truncated_normal", dtype, lower, upper)
    drawn = drawn_shape("truncated_normal", shape, lower.shape, upper.shape)
    mirrored = greater(add(lower, upper), 0.0)
    low = where(mirrored, negative(upper), lower)
    high = where(mirrored, negative(lower), upper)
    below, above = ndtr(low), ndtr(high)
    draw = uniform(key, shape=drawn, dtype=kind)
    found = ndtri(add(below, multiply(draw, subtract(above, below))))
    found = clip(found, low, high)
    found = where(less(low, high), found, np.nan)
    return where(mirrored, negative(found), found)


@public
def multivariate_normal(
    key: Any,
    mean: Any,
    covariance: Any,
    shape: int | Sequence[int] | None = None,
    dtype: npt.DTypeLike | None = None,
) -> Any:
    """Return normal vectors of a mean and a covariance.

    Parameters
    ----------
    key, dtype
        As for `gamma`.
    mean : array
        ``(..., d)``.
    covariance : array
        ``(..., d, d)``, positive definite. The draws are differentiable by both, to any order.
    shape : tuple of int, optional
        Of the draws without their last axis, to which ``...`` broadcasts.

    Raises
    ------
    LinAlgError
        If a covariance is not positive definite.
    DTypeError, ShapeError
        As by `gamma`; also if the covariance is no stack of matrices that fit the mean.
    """
    (mean, covariance), kind = _parameters("multivariate_normal", dtype, mean, covariance)
    given, matrix = TensorType(mean.shape, kind), TensorType(covariance.shape, kind)
    if not given.ndim or matrix.shape[-2:] != given.shape[-1:] * 2:
        raise ShapeError(
            f"multivariate_normal: a mean of shape {given.shape}, a covariance of {matrix.shape}",
            cause="a mean is (..., d), and its covariance (..., d, d)",
            fix="give both the same d",
        )
    drawn = drawn_shape("multivariate_normal", shape, given.shape[:-1], matrix.shape[:-2])
    noise = normal(key, shape=(*drawn, given.shape[-1]), dtype=kind)
    spread = matmul(cholesky(covariance), expand_dims(noise, axis=-1))
    return add(mean, squeeze(spread, axis=-1))
