"""The steps of machine code, each of which computes one operation or more, and their times."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

from oplibrary.messages.errors import BackendError
from staticgraph.backends.native import time_steps
from staticgraph.backends.registry import load_backend
from staticgraph.program.program import Program

if TYPE_CHECKING:
    from staticgraph.backends.native.run.timed import TimedMachine

NAMED = 3
"""How many operations of a step are named; the others are counted."""


def timed_steps(program: Program) -> TimedMachine:
    """Return a compiled program as machine code that takes the time of its steps.

    Raises
    ------
    BackendError
        If nothing of it is machine code.
    """
    load_backend("native")  # says what is missing
    timed = time_steps(program)
    if timed is None:
        raise BackendError(
            "nothing of this program is machine code",
            cause="it is left to NumPy altogether; print(executable.report()) says why",
            fix='profile the mode "static"',
        )
    return timed


def step_name(ops: Sequence[str]) -> str:
    """Return what a step is called, by its operations."""
    counts = Counter(ops)
    names = [name if count == 1 else f"{count} {name}" for name, count in counts.items()]
    if len(names) > NAMED:
        return f"{', '.join(names[:NAMED])} and {len(names) - NAMED} more"
    return ", ".join(names) or "a copy"
