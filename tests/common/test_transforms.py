"""value_and_grad, grad, vjp, jvp, jacobian and hessian: written once, the same in both modes."""

import inspect
from collections import namedtuple

import numpy as np
import pytest

import dyngraph as dg
import staticgraph as sg
from oplibrary.messages.errors import (
    ArgumentError,
    DTypeError,
    NonScalarError,
    NotDifferentiableError,
    ShapeError,
    SideBySideError,
    UnusedInputError,
    UnusedInputWarning,
)
from oplibrary.values.tree import flatten, map_tree

NAMES = ("value_and_grad", "grad", "vjp", "jvp", "linearize", "jacobian", "hessian")
RNG = np.random.default_rng(7)
X = RNG.standard_normal((3, 2)).astype("float32")
W = RNG.standard_normal((2, 4)).astype("float32")
B = RNG.standard_normal(4).astype("float32")
V = RNG.standard_normal(3)
U = RNG.standard_normal(3)


def in_both(program, *args, backend="numpy"):
    """Run ``program(xp, *args)`` in both modes; the bits must be the same, and are returned."""
    dynamic = program(dg, *map_tree(dg.tensor, args))
    static = sg.function(lambda *xs: program(sg, *xs), backend=backend)(*args)
    ours, theirs = flatten(static), flatten(dynamic)
    assert ours[1] == theirs[1]
    for got, expected in zip(ours[0], theirs[0], strict=True):
        expected = expected.detach().numpy()
        assert got.dtype == expected.dtype and got.shape == expected.shape
        np.testing.assert_array_equal(got, expected, strict=True)
        assert got.tobytes() == expected.tobytes()
    return static


def loss(xp):
    return lambda x, w, b: xp.mean(xp.tanh(x @ w + b) ** 2)


@pytest.mark.parametrize("name", NAMES)
def test_both_namespaces_have_it_with_the_same_arguments(name):
    static, dynamic = getattr(sg, name), getattr(dg, name)
    assert static.__doc__ and dynamic.__doc__
    if name != "grad":  # dyngraph's also takes results and inputs, as PyTorch's does
        assert inspect.signature(static) == inspect.signature(dynamic)
        assert static.__doc__ == dynamic.__doc__


@pytest.mark.parametrize("backend", ["interpret", "numpy"])
@pytest.mark.parametrize("argnums", [0, 1, -1, (0, 2), (2, 0, 1), [1]])
def test_value_and_grad(argnums, backend):
    def program(xp, *args):
        return xp.value_and_grad(loss(xp), argnums)(*args)

    _, grads = in_both(program, X, W, B, backend=backend)
    wanted = [argnums] if isinstance(argnums, int) else argnums
    assert isinstance(grads, tuple) != isinstance(argnums, int)
    found = grads if isinstance(grads, tuple) else (grads,)
    assert [g.shape for g in found] == [(X, W, B)[i].shape for i in wanted]


def test_keyword_arguments_and_auxiliary_values():
    def program(xp, x, w):
        def scaled(x, w, scale):
            y = (x @ w) * scale
            return xp.sum(y * y), {"y": y}

        (value, aux), (dx, dw) = xp.value_and_grad(scaled, (0, 1), has_aux=True)(x, w, scale=0.5)
        only, again = xp.grad(scaled, has_aux=True)(x, w, scale=0.5)
        return value, aux, dx, dw, only, again

    value, aux, dx, _, only, again = in_both(program, X, W)
    np.testing.assert_allclose(value, (aux["y"] ** 2).sum(), rtol=1e-6)
    np.testing.assert_array_equal(dx, only)
    np.testing.assert_array_equal(aux["y"], again["y"])


def test_trees():
    Layer = namedtuple("Layer", "w b")

    def program(xp, x, params):
        def model(params, x):
            return xp.sum(xp.tanh(x @ params["layer"].w + params["layer"].b) * params["scale"][0])

        return xp.grad(model)(params, x)

    params = {"layer": Layer(W, B), "scale": [np.float32(3.0) * np.ones((), "float32")]}
    grads = in_both(program, X, params)
    assert type(grads["layer"]) is Layer and grads["scale"][0].shape == ()


