"""How far the machine code of functions is from the true value: within the documented bounds.

A sample of float32 here; ``python -m tests.staticgraph.accuracy`` goes through all of it.
"""

from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("llvmlite")

from tests.staticgraph.accuracy import (
    BY_TABLES,
    LOWEST,
    TRUTH,
    compiled,
    documented,
    largest_error,
    record,
    row_of,
    sweep,
    true_values,
)

import staticgraph as sg
from oplibrary.core.op import Kind
from oplibrary.core.registry import REGISTRY
from oplibrary.machine.foreign.special import SPECIAL
from oplibrary.machine.mathematics import FUNCTIONS
from oplibrary.machine.special_functions import IN_SINGLE
from staticgraph.backends.native.planning import planning

STRIDE = 21_013
DOCUMENTED = documented()


def with_specials(x):
    info = np.finfo(x.dtype)
    tiny = [info.tiny, info.smallest_subnormal, info.max, info.eps, 0.0, 1.0, 0.5, np.pi, np.inf]
    return np.concatenate([x, np.array([*tiny, *[-t for t in tiny], np.nan], x.dtype)])


def test_every_function_is_documented():
    calls = {
        op.name
        for op in REGISTRY.values()
        if op.kind is Kind.ELEMENTWISE
        and op.arity == 1
        and op.expression.operators() & {*FUNCTIONS, "sqrt"}
    }
    assert {*TRUTH, *(f"{name} without tables" for name in BY_TABLES)} == set(DOCUMENTED)
    # they cancel, so there is no bound in units of theirs; angle is 0 or pi for real numbers
    inexact = calls - {"mantissa", "exponent", *SPECIAL}  # exact, or SciPy's
    assert inexact - set(TRUTH) == {"gelu", "gelu_tanh", "angle"}


def test_what_was_found_is_within_the_bounds():
    for name, row in DOCUMENTED.items():
        assert row.found is not None, name
        assert row.found <= row.single, name


@pytest.mark.parametrize("name", TRUTH)
def test_float32_over_its_whole_range(name):
    found = sweep(name, STRIDE)
    assert found <= DOCUMENTED[row_of(name)].single
    assert (
        found <= DOCUMENTED[row_of(name)].found + 0.001
    )  # of all numbers, of which these are some


@pytest.mark.parametrize("name", TRUTH)
def test_float32_where_it_is_used(name):
    usual = np.random.default_rng(0).normal(0, 4, 50_000).astype(np.float32)
    x = with_specials(usual)
    with np.errstate(all="ignore"):
        found = largest_error(compiled(name, x)(x), true_values(name, x), LOWEST.get(name, 0.0))
    assert found <= DOCUMENTED[row_of(name)].single


def test_tanh_where_the_processor_has_no_tables(monkeypatch):
    narrow = replace(planning.host_target(), avx512=False)
    monkeypatch.setattr(planning, "host_target", lambda: narrow)
    x = with_specials(np.random.default_rng(0).normal(0, 4, 50_000).astype(np.float32))
    executable = compiled("tanh", x)
    assert "@tanh_0 =" not in executable.source
    bound = DOCUMENTED[row_of("tanh")].single
    assert largest_error(executable(x), true_values("tanh", x)) <= bound
    assert row_of("tanh") == "tanh without tables"


@pytest.mark.parametrize("lanes", [1, 5, 16, 24, 64])
def test_tables_are_looked_up_alike_in_every_width(lanes):
    """Ends of arrays and odd widths must have the bits of the rest."""
    x = with_specials(np.random.default_rng(0).normal(0, 3, 640).astype(np.float32))[:640]
    whole = compiled("tanh", x)(x)
    parts = [x[i : i + lanes].copy() for i in range(0, 640 - lanes, lanes)]
    run = compiled("tanh", parts[0])
    found = np.concatenate([run(part) for part in parts])
    np.testing.assert_array_equal(found, whole[: found.size])


@pytest.mark.skipif(
    np.finfo(np.longdouble).nmant < 63, reason="needs a type that is wider than float64"
)
@pytest.mark.parametrize("name", [name for name in TRUTH if name != "erf"])
def test_float64_is_within_its_bound(name):
    rng = np.random.default_rng(0)
    patterns = rng.integers(0, 2**64, 20_000, dtype=np.uint64).view(np.float64)
    x = with_specials(np.concatenate([patterns, rng.normal(0, 4, 30_000)]))
    with np.errstate(all="ignore"):
        truth = TRUTH[name](x.astype(np.longdouble))
        found = largest_error(compiled(name, x)(x), truth, LOWEST.get(name, 0.0))
    assert found <= DOCUMENTED[name].double


