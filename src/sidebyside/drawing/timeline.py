"""One call of a workload in every mode of ours as a timeline, which Perfetto and Chrome open.

A process is an executor, a thread one of its activities, a slice an operation; a counter shows the
bytes allocated. Times are from one run, bytes from a second one with the same operations, since
counting them would lengthen the first. Looking at every operation costs time by itself: compare
slices with each other, and modes with ``sidebyside compare``.
"""

from __future__ import annotations

import json
import sys
import time
import tracemalloc
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np

import dyngraph
import staticgraph
from dyngraph.engine import apply as dyngraph_apply
from dyngraph.tape.nodes import Extra, GradFn, TapeNode
from oplibrary.messages.errors import SideBySideError
from oplibrary.values.tree import flatten
from sidebyside.drawing.machine_steps import step_name, timed_steps
from sidebyside.drawing.tape_graph import nodes_below
from sidebyside.modes.dynamic import prepare_calls
from sidebyside.modes.registry import missing_packages
from sidebyside.modes.static import trace as declare
from sidebyside.modes.tape import as_scalar, split
from sidebyside.workloads.workload import Workload
from staticgraph.backends import interpret
from staticgraph.program.program import Instruction, Program

dg: Any = dyngraph
sg: Any = staticgraph


@dataclass
class Slice:
    """One thing that was done.

    Attributes
    ----------
    thread : str
    name : str
    start, end : float
        Seconds.
    details : dict
    weighed : float or None
        The time to which a count of the allocated bytes belongs.
    """

    thread: str
    name: str
    start: float = 0.0
    end: float = 0.0
    details: dict[str, Any] = field(default_factory=dict)
    weighed: float | None = None


class Recording:
    """What was done in one process: slices with their times, or the bytes allocated at each.

    Parameters
    ----------
    weighs : bool
        Whether bytes are counted; then no slices are kept, since they would be counted too.
    """

    def __init__(self, weighs: bool = False) -> None:
        self.slices: list[Slice] = []
        self.held: list[int] = []
        self._weighs = weighs
        self._unused = Slice("", "")

    def begin(self, thread: str, name: str) -> Slice:
        """Begin a slice now."""
        now = time.perf_counter()
        return self._enter(Slice(thread, name, now, now, {}, now))

    def enter(self, thread: str, name: str, start: float, end: float, **details: Any) -> Slice:
        """Enter a slice that is over, and has just ended if bytes are to belong to it."""
        return self._enter(Slice(thread, name, start, end, details, end))

    def enter_past(self, thread: str, name: str, start: float, end: float) -> None:
        """Enter a slice that ended some time ago."""
        if not self._weighs:
            self.slices.append(Slice(thread, name, start, end))

    def _enter(self, entered: Slice) -> Slice:
        if not self._weighs:
            self.slices.append(entered)
            return entered
        self.held.append(tracemalloc.get_traced_memory()[0])
        return self._unused


Run = Callable[[Recording], object]


def timeline(workload: Workload, size: Any = None) -> dict[str, Any]:
    """Return the timeline of one call in the modes dynamic, static and static:native.

    Parameters
    ----------
    workload : Workload
    size : optional
        Defaults to its first.

    Returns
    -------
    dict
        In Chrome's trace event format; a program that a graph refuses has the message as an event.
        Without the packages that machine code needs there are the first two.

    References
    ----------
    Google, *Trace event format*.
    """
    inputs = workload.make_inputs(workload.sizes[0] if size is None else size)
    runs: dict[str, Run] = {
        "dynamic": partial(call_dynamic, workload, inputs),
        "static": _static(workload, inputs, "numpy", run_instructions),
    }
    if not missing_packages("static:native"):
        runs["static:native"] = _static(workload, inputs, "native", run_steps)
    events: list[dict[str, Any]] = []
    for process, (name, run) in enumerate(runs.items(), start=1):
        events += _events(process, name, *_recorded(run))
    return {"traceEvents": events, "displayTimeUnit": "ns"}


def timeline_json(workload: Workload, size: Any = None) -> str:
    """Return `timeline` as JSON text."""
    return json.dumps(timeline(workload, size), indent=1) + "\n"


def _recorded(run: Run) -> tuple[Recording, list[int]]:
    """Run three times: to warm up, for the times, and for the bytes."""
    run(Recording())
    timed = Recording()
    run(timed)
    counted = Recording(weighs=True)
    tracemalloc.start()
    try:
        run(counted)
    finally:
        tracemalloc.stop()
    return timed, counted.held


def memory_over_time(run: Run) -> tuple[tuple[float, int], ...]:
    """Return the allocated bytes at each operation of a call, and the seconds at which it ended.

    Times are from one run, bytes from another with the same operations; both begin at 0.
    """
    timed, held = _recorded(run)
    moments = [each.weighed for each in timed.slices if each.weighed is not None]
    zero = min((each.start for each in timed.slices), default=0.0)
    return tuple((moment - zero, size) for moment, size in zip(moments, held, strict=True))


