"""Segments: the functions that run a plan's steps, between the calls of NumPy."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from oplibrary.machine.code import Code
from oplibrary.machine.module import Module
from oplibrary.machine.pool import thread_count
from oplibrary.machine.target import Target
from staticgraph.backends.native.definitions.correlation import Correlation
from staticgraph.backends.native.definitions.open_lengths import at_most, is_open
from staticgraph.backends.native.definitions.products import Product, Split, Tiling
from staticgraph.backends.native.definitions.routines import Routined
from staticgraph.backends.native.definitions.selections import Scattered
from staticgraph.backends.native.emit.address_table import (
    BLAS_ENTER,
    POOL_RUN,
    STATUS,
    Base,
    LengthTable,
    address_of,
    release_lock,
    special_slot,
    take_lock,
)
from staticgraph.backends.native.emit.blas import product_bases, write_product
from staticgraph.backends.native.emit.blas_threads import blas_threads, cuts_columns
from staticgraph.backends.native.emit.correlations import write_correlation
from staticgraph.backends.native.emit.kernels import write_kernel
from staticgraph.backends.native.emit.long_sums import write_combination
from staticgraph.backends.native.emit.regions import WrittenRegion, write_control
from staticgraph.backends.native.emit.routines import (
    routine_bases,
    scatter_bases,
    scatter_key,
    write_routine,
    write_scatter,
)
from staticgraph.backends.native.emit.shared_code import Description
from staticgraph.backends.native.planning.control import (
    Controlled,
    plan_may_run_long,
    plans_of,
)
from staticgraph.backends.native.planning.loops import Nest
from staticgraph.backends.native.planning.plan import NativePlan
from staticgraph.backends.native.planning.steps import Call, Kernel

Segment = list[Kernel | Call]
"""Steps that follow each other and are machine code."""


def segments_of(plan: NativePlan) -> list[Segment | Call]:
    """Return the steps, those between two calls of NumPy together."""
    result: list[Segment | Call] = []
    for step in plan.grouping.steps:
        if isinstance(step, Call) and not step.definition.in_machine_code:
            result.append(step)
        elif result and isinstance(result[-1], list):
            result[-1].append(step)
        else:
            result.append([step])
    return result


BLAS_ALONE_TERMS = 1 << 17
"""A product of fewer multiplications is computed by one thread of BLAS in any case (OpenBLAS cuts
up what has more than 1 << 18)."""


def is_left_to_blas(step: Kernel | Call, target: Target) -> bool:
    """Tell whether a step is a product by BLAS."""
    product = step.definition if isinstance(step, Call) else None
    return isinstance(product, Product) and product.tiling(target) is None


def needs_blas_alone(step: Kernel | Call, target: Target) -> bool:
    """Tell whether a step is a product that BLAS would start threads for."""
    return (
        is_left_to_blas(step, target)
        and not at_most(step.definition.terms, BLAS_ALONE_TERMS)  # type: ignore[union-attr]
        and blas_threads() is not None
    )


def is_shared(step: Kernel | Call, target: Target) -> bool:
    """Tell whether a step is a product that several threads work on."""
    product = step.definition if isinstance(step, Call) else None
    return (
        isinstance(product, Product) and split_product(product, product.tiling(target)).chunks != 1
    )


def split_product(product: Product, tiling: Tiling | None) -> Split:
    """Return how a product is shared among threads; not where BLAS has its own."""
    if tiling is not None:
        return product.split(thread_count(), tiling)
    if blas_threads() is None:
        return product.split(1)
    return product.split(thread_count(), by_columns=cuts_columns())


class _Kernels:
    """The functions of kernels and products, equal ones written once, and those of regions.

    Attributes
    ----------
    regions : mapping of NativePlan to WrittenRegion
        The regions inside.
    lengths : LengthTable or None
        Of a plan with open lengths.
    """

    def __init__(
        self,
        module: Module,
        plan: NativePlan,
        regions: Mapping[NativePlan, WrittenRegion],
        lengths: LengthTable | None = None,
    ) -> None:
        self.module = module
        self.plan = plan
        self.regions = regions
        self.lengths = lengths
        self._known: dict[Any, tuple[str, str, list[tuple[str, int]], list[tuple[str, int]]]] = {}
        self._scatters: dict[Any, str] = {}
        self._routines: dict[Any, str] = {}
        self._products: dict[Any, tuple[str, Split]] = {}

    def find(self, nest: Nest) -> tuple[str, str, list[Base], list[Base]]:
        """Return a kernel's function, the one that combines its chunks, and their addresses."""
        description = Description(nest, self.plan.unread)
        known = self._known.get(description.key)
        if known is None:
            known = self._known[description.key] = self._write(nest, description)
        run, combine, *orders = known
        places = description.places
        bases: list[list[Base]] = [
            [(kind, *(places[number] if number >= 0 else (None, 0))) for kind, number in order]
            for order in orders
        ]
        return run, combine, bases[0], bases[1]

    def find_product(self, product: Product, tiling: Tiling | None) -> tuple[str, Split]:
        """Return the function that computes chunks of a product, and the chunks there are."""
        known = self._products.get((product.geometry, tiling))
        if known is None:
            name, split = self.module.new_name("product"), split_product(product, tiling)
            if isinstance(product, Correlation):
                write_correlation(self.module, name, product, split)
            else:
                write_product(self.module, name, product, split, tiling)
            known = self._products[product.geometry, tiling] = name, split
        return known

    def find_scatter(self, scattered: Scattered) -> str:
        """Return the function that adds elements where they are selected."""
        key = scatter_key(scattered)
        name = self._scatters.get(key)
        if name is None:
            name = self._scatters[key] = self.module.new_name("scatter")
            write_scatter(self.module, name, scattered)
        return name

    def find_routine(self, routined: Routined) -> str:
        """Return the function of a routine."""
        key = routined.routine.key
        name = self._routines.get(key)
        if name is None:
            name = self._routines[key] = self.module.new_name("routine")
            write_routine(self.module, name, routined)
        return name

    def _write(
        self, nest: Nest, description: Description
    ) -> tuple[str, str, list[tuple[str, int]], list[tuple[str, int]]]:
        run, combine = self.module.new_name("kernel"), ""
        places: dict[Any, int] = {place: i for i, place in enumerate(description.places)}

        def numbered(order: list[Base]) -> list[tuple[str, int]]:
            return [(kind, places.get(tuple(place), -1)) for kind, *place in order]

        used = numbered(write_kernel(self.module, run, nest, self.plan.unread))
        combined: list[tuple[str, int]] = []
        if nest.partial_roots:
            combine = self.module.new_name("combine")
            combined = numbered(write_combination(self.module, combine, nest))
        return run, combine, used, combined


