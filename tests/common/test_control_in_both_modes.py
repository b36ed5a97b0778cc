"""Control flow under the same names does the same in both modes, also where there is no step."""

import dataclasses

import numpy as np
import pytest

import dyngraph as dg
import staticgraph as sg
from oplibrary.messages.errors import ArgumentError, ShapeError
from oplibrary.values.tree import flatten

XS = np.arange(6.0, dtype="float32").reshape(3, 2)


def eager(function, *arrays):
    return flatten(function(dg, *map(dg.tensor, arrays)))


def declared(function, *arrays):
    return flatten(sg.function(lambda *xs: function(sg, *xs), backend="numpy")(*arrays))


# no steps -----------------------------------------------------------------------------------------


STEPS = {
    "several": lambda xp, x, xs: xp.scan(lambda c, e: (c + e, {"sum": c, "max": xp.max(e)}), x, xs),
    "nothing to stack": lambda xp, x, xs: xp.scan(lambda c, e: (c + e, None), x, xs),
    "reverse": lambda xp, x, xs: xp.scan(lambda c, e: (c + e, c * e), x, xs, reverse=True),
    "integers": lambda xp, x, xs: xp.scan(lambda c, e: (c, xp.argmax(e)), x, xs),
    "map": lambda xp, x, xs: xp.map(lambda e: (e * 2, xp.sum(e)), xs),
    "a check": lambda xp, x, xs: xp.scan(
        lambda c, e: (c, xp.assert_(xp.any(e > 1), "large")), x, xs
    ),
    "a length": lambda xp, x, xs: xp.scan(lambda c, _: (c, c), x, length=len(xs)),
}


@pytest.mark.parametrize("count", [0, 1, 3])
@pytest.mark.parametrize("name", STEPS)
def test_scans_of_any_length_give_the_same(name, count):
    if name == "a check":
        count = 0  # where there are steps, it fails
    (ys, structure), (zs, other) = (
        run(STEPS[name], XS[0], XS[:count]) for run in (eager, declared)
    )
    assert structure == other
    for y, z in zip(ys, zs, strict=True):
        assert (y.shape, y.dtype) == (z.shape, z.dtype)
        assert np.array_equal(y.numpy(), z)


def test_a_step_tried_for_its_types_leaves_nothing_behind(capsys):
    x = dg.tensor(XS[0], requires_grad=True)

    def body(c, e):
        c += e + 1
        return c, dg.print_(c)

    last, ys = dg.scan(body, x.detach(), dg.zeros((0, 2)))
    assert last.tolist() == XS[0].tolist()
    assert ys.shape == (0, 2)
    assert not ys.requires_grad
    assert capsys.readouterr().out == ""


def test_types_that_no_step_tells_are_refused():
    def body(c, e):
        return c, [3, 4, 5][len(e) - int(dg.sum(e)) + 1]

    with pytest.raises(ArgumentError, match="there are no steps.*IndexError"):
        dg.scan(body, 0.0, dg.zeros((0, 2)))
    with pytest.raises(ShapeError):  # what a step itself says is said
        dg.scan(lambda c, e: (c, e @ e.reshape(1, 2)), 0.0, dg.zeros((0, 2)))


# parameters ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda xp, x: xp.scan(lambda c: c, x[0], x), "scan: lambda (c) is called with 2 arg"),
        (lambda xp, x: xp.while_loop(lambda: x, lambda s: s, x), "while_loop: lambda () "),
        (
            lambda xp, x: xp.while_loop(lambda i, h: h, lambda s: s, (x, x)),
            "unpack inside: a, b = carry",
        ),
        (lambda xp, x: xp.cond(xp.any(x > -1), lambda a: a, lambda a: a), "cond: lambda (a) is"),
        (lambda xp, x: xp.switch(0, [lambda a: a]), "switch: lambda (a) is called with no arg"),
        (lambda xp, x: xp.fori_loop(0, 3, lambda c: c, x), "fori_loop: lambda (c) is"),
        (lambda xp, x: xp.map(lambda a, b: a, x), "map: lambda (a, b) is called with 1 arg"),
    ],
)
@pytest.mark.parametrize("run", [eager, declared])
def test_a_function_of_other_parameters_is_named(run, call, says):
    with pytest.raises(ArgumentError) as caught:
        run(call, XS)
    assert says in str(caught.value)
    assert [label for label, _ in caught.value.related] == ["the function declared"]


