"""The column tf.function, with TensorFlow's NumPy functions."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from types import SimpleNamespace
from typing import Any

import numpy as np

from oplibrary.core.tree import flatten
from sidebyside.modes.tape import numbers, split
from sidebyside.studies.flexibility.columns import Prepared, plain
from sidebyside.studies.flexibility.program import Program, convert_arrays


@cache
def _tensorflow() -> Any:
    """Return TensorFlow, its tensors with the operators and methods of NumPy."""
    import tensorflow

    functions = tensorflow.experimental.numpy
    functions.experimental_enable_numpy_behavior(prefer_float32=True)
    for name in ("sum", "mean", "max", "min"):
        setattr(tensorflow.Tensor, name, getattr(functions, name))
    # a symbolic tensor then refuses at numpy(), in TensorFlow's own words
    tensorflow.Tensor.item = lambda tensor: tensor.numpy().item()
    return tensorflow


@cache
def _namespace() -> SimpleNamespace:
    """Return TensorFlow's functions under the names of the array API standard."""
    tf = _tensorflow()
    functions = tf.experimental.numpy

    def asarray(x: Any) -> Any:
        if any(isinstance(leaf, tf.Tensor) for leaf in flatten(x)[0]):
            return tf.convert_to_tensor(x)
        return tf.convert_to_tensor(np.asarray(x))  # NumPy's integers have 64 bits

    def value_and_grad(function: Callable[..., Any]) -> Callable[..., Any]:
        def call(x: Any) -> tuple[Any, Any]:
            with tf.GradientTape() as tape:
                tape.watch(x)
                value = function(x)
            return value, tape.gradient(value, x)

        return call

    def hessian(function: Callable[..., Any], x: Any) -> Any:
        with tf.GradientTape() as tape:
            tape.watch(x)
            _, gradient = value_and_grad(function)(x)
        return tape.jacobian(gradient, x)

    return SimpleNamespace(
        **{
            **_public(tf.nn),
            **_public(tf.math),
            **_public(functions),
            "tensor": tf.convert_to_tensor,
            "asarray": asarray,
            "concat": lambda arrays, axis=0: tf.concat(arrays, axis),
            "nonzero": lambda x: tuple(functions.nonzero(x)),
            "logsumexp": lambda x, axis=None, keepdims=False: tf.reduce_logsumexp(
                x, axis, keepdims
            ),
            "value_and_grad": value_and_grad,
            "hessian": hessian,
        }
    )


def _public(module: Any) -> dict[str, Any]:
    return {name: getattr(module, name) for name in dir(module) if name[0] != "_"}


def load(column: str) -> None:
    """Import TensorFlow, and all of its functions that are looked up only when they are used."""
    _namespace()


def prepare(column: str, program: Program) -> Prepared:
    """Make `program` ready: it is traced at the first call, with AutoGraph as by default."""
    tf = _tensorflow()
    compiled = tf.function(_with_gradients(program.function, program.wrt))
    return Prepared(
        convert=lambda arguments: convert_arrays(tf.convert_to_tensor, arguments),
        call=lambda arguments: compiled(*arguments),
        results=lambda found: [
            np.asarray(x) if isinstance(x, tf.Tensor) else plain(x) for x in numbers(found)
        ],
        builds=compiled.experimental_get_tracing_count,
    )


def _with_gradients(function: Callable[..., Any], wrt: tuple[int, ...]) -> Callable[..., Any]:
    tf, xp = _tensorflow(), _namespace()
    if not wrt:
        return lambda *arguments: function(xp, *arguments)

    def call(*arguments: Any) -> Any:
        leaves = flatten([arguments[position] for position in wrt])[0]
        with tf.GradientTape() as tape:
            for leaf in leaves:
                tape.watch(leaf)
            loss, others = split(function(xp, *arguments))
            loss = tf.reduce_sum(loss)
        gradients = tape.gradient(loss, leaves, unconnected_gradients="zero")
        return [loss, *others, *map(tf.convert_to_tensor, gradients)]

    return call
