"""JAX, operation by operation."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any

import jax
import numpy as np

from oplibrary.values.tree import flatten
from sidebyside.modes.conversion import converter, public
from sidebyside.modes.mode import Mode, Prepared
from sidebyside.modes.tape import Loss, program_of
from sidebyside.workloads.workload import Workload

block_until_ready: Any = jax.block_until_ready
config: Any = jax.config


def _conv2d(x: Any, weight: Any, stride: int = 1, padding: int = 0) -> Any:
    """Return the convolution of ``(n, c, h, w)`` by ``(d, c, k, l)``."""
    pads = ((padding, padding), (padding, padding))
    return jax.lax.conv_general_dilated(x, weight, (stride, stride), pads)


def _max_pool2d(x: Any, kernel_size: int) -> Any:
    """Return the maximum of each square of ``(n, c, h, w)``."""
    window = (1, 1, kernel_size, kernel_size)
    return jax.lax.reduce_window(x, -np.inf, jax.lax.max, window, window, "VALID")


NAMESPACE = SimpleNamespace(
    **{
        **public(jax.nn),
        **public(jax.numpy),
        "conv2d": _conv2d,
        "max_pool2d": _max_pool2d,
        "tensor": jax.numpy.asarray,
        "value_and_grad": jax.value_and_grad,
        "hessian": lambda function, x: jax.hessian(function)(x),
        "jacobian": lambda function, x: jax.jacobian(function)(x),
        "scan": jax.lax.scan,
        "while_loop": jax.lax.while_loop,
    }
)
"""JAX's functions under one roof, with the few that are spelled differently there."""

convert = converter(jax.numpy.asarray)


def _gradient(loss: Loss, leaves: list[Any]) -> tuple[Any, list[Any], Sequence[Any]]:
    # by leaves: JAX hands the gradients of a dict back in the order of its sorted keys
    def scalar(recorded: Any) -> Any:
        value, others = loss(recorded)
        return jax.numpy.sum(value), others

    (value, others), found = jax.value_and_grad(scalar, has_aux=True)(leaves)
    return value, others, found


def program(workload: Workload) -> Callable[..., Any]:
    """Return the call of a workload as a function of its inputs, gradients included."""
    return program_of(workload, NAMESPACE, _gradient)


def set_precision(inputs: Sequence[Any]) -> None:
    """Let JAX have numbers of 64 bits if the inputs have such.

    It cuts them down unless it is told not to; integers alone do not ask for it, since they would
    widen what is made of them.
    """
    double = any(np.asarray(x).dtype.char in "dD" for x in flatten(list(inputs))[0])
    config.update("jax_enable_x64", double)


def prepare(workload: Workload, inputs: tuple[Any, ...]) -> Prepared:
    """Make the workload ready."""
    set_precision(inputs)
    call = program(workload)
    return Prepared(lambda *arguments: block_until_ready(call(*arguments)), convert).with_inputs(
        inputs
    )


JAX = Mode("jax", "JAX, eager", prepare, namespace=NAMESPACE, eager=True)
