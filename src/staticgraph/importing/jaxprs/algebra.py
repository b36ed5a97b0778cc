"""JAX's primitives of linear algebra and Fourier transforms."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from oplibrary.transforms.custom_jvp import custom_jvp
from staticgraph.importing.jaxprs.table import TABLE


@TABLE.entry("fft")
def _fft(xp: Any, x: Any, fft_type: Any, fft_lengths: Any) -> Any:
    name = str(getattr(fft_type, "name", fft_type)).upper()
    axes = tuple(range(-len(fft_lengths), 0))
    if name == "IRFFT":
        return xp.fft.irfftn(x, s=tuple(fft_lengths), axes=axes)
    return getattr(xp.fft, {"FFT": "fftn", "IFFT": "ifftn", "RFFT": "rfftn"}[name])(x, axes=axes)


@TABLE.entry("cholesky", symmetrize_input=True)
def _cholesky(xp: Any, x: Any) -> Any:
    return lower_factor(xp, xp.asarray(x))


@partial(custom_jvp, nondiff_argnums=0)
def lower_factor(xp: Any, x: Any) -> Any:
    """Return the factor that the lower triangle gives.

    JAX's derivative takes each element of a tangent as it is, which makes a gradient that is not
    symmetric where the program does not make its matrix so.
    """
    return xp.linalg.cholesky(x)


def _tangent_of_factor(xp: Any, primals: Any, tangents: Any) -> Any:
    """Return L times the lower half of L^-1 t L^-H; see Murray, arXiv:1602.07527."""
    (x,), (t,) = primals, tangents
    factor = lower_factor(xp, x)
    right = _turned(xp, xp.linalg.solve_triangular(factor, _turned(xp, t), 0, True, False))
    both = xp.linalg.solve_triangular(factor, right, 0, True, False)
    n = x.shape[-1]
    half = xp.asarray(np.tril(np.full((n, n), 1.0)) - np.eye(n) / 2)
    return factor, xp.matmul(factor, both * xp.astype(half, x.dtype))


lower_factor.defjvp(_tangent_of_factor)  # type: ignore[attr-defined]


def _turned(xp: Any, x: Any) -> Any:
    turned = xp.matrix_transpose(x)
    return xp.conj(turned) if x.dtype.kind == "c" else turned


@TABLE.entry("triangular_solve")
def _triangular_solve(
    xp: Any,
    a: Any,
    b: Any,
    left_side: bool,
    lower: bool,
    transpose_a: bool,
    conjugate_a: bool,
    unit_diagonal: bool,
) -> Any:
    if conjugate_a and not transpose_a:
        a = xp.conj(a)
    if not left_side:  # x a = b, whose transpose is a^T x^T = b^T
        b = xp.matrix_transpose(b)
        if transpose_a and conjugate_a:
            a = xp.conj(a)
        transpose, conjugate = not transpose_a, False
    else:
        transpose, conjugate = transpose_a, conjugate_a
    how = (2 if conjugate else 1) if transpose else 0
    found = xp.linalg.solve_triangular(a, b, how, lower, unit_diagonal)
    return found if left_side else xp.matrix_transpose(found)


@TABLE.entry("qr", ignored=("use_magma",), pivoting=False)
def _qr(xp: Any, x: Any, full_matrices: bool) -> Any:
    return list(xp.linalg.qr(x, mode="complete" if full_matrices else "reduced"))


@TABLE.entry("svd", ignored=("algorithm",), subset_by_index=None)
def _svd(xp: Any, x: Any, full_matrices: bool, compute_uv: bool) -> Any:
    if not compute_uv:
        return [xp.linalg.svdvals(x)]
    u, s, vh = xp.linalg.svd(x, full_matrices=full_matrices)
    return [s, u, vh]


@TABLE.entry(
    "eigh", ignored=("algorithm", "implementation"), subset_by_index=None, sort_eigenvalues=True
)
def _eigh(xp: Any, x: Any, lower: bool) -> Any:
    values, vectors = xp.linalg.eigh(x if lower else _turned(xp, x))
    return [vectors, values]


@TABLE.entry(
    "eig", ignored=("enable_eigvec_derivs", "implementation"), compute_left_eigenvectors=False
)
def _eig(xp: Any, x: Any, compute_right_eigenvectors: bool) -> Any:
    if not compute_right_eigenvectors:
        return [xp.linalg.eigvals(x)]
    return list(xp.linalg.eig(x))


@TABLE.entry("lu", pivot_size=None)
def _lu(xp: Any, x: Any) -> Any:
    """Eliminate column by column, rows in the order of the largest first, as LAPACK does.

    The gradient is that of the steps, so that no rule of its own is needed.
    """
    *before, rows, columns = x.shape
    whole = np.dtype("int32")
    i, j = xp.asarray(np.arange(rows, dtype=whole)), xp.asarray(np.arange(columns, dtype=whole))
    count = min(rows, columns)
    places = xp.broadcast_to(i[:count], (*before, count))

    def step(k: Any, carry: Any) -> Any:
        a, order, pivots = carry
        k = xp.astype(xp.asarray(k), whole)
        size = xp.where(i >= k, xp.abs(xp.take(a, k, axis=-1)), -1)
        largest = xp.astype(xp.argmax(size, axis=-1, keepdims=True), whole)
        swapped = xp.where(i == k, largest, xp.where(i == largest, k, i))
        a = xp.take_along_axis(a, swapped[..., None], axis=-2)
        order = xp.take_along_axis(order, swapped, axis=-1)
        pivots = xp.where(i[:count] == k, largest, pivots)
        row, column = xp.take(a, k, axis=-2), xp.take(a, k, axis=-1)
        pivot = xp.take(row, k, axis=-1)[..., None]
        # of a column of zeros nothing is to be taken
        factor = xp.where(i > k, column / xp.where(pivot == 0, 1, pivot), 0)[..., None]
        later = xp.where(j > k, row, 0)[..., None, :]
        below = xp.logical_and(j == k, (i > k)[:, None])
        return xp.where(below, factor, a - factor * later), order, pivots

    start = (x, xp.broadcast_to(i, (*before, rows)), places)
    a, order, pivots = xp.fori_loop(0, count, step, start)
    return [a, pivots, order]


@TABLE.entry("lu_pivots_to_permutation")
def _lu_pivots_to_permutation(xp: Any, pivots: Any, permutation_size: int) -> Any:
    """Swap, for each pivot in turn, its row with the row of its number."""
    whole = np.dtype("int32")
    i = xp.asarray(np.arange(permutation_size, dtype=whole))

    def step(k: Any, order: Any) -> Any:
        k = xp.astype(xp.asarray(k), whole)
        other = xp.take(pivots, k, axis=-1)[..., None]
        return xp.take_along_axis(
            order, xp.where(i == k, other, xp.where(i == other, k, i)), axis=-1
        )

    start = xp.broadcast_to(i, (*pivots.shape[:-1], permutation_size))
    return xp.fori_loop(0, pivots.shape[-1], step, start)


@TABLE.entry("householder_product")
def _householder_product(xp: Any, a: Any, taus: Any) -> Any:
    """Multiply the reflections that the columns of `a` hold below the diagonal."""
    rows, columns = a.shape[-2:]
    product = xp.eye(rows, columns, dtype=a.dtype)
    product = xp.broadcast_to(product, a.shape)
    for i in reversed(range(taus.shape[-1])):
        below = a[..., i + 1 :, i : i + 1]
        zeros = xp.zeros((*a.shape[:-2], i, 1), dtype=a.dtype)
        one = xp.ones((*a.shape[:-2], 1, 1), dtype=a.dtype)
        v = xp.concat([zeros, one, below], axis=-2)
        along = xp.matmul(xp.matrix_transpose(v), product)
        product = product - taus[..., i : i + 1, None] * xp.matmul(v, along)
    return product
