import gc
import linecache
import threading
import traceback

import numpy as np
import pytest

import dyngraph as dg
import staticgraph as sg
from oplibrary.core.op import Kind
from oplibrary.core.registry import REGISTRY
from oplibrary.messages.errors import (
    ArgumentError,
    BackendError,
    DTypeError,
    IndexingError,
    OutOfMemoryError,
    RunError,
)
from oplibrary.values.types import TensorType, type_of
from staticgraph.backends import interpret, registry
from staticgraph.backends import numpy as numpy_backend
from staticgraph.backends.registry import load_backend
from staticgraph.passes import DEFAULT_PASSES, run_passes
from staticgraph.program.layout import find_layouts
from staticgraph.program.program import Instruction, Program, Value


def build(program, backend=numpy_backend, borrow=False):
    return backend.build(program, backend.plan(program, borrow=borrow))


def assert_same_bits(first, second):
    for position, (a, b) in enumerate(zip(first, second, strict=True)):
        assert type(a) is type(b) is np.ndarray
        assert (a.shape, a.dtype) == (b.shape, b.dtype), position
        assert a.tobytes() == b.tobytes(), position


# every record keeps what the backends rely on ----------------------------------------------------

EXAMPLES = [(op, each) for op in REGISTRY.values() for each in op.examples]


def operands_of(op, each):
    rng = np.random.default_rng(7)
    return [
        np.array(x, order="C")
        if isinstance(x, np.ndarray)
        else np.asarray(rng.uniform(*np.clip(op.domain, -50, 50), x).astype("float32"))
        for x in each.operands
    ]


def call_of(op, each):
    operands, attrs = op.bind(tuple(operands_of(op, each)), dict(each.attrs))
    return list(operands), attrs


def test_records_are_honest_about_views_layouts_and_outputs():
    with np.errstate(all="ignore"):
        for op, each in EXAMPLES:
            operands, attrs = call_of(op, each)
            raw = op.kernel(*operands, **attrs)
            result = np.asarray(raw)
            shared = [np.shares_memory(result, x) for x in operands]
            assert op.view or not any(shared), (op, each)
            if op.kind is Kind.ELEMENTWISE or op.takes_out:
                assert result.flags.c_contiguous, (op, each)
            if op.takes_out:
                out = np.empty_like(result)
                op.kernel(*operands, out, **attrs)
                assert out.tobytes() == result.tobytes(), (op, each)


def test_every_op_gives_the_same_bits_in_both_backends(stressed):
    with np.errstate(all="ignore"):
        for op, each in EXAMPLES:
            operands, attrs = call_of(op, each)
            program = _program_around(op, operands, attrs)
            first = build(program).call
            oracle = build(program, interpret).call(*operands)
            assert_same_bits(first(*operands), oracle)
            assert_same_bits(first(*operands), oracle)  # with an arena that was used already


def _program_around(op, operands, attrs):
    """Return a program that applies `op` to its inputs, and to values in the arena."""
    inputs = tuple(Value(type_of(x), f"x{i}") for i, x in enumerate(operands))
    output = Value(op.infer(*[x.type for x in inputs], **attrs), "direct")
    instructions = [Instruction(op, inputs, output, attrs)]
    outputs = [output]
    copies = []
    positive = REGISTRY["multiply"]
    one = {}
    for value in inputs:
        if value.type.dtype.kind != "f":
            copies.append(value)
            continue
        unit = one.setdefault(value.type.dtype, Value(TensorType((), value.type.dtype), "one"))
        copies.append(Value(value.type))
        instructions.append(Instruction(positive, (value, unit), copies[-1]))
    outputs.append(Value(output.type, "planned"))
    instructions.append(Instruction(op, tuple(copies), outputs[-1], attrs))
    if output.type.dtype.kind == "f":
        square = Value(output.type, "square")
        instructions.append(Instruction(REGISTRY["multiply"], (outputs[-1],) * 2, square))
        outputs = [output, square]
    constants = {value: np.ones((), dtype) for dtype, value in one.items()}
    return Program(inputs, constants, {}, tuple(instructions), tuple(outputs))