def _events(process: int, name: str, timed: Recording, held: list[int]) -> list[dict[str, Any]]:
    """Return the events of one process; times are in microseconds from its first slice."""

    def event(kind: str, name: str, **fields: Any) -> dict[str, Any]:
        return {"ph": kind, "name": name, "pid": process, **fields}

    threads = {
        thread: number
        for number, thread in enumerate(dict.fromkeys(s.thread for s in timed.slices), start=1)
    }
    events = [event("M", "process_name", tid=0, args={"name": name})]
    for thread, number in threads.items():
        events.append(event("M", "thread_name", tid=number, args={"name": thread}))
    zero = min((each.start for each in timed.slices), default=0.0)
    for each in timed.slices:
        start, length = (each.start - zero) * 1e6, (each.end - each.start) * 1e6
        number = threads[each.thread]
        events.append(event("X", each.name, tid=number, ts=start, dur=length, args=each.details))
    weighed = [each.weighed for each in timed.slices if each.weighed is not None]
    for moment, size in zip(weighed, held, strict=True):
        at = (moment - zero) * 1e6
        events.append(event("C", "allocated bytes", ts=at, args={"bytes": size}))
    return events


# dynamic ------------------------------------------------------------------------------------------


def call_dynamic(workload: Workload, inputs: tuple[Any, ...], recording: Recording) -> list[Any]:
    """Do one call, without an update, and return the leaves that require a gradient."""
    arguments, leaves = prepare_calls(workload).convert(inputs)
    with Watching(recording):
        result = workload.function(dg, *arguments)
    if workload.wrt:
        run_backward(recording, result)
    return list(leaves)


class Watching:
    """Enter every operation that dyngraph runs: Python says when its entries begin and end."""

    def __init__(self, recording: Recording) -> None:
        self._recording = recording
        self._open: list[tuple[Any, Slice]] = []
        self._file = dyngraph_apply.__file__

    def __enter__(self) -> None:
        self._before = sys.getprofile()
        sys.setprofile(self._event)

    def __exit__(self, *_: Any) -> None:
        sys.setprofile(self._before)

    def _event(self, frame: Any, event: str, argument: Any) -> None:
        code = frame.f_code
        if code.co_filename != self._file or "op" not in code.co_freevars:
            return
        if event == "call":
            name = frame.f_locals["op"].name
            self._open.append((frame, self._recording.begin("forward", name)))
        elif event == "return" and self._open and self._open[-1][0] is frame:
            self._open.pop()[1].end = time.perf_counter()


def backward_in_steps(result: Any, arrived: Callable[[TapeNode, Any], None]) -> None:
    """Do the backward pass of what a program gave; `arrived` gets each step and its gradient."""
    loss = as_scalar(dg, split(result)[0])
    for node in nodes_below([loss._node]) if loss.requires_grad else ():
        if isinstance(node, GradFn):
            if node.extra is None:
                node.extra = Extra()
            node.extra.hooks.append(partial(arrived, node))
    loss.backward()


def run_backward(recording: Recording, result: Any) -> None:
    """Enter each step of the backward pass, from its gradient's arrival to the next one's."""
    last: list[Slice] = []

    def arrived(node: TapeNode, _gradient: Any) -> None:
        if last:
            last[-1].end = time.perf_counter()
        last[:] = [recording.begin("backward", node.name())]

    backward_in_steps(result, arrived)
    if last:
        last[-1].end = time.perf_counter()


# static -------------------------------------------------------------------------------------------


Look = Callable[[Recording, Program, list[Any]], None]
"""Enters what a compiled program does, part by part."""


def _static(workload: Workload, inputs: tuple[Any, ...], backend: str, look: Look) -> Run:
    arrays = [np.asarray(x) for x in flatten(list(inputs))[0]]

    def run(recording: Recording) -> None:
        tracing = recording.begin("build", "trace")
        try:
            graph = declare(workload, inputs)
        except SideBySideError as error:
            tracing.end = time.perf_counter()
            tracing.name, tracing.details = "refused", {"message": str(error)}
            return
        tracing.end = start = time.perf_counter()
        executable = sg.compile(graph.outputs, inputs=graph.inputs, backend=backend)
        for phase, seconds in executable.phases.items():
            recording.enter_past("build", phase, start, start + seconds)
            start += seconds
        executable(*arrays)
        whole = recording.begin("call, as compiled", "call")
        executable(*arrays)
        whole.end = time.perf_counter()
        look(recording, executable.program, arrays)

    return run


def run_steps(recording: Recording, program: Program, arrays: list[Any]) -> None:
    """Enter each step of machine code, of which one computes several instructions."""
    try:
        timed = timed_steps(program)
    except SideBySideError as error:
        recording.begin("step by step", "refused").details["message"] = str(error)
        return
    given = list(map(np.ascontiguousarray, arrays))
    timed.run(given)
    seconds = timed.run(given)
    now = time.perf_counter() - sum(seconds)
    for step, taken in zip(timed.steps, seconds, strict=True):
        lines = [source.place for each in step for source in each.sources]
        name = step_name([each.op.name for each in step])
        recording.enter("step by step", name, now, now + taken, lines=list(dict.fromkeys(lines)))
        now += taken


def run_instructions(recording: Recording, program: Program, arrays: list[Any]) -> None:
    """Enter each instruction that is left after the passes, run by the interpreter."""
    since = [0.0]

    def after(instruction: Instruction, _operands: Any, _result: Any) -> None:
        recording.enter(
            "instruction by instruction",
            instruction.op.name,
            since[0],
            time.perf_counter(),
            type=repr(instruction.output.type),
            lines=[source.place for source in instruction.sources],
        )
        since[0] = time.perf_counter()

    call = interpret.build(program, interpret.plan(program), (after,)).call
    since[0] = time.perf_counter()
    call(*arrays)
