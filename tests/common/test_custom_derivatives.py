"""custom_vjp and custom_jvp: one definition, which every transformation of both modes goes by."""

from collections import namedtuple

import numpy as np
import pytest

import dyngraph as dg
import staticgraph as sg
from oplibrary.messages.errors import (
    ArgumentError,
    DTypeError,
    InPlaceError,
    NotDifferentiableError,
    ShapeError,
    SideBySideError,
)
from oplibrary.values.tree import flatten, map_tree

RNG = np.random.default_rng(11)
X = RNG.standard_normal((2, 3)).astype("float32")
Y = RNG.standard_normal((2, 3)).astype("float32")
Pair = namedtuple("Pair", "a b")
MODES = pytest.mark.parametrize("kind", ["vjp", "jvp"])


def run(xp, program, *args, backend="numpy"):
    """Run ``program(xp, *args)`` in the mode of `xp`, and return arrays."""
    if xp is dg:
        result = program(dg, *map_tree(dg.tensor, args))
        return map_tree(lambda x: np.asarray(x.detach().numpy()), result)
    return sg.function(lambda *xs: program(sg, *xs), backend=backend)(*args)


def in_both(program, *args, backend="numpy"):
    """Run a program in both modes; the bits must be the same, and are returned."""
    dynamic, static = run(dg, program, *args), run(sg, program, *args, backend=backend)
    ours, theirs = flatten(static), flatten(dynamic)
    assert ours[1] == theirs[1]
    for got, expected in zip(ours[0], theirs[0], strict=True):
        assert got.dtype == expected.dtype and got.shape == expected.shape
        assert got.tobytes() == expected.tobytes()
    return static


def scaled(xp, kind, factor=3):
    """Return sin(x) * y, whose derivatives by x come out `factor` times too large."""
    if kind == "vjp":

        @xp.custom_vjp
        def f(x, y):
            return xp.sin(x) * y

        def forward(x, y):
            s = xp.sin(x)
            return s * y, (s, x, y)

        def backward(kept, g):
            s, x, y = kept
            return factor * (g * xp.cos(x) * y), g * s

        f.defvjp(forward, backward)
        return f

    @xp.custom_jvp
    def f(x, y):
        return xp.sin(x) * y

    @f.defjvp
    def rule(primals, tangents):
        (x, y), (dx, dy) = primals, tangents
        return f(x, y), factor * (xp.cos(x) * y * dx) + xp.sin(x) * dy

    return f


def plain(xp):
    return lambda x, y: xp.sin(x) * y


def twice(f):
    return lambda x, y: f(f(x, y), y)


# every way to a derivative ------------------------------------------------------------------------


def value_and_grad(xp, f, x, y):
    return xp.value_and_grad(lambda x, y: xp.sum(f(x, y) * y), (0, 1))(x, y)


def vjp(xp, f, x, y):
    value, pull = xp.vjp(f, x, y)
    return value, pull(y)


def second_derivative(xp, f, x, y):
    inner = xp.grad(lambda x: xp.sum(f(x, y)))
    return xp.grad(lambda x: xp.sum(inner(x) ** 2))(x)


def hessian(xp, f, x, y):
    return xp.hessian(lambda x: xp.sum(f(x, y)), x)


def jacobian(xp, f, x, y):
    return xp.jacobian(f, (x, y))


def jacobian_of_few_inputs(xp, f, x, y):
    return xp.jacobian(lambda a: f(a * x, y), xp.sum(y))


def vmap_of_grad(xp, f, x, y):
    return xp.vmap(xp.grad(lambda x, y: xp.sum(f(x, y))))(x, y)


def vmap_of_grad_with_shared(xp, f, x, y):
    return xp.vmap(xp.grad(lambda x, y: xp.sum(f(x, y)), (0, 1)), in_axes=(0, None))(x, y[0])


