"""Breakpoints, inspection, the first NaN, the trace, and the check of every pass."""

import re
import sys
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import staticgraph as sg
from oplibrary.core.registry import REGISTRY
from oplibrary.messages.errors import (
    AnomalyError,
    AssertionFailedError,
    GraphError,
    LeakedNodeError,
    PassError,
    RunError,
)
from staticgraph.backends.registry import BACKENDS, load_backend
from staticgraph.debugging.difference import differ
from staticgraph.debugging.summary import summarize
from staticgraph.passes import without

ROOT = Path(__file__).parent.parent.parent


def array(*values):
    return np.array(values, "float32")


def debugged(function, *arrays, **options):
    graph = sg.trace(function, *arrays)
    outputs = graph.outputs if len(graph.outputs) > 1 else graph.outputs[0]
    return sg.compile(outputs, graph.inputs, debug=True, **options)


def simple(x, w):
    hidden = sg.tanh(x * w)
    return sg.sum(hidden * hidden)


@pytest.fixture
def run():
    return debugged(simple, array(1, 2), array(0.5, 0.25))


def looping(x, xs):
    def body(c, e):
        return c + sg.log(e), c * 2.0

    last, ys = sg.scan(body, x, xs)
    return sg.cond(last > 0, lambda: sg.log(last), lambda: last), ys


@pytest.fixture
def loop():
    return debugged(looping, array(1)[0], array(1, 2, 3))


# breakpoints --------------------------------------------------------------------------------------


def test_a_breakpoint_shows_the_instruction_its_line_and_values(run):
    frames = []
    stop = run.break_at("tanh", frames.append)
    run(array(1, 2), array(0.5, 0.25))
    (frame,) = frames
    assert frame.instruction.op.name == "tanh"
    assert frame.source.text == "hidden = sg.tanh(x * w)"
    assert np.array_equal(frame.operands[0], [0.5, 0.5])
    assert np.array_equal(frame.result, np.tanh(array(0.5, 0.5)))
    assert list(frame.values) == ["x", "w", "multiply", "tanh"]
    assert np.array_equal(frame.values["w"], [0.5, 0.25])
    assert stop.hits == 1
    stop.remove()
    run(array(1, 2), array(1, 1))
    assert stop.hits == 1
    text = str(frame)
    assert text.startswith("at test_debugging.py:")
    assert "tanh = tanh(multiply)" in text
    assert "min 0.5  max 0.5  mean 0.5" in text


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ("multiply", ["multiply", "multiply_1"]),  # an op: all of them
        ("mul", ["multiply", "multiply_1"]),
        ("multiply_1", ["multiply_1"]),
        ("sum", ["sum"]),
    ],
)
def test_a_name_means_a_value_or_every_use_of_an_op(run, target, expected):
    seen = []
    run.break_at(target, lambda frame: seen.append(frame.name))
    run(array(1, 2), array(1, 1))
    assert seen == expected


def test_a_breakpoint_at_a_line_or_a_node(run):
    graph = sg.trace(lambda x: sg.exp(sg.stop_gradient(sg.tanh(x))), array(1))
    seen = []
    own = sg.compile(graph.outputs, graph.inputs, debug=True)
    own.break_at(graph.node("tanh"), lambda frame: seen.append(frame.name))
    own.break_at(graph.node("stop_gradient"), lambda frame: seen.append(f"again {frame.name}"))
    own(array(1))
    assert seen == ["tanh", "again tanh"]
    line = run.program.instructions[0].sources[0].place
    places = []
    run.break_at(line, lambda frame: places.append(frame.name))
    run(array(1, 2), array(1, 1))
    assert places == ["multiply", "tanh"]
    with pytest.raises(LeakedNodeError):
        run.break_at(graph.node("tanh"))


def test_without_an_action_pythons_own_debugger_is_called(run, monkeypatch, capsys):
    found = []

    def hook():
        found.append(sys._getframe(1).f_locals["frame"])

    monkeypatch.setattr(sys, "breakpointhook", hook)
    run.break_at("sum")
    run(array(1, 2), array(1, 1))
    assert [frame.name for frame in found] == ["sum"]
    assert "sum = sum(multiply_1)" in capsys.readouterr().out


