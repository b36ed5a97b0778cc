"""Comparisons of real programs: what is refused, what is gated, and what is recorded."""

import asyncio
import json
from dataclasses import asdict, replace
from itertools import pairwise

import numpy as np
import pytest

import dyngraph
import sidebyside as sbs
import staticgraph
from oplibrary.messages.errors import (
    ArgumentError,
    MissingPackageError,
    OutOfMemoryError,
    ShapeError,
    WorkloadError,
)
from sidebyside.measuring.machine import measure_machine
from sidebyside.measuring.statistics import Estimate
from sidebyside.modes import find_mode, registry
from sidebyside.report.comparison import row_text
from sidebyside.results.comparison import Replicate, Row, TimedCell
from sidebyside.studies import pairing
from sidebyside.studies.explaining.attribution import Climbed, steps_of, together

QUICK = 0.02


def layer(xp, x, w):
    return xp.sum(xp.tanh(x @ w))


def layer_inputs(rng, size):
    n = size or 4
    return rng.standard_normal((n, 3), np.float32), rng.standard_normal((3, 2), np.float32)


def make(function=layer, inputs=layer_inputs, **options):
    return sbs.Workload(function, inputs, **options)


@pytest.fixture(scope="module")
def pair():
    return sbs.compare([make(wrt=(0, 1), title="one layer")], budget=QUICK)


def test_both_modes_give_the_same_bits(pair):
    static = pair.row("layer").cell("static")
    assert static.difference.ulp == 0
    assert static.failure is None


def test_everything_is_measured(pair):
    row = pair.row("layer")
    assert row.reference == "dynamic"
    for cell in row.cells:
        assert 0 < cell.steady.low <= cell.steady.value <= cell.steady.high
        assert cell.start.value >= cell.first_call.value > 0
        assert cell.memory.peak > 0
        assert cell.calls >= 1
    dynamic, static = row.cells
    assert dynamic.build == {}
    assert dynamic.ratio is None
    assert {"trace", "passes", "plan", "generate"} <= set(static.build)
    # what is so however noisy the machine is
    assert 0 < static.built.value <= static.start.value
    assert all(0 <= seconds <= static.built.high for seconds in static.build.values())
    assert static.steady.value == pytest.approx(np.median(static.samples))
    rounds = np.divide(static.samples, dynamic.samples)
    assert static.ratio.value == pytest.approx(np.median(rounds))
    assert static.break_even.low <= static.break_even.calls <= static.break_even.high
    assert static.planned_bytes > 0
    assert static.passes[0].name == "fold_constants"
    dynamic = row.cell("dynamic")
    assert row.bottleneck is dynamic.bottleneck
    assert dynamic.bottleneck.name.endswith("-bound")
    assert min(dynamic.bottleneck.calls, static.bottleneck.calls) > 0
    products = 2 * 4 * 3 * 2 * 3  # forward, and one for each gradient
    assert dynamic.work.flops > products
    assert dynamic.work.operations > static.work.operations > 0
    assert dynamic.work.transcendentals == static.work.transcendentals == 4 * 2


def test_results_are_value_further_results_and_gradients():
    def two_results(xp, x, w):
        y = x @ w
        return xp.sum(y * y), y

    workload = make(two_results, wrt=(1,))
    x, w = workload.make_inputs(None)
    for name in ("dynamic", "static"):
        prepared = find_mode(name).prepare(workload, (x, w))
        loss, y, dw = prepared.arrays(prepared.run())
        np.testing.assert_allclose(y, x @ w, rtol=1e-6)
        np.testing.assert_allclose(loss, (y * y).sum(), rtol=1e-5)
        np.testing.assert_allclose(dw, x.T @ (2 * y), rtol=1e-5)


def test_a_learning_rate_gives_new_parameters_and_trees_are_inputs():
    def linear(xp, p, x):
        return xp.mean(x @ p["w"] + p["b"])

    def inputs(rng, size):
        x = np.ones((4, 3), np.float32)
        return {"w": np.zeros((3, 2), np.float32), "b": np.ones(2, np.float32)}, x

    workload = make(linear, inputs, wrt=(0,), learning_rate=0.5)
    for name in ("dynamic", "static"):
        prepared = find_mode(name).prepare(workload, workload.make_inputs(None))
        for _ in range(2):  # a call changes nothing for the next one
            loss, w, b = prepared.arrays(prepared.run())
            assert loss == 1
            np.testing.assert_array_equal(w, np.full((3, 2), -0.25))
            np.testing.assert_array_equal(b, np.full(2, 0.75))