def grad_of_vmap(xp, f, x, y):
    rows = xp.vmap(f, in_axes=(0, None))
    return xp.grad(lambda x, y: xp.sum(rows(x, y) ** 2), (0, 1))(x, y[0])


def nested_vmap(xp, f, x, y):
    table = xp.vmap(xp.vmap(f, in_axes=(None, 0)), in_axes=(0, None))
    return xp.grad(lambda x, y: xp.sum(table(x, y) ** 2), (0, 1))(x, y)


def jacobian_under_vmap(xp, f, x, y):
    return xp.vmap(lambda x, y: xp.jacobian(lambda x: f(x, y), x))(x, y)


def hessian_under_vmap(xp, f, x, y):
    return xp.vmap(lambda x, y: xp.hessian(lambda x: xp.sum(f(x, y)), x))(x, y)


def checkpoint(xp, f, x, y):
    return xp.grad(lambda x: xp.sum(xp.checkpoint(lambda x: f(xp.tanh(x), y), x)))(x)


def cond(xp, f, x, y):
    def program(x):
        return xp.sum(xp.cond(xp.sum(x) > -9, lambda x: f(x, y), lambda x: x, x))

    return xp.grad(program)(x)


def switch(xp, f, x, y):
    def program(x):
        return xp.sum(xp.switch(1, [lambda x: x, lambda x: f(x, x)], x))

    return xp.grad(program)(x)


def scan(xp, f, x, y):
    def program(x, y):
        last, ys = xp.scan(lambda c, row: (c + f(row, c), f(c, row)), y[0], x)
        return xp.sum(last) + xp.sum(ys)

    return xp.grad(program, (0, 1))(x, y)


def fori_loop(xp, f, x, y):
    return xp.grad(lambda x: xp.sum(xp.fori_loop(0, 3, lambda i, c: f(c, y), x)))(x)


def while_loop(xp, f, x, y):
    def program(x):
        state = xp.while_loop(lambda c: c[0] < 3, lambda c: (c[0] + 1, f(c[1], y)), (0, x))
        return xp.sum(state[1])

    return xp.grad(program)(x)


def mapped(xp, f, x, y):
    return xp.grad(lambda x: xp.sum(xp.map(lambda row: f(row, y[0]), x)))(x)


def scan_under_vmap(xp, f, x, y):
    def program(x, y):
        return xp.scan(lambda c, v: (f(v, c), c), y[0], x)[0]

    return xp.vmap(xp.grad(program))(x, y)


REVERSE = [
    value_and_grad, vjp, second_derivative, hessian, jacobian, jacobian_of_few_inputs, vmap_of_grad,
    vmap_of_grad_with_shared, grad_of_vmap, nested_vmap, jacobian_under_vmap, hessian_under_vmap,
    checkpoint, cond, switch, scan, fori_loop, while_loop, mapped, scan_under_vmap,
]  # fmt: skip


def jvp(xp, f, x, y):
    return xp.jvp(f, [x, y], [y, x])


def linearize(xp, f, x, y):
    value, push = xp.linearize(lambda x: f(x, y), x)
    return value, push(y), push(x)


def forward_jacobian(xp, f, x, y):
    return xp.jacobian(f, (x, y), mode="forward")


def jvp_of_grad(xp, f, x, y):
    return xp.jvp(xp.grad(lambda x: xp.sum(f(x, y))), [x], [y])


def grad_of_jvp(xp, f, x, y):
    return xp.grad(lambda x: xp.sum(xp.jvp(lambda x: f(x, y), [x], [y])[1]))(x)


def jvp_of_vmap(xp, f, x, y):
    return xp.jvp(xp.vmap(f, in_axes=(0, None)), [x, y[0]], [y, x[0]])


def vmap_of_jvp(xp, f, x, y):
    return xp.vmap(lambda x, t: xp.jvp(lambda x: f(x, t), [x], [t]))(x, y)


def jvp_of_scan(xp, f, x, y):
    return xp.jvp(lambda x: xp.scan(lambda c, row: (f(row, c), c), y[0], x), [x], [y])


