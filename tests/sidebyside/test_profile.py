"""A profile has every operation of a call once, in rows whose parts add up."""

import json
import re
import sys

import numpy as np
import pytest

from oplibrary.messages.errors import (
    ArgumentError,
    BackendError,
    SideBySideError,
    SymbolicBoolError,
)
from sidebyside.cli import main
from sidebyside.drawing.timeline import timeline
from sidebyside.report.figures.profile import profile_figures
from sidebyside.report.profile import memory_line
from sidebyside.results.profile import ModeProfile, OpProfile, Profile
from sidebyside.studies.profile import _summarize, profile
from sidebyside.workloads.registry import load
from sidebyside.workloads.workload import Workload


def step(xp, w, x):
    y = xp.tanh(x @ w)
    return xp.sum(y * y)


def inputs(rng, size):
    return np.ones((3, 2), np.float32), np.ones((4, 3), np.float32)


STEP = Workload(step, inputs, wrt=(0,), learning_rate=0.1, name="step")


def mode_of(found, name):
    (mode,) = [each for each in found.modes if each.mode == name]
    return mode


def calls_of(mode):
    return {row.op: row.calls for row in mode.rows}


@pytest.fixture(scope="module")
def found():
    return profile(STEP, runs=3)


# what is in it ------------------------------------------------------------------------------------


def test_dynamic_has_forward_backward_and_update(found):
    assert calls_of(mode_of(found, "dynamic")) == {
        "matmul": 1,
        "tanh": 1,
        "multiply": 2,  # y * y, and the rate times the gradient
        "sum": 1,
        "subtract": 1,
        "SumBackward0": 1,
        "MulBackward0": 1,
        "TanhBackward0": 1,
        "MatmulBackward0": 1,
    }


def test_static_has_the_instructions_that_the_passes_left(found):
    from sidebyside.modes.static import build

    executable, _ = build(STEP, STEP.make_inputs(None), backend="numpy")
    names = [each.op.name for each in executable.program.instructions]
    assert calls_of(mode_of(found, "static")) == {name: names.count(name) for name in names}


def test_operations_and_bytes_of_the_static_mode_are_those_of_the_cost_model(found):
    rows = {row.op: row for row in mode_of(found, "static").rows}
    assert rows["matmul"].flops == 2 * (2 * 4 * 3 * 2)  # forward, and by the weight
    assert rows["matmul"].bytes == 2 * 4 * (12 + 6 + 8)
    assert rows["tanh"].flops == 0  # a transcendental
    assert rows["tanh"].bytes == 64  # nothing is fused where instructions run one by one
    assert all(row.flops is None and row.bytes is None for row in mode_of(found, "dynamic").rows)


def test_what_is_not_known_is_left_open():
    sorted_sum = Workload(lambda xp, x: xp.sum(xp.sort(x)), lambda rng, size: rng.random(9))
    (static,) = profile(sorted_sum, modes=["static"], runs=1).modes
    rows = {row.op: row for row in static.rows}
    assert (rows["sort"].flops, rows["sort"].bytes) == (None, 144)
    assert rows["sum"].flops == 9


def test_rows_are_sorted_and_their_parts_add_up(found):
    for mode in found.modes:
        seconds = [row.seconds for row in mode.rows]
        assert seconds == sorted(seconds, reverse=True)
        assert mode.seconds == pytest.approx(sum(seconds))
        assert sum(map(mode.share, mode.rows)) == pytest.approx(1)
        assert all(row.mean * row.calls == pytest.approx(row.seconds) for row in mode.rows)
        assert mode.call_seconds > 0


def test_a_row_is_the_median_of_the_runs():
    def run(*seconds):
        return [OpProfile("add", "", 1, each) for each in seconds]

    (row,) = _summarize([run(1.0, 2.0), run(5.0, 5.0), run(1.0, 3.0)])
    assert (row.calls, row.seconds, row.mean) == (2, 4.0, 2.0)


