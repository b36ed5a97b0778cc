"""Segments: the functions that run a plan's steps, between the calls of NumPy."""

from __future__ import annotations

from typing import Any

from staticgraph.backends.native.bases import Base
from staticgraph.backends.native.blas import FUNCTIONS, write_product
from staticgraph.backends.native.code import Code
from staticgraph.backends.native.definitions import Definition
from staticgraph.backends.native.kernels import write_combination, write_kernel
from staticgraph.backends.native.loops import Nest
from staticgraph.backends.native.module import Module
from staticgraph.backends.native.planning import Location, NativePlan
from staticgraph.backends.native.products import Product
from staticgraph.backends.native.register import Register
from staticgraph.backends.native.roots import Call, Kernel, base_of
from staticgraph.backends.native.scatter import scatter_key, write_scatter
from staticgraph.backends.native.selections import Scattered
from staticgraph.backends.native.similarity import Description

Segment = list[Kernel | Call]
"""Steps that follow each other and are machine code."""


def segments_of(plan: NativePlan) -> list[Segment | Call]:
    """Return the steps, those between two calls of NumPy together."""
    result: list[Segment | Call] = []
    for step in plan.grouping.steps:
        if isinstance(step, Call) and not isinstance(step.definition, (Product, Scattered)):
            result.append(step)
        elif result and isinstance(result[-1], list):
            result[-1].append(step)
        else:
            result.append([step])
    return result


class _Kernels:
    """The functions of kernels, equal ones written once."""

    def __init__(self, module: Module, plan: NativePlan) -> None:
        self.module = module
        self.plan = plan
        self._known: dict[Any, tuple[str, str, list[tuple[str, int]], list[tuple[str, int]]]] = {}
        self._scatters: dict[Any, str] = {}

    def find(self, kernel: Kernel) -> tuple[str, str, list[Base], list[Base]]:
        """Return a kernel's function, the one that combines its chunks, and their addresses."""
        nest = self.plan.nests[kernel]
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

    def find_scatter(self, scattered: Scattered) -> str:
        """Return the function that adds elements where they are selected."""
        key = scatter_key(scattered)
        name = self._scatters.get(key)
        if name is None:
            name = self._scatters[key] = f"scatter_{len(self._scatters)}"
            write_scatter(self.module, name, scattered)
        return name

    def _write(
        self, nest: Nest, description: Description
    ) -> tuple[str, str, list[tuple[str, int]], list[tuple[str, int]]]:
        number = len(self._known)
        run, combine = f"kernel_{number}", ""
        places: dict[Any, int] = {place: i for i, place in enumerate(description.places)}

        def numbered(order: list[Base]) -> list[tuple[str, int]]:
            return [(kind, places.get(tuple(place), -1)) for kind, *place in order]

        used = numbered(write_kernel(self.module, run, nest, self.plan.unread))
        combined: list[tuple[str, int]] = []
        if nest.partial_roots:
            combine = f"combine_{number}"
            combined = numbered(write_combination(self.module, combine, nest))
        return run, combine, used, combined


def write_module(plan: NativePlan, segments: list[Segment | Call]) -> tuple[Module, list[str]]:
    """Return the functions of all kernels, and the names of those that run a segment each."""
    module = Module(plan.target)
    kernels = _Kernels(module, plan)
    names: list[str] = []
    for segment in segments:
        if isinstance(segment, Call):
            continue
        names.append(f"segment_{len(names)}")
        _write_segment(module, plan, kernels, names[-1], segment)
    return module, names


def _write_segment(
    module: Module, plan: NativePlan, kernels: _Kernels, name: str, segment: Segment
) -> None:
    """Write the function that runs a segment; a long one calls a function for each stretch."""
    if len(segment) <= STRETCH:
        _SegmentWriter(module, plan, kernels).write(name, segment)
        return
    code = Code(module)
    for start in range(0, len(segment), STRETCH):
        part = f"{name}_{start}"
        stretch = segment[start : start + STRETCH]
        _SegmentWriter(module, plan, kernels).write(part, stretch, "internal", "noinline optnone")
        code.statement(f"call void @{part}(ptr %slots)")
    code.statement("ret void")
    module.add_function(name, code, "void", ["ptr %slots"])


