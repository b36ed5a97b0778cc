"""Routines, draws, images and selections along and beside axes of unknown length."""

from dataclasses import replace

import numpy as np
import pytest

import staticgraph as sg
from staticgraph.backends import native

pytest.importorskip("llvmlite")
N = sg.dim("routines_n")
LENGTHS = (1, 2, 3, 8, 33, 130)
N_IMAGES = sg.dim("routines_lines", min=3)


def written(x, i):
    """Write to rows at positions that are known, and known only in the run."""
    y = x * 1.0
    y[0] = 2.0
    y[:, 1] = 3.0
    y[i] = 4.0
    return y * x


def system(a):
    """Return matrices that have inverses, of arrays (..., n, 3), or of (n, n)."""
    return a @ sg.matrix_transpose(a) + 3.0 * sg.eye(a.shape[-2], dtype="float64")


def transformed(norm):
    def program(x):
        z = sg.fft.fft(x, axis=0, norm=norm)
        return sg.abs(z), sg.real(sg.fft.ifft(z * z, axis=0, norm=norm))

    return program


KEY = (np.array([3, 4], np.uint64), "uint64")
INDEX = (np.array(0), "int64")
CASES = {
    "sort": (lambda x: sg.sort(x, axis=0, descending=True), lambda n: [(n, 5)]),
    "sort beside": (lambda x: sg.sort(x), lambda n: [(n, 5)]),
    "sort rows": (lambda x: sg.sort(x), lambda n: [(3, n)]),
    "argsort": (lambda x: sg.argsort(x, axis=0, descending=True), lambda n: [(n, 3)]),
    "argsort rows": (lambda x: sg.argsort(x), lambda n: [(2, n)]),
    "sort and gradient": (
        lambda x: gradient(sg.sum(sg.sort(x, axis=0) ** 3), x),
        lambda n: [(n, 3)],
    ),
    "topk": (lambda x: sg.topk(x, 2), lambda n: [(n, 5)]),
    "median": (lambda x: sg.median(x, axis=1), lambda n: [(n, 5)]),
    "searchsorted": (lambda x, v: sg.searchsorted(sg.sort(x), v), lambda n: [(n,), (7,)]),
    "search for many": (lambda x, v: sg.searchsorted(sg.sort(x), v), lambda n: [(7,), (n,)]),
    "interp": (
        lambda x, y, v: sg.interp(x, sg.cumsum(y * y), v),
        lambda n: [(n,), (7,), (7,)],
    ),
    "cumsum": (lambda x: sg.cumsum(x, axis=0), lambda n: [(n, 3)]),
    "cumsum rows": (lambda x: sg.cumsum(x, axis=1), lambda n: [(3, n)]),
    "cumsum of lines": (lambda x: sg.cumsum(x, axis=0), lambda n: [(5, n)]),
    "cumprod gradient": (lambda x: gradient(sg.sum(sg.cumprod(x, axis=0)), x), lambda n: [(n, 2)]),
    "cumulative max": (lambda x: sg.cumulative_max(x, axis=0), lambda n: [(n,)]),
    "logcumsumexp": (lambda x: sg.logcumsumexp(x, axis=1), lambda n: [(n, 6)]),
    "recurrence": (lambda a, b: sg.linear_recurrence(a * 0.3, b), lambda n: [(n, 5), (n, 5)]),
    "fft": (transformed("backward"), lambda n: [(n, 3)]),
    "fft both ways": (transformed("ortho"), lambda n: [(n,)]),
    "fft forward": (transformed("forward"), lambda n: [(2, n)]),
    "fft beside": (
        lambda x: sg.real(sg.fft.ifft(sg.fft.rfft(x, axis=1), axis=1)),
        lambda n: [(n, 6)],
    ),
    "real fft beside": (
        lambda x: sg.fft.irfft(sg.fft.rfft(x, axis=1), n=5, axis=1),
        lambda n: [(n, 5)],
    ),
    "real fft": (lambda x: sg.abs(sg.fft.rfft(x)), lambda n: [(3, 2 * n)]),
    "fft of both": (lambda x: sg.abs(sg.fft.fft2(x)), lambda n: [(n, 6)]),
    "solve": (lambda a, b: sg.linalg.solve(system(a), b), lambda n: [(n, 2, 3), (n, 2, 4)]),
    "solve at once": (lambda a, b: sg.linalg.solve(system(a), b), lambda n: [(n, 3), (n, 2)]),
    "solve gradient": (
        lambda a, b: gradient(sg.sum(sg.linalg.solve(system(a), b)), a),
        lambda n: [(n, 2, 3), (n, 2, 1)],
    ),
    "inverse": (lambda a: sg.linalg.inv(system(a)), lambda n: [(2, n, 3)]),
    "cholesky": (lambda a: sg.linalg.cholesky(system(a)), lambda n: [(n, 2, 3)]),
    "triangular": (
        lambda a, b: sg.linalg.solve_triangular(sg.linalg.cholesky(system(a)), b, lower=True),
        lambda n: [(n, 3), (n, 2)],
    ),
    "writes": (written, lambda n: [(n, 3), INDEX]),
    "writes and gradient": (
        lambda x, i: gradient(sg.sum(written(x, i)), x),
        lambda n: [(n, 3), INDEX],
    ),
    "triangles": (
        lambda x: gradient(sg.sum(sg.tril(x, k=1) * sg.triu(x) ** 2), x),
        lambda n: [(2, n, n)],
    ),
    "causal attention": (
        lambda x: sg.softmax(
            sg.where(sg.tril(sg.ones((x.shape[0], x.shape[0]))) > 0, x @ x.T, -np.inf), axis=1
        ),
        lambda n: [(n, 3)],
    ),
    "diagonals": (lambda x: sg.diag(x) @ sg.exp(sg.diag(x)), lambda n: [(n,)]),
    "scatter": (
        lambda x: sg.scatter_add(sg.zeros((3, 2), dtype="float64"), sg.arange(x.shape[0]) % 3, x),
        lambda n: [(n, 2)],
    ),
    "segments": (
        lambda x: sg.segment_max(x, sg.arange(x.shape[0]) // 2 % 2, 2),
        lambda n: [(n, 3)],
    ),
    "rows taken": (
        lambda x: gradient(sg.sum(x[sg.arange(x.shape[0]) % 2] ** 2), x),
        lambda n: [(n, 3)],
    ),
    "columns taken": (lambda x: gradient(sg.sum(x[:, [0, 2, 0]] ** 2), x), lambda n: [(n, 3)]),
    "uniform": (lambda x, key: x * sg.uniform(key, x.shape), lambda n: [(n, 5), KEY]),
    "uniform floats": (
        lambda x, key: sg.uniform(key, x.shape, 1.0, 2.0, dtype="float64") + x,
        lambda n: [(n,), KEY],
    ),
    "bits": (lambda x, key: sg.random_bits(key, x.shape), lambda n: [(n, 3), KEY]),
    "normal": (lambda x, key: x * sg.normal(key, x.shape), lambda n: [(n, 5), KEY]),
    "randint": (lambda x, key: sg.randint(key, x.shape, 0, 9), lambda n: [(n, 3), KEY]),
    "permutation": (lambda x, key: sg.permutation(key, x.shape[0]), lambda n: [(n,), KEY]),
    "gamma": (lambda x, key: sg.gamma(key, sg.abs(x) + 1.0), lambda n: [(n, 2), KEY]),
    "pool gradient": (
        lambda x: gradient(sg.sum(sg.max_pool2d(x, 2) * sg.avg_pool2d(x, 2)), x),
        lambda n: [(2, 1, 2 * n, 4)],
    ),
    "convolution along lines": (
        lambda x, w: gradients_of(sg.conv1d(x, w, padding=1), x, w),
        lambda n: [(2, 3, n), (4, 3, 3)],
    ),
    "convolution along columns": (
        lambda x, w: gradients_of(sg.conv2d(x, w), x, w),
        lambda n: [(1, 2, n, 9), (3, 2, 3, 3)],
    ),
    "convolution along both": (
        lambda x, w: sg.conv2d(x, w, padding=1),
        lambda n: [(1, 2, n, n), (7, 2, 3, 3)],
    ),
}


BUILT_APART = {
    # made of fewer pieces
    "cumprod gradient": {1},
    "writes": {1},
    "writes and gradient": {1},
    # too few lines to be worth it
    "logcumsumexp": {1, 2, 3},
    # lines of fewer pixels than a vector has
    "convolution along lines": {3},
    "convolution along columns": {3},
    "convolution along both": {3},
}


def gradient(y, x):
    return sg.gradients(y, [x])[0]


def gradients_of(y, *xs):
    return [y, *sg.gradients(sg.sum(y * y), xs)]


def leaves(found):
    return found if isinstance(found, (list, tuple)) else [found]


@pytest.mark.parametrize("name", CASES)
def test_they_are_right_at_all_lengths(name, monkeypatch):
    monkeypatch.setenv("SIDEBYSIDE_CHECKED", "1")
    f, at = CASES[name]
    symbol = N_IMAGES if "convolution" in name else N
    with sg.Graph():
        inputs = [
            sg.placeholder(f"x{i}", each[0].shape, each[1])
            if isinstance(each[0], np.ndarray)
            else sg.placeholder(f"x{i}", each, "float64")
            for i, each in enumerate(at(symbol))
        ]
        outputs = f(*inputs)
    apart = []
    build = native.BACKEND.build
    counted = replace(native.BACKEND, build=lambda *given: apart.append(length) or build(*given))
    with monkeypatch.context() as patch:
        patch.setattr("staticgraph.compiler.compile.load_backend", lambda _: counted)
        run = sg.compile(outputs, inputs, backend="native")
    assert "for all of them" in run.report()
    wanted = sg.compile(outputs, inputs, backend="numpy")
    for length in LENGTHS[2:] if "convolution" in name else LENGTHS:
        draws = np.random.default_rng(length)
        arrays = [
            each[0] if isinstance(each[0], np.ndarray) else draws.normal(size=each)
            for each in at(length)
        ]
        for one, other in zip(leaves(run(*arrays)), leaves(wanted(*arrays)), strict=True):
            assert (one.dtype, one.shape) == (other.dtype, other.shape)
            size = np.max(np.abs(other[np.isfinite(other)]), initial=1e-3)
            np.testing.assert_allclose(one, other, rtol=1e-9, atol=1e-9 * size)
    assert set(apart) <= BUILT_APART.get(name, set())
