"""The user's own expression behind a request: what was asked, by which construct, in which loop.

Python calls ``__bool__`` without saying why. The position of the running instruction says it: it
leads to the place in the source, and the syntax tree to the construct around it.
"""

from __future__ import annotations

import ast
import dis
import sys
from functools import reduce
from types import FrameType
from typing import NamedTuple

from oplibrary.messages.source import Source, is_ours
from oplibrary.messages.syntax import COMPREHENSIONS, enclosing_loop, running_path


class UserExpression(NamedTuple):
    """A piece of the user's program that asked a static value for a plain one.

    Attributes
    ----------
    text : str
        The expression that was tested or converted, such as ``x > 0``.
    construct : str
        What asked: ``"if"``, ``"while"``, ``"and"``, ``"min()"``, ..., or ``""`` if unknown.
    rewrite : str
        The expression to write instead, where one can be told from the syntax alone.
    """

    text: str
    construct: str
    rewrite: str = ""


def expression_at(frame: FrameType) -> UserExpression | None:
    """Return the expression that `frame` is evaluating, or None where the source is not at hand."""
    path = running_path(frame)
    if not path:
        return None
    node = path[-1]
    if isinstance(node, (ast.If, ast.While, ast.Assert)):
        return _tested(node.test, _CONSTRUCTS[type(node)])
    if isinstance(node, ast.pattern):
        return _guarded(node, path) or _matched(node, path)
    if not isinstance(node, ast.expr):
        return None
    if len(path) > 1 and isinstance(path[-2], ast.MatchValue):
        return _matched(path[-2], path)
    parent = path[-2] if len(path) > 1 else None
    if isinstance(node, (ast.Call, ast.Subscript)) and _is_test(frame):
        return _by_parent(node, parent)
    return _by_itself(node) or _by_parent(node, parent)


def _is_test(frame: FrameType) -> bool:
    """Tell whether `frame` tests a value: from Python 3.12 on a test has the place of its value."""
    name = dis.opname[frame.f_code.co_code[frame.f_lasti]]
    return name.startswith(("POP_JUMP_IF", "TO_BOOL"))


def _guarded(pattern: ast.pattern, path: list[ast.AST]) -> UserExpression | None:
    """Return the guard behind `pattern`: Python gives the pattern's position for its test."""
    for node in path:
        for case in getattr(node, "cases", ()):
            if case.guard is not None and pattern in ast.walk(case.pattern):
                return _tested(case.guard, "match guard")
    return None


def _matched(pattern: ast.pattern, path: list[ast.AST]) -> UserExpression | None:
    """Return the comparison of what is matched with the value that `pattern` is."""
    matches = [node for node in path if isinstance(node, ast.Match)]
    if not matches or not isinstance(pattern, ast.MatchValue):
        return None
    text = f"{ast.unparse(matches[-1].subject)} == {ast.unparse(pattern.value)}"
    return UserExpression(text, "match")


_CONSTRUCTS: dict[type, str] = {
    ast.If: "if",
    ast.While: "while",
    ast.Assert: "assert",
    ast.IfExp: "conditional expression",
    ast.Match: "match guard",
}
# our function in place of a builtin, by its name and whether it got several arguments
_BUILTINS = {
    ("min", True): "minimum",
    ("min", False): "min",
    ("max", True): "maximum",
    ("max", False): "max",
    ("any", False): "any",
    ("all", False): "all",
    ("sorted", False): "sort",
}
_COPIES = ("list", "tuple", "iter")
TESTING = ("filter", "takewhile", "dropwhile", "filterfalse")
"""What tests each element by its first argument, when the elements are asked for."""


def _by_itself(node: ast.expr) -> UserExpression | None:
    """Return the expression where `node` itself is what asks."""
    if isinstance(node, ast.IfExp):
        rewrite = ", ".join(map(ast.unparse, (node.test, node.body, node.orelse)))
        return UserExpression(
            ast.unparse(node.test), "conditional expression", f"sg.where({rewrite})"
        )
    if isinstance(node, ast.BoolOp):
        word = "and" if isinstance(node.op, ast.And) else "or"
        operands = map(ast.unparse, node.values)
        rewrite = reduce(lambda left, right: f"sg.logical_{word}({left}, {right})", operands)
        return UserExpression(ast.unparse(node.values[0]), word, rewrite)
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        operand = ast.unparse(node.operand)
        return UserExpression(operand, "not", f"sg.logical_not({operand})")
    if isinstance(node, ast.Compare):
        return _comparison(node)
    if isinstance(node, ast.Call):
        return _called(node)
    if isinstance(node, ast.Subscript):
        return UserExpression(ast.unparse(node.slice), "index")
    if isinstance(node, COMPREHENSIONS):
        tests = [test for generator in node.generators for test in generator.ifs]
        if tests:
            return UserExpression(ast.unparse(tests[0]), "if in a comprehension")
        sources = [each.iter for each in node.generators if isinstance(each.iter, ast.Call)]
        return next((_called(each) for each in sources if _tests_elements(each)), None)
    return None


