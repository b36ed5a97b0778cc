"""What shares memory with what: a write to a result changes the array, or does not, in both modes.

Every function that may give the array itself, a view of it or a copy is called on values that lie
in memory in several ways, and its result is written to.
"""

import numpy as np
import pytest

import dyngraph as dg
import staticgraph as sg
from oplibrary.messages.errors import SideBySideError

X = np.arange(12.0).reshape(3, 4)
VALUES = {
    "row-major": lambda x: x * 1.0,
    "transposed": lambda x: (x * 1.0).T,
    "column-major": lambda x: x.T * 1.0,
    "with gaps": lambda x: (x * 1.0)[:, ::2],
    "reversed": lambda x: (x * 1.0)[::-1],
    "one row": lambda x: (x * 1.0)[:1],
}
METHODS = {
    name: lambda x, name=name: getattr(x, name)()
    for name in "contiguous clone copy ravel flatten squeeze cpu transpose detach conj".split()
} | {
    "contiguous, flat": lambda x: x.contiguous().reshape((-1,)),
    "to": lambda x: x.to("float64"),
    "astype": lambda x: x.astype("float64"),
    "astype without a copy": lambda x: x.astype("float64", copy=False),
    "reshape": lambda x: x.reshape((-1,)),
    "view": lambda x: x.view(-1),
    "T": lambda x: x.T,
    "mT": lambda x: x.mT,
    "real": lambda x: x.real,
    "swapaxes": lambda x: x.swapaxes(0, 1),
    "expand_dims": lambda x: x.expand_dims(0),
    "unbind": lambda x: x.unbind()[0],
    "flip": lambda x: x.flip(0),
    "diagonal": lambda x: x.diagonal(),
    "clip without bounds": lambda x: x.clip(),
    "tile once": lambda x: x.tile(1),
    "roll by none": lambda x: x.roll(0),
}
FUNCTIONS = {
    name: lambda x, name=name: getattr(np, name)(x)
    for name in "ravel squeeze copy transpose atleast_2d flip real nan_to_num rot90".split()
} | {
    "reshape": lambda x: np.reshape(x, (-1,)),
    "moveaxis": lambda x: np.moveaxis(x, 0, 1),
    "swapaxes": lambda x: np.swapaxes(x, 0, 1),
    "rollaxis": lambda x: np.rollaxis(x, 1),
    "expand_dims": lambda x: np.expand_dims(x, 0),
    "split": lambda x: np.split(x, x.shape[0])[0],
    "hsplit": lambda x: np.hsplit(x, x.shape[1])[0],
    "array_split": lambda x: np.array_split(x, 2)[0],
}


def written(function, value):
    """Return a program that writes to what a function gives, and returns the array."""

    def program(x):
        array = VALUES[value](x)
        result = function(array)
        result[...] = result * 0 + 7.0
        return array

    return program


def outcome(run):
    """Return the array after the write, or that the write was refused."""
    try:
        return np.asarray(run())
    except SideBySideError as error:
        return type(error).__name__


def both(function, value):
    program = written(function, value)
    dynamic = outcome(lambda: program(dg.from_numpy(X.copy())).numpy())
    return dynamic, outcome(lambda: sg.function(program, backend="numpy")(X))


@pytest.mark.parametrize("value", VALUES)
@pytest.mark.parametrize("name", METHODS)
def test_both_modes_write_to_the_same_memory(name, value):
    dynamic, static = both(METHODS[name], value)
    if isinstance(dynamic, str) or isinstance(static, str):
        assert isinstance(static, str), "what dyngraph refuses, staticgraph does"
    else:
        np.testing.assert_array_equal(dynamic, static)


@pytest.mark.parametrize("value", VALUES)
@pytest.mark.parametrize("name", FUNCTIONS)
def test_numpys_functions_write_to_the_memory_that_numpy_writes_to(name, value):
    wanted = written(FUNCTIONS[name], value)(X.copy())
    for found in both(FUNCTIONS[name], value):
        if not isinstance(found, str):
            np.testing.assert_array_equal(found, wanted)


def test_the_parts_of_complex_numbers_refuse_to_be_written_to():
    for part in (np.real, np.imag):
        z = dg.tensor(np.array([1 + 2j, 3j]))
        with pytest.raises(SideBySideError):
            part(z)[...] = 0


@pytest.mark.parametrize("shape", [(3, 4), (1, 4), (4,)])
def test_rows_are_contiguous_or_copied(shape):
    def program(x):
        rows = x * 1.0
        same = rows.contiguous()
        same[...] = 7.0
        return rows

    x = np.ones((2, *shape))
    assert (dg.vmap(program)(dg.asarray(x)).numpy() == 7).all()
    assert (sg.function(sg.vmap(program))(x) == 7).all()
