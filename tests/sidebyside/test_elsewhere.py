"""Results elsewhere: Markdown, data frames, pipes and shells; and what interrupts them."""

import json
import os
import pty
import re
import select
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

import sidebyside as sbs
from sidebyside.cli import main, make_parser
from sidebyside.completion import SHELLS, commands_of, completion
from sidebyside.errors import ArgumentError, MissingPackageError
from sidebyside.own_output import MOST_LINES
from sidebyside.progress import Progress
from sidebyside.results import frame

SHORT = ["--budget", "0.01"]
NOISY = """
import os
import numpy as np

print("imported")

def loud(xp, x):
    print("called")
    os.write(1, b"written\\n")
    return xp.sum(x * x)

def inputs(rng, size):
    return (np.ones(3),)

loud.inputs = inputs
f = loud
"""


@pytest.fixture(scope="module")
def found():
    square = sbs.Workload(lambda xp, x: x * x, lambda rng, size: (np.ones(2),), name="a|b_c")
    branch = sbs.Workload(
        lambda xp, x: x if float(x[0]) > 0 else -x, lambda rng, size: (np.ones(2),), name="branch"
    )
    return sbs.compare([square, branch], budget=0.01)


# Markdown -----------------------------------------------------------------------------------------


def test_markdown_has_what_html_has(found, tmp_path):
    found.to_markdown(tmp_path / "a.md")
    text = (tmp_path / "a.md").read_text()
    assert "### a|b\\_c" in text or "## a|b\\_c" in text
    tables = re.findall(r"(?:^\|.*\|\n)+", text, re.MULTILINE)
    assert len(tables) >= 2
    for table in tables:
        cells = [len(re.findall(r"(?<!\\)\|", line)) for line in table.splitlines()]
        assert len(set(cells)) == 1
        assert re.fullmatch(r"\|( :?-+:? \|)+", table.splitlines()[1])
    assert "```text\n" in text  # the error of the static mode
    assert re.search(r"static: \[SBS-3\d\d\]", text)
    assert "<svg" not in text and "<style" not in text


def test_signs_mean_nothing_in_markdown(tmp_path):
    row = sbs.Row("w", "*not* `bold` <b> [link](x)", "", (sbs.results.comparison.TimedCell("m"),))
    sbs.Comparison((row,), {}).to_markdown(tmp_path / "a.md")
    assert "\\*not\\* \\`bold\\` \\<b> \\[link](x)" in (tmp_path / "a.md").read_text()


# data frames --------------------------------------------------------------------------------------


@pytest.mark.parametrize("library", frame.LIBRARIES)
def test_a_frame_has_the_columns_of_csv(found, library, tmp_path):
    module = pytest.importorskip(library)
    table = found.to_frame(library)
    assert isinstance(table, module.DataFrame)
    found.to_csv(tmp_path / "a.csv")
    assert list(table.columns) == (tmp_path / "a.csv").read_text().splitlines()[0].split(",")
    assert len(table) == 4
    assert list(table["mode"]) == ["dynamic", "static"] * 2
    cell = found.rows[0].cells[1]
    assert table["steady_seconds"][1] == cell.steady.value
    assert table["failure"][3].startswith("[SBS-3")


def test_of_two_libraries_the_first_is_taken_and_without_any_it_is_said(found, monkeypatch):
    there = set()

    class Module:
        def __init__(self, name):
            self.DataFrame = lambda columns: (name, columns)

    monkeypatch.setattr(frame, "find_spec", lambda name: name if name in there else None)
    monkeypatch.setattr(frame, "import_module", Module)
    with pytest.raises(MissingPackageError, match="needs pandas or polars") as caught:
        found.to_frame()
    assert "pip install pandas" in caught.value.fix
    there.add("polars")
    name, columns = found.to_frame()
    assert name == "polars"
    assert columns["mode"] == ["dynamic", "static"] * 2
    with pytest.raises(MissingPackageError, match="needs pandas"):
        found.to_frame("pandas")
    there.add("pandas")
    assert found.to_frame()[0] == "pandas"
    assert found.to_frame("polars")[0] == "polars"
    with pytest.raises(ArgumentError, match="no data frames of modin"):
        found.to_frame("modin")


