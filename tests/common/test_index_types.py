"""Indices of every integer type select, and send gradients, as int64 indices do.

The axes are longer than the small types reach, and a place in memory is far beyond them: nothing
may be computed in the indices' own type.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import dyngraph as dg
import staticgraph as sg

TYPES = ("int8", "uint8", "int16", "uint16", "int32", "uint32", "int64")
ROWS, WIDTH = 70_000, 3


def _indices(dtype: str, rows: int, shape: tuple[int, ...] = (6,)) -> np.ndarray:
    """Return indices that reach both ends of `dtype`, or of the axis, with repetitions."""
    limits = np.iinfo(dtype)
    low, high = max(limits.min, -rows), min(limits.max, rows - 1)
    numbers = np.array([high, low, high // 2, high, high - 1, 1])
    return np.resize(numbers, shape).astype(dtype)


PROGRAMS: dict[str, tuple[Callable[..., Any], tuple[int, ...], tuple[int, ...]]] = {
    "x[i]": (lambda ns, x, i: x[i], (300, WIDTH), (6,)),
    "x[i] of many rows": (lambda ns, x, i: x[i], (ROWS, WIDTH), (6,)),
    "x[:, i]": (lambda ns, x, i: x[:, i], (2, 300, WIDTH), (6,)),
    "x[i, i]": (lambda ns, x, i: x[i, i], (300, 300), (6,)),
    "x[:, i, i]": (lambda ns, x, i: x[:, i, i], (2, 300, 300), (2, 3)),
    "take": (lambda ns, x, i: ns.take(x, i, axis=0), (200, WIDTH), (2, 3)),
    "take along the last axis": (lambda ns, x, i: ns.take(x, i, axis=-1), (2, 300), (6,)),
    "take_along_axis": (lambda ns, x, i: ns.take_along_axis(x, i, axis=1), (2, 300), (2, 6)),
    "one of take_along_axis": (lambda ns, x, i: ns.take_along_axis(x, i, axis=1), (6, 300), (6, 1)),
    "embedding": (lambda ns, x, i: ns.embedding(x, i), (300, 300), (2, 3)),
    "embedding with padding": (
        lambda ns, x, i: ns.embedding(x, i, padding_idx=-1),
        (300, 4),
        (6,),
    ),
    "scatter_add": (lambda ns, x, i: ns.scatter_add(x, i, x[:6] * 2.0), (300, 300), (6,)),
    "scatter_add along an axis": (
        lambda ns, x, i: ns.scatter_add(x, i, x[:, :6] * 2.0, axis=1),
        (300, 300),
        (6,),
    ),
    "set_item": (lambda ns, x, i: ns.set_item(x, i, x[:6] * 2.0), (300, 300), (6,)),
    "set_item of two": (lambda ns, x, i: ns.set_item(x, (i, i), x[0, :6]), (300, 300), (6,)),
}

EXECUTIONS = ("dynamic", "interpret", "numpy", "native")


def _run(how: str, program: Callable[..., Any], x: np.ndarray, i: np.ndarray) -> list[np.ndarray]:
    """Return the result of `program` and the gradient of the sum of its weighted elements."""
    weights = np.arange(1.0, 8.0)

    def loss(ns: Any, x: Any, i: Any) -> Any:
        y = ns.reshape(program(ns, x, i), (-1,))
        repeated = np.resize(weights, y.shape)
        return ns.sum(y * repeated), y

    if how == "dynamic":
        value, gradient = dg.value_and_grad(lambda x: loss(dg, x, i), has_aux=True)(x)
        return [value[1].detach().numpy(), gradient.numpy()]
    with sg.Graph():
        x_node = sg.placeholder("x", x.shape, "float64")
        i_node = sg.placeholder("i", i.shape, i.dtype)
        total, y = loss(sg, x_node, i_node)
        (gradient,) = sg.gradients(total, [x_node])
        return list(map(np.asarray, sg.compile([y, gradient], [x_node, i_node], backend=how)(x, i)))


@pytest.mark.parametrize("name", PROGRAMS)
@pytest.mark.parametrize("dtype", TYPES)
def test_indices_of_every_type_are_those_of_int64(name: str, dtype: str) -> None:
    program, shape, index_shape = PROGRAMS[name]
    length = shape[1] if name in ("x[:, i]", "x[:, i, i]") or "along" in name else shape[0]
    i = _indices(dtype, length, index_shape)
    x = np.random.default_rng(0).standard_normal(shape)
    expected = _run("dynamic", program, x, i.astype("int64"))
    assert np.count_nonzero(expected[1])
    for how in EXECUTIONS:
        for got, right in zip(_run(how, program, x, i), expected, strict=True):
            np.testing.assert_array_equal(got, right, err_msg=how)


@pytest.mark.parametrize("dtype", TYPES)
def test_labels_of_every_type(dtype: str) -> None:
    x = np.random.default_rng(0).standard_normal((6, 300))
    labels = np.abs(_indices(dtype, 300).astype("int64")).clip(0, min(np.iinfo(dtype).max, 299))

    def program(ns: Any, x: Any, i: Any) -> Any:
        return ns.cross_entropy(x, i, reduction="none")

    expected = _run("dynamic", program, x, labels)
    for how in EXECUTIONS:
        for got, right in zip(_run(how, program, x, labels.astype(dtype)), expected, strict=True):
            np.testing.assert_allclose(got, right, rtol=1e-12, err_msg=how)


@pytest.mark.parametrize("dtype", TYPES)
def test_an_index_beyond_the_axis_is_named(dtype: str) -> None:
    x = dg.tensor(np.ones((100, 2)), requires_grad=True)
    with pytest.raises(dg.errors.IndexingError, match="index 101 is out of bounds"):
        x[dg.asarray(np.array([0, 101], dtype))]


@pytest.mark.parametrize("dtype", ["float64", "int8", "bool"])
def test_an_index_may_be_a_python_number(dtype):
    """Beside numbers with fractions, and beside integers that cannot be as large."""
    x = np.arange(600).reshape(2, 300).astype(dtype)
    for index in (1, -1, 299):
        wanted = x.take(index, 1)
        for found in (
            dg.take(dg.tensor(x), index, axis=1).numpy(),
            sg.function(lambda x, i=index: sg.take(x, i, axis=1), backend="numpy")(x),
        ):
            assert found.dtype == wanted.dtype
            np.testing.assert_array_equal(found, wanted)
    w = dg.tensor(np.ones((2, 3)), requires_grad=True)
    dg.take(w, 2, axis=1).sum().backward()
    assert w.grad.tolist() == [[0, 0, 1], [0, 0, 1]]