def test_a_type_error_inside_a_body_stays_what_it_is():
    with pytest.raises(TypeError, match="unsupported operand") as caught:
        dg.scan(lambda c, e: (1 + "a", e), 0.0, dg.ones((2,)))
    assert not isinstance(caught.value, ArgumentError)


# lines --------------------------------------------------------------------------------------------


def test_methods_that_dataclasses_write_are_no_lines_of_the_users():
    @dataclasses.dataclass
    class Pair:
        a: object
        b: object

    with pytest.raises(RuntimeError) as caught:
        assert Pair(dg.ones((2,)), 1) == Pair(dg.ones((2,)), 1)
    assert caught.value.source.filename == __file__
    assert caught.value.source.text == "assert Pair(dg.ones((2,)), 1) == Pair(dg.ones((2,)), 1)"


def test_symbolic_lengths_are_shown_by_name():
    n = sg.dim("rows_shown")
    assert repr(sg.TensorType((n, 3))) == "float32[rows_shown,3]"
    with sg.Graph():
        x = sg.placeholder("x", (n, 3))
        assert repr(sg.TensorType((x.shape[0] * 2,), "int64")) == "int64[2*rows_shown]"


# where elements lie -------------------------------------------------------------------------------

TURNED = {
    "cond": lambda xp, x: xp.cond(xp.sum(x) > 0, lambda c: c.T * 1.0, lambda c: c.T * 2.0, x),
    "cond, as it is": lambda xp, x: xp.cond(xp.sum(x) > 0, lambda c: c, lambda c: c * 2.0, x.T),
    "switch": lambda xp, x: xp.switch(1, [lambda: x.T * 3.0, lambda: x.T * 1.0]),
    "scan": lambda xp, x: xp.scan(lambda c, e: (c * 1.0, e), x.T, xp.asarray([1, 2]))[0],
    "stacked": lambda xp, x: xp.scan(lambda c, e: (c, e * 1.0), 0.0, xp.stack([x.T, x.T]))[1][0],
    "while_loop": lambda xp, x: xp.while_loop(
        lambda s: s[0] < 2, lambda s: (s[0] + 1, (s[1].T * 1.0).T), (xp.asarray(0), x.T)
    )[1],
    "fori_loop": lambda xp, x: xp.fori_loop(0, 2, lambda i, c: c * 1.0, x.T),
    "none": lambda xp, x: x.T * 1.0,
}


@pytest.mark.parametrize("name", TURNED)
@pytest.mark.parametrize("axes", [(0, 1), (1, 0)])
def test_a_reshape_behind_control_flow_is_a_view_or_a_copy_in_both_modes(name, axes):
    def program(xp, x):
        y = TURNED[name](xp, x).clone() if name == "cond, as it is" else TURNED[name](xp, x)
        flat = xp.reshape(xp.permute_dims(y, axes), (-1,))
        flat[1:4] = 7.0
        return y, flat

    (ys, _), (zs, _) = (run(program, XS) for run in (eager, declared))
    for y, z in zip(ys, zs, strict=True):
        assert np.array_equal(y.numpy(), z)


