"""Running: the machine code of a plan, and what calls it."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from common.errors import RunError, SideBySideError
from common.tree import LEAF, Structure, flatten, unflatten
from common.types import Array
from staticgraph.backends.native.analysis.control import (
    constants_inside,
    plan_is_endless,
    plan_work,
    plans_of,
)
from staticgraph.backends.native.analysis.definitions import Definition, Stored
from staticgraph.backends.native.analysis.planning import NativePlan
from staticgraph.backends.native.analysis.roots import Call, base_of
from staticgraph.backends.native.analysis.selections import Gathered, Scattered
from staticgraph.backends.native.emit.blas import blas_addresses
from staticgraph.backends.native.emit.code import Code
from staticgraph.backends.native.emit.module import Module
from staticgraph.backends.native.emit.segments import (
    Segment,
    is_left_to_blas,
    is_shared,
    needs_blas_alone,
    segments_of,
    write_module,
)
from staticgraph.backends.native.emit.slots import (
    BLAS_ENTER,
    POOL_RUN,
    SAVE_THREAD,
    STATUS,
    first_inner_constant,
)
from staticgraph.backends.native.run.blas_threads import blas_threads
from staticgraph.backends.native.run.cache import assemble_cached
from staticgraph.backends.native.run.entry import Signature, make_entry, write_entry
from staticgraph.backends.native.run.pool import get_pool
from staticgraph.backends.native.target import Library
from staticgraph.failures import raise_explained
from staticgraph.memory import ALIGNMENT
from staticgraph.program import Instruction


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
        plans = list(plans_of(plan))
        steps = [step for each in plans for step in each.grouping.steps]
        self.is_endless = plan_is_endless(plan)
        target = plan.target
        self.needs_blas = any(is_left_to_blas(step, target) for step in steps)
        self.needs_blas_alone = any(needs_blas_alone(step, target) for step in steps)
        self.needs_threads = any(is_shared(step, target) for step in steps) or any(
            nest.chunks > 1 for each in plans for nest in each.nests.values()
        )
        module, names = write_module(plan, self.segments)
        symbols = list(names)
        if self.signature is not None:
            if not names:
                write_nothing(module)
            write_entry(module, self.signature, "segment_0")
            symbols.append("entry")
        self.text = str(module)
        self.library = (
            Library(assemble_cached(self.text, plan.target), symbols) if symbols else None
        )
        self.functions: list[Any] = []
        # a loop without a known end looks for signals, which needs the interpreter's lock
        make = ctypes.PYFUNCTYPE if self.is_endless else ctypes.CFUNCTYPE
        prototype: Any = make(None, ctypes.c_void_p)
        for name in names:
            assert self.library is not None
            self.functions.append(prototype(self.library.addresses[name]))


def _signature(plan: NativePlan, segments: list[Segment | Call]) -> Signature | None:
    """Return what the function object takes and gives; None if NumPy takes part in the run."""
    if any(isinstance(segment, Call) for segment in segments) or len(segments) > 1:
        return None
    if plan_is_endless(plan):
        return None
    program = plan.program
    inputs = [value.type for value in program.inputs]
    variables = list(program.variables.values())
    numbers = {variable: number for number, variable in enumerate(variables)}
    if any(variable not in numbers for variable, _ in program.updates):
        return None
    status = any(map(_checks_status, plans_of(plan)))
    return Signature(
        tuple(inputs),
        tuple([value.type for value in program.variables]),
        tuple([value.type for value in program.outputs]),
        tuple([(numbers[variable], value.type) for variable, value in program.updates]),
        len(plan.sources),
        plan_work(plan),
        status,
    )


def _checks_status(plan: NativePlan) -> bool:
    """Tell whether a run may find that it cannot go on."""
    gathers = any(
        isinstance(node.definition, Gathered)
        for nest in plan.nests.values()
        for part in nest.parts
        for node in part.nodes
    )
    return gathers or any(
        isinstance(step, Call) and isinstance(step.definition, Scattered)
        for step in plan.grouping.steps
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
        inner = [np.ascontiguousarray(array) for array in constants_inside(plan)]
        self.slots = (ctypes.c_void_p * (first_inner_constant(plan) + len(inner)))()
        for number, array in enumerate(inner, first_inner_constant(plan)):
            self.slots[number] = _data(array)
        self.inner_constants = inner
        if machine.is_endless:
            api: Any = ctypes.pythonapi
            for number, function in enumerate(
                (api.PyEval_SaveThread, api.PyEval_RestoreThread, api.PyErr_CheckSignals),
                special + SAVE_THREAD,
            ):
                self.slots[number] = ctypes.cast(function, ctypes.c_void_p).value
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
        if machine.needs_blas_alone:
            switch = blas_threads()
            assert switch is not None
            for number, address in enumerate(
                (switch.enter, switch.leave, switch.address), special + BLAS_ENTER
            ):
                self.slots[number] = address
        program = plan.program
        self.variables = tuple(program.variables.values())
        self.constants = [np.ascontiguousarray(a) for a in program.constants.values()]
        self.first_constant = len(program.inputs) + len(self.variables)
        for number, array in enumerate(self.constants, self.first_constant):
            self.slots[number] = _data(array)
        self.shapes = [(_output_shape(result), result.dtype) for result in plan.results]
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
        try:
            for segment in self.machine.segments:
                if isinstance(segment, Call):
                    self._call(segment.definition)
                else:
                    next(functions)(slots)
                    if self.status.value:
                        self._explain(inputs)
        finally:
            self.status.value = 0
            self.arrays = []
            self.held.clear()
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
        # another value may have been there, whose elements are as long
        there = self.arrays[location.slot].reshape(-1).view(definition.dtype)
        return there.reshape(definition.shape)


def _output_shape(definition: Definition) -> tuple[int, ...]:
    return definition.shape


def _data(array: Array) -> int:
    address: int = array.__array_interface__["data"][0]
    return address


def quicken(machine: Machine, call: Callable[..., Any], structure: Structure) -> Callable[..., Any]:
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
    idle: list[State] = []

    def call(*inputs: Array) -> list[Array]:
        try:
            try:
                state = idle.pop()
            except IndexError:
                state = State(machine)
            try:
                return state.run(*inputs)
            finally:
                idle.append(state)
        except MemoryError as error:
            largest = _largest_instruction(machine.plan)
            if largest is None or isinstance(error, SideBySideError):
                raise
            raise_explained(largest, error)

    return call


def _largest_instruction(plan: NativePlan) -> Instruction | None:
    """Return what makes the largest value that is in memory."""
    made = [each for each in (*plan.locations, *plan.results) if each.instruction is not None]
    largest = max(made, key=lambda each: each.nbytes, default=None)
    return None if largest is None else largest.instruction
