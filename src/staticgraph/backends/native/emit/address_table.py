"""Slots: the addresses that a run is given, and how code reads them.

In order: the inputs, variables and constants of the plan, its results, the arena, and what the
fields below name.
"""

from __future__ import annotations

from oplibrary.machine.code import Code
from oplibrary.machine.register import Register
from staticgraph.backends.native.emit.blas import FUNCTIONS
from staticgraph.backends.native.planning.plan import Location, NativePlan

# behind the arena's: the functions of BLAS, and then
STATUS = len(FUNCTIONS)
"""The word that a run writes to when it cannot go on."""
POOL_RUN = STATUS + 1
"""The function that shares out chunks, and the pool."""
BLAS_ENTER = POOL_RUN + 2
"""The functions that take BLAS its threads and give them back, and their words."""
SAVE_THREAD = BLAS_ENTER + 3
"""Functions of the interpreter that let go of its lock, take it again, and look for signals."""
THREAD = SAVE_THREAD + 3
"""The word that holds the thread's state while the lock is let go of."""
INNER_CONSTANTS = THREAD + 1
"""The table of the addresses of the constants of all regions inside, in the order of `plans_of`."""
SPECIAL_SLOTS = INNER_CONSTANTS + 1

FAILED, INTERRUPTED = 1, 2
"""What the status says: something that NumPy's kernels explain, or an exception that is set."""


def slot_count(plan: NativePlan) -> int:
    """Return how many slots a run of a plan is given."""
    return plan.arena_slot + 1 + SPECIAL_SLOTS


def special_slot(code: Code, plan: NativePlan, number: int) -> Register:
    """Return what is in one of the slots behind the arena's."""
    return slot(code, plan.arena_slot + 1 + number)


def slot(code: Code, number: int) -> Register:
    """Return what is in a slot."""
    slots = code.parameter("%slots", "ptr")
    return code.load(code.address(slots, number, "ptr"), "ptr")


def address_of(code: Code, location: Location) -> Register:
    """Return the address of a place."""
    return code.address(slot(code, location.slot), location.offset, "i8")


def release_lock(code: Code, plan: NativePlan) -> None:
    """Write: let go of the interpreter's lock."""
    save = special_slot(code, plan, SAVE_THREAD)
    thread = code.effect(f"call ptr {save.ref}()", "ptr", 1)
    code.store(thread, special_slot(code, plan, THREAD))


def take_lock(code: Code, plan: NativePlan) -> None:
    """Write: take the interpreter's lock again."""
    restore = special_slot(code, plan, SAVE_THREAD + 1)
    thread = code.load(special_slot(code, plan, THREAD), "ptr")
    code.statement(f"call void {restore.ref}(ptr {thread.ref})")
