"""What led to a value, read from the user's own source when an error has to tell.

Operations do not remember their lines: that would make each of them slower. Where ``backward()``
fails, the line that failed is known, and the source around it says where the names on it came from.
Whatever is found here is what the program says, not what was recorded; a message uses it to point,
never to decide.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping
from types import CodeType, FrameType, FunctionType, ModuleType
from typing import Any, NamedTuple

import numpy as np

from dyngraph.tape.detachment import Detachment
from dyngraph.tensors.tensor import Tensor
from oplibrary.core.op import Op
from oplibrary.executors.operators import BINARY_OPERATORS, UNARY_OPERATORS
from oplibrary.messages.source import Place, Source, is_users, source_of
from oplibrary.messages.syntax import (
    Scope,
    asked_by,
    assigned_before,
    assignments,
    called_names,
    names_in,
    node_at,
    own_nodes,
    place_of,
    scope_of,
    subject_of,
)

_MOST_STEPS = 200


class Found(NamedTuple):
    """A place where a value left its graph.

    Attributes
    ----------
    reason : str
        What did it, such as ``"detach()"``.
    cause, fix : str
        Why no gradient comes through, and what to write instead.
    source : Source
    """

    reason: str
    cause: str
    fix: str
    source: Source


def values_in(frame: FrameType) -> dict[str, Any]:
    """Return what the names in `frame` mean."""
    return {**frame.f_globals, **frame.f_locals}


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
    asked = asked_by(frame) if frame is not None else None
    if frame is None or asked is None:
        return None
    scope, node, place = asked
    subject = subject_of(node, values_in(frame))
    if not isinstance(subject, ast.Name):
        return None
    assignment = assigned_before(scope, subject.id, place.line)
    if assignment is None:
        return None
    inner = [each for each in ast.walk(assignment.value) if _asks_for_gradient(each)]
    leaf = ast.unparse(inner[0]) if inner and inner[0] is not assignment.value else ""
    return Made(subject.id, place_of(assignment.value, frame.f_code), leaf)


def _asks_for_gradient(node: ast.AST) -> bool:
    return isinstance(node, ast.Call) and any(
        keyword.arg == "requires_grad"
        and isinstance(keyword.value, ast.Constant)
        and keyword.value.value is True
        for keyword in node.keywords
    )


# where an operation ran ---------------------------------------------------------------------------

_METHODS: dict[type, str] = {
    ast.Add: "__add__",
    ast.Sub: "__sub__",
    ast.Mult: "__mul__",
    ast.Div: "__truediv__",
    ast.FloorDiv: "__floordiv__",
    ast.Mod: "__mod__",
    ast.MatMult: "__matmul__",
    ast.USub: "__neg__",
}
_OPERATORS = {**BINARY_OPERATORS, **UNARY_OPERATORS}
_SPELLED: dict[type, frozenset[str]] = {
    symbol: frozenset({_OPERATORS[method]}) for symbol, method in _METHODS.items()
} | {ast.Pow: frozenset({"pow", "square"})}
"""The ops that Python's operators run."""


def _runs(node: ast.AST, op: Op) -> bool:
    """Tell whether `node` is a use of `op`."""
    if isinstance(node, (ast.BinOp, ast.UnaryOp)):
        return op.name in _SPELLED.get(type(node.op), ())
    return _function(node) in (op.name, *op.alias)


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
    scope = scope_of(code)
    if scope is None or overwritten is None:
        return []
    uses = [node for node in own_nodes(scope) if _runs(node, op)]
    target = _base(node_at(scope, overwritten))
    if target:  # the operation read or made what was overwritten
        values = [each.value for each in assignments(scope) if target in each.names]
        made = {node for value in values for node in ast.walk(value)}
        uses = [node for node in uses if target in names_in(node) or node in made] or uses
    lines = {place.line: place for place in (place_of(node, code) for node in uses)}
    lines.pop(overwritten.line, None)
    before = [line for line in sorted(lines) if line < overwritten.line]
    return [lines[line] for line in (before or sorted(lines))[-3:]]


# where a graph was cut ----------------------------------------------------------------------------

# why no gradient comes through, and what to write instead
_CUT = ("nothing before that place is recorded", "leave it out, or move it behind backward()")
_PLAIN = (
    "plain numbers do not remember the operations that made them",
    "stay with tensors and dyngraph's functions up to backward()",
)
_DISCRETE = (
    "integers and booleans have no gradient",
    "use a differentiable function in its place, such as softmax, sigmoid or cross_entropy",
)
_UNRECORDED = (
    "operations inside it are not recorded",
    "compute the result outside of it, or inside enable_grad()",
)
_CUTTERS = {
    "detach": _CUT,
    "detach_": _CUT,
    "numpy": _PLAIN,
    "item": _PLAIN,
    "tolist": _PLAIN,
}
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
    asked = asked_by(frame) if frame is not None else None
    if frame is None or asked is None:
        return None
    values = values_in(frame)
    subject = subject_of(asked[1], values)
    if subject is None:
        return None
    context = _Context(frame.f_code, asked[0], values, asked[2].line)
    return _Walk(through).expression(subject, subject, (), context)