def test_a_name_that_means_nothing_is_refused_with_the_closest(run):
    with pytest.raises(GraphError, match="closest names are 'tanh'"):
        run.break_at("tan")
    with pytest.raises(GraphError, match="'x' is computed by no instruction") as caught:
        run.break_at("x")
    assert "break at what reads it" in str(caught.value)
    with pytest.raises(GraphError, match="a int was passed"):
        run.break_at(3)


def test_what_an_action_raises_ends_the_run(run, loop):
    class Quit(Exception):
        pass

    def quit(frame):
        raise Quit

    run.break_at("tanh", quit)
    with pytest.raises(Quit):
        run(array(1, 2), array(1, 1))
    assert "sum" not in run.values
    # neither does control flow take it for a failure of its own
    loop.break_at("scan.body/log", quit)
    with pytest.raises(Quit):
        loop(1.0, array(1, 2, 3))


def test_arrays_that_are_shown_cannot_be_written(run):
    def write(frame):
        frame.result[...] = 0

    run.break_at("tanh", write)
    with pytest.raises(ValueError, match="read-only"):
        run(array(1, 2), array(1, 1))
    with pytest.raises(ValueError, match="read-only"):
        run.inspect("tanh")[...] = 0


def test_breakpoints_in_bodies_and_branches(loop):
    seen = []
    loop.break_at("log", lambda frame: seen.append((frame.scope, frame.step, float(frame.result))))
    loop(1.0, array(1, 2, 3))
    assert [scope for scope, _, _ in seen] == ["scan.body"] * 3 + ["switch.branches[1]"]
    assert [step for _, step, _ in seen] == [1, 2, 3, 1]
    assert seen[1][2] == np.log(np.float32(2))


def test_a_frame_in_a_body_sees_the_values_around_it(loop):
    frames = []
    loop.break_at("scan.body/log", frames.append)
    loop(1.0, array(1, 2, 3))
    assert len(frames) == 3
    assert np.array_equal(frames[0].values["xs"], [1, 2, 3])
    assert frames[2].values["x1"] == 3
    assert "in scan.body, step 3" in str(frames[2])


def test_condition_and_body_of_a_while_loop_are_told_apart():
    run = debugged(lambda x: sg.while_loop(lambda c: c < 10.0, lambda c: c * c, x), array(2)[0])
    scopes = []
    run.break_at("less", lambda frame: scopes.append(frame.scope))
    run.break_at("multiply", lambda frame: scopes.append(frame.scope))
    assert run(2.0) == 16
    names = {"while_loop.condition": "c", "while_loop.body": "b"}
    assert "".join(names[scope] for scope in scopes) == "cbcbc"


def test_hooks_see_the_instructions_of_regions_too(loop):
    seen = []
    loop.hooks.append(lambda instruction, operands, result: seen.append(instruction.op.name))
    loop(1.0, array(1, 2, 3))
    assert seen.count("log") == 4
    assert seen[:3] == ["log", "add", "multiply"]


# values -------------------------------------------------------------------------------------------


def test_every_value_of_the_last_run_is_there(run):
    assert run.values == {}
    x = array(1, 2)
    run(x, array(1, 1))
    x[...] = 7  # what the caller does afterwards does not show
    assert list(run.values) == ["x", "w", "multiply", "tanh", "multiply_1", "sum"]
    assert np.array_equal(run.inspect("x"), [1, 2])
    assert np.array_equal(run.inspect("tanh"), np.tanh(array(1, 2)))
    run(array(3, 4), array(1, 1))
    assert np.array_equal(run.inspect("multiply"), [3, 4])


def test_values_of_regions_have_their_path(loop):
    loop(1.0, array(1, 2, 3))
    assert loop.inspect("scan.body/log") == np.log(np.float32(3))
    assert loop.inspect("add") == loop.values["scan.body/add"]
    with pytest.raises(GraphError, match="'log' means 2 values") as caught:
        loop.inspect("log")
    assert "scan.body/log, switch.branches[1]/log" in str(caught.value)
    loop(-9.0, array(1, 2, 3))
    with pytest.raises(GraphError, match=re.escape("no 'switch.branches[1]/log'")):
        loop.inspect("switch.branches[1]/log")


