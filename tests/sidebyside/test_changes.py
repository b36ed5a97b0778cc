"""Saved results against each other: what became slower, what cannot be seen, what is not alike."""

import csv
import io
import json
import math

import numpy as np
import pytest

import sidebyside as sbs
from sidebyside.cli import main
from sidebyside.errors import ArgumentError, NotComparableError, ResultFileError
from sidebyside.measuring.replicates import (
    ratio_estimate,
    ratio_of_two,
    time_estimate,
    visible_between,
)
from sidebyside.results.cell import Failure
from sidebyside.results.comparison import Replicate, Row, TimedCell
from sidebyside.results.saved.change import find_mismatches

ABOUT = {
    "date": "2026-11-29T13:00:00+00:00",
    "commit": "0123456789abcdef",
    "host": "here",
    "processor": "P",
    "system": "Linux x86_64",
    "cores": 2,
    "python": "3.11.7",
    "versions": {"numpy": "2.4.6", "sidebyside": "0.2.0"},
    "threads": 2,
    "thread_variables": {},
    "settings": {"budget": 2.0, "replicates": 8, "seed": 0, "tolerance": {"seed": 1e-4}},
    "pools": {
        "static": [{"library": "openblas", "version": "1", "threads": 2, "architecture": "Haswell"}]
    },
    "one_process": "",
}


def cell(mode, seconds, reference=None):
    """Return a cell of the times of its replicates."""
    replicates = tuple(Replicate(10 * x, 5 * x, np.full(4, x)) for x in seconds)
    return TimedCell(
        mode,
        steady=time_estimate(seconds),
        start=time_estimate([each.start for each in replicates]),
        ratio=reference
        and ratio_estimate(
            [each.blocks for each in replicates], [each.blocks for each in reference.replicates]
        ),
        replicates=replicates,
    )


def noisy(seconds, count=8, spread=0.005, seed=0):
    """Return times of replicates, about `seconds`."""
    return seconds * np.exp(np.random.default_rng(seed).normal(0, spread, count))


def measured(dynamic=1.0, static=0.5, about=None, seed=0, name="seed", **options):
    first = cell("dynamic", noisy(dynamic, seed=seed, **options))
    cells = (first, cell("static", noisy(static, seed=seed + 1, **options), first))
    row = Row(name, "", "1", cells, "dynamic", replicates=8, control=ratio_one())
    return sbs.Comparison((row,), {**ABOUT, **(about or {})})


def ratio_one(low=0.99, high=1.01):
    from sidebyside.measuring.statistics import Estimate

    return Estimate(1.0, low, high, 0.99, 8)


# the statistics -----------------------------------------------------------------------------------


def test_the_interval_of_a_ratio_holds_the_truth_as_often_as_it_says():
    rng = np.random.default_rng(3)
    held = 0
    trials = 1000
    for _ in range(trials):
        one = rng.normal(math.log(2), 0.05, 5)
        other = rng.standard_t(5, 9) * 0.01  # another spread, another number, heavier tails
        found = ratio_of_two(one, other, 0.9)
        held += found.low <= 2 <= found.high
    assert 0.87 <= held / trials <= 0.93


def test_what_is_called_visible_is_found_nine_times_in_ten():
    rng = np.random.default_rng(4)
    visible = visible_between(noisy_logs(rng), noisy_logs(rng))
    found = 0
    for _ in range(300):
        ratio = ratio_of_two(noisy_logs(rng) + math.log1p(visible), noisy_logs(rng), 0.99)
        found += ratio.low > 1
    assert 0.8 <= found / 300 <= 0.98


def noisy_logs(rng):
    values = rng.normal(0, 1, 10)
    return (values - values.mean()) / values.std(ddof=1) * 0.01 + rng.normal(0, 0.01 / 10**0.5)


def test_times_that_do_not_vary_have_no_width():
    found = ratio_of_two([1.0, 1.0], [0.0, 0.0])
    assert found.low == found.high == pytest.approx(math.e)
    assert visible_between([1.0], [1.0, 1.0]) is None


# diff ---------------------------------------------------------------------------------------------


def test_what_became_slower_is_told_from_what_cannot_be_seen():
    found = sbs.diff(measured(), measured(dynamic=1.1, static=0.4, seed=5), limit=0.05)
    dynamic, static = found.changes
    assert (dynamic.speed, static.speed) == ("slower", "faster")
    assert dynamic.ratio.low < 1.1 < dynamic.ratio.high
    assert dynamic.start_ratio.value == pytest.approx(dynamic.ratio.value)
    assert found.slower == (dynamic,)
    assert not found.unseen
    assert not sbs.diff(measured(), measured(dynamic=1.1, seed=5), limit=0.2).slower


