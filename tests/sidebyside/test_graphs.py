"""Graphs in the HTML report: blocks of long programs, what a page holds, what a browser does."""

import json
import random
import re
import shutil
import subprocess
import xml.etree.ElementTree as ElementTree

import networkx as nx
import numpy as np
import pytest

import sidebyside as sbs
import staticgraph as sg
from sidebyside.drawing.blocks import MOST, Block, blocks
from sidebyside.drawing.nested import count_nodes, nested, nested_json, overview
from sidebyside.drawing.show import drawn_graphs
from sidebyside.results.comparison import Comparison, DrawnGraph, Row, TimedCell
from sidebyside.results.result import RENDERERS
from sidebyside.studies.decision import drawn_subject, recognise
from sidebyside.workloads.workload import Workload
from staticgraph.declare.lower import lower

BROWSER = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("chrome")
BYTES_A_NODE = 80
"""What a node may take of the page, beside 2 kB for each graph."""


# blocks -------------------------------------------------------------------------------------------


def positions(members):
    for each in members:
        yield from positions(each.members) if isinstance(each, Block) else [each]


def levels(members):
    yield members
    for each in members:
        if isinstance(each, Block):
            yield from levels(each.members)


@pytest.mark.parametrize(
    "kinds",
    [
        *("", "a", "ab" * 12, "a" * 1000, "x" + "abc" * 500 + "y", range(5000)),
        ("abcdefghijklmnop" * 4 + "!" + "qrstuvwxy" * 3) * 40,
        [random.Random(1).randrange(4) for _ in range(2000)],
        [random.Random(2).randrange(400) for _ in range(2000)],
    ],
    ids=lambda kinds: f"{len(kinds)}",
)
def test_every_position_is_in_one_block_and_no_level_is_long(kinds):
    found = blocks(kinds)
    assert list(positions(found)) == list(range(len(kinds)))
    assert all(len(level) <= MOST for level in levels(found))
    assert all(each.count == len(list(positions([each]))) for each in found if type(each) is Block)


def test_steps_are_blocks_also_within_steps():
    layer = [*"abcdefghij"]
    step = ["x", *layer * 6, "y"]
    (outer,) = blocks([*step * 100])
    assert outer.title == "100 × 62 nodes"
    assert [each.title for each in outer.members][:2] == ["steps 1–10", "steps 11–20"]
    first = outer.members[0].members[0]
    assert (first.title, first.count) == ("step 1", 62)
    assert [getattr(each, "title", each) for each in first.members] == [0, "6 × 10 nodes", 61]


def test_what_stands_between_steps_does_not_hide_them():
    kinds = [*range(40), *"abcdefgh" * 50, *range(50, 90)]
    titles = [each.title for each in blocks(kinds, lambda a, b: f"{a} to {b}")]
    assert titles == ["0 to 19", "20 to 39", "50 × 8 nodes", "440 to 459", "460 to 479"]


# nested -------------------------------------------------------------------------------------------


def lstm(xp, xs, w, u, b, h, c, steps):
    """Return a loss of an LSTM whose loop is Python's, and so is unrolled."""
    loss = 0
    for t in range(steps):
        z = xs[t] @ w + h @ u + b
        i, f, o, g = (z[:, k * 2 : (k + 1) * 2] for k in range(4))
        c = xp.sigmoid(f) * c + xp.sigmoid(i) * xp.tanh(g)
        h = xp.sigmoid(o) * xp.tanh(c)
        loss = loss + xp.sum(h * h)
    return loss


SHAPES = ((9, 4, 3), (3, 8), (2, 8), (8,), (4, 2), (4, 2))
ARRAYS = tuple(np.ones(shape, "float32") for shape in SHAPES)


def loop(xp, x, w):
    """Return what a declared loop and a branch give."""

    def body(carry, row):
        carry = xp.tanh(row @ w + carry)
        return carry, xp.sum(carry)

    carry, sums = xp.scan(body, x[0] * 0, x)
    return xp.cond(xp.sum(carry) > 0, lambda c: xp.exp(c) * 2, lambda c: -c, carry), sums


LOOP = Workload(loop, lambda rng, size: (np.ones((5, 4)), np.ones((4, 4))), name="loop <1>")


