"""Recomputation: which values are cheaper to write to memory than to compute again."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from staticgraph.backends.native.definitions.affine import Position
from staticgraph.backends.native.definitions.definition import Definition
from staticgraph.backends.native.definitions.open_lengths import nominal
from staticgraph.backends.native.planning.exploration import ValueAt
from staticgraph.backends.native.planning.steps import Kernel, Step, Store

RECOMPUTED_COST = 6
"""Up to that cost a value is computed again where another kernel reads it."""

SCALAR_ROUNDS = 16
"""A value at some cost that is needed once a row, of as many rows, is computed beforehand: the loop
over rows takes one at a time, loops of its own several."""

_Instance = tuple[int, Position]
"""Where a value is computed: in which kernel, at which position."""


def find_worth_storing(steps: Sequence[Step], stored: Collection[Definition]) -> set[Definition]:
    """Return the values that would otherwise be computed more than once at some cost.

    Values are looked at from the results backwards: what is only read by something that is itself
    to be stored is computed once already.
    """
    costs: dict[Definition, int] = {}
    nodes: dict[Definition, ValueAt] = {}
    tops: dict[Definition, set[_Instance]] = {}
    parents: dict[tuple[Definition, _Instance], list[tuple[Definition, _Instance]]] = {}
    instances: dict[Definition, set[_Instance]] = {}
    repeated: set[tuple[Definition, _Instance]] = set()
    for step in steps:
        for store in step.stores if isinstance(step, Kernel) else ():
            top = store.place.definition
            for node in store.nodes:
                if node.leaf:
                    continue
                made = (step.index, _canonical(node.position))
                place = (node.definition, made)
                costs[node.definition] = node.cost
                nodes[node.definition] = node
                instances.setdefault(node.definition, set()).add(made)
                if node.definition is top:
                    tops.setdefault(top, set()).add(made)
                if _rounds_repeated(node, store) != 1:
                    repeated.add(place)
                for child in node.children:
                    if not child.leaf:
                        below = (child.definition, (step.index, _canonical(child.position)))
                        parents.setdefault(below, []).append(place)
    chosen: set[Definition] = set()
    live: dict[Definition, set[_Instance]] = {}
    for definition in sorted(instances, key=lambda each: -each.order):
        found = set(tops.get(definition, ()))
        for made in instances[definition]:
            above = parents.get((definition, made), ())
            if any(where in live[parent] for parent, where in above):
                found.add(made)
        live[definition] = found
        if definition in stored or costs[definition] < RECOMPUTED_COST:
            continue
        if len(found) > 1 or any((definition, made) in repeated for made in found):
            chosen.add(definition)
            live[definition] = {min(found)}
    return _without_cheap(chosen, nodes) | _find_scalar_work(steps, stored)


def _find_scalar_work(steps: Sequence[Step], stored: Collection[Definition]) -> set[Definition]:
    """Return what kernels compute one by one, outside their innermost loop."""
    chosen: set[Definition] = set()
    for step in steps:
        if not isinstance(step, Kernel) or len(step.extents) < 2:
            continue
        own = {store.definition for store in step.stores}
        for store in step.stores:
            if store.extents != step.extents:
                continue
            scalar: set[ValueAt] = set()  # of elements only this side of the last loop
            below: set[ValueAt] = set()
            for node in store.nodes:
                if node.leaf:
                    if node.definition not in own:
                        scalar.add(node)
                    continue
                if all(child in scalar for child in node.children):
                    scalar.add(node)
            last = 1 << len(step.extents) - 1
            found = [
                node
                for node in store.nodes
                if node in scalar
                and not node.leaf
                and node.uses
                and not node.uses & last
                and node.cost >= RECOMPUTED_COST
                and node.definition not in stored
                and nominal(_rounds(node, step)) >= SCALAR_ROUNDS
                and _rounds(node, step) == node.definition.size
            ]
            for node in found:
                below.update(node.children)
            chosen.update(node.definition for node in found if node not in below)
    return chosen


def _rounds(node: ValueAt, kernel: Kernel) -> int:
    """Return how often the loops that a value depends on go round."""
    rounds = 1
    for axis, n in enumerate(kernel.extents):
        if node.uses >> axis & 1:
            rounds *= n
    return rounds


def _without_cheap(chosen: set[Definition], nodes: dict[Definition, ValueAt]) -> set[Definition]:
    """Leave out what takes little to compute from the others that are stored."""
    kept: set[Definition] = set()
    for definition in sorted(chosen, key=lambda each: each.order):
        cost, seen = 0, {nodes[definition]}
        stack = [nodes[definition]]
        while stack and cost < RECOMPUTED_COST:
            node = stack.pop()
            cost += max(node.cost - sum(child.cost for child in node.children), 1)
            for child in node.children:
                if not child.leaf and child.definition not in kept and child not in seen:
                    seen.add(child)
                    stack.append(child)
        if cost >= RECOMPUTED_COST:
            kept.add(definition)
    return kept


def _canonical(position: Position) -> Position:
    """Return a position that is the same in loops with further axes behind."""
    result = []
    for form in position:
        last = len(form)
        while last > 1 and not form[last - 1]:
            last -= 1
        result.append(form[:last])
    return tuple(result)


def _rounds_repeated(node: ValueAt, store: Store) -> int:
    """Return how often the loops of `store` compute a value that stays the same."""
    rounds = 1
    depth = node.uses.bit_length()
    for axis in range(depth):
        if not node.uses >> axis & 1:
            rounds *= store.extents[axis]
    return rounds