def test_slower_than_allowed_on_average_is_no_failure_where_the_interval_says_otherwise():
    before, after = measured(spread=0.1), measured(dynamic=1.1, spread=0.1, seed=5)
    found = sbs.diff(before, after, limit=0.05)
    assert not found.slower
    assert [each.mode for each in found.unseen] == ["dynamic", "static"]
    text = " ".join(str(found).split())
    assert "whether dynamic is slower by more than 5% cannot be seen: a call takes" in text
    assert "no difference; one under" in text


def test_the_same_file_twice_has_no_difference():
    found = sbs.diff(measured(), measured(), limit=0.05)
    assert {each.speed for each in found.changes} == {"no difference"}
    assert str(found).endswith("Nothing is slower by more than 5%.")


def test_without_samples_of_several_processes_there_is_no_verdict():
    look = sbs.compare({"sum": lambda: lambda: np.ones(3).sum()}, budget=0.01)
    (change,) = sbs.diff(look, look, limit=0.05).changes
    assert (change.speed, change.visible) == ("no verdict", None)
    assert change.ratio.value == 1
    assert not change.is_slower_by(-1)
    assert change.may_be_slower_by(0.05)
    assert "for a look only" in str(sbs.diff(look, look))


def test_a_reference_that_differs_from_itself_gives_no_verdict():
    from dataclasses import replace

    shaken = measured(dynamic=2.0)
    rows = tuple(replace(row, control=ratio_one(1.1, 1.2)) for row in shaken.rows)
    found = sbs.diff(measured(), sbs.Comparison(rows, shaken.environment), limit=0.05)
    assert not found.slower
    assert "the new result's reference differs from itself" in found.changes[0].reason


def test_modes_and_programs_of_one_result_only_are_named():
    row = measured().rows[0]
    failed = TimedCell("static", Failure("E", "boom\nmore"))
    other = Row("chain", "", "", (cell("dynamic", [1.0, 1.0]),), "dynamic")
    after = sbs.Comparison((Row("seed", "", "1", (row.cells[0], failed)), other), ABOUT)
    found = sbs.diff(measured(), after)
    reasons = {(each.label, each.mode): each.reason for each in found.changes}
    assert reasons == {
        ("seed 1", "dynamic"): "",
        ("seed 1", "static"): "new result: E: boom",
        ("chain", "dynamic"): "not in the old result",
    }
    with pytest.raises(NotComparableError, match="no program in common"):
        sbs.diff(measured(), measured(name="other"))


DIFFERENT = {
    "machine": [{"processor": "Q"}, {"system": "Linux aarch64"}, {"cores": 4}],
    "versions": [
        {"python": "3.12.1"},
        {"versions": {"numpy": "2.5.0"}},
        {"pools": {"static": [{**ABOUT["pools"]["static"][0], "version": "2"}]}},
    ],
    "settings": [
        {"threads": 1},
        {"thread_variables": {"OMP_NUM_THREADS": "1"}},
        {"settings": {"budget": 1.0}},
        {"settings": {"replicates": 3}},
        {"settings": {"seed": 1}},
        {"settings": {"tolerance": {"seed": 1e-3}}},
        {"pools": {"static": [{**ABOUT["pools"]["static"][0], "threads": 1}]}},
        {"pools": {"static": []}},
        {"one_process": "it was asked for"},
    ],
}


@pytest.mark.parametrize(
    ("kind", "about"), [(kind, about) for kind, all_ in DIFFERENT.items() for about in all_]
)
def test_what_was_not_measured_alike_is_refused_unless_that_is_meant(kind, about):
    after = measured(about=about)
    kinds = {each.kind for each in find_mismatches(ABOUT, after.environment)}
    assert kind in kinds
    with pytest.raises(NotComparableError) as caught:
        sbs.diff(measured(), after)
    assert f"--across {','.join(kinds)}" in caught.value.fix or len(kinds) > 1
    for other in set(DIFFERENT) - kinds:
        with pytest.raises(NotComparableError):
            sbs.diff(measured(), after, across=other)
    found = sbs.diff(measured(), after, across=tuple(kinds))
    assert f"Not measured alike: {found.mismatches[0]}." in " ".join(str(found).split())


def test_what_says_nothing_of_the_machine_is_no_difference():
    after = {"host": "there", "kernel": "7", "load": 3.0, "date": "", "commit": None}
    assert not find_mismatches(ABOUT, {**ABOUT, **after, "pools": {"other": []}})
    assert not find_mismatches(ABOUT, {**ABOUT, "versions": {"torch": "2"}})


