"""Objects travel: pickles, copies and other processes compute the same, or say why they cannot."""

import concurrent.futures
import copy
import functools
import io
import multiprocessing
import pickle
import re
import subprocess
import sys
from collections import namedtuple

import numpy as np
import pytest
from tests.staticgraph import traveller
from tests.staticgraph.random_programs import Generator

import staticgraph as sg
from oplibrary.core.op import Kind, Op
from oplibrary.messages.errors import PicklingError, ProgramFileError, SideBySideError
from oplibrary.values.tree import flatten
from oplibrary.values.types import TensorType
from staticgraph.archive.graphs import _OF_GRAPHS
from staticgraph.archive.pickling import executable_of
from staticgraph.archive.reading import declare_again
from staticgraph.backends.native.planning import planning
from staticgraph.graph import graph_ops

X = np.linspace(-1, 1, 12, dtype="float32").reshape(4, 3)
Pair = namedtuple("Pair", "loss state")


def again(value, protocol=pickle.HIGHEST_PROTOCOL):
    return pickle.loads(pickle.dumps(value, protocol))


def declared(batch=4, **options):
    """A program with a variable, its update, a gradient, a branch and a loop."""
    with sg.Graph(name="model") as graph:
        x = sg.placeholder("x", (batch, 3))
        w = sg.variable(np.ones((3, 2), "float32"), name="w")
        loss = sg.sum(sg.tanh(x @ w))
        (dw,) = sg.gradients(loss, [w])
        chosen = sg.cond(loss > 0, lambda: loss * 2, lambda: loss * 3)
        summed = sg.fori_loop(0, 3, lambda i, c: c + chosen, loss)
        step = w.assign(w - 0.1 * dw)
    return graph, x, w, Pair(loss, {"chosen": chosen, "summed": [summed]}), step


def equal(found, wanted):
    found, wanted = flatten(found)[0], flatten(wanted)[0]
    assert len(found) == len(wanted)
    for a, b in zip(found, wanted, strict=True):
        assert a.dtype == b.dtype
        np.testing.assert_array_equal(a, b)


@pytest.fixture(params=["interpret", "numpy", "native"])
def backend(request):
    if request.param == "native":
        pytest.importorskip("llvmlite")
    return request.param


@pytest.mark.parametrize("batch", [4, "batch"])
@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
def test_an_executable_computes_the_same_after_a_pickle(backend, batch, protocol):
    _graph, x, w, outputs, _ = declared(sg.dim(batch) if batch == "batch" else batch)
    run = sg.compile(outputs, [x], backend=backend)
    other = again(run, protocol)
    equal(other(X), run(X))
    assert other.backend == backend and repr(other) == repr(run)
    assert type(other(X)).__name__ == "Pair" and other(X).loss == other(X)[0]
    assert other.lowered is not run.lowered and other.variables["w"] is not w.variable


def test_it_is_found_in_the_cache_at_the_other_end(tmp_path, monkeypatch):
    pytest.importorskip("llvmlite")
    monkeypatch.setenv("SIDEBYSIDE_CACHE", str(tmp_path / "cache"))
    run = sg.compile(declared()[3], backend="native")
    planned = []
    make_plan = planning.make_plan
    monkeypatch.setattr(planning, "make_plan", lambda p: planned.append(p) or make_plan(p))
    equal(again(run)(X), run(X))
    assert not planned


def test_state_is_shared_by_what_is_in_one_pickle_and_by_nothing_else(backend):
    graph, x, w, outputs, step = declared()
    read = sg.compile(outputs.loss, [x], backend=backend)
    train = sg.compile([outputs.loss, step], [x], backend=backend)
    train(X)
    both = {"read": read, "train": train, "again": [read], "w": w, "graph": graph}
    for copied in (again(both), {**copy.deepcopy({"read": read, "train": train})}):
        before = read(X)
        assert copied["read"](X) == before  # goes on from what it held
        copied["train"](X)
        assert copied["read"](X) != before == read(X)
        variable = copied["read"].variables["w"]
        assert variable is copied["train"].variables["w"] is not w.variable
    other = again(both)
    assert other["read"] is other["again"][0]
    assert other["w"].variable is other["read"].variables["w"]
    assert other["w"].graph is other["graph"]


