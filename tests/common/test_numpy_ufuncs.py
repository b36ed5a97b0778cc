"""NumPy's universal functions with arguments, and their methods: as in NumPy, or refused."""

import numpy as np
import pytest
from tests.common.numpy_calls import COMPLEX, INTS, NANS, TRUTH, M, T, V, assert_same, leaves

import dyngraph as dg
import staticgraph as sg
from oplibrary.messages.errors import DTypeError, ShapeError, SideBySideError, SymbolicArrayError

UFUNCS = sorted(
    {f.__name__: name for name, f in vars(np).items() if isinstance(f, np.ufunc)}.values()
)
ARRAYS = {
    "vector": V.astype("float32"),
    "matrix": M,
    "three axes": T,
    "int8": INTS,
    "uint8": INTS.astype("uint8"),
    "int64": np.array([[1, 2, 3], [4, 5, 6]]),
    "truth": TRUTH,
    "complex": COMPLEX,
    "NaN": NANS,
    "scalar": np.array(2.5),
    "empty": np.zeros((0, 3)),
}
CALLS = {
    "reduce": [
        lambda f, x: f.reduce(x),
        lambda f, x: f.reduce(x, -1),
        lambda f, x: f.reduce(x, axis=None),
        lambda f, x: f.reduce(x, axis=(0, 1), keepdims=True),
        lambda f, x: f.reduce(x, dtype="float32"),
        lambda f, x: f.reduce(x, initial=2),
        lambda f, x: f.reduce(x, initial=1.5),
        lambda f, x: f.reduce(x, where=x > 1),
        lambda f, x: f.reduce(x, where=x > 1, initial=3),
        lambda f, x: f.reduce(x, out=np.zeros(x.shape[1:], x.dtype)),
    ],
    "accumulate": [
        lambda f, x: f.accumulate(x),
        lambda f, x: f.accumulate(x, -1),
        lambda f, x: f.accumulate(x, 0, "float64"),
    ],
    "outer": [
        lambda f, x: f.outer(x, x),
        lambda f, x: f.outer(x, [1, 2, 3]),
        lambda f, x: f.outer(x, x, dtype="float64"),
    ],
    "reduceat": [
        lambda f, x: f.reduceat(x, [0, 1]),
        lambda f, x: f.reduceat(x, [1, 0, 1], axis=-1),
        lambda f, x: f.reduceat(x, [0], dtype="float64"),
    ],
    "call": [
        lambda f, x: f(x, x, dtype="float32"),
        lambda f, x: f(x, x, dtype="float64"),
        lambda f, x: f(x, dtype="float32"),
        lambda f, x: f(x, dtype="float64"),
        lambda f, x: f(x, 2, casting="no"),
        lambda f, x: f(x, True, casting="safe"),
        lambda f, x: f(x, x, casting="equiv"),
        lambda f, x: f(x, x, casting="unsafe", dtype="int32"),
        lambda f, x: f(x, x, out=np.zeros(x.shape, "float64")),
        lambda f, x: f(x, out=np.zeros((2, *x.shape), "float64")),
        lambda f, x: f(x, x, out=np.full(x.shape, 7.0), where=x > 1),
        lambda f, x: f(x, out=np.full(x.shape, 7.0), where=x > 1),
        lambda f, x: f(x, x, out=np.zeros(x.shape, "int8"), casting="unsafe"),
        lambda f, x: f(x, x, order="F", subok=False),
    ],
}
PLACES = [[0, 0, 1], [0, 1, 0, 0], np.array([1, 1, 0]), (-1,), slice(0, 1), ([0, 1, 0], [1, 0, 1])]


class Wrapped:
    """A ufunc, or its method, that is called with values of a mode in place of arrays."""

    def __init__(self, function, wrap):
        self.function, self.wrap = function, wrap

    def __getattr__(self, name):
        return Wrapped(getattr(self.function, name), self.wrap)

    def __call__(self, *args, **kwargs):
        def wrapped(x):
            return self.wrap(x) if isinstance(x, np.ndarray) else x

        return self.function(*map(wrapped, args), **{k: wrapped(v) for k, v in kwargs.items()})


def run_dynamic(call):
    found = call(dg.asarray)
    return [x.numpy() if isinstance(x, dg.Tensor) else x for x in leaves(found)]


def run_static(call):
    with sg.Graph():
        # a product, so that it is no constant
        found = leaves(call(lambda x: sg.asarray(x) * np.ones((), x.dtype)))
        return [np.asarray(x) for x in sg.compile(found, [], backend="numpy")()]


MODES = {"dynamic": run_dynamic, "static": run_static}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("method", CALLS)
def test_every_function_gives_what_numpy_gives_or_is_refused(method, mode):
    answered = set()
    for name in UFUNCS:
        ufunc = getattr(np, name)
        for shown, x in ARRAYS.items():
            for number, call in enumerate(CALLS[method]):
                with np.errstate(all="ignore"):
                    try:
                        expected = call(ufunc, x.copy())
                    except Exception:
                        continue
                    try:
                        found = MODES[mode](
                            lambda w, f=ufunc, c=call, x=x: c(Wrapped(f, w), x.copy())
                        )
                    except SideBySideError:
                        continue
                try:
                    assert_same(found, expected)
                except AssertionError as error:
                    raise AssertionError(f"call {number} of {name} with {shown}") from error
                answered.add((name, number))
    assert len(answered) > {"call": 250, "reduce": 200}.get(method, 70)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    "name", ["add", "subtract", "multiply", "maximum", "logical_or", "negative"]
)
def test_in_place_as_often_as_the_indices_say(name, mode):
    ufunc = getattr(np, name)
    for x in (M, INTS, INTS.astype("float32"), TRUTH):
        for places in PLACES:
            two = True if x is TRUTH else 2  # of another dtype it is refused
            for value in (two, np.array([[1], [3]], x.dtype)) if ufunc.nin == 2 else (None,):
                operands = () if value is None else (value,)
                expected = x.copy()
                try:
                    ufunc.at(expected, places, *operands)
                except (ValueError, IndexError, TypeError):
                    continue

                def call(wrap, x=x, places=places, operands=operands):
                    target = wrap(x.copy())
                    ufunc.at(target, places, *operands)
                    return target

                assert_same(MODES[mode](call), [expected])


