"""Workloads in one mode, in a process that stands still while another one is measured."""

from __future__ import annotations

import gc
import time
import traceback
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from typing import Any

import numpy as np

from oplibrary.core.types import Array
from sidebyside.measuring.clock import calibrate_clock, take_sample, warm_up
from sidebyside.measuring.memory import measure_memory
from sidebyside.measuring.processes import Give, LostProcessError, Take, WorkerProcess
from sidebyside.modes import find_mode
from sidebyside.workloads.workload import Workload


class ModeProcessError(Exception):
    """What went wrong in the other process."""


class ModeProcess(AbstractContextManager["ModeProcess"]):
    """Runs workloads in one mode; leaving its block ends it.

    Parameters
    ----------
    mode : str
        See `sidebyside.modes.MODES`.
    environment : mapping of str to str
        Added to that of the process.
    patience : float
        Seconds that one request may take.

    Raises
    ------
    ModeProcessError
        If the mode cannot begin.
    """

    def __init__(
        self, mode: str, environment: Mapping[str, str] | None = None, patience: float = 60.0
    ) -> None:
        self.mode = mode
        self.patience = patience
        self._process = WorkerProcess(answer_requests, environment)
        try:
            self.ask("begin", mode)
        except ModeProcessError:
            self.close()
            raise

    def ask(self, request: str, *arguments: Any) -> Any:
        """Return what a method of `Server` answers; it runs meanwhile, and at no other time.

        Raises
        ------
        ModeProcessError
            If it failed, died or took too long.
        """
        try:
            with self._process.running():
                self._process.send((request, arguments))
                failed, answer = self._process.receive(self.patience)
        except LostProcessError as lost:
            raise ModeProcessError(str(lost)) from None
        if failed:
            raise ModeProcessError(answer)
        return answer

    def close(self) -> None:
        """End the process."""
        self._process.close()

    def __exit__(self, *_: object) -> None:
        self.close()


# in the other process -----------------------------------------------------------------------------


def answer_requests(take: Take, give: Give) -> None:
    """Answer every message, the name of a method of `Server` and its arguments."""
    server = Server()
    while True:
        try:
            request, arguments = take()
        except EOFError:
            return
        try:
            give((False, getattr(server, request)(*arguments)))
        except Exception as error:
            text = traceback.format_exception_only(error)[-1].strip().splitlines()[0]
            give((True, text))


class Server:
    """Answers the requests; each method is one."""

    def begin(self, mode: str) -> None:
        """Load a mode and let it run something.

        So the first call of a workload is not that of the library, its threads and BLAS, too.
        """
        self.mode = find_mode(mode)
        first = Workload(lambda xp, x: xp.tanh(x @ x), lambda rng, size: (np.ones((600, 600)),))
        self.mode.prepare(first, first.make_inputs(None)).run()

    def start(
        self, make_workload: Callable[[], Workload], size: Any, anew: bool = False
    ) -> tuple[float, list[Array]]:
        """Make a workload ready and call it once; return the seconds that took, and the results.

        Unless it is built anew, what earlier builds left on disk is used.
        """
        self.workload = make_workload()
        self.inputs = self.workload.make_inputs(size)
        started = time.perf_counter()
        prepare = self.mode.prepare_anew if anew else self.mode.prepare
        self.prepared = prepare(self.workload, self.inputs)
        results = self.prepared.run()
        seconds = time.perf_counter() - started
        return seconds, self.prepared.arrays(results)

    def warm_up(self) -> float:
        """Call until it is warm; return the ns of a call."""
        gc.collect()
        gc.freeze()
        gc.disable()
        self.run = self.prepared.run
        self.clock = calibrate_clock()
        return warm_up(self.run, self.clock)

    def sample(self, calls: int) -> float:
        """Return the ns of a call over a batch, after one that wakes what fell asleep."""
        self.run()
        return take_sample(self.run, calls, self.clock)

    def planned_bytes(self) -> int | None:
        """Return the peak of the buffers and results of a call, as planned; None if unknown."""
        plan = self.prepared.plan_memory
        return None if plan is None else plan()

    def peak_bytes(self) -> int | None:
        """Return the most bytes of arrays during a call, beside the inputs; None if unknown.

        Where they cannot be seen it is what the mode plans.
        """
        if not self.mode.counts_memory:
            return self.planned_bytes()
        gc.enable()
        return measure_memory(lambda: self.mode.prepare(self.workload, self.inputs).run).peak
