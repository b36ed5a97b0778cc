"""Eigenvalues and eigenvectors, of symmetric (Hermitian) matrices and of others."""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

import numpy as np

from oplibrary.core.batching import trailing
from oplibrary.core.op import Kind, Op, example
from oplibrary.core.registry import public_in, register
from oplibrary.ops.arguments import require_flag
from oplibrary.ops.diagonal import diagonal
from oplibrary.ops.elementwise import conj, real
from oplibrary.ops.linalg import matmul
from oplibrary.ops.matrices import (
    NOT_CONVERGED,
    Conjugating,
    adjoint,
    computed,
    matrix_dtype,
    on_diagonal,
    part,
    quotient,
    real_dtype,
    require_square,
    without_diagonal,
)
from oplibrary.ops.movement import expand_dims
from oplibrary.ops.slicing import index_axis
from oplibrary.ops.solving import solve_matrix
from oplibrary.values.dtypes import promoted
from oplibrary.values.types import Array, TensorType

EXAMPLES = (example((3, 3)), example((2, 2, 2)), example((1, 1)), example((0, 0)))


def _joined(result: Any) -> Array:
    """Return eigenvectors below a row of their eigenvalues."""
    values, vectors = result
    return np.concatenate([values[..., None, :].astype(vectors.dtype), vectors], -2)


def _parts(joined: Any) -> tuple[Any, Any]:
    """Return the eigenvalues and the matrices of eigenvectors, both of one dtype."""
    rows, columns = joined.shape[-2:]
    return index_axis(joined, index=0, axis=-2), part(joined, (1, rows), (0, columns))


def _joined_infer(name: str, dtype_of: Any) -> Any:
    def infer(x: TensorType, **_: Any) -> TensorType:
        n = require_square(name, x)
        return TensorType((*x.shape[:-2], n + 1, n), dtype_of(matrix_dtype(name, x)))

    return infer


def _values_infer(name: str, dtype_of: Any) -> Any:
    def infer(x: TensorType, upper: bool = False) -> TensorType:
        require_flag(upper, "upper")
        require_square(name, x)
        return TensorType(x.shape[:-1], dtype_of(matrix_dtype(name, x)))

    return infer


def _gaps(values: Any) -> Any:
    """Return the eigenvalue of each column less that of each row."""
    return expand_dims(values, axis=-2) - expand_dims(values, axis=-1)


# of symmetric matrices ----------------------------------------------------------------------------


class EighResult(NamedTuple):
    """The eigenvalues of symmetric matrices, and their eigenvectors, one a column."""

    eigenvalues: Any
    eigenvectors: Any


def _triangle(upper: bool) -> Literal["L", "U"]:
    return "U" if require_flag(upper, "upper") else "L"


def _eigh_rule(g: Any, out: Any, _x: Any, *, upper: bool) -> Any:
    """Return the gradient; M. Giles, "Collected matrix derivative results" (2008), section 3.1."""
    values, vectors = _parts(out)
    g_values, g_vectors = _parts(g)
    back = adjoint(vectors)
    turned = matmul(back, g_vectors)
    # the other part turns no eigenvector into another orthogonal one
    turned = without_diagonal(turned - adjoint(turned)) * 0.5
    inner = quotient(turned, _gaps(values))
    g_values = real(g_values) if g_values.dtype.kind == "c" else g_values
    return matmul(matmul(vectors, inner + on_diagonal(g_values, inner)), back)


eigh_joined: Op = register(
    Op(
        name="eigh",
        kind=Kind.OPAQUE,
        arity=1,
        kernel=lambda x, out=None, *, upper=False: computed(
            "eigh",
            lambda each: _joined(np.linalg.eigh(each, _triangle(upper))),
            x,
            out,
            refusal=NOT_CONVERGED,
        ),
        infer=_joined_infer("eigh", lambda dtype: dtype),
        vjp=(Conjugating(_eigh_rule),),
        attrs={"upper": False},
        takes_out=True,
        symmetric=True,
        public=False,
        namespaces=("linalg",),
        examples=(*EXAMPLES, example((3, 3), upper=True)),
        batch=trailing,
        doc="Return the eigenvalues and eigenvectors of symmetric matrices, joined.",
    )
)


@public_in("linalg")
def eigh(x: Any, upper: bool = False) -> EighResult:
    """Return the eigenvalues and eigenvectors of symmetric (Hermitian) matrices.

    One triangle is read. The gradient is symmetric, as the matrices are; it is that of
    eigenvectors up to signs (phases), and infinite or NaN where eigenvalues are equal and the
    result depends on which vectors were chosen.

    Parameters
    ----------
    x : array, (..., n, n)
    upper : bool
        Whether the upper triangle is read, and not the lower one.

    Returns
    -------
    eigenvalues : array, (..., n)
        Real, in ascending order.
    eigenvectors : array, (..., n, n)
        One a column.

    Raises
    ------
    LinAlgError
        If the iteration does not converge.
    MatrixShapeError
        If `x` holds no square matrices.

    Examples
    --------
    >>> eigh(np.array([[2.0, 0.0], [0.0, 1.0]])).eigenvalues.tolist()
    [1.0, 2.0]
    """
    values, vectors = _parts(eigh_joined(x, upper=require_flag(upper, "upper")))
    return EighResult(real(values) if values.dtype.kind == "c" else values, vectors)


