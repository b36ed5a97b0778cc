"""Tests of the pytest plugin, each in a pytest of its own."""

import json
import os
import subprocess
import sys

import pytest

pytest.importorskip("pytest_benchmark")

PROGRAM = """
import numpy as np
import pytest

X, W = np.ones((4, 3), "float32"), np.ones((3, 2), "float32")

def layer(xp, x, w):
    return xp.sum(xp.tanh(x @ w))

def by_value(xp, x):
    return x * 2 if float(xp.sum(x)) > 0 else x
"""


def test_pytest_starts_without_the_library(tmp_path, run_python):
    """It is loaded with every pytest beside which sidebyside is installed."""
    (tmp_path / "test_other.py").write_text(
        "import sys\ndef test():\n    assert not {'numpy', 'oplibrary'} & set(sys.modules)\n"
    )
    done = run_python("-m", "pytest", "-p", "pytest_sidebyside", "-q", cwd=tmp_path)
    assert "1 passed" in done.stdout, done.stdout


@pytest.fixture
def run(tmp_path, run_python):
    """Return a function that runs pytest on a program, and gives the outcome and the entries."""

    def of(tests, *arguments):
        (tmp_path / "test_mine.py").write_text(PROGRAM + tests)
        done = run_python(
            *("-m", "pytest", "-p", "pytest_sidebyside", "-q", "-rA", "test_mine.py"),
            *("--benchmark-json=out.json", "--benchmark-max-time=0.01", "--benchmark-min-rounds=3"),
            *arguments,
            cwd=tmp_path,
        )
        written = tmp_path / "out.json"
        text = written.read_text() if written.exists() else ""
        return done, json.loads(text)["benchmarks"] if text else []

    return of


@pytest.fixture
def run_python():
    """Return a function that runs Python with some arguments."""
    # a pytest that runs tests side by side measures nothing, and says so to those below it
    alone = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}

    def of(*arguments, cwd):
        return subprocess.run(
            [sys.executable, *arguments],
            cwd=cwd,
            env=alone,
            capture_output=True,
            text=True,
            timeout=300,
        )

    return of


def test_a_test_is_a_group_with_an_entry_a_mode(run):
    done, entries = run(
        """
@pytest.mark.side_by_side(starts=True)
def test_step(side_by_side):
    loss, gradient = side_by_side(layer, X, W, wrt=(1,))
    assert gradient.shape == W.shape

@pytest.mark.parametrize("rows", [2, 3])
def test_rows(side_by_side, rows):
    side_by_side(layer, X[:rows], W)
""",
        "--side-by-side-modes=dynamic,static,static:interpret",
    )
    assert done.returncode == 0, done.stdout + done.stderr
    groups = {}
    for entry in entries:
        groups.setdefault(entry["group"].partition("::")[2], []).append(entry)
    assert {name: len(group) for name, group in groups.items()} == {
        "test_step": 3,
        "test_step (first result)": 3,
        "test_rows[rows=2]": 3,
        "test_rows[rows=3]": 3,
    }
    modes = [entry["extra_info"]["mode"] for entry in groups["test_step"]]
    assert modes == ["dynamic", "static", "static:interpret"]
    static = groups["test_step"][1]["extra_info"]
    assert set(static["build"]) >= {"trace", "passes"}
    assert static["nodes"] > 4 and static["bytes"] > 100 and static["planned_bytes"] > 0
    assert static["break_even"] is None or static["break_even"] >= 1
    assert static["first_result"] > 0
    assert "break_even" not in groups["test_step"][0]["extra_info"]
    start = groups["test_step (first result)"][1]
    assert (
        start["stats"]["rounds"] == 9
        and start["stats"]["min"] > groups["test_step"][1]["stats"]["min"]
    )


