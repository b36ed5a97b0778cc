"""The flexibility matrix: each outcome from a run of its own, and what the examples offer to it."""

import json
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from oplibrary.messages.errors import ArgumentError, WorkloadError
from sidebyside.cli import main
from sidebyside.measuring.agreement import first_difference
from sidebyside.measuring.statistics import Estimate
from sidebyside.modes import PEERS
from sidebyside.report.flexibility import _did, _legend, cell_text, conclusion
from sidebyside.results.flexibility import ExampleCell, ExampleRow, Matrix
from sidebyside.studies.flexibility import measure_flexibility
from sidebyside.studies.flexibility.columns import choose_peers
from sidebyside.studies.flexibility.example import (
    code_lines,
    examples_folder,
    find_examples,
    load_module,
    programs_of,
)
from sidebyside.studies.flexibility.record import Finished, Task
from sidebyside.studies.flexibility.tasks import run_tasks
from sidebyside.studies.flexibility.worker import make_calls

FOLDER = Path(__file__).parents[2] / "examples"

HEAD = """
import atexit, os, warnings
import numpy as np
from sidebyside import Example

def numbers():
    return [(np.array(float(n)),) for n in (1, 2, 3)]

"""

FAKES = {
    # every mode runs it
    "plain": """
def double(xp, x):
    return x * 2

PROGRAMS = (Example(double, inputs=numbers, wrt=(0,)),)
""",
    # the count of the calls is fixed when it is traced
    "frozen": """
calls = []

def count(xp, x):
    calls.append("one more")
    return x * len([*calls])

PROGRAMS = (Example(count, inputs=numbers),)
""",
    # what a library keeps for itself is not watched
    "hidden": """
before = atexit._ncallbacks()

def count(xp, x):
    atexit.register(int)
    return x * (atexit._ncallbacks() - before)

PROGRAMS = (Example(count, inputs=numbers),)
""",
    # as before, but not without a word
    "warned": """
calls = []

def count(xp, x):
    if xp.__name__ == "staticgraph":
        warnings.warn("the calls are counted once")
    calls.append("one more")
    return x * len(calls)

PROGRAMS = (Example(count, inputs=numbers),)
""",
    # two rewrites: one that is right, and one that forgets a case
    "branch": """
def size(xp, x):
    if x > 2:
        return x
    return -x

def size_rewritten(xp, x):
    larger = x > 2
    return xp.where(larger, x, -x)

def size_forgotten(xp, x):
    return -x

PROGRAMS = (
    Example(size, inputs=numbers, rewrite=size_rewritten),
    Example(size, inputs=numbers, rewrite=size_forgotten, name="forgotten"),
)
""",
    "crash": """
def crash(xp, x):
    if xp.__name__ == "staticgraph":
        os.abort()
    return x * 2

PROGRAMS = (Example(crash, inputs=numbers, rewrite=lambda xp, x: x + x),)
""",
    "leaves": """
def leave(xp, x):
    if xp.__name__ == "staticgraph":
        print("good bye", flush=True)
        os._exit(3)
    return x

PROGRAMS = (Example(leave, inputs=numbers),)
""",
    # dyngraph itself cannot run it, so there is nothing to compare with
    "broken": """
def divide(xp, x):
    return 1 / 0

PROGRAMS = (Example(divide, inputs=numbers, rewrite=lambda xp, x: x),)
""",
    "without_calls": """
PROGRAMS = (Example(lambda xp, x: x, inputs=lambda: ()),)
""",
    "does_not_parse": "def (",
    "leaves_when_imported": "os._exit(4)",
    "nothing": "",
}


@pytest.fixture(scope="module")
def fakes(tmp_path_factory):
    folder = tmp_path_factory.mktemp("fakes")
    for name, text in FAKES.items():
        (folder / f"{name}.py").write_text(HEAD + text)
    return measure_flexibility(folder=folder, peers="none", timeout=30, budget=0.01)


def test_a_program_that_every_mode_runs(fakes):
    row = fakes.row("plain")
    assert [cell.outcome for cell in row.cells] == ["ran", "ran", "not tried"]
    static = row.cell("static")
    assert static.builds == 1
    assert static.steady.value > 0
    assert static.ratio.value > 0
    assert static.first_seconds > static.steady.value


def test_a_value_frozen_at_trace_time_is_found_out(fakes):
    cell = fakes.row("frozen").cell("static")
    assert cell.outcome == "wrong"
    assert cell.reason == "call 2 is 2 in place of 4"
    assert cell.steady is None
    assert any("calls.append() runs" in note for note in cell.notes)


