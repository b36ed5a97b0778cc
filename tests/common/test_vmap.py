"""vmap in both modes: every op against a loop, nesting, axes, gradients, and what is refused."""

import numpy as np
import pytest

import dyngraph as dg
import staticgraph as sg
from dyngraph.errors import (
    ArgumentError,
    BranchTypeError,
    DataDependentShapeError,
    GraphError,
    InPlaceError,
    ShapeError,
    SideBySideError,
    SymbolicBoolError,
    SymbolicValueError,
)
from oplibrary.core.op import REGISTRY
from oplibrary.core.samples import draw

EXAMPLES = 3
OPS = [op for op in REGISTRY.values() if op.examples and not op.name.startswith("_")]


def array_of(x):
    return x.detach().numpy() if isinstance(x, dg.Tensor) else np.asarray(x)


def listed(result):
    return list(result) if isinstance(result, tuple) else [result]


def rows_of_calls(op, number):
    """Yield operands of several examples, and which of them differ from example to example."""
    rng = np.random.default_rng(number)
    several = [draw(op, op.examples[number], np.dtype("float64"), rng) for _ in range(EXAMPLES)]
    columns = [np.stack(column) for column in zip(*several, strict=True)]
    count = len(columns)
    masks = {(True,) * count, *[tuple(i == j for j in range(count)) for i in range(count)]}
    for mask in sorted(masks):
        mixed = [c if own else c[0] for c, own in zip(columns, mask, strict=True)]
        yield mixed, tuple(0 if own else None for own in mask)


def one_by_one(op, operands, axes, attrs):
    results = []
    for i in range(EXAMPLES):
        row = [x if axis is None else x[i] for x, axis in zip(operands, axes, strict=True)]
        results.append([array_of(y) for y in listed(op(*map(dg.tensor, row), **attrs))])
    return [np.stack(column) for column in zip(*results, strict=True)]


@pytest.mark.parametrize("op", OPS, ids=lambda op: op.name)
def test_every_op_gives_what_a_loop_gives(op):
    for number, example in enumerate(op.examples):
        attrs = dict(example.attrs)
        for operands, axes in rows_of_calls(op, number):
            expected = one_by_one(op, operands, axes, attrs)
            run = dg.vmap(lambda *xs, op=op, attrs=attrs: op(*xs, **attrs), in_axes=axes)
            for found, wanted in zip(listed(run(*operands)), expected, strict=True):
                found = array_of(found)
                assert (found.shape, found.dtype) == (wanted.shape, wanted.dtype)
                np.testing.assert_allclose(found, wanted, rtol=1e-9, atol=1e-12)


STATIC = [op for op in OPS if op.batch is not None or op.kind.value in ("reduction",)]


@pytest.mark.parametrize("op", STATIC, ids=lambda op: op.name)
def test_ops_with_a_rule_give_the_same_in_both_modes(op):
    attrs = dict(op.examples[0].attrs)

    def call(*xs):
        return op(*xs, **attrs)

    for operands, axes in rows_of_calls(op, 0):
        found = sg.function(sg.vmap(call, in_axes=axes), backend="numpy")(*operands)
        wanted = dg.vmap(call, in_axes=axes)(*operands)
        for ours, theirs in zip(listed(found), listed(wanted), strict=True):
            assert np.asarray(ours).tobytes() == array_of(theirs).tobytes()


def both(make, *arrays):
    """Return what a program gives in both modes, after seeing that it is the same."""
    wanted = array_of(make(dg)(*map(dg.tensor, arrays)))
    found = sg.function(make(sg), backend="numpy")(*arrays)
    assert np.array_equal(found, wanted)
    return wanted


X = np.linspace(-1, 1, 12).reshape(4, 3)
W = np.linspace(0.5, 2, 15).reshape(3, 5)


def loss(xp):
    return lambda w, x: xp.sum(xp.tanh(x @ w) ** 2)


def test_gradient_of_each_example():
    found = both(lambda xp: xp.vmap(xp.grad(loss(xp)), in_axes=(None, 0)), W, X)
    for i in range(4):
        one = dg.grad(loss(dg))(dg.tensor(W), dg.tensor(X[i]))
        np.testing.assert_allclose(found[i], one.numpy(), rtol=1e-12)


