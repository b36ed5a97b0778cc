"""staticgraph: the program is traced and compiled ahead, then called."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

import staticgraph
from oplibrary.machine.cache import bypassed
from oplibrary.values.tree import flatten
from oplibrary.values.types import Array
from sidebyside.measuring.bottleneck import Work
from sidebyside.measuring.clock import time_once
from sidebyside.modes.conversion import converter
from sidebyside.modes.ladder import climb
from sidebyside.modes.mode import Counted, Mode, PassEffect, Prepared
from sidebyside.modes.tape import Loss, as_scalar, program_of
from sidebyside.workloads.workload import Workload
from staticgraph.cost.cost import program_cost
from staticgraph.program.program import Program

sg: Any = staticgraph


def _gradient(loss: Loss, leaves: list[Any]) -> tuple[Any, list[Any], Sequence[Any]]:
    value, others = loss()
    value = as_scalar(sg, value)
    return value, others, sg.gradients(value, leaves, unused="zero")


def program(workload: Workload) -> Callable[..., Any]:
    """Return the call of a workload as a function of nodes, gradients included."""
    function, call = workload.function, program_of(workload, sg, _gradient)
    with suppress(TypeError, ValueError):  # some callables have no signature
        names = list(inspect.signature(function).parameters.values())
        if names and names[0].kind is not inspect.Parameter.VAR_POSITIONAL:
            names.pop(0)
        call.__signature__ = inspect.Signature(names)  # type: ignore[attr-defined]
    # placeholders are declared where the program is defined, and what it reads from outside is
    # guarded, as if it had been passed to staticgraph itself
    call.__wrapped__ = function  # type: ignore[attr-defined]
    return call


def trace(workload: Workload, inputs: Sequence[Any]) -> Any:
    """Return the declared graph of a call of the workload on inputs like these."""
    return sg.trace(program(workload), *inputs)


def build(workload: Workload, inputs: Sequence[Any], **options: Any) -> tuple[Any, Prepared]:
    """Trace and compile, and return the executable and the prepared workload."""
    seconds, graph = time_once(lambda: trace(workload, inputs))
    executable = sg.compile(graph.outputs, inputs=graph.inputs, **options)
    records = executable.records
    return executable, Prepared(
        executable.call,
        _leaves,
        given=_leaves(inputs),
        build={"trace": seconds, **_phases(executable.phases, [r.name for r in records])},
        passes=tuple(PassEffect(r.name, r.before, r.after, r.seconds) for r in records),
        plan_memory=lambda: executable.plan.peak_bytes,
        count_work=lambda: Counted(
            _work(executable.lowered, bool(workload.wrt), fused=False),
            _work(executable.program, bool(workload.wrt), fused=True),
        ),
    )


def _work(program: Program, gradients: bool, fused: bool) -> Work:
    """Return what a run of a program does."""
    cost = program_cost(program, fused=fused)
    dearest = max(cost.rows, key=lambda row: row.flops or 0, default=None)
    double = dearest is not None and dearest.type.dtype.itemsize > np.dtype("float32").itemsize
    return Work(
        len(cost.rows),
        cost.bytes_moved,
        gradients,
        cost.flops,
        cost.transcendentals,
        "float64" if double else "float32",
    )


def _leaves(inputs: Sequence[Any]) -> list[Array]:
    return list(map(np.asarray, flatten(list(inputs))[0]))


def prepare_calls(workload: Workload, static: tuple[int, ...] = (), **options: Any) -> Prepared:
    """Make a program ready for calls of all shapes: it is traced and compiled at the first."""
    compiled = sg.function(program(workload), static_argnums=static, **options)

    def notes() -> list[str]:
        traces = compiled.explain().traces
        return [note for trace in traces for note in (*trace.baked, *trace.effects)]

    return Prepared(
        compiled,
        converter(np.asarray),
        builds=lambda: len(compiled.explain().traces),
        notes=notes,
    )


def _phases(phases: Mapping[str, float], passes: Sequence[str]) -> dict[str, float]:
    """Return the phases of a build, all passes together as one."""
    found: dict[str, float] = {}
    for name, seconds in phases.items():
        phase = "passes" if name in passes else name
        found[phase] = found.get(phase, 0.0) + seconds
    return found


def prepare_bound(workload: Workload, inputs: Sequence[Any], **options: Any) -> Prepared:
    """Make a workload ready for calls that are bound to arrays of its own."""
    executable, prepared = build(workload, inputs, **options)
    arrays = [np.array(leaf, order="C") for leaf in _leaves(inputs)]

    def convert(arguments: Sequence[Any]) -> tuple[()]:
        for array, leaf in zip(arrays, _leaves(arguments), strict=True):
            np.copyto(array, leaf)
        return ()

    return replace(prepared, call=executable.bind(*arrays), convert=convert, given=())


def make_mode(name: str, title: str, exact: bool = True, **options: Any) -> Mode:
    """Return the static mode with some options of `staticgraph.compile`."""
    return Mode(
        name,
        title,
        prepare=lambda workload, inputs: build(workload, inputs, **options)[1],
        prepare_calls=partial(prepare_calls, **options),
        namespace=sg,
        exact=exact,
        counts_memory=True,
        climb=lambda workload, inputs: climb(trace(workload, inputs), workload, inputs, options),
        without_caches=bypassed,
    )


STATIC = make_mode("static", "static graph (staticgraph)", backend="numpy")
STATIC_NUMPY = make_mode("static:numpy", "static graph, generated Python", backend="numpy")
STATIC_INTERPRET = make_mode("static:interpret", "static graph, interpreted", backend="interpret")
STATIC_NATIVE = make_mode(
    "static:native", "static graph, machine code", exact=False, backend="native"
)
STATIC_NATIVE_BOUND = Mode(
    "static:native:bound",
    "static graph, machine code bound to its arrays",
    prepare=lambda workload, inputs: prepare_bound(workload, inputs, backend="native"),
    namespace=sg,
    counts_memory=True,
    without_caches=bypassed,
)
