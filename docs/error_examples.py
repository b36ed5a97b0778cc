"""A small program for each entry of the error catalogue, run when ``docs/errors.md`` is made.

The body of each function is run as a file ``program.py`` of its own, with ``np``, ``dg``, ``sg``
and ``sbs`` imported; the page shows it with the message that it ended with.
"""

# ruff: noqa: F821, F841, RUF059

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

Program = Callable[[], Any]


@dataclass(frozen=True)
class Example:
    """A program that makes one mistake.

    Attributes
    ----------
    program : callable
    without : tuple of str
        Packages that it is run without.
    """

    program: Program
    without: tuple[str, ...] = ()


EXAMPLES: dict[str, Example] = {}


def example(id: str, without: tuple[str, ...] = ()) -> Callable[[Program], Program]:
    """Enter a program as the example of the error `id`."""

    def enter(program: Program) -> Program:
        assert id not in EXAMPLES, id
        EXAMPLES[id] = Example(program, without)
        return program

    return enter


# values -------------------------------------------------------------------------------------------


@example("SBS-101")
def shapes():
    x = dg.ones((2, 3))
    b = dg.ones((4,))
    y = dg.sum(x + b)


@example("SBS-102")
def dtypes():
    x = dg.ones((2, 3))
    y = x.sum() << 1


@example("SBS-103")
def arguments():
    x = dg.ones((2, 3))
    x.sum(rows=0)


@example("SBS-104")
def mixed_modes():
    x = dg.ones((3,))
    with sg.Graph():
        y = x + sg.placeholder("y", (3,))


@example("SBS-105")
def memory():
    x = dg.zeros((10_000_000, 10_000_000, 100))


@example("SBS-106")
def indices():
    x = dg.ones((2, 3))
    x[0, 3]


@example("SBS-107")
def assertions():
    @sg.function(backend="numpy")
    def root(x):
        sg.assert_(sg.all(x >= 0), "x has no root", x)
        return sg.sqrt(x)

    root(np.array([4.0, -1.0]))


@example("SBS-108")
def axes():
    x = dg.ones((2, 3))
    y = dg.sum(x, axis=2)


@example("SBS-109")
def matrix_shapes():
    x = dg.ones((2, 3))
    y = dg.linalg.inv(x)


@example("SBS-110")
def singular_matrices():
    x = dg.ones((2, 2))
    y = dg.linalg.solve(x, dg.ones(2))


# dynamic graph ------------------------------------------------------------------------------------


@example("SBS-201")
def second_backward():
    w = dg.tensor([1.0, 2.0], requires_grad=True)
    loss = (w * w).sum()
    loss.backward()
    loss.backward()


@example("SBS-202")
def in_place():
    w = dg.tensor([1.0, 2.0], requires_grad=True)
    y = dg.exp(w)
    y += 1
    y.sum().backward()


@example("SBS-203")
def no_graph():
    w = dg.tensor([1.0, 2.0], requires_grad=True)
    with dg.no_grad():
        hidden = w * 2
    loss = hidden.sum()
    loss.backward()


@example("SBS-204")
def not_a_scalar():
    w = dg.tensor([1.0, 2.0], requires_grad=True)
    y = w * w
    y.backward()


@example("SBS-205")
def not_differentiable():
    w = dg.tensor([1.0, 2.0], requires_grad=True)
    best = (w * 2).argmax()
    best.backward()


@example("SBS-206")
def unused_input():
    with sg.Graph():
        x = sg.placeholder("x", (3,))
        y = sg.sum(sg.stop_gradient(x) * 2)
        (dx,) = sg.gradients(y, [x])


@example("SBS-207")
def anomaly():
    x = dg.tensor([0.0, 1.0], requires_grad=True)
    with np.errstate(divide="ignore", invalid="ignore"), dg.detect_anomaly():
        y = dg.where(x > 0, dg.log(x), 0.0)
        y.sum().backward()


