"""Scans: results in which each position depends on all positions before it."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np

from oplibrary.core.batching import along_axis
from oplibrary.core.op import Kind, Op, Rule, example
from oplibrary.core.registry import register
from oplibrary.messages.errors import DTypeError, ShapeError
from oplibrary.ops.arguments import require_flag
from oplibrary.ops.kernels import halves_in_float32, halves_lowered
from oplibrary.ops.options import DTYPE
from oplibrary.ops.slicing import flip, pad_op, slice_axis
from oplibrary.tangents.families import Push, linear
from oplibrary.values.dtypes import promoted
from oplibrary.values.types import Array, Shape, TensorType, normalize_axis

LOOP_WIDTH = 256
"""Elements a step from which a loop over the axis beats doubling, with log2(n) times the work."""


def shift_axis(x: Any, by: int, axis: int, length: int) -> Any:
    """Return `x` moved by one position to the right (1) or left (-1), with a zero moving in."""
    kept = slice_axis(x, start=max(-by, 0), stop=length - max(by, 0), axis=axis)
    ends = (max(by, 0), max(-by, 0))
    return pad_op(kept, pad_width=tuple(ends if i == axis else (0, 0) for i in range(x.ndim)))


@lru_cache(1024, typed=True)
def scan_axis(name: str, ndim: int, axis: int | None) -> int:
    """Return the axis that `name` goes along, counted from the left.

    Raises
    ------
    ShapeError
        If there is none, or it was left out where there are several.
    """
    if ndim == 0:
        raise ShapeError(
            f"{name} of a scalar",
            cause="there is no axis to accumulate along",
            fix="reshape it to one axis first",
        )
    if axis is not None:
        return normalize_axis(axis, ndim)
    if ndim > 1:
        raise ShapeError(
            f"{name}: axis is missing",
            cause=f"with {ndim} axes it is not clear which to accumulate along",
            fix="pass axis=..., or flatten the operand first",
        )
    return 0


def _scan(
    name: str, ufunc: np.ufunc, vjp: Rule, jvp: Rule, routine: str, alias: str, doc: str
) -> Op:
    """Register the running reduction of `ufunc`."""

    @halves_in_float32(1)
    def kernel(
        x: Array,
        out: Array | None = None,
        *,
        axis: int | None = None,
        include_initial: bool = False,
    ) -> Any:
        at = scan_axis(name, x.ndim, axis)
        if include_initial is False or not require_flag(include_initial, "include_initial"):
            return ufunc.accumulate(x, at, None, out)
        if out is None:
            given = infer(TensorType(x.shape, x.dtype), axis=at, include_initial=True)
            out = np.empty(given.shape, given.dtype)
        before = (slice(None),) * at
        out[(*before, slice(1))] = ufunc.identity
        ufunc.accumulate(x, at, None, out[(*before, slice(1, None))])
        return out

    def infer(
        x: TensorType, *, axis: int | None = None, include_initial: bool = False
    ) -> TensorType:
        at = scan_axis(name, x.ndim, axis)
        try:
            dtype = ufunc.accumulate(np.zeros(0, x.dtype)).dtype
        except TypeError:
            raise DTypeError(f"{name} is not defined for {x.dtype}") from None
        added = 1 if require_flag(include_initial, "include_initial") else 0
        shape: Shape = (*x.shape[:at], x.shape[at] + added, *x.shape[at + 1 :])
        return TensorType(shape, dtype)

    return register(
        Op(
            name=name,
            kind=Kind.OPAQUE,
            arity=1,
            kernel=kernel,
            infer=infer,
            vjp=(vjp,),
            jvp=jvp,
            attrs={"axis": None, "include_initial": False},
            by_name=1,  # NumPy and PyTorch have the dtype in this place
            options=DTYPE,
            routine=f"oplibrary.machine.routines.scans:{routine}",
            lowering=halves_lowered(name),
            alias=(alias,),
            takes_out=True,
            examples=(
                example((4,)),
                example((3, 4), axis=0),
                example((3, 4), axis=-1, include_initial=True),
                example((0, 3), axis=0),
                example((2, 3, 2), axis=1),
            ),
            batch=along_axis,
            doc=doc,
        )
    )


def _cumulative_sum_vjp(
    g: Any, _out: Any, x_type: TensorType, *, axis: int | None, include_initial: bool
) -> Any:
    at = scan_axis("cumulative_sum", x_type.ndim, axis)
    if include_initial:
        g = slice_axis(g, start=1, stop=x_type.shape[at] + 1, axis=at)
    return flip(cumulative_sum(flip(g, axis=at), axis=at), axis=at)


cumulative_sum = _scan(
    "cumulative_sum",
    np.add,
    _cumulative_sum_vjp,
    linear,
    "sums",
    "cumsum",
    "Sum the elements up to each position of `axis`; with `include_initial`, from a leading 0 on.",
)


# y[k] = a[k] y[k-1] + b[k] ------------------------------------------------------------------------


@halves_in_float32(2)
def _linear_recurrence(a: Array, b: Array, out: Array | None = None, *, axis: int = 0) -> Any:
    if a.shape != b.shape:
        raise ValueError("the operands must have the same shape")
    axis = normalize_axis(axis, a.ndim)
    if out is None:
        out = np.empty(a.shape, promoted(a.dtype, b.dtype))
    out[...] = b
    factor, result = a.swapaxes(0, axis), out.swapaxes(0, axis)
    length = len(result)
    if length and out.size // length >= LOOP_WIDTH:
        for k in range(1, length):
            result[k] += factor[k] * result[k - 1]
        return out
    # recursive doubling (Hillis and Steele, 1986): each position covers `reach` positions so far
    factor = factor.copy()
    reach = 1
    while reach < length:
        result[reach:] += factor[reach:] * result[:-reach]
        factor[reach:] *= factor[:-reach]
        reach *= 2
    return out


def _linear_recurrence_infer(a: TensorType, b: TensorType, *, axis: int = 0) -> TensorType:
    if a.shape != b.shape:
        raise ShapeError(
            f"linear_recurrence: shapes {a.shape} and {b.shape} differ",
            cause="each position has one factor and one term",
            fix="broadcast_to one shape first",
        )
    normalize_axis(axis, a.ndim)
    return TensorType(a.shape, promoted(a.dtype, b.dtype))


def _adjoint(a: Any, g: Any, axis: int) -> Any:
    """Return ``r[k] = g[k] + a[k+1] r[k+1]``, the gradient of the terms of a recurrence."""
    following = shift_axis(a, -1, axis, a.shape[axis])
    back = linear_recurrence(flip(following, axis=axis), flip(g, axis=axis), axis=axis)
    return flip(back, axis=axis)


def _factor_vjp(g: Any, out: Any, a: Any, _b: Any, *, axis: int) -> Any:
    at = axis % a.ndim
    if not a.shape[at]:
        return g
    return _adjoint(a, g, at) * shift_axis(out, 1, at, a.shape[at])


def _term_vjp(g: Any, _out: Any, a: Any, _b: Any, *, axis: int) -> Any:
    at = axis % a.ndim
    return _adjoint(a, g, at) if a.shape[at] else g


def _recurrence_jvp(push: Push) -> Any:
    """Run the recurrence on the tangents: ``dy[k] = a[k] dy[k-1] + (db[k] + da[k] y[k-1])``."""
    (a, _), (da, db), axis = push.operands, push.tangents, push.attrs["axis"]
    term = db
    if da is not None:
        moved = da * shift_axis(push.out, 1, axis % a.ndim, a.shape[axis]) if a.shape[axis] else da
        term = moved if db is None else db + moved
    return linear_recurrence(a, push.fitted(term), axis=axis)


linear_recurrence = register(
    Op(
        name="linear_recurrence",
        kind=Kind.OPAQUE,
        arity=2,
        kernel=_linear_recurrence,
        infer=_linear_recurrence_infer,
        vjp=(_factor_vjp, _term_vjp),
        jvp=_recurrence_jvp,
        attrs={"axis": 0},
        routine="oplibrary.machine.routines.scans:recurrence",
        lowering=halves_lowered("linear_recurrence"),
        operand_names=("a", "b"),
        takes_out=True,
        examples=(
            example((5,), (5,)),
            example((3, 4), (3, 4), axis=-1),
            example((3, 256), (3, 256)),
            example((0, 2), (0, 2)),
        ),
        batch=along_axis,
        doc="Return y with y[k] = a[k] * y[k-1] + b[k] along `axis`, starting from 0.",
    )
)


def exclusive_prod(x: Any, axis: int) -> Any:
    """Return the product of the elements before each position of `axis`."""
    products = cumulative_prod(x, axis=axis, include_initial=True)
    return slice_axis(products, start=0, stop=x.shape[axis], axis=axis)


def _cumulative_prod_vjp(
    g: Any, _out: Any, x: Any, *, axis: int | None, include_initial: bool
) -> Any:
    # d out[i] / d x[k] is the product before k times that between k and i: no division, so zeros
    # are no special case
    at = scan_axis("cumulative_prod", x.ndim, axis)
    if include_initial:
        g = slice_axis(g, start=1, stop=x.shape[at] + 1, axis=at)
    if not x.shape[at]:
        return g
    return exclusive_prod(x, at) * _adjoint(x, g, at)


def _cumulative_prod_jvp(push: Push) -> Any:
    (x,), (t,) = push.operands, push.tangents
    at = scan_axis("cumulative_prod", x.ndim, push.attrs["axis"])
    found = linear_recurrence(x, exclusive_prod(x, at) * t, axis=at)
    if not push.attrs["include_initial"]:
        return found
    return pad_op(found, pad_width=tuple([(int(i == at), 0) for i in range(x.ndim)]))


cumulative_prod = _scan(
    "cumulative_prod",
    np.multiply,
    _cumulative_prod_vjp,
    _cumulative_prod_jvp,
    "products",
    "cumprod",
    "Multiply the elements up to each position of `axis`; with `include_initial`, "
    "from a leading 1 on.",
)
