"""Machine code of symbolic dimensions: one piece that is right at every length."""

import itertools
import random
from dataclasses import replace

import numpy as np
import pytest
from tests.staticgraph import test_dimension as dimension
from tests.staticgraph import test_native_sharing as sharing
from tests.staticgraph.test_symbolic_functions import CALLS

import dyngraph as dg
import staticgraph as sg
from staticgraph.backends import native
from staticgraph.backends.native.definitions.open_lengths import (
    Assumptions,
    Lengths,
    at_most,
    value_at,
)
from staticgraph.backends.native.definitions.sampling import at_all_lengths
from staticgraph.backends.native.run.evaluation import evaluation

pytest.importorskip("llvmlite")
LENGTHS = (1, 2, 3, 7, 8, 33, 257, 1000)


@pytest.fixture
def apart(monkeypatch):
    """Return the shapes of the inputs that programs were built for, each by itself."""
    built = []

    def build(program, plan):
        built.append([value.type.shape for value in program.inputs])
        return native.build(program, plan)

    counted = replace(native.BACKEND, build=build)
    monkeypatch.setattr("staticgraph.compiler.compile.load_backend", lambda _: counted)
    return built


def compiled(program, shapes, dtype="float32", gradients=True):
    """Return machine code of a value and its gradients, and the same by NumPy."""
    with sg.Graph(finalize=False):
        inputs = [sg.placeholder(f"x{i}", shape, dtype) for i, shape in enumerate(shapes)]
        y = program(sg, *inputs)
        outputs = [y, *(sg.gradients(sg.sum(y), inputs) if gradients else ())]
    return sg.compile(outputs, inputs, backend="native"), outputs, inputs


BUILT_APART = {
    # at some lengths they are made of fewer pieces
    "first and last": {1, 2},
    "neighbours": {1, 2},
    "all but one": {1},
    "scan along it": {1},
    "convolution": {1},
    "outer": {1},
}


