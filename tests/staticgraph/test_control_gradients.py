"""Gradients of control flow are those of the dynamic executor, bit for bit, however nested."""

import numpy as np
import pytest

import dyngraph as dg
import staticgraph as sg

BACKENDS = ("interpret", "numpy")


def arrays(*shapes):
    generator = np.random.default_rng(1)
    return [generator.standard_normal(shape) * 0.5 for shape in shapes]


def branch_and_loop_in_a_scan(xp, x, ys):
    def step(total, y):
        kept = xp.cond(
            y > 0, lambda: xp.fori_loop(0, 3, lambda _, v: v * x + xp.sin(v), y), lambda: y * x
        )
        return total + kept * x, kept

    total, kept = xp.scan(step, x * 0, ys)
    return xp.sum(total) + xp.sum(kept * x)


def lstm(xp, w, u, b, xs, h):
    def step(state, x):
        z = state["h"] @ w + x @ u + b
        i, f, o, g = (z[:, k * 4 : (k + 1) * 4] for k in range(4))
        c = xp.sigmoid(f) * state["c"] + xp.sigmoid(i) * xp.tanh(g)
        h = xp.sigmoid(o) * xp.tanh(c)
        return {"h": h, "c": c}, xp.sum(h @ w)

    # the weights are used twice in the body and once more after the loop
    state, ys = xp.scan(step, {"h": h, "c": h * 0}, xs)
    return xp.sum(ys * ys) + xp.sum(state["h"]) + xp.sum(w * w)


def while_that_the_data_ends(xp, x, w):
    def body(state):
        h, n = state
        h = xp.tanh(h @ w) * 1.5 + xp.cond(xp.sum(h) > 0, lambda: h @ w, lambda: h * 0.5)
        return h, n + 1

    def goes_on(state):
        return xp.logical_and(xp.sum(xp.abs(state[0])) < 30.0, state[1] < 20)

    h, _ = xp.while_loop(goes_on, body, (x, xp.asarray(np.array(0))))
    return xp.sum(h * h) + xp.sum(w)


def scan_in_cond_in_while(xp, x, ys):
    def body(state):
        v, n = state

        def swept():
            last, each = xp.scan(lambda c, y: (xp.tanh(c * y + x), c * y), v, ys)
            return last + xp.sum(each)

        return xp.cond(n % 2 == 0, swept, lambda: v * x), n + 1

    v, _ = xp.while_loop(lambda s: s[1] < 5, body, (x * 2, xp.asarray(np.array(0))))
    return v * x


def scan_in_reverse(xp, w, xs):
    last, ys = xp.scan(lambda c, x: (xp.tanh(c @ w + x), c), xs[0] * 0, xs, reverse=True)
    return xp.sum(last) + xp.sum(ys * xs)


def scan_in_a_scan(xp, w, xs):
    def row(c, x):
        last, ys = xp.scan(lambda h, z: (xp.tanh(h @ w + z), xp.exp(-h * h)), c, x)
        return last, xp.sum(ys)

    last, ys = xp.scan(row, xs[0, 0] * 0, xs)
    return xp.sum(last) + xp.sum(ys * ys)


def carries_that_change_places(xp, x, y, w):
    (a, b), _ = xp.scan(lambda c, _: ((c[1] * w, c[0]), None), (x, y), length=5)
    return xp.sum(a * b)


def switch_in_a_scan(xp, x, w):
    def step(c, i):
        return xp.switch(i, [lambda v: v * w, lambda v: xp.sin(v) + w, lambda v: v], c), None

    return xp.sum(xp.scan(step, x, xp.asarray(np.array([0, 1, 2, 1, 0])))[0])


def mapped(xp, w, xs):
    return xp.sum(xp.map(lambda x: xp.tanh(x @ w), xs) ** 2)


