"""What is made of numbers that are passed, and of counters, is what Python makes of them."""

import itertools

import numpy as np
import pytest

import dyngraph as dg
import staticgraph as sg
from oplibrary.messages.errors import DTypeError, SideBySideError

BACKENDS = ("interpret", "numpy", "native")
FLOATS = np.array([1.0, 3.0], "float32")
DOUBLES = np.array([1.0, 3.0])
SMALL = np.array([1, 3], "int8")
UNSIGNED = np.array([1, 3], "uint64")

pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning")


def outcome(call):
    """Return the result with its dtype and bits, or the id or type of the error."""
    try:
        result = call()
    except SideBySideError as error:
        return error.id
    except Exception as error:
        return type(error).__name__
    array = result.detach().numpy() if isinstance(result, dg.Tensor) else np.asarray(result)
    return array.dtype, array.shape, array.tobytes()


def written(xp, x, n):
    changed = xp.clone(x)
    changed[0] = n
    return changed


def grown(xp, x, n):
    changed = xp.clone(x)
    changed += n
    return changed


ARGUMENTS = {
    "whole division": (lambda xp, x, n: x + 1 // n, FLOATS, (2, 0, -3)),
    "rest": (lambda xp, x, n: x + 5 % n, FLOATS, (2, 0, -3)),
    "division": (lambda xp, x, n: x + 1 / n, FLOATS, (2, 0, 0.0, 4.0)),
    "division of large ones": (lambda xp, x, n: x + n / (n - 1), DOUBLES, (2**60 + 1, 3)),
    "root": (lambda xp, x, n: x + n**0.5, FLOATS, (4, -8, -8.0, -0.0)),
    "power": (lambda xp, x, n: x + 2**n, FLOATS, (3, -1, 64)),
    "float power": (lambda xp, x, n: x + 10.0**n, FLOATS, (3, 400)),
    "inverse": (lambda xp, x, n: x + n**-1, FLOATS, (2, 0, 4.0)),
    "product": (lambda xp, x, n: x + n * 2**62, FLOATS, (1, 3, -3)),
    "sum": (lambda xp, x, n: x + (n + 1), FLOATS, (1, 2**63 - 1)),
    "shift": (lambda xp, x, n: x + (1 << n), FLOATS, (3, 64, -1)),
    "negative": (lambda xp, x, n: x + -n, FLOATS, (3, -(2**63))),
    "absolute": (lambda xp, x, n: x + abs(n), FLOATS, (-3, -(2**63))),
    "rounded": (lambda xp, x, n: x + round(n), FLOATS, (0.5, 1e30, float("nan"))),
    "comparison": (lambda xp, x, n: x * (n == 2.0**53), DOUBLES, (2**53, 2**53 + 1)),
    "beyond 64 bits": (lambda xp, x, n: x + n, FLOATS, (3, 2**63, 2**70, 2**1100)),
    "of unsigned ones": (lambda xp, x, n: x + n, UNSIGNED, (3, 2**63, -1)),
    "beside small ones": (lambda xp, x, n: x + n, SMALL, (3, 300)),
    "less": (lambda xp, x, n: x < n, SMALL, (2, 300, -300)),
    "equal": (lambda xp, x, n: x == n, SMALL, (3, 259)),
    "clip": (lambda xp, x, n: xp.clip(x, 0, n), SMALL, (2, 300)),
    "where": (lambda xp, x, n: xp.where(x > 1, x, n), SMALL, (2, 300)),
    "in place": (grown, SMALL, (2, 300)),
    "assigned": (written, SMALL, (2, 300)),
    "an array": (lambda xp, x, n: x + xp.asarray(n, dtype="int8"), SMALL, (2, 300)),
    "in a branch": (
        lambda xp, x, n: xp.cond(xp.sum(x) > 0, lambda: x + n * 2**62, lambda: x + 0.0),
        FLOATS,
        (1, 3),
    ),
    "in a loop": (
        lambda xp, x, n: xp.fori_loop(0, 3, lambda k, c: c + 1 // n, x),
        FLOATS,
        (1, 0),
    ),
    "in a loop of small ones": (
        lambda xp, x, n: xp.fori_loop(0, 3, lambda k, c: c + n, x),
        SMALL,
        (3, 300),
    ),
    "in a loop in a branch": (
        lambda xp, x, n: xp.cond(
            xp.sum(x) > 0,
            lambda: xp.fori_loop(0, 2, lambda k, c: c + n % 3 + k, x),
            lambda: x + n % 7,
        ),
        SMALL,
        (4, 300),
    ),
    "with a counter": (
        lambda xp, x, n: xp.fori_loop(1, 4, lambda k, c: c + k * n + k / n, x),
        FLOATS,
        (3, 0, 2**40),
    ),
    "a power by a counter": (
        lambda xp, x, n: xp.fori_loop(0, 4, lambda k, c: c + n**k, x),
        FLOATS,
        (3, 0.5),
    ),
    "a bound": (
        lambda xp, x, n: xp.fori_loop(0, n, lambda k, c: c + k, x),
        SMALL,
        (3, 128, 200),
    ),
}


@pytest.mark.filterwarnings("ignore::oplibrary.messages.errors.RetraceWarning")
@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("name", ARGUMENTS)
def test_a_number_that_is_passed_is_pythons(name, backend):
    program, x, numbers = ARGUMENTS[name]
    compiled = sg.function(lambda x, n: program(sg, x, n), backend=backend)
    for n in (*numbers, *reversed(numbers)):
        expected = outcome(lambda n=n: program(dg, dg.asarray(x), n))
        found = outcome(lambda n=n: compiled(x, n))
        if backend == "native" and not isinstance(found, str):
            assert found[:2] == expected[:2]
        else:
            assert found == expected, n


def test_a_number_that_does_not_fit_is_traced_as_it_is():
    compiled = sg.function(lambda x, n: x < n, backend="numpy")
    for n in (2, 300, 5, 300, 2):
        np.testing.assert_array_equal(compiled(SMALL, n), n > SMALL)
    signatures = [trace.signature[1] for trace in compiled.explain().traces]
    assert signatures == ["n: int", "n=300 (static)"]


def test_a_function_is_bound_to_a_number_that_does_not_fit():
    bound = sg.function(lambda x, n: x < n, backend="numpy").bind(SMALL, 300)
    assert bound().tolist() == [True, True]


def test_several_numbers_of_which_one_does_not_fit():
    compiled = sg.function(lambda x, n, m, r: x * r + n // m, backend="numpy")
    assert compiled(DOUBLES, 7, 2, 0.5).tolist() == [3.5, 4.5]
    with pytest.raises(ZeroDivisionError):
        compiled(DOUBLES, 7, 0, 0.5)
    assert compiled(DOUBLES, 2**70, 2, 0.5).tolist() == [2.0**69 + 0.5, 2.0**69 + 1.5]
    assert compiled(DOUBLES, 9, 2, 1.5).tolist() == [5.5, 8.5]


COUNTED = {
    "small ones": (lambda xp, k, c: c + k, SMALL),
    "small ones, of a rest": (lambda xp, k, c: c + k % 5, SMALL),
    "small ones, assigned": (lambda xp, k, c: xp.set_item(c, k % 2, k), SMALL),
    "small ones, chosen": (lambda xp, k, c: xp.where(c > 0, c, k), SMALL),
    "small ones, compared": (lambda xp, k, c: c + (c == k), SMALL),
    "unsigned ones": (lambda xp, k, c: c + (k - 1), UNSIGNED),
    "product": (lambda xp, k, c: c + k * 2**62, FLOATS),
    "shift": (lambda xp, k, c: c + (1 << k), FLOATS),
    "power": (lambda xp, k, c: c + k**k, DOUBLES),
    "power of two": (lambda xp, k, c: c + 2**k, FLOATS),
    "whole division": (lambda xp, k, c: c + 1 // k, FLOATS),
    "rest": (lambda xp, k, c: c + 1 % k, FLOATS),
    "division": (lambda xp, k, c: c + 1 / k, FLOATS),
    "division by the next": (lambda xp, k, c: c + 1 / (k + 1), FLOATS),
    "root": (lambda xp, k, c: c + k**0.5, FLOATS),
    "complex root": (lambda xp, k, c: c + abs((k - 5) ** 0.5), FLOATS),
    "inverse": (lambda xp, k, c: c + (k + 1) ** -1, FLOATS),
    "sign": (lambda xp, k, c: c + (-1) ** k, FLOATS),
    "rounded": (lambda xp, k, c: c + round(k * 0.3), FLOATS),
    "bits": (lambda xp, k, c: c + (k & 5) - (k >> 1) + ~k, FLOATS),
    "of two counters": (
        lambda xp, k, c: xp.fori_loop(0, 3, lambda j, d: d + k * j - 1 / (j + k + 1), c),
        FLOATS,
    ),
}


@pytest.mark.parametrize("bounds", [(0, 5), (1, 30), (120, 128), (0, 200), (0, 1), (7, 3)])
@pytest.mark.parametrize("name", COUNTED)
def test_a_counter_is_pythons_or_refused(name, bounds):
    body, x = COUNTED[name]
    lower, upper = bounds
    expected = outcome(lambda: dg.fori_loop(*bounds, lambda k, c: body(dg, k, c), dg.asarray(x)))

    def known(x):
        return sg.fori_loop(lower, upper, lambda k, c: body(sg, k, c), x)

    def found(x, n):
        return sg.fori_loop(lower, n, lambda k, c: body(sg, k, c), x)

    for backend in BACKENDS:
        results = [
            outcome(lambda backend=backend: sg.function(known, backend=backend)(x)),
            outcome(lambda backend=backend: sg.function(found, backend=backend)(x, upper)),
            outcome(
                lambda backend=backend: sg.function(found, backend=backend)(x, np.array(upper))
            ),
        ]
        for result in results:
            if isinstance(expected, tuple) and isinstance(result, tuple) and backend == "native":
                assert result[:2] == expected[:2]
            else:
                assert result == expected or result == DTypeError.id
    if name.startswith(("small", "division by", "sign", "rounded", "bits", "of two")):
        assert outcome(lambda: sg.function(known, backend="numpy")(x)) == expected


def test_intervals_say_of_very_many_values_what_trying_them_would():
    def many(x):
        def body(k, c):
            return c + (k * k + 1) // (k + 1) + 1 / (k + 1) + round(k * 0.5) - k % 7

        return sg.fori_loop(0, 10**6, body, x)

    sg.trace(many, sg.TensorType(()))
    for body in (lambda k: k**4, lambda k: 1 // (k - 5), lambda k: 1 << k):
        with pytest.raises(DTypeError, match="made of the counter of a loop"):
            sg.trace(
                lambda x, body=body: sg.fori_loop(0, 10**6, lambda k, c: c + body(k), x),
                sg.TensorType(()),
            )


def test_a_loop_is_held_to_where_its_counter_fits():
    def total(x, lower, upper):
        return sg.fori_loop(lower, upper, lambda k, c: c + k, x)

    for backend in BACKENDS:
        compiled = sg.function(total, backend=backend)
        assert compiled(SMALL, np.array(120), np.array(121)).tolist() == [121, 123]
        assert compiled(SMALL, np.array(-128), np.array(-128)).tolist() == [1, 3]
        assert compiled(SMALL, np.array(500), np.array(300)).tolist() == [1, 3]
        for bounds in itertools.product((-500, 0), (200, 300)):
            with pytest.raises(DTypeError, match="it counts from"):
                compiled(SMALL, *map(np.array, bounds))


def test_a_loop_beyond_64_bits_is_refused():
    with pytest.raises(DTypeError, match="it counts from"):
        sg.trace(lambda x: sg.fori_loop(2**63, 2**63 + 2, lambda k, c: c + 1, x), sg.TensorType(()))


def test_gradients_and_examples_go_through_numbers():
    def program(xp, x, n):
        return xp.fori_loop(1, 4, lambda k, c: c * (k / n) + 1 // k, x)

    expected = dg.value_and_grad(lambda x: dg.sum(program(dg, x, 2)))(dg.asarray(DOUBLES))
    found = sg.function(
        lambda x, n: sg.value_and_grad(lambda x: sg.sum(program(sg, x, n)))(x), backend="numpy"
    )(DOUBLES, 2)
    assert [x.tolist() for x in found] == [x.tolist() for x in expected]
    rows = sg.function(lambda x, n: sg.vmap(lambda x: program(sg, x, n))(x), backend="numpy")
    assert rows(DOUBLES, 2).tolist() == program(dg, dg.asarray(DOUBLES), 2).tolist()
