"""Convolutions by machine code: windows are read where they are, and right in every geometry."""

import os
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("llvmlite")

import staticgraph as sg
from oplibrary.machine.target import host_target
from oplibrary.ops.image_lowering import windows
from staticgraph.backends.native.definitions import correlation
from staticgraph.backends.native.definitions.correlation import Correlation

GEOMETRIES = {
    "digits": ((64, 8, 8, 8), (16, 8, 3, 3), {"padding": 1}),
    "one channel": ((5, 1, 28, 28), (7, 1, 3, 3), {"padding": 1}),
    "lines of no whole vectors": ((3, 5, 9, 31), (5, 5, 3, 4), {}),
    "lines shorter than a vector": ((3, 5, 9, 11), (7, 5, 3, 3), {}),
    "long lines": ((2, 3, 5, 150), (13, 3, 3, 3), {"padding": (1, 2)}),
    "one line": ((2, 4, 3, 40), (6, 4, 3, 3), {}),
    "groups and dilation": ((3, 6, 19, 23), (8, 3, 5, 3), {"groups": 2, "dilation": (1, 2)}),
    "strides down": ((2, 3, 40, 40), (5, 3, 3, 3), {"stride": (2, 1)}),
    "strides": ((2, 3, 41, 38), (5, 3, 3, 3), {"stride": (2, 3), "padding": 1}),
    "strides beyond a window": ((2, 3, 41, 38), (5, 3, 2, 1), {"stride": 3}),
    "lines of 4": ((9, 3, 6, 6), (4, 3, 3, 3), {}),
    "a window of one": ((4, 3, 12, 12), (5, 3, 1, 1), {}),
    "one image": ((1, 16, 40, 40), (24, 16, 3, 3), {"padding": 1}),
}


def built(x, w, options, backend="native", gradients=True):
    with sg.Graph():
        a = sg.placeholder("a", x.shape, x.dtype)
        b = sg.placeholder("b", w.shape, w.dtype)
        y = sg.conv2d(a, b, **options)
        outputs = [y, *sg.gradients(sg.sum(y * y), [a, b])] if gradients else [y]
        return sg.compile(outputs, [a, b], backend=backend)


def operands(x_shape, w_shape, dtype):
    rng = np.random.default_rng(0)
    return [rng.standard_normal(shape).astype(dtype) for shape in (x_shape, w_shape)]


def correlations(run):
    steps = [getattr(step, "definition", None) for step in run.plan.grouping.steps]
    return [step for step in steps if isinstance(step, Correlation)]


def agree(run, oracle, x, w):
    for found, wanted in zip(run(x, w), oracle(x, w), strict=True):
        bound = 50 * np.finfo(x.dtype).eps * np.abs(wanted).max()
        np.testing.assert_allclose(found, wanted, rtol=0, atol=bound)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", GEOMETRIES)
def test_forward_and_gradients(name, dtype):
    *shapes, options = GEOMETRIES[name]
    x, w = operands(*shapes, dtype)
    run = built(x, w, options)
    assert "left to NumPy" not in run.report()
    agree(run, built(x, w, options, "numpy"), x, w)


@pytest.mark.parametrize("bytes_", [16, 32, 64])
@pytest.mark.parametrize("name", ["digits", "lines of no whole vectors", "long lines"])
def test_tiles_of_every_width(name, bytes_, monkeypatch):
    target = replace(host_target(), vector_bytes=min(bytes_, host_target().vector_bytes))
    monkeypatch.setattr(correlation, "host_target", lambda: target)
    *shapes, options = GEOMETRIES[name]
    x, w = operands(*shapes, "float32")
    run = built(x, w, options)
    (forward, *_) = correlations(run)
    assert forward.tile.lanes <= bytes_ // 4
    agree(run, built(x, w, options, "numpy"), x, w)


def test_no_window_is_copied():
    x, w = operands((64, 16, 16, 16), (32, 16, 3, 3), "float32")
    run = built(x, w, {"padding": 1}, gradients=False)
    (made,) = correlations(run)
    padded = 64 * 16 * 18 * 18 * 4
    assert run.plan.arena_bytes < padded + 64
    assert made.inner == 16 * 9
    strided = built(x, w, {"stride": 2}, gradients=False)
    assert not correlations(strided)  # no vector of pixels lies together


@pytest.mark.parametrize(
    ("bytes_", "lines", "columns", "in_place"),
    [
        (64, 6, 34, 1),
        (64, 6, 20, 0),
        (64, 7, 34, 0),
        (32, 6, 34, 1),
        (32, 6, 20, 0),
        (32, 7, 34, 1),
    ],
)
def test_a_sum_is_added_up_in_place(bytes_, lines, columns, in_place, monkeypatch):
    """Not where the last elements are computed twice: they would be added twice.

    Tiles of wide vectors have two lines, of which five do not consist.
    """
    if bytes_ > host_target().vector_bytes:
        pytest.skip("the processor has no vectors as wide")
    target = replace(host_target(), vector_bytes=bytes_)
    monkeypatch.setattr(correlation, "host_target", lambda: target)
    x, w = operands((8, 4, lines, columns), (6, 4, 3, 3), "float32")

    def correlate(a, b):
        return sg.einsum(
            "ngcklij,gfckl->ngfij",
            windows(a, kernel=(3, 3), stride=(1, 1), dilation=(1, 1)),
            b[None],
        )

    with sg.Graph():
        a, b = sg.placeholder("a", x.shape), sg.placeholder("b", w.shape)
        run = sg.compile(correlate(a, b) + correlate(a, b * 2.0), [a, b], backend="native")
    assert sum(each.addend is not None for each in correlations(run)) == in_place
    once = built(x, w, {}, gradients=False)(x, w)[0]
    found = run(x, w).reshape(once.shape)
    np.testing.assert_allclose(found, 3 * once, rtol=0, atol=1e-5 * np.abs(once).max())


def test_the_number_of_threads_changes_no_bit():
    program = (
        "import sys, hashlib\n"
        "sys.path.insert(0, sys.argv[1])\n"
        "from test_native_correlation import GEOMETRIES, built, operands\n"
        "digest = hashlib.sha256()\n"
        "for name in ('digits', 'long lines', 'one image', 'strides'):\n"
        "    *shapes, options = GEOMETRIES[name]\n"
        "    x, w = operands(*shapes, 'float32')\n"
        "    for array in built(x, w, options)(x, w)[:2]:\n"
        "        digest.update(array.tobytes())\n"
        "print(digest.hexdigest())\n"
    )
    found = set()
    for threads in (1, 2, 5):
        done = subprocess.run(
            [sys.executable, "-c", program, os.path.dirname(__file__)],
            env={**os.environ, "SIDEBYSIDE_THREADS": str(threads)},
            capture_output=True,
            text=True,
            check=True,
        )
        found.add(done.stdout)
    assert len(found) == 1
