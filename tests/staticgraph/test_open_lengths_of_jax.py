"""JAX's functions with lengths that each run chooses: as they are, and what of them is refused."""

import numpy as np
import pytest

import dyngraph as dg
import staticgraph as sg

jax = pytest.importorskip("jax")

import jax.numpy as jnp  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore")

W = np.random.default_rng(0).normal(size=(3, 4)).astype("float32")


def moved(x):
    return (
        x[1:] * x[:-1],
        x[0] + x[-1],
        x[::-1],
        jnp.concatenate([x, x])[1:],
        jnp.reshape(x, (-1,)),
        jnp.pad(x, ((1, 2), (0, 0))),
        jnp.roll(x, 1, 0),
        jnp.broadcast_to(x[:, None], (x.shape[0], x.shape[0], 3)),
        jax.lax.dynamic_slice(x, (1, 0), (1, 3)),
    )


def computed(x):
    return (
        jnp.var(x, axis=0) + jnp.mean(x),
        jax.nn.softmax(x, axis=0) * x.shape[0] / x.size,
        jnp.tril(x @ x.T),
        jnp.cumsum(x + jnp.arange(x.shape[0])[:, None], axis=0),
        jnp.take_along_axis(x, jnp.argsort(x, axis=0), axis=0),
        jnp.asarray(W)[jnp.argmax(x, axis=1)],
        x.at[0].set(1.0).at[:, 1].add(2.0),
    )


def looped(x):
    def step(carry, row):
        return jnp.tanh(carry + row) * x.shape[0], carry * jnp.mean(x)

    return (
        jax.lax.scan(step, jnp.zeros(3), x),
        jax.lax.fori_loop(0, x.shape[0], lambda i, c: c + x[i], jnp.zeros(3)),
        jax.lax.cond(x.sum() > 0, lambda: x * x.shape[0], lambda: x.mean() * jnp.ones_like(x)),
        jax.grad(lambda y: jnp.mean(jnp.tanh(y @ W) ** 2))(x),
    )


def arrays(*shape):
    return np.random.default_rng(shape[0]).normal(size=shape).astype("float32")


@pytest.mark.parametrize("function", [moved, computed, looped])
def test_one_program_serves_every_length(function):
    imported = sg.from_jax(function, arrays(4, 3), dynamic={"x": {0: "batch"}})
    assert imported.inputs[0].shape == ("batch", 3)
    assert "output 0 where batch is 6" in {each.what for each in imported.differences}
    open_rows = sg.TensorType((sg.dim("batch"), 3), "float32")
    run = sg.function(
        lambda x: imported.function(sg, {}, x), specs={"x": open_rows}, backend="numpy"
    )
    run(arrays(6, 3))
    x = arrays(1, 3)
    theirs = jax.tree_util.tree_leaves(jax.jit(function)(x))
    static = jax.tree_util.tree_leaves(run(x))
    dynamic = jax.tree_util.tree_leaves(imported.function(dg, {}, dg.tensor(x)))
    for ours, recorded, expected in zip(static, dynamic, theirs, strict=True):
        assert ours.shape == recorded.shape == expected.shape
        np.testing.assert_allclose(ours, expected, 1e-4, 1e-5)
        np.testing.assert_array_equal(ours, recorded.numpy())
    assert len(run.explain().traces) == 1


def test_lengths_of_arrays_in_trees_are_named_by_their_ways():
    def embedded(table, tokens, given):
        h = table[tokens] + jnp.arange(tokens.shape[1])[:, None]
        return jnp.einsum("bqd,bkd->bqk", h, h) @ h * given["scale"][:, None, None]

    tokens, given = np.ones((2, 3), "int32"), {"scale": arrays(2)}
    imported = sg.from_jax(
        embedded,
        tokens,
        given,
        parameters=arrays(7, 4),
        dynamic={"tokens": {0: "batch", 1: "max"}, "given.scale": {0: "batch"}},
    )
    assert [each.shape for each in imported.inputs] == [("batch", "max"), ("batch",)]
    onnx = pytest.importorskip("onnx")
    from onnx.reference import ReferenceEvaluator

    model = sg.to_onnx(imported)
    onnx.checker.check_model(model)
    tokens, given = np.arange(20, dtype="int32").reshape(4, 5) % 7, {"scale": arrays(4)}
    (found,) = ReferenceEvaluator(model).run(None, {"x0": tokens, "x1.scale": given["scale"]})
    expected = jax.jit(embedded)(arrays(7, 4), tokens, given)
    np.testing.assert_allclose(found, expected, 1e-4, 1e-5)


@pytest.mark.parametrize(
    ("function", "error", "said"),
    [
        (lambda x: x[: x.shape[0] // 2], sg.errors.UnsupportedOpError, r"floordiv\(n, 2\)"),
        (lambda x: x * jnp.arange(x.shape[0] % 3)[0], sg.errors.SideBySideError, "n"),
        (lambda x: x if x.shape[0] > 3 else -x, sg.errors.ForeignProgramError, "inconclusive"),
        (lambda x: x @ jnp.ones((4, 2)), sg.errors.ForeignProgramError, "n"),
    ],
)
def test_what_cannot_be_so_for_every_length_is_named(function, error, said):
    with pytest.raises(error, match=said) as caught:
        sg.from_jax(function, arrays(3, 4).T, dynamic={"x": {0: "n", 1: "m"}})
    assert "test_open_lengths_of_jax.py" in str(caught.value)


@pytest.mark.parametrize(
    ("dynamic", "said"),
    [
        ({"y": {0: "n"}}, "dynamic names 'y', which is no array among the inputs"),
        ({"x": {2: "n"}}, "dynamic has axis 2 of x"),
        ({"x": {-3: "n"}}, "dynamic has axis -3 of x"),
        ({"x": {0: "a length"}}, "the length 'a length'"),
        ({"x": {0: 3}}, "the length 3"),
        ({"x": {0: "n", 1: "n"}}, "it is 3 in the example, and 4 elsewhere"),
        ({"x": "n"}, "'n' for x"),
        ([0], "dynamic is a list"),
    ],
)
def test_wrong_names_of_lengths_are_named(dynamic, said):
    with pytest.raises(sg.errors.ArgumentError) as caught:
        sg.from_jax(lambda x: x * 2, arrays(4, 3), dynamic=dynamic)
    assert said in str(caught.value)
    assert "fix:" in str(caught.value)
