"""The user's own source as a tree: what stands at a place, and what was assigned above it.

Messages read it to point at what a program says; nothing is decided by it.
"""

from __future__ import annotations

import ast
import linecache
from collections.abc import Iterator, Mapping
from functools import lru_cache
from types import CodeType, FrameType, ModuleType
from typing import Any, NamedTuple

from oplibrary.messages.source import Source, source_of

Scope = ast.Module | ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda
COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)
_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)


@lru_cache(maxsize=64)
def _parse(lines: tuple[str, ...]) -> ast.Module | None:
    try:
        return ast.parse("".join(lines))
    except (SyntaxError, ValueError):
        return None


def tree_of(filename: str) -> ast.Module | None:
    """Return the tree of a file, or None where there is no source that can be read."""
    lines = linecache.getlines(filename)
    return _parse(tuple(lines)) if lines else None


# places -------------------------------------------------------------------------------------------


class Span(NamedTuple):
    """From where to where a piece of source goes, each a line and a column as Python counts them.

    Attributes
    ----------
    start, stop : tuple of int
    """

    start: tuple[int, int]
    stop: tuple[int, int]

    def holds(self, other: Span) -> bool:
        """Tell whether `other` lies inside."""
        return self.start <= other.start and other.stop <= self.stop


def _span_of(node: ast.AST) -> Span | None:
    if not hasattr(node, "lineno"):
        return None
    # Python counts decorators out of the function or class that they stand above
    nodes: list[Any] = [node, *getattr(node, "decorator_list", ())]
    start = min((each.lineno, each.col_offset) for each in nodes)
    return Span(start, (node.end_lineno, node.end_col_offset))  # type: ignore[attr-defined]


def _span_at(place: Source | None) -> Span | None:
    if place is None or place.column is None or place.end_column is None or not place.end_line:
        return None
    return Span((place.line, place.column), (place.end_line, place.end_column))


def path_to(tree: ast.AST, place: Source | None) -> list[ast.AST]:
    """Return the nodes that hold `place`, outermost first; none where it is not known."""
    span = _span_at(place)
    path = [] if span is None else [tree]
    while path:
        for child in _descend(path[-1]):
            found = _span_of(child)
            if found is not None and span is not None and found.holds(span):
                path.append(child)
                break
        else:
            break
    return path


def _descend(node: ast.AST) -> Iterator[ast.AST]:
    """Yield the children of `node`; those without a position are replaced by theirs."""
    for child in ast.iter_child_nodes(node):
        if hasattr(child, "lineno"):
            yield child
        else:
            yield from _descend(child)


def running_path(frame: FrameType) -> list[ast.AST]:
    """Return the nodes around what `frame` is evaluating, outermost first; none if unknown."""
    tree = tree_of(frame.f_code.co_filename)
    return [] if tree is None else path_to(tree, source_of((frame.f_code, frame.f_lasti)))


def enclosing_loop(filename: str, line: int) -> int | None:
    """Return the line of the innermost ``for`` or ``while`` that holds `line`, or None."""
    tree = tree_of(filename)
    if tree is None:
        return None
    loops = [
        node.lineno
        for node in ast.walk(tree)
        if isinstance(node, (ast.For, ast.While, *COMPREHENSIONS))
        and node.lineno <= line <= (node.end_lineno or line)
    ]
    return max(loops, default=None)


# scopes -------------------------------------------------------------------------------------------


def scope_of(code: CodeType) -> Scope | None:
    """Return the piece of the source that `code` was compiled from."""
    tree = tree_of(code.co_filename)
    if tree is None or code.co_name == "<module>":
        return tree
    for node in ast.walk(tree):
        if isinstance(node, _FUNCTIONS):
            first = min(
                [node.lineno, *(each.lineno for each in getattr(node, "decorator_list", ()))]
            )
            if first == code.co_firstlineno and getattr(node, "name", "<lambda>") == code.co_name:
                return node
    return None


