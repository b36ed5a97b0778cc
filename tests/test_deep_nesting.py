"""What is nested deeper than Python's own limit is right, or refused by name."""

import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import dyngraph as dg
import staticgraph as sg
from oplibrary.messages.errors import ArgumentError, NodeBudgetError, SideBySideError
from oplibrary.values.tree import flatten, unflatten

DEEP = 10_000
TOO_DEEP = 130 if sys.version_info < (3, 12) else 160
"""Branches that can be declared within Python's usual limit, and whose gradients cannot; from 3.12
on calls from C are not counted."""


@pytest.fixture(autouse=True)
def usual_calls():
    """Let calls be as deep as Python has them; PyTorch's compiler, once used, allows more."""
    before = sys.getrecursionlimit()
    sys.setrecursionlimit(1000)
    yield
    sys.setrecursionlimit(before)


def nested(kind, depth=DEEP):
    value = np.ones(2)
    for _ in range(depth):
        value = {"a": value} if kind is dict else kind([value])
    return value


def innermost(value):
    while isinstance(value, (list, tuple, dict)):
        value = value["a"] if isinstance(value, dict) else value[0]
    return value


CALLS = {
    "sg.function": lambda v: sg.function(lambda v: innermost(v) * 2)(v),
    "sg.trace": lambda v: sg.trace(innermost, v),
    "sg.compile": sg.compile,
    "sg.value_and_grad": lambda v: sg.trace(
        lambda x: sg.value_and_grad(lambda v: sg.sum(innermost(v)))(v), np.ones(2)
    ),
    "a result": lambda v: sg.function(lambda x: (x, v))(np.ones(2)),
    "a carry": lambda v: sg.trace(
        lambda x: sg.while_loop(lambda v: innermost(v).sum() < 0, lambda v: v, v), np.ones(2)
    ),
    "a feed": lambda v: sg.compile(*_doubled())(v),
    "dg.value_and_grad": lambda v: dg.value_and_grad(lambda v: dg.sum(innermost(v)))(v),
    "dg.while_loop": lambda v: dg.while_loop(lambda v: innermost(v).sum() < 0, lambda v: v, v),
    "dg.tensor": dg.tensor,
    "dg.stack": dg.stack,
    "an index": lambda v: dg.ones(3)[v],
}


def _doubled():
    with sg.Graph():
        x = sg.placeholder("x", (2,), "float64")
        return x * 2, [x]


@pytest.mark.parametrize("kind", [list, tuple, dict])
@pytest.mark.parametrize("call", CALLS)
def test_arguments_nested_deep_are_refused_by_name(call, kind):
    with pytest.raises(SideBySideError) as caught:
        CALLS[call](nested(kind))
    assert len(str(caught.value)) < 2000


@pytest.mark.parametrize("kind", [list, tuple, dict])
def test_fewer_levels_are_right(kind):
    value = nested(kind, 100)
    leaves, structure = flatten(value)
    assert innermost(unflatten(structure, leaves)).tolist() == [1, 1]
    assert sg.function(lambda v: innermost(v) * 2)(value).tolist() == [2, 2]


def test_a_container_that_holds_itself_is_refused():
    endless = []
    endless.append(endless)
    with pytest.raises(ArgumentError, match="more than 100 levels deep"):
        flatten(endless)


def test_deep_calls_around_a_shallow_tree_are_no_fault_of_the_tree():
    def down(depth):
        return flatten([1]) if depth == 0 else down(depth - 1)

    with pytest.raises(RecursionError):
        for depth in range(sys.getrecursionlimit() - 200, sys.getrecursionlimit()):
            down(depth)


def test_views_of_views():
    w = dg.tensor(np.ones(4), requires_grad=True)
    base = w * 1.0
    view = base
    for _ in range(DEEP):
        view = view[::-1]
    view[0] = 5.0
    view *= 2
    assert base.tolist() == [10, 2, 2, 2]
    base.sum().backward()
    assert w.grad.tolist() == [0, 2, 2, 2]


@pytest.mark.parametrize("backend", ["interpret", "numpy", "native"])
def test_views_of_views_in_a_graph(backend):
    if backend == "native":
        pytest.importorskip("llvmlite")

    def model(x):
        y = x
        for _ in range(DEEP - 1):
            y = y[::-1]
        return sg.sum(y * sg.arange(4.0))

    run = sg.function(sg.grad(model), backend=backend)
    assert run(np.ones(4)).tolist() == [3, 2, 1, 0]


def conds(x, depth):
    if depth == 0:
        return x * 2
    return sg.cond(sg.sum(x) > -depth, lambda: conds(x + 1, depth - 1), lambda: x)


def test_branches_in_branches():
    assert sg.function(lambda x: conds(x, 100), backend="numpy")(np.ones(2)).tolist() == [202, 202]
    with pytest.raises(NodeBudgetError) as caught:
        sg.trace(lambda x: conds(x, 1000), np.ones(2))
    assert "conds called itself" in caught.value.what
    assert "sys.setrecursionlimit" in caught.value.fix


def test_gradients_of_branches_too_deep_are_refused_by_name():
    def trace():  # in a thread, whose calls are counted from its own beginning
        with pytest.raises(NodeBudgetError) as caught:
            sg.trace(sg.grad(lambda x: sg.sum(conds(x, TOO_DEEP))), np.ones(2))
        return caught

    caught = ThreadPoolExecutor(1).submit(trace).result()
    assert "nested deeper" in caught.value.what
    assert "sys.setrecursionlimit" in caught.value.fix


@pytest.fixture
def many_calls(usual_calls):
    sys.setrecursionlimit(100_000)


@pytest.mark.usefixtures("many_calls")
@pytest.mark.parametrize(
    ("backend", "depth"), [("interpret", 400), ("numpy", 1000), ("native", 100)]
)
def test_branches_in_branches_with_the_limit_raised(backend, depth):
    if backend == "native":
        pytest.importorskip("llvmlite")
    model = sg.value_and_grad(lambda x: sg.sum(conds(x, depth)))
    value, gradient = sg.function(model, backend=backend)(np.ones(2))
    assert value == 4 * (depth + 1)
    assert gradient.tolist() == [2, 2]


def loops(x, depth, loop):
    return x * 2 if depth == 0 else loop(lambda c: loops(c, depth - 1, loop) - 1, x)


LOOPS = {
    "fori_loop": lambda body, x: sg.fori_loop(0, 1, lambda i, c: body(c), x),
    "scan": lambda body, x: sg.scan(lambda c, each: (body(c), None), x, np.ones(1))[0],
    "while_loop": lambda body, x: sg.while_loop(lambda c: c[0] > 0, lambda c: body(c) - 900, x),
    "switch": lambda body, x: sg.switch(x[0].astype("int64"), [lambda: x, lambda: body(x)]),
}


@pytest.mark.usefixtures("many_calls")
@pytest.mark.parametrize("backend", ["numpy", "native"])
@pytest.mark.parametrize("loop", LOOPS)
def test_loops_in_loops_with_the_limit_raised(loop, backend):
    if backend == "native":
        pytest.importorskip("llvmlite")
    # each level is a function of machine code, or several: a tenth of a second
    depth, taken = 60 if backend == "native" else 150, 900 if loop == "while_loop" else 0
    model = sg.value_and_grad(lambda x: sg.sum(loops(x, depth, LOOPS[loop])))
    value, gradient = sg.function(model, backend=backend)(np.full(1, 2.0))
    assert value == 4 - depth * (1 + taken)
    assert gradient.tolist() == [2]
