"""Elementwise arithmetic, comparison, logic and selection."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from common.op import Kind, Op, example, register
from common.rules import binary, unary
from common.types import Array, TensorType, broadcast_shapes

add = binary(
    "add",
    np.add,
    expr="{0} + {1}",
    vjp=(lambda g, _out, _x, _y: g, lambda g, _out, _x, _y: g),
    commutative=True,
    unit=-0.0,
    doc="Return x + y.",
)
subtract = binary(
    "subtract",
    np.subtract,
    expr="{0} - {1}",
    vjp=(lambda g, _out, _x, _y: g, lambda g, _out, _x, _y: -g),
    alias=("sub",),
    unit=0.0,
    doc="Return x - y.",
)
multiply = binary(
    "multiply",
    np.multiply,
    expr="{0} * {1}",
    vjp=(lambda g, _out, _x, y: g * y, lambda g, _out, x, _y: g * x),
    alias=("mul",),
    commutative=True,
    unit=1.0,
    doc="Return x * y.",
)
divide = binary(
    "divide",
    np.true_divide,
    expr="{0} / {1}",
    vjp=(lambda g, _out, _x, y: g / y, lambda g, out, _x, y: -(g * out / y)),
    alias=("div",),
    unit=1.0,
    doc="Return x / y, as floating-point numbers.",
)
negative = unary(
    "negative", np.negative, expr="-{0}", vjp=lambda g, _out, _x: -g, alias=("neg",), doc="Return -x."
)
tanh = unary(
    "tanh",
    np.tanh,
    expr="tanh({0})",
    # g - g*y*y and not g*(1 - y*y): a Python scalar costs a small array more than another product
    vjp=lambda g, out, _x: g - g * out * out,
    doc="Return the hyperbolic tangent.",
)
exp = unary("exp", np.exp, expr="exp({0})", vjp=lambda g, out, _x: g * out, doc="Return e to the x.")


def _cast(x: Array, *, dtype: npt.DTypeLike) -> Array:
    return np.asarray(x).astype(dtype)


cast = register(
    Op(
        name="cast",
        kind=Kind.ELEMENTWISE,
        arity=1,
        kernel=_cast,
        infer=lambda x, *, dtype: TensorType(x.shape, dtype),
        vjp=(lambda g, _out, x_type, *, dtype: cast(g, dtype=x_type.dtype),),
        attrs={"dtype": ...},
        expr="cast({0})",
        alias=("astype",),
        examples=(example((3, 4), dtype="float32"), example((), dtype="float64")),
        doc="Return x converted to `dtype`.",
    )
)


def _where(condition: Any, x: Any, y: Any) -> Any:
    return np.where(condition, x, y)


def _where_infer(condition: TensorType, x: TensorType, y: TensorType) -> TensorType:
    return TensorType(
        broadcast_shapes(condition.shape, x.shape, y.shape), np.result_type(x.dtype, y.dtype)
    )


where = register(
    Op(
        name="where",
        kind=Kind.ELEMENTWISE,
        arity=3,
        kernel=_where,
        infer=_where_infer,
        vjp=(
            None,
            lambda g, _out, condition, _x, _y: where(condition, g, 0.0),
            lambda g, _out, condition, _x, _y: where(condition, 0.0, g),
        ),
        expr="{1} if {0} else {2}",
        operand_names=("condition", "x", "y"),
        examples=(
            example(np.array([True, False, True]), (3,), (3,)),
            example(np.array([[True], [False]]), (3,), (2, 3)),
        ),
        doc="Return x where the condition holds and y elsewhere.",
    )
)
