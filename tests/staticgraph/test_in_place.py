"""Writing in place means the same in both modes and in NumPy, or is refused by name."""

import networkx as nx
import numpy as np
import pytest
from tests.staticgraph.in_place_programs import Program

import dyngraph as dg
import staticgraph as sg
from oplibrary.executors.in_place import IN_PLACE_METHODS, IN_PLACE_OPERATORS
from oplibrary.messages.errors import (
    DTypeError,
    FinalGraphError,
    InPlaceError,
    ShapeError,
    SideBySideError,
)

X = np.array([0.5, -1.25, 2.0, 3.5])
MATRIX = np.arange(1.0, 13.0).reshape(3, 4) / 7


def total(m, values):
    """Return a number that every element of `values` has a part in."""
    result = 0.0
    for number, value in enumerate(values):
        result = result + m.sum(m.sin(value) * (number + 1.0))
    return result


def dynamic(program, *arrays):
    """Return the values of `program` and the gradient of their total with respect to each input.

    There is no gradient where a write overwrote what it needs, which this mode refuses.
    """
    leaves = [dg.tensor(x.copy(), requires_grad=True) for x in arrays]
    values = listed(program(dg, *leaves))
    found = [x.detach().numpy().copy() for x in values]
    try:
        total(dg, values).backward()
    except InPlaceError:
        return found, None
    grads = [x.grad.numpy() if x.grad is not None else np.zeros(x.shape, x.dtype) for x in leaves]
    return found, grads


def static(program, *arrays, backend="numpy"):
    """Return what `dynamic` does, from a declared graph."""
    graph = sg.Graph()
    with graph:
        inputs = [sg.placeholder(f"x{i}", x.shape, x.dtype) for i, x in enumerate(arrays)]
        values = listed(program(sg, *inputs))
        grads = sg.gradients(total(sg, values), inputs, unused="zero")
        outputs = sg.compile([*values, *grads], inputs, backend=backend)(*arrays)
    assert nx.is_directed_acyclic_graph(graph)
    assert all(operand.sequence < node.sequence for node in graph for operand in node.operands)
    return outputs[: len(values)], outputs[len(values) :]


def listed(result):
    return list(result) if isinstance(result, (tuple, list)) else [result]


def slope(program, arrays, directions):
    """Return how the total changes along `directions`, by differences."""
    step = 1e-6

    def at(sign):
        moved = [x + sign * step * d for x, d in zip(arrays, directions, strict=True)]
        return float(total(dg, listed(program(dg, *map(dg.tensor, moved)))).numpy())

    return (at(1) - at(-1)) / (2 * step)


def compare(program, *arrays, expected=None):
    """Compare the values and gradients of `program` in both modes; bit for bit but in native."""
    values, grads = dynamic(program, *arrays)
    if expected is not None:
        for x, y in zip(values, expected, strict=True):
            np.testing.assert_array_equal(x, y)
    for backend in ("interpret", "numpy", "native"):
        found, found_grads = static(program, *arrays, backend=backend)
        if grads is None:
            rng = np.random.default_rng(0)
            directions = [rng.normal(size=x.shape) for x in arrays]
            along = sum(np.sum(g * d) for g, d in zip(found_grads, directions, strict=True))
            np.testing.assert_allclose(along, slope(program, arrays, directions), rtol=1e-4)
        pairs = [*zip(values, found, strict=True), *zip(grads or [], found_grads, strict=False)]
        for x, y in pairs:
            assert x.dtype == y.dtype and x.shape == y.shape
            if backend == "native":
                np.testing.assert_allclose(x, y, rtol=1e-11, atol=1e-11)
            else:
                np.testing.assert_array_equal(x, y)


@pytest.mark.parametrize("block", range(8))
def test_random_programs_give_numpys_values_and_dyngraphs_gradients(block):
    for seed in range(block * 5, block * 5 + 5):
        program = Program(seed)
        try:
            compare(program.run_on, *program.inputs, expected=program.expected)
        except Exception as error:
            error.add_note(f"seed {seed}:\n{program.text}")
            raise


def test_an_alias_sees_the_change():
    def program(m, x):
        y = x * 1.0
        z = y
        z += 1
        return y

    compare(program, X, expected=[X + 1])


