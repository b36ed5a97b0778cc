"""Remainders, signs and parts of numbers as machine code: the bits of NumPy's kernels."""

import numpy as np
import pytest

pytest.importorskip("llvmlite")

import staticgraph as sg

BITS = {"float16": np.uint16, "float32": np.uint32, "float64": np.uint64}


def run_both(declare, *arrays):
    """Return the outputs by machine code, of which nothing is left to NumPy, and by NumPy."""
    with sg.Graph():
        nodes = [sg.placeholder(f"x{i}", a.shape, a.dtype) for i, a in enumerate(arrays)]
        outputs = declare(*nodes)
    runs = [sg.compile(outputs, nodes, backend=backend) for backend in ("native", "interpret")]
    assert "left to NumPy" not in runs[0].report()
    with np.errstate(all="ignore"):
        return [run(*arrays) for run in runs]


def assert_same_bits(found, wanted):
    for one, other in zip(found, wanted, strict=True):
        assert one.dtype == other.dtype
        nan = np.isnan(other)
        np.testing.assert_array_equal(np.isnan(one), nan)
        one, other = (x[~nan].view(BITS.get(x.dtype.name, x.dtype)) for x in (one, other))
        np.testing.assert_array_equal(one, other)


def specials(dtype):
    info = np.finfo(dtype)
    near = [info.max, info.max / 3, info.tiny, info.smallest_subnormal, info.smallest_subnormal * 3]
    near += [0.0, 1.0, 1 + info.eps, 1 - info.epsneg, 2.0, 0.5, 3.0, 0.1, 7.0, np.inf, np.nan]
    return np.array([*near, *(-x for x in near)], dtype)


def pairs(dtype):
    """Return all pairs of special numbers, random bits, and quotients near whole numbers."""
    rng = np.random.default_rng(0)
    x, y = (a.ravel() for a in np.meshgrid(specials(dtype), specials(dtype)))
    bits = [rng.integers(0, np.iinfo(BITS[dtype]).max, 4001, BITS[dtype]) for _ in "xy"]
    divisors = rng.normal(size=4001).astype(dtype)
    multiples = np.round(rng.normal(size=4001) * 100).astype(dtype) * divisors
    return (
        np.concatenate([x, bits[0].view(dtype), multiples]),
        np.concatenate([y, bits[1].view(dtype), divisors]),
    )


@pytest.mark.parametrize("dtype", BITS)
def test_of_two_numbers(dtype):
    ops = (sg.floor_divide, sg.remainder, sg.fmod, sg.copysign, sg.nextafter)
    x, y = pairs(dtype)
    assert_same_bits(*run_both(lambda x, y: [op(x, y) for op in ops], x, y))


@pytest.mark.parametrize("dtype", BITS)
def test_of_one_number(dtype):
    x, _ = pairs(dtype)
    wanted = run_both(lambda x: [sg.signbit(x), sg.spacing(x), *sg.frexp(x), *sg.modf(x)], x)
    assert_same_bits(*wanted)


@pytest.mark.parametrize("whole", ["int8", "int32", "int64"])
@pytest.mark.parametrize("dtype", BITS)
def test_powers_of_two(dtype, whole):
    x, _ = pairs(dtype)
    shift = np.random.default_rng(1).integers(-120, 120, x.shape).astype(whole)
    if whole != "int8":
        shift[::5] *= 10
        shift[::7] *= 10_000_000
    assert_same_bits(*run_both(lambda x, y: [sg.ldexp(x, y)], x, shift))


@pytest.mark.parametrize("elements", [1, 2, 5, 17, 33])
@pytest.mark.parametrize("dtype", BITS)
def test_a_divisor_that_all_share_and_ends_of_rows(dtype, elements):
    x = np.linspace(-30, 1e4, elements).astype(dtype)

    def declare(x):
        return [x % 0.7, x // -0.7, 12.5 % x, sg.fmod(sg.flip(x), 3.0), x[::2] // 2.5]

    assert_same_bits(*run_both(declare, x))


def test_gradients_are_machine_code_too():
    x, y = (np.linspace(lo, 4, 20, dtype="float32") for lo in (-4.1, 1.3))

    def declare(x, y):
        total = sg.sum(sg.remainder(x, y) + sg.fmod(x, y) + sg.copysign(x, y) * sg.cbrt(y))
        return sg.gradients(total, [x, y])

    for one, other in zip(*run_both(declare, x, y), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-6)