def jvp_of_cond(xp, f, x, y):
    choice = lambda x: xp.cond(xp.sum(x) > -9, lambda x: f(x, y), lambda x: x, x)  # noqa: E731
    return xp.jvp(choice, [x], [y])


FORWARD = [
    jvp, linearize, forward_jacobian, jvp_of_grad, grad_of_jvp, jvp_of_vmap, vmap_of_jvp,
    jvp_of_scan, jvp_of_cond,
]  # fmt: skip
EVERY = [("vjp", way) for way in REVERSE] + [("jvp", way) for way in (*REVERSE, *FORWARD)]
WAYS = pytest.mark.parametrize(
    ("kind", "way"), EVERY, ids=[f"{kind}-{way.__name__}" for kind, way in EVERY]
)


@WAYS
def test_a_right_rule_gives_what_the_function_itself_gives(kind, way):
    program = lambda xp, x, y: way(xp, twice(scaled(xp, kind, 1)), x, y)  # noqa: E731
    expected = run(dg, lambda xp, x, y: way(xp, twice(plain(xp)), x, y), X, Y)
    found = in_both(program, X, Y)
    for got, wanted in zip(flatten(found)[0], flatten(expected)[0], strict=True):
        np.testing.assert_allclose(got, wanted, rtol=1e-4, atol=1e-5)


@WAYS
def test_the_rule_is_what_counts(kind, way):
    """One that is wrong on purpose is seen in each derivative, and in none of the values."""
    right = flatten(run(dg, lambda xp, x, y: way(xp, scaled(xp, kind, 1), x, y), X, Y))[0]
    wrong = flatten(run(dg, lambda xp, x, y: way(xp, scaled(xp, kind, 3), x, y), X, Y))[0]
    assert not all(np.allclose(a, b) for a, b in zip(right, wrong, strict=True))


@MODES
@pytest.mark.parametrize("backend", ["interpret", "native"])
def test_other_backends(kind, backend):
    def program(x, y):
        return value_and_grad(sg, scaled(sg, kind), x, y)

    expected = flatten(sg.function(program, backend="numpy")(X, Y))[0]
    found = flatten(sg.function(program, backend=backend)(X, Y))[0]
    for got, wanted in zip(found, expected, strict=True):
        np.testing.assert_allclose(got, wanted, rtol=1e-6)


@MODES
def test_gradients_between_nodes(kind):
    with sg.Graph():
        x, y = sg.placeholder("x", (2, 3)), sg.placeholder("y", (2, 3))
        z = scaled(sg, kind)(x, y)
        dx, dy = sg.gradients(sg.sum(z), [x, y])
        assert not isinstance(z.type, tuple) and repr(z) == "Node(custom_result: float32[2,3])"
        run_ = sg.compile([z, dx, dy], [x, y])
    z, dx, dy = run_(X, Y)
    np.testing.assert_allclose(dx, 3 * np.cos(X) * Y, rtol=1e-5)
    np.testing.assert_allclose(dy, np.sin(X), rtol=1e-5)


@MODES
def test_a_program_without_gradients_holds_nothing_of_the_rule(kind):
    with sg.Graph():
        x, y = sg.placeholder("x", (2, 3)), sg.placeholder("y", (2, 3))
        z = scaled(sg, kind)(x, y)
        names = [each.op.name for each in sg.compile(z, [x, y]).program.instructions]
    assert names == ["sin", "multiply"]


@MODES
def test_symbolic_lengths(kind):
    n = sg.dim("n")
    with sg.Graph():
        x, y = sg.placeholder("x", (n,)), sg.placeholder("y", (n,))
        (dx,) = sg.gradients(sg.sum(scaled(sg, kind)(x, y)), [x])
        program = sg.compile(dx, [x, y], backend="numpy")
    for row in (X[0], X[0, :2]):
        np.testing.assert_allclose(program(row, row), 3 * np.cos(row) * row, rtol=1e-5)


