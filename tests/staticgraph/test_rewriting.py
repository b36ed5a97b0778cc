"""Fixes that are whole lines: each is pasted over the lines that it names, and must run and agree.

The programs are run by NumPy first, which says what they mean; staticgraph refuses them, and its
fix, pasted by rule, must give the same.
"""

import linecache
import math
import re
import textwrap

import numpy as np
import pytest

import staticgraph
from oplibrary.messages.errors import SideBySideError

POSITIVE, NEGATIVE, MIXED = np.array([1.0, 2.0, 0.5]), np.array([-1.0, -2.0]), np.array([1.0, -3.0])
MOST_FIXES = 3

PROGRAMS = {
    "return in both branches": """
        def f(x):
            if xp.sum(x) > 0:
                return x
            return x * 0
        """,
    "else": """
        def f(x):
            if x.sum() > 0:
                return xp.sqrt(xp.abs(x))
            else:
                return -x
        """,
    "a tuple": """
        def f(x):
            if x.sum() > 0:
                return x, x + 1
            return -x, x - 1
        """,
    "assignments": """
        def f(x):
            y = x * 2
            if x.sum() > 0 and x.max() < 1.5:
                y += 1
            else:
                y = y - 1
            return y
        """,
    "without else": """
        def f(x):
            y = x * 2
            if not (x.sum() > 0 or x.max() < 0):
                y = y * 3  # thrice
            return y
        """,
    "a float in a condition": """
        def f(x):
            if float(xp.sum(x)) > 0:
                return x * 2
            return x
        """,
    "a float in a choice": """
        def f(x):
            return x * 2 if 0.5 < float(xp.sum(x)) < 9 else x - 1
        """,
    "an int and a float": """
        def f(x):
            y = x + 1
            if int(xp.sum(x)) > 0 and float(xp.max(x)) < 3:
                y = x * 2
            return y
        """,
    "a float in a loop": """
        def f(x):
            x = xp.abs(x)
            while float(xp.sum(x)) < 100:
                x = x * 2
            return x
        """,
    "a number that is tested": """
        def f(x):
            if x.sum():
                return x
            return x + 1
        """,
    "conditional expression": """
        def f(x):
            return (x if 0 < x.sum() < 3 else -x) + 1
        """,
    "in a lambda": """
        f = lambda x: x if x.sum() > 0 else -x
        """,
    "and": """
        def f(x):
            return x.sum() > 0 and x.max() < 1 and x.min() < 1
        """,
    "or": """
        def f(x): return x.sum() > 3 or x.max() < 1
        """,
    "not": """
        def f(x):
            positive = not x.sum() > 0
            return positive
        """,
    "chained": """
        def f(x):
            return -1 < x.sum() <= 3.5
        """,
    "builtins": """
        def f(x):
            low = min(x[0], x[1], x.sum())
            high = max(x[0], x[1])
            return low - high
        """,
    "any": """
        def f(x):
            return any(x > 1)
        """,
    "membership": """
        def f(x):
            return 2.0 in x
        """,
    "no membership": """
        def f(x):
            return x.sum() not in [3.5, -3.0]
        """,
    "assert": """
        def f(x):
            assert x.sum() < 100, "too large"
            return x
        """,
    "while": """
        def f(x):
            while xp.sum(xp.abs(x)) > 0.1:
                x = x / 2
            return x
        """,
    "while with a counter of the graph": """
        def f(x):
            n = xp.sum(x)
            while n > 0:
                x = xp.tanh(x)
                n = n - 1
            return x
        """,
    "while with a number": """
        def f(x):
            rounds = 0
            while x.max() < 10 and rounds < 5:
                step = xp.abs(x) + 1
                x += step
                rounds += 1
            return x, rounds
        """,
    "while that swaps": """
        def f(x):
            a, b = x, x + 1
            while a.max() < 50:
                a, b = b, a + xp.abs(b)
            return b - a
        """,
    "names that are taken": """
        def f(x):
            step = 0.5
            while x.max() > 0.1:
                x = x * step
            return x
        """,
    "range": """
        def f(x):
            n = xp.sum(xp.abs(x)).astype("int64")
            for i in range(n):
                x = x + i
            return x
        """,
    "range from one to another": """
        def f(x):
            n = xp.sum(xp.abs(x)).astype("int64")
            y = x
            for _ in range(1, n):
                y, x = x * 0.5, y
            return y
        """,
    "math": """
        def f(x):
            return math.exp(x.sum()) + 1
        """,
    "int": """
        def f(x):
            return int(x.sum()) * 2
        """,
    "float": """
        def f(x):
            return float(x[0]) * 2
        """,
}


