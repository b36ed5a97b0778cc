"""The cost of a program: hand-counted numbers, and what a total says that is not complete."""

import numpy as np
import pytest

import staticgraph as sg
from oplibrary.core.expression import parse_expression
from oplibrary.core.op import Kind
from oplibrary.core.registry import REGISTRY
from oplibrary.core.samples import draw
from oplibrary.messages.errors import ArgumentError
from oplibrary.values.types import TensorType
from staticgraph.cost.arithmetic import contraction_flops, expression_operations
from staticgraph.cost.cost import Cost, program_cost
from staticgraph.declare.lower import lower


def cost_of(function, *types, passes=None, **lengths):
    """Return the cost of `function` of placeholders; a type is a shape, or a shape and a dtype."""
    with sg.Graph() as graph:
        inputs = []
        for number, type in enumerate(types):
            shape, dtype = type if len(type) == 2 and isinstance(type[1], str) else (type, None)
            inputs.append(sg.placeholder(f"x{number}", shape, dtype or "float32"))
        outputs = function(*inputs)
    assert graph is not None
    run = sg.compile(outputs, inputs, backend="numpy", passes=passes)
    return run.cost(**lengths)


def row_of(cost, op):
    (row,) = [each for each in cost.rows if each.op == op]
    return row


# elementwise --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("expression", "attrs", "flops", "transcendentals"),
    [
        ("{0} + {1}", (), 1, 0),
        ("{0} / {1}", (), 1, 0),
        ("{0} ** {1}", (), 0, 1),
        ("{0}", (), 0, 0),
        ("cast({0})", (), 0, 0),
        ("-{0}", (), 1, 0),
        ("{1} if {0} else {2}", (), 1, 0),
        ("{0} != {0}", (), 1, 0),
        ("1 / (1 + exp(-{0}))", (), 3, 1),
        ("max({0}, -40)", (), 1, 0),  # the sign of a number is no operation
        ("{0} if {0} > 0 else {0} * {slope}", (("slope", -0.5),), 3, 0),
        ("min(max({0}, {low}), {high})", (("low", None), ("high", 1.0)), 1, 0),
    ],
)
def test_expressions_are_counted_operation_by_operation(expression, attrs, flops, transcendentals):
    tree = parse_expression(expression).bind(dict(attrs))
    assert expression_operations(tree) == (flops, transcendentals, True)


def test_elements_are_those_of_the_result():
    cost = cost_of(lambda x, y: sg.exp(x) + y, (4, 1), (3,))
    assert (row_of(cost, "exp").flops, row_of(cost, "exp").transcendentals) == (0, 4)
    assert (row_of(cost, "add").flops, row_of(cost, "add").transcendentals) == (12, 0)
    assert row_of(cost, "add").bytes_read == 4 * 4 + 3 * 4
    assert row_of(cost, "add").bytes_written == 12 * 4


def test_fused_instructions_move_what_comes_from_outside_and_leaves():
    def function(x, y):
        s = x + y
        return s * s * x

    fused = cost_of(function, (100,), (100,))
    assert [(r.bytes_read, r.bytes_written) for r in fused.rows] == [(800, 0), (0, 0), (0, 400)]
    alone = cost_of(function, (100,), (100,), passes=())
    assert [(r.bytes_read, r.bytes_written) for r in alone.rows] == [
        (800, 400),
        (400, 400),
        (800, 400),
    ]
    assert fused.flops == alone.flops == 300


def test_what_is_read_outside_a_group_leaves_it():
    def function(x, y):
        s = x + y
        return [s, s * y]

    rows = cost_of(function, (100,), (100,)).rows
    assert [(r.bytes_read, r.bytes_written) for r in rows] == [(800, 400), (0, 400)]


# reductions and movement --------------------------------------------------------------------------


def test_a_reduction_counts_the_elements_of_its_operand():
    cost = cost_of(lambda x: sg.sum(x, axis=1), (5, 7))
    assert (cost.flops, cost.bytes_read, cost.bytes_written) == (35, 140, 20)


def test_an_op_with_a_lowering_costs_what_it_is_made_of():
    mean = cost_of(lambda x: sg.mean(x, axis=1), (5, 7))
    assert mean.flops == 35 + 5
    softmax = cost_of(lambda x: sg.softmax(x, axis=1), (5, 7))
    # largest, difference, sum, division
    assert (softmax.flops, softmax.transcendentals) == (4 * 35, 35)
    assert softmax.bytes_read == softmax.bytes_written == 140


