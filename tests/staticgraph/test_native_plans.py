"""What the planner decides for some programs is what it decided when that was last looked at."""

import pytest

pytest.importorskip("llvmlite")

from tests.staticgraph.plan_listing import LINES, PROGRAMS, line

RECORDED = dict(each.split(": ", 1) for each in LINES.read_text().splitlines())


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_plan_is_what_it_was(name):
    expected = f"{name}: {RECORDED.get(name)}"
    how = f"compare `python -m tests.staticgraph.plan_listing {name}` before and after"
    assert line(name) == expected, f"{how}; where the change is meant, run it without a name"


def test_nothing_else_is_recorded():
    assert list(RECORDED) == list(PROGRAMS)
