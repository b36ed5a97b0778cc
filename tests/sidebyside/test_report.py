"""What a comparison looks like: text, JSON, CSV, and files written whole or not at all."""

import csv
import io
import json
import math
import os
import re
import xml.etree.ElementTree as ElementTree
from dataclasses import replace

import numpy as np
import pytest

from oplibrary.messages.errors import OutputError
from sidebyside.measuring.agreement import Difference
from sidebyside.measuring.bottleneck import Bottleneck, Overhead, Work, find_bottleneck
from sidebyside.measuring.environment import environment
from sidebyside.measuring.machine import Machine
from sidebyside.measuring.memory import Memory
from sidebyside.measuring.statistics import CONFIDENCE, BreakEven, Estimate
from sidebyside.modes.mode import PassEffect
from sidebyside.report import comparison, flexibility, profile, training, units, verdict
from sidebyside.report.column import Column, csv_headings
from sidebyside.report.text_table import Span, as_ascii, draw_table
from sidebyside.results.cell import Failure
from sidebyside.results.comparison import Comparison, Row, Step, TimedCell
from sidebyside.results.flexibility import ExampleCell, ExampleRow, Matrix
from sidebyside.results.profile import ModeProfile, OpProfile, Profile
from sidebyside.results.result import RENDERERS, Result
from sidebyside.results.saved.file import SavedResult
from sidebyside.results.table import Table
from sidebyside.results.training import TrainingComparison, TrainingRecord
from sidebyside.results.writing import check_writable, write_whole


def about(value, spread=0.02, count=40):
    return Estimate(value, value * (1 - spread), value * (1 + spread), CONFIDENCE, count)


def timed(mode, seconds, ratio=None, **options):
    fields = {
        "steady": about(seconds),
        "start": about(seconds * 20),
        "first_call": about(seconds * 2),
        "built": about(seconds * 18) if ratio else about(0.0),
        "build": {"trace": seconds * 10, "passes": seconds * 8} if ratio else {},
        "memory": Memory(0, 4096),
        "calls": 10,
        **options,
    }
    if ratio is not None:
        fields.setdefault("difference", Difference(0.0, 0.0))
        fields.setdefault("break_even", BreakEven(57, 50, 64, True))
        fields["ratio"] = ratio
    return TimedCell(mode, **fields)


BOTTLENECK = Bottleneck(
    "overhead-bound", "an operation takes 1.2x the time of one on a single number"
)


def row_of(*cells, bottleneck=BOTTLENECK):
    return Row("seed", "(x+w)*(w+1)", "1", cells, cells[0].mode, bottleneck)


def compared(*rows):
    return Comparison(rows, environment())


def written(result, how):
    return getattr(RENDERERS[type(result)], how)(result)


FASTER = timed("static", 3e-6, about(0.25))
PAIR = row_of(timed("dynamic", 12e-6), FASTER)


# text ---------------------------------------------------------------------------------------------


def test_text_has_each_mode_with_its_interval_and_the_verdict():
    found = compared(PAIR)
    text = str(found.text())
    assert "12.0 µs" in text
    assert "(11.8–12.2)" in text
    assert "4.00x" in text
    assert "no bit" in text
    assert "57 │" in text
    assert (
        "static is 4.00 times faster than dynamic (3.92 to 4.08); its start of 60.0 µs is" in text
    )
    assert "overhead-bound" in text
    assert repr(found) == text == repr(found.text())


def test_lines_of_a_box_are_of_one_length_and_fit():
    wide = row_of(timed("dynamic", 12e-6), timed("static:interpret", 3.3e-6, about(0.275)))
    failed = row_of(
        timed("dynamic", 12e-6), TimedCell("jax.jit", Failure("TypeError", "a long reason " * 30))
    )
    for row in (PAIR, wide, failed):
        lines = str(compared(row).text(100)).splitlines()
        boxed = [line for line in lines if line[:1] and line[0] in "│┌├└"]
        assert len({len(line) for line in boxed}) == 1
        assert max(map(len, lines)) <= 100


def test_a_failure_stands_in_place_of_a_time():
    refused = TimedCell(
        "static", Failure("SymbolicBoolError", "[SBS-301] no truth value\n  at f.py:3")
    )
    text = str(compared(row_of(timed("dynamic", 12e-6), refused)).text())
    assert "static: [SBS-301] no truth value" in text
    assert "at f.py:3" in text
    assert "static cannot run this program" in text


