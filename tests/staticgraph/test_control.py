"""Control flow in the graph: lazily run, differentiable, nestable, the same bits as dyngraph."""

import functools
import time

import numpy as np
import pytest

import dyngraph as dg
import staticgraph as sg
from oplibrary.messages.errors import (
    ArgumentError,
    BranchTypeError,
    DTypeError,
    LoopBoundError,
    NotDifferentiableError,
)

BACKENDS = ("interpret", "numpy")
function = functools.partial(sg.function, backend="numpy")


def rng():
    return np.random.default_rng(0)


@pytest.mark.parametrize("backend", BACKENDS)
def test_cond_runs_one_branch_only(backend):
    """The branch not taken would fail if it ran: it indexes out of bounds."""

    def choose(x, i):
        return sg.cond(sg.sum(x) > 0, lambda: sg.take(x, i, axis=0), lambda: x[0] * 0)

    run = sg.function(choose, backend=backend)
    assert run(np.array([1.0, 2.0]), np.array(1)) == 2.0
    assert run(np.array([-1.0, -2.0]), np.array(99)) == 0.0
    with pytest.raises(IndexError):
        run(np.array([1.0, 2.0]), np.array(99))


@pytest.mark.parametrize("backend", BACKENDS)
def test_gradient_of_cond_is_that_of_the_branch_taken(backend):
    def loss(xp, x, w):
        return xp.sum(xp.cond(xp.sum(x) > 0, lambda a: xp.exp(a) * w, lambda a: a * 3.0, x))

    run = sg.function(
        sg.value_and_grad(lambda x, w: loss(sg, x, w), argnums=(0, 1)), backend=backend
    )
    for x in (np.array([1.0, 2.0]), np.array([-1.0, -2.0])):
        w = np.array([0.5, 1.5])
        value, grads = run(x, w)
        expected, expected_grads = dg.value_and_grad(lambda x, w: loss(dg, x, w), argnums=(0, 1))(
            x, w
        )
        assert value == expected.item()
        for a, b in zip(grads, expected_grads, strict=True):
            assert np.array_equal(a, b.numpy())


def test_switch_clamps_its_index():
    run = function(lambda i, x: sg.switch(i, [lambda v: v, lambda v: v * 2, lambda v: v * 3], x))
    assert [float(run(np.array(i), np.array(1.0))) for i in (-5, 0, 1, 2, 9)] == [1, 1, 2, 3, 3]


@pytest.mark.parametrize("backend", BACKENDS)
def test_while_loop_runs_as_often_as_the_data_asks(backend):
    def root(xp, x):
        return xp.while_loop(lambda r: xp.abs(r * r - x) > 1e-9, lambda r: (r + x / r) / 2, x)

    run = sg.function(sg.value_and_grad(lambda x: root(sg, x)), backend=backend)
    for number in (2.0, 9.0, 1e6, 1.0):
        value, slope = run(np.array(number))
        expected, expected_slope = dg.value_and_grad(lambda x: root(dg, x))(
            dg.tensor(number, dtype="float64")
        )
        assert value == expected.item()
        np.testing.assert_allclose(slope, expected_slope.numpy(), rtol=1e-12)


def test_second_derivative_of_a_while_loop_is_refused_when_declared():
    def root(x):
        return sg.while_loop(lambda r: sg.abs(r * r - x) > 1e-9, lambda r: (r + x / r) / 2, x)

    with pytest.raises(NotDifferentiableError, match="scan"):
        sg.trace(sg.grad(sg.grad(root)), sg.TensorType((), "float64"))


def recurrent(xp, w, u, h, xs):
    last, ys = xp.scan(lambda h, x: ((n := xp.tanh(h @ w + x @ u)), n), h, xs)
    return xp.sum(ys * ys) + xp.sum(last)


def recurrent_arguments():
    return [rng().standard_normal(s) * 0.3 for s in [(4, 4), (3, 4), (4,), (5, 3)]]


