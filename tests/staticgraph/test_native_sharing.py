"""Values that several things read in different ways: copied, folded, overwritten, in memory."""

import itertools

import numpy as np
import pytest

import staticgraph as sg

pytest.importorskip("llvmlite")


def check(outputs, inputs, arrays):
    """Compare machine code with NumPy's kernels, twice, in memory that held other values."""
    native = sg.compile(outputs, inputs, backend="native")
    wanted = sg.compile(outputs, inputs, backend="numpy")(*arrays)
    assert "planner" not in native.report()
    for _ in range(2):
        for found, right in zip(native(*arrays), wanted, strict=True):
            np.testing.assert_allclose(found, right, rtol=2e-5, atol=1e-5)
        native(*[np.full_like(array, 0.25) for array in arrays])


MAKERS = {
    "exp": sg.exp,
    "product": lambda x: x * x,
    "fold": lambda x: sg.sum(sg.tanh(x), axis=-1, keepdims=True),
    "mean": lambda x: x - sg.mean(x, axis=0),
}
MOVERS = {
    "concat": lambda e: sg.concat([e, e], axis=1),
    "stack": lambda e: sg.stack([e, e * 2.0]),
    "pad": lambda e: sg.pad(e, ((0, 0), (1, 0))),
    "roll": lambda e: sg.roll(e, 1, axis=0),
    "tile": lambda e: sg.tile(e, (2, 1)),
    "flip": lambda e: sg.flip(e, axis=0),
    "reshape": lambda e: sg.reshape(e, (-1,)),
}
READERS = {
    "scaled": lambda e: e * 2.0,
    "sum": lambda e: sg.sum(e),
    "rows": lambda e: sg.sum(e, axis=1),
    "columns": lambda e: sg.max(e, axis=0),
    "loss": lambda e: sg.cross_entropy(e, np.zeros(e.shape[0], int)),
    "softmax": lambda e: sg.softmax(e, axis=0),
    "cumulative": lambda e: sg.cumulative_sum(e, axis=1),
}


@pytest.mark.parametrize("shape", [(1, 1), (2, 1), (3, 17)])
@pytest.mark.parametrize("maker", MAKERS)
def test_a_value_is_moved_and_read(maker, shape):
    array = np.random.default_rng(0).uniform(0.5, 1.5, shape)
    for mover, reader in itertools.product(MOVERS, READERS):
        with sg.Graph(finalize=False):
            x = sg.placeholder("x", shape, "float64")
            e = MAKERS[maker](x)
            moved, read = MOVERS[mover](e), READERS[reader](e)
            total = sg.sum(moved * moved) + sg.sum(read)
            gradients = sg.gradients(total, [x])
            check([read, moved, e, *gradients], [x], [array])


@pytest.mark.parametrize("shape", [(3, 2, 8), (1, 3, 4), (2, 2, 1), (4, 5, 16)])
def test_a_product_in_memory_is_summed_up(shape):
    rng = np.random.default_rng(0)
    a, b = (rng.uniform(-1, 1, shape).astype("float32") for _ in range(2))
    rows = shape[0] * shape[1]
    for axis, whole in itertools.product((0, 1, None), (False, True)):
        with sg.Graph(finalize=False):
            x, y = (sg.placeholder(name, shape) for name in "xy")
            product = x * y
            summed = sg.sum(sg.reshape(product, (rows, shape[2])), axis=axis)
            others = [product] if whole else []
            check([summed, *others, *sg.gradients(sg.sum(sg.square(summed)), [x])], [x, y], [a, b])


def test_a_variance_a_sum_and_a_running_sum_of_one_product():
    rng = np.random.default_rng(0)
    a, b = rng.random((1, 3), "float32"), rng.random((3, 5, 5, 3), "float32")
    with sg.Graph(finalize=False):
        x, y = sg.placeholder("x", (1, 3)), sg.placeholder("y", (3, 5, 5, 3))
        m = x * y
        outputs = [
            sg.sum(sg.square(y), axis=(1, 2, 3)),
            sg.var(m, axis=3),
            sg.cumulative_sum(m, axis=1),
        ]
        check(outputs, [x, y], [a, b])


LOSSES = {
    "chain": lambda xs: sg.sum(_chain(xs)),
    "scaled": lambda xs: sum(sg.sum(sg.tanh(x) * float(i)) for i, x in enumerate(xs)),
    "joined": lambda xs: sg.sum(sg.square(sg.concat(xs))) / sg.sum(sg.exp(sg.concat(xs))),
    "softmax": lambda xs: sg.sum(sg.softmax(sg.stack(xs)) * sg.tanh(sg.stack(xs))),
    "means": lambda xs: sum(sg.sum(sg.square(sg.tanh(x) + sg.mean(x))) for x in xs),
}


def _chain(xs):
    p = xs[0]
    for x in xs[1:]:
        p = sg.tanh(p * x)
    return p


@pytest.mark.parametrize("count", [40, 120])
@pytest.mark.parametrize("loss", LOSSES)
def test_many_gradients_are_stacked(loss, count):
    rng = np.random.default_rng(0)
    arrays = list(rng.uniform(0.5, 1, (count, 5)).astype("float32"))
    with sg.Graph(finalize=False):
        xs = [sg.placeholder(f"x{i}", (5,)) for i in range(count)]
        total = LOSSES[loss](xs)
        gradients = sg.gradients(total, xs)
        norms = sg.stack([sg.sum(g * g) for g in gradients])
        check([total, sg.stack(gradients), norms], xs, arrays)
