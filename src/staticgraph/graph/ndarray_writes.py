"""Writes of nodes into NumPy's arrays: which array it is, and the line that lets it be written to.

An array of NumPy's holds numbers, so nothing of a graph can be put into one. An array of the graph
can be written to, so the one line to change is that which makes the array.
"""

from __future__ import annotations

import ast
import linecache
from types import FrameType
from typing import Any, NamedTuple

import numpy as np

from oplibrary.messages.source import Source
from oplibrary.messages.syntax import assigned_before, place_of, running_path, scope_of
from staticgraph.graph.rewriting import module_name


class Write(NamedTuple):
    """An assignment to elements of an ndarray.

    Attributes
    ----------
    name : str
        What the program calls the array.
    fix : str
    related : tuple of (str, Source)
        The line that made it, where it is known.
    """

    name: str
    fix: str
    related: tuple[tuple[str, Source | None], ...]


def running_write(frame: FrameType | None) -> Write | None:
    """Return the assignment to elements of an ndarray that `frame` runs, or None."""
    path = [] if frame is None else running_path(frame)
    node = path[-1] if path else None
    if isinstance(node, ast.AugAssign):
        node = node.target
    elif not isinstance(node, ast.Subscript) or not isinstance(node.ctx, ast.Store):
        # from inside of a value: the elements that are assigned to stand around it
        node = next((each for each in reversed(path) if isinstance(each, ast.Assign)), None)
        node = node.targets[0] if isinstance(node, ast.Assign) and len(node.targets) == 1 else None
    if frame is None or not isinstance(node, ast.Subscript):
        return None
    held = _held(frame, node.value)
    if not isinstance(held, np.ndarray):
        return None
    name = ast.unparse(node.value)
    owner = held
    while isinstance(owner.base, np.ndarray):
        owner = owner.base
    whole: str | None = name
    if owner is not held:  # a part of another one, which is the one to make anew
        names = [each for each, value in frame.f_locals.items() if value is owner]
        whole = names[0] if names else None
    return Write(name, *_remedy(frame, whole))


def _held(frame: FrameType, node: ast.expr) -> Any:
    """Return what an expression stands for, of names and constant keys, which run no code."""
    if isinstance(node, ast.Name):
        return frame.f_locals.get(node.id, frame.f_globals.get(node.id))
    if isinstance(node, ast.Attribute):
        return getattr(_held(frame, node.value), "__dict__", {}).get(node.attr)
    if isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Constant):
        holder, key = _held(frame, node.value), node.slice.value
        if type(holder) is dict:
            return holder.get(key)
        if type(holder) in (list, tuple) and type(key) is int and key < len(holder):
            return holder[key]
    return None


def _remedy(
    frame: FrameType, name: str | None
) -> tuple[str, tuple[tuple[str, Source | None], ...]]:
    sg = module_name(frame)
    if name is None:
        return (
            "make a copy of the array that this one is a part of with staticgraph's asarray, "
            "before its parts are taken; it can be written to",
            (),
        )
    scope = scope_of(frame.f_code)
    made = None if scope is None else assigned_before(scope, name, frame.f_lineno)
    if made is None or not isinstance(made.statement, ast.Assign) or made.names != (name,):
        return (
            f"make it an array of the graph, which can be written to, before this line and before "
            f"any loop around it: {name} = {sg}.asarray({name}, copy=True)",
            (),
        )
    value = ast.unparse(made.value)
    return (
        f"make it an array of the graph, which can be written to, where it is made: "
        f"{name} = {sg}.asarray({value}, copy=True)",
        ((f"{name} made", place_of(made.statement, frame.f_code)),),
    )


def out_of_place(frame: FrameType | None) -> str | None:
    """Return the running line, such as ``a += x``, as one that gives the name another value."""
    statement = None if frame is None else _statement(frame)
    if not isinstance(statement, ast.AugAssign):
        return None
    # the left-hand side is written, and read on the right
    source, value = ast.unparse(statement.target), ast.unparse(statement.value)
    whole = ast.parse(f"{source} = ({source}) + ({value})").body[0]
    assert isinstance(whole, ast.Assign) and isinstance(whole.value, ast.BinOp)
    whole.value.op = statement.op
    return ast.unparse(whole)


def _statement(frame: FrameType) -> ast.stmt | None:
    """Return the statement of the running line, where it stands in one line."""
    try:
        line = linecache.getline(frame.f_code.co_filename, frame.f_lineno)
        tree = ast.parse(line.strip())
    except SyntaxError:  # a part of a statement
        return None
    return tree.body[0] if tree.body else None
