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

from collections.abc import Generator, Iterator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from sidebyside.pytest_entries import Medians, SideBySide

MARKER = (
    "side_by_side(modes=..., refused=..., starts=False): in which modes a test with the fixture "
    "side_by_side runs; which of them are expected to refuse it; whether first results are entries "
    "of a group of their own"
)

_MEDIANS: pytest.StashKey[dict[str, Medians]] = pytest.StashKey()
_PASSED: pytest.StashKey[bool] = pytest.StashKey()


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


@pytest.hookimpl(hookwrapper=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> Iterator[None]:
    """Let pytest-benchmark know these tests as its own, whose fixture they ask for later.

    Else it skips them with ``--benchmark-only``.
    """
    closures: list[list[str]] = [getattr(item, "fixturenames", []) for item in items]
    ours = {id(names): names for names in closures if "side_by_side" in names}
    ours = {key: names for key, names in ours.items() if "benchmark" not in names}
    for names in ours.values():
        names.append("benchmark")
    yield
    for names in ours.values():
        names.remove("benchmark")


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, Any, None]:
    """Remember whether a test has passed: one that failed or was skipped need not have measured."""
    outcome = yield
    if call.when == "call":
        item.stash[_PASSED] = outcome.get_result().passed


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
        pytest.fail(f"{metafunc.definition.nodeid}: the marker is {MARKER}", pytrace=False)
    try:
        modes = mode_names(options.get("modes") or metafunc.config.option.side_by_side_modes)
        for name in (*modes, *mode_names(options.get("refused", ()))):
            find_mode(name)
    except SideBySideError as error:
        error.source = None  # the marker's, which is no line that is run
        pytest.fail(f"{metafunc.definition.nodeid}: {error}", pytrace=False)
    if not modes:
        pytest.fail(
            f"{metafunc.definition.nodeid}: no modes; name some, as in "
            "--side-by-side-modes=dynamic,static",
            pytrace=False,
        )
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
    if not found.called and test.stash.get(_PASSED, False):
        pytest.fail("the test never called side_by_side", pytrace=False)
