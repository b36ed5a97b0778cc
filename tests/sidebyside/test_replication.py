"""Comparisons in processes of their own: what travels, what is said first, and what is lost."""

import os
import sys
import time

import numpy as np
import pytest

import sidebyside as sbs
from sidebyside.measuring.processes import CAN_STOP
from sidebyside.measuring.scrutiny import Scrutiny
from sidebyside.measuring.statistics import Estimate
from sidebyside.measuring.travel import pack, unpack
from sidebyside.results.comparison import Row, TimedCell
from sidebyside.results.decision import decide_from
from sidebyside.studies import replication
from sidebyside.studies.mode_process import Built, ModeProcessError
from sidebyside.studies.settings import Settings
from sidebyside.studies.subject import subject_of
from sidebyside.studies.team import CONTROL

pytestmark = pytest.mark.skipif(not CAN_STOP, reason="needs processes that can stand still")

FAST = {"budget": 0.12, "replicates": 2}


def make_sum():
    x = np.arange(4.0)
    return lambda: x + x


def make_doubled():
    x = np.arange(4.0)
    return lambda: x * 2


def make_crash():
    return lambda: os.abort()


def make_hang():
    return lambda: time.sleep(600)


def make_other():
    return lambda: np.arange(4.0) * 3


def make_counting():
    state = {"calls": 0}
    x = np.ones(3)

    def step():
        state["calls"] += 1
        print("called")
        x[0] += 1
        return x.copy()

    return step


def make_forking():
    def step():
        os.fork()
        return np.arange(4.0) * 2

    return step


def make_writing():
    def step():
        os.write(1, b"x")
        return np.arange(4.0) * 2

    return step


def make_reading():
    return lambda: input("what? ")


def make_random():
    rng = np.random.default_rng()
    return lambda: rng.random(3)


@pytest.fixture(scope="module")
def found():
    return sbs.compare(
        {
            "sum": make_sum,
            "doubled": make_doubled,
            "crash": make_crash,
            "hang": make_hang,
            "other": make_other,
            "forking": make_forking,
            "writing": make_writing,
            "reading": make_reading,
        },
        time_limit=6,
        **FAST,
    )


def test_each_mode_is_timed_in_several_processes(found):
    row = found.rows[0]
    assert (row.reference, row.replicates) == ("sum", 2)
    assert found.environment["one_process"] == ""
    for name in ("sum", "doubled"):
        cell = row.cell(name)
        assert len(cell.replicates) == 2
        assert all(each.start > 0 and each.warm > 0 for each in cell.replicates)
        assert all(np.all(each.blocks > 0) for each in cell.replicates)
    assert row.cell("doubled").difference.ulp == 0


def test_every_report_has_its_control_and_says_what_can_be_seen(found):
    row = found.rows[0]
    assert row.control.known
    assert row.visible > 0
    text = str(found)
    assert text.index("Control: sum against itself takes") < text.index("a call")


def test_a_mode_that_crashes_or_hangs_is_one_red_cell(found):
    row = found.rows[0]
    assert row.cell("crash").failure.kind == "crashed"
    assert "SIGABRT" in row.cell("crash").failure.text
    assert row.cell("hang").failure.kind == "timed out"
    assert row.cell("sum").failure is None


def test_a_program_that_would_spoil_the_measuring_of_all_is_stopped(found):
    row = found.rows[0]
    assert "both processes return from it" in row.cell("forking").failure.text
    assert row.cell("reading").failure.kind == "EOFError"  # and no message of ours was read
    assert row.cell("writing").failure is None


def test_modes_that_disagree_are_not_timed(found):
    failure = found.rows[0].cell("other").failure
    assert failure.disagrees
    assert "result 0[3] is 9.0 against 6.0" in failure.text
    assert found.disagrees


def test_any_pair_has_its_break_even_cold_and_warm(found):
    row = found.rows[0]
    for start in ("cold", "warm"):
        assert row.break_even("doubled", "sum", start).calls >= 1
        assert row.saving("sum", "doubled", 100, start).count == 2
    assert row.break_even("crash", "sum") is None


def test_what_a_program_does_beside_computing_is_said_first():
    factor = 2.0  # a closure travels
    found = sbs.compare({"a": make_counting, "b": lambda: lambda: factor * np.ones(3)}, **FAST)
    notes = " ".join(found.rows[0].notes)
    assert "its results change from call to call" in notes
    assert "prints" in notes
    failure = found.rows[0].cell("b").failure
    assert failure.disagrees
    assert "random numbers" in failure.text
    assert "frozen" not in failure.text  # no line of the interpreter's own
    assert str(found).index("Note: ") < str(found).index("a call")