def test_inspecting_before_a_run_or_by_a_wrong_name(run):
    with pytest.raises(GraphError, match="not run yet"):
        run.inspect("tanh")
    with pytest.raises(GraphError, match="not run yet"):
        run.trace()
    run(array(1, 2), array(1, 1))
    with pytest.raises(GraphError, match="closest names are 'tanh'"):
        run.inspect("tanhh")


def test_inspecting_in_the_middle_of_a_run(run):
    seen = []
    run.break_at("sum", lambda frame: seen.append(run.inspect("tanh").copy()))
    run(array(0, 0), array(1, 1))
    assert np.array_equal(seen[0], [0, 0])


def test_variables_constants_and_assignments_are_values():
    with sg.Graph():
        w = sg.variable([1.0, 2.0], name="w")
        step = w.assign(w + sg.constant([1.0, 1.0], name="one"))
        run = sg.compile(step, [], debug=True)
    run()
    assert np.array_equal(run.inspect(w), [1, 2])
    assert np.array_equal(run.inspect("one"), [1, 1])
    assert np.array_equal(run.inspect(step), [2, 3])
    assert np.array_equal(w.value, [2, 3])


def test_the_values_before_a_failure_are_kept():
    run = debugged(lambda x, i: sg.take(sg.exp(x), i, axis=0), array(1, 2), np.array([0]))
    with pytest.raises(IndexError):
        run(array(1, 2), np.array([9]))
    assert np.array_equal(run.inspect("exp"), np.exp(array(1, 2)))
    assert "did not run" in run.trace()


def test_results_are_those_of_other_backends(random_function):
    for seed in range(5):
        function = random_function(seed)
        inputs = function.inputs()
        graph = sg.trace(lambda *x, f=function: f(sg, *x), *inputs)
        expected = sg.compile(graph.outputs, graph.inputs, backend="numpy")(*inputs)
        for passes in (None, sg.DEFAULT_PASSES):
            run = sg.compile(graph.outputs, graph.inputs, debug=True, passes=passes, verify=True)
            for a, b in zip(run(*inputs), expected, strict=True):
                assert a.tobytes() == b.tobytes()
            assert run.trace()


def test_threads_do_not_see_each_other(loop):
    results = {}

    def work(number):
        results[number] = [float(loop(float(number), array(1, 2, 3))[0]) for _ in range(20)]

    threads = [threading.Thread(target=work, args=(number,)) for number in (1, 5, 9)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for number, found in results.items():
        assert found == [float(loop(float(number), array(1, 2, 3))[0])] * 20


def test_other_executables_say_how_to_debug():
    graph = sg.trace(lambda x: sg.exp(x), array(1))
    run = sg.compile(graph.outputs, graph.inputs, backend="numpy")
    with pytest.raises(AttributeError, match="compile with debug=True"):
        run.break_at("exp")
    with pytest.raises(AttributeError, match="no attribute 'nonsense'$"):
        _ = run.nonsense


# the trace ----------------------------------------------------------------------------------------


def test_the_trace_shows_line_op_type_and_range(run):
    run(array(1, 2), array(0.5, 0.25))
    rows = run.trace().splitlines()
    assert rows[0].split() == "x = input float32[2] min 1 max 2 mean 1.5".split()
    line = run.program.instructions[0].sources[0].place
    assert rows[2].split() == [
        line, *"multiply = multiply(x, w) float32[2] min 0.5 max 0.5 mean 0.5".split()
    ]  # fmt: skip
    assert len(rows) == 6


def test_the_trace_shows_the_last_step_of_bodies_below_their_op(loop):
    loop(1.0, array(1, 2, 3))
    rows = loop.trace().splitlines()
    stripped = [row.strip() for row in rows]
    assert "scan.body, step 3:" in stripped
    assert "switch.branches[1], step 1:" in stripped
    assert not any("branches[0]" in row for row in rows)
    last_log = next(row for row in rows if "log = log(x1)" in row)
    assert "1.0986123" in last_log


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (np.zeros((0, 3)), "empty"),
        (np.array(2.5, "float32"), "2.5"),
        (np.array([True, False]), "1 of 2 True"),
        (np.array([1, 2**60]), f"min 1  max {2**60}  mean 5.76461e+17"),
        (np.array([3 + 4j, 0]), "min 0  max 5  mean 2.5"),
        (np.array([np.nan, np.inf, -np.inf, 2.0]), "min 2  max 2  mean 2  1 NaN  2 inf"),
        (np.array([np.nan, np.nan]), "2 NaN"),
    ],
)
def test_summaries(values, expected):
    assert summarize(values) == expected


