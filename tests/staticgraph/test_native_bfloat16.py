"""bfloat16 as machine code: all of its 65,536 numbers, converted, computed with, and beside NaN."""

import numpy as np
import pytest

pytest.importorskip("llvmlite")
pytest.importorskip("ml_dtypes")

import staticgraph as sg
from oplibrary.values.dtypes import to_dtype

pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning")
BRAIN = to_dtype("bfloat16")
ALL = np.arange(1 << 16, dtype=np.uint16).view(BRAIN)
EXACT = [sg.add, sg.subtract, sg.multiply, sg.divide, sg.maximum, sg.minimum, sg.copysign]
EXACT += [sg.nextafter, sg.less, sg.equal, sg.sqrt, sg.negative, sg.abs, sg.floor, sg.spacing]


def run(function, *arrays, backend="native"):
    with sg.Graph():
        nodes = [sg.placeholder(f"x{i}", x.shape, x.dtype) for i, x in enumerate(arrays)]
        made = sg.compile(function(*nodes), nodes, backend=backend)
    assert "left to NumPy" not in made.report()
    with np.errstate(all="ignore"):
        return made(*arrays)


def bits(x):
    """Return the bits of all numbers, those of NaN the same."""
    wide = x.astype(np.float64)
    return np.where(np.isnan(wide), 0x7FC0, x.view(f"u{x.itemsize}"))


@pytest.mark.parametrize("op", EXACT, ids=lambda op: op.__name__)
def test_the_bits_are_those_of_numpys_kernels(op):
    rng = np.random.default_rng(0)
    other = rng.permutation(ALL)
    other[:3000], other[5000:8000] = ALL[:3000], -ALL[5000:8000]
    other[:2], other[0x8000:0x8002] = ALL[[0x8000, 0]], ALL[[0, 0x8000]]
    operands = [ALL, other][: 2 if op in EXACT[:10] else 1]
    found, wanted = (run(op, *operands, backend=each) for each in ("native", "interpret"))
    assert found.dtype == wanted.dtype
    np.testing.assert_array_equal(bits(found), bits(wanted))


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "int64", "uint8", "bool"])
def test_conversions_round_to_the_nearest_even_number(dtype):
    rng = np.random.default_rng(0)
    with np.errstate(all="ignore"):
        if np.dtype(dtype).kind == "f":
            x = rng.integers(0, 1 << 32, 50_000, np.uint32).view(np.float32).astype(dtype)
            x[:1000] = ALL[0x3F80 : 0x3F80 + 1000].astype(dtype) * (1 + 2**-8)  # halfway
        else:
            x = rng.integers(0, np.iinfo("int64").max, 50_000).astype(dtype)
        found = run(lambda x: sg.astype(x, "bfloat16"), x)
        np.testing.assert_array_equal(bits(found), bits(x.astype(BRAIN)))
        if np.dtype(dtype).kind == "f":
            back = run(lambda x: sg.astype(x, dtype), ALL)
            np.testing.assert_array_equal(back, ALL.astype(dtype))


def test_what_is_moved_keeps_its_bits_and_what_an_op_computes_is_rounded_once():
    moved = run(lambda x: sg.concat([x[::-1], x[1:2]]), ALL)
    np.testing.assert_array_equal(moved.view(np.uint16)[:-1], ALL.view(np.uint16)[::-1])
    x = ALL[:0x7F80].astype(np.float32)
    with np.errstate(all="ignore"):
        single = run(lambda x: sg.astype(sg.silu(x), "bfloat16"), x)
        np.testing.assert_array_equal(bits(run(sg.silu, ALL[:0x7F80])), bits(single))


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_what_is_added_up_is_rounded_once(dtype):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(40, 5)).astype(to_dtype(dtype))
    places = rng.integers(0, 3, 40)
    for function in (
        lambda x: sg.sum(x, axis=0),
        lambda x: sg.segment_sum(x, places, 3),
        lambda x: sg.scatter_prod(x[:3], places, x),
        lambda x: sg.cumulative_sum(x, axis=0),
        lambda x: x.T @ x,
    ):
        found, wanted = (run(function, x, backend=each) for each in ("native", "interpret"))
        assert found.dtype == wanted.dtype
        eps = float(sg.finfo(x.dtype).eps)
        np.testing.assert_allclose(
            found.astype(float), wanted.astype(float), rtol=eps, atol=eps / 16
        )


def test_loops_gradients_and_bound_calls_take_it():
    def train(x, w):
        last = sg.scan(lambda c, row: (sg.tanh(c * w + row), c), x[0], x)[0]
        loss = sg.sum(last * last)
        return [loss, *sg.gradients(loss, [x, w])]

    x = (np.arange(20.0).reshape(5, 4) / 16 - 0.5).astype(BRAIN)
    w = np.linspace(-1, 1, 4).astype(BRAIN)
    found, wanted = (run(train, x, w, backend=each) for each in ("native", "numpy"))
    for one, other in zip(found, wanted, strict=True):
        assert one.dtype == BRAIN
        np.testing.assert_allclose(one.astype(float), other.astype(float), atol=0.02)
    with sg.Graph():
        node = sg.placeholder("x", (4,), BRAIN)
        bound = sg.compile(node * 2, [node], backend="native").bind(w)
    np.testing.assert_array_equal(bound().astype(float), w.astype(float) * 2)