def test_vjp_of_trees():
    def program(xp, x, v):
        y, pull = xp.vjp(lambda a, b: (a * b["k"], {"s": xp.sum(a)}), x, {"k": v})
        return y, pull((v, {"s": xp.sum(v)})), xp.vjp(xp.sum, x)[1](None)

    (_, total), (dx, dk), ones = in_both(program, V, U)
    np.testing.assert_allclose(total["s"], V.sum())
    np.testing.assert_allclose(dx, U * U + U.sum())
    np.testing.assert_allclose(dk["k"], V * U)
    np.testing.assert_array_equal(ones[0], np.ones(3))


def test_jvp_is_the_transpose_of_vjp():
    def program(xp, x, v, u):
        def f(x):
            return xp.tanh(x * xp.sum(x * x))

        value, tangent = xp.jvp(f, [x], [v])
        (pulled,) = xp.vjp(f, x)[1](u)
        return value, tangent, pulled, xp.jvp(lambda x: v, x, u)[1]

    _, tangent, pulled, zero = in_both(program, V, U, U[::-1].copy())
    np.testing.assert_allclose(tangent @ U[::-1], pulled @ U)
    np.testing.assert_array_equal(zero, np.zeros(3))


@pytest.mark.parametrize("backend", ["interpret", "numpy"])
def test_jacobian(backend):
    def program(xp, x, m):
        def f(x, m):
            return xp.tanh(m @ x) * x[0]

        one = xp.jacobian(lambda x: f(x, m), x)
        return one, xp.jacobian(f, (x, m)), xp.jacobian(lambda x: xp.sum(x * x), x)

    m = RNG.standard_normal((2, 3))
    one, (dx, dm), gradient = in_both(program, V, m, backend=backend)
    y = np.tanh(m @ V)
    expected = (1 - y**2)[:, None] * m * V[0]
    expected[:, 0] += y
    np.testing.assert_allclose(one, expected)
    np.testing.assert_array_equal(one, dx)
    np.testing.assert_allclose(dm, np.einsum("i,j,ik->ikj", (1 - y**2) * V[0], V, np.eye(2)))
    np.testing.assert_allclose(gradient, 2 * V)


def test_jacobian_without_elements_or_without_a_path():
    def program(xp, x):
        none = xp.jacobian(lambda x: x[3:], x)
        return none, xp.jacobian(lambda x: xp.cumsum(xp.ones_like(x), axis=0), x)

    none, zeros = in_both(program, V)
    assert none.shape == (0, 3)
    np.testing.assert_array_equal(zeros, np.zeros((3, 3)))


@pytest.mark.parametrize("backend", ["interpret", "numpy"])
def test_hessian_of_a_quadratic(backend):
    a = RNG.standard_normal((3, 3))

    def program(xp, x, a):
        return xp.hessian(lambda x: xp.sum(x * (a @ x)), x)

    np.testing.assert_allclose(in_both(program, V, a, backend=backend), a + a.T)


@pytest.mark.parametrize("backend", ["interpret", "numpy"])
def test_many_rows_are_a_loop(backend):
    a = RNG.standard_normal((6, 6))
    x = RNG.standard_normal((4, 6))

    def program(xp, x, a):
        def f(x):
            return xp.tanh(x @ a) * xp.sum(x * x)

        return xp.jacobian(f, x), xp.hessian(lambda x: xp.sum(f(x) ** 2), x)

    jacobian, hessian = in_both(program, x, a, backend=backend)
    h = hessian.reshape(24, 24)
    np.testing.assert_allclose(h, h.T, atol=1e-9)
    y, direction = np.tanh(x @ a), RNG.standard_normal(x.shape)
    moved = (1 - y**2) * (direction @ a) * (x**2).sum() + y * 2 * (x * direction).sum()
    np.testing.assert_allclose(np.einsum("ijkl,kl->ij", jacobian, direction), moved)


def test_the_loop_of_many_rows_computes_the_function_once():
    calls = []

    def rows(x):
        def f(x):
            calls.append(x)
            return sg.print_(sg.exp(x), "ran")

        return sg.jacobian(f, x)

    graph = sg.trace(rows, sg.TensorType((40,), "float64"))
    assert len(calls) == 1 and graph.number_of_nodes() < 40


