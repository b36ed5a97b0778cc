"""Running: the machine code of a plan, and what calls it."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from threading import Lock
from typing import Any

import numpy as np

from oplibrary.core.tree import LEAF, Structure, flatten, unflatten
from oplibrary.core.types import Array
from oplibrary.machine.cache import assemble_cached, object_name
from oplibrary.machine.code import Code
from oplibrary.machine.entry import make_entry, write_entry
from oplibrary.machine.module import Module
from oplibrary.machine.pool import get_pool, sharing_from
from oplibrary.machine.target import Library, LinkError
from oplibrary.messages.errors import RunError, SideBySideError
from staticgraph.backends import interpret
from staticgraph.backends.backend import Runner
from staticgraph.backends.native.definitions.definition import Definition, Stored
from staticgraph.backends.native.emit.address_table import (
    BLAS_ENTER,
    INNER_CONSTANTS,
    POOL_RUN,
    SAVE_THREAD,
    STATUS,
    THREAD,
)
from staticgraph.backends.native.emit.blas import blas_addresses
from staticgraph.backends.native.emit.blas_threads import blas_threads
from staticgraph.backends.native.emit.segments import segments_of, write_module
from staticgraph.backends.native.planning.plan import NativePlan
from staticgraph.backends.native.planning.steps import Call, storage_of
from staticgraph.backends.native.run.checked import is_checked, poison_arena, poison_results
from staticgraph.backends.native.run.image import Image, find_image, keep_image, make_image
from staticgraph.backends.native.run.proof import prove
from staticgraph.program.failures import raise_explained
from staticgraph.program.memory import ALIGNMENT
from staticgraph.program.program import Instruction, Program

ENTRY = "entry"
"""The name of the function that Python calls."""


class Machine:
    """A program as machine code.

    Parameters
    ----------
    program : Program
    image : Image
    code : bytes
        The object code.
    plan : callable
        Returns the plan; what is left to NumPy needs it, and what explains a run.
    segments : sequence of str or Call
        The functions to run, by name, and between them what is left to NumPy.
    """

    def __init__(
        self,
        program: Program,
        image: Image,
        code: bytes,
        plan: Callable[[], NativePlan],
        segments: Sequence[str | Call],
    ) -> None:
        self.program = program
        self.image = image
        self.plan = plan
        self.library = Library(code, list(image.symbols)) if image.symbols else None
        # a loop that may run long looks for signals: its segment lets go of the interpreter's lock
        # by itself, and an exception that is set there is raised
        make = ctypes.PYFUNCTYPE if image.may_run_long else ctypes.CFUNCTYPE
        prototype: Any = make(None, ctypes.c_void_p)
        self.segments: list[Any] = []
        for segment in segments:
            if isinstance(segment, str):
                assert self.library is not None
                segment = prototype(self.library.addresses[segment])
            self.segments.append(segment)


def build_machine(program: Program, plan: NativePlan) -> tuple[Machine, str]:
    """Return a plan of a program as machine code, and the LLVM IR of that."""
    prove(plan)
    image = make_image(program, plan)
    segments = segments_of(plan)
    module, names = write_module(plan, segments)
    symbols = list(names)
    signature = image.signature(program)
    if signature is not None and len(segments) == len(names) <= 1:
        if not names:
            write_nothing(module)
        write_entry(module, signature, "segment_0")
        symbols.append(ENTRY)
    text = str(module)
    image = replace(image, symbols=tuple(symbols), object_name=object_name(text, plan.target))
    code = assemble_cached(text, plan.target) if symbols else b""
    found = iter(names)
    order = [each if isinstance(each, Call) else next(found) for each in segments]
    machine = Machine(program, image, code, lambda: plan, order)
    if len(segments) == len(names):
        keep_image(program, image)
    return machine, text


def restore_machine(program: Program, plan: Callable[[], NativePlan]) -> Machine | None:
    """Return the machine code of a program that an earlier build left in the cache, or None."""
    found = find_image(program)
    if found is None:
        return None
    image, code = found
    names = [symbol for symbol in image.symbols if symbol != ENTRY]
    try:
        return Machine(program, image, code, plan, names)
    except LinkError:
        return None


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
        image, program = machine.image, machine.program
        self.machine = machine
        memory = np.empty(image.arena_bytes + ALIGNMENT, np.uint8)
        start = -memory.ctypes.data % ALIGNMENT
        self.arena = memory[start : start + image.arena_bytes]
        special = image.arena_slot + 1
        self.inner_constants = [np.ascontiguousarray(array) for array in image.inner_constants]
        self.slots = (ctypes.c_void_p * image.slots)()
        addresses = map(_data, self.inner_constants)
        self.inner_slots = (ctypes.c_void_p * len(self.inner_constants))(*addresses)
        self.slots[special + INNER_CONSTANTS] = ctypes.addressof(self.inner_slots)
        if image.may_run_long:
            api: Any = ctypes.pythonapi
            for number, function in enumerate(
                (api.PyEval_SaveThread, api.PyEval_RestoreThread, api.PyErr_CheckSignals),
                special + SAVE_THREAD,
            ):
                self.slots[number] = ctypes.cast(function, ctypes.c_void_p).value
            self.thread = ctypes.c_void_p()
            self.slots[special + THREAD] = ctypes.addressof(self.thread)
        self.slots[image.arena_slot] = _data(self.arena)
        self.status = ctypes.c_int64(0)
        self.slots[special + STATUS] = ctypes.addressof(self.status)
        if image.needs_blas:
            for number, address in enumerate(blas_addresses(), special):
                self.slots[number] = address
        if image.needs_threads:
            pool = get_pool()
            shares = image.work >= sharing_from.get()
            if shares:
                pool.start()
            self.slots[special + POOL_RUN] = pool.run if shares else pool.run_alone
            self.slots[special + POOL_RUN + 1] = pool.address
        if image.needs_blas_alone:
            switch = blas_threads()
            assert switch is not None
            for number, address in enumerate(
                (switch.enter, switch.leave, switch.address), special + BLAS_ENTER
            ):
                self.slots[number] = address
        self.variables = tuple(program.variables.values())
        own = list(program.constants.values())
        self.constants = [
            np.ascontiguousarray(own[each] if isinstance(each, int) else each)
            for each in image.constants
        ]
        self.first_constant = len(program.inputs) + len(self.variables)
        for number, array in enumerate(self.constants, self.first_constant):
            self.slots[number] = _data(array)
        self.shapes = [(value.type.shape, value.type.dtype) for value in program.results]
        self.outputs = len(program.outputs)
        self.is_checked = is_checked()
        self.held: dict[Definition, Any] = {}
        self.arrays: list[Array] = []

    def run(self, *inputs: Array) -> list[Array]:
        """Run once and return the outputs."""
        slots = self.slots
        variables = [variable.in_order() for variable in self.variables]
        results = [np.empty(shape, dtype) for shape, dtype in self.shapes]
        if self.is_checked:
            self.poison()
            poison_results(results)
        for number, array in enumerate((*inputs, *variables)):
            slots[number] = _data(array)
        first_result = self.first_constant + len(self.constants)
        for number, array in enumerate(results, first_result):
            slots[number] = _data(array)
        self.arrays = [*inputs, *variables, *self.constants, *results]
        try:
            for segment in self.machine.segments:
                if isinstance(segment, Call):
                    self._call(segment.definition)
                else:
                    segment(slots)
                    if self.status.value:
                        self._explain(inputs)
        finally:
            self.status.value = 0
            self.arrays = []
            self.held.clear()
        updates = self.machine.program.updates
        for (variable, _), array in zip(updates, results[self.outputs :], strict=True):
            variable.stored = array
        return results[: self.outputs]

    def poison(self) -> None:
        """Let nothing of an earlier run be in memory."""
        poison_arena(self.arena, self.machine.plan())

    def _explain(self, inputs: tuple[Array, ...]) -> None:
        """Raise the error of an index that is out of range: NumPy's kernels name it."""
        program = self.machine.program
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
        if definition in self.machine.plan().held:
            self.held[definition] = result
        else:
            np.copyto(self._array(definition), result)

    def _array(self, definition: Definition) -> Any:
        base, plan = storage_of(definition), self.machine.plan()
        if base in plan.held:
            return self.held[base]
        location = plan.locations.get(base)
        if location is None:
            number = getattr(base, "number", 0)
            return np.full(definition.shape, number, definition.dtype)
        if location.slot == plan.arena_slot:
            return np.ndarray(definition.shape, definition.dtype, self.arena, location.offset)
        # another value may be there, whose shape and dtype are not those of the slot
        there = self.arrays[location.slot].reshape(-1).view(np.uint8)
        there = there[location.offset : location.offset + definition.nbytes]
        return there.view(definition.dtype).reshape(definition.shape)


