"""What notebooks show: every value that a cell may end with has a representation of its own."""

from xml.etree import ElementTree

import numpy as np
import pytest

import dyngraph as dg
import sidebyside as sbs
import staticgraph as sg
from oplibrary.messages.errors import ArgumentError

X, W = np.float32([[2.0, 3.0]]), np.float32([[1.0], [0.5]])


def layer(x, w):
    return np.tanh(x @ w) * 2


def well_formed(html):
    return ElementTree.fromstring(f"<div>{html.replace('<br>', '<br/>')}</div>")


def test_a_program_is_drawn_in_both_modes():
    figure = sbs.show(layer, X, W)
    tape, declared, compiled = figure.pictures
    assert [each.graph.number_of_nodes() > 3 for each in (tape, declared, compiled)] == [True] * 3
    assert "TanhBackward0" in str(figure) and "tanh" in str(figure) and "layer" in str(figure)
    root = well_formed(figure._repr_html_())
    assert len(root.findall(".//{http://www.w3.org/2000/svg}svg")) == 4


def test_a_function_may_take_the_namespace_and_a_workload_its_size(tmp_path):
    figure = sbs.show(lambda xp, x: xp.sum(xp.exp(x)), X)
    figure.save(tmp_path / "sum.svg")
    assert "exp" in (tmp_path / "sum.svg").read_text()
    assert "seed" in str(sbs.show(sbs.find_workload("seed")))
    chain = sbs.find_workload("chain")
    assert "float32[1000]" in str(sbs.show(chain, size=1000))


def test_what_static_refuses_is_shown():
    figure = sbs.show(lambda x: x * 2 if float(x.sum()) > 0 else x, X)
    assert "static: refused" in str(figure) and "SBS-302" in figure._repr_html_()


def test_a_large_figure_is_text():
    def deep(x):
        for _ in range(200):
            x = np.tanh(x)
        return x

    assert "<svg" not in sbs.show(deep, X)._repr_html_()


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: sbs.show(sbs.find_workload("seed"), X), "makes its own"),
        (lambda: sbs.show(layer, X, W, size=3), "leave size out"),
        (lambda: sbs.show(layer, X, W).save("figure.png"), ".svg, .dot"),
    ],
)
def test_wrong_calls_say_what_to_write(call, words):
    with pytest.raises(ArgumentError, match=words.replace(".", r"\.")):
        call()


@pytest.mark.parametrize(
    ("array", "cells"),
    [(1.5, 1), ([1, 2, 3], 3), (np.ones((2, 3)), 6), (np.ones((40, 50)), 43)],
)
def test_tensors_are_tables(array, cells):
    tensor = dg.tensor(array)
    root = well_formed(tensor._repr_html_())
    assert len(root.findall(".//td")) == cells
    assert root.find("small").text == f"{tensor.dtype.name}{list(tensor.shape)}"


@pytest.mark.parametrize("shape", [(0, 3), (2, 2, 2)])
def test_other_tensors_are_text(shape):
    tensor = dg.tensor(np.ones(shape), requires_grad=True) * 1
    html = tensor._repr_html_()
    assert "<pre>tensor(" in html and "grad_fn=MulBackward0" in html


def test_graphs_programs_and_executables_are_drawn_in_light_and_dark():
    with sg.Graph() as graph:
        x = sg.placeholder("x", (2,))
        y = sg.tanh(x * 2)
    executable = sg.compile([y], [x], backend="numpy")
    for value in (graph, executable.program, executable):
        html = value._repr_html_()
        well_formed(html)
        assert "prefers-color-scheme:dark" in html and "tanh" in html
    assert "instructions, numpy" in executable._repr_html_()
