import numpy as np
import pytest

import staticgraph as sg
from oplibrary.core.op import Kind
from oplibrary.core.registry import REGISTRY
from oplibrary.messages.errors import ArgumentError, DTypeError, PassError
from oplibrary.values.types import TensorType
from staticgraph.backends import interpret
from staticgraph.backends import numpy as numpy_backend
from staticgraph.passes import DEFAULT_PASSES, pass_name, run_passes, without
from staticgraph.passes.absorb_broadcasts import absorb_broadcasts
from staticgraph.passes.eliminate_common_subexpressions import eliminate_common_subexpressions
from staticgraph.passes.eliminate_dead_code import eliminate_dead_code
from staticgraph.passes.fold_constants import MAX_BYTES, fold_constants
from staticgraph.passes.fuse_elementwise import MAX_MEMBERS, MAX_OPERANDS, fuse_elementwise
from staticgraph.passes.merge_views import merge_views
from staticgraph.passes.reorder_for_memory import _Needs, reorder_for_memory
from staticgraph.passes.simplify_algebra import simplify_algebra
from staticgraph.program.program import Instruction, Program, Value
from staticgraph.program.verify import verify


def names(program):
    return [instruction.op.name for instruction in program.instructions]


def run(program, *inputs):
    return interpret.build(program, interpret.plan(program)).call(*inputs)


def same_bits(first, second):
    return all(
        a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()
        for a, b in zip(first, second, strict=True)
    )


SPECIAL = np.array([0.0, -0.0, np.inf, -np.inf, np.nan, 1e-45, 3.4e38, 1.5], "float32")


# all passes ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("each", DEFAULT_PASSES, ids=pass_name)
def test_nothing_to_do_returns_the_same_object(each, program):
    simple = program(lambda x, w: sg.matmul(x, w), (2, 3), (3, 2))
    assert each(simple) is simple


@pytest.mark.parametrize("each", DEFAULT_PASSES, ids=pass_name)
def test_a_pass_keeps_bits_is_valid_and_idempotent(each, program, random_function):
    for seed in range(12):
        function = random_function(seed)
        before = program(lambda *x, f=function: f(sg, *x), *function.shapes)
        after = each(before)
        verify(after, pass_name(each))
        assert each(after) is after or names(each(after)) == names(after)
        assert same_bits(run(before, *function.inputs()), run(after, *function.inputs()))


@pytest.mark.parametrize("name", [None, *map(pass_name, DEFAULT_PASSES)])
def test_the_pipeline_without_any_one_pass_keeps_bits(name, program, random_function):
    passes = without(name) if name else DEFAULT_PASSES
    assert len(passes) == len(DEFAULT_PASSES) - (name is not None)
    for seed in range(20, 28):
        function = random_function(seed)
        before = program(lambda *x, f=function: f(sg, *x), *function.shapes)
        after = run_passes(before, passes, verify=True)
        assert same_bits(run(before, *function.inputs()), run(after, *function.inputs()))


def test_without_names_the_nearest_pass():
    with pytest.raises(ArgumentError, match="no pass 'fuse_elementwize'") as caught:
        without("fuse_elementwize")
    assert "did you mean 'fuse_elementwise'?" in str(caught.value)


def test_the_observer_sees_every_pass(program):
    records = []
    before = program(lambda x: x * 1.0 + x * 1.0, (4,))
    after = run_passes(before, DEFAULT_PASSES, observer=records.append)
    assert [record.name for record in records] == [pass_name(each) for each in DEFAULT_PASSES]
    assert records[0].before == 3
    assert records[-1].after == len(after.instructions) == 1
    assert all(record.seconds >= 0 for record in records)
    simplify = next(record for record in records if record.name == "simplify_algebra")
    assert simplify.changed
    assert (simplify.before, simplify.after) == (3, 1)


# verify -------------------------------------------------------------------------------------------


def handmade(instructions, inputs, outputs):
    return Program(tuple(inputs), {}, {}, tuple(instructions), tuple(outputs))


