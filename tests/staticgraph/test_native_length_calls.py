"""Calls of machine code for all lengths: as quick as those for one, and as right."""

import gc
import threading
import weakref
from dataclasses import replace

import numpy as np
import pytest

import staticgraph as sg
from oplibrary.machine import interpreter_api
from oplibrary.messages.errors import FeedError, IndexingError
from staticgraph.backends import native
from staticgraph.backends.native.run import combinations

pytest.importorskip("llvmlite")
N, M = sg.dim("calls_n"), sg.dim("calls_m")


@pytest.fixture
def in_python(monkeypatch):
    """Return the shapes of what was run from Python, call by call."""
    seen = []

    def build_open(program):
        opened = native.build_open(program)

        def call(*arrays):
            seen.append([array.shape for array in arrays])
            return opened.runner.call(*arrays)

        return opened._replace(runner=replace(opened.runner, call=call))

    counted = replace(native.BACKEND, build_open=build_open)
    monkeypatch.setattr("staticgraph.compiler.compile.load_backend", lambda _: counted)
    return seen


def compiled(f, *shapes, **options):
    with sg.Graph():
        inputs = [sg.placeholder(f"x{i}", shape) for i, shape in enumerate(shapes)]
        return sg.compile(f(*inputs), inputs, backend="native", **options)


def ones(*shape):
    return np.ones(shape, np.float32)


def pair(x, y):
    return {"sum": sg.sum(x, axis=0) + sg.sum(y), "outer": (x[:, :1] * 2.0, y + 1.0)}


@pytest.mark.parametrize("entry", [True, False])
def test_lengths_that_were_met_are_found_without_python(entry, in_python, monkeypatch):
    if not entry:
        monkeypatch.setattr(interpreter_api, "addresses", lambda: None)
    run = compiled(pair, (N, 3), (M,))
    shapes = [(n, m) for n in (1, 2, 30) for m in (1, 2, 64)]
    for _ in range(3):
        for n, m in shapes:
            found = run(ones(n, 3), ones(m))
            np.testing.assert_array_equal(found["sum"], np.full(3, n + m))
            np.testing.assert_array_equal(found["outer"][0], np.full((n, 1), 2.0))
            np.testing.assert_array_equal(found["outer"][1], np.full(m, 2.0))
    assert in_python == [[(n, 3), (m,)] for n, m in shapes] * (1 if entry else 3)


def test_what_is_not_exactly_declared_goes_to_python(in_python):
    run = compiled(lambda x, y: x + y, (N, 3), (N, 1))
    for _ in range(2):
        np.testing.assert_array_equal(run(ones(2, 3), ones(2, 1)), np.full((2, 3), 2.0))
    assert len(in_python) == 1
    np.testing.assert_array_equal(run(ones(3, 2).T, [[1], [1]]), np.full((2, 3), 2.0))
    np.testing.assert_array_equal(run(x1=ones(2, 1), x0=ones(2, 3)), np.full((2, 3), 2.0))
    assert len(in_python) == 2
    for wrong in (
        (ones(2, 3), ones(3, 1)),
        (ones(2, 4), ones(2, 1)),
        (ones(2, 3), ones(2)),
        (ones(2, 3), ones(2, 1).astype("float64")),
        (ones(0, 3), ones(0, 1)),
        (ones(2, 3),),
    ):
        with pytest.raises(FeedError):
            run(*wrong)
    assert len(in_python) == 2


def test_more_combinations_than_are_kept_and_longer_ones(monkeypatch):
    monkeypatch.setattr(combinations, "MOST_KEPT", 3)
    run = compiled(lambda x: sg.sum(sg.softmax(x, axis=0) * sg.tanh(x), axis=0), (N, 5))
    for n in (1, 4, 2, 900, 3, 1, 900, 5, 6, 7, 2000, 1, 4):
        x = np.random.default_rng(n).normal(size=(n, 5)).astype("f4")
        e = np.exp(x - x.max(axis=0))
        for _ in range(2):
            np.testing.assert_allclose(
                run(x), np.sum(e / e.sum(axis=0) * np.tanh(x), axis=0), rtol=1e-5, atol=1e-6
            )


def test_arrays_made_of_lengths_are_not_kept_without_end(monkeypatch):
    monkeypatch.setattr(combinations, "MOST_BYTES", 1000)
    monkeypatch.setattr("staticgraph.backends.native.run.open_machine.MOST_BYTES", 1000)
    run = compiled(lambda x: x * sg.arange(x.shape[0], dtype="float32"), (N,))
    for n in (3, 400, 5, 400, 100, 3, 80, 81, 82):
        np.testing.assert_array_equal(run(ones(n)), np.arange(n, dtype="f4"))


def test_state_is_updated_at_all_lengths():
    with sg.Graph():
        x = sg.placeholder("x", (N,))
        total = sg.variable(np.zeros((), "f4"), name="total")
        run = sg.compile([x * 2.0, sg.assign(total, total + sg.sum(x))], [x], backend="native")
    expected = 0.0
    for n in (3, 3, 5, 3, 1, 5):
        run(ones(n))
        expected += n
        assert run.variables["total"].value == expected


def test_an_index_out_of_range_is_said_and_leaves_nothing_wrong():
    with sg.Graph():
        x, i = sg.placeholder("x", (N,)), sg.placeholder("i", (M,), "int64")
        run = sg.compile(sg.take(x, i), [x, i], backend="native")
    for _ in range(2):
        for n in (3, 9):
            assert run(np.arange(n, dtype="f4"), np.array([n - 1])) == [n - 1]
            with pytest.raises(IndexingError, match=f"axis 0 of length {n}"):
                run(ones(n), np.array([n]))


def test_more_arrays_than_an_optimised_entry_takes():
    count = 70
    run = compiled(lambda *xs: [sg.sum(x) for x in xs], *[(N, 2)] * count)
    for n in (1, 6, 1, 6):
        given = [ones(n, 2) * i for i in range(count)]
        assert run(*given) == [2.0 * n * i for i in range(count)]


def looping(x):
    return sg.while_loop(lambda x: sg.max(x) < 1000.0, lambda x: x * 2.0, x)


@pytest.mark.parametrize("f", [lambda x: sg.softmax(sg.tanh(x @ x.T), axis=1) @ x, looping])
def test_threads_share_one_piece_at_lengths_of_their_own(f):
    """Runs that let go of the interpreter's lock, and lengths whose runs need more memory."""
    run, alone = compiled(f, (N, 40)), compiled(f, (N, 40))
    arrays = [np.random.default_rng(n).normal(size=(n, 40)).astype("f4") for n in range(9, 400, 49)]
    expected = [alone(x).tobytes() for x in arrays]
    wrong = []
    barrier = threading.Barrier(4)

    def work(first):
        barrier.wait()
        for number in [*range(len(arrays))[first::2]] * 3:
            if run(arrays[number]).tobytes() != expected[number]:
                wrong.append(number)

    threads = [threading.Thread(target=work, args=(n % 2,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_lengths_built_for_themselves_are_run_by_entries_of_their_own(in_python):
    with sg.Graph():
        x = sg.placeholder("x", (sg.dim("calls_apart", min=0),))
        run = sg.compile([sg.sum(x * 2.0)], [x], backend="native")
    for n in (0, 3, 0, 3):
        assert run(ones(n)) == [2.0 * n]
    assert in_python == [[(3,)]]


def test_what_is_compiled_is_freed_with_all_it_holds():
    run = compiled(lambda x: x * 2.0, (N,))
    run(ones(3))
    gone = weakref.ref(run)
    del run
    gc.collect()
    assert gone() is None