def test_a_loss_of_several_elements_is_summed():
    workload = make(lambda xp, x, w: x @ w, wrt=(0,), name="matrix")
    x, w = workload.make_inputs(None)
    for name in ("dynamic", "static"):
        prepared = find_mode(name).prepare(workload, (x, w))
        loss, dx = prepared.arrays(prepared.run())
        np.testing.assert_allclose(loss, (x @ w).sum(), rtol=1e-5)
        np.testing.assert_allclose(dx, np.tile(w.sum(axis=1), (4, 1)), rtol=1e-6)


@pytest.mark.parametrize("mode", ["dynamic", "static"])
def test_an_unused_parameter_has_a_gradient_of_zeros(mode):
    workload = make(lambda xp, x, w: xp.sum(x), wrt=(0, 1), name="unused")
    prepared = find_mode(mode).prepare(workload, workload.make_inputs(None))
    np.testing.assert_array_equal(prepared.arrays(prepared.run())[2], np.zeros((3, 2)))


# refusals and disagreements -----------------------------------------------------------------------


def test_a_pair_that_disagrees_shows_no_timing():
    def different(xp, x, w):
        return x @ w + (1e-3 if xp is staticgraph else 0)

    row = sbs.compare([make(different)], budget=QUICK).rows[0]
    assert row.reference == ""
    assert all(cell.steady is None for cell in row.cells)
    failure = row.cell("static").failure
    assert failure.disagrees
    assert "static and dynamic disagree: result 0[" in failure.text
    assert "not one bit may differ" in failure.text


def test_the_modes_that_agree_are_still_timed():
    def different(xp, x, w):
        return x @ w + (1e-3 if xp is staticgraph else 0)

    row = sbs.compare([make(different)], ("dynamic", "static", "numpy"), budget=QUICK).rows[0]
    assert row.cell("static").steady is None
    assert row.cell("dynamic").steady is not None
    assert row.cell("numpy").steady is not None


def test_other_libraries_have_a_tolerance():
    def rough(xp, x, w):
        return x @ w * (1.001 if xp is np else 1.0)

    refused = sbs.compare([make(rough)], ("dynamic", "numpy"), budget=QUICK).rows[0]
    assert refused.cell("numpy").failure.disagrees
    row = sbs.compare([make(rough, tolerance=0.01)], ("dynamic", "numpy"), budget=QUICK).rows[0]
    assert row.cell("numpy").difference.ulp > 0
    assert row.cell("numpy").steady is not None


def test_what_static_refuses_has_its_exact_error():
    def loop(xp, x, w):
        while xp.sum(x) > 0:
            x = x - 1
        return xp.sum(x)

    row = sbs.compare([make(loop, wrt=(0,))], budget=QUICK).rows[0]
    failure = row.cell("static").failure
    assert failure.id == "SBS-301"
    assert "test_compare.py" in failure.text
    assert "while xp.sum(x) > 0" in failure.text
    assert row.cell("dynamic").steady is not None


def test_numpy_has_no_gradients():
    row = sbs.compare([make(wrt=(0,))], ("dynamic", "numpy"), budget=QUICK).rows[0]
    assert row.cell("numpy").failure.id == "SBS-205"


def test_an_error_in_every_mode_is_the_programs_own():
    with pytest.raises(ZeroDivisionError):
        sbs.compare([make(lambda xp, x, w: 1 / 0)], budget=QUICK)
    with pytest.raises(ShapeError):
        sbs.compare([make(lambda xp, x, w: x @ x)], budget=QUICK)


# A/A ----------------------------------------------------------------------------------------------


def test_a_mode_named_twice_is_compared_with_itself():
    # each run says "difference" in at most 1% of cases, so three in a row are no accident
    outcomes = []
    for seed in range(3):
        row = sbs.compare([make()], ("dynamic", "dynamic"), budget=0.05, seed=seed).rows[0]
        assert [cell.mode for cell in row.cells] == ["dynamic", "dynamic #2"]
        outcomes.append(row.cells[1].speed)
    assert "no difference" in outcomes


def test_outcome_needs_samples_and_a_difference():
    def outcome(low, value, high, confidence=0.99):
        return TimedCell("static", ratio=Estimate(value, low, high, confidence, 9)).speed

    assert outcome(0.5, 0.6, 0.7) == "faster"
    assert outcome(1.1, 1.2, 1.3) == "slower"
    assert outcome(0.9, 0.95, 1.01) == "no difference"
    assert outcome(0.5, 0.6, 0.7, confidence=0.9) == "too few samples"
    assert TimedCell("dynamic").speed == ""


