"""Every public callable of NumPy's main namespace, linalg and fft: answered, refused, or neither.

A function of a later NumPy that nobody has classified fails here.
"""

import inspect
import warnings

import numpy as np
import pytest
from tests.common.numpy_calls import MODES, ModeCall, V, assert_same, leaves
from tests.common.numpy_examples import COUNTS, EXAMPLES, D, E
from tests.common.test_decompositions import BY_NUMPY
from tests.common.test_fourier import ALONG_ONE, ALONG_SOME
from tests.common.test_numpy_functions import CALLS

import dyngraph as dg
import staticgraph as sg
from oplibrary.executors.numpy.functions import counterpart_of
from oplibrary.messages.errors import (
    DataDependentShapeError,
    SideBySideError,
    SymbolicArrayError,
    SymbolicValueError,
)

SHAPE_FROM_DATA = {
    "argwhere",
    "bincount",
    "compress",
    "extract",
    "flatnonzero",
    "intersect1d",
    "nonzero",
    "piecewise",
    "polydiv",
    "polymul",
    "setdiff1d",
    "setxor1d",
    "trim_zeros",
    "union1d",
    "unique",
    "unique_all",
    "unique_counts",
    "unique_inverse",
    "unique_values",
}
"""Functions that a graph refuses by name, since values would choose the shape of the result."""

REFUSED = {
    "array2string": lambda f: f(V),
    "array_repr": lambda f: f(V),
    "array_str": lambda f: f(V),
    "may_share_memory": lambda f: f(V, V),
    "min_scalar_type": lambda f: f(V),
    "packbits": lambda f: f(V > 0),
    "real_if_close": lambda f: f(V),
    "save": lambda f: f("never-written", V),
    "savetxt": lambda f: f("never-written", V),
    "savez": lambda f: f("never-written", V),
    "savez_compressed": lambda f: f("never-written", V),
    "shares_memory": lambda f: f(V, V),
    "unpackbits": lambda f: f(V.astype("uint8")),
    "datetime_as_string": lambda f: f(V),
    "busday_count": lambda f: f(V, V),
    "busday_offset": lambda f: f(V, V),
    "is_busday": lambda f: f(V),
}
"""Functions that are refused by name: of text, files, memory, dates, and of shapes or dtypes that
values choose."""

MAKES_AN_NDARRAY = {
    "array": lambda f: f(V),
    "asanyarray": lambda f: f(V),
    "asarray": lambda f: f(V),
    "asarray_chkfinite": lambda f: f(V),
    "ascontiguousarray": lambda f: f(V),
    "asfortranarray": lambda f: f(V),
    "asmatrix": lambda f: f(V),
    "bmat": lambda f: f([[V]]),
    "frombuffer": None,
    "fromiter": None,
    "require": lambda f: f(V),
}
"""Functions whose result is an ndarray whatever they are given: named refusals offer ``detach``."""

WITHOUT_ARRAYS = set(
    """
    base_repr binary_repr broadcast_shapes datetime_data format_float_positional
    format_float_scientific from_dlpack fromfile fromfunction frompyfunc fromregex fromstring
    genfromtxt get_include get_printoptions getbufsize geterr geterrcall info isdtype isfortran
    isscalar issubdtype iterable load loadtxt mintypecode nested_iters printoptions promote_types
    set_printoptions setbufsize seterr seterrcall show_config show_runtime test typename
    row_stack arange bartlett blackman diag_indices empty eye full hamming hanning identity indices
    kaiser mask_indices ones tri tril_indices triu_indices zeros
    fft.fftfreq fft.rfftfreq fft.test linalg.test
    in1d trapz
    """.split()
)
"""Functions of dtypes, text, files and settings, and those that make arrays of plain numbers."""

ELSEWHERE = {"cross", "linalg.eig", "linalg.eigvals"}
ELSEWHERE |= {f"linalg.{name}" for name in BY_NUMPY}
ELSEWHERE |= {f"fft.{name}" for name in (*ALONG_ONE, *ALONG_SOME, "fftshift", "ifftshift")}
"""Functions whose values and gradients the tests of linear algebra and of transforms compare."""


def public_callables():
    """Yield the name of every public callable but types and universal functions."""
    for prefix, module in (("", np), ("linalg.", np.linalg), ("fft.", np.fft)):
        for name in dir(module):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                value = getattr(module, name)
            if name.startswith("_") or not callable(value) or isinstance(value, type):
                continue
            if not isinstance(value, np.ufunc):  # test_numpy_ufuncs has these
                # one that has several names has one of its own
                yield prefix + getattr(value, "__name__", name)