# what programs print ------------------------------------------------------------------------------


def start(folder, *arguments, **options):
    return subprocess.Popen(
        [sys.executable, "-m", "sidebyside", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=folder,
        text=True,
        **options,
    )


def test_what_a_program_prints_stands_beside_the_report(tmp_path):
    (tmp_path / "noisy.py").write_text(NOISY)
    process = start(tmp_path, "compare", "noisy.py", *SHORT, "--json", "-")
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    assert json.loads(out)["rows"][0]["workload"] == "noisy"
    assert "imported\n" in err and "called\n" in err and "written\n" in err
    assert "which is not shown" in err
    assert err.count("called\n") < MOST_LINES + 1


def test_what_a_program_prints_does_not_run_into_the_progress(monkeypatch, capsys):
    stream = sys.stderr
    monkeypatch.setattr(stream, "isatty", lambda: True, raising=False)
    from sidebyside.own_output import programs_apart

    with programs_apart(), Progress(stream, delay=0) as progress:
        progress("seed: steady state")
        print("hello")
    err = capsys.readouterr().err
    assert re.search(r"steady state\r +\rhello\n$", err)


# at a terminal ------------------------------------------------------------------------------------


AT_ONCE = """
import sys
from sidebyside import cli, progress
progress.Progress.__init__.__defaults__ = (0.0,)  # from the first moment on
sys.exit(cli.main())
"""


def at_a_terminal(folder, *arguments):
    """Run a command whose error stream is a terminal; return its exit code and both streams."""
    ours, theirs = pty.openpty()
    environment = {**os.environ, "COLUMNS": "100"}
    process = subprocess.Popen(
        [sys.executable, "-c", AT_ONCE, *arguments],
        stdout=subprocess.PIPE,
        stderr=theirs,
        cwd=folder,
        env=environment,
    )
    os.close(theirs)
    seen, out = b"", b""
    deadline = time.monotonic() + 120
    streams = [ours, process.stdout.fileno()]
    while streams and time.monotonic() < deadline:
        for stream in select.select(streams, [], [], 1.0)[0]:
            try:
                text = os.read(stream, 65536)
            except OSError:  # the other end of a terminal is closed
                text = b""
            if not text:
                streams.remove(stream)
            elif stream == ours:
                seen += text
            else:
                out += text
    os.close(ours)
    process.stdout.close()
    return process.wait(10), out.decode(), seen.decode()


SLOW = """
import time
import numpy as np
from sidebyside import Workload

def quick(xp, x):
    return x * 2

def slow(xp, x):
    time.sleep(0.02)
    return x * 2

def inputs(rng, size):
    return (np.ones(3),)

quick, slow = Workload(quick, inputs, name="quick"), Workload(slow, inputs, name="slow")
"""


def test_progress_at_a_terminal_says_what_is_measured_and_how_long_it_takes(tmp_path):
    (tmp_path / "mine.py").write_text(SLOW)
    arguments = ("compare", "mine.py:quick", "mine.py:slow", *SHORT, "--json", "-")
    code, out, seen = at_a_terminal(tmp_path, *arguments)
    assert code == 0
    assert [row["workload"] for row in json.loads(out)["rows"]] == ["quick", "slow"]
    assert re.search(r"\r +\d+ s  slow: .*, about \d+ s left", seen)
    assert seen.endswith("\r")  # the line is taken away


# interruptions ------------------------------------------------------------------------------------

ENDLESS = SLOW.replace("time.sleep(0.02)", 'print("BEGUN", flush=True); time.sleep(60)')


@pytest.mark.parametrize(("name", "code"), [("SIGINT", 130), ("SIGTERM", 143)])
def test_a_signal_keeps_and_writes_what_was_measured(tmp_path, name, code):
    (tmp_path / "mine.py").write_text(ENDLESS)
    process = start(
        tmp_path,
        *("compare", "mine.py:quick", "mine.py:slow", *SHORT),
        *("--save", "found.json", "--json", "-"),
    )
    for line in process.stderr:
        if line == "BEGUN\n":
            break
    process.send_signal(getattr(signal, name))
    out, err = process.communicate(timeout=60)
    assert process.returncode == code
    assert "what was measured until then" in err
    loaded = sbs.load(tmp_path / "found.json")
    assert loaded.environment["interrupted"] is True
    assert [row.workload for row in loaded.rows] == ["quick"]
    assert json.loads(out) == loaded.to_data()
    assert "Interrupted: this is what was measured until then." in " ".join(str(loaded).split())


REPLICATED = """
import os, pathlib, time
import numpy as np

HERE = pathlib.Path(os.path.abspath("."))

def make():
    at = HERE / "starts"
    with at.open("a") as file:
        file.write(f"{os.getpid()}\\n")
    if len(at.read_text().split()) > 6:  # the second replicate
        (HERE / "BEGUN").touch()
        time.sleep(60)
    return lambda: np.ones(3)

VARIANTS = {"one": make}
"""


def test_a_signal_between_processes_keeps_whole_replicates_and_ends_all(tmp_path):
    (tmp_path / "mine.py").write_text(REPLICATED)
    options = ("--budget", "0.1", "--replicates", "6", "--save", "found.json")
    process = start(tmp_path, "compare", "mine.py:VARIANTS", *options)
    deadline = time.monotonic() + 120
    while not (tmp_path / "BEGUN").exists():
        assert time.monotonic() < deadline and process.poll() is None
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)
    assert process.returncode == 130
    (row,) = sbs.load(tmp_path / "found.json").rows
    assert 1 <= row.replicates < 6
    assert len(row.cells[0].replicates) == row.replicates
    started = {int(pid) for pid in (tmp_path / "starts").read_text().split()}
    assert not [pid for pid in started if os.path.exists(f"/proc/{pid}")]


