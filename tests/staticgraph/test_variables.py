"""State from outside: only what a variable can hold is taken, and no run reads anything else."""

import gc

import numpy as np
import pytest

import staticgraph as sg
from oplibrary.messages.errors import ArgumentError, DTypeError, ShapeError, SideBySideError
from staticgraph.backends.registry import load_backend

BACKENDS = ["interpret", "numpy", "native"]


@pytest.fixture(params=BACKENDS)
def backend(request):
    """Every backend that runs here."""
    try:
        load_backend(request.param)
    except SideBySideError:
        pytest.skip(f"{request.param} is not installed")
    return request.param


def counter(backend, value=(1.0, 2.0, 3.0), dtype="float64"):
    with sg.Graph():
        v = sg.variable(np.array(value, dtype), name="v")
        out = v * 2
        return sg.compile([out, v.assign(v + 1)], backend=backend)


WRONG = [
    (np.ones(3, "float32"), DTypeError),
    (np.ones(3, ">f8"), DTypeError),
    (np.ones(3, "int64"), DTypeError),
    (np.ones(4), ShapeError),
    (np.ones((3, 1)), ShapeError),
    (np.ones(0), ShapeError),
    (np.float64(1.0), ShapeError),
    (1.0, ShapeError),
    ([1.0, 2.0], ShapeError),
    ([[1.0], [2.0, 3.0]], DTypeError),
    ([1j, 2j, 3j], DTypeError),
    (np.array([None, None, None]), DTypeError),
    (None, DTypeError),
    ("abc", DTypeError),
    (object(), DTypeError),
    (np.ma.masked_array([1.0, 2.0, 3.0], [0, 1, 0]), DTypeError),
]


@pytest.mark.parametrize(("value", "error"), WRONG)
def test_what_a_variable_cannot_hold_is_refused_when_it_is_assigned(backend, value, error):
    run = counter(backend)
    variable = run.variables["v"]
    for _ in range(2):
        with pytest.raises(error):
            variable.value = value
        assert variable.value.tolist() == [1, 2, 3]
    out, _ = run()
    assert out.tolist() == [2, 4, 6] and variable.value.tolist() == [2, 3, 4]


def test_numbers_take_the_dtype_of_the_variable_where_nothing_is_lost(backend):
    run = counter(backend, dtype="int8")
    variable = run.variables["v"]
    variable.value = [4, 5, 6]
    assert variable.value.dtype == np.int8 and run()[0].tolist() == [8, 10, 12]
    for lost in ([1.5, 2.0, 3.0], [300, 0, 0], [True, 2.5, 0]):
        with pytest.raises(DTypeError):
            variable.value = lost
    variable.value = (True, False, True)
    assert run()[0].tolist() == [2, 0, 2]


def test_what_was_assigned_is_a_copy(backend):
    run = counter(backend)
    given = np.array([[5.0, 6.0, 7.0]] * 2).T[:, 0]
    run.variables["v"].value = given
    given[:] = 0
    assert run()[0].tolist() == [10, 12, 14]


def test_the_value_of_a_variable_cannot_be_deleted(backend):
    run = counter(backend)
    with pytest.raises(ArgumentError, match="deleted"):
        del run.variables["v"].value
    assert run()[0].tolist() == [2, 4, 6]


def spoilt_in_place(variable):
    variable.stored = np.arange(6.0)
    variable.stored.shape = (2, 3)


SPOILT = [
    lambda variable: setattr(variable, "stored", np.ones(4, "float32")),
    lambda variable: setattr(variable, "stored", np.ones(3, "float32")),
    lambda variable: setattr(variable, "stored", np.ones(2)),
    lambda variable: setattr(variable, "stored", None),
    lambda variable: setattr(variable, "stored", 1.0),
    lambda variable: delattr(variable, "stored"),
    spoilt_in_place,
]


@pytest.mark.parametrize("spoil", SPOILT)
def test_machine_code_reads_nothing_but_what_was_declared(spoil):
    pytest.importorskip("llvmlite")
    for fill in (3, 100_000):  # the second releases the lock, and runs in threads
        with sg.Graph():
            v = sg.variable(np.ones(fill), name="v")
            x = sg.placeholder("x", (fill,), "float64")
            run = sg.compile([v * x, v.assign(sg.tanh(v) + x)], backend="native")
        ones = np.ones(fill)
        run(ones)
        spoil(run.variables["v"])
        for call in (run, run.call):
            with pytest.raises(SideBySideError):
                call(ones)
        run.variables["v"].value = ones
        assert run(ones)[0].tolist() == [1.0] * fill


def test_a_value_in_another_order_of_memory_is_read_right():
    pytest.importorskip("llvmlite")
    with sg.Graph():
        v = sg.variable(np.zeros((2, 3)), name="v")
        run = sg.compile(v * 1, backend="native")
    unaligned = np.zeros(49, np.uint8)[1:].view(np.float64).reshape(2, 3)
    unaligned[:] = [[0, 2, 4], [1, 3, 5]]
    for odd in (np.arange(6.0).reshape(3, 2).T, unaligned):
        run.variables["v"].stored = odd
        assert run().tolist() == [[0, 2, 4], [1, 3, 5]]


def test_what_the_function_of_machine_code_reads_cannot_be_assigned():
    pytest.importorskip("llvmlite")
    with sg.Graph():
        x = sg.placeholder("x", (3,), "float64")
        run = sg.compile(x * 2, [x], backend="native")
    held = run.call.__self__
    assert type(held) is tuple
    for name in (*(each for each in dir(held) if not each.startswith("__")), "addresses", "owned"):
        with pytest.raises(AttributeError):
            setattr(held, name, b"")
    with pytest.raises(TypeError):
        held[0] = b""
    call = run.call
    for name in ("__self__", "__text_signature__", "__name__"):
        with pytest.raises(AttributeError):
            setattr(call, name, None)
    call.__module__ = 3
    del run, held
    gc.collect()
    assert call(np.ones(3)).tolist() == [2, 2, 2] and "run" in repr(call)
