"""Numbers that machine code gives as NumPy does: exact powers, long sums, sums of -0.0."""

from fractions import Fraction

import numpy as np
import pytest

pytest.importorskip("llvmlite")

import staticgraph as sg


def run(function, *arrays):
    with sg.Graph():
        inputs = [sg.placeholder(f"x{i}", x.shape, x.dtype) for i, x in enumerate(arrays)]
        return sg.compile(function(*inputs), inputs, backend="native")(*arrays)


BASES = [*range(2, 130), 3 * 2**20, 5 * 2.0**-30, 2**40, 1.5, 0.75, 1.125, -3, -1.5, 7 * 2.0**-200]


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("count", [None, 1, 3])
def test_exact_powers_are_exact(dtype, count):
    found = []
    for base in map(Fraction, BASES):
        for exponent in range(-60, 70):
            exact = base**exponent
            wanted = np.array(float(exact) if abs(exact) < 2**1000 else np.inf)
            with np.errstate(over="ignore", under="ignore"):
                narrow = wanted.astype(dtype)
            told = Fraction(float(base)) == base and np.dtype(dtype).type(base) == base
            normal = np.isfinite(narrow) and abs(narrow) > 1e-37
            if told and normal and Fraction(float(narrow)) == exact:
                found.append((float(base), float(exponent), float(narrow)))
    x, y, wanted = np.array(found).T.astype(dtype)
    assert len(x) > 300
    for start in range(0, len(x), 997) if count else (0,):
        part = slice(start, start + count) if count else slice(None)
        np.testing.assert_array_equal(run(sg.pow, x[part], y[part]), wanted[part])


def test_powers_of_float64_are_as_good_as_rounded_once():
    rng = np.random.default_rng(0)
    x, y = np.exp(rng.uniform(-20, 20, 50_000)), rng.uniform(-30, 30, 50_000)
    found = run(sg.pow, x, y)
    wide = np.power(x.astype(np.longdouble), y.astype(np.longdouble))
    normal = np.isfinite(found) & (found > 1e-300)
    if np.finfo(np.longdouble).nmant < 60:
        pytest.skip("no wider numbers here")
    far = np.abs(found - wide)[normal] / np.spacing(found[normal])
    assert far.max() < 0.53


SPECIAL = [0.0, -0.0, 1.0, -1.0, np.inf, -np.inf, np.nan, 2.0, -3.0]


def edges_of(dtype):
    """Return special numbers, and all magnitudes of both signs."""
    info = np.finfo(dtype)
    rng = np.random.default_rng(0)
    bits = info.dtype.itemsize * 8
    patterns = rng.integers(0, 2**bits, 20_000, dtype=f"uint{bits}").view(dtype)
    ends = [info.max, info.tiny, info.smallest_subnormal, info.eps]
    return np.concatenate(
        [patterns, rng.normal(0, 4, 20_000), SPECIAL, ends, np.negative(ends)], dtype=dtype
    )


def units_apart(found, wide):
    """Return how far numbers are from wider ones, in units in the last place.

    Once for those whose last bits times themselves are still normal, and once for all.
    """
    with np.errstate(all="ignore"):
        rounded = wide.astype(found.dtype)
        np.testing.assert_array_equal(np.isfinite(found), np.isfinite(rounded))
        special = ~np.isfinite(rounded) | (rounded == 0)
        np.testing.assert_array_equal(found[special], rounded[special])
        np.testing.assert_array_equal(np.signbit(found), np.signbit(rounded) & ~np.isnan(found))
        far = np.abs(found - wide) / np.spacing(np.abs(found))
    info = np.finfo(found.dtype)
    normal = np.abs(found) > info.tiny / info.eps
    return far[normal & ~special].max(), far[~special].max()


needs_wider = pytest.mark.skipif(
    np.finfo(np.longdouble).nmant < 60, reason="needs a type that is wider than float64"
)


@needs_wider
@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("exponent", [-33, -32, -7, -3, -2, -1, 0, 1, 2, 3, 4, 5, 7, 32, 33])
def test_whole_powers_are_as_good_as_rounded_once(dtype, exponent):
    x = edges_of(dtype)
    x = np.where(np.isnan(x), np.array(np.nan, dtype), x)
    with np.errstate(all="ignore"):
        wide = np.power(x.astype(np.longdouble), exponent)
    found = run(lambda v: v**exponent, x)
    assert found.dtype == dtype
    normal, of_all = units_apart(found, wide)
    assert normal < (0.53 if dtype == "float64" else 0.51)
    assert of_all < 1.1  # what is too small for the last bits is rounded again


