"""The commands that measure, and what they are asked for besides: sweeps, checks, trials."""

import json
import math
import os
import shutil
import signal
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

import sidebyside as sbs
from oplibrary.messages.errors import ArgumentError, MissingPackageError
from sidebyside.cli import main
from sidebyside.measuring.statistics import Estimate
from sidebyside.measuring_commands import sweep_of
from sidebyside.results.cell import Failure
from sidebyside.results.comparison import Check, Comparison, Row, TimedCell
from sidebyside.results.decision import decide_from
from sidebyside.studies import calibration, comparison
from sidebyside.studies.explaining import instructions
from sidebyside.studies.subject import subject_of

ABOUT = {"python": "", "versions": {}, "system": "", "cores": 2, "threads": 2, "load": None}
SHORT = ["--budget", "0.01", "--replicates", "2"]
MINE = """
import numpy as np

def model(x, w):
    return np.tanh(x @ w)

example = (np.ones((4, 4)), np.ones((4, 4)))

def make_inputs():
    return example

def drawn(rng, size):
    return rng.random((2, 2)), np.ones((2, 2))

def leaves(x, w):
    raise SystemExit(3)

def says(x, w):
    return "hello"

VARIANTS = {"twice": lambda: lambda: np.ones(3) * 2, "sum": lambda: lambda: np.ones(3) + 1}
"""


@pytest.fixture
def run(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.py").write_text(MINE)

    def call(*arguments):
        code = main(list(arguments))
        return code, *capsys.readouterr()

    return call


@pytest.mark.parametrize("inputs", ["example", "make_inputs", "drawn"])
def test_decide_takes_a_tuple_or_a_function_that_returns_one(run, inputs):
    code, out, _ = run("decide", "mine.py:model", "--inputs", f"mine.py:{inputs}", *SHORT)
    assert code == 0
    assert out.startswith("Undecided: all was measured in one process")
    assert "static:native" in out


def test_decide_names_what_is_missing(run):
    assert "names nothing in a file" in run("decide", "mine.py")[2]
    assert "did you mean 'model'?" in run("decide", "mine.py:modle")[2]


def test_decide_finds_inputs_in_the_programs_own_file_and_workloads_by_name(run):
    code, out, _ = run("decide", "mine.py:model", "--inputs", "example", *SHORT)
    assert code == 0
    assert "static:native" in out
    code, out, _ = run("decide", "seed", *SHORT, "--modes", "dynamic,static")
    assert code == 0
    assert "forward and both gradients" in out


def test_a_program_without_its_inputs_is_refused_with_what_it_takes(run):
    code, _, error = run("decide", "mine.py:model")
    assert code == 2
    assert "model(x, w) was given no inputs: missing a required argument: 'x'" in error
    assert "--inputs FILE.py:NAME" in error
    assert "Traceback" not in error
    code, _, error = run("compare", "mine.py:model")
    assert code == 2
    assert "sidebyside decide mine.py:model --inputs NAME" in error


def test_a_reference_without_py_is_told_how_it_is_written(run):
    assert "fix: write mine.py:model" in run("decide", "mine:model")[2]
    assert "fix: write mine.py:name" in run("decide", "mine.py:")[2]


@pytest.mark.parametrize(
    ("option", "said"),
    [
        ("--budget=-1", "a budget of -1.0 seconds"),
        ("--budget=nan", "a budget of nan seconds"),
        ("--time-limit=0", "a time_limit of 0.0 seconds"),
        ("--replicates=-1", "-1 replicates"),
        ("--budget=inf", "a budget of inf seconds"),
        ("--run-limit=nan", "a run_limit of nan seconds"),
    ],
)
@pytest.mark.parametrize(
    "program", [("decide", "mine.py:model", "--inputs", "example"), ("compare", "mine.py:VARIANTS")]
)
def test_amounts_that_are_none_are_refused(run, program, option, said):
    code, out, error = run(*program, option)
    assert (code, out) == (2, "")
    assert said in error
    assert "Traceback" not in error and "<string>" not in error


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("calibrate", "--trials", "0"), "0 trials"),
        (("flexibility", "--timeout", "0"), "a timeout of 0.0 seconds"),
        (("flexibility", "--timeout", "-1"), "a timeout of -1.0 seconds"),
        (("flexibility", "--timeout", "nan"), "a timeout of nan seconds"),
    ],
)
def test_nothing_is_begun_that_could_not_end(run, arguments, said):
    code, out, error = run(*arguments)
    assert (code, out) == (2, "")
    assert said in error and "Traceback" not in error


