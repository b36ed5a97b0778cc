"""Trigonometric and hyperbolic functions and their inverses."""

from __future__ import annotations

from math import pi
from typing import Any

import numpy as np

from oplibrary.core.op import Kind, Op, example
from oplibrary.core.registry import register
from oplibrary.core.rules import UNARY_EXAMPLES, binary, resolve_dtype, unary
from oplibrary.ops.elementwise import flat, where
from oplibrary.ops.exponential import sqrt
from oplibrary.values.dtypes import promoted_by
from oplibrary.values.types import Array, TensorType

# Rules prefer `g + g * out * out` to `g * (1 + out * out)`: beside a small array a Python scalar
# costs more than another product.

sin = unary(
    "sin", np.sin, expr="sin({0})", vjp=lambda g, _out, x: g * cos(x), doc="Return the sine."
)
cos: Op = unary(
    "cos", np.cos, expr="cos({0})", vjp=lambda g, _out, x: -(g * sin(x)), doc="Return the cosine."
)
tan = unary(
    "tan",
    np.tan,
    expr="tan({0})",
    vjp=lambda g, out, _x: g + g * out * out,
    domain=(-1.4, 1.4),
    doc="Return the tangent.",
)
asin = unary(
    "asin",
    np.arcsin,
    expr="asin({0})",
    vjp=lambda g, _out, x: g / sqrt(1 - x * x),
    domain=(-0.9, 0.9),
    doc="Return the angle in [-pi/2, pi/2] whose sine is x.",
)
acos = unary(
    "acos",
    np.arccos,
    expr="acos({0})",
    vjp=lambda g, _out, x: -(g / sqrt(1 - x * x)),
    domain=(-0.9, 0.9),
    doc="Return the angle in [0, pi] whose cosine is x.",
)
atan = unary(
    "atan",
    np.arctan,
    expr="atan({0})",
    vjp=lambda g, _out, x: g / (x * x + 1),
    doc="Return the angle in [-pi/2, pi/2] whose tangent is x.",
)
atan2 = binary(
    "atan2",
    np.arctan2,
    expr="atan2({0}, {1})",
    vjp=(
        lambda g, _out, x, y: g * (y / (x * x + y * y)),
        lambda g, _out, x, y: -(g * (x / (x * x + y * y))),
    ),
    doc="Return the angle in [-pi, pi] of the point whose height is x and whose abscissa is y.",
)


def _angle(x: Any, out: Array | None = None) -> Any:
    x = np.asarray(x)
    return np.arctan2(x.imag, x.real, out)


def _angle_infer(x: TensorType) -> TensorType:
    if x.dtype.kind == "c":
        return TensorType(x.shape, promoted_by(np.absolute, x.dtype))
    return TensorType(x.shape, resolve_dtype("angle", np.arctan2, (x, x)))


def _angle_vjp(g: Any, _out: Any, x: Any) -> Any:
    if x.dtype.kind != "c":
        return flat(g, None, None)
    zero = x == 0
    return where(zero, 0.0, g * -1j / where(zero, 1.0, x))


angle = register(
    Op(
        name="angle",
        kind=Kind.ELEMENTWISE,
        arity=1,
        kernel=_angle,
        infer=_angle_infer,
        vjp=(_angle_vjp,),
        expr="atan2(imag({0}), real({0}))",
        takes_out=True,
        kinks=(0.0,),
        examples=(*UNARY_EXAMPLES, example(np.array([1 + 2j, -0.5j, 3.0, -1 - 1j]))),
        doc="Return the angle in [-pi, pi] of a complex number; its gradient at 0 is 0.",
    )
)
hypot = binary(
    "hypot",
    np.hypot,
    expr="hypot({0}, {1})",
    vjp=(lambda g, out, x, _y: g * (x / out), lambda g, out, _x, y: g * (y / out)),
    commutative=True,
    doc="Return sqrt(x*x + y*y) without overflow.",
)
sinh = unary(
    "sinh",
    np.sinh,
    expr="sinh({0})",
    vjp=lambda g, _out, x: g * cosh(x),
    doc="Return the hyperbolic sine.",
)
cosh: Op = unary(
    "cosh",
    np.cosh,
    expr="cosh({0})",
    vjp=lambda g, _out, x: g * sinh(x),
    doc="Return the hyperbolic cosine.",
)
tanh = unary(
    "tanh",
    np.tanh,
    expr="tanh({0})",
    vjp=lambda g, out, _x: g - g * out * out,
    doc="Return the hyperbolic tangent.",
)
asinh = unary(
    "asinh",
    np.arcsinh,
    expr="asinh({0})",
    vjp=lambda g, _out, x: g / sqrt(x * x + 1),
    doc="Return the inverse of sinh.",
)


def _acosh_vjp(g: Any, _out: Any, x: Any) -> Any:
    if x.dtype.kind == "c":  # the root of a product would be on the wrong side left of 0
        return g / (sqrt(x + 1) * sqrt(x - 1))
    return g / sqrt(x * x - 1)


acosh = unary(
    "acosh",
    np.arccosh,
    expr="acosh({0})",
    vjp=_acosh_vjp,
    domain=(1.1, 4.0),
    doc="Return the inverse of cosh, not negative.",
)
atanh = unary(
    "atanh",
    np.arctanh,
    expr="atanh({0})",
    vjp=lambda g, _out, x: g / (1 - x * x),
    domain=(-0.9, 0.9),
    doc="Return the inverse of tanh.",
)

# angles -------------------------------------------------------------------------------------------

deg2rad = unary(
    "deg2rad",
    np.deg2rad,
    expr="{0} * 0.017453292519943295",
    vjp=lambda g, _out, _x: g * (pi / 180),
    alias=("radians",),
    doc="Return the angle in radians of one in degrees.",
)


def _rad2deg(x: Any, out: Array | None = None) -> Any:
    # NumPy's own constant is off by one unit in the last place of float32
    dtype = promoted_by(np.rad2deg, np.asarray(x).dtype)
    return np.multiply(x, dtype.type(180 / pi), out, dtype=dtype)


rad2deg = unary(
    "rad2deg",
    _rad2deg,
    dtypes=np.rad2deg,
    expr="{0} * 57.29577951308232",
    vjp=lambda g, _out, _x: g * (180 / pi),
    alias=("degrees",),
    doc="Return the angle in degrees of one in radians.",
)
