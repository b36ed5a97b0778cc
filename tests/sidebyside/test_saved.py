"""Results in files: what is written is read again whole, and what cannot be read says why."""

import importlib.util
import json
import os
import re
import subprocess
from pathlib import Path

import numpy as np
import pytest

import sidebyside as sbs
from sidebyside.cli import main
from sidebyside.errors import OutputError, ResultFileError
from sidebyside.measuring.environment import RECORDED, commit_of
from sidebyside.results.result import RENDERERS
from sidebyside.results.saved.file import KINDS, SCHEMA
from sidebyside.results.saved.rebuilding import kept_fields

DOCS = Path(__file__).parents[2] / "docs"
SHORT = ["--budget", "0.01", "--replicates", "2"]


def result_fields():
    spec = importlib.util.spec_from_file_location("result_fields", DOCS / "result_fields.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


FIELDS = result_fields()


@pytest.fixture(scope="module")
def measured():
    """Return a result of each kind, as they are measured."""
    workload = sbs.Workload(
        lambda xp, x: xp.tanh(x) * 2, lambda rng, size: (np.ones(size),), sizes=(2, 3), name="twice"
    )
    missing = sbs.Workload(
        lambda xp, x: x if float(x[0]) > 0 else -x, lambda rng, size: (np.ones(2),), name="branch"
    )
    comparison = sbs.compare([workload, missing], budget=0.01, replicates=2)
    return {
        "comparison": comparison,
        "decision": sbs.decide(lambda x: x * 2, np.ones(2), calls=10, budget=0.01, replicates=2),
        "table": sbs.Table(comparison, (), comparison.rows[0], 1.5, (("digits", "missing"),)),
    }


# what is written is read --------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_a_saved_result_is_loaded_whole(kind, measured, tmp_path):
    for result in (measured[kind], FIELDS.filled(KINDS[kind])):
        path = tmp_path / "found.json"
        result.save(path, overwrite=True)
        loaded = sbs.load(path)
        assert type(loaded) is type(result)
        assert loaded.to_data() == result.to_data()
        result.to_json(tmp_path / "other.json")
        assert (tmp_path / "other.json").read_text() == path.read_text()
    assert str(sbs.load(path)) == str(result)


def test_every_field_is_kept():
    """What is written has all that is read: nothing falls back on a default."""
    for kind, data in FIELDS.written().items():
        assert {field.name for field, _ in kept_fields(kind)} <= set(data), kind


def test_numbers_that_are_not_finite_are_text(tmp_path):
    never = sbs.Row("a", "", "", (), visible=float("inf"))
    comparison = sbs.Comparison((never,), {})
    comparison.save(tmp_path / "a.json")
    assert '"visible": "Infinity"' in (tmp_path / "a.json").read_text()
    assert sbs.load(tmp_path / "a.json").rows[0].visible == float("inf")


def test_samples_are_raw(measured, tmp_path):
    found = measured["comparison"].rows[0].cells[0]
    measured["comparison"].save(tmp_path / "a.json")
    cell = sbs.load(tmp_path / "a.json").rows[0].cells[0]
    assert cell.samples == found.samples
    assert len(cell.samples) == cell.steady.count
    assert np.median(cell.samples) == pytest.approx(cell.steady.value)


def keys_of(text):
    """Return the keys of each section of the page."""
    sections = re.split(r"^## ", text, flags=re.MULTILINE)
    return {
        section.split("\n")[0]: dict(re.findall(r"^\| `(\w+)` \|.* \| (.*) \|$", section, re.M))
        for section in sections[1:]
    }


def test_the_page_lists_what_is_written_and_says_what_it_is(measured):
    page = keys_of((DOCS / "result_files.md").read_text())
    outermost = page.pop("The outermost object")
    assert all(meaning for section in page.values() for meaning in section.values())
    for kind, result in measured.items():
        data = result.to_data()
        listed = {*outermost, *page[type(result).__name__]}
        assert set(data) == listed, kind
    for kind, data in FIELDS.written().items():
        extra = outermost if kind in KINDS.values() and "format" in data else {}
        assert set(data) == {*page[kind.__name__], *extra}


def test_the_environment_is_what_the_page_says(measured):
    found = measured["comparison"].environment
    assert set(found) == set(RECORDED) - {"interrupted"}
    page = (DOCS / "result_files.md").read_text()
    assert all(f"| `{key}` |" in page for key in RECORDED)
    assert found["settings"]["budget"] == 0.01
    assert found["settings"]["tolerance"] == {"twice": 1e-4, "branch": 1e-4}
    assert found["versions"]["numpy"] == np.__version__
    assert found["versions"]["sidebyside"] == sbs.__version__
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00", found["date"])
    (pools,) = found["pools"].values()
    assert all({"library", "version", "threads", "architecture"} == set(each) for each in pools)


def test_the_commit_is_that_of_the_repository(tmp_path):
    def git(*arguments):
        name = ["-c", "user.name=a", "-c", "user.email=a@b"]
        command = ["git", "-C", str(tmp_path), *name, *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    assert commit_of(tmp_path) is None
    git("init", "-q")
    (tmp_path / "a.py").write_text("1\n")
    git("add", "a.py")
    git("commit", "-q", "-m", "first")
    whole = git("rev-parse", "HEAD")
    assert commit_of(tmp_path) == whole
    (tmp_path / "new.py").write_text("not tracked\n")
    assert commit_of(tmp_path) == whole
    (tmp_path / "a.py").write_text("2\n")
    git("tag", "v1")
    assert commit_of(tmp_path) == f"{whole}-dirty"


# what cannot be read, or written ------------------------------------------------------------------


def saved(tmp_path):
    path = tmp_path / "found.json"
    FIELDS.filled(sbs.Comparison).save(path, overwrite=True)
    return path


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda text: "", "it is no JSON"),
        (lambda text: text[: len(text) // 2], "it is no JSON"),
        (lambda text: "[" * 100_000, "it is no JSON"),
        (lambda text: "[1, 2]", "JSON of something else"),
        (lambda text: '{"benchmarks": []}', "JSON of something else"),
        (lambda text: '{"schema": 1, "rows": []}', "before 0.2"),
        (lambda text: text.replace('"rows"', '"lines"'), "it has no rows"),
        (lambda text: text.replace('"result": "comparison"', '"result": "poem"'), "'poem'"),
        (lambda text: text.replace('"result": "comparison"', '"result": []'), "'comparison"),
        (
            lambda text: re.sub(r'"blocks": \[\s+1.0', '"blocks": ["x"', text, count=1),
            "rows[0].cells[0].replicates[0].blocks[0] is 'x', where a number belongs",
        ),
        (lambda text: text.replace('"several": true', '"several": 1'), "where true or false"),
        (lambda text: text.replace('"ulp": 1.0', '"ulp": null'), "ulp is nothing"),
        (lambda text: text.replace('"calls": 2', '"calls": true'), "where a whole number"),
    ],
)
def test_a_file_that_cannot_be_read_says_why(change, expected, tmp_path):
    path = saved(tmp_path)
    changed = change(path.read_text())
    assert changed != path.read_text()
    path.write_text(changed)
    with pytest.raises(ResultFileError) as caught:
        sbs.load(path)
    assert expected.strip("'") in str(caught.value)
    assert caught.value.fix.startswith("measure again")


def test_a_newer_file_says_how_to_get_what_reads_it(tmp_path):
    path = saved(tmp_path)
    for version, fix in ((SCHEMA + 1, "pip install --upgrade"), (SCHEMA - 1, "measure again")):
        data = {**json.loads(path.read_text()), "schema": version}
        path.write_text(json.dumps(data))
        with pytest.raises(ResultFileError, match=f"has version {version}") as caught:
            sbs.load(path)
        assert fix in caught.value.fix


def test_keys_of_later_versions_do_not_matter(tmp_path):
    path = saved(tmp_path)
    data = json.loads(path.read_text())
    data["rows"][0]["later"] = data["later"] = {"a": 1}
    path.write_text(json.dumps(data))
    assert sbs.load(path).to_data() == FIELDS.filled(sbs.Comparison).to_data()


def test_what_is_no_readable_file_says_so(tmp_path):
    with pytest.raises(ResultFileError, match="there is no file"):
        sbs.load(tmp_path / "missing.json")
    with pytest.raises(ResultFileError, match="cannot be read"):
        sbs.load(tmp_path)
    (tmp_path / "bytes.json").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ResultFileError, match="cannot be read"):
        sbs.load(tmp_path / "bytes.json")


