import gc
import weakref

import numpy as np
import pytest

import staticgraph as sg
from oplibrary.messages.errors import BackendError, FeedError, GraphError, PassError
from staticgraph.passes import DEFAULT_PASSES, pass_name


@pytest.fixture
def graph():
    with sg.Graph(finalize=False) as graph:
        x = sg.placeholder("x", (2, 3))
        sg.placeholder("n", (), "int32")
        sg.tanh(x)
    return graph


def ones(*shape, dtype="float32"):
    return np.ones(shape, dtype)


# results ------------------------------------------------------------------------------------------


def test_results_have_the_structure_of_the_outputs(graph):
    x, y = graph.node("x"), graph.node("tanh")
    array, expected = ones(2, 3), np.tanh(ones(2, 3))
    single = sg.compile(y, [x])(array)
    assert type(single) is np.ndarray
    assert np.array_equal(single, expected)
    listed = sg.compile([y, x], [x])(array)
    assert type(listed) is list
    assert np.array_equal(listed[1], array)
    pair = sg.compile((y, x), [x])(array)
    assert type(pair) is tuple
    tree = sg.compile({"a": y, "b": [x, None, (y,)]}, [x])(array)
    assert np.array_equal(tree["a"], expected)
    assert tree["b"][1] is None
    assert np.array_equal(tree["b"][2][0], expected)


def test_scalar_results_are_arrays(graph):
    with graph:
        total = sg.sum(graph.node("x"))
    for backend in ("numpy", "interpret"):
        result = sg.compile(total, ["x"], backend=backend)(ones(2, 3))
        assert type(result) is np.ndarray
        assert result.shape == ()


def test_all_placeholders_are_inputs_by_default(graph):
    run = sg.compile(graph.node("tanh"))
    assert [feed.name for feed in run.inputs] == ["x", "n"]
    run(ones(2, 3), 4)
    run(n=4, x=ones(2, 3))
    run(ones(2, 3), n=4)


def test_a_program_without_inputs():
    with sg.Graph():
        w = sg.variable(np.zeros(2, "float32"), name="w")
        step = sg.compile(sg.assign(w, w + 1.0), [])
    for _ in range(3):
        result = step()
    assert np.array_equal(result, [3, 3])
    assert np.array_equal(w.value, [3, 3])
    with pytest.raises(FeedError, match="1 arrays were passed for 0 inputs"):
        step(1)


def test_any_node_can_be_an_input(graph):
    with graph:
        z = sg.exp(graph.node("tanh"))
    run = sg.compile(z, [graph.node("tanh")])
    assert np.array_equal(run(np.zeros((2, 3), "float32")), ones(2, 3))


# feeds --------------------------------------------------------------------------------------------


def test_numbers_and_lists_take_the_declared_dtype(graph):
    run = sg.compile([graph.node("x"), graph.node("n")])
    x, n = run([[1, 2, 3], [4, 5, 6.5]], 7)
    assert (x.dtype, n.dtype) == ("float32", "int32")
    assert x[1, 2] == 6.5
    assert n == 7
    assert run([[True, 2, 3]] * 2, True)[1] == 1


@pytest.mark.parametrize("backend", ["numpy", "native"])
def test_layout_is_converted_and_views_are_accepted(graph, backend):
    if backend == "native":
        pytest.importorskip("llvmlite")
    run = sg.compile(graph.node("tanh"), ["x"], backend=backend)
    array = np.arange(6, dtype="float32").reshape(3, 2)
    for given in (array.T, np.broadcast_to(ones(3), (2, 3))):
        plain = np.array(given, order="C")
        assert np.array_equal(run(given), run(plain))
        np.testing.assert_array_max_ulp(run(given), np.tanh(plain), 3)
    wide = np.arange(12, dtype="float32").reshape(2, 6)
    assert np.array_equal(run(wide[:, ::2]), run(wide[:, ::2].copy()))
    raw = np.zeros(25, np.uint8)
    crooked = np.frombuffer(raw.data, "float32", 6, offset=1).reshape(2, 3)
    assert np.array_equal(run(crooked), np.zeros((2, 3)))

    class Wrapped(np.ndarray):
        pass

    assert type(run(array.T.copy().view(Wrapped))) is np.ndarray


def test_empty_arrays():
    with sg.Graph():
        x = sg.placeholder("x", (0, 3))
        run = sg.compile([sg.tanh(x), sg.sum(x)], [x])
    y, total = run(np.zeros((0, 3), "float32"))
    assert y.shape == (0, 3)
    assert total == 0