PROGRAMS = [
    (branch_and_loop_in_a_scan, [(), (5,)]),
    (lstm, [(4, 16), (3, 16), (16,), (6, 2, 3), (2, 4)]),
    (while_that_the_data_ends, [(4,), (4, 4)]),
    (scan_in_cond_in_while, [(), (5,)]),
    (scan_in_reverse, [(3, 3), (5, 3)]),
    (scan_in_a_scan, [(3, 3), (4, 5, 3)]),
    (carries_that_change_places, [(2000,), (2000,), (2000,)]),
    (switch_in_a_scan, [(3,), (3,)]),
    (mapped, [(3, 2), (5, 3)]),
]
NAMED = [pytest.param(program, shapes, id=program.__name__) for program, shapes in PROGRAMS]


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(("program", "shapes"), NAMED)
def test_values_and_gradients_are_dyngraphs_bits(program, shapes, backend):
    arguments = arrays(*shapes)
    everything = tuple(range(len(arguments)))
    run = sg.function(
        sg.value_and_grad(lambda *a: program(sg, *a), argnums=everything),
        backend=backend,
        verify=True,
    )
    expected, expected_grads = dg.value_and_grad(lambda *a: program(dg, *a), argnums=everything)(
        *map(dg.tensor, arguments)
    )
    for _ in range(2):  # a second run finds the memory that the first one left
        value, grads = run(*arguments)
        assert np.array_equal(value, expected.numpy())
        for a, b in zip(grads, expected_grads, strict=True):
            assert np.array_equal(a, b.numpy())


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(
    ("program", "shapes"), [each for each in NAMED if "while" not in each.values[0].__name__]
)
def test_second_derivatives_are_dyngraphs(program, shapes, backend):
    arguments = arrays(*shapes)

    def static(*a):
        return sg.sum(sg.grad(lambda *b: program(sg, *b))(*a) ** 2)

    def dynamic(*a):
        return dg.sum(dg.grad(lambda *b: program(dg, *b), create_graph=True)(*a) ** 2)

    found = sg.function(sg.grad(static), backend=backend)(*arguments)
    expected = dg.grad(dynamic)(*map(dg.tensor, arguments)).numpy()
    np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_while_loop_of_no_steps_passes_the_gradient_on(backend):
    run = sg.function(
        sg.value_and_grad(lambda *a: while_that_the_data_ends(sg, *a), argnums=(0, 1)),
        backend=backend,
    )
    x, w = np.full(4, 100.0), np.ones((4, 4))
    value, (dx, dw) = run(x, w)
    assert value == 4 * 100.0**2 + 16
    assert np.array_equal(dx, 2 * x)
    assert np.array_equal(dw, np.ones((4, 4)))
    assert not np.shares_memory(dx, x)


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_scan_of_no_steps_has_gradients(backend):
    def loss(x, w, xs):
        last, ys = sg.scan(lambda c, e: (c * w + e, c * w), x, xs)
        return sg.sum(last * last) + sg.sum(ys)

    run = sg.function(sg.grad(loss, argnums=(0, 1, 2)), backend=backend)
    dx, dw, dxs = run(np.array([1.0, 2.0]), np.ones(2), np.zeros((0, 2)))
    assert dx.tolist() == [2.0, 4.0]
    assert dw.tolist() == [0.0, 0.0]
    assert not np.signbit(dw).any()
    assert dxs.shape == (0, 2)


def backward_body(loss, *arguments):
    """Return the body of the last loop in the compiled gradient of `loss`."""
    graph = sg.trace(sg.grad(loss), *arguments)
    run = sg.compile(graph.outputs, graph.inputs, backend="numpy")
    *_, last = [i for i in run.program.instructions if "body" in i.attrs]
    return last


def test_the_backward_loop_computes_no_step_anew():
    w, xs = arrays((4, 4), (6, 4))

    def loss(w, xs):
        return sg.sum(sg.scan(lambda h, x: (sg.tanh(h @ w + x), None), xs[0] * 0, xs)[0])

    body = backward_body(loss, w, xs).attrs["body"]
    names = [node.op.name for node in body.region.graph if node.operands]
    assert "tanh" not in names
    assert names.count("matmul") == 1  # the one that pulls back through h @ w


def test_gradients_that_nobody_asked_for_are_not_computed():
    w, xs = arrays((4, 4), (6, 4))

    def loss(w, xs):
        return sg.sum(sg.scan(lambda h, x: (sg.tanh(h @ w + x @ w.mT), None), xs[0] * 0, xs)[0])

    wanted = backward_body(lambda w: loss(w, xs), w).attrs["body"]
    everything = sg.trace(sg.grad(loss, argnums=(0, 1)), w, xs)
    *_, last = [node for node in everything if "body" in node.attrs]
    assert len(wanted.region.outputs) == 2  # of the carry, and of w
    assert len(last.attrs["body"].outputs) == 3  # and of each position of xs


def test_the_sum_of_a_large_gradient_is_kept_in_place():
    w, xs = arrays((64, 64), (6, 64))

    def loss(w, xs):
        return sg.sum(sg.scan(lambda h, x: (sg.tanh(h @ w + x), None), xs[0] * 0, xs)[0])

    instruction = backward_body(loss, w, xs)
    region = instruction.attrs["body"].region
    assert region.owned == 2
    run = sg.compile(region.outputs, region.inputs, backend="numpy")
    assert not run.plan.in_place  # an executable of its own does not own what it is passed

    from staticgraph.backends.numpy import plan

    program = region.lower()
    (total,) = [v for v in plan(program).in_place.values() if v in program.owned]
    assert total.type.shape == (64, 64)


def test_the_first_carry_is_not_overwritten():
    start = np.ones(2000)
    run = sg.function(
        lambda x: sg.scan(lambda c, _: (c * 2.0, None), x, length=3)[0], backend="numpy"
    )
    assert run(start)[0] == 8.0
    assert start[0] == 1.0
    run = sg.function(
        lambda x: sg.while_loop(lambda c: sg.sum(c) < 9e3, lambda c: c * 2.0, x), backend="numpy"
    )
    assert run(start)[0] == 8.0
    assert start[0] == 1.0


