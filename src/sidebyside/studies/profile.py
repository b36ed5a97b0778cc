"""Profiling: how the time of each operation of a call is taken, in every mode of ours."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from statistics import median
from typing import Any

import numpy as np

import dyngraph
from dyngraph.tape.nodes import TapeNode
from oplibrary.messages.errors import ArgumentError, SideBySideError
from oplibrary.messages.source import user_source
from oplibrary.messages.suggestion import did_you_mean
from oplibrary.values.tree import flatten
from sidebyside.drawing.machine_steps import step_name, timed_steps
from sidebyside.drawing.timeline import (
    Recording,
    Run,
    Slice,
    Watching,
    backward_in_steps,
    call_dynamic,
    memory_over_time,
    run_instructions,
)
from sidebyside.measuring.clock import collector_at_rest
from sidebyside.modes.dynamic import DYNAMIC
from sidebyside.modes.registry import mode_names
from sidebyside.modes.static import build
from sidebyside.modes.tape import updated
from sidebyside.results.profile import ModeProfile, OpProfile, Profile
from sidebyside.workloads.workload import Workload, size_label
from staticgraph.cost.cost import InstructionCost, program_cost

dg: Any = dyngraph

MODES = ("dynamic", "static")
"""The modes that run operation by operation."""
MACHINE_CODE = "static:native"
"""The mode that runs several operations in a step, and takes the time of each step."""

RUNS = 11
"""How often a call is run, unless it is said."""


def profile(
    workload: Workload,
    size: Any = None,
    modes: str | Sequence[str] = MODES,
    *,
    runs: int = RUNS,
    lines: bool = False,
) -> Profile:
    """Return where the time of one call of `workload` goes.

    Parameters
    ----------
    workload : Workload
    size : optional
        Defaults to its first.
    modes : sequence of str, or str with commas
        Of ``"dynamic"``, ``"static"`` and ``"static:native"``, machine code, in which a step
        computes several operations. A program that a graph refuses has the message as its result,
        unless there is one mode only.
    runs : int
        How often the call is run; medians are returned.
    lines : bool
        Whether operations are told apart by the user's lines.

    Raises
    ------
    ArgumentError
        If there is no such mode, or `runs` is no positive integer.
    SideBySideError
        What is said to a program that is refused, if there is one mode only.
    """
    modes = mode_names(modes)
    for name in modes:
        _check_mode(name)
    if isinstance(runs, bool) or not isinstance(runs, int) or runs < 1:
        raise ArgumentError(
            f"profile: runs is {runs!r}",
            cause="the medians are those of that many runs",
            fix="pass a positive integer, such as 11",
        )
    chosen = workload.sizes[0] if size is None else size
    inputs = workload.make_inputs(chosen)
    found: list[ModeProfile] = []
    for name in dict.fromkeys(modes):
        try:
            found.append(_PROFILES[name](workload, inputs, runs, lines))
        except SideBySideError as refusal:
            if name == "dynamic" or len(modes) == 1:
                raise
            found.append(ModeProfile(name, refusal=str(refusal)))
    return Profile(workload.name, size_label(chosen), runs, lines, tuple(found))


def _check_mode(name: str) -> None:
    if name in _PROFILES:
        return
    raise ArgumentError(
        f"there is no mode {name!r} to profile{did_you_mean(name, _PROFILES)}",
        cause=f"the modes whose operations are timed are {', '.join(_PROFILES)}",
        fix="choose one of them, or several",
    )


# one mode -----------------------------------------------------------------------------------------


def _summarize(runs: Sequence[Sequence[OpProfile]]) -> tuple[OpProfile, ...]:
    """Return the medians of all runs for each op, and each line, the dearest first.

    Parameters
    ----------
    runs : sequence of sequence of OpProfile
        Of each run each operation, which is one call.
    """
    sums: list[dict[tuple[str, str], list[OpProfile]]] = []
    for run in runs:
        grouped: dict[tuple[str, str], list[OpProfile]] = {}
        for each in run:
            grouped.setdefault((each.op, each.line), []).append(each)
        sums.append(grouped)
    rows = []
    for op, line in dict.fromkeys(key for grouped in sums for key in grouped):
        taken = [grouped.get((op, line), []) for grouped in sums]
        longest = max(taken, key=len)
        rows.append(
            OpProfile(
                op,
                line,
                calls=max(1, round(median(map(len, taken)))),
                seconds=median(sum(each.seconds for each in run) for run in taken),
                flops=_sum(each.flops for each in longest),
                bytes=_sum(each.bytes for each in longest),
            )
        )
    return tuple(sorted(rows, key=lambda row: -row.seconds))


def _sum(numbers: Iterable[int | None]) -> int | None:
    """Return the sum, or None where one of them is not known."""
    known = list(numbers)
    return None if None in known else sum(n for n in known if n is not None)


def _median_call(run: Callable[[], Any], count: int) -> float:
    """Return the median seconds of `count` calls after a first one."""
    run()
    taken = []
    for _ in range(count):
        start = time.perf_counter()
        run()
        taken.append(time.perf_counter() - start)
    return median(taken)


def _record(run: Run, count: int, make: Callable[[], Recording]) -> list[list[Slice]]:
    """Return the slices of `count` runs after a first one."""
    run(make())
    recordings = [make() for _ in range(count)]
    for recording in recordings:
        run(recording)
    return [recording.slices for recording in recordings]


class _WithLines(Recording):
    """Also takes down the user's line of each operation of the forward pass."""

    def begin(self, thread: str, name: str) -> Slice:
        source = user_source() if thread == "forward" else None
        begun = super().begin(thread, name)
        begun.details["line"] = "" if source is None else source.place
        return begun