@pytest.mark.parametrize("backend", BACKENDS)
def test_scan_and_its_gradients_equal_the_dynamic_loop_bit_for_bit(backend):
    arguments = recurrent_arguments()
    everything = (0, 1, 2, 3)
    run = sg.function(
        sg.value_and_grad(lambda *a: recurrent(sg, *a), argnums=everything), backend=backend
    )
    value, grads = run(*arguments)
    expected, expected_grads = dg.value_and_grad(lambda *a: recurrent(dg, *a), argnums=everything)(
        *map(dg.tensor, arguments)
    )
    assert value == expected.item()
    for a, b in zip(grads, expected_grads, strict=True):
        assert np.array_equal(a, b.numpy())


def test_scan_has_second_derivatives():
    arguments = recurrent_arguments()

    def static(*a):
        return sg.sum(sg.grad(lambda *b: recurrent(sg, *b))(*a) ** 2)

    def dynamic(*a):
        return dg.sum(dg.grad(lambda *b: recurrent(dg, *b), create_graph=True)(*a) ** 2)

    found = function(sg.grad(static))(*arguments)
    expected = dg.grad(dynamic)(*map(dg.tensor, arguments))
    np.testing.assert_allclose(found, expected.numpy(), rtol=1e-10)


def test_scan_backwards_and_without_sequences():
    def sums(xp, x, reverse):
        return xp.scan(lambda t, each: (t + each, t + each), x[0] * 0, x, reverse=reverse)

    x = np.array([1.0, 2.0, 3.0])
    for reverse in (False, True):
        total, partial = function(lambda x, r=reverse: sums(sg, x, r))(x)
        expected_total, expected = sums(dg, dg.tensor(x), reverse)
        assert total == expected_total.item()
        assert partial.tolist() == expected.tolist()
    doubled = function(lambda x: sg.scan(lambda c, _: (c * 2, c), x, length=4))
    last, steps = doubled(np.array(1.0))
    assert (float(last), steps.tolist()) == (16.0, [1.0, 2.0, 4.0, 8.0])


def test_scan_of_no_steps_returns_arrays_of_its_own():
    run = function(lambda x, xs: sg.scan(lambda c, e: (c + e, c), x, xs))
    x = np.array(3.0)
    last, ys = run(x, np.zeros(0))
    assert (float(last), ys.shape) == (3.0, (0,))
    assert not np.shares_memory(last, x)


def test_whole_numbers_may_be_carried():
    def count(xp, x):
        return xp.while_loop(
            lambda s: xp.logical_and(s["x"] > 1.0, s["n"] < 100),
            lambda s: {"n": s["n"] + 1, "x": s["x"] * 0.5},
            {"n": xp.asarray(np.array(0)), "x": x},
        )

    run = function(sg.value_and_grad(lambda x: count(sg, x)["x"]))
    value, slope = run(np.array(20.0))
    assert (value, slope) == (0.625, 1 / 32)
    assert function(lambda x: count(sg, x))(np.array(20.0))["n"] == 5


def test_loops_and_branches_nest():
    def program(xp, x, ys):
        def step(total, y):
            kept = xp.cond(y > 0, lambda: xp.fori_loop(0, 3, lambda i, v: v * x, y), lambda: y)
            return total + kept, kept

        return xp.sum(xp.scan(step, x * 0, ys)[0])

    x, ys = np.array(1.5), np.array([1.0, -2.0, 3.0])
    run = function(sg.value_and_grad(lambda *a: program(sg, *a), argnums=(0, 1)))
    value, (dx, dys) = run(x, ys)
    expected, (ex, eys) = dg.value_and_grad(lambda *a: program(dg, *a), argnums=(0, 1))(x, ys)
    assert value == expected.item()
    np.testing.assert_allclose(dx, ex.numpy(), rtol=1e-12)
    np.testing.assert_allclose(dys, eys.numpy(), rtol=1e-12)


def test_fori_loop_with_bounds_of_the_graph():
    run = function(lambda n, x: sg.fori_loop(0, n, lambda i, v: v * x, x))
    assert [float(run(np.array(n), np.array(2.0))) for n in (0, 1, 5)] == [2.0, 4.0, 64.0]


def test_map_stacks_results():
    run = function(lambda xs: sg.map(lambda x: sg.sum(x) * 2, xs))
    assert run(np.ones((3, 4))).tolist() == [8.0, 8.0, 8.0]


