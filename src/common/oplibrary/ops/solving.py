"""Linear systems: solve, inv, triangular systems and the Cholesky decomposition."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from oplibrary.core.batching import trailing
from oplibrary.core.op import Kind, Op, example
from oplibrary.core.registry import public_in, register
from oplibrary.messages.errors import ArgumentError, LinAlgError, ShapeError
from oplibrary.ops.arguments import operand_type, require_flag
from oplibrary.ops.diagonal import diagonal, tril, triu
from oplibrary.ops.linalg import matmul
from oplibrary.ops.matrices import (
    NOT_DEFINITE,
    SINGULAR,
    Conjugating,
    adjoint,
    computed,
    given,
    matrix_dtype,
    on_diagonal,
    require_matrix,
    require_square,
)
from oplibrary.ops.movement import expand_dims, matrix_transpose, squeeze
from oplibrary.tangents.families import Push
from oplibrary.values.dtypes import is_bfloat16
from oplibrary.values.types import Array, TensorType, broadcast_shapes, type_of

NAMESPACES = ("linalg",)


def _square_infer(name: str) -> Any:
    """Return the rule of an op whose result is a matrix like its square operand."""

    def infer(x: TensorType) -> TensorType:
        require_square(name, x)
        return TensorType(x.shape, matrix_dtype(name, x))

    return infer


# the inverse --------------------------------------------------------------------------------------

SQUARE_EXAMPLES = (
    example(np.array([[2.0, 1.0, 0.5], [-0.5, 3.0, 1.0], [1.0, 0.25, -2.0]])),
    example(np.array([[[4.0]], [[-0.5]]])),
    example(np.array([[[1.0, 2.0], [3.0, 1.0]], [[0.5, -1.0], [2.0, 1.0]]])),
    example((0, 0)),
    example((0, 2, 2)),
)


def _inv_rule(g: Any, out: Any, _x: Any) -> Any:
    back = adjoint(out)
    return -matmul(matmul(back, g), back)


def _inv_jvp(push: Push) -> Any:
    return -matmul(matmul(push.out, push.tangents[0]), push.out)


inv: Op = register(
    Op(
        name="inv",
        kind=Kind.OPAQUE,
        arity=1,
        kernel=lambda x, out=None: computed("inv", np.linalg.inv, x, out, refusal=SINGULAR),
        infer=_square_infer("inv"),
        routine="oplibrary.machine.routines.lapack:inverses",
        vjp=(Conjugating(_inv_rule),),
        jvp=_inv_jvp,
        takes_out=True,
        examples=SQUARE_EXAMPLES,
        namespaces=NAMESPACES,
        batch=trailing,
        doc="Return the inverses of square matrices. One that is singular is refused.",
    )
)


def _inverse_or_nan(x: Array, out: Array | None = None) -> Any:
    matrix_dtype("inv", type_of(x))
    try:
        result = np.linalg.inv(x)
    except np.linalg.LinAlgError:
        result = np.full(x.shape, np.nan, matrix_dtype("inv", type_of(x)))
        for index in np.ndindex(x.shape[:-2]):
            try:
                result[index] = np.linalg.inv(x[index])
            except np.linalg.LinAlgError:
                continue
    return given(result, out)


inverse_or_nan: Op = register(
    Op(
        name="inverse_or_nan",
        kind=Kind.OPAQUE,
        arity=1,
        kernel=_inverse_or_nan,
        infer=_square_infer("inv"),
        routine="oplibrary.machine.routines.lapack:inverses_or_nan",
        vjp=(Conjugating(_inv_rule),),
        jvp=_inv_jvp,
        takes_out=True,
        public=False,
        examples=SQUARE_EXAMPLES,
        batch=trailing,
        doc="Return the inverses of square matrices, NaN for one that is singular.",
    )
)


# linear systems -----------------------------------------------------------------------------------


def _systems(name: str, a: TensorType, b: TensorType) -> TensorType:
    """Return the type of the solutions of ``a @ x = b``, where `b` holds matrices."""
    n = require_square(name, a)
    require_matrix(name, b)
    if b.shape[-2] != n:
        raise ShapeError(
            f"{name}: shapes {a.shape} and {b.shape}: {n} equations have {b.shape[-2]} right sides",
            cause="the right sides are the rows of b, one an equation",
            fix="give b as many rows as a has; transpose it where they are its columns",
        )
    batch = broadcast_shapes(a.shape[:-2], b.shape[:-2])
    return TensorType((*batch, n, b.shape[-1]), matrix_dtype(name, a, b))


def _solve(a: Array, b: Array, out: Array | None = None) -> Any:
    if b.ndim < 2 or is_bfloat16(b.dtype):  # NumPy reads a vector otherwise
        _systems("solve", type_of(a), type_of(b))
    return computed(
        "solve",
        lambda x: np.linalg.solve(x, b),
        a,
        out,
        refusal=SINGULAR,
        refuses=np.linalg.inv,
    )


def _solve_a_rule(g: Any, out: Any, a: Any, _b: Any) -> Any:
    return -matmul(solve_matrix(adjoint(a), g), adjoint(out))


def _solve_jvp(push: Push) -> Any:
    """Solve for the tangent: ``a @ dx = db - da @ x``."""
    da, db = push.tangents
    moved = None if da is None else matmul(da, push.out)
    right = db if moved is None else -moved if db is None else db - moved
    return push.op(push.operands[0], right, **push.attrs)


solve_matrix: Op = register(
    Op(
        name="solve",
        kind=Kind.OPAQUE,
        arity=2,
        kernel=_solve,
        infer=lambda a, b: _systems("solve", a, b),
        routine="oplibrary.machine.routines.lapack:solutions",
        vjp=(
            Conjugating(_solve_a_rule),
            Conjugating(lambda g, _out, a, _b: solve_matrix(adjoint(a), g)),
        ),
        jvp=_solve_jvp,
        takes_out=True,
        operand_names=("a", "b"),
        public=False,
        namespaces=NAMESPACES,
        examples=(
            example(SQUARE_EXAMPLES[0].operands[0], (3, 2)),
            example(SQUARE_EXAMPLES[2].operands[0], (2, 1)),
            example(SQUARE_EXAMPLES[2].operands[0], (3, 1, 2, 2)),
            example((0, 0), (0, 2)),
            example(SQUARE_EXAMPLES[0].operands[0], (3, 0)),
        ),
        batch=trailing,
        doc="Return the matrices x of a @ x = b, for matrices b.",
    )
)


@public_in("linalg")
def solve(a: Any, b: Any) -> Any:
    """Return the solutions x of the linear systems ``a @ x = b``.

    Parameters
    ----------
    a : array, (..., n, n)
    b : array, (n,) or (..., n, k)
        A vector, or matrices whose columns are right sides. Axes before the last two broadcast.

    Returns
    -------
    array, (..., n) or (..., n, k)

    Raises
    ------
    LinAlgError
        If a matrix is singular.
    MatrixShapeError
        If `a` holds no square matrices.
    ShapeError
        If `b` does not fit.

    Examples
    --------
    >>> solve(np.array([[2.0, 0.0], [0.0, 4.0]]), np.array([2.0, 2.0])).tolist()
    [1.0, 0.5]
    """
    require_square("solve", operand_type("solve", a))
    if operand_type("solve", b).ndim != 1:
        return solve_matrix(a, b)
    return squeeze(solve_matrix(a, expand_dims(b, axis=-1)), axis=-1)


# triangular systems -------------------------------------------------------------------------------

_SMALL = 32
"""Up to that order a triangular system is solved by the general solver, whose loop over a batch is
compiled; its elimination finds zeros only."""


def _triangle(a: Array, lower: bool, unit_diagonal: bool) -> Array:
    """Return the part of `a` that is read, upper: a lower one with rows and columns reversed."""
    result: Array = np.triu(a[..., ::-1, ::-1] if lower else a)
    if unit_diagonal:
        at = np.arange(a.shape[-1])
        result[..., at, at] = 1
    return result


def _solve_triangular(
    a: Array,
    b: Array,
    out: Array | None = None,
    *,
    lower: bool = False,
    unit_diagonal: bool = False,
) -> Any:
    solution = _solve_triangular_infer(
        type_of(a), type_of(b), lower=lower, unit_diagonal=unit_diagonal
    )
    triangle = _triangle(a, lower, unit_diagonal)
    if not np.diagonal(triangle, 0, -2, -1).all():
        raise LinAlgError("solve_triangular: a number on the diagonal is 0: the matrix is singular")
    right = b[..., ::-1, :] if lower else b
    if solution.shape[-2] <= _SMALL:
        result = np.linalg.solve(triangle, right)
    else:
        result = _back_substitution(triangle, right, solution)
    if lower:
        result = result[..., ::-1, :]
    return given(result, out)


def _back_substitution(triangle: Array, right: Array, solution: TensorType) -> Array:
    from scipy.linalg import lapack

    run = lapack.get_lapack_funcs("trtrs", dtype=solution.dtype)
    batch = solution.shape[:-2]
    triangles = np.broadcast_to(triangle, (*batch, *triangle.shape[-2:]))
    rights = np.broadcast_to(right, (*batch, *right.shape[-2:]))
    result = np.empty(solution.shape, solution.dtype)
    for index in np.ndindex(batch):
        result[index] = run(triangles[index], rights[index])[0]
    return result


def _solve_triangular_infer(
    a: TensorType, b: TensorType, *, lower: bool = False, unit_diagonal: bool = False
) -> TensorType:
    require_flag(lower, "lower")
    require_flag(unit_diagonal, "unit_diagonal")
    return _systems("solve_triangular", a, b)


def _triangular_b_rule(
    g: Any, _out: Any, a: Any, _b: Any, *, lower: bool, unit_diagonal: bool
) -> Any:
    return triangular(adjoint(a), g, lower=not lower, unit_diagonal=unit_diagonal)


def _triangular_a_rule(
    g: Any, out: Any, a: Any, _b: Any, *, lower: bool, unit_diagonal: bool
) -> Any:
    back = triangular(adjoint(a), g, lower=not lower, unit_diagonal=unit_diagonal)
    whole = -matmul(back, adjoint(out))
    return tril(whole, k=-int(unit_diagonal)) if lower else triu(whole, k=int(unit_diagonal))


def _triangular_jvp(push: Push) -> Any:
    da, db = push.tangents
    if da is not None:
        off = int(push.attrs["unit_diagonal"])
        da = tril(da, k=-off) if push.attrs["lower"] else triu(da, k=off)
    return _solve_jvp(replace(push, tangents=(da, db)))


triangular: Op = register(
    Op(
        name="solve_triangular",
        kind=Kind.OPAQUE,
        arity=2,
        kernel=_solve_triangular,
        infer=_solve_triangular_infer,
        routine="oplibrary.machine.routines.lapack:triangular_solutions",
        vjp=(Conjugating(_triangular_a_rule), Conjugating(_triangular_b_rule)),
        jvp=_triangular_jvp,
        attrs={"lower": False, "unit_diagonal": False},
        takes_out=True,
        operand_names=("a", "b"),
        public=False,
        namespaces=NAMESPACES,
        examples=(
            example(SQUARE_EXAMPLES[0].operands[0], (3, 2)),
            example(SQUARE_EXAMPLES[2].operands[0], (3, 1, 2, 2), lower=True),
            example((3, 3), (2, 3, 1), unit_diagonal=True),
            example((2, 2), (2, 2), lower=True, unit_diagonal=True),
            example((0, 0), (0, 2)),
        ),
        batch=trailing,
        doc="Return the matrices x of a @ x = b, for triangular a and matrices b.",
    )
)


@public_in("linalg")
def solve_triangular(
    a: Any, b: Any, trans: int | str = 0, lower: bool = False, unit_diagonal: bool = False
) -> Any:
    """Return the solutions x of ``a @ x = b``, where `a` is triangular.

    Parameters
    ----------
    a : array, (..., n, n)
        One triangle of it is read.
    b : array, (n,) or (..., n, k)
        A vector, or matrices whose columns are right sides. Axes before the last two broadcast.
    trans : {0, 1, 2} or {"N", "T", "C"}
        1 solves with the transpose of `a`, 2 with the conjugate transpose.
    lower : bool
        Read the lower triangle of `a` in place of the upper one.
    unit_diagonal : bool
        Read ones in place of the diagonal of `a`.

    Returns
    -------
    array, (..., n) or (..., n, k)

    Raises
    ------
    LinAlgError
        If a number on the diagonal is 0.
    MatrixShapeError, ShapeError
        If the shapes do not fit.
    ArgumentError
        If `trans` is something else.

    Examples
    --------
    >>> solve_triangular(np.array([[2.0, 2.0], [0.0, 4.0]]), np.array([3.0, 2.0])).tolist()
    [1.0, 0.5]
    """
    if not isinstance(trans, (int, str)) or trans not in (0, 1, 2, "N", "T", "C"):
        raise ArgumentError(
            f"solve_triangular: trans is {trans!r}",
            cause="it says whether a is transposed",
            fix='pass 0, 1 for the transpose or 2 for the conjugate one; "N", "T" and "C" are they',
        )
    require_square("solve_triangular", operand_type("solve_triangular", a))
    if trans not in (0, "N"):
        a, lower = (matrix_transpose if trans in (1, "T") else adjoint)(a), not lower
    if operand_type("solve_triangular", b).ndim != 1:
        return triangular(a, b, lower=lower, unit_diagonal=unit_diagonal)
    column = triangular(a, expand_dims(b, axis=-1), lower=lower, unit_diagonal=unit_diagonal)
    return squeeze(column, axis=-1)


# the Cholesky decomposition -----------------------------------------------------------------------

DEFINITE_EXAMPLES = (
    example(np.array([[4.0, 1.0, 0.5], [1.0, 3.0, -1.0], [0.5, -1.0, 2.0]])),
    example(np.array([[[2.0, 1.0], [1.0, 3.0]], [[5.0, -2.0], [-2.0, 1.0]]])),
    example(np.array([[2.0]])),
    example((0, 0)),
)


def _cholesky_infer(x: TensorType, *, upper: bool = False) -> TensorType:
    require_flag(upper, "upper")
    require_square("cholesky", x)
    return TensorType(x.shape, matrix_dtype("cholesky", x))


def _cholesky_rule(g: Any, out: Any, _x: Any, *, upper: bool) -> Any:
    """Return the gradient; I. Murray, "Differentiation of the Cholesky decomposition" (2016)."""
    low, g = (adjoint(out), adjoint(g)) if upper else (out, g)
    back = adjoint(low)
    inner = tril(matmul(back, g))
    inner = inner - on_diagonal(diagonal(inner) * 0.5, inner)
    # back^-1 inner low^-1, from both sides
    half = triangular(back, inner)
    whole = adjoint(triangular(back, adjoint(half)))
    return (whole + adjoint(whole)) * 0.5


cholesky: Op = register(
    Op(
        name="cholesky",
        kind=Kind.OPAQUE,
        arity=1,
        kernel=lambda x, out=None, *, upper=False: computed(
            "cholesky",
            lambda each: np.linalg.cholesky(each, upper=require_flag(upper, "upper")),
            x,
            out,
            refusal=NOT_DEFINITE,
        ),
        infer=_cholesky_infer,
        routine="oplibrary.machine.routines.lapack:factors",
        vjp=(Conjugating(_cholesky_rule),),
        attrs={"upper": False},
        takes_out=True,
        symmetric=True,
        namespaces=NAMESPACES,
        examples=(
            *DEFINITE_EXAMPLES,
            *[example(*each.operands, upper=True) for each in DEFINITE_EXAMPLES[:2]],
        ),
        batch=trailing,
        doc="Return the triangular matrices L of x = L @ L^H, or with `upper` U of x = U^H @ U.\n\n"
        "Of symmetric (Hermitian) matrices the lower triangle is read, with `upper` the upper one; "
        "the gradient is symmetric, as the matrices are. One that is not positive definite is "
        "refused.",
    )
)
