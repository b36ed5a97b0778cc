"""TensorFlow, made a graph at the first call and compiled by XLA."""

from __future__ import annotations

from functools import partial

from sidebyside.modes.mode import Mode
from sidebyside.modes.tensorflow_eager import NAMESPACE, prepare_calls

TF_FUNCTION_XLA = Mode.of_calls(
    "tf.function:xla",
    "TensorFlow, compiled by XLA",
    partial(prepare_calls, graph=True, jit_compile=True),
    namespace=NAMESPACE,
)
