"""TensorFlow's ops on elements, and their gradients where they are ops of their own."""

from __future__ import annotations

from typing import Any

import numpy as np

from staticgraph.importing.graphdefs.ops.table import entry, known, named

_UNARY = """Abs:abs Neg:negative Exp:exp Expm1:expm1 Log:log Log1p:log1p Sqrt:sqrt Rsqrt:rsqrt
Square:square Sign:sign Sin:sin Cos:cos Tan:tan Asin:asin Acos:acos Atan:atan Sinh:sinh Cosh:cosh
Tanh:tanh Asinh:asinh Acosh:acosh Atanh:atanh Sigmoid:sigmoid Erf:erf Erfc:erfc Erfinv:erfinv
Lgamma:lgamma Digamma:digamma Floor:floor Ceil:ceil Round:round Rint:round Reciprocal:reciprocal
Inv:reciprocal IsFinite:isfinite IsInf:isinf IsNan:isnan Invert:bitwise_invert BesselI0:i0
LogicalNot:logical_not""".split()
_SPECIAL = """Ndtri:ndtri BesselI0e:i0e BesselI1e:i1e BesselI1:i1""".split()
_ACTIVATIONS = "Relu:relu Relu6:relu6 Elu:elu Selu:selu Softplus:softplus Softsign:softsign".split()
_BINARY = """AddV2:add Add:add Sub:subtract Mul:multiply RealDiv:divide FloorDiv:floor_divide
FloorMod:remainder TruncateMod:fmod Mod:fmod Pow:pow Xlogy:xlogy LogicalAnd:logical_and
LogicalOr:logical_or Less:less LessEqual:less_equal Greater:greater GreaterEqual:greater_equal
BitwiseAnd:bitwise_and BitwiseOr:bitwise_or BitwiseXor:bitwise_xor LeftShift:bitwise_left_shift
RightShift:bitwise_right_shift""".split()


def _ours(name: str, below: str = "") -> Any:
    def call(xp: Any, *operands: Any) -> Any:
        return getattr(getattr(xp, below) if below else xp, name)(*operands)

    return call


for each in _UNARY:
    theirs, _, ours = each.partition(":")
    entry(theirs, ignored="" if theirs == "LogicalNot" else "T")(named(_ours(ours), "x"))
for each in _SPECIAL:
    theirs, _, ours = each.partition(":")
    entry(theirs)(named(_ours(ours, "special"), "x"))
for each in _ACTIVATIONS:
    theirs, _, ours = each.partition(":")
    entry(theirs)(named(_ours(ours), "features"))
for each in _BINARY:
    theirs, _, ours = each.partition(":")
    entry(theirs, ignored="" if theirs.startswith("Logical") else "T")(named(_ours(ours), "x y"))
for theirs, ours in (("Equal", "equal"), ("NotEqual", "not_equal")):
    # other shapes are an error here, whatever TensorFlow makes of them
    entry(theirs, ignored="T incompatible_shape_error")(named(_ours(ours), "x y"))
entry("Atan2")(named(_ours("atan2"), "y x"))
entry("NextAfter")(named(_ours("nextafter"), "x1 x2"))
entry("Xlog1py")(named(_ours("xlog1py", "special"), "x y"))
entry("Conj")(named(_ours("conj"), "input"))
for theirs, ours in (("Real", "real"), ("Imag", "imag"), ("Angle", "angle")):
    entry(theirs, ignored="T Tout")(named(_ours(ours), "input"))
entry("ComplexAbs", ignored="T Tout")(named(_ours("abs"), "x"))


@entry("Maximum")
def _maximum(xp: Any, x: Any, y: Any) -> Any:
    return _extreme(xp, "maximum", "greater_equal", x, y)


@entry("Minimum")
def _minimum(xp: Any, x: Any, y: Any) -> Any:
    return _extreme(xp, "minimum", "less_equal", x, y)


def _extreme(xp: Any, name: str, wins: str, x: Any, y: Any) -> Any:
    """Return the larger or smaller one, whose gradient at a tie is all that of `x`."""
    if x.dtype.kind not in "fV":
        return getattr(xp, name)(x, y)
    first = xp.logical_or(getattr(xp, wins)(x, y), xp.isnan(x))
    return xp.where(first, x, y)


@entry("ClipByValue")
def _clip_by_value(xp: Any, t: Any, clip_value_min: Any, clip_value_max: Any) -> Any:
    inside = xp.logical_and(t >= clip_value_min, t <= clip_value_max)
    limit = xp.where(t < clip_value_min, clip_value_min, clip_value_max)
    return xp.where(xp.logical_or(inside, t != t), t, limit)


@entry("Complex", ignored="T Tout")
def _complex(xp: Any, real: Any, imag: Any) -> Any:
    return real + imag * np.complex64(1j)


@entry("Div", "TruncateDiv")
def _div(xp: Any, x: Any, y: Any) -> Any:
    if x.dtype.kind not in "iu":
        return xp.divide(x, y)
    down = xp.floor_divide(x, y)  # which rounds down, where TensorFlow rounds towards 0
    inexact = xp.logical_and(down * y != x, xp.logical_xor(x < 0, y < 0))
    return xp.where(inexact, down + 1, down)


