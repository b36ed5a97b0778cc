"""What users of eager and graph frameworks trip over, each met by running it.

A mistake that is an error must show its id, the user's own line, the cause and the fix; one that is
a behaviour must behave. The mistakes are those of ``docs/mistakes.py``: a test's name begins with
the key of the mistake that it meets.
"""

import math
import re
import warnings
from dataclasses import replace

import numpy as np
import pytest
from docs.mistakes import MISTAKES

import dyngraph as dg
import sidebyside as sbs
import staticgraph as sg
from oplibrary.core.registry import REGISTRY
from oplibrary.messages.errors import (
    AnomalyError,
    BakedValueWarning,
    BranchTypeError,
    DataDependentShapeError,
    DisagreementError,
    FeedError,
    FinalGraphError,
    FreedGraphError,
    InPlaceError,
    LeakedNodeError,
    NodeBudgetError,
    NoGraphError,
    NonLeafGradWarning,
    NonScalarError,
    NotDifferentiableError,
    PassError,
    RetraceWarning,
    RunError,
    SymbolicArrayError,
    SymbolicBoolError,
    SymbolicValueError,
    UnusedInputError,
    UnusedInputWarning,
)
from oplibrary.values.types import TensorType
from sidebyside.measuring.agreement import Difference, check_agreement
from sidebyside.measuring.bottleneck import Bottleneck
from sidebyside.measuring.statistics import CONFIDENCE, BreakEven, Estimate
from sidebyside.report import verdict
from sidebyside.results.comparison import Row, TimedCell

ONES = np.ones(3, "float32")
BACKENDS = ("interpret", "numpy")


def expect(error, call, *, line, words, fix, related=()):
    """Run `call`, and check all that the message of its error must show."""
    with pytest.raises(error) as caught:
        call()
    return shows(caught.value, line=line, words=words, fix=fix, related=related)


def shows(message, *, line, words, fix, related=()):
    text = str(message)
    assert any(type(message) in mistake.errors for mistake in MISTAKES.values())
    assert text.startswith(f"[{message.id}] ")
    assert message.source.filename == __file__
    assert message.source.text == line
    first, carets = re.search(r"\n(  at .*)\n( +\^+.*)\n", text).groups()
    assert first.index(message.source.expression) == carets.index("^")
    for word in (words,) if isinstance(words, str) else words:
        assert word in text
    assert fix in message.fix
    shown = [source.text for _, source in message.related if source is not None]
    for each in related:
        assert each in shown
    return message


# declaring a graph --------------------------------------------------------------------------------


def test_data_dependent_if():
    def model(x):
        if sg.sum(x) > 0:
            return x
        return -x

    error = expect(
        SymbolicBoolError,
        lambda: sg.trace(model, ONES),
        line="if sg.sum(x) > 0:",
        words=("`sg.sum(x) > 0`, a bool[], was asked by `if`", "depends on placeholder 'x'"),
        fix="return sg.cond(sg.sum(x) > 0, lambda: x, lambda: -x)",
        related=["def model(x):"],
    )
    for offer in ("static_argnums", "dyngraph"):
        assert offer in error.fix


@pytest.mark.parametrize(
    ("model", "construct", "fix"),
    [
        (lambda x: x.sum() > 0 and x.max() < 1, "and", "logical_and(x.sum() > 0, x.max() < 1)"),
        (lambda x: x.sum() or 3.0, "or", "choose between values with where"),
        (lambda x: not x.sum(), "not", "logical_not(x.sum())"),
        (lambda x: min(x.sum(), x.max()), "min()", "minimum(x.sum(), x.max())"),
        (lambda x: 0 < x.sum() < 1, "chained comparison", "(0 < x.sum()) & (x.sum() < 1)"),
    ],
)
def test_hidden_bool(model, construct, fix):
    with pytest.raises(SymbolicBoolError) as caught:
        sg.trace(model, ONES)
    assert f"was asked by `{construct}`" in caught.value.what
    assert fix in caught.value.fix
    assert "lambda x:" in caught.value.source.text and "^" in str(caught.value)


