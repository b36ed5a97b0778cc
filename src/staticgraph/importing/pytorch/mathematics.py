"""PyTorch's operators of linear algebra, Fourier transforms and complex numbers."""

from __future__ import annotations

from typing import Any

import numpy as np

from staticgraph.importing.pytorch.table import TABLE
from staticgraph.importing.shared.block import Several


def _matrices(name: str) -> Any:
    def entry(xp: Any, A: Any) -> Any:
        return getattr(xp.linalg, name)(A)

    return entry


for name in ("det", "inv"):
    TABLE.entry(f"aten.linalg_{name}.default")(_matrices(name))


@TABLE.entry("aten.linalg_solve.default", left=True)
def _solve(xp: Any, A: Any, B: Any) -> Any:
    return xp.linalg.solve(A, B)


@TABLE.entry("aten.linalg_cholesky.default")
def _cholesky(xp: Any, self: Any, upper: bool = False) -> Any:
    return xp.linalg.cholesky(self, upper=upper)


@TABLE.entry("aten.linalg_slogdet.default")
def _slogdet(xp: Any, A: Any) -> Any:
    return xp.linalg.slogdet(A)


@TABLE.entry("aten._linalg_svd.default", driver=None)
def _svd(xp: Any, A: Any, full_matrices: bool = False, compute_uv: bool = True) -> Any:
    if not compute_uv:
        return Several(lambda: None, lambda: xp.linalg.svdvals(A), lambda: None)
    return xp.linalg.svd(A, full_matrices=full_matrices)


@TABLE.entry("aten._linalg_eigh.default", UPLO="L")
def _eigh(xp: Any, A: Any, compute_v: bool = True) -> Any:
    if not compute_v:
        return Several(lambda: xp.linalg.eigvalsh(A), lambda: None)
    return xp.linalg.eigh(A)


@TABLE.entry("aten.linalg_qr.default")
def _qr(xp: Any, A: Any, mode: str = "reduced") -> Any:
    return xp.linalg.qr(A, mode=mode)


@TABLE.entry("aten.linalg_cholesky_ex.default", ignored=("check_errors",))
def _cholesky_ex(xp: Any, self: Any, upper: bool = False) -> Any:
    return Several(lambda: xp.linalg.cholesky(self, upper=upper))


@TABLE.entry("aten.linalg_inv_ex.default", ignored=("check_errors",))
def _inv_ex(xp: Any, A: Any) -> Any:
    return Several(lambda: xp.linalg.inv(A))


@TABLE.entry("aten._linalg_solve_ex.default", ignored=("check_errors",), left=True)
def _solve_ex(xp: Any, A: Any, B: Any) -> Any:
    return Several(lambda: xp.linalg.solve(A, B))


@TABLE.entry("aten._linalg_det.default")
def _det(xp: Any, A: Any) -> Any:
    return Several(lambda: xp.linalg.det(A))


@TABLE.entry("aten._linalg_slogdet.default")
def _slogdet_and_factors(xp: Any, A: Any) -> Any:
    return Several(lambda: xp.linalg.slogdet(A)[0], lambda: xp.linalg.slogdet(A)[1])


@TABLE.entry("aten.linalg_solve_triangular.default")
def _solve_triangular(
    xp: Any, self: Any, B: Any, upper: bool, left: bool = True, unitriangular: bool = False
) -> Any:
    if left:
        return xp.linalg.solve_triangular(self, B, lower=not upper, unit_diagonal=unitriangular)
    turned, right = xp.matrix_transpose(self), xp.matrix_transpose(B)
    found = xp.linalg.solve_triangular(turned, right, lower=upper, unit_diagonal=unitriangular)
    return xp.matrix_transpose(found)


@TABLE.entry("aten.triangular_solve.default")
def _triangular_solve(
    xp: Any,
    self: Any,
    A: Any,
    upper: bool = True,
    transpose: bool = False,
    unitriangular: bool = False,
) -> Any:
    return Several(
        lambda: xp.linalg.solve_triangular(
            A, self, int(transpose), lower=not upper, unit_diagonal=unitriangular
        ),
        lambda: A,
    )


@TABLE.entry("aten.cholesky.default")
def _older_cholesky(xp: Any, self: Any, upper: bool = False) -> Any:
    return xp.linalg.cholesky(self, upper=upper)


