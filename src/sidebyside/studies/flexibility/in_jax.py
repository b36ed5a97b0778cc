"""The column jax.jit."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import jax as _jax
import numpy as np

from oplibrary.core.tree import flatten
from sidebyside.modes.tape import numbers, split
from sidebyside.studies.flexibility.columns import Prepared, plain
from sidebyside.studies.flexibility.program import Program, convert_arrays

jax: Any = _jax


def _hessian(function: Callable[..., Any], x: Any) -> Any:
    return jax.hessian(function)(x)


NAMESPACE = SimpleNamespace(
    **{
        **{name: getattr(jax.nn, name) for name in dir(jax.nn) if name[0] != "_"},
        **{name: getattr(jax.numpy, name) for name in dir(jax.numpy) if name[0] != "_"},
        "tensor": jax.numpy.asarray,
        "value_and_grad": jax.value_and_grad,
        "hessian": _hessian,
    }
)
"""JAX's functions under one roof."""


def prepare(column: str, program: Program) -> Prepared:
    """Make `program` ready: it is traced and compiled at the first call."""
    # the examples ask for float64 where they need it
    jax.config.update("jax_enable_x64", True)
    traces: list[None] = []

    def function(*arguments: Any) -> Any:
        traces.append(None)
        return program.function(NAMESPACE, *arguments)

    compiled = jax.jit(_with_gradients(function, program.wrt), static_argnums=program.static)
    return Prepared(
        convert=lambda arguments: convert_arrays(jax.numpy.asarray, arguments),
        call=lambda arguments: jax.block_until_ready(compiled(*arguments)),
        results=lambda found: [
            np.asarray(x) if isinstance(x, jax.Array) else plain(x) for x in numbers(found)
        ],
        builds=lambda: len(traces),
    )


def _with_gradients(function: Callable[..., Any], wrt: tuple[int, ...]) -> Callable[..., Any]:
    if not wrt:
        return function

    def scalar(*arguments: Any) -> Any:
        loss, others = split(function(*arguments))
        return jax.numpy.sum(loss), others

    gradient = jax.value_and_grad(scalar, argnums=wrt, has_aux=True)

    def call(*arguments: Any) -> Any:
        (loss, others), gradients = gradient(*arguments)
        return [loss, *others, *flatten(list(gradients))[0]]

    return call
