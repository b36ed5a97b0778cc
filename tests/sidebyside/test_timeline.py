"""A timeline has every operation of both modes once, in order, as Perfetto reads it."""

import itertools
import json

import numpy as np
import pytest

from sidebyside.drawing.timeline import timeline, timeline_json
from sidebyside.workloads.registry import load
from sidebyside.workloads.workload import Workload


def slices(events, process, thread):
    number = next(
        each["tid"]
        for each in events
        if each["name"] == "thread_name"
        and each["pid"] == process
        and each["args"]["name"] == thread
    )
    return [
        each
        for each in events
        if each["ph"] == "X" and (each["pid"], each["tid"]) == (process, number)
    ]


def process_of(events, name):
    return next(
        each["pid"]
        for each in events
        if each["name"] == "process_name" and each["args"]["name"] == name
    )


@pytest.fixture(scope="module")
def events():
    return timeline(load("seed"))["traceEvents"]


def test_operations_of_the_dynamic_mode_are_slices(events):
    dynamic = process_of(events, "dynamic")
    forward, backward = (slices(events, dynamic, name) for name in ("forward", "backward"))
    assert [each["name"] for each in forward] == ["add", "add", "multiply"]
    assert [each["name"] for each in backward] == ["MulBackward0", "AddBackward0", "AddBackward0"]
    assert forward[-1]["ts"] + forward[-1]["dur"] <= backward[0]["ts"]


def test_steps_of_machine_code_are_slices(events):
    pytest.importorskip("llvmlite")
    native = process_of(events, "static:native")
    assert [each["name"] for each in slices(events, native, "build")][:2] == ["trace", "lower"]
    steps = slices(events, native, "step by step")
    assert steps and any("multiply" in each["name"] for each in steps)
    assert all(line.startswith("seed.py:") for each in steps for line in each["args"]["lines"])
    for one, other in itertools.pairwise(steps):
        assert one["ts"] + one["dur"] <= other["ts"] * (1 + 1e-9) + 1e-6


def test_build_and_instructions_of_the_static_mode_are_slices(events):
    static = process_of(events, "static")
    build = slices(events, static, "build")
    assert [each["name"] for each in build][:2] == ["trace", "lower"]
    assert "fuse_elementwise" in [each["name"] for each in build]
    run = slices(events, static, "instruction by instruction")
    assert [each["name"] for each in run] == ["add", "add", "multiply", "add"]
    assert run[0]["args"] == {"type": "float32[1]", "lines": [run[0]["args"]["lines"][0]]}
    assert run[0]["args"]["lines"][0].startswith("seed.py:")


def test_slices_of_a_thread_follow_each_other(events):
    threads = {(each["pid"], each["tid"]) for each in events if each["ph"] == "X"}
    processes = {each["pid"] for each in events}
    assert len(threads) == 3 * len(processes) - 1  # dynamic has no build
    for thread in threads:
        own = [
            each for each in events if each["ph"] == "X" and (each["pid"], each["tid"]) == thread
        ]
        assert all(each["dur"] >= 0 for each in own)
        for before, after in itertools.pairwise(own):
            assert before["ts"] + before["dur"] <= after["ts"] + 1e-3


def test_bytes_are_a_counter_that_sees_the_arrays():
    def doubled(xp, x):
        return xp.sum(xp.exp(x) + x)

    workload = Workload(doubled, lambda rng, size: np.ones(100_000, np.float32), name="doubled")
    found = timeline(workload)["traceEvents"]
    for process in (1, 2):
        held = [e["args"]["bytes"] for e in found if e["ph"] == "C" and e["pid"] == process]
        assert max(held) - min(held) >= 400_000


def test_a_refused_program_has_its_message_in_the_timeline():
    found = timeline(load("control_flow"))["traceEvents"]
    (refused,) = slices(found, process_of(found, "static"), "build")
    assert refused["name"] == "refused"
    assert "SBS-301" in refused["args"]["message"]


def test_the_profiler_that_was_there_is_put_back():
    import sys

    def profiler(frame, event, argument):
        pass

    before = sys.getprofile()
    sys.setprofile(profiler)
    try:
        timeline(load("seed"))
        assert sys.getprofile() is profiler
    finally:
        sys.setprofile(before)


def test_text_is_json():
    assert json.loads(timeline_json(load("seed")))["displayTimeUnit"] == "ns"
