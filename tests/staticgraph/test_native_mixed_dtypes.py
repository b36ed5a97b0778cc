"""Two operands of any two dtypes, one a constant: machine code and NumPy's kernels agree."""

import numpy as np
import pytest

pytest.importorskip("llvmlite")

import staticgraph as sg
from oplibrary.messages.errors import SideBySideError
from oplibrary.values.dtypes import REAL_FLOATING, to_dtype

DTYPES = "bool int8 uint8 int32 int64 uint64 float16 bfloat16 float32 float64".split()
OPS = [sg.add, sg.subtract, sg.multiply, sg.divide, sg.floor_divide, sg.remainder, sg.fmod]
OPS += [sg.less, sg.equal, sg.maximum, sg.minimum, sg.atan2, sg.hypot, sg.copysign]
FLOATS = [0.0, -0.0, 1.0, -1.0, np.inf, -np.inf, np.nan, 1.5, 2.0, -3.0]


def specials(dtype):
    kind = to_dtype(dtype).kind
    if kind == "b":
        return np.arange(10) % 3 == 0
    if kind in REAL_FLOATING:
        return np.array(FLOATS).astype(to_dtype(dtype))
    info = np.iinfo(dtype)
    return np.array([0, 1, 2, 3, info.max, info.max - 1, info.min, info.min + 1, 5, 7], dtype)


def near(one, other):
    if one.dtype.kind not in REAL_FLOATING:
        return one == other
    allowed = 4 * float(sg.finfo(one.dtype).eps) * np.abs(one.astype(float))
    apart = np.abs(one.astype(float) - other.astype(float))
    one, other = one.astype(float), other.astype(float)
    same = (one == other) & (np.signbit(one) == np.signbit(other))
    return same | (np.isnan(one) & np.isnan(other)) | ((apart <= allowed) & (one != 0))


@pytest.mark.parametrize("op", OPS, ids=lambda op: op.__name__)
def test_machine_code_computes_what_the_kernels_do(op):
    calls, declared = [], []
    with sg.Graph(), np.errstate(all="ignore"):
        nodes = {dtype: sg.placeholder(dtype, (10,), dtype) for dtype in DTYPES}
        for dtype, node in nodes.items():
            for other in (*DTYPES, 0, 1, -0.0, 0.5):
                fixed = sg.constant(specials(other)[::-1].copy()) if other in DTYPES else other
                for operands in ((node, fixed), (fixed, node)):
                    try:
                        declared.append(op(*operands))
                    except SideBySideError:  # refused by their dtypes: see test_mixed_dtypes
                        continue
                    calls.append((dtype, other, operands[0] is node))
        arrays = [specials(dtype) for dtype in DTYPES]
        wanted, found = (
            sg.compile(declared, list(nodes.values()), backend=backend)(*arrays)
            for backend in ("numpy", "native")
        )
        for call, one, other in zip(calls, wanted, found, strict=True):
            assert one.dtype == other.dtype, call
            assert near(one, other).all(), (call, one, other)