def numpy_function(name):
    below, _, plain = name.rpartition(".")
    return getattr(getattr(np, below) if below else np, plain)


ANSWERED = {**{name: [*calls] for name, calls in CALLS.items()}}
for _name, _calls in EXAMPLES.items():
    ANSWERED[_name] = [*ANSWERED.get(_name, []), *_calls]


def test_every_function_is_classified_once():
    for name in public_callables():
        kinds = [
            kind
            for kind, names in (
                ("answered", {*ANSWERED, *ELSEWHERE}),
                ("refused", REFUSED),
                ("makes an ndarray", MAKES_AN_NDARRAY),
                ("without arrays", WITHOUT_ARRAYS),
            )
            if name in names
        ]
        assert len(kinds) == 1, f"numpy.{name} is classified as {kinds}"


def test_what_is_answered_stands_in_the_table_and_nothing_else_does():
    for name in public_callables():
        function = numpy_function(name)
        found = counterpart_of(f"{function.__module__}.{getattr(function, '__name__', name)}")
        if name not in ("row_stack", "trapz", "in1d"):  # other names of functions
            assert (found is not None) == (name in ANSWERED or name in ELSEWHERE), name


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", sorted(EXAMPLES))
def test_examples_give_what_numpy_gives(name, mode):
    function = numpy_function(name)
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        for call in EXAMPLES[name]:
            expected = call(function)
            try:
                assert_same(MODES[mode](call, function), expected)
            except DataDependentShapeError:
                assert mode == "static" and name in SHAPE_FROM_DATA


# gradients ----------------------------------------------------------------------------------------

FLAT = {"empty_like", "fix", "full_like", "ones_like", "zeros_like", "digitize", "round"}
FLAT |= {"common_type"}
"""Functions that are constant wherever they have a derivative, or whose elements are any."""


def _is_float(x):
    return getattr(x, "dtype", None) is not None and x.dtype.kind == "f"


def _total(found):
    """Return a weighted sum of all floating-point numbers in results."""
    parts = []
    for number, x in enumerate(leaves(found)):
        if _is_float(x) and not isinstance(x, type):
            weights = np.cos(np.arange(np.prod(x.shape, dtype=int)) + number).reshape(x.shape)
            parts.append(np.sum(x * weights))
    total = 0.0
    for part in parts:
        total = total + part
    return total


def _varied(call, function, x, wrap=np.asarray):
    """Return the total of a call in which the array equal to D or E, whichever is met, is `x`."""
    met = []

    def replace(array):
        if not met and np.array_equal(array, D if x.ndim == 1 else E):
            met.append(array)
            return x
        return wrap(array)

    return _total(call(ModeCall(function, replace))), bool(met)


def _numeric(call, function, x):
    slope = np.zeros(x.shape)
    for place in np.ndindex(x.shape):
        ends = []
        for step in (1e-6, -1e-6):
            moved = x.copy()
            moved[place] += step
            ends.append(_varied(call, function, moved)[0])
        slope[place] = (ends[0] - ends[1]) / 2e-6
    return slope


@pytest.mark.parametrize("name", sorted(set(EXAMPLES) - FLAT))
def test_gradients_are_those_of_finite_differences(name):
    function = numpy_function(name)
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        for call in EXAMPLES[name]:
            for start in (D, E):
                total, met = _varied(call, function, start)
                if not met or isinstance(total, float) or not np.isfinite(total):
                    continue
                expected = _numeric(call, function, start)
                found = dg.grad(lambda x, call=call: _varied(call, function, x, dg.asarray)[0])(
                    dg.asarray(start)
                )
                np.testing.assert_allclose(found.numpy(), expected, rtol=1e-4, atol=1e-5)
                if name in SHAPE_FROM_DATA:
                    continue
                for backend in ("numpy", "native"):
                    compiled = sg.function(
                        sg.grad(lambda x, call=call: _varied(call, function, x)[0]),
                        backend=backend,
                    )
                    assert_close = np.testing.assert_allclose
                    assert_close(compiled(start), found.numpy(), rtol=1e-9, atol=1e-11)


