"""NumPy's functions on our values give what NumPy gives for the numbers, or are refused."""

import inspect
import warnings

import numpy as np
import pytest
from tests.common.numpy_calls import COMPLEX, INTS, MODES, NANS, TRUTH, M, T, V, assert_same, static

import dyngraph as dg
import staticgraph as sg
from oplibrary.executors.numpy import functions as numpy_functions
from oplibrary.messages.errors import SideBySideError, SymbolicArrayError

CALLS = {
    "all": [lambda f: f(TRUTH, 1), lambda f: f(TRUTH), lambda f: f(TRUTH, keepdims=True)],
    "any": [lambda f: f(TRUTH, 1), lambda f: f(TRUTH, axis=0)],
    "argmax": [lambda f: f(M), lambda f: f(M, 1), lambda f: f(M, axis=0, keepdims=True)],
    "argmin": [lambda f: f(M), lambda f: f(M, 1)],
    "argsort": [
        lambda f: f(M),
        lambda f: f(M, 0),
        lambda f: f(M, None),
        lambda f: f(M, 0, "stable"),
    ],
    "argwhere": [lambda f: f(M)],
    "around": [lambda f: f(M)],
    "array_split": [lambda f: f(V, 4), lambda f: f(V, [1, 3]), lambda f: f(M, 2, 1)],
    "astype": [lambda f: f(V, "float32"), lambda f: f(V, "int64", copy=False)],
    "atleast_1d": [lambda f: f(V), lambda f: f(M[0, 0])],
    "broadcast_arrays": [lambda f: f(V, M[:, :1])],
    "broadcast_to": [lambda f: f(V, (2, 6)), lambda f: f(V[0], 3)],
    "can_cast": [lambda f: f("float32", "float64")],
    "clip": [lambda f: f(V, 0.0, 2.0), lambda f: f(V, None, 1.0), lambda f: f(V, min=0.0)],
    "concatenate": [lambda f: f([M, M]), lambda f: f((M, M), 1), lambda f: f([M, V], axis=None)],
    "copy": [lambda f: f(M), lambda f: f(M, "F")],
    "count_nonzero": [lambda f: f(M), lambda f: f(M, 0), lambda f: f(M, axis=1, keepdims=True)],
    "cumsum": [
        lambda f: f(M),
        lambda f: f(M, 0),
        lambda f: f(V, 0, "float32"),
        lambda f: f(INTS, 1),
        lambda f: f(INTS, 1, "int8"),
    ],
    "cumprod": [lambda f: f(V), lambda f: f(M, 1), lambda f: f(INTS, 0, "float64")],
    "cumulative_sum": [lambda f: f(V), lambda f: f(M, axis=0, include_initial=True)],
    "cumulative_prod": [lambda f: f(V), lambda f: f(M, axis=0)],
    "cross": [
        lambda f: f(T[0, :, :3], T[0, :, :3] * 2.0 + 1.0),
        lambda f: f(M[:, :3], M[:, :3].T, axisa=1, axisb=0, axisc=0),
        lambda f: f(M[:3], M[:3] * 2.0 + 1.0, axis=0),
    ],
    "diag": [lambda f: f(V), lambda f: f(V, 1), lambda f: f(M, -1)],
    "diagonal": [
        lambda f: f(M),
        lambda f: f(T),
        lambda f: f(T, 1),
        lambda f: f(T, 0, 1, 2),
        lambda f: f(T, axis1=2, axis2=0),
    ],
    "diff": [lambda f: f(V), lambda f: f(V, 2), lambda f: f(M, 1, 0), lambda f: f(M, axis=0)],
    "dot": [
        lambda f: f(V, V),
        lambda f: f(V, 2.0),
        lambda f: f(2.0, M),
        lambda f: f(M, M.T),
        lambda f: f(T, M.T),
    ],
    "einsum": [
        lambda f: f("ij,kj->ik", M, M),
        lambda f: f("ij,kj->ik", M, M, optimize=True),
        lambda f: f("ii", M[:, :3]),
    ],
    "empty_like": [],
    "expand_dims": [lambda f: f(V, 0), lambda f: f(M, axis=-1)],
    "flip": [lambda f: f(M), lambda f: f(M, 0), lambda f: f(T, (0, 1))],
    "full_like": [lambda f: f(M, 2.0), lambda f: f(M, 2, "int64"), lambda f: f(M, 7, dtype="int8")],
    "hstack": [lambda f: f([V, V]), lambda f: f([M, M])],
    "imag": [lambda f: f(COMPLEX)],
    "matrix_transpose": [lambda f: f(T)],
    "max": [lambda f: f(M), lambda f: f(M, 1), lambda f: f(M, axis=0, keepdims=True)],
    "mean": [lambda f: f(M), lambda f: f(M, 1), lambda f: f(INTS, 0), lambda f: f(M, 0, "float32")],
    "meshgrid": [
        lambda f: f(V, V[:2]),
        lambda f: f(V, V[:2], indexing="ij"),
        lambda f: f(V, V[:2], M, sparse=True),
        lambda f: f(V, V[:2], 2.0, sparse=True, indexing="ij"),
        lambda f: f(V, V[:2], copy=False),
    ],
    "min": [lambda f: f(M), lambda f: f(M, 1)],
    "moveaxis": [lambda f: f(T, 0, 2), lambda f: f(T, (0, 1), (2, 0))],
    "ndim": [lambda f: f(T)],
    "nonzero": [lambda f: f(M)],
    "ones_like": [lambda f: f(M), lambda f: f(M, "int8")],
    "outer": [lambda f: f(V, V[:2]), lambda f: f(M, V), lambda f: f(V, 2.0)],
    "pad": [
        lambda f: f(M, 1),
        lambda f: f(V, (1, 2)),
        lambda f: f(M, ((0, 1), (2, 0)), "edge"),
        lambda f: f(M, 1, constant_values=9.0),
        lambda f: f(V, 2, mode="reflect"),
    ],
    "prod": [lambda f: f(M), lambda f: f(INTS, 1), lambda f: f(INTS, 0, "float32")],
    "ravel": [lambda f: f(T)],
    "real": [lambda f: f(COMPLEX)],
    "repeat": [lambda f: f(M, 2), lambda f: f(M, 2, 1), lambda f: f(M, repeats=3, axis=0)],
    "reshape": [lambda f: f(M, (4, 3)), lambda f: f(M, -1), lambda f: f(M, shape=(2, -1))],
    "result_type": [lambda f: f(V, "float32")],
    "roll": [lambda f: f(M, 1), lambda f: f(M, 1, 0), lambda f: f(M, (1, 2), axis=(0, 1))],
    "round": [lambda f: f(M)],
    "searchsorted": [
        lambda f: f(np.sort(V), V),
        lambda f: f(np.sort(V), V, "right"),
        lambda f: f(V, V, "left", np.argsort(V)),
    ],
    "shape": [lambda f: f(T)],
    "size": [lambda f: f(T), lambda f: f(T, 1)],
    "sort": [
        lambda f: f(M),
        lambda f: f(V, 0, "stable"),
        lambda f: f(M, None),
        lambda f: f(M, axis=0, stable=True),
        lambda f: f(NANS),
    ],
    "split": [
        lambda f: f(V, [1, 3]),
        lambda f: f(V, (2, 2, 10)),
        lambda f: f(V, 3),
        lambda f: f(M, [1], 1),
        lambda f: f(V, [4, 2]),
        lambda f: f(V, [-1]),
    ],
    "squeeze": [lambda f: f(M[:1]), lambda f: f(M[:1], 0)],
    "stack": [lambda f: f([M, M]), lambda f: f([M, M], 2), lambda f: f([V, V], dtype="float32")],
    "std": [
        lambda f: f(M),
        lambda f: f(M, 0, ddof=1),
        lambda f: f(M, 1, None, None, 1),
        lambda f: f(M, correction=1),
        lambda f: f(INTS, 1),
    ],
    "sum": [
        lambda f: f(M),
        lambda f: f(M, 1),
        lambda f: f(INTS),
        lambda f: f(INTS, 0, "float32"),
        lambda f: f(INTS, dtype="int8"),
        lambda f: f(M, (0, 1), keepdims=True),
        lambda f: f(M, where=True),
    ],
    "swapaxes": [lambda f: f(T, 0, 2), lambda f: f(T, axis1=1, axis2=2)],
    "take": [
        lambda f: f(V, [1, 3]),
        lambda f: f(M, np.array([1, 7])),
        lambda f: f(M, [0, 2], 1),
        lambda f: f(M, 1, axis=0),
        lambda f: f(M, [0, 9, -9], 1, mode="clip"),
        lambda f: f(M, [0, 9, -9], axis=0, mode="wrap"),
        lambda f: f(T, np.array([[100], [-100]]), mode="wrap"),
    ],
    "take_along_axis": [
        lambda f: f(M, np.argsort(M, 0), 0),
        lambda f: f(M, np.argsort(M), axis=-1),
    ],
    "tensordot": [
        lambda f: f(M, M.T, 1),
        lambda f: f(M, M, (0, 0)),
        lambda f: f(M, M, axes=([0, 1], [0, 1])),
    ],
    "tile": [lambda f: f(V, 2), lambda f: f(M, (2, 1))],
    "trace": [
        lambda f: f(M),
        lambda f: f(T),
        lambda f: f(T, 1),
        lambda f: f(T, 0, 1, 2),
        lambda f: f(INTS, dtype="float64"),
        lambda f: f(INTS),
    ],
    "transpose": [lambda f: f(T), lambda f: f(T, (1, 0, 2)), lambda f: f(T, axes=[2, 0, 1])],
    "tril": [lambda f: f(M), lambda f: f(M, 1)],
    "triu": [lambda f: f(M), lambda f: f(M, k=-1)],
    "unique": [lambda f: f(V), lambda f: f(NANS), lambda f: f(NANS, equal_nan=False)],
    "unique_all": [lambda f: f(V)],
    "unique_counts": [lambda f: f(V)],
    "unique_inverse": [lambda f: f(V)],
    "unique_values": [lambda f: f(V)],
    "unstack": [lambda f: f(M), lambda f: f(M, axis=1)],
    "var": [lambda f: f(M), lambda f: f(M, 0, None, None, 1), lambda f: f(M, axis=1, ddof=1)],
    "vstack": [lambda f: f([V, V]), lambda f: f([M, M])],
    "where": [lambda f: f(M > 1.0, M, 0.0), lambda f: f(M)],
    "zeros_like": [lambda f: f(M), lambda f: f(M, dtype="int8")],
    "linalg.diagonal": [lambda f: f(T), lambda f: f(T, offset=1)],
    "linalg.matmul": [lambda f: f(M, M.T)],
    "linalg.matrix_transpose": [lambda f: f(T)],
    "linalg.outer": [lambda f: f(V, V)],
    "linalg.tensordot": [lambda f: f(M, M.T, axes=1)],
    "linalg.trace": [lambda f: f(T), lambda f: f(T, offset=1)],
    "linalg.vecdot": [lambda f: f(M, M), lambda f: f(COMPLEX, COMPLEX), lambda f: f(INTS, INTS)],
    "linalg.vector_norm": [lambda f: f(M), lambda f: f(M, axis=1, ord=1, keepdims=True)],
}
"""Calls by NumPy's positions and names, all of which are answered."""
CALLS |= {"amax": CALLS["max"], "amin": CALLS["min"]}