def test_the_same_operations_as_in_a_timeline():
    workload = load("seed")
    found = profile(workload, runs=2)
    events = timeline(workload)["traceEvents"]
    names = [e["name"] for e in events if e["ph"] == "X" and e["pid"] == 1]
    assert calls_of(mode_of(found, "dynamic")) == {name: names.count(name) for name in names}


# lines --------------------------------------------------------------------------------------------


def test_lines_tell_operations_of_one_name_apart():
    found = profile(STEP, runs=2, lines=True)
    first = step.__code__.co_firstlineno
    dynamic = {(row.op, row.line): row.calls for row in mode_of(found, "dynamic").rows}
    place = "test_profile.py:{}".format
    assert dynamic["tanh", place(first + 1)] == 1
    assert dynamic["TanhBackward0", place(first + 1)] == 1
    assert dynamic["multiply", place(first + 2)] == 1
    assert dynamic["SumBackward0", place(first + 2)] == 1
    assert dynamic["multiply", ""] == 1  # the update stands on no line of the program
    static = {(row.op, row.line) for row in mode_of(found, "static").rows}
    assert ("tanh", place(first + 1)) in static
    assert ("sum", place(first + 2)) in static
    without = profile(STEP, runs=2)
    for mode in found.modes:
        assert sum(row.calls for row in mode.rows) == sum(
            row.calls for row in mode_of(without, mode.mode).rows
        )


# machine code -------------------------------------------------------------------------------------


def of_machine_code(workload, runs=2, **options):
    pytest.importorskip("llvmlite")
    (found,) = profile(workload, modes="static:native", runs=runs, **options).modes
    return found


def test_machine_code_has_its_steps_with_the_operations_of_each():
    from sidebyside.drawing.machine_steps import timed_steps
    from sidebyside.modes.static import build

    found = of_machine_code(STEP, lines=True)
    executable, _ = build(STEP, STEP.make_inputs(None), backend="native")
    timed = timed_steps(executable.program)
    computed = [each for step in timed.steps for each in step]
    read_in_place = [each for each in timed.program.instructions if each not in computed]
    assert len(computed) == len(set(computed)) and all(each.op.view for each in read_in_place)
    assert sum(row.calls for row in found.rows) == len(timed.steps)
    assert found.call_seconds > 0 and all(row.seconds >= 0 for row in found.rows)
    assert sum(row.flops for row in found.rows) == executable.cost().flops
    assert any("matmul" in row.op for row in found.rows)
    assert all(row.line.startswith("test_profile.py:") for row in found.rows)


def test_steps_that_are_left_to_numpy_and_loops_are_steps_of_their_own():
    def program(xp, x):
        halved = xp.while_loop(lambda c: xp.sum(c) > 1.0, lambda c: c * 0.5, xp.exp(x))
        values, _ = xp.linalg.eigh(x @ x.mT)
        return xp.sum(xp.tanh(halved)) + xp.sum(xp.sqrt(values))

    workload = Workload(program, lambda rng, size: rng.random((3, 3)), name="mixed")
    names = " ".join(row.op for row in of_machine_code(workload).rows)
    for each in ("while_loop", "eigh", "exp", "tanh", "sqrt"):
        assert each in names


def test_the_longest_step_is_the_one_that_does_most():
    def program(xp, x, w):
        return xp.sum(w * 2.0) + xp.fori_loop(0, 20_000, lambda i, c: xp.cos(c), x)

    workload = Workload(program, lambda rng, size: (np.float64(1.0), rng.random(9)), name="long")
    found = of_machine_code(workload, runs=5)
    assert "scan" in found.rows[0].op and len(found.rows) > 1


def test_a_program_of_many_steps_has_them_all():
    def program(xp, x, w):
        for _ in range(150):
            x = xp.tanh(x @ w)
        return x

    workload = Workload(program, lambda rng, n: (rng.random((5, 5)), np.eye(5)), name="many")
    found = of_machine_code(workload)
    assert sum(row.calls for row in found.rows) > 128  # more than one function has


