"""The arithmetic of an instruction, as `cost` counts it: from its op's record alone."""

from __future__ import annotations

import ast
from collections.abc import Callable, Sequence
from functools import lru_cache
from itertools import combinations
from math import prod
from typing import Any, NamedTuple

from oplibrary.core.op import Kind
from oplibrary.core.types import TensorType
from oplibrary.machine.expressions import numeric_attrs, parse
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
    if op.expr:
        each = expression_operations(op.expr, numeric_attrs(attrs))
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
        selection = subscripts_of(op.selection, instruction)
        adds = "@" in selection.partition("->")[2]
        return Arithmetic(types[0].size if adds else 0)
    return None


@lru_cache(maxsize=4096)
def expression_operations(expression: str, attrs: tuple[tuple[str, Any], ...]) -> Arithmetic:
    """Return the operations and transcendentals of a scalar expression, for one element.

    Both sides of a choice count; what follows from the attributes alone does not.

    Examples
    --------
    >>> expression_operations("1 / (1 + exp(-{0}))", ())[:2]
    (3, 1)
    """
    return _operations(parse(expression, attrs))[1]


_SIMPLE = frozenset({"abs", "min", "max", "floor", "ceil", "trunc", "round"})
_FREE = frozenset({"cast", "real", "imag", "conj"})


def _operations(node: ast.AST) -> tuple[bool, Arithmetic]:
    """Return whether `node` depends on an operand, and its operations."""
    if isinstance(node, ast.Name):
        return node.id.startswith("_"), Arithmetic(0)
    below = [_operations(child) for child in ast.iter_child_nodes(node)]
    if not any(depends for depends, _ in below):
        return False, Arithmetic(0)
    flops, calls = 0, 0
    if isinstance(node, ast.BinOp):
        power = isinstance(node.op, ast.Pow)
        flops, calls = (0, 1) if power else (1, 0)
    elif isinstance(node, ast.UnaryOp):
        flops = 0 if isinstance(node.op, ast.UAdd) else 1
    elif isinstance(node, ast.Compare):
        flops = len(node.ops)
    elif isinstance(node, ast.IfExp):
        flops = 1
    elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
        unbounded = any(isinstance(x, ast.Constant) and x.value is None for x in node.args)
        if node.func.id in _SIMPLE:
            flops = 0 if unbounded else 1
        elif node.func.id not in _FREE:
            calls = 1
    flops += sum(each.flops for _, each in below)
    calls += sum(each.transcendentals for _, each in below)
    return True, Arithmetic(flops, calls)


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
    """Return what a record's rule says of an instruction; empty where there is none."""
    if rule is None:
        return ""
    types = [value.type for value in instruction.inputs]
    found: str = rule(*types, **instruction.attrs)
    return found
