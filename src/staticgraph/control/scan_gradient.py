"""The gradient of a scan, which is a scan of the steps backwards."""

from __future__ import annotations

from collections.abc import Callable, Collection
from functools import partial

from oplibrary.ops.elementwise import add
from oplibrary.ops.joining import concat
from oplibrary.ops.movement import expand_dims
from oplibrary.values.dtypes import FLOATING
from oplibrary.values.types import TensorType
from staticgraph.control.carried import carried_gradients
from staticgraph.control.conditional import declare_several
from staticgraph.control.region import Pullback, Region, RegionGraph
from staticgraph.control.residuals import find_residuals, with_residuals
from staticgraph.declare.autodiff import ancestors, zeros_of
from staticgraph.declare.build import full, require_graph
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
    body, and is given each step's residuals in place of computing them anew. The first steps
    backwards are declared apart where fewer carries have a gradient there than later.
    """
    backwards = _Backwards(g, out, operands)
    for number, present in enumerate(backwards.carried.first):
        backwards.step_apart(number, present)
    if backwards.rest:
        backwards.steps()
    return backwards.found()


class _Backwards:
    """The steps of a scan backwards, as far as they are declared."""

    def __init__(self, g: TupleGradient, out: Node, operands: tuple[Node, ...]) -> None:
        self.graph = require_graph("scan")
        self.g, self.out, self.operands = g, out, operands
        self.body: Region = out.attrs["body"]
        self.carries, sequences = out.attrs["carries"], out.attrs["sequences"]
        self.length, self.reverse = out.attrs["length"], out.attrs["reverse"]
        carries, self.captures = self.carries, self.carries + sequences
        # results are the last carry, then the stacks of the body's outputs: carries and others
        self.given_ys = [
            i
            for i in range(carries, len(self.body.outputs))
            if carries + i in g.items and self.body.outputs[i].dtype.kind in FLOATING
        ]
        # a gradient comes to the carries of each step from a second derivative
        self.given_saved = [i for i in range(carries) if carries + i in g.items]
        arriving = [i for i in range(carries) if i in g.items]
        self.carried = carried_gradients(
            self.body, carries, arriving, self.given_ys, self.given_saved, self.length
        )
        g.absent.update(i for i in range(carries) if i not in self.carried.last)
        self.of_carry = self.carried.settled
        self.of_xs = [i for i in sorted(g.wanted) if carries <= i < self.captures]
        self.of_outer = [i for i in sorted(g.wanted) if i >= self.captures]
        # of each sequence and captured value, in how many steps something has come back to it
        self.contributions = dict.fromkeys([*self.of_xs, *self.of_outer], 0)
        self.gradients = {i: g.items[i] for i in arriving}
        self.totals = [g.continue_total(operands[i]) for i in self.of_outer]
        self.sums = [
            self._sum(operands[i], x) for i, x in zip(self.of_outer, self.totals, strict=True)
        ]
        # of the sequences: what the steps that are declared apart give, and the scan's stacks
        self.of_positions: list[dict[int, Node]] = []
        self.of_stacks: list[Node] = []

    @property
    def rest(self) -> int:
        """How many steps are not declared apart."""
        return int(self.length) - len(self.carried.first)

    def step_apart(self, number: int, present: Collection[int]) -> None:
        """Declare a step where only the carries that are `present` have a gradient."""
        at = number if self.reverse else self.length - 1 - number

        def position(x: Callable[[int], Node], index: int) -> Callable[[], Node]:
            return lambda: x(index)[at]

        carries, operands = self.carries, self.operands
        given, stacked = self.g.items.__getitem__, self._item
        pullback = self._pullback(present)
        residuals = find_residuals(self.body, pullback)
        kept = self._stack_more(list(residuals))
        step = with_residuals(pullback, residuals)
        values: list[Callable[[], Node]] = [
            *[position(stacked, carries + i) for i in range(carries)],
            *[position(operands.__getitem__, i) for i in range(carries, self.captures)],
            *[partial(operands.__getitem__, i) for i in range(self.captures, len(operands))],
            *[partial(self.gradients.__getitem__, i) for i in sorted(present)],
            *[position(given, carries + i) for i in self.given_ys],
            *[partial(self.sums.__getitem__, i) for i in range(len(self.sums))],
            *[position(stacked, index) for index in kept],
        ]
        read = ancestors(step.outputs)
        of_inputs = {x: find() for x, find in zip(step.inputs, values, strict=True) if x in read}
        only_read = Region(step.graph, list(of_inputs), step.outputs)
        pulled = only_read.inline(list(of_inputs.values()))
        of_carry = dict(zip(self.of_carry, pulled, strict=False))
        self.gradients = {i: x for i, x in of_carry.items() if i not in pullback.absent}
        for i in self.given_saved:
            extra = position(given, carries + i)()
            self.gradients[i] = add(self.gradients[i], extra) if i in self.gradients else extra
        rest = pulled[len(of_carry) :]
        of_xs = zip(self.of_xs, rest, strict=False)
        self.of_positions.append({i: x for i, x in of_xs if i not in pullback.absent})
        self._count(pullback, 1)
        self.sums = rest[len(self.of_xs) :]

    def steps(self) -> None:
        """Declare the steps that are left, as a scan."""
        g, body, operands, carries = self.g, self.body, self.operands, self.carries
        pullback = self._pullback(self.of_carry)
        self._count(pullback, self.rest)
        residuals = find_residuals(body, pullback)
        stacked = self._stack_more(list(residuals))

        region = RegionGraph(f"gradient of {body.graph.name}", body.graph)
        with region:
            gs = [region.add_input(f"g{i}", operands[i].type) for i in self.of_carry]
            totals = [region.add_input(f"sum{i}", operands[i].type) for i in self.of_outer]

            def step(name: str, type: TensorType) -> Node:
                return region.add_input(name, type)

            saved = [step(f"x{i}", operands[i].type) for i in range(carries)]
            xs = [
                step(f"x{i}", TensorType(operands[i].shape[1:], operands[i].dtype))
                for i in range(carries, self.captures)
            ]
            gys = [step(f"gy{i}", body.outputs[i].type) for i in self.given_ys]
            extras = [step(f"gx{i}", operands[i].type) for i in self.given_saved]
            kept = [step(node.name, node.type) for node in residuals]
            outer = [
                region.add_input(f"x{i}", operands[i].type)
                for i in range(self.captures, len(operands))
            ]
            for x, node in zip(outer, operands[self.captures :], strict=True):
                region.lay_out_as(node, x)
            pulled = with_residuals(pullback, residuals).inline(
                [*saved, *xs, *outer, *gs, *gys, *totals, *kept]
            )
            next_gs, pulled = pulled[: len(gs)], pulled[len(gs) :]
            x_grads = [
                add(x, 0.0) if i in pullback.absent else self._of_position(i, x)
                for i, x in zip(self.of_xs, pulled, strict=False)
            ]
            next_totals = pulled[len(self.of_xs) :]
            for i, extra in zip(self.given_saved, extras, strict=True):
                at = self.of_carry.index(i)
                next_gs[at] = add(next_gs[at], extra)
        outputs = [*next_gs, *next_totals, *x_grads]

        read = ancestors(outputs)
        given, item = g.items.__getitem__, self._item
        # what the steps are given, by what stands for it in the body; only what is read
        sources: dict[Node, tuple[Callable[[int], Node], int]] = {
            **{x: (item, carries + i) for i, x in enumerate(saved)},
            **{x: (operands.__getitem__, carries + i) for i, x in enumerate(xs)},
            **{x: (given, carries + i) for i, x in zip(self.given_ys, gys, strict=True)},
            **{x: (given, carries + i) for i, x in zip(self.given_saved, extras, strict=True)},
            **{x: (item, index) for x, index in zip(kept, stacked, strict=True)},
        }
        steps = [x for x in sources if x in read]
        captured = [i for i, x in enumerate(outer, self.captures) if x in read]
        inputs = [*gs, *totals, *steps, *[outer[i - self.captures] for i in captured]]
        backwards = Region(region, inputs, outputs, body.source, owned=len(gs) + len(totals))
        count = len(gs) + len(totals)
        values = declare_several(
            self.out.op,
            [
                *[self._gradient(i) for i in self.of_carry],
                *self.sums,
                *[self._left(find(index)) for find, index in (sources[x] for x in steps)],
                *[operands[i] for i in captured],
            ],
            {
                "body": backwards,
                "carries": count,
                "sequences": len(steps),
                "length": self.rest if self.of_positions else self.length,
                "reverse": not self.reverse,
                "keep": (True,) * len(outputs),
            },
        )
        self.gradients = dict(zip(self.of_carry, values, strict=False))
        self.sums = values[len(gs) : count]
        self.of_stacks = values[2 * count :]

    def found(self) -> dict[int, Node]:
        """Return the gradients of the operands, by position."""
        continued = {i for i, x in zip(self.of_outer, self.totals, strict=True) if x is not None}
        nothing = {i for i, count in self.contributions.items() if not count}
        self.g.absent.update(nothing - continued)
        found = {i: self._gradient(i) for i in sorted(self.g.wanted) if i < self.carries}
        found.update(zip(self.of_outer, self.sums, strict=True))
        for place, i in enumerate(self.of_xs):
            rows = [self._row(i, each.get(i)) for each in self.of_positions]
            stack = self.of_stacks[place : place + 1]
            parts = [*rows, *stack] if self.reverse else [*stack, *reversed(rows)]
            if not parts:
                found[i] = zeros_of(self.graph, self.operands[i].type)
            else:
                found[i] = concat(parts) if len(parts) > 1 else parts[0]
        return found

    def _count(self, pullback: Pullback, steps: int) -> None:
        for i in self.contributions:
            self.contributions[i] += 0 if i in pullback.absent else steps

    def _of_position(self, i: int, pulled: Node) -> Node:
        """Return the gradient of a position as dyngraph has it, which adds zeros for others."""
        return pulled if self.contributions[i] == 1 else add(pulled, 0.0)

    def _row(self, i: int, pulled: Node | None) -> Node:
        """Return the gradient of a position, as a stack of one."""
        operand = self.operands[i]
        if pulled is None:
            return zeros_of(self.graph, TensorType((1, *operand.shape[1:]), operand.dtype))
        return expand_dims(self._of_position(i, pulled), axis=0)  # type: ignore[no-any-return]

    def _pullback(self, present: Collection[int]) -> Pullback:
        """Return the gradient of a step where only the carries that are `present` have one."""
        given = [i in present or i in self.given_ys for i in range(len(self.body.outputs))]
        wanted = [*self.of_carry, *self.of_xs, *self.of_outer]
        return self.body.pullback(given, wanted, self.of_outer, absent=-0.0)

    def _gradient(self, carry: int) -> Node:
        """Return the gradient of a carry so far, or the zero that leaves sums as they are."""
        known: Node | None = self.gradients.get(carry)
        if known is None:
            return full(self.graph, self.operands[carry].type, -0.0)
        return known

    def _left(self, stack: Node) -> Node:
        """Return the positions of a stack that the steps declared apart leave."""
        done = len(self.of_positions)
        if done:
            stack = stack[done:] if self.reverse else stack[: self.rest]
        return stack

    def _sum(self, operand: Node, total: Node | None) -> Node:
        """Return the sum to which the steps add their gradients of `operand`."""
        # the sum of -0.0 and x is x, also where x is -0.0
        return full(self.graph, operand.type, -0.0) if total is None else total

    def _item(self, index: int) -> Node:
        return self.graph.add_op(ITEM, (self.out,), {"index": index})

    def _stack_more(self, nodes: list[Node]) -> list[int]:
        """Let the scan stack `nodes` of its body as well; return the places of these results."""
        out, carries = self.out, self.carries
        body: Region = out.attrs["body"]
        known = {node: i for i, node in enumerate(body.outputs) if i >= carries}
        more = [node for node in nodes if node not in known]
        if more:
            known.update((node, len(body.outputs) + i) for i, node in enumerate(more))
            keep = (*out.attrs["keep"], *[True] * len(more))
            out.attrs = {**out.attrs, "body": body.with_outputs(more), "keep": keep}
            out.type = out.op.infer(*[x.type for x in out.operands], **out.attrs)
            out.graph.nodes[out]["shape"] = out.type.shape
        return [carries + known[node] for node in nodes]