def test_rows_of_a_loop_and_values_of_a_dict_are_written_to():
    def program(m, x):
        params = {"w": x * 2.0}
        for row in params["w"]:
            row += 5
        w = params["w"]
        w -= 0.1 * x
        return params["w"]

    compare(program, MATRIX)


@pytest.mark.parametrize("operator", IN_PLACE_OPERATORS)
def test_every_operator_writes_through_a_view(operator):
    integer = operator in ("__iand__", "__ior__", "__ixor__", "__ilshift__", "__irshift__")

    def program(m, x):
        y = m.astype(x, "int64") if integer else x * 1.0
        if operator == "__imatmul__":
            y = m.stack([x, x, x, x])
            view, other = y.T, y * 1.0
        else:
            view, other = y[::-1], (m.abs(y) if integer else m.abs(y[1:2]) + 1)
        alias = view
        result = getattr(view, operator)(other)
        assert result is view is alias
        return (y, view) if not integer else (x * y, x * view)

    compare(program, np.abs(X) * 1.5)


@pytest.mark.parametrize("method", sorted(IN_PLACE_METHODS))
def test_every_method_of_a_node_does_what_that_of_a_tensor_does(method):
    binary = method in ("sub_", "add_", "mul_", "div_", "pow_", "floor_divide_", "remainder_")
    binary = binary or method in ("maximum_", "minimum_")
    arguments = (1.5,) if binary else (0.25, 0.75) if method in ("clip_", "clamp_") else ()
    truth = method.startswith(("bitwise", "logical"))
    x = X > 1 if truth else np.array([1.25, 1.5, 2.0]) if method == "acosh_" else np.abs(X) / 4
    arguments = (~x,) if truth else arguments
    tensor = dg.where(x, True, False) if truth else dg.tensor(x.copy()) * 1.0
    view = tensor[::-1]
    with sg.Graph():
        p = sg.placeholder("p", x.shape, x.dtype)
        node = sg.where(p, True, False) if truth else p * 1.0
        other = node[::-1]
        assert getattr(other, method)(*arguments) is other
        found = sg.compile([node, other], [p], backend="numpy")(x)
    getattr(view, method)(*arguments)
    for a, b in zip((tensor, view), found, strict=True):
        np.testing.assert_array_equal(a.numpy(), b)


@pytest.mark.parametrize(
    "key",
    [
        0,
        -1,
        slice(1, None),
        slice(None, None, -1),
        slice(None, None, 2),
        (slice(1, None), None),
        (..., 1),
        (slice(None), [0, 0, 2]),
        [1, 1, 0],
        np.array([[0, 1], [2, 2]]),
        (np.array([0, 2]), np.array([1, 1])),
        np.array([True, False, True]),
        (slice(None), np.array([True, False, True, True])),
        (),
        None,
    ],
    ids=repr,
)
def test_every_form_of_assignment(key):
    def plain(m, x):
        y = x * 1.0
        y[key] = m.cos(x)[key] * 2
        return y

    def added(m, x):
        y = m.zeros_like(x)
        y[key] += m.cos(x)[key]
        return y

    expected = MATRIX.copy()
    expected[key] = np.cos(MATRIX)[key] * 2
    compare(plain, MATRIX, expected=[expected])
    compare(added, MATRIX)


def test_assignment_converts_and_broadcasts():
    def program(m, x):
        y = m.zeros((3, 4), dtype="float64")
        y[1] = 2
        y[:, 1] = x[0]
        y[0] = [1, 2, 3, 4]
        y[1, :2] = [x[0], 3.0]
        y[2, :2] = np.float32(0.5)
        z = m.astype(x, "float32")
        z += x  # computed in float64, then rounded
        z[1:] = x[0]
        return y, m.astype(z, "float64")

    compare(program, X)


def test_views_of_views_and_their_sisters_follow():
    def program(m, x):
        y = m.sin(x)
        t = y.T
        v, w = t[1:], y.reshape(-1)
        s = v[:, ::-1]
        before = y * 1.0
        s *= 3
        w[::5] += before[0, 0]
        t[0] = w[:3]
        late = y[2]
        y -= 0.5
        return y, t, v, w, s, late, before

    compare(program, MATRIX)


