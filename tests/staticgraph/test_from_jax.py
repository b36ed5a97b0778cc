"""JAX's functions as programs here: outputs and gradients, in both modes."""

from functools import cache

import numpy as np
import pytest

import dyngraph as dg
import staticgraph as sg
from oplibrary.values.tree import flatten

jax = pytest.importorskip("jax")

import jax.numpy as jnp  # noqa: E402
from tests.staticgraph.jax_programs import PROGRAMS, clipped, numbers  # noqa: E402

from staticgraph.importing.jaxprs.reading import _CALLS, REFUSED, TABLE  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore")


@cache
def made(name):
    """Return a function, its parameters and inputs, and the function imported."""
    function, parameters, inputs = PROGRAMS[name]
    return function, parameters, inputs, sg.from_jax(function, *inputs, parameters=parameters)


@pytest.mark.parametrize("name", PROGRAMS)
def test_outputs_and_gradients_are_the_functions(name):
    _, _, inputs, imported = made(name)  # which compares them, and would refuse
    compared = {each.what for each in imported.differences}
    assert "output 0" in compared
    assert all(each.error < 1e-4 for each in imported.differences)
    if name != "newton":
        assert {f"gradient by {each}" for each in imported.parameters} <= compared
        assert not imported.notes
    assert len(imported.inputs) == len(inputs)


@pytest.mark.parametrize("name", PROGRAMS)
def test_both_modes_and_machine_code_give_the_same(name):
    pytest.importorskip("llvmlite")
    _, _, inputs, imported = made(name)

    def of(xp):
        return lambda parameters, *inputs: imported.function(xp, parameters, *inputs)

    static = flatten(sg.function(of(sg), backend="numpy")(imported.parameters, *inputs))[0]
    tensors = {each: dg.tensor(x) for each, x in imported.parameters.items()}
    dynamic = flatten(of(dg)(tensors, *[dg.tensor(x) for x in inputs]))[0]
    for ours, theirs in zip(static, dynamic, strict=True):
        np.testing.assert_array_equal(ours, theirs.numpy())
        assert ours.dtype == theirs.dtype
    native = flatten(sg.function(of(sg), backend="native")(imported.parameters, *inputs))[0]
    for ours, theirs in zip(native, static, strict=True):
        np.testing.assert_allclose(ours, theirs, 1e-4, 1e-5)


def test_a_gradient_is_taken_here_or_there():
    _, _, (x, labels), there = made("loss and gradient")
    mlp = made("mlp")[3]

    def loss(y, labels):
        return -sg.mean(sg.take_along_axis(y, labels[:, None], axis=1))

    step = sg.function(sg.value_and_grad(mlp.loss_with(loss)), backend="numpy")
    value, slopes = step(mlp.parameters, x, labels)
    run = sg.function(lambda p, *a: there.function(sg, p, *a), backend="numpy")
    expected, of_head = run(there.parameters, x, labels)
    np.testing.assert_allclose(value, expected, 1e-5)
    np.testing.assert_allclose(slopes["head"], of_head, 1e-4, 1e-6)


def test_parameters_are_called_by_their_paths_and_nodes_have_the_users_lines():
    imported = made("mlp")[3]
    assert list(imported.parameters) == [
        "head",
        "layers.0.b",
        "layers.0.w",
        "layers.1.b",
        "layers.1.w",
    ]
    (output,) = imported.graph.outputs
    assert output.source.place.startswith("jax_programs.py:")
    assert "6 operations" not in imported.report()


def test_relu_has_jaxs_gradient_at_its_kink():
    imported = sg.from_jax(lambda x: jax.nn.relu(x), np.zeros(3, "float32"))
    slope = sg.grad(lambda x: sg.sum(imported.function(sg, {}, x)))
    assert sg.function(slope)(np.zeros(3, "float32")).tolist() == [0, 0, 0]


def test_a_gradient_of_ones_own_is_not_replaced_in_silence():
    x = np.float32([0.5, 2.0])
    with pytest.raises(sg.errors.ImportCheckError, match="gradient by x0"):
        sg.from_jax(lambda x: clipped(x), x)
    assert sg.from_jax(jax.grad(lambda x: clipped(x).sum()), x).differences[0].error == 0


def asks(x):
    return x if x.sum() > 0 else -x


@pytest.mark.parametrize(
    ("function", "error", "said"),
    [
        (
            lambda x: jax.lax.bitcast_convert_type(x, jnp.int32),
            "UnsupportedOpError",
            r"bitcast_convert_type[\s\S]*bitcast_convert_type\(x",
        ),
        (lambda x: jax.random.normal(jax.random.key(0), (3,)), "UnsupportedOpError", "random"),
        (lambda x: jax.scipy.special.zeta(x, 2.0), "UnsupportedOpError", "zeta"),
        (asks, "ForeignProgramError", r"jax\.make_jaxpr refuses asks[\s\S]*x\.sum\(\) > 0"),
        (lambda x: x @ numbers(2, 2), "ForeignProgramError", "dot_general"),
    ],
)
def test_what_cannot_be_imported_is_named(function, error, said):
    with pytest.raises(getattr(sg.errors, error), match=said):
        sg.from_jax(function, numbers(3))


