"""How an op pushes tangents from its operands to its result: what `Op.jvp` is made of.

A rule is given a `Push`: a call of the op that has run, and a tangent for each operand that moves.
It returns the tangent of the result, for which it reads no more of the call than the gradient rules
of these operands do: executors keep nothing else. Most ops belong to a family whose rule is here,
and which holds no derivative of its own: it applies the gradient rule, or the op itself. For what
has none the executor transposes the gradient rule.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from oplibrary.core.op import Kind, Op
from oplibrary.core.registry import REGISTRY
from oplibrary.values.dtypes import FLOATING, promoted
from oplibrary.values.types import TensorType


@dataclass(frozen=True, slots=True)
class Push:
    """A call of an op, of which some operands move.

    Attributes
    ----------
    op : Op
    tangents : tuple
        Of each operand, in its shape and dtype; None for one that stays.
    out, operands
        What the gradient rules of the operands that move read: values, types or None.
    types : tuple of TensorType
        Of each operand.
    type : TensorType
        Of the result.
    attrs : mapping
    full : callable
        ``full(type, value)`` makes an array of the executor in which every element is `value`.
    transpose : callable
        What the executor pushes with where there are gradient rules only.
    """

    op: Op
    tangents: tuple[Any, ...]
    out: Any
    operands: tuple[Any, ...]
    types: tuple[TensorType, ...]
    type: TensorType
    attrs: Mapping[str, Any]
    full: Callable[[TensorType, float], Any]
    transpose: Callable[..., list[Any]]

    def moving(self) -> Iterator[tuple[int, Any]]:
        """Yield the position and the tangent of each operand that moves."""
        for position, tangent in enumerate(self.tangents):
            if tangent is not None:
                yield position, tangent

    def pulled(self, position: int, g: Any) -> Any:
        """Return what the gradient rule of an operand gives for `g`."""
        rule = self.op.operand_rule(position)
        assert rule is not None
        if self.op.arity is None:
            return rule.rule(position, g, self.out, *self.operands, **self.attrs)
        return rule.rule(g, self.out, *self.operands, **self.attrs)

    def fitted(self, tangent: Any) -> Any:
        """Return a tangent in the shape and dtype of the result."""
        if tangent.dtype.kind == "c" and self.type.dtype.kind != "c":
            tangent = REGISTRY["real"](tangent)
        if tangent.dtype != self.type.dtype:
            tangent = REGISTRY["cast"](tangent, dtype=self.type.dtype)
        if tuple(tangent.shape) != tuple(self.type.shape):
            tangent = REGISTRY["broadcast_to"](tangent, shape=self.type.shape)
        return tangent


Rule = Callable[[Push], Any]


# families -----------------------------------------------------------------------------------------


def symmetric(push: Push) -> Any:
    """Apply the gradient rules: the matrix of derivatives is its own transpose.

    So it is where each element of the result depends on one element of an operand. A function of
    complex numbers must be holomorphic, real-valued, or the conjugate of such a one.
    """
    wanted = push.type.dtype
    total = None
    for position, tangent in push.moving():
        dtype = wanted
        if tangent.dtype.kind == "c" and wanted.kind != "c":
            dtype = promoted(wanted, tangent.dtype)
        if tangent.dtype != dtype:
            tangent = REGISTRY["cast"](tangent, dtype=dtype)
        total = _plus(total, push.fitted(push.pulled(position, tangent)))
    return total


def reduction(push: Push) -> Any:
    """Sum up the tangent, weighed: each element of the operand acts on one element of the result.

    The gradient of the result's sum holds the weights.
    """
    weights = push.pulled(0, push.full(push.type, 1))
    return _summed(push, REGISTRY["multiply"](weights, push.tangents[0]))


def _summed(push: Push, weighed: Any) -> Any:
    if weighed.dtype.kind == "c" and push.type.dtype.kind != "c":
        weighed = REGISTRY["real"](weighed)
    axis = push.attrs.get("axis")
    return REGISTRY["sum"](weighed, axis=axis, keepdims=push.attrs.get("keepdims", False))


def linear(push: Push) -> Any:
    """Run the op on the tangents: it is linear in all operands that have a gradient together."""
    operands = []
    for position, tangent in enumerate(push.tangents):
        if tangent is not None:
            operands.append(tangent)
        elif _may_move(push, position):
            operands.append(push.full(push.types[position], 0))
        else:
            operands.append(push.operands[position])
    return push.op(*operands, **push.attrs)


def _may_move(push: Push, position: int) -> bool:
    """Tell whether an operand that stays could have moved: others are no part of what is linear."""
    rule = push.op.operand_rule(position)
    return rule is not None and push.types[position].dtype.kind in FLOATING


def multilinear(push: Push) -> Any:
    """Run the op on each tangent in turn: it is linear in each operand that has a gradient."""
    total = None
    for position, tangent in push.moving():
        operands = (*push.operands[:position], tangent, *push.operands[position + 1 :])
        total = _plus(total, push.fitted(push.op(*operands, **push.attrs)))
    return total


def _plus(total: Any, part: Any) -> Any:
    return part if total is None else REGISTRY["add"](total, part)


_FAMILIES: dict[Kind, Rule] = {
    Kind.ELEMENTWISE: symmetric,
    Kind.REDUCTION: reduction,
    Kind.MOVEMENT: linear,
    Kind.INDEXING: linear,
    Kind.CONTRACTION: multilinear,
}


def tangent_rule_of(op: Op) -> Rule | None:
    """Return the rule of `op`: its own, or that of its family; None where it has none."""
    if op.jvp is not None:
        return op.jvp
    return linear if op.combine == "add" else _FAMILIES.get(op.kind)


def is_linear(op: Op, moving: Sequence[int], count: int) -> bool:
    """Tell whether the result of `op` is linear in some operands together, up to a constant.

    The rules say it: that of a linear op runs the op itself, and the gradient rules of any other
    read nothing that moves.

    Parameters
    ----------
    op : Op
    moving : sequence of int
        The positions of these operands.
    count : int
        How many operands there are.
    """
    if op.kind is Kind.CONTROL or tangent_rule_of(op) is linear:
        return True
    for position in moving:
        rule = op.operand_rule(position)
        if rule is not None:
            needs = rule.needs(position, count)
            if rule.out == "value" or any(needs[each] == "value" for each in moving):
                return False
    return True
