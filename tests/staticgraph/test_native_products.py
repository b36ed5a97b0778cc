"""Matrix products of the native backend: shared among threads, without a change of a bit."""

import ctypes
import os
import subprocess
import sys
import threading
from functools import lru_cache

import numpy as np
import pytest

import staticgraph as sg

pytest.importorskip("llvmlite")
pytest.importorskip("scipy")

from oplibrary.machine.target import host_target
from staticgraph.backends.native.definitions.products import MIN_BLOCK_TERMS, Product
from staticgraph.backends.native.emit.blas import load_cython_blas
from staticgraph.backends.native.emit.blas_threads import blas_threads

SHAPES = [
    ("small", (3, 4), (4, 5)),
    ("wide", (64, 784), (784, 512)),
    ("long", (1500, 64), (64, 70)),
    ("odd", (301, 700), (700, 403)),
    ("large", (600, 700), (700, 520)),
    ("tails", (31, 70), (70, 112)),
    ("rows", (1003, 128), (128, 48)),
    ("deep", (31, 4500), (4500, 208)),
    ("deep, few", (9, 3000), (3000, 384)),
    ("batched", (24, 64, 128), (24, 128, 64)),
    ("outer batch", (5, 7, 64, 96), (5, 7, 96, 64)),
]


def product(x, y):
    return sg.function(lambda a, b: a @ b, backend="native")(x, y)


def turned_product(x, y):
    """Return the product with a transposed right operand, which is left to BLAS."""
    turn = (*range(y.ndim - 2), y.ndim - 1, y.ndim - 2)
    transposed = np.ascontiguousarray(y.transpose(turn))
    return sg.function(lambda a, b: a @ sg.permute_dims(b, turn), backend="native")(x, transposed)


@lru_cache(maxsize=2)
def operands(x_shape, y_shape, dtype):
    rng = np.random.default_rng(7)
    return [rng.standard_normal(shape).astype(dtype) for shape in (x_shape, y_shape)]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    ("x_shape", "y_shape"), [s[1:] for s in SHAPES], ids=[s[0] for s in SHAPES]
)
def test_every_layout(x_shape, y_shape, dtype):
    x, y = operands(x_shape, y_shape, dtype)
    exact = x.astype("float64") @ y.astype("float64")
    bound = 8 * np.finfo(dtype).eps * (np.abs(x) @ np.abs(y)).max()
    last = len(x_shape) - 1
    turn = (*range(last - 1), last, last - 1)

    def turned(array):
        return np.ascontiguousarray(array.transpose(turn))

    for name, run, given in [
        ("as they are", lambda a, b: a @ b, (x, y)),
        ("left", lambda a, b: sg.permute_dims(a, turn) @ b, (turned(x), y)),
        ("right", lambda a, b: a @ sg.permute_dims(b, turn), (x, turned(y))),
        ("both", lambda a, b: sg.permute_dims(a, turn) @ sg.permute_dims(b, turn), None),
    ]:
        found = sg.function(run, backend="native")(*(given or (turned(x), turned(y))))
        assert np.abs(found - exact).max() <= bound, name


def test_sums_over_several_axes():
    rng = np.random.default_rng(1)
    x = rng.standard_normal((6, 5, 40, 64))
    y = rng.standard_normal((6, 5, 64, 128))
    for subscripts in ("abik,abkj->ij", "abik,abkj->aij", "abik,abkj->bij", "abik,abkj->abij"):
        found = sg.function(lambda a, b, s=subscripts: sg.einsum(s, a, b), backend="native")(x, y)
        np.testing.assert_allclose(found, np.einsum(subscripts, x, y), rtol=1e-12, atol=1e-11)


SHARED = [
    *SHAPES,
    ("few rows", (64, 784), (784, 509)),
    ("one row left over", (145, 300), (300, 211)),
    ("square", (320, 320), (320, 320)),
]
"""What threads share: tails of each kind, and products that only BLAS computes."""


def test_the_same_bits_for_every_number_of_threads():
    program = (
        "import sys, hashlib\n"
        "sys.path.insert(0, sys.argv[1])\n"
        "from test_native_products import SHARED, operands, product\n"
        "digest = hashlib.sha256()\n"
        "for _, *shapes in SHARED:\n"
        "    for dtype in ('float32', 'float64'):\n"
        "        digest.update(product(*operands(*shapes, dtype)).tobytes())\n"
        "print(digest.hexdigest())\n"
    )
    found = {}
    for threads in (1, 2, 3, 7):
        environment = {**os.environ, "SIDEBYSIDE_THREADS": str(threads)}
        done = subprocess.run(
            [sys.executable, "-c", program, os.path.dirname(__file__)],
            env=environment,
            capture_output=True,
            text=True,
            check=True,
        )
        found[threads] = done.stdout.strip()
    assert len(set(found.values())) == 1, found


