"""NumPy calls on lists of nodes in traced functions: values and dtypes are those of NumPy."""

import numpy as np
import pytest
from numpy import array

import staticgraph as sg
from staticgraph.errors import DTypeError, SymbolicArrayError

PROGRAMS = {
    "scalars": lambda x: np.array([x[0], x[1] * 2]),
    "rows": lambda x: np.array([x, x * 2]),
    "nested beside numbers": lambda x: array([[x[0], 1], [2, x[1]]]),
    "a number of its own dtype": lambda x: np.array([0.1, x[0]]),
    "beside a list of numbers": lambda x: np.array([x, [1, 2, 3]]),
    "a dtype": lambda x: np.array([x[0], x[1]], float),
    "a value itself": lambda x: np.asarray(x) * 2,
    "a value of another dtype": lambda x: np.array(x, dtype="float32"),
    "handed on": lambda x: np.stack(list(map(np.asarray, [x, x]))),
    "numbers alone": lambda x: np.array([1, 2]) + x[:2],
    "mean of a list": lambda x: np.mean([x, x * 3], axis=0),
    "sum of a tuple": lambda x: np.sum((x[0], x[1])),
    "median of a list": lambda x: np.median([x[0], x[1]]),
    "standard deviation": lambda x: np.std([x[0], x[1]], ddof=1),
    "a norm": lambda x: np.linalg.norm([x[0], x[1]]),
    "real parts": lambda x: np.real([x[0], x[1]]),
    "a ufunc of lists": lambda x: np.add([x[0], x[1]], [1.0, 2.0]),
    "a ufunc beside a number": lambda x: np.exp([x[0], 0.1]),
    "arrays of one function": lambda x: np.concatenate([x, x[:1]]),
}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", PROGRAMS)
def test_lists_of_nodes_are_arrays(name, dtype):
    x = np.array([0.5, 1.5, 2.5], dtype)
    expected = PROGRAMS[name](x)
    found = sg.function(PROGRAMS[name], backend="interpret")(x)
    assert (found.shape, found.dtype) == (expected.shape, expected.dtype)
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_an_array_is_a_copy_and_asarray_is_not():
    def copied(x):
        y = np.array(x)
        y[0] = 9.0
        return x * 1, y

    def shared(x):
        x = x * 1
        y = np.asarray(x)
        y[0] = 9.0
        return x, y

    x = np.array([1.0, 2.0])
    for program in (copied, shared):
        found = sg.function(program, backend="interpret")(x)
        for one, other in zip(found, program(x.copy()), strict=True):
            np.testing.assert_array_equal(one, other)


def test_gradients_go_through():
    def total(x):
        return np.sum(np.array([x[0] * x[1], x[1] ** 2]) * np.array([1.0, 3.0]))

    slope = sg.function(sg.grad(total), backend="interpret")(np.array([2.0, 5.0]))
    np.testing.assert_array_equal(slope, [5.0, 32.0])


def test_what_is_no_array_says_so():
    with pytest.raises(DTypeError, match=r"shapes \(3,\) and \(2,\)"):
        sg.function(lambda x: np.array([x, x[:2]]))(np.ones(3))
    with pytest.raises(SymbolicArrayError):
        sg.function(lambda x: np.array([x[0]], ndmin=2))(np.ones(3))


def test_outside_of_a_trace_they_are_numpys():
    made = []

    def program(x):
        made.append(np.array)
        return np.array([x[0]])

    sg.function(program, backend="interpret")(np.ones(2))
    program(np.ones(2))
    assert made[0] is not np.array
    assert made[1] is np.array
