"""How far the machine code of functions is from the true value, over all of float32."""

import numpy as np
import pytest

pytest.importorskip("llvmlite")

import staticgraph as sg

LOWEST = {"sigmoid": 128.0, "silu": 1024.0}
"""Below that many times the smallest normal number, exp(-x) overflows and the result is 0, as it is
in NumPy's kernel."""


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


# name: (true value, bound in units in the last place for float32, for float64)
FUNCTIONS = {
    "exp": (np.exp, 1.0, 1.0),
    "expm1": (np.expm1, 2.0, 2.0),
    "log": (np.log, 1.0, 1.0),
    "log2": (np.log2, 1.6, 1.0),
    "log10": (np.log10, 1.6, 1.0),
    "log1p": (np.log1p, 1.6, 1.0),
    "sqrt": (np.sqrt, 0.501, 0.501),
    "rsqrt": (lambda x: 1 / np.sqrt(x), 1.5, 1.5),
    "sin": (np.sin, 1.0, 1.0),
    "cos": (np.cos, 1.0, 1.0),
    "tan": (np.tan, 2.5, 2.5),
    "asin": (np.arcsin, 2.5, 2.5),
    "acos": (np.arccos, 1.5, 1.5),
    "atan": (np.arctan, 2.0, 2.0),
    "sinh": (np.sinh, 2.5, 2.5),
    "cosh": (np.cosh, 2.0, 2.0),
    "tanh": (np.tanh, 2.5, 2.5),
    "asinh": (np.arcsinh, 2.0, 2.0),
    "acosh": (np.arccosh, 2.0, 2.0),
    "atanh": (np.arctanh, 2.0, 2.0),
    "sigmoid": (sigmoid, 3.0, 3.0),
    "silu": (lambda x: x * sigmoid(x), 3.5, 3.5),
    "softplus": (lambda x: np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x))), 2.0, 2.0),
}


def with_specials(x):
    info = np.finfo(x.dtype)
    tiny = [info.tiny, info.smallest_subnormal, info.max, info.eps, 0.0, 1.0, 0.5, np.pi, np.inf]
    return np.concatenate([x, np.array([*tiny, *[-t for t in tiny], np.nan], x.dtype)])


def singles():
    """Return every 21,013th float32, and as many of the usual size."""
    patterns = np.arange(0, 2**32, 21_013, dtype=np.uint64).astype(np.uint32)
    usual = np.random.default_rng(0).normal(0, 4, 50_000).astype(np.float32)
    return with_specials(np.concatenate([patterns.view(np.float32), usual]))


def doubles():
    rng = np.random.default_rng(0)
    patterns = rng.integers(0, 2**64, 20_000, dtype=np.uint64).view(np.float64)
    return with_specials(np.concatenate([patterns, rng.normal(0, 4, 30_000)]))


def run(function, *arrays):
    with sg.Graph():
        nodes = [sg.placeholder(f"x{i}", a.shape, a.dtype) for i, a in enumerate(arrays)]
        executable = sg.compile(function(*nodes), nodes, backend="native")
    assert "left to NumPy" not in executable.report()
    return executable(*arrays)


def assert_accurate(result, truth, bound, lowest=0.0):
    """Compare with the true values, of higher precision, including signs of 0 and specials."""
    expected = truth.astype(result.dtype)
    info = np.finfo(result.dtype)
    special = ~np.isfinite(expected) | (expected == 0)
    largest = expected[special]
    # a value that rounds to infinity may also be the largest number, one that rounds to 0 may not
    np.testing.assert_array_equal(result[special], largest)
    zeros = expected == 0
    np.testing.assert_array_equal(np.signbit(result[zeros]), np.signbit(expected[zeros]))
    counted = ~special & (np.abs(expected) >= lowest * info.tiny)
    assert np.all(np.abs(result[~special & ~counted]) < 2 * lowest * info.tiny)
    ulp = np.spacing(np.abs(expected[counted])).astype(truth.dtype)
    error = np.abs(result[counted].astype(truth.dtype) - truth[counted]) / ulp
    assert error.max() <= bound


@pytest.mark.parametrize("name", FUNCTIONS)
def test_float32_is_within_its_bound_everywhere(name):
    function, bound, _ = FUNCTIONS[name]
    x = singles()
    result = run(getattr(sg, name), x)
    with np.errstate(all="ignore"):
        assert_accurate(result, function(x.astype(np.float64)), bound, LOWEST.get(name, 0.0))


@pytest.mark.skipif(
    np.finfo(np.longdouble).nmant < 63, reason="needs a type that is wider than float64"
)
@pytest.mark.parametrize("name", FUNCTIONS)
def test_float64_is_within_its_bound(name):
    function, _, bound = FUNCTIONS[name]
    x = doubles()
    result = run(getattr(sg, name), x)
    with np.errstate(all="ignore"):
        assert_accurate(result, function(x.astype(np.longdouble)), bound, LOWEST.get(name, 0.0))


def test_error_function():
    special = pytest.importorskip("scipy.special")
    x = singles()
    with np.errstate(all="ignore"):
        assert_accurate(run(sg.erf, x), special.erf(x.astype(np.float64)), 1.5)
    x = np.random.default_rng(0).normal(0, 2, 30_000)
    np.testing.assert_array_max_ulp(run(sg.erf, x), special.erf(x), 5)


PAIRS = {
    "pow": (np.power, 2.0),
    "atan2": (np.arctan2, 2.5),
    "hypot": (np.hypot, 1.5),
    "logaddexp": (np.logaddexp, 3.0),
}


@pytest.mark.parametrize("name", PAIRS)
def test_functions_of_two_numbers(name):
    function, bound = PAIRS[name]
    rng = np.random.default_rng(0)
    values = with_specials(rng.normal(0, 4, 150).astype(np.float32))
    x, y = np.meshgrid(values, values)
    x, y = np.ascontiguousarray(x), np.ascontiguousarray(y)
    with np.errstate(all="ignore"):
        truth = function(x.astype(np.float64), y.astype(np.float64))
        result = run(getattr(sg, name), x, y)
        if name == "logaddexp":  # cancels where the result is near 0
            far = np.abs(truth) > 0.25
            result, truth = result[far], truth[far]
        assert_accurate(result, truth, bound)


@pytest.mark.parametrize("size", range(1, 40))
def test_the_place_in_an_array_does_not_change_an_element(size):
    x = np.linspace(-3, 3, 40, dtype=np.float32)
    whole = run(lambda x: sg.tanh(sg.exp(x)), x)
    np.testing.assert_array_equal(run(lambda x: sg.tanh(sg.exp(x)), x[:size].copy()), whole[:size])
