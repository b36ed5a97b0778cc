"""What led to a value, read from the user's own source when an error has to tell.

Operations do not remember their lines: that would make each of them slower. Where ``backward()``
fails, the line that failed is known, and the source around it says where the names on it came from.
Whatever is found here is what the program says, not what was recorded; a message uses it to point,
never to decide.
"""

from __future__ import annotations

import ast
import linecache
from collections.abc import Iterator, Mapping
from functools import lru_cache
from types import CodeType, FrameType, FunctionType, ModuleType
from typing import Any, NamedTuple

import numpy as np

from common.op import Op
from common.operators import BINARY_OPERATORS, UNARY_OPERATORS
from common.source import Place, Source, is_users, source_of
from dyngraph.cut import Cut
from dyngraph.tensor import Tensor

_Scope = ast.Module | ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda
_SCOPES = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)
_MOST_STEPS = 200


class Found(NamedTuple):
    """A piece of the program that matters.

    Attributes
    ----------
    reason : str
        Such as ``"detach()"``.
    source : Source
    """

    reason: str
    source: Source


# the source ---------------------------------------------------------------------------------------


@lru_cache(maxsize=32)
def _parse(lines: tuple[str, ...]) -> ast.Module | None:
    try:
        return ast.parse("".join(lines))
    except (SyntaxError, ValueError):
        return None


def _scope_of(code: CodeType) -> _Scope | None:
    """Return the piece of the source that `code` was compiled from."""
    tree = _parse(tuple(linecache.getlines(code.co_filename)))
    if tree is None or code.co_name == "<module>":
        return tree
    for node in ast.walk(tree):
        if isinstance(node, _SCOPES):
            first = min(
                [node.lineno, *(each.lineno for each in getattr(node, "decorator_list", ()))]
            )
            if first == code.co_firstlineno and getattr(node, "name", "<lambda>") == code.co_name:
                return node
    return None


def _own(scope: ast.AST) -> Iterator[ast.AST]:
    """Yield what `scope` runs itself: functions defined inside are left out."""
    for child in ast.iter_child_nodes(scope):
        yield child
        if not isinstance(child, (*_SCOPES, ast.ClassDef)):
            yield from _own(child)


def _node_at(scope: _Scope, place: Source) -> ast.AST | None:
    """Return the node that stands exactly where `place` does."""
    wanted = (place.line, place.column, place.end_line, place.end_column)
    for node in _own(scope):
        found = [getattr(node, name, None) for name in ("lineno", "col_offset", "end_lineno")]
        if (*found, getattr(node, "end_col_offset", None)) == wanted:
            return node
    return None


def _place_of(node: Any, code: CodeType) -> Source:
    return Source(
        code.co_filename,
        node.lineno,
        code.co_name,
        node.col_offset,
        node.end_col_offset,
        node.end_lineno,
    )


class _Assignment(NamedTuple):
    names: tuple[str, ...]
    value: ast.expr
    statement: ast.stmt


def _assignments(scope: _Scope) -> list[_Assignment]:
    """Return the assignments that `scope` makes, in the order of their lines."""
    found = []
    for node in _own(scope):
        if isinstance(node, ast.Assign):
            targets, value = node.targets, node.value
        elif (isinstance(node, ast.AnnAssign) and node.value is not None) or isinstance(node, ast.AugAssign):
            targets, value = [node.target], node.value
        else:
            continue
        names = [n.id for target in targets for n in ast.walk(target) if isinstance(n, ast.Name)]
        found.append(_Assignment(tuple(names), value, node))
    return sorted(found, key=lambda each: each.statement.lineno)


def _assigned_before(scope: _Scope, name: str, line: int) -> _Assignment | None:
    """Return the last assignment to `name` above `line`."""
    above = [a for a in _assignments(scope) if name in a.names and a.statement.lineno < line]
    return above[-1] if above else None


def _names(node: ast.AST) -> list[str]:
    return [each.id for each in ast.walk(node) if isinstance(each, ast.Name)]


