"""Symbolic dimensions: one program serves every length, and gives dyngraph's bits for each."""

import pickle
import random
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import dyngraph as dg
import staticgraph as sg
from oplibrary.messages.errors import (
    ArgumentError,
    FeedError,
    GraphError,
    ShapeError,
    SideBySideError,
    SymbolicBoolError,
    SymbolicValueError,
)
from staticgraph.program.polynomial import Polynomial, polynomial_of, symbol

BACKENDS = ("interpret", "numpy")
B = sg.dim("b")


def recurrent(xp, w, xs):
    last, ys = xp.scan(lambda h, x: (xp.tanh(h @ w + x), h * x), xs[0] * 0, xs)
    return xp.sum(ys) + xp.sum(last)


PROGRAMS = {
    "sum": (lambda xp, x: xp.sum(xp.tanh(x)), [(B, 3)]),
    "mean": (lambda xp, x: xp.mean(xp.tanh(x)), [(B, 3)]),
    "mean of products": (lambda xp, x, w: xp.mean(xp.tanh(x @ w) ** 2), [(B, 3), (3, 4)]),
    "broadcasting": (lambda xp, x, c: xp.sum(xp.exp(x + c) * x), [(B, 3), (3,)]),
    "reshape to -1": (lambda xp, x: xp.sum(xp.reshape(x * x, (-1,))), [(B, 3)]),
    "reshape by a length": (
        lambda xp, x: xp.sum(xp.reshape(x * x, (x.shape[0] * 3,)) * xp.reshape(x, (-1,))),
        [(B, 3)],
    ),
    "split an axis": (
        lambda xp, x: xp.sum(xp.sin(x.reshape((x.shape[0], 2, 2))).sum(axis=1)),
        [(B, 4)],
    ),
    "softmax along it": (lambda xp, x: xp.sum(xp.softmax(x, axis=0) * x), [(B, 3)]),
    "layer norm": (lambda xp, x, w: xp.sum(xp.layer_norm(x, (3,)) * w), [(B, 3), (B, 3)]),
    "attention": (
        lambda xp, q, k, v: xp.sum(xp.softmax(q @ k.mT, axis=-1) @ v),
        [(B, 3), (B, 3), (B, 3)],
    ),
    "batched product": (lambda xp, q, k: xp.sum(xp.matmul(q, k)), [(B, 2, 3), (3, 4)]),
    "concat": (lambda xp, x, y: xp.sum(xp.concat((x, y), axis=0) ** 2), [(B, 3), (2, 3)]),
    "first and last": (lambda xp, x: xp.sum(x[0] * x[-1]), [(B, 3)]),
    "neighbours": (lambda xp, x: xp.sum(x[1:] * x[:-1]), [(B, 3)]),
    "all but one": (lambda xp, x: xp.sum(x[: x.shape[0] - 1] ** 2), [(B, 3)]),
    "halves": (
        lambda xp, x: xp.sum(x[: x.shape[0] // 2] * x[x.shape[0] // 2 :]),
        [(2 * B, 3)],
    ),
    "maximum": (lambda xp, x: xp.sum(xp.max(x, axis=0)), [(B, 3)]),
    "variance": (lambda xp, x: xp.sum(xp.var(x, axis=0)), [(B, 3)]),
    "transpose": (lambda xp, x: xp.sum(xp.tanh(x.T) @ x), [(B, 3)]),
    "outer": (lambda xp, x: xp.sum(xp.reshape(xp.outer(x, x), (-1,)) ** 2), [(B,)]),
    "convolution": (
        lambda xp, x, w: xp.sum(xp.conv2d(x, w) ** 2),
        [(B, 2, 5, 5), (3, 2, 3, 3)],
    ),
    "pad and roll": (
        lambda xp, x: xp.sum(xp.roll(xp.pad(x, ((1, 1), (0, 0))), 1, axis=0) ** 2),
        [(B, 3)],
    ),
    "divided by a length": (lambda xp, x: xp.sum(x * x.shape[0]) / x.size, [(B, 3)]),
    "made of a length": (
        lambda xp, x: xp.sum(
            x * xp.ones(x.shape) * xp.reshape(xp.arange(x.shape[0], dtype="float32"), (-1, 1))
        ),
        [(B, 3)],
    ),
    "scan along it": (recurrent, [(3, 3), (B, 3)]),
    "scan beside it": (recurrent, [(3, 3), (5, B, 3)]),
    "while": (
        lambda xp, x: xp.sum(
            xp.while_loop(
                lambda s: xp.sum(xp.abs(s)) < 50.0, lambda s: s * 1.5 + xp.mean(s) + 1.0, x
            )
        ),
        [(B, 3)],
    ),
    "cond": (
        lambda xp, x: xp.sum(xp.cond(xp.sum(x) > 0, lambda: x * 2, lambda: xp.exp(x))),
        [(B, 3)],
    ),
    "map": (lambda xp, x: xp.sum(xp.map(lambda row: xp.sum(row) ** 2, x)), [(B, 3)]),
}


def arrays_of(shapes, length):
    generator = np.random.default_rng(length)
    factors = {B: 1, 2 * B: 2}
    return [
        generator.standard_normal([n if isinstance(n, int) else factors[n] * length for n in shape])
        .astype("float32")
        .copy()
        for shape in shapes
    ]


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("name", PROGRAMS)
def test_one_executable_gives_dyngraphs_bits_for_every_length(name, backend):
    program, shapes = PROGRAMS[name]
    with sg.Graph():
        inputs = [sg.placeholder(f"x{i}", shape) for i, shape in enumerate(shapes)]
        y = program(sg, *inputs)
        outputs = [y, *sg.gradients(y, inputs)]
    run = sg.compile(outputs, inputs=inputs, backend=backend, verify=True)
    for length in (1, 2, 3, 7, 30):
        arrays = arrays_of(shapes, length)
        tensors = [dg.tensor(array, requires_grad=True) for array in arrays]
        expected = program(dg, *tensors)
        expected.backward()
        value, *grads = run(*arrays)
        assert np.array_equal(value, expected.detach().numpy())
        for found, tensor in zip(grads, tensors, strict=True):
            assert np.array_equal(found, tensor.grad.numpy())


def summed():
    with sg.Graph() as graph:
        x, y = (sg.placeholder(name, (B, 3)) for name in "xy")
        total = sg.sum(x * y, axis=1)
    return graph, x, y, total


def test_nothing_is_built_again_for_another_length():
    _, x, y, total = summed()
    run = sg.compile(total, inputs=[x, y], backend="numpy")
    source = run.source
    assert run([[1.0, 2.0, 3.0]], [[1.0, 1.0, 1.0]]).tolist() == [6.0]
    assert run(np.ones((4, 3), "float32"), np.ones((4, 3), "float32")).tolist() == [3.0] * 4
    assert run.source is source
    assert "float32[b,3]" in run.passes_text
    assert "follows from the lengths" in run.report()


def test_a_backend_that_needs_numbers_has_them():
    pytest.importorskip("llvmlite")
    loss = sg.value_and_grad(lambda w, x, y: sg.mean((x @ w - y) ** 2))
    graph = sg.trace(loss, sg.TensorType((3,)), sg.TensorType((B, 3)), sg.TensorType((B,)))
    native, exact = (
        sg.compile(graph.outputs, inputs=graph.inputs, backend=name) for name in ("native", "numpy")
    )
    for length in (1, 5, 1):
        arguments = arrays_of([(3,), (B, 3), (B,)], length)
        for a, b in zip(native(*arguments), exact(*arguments), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-5)


def test_debugging_and_sessions_take_lengths():
    graph, x, y, total = summed()
    ones = np.ones((2, 3), "float32")
    with sg.Session(graph, backend="numpy") as session:
        assert session.run(total, {x: ones, y: ones}).tolist() == [3.0, 3.0]
    assert sg.compile(total, inputs=[x, y], debug=True)(ones, ones).tolist() == [3.0, 3.0]
    check = sg.check_passes(total, [x, y], [ones, ones], backend="numpy")
    assert check.stages[-1].name == "backend numpy"


def test_many_threads_run_different_lengths():
    graph = sg.trace(
        sg.grad(lambda w, xs: recurrent(sg, w, xs)), sg.TensorType((3, 3)), sg.TensorType((B, 3))
    )
    run = sg.compile(graph.outputs, inputs=graph.inputs, backend="numpy")
    w = np.full((3, 3), 0.1, "float32")
    xs = {n: np.ones((n, 3), "float32") for n in range(1, 9)}
    expected = {n: run(w, x)[0] for n, x in xs.items()}
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda i: run(w, xs[i % 8 + 1])[0], range(160)))
    assert all(np.array_equal(a, expected[i % 8 + 1]) for i, a in enumerate(found))