def _called(node: ast.Call) -> UserExpression:
    """Return what a builtin, or another function written in C, asked."""
    inner = next((each for each in (node, *node.args) if _tests_elements(each)), None)
    if inner is not None:
        assert isinstance(inner, ast.Call)
        return UserExpression(_test_of(*inner.args[:2]), f"{ast.unparse(inner.func)}()")
    text = ", ".join(map(ast.unparse, node.args))
    name = ast.unparse(node.func)
    return UserExpression(text, f"{name}()", "" if node.keywords else _ours(name, node.args))


def _tests_elements(node: ast.expr) -> bool:
    if not isinstance(node, ast.Call) or len(node.args) != 2:
        return False
    return ast.unparse(node.func).rpartition(".")[2] in TESTING


def _test_of(test: ast.expr, elements: ast.expr) -> str:
    if isinstance(test, ast.Lambda):
        return ast.unparse(test.body)
    tested = ast.unparse(elements)
    is_none = isinstance(test, ast.Constant) and test.value is None
    return tested if is_none else f"{ast.unparse(test)}({tested})"


def _ours(name: str, args: list[ast.expr]) -> str:
    """Return our function in place of a builtin's call; "" where there is none.

    It has the same name, often, and is therefore written with that of the module.
    """
    ours = _BUILTINS.get((name, len(args) > 1))
    if ours is None or not args or any(isinstance(each, ast.Starred) for each in args):
        return ""
    if len(args) > 1:
        texts = map(ast.unparse, args)
        return reduce(lambda left, right: f"sg.{ours}({left}, {right})", texts)
    only = args[0]
    while isinstance(only, ast.Call) and ast.unparse(only.func) in _COPIES and len(only.args) == 1:
        only = only.args[0]
    if isinstance(only, COMPREHENSIONS):
        return ""
    text = ast.unparse(only)
    if isinstance(only, (ast.List, ast.Tuple)):
        if any(isinstance(each, (ast.Starred, ast.Constant)) for each in only.elts):
            return ""
        text = f"sg.stack({text})"
    return f"sg.{ours}({text})"


def _comparison(node: ast.Compare) -> UserExpression | None:
    if isinstance(node.ops[0], (ast.In, ast.NotIn)):
        item, container = ast.unparse(node.left), node.comparators[0]
        if isinstance(container, (ast.List, ast.Tuple, ast.Set)):
            rewrite = " | ".join(f"({item} == {ast.unparse(each)})" for each in container.elts)
        else:
            rewrite = f"sg.any({ast.unparse(container)} == {item})"
        if isinstance(node.ops[0], ast.NotIn):
            rewrite = f"sg.logical_not({rewrite})"
        return UserExpression(ast.unparse(node), "in", rewrite)
    if len(node.ops) == 1:
        return None
    operands = [node.left, *node.comparators]
    pairs = [
        ast.unparse(ast.Compare(left, [op], [right]))
        for left, op, right in zip(operands, node.ops, operands[1:], strict=False)
    ]
    rewrite = " & ".join(f"({pair})" for pair in pairs)
    return UserExpression(ast.unparse(node), "chained comparison", rewrite)


def _by_parent(node: ast.expr, parent: ast.AST | None) -> UserExpression:
    """Return the expression where the construct around `node` is what asks."""
    if isinstance(parent, ast.BoolOp):
        whole = _by_itself(parent)
        assert whole is not None
        return whole._replace(text=ast.unparse(node))
    if isinstance(parent, (ast.IfExp, ast.UnaryOp)):
        return _by_itself(parent) or _tested(node, "")
    if isinstance(parent, COMPREHENSIONS):
        return _tested(node, "if in a comprehension")
    return _tested(node, "" if parent is None else _CONSTRUCTS.get(type(parent), ""))


def _tested(node: ast.expr, construct: str) -> UserExpression:
    inner = _by_itself(node)
    if inner is not None and inner.construct in ("and", "or", "not", "chained comparison"):
        return inner
    return UserExpression(ast.unparse(node), construct)


def running_loop() -> Source | None:
    """Return the innermost loop of the user's that runs now, in what is traced; or None."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        code = frame.f_code
        if not is_ours(code):
            line = enclosing_loop(code.co_filename, frame.f_lineno)
            if line is not None and line >= code.co_firstlineno:
                return Source(code.co_filename, line, code.co_name)
        elif code.co_name == "run_trace":  # what called the trace is no part of it
            return None
        frame = frame.f_back
    return None