def test_what_never_changes_is_its_own_copy():
    with sg.Graph():
        x = sg.placeholder("x", (3,))
        run = sg.compile(x * 2)
    assert copy.copy(run) is run is copy.deepcopy(run)
    function = sg.function(traveller.plain)
    assert copy.copy(function) is function is copy.deepcopy(function)
    _graph, x, w, _outputs, step = declared()
    train = sg.compile(step, [x])
    assert copy.copy(train) is train is not copy.deepcopy(train)
    assert copy.copy(train).variables["w"] is w.variable


def test_named_tuples_are_of_their_class():
    run = sg.compile(declared()[3])
    assert type(again(run)(X)) is Pair
    local = namedtuple("Local", "a")
    with sg.Graph() as graph:
        x = sg.placeholder("x", (3,))
        run = sg.compile(local(x * 2), [x])
    with pytest.raises(PicklingError, match="whose outputs are a Local"):
        pickle.dumps(run)
    assert str(again(graph)) == str(graph)


def test_an_opened_program_travels(tmp_path):
    run = sg.compile(declared()[3])
    sg.save_program(tmp_path / "saved.sgp", run)
    opened = sg.open_program(tmp_path / "saved.sgp")
    equal(again(opened)(X), run(X))
    assert again(opened)(X).loss == run(X).loss


def test_options_travel():
    _graph, x, _w, outputs, _step = declared()
    passes = sg.without("fuse_elementwise")
    seen = []
    run = sg.compile(
        outputs, [x], backend="numpy", passes=passes, borrow=True, observer=seen.append
    )
    other = again(run)
    assert [r.name for r in other.records] == [r.name for r in run.records]
    assert other.options.borrow and other.options.observer is None and other.backend == "numpy"
    assert again(sg.compile(outputs, [x])).options.backend is None  # the default of the other end


@pytest.mark.parametrize("seed", range(40))
def test_random_programs_travel(seed):
    made = Generator(seed).make()
    graph, nodes = declare_again(made.program, "random")
    inputs = [nodes[value] for value in made.program.inputs]
    outputs = [nodes[value] for value in made.program.outputs]
    with np.errstate(all="ignore"):
        run = sg.compile(outputs, inputs, backend="numpy")
        wanted = run(*made.arrays)
        equal(again(run)(*made.arrays), wanted)
        graph, inputs, outputs = again((graph, inputs, outputs))
        equal(sg.compile(outputs, inputs, backend="numpy")(*made.arrays), wanted)
    for program in (run.lowered, run.program):
        other = again(program)
        assert len(other.constants) == len(program.constants)
        for one, two in zip(other.instructions, program.instructions, strict=True):
            assert one.op is two.op and one.group == two.group
            assert one.output.type == two.output.type and len(one.sources) == len(two.sources)


# graphs -------------------------------------------------------------------------------------------


def test_a_graph_can_be_declared_on_after_it_travelled():
    graph, x, _w, outputs, _step = declared(sg.dim("batch"))
    graph.graph["author"] = "me"
    graph.nodes[x]["color"] = "red"
    other = again(graph)
    lines = [re.sub(r" +#.*", "", str(each)) for each in (other, graph)]
    assert lines[0] == lines[1] and other.name == "model"
    assert other.graph["author"] == "me" and other.nodes[other.node("x")]["color"] == "red"
    assert [n.sequence for n in other] == [n.sequence for n in graph]
    results = []
    for each in (graph, other):
        with each:
            chosen = each.node(outputs.state["chosen"].name)
            (gradient,) = sg.gradients(chosen, [each.node("w")])
            placed = sg.placeholder("another", (2,))
        results.append([sg.compile(gradient, [each.node("x")])(X), placed.name, gradient.name])
    equal(results[0][0], results[1][0])
    assert results[0][1:] == results[1][1:]


def test_a_final_graph_stays_final_and_names_its_lines():
    graph, _x, _w, outputs, _step = declared()
    sg.compile(outputs)
    other = again(graph)
    assert other.final
    with pytest.raises(SideBySideError, match="after it was compiled"), other:
        sg.placeholder("y", (2,))
    assert other.node("x").source.text.startswith("x = sg.placeholder")


def test_a_traced_graph_travels_with_its_outputs():
    graph = sg.trace(lambda x: {"y": [x * 2, sg.sum(x)]}, TensorType((3,), "float32"))
    other = again(graph)
    assert other.output_tree == graph.output_tree and other.sealed
    run = sg.compile(other.outputs, other.inputs)
    equal(run(np.ones(3, "float32")), [np.full(3, 2, "float32"), np.float32(3)])