@pytest.mark.planner_faults
def test_what_is_left_to_numpy_altogether_is_refused(monkeypatch):
    pytest.importorskip("llvmlite")
    workload = Workload(lambda xp, x: xp.sum(x), lambda rng, size: rng.random((0, 3)), name="none")
    from staticgraph.backends.native.planning import planning

    monkeypatch.setattr(planning, "make_plan", lambda *_, **__: 1 / 0)
    with pytest.raises(BackendError, match="nothing of this program is machine code"):
        profile(workload, modes=["static:native"], runs=1)


# what is refused ----------------------------------------------------------------------------------


def test_a_program_that_static_refuses_has_the_message_in_its_place():
    found = profile(load("control_flow"), runs=1)
    refused = mode_of(found, "static")
    assert "SBS-301" in refused.refusal
    assert refused.rows == ()
    assert "static: refused" in str(found)
    assert mode_of(found, "dynamic").rows


def test_static_alone_raises_what_it_refuses():
    with pytest.raises(SymbolicBoolError):
        profile(load("control_flow"), modes=["static"], runs=1)


@pytest.mark.parametrize(
    ("options", "what"),
    [
        ({"modes": ["statc"]}, "there is no mode 'statc' to profile; did you mean 'static'?"),
        ({"modes": ["jax.jit"]}, "there is no mode 'jax.jit' to profile"),
        ({"runs": 0}, "runs is 0"),
        ({"runs": 1.5}, "runs is 1.5"),
        ({"runs": True}, "runs is True"),
    ],
)
def test_wrong_arguments_are_named(options, what):
    with pytest.raises(ArgumentError) as caught:
        profile(load("seed"), **options)
    assert what in caught.value.what
    assert caught.value.fix


def test_a_loss_without_a_gradient_is_refused_as_by_the_tape():
    lost = Workload(lambda xp, x: xp.sum(xp.ones_like(x)), lambda rng, size: np.ones(3), wrt=(0,))
    for lines in (False, True):
        with pytest.raises(SideBySideError) as caught:
            profile(lost, modes=["dynamic"], runs=1, lines=lines)
        assert caught.value.id == "SBS-203"


# as text and as JSON ------------------------------------------------------------------------------


def test_the_table_has_a_line_an_op(found):
    dynamic, static = found.text(100).split("\n\n")
    assert dynamic.startswith("step, dynamic: a call takes ")
    assert dynamic.splitlines()[1].split() == ["op", "calls", "total", "share", "mean"]
    assert static.splitlines()[1].split()[-3:] == ["FLOPs", "GFLOP/s", "GB/s"]
    for text, mode in zip((dynamic, static), found.modes, strict=True):
        *lines, memory = text.splitlines()[3:]
        assert [line.split()[0] for line in lines] == [r.op for r in mode.rows]
        assert memory.startswith("memory over the call ")


def test_a_table_that_is_too_wide_becomes_a_list(found):
    text = profile(STEP, runs=1, lines=True).text(50)
    assert max(map(len, text.splitlines())) <= 50
    assert "  matmul: calls 2, total" in text


def test_long_tables_say_what_they_leave_out():
    rows = tuple(OpProfile(f"op{number}", "", 1, 1e-6) for number in range(30))
    text = Profile("many", "", 1, False, (ModeProfile("dynamic", rows, 1e-3),)).text()
    assert len(text.splitlines()) == 3 + 25 + 1
    assert text.endswith("\nand 5 more, 16.7% of the time")


@pytest.fixture
def run(capsys, monkeypatch, tmp_path):
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))

    def run(*arguments):
        code = main(["profile", *map(str, arguments)])
        printed = capsys.readouterr()
        return code, printed.out, printed.err

    return run