def declared(function, *arrays):
    graph = sg.trace(function, *arrays)
    return lower(graph, graph.outputs, graph.inputs)


def check(found):
    """Prove that what `nested` returned holds together."""
    words = found["words"]
    count = len(found["role"])
    assert all(len(found[column]) == count for column in ("op", "label", "type", "place", "name"))
    assert len(set(words)) == len(words)
    seen = []

    def visit(block):
        rows, lines = found["layouts"][block["layout"]]
        row_of = {slot: place for place, row in enumerate(rows) for slot in row if slot >= 0}
        assert sorted(row_of) == list(range(len(block["members"]))) and len(row_of) <= MOST
        for operand, user in zip(lines[::2], lines[1::2], strict=True):
            assert row_of[operand] < row_of[user]
        for member in block["members"]:
            if isinstance(member, int):
                seen.append(member)
            else:
                seen.extend([member["node"]] if "node" in member else [])
                visit(member)

    visit(found["root"])
    assert sorted(seen) == list(range(count)) and count == count_nodes(found["root"])


def test_nodes_operands_and_lines_are_those_of_the_program():
    program = declared(sg.grad(lambda *a: lstm(sg, *a, 9), argnums=(1, 2)), *ARRAYS)
    found = nested(program)
    check(found)
    names = [found["words"][each] for each in found["name"]]
    assert len(names) == len(program.instructions) + len(program.inputs) + len(program.constants)
    by_name = {name: found["operands"][node] for node, name in enumerate(names)}
    for number, instruction in enumerate(program.instructions):
        assert len(by_name[f"%{number}"]) == len(instruction.inputs)
    titles = [each["title"] for each in found["root"]["members"] if isinstance(each, dict)]
    assert any(re.fullmatch(r"9 × \d+ nodes", title) for title in titles)
    assert any(title.startswith("test_graphs.py:") for title in titles)


def test_loops_and_branches_have_their_insides():
    first, second = drawn_graphs(LOOP, LOOP.make_inputs(None))
    assert first.title.startswith("static, as declared") and "changed by" in second.note
    for graph in (first, second):
        found = json.loads(graph.data)
        check(found)
        scan, switch = (each for each in found["root"]["members"] if isinstance(each, dict))
        ops = [found["words"][found["op"][member]] for member in scan["members"]]
        assert scan["title"] == "scan" and {"matmul", "add", "tanh", "sum"} <= set(ops)
        assert [each["title"] for each in switch["members"]] == ["branches[0]", "branches[1]"]


def chain(steps, inputs=50):
    """Return a graph of steps of ten nodes, each with an input that all of them have."""
    graph = nx.MultiDiGraph()
    common = {"type": "float32[32,128]", "output": False}
    for number in range(inputs):
        graph.add_node(f"x{number}", op="placeholder", label="x", role="placeholder", **common)
    last = "x0"
    for number in range(10 * steps):
        name = f"%{number}"
        op = f"operation_{number % 10}"
        graph.add_node(name, op=op, label=op, role="op", place=f"model.py:{number % 10}", **common)
        graph.add_edge(last, name, 0)
        graph.add_edge(f"x{number % 10}", name, 1)
        last = name
    for _, data in graph.nodes(data=True):
        data.setdefault("place", "")
    return graph


def test_ten_thousand_nodes_are_a_few_blocks_and_few_bytes():
    graph = chain(1000)
    text = nested_json(graph)
    found = json.loads(text)
    check(found)
    assert len(text) < BYTES_A_NODE * len(graph) + 2000
    assert [each["title"] for each in found["root"]["members"]] == [
        "50 inputs and constants",
        "1,000 × 10 nodes",
    ]
    assert len(found["layouts"]) < 20  # all steps share theirs
    drawn = overview(found)
    assert list(drawn.edges()) == [("0", "1")]
    assert drawn.nodes["1"]["type"] == "10,000 nodes"


# pages --------------------------------------------------------------------------------------------


def page_of(*graphs):
    rows = [Row(name, "", "", (TimedCell("dynamic"),), graphs=each) for name, each in graphs]
    return RENDERERS[Comparison].html(Comparison(tuple(rows), {}))