def test_verify_finds_each_defect(program):
    x, y, z = (Value(TensorType((3,)), name) for name in "xyz")
    wrong = Value(TensorType((4,)), "wrong")
    tanh, add = REGISTRY["tanh"], REGISTRY["add"]
    cases = {
        "reads y:float32\\[3\\] before": handmade([Instruction(tanh, (y,), z)], [x], [z]),
        "defines y:float32\\[3\\] again": handmade(
            [Instruction(tanh, (x,), y), Instruction(tanh, (x,), y)], [x], [y]
        ),
        "gives float32\\[3\\], and the program says float32\\[4\\]": handmade(
            [Instruction(tanh, (x,), wrong)], [x], [wrong]
        ),
        "do not broadcast": handmade([Instruction(add, (x, wrong), z)], [x, wrong], [z]),
        "has 1 operands": handmade([Instruction(add, (x,), y)], [x], [y]),
        "result z:float32\\[3\\] is not defined": handmade([], [x], [z]),
        "sum is in group 1": handmade(
            [
                Instruction(
                    REGISTRY["sum"], (x,), Value(TensorType(())), {"axis": None}, (), group=1
                )
            ],
            [x],
            [],
        ),
        "group 1 is in two places": handmade(
            [
                Instruction(tanh, (x,), y, group=1),
                Instruction(tanh, (x,), Value(x.type)),
                Instruction(tanh, (x,), z, group=1),
            ],
            [x],
            [y, z],
        ),
    }
    for message, broken in cases.items():
        with pytest.raises(PassError, match=f"after some pass: .*{message}"):
            verify(broken, "some pass")


def test_verify_names_the_pass_and_the_users_line(program):
    def break_it(program):
        broken = [
            Instruction(each.op, each.inputs, Value(TensorType((9,))), each.attrs, each.sources)
            for each in program.instructions
        ]
        return program.with_instructions(broken)

    before = program(lambda x: sg.tanh(x), (3,))
    with pytest.raises(PassError, match="after break_it: tanh gives") as caught:
        run_passes(before, (break_it,), verify=True)
    assert caught.value.fix == "correct break_it: a pass keeps every bit"
    assert "sg.tanh(x)" in caught.value.source.text


# each pass ----------------------------------------------------------------------------------------


def test_dead_code_constants_and_variables_go(program):
    def function(x):
        unused = sg.variable(np.ones(3, "float32"))
        sg.exp(x) + unused * 2.0
        return sg.tanh(x)

    with sg.Graph(finalize=False):
        x = sg.placeholder("x", (3,))
        y = function(x)
    whole = sg.lower(y.graph, [y, y.graph.node("add")], [x])
    pruned = eliminate_dead_code(Program(**{**fields(whole), "outputs": whole.outputs[:1]}))
    assert names(pruned) == ["tanh"]
    assert not pruned.constants
    assert not pruned.variables


def fields(program):
    return {
        name: getattr(program, name)
        for name in ("inputs", "constants", "variables", "instructions", "outputs", "updates")
    }


def test_constants_are_folded_through_views(program):
    ones = np.arange(6, dtype="float32").reshape(2, 3)
    before = program(lambda x: x + sg.exp(sg.permute_dims(sg.constant(ones))), (3, 2))
    after = fold_constants(before)
    assert names(after) == ["add"]
    folded = after.constants[after.instructions[0].inputs[1]]
    # in the layout that the kernels give it
    assert folded.strides == np.exp(ones.T).strides
    assert np.array_equal(folded, np.exp(ones.T))


def test_large_results_are_left_to_the_run_and_views_are_not(program):
    rows = MAX_BYTES // 4
    before = program(
        lambda x: x + sg.tanh(sg.broadcast_to(sg.constant(np.float32(2)), shape=(rows + 1,))),
        (rows + 1,),
    )
    assert names(fold_constants(before)) == ["tanh", "add"]


def test_what_would_warn_or_fail_is_left_to_the_run(program):
    def function(x):
        zero = sg.constant(np.zeros(2, "float32"))
        return x + sg.log(zero), x + sg.take(zero, sg.constant(np.array([7, 0])), axis=0)

    assert names(fold_constants(program(function, (2,)))) == ["log", "add", "take", "add"]


def test_random_numbers_fold_from_a_constant_key_only(program):
    drawn = program(lambda x: x + sg.uniform(sg.random_key(3), (4,)), (4,))
    assert names(fold_constants(drawn)) == ["add"]
    fed = program(lambda key: sg.uniform(key, (4,)), ((2,), "uint64"))
    assert fold_constants(fed) is fed


