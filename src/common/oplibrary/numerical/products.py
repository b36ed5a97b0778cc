"""Products of vectors and matrices, sliding ones, and polynomials."""

from __future__ import annotations

from typing import Any

import numpy as np

from oplibrary.messages.errors import ArgumentError, ShapeError
from oplibrary.numerical.arrangement import trim_zeros
from oplibrary.numerical.operands import as_array, as_dtype, flat, offered, require_known
from oplibrary.ops.arguments import require_int, require_steps
from oplibrary.ops.comparison import equal
from oplibrary.ops.creation import zeros_like
from oplibrary.ops.dtypes import finfo
from oplibrary.ops.elementwise import conj, divide, multiply, where
from oplibrary.ops.exponential import sqrt
from oplibrary.ops.gather import take
from oplibrary.ops.joining import concat, stack
from oplibrary.ops.least_squares import lstsq
from oplibrary.ops.linalg import matmul, tensordot
from oplibrary.ops.movement import reshape
from oplibrary.ops.padding import pad
from oplibrary.ops.reduction import sum as sum_
from oplibrary.ops.rounding import trunc
from oplibrary.ops.slicing import flip
from oplibrary.ops.trigonometry import sin
from oplibrary.values.dtypes import promoted


@offered
def inner(a: Any, b: Any) -> Any:
    """Return the sums of products over the last axes of both; of a scalar, the product.

    Examples
    --------
    >>> float(inner(np.array([1.0, 2.0]), np.array([3.0, 4.0])))
    11.0
    """
    a, b = as_array(a), as_array(b)
    if not len(a.shape) or not len(b.shape):
        return multiply(a, b)
    return tensordot(a, b, axes=((-1,), (-1,)))


@offered
def vdot(a: Any, b: Any) -> Any:
    """Return the dot product of two arrays in one line, of the first's complex conjugate."""
    a, b = flat(a), flat(b)
    return matmul(conj(a) if a.dtype.kind == "c" else a, b)


@offered
def kron(a: Any, b: Any) -> Any:
    """Return the Kronecker product: `b` in place of each element of `a`, times that element.

    Examples
    --------
    >>> kron(np.array([1, 10]), np.array([1, 2])).tolist()
    [1, 2, 10, 20]
    """
    a, b = as_array(a), as_array(b)
    ndim = max(len(a.shape), len(b.shape))
    left, right = ((1,) * (ndim - len(x.shape)) + tuple(x.shape) for x in (a, b))
    a = reshape(a, shape=tuple(n for length in left for n in (length, 1)))
    b = reshape(b, shape=tuple(n for length in right for n in (1, length)))
    return reshape(multiply(a, b), shape=tuple(m * n for m, n in zip(left, right, strict=True)))


@offered
def vander(x: Any, N: int | None = None, increasing: bool = False) -> Any:
    """Return the powers of each element of a vector as the columns of a matrix.

    Examples
    --------
    >>> vander(np.array([2, 3]), 3).tolist()
    [[4, 2, 1], [9, 3, 1]]
    """
    x = as_array(x)
    if len(x.shape) != 1:
        raise ShapeError(
            f"vander of an array of shape {tuple(x.shape)}",
            cause="each element of a vector has a row",
            fix="flatten it first",
        )
    count = x.shape[0] if N is None else require_steps(N, "N")
    require_known("vander", count)
    if count < 0:
        raise ArgumentError(
            f"vander: N is {count}",
            cause="it counts the columns",
            fix="pass 0 or more, or leave it out",
        )
    x = as_dtype(x, promoted(x.dtype, np.int64))
    powers = [as_dtype(zeros_like(x) + 1, x.dtype)]
    for _ in range(count - 1):
        powers.append(powers[-1] * x)
    if count < 1:
        return zeros_like(x)[:, None][:, :0]
    return stack(powers if increasing else powers[::-1], axis=1)


# sliding products ---------------------------------------------------------------------------------


_FEW = 64
"""Up to this many products are added one after the other."""


