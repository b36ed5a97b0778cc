"""What the fixture ``side_by_side`` of `pytest_sidebyside` does: one entry of pytest-benchmark.

Every time the results are held against those of the first mode before anything is timed; a mode
that cannot run the program, or computes something else, fails.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

from oplibrary.messages.errors import SideBySideError
from sidebyside.measuring.agreement import check_agreement
from sidebyside.measuring.clock import time_once
from sidebyside.measuring.statistics import break_even, median_estimate
from sidebyside.modes import find_mode
from sidebyside.modes.mode import Mode, Prepared
from sidebyside.results.cell import Failure
from sidebyside.studies.subject import numbers_of
from sidebyside.workloads.workload import Workload

STARTS = 9
"""Fresh builds behind an entry of first results, and at most behind the figures of a steady one."""

START_SECONDS = 1.0
"""Seconds after which no further fresh build is made for the figures of a steady entry."""

Medians = dict[str, tuple[float, float]]
"""For each mode the seconds of the first result and of a steady call."""


class SideBySide:
    """Check one program in one mode against the reference, and time it.

    Attributes
    ----------
    mode, reference : str
        That of this run of the test, and the first one.
    start : bool
        Whether first results are timed, in place of calls in the steady state.
    """

    def __init__(
        self,
        entry: tuple[str, str, bool],
        benchmark: Callable[[], Any],
        group: str,
        medians: Medians,
        refused: Sequence[str],
    ) -> None:
        self.mode, self.reference, self.start = entry
        self._make_benchmark = benchmark
        self._group = group
        self._medians = medians
        self._refused = refused
        self.called = False

    def __call__(
        self,
        function: Callable[..., Any],
        *inputs: Any,
        wrt: int | tuple[int, ...] = (),
        learning_rate: float | None = None,
        tolerance: float = 1e-4,
    ) -> list[np.ndarray[Any, Any]]:
        """Check the program and time it in the mode of this run of the test.

        Parameters
        ----------
        function : callable
            ``function(xp, *inputs)``, where `xp` is the namespace of the mode.
        *inputs : array or tree of arrays
        wrt : int or tuple of int
            Inputs whose gradients are part of a call, by position, from 0.
        learning_rate : float, optional
            With it a call is a training step.
        tolerance : float
            Largest difference from the reference, relative to the largest element of a result.
            Between dynamic and static every bit must be the same, whatever this says.

        Returns
        -------
        list of numpy.ndarray
            What the program computes in this mode, gradients or new parameters last.
        """
        if self.called:
            pytest.fail(
                "side_by_side was called twice: a test is one entry a mode; write two tests, or "
                "parametrize it",
                pytrace=False,
            )
        self.called = True
        try:
            workload = Workload(
                function,
                lambda rng, size: inputs,
                (wrt,) if isinstance(wrt, int) else tuple(wrt),
                learning_rate=learning_rate,
                tolerance=tolerance,
            )
            given = workload.make_inputs(None)
        except SideBySideError as error:
            raise pytest.fail.Exception(str(error), pytrace=False) from None
        mode = find_mode(self.mode)
        try:
            prepared = mode.prepare_anew(workload, given)
            results = self._checked(mode, prepared, workload, given)
        except Exception as error:
            if self.mode in self._refused:
                pytest.xfail(Failure(type(error).__name__, str(error)).first_line)
            if isinstance(error, SideBySideError):  # it names the user's line; ours say nothing
                raise pytest.fail.Exception(str(error), pytrace=False) from None
            raise
        if self.mode in self._refused:
            pytest.fail(f"{self.mode} is marked as refusing this program, and runs it")
        benchmark = self._make_benchmark()
        benchmark.group = f"{self._group} (first result)" if self.start else self._group
        if self.start:
            benchmark.pedantic(
                lambda: mode.prepare_anew(workload, given).run(), rounds=STARTS, warmup_rounds=1
            )
        else:
            benchmark(prepared.run)
        self._describe(benchmark, mode, prepared, workload, given)
        return results

    def _checked(
        self, mode: Mode, prepared: Prepared, workload: Workload, given: tuple[Any, ...]
    ) -> list[np.ndarray[Any, Any]]:
        """Return what the mode computes, once it is known to be what the reference does."""
        results = numbers_of(prepared.arrays(prepared.run()))
        if self.mode != self.reference:
            other = find_mode(self.reference)
            ready = other.prepare(workload, given)
            check_agreement(
                results,
                numbers_of(ready.arrays(ready.run())),
                pair=f"{self.mode} and {self.reference}",
                tolerance=None if mode.exact and other.exact else workload.tolerance,
            )
        return results

    def _describe(
        self,
        benchmark: Any,
        mode: Mode,
        prepared: Prepared,
        workload: Workload,
        given: tuple[Any, ...],
    ) -> None:
        """Add to the entry what the mode can say about the program."""
        about = benchmark.extra_info
        about["mode"] = self.mode
        about["build"] = dict(prepared.build)
        if prepared.count_work is not None:
            declared = prepared.count_work().declared
            about["nodes"] = declared.operations
            about["bytes"] = declared.bytes
        if prepared.plan_memory is not None:
            about["planned_bytes"] = prepared.plan_memory()
        if self.start or benchmark.stats is None:  # --benchmark-disable
            return
        starts: list[float] = []
        while not starts or (len(starts) < STARTS and sum(starts) < START_SECONDS):
            starts.append(time_once(lambda: mode.prepare_anew(workload, given).run())[0])
        first = float(np.median(starts))
        steady = float(benchmark.stats.stats.median)
        about["first_result"] = first
        self._medians[self.mode] = first, steady
        reference = self._medians.get(self.reference)
        if reference is not None and self.mode != self.reference:
            even = break_even(
                median_estimate([first]),
                median_estimate([reference[0]]),
                median_estimate([reference[1] - steady]),
            )
            about["break_even"] = None if np.isinf(even.calls) else even.calls
