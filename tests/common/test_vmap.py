"""vmap in both modes: every op against a loop, nesting, axes, gradients, and what is refused."""

import functools
import types

import numpy as np
import pytest

import dyngraph as dg
import staticgraph as sg
from dyngraph.errors import (
    ArgumentError,
    BranchTypeError,
    DataDependentShapeError,
    InPlaceError,
    ShapeError,
    SideBySideError,
    SymbolicBoolError,
    SymbolicValueError,
)
from oplibrary.core.batching import rule_of
from oplibrary.core.registry import REGISTRY
from oplibrary.core.samples import draw
from oplibrary.values.tree import flatten

EXAMPLES = 3
OPS = [
    op for op in REGISTRY.values() if op.examples and not op.name.startswith("_") and not op.effect
]


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


STATIC = [op for op in OPS if rule_of(op) is not None]


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


def shifted(xp, x, c):
    return xp.cond(xp.sum(x) > 0, lambda x: x * c, lambda x: xp.exp(x) - c, x)


def one_for_all(xp, x, c):
    return xp.cond(xp.sum(c) > 0, lambda: (x * 2, c), lambda: (c, x))


def numbered(xp, x, c):
    i = xp.sum((x > 0).astype("int64"))
    return xp.switch(i, [lambda: x, lambda: c * x, lambda: x * x, lambda: -x])


def numbered_for_all(xp, x, c):
    i = xp.sum((c > 0).astype("int64"))
    return xp.switch(i, [lambda y: y, lambda y: c * y, lambda y: y * y * x, lambda y: c], x)


def running(xp, x, c):
    last, ys = xp.scan(lambda t, each: (xp.tanh(t * each[0] + each[1]), t), c[0], (x, c))
    return last * x + ys


def running_back(xp, x, c):
    return xp.scan(lambda t, each: (t + each * x, xp.sum(t)), c, c, reverse=True)


def of_length(xp, x, c):
    return xp.scan(lambda t, _: ((t[0] + t[1], t[1] * c), None), (c, x), length=3)[0]


def until(xp, x, c):
    return xp.while_loop(
        lambda t: xp.sum(t[0]) < 5, lambda t: (t[0] * 1.5 + xp.abs(c), t[1] + 1), (xp.abs(x), 0)
    )


def until_for_all(xp, x, c):
    return xp.while_loop(lambda t: t[0] < 4, lambda t: (t[0] + 1, t[1] * x + c), (0, c))[1]


def counted(xp, x, c):
    return xp.fori_loop(0, 3, lambda i, t: t * x + i, c)


def mapped(xp, x, c):
    return xp.map(lambda each: each * x + c, c)


def nested(xp, x, c):
    def step(t, each):
        t = xp.cond(each > 0, lambda t: t * each, lambda t: t + 1, t)
        return xp.while_loop(lambda t: t < 3, lambda t: t * 1.5 + xp.abs(x[0]) + 0.1, t), t

    last, ys = xp.scan(step, c[1], x)
    return last + ys * c


def kept(xp, x, c):
    return xp.checkpoint(lambda x: xp.tanh(x) * c, x) * x


def written(xp, x, c):
    def step(t):
        t[0][0] += 0.75
        t[0][1:] *= c[1:]
        return t[0], t[1] + 1

    return xp.while_loop(lambda t: t[0][0] < 2.0, step, (x + c, 0))


def written_by_counter(xp, x, c):
    def step(k, t):
        t[k] += t[k - 1] + x[0]
        one = t[k - 1]
        one -= c[0]
        return t

    def of_scan(t, each):
        t[0] += each
        return t, t

    return xp.fori_loop(1, 3, step, x * c), xp.scan(of_scan, x + c, x)


FLOW = [
    shifted,
    one_for_all,
    numbered,
    numbered_for_all,
    running,
    running_back,
    of_length,
    until,
    until_for_all,
    counted,
    mapped,
    nested,
    kept,
    written,
    written_by_counter,
]
C = np.array([0.5, -0.25, 1.0])