def test_every_view_of_the_library_is_written_through():
    def program(m, x):
        y = m.stack([x, x * 2])
        a, b = m.swapaxes(y, 0, 2), m.matrix_transpose(y)
        a[0] += 1
        b[:, 1] *= 3
        c = m.squeeze(m.expand_dims(y, axis=1))
        c -= 1
        m.moveaxis(y, 0, 2)[..., 0] += 5
        f = m.flip(y, axis=1)
        f[0] += x[0]
        first, second = m.split(y, 2, axis=1) if x.shape[0] % 2 == 0 else (y[:, :1], y[:, 1:2])
        second[:] = first
        s = m.sum(y)
        number = s
        s += 1
        empty = y[2:]
        empty += 1
        z = m.stack([x[0], x[1], x[2], x[0]])
        z[...] = z.T
        z.T[:] = z
        return y, a, b, c, f, first, second, s, number, z

    compare(program, MATRIX)


def test_gradients_of_gradients_go_through_writes():
    def program(m, x):
        def f(a):
            b = m.sin(a)
            b[1:] *= a[:-1]
            b *= b * 1
            return m.sum(b * a)

        first = m.grad(f)
        return m.grad(lambda a: m.sum(first(a) * first(a)))(x)

    compare(program, MATRIX)


def test_a_reshape_that_copies_is_no_view():
    def program(m, x):
        y = x * 1.0
        copy, view = y.T.reshape(-1), y.reshape(-1)
        copy *= 0
        view[0] = 5
        z = y.T * 2.0  # laid out by columns
        flat = z.reshape(-1)
        flat += 1
        return y, copy, view, z, flat

    y = MATRIX.copy()
    y[0, 0] = 5
    compare(
        program,
        MATRIX,
        expected=[y, y.reshape(-1) * 0, y.reshape(-1), y.T * 2, (y.T * 2).reshape(-1) + 1],
    )


def test_what_was_computed_before_the_write_stays():
    def program(m, x):
        y = x * 2
        before = y * y
        y += 1
        after = y * y
        return before, after, y

    compare(program, X, expected=[4 * X * X, (2 * X + 1) ** 2, 2 * X + 1])


def test_a_detached_alias_follows_without_a_gradient():
    def program(m, x):
        y = x * 2
        c = y.detach()
        y *= 3
        return y, c

    compare(program, X, expected=[6 * X, 6 * X])


def test_fill_zero_copy_and_out():
    def program(m, x):
        a, b, c, d = x * 1, x * 1, x * 1, x * 1
        a.fill_(2.0)
        b[1:].zero_()
        c.copy_(x[::-1])
        c += 1
        np.multiply(d, x, out=d)
        np.add(x[:1], 1.0, out=b[:1])
        return a, b, c, d

    compare(program, X)


def test_arrays_that_are_made_equal_are_written_to_apart():
    def program(m, x):
        a, b = m.zeros(4, dtype="float64"), m.zeros(4, dtype="float64")
        a += x
        c = m.asarray([1.0, 2.0])
        d = m.asarray([1.0, 2.0])
        c *= 2
        return a, b, m.astype(c, "float64"), m.astype(d, "float64")

    compare(program, X, expected=[X, X * 0, np.array([2.0, 4.0]), np.array([1.0, 2.0])])


def test_a_python_number_is_rebound():
    @sg.function
    def program(x, n):
        k = n
        k += 1
        return x * n, x * k

    first, second = program(X, 2.0)
    np.testing.assert_array_equal(first, X * 2)
    np.testing.assert_array_equal(second, X * 3)


def test_loops_in_python():
    def program(m, x):
        y = m.zeros_like(x)
        for i in range(len(X)):
            y[i] = x[i] * i
            if i:
                y[i] += y[i - 1]
        y[1:] += y[:-1]
        return y

    compare(program, X)


# control flow -------------------------------------------------------------------------------------


def test_writes_inside_branches_and_loop_bodies():
    def program(m, x):
        def double(a):
            b = a * 1.0
            b[0] *= 2
            return b

        def step(i, carry):
            carry[1:] += carry[:-1] * 0.5
            return carry

        def body(carry, row):
            new = m.zeros_like(carry)
            new += row
            new[0] = carry[0]
            carry *= 0.5
            return carry + new, carry

        chosen = m.cond(x[0] > 0, double, lambda a: a * 3.0, x)
        chosen += 1
        looped = m.fori_loop(0, 3, step, x)
        looped[0] -= 1
        last, rows = m.scan(body, x, m.stack([x, x * 2]))
        last *= 2
        rows[0] += 1
        wide = m.while_loop(lambda c: c[0] < 20.0, lambda c: step(0, c.mul_(2.0)), x * 1.0)
        return chosen, looped, last, rows, wide, x * 1

    compare(program, X)