def test_gradients_go_through_the_loop_of_many_rows():
    def program(xp, x):
        return xp.grad(lambda x: xp.sum(xp.jacobian(xp.sin, x) ** 3))(x)

    x = RNG.standard_normal(20)
    static = sg.function(lambda x: program(sg, x), backend="numpy")(x)
    np.testing.assert_allclose(static, program(dg, dg.tensor(x)).numpy(), rtol=1e-12)
    np.testing.assert_allclose(static, -3 * np.cos(x) ** 2 * np.sin(x))


def test_hessian_of_several_inputs():
    def program(xp, x, y):
        return xp.hessian(lambda x, y: xp.sum(xp.exp(x) * y), [x, y])

    (xx, xy), (yx, yy) = in_both(program, V, U)
    np.testing.assert_allclose(xx, np.diag(np.exp(V) * U))
    np.testing.assert_allclose(xy, np.diag(np.exp(V)))
    np.testing.assert_allclose(yx, xy.T)
    np.testing.assert_array_equal(yy, np.zeros((3, 3)))


def test_they_nest():
    def program(xp, x, v):
        def f(x):
            return xp.sum(xp.tanh(x * x) * xp.sum(x))

        gradient = xp.grad(f)
        return (
            xp.hessian(f, x),
            xp.jacobian(gradient, x),
            xp.jacobian(lambda x: xp.jacobian(f, x), x),
            xp.jvp(gradient, [x], [v])[1],
            xp.grad(lambda x: xp.jvp(f, [x], [v])[1])(x),
            xp.vjp(gradient, x)[1](v)[0],
            xp.grad(xp.grad(lambda t: t * t * t))(x[0]),
            xp.grad(lambda t: xp.jvp(f, [x], [t])[1])(v) - gradient(x),
        )

    h, *same, along, again, back, third, nothing = in_both(program, V, U)
    for other in same:
        np.testing.assert_allclose(other, h)
    for product in (along, again, back):
        np.testing.assert_allclose(product, h @ U)
    np.testing.assert_allclose(third, 6 * V[0])
    np.testing.assert_allclose(nothing, np.zeros(3), atol=1e-12)


def test_native_code_of_them_is_right():
    pytest.importorskip("llvmlite")

    def second(xp, x):
        return xp.hessian(lambda x: xp.sum(xp.sin(x) * x[::-1]), x)

    for x in (V, RNG.standard_normal(50)):
        got = sg.function(lambda x: second(sg, x), backend="native")(x)
        np.testing.assert_allclose(got, second(dg, x).numpy(), rtol=1e-12, atol=1e-12)


def test_what_tracing_guards_goes_through_them():
    scale = {"s": 2.0}

    def f(x):
        return sg.sum(x * x) * scale["s"]

    step = sg.function(sg.grad(f), backend="numpy")
    np.testing.assert_allclose(step(V), 4 * V)
    scale["s"] = 3.0
    np.testing.assert_allclose(step(V), 6 * V)


# errors -------------------------------------------------------------------------------------------


