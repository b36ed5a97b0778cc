"""Declared gradients: values, order of accumulation, refusals, and functions of functions."""

import numpy as np
import pytest

import dyngraph as dg
import staticgraph as sg
from oplibrary.messages.errors import (
    ArgumentError,
    FinalGraphError,
    GraphError,
    LeakedNodeError,
    NonScalarError,
    NotDifferentiableError,
    ShapeError,
    UnusedInputError,
)


def run(outputs, feeds=None):
    feeds = feeds or {}
    return sg.compile(outputs, inputs=list(feeds), backend="interpret")(*feeds.values())


def same_bits(left, right):
    np.testing.assert_array_equal(left, right, strict=True)
    assert np.asarray(left).tobytes() == np.asarray(right).tobytes()


def test_the_seed():
    with sg.Graph():
        w, x = sg.placeholder("w", (1,)), sg.placeholder("x", (1,))
        a, b = w + x, w + 1
        y = a * b
        dw, dx, da = sg.gradients(y, [w, x, a])
    one, two = np.array([1], "float32"), np.array([2], "float32")
    assert [g.item() for g in run([y, dw, dx, da], {w: one, x: two})] == [6, 5, 2, 2]


def test_gradients_have_the_shape_and_dtype_of_what_they_are_of():
    with sg.Graph():
        x = sg.placeholder("x", (4, 1), "float32")
        w = sg.placeholder("w", (3,), "float64")
        dx, dw = sg.gradients(sg.sum(x * w), [x, w])
    assert (dx.type, dw.type) == (x.type, w.type)
    feeds = {x: np.ones((4, 1), "float32"), w: np.arange(3.0)}
    got = run([dx, dw], feeds)
    assert got[0].tolist() == [[3]] * 4 and got[1].tolist() == [4] * 3


def program(xp, x, w, b):
    h = xp.tanh(x @ w + b)
    h = h * xp.sigmoid(h) + xp.exp(-h)
    scores = xp.softmax(h @ w[:3].T, axis=-1)
    picked = xp.take(scores, np.array([0, 2, 2]), axis=1)
    parts = xp.concat([picked, scores], axis=1)
    return xp.sum(xp.log(parts) * h[:, :1]) + xp.mean(x * x) + xp.max(w)


def arrays(dtype="float32", seed=0):
    rng = np.random.default_rng(seed)
    return [rng.normal(size=shape).astype(dtype) for shape in ((5, 3), (3, 3), (3,))]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_same_bits_as_dyngraph(dtype):
    values = arrays(dtype)
    tensors = [dg.tensor(v, requires_grad=True) for v in values]
    expected = program(dg, *tensors)
    expected.backward()
    with sg.Graph():
        nodes = [sg.placeholder(n, v.shape, dtype) for n, v in zip("xwb", values)]
        y = program(sg, *nodes)
        grads = sg.gradients(y, nodes)
    got = run([y, *grads], dict(zip(nodes, values)))
    same_bits(got[0], expected.detach().numpy())
    for tensor, g in zip(tensors, got[1:]):
        same_bits(g, tensor.grad.numpy())


def test_second_derivatives_have_the_same_bits_as_dyngraph():
    values = arrays()
    tensors = [dg.tensor(v, requires_grad=True) for v in values]
    first = dg.grad(program(dg, *tensors), tensors, create_graph=True)
    total = sum((g * g).sum() for g in first)
    second = dg.grad(total, tensors)
    with sg.Graph():
        nodes = [sg.placeholder(n, v.shape) for n, v in zip("xwb", values)]
        grads = sg.gradients(program(sg, *nodes), nodes)
        declared = sg.gradients(sum((g * g).sum() for g in grads), nodes)
    for expected, got in zip(second, run(declared, dict(zip(nodes, values)))):
        same_bits(got, expected.numpy())


