"""Settings of every test process."""

import gc
import os
import signal
import sys
from textwrap import dedent

import pytest

# Several test processes share the cores, and BLAS threads that wait for a core another process
# holds make a product of small matrices a hundred times slower.
for variable in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS"):
    os.environ.setdefault(variable, "1")
# torch.compile would start a process that compiles beside each of the many that compile one program
os.environ.setdefault("TORCHINDUCTOR_COMPILE_THREADS", "1")
# tests change what would be built, and nothing of that may be found by others
os.environ.setdefault("SIDEBYSIDE_CACHE", "off")


def pytest_configure():
    """Keep what the planner of machine code fails at: a program is right without it, and slow."""
    try:
        from staticgraph.backends.native.run import fallback
    except ImportError:  # without llvmlite
        return
    plan = fallback.plan_what_works

    def watched(program, make):
        found = plan(program, make)
        whys = (
            [found] if isinstance(found, str) else [why for _, why in found[0].definitions.reasons]
        )
        planner_faults.extend(why for why in whys if fallback.FAULT in why)
        return found

    fallback.plan_what_works = watched


planner_faults = []


@pytest.fixture(autouse=True)
def no_fault_of_the_planner(request):
    """Fail a test in which the planner had a fault, unless the test is about that."""
    planner_faults.clear()
    yield
    assert not planner_faults or request.node.get_closest_marker("planner_faults"), planner_faults


@pytest.fixture
def keyboard():
    """Let Ctrl-C interrupt, also where whoever started the tests has it ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture
def install(tmp_path, monkeypatch):
    """Return a function that installs a distribution of one module into a folder of its own."""
    modules = []

    def put(name, group, points, source=""):
        folder = tmp_path / name
        metadata = folder / f"{name}-2.5.dist-info"
        metadata.mkdir(parents=True)
        (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 2.5\n")
        (metadata / "entry_points.txt").write_text(f"[{group}]\n{points}\n")
        modules.append(f"{name}_module")
        (folder / f"{name}_module.py").write_text(dedent(source))
        monkeypatch.syspath_prepend(str(folder))

    yield put
    for module in modules:
        sys.modules.pop(module, None)


def pytest_collection_finish():
    """Leave what is imported out of later collections of garbage, of which measuring does many."""
    gc.collect()
    gc.freeze()


def pytest_runtest_logstart(nodeid):
    """Leave out, too, what the tests of a file have left in caches, theirs and other libraries'.

    Many a test collects, which took seconds once a process had run some ten thousand others.
    """
    file = nodeid.partition("::")[0]
    if _last_file[0] != file:
        _last_file[0] = file
        gc.collect(1)
        gc.freeze()


_last_file = [""]
