"""Machine code for all lengths: one piece, and for each run the numbers that its lengths make."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from operator import mul
from typing import Any

from oplibrary.core.op import Kind
from oplibrary.machine.cache import assemble_cached, object_name
from oplibrary.machine.elements import Unsupported
from oplibrary.machine.entry import Signature, make_entry, write_entry
from oplibrary.values.types import Array
from staticgraph.backends.backend import Opened, Runner
from staticgraph.backends.native.definitions.define import LaterConstant
from staticgraph.backends.native.definitions.open_lengths import (
    Assumptions,
    Computed,
    Lengths,
    is_open,
    nominal,
)
from staticgraph.backends.native.definitions.products import Product, product_work
from staticgraph.backends.native.emit.address_table import LengthTable
from staticgraph.backends.native.emit.segments import segments_of, write_module
from staticgraph.backends.native.planning.control import plans_of
from staticgraph.backends.native.planning.plan import NativePlan
from staticgraph.backends.native.planning.planning import expanded_program, make_plan
from staticgraph.backends.native.planning.steps import Call
from staticgraph.backends.native.run.calls import bind, make_call, quickened
from staticgraph.backends.native.run.checked import is_checked
from staticgraph.backends.native.run.combinations import MOST_BYTES, MOST_KEPT, Combinations
from staticgraph.backends.native.run.evaluation import evaluation
from staticgraph.backends.native.run.image import make_image
from staticgraph.backends.native.run.proof import prove
from staticgraph.backends.native.run.running import ENTRY, Machine, link
from staticgraph.program.lengths import current_lengths, program_at, program_symbols
from staticgraph.program.program import Program, Value
from staticgraph.program.tuple_values import TupleType

NOMINAL = 251
"""The length that a plan for all lengths takes each to have, where it weighs one way against
another; a prime, so that it is a multiple of nothing."""
_MOST_APART = 16
"""Memory apart from that of the entries, for runs that find that in use, is kept for so many
combinations of lengths."""


def plan_open(program: Program) -> tuple[NativePlan, Assumptions]:
    """Return how a program with symbolic dimensions runs, and what is assumed of its lengths.

    Raises
    ------
    Unsupported
        If something in it needs the numbers.
    """
    # in one order in every process, so that code is found again that another one has made
    symbols = sorted(program_symbols(program), key=lambda each: each.name)
    assumptions = Assumptions({each.name: max(each.least, NOMINAL) for each in symbols})

    def opened(program: Program) -> Program:
        """Return what is planned of a program, or of that of a region."""
        found = program_at(expanded_program(program), assumptions.lengths)[0]
        for value in (*found.inputs, *[each.output for each in found.instructions]):
            items = value.type.items if isinstance(value.type, TupleType) else (value.type,)
            if not all(n > 0 for item in items for n in item.shape):
                raise Unsupported("an array without elements")
        return _without_creations(found)

    return make_plan(program, prepare=opened), assumptions


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
        self.plan, self.assumptions = plan_open(program)
        for plan in plans_of(self.plan):
            for instruction, why in plan.definitions.reasons:
                raise Unsupported(f"{instruction.op.name}: {why}")
        prove(self.plan, self.assumptions.nominal)
        segments = segments_of(self.plan)
        table = LengthTable()
        module, names = write_module(self.plan, segments, table)
        if any(isinstance(each, Call) for each in segments):
            raise Unsupported("something is left to NumPy")
        image = make_image(program, self.plan)
        # checked runs begin in Python, where their memory is poisoned
        self.signature = None if is_checked() else image.signature(self._at_all(program))
        if self.signature is not None and len(names) == 1:
            write_entry(module, self.signature, names[0])
        else:
            self.signature = None
        self.text = str(module)
        image = replace(
            image,
            symbols=(*names, ENTRY) if self.signature is not None else tuple(names),
            object_name=object_name(self.text, self.plan.target),
            functions=tuple(sorted(module.foreign)),
        )
        code = assemble_cached(self.text, self.plan.target) if names else b""
        self.machine = Machine(program, image, link(image, code), lambda: self.plan, names)
        self.machines = _Machines(self.machine, self.plan, self.assumptions, table)

    def _at_all(self, program: Program) -> Program:
        return program_at(program, self.assumptions.lengths)[0]

    def opened(self) -> Opened:
        """Return what runs the program at the lengths that it is made for."""
        machines, call, quicken = self.machines, self.machines.call, None
        if self.signature is not None:
            combinations = Combinations(self.signature)
            make = partial(_make_entry, self.machine, self.signature, combinations)
            entry = make(machines.call, "list")
            if entry is not None:
                call = partial(_enter, entry, combinations, machines)
                quicken = partial(quickened, make)
        runner = Runner(call, lambda: self.text, quicken=quicken, bind=machines.bind)
        return Opened(runner, lambda lengths: machines.at(lengths) is not None)


def _make_entry(
    machine: Machine,
    signature: Signature,
    combinations: Combinations,
    slow: Callable[..., Any],
    form: str,
) -> Callable[..., Any] | None:
    """Return an entry that runs at the lengths of its arguments, if these were met."""
    assert machine.library is not None
    return make_entry(
        signature,
        machine.library.addresses[ENTRY],
        {"heads": combinations.heads},
        tuple(machine.program.variables.values()),
        slow,
        form,
        (combinations, machine.library),
    )


def _enter(
    entry: Callable[..., list[Array]],
    combinations: Combinations,
    machines: _Machines,
    *inputs: Array,
) -> list[Array]:
    """Run by an entry, which from then on knows the lengths."""
    known = combinations.add(machines.here(), inputs)
    return entry(*inputs) if known else machines.call(*inputs)


class _Machines:
    """Machine code for all lengths as it runs at those that were met.

    Parameters
    ----------
    machine : Machine
        For all lengths.
    plan : NativePlan
    assumptions : Assumptions
    table : LengthTable
    """

    def __init__(
        self, machine: Machine, plan: NativePlan, assumptions: Assumptions, table: LengthTable
    ) -> None:
        self.machine = machine
        self.plan = plan
        self.names = [*assumptions.lengths]
        self.works = _works(plan)
        numbers = [plan.arena_bytes, *[n for n, _ in self.works], *table.numbers]
        self.evaluate = evaluation(assumptions, numbers)
        self._known: dict[tuple[int, ...], Machine | None] = {}
        self._bytes = 0
        self._calls: dict[Machine, Callable[..., list[Array]]] = {}

    def at(self, lengths: Mapping[str, int]) -> Machine | None:
        """Return what runs at some lengths; None if the code is not made for them."""
        key = tuple([lengths[name] for name in self.names])
        try:
            return self._known[key]
        except KeyError:
            pass
        numbers = self.evaluate(*key)
        made = None if numbers is None else self._made(Lengths(lengths), numbers)
        self._bytes += 0 if made is None else made.made_bytes
        if len(self._known) >= MOST_KEPT or self._bytes > MOST_BYTES:
            self._known, self._bytes = {}, 0
        self._known[key] = made
        return made

    def _made(self, lengths: Lengths, numbers: tuple[Any, ...]) -> Machine:
        known, table = self.machine.image, 1 + len(self.works)
        made = {
            id(each): each.at(lengths)
            for each in (*known.constants, *known.inner_constants)
            if isinstance(each, LaterConstant)
        }
        rates = [rate for _, rate in self.works]
        image = replace(
            known,
            arena_bytes=numbers[0],
            constants=tuple([made.get(id(each), each) for each in known.constants]),
            inner_constants=tuple([made.get(id(each), each) for each in known.inner_constants]),
            work=sum(map(mul, numbers[1:table], rates)),
            lengths=numbers[table:],
        )
        if is_checked():
            prove(self.plan, lengths)
        return self.machine.at(image, lengths, sum([array.nbytes for array in made.values()]))

    def here(self) -> Machine:
        """Return what runs at the lengths of the run of this thread."""
        machine = self.at(current_lengths())
        assert machine is not None
        return machine

    def call(self, *inputs: Array) -> list[Array]:
        """Run at those lengths, in memory that no entry uses."""
        machine = self.here()
        call = self._calls.get(machine)
        if call is None:
            if len(self._calls) >= _MOST_APART:
                self._calls = {}
            call = self._calls[machine] = make_call(machine)
        return call(*inputs)

    def bind(
        self, inputs: Sequence[Array], outputs: Sequence[Array], result: Any
    ) -> Callable[[], Any]:
        """Return what runs at those lengths, on arrays that stay where they are."""
        return bind(self.here(), inputs, outputs, result)


def _without_creations(program: Program) -> Program:
    """Return a program with what it makes of lengths alone among its constants."""
    made: dict[Value, Any] = {
        each.output: LaterConstant(each)
        for each in program.instructions
        if each.op.kind is Kind.CREATION and not each.inputs
    }
    kept = [each for each in program.instructions if each.output not in made]
    return program.with_instructions(kept, constants={**program.constants, **made})


def _works(plan: NativePlan) -> list[tuple[Any, float]]:
    """Return what takes time: numbers of elements, or of nanoseconds, and nanoseconds for each."""
    works: list[tuple[Any, float]] = [(each.elements, each.rate) for each in plan.nests.values()]
    for step in plan.grouping.steps:
        if isinstance(step, Call) and isinstance(step.definition, Product):
            operands = (step.definition.rounds, step.definition.terms)
            count = (
                Computed(product_work, operands) if is_open(*operands) else product_work(*operands)
            )
            works.append((count, 1.0))
        elif isinstance(step, Call):
            # estimated at the nominal lengths, and in proportion to what is read and written
            definition = step.definition
            sizes = sum([each.size for each in (*definition.written, *definition.operation)])
            works.append((sizes, float(getattr(definition, "work", 0.0)) / (nominal(sizes) or 1)))
    return works
