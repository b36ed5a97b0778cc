"""Write the statement that asked for a plain value anew, with the graph's own functions.

What is returned is whole lines, which run when they stand in place of the user's; where the syntax
and the values at hand do not tell them for certain, there are none.
"""

from __future__ import annotations

import ast
import copy
import linecache
import sys
import textwrap
from collections.abc import Iterable, Sequence
from functools import reduce
from types import FrameType
from typing import Any, NamedTuple

import numpy as np

from oplibrary.messages.syntax import running_path, scope_of
from oplibrary.values.dtypes import FLOATING
from staticgraph.graph.declaration import Declaration

_BARE = (ast.Return, ast.Assign, ast.AnnAssign, ast.AugAssign, ast.Expr)
_STEPS = (ast.Assign, ast.AugAssign, ast.For, ast.Pass)


class Rewriting(NamedTuple):
    """Lines of a program, with what is written in their place.

    Attributes
    ----------
    first, last : int
        The lines that are replaced, counted from 1.
    code : str
    """

    first: int
    last: int
    code: str

    def __str__(self) -> str:
        lines = f"line {self.first}"
        if self.last > self.first:
            lines = f"lines {self.first} to {self.last}"
        return f"in place of {lines} write\n{textwrap.indent(self.code, ' ' * 9)}\n      "


def module_name(frame: FrameType) -> str:
    """Return the name that the user gave to staticgraph; ``sg`` where it is not known."""
    module = sys.modules.get("staticgraph")
    for names in (frame.f_locals, frame.f_globals):
        for name, value in list(names.items()):
            if value is module and name.isidentifier():
                return name
    return "sg"


def rewritten_truth(
    frame: FrameType, node: Declaration, number: ast.AST | None = None, code: str = ""
) -> Rewriting | None:
    """Return what to write in place of the statement that asks for the truth of `node`.

    With `number`, that part of a condition asks for a number; `code` is written in its place.
    """
    path = running_path(frame)
    at = next((i for i in reversed(range(len(path))) if isinstance(path[i], ast.stmt)), None)
    if at is None:
        return None
    if number is not None:
        memo: dict[int, Any] = {id(number): ast.parse(code, mode="eval").body}
        path = [copy.deepcopy(each, memo) for each in path]
    statement, sg = path[at], module_name(frame)
    if isinstance(statement, ast.While):
        return _while(statement, frame, node, sg)
    if isinstance(statement, ast.If):
        block = _block_of(statement, path[:at])
        return None if block is None else _if(statement, block, frame, node, sg)
    if isinstance(statement, ast.Assert):
        text = ast.unparse(statement.test)
        says = ast.Constant(text) if statement.msg is None else statement.msg
        test = _test(statement.test, path, node, sg)
        return _instead(frame, statement, f"{sg}.assert_({test}, {ast.unparse(says)})")
    chosen = [each for each in path[at + 1 :] if isinstance(each, ast.IfExp)]
    if chosen and (path[-1] is chosen[-1] or _holds(chosen[-1].test, path[-1])):
        asked = chosen[-1]
        test = _test(asked.test, path, node, sg)
        value = _choice(test, ast.unparse(asked.body), ast.unparse(asked.orelse), node, sg)
        return replaced(frame, asked, value)
    return None


def replaced(frame: FrameType, part: ast.AST, code: str) -> Rewriting | None:
    """Return the statement that `frame` runs, with `code` in place of an expression in it.

    staticgraph is called ``sg`` in `code`.
    """
    path = running_path(frame)
    statement = next((each for each in reversed(path) if isinstance(each, ast.stmt)), None)
    if not isinstance(statement, _BARE):
        return None
    new = ast.parse(code, mode="eval").body
    for each in ast.walk(new):
        if isinstance(each, ast.Name) and each.id == "sg":
            each.id = module_name(frame)
    return _instead(
        frame, statement, ast.unparse(_Replace(part, new).visit(copy.deepcopy(statement)))
    )


def decides(frame: FrameType, part: ast.AST) -> bool:
    """Tell whether an expression that `frame` evaluates belongs to a condition."""
    tests = [getattr(each, "test", None) for each in running_path(frame)]
    return any(test is not None and _holds(test, part) for test in tests)


def asking(frame: FrameType, construct: str) -> ast.expr | None:
    """Return the expression of the user's program that `construct` stands for."""
    for node in reversed(running_path(frame)):
        if isinstance(node, ast.stmt):
            return None
        call = construct.removesuffix("()")
        if isinstance(node, ast.Call) and ast.unparse(node.func) == call != construct:
            return node
        if isinstance(node, ast.BoolOp) and construct in ("and", "or"):
            return node
        if isinstance(node, ast.UnaryOp) and construct == "not":
            return node
        if isinstance(node, ast.Compare) and construct in ("chained comparison", "in"):
            return node
    return None


