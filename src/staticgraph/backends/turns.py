"""Turns: what works in memory of its own runs for one thread after the other."""

from __future__ import annotations

import os
from collections.abc import Callable
from threading import RLock
from typing import Any

from oplibrary.messages.errors import BindingError


def in_turns(run: Callable[[], Any]) -> Callable[[], Any]:
    """Return a function that does what `run` does, and lets one thread in at a time.

    Raises
    ------
    BindingError
        At a call from inside of a call, such as a signal handler's: it would wait for itself.
    """
    # a forked process has a lock of its own: the thread that held this one is not there
    locks: dict[int, RLock] = {}
    running = 0

    def call() -> Any:
        nonlocal running
        process = os.getpid()
        with locks.get(process) or locks.setdefault(process, RLock()):
            if running == process:  # in this thread, since others wait above
                raise BindingError(
                    "a bound program was called while it runs, from inside of that run",
                    cause="it has one set of arrays, which the run that is under way is writing",
                    fix="bind the program once more, to arrays of its own, for the call inside",
                )
            try:
                running = process
                return run()
            finally:
                running = 0

    return call
