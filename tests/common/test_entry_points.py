"""What other distributions enter: found by name, loaded when asked, and skipped if broken."""

import sys
import warnings

import pytest

from oplibrary.core.entry_points import load_entry_points
from oplibrary.messages.errors import BrokenEntryPointWarning

GROUP = "sidebyside_test.things"


@pytest.fixture
def enter(install):
    """Return a function that installs a distribution with entry points of the group."""
    return lambda name, points, source="": install(name, GROUP, points, source)


def loaded(**options):
    with warnings.catch_warnings(record=True) as given:
        warnings.simplefilter("always")
        found = load_entry_points(GROUP, str, **options)
    return found, [str(each.message) for each in given]


def test_values_and_functions_that_return_them(enter):
    points = "a = one_module:thing\nb = one_module:make"
    enter("one", points, "thing = 'A'\ndef make(): return 'B'")
    assert loaded() == ({"a": "A", "b": "B"}, [])


def test_only_what_is_asked_for_is_loaded(enter):
    enter("one", "a = one_module:thing", "thing = 'A'")
    enter("two", "b = two_module:thing", "raise RuntimeError('loaded')")
    assert loaded(name="a") == ({"a": "A"}, [])
    assert loaded(name="c") == ({}, [])
    assert "two_module" not in sys.modules


BROKEN = {
    "missing module": ("x = nowhere:thing", "", "No module named 'nowhere'"),
    "missing name": ("x = one_module:thing", "", "has no attribute 'thing'"),
    "failing module": ("x = one_module:thing", "1 / 0", "ZeroDivisionError: division by zero"),
    "bad syntax": ("x = one_module:thing", "def", "SyntaxError"),
    "wrong type": (
        "x = one_module:thing",
        "thing = 3",
        "its value is of type int, and str is expected",
    ),
    "wrong result": ("x = one_module:make", "def make(): return 3", "its value is of type int"),
    "failing function": ("x = one_module:make", "def make(): raise OSError('no')", "OSError: no"),
    "taken by a builtin": ("taken = one_module:thing", "thing = 'A'", "the library itself has"),
}


@pytest.mark.parametrize("kind", BROKEN)
def test_a_broken_one_is_named_and_skipped_and_others_are_not(enter, kind):
    points, source, cause = BROKEN[kind]
    enter("one", points, source)
    enter("two", "good = two_module:thing", "thing = 'G'")
    found, (message,) = loaded(builtin=["taken"])
    assert found == {"good": "G"}
    assert "[SBS-501]" in message and "of distribution one 2.5 is skipped" in message
    assert cause in message and points in message


def test_two_distributions_of_one_name(enter):
    enter("two", "x = two_module:thing", "thing = 'two'")
    enter("one", "x = one_module:thing", "thing = 'one'")
    found, (message,) = loaded()
    assert found == {"x": "one"}
    assert "of distribution two 2.5" in message and "distribution one 2.5 has that name" in message


def test_the_warning_can_be_made_an_error(enter):
    enter("one", "x = nowhere:thing")
    with pytest.raises(BrokenEntryPointWarning, match="nowhere"):
        load_entry_points(GROUP, str)