STRETCH = 64
"""Steps in one function: the time that LLVM takes grows faster than the length of a function."""


class _SegmentWriter:
    """Write the function that runs a segment: it calls the kernels one after the other."""

    def __init__(self, module: Module, plan: NativePlan, kernels: _Kernels) -> None:
        self.module = module
        self.plan = plan
        self.kernels = kernels
        self.code = Code(module)
        self.widest = 0

    def write(self, name: str, segment: Segment, linkage: str = "", attributes: str = "") -> None:
        functions: list[Register] = []
        for step in segment:
            if isinstance(step, Kernel):
                self._kernel(step)
            elif isinstance(step.definition, Scattered):
                self._scatter(step)
            else:
                functions = functions or _functions(self.code, self.plan)
                _write_product(self.code, self.plan, step.definition, functions)
        if self.widest:
            self.code.allocations.append(f"  %bases = alloca [{self.widest} x ptr], align 8")
        self.code.statement("ret void")
        self.module.add_function(
            name, self.code, "void", ["ptr %slots"], linkage, attributes=attributes
        )

    def _fill(self, bases: list[Base]) -> None:
        """Write the addresses that a function is given."""
        self.widest = max(self.widest, len(bases))
        given = self.code.parameter("%bases", "ptr")
        for number, (kind, definition, start) in enumerate(bases):
            if kind == "status":
                address = _status(self.code, self.plan)
            else:
                assert definition is not None
                places = self.plan.partials if kind == "partial" else self.plan.locations
                address = _address(self.code, places[definition])
                address = self.code.address(address, start * definition.dtype.itemsize, "i8")
            self.code.store(address, self.code.address(given, number, "ptr"))

    def _kernel(self, kernel: Kernel) -> None:
        code, nest = self.code, self.plan.nests[kernel]
        run, combine, used, combined = self.kernels.find(kernel)
        self._fill(used)
        if nest.chunks > 1:
            share, pool = (_special(code, self.plan, POOL_RUN + i) for i in range(2))
            code.statement(
                f"call void {share.ref}(ptr {pool.ref}, ptr @{run}, ptr %bases, i64 {nest.chunks})"
            )
        else:
            code.statement(f"call void @{run}(ptr %bases, i64 0, i64 1)")
        if combine:
            self._fill(combined)
            code.statement(f"call void @{combine}(ptr %bases)")

    def _scatter(self, step: Call) -> None:
        scattered = step.definition
        assert isinstance(scattered, Scattered)
        places = [(base_of(place.base), place.start) for place in scattered.places]
        bases: list[Base] = [("value", scattered, 0), ("status", None, 0)]
        bases += [("value", *place) for place in places]
        self._fill(bases)
        self.code.statement(f"call void @{self.kernels.find_scatter(scattered)}(ptr %bases)")


# the slots behind the arena's
STATUS = len(FUNCTIONS)
POOL_RUN = STATUS + 1
SPECIAL_SLOTS = POOL_RUN + 2


def _special(code: Code, plan: NativePlan, number: int) -> Register:
    """Return what is in one of the slots behind the arena's."""
    slots = code.parameter("%slots", "ptr")
    return code.load(code.address(slots, plan.arena_slot + 1 + number, "ptr"), "ptr")


def _functions(code: Code, plan: NativePlan) -> list[Register]:
    return [_special(code, plan, number) for number in range(len(FUNCTIONS))]


def _write_product(
    code: Code, plan: NativePlan, product: Definition, functions: list[Register]
) -> None:
    assert isinstance(product, Product)
    bases = tuple(
        [_address(code, plan.locations[base_of(each)]) for each in (*product.operation, product)]
    )
    write_product(code, product, functions, bases)


def _status(code: Code, plan: NativePlan) -> Register:
    return _special(code, plan, STATUS)


def _address(code: Code, location: Location) -> Register:
    slots = code.parameter("%slots", "ptr")
    base = code.load(code.address(slots, location.slot, "ptr"), "ptr")
    return code.address(base, location.offset, "i8")
