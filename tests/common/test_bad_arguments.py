"""One wrong argument in a call of each public function: both modes name the same mistake.

The calls are made of the signatures, so a new function is attacked without a line here: with text,
dicts, dates, ragged lists, arrays of other ranks and dtypes, empty ones, NaN, infinities, sizes
beyond memory and beyond 64 bits, and what is no value at all.
"""

import inspect
import itertools
import warnings
import zlib

import numpy as np
import pytest
from tests.common.test_same_mistake import samples

import dyngraph as dg
import staticgraph as sg
from oplibrary.messages.errors import OutOfMemoryError, SideBySideError
from oplibrary.values.tree import flatten

BELOW = ("", "linalg", "fft", "special")
TAKE_FUNCTIONS = set(
    "associative_scan backward checkpoint cond custom_jvp custom_vjp fori_loop grad gradcheck "
    "gradgradcheck hessian jacobian jvp linearize map scan switch value_and_grad vjp vmap "
    "while_loop".split()
)
"""What runs the user's code: test_bad_input.py and test_control_errors.py have these."""
APART = {"asarray", "from_dlpack", "stop_gradient"}
"""What each mode has a function of its own for; what it has no argument for Python says itself."""
DO_SOMETHING = {"assert_", "kernels_report", "manual_seed", "print_", "set_kernels"}
"""What has an effect besides its result, or tells of one."""

MATRIX = np.array([[4.0, 1.0, 0.0], [1.0, 5.0, 2.0], [0.0, 2.0, 6.0]])
FITTING = (MATRIX, np.array([0.25, 0.5, 0.75]), 2, np.array([0, 2, 1]), (2, 2), "float32", [0, 1])
"""What most arguments are; the first combination that a function takes is where it starts."""

MOST = 5
"""Calls of each function, drawn with a seed of its name; all of them are some 60,000."""


class Given:
    """An array that is a value of the mode: a tensor, or what a graph is fed."""

    def __init__(self, array):
        self.array = array

    def __repr__(self):
        return f"Given({self.array!r})"


def wrong_values():
    huge = (10**7, 10**7, 10**7)
    numbers = (None, True, -1, 99, -99, 1.5, 1j, np.nan, np.inf, 10**12, 2**70, np.int64(2))
    others = ("text", b"text", object(), {}, {"a": 1}, {1, 2}, int, np.float32, range(3), slice(1))
    lists = ((), [], [None], [1, "a"], [[1], [1, 2]], (-1,), (0, 0), (5, 5, 5), huge, [0, 1])
    arrays = (
        np.array(["a", "b"]),
        np.array([1, None], object),
        np.datetime64(1, "s"),
        np.ones((0,)),
        np.ones((0, 3)),
        np.ones((1,) * 20),
        np.ones((7, 5, 3)),
        np.full((3, 3), np.nan),
        np.ones(3, "int8"),
        np.ones((3, 3), bool),
    )
    return (*numbers, *others, *lists, *arrays, [MATRIX, MATRIX[0]], inspect)


def other_operands(x):
    """Yield operands that differ from `x` in rank, length, dtype or by what is in them."""
    yield from (x[None], x.reshape(-1), x[:0], x[..., :0], x[1:])
    for dtype in ("bool", "int64", "uint8", "float16", "float32", "complex64"):
        yield x.astype(dtype)
    yield np.full(x.shape, np.nan)
    yield np.full(x.shape, np.inf)


def function_of(xp, below, name):
    return getattr(getattr(xp, below) if below else xp, name)


def names():
    for below in BELOW:
        for name in dir(getattr(dg, below) if below else dg):
            found = function_of(dg, below, name)
            kind = isinstance(found, type | np.dtype) or not callable(found)
            skipped = not below and (name in TAKE_FUNCTIONS | DO_SOMETHING or not hasattr(sg, name))
            if not (name.startswith("_") or kind or skipped):
                yield below, name