def test_units_are_simplified_and_near_misses_are_not(program):
    zero, minus = np.float32(0.0), np.float32(-0.0)
    cases = [
        (lambda x: x * 1.0, True),
        (lambda x: 1.0 * x, True),
        (lambda x: x / 1.0, True),
        (lambda x: 1.0 / x, False),
        (lambda x: x + sg.constant(minus), True),
        (lambda x: x + sg.constant(zero), False),
        (lambda x: x - sg.constant(zero), True),
        (lambda x: x - sg.constant(minus), False),
        (lambda x: sg.constant(zero) - x, False),
        (lambda x: x * 0.0, False),
        (lambda x: x * np.ones(8, "float32"), True),
        (lambda x: x * np.ones((1, 8), "float32"), False),
        (lambda x: x * np.ones(8, "float64"), False),
        (lambda x: sg.negative(-x), True),
        (lambda x: sg.negative(sg.negative(-x)), False),
        (lambda x: x.astype("float32"), True),
        (lambda x: x.astype("float64"), False),
        (lambda x: x * 1.0 * 1.0, True),
    ]
    for position, (function, gone) in enumerate(cases):
        before = program(function, (8,))
        after = simplify_algebra(before)
        reads_input = after.outputs == after.inputs
        assert reads_input is gone, position
        with np.errstate(all="ignore"):
            assert same_bits(run(before, SPECIAL), run(after, SPECIAL)), position


def test_integers_and_complex_numbers_are_simplified_where_it_is_exact(program):
    ints = program(
        lambda x: x * sg.constant(np.int32(1)) + sg.constant(np.int32(0)), ((4,), "int32")
    )
    assert names(simplify_algebra(ints)) == []
    product = program(lambda x: x * sg.constant(np.complex64(1)), ((4,), "complex64"))
    assert names(simplify_algebra(product)) == ["multiply"]


@pytest.mark.parametrize("constant", ["float32", "float64", "complex64", "complex128"])
@pytest.mark.parametrize("dtype", ["float32", "float64", "complex64", "complex128"])
def test_what_constants_of_another_dtype_change_is_kept(program, dtype, constant):
    """A real 1 makes an imaginary part of infinity times 0, which is NaN."""
    numbers = [0.0, -0.0, np.inf, np.nan, 1.5]
    pairs = [complex(a, b) for a in numbers for b in numbers]
    x = np.array(pairs if dtype[0] == "c" else numbers, dtype)
    for combine in (sg.add, sg.subtract, sg.multiply, sg.divide):
        for value in (0.0, -0.0, 1.0, -1.0):
            for turned in (False, True):
                unit = np.full(x.shape, value, constant)

                def function(x, unit=unit, turned=turned, combine=combine):
                    return combine(sg.constant(unit), x) if turned else combine(x, unit)

                before = program(function, (x.shape, dtype))
                after = simplify_algebra(before)
                with np.errstate(all="ignore"):
                    assert same_bits(run(before, x), run(after, x)), (combine, value, turned)


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "complex64", "complex128"])
def test_operands_in_both_orders_keep_the_bits_of_each(program, dtype):
    """NumPy's maximum of two zeros goes by their places, its complex product rounds by them."""
    rng = np.random.default_rng(0)
    numbers = [*[0.0, -0.0, np.inf, np.nan] * 5, *rng.standard_normal(40)]
    x, y = (rng.choice(numbers, 1003).astype(dtype) for _ in range(2))
    if dtype[0] == "c":
        x.imag, y.imag = (rng.choice(numbers, 1003) for _ in range(2))
    for op in REGISTRY.values():
        if op.arity != 2 or op.kind is not Kind.ELEMENTWISE or not op.public or op.attrs:
            continue
        try:
            before = program(
                lambda x, y, op=op: [op(x, y), op(y, x)], (x.shape, dtype), (x.shape, dtype)
            )
        except DTypeError:
            continue
        after = eliminate_common_subexpressions(before)
        with np.errstate(all="ignore"):
            wanted, found = run(before, x, y), run(after, x, y)
        for one, other in zip(wanted, found, strict=True):
            np.testing.assert_array_equal(one, other, op.name)
            real = np.asarray(one).view(np.asarray(one).real.dtype)
            also = np.asarray(other).view(real.dtype)
            if real.dtype.kind == "f":
                there = ~np.isnan(real)
                assert same_bits([real[there]], [also[there]]), op.name


def test_simplifying_keeps_the_layout(program):
    # x * 1 of a broadcast view is dense, and a sum over it is rounded in another order
    def function(x):
        return sg.sum(sg.broadcast_to(x, shape=(1000, 7)) * 1.0)

    before = program(function, (7,))
    assert names(simplify_algebra(before)) == ["broadcast_to", "multiply", "sum"]


