"""From a Python function to its first result, cold each time, both modes in one group."""

import pytest

from sidebyside.modes import find_mode
from sidebyside.workloads.builtin import BUILTIN
from sidebyside.workloads.registry import load

PROGRAMS = tuple(name for name in BUILTIN if not load(name).dynamic_only)


@pytest.mark.parametrize("mode", ["dynamic", "static"])
@pytest.mark.parametrize("name", PROGRAMS)
def test_first_result(benchmark, name, mode):
    workload = load(name)
    size = workload.sizes[0]
    prepare = find_mode(mode).prepare_anew

    def make_inputs():
        return (workload.make_inputs(size),), {}

    def build_and_run(inputs):
        prepared = prepare(workload, inputs)
        prepared.run()
        return prepared

    benchmark.group = f"first result {name}"
    prepared = benchmark.pedantic(build_and_run, setup=make_inputs, rounds=5, warmup_rounds=1)
    benchmark.extra_info.update(
        mode=mode,
        build_seconds=dict(prepared.build),
        passes={each.name: (each.before, each.after) for each in prepared.passes},
    )
