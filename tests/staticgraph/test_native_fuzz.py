"""A short run of the random programs, in a process of its own: a crash is a failure like others."""

import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("llvmlite")

from tests.staticgraph import open_programs
from tests.staticgraph.evaluation import Expected, bounds, compare
from tests.staticgraph.fences import fenced
from tests.staticgraph.fuzz import find_difference
from tests.staticgraph.random_programs import Generator
from tests.staticgraph.shrinking import describe, shrink

import staticgraph as sg
from staticgraph.declare.lower import lower

ROOT = Path(__file__).parents[2]


def run(*arguments):
    return subprocess.run(
        [sys.executable, "-m", *arguments], cwd=ROOT, capture_output=True, text=True, timeout=500
    )


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="fences are pages of Linux")
def test_random_programs_are_right_by_every_executor():
    done = run("tests.staticgraph.fuzz", "--programs", "80", "--seed", "7")
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-3000:]
    assert "80 programs in" in done.stdout
    assert "--seeds 7:87" in done.stdout


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="fences are pages of Linux")
@pytest.mark.parametrize(("at_end", "place"), [(True, 5), (False, -1)])
def test_a_step_over_a_fence_stops_the_process(at_end, place):
    program = f"""
import ctypes
from tests.staticgraph.fences import fenced
x = fenced((5,), "float32", {at_end})
x[:] = 1
ctypes.c_float.from_address(x.ctypes.data + 4 * {place}).value = 1.0
"""
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True)
    assert done.returncode < 0
    assert (fenced((3, 2), "int64", at_end) * 0 == 0).all()


def test_a_wrong_result_is_seen_and_made_small(monkeypatch):
    """An op that computes something else in one backend alone."""
    from oplibrary.core.registry import REGISTRY
    from staticgraph.backends.registry import BACKENDS, load_backend

    real = load_backend("native")

    def wrong(program, plan):
        runner = real.build(program, plan)
        bad = any(each.op is REGISTRY["tanh"] for each in program.instructions)

        def call(*arrays):
            return [x + 1 if bad and x.dtype == np.float32 else x for x in runner.call(*arrays)]

        return type(runner)(call)

    monkeypatch.setitem(BACKENDS, "native", replace(real, build=wrong))
    for seed in range(200):
        made = Generator(seed).make()
        uses = [(each.op.name, each.output.type.dtype) for each in made.program.instructions]
        if ("tanh", np.float32) in uses and len(uses) > 5 and find_difference(made):
            break
    small = shrink(made, lambda each: bool(find_difference(each)))
    assert [each.op.name for each in small.program.instructions] == ["tanh"]
    assert "tanh" in describe(small)


def test_a_wrong_result_at_one_length_is_seen(monkeypatch):
    class Wrong:
        def __init__(self, *declared):
            self.run = compile_program(*declared)
            self.report = self.run.report

        def __call__(self, *arrays):
            wrong = any(n == 17 for array in arrays for n in array.shape)
            return [x + wrong if x.dtype == np.float32 else x for x in self.run(*arrays)]

    compile_program = open_programs.compile_program
    for seed in range(1, 200):
        generator = Generator(seed)
        generator.make()
        made = open_programs.opened(generator, seed)
        if made is None or not any(17 in each.values() for each in made.lengths[1:]):
            continue
        if any(value.type.dtype == np.float32 for value in made.program.outputs):
            break
    assert not open_programs.check_open(generator, seed, 4)[0]
    monkeypatch.setattr(open_programs, "compile_program", Wrong)
    assert re.search("at {.*17.*}: output", open_programs.check_open(generator, seed, 4)[0])


def test_one_seed_is_one_program():
    one, other = Generator(11).make(), Generator(11).make()
    assert describe(one) == describe(other)
    assert describe(one) != describe(Generator(12).make())


def test_comparisons_see_what_is_wrong():
    exact = Expected(np.array([1.0, np.nan, np.inf]), None, np.zeros(3, bool))
    assert not compare(exact, exact.array.copy())
    for place, wrong in ((0, 1.0000001), (1, 0.0), (2, -np.inf), (0, np.nan)):
        result = exact.array.copy()
        result[place] = wrong
        assert "1 of 3 wrong" in compare(exact, result)
    assert "float32" in compare(exact, exact.array.astype("float32"))
    near = exact._replace(bound=np.full(3, 0.1))
    assert not compare(near, np.array([1.05, np.nan, np.inf]))
    assert "allowed 0.1" in compare(near, np.array([1.2, np.nan, np.inf]))


def test_what_overflows_in_one_order_may_be_finite():
    x = np.array([-0.9, 1.6e308, -1.4, 0.5, 0.5])
    with sg.Graph():
        node = sg.placeholder("x", x.shape, x.dtype)
        program = lower(node.graph, [sg.prod(node), sg.sum(node)], [node])
    with np.errstate(all="ignore"):
        product, total = bounds(program, [x], 20)
    assert np.isinf(product.array) and product.free and not total.free
    assert not compare(product, np.asarray(4e307)) and compare(total, np.asarray(4e307))
