"""Control: loops and branches whose regions are machine code, too, and so run without Python."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np

from oplibrary.machine.elements import Unsupported, stored_element
from staticgraph.backends.native.definitions.definition import Definition, Stored, Uniform, copy_of
from staticgraph.backends.native.definitions.open_lengths import is_open, nominal
from staticgraph.backends.native.planning.plan import NativePlan
from staticgraph.backends.native.planning.steps import Call
from staticgraph.control.flow import Choice, Flow, Loop, Rewind
from staticgraph.control.region import BoundRegion
from staticgraph.program.program import Instruction, Program

APART = 1088
"""Bytes by which arrays that a loop goes through together are moved against each other."""
ALIGNED_BYTES = range(1 << 10, 1 << 16)
"""What all of many steps read, and has so many bytes, is copied if it is not aligned: a load that
goes over the end of a cache line takes twice as long."""
MANY_STEPS = 32
LONG_LOOP = 2e7
"""Estimated nanoseconds from which on a loop of a known length looks for Ctrl-C."""
UNKNOWN_STEPS = 1000
"""How many steps a loop is reckoned to have whose number nobody knows."""


@dataclass(eq=False, slots=True, repr=False)
class Controlled(Stored):
    """An op of several results that runs regions.

    Attributes
    ----------
    flow : Flow
    plans : tuple of NativePlan
        Of its regions.
    results : tuple of Result or None
        None for a stack that is not kept.
    work : float
        Estimated nanoseconds.
    may_run_long : bool
        Whether it, or a loop inside, looks for signals.
    """

    in_machine_code: ClassVar[bool] = True

    flow: Flow = None  # type: ignore[assignment]
    plans: tuple[NativePlan, ...] = ()
    results: tuple[Result | None, ...] = ()
    work: float = field(init=False)
    may_run_long: bool = field(init=False)

    def __post_init__(self) -> None:
        # kept, since whatever is around it asks for the same of all that is inside
        works = [plan_work(plan) for plan in self.plans]
        if isinstance(self.flow, Choice):
            self.work = max(works)
        else:
            length = self.flow.length if isinstance(self.flow, Loop) else None
            steps = UNKNOWN_STEPS if length is None else nominal(length)
            self.work = steps * sum(works)
        inside = any(plan_may_run_long(plan) for plan in self.plans)
        self.may_run_long = self.looks_for_signals or inside

    @property
    def written(self) -> tuple[Definition, ...]:
        """The results."""
        return tuple([result for result in self.results if result is not None])

    @property
    def looks_for_signals(self) -> bool:
        """Whether it is a loop that may run long: data or lengths bound it, or many steps."""
        return isinstance(self.flow, Rewind) or (
            isinstance(self.flow, Loop)
            and (
                self.flow.condition is not None
                or self.work > LONG_LOOP
                or any(is_open(each.nbytes) for each in (*self.operation, *self.written))
            )
        )


@dataclass(eq=False, slots=True, repr=False)
class Result(Stored):
    """One result of an op of several."""

    owner: Controlled = None  # type: ignore[assignment]

    @property
    def operands(self) -> tuple[Definition, ...]:
        """What writes it."""
        return (self.owner,)


def scratch_sizes(controlled: Controlled) -> list[int]:
    """Return the bytes of each place that is needed while it runs.

    There is an arena for each region; then, for a loop, two places for each carry, or one where
    each step overwrites it, one for each result of a step that is not kept, one for what the
    condition gives, and one for each operand that is copied to be `aligned`; for a loop that is
    gone back through, two places for each result and one for what the condition gives.
    """
    flow, plans = controlled.flow, controlled.plans
    sizes = [plan.arena_bytes for plan in plans]
    if isinstance(flow, Loop):
        body = plans[0].results
        for i, result in enumerate(body[: flow.carries]):
            sizes += [result.nbytes] * (1 if i in in_place(controlled) else 2)
        sizes += [result.nbytes for result in unkept(controlled)]
        sizes += [result.nbytes for result in plans[-1].results if flow.condition is not None]
        sizes += [controlled.operation[i].nbytes for i in aligned(controlled)]
    elif isinstance(flow, Rewind):
        sizes += [result.nbytes for result in controlled.written for _ in range(2)]
        sizes += [result.nbytes for result in plans[1].results]
    # a load that follows a store to the same place in another page waits for it: keep them apart
    return [size + APART for size in sizes]


def in_place(controlled: Controlled) -> set[int]:
    """Return the carries of a loop that each step overwrites."""
    pairs = controlled.plans[0].overwritable.items()
    return {output for output, read in pairs if output == read}


def unkept(controlled: Controlled) -> list[Definition]:
    """Return what a loop's body gives beside the carries and no stack keeps."""
    flow, results = controlled.flow, controlled.plans[0].results
    assert isinstance(flow, Loop)
    keep = flow.keep or (False,) * len(results)
    return [result for i, result in enumerate(results) if i >= flow.carries and not keep[i]]