def test_declared_graphs_and_sessions_take_control_flow():
    graph = sg.Graph()
    with graph:
        x = sg.placeholder("x", (), "float64")
        w = sg.variable(np.array(2.0), name="w")
        y = sg.cond(x > 0, lambda: x * w, lambda: -x)
        (dw,) = sg.gradients(y, [w])
        step = w.assign(w - dw)
    with sg.Session(graph, backend="numpy") as session:
        assert session.run(y, {x: 3.0}) == 6.0
        session.run(step, {x: 3.0})
        assert w.value == -1.0


@pytest.mark.parametrize("backend", BACKENDS)
def test_every_pass_keeps_the_results(backend):
    graph = sg.trace(
        sg.value_and_grad(lambda *a: recurrent(sg, *a), argnums=(0, 1, 2, 3)),
        *recurrent_arguments(),
    )
    plain = sg.compile(graph.outputs, graph.inputs, backend="interpret", passes=())
    whole = sg.compile(graph.outputs, graph.inputs, backend=backend, verify=True)
    for a, b in zip(plain(*recurrent_arguments()), whole(*recurrent_arguments()), strict=True):
        assert np.array_equal(a, b)


def test_carries_are_stacked_only_for_a_gradient():
    arguments = recurrent_arguments()
    graph = sg.trace(lambda *a: recurrent(sg, *a), *arguments)
    run = sg.compile(graph.outputs, graph.inputs, backend="numpy")
    (scan,) = [i for i in run.program.instructions if "keep" in i.attrs]
    assert scan.attrs["keep"] == (False, True)


def test_build_does_not_depend_on_the_length_of_a_loop():
    def nodes(length):
        graph = sg.trace(
            sg.grad(lambda x: sg.sum(sg.fori_loop(0, length, lambda i, v: sg.sin(v), x))),
            np.ones(3),
        )
        return len(graph)

    assert nodes(10) == nodes(10_000)


def test_branches_of_different_types_show_both_lines():
    def one(x):
        return x * 2  # a float

    def other(x):
        return x > 0  # a bool

    with pytest.raises(BranchTypeError) as caught:
        sg.trace(lambda x: sg.cond(sg.sum(x) > 0, one, other, x), np.ones(3))
    text = str(caught.value)
    assert "def one(x)" in text
    assert "def other(x)" in text
    assert "bool[3]" in text
    assert "float64[3]" in text


def test_carries_of_different_types_show_both():
    with pytest.raises(BranchTypeError, match=r"float64\[\] .* float64\[3\]"):
        sg.trace(lambda x: sg.scan(lambda c, e: (c + x, None), x[0], x)[0], np.ones(3))
    with pytest.raises(BranchTypeError, match="arranges"):
        sg.trace(lambda x: sg.while_loop(lambda c: c > 0, lambda c: (c, c), x), np.array(1.0))


def test_conditions_must_be_one_bool():
    with pytest.raises(DTypeError, match="where"):
        sg.trace(lambda x: sg.cond(x > 0, lambda: x, lambda: -x), np.ones(3))
    with pytest.raises(DTypeError, match="condition gives float64"):
        sg.trace(lambda x: sg.while_loop(lambda c: c, lambda c: c - 1, x), np.array(1.0))


def test_lengths_must_agree():
    with pytest.raises(ArgumentError, match="lengths"):
        sg.trace(
            lambda x, y: sg.scan(lambda c, e: (c, None), x[0], (x, y))[0], np.ones(3), np.ones(4)
        )
    with pytest.raises(ArgumentError, match="no length"):
        sg.trace(lambda x: sg.scan(lambda c, e: (c, None), x)[0], np.ones(3))


@pytest.mark.parametrize("xp", [sg, dg], ids=["static", "dynamic"])
def test_a_loop_that_never_ends_meets_its_bound(xp):
    def forever(x):
        return xp.while_loop(lambda c: c > 0, lambda c: c + 1, x, max_steps=50)

    with pytest.raises(LoopBoundError, match="50 steps") as caught:
        (function(forever) if xp is sg else forever)(np.array(1.0) if xp is sg else dg.tensor(1.0))
    assert "max_steps" in str(caught.value)


@pytest.mark.usefixtures("keyboard")
def test_an_endless_loop_can_be_interrupted():
    import _thread
    import threading

    run = function(lambda x: sg.while_loop(lambda c: c > 0, lambda c: c + 1, x))
    threading.Timer(0.3, _thread.interrupt_main).start()
    started = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        run(np.array(1.0))
    assert time.monotonic() - started < 30


