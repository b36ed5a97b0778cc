"""Counters of loops and captured numbers act as Python numbers in both modes: the same dtypes."""

import contextlib

import numpy as np
import pytest

import dyngraph as dg
import staticgraph as sg
from oplibrary.core.registry import namespace
from oplibrary.messages.errors import (
    ArgumentError,
    OutOfMemoryError,
    SideBySideError,
    SymbolicValueError,
)
from oplibrary.values.tree import flatten

X = np.array([1.0, 2.0], "float32")

BODIES = {
    "added": lambda xp, i, c: c + i,
    "scaled": lambda xp, i, c: (i - 1) * c / (i + 1),
    "computed with": lambda xp, i, c: c + (i // 2) ** 2 - 1 / (i + 1) - abs(-i) * 0.5,
    "an exponent": lambda xp, i, c: c**i,
    "an index": lambda xp, i, c: c + c[i % 2],
    "set": lambda xp, i, c: xp.set_item(c, i % 2, i),
    "chosen": lambda xp, i, c: xp.where(i == 1, c, c + i),
    "beside small integers": lambda xp, i, c: c + xp.astype(xp.astype(c, "int8") + i, "float32"),
    "nested": lambda xp, i, c: xp.fori_loop(0, 2, lambda j, d: d * 2 + i - j, c),
    "in a branch": lambda xp, i, c: xp.cond(i > 1, lambda c: c + i, lambda c: c - i, c),
    "a branch": lambda xp, i, c: xp.switch(i % 2, [lambda c: c + 1, lambda c: c * 2], c),
    "an array": lambda xp, i, c: c + xp.asarray(i, dtype="float32"),
    "an extremum": lambda xp, i, c: xp.maximum(c, i),
}


@pytest.mark.parametrize("bounds", ["known", "found"])
@pytest.mark.parametrize("name", BODIES)
def test_a_counter_takes_the_dtype_of_what_it_meets(name, bounds):
    body = BODIES[name]
    wanted = dg.fori_loop(0, 3, lambda i, c: body(dg, i, c), dg.asarray(X)).numpy()

    def loop(x, n):
        upper = 3 if bounds == "known" else n
        return sg.fori_loop(0, upper, lambda i, c: body(sg, i, c), x)

    found = sg.function(loop, backend="numpy")(X, np.int64(3))
    assert (found.dtype, found.tobytes()) == (wanted.dtype, wanted.tobytes())


def test_what_makes_an_array_of_a_number_makes_one_in_both_modes():
    for function in ("sin", "exp", "asarray"):
        for number in (3, 0.5):
            eager = dg.asarray(X) * getattr(dg, function)(number)
            traced = sg.function(
                lambda x, n, name=function: x * getattr(sg, name)(n), backend="numpy"
            )(X, number)
            assert traced.dtype == eager.dtype, (function, number)
            np.testing.assert_array_equal(traced, eager.numpy())


def test_a_captured_number_stays_one():
    def program(xp, x, rate):
        scaled = xp.fori_loop(0, 3, lambda i, c: c * rate, x)
        return xp.cond(xp.sum(x) > 0, lambda y: y + rate, lambda y: y, scaled)

    eager = program(dg, dg.asarray(X), 0.3).numpy()
    traced = sg.function(lambda x, rate: program(sg, x, rate), backend="numpy")(X, 0.3)
    assert (traced.dtype, traced.tobytes()) == (eager.dtype, eager.tobytes())


# what would make more arrays than can be made -----------------------------------------------------

ENDLESS = {
    "unstack": lambda xp, x: xp.unstack(x),
    "iteration": lambda xp, x: sum(x),
    "pairs": lambda xp, x: list(zip(x, x, strict=True)),
    "split": lambda xp, x: np.split(x, 10**12),
    "diff": lambda xp, x: xp.diff(x, axis=0, n=10**12),
}


@pytest.mark.parametrize("name", ENDLESS)
def test_rows_without_elements_are_not_made_without_end(name):
    call = ENDLESS[name]
    with pytest.raises(OutOfMemoryError):
        call(dg, dg.asarray(np.zeros((10**12, 0))))
    with sg.Graph(), pytest.raises(OutOfMemoryError):
        call(sg, sg.placeholder("x", (10**12, 0)))


def test_parts_of_a_length_that_is_not_known_are_refused():
    with sg.Graph():
        x = sg.placeholder("x", (sg.dim("of_parts"), 2))
        for call in (lambda: sg.unstack(x), lambda: sg.split(x, x.shape[0])):
            with pytest.raises(SymbolicValueError, match="not known yet"):
                call()
        with pytest.raises((SymbolicValueError, ArgumentError)):
            list(x)


# numbers made of a counter ------------------------------------------------------------------------

HALF = np.array([0.5, 0.25], "float16")
GIVEN = {"int": 2, "float": 0.3, "bool": True, "float16": HALF, "float32": HALF.astype("float32")}
OPERANDS = [
    ("float",),
    ("int",),
    ("float", 1),
    ("int", 0.5),
    ("bool", 0.5),
    ("float16", "float"),
    ("int", "float32"),
    ("float", "float16", "int"),
    ("float32", "float", 1),
    ("bool", "float", 0.5),
    (0.3,),
    (0.3, 0.5),
    (0.5j,),
]
IN_NUMPY = {
    "clip": lambda i: np.clip(i * 0.5, 0, 1),
    "clip within arrays": lambda i: np.clip(i, GIVEN["float32"], 2),
    "where": lambda i: np.where(np.array([True, False]), i * 0.5, GIVEN["float32"]),
    "where of numbers": lambda i: np.where(i > 1, i * 0.1, 2),
    "round": lambda i: np.round(i / 3, 1),
    "mean of a list": lambda i: np.mean([i * 0.1, 1.0]),
    "stack": lambda i: np.stack([i * 0.1, 1]),
    "append": lambda i: np.append(GIVEN["float32"], i * 0.1),
    "linspace": lambda i: np.linspace(0, i * 0.1, 3),
    "dot": lambda i: np.dot(i * 0.1, GIVEN["float16"]),
    "truth values": lambda i: (i > 0) + (i > 1) + np.float32(0),
    "minus a truth value": lambda i: -(i > 1) * 0.1,
    "plus a truth value": lambda i: +(i > 1),
    "rounded": lambda i: round(i * 0.3) * np.float16(3),
    "parts": lambda i: (i * 0.1).real + (i * 0.5j).imag,
    "conjugate": lambda i: (i * 0.5j).conjugate(),
}


def _results(xp, program, values):
    if program in IN_NUMPY:
        return [xp.asarray(IN_NUMPY[program](values["int"]))]
    below, name, operands = program
    function = getattr(getattr(xp, below) if below else xp, name)
    made = function(*[values[x] if isinstance(x, str) else x for x in operands])
    return [xp.asarray(x) for x in flatten(made)[0]]


def _bits(results):
    arrays = [np.asarray(x.numpy() if isinstance(x, dg.Tensor) else x) for x in results]
    return [(x.dtype, x.shape, x.tobytes()) for x in arrays]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("backend", ["interpret", "numpy"])
def test_every_function_of_a_number_says_the_same_in_both_modes(backend):
    names = [(below, name) for below in ("", "special") for name in sorted(namespace(below))]
    names.append(("", "stop_gradient"))
    left_out = {"assert_", "print_", "empty_like"}
    programs = [(*name, x) for name in names for x in OPERANDS if name[1] not in left_out]
    tensors = {k: dg.asarray(v) if hasattr(v, "dtype") else v for k, v in GIVEN.items()}
    wanted, taken = [], []
    with np.errstate(all="ignore"):
        for program in [*IN_NUMPY, *programs]:
            with contextlib.suppress(Exception):  # some take no such operands
                wanted.append((program, _bits(_results(dg, program, tensors))))

        def everything(values):
            declared = []
            for position, (program, _) in enumerate(wanted):
                with contextlib.suppress(SideBySideError):  # refused by name
                    declared.append(_results(sg, program, values))
                    taken.append(position)
            return declared

        found = sg.function(everything, backend=backend)(GIVEN)
    assert len(found) > 700
    differing = [
        wanted[position][0]
        for position, made in zip(taken, found, strict=True)
        if _bits(made) != wanted[position][1]
    ]
    assert not differing
    assert not {*IN_NUMPY} - {wanted[position][0] for position in taken if position < len(IN_NUMPY)}


CARRIED = {
    "a first carry": lambda xp, x: xp.fori_loop(0, 3, lambda i, c: c * 0.3 + i, 0.1) * x,
    "a sum": lambda xp, x: xp.fori_loop(0, 3, lambda i, c: c + i * 0.1, 0.0) * x,
    "a result": lambda xp, x: xp.cond(xp.sum(x) > 0, lambda: 0.1, lambda: 0.2) * x,
    "stacked": lambda xp, x: xp.scan(lambda c, e: (c, 0.1), x, x)[1] * x,
    "a list": lambda xp, x: xp.fori_loop(0, 2, lambda i, c: xp.asarray([i * 0.3, 1]), x * 0.0),
}


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
@pytest.mark.parametrize("name", CARRIED)
def test_a_number_that_a_loop_or_a_branch_gives_is_an_array_in_both_modes(name, dtype):
    if name == "a list":
        dtype = "float32"
    x = np.array([0.3, 0.7], dtype)
    eager = CARRIED[name](dg, dg.asarray(x))
    traced = sg.function(lambda x: CARRIED[name](sg, x), backend="numpy")(x)
    assert _bits([traced]) == _bits([eager])


def test_python_rounds_digits_of_no_number_that_is_not_known():
    with pytest.raises(ArgumentError, match="of a Python number"):
        sg.function(lambda i: round(i, 2))(0.125)
