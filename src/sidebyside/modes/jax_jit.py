"""JAX, traced and compiled ahead by XLA at the first call."""

from __future__ import annotations

from typing import Any

import jax

from oplibrary.core.tree import flatten, unflatten
from sidebyside.modes.jax_eager import block_until_ready, on_device, program, to_arrays
from sidebyside.modes.mode import Mode, Prepared
from sidebyside.modes.tape import numbers
from sidebyside.workloads.workload import Workload


def prepare(workload: Workload, inputs: tuple[Any, ...]) -> Prepared:
    """Make the workload ready; every call waits for its results."""
    call = program(workload)
    leaves, structure = flatten(on_device(inputs))
    # by leaves in and out: JAX passes a dict on in the order of its sorted keys
    compiled = jax.jit(lambda *given: numbers(call(*unflatten(structure, given))))
    return Prepared(run=lambda: block_until_ready(compiled(*leaves)), arrays=to_arrays)


JAX_JIT = Mode("jax.jit", "JAX, compiled by XLA", prepare, package="jax")