def leaves_of(result):
    return [array_of(x) for x in flatten(result)[0]]


def agree(make, *arrays, rtol=1e-12):
    """Compare what a program of rows gives in both modes, and return it."""
    wanted = leaves_of(make(dg)(*map(dg.tensor, arrays)))
    found = leaves_of(sg.function(make(sg), backend="numpy")(*arrays))
    for ours, theirs in zip(found, wanted, strict=True):
        assert (ours.shape, ours.dtype) == (theirs.shape, theirs.dtype)
        np.testing.assert_allclose(ours, theirs, rtol=rtol, atol=1e-13)
    return found


@pytest.mark.parametrize("flow", FLOW, ids=lambda f: f.__name__)
def test_control_flow_gives_what_a_loop_gives(flow):
    each = [leaves_of(flow(dg, dg.tensor(x), dg.tensor(C))) for x in X]
    wanted = [np.stack(column) for column in zip(*each, strict=True)]
    found = agree(lambda xp: xp.vmap(lambda x, c: flow(xp, x, c), (0, None)), X, C)
    for ours, theirs in zip(found, wanted, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-12)
    last = agree(lambda xp: xp.vmap(lambda x, c: flow(xp, x, c), (1, None), -1), X.T, C)
    for ours, theirs in zip(last, wanted, strict=True):
        np.testing.assert_allclose(np.moveaxis(ours, -1, 0), theirs, rtol=1e-12)


@pytest.mark.parametrize("flow", FLOW, ids=lambda f: f.__name__)
def test_control_flow_under_two_vmaps(flow):
    cs = np.stack([C, C[::-1]])

    def make(xp):
        inner = xp.vmap(lambda x, c: flow(xp, x, c), (None, 0))
        return xp.vmap(inner, (0, None))

    found = agree(make, X, cs)
    for i, x in enumerate(X):
        for j, c in enumerate(cs):
            one = leaves_of(flow(dg, dg.tensor(x), dg.tensor(c)))
            for ours, theirs in zip(found, one, strict=True):
                np.testing.assert_allclose(ours[i, j], theirs, rtol=1e-12)


@pytest.mark.parametrize("flow", FLOW, ids=lambda f: f.__name__)
def test_gradients_around_and_inside_of_control_flow(flow):
    def total(xp):
        def f(x, c):
            first = flatten(flow(xp, x, c))[0][0]
            return xp.sum(xp.sin(first))

        return f

    inside = agree(lambda xp: xp.vmap(xp.grad(total(xp)), (0, None)), X, C, rtol=1e-10)
    around = agree(
        lambda xp: xp.grad(lambda x, c: xp.sum(xp.vmap(total(xp), (0, None))(x, c))),
        X,
        C,
        rtol=1e-10,
    )
    np.testing.assert_allclose(inside[0], around[0], rtol=1e-10, atol=1e-13)
    for i, x in enumerate(X):
        one = dg.grad(total(dg))(dg.tensor(x), dg.tensor(C)).numpy()
        np.testing.assert_allclose(inside[0][i], one, rtol=1e-10, atol=1e-13)
    pushed = agree(
        lambda xp: xp.vmap(lambda x, c: xp.jvp(lambda x: total(xp)(x, c), x, c)[1], (0, None)),
        X,
        C,
        rtol=1e-10,
    )
    np.testing.assert_allclose(pushed[0], inside[0] @ C, rtol=1e-9, atol=1e-12)


def captured(xp, y):
    return xp.switch((y[0] > 0).astype("int64"), [lambda: y[:2].mul_(2.0), lambda: y[1:] * 1.0])


