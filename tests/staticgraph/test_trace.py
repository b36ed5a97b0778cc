"""Tracing a function on types and examples, and what a trace refuses."""

from collections import namedtuple

import numpy as np
import pytest

import staticgraph as sg
from oplibrary.messages.errors import (
    GraphError,
    LeakedNodeError,
    MixedModesError,
    NodeBudgetError,
    SymbolicBoolError,
)

Point = namedtuple("Point", "x y")


def test_specs_become_placeholders_and_the_rest_is_passed_on():
    seen = {}

    def f(x, params, scale, *, mode, flags=None):
        seen.update(scale=scale, mode=mode, flags=flags)
        return {"y": sg.sum(x @ params["w"]) * scale, "b": [params["b"], None, 3.0]}

    graph = sg.trace(
        f,
        sg.TensorType((4, 3)),
        {"w": np.ones((3, 2), "float32"), "b": np.float64(1)},
        2.0,
        mode="fast",
    )
    assert [(n.name, repr(n.type)) for n in graph.inputs] == [
        ("x", "float32[4,3]"),
        ("params['w']", "float32[3,2]"),
        ("params['b']", "float64[]"),
    ]
    assert seen == {"scale": 2.0, "mode": "fast", "flags": None}
    assert [repr(node.type) for node in graph.outputs] == ["float32[]", "float64[]", "float32[]"]
    assert graph.name == "f" and graph.sealed
    run = sg.compile(graph.outputs, inputs=graph.inputs, backend="numpy")
    values = run(np.ones((4, 3), "float32"), np.ones((3, 2), "float32"), np.array(7.0))
    assert [v.item() for v in values] == [48, 7, 3]


def test_names_of_arguments():
    def f(*points, **named):
        return points[0].x + points[0].y + points[1] + named["z"]

    t = sg.TensorType(())
    graph = sg.trace(f, Point(t, t), t, z=t)
    assert [n.name for n in graph.inputs] == ["points[0].x", "points[0].y", "points[1]", "z"]
    graph = sg.trace(lambda add: add + add, t)
    assert [n.name for n in graph] == ["add", "add_1"]


def test_callables_of_other_kinds():
    class Model:
        def __call__(self, x):
            return x * 2

        def method(self, x):
            return x * 3

    t = sg.TensorType((2,))
    assert sg.trace(Model(), t).name == "Model"
    assert sg.trace(Model().method, t).inputs[0].name == "x"
    assert sg.trace(np.tanh, t).outputs[0].op.name == "tanh"


def test_given_an_array_it_is_the_op_of_that_name():
    with sg.Graph():
        x = sg.placeholder("x", (3, 3))
        assert sg.trace(x).shape == ()
        assert sg.trace(x, offset=1).shape == ()


def test_outputs_that_do_not_depend_on_inputs():
    graph = sg.trace(lambda x: (x, np.arange(3), 2, True), sg.TensorType(()))
    assert [repr(n.type) for n in graph.outputs] == ["float32[]", "int64[3]", "int64[]", "bool[]"]


def test_outputs_that_are_no_values():
    with pytest.raises(GraphError, match=r"'f' returned a str at \['name'\]"):

        def f(x):
            return {"x": x, "name": "f"}

        sg.trace(f, sg.TensorType(()))


def test_dynamic_tensors_are_refused():
    dg = pytest.importorskip("dyngraph")
    with pytest.raises(MixedModesError, match="Tensor was passed to a traced function"):
        sg.trace(lambda x: x, dg.tensor([1.0]))


def test_nodes_of_an_open_graph_are_refused_as_examples():
    with sg.Graph(name="outer"):
        x = sg.placeholder("x", ())
        with pytest.raises(LeakedNodeError, match=r"argument x: Node\(x"):
            sg.trace(lambda x: x, x)


# leaks --------------------------------------------------------------------------------------------


