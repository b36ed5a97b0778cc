"""Nodes that the user holds, as handles of values that are written to in place.

A graph stays pure: each of its nodes is one value. Where the user writes to a node, that node moves
on to the new value, and another node, which nobody holds, takes the place of the old one: whatever
used the old value uses that node from now on. Views of what was written leave the graph, and come
back, derived from the new value, when they are used the next time. A program that never writes in
place pays nothing for this.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from staticgraph.graph.declaration import Declaration
from staticgraph.graph.node import Node

_ORDERS = 1 << 24
"""Views that are derived afresh stand between two whole numbers of the order of declaration."""


class StaleView(Node):
    """A view of which another part was written to: whatever asks for its value derives it first."""

    __slots__ = ()

    def __hash__(self) -> int:
        derive(self)
        return hash(self)


def _derived_first(name: str) -> property:
    def get(self: StaleView) -> Any:
        derive(self)
        return getattr(self, name)

    return property(get)


_slots: dict[str, Any] = {name: getattr(Declaration, name) for name in Declaration.__slots__}
for _name in Declaration.__slots__:
    if _name != "type":  # its shape and dtype stay what they are
        setattr(StaleView, _name, _derived_first(_name))


def move(node: Node, to: Node) -> Node:
    """Let `to`, which is in no graph, stand where `node` stands, and return it."""
    graph = _slots["graph"].__get__(node)
    for slot in _slots.values():
        slot.__set__(to, slot.__get__(node))
    graph.add_node(to, **graph.nodes[node])
    for position, operand in enumerate(to.operands):
        graph.add_edge(operand, to, position)
    for user, uses in list(graph.succ[node].items()):
        user.operands = tuple([to if x is node else x for x in user.operands])
        for position in uses:
            graph.add_edge(to, user, position)
    graph.remove_node(node)
    graph.note_move(node, to)
    return to


def _new() -> Node:
    return Node.__new__(Node)


def go_on(node: Node, value: Node, views: Sequence[tuple[Node, Node]]) -> None:
    """Let `node` go on as `value`, which nothing uses yet.

    Parameters
    ----------
    node, value : Node
    views : sequence of pair of Node
        The views of `node`, and their views, each with what it is a view of. They leave the graph;
        what used them goes on using what they were.
    """
    for view, parent in views:
        old = move(view, _new())
        _slots["operands"].__set__(view, (parent, *old.operands[1:]))
    for view, _ in views:
        view.__class__ = StaleView
    move(node, _new())
    move(value, node)


def selection_of(node: Node) -> tuple[Node, Any] | None:
    """Return what `node` is known to be selected from and with which key, underived."""
    found: tuple[Node, Any] | None = _slots["selection"].__get__(node)
    return found


def derive(view: StaleView) -> None:
    """Declare `view` afresh, from what it is a view of as that is now."""
    chain: list[Node] = [view]
    while type(chain[-1]) is StaleView:
        parent, *_ = _slots["operands"].__get__(chain[-1])
        chain.append(parent)
    base = chain.pop()
    while chain:
        each = chain.pop()
        each.__class__ = Node
        _declare(each, base)
        base = each


def _declare(view: Node, parent: Node) -> None:
    graph = parent.graph
    before = view.sequence
    operands = (parent, *view.operands[1:])
    order = (before % 1) * _ORDERS or before
    outer, graph.line = graph.line, view.source
    try:
        new = graph.add_op(view.op, operands, view.attrs, type=view.type, late=True)
    finally:
        graph.line = outer
    # dyngraph derives views as soon as their base is written to, in the order they were made in
    new.sequence = int(parent.sequence) + order / _ORDERS
    new.selection = view.selection
    move(new, view)
