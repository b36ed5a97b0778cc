"""JAX, traced and compiled ahead by XLA at the first call."""

from __future__ import annotations

from typing import Any

import jax

from sidebyside.modes.jax_eager import block_until_ready, on_device, program, to_arrays
from sidebyside.modes.mode import Mode, Prepared
from sidebyside.workload import Workload


def prepare(workload: Workload, inputs: tuple[Any, ...]) -> Prepared:
    """Make the workload ready; every call waits for its results."""
    call, arguments = jax.jit(program(workload)), on_device(inputs)
    return Prepared(run=lambda: block_until_ready(call(*arguments)), arrays=to_arrays)


JAX_JIT = Mode("jax.jit", "JAX, compiled by XLA", prepare, package="jax")
