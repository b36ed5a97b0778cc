"""TensorFlow, made a graph at the first call by ``tf.function``, with AutoGraph as by default."""

from __future__ import annotations

from functools import partial

from sidebyside.modes.mode import Mode
from sidebyside.modes.tensorflow_eager import NAMESPACE, prepare_calls

TF_FUNCTION = Mode.of_calls(
    "tf.function",
    "TensorFlow, as a graph",
    partial(prepare_calls, graph=True),
    namespace=NAMESPACE,
)
