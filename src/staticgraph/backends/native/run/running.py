"""Running: the machine code of a plan, and the memory of its runs."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Sequence
from copy import copy
from dataclasses import replace
from typing import Any, NoReturn

import numpy as np

from oplibrary.machine.cache import assemble_cached, object_name
from oplibrary.machine.code import Code
from oplibrary.machine.entry import write_entry
from oplibrary.machine.foreign.functions import address_of
from oplibrary.machine.module import Module
from oplibrary.machine.pool import get_pool, sharing_from
from oplibrary.machine.target import Library, LinkError
from oplibrary.messages.errors import RunError
from oplibrary.values.memory import aligned_bytes
from oplibrary.values.types import Array
from staticgraph.backends import interpret
from staticgraph.backends.native.definitions.definition import Definition, Stored
from staticgraph.backends.native.definitions.open_lengths import Lengths
from staticgraph.backends.native.emit.address_table import (
    BLAS_ENTER,
    INNER_CONSTANTS,
    LENGTHS,
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
from staticgraph.program.lengths import running_with, type_at
from staticgraph.program.program import Program

ENTRY = "entry"
"""The name of the function that Python calls."""


class Machine:
    """A program as machine code.

    Parameters
    ----------
    program : Program
    image : Image
    library : Library or None
        The object code; None where there is no function.
    plan : callable
        Returns the plan; what is left to NumPy needs it, and what explains a run.
    segments : sequence of str or Call
        The functions to run, by name, and between them what is left to NumPy.
    lengths : Lengths, optional
        Those that machine code for all lengths is to run at.
    """

    made_bytes = 0

    def __init__(
        self,
        program: Program,
        image: Image,
        library: Library | None,
        plan: Callable[[], NativePlan],
        segments: Sequence[str | Call],
        lengths: Lengths | None = None,
    ) -> None:
        self.program = program
        self.lengths = lengths or Lengths({})
        self.image = image
        self.library = library
        self.plan = plan
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

    def at(self, image: Image, lengths: Lengths, made_bytes: int) -> Machine:
        """Return the same machine code, made for all lengths, as it is to run at some of them.

        Parameters
        ----------
        image : Image
        lengths : Lengths
        made_bytes : int
            Of the image's constants, those that are made of the lengths.
        """
        made = copy(self)
        made.image, made.lengths, made.made_bytes = image, lengths, made_bytes
        return made


def link(image: Image, code: bytes) -> Library | None:
    """Return object code that can be run."""
    # one that is not there is found to be missing when the code is linked
    functions = {name: address_of(name) for name in image.functions if address_of(name)}
    return Library(code, list(image.symbols), functions) if image.symbols else None


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
    image = replace(
        image,
        symbols=tuple(symbols),
        object_name=object_name(text, plan.target),
        functions=tuple(sorted(module.foreign)),
    )
    code = assemble_cached(text, plan.target) if symbols else b""
    found = iter(names)
    order = [each if isinstance(each, Call) else next(found) for each in segments]
    machine = Machine(program, image, link(image, code), lambda: plan, order)
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
        return Machine(program, image, link(image, code), plan, names)
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
    arena : numpy.ndarray, optional
        What to have for an arena, where others have it, too; see `aligned_bytes`.
    """

    def __init__(self, machine: Machine, arena: Array | None = None) -> None:
        image, program = machine.image, machine.program
        self.machine = machine
        self.arena = aligned_bytes(image.arena_bytes) if arena is None else arena
        special = image.arena_slot + 1
        self.inner_constants = [np.ascontiguousarray(array) for array in image.inner_constants]
        self.slots = (ctypes.c_void_p * image.slots)()
        addresses = map(data_address, self.inner_constants)
        self.inner_slots = (ctypes.c_void_p * len(self.inner_constants))(*addresses)
        self.slots[special + INNER_CONSTANTS] = ctypes.addressof(self.inner_slots)
        self.lengths = np.array(image.lengths, np.int64)
        self.slots[special + LENGTHS] = data_address(self.lengths)
        if image.may_run_long:
            api: Any = ctypes.pythonapi
            for number, function in enumerate(
                (api.PyEval_SaveThread, api.PyEval_RestoreThread, api.PyErr_CheckSignals),
                special + SAVE_THREAD,
            ):
                self.slots[number] = ctypes.cast(function, ctypes.c_void_p).value
            self.thread = ctypes.c_void_p()
            self.slots[special + THREAD] = ctypes.addressof(self.thread)
        self.slots[image.arena_slot] = data_address(self.arena)
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
            self.slots[number] = data_address(array)
        types = [type_at(value.type, machine.lengths) for value in program.results]
        self.shapes = [(type_.shape, type_.dtype) for type_ in types]
        self.outputs = len(program.outputs)
        self.is_checked = is_checked()
        self.held: dict[Definition, Any] = {}
        self.arrays: list[Array] = []

    def run(self, *inputs: Array) -> list[Array]:
        """Run once and return the outputs."""
        made = [np.empty(shape, dtype) for shape, dtype in self.shapes[: self.outputs]]
        self.run_into(inputs, made)
        return made

    def run_into(self, inputs: Sequence[Array], outputs: Sequence[Array]) -> None:
        """Run once, and write the outputs into arrays of their types."""
        variables = [variable.in_order() for variable in self.variables]
        updated = [np.empty(shape, dtype) for shape, dtype in self.shapes[self.outputs :]]
        self.place([*inputs, *variables], [*outputs, *updated])
        try:
            self.run_placed(inputs)
        finally:
            self.arrays = []
        updates = self.machine.program.updates
        for (variable, _), array in zip(updates, updated, strict=True):
            variable.stored = array

    def place(self, sources: Sequence[Array], results: Sequence[Array]) -> None:
        """Let runs read and write those arrays: inputs with variables, outputs with updates."""
        slots = self.slots
        for number, array in enumerate(sources):
            slots[number] = data_address(array)
        first_result = self.first_constant + len(self.constants)
        for number, array in enumerate(results, first_result):
            slots[number] = data_address(array)
        self.arrays = [*sources, *self.constants, *results]

    def run_placed(self, inputs: Sequence[Array]) -> None:
        """Run once on the arrays that were placed."""
        if self.is_checked:
            self.poison()
            poison_results(self.arrays[self.first_constant + len(self.constants) :])
        try:
            for segment in self.machine.segments:
                if isinstance(segment, Call):
                    self._call(segment.definition)
                else:
                    segment(self.slots)
                    if self.status.value:
                        self.explain(inputs)
        finally:
            self.status.value = 0
            self.held.clear()

    def poison(self) -> None:
        """Let nothing of an earlier run be in memory."""
        poison_arena(self.arena, self.machine.plan(), self.machine.lengths)

    def explain(self, inputs: Sequence[Array]) -> NoReturn:
        """Raise the error of an index or of a matrix with which a step cannot go on, as NumPy's."""
        program = self.machine.program
        with running_with(self.machine.lengths):
            interpret.build(replace(program, updates=()), interpret.plan(program)).call(*inputs)
        raise RunError("an index was out of range, or a matrix singular, while the program ran")

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


def data_address(array: Array) -> int:
    """Return where the elements of an array are."""
    address: int = array.__array_interface__["data"][0]
    return address