# options ------------------------------------------------------------------------------------------


def test_each_size_is_a_row():
    comparison = sbs.compare([make(sizes=(2, 3))], ("dynamic",), budget=QUICK)
    assert [row.label for row in comparison.rows] == ["layer 2", "layer 3"]
    assert sbs.compare([make()], ("dynamic",), sizes=[5], budget=QUICK).rows[0].size == "5"
    with pytest.raises(KeyError):
        comparison.row("layer", "7")


@pytest.mark.parametrize("mode", ["static", "static:native", "static:interpret"])
def test_the_steps_to_a_compiled_program_add_up(mode):
    row = sbs.compare([make(wrt=(0,))], ("dynamic", mode), budget=QUICK, attribute=True).rows[0]
    steps = row.cell(mode).steps
    first, last = steps[0], steps[-1]
    assert (first.name, last.name) == ("operation by operation", "a call of nothing")
    assert first.change is None
    changes = [step.change for step in steps[1:]]
    whole = first.seconds.value - last.seconds.value
    assert sum(change.value for change in changes) == pytest.approx(-whole)
    assert all(change.low <= change.value <= change.high for change in changes)
    passes = [step for step in steps if step.effect is not None]
    assert "fuse_elementwise" in [step.name for step in passes]
    counts = [step.effect for step in passes]
    assert all(one.after == two.before for one, two in pairwise(counts))
    assert row.cell("dynamic").steps == ()


def test_steps_of_replicates_are_measured_in_the_process_of_the_mode():
    row = sbs.compare([make()], budget=0.1, replicates=2, attribute=True).rows[0]
    steps = row.cell("static").steps
    assert {step.seconds.count for step in steps} == {row.replicates} == {2}
    assert row.cell("static").notes == ()


def test_what_the_steps_say_of_known_times():
    values = np.array([[8.0, 3.0, 1.0], [10.0, 5.0, 1.0]])
    climbed = Climbed(("a", "b", "c"), (None, None, None), values)
    steps = steps_of(climbed, 0.99)
    assert [step.seconds.value for step in steps] == [9.0, 4.0, 1.0]
    assert [step.change.value for step in steps[1:]] == [-5.0, -3.0]
    assert steps[1].change.low == steps[1].change.high == -5.0  # in both batches, whatever they are
    assert steps[2].change.low < -3.0 < steps[2].change.high
    assert together([climbed, climbed]).batches.tolist() == [[9.0, 4.0, 1.0]] * 2


def test_roofs_are_measured_once_and_kept_in_the_report(pair):
    machine = pair.to_data()["environment"]["machine"]
    assert all(rate > 1e6 for rate in machine["copies"].values())
    assert {*machine["products"]} == {"float32", "float64"}
    assert measure_machine() is measure_machine()


def test_replicates_know_what_bounds_each_mode():
    row = sbs.compare([make()], ("dynamic", "static"), budget=0.1, replicates=2).rows[0]
    assert all(cell.bottleneck.calls > 0 for cell in row.cells)
    assert "static is " in str(row_text(row, 200))


def test_progress_is_reported_by_workload():
    lines = []
    sbs.compare([make()], budget=QUICK, report=lines.append)
    assert lines[0] == "layer: dynamic, first results"
    assert "layer: steady state" in lines


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"modes": ("dynamc",)}, "did you mean 'dynamic'?"),
        ({"modes": ()}, "no modes"),
        ({"budget": 0.0}, "a budget of 0.0 seconds"),
        ({"budget": float("nan")}, "a budget of nan seconds"),
    ],
)
def test_bad_options_are_refused(options, text):
    with pytest.raises(ArgumentError, match=text.replace("?", r"\?")):
        sbs.compare([make()], **options)


def test_a_mode_without_its_package_says_what_to_install(monkeypatch):
    def missing(name):
        raise ModuleNotFoundError("No module named 'jax'", name="jax")

    monkeypatch.setattr(registry, "import_module", missing)
    with pytest.raises(MissingPackageError, match="mode 'jax.jit' needs jax"):
        find_mode("jax.jit")


