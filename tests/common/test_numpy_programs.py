"""Programs written for NumPy give NumPy's results in both modes, or are refused with what to do."""

import inspect
import re
import warnings

import numpy as np
import pytest
from tests.common import numpy_programs
from tests.common.numpy_programs import PROGRAMS

import dyngraph as dg
import staticgraph as sg
from oplibrary.messages.errors import (
    DataDependentShapeError,
    InPlaceError,
    LostGradientWarning,
    SideBySideError,
    SymbolicArrayError,
    SymbolicBoolError,
)

REFUSED_IN_GRAPHS = {
    "run_lengths": (DataDependentShapeError, "dyngraph"),
    "peaks": (DataDependentShapeError, "dyngraph"),
    "into_a_plain_array": (SymbolicArrayError, "result = sg.asarray(np.zeros(len(x)), copy=True)"),
    "newton_until_it_stops": (SymbolicBoolError, "while_loop"),
    "square_roots_by_newton": (SymbolicBoolError, "sg.assert_"),
}
"""What a graph cannot follow, and words of the advice."""


JUMPS = {"page_rank"}
"""Programs that are not continuous where they are run: a page without links gets one."""


def leaves(result):
    return list(result) if isinstance(result, (tuple, list)) else [result]


def assert_same(found, expected):
    for got, right in zip(leaves(found), leaves(expected), strict=True):
        got = got.detach().numpy() if isinstance(got, dg.Tensor) else np.asarray(got)
        assert (got.shape, got.dtype) == (np.shape(right), np.asarray(right).dtype)
        np.testing.assert_allclose(got, right, rtol=1e-9, atol=1e-11)


def expected_of(name):
    function, arguments = PROGRAMS[name]
    return function(*[x.copy() for x in arguments])


@pytest.mark.parametrize("name", PROGRAMS)
def test_dynamic(name):
    function, arguments = PROGRAMS[name]
    assert_same(function(*map(dg.tensor, arguments)), expected_of(name))


@pytest.mark.parametrize("backend", ["numpy", "native"])
@pytest.mark.parametrize("name", PROGRAMS)
def test_static(name, backend):
    function, arguments = PROGRAMS[name]
    traced = sg.function(function, backend=backend)
    if name not in REFUSED_IN_GRAPHS:
        assert_same(traced(*arguments), expected_of(name))
        return
    error, words = REFUSED_IN_GRAPHS[name]
    with pytest.raises(error) as caught:
        traced(*arguments)
    assert words in caught.value.fix
    lines = inspect.getsource(numpy_programs).splitlines()
    assert caught.value.source.text.strip() == lines[caught.value.source.line - 1].strip()


@pytest.mark.parametrize("name", sorted(set(PROGRAMS) - set(REFUSED_IN_GRAPHS) - JUMPS))
def test_gradients_through_them_are_right_in_both_modes(name):
    function, arguments = PROGRAMS[name]
    if arguments[0].dtype.kind != "f":
        return

    def total(*xs):
        parts = [x for x in leaves(function(*xs)) if x.dtype.kind == "f"]
        return sum(np.sum(x * x) for x in parts)

    probe = total(*arguments)
    if not isinstance(probe, np.generic):
        return
    slope = sg.function(sg.grad(total))(*arguments)
    try:
        dynamic = dg.grad(total)(*map(dg.tensor, arguments)).numpy()
    except InPlaceError as error:  # what a rule would read is overwritten; a graph keeps it
        assert "clone()" in error.fix
    else:
        np.testing.assert_allclose(dynamic, slope, rtol=1e-7, atol=1e-9)
    rng = np.random.default_rng(1)
    way = rng.normal(size=arguments[0].shape)
    ends = [total(arguments[0] + step * way, *arguments[1:]) for step in (1e-6, -1e-6)]
    numeric = (ends[0] - ends[1]) / 2e-6
    np.testing.assert_allclose(np.sum(slope * way), numeric, rtol=2e-5, atol=1e-6)


def test_the_advice_on_plain_arrays_runs():
    def into_an_array_of_the_graph(x):
        result = np.zeros(len(x))
        result = sg.asarray(result, copy=True)
        for i in range(len(x)):
            result[i] = 2 * x[i]
        return result

    x = np.arange(4.0)
    np.testing.assert_array_equal(sg.function(into_an_array_of_the_graph)(x), 2 * x)

    def rows(x):
        table = np.zeros((2, 4))
        table[1] = x
        return table

    with pytest.raises(
        SymbolicArrayError, match=r"table = sg.asarray\(np.zeros\(\(2, 4\)\), copy=True\)"
    ):
        sg.function(rows)(x)
    with warnings.catch_warnings(record=True) as given:
        warnings.simplefilter("always")
        try:
            rows(dg.tensor(x, requires_grad=True))
        except SideBySideError as error:
            assert "detach()" in error.fix
        else:
            assert any(issubclass(each.category, LostGradientWarning) for each in given)


def into_a_plain_array_in_place(x):
    total = np.zeros(4)
    total += 2 * x
    return total


def test_adding_to_a_plain_array():
    x = np.arange(4.0)
    found = into_a_plain_array_in_place(dg.tensor(x))
    assert type(found) is np.ndarray
    np.testing.assert_array_equal(found, 2 * x)
    target = np.zeros(())
    assert np.sum(dg.tensor(x), out=target) is target and target == 6.0
    with pytest.raises(SideBySideError) as caught:
        into_a_plain_array_in_place(dg.tensor(x, requires_grad=True))
    assert "detach()" in caught.value.fix
    with pytest.raises(SymbolicArrayError) as caught:
        sg.function(into_a_plain_array_in_place)(x)
    (line,) = re.findall("`(.+?)`", caught.value.fix)
    assert line == "total = total + 2 * x"

    with sg.Graph():
        names = {"total": np.zeros(4), "x": sg.asarray(x)}
        exec(line, names)
        np.testing.assert_array_equal(sg.compile(names["total"], [])(), 2 * x)
    with sg.Graph(), pytest.raises(SymbolicArrayError, match="argument 'out'"):
        np.sum(sg.placeholder("x", (4,), "float64"), out=np.zeros(()))


NUMPYS = {
    "reshape in columns": lambda x: x.reshape(2, 6, order="F"),
    "reshape": lambda x: x.reshape((2, 6), order="C"),
    "ravel in columns": lambda x: x.ravel("F"),
    "ravel": lambda x: x.ravel(order="C"),
    "astype": lambda x: x.astype("int8", casting="unsafe"),
    "astype of a kind": lambda x: x.astype("float32", casting="same_kind"),
    "quotients": lambda x: divmod(x, 2)[0],
    "remainders": lambda x: divmod(x + 1, x + 2)[1],
    "quotients of a number": lambda x: divmod(7, x + 1)[0],
}


@pytest.mark.parametrize("name", NUMPYS)
def test_methods_and_operators_take_numpys_arguments(name):
    x = np.arange(12.0).reshape(3, 4)
    expected = NUMPYS[name](x)
    for found in (NUMPYS[name](dg.tensor(x)).numpy(), sg.function(NUMPYS[name])(x)):
        assert found.dtype == expected.dtype
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("casting", ["safe", "other"])
def test_a_conversion_that_is_not_allowed_is_refused_alike(casting):
    ids = set()
    for run in (lambda f: f(dg.tensor([1.5])), lambda f: sg.function(f)(np.float32([1.5]))):
        with pytest.raises(SideBySideError) as caught:
            run(lambda x: x.astype("int8", casting=casting))
        ids.add(caught.value.id)
    assert len(ids) == 1
