"""What each value of a program is: the one place that knows all sorts of definitions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from oplibrary.core.expression import parse_expression
from oplibrary.core.op import Kind
from oplibrary.machine.complex_numbers.parts import part_of
from oplibrary.machine.elements import DType, Unsupported, element_of, wide_dtype
from oplibrary.machine.expressions.powers import with_roots
from oplibrary.machine.expressions.writing import check_expression
from oplibrary.machine.folds import neutral
from oplibrary.values.dtypes import is_numeric
from oplibrary.values.types import Array, normalize_axes
from staticgraph.backends.native.definitions.contractions import define_contraction
from staticgraph.backends.native.definitions.definition import (
    OF_PARTS,
    PARTS,
    Definition,
    Elementwise,
    Fold,
    Pieced,
    Reshaped,
    Stored,
    Uniform,
    View,
    cast_to,
    copy_of,
    repeats,
    sum_of_one,
)
from staticgraph.backends.native.definitions.movement import find_pieces, find_view
from staticgraph.backends.native.definitions.open_lengths import Lengths
from staticgraph.backends.native.definitions.routines import define_routine
from staticgraph.backends.native.definitions.sampling import replaced
from staticgraph.backends.native.definitions.selections import define_selection
from staticgraph.declare.effects import has_effect
from staticgraph.program.program import Instruction, Program, Value

DefineControl = Callable[[Instruction, tuple[Definition, ...]], Definition]
"""Returns what an op is that runs regions, or a result of one; it plans the regions."""
SUM = parse_expression("{0} + {1}")
UNIFORM_ELEMENTS = 1 << 16
"""Constants of at most that many elements are searched for one that is the same everywhere."""


@dataclass(slots=True)
class Definitions:
    """The definition of every value of a program.

    Attributes
    ----------
    of : dict of Value to Definition
    reasons : list of (Instruction, str)
        What is left to NumPy, and why.
    effects : list of Definition
        What is to be computed even if nothing reads it.
    """

    of: dict[Value, Definition]
    reasons: list[tuple[Instruction, str]]
    effects: list[Definition]


def define(program: Program, define_control: DefineControl, left: Mapping[int, str]) -> Definitions:
    """Return what each value of `program` is; `left` tells by number what NumPy is to compute."""
    uses = Counter(program.results)
    for instruction in program.instructions:
        uses.update(instruction.inputs)
    maker = _Maker(uses, define_control)
    for value in (*program.inputs, *program.variables):
        maker.of[value] = Stored(value.type.shape, value.type.dtype, None)
    for value, array in program.constants.items():
        maker.of[value] = _constant(array)
    for number, instruction in enumerate(program.instructions):
        maker.add(instruction, left.get(number, ""))
    effects = [maker.of[i.output] for i in program.instructions if has_effect(i.op, i.attrs)]
    return Definitions(maker.of, maker.reasons, effects)


@dataclass(frozen=True, slots=True, eq=False)
class LaterConstant:
    """An array that is a constant of each run, since only its lengths are not known.

    Attributes
    ----------
    instruction : Instruction
        What makes it, with open lengths.
    """

    instruction: Instruction

    def at(self, lengths: Lengths) -> Array:
        """Return the array that it is in a run."""
        op, attrs = self.instruction.op, self.instruction.attrs
        made = op.kernel(**{name: replaced(each, lengths) for name, each in attrs.items()})
        return np.ascontiguousarray(made)

    def define(self) -> Definition:
        """Return what it is."""
        type_ = self.instruction.output.type
        return Stored(type_.shape, type_.dtype, None)


def _constant(array: Array | LaterConstant) -> Definition:
    if isinstance(array, LaterConstant):
        return array.define()
    if array.size and array.size <= UNIFORM_ELEMENTS and is_numeric(array.dtype):
        first = array.reshape(-1)[:1]
        if (array.view(f"V{array.itemsize}") == first.view(f"V{array.itemsize}")).all():
            return Uniform(array.shape, array.dtype, None, first[0].item())
    return Stored(array.shape, array.dtype, None)


class _Maker:
    def __init__(self, uses: Mapping[Value, int], define_control: DefineControl) -> None:
        self.define_control = define_control
        self.uses = uses
        self.of: dict[Value, Definition] = {}
        self.reasons: list[tuple[Instruction, str]] = []
        self.copies: dict[Definition, Definition] = {}

    def add(self, instruction: Instruction, left: str) -> None:
        operands = tuple([self.of[value] for value in instruction.inputs])
        type_ = instruction.output.type
        try:
            if left:
                raise Unsupported(left)
            if instruction.op.effect:
                raise Unsupported("it does something besides computing")
            if instruction.op.kind is Kind.CONTROL:
                self.of[instruction.output] = self.define_control(instruction, operands)
                return
            element_of(type_.dtype)
            for operand in operands:
                element_of(operand.dtype)
            made = self._make(instruction, operands)
        except Unsupported as reason:
            self.reasons.append((instruction, str(reason)))
            made = Stored(type_.shape, type_.dtype, instruction, operands)
        self.of[instruction.output] = made

    def _copy(self, definition: Definition) -> Definition:
        if repeats(definition):
            return copy_of(definition)
        if definition not in self.copies:
            self.copies[definition] = copy_of(definition)
        return self.copies[definition]

    def _sum_in_place(
        self, instruction: Instruction, operands: tuple[Definition, ...]
    ) -> Definition | None:
        """Return a sum of two values that are made in memory, one added to the other.

        The gradient of a weight that is used at every step of a sequence is such a sum: each step
        adds its product, and no two of them need memory at one time.
        """
        type_ = instruction.output.type
        if instruction.op.expression != SUM or any(
            not isinstance(each, Stored)
            or not each.accumulable
            or (each.shape, each.dtype) != (type_.shape, type_.dtype)
            or self.uses[value] != 1
            for each, value in zip(operands, instruction.inputs, strict=True)
        ):
            return None
        first, last = sorted(operands, key=lambda each: each.order)
        assert isinstance(first, Stored) and isinstance(last, Stored)
        if last.addend is not None:
            first, last = last, first
        if last.addend is not None:
            return None
        return replace(last, instruction=instruction, addend=first)

    def _make(self, instruction: Instruction, operands: tuple[Definition, ...]) -> Definition:
        op, type_ = instruction.op, instruction.output.type
        if op.expression is not None:
            return self._sum_in_place(instruction, operands) or _elementwise(instruction, operands)
        if op.combine:
            return _fold(instruction, operands[0])
        if op.contraction is not None:
            subscripts = op.contraction(
                *[value.type for value in instruction.inputs], **instruction.attrs
            )
            return define_contraction(instruction, operands, subscripts, self._copy)
        if op.selection is not None:
            types = [value.type for value in instruction.inputs]
            return define_selection(
                instruction, operands, op.selection(*types, **instruction.attrs)
            )
        if op.routine is not None:
            return define_routine(instruction, operands)
        if op.view:
            steps = find_view(op, operands[0].shape, instruction.attrs)
            if steps is None:
                return Reshaped(type_.shape, type_.dtype, instruction, operands[0])
            return View(type_.shape, type_.dtype, instruction, operands[0], steps)
        if op.kind in (Kind.MOVEMENT, Kind.INDEXING):
            return _pieced(instruction, operands)
        if op.kind is Kind.CREATION:
            return _created(instruction)
        raise Unsupported(f"{op.kind.value} has no loops here")


def _elementwise(instruction: Instruction, operands: tuple[Definition, ...]) -> Definition:
    op, type_ = instruction.op, instruction.output.type
    assert op.expression is not None
    numbers = [i for i, x in enumerate(operands) if _is_one_number(x, type_.size)]
    known = {}
    if type_.dtype.kind in "iu" and operands[0].dtype == type_.dtype:
        known = {i: int(x.number) for i, x in enumerate(operands) if isinstance(x, Uniform)}
    expression = with_roots(op.expression.bind(instruction.attrs), frozenset(numbers), known)
    reason = check_expression(expression, tuple([x.dtype for x in operands]), type_.dtype)
    if reason:
        raise Unsupported(reason)
    return Elementwise(type_.shape, type_.dtype, instruction, expression, operands)


def _is_one_number(definition: Definition, elements: int) -> bool:
    """Tell whether one number serves all `elements` of a result, as NumPy's loops see it."""
    if not definition.shape:
        return True
    while isinstance(definition, (View, Reshaped)) and definition.size not in (0, 1):
        definition = definition.operand
    return definition.size == 1 and elements not in (0, 1)


