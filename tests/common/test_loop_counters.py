"""Counters of loops and captured numbers act as Python numbers in both modes: the same dtypes."""

import numpy as np
import pytest

import dyngraph as dg
import staticgraph as sg
from oplibrary.messages.errors import ArgumentError, OutOfMemoryError, SymbolicValueError

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
