"""Every op by the native backend: within its bound of NumPy's kernels, integers to the last bit."""

import re
import warnings

import numpy as np
import pytest

pytest.importorskip("llvmlite")

from tests.staticgraph.accuracy import DOCUMENT
from tests.staticgraph.evaluation import bounds, compare

import staticgraph as sg
from oplibrary.core.op import Kind
from oplibrary.core.registry import REGISTRY
from oplibrary.core.samples import draw
from oplibrary.values.dtypes import to_dtype
from staticgraph.backends.registry import load_backend
from staticgraph.declare.lower import lower


def is_complex(example):
    return any(isinstance(x, np.ndarray) and x.dtype.kind == "c" for x in example.operands)


EXAMPLES = [
    pytest.param(op, example, id=f"{op.name}-{number}")
    for op in REGISTRY.values()
    if op.kind is not Kind.CONTROL
    for number, example in enumerate(op.examples)
    if not is_complex(example)
]


def declared(declare, arrays):
    """Return the inputs and outputs of a declaration on operands like `arrays`."""
    with sg.Graph():
        nodes = [sg.placeholder(f"x{i}", a.shape, a.dtype) for i, a in enumerate(arrays)]
        outputs = declare(*nodes)
    return nodes, outputs if isinstance(outputs, list) else [outputs]


def run_both(declare, arrays):
    """Return the outputs of a declaration by the native backend and by the oracle."""
    nodes, outputs = declared(declare, arrays)
    with np.errstate(all="ignore"):
        return [
            sg.compile(outputs, nodes, backend=backend)(*arrays)
            for backend in ("native", "interpret")
        ]


def assert_near(declare, arrays):
    """Run a declaration by the native backend and compare with NumPy's kernels.

    How far a result may be off is how far results are carried by rounding once more.
    """
    nodes, outputs = declared(declare, arrays)
    program = lower(nodes[0].graph, outputs, nodes)
    with np.errstate(all="ignore"):
        results = sg.compile(outputs, nodes, backend="native")(*arrays)
        for expected, result in zip(bounds(program, arrays, 10), results, strict=True):
            assert not compare(expected, result)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("op", "example"), EXAMPLES)
def test_an_op_and_its_gradients(op, example, dtype):
    arrays = draw(op, example, dtype, np.random.default_rng(0))

    def declare(*nodes):
        out = op(*nodes, **example.attrs)
        wanted = [x for i, x in enumerate(nodes) if x.dtype.kind == "f" and op.operand_rule(i)]
        if out.dtype.kind != "f" or not wanted:
            return [out]
        weight = np.random.default_rng(1).normal(size=out.shape).astype(out.dtype)
        return [out, *sg.gradients(sg.sum(out * out * weight), wanted, unused="zero")]

    assert_near(declare, arrays)


AWKWARD = np.array([0.0, -0.0, 1.0, -1.0, 2.0, 0.5, -2.5, 60.0, np.inf, -np.inf, np.nan])
"""Beside each other, and each beside itself."""


@pytest.mark.parametrize("dtype", ["float32", "float64", "int32", "bool"])
@pytest.mark.parametrize(
    "op",
    [
        pytest.param(op, id=op.name)
        for op in REGISTRY.values()
        if op.kind is Kind.ELEMENTWISE and op.arity == 2 and not op.attrs
    ],
)
def test_every_pair_of_awkward_numbers(op, dtype):
    numbers = AWKWARD if dtype.startswith("float") else AWKWARD[np.isfinite(AWKWARD)]
    pairs = [each.ravel().astype(dtype) for each in np.meshgrid(numbers, numbers)]
    with np.errstate(all="ignore"):
        try:
            op.run(*pairs)
        except (TypeError, ValueError):
            pytest.skip(f"NumPy has no {op.name} of these {dtype}")
    assert_near(op, pairs)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    "op",
    [
        pytest.param(op, id=op.name)
        for op in REGISTRY.values()
        if op.kind is Kind.ELEMENTWISE and op.arity == 1 and ... not in op.attrs.values()
    ],
)
def test_every_awkward_number(op, dtype):
    x = np.concatenate([AWKWARD, [0.25, -0.25, 1.5, 1e-30, 700.0, -700.0]]).astype(dtype)
    with np.errstate(all="ignore"):
        try:
            op.run(x, **op.attrs)
        except TypeError:
            pytest.skip(f"NumPy has no {op.name} of {dtype}")
    assert_near(op, [x])


