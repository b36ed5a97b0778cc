"""Trigonometric and hyperbolic functions and their inverses."""

from __future__ import annotations

import numpy as np

from oplibrary.core.op import Op
from oplibrary.core.rules import binary, unary
from oplibrary.ops.exponential import sqrt

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
acosh = unary(
    "acosh",
    np.arccosh,
    expr="acosh({0})",
    vjp=lambda g, _out, x: g / sqrt(x * x - 1),
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