class _Context(NamedTuple):
    """Where an expression stands: what its names mean and which assignments lie before it."""

    code: CodeType
    scope: Scope
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
        nodes = [value, *own_nodes(value)]
        off = _switched_off(context, statement)
        if off is not None and any(isinstance(node, (ast.Call, ast.BinOp)) for node in nodes):
            return off
        masks = _masks(nodes)
        for node in nodes:
            cut = None if node in masks else _cut_by(node)
            if cut is not None and _carries(node, rebound, context, strict=_is_maker(node)):
                return Found(*cut, place_of(node, context.code))
        for node in nodes:
            found = None
            if isinstance(node, ast.Name):
                found = self._name(node.id, node.id in rebound, context)
            elif isinstance(node, ast.Call):
                found = self._call(node, context)
            if found is not None:
                return found
        return None

    def _name(self, name: str, rebound: bool, context: _Context) -> Found | None:
        tensor = None if rebound else context.values.get(name)
        if isinstance(tensor, Tensor):
            if tensor.requires_grad and not self._through:
                return None
            detachment: Detachment | None = getattr(tensor, "_detachment", None)
            if detachment is not None and detachment.source is not None:
                return Found(detachment.reason, *_CUT, detachment.source)
        assignment = assigned_before(context.scope, name, context.line)
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
        scope = scope_of(code)
        if scope is None or code in self._seen:
            return None
        self._seen.add(code)
        inner = _Context(code, scope, _outer_values(function), 0)
        if isinstance(scope, ast.Lambda):
            line = scope.lineno + 1
            return self.expression(scope.body, scope.body, (), inner._replace(line=line))
        for decorator in getattr(scope, "decorator_list", ()):
            if not _OFF.isdisjoint(called_names(decorator)):
                name = f"{called_names(decorator)[-1]}()"
                return Found(name, *_UNRECORDED, place_of(decorator, code))
        for node in own_nodes(scope):
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
    choosers = [node for node in nodes if isinstance(node, ast.BinOp) or _function(node) == "where"]
    return {
        inner for node in choosers for inner in ast.walk(node) if isinstance(inner, ast.Compare)
    }


def _carries(node: ast.AST, rebound: tuple[str, ...], context: _Context, strict: bool) -> bool:
    """Tell whether a gradient may have come as far as `node`, by what its names mean now.

    With `strict` it must be known: data that tensors are made of has no gradient.
    """
    known = [context.values.get(name) for name in names_in(node) if name not in rebound]
    if any(isinstance(value, Tensor) and value.requires_grad for value in known):
        return True
    if strict:
        return False
    without = (Tensor, np.ndarray, np.generic, int, float, ModuleType, type)
    return len(known) < len(names_in(node)) or not all(isinstance(v, without) for v in known)


def _function(node: ast.AST) -> str:
    """Return the name of the function or method that `node` calls, or nothing."""
    if not isinstance(node, ast.Call):
        return ""
    return (
        node.func.attr if isinstance(node.func, ast.Attribute) else "".join(called_names(node)[-1:])
    )


def _is_maker(node: ast.AST) -> bool:
    """Tell whether `node` makes a tensor or a number of plain data."""
    name = _function(node)
    builtin = name == "float" and isinstance(getattr(node, "func", None), ast.Name)
    return (name in _MAKERS or builtin) and bool(getattr(node, "args", ()))


def _cut_by(node: ast.AST) -> tuple[str, str, str] | None:
    """Return what `node` does to a graph, why, and the fix; None if it does nothing."""
    name = _function(node)
    found = None
    if isinstance(node, ast.Compare):
        found = "a comparison", *_DISCRETE
    elif isinstance(node, ast.Attribute) and node.attr == "data":
        found = ".data", *_CUT
    elif name in _INTEGERS or (name == "astype" and "int" in ast.unparse(node)):
        found = f"{name}()", *_DISCRETE
    elif name in _CUTTERS:
        found = f"{name}()", *_CUTTERS[name]
    elif _is_maker(node):
        found = f"{name}()", *_PLAIN
    return found


def _switched_off(context: _Context, statement: ast.AST) -> Found | None:
    """Return the ``with no_grad()`` block that holds `statement`, or None."""
    for node in own_nodes(context.scope):
        if not isinstance(node, ast.With) or statement not in ast.walk(node):
            continue
        for item in node.items:
            names = called_names(item.context_expr)
            off = not _OFF.isdisjoint(names)
            if "set_grad_enabled" in names:
                off = ast.unparse(item.context_expr).endswith("(False)")
            if off:
                place = place_of(item.context_expr, context.code)
                return Found(f"{names[-1]}()", *_UNRECORDED, place)
    return None