# what is left to NumPy ----------------------------------------------------------------------------


def test_a_report_names_what_is_left_to_numpy_and_why():
    with sg.Graph():
        x = sg.placeholder("x", (5,))
        executable = sg.compile(sg.polygamma(1, sg.exp(x)) + 1.0, [x], backend="native")
    assert "left to NumPy: polygamma: opaque has no loops here" in executable.report()
    x = np.log(np.array([1, 2, 3, 4, 5], "float32"))
    expected = np.pi**2 / 6 - np.cumsum([0, 1, 1 / 4, 1 / 9, 1 / 16]) + 1
    np.testing.assert_allclose(executable(x), expected, rtol=1e-5)


def test_the_document_names_every_op_that_is_always_left_to_numpy():
    left, done = set(), set()
    for op in REGISTRY.values():
        if op.kind is Kind.CONTROL:
            continue
        for example in op.examples:
            if is_complex(example):
                continue
            arrays = draw(op, example, "float32", np.random.default_rng(0))
            nodes, outputs = declared(lambda *xs, o=op, e=example: o(*xs, **e.attrs), arrays)
            program = lower(nodes[0].graph, outputs, nodes) if nodes else None
            if program is None:
                continue
            reasons = load_backend("native").plan(program, False).definitions.reasons
            (left if reasons else done).add(op.name)
    text = DOCUMENT.read_text(encoding="utf-8")
    section = text.split("## What is left to NumPy")[1].split("\n## ")[0]
    named = set(re.findall(r"`(\w+)`", section)) & set(REGISTRY)
    assert named == left - done


# integers -----------------------------------------------------------------------------------------

INTEGERS = ["int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64"]
PAIRS = {
    "add": sg.add,
    "subtract": sg.subtract,
    "multiply": sg.multiply,
    "floor_divide": sg.floor_divide,
    "remainder": sg.remainder,
    "fmod": sg.fmod,
    "gcd": sg.gcd,
    "lcm": sg.lcm,
    "bitwise_and": sg.bitwise_and,
    "bitwise_or": sg.bitwise_or,
    "bitwise_xor": sg.bitwise_xor,
    "left_shift": sg.bitwise_left_shift,
    "right_shift": sg.bitwise_right_shift,
    "maximum": sg.maximum,
    "minimum": sg.minimum,
    "less": sg.less,
    "equal": sg.equal,
    "divide": sg.divide,
}


def integers(dtype):
    """Return every pair of some numbers: all of 8 bits, else the ends and those around powers."""
    info = np.iinfo(dtype)
    if info.bits == 8:
        values = np.arange(info.min, info.max + 1)
    else:
        near = [2**k + d for k in range(info.bits) for d in (-1, 0, 1)]
        near += [-n for n in near] + [info.min, info.min + 1, info.max, info.max - 1]
        values = np.array(sorted({n for n in near if info.min <= n <= info.max}), dtype=object)
    values = values.astype(dtype)
    x, y = np.meshgrid(values, values)
    return np.ascontiguousarray(x), np.ascontiguousarray(y)


@pytest.mark.parametrize("dtype", INTEGERS)
def test_integers_of_two_operands_are_numpys(dtype):
    """Overflow, division by 0 and by -1, shifts by too much and by less than nothing included."""
    x, y = integers(dtype)
    found, wanted = run_both(lambda a, b: [op(a, b) for op in PAIRS.values()], [x, y])
    for name, one, other in zip(PAIRS, found, wanted, strict=True):
        assert one.dtype == other.dtype
        np.testing.assert_array_equal(one, other, err_msg=name)


@pytest.mark.parametrize("dtype", INTEGERS)
def test_powers_of_integers_by_known_exponents_wrap_around(dtype):
    x = np.arange(-130, 130).astype(dtype)
    exponents = [0, 1, 2, 3, 7, 64]
    nodes, outputs = declared(lambda x: [x**n for n in exponents], [x])
    run = sg.compile(outputs, nodes, backend="native")
    assert "left to NumPy" not in run.report()
    for found, n in zip(run(x), exponents, strict=True):
        np.testing.assert_array_equal(found, np.power(x, np.asarray(n, dtype)))