def test_across_names_kinds():
    with pytest.raises(ArgumentError, match="across='machines'"):
        sbs.diff(measured(), measured(), across="machines")


def test_changes_are_data_too(tmp_path):
    found = sbs.diff(measured(), measured(about={"cores": 4}), across="machine", limit=0.5)
    found.to_json(tmp_path / "a.json")
    data = json.loads((tmp_path / "a.json").read_text())
    assert data["mismatches"][0]["name"] == "cores"
    assert [each["mode"] for each in data["changes"]] == ["dynamic", "static"]
    found.to_csv(tmp_path / "a.csv")
    lines = list(csv.DictReader(io.StringIO((tmp_path / "a.csv").read_text())))
    assert [line["speed"] for line in lines] == ["no difference"] * 2
    assert float(lines[0]["before_seconds"]) == data["changes"][0]["before"]["value"]
    assert "<table>" in found._repr_html_()
    for width in (40, 60, 80, 120):
        assert max(map(len, found.text(width).splitlines())) <= max(width, 60)


# the command line ---------------------------------------------------------------------------------


@pytest.fixture
def run(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)

    def call(*arguments):
        code = main(list(arguments))
        return code, *capsys.readouterr()

    return call


def test_diff_fails_where_the_interval_says_so_and_nowhere_else(run):
    measured().save("old.json")
    measured(dynamic=1.1, seed=5).save("new.json")
    measured(dynamic=1.1, spread=0.2, seed=5).save("noisy.json")
    code, out, err = run("diff", "old.json", "new.json", "--fail-if-slower", "5%")
    assert code == 3
    assert "seed 1: dynamic is slower by more than 5%" in err
    assert "slower" in out
    assert run("diff", "old.json", "new.json")[0] == 0
    assert run("diff", "old.json", "new.json", "--fail-if-slower", "20%")[0] == 0
    code, out, err = run("diff", "old.json", "noisy.json", "--fail-if-slower", "5%")
    assert (code, err) == (0, "")
    assert "cannot be seen" in out
    assert run("diff", "new.json", "old.json", "--fail-if-slower", "5%")[0] == 0


def test_diff_refuses_what_was_not_measured_alike(run):
    measured().save("old.json")
    measured(about={"processor": "Q", "threads": 1}).save("new.json")
    code, out, err = run("diff", "old.json", "new.json")
    assert (code, out) == (2, "")
    assert "[SBS-406] old.json and new.json were not measured alike" in err
    assert "processor: P, then Q; threads: 2, then 1" in err
    assert "--across machine,settings" in err
    assert run("diff", "old.json", "new.json", "--across", "machine")[0] == 2
    assert run("diff", "old.json", "new.json", "--across", "machine,settings")[0] == 0
    assert "[SBS-405]" in run("diff", "old.json", "missing.json")[2]


def test_json_of_diff_is_all_that_is_printed(run):
    measured().save("old.json")
    measured(dynamic=1.2).save("new.json")
    code, out, _ = run("diff", "old.json", "new.json", "--json", "-", "--fail-if-slower", "5%")
    assert code == 3
    assert json.loads(out)["changes"][0]["speed"] == "slower"


@pytest.mark.parametrize("text", ["5", "0.05", "x%", "-1%", "nan%", "inf%", "5%%"])
def test_a_limit_is_a_percentage(run, text, capsys):
    with pytest.raises(SystemExit):
        run("diff", "a.json", "b.json", f"--fail-if-slower={text}")
    assert "write 5%" in capsys.readouterr().err


# compare ------------------------------------------------------------------------------------------


def test_compare_holds_against_a_baseline(run, monkeypatch):
    now = measured(dynamic=1.1, seed=5)
    monkeypatch.setattr("sidebyside.studies.comparison.compare", lambda *_, **__: now)
    monkeypatch.setattr("sidebyside.saved_commands.environment", lambda: dict(ABOUT))
    measured().save("old.json")
    baseline = ("compare", "seed", "--baseline", "old.json")
    code, out, err = run(*baseline, "--fail-if-slower", "5%")
    assert code == 3
    assert "Before: 2026-11-29 13:00, commit 012345678, on here." in out
    assert "dynamic is slower by more than 5%" in err
    assert run(*baseline, "--fail-if-slower", "20%")[0] == 0
    assert run(*baseline)[0] == 0
    code, out, err = run(*baseline, "--json", "-")
    assert json.loads(out)["result"] == "comparison"
    assert "Before:" in err