def test_what_is_not_deterministic_is_compared_by_shape():
    row = sbs.compare({"a": make_random, "b": make_random}, **FAST).rows[0]
    assert "not deterministic" in row.notes[0]
    assert row.cell("b").failure is None


def test_code_that_cannot_travel_is_measured_here_and_that_is_said():
    frame = sys._getframe()
    found = sbs.compare({"a": lambda: lambda: np.ones(2) * bool(frame)}, budget=0.12)
    assert "cannot be sent to another" in found.environment["one_process"]
    assert "All modes in one process, since the program" in str(found).replace("\n", " ")


def test_code_travels_with_the_name_of_its_file():
    factor = 3
    step = unpack(pack(lambda x: [factor * each for each in x]))
    assert step([1, 2]) == [3, 6]
    assert step.__code__.co_filename == __file__


def test_an_interruption_keeps_what_was_measured(monkeypatch):
    calls = []

    def interrupted(self, team, run=replication.Experiment.run):
        calls.append(self)
        if len(calls) == 2:
            raise KeyboardInterrupt
        run(self, team)

    monkeypatch.setattr(replication.Experiment, "run", interrupted)
    with pytest.raises(KeyboardInterrupt) as caught:
        sbs.compare({"sum": make_sum, "doubled": make_doubled}, **FAST)
    partial = caught.value.partial
    assert partial.environment["interrupted"]
    assert partial.rows[0].replicates == 1


class Answers:
    """Answers in the place of processes; some requests to some modes fail."""

    def __init__(self, *failing):
        self.failing = failing
        self.asked = []

    def repeat(self, reference):
        self.asked.append((CONTROL, "repeat"))

    def ask(self, label, request, *arguments):
        self.asked.append((label, request))
        if (label, request, self.asked.count((label, request))) in self.failing:
            raise ModeProcessError("ended by SIGKILL", "crashed", lost=True)
        return {
            "build": Built(0.01, 0.005, {}, (), [np.ones(2)]),
            "results": [[np.ones(2)]] * 2,
            "examine": Scrutiny(),
            "warm_up": 1e7,
            "block": 1e-3 + 1e-9 * len(self.asked),
            "memory": (None, None),
            "pools": [],
        }.get(request)


def row_of(*failing, replicates=4):
    subject = subject_of({"a": make_sum, "b": make_sum, "c": make_sum})
    settings = Settings(budget=1.0, replicates=replicates)
    experiment = replication.Experiment(subject, settings, lambda text: None)
    team = Answers(*failing)
    while not experiment.done and team.asked.count((CONTROL, "repeat")) < 9:
        experiment.run(team)
        experiment.look()
    return experiment.row()


def test_a_mode_that_fails_later_leaves_what_was_measured_of_the_others():
    row = row_of(("b", "warm_up", 3))
    assert (row.reference, row.replicates) == ("a", 4)
    assert row.cell("b").failure.kind == "crashed" and row.cell("b").steady is None
    assert len(row.cell("c").replicates) == 4 and row.control is not None


def test_a_repetition_without_its_control_is_left_out():
    whole = row_of()
    row = row_of((CONTROL, "block", 9))
    assert (whole.notes, whole.replicates, row.replicates) == ((), 4, 4)
    assert "one repetition is left out" in row.notes[0]
    assert all(len(cell.replicates) == 4 for cell in row.cells)


@pytest.mark.parametrize("request_", ["examine", "warm_up", "block"])
def test_where_the_reference_fails_later_there_is_no_verdict(request_):
    row = row_of(("a", request_, 1))
    assert row.reference == "b" and row.cell("a").failure is not None
    assert row.cell("c").speed == "no verdict" and not row.trusted
    assert row.notes == (
        "a failed after the first results, with which all were compared: b is the reference, "
        "without a control",
    )
    found = decide_from(sbs.Comparison((row,), {}), "NumPy")
    assert "Undecided: a failed while it was measured" in found.sentence
    assert "c has no verdict against b: it has no control" in str(found)


def test_where_the_control_fails_there_is_no_verdict():
    ratio = Estimate(0.5, 0.4, 0.6, 0.99, 8)
    cells = (TimedCell("a"), TimedCell("b", ratio=ratio, withheld=True))
    row = Row("w", "", "", cells, "a", control=Estimate(1.1, 1.05, 1.2, 0.99, 8), visible=0.1)
    assert not row.trusted
    assert row.cells[1].speed == "no verdict"
    assert not sbs.Comparison((row,), {}).slower_than(0.1)
