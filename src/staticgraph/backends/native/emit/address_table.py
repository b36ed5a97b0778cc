"""Slots: the addresses that a run is given, and how code reads them.

In order: the inputs, variables and constants of the plan, its results, the arena, and what the
fields below name. A kernel is given only those that it asks for (`BaseAddresses`), so that its code
does not depend on where they come from.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from oplibrary.machine.code import Code
from oplibrary.machine.register import Register
from staticgraph.backends.native.definitions.definition import Definition
from staticgraph.backends.native.definitions.open_lengths import OpenLength
from staticgraph.backends.native.planning.plan import Location, NativePlan

BLAS_FUNCTIONS = ("sgemm", "dgemm")
"""The functions whose addresses are behind that of the arena, in order; and then"""
STATUS = len(BLAS_FUNCTIONS)
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
LENGTHS = INNER_CONSTANTS + 1
"""The numbers of a `LengthTable`, as they are in the run."""
SPECIAL_SLOTS = LENGTHS + 1

FAILED = 1
"""What the status says of something that NumPy's kernels explain."""


class LengthTable:
    """The open lengths of a module: functions read them from a table that each run is given.

    Functions that are given the slots find the table there, those that are given addresses in front
    of them.

    Attributes
    ----------
    numbers : list of OpenLength
    """

    def __init__(self) -> None:
        self.numbers: list[OpenLength] = []
        self._places: dict[OpenLength, int] = {}

    def beside_bases(self, code: Code) -> Callable[[Any], Register | None]:
        """Return what finds an open length's register in a function that is given addresses."""
        return self._reader(code, "%bases", -1)

    def in_slots(self, code: Code, plan: NativePlan) -> Callable[[Any], Register | None]:
        """Return what finds an open length's register in a function that is given the slots."""
        return self._reader(code, "%slots", plan.arena_slot + 1 + LENGTHS)

    def _reader(self, code: Code, given: str, place: int) -> Callable[[Any], Register | None]:
        known: dict[OpenLength, Register] = {}

        def number(n: Any) -> Register | None:
            if not isinstance(n, OpenLength):
                return None
            register = known.get(n)
            if register is None:
                if not known:
                    code.allocations += _load("%lengths", "ptr", given, place)
                if n not in self._places:
                    self._places[n] = len(self.numbers)
                    self.numbers.append(n)
                ref = f"%length_{self._places[n]}"
                # where a function begins, so that it is there wherever it is needed
                code.allocations += _load(ref, "i64", "%lengths", self._places[n])
                register = known[n] = Register(code, ref, "i64", 1)
            return register

        return number

    def give(self, code: Code, plan: NativePlan, count: int) -> None:
        """Write the memory of `count` addresses that are given, the table in front of them."""
        code.allocations += _load("%table", "ptr", "%slots", plan.arena_slot + 1 + LENGTHS)
        code.allocations.append(f"  %given = alloca [{count + 1} x ptr], align 8")
        code.allocations.append("  store ptr %table, ptr %given")
        code.allocations.append("  %bases = getelementptr ptr, ptr %given, i64 1")


def _load(ref: str, element: str, base: str, place: int) -> list[str]:
    return [
        f"  {ref}_at = getelementptr {element}, ptr {base}, i64 {place}",
        f"  {ref} = load {element}, ptr {ref}_at, align 8",
    ]


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


Base = tuple[str, Definition | None, int]
"""Memory that a kernel uses: ``"value"`` or ``"partial"`` with what is there, or ``"status"``; and
the element that its address is of."""


class BaseAddresses:
    """The addresses that a kernel is given, in the order in which it first asks for them.

    Parameters
    ----------
    code : Code
    """

    def __init__(self, code: Code) -> None:
        self.code = code
        self.order: list[Base] = []

    def address(self, kind: str, definition: Definition | None = None, start: int = 0) -> Register:
        """Write the reading of an address."""
        base = (kind, definition, start)
        if base not in self.order:
            self.order.append(base)
        given = self.code.parameter("%bases", "ptr")
        return self.code.load(self.code.address(given, self.order.index(base), "ptr"), "ptr")
