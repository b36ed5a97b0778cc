"""print_ and assert_: they run whenever a run reaches them, in both modes, through every pass."""

import numpy as np
import pytest

import dyngraph as dg
import staticgraph as sg
from oplibrary.core.registry import REGISTRY
from oplibrary.messages.errors import ArgumentError, AssertionFailedError, DTypeError
from oplibrary.ops.effects import assert_, print_
from staticgraph.passes import DEFAULT_PASSES, without

BACKENDS = ("interpret", "numpy")
ALL = pytest.mark.parametrize("backend", BACKENDS)


def lines(capsys):
    return capsys.readouterr().out.splitlines()


def array(*values):
    return np.array(values, "float32")


# both modes ---------------------------------------------------------------------------------------


def test_print_shows_the_value_and_returns_it(capsys):
    x = array(1, 2)
    y = print_(x, "weights")
    assert lines(capsys) == ["weights: [1. 2.]"]
    assert np.array_equal(y, x)
    assert not np.shares_memory(y, x)
    print_(x[0])
    print_(np.arange(6).reshape(2, 3), "m")
    assert lines(capsys) == ["1.0", "m: [[0 1 2]", "    [3 4 5]]"]


def test_print_in_eager_mode_prints_at_once_and_passes_gradients(capsys):
    x = dg.tensor([1.0, 2.0], requires_grad=True)
    y = dg.sum(dg.print_(x * x, "square"))
    assert lines(capsys) == ["square: [1. 4.]"]
    y.backward()
    assert np.array_equal(x.grad.numpy(), [2, 4])
    assert not lines(capsys)


@ALL
def test_print_in_static_mode_prints_in_every_run_and_not_while_tracing(capsys, backend):
    def loss(x):
        return sg.sum(sg.print_(x * x, "square"))

    graph = sg.trace(sg.value_and_grad(loss), sg.TensorType((2,)))
    run = sg.compile(graph.outputs, graph.inputs, backend=backend)
    assert not lines(capsys)
    for _ in range(2):
        value, slope = run(array(1, 2))
        assert lines(capsys) == ["square: [1. 4.]"]
    assert value == 5
    assert np.array_equal(slope, [2, 4])


def test_the_printed_value_keeps_its_bits_and_layout():
    x = np.arange(12.0).reshape(3, 4).T
    assert print_(x).strides == x.strides
    assert print_(x).dtype == x.dtype


MODES = pytest.mark.parametrize("xp", [dg, sg], ids=["dynamic", "static"])


def called(xp, function, *arrays):
    if xp is sg:
        return sg.function(function)(*arrays)
    return function(*map(dg.tensor, arrays))


@MODES
def test_a_failed_assertion_shows_its_line_message_and_values(xp):
    def checked(x):
        xp.assert_(x > 0, "all are positive", x)
        return x

    assert called(xp, checked, array(1, 2)).tolist() == [1, 2]
    with pytest.raises(AssertionFailedError) as caught:
        called(xp, checked, array(1, -2))
    text = str(caught.value)
    assert caught.value.id == "SBS-107"
    assert caught.value.source.text == 'xp.assert_(x > 0, "all are positive", x)'
    assert "assert_: all are positive" in text
    assert "1 of 2 elements, first at [1]" in text
    assert "the values are [ 1. -2.]" in text
    assert isinstance(caught.value, AssertionError)


@MODES
def test_a_condition_that_is_not_bool_is_refused_alike(xp):
    with pytest.raises(DTypeError, match="the condition is float32"):
        called(xp, lambda x: xp.assert_(x), array(1, 2))


@MODES
@pytest.mark.parametrize("name", ["print_", "assert_"])
def test_a_message_that_is_no_text_is_refused(xp, name):
    with pytest.raises(ArgumentError, match=f"{name}: the message is 3"):
        called(xp, lambda x: getattr(xp, name)(x > 0, 3), array(1, 2))


def test_a_symbolic_message_is_refused():
    with pytest.raises(ArgumentError, match="message is .*, a value of the graph"):
        sg.trace(lambda x: sg.print_(x, x), sg.TensorType(()))


