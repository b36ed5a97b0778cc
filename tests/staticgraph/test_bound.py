"""Bound programs: inputs read in place, outputs overwritten, and what cannot be bound."""

import copy
import gc
import os
import pickle
import signal
import threading
import time
import weakref

import numpy as np
import pytest

import staticgraph as sg
from oplibrary.machine import interpreter_api
from oplibrary.messages.errors import BindingError, FeedError, IndexingError, PicklingError
from staticgraph.backends.registry import default_backend
from staticgraph.backends.turns import in_turns

BACKENDS = ["numpy", "interpret", *(["native"] if default_backend() == "native" else [])]
native = pytest.mark.skipif("native" not in BACKENDS, reason="no machine code here")

DTYPES = [
    *("bool", "int8", "int32", "int64", "uint16", "float16", "bfloat16", "float32", "float64"),
    *("complex64", "complex128"),
]
SHAPES = [(), (5,), (2, 3), (2, 1, 3), (0,), (2, 0, 3)]


def compiled(function, *types, backend="native", **options):
    """Compile a function of placeholders; a type is a shape, or a shape and a dtype."""
    with sg.Graph():
        inputs = []
        for position, each in enumerate(types):
            shape, dtype = each if each and isinstance(each[-1], str) else (each, "float32")
            inputs.append(sg.placeholder(f"x{position}", shape, dtype))
        outputs = function(*inputs)
        backend = backend if backend in BACKENDS else "numpy"
        return sg.compile(outputs, inputs, backend=backend, **options)


def numbers(shape, dtype, seed=0):
    rng = np.random.default_rng(seed)
    return np.asarray(rng.standard_normal(shape) * 3).astype(sg.TensorType((), dtype).dtype)


def leaves(tree):
    if isinstance(tree, dict):
        tree = list(tree.values())
    if isinstance(tree, list | tuple):
        return [leaf for each in tree for leaf in leaves(each)]
    return [] if tree is None else [tree]


def check(run, arrays):
    """A bound program gives the bits of a call, now and after its inputs were written to."""
    bound = run.bind(*arrays)
    first = None
    for turn in range(3):
        expected = run(*arrays)
        found = bound()
        assert type(found) is type(expected)
        for array, other in zip(leaves(found), leaves(expected), strict=True):
            assert (array.dtype, array.shape) == (other.dtype, other.shape)
            assert array.tobytes() == other.tobytes()
        first = found if first is None else first
        assert found is first is bound.outputs
        for number, array in enumerate(arrays):
            array[...] = numbers(array.shape, array.dtype, 10 * turn + number)
    return bound


# results ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("backend", BACKENDS[::2])
@pytest.mark.parametrize("dtype", DTYPES)
def test_each_dtype_and_rank(dtype, backend):
    def program(*xs):
        return [sg.where(x == x, x + x, x) for x in xs]

    arrays = [numbers(shape, dtype) for shape in SHAPES]
    check(compiled(program, *[(shape, dtype) for shape in SHAPES], backend=backend), arrays)


@pytest.mark.parametrize("backend", BACKENDS)
def test_outputs_that_are_inputs_constants_views_and_twice_the_same(backend):
    def program(x, y):
        z = sg.tanh(x @ y)
        fixed = sg.constant(np.arange(3, dtype="float32"))
        return {
            "z": z,
            "both": (z, [x, x]),
            "fixed": fixed,
            "none": None,
            "row": x[1],
            "sum": z.sum(),
        }

    bound = check(
        compiled(program, (2, 3), (3, 2), backend=backend),
        [numbers((2, 3), "float32"), numbers((3, 2), "float32")],
    )
    found = bound()
    assert len({id(x) for x in leaves(found)}) == len(leaves(found))
    found["z"][...] = 0
    assert bound()["z"].any() and found["both"][0].any()


@pytest.mark.parametrize("backend", BACKENDS)
def test_structures_of_outputs(backend):
    for form in (lambda y: y, lambda y: [y], lambda y: (y, y), lambda y: [], lambda y: {"y": (y,)}):
        try:
            run = compiled(lambda x, form=form: form(x * 2), (3,), backend=backend)
        except sg.errors.GraphError:  # nothing to compute
            continue
        check(run, [numbers((3,), "float32")])


def loops(x, w):
    carried, stacked = sg.scan(lambda h, _: (sg.tanh(h * w), h), x, length=4)
    ended = sg.while_loop(lambda v: sg.sum(v) < 100.0, lambda v: v + 1.0, sg.abs(x))
    chosen = sg.cond(sg.sum(x) > 0, lambda: x * w, lambda: x - w)
    return [carried, stacked, ended, chosen, *sg.gradients(sg.sum(carried), [x, w])]