@pytest.fixture(scope="module")
def page():
    big = DrawnGraph("static, as declared: many", "", nested_json(chain(1000)))
    return page_of((LOOP.name, drawn_graphs(LOOP, LOOP.make_inputs(None))), ("chain", (big,)))


def test_a_page_with_graphs_is_one_file_that_reads_aloud(page):
    assert page.count('<section class="graph"') == 3
    assert page.count("<script>") == 1 and page.count('<script type="application/json">') == 3
    addresses = set(re.findall(r"https?://[^\"'` ]+", page))
    assert all(address.startswith("http://www.w3.org/") for address in addresses)
    assert not re.search(r"<script[^>]* src|<link|@import|fetch\(|import\(", page)
    names = re.findall(r' id="([^"]+)"', page)
    assert len(names) == len(set(names)) == 3
    for svg in re.findall(r"(<svg .*?</svg>)", page, re.DOTALL):  # what there is without the script
        assert ElementTree.fromstring(svg).get("aria-label")
    for button in re.findall(r"<button [^>]*>|<input [^>]*>", page):
        assert 'aria-label="' in button


def test_texts_of_the_user_stay_texts():
    graph = nx.MultiDiGraph()
    text = "</script><script>alert(1)</script>"
    graph.add_node(text, op="f", label=text, role="op", type="t", place=text, output=True)
    page = page_of(("w", (DrawnGraph(text, text, nested_json(graph)),)))
    assert "alert(1)</script>" not in page.replace("&lt;/script&gt;", "")
    (data,) = re.findall(r'<script type="application/json">(.*?)</script>', page)
    assert text in json.loads(data)["words"]


def test_pages_without_graphs_have_no_script_and_refusals_say_why():
    assert "<script" not in page_of(("w", ()))
    refused = Workload(lambda xp, x: x if x.sum() > 0 else -x, lambda rng, size: (np.ones(3),))
    found = drawn_graphs(refused, refused.make_inputs(None))
    assert "SBS-301" in found[0].note and not found[0].data
    assert found[1].title.startswith("dynamic: ") and found[1].data
    assert "SBS-301" in page_of(("w", found))


def test_comparisons_and_decisions_keep_graphs_where_asked(tmp_path):
    sizes = Workload(
        lambda xp, x: x + 1, lambda rng, size: (np.ones(size),), sizes=(1, 2), name="one"
    )
    found = sbs.compare(sizes, budget=0.01, graphs=True)
    assert [len(row.graphs) for row in found.rows] == [2, 0]
    found.save(tmp_path / "found.json")
    loaded = sbs.load(tmp_path / "found.json")
    assert loaded.rows[0].graphs == found.rows[0].graphs
    loaded.to_html(tmp_path / "page.html")
    assert (tmp_path / "page.html").read_text().count('<section class="graph"') == 2
    assert not any(row.graphs for row in sbs.compare(sizes, budget=0.01).rows)
    decided = sbs.decide(lambda x: np.tanh(x) * 2, np.ones(3), budget=0.01, graphs=True)
    assert [each.title for each in decided.row.graphs] == [
        "static, as declared: 2 instructions",
        "static, after the passes: 2 instructions",
    ]


@pytest.fixture(scope="module")
def others():
    """Return programs of other libraries, each with its inputs."""
    torch, jax = pytest.importorskip("torch"), pytest.importorskip("jax")
    module, x = torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.ReLU()), torch.ones(4, 3)
    return {
        "PyTorch": (module, x),
        "PyTorch, a function": (lambda x: torch.relu(x * 2 + 1), x),
        "JAX": (lambda x: jax.nn.relu(x * 2 + 1), jax.numpy.ones(3)),
    }


@pytest.mark.parametrize("name", ["PyTorch", "PyTorch, a function", "JAX"])
def test_programs_of_other_libraries_are_drawn_as_they_are_imported(name, others):
    program, x = others[name]
    titles = [
        f"static, {when}: {3 if name != 'PyTorch' else 4} instructions"
        for when in ("as declared", "after the passes")
    ]
    figure = sbs.show(program, x)
    assert [each.title for each in figure.pictures] == titles
    assert "relu" in str(figure) and "<svg" in figure._repr_html_()
    kind, subject = recognise(program, (x,), 1e-4)
    graphs = drawn_subject(kind, subject)
    assert [each.title for each in graphs] == titles
    assert page_of(("w", graphs)).count('<section class="graph"') == 2


