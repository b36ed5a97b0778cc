"""What a node says when it is asked for a number: the user's line, the cause, the rewrite."""

import copy
import itertools
import math

import numpy as np
import pytest

import staticgraph as sg
from oplibrary.messages.errors import (
    DataDependentShapeError,
    DTypeError,
    GraphError,
    InPlaceError,
    SideBySideError,
    SymbolicArrayError,
    SymbolicBoolError,
    SymbolicValueError,
)


@pytest.fixture
def x():
    with sg.Graph():
        yield sg.placeholder("x", (3,))


@pytest.fixture
def n():
    with sg.Graph():
        yield sg.placeholder("n", (), "int64")


def caught(error, function, *args):
    with pytest.raises(error) as info:
        function(*args)
    text = str(info.value)
    assert text.startswith(f"[{error.id}] ")
    assert "why: " in text and "fix: " in text
    assert "SideBySideError" not in text
    return info.value


# truth --------------------------------------------------------------------------------------------


def with_if(x):
    if x.sum() > 0:
        return x
    return -x


def with_elif(x):
    if False:
        pass
    elif x.sum() > 0:
        return x
    return -x


def with_while(x):
    while x.sum() > 1:
        x = x / 2
    return x


def with_conditional(x):
    return x if x.sum() > 0 else -x


def with_and(x):
    return x.sum() > 0 and x.max() < 1


def with_or(x):
    return [x or 3]


def with_not(x):
    return not x.sum()


def with_assert(x):
    assert x.sum() > 0


def with_chain(x):
    return 0 < x.sum() < 1


def with_min(x):
    return min(x.sum(), x.max())


def with_bool(x):
    return bool(x.sum())


def with_any(x):
    return any(x > 0)


def with_sorted(x):
    return sorted([x.max(), x.min()])


def with_comprehension(x):
    return [row for row in x if row > 0]


def with_list_membership(x):
    return x.sum() in [x.max(), 3]


def with_match(x):
    match 3:
        case _ if x.sum():
            return 1


def with_value(x):
    match x.sum():
        case 3.0:
            return 1


def with_sorted_list(x):
    return sorted(list(x))  # noqa: C414


def with_max(x):
    return max(*x, 3)


def with_three(x):
    return max(x[0], x[1], 3)


def with_key(x):
    return max(x, key=lambda e: -e)


def positive(x):
    return x > 0


def with_predicate(x):
    return [e + 1 for e in filter(positive, x)]


def with_takewhile(x):
    return list(itertools.takewhile(lambda e: e > 0, x))


def with_filter(x):
    return list(filter(None, x))