def _asked(frame: FrameType) -> tuple[_Scope, ast.AST, Source] | None:
    """Return the scope that `frame` runs, and the expression that it is evaluating."""
    place = source_of((frame.f_code, frame.f_lasti))
    scope = _scope_of(frame.f_code)
    node = None if scope is None or place is None else _node_at(scope, place)
    return None if scope is None or node is None or place is None else (scope, node, place)


def _subject(node: ast.AST) -> ast.expr | None:
    """Return what a call or an attribute is asked of: ``x`` in ``x.grad`` and ``grad(x, w)``."""
    if isinstance(node, ast.Call):
        if isinstance(node.func, ast.Attribute) and node.func.attr == "backward" and not node.args:
            return node.func.value
        if node.args:
            first = node.args[0]
            return (
                first.elts[0] if isinstance(first, (ast.List, ast.Tuple)) and first.elts else first
            )
        return node.func.value if isinstance(node.func, ast.Attribute) else None
    return node.value if isinstance(node, ast.Attribute) else None


# where a tensor that is not a leaf was made -------------------------------------------------------


class Made(NamedTuple):
    """Where a value was computed.

    Attributes
    ----------
    name : str
        The variable that holds it.
    source : Source
        Of the expression that it was assigned.
    leaf : str
        The call in that expression which was given ``requires_grad=True``, or nothing.
    """

    name: str
    source: Source
    leaf: str


def where_made(frame: FrameType | None) -> Made | None:
    """Return where the tensor was made whose attribute `frame` is reading, or None."""
    asked = _asked(frame) if frame is not None else None
    if frame is None or asked is None:
        return None
    scope, node, place = asked
    subject = _subject(node)
    if not isinstance(subject, ast.Name):
        return None
    assignment = _assigned_before(scope, subject.id, place.line)
    if assignment is None:
        return None
    inner = [each for each in ast.walk(assignment.value) if _asks_for_gradient(each)]
    leaf = ast.unparse(inner[0]) if inner and inner[0] is not assignment.value else ""
    return Made(subject.id, _place_of(assignment.value, frame.f_code), leaf)


def _asks_for_gradient(node: ast.AST) -> bool:
    return isinstance(node, ast.Call) and any(
        keyword.arg == "requires_grad"
        and isinstance(keyword.value, ast.Constant)
        and keyword.value.value is True
        for keyword in node.keywords
    )


# where an operation ran ---------------------------------------------------------------------------

_SYMBOLS: dict[type, str] = {
    ast.Add: "__add__",
    ast.Sub: "__sub__",
    ast.Mult: "__mul__",
    ast.Div: "__truediv__",
    ast.FloorDiv: "__floordiv__",
    ast.Mod: "__mod__",
    ast.MatMult: "__matmul__",
    ast.USub: "__neg__",
}


def _runs(node: ast.AST, op: Op) -> bool:
    """Tell whether `node` is a use of `op`."""
    if isinstance(node, ast.Call):
        called = node.func
        name = called.attr if isinstance(called, ast.Attribute) else getattr(called, "id", "")
        return name in (op.name, *op.alias)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Pow):
        return op.name in ("pow", "square")
    if isinstance(node, (ast.BinOp, ast.UnaryOp)):
        method = _SYMBOLS.get(type(node.op), "")
        return op.name in (BINARY_OPERATORS.get(method), UNARY_OPERATORS.get(method))
    return False


def _base(node: ast.AST | None) -> str:
    """Return the name of what an in-place change writes to: ``x`` in ``x[0] += 1``."""
    while node is not None:
        if isinstance(node, ast.Name):
            return node.id
        if isinstance(node, ast.AugAssign):
            node = node.target
        elif isinstance(node, ast.Call):
            node = node.func
        else:
            node = getattr(node, "value", None)
    return ""


