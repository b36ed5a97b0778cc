"""Memory that runs out is the named error, in both modes and by every backend."""

import subprocess
import sys

import numpy as np
import pytest

import dyngraph as dg
import staticgraph as sg
from oplibrary.messages.errors import OutOfMemoryError

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


MATRIX, INDICES = np.ones((4, 4), "float32"), np.array([0, 1, 2, 1])
WIDE = 2**40
BEYOND = {
    "zeros": lambda xp, x, i: xp.zeros((WIDE, WIDE)),
    "zeros of nothing": lambda xp, x, i: xp.zeros((0, 2**62, 2**62)),
    "eye": lambda xp, x, i: xp.eye(2**64),
    "reshape": lambda xp, x, i: xp.reshape(x[:0], (0, 2**62, 2**62)),
    "pad": lambda xp, x, i: xp.pad(x, (0, 2**62)),
    "pad by more": lambda xp, x, i: xp.pad(x, (0, 2**64)),
    "tile": lambda xp, x, i: xp.tile(x, 2**62),
    "repeat": lambda xp, x, i: xp.repeat(x, 2**62),
    "repeat, where the product is 0 in 64 bits": lambda xp, x, i: xp.repeat(x, 2**60),
    "repeat of nothing": lambda xp, x, i: xp.repeat(x[:, :0], 2**62, axis=0),
    "repeat, a number each": lambda xp, x, i: xp.repeat(x, [2**62, 2**62, 1, 1], axis=0),
    "repeat, one number in a list": lambda xp, x, i: xp.repeat(x, [2**62]),
    "broadcast_to": lambda xp, x, i: xp.broadcast_to(x[0, 0], (WIDE, WIDE)),
    "fft2": lambda xp, x, i: xp.fft.fft2(x, (WIDE, WIDE)),
    "one_hot": lambda xp, x, i: xp.one_hot(i, 2**62),
    "segment_sum": lambda xp, x, i: xp.segment_sum(x, i, 2**64),
    "concat": lambda xp, x, i: xp.concat([xp.broadcast_to(x[0, 0], (2**60,))] * 4),
    "outer": lambda xp, x, i: xp.outer(*[xp.broadcast_to(x[0, 0], (WIDE,))] * 2),
    "uniform": lambda xp, x, i: xp.uniform(xp.random_key(0), (WIDE, WIDE)),
    "interpolate": lambda xp, x, i: xp.interpolate(x[None], size=2**62),
    "conv": lambda xp, x, i: xp.conv2d(x[None, None], x[None, None], padding=2**62),
    "histogram": lambda xp, x, i: xp.histogram(x, 2**62),
    "more than any memory": lambda xp, x, i: xp.repeat(x, 2**56),
    "more than any memory, known": lambda xp, x, i: xp.exp(
        xp.broadcast_to(xp.asarray(1.0), (2**56,))
    ),
}


@pytest.mark.parametrize("name", BEYOND)
def test_what_no_memory_holds_is_the_named_error_in_both_modes(name):
    with pytest.raises(OutOfMemoryError):
        BEYOND[name](dg, dg.tensor(MATRIX), dg.tensor(INDICES))
    for backend in ("interpret", None):
        with pytest.raises(OutOfMemoryError):
            sg.function(lambda x, i: BEYOND[name](sg, x, i), backend=backend)(MATRIX, INDICES)
