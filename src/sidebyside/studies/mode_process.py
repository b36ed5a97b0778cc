"""Workloads in one mode, in a process that stands still while another one is measured."""

from __future__ import annotations

import gc
import random
import sys
import time
import traceback
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import numpy as np

from oplibrary.messages.errors import OutOfMemoryError, SideBySideError, WorkloadError
from oplibrary.values.types import Array
from sidebyside.measuring.bottleneck import Overhead
from sidebyside.measuring.call_stack import forget_frames, frames_below
from sidebyside.measuring.clock import calibrate_clock, take_sample, warm_up
from sidebyside.measuring.environment import thread_pools
from sidebyside.measuring.memory import Memory, measure_memory, memory_limit
from sidebyside.measuring.processes import (
    Give,
    LostProcessError,
    ReturnedCopies,
    Take,
    WorkerProcess,
    turn_to_nothing,
)
from sidebyside.measuring.scrutiny import Scrutiny, examine
from sidebyside.measuring.travel import unpack
from sidebyside.modes import Counted, PassEffect, find_mode
from sidebyside.modes.overhead import measure_overhead
from sidebyside.results.cell import CRASHED, TIMED_OUT
from sidebyside.studies.explaining.attribution import Climbed, climb
from sidebyside.workloads.workload import Workload

LOADING = 120.0
"""Seconds that a library may take to load, however little time its programs are given."""


class ModeProcessError(Exception):
    """What went wrong in the other process.

    Attributes
    ----------
    kind : str
        The class of the error there; ``crashed`` or ``timed out`` where the process was lost.
    text : str
        The whole message.
    lost : bool
        Whether the process is gone, or did not answer in time.
    """

    def __init__(self, line: str, kind: str = "", text: str = "", lost: bool = False) -> None:
        super().__init__(line)
        self.kind = kind
        self.text = text or line
        self.lost = lost


class ModeProcess(AbstractContextManager["ModeProcess"]):
    """Runs workloads in one mode; leaving its block ends it.

    Parameters
    ----------
    mode : str or bytes
        See `sidebyside.modes.MODES`; or a `Mode` that was packed for the way.
    environment : mapping of str to str
        Added to that of the process.
    patience : float
        Seconds that one request may take.
    begin : bool
        Whether the mode is loaded at once. Else its process starts beside others, and `begin` waits
        for it.

    Raises
    ------
    ModeProcessError
        If the mode cannot begin.
    """

    def __init__(
        self,
        mode: str | bytes,
        environment: Mapping[str, str] | None = None,
        patience: float = 60.0,
        begin: bool = True,
    ) -> None:
        self.mode = mode
        self.patience = patience
        self._process = WorkerProcess(answer_requests, environment)
        if begin:
            self.begin()

    def begin(self) -> None:
        """Load the mode.

        Raises
        ------
        ModeProcessError
            If that fails; the process is ended then.
        """
        patience = self.patience
        self.patience = max(patience, LOADING)
        try:
            self.ask("begin", self.mode)
        except ModeProcessError:
            self.close()
            raise
        self.patience = patience

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
            kind = TIMED_OUT if lost.timed_out else CRASHED
            raise ModeProcessError(str(lost), kind, lost=True) from None
        if failed:
            raise ModeProcessError(*answer)
        return answer

    def close(self) -> None:
        """End the process."""
        self._process.close()

    def __exit__(self, *_: object) -> None:
        self.close()


# in the other process -----------------------------------------------------------------------------


def answer_requests(take: Take, give: Give) -> None:
    """Answer every message, the name of a method of `Server` and its arguments."""
    turn_to_nothing(1)  # programs may print more than there is room for
    with memory_limit():
        _answer(take, give)


def _answer(take: Take, give: Give) -> None:
    server, known, copies = Server(), frames_below(0), ReturnedCopies()
    while True:
        try:
            request, arguments = take()
        except EOFError:
            return
        try:
            try:
                answer = getattr(server, request)(*arguments)
            finally:
                copies.end()
            give((False, answer))
        except (Exception, SystemExit) as error:  # a program may call sys.exit
            line = traceback.format_exception_only(error)[-1].strip().splitlines()[0]
            if isinstance(error, MemoryError) and not isinstance(error, SideBySideError):
                error = OutOfMemoryError(str(error) or "an array does not fit in memory")
            if isinstance(error, SideBySideError):
                forget_frames(error, known)
            give((True, (line, type(error).__name__, str(error))))


