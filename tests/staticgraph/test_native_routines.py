"""Routines by the native backend: loops of their own, with NumPy's bits."""

import numpy as np
import pytest

pytest.importorskip("llvmlite")

import staticgraph as sg
from oplibrary.core.op import Kind, Op
from oplibrary.machine.foreign import functions
from oplibrary.machine.memory_access import load_lanes, store_lanes
from oplibrary.machine.routines.routine import Routine, in_lanes
from oplibrary.ops.scan import linear_recurrence
from oplibrary.values.dtypes import REAL_FLOATING, to_dtype
from oplibrary.values.types import TensorType

DTYPES = ["bool", "int8", "uint16", "int64", "uint64", "float16", "bfloat16", "float32", "float64"]
SCANS = {
    "sum": sg.cumulative_sum,
    "prod": sg.cumulative_prod,
    "max": sg.cumulative_max,
    "min": sg.cumulative_min,
}


def drawn(shape, dtype):
    """Return numbers of a dtype, those that are special among them."""
    rng = np.random.default_rng(0)
    array = (rng.normal(size=shape) * 3).astype(to_dtype(dtype))
    if array.dtype.kind in REAL_FLOATING and array.size:
        special = np.array([0.0, -0.0, 0.0, np.inf, np.nan, -0.0]).astype(array.dtype)
        where = rng.random(shape) < 0.2
        array[where] = special[rng.integers(0, 6, np.count_nonzero(where))]
    return array


def by_both(function, *arrays, left=False):
    """Return what a program gives by both backends; whether it is machine code is checked."""
    found = []
    for backend in ("numpy", "native"):
        with sg.Graph():
            nodes = [sg.placeholder(f"x{i}", a.shape, a.dtype) for i, a in enumerate(arrays)]
            run = sg.compile(function(*nodes), nodes, backend=backend)
        with np.errstate(all="ignore"):
            found.append(run(*arrays))
    assert ("left to NumPy" in run.report()) is left
    return found


def same_bits(function, *arrays, left=False):
    numpy, native = by_both(function, *arrays, left=left)
    assert numpy.dtype == native.dtype
    if numpy.dtype.kind == "V":  # which NumPy compares nowhere beside NaN
        numpy, native = numpy.astype(float), native.astype(float)
    np.testing.assert_array_equal(native, numpy)
    if numpy.dtype.kind == "f":
        numbers = ~np.isnan(numpy)
        np.testing.assert_array_equal(np.signbit(native)[numbers], np.signbit(numpy)[numbers])


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("scan", SCANS)
def test_a_scan_has_numpys_bits(scan, dtype):
    for shape, axis in (((3, 5, 19), 0), ((3, 5, 19), 1), ((3, 7), -1), ((2, 1), 1), ((1, 2), 1)):
        x = drawn(shape, dtype)
        same_bits(lambda x, a=axis: SCANS[scan](x, axis=a), x)
    same_bits(lambda x: SCANS[scan](x[::2, 1:].T, axis=0), drawn((5, 6), dtype))
    if scan in ("sum", "prod"):
        x = drawn((3, 4, 2), dtype)
        same_bits(lambda x: SCANS[scan](x, axis=1, include_initial=True), x)


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_a_linear_recurrence_goes_from_position_to_position(dtype):
    a, b = drawn((5, 300), "int8").astype(dtype), drawn((5, 300), dtype)
    same_bits(lambda a, b: linear_recurrence(a, b, axis=0), a, b)
    a, b = np.random.default_rng(0).normal(size=(2, 4, 9)).astype(dtype)
    numpy, native = by_both(lambda a, b: linear_recurrence(a, b, axis=1), a, b)
    np.testing.assert_allclose(native, numpy, rtol=0, atol=40 * np.finfo(dtype).eps)


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_logarithms_of_running_sums_go_along_several_lines(dtype):
    x = drawn((5, 33, 7), dtype)
    x[0, :2], x[1, 3] = -np.inf, np.inf
    for axis in (0, 1, -1):
        numpy, native = by_both(lambda x, a=axis: sg.cumulative_logsumexp(x, axis=a), x)
        np.testing.assert_allclose(native, numpy, rtol=4 * np.finfo(dtype).eps, atol=2e-3)
    x = drawn((50, 1), dtype)
    by_both(lambda x: sg.cumulative_logsumexp(x, axis=0), x, left=True)


@pytest.mark.parametrize("side", ["left", "right"])
def test_a_search_finds_numpys_places(side):
    for dtype in DTYPES:
        ordered, values = np.sort(drawn((30,), dtype)), drawn((4, 6), dtype)
        for n in (30, 2, 1):
            same_bits(lambda o, v: sg.searchsorted(o, v, side=side), ordered[:n], values)
    same_bits(lambda o, v: sg.searchsorted(o, v, side=side), ordered, np.arange(-3, 3))


@pytest.mark.parametrize("dtype", DTYPES)
def test_sorting_is_stable_and_puts_nan_last(dtype):
    for shape, axis in (((4, 7, 3), 1), ((4, 33), -1), ((17, 2), 0), ((5, 1), 1), ((2,), 0)):
        x = drawn(shape, dtype)
        for down in (False, True):
            numpy, native = by_both(
                lambda x, a=axis, d=down: [
                    sg.sort(x, axis=a, descending=d),
                    sg.argsort(x, axis=a, descending=d),
                ],
                x,
            )
            for wanted, found in zip(numpy, native, strict=True):
                assert wanted.dtype == found.dtype
                np.testing.assert_array_equal(*(each.astype(float) for each in (found, wanted)))
    same_bits(lambda x: sg.argsort(x[::-1].T, axis=0), drawn((5, 6), dtype))