@pytest.mark.parametrize("dtype", INTEGERS)
def test_integers_of_one_operand_are_numpys(dtype):
    x = integers(dtype)[0]

    def declare(x):
        ops = (sg.negative, sg.abs, sg.square, sg.sign, sg.bitwise_invert, sg.floor)
        ops += (sg.bitwise_count,)
        return [
            *(op(x) for op in ops),
            *(sg.cast(x, to) for to in [*INTEGERS, "bool", "float32", "float64"]),
            *(op(x, axis=axis) for op in (sg.sum, sg.prod, sg.max, sg.min) for axis in (0, 1)),
            sg.clip(x, 1, 5),
        ]

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found, wanted = run_both(declare, [x])
    for one, other in zip(found, wanted, strict=True):
        assert one.dtype == other.dtype
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_numbers_that_fit_are_cast_to_integers_as_in_numpy(dtype):
    x = np.array([0.0, -0.0, 0.9, -0.9, 1.5, -1.5, 100.7, -100.7, 127, -128], dtype)
    for to in INTEGERS:
        fitting = x[(x >= 0) | (np.dtype(to).kind == "i")]
        (found,), (wanted,) = run_both(lambda x, to=to: sg.cast(x, to), [fitting])
        np.testing.assert_array_equal(found, wanted)


def test_exact_functions_are_numpys_to_the_last_bit():
    """Over a part of all float32 numbers, specials included; signs of zeros, too."""
    x = np.arange(0, 2**32, 20_011, dtype=np.uint64).astype(np.uint32).view(np.float32)
    names = "abs negative square reciprocal sign floor ceil trunc round isnan isinf isfinite relu"

    def declare(x):
        return [getattr(sg, name)(x) for name in names.split()] + [sg.sqrt(x), x < 1, -x + x * 2]

    for found, wanted in zip(*run_both(declare, [x]), strict=True):
        np.testing.assert_array_equal(found, wanted)
        if wanted.dtype.kind == "f":
            number = ~np.isnan(wanted)
            np.testing.assert_array_equal(np.signbit(found[number]), np.signbit(wanted[number]))


# kernels that once were wrong ---------------------------------------------------------------------


def test_a_value_of_a_row_that_only_its_kernel_reads():
    """It has no memory of its own, so it is not written."""

    def declare(w, x, g):
        h = sg.tanh(x @ w)
        return [(1 - h * h) * g, sg.outer(x, (1 - h * h) * g)]

    rng = np.random.default_rng(0)
    arrays = [rng.normal(size=shape).astype("float32") for shape in ((64, 64), (64,), (64,))]
    assert_near(declare, arrays)


def test_a_norm_that_scales_what_it_is_of():
    def declare(x, s):
        norm = sg.sqrt(sg.sum(x * x)) / s
        return [norm, sg.sum(sg.broadcast_to(x * (norm * s / 3.0), (3, 1024)), axis=0)]

    x = np.random.default_rng(0).normal(size=(1, 1024))
    assert_near(declare, [x, np.array(41.0)])


@pytest.mark.parametrize("columns", [1, 3, 6, 40])
def test_a_border_that_is_shorter_than_a_register(columns):
    """The rows of zeros around it are one stretch, of fewer elements than a register has."""
    x = np.arange(5 * columns, dtype="uint32").reshape(5, columns)
    (found,), (wanted,) = run_both(lambda x: sg.square(sg.pad(x, ((1, 2), (0, 0)))), [x])
    np.testing.assert_array_equal(found, wanted)


def test_a_selection_from_what_is_repeated():
    """Its elements are found behind the change of shape that a repetition ends with."""
    x, i = np.arange(6, dtype="float32").reshape(2, 3), np.array([[0, 2], [-3, 1]] * 3)
    (found,), (wanted,) = run_both(
        lambda x, i: sg.take_along_axis(sg.repeat(x, 3, axis=0), i, axis=1), [x, i]
    )
    np.testing.assert_array_equal(found, wanted)


