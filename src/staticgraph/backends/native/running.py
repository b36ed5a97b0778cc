"""Running: the machine code of a plan, and what calls it."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from dataclasses import replace
from math import prod
from typing import Any

import numpy as np

from common.errors import RunError
from common.tree import LEAF, Structure, flatten, unflatten
from common.types import Array
from staticgraph.backends.native.blas import FUNCTIONS, blas_addresses, write_product
from staticgraph.backends.native.cache import assemble_cached
from staticgraph.backends.native.code import Code, Register
from staticgraph.backends.native.definitions import Definition, Stored
from staticgraph.backends.native.entry import Signature, make_entry, write_entry
from staticgraph.backends.native.grouping import Call, Kernel, base_of
from staticgraph.backends.native.kernels import Base, write_combination, write_kernel
from staticgraph.backends.native.loops import Nest
from staticgraph.backends.native.module import Module
from staticgraph.backends.native.planning import Location, NativePlan
from staticgraph.backends.native.pool import get_pool
from staticgraph.backends.native.products import Product
from staticgraph.backends.native.scatter import scatter_key, write_scatter
from staticgraph.backends.native.selections import Gathered, Scattered
from staticgraph.backends.native.similarity import Description
from staticgraph.backends.native.target import Library
from staticgraph.failures import raise_explained
from staticgraph.memory import ALIGNMENT

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
    names = []
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

    def write(
        self, name: str, segment: Segment, linkage: str = "", attributes: str = ""
    ) -> None:
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
        [
            _address(code, plan.locations[base_of(each)])
            for each in (*product.operation, product)
        ]
    )
    write_product(code, product, functions, bases)


def _status(code: Code, plan: NativePlan) -> Register:
    return _special(code, plan, STATUS)


def _address(code: Code, location: Location) -> Register:
    slots = code.parameter("%slots", "ptr")
    base = code.load(code.address(slots, location.slot, "ptr"), "ptr")
    return code.address(base, location.offset, "i8")


class Machine:
    """A plan as machine code.

    Parameters
    ----------
    plan : NativePlan
    """

    def __init__(self, plan: NativePlan) -> None:
        self.plan = plan
        self.segments = segments_of(plan)
        self.signature = _signature(plan, self.segments)
        self.needs_blas = any(
            isinstance(step, Call) and isinstance(step.definition, Product)
            for step in plan.grouping.steps
        )
        self.needs_threads = any(nest.chunks > 1 for nest in plan.nests.values())
        module, names = write_module(plan, self.segments)
        symbols = list(names)
        if self.signature is not None:
            if not names:
                write_nothing(module)
            write_entry(module, self.signature, "segment_0")
            symbols.append("entry")
        self.text = str(module)
        self.library = Library(assemble_cached(self.text, plan.target), symbols) if symbols else None
        self.functions: list[Any] = []
        prototype = ctypes.CFUNCTYPE(None, ctypes.c_void_p)
        for name in names:
            assert self.library is not None
            self.functions.append(prototype(self.library.addresses[name]))


def _signature(plan: NativePlan, segments: list[Segment | Call]) -> Signature | None:
    """Return what the function object takes and gives; None if NumPy takes part in the run."""
    if any(isinstance(segment, Call) for segment in segments) or len(segments) > 1:
        return None
    program = plan.program
    inputs = [value.type for value in program.inputs]
    variables = list(program.variables.values())
    numbers = {variable: number for number, variable in enumerate(variables)}
    if any(variable not in numbers for variable, _ in program.updates):
        return None
    work = sum([nest.work for nest in plan.nests.values()])
    status = any(
        isinstance(node.definition, Gathered)
        for nest in plan.nests.values()
        for part in nest.parts
        for node in part.nodes
    )
    for step in plan.grouping.steps:
        if isinstance(step, Call) and isinstance(step.definition, Product):
            work += step.definition.work
        elif isinstance(step, Call):
            status = True
            work += 5.0 * prod(getattr(step.definition, "extents", ()))
    return Signature(
        tuple(inputs),
        tuple([value.type for value in program.variables]),
        tuple([value.type for value in program.outputs]),
        tuple([(numbers[variable], value.type) for variable, value in program.updates]),
        len(plan.sources),
        work,
        status,
    )


def write_nothing(module: Module) -> None:
    """Write the function of a program without steps."""
    code = Code(module)
    code.statement("ret void")
    module.add_function("segment_0", code, "void", ["ptr %slots"])


class State:
    """The memory of one run at a time.

    Parameters
    ----------
    machine : Machine
    """

    def __init__(self, machine: Machine) -> None:
        plan = machine.plan
        self.machine = machine
        self.plan = plan
        memory = np.empty(plan.arena_bytes + ALIGNMENT, np.uint8)
        start = -memory.ctypes.data % ALIGNMENT
        self.arena = memory[start : start + plan.arena_bytes]
        special = plan.arena_slot + 1
        self.slots = (ctypes.c_void_p * (special + SPECIAL_SLOTS))()
        self.slots[plan.arena_slot] = _data(self.arena)
        self.status = ctypes.c_int64(0)
        self.slots[special + STATUS] = ctypes.addressof(self.status)
        if machine.needs_blas:
            for number, address in enumerate(blas_addresses(), special):
                self.slots[number] = address
        if machine.needs_threads:
            pool = get_pool()
            pool.start()
            self.slots[special + POOL_RUN] = pool.run
            self.slots[special + POOL_RUN + 1] = pool.address
        program = plan.program
        self.variables = tuple(program.variables.values())
        self.constants = [np.ascontiguousarray(a) for a in program.constants.values()]
        self.first_constant = len(program.inputs) + len(self.variables)
        for number, array in enumerate(self.constants, self.first_constant):
            self.slots[number] = _data(array)
        self.shapes = [
            (_output_shape(result), result.dtype) for result in plan.results
        ]
        self.outputs = len(program.outputs)
        self.held: dict[Definition, Any] = {}
        self.arrays: list[Array] = []

    def run(self, *inputs: Array) -> list[Array]:
        """Run once and return the outputs."""
        slots = self.slots
        variables = [np.ascontiguousarray(variable.value) for variable in self.variables]
        results = [np.empty(shape, dtype) for shape, dtype in self.shapes]
        for number, array in enumerate((*inputs, *variables)):
            slots[number] = _data(array)
        first_result = self.first_constant + len(self.constants)
        for number, array in enumerate(results, first_result):
            slots[number] = _data(array)
        self.arrays = [*inputs, *variables, *self.constants, *results]
        functions = iter(self.machine.functions)
        for segment in self.machine.segments:
            if isinstance(segment, Call):
                self._call(segment.definition)
            else:
                next(functions)(slots)
        self.arrays = []
        self.held.clear()
        if self.status.value:
            self.status.value = 0
            self._explain(inputs)
        for (variable, _), array in zip(
            self.plan.program.updates, results[self.outputs :], strict=True
        ):
            variable.value = array
        return results[: self.outputs]

    def _explain(self, inputs: tuple[Array, ...]) -> None:
        """Raise the error of an index that is out of range: NumPy's kernels name it."""
        from staticgraph.backends import interpret

        program = self.plan.program
        interpret.build(replace(program, updates=()), interpret.plan(program)).call(*inputs)
        raise RunError("an index was out of range while the program ran")

    def _call(self, definition: Stored) -> None:
        operands = [self._array(operand) for operand in definition.operation]
        instruction = definition.instruction
        if instruction is None:
            result: Any = operands[0]
        else:
            try:
                result = instruction.op.kernel(*operands, **instruction.attrs)
            except Exception as error:
                raise_explained(instruction, error)
        if definition in self.plan.held:
            self.held[definition] = result
        else:
            np.copyto(self._array(definition), result)

    def _array(self, definition: Definition) -> Any:
        base = base_of(definition)
        if base in self.plan.held:
            return self.held[base]
        location = self.plan.locations.get(base)
        if location is None:
            number = getattr(base, "number", 0)
            return np.full(definition.shape, number, definition.dtype)
        if location.slot == self.plan.arena_slot:
            return np.ndarray(definition.shape, definition.dtype, self.arena, location.offset)
        return self.arrays[location.slot].reshape(definition.shape)