def carried(xp, x, w, xs, same, loop):
    """Read the first carry before the loop, in it as a captured value, and after it."""
    before = xp.sin(x * 0.3)

    def step(carry, s):
        h, k = carry
        return (xp.tanh(h @ w + k * s) + h * 0.5 + k * x * 0.1, xp.sin(k * 0.5 + h) + x * 0.01), h

    first = (x, x) if same else (x, before)
    if loop == "scan":
        last, ys = xp.scan(step, first, xs)
    elif loop == "fori_loop":
        last = xp.fori_loop(0, 4, lambda i, carry: step(carry, xs[0])[0], first)
        ys = last[0]
    else:
        _, last = xp.while_loop(
            lambda state: state[0] < 4,
            lambda state: (state[0] + 1, step(state[1], xs[0])[0]),
            (np.int64(0), first),
        )
        ys = last[0]
    return xp.sum(xp.tanh(x * 0.7) * last[0] * last[1]) + xp.sum(ys) + xp.sum(before * x)


@pytest.mark.parametrize("loop", ["scan", "fori_loop", "while_loop"])
@pytest.mark.parametrize("same", [False, True], ids=["two values", "one value twice"])
@pytest.mark.parametrize("seed", range(5))
def test_what_is_carried_and_read_elsewhere_has_dyngraphs_gradient(loop, same, seed):
    rng = np.random.default_rng(seed)
    arrays = [
        (rng.standard_normal(shape) * scale).astype("float32")
        for shape, scale in (((4,), 1), ((4, 4), 0.4), ((5, 4), 1))
    ]
    tensors = [dg.tensor(array, requires_grad=True) for array in arrays]
    carried(dg, *tensors, same, loop).backward()
    gradient = sg.grad(lambda *args: carried(sg, *args, same, loop), argnums=(0, 1, 2))
    for backend in ("interpret", "numpy"):
        found = sg.function(gradient, backend=backend)(*arrays)
        for one, tensor in zip(found, tensors, strict=True):
            np.testing.assert_array_equal(one, tensor.grad.numpy())


SHARED = {
    "an operand twice": lambda xp, x, w: xp.cond(
        xp.sum(x) > 0, lambda a, b: xp.tanh(a) * b - a * w + b, lambda a, b: a * b, x, x
    ),
    "an operand and captured": lambda xp, x, w: xp.cond(
        xp.sum(x) > 0, lambda a: xp.tanh(a) * x - a * w + x, lambda a: a * x + w, x
    ),
    "captured by one branch": lambda xp, x, w: xp.cond(
        xp.sum(x) > 0, lambda a: a * w + xp.sin(a), lambda a: x * x - a * x * w, x
    ),
    "a switch": lambda xp, x, w: xp.switch(
        2, [lambda a, b: a, lambda a, b: b * w, lambda a, b: a * x + xp.exp(b) * w - b], x, x
    ),
    "nested": lambda xp, x, w: xp.cond(
        xp.sum(x) > 0,
        lambda a: xp.cond(
            xp.sum(a) > 0, lambda b: b * x + xp.sin(a) * b - w * x, lambda b: b * a * x * w, a
        ),
        lambda a: xp.cond(
            xp.sum(a) > -1,
            lambda: x * a + a * w,
            lambda: xp.tanh(a) * x,
        ),
        x,
    ),
    "in a loop": lambda xp, x, w: xp.scan(
        lambda c, i: (
            xp.cond(i > 1, lambda a: a * c + x * a * w, lambda a: xp.sin(a) + c, c),
            None,
        ),
        x * 0.5,
        xp.asarray(np.arange(4)),
    )[0],
}


@pytest.mark.parametrize("name", SHARED)
@pytest.mark.parametrize("seed", range(6))
def test_a_value_that_comes_in_twice_has_dyngraphs_gradient(name, seed):
    """What comes back to it is summed in the order of its uses, from wherever it was read."""

    def program(xp, x, w):
        return xp.sum(SHARED[name](xp, x, w) * w) + xp.sum(x * w)

    rng = np.random.default_rng(seed)
    arrays = [rng.standard_normal(7).astype("float32") for _ in range(2)]
    tensors = [dg.tensor(array, requires_grad=True) for array in arrays]
    program(dg, *tensors).backward()
    gradient = sg.grad(lambda *args: program(sg, *args), argnums=(0, 1))
    for backend in BACKENDS:
        found = sg.function(gradient, backend=backend)(*arrays)
        for one, tensor in zip(found, tensors, strict=True):
            assert one.tobytes() == tensor.grad.numpy().tobytes()


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_loop_adds_nothing_to_what_it_does_not_read(backend):
    """A zero that were added would turn -0.0 into 0.0."""

    def program(xp, x):
        last, _ = xp.scan(lambda c, i: (x, i), x * 0.5, xp.asarray(np.arange(2)))
        chosen = xp.cond(xp.sum(x) > -9, lambda a, b: b * 1, lambda a, b: b, x * 0.25, x)
        return xp.sum(last * -0.0) + xp.sum(chosen * -0.0)

    x = np.array([1.0, -2.0], "float32")
    tensor = dg.tensor(x, requires_grad=True)
    program(dg, tensor).backward()
    found = sg.function(sg.grad(lambda x: program(sg, x)), backend=backend)(x)
    assert np.signbit(found).all()
    assert found.tobytes() == tensor.grad.numpy().tobytes()
