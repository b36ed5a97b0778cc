"""Every fix that a message prints as code is pasted into a program that fails, which then runs.

What covers what is not declared but seen: while the failing programs run, the lines of the library
that give a message its ``fix=`` are recorded.
"""

import ast
import linecache
import re
import sys
import warnings
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from tests.printed_fixes import PRINTED, UNCOVERED
from tests.printed_fixes_of_imports import OF_IMPORTS

import dyngraph as dg
import sidebyside as sbs
import staticgraph as sg
from oplibrary.messages.message import Message

SOURCE = Path(__file__).parent.parent / "src"
CODE = re.compile(r"\w\(|`|\b\w+=\S|\b\w+ = \w")
"""What tells code in a fix: a call, backquotes, an argument by name, an assignment."""

READERS = {
    "onnx": ("staticgraph/importing/onnx_models/", "staticgraph/exporting/"),
    "torch": ("staticgraph/importing/pytorch/", "staticgraph/importing/shared/"),
    "jax": ("staticgraph/importing/jaxprs/",),
    "tensorflow": ("staticgraph/importing/graphdefs/",),
}
"""Where the fixes are that programs of a library print; they go unseen where it is missing."""

MISSING = [library for library in READERS if find_spec(library) is None]
CASES = [case for case in (*PRINTED, *OF_IMPORTS) if case.needs not in MISSING]


def literal(node):
    """Return the text that is written in an expression, without what is put into it."""
    if isinstance(node, ast.FormattedValue):
        return ""
    if isinstance(node, ast.Constant):
        return node.value if isinstance(node.value, str) else ""
    return "".join(literal(each) for each in ast.iter_child_nodes(node))


@cache
def sites():
    """Return the calls that give a fix with code, by file: first line, last line, the fix."""
    found = {}
    for path in sorted(SOURCE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call):
                for keyword in node.keywords:
                    if keyword.arg == "fix" and CODE.search(literal(keyword.value)):
                        site = (node.lineno, node.end_lineno, ast.unparse(keyword.value))
                        found.setdefault(str(path), set()).add(site)
    return found


@pytest.fixture(autouse=True, scope="module")
def _record_sites():
    """Note at each message, for the time of these tests, the sites that it comes from."""
    original = Message.__init__
    known = {}

    def recorded(self, *arguments, **options):
        self.sites = set()
        frame = sys._getframe(1)
        while frame is not None:
            for first, last, fix in sites().get(frame.f_code.co_filename, ()):
                if first <= frame.f_lineno <= last:
                    self.sites.add((name_of(frame.f_code.co_filename), fix))
            frame = frame.f_back
        original(self, *arguments, **options)
        # a copy, kept since NumPy replaces some errors by its own, comes from where the first did
        self.sites = known.setdefault(self.fix, set()) | self.sites
        known[self.fix] = self.sites

    # counts as a line of the library, not as the user's
    recorded.__code__ = recorded.__code__.replace(co_filename=original.__code__.co_filename)
    Message.__init__ = recorded
    yield
    Message.__init__ = original


def name_of(file):
    return str(Path(file).relative_to(SOURCE))


def run(program):
    """Return the names after a program, and the error or first warning that it ended with."""
    names = {"np": np, "dg": dg, "sg": sg, "sbs": sbs}
    lines = program.splitlines(keepends=True)  # where messages look for the statement that failed
    linecache.cache["program.py"] = (len(program), None, lines, "program.py")
    with warnings.catch_warnings(record=True) as given, np.errstate(all="ignore"):
        warnings.simplefilter("always")
        try:
            exec(compile(program, "program.py", "exec"), names)
        except Message as error:
            return names, error
    messages = [each.message for each in given if isinstance(each.message, Message)]
    return names, messages[0] if messages else None


@pytest.mark.parametrize("case", CASES, ids=lambda case: re.sub(r"\W+", " ", case.pasted).strip())
def test_what_is_pasted_runs_and_is_right(case):
    _, message = run(case.program.replace("{}", case.broken))
    assert message is not None
    assert case.pasted in message.fix
    names, message = run(case.program.replace("{}", case.more.replace("{}", case.pasted)))
    assert message is None
    assert eval(case.result, names)


def test_every_fix_with_code_was_printed():
    hit = set()
    for case in CASES:
        _, message = run(case.program.replace("{}", case.broken))
        hit |= message.sites
    every = {(name_of(file), fix) for file, found in sites().items() for _, _, fix in found}
    for library in MISSING:
        every = {each for each in every if not each[0].startswith(READERS[library])}
    missed = every - hit
    assert missed == set(UNCOVERED), "\n".join(map(str, sorted(missed ^ set(UNCOVERED))))