def test_views_that_show_the_same_are_merged(program):
    def function(x):
        same = sg.reshape(x, shape=(4, 3))
        back = sg.permute_dims(sg.permute_dims(x, axes=(1, 0)), axes=(1, 0))
        squeezed = sg.squeeze(sg.expand_dims(x, axis=0), axis=0)
        twice = sg.flip(sg.flip(x, axis=0), axis=0)
        return sg.tanh(same), sg.exp(back), sg.sin(squeezed), sg.cos(twice)

    after = eliminate_dead_code(merge_views(program(function, (4, 3))))
    assert names(after) == ["tanh", "exp", "sin", "cos"]
    assert all(each.inputs == after.inputs for each in after.instructions)


def test_a_reshape_that_copies_is_kept(program):
    def function(x):
        turned = sg.permute_dims(x, axes=(1, 0))
        return sg.sum(sg.reshape(sg.reshape(turned, shape=(12,)), shape=(3, 4)))

    assert "reshape" in names(merge_views(program(function, (4, 3))))


def test_broadcasts_are_absorbed_by_elementwise_ops_only(program):
    def function(x, row):
        wide = sg.broadcast_to(row, shape=(5, 3))
        return x * wide, sg.sum(wide, axis=0), wide + wide

    before = program(function, (5, 3), (3,))
    after = absorb_broadcasts(before)
    multiply, total, add = after.instructions[1:]
    assert multiply.inputs == after.inputs
    # one operand has to keep the shape of the sum
    assert [value.type.shape for value in add.inputs].count((5, 3)) >= 1
    assert total.inputs[0].type.shape == (5, 3)
    x, row = np.ones((5, 3), "float32"), np.arange(3, dtype="float32")
    assert same_bits(run(before, x, row), run(after, x, row))


def test_constants_that_repeat_themselves_shrink(program):
    wide = np.broadcast_to(np.float32(2), (5, 3))
    before = program(
        lambda x: x * sg.broadcast_to(sg.constant(np.float32(2)), shape=(5, 3)), (5, 3)
    )
    after = absorb_broadcasts(fold_constants(before))
    assert after.constants[after.instructions[0].inputs[1]].size == 1
    x = np.ones((5, 3), "float32")
    assert same_bits(run(after, x), [x * wide])


def test_equal_things_are_computed_once(program):
    def function(x, y):
        return (x + y) * (y + x), sg.tanh(x) - sg.tanh(x), x - y, y - x

    after = eliminate_common_subexpressions(program(function, (3,), (3,)))
    assert names(after) == ["add", "multiply", "tanh", "subtract", "subtract", "subtract"]


def test_attributes_that_compare_equal_and_differ_are_kept_apart(program):
    def function(x):
        return (
            sg.clip(x, min=0, max=1),
            sg.clip(x, min=0.0, max=1),
            sg.clip(x, min=-0.0, max=1),
            sg.clip(x, min=0.0, max=True),
        )

    before = program(function, (3,))
    assert eliminate_common_subexpressions(before) is before


def test_constants_with_equal_bytes_are_merged_and_zeros_kept_apart(program):
    def function(x):
        first, second, minus = (sg.constant(np.array([v, 1], "float32")) for v in (0.0, 0.0, -0.0))
        return x + first, x + second, x + minus

    after = eliminate_dead_code(eliminate_common_subexpressions(program(function, (2,))))
    assert names(after) == ["add", "add"]
    assert len(after.constants) == 2


def test_merged_instructions_keep_all_lines(program):
    def function(x):
        first = sg.tanh(x)
        second = sg.tanh(x)
        return first + second

    after = eliminate_common_subexpressions(program(function, (3,)))
    lines = [source.text for source in after.instructions[0].sources]
    assert lines == ["first = sg.tanh(x)", "second = sg.tanh(x)"]


def test_the_order_changes_only_where_the_peak_falls(program):
    def function(*xs):
        wide = [sg.exp(sg.broadcast_to(x, shape=(100, 10))) for x in xs]
        sums = [sg.sum(x) for x in wide]
        total = sums[0]
        for each in sums[1:]:
            total = total + each
        return total

    before = program(function, *[(10,)] * 6)
    after = reorder_for_memory(before)
    peak = _Needs(before).peak(range(len(before.instructions)))
    assert _Needs(after).peak(range(len(after.instructions))) < peak / 4
    verify(after)
    assert reorder_for_memory(after) is after


