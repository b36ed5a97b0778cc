"""Session: fetches, feeds, pruning, state, and misuse, as TensorFlow 1.x users know them."""

import numpy as np
import pytest

import staticgraph as sg
from oplibrary.messages.errors import (
    FeedError,
    FinalGraphError,
    GraphError,
    LeakedNodeError,
    RunError,
)


@pytest.fixture
def graph():
    with sg.Graph(name="model") as graph:
        x = sg.placeholder("x", (2,))
        w = sg.variable([1.0, 2.0], name="w")
        z = sg.placeholder("z", (2,))
        a = x * w
        sg.sum(a)
        a + z
    return graph


X = np.array([3, 4], "float32")


def session(graph):
    return sg.Session(graph, backend="numpy")


def test_fetches_by_node_and_by_name(graph):
    total = graph.node("sum")
    with session(graph) as run:
        assert run.run(total, {"x": X}) == 11
        assert run.run("sum:0", {graph.node("x"): X}) == 11
        assert run.run("sum", {"x:0": X}) == 11
        values = run.run([total, "multiply", "x"], {"x": X})
        assert isinstance(values, list)
        assert [v.tolist() for v in values] == [11, [3, 8], [3, 4]]
        nested = run.run({"total": total, "parts": ("multiply", ["w"])}, {"x": X})
        assert nested["total"] == 11 and nested["parts"][1][0].tolist() == [1, 2]


def test_partial_fetches_need_partial_feeds(graph):
    with session(graph) as run:
        assert run.run("w").tolist() == [1, 2]
        assert run.run("sum", {"x": X}) == 11  # z is not needed
        assert run.run("sum", {"x": X, "z": X}) == 11  # and may be fed


def test_any_node_may_be_fed(graph):
    with session(graph) as run:
        assert run.run("sum", {"multiply": [1.0, 1.0]}) == 2
        assert run.run("multiply", {"x": X, "w": [10.0, 10.0]}).tolist() == [30, 40]


def test_python_numbers_take_the_dtype_of_the_node(graph):
    with session(graph) as run:
        assert run.run("sum", {"x": [1, 2]}).dtype == np.float32


def test_state_is_kept_between_runs_and_sessions():
    with sg.Graph() as graph:
        count = sg.variable(0, name="count")
        step = sg.group(count.assign(count + 1))
    with session(graph) as run:
        assert run.run(step) is None
        assert run.run([count, step]) == [1, None]
    with session(graph) as run:
        assert run.run("count") == 2


def test_training_by_gradient_descent():
    rng = np.random.default_rng(0)
    data = rng.normal(size=(32, 3)).astype("float32")
    target = (data @ np.array([[1], [-2], [3]], "float32"))[:, 0]
    with sg.Graph() as graph:
        x = sg.placeholder("x", (32, 3))
        y = sg.placeholder("y", (32,))
        w = sg.variable(np.zeros(3, "float32"), name="w")
        loss = sg.mean((x @ w - y) ** 2)
        (dw,) = sg.gradients(loss, [w])
        train = w.assign(w - 0.1 * dw)
    with session(graph) as run:
        losses = [float(run.run([loss, train], {x: data, y: target})[0]) for _ in range(60)]
    assert losses[-1] < 1e-3 * losses[0]
    np.testing.assert_allclose(w.value, [1, -2, 3], atol=0.05)


def test_each_combination_is_compiled_once(graph, monkeypatch):
    import staticgraph.compiler.session as module

    calls = []
    real = module.compile_nodes
    monkeypatch.setattr(module, "compile_nodes", lambda *a, **k: calls.append(1) or real(*a, **k))
    with session(graph) as run:
        for _ in range(3):
            run.run("sum", {"x": X})
            run.run(["sum", "w"], {"x": X})
    assert len(calls) == 2


# misuse -------------------------------------------------------------------------------------------


