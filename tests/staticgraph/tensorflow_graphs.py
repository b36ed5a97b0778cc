"""TensorFlow 1's graphs, with its own branches and loops, as people wrote them."""

from __future__ import annotations

from contextlib import contextmanager

import numpy as np
import tensorflow as tf

v1 = tf.compat.v1


@contextmanager
def first_version():
    """Let ``cond`` and ``while_loop`` be Switch, Merge, Enter and Exit ops, as in TensorFlow 1."""
    v1.disable_control_flow_v2()
    try:
        with tf.Graph().as_default() as graph:
            yield graph
    finally:
        v1.enable_control_flow_v2()


def numbers(*shape):
    return np.random.default_rng(sum(shape)).standard_normal(shape).astype("float32")


def tutorial():
    with first_version() as graph:
        x = v1.placeholder(tf.float32, (1,), name="x")
        w = v1.get_variable("w", initializer=[1.0], use_resource=False)
        y = tf.multiply(x + w, w + 1, name="y")
        v1.identity(v1.gradients(y, w)[0], name="dw")
    return graph, {"x": np.float32([2])}, ["y", "dw"]


def training():
    with first_version() as graph:
        x = v1.placeholder(tf.float32, (4, 3), name="x")
        labels = v1.placeholder(tf.int64, (4,), name="labels")
        w = v1.get_variable("w", initializer=numbers(3, 2), use_resource=False)
        b = v1.get_variable("b", initializer=np.zeros(2, "float32"), use_resource=False)
        losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels, tf.matmul(x, w) + b)
        loss = tf.reduce_mean(losses, name="loss")
        v1.train.MomentumOptimizer(0.5, 0.9).minimize(loss, name="train")
    return graph, {"x": numbers(4, 3), "labels": np.array([0, 1, 1, 0])}, ["loss", "train"]


def adam():
    with first_version() as graph:
        x = v1.placeholder(tf.float32, (4, 3), name="x")
        w = v1.get_variable("w", initializer=numbers(3, 2), use_resource=True)
        loss = tf.reduce_mean(tf.square(tf.tanh(tf.matmul(x, w)) - 0.3), name="loss")
        v1.train.AdamOptimizer(0.1).minimize(loss, name="train")
    return graph, {"x": numbers(4, 3)}, ["loss", "train"]


def branches():
    with first_version() as graph:
        x = v1.placeholder(tf.float32, (3,), name="x")
        w = v1.get_variable("w", initializer=numbers(3), use_resource=False)

        def otherwise():
            return v1.cond(x[0] > 1, lambda: x * 3.0, lambda: tf.exp(x) + w), tf.constant(2.0)

        y, z = v1.cond(tf.reduce_sum(x) > 0, lambda: (x * w, x[0] + 1), otherwise)
        tf.identity(y, name="y")
        tf.identity(z + 1.0, name="z")
    return graph, {"x": -np.abs(numbers(3))}, ["y", "z"]


def loop():
    with first_version() as graph:
        x = v1.placeholder(tf.float32, (2, 3), name="x")
        n = v1.placeholder(tf.int32, (), name="n")
        w = v1.get_variable("w", initializer=numbers(3, 3), use_resource=False)
        _, y, total = v1.while_loop(
            lambda i, y, total: i < n,
            lambda i, y, total: (i + 1, tf.tanh(tf.matmul(y, w)), total + tf.reduce_sum(y)),
            (0, x, 0.0),
        )
        tf.identity(y, name="y")
        tf.identity(total, name="total")
    return graph, {"x": numbers(2, 3), "n": np.int32(3)}, ["y", "total"]


def nested():
    with first_version() as graph:
        n = v1.placeholder(tf.int32, (), name="n")

        def outer(i, count):
            def inner(j, count):
                more = v1.cond(tf.equal((i + j) % 2, 0), lambda: count + j, lambda: count * 2)
                return j + 1, more

            _, count = v1.while_loop(lambda j, count: j < i, inner, (0, count))
            return i + 1, count

        _, count = v1.while_loop(lambda i, count: i < n, outer, (0, 1))
        tf.identity(count, name="count")
    return graph, {"n": np.int32(5)}, ["count"]


def recurrent():
    """Return a network over time, as ``dynamic_rnn`` wrote it."""
    with first_version() as graph:
        xs = v1.placeholder(tf.float32, (4, 2, 3), name="xs")
        w = v1.get_variable("w", initializer=numbers(3, 5), use_resource=False)
        u = v1.get_variable("u", initializer=numbers(5, 5), use_resource=True)
        given = v1.TensorArray(tf.float32, 4).unstack(xs)

        def step(t, h, outputs):
            h = tf.tanh(tf.matmul(given.read(t), w) + tf.matmul(h, u))
            return t + 1, h, outputs.write(t, h)

        start = (0, tf.zeros((2, 5)), v1.TensorArray(tf.float32, 4, element_shape=(2, 5)))
        _, h, outputs = v1.while_loop(lambda t, *_: t < 4, step, start)
        tf.identity(outputs.stack(), name="outputs")
        tf.identity(h, name="last")
    return graph, {"xs": numbers(4, 2, 3)}, ["outputs", "last"]


def moving_average():
    with first_version() as graph:
        x = v1.placeholder(tf.float32, (4, 3), name="x")
        mean = v1.get_variable("mean", initializer=np.zeros(3, "float32"), use_resource=False)
        count = v1.get_variable("count", initializer=0, use_resource=True)
        batch = tf.reduce_mean(x, 0)
        update = v1.assign(mean, 0.9 * mean + 0.1 * batch)
        with tf.control_dependencies([update, v1.assign_add(count, 1)]):
            tf.subtract(x, mean.read_value(), name="y")
    return graph, {"x": numbers(4, 3)}, ["y"]


def random():
    with first_version() as graph:
        x = v1.placeholder(tf.float32, (5, 4), name="x")
        w = v1.get_variable("w", initializer=numbers(4, 2), use_resource=False)
        v1.nn.dropout(tf.matmul(x, w), rate=0.5, name="y")
        tf.identity(graph.get_operations()[-1].outputs[0], name="out")
    return graph, {"x": numbers(5, 4)}, ["out"]


GRAPHS = {
    f.__name__.replace("_", " "): f
    for f in (
        tutorial, training, adam, branches, loop, nested, recurrent, moving_average, random
    )
}  # fmt: skip
