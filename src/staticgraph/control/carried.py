"""Which carries of a loop a gradient comes back to, step by step backwards.

dyngraph's tape has no gradient where none comes back to. A zero in its place would differ: times an
infinite derivative it is NaN, and added to -0.0 it is 0.0.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from heapq import heappop, heappush
from typing import Any

from oplibrary.values.dtypes import FLOATING
from staticgraph.control.flow import Choice, Rewind
from staticgraph.control.region import Region
from staticgraph.declare.autodiff import passes
from staticgraph.graph.node import Node
from staticgraph.program.polynomial import is_symbolic


@dataclass(frozen=True, slots=True)
class CarriedGradients:
    """Which carries have a gradient in a loop that is run backwards.

    Attributes
    ----------
    settled : list of int
        The carries that have one behind some step. The others never have one.
    first : list of frozenset of int
        Which have one before each of the first steps backwards, as far as these have to run apart:
        later, -0.0 in the place of a gradient that is not there makes no difference.
    last : frozenset of int
        Which have one when all steps have run.
    """

    settled: list[int]
    first: list[frozenset[int]]
    last: frozenset[int]


def carried_gradients(
    body: Region,
    carries: int,
    given: Collection[int],
    given_others: Iterable[int] = (),
    given_each: Iterable[int] = (),
    length: int | None = None,
) -> CarriedGradients:
    """Follow the gradients of a loop's last carry backwards through its steps.

    Parameters
    ----------
    body : Region
        Its first inputs are the carry, its first outputs the next one.
    carries : int
    given : collection of int
        The carries whose last values have a gradient.
    given_others : iterable of int, optional
        The outputs besides the carry that have a gradient in each step.
    given_each : iterable of int, optional
        The carries to which a gradient comes before each step from elsewhere.
    length : int, optional
        The number of steps, where it is known.
    """
    floats = [i for i in range(carries) if body.outputs[i].dtype.kind in FLOATING]
    others, each = list(given_others), frozenset(given_each)

    def before(present: Iterable[int]) -> frozenset[int]:
        nodes = reached(body, [*present, *others])
        return each.union(i for i in floats if body.inputs[i] in nodes)

    settled = frozenset(given)
    while (more := settled | before(settled)) != settled:
        settled = more

    steps = None if length is None or is_symbolic(length) else length
    history = [frozenset(given)]
    while history[-1] not in history[:-1] and (steps is None or len(history) <= steps):
        history.append(before(history[-1]))
    last = settled
    if steps is not None:
        start = history.index(history[-1])
        last = history[steps if steps < len(history) else start + (steps - start) % _turn(history)]

    first: list[frozenset[int]] = []
    for present in [] if is_symbolic(length) else history[:-1]:
        if _stands_in(body, settled - present, [*present, *others]):
            break
        first.append(present)
    return CarriedGradients(sorted(settled), first, last)


def _turn(history: list[frozenset[int]]) -> int:
    """Return after how many steps the last of `history` comes again."""
    return len(history) - 1 - history.index(history[-1])


def _stands_in(body: Region, absent: Iterable[int], given: list[int]) -> bool:
    """Tell whether a step gives the same bits with -0.0 for the gradients that are `absent`.

    It does where such a gradient is only added to another, or passed on as it is.
    """
    nodes = reached(body, given)
    inputs = set(body.inputs)
    return all(
        body.outputs[i] in nodes
        or body.outputs[i] in inputs
        or inputs.isdisjoint(_floats(reached(body, [i])))
        for i in absent
    )


def _floats(nodes: Iterable[Node]) -> Iterable[Node]:
    return [node for node in nodes if node.dtype.kind in FLOATING]


# the way back through a region --------------------------------------------------------------------


def reached(region: Region, outputs: Iterable[int]) -> set[Node]:
    """Return the nodes of a region to which gradients of `outputs` come back, these included."""
    wanted = frozenset(outputs)
    if wanted not in region.reached:  # the regions around it ask again and again
        region.reached[wanted] = _reached(region, wanted)
    return region.reached[wanted]


def _reached(region: Region, outputs: Iterable[int]) -> set[Node]:
    seen: set[Node] = set()
    heap: list[tuple[int, Any]] = []
    items: dict[Node, set[int]] = {}  # of an op of several results, those that have a gradient

    def enter(node: Any) -> None:
        if node not in seen:
            seen.add(node)
            heappush(heap, (-node.sequence, node))

    for i in outputs:
        enter(region.outputs[i])
    while heap:  # the latest first: all results of an op before the op
        _, node = heappop(heap)
        op = node.op
        if op.projection:
            items.setdefault(node.operands[0], set()).add(node.attrs["index"])
        back = None if op.control is None else _handed_back(op.control(**node.attrs), items[node])
        for position, operand in enumerate(node.operands):
            if passes(node, position) and (back is None or position in back):
                enter(operand)
    return seen


def _handed_back(flow: Any, items: Iterable[int]) -> set[int] | None:
    """Return the operands to which gradients of results come back; None where it may be any."""
    if isinstance(flow, Choice):
        sides = [(branch.inputs, reached(branch, items)) for branch in flow.branches]
        return {i for inputs, nodes in sides for i, x in enumerate(inputs, 1) if x in nodes}
    if isinstance(flow, Rewind):  # to any, as it has no gradient
        return None
    body, carries = flow.body, flow.carries
    others = [i - carries for i in items if i >= 2 * carries]
    each = [i - carries for i in items if carries <= i < 2 * carries]
    given = [i for i in items if i < carries]
    found = carried_gradients(body, carries, given, others, each, flow.length)
    nodes = reached(body, [*found.settled, *others])
    outer = {i for i, x in enumerate(body.inputs) if i >= carries and x in nodes}
    return outer | found.last