@pytest.mark.parametrize(
    ("arguments", "named", "fragments"),
    [
        (
            (),
            {},
            ["2 inputs do not fit", "'x' (float32[2,3]) is missing", "'n' (int32[]) is missing"],
        ),
        ((ones(2, 3),), {}, ["'n' (int32[]) is missing", "fix: pass n"]),
        ((ones(2, 3), 1, 2), {}, ["3 arrays were passed for 2 inputs", "leave out the last one"]),
        ((ones(2, 3), 1), {"m": 3}, ["there is no input 'm'"]),
        ((ones(2, 3), 1), {"n": 3}, ["'n' was passed twice"]),
        ((ones(3, 2), 1), {}, ["an array of shape (3, 2) was fed", "reshape it to (2, 3)"]),
        (
            (ones(2, 3, dtype="float64"), 1),
            {},
            ["'x' is float32[2,3], and float64[2,3] was fed", 'x.astype("float32")'],
        ),
        ((ones(2, 3), 1.5), {}, ["'n' is int32[], and float64[] was fed"]),
        ((ones(2, 3), np.int64(1)), {}, ["and int64[] was fed"]),
        ((ones(2, 3), 1 << 40), {}, ["'n' is int32[]"]),
        (("abc", 1), {}, ["'x' is float32[2,3]"]),
        (([[1, 2], [3]], 1), {}, ["this list is no array"]),
        ((ones(2), 1.5), {"q": 0}, ["3 inputs do not fit", "no input 'q'", "shape (2,)"]),
        ((None, 1), {}, ["'x' is float32[2,3]"]),
    ],
)
@pytest.mark.parametrize("backend", ["numpy", "interpret"])
def test_wrong_feeds_are_all_named_at_once(graph, arguments, named, fragments, backend):
    run = sg.compile(graph.node("tanh"), backend=backend)
    with pytest.raises(FeedError) as caught:
        run(*arguments, **named)
    text = str(caught.value)
    for fragment in fragments:
        assert fragment in text
    assert "run(*arguments, **named)" in text
    assert "a call passes x: float32[2,3], n: int32[]" in text


def test_wrong_feeds_show_where_the_input_was_declared(graph):
    run = sg.compile(graph.node("tanh"), ["x"])
    with pytest.raises(FeedError) as caught:
        run(ones(7))
    assert "x declared at test_executable.py" in str(caught.value)
    assert 'sg.placeholder("x", (2, 3))' in str(caught.value)


def test_a_node_as_a_feed_is_refused(graph):
    run = sg.compile(graph.node("tanh"), ["x"])
    with pytest.raises(FeedError, match="'x'"):
        run(graph.node("x"))


# compiling ----------------------------------------------------------------------------------------


def test_what_cannot_be_compiled_is_refused(graph):
    with pytest.raises(GraphError, match="the outputs are float, not nodes"):
        sg.compile(1.5)
    with pytest.raises(GraphError, match="the outputs are nothing"):
        sg.compile([])
    with pytest.raises(FeedError, match="missing"):
        sg.compile(graph.node("tanh"), [])
    with pytest.raises(BackendError, match="no backend 'fast'"):
        sg.compile(graph.node("tanh"), backend="fast")


def test_compiling_makes_the_graph_final():
    from oplibrary.messages.errors import FinalGraphError

    with sg.Graph():
        x = sg.placeholder("x", (3,))
        sg.compile(sg.tanh(x), [x])
        with pytest.raises(FinalGraphError):
            sg.tanh(x)


def test_phases_and_records(graph):
    seen = []
    run = sg.compile(graph.node("tanh"), backend="numpy", observer=seen.append)
    passes = [pass_name(each) for each in DEFAULT_PASSES]
    assert list(run.phases)[: len(passes) + 1] == ["lower", *passes]
    assert list(run.phases)[-2:] == ["plan", "generate"]
    assert all(seconds >= 0 for seconds in run.phases.values())
    assert tuple(seen) == run.records
    assert [record.name for record in seen] == passes


def test_passes_can_be_chosen_and_verified(graph):
    with graph:
        doubled = graph.node("tanh") * 1.0
    plain = sg.compile(doubled, ["x"], passes=())
    assert len(plain.program.instructions) == 2
    assert plain.records == ()
    kept = sg.compile(doubled, ["x"], passes=sg.without("simplify_algebra"), verify=True)
    assert len(kept.program.instructions) == 2
    assert len(sg.compile(doubled, ["x"]).program.instructions) == 1

    def forget_everything(program):
        return program.with_instructions(())

    with pytest.raises(PassError, match="after forget_everything"):
        sg.compile(doubled, ["x"], passes=(forget_everything,), verify=True)


