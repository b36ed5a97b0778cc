"""Decisions: what a program is recognised as, and what is said of measurements that are made up."""

import math
import re
import time
from dataclasses import replace

import numpy as np
import pytest

import sidebyside as sbs
from oplibrary.messages.errors import ArgumentError
from sidebyside.measuring.replicates import ratio_estimate, time_estimate
from sidebyside.measuring.scrutiny import examine
from sidebyside.measuring.statistics import Estimate
from sidebyside.results.cell import Failure
from sidebyside.results.comparison import Comparison, Replicate, Row, TimedCell
from sidebyside.results.decision import Decision, decide_from, stages_of
from sidebyside.studies.decision import recognise

ABOUT = {"python": "", "versions": {}, "system": "", "cores": 2, "threads": 2, "load": None}


def made_up(modes, control=0.0, spread=0.01):
    """Return a row of modes given as name: (start, seconds of a call)."""
    wobble = spread * np.array([-1.0, 0.5, 0.2, 0.3])
    cells = []
    for name, (start, call) in modes.items():
        replicates = tuple(
            Replicate(start * math.exp(w), start / 2, np.full(5, call * math.exp(-w)))
            for w in wobble * (1 + len(cells))
        )
        cells.append(TimedCell(name, replicates=replicates, steady=time_estimate([call] * 4)))
        cells[-1] = TimedCell(
            name,
            replicates=replicates,
            start=time_estimate([each.start for each in replicates]),
            steady=time_estimate([each.steady for each in replicates]),
            ratio=None
            if len(cells) == 1
            else ratio_estimate(
                [each.blocks for each in replicates], [each.blocks for each in cells[0].replicates]
            ),
        )
    shown = Estimate(math.exp(control), math.exp(control - 0.01), math.exp(control + 0.01), 0.99, 4)
    reference = next(iter(modes))
    return Row("f", "", "", tuple(cells), reference, control=shown, visible=0.04, replicates=4)


def decided(modes, calls=None, **options):
    return decide_from(Comparison((made_up(modes, **options),), ABOUT), "PyTorch", calls)


PAIR = {"eager": (0.001, 0.01), "torch.compile": (1.0, 0.005)}


def test_one_sentence_says_from_when_on_it_pays_and_what_it_is_worth():
    found = decided(PAIR, 10_000)
    assert found.sentence.startswith("Compile: pays after 201 (")
    assert "; of your 10,000 it saves 49.0 s (" in found.sentence
    assert found.chosen == "torch.compile"
    assert str(found).startswith("Compile: pays")
    assert found.saved.low < 49 < found.saved.high


def test_too_few_calls_stay():
    found = decided(PAIR, 50)
    assert found.sentence.startswith("Stay eager: compile pays after 201 (")
    assert "over your 50 it would cost 754 ms (" in found.sentence
    assert "if you call it more often" in decided(PAIR).sentence


def test_calls_within_the_interval_are_undecided():
    assert decided(PAIR, 201).sentence.startswith("Undecided for 201 calls")


def test_never_has_its_reason():
    found = decided({"eager": (0.001, 0.01), "torch.compile": (1.0, 0.02)}, 10_000)
    assert found.sentence == "Stay eager: compile never pays, a call takes 2.00x as long."
    assert found.row.break_even("torch.compile", "eager").never


def test_three_modes_have_their_ranges():
    found = decided(
        {"dynamic": (1e-4, 1e-4), "static": (0.01, 5e-5), "static:native": (0.1, 2e-5)}, 100_000
    )
    assert found.sentence.startswith(
        "Stay with dynamic below 200 calls; static to 3,000; machine code beyond; of your 100,000"
    )
    assert [stage.mode for stage in found.stages] == ["dynamic", "static", "static:native"]


def test_what_is_never_the_best_is_left_out():
    found = decided({"dynamic": (1e-4, 1e-4), "static": (0.1, 5e-5), "static:native": (0.1, 2e-5)})
    assert [stage.mode for stage in found.stages] == ["dynamic", "static:native"]


def test_what_cannot_be_seen_is_said():
    found = decided({"eager": (0.001, 0.01), "torch.compile": (1.0, 0.0100001)}, 1000)
    assert found.sentence == (
        "Undecided on this machine: a difference under 4% cannot be seen here."
    )
    assert found.chosen == ""


