"""Every builtin workload at every size, both modes in one group: a call in its steady state."""

from importlib.util import find_spec

import pytest

from sidebyside.measuring.environment import environment
from sidebyside.modes import find_mode
from sidebyside.workloads.builtin import BUILTIN
from sidebyside.workloads.registry import load
from sidebyside.workloads.workload import size_label

MODES = ("dynamic", "static", *(["static:native"] if find_spec("llvmlite") else []))


def cases():
    for name in BUILTIN:
        workload = load(name)
        for size in workload.sizes:
            for mode in MODES:
                if mode == "dynamic" or not workload.dynamic_only:
                    label = f"{name}-{size_label(size).replace(',', '')}-{mode}"
                    yield pytest.param(workload, size, mode, id=label)


@pytest.mark.parametrize(("workload", "size", "mode"), [*cases()])
def test_call(benchmark, workload, size, mode):
    prepared = find_mode(mode).prepare(workload, workload.make_inputs(size))
    benchmark.group = f"{workload.name} {size_label(size)}"
    benchmark.extra_info.update(
        mode=mode,
        build_seconds=dict(prepared.build),
        planned_bytes=prepared.plan_memory and prepared.plan_memory(),
        threads=environment()["threads"],
    )
    results = benchmark(prepared.run)
    assert len(prepared.arrays(results)) > 0
