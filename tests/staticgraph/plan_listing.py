"""What the planner decides, written out: the loops, what they keep, and where everything is.

``python -m tests.staticgraph.plan_listing NAME`` prints the plan of one of `planned_programs`.
Without a name, a line for each is written to ``plans.txt``: what it needs, and a hash of the plan.
Where a line changes, the plans before and after are to be read, as a change of code is: nothing
else would notice that a program takes two loops where it took one, or twice the memory.
"""

import hashlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest import mock

from tests.staticgraph.planned_programs import PROGRAMS, Planned

from oplibrary.machine.target import Target
from staticgraph.backends.native.definitions import correlation
from staticgraph.backends.native.definitions.definition import Definition
from staticgraph.backends.native.definitions.open_lengths import nominal
from staticgraph.backends.native.planning import planning
from staticgraph.backends.native.planning.control import (
    Controlled,
    aligned,
    in_place,
    scratch_sizes,
    unkept,
)
from staticgraph.backends.native.planning.loops import Nest
from staticgraph.backends.native.planning.plan import NativePlan
from staticgraph.backends.native.planning.stages import Stages
from staticgraph.backends.native.planning.steps import Call, Store
from staticgraph.control.flow import Loop

LINES = Path(__file__).parent / "plans.txt"
TARGET = Target("x86_64-unknown-linux-gnu", "x86-64-v3", "", vector_bytes=32, avx512=False)
"""One processor, so that the plans are the same everywhere."""


