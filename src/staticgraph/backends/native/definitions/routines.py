"""What an op computes by a routine of its own, in loops that nothing else is part of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from oplibrary.machine.elements import Unsupported
from oplibrary.machine.routines.routine import Routine, find_routine
from staticgraph.backends.native.definitions.affine import row_major
from staticgraph.backends.native.definitions.definition import (
    Definition,
    Stored,
    Uniform,
    cast_to,
    copy_of,
)
from staticgraph.backends.native.definitions.products import Strided, find_strided
from staticgraph.program.program import Instruction

BYTE = np.dtype(np.uint8)


@dataclass(eq=False, slots=True, repr=False)
class Routined(Stored):
    """The result of a routine.

    Attributes
    ----------
    routine : Routine
    places : tuple of Strided
        Where the operands are, in row-major order.
    scratch : Stored or None
        What it uses besides while it runs.
    """

    in_machine_code: ClassVar[bool] = True

    routine: Routine = None  # type: ignore[assignment]
    places: tuple[Strided, ...] = ()
    scratch: Stored | None = None

    @property
    def written(self) -> tuple[Definition, ...]:
        """The result, and what is used besides."""
        return (self,) if self.scratch is None else (self, self.scratch)

    @property
    def work(self) -> float:
        """Estimated nanoseconds."""
        return self.routine.work


def define_routine(instruction: Instruction, operands: tuple[Definition, ...]) -> Definition:
    """Return what an op is that has a routine.

    Raises
    ------
    Unsupported
        If it has none for these operands.
    """
    op, type_ = instruction.op, instruction.output.type
    if not type_.size and not any(each.size for each in operands):
        return Uniform(type_.shape, type_.dtype, instruction, 0)
    if not type_.size or not all(each.size for each in operands):
        raise Unsupported("arrays without elements")
    assert op.routine is not None
    types = [value.type for value in instruction.inputs]
    routine = find_routine(op.routine, types, type_, instruction.attrs)
    places = tuple(
        [
            _in_order(cast_to(operand, dtype))
            for operand, dtype in zip(operands, routine.operands, strict=True)
        ]
    )
    operation = tuple([place.base for place in places])
    scratch = Stored((routine.scratch,), BYTE, None) if routine.scratch else None
    return Routined(
        type_.shape,
        type_.dtype,
        instruction,
        operation,
        routine=routine,
        places=places,
        scratch=scratch,
    )


def _in_order(definition: Definition) -> Strided:
    """Return where the elements lie one after the other, in a copy if they do not."""
    strided = find_strided(definition)
    if not isinstance(strided.base, Uniform):
        expected = row_major(definition.shape)
        pairs = zip(definition.shape, strided.strides, expected, strict=True)
        if all(n == 1 or stride == wanted for n, stride, wanted in pairs):
            return strided
    return Strided(copy_of(definition), 0, row_major(definition.shape))