def _data(array: Array) -> int:
    address: int = array.__array_interface__["data"][0]
    return address


def quicken(machine: Machine, call: Callable[..., Any], structure: Structure) -> Callable[..., Any]:
    """Return a function that does what `call` does, quicker for arrays of the declared types."""
    signature = machine.image.signature(machine.program)
    if signature is None or machine.library is None or ENTRY not in machine.image.symbols:
        return call
    form = _form(structure)
    slow = call if form else _listed(call)
    state = State(machine)
    entry = make_entry(
        signature,
        machine.library.addresses[ENTRY],
        state.slots,
        state.status,
        state.variables,
        slow,
        form or "list",
        (state, machine.library),
    )
    if entry is None:
        return call
    if state.is_checked:
        entry = _poisoned(entry, state)
    if form:
        return entry
    return lambda *arrays: unflatten(structure, entry(*arrays))


def _poisoned(entry: Callable[..., Any], state: State) -> Callable[..., Any]:
    lock = Lock()

    def call(*arrays: Any) -> Any:
        with lock:  # nobody else is at work in the memory
            state.poison()
            return entry(*arrays)

    return call


def _form(structure: Structure) -> str:
    """Return how outputs are arranged: flat in one of `FORMS`, or otherwise."""
    if structure is LEAF:
        return "leaf"
    if structure is not None and all(child is LEAF for child in structure[2]):
        return {list: "list", tuple: "tuple"}.get(structure[0], "")
    return ""


def _listed(call: Callable[..., Any]) -> Callable[..., list[Any]]:
    return lambda *arrays: flatten(call(*arrays))[0]


def make_runner(machine: Machine, write_source: Callable[[], str]) -> Runner:
    """Return what runs a program that is machine code."""
    return Runner(make_call(machine), write_source, machine.image.notes, partial(quicken, machine))


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
            largest = _largest_instruction(machine.plan())
            if largest is None or isinstance(error, SideBySideError):
                raise
            raise_explained(largest, error)

    return call


def _largest_instruction(plan: NativePlan) -> Instruction | None:
    """Return what makes the largest value that is in memory."""
    made = [each for each in (*plan.locations, *plan.results) if each.instruction is not None]
    largest = max(made, key=lambda each: each.nbytes, default=None)
    return None if largest is None else largest.instruction