def test_gradient_of_all_examples():
    def make(xp):
        return xp.grad(lambda w, x: xp.sum(xp.vmap(loss(xp), (None, 0))(w, x)))

    np.testing.assert_allclose(
        both(make, W, X),
        sum(dg.grad(loss(dg))(dg.tensor(W), dg.tensor(x)).numpy() for x in X),
        rtol=1e-12,
    )


def test_captured_rows_are_constants_of_an_inner_gradient():
    def make(xp):
        return xp.vmap(lambda x: xp.grad(lambda w: loss(xp)(w, x))(xp.asarray(W)))

    np.testing.assert_allclose(
        both(make, X), both(lambda xp: xp.vmap(xp.grad(loss(xp)), (None, 0)), W, X), rtol=1e-12
    )


def test_second_derivatives_of_each_example():
    def make(xp):
        return xp.vmap(lambda x: xp.hessian(lambda x: xp.sum(x * x * x), x))

    np.testing.assert_allclose(both(make, X), [np.diag(6 * x) for x in X], atol=1e-12)
    nested = both(lambda xp: xp.vmap(xp.grad(xp.grad(lambda x: x**4))), X[0])
    np.testing.assert_allclose(nested, 12 * X[0] ** 2)


def test_directional_derivative_of_each_example():
    found = both(lambda xp: xp.vmap(lambda x, t: xp.jvp(xp.exp, [x], [t])[1]), X, X + 1)
    np.testing.assert_allclose(found, np.exp(X) * (X + 1))


def test_pulling_back_many_cotangents():
    def make(xp):
        def rows(x):
            _, pull = xp.vjp(lambda x: x * x, x)
            return xp.vmap(lambda g: pull(g)[0])(xp.asarray(np.eye(3)))

        return rows

    np.testing.assert_allclose(both(make, X[0]), np.diag(2 * X[0]), atol=1e-12)


def test_nested():
    def make(xp):
        return xp.vmap(xp.vmap(lambda a, b: a * b + a, (None, 0)), (0, None))

    np.testing.assert_array_equal(
        both(make, X[0], X[:, 0]), X[0][:, None] * X[:, 0] + X[0][:, None]
    )
    inner = both(lambda xp: xp.vmap(lambda x: xp.vmap(lambda y: xp.sum(x) * y)(x)), X)
    np.testing.assert_allclose(inner, X.sum(1)[:, None] * X)


def test_axes_in_and_out():
    def make(xp):
        def split(pair, scale):
            return {"sum": pair["a"] + pair["b"], "scaled": (pair["a"] * scale,)}

        run = xp.vmap(
            split,
            in_axes=({"a": 1, "b": -1}, None),
            out_axes={"sum": 1, "scaled": 0},
        )

        def flat(a, b):
            found = run({"a": a, "b": b}, 2.0)
            return xp.concat([found["sum"], xp.matrix_transpose(found["scaled"][0])])

        return flat

    np.testing.assert_array_equal(both(make, X, X * 2), np.concatenate([X * 3, X * 2]))


def test_named_arguments_and_values_that_all_examples_share():
    found = dg.vmap(lambda x, *, y, scale: x * y * scale)(X, y=X, scale=3)
    np.testing.assert_array_equal(found.numpy(), X * X * 3)
    constant = dg.vmap(lambda: 7.0, axis_size=2)()
    assert constant.tolist() == [7.0, 7.0]
    assert dg.vmap(lambda x: dg.ones(2), out_axes=None)(X).shape == (2,)


def test_numpy_functions_and_methods():
    np.testing.assert_allclose(
        dg.vmap(lambda x: np.sum(np.tanh(x)) + x.max() + x[0] + x.reshape(3, 1).T[0, 1])(X).numpy(),
        np.tanh(X).sum(1) + X.max(1) + X[:, 0] + X[:, 1],
    )


def test_writing_in_place():
    def make(xp):
        def change(x):
            y = x * 2
            y[1] = x[0]
            view = y[:1]
            view += 10
            return y

        return xp.vmap(change)

    expected = X * 2
    expected[:, 1] = X[:, 0]
    expected[:, 0] += 10
    np.testing.assert_array_equal(both(make, X), expected)