# completion ---------------------------------------------------------------------------------------


def completed(*words):
    """Return what bash completes."""
    program = completion(make_parser(), "bash")
    listed = " ".join(f"'{word}'" for word in words)
    script = (
        f"{program}\nCOMP_WORDS=({listed})\nCOMP_CWORD={len(words) - 1}\n_sidebyside\n"
        'printf "%s\\n" "${COMPREPLY[@]}"'
    )
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=True)
    assert done.stderr == ""
    return done.stdout.split()


@pytest.mark.skipif(shutil.which("bash") is None, reason="there is no bash")
def test_bash_completes_commands_options_and_names():
    assert completed("sidebyside", "comp") == ["compare"]
    assert completed("sidebyside", "compare", "lay") == ["layernorm_softmax"]
    assert completed("sidebyside", "compare", "seed", "--fail") == ["--fail-if-slower"]
    assert completed("sidebyside", "compare", "--modes", "dyn") == ["dynamic"]
    assert completed("sidebyside", "compare", "--modes", "dynamic,num") == ["dynamic,numpy"]
    assert completed("sidebyside", "compare", "--budget", "") == []
    assert completed("sidebyside", "--completion", "z") == ["zsh"]


@pytest.mark.parametrize("shell", SHELLS)
def test_every_option_of_every_command_is_completed(shell):
    text = completion(make_parser(), shell)
    for name, (_, arguments) in commands_of(make_parser()).items():
        assert name in text
        for argument in arguments:
            for option in argument.names:
                assert (f"-l {option[2:]} " if shell == "fish" else option) in text or (
                    shell == "fish" and f"-s {option[1:]} " in text
                )
    if shutil.which(shell) is not None:
        done = subprocess.run([shell, "-n", "/dev/stdin"], input=text, text=True, check=False)
        assert done.returncode == 0


def test_the_command_line_prints_it(capsys):
    assert main(["--completion", "fish"]) == 0
    assert capsys.readouterr().out == completion(make_parser(), "fish")