@pytest.mark.parametrize("backend", [*BACKENDS, "native"])
@pytest.mark.usefixtures("keyboard")
def test_a_loop_of_a_known_length_can_be_interrupted(backend):
    if backend == "native":
        pytest.importorskip("llvmlite")
    import _thread
    import threading

    def both(x, steps=100_000):
        forwards = sg.fori_loop(0, steps, lambda i, c: sg.tanh(c @ c) + i, x)
        return sg.fori_loop(0, steps, lambda i, c: sg.tanh(c @ c) - i, forwards)

    x = np.full((300, 300), 0.001)
    run = sg.function(both, backend=backend)
    threading.Timer(1.0, _thread.interrupt_main).start()
    started = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        run(x)
    assert time.monotonic() - started < 30
    # the next run is not disturbed
    short = sg.function(lambda x: both(x, 300), backend=backend)
    expected = sg.function(lambda x: both(x, 300), backend="numpy")(x)
    np.testing.assert_allclose(short(x), expected, rtol=1e-6)


@pytest.mark.parametrize("backend", BACKENDS)
def test_only_the_branch_taken_runs_as_often_as_it_is_taken(backend, capsys):
    def step(total, x):
        def taken():
            return sg.print_(x, "taken")

        def other():
            return sg.print_(-x, "other")

        return total + sg.cond(x > 0, taken, other), None

    run = sg.function(
        sg.value_and_grad(lambda xs: sg.scan(step, xs[0] * 0, xs)[0]), backend=backend
    )
    total, slopes = run(np.array([1.0, -2.0, 3.0, 4.0]))
    lines = capsys.readouterr().out.splitlines()
    # the gradient computes without printing again
    assert [line.split(":")[0] for line in lines] == ["taken", "other", "taken", "taken"]
    assert (float(total), slopes.tolist()) == (10.0, [1.0, -1.0, 1.0, 1.0])


def test_a_checkpoint_keeps_less_memory():
    def layer(x):
        for _ in range(4):
            x = sg.sin(sg.exp(sg.cos(x @ x) * 0.1))
        return x

    def gradient(count, wrap):
        with sg.Graph():
            x = sg.placeholder("x", (64, 64), "float64")
            y = x
            for _ in range(count):
                y = wrap(layer, y)
            (dx,) = sg.gradients(sg.sum(y), [x])
            return sg.compile(dx, [x], backend="numpy")

    usual, again = gradient(6, lambda f, x: f(x)), gradient(6, sg.checkpoint)
    value = np.random.default_rng(0).standard_normal((64, 64))
    np.testing.assert_allclose(again(value), usual(value), rtol=1e-12)
    more = [gradient(10, wrap) for wrap in (lambda f, x: f(x), sg.checkpoint)]
    a_layer = [
        (long.plan.peak_bytes - short.plan.peak_bytes) // 4 // value.nbytes
        for long, short in zip(more, (usual, again), strict=True)
    ]
    # arrays that each further layer keeps until its gradient: its operand, and what gave it
    assert a_layer[0] >= 8 and a_layer[1] <= 2, a_layer


def test_a_checkpoint_is_the_function_in_both_modes():
    def program(xp):
        def f(x, w, *, scale):
            return {"y": xp.tanh(x * w) * scale}

        return lambda x, w: xp.sum(xp.checkpoint(f, x, w, scale=w * 2)["y"] * x)

    x, w = np.array([0.5, -1.0, 2.0]), np.array([1.5, 0.5, -0.25])
    for derive in (
        lambda xp: xp.grad(program(xp), (0, 1)),
        lambda xp: lambda x, w: xp.jvp(program(xp), (x, w), (w, x)),
        lambda xp: lambda x, w: (xp.hessian(program(xp), (x, w))[0][1],),
    ):
        static = sg.function(derive(sg), backend="numpy")(x, w)
        dynamic = derive(dg)(dg.tensor(x), dg.tensor(w))
        for ours, theirs in zip(static, dynamic, strict=True):
            np.testing.assert_allclose(ours, theirs.numpy(), rtol=1e-12)
    for xp in (dg, sg):
        with pytest.raises(ArgumentError, match="checkpoint was given"):
            xp.checkpoint(3)