DATA_DEPENDENT = {"argwhere", "nonzero", "unique"}
"""Functions whose result has a shape that a static graph cannot know."""


def _numpy_function(name):
    below, _, plain = name.rpartition(".")
    return getattr(getattr(np, below) if below else np, plain)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", CALLS)
def test_the_calls_that_are_answered_give_what_numpy_gives(name, mode):
    function = _numpy_function(name)
    for call in CALLS[name]:
        if mode == "static" and (name.startswith("unique") or name in DATA_DEPENDENT):
            with pytest.raises(SideBySideError):
                static(call, function)
        elif not (mode == "static" and name == "where" and call is CALLS[name][1]):
            assert_same(MODES[mode](call, function), call(function))


def test_the_table_names_arguments_that_numpy_has():
    for name, (taken, _) in numpy_functions._FUNCTIONS.items():
        plain = name.removeprefix("numpy.")
        assert taken <= set(inspect.signature(_numpy_function(plain)).parameters) | {
            "constant_values",
            "xi",
            "operands",
            "args",
            "arrays_and_dtypes",
            "arys",
            "x",
        }


def test_signatures_of_functions_in_c_are_numpys():
    for name, function in numpy_functions.WRITTEN_IN_C.items():
        try:
            theirs = inspect.signature(getattr(np, name))
        except ValueError:
            continue
        written = inspect.signature(function)
        plain = [p.replace(annotation=p.empty) for p in written.parameters.values()]
        assert plain == list(theirs.parameters.values())