def test_static_indices_add_and_nothing_else():
    def add(x, i):
        y = x * 1
        np.add.at(y, i, 2.0)
        np.subtract.at(y, i[:1], x[:1])
        return y

    index = np.array([1, 1, 2])
    np.testing.assert_array_equal(
        sg.function(add)(V, index),
        V + np.array([0, 4, 2, 0, 0, 0]) - np.array([0, 1, 0, 0, 0, 0]) * V[0],
    )

    def multiply(x, i):
        y = x * 1
        np.multiply.at(y, i, 2.0)
        return y

    with pytest.raises(SideBySideError):
        sg.function(multiply)(V, index)


def weighted(f):
    def loss(x):
        y = f(x)
        return np.sum(y * np.cos(np.arange(float(np.prod(y.shape)))).reshape(y.shape))

    return loss


def with_out(x):
    out = np.zeros_like(x)
    np.multiply(x, x, out=out, where=x > 1.0)
    return out


def at_twice(x):
    y = x * 1.0
    np.add.at(y, [0, 0, 2], x[1:4])
    np.multiply.at(y, [0, 1, 0], x[2])
    return y


@pytest.mark.parametrize(
    "f",
    [
        lambda x: np.add.reduce(x, initial=2.0, where=x > 0),
        lambda x: np.maximum.reduce(np.outer(x, x), axis=1),
        lambda x: np.logaddexp.reduce(x, keepdims=True),
        lambda x: np.hypot.accumulate(x),
        lambda x: np.maximum.accumulate(x),
        lambda x: np.multiply.accumulate(x, dtype="float64"),
        lambda x: np.subtract.outer(x, x[:2]),
        lambda x: np.add.reduceat(x, [0, 3, 1]),
        lambda x: np.divmod(x, 1.5)[1],
        lambda x: np.modf(x)[0],
        lambda x: np.frexp(x)[0],
        lambda x: np.ldexp(x, np.array([1, 2, 3, 0, 0, 1])),
        lambda x: np.fmod(x, 1.5),
        lambda x: np.float_power(np.abs(x), 1.5),
        lambda x: np.cbrt(x),
        lambda x: np.tanh(x, dtype="float64"),
        with_out,
        at_twice,
    ],
)
def test_gradients_flow_through_arguments_and_methods(f):
    x = np.array([3.1, -1.2, 2.3, 5.4, 2.6, 0.7])
    direction = np.sin(np.arange(6.0) + 1)
    loss, step = weighted(f), 1e-6
    expected = (loss(x + step * direction) - loss(x - step * direction)) / (2 * step)
    found = dg.grad(loss)(dg.asarray(x)).numpy()
    np.testing.assert_allclose(found @ direction, expected, rtol=1e-6)
    np.testing.assert_array_equal(sg.function(sg.grad(loss), backend="numpy")(x), found)


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda x: np.add(x, x, where=x > 1), SymbolicArrayError, "'where' without 'out'"),
        (lambda x: np.maximum.reduce(x, where=x > 1), SymbolicArrayError, "without 'initial'"),
        (lambda x: np.matmul(x, x, axes=[0, 0, 0]), SymbolicArrayError, "argument 'axes'"),
        (lambda x: np.add(x, x, signature="dd->d"), SymbolicArrayError, "argument 'signature'"),
        (lambda x: np.isnat(x), SymbolicArrayError, "numpy.isnat has no counterpart"),
        (lambda x: np.power.reduce(x), SymbolicArrayError, "a fold with numpy.power"),
        (lambda x: np.maximum.reduce(x[:0]), ShapeError, "of no elements"),
        (lambda x: np.add.reduceat(x, [9]), ShapeError, "index 9"),
        (lambda x: np.add(x, x, dtype="int32"), DTypeError, "numpy.add"),
        (lambda x: np.add(x, 1.5, casting="equiv"), DTypeError, "casting='equiv'"),
        (lambda x: np.less(2, x, casting="equiv"), DTypeError, "casting='equiv'"),
        (lambda x: np.add(x, 1j, casting=b"equiv"), DTypeError, "casting=b'equiv'"),
        (lambda x: np.add(x, True, casting="equiv"), DTypeError, "numpy.add"),
        (lambda x: np.add(x, x, out=x.astype("int32")), DTypeError, "does not fit into int32"),
        (lambda x: np.subtract.at(x * 1, [0], 1j), DTypeError, "does not fit into float64"),
        (lambda x: np.reciprocal(x.astype("int32")), SymbolicArrayError, "of whole numbers"),
    ],
)
@pytest.mark.parametrize("mode", MODES)
def test_what_has_no_counterpart_is_named(call, error, words, mode):
    with pytest.raises(error) as caught:
        MODES[mode](lambda wrap: call(wrap(V)))
    assert words in str(caught.value)
