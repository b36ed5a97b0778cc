"""JAX, traced and compiled ahead by XLA at the first call."""

from __future__ import annotations

from typing import Any

import jax

from oplibrary.values.tree import flatten, unflatten
from sidebyside.modes.conversion import numbers
from sidebyside.modes.jax_eager import (
    NAMESPACE,
    block_until_ready,
    convert,
    program,
    set_precision,
)
from sidebyside.modes.mode import Mode, Prepared
from sidebyside.workloads.workload import Workload


def prepare(workload: Workload, inputs: tuple[Any, ...]) -> Prepared:
    """Make the workload ready."""
    set_precision(inputs)
    call = program(workload)
    leaves, structure = flatten(convert(inputs))
    # by leaves in and out: JAX passes a dict on in the order of its sorted keys
    compiled = jax.jit(lambda *given: numbers(call(*unflatten(structure, given))))

    def planned_bytes() -> int:
        """Return the bytes of the buffers and results of a call, as XLA plans them."""
        found: Any = compiled.lower(*leaves).compile().memory_analysis()
        return int(found.temp_size_in_bytes + found.output_size_in_bytes)

    return Prepared(
        lambda *given: block_until_ready(compiled(*given)),
        lambda arguments: flatten(convert(arguments))[0],
        given=leaves,
        plan_memory=planned_bytes,
    )


def prepare_calls(workload: Workload, static: tuple[int, ...] = ()) -> Prepared:
    """Make a program ready for calls of all shapes; with numbers of 64 bits where it has them."""
    jax.config.update("jax_enable_x64", True)  # type: ignore[no-untyped-call]
    call = program(workload)
    traces: list[None] = []

    def counted(*arguments: Any) -> Any:
        traces.append(None)
        return call(*arguments)

    compiled = jax.jit(counted, static_argnums=static)
    return Prepared(
        lambda *arguments: block_until_ready(compiled(*arguments)),
        convert,
        builds=lambda: len(traces),
    )


JAX_JIT = Mode("jax.jit", "JAX, compiled by XLA", prepare, prepare_calls, NAMESPACE)