def where_saved(op: Op, changed: Place | None) -> list[Source]:
    """Return where `op` probably ran and saved what was overwritten at `changed`, in few lines."""
    if changed is None:
        return []
    code, overwritten = changed[0], source_of(changed)
    scope = _scope_of(code)
    if scope is None or overwritten is None:
        return []
    uses = [node for node in _own(scope) if _runs(node, op)]
    target = _base(_node_at(scope, overwritten))
    if target:  # the operation read or made what was overwritten
        values = [each.value for each in _assignments(scope) if target in each.names]
        made = {node for value in values for node in ast.walk(value)}
        uses = [node for node in uses if target in _names(node) or node in made] or uses
    lines = {place.line: place for place in (_place_of(node, code) for node in uses)}
    lines.pop(overwritten.line, None)
    before = [line for line in sorted(lines) if line < overwritten.line]
    return [lines[line] for line in (before or sorted(lines))[-3:]]


# where a graph was cut ----------------------------------------------------------------------------

_CUTTERS = frozenset({"detach", "detach_", "numpy", "item", "tolist", "float"})
_MAKERS = frozenset({"tensor", "as_tensor", "asarray", "from_numpy", "array"})
_INTEGERS = frozenset({"argmax", "argmin", "argsort", "long", "int", "nonzero", "searchsorted"})
_OFF = frozenset({"no_grad", "inference_mode"})


def where_cut(frame: FrameType | None, through: bool = False) -> Found | None:
    """Return the first cut on the way back from what `frame` asks a gradient of, or None.

    Parameters
    ----------
    frame : frame or None
        Of the user's line.
    through : bool
        Whether to look behind tensors that require a gradient, too: for an input that the result
        does not reach.
    """
    asked = _asked(frame) if frame is not None else None
    subject = _subject(asked[1]) if asked is not None else None
    if frame is None or asked is None or subject is None:
        return None
    values = {**frame.f_globals, **frame.f_locals}
    context = _Context(frame.f_code, asked[0], values, asked[2].line)
    return _Walk(through).expression(subject, subject, (), context)


class _Context(NamedTuple):
    """Where an expression stands: what its names mean and which assignments lie before it."""

    code: CodeType
    scope: _Scope
    values: Mapping[str, Any]
    line: int


class _Walk:
    """One way back through assignments and calls."""

    def __init__(self, through: bool) -> None:
        self._through = through
        self._steps = 0
        self._seen: set[Any] = set()

    def expression(
        self, value: ast.expr, statement: ast.AST, rebound: tuple[str, ...], context: _Context
    ) -> Found | None:
        """Return the first cut in `value`, or in what its names were assigned before.

        `rebound` are the names that `statement` assigns: what they meant in `value` is gone.
        """
        self._steps += 1
        if self._steps > _MOST_STEPS:
            return None
        nodes = [value, *_own(value)]
        off = _switched_off(context, statement)
        if off is not None and any(isinstance(node, (ast.Call, ast.BinOp)) for node in nodes):
            return off
        masks = _masks(nodes)
        for node in nodes:
            reason = "" if node in masks else _cut_by(node)
            if reason and _carries(node, rebound, context, strict=_is_maker(node)):
                return Found(reason, _place_of(node, context.code))
        for node in nodes:
            found = None
            if isinstance(node, ast.Name):
                found = self._name(node.id, context)
            elif isinstance(node, ast.Call):
                found = self._call(node, context)
            if found is not None:
                return found
        return None

    def _name(self, name: str, context: _Context) -> Found | None:
        tensor = context.values.get(name)
        if isinstance(tensor, Tensor):
            if tensor.requires_grad and not self._through:
                return None
            cut: Cut | None = getattr(tensor, "_cut", None)
            if cut is not None and cut.source is not None:
                return Found(cut.reason, cut.source)
        assignment = _assigned_before(context.scope, name, context.line)
        if assignment is None or (context.code, assignment.statement.lineno) in self._seen:
            return None
        names, value, statement = assignment
        self._seen.add((context.code, statement.lineno))
        before = context._replace(line=statement.lineno)
        return self.expression(value, statement, names, before)

    def _call(self, call: ast.Call, context: _Context) -> Found | None:
        """Go into a function of the user's, through what it returns."""
        if not isinstance(call.func, ast.Name):
            return None
        function = context.values.get(call.func.id)
        function = getattr(function, "__wrapped__", function)
        if not isinstance(function, FunctionType) or not is_users(function.__code__):
            return None
        code = function.__code__
        scope = _scope_of(code)
        if scope is None or code in self._seen:
            return None
        self._seen.add(code)
        inner = _Context(code, scope, _outer_values(function), 0)
        if isinstance(scope, ast.Lambda):
            line = scope.lineno + 1
            return self.expression(scope.body, scope.body, (), inner._replace(line=line))
        for decorator in getattr(scope, "decorator_list", ()):
            if not _OFF.isdisjoint(_called(decorator)):
                return Found(f"{_called(decorator)[-1]}()", _place_of(decorator, code))
        for node in _own(scope):
            if isinstance(node, ast.Return) and node.value is not None:
                at = inner._replace(line=node.lineno)
                found = self.expression(node.value, node, (), at)
                if found is not None:
                    return found
        return None


