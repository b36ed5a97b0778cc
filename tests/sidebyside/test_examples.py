"""Every example runs and shows what it claims; staticgraph refuses the same function by name."""

import importlib.util
import io
import math
from pathlib import Path

import numpy as np
import pytest

import dyngraph as dg
import staticgraph as sg
from oplibrary.messages.errors import GraphError, SideBySideError

FOLDER = Path(__file__).parents[2] / "examples"

REFUSALS = {
    "active_set": ("SBS-304", "rows = x[active]"),
    "adaptive_computation": ("SBS-301", "if looks == MOST or total + sure >= THRESHOLD:"),
    "beam_search": ("SBS-302", "key=lambda entry: float(entry[0])"),
    "cart_pole": ("SBS-301", "if coin < probability:"),
    "debugging": ("SBS-302", 'print(f"layer {depth}: {size.item():.3g}", file=log)'),
    "generators": ("SBS-301", "takewhile(lambda letter: letter != 0"),
    "growing_model": ("SBS-301", "if loss > 0.97 * before:"),
    "kepler": ("SBS-301", "if abs(step) < tolerance:"),
    "mixture_of_experts": ("SBS-304", "found = xp.nonzero(mask)"),
    "newton": ("SBS-301", "if xp.max(xp.abs(gradient)) < tolerance:"),
    "ragged_lstm": ("SBS-302", "for position in range(start, stop - 1):"),
    "retry": ("SBS-301", "if not xp.isfinite(value):"),
    "shift_reduce": ("SBS-301", "if preference(weights, waiting[-1], operators[position]) < 0:"),
    "tree_lstm": ("SBS-302", "for _ in range(counts[position]):"),
}
"""Name of an example: the id of the error that its declaration raises, and the line it names."""