@pytest.mark.parametrize("backend", BACKENDS)
def test_loops_and_branches(backend):
    check(
        compiled(loops, (3,), (3,), backend=backend), [numbers((3,), "float32", i) for i in (1, 2)]
    )


@pytest.mark.parametrize("backend", BACKENDS)
def test_long_work_and_what_is_left_to_numpy(backend):
    run = compiled(lambda x: [sg.linalg.inv(x @ x.mT + 9.0), sg.sum(x)], (4, 4), backend=backend)
    check(run, [numbers((4, 4), "float32")])
    run = compiled(lambda x: sg.sum(sg.tanh(sg.sin(x) * 3) + x), (300_000,), backend=backend)
    check(run, [numbers((300_000,), "float32")])


@native
def test_where_the_interpreter_is_not_as_expected(monkeypatch):
    monkeypatch.setattr(interpreter_api, "addresses", lambda: None)
    check(compiled(lambda x: [x * 2, x], (3,)), [numbers((3,), "float32")])


@native
def test_checked_runs_poison_the_outputs(monkeypatch):
    monkeypatch.setenv("SIDEBYSIDE_CHECKED", "1")
    check(compiled(lambda x: [x * 2, sg.sum(x)], (3,)), [numbers((3,), "float32")])


@pytest.mark.parametrize("backend", BACKENDS)
def test_variables_and_effects(backend, capsys):
    with sg.Graph():
        x = sg.placeholder("x", (2,))
        total = sg.variable(np.zeros(2, "float32"), name="total")
        added = sg.assign(total, total + x)
        run = sg.compile([added, sg.print_(x, "x is")], [x], backend=backend)
    x = np.ones(2, "float32")
    bound = run.bind(x)
    assert bound()[0].tolist() == [1, 1]
    x[1] = 5
    assert bound()[0].tolist() == [2, 6]
    assert run(x)[0].tolist() == [3, 11]
    assert bound()[0].tolist() == [4, 16]
    assert capsys.readouterr().out.count("x is") == 4


@pytest.mark.parametrize("backend", BACKENDS)
def test_symbolic_lengths_are_those_of_the_arrays(backend):
    n = sg.dim("n")
    with sg.Graph():
        x, y = sg.placeholder("x", (n, 2)), sg.placeholder("y", (n,))
        run = sg.compile([sg.sum(x, axis=1) * y, sg.concat((y, y))], [x, y], backend=backend)
    for length in (3, 5):
        check(run, [numbers((length, 2), "float32"), numbers((length,), "float32")])
    with pytest.raises(FeedError, match="n is 3"):
        run.bind(np.ones((3, 2), "float32"), np.ones(4, "float32"))


def test_a_debugged_program():
    run = compiled(lambda x: sg.tanh(x), (3,), backend="numpy", debug=True)
    check(run, [numbers((3,), "float32")])


# what is bound ------------------------------------------------------------------------------------


def add(backend="native", shape=(4,)):
    with sg.Graph():
        x, y = sg.placeholder("x", shape), sg.placeholder("y", shape)
        return sg.compile(
            [x + y, x - y], [x, y], backend=backend if backend in BACKENDS else "numpy"
        )


def ones(*shape, dtype="float32"):
    return np.ones(shape, dtype)


@pytest.mark.parametrize("backend", BACKENDS)
def test_the_users_outputs(backend):
    run = add(backend)
    out = [np.empty(4, "float32"), np.empty(4, "float32")]
    x = ones(4)
    bound = run.bind(x, y=x, out=tuple(out))
    assert type(bound()) is list
    assert all(a is b for a, b in zip(bound(), out, strict=True))
    assert out[0].tolist() == [2] * 4 and out[1].tolist() == [0] * 4
    assert bound.inputs["x"] is x and "x: float32[4]" in repr(bound)
    memory = np.zeros(9, "float32")  # parts of one array that touch
    run.bind(x=memory[:4], y=x, out=[memory[4:8], np.empty(4, "float32")])()
    assert memory.tolist() == [0] * 4 + [1] * 4 + [0]