def test_a_wrong_result_with_a_warning_is_not_silent(fakes):
    cell = fakes.row("warned").cell("static")
    assert cell.outcome == "wrong"
    assert "UserWarning: the calls are counted once" in cell.warnings
    text = fakes.text()
    assert "it warned: UserWarning" in " ".join(text.split())
    line = next(line for line in text.splitlines() if line.startswith("warned"))
    assert "WRONG" not in line


def test_a_refusal_has_its_id_its_line_and_the_whole_message(fakes):
    cell = fakes.row("branch").cell("static")
    assert cell.outcome == "refused"
    assert cell.failure.id == "SBS-301"
    assert cell.failure.call == 1
    assert cell.failure.place.endswith("if x > 2:")
    assert cell.reason.startswith("[SBS-301]")
    assert "fix:" in cell.failure.text


def test_a_rewrite_is_checked_counted_and_timed(fakes):
    cell = fakes.row("branch").cell("rewrite")
    assert cell.outcome == "rewritten"
    assert (cell.lines, cell.extra_lines) == (3, -1)
    assert cell.ratio.value > 0
    wrong = fakes.row("branch: forgotten").cell("rewrite")
    assert wrong.outcome == "wrong"
    assert wrong.reason == "call 3 is -3 in place of 3"


def test_a_crash_is_a_cell_and_not_the_end(fakes):
    row = fakes.row("crash")
    assert [cell.outcome for cell in row.cells] == ["ran", "crashed", "rewritten"]
    assert "SIGABRT" in row.cell("static").reason
    assert "Aborted" in row.cell("static").reason
    assert row.cell("rewrite").ratio.value > 0
    left = fakes.row("leaves").cell("static")
    assert left.outcome == "crashed"
    assert left.reason == "ended with exit code 3: good bye"


def test_what_dyngraph_cannot_run_is_not_compared(fakes):
    row = fakes.row("broken")
    assert [cell.outcome for cell in row.cells] == ["failed", "not tried", "not tried"]
    assert row.cell("dyngraph").reason == "ZeroDivisionError: division by zero"
    assert row.cell("dyngraph").failure.place.endswith("return 1 / 0")
    assert "has no calls" in fakes.row("without_calls").cell("dyngraph").reason


def test_files_that_cannot_be_loaded_are_rows(fakes):
    assert fakes.row("does_not_parse").cell("dyngraph").reason.startswith("SyntaxError")
    left = fakes.row("leaves_when_imported").cell("dyngraph")
    assert (left.outcome, left.reason) == ("crashed", "ended with exit code 4")
    assert [name for name, _ in fakes.left_out] == ["nothing"]


def test_the_text_is_readable_at_100_columns(fakes):
    for width in (80, 100):
        assert max(map(len, fakes.text(width).splitlines())) <= width
    text = fakes.text()
    for expected in ("SBS-301", "WRONG", "crashed", "failed", "-1 ", "nothing was left out"):
        assert expected in text


def test_the_conclusion_is_computed_from_the_cells(fakes):
    text = conclusion(fakes)
    assert f"dyngraph runs 8 of {len(fakes.rows)} programs" in text
    assert "staticgraph runs 1, refuses 2 (each with its line)" in text
    assert "computes something else in 3, 1 without a word and crashes in 2" in text
    assert "2 of its 3 rewrites run" in text


def test_what_was_not_compiled_whole_says_so():
    """Breaks in the middle are counted; what only Python ran is not called compiled."""
    time = Estimate(1e-4, 1e-4, 1e-4, 0.99, 9)
    reason = "Data-dependent branching\n  Explanation: a long one"
    pieces = ExampleCell("torch.compile", steady=time, builds=2, breaks=((reason, 3), ("print", 1)))
    eager = replace(pieces, builds=0)
    assert cell_text(pieces) == "100 µs /4"
    assert cell_text(eager) == "100 µs eager"
    assert pieces.reason == "ran, broken into 2 graphs: Data-dependent branching (3x); print (1x)"
    assert eager.reason.startswith("ran, nothing was compiled: Data-dependent branching (3x)")
    dynamic = ExampleCell("dyngraph", steady=time)
    rows = [ExampleRow(name, "", (dynamic, cell)) for name, cell in (("a", pieces), ("b", eager))]
    matrix = Matrix(("dyngraph", "torch.compile"), tuple(rows))
    assert "runs 2 (1 in pieces, 1 uncompiled)" in _did(matrix, "torch.compile")
    assert "left for Python in the middle" in _legend(matrix, 100)
    assert "left for Python" not in _legend(
        Matrix(("dyngraph",), (ExampleRow("a", "", (dynamic,)),)), 100
    )