@needs_wider
@pytest.mark.parametrize(("dtype", "bound"), [("float64", 0.53), ("float32", 1.5)])
def test_powers_of_two(dtype, bound):
    x = edges_of(dtype)
    x = np.where(np.isnan(x), np.array(np.nan, dtype), x)
    with np.errstate(all="ignore"):
        wide = np.exp2(x.astype(np.longdouble))
    assert max(units_apart(run(sg.exp2, x), wide)) < bound
    whole = np.arange(-1070 if dtype == "float64" else -148, 1023 if dtype == "float64" else 127)
    whole = whole.astype(dtype)
    np.testing.assert_array_equal(run(sg.exp2, whole), np.exp2(whole))


LONG = [
    ((3_000_000,), None),
    ((3_000_001,), None),
    ((3, 1_000_003), 1),
    ((2500, 1201), None),
    ((1201, 2500), (0, 1)),
]


@pytest.mark.parametrize(("shape", "axis"), LONG)
@pytest.mark.parametrize("value", [0.1, None])
@pytest.mark.parametrize("flip", [False, True])
def test_long_sums_are_about_as_near_as_numpys(shape, axis, value, flip):
    rng = np.random.default_rng(0)
    x = rng.random(shape, "float32") if value is None else np.full(shape, value, "float32")
    seen = np.ascontiguousarray(np.flip(x)) if flip else x
    wanted = seen.sum(axis=axis, dtype="float64")
    # all from the other end, which leaves one loop one loop
    given = (lambda a: sg.flip(a)) if flip else (lambda a: a)
    found = run(lambda a: sg.sum(given(a), axis=axis), x)
    numpys = np.abs(seen.sum(axis=axis) - wanted).max()
    least = 2 * np.spacing(np.float32(np.abs(wanted).max()))
    assert np.abs(found - wanted).max() <= max(2 * numpys, least)
    squares = run(lambda a: sg.sum(given(a) * given(a), axis=axis), x)
    np.testing.assert_allclose(squares, (seen.astype("f8") ** 2).sum(axis=axis), rtol=3e-7)


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("shape", [(300, 200, 150), (3, 1000, 2000), (2000, 1000, 3)])
def test_sums_by_several_loops_are_about_as_near_as_numpys(shape, axis):
    x = np.random.default_rng(0).random(shape, "float32")
    wanted = x.sum(dtype="float64")
    found = run(lambda a: sg.sum(sg.flip(a, axis=axis)), x)
    numpys = abs(np.flip(x, axis).sum() - wanted)
    assert abs(found - wanted) <= max(2 * numpys, 2 * np.spacing(np.float32(wanted)))


def test_long_reductions_of_other_kinds_are_exact():
    x = np.random.default_rng(0).integers(-9, 9, 1_000_003)
    for dtype in ("int64", "int32", "float32", "float64"):
        y = x.astype(dtype)
        total, most, least = run(lambda a: [sg.sum(a), sg.max(a), sg.min(a)], y)
        assert (total, most, least) == (x.sum(), x.max(), x.min())


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
@pytest.mark.parametrize("shape", [(1,), (3,), (17,), (1000,), (1, 5), (5, 1), (40, 64), (4, 3, 2)])
def test_a_sum_of_negative_zeros_is_zero_as_numpys(shape, dtype):
    x = np.full(shape, -0.0, dtype)
    for axis in (None, *range(len(shape))):
        for keepdims in (False, True):
            found = run(
                lambda a, axis=axis, keepdims=keepdims: [
                    sg.sum(a, axis=axis, keepdims=keepdims),
                    sg.mean(a, axis=axis, keepdims=keepdims),
                    sg.sum(a * 1.0, axis=axis, keepdims=keepdims),
                    sg.max(a, axis=axis, keepdims=keepdims),
                ],
                x,
            )
            numpys = [np.sum, np.mean, np.sum, np.max]
            for result, function in zip(found, numpys, strict=True):
                wanted = function(x, axis=axis, keepdims=keepdims)
                np.testing.assert_array_equal(np.signbit(result), np.signbit(wanted))