# refusals -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", sorted(REFUSED))
def test_what_is_refused_is_refused_by_its_name(name, mode, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SymbolicArrayError) as caught:
        MODES[mode](REFUSED[name], numpy_function(name))
    assert f"numpy.{name} has no counterpart here" in str(caught.value)
    assert "detach().numpy()" in str(caught.value)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", [name for name, call in MAKES_AN_NDARRAY.items() if call])
def test_ndarrays_are_refused_where_a_gradient_would_be_lost(name):
    call, function = MAKES_AN_NDARRAY[name], numpy_function(name)
    warnings.simplefilter("ignore", PendingDeprecationWarning)  # numpy.matrix
    with pytest.raises(SideBySideError) as caught:
        call(ModeCall(function, lambda x: dg.asarray(x).requires_grad_()))
    assert "detach().numpy()" in str(caught.value)
    with sg.Graph(), pytest.raises(SymbolicArrayError) as caught:
        call(ModeCall(function, lambda x: sg.placeholder("x", x.shape, x.dtype)))
    assert "an ndarray was asked of" in str(caught.value)
    assert isinstance(call(ModeCall(function, dg.asarray)), np.ndarray)


def test_static_refusals_of_shapes_say_what_to_write():
    with sg.Graph(), pytest.raises(SideBySideError) as caught:
        np.bincount(sg.placeholder("x", (4,), "int64"))
    assert "scatter_add" in str(caught.value)
    run = sg.function(lambda x: sg.scatter_add(sg.zeros(6), x, sg.ones(x.shape)))
    np.testing.assert_array_equal(run(COUNTS), np.bincount(COUNTS))


def test_the_namespaces_have_them_with_numpys_parameters():
    for name in EXAMPLES:
        ours = getattr(dg, name, None)
        if ours is None or name not in dg.__all__ or counterpart_of(f"numpy.{name}") is None:
            continue
        if getattr(ours, "__module__", "").startswith("oplibrary.numerical"):
            mine = [
                each.name
                for each in inspect.signature(ours).parameters.values()
                if each.kind is not each.VAR_POSITIONAL
            ]
            theirs = inspect.signature(numpy_function(name)).parameters
            assert [p for p in mine if p in theirs] == mine, name
            assert inspect.signature(getattr(sg, name)) == inspect.signature(ours)


# lengths that each run chooses, rows of vmap, and out= -------------------------------------------

ANY_LENGTH = {
    "nanmean": lambda x: np.nanmean(x),
    "nanmedian": lambda x: np.nanmedian(x, axis=0),
    "ptp": lambda x: np.ptp(x),
    "ravel": lambda x: np.ravel(x) * 2,
    "vstack": lambda x: np.vstack([x, x]),
    "isclose": lambda x: np.isclose(x, 0.5),
    "average": lambda x: np.average(x, axis=0, weights=np.abs(x)),
    "interp": lambda x: np.interp(x, [0.0, 1.0, 2.0], [5.0, 7.0, 1.0]),
    "digitize": lambda x: np.digitize(x, [0.0, 1.0]),
    "trapezoid": lambda x: np.trapezoid(x),
    "unwrap": lambda x: np.unwrap(x),
    "nan_to_num": lambda x: np.nan_to_num(x),
    "kron": lambda x: np.kron(x, np.array([1.0, 2.0])),
}
FIXED_LENGTH = {
    "median": lambda x: np.median(x),
    "percentile": lambda x: np.percentile(x, 30),
    "quantile": lambda x: np.quantile(x, 0.3),
    "convolve": lambda x: np.convolve(x, [1.0, 2.0]),
    "delete": lambda x: np.delete(x, 0),
    "insert": lambda x: np.insert(x, 0, 1.0),
    "resize": lambda x: np.resize(x, (2, 2)),
    "vander": lambda x: np.vander(x),
    "polyder": lambda x: np.polyder(x),
    "polyval": lambda x: np.polyval(x, 2.0),
    "array_split": lambda x: np.array_split(x, 2),
    "put": lambda x: np.put(x * 1, [0], 1.0),
    "linspace": lambda x: np.linspace(x, 1.0, 3),
}


@pytest.mark.parametrize("name", ANY_LENGTH)
def test_lengths_that_each_run_chooses(name):
    with sg.Graph():
        x = sg.placeholder("x", (sg.dim("two_or_more", min=2),), "float64")
        run = sg.compile(ANY_LENGTH[name](x), [x], backend="numpy")
    for array in (D, D[:3], np.tile(D, 3)):
        np.testing.assert_allclose(run(array), ANY_LENGTH[name](array), rtol=1e-12)