def test_accumulation_is_in_the_order_of_declaration_backwards():
    rng = np.random.default_rng(1)
    value = rng.normal(size=1000).astype("float32")
    scales = (0.1, 3.0, 1e-4, 7.0, 0.3)
    x = dg.tensor(value, requires_grad=True)
    sum((x * s).tanh().sum() for s in scales).backward()
    with sg.Graph():
        node = sg.placeholder("x", (1000,))
        (g,) = sg.gradients(sum((node * s).tanh().sum() for s in scales), node)
    same_bits(run(g, {node: value}), x.grad.numpy())


def test_several_results_and_cotangents():
    with sg.Graph():
        x = sg.placeholder("x", (3,))
        y, z = x * x, x * 3
        (plain,) = sg.gradients([sg.sum(y), sg.sum(z)], x)
        (weighted,) = sg.gradients([y, z], [x], grad_ys=[np.array([1, 10, 100]), sg.ones((3,))])
        (twice,) = sg.gradients([sg.sum(y), sg.sum(y)], [x])
    value = np.array([1, 2, 3], "float32")
    got = run([plain, weighted, twice], {x: value})
    assert [g.tolist() for g in got] == [[5, 7, 9], [5, 43, 603], [4, 8, 12]]


def test_one_element_of_any_shape_is_a_scalar():
    with sg.Graph():
        x = sg.placeholder("x", (1, 1))
        (g,) = sg.gradients(x * 3, [x])
    assert run(g, {x: np.ones((1, 1), "float32")}).tolist() == [[3]]


def test_the_gradient_of_a_value_by_itself_and_by_intermediates():
    with sg.Graph():
        x = sg.placeholder("x", ())
        y = x * x
        z = y * y
        outputs = sg.gradients(z, [z, y, x])
    assert [g.item() for g in run(outputs, {x: np.array(2, "float32")})] == [1, 8, 32]


def test_gradients_outside_the_with_block_go_into_the_graph():
    with sg.Graph() as graph:
        x = sg.placeholder("x", ())
        y = x * x
    (g,) = sg.gradients(y, [x])
    assert g.graph is graph
    traced = sg.trace(lambda x: x * x, sg.TensorType(()))
    (g,) = sg.gradients(traced.outputs, traced.inputs)
    assert g.graph is traced


def test_gradients_pass_assignments_and_stop_where_told():
    with sg.Graph():
        w = sg.variable([2.0], name="w")
        new = w.assign(w * w)
        (g,) = sg.gradients(new * 3, [w])
        stopped = sg.stop_gradient(w) * w
        (h,) = sg.gradients(stopped, [w])
        (k,) = sg.gradients(w.detach() * w.detach(), [w], unused="zero")
    assert run(g).tolist() == [12]
    w.value = [2.0]
    assert run(h).tolist() == [2]
    assert run(k).tolist() == [0]


def test_what_is_declared_for_a_gradient_has_the_line_of_its_node():
    with sg.Graph() as graph:
        x = sg.placeholder("x", ())
        y = sg.tanh(x)
        z = y * y
        (g,) = sg.gradients(z, [x])
    assert g.source == y.source and y.source.text == "y = sg.tanh(x)"
    assert {node.source.text for node in g.operands} <= {"y = sg.tanh(x)", "z = y * y"}
    assert graph.line is None
    sg.compile(g, backend="interpret")
    with pytest.raises(FinalGraphError, match="gradients was declared in graph"):
        sg.gradients(z, [x])


# refusals -----------------------------------------------------------------------------------------


def test_a_value_that_is_no_scalar():
    with sg.Graph():
        x = sg.placeholder("x", (3,))
        y = x * 2
        with pytest.raises(NonScalarError, match="which has 3 elements") as error:
            sg.gradients(y, [x])
    assert "sum(y)" in error.value.fix and "grad_ys=v" in error.value.fix
    assert error.value.related[0][1].text == "y = x * 2"
    assert error.value.source.text == "sg.gradients(y, [x])"


def test_integers_have_no_gradients():
    with sg.Graph():
        n = sg.placeholder("n", (), "int64")
        x = sg.placeholder("x", ())
        with pytest.raises(NotDifferentiableError, match=r"with respect to Node\(n: int64"):
            sg.gradients(x * 1.0, [n])
        with pytest.raises(NotDifferentiableError, match=r"gradient of Node\(.*: int64"):
            sg.gradients(n * 2, [x])


