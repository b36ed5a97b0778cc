"""Published functions and models of JAX: layers of flax and equinox, losses of optax, JAX's own."""

from collections.abc import Callable
from typing import Any

import numpy as np

MadeFunction = tuple[Callable[..., Any], Any, tuple[Any, ...]]
"""A function, its parameters (None if it takes none) and its inputs."""


def numbers(*shape: int) -> Any:
    return np.random.default_rng(5).normal(size=shape).astype("float32")


def whole(below: int, *shape: int) -> Any:
    return np.random.default_rng(5).integers(0, below, shape).astype("int32")


# flax ---------------------------------------------------------------------------------------------


def flax_layer(make: Callable[[Any], Any], *inputs: Any, **given: Any) -> Callable[[], Any]:
    """Return what makes a layer of ``flax.linen`` with its parameters."""

    def made() -> MadeFunction:
        import jax
        from flax import linen

        layer = make(linen)
        variables = jax.jit(layer.init)(jax.random.key(0), *inputs, **given)
        return lambda held, *xs: layer.apply(held, *xs, **given), variables, inputs

    return made


def _perceptron(nn: Any) -> Any:
    return nn.Sequential([nn.Dense(16), nn.gelu, nn.LayerNorm(), nn.Dense(4)])


def _digits(nn: Any) -> Any:
    class Digits(nn.Module):
        @nn.compact
        def __call__(self, x: Any) -> Any:
            x = nn.avg_pool(nn.relu(nn.Conv(8, (3, 3))(x)), (2, 2), (2, 2))
            x = nn.max_pool(nn.relu(nn.Conv(16, (3, 3))(x)), (2, 2), (2, 2))
            return nn.Dense(10)(nn.relu(nn.Dense(32)(x.reshape(x.shape[0], -1))))

    return Digits()


def _encoder(nn: Any) -> Any:
    class Encoder(nn.Module):
        @nn.compact
        def __call__(self, ids: Any) -> Any:
            x = nn.Embed(20, 16)(ids)
            y = nn.LayerNorm()(x)
            x = x + nn.MultiHeadDotProductAttention(num_heads=4)(y, mask=nn.make_causal_mask(ids))
            y = nn.Dense(32)(nn.LayerNorm()(x))
            return x + nn.Dense(16)(nn.gelu(y))

    return Encoder()


def _coder(nn: Any) -> Any:
    class Coder(nn.Module):
        @nn.compact
        def __call__(self, x: Any, noise: Any) -> Any:
            import jax.numpy as jnp

            hidden = nn.relu(nn.Dense(16)(x))
            mean, spread = nn.Dense(4)(hidden), nn.Dense(4)(hidden)
            y = nn.relu(nn.Dense(16)(mean + noise * jnp.exp(spread / 2)))
            return nn.Dense(x.shape[-1])(y), mean, spread

    return Coder()


FLAX = {
    "flax: perceptron": flax_layer(_perceptron, numbers(5, 6)),
    "flax: digits (MNIST example)": flax_layer(_digits, numbers(2, 16, 16, 1)),
    "flax: encoder": flax_layer(_encoder, whole(20, 2, 7)),
    "flax: variational coder (VAE example)": flax_layer(_coder, numbers(3, 8), numbers(3, 4)),
    "flax: LSTM": flax_layer(lambda nn: nn.RNN(nn.LSTMCell(8)), numbers(2, 5, 4)),
    "flax: GRU": flax_layer(lambda nn: nn.RNN(nn.GRUCell(8), reverse=True), numbers(2, 5, 4)),
    "flax: ConvLSTM": flax_layer(
        lambda nn: nn.RNN(nn.ConvLSTMCell(4, (3, 3))), numbers(2, 3, 6, 6, 2)
    ),
    "flax: batch norm": flax_layer(
        lambda nn: nn.BatchNorm(use_running_average=True), numbers(4, 5, 3)
    ),
    "flax: group norm": flax_layer(lambda nn: nn.GroupNorm(num_groups=2), numbers(2, 5, 5, 4)),
    "flax: RMS norm": flax_layer(lambda nn: nn.RMSNorm(), numbers(3, 8)),
    "flax: weight norm": flax_layer(lambda nn: nn.WeightNorm(nn.Dense(5)), numbers(3, 8)),
    "flax: transposed convolution": flax_layer(
        lambda nn: nn.ConvTranspose(3, (3, 3), strides=(2, 2)), numbers(2, 5, 5, 2)
    ),
    "flax: depthwise convolution": flax_layer(
        lambda nn: nn.Conv(8, (3, 3), feature_group_count=4, kernel_dilation=2),
        numbers(2, 7, 7, 4),
    ),
    "flax: bilinear": flax_layer(
        lambda nn: nn.DenseGeneral((3, 4), axis=(-2, -1)), numbers(2, 3, 4)
    ),
}