def test_the_error_function_in_float64():
    special = pytest.importorskip("scipy.special")
    x = np.random.default_rng(0).normal(0, 2, 30_000)
    bound = int(DOCUMENTED["erf"].double)
    np.testing.assert_array_max_ulp(compiled("erf", x)(x), special.erf(x), bound)


@pytest.mark.parametrize("name", IN_SINGLE)
def test_special_functions_of_float32_are_as_good_as_rounded_once(name):
    functions = pytest.importorskip("scipy.special")
    rng = np.random.default_rng(0)
    patterns = rng.integers(0, 2**32, 100_000, dtype=np.uint32).view(np.float32)
    usual = np.concatenate([rng.normal(0, 3, 50_000), rng.uniform(-1, 1, 50_000)])
    borders = [8.0, 88.0, 89.0, 92.0, -92.0, 0.425, 0.925, -1.0, 11.4, -14.5, -16.0]
    with np.errstate(invalid="ignore"):
        x = np.concatenate([patterns, usual, borders], dtype=np.float32)
    x = with_specials(x)
    x = np.where(np.isnan(x), np.float32(np.nan), x)
    found = compiled(name, x)(x)
    with np.errstate(all="ignore"):
        truth = getattr(functions, name)(x.astype(np.float64))
        assert largest_error(found, truth) <= 0.52
    zero = truth == 0
    np.testing.assert_array_equal(np.signbit(found[zero]), np.signbit(truth[zero]))


# what measures ------------------------------------------------------------------------------------


def test_errors_are_counted_in_units_in_the_last_place():
    x = np.array([1.0, 1.5, 3e-40, -1.5], "float32")
    units = np.array([2.0**-23, 2.0**-23, 2.0**-149, 2.0**-23])
    for wrong in range(4):
        truth = x.astype("float64")
        truth[wrong] += 0.75 * units[wrong]
        result = x.copy()
        result[wrong] -= np.float32(units[wrong])
        assert largest_error(result, truth) == pytest.approx(1.75)


@pytest.mark.parametrize(
    ("result", "truth"),
    [(0.0, -0.0), (1.0, np.nan), (np.nan, 1.0), (3e38, np.inf), (np.inf, -np.inf), (1e-40, 0.0)],
)
def test_another_special_number_is_a_failure(result, truth):
    with pytest.raises(AssertionError):
        largest_error(np.array([1, result], "float32"), np.array([1, truth]))


def test_what_is_found_is_written_into_the_table(tmp_path, monkeypatch):
    from tests.staticgraph import accuracy

    page = tmp_path / "native.md"
    page.write_text(accuracy.DOCUMENT.read_text())
    monkeypatch.setattr(accuracy, "DOCUMENT", page)
    record("exp", 0.123)
    assert documented() == {**DOCUMENTED, "exp": DOCUMENTED["exp"]._replace(found=0.123)}


# functions of two numbers -------------------------------------------------------------------------


PAIRS = {
    "pow": (np.power, 2.0),
    "atan2": (np.arctan2, 2.5),
    "hypot": (np.hypot, 1.5),
    "logaddexp": (np.logaddexp, 3.0),
}


@pytest.mark.parametrize("name", PAIRS)
def test_functions_of_two_numbers(name):
    function, bound = PAIRS[name]
    rng = np.random.default_rng(0)
    values = with_specials(rng.normal(0, 4, 150).astype(np.float32))
    x, y = (np.ascontiguousarray(each) for each in np.meshgrid(values, values))
    with sg.Graph():
        nodes = [sg.placeholder(name, x.shape, x.dtype) for name in "xy"]
        run = sg.compile(getattr(sg, name)(*nodes), nodes, backend="native")
    with np.errstate(all="ignore"):
        truth = function(x.astype(np.float64), y.astype(np.float64))
        result = run(x, y)
        if name == "logaddexp":  # cancels where the result is near 0
            far = ~(np.abs(truth) <= 0.25)
            result, truth = result[far], truth[far]
        assert largest_error(result, truth) <= bound


@pytest.mark.parametrize("size", range(1, 40))
def test_the_place_in_an_array_does_not_change_an_element(size):
    x = np.linspace(-3, 3, 40, dtype=np.float32)

    def run(x):
        with sg.Graph():
            node = sg.placeholder("x", x.shape)
            return sg.compile(sg.tanh(sg.exp(node)), [node], backend="native")(x)

    np.testing.assert_array_equal(run(x[:size].copy()), run(x)[:size])