# NaN ----------------------------------------------------------------------------------------------


def watched(function, *arrays):
    run = debugged(function, *arrays)
    run.watch_nan()
    with pytest.raises(AnomalyError) as caught:
        run(*arrays)
    return caught.value


def test_the_first_nan_names_op_line_and_operands():
    def loss(x):
        y = x - 3.0
        root = sg.sqrt(y)
        return sg.sum(root * 2.0)

    error = watched(loss, array(4, 2, 1))
    assert error.what == "sqrt made NaN out of finite operands"
    assert error.source.text == "root = sg.sqrt(y)"
    assert "2 of 3 elements are, first at [1], where operand 0 (subtract) is -1.0" in str(error)
    run = debugged(loss, array(4, 2, 1))
    with np.errstate(all="ignore"):
        assert np.isnan(run(array(4, 2, 1)))
    run.watch_nan()
    assert run(array(4, 4, 4)) == 6
    run.watch_nan(False)
    with np.errstate(all="ignore"):
        assert np.isnan(run(array(4, 2, 1)))


def test_infinity_out_of_finite_numbers_is_reported():
    assert watched(lambda x: sg.exp(x), array(1, 1000)).what.startswith("exp made inf out of")
    assert watched(lambda x: 1.0 / x, array(1, -0.0)).what.startswith("divide made -inf out of")
    error = watched(lambda x: sg.sum(x), array(3e38, 3e38))
    assert "operand 0 (x) is min 3e+38" in str(error)


def test_a_declared_infinity_may_go_on_and_become_finite():
    def softmax(x):
        masked = sg.where(x > 0, x, -np.inf)
        e = sg.exp(masked - sg.max(masked))
        return e / sg.sum(e)

    run = debugged(softmax, array(1, -1, 2))
    run.watch_nan()
    assert run(array(1, -1, 2))[1] == 0


def test_nan_out_of_infinity_names_the_operand_that_held_it():
    error = watched(lambda x: x * 0.0, array(1, np.inf))
    assert error.what == "multiply made NaN out of operand 0, x, which holds inf"
    error = watched(lambda x: sg.exp(x * 2.0), array(1, np.nan))
    assert "multiply got NaN in operand 0, x" in error.what


def test_where_with_an_unsafe_side_is_recognised():
    error = watched(lambda x: sg.where(x > 0, sg.log(x), 0.0), array(1, 0))
    assert error.what == "log made -inf out of finite operands"
    assert "where(x > 0, log(where(x > 0, x, 1)), 0)" in error.fix

    def loss(x):
        return sg.sum(sg.where(x > 0, sg.sqrt(x), 0.0))

    # forward all is finite; the gradient of sqrt at 0 is 0 / 0
    error = watched(sg.grad(loss), array(1, 0))
    assert error.source.text == "return sg.sum(sg.where(x > 0, sg.sqrt(x), 0.0))"
    assert "made NaN out of finite operands" in error.what
    assert "log(where(x > 0, x, 1))" in error.fix


def test_nan_in_a_body_names_the_inner_line_and_the_loop():
    def loss(x, xs):
        last, _ = sg.scan(lambda c, e: (c + sg.log(e), None), x, xs)
        return last

    error = watched(loss, array(1)[0], array(1, 0, 3))
    assert "sg.log(e)" in error.source.text
    assert dict(error.related)["inside scan"].text.startswith("last, _ = sg.scan(")