@dg.custom_vjp
def of_numpy(x):
    return np.exp(x)


of_numpy.defvjp(lambda x: (np.exp(x), x), lambda x, g: (5 * g * np.exp(x),))


def test_one_definition_in_numpys_terms_serves_both_modes_and_arrays():
    in_both(lambda xp, x: xp.grad(lambda x: xp.sum(of_numpy(x)))(x), X)
    np.testing.assert_array_equal(of_numpy(X), np.exp(X))
    assert of_numpy(0.0) == 1.0


# arguments and results ----------------------------------------------------------------------------


def test_trees_integers_and_none():
    def program(xp, w, b, index):
        @xp.custom_vjp
        def f(params, index, scale=2.0):
            return {"rows": xp.take(params.a, index, axis=0) * scale, "b": params.b}, index

        def forward(params, index, scale):
            return f(params, index, scale), {"index": index, "like": params, "scale": scale}

        def backward(kept, g):
            rows, count = g
            assert count is None  # integers have no cotangent
            da = xp.zeros_like(kept["like"].a) + xp.sum(rows["rows"]) * kept["scale"]
            return Pair(da, None), None, None

        f.defvjp(forward, backward)

        def loss(w, b):
            out, same = f(index=index, params=Pair(w, b))
            return xp.sum(out["rows"] ** 2) + xp.sum(out["b"]) + 0 * xp.sum(same)

        return xp.value_and_grad(loss, (0, 1))(w, b)

    _, (dw, db) = in_both(program, X, Y, np.array([1, 1, 0]))
    assert np.all(dw == dw[0, 0]) and dw[0, 0] != 0 and not db.any()


def test_nondiff_argnums():
    def program(xp, x):
        def f(function, x, power):
            return function(x) ** power

        v = xp.custom_vjp(f, nondiff_argnums=(0, -1))
        v.defvjp(
            lambda function, x, power: (function(x) ** power, x),
            lambda function, power, x, g: (g * power * function(x),),
        )
        j = xp.custom_jvp(f, nondiff_argnums=(0, 2))

        @j.defjvp
        def rule(function, power, primals, tangents):
            return f(function, *primals, power), tangents[0] * power * function(primals[0])

        return [xp.grad(lambda x, g=g: xp.sum(g(xp.tanh, x, 3)))(x) for g in (v, j)]

    for grad in in_both(program, X):
        np.testing.assert_allclose(grad, 3 * np.tanh(X), rtol=1e-6)


def test_defjvps():
    def program(xp, x, y):
        @xp.custom_jvp
        def f(x, y, z):
            return x * y + z

        f.defjvps(lambda t, out, x, y, z: 2 * y * t, None, lambda t, out, x, y, z: t)
        gradient = xp.grad(lambda *args: xp.sum(f(*args)), (0, 1, 2))
        return gradient(x, y, x), xp.jvp(f, [x, y, x], [y, x, x])

    (dx, dy, dz), (_, tangent) = in_both(program, X, Y)
    np.testing.assert_array_equal(dx, 2 * Y)
    assert not dy.any() and np.all(dz == 1)
    np.testing.assert_allclose(tangent, 2 * Y * Y + X, rtol=1e-6)


def test_complex_gradients_are_those_that_users_see():
    def program(xp, z, real):
        square_v, square_j = xp.custom_vjp(lambda z: z * z), xp.custom_jvp(lambda z: z * z)
        square_v.defvjp(lambda z: (z * z, z), lambda z, g: (g * xp.conj(2 * z),))
        square_j.defjvp(lambda p, t: (p[0] * p[0], 2 * p[0] * t[0]))
        found = []
        for f in (lambda z: z * z, square_v, square_j):
            found.append(xp.grad(lambda z, f=f: xp.sum(xp.abs(f(z) + z)))(z))
        return found, xp.jvp(square_j, [z], [z])[1]

    z = (X + 1j * Y).astype("complex64")
    (expected, *found), tangent = in_both(program, z, X)
    for each in found:
        np.testing.assert_allclose(each, expected, rtol=1e-5)
    np.testing.assert_allclose(tangent, 2 * z * z, rtol=1e-5)