@pytest.mark.parametrize(
    ("declare", "cause", "line"),
    [
        (lambda x: sg.ones(()) * 2, "no op uses x", None),
        (
            lambda x: (x * 5, sg.ones(()) * 2)[1],
            "x is used by multiply",
            "lambda x: (x * 5, sg.ones(()) * 2)[1],",
        ),
        (
            lambda x: sg.stop_gradient(x * 1.0) * 2,
            "breaks at Node(stop_gradient: float32[]): stop_gradient cuts it on purpose",
            "lambda x: sg.stop_gradient(x * 1.0) * 2,",
        ),
        (
            lambda x: (x * 2).astype("int64").astype("float32"),
            "its dtype is int64, and only floating-point values have gradients",
            'lambda x: (x * 2).astype("int64").astype("float32"),',
        ),
        (
            lambda x: sg.where(x > 0, 1.0, 0.0) * 2,
            "breaks at Node(greater: bool[])",
            "lambda x: sg.where(x > 0, 1.0, 0.0) * 2,",
        ),
    ],
)
def test_unused_inputs_show_where_the_path_breaks(declare, cause, line):
    with sg.Graph():
        x = sg.placeholder("x", ())
        y = declare(x)
        with pytest.raises(UnusedInputError) as error:
            sg.gradients(y, [x])
        assert sg.gradients(y, [x], unused="none") == [None]
        (zero,) = sg.gradients(y, [x], unused="zero")
    assert cause in error.value.cause
    assert f"{y.name} does not depend on Node(x: float32[])" in error.value.what
    assert line is None or line in [source.text for _, source in error.value.related]
    assert zero.value == 0 and zero.type == x.type


def test_arguments_of_gradients():
    with sg.Graph():
        x = sg.placeholder("x", ())
        y = x * 2
        with pytest.raises(ArgumentError, match="unused must be"):
            sg.gradients(y, [x], unused="ignore")
        with pytest.raises(GraphError, match="one of xs is a ndarray"):
            sg.gradients(y, [np.ones(3)])
        with pytest.raises(ArgumentError, match="2 cotangents for 1 results"):
            sg.gradients(y, [x], grad_ys=[1.0, 2.0])
        with pytest.raises(ShapeError, match=r"a cotangent of shape \(3,\)"):
            sg.gradients(y, [x], grad_ys=np.ones(3))
    with sg.Graph():
        other = sg.placeholder("x", ())
        with pytest.raises(LeakedNodeError, match="was used in graph"):
            sg.gradients(y, [other])


# functions ----------------------------------------------------------------------------------------


def test_value_and_grad_of_trees():
    def loss(params, x):
        return sg.sum(sg.tanh(x @ params["w"]) + params["b"][0])

    traced = sg.trace(
        sg.value_and_grad(loss),
        {"w": sg.TensorType((3, 2)), "b": [sg.TensorType((2,))]},
        sg.TensorType((4, 3)),
    )
    assert [node.name for node in traced.inputs] == ["params['w']", "params['b'][0]", "x"]
    assert [node.shape for node in traced.outputs] == [(), (3, 2), (2,)]


def test_value_and_grad_matches_dyngraph():
    x, w = arrays()[:2]

    def loss(xp):
        return lambda x, w: xp.sum(xp.tanh(x @ w))

    value, (dx, dw) = dg.value_and_grad(loss(dg), argnums=(0, 1))(dg.tensor(x), dg.tensor(w))
    step = sg.function(sg.value_and_grad(loss(sg), argnums=(0, 1)), backend="interpret")
    got, (gx, gw) = step(x, w)
    for ours, theirs in ((got, value), (gx, dx), (gw, dw)):
        same_bits(ours, theirs.numpy())


