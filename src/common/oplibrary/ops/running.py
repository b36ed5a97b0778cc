"""The extrema, and the logarithm of the sum of exponentials, up to each position of an axis."""

from __future__ import annotations

from typing import Any

import numpy as np

from oplibrary.core.batching import along_axis
from oplibrary.core.op import Kind, Op, Rule, example
from oplibrary.core.registry import register
from oplibrary.messages.errors import DTypeError
from oplibrary.ops.comparison import equal, not_equal
from oplibrary.ops.creation import ones_like, zeros_like
from oplibrary.ops.elementwise import where
from oplibrary.ops.exponential import exp
from oplibrary.ops.gather import take_along_axis, take_along_axis_gradient
from oplibrary.ops.joining import concat
from oplibrary.ops.kernels import float_dtype
from oplibrary.ops.scan import cumulative_sum, linear_recurrence, scan_axis
from oplibrary.ops.slicing import flip, slice_axis
from oplibrary.tangents.families import Push
from oplibrary.values.dtypes import REAL
from oplibrary.values.types import Array, TensorType

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
    rules: tuple[Rule, Rule],
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
            vjp=rules[:1],
            jvp=rules[1],
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

    def last(out: Any, x: Any, at: int) -> Any:
        """Return the last position whose element is the extremum so far, as a NaN is from there."""
        line = cumulative_sum(ones_like(x, dtype=np.int64), axis=at) - 1
        return cumulative_max(where(equal(x, out) | not_equal(x, x), line, 0), axis=at)

    def vjp(g: Any, out: Any, x: Any, *, axis: int | None) -> Any:
        at = scan_axis(name, x.ndim, axis)
        if not x.shape[at]:
            return g
        return take_along_axis_gradient(g, last(out, x, at), shape=x.shape, axis=at)

    def jvp(push: Push) -> Any:
        (x,), (t,) = push.operands, push.tangents
        at = scan_axis(name, x.ndim, push.attrs["axis"])
        return take_along_axis(t, last(push.out, x, at), axis=at) if x.shape[at] else t

    doc = (
        f"Return the {which} element up to each position of `axis`, NaN from the first NaN on. Of "
        "equal elements the last has the gradient."
    )
    routine = f"oplibrary.machine.routines.scans:{'maxima' if ufunc is np.maximum else 'minima'}"
    return _running(name, ufunc, infer, (vjp, jvp), alias, doc, routine)


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
    end = slice_axis(zeros_like(out), start=0, stop=1, axis=at)
    factors = concat([_ratios(out, at), end], axis=at)
    sums = linear_recurrence(flip(factors, axis=at), flip(g, axis=at), axis=at)
    return flip(sums, axis=at) * _difference(x, out)


def _ratios(out: Any, at: int) -> Any:
    """Return exp(out[k-1] - out[k]), for k from 1."""
    length = out.shape[at]
    before = slice_axis(out, start=0, stop=length - 1, axis=at)
    return _difference(before, slice_axis(out, start=1, stop=length, axis=at))


def _sum_jvp(push: Push) -> Any:
    (x,), (t,), out = push.operands, push.tangents, push.out
    at = scan_axis("cumulative_logsumexp", x.ndim, push.attrs["axis"])
    if not x.shape[at]:
        return t
    start = slice_axis(zeros_like(out), start=0, stop=1, axis=at)
    return linear_recurrence(
        concat([start, _ratios(out, at)], axis=at), push.fitted(_difference(x, out) * t), axis=at
    )


cumulative_logsumexp: Op = _running(
    "cumulative_logsumexp",
    np.logaddexp,
    _sum_infer,
    (_sum_vjp, _sum_jvp),
    "logcumsumexp",
    "Return the logarithm of the sum of the exponentials of the elements up to each position of "
    "`axis`, without overflow.",
    "oplibrary.machine.routines.scans:logarithms_of_sums",
)