def test_the_command_prints_both_modes_and_writes_json(run, tmp_path):
    code, out, err = run("seed", "--runs", 2, "--json", "a.json")
    assert (code, err) == (0, "")
    assert "seed 1, dynamic: a call takes" in out
    assert "seed 1, static: a call takes" in out
    data = json.loads((tmp_path / "a.json").read_text())
    assert (data["workload"], data["size"], data["runs"]) == ("seed", "1", 2)
    dynamic, static = data["modes"]
    assert [dynamic["mode"], static["mode"]] == ["dynamic", "static"]
    assert {row["op"]: row["calls"] for row in static["rows"]} == {"add": 3, "multiply": 1}
    assert sum(row["share"] for row in static["rows"]) == pytest.approx(1)
    assert sum(row["flops"] for row in static["rows"]) == 4
    assert {row["flops"] for row in dynamic["rows"]} == {None}


def test_the_command_writes_csv_and_html(run, tmp_path):
    code, text, _ = run("seed", "--csv", tmp_path / "a.csv", "--html", tmp_path / "a.html")
    assert code == 0 and "seed 1, dynamic: a call takes" in text
    assert (
        (tmp_path / "a.csv").read_text().startswith("workload,size,runs,mode,refusal,call_seconds")
    )
    assert "<h3>seed 1, static: a call takes" in (tmp_path / "a.html").read_text()


def test_the_command_takes_size_mode_and_lines(run):
    code, out, _ = run("chain", "--size", "1,000", "--mode", "static", "--lines", "--runs", 1)
    assert code == 0
    assert "chain 1,000, static" in out
    assert "dynamic" not in out
    assert "chain.py:17" in out


def test_a_refused_program_leaves_the_others_table(run, tmp_path):
    code, out, _ = run("control_flow", "--runs", 1, "--json", "a.json")
    assert code == 0
    assert "control_flow 1,000, static: refused" in out
    assert "[SBS-301]" in out
    refused = json.loads((tmp_path / "a.json").read_text())["modes"][1]
    assert "SBS-301" in refused["refusal"]
    assert (refused["call_seconds"], refused["rows"]) == (None, [])


MODEL = """
import numpy as np

def model(x, w):
    return np.tanh(x @ w)

def loss(xp, x):
    return xp.sum(x * x)

def example(rng):
    return rng.normal(size=(4, 3)), np.ones((3, 2))

ones = np.ones(2)
"""


def test_a_program_is_measured_as_it_is_with_the_inputs_that_are_named(run, tmp_path):
    (tmp_path / "mine.py").write_text(MODEL)
    (tmp_path / "other.py").write_text(
        "import numpy as np\ntwo = np.ones((4, 3)), np.ones((3, 2))\n"
    )
    for inputs in ("example", "mine.py:example", "other.py:two"):
        code, _, err = run("mine.py:model", "--inputs", inputs, "--runs", 1, "--json", "a.json")
        assert (code, err) == (0, "")
        for mode in json.loads((tmp_path / "a.json").read_text())["modes"]:
            assert [row["op"] for row in mode["rows"]] in (["matmul", "tanh"], ["tanh", "matmul"])
    assert "sum" in run("mine.py:loss", "--inputs", "ones", "--runs", 1)[1]
    code, _, _ = run("seed", "--inputs", "mine.py:example", "--mode", "dynamic", "--runs", 1)
    assert code == 2  # of a workload they take the place of its own, which these shapes cannot
    command = ["trace", "mine.py:model", "--inputs", "example", "-o", "a.json"]
    assert main(command) == 0
    events = json.loads((tmp_path / "a.json").read_text())["traceEvents"]
    modes = {each["pid"] for each in events}
    assert sum(each["name"] == "tanh" for each in events) == len(modes) >= 2