def test_processes_of_very_different_speed_do_not_hide_what_pays():
    found = decided({"jax": (1.0, 0.01), "jax.jit": (0.5, 1e-5)}, 10_000, spread=1.5)
    assert found.row.cell("jax.jit").speed == "faster"
    assert found.chosen == "jax.jit"
    assert re.fullmatch(
        r"Jit: ahead from the first call on; of your 10,000 it saves 100 s \([\d.]+–[\d,]+\)\.",
        found.sentence,
    )


def test_a_faster_mode_whose_start_is_not_surely_paid_back_is_no_reason_to_stay():
    row = made_up({"jax": (1.0, 0.01), "jax.jit": (0.5, 1e-5)})
    found = Decision(Comparison((row,), ABOUT), 10_000, "JAX", (), "", ("jax.jit",))
    assert found.sentence == (
        "Undecided on this machine: a call of jit takes 0.00100x as long; from how many calls on "
        "that pays cannot be told here."
    )


def test_an_unsteady_machine_is_not_described_in_per_cents():
    times = {"eager": (0.001, 0.01), "torch.compile": (1.0, 0.0100001)}
    row = replace(made_up(times), visible=5.3e5)
    found = Decision(Comparison((row,), ABOUT), None, "PyTorch", (), "", ("torch.compile",))
    assert (
        found.sentence == "Undecided on this machine: even a factor of 1,000 cannot be seen here."
    )


def test_a_control_that_fails_takes_the_verdict_away():
    found = decided(PAIR, 1000, control=0.1)
    assert "differs from itself" in found.sentence
    assert found.stages == ()


def test_a_mode_that_fails_is_named():
    cells = (made_up(PAIR).cells[0], TimedCell("static", Failure("SymbolicBoolError", "no bool")))
    row = Row("f", "", "", cells, "eager", control=None, replicates=4)
    found = Decision(Comparison((row,), ABOUT), None, "NumPy", stages_of(row), "eager")
    assert found.sentence == "Stay with eager: nothing else runs it (static: no bool)."


def test_modes_that_refuse_are_named_before_one_that_is_slower():
    refused = Failure("SymbolicArrayError", "[SBS-303] an ndarray was asked of x")
    row = made_up({"numpy": (0.001, 0.01), "dynamic": (0.001, 0.02)})
    cells = (*row.cells, TimedCell("static", refused), TimedCell("static:native", refused))
    row = replace(row, cells=cells)
    found = Decision(Comparison((row,), ABOUT), None, "NumPy", stages_of(row), "numpy")
    assert found.sentence == (
        "Stay with NumPy: static and machine code cannot run it (SBS-303); "
        "dynamic never pays, a call takes 2.00x as long."
    )


# what a program is --------------------------------------------------------------------------------


def kind_of(program, *inputs):
    kind, subject = recognise(program, inputs, 1e-4)
    return kind, list(subject.modes)


def test_numpy_code_is_recognised():
    modes = ["numpy", "dynamic", "static", "static:native"]
    assert kind_of(lambda x: np.tanh(x), np.ones(3)) == ("NumPy", modes)
    assert kind_of(lambda: 3.0) == ("NumPy", modes)


def test_a_workload_is_recognised():
    kind, modes = kind_of(lambda xp, x: xp.tanh(x), np.ones(3))
    assert kind == "workload"
    assert modes[:2] == ["dynamic", "static"]
    workload = sbs.Workload(lambda xp, x: x, lambda rng, size: (np.ones(2),), wrt=(0,))
    kind, modes = kind_of(workload)
    assert (kind, "numpy" in modes) == ("workload", False)


def test_torch_is_recognised():
    torch = pytest.importorskip("torch")
    modes = ["eager", "torch.compile"]
    here = ["static", "static:native"]
    assert kind_of(torch.nn.Linear(2, 2), torch.ones(2)) == ("PyTorch", [*modes, *here])
    assert kind_of(lambda: torch.ones(3)) == ("PyTorch", modes)
    compiled = torch.compile(torch.nn.Linear(2, 2), backend="eager")
    subject = recognise(compiled, (torch.ones(2),), 1e-4)[1]
    assert type(subject.workload.function) is torch.nn.Linear


