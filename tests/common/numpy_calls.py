"""Calls of NumPy's functions with every array in their arguments as a value of a mode."""

from typing import Any

import numpy as np

import dyngraph as dg
import staticgraph as sg

V = np.array([3.0, -1.0, 2.0, 5.0, 2.0, 0.5])
M = np.arange(12.0).reshape(3, 4) * np.array([1.0, -1.0, 0.5, 2.0])
T = np.arange(24.0).reshape(2, 3, 4) % 7.0
INTS = np.array([[5, 0, 2], [1, 7, 3]], "int8")
TRUTH = np.array([[True, False], [True, True]])
COMPLEX = np.array([1.0 + 2.0j, 0.0 - 1.0j, 3.0])
NANS = np.array([1.0, np.nan, 0.0, np.nan])


class ModeCall:
    """Calls a NumPy function with every array in its arguments as a value of a mode."""

    def __init__(self, function, wrap):
        self.function, self.wrap = function, wrap
        self.wrapped = {}  # an array that is passed twice is one value

    def __call__(self, *args, **kwargs):
        return self.function(*self._mapped(args), **{k: self._mapped(v) for k, v in kwargs.items()})

    def _mapped(self, x):
        if isinstance(x, (list, tuple)):
            return type(x)(map(self._mapped, x))
        if not isinstance(x, np.ndarray) or x.dtype.kind == "O":
            return x
        if id(x) not in self.wrapped:
            self.wrapped[id(x)] = (x, self.wrap(x))
        return self.wrapped[id(x)][1]


def leaves(result: Any) -> list[Any]:
    """Return what a function gave as a list."""
    if isinstance(result, (list, tuple)) and any(hasattr(x, "shape") for x in result):
        return [leaf for each in result for leaf in leaves(each)]
    return [result]


def dynamic(call, function):
    found = call(ModeCall(function, dg.asarray))
    return [x.detach().numpy() if isinstance(x, dg.Tensor) else x for x in leaves(found)]


def static(call, function):
    with sg.Graph():
        # a product, so that it is no constant
        found = leaves(call(ModeCall(function, lambda x: sg.asarray(x) * np.ones((), x.dtype))))
        nodes = [x for x in found if isinstance(x, sg.Node)]
        values = iter(sg.compile(nodes, [], backend="numpy")() if nodes else ())
    return [np.asarray(next(values)) if isinstance(x, sg.Node) else x for x in found]


MODES = {"dynamic": dynamic, "static": static}


def assert_same(found, expected):
    expected = leaves(expected)
    assert len(found) == len(expected)
    for got, right in zip(found, expected, strict=True):
        if isinstance(right, type) or not hasattr(right, "dtype"):
            assert got == right
            continue
        assert (got.shape, got.dtype) == (right.shape, right.dtype)
        np.testing.assert_allclose(got, right, rtol=1e-5, atol=1e-6)
