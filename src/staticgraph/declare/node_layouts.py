"""Where the elements of a node lie in the dynamic executor, asked while the graph is declared."""

from __future__ import annotations

from staticgraph.declare.lower import lower
from staticgraph.graph.graph_ops import CONSTANT, SOURCES, TRANSPARENT, computed_from
from staticgraph.graph.node import Node, lies_in_order
from staticgraph.program.layout import (
    Layout,
    find_layouts,
    layout_of_array,
    result_layout,
    row_major_layout,
)
from staticgraph.program.polynomial import is_symbolic, symbols_exist
from staticgraph.program.program import Instruction, Value


def layout_of(node: Node) -> Layout:
    """Return the layout of `node`; each node of a graph is looked at once.

    See `staticgraph.program.layout.find_layouts`, which does the same for a whole program.
    """
    known = node.graph.layouts
    waiting = [node]
    while waiting:
        each = waiting[-1]
        if each.sequence in known:
            waiting.pop()
            continue
        missing = [x for x in computed_from(each) if x.sequence not in known]
        if missing:
            waiting += missing
        else:
            known[each.sequence] = _layout(each)
            waiting.pop()
    found: Layout = known[node.sequence]
    return found


def _lies_in_order(node: Node) -> bool | None:
    layout = layout_of(node)
    return None if layout.strides is None else layout.contiguous


lies_in_order.enter(_lies_in_order)


def _layout(node: Node) -> Layout:
    value = Value(node.type, node.name)
    if node.op is CONSTANT:
        return layout_of_array(value, node.attrs["value"])
    if node.op in SOURCES:
        return row_major_layout(value)
    operands = [node.graph.layouts[x.sequence] for x in computed_from(node)]
    if node.op in TRANSPARENT:
        return operands[0]  # type: ignore[no-any-return]
    if symbols_exist() and any(is_symbolic(x.type.shape) for x in (node, *node.operands)):
        program = lower(node.graph, [node])
        return find_layouts(program)[program.outputs[0]]
    inputs = tuple([Value(x.type, x.name) for x in node.operands])
    return result_layout(Instruction(node.op, inputs, value, node.attrs, ()), operands)