def test_sorting_has_gradients_and_runs_in_loops():
    def step(c, x):
        c = sg.sort(c * 0.5 + x)
        return c, sg.argsort(c * x)

    x = np.random.default_rng(0).normal(size=(6, 9))
    numpy, native = by_both(
        lambda xs: [*sg.scan(step, xs[0], xs), *sg.gradients(sg.sum(sg.sort(xs) ** 3), [xs])], x
    )
    for wanted, found in zip(numpy, native, strict=True):
        np.testing.assert_allclose(found, wanted, rtol=1e-12)


@pytest.mark.parametrize("keep", [True, False])
@pytest.mark.parametrize("fold", ["max", "min", "prod"])
def test_elements_are_folded_into_places_in_their_order(fold, keep):
    scatter = getattr(sg, f"scatter_{fold}")
    rng = np.random.default_rng(1)
    for dtype in DTYPES:
        for shape, count, axis in (((5,), 23, 0), ((5, 3), 9, 0), ((2, 3, 4), 9, 1)):
            more = (*shape[:axis], count, *shape[axis + 1 :])
            places = rng.integers(-shape[axis], shape[axis], more)
            same_bits(
                lambda x, at, new, a=axis: scatter(x, at, new, a, include_self=keep),
                drawn(shape, dtype),
                places,
                drawn(more, dtype),
            )
    x, rows = drawn((5, 3), "float32"), np.array([0, 4, 4, 2, 0])
    same_bits(lambda x: scatter(x.T, rows, x.T[:, ::-1], 1, include_self=keep), x)


def test_products_into_places_are_those_of_complex_numbers_too():
    x = np.random.default_rng(0).normal(size=(2, 40)).view(complex)
    numpy, native = by_both(
        lambda x: sg.scatter_prod(x[:, :3], np.array([0, 1, 1, 2, 0]), x[:, 3:8], 1), x
    )
    np.testing.assert_allclose(native, numpy, rtol=1e-14)


def test_gradients_of_folds_are_machine_code_and_wrong_places_are_refused():
    x, new, places = np.ones(4), np.arange(3.0), np.array([1, 1, 3])
    for fold in ("max", "prod"):
        numpy, native = by_both(
            lambda x, at, new, f=fold: sg.gradients(
                sg.sum(getattr(sg, f"scatter_{f}")(x, at, new) ** 2), [x, new]
            ),
            x,
            places,
            new,
        )
        for wanted, found in zip(numpy, native, strict=True):
            np.testing.assert_array_equal(found, wanted)
    with pytest.raises(sg.errors.IndexingError, match="index 4 is out of bounds for axis 0"):
        by_both(sg.scatter_max, x, places + 1, new)


@pytest.mark.parametrize("threads", [1, 2, 3, 7])
def test_checked_runs_give_the_same_bits_on_any_number_of_threads(monkeypatch, threads):
    monkeypatch.setenv("SIDEBYSIDE_CHECKED", "1")
    monkeypatch.setenv("SIDEBYSIDE_THREADS", str(threads))
    x = np.random.default_rng(0).normal(size=(40, 50))
    numpy, native = by_both(
        lambda x: [sg.sort(x * 2), sg.argsort(x + 1, axis=0), sg.cumulative_sum(x + 1, axis=1)], x
    )
    for wanted, found in zip(numpy, native, strict=True):
        np.testing.assert_array_equal(found, wanted)


def test_rows_of_any_length_and_complex_numbers_are_sorted():
    for x in (
        drawn((5000,), "float32"),
        drawn((2, 70_000), "float16"),
        drawn((3, 400, 2), "float64").view(complex)[..., 0].copy(),
    ):
        for down in (False, True):
            numpy, native = by_both(
                lambda x, d=down: [
                    sg.sort(x, descending=d),
                    sg.argsort(x, descending=d),
                    sg.sort(x.T, axis=0, descending=d),
                ],
                x,
            )
            for wanted, found in zip(numpy, native, strict=True):
                np.testing.assert_array_equal(found, wanted)


def test_what_numpy_does_not_show_is_sorted_by_it(monkeypatch):
    monkeypatch.setattr(functions, "address_of", lambda name: 0)
    monkeypatch.setenv("SIDEBYSIDE_CACHE", "off")
    same_bits(lambda x: sg.argsort(x * 3), drawn((4, 5), "float32"), left=True)


def test_a_loop_of_routines_is_machine_code():
    def step(c, x):
        c = sg.cumulative_sum(c * 0.5 + x, axis=0)
        return c, sg.searchsorted(c, x)

    numpy, native = by_both(
        lambda c, xs: sg.scan(step, c, xs)[1], np.zeros(4, "float32"), drawn((6, 4), "int8")
    )
    np.testing.assert_array_equal(native, numpy)


def test_no_elements_are_left_to_numpy():
    with sg.Graph():
        x = sg.placeholder("x", (0, 3))
        run = sg.compile(sg.cumulative_sum(x, axis=0), [x], backend="native")
    assert run(np.zeros((0, 3), "float32")).shape == (0, 3)


def test_an_op_of_the_users_brings_its_routine():
    def turned(types, result, attrs):
        n = types[0].size

        def write(code, target, operands):
            def move(at, width):
                value = load_lanes(code, operands[0], result.dtype, n - 1 - at, 1, width)
                store_lanes(code, target, result.dtype, at, 1, value)

            in_lanes(code, n, 1, move)

        return Routine(("turned", n), (result.dtype,), write, 1, float(n))

    turn = Op(
        name="turn",
        kind=Kind.OPAQUE,
        arity=1,
        kernel=lambda x: x[::-1].copy(),
        infer=lambda x: TensorType(x.shape, x.dtype),
        routine=turned,
    )
    same_bits(lambda x: turn(x) + 1, drawn((7,), "float32"))
