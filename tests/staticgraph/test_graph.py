"""Graph: a networkx graph, its import from networkx, its life cycle, and lowering."""

import copy
import threading

import networkx as nx
import numpy as np
import pytest

import staticgraph as sg
from oplibrary.core.op import Kind
from oplibrary.messages.errors import (
    CycleError,
    DTypeError,
    FeedError,
    FinalGraphError,
    GraphError,
    LeakedNodeError,
    MixedModesError,
    ShapeError,
)


def seed():
    """Return the seed's graph: y = (x + w) * (w + 1)."""
    graph = sg.Graph(name="seed")
    with graph:
        x = sg.placeholder("x", (1,))
        w = sg.placeholder("w", (1,))
        y = (x + w) * (w + 1)
    return graph, x, w, y


def test_the_graph_is_a_networkx_graph():
    graph, x, w, y = seed()
    assert isinstance(graph, nx.MultiDiGraph)
    assert [node.name for node in graph] == ["x", "w", "add", "constant", "add_1", "multiply"]
    a, b = y.operands
    assert set(graph.edges(keys=True)) == {
        (x, a, 0),
        (w, a, 1),
        (w, b, 0),
        (graph.node("constant"), b, 1),
        (a, y, 0),
        (b, y, 1),
    }
    assert graph.nodes[y] == {
        "op": "multiply",
        "name": "multiply",
        "shape": (1,),
        "dtype": "float32",
    }
    assert repr(graph) == "Graph('seed': 6 nodes, 2 inputs)"


def test_an_operand_used_twice_has_two_edges():
    with sg.Graph() as graph:
        x = sg.placeholder("x", (3,))
        y = x * x
    assert graph.number_of_edges(x, y) == 2
    assert sorted(graph[x][y]) == [0, 1]


def test_networkx_algorithms_work():
    graph, x, w, y = seed()
    assert nx.is_directed_acyclic_graph(graph)
    place = {node: i for i, node in enumerate(nx.topological_sort(graph))}
    assert all(place[a] < place[b] for a, b in graph.edges())
    assert nx.shortest_path(graph, x, y) == [x, y.operands[0], y]
    assert nx.ancestors(graph, y) == set(graph) - {y}
    assert nx.descendants(graph, x) == {y.operands[0], y}
    assert nx.has_path(graph, x, y) and not nx.has_path(graph, y, x)
    longest = nx.dag_longest_path(graph)
    assert longest[0] in (x, w, graph.node("constant")) and longest[-1] is y
    assert len(list(nx.topological_generations(graph))) == 3
    assert len(list(nx.all_simple_paths(graph, w, y))) == 2
    named = nx.relabel_nodes(graph, lambda node: node.name)
    assert nx.lowest_common_ancestor(nx.DiGraph(named), "add", "add_1") == "w"
    assert "multiply" in "\n".join(nx.generate_network_text(named))


def test_comparing_nodes_outside_networkx_declares():
    graph, x, w, _ = seed()
    with graph:
        assert isinstance(x == w, sg.Node)
        assert (x != w).dtype == bool


def test_copies_and_subgraphs_are_free_to_change():
    graph, x, w, y = seed()
    copy = graph.copy()
    copy.remove_node(x)
    assert x in graph and type(copy) is nx.MultiDiGraph
    part = graph.subgraph([x, y.operands[0]])
    assert part.number_of_edges() == 1
    assert nx.transitive_reduction(nx.DiGraph(graph)).number_of_edges() == 6
    reverse = graph.reverse()
    assert reverse.has_edge(y, y.operands[0])
    del w


def test_the_graph_refuses_nodes_that_are_none_of_its_own():
    with pytest.raises(GraphError, match="from_networkx"):
        sg.Graph(nx.path_graph(3, create_using=nx.DiGraph))


def test_declaring_is_the_same_as_adding_by_hand():
    graph, *_ = seed()
    by_hand = nx.MultiDiGraph()
    for node in graph:
        by_hand.add_node(
            node, op=node.op.name, name=node.name, shape=node.shape, dtype=node.dtype.name
        )
        for position, operand in enumerate(node.operands):
            by_hand.add_edge(operand, node, position)
    assert dict(graph.nodes) == dict(by_hand.nodes)
    assert dict(graph.edges) == dict(by_hand.edges)
    assert dict(graph.pred) == dict(by_hand.pred)