def test_nodes_refer_to_their_graph():
    _graph, x, w, outputs, _step = declared()
    other = again([x, w, outputs])
    assert other[0].graph is other[1].graph is other[2].loss.graph
    assert copy.deepcopy(x) is x is copy.copy(x)
    equal(sg.compile(other[2], [other[0]])(X), sg.compile(outputs, [x])(X))


def test_a_session_travels_with_its_state():
    graph, x, _w, outputs, step = declared()
    with sg.Session(graph, backend="numpy") as session:
        session.run(step, {x: X})
        other, y = again((session, outputs.loss))
        assert other.run(y, {"x": X}) == session.run(outputs.loss, {x: X})
        session.run(step, {x: X})
        assert other.run(y, {"x": X}) != session.run(outputs.loss, {x: X})
        assert copy.copy(session) is session
        with pytest.raises(PicklingError, match="copied deeply"):
            copy.deepcopy(session)
    closed = again(session)
    with pytest.raises(SideBySideError, match="closed"):
        closed.run(closed.graph.node("w"))


def test_every_op_of_a_graph_travels():
    kept = [op for op in vars(graph_ops).values() if isinstance(op, Op)]
    of_rules = {graph_ops.KEPT, graph_ops.CUSTOM_CALL, graph_ops.CUSTOM_RESULT}
    assert set(kept) == set(_OF_GRAPHS.values()) | of_rules


@pytest.mark.parametrize("in_a_loop", [False, True])
def test_a_function_with_its_own_derivative_travels_compiled(in_a_loop):
    with sg.Graph() as graph:
        x = sg.placeholder("x", (3,))
        f = sg.custom_vjp(lambda x: x * 2)
        f.defvjp(lambda x: (x * 2, None), lambda _, g: (g * 5,))
        y = sg.fori_loop(0, 2, lambda i, c: f(c), x) if in_a_loop else f(x)
    with pytest.raises(PicklingError, match="a function with a derivative of its own, <lambda>"):
        pickle.dumps(graph)
    with graph:
        (dx,) = sg.gradients(sg.sum(y), [x])
        run = sg.compile([y, dx], [x], backend="numpy")
    ones = np.ones(3, "float32")
    assert [z.tolist() for z in again(run)(ones)] == [z.tolist() for z in run(ones)]


