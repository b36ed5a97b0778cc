"""Turns: what works in memory of its own runs for one thread after the other."""

from __future__ import annotations

import os
from collections.abc import Callable
from threading import Lock, get_ident
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
    locks: dict[int, Lock] = {}
    holder = 0

    def call() -> Any:
        nonlocal holder
        process = os.getpid()
        lock = locks.get(process) or locks.setdefault(process, Lock())
        if not lock.acquire(blocking=False):
            if holder == get_ident():
                raise BindingError(
                    "a bound program was called while it runs, from inside of that run",
                    cause="it has one set of arrays, which the run that is under way is writing",
                    fix="bind the program once more, to arrays of its own, for the call inside",
                )
            lock.acquire()
        holder = get_ident()
        try:
            return run()
        finally:
            holder = 0
            lock.release()

    return call