def test_what_a_mode_refuses_or_computes_wrong_fails_unless_marked(run):
    done, _ = run(
        """
def test_refused(side_by_side):
    side_by_side(by_value, X)

@pytest.mark.side_by_side(refused="static")
def test_expected(side_by_side):
    side_by_side(by_value, X)

@pytest.mark.side_by_side(refused="static")
def test_runs_after_all(side_by_side):
    side_by_side(layer, X, W)

def test_differs(side_by_side):
    calls = []
    def impure(xp, x):
        calls.append(1)
        return x * len(calls)
    side_by_side(impure, X)

def test_nothing(side_by_side):
    pass

@pytest.mark.side_by_side(modes="numpy,dynamic")
def test_other_modes(side_by_side):
    side_by_side(layer, X, W)
"""
    )
    assert done.returncode == 1
    lines = [line for line in done.stdout.splitlines() if line.split(" ")[0].isupper()]
    outcome = {
        line.split("::")[1].split(" ")[0]: line.split(" ")[0] for line in lines if "::" in line
    }
    assert outcome == {
        "test_refused[dynamic]": "PASSED",
        "test_refused[static]": "FAILED",
        "test_expected[dynamic]": "PASSED",
        "test_expected[static]": "XFAIL",
        "test_runs_after_all[dynamic]": "PASSED",
        "test_runs_after_all[static]": "FAILED",
        "test_differs[dynamic]": "PASSED",
        "test_differs[static]": "FAILED",
        "test_nothing[dynamic]": "ERROR",
        "test_nothing[static]": "ERROR",
        "test_other_modes[numpy]": "PASSED",
        "test_other_modes[dynamic]": "PASSED",
    }
    assert "static and dynamic disagree" in done.stdout
    assert "[SBS-302]" in done.stdout and "def check_agreement" not in done.stdout
    assert "static is marked as refusing this program, and runs it" in done.stdout
    assert "the test never called side_by_side" in done.stdout


@pytest.mark.parametrize(
    ("marker", "said"),
    [
        ("modes='statics'", "statics"),
        ("refused='statics'", "statics"),
        ("mode='static'", "the marker is side_by_side(modes=..., refused=..., starts=False)"),
    ],
)
def test_a_marker_that_is_wrong_is_told_so(run, marker, said):
    done, entries = run(
        f"""
@pytest.mark.side_by_side({marker})
def test_step(side_by_side):
    side_by_side(layer, X, W)
"""
    )
    assert done.returncode not in (0, 1) and said in done.stdout + done.stderr
    assert not entries


def test_a_slower_run_fails_by_pytest_benchmarks_own_means(run):
    tests = """
def test_step(side_by_side):
    side_by_side(layer, X, W, wrt=(1,))
"""
    done, _ = run(tests, "--benchmark-autosave")
    assert done.returncode == 0
    done, _ = run(tests, "--benchmark-compare", "--benchmark-compare-fail=min:100000%")
    assert done.returncode == 0, done.stdout
    assert "test_step[static]" in done.stdout


def test_without_benchmarks_results_are_checked_all_the_same(run):
    done, entries = run(
        """
def test_step(side_by_side):
    assert len(side_by_side(layer, X, W, wrt=(0, 1))) == 3
""",
        "--benchmark-disable",
    )
    assert done.returncode == 0 and "2 passed" in done.stdout and not entries


def test_calls_that_measure_nothing_fail_by_one_message(run):
    done, entries = run(
        """
def test_integer(side_by_side):
    side_by_side(layer, X, W, wrt=1)

def test_twice(side_by_side):
    for _ in range(2):
        side_by_side(layer, X, W)

def test_text(side_by_side):
    side_by_side(lambda xp, x: "text", X)

def test_nothing(side_by_side):
    side_by_side(lambda xp, x: None, X)

def test_list(side_by_side):
    side_by_side(layer, [1.0], W)

def test_skipped(side_by_side):
    pytest.skip("later")

def test_wrong(side_by_side):
    side_by_side(layer, X, W, unknown=1)

def test_no_benchmark():
    pass
""",
        "--benchmark-only",
        "--side-by-side-modes=dynamic",
    )
    assert "1 passed, 2 skipped" in done.stdout and "5 failed" in done.stdout, done.stdout
    assert "error" not in done.stdout.splitlines()[-1]
    for said in (
        "was called twice",
        "no array of numbers, but 'text'",
        "returns nothing",
        "a float",
    ):
        assert said in done.stdout
    assert "def make_inputs" not in done.stdout
    assert [entry["name"] for entry in entries][:1] == ["test_integer[dynamic]"]


def test_an_empty_list_of_modes_is_refused(run):
    done, _ = run("def test(side_by_side): pass", "--side-by-side-modes=")
    assert "no modes; name some" in done.stdout and "pluggy" not in done.stdout