def load(name):
    spec = importlib.util.spec_from_file_location(f"examples_{name}", FOLDER / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def run_and_print(name, monkeypatch, capsys, **settings):
    """Return what the example's run gives, and check that its main prints it."""
    module = load(name)
    found = module.run(**settings)
    monkeypatch.setattr(module, "run", lambda: found)
    module.main()
    assert len(capsys.readouterr().out.splitlines()) >= 2
    return found


def test_every_example_is_tested():
    assert {path.stem for path in FOLDER.glob("*.py")} == set(REFUSALS)


@pytest.mark.parametrize("name", REFUSALS)
def test_static_refuses_with_the_line_and_a_fix(name):
    identity, line = REFUSALS[name]
    with pytest.raises(SideBySideError) as caught:
        load(name).declare()
    error = caught.value
    assert error.id == identity
    assert error.source.place.startswith(f"{name}.py:")
    assert line in error.source.text
    assert line in str(error)
    assert error.cause
    assert error.fix


@pytest.mark.parametrize("name", REFUSALS)
def test_the_docstring_says_what_static_does(name):
    assert "static graph" in load(name).__doc__
    assert REFUSALS[name][0] in load(name).declare.__doc__


# what each example shows --------------------------------------------------------------------------


def test_active_set(monkeypatch, capsys):
    found = run_and_print("active_set", monkeypatch, capsys)
    assert found["sizes"][0] == 455
    assert found["sizes"][-1] < 60
    assert found["losses"][-1] < 0.1 * found["losses"][0]
    assert found["classes_left"] == [-1.0, 1.0]
    assert 0 < len(found["left"]) < 60
    assert found["accuracy"] > 0.93


def test_adaptive_computation(monkeypatch, capsys):
    found = run_and_print("adaptive_computation", monkeypatch, capsys, images=600)
    assert found["last_loss"] < 0.5 * found["first_loss"]
    assert len(set(found["looks"])) >= 3
    assert found["accuracy"] > 0.5


def test_beam_search(monkeypatch, capsys):
    found = run_and_print("beam_search", monkeypatch, capsys)
    assert found["last_loss"] < 0.5 * found["first_loss"]
    for start, row in found["words"].items():
        for spelled, score, rounds in row.values():
            assert spelled.startswith(start)
            assert score < 0
            assert rounds >= 1
    assert all(row["beam"][1] >= row["greedy"][1] - 1e-4 for row in found["words"].values())
    # more than one letter seen ahead pays
    assert found["words"]["retu"]["beam"][0] == "return "
    assert sum(row["beam"][1] > row["greedy"][1] + 0.1 for row in found["words"].values()) >= 2


def test_cart_pole(monkeypatch, capsys):
    found = run_and_print("cart_pole", monkeypatch, capsys, episodes=100)
    assert len(set(found["lengths"])) > 20
    assert found["last"] > 1.5 * found["first"]


def test_debugging(monkeypatch, capsys):
    found = run_and_print("debugging", monkeypatch, capsys)
    sizes = [float(line.split(": ")[1]) for line in found["printed"]]
    assert len(sizes) == 8
    assert sizes[4] < 1 < 100 < sizes[5]
    assert "5" in found["debugger"]  # the depth, where it stopped
    assert "(30, 30)" in found["debugger"]
    assert all(found["gradients"])


def test_a_print_of_a_node_prints_once_and_no_number():
    log = io.StringIO()
    load("debugging").print_node(log)
    assert log.getvalue().splitlines() == ["Node(multiply: float32[2])"]


def test_generators(monkeypatch, capsys):
    found = run_and_print("generators", monkeypatch, capsys)
    assert found["average"] < 2.35
    assert 10 < found["steps"] < 2000
    assert len(found["words"]) == 12
    assert len({len(word) for word in found["words"]}) > 2
    assert all(" " not in word for word in found["words"])


def test_a_traced_function_cannot_return_a_generator():
    with pytest.raises(GraphError, match="returned a generator"):
        load("generators").declare_stream()


def test_growing_model(monkeypatch, capsys):
    found = run_and_print("growing_model", monkeypatch, capsys, rounds=10)
    assert found["units"][0] == 2
    assert found["units"][-1] > 2
    assert found["losses"][-1] < 0.4 * found["losses"][0]
    assert found["accuracy"] > 0.8


def test_kepler(monkeypatch, capsys):
    found = run_and_print("kepler", monkeypatch, capsys)
    for row in found.values():
        assert row["residual"] < 1e-12
        assert math.isclose(row["gradient"], row["expected_gradient"], rel_tol=1e-9)
    assert found["Earth"]["rounds"] < found["Halley's comet"]["rounds"]


def test_mixture_of_experts(monkeypatch, capsys):
    found = run_and_print("mixture_of_experts", monkeypatch, capsys, epochs=4)
    assert found["last_loss"] < 0.5 * found["first_loss"]
    assert found["accuracy"] > 0.8
    assert len(found["rows_an_expert"]) > 10
    assert sum(found["test_load"]) == 360
    assert sum(rows > 0 for rows in found["test_load"]) >= 2


def test_newton(monkeypatch, capsys):
    found = run_and_print("newton", monkeypatch, capsys)
    assert found["rounds"] < 30
    assert max(found["halvings"]) > 0
    assert all(np.diff(found["misfits"]) < 0)
    assert found["misfit"] < 1
    assert 150 < found["limit"] < 250
    assert 1900 < found["half_reached"] < 1925


def test_ragged_lstm(monkeypatch, capsys):
    found = run_and_print("ragged_lstm", monkeypatch, capsys, epochs=2)
    assert len(found["lengths"]) > 10
    assert found["steps"] < 0.5 * found["padded_steps"]
    assert found["losses"][1] < found["losses"][0] < math.log(28)


def test_a_graph_with_plain_bounds_is_one_for_each_length():
    declare_length = load("ragged_lstm").declare_length
    short, long = declare_length(4), declare_length(8)
    assert len(long) > 1.5 * len(short)
    assert long.inputs[-1].shape == (8,)


def test_retry(monkeypatch, capsys):
    found = run_and_print("retry", monkeypatch, capsys)
    assert len(found["retries"]) >= 3
    assert found["rate"] < 1
    assert np.isfinite(found["losses"]).all()
    assert found["losses"][-1] < 0.6
    assert found["test_loss"] < 0.7


def test_shift_reduce(monkeypatch, capsys):
    found = run_and_print("shift_reduce", monkeypatch, capsys, lessons=400, exam=100)
    assert found["last_loss"] < 0.3 * found["first_loss"]
    assert found["exact_trees"] > 0.8


def test_tree_lstm(monkeypatch, capsys):
    found = run_and_print("tree_lstm", monkeypatch, capsys)
    assert found["trees"] > 15
    assert max(found["sizes"]) > 3 * min(found["sizes"])
    assert found["losses"][-1] < 0.7 * found["losses"][0]
    assert found["accuracy"] > 0.8 > 1 - found["share_with_loop"]


def test_a_constant_tree_is_frozen_into_the_graph():
    example = load("tree_lstm")
    trees = sorted(example.functions(), key=lambda tree: len(tree[0]))
    small, large = example.freeze(*trees[0][:2]), example.freeze(*trees[1][:2])
    assert len(large) > len(small)
    # nothing is left that another tree could be fed to
    weights = example.initial_weights()
    assert len(small.inputs) == len(weights)
    (frozen,) = sg.compile(small.outputs, inputs=small.inputs, backend="numpy")(*weights)
    tensors = [dg.tensor(weight) for weight in weights]
    expected = example.score(dg, tensors, dg.tensor(trees[0][0]), dg.tensor(trees[0][1]))
    other = example.score(dg, tensors, dg.tensor(trees[1][0]), dg.tensor(trees[1][1]))
    assert frozen == expected.numpy()
    assert frozen != other.numpy()