@pytest.mark.parametrize("library", ["torch", "jax"])
def test_a_program_of_another_library_is_imported(run, tmp_path, library):
    pytest.importorskip(library)
    text = {
        "torch": "import torch\nx = torch.ones(2, dtype=torch.bfloat16)\n"
        "class Model(torch.nn.Module):\n"
        "    def forward(self, x):\n        return torch.dropout(torch.tanh(x), 0.5, True)\n"
        "model = Model()\n",
        "jax": "import jax\nx = jax.numpy.ones(2)\n@jax.jit\n"
        "def model(x):\n    return jax.numpy.tanh(x)\n",
    }[library]
    (tmp_path / f"of_{library}.py").write_text(text)
    code, _, _ = run(f"of_{library}.py:model", "--inputs", "x", "--runs", 1, "--json", "a.json")
    assert code == 0
    dynamic, static = json.loads((tmp_path / "a.json").read_text())["modes"]
    names = [{row["op"] for row in each["rows"]} for each in (dynamic, static)]
    assert all({"tanh"} | ({"random_split"} if library == "torch" else set()) <= x for x in names)
    assert not static["refusal"]


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        (["mine.py:model"], "was given no inputs"),
        (["mine.py:model", "--inputs", "ones"], "missing a required argument: 'w'"),
        (
            ["mine.py:model", "--inputs", "exmaple"],
            "mine.py has no 'exmaple'; did you mean 'example'?",
        ),
        (["mine.py:modle", "--inputs", "example"], "mine.py has no 'modle'; did you mean 'model'?"),
        (["mine.py:model", "--inputs", "example", "--size", "3"], "a size was given beside inputs"),
        (["mine.py:ones", "--inputs", "example"], "a ndarray is no program"),
    ],
)
def test_a_program_and_inputs_that_do_not_fit_are_refused(run, tmp_path, arguments, what):
    (tmp_path / "mine.py").write_text(MODEL)
    for command in (["profile"], ["trace", "-o", "b.json"]):
        assert main([*command, *arguments]) == 2
    code, out, err = run(*arguments)
    assert (code, out) == (2, "") and err.count("[SBS-") >= 1 and what in err


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        (["sed"], "there is no builtin workload 'sed'; did you mean 'seed'?"),
        (["seed", "--mode", "dynamc"], "did you mean 'dynamic'?"),
        (["seed", "--runs", "0"], "runs is 0"),
        (["seed", "--json", "nowhere/a.json"], "the folder nowhere does not exist"),
        (["seed", "--size", "large"], "no inputs of size large"),
        (["control_flow", "--mode", "static"], "SBS-301"),
    ],
)
def test_what_is_asked_wrongly_is_refused(run, arguments, what):
    code, out, err = run(*arguments)
    assert code == 2
    assert out == ""
    assert "Traceback" not in err
    assert err.startswith("[SBS-")
    assert what in err


def test_memory_over_a_call_is_a_line_of_bars_and_a_figure():
    mode = ModeProfile("static", (), 1.0, memory=((0.1, 0), (0.5, 1000), (0.9, 8000), (1.0, 4000)))
    line = memory_line(mode, 60)
    bars = re.search(r"[▁▂▃▄▅▆▇█]+", line)[0]
    assert len(line) <= 60 and line.endswith("at most 8.00 kB")
    assert bars[0] == "▁" and "█" in bars and bars.index("█") > 0.8 * len(bars)
    assert memory_line(ModeProfile("dynamic"), 60) == ""
    (figure,) = profile_figures(Profile("w", "", 1, False, (mode,)))
    assert [each["bytes"] for each in figure.spec["layer"][0]["data"]["values"]][-1] == 4000
    assert profile_figures(Profile("w", "", 1, False, (ModeProfile("static"),))) == []


def test_a_profile_knows_the_memory_of_both_modes():
    found = profile(load("chain"), 1000, runs=1)
    for mode in found.modes:
        seconds = [moment for moment, _ in mode.memory]
        assert seconds == sorted(seconds)
        assert max(size for _, size in mode.memory) >= 4000  # one result at least
    assert "memory over the call" in str(found)
