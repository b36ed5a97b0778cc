"""Definitions: what each value of a program is, in terms that loops can be made of."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from math import prod
from typing import Any, ClassVar

import numpy as np

from oplibrary.core.expression import Expression, parse_expression
from oplibrary.machine.elements import DType
from oplibrary.machine.expressions.cost import expression_cost
from oplibrary.values.dtypes import REAL_FLOATING
from oplibrary.values.types import Shape
from staticgraph.backends.native.definitions.movement import Piece, Steps
from staticgraph.backends.native.definitions.open_lengths import nominal
from staticgraph.program.program import Instruction

PRODUCT = parse_expression("{0} * {1}")
COPY, CAST = parse_expression("{0}"), parse_expression("cast({0})")
PARTS = (parse_expression("real({0})"), parse_expression("imag({0})"))
OF_PARTS = parse_expression("complex({0}, {1})")
_FROM_ZERO = parse_expression("{0} + 0.0")


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
        shape = ",".join(map(repr, self.shape))
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
    def weight(self) -> int:
        """Bytes in memory, at the nominal lengths where they are open."""
        weight: int = nominal(self.nbytes)
        return weight

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


def repeats(definition: Definition) -> bool:
    """Tell whether a view shows its elements more than twice on average, as windows do.

    A copy of it takes more memory than all else, and is not kept from one use to the next.
    """
    while isinstance(definition, (View, Reshaped)):
        if nominal(definition.size) > 2 * nominal(definition.operand.size):
            return True
        definition = definition.operand
    return False


def sum_of_one(operand: Definition) -> Definition:
    """Return the sum over axes of length 1: sums begin with 0.0, so -0.0 becomes 0.0."""
    if operand.dtype.kind not in REAL_FLOATING:
        return operand
    return Elementwise(operand.shape, operand.dtype, operand.instruction, _FROM_ZERO, (operand,))


def cast_to(operand: Definition, dtype: DType) -> Definition:
    """Return `operand` converted to `dtype`."""
    if operand.dtype == dtype:
        return operand
    if isinstance(operand, Uniform):
        with np.errstate(all="ignore"):
            number = np.asarray(operand.number, operand.dtype).astype(dtype).item()
        return Uniform(operand.shape, dtype, operand.instruction, number)
    return Elementwise(operand.shape, dtype, operand.instruction, CAST, (operand,))


def copy_of(definition: Definition) -> Definition:
    """Return the same value in memory of its own."""
    return Elementwise(
        definition.shape, definition.dtype, definition.instruction, COPY, (definition,)
    )