def test_blocks_of_an_elementwise_op_have_the_bits_of_the_whole():
    size = 40_003
    bounds = [(i * size // 9, (i + 1) * size // 9) for i in range(9)]
    rng = np.random.default_rng(0)
    with np.errstate(all="ignore"):
        for op in REGISTRY.values():
            if op.kind is not Kind.ELEMENTWISE:
                continue
            operands = [
                rng.uniform(*np.clip(op.domain, -50, 50), size).astype("float32")
                for _ in range(op.arity)
            ]
            if op.operand_names[0] == "condition":
                operands[0] = operands[0] > 0
            attrs = op.bind(tuple(operands), dict(op.examples[0].attrs))[1]
            try:
                whole = op.kernel(*operands, **attrs)
            except TypeError:  # defined for integers only
                continue
            blocks = [op.kernel(*[x[i:j] for x in operands], **attrs) for i, j in bounds]
            assert np.concatenate(blocks).tobytes() == whole.tobytes(), op


# whole programs -----------------------------------------------------------------------------------


def compiled(seed, random_function, **options):
    function = random_function(seed)
    inputs = function.inputs()
    with sg.Graph(finalize=False):
        nodes = [sg.placeholder(f"x{i}", x.shape) for i, x in enumerate(inputs)]
        outputs = function(sg, *nodes)
        grads = sg.gradients(outputs[-1], nodes, unused="zero")
    return sg.compile([*outputs, *grads], nodes, verify=True, **options), function, inputs


def test_numpy_backend_gives_the_bits_of_the_interpreter_and_of_dyngraph(random_function):
    for seed in range(12):
        run, function, inputs = compiled(seed, random_function, backend="numpy")
        oracle, *_ = compiled(seed, random_function, backend="interpret", passes=())
        tensors = [dg.tensor(x, requires_grad=True) for x in inputs]
        outputs = function(dg, *tensors)
        grads = dg.grad(outputs[-1], tensors, unused="zero")
        expected = [np.asarray(t.detach().numpy()) for t in (*outputs, *grads)]
        assert_same_bits(run(*inputs), expected)
        assert_same_bits(oracle(*inputs), expected)


def test_the_paths_of_large_arrays_give_the_same_bits(random_function, stressed):
    loops = 0
    for seed in range(100, 140):
        run, _, inputs = compiled(seed, random_function, backend="numpy")
        oracle, *_ = compiled(seed, random_function, backend="interpret", passes=())
        loops += sum(step.blocks is not None for step in run.plan.steps)
        expected = oracle(*inputs)
        assert_same_bits(run(*inputs), expected)
        assert_same_bits(run(*inputs), expected)
        lent, *_ = compiled(seed, random_function, backend="numpy", borrow=True)
        assert_same_bits(lent(*inputs), expected)
    assert loops > 200


def test_large_chains_run_by_blocks_in_little_memory():
    size = 600_001

    def function(x, row, column):
        for _ in range(6):
            x = sg.tanh(x * row) + column
        return x

    with sg.Graph(finalize=False):
        nodes = [sg.placeholder(n, s) for n, s in zip("xrc", ((3, size), (size,), (3, 1)))]
        wide = function(*nodes)
        tall_nodes = [sg.placeholder(n, s) for n, s in zip("yst", ((size, 3), (3,), (size, 1)))]
        tall = function(*tall_nodes)
    rng = np.random.default_rng(0)
    run = sg.compile(tall, tall_nodes, backend="numpy")
    (step,) = run.plan.steps
    assert step.blocks.inner == (3,)
    assert len(step.inner) == 17
    assert run.plan.arena_bytes < 1 << 20
    oracle = sg.compile(tall, tall_nodes, backend="interpret")
    inputs = [rng.standard_normal(node.shape).astype("float32") for node in tall_nodes]
    assert_same_bits([run(*inputs)], [oracle(*inputs)])
    # rows longer than a block leave nothing to cut
    assert all(s.blocks is None for s in sg.compile(wide, nodes, backend="numpy").plan.steps)


def test_results_belong_to_the_caller(program):
    def function(x):
        y = sg.tanh(x)
        turned = sg.permute_dims(y, axes=(1, 0))
        return x, y, y, turned, sg.reshape(x, shape=(-1,)), sg.constant(np.ones(3, "float32"))

    lowered = run_passes(program(function, (40, 50)), DEFAULT_PASSES)
    for backend in (interpret, numpy_backend):
        run = build(lowered, backend).call
        x = np.full((40, 50), 0.5, "float32")
        first, kept = run(x), run(x)
        for position, a in enumerate(first):
            assert a.flags.writeable
            assert not np.shares_memory(a, x)
            assert not any(np.shares_memory(a, b) for b in first[:position])
            a.fill(np.nan)
        assert_same_bits(run(x), kept)


def test_borrowed_results_are_lent(program):
    lowered = program(lambda x: sg.tanh(x), (5000,))
    run = build(lowered, borrow=True).call
    first = run(np.zeros(5000, "float32"))[0]
    second = run(np.ones(5000, "float32"))[0]
    assert np.shares_memory(first, second)


def test_variables_are_read_first_and_replaced_last():
    with sg.Graph():
        a = sg.variable(np.ones((2, 3), "float32"), name="a")
        b = sg.variable(np.zeros((2, 3), "float32"), name="b")
        x = sg.placeholder("x", (2, 3))
        swapped = sg.assign(a, b + x), sg.assign(b, a)
        run = sg.compile([swapped[0], a], [x], backend="numpy")
    old_a, x_array = a.variable.value, np.full((2, 3), 5, "float32")
    new_a, read_a = run(x_array)
    assert np.all(new_a == 5)
    assert np.all(read_a == 1)
    assert np.all(a.value == 5)
    assert np.all(old_a == 1)
    new_a.fill(9)
    assert np.all(a.value == 5)


def test_an_updated_variable_is_row_major():
    with sg.Graph():
        w = sg.variable(np.arange(9, dtype="float32").reshape(3, 3), name="w")
        run = sg.compile(sg.assign(w, sg.tanh(w.T)), [], backend="numpy")
    expected = np.tanh(w.value.T)
    run()
    assert w.variable.value.flags.c_contiguous
    assert np.array_equal(w.value, expected)


def test_many_threads_share_one_executable():
    with sg.Graph():
        x = sg.placeholder("x", (64, 64))
        y = x
        for _ in range(10):
            y = sg.tanh(sg.matmul(y, x) * 0.1)
        run = sg.compile(sg.sum(y, axis=0), [x], backend="numpy")
    assert run.plan.arena_bytes
    inputs = [np.full((64, 64), i / 8, "float32") for i in range(8)]
    expected = [run(x) for x in inputs]
    wrong = []
    barrier = threading.Barrier(8)

    def work(position):
        barrier.wait()
        for _ in range(50):
            if run(inputs[position]).tobytes() != expected[position].tobytes():
                wrong.append(position)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


# failures -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("backend", ["numpy", "interpret"])
def test_a_failing_instruction_names_the_users_line(backend):
    with sg.Graph():
        x = sg.placeholder("x", (3,))
        i = sg.placeholder("i", (2,), "int64")
        doubled = x + x
        picked = sg.take(doubled, i, axis=0)
        run = sg.compile(picked * 2.0, [x, i], backend=backend, passes=())
    x, good = np.ones(3, "float32"), np.array([0, 2])
    with pytest.raises(IndexingError) as caught:
        run(x, np.array([0, 7]))
    text = str(caught.value)
    assert "take" in text
    assert "picked = sg.take(doubled, i, axis=0)" in text
    assert "run at" in text
    assert "run(x, np.array([0, 7]))" in text
    assert np.array_equal(run(x, good), [4.0, 4.0])  # and the next run is a good one


def raising(error):
    def kernel(_x):
        raise error

    tanh = REGISTRY["tanh"]
    return type(tanh)(name="fragile", kind=Kind.OPAQUE, arity=1, kernel=kernel, infer=tanh.infer)


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (ValueError("odd values"), ArgumentError),
        (OverflowError("too large"), ArgumentError),
        (TypeError("odd kinds"), DTypeError),
        (MemoryError(), OutOfMemoryError),
        (IndexError("index 9"), IndexingError),
        (FloatingPointError("overflow"), RunError),
    ],
)
def test_the_class_of_a_failure(error, expected):
    x, y = (Value(TensorType((3,)), name) for name in "xy")
    program = Program((x,), {}, {}, (Instruction(raising(error), (x,), y),), (y,))
    for backend in (numpy_backend, interpret):
        with pytest.raises(expected, match=r"fragile\(float32\[3\]\)") as caught:
            build(program, backend).call(np.ones(3, "float32"))
        assert caught.value.__cause__ is error


