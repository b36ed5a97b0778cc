"""TensorFlow, made a graph at the first call by ``tf.function``, with AutoGraph as by default."""

from __future__ import annotations

from typing import Any

from sidebyside.modes.mode import Mode, Prepared
from sidebyside.modes.tensorflow_eager import as_tensors, program, tf, to_arrays
from sidebyside.workloads.workload import Workload


def prepare(
    workload: Workload, inputs: tuple[Any, ...], jit_compile: bool | None = None
) -> Prepared:
    """Make the workload ready; `jit_compile` hands the graph to XLA."""
    call = tf.function(program(workload), jit_compile=jit_compile)
    arguments = as_tensors(inputs)
    return Prepared(run=lambda: call(*arguments), arrays=to_arrays)


TF_FUNCTION = Mode("tf.function", "TensorFlow, as a graph", prepare, package="tensorflow")