@MODES
@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float64"])
def test_dtypes(kind, dtype):
    def program(xp, x, y):
        f = scaled(xp, kind)
        x, y = x.astype(dtype), y.astype(dtype)
        grads = xp.grad(lambda x, y: xp.sum(f(x, y)), (0, 1))(x, y)
        return [g.astype("float32") for g in grads]

    dx, _ = in_both(program, X, Y)
    np.testing.assert_allclose(dx, 3 * np.cos(X) * Y, rtol=0.05, atol=0.02)


def test_a_result_that_is_an_argument_is_an_array_of_its_own():
    def program(xp, x):
        same, part = xp.custom_vjp(lambda x: x), xp.custom_vjp(lambda x: x.T)
        same.defvjp(lambda x: (x, None), lambda _, g: (7 * g,))
        part.defvjp(lambda x: (x.T, None), lambda _, g: (5 * g.T,))

        def loss(x):
            a = x * 1
            y, z = same(a), part(a)
            y[0], z[0] = 100.0, 200.0
            return xp.sum(y) + xp.sum(z) + xp.sum(a), a

        return xp.value_and_grad(loss, has_aux=True)(x)

    (_, a), dx = in_both(program, X)
    np.testing.assert_array_equal(a, X)
    expected = np.full(X.shape, 13.0)
    expected[0] -= 7
    expected[:, 0] -= 5
    np.testing.assert_array_equal(dx, expected)


def test_the_same_array_for_two_arguments():
    in_both(
        lambda xp, x, y: value_and_grad(xp, lambda a, b: scaled(xp, "vjp")(a, a) * b, x, y), X, Y
    )


def test_nothing_moves():
    """Without a gradient to come, `function` runs and no rule; in dyngraph it is known then."""
    ran = []
    f = dg.custom_vjp(lambda x: ran.append("function") or x * 2)
    f.defvjp(lambda x: (ran.append("forward") or x * 2, None), lambda _, g: (g,))
    x = dg.tensor(X)
    f(x)
    with dg.no_grad():
        f(x.requires_grad_())
    assert ran == ["function", "function"]
    f(x)
    assert ran[2:] == ["forward"]


def test_forward_runs_again_for_second_derivatives_only():
    ran = []

    @dg.custom_vjp
    def f(x):
        return dg.exp(x)

    def forward(x):
        ran.append("forward")
        y = dg.exp(x)
        return y, y

    f.defvjp(forward, lambda y, g: (g * y,))
    x = dg.tensor(X, requires_grad=True)
    f(x).sum().backward()
    np.testing.assert_array_equal(x.grad.numpy(), np.exp(X))
    assert ran == ["forward"]
    (dx,) = dg.grad(f(x).sum(), x, create_graph=True)
    (dxx,) = dg.grad(dx.sum(), x)
    np.testing.assert_array_equal(dxx.numpy(), np.exp(X))
    assert ran == ["forward"] * 3


def test_what_dyngraphs_tape_does_with_it():
    f = scaled(dg, "vjp")
    x = dg.tensor(X, requires_grad=True)
    y = dg.tensor(Y, requires_grad=True)
    z = f(x, y)
    assert z.grad_fn.name() == "fBackward" and "fBackward" in repr(z)
    z.sum().backward(retain_graph=True)
    z.sum().backward()
    np.testing.assert_allclose(x.grad.numpy(), 6 * np.cos(X) * Y, rtol=1e-5)
    with pytest.raises(dg.errors.FreedGraphError, match="second backward through f"):
        z.sum().backward()
    packed = []
    with dg.saved_tensors_hooks(lambda t: packed.append(t.shape) or t.numpy(), dg.tensor):
        z = f(x, y)
    x.grad = None
    z.sum().backward()
    np.testing.assert_allclose(x.grad.numpy(), 3 * np.cos(X) * Y, rtol=1e-5)
    assert packed
    z = f(x, y)
    with dg.no_grad():
        x.mul_(2)
    with pytest.raises(InPlaceError):
        z.sum().backward()