def decomposed(x):
    rows = jax.lax.linalg.lu(x[:, :3])
    sign, log = jnp.linalg.slogdet(x)
    solved = jax.scipy.linalg.lu_solve(jax.scipy.linalg.lu_factor(x), x[:, 0])
    order = jax.lax.linalg.lu_pivots_to_permutation(rows[1], x.shape[0])
    return rows, sign * log, jnp.linalg.det(x), solved, order


def test_elimination_has_its_gradient_in_both_modes():
    x = np.random.default_rng(3).normal(size=(5, 5)).astype("float32")
    imported = sg.from_jax(decomposed, x)
    assert max(each.error for each in imported.differences) < 1e-4
    assert "gradient by x0" in {each.what for each in imported.differences}
    run = sg.function(lambda x: imported.function(sg, {}, x), backend="numpy")
    static, dynamic = flatten(run(x))[0], flatten(imported.function(dg, {}, dg.tensor(x)))[0]
    for ours, theirs in zip(static, dynamic, strict=True):
        np.testing.assert_array_equal(ours, theirs.numpy())


def solved(a, b):
    return jnp.linalg.solve(jnp.tanh(a) + a @ a.T + 3 * jnp.eye(2), b)


def test_solutions_have_their_gradients_by_the_matrix_to_any_order_in_both_modes():
    a, b = numbers(2, 2), numbers(2, 1)
    imported = sg.from_jax(solved, a, b)
    assert max(each.error for each in imported.differences) < 1e-5
    assert {"gradient by x0", "gradient by x1"} <= {each.what for each in imported.differences}

    def of_slope(xp, a):
        slope = xp.grad(lambda a: xp.sum(imported.function(xp, {}, a, xp.asarray(b)) ** 2))
        return xp.sum(slope(a) ** 2)

    slope = jax.grad(lambda a: (solved(a, b) ** 2).sum())
    expected = jax.grad(lambda a: (slope(a) ** 2).sum())(a)
    dynamic = dg.grad(lambda a: of_slope(dg, a))(dg.tensor(a)).numpy()
    static = sg.function(sg.grad(lambda a: of_slope(sg, a)), backend="numpy")(a)
    np.testing.assert_allclose(static, dynamic, rtol=1e-5, atol=1e-6 * abs(dynamic).max())
    np.testing.assert_allclose(static, expected, rtol=1e-3, atol=1e-5 * abs(dynamic).max())
    with pytest.raises(sg.errors.NotDifferentiableError, match="forward mode through linear_solve"):
        sg.trace(lambda a: sg.jvp(lambda a: imported.function(sg, {}, a, b), [a], [a]), a)


@pytest.mark.parametrize(
    "function",
    [
        lambda a, b: jax.scipy.linalg.solve(a @ a.T + jnp.eye(3), b, assume_a="pos"),
        lambda a, b: jnp.linalg.inv(a @ a.T + jnp.eye(3)) @ b,
        lambda a, b: jax.scipy.linalg.cho_solve(jax.scipy.linalg.cho_factor(a @ a.T + 9), b),
        lambda a, b: jax.vmap(jnp.linalg.solve)(jnp.stack([a, a.T]), jnp.stack([b, b])),
        lambda a, b: jax.lax.custom_linear_solve(  # a product and a solution of trees
            lambda x: {"p": a @ x["q"], "q": 2 * x["p"]},
            {"p": b, "q": b},
            lambda _, y: {"p": y["q"] / 2, "q": jnp.linalg.inv(a) @ y["p"]},
            lambda _, y: {"p": jnp.linalg.inv(a.T) @ y["q"], "q": y["p"] / 2},
        ),
        lambda a, b: jax.lax.scan(lambda x, s: (jnp.linalg.solve(a * s, x), s), b, b[:, 0]),
        lambda a, b: jax.lax.custom_linear_solve(  # without a gradient in JAX
            lambda x: a @ x, b, lambda _, y: jnp.linalg.inv(a) @ y
        ),
    ],
)
def test_systems_of_any_form_are_solved(function):
    x = sg.from_jax(function, numbers(3, 3), numbers(3, 2))
    assert max(each.error for each in x.differences) < 1e-4


