"""Fallback: a program is built without machine code for what the planner has a fault with.

Nothing here is expected to run. A fault of the planner, whatever it raises, must not be a failure
of the user's program: the instructions that it is about are left to NumPy, and the report says so.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from oplibrary.machine.target import LinkError
from oplibrary.messages.errors import SideBySideError
from staticgraph.backends.native.planning import planning
from staticgraph.backends.native.planning.plan import NativePlan
from staticgraph.program.program import Program

FAULT = "the planner has a fault here"
"""How the reason begins why something was left to NumPy that need not be."""
MOST_TRIES = 40
Made = TypeVar("Made")


def plan_what_works(
    program: Program, make: Callable[[NativePlan], Made]
) -> tuple[NativePlan, Made] | str:
    """Return a plan, and what is made of it, with as little left to NumPy as is found quickly.

    Parameters
    ----------
    program : Program
    make : callable
        What is made of a plan; whatever it raises is a fault of the plan.

    Returns
    -------
    (NativePlan, Made) or str
        What is wrong, if nothing works.

    Raises
    ------
    SideBySideError, MemoryError, LinkError
        What is no fault of the planner.
    """
    reason = ""

    def attempt(left: frozenset[int]) -> tuple[NativePlan, Made] | None:
        nonlocal reason
        try:
            if left:
                plan = planning.make_plan(program, left=dict.fromkeys(left, reason))
            else:
                plan = planning.make_plan(program)
            return plan, make(plan)
        except (SideBySideError, MemoryError, LinkError):
            raise
        except Exception as error:
            reason = reason or f"{FAULT} ({type(error).__name__}: {str(error)[:200]})"
            return None

    found = attempt(frozenset())
    if found is not None:
        return found
    left = frozenset(range(len(planning.expanded_program(program).instructions)))
    found = attempt(left)
    if found is None:
        return reason
    tries, size = 0, len(left)
    while size > 1:
        size = -(-size // 2)
        order = sorted(left)
        for start in range(0, len(order), size):
            fewer = left - set(order[start : start + size])
            if tries == MOST_TRIES:
                return found
            tries += 1
            better = attempt(fewer)
            if better is not None:
                left, found = fewer, better
    return found