@pytest.mark.parametrize(
    ("function", "asked", "line", "fix"),
    [
        (
            with_if,
            "`x.sum() > 0`, a bool[], was asked by `if`",
            "if x.sum() > 0:",
            "return sg.cond(x.sum() > 0, lambda: x, lambda: -x)",
        ),
        (with_elif, "by `if`", "elif x.sum() > 0:", "a branch with cond"),
        (
            with_while,
            "by `while`",
            "while x.sum() > 1:",
            "x = sg.while_loop(holds, step, x)",
        ),
        (
            with_conditional,
            "by `conditional expression`",
            "return x if x.sum() > 0 else -x",
            "return sg.cond(x.sum() > 0, lambda: x, lambda: -x)",
        ),
        (
            with_and,
            "by `and`",
            "return x.sum() > 0 and x.max() < 1",
            "return sg.logical_and(x.sum() > 0, x.max() < 1)",
        ),
        (with_or, "by `or`", "return [x or 3]", "return [x if x is not None else 3]"),
        (with_not, "by `not`", "return not x.sum()", "return sg.logical_not(x.sum())"),
        (
            with_assert,
            "by `assert`",
            "assert x.sum() > 0",
            "sg.assert_(x.sum() > 0, 'x.sum() > 0')",
        ),
        (
            with_chain,
            "by `chained comparison`",
            "return 0 < x.sum() < 1",
            "return (0 < x.sum()) & (x.sum() < 1)",
        ),
        (
            with_min,
            "by `min()`",
            "return min(x.sum(), x.max())",
            "return sg.minimum(x.sum(), x.max())",
        ),
        (with_bool, "by `bool()`", "return bool(x.sum())", "in place of bool()"),
        (with_any, "by `any()`", "return any(x > 0)", "return sg.any(x > 0)"),
        (
            with_sorted,
            "by `sorted()`",
            "return sorted([x.max(), x.min()])",
            "return sg.sort(sg.stack([x.max(), x.min()]))",
        ),
        (
            with_sorted_list,
            "by `sorted()`",
            "return sorted(list(x))  # noqa: C414",
            "return sg.sort(x)",
        ),
        (with_max, "by `max()`", "return max(*x, 3)", "in place of max()"),
        (
            with_three,
            "by `max()`",
            "return max(x[0], x[1], 3)",
            "return sg.maximum(sg.maximum(x[0], x[1]), 3)",
        ),
        (with_key, "by `max()`", "return max(x, key=lambda e: -e)", "in place of max()"),
        (
            with_comprehension,
            "by `if in a comprehension`",
            "return [row for row in x if row > 0]",
            "select elements with where",
        ),
        (
            with_list_membership,
            "by `in`",
            "return x.sum() in [x.max(), 3]",
            "return (x.sum() == x.max()) | (x.sum() == 3)",
        ),
        (with_match, "by `match guard`", "case _ if x.sum():", "a branch with cond"),
        (
            with_value,
            "`x.sum() == 3.0`, a bool[], was asked by `match`",
            "case 3.0:",
            "a branch with cond",
        ),
        (with_filter, "by `filter()`", "return list(filter(None, x))", "elements with where"),
        (
            with_predicate,
            "`positive(x)`, a bool[], was asked by `filter()`",
            "return [e + 1 for e in filter(positive, x)]",
            "select elements with where",
        ),
        (
            with_takewhile,
            "`e > 0`, a bool[], was asked by `itertools.takewhile()`",
            "return list(itertools.takewhile(lambda e: e > 0, x))",
            "select elements with where",
        ),
    ],
)
def test_truth(x, function, asked, line, fix):
    error = caught(SymbolicBoolError, function, x)
    assert asked in error.what
    assert error.source.text == line
    assert fix in error.fix
    assert "it depends on placeholder 'x'" in error.cause
    assert any(source.text.startswith("yield sg.placeholder") for _, source in error.related)


def if_call(x):
    if x.sum():
        return x
    return -x


def if_element(x):
    if x[0]:
        return x
    return -x


def while_call(x):
    while x.sum():
        x = x - 1


def assert_call(x):
    assert x.sum()


def choose_by_call(x):
    return x if x.sum() else -x


def and_call(x):
    return x.sum() and x


def not_call(x):
    return not x.sum()


def comprehension_by_call(x):
    return [1 for _ in (1,) if x.sum()]


def bool_of_call(x):
    if bool(x.sum()):
        return x
    return -x


@pytest.mark.parametrize(
    ("function", "text", "construct"),
    [
        (if_call, "x.sum()", "if"),
        (if_element, "x[0]", "if"),
        (while_call, "x.sum()", "while"),
        (assert_call, "x.sum()", "assert"),
        (choose_by_call, "x.sum()", "conditional expression"),
        (and_call, "x.sum()", "and"),
        (not_call, "x.sum()", "not"),
        (comprehension_by_call, "x.sum()", "if in a comprehension"),
        (bool_of_call, "x.sum()", "bool()"),
    ],
)
def test_the_truth_of_what_was_called_is_asked_by_what_stands_around_it(
    x, function, text, construct
):
    # from Python 3.12 on, the test has the place of the call
    error = caught(SymbolicBoolError, function, x)
    assert f"the truth value of `{text}`" in error.what
    assert f"was asked by `{construct}`" in error.what


