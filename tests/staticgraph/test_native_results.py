"""Arrays that machine code returns: they begin with a cache line, and are NumPy's in all else."""

import gc
import subprocess
import sys
import tracemalloc

import numpy as np
import pytest

pytest.importorskip("llvmlite")

import dyngraph as dg
import staticgraph as sg
from oplibrary.machine import interpreter_api
from oplibrary.machine.objects import ALIGNED_FROM
from oplibrary.values.memory import ALIGNMENT

needs_own_memory = pytest.mark.skipif(
    not (interpreter_api.addresses() or {}).get("aligned_alloc"),
    reason="memory of arrays is left to NumPy here",
)


def doubled(shape, dtype="float32"):
    with sg.Graph():
        x = sg.placeholder("x", shape, dtype)
        return sg.compile(x + x, [x], backend="native")


@needs_own_memory
@pytest.mark.parametrize("shape", [(2048,), (100_000,), (3, 5, 1001), (4_000_001,)])
@pytest.mark.parametrize("dtype", ["float32", "float64", "complex64"])
def test_results_begin_with_a_cache_line(shape, dtype):
    run, x = doubled(shape, dtype), np.ones(shape, dtype)
    assert x.nbytes >= ALIGNED_FROM
    kept = [run(x) for _ in range(3)]
    for each in kept:
        assert each.ctypes.data % ALIGNMENT == 0
        np.testing.assert_array_equal(each, x + x)


@pytest.mark.parametrize("shape", [(), (0,), (3,), (2048,), (64, 64), (0, 5000)])
def test_results_are_arrays_as_numpy_makes_them(shape):
    x = np.ones(shape, "float32")
    found, like = doubled(shape)(x), x + x
    assert type(found) is np.ndarray
    assert found.flags.num == np.asarray(like).flags.num
    assert (found.base, found.strides) == (None, np.asarray(like).strides)
    found[...] = 3
    if found.ndim == 1:
        found.resize(3 * found.size + 1, refcheck=False)
        assert found[: x.size].tolist() == [3.0] * x.size


@needs_own_memory
def test_memory_of_results_is_reported_and_given_back():
    run, x = doubled((100_000,)), np.ones(100_000, "float32")
    run(x)
    gc.collect()
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        kept = [run(x) for _ in range(5)]
        during = tracemalloc.get_traced_memory()[0]
        assert 5 * x.nbytes <= during - before < 5 * x.nbytes + 10_000
        kept.clear()
        assert tracemalloc.get_traced_memory()[0] - before < 10_000
    finally:
        tracemalloc.stop()


def test_results_of_single_operations_do_so_too():
    dg.set_kernels("machine")
    try:
        x = dg.asarray(np.ones(100_000, "float32"))
        found = (x * x).numpy()
    finally:
        dg.set_kernels("numpy")
    if (interpreter_api.addresses() or {}).get("aligned_alloc"):
        assert found.ctypes.data % ALIGNMENT == 0
    assert found.sum() == 100_000


def test_bound_outputs_begin_with_a_cache_line():
    x = np.ones(1001, "float32")
    for backend in ("native", "numpy"):
        with sg.Graph():
            given = sg.placeholder("x", x.shape)
            run = sg.compile(given * 2, [given], backend=backend)
        assert run.bind(x)().ctypes.data % ALIGNMENT == 0


def test_where_memory_is_left_to_numpy():
    """Somebody's own handler, or another layout of arrays: results are right, and NumPy's."""
    program = """
import numpy as np
from oplibrary.machine import interpreter_api
interpreter_api._own_memory = lambda table: dict.fromkeys(interpreter_api.OWN_MEMORY, 0)
import staticgraph as sg
with sg.Graph():
    x = sg.placeholder("x", (5000,))
    run = sg.compile(x + x, [x], backend="native")
for _ in range(100):
    found = run(np.ones(5000, "float32"))
assert found.flags.owndata and found.sum() == 10000
print("right")
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=120
    )
    assert done.stdout == "right\n", done.stderr
