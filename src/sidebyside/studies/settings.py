"""How much is measured, and by when."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass

from oplibrary.messages.errors import ArgumentError
from sidebyside.measuring.clock import require_seconds

LONGEST_BUDGET = 1e6
"""Seconds of samples: eleven days. More is a slip."""

Report = Callable[[str], None]


@dataclass(frozen=True)
class Settings:
    """How much is measured.

    Attributes
    ----------
    budget : float
        Seconds of samples for each program, over all replicates.
    replicates : int
        The most.
    seed : int
    time_limit : float
        Seconds that one request to a mode may take: a start, or a block.
    deadline : float
        When no further replicate is begun, by `time.monotonic`.
    validate, instructions, attribute : bool
        Whether break-evens are checked by real calls, instructions counted, and what each step of
        compiling saves is measured.
    memory : bool
        Whether it is measured what a call needs, for which each mode is built once more.
    """

    budget: float = 2.0
    replicates: int = 8
    seed: int = 0
    time_limit: float = 300.0
    deadline: float = math.inf
    validate: bool = False
    instructions: bool = False
    attribute: bool = False
    memory: bool = True

    def check(self) -> None:
        """Refuse what is no amount of time.

        Raises
        ------
        ArgumentError
        """
        require_seconds("budget", self.budget, LONGEST_BUDGET)
        require_seconds("time_limit", self.time_limit)
        if self.replicates < 0:
            raise ArgumentError(
                f"{self.replicates} replicates",
                cause="the experiment is repeated so often, each time in fresh processes",
                fix="leave replicates out, or pass 0 for a look in this process",
            )
        if self.seed < 0:
            raise ArgumentError(
                f"a seed of {self.seed}",
                cause="random numbers begin with a whole number that is not negative",
                fix="leave it out, or pass a number from 0 on",
            )


def deadline_after(run_limit: float) -> float:
    """Return when nothing new is begun, by `time.monotonic`.

    Raises
    ------
    ArgumentError
        If that is no amount of time.
    """
    if not run_limit > 0:
        raise ArgumentError(
            f"a run_limit of {run_limit} seconds",
            cause="nothing would be begun",
            fix="leave it out, or pass a positive number of seconds",
        )
    return time.monotonic() + run_limit
