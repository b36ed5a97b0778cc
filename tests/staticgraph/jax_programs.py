"""Small JAX functions of every kind, as people write them, with parameters and inputs."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax


def numbers(*shape):
    return np.random.default_rng(len(shape) + sum(shape)).standard_normal(shape).astype("float32")


def mlp(parameters, x):
    for layer in parameters["layers"]:
        x = jax.nn.relu(x @ layer["w"] + layer["b"])
    return jax.nn.log_softmax(x @ parameters["head"])


LAYERS = {
    "layers": [{"w": numbers(4, 8), "b": numbers(8)}, {"w": numbers(8, 6), "b": numbers(6)}],
    "head": numbers(6, 3),
}


def loss_and_gradient(parameters, x, labels):
    def loss(parameters):
        return -jnp.take_along_axis(mlp(parameters, x), labels[:, None], 1).mean()

    value, slopes = jax.value_and_grad(loss)(parameters)
    return value, slopes["head"]


def convolutions(parameters, x):
    numbers_of = ("NHWC", "HWIO", "NHWC")
    x = lax.conv_general_dilated(x, parameters["a"], (1, 1), "SAME", dimension_numbers=numbers_of)
    x = lax.reduce_window(jax.nn.gelu(x), -jnp.inf, lax.max, (1, 2, 2, 1), (1, 2, 2, 1), "VALID")
    x = lax.conv_general_dilated(
        x, parameters["b"], (2, 2), "VALID", rhs_dilation=(1, 1), dimension_numbers=numbers_of
    )
    y = lax.reduce_window(x, 0.0, lax.add, (1, 2, 1, 1), (1, 1, 1, 1), "SAME")
    return y.mean((1, 2)), lax.conv_transpose(x, parameters["c"], (2, 2), "SAME")


def attention(parameters, x):
    q, k, v = jnp.split(x @ parameters["qkv"], 3, axis=-1)
    heads = [y.reshape(*y.shape[:2], 2, -1) for y in (q, k, v)]
    scores = jnp.einsum("bthd,bshd->bhts", heads[0], heads[1]) / jnp.sqrt(4.0)
    mask = jnp.tril(jnp.ones(scores.shape[-2:], bool))
    weights = jax.nn.softmax(jnp.where(mask, scores, -1e9), axis=-1)
    y = jnp.einsum("bhts,bshd->bthd", weights, heads[2]).reshape(x.shape)
    mean = y.mean(-1, keepdims=True)
    return (y - mean) * lax.rsqrt(y.var(-1, keepdims=True) + 1e-5) * parameters["scale"]


def recurrent(parameters, x):
    def step(carry, x):
        h = jnp.tanh(x @ parameters["w"] + carry @ parameters["u"])
        return h, h.sum(-1)

    return lax.scan(step, jnp.zeros((x.shape[1], 3)), x)


def backward_scan(x):
    return lax.scan(lambda c, y: (c * 0.5 + y, c), jnp.zeros(4), x, reverse=True)


def embedding(parameters, ids):
    return parameters["table"][ids].mean(1) + parameters["table"][-1]


def graph_network(parameters, x, edges):
    messages = jnp.tanh(x[edges[0]] @ parameters["w"])
    total = jax.ops.segment_sum(messages, edges[1], num_segments=5)
    return total.at[0].add(1.0).at[1, :2].set(0.5)


def scattered(x, i):
    y = jnp.zeros((6, 4)).at[i].add(x)
    return y.at[1:3, 2].set(3.0), y[:, i % 4], y[2:4, ::2]


def branch(x):
    return lax.cond(x.sum() > 0, jnp.sin, lambda x: x * 2, x)


def switched(i, x):
    return lax.switch(i, [jnp.cos, jnp.tanh, lambda x: x**3], x)


def newton(x):
    def body(carry):
        i, y = carry
        return i + 1, y - (y * y - x) / (2 * y)

    return lax.while_loop(lambda carry: carry[0] < 6, body, (0, x))[1]


def counted(x):
    return lax.fori_loop(0, 4, lambda i, y: y + x * i, x)


def windows(x, i):
    part = lax.dynamic_slice(x, (i, 1), (2, 2))
    return lax.dynamic_update_slice(x, part * 2, (0, i)), part


def ordered(x):
    return jnp.sort(x, axis=-1)[:, ::-1], jnp.argsort(x), lax.top_k(x, 2)[0], jnp.cumsum(x, 0)


def policy(parameters, state, action):
    logits = jnp.tanh(state @ parameters["w"]) @ parameters["v"]
    chosen = jax.nn.log_softmax(logits)[jnp.arange(4), action]
    return -(chosen * lax.stop_gradient(state.sum(-1))).mean(), jnp.argmax(logits, -1)


def runge_kutta(parameters, y):
    def slope(y):
        return jnp.tanh(y @ parameters["w"])

    def step(y, _):
        a = slope(y)
        b = slope(y + 0.1 * a / 2)
        return y + 0.1 * b, y

    return lax.scan(step, y, None, length=5)


def mapped(parameters, x):
    return jax.vmap(lambda row: jnp.dot(parameters["w"], row) / (1 + jnp.abs(row).max()))(x)


def numeric(x):
    y = jnp.clip(x, -1, 1) + jnp.exp(-jnp.square(x)) + jax.nn.sigmoid(x) + jax.nn.softplus(x)
    whole = (x * 10).astype(jnp.int32)
    return (
        y + jnp.logaddexp(x, 1.0) + lax.erf(x),
        whole // 3,
        whole % 3,
        lax.div(whole, 3),
        whole & 3,
    )


@jax.custom_jvp
def clipped(x):
    return jnp.minimum(x, 1.0)


@clipped.defjvp
def _(primals, tangents):
    return clipped(*primals), tangents[0]


def padded(x):
    y = jnp.pad(x, ((1, 2), (0, 1)), constant_values=2.0)
    return jnp.flip(y, 0), jnp.roll(x, 1, 0), jnp.concatenate([x, x[:1]]), x.T, jnp.tile(x, (2, 1))


def spectrum(x):
    y = jnp.fft.irfft2(jnp.fft.rfft2(x) * 0.5) + jnp.fft.ifft(jnp.fft.fft(x)).real
    whole = (jnp.abs(x) * 10).astype(jnp.uint32) >> jnp.uint32(1)
    return jnp.stack([y, x], 1), whole, jax.scipy.special.i0e(x) + jax.scipy.special.i1e(x)


def algebra(x):
    a = x @ x.T + 3 * jnp.eye(3)
    factor = jnp.linalg.cholesky(a)
    solution = jax.scipy.linalg.cho_solve((factor, True), x)
    across = jax.scipy.linalg.solve_triangular(factor, x, trans=1, lower=True)
    turned = lax.linalg.triangular_solve(factor, x.T, left_side=False, lower=True)
    q, r = jnp.linalg.qr(x.T)
    reflected = lax.linalg.householder_product(*lax.stop_gradient((x.T, x[:, 0])))
    values = jnp.linalg.eigvalsh(a) + jnp.linalg.svd(a, compute_uv=False)
    return solution, across, turned, q @ r, values, jnp.abs(reflected)


def folds(x, at):
    windows = (1, 3, 2), (1, 2, 1), "SAME"
    low = lax.reduce_window(x[None], jnp.inf, lax.min, *windows)
    slope = jax.grad(lambda x: lax.reduce_window(x[None], -jnp.inf, lax.max, *windows).sum())
    return (
        x.at[at].max(0.5),
        x.at[at].min(-0.5),
        x.at[at].multiply(2.0),
        x.at[at].subtract(1.0),
        lax.cummax(x),
        lax.cummin(x, axis=1),
        lax.cumlogsumexp(x, reverse=True),
        low,
        slope(x),
        lax.reduce_precision(x, 8, 7),
        lax.complex(x, x).imag,
        lax.population_count(at),
        jax.checkpoint_name(x, "kept") if hasattr(jax, "checkpoint_name") else x,
    )


LABELS = np.array([0, 2, 1, 0], "int32")
EDGES = np.array([[0, 1, 2, 3, 4, 0], [1, 1, 0, 4, 2, 3]], "int32")

PROGRAMS = {
    "mlp": (mlp, LAYERS, (numbers(4, 4),)),
    "loss and gradient": (loss_and_gradient, LAYERS, (numbers(4, 4), LABELS)),
    "convolutions": (
        convolutions,
        {"a": numbers(3, 3, 2, 4), "b": numbers(2, 2, 4, 3), "c": numbers(2, 2, 3, 2)},
        (numbers(2, 8, 8, 2),),
    ),
    "attention": (attention, {"qkv": numbers(8, 24), "scale": numbers(8)}, (numbers(2, 5, 8),)),
    "recurrent": (recurrent, {"w": numbers(2, 3), "u": numbers(3, 3)}, (numbers(4, 3, 2),)),
    "backward scan": (backward_scan, None, (numbers(3, 4),)),
    "embedding": (embedding, {"table": numbers(7, 3)}, (np.array([[0, 2], [6, 2]], "int32"),)),
    "graph network": (graph_network, {"w": numbers(3, 3)}, (numbers(5, 3), EDGES)),
    "scattered": (scattered, None, (numbers(3, 4), np.array([1, 5, 1], "int32"))),
    "branch": (branch, None, (numbers(3),)),
    "switch": (switched, None, (np.int32(1), numbers(3))),
    "newton": (newton, None, (np.float32([2.0, 3.0]),)),
    "counted": (counted, None, (numbers(3),)),
    "windows": (windows, None, (numbers(4, 5), np.int32(1))),
    "ordered": (ordered, None, (numbers(3, 5),)),
    "policy": (policy, {"w": numbers(3, 5), "v": numbers(5, 2)}, (numbers(4, 3), LABELS % 2)),
    "runge kutta": (runge_kutta, {"w": numbers(2, 2)}, (numbers(3, 2),)),
    "mapped": (mapped, {"w": numbers(3, 4)}, (numbers(5, 4),)),
    "numeric": (numeric, None, (numbers(3, 4),)),
    "spectrum": (spectrum, None, (numbers(3, 4),)),
    "algebra": (algebra, None, (numbers(3, 4),)),
    "folds": (folds, None, (numbers(3, 4), np.array([2, 0, 2], "int32"))),
    "padded": (padded, None, (numbers(3, 4),)),
}
"""Each program with its parameters, None if it takes none, and its inputs."""