def test_truth_names_what_the_value_depends_on():
    with sg.Graph():
        w = sg.variable(1.0, name="w")
        many = [sg.placeholder(f"p{i}", ()) for i in range(5)]
        total = sum(many, w)
        error = caught(SymbolicBoolError, bool, total)
        assert "variable 'w', placeholder 'p0', placeholder 'p1' and 3 more" in error.cause
        error = caught(SymbolicBoolError, bool, sg.constant(1.0))
        assert "it is computed when the graph runs" in error.cause


def test_truth_without_source_at_hand(x):
    code = compile("if x.sum() > 0: pass", "<nowhere>", "exec")
    error = caught(SymbolicBoolError, exec, code, {"x": x})
    assert "the truth value of Node(greater: bool[]) was asked" in error.what
    assert "select elements with where" in error.fix


def test_membership(x):
    def inside(x):
        return 3 in x

    error = caught(SymbolicBoolError, inside, x)
    assert "asked by `in`" in error.what
    assert "return sg.any(x == 3)\n" in error.fix


# numbers ------------------------------------------------------------------------------------------


def with_range(n):
    return [i * 2 for i in range(n)]


def with_list_index(n):
    return [1, 2, 3][n]


def with_math(n):
    return math.sqrt(n)


def with_int(n):
    return int(n) + 1


def with_float(n):
    return float(n)


def with_complex(n):
    return complex(n)


def with_slice(n):
    with n.graph:
        return sg.ones((3,))[:n]


def with_numpy_shape(n):
    with n.graph:  # NumPy replaces the error by its own, and the block restores it
        return np.zeros(n)


def with_shape(n):
    with n.graph:
        return sg.reshape(sg.ones((4,)), (n, 2))


def with_axis(n):
    with n.graph:
        return sg.sum(sg.ones((4,)), axis=n)


@pytest.mark.parametrize(
    ("function", "asked", "fix"),
    [
        (with_range, "an index was asked of Node(n: int64[]) by `range()`", "static_argnums"),
        (with_list_index, "by `index`", "with take, of an array"),
        (
            with_math,
            "a float was asked of Node(n: int64[]) by `math.sqrt()`",
            "return sg.sqrt(n)",
        ),
        (
            with_int,
            "an int was asked of Node(n: int64[]) by `int()`",
            "return n.astype('int64') + 1",
        ),
        (with_float, "by `float()`", "return n.astype('float32')"),
        (with_complex, "a complex was asked", "static Python argument"),
        (with_slice, "an index was asked of Node(n: int64[])", "static Python argument"),
        (with_numpy_shape, "by `np.zeros()`", "static Python argument"),
        (with_shape, "Node(n: int64[])", "static Python argument"),
        (with_axis, "Node(n: int64[])", "static Python argument"),
    ],
)
def test_numbers(n, function, asked, fix):
    error = caught(SymbolicValueError, function, n)
    assert asked in error.what
    assert fix in error.fix
    assert error.source.function in (function.__name__, "<listcomp>")


def test_attributes_that_are_nodes_name_themselves(n):
    with n.graph:
        error = caught(SymbolicValueError, lambda: sg.cumulative_sum(sg.ones((4, 2)), axis=n))
    assert "axis" in error.what


@pytest.mark.parametrize(
    ("request_", "what"),
    [
        (lambda x: x.item(), "item() of Node(x: float32[3])"),
        (lambda x: x.tolist(), "tolist() of"),
        (lambda x: x.numpy(), "numpy() of"),
        (lambda x: x.value, "value of"),
        (lambda x: f"{x:.3f}", "format(..., '.3f') of"),
    ],
)
def test_values(x, request_, what):
    error = caught(SymbolicValueError, request_, x)
    assert what in error.what
    assert "session.run" in error.fix


def test_length_of_a_scalar(n):
    for ask in (len, list, tuple, iter):
        error = caught(DTypeError, ask, n)  # as in dyngraph: it has no length in any mode
        assert "the length of Node(n: int64[]) was asked" in error.what


