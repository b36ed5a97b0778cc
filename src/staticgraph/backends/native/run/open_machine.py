"""Machine code for all lengths: one piece, and for each run the numbers that its lengths make."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from oplibrary.core.op import Kind
from oplibrary.core.types import Array
from oplibrary.machine.cache import assemble_cached, object_name
from oplibrary.machine.elements import Unsupported
from staticgraph.backends.backend import Runner
from staticgraph.backends.native.definitions.define import LaterConstant
from staticgraph.backends.native.definitions.open_lengths import (
    Assumptions,
    Lengths,
    value_at,
)
from staticgraph.backends.native.definitions.products import Product, product_work
from staticgraph.backends.native.emit.address_table import LengthTable
from staticgraph.backends.native.emit.segments import segments_of, write_module
from staticgraph.backends.native.planning.control import constants_inside, plans_of
from staticgraph.backends.native.planning.plan import NativePlan
from staticgraph.backends.native.planning.planning import expanded_program, make_plan
from staticgraph.backends.native.planning.steps import Call
from staticgraph.backends.native.run.calls import make_runner
from staticgraph.backends.native.run.checked import is_checked
from staticgraph.backends.native.run.image import make_image
from staticgraph.backends.native.run.proof import prove
from staticgraph.backends.native.run.running import Machine, link
from staticgraph.program.lengths import program_at, program_symbols
from staticgraph.program.program import Program, Value
from staticgraph.program.tuple_values import TupleType

NOMINAL = 251
"""The length that a plan for all lengths takes each to have, where it weighs one way against
another; a prime, so that it is a multiple of nothing."""


class OpenMachine:
    """A program with symbolic dimensions as one piece of machine code.

    Parameters
    ----------
    program : Program

    Raises
    ------
    Unsupported
        If something in it needs the numbers.
    """

    def __init__(self, program: Program) -> None:
        symbols = program_symbols(program)
        self.assumptions = Assumptions({each.name: max(each.least, NOMINAL) for each in symbols})
        self.plan = make_plan(program, prepare=self._open)
        for plan in plans_of(self.plan):
            for instruction, why in plan.definitions.reasons:
                raise Unsupported(f"{instruction.op.name}: {why}")
        prove(self.plan, self.assumptions.nominal)
        segments = segments_of(self.plan)
        self.table = LengthTable()
        module, names = write_module(self.plan, segments, self.table)
        if any(isinstance(each, Call) for each in segments):
            raise Unsupported("something is left to NumPy")
        self.text = str(module)
        self.image = replace(
            make_image(program, self.plan),
            symbols=tuple(names),
            object_name=object_name(self.text, self.plan.target),
            functions=tuple(sorted(module.foreign)),
        )
        code = assemble_cached(self.text, self.plan.target) if names else b""
        self.library = link(self.image, code)

    def _open(self, program: Program) -> Program:
        """Return what is planned of a program, or of that of a region."""
        opened = program_at(expanded_program(program), self.assumptions.lengths)[0]
        for value in (*opened.inputs, *[each.output for each in opened.instructions]):
            items = value.type.items if isinstance(value.type, TupleType) else (value.type,)
            if not all(n > 0 for item in items for n in item.shape):
                raise Unsupported("an array without elements")
        return _without_creations(opened)

    def runner(self, program: Program, lengths: Mapping[str, int]) -> Runner | None:
        """Return what runs at some lengths, or None if it is not made for them.

        Parameters
        ----------
        program : Program
            The program at those lengths.
        lengths : mapping of str to int
        """
        at = Lengths(lengths)
        if not self.assumptions.hold(at):
            return None
        image = replace(
            self.image,
            arena_bytes=value_at(self.plan.arena_bytes, at),
            constants=tuple([_array(each, at) for each in self.plan.program.constants.values()]),
            inner_constants=tuple([_array(each, at) for each in constants_inside(self.plan)]),
            work=_work(self.plan, at),
            lengths=tuple([each.at(at) for each in self.table.numbers]),
        )
        if is_checked():
            prove(self.plan, at)
        machine = Machine(program, image, self.library, lambda: self.plan, image.symbols, at)
        return make_runner(machine, lambda: self.text)


def _without_creations(program: Program) -> Program:
    """Return a program with what it makes of lengths alone among its constants."""
    made: dict[Value, Any] = {
        each.output: LaterConstant(each)
        for each in program.instructions
        if each.op.kind is Kind.CREATION and not each.inputs
    }
    kept = [each for each in program.instructions if each.output not in made]
    return program.with_instructions(kept, constants={**program.constants, **made})


def _array(constant: Array | LaterConstant, lengths: Lengths) -> Array:
    return constant.at(lengths) if isinstance(constant, LaterConstant) else constant


def _work(plan: NativePlan, lengths: Lengths) -> float:
    """Return about how many nanoseconds a run takes on one core."""
    work: float = sum(
        [value_at(nest.elements, lengths) * nest.rate for nest in plan.nests.values()]
    )
    for step in plan.grouping.steps:
        if isinstance(step, Call) and isinstance(step.definition, Product):
            product = step.definition
            rounds, terms = (value_at(each, lengths) for each in (product.rounds, product.terms))
            work += product_work(rounds, terms)
        elif isinstance(step, Call):
            work += float(getattr(step.definition, "work", 0.0))
    return work
