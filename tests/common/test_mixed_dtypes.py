"""Two operands of any two dtypes: both modes give the same bits, and refuse the same.

One operand is a constant, so that what is known beforehand may be used: a unit that is left out,
operands that change places, what is computed while compiling.
"""

import numpy as np
import pytest

import dyngraph as dg
import staticgraph as sg
from oplibrary.core.op import Kind
from oplibrary.core.registry import REGISTRY
from oplibrary.messages.errors import SideBySideError

OPS = [
    op for op in REGISTRY.values() if op.kind is Kind.ELEMENTWISE and op.arity == 2 and op.public
]
DTYPES = "bool int8 uint8 int64 uint64 float16 float32 float64 complex64 complex128".split()
FLOATS = [0.0, -0.0, 1.0, -1.0, np.inf, -np.inf, np.nan, 1.5]


def specials(dtype):
    """Return numbers with which something special happens."""
    kind = np.dtype(dtype).kind
    if kind == "b":
        return np.arange(8) % 3 == 0
    if kind in "iu":
        info = np.iinfo(dtype)
        return np.array([0, 1, 2, 3, info.max, info.max - 1, info.min, info.min + 1], dtype)
    if kind == "f":
        return np.array(FLOATS, dtype)
    numbers = np.array(FLOATS, dtype)
    numbers.imag = FLOATS[3:] + FLOATS[:3]
    return numbers


def constants(dtype):
    yield specials(dtype)
    for unit in (0.0, -0.0, 1.0):
        if np.dtype(dtype).kind in "fc" or not np.signbit(unit):
            yield np.full(8, unit, dtype)


def bits(array):
    """Return the bits of an array, but the payload of what is not a number."""
    array = np.array(array, order="C")
    parts = array.view(array.real.dtype)
    if parts.dtype.kind == "f":
        parts[np.isnan(parts)] = np.nan
    return array.dtype, array.shape, array.tobytes()


@pytest.mark.parametrize("op", OPS, ids=lambda op: op.name)
def test_both_modes_give_the_same_bits(op):
    calls, wanted, inputs, declared = [], [], {}, []
    with sg.Graph(), np.errstate(all="ignore"):
        nodes = {dtype: sg.placeholder(dtype, (8,), dtype) for dtype in DTYPES}
        for dtype, node in nodes.items():
            inputs[dtype] = specials(dtype)
            x = dg.tensor(inputs[dtype])
            for other in DTYPES:
                for constant in constants(other):
                    y, fixed = dg.tensor(constant), sg.constant(constant)
                    for eager, static in (((x, y), (node, fixed)), ((y, x), (fixed, node))):
                        try:
                            result = op(*eager)
                        except SideBySideError as error:
                            refused = error
                        else:
                            wanted.append(result.numpy())
                            calls.append((dtype, other, constant[:2], eager[0] is x))
                            declared.append(op(*static))
                            continue
                        if refused.id != "SBS-103":  # of the numbers, which static has in a run
                            with pytest.raises(type(refused)):
                                op(*static)
        found = sg.compile(declared, list(nodes.values()), backend="numpy")(*inputs.values())
    assert calls
    for call, one, other in zip(calls, wanted, found, strict=True):
        assert bits(one) == bits(other), (call, one, other)