def test_a_dict_has_its_own_modes_and_no_sizes(run):
    code, out, _ = run("compare", "mine.py:VARIANTS", *SHORT, "--modes", "sum", "--json", "-")
    assert [cell["mode"] for cell in json.loads(out)["rows"][0]["cells"]] == ["sum"]
    code, _, error = run("compare", "mine.py:VARIANTS", *SHORT, "--modes", "som")
    assert code == 2 and "did you mean 'sum'?" in error
    code, _, error = run("compare", "mine.py:VARIANTS", *SHORT, "--size", "3")
    assert code == 2 and "no sizes of steps without arguments" in error


def test_what_no_mode_can_run_is_a_failure(run):
    code, _, error = run("decide", "mine.py:leaves", "--inputs", "example", "--quick")
    assert code == 1
    assert "raise SystemExit(3)" in error
    code, _, error = run("decide", "mine.py:says", "--inputs", "example", *SHORT)
    assert code == 2
    assert "no array of numbers, but 'hello'" in error
    crashed = TimedCell("numpy", Failure("crashed", "ended with exit code 7"))
    other = TimedCell("static", Failure("crashed", "ended by SIGSEGV"))
    for cells, said in (
        ((crashed, replace(crashed, mode="static")), "run the program: ended with exit code 7."),
        ((crashed, other), "each says which"),
    ):
        found = decide_from(Comparison((Row("model", "", "", cells),), ABOUT), "NumPy", None)
        assert found.comparison.fails
        assert said.replace("which", "why") in found.sentence


def test_compare_takes_variants_and_writes_json_to_the_standard_output(run):
    code, out, _ = run("compare", "mine.py:VARIANTS", *SHORT, "--json", "-")
    assert code == 0
    cells = json.loads(out)["rows"][0]["cells"]
    assert [cell["mode"] for cell in cells] == ["twice", "sum"]


def test_a_sweep_is_even_on_a_log_axis():
    assert sweep_of("size=1:1e3") == ("size", [1, 10, 100, 1000])
    assert sweep_of("size=1:1e7")[1][-1] == 10_000_000
    assert sweep_of("depth=2,3,20") == ("depth", [2, 3, 20])
    wrong = "size size=10:1 size=a:b size=0:10 size=1:2:3:4 =1:10 a-b=1,2 size=1e-3,1 size=0.5:2"
    wrong += " size=1:9:1e9 size=1:1e30"
    for text in f"{wrong} rate=0,1 rate=-1 rate=nan rate=inf rate=1:2:0.5 rate=1:inf rate=".split():
        with pytest.raises(ArgumentError, match="names no values"):
            sweep_of(text)


def test_a_parameter_may_be_a_fraction():
    assert sweep_of("rate=1e-5") == ("rate", [1e-5])
    assert sweep_of("rate=1,0.25") == ("rate", [1, 0.25])
    assert sweep_of("rate=1e-3:1") == ("rate", [0.001, 0.01, 0.1, 1.0])
    assert sweep_of("rate=0.1:0.2:2") == ("rate", [0.1, 0.2])

    def scaled(xp, x, *, rate=1.0):
        return x * rate

    workload = sbs.Workload(scaled, lambda rng, size: (np.ones(3),))
    found = sbs.compare(workload, sweep=("rate", (1e-5, 0.5)), budget=0.01, replicates=0)
    assert [row.amount for row in found.rows] == [1e-5, 0.5]
    assert [row.label for row in found.rows] == ["scaled rate 1e-05", "scaled rate 0.5"]
    assert "rate 0.5" in str(found)


def test_a_parameter_of_a_program_is_swept_by_its_name(run):
    arguments = ["compare", "chain", "--size", "3", "--json", "-", *SHORT]
    code, _, said = run(*arguments, "--sweep", "size=1:10")
    assert code == 2 and "each says which sizes are measured" in said
    code, out, _ = run(*arguments, "--sweep", "depth=1,5")
    assert code == 0
    rows = json.loads(out)["rows"]
    assert [(row["parameter"], row["size"]) for row in rows] == [("depth", "1"), ("depth", "5")]
    operations = [row["cells"][0]["work"]["operations"] for row in rows]
    assert operations == [2 * 1, 2 * 5]
    moved = [row["cells"][0]["work"]["bytes"] for row in rows]
    assert moved[0] == 4 * (3 + 1 + 3) + 4 * (3 + 3)  # of three numbers each
    code, out, _ = run("compare", "chain", "--sweep", "depth=1,5", *SHORT)
    assert "chain depth 5: 20-op tanh chain" in out
    code, _, said = run("compare", "chain", "--sweep", "dept=1,5", *SHORT)
    assert code == 2
    assert "no parameter 'dept'; did you mean 'depth'?" in said


