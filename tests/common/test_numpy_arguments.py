"""Arguments of NumPy's that count, choose or weigh: places, flags, weights."""

import inspect

import numpy as np
import pytest
from tests.common.numpy_calls import COMPLEX, MODES, assert_same
from tests.common.test_bad_arguments import dynamic, names, outcome, start, static

import dyngraph as dg
import staticgraph as sg
from oplibrary.messages.errors import (
    ArgumentError,
    AssertionFailedError,
    AxisError,
    SideBySideError,
)

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


CONTRADICTIONS = {
    "two names of one number": lambda xp, x: xp.var(x, ddof=1, correction=0),
    "bounds by both names": lambda xp, x: xp.clip(x, 0.5, 2, min=2),
    "bounds of a method by both names": lambda xp, x: x.clip(0.5, 2, max=2),
    "one bound by its older name": lambda xp, x: np.clip(x, a_min=2),
    "half a choice": lambda xp, x: np.where(x, None),
    "another half": lambda xp, x: np.where(x > 1, x),
    "an unknown sort": lambda xp, x: xp.sort(x, kind="linear"),
    "an unknown sort of indices": lambda xp, x: np.argsort(x, kind=3),
    "an unknown partition": lambda xp, x: np.partition(x, 1, kind="quick"),
    "an unknown search": lambda xp, x: np.isin(x, x, kind="bogus"),
    "an unknown order": lambda xp, x: np.add(x, x, order="Q"),
    "an unknown order of a copy": lambda xp, x: np.copy(x, order="Q"),
    "no branches": lambda xp, x: xp.switch(0, None, x),
    "one branch for several": lambda xp, x: xp.switch(0, lambda x: x, x),
    "positions that are no whole numbers": lambda xp, x: xp.delete(x, np.array([1.0, 2.0])),
    "a vector for a matrix, and a text": lambda xp, x: xp.linalg.pinv(x, "x"),
    "a vector for a matrix, and nothing": lambda xp, x: xp.linalg.trace(x, None),
}


@pytest.mark.parametrize("name", CONTRADICTIONS)
def test_arguments_that_contradict_each_other_are_refused_alike(name):
    with pytest.raises(SideBySideError) as eager:
        CONTRADICTIONS[name](dg, dg.asarray(X))
    with pytest.raises(SideBySideError) as declared:
        sg.function(lambda x: CONTRADICTIONS[name](sg, x))(X)
    assert eager.value.id == declared.value.id


