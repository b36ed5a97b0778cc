"""PyTorch's operators on elements, and its reductions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from oplibrary.values.dtypes import REAL_FLOATING
from staticgraph.importing.pytorch.table import PLACED, TABLE
from staticgraph.importing.shared.block import Several

_UNARY = """abs acos acosh asin asinh atan atanh ceil conj_physical:conj cos cosh erf erfc erfinv
exp exp2 expm1 floor isfinite isinf isnan log log10 log1p log2 logical_not neg:negative reciprocal
relu
rsqrt sigmoid sin sinc sinh sqrt square tan tanh trunc hardsigmoid
lgamma digamma special_i0:i0 i0 relu6 selu log_sigmoid:logsigmoid deg2rad rad2deg angle
_conj:conj real imag signbit lift_fresh:positive frac:_frac""".split()

_BINARY = """atan2 maximum minimum fmax fmin hypot logical_and logical_or logical_xor logaddexp
logaddexp2 copysign heaviside xlogy nextafter gcd lcm""".split()

_COMPARE = {
    "eq": "equal",
    "ne": "not_equal",
    "lt": "less",
    "le": "less_equal",
    "gt": "greater",
    "ge": "greater_equal",
    "remainder": "remainder",
    "fmod": "fmod",
    "floor_divide": "floor_divide",
}


def _frac(xp: Any, x: Any) -> Any:
    return x - xp.trunc(x)


def _unary(name: str) -> Any:
    def entry(xp: Any, self: Any) -> Any:
        return _frac(xp, self) if name == "_frac" else getattr(xp, name)(self)

    return entry


def _special(name: str) -> Any:
    def entry(xp: Any, self: Any) -> Any:
        return getattr(xp.special, name)(self)

    return entry


def _binary(name: str) -> Any:
    def entry(xp: Any, self: Any, other: Any) -> Any:
        return getattr(xp, name)(self, other)

    return entry


for each in _UNARY:
    source, _, ours = each.partition(":")
    TABLE.entry(f"aten.{source}.default")(_unary(ours or source))
for each in ("i0e", "i1", "i1e", "ndtri"):
    TABLE.entry(f"aten.special_{each}.default")(_special(each))
for each in _BINARY:
    overload = "Tensor" if each in ("copysign", "xlogy") else "default"
    TABLE.entry(f"aten.{each}.{overload}")(
        _binary(each)
        if each != "heaviside"
        else lambda xp, self, values: xp.heaviside(self, values)
    )
for source, ours in _COMPARE.items():
    names = [f"aten.{source}.Tensor", f"aten.{source}.Scalar"]
    TABLE.entry(*(names if source != "floor_divide" else ["aten.floor_divide.default", names[1]]))(
        _binary(ours)
    )


@TABLE.entry("aten.add.Tensor", "aten.add.Scalar")
def _add(xp: Any, self: Any, other: Any, alpha: Any = 1) -> Any:
    return xp.add(self, other if alpha == 1 else xp.multiply(other, alpha))


@TABLE.entry("aten.sub.Tensor", "aten.sub.Scalar")
def _sub(xp: Any, self: Any, other: Any, alpha: Any = 1) -> Any:
    return xp.subtract(self, other if alpha == 1 else xp.multiply(other, alpha))


@TABLE.entry("aten.rsub.Tensor", "aten.rsub.Scalar")
def _rsub(xp: Any, self: Any, other: Any, alpha: Any = 1) -> Any:
    return xp.subtract(other, self if alpha == 1 else xp.multiply(self, alpha))


@TABLE.entry("aten.mul.Tensor", "aten.mul.Scalar")
def _mul(xp: Any, self: Any, other: Any) -> Any:
    return xp.multiply(self, other)


@TABLE.entry("aten.div.Tensor", "aten.div.Scalar", "aten.true_divide.Tensor")
def _div(xp: Any, self: Any, other: Any) -> Any:
    return xp.divide(self, other)


@TABLE.entry("aten.div.Tensor_mode", "aten.div.Scalar_mode")
def _div_mode(xp: Any, self: Any, other: Any, rounding_mode: str | None) -> Any:
    if rounding_mode == "floor":
        return xp.floor_divide(self, other)
    if rounding_mode == "trunc" and _whole(self) and _whole(other):  # floats hold 53 bits
        floor, rest = xp.floor_divide(self, other), xp.remainder(self, other)
        # the rest has the sign of the divisor
        is_below = (rest != 0) & ((self < 0) != (other < 0))
        return xp.where(is_below, floor + 1, floor)
    quotient = xp.divide(self, other)
    return xp.trunc(quotient) if rounding_mode == "trunc" else quotient


def _whole(x: Any) -> bool:
    return isinstance(x, int) if isinstance(x, (int, float, complex)) else x.dtype.kind in "iu"


@TABLE.entry("aten.pow.Tensor_Tensor", "aten.pow.Tensor_Scalar", "aten.pow.Scalar")
def _pow(xp: Any, self: Any, exponent: Any) -> Any:
    if isinstance(exponent, (int, float)) and exponent == 2:
        return xp.square(self)
    return xp.pow(self, exponent)


@TABLE.entry("aten.round.default")
def _round(xp: Any, self: Any) -> Any:
    return xp.round(self)


@TABLE.entry("aten.round.decimals")
def _round_decimals(xp: Any, self: Any, decimals: int) -> Any:
    scale = 10.0 ** abs(decimals)
    if decimals < 0:
        return xp.round(self / scale) * scale
    return xp.round(self * scale) / scale


@TABLE.entry("aten.remainder.Scalar_Tensor")
def _remainder_of_number(xp: Any, self: Any, other: Any) -> Any:
    return xp.remainder(self, other)


@TABLE.entry("aten.frexp.Tensor")
def _frexp(xp: Any, self: Any) -> Any:
    return xp.frexp(self)


@TABLE.entry("aten.addcmul.default")
def _addcmul(xp: Any, self: Any, tensor1: Any, tensor2: Any, value: Any = 1) -> Any:
    return self + tensor1 * tensor2 * value


@TABLE.entry("aten.addcdiv.default")
def _addcdiv(xp: Any, self: Any, tensor1: Any, tensor2: Any, value: Any = 1) -> Any:
    return self + tensor1 / tensor2 * value


@TABLE.entry("aten.lerp.Tensor", "aten.lerp.Scalar")
def _lerp(xp: Any, self: Any, end: Any, weight: Any) -> Any:
    return self + weight * (end - self)


def _bits(name: str) -> Any:
    def entry(xp: Any, self: Any, other: Any) -> Any:
        boolean = getattr(other, "dtype", getattr(self, "dtype", None)) == np.bool_
        return getattr(xp, f"logical_{name}" if boolean else f"bitwise_{name}")(self, other)

    return entry


for each in ("and", "or", "xor"):
    TABLE.entry(
        f"aten.bitwise_{each}.Tensor",
        f"aten.bitwise_{each}.Scalar",
        f"aten.bitwise_{each}.Scalar_Tensor",
    )(_bits(each))


def _shifts(name: str, operator: str) -> list[str]:
    kinds = ("Tensor", "Tensor_Scalar", "Scalar_Tensor")
    return [
        *[f"aten.bitwise_{name}_shift.{each}" for each in kinds],
        *[f"aten.{operator}.{each}" for each in ("Scalar", "Tensor")],
    ]


@TABLE.entry(*_shifts("left", "__lshift__"))
def _left_shift(xp: Any, self: Any, other: Any) -> Any:
    return xp.bitwise_left_shift(self, other)


@TABLE.entry(*_shifts("right", "__rshift__"))
def _right_shift(xp: Any, self: Any, other: Any) -> Any:
    return xp.bitwise_right_shift(self, other)


@TABLE.entry("aten.bitwise_not.default")
def _bitwise_not(xp: Any, self: Any) -> Any:
    return xp.logical_not(self) if self.dtype == np.bool_ else xp.bitwise_invert(self)


@TABLE.entry(
    "aten.where.self", "aten.where.ScalarOther", "aten.where.ScalarSelf", "aten.where.Scalar"
)
def _where(xp: Any, condition: Any, self: Any, other: Any) -> Any:
    return xp.where(condition, self, other)


@TABLE.entry("aten.masked_fill.Scalar", "aten.masked_fill.Tensor")
def _masked_fill(xp: Any, self: Any, mask: Any, value: Any) -> Any:
    return xp.where(mask, value, self)


@TABLE.entry("aten.clamp.default", "aten.clamp.Tensor")
def _clamp(xp: Any, self: Any, min: Any = None, max: Any = None) -> Any:
    return xp.clip(self, min, max)


@TABLE.entry("aten.clamp_min.default", "aten.clamp_min.Tensor")
def _clamp_min(xp: Any, self: Any, min: Any) -> Any:
    return xp.clip(self, min, None)


@TABLE.entry("aten.clamp_max.default", "aten.clamp_max.Tensor")
def _clamp_max(xp: Any, self: Any, max: Any) -> Any:
    return xp.clip(self, None, max)


@TABLE.entry("aten.sign.default", "aten.sgn.default")
def _sign(xp: Any, self: Any) -> Any:
    if self.dtype.kind not in REAL_FLOATING:
        return xp.sign(self)
    return xp.where(self != self, 0.0, xp.sign(self))  # of NaN it is 0


@TABLE.entry("aten.silu.default")
def _silu(xp: Any, self: Any) -> Any:
    return self * xp.sigmoid(self)  # of -inf it is NaN, where the limit is 0


@TABLE.entry("aten.mish.default")
def _mish(xp: Any, self: Any) -> Any:
    return self * xp.tanh(xp.softplus(self))


@TABLE.entry("aten.hardswish.default")
def _hardswish(xp: Any, self: Any) -> Any:
    return self * xp.hardsigmoid(self)


@TABLE.entry("aten.celu.default")
def _celu(xp: Any, self: Any, alpha: Any = 1.0) -> Any:
    return xp.celu(self, float(alpha))


@TABLE.entry("aten.gelu.default")
def _gelu(xp: Any, self: Any, approximate: str = "none") -> Any:
    return xp.gelu(self, approximate)


@TABLE.entry("aten.elu.default")
def _elu(xp: Any, self: Any, alpha: Any = 1, scale: Any = 1, input_scale: Any = 1) -> Any:
    inner = self if input_scale == 1 else self * input_scale
    found = xp.elu(inner, alpha)
    if input_scale != 1:
        found = xp.where(self > 0, self, found)
    return found if scale == 1 else found * scale


@TABLE.entry("aten.leaky_relu.default")
def _leaky_relu(xp: Any, self: Any, negative_slope: Any = 0.01) -> Any:
    return xp.leaky_relu(self, negative_slope)


@TABLE.entry("aten.prelu.default", "aten._prelu_kernel.default")
def _prelu(xp: Any, self: Any, weight: Any) -> Any:
    if len(weight.shape) == 1 and weight.shape[0] != 1 and len(self.shape) > 2:
        weight = xp.reshape(weight, (1, -1) + (1,) * (len(self.shape) - 2))
    return xp.where(self > 0, self, weight * self)


@TABLE.entry("aten.hardtanh.default")
def _hardtanh(xp: Any, self: Any, min_val: Any = -1, max_val: Any = 1) -> Any:
    return xp.hardtanh(self, min_val, max_val)


@TABLE.entry("aten.softplus.default")
def _softplus(xp: Any, self: Any, beta: Any = 1, threshold: Any = 20) -> Any:
    found = xp.softplus(self, float(beta))
    if threshold == 20:  # beyond which the results are the same
        return found
    return xp.where(self * float(beta) > threshold, self, found)


@TABLE.entry("aten.softshrink.default")
def _softshrink(xp: Any, self: Any, lambd: Any = 0.5) -> Any:
    return xp.softshrink(self, lambd)


@TABLE.entry("aten.hardshrink.default")
def _hardshrink(xp: Any, self: Any, lambd: Any = 0.5) -> Any:
    return xp.hardshrink(self, lambd)


@TABLE.entry("aten.threshold.default")
def _threshold(xp: Any, self: Any, threshold: Any, value: Any) -> Any:
    return xp.threshold(self, threshold, value)


@TABLE.entry("aten.glu.default")
def _glu(xp: Any, self: Any, dim: int = -1) -> Any:
    return xp.glu(self, dim)


@TABLE.entry("aten.logit.default")
def _logit(xp: Any, self: Any, eps: float | None = None) -> Any:
    if eps is None:
        return xp.logit(self)
    inside = (self >= eps) & (self <= 1 - eps)  # outside PyTorch's gradient is 0
    bound = xp.stop_gradient(xp.clip(self, eps, 1 - eps))
    return xp.logit(xp.where(inside, self, bound))


@TABLE.entry("aten.nan_to_num.default")
def _nan_to_num(xp: Any, self: Any, nan: Any = None, posinf: Any = None, neginf: Any = None) -> Any:
    limits = xp.finfo(self.dtype)
    high = float(limits.max) if posinf is None else posinf
    low = float(limits.min) if neginf is None else neginf
    found = xp.where(xp.isnan(self), nan or 0.0, self)
    found = xp.where(xp.isinf(self) & (self > 0), high, found)
    return xp.where(xp.isinf(self) & (self < 0), low, found)


# dtypes and copies --------------------------------------------------------------------------------


@TABLE.entry("aten._to_copy.default", "aten.to.dtype", ignored=(*PLACED, "copy"))
def _to_copy(xp: Any, self: Any, dtype: Any = None) -> Any:
    return self if dtype is None else xp.astype(self, dtype)


@TABLE.entry("prims.convert_element_type.default")
def _convert_element_type(xp: Any, a: Any, dtype: Any) -> Any:
    return xp.astype(a, dtype)


@TABLE.entry("aten.clone.default", ignored=PLACED)
def _clone(xp: Any, self: Any) -> Any:
    return self


@TABLE.entry("aten.alias.default")
def _alias(xp: Any, self: Any) -> Any:
    return self


@TABLE.entry("aten.contiguous.default", ignored=PLACED)
def _contiguous(xp: Any, self: Any) -> Any:
    return self


@TABLE.entry("aten.detach.default")
def _detach(xp: Any, self: Any) -> Any:
    return xp.stop_gradient(self)


# reductions ---------------------------------------------------------------------------------------


def _axes(dim: Any) -> Any:
    """Return the axes of a reduction; none listed are all of them."""
    if dim is None or (isinstance(dim, Sequence) and not dim):
        return None
    return dim if isinstance(dim, int) else tuple(dim)


def _reduction(name: str) -> Any:
    def entry(xp: Any, self: Any, dim: Any = None, keepdim: bool = False, dtype: Any = None) -> Any:
        x = self if dtype is None else xp.astype(self, dtype)
        return getattr(xp, name)(x, axis=_axes(dim), keepdims=keepdim)

    return entry


def _plain_reduction(name: str) -> Any:
    def entry(xp: Any, self: Any, dtype: Any = None) -> Any:
        return getattr(xp, name)(self if dtype is None else xp.astype(self, dtype))

    return entry


for each, overload in (("sum", "dim_IntList"), ("mean", "dim"), ("prod", "dim_int")):
    TABLE.entry(f"aten.{each}.{overload}")(_reduction(each))
    TABLE.entry(f"aten.{each}.default")(_plain_reduction(each))


@TABLE.entry("aten.amax.default")
def _amax(xp: Any, self: Any, dim: Any = (), keepdim: bool = False) -> Any:
    return xp.max(self, axis=_axes(dim), keepdims=keepdim)


@TABLE.entry("aten.amin.default")
def _amin(xp: Any, self: Any, dim: Any = (), keepdim: bool = False) -> Any:
    return xp.min(self, axis=_axes(dim), keepdims=keepdim)


@TABLE.entry("aten.max.default")
def _max(xp: Any, self: Any) -> Any:
    return xp.max(self)


@TABLE.entry("aten.min.default")
def _min(xp: Any, self: Any) -> Any:
    return xp.min(self)


@TABLE.entry("aten.any.default", "aten.any.dim", "aten.any.dims")
def _any(xp: Any, self: Any, dim: Any = None, keepdim: bool = False) -> Any:
    return xp.any(self, axis=_axes(dim), keepdims=keepdim)


@TABLE.entry("aten.all.default", "aten.all.dim", "aten.all.dims")
def _all(xp: Any, self: Any, dim: Any = None, keepdim: bool = False) -> Any:
    return xp.all(self, axis=_axes(dim), keepdims=keepdim)


@TABLE.entry("aten.argmax.default")
def _argmax(xp: Any, self: Any, dim: Any = None, keepdim: bool = False) -> Any:
    return xp.argmax(self, axis=dim, keepdims=keepdim)


@TABLE.entry("aten.argmin.default")
def _argmin(xp: Any, self: Any, dim: Any = None, keepdim: bool = False) -> Any:
    return xp.argmin(self, axis=dim, keepdims=keepdim)


def _extreme(name: str) -> Any:
    """Return an entry of the values and where they stand; gradients go to these places only."""

    def entry(xp: Any, self: Any, dim: int, keepdim: bool = False) -> Any:
        where = getattr(xp, f"arg{name}")(self, axis=dim, keepdims=True)

        def squeezed(x: Any) -> Any:
            return x if keepdim else xp.squeeze(x, axis=dim)

        return Several(
            lambda: squeezed(xp.take_along_axis(self, where, axis=dim)), lambda: squeezed(where)
        )

    return entry


for each in ("max", "min"):
    TABLE.entry(f"aten.{each}.dim")(_extreme(each))


@TABLE.entry("aten.var.correction")
def _var(xp: Any, self: Any, dim: Any = None, correction: Any = None, keepdim: bool = False) -> Any:
    less = 1 if correction is None else correction
    return xp.var(self, axis=_axes(dim), keepdims=keepdim, correction=float(less))


@TABLE.entry("aten.var.dim")
def _var_dim(xp: Any, self: Any, dim: Any, unbiased: bool = True, keepdim: bool = False) -> Any:
    return xp.var(self, axis=_axes(dim), keepdims=keepdim, correction=float(unbiased))


@TABLE.entry("aten.std.correction")
def _std(xp: Any, self: Any, dim: Any = None, correction: Any = None, keepdim: bool = False) -> Any:
    less = 1 if correction is None else correction
    return xp.std(self, axis=_axes(dim), keepdims=keepdim, correction=float(less))


@TABLE.entry("aten.var_mean.correction")
def _var_mean(
    xp: Any, self: Any, dim: Any = None, correction: Any = None, keepdim: bool = False
) -> Any:
    less = float(1 if correction is None else correction)
    return Several(
        lambda: xp.var(self, axis=_axes(dim), keepdims=keepdim, correction=less),
        lambda: xp.mean(self, axis=_axes(dim), keepdims=keepdim),
    )


@TABLE.entry("aten.logsumexp.default")
def _logsumexp(xp: Any, self: Any, dim: Any, keepdim: bool = False) -> Any:
    return xp.logsumexp(self, axis=_axes(dim), keepdims=keepdim)


@TABLE.entry("aten.linalg_vector_norm.default")
def _vector_norm(
    xp: Any, self: Any, ord: Any = 2, dim: Any = None, keepdim: bool = False, dtype: Any = None
) -> Any:
    x = self if dtype is None else xp.astype(self, dtype)
    return xp.vector_norm(x, axis=_axes(dim), keepdims=keepdim, ord=ord)


@TABLE.entry("aten.cumsum.default")
def _cumsum(xp: Any, self: Any, dim: int, dtype: Any = None) -> Any:
    return xp.cumulative_sum(self if dtype is None else xp.astype(self, dtype), axis=dim)


@TABLE.entry("aten.cumprod.default")
def _cumprod(xp: Any, self: Any, dim: int, dtype: Any = None) -> Any:
    return xp.cumulative_prod(self if dtype is None else xp.astype(self, dtype), axis=dim)


@TABLE.entry("aten._softmax.default", half_to_float=False)
def _softmax(xp: Any, self: Any, dim: int) -> Any:
    return xp.softmax(self, axis=dim)


@TABLE.entry("aten._log_softmax.default", half_to_float=False)
def _log_softmax(xp: Any, self: Any, dim: int) -> Any:
    return xp.log_softmax(self, axis=dim)


@TABLE.entry("aten._safe_softmax.default", dtype=None)
def _safe_softmax(xp: Any, self: Any, dim: int) -> Any:
    """Softmax, which is 0 where all of a row is -inf."""
    empty = xp.all(xp.equal(self, -np.inf), axis=dim, keepdims=True)
    return xp.where(empty, 0.0, xp.softmax(xp.where(empty, 0.0, self), axis=dim))