def test_report_source_and_passes(graph, capsys):
    with graph:
        result = graph.node("tanh") * 1.0
    run = sg.compile(result, ["x"], backend="numpy")
    report = run.report()
    assert repr(run) in report
    assert "simplify_algebra" in report
    assert "2 -> 1" in report
    assert "fold_constants" in report
    assert "unchanged" in report
    assert "arena" in report
    assert "peak       24 bytes" in report
    assert repr(run) == "<Executable (x: float32[2,3]) -> (float32[2,3]), 1 instructions, numpy>"
    assert "def run(x):" in run.source
    run.print_passes()
    printed = capsys.readouterr().out
    assert printed.startswith("lowered(")
    assert "simplify_algebra(" in printed
    assert "merge_views(" not in printed
    assert sg.compile(result, ["x"], backend="interpret").source == ""


def test_debug_runs_the_program_as_declared_and_calls_hooks(graph):
    with graph:
        result = graph.node("tanh") * 1.0
    run = sg.compile(result, ["x"], debug=True)
    assert run.backend == "interpret"
    seen = []
    run.hooks.append(lambda each, operands, result: seen.append((each.op.name, result.shape)))
    run(ones(2, 3))
    assert seen == [("tanh", (2, 3)), ("multiply", (2, 3))]


def test_borrowed_results_are_overwritten_by_the_next_call():
    with sg.Graph():
        x = sg.placeholder("x", (5000,))
        run = sg.compile(sg.tanh(x), [x], borrow=True, backend="numpy")
    first = run(np.zeros(5000, "float32"))
    run(np.ones(5000, "float32"))
    assert first[0] == np.tanh(np.float32(1))


def test_call_is_the_same_without_names(graph):
    run = sg.compile(graph.node("tanh"), ["x"])
    assert np.array_equal(run.call(ones(2, 3)), run(ones(2, 3)))
    with pytest.raises(FeedError):
        run.call(ones(2))


def test_an_executable_is_freed_at_once():
    with sg.Graph():
        x = sg.placeholder("x", (5000,))
        run = sg.compile(sg.tanh(sg.tanh(x)), [x], backend="numpy")
    run(ones(5000))
    watched = weakref.ref(run.call), weakref.ref(run._runner.call)
    gc.disable()
    try:
        del run
        assert [each() for each in watched] == [None, None]
    finally:
        gc.enable()


@pytest.mark.parametrize("enabled", [True, False])
def test_the_collector_is_as_it_was_after_a_build(graph, enabled):
    seen = []
    before = gc.isenabled()
    (gc.enable if enabled else gc.disable)()
    try:
        sg.compile(graph.node("tanh"), ["x"], observer=lambda _: seen.append(gc.isenabled()))
        assert gc.isenabled() == enabled
        assert not any(seen)
        with pytest.raises(GraphError):
            sg.compile([1.0])
        assert gc.isenabled() == enabled
    finally:
        (gc.enable if before else gc.disable)()


@pytest.mark.parametrize("backend", ["interpret", "numpy", "native"])
@pytest.mark.parametrize("dtype", ["float32", "float64", "int64", "complex128"])
def test_bytes_in_the_other_order_are_the_same_numbers(backend, dtype):
    if backend == "native":
        pytest.importorskip("llvmlite")
    value = np.arange(6).astype(dtype)
    swapped = value.astype(value.dtype.newbyteorder(">"))
    with sg.Graph() as graph:
        x = sg.placeholder("x", (6,), dtype)
        y = x * 2 + 1
    run = sg.compile(y, [x], backend=backend)
    for given in (swapped, value, swapped):
        assert run(given).tolist() == run(value).tolist() == (value * 2 + 1).tolist()
    with sg.Session(graph, backend=backend) as session:
        assert session.run(y, {x: swapped}).tolist() == (value * 2 + 1).tolist()


def test_bytes_in_the_other_order_keep_their_dtype():
    with sg.Graph():
        x = sg.placeholder("x", (3,), "float32")
    with pytest.raises(FeedError, match=r"and float64\[3\] was fed"):
        sg.compile(x * 2, [x])(np.ones(3, ">f8"))