def test_movement_is_no_arithmetic_and_a_view_moves_nothing():
    cost = cost_of(lambda x: [x.reshape((7, 5)), sg.concat([x, x], axis=0)], (5, 7))
    view, copy = row_of(cost, "reshape"), row_of(cost, "concat")
    assert (view.flops, view.bytes_read, view.bytes_written) == (0, 0, 0)
    assert (copy.flops, copy.bytes_read, copy.bytes_written) == (0, 140, 280)
    assert cost.complete


def test_reading_a_view_moves_what_lies_below_it():
    def function(x):
        return sg.sum(sg.broadcast_to(x, shape=(50, 7)))

    assert row_of(cost_of(function, (7,), passes=()), "sum").bytes_read == 28


def test_gathering_reads_what_it_selects():
    cost = cost_of(lambda table, i: sg.take(table, i, axis=0), (1000, 4), ((3,), "int64"))
    assert (cost.flops, cost.bytes_read, cost.bytes_written) == (0, 3 * 16 + 3 * 8, 48)


def test_adding_into_rows_is_counted():
    def function(table, i):
        return sg.gradients(sg.sum(sg.take(table, i, axis=0) ** 2), [table])

    gradient = row_of(cost_of(function, (10, 4), ((3,), "int64")), "take_gradient")
    assert (gradient.flops, gradient.bytes_written) == (12, 160)


# contractions -------------------------------------------------------------------------------------


def test_a_product_of_matrices():
    cost = cost_of(lambda x, w: x @ w, (64, 784), (784, 256))
    assert cost.flops == 2 * 64 * 784 * 256
    assert cost.bytes_read == 4 * (64 * 784 + 784 * 256)
    assert cost.bytes_written == 4 * 64 * 256
    assert cost.intensity == cost.flops / (cost.bytes_read + cost.bytes_written)


@pytest.mark.parametrize(
    ("subscripts", "shapes", "flops"),
    [
        ("bij,bjk->bik", [(2, 3, 4), (2, 4, 5)], 2 * 2 * 3 * 4 * 5),
        ("bij,jk->bik", [(2, 3, 4), (4, 5)], 2 * 2 * 3 * 4 * 5),
        ("bij,bjk->bik", [(2, 3, 4), (1, 4, 5)], 2 * 2 * 3 * 4 * 5),
        ("i,j->ij", [(3,), (4,)], 12),  # nothing is summed
        ("ij->i", [(3, 4)], 12),
        ("ij->ji", [(3, 4)], 0),
        ("ii->", [(3, 3)], 3),
        ("ij,k->ik", [(3, 4), (5,)], 12 + 15),  # j is summed first
        # (jk,kl->jl), then with ij; the other order takes more
        ("ij,jk,kl->il", [(9, 2), (2, 3), (3, 4)], 2 * 2 * 3 * 4 + 2 * 9 * 2 * 4),
    ],
)
def test_an_einsum_is_contracted_in_pairs(subscripts, shapes, flops):
    assert contraction_flops(subscripts, [TensorType(shape) for shape in shapes]) == flops
    cost = cost_of(lambda *xs: sg.einsum(subscripts, *xs), *shapes, passes=())
    assert cost.flops == flops