def test_hidden_int():
    def unrolled(n):
        return [i * 2 for i in range(n)]

    def shaped(n):
        return sg.zeros(n)

    for function, line in ((unrolled, "return [i * 2 for i in range(n)]"), (shaped, None)):
        expect(
            SymbolicValueError,
            lambda function=function: sg.trace(function, TensorType((), "int64")),
            line=line or "return sg.zeros(n)",
            words=("an index was asked of Node(n: int64[])", "depends on placeholder 'n'"),
            fix="pass the number as a static Python argument",
        )


def test_numpy_function():
    x = np.linspace(0, 1, 6, dtype="float32").reshape(2, 3)
    model = lambda x: np.tanh(x).sum() + np.mean(np.concatenate([x, x]))  # noqa: E731
    found = sg.function(model)(x)  # it works where ours is known
    assert found == pytest.approx(model(dg.tensor(x)).item(), rel=1e-6)

    def histogram(x):
        return np.packbits(x)

    for call in (lambda: sg.trace(histogram, x), lambda: histogram(dg.tensor(x))):
        expect(
            SymbolicArrayError,
            call,
            line="return np.packbits(x)",
            words="numpy.packbits has no counterpart here",
            fix="in place of numpy.packbits",
        )


def test_baked_values():
    lr = 0.01

    class Config:
        momentum = 0.9

    configs = [Config()]

    @sg.function
    def step(x):
        return x - lr * configs[0].momentum * x

    step(ONES)
    report = str(step.explain())
    assert re.search(r"guarded: lr=0.01 \(closure, test_mistakes.py:\d+\)", report)
    assert re.search(r"guarded: configs\[...\].momentum=0.9 \(attribute, test_mistakes.py", report)
    lr = 0.5
    assert step(ONES)[0] == np.float32(1) - np.float32(0.5 * 0.9)  # noticed, and traced again
    assert "lr: 0.01 -> 0.5" in step.explain().traces[1].reason
    configs[0].momentum = 0.0
    assert step(ONES)[0] == 1

    @sg.function
    def noisy(x):
        return x * np.random.default_rng(0).random() * np.random.rand()  # noqa: NPY002

    with pytest.warns(BakedValueWarning) as caught:
        noisy(ONES)
    shows(
        caught[0].message,
        line="noisy(ONES)",
        words="numpy.random was drawn from: its numbers are fixed in the graph",
        fix="sg.random_key",
    )


def test_side_effects_run_once(capsys):
    @sg.function
    def model(x):
        print("traced")
        return sg.print_(x, "x is") * 2

    for _ in range(300):
        model(ONES)
    said = capsys.readouterr().out
    assert said.count("traced") == 1 and said.count("x is: [1. 1. 1.]") == 300
    report = str(model.explain())
    assert re.search(
        r"print\(\) runs .* \(test_mistakes.py:\d+\): traced 1x, executed 300x", report
    )
    assert "use print_" in report


def test_recompile_storm():
    @sg.function
    def model(x):
        return x * 2

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for n in range(1, 10):
            model(np.ones(n, "float32"))
    (warning,) = caught
    assert isinstance(warning.message, RetraceWarning)
    shows(
        warning.message,
        line='model(np.ones(n, "float32"))',
        words=("was traced 6 times, which took", " ms", "x: float32[6] after x: float32[5]"),
        fix="pad to a few fixed shapes",
        related=["def model(x):"],
    )


def test_python_scalars_do_not_specialise():
    @sg.function
    def model(x, factor):
        return x * factor

    for factor in range(1, 6):
        assert model(ONES, float(factor))[0] == factor
    report = model.explain()
    assert len(report.traces) == 1 and report.calls == 5
    assert "factor: float" in str(report)


def test_unrolled_loops_have_a_budget():
    def model(x):
        for _ in range(1000):
            x = sg.sin(x)
        return x

    expect(
        NodeBudgetError,
        lambda: sg.trace(model, ONES, max_nodes=100),
        line="x = sg.sin(x)",
        words=("its budget of 100 nodes: the loop at test_mistakes.py:", "was unrolled"),
        fix="declare the loop with scan",
        related=["for _ in range(1000):"],
    )
    with sg.Graph():
        large = sg.constant(np.ones((1024, 512), "float32")) + 1  # 2 MiB: left to the run
        small = sg.constant(np.ones(4, "float32")) + 1
    folded = {len(sg.compile(y, backend="numpy").program.instructions) for y in (small,)}
    assert folded == {0}
    assert len(sg.compile(large, backend="numpy").program.instructions) == 1


