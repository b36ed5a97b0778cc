"""Where no gradient comes back to a carry, a loop backwards has none either, and no zero for it.

A zero times an infinite derivative would be NaN, and added to -0.0 it would be 0.0.
"""

import numpy as np
import pytest

import dyngraph as dg
import staticgraph as sg

POINT = np.random.default_rng(0).standard_normal(3)
ROWS = np.random.default_rng(1).standard_normal((4, 3))


def a_carry_that_nobody_reads(xp, x, rows, reverse):
    def step(carry, row):
        a, norm = carry
        return (a * row + 1.0, xp.sqrt(xp.sum(norm * 0.0))), a * 2.0

    (a, _), ys = xp.scan(step, (x, xp.sum(x)), rows, reverse=reverse)
    return xp.sum(a) + xp.sum(ys)


def a_last_carry_that_nobody_reads(xp, x, rows, reverse):
    def step(carry, row):
        return xp.sqrt(carry * 0.0) * row, xp.sin(carry)

    _, ys = xp.scan(step, x, rows, reverse=reverse)
    return xp.sum(ys)


def a_carry_that_others_read_a_step_later(xp, x, rows, reverse):
    def step(carry, row):
        a, b, c = carry
        return (xp.sqrt(b * 0.0) + row, a * row, xp.sqrt(a * 0.0) * b), xp.sin(a) * c

    _, ys = xp.scan(step, (x, x, x), rows, reverse=reverse)
    return xp.sum(ys)


def carries_that_change_places(xp, x, rows, reverse):
    def step(carry, row):
        a, b = carry
        return (b * -row, a * -1.0), None

    (a, _), _ = xp.scan(step, (x, x * 2.0), rows, reverse=reverse)
    return xp.sum(a)


def zeros_of_both_signs(xp, x, rows, reverse):
    def step(carry, row):
        return -carry * row, carry * 0.0

    _, ys = xp.scan(step, x, rows, reverse=reverse)
    return xp.sum(ys)


def rows_with_negative_zeros(xp, x, rows, reverse):
    _, ys = xp.scan(lambda carry, row: (carry, row * -0.0), x, rows, reverse=reverse)
    return xp.sum(ys) + xp.sum(x)


def rows_that_only_a_dead_carry_reads(xp, x, rows, reverse):
    def step(carry, row):
        a, b = carry
        return (a * x, xp.sqrt(row * 0.0) * b), a

    (a, _), _ = xp.scan(step, (x, x), rows, reverse=reverse)
    return xp.sum(a) + xp.sum(rows * -0.0)


def a_carry_that_an_inner_loop_hands_nothing_back_to(xp, x, rows, reverse):
    def step(carry, row):
        def inner(state, v):
            p, q = state
            return (p * v, xp.sqrt(q * 0.0)), None

        a, b = carry
        return (xp.scan(inner, (a, b), xp.asarray(ROWS))[0][0], b), row * 2.0

    (a, _), ys = xp.scan(step, (x, xp.sqrt(x * -0.0)), rows, reverse=reverse)
    return xp.sum(a) + xp.sum(ys)


SCANS = [
    a_carry_that_nobody_reads,
    a_last_carry_that_nobody_reads,
    a_carry_that_others_read_a_step_later,
    carries_that_change_places,
    zeros_of_both_signs,
    rows_with_negative_zeros,
    rows_that_only_a_dead_carry_reads,
    a_carry_that_an_inner_loop_hands_nothing_back_to,
]


@np.errstate(divide="ignore", invalid="ignore")
def same_gradients(program, arguments, backend):
    def gradient(xp):
        return xp.grad(lambda *xs: program(xp, *xs), argnums=tuple(range(len(arguments))))

    expected = gradient(dg)(*arguments)
    found = sg.function(gradient(sg), backend=backend)(*arguments)
    for ours, theirs in zip(found, expected, strict=True):
        theirs = theirs.numpy()
        np.testing.assert_array_equal(ours, theirs)
        numbers = ~np.isnan(theirs)
        np.testing.assert_array_equal(np.signbit(ours[numbers]), np.signbit(theirs[numbers]))


@pytest.mark.parametrize("backend", ["interpret", "numpy", "native"])
@pytest.mark.parametrize("program", SCANS)
def test_scans(program, backend):
    for steps in (1, 2, 4) if backend == "interpret" else (4,):
        for reverse in (False, True):
            same_gradients(
                lambda xp, x, rows, reverse=reverse: program(xp, x, rows, reverse),
                (POINT, ROWS[:steps]),
                backend,
            )


