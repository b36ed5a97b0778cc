"""Loops and branches as machine code: nothing of them is left to Python."""

import os
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

pytest.importorskip("llvmlite")

import staticgraph as sg
from oplibrary.messages.errors import IndexingError, LoopBoundError

W = (np.random.default_rng(0).standard_normal((5, 5)) * 0.4).astype("float32")
XS = np.random.default_rng(1).standard_normal((7, 5)).astype("float32")


def cell(h, x):
    h = sg.tanh(h @ W + x)
    return h, (h * 2, sg.sum(x))


def forwards(xs):
    return sg.scan(cell, xs[0] * 0, xs)


def backwards(xs):
    return sg.scan(cell, xs[0] * 0, xs, reverse=True)


def counted(xs):
    return sg.while_loop(lambda c: c[0] < 6, lambda c: (c[0] + 1, sg.sin(c[1])), (np.int32(0), xs))


def never(xs):
    return sg.while_loop(lambda x: sg.sum(x) > 1e9, sg.exp, xs)


def branched(xs):
    return sg.cond(sg.sum(xs) > 0, lambda x: (x @ W, x), lambda x: (x + 1.0, x * 2.0), xs)


def clamped(xs):
    branches = [lambda x: x, lambda x: x * 2.0, lambda x: x * 3.0]
    return [sg.switch(np.int64(i), branches, xs) for i in (-4, 0, 1, 2, 9)]


def nested(xs):
    """A loop in a branch in a loop, each of which reads what is around it."""
    scale = sg.sum(xs[0]) * 0.1

    def step(total, x):
        more = sg.cond(
            sg.sum(x) > 0,
            lambda: sg.fori_loop(0, 3, lambda i, y: sg.tanh(y @ W) + scale, x),
            lambda: sg.while_loop(lambda y: sg.sum(y * y) > 0.1, lambda y: y * 0.5, x),
        )
        return total + more, total

    return sg.scan(step, xs[0] * 0, xs)


PROGRAMS = [forwards, backwards, counted, never, branched, clamped, nested]


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda f: f.__name__)
@pytest.mark.parametrize("sign", [1, -1])
def test_machine_code_gives_the_oracles_results(program, sign):
    graph = sg.trace(program, XS)
    native = sg.compile(graph.outputs, inputs=graph.inputs, backend="native")
    oracle = sg.compile(graph.outputs, inputs=graph.inputs, backend="interpret")
    assert "left to NumPy" not in native.report()
    for _ in range(2):
        for found, expected in zip(native(sign * XS), oracle(sign * XS), strict=True):
            assert found.dtype == expected.dtype
            np.testing.assert_allclose(found, expected, rtol=2e-6, atol=1e-6)


def test_the_results_are_arrays_of_their_own():
    run = sg.function(never, backend="native")
    found = run(XS)
    assert np.array_equal(found, XS)
    assert not np.shares_memory(found, XS)


def test_a_loop_of_no_steps_is_left_to_numpy():
    run = sg.function(forwards, backend="native")
    (last, _), _ = run(XS), run(XS[:3])
    empty = sg.function(lambda h, xs: sg.scan(cell, h, xs), backend="native")
    last, (doubled, sums) = empty(XS[0], XS[:0])
    assert np.array_equal(last, XS[0]) and doubled.shape == (0, 5) and sums.shape == (0,)


def test_building_a_loop_does_not_depend_on_its_length():
    graphs = [sg.trace(forwards, sg.TensorType((n, 5))) for n in (1000, 100_000)]
    native = [sg.compile(g.outputs, inputs=g.inputs, backend="native") for g in graphs]
    short, long = (each.source.count("\n") for each in native)
    assert long <= 1.1 * short  # large arrays outside of the loop are shared among threads


def test_a_bound_on_the_steps_is_an_error_that_names_the_loop():
    run = sg.function(
        lambda x: sg.while_loop(lambda y: sg.sum(y) < 1e9, lambda y: y + 1.0, x, max_steps=50),
        backend="native",
    )
    with pytest.raises(LoopBoundError, match="50 steps"):
        run(XS)
    with pytest.raises(LoopBoundError, match="50 steps"):
        run(XS)
    assert run(XS + 1e9).sum() > 1e9


def test_an_index_out_of_range_in_a_loop_is_explained():
    table = np.arange(10, dtype="float32")
    run = sg.function(
        lambda i: sg.scan(lambda t, k: (t + sg.take(table, k), None), np.float32(0), i)[0],
        backend="native",
    )
    assert run(np.array([1, 2, 3])) == 6
    with pytest.raises(IndexingError):
        run(np.array([1, 12, 3]))
    assert run(np.array([1, 2, 3])) == 6


def test_eight_threads_run_one_loop():
    run = sg.function(nested, backend="native")
    inputs = [XS * (1 + 0.1 * i) for i in range(8)]
    expected = [run(x) for x in inputs]
    wrong = []

    def repeat(i):
        for _ in range(50):
            last, totals = run(inputs[i])
            if not (
                np.array_equal(last, expected[i][0]) and np.array_equal(totals, expected[i][1])
            ):
                wrong.append(i)

    threads = [threading.Thread(target=repeat, args=(i,)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


ENDLESS = """
import signal, sys
import numpy as np
import staticgraph as sg

def loop(x):
    inner = lambda y, _: (sg.while_loop(lambda z: z >= 0.0, lambda z: z + 0.0, y), None)
    return sg.scan(inner, x, length=3)[0]

signal.signal(signal.SIGINT, signal.default_int_handler)
run = sg.function(loop, backend="native")
print("ready", run(np.float32(-1.0)), flush=True)
if sys.argv[1] == "alarm":
    class Late(Exception):
        pass

    def late(*_):
        raise Late("too late")

    signal.signal(signal.SIGINT, late)
try:
    run(np.float32(1.0))
except BaseException as error:
    print(type(error).__name__, run(np.float32(-2.0)), flush=True)
"""


@pytest.mark.skipif(os.name == "nt", reason="signals are another matter there")
@pytest.mark.parametrize(("how", "error"), [("keyboard", "KeyboardInterrupt"), ("alarm", "Late")])
def test_a_loop_that_never_ends_can_be_interrupted(how, error):
    process = subprocess.Popen(
        [sys.executable, "-c", ENDLESS, how], stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout.readline().split() == ["ready", "-1.0"]
        time.sleep(0.5)
        process.send_signal(signal.SIGINT)
        found, _ = process.communicate(timeout=60)
    finally:
        process.kill()
    assert found.split() == [error, "-2.0"]