@pytest.mark.parametrize("mode", ["torch", "jax.jit"])
def test_peers_run_the_same_program(mode):
    pytest.importorskip(mode.partition(".")[0])
    row = sbs.compare([make(wrt=(0, 1))], ("dynamic", mode), budget=QUICK).rows[0]
    assert row.cell(mode).difference.relative < 1e-5
    assert row.cell(mode).memory is None


@pytest.mark.parametrize("mode", ["static:numpy", "static:interpret"])
def test_backends_of_static_give_the_same_bits(mode):
    row = sbs.compare([make(wrt=(0, 1))], ("dynamic", mode), budget=QUICK).rows[0]
    assert row.cell(mode).difference.ulp == 0


# workloads ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"inputs": 3}, "inputs is a int"),
        ({"function": None}, "function is a NoneType"),
        ({"sizes": ()}, "has no sizes"),
        ({"learning_rate": 0.1}, "nothing to learn"),
        ({"training": object()}, "cannot be trained"),
    ],
)
def test_a_workload_whose_parts_do_not_fit_is_refused(options, text):
    with pytest.raises(WorkloadError, match=text):
        make(**options)


@pytest.mark.parametrize(
    ("inputs", "text"),
    [
        (lambda rng, size: ([1.0, 2.0],), "input 0 holds a float"),
        (lambda rng, size: (np.ones(2), dyngraph.ones((2,))), "input 1 holds a Tensor"),
        (lambda rng, size: np.ones(2), "wrt names argument 1 of 1"),
    ],
)
def test_inputs_are_trees_of_arrays(inputs, text):
    with pytest.raises(WorkloadError, match=text):
        make(inputs=inputs, wrt=(1,)).make_inputs(None)


@pytest.mark.parametrize("exponent", [52, 62, 70])
def test_a_size_that_does_not_fit_in_memory_is_refused(exponent):
    workload = make(inputs=lambda rng, size: (np.empty(size),), name="large")
    with pytest.raises(OutOfMemoryError, match=f"workload 'large', size {1 << exponent:,}"):
        workload.make_inputs(1 << exponent)


def test_a_size_of_the_wrong_kind_names_the_right_ones():
    workload = make(inputs=lambda rng, size: (np.ones((size[0], 2)),), sizes=((4, 2),))
    with pytest.raises(WorkloadError, match="has no inputs of size 7") as caught:
        workload.make_inputs(7)
    assert "4x2" in caught.value.fix


def test_results_can_be_written(pair, tmp_path):
    pair.to_json(tmp_path / "found.json")
    data = json.loads((tmp_path / "found.json").read_text())
    assert data["rows"][0]["cells"][1]["mode"] == "static"
    pair.to_csv(tmp_path / "found.csv")
    assert len((tmp_path / "found.csv").read_text().splitlines()) == 3


def test_a_row_finds_its_cells():
    row = Row("w", "", "", (TimedCell("dynamic"), TimedCell("static")))
    assert row.cell("static") is row.cells[1]
    assert row.cell("torch") is None


def test_modes_may_be_named_in_one_text():
    found = sbs.compare(make(), modes="dynamic, static:numpy", budget=QUICK)
    assert [cell.mode for cell in found.row("layer").cells] == ["dynamic", "static:numpy"]
    with pytest.raises(ArgumentError, match="there is no mode 'statik'"):
        sbs.compare(make(), modes="dynamic,statik", budget=QUICK)


def test_what_takes_long_to_build_is_built_once(monkeypatch):
    monkeypatch.setattr(pairing, "LONG_START", 0.0)
    built = []

    def make(name):
        def build():
            built.append(name)
            return lambda: np.ones(2)

        return build

    row = sbs.compare({"a": make("a"), "b": make("b")}, budget=1e-9, replicates=0).rows[0]
    assert sorted(built) == ["a", "b"]
    assert all(cell.start.count == 1 for cell in row.cells)


# in one process -----------------------------------------------------------------------------------


def failing_at(call, error):
    """Return a function that makes steps of which a later one fails."""

    def make():
        calls = []

        def step():
            calls.append(0)
            if len(calls) == call:
                raise error
            return np.ones(2)

        return step

    return make


@pytest.mark.parametrize("call", [1, 2, 3, 20])
@pytest.mark.parametrize("error", [ValueError("no more"), SystemExit(3)])
def test_a_mode_that_fails_later_is_one_red_cell(call, error):
    variants = {"a": failing_at(call, error), "b": failing_at(0, error), "c": failing_at(0, error)}
    row = sbs.compare(variants, budget=1e-9, replicates=0).rows[0]
    assert row.cells[0].failure.kind == type(error).__name__
    assert row.reference == "b"
    assert [cell.steady is not None for cell in row.cells] == [False, True, True]