def test_a_node_kept_from_a_trace():
    kept = []

    def f(x):
        y = x * 2
        kept.append(y)
        return y

    sg.trace(f, sg.TensorType(()))
    (y,) = kept
    with pytest.raises(LeakedNodeError) as error:
        y + 1
    assert "after the trace of 'f' had ended" in error.value.what
    assert error.value.source.text == "y + 1"
    assert error.value.related[0][1].text == "y = x * 2"
    with pytest.raises(LeakedNodeError) as error:
        sg.trace(lambda x: x + y, sg.TensorType(()))
    assert "of graph 'f' was used in graph '<lambda>'" in error.value.what
    assert "kept from a trace that has ended" in error.value.cause
    with pytest.raises(LeakedNodeError):
        sg.trace(lambda x: y, sg.TensorType(()))


def test_a_traced_graph_can_be_extended_on_purpose():
    graph = sg.trace(lambda x: x * x, sg.TensorType(()))
    with graph:
        more = graph.outputs[0] + 1
    assert more.graph is graph


# size ---------------------------------------------------------------------------------------------


def test_an_unrolled_loop_has_a_budget():
    def grow(x):
        return sg.tanh(x)

    def f(x):
        for _ in range(1_000):
            x = grow(
                x,
            )
        return x

    with pytest.raises(NodeBudgetError) as error:
        sg.trace(f, sg.TensorType((3,)), max_nodes=100)
    assert "reached its budget of 100 nodes" in error.value.what
    assert "the loop at test_trace.py:" in error.value.what
    label, loop = error.value.related[0]
    assert label == "loop" and loop.text == "for _ in range(1_000):"
    assert error.value.source.text == "return sg.tanh(x)"
    assert "max_nodes=" in error.value.fix


def test_loops_of_other_kinds_are_found():
    def with_while(x):
        n = 0
        while n < 1_000:
            x, n = x + 1.5, n + 1
        return x

    def with_comprehension(x):
        return sg.concat([x * i for i in range(1_000)])

    for f, line in (
        (with_while, "while n < 1_000:"),
        (with_comprehension, "return sg.concat([x * i for i in range(1_000)])"),
    ):
        with pytest.raises(NodeBudgetError) as error:
            sg.trace(f, sg.TensorType((3,)), max_nodes=50)
        assert error.value.related[0][1].text == line


def test_recursion_is_bounded_too():
    def f(x, depth=0):
        return x if depth > 200 else f(x * 2, depth + 1)

    with pytest.raises(NodeBudgetError, match="it has grown"):
        sg.trace(f, sg.TensorType(()), max_nodes=50)


# errors -------------------------------------------------------------------------------------------


def test_errors_in_the_function_name_its_line_and_leave_nothing_open():
    def f(x):
        if x > 0:
            return x
        return -x

    with pytest.raises(SymbolicBoolError) as error:
        sg.trace(f, sg.TensorType(()))
    assert error.value.source.text == "if x > 0:"
    assert sg.current_graph() is None
    with pytest.raises(ZeroDivisionError):
        sg.trace(lambda x: 1 / 0, sg.TensorType(()))
    assert sg.current_graph() is None


def test_an_error_that_numpy_replaced_is_restored():
    def f(n):
        return sg.sum(sg.asarray(np.zeros(n)))

    with pytest.raises(TypeError, match="an index was asked of Node") as error:
        sg.trace(f, sg.TensorType((), "int64"))
    assert error.value.source.text == "return sg.sum(sg.asarray(np.zeros(n)))"


def test_placeholders_are_declared_where_the_function_is_defined():
    def f(x):
        return x * 2

    for function in (f, sg.grad(f), sg.function(f)):
        graph = sg.trace(function, sg.TensorType(()))
        assert graph.inputs[0].source.text == "def f(x):"
    assert graph.outputs[0].source.text == "return x * 2"
    graph = sg.trace(np.tanh, sg.TensorType(()))
    assert graph.inputs[0].source.text == "graph = sg.trace(np.tanh, sg.TensorType(()))"