def test_a_trace_guards_what_the_rules_read():
    def forward(x):
        return x * 2, None

    def backward(_, g):
        return (g * SCALE[0],)

    f = sg.custom_vjp(lambda x: x * 2)
    f.defvjp(forward, backward)
    slope = sg.function(sg.grad(lambda x: sg.sum(f(x))))
    SCALE[0] = 3.0
    assert slope(X)[0, 0] == 3
    SCALE[0] = 4.0
    assert slope(X)[0, 0] == 4


SCALE = [3.0]


# what is refused ----------------------------------------------------------------------------------


def both_modes(program, *args):
    """Return what both modes raise, which must be the same."""
    found = []
    for xp in (dg, sg):
        with pytest.raises(SideBySideError) as caught:
            run(xp, program, *args)
        found.append(caught.value)
    assert type(found[0]) is type(found[1])
    tail = found[0].what.rpartition(": ")[2].replace("dyngraph.Tensor", "Tensor")
    assert found[1].what.endswith(tail.replace("Tensor", "Node"))
    assert all("test_custom_derivatives.py" in str(each) for each in found)
    return found[0]


@pytest.mark.parametrize(
    "way", [jvp, linearize, forward_jacobian, jvp_of_vmap, jvp_of_scan, jvp_of_cond]
)
def test_a_custom_vjp_has_no_forward_mode(way):
    error = both_modes(lambda xp, x, y: way(xp, scaled(xp, "vjp"), x, y), X, Y)
    assert type(error) is NotDifferentiableError
    assert "forward mode through f, which is a custom_vjp" in error.what


WRONG_GRADIENTS = {
    "one for two": (lambda g, x: (g,), ArgumentError, "returned 1 gradients, for 2 arguments"),
    "no tuple": (lambda g, x: g, ArgumentError, "no tuple"),
    "none at all": (lambda g, x: None, ArgumentError, "a NoneType and no tuple"),
    "a shape": (lambda g, x: (g[0], None), ShapeError, r"argument 0 has shape \(3,\)"),
    "a wider shape": (lambda g, x: (None, g[None]), ShapeError, r"argument 1 has shape \(1, 2"),
    "a dtype": (lambda g, x: (g.astype("float64"), None), DTypeError, "argument 0 is float64"),
    "a structure": (lambda g, x: ((g, g), None), ArgumentError, "argument 0 is a tuple of 2"),
    "a string": (lambda g, x: ("g", None), ArgumentError, "argument 0 is a str"),
    "a number": (lambda g, x: (1.0, None), ArgumentError, "argument 0 is a float"),
}


@pytest.mark.parametrize("case", WRONG_GRADIENTS)
def test_wrong_gradients(case):
    backward, kind, text = WRONG_GRADIENTS[case]

    def program(xp, x):
        f = xp.custom_vjp(lambda x, y: x * y)
        f.defvjp(lambda x, y: (x * y, x), lambda x, g: backward(g, x))
        return xp.grad(lambda x: xp.sum(f(x, x)))(x)

    for xp in (dg, sg):
        with pytest.raises(kind, match=text):
            run(xp, program, X)


WRONG_TANGENTS = {
    "no pair": (lambda y, t: t[None][0] * t, ArgumentError, "not a pair"),
    "a shape": (lambda y, t: (y, t[0]), ShapeError, r"has shape \(3,\)"),
    "a dtype": (lambda y, t: (y, t.astype("float64")), DTypeError, "is float64"),
    "a structure": (lambda y, t: (y, (t, t)), ArgumentError, "a tuple of 2"),
}