def test_groups_gather_across_unrelated_instructions(program):
    def function(x, w):
        first = sg.tanh(x)
        product = sg.matmul(w, w)
        second = first * 2.0
        third = sg.exp(second) + sg.sum(product)
        return third, product

    after = fuse_elementwise(program(function, (8,), (8, 8)))
    verify(after)
    groups = {each.op.name: each.group for each in after.instructions}
    assert groups["matmul"] == groups["sum"] == 0
    assert groups["tanh"] == groups["multiply"] == groups["exp"] == groups["add"] == 1


def test_forward_and_backward_of_a_chain_are_one_group(program):
    def function(x):
        y = x
        for _ in range(4):
            y = sg.tanh(y)
        return sg.sum(y), *sg.gradients(sg.sum(y), [x])

    after = run_passes(program(function, (1000,)), DEFAULT_PASSES, verify=True)
    assert {each.group for each in after.instructions if each.op.name != "sum"} == {1}


def test_a_reduction_between_separates_groups(program):
    def function(x):
        shifted = x - sg.max(x)
        powers = sg.exp(shifted)
        return powers / sg.sum(powers)

    after = fuse_elementwise(program(function, (8,)))
    verify(after)
    assert names(after) == ["max", "subtract", "exp", "sum", "divide"]
    assert [each.group for each in after.instructions] == [0, 1, 1, 0, 0]


def test_groups_are_bounded(program):
    def function(x):
        for _ in range(3 * MAX_MEMBERS):
            x = sg.tanh(x)
        return x

    after = fuse_elementwise(program(function, (8,)))
    verify(after)
    sizes = [sum(each.group == n for each in after.instructions) for n in (1, 2, 3)]
    assert max(sizes) <= MAX_MEMBERS
    assert sum(sizes) == 3 * MAX_MEMBERS


# effects ------------------------------------------------------------------------------------------


def test_effects_are_kept_once_each_and_in_order(program):
    happened = []

    def kernel(x, *, name):
        happened.append(name)
        return x + 0

    like = REGISTRY["tanh"]
    note = type(like)(
        name="note",
        kind=Kind.OPAQUE,
        arity=1,
        kernel=kernel,
        infer=lambda x, *, name: x,
        attrs={"name": ...},
        effect=True,
    )
    x = Value(TensorType((50,)), "x")
    one, wide = Value(TensorType(()), "one"), TensorType((1000, 50))
    instructions, totals = [], []
    for name in ("a", "b", "b", "constant"):
        seen = Value(one.type if name == "constant" else x.type, name)
        source = one if name == "constant" else x
        instructions.append(Instruction(note, (source,), seen, {"name": name}))
        large, total = Value(wide), Value(TensorType(()))
        shape = {"shape": wide.shape}
        instructions.append(Instruction(REGISTRY["broadcast_to"], (x,), large, shape))
        powers = Value(wide)
        instructions.append(Instruction(REGISTRY["exp"], (large,), powers))
        totals.append((powers, total))
    for powers, total in totals:
        attrs = {"axis": None, "keepdims": False}
        instructions.append(Instruction(REGISTRY["sum"], (powers,), total, attrs))
    outputs = tuple(total for _, total in totals)
    before = Program((x,), {one: np.float32(1).reshape(())}, {}, tuple(instructions), outputs)
    after = run_passes(before, DEFAULT_PASSES, verify=True)
    plan = numpy_backend.plan(after)
    assert happened == []  # no pass and no analysis ran one
    numpy_backend.build(after, plan).call(np.ones(50, "float32"))
    assert happened == ["a", "b", "b", "constant"]


def test_a_branch_with_an_effect_is_kept(program):
    def branches(effect):
        def function(x):
            sg.cond(sg.sum(x) > 0, lambda: sg.print_(x) if effect else x * 2, lambda: x)
            return sg.tanh(x)

        return program(lambda x: [function(x), x.graph.node("item")], (3,))

    for effect in (True, False):
        whole = branches(effect)
        unused = Program(**{**fields(whole), "outputs": whole.outputs[:1]})
        assert ("switch" in names(eliminate_dead_code(unused))) is effect


def test_a_group_does_not_keep_many_operands_alive():
    """A long sum of products, each made just before it is added, needs one of them at a time."""
    shape = (64, 64)

    def total(*xs):
        result = xs[0] @ xs[0]
        for x in xs[1:]:
            result = result + x @ x
        return result

    graph = sg.trace(total, *[sg.TensorType(shape)] * 40)
    nbytes = sg.TensorType(shape).nbytes
    grouped = sg.compile(graph.outputs, graph.inputs, backend="numpy")
    assert grouped.plan.peak_bytes <= (MAX_OPERANDS + 3) * nbytes