INSIDE = {
    "captured": lambda xp, x, write: xp.cond(xp.sum(x) > 0, lambda: write(x.T), lambda: x.T),
    "operand": lambda xp, x, write: xp.cond(xp.sum(x) > 0, write, lambda c: c, x.T),
    "in a branch of a branch": lambda xp, x, write: xp.cond(
        xp.sum(x) > 0,
        lambda c: xp.cond(xp.sum(c) > 0, lambda: write(c), lambda: c),
        lambda c: c,
        x.T,
    ),
    "row": lambda xp, x, write: xp.scan(
        lambda c, e: (c, write(e)), 0.0, xp.stack([x.T, x.T * 2.0])
    )[1],
    "carry": lambda xp, x, write: xp.fori_loop(0, 2, lambda i, c: write(c), x.T),
}


@pytest.mark.parametrize("name", INSIDE)
def test_a_reshape_inside_of_control_flow_is_a_view_or_a_copy_in_both_modes(name):
    def program(xp, x):
        def write(value):
            own = value * 1.0  # lies as the value does
            flat = xp.reshape(own, (-1,))
            flat[1:4] = 7.0
            return own

        return INSIDE[name](xp, x, write)

    (ys, _), (zs, _) = (run(program, XS) for run in (eager, declared))
    for y, z in zip(ys, zs, strict=True):
        assert np.array_equal(y.numpy(), z)


def test_what_control_flow_gives_is_row_major():
    for function in TURNED.values():
        found = function(dg, dg.tensor(XS)).numpy()
        assert found.flags.c_contiguous or function is TURNED["none"]


@pytest.mark.parametrize("name", ["sqrt", "square", "negative", "sin", "add", "multiply", "pow"])
def test_a_function_makes_an_array_of_a_counter(name):
    """And an operator a number, which takes the dtype of what it meets."""
    x = np.ones(3, "float32")

    def body(m):
        function = getattr(m, name)
        others = (2,) if name in ("add", "multiply", "pow") else ()
        return lambda i, c: function(i + 1, *others)

    found = dg.fori_loop(0, 3, lambda i, c: dg.tensor(x) * body(dg)(i, c), dg.tensor(x))
    (ours,) = sg.trace(
        lambda x: sg.fori_loop(0, 3, lambda i, c: x * body(sg)(i, c), x.astype("float64")), x
    ).outputs
    assert str(found.dtype).rpartition(".")[2] == str(ours.dtype) == "float64"
    run = sg.compile([ours], list(ours.graph.inputs), backend="numpy")
    np.testing.assert_array_equal(np.squeeze(run(x)), found.numpy())


UFUNCS = {
    "sin": lambda i: np.sin(i),
    "sin of a float": lambda i: np.sin(i / 3),
    "float": lambda i: np.add(0.5, i),
    "divide": lambda i: np.divide(i, 3),
    "absolute": lambda i: np.absolute(i * -0.1),
    "maximum": lambda i: np.maximum(i, 1.5),
    "power": lambda i: np.power(i, 0.5),
    "comparison": lambda i: np.equal(i, 2),
    "comparison of a float": lambda i: np.less(i / 3, 0.5),
    "truth": lambda i: np.add(i > 1, 0.25),
    "NumPy's number": lambda i: np.multiply(i / 3, np.float64(3)),
    "int8": lambda i: np.add(i, np.int8([1, 2])),
    "int8 and a float": lambda i: np.multiply(i * 0.1, np.int8([1, 2])),
    "float32": lambda i: np.multiply(i * 0.1, np.float32([1, 2])),
    "of its results": lambda i: np.sqrt(np.add(i, 1)),
}


@pytest.mark.parametrize("name", UFUNCS)
def test_numpys_functions_of_a_counter_have_numpys_dtypes(name):
    expected = np.asarray(UFUNCS[name](2))

    def program(xp):
        first = (xp.asarray(np.zeros_like(expected)),)
        return xp.fori_loop(2, 3, lambda i, c: (xp.asarray(UFUNCS[name](i)),), first)[0]

    for made in (program(dg).numpy(), sg.function(lambda: program(sg), backend="numpy")()):
        assert made.dtype == expected.dtype
        np.testing.assert_array_equal(made, expected)