def test_a_function_is_traced_once_for_all_lengths():
    loss = sg.value_and_grad(lambda w, x: sg.mean((x @ w) ** 2))
    step = sg.function(loss, specs={"x": sg.TensorType((B, 3))}, backend="numpy")
    w = np.ones(3, "float32")
    for length in (1, 4, 9, 4):
        assert step(w, np.ones((length, 3), "float32"))[0] == 9.0
    (trace,) = step.explain().traces
    assert trace.signature == ("w: float32[3]", "x: float32[b,3]")
    assert trace.calls == 4
    step(w.astype("float64"), np.ones((2, 3)))  # what does not fit is traced for itself
    assert len(step.explain().traces) == 2
    with pytest.raises(ArgumentError, match="spec of x"):
        sg.function(loss, specs={"x": (B, 3)})


def declared(function, *shapes):
    with sg.Graph():
        inputs = [sg.placeholder(f"x{i}", shape) for i, shape in enumerate(shapes)]
        return function(*inputs)


@pytest.mark.parametrize(
    ("kind", "function", "says"),
    [
        (SymbolicValueError, lambda x: list(range(x.shape[0])), "symbolic length b"),
        (SymbolicValueError, lambda x: int(x.shape[0]), "symbolic length b"),
        (SymbolicValueError, lambda x: np.zeros(x.shape), "symbolic length b"),
        (SymbolicValueError, list, "scan or map"),
        (SymbolicValueError, len, "scan or map"),
        (SymbolicValueError, lambda x: x[: x.shape[0] // 2], "b was divided by 2"),
        (SymbolicBoolError, lambda x: x if x.shape[0] > 10 else -x, "b > 10"),
        (SymbolicBoolError, lambda x: x if x.shape[0] == 3 else -x, "b == 3"),
        (ShapeError, lambda x: x.reshape((-1, 2)), "(b, 3) has 3*b elements"),
        (ShapeError, lambda x: x[:10], "does not hold for every length: with b 1"),
        (ShapeError, lambda x: x[5], "does not hold for every length"),
        (ShapeError, lambda x: x[::2], "does not hold for every length"),
        (ShapeError, lambda x: x + np.ones((5, 3), "float32"), "shapes (b, 3) and (5, 3)"),
        (ShapeError, lambda x: x.T @ np.ones((4, 2), "float32"), "inner lengths b and 4"),
    ],
)
def test_what_does_not_hold_for_every_length_is_refused(kind, function, says):
    with pytest.raises(kind) as caught:
        declared(function, (B, 3))
    assert says in str(caught.value)
    assert "test_dimension.py" in str(caught.value)
    assert "fix:" in str(caught.value)


def test_two_names_are_two_lengths():
    with pytest.raises(ShapeError, match=r"shapes \(b, 3\) and \(other, 3\)"):
        declared(lambda x, y: x + y, (B, 3), (sg.dim("other"), 3))


def test_a_bound_makes_more_hold():
    long = sg.dim("long", min=10)
    first = declared(lambda x: x[:10] if x.shape[0] >= 10 else x, (long, 3))
    assert first.shape == (10, 3)
    run = sg.compile(first, backend="numpy")
    assert run(np.ones((12, 3), "float32")).shape == (10, 3)
    with pytest.raises(FeedError, match="at least 10"):
        run(np.ones((9, 3), "float32"))


def test_lengths_compute():
    n = 2 * B + 1
    assert (str(n), str(n - 1), str((n - 1) // 2), str(B * B)) == ("2*b+1", "2*b", "b", "b*b")
    assert n - 2 * B == 1
    assert sg.dim("b") == B
    assert B >= 1
    assert f"{B}" == "b"


EXPRESSIONS = {
    "a product of a sum": lambda n, m, k: m * (n + m),
    "three lengths": lambda n, m, k: (n + m + k) * 2,
    "two products": lambda n, m, k: n * m + k * k,
    "many of each": lambda n, m, k: 2000 * n - 1700 * m + 90_000,
    "powers": lambda n, m, k: n**3 - n + (m - k) ** 2,
    "a difference of squares": lambda n, m, k: (n + m) * (n - m) * k,
    "divided": lambda n, m, k: (6 * n * m + 4 * k) // 2 + (4 * m + 2) % 2,
    "a sum divided by a length": lambda n, m, k: (3 * n * m + m * k + m) // m,
    "divided by a product": lambda n, m, k: (n * m * k - 5 * m * m * n * n) // (n * m),
    "divided by a sum": lambda n, m, k: (n * n - m * m) // (n + m),
    "turned round": lambda n, m, k: 7 - -(n * n * m) - 3 * k,
}


@pytest.mark.parametrize("name", EXPRESSIONS)
def test_what_is_computed_with_lengths_is_known_as_it_is(name, tmp_path):
    """Also where no number could be read back as it."""
    expression = EXPRESSIONS[name]
    for each in range(20):  # what it might be taken for
        sg.dim(f"another_{each}")
    lengths = [sg.dim(f"exactly_{each}") for each in "nmk"]
    length = expression(*lengths)
    with sg.Graph():
        inputs = [sg.placeholder(f"x{i}", (n,)) for i, n in enumerate(lengths)]
        total = sum(sg.sum(x) for x in inputs) * 0.0 + length * 1.0
        run = sg.compile(total, inputs, backend="numpy")
    sg.save_program(tmp_path / "lengths.sgp", run)
    again = sg.open_program(tmp_path / "lengths.sgp")
    copied = pickle.loads(pickle.dumps(length))
    assert repr(copied) == repr(length)
    for sizes in [(1, 2, 3), (5, 4, 7), (11, 3, 2)]:
        arrays = [np.ones(n, "float32") for n in sizes]
        assert run(*arrays) == again(*arrays) == expression(*sizes)


def test_lengths_that_are_written_alike_are_refused():
    n, m = sg.dim("alike_n"), sg.dim("alike_m")
    assert repr(n * m) == "alike_n*alike_m"
    with pytest.raises(ArgumentError, match="cannot be told from alike_n\\*alike_m"):
        n * 2000 * (m.stand_in // 2000) + n * (m.stand_in % 2000)


def test_a_quotient_that_is_no_length_is_refused():
    n, m, k = (sg.dim(f"over_{each}") for each in "nmk")
    for wrong in (
        lambda: (n * m + k) // m,
        lambda: (n + m) // (n - m),
        lambda: (3 * n) // 2,
        lambda: n // 0,
    ):
        with pytest.raises(SymbolicValueError, match="does not divide it"):
            wrong()


def test_polynomials_are_read_back_or_not_at_all():
    draw = random.Random(3)
    symbols = [symbol(f"read_{each}", 1) for each in range(3)]
    for _ in range(60):
        terms = {(): draw.randint(-(2**40), 2**40)}
        for _ in range(draw.randint(1, 3)):
            drawn = draw.choices(symbols, k=draw.choice((1, 1, 2, 3)))
            monomial = tuple(sorted(drawn, key=lambda each: each.order))
            terms[monomial] = draw.choice((1, -1, 2, draw.randint(1, 2**22)))
        wanted = Polynomial(terms)
        number = wanted.at({each.name: each.stand_in for each in symbols})
        found = polynomial_of(number)
        if all(len(monomial) < 2 for monomial in wanted.terms):
            assert found is not None
        assert found is None or found.terms == wanted.terms
        with pytest.raises(OverflowError):
            float(number)
        if any(factor % 2 for monomial, factor in wanted.terms.items() if monomial):
            assert polynomial_of(number // 2) is None
            assert polynomial_of(number // 2 * 3 + 1) is None


def test_sums_of_many_lengths_are_read_back():
    for each in range(20):
        sg.dim(f"beside_{each}")
    n, m = sg.dim("joined_n"), sg.dim("joined_m")
    with sg.Graph():
        x, y = sg.placeholder("x", (n,)), sg.placeholder("y", (m,))
        joined = sg.concat([x] * 20 + [y] * 18 + [np.ones(5_000_000, "float32")])
        run = sg.compile(sg.sum(joined), [x, y], backend="numpy")
    assert repr(joined) == "Node(concat: float32[20*joined_n+18*joined_m+5000000])"
    assert run(np.ones(2, "float32"), np.ones(3, "float32")) == 5_000_094


LARGE = random.Random(0)
CONSTANTS = [
    *(41_234_573, 3 * 41_234_573 + 7, 44_469_143, 41_234_573 * 44_469_143),
    *(4_194_319, 5_000_000, 2**31 - 1, 2**32 + 15, 2**53 + 1, 2**62 - 57),
    *(LARGE.getrandbits(bits) | 1 << 21 for bits in range(22, 62, 4)),
]
WITH_CONSTANTS = {
    "arithmetic": lambda xp, x, c: x * c + c - x % c,
    "on the other side": lambda xp, x, c: c - (c // (x + 1)),
    "bounds": lambda xp, x, c: xp.clip(x * x * x, -c, c),
    "compared": lambda xp, x, c: xp.where(x > c, c, x),
    "filled": lambda xp, x, c: xp.full_like(x, c) + x,
    "slices": lambda xp, x, c: x[:c] + x[-c:] - xp.concat([x[c:], x]),
    "rolled": lambda xp, x, c: xp.roll(x, c),
    "triangle": lambda xp, x, c: xp.tril(x[:, None] * x, k=c) - xp.triu(x[:, None] * x, k=-c),
    "padded": lambda xp, x, c: xp.pad(x, (1, 2), value=c),
    "differences": lambda xp, x, c: xp.diff(x, prepend=c, append=-c),
    "floats": lambda xp, x, c: x * float(c) + 1.0 / c + xp.full_like(x, float(c), dtype="float64"),
    "correction": lambda xp, x, c: xp.var(x * 1.0, correction=c),
    "ignored": lambda xp, x, c: xp.cross_entropy(
        xp.ones_like(x, dtype="float32")[:, None], x * 0, ignore_index=c
    ),
}


@pytest.mark.parametrize("name", WITH_CONSTANTS)
def test_a_constant_is_never_taken_for_a_length(name):
    """A large number of the user is right, or refused by name, whatever stands for lengths."""
    program = WITH_CONSTANTS[name]
    sg.dim("beside_constants")
    n = sg.dim("of_constants")
    floats = name == "floats"
    with sg.Graph():
        x = sg.placeholder("x", (n,), "float64" if floats else "int64")
        kept, results = [], []
        for c in CONSTANTS:
            try:
                results.append(program(sg, x, c))
            except ShapeError:  # whether a bound is inside follows from the length
                assert name in ("slices", "rolled")
                continue
            kept.append(c)
        run = sg.compile(results, [x], backend="numpy")
    copied = pickle.loads(pickle.dumps(run))
    for length in (1, 2, 7):
        array = np.arange(1, length + 1, dtype=x.dtype)
        with np.errstate(invalid="ignore", divide="ignore"):
            wanted = [np.asarray(program(dg, dg.asarray(array), c)) for c in kept]
            answers = run(array), copied(array)
        for found in answers:
            for c, one, other in zip(kept, found, wanted, strict=True):
                np.testing.assert_array_equal(one, other, err_msg=str(c), strict=True)


def test_a_bound_beyond_every_length_is_the_end():
    far = sys.maxsize
    with sg.Graph():
        x = sg.placeholder("x", (sg.dim("of_bounds"),), "int64")
        results = [x[:far], x[-far:], x[1:far], x[::-1], x[far::-1], x[: -far - 1 : -1], x[far:]]
        run = sg.compile(results, [x], backend="numpy")
    array = np.arange(5)
    for found, bounds in zip(run(array), [(0, 5), (0, 5), (1, 5)], strict=False):
        np.testing.assert_array_equal(found, array[slice(*bounds)])
    assert all(np.array_equal(found, array[::-1]) for found in run(array)[3:6])
    assert run(array)[6].shape == (0,)


@pytest.mark.parametrize(
    "make",
    [np.zeros, np.ones, np.arange, np.eye, lambda n: np.broadcast_to(1.0, (n, 2)), range],
)
def test_numpy_gets_no_number_of_a_length(make):
    with pytest.raises((SideBySideError, TypeError), match="of_numpy|`n`"):
        make(sg.dim("of_numpy"))


def test_wrong_dims_are_refused():
    with pytest.raises(ArgumentError, match="identifier"):
        sg.dim("a b")
    with pytest.raises(ArgumentError, match="min=1 already"):
        sg.dim("b", min=3)
    with pytest.raises(ArgumentError, match="least length"):
        sg.dim("other", min=-1)


def test_wrong_feeds_are_refused():
    _, x, y, total = summed()
    run = sg.compile(total, inputs=[x, y], backend="numpy")
    with pytest.raises(FeedError, match="axis 0 would have length 2"):
        run(np.ones((2, 3), "float32"), np.ones((4, 3), "float32"))
    with pytest.raises(FeedError, match="at least 1"):
        run(np.ones((0, 3), "float32"), np.ones((0, 3), "float32"))
    with pytest.raises(FeedError, match=r"shape \(2, 4\)"):
        run(np.ones((2, 4), "float32"), np.ones((2, 3), "float32"))


def test_a_length_must_be_that_of_an_input():
    with sg.Graph():
        x = sg.placeholder("x", (B, sg.dim("c")))
        y = sg.sum(sg.ones((sg.dim("unseen"),))) + sg.sum(x)
    with pytest.raises(GraphError, match="unseen"):
        sg.compile(y, inputs=[x], backend="numpy")