def test_data_dependent_shapes():
    def model(x):
        return x[x > 0]

    expect(
        DataDependentShapeError,
        lambda: sg.trace(model, ONES),
        line="return x[x > 0]",
        words="a mask of shape (3,) selects an unknown number of elements",
        fix="where(mask, x, 0)",
    )
    assert model(dg.tensor([-1.0, 2.0])).tolist() == [2.0]


def test_branches_of_different_type():
    def model(x):
        return sg.cond(
            x.sum() > 0,
            lambda: x,
            lambda: x.astype("float64"),
        )

    expect(
        BranchTypeError,
        lambda: sg.trace(model, ONES),
        line="return sg.cond(",
        words="float64[3] from the false branch and float32[3] from the true branch",
        fix='x.astype("float64")',
        related=["lambda: x,", 'lambda: x.astype("float64"),'],
    )

    def loop(x):
        return sg.while_loop(lambda c: c.sum() < 3, lambda c: c.sum(), x)

    expect(
        BranchTypeError,
        lambda: sg.trace(loop, ONES),
        line="return sg.while_loop(lambda c: c.sum() < 3, lambda c: c.sum(), x)",
        words="float32[3] from the first carry and float32[] from the body",
        fix="broadcast_to(x, (3,))",
    )


@pytest.mark.parametrize("backend", BACKENDS)
def test_reverse_mode_through_while(backend):
    def loss(xp, x):
        end = xp.while_loop(lambda c: xp.sum(c) < 40.0, lambda c: c * c + c, x)
        return xp.sum(end)

    x = np.array([1.0, 0.5], "float32")
    static = sg.function(sg.value_and_grad(lambda x: loss(sg, x)), backend=backend)(x)
    value, gradient = dg.value_and_grad(lambda x: loss(dg, x))(dg.tensor(x))
    assert static[0] == value.item()
    assert static[1].tolist() == gradient.tolist()


@pytest.mark.parametrize("backend", BACKENDS)
def test_only_the_branch_taken_runs(backend, capsys):
    def endless(x):
        return sg.while_loop(lambda c: sg.all(c == c), lambda c: c, x)

    @sg.function(backend=backend)
    def model(x):
        taken = sg.cond(x.sum() > 0, lambda: sg.print_(x, "first"), lambda: endless(x))
        return sg.cond(x.sum() < 0, lambda: sg.print_(x, "second"), lambda: taken * 2)

    assert model(ONES).tolist() == [2, 2, 2]
    said = capsys.readouterr().out
    assert said.count("first") == 1 and "second" not in said


def test_leaked_value_of_a_trace():
    kept = []

    @sg.function
    def model(x):
        kept.append(x * 2)
        return x

    model(ONES)
    expect(
        LeakedNodeError,
        lambda: kept[0] + 1,
        line="lambda: kept[0] + 1,",
        words="was used after the trace of 'model' had ended",
        fix="return the value from the function",
        related=["kept.append(x * 2)"],
    )
    with sg.Graph(name="other"):
        expect(
            LeakedNodeError,
            lambda: kept[0] + 1,
            line="lambda: kept[0] + 1,",
            words="of graph 'model' was used in graph 'other'",
            fix="return the value from the traced function",
        )


# running a graph ----------------------------------------------------------------------------------


def test_inputs_that_are_not_fed():
    with sg.Graph() as graph:
        x = sg.placeholder("x", (3,))
        y = sg.placeholder("y", (2,))
        total = sg.sum(x) + sg.sum(y)
    with sg.Session(graph) as session:
        expect(
            FeedError,
            lambda: session.run(total),
            line="lambda: session.run(total),",
            words=("x (float32[3]), needed by add", "y (float32[2]), needed by add"),
            fix="feed x, y",
            related=['x = sg.placeholder("x", (3,))', 'y = sg.placeholder("y", (2,))'],
        )
    run = sg.compile(total)
    expect(
        FeedError,
        lambda: run(np.ones(4, "float32"), z=1.0),
        line='lambda: run(np.ones(4, "float32"), z=1.0),',
        words=(
            "there is no input 'z'",
            "an array of shape (4,) was fed",
            "'y' (float32[2]) is mis",
        ),
        fix="leave out z; reshape it to (3,)",
    )


