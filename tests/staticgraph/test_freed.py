"""What nobody holds any longer is freed: graphs, programs, executables."""

import gc
import weakref

import numpy as np
import pytest

import staticgraph as sg
from staticgraph.graph.graph import Graph


def chain(x):
    return sg.sum(sg.tanh(x * 2.0) @ sg.exp(x))


def scan(x):
    last, each = sg.scan(lambda c, a: (sg.sin(c) * a, c * x), x, sg.stack([x, x + 1.0]))
    return sg.sum(last) + sg.sum(each)


def scan_whose_carry_comes_back_late(x):
    (a, b), _ = sg.scan(lambda c, _: ((c[1] * 2.0, sg.sqrt(c[0] * x)), None), (x, x), length=5)
    return sg.sum(a) + 0 * sg.sum(b.detach())


def while_loop(x):
    _, y = sg.while_loop(lambda c: c[0] < 3, lambda c: (c[0] + 1, sg.sin(c[1]) * x), (0, x))
    return sg.sum(y)


def branches(x):
    return sg.cond(sg.sum(x) > 0, lambda: scan(x), lambda: sg.sum(x * x))


def loops_in_loops(x):
    return sg.sum(
        sg.fori_loop(0, 2, lambda _, c: sg.fori_loop(0, 3, lambda _, d: sg.sin(d * x), c), x)
    )


def recomputed(x):
    return sg.checkpoint(chain, x)


def rows(x):
    return sg.sum(sg.vmap(lambda row: scan(row))(sg.stack([x, x * 2.0])))


def in_place(x):
    y = sg.zeros_like(x)
    y[1:] += x[1:] * x[:-1]
    return sg.sum(y * x)


PROGRAMS = [chain, scan, scan_whose_carry_comes_back_late, while_loop, branches]
PROGRAMS += [loops_in_loops, recomputed, rows, in_place]


@pytest.fixture
def graphs(monkeypatch):
    """Every graph that is made, regions included, as far as it is still there."""
    made = weakref.WeakSet()
    declare = Graph.__init__

    def watched(self, *arguments, **options):
        declare(self, *arguments, **options)
        made.add(self)

    monkeypatch.setattr(Graph, "__init__", watched)
    return made


@pytest.mark.parametrize("backend", ["interpret", "numpy", "native"])
def test_no_graph_outlives_its_program(backend, graphs):
    if backend == "native":
        pytest.importorskip("llvmlite")
    executables = weakref.WeakSet()
    value = np.array([0.5, 0.25, 2.0])
    for program in PROGRAMS:
        with sg.Graph():
            x = sg.placeholder("x", (3,), "float64")
            loss = program(x)
            (once,) = sg.gradients(loss, [x])
            # of as many steps as it takes, there is no second derivative
            twice = [] if program is while_loop else sg.gradients(sg.sum(once * once), [x])
            run = sg.compile([loss, once, *twice], [x], backend=backend)
        assert all(np.isfinite(each).all() for each in run(value))
        assert run.graph in graphs if hasattr(run, "graph") else graphs
        executables.add(run)
        step = sg.function(sg.value_and_grad(program), backend=backend)
        assert np.isfinite(step(value)[0])
    assert len(executables)
    del x, loss, once, twice, run, step
    gc.collect()
    assert not list(executables)
    assert not list(graphs)