@pytest.mark.parametrize("seed", range(50, 56))
def test_random_programs_inside_branches_and_loop_bodies(seed):
    program = Program(seed)

    def branch(m, *inputs):
        def run(*given):
            # each on its own: one value that is returned three times is summed up in another order
            return tuple([x * 1.0 for x in program.run_on(m, *given)])

        return m.cond(
            inputs[0][0] < 5.0, run, lambda *given: run(*[x * 1.0 for x in given]), *inputs
        )

    def loop(m, *inputs):
        def step(_, carry):
            values = program.run_on(m, *carry)
            own = values[len(inputs) :][: len(inputs)]
            for x in own:
                x *= 0.5
            return tuple(own)

        return m.fori_loop(0, 2, step, inputs)

    compare(branch, *program.inputs, expected=program.expected)
    compare(loop, *program.inputs)


def test_stale_views_are_captured_as_they_are():
    def program(m, x):
        y = x * 1.0
        v = y[1:]
        y += 1
        a = m.cond(x[0, 0] < 5, lambda: v * y[0], lambda: v * 0.0)
        v *= 2
        b = m.fori_loop(0, 2, lambda i, c: c * 0.5 + v[0] + y[1], y[2])
        y -= b
        a += y[:2]
        return a, b, y, v

    compare(program, MATRIX)


def test_trees_of_carries_are_written_to():
    def program(m, x):
        def step(_, state):
            state["a"][0] += state["b"][1]
            state["b"][1:] *= 0.5
            t = state["a"].T
            t -= 0.1
            return state

        def place(carry, row):
            k, c = carry
            c[k] = row * 2
            c[k] += c[0]
            return (k + 1, c), None

        state = m.fori_loop(0, 3, step, {"a": x * 1.0, "b": m.sin(x)})
        state["a"] += state["b"]
        (_, placed), _ = m.scan(place, (m.asarray(0), m.zeros((3, 4), dtype="float64")), x)
        return state["a"], state["b"], placed

    compare(program, MATRIX)


def in_rows(m, x):
    def step(k, c):
        row, last = c[k], c[k - 1, 1:]
        row -= c[k - 1]
        last *= 2.0
        row[1:] += last
        return c

    return m.fori_loop(1, 3, step, x * 1.0)


def in_columns(m, x):
    def step(k, c):
        column = c[:, k]
        np.add(column, c[:, k - 1], out=column)
        column[1:].mul_(0.5)
        c[..., k - 1][0] = 7.0
        return c

    return m.fori_loop(1, 4, step, x * 1.0)


def exchanged(m, x):
    def step(k, c):
        row = c[k]
        c[k] = c[k - 1]  # which the row sees
        c[k - 1] = row * 0.5
        c[k, 1:] += row[:-1]
        return c

    return m.fori_loop(1, 3, step, x * 1.0)


def of_two_counters(m, x):
    def outer(i, c):
        def inner(j, d):
            one = d[i, j]
            one += d[j - 1, i]
            return d

        return m.fori_loop(1, 3, inner, c)

    return m.fori_loop(0, 2, outer, x * 1.0)


def carried(m, x):
    def step(k, state):
        c, last = state
        c[k] += last
        last *= 0.5
        return c, c[k]

    c, last = m.fori_loop(0, 3, step, (x * 1.0, x[0] * 1.0))
    last += 1.0
    return c, last


COUNTED = [in_rows, in_columns, exchanged, of_two_counters, carried]


@pytest.mark.parametrize("program", COUNTED, ids=lambda f: f.__name__)
def test_what_a_counter_selects_is_a_view(program):
    compare(program, MATRIX)


def test_what_a_number_that_is_passed_selects_is_a_view():
    def program(x, k):
        y = x * 1.0
        row = y[k]
        row += 10.0
        y[:, k] *= 2.0
        return y

    found = sg.function(program)(MATRIX, 1)
    np.testing.assert_array_equal(found, program(MATRIX, 1))


def test_the_carry_of_a_loop_is_its_own_in_memory():
    def step(_, carry):
        x, _ = carry
        x += 1.0
        return x, x

    x, y = dg.fori_loop(0, 2, step, (dg.zeros(2), dg.zeros(2)))
    x += 1.0
    assert (x.tolist(), y.tolist()) == ([3.0, 3.0], [2.0, 2.0])


