"""Determinants, whose gradients are right for singular matrices, too.

The gradient of a determinant is made of cofactors. They are computed from the singular value
decomposition ``A = U S V^H`` as ``det(U) det(V^H) U adj(S) V^H``, in which nothing is divided, so
that they are right for any matrix (G. W. Stewart, "On the adjugate matrix", Linear Algebra and its
Applications 283, 1998).
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from oplibrary.core.batching import trailing
from oplibrary.core.op import Kind, Op, example
from oplibrary.core.registry import public_in, register
from oplibrary.ops.diagonal import diagonal
from oplibrary.ops.elementwise import conj, imag, real
from oplibrary.ops.linalg import matmul
from oplibrary.ops.matrices import (
    NOT_CONVERGED,
    Conjugating,
    adjoint,
    attempted,
    computed,
    given,
    matrix_dtype,
    on_diagonal,
    quotient,
    require_square,
    without_diagonal,
)
from oplibrary.ops.movement import expand_dims, matrix_transpose
from oplibrary.ops.reduction import sum as sum_over
from oplibrary.ops.singular_values import svd
from oplibrary.ops.slicing import index_axis
from oplibrary.ops.solving import SQUARE_EXAMPLES, inverse_or_nan
from oplibrary.tangents.families import Push
from oplibrary.values.types import Array, TensorType, type_of

SINGULAR_MATRIX = example(np.array([[1.0, 2.0, 3.0], [2.0, 4.0, 6.0], [0.5, 1.0, -1.0]]))


def _scaled(g: Any, x: Any) -> Any:
    """Return each matrix of `x` times its number of `g`."""
    return expand_dims(g, axis=(-2, -1)) * x


# det ----------------------------------------------------------------------------------------------


def _det_infer(x: TensorType) -> TensorType:
    require_square("det", x)
    return TensorType(x.shape[:-2], matrix_dtype("det", x))


def _det_jvp(push: Push) -> Any:
    return sum_over(cofactors(push.operands[0]) * push.tangents[0], axis=(-2, -1))


det: Op = register(
    Op(
        name="det",
        kind=Kind.OPAQUE,
        arity=1,
        kernel=lambda x, out=None: computed("det", np.linalg.det, x, out, refusal=NOT_CONVERGED),
        infer=_det_infer,
        vjp=(Conjugating(lambda g, _out, x: _scaled(g, _conjugate(cofactors(x)))),),
        jvp=_det_jvp,
        takes_out=True,
        namespaces=("linalg",),
        examples=(*SQUARE_EXAMPLES, SINGULAR_MATRIX),
        batch=trailing,
        doc="Return the determinants of square matrices.",
    )
)


def _conjugate(x: Any) -> Any:
    return conj(x) if x.dtype.kind == "c" else x


def _without_one(s: Array) -> Array:
    """Return the product of all numbers along the last axis but each one."""
    before, after = np.ones_like(s), np.ones_like(s)
    np.cumprod(s[..., :-1], -1, out=before[..., 1:])
    np.cumprod(s[..., :0:-1], -1, out=after[..., -2::-1])
    return before * after


def _cofactors(x: Array, out: Array | None = None) -> Any:
    require_square("det", type_of(x))
    if not x.size:
        return given(np.zeros(x.shape, matrix_dtype("det", type_of(x))), out)
    u, s, vh = attempted("det", np.linalg.svd, x, refusal=NOT_CONVERGED)
    sign = np.linalg.det(u) * np.linalg.det(vh)
    result = (u.conj() * _without_one(s)[..., None, :]) @ vh.conj()
    return given(sign[..., None, None] * result, out)


def _cofactors_infer(x: TensorType) -> TensorType:
    require_square("det", x)
    return TensorType(x.shape, matrix_dtype("det", x))


def _cofactors_rule(g: Any, _out: Any, x: Any) -> Any:
    u, s, vh = svd(x)
    sign = det(u) * det(vh)
    inner = matmul(matmul(adjoint(u), _conjugate(g)), adjoint(vh))
    pairs = products_without_two(s)
    crossed = -pairs * matrix_transpose(without_diagonal(inner))
    straight = sum_over(pairs * expand_dims(diagonal(inner), axis=-2), axis=-1)
    weights = _scaled(sign, crossed + on_diagonal(straight, crossed))
    return matmul(matmul(u, _conjugate(weights)), vh)


cofactors: Op = register(
    Op(
        name="cofactors",
        kind=Kind.OPAQUE,
        arity=1,
        kernel=_cofactors,
        infer=_cofactors_infer,
        vjp=(Conjugating(_cofactors_rule),),
        takes_out=True,
        public=False,
        examples=SQUARE_EXAMPLES,
        batch=trailing,
        doc="Return the derivatives of the determinant by each element.",
    )
)


def _products_without_two(s: Array, out: Array | None = None) -> Any:
    n = s.shape[-1]
    result = np.zeros((*s.shape, n), s.dtype)
    before = np.ones_like(s)
    np.cumprod(s[..., :-1], -1, out=before[..., 1:])
    after = np.ones_like(s)
    np.cumprod(s[..., :0:-1], -1, out=after[..., -2::-1])
    for i in range(n - 1):
        between = np.ones_like(s[..., i + 1 :])
        np.cumprod(s[..., i + 1 : -1], -1, out=between[..., 1:])
        row = before[..., i, None] * between * after[..., i + 1 :]
        result[..., i, i + 1 :] = result[..., i + 1 :, i] = row
    return given(result, out)


def _products_rule(g: Any, out: Any, s: Any) -> Any:
    parts = g * out
    every = sum_over(parts, axis=(-2, -1), keepdims=True)
    without = every[..., 0] - sum_over(parts, axis=-1) - sum_over(parts, axis=-2)
    return quotient(without, s)


products_without_two: Op = register(
    Op(
        name="products_without_two",
        kind=Kind.OPAQUE,
        arity=1,
        kernel=_products_without_two,
        infer=lambda s: TensorType((*s.shape, s.shape[-1]), s.dtype),
        vjp=(_products_rule,),
        takes_out=True,
        public=False,
        domain=(0.5, 2.0),
        examples=(example((4,)), example((2, 3)), example((2,)), example((1,)), example((0,))),
        batch=trailing,
        doc="Return the products of all numbers along the last axis but two, for each two others.",
    )
)


# slogdet ------------------------------------------------------------------------------------------


class SlogdetResult(NamedTuple):
    """The signs of determinants, and the logarithms of their absolute values."""

    sign: Any
    logabsdet: Any


def _slogdet_parts(x: Array) -> Array:
    sign, logarithm = np.linalg.slogdet(x)
    return np.stack([sign, logarithm], -1)


def _slogdet_infer(x: TensorType) -> TensorType:
    require_square("slogdet", x)
    return TensorType((*x.shape[:-2], 2), matrix_dtype("slogdet", x))


def _slogdet_rule(g: Any, out: Any, x: Any) -> Any:
    weight = index_axis(g, index=1, axis=-1)
    if x.dtype.kind == "c":
        # along the circle of signs of one absolute value
        turned = imag(conj(index_axis(g, index=0, axis=-1)) * index_axis(out, index=0, axis=-1))
        weight = real(weight) - 1j * turned
    return _scaled(weight, adjoint(inverse_or_nan(x)))


slogdet_parts: Op = register(
    Op(
        name="slogdet",
        kind=Kind.OPAQUE,
        arity=1,
        kernel=lambda x, out=None: computed(
            "slogdet", _slogdet_parts, x, out, refusal=NOT_CONVERGED
        ),
        infer=_slogdet_infer,
        vjp=(Conjugating(_slogdet_rule),),
        takes_out=True,
        public=False,
        namespaces=("linalg",),
        examples=SQUARE_EXAMPLES,
        batch=trailing,
        doc="Return the sign of each determinant and the logarithm of its absolute value, joined.",
    )
)


@public_in("linalg")
def slogdet(x: Any) -> SlogdetResult:
    """Return the signs of determinants and the logarithms of their absolute values.

    The gradient of the logarithm of a singular matrix is NaN.

    Parameters
    ----------
    x : array, (..., n, n)

    Returns
    -------
    sign : array, (...)
        1, -1 or 0; of complex matrices a number of absolute value 1, or 0.
    logabsdet : array, (...)
        Real, -inf for a singular matrix.

    Raises
    ------
    MatrixShapeError
        If `x` holds no square matrices.

    Examples
    --------
    >>> sign, logarithm = slogdet(np.array([[0.0, 1.0], [1.0, 0.0]]))
    >>> float(sign), float(logarithm)
    (-1.0, 0.0)
    """
    parts = slogdet_parts(x)
    logarithm = index_axis(parts, index=1, axis=-1)
    if parts.dtype.kind == "c":
        logarithm = real(logarithm)
    return SlogdetResult(index_axis(parts, index=0, axis=-1), logarithm)
