"""A pytest plugin: one test is a group of pytest-benchmark, with an entry for each mode.

::

    def test_step(side_by_side):
        side_by_side(step, x, w, wrt=(1,))        # step(xp, x, w)

The test runs once in each mode. Every time the results are held against those of the first mode
before anything is timed; a mode that cannot run the program, or computes something else, fails.

pytest loads this file wherever sidebyside is installed, so it stands outside of the library and
loads it once a test has the fixture.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from sidebyside.pytest_entries import Medians, SideBySide

MARKER = (
    "side_by_side(modes=..., refused=..., starts=False): in which modes a test with the fixture "
    "side_by_side runs; which of them are expected to refuse it; whether first results are entries "
    "of a group of their own"
)

_MEDIANS: pytest.StashKey[dict[str, Medians]] = pytest.StashKey()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add ``--side-by-side-modes``."""
    group = parser.getgroup("sidebyside")
    group.addoption(
        "--side-by-side-modes",
        default="dynamic,static",
        metavar="A,B",
        help="modes of tests with the fixture side_by_side; the first is the reference "
        "(default: %(default)s)",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Say what the marker means."""
    config.addinivalue_line("markers", MARKER)
    config.stash[_MEDIANS] = {}


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a test with the fixture once in each mode."""
    if "side_by_side" not in metafunc.fixturenames:
        return
    from oplibrary.messages.errors import SideBySideError
    from sidebyside.modes import find_mode
    from sidebyside.modes.registry import mode_names

    marker = metafunc.definition.get_closest_marker("side_by_side")
    options = marker.kwargs if marker is not None else {}
    unknown = set(options) - {"modes", "refused", "starts"}
    if unknown or (marker is not None and marker.args):
        raise pytest.UsageError(f"{metafunc.definition.nodeid}: the marker is {MARKER}")
    try:
        modes = mode_names(options.get("modes") or metafunc.config.option.side_by_side_modes)
        for name in modes:
            find_mode(name)
    except SideBySideError as error:
        raise pytest.UsageError(f"{metafunc.definition.nodeid}: {error}") from None
    entries = [(name, modes[0], False) for name in modes]
    if options.get("starts", False):
        entries += [(name, modes[0], True) for name in modes]
    names = [f"{name}-start" if start else name for name, _, start in entries]
    metafunc.parametrize("side_by_side", entries, indirect=True, ids=names)


@pytest.fixture
def side_by_side(request: pytest.FixtureRequest) -> Iterator[SideBySide]:
    """Time a program in one mode after the other, each checked against the first.

    What it takes and gives is said at `sidebyside.pytest_entries.SideBySide.__call__`.
    """
    if not request.config.pluginmanager.has_plugin("benchmark"):
        pytest.fail(
            "side_by_side needs pytest-benchmark: pip install pytest-benchmark", pytrace=False
        )
    from sidebyside.modes.registry import mode_names
    from sidebyside.pytest_entries import SideBySide

    marker = request.node.get_closest_marker("side_by_side")
    refused = mode_names(marker.kwargs.get("refused", ())) if marker is not None else ()
    test = request.node
    group = test.nodeid.partition("[")[0]
    others = {n: v for n, v in test.callspec.params.items() if n != "side_by_side"}
    if others:
        group += f"[{', '.join(f'{name}={value}' for name, value in others.items())}]"
    medians = request.config.stash[_MEDIANS].setdefault(group, {})
    found = SideBySide(
        request.param, lambda: request.getfixturevalue("benchmark"), group, medians, refused
    )
    yield found
    if not found.called:
        pytest.fail("the test never called side_by_side", pytrace=False)