def _dynamic(workload: Workload, inputs: tuple[Any, ...], runs: int, lines: bool) -> ModeProfile:
    call = partial(_call_dynamic, workload, inputs)
    backward = _lines_of_backward(workload, inputs) if lines and workload.wrt else []
    with collector_at_rest():
        whole = _median_call(DYNAMIC.prepare(workload, inputs).run, runs)
        recorded = _record(call, runs, _WithLines if lines else Recording)
    for slices in recorded:
        steps = [each for each in slices if each.thread == "backward"]
        if [each.name for each in steps] == [name for name, _ in backward]:
            for step, (_, line) in zip(steps, backward, strict=True):
                step.details["line"] = line
    timed = [
        [OpProfile(s.name, s.details.get("line", ""), 1, s.end - s.start) for s in slices]
        for slices in recorded
    ]
    memory = memory_over_time(partial(call_dynamic, workload, inputs))
    return ModeProfile("dynamic", _summarize(timed), whole, memory=memory)


def _call_dynamic(workload: Workload, inputs: tuple[Any, ...], recording: Recording) -> None:
    """Do one call, the update of the parameters included, and enter what it does."""
    leaves = call_dynamic(workload, inputs, recording)
    if workload.learning_rate is not None:
        gradients = [dg.zeros_like(x) if x.grad is None else x.grad for x in leaves]
        update = Recording()  # which stands on no line of the user's
        with dg.no_grad(), Watching(update):
            updated(leaves, gradients, workload.learning_rate)
        recording.slices += update.slices


def _lines_of_backward(workload: Workload, inputs: tuple[Any, ...]) -> list[tuple[str, str]]:
    """Return the name and the line of each step of the backward pass, in order.

    The tape knows lines in anomaly mode only, which takes longer, so this is a run of its own.
    """
    arguments, _ = DYNAMIC.prepare(workload, inputs).given
    with dg.detect_anomaly():
        result = workload.function(dg, *arguments)
    steps: list[tuple[str, str]] = []

    def arrived(node: TapeNode, _gradient: Any) -> None:
        source = node.extra.source if node.extra is not None else None
        steps.append((node.name(), "" if source is None else source.place))

    backward_in_steps(result, arrived)
    return steps


def _static(workload: Workload, inputs: tuple[Any, ...], runs: int, lines: bool) -> ModeProfile:
    executable, prepared = build(workload, inputs, backend="numpy")
    program = executable.program
    costs = program_cost(program, fused=False).rows
    arrays = [np.asarray(x) for x in flatten(list(inputs))[0]]
    with collector_at_rest():
        whole = _median_call(prepared.run, runs)
        recorded = _record(
            lambda recording: run_instructions(recording, program, arrays), runs, Recording
        )
    timed = [
        [_counted(entered, cost, lines) for entered, cost in zip(slices, costs, strict=True)]
        for slices in recorded
    ]
    memory = memory_over_time(lambda recording: run_instructions(recording, program, arrays))
    return ModeProfile("static", _summarize(timed), whole, memory=memory)


def _counted(entered: Slice, cost: InstructionCost, lines: bool) -> OpProfile:
    line = cost.source.place if lines and cost.source is not None else ""
    flops = cost.flops if cost.complete else None
    return OpProfile(entered.name, line, 1, entered.end - entered.start, flops, cost.bytes_moved)


def _machine_code(
    workload: Workload, inputs: tuple[Any, ...], runs: int, lines: bool
) -> ModeProfile:
    executable, prepared = build(workload, inputs, backend="native")
    steps = timed_steps(executable.program)
    arrays = [np.ascontiguousarray(x) for x in flatten(list(inputs))[0]]
    rows = program_cost(steps.program, fused=False).rows
    costs = dict(zip(steps.program.instructions, rows, strict=True))
    with collector_at_rest():
        whole = _median_call(prepared.run, runs)
        steps.run(arrays)
        recorded = [steps.run(arrays) for _ in range(runs)]
    computed = [[costs[each] for each in step] for step in steps.steps]
    timed = [
        [_of_step(step, seconds, lines) for step, seconds in zip(computed, taken, strict=True)]
        for taken in recorded
    ]
    return ModeProfile(MACHINE_CODE, _summarize(timed), whole)


def _of_step(costs: Sequence[InstructionCost], seconds: float, lines: bool) -> OpProfile:
    """Return what a step took that computes one operation or more."""
    sources = [cost.source for cost in costs if cost.source is not None]
    line = sources[-1].place if lines and sources else ""
    flops = _sum(cost.flops if cost.complete else None for cost in costs)
    return OpProfile(step_name([cost.op for cost in costs]), line, 1, seconds, flops)


_PROFILES = {"dynamic": _dynamic, "static": _static, MACHINE_CODE: _machine_code}
