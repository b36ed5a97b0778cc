"""Machine code gives the zero that NumPy gives where two zeros of other signs are equal."""

from __future__ import annotations

import numpy as np
import pytest

import dyngraph as dg
import staticgraph as sg

pytest.importorskip("llvmlite")

BOUNDS = {
    "lower": {"min": 0.0},
    "lower -0.0": {"min": -0.0},
    "lower int": {"min": 0},
    "upper": {"max": 0.0},
    "upper -0.0": {"max": -0.0},
    "both": {"min": 0.0, "max": 1.0},
    "both -0.0": {"min": -1.0, "max": -0.0},
    "both zero": {"min": 0.0, "max": 0.0},
    "swapped": {"min": 1.0, "max": -0.0},
}
OF_ONE = {
    **{f"clip {name}": lambda xp, x, kw=kw: xp.clip(x, **kw) for name, kw in BOUNDS.items()},
    "relu": lambda xp, x: xp.relu(x),
    "elu": lambda xp, x: xp.elu(x),
    "relu6": lambda xp, x: xp.relu6(x),
    "maximum, number": lambda xp, x: xp.maximum(x, 0.0),
    "number, maximum": lambda xp, x: xp.maximum(-0.0, x),
    "minimum, number": lambda xp, x: xp.minimum(x, -0.0),
    "number, minimum": lambda xp, x: xp.minimum(0.0, x),
}


@pytest.mark.parametrize("name", OF_ONE)
def test_a_bound_that_is_zero_meets_both_zeros(name):
    def program(xp, *operands):
        return [OF_ONE[name](xp, x) for x in operands]

    # seventeen elements: whole vectors and what is left over; NaN and other numbers among them
    line = np.array([0.0, -0.0, np.nan, -0.0, 0.0, 3.0, -np.inf, -0.0, 0.0] + [-0.0, 0.0] * 4)
    operands = [line.astype(dtype) for dtype in ("float16", "float32", "float64")]
    expected = program(dg, *map(dg.tensor, operands))
    found = sg.function(lambda *xs: program(sg, *xs), backend="native")(*operands)
    for mine, theirs in zip(found, expected, strict=True):
        assert mine.tobytes() == theirs.numpy().tobytes(), (mine, theirs)


@pytest.mark.parametrize("name", ["maximum", "minimum"])
def test_arrays_of_zeros_meet(name):
    def program(xp, *pairs):
        return [getattr(xp, name)(x, y) for x, y in zip(pairs[::2], pairs[1::2], strict=True)]

    zeros = np.array([0.0, -0.0])
    pairs = []
    for dtype in ("float16", "float32", "float64"):
        x, y = np.meshgrid(np.tile(zeros, 9), np.tile(zeros, 9))
        pairs += [x.astype(dtype), y.astype(dtype), x.astype(dtype), y[0, 1].astype(dtype)]
    expected = program(dg, *map(dg.tensor, pairs))
    found = sg.function(lambda *xs: program(sg, *xs), backend="native")(*pairs)
    for mine, theirs in zip(found, expected, strict=True):
        assert mine.tobytes() == theirs.numpy().tobytes()


@pytest.mark.parametrize("dtype", ["uint8", "int32", "int64"])
@pytest.mark.parametrize("name", BOUNDS)
def test_a_bound_that_is_zero_meets_integers(name, dtype):
    bounds = BOUNDS[name]
    x = (np.arange(88) % 3).astype(dtype).reshape(11, 8)
    for array in (x, x.T, x[::2]):
        expected = dg.clip(dg.from_numpy(array), **bounds).numpy()
        found = sg.function(lambda x: sg.clip(x, **bounds), backend="native")(array)
        assert found.dtype == expected.dtype and found.tobytes() == expected.tobytes()
