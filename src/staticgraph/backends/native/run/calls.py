"""Calls: the functions that run machine code, one for each way in which it is called."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from threading import Lock
from typing import Any

from oplibrary.core.tree import LEAF, Structure, flatten, unflatten
from oplibrary.core.types import Array
from oplibrary.machine.bound_entry import make_bound_entry
from oplibrary.machine.entry import LONG_WORK, make_entry
from oplibrary.messages.errors import SideBySideError
from staticgraph.backends.backend import Runner
from staticgraph.backends.native.planning.plan import NativePlan
from staticgraph.backends.native.planning.steps import Call
from staticgraph.backends.native.run.running import ENTRY, Machine, State
from staticgraph.backends.turns import in_turns
from staticgraph.program.failures import raise_explained
from staticgraph.program.program import Instruction


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


def bind(
    machine: Machine, inputs: Sequence[Array], outputs: Sequence[Array], result: Any
) -> Callable[[], Any]:
    """Return a function that runs on those arrays, in place, and returns `result`."""
    state = State(machine)
    if state.variables or machine.program.updates:  # whose arrays are others at each run

        def run_into() -> Any:
            state.run_into(inputs, outputs)
            return result

        return in_turns(run_into)
    state.place(inputs, outputs)

    def run() -> Any:
        state.run_placed(inputs)
        return result

    image = machine.image
    names = [name for name in image.symbols if name != ENTRY]
    left = any(isinstance(segment, Call) for segment in machine.segments)
    if machine.library is None or left or len(names) != 1 or image.may_run_long or state.is_checked:
        return in_turns(run)

    def fail() -> Any:
        state.status.value = 0
        state.explain(inputs)

    long = image.work > LONG_WORK
    entry = make_bound_entry(
        machine.library.addresses[names[0]],
        state.slots,
        state.status,
        result,
        fail,
        long,
        (state, machine.library),
    )
    if entry is None:
        return in_turns(run)
    # a short run keeps the interpreter's lock, and so nobody else is in it
    return in_turns(entry) if long else entry


def make_runner(machine: Machine, write_source: Callable[[], str]) -> Runner:
    """Return what runs a program that is machine code."""
    return Runner(
        make_call(machine),
        write_source,
        machine.image.notes,
        partial(quicken, machine),
        partial(bind, machine),
    )


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
