"""The one step of reverse-mode differentiation that both executors share."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from numpy import ndarray

from oplibrary.core.op import Op
from oplibrary.core.registry import REGISTRY
from oplibrary.messages.errors import ArgumentError, NotDifferentiableError
from oplibrary.values.types import TensorType


def pull_back(
    op: Op,
    position: int,
    g: Any,
    out: Any,
    operands: tuple[Any, ...],
    attrs: Mapping[str, Any],
    operand_type: TensorType,
) -> Any:
    """Return the gradient of the operand at `position`, given that of the result.

    Parameters
    ----------
    op : Op
    position : int
    g : array, Tensor or Node
        Gradient of the result.
    out, operands
        What the operand's rule reads: values, types or None (see `OperandRule`).
    attrs : mapping
    operand_type : TensorType
        Shape and dtype that the gradient must have; broadcast axes are summed out.
    """
    rule = op.operand_rule(position)
    assert rule is not None
    if op.arity is None:
        g = rule.rule(position, g, out, *operands, **attrs)
    else:
        g = rule.rule(g, out, *operands, **attrs)
    return fit(g, operand_type)


def fit(g: Any, operand_type: TensorType) -> Any:
    """Return `g` summed and cast to `operand_type`; `g` itself where it has that type already."""
    if g.shape != operand_type.shape:
        if type(g) is ndarray:  # the commonest case, without the dispatch
            g = REGISTRY["sum_to"].run(g, shape=operand_type.shape)
        else:
            g = REGISTRY["sum_to"](g, shape=operand_type.shape)
    if g.dtype != operand_type.dtype:
        g = REGISTRY["cast"](g, dtype=operand_type.dtype)
    return g


def conjugated(g: Any) -> Any:
    """Return the complex conjugate of `g`; `g` itself where it is real.

    Users see the gradient of a real L by z = x + iy as dL/dx + i dL/dy. Rules pass on its
    conjugate, with which the rule of a holomorphic function is that of real numbers: g * f'(z). An
    executor calls this where a gradient comes from a user, and where one goes to a user.
    """
    return REGISTRY["conj"](g) if g.dtype.kind == "c" else g


def complex_value(what: str) -> NotDifferentiableError:
    """Return the error of a gradient that is asked for of `what`, a complex value."""
    return NotDifferentiableError(
        f"the gradient of {what}, which is complex",
        cause="a gradient says in which direction a real number grows fastest, and complex numbers "
        "have no order",
        fix="make a real number of it, such as real(sum(y)) or sum(abs(y)), or pass a cotangent: "
        "backward(gradient=v), vjp",
    )


def require_policy(unused: Any) -> None:
    """Refuse what says nothing about inputs without a path to the output.

    Raises
    ------
    ArgumentError
    """
    if unused not in ("raise", "warn", "zero", "none"):
        raise ArgumentError(
            f"unused must be 'raise', 'warn', 'zero' or 'none', not {unused!r}",
            cause="it says what an input without a path to the output gets",
            fix='choose one of them, for example unused="zero"',
        )