def test_each_program_has_a_process_of_its_own(tmp_path):
    (tmp_path / "marks.py").write_text(
        HEAD
        + """
def mark(xp, x):
    found = float(os.environ.get("MARKED", 0))
    os.environ["MARKED"] = "1"
    return x * found + os.getpid()

PROGRAMS = tuple(Example(mark, inputs=lambda: numbers()[:1], name=name) for name in "ab")
"""
    )
    tasks = [Task(tmp_path / "marks.py", name, ("dyngraph",), 0.01) for name in "ab"]
    first, second = [e.run.results[0][0] for e in run_tasks(tasks, 30) if isinstance(e, Finished)]
    assert first != second
    assert {float(first), float(second)}.isdisjoint({float(os.getpid())})


def test_a_program_that_never_ends_is_stopped(tmp_path):
    (tmp_path / "endless.py").write_text(
        HEAD
        + """
def wait(xp, x):
    while xp.__name__ == "staticgraph":
        pass
    return x

PROGRAMS = (Example(wait, inputs=numbers, rewrite=lambda xp, x: x + 0),)
"""
    )
    matrix = measure_flexibility(
        [str(tmp_path / "endless.py")], peers="none", timeout=1.0, budget=0.01
    )
    (row,) = matrix.rows
    assert [cell.outcome for cell in row.cells] == ["ran", "timed out", "rewritten"]
    assert row.cell("static").reason == "did not end within 1 s"


# peers --------------------------------------------------------------------------------------------


def test_peers_run_in_processes_of_their_own(tmp_path):
    pytest.importorskip("jax")
    for name in ("frozen", "branch", "plain"):
        (tmp_path / f"{name}.py").write_text(HEAD + FAKES[name])
    matrix = measure_flexibility(folder=tmp_path, peers="jax.jit", budget=0.01)
    assert matrix.columns == ("dyngraph", "static", "rewrite", "jax.jit")
    assert matrix.row("frozen").cell("jax.jit").reason == "call 2 is 2 in place of 4"
    refused = matrix.row("branch").cell("jax.jit")
    assert refused.outcome == "refused"
    assert refused.reason.startswith("TracerBoolConversionError: Attempted boolean conversion")
    assert refused.failure.place.endswith("if x > 2:")
    ran = matrix.row("plain").cell("jax.jit")
    assert (ran.outcome, ran.builds) == ("ran", 1)
    assert ran.ratio is None
    assert ran.steady.value > 0


def test_torch_compile_may_leave_its_graph_and_says_so():
    pytest.importorskip("torch")
    cell = make_calls(Task(FOLDER / "kepler.py"), "torch.compile").run.cell
    assert (cell.failure, cell.builds) == (None, 0)
    ((reason, times),) = cell.breaks
    assert times == 1
    assert reason.startswith("Data-dependent branching\n")
    assert "if abs(step) < tolerance:" in reason


def test_peers_are_chosen_by_name():
    assert choose_peers("none") == ()
    assert set(choose_peers()) <= set(PEERS)
    with pytest.raises(ArgumentError, match="no peer 'pytorch'"):
        choose_peers("pytorch")


def test_a_peer_that_is_not_installed_is_refused(monkeypatch):
    monkeypatch.setattr("sidebyside.modes.registry.find_spec", lambda name: None)
    assert choose_peers() == ()
    with pytest.raises(ArgumentError, match="'torch' needs torch"):
        choose_peers("torch")


# the examples -------------------------------------------------------------------------------------

OFFERED = {path.stem: tuple(programs_of(load_module(path))) for path in sorted(FOLDER.glob("*.py"))}
ALL = [(name, program) for name, programs in OFFERED.items() for program in programs]


def test_every_example_offers_a_program():
    assert all(OFFERED.values())
    rewritten = [
        name
        for name, program in ALL
        if programs_of(load_module(FOLDER / f"{name}.py"))[program].rewrite is not None
    ]
    assert len(rewritten) >= 10