def test_what_fails_in_all_modes_is_raised():
    variants = {"a": failing_at(4, ValueError("no more"))}
    with pytest.raises(ValueError, match="no more"):
        sbs.compare(variants, budget=1e-9, replicates=0)


def test_work_on_the_host_is_said_in_one_process_too():
    seen = {"calls": 0}

    def printing(x):
        print("called")
        return x * 2

    def writing(x):
        seen["calls"] += 1
        x += 1
        return x * 2

    row = sbs.decide(writing, np.ones(2), budget=1e-9, modes="numpy").row
    assert "writes into input 0" in row.notes[0] and "changes seen" in row.notes[1]
    row = sbs.decide(printing, np.ones(2), budget=1e-9, modes="numpy,static").row
    assert "prints" in row.notes[0]
    assert "no longer prints" in row.cell("static").notes[0]


# what is named twice, and amounts that are none ---------------------------------------------------


def test_rows_have_names_of_their_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    text = (
        "import numpy as np\ndef f(xp, x): return x * 2\ndef inputs(rng, size): return np.ones(2)\n"
    )
    files = ("old/mine.py", "new/mine.py")
    for path in files:
        (tmp_path / path).parent.mkdir()
        (tmp_path / path).write_text(text)
    both = [workload for path in files for workload in sbs.find_workloads(path)]
    rows = sbs.compare(both, "dynamic", budget=QUICK, sizes=(1, 2, 1)).rows
    assert [(row.workload, row.size) for row in rows] == [
        (f"{path}:mine", size) for path in files for size in ("1", "2")
    ]
    for twice in ([both[0], both[0]], [both[0], *sbs.find_workloads(files[0])], [make(), make()]):
        with pytest.raises(ArgumentError, match="is named twice"):
            sbs.compare(twice, "dynamic", budget=QUICK)


@pytest.mark.parametrize(
    ("amount", "said"),
    [
        ({"budget": np.inf}, "a budget of inf seconds"),
        ({"seed": -1}, "a seed of -1"),
        ({"run_limit": 0}, "a run_limit of 0 seconds"),
        ({"run_limit": np.nan}, "a run_limit of nan seconds"),
    ],
)
def test_amounts_that_measure_nothing_are_refused(amount, said):
    for measured in (lambda: sbs.compare(make(), **amount), lambda: sbs.decide(make(), **amount)):
        with pytest.raises(ArgumentError, match=said):
            measured()


@pytest.mark.parametrize(
    ("result", "fix"),
    [
        ("async", "asyncio.run(program(*inputs))"),
        ("generator", "list(program(*inputs))"),
        ("dataclass", "asdict(program(*inputs))"),
        ("text", "return arrays only"),
    ],
)
def test_results_that_are_no_arrays_are_named_with_what_to_measure(result, fix):
    async def waits(x):
        return x

    programs = {
        "async": waits,
        "generator": lambda x: (each for each in x),
        "dataclass": lambda x: Estimate(x, x, x, 0.0, 1),
        "text": str,
    }
    with pytest.raises(WorkloadError, match="is no array of numbers, but") as caught:
        sbs.decide(programs[result], np.ones((3, 3)), modes="numpy", budget=QUICK)
    assert fix in caught.value.fix
    assert "\n" not in caught.value.what
    if "such as" in caught.value.fix:
        names = {"asyncio": asyncio, "asdict": asdict, "program": programs[result]}
        measured = eval(caught.value.fix.partition("such as ")[2], names)
        assert sbs.decide(measured, np.ones((3, 3)), modes="numpy", budget=QUICK).row.reference


def test_a_break_even_is_known_where_the_calls_differ():
    # of two replicates the ratio's interval holds 1, though that of what is saved does not hold 0
    one = (Replicate(2e-3, 2e-3, np.full(8, 1e-6)), Replicate(2e-3, 2e-3, np.full(8, 4e-6)))
    other = (Replicate(1e-3, 1e-3, np.full(8, 1e-3)), Replicate(1e-3, 1e-3, np.full(8, 1e-3)))
    row = Row("w", "", "", (TimedCell("a", replicates=other), TimedCell("b", replicates=one)), "a")
    assert not row.break_even("b", "a").known
    row = replace(row, cells=(row.cells[0], replace(row.cells[1], replicates=(one[0], one[0]))))
    assert row.break_even("b", "a").known