def test_assert_without_message_and_on_plain_numbers():
    assert assert_(True, "holds")
    with pytest.raises(AssertionFailedError, match="the condition does not hold"):
        assert_(False)


def test_the_records_say_that_they_have_effects():
    effects = {"print_", "assert_", "_require_near"}
    assert {op.name for op in REGISTRY.values() if op.effect} == effects


# optimisation -------------------------------------------------------------------------------------


def prints(x):
    """Print what is used, unused, repeated, constant and dead, in one order."""
    sg.print_(sg.sum(x), "unused")
    big = sg.print_(sg.broadcast_to(x, (50, 2)), "big") * 2.0
    for _ in range(2):
        sg.print_(x, "twice")
    folded = sg.print_(sg.constant([1.0, 2.0]) + 1.0, "constant")
    return sg.sum(sg.exp(big - big)) + sg.sum(folded) + sg.sum(sg.tanh(x * 1.0))


@ALL
@pytest.mark.parametrize(
    "passes",
    [None, (), *[without(each.__name__) for each in DEFAULT_PASSES]],
    ids=["all", "none", *[f"no-{each.__name__}" for each in DEFAULT_PASSES]],
)
def test_every_effect_survives_every_pass_in_order(capsys, backend, passes):
    graph = sg.trace(prints, sg.TensorType((2,)))
    run = sg.compile(graph.outputs, graph.inputs, backend=backend, passes=passes, verify=True)
    assert not lines(capsys)
    for _ in range(2):
        run(array(1, 2))
        starts = [line.partition(":")[0] for line in lines(capsys) if ":" in line]
        assert starts == ["unused", "big", "twice", "twice", "constant"]


# which ones run -----------------------------------------------------------------------------------


def test_a_declared_effect_runs_whenever_its_inputs_are_fed(capsys):
    with sg.Graph() as graph:
        x, z = sg.placeholder("x", ()), sg.placeholder("z", ())
        w = sg.variable(1.0, name="w")
        sg.print_(x, "x")
        sg.print_(z, "z")
        sg.print_(w.assign(w + 1.0), "assigned")
        y = x * 2.0
    sg.compile(y, [x])(1.0)
    assert lines(capsys) == ["x: 1.0"]
    sg.compile(y, [x, z])(1.0, 2.0)
    assert lines(capsys) == ["x: 1.0", "z: 2.0"]
    assert w.value == 1  # no effect makes an assignment that was not asked for
    with sg.Session(graph) as session:
        session.run(y, {x: 1.0})
        assert lines(capsys) == ["x: 1.0"]


def test_a_fed_node_is_not_computed_for_an_effect(capsys):
    with sg.Graph():
        x = sg.placeholder("x", ())
        y = sg.exp(x)
        sg.print_(y, "y")
        z = y + 1.0
    assert sg.compile(z, [y])(2.0) == 3
    assert lines(capsys) == ["y: 2.0"]


# control flow -------------------------------------------------------------------------------------


def running(xp, x, xs):
    def body(c, e):
        xp.print_(c, "carry")
        xp.assert_(e < 3, "small", e)
        return c + e, c

    last, _ = xp.scan(body, x, xs)
    return last


@ALL
def test_a_body_prints_at_each_step_and_not_again_for_gradients(capsys, backend):
    run = sg.function(
        sg.value_and_grad(lambda x, xs: running(sg, x, xs), argnums=(0, 1)), backend=backend
    )
    value, _ = run(array(0)[0], array(1, 2))
    static = lines(capsys)
    assert static == ["carry: 0.0", "carry: 1.0"]
    assert value == 3
    dg.value_and_grad(lambda x, xs: running(dg, x, xs))(array(0)[0], array(1, 2))
    assert lines(capsys) == static