REFUSED_FLOW = {
    "an effect": lambda xp, x: xp.print_(x),
    "an effect of a choice": lambda xp, x: xp.cond(
        x[0] > 0, lambda: xp.print_(xp.asarray(1.0)), lambda: xp.asarray(2.0)
    ),
    "other types": lambda xp, x: xp.cond(x[0] > 0, lambda: x, lambda: x[0]),
    "a condition with axes": lambda xp, x: xp.cond(x > 0, lambda: x, lambda: -x),
    "a branch that writes to its operand": lambda xp, x: xp.cond(
        x[0] > 0, lambda y: y.mul_(2.0), lambda y: y * 1.0, x * 1.0
    ),
    "a branch that writes to a view of what it captures": lambda xp, x: captured(xp, x * 1.0),
    "rows of an inner call written to those of an outer one": lambda xp, x: xp.vmap(
        lambda each: [y.add_(each) for y in [x * 1.0]]
    )(x),
    "a carry of another shape": lambda xp, x: xp.while_loop(
        lambda t: xp.sum(t) < 3, lambda t: xp.sum(t), x
    ),
}


@pytest.mark.parametrize("name", REFUSED_FLOW)
def test_control_flow_is_refused_alike(name):
    ids = []
    for xp, run in ((dg, lambda f: f(dg.tensor(X))), (sg, lambda f: sg.function(f)(X))):
        with pytest.raises(SideBySideError) as caught:
            run(xp.vmap(lambda x, xp=xp: REFUSED_FLOW[name](xp, x)))
        ids.append(caught.value.id)
    assert ids[0] == ids[1]


class Kept:
    def __init__(self, value):
        self.value = value

    def __call__(self, x):
        self.value.add_(1.0)
        return x


GLOBAL = []


def writes_to_a_global(x):
    GLOBAL[0].add_(1.0)
    return x


def through(write):
    """Return a function that writes, by way of another function."""
    return lambda x: write(x)


def writing(value):
    def write(x):
        value.add_(1.0)
        return x

    return write


MODULE = types.ModuleType("module")
MODULE.inner = types.ModuleType("module.inner")


class Shared:
    """Holds what all share."""

    kept = None

    def write(self, x):
        self.kept.add_(1.0)
        return x


class Slotted:
    __slots__ = ("value",)

    def __init__(self, value):
        self.value = value


def writes_to_a_module(x):
    MODULE.inner.kept.add_(1.0)
    return x


def writes_to_a_class(x):
    Shared.kept.add_(1.0)
    return x


WRITERS = {
    "a module": lambda value: setattr(MODULE.inner, "kept", value) or writes_to_a_module,
    "a class": lambda value: setattr(Shared, "kept", value) or writes_to_a_class,
    "the class of an object": lambda value: setattr(Shared, "kept", value) or Shared().write,
    "a slot": lambda value: (lambda kept: lambda x: (kept.value.add_(1.0), x)[1])(Slotted(value)),
    "a global": lambda value: GLOBAL.append(value) or writes_to_a_global,
    "a closure": writing,
    "a closure of a function": lambda value: through(writing(value)),
    "a list": lambda value: (lambda held: lambda x: (held[0].add_(1.0), x)[1])([value]),
    "a dict in a tuple": lambda value: (lambda held: lambda x: (held[0]["a"].add_(1.0), x)[1])(
        ({"a": value},)
    ),
    "an attribute": lambda value: (lambda kept: lambda x: (kept.value.add_(1.0), x)[1])(
        Kept(value)
    ),
    "an object that is called": Kept,
    "a method": lambda value: Kept(value).__call__,
    "a default": lambda value: lambda x, held=value: (held.add_(1.0), x)[1],
    "a partial function": lambda value: functools.partial(
        lambda held, x: (held.add_(1.0), x)[1], value
    ),
}


@pytest.mark.parametrize("way", WRITERS)
def test_a_branch_that_all_run_writes_to_nothing_from_outside(way):
    GLOBAL.clear()
    kept = dg.zeros(2)
    branch = WRITERS[way](kept)
    choose = dg.vmap(lambda wanted, x: dg.cond(wanted, branch, lambda x: x, x))
    with pytest.raises(SideBySideError, match="read-only"):
        choose(dg.tensor([False, False]), dg.tensor([1.0, 2.0]))
    assert kept.tolist() == [0.0, 0.0]
    kept.add_(1.0)  # it may be written to again
    assert kept.tolist() == [1.0, 1.0]


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


