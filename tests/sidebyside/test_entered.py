"""Modes and workloads of other distributions: they run like ours, and what is broken is skipped."""

import numpy as np
import pytest

import sidebyside as sbs
from oplibrary.messages.errors import ArgumentError, BrokenEntryPointWarning, WorkloadError
from sidebyside.cli import main
from sidebyside.modes import find_mode
from sidebyside.studies.flexibility import measure_flexibility
from sidebyside.studies.flexibility.columns import choose_peers

MODES, WORKLOADS = "sidebyside.modes", "sidebyside.workloads"

MODE = """
import numpy as np
from sidebyside import Mode, Prepared

def prepare_calls(workload, static):
    function = workload.function
    return Prepared(lambda *arguments: function(np, *arguments))

mode = Mode.of_calls("mine", "NumPy, by somebody else", prepare_calls, namespace=np)
"""

WORKLOAD = """
import numpy as np
from sidebyside import Workload

workload = Workload(
    lambda xp, x: xp.tanh(x) * 2,
    inputs=lambda rng, size: (np.ones(3, "float32"),),
    name="doubled",
    title="a doubled tangent",
)
"""


@pytest.fixture
def entered(install):
    install("modes_of_others", MODES, "mine = modes_of_others_module:mode", MODE)
    install("works_of_others", WORKLOADS, "doubled = works_of_others_module:workload", WORKLOAD)


@pytest.mark.usefixtures("entered")
def test_a_mode_and_a_workload_from_outside_are_compared(capsys):
    row = sbs.compare(sbs.find_workload("doubled"), ("dynamic", "mine"), budget=0.02).rows[0]
    assert row.title == "a doubled tangent"
    assert row.cell("mine").difference.relative < 1e-6
    assert row.cell("mine").steady.value > 0
    assert main(["compare", "doubled", "--modes", "dynamic,mine", "--budget", "0.02"]) == 0
    assert "mine" in capsys.readouterr().out
    assert main(["list"]) == 0
    listed = capsys.readouterr().out
    assert "a doubled tangent" in listed
    assert "  mine\n" in listed


@pytest.mark.usefixtures("entered")
def test_a_mode_from_outside_runs_examples(tmp_path):
    path = tmp_path / "plain.py"
    path.write_text(
        "import numpy as np\n"
        "from sidebyside import Example\n"
        "def double(xp, x):\n"
        "    return x * 2 if x > 1 else x\n"
        "PROGRAMS = (Example(double, inputs=lambda: [(np.array(x),) for x in (1.0, 3.0)]),)\n"
    )
    assert choose_peers("mine") == ("mine",)
    matrix = measure_flexibility([str(path)], peers="mine", budget=0.01)
    assert matrix.rows[0].cell("mine").outcome == "ran"


@pytest.mark.usefixtures("entered")
def test_those_from_outside_are_named_where_a_name_is_unknown():
    with pytest.raises(ArgumentError, match="did you mean 'mine'"):
        find_mode("mime")
    with pytest.raises(WorkloadError, match="did you mean 'doubled'"):
        sbs.find_workload("doubles")


BROKEN = {
    "missing module": ("broken = nowhere_at_all:thing", "No module named 'nowhere_at_all'"),
    "wrong type": ("broken = broken_module:number", "its value is of type int"),
    "duplicate mode": ("static = broken_module:number", "the library itself has that name"),
    "duplicate workload": ("seed = broken_module:number", "the library itself has that name"),
}


@pytest.mark.usefixtures("entered")
@pytest.mark.parametrize("kind", BROKEN)
@pytest.mark.parametrize("group", [MODES, WORKLOADS])
def test_a_broken_one_is_named_and_nothing_else_fails(install, capsys, group, kind):
    if kind.startswith("duplicate") and kind.split()[1] not in group:
        pytest.skip("that name is taken in the other group")
    points, cause = BROKEN[kind]
    install("broken", group, points, "number = 3")
    with pytest.warns(BrokenEntryPointWarning) as given:
        assert main(["list"]) == 0
    (warning,) = [str(each.message) for each in given]
    assert "distribution broken 2.5 is skipped" in warning
    assert cause in warning
    assert "doubled" in capsys.readouterr().out
    row = sbs.compare(sbs.find_workload("doubled"), ("static", "mine"), budget=0.02).rows[0]
    np.testing.assert_array_equal([cell.outcome for cell in row.cells], ["ran", "ran"])


def test_a_broken_one_that_is_asked_for_is_unknown_and_says_why(install):
    install("broken", MODES, "broken = broken_module:number", "number = 3")
    with (
        pytest.warns(BrokenEntryPointWarning, match="its value is of type int"),
        pytest.raises(ArgumentError, match="there is no mode 'broken'"),
    ):
        find_mode("broken")


def test_the_api_is_all_that_is_shown():
    assert dir(sbs) == sorted(sbs.__all__)