def test_a_solution_of_complex_numbers_has_the_gradient_of_jax_conjugated():
    rng = np.random.default_rng(1)
    a, b = (rng.normal(size=(2, 3, 3)) + 1j * rng.normal(size=(2, 3, 3))).astype("complex64")
    imported = sg.from_jax(jnp.linalg.solve, a, b)
    run = sg.grad(lambda a: sg.sum(sg.abs(imported.function(sg, {}, a, b)) ** 2))
    expected = jax.grad(lambda a: (abs(jnp.linalg.solve(a, b)) ** 2).sum())(a).conj()
    found = sg.function(run, backend="numpy")(a)
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-4 * abs(expected).max())


def test_factors_have_the_gradients_of_jax_by_matrices_that_are_not_made_symmetric():
    x = numbers(3, 3)
    x = (x @ x.T + 3 * np.eye(3)).astype("float32")

    def factors(x):
        lower = jax.scipy.linalg.cholesky(x, lower=True)
        return lower, jax.scipy.linalg.cholesky(x), jnp.linalg.eigh(x, UPLO="U")[0]

    imported = sg.from_jax(factors, x)
    assert max(each.error for each in imported.differences) < 1e-5
    _, tangent = sg.function(
        lambda x: sg.jvp(lambda x: imported.function(sg, {}, x), [x], [x]), backend="numpy"
    )(x)
    _, expected = jax.jvp(factors, [x], [x])
    for ours, theirs in zip(tangent, expected, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-5)


def test_searches_and_orders_have_a_place_for_every_number():
    line = np.array([-np.inf, -1, -0.0, 0.0, 2, np.inf, np.nan], "float32")
    keys = np.array([[1, 0, 1, 0], [3, 2, 1, 2]])

    def places(line, keys):
        sides = [jnp.searchsorted(line, line[::-1], side=side) for side in ("left", "right")]
        return sides, jnp.lexsort(keys), jax.lax.sort(tuple(keys), num_keys=2)

    imported = sg.from_jax(places, line, keys)
    assert len(imported.outputs) == 5


def depthwise(x, w):
    layout = ("NHWC", "HWIO", "NHWC")
    y = jax.lax.conv_general_dilated(
        x, w, (1, 1), "SAME", dimension_numbers=layout, feature_group_count=2
    )
    return (y**2).sum()


@pytest.mark.parametrize(
    ("function", "shapes"),
    [
        (lambda x: (jnp.signbit(x), jnp.copysign(x, -x), jax.scipy.special.gamma(x)), [(5,)]),
        (lambda x: (*jnp.frexp(x), jnp.ldexp(x, jnp.arange(5))), [(5,)]),
        (lambda x: jax.scipy.special.polygamma(1, abs(x)), [(5,)]),
        (lambda x: (*jax.lax.approx_max_k(x, 2), *jax.lax.approx_min_k(x, 2)), [(4, 5)]),
        (lambda x: x.at[1].apply(jnp.sin), [(4, 5)]),
        (jax.grad(depthwise, argnums=(0, 1)), [(2, 4, 4, 2), (3, 3, 1, 4)]),
        (  # of three loops each ends by itself
            jax.vmap(
                lambda x: jax.lax.while_loop(lambda c: c.sum() < 50, lambda c: c * 2 + 1, abs(x))
            ),
            [(3, 4)],
        ),
        (lambda x: jax.nn.softmax(x.astype("float16")), [(4, 5)]),
        (lambda x: (x.astype("bfloat16") @ x.T.astype("bfloat16")).astype("float32"), [(4, 5)]),
    ],
)
def test_functions_that_jax_makes_of_bits_groups_halves_and_several_loops(function, shapes):
    sg.from_jax(function, *[numbers(*shape) for shape in shapes])


def test_what_has_no_gradient_here_comes_in_without_and_says_so_when_one_is_asked_for():
    x = numbers(4, 2)
    imported = sg.from_jax(lambda x: jnp.linalg.qr(x, mode="complete"), x)
    assert "gradients are not compared, and there are none here: gradient of" in imported.notes[0]
    loss = imported.loss_with(lambda factors: sg.sum(factors[0] ** 3))
    with pytest.raises(sg.errors.NotDifferentiableError, match="complete an orthogonal basis"):
        sg.trace(sg.grad(lambda x: loss({}, x)), x)


def test_a_function_of_the_users_with_the_name_of_one_of_jax_is_its_own():
    @jax.jit
    def signbit(x):
        return x * 2

    imported = sg.from_jax(lambda x: signbit(x), numbers(3))
    assert [step.label for step in imported.block.steps] == ["mul"]


def test_a_window_of_a_known_array_starts_where_a_step_of_a_loop_says():
    known = jnp.asarray(numbers(5, 2))

    def function(x):
        def step(total, i):
            return total + jax.lax.dynamic_slice(known, (i, 0), (2, 2)), known[i]

        return jax.lax.scan(step, x, jnp.arange(3))

    sg.from_jax(function, numbers(2, 2))