def test_looking_up_names():
    graph, x, w, y = seed()
    assert graph.node("add_1") is y.operands[1]
    assert graph.node("multiply:0") is y
    with pytest.raises(GraphError, match="no node named 'multipy'") as error:
        graph.node("multipy")
    assert "'multiply'" in error.value.cause
    with pytest.raises(GraphError, match="a int was passed"):
        graph.resolve(3)
    other, *_ = seed()
    with pytest.raises(LeakedNodeError, match="of graph 'seed' was used in graph 'seed'"):
        other.resolve(x)
    del w


def test_graphs_nest_and_are_apart_in_threads():
    outer, inner = sg.Graph(), sg.Graph()
    with outer:
        with inner:
            x = sg.placeholder("x", ())
        y = sg.placeholder("x", ())
        assert sg.current_graph() is outer
    assert x.graph is inner and y.graph is outer
    assert sg.current_graph() is None
    seen = []
    with outer:
        thread = threading.Thread(target=lambda: seen.append(sg.current_graph()))
        thread.start()
        thread.join()
    assert seen == [None]


def test_ops_outside_the_with_block_extend_the_graph_of_their_operands():
    graph, x, _, y = seed()
    z = y - x
    assert z.graph is graph and z.name == "subtract"
    assert len(graph) == 7


def test_mixed_graphs_are_refused_with_both_lines():
    _, x, _, y = seed()
    _, other, *_ = seed()
    for mix in (lambda: x + other, lambda: sg.concat([x, other])):
        with pytest.raises(LeakedNodeError) as error:
            mix()
        assert "was used in graph" in str(error.value)
        assert error.value.related[0][1].text == 'x = sg.placeholder("x", (1,))'
    with sg.Graph(name="third"), pytest.raises(LeakedNodeError, match="in graph 'third'"):
        y * 2


def test_dynamic_tensors_are_refused():
    dg = pytest.importorskip("dyngraph")
    tensor = dg.tensor([1.0])
    _, x, *_ = seed()
    for mix in (lambda: x + tensor, lambda: sg.tanh(tensor), lambda: tensor * x):
        with pytest.raises(MixedModesError):
            mix()
    with sg.Graph(), pytest.raises(MixedModesError):
        sg.constant(tensor)


# life cycle ---------------------------------------------------------------------------------------


def test_a_compiled_graph_is_final():
    graph, x, w, y = seed()
    run = sg.compile(y, inputs=[x, w], backend="interpret")
    graph.finalize()
    one = np.ones(1, "float32")
    with pytest.raises(FinalGraphError) as error:
        for _ in range(3):
            y = y + run(one, one)
    assert "add was declared in graph 'seed' after it was compiled" in str(error.value)
    assert error.value.source.text == "y = y + run(one, one)"
    assert "graph.unfreeze()" in error.value.fix
    assert error.value.related[0][0] == "compiled"
    graph.unfreeze()
    assert (y + 1).graph is graph


def test_a_graph_that_is_not_to_be_final():
    graph = sg.Graph(finalize=False)
    with graph:
        x = sg.placeholder("x", ())
        sg.compile(x + 1, backend="interpret")
        graph.finalize()
        assert not graph.final
        assert (x + 2).name == "add_1"


# lowering -----------------------------------------------------------------------------------------


def test_lowering_prunes_and_keeps_the_order():
    graph, x, w, y = seed()
    unused = x - w
    program = sg.lower(graph, [y])
    assert [i.op.name for i in program.instructions] == ["add", "add", "multiply"]
    assert [v.name for v in program.inputs] == ["x", "w"]
    assert [v.name for v in program.outputs] == ["multiply"]
    assert program.instructions[0].sources == (y.operands[0].source,)
    assert sg.lower(graph, [unused]).constants == {}


def test_inputs_may_be_any_nodes_in_any_order():
    graph, x, w, y = seed()
    a = y.operands[0]
    program = sg.lower(graph, [y, a], inputs=[w, a, x])
    assert [v.name for v in program.inputs] == ["w", "add", "x"]
    assert [i.op.name for i in program.instructions] == ["add", "multiply"]
    assert program.outputs[1] is program.inputs[1]


