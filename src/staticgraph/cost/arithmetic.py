"""The arithmetic of an instruction, as `cost` counts it: from its op's record alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from itertools import combinations
from math import prod
from typing import Any, NamedTuple

from oplibrary.core.expression import BINARY, Expression
from oplibrary.core.op import Kind
from oplibrary.values.types import TensorType
from staticgraph.declare.lower import lowered_op
from staticgraph.program.program import Instruction, Program


class Arithmetic(NamedTuple):
    """What is computed: operations, values of functions that are approximated, and if it is all."""

    flops: int
    transcendentals: int = 0
    complete: bool = True


OfProgram = Callable[[Program], Arithmetic]


def arithmetic_of(instruction: Instruction, of_program: OfProgram) -> Arithmetic | None:
    """Return the operations of an instruction, or None where its record does not say.

    Parameters
    ----------
    instruction : Instruction
    of_program : callable
        Gives the operations of the program that an op is made of.
    """
    op, attrs, result = instruction.op, instruction.attrs, instruction.output.type
    types = [value.type for value in instruction.inputs]
    if op.view or op.projection or op.effect or op.kind in (Kind.MOVEMENT, Kind.CREATION):
        return Arithmetic(0)
    if op.expression is not None:
        each = expression_operations(op.expression.bind(attrs))
        return Arithmetic(each.flops * result.size, each.transcendentals * result.size)
    contraction = subscripts_of(op.contraction, instruction)
    if contraction:
        return Arithmetic(contraction_flops(contraction, types))
    if op.combine:
        return Arithmetic(types[0].size)
    if op.lowering is not None:
        lowered = _of_lowering(instruction, of_program)
        if lowered is not None:
            return lowered
    if op.kind is Kind.REDUCTION:
        return Arithmetic(types[0].size)
    if op.kind is Kind.INDEXING:
        read, _, written = subscripts_of(op.selection, instruction).partition("->")
        adds = "@" in written and "@" not in read
        return Arithmetic(types[0].size if adds else 0)
    return None


@lru_cache(maxsize=4096)
def expression_operations(expression: Expression) -> Arithmetic:
    """Return the operations and transcendentals of a scalar expression, for one element.

    Both sides of a choice count; what follows from the attributes alone does not.

    Examples
    --------
    >>> from oplibrary.core.expression import parse_expression
    >>> expression_operations(parse_expression("1 / (1 + exp(-{0}))"))[:2]
    (3, 1)
    """
    counted = expression.fold(lambda _: Arithmetic(0), lambda _: None, _operations)
    return counted or Arithmetic(0)


_ONE = (BINARY - {"power"}) | {
    *("negative", "bitwise_invert", "logical_not", "where"),
    *("abs", "min", "max", "floor", "ceil", "trunc", "round"),
}
_FREE = frozenset({"cast", "real", "imag", "conj", "positive", "logical_and", "logical_or"})


def _operations(operator: str, operands: Sequence[Arithmetic | None]) -> Arithmetic | None:
    """Return the operations up to an operator; None where it depends on no operand."""
    below = [each for each in operands if each is not None]
    if not below:
        return None
    flops = int(operator in _ONE)
    calls = int(operator not in _ONE and operator not in _FREE)
    return Arithmetic(
        flops + sum(each.flops for each in below),
        calls + sum(each.transcendentals for each in below),
    )


def contraction_flops(subscripts: str, types: Sequence[TensorType]) -> int:
    """Return the multiplications and additions of an einsum with explicit subscripts.

    Examples
    --------
    >>> contraction_flops("ij,jk->ik", [TensorType((2, 3)), TensorType((3, 4))])
    48
    >>> contraction_flops("i,j->ij", [TensorType((2,)), TensorType((3,))])
    6
    """
    left, _, output = subscripts.partition("->")
    parts = left.split(",")
    lengths: dict[str, int] = {}
    for labels, type in zip(parts, types, strict=True):
        for label, n in zip(labels, type.shape, strict=True):
            lengths[label] = n if lengths.get(label, 1) == 1 else lengths[label]
    pending = [
        {c for c, n in zip(labels, type.shape, strict=True) if n == lengths[c]}
        for labels, type in zip(parts, types, strict=True)
    ]

    def size(labels: set[str]) -> int:
        return prod(lengths[label] for label in labels)

    def summing(labels: set[str], kept: set[str]) -> int:
        return size(labels) if labels - kept else 0

    wanted = set(output)
    if len(pending) == 1:
        return summing(pending[0], wanted)
    flops = 0
    while len(pending) > 1:
        pairs = combinations(range(len(pending)), 2)
        i, j = min(pairs, key=lambda pair: size(pending[pair[0]] | pending[pair[1]]))
        y, x = pending.pop(j), pending.pop(i)
        kept = wanted.union(*pending)
        # labels of one operand alone are summed first
        flops += summing(x, kept | y) + summing(y, kept | x)
        x, y = x & (kept | y), y & (kept | x)
        flops += size(x | y) * (1 if x & y <= kept else 2)
        pending.append((x | y) & kept)
    return flops


def _of_lowering(instruction: Instruction, of_program: OfProgram) -> Arithmetic | None:
    """Return the operations of what an op is made of, or None where it is not made of any."""
    types = [value.type for value in instruction.inputs]
    if not all(each.size for each in types):
        return Arithmetic(0)
    program = lowered_op(instruction.op, types, instruction.attrs)
    return None if program is None else of_program(program)


def subscripts_of(rule: Any, instruction: Instruction) -> str:
    """Return the subscripts that a rule gives for an instruction; empty where there is none."""
    if rule is None:
        return ""
    types = [value.type for value in instruction.inputs]
    found: str = rule(*types, **instruction.attrs)
    return found