@pytest.mark.parametrize("name", dimension.PROGRAMS)
def test_one_piece_of_machine_code_serves_all_lengths(name, apart):
    program, shapes = dimension.PROGRAMS[name]
    run, _, _ = compiled(program, shapes)
    assert not apart, "built before any length is known"
    for length in LENGTHS:
        arrays = dimension.arrays_of(shapes, length)
        tensors = [dg.tensor(array, requires_grad=True) for array in arrays]
        value = program(dg, *tensors)
        value.backward()
        expected = [value.detach().numpy(), *[tensor.grad.numpy() for tensor in tensors]]
        for _ in range(2):
            for one, other in zip(run(*arrays), expected, strict=True):
                size = np.max(np.abs(other), initial=1e-3)
                np.testing.assert_allclose(one, other, rtol=2e-5, atol=2e-5 * size)
    position, axis = next(
        (i, axis)
        for i, shape in enumerate(shapes)
        for axis, n in enumerate(shape)
        if not isinstance(n, int)
    )
    factor = 2 if name == "halves" else 1
    lengths = {built[position][axis] // factor for built in apart}
    assert lengths <= BUILT_APART.get(name, set())
    assert "for all of them" in run.report()


N, M = sg.dim("open_n"), sg.dim("open_m")
PAIRS = [*itertools.product(sharing.MOVERS, sharing.READERS)][::3]


@pytest.mark.parametrize(("mover", "reader"), PAIRS)
def test_values_are_moved_and_read_at_all_lengths(mover, reader):
    maker = sharing.MAKERS[random.Random(mover + reader).choice([*sharing.MAKERS])]
    if reader == "loss":
        return  # its labels are an array of a known length

    def program(xp, x):
        e = maker(x)
        moved = sharing.MOVERS[mover](e)
        return sg.sum(moved * moved) + sg.sum(sharing.READERS[reader](e))

    run, outputs, inputs = compiled(program, [(N, M)], "float64")
    wanted = sg.compile(outputs, inputs, backend="numpy")
    for shape in ((1, 1), (2, 1), (1, 5), (3, 17), (8, 8), (40, 33), (130, 300)):
        array = np.random.default_rng(0).uniform(0.5, 1.5, shape)
        for one, other in zip(run(array), wanted(array), strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(
    ("name", "axis"),
    [("attention", 2), ("layer_norm", 0), ("lstm", 0), ("gru", 0), ("max_pool", 0), ("unfold", 2)],
)
def test_layers_run_checked_at_all_lengths(name, axis, monkeypatch):
    monkeypatch.setenv("SIDEBYSIDE_CHECKED", "1")  # each plan is proved at the lengths of the run
    calls = {**CALLS, "layer_norm": (lambda xp, x: xp.layer_norm(x, (6,)), (3, 6))}
    f, shape = calls[name]
    symbolic = [*shape]
    symbolic[axis] = N
    run, outputs, inputs = compiled(f, [tuple(symbolic)], "float64")
    assert "for all of them" in run.report()
    wanted = sg.compile(outputs, inputs, backend="numpy")
    for length in (shape[axis], shape[axis] + 1, 31, 64):
        given = [*shape]
        given[axis] = length
        array = np.random.default_rng(length).normal(size=given)
        for one, other in zip(run(array), wanted(array), strict=True):
            size = np.max(np.abs(other), initial=1e-3)
            np.testing.assert_allclose(one, other, rtol=1e-9, atol=1e-11 * size)


def moved_and_scanned(xp, x):
    """Compute a little in loops and pieces, with what every dtype has."""
    first = xp.reshape(x, (-1,))[0]
    stacked = xp.concat([xp.where(x == first, x, first), x[:1]], axis=0)
    last, rows = xp.scan(lambda carry, row: (row, xp.where(carry == row, row, first)), x[0], x)
    return [stacked, last, rows, xp.stack([x, x[::-1]], axis=1), xp.vmap(lambda r: r + r[0])(x)]


@pytest.mark.parametrize(
    "dtype", "float16 bfloat16 float64 complex64 complex128 int8 uint16 int64 uint64 bool".split()
)
def test_every_dtype_has_all_lengths(dtype):
    with sg.Graph():
        x = sg.placeholder("x", (N, M), dtype)
        outputs = moved_and_scanned(sg, x)
    run = sg.compile(outputs, [x], backend="native")
    assert "for all of them" in run.report()
    wanted = sg.compile(outputs, [x], backend="numpy")
    for shape in ((1, 1), (2, 1), (1, 3), (9, 17), (40, 33)):
        array = (
            np.random.default_rng(1).integers(0, 2, shape).astype(sg.TensorType((), dtype).dtype)
        )
        for one, other in zip(run(array), wanted(array), strict=True):
            assert (one.dtype, one.shape) == (other.dtype, other.shape)
            np.testing.assert_array_equal(one, other)


def test_integers_truth_values_and_creations_of_lengths():
    def program(xp, x):
        counted = xp.arange(x.shape[0], dtype="int64")
        even = xp.astype(counted % 2 == 0, "int64")
        return xp.sum(xp.where(x > 2, x * even, counted)) + xp.sum(xp.ones(x.shape, dtype="int64"))

    run, outputs, inputs = compiled(program, [(N,)], "int64", gradients=False)
    assert "for all of them" in run.report()
    wanted = sg.compile(outputs, inputs, backend="numpy")
    for length in LENGTHS:
        array = np.random.default_rng(length).integers(-5, 9, length)
        assert run(array) == wanted(array)


def test_empty_arrays_and_what_needs_the_numbers_are_built_for_their_lengths(apart):
    run, _, _ = compiled(lambda xp, x: xp.sum(x * 2.0), [(sg.dim("may_be_none", min=0),)])
    assert run(np.zeros(0, np.float32))[0] == 0.0
    assert run(np.ones(3, np.float32))[0] == 6.0
    assert apart == [[(0,)]]
    apart.clear()
    run, _, _ = compiled(lambda xp, x: xp.linalg.det(x), [(N, 2, 2)], gradients=False)
    assert "for each of them, since " in run.report()
    np.testing.assert_array_equal(run(np.ones((3, 2, 2), np.float32))[0], np.zeros(3))
    assert apart == [[(3, 2, 2)]]


def test_results_do_not_depend_on_threads_or_on_the_lengths_before():
    from oplibrary.machine.pool import sharing_from

    def program(xp, x, w):
        return xp.softmax(xp.tanh(x @ w), axis=0)

    shapes = [(N, 24), (24, M)]
    arrays = {
        (n, m): [np.random.default_rng(0).normal(size=s).astype("f4") for s in ((n, 24), (24, m))]
        for n, m in ((5, 3), (700, 64), (3000, 48))
    }
    found = []
    for work, order in ((0.0, [*arrays]), (1e18, [*arrays][::-1])):
        token = sharing_from.set(work)
        try:
            run, _, _ = compiled(program, shapes)
            found.append({each: [x.tobytes() for x in run(*arrays[each])] for each in order})
        finally:
            sharing_from.reset(token)
    assert found[0] == found[1]


def test_a_bound_run_has_the_lengths_of_its_arrays():
    run, _, _ = compiled(lambda xp, x: xp.exp(x) * 2.0, [(N, 3)], gradients=False)
    for length in (1, 40):
        x = np.zeros((length, 3), np.float32)
        bound = run.bind(x)
        np.testing.assert_array_equal(bound()[0], np.full((length, 3), 2.0))
        x[...] = 1.0
        np.testing.assert_allclose(bound()[0], 2.0 * np.exp(x), rtol=1e-6)


# the numbers themselves ---------------------------------------------------------------------------


def test_open_lengths_compute_as_the_numbers_do():
    draw = random.Random(0)
    assumptions = Assumptions({"n": 251, "m": 40})
    n, m = assumptions.lengths.values()
    numbers = [n, m, 3, 1, 7, 16]
    made = [(each, each) for each in numbers]
    for _ in range(400):
        (x, _), (y, _) = draw.choice(made), draw.choice(made)
        operation = draw.choice(["+", "-", "*", "//", "%"])
        if operation in "//%" and (y == 0 or not (isinstance(y, int) or y > 0)):
            continue
        result = eval(f"x {operation} y")
        if isinstance(result, int) or len(result.terms) < 8:
            made.append((result, (x, operation, y)))
    at = [Lengths({"n": a, "m": b}) for a in (200, 251, 300, 1000) for b in (31, 40, 90)]
    evaluate = evaluation(assumptions, [result for result, _ in made])
    checked = 0
    for lengths in at:
        if not assumptions.hold(lengths):
            assert evaluate(*lengths.values()) is None
            continue
        assert evaluate(*lengths.values()) == tuple([value_at(each, lengths) for each, _ in made])
        checked += 1

        def value(number, lengths=lengths):
            return number if isinstance(number, int) else number.at(lengths)

        for result, source in made:
            if isinstance(source, tuple):
                x, operation, y = source
                x, y = value(x), value(y)
                if operation in "//%" and y == 0:
                    continue
                assert value(result) == eval(f"x {operation} y")
    assert checked, "the nominal lengths at least"


def test_only_order_is_noted_and_nothing_becomes_a_number():
    assumptions = Assumptions({"n": 251})
    (n,) = assumptions.lengths.values()
    assert n != 251 and n == n + 0 and n != n + 1
    assert not at_most(n, 1 << 40)
    assert assumptions.hold(Lengths({"n": 1}))
    assert 2 * n > 100
    assert assumptions.hold(Lengths({"n": 51})) and not assumptions.hold(Lengths({"n": 50}))
    for use in (int, float, str, range, np.empty, lambda x: [0] * x, lambda x: f"{x}"):
        with pytest.raises(TypeError):
            use(n)


def test_what_is_no_sum_of_lengths_is_not_taken_for_one():
    assumptions = Assumptions({"n": 251, "m": 251})
    n, m = assumptions.lengths.values()
    assert at_all_lengths(lambda x, y: (x - 1, 2 * y + x, 5), n, m) == (n - 1, 2 * m + n, 5)
    for function in (lambda x, y: x * y, lambda x, y: x // 2, lambda x, y: (1,) * x):
        with pytest.raises(Exception, match="depends on the lengths"):
            at_all_lengths(function, n, m)