def _fold(instruction: Instruction, operand: Definition) -> Definition:
    op, type_ = instruction.op, instruction.output.type
    if type_.dtype.kind != "c":
        return _fold_of(instruction, operand, type_.dtype)
    if op.combine != "add":
        raise Unsupported(f"{type_.dtype} elements reduced but for sums")
    # a sum of complex numbers is that of their parts
    whole, part = cast_to(operand, type_.dtype), part_of(type_.dtype)
    sums = [
        _fold_of(instruction, Elementwise(whole.shape, part, instruction, each, (whole,)), part)
        for each in PARTS
    ]
    return Elementwise(type_.shape, type_.dtype, instruction, OF_PARTS, tuple(sums))


def _fold_of(instruction: Instruction, operand: Definition, dtype: DType) -> Definition:
    op, type_ = instruction.op, instruction.output.type
    axes = normalize_axes(instruction.attrs.get("axis"), len(operand.shape))
    axes = tuple([axis for axis in axes if operand.shape[axis] != 1])
    if not axes:
        converted = cast_to(operand, dtype)
        if op.combine == "add":
            converted = sum_of_one(converted)
        return Reshaped(type_.shape, dtype, instruction, converted)
    if not operand.size:
        if op.combine in ("max", "min"):
            raise Unsupported("no elements to reduce")
        return Uniform(type_.shape, dtype, instruction, neutral(op.combine, dtype))
    # half-precision numbers are summed in single precision, as NumPy does
    inner = wide_dtype(dtype)
    fold = Fold(type_.shape, inner, instruction, cast_to(operand, inner), op.combine, axes)
    return cast_to(fold, dtype)


def _pieced(instruction: Instruction, operands: tuple[Definition, ...]) -> Definition:
    type_ = instruction.output.type
    pieces = find_pieces(instruction.op, [x.shape for x in operands], instruction.attrs)
    sources = tuple([cast_to(x, type_.dtype) for x in operands])
    if len(pieces) == 1 and pieces[0].operand is not None:
        piece = pieces[0]
        assert piece.steps is not None and piece.operand is not None
        return View(type_.shape, type_.dtype, instruction, sources[piece.operand], piece.steps)
    return Pieced(type_.shape, type_.dtype, instruction, pieces, sources)


def _created(instruction: Instruction) -> Definition:
    type_ = instruction.output.type
    operands = [np.zeros((1,) * len(v.type.shape), v.type.dtype) for v in instruction.inputs]
    if not instruction.inputs:
        raise Unsupported("creation has no loops here")
    attrs: Mapping[str, Any] = instruction.attrs
    made = np.asarray(instruction.op.kernel(*operands, **attrs))
    if made.size != 1 or made.dtype != type_.dtype:
        raise Unsupported("creation has no loops here")
    return Uniform(type_.shape, type_.dtype, instruction, made.reshape(-1)[0].item())
