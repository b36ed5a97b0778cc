"""Declaring: placeholders, variables, constants, and how operands become nodes."""

import enum

import numpy as np
import pytest

import staticgraph as sg
from oplibrary.core.registry import REGISTRY, namespace
from oplibrary.messages.errors import (
    ArgumentError,
    DTypeError,
    GraphError,
    ShapeError,
)


def run(outputs, feeds=None):
    """Return the values of declared nodes."""
    feeds = feeds or {}
    return sg.compile(outputs, inputs=list(feeds), backend="interpret")(*feeds.values())


def test_a_placeholder_has_name_type_and_line():
    with sg.Graph() as graph:
        x = sg.placeholder("x", (4, 3), "float64")
    assert (x.name, x.shape, x.dtype, x.ndim, x.size) == ("x", (4, 3), np.float64, 2, 12)
    assert repr(x) == "Node(x: float64[4,3])"
    assert f"{x}" == repr(x)
    assert x.source.text == 'x = sg.placeholder("x", (4, 3), "float64")'
    assert graph.inputs == [x] and graph.inputs[0] is x
    assert x.operands == () and x.sequence == 0


def test_placeholder_shapes():
    with sg.Graph():
        assert sg.placeholder("a", 3).shape == (3,)
        assert sg.placeholder("b", ()).shape == ()
        assert sg.placeholder("c", [np.int64(2), 0]).shape == (2, 0)


@pytest.mark.parametrize("shape", [(None, 3), (-1,), (2.0,), "ab", None])
def test_a_placeholder_refuses_what_is_no_shape(shape):
    with sg.Graph(), pytest.raises(ArgumentError, match="the shape is") as error:
        sg.placeholder("x", shape)
    assert error.value.source.line == error.traceback[0].lineno + 1
    assert "one executable a shape" in error.value.fix


def test_a_placeholder_refuses_what_is_no_dtype_or_name():
    with sg.Graph():
        with pytest.raises(DTypeError, match="name, shape, dtype"):
            sg.placeholder("x", (3,), "x")
        with pytest.raises(ArgumentError, match="fed by its name"):
            sg.placeholder("", (3,))


def test_names_are_unique():
    with sg.Graph() as graph:
        sg.placeholder("x", (3,))
        with pytest.raises(GraphError, match="a node named 'x' already") as error:
            sg.variable(1.0, name="x")
    assert error.value.related[0][1].text == 'sg.placeholder("x", (3,))'
    with graph:
        x = sg.placeholder("add", (3,))
        assert (x + x).name == "add_1"
        assert [(x + 1).name for _ in range(2)] == ["add_2", "add_3"]


def test_variables_copy_and_keep_the_dtype_of_arrays():
    start = np.ones(3, "float64")
    with sg.Graph():
        w = sg.variable(start, name="w")
        v = sg.variable([1.0, 2.0])
        n = sg.variable(3)
        c = sg.variable([1j])
    start[:] = 7
    assert w.value.tolist() == [1, 1, 1] and w.dtype == np.float64
    assert (v.dtype, n.dtype, c.dtype) == (np.float32, np.int64, np.complex64)
    assert v.name == "variable" and v.variable.name == "variable"
    with pytest.raises(ValueError, match="read-only"):
        w.value[0] = 2


def test_the_value_of_a_variable_can_be_set_between_runs():
    with sg.Graph():
        w = sg.variable([1.0, 2.0], name="w")
        y = w * 2
    step = sg.compile(y, backend="interpret")
    w.value = [3.0, 4.0]
    assert step().tolist() == [6, 8]
    w.value = np.array([5.0, 6.0], "float32")
    assert step().tolist() == [10, 12]
    with pytest.raises(ShapeError, match=r"shape \(3,\) cannot replace"):
        w.value = [1.0, 2.0, 3.0]
    with pytest.raises(DTypeError, match=r"astype\(\"float32\"\)"):
        w.value = np.ones(2)
    with pytest.raises(GraphError, match="not a variable"):
        y.value = 3


def test_constants_are_copied_and_shared():
    array = np.arange(3.0)
    large = np.arange(10_000.0)
    with sg.Graph() as graph:
        x = sg.placeholder("x", (3,), "float64")
        a = x + array
        b = x * np.arange(3.0)
        c, d = sg.constant(large), sg.constant(large)
        array[:] = 9
        large[0] = 7
        e = sg.constant(large)
    assert a.operands[1] is b.operands[1]
    assert c is d and e is not c
    assert a.operands[1].value.tolist() == [0, 1, 2]
    assert (c.value[0], e.value[0]) == (0, 7)
    assert run(a, {x: np.zeros(3)}).tolist() == [0, 1, 2]
    assert sum(node.op.name == "constant" for node in graph) == 3


