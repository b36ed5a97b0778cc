"""Small TensorFlow programs of every kind, as people write them, with example inputs."""

from __future__ import annotations

import numpy as np
import tensorflow as tf


def numbers(*shape):
    return np.random.default_rng(len(shape) + sum(shape)).standard_normal(shape).astype("float32")


def weights(*shape, name="w"):
    return tf.Variable(numbers(*shape) * np.float32(0.3), name=name)


class Dense(tf.Module):
    def __init__(self, n, m, activation=tf.identity, name=None):
        super().__init__(name=name)
        self.w, self.b = weights(n, m, name="w"), weights(m, name="b")
        self.activation = activation

    @tf.function
    def __call__(self, x):
        return self.activation(x @ self.w + self.b)


def mlp():
    layers = [Dense(4, 8, tf.nn.relu), Dense(8, 6, tf.nn.gelu), Dense(6, 3)]

    @tf.function
    def predict(x):
        for layer in layers:
            x = layer(x)
        return tf.nn.log_softmax(x)

    return predict, (numbers(5, 4),)


def convolutions():
    a, b, c = weights(3, 3, 2, 4), weights(3, 3, 4, 3), weights(2, 2, 3, 3)
    d = weights(3, 3, 4, 1)

    @tf.function
    def predict(x):
        x = tf.nn.bias_add(tf.nn.conv2d(x, a, 2, "SAME"), [0.1, 0.2, 0.3, 0.4])
        x = tf.nn.depthwise_conv2d(tf.nn.elu(x), d, [1, 1, 1, 1], "SAME")
        x = tf.nn.conv2d(tf.nn.selu(x), b, 1, [[0, 0], [1, 2], [0, 1], [0, 0]])
        return tf.nn.conv2d_transpose(x, c, [2, 14, 10, 3], 2, "SAME")

    return predict, (numbers(2, 11, 12, 2),)


def pools():
    @tf.function
    def predict(x):
        y = tf.nn.max_pool2d(x, 3, 2, "SAME") + tf.nn.avg_pool2d(x, 3, 2, "SAME")
        z = tf.nn.avg_pool2d(tf.nn.max_pool2d(x, 2, 1, "VALID"), [3, 2], [2, 1], "VALID")
        return y, z, tf.nn.local_response_normalization(x, 1, 1.0, 0.5, 0.5)

    return predict, (numbers(2, 7, 8, 3),)


def one_and_three_axes():
    a, b = weights(3, 2, 4), weights(2, 2, 2, 2, 3)

    @tf.function
    def predict(x, y):
        x = tf.nn.conv1d(x, a, 2, "SAME")
        y = tf.nn.max_pool3d(tf.nn.conv3d(y, b, [1, 1, 1, 1, 1], "SAME"), 2, 2, "VALID")
        return x, y, tf.nn.avg_pool3d(y, 2, 1, "SAME")

    return predict, (numbers(2, 9, 2), numbers(1, 4, 4, 5, 2))


def lstm_cell():
    kernel, recurrent, bias = weights(3, 16), weights(4, 16), weights(16)

    @tf.function
    def step(x, h, c):
        i, f, g, o = tf.split(x @ kernel + h @ recurrent + bias, 4, axis=-1)
        c = tf.sigmoid(f) * c + tf.sigmoid(i) * tf.tanh(g)
        return tf.sigmoid(o) * tf.tanh(c), c

    return step, (numbers(2, 3), numbers(2, 4), numbers(3, 4)[1:])


def gru_scan():
    w, u = weights(3, 12), weights(4, 12)

    @tf.function
    def run(xs):
        outputs = tf.TensorArray(tf.float32, size=5)
        h = tf.zeros((2, 4))
        for t in tf.range(5):
            zw, rw, nw = tf.split(xs[t] @ w, 3, axis=-1)
            zu, ru, nu = tf.split(h @ u, 3, axis=-1)
            z, r = tf.sigmoid(zw + zu), tf.sigmoid(rw + ru)
            h = (1 - z) * tf.tanh(nw + r * nu) + z * h
            outputs = outputs.write(t, h)
        return outputs.stack(), h

    return run, (numbers(5, 2, 3),)


