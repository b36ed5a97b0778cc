"""The column tf.function, with TensorFlow's NumPy functions."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import tensorflow as tf

from common.tree import flatten
from sidebyside.flexibility.columns import Prepared, plain
from sidebyside.flexibility.program import Program, convert_arrays
from sidebyside.modes.tape import numbers, split

_numpy: Any = tf.experimental.numpy
_numpy.experimental_enable_numpy_behavior(prefer_float32=True)
for _name in ("sum", "mean", "max", "min"):
    setattr(tf.Tensor, _name, getattr(_numpy, _name))


def _value_and_grad(function: Callable[..., Any]) -> Callable[..., Any]:
    def call(x: Any) -> tuple[Any, Any]:
        with tf.GradientTape() as tape:
            tape.watch(x)
            value = function(x)
        return value, tape.gradient(value, x)

    return call


def _hessian(function: Callable[..., Any], x: Any) -> Any:
    with tf.GradientTape() as tape:
        tape.watch(x)
        _, gradient = _value_and_grad(function)(x)
    return tape.jacobian(gradient, x)


def _public(module: Any) -> dict[str, Any]:
    return {name: getattr(module, name) for name in dir(module) if name[0] != "_"}


NAMESPACE = SimpleNamespace(
    **{
        **_public(tf.nn),
        **_public(tf.math),
        **_public(_numpy),
        "tensor": tf.convert_to_tensor,
        "asarray": tf.convert_to_tensor,
        "concat": lambda arrays, axis=0: tf.concat(arrays, axis),
        "nonzero": lambda x: tuple(_numpy.nonzero(x)),
        "logsumexp": lambda x, axis=None, keepdims=False: tf.reduce_logsumexp(x, axis, keepdims),
        "value_and_grad": _value_and_grad,
        "hessian": _hessian,
    }
)
"""TensorFlow's functions under the names of the array API standard, where they differ."""


def prepare(column: str, program: Program) -> Prepared:
    """Make `program` ready: it is traced at the first call, with AutoGraph as by default."""
    call = _with_gradients(program.function, program.wrt)
    compiled = tf.function(call)
    return Prepared(
        convert=lambda arguments: convert_arrays(tf.convert_to_tensor, arguments),
        call=lambda arguments: compiled(*arguments),
        results=lambda found: [
            np.asarray(x) if isinstance(x, tf.Tensor) else plain(x) for x in numbers(found)
        ],
        builds=compiled.experimental_get_tracing_count,
    )


def _with_gradients(function: Callable[..., Any], wrt: tuple[int, ...]) -> Callable[..., Any]:
    if not wrt:
        return lambda *arguments: function(NAMESPACE, *arguments)

    def call(*arguments: Any) -> Any:
        leaves = flatten([arguments[position] for position in wrt])[0]
        with tf.GradientTape() as tape:
            for leaf in leaves:
                tape.watch(leaf)
            loss, others = split(function(NAMESPACE, *arguments))
            loss = tf.reduce_sum(loss)
        gradients = tape.gradient(loss, leaves, unconnected_gradients="zero")
        return [loss, *others, *map(tf.convert_to_tensor, gradients)]

    return call