# whatever is called -------------------------------------------------------------------------------

FUNCTIONS = sorted(
    name
    for name, function in vars(np).items()
    if hasattr(function, "_implementation")
    and "busday" not in name  # of dates
    and not name.startswith(("save", "_", "array2", "array_"))
)
UFUNCS = sorted(name for name, function in vars(np).items() if isinstance(function, np.ufunc))
ARRAYS = {
    "vector": V,
    "float32": V.astype("float32"),
    "matrix": M,
    "square": M[:, :3],
    "three axes": T,
    "int8": INTS,
    "uint8": INTS.astype("uint8"),
    "int64": INTS.astype("int64"),
    "truth": TRUTH,
    "complex": COMPLEX,
    "NaN": NANS,
    "scalar": np.array(2.5),
    "empty": np.zeros((0, 3)),
}


def thrice(f, x):
    return f(x, x, x)


ARGUMENTS = [
    lambda f, x: f(x),
    lambda f, x: f(x, x),
    lambda f, x: f(x, 0),
    lambda f, x: f(x, 1),
    lambda f, x: f(x, 1, 0),
    lambda f, x: f(x, 0, 1),
    lambda f, x: f(x, 1, 0, 1),
    lambda f, x: f(x, [1, 2]),
    lambda f, x: f(x, (1, 1)),
    lambda f, x: f(x, None),
    lambda f, x: f(x, 0, None, None, 1),
    lambda f, x: f(x, 0, "float64"),
    lambda f, x: f(x, 0, "stable"),
    lambda f, x: f(x, 1.5),
    lambda f, x: f(x, x, 0),
    thrice,
    lambda f, x: f(x, 0, 2),
    lambda f, x: f([x, x]),
    lambda f, x: f([x, x], 0),
    lambda f, x: f((x, x), 1),
    lambda f, x: f(x, axis=0),
    lambda f, x: f(x, axis=-1),
    lambda f, x: f(x, axis=None),
    lambda f, x: f(x, axis=(0, 1)),
    lambda f, x: f(x, axis=0, keepdims=True),
    lambda f, x: f(x, dtype="float32"),
    lambda f, x: f(x, axis=0, dtype="int8"),
    lambda f, x: f(x, axis=0, initial=1),
    lambda f, x: f(x, axis=0, where=x > 1),
    lambda f, x: f(x, 2, order="F"),
    lambda f, x: f(x, order="F"),
    lambda f, x: f(x, (-1,), "F"),
    lambda f, x: f(x, decimals=1),
    lambda f, x: f(x, ddof=1),
    lambda f, x: f(x, return_counts=True),
    lambda f, x: f(x, 1, prepend=0),
    lambda f, x: f(x, x > 1),
]