# equinox ------------------------------------------------------------------------------------------


def equinox_layer(make: Callable[[Any, Any], Any], *inputs: Any) -> Callable[[], Any]:
    """Return what makes a layer of ``equinox.nn`` with its arrays as parameters."""

    def made() -> MadeFunction:
        import equinox
        import jax

        layer = make(equinox.nn, jax.random.key(0))
        arrays, rest = equinox.partition(layer, equinox.is_array)
        leaves, tree = jax.tree_util.tree_flatten(arrays)

        def run(held: Any, *xs: Any) -> Any:
            whole = equinox.combine(jax.tree_util.tree_unflatten(tree, held), rest)
            return whole(*xs)

        return run, leaves, inputs

    return made


EQUINOX = {
    "equinox: MLP": equinox_layer(lambda nn, key: nn.MLP(4, 3, 16, 2, key=key), numbers(4)),
    "equinox: Conv2d": equinox_layer(
        lambda nn, key: nn.Conv2d(3, 6, 3, padding=1, groups=3, key=key), numbers(3, 8, 8)
    ),
    "equinox: attention": equinox_layer(
        lambda nn, key: nn.MultiheadAttention(4, 16, key=key),
        numbers(6, 16),
        numbers(6, 16),
        numbers(6, 16),
    ),
    "equinox: GRU cell": equinox_layer(
        lambda nn, key: nn.GRUCell(4, 8, key=key), numbers(4), numbers(8)
    ),
    "equinox: layer norm": equinox_layer(lambda nn, key: nn.LayerNorm(8), numbers(8)),
    "equinox: rotary embedding": equinox_layer(
        lambda nn, key: nn.RotaryPositionalEmbedding(8), numbers(5, 8)
    ),
    "equinox: adaptive pool": equinox_layer(
        lambda nn, key: nn.AdaptiveAvgPool2d((3, 2)), numbers(2, 7, 6)
    ),
}


# optax --------------------------------------------------------------------------------------------


def optax_loss(name: str, *inputs: Any, **given: Any) -> Callable[[], Any]:
    """Return a loss of optax as a function of its inputs."""

    def made() -> MadeFunction:
        import optax

        return lambda *xs: getattr(optax, name)(*xs, **given), None, inputs

    return made


def optax_step(name: str, **given: Any) -> Callable[[], Any]:
    """Return a step of an optimizer on a quadratic function, from its first state."""

    def made() -> MadeFunction:
        import jax
        import optax

        way = getattr(optax, name)(0.1, **given)

        def step(parameters: Any, x: Any) -> Any:
            def loss(held: Any) -> Any:
                return ((x @ held["w"] + held["b"]) ** 2).mean()

            slopes = jax.grad(loss)(parameters)
            updates, _ = way.update(slopes, way.init(parameters), parameters)
            return optax.apply_updates(parameters, updates)

        return step, {"w": numbers(3, 2), "b": numbers(2)}, (numbers(5, 3),)

    return made


_SUMS_TO_ONE = np.full((3, 4), 0.25, "float32")

OPTAX = {
    "optax: cross entropy": optax_loss(
        "softmax_cross_entropy_with_integer_labels", numbers(4, 5), whole(5, 4)
    ),
    "optax: sigmoid focal": optax_loss("sigmoid_focal_loss", numbers(4, 5), _SUMS_TO_ONE[0, :1]),
    "optax: Huber": optax_loss("huber_loss", numbers(4, 5), numbers(5)),
    "optax: cosine": optax_loss("cosine_distance", numbers(3, 4), _SUMS_TO_ONE),
    "optax: Kullback-Leibler": optax_loss("kl_divergence", numbers(3, 4), _SUMS_TO_ONE),
    "optax: CTC": optax_loss(
        "ctc_loss",
        numbers(2, 6, 5),
        np.zeros((2, 6), "float32"),
        whole(4, 2, 3) + 1,
        np.zeros((2, 3), "float32"),
    ),
    "optax: Adam": optax_step("adam"),
    "optax: Lion": optax_step("lion"),
    "optax: Adafactor": optax_step("adafactor"),
}

FUNCTIONS: dict[str, tuple[str, Callable[[], Any]]] = {
    name: (name.partition(":")[0], make) for name, make in {**FLAX, **EQUINOX, **OPTAX}.items()
}
