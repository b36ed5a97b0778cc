"""Programs and graphs as text, drawings and exchange formats."""

import json
import xml.etree.ElementTree as ElementTree

import networkx as nx
import numpy as np
import pytest

import staticgraph as sg
from staticgraph.show.drawing import plain_graph, program_graph
from staticgraph.show.printing import format_array


@pytest.fixture
def graph():
    with sg.Graph(name="model <1>") as graph:
        x = sg.placeholder("x", (4, 3))
        w = sg.variable(np.ones((3, 2), "float32"), name="w")
        y = sg.sum(sg.tanh(x @ w) * 2.0, axis=0)
        w.assign(w * 2)
    graph.outputs = [y]
    return graph


def lines(text):
    return [line.split("#")[0].rstrip() for line in text.splitlines()]


def test_a_program_as_text(graph):
    program = sg.lower(graph, [graph.outputs[0], "assign"])
    assert lines(str(program)) == [
        "program(x: float32[4,3]) {",
        "  w = variable 'w'             float32[3,2]",
        "  constant = constant 2.0      float32[]",
        "  %0 = matmul(x, w)            float32[4,2]",
        "  %1 = tanh(%0)                float32[4,2]",
        "  %2 = multiply(%1, constant)  float32[4,2]",
        "  %3 = sum(%2, axis=0)         float32[2]",
        "  %4 = multiply(w, constant)   float32[3,2]",
        "  'w' <- %4",
        "  return %3, %4",
        "}",
    ]
    assert str(program).count("  # test_printing.py:") == 5


def test_a_graph_as_text(graph):
    text = lines(str(graph))
    assert text[0] == "graph model <1> {"
    assert text[1].split() == ["x", "=", "placeholder", "float32[4,3]"]
    assert text[-2:] == ["  return sum", "}"]
    assert any("sum        = sum(multiply, axis=0)" in line for line in text)
    assert repr(graph) == "Graph('model <1>': 9 nodes, 1 inputs)"


def test_loops_and_branches_are_written_out():
    with sg.Graph() as graph:
        x = sg.placeholder("x", (3,))

        def body(_i, y):
            return sg.cond(sg.sum(y) > 0, lambda y: y * 2.0, lambda y: -y, y)

        graph.outputs = [sg.fori_loop(0, 4, body, x)]
        run = sg.compile(graph.outputs, [x], backend="numpy")
    assert lines(str(run.program))[2:] == [
        "  %0 = scan(x, constant, carries=1, sequences=1, length=4, keep=(False,))  "
        "(float32[3], float32[4,3])",
        "      body(x0: float32[3], x1: int64[]) {",
        "        constant = constant 0.0     float32[]",
        "        %0 = sum(x0)                float32[]",
        "        %1 = greater(%0, constant)  bool[]",
        "        %2 = cast(%1, dtype=int64)  int64[]",
        "        %3 = switch(%2, x0)         (float32[3])",
        "            branches[0](x0: float32[3]) {",
        "              %0 = negative(x0)  float32[3]",
        "              return %0",
        "            }",
        "            branches[1](x0: float32[3]) {",
        "              constant = constant 2.0      float32[]",
        "              %0 = multiply(x0, constant)  float32[3]",
        "              return %0",
        "            }",
        "        %4 = item(%3, index=0)      float32[3]",
        "        return %4",
        "      }",
        "  %1 = item(%0, index=0)            float32[3]",
        "  return %1",
        "}",
    ]
    declared = lines(str(graph))
    assert "      body {" in declared
    assert "              negative = negative(x0)  float32[3]" in declared
    assert "              return negative" in declared


def test_arrays_as_text():
    assert format_array(np.arange(3)) == "[0, 1, 2]"
    assert format_array(np.zeros(100)) == "all 0.0"
    assert format_array(np.arange(100)) == "[0, ..., 99]"
    assert format_array(np.ones((0, 3))) == "[]"
    assert len(format_array(np.full(8, 1 / 3))) <= 60