def attention():
    qkv, out = weights(8, 24), weights(8, 8, name="out")

    @tf.function
    def attend(x):
        q, k, v = [
            tf.transpose(tf.reshape(y, (2, 5, 2, 4)), (0, 2, 1, 3))
            for y in tf.split(x @ qkv, 3, axis=-1)
        ]
        scores = tf.matmul(q, k, transpose_b=True) / 2.0
        mask = tf.linalg.band_part(tf.ones((5, 5)), -1, 0)
        attended = tf.nn.softmax(tf.where(mask > 0, scores, -1e9)) @ v
        return tf.reshape(tf.transpose(attended, (0, 2, 1, 3)), (2, 5, 8)) @ out

    return attend, (numbers(2, 5, 8),)


def einsum_attention():
    @tf.function
    def attend(q, k, v):
        scores = tf.einsum("bqhd,bkhd->bhqk", q, k)
        return tf.einsum("bhqk,bkhd->bqhd", tf.nn.softmax(scores, axis=-1), v)

    return attend, (numbers(2, 3, 2, 4), numbers(2, 5, 2, 4), numbers(2, 5, 2, 4) + 1)


def collatz():
    @tf.function
    def steps(n):
        count = 0
        while n > 1:
            n = tf.where(n % 2 == 0, n // 2, 3 * n + 1)
            count += 1
        return count, n

    return steps, (np.int32(27),)


def newton():
    @tf.function
    def root(x):
        y = x
        while tf.reduce_max(tf.abs(y * y - x)) > 1e-4:
            y = 0.5 * (y + x / y)
        return y

    return root, (np.abs(numbers(3)) + 1,)


def while_with_weights():
    w = weights(3, 3)

    @tf.function
    def run(x, n):
        def body(i, x):
            return i + 1, tf.tanh(x @ w)

        return tf.while_loop(lambda i, x: i < n, body, (0, x))[1]

    return run, (numbers(2, 3), np.int32(4))


def branches():
    w = weights(3, 3)

    @tf.function
    def choose(x, flag):
        if tf.reduce_sum(x) > 0:
            y = x @ w
        else:
            y = x - 1.0
        return tf.cond(flag, lambda: y * 2.0, lambda: tf.sin(y)), y

    return choose, (np.abs(numbers(2, 3)), np.bool_(False))


def switch_case():
    @tf.function
    def choose(i, x):
        return tf.switch_case(i, [lambda: x, lambda: tf.exp(x), lambda: x * x])

    return choose, (np.int32(1), numbers(4))


def nested_loops():
    @tf.function
    def run(x):
        total = tf.zeros(())
        for i in tf.range(3):
            row = x[i]
            for j in tf.range(2):
                if row[j] > 0:
                    total += row[j] * tf.cast(i + 1, tf.float32)
                else:
                    total -= 0.5 * row[j]
        return total

    return run, (numbers(3, 2),)


def layer_norm():
    gamma, beta = weights(6, name="gamma"), weights(6, name="beta")

    @tf.function
    def norm(x):
        mean, variance = tf.nn.moments(x, -1, keepdims=True)
        return tf.nn.batch_normalization(x, mean, variance, beta, gamma, 1e-5)

    return norm, (numbers(4, 6),)


def batch_norm():
    scale, offset = weights(3, name="scale"), weights(3, name="offset")
    mean = tf.Variable(np.zeros(3, "float32"), trainable=False, name="mean")
    variance = tf.Variable(np.ones(3, "float32"), trainable=False, name="variance")

    @tf.function
    def train(x):
        y, m, v, *_ = tf.raw_ops.FusedBatchNormV3(
            x=x, scale=scale, offset=offset, mean=mean, variance=variance, epsilon=1e-3
        )
        mean.assign(0.9 * mean + 0.1 * m)
        variance.assign_sub(0.1 * (variance - v))
        return y + mean

    return train, (numbers(4, 3, 3, 3) * 2,)


def batch_norm_inference():
    scale, offset = weights(3, name="scale"), weights(3, name="offset")

    @tf.function
    def run(x):
        mean, variance = tf.constant([0.1, 0.2, 0.3]), tf.constant([1.0, 2.0, 3.0])
        return tf.compat.v1.nn.fused_batch_norm(
            x, scale, offset, mean, variance, 1e-3, "NHWC", False
        )[0]

    return run, (numbers(4, 3, 3, 3),)


def group_norm():
    @tf.function
    def norm(x):
        y = tf.reshape(x, (2, 3, 3, 2, 2))
        mean, variance = tf.nn.moments(y, (1, 2, 4), keepdims=True)
        return tf.reshape((y - mean) * tf.math.rsqrt(variance + 1e-5), (2, 3, 3, 4))

    return norm, (numbers(2, 3, 3, 4),)


def cross_entropy():
    w = weights(4, 3)

    @tf.function
    def loss(x, labels, soft):
        logits = x @ w
        sparse = tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits)
        dense = tf.nn.softmax_cross_entropy_with_logits(soft, logits)
        binary = tf.nn.sigmoid_cross_entropy_with_logits(soft, logits)
        return tf.reduce_mean(sparse), tf.reduce_sum(dense), tf.reduce_mean(binary)

    return loss, (numbers(5, 4), np.array([0, 1, 2, 1, 0]), np.abs(numbers(5, 3)))