def test_a_baseline_of_another_machine_is_refused_before_measuring(run, monkeypatch):
    monkeypatch.setattr("sidebyside.studies.comparison.compare", None)  # would measure
    monkeypatch.setattr("sidebyside.saved_commands.environment", lambda: {**ABOUT, "cores": 8})
    measured().save("old.json")
    code, _, err = run("compare", "seed", "--baseline", "old.json")
    assert code == 2
    assert "cores: 2, then 8" in err
    code, _, err = run("compare", "seed", "--quick", "--baseline", "old.json", "--across=machine")
    assert code == 2
    assert "budget: 2.0, then 0.5; replicates: 8, then 3" in err
    assert "[SBS-405]" in run("compare", "seed", "--baseline", "missing.json")[2]


def test_without_a_baseline_modes_are_held_against_the_reference(run, monkeypatch):
    now = measured(dynamic=1.0, static=1.1)
    monkeypatch.setattr("sidebyside.studies.comparison.compare", lambda *_, **__: now)
    code, _, err = run("compare", "seed", "--fail-if-slower", "5%")
    assert code == 3
    assert "static is slower than dynamic by more than 5%" in err
    assert run("compare", "seed", "--fail-if-slower", "20%")[0] == 0
    noise = measured(dynamic=1.0, static=1.1, spread=0.2)
    monkeypatch.setattr("sidebyside.studies.comparison.compare", lambda *_, **__: noise)
    code, _, err = run("compare", "seed", "--fail-if-slower", "5%")
    assert code == 0
    assert "cannot be seen" in err


# history ------------------------------------------------------------------------------------------


def test_history_lists_each_program_by_date(run):
    for day, seconds in ((3, 4.0), (1, 1.0), (2, 2.0)):
        about = {"date": f"2026-11-0{day}T10:00:00+00:00", "commit": f"{day}" * 40 + "-dirty"}
        measured(dynamic=seconds, about=about).save(f"{day}.json")
        measured(name="chain", about=about).save(f"chain{day}.json")
    found = sbs.history(".")
    assert list(found.programs) == ["chain 1", "seed 1"]
    assert [entry.file for entry in found.programs["seed 1"]] == ["1.json", "2.json", "3.json"]
    code, out, _ = run("history", ".", "--program", "seed")
    assert code == 0
    lines = out.splitlines()
    assert lines[0] == "seed 1"
    assert lines[3].startswith("2026-11-01 10:00")
    assert "111111111*" in lines[3]
    assert "dynamic  ▁▄█  1.00 s to 4.0" in out
    assert "chain" not in out
    data = found.to_data()
    assert len(data["entries"]) == 6
    for width in (40, 60, 80, 120):
        assert max(map(len, found.text(width).splitlines())) <= width


def test_history_names_what_it_cannot_read_and_other_machines(run, tmp_path):
    measured().save("a.json")
    measured(about={"processor": "Q", "date": "2026-11-30T00:00:00+00:00"}).save("b.json")
    (tmp_path / "c.json").write_text("{")
    code, out, _ = run("history", ".")
    assert code == 0
    assert "c.json was left out" in out
    assert "Not all on one machine" in out
    code, out, _ = run("history", ".", "--csv", "-")
    lines = list(csv.DictReader(io.StringIO(out)))
    assert [line["mode"] for line in lines] == ["dynamic", "static"] * 2
    assert [line["machine"] for line in lines][::2] == ["P, 2 cores", "Q, 2 cores"]


def test_sizes_and_values_of_a_parameter_are_not_taken_for_each_other(tmp_path):
    cells = (TimedCell("dynamic"),)
    sizes = sbs.Comparison((Row("w", "", "3", cells),), {})
    depths = sbs.Comparison((Row("w", "", "3", cells, parameter="depth"),), {})
    with pytest.raises(NotComparableError, match="no program in common") as caught:
        sbs.diff(sizes, depths)
    assert "the first has w 3, the second w depth 3" in caught.value.cause
    sizes.save(tmp_path / "a.json")
    depths.save(tmp_path / "b.json")
    assert list(sbs.history(tmp_path).programs) == ["w 3", "w depth 3"]


def test_history_names_the_programs_that_there_are(tmp_path):
    sbs.Comparison((Row("seed", "", "", ()),), {}).save(tmp_path / "a.json")
    assert sbs.history(tmp_path, "seed").entries
    with pytest.raises(ArgumentError, match="no result of 'sead'; did you mean 'seed'"):
        sbs.history(tmp_path, "sead")


def test_history_needs_a_folder(run, tmp_path):
    code, _, err = run("history")
    assert code == 2
    assert "there is no folder .sidebyside" in err
    with pytest.raises(ResultFileError):
        sbs.history(tmp_path / "missing")
    (tmp_path / ".sidebyside").mkdir()
    assert run("history")[1] == ".sidebyside holds no saved result.\n"
