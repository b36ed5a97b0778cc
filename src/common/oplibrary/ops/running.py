"""The extrema, and the logarithm of the sum of exponentials, up to each position of an axis."""

from __future__ import annotations

from typing import Any

import numpy as np

from oplibrary.core.batching import along_axis
from oplibrary.core.dtypes import REAL
from oplibrary.core.op import Kind, Op, Rule, example, register
from oplibrary.core.types import Array, TensorType
from oplibrary.messages.errors import DTypeError
from oplibrary.ops.comparison import equal, not_equal
from oplibrary.ops.creation import ones_like, zeros_like
from oplibrary.ops.elementwise import where
from oplibrary.ops.exponential import exp
from oplibrary.ops.gather import take_along_axis_gradient
from oplibrary.ops.joining import concat
from oplibrary.ops.kernels import float_dtype
from oplibrary.ops.scan import cumulative_sum, linear_recurrence, scan_axis
from oplibrary.ops.slicing import flip, slice_axis

EXAMPLES = (
    example((4,)),
    example((3, 4), axis=0),
    example((3, 4), axis=-1),
    example((0, 3), axis=0),
    example((2, 3, 2), axis=1),
)


def _running(
    name: str,
    ufunc: np.ufunc,
    infer: Any,
    vjp: Rule,
    alias: str,
    doc: str,
    routine: str | None = None,
) -> Op:
    """Register what `ufunc` makes of the elements up to each position, without a first value."""

    def kernel(x: Array, out: Array | None = None, *, axis: int | None = None) -> Any:
        dtype = infer(TensorType(x.shape, x.dtype), axis=axis).dtype
        return ufunc.accumulate(x, scan_axis(name, x.ndim, axis), dtype, out)

    return register(
        Op(
            name=name,
            kind=Kind.OPAQUE,
            arity=1,
            kernel=kernel,
            infer=infer,
            vjp=(vjp,),
            attrs={"axis": None},
            routine=routine,
            alias=(alias,),
            takes_out=True,
            examples=EXAMPLES,
            batch=along_axis,
            doc=doc,
        )
    )


# extrema ------------------------------------------------------------------------------------------


def _extremum(name: str, ufunc: np.ufunc, alias: str, which: str) -> Op:
    def infer(x: TensorType, *, axis: int | None = None) -> TensorType:
        scan_axis(name, x.ndim, axis)
        if x.dtype.kind not in REAL:
            raise DTypeError(
                f"{name} is not defined for {x.dtype}",
                cause="it compares its elements, and complex numbers have no order",
                fix="take it of the real part, or of the magnitude",
            )
        return x

    def rule(g: Any, out: Any, x: Any, *, axis: int | None) -> Any:
        at = scan_axis(name, x.ndim, axis)
        if not x.shape[at]:
            return g
        line = cumulative_sum(ones_like(x, dtype=np.int64), axis=at) - 1
        # the last position whose element is the extremum so far, and a NaN is from where it stands
        last = cumulative_max(where(equal(x, out) | not_equal(x, x), line, 0), axis=at)
        return take_along_axis_gradient(g, last, shape=x.shape, axis=at)

    doc = (
        f"Return the {which} element up to each position of `axis`, NaN from the first NaN on. Of "
        "equal elements the last has the gradient."
    )
    routine = f"oplibrary.machine.routines.scans:{'maxima' if ufunc is np.maximum else 'minima'}"
    return _running(name, ufunc, infer, rule, alias, doc, routine)


cumulative_max: Op = _extremum("cumulative_max", np.maximum, "cummax", "largest")
cumulative_min: Op = _extremum("cumulative_min", np.minimum, "cummin", "smallest")


# sums of exponentials -----------------------------------------------------------------------------


def _sum_infer(x: TensorType, *, axis: int | None = None) -> TensorType:
    scan_axis("cumulative_logsumexp", x.ndim, axis)
    return TensorType(x.shape, float_dtype("cumulative_logsumexp", x.dtype))


def _difference(x: Any, y: Any) -> Any:
    """Return exp(x - y), which is 0 where both are -inf and 1 where they are equal otherwise."""
    same = equal(x, y)
    apart = exp(where(same, 0.0, x) - where(same, 0.0, y))
    return where(same & equal(x, -np.inf), 0.0, apart)


def _sum_vjp(g: Any, out: Any, x: Any, *, axis: int | None) -> Any:
    # s[j], the sum of g[k] exp(out[j] - out[k]) over k >= j, by factors that are 1 at most
    at = scan_axis("cumulative_logsumexp", x.ndim, axis)
    length = x.shape[at]
    if not length:
        return g
    before = slice_axis(out, start=0, stop=length - 1, axis=at)
    after = slice_axis(out, start=1, stop=length, axis=at)
    end = slice_axis(zeros_like(out), start=0, stop=1, axis=at)
    factors = concat([_difference(before, after), end], axis=at)
    sums = linear_recurrence(flip(factors, axis=at), flip(g, axis=at), axis=at)
    return flip(sums, axis=at) * _difference(x, out)


cumulative_logsumexp: Op = _running(
    "cumulative_logsumexp",
    np.logaddexp,
    _sum_infer,
    _sum_vjp,
    "logcumsumexp",
    "Return the logarithm of the sum of the exponentials of the elements up to each position of "
    "`axis`, without overflow.",
)