@example("SBS-208")
def gradcheck():
    class Triple(dg.Function):
        @staticmethod
        def forward(ctx, x):
            return x * 3

        @staticmethod
        def backward(ctx, g):
            return g * 2

    x = dg.tensor([1.0], dtype="float64", requires_grad=True)
    dg.gradcheck(Triple.apply, x)


@example("SBS-209")
def not_a_leaf():
    w = dg.randn(3, requires_grad=True) / 10
    (w * w).sum().backward()
    print(w.grad)


@example("SBS-210")
def unused_input_as_zeros():
    w = dg.tensor([1.0, 2.0], requires_grad=True)
    v = dg.tensor([1.0, 2.0], requires_grad=True)
    loss = (w * v.detach()).sum()
    dw, dv = dg.grad(loss, [w, v], unused="warn")


@example("SBS-211")
def lost_gradient():
    x = dg.tensor([1.0, 2.0], requires_grad=True)
    rows = np.zeros(2)
    rows[0] = x[0] * x[1]


# static graph -------------------------------------------------------------------------------------


@example("SBS-301")
def truth():
    @sg.function
    def relu(x):
        if sg.sum(x) > 0:
            return x
        return x * 0

    relu(np.ones(3))


@example("SBS-302")
def number():
    @sg.function
    def power(x, n):
        for _ in range(n):
            x = x * x
        return x

    power(np.ones(3), 2)


@example("SBS-303")
def numpy_function():
    @sg.function
    def zeros(x):
        return np.roots(x)

    zeros(np.ones(3))


@example("SBS-304")
def data_dependent_shape():
    @sg.function
    def positive(x):
        return x[x > 0]

    positive(np.ones(3))


@example("SBS-305")
def leaked():
    kept = []

    @sg.function
    def model(x):
        kept.append(x * 2)
        return x

    model(np.ones(3))
    kept[0] + 1


@example("SBS-306")
def feeds():
    with sg.Graph() as graph:
        x = sg.placeholder("x", (3,))
        w = sg.placeholder("w", (3,))
        y = sg.sum(x * w)
    with sg.Session(graph) as session:
        session.run(y)


@example("SBS-307")
def final():
    with sg.Graph(name="model") as graph:
        x = sg.placeholder("x", (3,))
        y = x * 2
    with sg.Session(graph) as session:
        for step in range(10):
            session.run(y + step, {x: np.ones(3, "float32")})


@example("SBS-308")
def cycle():
    import networkx as nx

    dag = nx.DiGraph()
    dag.add_node("a", op="exp")
    dag.add_node("b", op="log")
    dag.add_edge("a", "b")
    dag.add_edge("b", "a")
    sg.Graph.from_networkx(dag)


@example("SBS-309")
def malformed():
    with sg.Graph(name="model"):
        x = sg.placeholder("images", (3,))
    x.graph.node("image")


@example("SBS-310")
def node_budget():
    def model(x):
        for _ in range(1000):
            x = sg.sin(x)
        return x

    sg.trace(model, np.ones(3), max_nodes=100)


@example("SBS-311")
def wrong_pass():
    def forget_the_last(program):
        return program.with_instructions(program.instructions[:-1])

    with sg.Graph():
        x = sg.placeholder("x", (3,))
        y = sg.exp(x * 2)
    sg.compile(y, passes=[forget_the_last], verify=True)


@example("SBS-312")
def backend():
    with sg.Graph():
        x = sg.placeholder("x", (3,))
        sg.compile(x * 2, backend="numpi")


@example("SBS-313")
def run():
    with sg.Graph():
        x = sg.placeholder("x", (3,))
        y = sg.log(x * 2)
    run = sg.compile(y, backend="numpy")
    with np.errstate(divide="raise"):
        run([1, 0, 3])


@example("SBS-314")
def baked():
    @sg.function(backend="numpy")
    def noisy(x):
        return x + np.random.rand()

    noisy(np.ones(3))


