"""The gradient of a scan, which is a scan of the steps backwards."""

from __future__ import annotations

from collections.abc import Callable

from oplibrary.core.dtypes import FLOATING
from oplibrary.core.types import TensorType
from oplibrary.ops.elementwise import add
from staticgraph.control.conditional import declare_several
from staticgraph.control.region import Region, RegionGraph
from staticgraph.control.residuals import find_residuals, with_residuals
from staticgraph.declare.autodiff import ancestors, zeros_of
from staticgraph.declare.build import full, require_graph
from staticgraph.graph.graph import Graph
from staticgraph.graph.node import Node
from staticgraph.program.tuple_values import ITEM, TupleGradient


def scan_backwards(g: TupleGradient, out: Node, operands: tuple[Node, ...]) -> dict[int, Node]:
    """Declare the gradients of a scan.

    Parameters
    ----------
    g : TupleGradient
    out : Node
        The scan, which is made to stack what its gradient needs of each step.
    operands : tuple of Node

    Returns
    -------
    dict of int to Node
        The gradient of each floating-point or complex operand, by its position.

    Notes
    -----
    The carry of the scan backwards is the gradient of the carry, and for each captured value the
    sum of its gradients so far, in dyngraph's order of summation. The body is the gradient of the
    body, and is given each step's residuals in place of computing them anew.
    """
    graph = require_graph("scan")
    body: Region = out.attrs["body"]
    carries, sequences = out.attrs["carries"], out.attrs["sequences"]
    length, reverse = out.attrs["length"], out.attrs["reverse"]
    captures = carries + sequences
    of_carry = [i for i in range(carries) if _has_gradient(operands[i])]
    of_xs = [i for i in sorted(g.wanted) if carries <= i < captures]
    of_outer = [i for i in sorted(g.wanted) if i >= captures]
    # results are the last carry, then the stacks of the body's outputs: carries and further values
    given_ys = [
        i
        for i in range(carries, len(body.outputs))
        if carries + i in g.items and _has_gradient(body.outputs[i])
    ]
    # a gradient comes to the carries of each step from a second derivative
    given_saved = [i for i in of_carry if carries + i in g.items]

    pullback = body.pullback(
        [i in of_carry or i in given_ys for i in range(len(body.outputs))],
        [*of_carry, *of_xs, *of_outer],
        of_outer,
        absent=-0.0,
    )
    if length:
        g.absent.update(i for i in of_carry if i in pullback.absent and i not in given_saved)
    residuals = find_residuals(body, pullback)
    stacked = _stack_more(out, list(residuals))

    def item(index: int) -> Node:
        return graph.add_op(ITEM, (out,), {"index": index})

    carry_grads = [
        g.items[i] if i in g.items else zeros_of(graph, operands[i].type) for i in of_carry
    ]
    sums = [_total(graph, g, operands[i], length) for i in of_outer]

    region = RegionGraph(f"gradient of {body.graph.name}", body.graph)
    with region:
        gs = [region.add_input(f"g{i}", operands[i].type) for i in of_carry]
        totals = [region.add_input(f"sum{i}", operands[i].type) for i in of_outer]

        def step(name: str, type: TensorType) -> Node:
            return region.add_input(name, type)

        saved = [step(f"x{i}", operands[i].type) for i in range(carries)]
        xs = [
            step(f"x{i}", TensorType(operands[i].shape[1:], operands[i].dtype))
            for i in range(carries, captures)
        ]
        gys = [step(f"gy{i}", body.outputs[i].type) for i in given_ys]
        extras = [step(f"gx{i}", operands[i].type) for i in given_saved]
        kept = [step(node.name, node.type) for node in residuals]
        outer = [
            region.add_input(f"x{i}", operands[i].type) for i in range(captures, len(operands))
        ]
        pulled = with_residuals(pullback, residuals).inline(
            [*saved, *xs, *outer, *gs, *gys, *totals, *kept]
        )
        next_gs, x_grads = pulled[: len(gs)], pulled[len(gs) : len(gs) + len(of_xs)]
        next_totals = pulled[len(gs) + len(of_xs) :]
        for i, extra in zip(given_saved, extras, strict=True):
            at = of_carry.index(i)
            next_gs[at] = add(next_gs[at], extra)
    outputs = [*next_gs, *next_totals, *x_grads]

    read = ancestors(outputs)
    # what the steps are given, by what stands for it in the body; only what is read
    given: dict[Node, tuple[Callable[[int], Node], int]] = {
        **{x: (item, carries + i) for i, x in enumerate(saved)},
        **{x: (operands.__getitem__, carries + i) for i, x in enumerate(xs)},
        **{x: (g.items.__getitem__, carries + i) for i, x in zip(given_ys, gys, strict=True)},
        **{x: (g.items.__getitem__, carries + i) for i, x in zip(given_saved, extras, strict=True)},
        **{x: (item, index) for x, index in zip(kept, stacked, strict=True)},
    }
    steps = [x for x in given if x in read]
    captured = [i for i, x in enumerate(outer, captures) if x in read]
    inputs = [*gs, *totals, *steps, *[outer[i - captures] for i in captured]]
    backwards = Region(region, inputs, outputs, body.source, owned=len(gs) + len(totals))
    attrs = {
        "body": backwards,
        "carries": len(gs) + len(totals),
        "sequences": len(steps),
        "length": length,
        "reverse": not reverse,
        "keep": (True,) * len(outputs),
    }
    values = declare_several(
        out.op,
        [
            *carry_grads,
            *sums,
            *[find(index) for find, index in (given[x] for x in steps)],
            *[operands[i] for i in captured],
        ],
        attrs,
    )
    found = dict(zip([*of_carry, *of_outer], values, strict=False))
    found.update(zip(of_xs, values[2 * (len(gs) + len(totals)) :], strict=True))
    return found


def _has_gradient(node: Node) -> bool:
    return node.dtype.kind in FLOATING


def _total(graph: Graph, g: TupleGradient, operand: Node, length: int) -> Node:
    """Return the sum to which the steps add their gradients of `operand`."""
    total: Node | None = g.continue_total(operand)
    if total is not None:
        return total
    if not length:
        return zeros_of(graph, operand.type)
    # the sum of -0.0 and x is x, also where x is -0.0
    return full(graph, operand.type, -0.0)


def _stack_more(out: Node, nodes: list[Node]) -> list[int]:
    """Let a scan stack `nodes` of its body as well, and return the places of these results."""
    body: Region = out.attrs["body"]
    carries = out.attrs["carries"]
    known = {node: i for i, node in enumerate(body.outputs) if i >= carries}
    more = [node for node in nodes if node not in known]
    if more:
        known.update((node, len(body.outputs) + i) for i, node in enumerate(more))
        keep = (*out.attrs["keep"], *[True] * len(more))
        out.attrs = {**out.attrs, "body": body.with_outputs(more), "keep": keep}
        out.type = out.op.infer(*[x.type for x in out.operands], **out.attrs)
        out.graph.nodes[out]["shape"] = out.type.shape
    return [carries + known[node] for node in nodes]