def test_a_disagreement_shows_no_time_at_all():
    failure = Failure("DisagreementError", "[SBS-403] static and dynamic disagree: result 0")
    row = Row("seed", "", "", (TimedCell("dynamic"), TimedCell("static", failure)))
    text = str(compared(row).text())
    assert "static and dynamic disagree: result 0" in text
    assert "static computes something else, so no time is shown" in text
    assert "µs" not in text


def test_attribution_is_shown_where_it_was_measured():
    def change(value, half):
        return Estimate(value, value - half, value + half, CONFIDENCE, 8)

    steps = (
        Step("operation by operation", about(9e-6)),
        Step("fold_constants", about(3e-6), change(-6e-6, 1e-6), PassEffect("f", 52, 47, 1e-4)),
        Step("merge_views", about(3e-6), change(1e-9, 1e-7), PassEffect("m", 47, 47, 2e-4)),
        Step("a call of nothing", about(1e-6), change(-2e-6, 1e-7)),
    )
    cell = timed("static", 3e-6, about(0.25), steps=steps)
    found = compared(row_of(timed("dynamic", 12e-6), cell))
    text = " ".join(str(found.text()).split())
    assert "9.00 µs a call operation by operation, 3.00 µs compiled; most is saved by fold" in text
    assert "52 → 47" in text
    assert "−6.00 µs (−7.00 to −5.00)" in text
    assert "no difference" in text
    assert max(map(len, str(found.text(60)).splitlines())) <= 60
    (_, data) = found.to_data()["rows"][0]["cells"]
    assert [step["name"] for step in data["steps"]] == [step.name for step in steps]
    assert data["steps"][1]["effect"]["before"] == 52


# verdicts -----------------------------------------------------------------------------------------


def sentence(cell):
    return verdict.cell_verdict(row_of(timed("dynamic", 12e-6), cell), cell)


def test_noise_is_never_a_win():
    text = sentence(
        timed("static", 12e-6, about(0.99), break_even=BreakEven(9, 3, math.inf, False))
    )
    assert "do not differ by more than noise could explain" in text
    assert "faster" not in text
    assert "; no sure gain pays back its start of" in text
    assert "never" not in text  # that would be a verdict, too


def test_few_samples_give_no_verdict():
    few = Estimate(0.2, 0.1, 0.3, 0.5, 2)
    assert "too few for a verdict" in sentence(timed("static", 3e-6, few))


def test_slower_says_so_with_its_factor():
    slow = timed(
        "static", 24e-6, about(2.0), break_even=BreakEven(math.inf, math.inf, math.inf, True)
    )
    assert sentence(slow).startswith("static is 2.00 times slower than dynamic (1.96 to 2.04)")
    assert "never paid back" in sentence(slow)


def test_a_late_break_even_is_build_bound():
    late = timed("static", 3e-6, about(0.9), break_even=BreakEven(30_000, 20_000, 50_000, True))
    assert "build-bound" in sentence(late)
    at_once = timed("static", 3e-6, about(0.9), break_even=BreakEven(1, 1, 2, True))
    assert "from the first call on" in sentence(at_once)


def test_the_three_rows_follow_the_numbers():
    pairs = [(PAIR, *PAIR.cells)]
    refused = Row("loop", "", "", (timed("dynamic", 1e-4), TimedCell("static", Failure("E", "no"))))
    assert verdict.building_verdict(pairs).startswith("Confirmed: static builds for 54.0 µs")
    text = verdict.efficiency_verdict(pairs, [refused])
    assert text.startswith("Confirmed: static is faster in 1 of 1")
    assert "it refuses loop, which dynamic runs" in text
    assert "paid back after 57 calls (seed)" in verdict.waiting_verdict(
        [(PAIR, PAIR.cells[0], timed("static", 30e-6, about(0.25)))]
    )
    for sentence_of in (verdict.building_verdict, verdict.waiting_verdict):
        assert sentence_of([]) == "Not measured."


def test_a_static_mode_that_does_not_gain_is_not_confirmed():
    slow = timed("static", 24e-6, about(2.0))
    row = row_of(timed("dynamic", 12e-6), slow)
    assert verdict.efficiency_verdict([(row, *row.cells)], []).startswith("Not here")


ROOFS = Machine({1 << 10: 1e10, 1 << 20: 1e9}, {"float32": 1e9, "float64": 5e8}, 1e8)
"""A machine that computes and moves little, so that a test can say what bounds a program."""