def test_read_only_inputs_files_and_numbers(tmp_path):
    mapped = np.memmap(tmp_path / "x", "float32", "w+", shape=4)
    fixed = ones(4)
    fixed.flags.writeable = False
    written = np.memmap(tmp_path / "y", "float32", "w+", shape=4)
    bound = add().bind(mapped, fixed, out=[written, np.empty(4, "float32")])
    mapped[2] = 7
    assert bound()[0] is written
    assert written.tolist() == [1, 1, 8, 1]
    run = compiled(lambda x, n: x * n, (3,), ())
    assert run.bind(ones(3), 2.5)().tolist() == [2.5] * 3


def test_arrays_live_as_long_as_what_is_bound():
    x, y = ones(4), ones(4)
    bound = add().bind(x, y)
    references = [weakref.ref(each) for each in (x, y, bound()[0])]
    del x, y
    gc.collect()
    assert all(each() is not None for each in references)
    assert bound()[0].tolist() == [2] * 4
    del bound
    gc.collect()
    assert not any(each() is not None for each in references)


def misaligned():
    return np.frombuffer(bytearray(17), "float32", 4, offset=1)


REFUSED = {
    "is a list": [1.0] * 4,
    "is a memoryview": memoryview(ones(4)),
    "its strides are (8,)": ones(8)[::2],
    "its strides are (-4,)": ones(4)[::-1],
    "its strides are (0,)": np.broadcast_to(np.float32(1), (4,)),
    "not aligned": misaligned(),
    "the other order": ones(4).astype(">f4"),
    "has a mask": np.ma.masked_array(ones(4), [False] * 4),
}


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("why", REFUSED)
def test_inputs_that_cannot_be_read_in_place(why, backend):
    with pytest.raises(BindingError) as caught:
        add(backend).bind(x=REFUSED[why], y=ones(4))
    assert why in str(caught.value) and "input 'x'" in str(caught.value)
    fixed = eval(caught.value.fix.removeprefix("x = "), {"np": np, "x": REFUSED[why]})
    assert (
        add(backend).bind(fixed, ones(4))()[0].tolist() == (np.asarray(REFUSED[why]) + 1).tolist()
    )


def test_inputs_of_other_types_are_refused_as_in_a_call():
    for arrays, named in [
        ((ones(4),), {}),
        ((ones(4), ones(3)), {}),
        ((ones(4), ones(4, dtype="float64")), {}),
        ((ones(4), ones(4), ones(4)), {}),
        ((ones(4),), {"z": ones(4)}),
        ((ones(4),), {"x": ones(4), "y": ones(4)}),
    ]:
        with pytest.raises(FeedError):
            add().bind(*arrays, **named)


def read_only():
    made = ones(4)
    made.flags.writeable = False
    return made


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(
    ("why", "array"),
    [
        ("is read-only", read_only()),
        ("float64[4]", ones(4, dtype="float64")),
        ("float32[3]", ones(3)),
        ("is a float32", np.float32(1)),
        ("strides are (8,)", ones(8)[::2]),
        ("not aligned", misaligned()),
        ("has a mask", np.ma.masked_array(ones(4))),
    ],
)
def test_outputs_that_cannot_be_written(why, array, backend):
    with pytest.raises(BindingError) as caught:
        add(backend).bind(ones(4), ones(4), out=[np.empty(4, "float32"), array])
    assert why in str(caught.value) and "out[1]" in str(caught.value)


@pytest.mark.parametrize("backend", BACKENDS)
def test_arrays_that_overlap(backend):
    memory, other = ones(12), ones(4)
    run = add(backend)
    for x, out, names in [
        (memory[:4], [memory[:4], other], "'x'|out\\[0\\]"),
        (memory[2:6], [other, memory[5:9]], "out\\[1\\] and x"),
        (memory[:4], [other, other], "out\\[1\\] and out\\[0\\]"),
        (memory[4:8], [memory[1:5], other], "x and out\\[0\\]"),
    ]:
        with pytest.raises(BindingError, match=names.replace("'x'|", "")) as caught:
            run.bind(x, ones(4), out=out)
        assert "overlap in memory" in str(caught.value)
    run.bind(memory[:4], memory[2:6])()  # inputs may
    with pytest.raises(sg.errors.ArgumentError):
        run.bind(ones(4), ones(4), out=[other])


# errors and threads -------------------------------------------------------------------------------


@pytest.mark.parametrize("backend", BACKENDS)
def test_errors_of_a_run_are_raised_and_leave_it_whole(backend):
    run = compiled(lambda x, i: sg.take(x, i), (3,), ((), "int64"), backend=backend)
    x, i = numbers((3,), "float32"), np.array(1)
    bound = run.bind(x, i)
    assert bound() == x[1]
    i[...] = 7
    for _ in range(2):
        with pytest.raises(IndexingError, match="7"):
            bound()
    i[...] = 2
    assert bound() == x[2]


