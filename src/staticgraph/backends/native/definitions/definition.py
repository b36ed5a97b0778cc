"""Definitions: what each value of a program is, in terms that loops can be made of."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from math import prod
from typing import Any, ClassVar

import numpy as np

from oplibrary.core.expression import Expression, parse_expression
from oplibrary.core.op import Kind
from oplibrary.core.types import Array, Shape, normalize_axes
from oplibrary.machine.elements import FLOAT16, FLOAT32, DType, Unsupported, element_of
from oplibrary.machine.scalars import check_expression, expression_cost
from staticgraph.backends.native.definitions.movement import Piece, Steps, find_pieces, find_view
from staticgraph.declare.effects import has_effect
from staticgraph.program.program import Instruction, Program, Value

SUM, PRODUCT = parse_expression("{0} + {1}"), parse_expression("{0} * {1}")
COPY, CAST = parse_expression("{0}"), parse_expression("cast({0})")
UNIFORM_ELEMENTS = 1 << 16
"""Constants of at most that many elements are searched for one that is the same everywhere."""


@dataclass(eq=False, slots=True, repr=False)
class Definition:
    """What a value is.

    Attributes
    ----------
    shape : tuple of int
    dtype : numpy.dtype
    instruction : Instruction or None
        What it came from.
    order : int
        Greater than those of its operands.
    """

    shape: Shape
    dtype: DType
    instruction: Instruction | None
    order: int = field(init=False, default_factory=itertools.count().__next__)

    def __repr__(self) -> str:
        # without the operands: written out, what they share would be repeated without end
        source = "" if self.instruction is None else f" of {self.instruction.op.name}"
        shape = ",".join(map(str, self.shape))
        return f"<{type(self).__name__}{source} {self.dtype.name}[{shape}] {self.order}>"

    @property
    def size(self) -> int:
        """Number of elements."""
        return prod(self.shape)

    @property
    def nbytes(self) -> int:
        """Bytes in memory."""
        return self.size * self.dtype.itemsize

    @property
    def operands(self) -> tuple[Definition, ...]:
        """The values that it is made of."""
        return ()


@dataclass(eq=False, slots=True, repr=False)
class Stored(Definition):
    """In memory before any loop runs: an input, a constant, or what NumPy or BLAS computes.

    Attributes
    ----------
    operation : tuple of Definition
        What it is computed from.
    addend : Stored or None
        What it is added to, in the memory of the addend, which nothing else reads.
    in_machine_code : bool
        Whether what computes it is machine code, and not NumPy.
    accumulable : bool
        Whether what computes it can add to what is in memory.
    """

    in_machine_code: ClassVar[bool] = False
    accumulable: ClassVar[bool] = False

    operation: tuple[Definition, ...] = ()
    addend: Stored | None = field(default=None, kw_only=True)

    @property
    def operands(self) -> tuple[Definition, ...]:
        """What must be in memory before this is computed."""
        return self.operation if self.addend is None else (*self.operation, self.addend)

    @property
    def written(self) -> tuple[Definition, ...]:
        """What is in memory once it is computed."""
        return (self,)


@dataclass(eq=False, slots=True, repr=False)
class Uniform(Definition):
    """One number everywhere."""

    number: Any = 0


@dataclass(eq=False, slots=True, repr=False)
class Elementwise(Definition):
    """A scalar expression of operands that broadcast together."""

    expression: Expression = COPY
    inputs: tuple[Definition, ...] = ()

    @property
    def operands(self) -> tuple[Definition, ...]:
        """The operands of the expression."""
        return self.inputs

    @property
    def cost(self) -> int:
        """About how many additions one element takes."""
        return expression_cost(self.expression)


@dataclass(eq=False, slots=True, repr=False)
class Fold(Definition):
    """All elements along `axes`, combined into one."""

    operand: Definition = None  # type: ignore[assignment]
    combine: str = ""
    axes: tuple[int, ...] = ()

    @property
    def operands(self) -> tuple[Definition, ...]:
        """The operand."""
        return (self.operand,)


@dataclass(eq=False, slots=True, repr=False)
class View(Definition):
    """The elements of the operand, at regular steps."""

    operand: Definition = None  # type: ignore[assignment]
    steps: Steps = None  # type: ignore[assignment]

    @property
    def operands(self) -> tuple[Definition, ...]:
        """The operand."""
        return (self.operand,)


@dataclass(eq=False, slots=True, repr=False)
class Reshaped(Definition):
    """The elements of the operand, in row-major order, in another shape."""

    operand: Definition = None  # type: ignore[assignment]

    @property
    def operands(self) -> tuple[Definition, ...]:
        """The operand."""
        return (self.operand,)


@dataclass(eq=False, slots=True, repr=False)
class Pieced(Definition):
    """Rectangles, each with a source of its own."""

    pieces: tuple[Piece, ...] = ()
    sources: tuple[Definition, ...] = ()

    @property
    def operands(self) -> tuple[Definition, ...]:
        """The sources."""
        return self.sources


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


def repeats(definition: Definition) -> bool:
    """Tell whether a view shows its elements more than twice on average, as windows do.

    A copy of it takes more memory than all else, and is not kept from one use to the next.
    """
    while isinstance(definition, (View, Reshaped)):
        if definition.size > 2 * definition.operand.size:
            return True
        definition = definition.operand
    return False


def define(program: Program) -> Definitions:
    """Return what each value of `program` is."""
    uses = Counter(program.results)
    for instruction in program.instructions:
        uses.update(instruction.inputs)
    maker = _Maker(uses)
    for value in (*program.inputs, *program.variables):
        maker.of[value] = Stored(value.type.shape, value.type.dtype, None)
    for value, array in program.constants.items():
        maker.of[value] = _constant(array)
    for instruction in program.instructions:
        maker.add(instruction)
    effects = [maker.of[i.output] for i in program.instructions if has_effect(i.op, i.attrs)]
    return Definitions(maker.of, maker.reasons, effects)


def _constant(array: Array) -> Definition:
    if array.size and array.size <= UNIFORM_ELEMENTS and array.dtype.kind in "biuf":
        first = array.reshape(-1)[:1]
        if (array.view(f"V{array.itemsize}") == first.view(f"V{array.itemsize}")).all():
            return Uniform(array.shape, array.dtype, None, first[0].item())
    return Stored(array.shape, array.dtype, None)


class _Maker:
    def __init__(self, uses: Mapping[Value, int]) -> None:
        self.uses = uses
        self.of: dict[Value, Definition] = {}
        self.reasons: list[tuple[Instruction, str]] = []
        self.copies: dict[Definition, Definition] = {}

    def add(self, instruction: Instruction) -> None:
        operands = tuple([self.of[value] for value in instruction.inputs])
        type_ = instruction.output.type
        try:
            if instruction.op.effect:
                raise Unsupported("it does something besides computing")
            if instruction.op.kind is Kind.CONTROL:
                self.of[instruction.output] = _controlled(instruction, operands)
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
        from staticgraph.backends.native.definitions.products import copy_of

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
            from staticgraph.backends.native.definitions.products import define_contraction

            subscripts = op.contraction(
                *[value.type for value in instruction.inputs], **instruction.attrs
            )
            return define_contraction(instruction, operands, subscripts, self._copy)
        if op.selection is not None:
            from staticgraph.backends.native.definitions.selections import define_selection

            types = [value.type for value in instruction.inputs]
            return define_selection(
                instruction, operands, op.selection(*types, **instruction.attrs)
            )
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


def _controlled(instruction: Instruction, operands: tuple[Definition, ...]) -> Definition:
    from staticgraph.backends.native.definitions.control import Controlled, define_control

    if instruction.op.control is not None:
        return define_control(instruction, operands)
    owner = operands[0] if instruction.op.projection else None
    if not isinstance(owner, Controlled):
        raise Unsupported("what it belongs to is left to NumPy")
    result: Definition | None = owner.results[instruction.attrs["index"]]
    assert result is not None
    return result


def cast_to(operand: Definition, dtype: DType) -> Definition:
    """Return `operand` converted to `dtype`."""
    if operand.dtype == dtype:
        return operand
    if isinstance(operand, Uniform):
        with np.errstate(all="ignore"):
            number = np.asarray(operand.number, operand.dtype).astype(dtype).item()
        return Uniform(operand.shape, dtype, operand.instruction, number)
    return Elementwise(operand.shape, dtype, operand.instruction, CAST, (operand,))


def _elementwise(instruction: Instruction, operands: tuple[Definition, ...]) -> Definition:
    op, type_ = instruction.op, instruction.output.type
    assert op.expression is not None
    expression = op.expression.bind(instruction.attrs)
    reason = check_expression(expression, tuple([x.dtype for x in operands]), type_.dtype)
    if reason:
        raise Unsupported(reason)
    return Elementwise(type_.shape, type_.dtype, instruction, expression, operands)


def _fold(instruction: Instruction, operand: Definition) -> Definition:
    op, type_ = instruction.op, instruction.output.type
    axes = normalize_axes(instruction.attrs.get("axis"), len(operand.shape))
    axes = tuple([axis for axis in axes if operand.shape[axis] != 1])
    if not axes:
        converted = cast_to(operand, type_.dtype)
        return Reshaped(type_.shape, type_.dtype, instruction, converted)
    if not operand.size:
        raise Unsupported("no elements to reduce")
    # half-precision numbers are summed in single precision, as NumPy does
    inner = FLOAT32 if type_.dtype == FLOAT16 else type_.dtype
    fold = Fold(type_.shape, inner, instruction, cast_to(operand, inner), op.combine, axes)
    return cast_to(fold, type_.dtype)


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