def parameters(below, name):
    return inspect.signature(function_of(dg, below, name)).parameters.values()


def given(value):
    if isinstance(value, np.ndarray):
        return Given(value)
    return type(value)(map(given, value)) if type(value) in (list, tuple) else value


def start(below, name):
    """Return operands and named arguments that the function takes, or None."""
    if name in CONSTANT_SECOND:
        return (Given(MATRIX), CONSTANT_SECOND[name]), {}
    if not below and name in SAMPLES:
        operands, named = SAMPLES[name]
        return tuple(map(given, operands)), dict(named)
    needed = [p for p in parameters(below, name) if p.default is p.empty]
    keyed = {"key": [np.array([7, 11], "uint64")]}
    variadic = any(p.kind is p.VAR_POSITIONAL for p in needed)
    pools = [FITTING] * 2 if variadic else [keyed.get(p.name, FITTING) for p in needed]
    for arguments in itertools.islice(itertools.product(*pools), 400):
        call = below, name, tuple(map(given, arguments)), {}
        if outcome(dynamic, *call)[0] == "ok":
            return call[2:]
    return None


CONSTANT_SECOND = dict.fromkeys(("quantile", "nanquantile", "percentile", "nanpercentile"), 0.5)
CONSTANT_SECOND["delete"] = 1
"""Functions whose second argument is a constant of the op."""

SAMPLES = {each.values[0]: each.values[1:] for each in reversed(list(samples()))}


def calls(below, name, arguments, named):
    """Yield calls of which each has one wrong argument."""
    for position, right in enumerate(arguments):
        operands = other_operands(right.array) if isinstance(right, Given) else ()
        plain = not any(isinstance(x, Given) for x in arguments)
        values = (x for x in wrong_values() if not (plain and isinstance(x, np.ndarray)))
        for wrong in (*values, *map(Given, operands)):
            if name == "trace" and callable(wrong):  # staticgraph traces functions by that name
                continue
            yield (*arguments[:position], wrong, *arguments[position + 1 :]), named
    by_name = [
        p for p in parameters(below, name) if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)
    ]
    for parameter in by_name[len(arguments) :]:
        # dyngraph alone has requires_grad, and an array has the dtype that NumPy takes from it
        if parameter.name not in ("requires_grad", "dtype"):
            for wrong in wrong_values():
                yield arguments, {**named, parameter.name: wrong}
    yield arguments[:-1], named
    yield arguments, {**named, "nope": 1}


def dynamic(below, name, arguments, named):
    convert = lambda x: (  # noqa: E731
        dg.tensor(x.array)
        if isinstance(x, Given)
        else type(x)(map(convert, x))
        if type(x) in (list, tuple)
        else x
    )
    return function_of(dg, below, name)(
        *map(convert, arguments), **{k: convert(v) for k, v in named.items()}
    )


def static(below, name, arguments, named):
    """Declare the call, and run it if it can be declared."""
    inputs, feeds = [], []

    def convert(x):
        if type(x) in (list, tuple):
            return type(x)(map(convert, x))
        if not isinstance(x, Given):
            return x
        inputs.append(sg.placeholder(f"x{len(inputs)}", x.array.shape, x.array.dtype))
        feeds.append(x.array)
        return inputs[-1]

    with sg.Graph():
        result = function_of(sg, below, name)(
            *map(convert, arguments), **{k: convert(v) for k, v in named.items()}
        )
        nodes = [y for y in flatten(result)[0] if isinstance(y, sg.Node)]
    if nodes:
        sg.compile(nodes, inputs, backend="interpret")(*feeds)


def outcome(mode, *call):
    """Return the id of the error that a call ends with, its class or ``"ok"``, and the error."""
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        try:
            mode(*call)
        except SideBySideError as error:
            return error.id, error
        except Exception as error:
            return type(error).__name__, error
    return "ok", None


VALUE_ASKED = ("SBS-301", "SBS-302", "SBS-303", "SBS-304")
"""What staticgraph alone says where a value is needed that only a run has."""