UNSPECIFIED = {
    "argpartition",
    "argsort",
    "empty_like",
    "partition",
    "unique_all",
    "unique_counts",
    "unique_inverse",
}
UNSPECIFIED |= {"unique_values"}
"""Functions of which NumPy itself does not say which of several results it gives."""
UNSPECIFIED_FOR = {("dot", "NaN"), ("inner", "NaN"), ("interp", "NaN")}
"""Products with 0 that leave out NaN, and points that are in no order."""


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", [*FUNCTIONS, *UFUNCS])
def test_every_call_gives_what_numpy_gives_or_is_refused(name, mode):
    function = getattr(np, name)
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        for shown, x in ARRAYS.items():
            for number, call in enumerate(ARGUMENTS):
                if call is thrice and getattr(function, "nout", 1) > 1:
                    continue  # two results in one memory: NumPy does not say which one stays
                try:
                    expected = call(function, x.copy())
                except Exception:  # NumPy refuses it; ours may, and may not, as axis=-1 of a sum
                    continue
                try:
                    found = MODES[mode](lambda f, call=call, x=x: call(f, x.copy()), function)
                except SideBySideError:
                    continue
                if name not in UNSPECIFIED and (name, shown) not in UNSPECIFIED_FOR:
                    try:
                        assert_same(found, expected)
                    except AssertionError as error:
                        raise AssertionError(f"call {number} of {name} with {shown}") from error


@pytest.mark.parametrize("mode", ["dynamic", "static"])
@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda x: np.var(x, where=x > 0.0), "numpy.var: argument 'where'"),
        (lambda x: np.add(x, x, where=[True]), "numpy.add: argument 'where'"),
        (lambda x: np.reshape(x, (-1,), order="A"), "numpy.reshape: argument 'order'"),
        (lambda x: np.arctan2.accumulate(x), "a fold with numpy.arctan2 has no counterpart"),
        (lambda x: np.einsum("i->", x, dtype="float32"), "numpy.einsum: argument 'dtype'"),
        (lambda x: np.pad(x, 1, end_values=1.0), "numpy.pad: argument 'end_values'"),
    ],
)
def test_what_has_no_counterpart_is_named(call, words, mode):
    def run():
        if mode == "dynamic":
            return call(dg.asarray(V))
        with sg.Graph():
            return call(sg.placeholder("x", V.shape, "float64"))

    with pytest.raises(SymbolicArrayError) as caught:
        run()
    assert words in str(caught.value)


@pytest.mark.parametrize("mode", ["dynamic", "static"])
def test_gradients_flow_through_numpys_functions(mode):
    def loss(x):
        cut = np.split(x, [1, 3])
        return np.sum(cut[1] ** 2) + np.trace(np.outer(x, x)) + np.sum(np.copy(np.sort(x, 0)))

    expected = 2 * V + 1 + 2 * V * np.array([0, 1, 1, 0, 0, 0])
    if mode == "dynamic":
        found = dg.grad(loss)(dg.asarray(V)).numpy()
    else:
        found = sg.function(sg.grad(loss))(V)
    np.testing.assert_allclose(found, expected)