def test_jax_is_recognised():
    jax = pytest.importorskip("jax")
    modes = ["jax", "jax.jit", "static", "static:native"]
    assert kind_of(lambda x: jax.numpy.sum(x), np.ones(3)) == ("JAX", modes)
    assert kind_of(jax.jit(lambda x: x + 1), jax.numpy.ones(3)) == ("JAX", modes)


def results_of_modes(program, *inputs):
    subject = recognise(program, inputs, 1e-4)[1]
    prepared = {
        name: subject.modes[name].prepare(subject.workload, inputs)
        for name in subject.modes
        if name not in ("torch.compile", "jax")
    }
    return {name: each.arrays(each.run())[0] for name, each in prepared.items()}


@pytest.mark.filterwarnings("ignore")
def test_a_module_and_a_function_of_jax_run_imported():
    torch, jax = pytest.importorskip("torch"), pytest.importorskip("jax")
    pytest.importorskip("llvmlite")
    layer = torch.nn.Linear(3, 2)
    by_torch = results_of_modes(layer, torch.ones(4, 3))
    by_jax = results_of_modes(lambda x: jax.numpy.tanh(x) * 2, jax.numpy.ones(3))
    for found, reference in ((by_torch, "eager"), (by_jax, "jax.jit")):
        assert found.keys() == {reference, "static", "static:native"}
        for each in found.values():
            np.testing.assert_allclose(each, found[reference], 1e-5)


def test_tensorflow_is_recognised():
    tf = pytest.importorskip("tensorflow")
    modes = ["tensorflow", "tf.function", "tf.function:xla"]
    assert kind_of(lambda x: tf.tanh(x), np.ones(3)) == ("TensorFlow", modes)
    assert kind_of(lambda x: x + 1, tf.ones(3)) == ("TensorFlow", modes)
    traced = tf.function(lambda x: tf.tanh(x))
    subject = recognise(traced, (tf.ones(2),), 1e-4)[1]
    assert subject.workload.function is traced.python_function
    keras = pytest.importorskip("keras")
    if keras.backend.backend() == "tensorflow":
        assert kind_of(keras.layers.Dense(2), np.ones((1, 2), "float32")) == ("TensorFlow", modes)


def test_tensorflow_computes_the_same_in_all_its_modes():
    tf = pytest.importorskip("tensorflow")
    x = tf.constant([0.5, -2.0])
    subject = recognise(lambda x: tf.tanh(x) * 2.0, (x,), 1e-4)[1]
    for mode in subject.modes.values():
        prepared = mode.prepare(subject.workload, (x,))
        (found,) = prepared.arrays(prepared.call(*prepared.given))
        np.testing.assert_allclose(found, np.tanh(x.numpy()) * 2, 1e-5)


def test_what_is_no_program_is_refused():
    with pytest.raises(ArgumentError, match="a float is no program"):
        sbs.decide(3.0)
    with pytest.raises(ArgumentError, match="0 calls"):
        sbs.decide(np.tanh, np.ones(2), calls=0)


def test_numpy_code_that_a_trace_refuses_is_a_cell_with_the_reason():
    def branching(x):
        return x + 1 if x[0] > 0 else x - 1

    found = sbs.decide(branching, np.ones(3), budget=0.01)
    assert "SBS-301" in found.row.cell("static").failure.text
    assert found.row.cell("dynamic").failure is None
    assert "measured in one process" in found.sentence


# what it does beside computing --------------------------------------------------------------------


def test_work_on_the_host_is_seen(tmp_path):
    state = {"n": 0}

    def step(x):
        state["n"] += 1
        x += 1
        print("here")
        (tmp_path / "log").write_text("line")
        return x

    given = (np.ones(3), np.ones(2))
    found = examine(lambda: step(given[0]), given, step)
    assert found.writes == ("input 0",)
    assert found.work == ("prints", "opens files", "changes state")
    assert examine(lambda: np.tanh(given[0]), given, np.tanh).work == ()
    assert examine(lambda: time.sleep(0.001), given, np.tanh).work == ("sleeps",)


def test_a_dropout_is_refused_where_it_would_draw_other_numbers():
    torch = pytest.importorskip("torch")
    found = sbs.decide(torch.nn.Dropout(), torch.ones(4), modes="eager,static", budget=0.01)
    failure = found.row.cell("static").failure
    assert "Dropout draws random numbers" in failure.text
    assert "in evaluation mode" in failure.text