@pytest.mark.parametrize("program", SCANS[:4])
def test_second_derivatives(program):
    def slope(xp, x):
        return xp.sum(xp.grad(lambda v: program(xp, v, ROWS * ROWS, False))(x) ** 2)

    same_gradients(slope, (POINT,), "numpy")


def dead(xp, x, steps):
    def body(state):
        i, a, norm = state
        return i + 1, a * x, xp.sqrt(norm * 0.0)

    return xp.sum(xp.while_loop(lambda state: state[0] < steps, body, (0, x, x * 1.0))[1])


def late(xp, x, steps):
    def body(state):
        i, a, b, c = state
        return i + 1, a * c, xp.sqrt(a * 0.0), xp.sqrt(b * 0.0) - a

    return xp.sum(xp.while_loop(lambda state: state[0] < steps, body, (0, x, x, x))[1])


def inside(xp, x, steps):
    def body(state):
        def inner(pair, v):
            return (pair[0] * v, xp.sqrt(pair[1] * 0.0)), None

        i, a, b = state
        return i + 1, xp.scan(inner, (a, b), xp.asarray(ROWS))[0][0], b

    first = (0, x, xp.sqrt(x * -0.0))
    return xp.sum(xp.while_loop(lambda state: state[0] < steps, body, first)[1])


@pytest.mark.parametrize("backend", ["interpret", "numpy", "native"])
@pytest.mark.parametrize("program", [dead, late, inside])
def test_while_loops(program, backend):
    for steps in (0, 1, 2, 5):
        same_gradients(lambda xp, x, steps=steps: program(xp, x, steps), (POINT,), backend)


def test_a_loop_of_a_length_that_is_not_known():
    places = (0, 1)
    graph = sg.Graph()
    with graph:
        x = sg.placeholder("x", (3,), np.float64)
        rows = sg.placeholder("rows", (sg.dim("rows_carried"), 3), np.float64)
        total = a_carry_that_nobody_reads(sg, x, rows, False)
        run = sg.compile(sg.gradients(total, [x, rows]))
    for steps in (2, 4):
        expected = dg.grad(
            lambda x, rows: a_carry_that_nobody_reads(dg, x, rows, False), argnums=places
        )(POINT, ROWS[:steps])
        for ours, theirs in zip(run(POINT, ROWS[:steps]), expected, strict=True):
            np.testing.assert_array_equal(ours, theirs.numpy())


def unread_outside(xp, inner):
    """Return a loop around another one, with a carry that nobody reads."""

    def loop(x, rows):
        def step(carry, row):
            a, norm = carry
            return (inner(a * row, rows) + 1.0, xp.sqrt(xp.sum(norm * 0.0))), a * 2.0

        (a, _), ys = xp.scan(step, (x, xp.sum(x)), rows * 1.0)
        return a + xp.sum(ys)

    return loop


def read_a_step_later(xp, inner):
    """Return a loop around another one whose carries others read steps later."""

    def loop(x, rows):
        def step(carry, row):
            a, b, c = carry
            first = inner(xp.sqrt(b * 0.0) + row, rows)
            return (first, a * row, xp.sqrt(a * 0.0) * b), xp.sin(a) * c

        _, ys = xp.scan(step, (x, x, x), rows * 1.0)
        return x * xp.sum(ys)

    return loop


def plain(xp, inner):
    def loop(x, rows):
        carry, _ = xp.scan(lambda a, row: (inner(a * row, rows) + 1.0, None), x, rows * 1.0)
        return carry

    return loop


NESTS = {
    "outermost": lambda outer, depth: [outer, *[plain] * (depth - 1)],
    "innermost": lambda outer, depth: [*[plain] * (depth - 1), outer],
    "each": lambda outer, depth: [outer] * depth,
}


@pytest.mark.parametrize("outer", [unread_outside, read_a_step_later])
@pytest.mark.parametrize("where", NESTS)
@pytest.mark.parametrize("depth", [3, 4])
def test_loops_nested_deep_have_no_gradient_where_none_comes_back(outer, where, depth):
    def program(xp, x, rows):
        loop = lambda x, rows: xp.sin(x)  # noqa: E731
        for around in reversed(NESTS[where](outer, depth)):
            loop = around(xp, loop)
        return xp.sum(loop(x, rows))

    with np.errstate(all="ignore"):
        x, rows = (dg.tensor(each, requires_grad=True) for each in (POINT, ROWS[:2]))
        y = program(dg, x, rows)
        y.backward()
        with sg.Graph():
            nodes = [
                sg.placeholder(f"x{i}", each.shape, "float64") for i, each in enumerate((x, rows))
            ]
            z = program(sg, *nodes)
            run = sg.compile([z, *sg.gradients(z, nodes)], nodes, backend="numpy")
        found = run(POINT, ROWS[:2])
    for one, other in zip(found, (y.detach(), x.grad, rows.grad), strict=True):
        np.testing.assert_array_equal(one, other.numpy())
        finite = ~np.isnan(one)
        assert np.array_equal(np.signbit(one)[finite], np.signbit(other.numpy())[finite])