@pytest.mark.parametrize(("name", "program"), ALL)
def test_examples_in_the_own_columns(name, program):
    """Rewrites give dyngraph's results; what is traced refuses, as `declare` does, or is right."""
    task = Task(FOLDER / f"{name}.py", program)
    dynamic = make_calls(task, "dyngraph").run
    assert dynamic.cell.failure is None
    assert len(dynamic.results) > 1
    assert len({str(results) for results in dynamic.results}) > 1
    rewrite = make_calls(task, "rewrite").run
    assert rewrite.cell.failure is None
    if rewrite.results:
        assert not first_difference(rewrite.results, dynamic.results, dynamic.tolerance)
    traced = make_calls(task, "static").run
    if program == "plain print":
        assert first_difference(traced.results, dynamic.results, dynamic.tolerance)
    elif program:
        assert not first_difference(traced.results, dynamic.results, dynamic.tolerance)
        assert traced.cell.builds > 1
    else:
        with pytest.raises(Exception) as caught:
            load_module(FOLDER / f"{name}.py").declare()
        assert traced.cell.failure.id == caught.value.id


# newton is left out: torch.func takes long to load
@pytest.mark.parametrize(("name", "program"), [each for each in ALL if each[0] != "newton"])
def test_examples_in_torch(name, program):
    pytest.importorskip("torch")
    task = Task(FOLDER / f"{name}.py", program)
    run = make_calls(task, "torch").run
    assert run.cell.failure is None
    reference = make_calls(task, "dyngraph").run
    assert not first_difference(run.results, reference.results, reference.tolerance)


# parts --------------------------------------------------------------------------------------------


def test_differences_between_results():
    one, other = [[np.float32([1.0, 2.0])]], [[np.float32([1.0, 2.00001])]]
    assert first_difference(one, other, 1e-4) == ""
    assert first_difference(one, other, 1e-6) == "call 1 is 2 in place of 2.00001"
    assert "shape (1,)" in first_difference([[np.ones(1)]], [[np.ones(2)]], 0.1)
    assert "2 results" in first_difference([[1, 2]], [[1]], 0.1)
    assert "'a' in place of 'b'" in first_difference([["a"]], [["b"]], 0.1)
    # whole numbers are not rounded
    assert first_difference([[np.array([10_000])]], [[np.array([10_001])]], 0.1)
    nan = [[np.array([np.nan, 1.0])]]
    assert first_difference(nan, nan, 0.0) == ""
    assert first_difference([[np.array([0.0, 1.0])]], nan, 0.1)


def test_lines_of_code_are_those_that_run():
    module = load_module(FOLDER / "kepler.py")
    # the def, eight statements, and the return; not the docstring
    assert code_lines(module.anomaly) == 11
    assert code_lines(len) == 0


def test_examples_are_found_by_name_and_file(tmp_path):
    assert examples_folder() == FOLDER
    assert find_examples(["kepler"]) == [FOLDER / "kepler.py"]
    assert find_examples([str(FOLDER / "kepler.py")], tmp_path) == [FOLDER / "kepler.py"]
    with pytest.raises(WorkloadError, match=r"no example .*keppler"):
        find_examples(["keppler"])
    with pytest.raises(WorkloadError, match="no examples in"):
        find_examples([], tmp_path)
    with pytest.raises(WorkloadError, match="no folder"):
        find_examples([], tmp_path / "nowhere")
    (tmp_path / "empty.py").write_text("")
    with pytest.raises(WorkloadError, match="none of the files"):
        measure_flexibility(folder=tmp_path, peers="none")


def test_without_the_source_tree_it_says_where_the_examples_are(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(
        "sidebyside.studies.flexibility.example.__file__", str(tmp_path / "a/b/c/d/e.py")
    )
    with pytest.raises(WorkloadError, match="not installed") as caught:
        find_examples()
    assert "--examples" in caught.value.fix


def test_the_command_line(tmp_path, capsys):
    (tmp_path / "plain.py").write_text(HEAD + FAKES["plain"])
    path = tmp_path / "found.json"
    options = ["--examples", str(tmp_path), "--peers", "none", "--json", str(path)]
    assert main(["flexibility", *options]) == 0
    assert "dyngraph runs the program" in capsys.readouterr().out
    data = json.loads(path.read_text())
    assert data["columns"] == ["dyngraph", "static", "rewrite"]
    assert data["rows"][0]["cells"][1]["outcome"] == "ran"
    assert data["conclusion"].startswith("Here dyngraph")
    assert main(["flexibility", "nonsense", "--peers", "none"]) == 2
    assert "nonsense" in capsys.readouterr().err