def test_argnums_and_aux():
    def loss(x, y):
        return sg.sum(x * y * y), {"product": x * y}

    x, y = np.array([2.0, 3.0]), np.array([5.0, 7.0])
    step = sg.function(sg.value_and_grad(loss, argnums=1, has_aux=True), backend="interpret")
    (value, aux), gy = step(x, y)
    assert value == 2 * 25 + 3 * 49
    assert aux["product"].tolist() == [10, 21]
    assert gy.tolist() == [20, 42]
    step = sg.function(sg.grad(loss, argnums=(-2,), has_aux=True), backend="interpret")
    (gx,), aux = step(x, y)
    assert gx.tolist() == [25, 49] and aux["product"].shape == (2,)


def test_only_the_use_as_that_argument_counts():
    with sg.Graph():
        x = sg.placeholder("x", ())
        _, (first, second) = sg.value_and_grad(lambda a, b: a * a * b, argnums=(0, 1))(x, x)
        around = sg.grad(lambda a: a * x)(x)
        outputs = [first, second, around]
    got = run(outputs, {x: np.array(3, "float32")})
    assert [g.item() for g in got] == [18, 9, 3]


def test_gradients_of_gradients():
    cubed = sg.function(sg.grad(sg.grad(lambda x: x * x * x)), backend="interpret")
    assert cubed(np.array(2.0)) == 12
    assert sg.function(sg.grad(lambda x: x * 5), backend="interpret")(2.0) == 5


def test_unused_arguments_get_zeros():
    step = sg.function(sg.grad(lambda x, y: x * 2, argnums=1), backend="interpret")
    assert step(np.float32(1), np.ones(3, "float32")).tolist() == [0, 0, 0]
    strict = sg.grad(lambda x, y: x * 2, argnums=1, unused="raise")
    with pytest.raises(UnusedInputError):
        sg.trace(strict, sg.TensorType(()), sg.TensorType(()))


def test_functions_that_cannot_be_differentiated():
    x = sg.TensorType((3,))
    with pytest.raises(NonScalarError, match=r"returned a value of type float32\[3\]"):
        sg.trace(sg.grad(lambda x: x * 2), x)
    with pytest.raises(NonScalarError, match="returned a value of type float"):
        sg.trace(sg.grad(lambda x: 3.0), x)
    with pytest.raises(ArgumentError, match="names argument 1 of 1"):
        sg.trace(sg.grad(lambda x: x, argnums=1), x)
    with pytest.raises(NotDifferentiableError, match="argument 0"):
        sg.trace(sg.grad(lambda x: x), sg.TensorType((), "int64"))
    with pytest.raises(ArgumentError, match="not \\(value, aux\\)"):
        sg.trace(sg.grad(lambda x: x.sum(), has_aux=True), x)
    with pytest.raises(GraphError, match="outside any graph"):
        sg.grad(lambda x: x)(np.ones(3))


def test_vjp_and_jvp():
    with sg.Graph():
        x = sg.placeholder("x", (2,), "float64")
        y, pull = sg.vjp(lambda x: (x * x, {"s": x.sum()}), x)
        (pulled,) = pull((np.array([1.0, 10.0]), {"s": np.array(100.0)}))
        value, tangent = sg.jvp(lambda x: x * x * x, [x], [np.array([1.0, 0.5])])
        none, zero = sg.jvp(lambda x: sg.zeros((3,)), [x], [np.array([1.0, 0.5])])
        with pytest.raises(ShapeError, match="tangent 0 has shape"):
            sg.jvp(lambda x: x, [x], [np.ones(3)])
        outputs = [y[0], pulled, value, tangent, none, zero]
    got = run(outputs, {x: np.array([1.0, 2.0])})
    assert [g.tolist() for g in got] == [
        [1, 4],
        [102, 140],
        [1, 8],
        [3, 6],
        [0, 0, 0],
        [0, 0, 0],
    ]


def test_deep_graphs_need_no_recursion():
    with sg.Graph():
        x = sg.placeholder("x", ())
        y = x
        for _ in range(3_000):
            y = y * 1.0
        (g,) = sg.gradients(y, [x])
    assert run(g, {x: np.array(1, "float32")}) == 1