def test_an_interrupt_passes_through():
    x, y = (Value(TensorType((3,)), name) for name in "xy")
    program = Program((x,), {}, {}, (Instruction(raising(KeyboardInterrupt()), (x,), y),), (y,))
    with pytest.raises(KeyboardInterrupt):
        build(program).call(np.ones(3, "float32"))


def test_tracebacks_show_the_generated_line_as_long_as_it_can_run(program):
    lowered = program(lambda x: sg.log(x), (3,))
    run = build(lowered).call
    filename = run.__code__.co_filename
    assert filename.startswith("<staticgraph")
    with np.errstate(all="raise"), pytest.raises(RunError) as caught:
        run(np.zeros(3, "float32"))
    shown = "".join(traceback.format_exception(caught.value))
    assert "log_0 = log(x0)" in shown
    del run, caught
    gc.collect()  # a caught error and its frames refer to each other
    assert filename not in linecache.cache


# generated source ---------------------------------------------------------------------------------


def test_the_source_is_a_straight_line_with_the_users_places(program):
    def function(x):
        y = sg.tanh(x) + 1.0
        return sg.sum(y, axis=0)

    text = build(program(function, (100, 50))).write_source()
    assert "tanh(x0, tanh_0)" in text
    assert "add(tanh_0, constant, add_0)" in text
    assert "sum_0 = sum(add_0, axis=0, keepdims=False)" in text
    assert "# test_backends.py:" in text