def test_the_plain_form_has_text_attributes_only(graph):
    for plain in (plain_graph(graph), program_graph(sg.lower(graph, graph.outputs))):
        assert type(plain) is nx.MultiDiGraph
        for name, data in plain.nodes(data=True):
            assert isinstance(name, str)
            assert {type(value) for value in data.values()} <= {str, bool}
        assert all(isinstance(data["position"], int) for *_, data in plain.edges(data=True))
    roles = {data["role"] for _, data in plain_graph(graph).nodes(data=True)}
    assert roles == {"placeholder", "variable", "constant", "op"}
    assert [n for n, data in plain_graph(graph).nodes(data=True) if data["output"]] == ["sum"]


def test_dot_and_mermaid(graph):
    dot = sg.to_dot(graph)
    assert dot.startswith("digraph {") and dot.count(" -> ") == graph.number_of_edges()
    assert 'label="matmul\\nfloat32[4,2]"' in dot
    mermaid = sg.to_mermaid(sg.lower(graph, graph.outputs))
    assert mermaid.startswith("flowchart TD")
    assert '("matmul<br/>float32[4,2]"):::op' in mermaid
    assert ":::output" in mermaid and "classDef constant" in mermaid


def test_text_is_escaped():
    with sg.Graph() as graph:
        sg.placeholder('a"<b>&\\', ())
    assert 'label="a\\"<b>&\\\\\\nfloat32[]"' in sg.to_dot(graph)
    assert "a&quot;&lt;b&gt;&amp;\\" in sg.to_svg(graph)
    ElementTree.fromstring(sg.to_svg(graph))
    assert "a#quot;#lt;b#gt;#amp;\\" in sg.to_mermaid(graph)


def test_svg_is_well_formed_and_nothing_overlaps(graph):
    root = ElementTree.fromstring(sg.to_svg(graph))
    space = "{http://www.w3.org/2000/svg}"
    boxes = [
        tuple(float(rect.get(k)) for k in ("x", "y", "width", "height"))
        for rect in root.iter(f"{space}rect")
        if rect.get("rx")
    ]
    assert len(boxes) == len(graph)
    width, height = float(root.get("width")), float(root.get("height"))
    for i, (x, y, w, h) in enumerate(boxes):
        assert x >= 0 and y >= 0 and x + w <= width and y + h <= height
        for other_x, other_y, other_w, _ in boxes[i + 1 :]:
            assert y != other_y or x + w <= other_x or other_x + other_w <= x
    paths = [path for path in root.iter(f"{space}path") if path.get("marker-end")]
    assert len(paths) == graph.number_of_edges()
    assert graph._repr_html_().startswith("<svg")


def test_an_empty_graph_can_be_drawn():
    graph = sg.Graph()
    ElementTree.fromstring(sg.to_svg(graph))
    assert sg.to_dot(graph).endswith("}\n")
    assert json.loads(sg.to_json(graph))["nodes"] == []


def test_graphml_and_json_can_be_read_again(graph):
    for source in (graph, sg.lower(graph, graph.outputs)):
        plain = plain_graph(source)
        read = nx.parse_graphml(sg.to_graphml(source), force_multigraph=True)
        assert set(read) == set(plain) and read.number_of_edges() == plain.number_of_edges()
        again = nx.node_link_graph(json.loads(sg.to_json(source)), edges="edges")
        assert dict(again.nodes(data=True)) == dict(plain.nodes(data=True))
        assert set(again.edges(keys=True)) == set(plain.edges(keys=True))


def test_large_graphs_are_drawn_with_straight_lines_or_not_at_all():
    with sg.Graph() as graph:
        x = sg.placeholder("x", ())
        y = x
        for _ in range(600):
            y = y * x
    assert sg.to_svg(graph).count("marker-end") == graph.number_of_edges()
    assert graph._repr_html_() == f"<pre>{graph!r}</pre>".replace("'", "&#x27;")