def run(program, x, xp):
    """Return what ``f(x)`` of `program` gives, with `xp` as its namespace."""
    name = f"<pasted {abs(hash(program))}>"
    linecache.cache[name] = (len(program), None, program.splitlines(True), name)
    names = {"np": np, "sg": staticgraph, "xp": xp, "math": math}
    exec(compile(program, name, "exec"), names)
    f = names["f"]
    return f(x) if xp is np else staticgraph.function(f, backend="numpy")(x)


def pasted(program, fix):
    """Return `program` with the code of `fix` in place of the lines that it names."""
    found = re.match(r"in place of lines? (\d+)(?: to (\d+))? write\n(( {9}.*\n|\n)+) {6}", fix)
    assert found, fix
    first, last = int(found[1]), int(found[2] or found[1])
    lines = program.split("\n")
    replaced = lines[first - 1]
    indent = " " * (len(replaced) - len(replaced.lstrip()))
    code = textwrap.indent(textwrap.dedent(found[3]), indent)
    return "\n".join([*lines[: first - 1], code.rstrip("\n"), *lines[last:]])


@pytest.mark.parametrize("name", PROGRAMS)
@pytest.mark.parametrize("x", [POSITIVE, NEGATIVE, MIXED], ids=["positive", "negative", "mixed"])
def test_pasted_fixes_run_and_agree(name, x):
    program = textwrap.dedent(PROGRAMS[name]).lstrip("\n")
    expected = run(program, x.copy(), np)
    fixes = 0
    while True:
        try:
            result = run(program, x, staticgraph)
            break
        except SideBySideError as error:
            program = pasted(program, error.fix)
            fixes += 1
    assert 0 < fixes <= MOST_FIXES
    for one, other in zip(
        expected if isinstance(expected, tuple) else (expected,),
        result if isinstance(result, tuple) else (result,),
        strict=True,
    ):
        np.testing.assert_allclose(np.asarray(other), np.asarray(one), rtol=1e-12)


UNCERTAIN = {
    "a value of the loop that is read after it": """
        def f(x):
            while x.sum() > 1:
                y = x / 2
                x = y * 0.5
            return y
        """,
    "an effect": """
        def f(x):
            ys = []
            while x.sum() > 1:
                x = x / 2
                ys.append(x)
            return ys
        """,
    "break": """
        def f(x):
            while x.sum() > 1:
                x = x / 2
                break
            return x
        """,
    "another dtype": """
        def f(x):
            n = x.astype("int64").sum()
            while n > 1:
                n = n / 2
            return n
        """,
    "a number that becomes an array": """
        def f(x):
            total = 0
            while x.sum() > 1:
                x = x / 2
                total = total + x
            return total
        """,
    "a condition that the body does not change": """
        def f(x):
            y = x
            while x.sum() > 1:
                y = y / 2
            return y
        """,
    "elif": """
        def f(x):
            if x.ndim > 3:
                return x
            elif x.sum() > 1:
                return -x
            return x
        """,
    "several statements": """
        def f(x):
            if x.sum() > 1:
                y = x * 2
                x = y + 1
            return x
        """,
    "two statements on one line": """
        def f(x):
            y = not x.sum() > 0; x = x * 2
            return x
        """,
}


@pytest.mark.parametrize("name", UNCERTAIN)
def test_words_where_no_lines_are_certain(name):
    program = textwrap.dedent(UNCERTAIN[name]).lstrip("\n")
    with pytest.raises(SideBySideError) as caught:
        run(program, POSITIVE, staticgraph)
    assert "in place of line" not in caught.value.fix
    assert not re.search(r"\b(body|new|old|a, b|f, g)\b", caught.value.fix)


def test_the_users_name_of_the_library_is_written():
    program = "import staticgraph as graphs\ndef f(x):\n    return not x.sum() > 0\n"
    name = "<pasted with another name>"
    linecache.cache[name] = (len(program), None, program.splitlines(True), name)
    names = {}
    exec(compile(program, name, "exec"), names)
    with pytest.raises(SideBySideError) as caught:
        staticgraph.trace(names["f"], POSITIVE)
    assert "return graphs.logical_not(x.sum() > 0)\n" in caught.value.fix
