"""TensorFlow, operation by operation."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import numpy as np

from oplibrary.core.tree import flatten, map_tree
from sidebyside.measuring.clock import thread_count
from sidebyside.modes.mode import Mode, Prepared
from sidebyside.modes.tape import numbers, split, updated
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
    with suppress(RuntimeError):  # TensorFlow has run before, as it chose then
        tf.config.set_visible_devices([], "GPU")  # every mode runs on the processor
        tf.config.threading.set_intra_op_parallelism_threads(thread_count())
    tf.constant(0)  # the devices are looked for now
# each fresh build is a function of its own, which it takes for careless retracing
logging.getLogger("tensorflow").setLevel(logging.ERROR)


class TensorFlowNamespace:
    """TensorFlow's functions under one roof, with the few that are spelled differently there."""

    def __getattr__(self, name: str) -> Any:
        for module in (tnp, tf.nn, tf.math, tf):
            if hasattr(module, name):
                setattr(self, name, getattr(module, name))
                break
        return object.__getattribute__(self, name)

    @staticmethod
    def concat(arrays: Any, axis: int = 0) -> Any:
        """Return the arrays joined along an axis."""
        return tf.concat(arrays, axis)

    @staticmethod
    def conv2d(x: Any, weight: Any, stride: int = 1, padding: int = 0) -> Any:
        """Return the convolution of ``(n, c, h, w)`` by ``(d, c, k, l)``.

        Its kernels for processors want channels last.
        """
        pads = [[0, 0], [padding, padding], [padding, padding], [0, 0]]
        found = tf.nn.conv2d(
            tf.transpose(x, (0, 2, 3, 1)), tf.transpose(weight, (2, 3, 1, 0)), stride, pads
        )
        return tf.transpose(found, (0, 3, 1, 2))

    @staticmethod
    def max_pool2d(x: Any, kernel_size: int) -> Any:
        """Return the maximum of each square of ``(n, c, h, w)``."""
        last = tf.transpose(x, (0, 2, 3, 1))
        found = tf.nn.max_pool2d(last, kernel_size, kernel_size, "VALID")
        return tf.transpose(found, (0, 3, 1, 2))


NAMESPACE = TensorFlowNamespace()


def program(workload: Workload) -> Callable[..., Any]:
    """Return the call of a workload as a function of tensors, gradients included."""
    function, rate, wrt = workload.function, workload.learning_rate, workload.wrt
    if not wrt:
        return lambda *arguments: function(NAMESPACE, *arguments)

    def call(*arguments: Any) -> Any:
        leaves = flatten([arguments[position] for position in wrt])[0]
        with tf.GradientTape() as tape:
            for leaf in leaves:
                tape.watch(leaf)
            loss, others = split(function(NAMESPACE, *arguments))
            loss = tf.reduce_sum(loss)
        found = tape.gradient(loss, leaves, unconnected_gradients="zero")
        # the gradient of rows that were taken comes as indices and values
        found = [tf.convert_to_tensor(gradient) for gradient in found]
        return [loss, *others, *(found if rate is None else updated(leaves, found, rate))]

    return call


def as_tensors(inputs: tuple[Any, ...]) -> list[Any]:
    """Return the inputs as tensors."""
    return [map_tree(lambda x: tf.constant(np.asarray(x)), tree) for tree in inputs]


def to_arrays(results: Any) -> list[Any]:
    """Return the results of a call as ndarrays."""
    return [np.asarray(x) for x in numbers(results)]


def prepare(workload: Workload, inputs: tuple[Any, ...]) -> Prepared:
    """Make the workload ready; on a processor a call returns when it has its results."""
    call, arguments = program(workload), as_tensors(inputs)
    return Prepared(run=lambda: call(*arguments), arrays=to_arrays)


TENSORFLOW = Mode("tensorflow", "TensorFlow, eager", prepare, package="tensorflow")
