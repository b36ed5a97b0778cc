"""Where a name means something else than in JAX: every row of docs/from_jax.md is run in both."""

import importlib
import re
import warnings
from pathlib import Path

import numpy as np
import pytest
from tests.test_from_pytorch import CALLS, NOT_COMPARED, arrays, differ

import dyngraph as dg
import staticgraph as sg
from oplibrary.errors import (
    ArgumentError,
    BranchTypeError,
    IndexingError,
    InPlaceError,
    NodeBudgetError,
)

jax = pytest.importorskip("jax")
jnp = jax.numpy

PAGE = (Path(__file__).parent.parent / "docs" / "from_jax.md").read_text()
WRITTEN, RULES, NAMES = (part.split("\n\n## ")[0] for part in PAGE.split("\n## ")[1:])
X = np.array([0.5, -1.5, 2.0], "float32")
Y = np.array([1.0, 2.0, -0.5], "float32")


# what one writes ----------------------------------------------------------------------------------


def meant(xp, x, y):
    """Return what the cells of the first table may name."""

    def step(carry, each):
        return carry + each, carry * each

    return {
        "jax": jax,
        "jnp": jnp,
        "np": np,
        "xp": xp,
        "x": x,
        "y": y,
        "f": lambda x: xp.sum(xp.sin(x) * x),
        "g": lambda x, y: xp.sum(x * x * y),
        "h": lambda x: x * x,
        "step": step,
    }


CELLS = dict(re.findall(r"^\| `(.*)` \| `(.*)` \|$", WRITTEN, re.MULTILINE))


@pytest.fixture(scope="module")
def by_jax():
    """Return what each cell gives in JAX, all of them compiled at once, which is faster."""

    def cells(x, y):
        return {code: jax.tree.leaves(eval(code, meant(jnp, x, y))) for code in CELLS}

    return jax.jit(cells)(X, Y)


@pytest.mark.parametrize("theirs", CELLS)
def test_what_is_written_gives_what_jax_gives(theirs, by_jax):
    expected = arrays(by_jax[theirs])
    code = compile(CELLS[theirs], "<cell>", "eval")
    eager = eval(code, meant(dg, dg.tensor(X), dg.tensor(Y)))
    graph = sg.trace(lambda x, y: eval(code, meant(sg, x, y)), X, Y)
    declared = sg.compile(graph.outputs, graph.inputs, backend="interpret")(X, Y)
    for result in (eager, declared):
        found = arrays(jax.tree.leaves(result))
        assert [each.dtype for each in found] == [each.dtype for each in expected]
        for each, wanted in zip(found, expected, strict=True):
            np.testing.assert_allclose(each, wanted, rtol=1e-5, atol=1e-6)


# rules --------------------------------------------------------------------------------------------


def compiled(function, *inputs, **options):
    return sg.function(function, backend="interpret", **options)(*inputs)


def refused(error, function, *inputs):
    """Tell whether a call raises, and as it should."""
    with pytest.raises(error):
        function(*inputs)
    return True


def set_first(x):
    x[0] = 1
    return x


def grad_at(xp, function, at):
    return (dg if xp is dg else jax).grad(function)(at).item()


def with_outside(make):
    """Return what a compiled function gives after a value that it reads has changed."""
    outside = {"factor": 1.0}
    f = make(lambda x: x * outside["factor"])
    f(X)
    outside["factor"] = 3.0
    return np.allclose(f(X), 3 * X)


def slope_of_the_value(xp):
    """Return the derivative of the value that comes beside a gradient, whose rule is not x's."""
    square = xp.custom_vjp(lambda x: x * x)
    square.defvjp(lambda x: (x * x, x), lambda x, g: (g * 10 * x,))
    return xp.grad(lambda x: xp.value_and_grad(square)(x)[0])


def branch_of_two_types(xp, x):
    return xp.cond(x[0] > 0, lambda x: x, lambda x: xp.sum(x) * 0, x)


JX, DX = jnp.asarray(X), dg.tensor(X)


