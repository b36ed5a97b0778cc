"""The scalar expression: one tree whatever its spelling, and refused where it is none."""

import dataclasses
import math

import numpy as np
import pytest

import staticgraph as sg
from oplibrary.core.expression import parse_expression
from oplibrary.core.op import Kind, Op
from oplibrary.core.registry import REGISTRY
from oplibrary.messages.errors import AnomalyError, ArgumentError
from staticgraph.declare.lower import lower

ELEMENTWISE = [op for op in REGISTRY.values() if op.kind is Kind.ELEMENTWISE]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("{0} + {1}", "{0}+{1}"),
        ("{0} + {1}", "(({0}) + ({1}))"),
        ("-1.0 * {0}", "(-1.0)*{0}"),
        ("1 / (1 + exp(-{0}))", "1/(1+exp(-{0}))"),
        ("{1} if {0} else {2}", "where({0}, {1}, {2})"),
        ("max({0}, None)", "{0}"),
        ("{0} * nan", "{0}*(nan)"),
    ],
)
def test_spelling_does_not_matter(one, other):
    assert parse_expression(one) == parse_expression(other)
    assert hash(parse_expression(one)) == hash(parse_expression(other))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("{0} + {1}", "{1} + {0}"),
        ("{0} + 1", "{0} + 1.0"),
        ("{0} + 1", "{0} + True"),
        ("{0} + 0.0", "{0} + -0.0"),
        ("({0} + {1}) + {2}", "{0} + ({1} + {2})"),
        ("{0} + {a}", "{0} + {b}"),
    ],
)
def test_what_computes_otherwise_is_another_tree(one, other):
    assert parse_expression(one) != parse_expression(other)


@pytest.mark.parametrize("op", ELEMENTWISE, ids=lambda op: op.name)
def test_a_tree_is_shown_as_text_that_is_that_tree(op):
    assert parse_expression(repr(op.expression)) == op.expression


def test_attributes_are_put_in_with_their_types():
    clip = parse_expression("min(max({0}, {low}), {high})")
    assert clip.bind({"low": 0, "high": None}) == parse_expression("max({0}, 0)")
    assert clip.bind({"low": 0.0, "high": None}) == parse_expression("max({0}, 0.0)")
    assert clip.bind({"low": np.float32(-0.0), "high": 1}) == parse_expression(
        "min(max({0}, -0.0), 1)"
    )
    assert clip.bind({"low": math.nan, "high": None}) == clip.bind({"low": math.nan, "high": None})


@pytest.mark.parametrize(
    ("expr", "why"),
    [
        ("{0} +", "invalid syntax"),
        ("{0} + {1}", "no {1}"),
        ("{0} * {slop}", "no {slop}"),
        ("{0} * slope", "no number 'slope'"),
        ("{0}.real", "no arithmetic"),
        ("{0} @ {0}", "no arithmetic"),
        ("0 < {0} < 1", "no arithmetic"),
        ("{0} + 'a'", "no arithmetic"),
        ("exp(x={0})", "no arithmetic"),
        ("exp()", "no arithmetic"),
        ("add({0})", "add takes 2 operands, not 1"),
        ("{0:.2f}", "literal"),
        ("__import__('os')", "no arithmetic"),
    ],
)
def test_what_is_no_expression_is_refused_where_the_op_is_made(expr, why):
    with pytest.raises(ArgumentError) as caught:
        toy("twist", REGISTRY["positive"], expr=expr, attrs={"slope": 1.0})
    assert "twist" in str(caught.value) and why in str(caught.value), str(caught.value)


def toy(name: str, like: Op, **fields: object) -> Op:
    """Return an op like one of the library, which is not in the registry."""
    given = {f.name: getattr(like, f.name) for f in dataclasses.fields(like) if f.init}
    return Op(**{**given, "name": name, "alias": (), **fields})


SPELLINGS = {
    "add": "({0})+({1})",
    "multiply": "(({0}*{1}))",
    "negative": "-({0})",
    "positive": "({0})",
    "where": "(({1})if({0})else({2}))",
    "sigmoid": "1/(1+exp((-{0})))",
    "relu": "max( ({0}),(0) )",
    "clip": "(max({0},{min})if {max}==None else (min({0},{max})if {min}==None else "
    "({0} if max({min},{0})==min({max},{0}) else min({max},max({min},{0})))))",
    "cast": "cast(({0}))",
}


@pytest.fixture
def spelled():
    """Ops of the library, and the same ones under their own names, spelled otherwise."""
    theirs = {name: REGISTRY[name] for name in SPELLINGS}
    ours = {name: toy(name, theirs[name], expr=text) for name, text in SPELLINGS.items()}
    return theirs, ours


def sums_of_products(ops, x, w):
    return ops["add"](ops["add"](x @ w, w @ x), x @ x)


def rewritten(ops, x, w):
    same = ops["negative"](ops["negative"](ops["cast"](ops["positive"](x), dtype="float32")))
    return ops["add"](same, w)


def reduced(ops, x, w):
    return sg.sum(ops["multiply"](x, w), axis=1)


def activated(ops, x, w):
    return ops["sigmoid"](x) + ops["relu"](w) + ops["clip"](x, 0.0, 1)


PROGRAMS = [sums_of_products, rewritten, reduced, activated]


def compiled(program, ops, backend="native"):
    with sg.Graph():
        x, w = sg.placeholder("x", (96, 96)), sg.placeholder("w", (96, 96))
        return sg.compile(program(ops, x, w), [x, w], backend=backend)


@pytest.mark.parametrize("program", PROGRAMS)
@pytest.mark.parametrize("backend", ["interpret", "numpy", "native"])
def test_programs_memory_and_results_do_not_depend_on_the_spelling(spelled, program, backend):
    if backend == "native":
        pytest.importorskip("llvmlite")
    one, other = (compiled(program, ops, backend) for ops in spelled)
    assert str(one.program) == str(other.program)
    assert one.plan.arena_bytes == other.plan.arena_bytes
    assert one.cost() == other.cost()
    if backend == "native":
        assert one.source == other.source
        assert list(one.plan.locations.values()) == list(other.plan.locations.values())
    x, w = np.random.default_rng(0).normal(size=(2, 96, 96)).astype("float32")
    assert one(x, w).tobytes() == other(x, w).tobytes()


@pytest.mark.parametrize("program", PROGRAMS)
def test_onnx_does_not_depend_on_the_spelling(spelled, program):
    pytest.importorskip("onnx")
    from staticgraph.exporting.model import onnx_model

    models = []
    for ops in spelled:
        with sg.Graph() as graph:
            x, w = sg.placeholder("x", (4, 4)), sg.placeholder("w", (4, 4))
            models.append(onnx_model(lower(graph, [program(ops, x, w)], [x, w])))
    assert models[0].SerializeToString() == models[1].SerializeToString()


def test_the_first_nan_is_explained_whatever_the_spelling(spelled):
    found = []
    for ops in spelled:
        with sg.Graph():
            x = sg.placeholder("x", (2,))
            run = sg.compile(ops["where"](x > 0, sg.log(x), x), [x], debug=True)
        run.watch_nan()
        with np.errstate(all="ignore"), pytest.raises(AnomalyError) as caught:
            run(np.array([1, -1], "float32"))
        found.append(caught.value.fix)
    assert found[0] == found[1] and "where computes both sides" in found[0]