def test_growing_graph_in_the_run_loop():
    with sg.Graph() as graph:
        x = sg.placeholder("x", (3,))
        y = x * 2
    with sg.Session(graph) as session:
        session.run(y, {x: ONES})
        expect(
            FinalGraphError,
            lambda: session.run(y + 1, {x: ONES}),
            line="lambda: session.run(y + 1, {x: ONES}),",
            words=("add was declared in graph", "after it was compiled"),
            fix="declare every op before the loop that runs the graph",
            related=["session.run(y, {x: ONES})"],
        )


def test_unused_inputs_in_a_static_graph():
    with sg.Graph():
        x = sg.placeholder("x", (3,))
        y = sg.sum(sg.stop_gradient(x) * 2)
        expect(
            UnusedInputError,
            lambda: sg.gradients(y, [x]),
            line="lambda: sg.gradients(y, [x]),",
            words="the path breaks at Node(stop_gradient: float32[3])",
            fix='unused="zero"',
            related=["y = sg.sum(sg.stop_gradient(x) * 2)"],
        )
        assert sg.gradients(y, [x], unused="none") == [None]
        assert sg.gradients(y, [x], unused="zero")[0].value.tolist() == [0, 0, 0]
        with pytest.warns(UnusedInputWarning, match="stop_gradient cuts it on purpose"):
            assert sg.gradients(y, [x], unused="warn")[0].value.tolist() == [0, 0, 0]


def test_unused_inputs_in_a_dynamic_graph():
    x = dg.tensor([1.0, 2.0], requires_grad=True)
    w = dg.tensor([1.0, 2.0], requires_grad=True)
    h = x.detach() * 2
    y = (h * w).sum()
    expect(
        UnusedInputError,
        lambda: dg.grad(y, [x], retain_graph=True),
        line="lambda: dg.grad(y, [x], retain_graph=True),",
        words=("input 0, a tensor float32[2], does not reach the output"),
        fix='unused="zero"',
    )
    with pytest.raises(UnusedInputError) as caught:
        dg.grad(y, [x], retain_graph=True)
    assert ("the path may break by detach()", "h = x.detach() * 2") in [
        (label, source.text) for label, source in caught.value.related
    ]
    with pytest.warns(UnusedInputWarning) as warned:
        (zeros,) = dg.grad(y, [x], unused="warn", retain_graph=True)
    assert zeros.tolist() == [0, 0]
    assert warned[0].message.id == UnusedInputWarning.id
    assert dg.grad(y, [x], unused="none") == (None,)


@pytest.mark.parametrize("backend", BACKENDS)
def test_errors_in_optimised_code_keep_the_line(backend):
    with sg.Graph():
        x = sg.placeholder("x", (3,))
        doubled = x * 2
        logged = sg.log(doubled)
        shifted = logged + 1
    run = sg.compile(shifted, backend=backend)
    with np.errstate(divide="raise"):
        expect(
            RunError,
            lambda: run(np.zeros(3, "float32")),
            line="logged = sg.log(doubled)",
            words=("log(float32[3]): divide by zero",),
            fix="keep the operands inside the domain",
            related=['lambda: run(np.zeros(3, "float32")),'],
        )


# gradients ----------------------------------------------------------------------------------------


def test_second_backward():
    x = dg.tensor([1.0], requires_grad=True)
    y = (x * x).sum()
    y.backward()
    error = expect(
        FreedGraphError,
        lambda: y.backward(),
        line="lambda: y.backward(),",
        words="freed at test_mistakes.py:",
        fix="sum the losses and call backward() once, or detach() the state",
        related=["y.backward()"],
    )
    assert error.fix.index("sum") < error.fix.index("detach") < error.fix.index("retain_graph")


def test_in_place_change_of_a_saved_value():
    x = dg.tensor([1.0], requires_grad=True)
    y = dg.exp(x)
    y += 1
    expect(
        InPlaceError,
        lambda: y.sum().backward(),
        line="lambda: y.sum().backward(),",
        words=(
            "a value saved by exp was overwritten by +=",
            "\n  saved by exp at test_mistakes.py:",
            "\n  overwritten at test_mistakes.py:",
        ),
        fix="x = x + 1",
        related=["y = dg.exp(x)", "y += 1"],
    )


