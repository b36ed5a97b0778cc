"""Calls of machine code: what is passed and returned, threads, forks, and what is left over."""

import gc
import os
import subprocess
import sys
import textwrap
import threading
import tracemalloc
import weakref

import numpy as np
import pytest

pytest.importorskip("llvmlite")

import staticgraph as sg
from oplibrary.messages.errors import FeedError, IndexingError


def adder(shape=(3, 4), dtype="float32"):
    with sg.Graph():
        x, y = (sg.placeholder(name, shape, dtype) for name in "xy")
        return sg.compile(x + y * 2, [x, y], backend="native")


def run_alone(program):
    """Run a program in a process of its own, and return what it printed."""
    done = subprocess.run(
        [sys.executable, "-X", "faulthandler", "-c", textwrap.dedent(program)],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


# what is passed -----------------------------------------------------------------------------------


X, Y = np.arange(12, dtype="float32").reshape(3, 4), np.full((3, 4), 0.5, "float32")


def misaligned(x):
    memory = bytearray(x.nbytes + 1)
    made = np.frombuffer(memory, x.dtype, x.size, offset=1).reshape(x.shape)
    made[...] = x
    assert not made.flags.aligned
    return made


def read_only(x):
    made = x.copy()
    made.flags.writeable = False
    return made


class Subclass(np.ndarray):
    pass


FITTING = {
    "an array": lambda x: x,
    "read-only": read_only,
    "column by column": np.asfortranarray,
    "every second": lambda x: np.repeat(np.repeat(x, 2, 0), 2, 1)[::2, ::2],
    "backwards": lambda x: np.ascontiguousarray(x[::-1, ::-1])[::-1, ::-1],
    "misaligned": misaligned,
    "the other order of bytes": lambda x: x.astype(">f4"),
    "a subclass": lambda x: x.view(Subclass),
    "a matrix": np.asmatrix,
    "a memory view": memoryview,
    "lists": lambda x: x.tolist(),
    "repeated without memory": lambda x: np.broadcast_to(x[:1], (3, 4)),
}


@pytest.mark.filterwarnings("ignore:the matrix subclass:PendingDeprecationWarning")
@pytest.mark.parametrize("form", FITTING)
def test_what_holds_the_right_numbers_is_taken(form):
    passed = FITTING[form](X)
    expected = np.asarray(passed, "float32") + Y * 2
    result = adder()(passed, Y)
    assert type(result) is np.ndarray
    assert result.flags.owndata
    np.testing.assert_array_equal(result, expected)


def test_overlapping_inputs_are_read_as_they_are():
    memory = np.arange(20, dtype="float32")
    x, y = memory[:12].reshape(3, 4), memory[4:16].reshape(3, 4)
    expected = x + y * 2
    np.testing.assert_array_equal(adder()(x, y), expected)
    np.testing.assert_array_equal(memory, np.arange(20))
    np.testing.assert_array_equal(adder()(x, x), x * 3)


WRONG = {
    "nothing": (),
    "one": (X,),
    "three": (X, Y, Y),
    "None": (X, None),
    "another shape": (X, Y[:, :3]),
    "transposed": (X.T, Y),
    "a dimension more": (X[None], Y),
    "a number": (X, 1.0),
    "float64": (X, Y.astype("float64")),
    "integers": (X.astype("int32"), Y),
    "truth values": (X > 0, Y),
    "complex": (X.astype("complex64"), Y),
    "objects": (X.astype(object), Y),
    "texts": (X.astype(str), Y),
    "records": (np.zeros((3, 4), "f4,f4"), Y),
    "no array": (X, "text"),
    "a function": (X, len),
    "a class": (np.ndarray, Y),
    "ragged lists": (X, [[1.0], [1.0, 2.0]]),
    "empty": (np.zeros((0, 4), "float32"), Y),
    "huge": (np.broadcast_to(np.float32(1), (1 << 40,)), Y),
}


@pytest.mark.parametrize("form", WRONG)
def test_anything_else_is_refused(form):
    run = adder()
    with pytest.raises(FeedError):
        run(*WRONG[form])
    np.testing.assert_array_equal(run(X, Y), X + 1)


def test_inputs_by_name():
    run = adder()
    np.testing.assert_array_equal(run(y=Y, x=X), X + 1)
    with pytest.raises(FeedError, match="no input 'z'"):
        run(X, z=Y)


@pytest.mark.parametrize("shape", [(), (1,), (0,), (3, 0, 2), (1, 1, 1, 1, 1, 1, 1, 1)])
def test_small_and_empty_arrays(shape):
    x = np.full(shape, 3, "float32")
    result = adder(shape)(x, x)
    assert type(result) is np.ndarray
    np.testing.assert_array_equal(result, np.full(shape, 9, "float32"), strict=True)


def test_an_index_out_of_range_leaves_nothing_wrong():
    with sg.Graph():
        x, i = sg.placeholder("x", (4, 3)), sg.placeholder("i", (2,), "int64")
        run = sg.compile(sg.take(x, i, axis=0) * 2, [x, i], backend="native")
    x = np.arange(12, dtype="float32").reshape(4, 3)
    for wrong in ([0, 4], [-5, 0], [2**62, 0], [-(2**63), 2**63 - 1]):
        with pytest.raises(IndexingError, match="take"):
            run(x, np.array(wrong))
        np.testing.assert_array_equal(run(x, np.array([3, -1])), x[[3, 3]] * 2)


def test_results_that_no_memory_can_hold_leave_nothing():
    with sg.Graph():
        x = sg.placeholder("x", (1,))
        run = sg.compile([x + 1, sg.broadcast_to(x, (1 << 42,)) + 1], [x], backend="native")
    x = np.ones(1, "float32")
    before = sys.getrefcount(x), sys.getrefcount(x.dtype)
    for _ in range(100):
        with pytest.raises(MemoryError):
            run(x)
    gc.collect()  # the frames of the errors hold what was passed, until then
    after = sys.getrefcount(x), sys.getrefcount(x.dtype)
    assert max(b - a for a, b in zip(before, after, strict=True)) < 10


def test_outputs_are_arranged_as_asked_for():
    with sg.Graph():
        x = sg.placeholder("x", (2,))
        for outputs in (x + 1, [x + 1], (x + 1, x), {"a": x + 1, "b": (x, [x * 2])}, [], ()):
            run = sg.compile(outputs, [x], backend="native")
            oracle = sg.compile(outputs, [x], backend="interpret")
            found, wanted = run(np.ones(2, "float32")), oracle(np.ones(2, "float32"))
            assert repr(found) == repr(wanted)


def test_results_are_the_callers_own():
    with sg.Graph():
        x = sg.placeholder("x", (4,))
        run = sg.compile([x, sg.reshape(x, (2, 2)), x + 1, x + 1], [x], backend="native")
    x = np.ones(4, "float32")
    results = run(x)
    for number, result in enumerate(results):
        result[...] = number + 10
    np.testing.assert_array_equal(x, np.ones(4))
    assert [float(r.reshape(-1)[0]) for r in results] == [10, 11, 12, 13]
    np.testing.assert_array_equal(run(x)[2], np.full(4, 2))


# what is left over --------------------------------------------------------------------------------


def updated():
    """Return a program that keeps state, with its variable."""
    with sg.Graph():
        x = sg.placeholder("x", (5,))
        w = sg.variable(np.zeros(5, "float32"), name="w")
        run = sg.compile([sg.sum(w * x), sg.assign(w, w + x)], [x], backend="native")
    return run, w


@pytest.mark.parametrize("kind", ["leaf", "list", "tree", "state", "slow", "wrong"])
def test_many_calls_leave_no_objects_and_no_memory(kind):
    x = np.ones(5, "float32")
    passed = {"slow": x.tolist(), "wrong": np.ones(6, "float32")}.get(kind, x)
    with sg.Graph():
        node = sg.placeholder("x", (5,))
        outputs = {"leaf": node + 1, "list": [node + 1, node * 2], "tree": {"a": (node + 1,)}}
        run = sg.compile(outputs.get(kind, node + 1), [node], backend="native")
    if kind == "state":
        run, _ = updated()

    def call(times):
        for _ in range(times):
            try:
                run(passed)
            except FeedError:
                assert kind == "wrong"

    calls = 2_000 if kind in ("slow", "wrong") else 100_000
    call(100)
    counted = [x, x.dtype, np.dtype("float32"), np.ndarray, run.call]
    before = [sys.getrefcount(each) for each in counted]
    tracemalloc.start()
    call(calls // 10)
    grown = []
    for _ in range(3):  # what leaks grows every time, what others allocate meanwhile does not
        gc.collect()
        start = tracemalloc.get_traced_memory()[0]
        call(calls // 3)
        gc.collect()
        grown.append(tracemalloc.get_traced_memory()[0] - start)
    tracemalloc.stop()
    assert min(grown) < 4000
    after = [sys.getrefcount(each) for each in counted]
    assert max(b - a for a, b in zip(before, after, strict=True)) < 50


MANY = 100


def many_arrays():
    """Return a program of many inputs, variables with updates, and results, and its variables."""
    with sg.Graph():
        xs = [sg.placeholder(f"x{i}", (2,)) for i in range(MANY)]
        i = sg.placeholder("i", (1,), "int64")
        ws = [sg.variable(np.full(2, n, "float32"), name=f"w{n}") for n in range(MANY)]
        taken = [sg.take(w, i) + x for x, w in zip(xs, ws, strict=True)]
        updates = [sg.assign(w, w + x) for x, w in zip(xs, ws, strict=True)]
        run = sg.compile([*taken, *updates], [*xs, i], backend="native")
    return run, [w.variable for w in ws]


@pytest.mark.parametrize("kind", ["right", "shape", "dtype", "index", "variable"])
def test_many_arrays_at_once(kind):
    run, variables = many_arrays()
    assert type(run.call) is type(len)  # machine code from the first check on
    xs = [np.full(2, 10 * n, "float32") for n in range(MANY)]
    index = np.array([1])
    if kind == "shape":
        xs[-1] = np.ones(3, "float32")
    elif kind == "dtype":
        xs[-1] = np.ones(2)
    elif kind == "index":
        index = np.array([2])
    elif kind == "variable":
        variables[-1].value = np.zeros(2, "float32")[::-1]
    counted = [*xs, xs[0].dtype, np.ndarray]
    for times in range(1, 101):
        if times == 2:  # a state is made for what goes the slow way, and is kept
            before = [sys.getrefcount(each) for each in counted]
        if kind in ("shape", "dtype", "index"):
            with pytest.raises((FeedError, IndexingError)):
                run(*xs, index)
            continue
        results = run(*xs, index)
        for n in range(0, MANY - 1, 7):
            held = np.full(2, n + 10.0 * n * times)
            np.testing.assert_array_equal(results[n], held)
            np.testing.assert_array_equal(results[MANY + n], held)
            np.testing.assert_array_equal(variables[n].value, held)
    results = None
    gc.collect()
    after = [sys.getrefcount(each) for each in counted]
    assert max(b - a for a, b in zip(before, after, strict=True)) < 20


def test_an_executable_is_freed_with_all_it_holds():
    run, w = updated()
    run(np.ones(5, "float32"))
    executable, value = weakref.ref(run), weakref.ref(w.variable.value)
    del run, w
    gc.collect()
    assert executable() is None
    assert value() is None


# threads, forks, interrupts -----------------------------------------------------------------------


def test_eight_threads_share_one_executable():
    """Also where the work is split over threads of our own, and the interpreter lock is let go."""
    with sg.Graph():
        x = sg.placeholder("x", (256, 256))
        w = sg.placeholder("w", (256, 256))
        y = sg.softmax(sg.tanh(x @ w), axis=1)
        run = sg.compile([sg.sum(y * x, axis=0), sg.exp(sg.sin(x))], [x, w], backend="native")
    rng = np.random.default_rng(0)
    inputs = [rng.normal(size=(2, 256, 256)).astype("float32") for _ in range(8)]
    expected = [[r.tobytes() for r in run(*pair)] for pair in inputs]
    wrong = []
    barrier = threading.Barrier(8)

    def work(number):
        barrier.wait()
        for _ in range(30):
            if [r.tobytes() for r in run(*inputs[number])] != expected[number]:
                wrong.append(number)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


@pytest.mark.parametrize("count", [1, 2, 3])
def test_the_number_of_threads_changes_no_bit(count):
    program = """
        import hashlib, numpy as np, staticgraph as sg
        with sg.Graph():
            x = sg.placeholder("x", (700, 513))
            run = sg.compile([sg.sum(sg.tanh(x)), sg.max(sg.exp(x), axis=1), sg.sin(x)], [x],
                             backend="native")
        x = np.random.default_rng(0).normal(size=(700, 513)).astype("float32")
        print(hashlib.sha256(b"".join(r.tobytes() for r in run(x))).hexdigest())
    """
    environment = f"import os; os.environ['SIDEBYSIDE_THREADS'] = '{count}'\n"
    found = run_alone(environment + textwrap.dedent(program))
    alone = run_alone(
        "import os; os.environ['SIDEBYSIDE_THREADS'] = '1'\n" + textwrap.dedent(program)
    )
    assert found == alone


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_process_goes_on():
    """Where threads were at work, and where another thread was compiling."""
    found = run_alone("""
        import os, threading, warnings
        import numpy as np, staticgraph as sg
        warnings.simplefilter("ignore")

        def make(k):
            with sg.Graph():
                x = sg.placeholder("x", (512, 512))
                return sg.compile(sg.sum(sg.tanh(x * k) @ x), [x], backend="native")

        x = np.random.default_rng(0).normal(size=(512, 512)).astype("float32")
        run = make(2.0)
        expected = run(x)
        stop = threading.Event()

        def compiling():
            k = 3.0
            while not stop.is_set():
                make(k)
                k += 1

        def running():
            while not stop.is_set():
                run(x)

        threads = [threading.Thread(target=f) for f in (compiling, running)]
        for thread in threads:
            thread.start()
        good = 0
        for number in range(4):
            child = os.fork()
            if not child:
                same = run(x) == expected and make(2.0)(x) == expected
                os._exit(0 if same else 1)
            good += os.waitpid(child, 0)[1] == 0
        stop.set()
        for thread in threads:
            thread.join()
        print(good)
    """)
    assert found == "4\n"


def test_an_interrupt_comes_through_between_runs():
    found = run_alone("""
        import _thread, signal, threading
        import numpy as np, staticgraph as sg
        signal.signal(signal.SIGINT, signal.default_int_handler)
        with sg.Graph():
            x = sg.placeholder("x", (400, 400))
            run = sg.compile(sg.tanh(x @ x), [x], backend="native")
        x = np.ones((400, 400), "float32")
        expected = run(x)
        threading.Timer(0.3, _thread.interrupt_main).start()
        try:
            while True:
                run(x)
        except KeyboardInterrupt:
            print("interrupted", (run(x) == expected).all())
    """)
    assert found == "interrupted True\n"


def test_a_subinterpreter_is_refused_or_right():
    found = run_alone("""
        try:
            import _interpreters as interpreters
        except ImportError:
            import _xxsubinterpreters as interpreters
        inside = '''
        import numpy as np
        try:
            import staticgraph as sg
            with sg.Graph():
                x = sg.placeholder("x", (3,))
                run = sg.compile(x + 1, [x], backend="native")
            assert (run(np.ones(3, "float32")) == 2).all()
        except ImportError:
            pass
        '''
        import textwrap
        made = interpreters.create()
        try:
            interpreters.run_string(made, textwrap.dedent(inside))
        except Exception as error:
            assert "ImportError" in repr(error), error
        print("alive")
    """)
    assert found == "alive\n"


def test_without_the_interface_of_numpy_calls_go_through_ctypes(monkeypatch):
    from oplibrary.machine import interpreter_api

    monkeypatch.setattr(interpreter_api, "addresses", lambda: None)
    run = adder()
    np.testing.assert_array_equal(run(X, Y), X + 1)
    with pytest.raises(FeedError):
        run(X, None)
    program, _ = updated()
    program(np.ones(5, "float32"))
    assert program(np.ones(5, "float32"))[0] == 5