# errors of runs -----------------------------------------------------------------------------------


def test_a_failure_in_nested_regions_keeps_the_inner_line():
    def step(c, e):
        return sg.cond(e > 1, lambda: inner(c, e), lambda: c), None

    def inner(c, e):
        sg.assert_(e < 3, "small")
        return c + e

    def outer(x, xs):
        return sg.scan(step, x, xs)[0]

    run = debugged(outer, array(1)[0], array(1, 2))
    assert run(1.0, array(1, 2)) == 3
    with pytest.raises(AssertionFailedError) as caught:
        run(1.0, array(1, 7))
    error = caught.value
    assert error.source.text == 'sg.assert_(e < 3, "small")'
    assert [label for label, _ in error.related] == ["run", "inside switch", "inside scan"]


@pytest.mark.parametrize("backend", ["numpy", "debug"])
def test_a_kernel_that_fails_in_a_body_is_explained_once(backend):
    def outer(x, xs):
        return sg.scan(lambda c, e: (c / e, None), x, xs)[0]

    graph = sg.trace(outer, array(1)[0], array(1, 2))
    options = {"debug": True} if backend == "debug" else {"backend": backend}
    run = sg.compile(graph.outputs, graph.inputs, **options)
    with np.errstate(divide="raise"), pytest.raises(RunError) as caught:
        run(1.0, array(1, 0))
    assert caught.value.what.startswith("divide(float32[], float32[])")
    assert [label for label, _ in caught.value.related] == ["run", "inside scan"]


# the check of passes ------------------------------------------------------------------------------


def checked(function, *arrays, **options):
    graph = sg.trace(function, *arrays)
    return sg.check_passes(graph.outputs, graph.inputs, arrays, **options)


def replacing(old, new):
    def wrong_pass(program):
        return program.with_instructions(
            [
                replace(each, op=REGISTRY[new]) if each.op is REGISTRY[old] else each
                for each in program.instructions
            ]
        )

    return wrong_pass


def test_right_passes_are_reported():
    report = checked(simple, array(1, 2), array(0.5, 0.25))
    names = [stage.name for stage in report.stages]
    assert names[0] == "declared"
    assert names[-1] == "backend numpy"
    assert len(names) == len(sg.DEFAULT_PASSES) + 2
    assert report.stages[0].compared == 4
    assert "fuse_elementwise" in str(report)
    assert all(stage.ulps == 0 for stage in report.stages)


def test_a_wrong_pass_is_named_with_instruction_line_and_difference():
    passes = (*without("fuse_elementwise"), replacing("tanh", "sin"))
    with pytest.raises(PassError) as caught:
        checked(simple, array(1, 2), array(0.5, 0.25), passes=passes)
    error = caught.value
    assert error.what.startswith("pass wrong_pass changed tanh: 2 of 2 elements differ, by 0.017")
    assert error.source.text == "hidden = sg.tanh(x * w)"
    assert "sin(multiply); before, it was by tanh(multiply)" in error.cause
    assert error.fix == "correct wrong_pass: a pass keeps every bit"


def test_a_default_pass_that_is_wrong_can_be_switched_off(monkeypatch):
    from staticgraph.passes import pipeline

    wrong = replacing("tanh", "sin")
    wrong.__name__ = "merge_views"
    passes = (pipeline.DEFAULT_PASSES[0], wrong)
    monkeypatch.setattr("staticgraph.passes.pipeline.DEFAULT_PASSES", passes)
    with pytest.raises(PassError, match="pass merge_views changed tanh") as caught:
        checked(simple, array(1, 2), array(0.5, 0.25), passes=passes)
    assert caught.value.fix.startswith('switch the pass off with passes=without("merge_views")')


