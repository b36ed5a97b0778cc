"""Calls: the functions that run machine code, one for each way in which it is called."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from threading import Lock
from typing import Any

from oplibrary.machine.bound_entry import make_bound_entry
from oplibrary.machine.entry import LONG_WORK, make_entry
from oplibrary.messages.errors import SideBySideError
from oplibrary.values.tree import LEAF, Structure, flatten, unflatten
from oplibrary.values.types import Array
from staticgraph.backends.backend import Runner
from staticgraph.backends.native.definitions.open_lengths import value_at
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
    library, state = machine.library, State(machine)
    address, places = library.addresses[ENTRY], {"slots": state.slots, "status": state.status}

    def make(slow: Callable[..., Any], form: str) -> Callable[..., Any] | None:
        made = make_entry(signature, address, places, state.variables, slow, form, (state, library))
        return _poisoned(made, state) if made is not None and state.is_checked else made

    return quickened(make, call, structure)


def quickened(
    make: Callable[[Callable[..., Any], str], Callable[..., Any] | None],
    call: Callable[..., Any],
    structure: Structure,
) -> Callable[..., Any]:
    """Return an entry for outputs of a structure in place of `call`, or `call` if there is none.

    Parameters
    ----------
    make : callable
        Returns an entry, given what it calls for unusual arguments, and how outputs are arranged.
    call : callable
    structure : structure
    """
    form = _form(structure)
    entry = make(call if form else _listed(call), form or "list")
    if entry is None or form:
        return entry or call
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
            largest = _largest_instruction(machine)
            if largest is None or isinstance(error, SideBySideError):
                raise
            raise_explained(largest, error)

    return call


def _largest_instruction(machine: Machine) -> Instruction | None:
    """Return what makes the largest value that is in memory."""
    plan, lengths = machine.plan(), machine.lengths
    made = [each for each in (*plan.locations, *plan.results) if each.instruction is not None]
    largest = max(made, key=lambda each: value_at(each.nbytes, lengths), default=None)
    return None if largest is None else largest.instruction
