"""From every operation by itself to the compiled program: one change a rung.

Each rung is a whole program that can be timed. What a change buys is the difference of two rungs
that follow each other, so all that is bought adds up to the difference of the first and the last.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

import staticgraph
from oplibrary.values.tree import flatten, map_tree
from oplibrary.values.types import Array
from sidebyside.modes.dynamic import DYNAMIC
from sidebyside.modes.mode import PassEffect, Prepared
from sidebyside.workloads.workload import Workload
from staticgraph.backends import interpret
from staticgraph.backends.registry import BACKENDS, load_backend

sg: Any = staticgraph

EAGER = "operation by operation"
INTERPRETED = "declared, interpreted"
GENERATED = "generated code"
PLANNED = "planned memory"
MACHINE = "machine code"
CALL = "a call of nothing"
"""The last rung: what the inputs and the results of a call cost, with no work between them."""


@dataclass(frozen=True)
class Rung:
    """One configuration of a program.

    Attributes
    ----------
    name : str
        What is changed from the rung before.
    prepared : Prepared
    effect : PassEffect or None
        Of a compiler pass.
    """

    name: str
    prepared: Prepared
    effect: PassEffect | None = None


def climb(
    graph: Any, workload: Workload, inputs: Sequence[Any], options: Mapping[str, Any]
) -> list[Rung]:
    """Return the rungs of a declared program, the last two the whole program and an empty one.

    A pass that changes nothing is no rung: the program is the one before it.

    Parameters
    ----------
    graph : Graph
    workload : Workload
    inputs : sequence
    options : mapping
        Of `staticgraph.compile`: the backend.
    """
    given = list(map(np.asarray, flatten(list(inputs))[0]))

    def compiled(**changed: Any) -> Any:
        return sg.compile(graph.outputs, inputs=graph.inputs, **{**options, **changed})

    backend = options["backend"]
    rungs = [
        Rung(EAGER, DYNAMIC.prepare(workload, tuple(inputs))),
        Rung(INTERPRETED, _prepared(compiled(backend="interpret", passes=()), given)),
    ]
    if backend == "numpy":
        with _without_plan(backend) as unplanned:
            rungs.append(Rung(GENERATED, _prepared(compiled(backend=unplanned, passes=()), given)))
    if backend != "interpret":
        name = PLANNED if backend == "numpy" else MACHINE
        rungs.append(Rung(name, _prepared(compiled(passes=()), given)))
    for position, record in enumerate(compiled().records, start=1):
        if record.changed:
            whole = compiled(passes=sg.DEFAULT_PASSES[:position])
            effect = PassEffect(record.name, record.before, record.after, record.seconds)
            rungs.append(Rung(record.name, _prepared(whole, given), effect))
    return [*rungs, Rung(CALL, _prepared(_nothing(graph, options), given))]


def _prepared(executable: Any, given: Sequence[Array]) -> Prepared:
    return Prepared(executable.call, given=given)


@contextmanager
def _without_plan(backend: str) -> Iterator[str]:
    """Let there be a backend like another whose every value NumPy allocates, inside the block."""
    name = f"{backend}, without a plan"
    BACKENDS[name] = replace(load_backend(backend), name=name, plan=interpret.plan)
    try:
        yield name
    finally:
        del BACKENDS[name]


def _nothing(graph: Any, options: Mapping[str, Any]) -> Any:
    """Return a program of the same inputs, with as many results, that computes nothing."""
    with sg.Graph():
        inputs = [sg.placeholder(each.name, each.shape, each.dtype) for each in graph.inputs]
        zero = sg.constant(np.float32(0))
        outputs = map_tree(lambda _: zero, graph.outputs)
        return sg.compile(outputs, inputs=inputs, **options)