def test_few_ops_run_example_by_example():
    assert len([op for op in OPS if rule_of(op) is None]) <= 35


def test_each_example_has_its_own_number_of_steps():
    def make(xp):
        return xp.vmap(lambda n, x: xp.fori_loop(0, n, lambda i, c: c * x + i, x))

    n = np.array([0, 3, 1, 2])
    found = both(make, n, X)
    for i in range(4):
        one = dg.fori_loop(0, int(n[i]), lambda k, c, i=i: c * X[i] + k, dg.tensor(X[i]))
        np.testing.assert_allclose(found[i], one.numpy())


def test_loops_without_a_step():
    def make(xp):
        return xp.vmap(lambda x, e: xp.scan(lambda c, y: (c + y * x, c), x, e)[0], (0, None))

    np.testing.assert_array_equal(both(make, X, np.zeros((0, 3))), X)


def test_a_condition_is_checked_for_every_example():
    def checked(xp):
        return lambda x: xp.assert_(xp.sum(x) > 0, "positive", x) & (x > 0)

    good, bad = np.float32([[1, 2], [3, -1]]), np.float32([[1, 2], [-3, 1], [2, 2]])
    found = dg.vmap(checked(dg))(dg.tensor(good)).numpy()
    np.testing.assert_array_equal(found, good > 0)
    np.testing.assert_array_equal(sg.function(sg.vmap(checked(sg)))(good), good > 0)
    for run in (
        lambda: dg.vmap(checked(dg))(dg.tensor(bad)),
        lambda: sg.function(sg.vmap(checked(sg)), backend="numpy")(bad),
        lambda: sg.function(sg.vmap(checked(sg)), backend="native")(bad),
    ):
        with pytest.raises(dg.errors.AssertionFailedError) as caught:
            run()
        assert "1 of 3 elements, first at [1]" in caught.value.cause


# what each example chooses has its own gradient alone ---------------------------------------------


def _cond(m, choose, x):
    return m.cond(choose == 0, m.log, lambda z: z * 1, x)


def _captured(m, choose, x):
    return m.cond(choose == 0, lambda: m.log(x), lambda: x * 1)


def _switch(m, choose, x):
    return m.switch(choose, [m.log, lambda z: z * 1, m.sqrt], x)


def _nested(m, choose, x):
    return m.sum(m.vmap(lambda y: _cond(m, choose, x * y))(m.stack([x, x + 1])))


def _loop(m, choose, x):
    def body(carry):
        return carry[0] + 1, m.sqrt(carry[1] - 1) + 1

    return m.while_loop(lambda carry: carry[0] < choose * 0 + 1 - choose, body, (choose * 0, x))[1]


def _written(m, choose, x):
    def body(carry):
        count, y = carry
        y *= 2
        return count + 1, y

    return m.while_loop(lambda carry: carry[0] < choose, body, (choose * 0, x))[1]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("one", [_cond, _captured, _switch, _nested, _loop, _written])
def test_a_branch_not_taken_leaves_no_nan_in_the_gradient(one):
    """Each side's rule divides by 0 for the example that takes the other."""
    choose, x = np.array([0, 1]), np.array([2.0, 1.0 if one in (_loop, _written) else 0.0])
    apart = [
        dg.grad(lambda x, c=c: one(dg, dg.tensor(c), x))(dg.tensor(value)).numpy()
        for c, value in zip(choose, x, strict=True)
    ]
    assert np.isfinite(apart).all()

    def loss(m, x, choose):
        return m.sum(m.vmap(lambda c, x: one(m, c, x))(choose, x))

    found = dg.grad(lambda x: loss(dg, x, dg.tensor(choose)))(dg.tensor(x)).numpy()
    declared = sg.function(sg.grad(lambda x, c: loss(sg, x, c)))(x, choose)
    np.testing.assert_allclose(found, apart, rtol=1e-12)
    np.testing.assert_allclose(declared, apart, rtol=1e-12)
