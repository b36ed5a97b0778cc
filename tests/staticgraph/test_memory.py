from itertools import combinations

import numpy as np
import pytest

import staticgraph as sg
from oplibrary.values.memory import ALIGNMENT
from staticgraph.backends import interpret
from staticgraph.backends import numpy as numpy_backend
from staticgraph.passes import DEFAULT_PASSES, run_passes
from staticgraph.program.layout import PROBE_ELEMENTS, contiguous_strides, find_layouts
from staticgraph.program.memory import IN_PLACE_BYTES, Arena


def planned(function, *shapes, program, passes=DEFAULT_PASSES, borrow=False):
    lowered = run_passes(program(function, *shapes), passes)
    return lowered, numpy_backend.plan(lowered, borrow=borrow)


def nbytes(plan, value, step):
    if value in step.inner:
        return step.blocks.block_size * value.type.dtype.itemsize
    return value.type.nbytes


def lives(plan):
    """Return (value, first byte, byte after, birth, death); times are (step, instruction)."""
    found = []
    for number, step in enumerate(plan.steps):
        reads = {}
        for position, instruction in enumerate(step.instructions):
            for value in instruction.inputs:
                reads[value] = position
        for position, instruction in enumerate(step.instructions):
            value = instruction.output
            if value in plan.offsets:
                start = plan.offsets[value]
                if value in step.inner:
                    death = (number, reads.get(value, position))
                else:
                    death = (plan.last_use[value], len(step.instructions))
                end = start + nbytes(plan, value, step)
                found.append((value, start, end, (number, position), death))
    return found


def assert_no_overlap(plan):
    """Compare every pair: two values in one place must not be needed at one time."""
    everything = lives(plan)
    for first, second in combinations(everything, 2):
        value, start, end, _, death = first
        other, other_start, other_end, other_birth, _ = second
        if start < other_end and other_start < end:
            assert start >= 0
            if plan.in_place.get(other) is value:
                # the last to read it is the one that overwrites it
                assert death[0] == other_birth[0]
                assert (start, end) == (other_start, other_end)
            elif death[0] == other_birth[0]:
                step = plan.steps[death[0]]
                assert value in step.inner, (value, other)
                assert other in step.inner, (value, other)
                assert death <= other_birth
                assert (start, end) == (other_start, other_end)
            else:
                assert death < other_birth, (value, other)
    assert all(end <= plan.arena_bytes for _, _, end, _, _ in everything)
    assert all(start % ALIGNMENT == 0 for _, start, _, _, _ in everything)


def test_buffers_that_live_at_one_time_never_overlap(program, random_function, stressed):
    shared = loops = 0
    for seed in range(40):
        function = random_function(seed, steps=40)
        _, plan = planned(lambda *x, f=function: f(sg, *x), *function.shapes, program=program)
        assert_no_overlap(plan)
        shared += len(plan.in_place)
        loops += sum(step.blocks is not None for step in plan.steps)
    assert shared > 40
    assert loops > 100


def test_a_chain_needs_one_place(program):
    def function(x):
        for _ in range(20):
            x = sg.tanh(x)
        return sg.sum(x)

    _, plan = planned(function, (IN_PLACE_BYTES,), program=program)
    assert len(plan.offsets) == 20
    assert len(plan.in_place) == 19
    assert plan.arena_bytes == 4 * IN_PLACE_BYTES
    assert plan.unplanned_bytes == 20 * 4 * IN_PLACE_BYTES + 4
    assert plan.peak_bytes == 4 * IN_PLACE_BYTES + 4