def test_a_parameter_may_be_one_of_the_inputs_or_of_both():
    def program(xp, x, *, times=1):
        return x * times

    def inputs(rng, size, *, times=1):
        return (np.ones(times),)

    workload = sbs.Workload(program, inputs)
    assert workload.parameters() == ("times",)
    chosen = workload.with_parameter("times", 3)
    assert chosen.function(np, *chosen.make_inputs(None)).tolist() == [3.0, 3.0, 3.0]
    row = sbs.compare(workload, sweep=("times", (2, 3)), budget=0.1, replicates=0).rows[1]
    assert (row.label, row.parameter) == ("program times 3", "times")
    with pytest.raises(ArgumentError, match="no times of steps"):
        sbs.compare({"a": lambda: lambda: np.ones(2)}, sweep=("times", (1, 2)))


def swept(ratios):
    rows = []
    for size, value in ratios.items():
        ratio = Estimate(value, value / 1.1, value * 1.1, 0.99, 8)
        cells = (TimedCell("dynamic"), TimedCell("static", ratio=ratio))
        rows.append(Row("chain", "", f"{size:,}", cells, "dynamic", several=True))
    return Comparison(tuple(rows), ABOUT)


def test_a_sweep_finds_where_modes_change_places():
    (found,) = swept({1: 10.0, 100: 0.1, 10_000: 0.01}).crossings
    assert found.size == pytest.approx(10)
    assert found.low < 10 < found.high
    assert found.faster
    assert not swept({1: 0.5, 100: 0.1}).crossings
    text = str(swept({1: 10.0, 100: 0.1}))
    assert "chain: static is faster than dynamic from size 10 on (9.09 to 11)." in text


def test_checks_are_said():
    checks = (Check("static", 50, 2.0, 1.0, True), Check("static", 200, 2.0, 1.0, False))
    checks = (*checks, Check("static", 99, 2.0, 1.0, False, within=True))
    row = Row("w", "", "", (TimedCell("dynamic"),), "dynamic", checks=checks)
    text = " ".join(str(Comparison((row,), ABOUT)).split())
    assert "50 calls from a cold start take 2.00 s in static and 1.00 s in dynamic, as" in text
    assert "which the break-even does not say" in text
    assert "which its interval leaves open" in text


def test_instructions_that_say_something_else_than_time_are_explained():
    cells = (
        TimedCell("dynamic", instructions=1000.0),
        TimedCell("static", ratio=Estimate(0.5, 0.4, 0.6, 0.99, 8), instructions=2000.0),
    )
    text = " ".join(str(Comparison((Row("w", "", "", cells, "dynamic"),), ABOUT)).split())
    assert "static runs 2,000 instructions a call, 2.00x: time says faster" in text
    assert "cachegrind ran other machine code" in text