def _overlapping(a: Any, v: Any, mode: Any, name: str) -> Any:
    """Return the sums of ``a[k - i] * v[i]`` for each place k; `a` is the longer one."""
    long, short = a.shape[0], v.shape[0]
    require_known(name, long, short)
    if mode not in ("full", "same", "valid"):
        raise ArgumentError(
            f"{name}: mode is {mode!r}",
            cause="it says how far the vectors overlap: full, same or valid",
            fix='pass mode="full"',
        )
    dtype = promoted(a.dtype, v.dtype)
    a, v = as_dtype(a, dtype), as_dtype(v, dtype)
    first = {"full": 0, "same": (short - 1) // 2, "valid": short - 1}[mode]
    length = {"full": long + short - 1, "same": long, "valid": long - short + 1}[mode]
    if short <= _FEW:
        total: Any = None
        for i in range(short):
            # padded after the product, so that NaN and infinities meet no 0
            part = pad(a * v[i], ((i, short - 1 - i),)) if mode != "valid" else None
            if part is None:
                start = short - 1 - i
                part = a[start : start + length] * v[i]
            total = part if total is None else total + part
        return total if mode == "valid" else total[first : first + length]
    places = np.arange(first, first + length)[:, None] - np.arange(short)
    inside = (places >= 0) & (places < long)
    if inside.all():
        return matmul(take(a, places, axis=0), v)
    products = take(a, np.where(inside, places, 0), axis=0) * v
    return as_dtype(sum_(where(inside, products, np.asarray(0, dtype)), axis=1), dtype)


def _vectors(name: str, a: Any, v: Any, least: int) -> tuple[Any, Any]:
    """Return two vectors; arrays of fewer axes than `least` are none."""
    found = []
    for each in (a, v):
        x = as_array(each)
        x = reshape(x, shape=(1,)) if not least and not len(x.shape) else x
        if len(x.shape) != 1 or not x.shape[0]:
            raise ShapeError(
                f"{name}: an array of shape {tuple(x.shape)}",
                cause="it slides a vector of one element or more along another",
                fix="flatten it, or use conv1d and conv2d for many at once",
            )
        found.append(x)
    return found[0], found[1]


@offered
def convolve(a: Any, v: Any, mode: str = "full") -> Any:
    """Return the convolution of two vectors.

    Parameters
    ----------
    a, v : array, (n,) and (m,)
    mode : {"full", "same", "valid"}
        Wherever they overlap, as long as the longer one, or where they overlap wholly.

    Examples
    --------
    >>> convolve(np.array([1, 2]), np.array([1, 10])).tolist()
    [1, 12, 20]
    """
    a, v = _vectors("convolve", a, v, 0)
    if a.shape[0] < v.shape[0]:
        a, v = v, a
    return _overlapping(a, v, mode, "convolve")


@offered
def correlate(a: Any, v: Any, mode: str = "valid") -> Any:
    """Return the correlation of two vectors: sums of ``a[k + i] * conj(v[i])`` for each k.

    The parameters are those of `convolve`.
    """
    a, v = _vectors("correlate", a, v, 1)
    if v.dtype.kind == "c":
        v = conj(v)
    if a.shape[0] >= v.shape[0]:
        return _overlapping(a, flip(v, axis=0), mode, "correlate")
    return flip(_overlapping(v, flip(a, axis=0), mode, "correlate"), axis=0)


# polynomials --------------------------------------------------------------------------------------


@offered
def polyval(p: Any, x: Any) -> Any:
    """Return the values at `x` of the polynomial with coefficients `p`, the highest power first.

    Examples
    --------
    >>> polyval(np.array([1.0, 0.0, 2.0]), np.array([3.0])).tolist()
    [11.0]
    """
    p, x = as_array(p), as_array(x)
    require_known("polyval", *p.shape)
    value = zeros_like(x)
    for i in range(p.shape[0]):
        value = value * x + p[i]
    return value


def _lengthened(a1: Any, a2: Any) -> tuple[Any, Any]:
    first, second = (x if len(x.shape) else x.reshape((1,)) for x in (as_array(a1), as_array(a2)))
    require_known("a sum of polynomials", first.shape[0], second.shape[0])
    longer = max(first.shape[0], second.shape[0])
    a, b = (pad(x, ((longer - x.shape[0], 0),)) for x in (first, second))
    return a, b


@offered
def polyadd(a1: Any, a2: Any) -> Any:
    """Return the coefficients of the sum of two polynomials, the highest power first."""
    a, b = _lengthened(a1, a2)
    return a + b


@offered
def polysub(a1: Any, a2: Any) -> Any:
    """Return the coefficients of the difference of two polynomials, the highest power first."""
    a, b = _lengthened(a1, a2)
    return a - b


@offered
def polymul(a1: Any, a2: Any) -> Any:
    """Return the coefficients of the product of two polynomials, without zeros in front.

    Raises
    ------
    DataDependentShapeError
        If one is a static value: how many zeros stand in front is not known; see `convolve`.
    """
    return convolve(_without_zeros(a1), _without_zeros(a2))


def _without_zeros(p: Any) -> Any:
    line = as_array(p)
    found = trim_zeros(line if len(line.shape) else line.reshape((1,)), "f")
    return found if found.shape[0] else zeros_like(line)[:1]


@offered
def polyder(p: Any, m: int = 1) -> Any:
    """Return the coefficients of the `m`-th derivative of a polynomial."""
    p = as_array(p)
    require_known("polyder", *p.shape)
    for _ in range(min(require_int(m, "m"), p.shape[0])):  # nothing is left of it then
        count = p.shape[0] - 1
        p = multiply(p[:-1], np.arange(count, 0, -1))
    return p


@offered
def polyint(p: Any, m: int = 1, k: Any = None) -> Any:
    """Return the coefficients of the `m`-th integral of a polynomial, with the constants `k`."""
    p = as_array(p)
    require_known("polyint", *p.shape)
    times = require_steps(m, "m")
    constants = np.zeros(times) if k is None else as_array(k)
    constants = constants if len(constants.shape) else constants.reshape((1,))
    if constants.shape[0] == 1 and times > 1:
        constants = constants * np.ones(times)
    if constants.shape[0] < times:
        raise ArgumentError(
            f"polyint: {constants.shape[0]} constants for {times} integrals",
            cause="each integral has a constant",
            fix="pass one number, or one for each",
        )
    for i in range(times):
        p = concat([divide(p, np.arange(p.shape[0], 0, -1)), constants[i : i + 1]], axis=0)
    return p


@offered
def polyfit(x: Any, y: Any, deg: int, rcond: float | None = None, w: Any = None) -> Any:
    """Return the coefficients of the polynomial of degree `deg` that is nearest to points.

    Parameters
    ----------
    x : array, (n,)
    y : array, (n,) or (n, k)
    deg : int
    rcond : float, optional
        Singular values below it, relative to the greatest, count as 0.
    w : array, (n,), optional
        Weights of the distances.

    Returns
    -------
    array, (deg + 1,) or (deg + 1, k)
        The highest power first.

    Examples
    --------
    >>> bool(np.allclose(polyfit(np.arange(3.0), np.arange(3.0) * 2 + 1, 1), [2, 1]))
    True
    """
    degree = require_steps(deg, "deg")
    x, y = as_array(x) + 0.0, as_array(y) + 0.0
    if degree < 0 or len(x.shape) != 1 or len(y.shape) not in (1, 2) or x.shape[0] != y.shape[0]:
        raise ShapeError(
            f"polyfit: degree {degree} and points of shapes {tuple(x.shape)}, {tuple(y.shape)}",
            cause="each point has one coordinate and one value or more",
            fix="pass vectors of one length, and a degree of 0 or more",
        )
    dtype = promoted(x.dtype, y.dtype, np.float64)
    left, right = vander(as_dtype(x, dtype), degree + 1), as_dtype(y, dtype)
    if w is not None:
        w = as_array(w) + 0.0
        left = left * reshape(w, shape=(-1, 1))
        right = right * (w if len(y.shape) == 1 else reshape(w, shape=(-1, 1)))
    scale = sqrt(sum_(left * left, axis=0))
    cutoff = x.shape[0] * finfo(x.dtype).eps if rcond is None else rcond
    found = lstsq(left / scale, right, rtol=float(cutoff))[0]
    return found / (scale if len(y.shape) == 1 else reshape(scale, shape=(-1, 1)))


# elementary ---------------------------------------------------------------------------------------


@offered
def sinc(x: Any) -> Any:
    """Return ``sin(pi * x) / (pi * x)``, which is 1 at 0, with its derivatives.

    Examples
    --------
    >>> float(sinc(np.array(0.0)))
    1.0
    """
    x = as_array(x)
    if x.dtype.kind in "biu":
        x = as_dtype(x, np.dtype(np.float64))
    angle = x * np.pi
    zero = equal(x, 0)
    safe = where(zero, np.asarray(1, angle.dtype), angle)
    square = angle * angle
    # the first terms of the series have its derivatives at 0
    series = 1 - square / 6.0 + square * square / 120.0
    return where(zero, series, sin(safe) / safe)


@offered
def fix(x: Any) -> Any:
    """Return the whole numbers next to x towards 0."""
    return trunc(as_array(x))
