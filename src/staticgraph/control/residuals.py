"""What a body leaves behind for its gradient, so that it is not computed a second time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from oplibrary.core.op import Kind
from staticgraph.control.region import Pullback, Region
from staticgraph.declare.effects import with_effects_of
from staticgraph.declare.lower import lower
from staticgraph.graph.graph_ops import CONSTANT, TRANSPARENT, computed_from
from staticgraph.graph.node import Node
from staticgraph.program.layout import find_layouts
from staticgraph.program.tuple_values import ITEM, TupleType


def split_pullback(body: Region, pullback: Pullback) -> tuple[Region, Region]:
    """Return `body` with what its gradient needs of it, and that gradient, which is given it.

    Parameters
    ----------
    body : Region
    pullback : Pullback
        Of it; it computes all that it needs of the body anew.

    Returns
    -------
    saving : Region
        With further outputs.
    pulling : Region
        With these as further inputs, behind those of `pullback`.
    """
    residuals = find_residuals(body, pullback)
    return body.with_outputs(list(residuals)), with_residuals(pullback, residuals)


def with_residuals(pullback: Pullback, residuals: dict[Node, Node]) -> Region:
    """Return `pullback` as a region that is given `residuals` as further inputs."""
    inputs = (*pullback.inputs, *residuals.values())
    return Region(pullback.graph, inputs, pullback.outputs, pullback.source)


def find_residuals(body: Region, pullback: Pullback) -> dict[Node, Node]:
    """Return the nodes of `body` that its gradient reads, with what repeats them there.

    Left out, and so computed anew, is what costs nothing, such as a view, and what the body does
    not have in row-major order: a stack of steps is row-major, and other strides can round to other
    bits.
    """
    copies = _Copies(body, pullback)
    ordered = _row_major_nodes(body, pullback)
    given = set(pullback.inputs)
    found: dict[Node, Node] = {}
    seen: set[Node] = set()
    stack = list(pullback.outputs)
    while stack:
        node = stack.pop()
        if node in seen or node in given or node.op is CONSTANT:
            continue
        seen.add(node)
        if copies.is_copy(node):
            original = copies.original(node) if _is_worth_keeping(node) else None
            if original is not None and ordered(original):
                found[original] = node
                continue
        stack += computed_from(node)
    return dict(sorted(found.items(), key=lambda pair: pair[0].sequence))


def _is_worth_keeping(node: Node) -> bool:
    op = node.op
    return not (op.view or op in TRANSPARENT or isinstance(node.type, TupleType))


class _Copies:
    """Which nodes of a pullback repeat nodes of the body."""

    def __init__(self, body: Region, pullback: Pullback) -> None:
        self.body = body
        self.known = pullback.primal

    def is_copy(self, node: Node) -> bool:
        return node in self.known or (node.op is ITEM and node.operands[0] in self.known)

    def original(self, node: Node) -> Node:
        """Return the node of the body that `node` repeats.

        The copy of a loop may have been made to give more than the loop itself, for a gradient of
        its own; then the loop in the body is made to give that, too.
        """
        known = self.known.get(node)
        if known is None:
            copied = node.operands[0]
            several = self.known[copied]
            several.attrs = with_effects_of(several.attrs, copied.attrs)
            several.type = copied.type
            with self.body.graph:
                known = self.body.graph.add_op(ITEM, (several,), node.attrs)
            self.known[node] = known
        return known


def _row_major_nodes(body: Region, pullback: Pullback) -> Callable[[Node], bool]:
    """Return a test whether a node of `body` is computed in row-major order."""
    nodes = [node for node in pullback.primal.values() if not isinstance(node.type, TupleType)]
    program = lower(body.graph, nodes, body.inputs, effects=False)
    strides = {program.inputs[position]: each for position, each in body.strides().items()}
    program = replace(program, strides=strides)
    layouts = find_layouts(program)
    ordered = {
        node
        for node, value in zip(nodes, program.outputs, strict=True)
        if layouts[value].contiguous
    }

    def is_ordered(node: Node) -> bool:
        if node in ordered:
            return True
        if node.op is not ITEM or node.operands[0].op.kind is not Kind.CONTROL:
            return False
        # what a region returns is an array of its own, and a stack of steps is row-major
        several = node.operands[0]
        stacks = len(several.attrs.get("keep", ()))
        first = several.type.shape[0] - stacks
        return len(node.shape) < 2 or node.attrs["index"] >= first

    return is_ordered