def aligned(controlled: Controlled) -> list[int]:
    """Return the operands that all steps of a loop read and that are to be aligned."""
    flow = controlled.flow
    if not isinstance(flow, Loop) or (
        flow.length is not None and nominal(flow.length) < MANY_STEPS
    ):
        return []
    # what the program computes is aligned where it is
    return [
        i
        for i, operand in enumerate(controlled.operation)
        if i >= flow.carries + flow.sequences
        and isinstance(operand, Stored)
        and not operand.operation
        and not is_open(operand.nbytes)
        and operand.nbytes in ALIGNED_BYTES
    ]


def region_programs(program: Program, left: Collection[int] = ()) -> dict[BoundRegion, Program]:
    """Return the regions that a program runs, each with its program.

    Those of the instructions whose numbers are `left` do not count.
    """
    found: dict[BoundRegion, Program] = {}
    for number, instruction in enumerate(program.instructions):
        if instruction.op.control is not None and number not in left:
            flow: Flow = instruction.op.control(**instruction.attrs)
            for region in flow.regions:
                found[region] = region.program
    return found


def define_control(
    plans: Mapping[BoundRegion, NativePlan],
    instruction: Instruction,
    operands: tuple[Definition, ...],
) -> Definition:
    """Return what an op that runs regions is, or a result of one.

    Parameters
    ----------
    plans : mapping of BoundRegion to NativePlan
    instruction : Instruction
    operands : tuple of Definition

    Raises
    ------
    Unsupported
        If a region is not machine code altogether.
    """
    op, type_ = instruction.op, instruction.output.type
    if op.control is None:
        owner = operands[0] if op.projection else None
        if not isinstance(owner, Controlled):
            raise Unsupported("what it belongs to is left to NumPy")
        kept: Definition | None = owner.results[instruction.attrs["index"]]
        assert kept is not None
        return kept
    flow: Flow = op.control(**instruction.attrs)
    own = tuple([plans[region] for region in flow.regions])
    for plan in own:
        _require_machine_code(plan)
    stacked = flow.keep if isinstance(flow, Loop) else ()
    items: tuple[Any, ...] = type_.items  # type: ignore[attr-defined]
    first = len(items) - len(stacked)
    for each in (*items, *operands):
        stored_element(each.dtype)
        if not each.size:
            raise Unsupported("arrays without elements")
    if not operands:
        raise Unsupported("nothing to work on")
    stored = tuple([_in_memory(operand) for operand in operands])
    controlled = Controlled(type_.shape, type_.dtype, instruction, stored, flow=flow, plans=own)
    controlled.results = tuple(
        [
            Result(item.shape, item.dtype, instruction, owner=controlled)
            if i < first or stacked[i - first]
            else None
            for i, item in enumerate(items)
        ]
    )
    return controlled


def _in_memory(operand: Definition) -> Definition:
    return copy_of(operand) if isinstance(operand, Uniform) else operand


def _require_machine_code(plan: NativePlan) -> None:
    for step in plan.grouping.steps:
        if isinstance(step, Call) and not step.definition.in_machine_code:
            instruction = step.definition.instruction
            name = "a copy" if instruction is None else instruction.op.name
            raise Unsupported(f"{name}, inside of it, is left to NumPy")
    if plan.program.variables:
        raise Unsupported("a variable is read inside of it")
    for result in plan.results:
        stored_element(result.dtype)


def controls_of(plan: NativePlan) -> Iterator[Controlled]:
    """Yield the loops and branches of a plan, not those inside of them."""
    for step in plan.grouping.steps:
        if isinstance(step, Call) and isinstance(step.definition, Controlled):
            yield step.definition


def plans_of(plan: NativePlan) -> list[NativePlan]:
    """Return a plan and those of all regions in it, each once and before those inside of it."""
    finished: dict[NativePlan, None] = {}
    stack = [(plan, False)]
    while stack:
        found, entered = stack.pop()
        if entered:
            finished.setdefault(found)
        elif found not in finished:
            stack.append((found, True))
            stack += [(i, False) for control in controls_of(found) for i in control.plans]
    return list(reversed(finished))


def plan_may_run_long(plan: NativePlan) -> bool:
    """Tell whether a plan has a loop that looks for signals."""
    return any(controlled.may_run_long for controlled in controls_of(plan))


def constants_inside(plan: NativePlan) -> list[np.ndarray[Any, Any]]:
    """Return the constants of the regions of a plan, in the order of `plans_of`."""
    _, *inside = plans_of(plan)
    return [array for inner in inside for array in inner.program.constants.values()]


def plan_work(plan: NativePlan) -> float:
    """Return about how many nanoseconds a run takes on one core."""
    work: float = sum([nominal(nest.elements) * nest.rate for nest in plan.nests.values()])
    for step in plan.grouping.steps:
        if isinstance(step, Call):
            work += float(getattr(step.definition, "work", 0.0))
    return work