class Listing:
    """The plan of a program as lines.

    Parameters
    ----------
    plan : NativePlan
    indent : str
        In front of each line.
    """

    def __init__(self, plan: NativePlan, indent: str = "") -> None:
        self.plan = plan
        self.indent = indent
        self.names: dict[Definition, str] = {}
        for number, source in enumerate(plan.sources):
            self.names[source] = f"in{number}"

    def __str__(self) -> str:
        return "\n".join(self.indent + line for line in self.lines())

    def name(self, definition: Definition) -> str:
        """Return what a value is called: by its op, and by a number where it is first met."""
        found = self.names.get(definition)
        if found is None:
            op = definition.instruction.op.name if definition.instruction else ""
            found = f"{type(definition).__name__}.{op}.{len(self.names)}"
            self.names[definition] = found
        return found

    def typed(self, definition: Definition) -> str:
        shape = ",".join(map(repr, definition.shape))
        return f"{self.name(definition)} {definition.dtype.name}[{shape}]"

    def place(self, definition: Definition) -> str:
        found = self.plan.locations.get(definition)
        if found is None:
            return "nowhere"
        inputs, results = len(self.plan.sources), len(self.plan.results)
        if found.slot < inputs:
            return f"in{found.slot}"
        if found.slot < inputs + results:
            return f"out{found.slot - inputs}+{found.offset!r}"
        return f"arena+{found.offset!r}"

    def lines(self) -> Iterator[str]:
        """Yield the steps, then what holds for all of them."""
        plan = self.plan
        for step in plan.grouping.steps:
            if isinstance(step, Call):
                yield from self.call(step)
            else:
                yield from self.loops(plan.nests[step])
        yield f"bytes: {plan.arena_bytes!r} arena, {plan.peak_bytes!r} peak, " + (
            f"{plan.unplanned_bytes!r} unplanned"
        )
        yield f"results: {', '.join(map(self.name, plan.results))}"
        if plan.overwritable:
            yield f"outputs in the memory of inputs: {plan.overwritable}"
        for written, read in plan.overwritten.items():
            yield f"{self.name(written)} may be where {', '.join(map(self.name, read))} is"
        for what in ("unread", "held"):
            found = sorted(map(self.name, getattr(plan, what)))
            if found:
                yield f"{what}: {', '.join(found)}"
        for instruction, why in plan.definitions.reasons:
            yield f"left to NumPy: {instruction.op.name}: {why}"

    def call(self, step: Call) -> Iterator[str]:
        made = step.definition
        operands = ", ".join(map(self.name, made.operands))
        yield f"{step.index} call {self.typed(made)} at {self.place(made)} of {operands}"
        if made.addend is not None:
            yield f"    adds to {self.name(made.addend)}"
        if not isinstance(made, Controlled):
            return
        yield f"    work {made.work:.4g}{', looks for signals' * made.looks_for_signals}"
        for each in made.written:
            yield f"    writes {self.typed(each)} at {self.place(each)}"
        sizes = zip(scratch_sizes(made), self.plan.scratch[made], strict=True)
        yield f"    scratch {[(size, place.offset) for size, place in sizes]}"
        if isinstance(made.flow, Loop):
            names = ", ".join(map(self.name, unkept(made)))
            yield f"    aligned {aligned(made)}, in place {sorted(in_place(made))}, unkept {names}"
        for number, region in enumerate(made.plans):
            yield f"    region {number}:"
            yield str(Listing(region, "        "))

    def loops(self, nest: Nest) -> Iterator[str]:
        kernel, stages = nest.kernel, Stages(nest)
        yield (
            f"{kernel.index} loops {list(kernel.extents)} as {nest.extents} of axes {nest.bands}, "
            f"{nest.outer} over rows, {nest.lanes} lanes, {nest.chunks!r} x {nest.chunk!r} chunks, "
            f"{nest.rate:.4g} ns, {stages.count} stages"
        )
        if nest.fits != 1:
            yield f"    fits {nest.fits!r}"
        if stages.sums_columns:
            yield "    sums columns"
        for part in nest.parts:
            leaves = [self.name(node.definition) for node in part.nodes if node.leaf]
            work = [node.cost for node in part.nodes if not node.leaf]
            yield (
                f"    part {list(part.box)}: {len(work)} values of cost {work[-1:]} read "
                f"{', '.join(leaves)}"
            )
        for ranges, parts in stages.boxes:
            for node, stage in stages.find_kept(parts).items():
                yield f"    rows {ranges}: {self.name(node.definition)} is kept from stage {stage}"
        for store in kernel.stores:
            yield from self.store(nest, stages, store)

    def store(self, nest: Nest, stages: Stages, store: Store) -> Iterator[str]:
        yield (
            f"    writes {self.typed(store.definition)} in {self.name(store.storage)} at "
            f"{self.place(store.storage)}, from {store.start!r} by {list(store.strides)}, "
            f"{list(store.extents)} loops, rows {store.rows}, "
            f"stage {stages.root_levels.get(store)}"
        )
        if store.fold is not None:
            partial = self.plan.partials.get(store.definition)
            yield (
                f"        reduces {sorted(nest.reduced(store))} from {stages.gathers_from(store)}, "
                f"direct {stages.is_direct(store)}, clears at {stages.clears_at(store)}, "
                f"partial at {partial and partial.offset!r}"
            )


@contextmanager
def for_one_processor() -> Iterator[None]:
    """Let everything be planned for `TARGET`."""
    with (
        mock.patch.object(planning, "host_target", lambda: TARGET),
        mock.patch.object(correlation, "host_target", lambda: TARGET),
    ):
        yield


def listing(planned: Planned) -> tuple[NativePlan, str]:
    """Return the plan of a program, and all of it as text."""
    with for_one_processor():
        plan, assumed = planned()
        return plan, f"{Listing(plan)}\n{assumed}".rstrip() + "\n"


def line(name: str) -> str:
    """Return what a program needs, and a hash of its plan."""
    plan, text = listing(PROGRAMS[name])
    calls = sum(isinstance(step, Call) for step in plan.grouping.steps)
    return (
        f"{name}: {len(plan.nests)} kernels, {calls} calls, {nominal(plan.arena_bytes)} bytes, "
        f"{nominal(plan.peak_bytes)} at most, "
        f"plan {hashlib.sha256(text.encode()).hexdigest()[:16]}"
    )


if __name__ == "__main__":
    if sys.argv[1:]:
        print(listing(PROGRAMS[sys.argv[1]])[1], end="")
    else:
        LINES.write_text("".join(line(name) + "\n" for name in PROGRAMS))
