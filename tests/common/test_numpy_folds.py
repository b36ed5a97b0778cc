"""Folds of NumPy's that are told where to write and what to start from."""

import numpy as np
import pytest
from tests.common.numpy_calls import MODES, assert_same

from oplibrary.messages.errors import (
    ArgumentError,
    SideBySideError,
    SymbolicArrayError,
    SymbolicValueError,
)

HALVES = np.full((4, 25), 1000.0, "float16")
SMALL = np.full((20, 10), 9, "int32")
BYTES = np.array([7, 0, 3], "uint8")
TRUTH = np.array([True, False, True])
COMPUTED_IN_OUT = {
    "sum": (np.sum, HALVES, {}),
    "sum from": (np.sum, BYTES, {"initial": 2.5}),
    "sum along": (np.sum, HALVES, {"axis": 0}),
    "prod": (np.prod, SMALL, {}),
    "max from": (np.max, BYTES, {"initial": 7.5}),
    "min from": (np.amin, TRUTH, {"initial": -1}),
    "max": (np.max, BYTES, {}),
    "any": (np.any, BYTES, {}),
    "cumsum": (np.cumsum, HALVES, {}),
    "cumprod": (np.cumprod, SMALL, {}),
    "cumulative_sum": (np.cumulative_sum, HALVES, {"axis": 1}),
    "nansum": (np.nansum, HALVES, {}),
    "nanprod": (np.nanprod, HALVES, {}),
    "nancumsum": (np.nancumsum, HALVES, {}),
    "trace": (np.trace, HALVES * 60, {}),
    "add.reduce": (np.add.reduce, HALVES, {"axis": None}),
    "multiply.reduce": (np.multiply.reduce, SMALL, {}),
    "remainder.reduce": (np.remainder.reduce, BYTES, {}),
    "floor_divide.reduce": (np.floor_divide.reduce, BYTES, {}),
    "hypot.reduce": (np.hypot.reduce, HALVES, {}),
    "add.accumulate": (np.add.accumulate, HALVES, {"axis": 1}),
    "logaddexp.accumulate": (np.logaddexp.accumulate, HALVES, {"axis": 1}),
    "add.reduceat": (lambda x, **given: np.add.reduceat(x, [0, 2], **given), HALVES.ravel(), {}),
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", COMPUTED_IN_OUT)
def test_a_fold_is_computed_in_the_dtype_shared_with_what_it_is_written_to(name, mode):
    function, x, given = COMPUTED_IN_OUT[name]
    answered = 0
    for dtype in ("float64", "float32", "complex128", "int8", "int64"):

        def call(f, dtype=dtype):
            out = np.zeros(np.shape(function(x, **given)), dtype)
            return f(x, out=out, **given)

        with np.errstate(all="ignore"):
            try:
                expected = call(function)
            except TypeError:
                continue
            try:
                found = MODES[mode](call, function)
            except SideBySideError as error:
                assert "does not fit into" in str(error)  # NumPy folds into any dtype
                continue
        assert_same(found, expected)
        answered += 1
    assert answered >= 2


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", ["mean", "var", "median", "round", "ptp", "nanmean"])
def test_what_partly_computes_in_the_dtype_of_out_is_refused_in_another(name, mode):
    x = np.array([0.1, 0.2, 0.4], "float32")
    shape = np.shape(getattr(np, name)(x))
    for dtype in ("float64", "float32"):

        def call(f, dtype=dtype):
            return f(x, out=np.zeros(shape, dtype))

        if dtype == "float32":
            assert_same(MODES[mode](call, getattr(np, name)), call(getattr(np, name)))
            continue
        with pytest.raises(SymbolicArrayError, match="argument 'out' of another dtype"):
            MODES[mode](call, getattr(np, name))


STARTS = [300, -1, 1j, 1.5, np.nan, 1e10, 2**70, 3, None, True, np.array(3), [3]]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("dtype", ["int8", "uint8", "float16", "float64", "bool", "complex128"])
def test_what_a_fold_starts_from_is_a_number_of_its_dtype(dtype, mode):
    functions = [np.max, np.sum, *[u.reduce for u in (np.logical_and, np.gcd, np.fmax, np.hypot)]]
    for function in functions:
        for start in STARTS:
            for x in (np.array([1, 2, 3]).astype(dtype), np.zeros((0, 2), dtype)):

                def call(f, x=x, start=start):
                    return f(x, initial=start, axis=0)

                try:
                    expected = call(function)
                except Exception:
                    with pytest.raises(SideBySideError):
                        MODES[mode](call, function)
                    continue
                try:
                    found = MODES[mode](call, function)
                except (SymbolicArrayError, SymbolicValueError):  # no op, or no number yet
                    continue
                assert_same(found, expected)


@pytest.mark.parametrize("mode", MODES)
def test_a_start_that_does_not_fit_is_named(mode):
    with pytest.raises(ArgumentError, match="300 out of bounds for int8"):
        MODES[mode](lambda f: f(np.array([1], "int8"), initial=300), np.max)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("ufunc", [np.gcd, np.hypot, np.logaddexp, np.bitwise_xor])
def test_a_fold_of_one_element_is_that_with_the_identity(ufunc, mode):
    x = np.array([[-4], [6]])
    if ufunc.types[0][0] not in "?b":
        x = x.astype(float)
    for call in (
        lambda f: f.reduce(x, axis=1),
        lambda f: f.reduce(x, axis=1, initial=None),
        lambda f: f.reduceat(x, [0, 1]),
        lambda f: f.accumulate(x, axis=1),
    ):
        assert_same(MODES[mode](lambda f, call=call: call(_Methods(f, ufunc)), None), call(ufunc))


class _Methods:
    """The methods of a ufunc, called as `wrap`, a `ModeCall`, calls functions."""

    def __init__(self, wrap, ufunc):
        self.wrap, self.ufunc = wrap, ufunc

    def __getattr__(self, name):
        method = getattr(self.ufunc, name)
        return lambda *args, **kwargs: method(self.wrap.wrap(args[0]), *args[1:], **kwargs)