def endless(x):
    return sg.while_loop(lambda v: v >= 0.0, lambda v: v + 0.0, x)


@pytest.mark.skipif(os.name == "nt", reason="signals are another matter there")
@pytest.mark.parametrize("backend", BACKENDS)
def test_a_loop_is_interrupted_and_refuses_to_run_inside_itself(backend):
    x = np.array(1.0, "float32")
    bound = compiled(endless, (), backend=backend).bind(x)
    seen = []

    def handler(*_):
        try:
            bound()
        except BindingError as error:
            seen.append(str(error))
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, handler)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.03)
        with pytest.raises(KeyboardInterrupt):
            bound()
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert len(seen) == 1 and "from inside of that run" in seen[0]
    x[...] = -2
    assert bound() == -2


@pytest.mark.parametrize("size", [3, 100_000])
@pytest.mark.parametrize("backend", BACKENDS)
def test_threads_take_turns(backend, size):
    x = numbers((size,), "float32")
    bound = compiled(lambda x: sg.tanh(x) * 2 + sg.sin(x), (size,), backend=backend).bind(x)
    expected = bound().copy()
    wrong = []

    def work():
        for _ in range(10):
            if not np.array_equal(bound(), expected):
                wrong.append(1)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert not wrong


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore:os.fork:RuntimeWarning")
def test_a_forked_process_does_not_wait_for_a_thread_that_it_has_not():
    inside, leave = threading.Event(), threading.Event()
    here = os.getpid()
    call = in_turns(lambda: os.getpid() == here and (inside.set(), leave.wait(20)))
    thread = threading.Thread(target=call)
    thread.start()
    inside.wait(20)
    child = os.fork()
    if child == 0:
        call()
        os._exit(7)
    for _ in range(200):
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            break
        time.sleep(0.05)
    else:
        os.kill(child, signal.SIGKILL)
    leave.set()
    thread.join()
    assert os.waitstatus_to_exitcode(status) == 7


def test_pickles_and_copies_are_refused():
    bound = add().bind(ones(4), ones(4))
    for leave in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(PicklingError, match="bind it"):
            leave(bound)
    with pytest.raises(TypeError, match="no arguments"):
        add().bind(ones(4), ones(4))(1)


# functions ----------------------------------------------------------------------------------------

scale = 2.0


def model(params, x, factor=1.0, *, kind="plain"):
    y = sg.tanh(x @ params["w"]) * factor
    return {"y": y, "loss": sg.sum(y) if kind == "sum" else sg.mean(y)}


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_function_is_bound_for_one_signature(backend):
    function = sg.function(model, backend=backend)
    params, x = {"w": numbers((3, 2), "float32")}, numbers((4, 3), "float32")
    out = {"y": np.empty((4, 2), "float32"), "loss": np.empty((), "float32")}
    bound = function.bind(params, x, factor=3, kind="sum", out=out)
    for _ in range(2):
        expected = function(params, x, factor=3, kind="sum")
        assert bound()["y"].tobytes() == expected["y"].tobytes()
        assert bound()["loss"] == expected["loss"] and bound()["y"] is out["y"]
        params["w"][...] = 0.5
    assert len(function.explain().traces) == 1
    with pytest.raises(BindingError, match=r"params\['w'\]"):
        function.bind({"w": ones(2, 3).T}, x)
    symbolic = sg.function(
        lambda x: sg.sum(x, axis=0), backend=backend, specs={"x": sg.TensorType((sg.dim("n"), 3))}
    )
    assert symbolic.bind(ones(5, 3))().tolist() == [5, 5, 5]
    assert symbolic.bind(ones(2, 3))().tolist() == [2, 2, 2]


def test_a_bound_function_watches_what_it_reads(monkeypatch):
    function = sg.function(lambda x: x * scale)
    bound = function.bind(ones(2))
    assert bound().tolist() == [2, 2]
    monkeypatch.setitem(globals(), "scale", 3.0)
    with pytest.raises(BindingError, match=r"scale: 2.0 -> 3.0"):
        bound()
    assert function.bind(ones(2))().tolist() == [3, 3]
    with pytest.raises(BindingError, match="a value of a graph"):
        sg.function(lambda x: function.bind(x))(ones(2))
    static = sg.function(lambda x, n: x * n, static_argnums=1)
    assert static.bind(ones(2), 4)().tolist() == [4, 4]