class StepClock:
    """A table of moments, which functions fill in as they run their steps.

    A function has two moments in front of its steps, which tell what to take one costs, and one
    behind each of them.

    Parameters
    ----------
    clock : int
        The number that C's ``clock_gettime`` knows it by.

    Attributes
    ----------
    functions : list of int
        How many steps each function has, in the order in which they run.
    """

    TABLE = "step_moments"
    """The symbol of the table: seconds and nanoseconds, in turn."""

    def __init__(self, clock: int) -> None:
        self.clock = clock
        self.functions: list[int] = []
        self._moments = 0

    def begin(self, code: Code) -> None:
        """Write: a function begins."""
        code.module.declare("clock_gettime", "i32", ["i32", "ptr"])
        self.functions.append(0)
        for _ in range(2):
            self._take(code)

    def step(self, code: Code) -> None:
        """Write: a step has ended."""
        self.functions[-1] += 1
        self._take(code)

    def _take(self, code: Code) -> None:
        place = f"getelementptr inbounds (i64, ptr @{self.TABLE}, i64 {2 * self._moments})"
        code.statement(f"call i32 @clock_gettime(i32 {self.clock}, ptr {place})")
        self._moments += 1

    def finish(self, module: Module) -> None:
        """Write the table."""
        module.add_global(self.TABLE, f"global [{2 * self._moments} x i64] zeroinitializer")


