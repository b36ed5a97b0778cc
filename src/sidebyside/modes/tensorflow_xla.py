"""TensorFlow, made a graph at the first call and compiled by XLA."""

from __future__ import annotations

from functools import partial

from sidebyside.modes.mode import Mode
from sidebyside.modes.tensorflow_function import prepare

TF_FUNCTION_XLA = Mode(
    "tf.function:xla",
    "TensorFlow, compiled by XLA",
    partial(prepare, jit_compile=True),
    package="tensorflow",
)
