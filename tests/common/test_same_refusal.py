"""What depends on values is refused by both modes alike: one program, one error."""

from importlib.util import find_spec

import numpy as np
import pytest

import dyngraph as dg
import staticgraph as sg
from oplibrary.messages.errors import SideBySideError

BACKENDS = ("interpret", "numpy", *(("native",) if find_spec("llvmlite") else ()))
INTS, FLOATS = np.array([2, 3]), np.array([1.0, 2.0])
NOTHING, STACK = np.zeros(0), np.stack([np.eye(2)] * 2)
SCORES, LABELS = np.ones((2, 3)), np.array([1, 5])

REFUSED = {
    "a negative power": (lambda xp, x, y: x**y, [INTS, np.array([-1, 2])]),
    "a negative power that is known": (lambda xp, x: x**-2, [INTS]),
    "a negative power among others": (lambda xp, x: x ** np.array([1, -2]), [INTS]),
    "a negative power of a constant": (lambda xp, x: 2**x, [INTS - 3]),
    "a negative power of small integers": (
        lambda xp, x, y: x**y,
        [INTS.astype("uint8"), np.array([-1, 2], "int8")],
    ),
    "an index outside": (lambda xp, x, y: x[y], [INTS, np.array([5])]),
    "an index to take": (lambda xp, x, y: xp.take(x, y), [INTS, np.array([-3])]),
    "a label": (lambda xp, x, y: xp.cross_entropy(x, y), [SCORES, LABELS]),
    "repeats": (lambda xp, x: xp.repeat(x, -1), [INTS]),
    "a sorter": (lambda xp, x: xp.searchsorted(x, FLOATS, sorter=-1), [FLOATS]),
    "an index of a sorter": (
        lambda xp, x, y: xp.searchsorted(x, FLOATS, sorter=y),
        [FLOATS, np.array([0, 7])],
    ),
    "a direction": (lambda xp, x: xp.sort(x, descending=np.array([True, False])), [FLOATS]),
    "a direction of indices": (lambda xp, x: xp.argsort(x, descending=np.ones(1)), [FLOATS]),
    "bins": (lambda xp, x: np.histogram(x, bins=-1), [FLOATS]),
    "the least of nothing": (lambda xp, x: np.nanargmin(x), [NOTHING]),
    "the least of nothing but NaN": (lambda xp, x: np.nanargmax(x), [FLOATS * np.nan]),
    "tolerances": (lambda xp, x: xp.linalg.pinv(x, rtol=np.ones(3)), [STACK]),
    "a choice": (lambda xp, x, y: np.choose(x, [y, y]), [INTS, INTS]),
    "a bound above": (lambda xp, x: xp.clip(x, 300, None), [INTS.astype("int8")]),
    "a bound below": (lambda xp, x: xp.clip(x, None, -1), [INTS.astype("uint8")]),
    "an array as a dtype": (lambda xp, x: xp.astype(x, x), [FLOATS]),
    "an array as the dtype of a sum": (lambda xp, x: xp.nansum(x, dtype=x), [FLOATS]),
    "an array of NumPy as a dtype": (lambda xp, x: x.astype(np.float32(1)), [FLOATS]),
    "a number beyond 64 bits": (lambda xp, x: xp.any(2**70), [INTS]),
    "such numbers alone": (lambda xp, x: xp.append(2**70, 2), [INTS]),
    "repeats of such a number": (lambda xp, x: xp.tile(2**70, 2), [INTS]),
    "a bound beyond 64 bits": (lambda xp, x: xp.clip(x, 2**70, None), [INTS]),
}


def error_of(call):
    with pytest.raises(SideBySideError) as caught:
        call()
    return caught.value


def run(program, arrays, backend):
    with sg.Graph():
        nodes = [sg.placeholder(f"x{i}", x.shape, x.dtype) for i, x in enumerate(arrays)]
        found = program(sg, *nodes)
        found = list(found) if isinstance(found, tuple) else found
        return sg.compile(found, nodes, backend=backend)(*arrays)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("name", REFUSED)
def test_both_modes_refuse_alike(name, backend):
    program, arrays = REFUSED[name]
    eager = error_of(lambda: program(dg, *map(dg.asarray, arrays)))
    static = error_of(lambda: run(program, arrays, backend))
    assert (type(static), static.id) == (type(eager), eager.id)


def test_a_negative_power_that_is_known_is_refused_where_it_is_declared():
    with sg.Graph():
        x = sg.placeholder("x", (3,), "int64")
        empty = sg.placeholder("empty", (0,), "int64")
        for power in (-1, np.array([1, 2, -3]), sg.constant(-1)):
            with pytest.raises(sg.errors.ArgumentError, match="negative integer powers"):
                x**power
        assert (empty**-1).shape == dg.asarray(np.zeros(0, int)).__pow__(-1).shape
        assert (x**-1.0).dtype == "float64"


TAKEN = {
    f"{sign} {dtype} {number}": (
        lambda xp, x, s=sign, n=number: {
            "<": x < n,
            "==": x == n,
            "!=": n != x,
            ">=": n >= x,
            "+": xp.where(x > n, x, x),
        }[s],
        [np.array([1, 0], dtype)],
    )
    for sign in ("<", "==", "!=", ">=", "+")
    for dtype in ("bool", "int8", "uint64", "float32")
    for number in (2**70, -(2**70), 2**63, 2**64 - 1, 300, -1)
}
TAKEN |= {
    "a class to leave out": (
        lambda xp, x, y: xp.cross_entropy(x, y, ignore_index=2**70),
        [SCORES, LABELS % 3],
    ),
    "bounds without effect": (
        lambda xp, x: xp.clip(xp.clip(x, -300, 300), -(2**70), 2**70),
        [INTS.astype("int8")],
    ),
    "NumPy's classes as dtypes": (
        lambda xp, x: x.astype(xp.result_type(x, np.complex64)),
        [FLOATS.astype("float32")],
    ),
    "a tolerance": (lambda xp, x, y: xp.linalg.pinv(x, rtol=y), [STACK, np.array(0.5)]),
    "tolerances": (
        lambda xp, x, y: xp.linalg.pinv(x * np.array([1.0, 0.2]), rtol=y),
        [STACK, np.array([0.1, 0.5], "float32")],
    ),
}


@pytest.mark.parametrize("backend", BACKENDS)
def test_both_modes_take_alike(backend):
    for name, (program, arrays) in TAKEN.items():
        wanted, found = program(dg, *map(dg.asarray, arrays)).numpy(), run(program, arrays, backend)
        assert wanted.dtype == found.dtype, name
        same = np.testing.assert_allclose if backend == "native" else np.testing.assert_array_equal
        same(found, wanted, err_msg=name)


def test_a_pseudoinverse_with_tolerances_has_a_gradient():
    x = STACK * np.array([2.0, 1.0])
    rtol = np.array([0.1, 0.6])
    eager = dg.tensor(x, requires_grad=True)
    dg.sum(dg.linalg.pinv(eager, rtol=rtol)).backward()
    with sg.Graph():
        node = sg.placeholder("x", x.shape, "float64")
        y = sg.sum(sg.linalg.pinv(node, rtol=rtol))
        (found,) = sg.compile(sg.gradients(y, [node]), [node], backend="numpy")(x)
    np.testing.assert_array_equal(found, eager.grad.numpy())