def _outer_values(function: FunctionType) -> dict[str, Any]:
    """Return what the names mean that `function` reads from outside."""
    code = function.__code__
    names = function.__globals__
    values = {name: names[name] for name in code.co_names if name in names}
    for name, cell in zip(code.co_freevars, function.__closure__ or (), strict=True):
        try:
            values[name] = cell.cell_contents
        except ValueError:  # not assigned yet
            continue
    return values


def _masks(nodes: list[ast.AST]) -> set[ast.AST]:
    """Return the comparisons that only choose: factors, and conditions of ``where``."""
    choosers = [
        node
        for node in nodes
        if isinstance(node, ast.BinOp)
        or (isinstance(node, ast.Call) and _called(node)[-1:] == ["where"])
    ]
    return {
        inner for node in choosers for inner in ast.walk(node) if isinstance(inner, ast.Compare)
    }


def _carries(node: ast.AST, rebound: tuple[str, ...], context: _Context, strict: bool) -> bool:
    """Tell whether a gradient may have come as far as `node`, by what its names mean now.

    With `strict` it must be known: data that tensors are made of has no gradient.
    """
    known = [context.values.get(name) for name in _names(node) if name not in rebound]
    if any(isinstance(value, Tensor) and value.requires_grad for value in known):
        return True
    if strict:
        return False
    without = (Tensor, np.ndarray, np.generic, int, float, ModuleType, type)
    return len(known) < len(_names(node)) or not all(isinstance(v, without) for v in known)


def _is_maker(node: ast.AST) -> bool:
    return isinstance(node, ast.Call) and _called(node)[-1:] in ([n] for n in (*_MAKERS, "float"))


def _called(node: ast.AST) -> list[str]:
    """Return the names in ``torch.no_grad()``, without its arguments."""
    if isinstance(node, ast.Call):
        node = node.func
    if isinstance(node, ast.Attribute):
        return [*_called(node.value), node.attr]
    return [node.id] if isinstance(node, ast.Name) else []


def _cut_by(node: ast.AST) -> str:
    """Return what `node` does to a graph, or nothing."""
    if isinstance(node, ast.Compare):
        return "a comparison, which has no gradient"
    if isinstance(node, ast.Attribute) and node.attr == "data":
        return ".data"
    if not isinstance(node, ast.Call):
        return ""
    name = node.func.attr if isinstance(node.func, ast.Attribute) else _called(node)[-1:]
    name = name if isinstance(name, str) else "".join(name)
    if name in _CUTTERS:
        return f"{name}()"
    if name in _INTEGERS:
        return f"{name}(), which gives integers"
    if name in _MAKERS and node.args:
        return f"{name}(), which starts a new graph"
    if name == "astype" and node.args and "int" in ast.unparse(node.args[0]):
        return "astype() to integers"
    return ""


def _switched_off(context: _Context, statement: ast.AST) -> Found | None:
    """Return the ``with no_grad()`` block that holds `statement`, or None."""
    for node in _own(context.scope):
        if not isinstance(node, ast.With) or statement not in ast.walk(node):
            continue
        for item in node.items:
            names = _called(item.context_expr)
            off = not _OFF.isdisjoint(names)
            if "set_grad_enabled" in names:
                off = ast.unparse(item.context_expr).endswith("(False)")
            if off:
                return Found(f"{names[-1]}()", _place_of(item.context_expr, context.code))
    return None