RULES_OF = {
    "whole numbers": lambda: (dg.arange(3).dtype, jnp.arange(3).dtype) == ("int64", "int32"),
    "float64 arrays": lambda: (
        (dg.tensor(np.ones(1)).dtype, jnp.asarray(np.ones(1)).dtype) == ("float64", "float32")
    ),
    "whole numbers beside floats": lambda: (
        [(xp.ones(1, dtype="int32") * xp.ones(1, dtype="float32")).dtype for xp in (np, dg, jnp)]
        == ["float64", "float64", "float32"]
    ),
    "functions of whole numbers": lambda: (
        [xp.sin(xp.ones(1, dtype="int32")).dtype for xp in (np, dg, jnp)]
        == ["float64", "float64", "float32"]
    ),
    "weak types": lambda: (
        [(xp.asarray(2.0) * xp.ones(1, dtype="float16")).dtype for xp in (dg, jnp)]
        == ["float32", "float16"]
        and [(2.0 * xp.ones(1, dtype="float16")).dtype for xp in (dg, jnp)] == ["float16"] * 2
    ),
    "NumPy's scalars": lambda: (
        [(x * np.float64(2)).dtype for x in (X, DX, JX)] == ["float64", "float64", "float32"]
    ),
    "index outside": lambda: (
        refused(IndexingError, lambda: DX[7])
        and refused(IndexingError, lambda: compiled(lambda x, i: x[i], X, 7))
        and refused(IndexingError, lambda: dg.set_item(DX, 7, 1))
        and JX[7] == X[-1]
        and (JX.at[7].set(1) == X).all()
        and jnp.isnan(jnp.take(JX, 7))
    ),
    "`x[0] = 1`": lambda: (
        set_first(dg.tensor(X))[0].item() == 1
        and compiled(lambda x: set_first(x * 1), X)[0] == 1
        and dg.grad(lambda x: dg.sum(set_first(x * 2)))(DX).tolist() == [0, 2, 2]
        and refused(InPlaceError, compiled, set_first, X)
        and refused(TypeError, set_first, JX)
    ),
    "complex gradients": lambda: (
        grad_at(dg, lambda z: dg.real(z * z), dg.asarray(1 + 2j)) == 2 - 4j
        and grad_at(jnp, lambda z: jnp.real(z * z), 1 + 2j) == 2 + 4j
    ),
    "slope of `abs` at 0": lambda: (
        [grad_at(xp, xp.abs, xp.asarray(0.0)) for xp in (dg, jnp)] == [0, 1]
    ),
    "slope of `clip` at its ends": lambda: (
        grad_at(dg, lambda x: dg.clip(x, 0, 1), dg.asarray(1.0)) == 1
        and grad_at(jnp, lambda x: jnp.clip(x, 0, 1), 1.0) == 0.5
    ),
    "whole division by zero": lambda: (
        [int((xp.asarray([1]) // xp.asarray([0]))[0]) for xp in (dg, jnp)] == [0, -2]
    ),
    "gradient of `while_loop`": lambda: (
        (doubled := lambda loop: lambda x: loop(lambda c: c < 9, lambda c: 2 * c, x))
        and grad_at(dg, doubled(dg.while_loop), dg.tensor(1.5)) == 8
        and compiled(sg.grad(doubled(sg.while_loop)), np.float32(1.5)) == 8
        and refused(ValueError, jax.grad(doubled(jax.lax.while_loop)), 1.5)
    ),
    "carry of `scan` in another dtype": lambda: (
        (summed := lambda xp, x: xp.scan(lambda c, x: (c + x, x), xp.ones((), dtype="int32"), x)[0])
        and summed(dg, DX).dtype == "float64"
        and refused(BranchTypeError, compiled, lambda x: summed(sg, x), X)
        and refused(TypeError, jax.lax.scan, lambda c, x: (c + x, x), jnp.ones((), "int32"), JX)
    ),
    "branches of `cond` of two types": lambda: (
        branch_of_two_types(dg, DX).shape == (3,)
        and refused(BranchTypeError, compiled, lambda x: branch_of_two_types(sg, x), X)
        and refused(TypeError, jax.lax.cond, True, lambda x: x, lambda x: jnp.sum(x) * 0, JX)
    ),
    "outside values": lambda: (
        with_outside(lambda f: sg.function(f, backend="interpret")) and not with_outside(jax.jit)
    ),
    "strings as arguments": lambda: (
        compiled(lambda x, how: x * 2 if how == "twice" else x, X, "twice")[0] == 1
        and refused(TypeError, jax.jit(lambda x, how: x), X, "twice")
    ),
    "`static_argnames`": lambda: (
        refused(ArgumentError, lambda: sg.function(lambda x, n: x, static_argnames="n")(X, 1))
        and (jax.jit(lambda x, n: x * n, static_argnames="n")(JX, n=2) == 2 * X).all()
    ),
    "`donate_argnums`": lambda: (
        refused(ArgumentError, lambda: sg.function(lambda x: x, donate_argnums=0)(X))
        and (jax.jit(lambda x: x + 1, donate_argnums=0)(jnp.asarray(X)) == X + 1).all()
        and compiled(lambda x: x + 1, X, borrow=True)[0] == 1.5
    ),
    "unrolled loops": lambda: (
        (unrolled := lambda x: [x := x + 1 for _ in range(50)][-1])
        and refused(NodeBudgetError, lambda: compiled(unrolled, X, max_nodes=40))
        and jax.make_jaxpr(unrolled)(X) is not None
    ),
    "lists as arrays": lambda: dg.sum([1, 2]).item() == 3 and refused(TypeError, jnp.sum, [1, 2]),
    "`custom_vjp` twice": lambda: (
        slope_of_the_value(dg)(dg.tensor(3.0)).item() == 30
        and compiled(slope_of_the_value(sg), np.float32(3)) == 30
        and slope_of_the_value(jax)(3.0) == 6
    ),
    "keys": lambda: (
        dg.random_key(0).dtype == "uint64"
        and jax.random.key(0).dtype not in ("uint64", "uint32")
        and not np.allclose(
            dg.uniform(dg.random_key(0), (2,)).numpy(), jax.random.uniform(jax.random.key(0), (2,))
        )
    ),
    "`uniform`": lambda: (
        dg.uniform(dg.random_key(0), (3,), 2.0, 3.0).min().item() >= 2
        and refused(TypeError, jax.random.uniform, jax.random.key(0), (3,), 2.0, 3.0)
    ),
    "results of a compiled function": lambda: (
        type(compiled(lambda x: x + 1, X)) is np.ndarray
        and hasattr(jax.jit(lambda x: x + 1)(X), "block_until_ready")
    ),
}


def test_the_rules_of_the_page_are_those_that_are_checked():
    assert re.findall(r"^\| ([^:|]+?) \|", RULES, re.MULTILINE)[1:] == list(RULES_OF)


@pytest.mark.parametrize("rule", RULES_OF)
@pytest.mark.filterwarnings("ignore")
def test_rules_hold_in_both(rule):
    assert RULES_OF[rule]()


# names --------------------------------------------------------------------------------------------

PLACES = {
    "jnp": ("jax.numpy", dg),
    "nn": ("jax.nn", dg),
    "lax": ("jax.lax", dg),
    "linalg": ("jax.numpy.linalg", dg.linalg),
    "fft": ("jax.numpy.fft", dg.fft),
    "special": ("jax.scipy.special", dg.special),
}
SKIPPED = [pattern for reason, pattern in NOT_COMPARED.items() if "torch" not in reason]
COMPARED = (
    *("(x)", "(x, y)", "(x, 0)", "(x, 0, 1)", "(x, (1, 1))", "((x, y))", "(true, x, y)"),
    "(vector, vector)",
)
NARROW = {"int64": "int32", "uint64": "uint32"}
"""What the page says of all functions: JAX's whole numbers have 32 bits."""


def form(result):
    """Return how results are arranged, and their shapes and dtypes."""
    if isinstance(result, (tuple, list)):
        return tuple(form(each) for each in result)
    dtype = str(result.dtype) if hasattr(result, "dtype") else type(result).__name__
    return NARROW.get(dtype, dtype), tuple(getattr(result, "shape", ()))


def other_forms():
    """Return the names whose results have other forms in JAX, each with the calls and forms."""
    differing = {}
    for short, (place, ours) in PLACES.items():
        theirs = importlib.import_module(place)
        for name in sorted(set(dir(theirs)) & set(dir(ours))):
            if any(pattern.search(name) for pattern in SKIPPED):
                continue
            f, g = getattr(theirs, name, None), getattr(ours, name, None)
            if not callable(f) or not callable(g) or isinstance(f, type) or isinstance(g, type):
                continue
            for shown in COMPARED:
                try:
                    result = form(CALLS[shown](g, dg.tensor))
                    expected = form(CALLS[shown](f, jnp.asarray))
                except Exception:  # refused by one of them, which is not silent
                    continue
                if expected != result:
                    differing.setdefault(f"{short}.{name}", []).append((shown, expected, result))
    return differing


def has_other_values(listed):
    """Tell whether some call of a name gives other numbers in JAX."""
    short, _, name = listed.partition(".")
    place, ours = PLACES[short]
    f, g = getattr(importlib.import_module(place), name), getattr(ours, name)
    for shown in COMPARED:
        try:
            pair = CALLS[shown](f, jnp.asarray), CALLS[shown](g, dg.tensor)
        except Exception:
            continue
        if differ(*pair, of_whole=False):
            return True
    return False


def test_the_table_has_what_differs_and_nothing_else():
    found = {}

    def trace():  # in one trace, in which JAX computes nothing but shapes and dtypes
        found.update(other_forms())
        return jnp.zeros(())

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        jax.eval_shape(trace)
        rows = re.findall(r"^\| (`.*?) \|", NAMES, re.MULTILINE)
        listed = {name for row in rows for name in re.findall(r"`([\w.]+)`", row)}
        assert set(found) <= listed, {name: found[name] for name in set(found) - listed}
        assert {name for name in listed - set(found) if not has_other_values(name)} == set()