def test_a_loop_never_writes_to_what_it_starts_from():
    def program(m, x):
        y = x * 1.0
        z = m.fori_loop(0, 2, lambda i, c: c.add_(1.0), y)
        return y, z

    compare(program, X, expected=[X, X + 2])
    y = dg.tensor(X.copy())
    dg.fori_loop(0, 2, lambda i, c: c.add_(1.0), y)
    np.testing.assert_array_equal(y.numpy(), X)


def test_what_a_scan_stacks_is_what_each_step_gave():
    def program(m, x):
        def body(c, _):
            c += 1
            return c, c

        return m.scan(body, x * 1.0, length=3)[1]

    compare(program, X, expected=[np.stack([X + 1, X + 2, X + 3])])


READS = {
    "scan": lambda m, v: m.scan(lambda c, r: (c * 1.1, r * c), v, m.stack([v, v * 0.5])),
    "fori_loop": lambda m, v: m.fori_loop(0, 2, lambda i, c: c * v, v),
    "while_loop": lambda m, v: m.while_loop(
        lambda s: s[0] < 2, lambda s: (s[0] + 1, s[1] * v), (m.asarray(0), v)
    )[1:],
    "cond": lambda m, v: m.cond(m.sum(v) > 9.0, lambda a: a * 2.0, lambda a: a * m.sum(v), v),
    "switch": lambda m, v: m.switch(m.asarray(1), [lambda: v * 2.0, lambda: v * m.sum(v)]),
    "map": lambda m, v: m.map(lambda r: r * m.sum(v), m.stack([v, v])),
    "sin": lambda m, v: m.sin(v) * v,
}
ITSELF = {
    "copy_": lambda v: v.copy_(v),
    "copy_ of a view": lambda v: v[1:].copy_(v[1:]),
    "copy_ into a view": lambda v: v[:-1].copy_(v[1:]),
    "an assignment": lambda v: v.__setitem__(..., v),
    "out=": lambda v: np.add(v, 0.0, out=v),
    "+=": lambda v: v.__iadd__(v),
}


@pytest.mark.parametrize("written", ITSELF)
@pytest.mark.parametrize("read", READS)
def test_gradients_are_added_in_one_order_where_a_value_is_overwritten_with_itself(read, written):
    def program(m, x):
        v = x * 1.0
        view = m.flip(v, axis=0)
        before = listed(READS[read](m, view)) + listed(READS[read](m, v))
        ITSELF[written](v)
        after = listed(READS[read](m, v))
        ITSELF[written](view)
        return [*before, *after, v, view, v[::2], view * v]

    x = np.random.default_rng(0).uniform(-1, 1, 9).astype("float32")
    values, grads = dynamic(program, x)
    found, found_grads = static(program, x)
    for a, b in zip([*values, *(grads or [])], [*found, *found_grads], strict=False):
        np.testing.assert_array_equal(a, b)


def shared_gradients(a, b):
    return sg.gradients(sg.sum(a + b), [a, b])