def combines_bools(part: ast.BoolOp) -> bool:
    """Tell whether ``and`` or ``or`` stands between comparisons, and not between other values."""
    return all(isinstance(each, (ast.Compare, ast.BoolOp)) for each in part.values)


def rewritten_words(frame: FrameType, part: ast.BoolOp) -> Rewriting | None:
    """Return the statement with ``and`` or ``or`` written for the graph.

    Between comparisons they are logical; ``x or y`` of values stands for a default.
    """
    if combines_bools(part):
        return replaced(frame, part, ast.unparse(_AsBool("sg").visit(copy.deepcopy(part))))
    if isinstance(part.op, ast.Or) and len(part.values) == 2:
        value, default = map(ast.unparse, part.values)
        if isinstance(part.values[0], ast.Name):
            return replaced(frame, part, f"{value} if {value} is not None else {default}")
    return None


def rewritten_range(frame: FrameType) -> Rewriting | None:
    """Return the loop over ``range`` that `frame` begins, declared with ``fori_loop``."""
    path = running_path(frame)
    loop = next((each for each in reversed(path) if isinstance(each, ast.stmt)), None)
    if not isinstance(loop, ast.For) or loop.orelse or not isinstance(loop.target, ast.Name):
        return None
    call = loop.iter
    if not (isinstance(call, ast.Call) and ast.unparse(call.func) == "range"):
        return None
    if call.keywords or len(call.args) > 2 or any(isinstance(a, ast.Starred) for a in call.args):
        return None
    carry = _carry(loop, frame, {loop.target.id})
    if not carry:
        return None
    bounds = ["0", *map(ast.unparse, call.args)][-2:]
    sg = module_name(frame)
    return _instead(
        frame,
        loop,
        "\n".join(
            [
                *_function(_free("step", frame), loop.target.id, carry, loop.body),
                f"{_joined(carry)} = {sg}.fori_loop({', '.join(bounds)}, {_free('step', frame)}, "
                f"{_packed(carry)})",
            ]
        ),
    )


# statements ---------------------------------------------------------------------------------------


def _while(loop: ast.While, frame: FrameType, node: Declaration, sg: str) -> Rewriting | None:
    if loop.orelse or node.type.shape:
        return None
    carry = _carry(loop, frame, set())
    if not carry or not carry.keys() & _names(loop.test):
        return None
    holds, step = _free("holds", frame), _free("step", frame)
    test = ast.parse(f"return {_test(loop.test, running_path(frame), node, sg)}").body
    return _instead(
        frame,
        loop,
        "\n".join(
            [
                *_function(holds, "", carry, test),
                *_function(step, "", carry, loop.body),
                f"{_joined(carry)} = {sg}.while_loop({holds}, {step}, {_packed(carry)})",
            ]
        ),
    )


def _function(
    name: str, counter: str, carry: Iterable[str], statements: Sequence[ast.stmt]
) -> list[str]:
    """Return the lines of a function of the carry that runs `statements`."""
    names = list(carry)
    first = [counter] if counter else []
    only = len(names) == 1
    lines = [f"def {name}({', '.join([*first, names[0] if only else 'carry'])}):"]
    if not only:
        lines.append(f"    {', '.join(names)} = carry")
    for statement in statements:
        lines += textwrap.indent(ast.unparse(_out_of_place(statement)), "    ").split("\n")
    if not isinstance(statements[-1], ast.Return):
        lines.append(f"    return {', '.join(names)}")
    return lines


def _if(
    statement: ast.If, block: list[ast.stmt], frame: FrameType, node: Declaration, sg: str
) -> Rewriting | None:
    test = _test(statement.test, running_path(frame), node, sg)
    other, last = statement.orelse, statement
    if not other and isinstance(statement.body[-1], ast.Return):
        other = block[block.index(statement) + 1 :][:1]
        last = other[-1] if other else statement  # type: ignore[assignment]
    if len(statement.body) != 1 or len(other) > 1:
        return None
    one, two = statement.body[0], other[0] if other else None
    if isinstance(one, ast.Return) and isinstance(two, ast.Return):
        if one.value is None or two.value is None:
            return None
        values = ast.unparse(one.value), ast.unparse(two.value)
        return _instead(frame, statement, f"return {_choice(test, *values, node, sg)}", last)
    target = _target(one)
    if target is None or (two is not None and _target(two) != target):
        return None
    if two is None and target not in frame.f_locals:
        return None
    kept = target if two is None else ast.unparse(_out_of_place(two).value)  # type: ignore[attr-defined]
    value = ast.unparse(_out_of_place(one).value)  # type: ignore[attr-defined]
    return _instead(frame, statement, f"{target} = {_choice(test, value, kept, node, sg)}", last)