def test_missing_inputs_are_named_at_once():
    graph, x, w, y = seed()
    with graph:
        z = sg.placeholder("z", (2, 3))
        s = sg.sum(z)
    with pytest.raises(FeedError) as error:
        sg.lower(graph, [y, s], inputs=[x])
    text = str(error.value)
    assert "w (float32[1]), needed by multiply; z (float32[2,3]), needed by sum" in text
    assert "feed w, z" in error.value.fix
    assert [source.text for _, source in error.value.related] == [
        'w = sg.placeholder("w", (1,))',
        'z = sg.placeholder("z", (2, 3))',
    ]
    del w


def test_an_input_twice_is_refused():
    graph, x, w, y = seed()
    with pytest.raises(GraphError, match="is an input twice"):
        sg.lower(graph, [y], inputs=[x, w, x])


def test_what_is_transparent_leaves_no_instruction():
    with sg.Graph() as graph:
        x = sg.placeholder("x", (3,))
        y = sg.stop_gradient(x * 2) + x.detach()
    program = sg.lower(graph, [y])
    assert [i.op.name for i in program.instructions] == ["multiply", "add"]


def test_edges_added_or_removed_by_hand_are_noticed():
    graph, x, w, y = seed()
    graph.add_edge(y, x)
    with pytest.raises(CycleError) as error:
        sg.lower(graph, [y])
    assert "has the cycle" in str(error.value)
    assert {label for label, _ in error.value.related} >= {"x declared", "multiply declared"}
    graph.remove_edge(y, x)
    sg.lower(graph, [y])
    graph.add_edge(x, y, 2)
    with pytest.raises(GraphError, match="not those of its operands"):
        sg.lower(graph, [y])
    graph.remove_edge(x, y, 2)
    graph.remove_node(w)
    with pytest.raises(GraphError, match=r"Node\(w: .*was removed from graph 'seed'"):
        sg.lower(graph, [y])


def test_ten_thousand_nodes():
    with sg.Graph() as graph:
        x = sg.placeholder("x", (4,))
        y = x
        for _ in range(5_000):
            y = sg.tanh(y * x)
    assert len(graph) == 10_001
    program = sg.lower(graph, [y])
    assert len(program.instructions) == 10_000
    assert program.instructions[-1].output.name == "tanh_4999"


# from networkx ------------------------------------------------------------------------------------


def seed_dag():
    dag = nx.MultiDiGraph()
    dag.add_node("x", op="placeholder", shape=(1,))
    dag.add_node("w", op="variable", value=np.array([1], "float32"))
    dag.add_node("one", op="constant", value=1.0)
    dag.add_node("a", op="add")
    dag.add_node("b", op="add")
    dag.add_node("y", op="mul")
    dag.add_edges_from([("x", "a", 0), ("w", "a", 1), ("w", "b", 0), ("one", "b", 1)])
    dag.add_edges_from([("a", "y", 0), ("b", "y", 1)])
    return dag


def test_a_networkx_dag_is_declared():
    graph = sg.Graph.from_networkx(seed_dag(), name="seed")
    assert graph.name == "seed"
    assert [node.name for node in graph.outputs] == ["y"]
    assert graph.node("y").op.name == "multiply"
    run = sg.compile(graph.outputs[0], inputs=graph.inputs, backend="interpret")
    assert run(np.array([2], "float32")).tolist() == [6]


def test_operand_order_comes_from_positions_or_keys():
    dag = nx.DiGraph()
    dag.add_node("x", op="placeholder", shape=())
    dag.add_node("y", op="placeholder", shape=())
    dag.add_node("z", op="subtract")
    dag.add_edge("y", "z", position=1)
    dag.add_edge("x", "z", position=0)
    graph = sg.Graph.from_networkx(dag)
    assert [o.name for o in graph.node("z").operands] == ["x", "y"]
    by_key = nx.MultiDiGraph()
    by_key.add_nodes_from(dag.nodes(data=True))
    by_key.add_edge("y", "z", 1)
    by_key.add_edge("x", "z", 0)
    graph = sg.Graph.from_networkx(by_key)
    assert [o.name for o in graph.node("z").operands] == ["x", "y"]
    in_order = nx.DiGraph()
    in_order.add_nodes_from(dag.nodes(data=True))
    in_order.add_edges_from([("y", "z"), ("x", "z")])
    graph = sg.Graph.from_networkx(in_order)
    assert [o.name for o in graph.node("z").operands] == ["y", "x"]


