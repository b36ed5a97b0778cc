"""Building machine code: work that grows with the program and no faster, and failures that end."""

import numpy as np
import pytest

pytest.importorskip("llvmlite")

import staticgraph as sg
from oplibrary.machine.module import Module
from staticgraph.backends.native.planning import exploration
from staticgraph.backends.registry import load_backend
from staticgraph.declare.lower import lower


def elementwise(n):
    x = sg.placeholder("x", (10,))
    y = x
    for _ in range(n // 2):
        y = sg.tanh(y) + x
    return [x], [y]


def layers(n):
    x, w = sg.placeholder("x", (4, 8)), sg.placeholder("w", (8, 8))
    y = x
    for _ in range(n // 4):
        y = sg.tanh(y @ w) - sg.mean(y, axis=1, keepdims=True)
    return [x, w], [y]


def wide(n):
    x = sg.placeholder("x", (10,))
    return [x], [sg.exp(x * float(i + 2)) for i in range(n // 2)]


def trained(n):
    inputs, (y,) = layers(n // 3)
    return inputs, sg.gradients(sg.sum(y), inputs)


def visited(monkeypatch, make, n):
    """Return how many values the planner looks at."""
    count = 0
    real = exploration.ValueAt.__init__

    def counted(self, *arguments):
        nonlocal count
        count += 1
        real(self, *arguments)

    with sg.Graph() as graph:
        inputs, outputs = make(n)
        program = lower(graph, outputs, inputs)
    with monkeypatch.context() as patch:
        patch.setattr(exploration.ValueAt, "__init__", counted)
        load_backend("native").plan(program, False)
    return count


@pytest.mark.parametrize("make", [elementwise, layers, wide, trained])
def test_planning_grows_with_the_program(make, monkeypatch):
    small, large = (visited(monkeypatch, make, n) for n in (1000, 4000))
    assert 0 < large < 4.4 * small


def test_kernels_that_are_alike_are_compiled_once():
    texts = []
    for n in (2000, 4000):
        with sg.Graph():
            inputs, outputs = layers(n)
            executable = sg.compile(outputs, inputs, backend="native")
        texts.append(executable.source.count("define internal void @kernel"))
    assert texts[0] == texts[1]


def test_a_long_program_is_right():
    with sg.Graph():
        inputs, outputs = layers(3000)
        executable = sg.compile(outputs, inputs, backend="native")
        oracle = sg.compile(outputs, inputs, backend="interpret")
    rng = np.random.default_rng(0)
    arrays = [rng.normal(size=f.type.shape).astype("float32") * 0.1 for f in executable.inputs]
    for found, wanted in zip(executable(*arrays), oracle(*arrays), strict=True):
        np.testing.assert_allclose(found, wanted, rtol=1e-3, atol=1e-5)


def test_a_definition_is_shown_without_what_it_is_made_of():
    """What is shared would be written again and again: a failure must not take forever to say."""
    with sg.Graph() as graph:
        x = sg.placeholder("x", (3,))
        y = x
        for _ in range(200):
            y = y * y + y
        program = lower(graph, [y], [x])
    definitions = load_backend("native").plan(program, False).definitions
    text = repr(definitions.of[program.outputs[0]])
    assert text.startswith("<Elementwise of add float32[3]")
    assert len(text) < 60


def test_code_that_does_not_link_is_left_to_numpy(monkeypatch):
    def write(module):
        module.declare("no_such_function", "void", ())
        wrong = "define void @calls_it() { call void @no_such_function() ret void }"
        return f"{text(module)}{wrong}\n"

    text = Module.__str__
    monkeypatch.setattr(Module, "__str__", write)
    with sg.Graph():
        x = sg.placeholder("x", (3,))
        run = sg.compile(sg.exp(x) + 1, backend="native")
    monkeypatch.undo()
    np.testing.assert_array_equal(run(np.zeros(3, "f4")), np.full(3, 2, "f4"))
    np.testing.assert_array_equal(run(np.zeros(3, "f4")), np.full(3, 2, "f4"))
    assert "left to NumPy  all, since linking failed" in run.report()