# arrays -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "request_",
    [
        np.asarray,
        lambda x: np.array([x, x]),
        lambda x: np.asarray(x, dtype="float64"),
        lambda x: np.from_dlpack(x),
    ],
)
def test_arrays(x, request_):
    error = caught(SymbolicArrayError, request_, x)
    assert "an ndarray was asked of Node(x: float32[3])" in error.what
    assert "staticgraph" in error.fix


def test_numpy_functions_without_a_counterpart(x):
    error = caught(SymbolicArrayError, lambda: np.packbits(x))
    assert "packbits" in error.what and "numpy.packbits" in error.fix
    error = caught(SymbolicArrayError, lambda: np.roots(x))
    assert "numpy.roots" in error.what and "xp.roots(x)" in error.fix
    error = caught(SymbolicArrayError, lambda: np.isnat(x))
    assert "isnat" in error.what


def test_arrays_that_would_be_written_to(x):
    array = np.ones(3, "float32")

    def add(array):
        array += x

    error = caught(SymbolicArrayError, add, array)
    assert "numpy.add was to write Node(x: float32[3]) into an ndarray" in error.what
    assert "`array = array + x`" in error.fix
    assert array.tolist() == [1, 1, 1]


def test_data_dependent_shapes(x):
    error = caught(DataDependentShapeError, lambda: x[x > 0])
    assert "where" in error.fix
    assert error.source.text == "error = caught(DataDependentShapeError, lambda: x[x > 0])"
    caught(DataDependentShapeError, lambda: sg.nonzero(x))
    assert x[np.array([True, False, True])].shape == (2,)


# change -------------------------------------------------------------------------------------------


def test_an_argument_cannot_be_written_to(x):
    def change(x):
        x[0] = 1.0

    error = caught(InPlaceError, change, x)
    assert error.source.text == "x[0] = 1.0"
    assert "x = x.clone()" in error.fix


def test_set_item_is_the_rewrite(x):
    assert sg.set_item(x, 0, 1.0).shape == (3,)


def test_backward_says_how_gradients_are_declared(x):
    error = caught(GraphError, lambda: x.sum().backward())
    assert "sg.gradients(y, [x, w])" in error.fix


def test_attributes_of_other_libraries(x):
    with pytest.raises(AttributeError, match=r"no attribute 'grad': write dx, = sg.gradients"):
        x.grad  # noqa: B018
    with pytest.raises(AttributeError, match=r"no attribute 'nothing'$"):
        x.nothing  # noqa: B018
    assert not hasattr(x, "requires_grad")


@pytest.mark.parametrize(
    ("function", "name"),
    [
        (np.packbits, "numpy.packbits"),
        (np.array_str, "numpy.array_str"),
        (np.real_if_close, "numpy.real_if_close"),
        (np.isnat, "numpy.isnat"),
    ],
)
def test_numpys_functions_have_their_whole_names(x, function, name):
    error = caught(SymbolicArrayError, function, x)
    assert error.what == f"{name} has no counterpart here"
    assert f"in place of {name}" in error.fix


def test_nodes_are_not_copied(x):
    assert copy.copy(x) is x
    assert copy.deepcopy({"x": x})["x"] is x


def test_infer_errors_name_the_op_and_the_line(x):
    for call in (
        lambda: sg.sum(x, axis=5),
        lambda: x.reshape(2, 2),
        lambda: sg.concat([x, sg.ones((2, 2))]),
        lambda: x @ sg.ones((4,)),
        lambda: x.transpose(0, 3),
        lambda: sg.sum(x, axis="a"),
        lambda: x[5],
        lambda: sg.sum(x, nothing=3),
    ):
        with pytest.raises(SideBySideError) as info:
            call()
        assert info.value.source.filename == __file__
        assert info.value.fix and info.value.cause


def test_lines_of_the_user_are_found_through_networkx_and_helpers():
    def helper(a):
        return a * 2

    with sg.Graph():
        x = sg.placeholder("x", (3,))
        y = helper(x)
    assert y.source.text == "return a * 2" and y.source.function == "helper"