@pytest.mark.parametrize("name", FIXED_LENGTH)
def test_functions_that_need_the_length_say_so(name):
    with sg.Graph(), pytest.raises(SymbolicValueError, match="is not known yet"):
        FIXED_LENGTH[name](sg.placeholder("x", (sg.dim("two_or_more", min=2),), "float64"))


@pytest.mark.parametrize("name", [*ANY_LENGTH, *FIXED_LENGTH])
def test_rows_of_vmap(name):
    function = {**ANY_LENGTH, **FIXED_LENGTH}[name]
    if name == "put":
        return  # nothing is returned
    rows = np.stack([D, D[::-1], D * 1.5])

    def first(x):
        found = function(x)
        return found[0] if isinstance(found, list) else found

    expected = np.stack([first(row) for row in rows])
    np.testing.assert_allclose(dg.vmap(first)(dg.asarray(rows)).numpy(), expected, rtol=1e-12)
    np.testing.assert_allclose(sg.function(sg.vmap(first))(rows), expected, rtol=1e-12)


@pytest.mark.parametrize("mode", ["dynamic", "static"])
@pytest.mark.parametrize(
    "call",
    [
        lambda x, out: np.sum(x, axis=0, out=out),
        lambda x, out: np.median(x, axis=0, out=out),
        lambda x, out: np.clip(x[0], -0.5, 0.5, out=out),
        lambda x, out: np.take(x, [0, 1, 2, 3], out=out),
        lambda x, out: np.nanmax(x, 0, out=out),
        lambda x, out: np.cumsum(x[1], out=out),
        lambda x, out: np.matmul(x[0], x.T @ x, out=out),
        lambda x, out: np.round(x[2], 1, out=out),
    ],
)
def test_results_go_into_out(call, mode):
    def program(x):
        out = np.zeros_like(x[0])
        result = call(x, out)
        assert result is out
        return out + x[0]

    expected = program(E)
    if mode == "dynamic":
        found = program(dg.asarray(E)).numpy()
    else:
        found = sg.function(program)(E)
    np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_out_of_another_shape_is_refused():
    x = dg.asarray(E)
    with pytest.raises(SideBySideError, match="does not fit into"):
        np.sum(x, axis=0, out=dg.asarray(D))


def test_roots_of_real_coefficients_are_complex_and_have_a_gradient():
    """The dtype of ``np.roots`` depends on the numbers, so it takes complex ones only."""
    with pytest.raises(SymbolicArrayError, match=r"write xp.roots\(x\)"):
        np.roots(dg.asarray(D))

    def program(xp, x):
        return xp.sum(xp.abs(xp.roots(x)) ** 2)

    for x in (D, np.array([2.0, -3.0]), np.array([1.0, 0.0, 1.0])):
        np.testing.assert_allclose(
            np.sort_complex(dg.roots(dg.asarray(x)).numpy()), np.sort_complex(np.roots(x) + 0j)
        )
        found = dg.grad(lambda x: program(dg, x))(dg.asarray(x)).numpy()
        for backend in ("numpy", "native"):
            compiled = sg.function(sg.grad(lambda x: program(sg, x)), backend=backend)(x)
            np.testing.assert_allclose(compiled, found, rtol=1e-9)
        total = lambda x: np.sum(np.abs(np.roots(x)) ** 2)  # noqa: E731
        for i in range(len(x)):
            step = 1e-6 * np.eye(len(x))[i]
            slope = (total(x + step) - total(x - step)) / 2e-6
            np.testing.assert_allclose(found[i], slope, rtol=1e-4, atol=1e-5)
    assert dg.roots(dg.asarray([3.0])).shape == (0,)
    with pytest.raises(SideBySideError, match="the first coefficient is 0"):
        dg.roots(dg.asarray([0.0, 1.0]))
    with pytest.raises(SideBySideError, match="the first coefficient is 0"):
        sg.function(sg.roots)(np.array([0.0, 1.0]))


def test_ends_of_geomspace_are_no_zeros():
    for run in (
        lambda x: np.geomspace(dg.asarray(x), 1.0, 3),
        lambda x: sg.function(lambda x: np.geomspace(x, 1.0, 3))(x),
    ):
        with pytest.raises(SideBySideError, match="an end is 0"):
            run(np.array([1.0, 0.0]))
        np.testing.assert_allclose(run(np.array([4.0])), np.geomspace([4.0], 1.0, 3))