def write_module(
    plan: NativePlan,
    segments: list[Segment | Call],
    lengths: LengthTable | None = None,
    clock: StepClock | None = None,
) -> tuple[Module, list[str]]:
    """Return the functions of all kernels, and the names of those that run a segment each.

    What the functions need to know of open lengths is entered into `lengths`. With a `clock` they
    take the time of each step.
    """
    module = Module(plan.target)
    if lengths is not None:
        module.numbers = lengths.beside_bases
    regions: dict[NativePlan, WrittenRegion] = {}
    _, *inside = plans_of(plan)
    behind = sum([len(inner.program.constants) for inner in inside])
    for inner in reversed(inside):  # what is inside of a region comes before it
        behind -= len(inner.program.constants)
        kernels = _Kernels(module, inner, regions, lengths)
        regions[inner] = WrittenRegion(_write_region(module, inner, kernels), behind)
    kernels = _Kernels(module, plan, regions, lengths)
    names: list[str] = []
    for segment in segments:
        if isinstance(segment, Call):
            continue
        names.append(f"segment_{len(names)}")
        if plan_may_run_long(plan):
            _write_without_lock(module, plan, kernels, names[-1], segment, clock)
        else:
            _write_segment(module, plan, kernels, names[-1], segment, clock)
    if clock is not None:
        clock.finish(module)
    return module, names


def _write_without_lock(
    module: Module,
    plan: NativePlan,
    kernels: _Kernels,
    name: str,
    segment: Segment,
    clock: StepClock | None,
) -> None:
    """Write the function that runs a segment without the interpreter's lock."""
    _write_segment(module, plan, kernels, f"{name}_alone", segment, clock)
    code = Code(module)
    release_lock(code, plan)
    code.statement(f"call void @{name}_alone(ptr %slots)")
    take_lock(code, plan)
    code.statement("ret void")
    module.add_function(name, code, "void", ["ptr %slots"])


def _write_segment(
    module: Module,
    plan: NativePlan,
    kernels: _Kernels,
    name: str,
    segment: Segment,
    clock: StepClock | None = None,
) -> None:
    """Write the function that runs a segment; a long one calls a function for each stretch."""
    alone = any(needs_blas_alone(step, plan.target) for step in segment)
    stretches = _stretches(segment)
    if len(stretches) < 2 and not alone:
        _SegmentWriter(module, plan, kernels, clock).write(name, segment)
        return
    code = Code(module)
    if alone:
        _switch_blas(code, plan, BLAS_ENTER)
    for number, stretch in enumerate(stretches):
        part = f"{name}_{number}"
        writer = _SegmentWriter(module, plan, kernels, clock)
        writer.write(part, stretch, "internal", "noinline optnone")
        code.statement(f"call void @{part}(ptr %slots)")
    if alone:
        _switch_blas(code, plan, BLAS_ENTER + 1)
    code.statement("ret void")
    module.add_function(name, code, "void", ["ptr %slots"])


def _write_region(module: Module, plan: NativePlan, kernels: _Kernels) -> str:
    """Write ``void name(ptr slots)``, which runs a plan without NumPy, and return its name."""
    name = module.new_name("region")
    segments = segments_of(plan)
    assert len(segments) <= 1, segments
    steps = segments[0] if segments else []
    assert isinstance(steps, list)
    _write_segment(module, plan, kernels, name, steps)
    return name


def _switch_blas(code: Code, plan: NativePlan, slot: int) -> None:
    """Write the call that lets BLAS use one thread, or its own again."""
    switch, words = special_slot(code, plan, slot), special_slot(code, plan, BLAS_ENTER + 2)
    code.statement(f"call void {switch.ref}(ptr {words.ref})")


STRETCH, STRETCH_ADDRESSES = 64, 1024
"""Steps in one function, and the addresses that they are given, of which one step may need many:
the time that LLVM takes grows faster than the length of a function."""


def _stretches(segment: Segment) -> list[Segment]:
    """Return the steps in parts, a function each."""
    found: list[Segment] = []
    addresses = 0
    for step in segment:
        needed = 0
        if isinstance(step, Kernel):
            needed = sum([1 + len(store.leaves) for store in step.stores])
        if not found or len(found[-1]) == STRETCH or addresses + needed > STRETCH_ADDRESSES:
            found.append([])
            addresses = 0
        found[-1].append(step)
        addresses += needed
    return found