def test_what_is_declared_is_shown_as_it_is(others):
    imported = sg.from_torch(*others["PyTorch"])
    shown = [sbs.show(imported), sbs.show(imported.graph)]
    assert [len(each.pictures) for each in shown] == [2, 2]
    assert "0.weight = variable" in str(shown[0])
    for program in (imported, imported.graph):
        with pytest.raises(sg.errors.ArgumentError, match="a graph was given 1 inputs"):
            sbs.show(program, np.ones(3))
    with pytest.raises(sg.errors.ArgumentError, match="a int is no program"):
        sbs.show(3)


def test_a_page_says_why_a_program_of_another_library_has_no_graph():
    jax = pytest.importorskip("jax")
    kind, subject = recognise(lambda x: x if x.sum() > 0 else -x, (jax.numpy.ones(3),), 1e-4)
    (refused,) = drawn_subject(kind, subject)
    assert "SBS-602" in refused.note and not refused.data


PROBE = """<script>addEventListener("load", () => {
  const sections = [...document.querySelectorAll("section.graph")];
  const boxes = (s) => [...s.querySelectorAll("[role=treeitem]")];
  const focused = (s) => s.querySelector("[role=treeitem][tabindex='0']");
  const key = (s, key) => focused(s).dispatchEvent(
    new KeyboardEvent("keydown", { key, bubbles: true, cancelable: true }));
  const said = (s) => s.querySelector(".graph-said").textContent;
  const [small, , big] = sections, found = { first: sections.map((s) => boxes(s).length) };
  const scan = boxes(small).find((box) => box.getAttribute("aria-label").includes("block scan"));
  scan.dispatchEvent(new MouseEvent("click", { bubbles: true }));
  found.opened = boxes(small).length;
  found.focus = document.activeElement.getAttribute("aria-label");
  key(small, "ArrowRight"); found.inside = said(small);
  key(small, "ArrowLeft"); key(small, "ArrowLeft"); found.closed = boxes(small).length;
  for (const each of ["End", "Enter", "ArrowRight", "ArrowRight", "ArrowRight", "ArrowRight"])
    key(big, each);
  found.deep = focused(big).getAttribute("aria-level");
  const field = big.querySelector("input");
  field.value = "OPERATION_7"; field.dispatchEvent(new Event("input"));
  for (let i = 0; i < 3; i += 1)
    field.dispatchEvent(new KeyboardEvent("keydown", { key: "Enter" }));
  found.search = said(big);
  big.querySelector("[data-act=collapse]").click(); found.collapsed = boxes(big).length;
  const width = () => Number(big.querySelector("svg").getAttribute("width"));
  const before = width(); key(big, "+"); found.zoomed = (width() / before).toFixed(2);
  big.querySelector(".graph-view").dispatchEvent(
    new WheelEvent("wheel", { deltaY: -100, ctrlKey: true, bubbles: true, cancelable: true }));
  found.wheel = width() / before > 1.5;
  document.title = JSON.stringify(found);
});</script>"""


@pytest.mark.skipif(BROWSER is None, reason="there is no Chromium")
def test_a_browser_opens_searches_and_zooms(page, tmp_path):
    path = tmp_path / "report.html"
    path.write_text(page.replace("</body>", f"{PROBE}</body>"), encoding="utf-8")
    flags = ["--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path / 'user'}"]
    done = subprocess.run(
        [BROWSER, *flags, "--enable-logging=stderr", "--dump-dom", path.as_uri()],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    assert "CONSOLE" not in done.stderr, done.stderr
    (title,) = re.findall(r"<title>(.*?)</title>", done.stdout)
    found = json.loads(title.replace("&quot;", '"').replace("&gt;", ">").replace("&amp;", "&"))
    assert found["first"][2] == 2 and found["opened"] > found["first"][0] == found["closed"]
    assert "block scan" in found["focus"] and "placeholder" in found["inside"]
    assert found["deep"] == "3"
    assert found["search"].startswith("3 of 1,000: %27 = operation_7")
    assert (found["collapsed"], found["zoomed"], found["wheel"]) == (2, "1.25", True)