def captured(xp, x, rows):
    def step(carry, row):
        return xp.sin(carry * row) + xp.sum(rows * carry, axis=0), xp.cos(carry) * row

    carry, ys = xp.scan(step, x, rows)
    return xp.sum(carry) + xp.sum(ys * rows)


def captured_with_others(xp, x, rows):
    other = rows * 1.5

    def step(carry, pair):
        one, two = pair
        return carry * xp.sum(other * one + rows) + two, one * two * xp.mean(rows)

    carry, ys = xp.scan(step, x + rows[0], (rows, other))
    return xp.sum(carry * ys) + xp.sum(other * x)


@pytest.mark.parametrize("program", [captured, captured_with_others])
def test_rows_that_the_body_captures_sum_their_gradients_in_one_order(program):
    x, rows = (dg.tensor(each, requires_grad=True) for each in (POINT, ROWS))
    program(dg, x, rows).backward()
    with sg.Graph():
        nodes = [sg.placeholder("x", (3,), "float64"), sg.placeholder("rows", (4, 3), "float64")]
        slopes = sg.gradients(program(sg, *nodes), nodes)
        found = sg.compile(slopes, nodes, backend="numpy")(POINT, ROWS)
    for one, other in zip(found, (x.grad, rows.grad), strict=True):
        np.testing.assert_array_equal(one, other.numpy())


def nothing_captured_is_read(xp, x, rows):
    total, ys = xp.scan(lambda c, row: (c * xp.sin(x) + row, c * x), x * 2.0, rows[:0])
    return xp.sum(total * xp.cos(x)) + xp.sum(ys)


def no_rounds(xp, x, rows):
    return xp.sum(xp.fori_loop(0, 0, lambda i, c: c * xp.sin(rows[i]), x))


def rounds_that_read_nothing_of_it(xp, x, rows):
    return xp.sum(xp.fori_loop(0, 2, lambda i, c: c * 2.0 + xp.stop_gradient(xp.sin(rows[0])), x))


def turns_that_read_nothing_of_it(xp, x, rows):
    row = xp.sin(rows[0])
    found = xp.while_loop(
        lambda c: xp.sum(c * c) < 90.0, lambda c: c * 2.0 + xp.stop_gradient(row) * 0.01, x
    )
    return xp.sum(found) - xp.sum(rows[1])


def a_branch_that_reads_nothing_of_it(xp, x, rows):
    still = xp.stop_gradient
    row = xp.sin(rows[0])
    found = xp.cond(xp.sum(x) > 99.0, lambda: x * still(row), lambda: x - still(row))
    return xp.sum(found) + xp.sum(rows[1])


@pytest.mark.parametrize("backend", ["interpret", "numpy", "native"])
@pytest.mark.parametrize(
    "program",
    [
        nothing_captured_is_read,
        no_rounds,
        rounds_that_read_nothing_of_it,
        turns_that_read_nothing_of_it,
        a_branch_that_reads_nothing_of_it,
    ],
)
def test_what_no_step_gives_a_gradient_has_none(program, backend):
    if backend == "native":
        pytest.importorskip("llvmlite")
    x, rows = POINT * -2.0, ROWS
    leaves = [dg.tensor(each, requires_grad=True) for each in (x, rows)]
    expected = dg.grad(program(dg, *leaves), leaves, unused="zero")
    with sg.Graph(finalize=False):
        inputs = [sg.placeholder(n, a.shape, "float64") for n, a in (("x", x), ("rows", rows))]
        found = sg.gradients(program(sg, *inputs), inputs, unused="zero")
        run = sg.compile(found, inputs, backend=backend)
    for one, other in zip(run(x, rows), expected, strict=True):
        np.testing.assert_array_equal(one, other.numpy())
        np.testing.assert_array_equal(np.signbit(one), np.signbit(other.numpy()))