@pytest.mark.parametrize(
    ("work", "name", "reason"),
    [
        (Work(10, 100), "overhead-bound", "10 operations on single numbers take 90% of its time"),
        (Work(0, 100), "overhead-bound", "a call on single numbers take"),
        (Work(1, 8000), "memory-bound", "moving its bytes takes 80%"),
        (Work(1, 100, flops=9000), "compute-bound", "its arithmetic takes 90%"),
        (Work(1, 100, flops=4500, dtype="float64"), "compute-bound", "its arithmetic takes 90%"),
        (Work(1, 100, transcendentals=900), "compute-bound", "its arithmetic takes 90%"),
        (Work(1, 100), "compute-bound", "neither its calls (18% of its time) nor its bytes (1%)"),
    ],
)
def test_what_bounds_a_program_follows_from_the_roofs(work, name, reason):
    overhead = Overhead(call=5e-6 if not work.operations else 1e-6, operation=8e-7)
    machine = replace(ROOFS, copies={1: 1e9})
    found = find_bottleneck(work, 1e-5, overhead, machine)
    assert found.name == name
    assert reason in found.reason
    assert found.calls == pytest.approx(overhead.call + overhead.operation * work.operations)


def test_bytes_move_at_the_rate_of_the_memory_that_they_lie_in():
    work = Work(operations=10, bytes=10 << 20)
    found = find_bottleneck(work, 1.0, Overhead(0, 0), ROOFS)
    assert found.memory == pytest.approx((10 << 20) / 1e9)
    found = find_bottleneck(replace(work, operations=10 << 10), 1.0, Overhead(0, 0), ROOFS)
    assert found.memory == pytest.approx((10 << 20) / 1e10)


# numbers ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "text"),
    [(9.996e-7, "1.00 µs"), (9.994e-4, "999 µs"), (0.0, "0 ns"), (1234.0, "1,234 s")],
)
def test_times_are_rounded_to_three_digits(value, text):
    assert units.seconds(value) == text


def test_an_interval_has_the_unit_of_its_median():
    assert units.seconds_with_interval(Estimate(1.5e-3, 9e-4, 2e-3, 0.99, 9)) == (
        "1.50 ms (0.900–2.00)"
    )


def test_break_even_in_words():
    assert units.break_even(BreakEven(57, 50, 64, True)) == "57 (50–64)"
    assert units.break_even(BreakEven(57, 50, math.inf, True)) == "57 (50–never)"
    assert units.break_even(BreakEven(1, 1, 3, True)) == "at once"
    assert units.break_even(BreakEven(9, 3, math.inf, False)) == "no sure gain"
    assert units.break_even(BreakEven(math.inf, math.inf, math.inf, True)) == "never"
    assert units.break_even(None) == "–"


def test_tables_wrap_and_span():
    text = draw_table(
        [["a", "b"], None, Span("one two three"), None, ["c", "d e f"]], [3, 3], left=[0, 1]
    )
    assert text.splitlines() == [
        "┌─────┬─────┐",
        "│ a   │ b   │",
        "├─────┴─────┤",
        "│ one two   │",
        "│ three     │",
        "├─────┬─────┤",
        "│ c   │ d e │",
        "│     │ f   │",
        "└─────┴─────┘",
    ]
    assert as_ascii(text).isascii()


# data ---------------------------------------------------------------------------------------------


def test_json_is_strict_and_whole():
    never = timed("static", 3e-6, about(2.0), break_even=BreakEven(math.inf, 5, math.inf, True))
    text = written(compared(row_of(timed("dynamic", 12e-6), never)), "json")

    def refuse(name):
        raise AssertionError(f"{name} is not JSON")

    data = json.loads(text, parse_constant=refuse)
    cell = data["rows"][0]["cells"][1]
    assert cell["break_even"]["calls"] == "Infinity"
    assert cell["speed"] == "slower"
    assert cell["steady"]["value"] == 3e-6
    assert data["confidence"] == CONFIDENCE
    assert data["environment"]["cores"] >= 1


def test_csv_has_a_line_a_mode():
    refused = TimedCell("static", Failure("E", 'a "quoted", reason\nand more'))
    text = written(compared(PAIR, row_of(timed("dynamic", 1e-3), refused, bottleneck=None)), "csv")
    rows = list(csv.DictReader(io.StringIO(text)))
    assert list(rows[0]) == csv_headings(comparison.csv_columns())
    assert [row["mode"] for row in rows] == ["dynamic", "static"] * 2
    assert float(rows[1]["ratio"]) == 0.25
    assert rows[1]["speed"] == "faster"
    assert rows[3]["failure"] == 'a "quoted", reason'
    assert rows[3]["steady_seconds"] == ""


# files --------------------------------------------------------------------------------------------


def test_a_file_is_replaced_whole(tmp_path):
    path = tmp_path / "found.json"
    path.write_text("old")
    write_whole(path, "new")
    assert path.read_text() == "new"
    assert os.listdir(tmp_path) == ["found.json"]


