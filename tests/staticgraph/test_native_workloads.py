"""The builtin workloads by the native backend: right, and nothing in them left to NumPy."""

import numpy as np
import pytest

pytest.importorskip("llvmlite")

from sidebyside.modes.static import build
from sidebyside.workloads import BUILTIN, load

DECLARED = [name for name in BUILTIN if name != "control_flow"]


@pytest.mark.parametrize("name", DECLARED)
def test_forward_and_gradients(name):
    workload = load(name)
    inputs = workload.make_inputs(workload.sizes[0])
    native, prepared = build(workload, inputs, backend="native")
    _, oracle = build(workload, inputs, backend="interpret")
    assert "left to NumPy" not in native.report()
    found, wanted = prepared.arrays(prepared.run()), oracle.arrays(oracle.run())
    assert len(found) == len(wanted)
    for one, other in zip(found, wanted, strict=True):
        assert (one.shape, one.dtype) == (other.shape, other.dtype)
        # a step changes parameters by little: what is compared is near enough for that
        scale = max(float(np.abs(other).max()), 1e-3)
        np.testing.assert_allclose(one, other, rtol=0, atol=workload.tolerance * scale)