def _output_shape(definition: Definition) -> tuple[int, ...]:
    return definition.shape


def _data(array: Array) -> int:
    address: int = array.__array_interface__["data"][0]
    return address


def quicken(
    machine: Machine, call: Callable[..., Any], structure: Structure
) -> Callable[..., Any]:
    """Return a function that does what `call` does, quicker for arrays of the declared types."""
    if machine.signature is None or machine.library is None:
        return call
    form = _form(structure)
    slow = call if form else _listed(call)
    state = State(machine)
    entry = make_entry(
        machine.signature,
        machine.library.addresses["entry"],
        state.slots,
        state.status,
        state.variables,
        slow,
        form or "list",
        (state, machine.library),
    )
    if entry is None:
        return call
    if form:
        return entry
    return lambda *arrays: unflatten(structure, entry(*arrays))


def _form(structure: Structure) -> str:
    """Return how outputs are arranged: flat in one of `FORMS`, or otherwise."""
    if structure is LEAF:
        return "leaf"
    if structure is not None and all(child is LEAF for child in structure[2]):
        return {list: "list", tuple: "tuple"}.get(structure[0], "")
    return ""


def _listed(call: Callable[..., Any]) -> Callable[..., list[Any]]:
    return lambda *arrays: flatten(call(*arrays))[0]


def make_call(machine: Machine) -> Callable[..., list[Array]]:
    """Return a function that many threads may call, each with memory of its own."""
    # taking from and adding to a list is atomic, so no two threads get the same one
    idle = [State(machine)]

    def call(*inputs: Array) -> list[Array]:
        try:
            state = idle.pop()
        except IndexError:
            state = State(machine)
        try:
            return state.run(*inputs)
        finally:
            idle.append(state)

    return call
