"""Ops that move elements and compute nothing."""

from __future__ import annotations

from typing import Any

import numpy as np

from common.errors import ShapeError
from common.op import Kind, Op, example, register
from common.rules import movement
from common.types import Shape, TensorType, broadcast_shapes


def _broadcast_to_infer(x: TensorType, *, shape: Shape) -> TensorType:
    if broadcast_shapes(x.shape, shape) != tuple(shape):
        raise ShapeError(
            f"shape {x.shape} does not broadcast to {tuple(shape)}",
            cause="only axes of length 1, and new axes on the left, can be enlarged",
            fix="reshape or expand_dims first",
        )
    return TensorType(shape, x.dtype)


broadcast_to = movement(
    "broadcast_to",
    lambda x, *, shape: np.broadcast_to(x, shape),
    infer=_broadcast_to_infer,
    vjp=lambda g, _out, x_type, *, shape: sum_to(g, shape=x_type.shape),
    attrs={"shape": ...},
    view=True,
    examples=(example((3, 1), shape=(2, 3, 4)), example((), shape=(2,))),
    doc="Enlarge axes of length 1, and add axes on the left, without copying.",
)


def _sum_to(x: Any, *, shape: Shape) -> Any:
    extra = x.ndim - len(shape)
    axes = tuple(range(extra)) + tuple(
        i + extra for i, n in enumerate(shape) if n == 1 and x.shape[i + extra] != 1
    )
    if axes:
        x = np.add.reduce(x, axis=axes, keepdims=True)
    return x.reshape(shape)


def _sum_to_infer(x: TensorType, *, shape: Shape) -> TensorType:
    _broadcast_to_infer(TensorType(shape, x.dtype), shape=x.shape)
    return TensorType(shape, x.dtype)


sum_to = register(
    Op(
        name="sum_to",
        kind=Kind.REDUCTION,
        arity=1,
        kernel=_sum_to,
        infer=_sum_to_infer,
        vjp=(lambda g, _out, x_type, *, shape: broadcast_to(g, shape=x_type.shape),),
        attrs={"shape": ...},
        examples=(example((2, 3, 4), shape=(3, 1)), example((2, 3), shape=())),
        doc="Sum the axes that broadcasting from `shape` enlarged: the gradient of broadcast_to.",
    )
)