@ALL
def test_an_assertion_in_a_body_names_its_own_line_first(backend):
    run = sg.function(lambda x, xs: running(sg, x, xs), backend=backend)
    with pytest.raises(AssertionFailedError) as caught:
        run(array(0)[0], array(1, 5))
    assert caught.value.source.text == 'xp.assert_(e < 3, "small", e)'
    labels = dict(caught.value.related)
    assert labels["inside scan"].text == "last, _ = xp.scan(body, x, xs)"
    assert "the values are 5.0" in str(caught.value)


@ALL
def test_while_prints_its_steps_once_also_with_gradients(capsys, backend):
    def grow(x):
        return sg.while_loop(lambda c: sg.print_(c, "test") < 10, lambda c: c * c, x)

    run = sg.function(sg.value_and_grad(grow), backend=backend)
    value, slope = run(np.float32(2))
    assert (value, slope) == (16, 32)
    assert lines(capsys) == ["test: 2.0", "test: 4.0", "test: 16.0"]


@ALL
def test_only_the_branch_taken_prints_even_if_its_result_is_unused(capsys, backend):
    def choose(x):
        sg.cond(x > 0, lambda: sg.print_(x, "positive"), lambda: sg.print_(-x, "other"))
        return x * 2

    run = sg.function(choose, backend=backend)
    run(np.float32(1))
    run(np.float32(-1))
    assert lines(capsys) == ["positive: 1.0", "other: 1.0"]


def loud(x):
    return x * sg.print_(x * 2.0, "x") + x


def quadratic(c, e):
    return loud(c) * e * 0.1, c


NESTED = {
    "scan in scan": lambda c, row: (sg.scan(quadratic, c, row)[0], c),
    "scan in scan in scan": lambda c, row: (
        sg.scan(lambda d, e: (sg.scan(quadratic, d, sg.stack([e, e]))[0], d), c, row)[0],
        c,
    ),
    "cond in scan": lambda c, row: (
        sg.cond(row[0] > 1, lambda: loud(c) * row[0], lambda: sg.print_(c, "other") * row[1]),
        c,
    ),
    "scan in cond in scan": lambda c, row: (
        sg.cond(row[0] > 1, lambda: sg.scan(quadratic, c, row)[0], lambda: sg.print_(c, "other")),
        c,
    ),
    "while in scan": lambda c, row: (
        sg.while_loop(lambda d: sg.print_(d, "test") < 2, lambda d: loud(d) * row[1], c),
        c,
    ),
}


@ALL
@pytest.mark.parametrize("body", NESTED.values(), ids=NESTED.keys())
def test_nested_control_flow_prints_once_a_step_whatever_is_differentiated(capsys, backend, body):
    def f(x, xs):
        last, steps = sg.scan(body, x, xs)
        return last * last + sg.sum(steps)

    x, xs = np.float32(0.5), array(2, 1, 0.5, 2, 4, 3).reshape(3, 2)
    sg.function(f, backend=backend)(x, xs)
    once = lines(capsys)
    assert len(once) >= 3
    first = sg.value_and_grad(f, argnums=(0, 1))
    sg.function(first, backend=backend)(x, xs)
    assert lines(capsys) == once
    # two gradients of one loop, each of which asks it for other values
    both = lambda x, xs: (sg.grad(f)(x, xs), first(x, xs))  # noqa: E731
    sg.function(both, backend=backend)(x, xs)
    assert lines(capsys) == [*once, *once]  # f is declared twice


@ALL
@pytest.mark.parametrize("name", [name for name in NESTED if "while" not in name])
def test_a_second_derivative_prints_each_step_once(capsys, backend, name):
    def f(x, xs):
        last, steps = sg.scan(NESTED[name], x, xs)
        return last * last + sg.sum(steps)

    x, xs = np.float32(0.5), array(2, 1, 0.5, 2, 4, 3).reshape(3, 2)
    sg.function(f, backend=backend)(x, xs)
    once = lines(capsys)
    second = sg.value_and_grad(sg.grad(f))
    value, slope = sg.function(second, backend=backend)(x, xs)
    assert lines(capsys) == once
    assert np.isfinite(value)
    assert slope != 0