def test_a_failed_write_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "found.json"
    path.write_text("old")

    def fail(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(OutputError, match="No space left on device"):
        write_whole(path, "new")
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["found.json"]


def test_places_that_cannot_be_written_are_refused(tmp_path, monkeypatch):
    with pytest.raises(OutputError, match=r"the folder .* does not exist"):
        check_writable(tmp_path / "missing" / "found.json")
    with pytest.raises(OutputError, match="is a folder"):
        check_writable(tmp_path)
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="is not a folder"):
        check_writable(tmp_path / "file" / "found.json")

    def deny(*_, **__):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("tempfile.mkstemp", deny)
    with pytest.raises(OutputError, match="Permission denied"):
        check_writable(tmp_path / "found.json")


def test_what_is_no_file_is_written_to_and_not_replaced(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    write_whole(pipe, "new")
    assert os.read(reader, 9) == b"new"
    os.close(reader)
    assert pipe.is_fifo() and os.listdir(tmp_path) == ["pipe"]


def test_a_link_stays_one_and_a_file_keeps_its_permissions(tmp_path):
    (tmp_path / "there").mkdir()
    path, link = tmp_path / "there" / "found.json", tmp_path / "link"
    path.write_text("old")
    path.chmod(0o600)
    link.symlink_to(path)
    write_whole(link, "new")
    assert link.is_symlink() and path.read_text() == "new"
    assert path.stat().st_mode & 0o777 == 0o600


def test_checking_leaves_nothing_behind(tmp_path):
    check_writable(tmp_path / "found.json")
    assert os.listdir(tmp_path) == []


# narrow, and in a browser -------------------------------------------------------------------------


@pytest.mark.parametrize("width", [100, 80, 60, 44])
def test_a_comparison_fits_the_terminal(width):
    text = str(compared(PAIR).text(width))
    assert max(map(len, text.splitlines())) <= width
    words = " ".join(text.split())
    for shown in ("12.0 µs", "4.00x", "57", "4.10 kB", "no bit"):
        assert shown in words


def test_the_same_failure_of_several_modes_is_shown_once():
    failure = Failure("SymbolicBoolError", "[SBS-301] asked by `while`")
    row = row_of(
        timed("dynamic", 1e-6), TimedCell("static", failure), TimedCell("static:native", failure)
    )
    text = str(compared(row).text())
    assert text.count("asked by `while`") == 1
    assert "static, static:native: [SBS-301]" in text


def test_extremes_are_those_that_noise_cannot_explain():
    unsure = timed("static", 1e-6, Estimate(0.1, 0.05, 1.2, CONFIDENCE, 9))
    rows = compared(PAIR, row_of(timed("dynamic", 1e-6), unsure))
    sentence = verdict.efficiency_verdict(verdict.pairs_of(rows), [])
    assert "10.0x" not in sentence
    assert "4.00x" in sentence
    only = compared(row_of(timed("dynamic", 1e-6), unsure))
    assert "no speed-up is sure" in verdict.efficiency_verdict(verdict.pairs_of(only), [])


def test_html_has_what_the_text_has_and_hides_no_markup():
    failure = Failure("TypeError", "no <b> here & there")
    html = written(compared(row_of(*PAIR.cells, TimedCell("torch", failure))), "html")
    for shown in ("12.0 µs", "4.00x", "57", "no &lt;b&gt; here &amp; there", "overhead-bound"):
        assert shown in html
    assert "<b>" not in html
    parsed = ElementTree.fromstring(
        html.partition("\n")[2]
        .replace("<meta", "<br")
        .replace('"utf-8">', '"utf-8"/>')
        .replace('device-width">', 'device-width"/>')
    )
    bars = [float(x.get("width")) for x in parsed.iter("rect")]
    assert bars[0] == pytest.approx(4 * bars[1], rel=0.01)


def test_a_notebook_shows_the_tables_of_the_page():
    found = compared(PAIR)
    page, shown = written(found, "html"), found._repr_html_()
    tables = re.findall(r"<table>.*?</table>", shown, re.DOTALL)
    assert len(tables) == 1
    assert all(table in page for table in tables)
    assert "faster than dynamic" in shown


# columns ------------------------------------------------------------------------------------------

LOSSES = np.float32([2.5, 1.0])
TRAINED = TrainingComparison(
    "mlp",
    0.9,
    80,
    20,
    (TrainingRecord("dynamic", LOSSES, 0.95, 1.5), TrainingRecord("static", LOSSES, 1, 1)),
    (Difference(0.0, 0.0), Difference(3.0, 1e-7)),
)
PROFILED = Profile(
    "seed",
    "1",
    3,
    False,
    (
        ModeProfile("dynamic", (OpProfile("add", "", 3, 2e-6),), 1e-5),
        ModeProfile("static", refusal="[SBS-301] no truth value"),
    ),
)
MATRIX = Matrix(
    ("dyngraph", "static", "rewrite"),
    (
        ExampleRow(
            "kepler",
            "",
            (
                ExampleCell("dyngraph", steady=about(1e-4)),
                ExampleCell("static", Failure("E", "[SBS-301] no <truth>"), breaks=(("print", 2),)),
                ExampleCell("rewrite", outcome="not tried"),
            ),
        ),
    ),
)
TABLE = Table(compared(PAIR), (TRAINED,), PAIR, 1.0)
RESULTS = [compared(PAIR), TABLE, TRAINED, PROFILED, MATRIX]


@pytest.mark.parametrize(
    ("result", "module", "columns"),
    [
        (compared(PAIR), comparison, "MODE_COLUMNS"),
        (TABLE, comparison, "MODE_COLUMNS"),
        (TRAINED, training, "RUN_COLUMNS"),
        (PROFILED, profile, "OP_COLUMNS"),
    ],
    ids=["comparison", "table", "training", "profile"],
)
def test_a_column_is_one_record_and_seen_everywhere(monkeypatch, result, module, columns):
    before = {how: written(result, how) for how in ("html", "json", "csv")}
    extra = Column("seven", lambda entry: 7e9, "hours of sleep", "G")
    monkeypatch.setattr(module, columns, (*getattr(module, columns), extra))
    if not isinstance(result, Table):  # whose text is drawn for both modes, not for each
        text = str(result.text())
        assert "hours of sleep" in text
        assert "7.00" in text
    assert "<th>hours of sleep</th>" in written(result, "html")
    assert '"seven": 7000000000.0' in written(result, "json")
    assert "seven" in written(result, "csv").splitlines()[0].split(",")
    assert "7000000000.0" in written(result, "csv").splitlines()[1].split(",")
    monkeypatch.undo()
    assert {how: written(result, how) for how in before} == before


def test_a_mode_of_the_matrix_is_a_column_and_what_a_cell_has_is_data(monkeypatch):
    extra = Column("seven", lambda cell: 7)
    monkeypatch.setattr(flexibility, "CELL_COLUMNS", (*flexibility.CELL_COLUMNS, extra))
    assert '"seven": 7' in written(MATRIX, "json")
    lines = list(csv.DictReader(io.StringIO(written(MATRIX, "csv"))))
    assert [line["column"] for line in lines] == ["dyngraph", "static", "rewrite"]
    assert [line["seven"] for line in lines] == ["7", "7", "7"]
    assert [line["seconds_low"] for line in lines] == [str(1e-4 * 0.98), "", ""]
    assert (lines[1]["failure"], lines[1]["broken"]) == ("SBS-301", "2")
    for heading in flexibility.matrix_columns(MATRIX.columns):
        assert f"<th>{heading.heading}</th>" in written(MATRIX, "html")
    assert "no &lt;truth&gt;" in written(MATRIX, "html")


def test_a_refused_mode_has_a_line_too():
    _, refused = csv.DictReader(io.StringIO(written(PROFILED, "csv")))
    assert refused["refusal"] == "[SBS-301] no truth value"
    assert refused["op"] == ""


@pytest.mark.parametrize("result", RESULTS, ids=lambda result: type(result).__name__)
def test_every_result_is_shown_and_written_in_the_same_ways(result, tmp_path):
    assert repr(result) == str(result) == str(result.text()) == repr(result.text())
    assert max(map(len, result.text(80).splitlines())) <= 80
    result.to_json(tmp_path / "a.json")
    result.to_csv(tmp_path / "a.csv")
    result.to_html(tmp_path / "a.html")
    assert json.loads((tmp_path / "a.json").read_text()) == result.to_data()
    assert (
        len({len(line) for line in csv.reader(io.StringIO((tmp_path / "a.csv").read_text()))}) == 1
    )
    page, shown = (tmp_path / "a.html").read_text(), result._repr_html_()
    tables = re.findall(r"<table.*?</table>", shown, re.DOTALL)
    assert tables and all(table in page for table in tables)


def test_each_type_of_result_says_how_it_is_shown():
    kinds = {*Result.__subclasses__(), *SavedResult.__subclasses__()} - {SavedResult}
    assert set(RENDERERS) == kinds