def regression_losses():
    @tf.function
    def loss(x, y):
        huber = tf.where(tf.abs(x - y) < 1, 0.5 * (x - y) ** 2, tf.abs(x - y) - 0.5)
        return (
            tf.nn.l2_loss(x - y),
            tf.reduce_mean(tf.math.squared_difference(x, y)),
            tf.reduce_mean(huber),
            tf.nn.log_poisson_loss(y * y, x),
        )

    return loss, (numbers(4, 3), numbers(3, 4).T)


def training_step():
    layers = [Dense(4, 6, tf.tanh), Dense(6, 3)]
    held = [v for layer in layers for v in layer.trainable_variables]

    @tf.function
    def step(x, labels):
        with tf.GradientTape() as tape:
            logits = layers[1](layers[0](x))
            loss = tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits))
        for v, g in zip(held, tape.gradient(loss, held), strict=True):
            v.assign_sub(0.1 * g)
        return loss

    return step, (numbers(5, 4), np.array([0, 1, 2, 1, 0]))


def convolution_gradients():
    a, b, d = (
        weights(3, 3, 2, 4, name="a"),
        weights(3, 2, 4, 3, name="b"),
        weights(3, 3, 4, 1, name="d"),
    )

    @tf.function
    def slopes(x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = tf.nn.relu(tf.nn.conv2d(x, a, 2, "SAME"))
            y = tf.nn.leaky_relu(tf.nn.depthwise_conv2d(y, d, [1, 1, 1, 1], "SAME"))
            y = tf.nn.max_pool2d(tf.nn.conv2d(y, b, 1, "VALID"), 2, 1, "VALID")
            loss = tf.reduce_sum(tf.nn.avg_pool2d(y, 2, 1, "SAME") ** 2)
        return tape.gradient(loss, [x, a, b, d])

    return slopes, (numbers(2, 9, 8, 2),)


def gradients_of_everything():
    @tf.function
    def slopes(x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = tf.nn.relu6(x) + tf.nn.elu(x) + tf.nn.selu(x) + tf.nn.softplus(x)
            y += tf.nn.softsign(x) + tf.tanh(x) + tf.sigmoid(x) + tf.math.rsqrt(x * x + 1)
            y += tf.sqrt(x * x + 1) + 1 / (x * x + 1) + tf.math.xlogy(x * x, x * x)
            y = tf.concat([y[:, 1:], tf.pad(y[1:, :2], [[1, 0], [0, 1]])], axis=1)
            y = tf.gather(y, [0, 2, 2], axis=1) * tf.reduce_prod(y, axis=1, keepdims=True)
            y = tf.math.cumsum(y, axis=1) - tf.reduce_max(y, axis=1, keepdims=True)
        return tape.gradient(y, x)

    return slopes, (numbers(3, 4),)


def second_derivative():
    @tf.function
    def slopes(x):
        with tf.GradientTape() as outer:
            outer.watch(x)
            with tf.GradientTape() as inner:
                inner.watch(x)
                y = tf.reduce_sum(tf.tanh(x) ** 3 * tf.exp(x))
            g = inner.gradient(y, x)
        return outer.gradient(g, x), g

    return slopes, (numbers(5),)


def image_sizes():
    @tf.function
    def resize(x):
        up = tf.image.resize(x, (9, 10))
        near = tf.image.resize(x, (4, 11), "nearest")
        cubic = tf.image.resize(x, (8, 8), "bicubic")
        old = tf.compat.v1.image.resize_bilinear(x, (9, 4), align_corners=True)
        area = tf.image.resize(x, (3, 4), "area")
        return up, near, cubic, old, area

    return resize, (numbers(2, 6, 7, 3),)


def image_colours():
    @tf.function
    def change(x):
        x = tf.image.adjust_contrast(tf.image.adjust_brightness(x, 0.1), 1.3)
        hsv = tf.image.rgb_to_hsv(x)
        return tf.image.hsv_to_rgb(hsv), tf.image.rgb_to_grayscale(x), tf.image.flip_left_right(x)

    return change, (np.abs(numbers(2, 4, 5, 3)) % 1,)


def image_crops():
    @tf.function
    def crop(x):
        y = tf.image.pad_to_bounding_box(tf.image.central_crop(x, 0.5), 1, 2, 8, 9)
        patches = tf.image.extract_patches(x, [1, 3, 2, 1], [1, 2, 2, 1], [1, 1, 1, 1], "SAME")
        dx, dy = tf.image.image_gradients(x)
        return y, tf.image.rot90(x), patches, dx, dy, tf.image.sobel_edges(x)

    return crop, (numbers(2, 6, 8, 3),)


def shapes():
    @tf.function
    def change(x):
        n = tf.shape(x)[0]
        y = tf.reshape(x, (n * 2, -1))
        y = tf.tile(tf.expand_dims(y, 1), (1, 2, 1))
        z = tf.stack(tf.unstack(x, axis=1), axis=0)[::-1, ..., tf.newaxis, 1:]
        p = tf.pad(x, [[1, 1], [0, 2], [0, 0]], "REFLECT")
        return (
            y,
            z,
            tf.transpose(p),
            tf.roll(x, (1, -1), (0, 2)),
            tf.reverse(x, [1]),
            tf.squeeze(x[:, :1]),
        )

    return change, (numbers(3, 4, 2),)


def indexing():
    @tf.function
    def select(x, i):
        picked = tf.gather(x, i, axis=1) + x[0, i[0]]
        batched = tf.gather(x, tf.stack([i, i, i]), axis=1, batch_dims=1)
        nd = tf.gather_nd(x, tf.stack([i, i], axis=1))
        put = tf.tensor_scatter_nd_add(x, i[:, None], x[:2])
        made = tf.scatter_nd(i[:, None], x[:2], (5, 4))
        hot = tf.one_hot(i, 4, 2.0, -1.0, axis=0)
        return picked, batched, nd, put, made, hot, tf.slice(x, [i[0], 1], [2, 2])

    return select, (numbers(3, 4), np.array([0, 2], "int32"))


def sorting():
    @tf.function
    def order(x):
        values, indices = tf.math.top_k(x, 3)
        return values, indices, tf.sort(x, axis=0), tf.argsort(x), tf.argmax(x, 1), tf.argmin(x, 0)

    return order, (numbers(4, 5),)


def reductions():
    @tf.function
    def reduce(x):
        return (
            tf.reduce_logsumexp(x, 1),
            tf.reduce_prod(x, 0),
            tf.reduce_any(x > 1, 1),
            tf.reduce_all(x > -9),
            tf.reduce_max(x, 1, keepdims=True),
            tf.math.reduce_std(x, 0),
            tf.norm(x, axis=1),
            tf.math.cumprod(x, 1, exclusive=True, reverse=True),
            tf.math.cumulative_logsumexp(x, 1),
        )

    return reduce, (numbers(3, 4),)


def elementwise():
    @tf.function
    def compute(x):
        y = tf.abs(x) + 0.5
        return (
            tf.exp(-y) + tf.math.log1p(y) + tf.math.expm1(x) + tf.math.erf(x) + tf.math.lgamma(y),
            tf.atan2(x, y) + tf.math.digamma(y) + tf.sinh(x) + tf.asinh(x) + tf.acosh(y + 1),
            tf.math.divide_no_nan(x, tf.round(x)) + tf.floor(x) * tf.math.ceil(x) + tf.sign(x),
            tf.clip_by_value(x, -0.5, 0.5) + tf.math.mod(x, 0.7) + tf.math.floordiv(x, 0.7),
            tf.minimum(x, y) + tf.maximum(x, -y) + y**x + tf.math.erfc(x) + tf.nn.silu(x),
            tf.cast(x * 3, tf.int32) // 2 + tf.cast(x > 0, tf.int32),
        )

    return compute, (numbers(3, 4),)


def integers():
    @tf.function
    def compute(x, y):
        both = tf.bitwise.bitwise_or(tf.bitwise.bitwise_and(x, y), tf.bitwise.bitwise_xor(x, y))
        return x // y, x % y, tf.truncatediv(x, y), tf.truncatemod(x, y), both, -x, x == y

    return compute, (np.array([7, -7, 5, -3], "int32"), np.array([2, 2, -3, -3], "int32"))


def matrices():
    @tf.function
    def solve(x, b):
        a = x @ tf.transpose(x) + 3.0 * tf.eye(3)
        low = tf.linalg.cholesky(a)
        return (
            tf.linalg.inv(a),
            tf.linalg.det(a),
            tf.linalg.solve(a, b),
            tf.linalg.triangular_solve(low, b),
            tf.linalg.slogdet(a)[1],
            tf.linalg.trace(a),
            tf.linalg.diag(tf.linalg.diag_part(a)),
            tf.linalg.set_diag(a, b[:, 0]),
            tf.linalg.svd(x, compute_uv=False),
        )

    return solve, (numbers(3, 4), numbers(3, 2))


def segments():
    @tf.function
    def sums(x):
        ids = tf.constant([0, 0, 1, 1, 3])
        return (
            tf.math.segment_sum(x, ids),
            tf.math.segment_mean(x, ids),
            tf.math.unsorted_segment_sum(x, [2, 0, -1, 2, 1], 3),
            tf.math.unsorted_segment_max(x, [1, 0, 0, 1, 1], 2),
            tf.math.bincount(ids, minlength=4, maxlength=4),
        )

    return sums, (numbers(5, 2),)


def fourier():
    @tf.function
    def transform(x):
        z = tf.signal.rfft(x)
        return (
            tf.abs(z),
            tf.signal.irfft(z * tf.complex(2.0, 0.0), [8]),
            tf.math.real(tf.signal.fft(z)),
        )

    return transform, (numbers(3, 8),)


def embedding():
    table = weights(7, 4, name="table")

    @tf.function
    def look_up(ids):
        found = tf.nn.embedding_lookup(table, ids)
        return tf.reduce_mean(found * tf.cast(ids > 0, tf.float32)[..., None], axis=1)

    return look_up, (np.array([[1, 2, 0], [3, 6, 6]], "int32"),)


def counter():
    total = tf.Variable(3.0, name="total", trainable=False)
    calls = tf.Variable(0, name="calls", trainable=False)

    @tf.function
    def count(x):
        before = total.read_value()
        total.assign_add(tf.reduce_sum(x))
        if total > 100:
            calls.assign(0)
        else:
            calls.assign_add(1)
        for _ in tf.range(3):
            total.assign(total * 0.5)
        return before, total + 1.0

    return count, (numbers(4),)


def dropout():
    w = weights(4, 3)

    @tf.function
    def train(x):
        return tf.nn.dropout(x @ w, 0.4) + 0.1 * tf.random.normal((5, 3))

    return train, (numbers(5, 4),)


def nested_results():
    @tf.function
    def compute(tree, scale=2.0):
        return {"sum": tree["a"] + tree["b"][0], "all": [tree["b"][1] * scale, None]}

    return compute, ({"b": (numbers(2, 3), numbers(3)), "a": numbers(3)},)


def double():
    @tf.function
    def compute(x):
        return tf.linalg.matmul(x, x, transpose_a=True), tf.reduce_mean(x)

    return compute, (numbers(3, 4).astype("float64"),)


def any_batch():
    w = weights(8, 3)

    @tf.function(input_signature=[tf.TensorSpec([None, 4, 2])])
    def predict(images):
        n = tf.shape(images)[0]
        flat = tf.reshape(images, (n, 8))
        return flat @ w + tf.zeros((n, 3)), tf.fill((n,), 2.0)

    return predict, (numbers(3, 4, 2),)


def blocks():
    @tf.function
    def change(x):
        return (
            tf.nn.space_to_depth(x, 2),
            tf.nn.depth_to_space(x, 2),
            tf.nn.atrous_conv2d(x, numbers(2, 2, 4, 3), 2, "SAME"),
        )

    return change, (numbers(2, 4, 6, 4),)


PROGRAMS = {
    f.__name__.replace("_", " "): f
    for f in (
        mlp, convolutions, pools, one_and_three_axes, lstm_cell, gru_scan, attention,
        einsum_attention, collatz, newton, while_with_weights, branches, switch_case,
        nested_loops, layer_norm, batch_norm, batch_norm_inference, group_norm, cross_entropy,
        regression_losses, training_step, convolution_gradients, gradients_of_everything,
        second_derivative, image_sizes, image_colours, image_crops, shapes, indexing, sorting,
        reductions, elementwise, integers, matrices, segments, fourier, embedding, counter,
        dropout, nested_results, double, any_batch, blocks,
    )
}  # fmt: skip