def test_nothing_is_overwritten_unless_that_is_asked_for(tmp_path):
    path = saved(tmp_path)
    before = path.read_text()
    other = sbs.Comparison((), {})
    with pytest.raises(OutputError, match="there is a file") as caught:
        other.save(path)
    assert "overwrite=True" in caught.value.fix
    assert path.read_text() == before
    other.save(path, overwrite=True)
    assert sbs.load(path).rows == ()
    assert os.listdir(tmp_path) == ["found.json"]


def test_a_failure_leaves_nothing_half_written(tmp_path, monkeypatch):
    def fail(*_):
        raise OSError(28, "No space left on device")

    path = saved(tmp_path)
    before = path.read_text()
    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(OutputError, match="No space left"):
        sbs.Comparison((), {}).save(path, overwrite=True)
    assert path.read_text() == before
    with pytest.raises(OutputError, match="No space left"):
        sbs.Comparison((), {}).save(tmp_path / "new.json")
    assert os.listdir(tmp_path) == ["found.json"]
    with pytest.raises(OutputError, match="does not exist"):
        sbs.Comparison((), {}).save(tmp_path / "no" / "found.json")


# the command line ---------------------------------------------------------------------------------


@pytest.fixture
def run(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.chdir(tmp_path)

    def call(*arguments):
        code = main(list(arguments))
        return code, *capsys.readouterr()

    return call


def test_save_keeps_what_is_printed(run):
    code, out, err = run("compare", "seed", *SHORT, "--save", "found.json")
    assert code == 0
    assert err.endswith("saved: found.json\n")
    assert str(sbs.load("found.json").text(100)) == out.rstrip("\n")


def test_save_without_a_name_goes_by_the_date(run):
    for _ in range(2):
        assert run("compare", "seed", "chain", "--size", "3", *SHORT, "--save")[0] == 0
    found = sorted(os.listdir(".sidebyside"))
    assert len(found) == 2
    for name in found:
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d{6}-seed-chain(-1)?\.json", name)


def test_decide_keeps_its_decision(run, tmp_path):
    (tmp_path / "mine.py").write_text("import numpy as np\ndef f():\n    return np.ones(2)\n")
    assert run("decide", "mine.py:f", *SHORT, "--save", "found.json")[0] == 0
    assert sbs.load("found.json").kind == "NumPy"


def test_table_keeps_its_table(run, monkeypatch):
    table = FIELDS.filled(sbs.Table)
    monkeypatch.setattr("sidebyside.studies.table.measure_table", lambda **_: table)
    monkeypatch.setitem(RENDERERS, sbs.Table, _without_text(RENDERERS[sbs.Table]))
    assert run("table", "--save", "found.json")[0] == 0
    assert sbs.load("found.json").to_data() == table.to_data()


def _without_text(renderer):
    import dataclasses

    return dataclasses.replace(renderer, text=lambda *_: "")


def test_a_file_that_is_there_is_refused_before_measuring(run, tmp_path, monkeypatch):
    path = saved(tmp_path)
    monkeypatch.setattr("sidebyside.studies.comparison.compare", None)  # would measure
    code, out, err = run("compare", "seed", "--save", path.name)
    assert (code, out) == (2, "")
    assert "there is a file found.json already" in err
    assert "--overwrite" in err
    monkeypatch.undo()
    monkeypatch.chdir(tmp_path)
    assert run("compare", "seed", *SHORT, "--save", path.name, "--overwrite")[0] == 0
    assert sbs.load(path).rows[0].workload == "seed"


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--save", "missing/found.json"], "mkdir -p missing"),
        (["--save", "a.json", "--csv", "a.json"], "two reports would be written to one file"),
    ],
)
def test_where_nothing_can_be_kept_nothing_is_measured(run, arguments, expected, monkeypatch):
    monkeypatch.setattr("sidebyside.studies.comparison.compare", None)
    code, _, err = run("compare", "seed", *arguments)
    assert code == 2
    assert expected in err


def test_a_program_is_not_taken_for_the_name_of_a_file(run):
    with pytest.raises(SystemExit) as caught:
        run("compare", "--save", "seed", "chain")
    assert caught.value.code == 2
    assert os.listdir(".") == []