def test_attributes_functions_and_odd_labels():
    dag = nx.MultiDiGraph()
    dag.add_node(0, op="placeholder", shape=(2, 3), dtype="float64")
    dag.add_node(("sum", 1), op="sum", attrs={"axis": 1})
    dag.add_node("add", op="softmax", attrs={"axis": -1})
    dag.add_edge(0, ("sum", 1))
    dag.add_edge(0, "add")
    graph = sg.Graph.from_networkx(dag)
    assert graph.node("0").dtype == np.float64
    assert graph.node("('sum', 1)").type == sg.TensorType((2,), "float64")
    assert graph.node("add").shape == (2, 3)
    assert [node.name for node in graph.outputs] == ["('sum', 1)", "add"]


def test_the_plain_form_of_a_graph_can_be_declared_again():
    graph, *_, y = seed()
    with graph:
        sg.sum(y, axis=0)
    dag = nx.MultiDiGraph()
    for node in graph:
        attrs = {} if node.op.kind is Kind.CREATION else dict(node.attrs)
        value = {"value": node.value} if node.op.name == "constant" else {}
        dag.add_node(node.name, op=node.op.name, attrs=attrs, shape=node.shape, **value)
    for operand, user, position in graph.edges:
        dag.add_edge(operand.name, user.name, position)
    again = sg.Graph.from_networkx(dag)
    assert [(n.name, n.type) for n in again] == [(n.name, n.type) for n in again]
    assert {n.name: n.type for n in again} == {n.name: n.type for n in graph}


def widen(dag):
    dag.nodes["w"]["value"] = np.ones(4, "float32")


@pytest.mark.parametrize(
    ("change", "error", "text"),
    [
        (lambda d: d.add_edge("y", "x"), CycleError, "'y' -> 'x'"),
        (lambda d: d.nodes["a"].update(op="ad"), GraphError, "node 'a': there is no op 'ad'"),
        (lambda d: d.nodes["a"].update(op="ad"), GraphError, "closest names are 'pad', 'add'"),
        (lambda d: d.nodes["a"].update(op="qqqq"), GraphError, "no op has a name like it"),
        (lambda d: d.remove_edge("x", "a"), GraphError, "node 'a': add takes 2 operands, and 1"),
        (lambda d: d.nodes["b"].pop("op"), GraphError, "node 'b': it has no op attribute"),
        (lambda d: d.nodes["x"].pop("shape"), GraphError, "node 'x': the placeholder has no shape"),
        (lambda d: d.nodes["one"].pop("value"), GraphError, "the constant has no value"),
        (lambda d: d.nodes["one"].update(value="1"), DTypeError, "node 'one'"),
        (lambda d: d.nodes["x"].update(shape=(2, 3)) or widen(d), ShapeError, "node 'a': add: sh"),
        (lambda d: d.add_edge("x", "one"), GraphError, "a constant has no operands"),
        (lambda d: d.nodes["y"].update(attrs={"axis": 1}), ValueError, "node 'y'"),
        (lambda d: d.nodes["y"].update(op="split", attrs={"sections": 1}), GraphError, "node 'y'"),
        (
            lambda d: (d.remove_edge("w", "a"), d.add_edge("w", "a", position=2)),
            GraphError,
            "node 'a': its operands have the positions [0, 2]",
        ),
        (lambda d: d.add_edge("w", "a", 7), GraphError, "give the 3 edges into 'a'"),
    ],
)
def test_broken_dags_are_refused_by_node(change, error, text):
    dag = seed_dag()
    change(dag)
    with pytest.raises(error) as caught:
        sg.Graph.from_networkx(dag)
    assert text in str(caught.value)
    assert caught.value.source.text == "sg.Graph.from_networkx(dag)"


def test_undirected_graphs_are_refused():
    with pytest.raises(GraphError, match="was given a Graph"):
        sg.Graph.from_networkx(nx.Graph())


def test_a_deep_copy_is_a_graph_free_to_be_changed():
    with sg.Graph() as graph:
        x = sg.placeholder("x", (3,))
        y = sg.exp(x)
    copied = copy.deepcopy(graph)
    copied.remove_node(y)
    assert type(copied) is nx.MultiDiGraph
    assert (len(copied), len(graph)) == (1, 2)