def test_wrong_calls_are_named():
    _, _, (x,), imported = made("mlp")
    with pytest.raises(sg.errors.ArgumentError, match="is not a function"):
        sg.from_jax(3, x)
    with pytest.raises(sg.errors.ArgumentError, match="inputs are arranged"):
        imported.function(dg, imported.parameters, [dg.tensor(x)])
    with pytest.raises(sg.errors.ShapeError, match=r"the input x0 has shape \(2, 4\)"):
        imported.function(dg, imported.parameters, dg.tensor(x[:2]))
    with pytest.raises(sg.errors.ArgumentError, match="head is missing"):
        imported.function(dg, {}, dg.tensor(x))


def test_every_entry_is_a_primitive_of_jax():
    from jax._src.interpreters import mlir

    known = {each.name for each in mlir._lowerings} | {"cond", "scan", "while"}
    known |= {each.name for each in mlir._platform_specific_lowerings["cpu"]}
    assert set(TABLE) <= known


def test_every_primitive_of_lax_is_read_or_refused_with_its_reason():
    from jax.extend.core import Primitive, primitives

    found = [getattr(each, name) for each in (jax.lax, primitives) for name in dir(each)]
    names = {each.name for each in found if isinstance(each, Primitive)}
    assert len(names) > 150
    assert sorted(names - TABLE.keys() - set(_CALLS) - REFUSED.keys()) == []
    assert sorted(TABLE.keys() & REFUSED.keys()) == []
    assert all(cause and fix for cause, fix in REFUSED.values())


def by(function, *arrays):
    return np.asarray(sg.function(function, backend="numpy")(*arrays))


WIDER = {
    "einsum": (
        lambda a, b: jnp.einsum("ij,jk->ik", a, b, preferred_element_type=jnp.int32),
        [(2, 4), (4, 2)],
        "int8",
    ),
    "matmul": (
        lambda a, b: jnp.matmul(a, b, preferred_element_type=jnp.float32),
        [(2, 4), (4, 2)],
        "uint8",
    ),
    "convolution": (
        lambda a, b: jax.lax.conv_general_dilated(
            a, b, (1,), [(1, 1)], preferred_element_type=jnp.int32
        ),
        [(1, 2, 5), (1, 2, 3)],
        "int8",
    ),
}


@pytest.mark.parametrize("name", WIDER)
def test_products_are_summed_in_the_dtype_that_is_asked_for(name):
    function, shapes, dtype = WIDER[name]
    imported = sg.from_jax(function, *[np.ones(shape, dtype) for shape in shapes])
    large = [np.full(shape, 100, dtype) for shape in shapes]
    found = by(lambda *x: imported.function(sg, {}, *x), *large)
    np.testing.assert_array_equal(found, function(*large), strict=True)


def test_a_function_that_is_called_as_one_of_jaxs_is_another():
    @jax.custom_jvp
    def relu(x):
        return jnp.maximum(x, 0.1 * x)

    relu.defjvp(lambda p, t: (relu(p[0]), jnp.where(p[0] > 0, t[0], 0.1 * t[0])))
    imported = sg.from_jax(lambda x: relu(x), np.float32([1, 2]))
    found = by(lambda x: imported.function(sg, {}, x), np.float32([-1, 2]))
    np.testing.assert_allclose(found, [-0.1, 2])


def test_a_function_at_several_places_is_refused_where_one_may_come_twice():
    x, places = jnp.ones(3), np.array([0, 1])
    with pytest.raises(sg.errors.UnsupportedOpError, match="at several indices"):
        sg.from_jax(lambda x, i: x.at[i].apply(jnp.sin), x, places)
    function = lambda x, i: x.at[i].apply(jnp.sin, unique_indices=True)  # noqa: E731
    assert sg.from_jax(function, x, places).differences[0].error < 1e-6


def test_keys_of_jax_are_refused_wherever_they_are_passed():
    key = jax.random.key(0)
    with pytest.raises(sg.errors.UnsupportedOpError, match="is a key of JAX"):
        sg.from_jax(lambda k: jax.random.normal(k, (3,)), key)
    with pytest.raises(sg.errors.UnsupportedOpError, match="layer.key is a key of JAX"):
        sg.from_jax(lambda p, x: x, np.ones(3), parameters={"layer": {"key": key}})


def test_names_that_meet():
    x = np.ones(3, "float32")
    with pytest.raises(sg.errors.ArgumentError, match="two parameters are called 'a.b'"):
        sg.from_jax(
            lambda p, x: x * p["a.b"] * p["a"]["b"], x, parameters={"a.b": x, "a": {"b": x}}
        )
    imported = sg.from_jax(lambda p, x: x * p["x0"] * 2, x, parameters={"x0": 3 * x})
    assert [each.name for each in imported.inputs] == ["x0_"]
    assert {each.what for each in imported.differences} >= {"gradient by x0", "gradient by x0_"}
    assert len(imported.graph.outputs) == 1
