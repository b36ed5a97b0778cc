"""Every elementwise op of one operand over every dtype: machine code as NumPy's kernels."""

import numpy as np
import pytest

import staticgraph as sg
from oplibrary.core.op import Kind
from oplibrary.core.registry import REGISTRY
from oplibrary.messages.errors import SideBySideError
from oplibrary.ops.dtypes import finfo
from oplibrary.values.dtypes import to_dtype

pytest.importorskip("llvmlite")

OPS = [
    op
    for op in REGISTRY.values()
    if op.kind is Kind.ELEMENTWISE and op.arity == 1 and ... not in op.attrs.values()
]
SPECIAL = [0.0, -0.0, 1.0, -1.0, np.inf, -np.inf, np.nan, 0.5, 2.5, -2.5]
UNITS = {"f": 16, "V": 2, "c": 64}
"""In the last place, of the result or of 1; the accuracy of each function has tests of its own."""


def numbers(dtype, count=37):
    rng = np.random.default_rng(3)
    if dtype.kind == "b":
        return rng.integers(0, 2, count).astype(bool)
    if dtype.kind in "iu":
        bounds = np.iinfo(dtype)
        drawn = rng.integers(bounds.min, bounds.max, count, dtype, endpoint=True)
        drawn[:5] = [0, 1, bounds.max, bounds.min, 7]
        return drawn
    drawn = np.concatenate([SPECIAL, rng.normal(size=count - len(SPECIAL)) * 3])
    return (drawn + 1j * np.roll(drawn, 3) if dtype.kind == "c" else drawn).astype(dtype)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("name", "bool int8 uint8 int16 uint32 int64 uint64".split())
def test_whole_numbers(name):
    compare(np.dtype(name))


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("name", "float16 bfloat16 float32 float64 complex64 complex128".split())
def test_numbers_with_fractions(name):
    compare(to_dtype(name))


def compare(dtype):
    x = numbers(dtype)
    with sg.Graph(finalize=False):
        given = sg.placeholder("x", x.shape, dtype)
        outputs = {}
        for op in OPS:
            try:
                outputs[op.name] = op(given)
            except SideBySideError:
                continue
        nodes = list(outputs.values())
        wanted = sg.compile(nodes, [given], backend="numpy")(x)
        native = sg.compile(nodes, [given], backend="native")
        found = native(x)
    assert "planner" not in native.report()
    for name, one, other in zip(outputs, found, wanted, strict=True):
        assert one.dtype == other.dtype, name
        if other.dtype.kind not in UNITS:
            np.testing.assert_array_equal(one, other, err_msg=name)
            continue
        units = UNITS[other.dtype.kind] * finfo(other.dtype).eps
        if other.dtype.kind == "V":
            one, other = one.astype(float), other.astype(float)
        np.testing.assert_allclose(one, other, rtol=units, atol=units, err_msg=name)