def test_a_single_bit_counts():
    def adds_zero(program):
        (only,) = program.instructions
        return replace(program, instructions=(), outputs=(only.inputs[0],))

    # x + 0.0 is 0.0 where x is -0.0
    with pytest.raises(PassError, match=r"changed output 0: 1 of 2 elements differ.*-0.0 in pl"):
        checked(lambda x: x + 0.0, array(1, -0.0), passes=[adds_zero])
    checked(lambda x: x + 0.0, array(1, 2), passes=[adds_zero])


def test_a_pass_that_is_wrong_inside_a_body_is_named_with_the_step():
    def loss(x, xs):
        last, _ = sg.scan(lambda c, e: (sg.maximum(c, e), None), x, xs)
        return last

    # the first two steps give the same
    arrays = array(0)[0], array(0, 0, 5)
    with pytest.raises(PassError) as caught:
        checked(loss, *arrays, passes=[replacing("maximum", "minimum")])
    assert "changed maximum in scan.body, step 3" in caught.value.what
    assert "sg.maximum(c, e)" in caught.value.source.text


def test_a_pass_that_loses_or_swaps_effects_is_named(capsys):
    def shows(x):
        sg.print_(x, "first")
        sg.assert_(x[0] > 0)
        return x * 2.0

    def loses(program):
        return program.with_instructions([i for i in program.instructions if not i.op.effect])

    def swaps(program):
        first, *others = program.instructions
        assert first.op.effect
        return program.with_instructions([*others, first])

    assert checked(shows, array(1, 2))
    assert capsys.readouterr().out == "first: [1. 2.]\n"  # however often it runs
    with pytest.raises(PassError, match="nothing runs in place of print_ of x") as caught:
        checked(shows, array(1, 2), passes=[loses])
    assert caught.value.source.text == 'sg.print_(x, "first")'
    with pytest.raises(PassError, match="assert_ of greater runs in place of print_ of x"):
        checked(shows, array(1, 2), passes=[swaps])


def test_a_pass_that_fails_or_breaks_the_program_is_named():
    def crashes(program):
        raise ValueError("boom")

    def breaks(program):
        return program.with_instructions(program.instructions[1:])

    with pytest.raises(PassError, match="pass crashes failed: boom"):
        checked(simple, array(1, 2), array(1, 1), passes=[crashes])
    with pytest.raises(PassError, match="after breaks: tanh reads multiply"):
        checked(simple, array(1, 2), array(1, 1), passes=[breaks])
    with pytest.raises(PassError, match="after breaks"):
        checked(looping, array(1)[0], array(1, 2), passes=[breaks])


def test_a_failure_of_the_program_itself_is_no_fault_of_a_pass():
    with pytest.raises(IndexError):
        checked(lambda x, i: sg.take(x, i, axis=0), array(1, 2), np.array([9]))


def test_a_wrong_backend_is_named(monkeypatch):
    backend, confused = load_backend("numpy"), replacing("tanh", "sin")
    wrong = replace(backend, plan=lambda program, borrow: backend.plan(confused(program), borrow))
    monkeypatch.setitem(BACKENDS, "numpy", wrong)
    with pytest.raises(PassError) as caught:
        checked(simple, array(1, 2), array(0.5, 0.25))
    assert caught.value.what.startswith("backend numpy changed tanh: 2 of 2 elements differ")
    assert caught.value.source.text == "hidden = sg.tanh(x * w)"


def test_a_backend_may_differ_by_some_units_in_the_last_place(monkeypatch):
    backend = load_backend("numpy")

    def rounding(program, plan):
        runner = backend.build(program, plan)
        return replace(runner, call=lambda *x: [np.nextafter(y, 9) for y in runner.call(*x)])

    monkeypatch.setitem(BACKENDS, "numpy", replace(backend, build=rounding))
    report = checked(simple, array(1, 2), array(0.5, 0.25), ulps=1)
    assert report.stages[-1].ulps == 1
    assert "up to 1 ULP" in str(report)
    with pytest.raises(PassError, match=r"backend numpy changed .*\(1 ULP\)"):
        checked(simple, array(1, 2), array(0.5, 0.25))


