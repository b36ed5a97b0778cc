"""TensorFlow, operation by operation."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import cache
from types import SimpleNamespace
from typing import Any

import numpy as np

from oplibrary.values.tree import flatten
from sidebyside.measuring.environment import thread_count
from sidebyside.modes.conversion import converter, public
from sidebyside.modes.mode import Mode, Prepared
from sidebyside.modes.tape import Loss, program_of
from sidebyside.workloads.workload import Workload


@contextmanager
def _silence() -> Iterator[None]:
    """Keep what is written to the error stream, below Python too, away from the report.

    TensorFlow greets with a page of notices; what it raises still comes through.
    """
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


with _silence():
    import tensorflow

    tf: Any = tensorflow
    tnp: Any = tf.experimental.numpy
    # gives tensors the operators, methods and indices of NumPy; Python's numbers take float32
    tnp.experimental_enable_numpy_behavior(prefer_float32=True)
for _name in ("sum", "mean", "max", "min"):
    setattr(tf.Tensor, _name, getattr(tnp, _name))
# a symbolic tensor then refuses at numpy(), in TensorFlow's own words
tf.Tensor.item = lambda tensor: tensor.numpy().item()
# each fresh build is a function of its own, which it takes for careless retracing
logging.getLogger("tensorflow").setLevel(logging.ERROR)


@cache
def begin() -> None:
    """Choose the devices and threads, and start them: no process may be copied afterwards."""
    with _silence():
        with suppress(RuntimeError):  # TensorFlow has run before, as it chose then
            tf.config.set_visible_devices([], "GPU")  # every mode runs on the processor
            tf.config.threading.set_intra_op_parallelism_threads(thread_count())
        tf.constant(0)


def _conv2d(x: Any, weight: Any, stride: int = 1, padding: int = 0) -> Any:
    """Return the convolution of ``(n, c, h, w)`` by ``(d, c, k, l)``.

    Its kernels for processors want channels last.
    """
    pads = [[0, 0], [padding, padding], [padding, padding], [0, 0]]
    found = tf.nn.conv2d(
        tf.transpose(x, (0, 2, 3, 1)), tf.transpose(weight, (2, 3, 1, 0)), stride, pads
    )
    return tf.transpose(found, (0, 3, 1, 2))


def _max_pool2d(x: Any, kernel_size: int) -> Any:
    """Return the maximum of each square of ``(n, c, h, w)``."""
    last = tf.transpose(x, (0, 2, 3, 1))
    found = tf.nn.max_pool2d(last, kernel_size, kernel_size, "VALID")
    return tf.transpose(found, (0, 3, 1, 2))


def _asarray(x: Any, dtype: Any = None) -> Any:
    # NumPy's integers have 64 bits
    whole = any(isinstance(leaf, tf.Tensor) for leaf in flatten(x)[0])
    found = tf.convert_to_tensor(x if whole else np.asarray(x))
    return found if dtype is None else tf.cast(found, dtype)


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


class TensorFlowNamespace(SimpleNamespace):
    """TensorFlow's functions under one roof, with the few that are spelled differently there."""

    def __getattr__(self, name: str) -> Any:
        return getattr(tf, name)


NAMESPACE = TensorFlowNamespace(
    **{
        **public(tf.math),
        **public(tf.nn),
        **public(tnp),
        "tensor": tf.convert_to_tensor,
        "asarray": _asarray,
        "concat": lambda arrays, axis=0: tf.concat(arrays, axis),
        "conv2d": _conv2d,
        "max_pool2d": _max_pool2d,
        "nonzero": lambda x: tuple(tnp.nonzero(x)),
        "logsumexp": lambda x, axis=None, keepdims=False: tf.reduce_logsumexp(x, axis, keepdims),
        "value_and_grad": _value_and_grad,
        "hessian": _hessian,
    }
)


def _gradient(loss: Loss, leaves: list[Any]) -> tuple[Any, list[Any], Sequence[Any]]:
    with tf.GradientTape() as tape:
        for leaf in leaves:
            tape.watch(leaf)
        value, others = loss()
        value = tf.reduce_sum(value)
    found = tape.gradient(value, leaves, unconnected_gradients="zero")
    # the gradient of rows that were taken comes as indices and values
    return value, others, [tf.convert_to_tensor(gradient) for gradient in found]


def prepare_calls(
    workload: Workload,
    static: tuple[int, ...] = (),
    *,
    graph: bool = False,
    jit_compile: bool | None = None,
) -> Prepared:
    """Make the workload ready; on a processor a call returns when it has its results.

    Parameters
    ----------
    workload : Workload
    static : tuple of int
        TensorFlow takes every Python value as a constant.
    graph : bool
        Whether it is made a graph at the first call, with AutoGraph as by default.
    jit_compile : bool, optional
        Whether the graph is handed to XLA.
    """
    begin()
    call = program_of(workload, NAMESPACE, _gradient)
    convert = converter(lambda x: tf.constant(np.asarray(x)))
    if not graph:
        return Prepared(call, convert)
    call = tf.function(call, jit_compile=jit_compile)
    return Prepared(call, convert, builds=call.experimental_get_tracing_count)


TENSORFLOW = Mode.of_calls(
    "tensorflow", "TensorFlow, eager", prepare_calls, namespace=NAMESPACE, eager=True
)
