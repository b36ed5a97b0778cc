"""The command line: what it prints, its exit codes, and that no traceback of ours is shown."""

import csv
import io
import json
import os
import re
import subprocess
import sys
import xml.etree.ElementTree as ElementTree

import networkx as nx
import pytest

import sidebyside
from sidebyside.cli import main, parse_size
from sidebyside.progress import Progress
from sidebyside.studies import comparison, pairing

QUICK = ["--budget", "0.02"]

PROGRAM = """
import numpy as np
from sidebyside import Workload

def layer(xp, x, w):
    return xp.sum(xp.tanh(x @ w))

def inputs(rng, size):
    return np.ones((4, 3), np.float32), np.ones((3, 2), np.float32)

one = Workload(layer, inputs, wrt=(1,), name="one")
two = Workload(layer, inputs, name="two", title="forward only")
"""

BARE = """
import numpy as np

wrt = [0]
sizes = [2, 3]

def f(xp, x):
    return xp.sum(x * x)

def inputs(rng, size):
    return np.ones(size, np.float32)
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    return tmp_path


@pytest.fixture
def run(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "120")  # whatever the terminal, and however long the intervals

    def run(*arguments):
        code = main([str(each) for each in arguments])
        printed = capsys.readouterr()
        return code, printed.out, printed.err

    return run


def refused(run, *arguments):
    """Return the message of a command that must be refused without a traceback or results."""
    code, out, err = run(*arguments)
    assert code == 2
    assert out == ""
    assert "Traceback" not in err
    assert err.startswith("[SBS-")
    return err


# commands -----------------------------------------------------------------------------------------


def test_without_a_command_there_is_help(run):
    code, out, _ = run()
    assert code == 0
    assert "sidebyside table" in out


def test_version_is_that_of_the_distribution(capsys):
    from importlib.metadata import version

    with pytest.raises(SystemExit) as caught:
        main(["--version"])
    assert caught.value.code == 0
    assert capsys.readouterr().out == f"sidebyside {sidebyside.__version__}\n"
    assert sidebyside.__version__ == version("sidebyside")


def test_list_has_workloads_and_modes(run):
    code, out, _ = run("list")
    assert code == 0
    for name in ("seed", "lstm_text", "static:interpret", "torch.compile"):
        assert f"\n  {name}" in out


def test_compare_writes_what_it_prints(run, folder):
    code, out, _ = run("compare", "seed", *QUICK, "--json", "a.json", "--csv", "a.csv")
    assert code == 0
    assert "seed: (x+w)*(w+1)" in out
    assert "static is" in out or "static and dynamic do not differ" in out
    data = json.loads((folder / "a.json").read_text())
    assert [cell["mode"] for cell in data["rows"][0]["cells"]] == ["dynamic", "static"]
    rows = list(csv.DictReader((folder / "a.csv").read_text().splitlines()))
    assert rows[1]["largest_ulp"] == "0.0"
    assert sorted(os.listdir(folder)) == ["a.csv", "a.json"]


def test_compare_writes_one_html_file(run, folder):
    assert run("compare", "seed", *QUICK, "--html", "a.html")[0] == 0
    text = (folder / "a.html").read_text()
    assert text.startswith("<!DOCTYPE html>")
    assert "seed: (x+w)*(w+1)" in text
    assert text.count('<section class="graph"') == 2  # as declared, and after the passes
    addresses = set(re.findall(r"https?://[^\"' ]+", text))
    assert addresses == {"http://www.w3.org/2000/svg"}  # nothing is fetched


def test_trace_writes_a_timeline(run, folder):
    code, out, _ = run("trace", "seed", "-o", "a.json")
    assert code == 0
    assert out.startswith("wrote a.json")
    events = json.loads((folder / "a.json").read_text())["traceEvents"]
    assert {"MulBackward0", "fuse_elementwise"} <= {each["name"] for each in events}


def test_a_narrow_terminal_gets_lines_that_fit(run, monkeypatch):
    monkeypatch.setenv("COLUMNS", "60")
    code, out, _ = run("compare", "seed", "control_flow", *QUICK)
    assert code == 0
    assert max(map(len, out.splitlines())) <= 60
    assert "static: a call" in out
    assert "[SBS-301]" in out
    assert "^^^" not in out  # marks below a line that was wrapped point nowhere


def test_compare_takes_modes_and_sizes(run):
    code, out, _ = run(
        "compare", "chain", "--modes", "dynamic, numpy", "--size", "7", "--size", "1,000", *QUICK
    )
    assert code == 0
    assert "chain 7:" in out
    assert "chain 1,000:" in out
    assert "│ numpy " in out


def test_compare_attributes_the_gain_to_passes(run):
    code, out, _ = run("compare", "seed", "--attribute", *QUICK)
    assert code == 0
    assert "Where static comes from: " in out
    assert "│ simplify_algebra " in out
    assert "│ a call of nothing " in out


def test_show_prints_both_graphs(run):
    code, out, _ = run("show", "seed")
    assert code == 0
    assert "dynamic: 3 operations recorded" in out
    assert "%4 = MulBackward0(%2, %3)  float32[1]  # seed.py:" in out
    assert "static, as declared: 6 instructions" in out
    assert "static, after the passes: 4 instructions" in out
    assert "simplify_algebra (6 → 4)" in out


def test_show_prints_the_error_of_what_static_refuses(run):
    code, out, _ = run("show", "control_flow")
    assert code == 0
    assert "MaxBackward0" not in out  # a comparison passes no gradient
    assert "[SBS-301]" in out
    assert "numbers declared at control_flow.py:14: def control_flow(" in out


def test_show_imports_a_program_of_a_file(run, folder):
    pytest.importorskip("jax")
    (folder / "models.py").write_text(
        "import jax.numpy as jnp\n"
        "def model(x): return jnp.tanh(x) * 2\n"
        "def example(rng): return rng.normal(size=3).astype('float32')\n"
    )
    named = ["models.py:model", "--inputs", "models.py:example"]
    code, out, _ = run("show", *named)
    assert code == 0 and "dynamic" not in out
    assert "%0 = tanh(x0)" in out and "# models.py:2" in out
    code, out, _ = run("show", *named, "-o", "model.svg")
    assert out.startswith("wrote model.svg: static, as declared: 2 instructions; static, after")
    assert (folder / "model.svg").is_file()
    code, _, errors = run("show", "seed", "--inputs", "models.py:example")
    assert code == 2 and "a workload makes its own" in errors


def names_of(path):
    text = path.read_text()
    if path.suffix == ".svg":
        root = ElementTree.fromstring(text)
        return [node.text for node in root.iter("{http://www.w3.org/2000/svg}title")]
    if path.suffix == ".graphml":
        return list(nx.parse_graphml(text))
    if path.suffix == ".json":
        return list(nx.node_link_graph(json.loads(text), edges="edges"))
    return text.splitlines()


@pytest.mark.parametrize("suffix", ["svg", "dot", "mmd", "graphml", "json"])
def test_show_draws_all_three_graphs(run, folder, suffix):
    code, out, _ = run("show", "seed", "-o", f"seed.{suffix}")
    assert code == 0
    assert out.startswith(f"wrote seed.{suffix}: dynamic: 3 operations recorded; static, as decl")
    names = names_of(folder / f"seed.{suffix}")
    assert sum("MulBackward0" in name or "dynamic/%4" in name for name in names) == 1
    operations = ("add", "multiply")
    if suffix in ("graphml", "json"):
        assert sum("/%" in name for name in names) == 3 + 6 + 4
    else:
        found = [name for name in names if any(f"{op}" in name for op in operations)]
        assert len(found) >= 6 + 4


def test_identifiers_of_the_drawings_do_not_clash(run, folder):
    run("show", "seed", "-o", "seed.svg")
    root = ElementTree.parse(folder / "seed.svg").getroot()
    ids = [node.get("id") for node in root.iter() if node.get("id")]
    assert len(ids) == len(set(ids)) == 3
    run("show", "seed", "-o", "seed.dot")
    lines = (folder / "seed.dot").read_text().splitlines()
    nodes = [line.split(" [")[0].strip() for line in lines if "tooltip" in line]
    assert len(nodes) == len(set(nodes))
    used = {end.strip(" ;") for line in lines if "->" in line for end in line.split("->")}
    assert used <= set(nodes)


# a user's own file --------------------------------------------------------------------------------


def test_a_file_may_have_several_workloads(run, folder):
    (folder / "mine.py").write_text(PROGRAM)
    code, out, _ = run("compare", "mine.py", *QUICK)
    assert code == 0
    assert "one\n" in out
    assert "two: forward only\n" in out
    code, out, _ = run("compare", "mine.py:two", *QUICK)
    assert "one\n" not in out
    assert not (folder / "__pycache__").exists()


def test_a_file_may_have_two_functions_only(run, folder):
    (folder / "bare.py").write_text(BARE)
    code, out, _ = run("compare", "bare.py", *QUICK)
    assert code == 0
    assert "bare 2\n" in out
    assert "bare 3\n" in out


def test_a_drawing_is_of_one_workload(run, folder):
    (folder / "mine.py").write_text(PROGRAM)
    err = refused(run, "show", "mine.py", "-o", "mine.svg")
    assert "choose one, such as mine.py:one" in err
    assert run("show", "mine.py:one", "-o", "mine.svg")[0] == 0
    assert run("show", "mine.py")[0] == 0


def test_a_file_of_a_package_may_import_relatively(run, folder):
    inner = folder / "outer" / "inner"
    inner.mkdir(parents=True)
    for each in (inner, inner.parent):
        (each / "__init__.py").write_text("")
    (inner.parent / "neighbour_above.py").write_text("def twice(x): return x + x")
    text = FORWARD.replace("return xp.sum(x)", "return xp.sum(twice(x))")
    (inner / "mine.py").write_text("from ..neighbour_above import twice\n" + text)
    code, out, _ = run("compare", "outer/inner/mine.py", *QUICK)
    assert code == 0 and "mine\n" in out


def test_a_file_may_import_its_neighbours(run, folder):
    (folder / "neighbour_of_bare.py").write_text("FACTOR = 3\n")
    (folder / "bare.py").write_text("from neighbour_of_bare import FACTOR\n" + BARE)
    assert run("compare", "bare.py", "--size", "2", *QUICK)[0] == 0


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("def f(xp x):\n    pass\n", ["does not parse: invalid syntax", "mine.py:1: def f(xp x):"]),
        ("x = (1,\n", ["does not parse: '(' was never closed", "mine.py:1: x = (1,"]),
        ("import no_such_module\n", ["ModuleNotFoundError: No module named 'no_such_module'"]),
        ("a = 1\nb = a / 0\n", ["ZeroDivisionError: division by zero", "mine.py:2: b = a / 0"]),
        ("raise SystemExit(3)\n", ["failed when it was imported: SystemExit: 3"]),
        ("x = 1\n", ["has no workload"]),
        ("", ["has no workload"]),
        ("x = '\0'\n", ["mine.py", "null bytes"]),
    ],
)
def test_a_file_that_cannot_be_used_is_refused_with_its_line(run, folder, text, expected):
    (folder / "mine.py").write_text(text)
    err = refused(run, "compare", "mine.py", "--json", "found.json")
    for each in expected:
        assert each in err
    assert not (folder / "found.json").exists()


def test_a_file_in_another_encoding_is_refused(run, folder):
    (folder / "mine.py").write_bytes(b"name = '\xff'\n")
    assert "mine.py" in refused(run, "compare", "mine.py")


@pytest.mark.parametrize(
    ("reference", "expected"),
    [
        ("sead", "did you mean 'seed'?"),
        ("nothing like it", "the builtin ones are seed, chain"),
        ("missing.py", "there is no file missing.py"),
        ("mine", "did you mean the file mine.py?"),
        ("mine.py:three", "its workloads are one, two"),
        ("mine.py:tow", "did you mean 'two'?"),
        ("./", "is a folder"),
    ],
)
def test_an_unknown_workload_is_refused_with_the_nearest(run, folder, reference, expected):
    (folder / "mine.py").write_text(PROGRAM)
    assert expected in refused(run, "compare", reference)


def test_a_failing_program_shows_the_users_frames_only(run, folder):
    (folder / "mine.py").write_text(
        PROGRAM.replace("xp.sum(xp.tanh(x @ w))", "helper(x)")
        + "\ndef helper(x):\n    return undefined_name\n"
    )
    code, out, err = run("compare", "mine.py", *QUICK, "--json", "found.json")
    assert code == 1
    assert out == ""
    lines = [line.strip() for line in err.splitlines()]
    assert [line for line in lines if line.startswith("File")] == [
        'File "mine.py", line 6, in layer',
        'File "mine.py", line 15, in helper',
    ]
    assert lines[-2] == "NameError: name 'undefined_name' is not defined"
    assert lines[-1] == "(only your lines; SIDEBYSIDE_TRACEBACK=1 shows all)"
    assert not (folder / "found.json").exists()


def test_the_whole_traceback_is_shown_on_request(run, folder, monkeypatch):
    monkeypatch.setenv("SIDEBYSIDE_TRACEBACK", "1")
    (folder / "mine.py").write_text(PROGRAM.replace("xp.sum(xp.tanh(x @ w))", "1 / 0"))
    code, _, err = run("compare", "mine.py", *QUICK)
    assert code == 1
    assert "studies/pairing.py" in err
    assert "ZeroDivisionError" in err
    code, _, err = run("compare", "sead")
    assert code == 2
    assert "loading.py" in err


def test_a_failing_program_of_an_op_names_the_line(run, folder):
    (folder / "mine.py").write_text(PROGRAM.replace("x @ w", "x @ x"))
    err = refused(run, "compare", "mine.py", *QUICK)
    assert "[SBS-101]" in err
    assert "mine.py:6: return xp.sum(xp.tanh(x @ x))" in err


def test_a_program_that_static_alone_refuses_is_no_failure(run, folder):
    (folder / "mine.py").write_text(
        PROGRAM.replace(
            "    return xp.sum", "    if xp.sum(x) > 0:\n        x = -x\n    return xp.sum"
        )
    )
    code, out, _ = run("compare", "mine.py:one", *QUICK)
    assert code == 0
    assert "[SBS-301]" in out
    assert "static cannot run this program." in out


FORWARD = """
import numpy as np
def f(xp, x):
    return xp.sum(x)