SPECIALS = [0.0, -0.0, np.inf, -np.inf, np.nan, 1.0, -1.0, 0.5, -0.5, 3e38, -3e38, 1e-45, -1e-45]
SPECIALS += [1e-38, -1e-38, 60.0, -60.0, 1e4, -1e4, 2.0, -2.0]


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64"])
def test_special_numbers_are_numpys_in_every_elementwise_op(dtype):
    """Infinite, not a number, or nearly 0 is the same; what is between is near."""
    with np.errstate(all="ignore"):
        values = np.array(SPECIALS).astype(to_dtype(dtype))
    x, y = (np.ascontiguousarray(a) for a in np.meshgrid(values, values))
    loose = {"float16": 5e-3, "bfloat16": 4e-2}.get(dtype, 1e-5)
    least = float(np.finfo("float32" if dtype == "bfloat16" else dtype).tiny) * 1e3
    for op in REGISTRY.values():
        if op.kind is not Kind.ELEMENTWISE or op.name == "cast":
            continue
        if op.name.startswith("bitwise") or op.name in ("gcd", "lcm"):  # of whole numbers only
            continue
        for attrs in {str(e.attrs): e.attrs for e in op.examples}.values():
            arrays = [x.astype(float) > 0, x, y] if op.name == "where" else [x, y, x]
            arrays = arrays[: op.arity]
            found, wanted = run_both(lambda *xs, o=op, a=attrs: o(*xs, **a), arrays)
            np.testing.assert_allclose(
                *(
                    each[0].astype(float) if each[0].dtype == values.dtype else each[0]
                    for each in (found, wanted)
                ),
                rtol=loose,
                atol=least,
                err_msg=op.name,
            )


def test_a_double_is_rounded_to_half_once():
    halves = np.arange(0, 0x7C01, dtype=np.uint16).view(np.float16).astype(np.float64)
    halves[-1] = 65536.0  # where the next one would be
    ties = (halves[1:] + halves[:-1]) / 2
    exact = np.concatenate([halves, ties])
    near = [exact * (1 + step * 2.0**-52) for step in (-(2**28) - 1, -1, 1, 2**28 + 1)]
    special = [1e-300, 5e-324, 1e39, 1e300, np.inf, np.nan, 2.0**-126, 1e-40, 0.0]
    x = np.concatenate([exact, *near, [np.nextafter(2.0**-25, 1)], special])
    x = np.concatenate([x, -x])
    with np.errstate(all="ignore"):
        expected = x.astype(np.float16)
        found = sg.function(lambda a: sg.cast(a, "float16"), backend="native")(x)
        one = sg.function(lambda a: sg.cast(a, "float16"), backend="native")(x[-40:-39])
    np.testing.assert_array_equal(found.view(np.uint16), expected.view(np.uint16))
    np.testing.assert_array_equal(one, expected[-40:-39])


PADDED = [(2.0**40, "float64"), (2.0**40 + 1, "float64"), (2**40 + 1, "int64"), (2**41, "int64")]
PADDED += [(2**53 + 1, "int64"), (2**62 + 1, "int64"), (2**64 - 1, "uint64"), (-(2**63), "int64")]
PADDED += [(np.nan, "float32"), (-0.0, "float32"), (np.inf, "float64"), (2**70, "float32")]


@pytest.mark.parametrize(("number", "dtype"), PADDED)
def test_what_pads_is_never_taken_for_an_element(number, dtype):
    """Whatever number it is: no mark of the planner is like it, and none is rounded."""
    array = np.array([1, 0, 3], dtype)
    with sg.Graph():
        x = sg.placeholder("x", (3,), dtype)
        y = sg.pad(x, (1, 2), value=number)
        run = sg.compile([y, y + x[0], sg.concat([y, x])], [x], backend="native")
    found, _, joined = run(array)
    wanted = np.pad(array, (1, 2), constant_values=np.array(number).astype(dtype))
    assert found.tobytes() == wanted.tobytes()
    assert joined[:6].tobytes() == wanted.tobytes()


@pytest.mark.parametrize("dtype", ["float16", "float32", "int64", "complex64"])
def test_sums_of_nothing_are_numbers(dtype):
    def declare(x):
        made = [sg.sum(x, axis=1), sg.sum(x, axis=0), x @ x.T + 1, x.T @ x, sg.sum(x @ x.T)]
        return [*made, sg.sort(x), sg.cumulative_sum(x, axis=1), sg.all(x, axis=1), sg.any(x)]

    x = np.ones((3, 0), dtype)
    nodes, outputs = declared(declare, [x])
    runs = [sg.compile(outputs, nodes, backend=each) for each in ("native", "interpret")]
    assert "left to NumPy" not in runs[0].report()
    for found, wanted in zip(*[run(x) for run in runs], strict=True):
        assert found.dtype == wanted.dtype
        np.testing.assert_array_equal(found, wanted)
