"""Import functions, graphs and Keras models of TensorFlow, and write what became of each.

``python -m bench.tensorflow_models > docs/tensorflow_models.md`` writes the page.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import tensorflow as tf
from keras import Input, Model, Sequential, applications, layers, utils
from tests.staticgraph.tensorflow_graphs import GRAPHS
from tests.staticgraph.tensorflow_programs import PROGRAMS

import staticgraph as sg

HEAD = """# TensorFlow's models, imported

`python -m bench.tensorflow_models` imports each of these by `sg.from_tensorflow` and writes this
page, here with TensorFlow {version}. A program with an error was not handed over. The difference is
the largest one of all outputs, next states and gradients by every parameter and input, in parts of
the largest number of the value. One above 1e-5 is of a value that is as near to TensorFlow's own in
float64 as TensorFlow's in float32 is, such as a gradient that is 0 but for rounding.

{count} of {all} programs came in ({share:.0%}).

| program | operations | parameters | next states | largest difference | of | said |
|---|---|---|---|---|---|---|
"""


def numbers(*shape: int) -> Any:
    """Return normal numbers, the same in each run."""
    return np.random.default_rng(sum(shape)).standard_normal(shape).astype("float32")


def chain(shape: tuple[int, ...], *parts: Any) -> Callable[[], tuple[Any, Any]]:
    """Return what makes a model of layers, and an example for it."""
    return lambda: (Sequential([Input(shape), *parts]), numbers(2, *shape))


def attention() -> tuple[Any, Any]:
    """Return a block of a transformer."""
    x = Input((5, 8))
    y = layers.MultiHeadAttention(2, 4)(x, x, use_causal_mask=True)
    return Model(x, layers.LayerNormalization()(layers.Add()([x, y]))), numbers(2, 5, 8)


def masked() -> tuple[Any, Any]:
    """Return a network over sentences of several lengths."""
    x = Input((6,), dtype="int32")
    y = layers.LSTM(4)(layers.Embedding(10, 4, mask_zero=True)(x))
    return Model(x, y), np.array([[1, 2, 3, 0, 0, 0], [4, 5, 6, 7, 8, 0]], "int32")


def residual() -> tuple[Any, Any]:
    """Return a residual block with a squeeze."""
    x = Input((8, 8, 4))
    y = layers.BatchNormalization()(layers.Conv2D(4, 3, padding="same", use_bias=False)(x))
    s = layers.Dense(4, "sigmoid")(layers.GlobalAveragePooling2D(keepdims=True)(y))
    return Model(x, layers.Add()([x, layers.Multiply()([y, s])])), numbers(2, 8, 8, 4)


def application(name: str, **given: Any) -> Callable[[], tuple[Any, Any]]:
    """Return what makes a model of ``keras.applications`` with random weights."""

    def make() -> tuple[Any, Any]:
        shape = (32, 32, 3)
        model = getattr(applications, name)(weights=None, input_shape=shape, classes=4, **given)
        return model, numbers(1, *shape)

    return make


MODELS: dict[str, Callable[[], tuple[Any, Any]]] = {
    "dense, dropout, layer norm": chain(
        (4,),
        layers.Dense(8, "relu"),
        layers.Dropout(0.3),
        layers.LayerNormalization(),
        layers.Dense(3, "softmax"),
    ),
    "convolutions, batch norm": chain(
        (9, 8, 2),
        layers.Conv2D(4, 3, padding="same"),
        layers.BatchNormalization(),
        layers.ReLU(),
        layers.MaxPooling2D(),
        layers.SeparableConv2D(5, 3, padding="same"),
        layers.GlobalAveragePooling2D(),
        layers.Dense(2),
    ),
    "transposed convolutions, sizes": chain(
        (4, 5, 2),
        layers.Conv2DTranspose(3, 3, strides=2, padding="same"),
        layers.UpSampling2D(2),
        layers.Cropping2D(1),
        layers.ZeroPadding2D(2),
        layers.DepthwiseConv2D(3, strides=2),
        layers.AveragePooling2D(2),
    ),
    "LSTM, GRU": chain((5, 3), layers.LSTM(4, return_sequences=True), layers.GRU(4)),
    "bidirectional LSTM": chain((5, 3), layers.Bidirectional(layers.LSTM(4)), layers.Dense(2)),
    "simple RNN over time": chain(
        (5, 3),
        layers.SimpleRNN(4, return_sequences=True),
        layers.TimeDistributed(layers.Dense(2)),
    ),
    "causal convolution": chain(
        (12, 3),
        layers.Conv1D(4, 3, dilation_rate=2, padding="causal"),
        layers.MaxPooling1D(),
        layers.Flatten(),
        layers.Dense(2, "gelu"),
    ),
    "group norm, PReLU": chain(
        (4, 4, 6),
        layers.GroupNormalization(3),
        layers.UnitNormalization(),
        layers.SpatialDropout2D(0.2),
        layers.PReLU(),
    ),
    "Gaussian noise": chain((4,), layers.GaussianNoise(0.1), layers.Dense(2, "swish")),
    "attention": attention,
    "masked LSTM": masked,
    "squeeze and excitation": residual,
    "MobileNetV2": application("MobileNetV2", alpha=0.35),
}


def programs() -> Iterator[tuple[str, Callable[[], Any]]]:
    """Yield what is imported, by its name."""

    def function(make: Any) -> Any:
        program, inputs = make()
        return sg.from_tensorflow(program, *inputs)

    def graph(make: Any, definition: bool) -> Any:
        made, inputs, fetches = make()
        program = made.as_graph_def() if definition else made
        return sg.from_tensorflow(program, inputs, fetches=fetches)

    def model(make: Any, training: bool) -> Any:
        utils.set_random_seed(0)
        program, x = make()
        return sg.from_tensorflow(program, x, training=training)

    for name, make in PROGRAMS.items():
        yield f"tf.function: {name}", lambda make=make: function(make)  # type: ignore[misc]
    for name, make in GRAPHS.items():
        yield f"graph: {name}", lambda make=make: graph(make, False)  # type: ignore[misc]
        yield f"GraphDef: {name}", lambda make=make: graph(make, True)  # type: ignore[misc]
    for name, make in MODELS.items():
        yield f"Keras: {name}", lambda make=make: model(make, False)  # type: ignore[misc]
        yield f"Keras: {name}, training", lambda make=make: model(make, True)  # type: ignore[misc]


def row(name: str, make: Callable[[], Any]) -> tuple[bool, str]:
    """Return whether a program came in, and its row of the table."""
    try:
        imported = make()
    except sg.errors.SideBySideError as error:
        said = str(error).splitlines()[0].replace("|", "\\|")
        return False, f"| {name} | | | | | | {said} |"
    worst = max(imported.differences, key=lambda each: each.error)
    cells = [
        name,
        str(len(imported.block.steps)),
        f"{sum(int(np.size(x)) for x in imported.parameters.values()):,}",
        str(len(imported.signature.updated)),
        f"{worst.error:.1e}",
        worst.what.replace("_", "\\_"),
        "; ".join(imported.notes).partition(":")[0],
    ]
    return True, "| " + " | ".join(cells) + " |"


def main() -> None:
    """Write the page."""
    rows = []
    for name, make in programs():
        rows.append(row(name, make))
        print(rows[-1][1], file=sys.stderr, flush=True)
    count = sum(came for came, _ in rows)
    share = count / len(rows)
    print(HEAD.format(version=tf.__version__, count=count, all=len(rows), share=share), end="")
    print("\n".join(text for _, text in rows))


if __name__ == "__main__":
    main()