def test_odd_names_are_made_identifiers():
    with sg.Graph():
        x = sg.placeholder("class", (2,))
        y = sg.placeholder("my input/1", (2,))
        z = sg.placeholder("make", (2,))
        run = sg.compile(x + y * z, [x, y, z], backend="numpy")
    assert np.array_equal(run([1, 1], [2, 2], [3, 3]), [7, 7])
    assert np.array_equal(run(**{"class": [1, 1], "my input/1": [2, 2], "make": [0, 0]}), [1, 1])


def test_views_of_planned_values_are_made_once(program):
    def function(x):
        return sg.sum(sg.matmul(sg.permute_dims(sg.tanh(x), axes=(1, 0)), x))

    text = build(program(function, (100, 50))).write_source()
    setup, run = text.split("def run")
    assert "permute_dims(" in setup
    assert "permute_dims(" not in run


def test_products_of_transposed_operands_are_planned(program):
    def function(x):
        return sg.sum(sg.matmul(sg.permute_dims(x, axes=(1, 0)), x))

    lowered = program(function, (100, 50))
    plan = numpy_backend.plan(lowered)
    product = next(each.output for each in lowered.instructions if each.op.name == "matmul")
    assert product in plan.offsets
    assert find_layouts(lowered)[product].contiguous


# choosing -----------------------------------------------------------------------------------------


def test_an_unknown_backend_is_refused():
    with pytest.raises(BackendError, match="no backend 'nunpy'") as caught:
        load_backend("nunpy")
    assert "did you mean 'numpy'?" in str(caught.value)


def test_a_missing_package_is_named(monkeypatch):
    monkeypatch.setitem(registry.BUILTIN, "exotic", "package_that_is_not_there.backend")
    with pytest.raises(BackendError, match="needs the package package_that_is_not_there"):
        load_backend("exotic")


def test_a_files_name_is_never_code():
    """A name may hold the end of a line, and the lines that follow in it are not to run."""
    names = {"sg": sg}
    line = "y = sg.placeholder('x', (3,)) + 1.0"
    with sg.Graph():
        exec(compile(line, "model\n    raise SystemExit\r    raise SystemExit", "exec"), names)
        run = sg.compile(names["y"], backend="numpy")
    assert run([0.0, 1.0, 2.0]).tolist() == [1, 2, 3]
    assert "# model raise SystemExit raise SystemExit:1" in run.source