@entry("DivNoNan")
def _div_no_nan(xp: Any, x: Any, y: Any) -> Any:
    none = xp.equal(y, 0)
    return xp.where(none, xp.zeros_like(x), x / xp.where(none, xp.ones_like(y), y))


@entry("MulNoNan")
def _mul_no_nan(xp: Any, x: Any, y: Any) -> Any:
    none = xp.equal(y, 0)
    return xp.where(none, xp.zeros_like(y), xp.where(none, xp.zeros_like(x), x) * y)


@entry("Xdivy")
def _xdivy(xp: Any, x: Any, y: Any) -> Any:
    none = xp.equal(x, 0)
    return xp.where(none, xp.zeros_like(x), x / xp.where(none, xp.ones_like(y), y))


@entry("SquaredDifference")
def _squared_difference(xp: Any, x: Any, y: Any) -> Any:
    return xp.square(x - y)


@entry("ApproximateEqual")
def _approximate_equal(xp: Any, x: Any, y: Any, tolerance: float) -> Any:
    return xp.abs(x - y) < tolerance


@entry("Polygamma")
def _polygamma(xp: Any, a: Any, x: Any) -> Any:
    order = known(a, "order")
    return xp.polygamma(int(order.flat[0]), x)


@entry("LeakyRelu")
def _leaky_relu(xp: Any, features: Any, alpha: float) -> Any:
    return xp.leaky_relu(features, negative_slope=alpha)


@entry("AddN", ignored="N T")
def _add_n(xp: Any, inputs: Any) -> Any:
    total = inputs[0]
    for x in inputs[1:]:
        total = total + x
    return total


@entry("AccumulateNV2", ignored="N T shape")
def _accumulate(xp: Any, inputs: Any) -> Any:
    return _add_n(xp, inputs)


@entry("Cast", ignored="SrcT", Truncate=False)
def _cast(xp: Any, x: Any, DstT: Any) -> Any:
    return xp.astype(xp.asarray(x), DstT)


def _same(xp: Any, x: Any) -> Any:
    return x


entry("Identity", "Snapshot", "RefIdentity")(named(_same, "input"))
entry("DeepCopy")(named(_same, "x"))
entry("IdentityN")(named(_same, "input"))
entry("PreventGradient", ignored="T message")(named(_same, "input"))
entry("PlaceholderWithDefault", ignored="dtype shape")(named(_same, "input"))
entry("CheckNumerics", ignored="T message")(named(_same, "tensor"))
entry("EnsureShape", ignored="T shape")(named(_same, "input"))


@entry("StopGradient")
def _stop_gradient(xp: Any, input: Any) -> Any:
    return xp.stop_gradient(input)


@entry("SelectV2")
def _select(xp: Any, condition: Any, t: Any, e: Any) -> Any:
    return xp.where(condition, t, e)


@entry("Select")
def _select_rows(xp: Any, condition: Any, t: Any, e: Any) -> Any:
    if len(condition.shape) == 1 and len(t.shape) > 1:  # one for each row
        condition = xp.reshape(condition, (-1, *(1,) * (len(t.shape) - 1)))
    return xp.where(condition, t, e)


# gradients ----------------------------------------------------------------------------------------


@entry("ReluGrad")
def _relu_grad(xp: Any, gradients: Any, features: Any) -> Any:
    return xp.where(features > 0, gradients, xp.zeros_like(gradients))


@entry("Relu6Grad")
def _relu6_grad(xp: Any, gradients: Any, features: Any) -> Any:
    inside = xp.logical_and(features > 0, features < 6)
    return xp.where(inside, gradients, xp.zeros_like(gradients))


@entry("LeakyReluGrad")
def _leaky_relu_grad(xp: Any, gradients: Any, features: Any, alpha: float) -> Any:
    return xp.where(features > 0, gradients, gradients * alpha)


@entry("EluGrad")
def _elu_grad(xp: Any, gradients: Any, outputs: Any) -> Any:
    return xp.where(outputs < 0, gradients * (outputs + 1), gradients)


_SCALE, _SCALED_ALPHA = 1.0507009873554805, 1.7580993408473768


@entry("SeluGrad")
def _selu_grad(xp: Any, gradients: Any, outputs: Any) -> Any:
    return xp.where(outputs < 0, gradients * (outputs + _SCALED_ALPHA), gradients * _SCALE)


@entry("SoftplusGrad")
def _softplus_grad(xp: Any, gradients: Any, features: Any) -> Any:
    return gradients * xp.sigmoid(features)


@entry("SoftsignGrad")
def _softsign_grad(xp: Any, gradients: Any, features: Any) -> Any:
    return gradients / xp.square(1 + xp.abs(features))


@entry("TanhGrad")
def _tanh_grad(xp: Any, y: Any, dy: Any) -> Any:
    return dy * (1 - y * y)


@entry("SigmoidGrad")
def _sigmoid_grad(xp: Any, y: Any, dy: Any) -> Any:
    return dy * y * (1 - y)


@entry("SqrtGrad")
def _sqrt_grad(xp: Any, y: Any, dy: Any) -> Any:
    return dy * 0.5 / y


@entry("RsqrtGrad")
def _rsqrt_grad(xp: Any, y: Any, dy: Any) -> Any:
    return dy * -0.5 * y * y * y


@entry("InvGrad", "ReciprocalGrad")
def _inv_grad(xp: Any, y: Any, dy: Any) -> Any:
    return -dy * y * y