def test_every_missing_placeholder_is_named_with_its_line(graph):
    with session(graph) as run, pytest.raises(FeedError) as error:
        run.run(["add", "sum"])
    assert "x (float32[2]), needed by add; z (float32[2]), needed by add" in error.value.what
    assert [source.text for _, source in error.value.related] == [
        'x = sg.placeholder("x", (2,))',
        'z = sg.placeholder("z", (2,))',
    ]
    assert error.value.source.text == 'run.run(["add", "sum"])'


def test_an_unknown_name_hides_no_missing_placeholder(graph):
    with session(graph) as run, pytest.raises(FeedError) as error:
        run.run("add", {"X": X, "wrong": 1.0, "z": X})
    assert "no node named 'X'" in error.value.what
    assert "no node named 'wrong'" in error.value.what
    assert "an input is missing: x (float32[2]), needed by add" in error.value.what
    assert [label for label, _ in error.value.related] == ["x declared"]
    with session(graph) as run, pytest.raises(FeedError) as error:
        run.run("sum", {"x": X, "wrong": 1.0})
    assert "missing" not in str(error.value)


def test_a_text_is_not_called_an_array(graph):
    with session(graph) as run, pytest.raises(FeedError, match="and a str was fed"):
        run.run("sum", {"x": "abc"})


def test_wrong_feeds_name_the_placeholder_and_its_line(graph):
    with session(graph) as run:
        with pytest.raises(FeedError, match="'x' is float32") as error:
            run.run("sum", {"x": np.ones(2)})
        assert 'astype("float32")' in error.value.fix
        assert error.value.related[0][1].text == 'x = sg.placeholder("x", (2,))'
        with pytest.raises(FeedError, match=r"shape \(3,\)"):
            run.run("sum", {"x": np.ones(3, "float32")})
        with pytest.raises(FeedError, match="'x' is float32"):
            run.run("sum", {"x": "abc"})


def test_unknown_names_have_suggestions(graph):
    with session(graph) as run:
        with pytest.raises(GraphError, match="no node named 'multiplyy'") as error:
            run.run("multiplyy", {"x": X})
        assert "'multiply'" in error.value.cause
        with pytest.raises(FeedError, match="feed_dict: graph 'model' has no node named 'y'"):
            run.run("sum", {"y": X})
        with pytest.raises(FeedError, match="'x' is fed twice"):
            run.run("sum", {"x": X, graph.node("x"): X})
        with pytest.raises(GraphError, match="a float was passed"):
            run.run(3.0)


def test_a_closed_session_is_an_error(graph):
    with session(graph) as run:
        pass
    with pytest.raises(GraphError, match="a session that is closed") as error:
        run.run("w")
    assert "new Session(graph)" in error.value.fix


def test_nodes_of_other_graphs_are_refused(graph):
    with sg.Graph(name="other"):
        stray = sg.constant(1.0)
    with session(graph) as run, pytest.raises(LeakedNodeError, match="of graph 'other'"):
        run.run(stray)
    with pytest.raises(GraphError, match="was given a int"):
        sg.Session(3)


def test_the_graph_cannot_grow_in_the_run_loop(graph):
    total = graph.node("sum")
    with session(graph) as run, pytest.raises(FinalGraphError) as error:
        for _ in range(3):
            run.run(total * 2, {"x": X})
            total = total + 1
    assert error.value.source.text == "total = total + 1"
    assert error.value.what.startswith("add was declared in graph 'model'")


def test_a_failing_run_names_the_declared_line_and_keeps_the_state():
    with sg.Graph() as graph:
        table = sg.variable([1.0, 2.0], name="table")
        i = sg.placeholder("i", (1,), "int64")
        picked = sg.take(table, i, axis=0)
        step = sg.group(table.assign(table * 2), picked)
    with session(graph) as run:
        with pytest.raises((IndexError, RunError)) as error:
            run.run([picked, step], {"i": [5]})
        assert "picked = sg.take(table, i, axis=0)" in str(error.value)
    assert table.value.tolist() == [1, 2]


def test_a_session_without_a_graph():
    with pytest.raises(GraphError, match="Session was given no graph"):
        sg.Session()
    with pytest.raises(GraphError, match="Session was given a str"):
        sg.Session("graph")