def test_branches_and_loops_of_each_example():
    def branch(x):
        return dg.cond(dg.sum(x) > 0, lambda: x * 2, lambda: -x)

    total = X.sum(1, keepdims=True)
    np.testing.assert_array_equal(dg.vmap(branch)(X).numpy(), np.where(total > 0, X * 2, -X))

    def choice(x, i):
        return dg.switch(i, [lambda: x, lambda: x * 2, lambda: x * 3])

    found = dg.vmap(choice)(X, np.array([-1, 1, 2, 7])).numpy()
    np.testing.assert_array_equal(found, X * [[1], [2], [3], [3]])

    def doubled(x):
        return dg.while_loop(lambda c: c[0] < 10, lambda c: (c[0] * 2, c[1] + 1), (x, 0))

    values, steps = dg.vmap(doubled)(np.array([1.0, 3.0, 20.0]))
    assert (values.tolist(), steps.tolist()) == ([16.0, 12.0, 20.0], [4, 2, 0])

    def running(x):
        return dg.scan(lambda c, x: (c + x, c * x), dg.asarray(0.0), x)

    last, products = dg.vmap(running)(X)
    before = np.cumsum(X, 1) - X
    np.testing.assert_allclose(last.numpy(), X.sum(1), atol=1e-12)
    np.testing.assert_allclose(products.numpy(), before * X, atol=1e-12)
    slope = dg.vmap(dg.grad(lambda x: dg.fori_loop(0, 3, lambda i, c: c * x, x)))(X[0])
    np.testing.assert_allclose(slope.numpy(), 4 * X[0] ** 3)
    with pytest.raises(BranchTypeError):
        dg.vmap(lambda x: dg.cond(x > 0, lambda: x, lambda: 1))(X[0])


@pytest.mark.parametrize(
    "body",
    [
        lambda x: sg.cond(sg.sum(x) > 0, lambda: x, lambda: -x),
        lambda x: sg.scan(lambda c, x: (c + x, c), x[0], x)[0],
        lambda x: sg.while_loop(lambda c: sg.sum(c) < 5, lambda c: c + 1, x),
        lambda x: sg.fori_loop(0, 3, lambda i, c: c + x, sg.zeros(3)),
    ],
)
def test_control_flow_of_staticgraph_is_refused_by_name(body):
    with pytest.raises(GraphError, match="one value for all examples"):
        sg.function(sg.vmap(body))(X)


def test_data_of_rows_stays_rows():
    for make in (
        lambda xp: lambda x: xp.asarray(x) * 2,
        lambda xp: lambda x: xp.asarray([x[0], x[1]], "float32"),
        lambda xp: lambda x: xp.stop_gradient(x) * 2,
    ):
        both(lambda xp, make=make: xp.vmap(make(xp)), X)


@pytest.mark.parametrize("xp", [dg, sg])
def test_rows_do_not_fit_into_what_all_examples_share(xp):
    def write(x):
        shared = xp.zeros(3, dtype="float64")
        shared[0] = x[0]
        return shared

    def add(x):
        shared = xp.zeros(3, dtype="float64")
        shared += x
        return shared

    for function in (write, add):
        run = xp.vmap(function)
        with pytest.raises(InPlaceError, match="one for each example"):
            run(X) if xp is dg else sg.function(run)(X)


def test_random_numbers_of_several_keys():
    keys = dg.random_split(dg.random_key(0), 3)
    found = dg.vmap(lambda key: dg.normal(key, (2,)))(keys)
    assert found.tolist() == [dg.normal(key, (2,)).tolist() for key in keys]


def test_no_examples():
    assert dg.vmap(lambda x: dg.sort(x * 2))(np.zeros((0, 3))).shape == (0, 3)
    assert dg.vmap(lambda x: dg.fft.fft(x))(np.zeros((0, 3))).shape == (0, 3)


