"""The static executor by itself: a call's overhead a backend, a session, and large graphs."""

import numpy as np
import pytest

import staticgraph as sg
from bench.ratios import PROGRAMS, seed_executable


@pytest.mark.parametrize("backend", ["interpret", "numpy"])
def test_seed_call(benchmark, backend):
    executable, inputs = seed_executable(backend)
    benchmark.group = "seed, a call"
    benchmark.extra_info["through"] = backend
    assert len(benchmark(executable, *inputs)) == 3


def test_seed_session(benchmark):
    graph = sg.Graph()
    with graph:
        x = sg.placeholder("x", (1,), "float32")
        w = sg.variable(np.ones(1, "float32"), name="w")
        y = (x + w) * (w + 1)
        dx, dw = sg.gradients(y, [x, w])
    benchmark.group = "seed, a call"
    benchmark.extra_info["through"] = "session"
    with sg.Session(graph) as session:
        benchmark(session.run, [y, dx, dw], feed_dict={x: np.full(1, 2, "float32")})


@pytest.mark.parametrize("count", [100, 1_000, 10_000])
@pytest.mark.parametrize("program", PROGRAMS)
def test_compile(benchmark, program, count):
    declare = PROGRAMS[program]

    def declared():
        return (declare(count),), {}

    def compiled(graph):
        return sg.compile(graph.outputs, inputs=graph.inputs, backend="numpy")

    benchmark.group = f"compile {program}"
    benchmark.extra_info["nodes"] = count
    benchmark.pedantic(compiled, setup=declared, rounds=3)


@pytest.mark.parametrize("count", [100, 1_000, 10_000])
@pytest.mark.parametrize("program", PROGRAMS)
def test_declare(benchmark, program, count):
    benchmark.group = f"declare {program}"
    benchmark.extra_info["nodes"] = count
    benchmark.pedantic(PROGRAMS[program], args=(count,), rounds=3)