@TABLE.entry("aten.cholesky_solve.default")
def _cholesky_solve(xp: Any, self: Any, input2: Any, upper: bool = False) -> Any:
    triangle, solve = input2, xp.linalg.solve_triangular
    first, second = (2, 0) if upper else (0, 2)
    return solve(triangle, solve(triangle, self, first, not upper), second, not upper)


@TABLE.entry("aten.cholesky_inverse.default")
def _cholesky_inverse(xp: Any, self: Any, upper: bool = False) -> Any:
    return _cholesky_solve(xp, xp.eye(self.shape[-1], dtype=self.dtype), self, upper)


@TABLE.entry("aten.linalg_eig.default")
def _eig(xp: Any, self: Any) -> Any:
    return xp.linalg.eig(self)


@TABLE.entry("aten._linalg_eigvals.default")
def _eigvals(xp: Any, self: Any) -> Any:
    return xp.linalg.eigvals(self)


@TABLE.entry("aten._pdist_forward.default")
def _pdist(xp: Any, self: Any, p: float = 2) -> Any:
    first, second = np.triu_indices(self.shape[0], 1)
    apart = self[(xp.asarray(first),)] - self[(xp.asarray(second),)]
    return xp.vector_norm(apart, axis=-1, ord=p)


@TABLE.entry("aten.linalg_matrix_exp.default")
def _matrix_exp(xp: Any, self: Any) -> Any:
    return xp.linalg.expm(self)


@TABLE.entry("aten._cdist_forward.default", ignored=("compute_mode",))
def _cdist(xp: Any, x1: Any, x2: Any, p: float) -> Any:
    apart = xp.expand_dims(x1, axis=-2) - xp.expand_dims(x2, axis=-3)
    return xp.vector_norm(apart, axis=-1, ord=p)


@TABLE.entry("aten.dist.default")
def _dist(xp: Any, self: Any, other: Any, p: float = 2) -> Any:
    return xp.vector_norm(self - other, ord=p)


@TABLE.entry("aten.polygamma.default")
def _polygamma(xp: Any, n: int, self: Any) -> Any:
    return xp.special.polygamma(n, self)


# transforms ---------------------------------------------------------------------------------------

_FORWARD, _BACK = ("backward", "ortho", "forward"), ("forward", "ortho", "backward")
"""What PyTorch's numbers for a normalisation are called, in each direction."""


@TABLE.entry("aten._fft_r2c.default")
def _fft_r2c(xp: Any, self: Any, dim: Any, normalization: int, onesided: bool) -> Any:
    transform = xp.fft.rfftn if onesided else xp.fft.fftn
    return transform(self, axes=tuple(dim), norm=_FORWARD[normalization])


@TABLE.entry("aten._fft_c2c.default")
def _fft_c2c(xp: Any, self: Any, dim: Any, normalization: int, forward: bool) -> Any:
    if forward:
        return xp.fft.fftn(self, axes=tuple(dim), norm=_FORWARD[normalization])
    return xp.fft.ifftn(self, axes=tuple(dim), norm=_BACK[normalization])


@TABLE.entry("aten._fft_c2r.default")
def _fft_c2r(xp: Any, self: Any, dim: Any, normalization: int, last_dim_size: int) -> Any:
    *others, last = dim
    norm = _BACK[normalization]
    x = xp.fft.ifftn(self, axes=tuple(others), norm=norm) if others else self
    return xp.fft.irfft(x, n=last_dim_size, axis=last, norm=norm)


@TABLE.entry("aten.complex.default")
def _complex(xp: Any, real: Any, imag: Any) -> Any:
    dtype = np.result_type(real.dtype, np.complex64)
    return xp.astype(real, dtype) + xp.astype(imag, dtype) * 1j


@TABLE.entry("aten.polar.default")
def _polar(xp: Any, abs: Any, angle: Any) -> Any:
    return _complex(xp, abs * xp.cos(angle), abs * xp.sin(angle))


@TABLE.entry("aten.view_as_real.default")
def _view_as_real(xp: Any, self: Any) -> Any:
    return xp.stack([xp.real(self), xp.imag(self)], axis=-1)


@TABLE.entry("aten.view_as_complex.default")
def _view_as_complex(xp: Any, self: Any) -> Any:
    return _complex(xp, self[..., 0], self[..., 1])