def called(xp, call):
    """Run ``call(xp, x, n)`` on three floats and three ints, which a graph has as placeholders."""
    if xp is dg:
        return call(dg, dg.tensor(V), dg.tensor([1, 2, 3]))
    return sg.trace(lambda x, n: call(sg, x, n), V, np.array([1, 2, 3]))


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda xp, x, n: xp.value_and_grad("a"), ArgumentError, "where it needs a function"),
        (lambda xp, x, n: xp.vjp(3, x), ArgumentError, "vjp was given a int"),
        (lambda xp, x, n: xp.jvp(3, x, x), ArgumentError, "jvp was given a int"),
        (lambda xp, x, n: xp.jacobian(3, x), ArgumentError, "jacobian was given a int"),
        (lambda xp, x, n: xp.hessian(3, x), ArgumentError, "hessian was given a int"),
        (lambda xp, x, n: xp.grad(xp.sum, unused="q")(x), ArgumentError, "'q'"),
        (lambda xp, x, n: xp.grad(xp.sum, argnums="a")(x), ArgumentError, "argnums"),
        (lambda xp, x, n: xp.grad(xp.sum, argnums=1)(x), ArgumentError, "argument 1 of 1"),
        (lambda xp, x, n: xp.grad(xp.sum)(()), ArgumentError, "argument 0 is ()"),
        (lambda xp, x, n: xp.grad(xp.sum)(n), NotDifferentiableError, "argument 0 has the type i"),
        (
            lambda xp, x, n: xp.grad(lambda p: xp.sum(p["a"]))({"a": x, "b": [n]}),
            NotDifferentiableError,
            "argument 0['b'][0] has the type int64[3]",
        ),
        (lambda xp, x, n: xp.grad(lambda x: x)(x), NonScalarError, "of type float64[3]"),
        (lambda xp, x, n: xp.hessian(lambda x: x * x, x), NonScalarError, "of type float64[3]"),
        (lambda xp, x, n: xp.grad(lambda x: 3.0)(x), NonScalarError, "of type float"),
        (lambda xp, x, n: xp.grad(lambda x: xp.argmax(x))(x), NotDifferentiableError, "int64[]"),
        (lambda xp, x, n: xp.grad(xp.sum, has_aux=True)(x), ArgumentError, "has_aux"),
        (lambda xp, x, n: xp.vjp(lambda x: 3, x), ArgumentError, "vjp: the function returned"),
        (lambda xp, x, n: xp.vjp(lambda x: x > 0, x), NotDifferentiableError, "bool[3]"),
        (lambda xp, x, n: xp.vjp(xp.exp, x)[1]([x, x]), ArgumentError, "2 cotangents for 1"),
        (lambda xp, x, n: xp.vjp(xp.exp, x)[1]("a"), DTypeError, "str"),
        (lambda xp, x, n: xp.vjp(xp.exp, x)[1](np.ones(2)), ShapeError, "(2,)"),
        (lambda xp, x, n: xp.jvp(xp.exp, [x], []), ArgumentError, "0 tangents for 1 primals"),
        (lambda xp, x, n: xp.jvp(xp.exp, x, np.ones(2)), ShapeError, "tangent 0 has shape (2,)"),
        (lambda xp, x, n: xp.jvp(lambda x: "a", x, x), ArgumentError, "of type str"),
        (lambda xp, x, n: xp.jvp(xp.exp, x, x * 1j), DTypeError, "tangent 0 is complex128"),
        (lambda xp, x, n: xp.linearize(xp.exp, x)[1](x, x), ArgumentError, "2 tangents for 1"),
        (lambda xp, x, n: xp.jacobian(xp.exp, x, mode="both"), ArgumentError, "mode is 'both'"),
        (lambda xp, x, n: xp.jacobian(lambda x: 3, x), ArgumentError, "of type int"),
        (lambda xp, x, n: xp.jacobian(xp.sum, [[x]]), ArgumentError, "input 0 is a list"),
        (lambda xp, x, n: xp.jacobian(xp.exp, n), NotDifferentiableError, "int64[3]"),
        (
            lambda xp, x, n: xp.grad(lambda x, y: xp.sum(y), unused="raise")(x, x),
            UnusedInputError,
            "",
        ),
    ],
)
def test_a_mistake_is_named_alike(call, error, words):
    texts = []
    for xp in (dg, sg):
        with pytest.raises(SideBySideError) as caught:
            called(xp, call)
        assert type(caught.value) is error
        assert words in caught.value.what
        texts.append((caught.value.what, caught.value.cause, caught.value.fix))
    shared = error not in (UnusedInputError, DTypeError) and "cotangent has" not in texts[0][0]
    assert not shared or texts[0] == texts[1]


def test_a_length_that_each_run_chooses_has_no_rows():
    def rows(x):
        return sg.jacobian(sg.exp, x)

    with pytest.raises(ArgumentError, match="whose length each run chooses"):
        sg.trace(rows, sg.TensorType((sg.dim("n"),)))
    graph = sg.trace(
        lambda x: sg.jacobian(lambda y: sg.sum(y * y), x), sg.TensorType((sg.dim("n"),), "float64")
    )
    run = sg.compile(graph.outputs, inputs=graph.inputs, backend="numpy")
    for x in (V, W[0].astype("float64")):
        np.testing.assert_allclose(run(x)[0], 2 * x)


def test_unused_inputs_warn_or_are_none():
    assert dg.grad(lambda x, y: dg.sum(y), unused="none")(dg.tensor(V), dg.tensor(U)) is None
    with sg.Graph():
        x = sg.placeholder("x", (3,))
        assert sg.grad(lambda x, y: sg.sum(y), unused="none")(x, x) is None
    for xp in (dg, sg):
        with pytest.warns(UnusedInputWarning):
            called(xp, lambda xp, x, n: xp.grad(lambda x, y: xp.sum(y), unused="warn")(x, x))
