"""Arguments of NumPy's that count, choose or weigh: places, flags, weights."""

import inspect

import numpy as np
import pytest
from tests.common.numpy_calls import MODES, assert_same
from tests.common.test_bad_arguments import dynamic, names, outcome, start, static

import dyngraph as dg
import staticgraph as sg
from oplibrary.messages.errors import ArgumentError, SideBySideError

X = np.array([1.0, 2.0, 3.0])
BATCH, MATRIX = np.arange(18.0).reshape(2, 3, 3) % 5, np.arange(9.0).reshape(3, 3) + 1


def same_or_refused(call, function, mode):
    """Assert that a mode gives what NumPy gives, and refuses what it refuses."""
    try:
        expected = call(function)
    except Exception:
        with pytest.raises(SideBySideError):
            MODES[mode](call, function)
        return
    assert_same(MODES[mode](call, function), expected)


@pytest.mark.parametrize("name", ["cumsum", "cumprod", "cumulative_sum", "cumulative_prod"])
def test_the_third_argument_of_a_running_fold_is_its_dtype(name):
    expected = getattr(np, name.replace("ulative_", ""))(X, 0, "float32")
    found = getattr(dg, name)(dg.asarray(X), 0, "float32").numpy()
    declared = sg.function(lambda x: getattr(sg, name)(x, 0, "float32"))(X)
    for each in (found, declared):
        assert each.dtype == np.float32
        np.testing.assert_array_equal(each, expected)
    for wrong in ("no", 2, True):
        with pytest.raises(SideBySideError):
            getattr(dg, name)(dg.asarray(X), 0, wrong)
        with pytest.raises(SideBySideError):
            sg.function(lambda x, wrong=wrong: getattr(sg, name)(x, 0, wrong))(X)


@pytest.mark.parametrize("mode", MODES)
def test_each_operand_counts_the_axis_of_its_vectors(mode):
    for axis in range(-3, 4):
        for x, y in ((BATCH, MATRIX), (MATRIX, BATCH), (BATCH * 1j + 1, BATCH), (MATRIX, MATRIX)):
            same_or_refused(lambda f, a=axis, x=x, y=y: f(x, y, axis=a), np.linalg.vecdot, mode)


@pytest.mark.parametrize("mode", MODES)
def test_rollaxis_counts_a_negative_start_from_the_last_axis(mode):
    x = np.zeros((2, 3, 4))
    for axis in range(-4, 4):
        for before in range(-5, 6):
            same_or_refused(lambda f, a=axis, b=before: f(x, a, b), np.rollaxis, mode)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("bins", [1, 2, 5, [0, 2, 5], [0.0, 1.0, 2.0, 9.0]])
def test_a_weight_counts_in_no_bin_but_its_own(bins, mode):
    x = np.array([0.0, 5.0, 1.0, 3.0, 2.0, 4.0])
    for extreme in (1e20, np.nan, np.inf, 1j, 0.1, 3):
        for place in (0, 2, 5):
            weights = np.ones(6, np.asarray(extreme).dtype)
            weights[place] = extreme
            calls = [lambda f, w=weights: f(x, bins, weights=w)]
            if isinstance(bins, int):
                calls += [
                    lambda f, w=weights: f(x, bins, range=(1, 3), weights=w),
                    lambda f, w=weights: f(x, bins, range=(1, 3), weights=w, density=True),
                    lambda f, w=weights: f(x[:0], bins, weights=w[:0]),
                ]
            for call in calls:
                assert_same(MODES[mode](call, np.histogram), call(np.histogram))


def flags():
    """Yield each function of the namespaces and its parameters that are True or False."""
    for below, name in names():
        function = getattr(getattr(dg, below) if below else dg, name)
        try:
            given = inspect.signature(function).parameters.values()
        except (TypeError, ValueError):
            continue
        found = [each.name for each in given if isinstance(each.default, bool)]
        if found:
            yield below, name, found


@pytest.mark.parametrize(("below", "name", "found"), list(flags()))
def test_a_flag_is_a_truth_value(below, name, found):
    base = start(below, name)
    if base is None:
        pytest.skip("no call was found that it takes")
    for flag in found:
        for value in ("no", 2.5, [1]):
            call = (below, name, base[0], {**base[1], flag: value})
            for mode in (dynamic, static):
                assert outcome(mode, *call)[0] == ArgumentError.id, (mode, call)


@pytest.mark.parametrize("name", ["dropout", "alpha_dropout", "dropout2d"])
def test_whether_to_drop_is_a_truth_value(name):
    x, key = dg.ones((2, 2, 3, 3)), dg.random_key(0)
    assert getattr(dg, name)(x, 0.5, key, np.False_).shape == x.shape
    with pytest.raises(ArgumentError, match="training must be a bool"):
        getattr(dg, name)(x, 0.5, key, training="no")