def test_constants_by_type():
    with sg.Graph():
        assert sg.constant(1.5).type == sg.TensorType((), "float32")
        assert sg.constant(2).type == sg.TensorType((), "int64")
        assert sg.constant([True]).type == sg.TensorType((1,), "bool")
        assert sg.constant(np.float64(2)).dtype == np.float64
        assert sg.constant([1, 2], dtype="float64").dtype == np.float64
        named = sg.constant([1.0], name="half")
        assert named.name == "half"
        assert sg.constant(named) is named
        assert sg.constant(named, dtype="int32").dtype == np.int32
        assert sg.asarray(named) is named
        assert sg.asarray([1, 2]).dtype == np.int64
        assert sg.asarray(named, "float64").dtype == np.float64


@pytest.mark.parametrize("value", ["text", object(), [[1], [2, 3]], None, {"a": 1}])
def test_a_constant_refuses_what_is_no_number(value):
    with sg.Graph(), pytest.raises(DTypeError, match="no constant can be made"):
        sg.constant(value)


def test_zeros_of_both_signs_and_nan_are_told_apart():
    with sg.Graph():
        x = sg.placeholder("x", (2,))
        plus, minus = x + 0.0, x + -0.0
        nan, other = x + float("nan"), x + float("nan")
    assert plus.operands[1] is not minus.operands[1]
    assert nan.operands[1] is other.operands[1]
    assert np.signbit(minus.operands[1].value)


@pytest.mark.parametrize(
    ("dtype", "number", "expected"),
    [
        ("float32", 2.0, "float32"),
        ("float32", 2, "float32"),
        ("float64", 2.0, "float64"),
        ("int32", 2, "int32"),
        ("int32", 2.0, "float64"),
        ("float32", True, "float32"),
        ("float32", 1j, "complex64"),
        ("bool", 2, "int64"),
    ],
)
def test_python_numbers_are_weak(dtype, number, expected):
    with sg.Graph():
        x = sg.placeholder("x", (2,), dtype)
        assert (x * number).dtype == expected
        assert (number * x).dtype == expected
    assert (np.ones(2, dtype) * number).dtype == expected


def test_numbers_that_do_not_fit():
    with sg.Graph():
        x = sg.placeholder("x", (2,), "int8")
        with pytest.raises(DTypeError, match="out of bounds for int8") as error:
            x + 300
        assert "wider dtype" in error.value.fix
        smaller = x < 300
    assert run(smaller, {x: np.array([1, 2], "int8")}).all()


def test_indices_stay_integers_beside_floats():
    with sg.Graph():
        x = sg.placeholder("x", (3,), "float32")
        y = sg.take(x, 1, axis=0)
    assert y.type == sg.TensorType((), "float32")
    assert run(y, {x: np.array([1, 2, 3], "float32")}) == 2


def test_other_operands():
    class Level(enum.IntEnum):
        HIGH = 3

    with sg.Graph():
        x = sg.placeholder("x", (2,), "int64")
        assert run(x * Level.HIGH, {x: np.array([1, 2])}).tolist() == [3, 6]
    with sg.Graph():
        x = sg.placeholder("x", (2,), "int64")
        assert run(x * [1, 2], {x: np.array([1, 2])}).tolist() == [1, 4]
    with sg.Graph():
        x = sg.placeholder("x", (2,))
        with pytest.raises(DTypeError, match="operand 1 is a str"):
            x + "a"
        values = np.array([1, 2], "float32")
        assert run(x * [x, 2 * x], {x: values}).tolist() == [[1, 4], [2, 8]]


def test_every_declared_op_infers_once_with_the_line_of_its_user():
    with sg.Graph():
        x = sg.placeholder("x", (4, 3))
        with pytest.raises(ShapeError) as error:
            x + np.ones((5, 2), "float32")
    assert str(error.value).startswith("[SBS-101] add: shapes (4, 3) and (5, 2)")
    assert error.value.source.text == 'x + np.ones((5, 2), "float32")'


def test_functions_outside_any_graph():
    for declare in (
        lambda: sg.placeholder("x", (3,)),
        lambda: sg.variable(1.0),
        lambda: sg.constant(1.0),
        lambda: sg.tanh(np.ones(3)),
        lambda: sg.softmax(np.ones(3)),
        lambda: sg.zeros((3,)),
        lambda: sg.add(1, 2),
    ):
        with pytest.raises(GraphError, match="outside any graph") as error:
            declare()
        assert "with sg.Graph():" in error.value.fix
    assert isinstance(sg.random_key(0), np.ndarray)


def test_functions_declare_whatever_they_are_called_with():
    with sg.Graph():
        assert isinstance(sg.tanh(np.ones(3)), sg.Node)
        assert sg.add(1, 2).dtype == np.int64
        assert isinstance(sg.softmax(np.ones((2, 3), "float32")), sg.Node)
        parts = sg.split(np.arange(6), 2)
        assert [type(part) for part in parts] == [sg.Node, sg.Node]
        assert sg.concat([np.ones(2), np.ones(3)]).shape == (5,)
        assert isinstance(sg.random_key(0), sg.Node)