def test_in_place_change_has_a_certain_line_under_anomaly_detection():
    x = dg.tensor([1.0, 2.0], requires_grad=True)
    with dg.detect_anomaly():
        a = x * 2
        b = a * a
        a[0] = 5.0
        with pytest.raises(InPlaceError) as caught:
            b.sum().backward()
    places = {label: source.text for label, source in caught.value.related}
    assert places["saved by multiply"] == "b = a * a"
    assert places["overwritten"] == "a[0] = 5.0"


WEIGHTS = dg.tensor([1.0, 2.0], requires_grad=True)


def detached():
    hidden = (WEIGHTS * 2).detach()
    loss = (hidden + 1).sum()
    loss.backward()


def under_no_grad():
    with dg.no_grad():
        hidden = WEIGHTS * 2
    loss = hidden.sum()
    loss.backward()


@dg.no_grad()
def evaluated(x):
    return WEIGHTS * x


def in_a_function():
    loss = evaluated(3.0).sum()
    loss.backward()


def counted():
    accuracy = ((WEIGHTS * 2).argmax() == 1).astype("float32")
    accuracy.backward()


def through_numpy():
    numbers = (WEIGHTS * 2).detach().numpy()
    loss = dg.tensor(numbers).sum()
    loss.backward()


def summed_as_numbers():
    total = 0.0
    for _ in range(3):
        total += (WEIGHTS * 2).sum().item()
    dg.tensor(total).backward()


@pytest.mark.parametrize(
    ("call", "reason", "line", "fix"),
    [
        (detached, "detach()", "hidden = (WEIGHTS * 2).detach()", "behind backward()"),
        (under_no_grad, "no_grad()", "with dg.no_grad():", "outside of it"),
        (in_a_function, "no_grad()", "@dg.no_grad()", "outside of it"),
        (counted, "a comparison", "accuracy = ((", "differentiable function"),
        (through_numpy, "numpy()", "numbers = (", "stay with tensors"),
        (summed_as_numbers, "item()", "total += (", "stay with tensors"),
    ],
)
def test_loss_without_a_graph_names_the_cut(call, reason, line, fix):
    with pytest.raises(NoGraphError) as caught:
        call()
    error = caught.value
    assert error.source.text.endswith(".backward()")
    assert reason in error.what
    ((label, source),) = error.related
    assert label == f"cut by {reason}"
    assert source.text.startswith(line)
    assert fix in error.fix and "^" in str(error)


def test_loss_without_a_graph_and_no_cut_in_sight():
    loss = (dg.ones((3,)) * 2).sum()
    expect(
        NoGraphError,
        lambda: loss.backward(),
        line="lambda: loss.backward(),",
        words="nothing that led to this value requires a gradient",
        fix="create the parameters with requires_grad=True",
    )


def test_grad_is_none_on_a_non_leaf():
    w = dg.randn(3, requires_grad=True) / 2
    (w * w).sum().backward()
    with pytest.warns(NonLeafGradWarning) as caught:
        assert w.grad is None
    shows(
        caught[0].message,
        line="assert w.grad is None",
        words=("this was made by divide", "requires_grad=True was given to dg.randn("),
        fix="w = (dg.randn(3) / 2).requires_grad_()",
        related=["w = dg.randn(3, requires_grad=True) / 2"],
    )


def test_roots_that_have_no_gradient():
    x = dg.tensor([1.0, 2.0], requires_grad=True)
    expect(
        NonScalarError,
        lambda: (x * 2).backward(),
        line="lambda: (x * 2).backward(),",
        words="the result has shape (2,)",
        fix="y.sum().backward()",
    )
    error = expect(
        NotDifferentiableError,
        lambda: (x > 0).sum().backward(),
        line="lambda: (x > 0).sum().backward(),",
        words="the result has dtype int64",
        fix="differentiable",
    )
    assert error.cause == "only floating-point and complex values have gradients"
    with sg.Graph():
        x = sg.placeholder("x", (2,))
        expect(
            NonScalarError,
            lambda: sg.gradients(x * 2, [x]),
            line="lambda: sg.gradients(x * 2, [x]),",
            words="which has 2 elements",
            fix="grad_ys=v",
        )


