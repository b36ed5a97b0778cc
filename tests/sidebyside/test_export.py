"""The command ``export``: every kind of program, what is said of the check, and what is refused."""

import os
import sys

import numpy as np
import pytest

import sidebyside
import staticgraph as sg
from oplibrary.messages.errors import DisagreementError
from sidebyside.cli import main
from sidebyside.studies import exporting
from sidebyside.studies.exporting import export

onnx = pytest.importorskip("onnx")

from onnx.reference import ReferenceEvaluator  # noqa: E402

PROGRAM = """
import numpy as np
import staticgraph as sg
from sidebyside import Workload

def f(x, factor):
    return np.tanh(x) * factor

def g(xp, x):
    return xp.tanh(x)

layer = Workload(
    lambda xp, x, w: xp.sum(xp.tanh(x @ w)),
    inputs=lambda rng, size: (np.ones((size, 3), "float32"), np.ones((3, 2), "float32")),
    wrt=(1,),
    sizes=(4, 5),
    name="whole layer",
)

with sg.Graph() as graph:
    x = sg.placeholder("x", (2, 3))
    w = sg.variable(np.ones((3, 2), "float32"), name="w")
    graph.outputs = [x @ w]
node = graph.outputs[0]
run = sg.compile(node, backend="numpy")

def unsupported(x):
    return sg.linalg.svdvals(x)

one = np.ones((2, 3))
both = (one, 2.0)

def drawn(rng):
    return (rng.normal(size=(2, 3)),)
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    (tmp_path / "mine.py").write_text(PROGRAM)
    return tmp_path


@pytest.fixture
def run(capsys):
    def run(*arguments):
        code = main(["export", *arguments])
        printed = capsys.readouterr()
        return code, printed.out, printed.err

    return run


@pytest.mark.parametrize(
    ("program", "inputs", "said"),
    [
        ("f", "both", "a function, "),
        ("g", "drawn", "the workload g, "),
        ("g", "one", "the workload g, "),
        ("layer", None, "the workload whole layer, "),
        ("whole layer", None, "the workload whole layer, "),
        ("graph", None, "a graph, "),
        ("graph", "graph_inputs", "a graph, "),
        ("node", None, "a graph, "),
        ("run", None, "a graph, "),
    ],
)
def test_every_kind_of_program_is_written_and_run(run, folder, program, inputs, said):
    more = "graph_inputs = [np.ones((2, 3), 'float32')]\n"
    (folder / "mine.py").write_text(PROGRAM + more)
    given = [] if inputs is None else ["--inputs", f"mine.py:{inputs}"]
    code, out, err = run(f"mine.py:{program}", "model.onnx", *given)
    assert (code, err) == (0, "")
    assert out.startswith(f"wrote model.onnx: {said}")
    assert "checked: onnx.reference computes the same from it" in out
    assert ("note: 2.0 was passed, and is part of the model" in out) == (program == "f")
    onnx.checker.check_model("model.onnx")
    assert sorted(os.listdir(folder)) == ["mine.py", "model.onnx"]


def test_a_workload_of_a_size_by_its_file_or_its_name(run, folder):
    assert "input x: float32[7,3]" in run("mine.py", "model.onnx", "--size", "7")[1]
    code, out, _ = run("seed", "seed.onnx")
    assert code == 0
    assert "\n  result y2: float32[1]\n" in out  # gradients by both arguments


def test_a_saved_program_leaves(run, folder):
    sg.save_program("saved.sgp", sg.trace(np.tanh, np.ones(3)).outputs)
    code, out, _ = run("saved.sgp", "model.onnx")
    assert code == 0
    assert "input x: float64[3]" in out
    (found,) = ReferenceEvaluator("model.onnx").run(None, {"x": np.arange(3.0)})
    np.testing.assert_allclose(found, np.tanh(np.arange(3.0)))


def test_modules_and_functions_of_tensors_leave(folder):
    torch = pytest.importorskip("torch")
    module = torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.BatchNorm1d(2))
    x = torch.randn(4, 3)
    found = export(module, "model.onnx", x)
    assert found.kind == "PyTorch: Sequential"
    assert found.difference.relative < 1e-4
    assert "no next value of 1.running_mean" in found.notes[0]
    assert [each.name for each in found.model.graph.initializer][:2] == ["0.weight", "0.bias"]

    def scaled(x):
        return torch.tanh(x) * 2

    opened = export(scaled, "model.onnx", x, dynamic={"x": {0: "batch"}}, check=False)
    assert opened.kind == "PyTorch: scaled"
    assert "  input x: float32[batch,3]" in opened.text()


def test_imported_programs_leave(folder):
    model = sg.to_onnx(sg.trace(np.tanh, np.ones(3)))
    imported = sg.from_onnx(model)
    assert export(imported, "model.onnx").kind == "ONNX: program"
    assert export(imported, "model.onnx", np.arange(3.0)).difference.relative < 1e-4
    assert sg.to_onnx(imported) == sg.to_onnx(imported.graph)


def test_functions_of_jax_leave(folder):
    jnp = pytest.importorskip("jax.numpy")
    found = export(lambda tree: jnp.tanh(tree["x"]), "model.onnx", {"x": np.ones(3)})
    assert found.text().splitlines()[1:3] == ["  input x0.x: float32[3]", "  result y0: float32[3]"]


@pytest.mark.parametrize(
    ("program", "inputs", "axes", "shown"),
    [
        ("f", "both", ["x:0=n", "x:1=m"], "input x: float64[n,m]"),
        ("g", "one", ["x:0=n"], "input x: float64[n,3]"),
        ("layer", None, ["x:0=n"], "input x: float32[n,3]"),
    ],
)
def test_lengths_stay_open(run, folder, program, inputs, axes, shown):
    given = [] if inputs is None else ["--inputs", f"mine.py:{inputs}"]
    options = [word for axis in axes for word in ("--dynamic", axis)]
    code, out, _ = run(f"mine.py:{program}", "model.onnx", *given, *options)
    assert code == 0
    assert shown in out
    assert "checked at two lengths: onnx.reference computes the same" in out


def test_lengths_of_imported_programs_stay_open(folder):
    jnp = pytest.importorskip("jax.numpy")
    found = export(
        lambda x: jnp.sum(x, axis=1), "o.onnx", np.ones((2, 3)), dynamic={"x": {0: "batch"}}
    )
    assert "result y0: float32[batch]\nchecked at two lengths: " in found.text()


@pytest.mark.parametrize("batch", [1, 2, 3, 5, 7])
@pytest.mark.parametrize("fails_at", [None, 0, 1])
def test_two_lengths_are_two_and_both_are_run(folder, monkeypatch, batch, fails_at):
    """Whatever the example has; what ran only one of them has checked nothing."""
    ran, reference = [], exporting._by_reference

    def watched(model, feeds):
        ran.append(feeds["x"].shape)
        if len(ran) - 1 == fails_at:
            raise RuntimeError("no such op")
        return reference(model, feeds)

    def fails(model, feeds):
        raise RuntimeError("no such op")

    monkeypatch.setattr(exporting, "_by_reference", watched)
    monkeypatch.setattr(exporting, "_by_runtime", fails)
    x = np.ones((batch, 3), "float32")
    found = export(lambda x: np.tanh(x), "model.onnx", x, dynamic={"x": {0: "batch"}})
    assert ran[0] == (batch, 3)
    if fails_at is None:
        assert len(set(ran)) == 2
        assert "checked at two lengths: onnx.reference computes" in found.text()
    else:
        assert "not checked: nothing has run it" in found.text()
        assert "note: onnx.reference does not run it: no such op" in found.text()


def test_a_wrong_spelling_of_an_open_length_is_a_wrong_use(run, folder, capsys):
    for text in ("x=n", "x:0", "x:-1=n", "x:0=a b", ":0=n"):
        with pytest.raises(SystemExit):
            main(["export", "mine.py:f", "o.onnx", "--dynamic", text])
        assert f"{text} is not NAME:AXIS=LENGTH" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["mine.py:f", "o.onnx"], "cannot be called with 0 inputs"),
        (["mine.py:f", "o.onnx", "--inputs", "mine.py:one"], "missing a required argument"),
        (["mine.py:f", "o.onnx", "--inputs", "mine.py:none"], "has no 'none'"),
        (["mine.py:none", "o.onnx"], "has no 'none'"),
        (["mine.py:both", "o.onnx"], "a tuple is no program"),
        (["mine.py:f", "o.txt", "--inputs", "mine.py:both"], "o.txt does not end in .onnx"),
        (["o.onnx", "mine.py"], "mine.py does not end in .onnx"),
        (["mine.py:graph", "no/o.onnx"], "the folder no does not exist"),
        (["mine.py:graph", "o.onnx", "--inputs", "mine.py:both"], "[SBS-306]"),
        (["mine.py:graph", "o.onnx", "--size", "3"], "a size was given"),
        (["mine.py:unsupported", "o.onnx", "--inputs", "mine.py:one"], "svdvals has no form"),
        (["mine.py:graph", "o.onnx", "--dynamic", "x:0=n"], "declared already"),
        (
            ["mine.py:f", "o.onnx", "--inputs", "mine.py:both", "--dynamic", "y:0=n"],
            "axes 0 of y were to stay open",
        ),
        (
            ["mine.py:f", "o.onnx", "--inputs", "mine.py:both", "--dynamic", "x:2=n"],
            "the arrays among the inputs are x with 2 axes",
        ),
        (["none.sgp", "o.onnx"], "there is no such file"),
        (["none", "o.onnx"], "there is no builtin workload"),
        (["seed", "o.onnx", "--size", "abc"], "has no inputs of size abc"),
    ],
)
def test_what_cannot_be_exported_is_named_and_nothing_is_written(run, folder, arguments, said):
    (folder / "o.onnx").write_bytes(b"of before")
    code, out, err = run(*arguments)
    assert (code, out) == (2, "")
    assert err.startswith("[SBS-")
    assert said in err
    assert sorted(os.listdir(folder)) == ["mine.py", "o.onnx"]
    assert (folder / "o.onnx").read_bytes() == b"of before"
    assert (folder / "mine.py").read_text() == PROGRAM


def test_what_computes_something_else_is_not_written(folder, monkeypatch):
    monkeypatch.setattr(exporting, "_by_reference", lambda model, feeds: [np.ones(3)])
    with pytest.raises(DisagreementError, match=r"the model, run by onnx\.reference, and the pro"):
        export(np.tanh, "o.onnx", np.ones(3))
    assert not (folder / "o.onnx").exists()


def test_what_nothing_runs_is_written_and_said_so(folder, monkeypatch):
    def fails(model, feeds):
        raise NotImplementedError("no such thing")

    monkeypatch.setattr(exporting, "_by_reference", fails)
    monkeypatch.setattr(exporting, "_by_runtime", fails)
    text = export(np.tanh, "o.onnx", np.ones(3)).text()
    assert "\nnot checked: " in text
    assert "note: onnx.reference does not run it: no such thing" in text
    assert (folder / "o.onnx").exists()
    text = export(np.tanh, "o.onnx", np.ones(3), check=False).text()
    assert "\nnot checked: " in text
    assert "note" not in text


def test_a_file_is_written_whole_or_not_at_all(folder, monkeypatch):
    def full(*_):
        raise OSError(28, "no space left")

    (folder / "o.onnx").write_bytes(b"of before")
    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(sidebyside.errors.OutputError, match=r"cannot write o\.onnx: no space left"):
        export(np.tanh, "o.onnx", np.ones(3))
    assert (folder / "o.onnx").read_bytes() == b"of before"
    assert sorted(os.listdir(folder)) == ["mine.py", "o.onnx"]