def test_without_valgrind_instructions_are_refused_before_anything_is_measured(monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(MissingPackageError, match="needs valgrind"):
        sbs.compare({"a": lambda: lambda: np.ones(2)}, budget=0.01, instructions=True)


def test_counts_are_those_of_the_calls(monkeypatch):
    monkeypatch.setattr(instructions, "_run", lambda path, calls, limit: 1_000_000 + 10 * calls)
    subject = subject_of({"a": lambda: lambda: np.ones(2)})
    assert instructions.count_instructions(subject, "a", 1e-3) == 10.0


def test_an_interruption_writes_what_was_measured(run, monkeypatch, tmp_path):
    partial = swept({1: 10.0})

    def interrupted(*_, **__):
        interrupt = KeyboardInterrupt()
        interrupt.partial = partial
        raise interrupt

    monkeypatch.setattr(comparison, "compare", interrupted)
    code, out, err = run("compare", "chain", "--json", "found.json")
    assert code == 130
    assert "chain" in out
    assert "what was measured until then" in err
    assert json.loads((tmp_path / "found.json").read_text())["rows"][0]["workload"] == "chain"


def test_a_request_to_end_is_an_interruption(run, monkeypatch):
    monkeypatch.setattr(
        comparison, "compare", lambda *_, **__: os.kill(os.getpid(), signal.SIGTERM)
    )
    before = signal.getsignal(signal.SIGTERM)
    assert run("compare", "chain")[0] == 143
    assert signal.getsignal(signal.SIGTERM) is before


# trials -------------------------------------------------------------------------------------------


def trial(planted, seed, budget, replicates):
    verdict = "slower" if planted else "no difference"
    return {"planted": planted, "seed": seed, "verdict": verdict, "seconds": 2.0, "visible": 0.01}


def test_trials_are_resumed_and_their_rates_have_intervals(tmp_path, monkeypatch):
    made = []

    def counted(*arguments):
        made.append(arguments)
        return trial(*arguments)

    monkeypatch.setattr(calibration, "make_trial", counted)
    path = tmp_path / "trials.jsonl"
    calibration.calibrate(path, 2, planted=[0.0, 0.01], busy=[0])
    assert len(made) == 4
    path.write_text(path.read_text() + '{"cut off')
    alone, found = calibration.calibrate(path, 3, planted=[0.0, 0.01], busy=[0])
    assert len(made) == 6
    assert len(path.read_text().splitlines()) == 6
    assert (alone.found, alone.trials, found.found) == (0, 3, 3)
    assert "false alarms alone: 0 of 3, 0.0% (95%: 0.0% to 70.8%)" in str(alone)
    assert "0.01 more work found alone: 3 of 3" in str(found)
    calibration.calibrate(path, 1, planted=[0.0], busy=[0], budget=9.0)
    assert len(made) == 7  # others settings are trials of another kind


@pytest.mark.parametrize(
    "line", ['"x"', '{"planted": "x"}', '{"planted": 0, "busy": [], "verdict": "", "seconds": 1}']
)
def test_a_line_that_is_no_trial_is_refused_wherever_the_damage_is(tmp_path, line):
    whole = {"planted": 0, "busy": 0, "verdict": "", "seconds": 1, "visible": None}
    for first in (line, "\\xff"):
        (tmp_path / "trials").write_text(f"{first}\n{json.dumps(whole)}\n")
        with pytest.raises(ArgumentError, match="line 1 of"):
            calibration.calibrate(tmp_path / "trials", 1)
        assert (tmp_path / "trials").read_text().startswith(first)


@pytest.mark.parametrize("option", [["--planted", "x"], ["--planted", "-1"], ["--busy", "1,x"]])
def test_kinds_of_trials_that_are_none_are_refused(run, option):
    with pytest.raises(SystemExit) as caught:
        run("calibrate", *option)
    assert caught.value.code == 2


def test_a_file_of_something_else_is_refused(tmp_path):
    path = tmp_path / "other.jsonl"
    path.write_text('{"a": 1}\n{"b": 2}\n')
    with pytest.raises(ArgumentError, match="line 1 of .* is no trial"):
        calibration.calibrate(path, 1)
    assert path.read_text() == '{"a": 1}\n{"b": 2}\n'


def test_a_trial_is_a_comparison_with_a_program_of_more_work(monkeypatch):
    compared = []

    def noted(variants, **options):
        compared.append(variants)
        return comparison.compare(variants, **options)

    monkeypatch.setattr(calibration, "compare", noted)
    found = calibration.make_trial(0.5, 0, 0.02, 0)
    assert found["planted"] == 0.5
    low, ratio, high = found["ratio"]
    assert 0 < low <= ratio <= high < math.inf
    assert math.isfinite(found["seconds"])
    steps = {name: make() for name, make in compared[0].items()}
    additions, counts = [], {}
    counting = SimpleNamespace(add=lambda x, y, out: additions.append(1))
    monkeypatch.setattr(calibration, "np", counting)
    for name, step in steps.items():
        additions.clear()
        step()
        counts[name] = len(additions)
    assert counts["again"] == 1.5 * counts["program"] > 0


def test_busy_processes_end_with_their_block():
    with calibration.busy_processes(1):
        pass
    assert calibration.rates_of([{**trial(0.0, 0, 1, 1), "busy": 1}])[0].trials == 1
