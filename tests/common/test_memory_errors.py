"""Memory that runs out is the named error, in both modes and by every backend."""

import subprocess
import sys

import pytest

pytest.importorskip("resource")

PROGRAM = """
import copy, resource, numpy as np, staticgraph as sg, dyngraph as dg
from oplibrary.messages.errors import OutOfMemoryError

LARGE = 1 << 28  # 2 GiB of float64
ONE = np.ones(1)


def wide(xp, x):
    return xp.broadcast_to(x, (LARGE,))


programs = {
    "elementwise": lambda xp, x: xp.exp(wide(xp, x) + 1),
    "copied": wide,
    "reduced": lambda xp, x: xp.sum(xp.cumsum(wide(xp, x), axis=0)),
    "sorted": lambda xp, x: xp.sum(xp.sort(wide(xp, x))),
    "joined": lambda xp, x: xp.concat([wide(xp, x)] * 2, axis=0),
    "cast": lambda xp, x: xp.cast(wide(xp, x), "int64"),
}
calls = {}
for backend in sys.argv[1:]:
    for name, program in programs.items():
        with sg.Graph():
            x = sg.placeholder("x", (1,), "float64")
            run = sg.compile(program(sg, x), [x], backend=backend)
        calls[backend, name] = lambda run=run: run(ONE)
        calls[backend, name, "by name"] = lambda run=run: run(x=ONE)
    with sg.Graph():
        x = sg.placeholder("x", (sg.dim("n"), 1), "float64")
        run = sg.compile(sg.sum(x), [x], backend=backend)
    calls[backend, "feed"] = lambda run=run: run(np.broadcast_to(1.0, (LARGE, 1)))
    calls[backend, "named feed"] = lambda run=run: run(x=np.broadcast_to(1.0, (LARGE, 1)))

t = dg.tensor(ONE)
for name, program in programs.items():
    if name != "copied":
        calls["dyngraph", name] = lambda program=program: program(dg, t)
calls |= {
    "clone": lambda: wide(dg, t).clone(),
    "deepcopy": lambda: copy.deepcopy(wide(dg, t)),
    "tensor": lambda: dg.tensor(np.broadcast_to(1.0, (LARGE,))),
    "tolist": lambda: wide(dg, t).tolist(),
    "zeros": lambda: dg.zeros((LARGE,), dtype="float64"),
    "gradient": lambda: dg.grad(lambda t: dg.sum(dg.exp(wide(dg, t))))(t),
}
graph = sg.Graph()


def variable():
    with graph:
        sg.variable(np.broadcast_to(1.0, (LARGE,)))


calls["variable"] = variable
used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + (1 << 30), resource.RLIM_INFINITY))
for name, call in calls.items():
    try:
        call()
    except OutOfMemoryError as error:
        assert "[SBS-105]" in str(error)
    else:
        raise AssertionError(f"{name} found memory")
print(len(calls))
"""


@pytest.mark.skipif(
    sys.platform != "linux", reason="the memory of a process is bounded as on Linux"
)
def test_memory_that_runs_out_is_the_named_error(tmp_path):
    backends = ["interpret", "numpy"]
    path = tmp_path / "program.py"
    path.write_text("import sys" + PROGRAM)
    found = subprocess.run(
        [sys.executable, str(path), *backends], capture_output=True, text=True, timeout=300
    )
    assert found.returncode == 0, found.stderr[-2000:]
