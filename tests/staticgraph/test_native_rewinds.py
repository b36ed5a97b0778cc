"""The gradient of a loop that a condition ends, as machine code: it is run again, and gone back."""

import signal
import threading

import numpy as np
import pytest

pytest.importorskip("llvmlite")

import staticgraph as sg
from oplibrary.messages.errors import IndexingError, LoopBoundError

X = np.linspace(0.2, 1.1, 5)
W = np.linspace(0.7, 1.4, 5)


def newton(x, w):
    """Few steps, whose number depends on the data; a value from around the loop is read."""
    return sg.while_loop(
        lambda r: sg.max(sg.abs(r * r - x)) > 1e-9, lambda r: (r + x / r) / 2 + w * 1e-12, x + w
    )


def many(x, w):
    """More steps than there is memory for at first, and a counter that has no gradient."""
    _, y = sg.while_loop(
        lambda c: c[0] < 1000,
        lambda c: (c[0] + 1, c[1] + 0.01 * sg.sin(c[1] * w)),
        (np.int32(0), x),
    )
    return y


def late(x, w):
    """Gradients come to the second carry in the second step back only, to the third in the next."""
    return sg.while_loop(
        lambda c: c[3] < 7.0,
        lambda c: (c[0] * w + c[1], sg.sin(c[1]) + c[2], c[2] * w, c[3] + 1.0),
        (x, x * 2, x + w, sg.sum(x) * 0),
    )[0]


def never(x, w):
    return sg.while_loop(lambda c: sg.sum(c) > 1e9, lambda c: c * w, x)


def inside(x, w):
    """In a step of a scan, and with a loop and a branch in each of its own steps."""

    def body(c):
        more = sg.fori_loop(0, 3, lambda i, y: sg.tanh(y * w * 0.5), c)
        return sg.cond(sg.sum(more) > 0.2, lambda: c * 0.4 + more, lambda: c * 0.6 - more)

    def step(total, each):
        start = total * 0.1 + each
        return total + sg.while_loop(lambda c: sg.sum(c * c) > 0.3, body, start), None

    return sg.scan(step, x * 0, sg.stack([x, w, x * w, x - w]))[0]


def product(x, w):
    matrix = sg.expand_dims(x, 1) * sg.expand_dims(w, 0) * 0.2
    return sg.while_loop(lambda c: sg.sum(c * c) > 1e-3, lambda c: sg.tanh(matrix @ c), x)


def complex_(x, w):
    z = sg.while_loop(
        lambda c: sg.sum(sg.real(c * sg.conj(c))) > 0.1, lambda c: c * (0.5 + 0.3j) * w, x * 1j
    )
    return sg.real(z * (1 - 2j))


def mixed(x, w):
    """Carries of several dtypes, whose rows have to be apart."""
    found = sg.while_loop(
        lambda c: c[1] & (sg.sum(c[3]) < 30.0),
        lambda c: (c[0] + 1, sg.sum(c[2]) < 50.0, c[2] * sg.astype(w, "float32"), c[3] + w * x),
        (np.int8(0), np.bool_(True), sg.astype(x, "float32"), x),
    )
    return found[3] + sg.astype(found[2], "float64")


PROGRAMS = [newton, many, late, never, inside, product, complex_, mixed]


def gradients(program, backend, **options):
    with sg.Graph(finalize=False):
        x, w = (sg.placeholder(name, (5,), "float64") for name in "xw")
        y = program(x, w)
        outputs = [y, *sg.gradients(sg.sum(y), [x, w])]
    return sg.compile(outputs, [x, w], backend=backend, **options)


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda f: f.__name__)
def test_machine_code_gives_the_oracles_gradients(program, monkeypatch):
    monkeypatch.setenv("SIDEBYSIDE_CHECKED", "1")
    oracle, native = (gradients(program, each) for each in ("interpret", "native"))
    assert "left to NumPy" not in native.report()
    for scale in (1.0, 0.9, 1.0):
        expected = oracle(X * scale, W)
        for one, other in zip(native(X * scale, W), expected, strict=True):
            assert one.dtype == other.dtype
            np.testing.assert_allclose(one, other, rtol=1e-6, atol=1e-9)


def test_the_last_steps_back_are_regions_of_their_own():
    instructions = gradients(late, "native").program.instructions
    found = [each.attrs["first"] for each in instructions if each.op.name == "while_gradient"]
    assert len(found) == 1 and len(found[0]) >= 2


@pytest.mark.parametrize("end", [0.0, 1.0, 2.0, 3.0, 4.0])
def test_there_may_be_fewer_steps_than_first_ones(end):
    def program(x, w):
        return sg.while_loop(
            lambda c: c[3] < end,
            lambda c: (c[0] * w + c[1], sg.sin(c[1]) + c[2], c[2] * w, c[3] + 1.0),
            (x, x * 2, x + w, sg.sum(x) * 0),
        )[0]

    found, expected = (gradients(program, each)(X, W) for each in ("native", "interpret"))
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-12)


def test_a_bound_on_the_steps_is_an_error_that_names_the_loop():
    def program(x, w):
        return sg.while_loop(lambda c: sg.sum(c) < 1e9, lambda c: c + w, x, max_steps=50)

    run = gradients(program, "native")
    for _ in range(2):
        with pytest.raises(LoopBoundError, match="50 steps"):
            run(X, W)
    assert np.array_equal(run(X + 1e9, W)[1], np.ones(5))


def test_an_index_out_of_range_is_explained():
    def program(x, w):
        def body(c):
            number, total = c
            return number + 1, total + sg.take(x, number) * w

        return sg.while_loop(lambda c: sg.sum(c[1]) < 60.0, body, (np.int64(0), x))[1]

    run = gradients(program, "native")
    expected = gradients(program, "interpret")(X * 9, W)
    for _ in range(2):
        with pytest.raises(IndexingError):
            run(X, W)
        for one, other in zip(run(X * 9, W), expected, strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-12)


def test_threads_have_memory_of_their_own():
    run = gradients(many, "native")
    inputs = [X * (1 + 0.1 * i) for i in range(4)]
    expected = [run(x, W) for x in inputs]
    wrong = []

    def repeat(i):
        for _ in range(20):
            if not all(map(np.array_equal, run(inputs[i], W), expected[i])):
                wrong.append(i)

    threads = [threading.Thread(target=repeat, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="needs a timer that signals")
def test_ctrl_c_ends_it():
    def program(x, w):
        def body(c):
            # long and of few bytes: what the steps begin with is kept as long as it runs
            inner = sg.fori_loop(0, 10_000, lambda i, y: sg.cos(y), sg.stop_gradient(c))
            return c + w * 0 + inner * 0

        return sg.while_loop(lambda c: sg.sum(c) > 0, body, x)

    run = gradients(program, "native")
    before = signal.signal(signal.SIGALRM, signal.default_int_handler)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.1)
        with pytest.raises(KeyboardInterrupt):
            run(X, W)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert np.array_equal(run(-X, W)[1], np.ones(5))