@pytest.mark.parametrize("case", WRONG_TANGENTS)
@pytest.mark.parametrize("way", ["grad", "jvp"])
def test_wrong_tangents(case, way):
    rule, kind, text = WRONG_TANGENTS[case]

    def program(xp, x):
        f = xp.custom_jvp(lambda x: x * 2)
        f.defjvp(lambda p, t: rule(p[0] * 2, t[0]))
        if way == "jvp":
            return xp.jvp(f, [x], [x])
        return xp.grad(lambda x: xp.sum(f(x)))(x)

    for xp in (dg, sg):
        with pytest.raises(kind, match=text):
            run(xp, program, np.concatenate([X, X[:1]]))


@pytest.mark.parametrize(
    "bent",
    [
        lambda xp, t: t * t,
        lambda xp, t: xp.sin(t),
        lambda xp, t: xp.relu(t),
        lambda xp, t: xp.clip(t, -1, 1),
        lambda xp, t: xp.abs(t),
        lambda xp, t: 1 / (t + 1),
        lambda xp, t: xp.softmax(t),
    ],
)
def test_a_rule_that_is_not_linear_has_no_gradient(bent):
    def program(xp, x):
        f = xp.custom_jvp(lambda x: x)
        f.defjvp(lambda p, t: (p[0], bent(xp, t[0])))
        return xp.grad(lambda x: xp.sum(f(x)))(x)

    error = both_modes(program, X)
    assert type(error) is NotDifferentiableError and "not linear" in error.what


@pytest.mark.parametrize(
    "straight",
    [
        lambda xp, t, x: -t / x + 2 * t,
        lambda xp, t, x: xp.where(x > 0, t, 3 * t),
        lambda xp, t, x: x * xp.sum(xp.cumulative_sum(t, axis=0)),
        lambda xp, t, x: xp.concatenate([t[1:], t[:1]]) * x,
        lambda xp, t, x: xp.matmul(x @ xp.matrix_transpose(x), t),
        lambda xp, t, x: xp.einsum("ij,kj,kl->il", x, x, t),
        lambda xp, t, x: xp.scan(lambda c, row: (c + row, c), 0 * t[0], t)[1] * x,
        lambda xp, t, x: xp.real(t + 1j * t),
        lambda xp, t, x: xp.mean(t, axis=0, keepdims=True) + 0 * t,
    ],
)
def test_a_linear_rule_is_transposed(straight):
    def program(xp, x, v):
        f = xp.custom_jvp(lambda x: x)
        f.defjvp(lambda p, t: (p[0], straight(xp, t[0], p[0])))
        tangent = xp.jvp(f, [x], [v])[1]
        return xp.sum(tangent * x), xp.sum(xp.grad(lambda y: xp.sum(f(y) * x))(x) * v)

    pushed, pulled = in_both(program, X, Y)
    np.testing.assert_allclose(pushed, pulled, rtol=1e-4)


@MODES
def test_a_derivative_by_what_the_function_reads_from_outside_is_refused(kind):
    def program(xp, x, w):
        def inner(x):
            return x * w

        if kind == "vjp":
            f = xp.custom_vjp(inner)
            f.defvjp(lambda x: (inner(x), None), lambda _, g: (g,))
        else:
            f = xp.custom_jvp(inner)
            f.defjvp(lambda p, t: (f(*p), t[0]))
        return f

    def by_w(xp, x, w):
        return xp.grad(lambda w: xp.sum(program(xp, x, w)(x * 2)))(w)

    def by_both(xp, x, w):
        return xp.grad(lambda x, w: xp.sum(program(xp, x, w)(x * 2)), (0, 1))(x, w)

    def by_x(xp, x, w):
        return xp.grad(lambda x: xp.sum(program(xp, x, w)(x * 2)))(x)

    def in_a_loop(xp, x, w):
        def loss(w):
            return xp.sum(xp.scan(lambda c, row: (program(xp, row, w[0])(c * row), c), x[0], x)[0])

        return xp.grad(loss)(w)

    assert np.all(in_both(by_x, X, Y) == 2)
    for each in (by_both, in_a_loop):
        error = both_modes(each, X, Y)
        assert type(error) is NotDifferentiableError and "reads from outside" in error.what
    if kind == "vjp":  # nothing that moves is passed, so no rule is asked
        with pytest.raises(NotDifferentiableError, match="reads from outside"):
            run(sg, by_w, X, Y)