def test_creation_functions_declare_constants():
    with sg.Graph():
        for made in (sg.zeros((2, 3)), sg.ones(3), sg.full((2,), 7.0), sg.eye(2), sg.arange(4)):
            assert made.op.name == "constant"
        assert sg.linspace(0, 1, 5).value.tolist() == [0, 0.25, 0.5, 0.75, 1]
        assert sg.zeros((2, 3)).dtype == np.float32


def test_the_namespace_is_the_op_library():
    for name in namespace():
        assert callable(getattr(sg, name)), name
        assert name in dir(sg), name
    assert {"tanh", "softmax", "zeros", "Graph", "function", "float32"} <= set(sg.__all__)
    assert sg.float32 == np.float32 and sg.bool == np.bool_ and sg.pi == np.pi
    assert sg.tanh.__doc__.startswith(REGISTRY["tanh"].doc)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        sg.nothing  # noqa: B018


def test_operators_methods_and_numpy_functions():
    value = np.linspace(-1, 1, 6, dtype="float32").reshape(2, 3)
    with sg.Graph():
        x = sg.placeholder("x", (2, 3))
        outputs = {
            "neg": -x,
            "radd": 1 + x,
            "rsub": np.float32(1) - x,
            "array": np.ones((2, 3), "float32") / (x + 3),
            "pow": x**2,
            "matmul": x @ x.T,
            "method": x.tanh().sum(axis=0, keepdims=True),
            "reshape": x.reshape(3, 2),
            "item": x[1, ::2],
            "ufunc": np.exp(x),
            "function": np.sum(x, axis=1),
            "concatenate": np.concatenate([x, x]),
            "where": sg.where(x > 0, x, 0.0),
        }
    got = run(list(outputs.values()), {x: value})
    expected = {
        "neg": -value,
        "radd": 1 + value,
        "rsub": np.float32(1) - value,
        "array": np.ones((2, 3), "float32") / (value + 3),
        "pow": value**2,
        "matmul": value @ value.T,
        "method": np.tanh(value).sum(axis=0, keepdims=True),
        "reshape": value.reshape(3, 2),
        "item": value[1, ::2],
        "ufunc": np.exp(value),
        "function": value.sum(axis=1),
        "concatenate": np.concatenate([value, value]),
        "where": np.where(value > 0, value, 0),
    }
    for name, result in zip(outputs, got):
        np.testing.assert_array_equal(result, expected[name], err_msg=name, strict=True)


def test_iteration_and_length_are_static():
    with sg.Graph():
        x = sg.placeholder("x", (3, 2))
        assert len(x) == 3
        assert [row.shape for row in x] == [(2,)] * 3
        assert [row[0].shape for row in x] == [()] * 3


def test_assignments_happen_at_the_end_of_the_run():
    with sg.Graph():
        count = sg.variable(0, name="count")
        bump = sg.assign(count, count + 1)
        twice = count * 2
    step = sg.compile([bump, twice, count], backend="interpret")
    assert [v.item() for v in step()] == [1, 0, 0]
    assert [v.item() for v in step()] == [2, 2, 1]
    assert count.value == 2


def test_an_assignment_is_made_only_if_it_is_fetched():
    with sg.Graph():
        w = sg.variable([1.0], name="w")
        update = w.assign(w * 3)
        after = update + 1
    sg.compile(w, backend="interpret")()
    assert w.value == 1
    assert sg.compile(after, backend="interpret")() == 4
    assert w.value == 3


def test_group_makes_all_assignments():
    with sg.Graph():
        a, b = sg.variable(1.0, name="a"), sg.variable(2.0, name="b")
        swap = sg.group(a.assign(b), b.assign(a))
    assert sg.compile(swap, backend="interpret")()
    assert (a.value, b.value) == (2, 1)


def test_assign_refuses():
    with sg.Graph():
        w = sg.variable([1.0, 2.0], name="w")
        x = sg.placeholder("x", (2,))
        with pytest.raises(GraphError, match="not a variable"):
            sg.assign(x, w)
        with pytest.raises(ShapeError, match="keeps its shape"):
            w.assign(np.ones(3, "float32"))
        with pytest.raises(DTypeError, match="keeps its dtype"):
            w.assign(np.ones(2))
        w.assign([3, 4])
        both = sg.group(w.assign(x), w.assign(x * 2))
        with pytest.raises(GraphError, match="assigns w twice"):
            sg.compile(both, inputs=[x], backend="interpret")


def test_unusual_shapes_pass_through():
    with sg.Graph():
        empty = sg.placeholder("empty", (0, 3))
        scalar = sg.placeholder("scalar", ())
        outputs = [empty.sum(), empty * scalar, scalar.reshape(1, 1)]
    got = run(outputs, {empty: np.zeros((0, 3), "float32"), scalar: np.array(2, "float32")})
    assert [v.shape for v in got] == [(), (0, 3), (1, 1)]