def _choice(test: str, one: str, other: str, node: Declaration, sg: str) -> str:
    """Return the choice of a branch, or of each element where there are several truth values."""
    if node.type.shape:
        return f"{sg}.where({test}, {one}, {other})"
    return f"{sg}.cond({test}, lambda: {_parenthesized(one)}, lambda: {_parenthesized(other)})"


def _parenthesized(text: str) -> str:
    return f"({text})" if isinstance(ast.parse(text, mode="eval").body, ast.Tuple) else text


def _instead(
    frame: FrameType, statement: ast.stmt, code: str, last: ast.stmt | None = None
) -> Rewriting | None:
    """Return the lines that `statement` takes, and those up to `last`, written as `code`."""
    lines = linecache.getlines(frame.f_code.co_filename)
    end = statement if last is None else last
    stop = end.end_lineno or end.lineno
    if stop > len(lines):
        return None
    code = ast.unparse(ast.parse(code))
    before = lines[statement.lineno - 1].encode()[: statement.col_offset].decode().lstrip()
    after = lines[stop - 1].encode()[end.end_col_offset :].decode().strip()
    if (before and "\n" in code) or (after and not after.startswith("#")):
        return None
    return Rewriting(statement.lineno, stop, before + code)


def _block_of(statement: ast.stmt, path: Sequence[ast.AST]) -> list[ast.stmt] | None:
    """Return the statements around `statement`; None where it is an ``elif``."""
    parent = path[-1] if path else None
    for field in ("body", "orelse", "finalbody"):
        block = getattr(parent, field, None)
        if isinstance(block, list) and statement in block:
            is_elif = isinstance(parent, ast.If) and field == "orelse" and len(block) == 1
            same = statement.col_offset == getattr(parent, "col_offset", None)
            return None if is_elif and same else block
    return None


# what a loop carries ------------------------------------------------------------------------------


def _carry(
    loop: ast.While | ast.For, frame: FrameType, counters: set[str]
) -> dict[str, None] | None:
    """Return the names that go from round to round, in order; None where that is not certain."""
    nodes = [each for statement in loop.body for each in ast.walk(statement)]
    if not all(isinstance(each, _STEPS) for each in nodes if isinstance(each, ast.stmt)):
        return None
    if any(isinstance(each, ast.NamedExpr) for each in (*nodes, *ast.walk(loop))):
        return None
    assigned: dict[str, None] = {}
    for each in nodes:
        for target in _targets(each):
            if not all(isinstance(name, ast.Name) for name in _leaves(target)):
                return None
            assigned |= dict.fromkeys(ast.unparse(name) for name in _leaves(target))
    carry = {name: None for name in assigned if name in frame.f_locals}
    after = _read_after(loop, frame)
    if counters & assigned.keys() or (counters | (assigned.keys() - carry.keys())) & after:
        return None
    return carry if all(_is_stable(name, frame, nodes) for name in carry) else None


def _is_stable(name: str, frame: FrameType, nodes: Sequence[ast.AST]) -> bool:
    """Tell whether the value of `name` surely has one type in all rounds."""
    value = frame.f_locals[name]
    written = [
        each
        for each in nodes
        if isinstance(each, (ast.Assign, ast.AugAssign))
        and any(name in _names(target) for target in _targets(each))
    ]
    if isinstance(value, (Declaration, np.ndarray, np.generic)):
        dtype = value.type.dtype if isinstance(value, Declaration) else value.dtype
        divides = any(isinstance(each, ast.Div) for one in written for each in ast.walk(one))
        return dtype.kind in FLOATING or not divides
    if isinstance(value, int) and not isinstance(value, bool):
        return all(
            _names(each.value) <= {name}
            and all(
                type(part.value) is int
                for part in ast.walk(each.value)
                if isinstance(part, ast.Constant)
            )
            and not any(isinstance(part, (ast.Div, ast.Call)) for part in ast.walk(each))
            for each in written
        )
    return False


def _read_after(loop: ast.stmt, frame: FrameType) -> set[str]:
    scope = scope_of(frame.f_code)
    end = loop.end_lineno or loop.lineno
    return {
        each.id
        for each in (ast.walk(scope) if scope is not None else ())
        if isinstance(each, ast.Name) and isinstance(each.ctx, ast.Load) and each.lineno > end
    }