def test_nan_gradients():
    x = dg.tensor([0.0, 1.0], requires_grad=True)
    with np.errstate(all="ignore"), dg.detect_anomaly():
        y = dg.where(x > 0, dg.log(x), 0.0)
        expect(
            AnomalyError,
            lambda: y.sum().backward(),
            line="lambda: y.sum().backward(),",
            words=("LogBackward0 returned NaN", "as in where(x > 0, log(x), 0)"),
            fix="log(where(x > 0, x, 1))",
            related=["y = dg.where(x > 0, dg.log(x), 0.0)"],
        )
        x = dg.tensor([-1.0, 1.0], requires_grad=True)
        a = dg.log(x)
        b = dg.exp(a) * a
        expect(
            AnomalyError,
            lambda: b.sum().backward(),
            line="lambda: b.sum().backward(),",
            words="the first value that is not finite: log of -1.0 is nan",
            fix="clip before log",
            related=["a = dg.log(x)"],
        )


# compiled code ------------------------------------------------------------------------------------


def test_compiled_numbers_differ():
    def model(xp, x):
        return xp.sum(x) * (2.0 if xp is dg else 2.5)

    workload = sbs.Workload(
        model, inputs=lambda rng, size: (np.ones(size, "float32"),), sizes=(4,), name="mine"
    )
    row = sbs.compare([workload], budget=0.01).rows[0]
    static = row.cell("static")
    assert static.steady is None and static.start is None  # no timing of two different programs
    assert static.failure.id == DisagreementError.id
    assert "result 0 is 10.0 against 8.0" in static.failure.text
    assert verdict.cell_verdict(row, static).endswith("so no time is shown.")
    with pytest.raises(DisagreementError, match="1 ULP"):
        check_agreement([ONES], [np.nextafter(ONES, 2)], pair="static and dynamic", tolerance=None)


def test_compiled_numbers_differ_by_a_pass_that_is_named():
    def subtract_in_place_of_adding(program):
        return program.with_instructions(
            [
                replace(each, op=REGISTRY["subtract"]) if each.op is REGISTRY["add"] else each
                for each in program.instructions
            ]
        )

    with sg.Graph():
        x = sg.placeholder("x", (3,))
        y = x * 2
        z = y + x
    with pytest.raises(PassError) as caught:
        sg.check_passes(z, [x], [ONES], passes=[*sg.without(), subtract_in_place_of_adding])
    text = str(caught.value)
    assert text.startswith("[SBS-311] pass subtract_in_place_of_adding changed add")
    assert "z = y + x" in text and "\n  fix: " in text
    with np.errstate(over="ignore"):  # no pass trades inf for a number
        run = sg.function(lambda x: sg.log(sg.exp(x)))
        assert math.isinf(run(np.float32(100.0)))


@pytest.mark.parametrize("backend", BACKENDS)
def test_results_are_used_again_by_the_caller_alone(backend):
    with sg.Graph():
        x = sg.placeholder("x", (3,))
        y = sg.tanh(x * 2) + 1
    run = sg.compile(y, [x], backend=backend)
    first = run(ONES)
    kept = first.copy()
    second = run(ONES * 2)
    assert not np.shares_memory(first, second)
    assert first.tolist() == kept.tolist()
    first += 1
    assert run(ONES).tolist() == kept.tolist()


def test_results_are_used_again_where_borrowed_and_poisoned_in_debug_runs():
    many = np.ones(1000, "float32")
    with sg.Graph():
        x = sg.placeholder("x", many.shape)
        y = sg.tanh(x * 2) + 1
        pair = y, sg.argmax(y)
    run = sg.compile(y, [x], backend="numpy", borrow=True)
    first = run(many)
    assert np.shares_memory(first, run(many * 2))
    run = sg.compile(pair, [x], debug=True, borrow=True)
    first, index = run(many)
    assert np.isfinite(first).all() and index == 0
    again, _ = run(first * 0 + 1)
    assert np.isnan(first).all() and index < 0
    assert np.isfinite(again).all()
    run(again)  # what is fed may be what was lent