def convolution(n, c, h, w, f, kh, kw, stride=1, groups=1):
    out = ((h - kh) // stride + 1) * ((w - kw) // stride + 1)
    return 2 * n * f * out * (c // groups) * kh * kw


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("groups", [1, 2])
def test_a_convolution_is_its_products(stride, groups):
    cost = cost_of(
        lambda x, w: sg.conv2d(x, w, stride=stride, groups=groups),
        (2, 4, 9, 8),
        (6, 4 // groups, 3, 2),
    )
    assert cost.flops == convolution(2, 4, 9, 8, 6, 3, 2, stride, groups)
    assert cost.bytes_read == 4 * (2 * 4 * 9 * 8 + 6 * (4 // groups) * 3 * 2)
    assert cost.complete


def test_gradients_of_a_convolution_are_products_too():
    def function(x, w):
        return sg.gradients(sg.sum(sg.conv2d(x, w) ** 2), [x, w])

    cost = cost_of(function, (2, 4, 9, 8), (6, 4, 3, 2))
    forward = convolution(2, 4, 9, 8, 6, 3, 2)
    assert row_of(cost, "convolution").flops == forward
    assert row_of(cost, "convolution_weight_gradient").flops == forward
    # the windows of the padded gradient: one an element of the image
    expected = 2 * (2 * 9 * 8) * 4 * 6 * 3 * 2
    assert row_of(cost, "convolution_input_gradient").flops == expected


# a whole training step ----------------------------------------------------------------------------


def test_a_training_step_of_a_perceptron_by_hand():
    batch, n, m, k = 16, 20, 12, 5

    def step(x, t, w1, b1, w2, b2):
        h = sg.tanh(x @ w1 + b1)
        error = h @ w2 + b2 - t
        loss = sg.sum(error * error)
        leaves = [w1, b1, w2, b2]
        return [loss, *[p - 0.1 * g for p, g in zip(leaves, sg.gradients(loss, leaves))]]

    cost = cost_of(step, (batch, n), (batch, k), (n, m), (m,), (m, k), (k,))
    forward = 2 * batch * n * m + 2 * batch * m * k
    # by each weight, and by the hidden layer; nobody asks for that by x
    backward = 2 * batch * n * m + 2 * batch * m * k + 2 * batch * m * k
    products = [row.flops for row in cost.rows if row.op == "matmul"]
    assert sum(products) == forward + backward
    hidden, output = batch * m, batch * k
    elementwise = 4 * hidden  # the bias; the gradient g - g * h * h
    elementwise += 4 * output  # the bias, minus t, the square, the gradient e + e
    sums = hidden + output + output  # for both biases, and the loss
    update = 2 * (n * m + m + m * k + k)
    assert cost.flops == forward + backward + elementwise + sums + update
    assert cost.transcendentals == hidden
    assert cost.complete


# control flow -------------------------------------------------------------------------------------


def test_a_scan_costs_its_length_times_its_body():
    def body(h, x, w):
        return sg.tanh(h @ w + x)

    once = cost_of(body, (4, 8), (4, 8), (8, 8))
    cost = cost_of(
        lambda h, xs, w: sg.scan(lambda h, x: (body(h, x, w), None), h, xs)[0],
        (4, 8),
        (10, 4, 8),
        (8, 8),
    )
    row = row_of(cost, "scan")
    assert row.note == "10 steps"
    assert row.flops == 10 * once.flops == 10 * (2 * 4 * 8 * 8 + 32)
    assert row.transcendentals == 10 * 32
    assert (row.bytes_read, row.bytes_written) == (10 * once.bytes_read, 10 * once.bytes_written)
    assert cost.complete


def test_a_loop_without_a_known_end_counts_one_step_and_says_so():
    cost = cost_of(lambda x: sg.while_loop(lambda v: sg.sum(v) > 1, lambda v: v * 0.5, x), (6,))
    assert cost.flops == 6 + 6 + 1  # the body; sum and comparison
    assert not cost.complete
    assert "one step, their number is not known" in str(cost)
    assert "≥ 13" in str(cost)
    assert "The totals are lower bounds: not all of while_loop is counted." in str(cost)


def test_a_choice_costs_its_dearest_branch():
    def function(x):
        return sg.cond(sg.sum(x) > 0, lambda: x * 2 + 1, lambda: x + 1)

    row = row_of(cost_of(function, (6,)), "switch")
    assert (row.flops, row.note, row.complete) == (12, "the dearest of 2 branches", True)


def test_control_flow_is_counted_before_its_regions_are_compiled():
    with sg.Graph() as graph:
        x = sg.placeholder("x", (5, 3))
        y, _ = sg.scan(lambda t, each: (t + each, None), x[0] * 0, x)
    assert row_of(program_cost(lower(graph, [y], [x])), "scan").flops == 15
    assert row_of(sg.compile(y, [x], debug=True).cost(), "scan").flops == 15


# what is not known --------------------------------------------------------------------------------


def test_of_an_op_that_does_not_say_its_arithmetic_bytes_are_counted():
    cost = cost_of(lambda x: sg.sum(sg.sort(x)), (100,))
    row = row_of(cost, "sort")
    assert (row.flops, row.bytes_read, row.bytes_written) == (None, 400, 400)
    assert (cost.flops, cost.complete) == (100, False)
    assert "unknown" in str(cost)
    assert "not all of sort is counted" in str(cost)


def test_what_is_not_known_inside_a_loop_makes_its_total_a_lower_bound():
    cost = cost_of(
        lambda h, xs: sg.scan(lambda h, x: (sg.sort(h + x), None), h, xs)[0], (3,), (5, 3)
    )
    row = row_of(cost, "scan")
    assert (row.flops, row.complete) == (15, False)


# which program ------------------------------------------------------------------------------------


def test_what_the_passes_removed_costs_nothing():
    def function(x):
        return sg.exp(x) * 1.0 + sg.exp(x)

    assert cost_of(function, (10,)).transcendentals == 10
    declared = cost_of(function, (10,), passes=())
    assert (declared.transcendentals, declared.flops) == (20, 20)


def test_the_backend_makes_no_difference():
    with sg.Graph(finalize=False):
        x = sg.placeholder("x", (8, 8))
        y = sg.softmax(x @ x) + 1
    costs = [sg.compile(y, [x], backend=name).cost() for name in ("numpy", "interpret")]
    assert costs[0].flops == costs[1].flops == 2 * 8**3 + 4 * 64 + 64
    assert str(costs[0]) == str(costs[1])


def test_totals_are_the_sums_of_the_rows_and_a_row_has_the_users_line():
    cost = cost_of(lambda x: sg.sum(sg.tanh(x) * 2), (30,))
    for name in ("flops", "transcendentals", "bytes_read", "bytes_written"):
        assert getattr(cost, name) == sum(getattr(row, name) for row in cost.rows)
    assert {row.source.place.partition(":")[0] for row in cost.rows} == {"test_cost.py"}


def test_the_table_shows_the_dearest_rows_first():
    cost = cost_of(lambda x, w: sg.sum(sg.tanh(x @ w)), (4, 5), (5, 6), passes=())
    lines = cost.text(most=2).splitlines()
    assert [line.split()[0] for line in lines] == ["op", "matmul", "tanh", "(1", "total"]
    assert lines[1].split()[2:7] == ["240", "0", "200", "96", "0.81"]
    assert lines[-1].split() == ["total", "264", "24", "392", "196", "0.45"]
    assert repr(cost) == str(cost) == cost.text()


def test_a_program_without_instructions_costs_nothing():
    cost = cost_of(lambda x: x, (4,))
    assert (cost.rows, cost.flops, cost.intensity, cost.complete) == ((), 0, 0.0, True)
    assert "total" in str(cost)


# lengths ------------------------------------------------------------------------------------------


def declared_for_a_batch():
    with sg.Graph():
        images = sg.dim("images", min=2)
        x, w = sg.placeholder("x", (images, 5)), sg.placeholder("w", (5, 3))
        return sg.compile(sg.tanh(x @ w), [x, w], backend="numpy")


def test_symbolic_lengths_are_passed_by_name():
    run = declared_for_a_batch()
    assert run.cost(images=8).flops == 2 * 8 * 5 * 3
    assert run.cost(images=16).bytes_read == 4 * (16 * 5 + 15) + 4 * 48
    assert "float32[8,3]" in str(run.cost(images=8))


def test_loops_over_symbolic_lengths():
    with sg.Graph():
        x = sg.placeholder("x", (sg.dim("moments"), 3))
        y, _ = sg.scan(lambda t, each: (t + each, None), x[0] * 0, x)
        run = sg.compile(y, [x], backend="numpy")
    row = row_of(run.cost(moments=7), "scan")
    assert (row.flops, row.note) == (21, "7 steps")


@pytest.mark.parametrize(
    ("lengths", "what"),
    [
        ({}, "the length of dim('images') is not known"),
        ({"images": 8, "time": 3}, "the program has no dimension 'time'"),
        ({"images": 1}, "dim('images') is to have the length 1"),
        ({"images": 8.0}, "dim('images') is to have the length 8.0"),
        ({"images": True}, "dim('images') is to have the length True"),
    ],
)
def test_wrong_lengths_are_named(lengths, what):
    with pytest.raises(ArgumentError) as caught:
        declared_for_a_batch().cost(**lengths)
    assert what in caught.value.what
    assert caught.value.fix


# every op -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("op", "example"),
    [
        pytest.param(op, example, id=f"{op.name}-{number}")
        for op in REGISTRY.values()
        if op.kind is not Kind.CONTROL
        for number, example in enumerate(op.examples)
    ],
)
def test_every_op_has_a_cost(op, example):
    arrays = draw(op, example, "float32", np.random.default_rng(0))
    with sg.Graph():
        nodes = [sg.placeholder(f"x{i}", a.shape, a.dtype) for i, a in enumerate(arrays)]
        run = sg.compile(op(*nodes, **example.attrs), nodes, backend="interpret", passes=())
    cost = run.cost()
    assert isinstance(cost, Cost)
    (row,) = [each for each in cost.rows if each.op == op.name]
    assert row.bytes_read <= sum(a.nbytes for a in arrays)
    if op.view:
        assert (row.flops, row.bytes_read, row.bytes_written) == (0, 0, 0)
    if op.kind in (Kind.ELEMENTWISE, Kind.REDUCTION, Kind.MOVEMENT, Kind.INDEXING, Kind.CREATION):
        assert row.complete