def _targets(node: ast.AST) -> list[ast.expr]:
    if isinstance(node, ast.Assign):
        return node.targets
    return [node.target] if isinstance(node, (ast.AugAssign, ast.For)) else []


def _leaves(target: ast.expr) -> list[ast.expr]:
    if isinstance(target, (ast.Tuple, ast.List)):
        return [leaf for each in target.elts for leaf in _leaves(each)]
    return [target]


def _target(statement: ast.stmt | None) -> str | None:
    """Return the one name that `statement` assigns."""
    targets = [] if statement is None else _targets(statement)
    if isinstance(statement, ast.For) or len(targets) != 1 or not isinstance(targets[0], ast.Name):
        return None
    return targets[0].id


def _out_of_place(statement: ast.stmt) -> ast.stmt:
    """Return `statement` with ``x += y`` as ``x = x + y``."""
    return _OutOfPlace().visit(copy.deepcopy(statement))  # type: ignore[no-any-return]


class _OutOfPlace(ast.NodeTransformer):
    def visit_AugAssign(self, node: ast.AugAssign) -> ast.Assign:
        assert isinstance(node.target, ast.Name)
        whole = ast.BinOp(ast.Name(node.target.id, ast.Load()), node.op, node.value)
        return ast.copy_location(ast.Assign([node.target], whole), node)


# expressions --------------------------------------------------------------------------------------


def _test(test: ast.expr, path: Sequence[ast.AST], node: Declaration, sg: str) -> str:
    """Return `test` as a bool of the graph."""
    if isinstance(test, (ast.BoolOp, ast.UnaryOp, ast.Compare)):
        return ast.unparse(_AsBool(sg).visit(copy.deepcopy(test)))
    text = ast.unparse(test)
    return text if node.type.dtype.kind == "b" else f"{text} != 0"


class _AsBool(ast.NodeTransformer):
    """What ``and``, ``or``, ``not`` and chains of comparisons are in the graph."""

    def __init__(self, module: str) -> None:
        self.module = module

    def visit_BoolOp(self, node: ast.BoolOp) -> ast.expr:
        name = "and" if isinstance(node.op, ast.And) else "or"
        values: list[ast.expr] = [self.visit(each) for each in node.values]
        return reduce(lambda a, b: self._call(f"logical_{name}", a, b), values)

    def visit_UnaryOp(self, node: ast.UnaryOp) -> ast.expr:
        if not isinstance(node.op, ast.Not):
            return node
        return self._call("logical_not", self.visit(node.operand))

    def visit_Compare(self, node: ast.Compare) -> ast.expr:
        if len(node.ops) == 1:
            return node
        operands = [node.left, *node.comparators]
        pairs: list[ast.expr] = [
            ast.Compare(left, [op], [right])
            for left, op, right in zip(operands, node.ops, operands[1:], strict=False)
        ]
        return reduce(lambda a, b: ast.BinOp(a, ast.BitAnd(), b), pairs)

    def visit_Lambda(self, node: ast.Lambda) -> ast.expr:
        return node

    def _call(self, name: str, *args: ast.expr) -> ast.expr:
        function = ast.Attribute(ast.Name(self.module, ast.Load()), name, ast.Load())
        return ast.Call(function, list(args), [])


class _Replace(ast.NodeTransformer):
    """Put one expression in the place of the part that stands where `part` does."""

    def __init__(self, part: ast.AST, new: ast.expr) -> None:
        self.place, self.new = _place(part), new

    def generic_visit(self, node: ast.AST) -> ast.AST:
        return self.new if _place(node) == self.place else super().generic_visit(node)


def _place(node: ast.AST) -> tuple[object, ...]:
    ends = ("lineno", "col_offset", "end_lineno", "end_col_offset")
    return (type(node), *(getattr(node, each, None) for each in ends))


def _holds(outer: ast.AST, inner: ast.AST) -> bool:
    return any(each is inner for each in ast.walk(outer))


# names --------------------------------------------------------------------------------------------


def _names(node: ast.AST) -> set[str]:
    return {each.id for each in ast.walk(node) if isinstance(each, ast.Name)}


def _free(name: str, frame: FrameType) -> str:
    """Return `name`, or one like it that means nothing to the user yet."""
    while name in frame.f_locals or name in frame.f_globals:
        name += "_"
    return name


def _joined(names: Iterable[str]) -> str:
    return ", ".join(names)


def _packed(names: Iterable[str]) -> str:
    found = list(names)
    return found[0] if len(found) == 1 else f"({', '.join(found)})"