@dataclass(frozen=True, slots=True)
class Built:
    """One way from nothing to the first result.

    Attributes
    ----------
    start : float
        Seconds until the first result.
    first_call : float
        Those of them that the first call took.
    build : mapping of str to float
        Seconds of each phase before it, where the mode says them.
    passes : tuple of PassEffect
    results : list
        Numbers as ndarrays, and all else in words.
    """

    start: float
    first_call: float
    build: Mapping[str, float]
    passes: tuple[PassEffect, ...]
    results: list[Any]


def _as_sent(result: Any) -> Any:
    return result if isinstance(result, np.ndarray) else repr(result)


def seed_generators(seed: int = 0) -> None:
    """Let every mode draw the same random numbers: Python's, NumPy's and PyTorch's."""
    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002  what a user's program may draw from
    torch = sys.modules.get("torch")
    if torch is not None:
        torch.manual_seed(seed)


class Server:
    """Answers the requests; each method is one."""

    frozen = 0

    def begin(self, mode: str | bytes) -> None:
        """Load a mode and let it run something.

        So the first call of a workload is not that of the library, its threads and BLAS, too.
        """
        if isinstance(mode, bytes):
            self.mode = unpack(mode)
            self.mode.load()
            self.mode.warm_up()
            return
        self.mode = find_mode(mode)
        ones = np.ones((600, 600), np.float32)  # not every library has doubles
        first = Workload(lambda xp, x: xp.tanh(x @ x), lambda rng, size: (ones,))
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
        self.frozen = gc.get_freeze_count()
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

    # a program of any kind, as comparisons ask ---------------------------------------------------

    def take(self, packed: bytes) -> None:
        """Take a workload and its inputs: a copy of its own."""
        self.workload, self.inputs = unpack(packed)

    def build(self) -> Built:
        """Make the workload ready, from the same random numbers each time, and call it once."""
        self._awake()
        seed_generators()
        gc.collect()
        started = time.perf_counter()
        self.prepared = self.mode.prepare(self.workload, self.inputs)
        prepared_at = time.perf_counter()
        results = self.prepared.run()
        ended = time.perf_counter()
        build = self.prepared.build
        first = ended - prepared_at
        if ended <= started:
            raise WorkloadError(
                "no time passes while the program runs",
                cause="it has replaced time.perf_counter, or the clock of the system stands still",
                fix="measure it without that",
            )
        return Built(
            ended - started if not build else first + sum(build.values()),
            first,
            dict(build),
            self.prepared.passes,
            list(map(_as_sent, self.prepared.arrays(results))),
        )

    def results(self, calls: int) -> list[list[Any]]:
        """Return the results of further calls."""
        found = (self.prepared.arrays(self.prepared.run()) for _ in range(calls))
        return [list(map(_as_sent, each)) for each in found]

    def examine(self) -> Scrutiny:
        """Return what a call does beside computing."""
        return examine(self.prepared.run, self.prepared.given, self.workload.function)

    def block(self, calls: int) -> float:
        """Return the seconds of a call over a batch, after one that wakes what fell asleep."""
        found = self.sample(calls)
        gc.collect()
        return found * 1e-9

    def count_work(self) -> Counted | None:
        """Return what a call does; None where that is not known."""
        count = self.prepared.count_work
        return None if count is None else count()

    def overhead(self, gradients: bool) -> Overhead:
        """Return what the mode takes beside computing."""
        return measure_overhead(self.mode, gradients)

    def climb(self, budget: float, seed: int) -> Climbed | None:
        """Return the times of the steps from operations one by one to the mode."""
        self._awake()
        return climb(self.mode, self.workload, self.inputs, budget, seed)

    def whole(self, calls: int) -> float:
        """Return the seconds that a start and as many calls take in all."""
        self._awake()
        seed_generators()
        started = time.perf_counter()
        run = self.mode.prepare(self.workload, self.inputs).run
        for _ in range(calls):
            run()
        return time.perf_counter() - started

    def memory(self) -> tuple[Memory | None, int | None]:
        """Return the memory of a call, and what was planned; None where that is not known."""
        planned = self.planned_bytes()
        if not self.mode.counts_memory:
            return None, planned
        self._awake()
        return measure_memory(lambda: self.mode.prepare(self.workload, self.inputs).run), planned

    def pools(self) -> list[dict[str, Any]]:
        """Return the pools of threads of this process."""
        return thread_pools()

    def _awake(self) -> None:
        """Let the collector work as in any program."""
        if not self.frozen:  # else the program has chosen what stays out of collections
            gc.unfreeze()
        gc.enable()

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
