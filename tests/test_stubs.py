"""Stubs are those of the code, and checkers report what is wrong in a user's program."""

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SOURCE = ROOT / "src"


def generator():
    path = ROOT / "docs" / "generate_stubs.py"
    spec = importlib.util.spec_from_file_location("generate_stubs", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", generator().STUBS)
def test_stubs_are_up_to_date(name):
    assert (SOURCE / name).read_text() == generator().STUBS[name](), "run `make docs`"


def test_the_table_of_where_ops_stand_is_up_to_date():
    """In a process of its own, as no op may be loaded yet."""
    command = [sys.executable, str(ROOT / "docs" / "generate_contents.py"), "--print"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    table = SOURCE / "common" / "oplibrary" / "late" / "contents.py"
    assert table.read_text() == done.stdout, "run `make docs`"


PROGRAM = """
import numpy as np

import dyngraph as dg
import sidebyside as sbs
import staticgraph as sg
from dyngraph import errors
from staticgraph.errors import ShapeError


def loss(w: dg.Tensor, x: dg.Tensor) -> dg.Tensor:
    return dg.mean(dg.square(x @ w - 1.0), axis=0, keepdims=False).sum()


w = dg.tensor([[1.0], [2.0]], requires_grad=True)
x = dg.ones((3, 2), dtype="float32", requires_grad=True)
y = loss(w, x) + dg.sum(w, axis=(0, 1)) + 2 * w.exp().max(axis=0)
y.backward()
with dg.no_grad():
    if w.grad is not None:
        w -= 0.1 * w.grad
rows = w[0].reshape(1).astype(dg.float64)
parts = dg.split(dg.concat([x, x], axis=0), 2)
total: float = float((parts[0] == x).all()) + rows.item()
slope = dg.grad(loss)(w, x)

with sg.Graph() as graph:
    a = sg.placeholder("a", (sg.dim("n"), 3))
    b = sg.variable(np.ones(3), name="b")
    c = sg.sum(sg.matmul(a, b) * b.sum() - a.shape[0], axis=-1)
    (db,) = sg.gradients(c, [b])
run = sg.compile([c, db], inputs=[a], backend="numpy")
outputs = run(np.ones((2, 3), "float32"))


@sg.function(backend="numpy")
def step(x: sg.Node) -> sg.Node:
    return sg.where(x > 0, sg.softmax(x, axis=-1), sg.zeros(3)) + sg.float32.itemsize


step(np.ones(3))
workload = sbs.Workload(
    lambda xp, x: xp.sum(x * x), inputs=lambda rng, size: (np.ones(3, "float32"),), name="squares"
)
try:
    print(sbs.compare([workload], modes=("dynamic", "static"), budget=0.01))
except (ShapeError, errors.DTypeError, sbs.errors.SideBySideError) as error:
    print(error.fix)
"""

WRONG = {
    "dg.sum(x, axes=1)": "call-arg",
    'dg.sum(x, axis="0")': "arg-type",
    "dg.add(x)": "call-arg",
    "dg.summ(x)": "attr-defined",
    "dg.sum('text')": "arg-type",
    "dg.zeros((2, 3), requires_grads=True)": "call-arg",
    "dg.softmax(x, 0, 1)": "call-arg",
    'x.sum(axis="0")': "arg-type",
    "x.summ()": "attr-defined",
    "x.clip(0, maximum=1)": "call-arg",
    "x.backward(retain=True)": "call-arg",
    "dg.errors.ShapError": "attr-defined",
    "sg.sum(a, axes=1)": "call-arg",
    'sg.softmax(a, axis="0")': "arg-type",
    "sg.where(a)": "call-arg",
    "sg.summ(a)": "attr-defined",
    'a.mean(axis="0")': "arg-type",
    "sg.compile([a], input=[a])": "call-arg",
    'sg.placeholder("a", shap=(3,))': "call-arg",
    "sbs.compare([], mode=())": "call-arg",
}
"""What is wrong with a line, and what mypy calls that."""


def checked(folder, text):
    """Return what ``mypy --strict`` says about a program: the code of each line's error."""
    path = folder / "program.py"
    path.write_text(text)
    command = [sys.executable, "-m", "mypy", "--strict", "--config-file=", "--cache-dir=cache"]
    search = os.pathsep.join(map(str, (SOURCE / "common", SOURCE)))
    done = subprocess.run(
        [*command, "program.py"],
        cwd=folder,
        env={**os.environ, "MYPYPATH": search},
        capture_output=True,
        text=True,
    )
    found = re.findall(r"^program\.py:(\d+): error: .*\[([\w-]+)\]$", done.stdout, re.MULTILINE)
    assert done.returncode in (0, 1), done.stdout + done.stderr
    return [(int(line), code) for line, code in found], done.stdout


def test_checkers_report_wrong_arguments_and_nothing_else(tmp_path):
    pytest.importorskip("mypy")
    first = PROGRAM.count("\n") + 1
    found, text = checked(tmp_path, PROGRAM + "\n".join(WRONG) + "\n")
    assert found == [(first + number, code) for number, code in enumerate(WRONG.values())], text


def test_the_program_that_is_checked_runs(tmp_path):
    path = tmp_path / "program.py"
    path.write_text(PROGRAM)
    search = os.pathsep.join(map(str, (SOURCE / "common", SOURCE)))
    subprocess.run(
        [sys.executable, str(path)], check=True, env={**os.environ, "PYTHONPATH": search}
    )