def test_variables_are_left_alone_and_their_updates_compared():
    with sg.Graph() as graph:
        w = sg.variable([1.0, 2.0], name="w")
        step = w.assign(w * 2.0)
    assert sg.check_passes(step, [])
    assert np.array_equal(w.value, [1, 2])
    with pytest.raises(PassError, match="changed multiply"):
        sg.check_passes(step, [], passes=[replacing("multiply", "subtract")])
    with graph:  # it has not become final
        sg.exp(w)


def test_inputs_by_name_and_all_default_passes_on_random_programs(random_function):
    for seed in range(5):
        function = random_function(seed)
        arrays = function.inputs()
        graph = sg.trace(lambda *x, f=function: f(sg, *x), *arrays)
        named = {node.name: each for node, each in zip(graph.inputs, arrays, strict=True)}
        sg.check_passes(graph.outputs, graph.inputs, named)


def test_control_flow_with_gradients_through_all_passes():
    def loss(x, xs):
        last, ys = looping(x, xs)
        return sg.sum(ys) + sg.sum(last)

    checked(sg.value_and_grad(loss, argnums=(0, 1)), array(2)[0], array(1, 2, 3))


def test_effects_of_random_programs_keep_their_order(capsys, random_function):
    for seed in range(10):
        function = random_function(seed)

        def shows(*inputs, function=function):
            outputs = function(sg, *inputs)
            for number, each in enumerate(list(outputs[0].graph)):
                if number % 3 == 0 and each.operands:
                    sg.print_(sg.sum(each), str(number))
            return outputs

        inputs = function.inputs()
        graph = sg.trace(shows, *inputs)
        sg.compile(graph.outputs, graph.inputs, backend="interpret", passes=())(*inputs)
        expected = capsys.readouterr().out
        assert expected
        sg.compile(graph.outputs, graph.inputs, backend="numpy")(*inputs)
        assert capsys.readouterr().out == expected


# what a function did ------------------------------------------------------------------------------


def test_explain_counts_side_effects_and_what_retraces_cost(capsys):
    @sg.function
    def scaled(x):
        print("tracing")
        return x * 2

    for count in (2, 2, 2, 3):
        scaled(np.ones(count, "float32"))
    assert capsys.readouterr().out == "tracing\n" * 2
    report = scaled.explain()
    assert (report.calls, report.retraces) == (4, 1)
    assert report.lost_seconds == report.traces[1].total_seconds > 0
    assert report.to_dict()["lost_seconds"] == report.lost_seconds
    text = str(report)
    assert f"retraced 1x, {report.lost_seconds * 1e3:.1f} ms lost" in text
    assert re.search(r"side effect: print\(\) runs .*: traced 1x, executed 3x", text)
    assert text.endswith("use print_ and assert_")


# differences --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("expected", "found", "text"),
    [
        (array(1), np.array([1.0]), "it is float64[1] in place of float32[1]"),
        (np.array(1.0), np.array(1.5), "it differs, by 0.5 at most: 1.5 in place of 1.0"),
        (array(1, np.nan), array(1, 2), "1 of 2 elements differ: 2.0 in place of nan at [1]"),
        (array(0.0), array(-0.0), "by 0 at most (1 ULP): -0.0 in place of 0.0 at [0]"),
        (np.array([1, 2]), np.array([1, 5]), "by 3 at most: 5 in place of 2 at [1]"),
        (np.array([1j]), np.array([2j]), "by 1 at most: 2j in place of 1j at [0]"),
    ],
)
def test_differences_in_words(expected, found, text):
    assert text in differ(expected, found).text


def test_equal_results_do_not_differ():
    assert differ(array(1, np.nan), array(1, -np.nan)) is None
    assert differ((array(1), None), (array(1), array(2))) is None  # one was left out
    assert differ((array(1), array(2)), (array(1), array(3))).ulps > 1


# the document -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "program",
    re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "debugging.md").read_text(), re.DOTALL),
)
def test_programs_of_the_document_run(program, capsys):
    exec(compile(program, "debugging.md", "exec"), {})
    shown = [line[2:].rstrip() for line in program.splitlines() if line.startswith("# ")]
    printed = [line.rstrip() for line in capsys.readouterr().out.splitlines()]
    assert printed == shown
