"""The QR decomposition."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from oplibrary.core.batching import trailing
from oplibrary.core.op import Kind, Op, example
from oplibrary.core.registry import public_in, register
from oplibrary.messages.errors import ArgumentError
from oplibrary.ops.arguments import operand_type
from oplibrary.ops.diagonal import diagonal, triu
from oplibrary.ops.joining import concat
from oplibrary.ops.linalg import matmul
from oplibrary.ops.matrices import (
    NOT_CONVERGED,
    Conjugating,
    adjoint,
    computed,
    matrix_dtype,
    on_diagonal,
    part,
    require_matrix,
)
from oplibrary.ops.movement import matrix_transpose
from oplibrary.ops.singular_values import completed
from oplibrary.ops.solving import triangular
from oplibrary.values.types import Array, TensorType


class QRResult(NamedTuple):
    """Orthonormal columns Q and a triangular R: ``x = Q @ R``."""

    Q: Any
    R: Any


def _width(x: Any, complete: bool) -> int:
    """Return how many columns Q has."""
    rows, columns = x.shape[-2:]
    return int(rows if complete else min(rows, columns))


def _qr_joined(x: Array, complete: bool) -> Array:
    """Return Q, and the transpose of R below it."""
    q, r = np.linalg.qr(x, "complete" if complete else "reduced")
    return np.concatenate([q, r.swapaxes(-1, -2)], -2)


def _qr_infer(x: TensorType, *, complete: bool = False) -> TensorType:
    rows, columns = require_matrix("qr", x)
    shape = (*x.shape[:-2], rows + columns, _width(x, complete))
    return TensorType(shape, matrix_dtype("qr", x))


def _qr_parts(joined: Any, rows: int, columns: int, width: int) -> tuple[Any, Any]:
    """Return so many columns of Q, and so many rows of R."""
    right = part(joined, (rows, rows + columns), (0, width))
    return part(joined, (0, rows), (0, width)), matrix_transpose(right)


def _qr_rule(g: Any, out: Any, x_type: TensorType, *, complete: bool) -> Any:
    """Return the gradient, from the first min(n, m) columns: the others follow as Q @ R.

    S. Walter and L. Lehmann, "Algorithmic differentiation of linear algebra functions with
    application in optimum experimental design" (2010).
    """
    rows, columns = x_type.shape[-2:]
    width = min(rows, columns)
    q, r = _qr_parts(out, rows, columns, width)
    gq, gr = _qr_parts(g, rows, columns, width)
    others = None
    if columns > width:
        beyond, g_beyond = (
            part(r, (0, width), (width, columns)),
            part(gr, (0, width), (width, columns)),
        )
        r, gr = part(r, (0, width), (0, width)), part(gr, (0, width), (0, width))
        gq = gq + matmul(matmul(q, beyond), adjoint(g_beyond))
        others = matmul(q, g_beyond)
    inner = triu(matmul(gr, adjoint(r)) - matmul(adjoint(q), gq))
    inner = inner + adjoint(inner)
    inner = inner - on_diagonal(diagonal(inner) * 0.5, inner)
    # what is solved is result @ r^H = gq + q @ inner
    result = adjoint(triangular(r, adjoint(gq + matmul(q, inner))))
    return result if others is None else concat([result, others], axis=-1)


qr_joined: Op = register(
    Op(
        name="qr",
        kind=Kind.OPAQUE,
        arity=1,
        kernel=lambda x, out=None, *, complete=False: computed(
            "qr",
            lambda each: _qr_joined(each, complete),
            x,
            out,
            refusal=NOT_CONVERGED,
            square=False,
        ),
        infer=_qr_infer,
        vjp=(Conjugating(_qr_rule),),
        attrs={"complete": False},
        takes_out=True,
        public=False,
        namespaces=("linalg",),
        examples=(
            example((3, 3)),
            example((3, 2)),
            example((2, 2, 3)),
            example((1, 1)),
            example((0, 2)),
            example((2, 0)),
        ),
        batch=trailing,
        doc="Return orthonormal columns and triangular matrices whose product is x, joined.",
    )
)


@public_in("linalg")
def qr(x: Any, mode: str = "reduced") -> QRResult:
    """Return the decompositions ``x = Q @ R`` into orthonormal columns and a triangular matrix.

    Gradients need linearly independent columns, the first min(n, m) of them. The columns that
    ``"complete"`` adds have none; a gradient of them is refused.

    Parameters
    ----------
    x : array, (..., n, m)
    mode : {"reduced", "complete"}
        ``"complete"`` gives Q n columns, and R n rows.

    Returns
    -------
    Q : array, (..., n, k)
        With k = min(n, m), or n.
    R : array, (..., k, m)

    Raises
    ------
    ArgumentError
        If `mode` is another one.
    MatrixShapeError
        If `x` has fewer than two axes.

    Examples
    --------
    >>> q, r = qr(np.array([[0.0, 2.0], [1.0, 3.0]]))
    >>> (q @ r).tolist()
    [[0.0, 2.0], [1.0, 3.0]]
    """
    if mode not in ("reduced", "complete"):
        raise ArgumentError(
            f"qr: mode is {mode!r}",
            cause="it says how many columns Q has",
            fix='pass mode="reduced" or mode="complete"',
        )
    rows, columns = require_matrix("qr", operand_type("qr", x))
    complete = mode == "complete" and rows > columns
    joined = qr_joined(x, complete=complete)
    q, r = _qr_parts(joined, rows, columns, rows if complete else min(rows, columns))
    return QRResult(completed(q, min(rows, columns)), r)
