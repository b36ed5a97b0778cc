"""The classical table, measured quickly: every claim has its numbers and its verdict."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest

from oplibrary.messages.errors import MissingPackageError, NotDifferentiableError, WorkloadError
from sidebyside.measuring.statistics import CONFIDENCE, BreakEven, Estimate
from sidebyside.results.table import Table
from sidebyside.studies import table as table_module
from sidebyside.studies.comparison import compare
from sidebyside.studies.table import (
    TABLE,
    check_against_itself,
    checked_by_the_control,
    measure_table,
    native_is_installed,
)
from sidebyside.studies.training import compare_training, train
from sidebyside.workloads.registry import load
from sidebyside.workloads.workload import Training

NAMES = ("seed", "mlp_digits", "control_flow")


def unwrapped(text):
    return " ".join(text.replace("│", "").split())


@pytest.fixture(scope="module")
def table():
    return measure_table(NAMES, budget=0.02)


def test_each_claim_has_numbers_and_a_verdict(table):
    text = str(table.text())
    for claim in (
        "builds the graph while it computes",
        "builds first, executes afterwards",
        "flexible, native control flow",
        "efficient, but inflexible",
        "results at once, easy to debug",
        "needs a whole graph before any result",
    ):
        assert claim in text
    assert text.count("│ → ") == 3
    assert "mlp_digits: nothing to build; its first call" in text
    assert "mlp_digits: builds for" in text
    assert "control_flow: runs," in text
    assert "control_flow: refused, SBS-301, see below" in text
    assert "it refuses control_flow, which dynamic runs" in unwrapped(text)


def test_a_quick_look_says_what_it_does_without(table, monkeypatch):
    asked, trained = [], []

    def compare(*arguments, **options):
        asked.append(options)
        return table.comparison

    def compare_training(workload, report):
        trained.append(workload.name)
        return table.trainings[0]

    monkeypatch.setattr(table_module, "compare", compare)
    monkeypatch.setattr(table_module, "compare_training", compare_training)
    found = measure_table(("seed", "mlp_digits", "cnn_digits"), replicates=0, look=True)
    assert asked[0]["memory"] is False and trained == ["mlp_digits"]
    for name in ("peak memory", "the training of cnn_digits"):
        assert f"{name} was left out: a quick look does without" in str(found.text())
    whole = measure_table(("seed", "mlp_digits", "cnn_digits"))
    assert whole.skipped == () and trained[1:] == ["mlp_digits", "cnn_digits"]


def test_memory_is_measured_unless_it_is_left_out():
    seed = load("seed")
    (without,), (row,) = (
        compare(seed, budget=0.01, replicates=0, memory=memory).rows for memory in (False, True)
    )
    assert not any(cell.memory for cell in without.cells) and all(c.memory for c in row.cells)


def test_the_exact_error_is_quoted(table):
    text = str(table.text())
    assert "What static says to control_flow" in text
    assert "[SBS-301]" in text
    assert "control_flow.py:20: while xp.max(" in text


def test_each_workload_has_its_line(table):
    lines = str(table.text()).splitlines()
    for name in ("seed", "mlp_digits"):
        # one for the two modes, one for machine code
        expected = 1 + native_is_installed()
        assert sum(line.startswith(f"{name}  ") for line in lines) == expected
    assert "Both modes gave the same results to the last bit (0 ULP) in every line." in lines


@pytest.mark.parametrize("width", [80, 100])
def test_the_text_fits(table, width):
    lines = str(table.text(width)).splitlines()
    boxed = [line for line in lines if line[:1] and line[0] in "│┌├└"]
    assert {len(line) for line in boxed} == {width}
    assert max(map(len, lines)) <= 100


def test_training_ends_alike_in_both_modes(table):
    (training,) = table.trainings
    assert training.identical
    assert training.reached
    text = str(table.text())
    assert "Trained in both modes on 1,437 of 1,797 real digit images" in text
    assert "right (over the target of 95%), the same losses and parameters to the last bit" in text


def test_a_mode_is_checked_against_itself(table):
    assert [cell.mode for cell in table.self_check.cells] == ["dynamic", "dynamic #2"]
    assert "Self-check: dynamic against itself takes" in str(table.text())


def test_json_has_everything(table, tmp_path):
    table.to_json(tmp_path / "table.json")
    data = json.loads((tmp_path / "table.json").read_text())
    assert [row["workload"] for row in data["comparison"]["rows"]] == list(NAMES)
    assert data["comparison"]["rows"][2]["cells"][1]["failure"]["kind"] == "SymbolicBoolError"
    first, second = data["trainings"][0]["records"]
    assert first["losses"] == second["losses"]
    assert len(first["losses"]) > 100
    assert data["self_check"]["cells"][1]["mode"] == "dynamic #2"
    assert data["skipped"] == []


def test_the_table_has_the_workloads_of_the_design():
    assert TABLE[0] == "seed"
    assert {"chain", "layernorm_softmax", "cnn_digits", "lstm_text", "attention"} < set(TABLE)
    assert sum(load(name).dynamic_only for name in TABLE) == 1


def test_data_that_are_not_installed_leave_their_rows_out(monkeypatch):
    def without_data(name):
        workload = load(name)
        if name == "mlp_digits":

            def missing(rng, size):
                raise MissingPackageError("the images come with scikit-learn")

            object.__setattr__(workload, "inputs", missing)
        return workload

    original = load("mlp_digits").inputs
    monkeypatch.setattr(table_module, "load", without_data)
    try:
        table = measure_table(("seed", "mlp_digits"), budget=0.01)
    finally:
        object.__setattr__(load("mlp_digits"), "inputs", original)
    text = str(table.text())
    assert "mlp_digits was left out: [SBS-404] the images come with scikit-learn" in text
    assert table.trainings == ()
    assert "seed: nothing to build" in text


def test_a_table_of_nothing_says_so(table):
    empty = Table(
        table.comparison.__class__((), table.comparison.environment), (), table.self_check, 1
    )
    assert "Not measured." in str(empty.text())


# training -----------------------------------------------------------------------------------------


def test_batches_are_all_alike_and_in_a_new_order_each_epoch():
    training = Training(None, None, None, epochs=2, batch_size=4, target=0.5)
    numbers = np.arange(10)
    batches = [batch[0] for batch in training.batches((numbers, numbers))]
    assert [len(batch) for batch in batches] == [4] * 4
    assert set(np.concatenate(batches[:2])) != set(np.concatenate(batches[2:])) or (
        not np.array_equal(batches[0], batches[2])
    )
    again = [batch[0] for batch in training.batches((numbers, numbers))]
    np.testing.assert_array_equal(batches, again)


def test_what_has_no_training_is_refused():
    with pytest.raises(WorkloadError, match="workload 'seed' cannot be trained"):
        train(load("seed"), "dynamic")
    with pytest.raises(NotDifferentiableError, match="needs gradients, and NumPy has none"):
        train(load("mlp_digits"), "numpy")


def test_training_reports_each_mode():
    lines = []
    compare_training(load("mlp_digits"), report=lines.append)
    assert lines == ["training mlp_digits: dynamic", "training mlp_digits: static"]


def test_the_self_check_is_of_the_first_size():
    assert check_against_itself(load("chain"), 0.01, 0).size == "1"


def test_what_noise_could_explain_is_marked(table):
    row = table.comparison.rows[0]
    unsure = replace(
        row.cell("static"),
        ratio=Estimate(0.8, 0.5, 1.2, CONFIDENCE, 20),
        break_even=BreakEven(9, 3, math.inf, False),
    )
    changed = replace(row, cells=(row.cell("dynamic"), unsure))
    text = str(replace(table, comparison=replace(table.comparison, rows=(changed,))).text())
    assert "~1.25x (0.83–2.00)" in text
    assert "~ noise could explain this difference." in text
    assert "not different beyond noise in 1" in unwrapped(text)
    assert "with no sure gain for seed" in unwrapped(text)


@pytest.mark.parametrize("width", [100, 80, 60])
def test_the_table_fits_the_terminal(table, width):
    text = str(table.text(width))
    assert max(map(len, text.splitlines())) <= width
    assert "speed-up" in text


def test_the_table_is_one_html_file(table, tmp_path):
    table.to_html(tmp_path / "table.html")
    text = (tmp_path / "table.html").read_text()
    assert text.startswith("<!DOCTYPE html>")
    for shown in ("needs a whole graph before any result", "Confirmed", "seed", "SBS-301"):
        assert shown in text
    shown = table._repr_html_()
    claims = shown[shown.index("<table") : shown.index("</table>")]
    assert 'class="claims"' in claims and claims in text


def test_what_the_control_has_measured_is_not_measured_once_more(table):
    assert checked_by_the_control(table.comparison) is None  # all in one process
    row = replace(table.comparison.rows[0], control=Estimate(1.01, 0.9, 1.1, CONFIDENCE, 3))
    found = checked_by_the_control(replace(table.comparison, rows=(row,)))
    assert [cell.mode for cell in found.cells] == ["dynamic", "dynamic #2"]
    text = str(replace(table, self_check=found).text())
    assert "Self-check: dynamic against itself takes 1.01x (0.90–1.10): no difference" in text