@example("SBS-315")
def branches():
    @sg.function
    def model(x):
        return sg.cond(
            x.sum() > 0,
            lambda: x,
            lambda: x.sum(),
        )

    model(np.ones(3))


@example("SBS-316")
def endless():
    @sg.function(backend="numpy")
    def model(x):
        return sg.while_loop(lambda c: c.sum() > 0, lambda c: c * 0.5, x, max_steps=100)

    model(np.ones(3))


@example("SBS-317")
def retraced():
    @sg.function(backend="numpy")
    def model(x):
        return x * 2

    for n in range(1, 8):
        model(np.ones(n))


@example("SBS-318")
def saved():
    from oplibrary import Kind, Op

    cube = Op(name="cube", kind=Kind.OPAQUE, arity=1, kernel=lambda x: x**3, infer=lambda x: x)
    with sg.Graph():
        y = cube(sg.placeholder("x", (3,)))
    sg.save_program("cube.sgp", y)


@example("SBS-319")
def pickled():
    import pickle

    double = sg.function(lambda x: x + x)
    pickle.dumps(double)


@example("SBS-320")
def bound():
    with sg.Graph():
        x = sg.placeholder("x", (2, 3))
        run = sg.compile(x * 2, [x], backend="numpy")
    columns = np.asfortranarray(np.ones((2, 3), "float32"))
    run.bind(columns)


# measurement --------------------------------------------------------------------------------------


@example("SBS-401")
def workload():
    sbs.find_workload("mlp_digit")


@example("SBS-402")
def output():
    comparison = sbs.Comparison((), {})
    comparison.to_json("no/such/folder/report.json")


@example("SBS-403")
def disagreement():
    from sidebyside.measuring.agreement import check_agreement

    static, dynamic = [np.float32([1.0, 2.0])], [np.float32([1.0, 2.0000002])]
    check_agreement(static, dynamic, pair="static and dynamic", tolerance=None)


@example("SBS-404", without=("sklearn", "sklearn.datasets"))
def missing_package():
    from sidebyside.workloads.datasets import digits

    digits()


@example("SBS-405")
def result_file():
    from sidebyside.results.saved.file import result_of

    result_of({"totals": {"covered_lines": 12}}, "coverage.json")  # what sbs.load does with it


@example("SBS-406")
def not_comparable():
    here = sbs.Comparison((), {"processor": "AMD EPYC 7763", "threads": 4})
    there = sbs.Comparison((), {"processor": "Intel Xeon 8370C", "threads": 4})
    sbs.diff(here, there)


# extensions ---------------------------------------------------------------------------------------


@example("SBS-501")
def entry_point():
    import sys
    import tempfile
    from pathlib import Path

    from oplibrary.core.entry_points import load_entry_points

    installed = Path(tempfile.mkdtemp())
    metadata = installed / "fast_graphs-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Name: fast-graphs\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text("[staticgraph.backends]\nfast = fast_graphs:fast\n")

    sys.path.insert(0, str(installed))
    load_entry_points("staticgraph.backends", object)
    sys.path.remove(str(installed))


# programs of other libraries ----------------------------------------------------------------------


@example("SBS-601")
def unsupported_argument():
    from staticgraph.importing.shared.table import Table

    table = Table()

    @table.entry("theirs.add", alpha=1)
    def add(xp, x, y):
        return xp.add(x, y)

    table["theirs.add"].accepted("theirs.add", {"x": 1, "y": 2, "alpha": 3}, None)


@example("SBS-602", without=())
def not_exported():
    from staticgraph.importing.shared.block import not_given

    raise not_given("torch.export", "Net", "Could not guard on data-dependent expression", None)


@example("SBS-603")
def other_results():
    from staticgraph.importing.shared.checking import disagrees

    raise disagrees("PyTorch: Net", "output 0", 0.25)
