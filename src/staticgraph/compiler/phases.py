"""The phases of a build, and how long each took."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from time import perf_counter


class Clock:
    """Measure phases that follow each other.

    Attributes
    ----------
    phases : dict of str to float
        Seconds of each, in order.
    """

    def __init__(self) -> None:
        self.phases: dict[str, float] = {}
        self._started = perf_counter()

    def restart(self) -> None:
        """Let the next phase begin now."""
        self._started = perf_counter()

    def add(self, name: str, seconds: float) -> None:
        """Add to a phase that was measured otherwise."""
        self.phases[name] = self.phases.get(name, 0.0) + seconds

    def lap(self, name: str) -> None:
        """End a phase; the next one begins."""
        now = perf_counter()
        self.add(name, now - self._started)
        self._started = now


@contextmanager
def collector_paused() -> Iterator[None]:
    """Keep the garbage collector from looking at what a build makes, and leaves, all at once.

    A program of some thousand instructions is a million objects, none of them garbage until the
    end; to look at them again and again takes a tenth of the build.
    """
    if not gc.isenabled():
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