def test_small_values_do_not_share_in_place(program):
    def function(x):
        return sg.sum(sg.tanh(sg.tanh(sg.tanh(x))))

    _, plan = planned(function, (IN_PLACE_BYTES // 4 - 1,), program=program)
    assert not plan.in_place
    assert len(plan.offsets) == 3


def test_a_view_keeps_its_base_alive(program):
    def function(x):
        base = sg.tanh(x)
        turned = sg.permute_dims(base, axes=(1, 0))
        others = sg.exp(sg.exp(x))
        return sg.sum(others), sg.sum(turned)

    lowered, plan = planned(function, (40, 50), program=program)
    base = next(each.output for each in lowered.instructions if each.op.name == "tanh")
    view = next(each.output for each in lowered.instructions if each.op.name == "permute_dims")
    assert plan.layouts[view].base is base
    assert view not in plan.offsets
    steps = [each for step in plan.steps for each in step.instructions]
    reader = max(n for n, each in enumerate(steps) if view in each.inputs)
    assert plan.last_use[base] == reader
    assert_no_overlap(plan)


def test_an_operand_seen_through_a_view_is_not_overwritten(program):
    def function(x):
        square = sg.tanh(x)
        return sg.sum(square + sg.permute_dims(square, axes=(1, 0)))

    lowered, plan = planned(function, (64, 64), program=program)
    assert not plan.in_place
    x = np.random.default_rng(0).standard_normal((64, 64)).astype("float32")
    run = numpy_backend.build(lowered, plan).call
    oracle = interpret.build(lowered, interpret.plan(lowered)).call
    assert run(x)[0].tobytes() == oracle(x)[0].tobytes()


def test_results_are_outside_the_arena_unless_borrowed(program):
    def function(x):
        y = sg.tanh(x)
        return y, sg.reshape(sg.exp(y), shape=(50, 40)), sg.sum(y)

    lowered, plan = planned(function, (40, 50), program=program)
    bases = {plan.layouts[value].base for value in lowered.results}
    assert bases.isdisjoint(plan.offsets)
    lowered, plan = planned(function, (40, 50), program=program, borrow=True)
    bases = {plan.layouts[value].base for value in lowered.results}
    assert bases <= set(plan.offsets)
    assert all(plan.last_use[base] == len(plan.steps) for base in bases)


def test_the_interpreter_plans_nothing(program):
    lowered = program(lambda x: sg.sum(sg.tanh(x)), (1000,))
    plan = interpret.plan(lowered)
    assert not plan.offsets
    assert plan.arena_bytes == 0
    assert plan.peak_bytes == 4004


def test_the_table_says_where_and_when(program):
    def function(x):
        return sg.sum(sg.exp(sg.tanh(x)))

    _, plan = planned(function, (10_000,), program=program)
    table = plan.table()
    assert "tanh:float32[10000]" in table
    assert "0 to 1" in table
    assert "in place of tanh" in table


# places -------------------------------------------------------------------------------------------


def test_the_arena_gives_the_smallest_place_that_fits_and_joins_neighbours():
    arena = Arena()
    a, b, c, d = (arena.take(n) for n in (256, 64, 128, 64))
    assert (a, b, c, d) == (0, 256, 320, 448)
    arena.give_back(a, 256)
    arena.give_back(c, 128)
    assert arena.take(100) == c
    arena.give_back(c, 128)
    arena.give_back(b, 64)
    assert arena.take(448) == 0
    arena.give_back(d, 64)
    assert arena.take(128) == 448  # the free end grows
    assert arena.size == 576


def test_random_places_never_overlap():
    rng = np.random.default_rng(0)
    arena, held = Arena(), {}
    for _ in range(2000):
        if held and rng.random() < 0.5:
            offset = list(held)[rng.integers(len(held))]
            arena.give_back(offset, held.pop(offset))
        else:
            n = int(rng.integers(0, 1000))
            offset = arena.take(n)
            assert all(
                offset + max(n, 1) <= start or start + max(size, 1) <= offset
                for start, size in held.items()
            )
            held[offset] = n
    for offset, n in held.items():
        arena.give_back(offset, n)
    assert arena.take(arena.size) == 0


# layouts ------------------------------------------------------------------------------------------


def test_layouts_are_those_of_the_kernels(program, random_function):
    known = 0
    for seed in range(30):
        function = random_function(seed, steps=40)
        lowered = program(lambda *x, f=function: f(sg, *x), *function.shapes)
        layouts = find_layouts(lowered)
        inputs = function.inputs()
        arrays = dict(zip(lowered.inputs, inputs, strict=True))

        def check(instruction, _operands, result, layouts=layouts, arrays=arrays):
            nonlocal known
            output = instruction.output
            arrays[output] = result
            layout = layouts[output]
            if layout.strides is not None:
                known += 1
                actual = [s if n != 1 else 0 for n, s in zip(result.shape, result.strides)]
                assert list(layout.strides) == actual, instruction
            assert not layout.contiguous or result.flags.c_contiguous
            if layout.base is not output and layout.base in arrays:
                assert np.shares_memory(result, arrays[layout.base])

        interpret.build(lowered, interpret.plan(lowered), [check]).call(*inputs)
    assert known > 500


@pytest.mark.parametrize(
    ("shape", "strides"), [((2, 3), (12, 4)), ((1, 3), (0, 4)), ((), ()), ((4, 0), (4, 4))]
)
def test_contiguous_strides(shape, strides):
    assert contiguous_strides(shape, 4) == strides


def test_a_kernel_of_unknown_layout_is_left_alone(program):
    def function(x):
        return sg.tanh(sg.permute_dims(x, axes=(1, 0)))

    small = program(function, (8, 3))
    assert find_layouts(small)[small.outputs[0]].strides == (4, 12)
    # of this size the kernel is not asked, so its result is not planned either
    large, plan = planned(
        lambda x: sg.sum(function(x)), (PROBE_ELEMENTS, 3), program=program, passes=()
    )
    assert plan.layouts[large.instructions[1].output].strides is None
    assert large.instructions[1].output not in plan.offsets