# measurement --------------------------------------------------------------------------------------


def estimate(value, count=40):
    return Estimate(value, value * 0.98, value * 1.02, CONFIDENCE if count > 1 else 0.0, count)


def cell(mode, seconds, ratio=None, count=40):
    return TimedCell(
        mode,
        steady=estimate(seconds, count),
        start=estimate(seconds * 20),
        first_call=estimate(seconds * 2),
        built=estimate(seconds * 18 if ratio else 0.0),
        build={"trace": seconds * 18} if ratio else {},
        difference=Difference(0.0, 0.0),
        ratio=None if ratio is None else estimate(ratio, count),
        break_even=None if ratio is None else BreakEven(math.inf, 50, math.inf, True),
        calls=10,
    )


BOTTLENECK = Bottleneck("compute-bound", "an operation takes 9.1x the time of copying its bytes")


@pytest.fixture(scope="module")
def measured():
    def model(xp, x, w):
        return xp.sum(xp.tanh(x * w))

    workload = sbs.Workload(
        model,
        inputs=lambda rng, size: (np.ones(size, "float32"), np.ones(size, "float32")),
        wrt=(1,),
        sizes=(4,),
        name="mine",
    )
    return sbs.compare([workload], budget=0.05)


def test_cold_start(measured):
    static = measured.rows[0].cell("static")
    assert static.start.value > static.steady.value
    assert set(static.build) >= {"trace"}
    assert "first result" in str(measured.text()) and "break-even" in str(measured.text())

    @sg.function
    def model(x):
        return x * 2

    model(ONES)
    (trace,) = model.explain().traces
    assert trace.seconds["trace"] > 0 and trace.seconds["compile"] > 0
    assert re.search(r"trace \d+\.\d ms, compile \d+\.\d ms", str(model.explain()))
    run = sg.compile(*declared())
    assert {"lower", "plan", "generate"} <= set(run.phases)
    assert all(seconds >= 0 for seconds in run.phases.values())


def declared():
    with sg.Graph():
        x = sg.placeholder("x", (3,))
        return x * 2, [x]


def test_slower_than_eager_names_the_bottleneck():
    static = cell("static", 15e-6, 1.5)
    row = Row("mine", "", "4", (cell("dynamic", 10e-6), static), "dynamic", BOTTLENECK)
    sentence = verdict.cell_verdict(row, static)
    assert "static is 1.50 times slower than dynamic" in sentence
    assert "never paid back" in sentence
    (bound,) = verdict.bottleneck_sentences(row)
    assert bound.startswith("dynamic is compute-bound: ")


def test_checks_of_a_call(measured):
    run = sg.compile(*declared())
    assert run.call(ONES).tolist() == run(ONES).tolist() == run(x=ONES).tolist()
    expect(
        FeedError,
        lambda: run.call(np.ones(4, "float32")),
        line='lambda: run.call(np.ones(4, "float32")),',
        words="'x' is float32[3], and an array of shape (4,) was fed",
        fix="reshape it to (3,)",
    )
    # a call's time is measured with its checks, beside the mode that has none
    assert {each.mode for each in measured.rows[0].cells} == {"dynamic", "static"}
    assert all(each.steady.value > 0 for each in measured.rows[0].cells)


def test_wrong_benchmark_of_a_first_call_or_a_single_shot(measured):
    for each in measured.rows[0].cells:
        assert each.first_call is not None and each.steady is not each.first_call
    static = cell("static", 15e-6, 1.5, count=1)
    row = Row("mine", "", "4", (cell("dynamic", 10e-6), static), "dynamic", BOTTLENECK)
    assert "in 1 sample, too few for a verdict" in verdict.cell_verdict(row, static)
    assert static.speed == "too few samples"


# all of them --------------------------------------------------------------------------------------


def test_each_mistake_has_its_test_and_its_answer():
    tests = [name.removeprefix("test_") for name in globals() if name.startswith("test_")]
    for key, mistake in MISTAKES.items():
        assert any(name.startswith(key) for name in tests), key
        assert mistake.what and (mistake.errors or mistake.behaviour), key
    tests.remove("each_mistake_has_its_test_and_its_answer")
    for name in tests:
        assert any(name.startswith(key) for key in MISTAKES), name
