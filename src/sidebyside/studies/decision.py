"""Decide how to run a program: recognise what it is, measure it in the modes it has, and say."""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from oplibrary.messages.errors import ArgumentError
from sidebyside.drawing.show import drawn_graph, drawn_graphs
from sidebyside.measuring.call_stack import frames_below
from sidebyside.modes import MODES, Mode, find_mode, is_installed
from sidebyside.modes.importing import import_program
from sidebyside.modes.own_code import (
    jax_modes,
    numpy_modes,
    tensorflow_modes,
    torch_modes,
)
from sidebyside.modes.registry import mode_names
from sidebyside.results.comparison import DrawnGraph
from sidebyside.results.decision import Decision, decide_from
from sidebyside.studies.comparison import compare_subjects
from sidebyside.studies.explaining.graphs import with_graphs
from sidebyside.studies.settings import Report, Settings, deadline_after
from sidebyside.studies.subject import Subject
from sidebyside.workloads.recognition import (
    is_module,
    library_of,
    require_inputs,
    require_program,
    uncompiled,
    with_namespace,
)
from sidebyside.workloads.workload import Workload, takes_namespace

OURS = ("dynamic", "static", "static:native")
PEERS = ("numpy", "torch", "torch.compile", "jax", "jax.jit")
"""Modes of a program that is written against a namespace; of peers, those that are loaded."""


_PACKAGES: dict[str, tuple[str, ...]] = {
    "PyTorch": ("torch", "jax"),
    "JAX": ("torch", "jax"),
    "TensorFlow": ("tensorflow",),
}


def decide(
    program: Any,
    *inputs: Any,
    calls: int | None = None,
    tolerance: float = 1e-4,
    modes: str | tuple[str, ...] = (),
    budget: float = 2.0,
    replicates: int = 8,
    seed: int = 0,
    time_limit: float = 300.0,
    run_limit: float = math.inf,
    validate: bool = False,
    graphs: bool = False,
    report: Report | None = None,
) -> Decision:
    """Say how to run a program, and what that is worth.

    The program is called as it is, ``program(*inputs)``: a PyTorch module or function of tensors
    runs eagerly and by ``torch.compile``, a module also imported by staticgraph; a function of
    JAX's arrays operation by operation, by ``jax.jit``, and imported; a function or model of
    TensorFlow eagerly, by ``tf.function`` and by XLA; NumPy code by NumPy, recorded by dyngraph,
    traced by staticgraph, and as machine code. A function whose first parameter is called
    ``xp``, and a `Workload`, is given each mode's namespace first.

    Parameters
    ----------
    program : callable or Workload
    *inputs : any
        Each mode gets its own copy of them, and of the program.
    calls : int, optional
        How often it will be called.
    tolerance : float
        Largest difference of results, relative to the largest element of a result.
    modes : sequence of str, or str with commas
        Some of the modes; the first is the reference.
    budget, replicates, seed, time_limit, run_limit, validate, graphs, report
        See `compare`; of what PyTorch, JAX or TensorFlow runs, the graphs are of its import.

    Returns
    -------
    Decision

    Raises
    ------
    ArgumentError
        If it is no program, or `calls` no number of calls.

    Examples
    --------
    >>> found = decide(lambda x: np.tanh(x) * 2, np.ones(3), calls=10, budget=0.01)
    >>> found.kind, [cell.mode for cell in found.row.cells]
    ('NumPy', ['numpy', 'dynamic', 'static', 'static:native'])
    """
    if calls is not None and not (isinstance(calls, (int, np.integer)) and calls > 0):
        raise ArgumentError(
            f"{calls!r} calls",
            cause="a program is called a whole number of times, once at least",
            fix="pass calls=1000, or leave it out",
        )
    settings = Settings(budget, replicates, seed, time_limit, deadline_after(run_limit), validate)
    settings.check()
    kind, subject = recognise(program, inputs, tolerance, seed)
    if modes:
        subject = _chosen(subject, mode_names(modes))
    known = frames_below()
    settings = replace(settings, deadline=deadline_after(run_limit))
    packages = _PACKAGES.get(kind, ())
    comparison = compare_subjects([subject], settings, packages, report=report, known=known)
    if graphs:
        comparison = with_graphs(comparison, [subject], partial(drawn_subject, kind))
    return decide_from(comparison, kind, calls)


def drawn_subject(kind: str, subject: Subject) -> tuple[DrawnGraph, ...]:
    """Return the graphs of a program; those of other libraries are imported for it."""
    workload, inputs = subject.workload, subject.inputs
    if kind == "workload":
        return drawn_graphs(workload, inputs)
    if kind == "NumPy":
        return drawn_graphs(replace(workload, function=with_namespace(workload.function)), inputs)
    return drawn_graph(lambda: import_program(kind, workload.function, inputs).graph)


def recognise(
    program: Any, inputs: tuple[Any, ...], tolerance: float, seed: int = 0
) -> tuple[str, Subject]:
    """Return what a program is, and it with its inputs and modes.

    Raises
    ------
    ArgumentError
        If it is no program, or cannot be called with these inputs.
    """
    if isinstance(program, Workload):
        size = program.sizes[0]
        given = inputs or program.make_inputs(size, seed)
        return "workload", Subject(program, given, _namespace_modes(program), size)
    require_program(program)
    program = uncompiled(program)
    name = getattr(program, "__name__", type(program).__name__)
    workload = Workload(program, inputs=lambda rng, size: inputs, name=name, tolerance=tolerance)
    namespaced = takes_namespace(program)
    require_inputs(program, inputs, ("xp",) if namespaced else ())
    if namespaced:
        return "workload", Subject(workload, inputs, _namespace_modes(workload))
    kind = library_of(program, inputs)
    modes: Mapping[str, Mode] = {
        "PyTorch": lambda: torch_modes(is_module(program)),
        "JAX": jax_modes,
        "TensorFlow": tensorflow_modes,
        "NumPy": numpy_modes,
    }[kind]()
    return kind, Subject(workload, inputs, modes, named=False)


def _namespace_modes(workload: Workload) -> dict[str, Mode]:
    """Return the modes of a program that is written once: ours, and peers that are loaded."""
    names = [*OURS, *(name for name in PEERS if name.partition(".")[0] in sys.modules)]
    if workload.wrt:
        names.remove("numpy")
    return {name: find_mode(name) for name in names if is_installed(name)}


def _chosen(subject: Subject, names: list[str]) -> Subject:
    """Return a subject with some of its modes, or with others that are known by name."""
    modes = {}
    for name in names:
        if name in subject.modes:
            modes[name] = subject.modes[name]
        elif subject.named and (name in MODES or name):
            modes[name] = find_mode(name)
        else:
            raise ArgumentError(
                f"no mode {name!r} for this program",
                cause=f"its modes are {', '.join(subject.modes)}",
                fix="name some of them",
            )
    return Subject(subject.workload, subject.inputs, modes, subject.given_size, named=subject.named)
