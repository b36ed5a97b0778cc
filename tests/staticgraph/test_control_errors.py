"""Wrong use of control flow is refused when it is declared, with the line and the fix."""

import numpy as np
import pytest

import dyngraph as dg
import staticgraph as sg
from oplibrary.messages.errors import (
    ArgumentError,
    BranchTypeError,
    DTypeError,
    LeakedNodeError,
    NodeBudgetError,
)

X = np.ones(3)


def refused(kind, function, *specs):
    with pytest.raises(kind) as caught:
        sg.trace(function, *(specs or (X,)))
    return str(caught.value)


def test_a_body_with_a_parameter_for_each_part_of_the_carry():
    text = refused(
        ArgumentError,
        lambda x: sg.while_loop(lambda i, h: i < 3, lambda i, h: (i + 1, h), (0, x)),
    )
    assert "while_loop: lambda (i, h) is called with 1 argument" in text
    assert "it gets a tuple of 2" in text
    assert "unpack inside: a, b = carry" in text
    assert "lambda i, h: i < 3" in text


@pytest.mark.parametrize(
    ("declare", "says"),
    [
        (lambda x: sg.while_loop(lambda s: s[0] < 3, lambda i, h: (i, h), (0, x)), "while_loop"),
        (lambda x: sg.scan(lambda c: c, x[0], x), "scan: lambda (c) is called with 2 arguments"),
        (lambda x: sg.cond(sg.any(x > 0), lambda a: a, lambda: x), "cond: lambda (a)"),
        (lambda x: sg.cond(sg.any(x > 0), lambda: x, lambda: x, x), "cond: lambda () "),
        (lambda x: sg.switch(0, [lambda a: a]), "switch: lambda (a) is called with no arguments"),
        (lambda x: sg.fori_loop(0, 3, lambda c: c, x), "fori_loop: lambda (c)"),
        (lambda x: sg.map(lambda a, b: a, x), "map: lambda (a, b)"),
        (lambda x: sg.cond(sg.any(x > 0), x, lambda: x), "where it needs a function"),
        (lambda x: sg.map(3, x), "where it needs a function"),
        (lambda x: sg.switch(0, lambda: x), "not a list"),
        (lambda x: sg.switch(0, []), "there are no branches"),
        (lambda x: sg.while_loop(lambda s: s < 1, lambda s: s, x[0], max_steps=2.5), "max_steps"),
        (lambda x: sg.scan(lambda c, _: (c, None), x, length=-1), "length is -1"),
        (lambda x: sg.scan(lambda c, e: None, x[0], x), "does not return a pair"),
    ],
)
def test_functions_and_counts_that_do_not_fit(declare, says):
    assert says in refused(ArgumentError, declare)


def test_bounds_of_a_loop_are_whole_numbers():
    text = refused(DTypeError, lambda x: sg.fori_loop(0, sg.sum(x), lambda i, c: c, x))
    assert "upper is float64[]" in text


def test_the_side_to_cast_is_named():
    text = refused(
        BranchTypeError, lambda x: sg.scan(lambda c, e: (c + e, None), np.array(0), x)[0]
    )
    assert 'cast what the first carry gives: x.astype("float64")' in text
    text = refused(
        BranchTypeError,
        lambda x: sg.cond(sg.any(x > 0), lambda: x[:1], lambda: x),
    )
    assert "broadcast what the true branch gives: broadcast_to(x, (3,))" in text


def endless(x):
    return sg.cond(sg.sum(x) > 0, lambda: endless(x - 1), lambda: x)


def countdown(x):
    return countdown(x - 1) * 2


@pytest.mark.parametrize("function", [endless, countdown])
def test_recursion_without_a_base_is_named(function):
    text = refused(NodeBudgetError, function)
    assert f"{function.__name__} called itself" in text
    assert "while_loop or scan" in text
    assert "test_control_errors.py" in text
    # the next trace is not disturbed
    assert sg.trace(lambda x: x + 1, X).outputs


def test_recursion_that_a_static_argument_ends_is_unrolled():
    def power(x, depth):
        return x if depth == 0 else power(x, depth - 1) * x

    assert sg.function(power, static_argnums=1)(np.array(2.0), 3) == 16.0


def test_a_value_of_a_body_may_not_leave_it():
    kept = []

    def body(c, e):
        kept.append(c * 2)
        return c + e, None

    def program(x):
        sg.scan(body, x[0], x)
        return x * kept[0]

    text = refused(LeakedNodeError, program)
    assert "kept.append(c * 2)" in text
    assert "return x * kept[0]" in text


@pytest.mark.parametrize("mode", ["static", "dynamic"])
@pytest.mark.parametrize(
    "declare",
    [
        lambda xp, x: xp.while_loop(lambda c: x.sum() > 0, lambda c: c * 0.5, x),
        lambda xp, x: xp.while_loop(lambda _: xp.asarray(True), lambda c: c * 0.5, x),
        lambda xp, x: xp.while_loop(lambda *_: x[0] > 0, lambda c: c - 1, x),
    ],
)
def test_a_condition_that_reads_no_carry_is_refused(mode, declare):
    with pytest.raises(ArgumentError) as caught:
        if mode == "static":
            sg.trace(lambda x: declare(sg, x), X)
        else:
            declare(dg, dg.tensor(X))
    assert "the condition reads no value of the carry" in caught.value.what
    assert any("xp.while_loop(lambda" in source.text for _, source in caught.value.related)


def test_a_condition_that_reads_the_carry_by_any_route():
    def first(carry):
        return (lambda: carry[0])() < 3  # from an inner function

    def second(*carries):
        return carries[0][0] < 3

    step = lambda c: (c[0] + 1, c[1] * 2)  # noqa: E731
    for condition in (first, second, lambda c: sg.switch(0, [lambda: c[0]]) < 3):
        run = sg.function(lambda x, f=condition: sg.while_loop(f, step, (x[0], x)))
        assert run(np.ones(2))[1].tolist() == [4, 4]
    for condition in (first, second, lambda c: c[0] < 3):
        assert dg.while_loop(condition, step, (1, dg.ones(2)))[1].tolist() == [4, 4]