def inputs(rng, size):
    return np.ones(3, np.float32),
"""


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (("f(xp, x)", "f(x)"), "f(x) cannot be called as f(xp, *inputs)"),
        (("f(xp, x)", "f(xp, x, w)"), "missing a required argument: 'w'"),
        (("inputs(rng, size)", "inputs()"), "inputs() cannot be called as inputs(rng, size)"),
        (("return xp.sum(x)", "return None"), "the program returns nothing"),
        (("return xp.sum(x)", "return 'six'"), "result 0 of the program is no array of numbers"),
        (("return xp.sum(x)", "return 3.0\nwrt = 0"), "gives a float, which has no gradient"),
        (("np.float32", "object"), "holds elements of dtype object"),
        (("np.ones(3, np.float32)", "np.array(['a'])"), "holds elements of dtype <U1"),
        (("import numpy as np", "import numpy as np\nwrt = ('x',)"), "wrt holds 'x'"),
        (("import numpy as np", "import numpy as np\ntolerance = 'x'"), "tolerance is 'x'"),
        (("import numpy as np", "import numpy as np\nlearning_rate = -1"), "learning_rate is -1"),
    ],
)
def test_a_file_whose_parts_do_not_fit_is_refused(run, folder, change, expected):
    assert change[0] in FORWARD
    (folder / "mine.py").write_text(FORWARD.replace(*change))
    err = refused(run, "compare", "mine.py", *QUICK, "--json", "found.json")
    assert expected in err
    assert "<string>" not in err
    assert not (folder / "found.json").exists()


def test_a_wrong_signature_names_its_line(run, folder):
    (folder / "mine.py").write_text(FORWARD.replace("f(xp, x)", "f(x)"))
    for command in (["compare"], ["show"], ["trace", "-o", "found.json"]):
        assert "mine.py:3: def f(x):" in refused(run, *command, "mine.py")


def test_one_position_and_one_size_need_no_tuple(run, folder):
    text = FORWARD.replace("np.ones(3", "np.ones(size") + "wrt = 0\nsizes = 4\n"
    (folder / "mine.py").write_text(text)
    code, out, _ = run("compare", "mine.py", *QUICK)
    assert code == 0
    assert "mine\n" in out


def test_a_program_that_ends_the_process_is_a_failure_of_its_own(run, folder):
    (folder / "mine.py").write_text(FORWARD.replace("return xp.sum(x)", "raise SystemExit(7)"))
    code, out, err = run("compare", "mine.py", *QUICK)
    assert code == 1
    assert out == ""
    assert 'File "mine.py", line 4, in f' in err
    assert "SystemExit: 7" in err


def test_modes_that_disagree_end_with_an_exit_code(run, folder):
    different = "return xp.sum(x) * (1 if xp.__name__ == 'dyngraph' else 2)"
    (folder / "mine.py").write_text(FORWARD.replace("return xp.sum(x)", different))
    code, out, _ = run("compare", "mine.py", *QUICK)
    assert code == 1
    assert "static and dynamic disagree" in out
    assert "speed-up" not in out


def test_a_mode_that_is_slower_than_allowed_ends_with_an_exit_code(run):
    modes = ["--modes", "static,dynamic", "--budget", "0.09"]
    code, out, err = run("compare", "seed", *modes, "--fail-if-slower", "50%")
    assert code == 3
    assert "dynamic is slower than static by more than 50%" in err
    assert "seed: (x+w)*(w+1)" in out
    assert run("compare", "seed", *modes, "--fail-if-slower", "1e8%")[0] == 0


# what cannot be done ------------------------------------------------------------------------------


@pytest.mark.parametrize("option", ["--json", "--csv"])
def test_a_folder_that_is_not_there_is_refused_before_measuring(run, folder, option, monkeypatch):
    monkeypatch.setattr(comparison, "compare", None)  # would be called to measure
    err = refused(run, "compare", "seed", option, "missing/found")
    assert "[SBS-402]" in err
    assert "mkdir -p missing" in err
    assert os.listdir(folder) == []


def test_the_table_and_drawings_check_their_file_first(run, folder, monkeypatch):
    monkeypatch.setattr("sidebyside.studies.table.measure_table", None)
    assert "[SBS-402]" in refused(run, "table", "--json", "missing/found.json")
    assert "[SBS-402]" in refused(run, "show", "seed", "-o", "missing/seed.svg")
    assert ".svg, .dot, .mmd" in refused(run, "show", "seed", "-o", "seed.png")


def test_a_folder_that_is_a_file_is_refused(run, folder):
    (folder / "taken").write_text("")
    for command in (
        ["compare", "seed", "--json"],
        ["compare", "seed", "--csv"],
        ["compare", "seed", "--html"],
        ["table", "--json"],
        ["table", "--html"],
        ["show", "seed", "-o"],
        ["trace", "seed", "-o"],
    ):
        err = refused(run, *command, "taken/found.svg")
        assert "taken is not a folder" in err
        assert "mkdir" not in err
    assert os.listdir(folder) == ["taken"]


def test_two_reports_need_two_files(run, folder):
    err = refused(run, "compare", "seed", "--json", "found", "--csv", "./found")
    assert "two reports would be written to one file" in err


def test_an_unknown_mode_is_refused(run):
    assert "did you mean 'static'?" in refused(run, "compare", "seed", "--modes", "statc")
    assert "no modes" in refused(run, "compare", "seed", "--modes", ",")


def test_a_budget_must_be_time(run):
    assert "a budget of -1.0 seconds" in refused(run, "compare", "seed", "--budget", "-1")


def test_messages_of_the_command_line_name_no_line_of_ours(run):
    err = refused(run, "compare", "sead")
    assert "\n  at " not in err


@pytest.mark.parametrize("size", ["9" * 14, "9" * 30])
def test_a_size_beyond_the_memory_is_refused(run, size):
    err = refused(run, "compare", "chain", "--size", size)
    assert "[SBS-105]" in err


def test_a_size_of_the_wrong_kind_is_refused(run):
    assert "its own sizes are 512x512" in refused(
        run, "compare", "layernorm_softmax", "--size", "3"
    )


def test_memory_that_runs_out_later_is_an_error_too(run, monkeypatch):
    def fail(*_, **__):
        raise MemoryError

    monkeypatch.setattr(comparison, "compare", fail)
    assert "[SBS-105]" in refused(run, "compare", "seed")


def test_an_interrupt_leaves_nothing_behind(run, folder, monkeypatch):
    def interrupt(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(pairing, "measure", interrupt)
    code, out, err = run("compare", "seed", *QUICK, "--json", "found.json")
    assert code == 130
    assert out == ""
    assert "interrupted" in err
    assert os.listdir(folder) == []


def test_wrong_arguments_are_explained(capsys):
    with pytest.raises(SystemExit) as caught:
        main(["compare"])
    assert caught.value.code == 2
    assert "WORKLOAD" in capsys.readouterr().err


def test_sizes_are_read():
    assert parse_size("12") == 12
    assert parse_size("4_000_000") == 4_000_000
    assert parse_size("2x3x4") == (2, 3, 4)
    assert parse_size("1e6") == 10**6 and parse_size("2e+3x1E1") == (2000, 10)


# processes ----------------------------------------------------------------------------------------


def start(*arguments, **options):
    return subprocess.run(
        [sys.executable, "-m", "sidebyside", *arguments],
        capture_output=True,
        timeout=60,
        check=False,
        **options,
    )


def test_it_runs_as_a_module_and_names_no_line_of_pythons():
    done = start("compare", "sead", text=True)
    assert done.returncode == 2
    assert done.stdout == ""
    assert "runpy" not in done.stderr
    assert "[SBS-401]" in done.stderr


def test_a_reader_that_stops_early_is_no_error():
    process = subprocess.Popen(
        [sys.executable, "-m", "sidebyside", "show", "lstm_text"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    process.stdout.readline()
    process.stdout.close()
    err = process.stderr.read()
    process.stderr.close()
    assert process.wait(60) == 0
    assert err == b""


class Full(io.StringIO):
    """A standard output on a file system without room."""

    def write(self, text):
        raise OSError(28, "No space left on device")


def test_an_output_that_takes_nothing_is_named(capsys, monkeypatch):
    monkeypatch.setattr(sys, "stdout", Full())
    assert main(["list"]) == 2
    assert "the report cannot be printed: No space left" in capsys.readouterr().err


def test_a_closed_output_is_like_one_that_nobody_reads(folder, monkeypatch):
    monkeypatch.setattr(sys, "stdout", None)
    assert main(["compare", "seed", *QUICK, "--json", "found.json"]) == 0
    assert json.loads((folder / "found.json").read_text())["rows"]


def test_the_standard_output_has_two_names(run):
    status, out, _ = run("compare", "seed", *QUICK, "--csv", "/dev/stdout")
    assert status == 0 and out.startswith("workload,")


def test_a_stream_of_plain_characters_gets_plain_characters():
    done = start("show", "seed", env={**os.environ, "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"})
    assert done.returncode == 0
    assert b"simplify_algebra (6 > 4)" in done.stdout


# progress -----------------------------------------------------------------------------------------


class Stream:
    def __init__(self, terminal):
        self.terminal = terminal
        self.text = ""

    def isatty(self):
        return self.terminal

    def write(self, text):
        self.text += text

    def flush(self):
        pass


def test_progress_is_silent_at_first():
    stream = Stream(terminal=True)
    with Progress(stream, delay=1000) as progress:
        progress("seed: steady state")
    assert stream.text == ""


def test_progress_rewrites_one_line_of_a_terminal_and_takes_it_away():
    stream = Stream(terminal=True)
    with Progress(stream, delay=0) as progress:
        progress("seed: steady state")
        progress("seed: memory")
    assert stream.text.count("\n") == 0
    assert stream.text.endswith("\r")
    assert "\x1b" not in stream.text


def test_progress_writes_a_line_a_workload_elsewhere():
    stream = Stream(terminal=False)
    with Progress(stream, delay=0) as progress:
        for text in ("seed: fresh builds", "seed: steady state", "chain 1: steady state"):
            progress(text)
    assert stream.text == "0 s: seed\n0 s: chain 1\n"
