"""Assignments at positions known only in the run, by the native backend: NumPy's bits, in place."""

import itertools

import numpy as np
import pytest

pytest.importorskip("llvmlite")

import staticgraph as sg
from oplibrary.messages.errors import IndexingError
from staticgraph.backends.native.planning.control import controls_of, in_place

DTYPES = ["bool", "int8", "uint16", "int32", "int64", "float16", "float32", "float64"]
KEYS = {
    "rows": lambda i, j: i,
    "columns": lambda i, j: (slice(None), i),
    "last": lambda i, j: (..., j),
    "pairs": lambda i, j: (i, i),
    "grid": lambda i, j: (j[:, None], i),
    "apart": lambda i, j: (i, slice(None), i),
    "one": lambda i, j: i[1],
    "none": lambda i, j: (None, j),
}
INDICES = [np.array([0, 2, -1, 2]), np.array([1, 0])]


def assigned(key, dtype, value_shape=None):
    """Return a program of an assignment by both backends, and its arrays."""
    rng = np.random.default_rng(0)
    x = (rng.normal(size=(3, 4, 3)) * 9).astype(dtype)
    shape = x[KEYS[key](*INDICES)].shape if value_shape is None else value_shape
    value = (rng.normal(size=shape) * 9).astype(dtype)
    arrays = [x, value, *INDICES]
    runs = []
    for backend in ("numpy", "native"):
        with sg.Graph():
            nodes = [sg.placeholder(n, a.shape, a.dtype) for n, a in zip("xvij", arrays)]
            result = sg.set_item(nodes[0], KEYS[key](*nodes[2:]), nodes[1])
            runs.append(sg.compile(result, nodes, backend=backend))
    return runs, arrays


@pytest.mark.parametrize("key", KEYS)
def test_an_assignment_at_indices_is_machine_code_and_has_numpys_bits(key):
    for dtype, shape in itertools.product(DTYPES, (None, ())):
        (numpy, native), arrays = assigned(key, dtype, shape)
        assert "left to NumPy" not in native.report()
        given = [array.copy() for array in arrays]
        np.testing.assert_array_equal(native(*given), numpy(*arrays))
        for before, after in zip(arrays, given, strict=True):
            np.testing.assert_array_equal(before, after)


def test_of_values_for_one_place_the_last_stays_whatever_the_layout():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(4, 5)).astype("float32")
    places, value = rng.integers(-4, 4, (3, 6)), rng.normal(size=(5, 3, 6)).astype("float32")
    with sg.Graph():
        a, i = sg.placeholder("x", x.shape), sg.placeholder("i", places.shape, "int64")
        v = sg.placeholder("v", value.shape)
        turned = sg.set_item(sg.permute_dims(a, axes=(1, 0)), (slice(None), i), v)
        run = sg.compile(turned, [a, i, v], backend="native")
    wanted = x.T.copy()
    wanted[:, places] = value
    for layout in (x, np.asfortranarray(x), np.repeat(x, 2, axis=1)[:, ::2]):
        np.testing.assert_array_equal(run(layout, places, value), wanted)


@pytest.mark.parametrize("position", [4, -5])
def test_a_position_out_of_range_is_an_error(position):
    with sg.Graph():
        x, i = sg.placeholder("x", (4,)), sg.placeholder("i", (), "int64")
        run = sg.compile(sg.set_item(x, i, 1.0), [x, i], backend="native")
    with pytest.raises(IndexingError):
        run(np.zeros(4, "float32"), np.array(position))


# loops --------------------------------------------------------------------------------------------


def swept(x):
    """Gauss-Seidel: each step reads what the one before has written."""

    def step(i, x):
        return sg.set_item(x, i, (x[i - 1] + x[i] * 2 + x[i + 1]) / 4)

    return sg.fori_loop(1, 7, step, x)


def counted(x):
    def step(state):
        i, x = state
        return i + 1, sg.set_item(x, (i, sg.cast(x[i, 0], "int64") % 4), -1.0)

    return sg.while_loop(lambda state: state[0] < 8, step, (np.int64(0), x))[1]


def kept(x):
    """Each step gives the state before it, too, so that a copy of it is needed."""
    return sg.scan(lambda x, i: (sg.set_item(x, i, x[i] + 1), x * 1), x, np.arange(8))


@pytest.mark.parametrize("program", [swept, counted, kept])
@pytest.mark.parametrize("gradient", [False, True])
def test_a_loop_of_assignments_is_machine_code(program, gradient):
    if gradient and program is counted:
        pytest.skip("a loop whose number of steps nobody knows has no gradient")
    x = np.random.default_rng(0).normal(size=(8, 4)).astype("float32")
    found = []
    for backend in ("numpy", "native"):
        with sg.Graph():
            node = sg.placeholder("x", x.shape)
            results = program(node)
            results = list(results) if isinstance(results, tuple) else [results]
            if gradient:
                results += sg.gradients(sum([sg.sum(r * r) for r in results]), [node])
            run = sg.compile(results, [node], backend=backend)
        found.append([run(x) for _ in range(2)])
    assert "left to NumPy" not in run.report()
    for numpy, native in zip(*map(itertools.chain.from_iterable, found), strict=True):
        np.testing.assert_allclose(native, numpy, rtol=1e-5, atol=1e-5)


def test_a_step_changes_what_nobody_reads_afterwards_where_it_is():
    def plans(program):
        with sg.Graph():
            node = sg.placeholder("x", (8, 4))
            run = sg.compile(program(node), [node], backend="native")
        (controlled,) = controls_of(run.plan)
        return len(in_place(controlled))

    assert plans(swept) == plans(counted) == 1
    assert plans(lambda x: kept(x)[0]) == 1


def test_what_is_read_afterwards_is_copied():
    with sg.Graph():
        x, i = sg.placeholder("x", (1000,)), sg.placeholder("i", (), "int64")
        y = sg.exp(x)
        z = sg.set_item(y, i, 0.0)
        run = sg.compile([sg.sum(z), sg.sum(y), z[i] - y[i]], [x, i], backend="native")
    total, before, change = run(np.zeros(1000, "float32"), np.array(-1))
    assert (total, before, change) == (999, 1000, -1)