class _SegmentWriter:
    """Write the function that runs a segment: it calls the kernels one after the other."""

    def __init__(
        self, module: Module, plan: NativePlan, kernels: _Kernels, clock: StepClock | None
    ) -> None:
        self.module = module
        self.plan = plan
        self.kernels = kernels
        self.clock = clock
        self.code = Code(module)
        if kernels.lengths is not None:
            self.code.number = kernels.lengths.in_slots(self.code, plan)
        self.widest: int | None = None  # addresses that a function is given; no elements need none

    def write(self, name: str, segment: Segment, linkage: str = "", attributes: str = "") -> None:
        if self.clock is not None:
            self.clock.begin(self.code)
        for step in segment:
            if isinstance(step, Kernel):
                self._kernel(step)
            elif isinstance(step.definition, Scattered):
                self._scatter(step.definition)
            elif isinstance(step.definition, Routined):
                self._routine(step.definition)
            elif isinstance(step.definition, Controlled):
                self._control(step.definition)
            else:
                assert isinstance(step.definition, Product)
                self._product(step.definition)
            if self.clock is not None:
                self.clock.step(self.code)
        if self.widest is not None and self.kernels.lengths is not None:
            self.kernels.lengths.give(self.code, self.plan, self.widest)
        elif self.widest is not None:
            self.code.allocations.append(f"  %bases = alloca [{self.widest} x ptr], align 8")
        self.code.statement("ret void")
        self.module.add_function(
            name, self.code, "void", ["ptr %slots"], linkage, attributes=attributes
        )

    def _fill(self, bases: list[Base]) -> None:
        """Write the addresses that a function is given."""
        self.widest = max(self.widest or 0, len(bases))
        given = self.code.parameter("%bases", "ptr")
        for number, (kind, definition, start) in enumerate(bases):
            if kind == "status":
                address = special_slot(self.code, self.plan, STATUS)
            elif kind == "blas":
                address = special_slot(self.code, self.plan, start)
            else:
                assert definition is not None
                places = self.plan.partials if kind == "partial" else self.plan.locations
                address = address_of(self.code, places[definition])
                address = self.code.address(address, start * definition.dtype.itemsize, "i8")
            self.code.store(address, self.code.address(given, number, "ptr"))

    def _kernel(self, kernel: Kernel) -> None:
        nest = self.plan.nests[kernel]
        if nest.narrow is None:
            self._nest(nest)
            return
        narrow = nest.narrow
        self._either(nest.fits, lambda: self._nest(nest), lambda: self._nest(narrow))

    def _either(self, number: int, one: Callable[[], None], other: Callable[[], None]) -> None:
        """Write one of two ways to do the same, by whether a number of the run is 0."""
        code = self.code
        yes, no, done = code.new_label(), code.new_label(), code.new_label()
        code.branch(code.constant(number, "i64").differs(0), yes, no)
        for label, write in ((yes, one), (no, other)):
            mark = code.mark()
            code.begin_block(label)
            write()
            code.jump(done)
            code.forget(mark)
        code.begin_block(done)

    def _nest(self, nest: Nest) -> None:
        run, combine, used, combined = self.kernels.find(nest)
        self._run(run, used, nest.chunks)
        if combine:
            self._fill(combined)
            self.code.statement(f"call void @{combine}(ptr %bases)")

    def _run(self, function: str, bases: list[Base], chunks: int) -> None:
        """Write the call of a function for all its chunks, which threads may share."""
        code = self.code
        self._fill(bases)
        if is_open(chunks) or chunks > 1:
            share, pool = (special_slot(code, self.plan, POOL_RUN + i) for i in range(2))
            code.statement(
                f"call void {share.ref}(ptr {pool.ref}, ptr @{function}, ptr %bases, "
                f"i64 {code.whole(chunks)})"
            )
        else:
            code.statement(f"call void @{function}(ptr %bases, i64 0, i64 1)")

    def _product(self, product: Product) -> None:
        when = product.tiled_when(self.plan.target)

        def by(tiling: Tiling | None) -> None:
            function, split = self.kernels.find_product(product, tiling)
            self._run(function, product_bases(product), split.chunks)

        if when is None:
            by(product.tiling(self.plan.target))
        else:
            tiling, tiled = when
            self._either(tiled, lambda: by(tiling), lambda: by(None))

    def _control(self, controlled: Controlled) -> None:
        code = Code(self.module)
        if self.kernels.lengths is not None:
            code.number = self.kernels.lengths.in_slots(code, self.plan)
        function = write_control(code, self.plan, controlled, self.kernels.regions)
        self.code.statement(f"call void @{function}(ptr %slots)")

    def _routine(self, routined: Routined) -> None:
        self._fill(routine_bases(routined))
        self.code.statement(f"call void @{self.kernels.find_routine(routined)}(ptr %bases)")

    def _scatter(self, scattered: Scattered) -> None:
        self._fill(scatter_bases(scattered))
        self.code.statement(f"call void @{self.kernels.find_scatter(scattered)}(ptr %bases)")