ANSWERED = {
    "differences by position": (lambda xp, x: xp.diff(x, 1, 0), lambda x: np.diff(x, 1, 0)),
    "differences of a method": (lambda xp, x: x.diff(2, 1), lambda x: np.diff(x, 2, 1)),
    "differences along an axis": (lambda xp, x: xp.diff(x, 0), lambda x: np.diff(x, axis=0)),
    "a method from a number": (lambda xp, x: x.max(initial=40.0), lambda x: x.max(initial=40.0)),
    "a method's dtype by position": (
        lambda xp, x: x.cumsum(0, "float32"),
        lambda x: x.cumsum(0, "float32"),
    ),
    "a sort by its kind": (lambda xp, x: np.sort(x, kind="heapsort"), np.sort),
    "bounds by their older names": (
        lambda xp, x: np.clip(x, a_min=2, a_max=None),
        lambda x: np.clip(x, 2, None),
    ),
    "more decimals than numbers have": (lambda xp, x: xp.round(x, 400), lambda x: x * np.nan),
    "fewer": (lambda xp, x: np.round(x, -400), lambda x: np.round(x, -400)),
    "a number beyond all dtypes": (
        lambda xp, x: xp.logical_and(x.astype("int64"), 10**30),
        lambda x: x != 0,
    ),
    "on the other side": (lambda xp, x: xp.logical_xor(-(10**30), x), lambda x: x == 0),
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", ANSWERED)
def test_arguments_mean_what_they_mean_in_numpy(name):
    call, of_numpy = ANSWERED[name]
    with np.errstate(all="ignore"):
        expected = np.asarray(of_numpy(MATRIX - 1))
    found = call(dg, dg.asarray(MATRIX - 1)).numpy()
    declared = sg.function(lambda x: call(sg, x))(MATRIX - 1)
    for each in (found, declared):
        assert each.dtype == expected.dtype
        np.testing.assert_array_equal(each, expected)


@pytest.mark.parametrize("mode", MODES)
def test_results_have_the_dtype_and_shape_of_numpys(mode):
    calls = [
        (np.linspace, lambda f: f(X, X + 1, 1, retstep=True)[0]),
        (np.linspace, lambda f: f(X, X + 1, 5, retstep=True)[1]),
        *[(np.poly, lambda f, d=d: f(X.astype(d))) for d in ("float16", "float32", "int8")],
    ]
    for function, call in calls:
        assert_same(MODES[mode](call, function), call(function))
    assert np.isnan(
        MODES[mode](lambda f: [np.asarray(f(X, X + 1, 1, retstep=True)[1])], np.linspace)
    )


NUMBER = np.array(3.0)
BIG = 2**32
"""What the lower 32 bits of are 0."""

AT_THE_EDGE = {
    "sort of a kind and stable": (np.sort, lambda f: f(X, kind="stable", stable=True)),
    "argsort of a kind and not stable": (np.argsort, lambda f: f(X, kind="heapsort", stable=False)),
    "sort stable": (np.sort, lambda f: f(X, kind=None, stable=True)),
    "isin by a table of floats": (np.isin, lambda f: f(X, X, kind="table")),
    "isin by a table of ints and floats": (np.isin, lambda f: f(X.astype(int), X, kind="table")),
    "isin by a table": (np.isin, lambda f: f(X.astype(int), X > 1, kind="table")),
    "isin by no such way": (np.isin, lambda f: f(X, X, kind="hash")),
    "round to more places than 32 bits": (np.round, lambda f: f(X, BIG)),
    "round whole numbers to as many": (np.round, lambda f: f(X.astype(int), 2**31)),
    "round to as few": (np.round, lambda f: f(X, -(2**31))),
    "round complex": (np.round, lambda f: f(np.array([1.26 + 2.35j, -0.0 - 17.0j]), 1)),
    "roots of one number": (np.roots, lambda f: f(np.array([1 + 1j]))),
    "pinv of no whole numbers": (np.linalg.pinv, lambda f: f(np.zeros((0, 3), int))),
    "pinv of no matrices": (np.linalg.pinv, lambda f: f(np.zeros((0, 3, 2), int))),
    "tensorsolve of one": (np.linalg.tensorsolve, lambda f: f(np.array([2.0]), np.array([4.0]))),
    "tensorsolve of few axes": (
        np.linalg.tensorsolve,
        lambda f: f(np.array([2.0]), np.array([[4.0]])),
    ),
    "stack as numbers of another kind": (np.stack, lambda f: f([X, X * 1j], dtype="float64")),
    "stack as narrower numbers": (np.stack, lambda f: f([X, X.astype(int)], dtype="float16")),
    "concatenate as whole numbers": (np.concatenate, lambda f: f([X, X > 1], dtype="int64")),
    "concatenate whole numbers that floats do not hold": (
        np.concatenate,
        lambda f: f([np.array([2**53 + 1]), np.array([2**53 + 1], "uint64")], dtype="int64"),
    ),
    "max of a number along no axis": (np.max, lambda f: f(NUMBER, axis=1, initial=0.0)),
    "max of a number along the first": (np.max, lambda f: f(NUMBER, axis=-1, initial=0.0)),
    "vander of fewer columns than none": (np.vander, lambda f: f(X, -1)),
    "cov as whole numbers": (np.cov, lambda f: f(X, dtype="int64")),
    "corrcoef as whole numbers": (np.corrcoef, lambda f: f(X, X, dtype="int8")),
    "cov of no variables and one": (np.cov, lambda f: f(np.zeros((0, 3)), X)),
    "corrcoef of one variable and none": (np.corrcoef, lambda f: f(X, np.zeros((0, 3)))),
    "i0 of complex numbers": (np.i0, lambda f: f(COMPLEX)),
    "interp at complex numbers": (np.interp, lambda f: f(COMPLEX, X, X)),
    "interp between complex numbers": (np.interp, lambda f: f(X, COMPLEX, X)),
    "interp of complex numbers": (np.interp, lambda f: f(X, X, COMPLEX)),
    "correlate numbers": (np.correlate, lambda f: f(NUMBER, NUMBER)),
    "convolve numbers": (np.convolve, lambda f: f(NUMBER, NUMBER)),
    "digitize by bins whose differences wrap around": (
        np.digitize,
        lambda f: f(X.astype("uint8"), np.array([0, 2, 0], "uint8")),
    ),
    "digitize by bins that end at infinity": (
        np.digitize,
        lambda f: f(X, np.array([-np.inf, 1.5, np.inf, np.inf])),
    ),
    "histogram by edges whose differences wrap around": (
        np.histogram,
        lambda f: f(X, np.array([1, -128, -3], "int8")),
    ),
    "clip between a number and halves": (
        np.clip,
        lambda f: f(X.astype("int8"), 0.5, X.astype("float16")),
    ),
    "clip between halves and a number": (
        np.clip,
        lambda f: f(X.astype("int8"), X.astype("float16"), 2),
    ),
    "can_cast to an array": (np.can_cast, lambda f: f(X, X)),
    "lstsq of two precisions": (
        np.linalg.lstsq,
        lambda f: f(MATRIX.astype("float32"), MATRIX)[3],
    ),
    **{
        f"{function.__name__}, ord={order}, of {x.size} elements": (
            function,
            lambda f, x=x, order=order: f(x, ord=order),
        )
        for function in (np.linalg.vector_norm, np.linalg.norm)
        for order in (-2, -1, 0.5, 3)
        for x in (np.zeros(0), np.array([np.inf, -np.inf]), np.array([0.0, 3.0]))
    },
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("function, call", AT_THE_EDGE.values(), ids=AT_THE_EDGE)
def test_a_call_at_the_edge_is_numpys(function, call, mode):
    same_or_refused(call, function, mode)


@pytest.mark.parametrize("axes", [(BIG + 1, BIG), [BIG + 1, BIG], (-BIG, 1), (1, BIG)])
def test_an_axis_of_more_than_32_bits_is_none(axes):
    x = np.ones((2, 3))
    for _ in range(2):  # what is found once is remembered
        with pytest.raises(AxisError):
            dg.permute_dims(dg.asarray(x), axes)
        with pytest.raises(AxisError):
            sg.function(lambda x: sg.permute_dims(x, axes))(x)


@pytest.mark.filterwarnings("ignore")  # of NumPy, where 70001 is more than float16 holds
@pytest.mark.parametrize("kind", ["float16", "float32", "float64"])
@pytest.mark.parametrize("name", ["quantile", "nanquantile", "percentile", "nanpercentile"])
def test_places_of_quantiles_are_worked_out_in_the_precision_of_the_fractions(name, kind):
    function = getattr(np, name)
    most = 100 if "percent" in name else 1
    for count in (6, 2052, 70001):
        x = np.random.default_rng(count).standard_normal(count)
        for part in (0.3, 0.777, 1.0):
            q = np.asarray([part * most], kind)
            expected = function(x, q)
            for found in (
                function(dg.asarray(x), q).numpy(),
                sg.function(lambda x, q=q: function(x, q))(x),
            ):
                assert found.dtype == expected.dtype
                np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_what_numpy_finds_in_the_values_alone_is_refused_by_name():
    for function, x, more in [
        (np.round, np.array([np.inf + 1.26j]), (1,)),
        (np.round, np.array([1.0 + np.nan * 1j]), (-1,)),
        (np.roots, np.array([1 + 1j, 0]), ()),
    ]:
        with pytest.raises(AssertionFailedError):
            function(dg.asarray(x), *more)
        with pytest.raises(AssertionFailedError):
            sg.function(lambda x, f=function, more=more: f(x, *more))(x)


@pytest.mark.parametrize("name", ["nan", "posinf", "neginf"])
@pytest.mark.parametrize("value", [np.nan, np.inf, np.float32(-np.inf)])
def test_what_is_not_finite_does_not_stand_in_complex_numbers(name, value):
    x = np.array([complex(1, np.inf), complex(np.nan, 2)])
    for call in (
        lambda: np.nan_to_num(dg.asarray(x), **{name: value}),
        lambda: sg.function(lambda x: np.nan_to_num(x, **{name: value}))(x),
    ):
        with pytest.raises(ArgumentError, match=f"{name} is"):
            call()
    expected = np.nan_to_num(x, **{name: 3.0})
    np.testing.assert_array_equal(np.nan_to_num(dg.asarray(x), **{name: 3.0}).numpy(), expected)