def test_agrees_with_jax():
    jax = pytest.importorskip("jax")

    def make(xp):
        return lambda a, b: xp.einsum("ij,jk->ik", a, b).sum(axis=0) / (1 + xp.max(b))

    axes = ((1, None), (None, 2), (0, 0))
    a, b = np.random.default_rng(0).normal(size=(2, 4, 4, 4)).astype("float32")
    for in_axes in axes:
        given = [x if axis is not None else x[0] for x, axis in zip((a, b), in_axes, strict=True)]
        wanted = jax.vmap(make(jax.numpy), in_axes=in_axes)(*given)
        np.testing.assert_allclose(
            both(lambda xp, axes=in_axes: xp.vmap(make(xp), in_axes=axes), *given),
            wanted,
            rtol=1e-4,
            atol=1e-5,
        )


def test_a_result_does_not_outlive_its_call():
    kept = []
    dg.vmap(lambda x: kept.append(x) or x)(X)
    with pytest.raises(ArgumentError, match="after the function had ended"):
        kept[0] + 1


@pytest.mark.parametrize(
    ("call", "kind", "part"),
    [
        (lambda: dg.vmap(3), ArgumentError, "given a int"),
        (lambda: dg.vmap(lambda x: x if x > 0 else -x)(X[0]), SymbolicBoolError, "where"),
        (lambda: dg.vmap(float)(X[0]), SymbolicValueError, "a float"),
        (lambda: dg.vmap(lambda x: x.item())(X[0]), SymbolicValueError, "item"),
        (lambda: dg.vmap(lambda x: x[x > 0])(X), DataDependentShapeError, "several shapes"),
        (lambda: dg.vmap(lambda x, y: x)(X, X[:2]), ShapeError, r"\[2, 4\]"),
        (lambda: dg.vmap(lambda x: x)(3.0), ShapeError, "axis 0"),
        (lambda: dg.vmap(lambda x: x, in_axes=None)(X), ShapeError, "no argument"),
        (lambda: dg.vmap(lambda x: x, in_axes=(0, 0))(X), ArgumentError, "2 entries"),
        (lambda: dg.vmap(lambda x: x, in_axes="0")(X), ArgumentError, "in_axes"),
        (lambda: dg.vmap(lambda x: x, out_axes=None)(X), ArgumentError, "result of its own"),
        (lambda: dg.vmap(lambda x: x, out_axes=2)(X), ShapeError, "out_axes"),
        (lambda: dg.vmap(lambda x: "x")(X), ArgumentError, "returned a str"),
        (lambda: dg.vmap(lambda x: x.reshape(2, 2))(X), ShapeError, r"\(3,\) to \(2, 2\)"),
        (lambda: dg.vmap(lambda x: x @ dg.ones(4))(X), ShapeError, "inner lengths 3 and 4"),
        (lambda: dg.vmap(lambda x: dg.sum(x, axis=1))(X), ShapeError, "axis 1"),
        (lambda: dg.vmap(lambda x: dg.take(x, x.long() + 9))(X), SideBySideError, "out of"),
    ],
)
def test_refusals(call, kind, part):
    with pytest.raises(kind, match=part):
        call()


Z = np.random.default_rng(0).normal(size=(3, 4)) + 1j


@pytest.mark.parametrize("part", ["real", "imag"])
def test_parts_of_complex_rows(part):
    def f(x):
        return getattr(x, part) * 2.0

    want = getattr(Z, part) * 2.0
    np.testing.assert_array_equal(dg.vmap(f)(dg.tensor(Z)).numpy(), want)
    np.testing.assert_array_equal(sg.function(sg.vmap(f))(Z), want)


def test_rows_know_their_namespace():
    seen = []
    dg.vmap(lambda x: seen.append(x.__array_namespace__()) or x)(dg.ones((2, 3)))
    sg.function(sg.vmap(lambda x: seen.append(x.__array_namespace__()) or x))(np.ones((2, 3)))
    assert seen == [dg, sg]


def test_a_reshape_of_rows_that_may_not_copy():
    x = dg.tensor(np.arange(12.0).reshape(2, 2, 3))
    assert dg.vmap(lambda x: x.reshape(6, copy=False))(x).tolist() == x.reshape(2, 6).tolist()
    with pytest.raises(ArgumentError, match="copy=False"):
        dg.vmap(lambda x: x.mT.reshape(6, copy=False))(x)