def _eigvalsh_rule(g: Any, _out: Any, x: Any, *, upper: bool) -> Any:
    _, vectors = _parts(eigh_joined(x, upper=upper))
    return matmul(vectors * expand_dims(g, axis=-2), adjoint(vectors))


eigvalsh: Op = register(
    Op(
        name="eigvalsh",
        kind=Kind.OPAQUE,
        arity=1,
        kernel=lambda x, out=None, *, upper=False: computed(
            "eigvalsh",
            lambda each: np.linalg.eigvalsh(each, _triangle(upper)),
            x,
            out,
            refusal=NOT_CONVERGED,
        ),
        infer=_values_infer("eigvalsh", real_dtype),
        vjp=(Conjugating(_eigvalsh_rule),),
        attrs={"upper": False},
        takes_out=True,
        symmetric=True,
        namespaces=("linalg",),
        examples=EXAMPLES,
        batch=trailing,
        doc="Return the eigenvalues of symmetric (Hermitian) matrices, in ascending order.\n\n"
        "The lower triangle is read, or with `upper` the upper one; the gradient is symmetric, as "
        "the matrices are.",
    )
)


# of any square matrices ---------------------------------------------------------------------------


class EigResult(NamedTuple):
    """The eigenvalues of square matrices, and their eigenvectors, one a column."""

    eigenvalues: Any
    eigenvectors: Any


def _complex_dtype(dtype: np.dtype[Any]) -> np.dtype[Any]:
    return promoted(dtype, np.dtype(np.complex64))


def _eig(x: Array) -> Array:
    result = np.linalg.eig(x)
    dtype = _complex_dtype(result.eigenvectors.dtype)
    return _joined((result.eigenvalues, result.eigenvectors.astype(dtype)))


def _eigvals(x: Array) -> Array:
    values = np.linalg.eigvals(x)
    return values.astype(_complex_dtype(values.dtype))


def _fitting(result: Any, x: Any) -> Any:
    """Return the part of a gradient that the matrices of `x` have."""
    return result if x.dtype.kind == "c" else real(result)


def _eig_rule(g: Any, out: Any, x_type: TensorType) -> Any:
    """Return the gradient; C. Boeddeker et al., arXiv:1701.00392, for vectors of length 1."""
    values, vectors = _parts(out)
    g_values, g_vectors = _parts(g)
    back = adjoint(vectors)
    turned = matmul(back, g_vectors)
    lengths = expand_dims(real(diagonal(turned)), axis=-2)
    turned = without_diagonal(turned - matmul(back, vectors * lengths))
    inner = quotient(turned, conj(_gaps(values)))
    inner = inner + on_diagonal(g_values, inner)
    return _fitting(solve_matrix(back, matmul(inner, back)), x_type)


eig_joined: Op = register(
    Op(
        name="eig",
        kind=Kind.OPAQUE,
        arity=1,
        kernel=lambda x, out=None: computed("eig", _eig, x, out, refusal=NOT_CONVERGED),
        infer=_joined_infer("eig", _complex_dtype),
        vjp=(Conjugating(_eig_rule),),
        takes_out=True,
        public=False,
        namespaces=("linalg",),
        examples=EXAMPLES,
        batch=trailing,
        doc="Return the eigenvalues and eigenvectors of square matrices, joined.",
    )
)


@public_in("linalg")
def eig(x: Any) -> EigResult:
    """Return the eigenvalues and eigenvectors of square matrices, which are complex.

    Parameters
    ----------
    x : array, (..., n, n)

    Returns
    -------
    eigenvalues : array, (..., n)
        Complex, in no order.
    eigenvectors : array, (..., n, n)
        Complex, one a column, each of length 1.

    Raises
    ------
    LinAlgError
        If a matrix holds NaN or infinities.
    MatrixShapeError
        If `x` holds no square matrices.

    Examples
    --------
    >>> eig(np.array([[0.0, -1.0], [1.0, 0.0]])).eigenvalues.tolist()
    [1j, -1j]
    """
    return EigResult(*_parts(eig_joined(x)))


def _eigvals_rule(g: Any, _out: Any, x: Any) -> Any:
    _, vectors = _parts(eig_joined(x))
    back = adjoint(vectors)
    return _fitting(solve_matrix(back, expand_dims(g, axis=-1) * back), x)


eigvals: Op = register(
    Op(
        name="eigvals",
        kind=Kind.OPAQUE,
        arity=1,
        kernel=lambda x, out=None: computed("eigvals", _eigvals, x, out, refusal=NOT_CONVERGED),
        infer=_values_infer("eigvals", _complex_dtype),
        vjp=(Conjugating(_eigvals_rule),),
        takes_out=True,
        namespaces=("linalg",),
        examples=EXAMPLES,
        batch=trailing,
        doc="Return the eigenvalues of square matrices, which are complex, in no order.",
    )
)
