"""Planning: the steps of a run, and where everything is in memory."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from heapq import nlargest

from oplibrary.machine.elements import Unsupported, stored_element
from oplibrary.machine.target import host_target
from staticgraph.backends.native.definitions.define import Definitions, define
from staticgraph.backends.native.definitions.definition import (
    Definition,
    Stored,
    Uniform,
    copy_of,
)
from staticgraph.backends.native.definitions.expansion import expand
from staticgraph.backends.native.definitions.open_lengths import nominal
from staticgraph.backends.native.definitions.selections import Gathered
from staticgraph.backends.native.planning.control import (
    Controlled,
    define_control,
    region_programs,
    scratch_sizes,
)
from staticgraph.backends.native.planning.exploration import ValueAt
from staticgraph.backends.native.planning.grouping import Grouping, group
from staticgraph.backends.native.planning.loops import Nest, plan_nest
from staticgraph.backends.native.planning.packing import Allocation, Life, Room, pack
from staticgraph.backends.native.planning.plan import Location, NativePlan
from staticgraph.backends.native.planning.reuse import find_overwritten
from staticgraph.backends.native.planning.schedule import read_before_changed, schedule
from staticgraph.backends.native.planning.steps import Call, Kernel, Step, storage_of
from staticgraph.control.region import BoundRegion
from staticgraph.passes.eliminate_common_subexpressions import eliminate_common_subexpressions
from staticgraph.program.lengths import current_lengths, program_at, program_is_symbolic
from staticgraph.program.memory import PlannedStep
from staticgraph.program.program import Instruction, Program, Value

MOST_ROOMS = 16
"""So many results, the largest ones, hold other values: a place is looked for in each."""


def expanded_program(program: Program) -> Program:
    """Return what is planned for `program`."""
    return eliminate_common_subexpressions(expand(program))


def _expanded_here(program: Program) -> Program:
    if program_is_symbolic(program):
        program = program_at(program, current_lengths())[0]
    return expanded_program(program)


def make_plan(
    program: Program,
    left: Mapping[int, str] | None = None,
    prepare: Callable[[Program], Program] | None = None,
) -> NativePlan:
    """Return how `program` runs.

    Parameters
    ----------
    program : Program
    left : mapping of int to str, optional
        The instructions of the `expanded_program` that are left to NumPy in any case, and why.
    prepare : callable, optional
        ``prepare(program)`` returns what is planned for a program, or for that of a region: by
        default the `expanded_program`, with the lengths of this run.
    """
    left = left or {}
    prepare = prepare or _expanded_here
    whole = prepare(program)
    # what is inside of a region first, however deep, without a call for each level
    expanded: dict[BoundRegion, Program] = {}
    plans: dict[BoundRegion, NativePlan] = {}
    stack = list(region_programs(whole, left).items())
    while stack:
        region, inner = stack[-1]
        if region in plans:
            stack.pop()
        elif region not in expanded:
            expanded[region] = prepare(inner)
            stack += region_programs(expanded[region]).items()
        else:
            plans[region] = _plan(expanded[region], plans, True, {})
    return _plan(whole, plans, False, left)


def _plan(
    expanded: Program,
    plans: Mapping[BoundRegion, NativePlan],
    is_region: bool,
    left: Mapping[int, str],
) -> NativePlan:
    """Return how an expanded program runs whose regions have `plans`.

    The results of a region may be where its inputs are. Those of a whole program are in memory of
    their own, which is used for other values until they are written.
    """
    target = host_target()
    definitions = define(expanded, partial(define_control, plans), left)
    of = definitions.of
    results = _separate_results([of[value] for value in program_results(expanded)])
    grouping = read_before_changed(schedule(group(results, definitions.effects), results))
    nests = {
        step: plan_nest(step, grouping.index, target)
        for step in grouping.steps
        if isinstance(step, Kernel)
    }
    inputs = (*expanded.inputs, *expanded.variables, *expanded.constants)
    sources = tuple([of[value] for value in inputs])
    locations = {source: Location(slot) for slot, source in enumerate(sources)}
    for position, result in enumerate(results):
        locations[storage_of(result)] = Location(len(sources) + position)
    layout = _Layout(grouping, nests, locations, len(sources) + len(results))
    layout.plan([] if is_region else list(map(storage_of, results)))
    steps, offsets, last_use = _described(expanded, grouping, nests, layout)
    return NativePlan(
        steps=steps,
        offsets=offsets,
        last_use=last_use,
        arena_bytes=layout.arena_bytes,
        peak_bytes=layout.peak + sum(result.nbytes for result in results),
        unplanned_bytes=layout.total + sum(result.nbytes for result in results),
        target=target,
        definitions=definitions,
        grouping=grouping,
        nests=nests,
        results=tuple(results),
        sources=sources,
        locations=locations,
        partials=layout.partials,
        held=layout.held,
        unread=layout.unread,
        scratch=layout.scratch,
        overwritable=_overwritable(expanded, definitions, results, layout),
        overwritten=layout.overwritten,
        program=expanded,
    )


def program_results(program: Program) -> tuple[Value, ...]:
    """Return what must be in memory of its own when a run ends."""
    return program.results


def _separate_results(results: list[Definition]) -> list[Definition]:
    """Return the results, those that are no values of their own replaced by copies."""
    taken: set[Definition] = set()
    separate = []
    for result in results:
        base = storage_of(result)
        own = base not in taken and not isinstance(base, Uniform)
        if isinstance(base, Stored) and not base.operands:
            own = False
        if own and _is_number(result):
            taken.add(base)
            separate.append(result)
        else:
            separate.append(_copy(result))
    return separate


def _is_number(definition: Definition) -> bool:
    try:
        stored_element(definition.dtype)
    except Unsupported:
        return False
    return True


def _copy(definition: Definition) -> Definition:
    if _is_number(definition):
        return copy_of(definition)
    return Stored(definition.shape, definition.dtype, None, (definition,))


class _Layout:
    """Give every value that is written a place, for as long as it is needed."""

    def __init__(
        self,
        grouping: Grouping,
        nests: Mapping[Kernel, Nest],
        locations: dict[Definition, Location],
        arena_slot: int,
    ) -> None:
        self.steps = grouping.steps
        self.nests = nests
        self.locations = locations
        self.arena_slot = arena_slot
        self.arena_bytes = 0
        self.partials: dict[Definition, Location] = {}
        self.held: set[Definition] = set()
        self.unread: set[Definition] = set()
        self.scratch: dict[Definition, list[Location]] = {}
        self.peak = 0
        self.total = 0
        self.last: dict[Definition, int] = {}
        self.first: dict[Definition, int] = {}
        self.final: dict[Definition, Definition] = {}  # whose memory a value shares
        self.overwritten: dict[Definition, list[Definition]] = {}

    def plan(self, spare: Sequence[Definition]) -> None:
        """Find every place; `spare` has memory that is free until it is written."""
        self._find_lives()  # which also finds what is not read
        self.overwritten = find_overwritten(self.steps, self.nests)
        self._share_memory()
        self.first.clear()
        self.last.clear()
        self._find_lives()
        wanted: list[tuple[Life, Callable[[Location], object]]] = []
        placed = {*self.locations, *self.unread}
        for number, step in enumerate(self.steps):
            for definition in self._written(step):
                if definition in placed:
                    continue
                placed.add(definition)
                if definition.dtype.kind == "O":
                    self.held.add(definition)
                    continue
                life = Life(definition.nbytes, number, self.last[definition])
                wanted.append((life, partial(self.locations.__setitem__, definition)))
                self.total += definition.nbytes
            if isinstance(step, Kernel):
                nest = self.nests[step]
                for store in nest.partial_roots:
                    life = Life(store.definition.nbytes * nest.chunks, number, number)
                    wanted.append((life, partial(self.partials.__setitem__, store.definition)))
            elif isinstance(step.definition, Controlled):
                places = self.scratch[step.definition] = []
                for size in scratch_sizes(step.definition):
                    wanted.append((Life(size, number, number), places.append))
        spare = nlargest(MOST_ROOMS, spare, key=lambda each: each.weight)
        rooms = [Room(each.nbytes, self.first.get(each, 0)) for each in spare]
        lives = [life for life, _ in wanted]
        found, self.arena_bytes = pack(lives, rooms)
        slots = [self.locations[each].slot for each in spare]
        for (_, put), place in zip(wanted, found, strict=True):
            put(
                Location(self.arena_slot if place.room is None else slots[place.room], place.offset)
            )
        self.peak = _most_at_once(lives, found)
        for addend, final in self.final.items():
            self.locations[addend] = self.locations[final]

    def _share_memory(self) -> None:
        """Let what is added to, or overwritten, be where the value is that it becomes."""
        for step in reversed(self.steps):
            if isinstance(step, Call):
                if step.definition.addend is not None:
                    self._become(step.definition.addend, step.definition)
                self._overwrite(step.definition)
                continue
            for store in step.stores:
                if store.storage not in self.unread:
                    self._overwrite(store.storage)

    def _overwrite(self, written: Definition) -> None:
        for read in self.overwritten.get(written, ()):
            own = read in self.last and read not in self.locations
            if own and read not in self.final:
                self._become(read, written)
                break

    def _become(self, definition: Definition, later: Definition) -> None:
        self.final[definition] = self.final.get(later, later)

    def _written(self, step: Step) -> list[Definition]:
        if isinstance(step, Call):
            return [self.final.get(each, each) for each in step.definition.written]
        written = [self.final.get(store.storage, store.storage) for store in step.stores]
        return list(dict.fromkeys([each for each in written if self.first[each] == step.index]))

    def _find_lives(self) -> None:
        read: set[Definition] = set(self.locations)
        for number, step in enumerate(self.steps):
            if isinstance(step, Call):
                operands = {storage_of(each) for each in step.definition.operands}
                self._use([*step.definition.written, *operands], number)
                read |= operands
                continue
            self._use([store.storage for store in step.stores], number)
            # a store that copies a value into another, as a concat does, does not make the value
            own = {store.definition for store in step.stores if store.storage is store.definition}
            for part in self.nests[step].parts:
                for node in part.nodes:
                    if isinstance(node.definition, Gathered) and not node.leaf:
                        self._use([storage_of(node.definition.source)], number)
                        read.add(storage_of(node.definition.source))
                    if node.leaf and not isinstance(node.definition, Uniform):
                        self._use([node.definition], number)
                        if node.definition not in own:
                            read.add(node.definition)
        kernels = [step for step in self.steps if isinstance(step, Kernel)]
        for step in kernels:
            for store in step.stores:
                if store.storage is not store.definition:
                    read.add(store.storage)
                elif store.fold is not None and not step.is_local(store):
                    read.add(store.definition)
        written = {store.storage for step in kernels for store in step.stores}
        self.unread = written - read

    def _use(self, definitions: list[Definition], number: int) -> None:
        for each in definitions:
            definition = self.final.get(each, each)
            self.first.setdefault(definition, number)
            self.last[definition] = number


def _most_at_once(lives: Sequence[Life], places: Sequence[Allocation]) -> int:
    """Return the most bytes in the arena that are needed at once."""
    changes: dict[int, int] = {}
    for life, place in zip(lives, places, strict=True):
        if place.room is None:
            nbytes = nominal(life.nbytes)
            changes[life.first] = changes.get(life.first, 0) + nbytes
            changes[life.last + 1] = changes.get(life.last + 1, 0) - nbytes
    most = now = 0
    for step in sorted(changes):
        now += changes[step]
        most = max(most, now)
    return most


def _overwritable(
    program: Program,
    definitions: Definitions,
    results: list[Definition],
    layout: _Layout,
) -> dict[int, int]:
    owned = {
        definitions.of[value]: number
        for number, value in enumerate(program.inputs)
        if value in program.owned
    }
    shared = set(layout.final.values())
    found = {}
    for number in range(len(program.outputs)):
        result = storage_of(results[number])
        for read in layout.overwritten.get(result, ()):
            if read in owned and result not in shared:
                found[number] = owned[read]
    return found


def _described(
    program: Program, grouping: Grouping, nests: Mapping[Kernel, Nest], layout: _Layout
) -> tuple[tuple[PlannedStep, ...], dict[Value, int], dict[Value, int]]:
    """Return the steps, offsets and last uses in terms of the program's instructions."""
    place = {each: number for number, each in enumerate(program.instructions)}
    steps, offsets, last_use = [], {}, {}
    for step in grouping.steps:
        found: dict[Instruction, None] = {}
        definitions: list[Definition] = []
        if isinstance(step, Call):
            definitions.append(step.definition)
        else:
            nodes: list[ValueAt] = [node for part in nests[step].parts for node in part.nodes]
            definitions += [node.definition for node in nodes if not node.leaf]
            definitions += [store.definition for store in step.stores]
        for definition in definitions:
            if definition.instruction in place:
                assert definition.instruction is not None
                found[definition.instruction] = None
        steps.append(PlannedStep(tuple(sorted(found, key=place.__getitem__))))
    for definition, location in layout.locations.items():
        instruction = definition.instruction
        if location.slot == layout.arena_slot and instruction in place:
            assert instruction is not None
            if instruction.output.type.nbytes == definition.nbytes:
                offsets[instruction.output] = location.offset
                last_use[instruction.output] = layout.last[layout.final.get(definition, definition)]
    return tuple(steps), offsets, last_use
