"""The builtin workloads by the native backend: right, and nothing in them left to NumPy."""

import numpy as np
import pytest

pytest.importorskip("llvmlite")

from oplibrary.machine import cache
from sidebyside.modes.static import build
from sidebyside.workloads.builtin import BUILTIN
from sidebyside.workloads.registry import load
from staticgraph.backends.native.planning import planning

DECLARED = [name for name in BUILTIN if name != "control_flow"]


@pytest.mark.parametrize("name", DECLARED)
def test_what_is_found_on_disk_computes_the_same_bits(name, tmp_path, monkeypatch):
    monkeypatch.setenv(cache.VARIABLE, str(tmp_path / "cache"))
    workload = load(name)
    inputs = workload.make_inputs(workload.sizes[0])
    _, new = build(workload, inputs, backend="native")
    planned, make_plan = [], planning.make_plan
    monkeypatch.setattr(planning, "make_plan", lambda p: planned.append(p) or make_plan(p))
    _, found = build(workload, inputs, backend="native")
    assert not planned
    for one, other in zip(new.arrays(new.run()), found.arrays(found.run()), strict=True):
        np.testing.assert_array_equal(one, other)
    assert found.plan_memory() == new.plan_memory()


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
