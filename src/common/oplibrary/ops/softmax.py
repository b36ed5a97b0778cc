"""Softmax and its logarithm, each in one kernel.

As one op each they cost an eager program one record instead of five, and the gradient rules need
nothing but the result.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from oplibrary.core.batching import along_axis
from oplibrary.core.op import Kind, Op, example
from oplibrary.core.registry import register
from oplibrary.ops.elementwise import cast
from oplibrary.ops.exponential import exp, log
from oplibrary.ops.kernels import float_dtype, in_float32, lowered_in_float32
from oplibrary.ops.reduction import max as greatest
from oplibrary.ops.reduction import sum as sum_
from oplibrary.tangents.families import symmetric
from oplibrary.values.dtypes import HALF, REAL_FLOATING
from oplibrary.values.types import Array, TensorType, normalize_axis


def _shifted(name: str, x: Array, out: Array | None, axis: int) -> Array:
    """Return `x` less its largest element along `axis`, so that no exponential overflows."""
    if x.dtype.kind not in REAL_FLOATING:
        x = x.astype(float_dtype(name, x.dtype))
    if type(axis) is not int or not x.size:
        normalize_axis(axis, x.ndim)  # NumPy would take None, and several
    if not x.size:
        return np.empty_like(x) if out is None else out
    return np.subtract(x, np.maximum.reduce(x, axis, keepdims=True), out)


def _softmax_kernel(x: Array, out: Array | None = None, *, axis: int = -1) -> Array:
    if x.dtype.char in HALF:
        return in_float32(_softmax_kernel, (x,), out, {"axis": axis})  # type: ignore[no-any-return]
    result = _shifted("softmax", x, out, axis)
    np.exp(result, result)
    result /= np.add.reduce(result, axis, keepdims=True)
    return result


def _log_softmax_kernel(x: Array, out: Array | None = None, *, axis: int = -1) -> Array:
    if x.dtype.char in HALF:
        return in_float32(_log_softmax_kernel, (x,), out, {"axis": axis})  # type: ignore[no-any-return]
    result = _shifted("log_softmax", x, out, axis)
    total = np.add.reduce(np.exp(result), axis, keepdims=True)
    result -= np.log(total, total)
    return result


def _lower_shifted(name: str, x: Any, axis: int) -> Any:
    x = cast(x, dtype=float_dtype(name, x.dtype)) if x.dtype.kind not in REAL_FLOATING else x
    return x - greatest(x, axis=axis, keepdims=True)


@lowered_in_float32
def _lower_softmax(x: Any, *, axis: int) -> Any:
    weights = exp(_lower_shifted("softmax", x, axis))
    return weights / sum_(weights, axis=axis, keepdims=True)


@lowered_in_float32
def _lower_log_softmax(x: Any, *, axis: int) -> Any:
    shifted = _lower_shifted("log_softmax", x, axis)
    return shifted - log(sum_(exp(shifted), axis=axis, keepdims=True))


def _infer(name: str) -> Any:
    def infer(x: TensorType, *, axis: int = -1) -> TensorType:
        dtype = float_dtype(name, x.dtype)
        normalize_axis(axis, x.ndim)
        return TensorType(x.shape, dtype)

    return infer


def _softmax_rule(g: Any, out: Any, _x: Any, *, axis: int) -> Any:
    share = g * out
    return share - out * sum_(share, axis=axis, keepdims=True)


_EXAMPLES = (
    example((3, 4)),
    example((3, 4), axis=0),
    example((2, 3, 4), axis=1),
    example((5,)),
    example((0, 3)),
)

softmax: Op = register(
    Op(
        name="softmax",
        kind=Kind.OPAQUE,
        arity=1,
        kernel=_softmax_kernel,
        infer=_infer("softmax"),
        vjp=(_softmax_rule,),
        jvp=symmetric,
        attrs={"axis": -1},
        lowering=_lower_softmax,
        takes_out=True,
        examples=_EXAMPLES,
        batch=along_axis,
        doc="Return exp(x) divided by its sum along `axis`.",
    )
)
log_softmax: Op = register(
    Op(
        name="log_softmax",
        kind=Kind.OPAQUE,
        arity=1,
        kernel=_log_softmax_kernel,
        infer=_infer("log_softmax"),
        vjp=(lambda g, out, _x, *, axis: g - exp(out) * sum_(g, axis=axis, keepdims=True),),
        jvp=lambda push: (
            push.tangents[0]
            - sum_(exp(push.out) * push.tangents[0], axis=push.attrs["axis"], keepdims=True)
        ),
        attrs={"axis": -1},
        lowering=_lower_log_softmax,
        takes_out=True,
        examples=_EXAMPLES,
        batch=along_axis,
        doc="Return the logarithm of softmax, x - logsumexp(x), along `axis`.",
    )
)