def test_symbolic_lengths_have_other_stand_ins_in_another_process(tmp_path):
    a, b = sg.dim("travelling"), sg.dim("wide", min=2)
    kept = [a, 2 * a * b - 3, TensorType((a, 3, a * b), "float64"), TensorType((2,), "int8")]
    assert list(map(repr, again(kept))) == list(map(repr, kept))
    assert again(kept)[0].stand_in == a.stand_in
    path = tmp_path / "lengths"
    path.write_bytes(pickle.dumps(kept))
    code = (
        "import sys, pickle, staticgraph as sg\n"
        "sg.dim('first'); sg.dim('wide', min=2)\n"
        "a, c, t, u = pickle.loads(open(sys.argv[1], 'rb').read())\n"
        "print(a, c, t, u, a == sg.dim('travelling'), c == 2 * a * sg.dim('wide', min=2) - 3)"
    )
    found = subprocess.run(
        [sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True
    )
    shown = "travelling 2*wide*travelling-3 float64[travelling,3,wide*travelling] int8[2] True True"
    assert found.stdout.strip() == shown


# functions ----------------------------------------------------------------------------------------


def test_a_decorated_function_is_found_by_its_name():
    assert again(traveller.decorated) is traveller.decorated
    assert again(traveller.Model.method) is traveller.Model.method
    assert copy.deepcopy(traveller.decorated) is traveller.decorated


def test_a_function_travels_with_its_options():
    specs = {"x": TensorType((sg.dim("batch"),), "float32")}
    function = sg.function(traveller.plain, specs=specs, backend="numpy", max_signatures=3)
    function(np.ones(2, "float32"))
    other = again(function)
    for n in (2, 3):
        x = np.ones(n, "float32")
        equal(other(x), function(x))
    assert len(other.explain().traces) == 1
    assert other._settings() == function._settings()
    partial = sg.function(functools.partial(traveller.plain))
    equal(again(partial)(X), partial(X))


def test_a_method_travels_and_is_copied_with_its_object():
    model = traveller.Model(np.float32(2))
    for other in (again(model), copy.deepcopy(model)):
        assert other.step is not model.step
        other.weight = np.float32(5)
        assert other.step(X)[0, 0] == -5 and model.step(X)[0, 0] == -2


@pytest.mark.parametrize(
    "make",
    [
        lambda: sg.function(lambda x: x),
        lambda: sg.function(functools.partial(lambda x, y: x, y=2)),
        lambda: sg.function(local()),
        lambda: functools.partial(sg.function(local()), 1),
    ],
)
def test_a_function_that_nobody_finds_is_refused_by_name(make):
    with pytest.raises(PicklingError, match="looks '.*<l"):
        pickle.dumps(make())


def local():
    def inner(x):
        return x

    return inner


# what cannot travel -------------------------------------------------------------------------------


def test_a_debugged_executable_is_refused():
    _graph, x, _w, outputs, _step = declared()
    run = sg.compile(outputs, [x], debug=True)
    for take in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(PicklingError, match="debug=True"):
            take(run)


def test_a_pass_of_ones_own_that_nobody_finds_is_refused():
    _graph, x, _w, outputs, _step = declared()
    run = sg.compile(outputs, [x], passes=[lambda program: program])
    with pytest.raises(PicklingError, match="with the pass <lambda>"):
        pickle.dumps(run)


def test_an_op_of_ones_own_is_refused_with_the_line():
    twice = Op(
        name="twice",
        kind=Kind.ELEMENTWISE,
        arity=1,
        kernel=lambda x: x * 2,
        infer=lambda x: x,
        doc="Twice.",
    )
    with sg.Graph() as graph:
        x = sg.placeholder("x", (3,))
        y = twice(x)
    run = sg.compile(y, [x])
    for each in (run, graph, run.lowered, run.program, y):
        with pytest.raises(PicklingError, match="twice is no op of the library") as error:
            pickle.dumps(each)
        assert error.value.source.text == "y = twice(x)"


def test_a_branch_of_a_graph_is_refused():
    found = []
    with sg.Graph():
        x = sg.placeholder("x", ())
        sg.cond(x > 0, lambda: found.append(x * 2) or x * 2, lambda: x)
    with pytest.raises(PicklingError, match="a branch or a loop's body"):
        pickle.dumps(found[0])


def test_a_graph_that_networkx_changed_is_refused():
    graph, x, _w, _outputs, _step = declared()
    graph.remove_edge(x, next(graph.successors(x)))
    with pytest.raises(PicklingError, match="changed by networkx"):
        pickle.dumps(graph)


# what is trusted ----------------------------------------------------------------------------------


class Finder(pickle.Unpickler):
    """Notes what a pickle names."""

    def __init__(self, stream):
        super().__init__(stream)
        self.found = set()

    def find_class(self, module, name):
        self.found.add(f"{module}.{name}")
        return super().find_class(module, name)


def test_a_pickle_names_nothing_but_our_readers_and_numpys():
    graph, x, w, outputs, step = declared(sg.dim("batch"))
    run = sg.compile([outputs, step], [x])
    stream = io.BytesIO(pickle.dumps([run, graph, run.lowered, run.program, w]))
    finder = Finder(stream)
    finder.load()
    ours = {name for name in finder.found if not name.startswith("numpy")}
    assert ours == {
        "tests.staticgraph.test_travel.Pair",
        "oplibrary.messages.source.Source",
        "staticgraph.archive.pickling.executable_of",
        "staticgraph.archive.pickling.graph_of",
        "staticgraph.archive.pickling.program_of",
        "staticgraph.compiler.options.Options",
        "staticgraph.graph.node._node_of",
        "staticgraph.program.variable._variable_of",
    }


def test_what_a_pickle_says_is_proved_as_a_file_is():
    graph, x, _w, outputs, step = declared()
    run = sg.compile(outputs, [x])
    make, (options, classes, document, arrays, variables) = run.__reduce__()
    assert make is executable_of
    for spoil in (
        lambda d: d["program"]["instructions"][0].update(op="no_such_op"),
        lambda d: d["program"]["instructions"][0].update(type=["float32", [9, 9]]),
        lambda d: d["program"]["instructions"][0].update(operands=["x", "nothing"]),
        lambda d: d.pop("program"),
        lambda d: d["program"]["variables"][0].update(variable=7),
        lambda d: d["program"]["variables"][0].update(type=["float64", [3, 2]]),
    ):
        changed = copy.deepcopy(document)
        spoil(changed)
        with pytest.raises(ProgramFileError):
            make(options, classes, changed, arrays, variables)
    for wrong in ([], [again(sg.compile(step)).variables["w"]][:0], [None]):
        with pytest.raises(ProgramFileError):
            make(options, classes, document, arrays, wrong)
    for wrong in ([], [dict], [namedtuple("Pair", "other names")]):
        with pytest.raises(ProgramFileError):
            make(options, wrong, document, arrays, variables)
    make, parts = graph.__reduce__()
    for spoil in (
        lambda d: d["nodes"][2].update(op="no_such_op"),
        lambda d: d["nodes"][2].update(type=["float32", [9, 9]]),
        lambda d: d["nodes"][2].update(operands=[0, 99]),
        lambda d: d.update(inputs=[99]),
        lambda d: d.pop("state"),
    ):
        changed = copy.deepcopy(parts[1])
        spoil(changed)
        with pytest.raises(ProgramFileError):
            make(parts[0], changed, *parts[2:])


# other processes ----------------------------------------------------------------------------------


def test_other_processes_run_what_they_are_sent():
    _graph, x, _w, outputs, step = declared()
    run = sg.compile(outputs, [x])
    train = sg.compile([outputs.loss, step], [x])
    spawn = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(1, mp_context=spawn) as pool:
        found = pool.submit(traveller.call, run, X).result()
        losses, state = pool.submit(traveller.train, train, X).result()
        sent = pool.submit(traveller.call, traveller.decorated, X, 2.0).result()
        method = pool.submit(traveller.call, traveller.Model(np.float32(3)).step, X).result()
        back = pool.submit(sg.function, traveller.plain).result()
        refused = pool.submit(traveller.call, run, X[:2])
        assert "shape (2, 3)" in str(refused.exception())
    equal(list(found), list(run(X)))
    here, _ = traveller.train(train, X), None
    equal([*losses, state["w"]], [*here[0], here[1]["w"]])
    equal(sent, traveller.decorated(X, 2.0))
    equal(method, X * np.float32(3))
    equal(back(X), sg.function(traveller.plain)(X))


def test_joblib_runs_executables_and_static_functions():
    joblib = pytest.importorskip("joblib")
    _graph, x, _w, outputs, _step = declared()
    run = sg.compile(outputs, [x])
    calls = [joblib.delayed(run)(X), joblib.delayed(traveller.decorated)(X, 1.0)]
    with joblib.parallel_config("loky", n_jobs=2):
        found = joblib.Parallel()(calls)
    equal(list(found[0]), list(run(X)))
    equal(found[1], traveller.decorated(X, 1.0))
    stream = io.BytesIO()
    joblib.dump({"run": run, "large": np.zeros(10)}, stream)
    stream.seek(0)
    equal(joblib.load(stream)["run"](X), run(X))


SCRIPT = """
import pickle, subprocess, sys, numpy as np, staticgraph as sg, {by} as by
k = 3.0
@sg.function
def top(x):
    return x * k
inner = (lambda n: sg.function(lambda x: x + n))(2)
run = sg.function(lambda x: x * 2)
if __name__ == "__main__":
    sent = by.dumps([top, inner])
    code = "import sys, pickle, numpy as np; t, i = pickle.load(sys.stdin.buffer); "
    code += "print(t(np.ones(2)), i(np.ones(2)))"
    out = subprocess.run([sys.executable, "-c", code], input=sent, capture_output=True)
    print(out.stdout.decode(), out.stderr.decode())
    assert pickle.loads(pickle.dumps(top)) is top
"""


@pytest.mark.parametrize("by", ["cloudpickle", "joblib.externals.cloudpickle"])
def test_functions_of_a_script_travel_by_their_code(by, tmp_path):
    pytest.importorskip(by)
    path = tmp_path / "script.py"
    path.write_text(SCRIPT.format(by=by))
    found = subprocess.run([sys.executable, str(path)], capture_output=True, text=True)
    assert found.stdout.split("\n")[0] == "[3. 3.] [3. 3.]", found.stdout + found.stderr


SPAWNED = """
import multiprocessing, numpy as np, staticgraph as sg
@sg.function
def top(x):
    return x * 3
if __name__ == "__main__":
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        print(pool.map(top, [np.ones(2)]))
"""


def test_functions_of_a_script_travel_by_their_name(tmp_path):
    path = tmp_path / "script.py"
    path.write_text(SPAWNED)
    found = subprocess.run([sys.executable, str(path)], capture_output=True, text=True)
    assert found.stdout.strip() == "[array([3., 3.])]", found.stdout + found.stderr
