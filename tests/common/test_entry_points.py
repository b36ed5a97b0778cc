"""What other distributions enter: found by name, loaded when asked, and skipped if broken."""

import sys
import warnings
from textwrap import dedent

import pytest

from oplibrary.core.entry_points import load_entry_points
from oplibrary.messages.errors import BrokenEntryPointWarning

GROUP = "sidebyside_test.things"


@pytest.fixture
def install(tmp_path, monkeypatch):
    """Return a function that installs a distribution of one module into a folder of its own."""

    def put(name, points, source=""):
        folder = tmp_path / name
        metadata = folder / f"{name}-2.5.dist-info"
        metadata.mkdir(parents=True)
        (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 2.5\n")
        (metadata / "entry_points.txt").write_text(f"[{GROUP}]\n{points}\n")
        (folder / f"{name}_module.py").write_text(dedent(source))
        monkeypatch.syspath_prepend(str(folder))

    yield put
    for module in [each for each in sys.modules if each.endswith("_module")]:
        del sys.modules[module]


def loaded(**options):
    with warnings.catch_warnings(record=True) as given:
        warnings.simplefilter("always")
        found = load_entry_points(GROUP, str, **options)
    return found, [str(each.message) for each in given]


def test_values_and_functions_that_return_them(install):
    points = "a = one_module:thing\nb = one_module:make"
    install("one", points, "thing = 'A'\ndef make(): return 'B'")
    assert loaded() == ({"a": "A", "b": "B"}, [])


def test_only_what_is_asked_for_is_loaded(install):
    install("one", "a = one_module:thing", "thing = 'A'")
    install("two", "b = two_module:thing", "raise RuntimeError('loaded')")
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
def test_a_broken_one_is_named_and_skipped_and_others_are_not(install, kind):
    points, source, cause = BROKEN[kind]
    install("one", points, source)
    install("two", "good = two_module:thing", "thing = 'G'")
    found, (message,) = loaded(builtin=["taken"])
    assert found == {"good": "G"}
    assert "[SBS-501]" in message and "of distribution one 2.5 is skipped" in message
    assert cause in message and points in message


def test_two_distributions_of_one_name(install):
    install("two", "x = two_module:thing", "thing = 'two'")
    install("one", "x = one_module:thing", "thing = 'one'")
    found, (message,) = loaded()
    assert found == {"x": "one"}
    assert "of distribution two 2.5" in message and "distribution one 2.5 has that name" in message


def test_the_warning_can_be_made_an_error(install):
    install("one", "x = nowhere:thing")
    with pytest.raises(BrokenEntryPointWarning, match="nowhere"):
        load_entry_points(GROUP, str)