REFUSED = {
    "captured": lambda x, y: sg.cond(x[0] > 0, lambda: y.add_(1), lambda: y * 1),
    "captured view": lambda x, y: sg.fori_loop(0, 2, lambda i, c: y[1:].add_(c), x[1:]),
    "operand": lambda x, y: sg.cond(x[0] > 0, lambda a: a.add_(1), lambda a: a * 1, y),
    "row": lambda x, y: sg.scan(lambda c, r: (c, r.add_(1)), x, sg.stack([x, y])),
    "result that is an operand": lambda x, y: sg.cond(x[0] > 0, lambda: x, lambda: y).add_(1),
    "carry twice": lambda x, y: sg.fori_loop(
        0, 2, lambda i, c: (c[0].add_(1), c[0]), (x * 1, y * 1)
    ),
    "carry from outside": lambda x, y: sg.fori_loop(
        0, 2, lambda i, c: (c[0].add_(1), y)[::-1], (x * 1, y * 1)
    ),
    "argument": lambda x, y: x.add_(1),
    "view of an argument": lambda x, y: x[1:].add_(1),
    "detached": lambda x, y: y.detach().add_(1),
    "broadcast": lambda x, y: sg.broadcast_to(y, (2, 4)).add_(1),
    "an array from outside": lambda x, y: sg.asarray(X).add_(1),
    "differentiated": lambda x, y: sg.grad(lambda a: sg.sum(a.mul_(2)))(y),
    "differentiated, by another name": lambda x, y: sg.grad(
        lambda a: (y[1:].add_(1), sg.sum(a * a))[1]
    )(y),
    "operand that a branch may give": lambda x, y: (
        sg.cond(x[0] > 0, lambda a: a, lambda a: a * 2, y),
        y.add_(1),
    ),
    "captured, that a branch may give a view of": lambda x, y: (
        sg.switch(sg.asarray(1), [lambda: y[1:] * 2, lambda: y[1:]]),
        y.fill_(1),
    ),
    "view of what a branch may give": lambda x, y: (
        sg.cond(x[0] > 0, lambda a: a[::-1], lambda a: a * 2, y),
        y[:2].add_(1),
    ),
    "base of what a branch may give": lambda x, y: (
        sg.cond(x[0] > 0, lambda a: a, lambda a: a * 2, y[1:]),
        y.mul_(2),
    ),
    "captured, that a branch in a branch may give": lambda x, y: (
        sg.cond(x[0] > 0, lambda: sg.cond(x[1] > 0, lambda: y, lambda: x), lambda: x),
        y.sin_(),
    ),
    "captured, that a loop gives": lambda x, y: (
        sg.fori_loop(0, 2, lambda i, c: y, x),
        y.copy_(x),
    ),
    "captured, that a loop without a known end gives": lambda x, y: (
        sg.while_loop(lambda s: s[0] < 2, lambda s: (s[0] + 1, y), (sg.asarray(0), x)),
        y.copy_(x),
    ),
    "rows that a scan gives": lambda x, y: (
        sg.scan(lambda c, r: (r, None), x, z := sg.stack([x, y])),
        z.add_(1),
    ),
    "a carry that a branch may give": lambda x, y: sg.fori_loop(
        0, 2, lambda i, c: (sg.cond(x[0] > 0, lambda a: a, lambda a: a * 2, c), c.add_(1))[0], y
    ),
    "a gradient that is shared": lambda x, y: shared_gradients(x * 1.0, y)[0].add_(1),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_a_graph_cannot_follow_is_refused(what):
    with sg.Graph():
        x = sg.placeholder("x", (4,), "float64")
        y = x * 2.0
        with pytest.raises(InPlaceError) as raised:
            REFUSED[what](x, y)
    assert raised.value.source is not None
    assert raised.value.source.filename == __file__


WRITES = {
    "copy_": lambda m, y, x: y.copy_(x),
    "[...] =": lambda m, y, x: y.__setitem__(..., x),
    "[1:] =": lambda m, y, x: y.__setitem__(np.s_[1:], x),
    "a view": lambda m, y, x: y[::-1].copy_(x),
    "+=": lambda m, y, x: y.__iadd__(x),
    "out=": lambda m, y, x: np.subtract(y, x, out=y),
}


@pytest.mark.parametrize("kept", ["nothing", "what was there"])
@pytest.mark.parametrize("dtypes", [("float32", "float64"), ("float64", "float32")])
@pytest.mark.parametrize("how", WRITES)
def test_the_gradient_of_what_is_broadcast_and_cast_is_summed_in_the_dtype_written_to(
    how, dtypes, kept
):
    if dtypes == ("float64", "float32") and how in ("+=", "out="):
        dtypes = ("float64", "float16")  # narrower is what these may write to

    def program(m, x, z):
        y = z * 1.0 if kept == "what was there" else m.zeros_like(z)
        WRITES[how](m, y, x)
        return y * y

    rng = np.random.default_rng(0)
    x, z = rng.uniform(-1, 1, 5).astype(dtypes[0]), rng.uniform(-1, 1, (7, 5)).astype(dtypes[1])
    (value, grads), (traced, declared) = dynamic(program, x, z), static(program, x, z)
    np.testing.assert_array_equal(value[0], traced[0], strict=True)
    for one, other in zip(grads, declared, strict=True):
        np.testing.assert_array_equal(one, other, strict=True)


def test_a_function_that_writes_is_differentiated():
    def program(m, x):
        def inner(a):
            b = a * 1.0
            b[1:] *= a[:-1]
            b += a
            return m.sum(b * b)

        y = x * 2.0
        value, grad = m.value_and_grad(inner)(y)
        y *= 0.5
        return grad * y, value * y

    compare(program, X)


def test_the_fix_for_an_argument_runs():
    @sg.function
    def wrong(x):
        x += 1
        return x

    @sg.function
    def right(x):
        x = x.clone()
        x += 1
        return x

    with pytest.raises(InPlaceError, match="x = x.clone()"):
        wrong(X)
    given = X.copy()
    np.testing.assert_array_equal(right(given), X + 1)
    np.testing.assert_array_equal(given, X)


def test_a_variable_is_assigned_to():
    with sg.Graph():
        w = sg.variable([1.0, 2.0])
        with pytest.raises(InPlaceError, match=r"w\.assign"):
            w -= 0.5


@pytest.mark.parametrize(
    ("error", "change"),
    [
        (ShapeError, lambda m, y: y.add_(m.stack([y, y]))),
        (DTypeError, lambda m, y: m.astype(y, "int64").div_(2)),
        (DTypeError, lambda m, y: y.add_(1j)),
        (InPlaceError, lambda m, y: m.broadcast_to(y, (3, 4)).mul_(2.0)),
        (SideBySideError, lambda m, y: y.__setitem__(7, 1.0)),
        (SideBySideError, lambda m, y: y.__setitem__(slice(2), y)),
    ],
)
def test_both_modes_refuse_alike(error, change):
    with pytest.raises(error) as first:
        change(dg, dg.tensor(X.copy()) * 1.0)
    with sg.Graph(), pytest.raises(error) as second:
        change(sg, sg.placeholder("x", (4,), "float64") * 1.0)
    assert first.value.id == second.value.id
    assert first.value.what == second.value.what


# the graph ----------------------------------------------------------------------------------------


def test_a_node_is_its_newest_value_everywhere():
    with sg.Graph(finalize=False) as graph:
        x = sg.placeholder("x", (4,), "float64")
        y = x * 2.0
        view = y[1:]
        session = sg.Session(graph)
        before = session.run([y, view], {x: X})
        view += 1
        after = session.run([y, view], {x: X})
        assert graph.node("multiply") is not y
        old = session.run(graph.node("multiply"), {x: X})
    np.testing.assert_array_equal(before[0], 2 * X)
    np.testing.assert_array_equal(after[0], 2 * X + [0, 1, 1, 1])
    np.testing.assert_array_equal(after[1], (2 * X + 1)[1:])
    np.testing.assert_array_equal(old, 2 * X)
    assert graph.node("multiply") in nx.ancestors(graph, y)
    assert y in nx.ancestors(graph, view)


def test_a_stale_view_is_a_node_for_whoever_asks():
    with sg.Graph() as graph:
        x = sg.placeholder("x", (4,), "float64")
        y = x * 2.0
        views = [y[1:] for _ in range(6)]
        y += 1
        assert views[0].shape == (3,)
        assert "basic_index" in repr(views[1])
        assert views[2].operands == (y,)
        assert views[3] in graph
        assert views[4].graph is graph
        assert len({*views}) == 6
        assert sg.asarray(views[5]) is views[5]


def test_a_final_graph_is_not_written_to():
    with sg.Graph():
        x = sg.placeholder("x", (4,), "float64")
        y = x * 2.0
        sg.compile(y, [x])
        with pytest.raises(FinalGraphError):
            y += 1


def test_lengths_that_each_run_chooses():
    with sg.Graph():
        n = sg.dim("n")
        x = sg.placeholder("x", (n, 3), "float64")
        y = x * 1.0
        flat, t = y.reshape(-1), y.T
        y[1:] += y[:-1]
        t[0] = 7
        run = sg.compile([y, flat, t], [x])
        for length in (2, 5):
            a = np.arange(3.0 * length).reshape(length, 3)
            expected = a.copy()
            expected[1:] += a[:-1]
            expected[:, 0] = 7
            found = run(a)
            np.testing.assert_array_equal(found[0], expected)
            np.testing.assert_array_equal(found[1], expected.reshape(-1))
            np.testing.assert_array_equal(found[2], expected.T)


def test_many_writes_take_linear_time():
    def nodes(count):
        with sg.Graph() as graph:
            x = sg.placeholder("x", (64,), "float64")
            y = x * 1.0
            for i in range(count):
                y[i % 64] += 1
        return len(graph)

    assert nodes(200) <= 2.1 * nodes(100)