def test_rows_from_outside_are_refused():
    def program(xp, x, s):
        def one(s):
            f = xp.custom_vjp(lambda x: x * 2)
            f.defvjp(lambda x: (x * 2, None), lambda _, g: (g * s,))
            return f

        return xp.vmap(lambda s: xp.sum(one(s)(x)))(s)

    def gradient(xp, x, s):
        return xp.grad(lambda x: xp.sum(program(xp, x, s)))(x)

    assert "after the function had ended" in both_modes(gradient, X, Y[0]).what


def test_a_backward_may_read_what_the_loop_around_it_computes():
    def program(xp, x, w, more):
        def body(c, row):
            scale = xp.tanh(row)
            f = xp.custom_vjp(lambda c: c * 2)
            f.defvjp(lambda c: (c * 2, None), lambda _, g: (g * (scale + w if more else scale),))
            return f(c) * scale, c

        return xp.grad(lambda x: xp.sum(xp.scan(body, x[0], x)[0]))(x)

    in_both(lambda xp, x, w: program(xp, x, w, False), X, Y[0])
    # dyngraph has no loop of its own, and its backward may read anything
    run(dg, lambda xp, x, w: program(xp, x, w, True), X, Y[0])
    with pytest.raises(ArgumentError, match="a branch or a loop reads .*, a value from around it"):
        run(sg, lambda xp, x, w: program(xp, x, w, True), X, Y[0])


MISUSES = {
    "no rule": (lambda xp, x: xp.custom_vjp(lambda x: x)(x), "gradient was not defined"),
    "no jvp": (lambda xp, x: xp.custom_jvp(lambda x: x)(x), "derivative was not defined"),
    "too many": (lambda xp, x: scaled(xp, "vjp")(x, x, x), "too many positional"),
    "only by name": (
        lambda xp, x: with_rules(xp, lambda x, *, y=1: x)(x), "only by name",
    ),
    "an array aside": (
        lambda xp, x: with_rules(xp, lambda x, y: x, nondiff_argnums=1)(x, x), "is an array",
    ),
    "no such argument": (
        lambda xp, x: with_rules(xp, lambda x: x, nondiff_argnums=3)(x), "argument 3 of 1",
    ),
    "no pair": (lambda xp, x: with_rules(xp, lambda x: x, lambda x: x)(x), "not a pair"),
    "a string": (
        lambda xp, x: with_rules(xp, lambda x: x, lambda x: ("y", x))(x), "returned a str",
    ),
}  # fmt: skip


def with_rules(xp, function, forward=None, **options):
    f = xp.custom_vjp(function, **options)
    f.defvjp(forward or (lambda x: (x, None)), lambda _, g: (g,))
    return f


@pytest.mark.parametrize("case", MISUSES)
def test_misuse(case):
    program, text = MISUSES[case]
    error = both_modes(lambda xp, x: xp.grad(lambda x: xp.sum(program(xp, x)))(x), X)
    assert type(error) is ArgumentError and text in error.what


def test_arguments_are_not_written_to():
    def program(xp, x):
        def write(x):
            x[0] = 1.0
            return x * 2, None

        f = xp.custom_vjp(lambda x: x * 2)
        f.defvjp(write, lambda _, g: (2 * g,))
        return xp.grad(lambda x: xp.sum(f(x * 1)))(x)

    for xp in (dg, sg):
        with pytest.raises(InPlaceError):
            run(xp, program, X)