@pytest.mark.parametrize(("below", "name"), list(names()))
def test_a_bad_argument_is_named_alike_in_both_modes(below, name, capfd):
    base = start(below, name)
    if base is None:
        pytest.skip("no call was found that it takes")
    every = list(calls(below, name, *base))
    rng = np.random.default_rng(zlib.crc32(f"{below}.{name}".encode()))
    for number in rng.permutation(len(every))[:MOST]:
        check(below, name, *every[number])


def check(*call):
    (eager, error), (declared, other) = outcome(dynamic, *call), outcome(static, *call)
    if eager == declared == "TypeError" and call[1] in APART:
        return
    for each, found in ((eager, error), (declared, other)):
        assert each == "ok" or each.startswith("SBS-"), (call, found)
        assert each == "ok" or found.source.filename == __file__, (call, found)
    assert declared in VALUE_ASKED or eager == declared, (call, error, other)


IMAGE = np.ones((1, 1, 4, 4))


@pytest.mark.parametrize(
    ("name", "arguments", "named"),
    [
        ("softmax", (1j,), {}),
        ("log_softmax", (1j,), {}),
        ("flip", (Given(MATRIX),), {"axis": [None]}),
        ("flip", (Given(MATRIX),), {"axis": []}),
        ("ldexp", (Given(MATRIX.astype("float32")), -1), {}),
        ("ldexp", (Given(MATRIX.astype("float32")), 2.5), {}),
        ("ldexp", (2.0, Given(np.array([1, 2]))), {}),
        ("bernoulli", (Given(np.array([7, 11], "uint64")), Given(MATRIX[0]), 10**12), {}),
        ("diagonal_embed", (Given(MATRIX[0]),), {"shape": 10**12}),
        ("tril", (Given(MATRIX),), {"k": 2**70}),
        ("triu", (Given(MATRIX),), {"k": -(2**63) - 1}),
        ("triu", (Given(MATRIX),), {"k": -(2**63)}),
        ("avg_pool2d", (Given(IMAGE), 2), {"stride": 2**70}),
        ("max_pool2d", (Given(IMAGE), 2), {"dilation": 2**70}),
        ("kron", (Given(MATRIX), np.ones((1,) * 20)), {}),
        ("stop_gradient", (range(3),), {}),
        ("stop_gradient", ("text",), {}),
        ("ptp", (np.ones((3, 3), bool),), {}),
        ("polyder", (np.ones((3, 3)),), {}),
        ("polyint", (np.ones((0, 3)),), {}),
        ("histogramdd", ([MATRIX, MATRIX[0]],), {}),
    ],
)
def test_what_was_named_by_two_names_has_one(name, arguments, named):
    check("", name, arguments, named)


def test_a_window_wider_than_the_channels_ends_soon():
    x = np.arange(24.0).reshape(1, 4, 6)
    wide = dg.local_response_norm(dg.tensor(x), 10**12).numpy()
    expected = x / (1 + 1e-4 * (x**2).sum(1, keepdims=True) / 10**12) ** 0.75
    np.testing.assert_allclose(wide, expected, rtol=1e-14)


@pytest.mark.parametrize(
    "call",
    [
        lambda m, x: m.array_split(x, 10**12),
        lambda m, x: m.mvlgamma(x + 10**12, 10**12),
        lambda m, x: m.polyint(x, 10**12),
        lambda m, x: m.vander(x, 10**12),
        lambda m, x: m.polyfit(x, x, 10**12),
    ],
)
def test_a_count_of_steps_that_never_end_is_refused(call):
    with pytest.raises(OutOfMemoryError, match="is 1000000000000"):
        call(dg, dg.tensor([1.0, 2.0]))
    with sg.Graph(), pytest.raises(OutOfMemoryError, match="is 1000000000000"):
        call(sg, sg.placeholder("x", (2,)))