@pytest.mark.parametrize(
    ("core", "l2_size"),
    [
        ("Haswell", ""),
        ("Haswell", "512"),
        ("SkylakeX", ""),
        ("SkylakeX", "2048"),
        ("Zen", ""),
        ("Sandybridge", ""),
        ("Nehalem", ""),
        ("Prescott", ""),
    ],
)
def test_the_same_bits_by_the_functions_for_another_processor(core, l2_size):
    """BLAS is made to take its functions for `core`, and reckons with a cache of that many KiB."""
    program = (
        "import sys\n"
        "sys.path.insert(0, sys.argv[1])\n"
        "from staticgraph.backends.native.emit import segments\n"
        "from test_native_products import SHARED, operands, product, turned_product\n"
        "for name, *shapes in SHARED:\n"
        "    for dtype in ('float32', 'float64'):\n"
        "        for run in (product, turned_product):\n"
        "            found = set()\n"
        "            for threads in (1, 2, 3, 7):\n"
        "                segments.thread_count = lambda: threads\n"
        "                found.add(run(*operands(*shapes, dtype)).tobytes())\n"
        "            assert len(found) == 1, (name, dtype, run.__name__)\n"
    )
    environment = {**os.environ, "SIDEBYSIDE_CACHE": "off", "SIDEBYSIDE_THREADS": "7"}
    environment |= {"OPENBLAS_CORETYPE": core, "OPENBLAS_L2_SIZE": l2_size}
    if not l2_size:
        del environment["OPENBLAS_L2_SIZE"]
    done = subprocess.run(
        [sys.executable, "-c", program, os.path.dirname(__file__)],
        env=environment,
        capture_output=True,
        text=True,
    )
    if done.returncode < 0:
        pytest.skip(f"this processor does not run the functions for {core}")
    assert not done.returncode, done.stderr


def test_a_sum_of_products_is_added_up_in_place():
    rng = np.random.default_rng(3)
    a, b, c, d = (rng.standard_normal((33, 33 if i % 2 else 48)) for i in range(4))
    turned = [np.ascontiguousarray(x.T) for x in (a, c)]

    def total(p, b, q, d):
        return p @ b + q @ d + p @ d

    graph = sg.trace(total, turned[0], b, turned[1], d)
    run = sg.compile(graph.outputs, inputs=graph.inputs, backend="native")
    (found,) = run(turned[0], b, turned[1], d)
    np.testing.assert_allclose(found, a.T @ b + c.T @ d + a.T @ d, rtol=1e-12, atol=1e-12)
    assert run.plan.arena_bytes == 0  # all of it happens in the result


def _split(x_shape, y_shape, threads):
    with sg.Graph():
        x, y = sg.placeholder("x", x_shape), sg.placeholder("y", y_shape)
        run = sg.compile(x @ y, inputs=[x, y], backend="native")
    (found,) = [
        step.definition
        for step in run.plan.grouping.steps
        if isinstance(getattr(step, "definition", None), Product)
    ]
    return found, found.split(threads), found.split(threads, found.tiling(host_target()))


@pytest.mark.parametrize(
    ("x_shape", "y_shape"), [s[1:] for s in SHAPES], ids=[s[0] for s in SHAPES]
)
@pytest.mark.parametrize("threads", [1, 2, 3, 16])
def test_blocks_cover_a_product_and_none_is_small(x_shape, y_shape, threads):
    made, by_blas, by_tiles = _split(x_shape, y_shape, threads)
    for split in (by_blas, by_tiles):
        length = {"rounds": made.rounds, "rows": made.rows, "columns": made.columns}[split.axis]
        assert (split.chunks - 1) * split.chunk < length <= split.chunks * split.chunk
        assert split.chunks <= threads
    if by_blas.axis != "rounds":
        length = {"rows": made.rows, "columns": made.columns}[by_blas.axis]
        last = length - (by_blas.chunks - 1) * by_blas.chunk
        assert last * (made.terms // length) >= MIN_BLOCK_TERMS // 2


def test_all_ways_of_computing_a_product_are_among_the_shapes():
    tilings = [_split(x, y, 1)[0].tiling(host_target()) for _, x, y in SHAPES]
    ways = {each and (each.depth is not None, each.columns) for each in tilings}
    assert len(ways) == 3  # by BLAS, by tiles of what is there, and of copies


@pytest.mark.skipif(blas_threads() is None, reason="this BLAS has no known switch")
def test_blas_has_its_threads_again_after_a_run():
    library = ctypes.CDLL(load_cython_blas().__file__)
    prefix = "scipy_openblas" if hasattr(library, "scipy_openblas_get_num_threads") else "openblas"
    count = library[f"{prefix}_get_num_threads"]
    change = library[f"{prefix}_set_num_threads"]
    before = count()
    change(3)
    try:
        run = sg.function(lambda a, b: a @ b, backend="native")
        x, y = operands((300, 300), (300, 300), "float32")
        expected = run(x, y)
        wrong = []

        def repeat():
            for _ in range(20):
                if not np.array_equal(run(x, y), expected):
                    wrong.append(1)

        threads = [threading.Thread(target=repeat) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert not wrong
        assert count() == 3
    finally:
        change(before)