def own_nodes(scope: ast.AST) -> Iterator[ast.AST]:
    """Yield what `scope` runs itself: functions defined inside are left out."""
    for child in ast.iter_child_nodes(scope):
        yield child
        if not isinstance(child, (*_FUNCTIONS, ast.ClassDef)):
            yield from own_nodes(child)


def node_at(scope: Scope, place: Source) -> ast.AST | None:
    """Return the node that stands exactly where `place` does."""
    path = path_to(scope, place)
    return path[-1] if len(path) > 1 and _span_of(path[-1]) == _span_at(place) else None


def place_of(node: Any, code: CodeType) -> Source:
    """Return where `node`, a part of `code`, stands."""
    return Source(
        code.co_filename,
        node.lineno,
        code.co_name,
        node.col_offset,
        node.end_col_offset,
        node.end_lineno,
    )


# names --------------------------------------------------------------------------------------------


class Assignment(NamedTuple):
    """One assignment, with the names that it gives a new value."""

    names: tuple[str, ...]
    value: ast.expr
    statement: ast.stmt


def assignments(scope: Scope) -> list[Assignment]:
    """Return the assignments that `scope` makes, in the order of their lines."""
    found = []
    for node in own_nodes(scope):
        targets: list[ast.expr]
        value: ast.expr | None
        if isinstance(node, ast.Assign):
            targets, value = node.targets, node.value
        elif isinstance(node, ast.AnnAssign):
            targets, value = [node.target], node.value
        elif isinstance(node, ast.AugAssign):
            whole = ast.BinOp(node.target, node.op, node.value)  # what it reads is on both sides
            targets, value = [node.target], ast.copy_location(whole, node)
        else:
            continue
        if value is not None:
            names = tuple(name for target in targets for name in _bound(target))
            found.append(Assignment(names, value, node))
    return sorted(found, key=lambda each: each.statement.lineno)


def _bound(target: ast.expr) -> Iterator[str]:
    if isinstance(target, ast.Name):
        yield target.id
    elif isinstance(target, (ast.Tuple, ast.List)):
        for each in target.elts:
            yield from _bound(each)


def assigned_before(scope: Scope, name: str, line: int) -> Assignment | None:
    """Return the last assignment to `name` above `line`."""
    above = [a for a in assignments(scope) if name in a.names and a.statement.lineno < line]
    return above[-1] if above else None


def names_in(node: ast.AST) -> list[str]:
    """Return the names that `node` mentions."""
    return [each.id for each in ast.walk(node) if isinstance(each, ast.Name)]


def asked_by(frame: FrameType) -> tuple[Scope, ast.AST, Source] | None:
    """Return the scope that `frame` runs, and the expression that it is evaluating."""
    place = source_of((frame.f_code, frame.f_lasti))
    scope = scope_of(frame.f_code)
    node = None if scope is None or place is None else node_at(scope, place)
    return None if scope is None or node is None or place is None else (scope, node, place)


def subject_of(node: ast.AST, values: Mapping[str, Any]) -> ast.expr | None:
    """Return what a call or an attribute is asked of: ``x`` in ``x.grad`` and ``grad(x, w)``.

    Parameters
    ----------
    node : node
    values : mapping of str to object
        What the names mean: a method is asked of its object, a module's function of its argument.
    """
    if isinstance(node, ast.Attribute):
        return node.value
    if not isinstance(node, ast.Call):
        return None
    called = node.func
    if isinstance(called, ast.Attribute):
        owner = values.get(called.value.id) if isinstance(called.value, ast.Name) else None
        if not isinstance(owner, ModuleType):
            return called.value
    first = node.args[0] if node.args else None
    return first.elts[0] if isinstance(first, (ast.List, ast.Tuple)) and first.elts else first


def called_names(node: ast.AST) -> list[str]:
    """Return the names in ``torch.no_grad()``, without its arguments."""
    if isinstance(node, ast.Call):
        node = node.func
    if isinstance(node, ast.Attribute):
        return [*called_names(node.value), node.attr]
    return [node.id] if isinstance(node, ast.Name) else []
