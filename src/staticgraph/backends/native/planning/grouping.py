"""Grouping: which values are written to memory, and which are computed in one pass over it.

A value that is not needed in memory is computed where it is read. What is written (a store) joins a
kernel with the same loops where it can: a softmax is one kernel whose rows are gone through three
times, while they are in the first-level cache.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any, NamedTuple

from oplibrary.values.types import Shape
from staticgraph.backends.native.definitions.affine import AffineForm, Position
from staticgraph.backends.native.definitions.definition import (
    Definition,
    Elementwise,
    Fold,
    Reshaped,
    Stored,
    Uniform,
    View,
    repeats,
)
from staticgraph.backends.native.definitions.open_lengths import at_most
from staticgraph.backends.native.definitions.selections import Gathered
from staticgraph.backends.native.planning.exploration import (
    Demand,
    ValueAt,
    explore,
    identity_of,
)
from staticgraph.backends.native.planning.recomputation import find_worth_storing
from staticgraph.backends.native.planning.repetition import find_repeated
from staticgraph.backends.native.planning.steps import (
    Call,
    Kernel,
    Step,
    Store,
    storage_of,
    stores_of,
)

SMALL_SIZE = 4096
"""Kernels of at most that many elements take in whatever has the same loops."""
MAX_NODES = 300
"""Values in one kernel."""
MAX_STORES = 64
"""Values that one kernel writes: LLVM compares each of them with all others."""
LANES = 16
"""As so many counts what is read or written one lane at a time: it takes as many instructions."""
SEGMENT = 200
"""Computed values in one stretch of a long program; what others read of it is written to memory."""


@dataclass(slots=True)
class Grouping:
    """The steps of a program.

    Attributes
    ----------
    steps : list of Kernel or Call
        In an order in which everything is written before it is read.
    index : dict of Definition to int
        For each value that is in memory at some time, the step that completes it; -1 for what is
        there from the start.
    """

    steps: list[Step]
    index: dict[Definition, int]


def group(results: Sequence[Definition], effects: Sequence[Definition] = ()) -> Grouping:
    """Return the steps that compute `results`, and `effects`, which nothing need read."""
    reachable = _reachable([*results, *effects])
    wanted = {storage_of(result) for result in results}
    for definition in reachable:
        if isinstance(definition, Stored):
            wanted.update(map(storage_of, definition.operation))
        elif isinstance(definition, Fold):
            wanted.add(definition)
        elif isinstance(definition, Gathered):
            wanted.add(storage_of(definition.source))
    wanted |= _between_segments(reachable)
    wanted |= find_repeated(reachable, wanted)
    explored: dict[Any, _Explored] = {}
    for _ in range(MAX_ROUNDS):
        grouper = _Grouper(wanted, explored)
        for definition in reachable:
            grouper.add(definition)
        more = find_worth_storing(grouper.steps, grouper.available)
        if more <= wanted:
            break
        wanted |= more
    index = {each: grouper.index.get(each, -1) for each in grouper.available}
    return Grouping(grouper.steps, index)


MAX_ROUNDS = 4
"""How often grouping is repeated because a value turned out to be worth storing."""


def _reachable(results: Iterable[Definition]) -> list[Definition]:
    found = set(results)
    stack = list(found)
    while stack:
        for operand in stack.pop().operands:
            if operand not in found:
                found.add(operand)
                stack.append(operand)
    return sorted(found, key=lambda definition: definition.order)


def _between_segments(reachable: Sequence[Definition]) -> set[Definition]:
    """Return what is computed in one stretch of a long program and read in another."""
    computed = [each for each in reachable if isinstance(each, Elementwise)]
    if len(computed) <= 2 * SEGMENT:
        return set()
    segment: dict[Definition, int] = {
        each: number // SEGMENT for number, each in enumerate(computed)
    }
    crossing = set()
    current = 0
    for definition in reachable:
        current = segment.get(definition, current)
        for operand in definition.operands:
            through = operand
            while isinstance(through, (View, Reshaped)):
                through = through.operand
            if segment.get(through, current) != current:
                crossing.add(through)
    return crossing


class _Explored(NamedTuple):
    """What was found below a store, and which values were in memory then, of those it met."""

    nodes: list[ValueAt]
    leaves: list[ValueAt]
    met: dict[Definition, bool]


class _Grouper:
    def __init__(self, wanted: set[Definition], explored: dict[Any, _Explored]) -> None:
        self.wanted = wanted
        self.explored = explored
        self.steps: list[Step] = []
        self.available: set[Definition] = set()
        self.index: dict[Definition, int] = {}
        self._with: dict[Shape, list[Kernel]] = {}
        self._root_in: dict[Definition, tuple[Kernel, Store]] = {}

    def add(self, definition: Definition) -> None:
        """Place what writes a value, if it is wanted."""
        if definition in self.available:
            return
        if not definition.size:
            self.available.add(definition)
        if isinstance(definition, Stored):
            self.available.add(definition)
            if definition.operation:
                self.index[definition] = len(self.steps)
                self.steps.append(Call(definition, len(self.steps)))
            elif definition.operands:  # one of several results, all of which are there then
                self.index[definition] = max(self.index[each] for each in definition.operands)
        elif definition in self.wanted and definition not in self.available:
            self._store(definition)

    def _store(self, definition: Definition) -> None:
        if isinstance(definition, Reshaped):
            # only where it was demanded; its elements are those of the operand
            definition = storage_of(definition)
            if definition in self.available:
                return
        stores = list(stores_of(definition))
        placed = [self._place(store) for store in stores]
        self.available.add(definition)
        self.index[definition] = max(kernel.index for kernel in placed)
        if len(stores) == 1 and stores[0].definition is definition:
            self._root_in[definition] = (placed[0], stores[0])

    def _place(self, store: Store) -> Kernel:
        while True:
            try:
                self._explore(store)
                break
            except Demand as demand:
                wanted = storage_of(demand.definition)
                assert wanted is not store.definition and wanted not in self.available
                self.wanted.add(wanted)
                self._store(wanted)
        kernel = self._kernel_for(store)
        kernel.stores.append(store)
        kernel.size += _size(store)
        kernel.seen.update(_identities(store))
        if store.rows is not None and kernel.rows is None and store.extents == kernel.extents:
            kernel.rows = store.rows
        return kernel

    def _explore(self, store: Store) -> None:
        """Find what a store is made of, or find it again from the round before."""
        key = (store.definition, store.start, store.extents)
        found = self.explored.get(key)
        if found is None or any(
            (definition in self.available) != there for definition, there in found.met.items()
        ):
            found = self.explored[key] = self._explored(store)
        store.nodes, store.leaves = found.nodes, found.leaves

    def _explored(self, store: Store) -> _Explored:
        met: dict[Definition, bool] = {}

        def is_leaf(definition: Definition, _: Position) -> bool:
            there = met[definition] = definition in self.available
            return there

        parts = explore(store.extents, [store.place], is_leaf)
        known: dict[tuple[int, Position], ValueAt] = {}
        for part in parts:
            for node in part.nodes:
                known.setdefault((id(node.definition), node.position), node)
        nodes = list(known.values())
        leaves = [n for n in nodes if n.leaf and not isinstance(n.definition, Uniform)]
        return _Explored(nodes, leaves, met)

    def _kernel_for(self, store: Store) -> Kernel:
        read = [leaf.definition for leaf in store.leaves] + gathered_from(store)
        earliest = max([self.index.get(storage_of(each), -1) for each in read], default=-1)
        same = self._with.get(store.extents, ())[-RECENT:]
        candidates = [*same, *self._rows_kernels(store.extents)]
        best: Kernel | None = None
        size = _size(store)
        for kernel in candidates:
            if (
                kernel.index >= earliest
                and (best is None or kernel.index > best.index)
                and self._fits(kernel, store, size)
            ):
                best = kernel
        if best is not None:
            return best
        kernel = Kernel(store.extents, len(self.steps))
        self.steps.append(kernel)
        self._with.setdefault(store.extents, []).append(kernel)
        return kernel

    def _rows_kernels(self, extents: Shape) -> list[Kernel]:
        """Return the latest kernels whose rows are counted by `extents`."""
        found: list[Kernel] = []
        for step in self.steps[-RECENT:]:
            if (
                isinstance(step, Kernel)
                and step.rows is not None
                and step.extents != extents
                and step.extents[: step.rows] == extents
            ):
                found.append(step)
        return found

    def _fits(self, kernel: Kernel, store: Store, size: int) -> bool:
        if kernel.size + size > MAX_NODES or len(kernel.stores) == MAX_STORES:
            return False
        if _is_passing(store) or _is_passing(kernel.stores[0]):
            return False
        if (
            store.extents == kernel.extents
            and store.rows is not None
            and kernel.rows is not None
            and store.rows > kernel.rows
        ):
            # a reduction of more axes can be gathered beside one of fewer, not the other way round
            return False
        if any(
            self.index.get(storage_of(each), -1) == kernel.index for each in gathered_from(store)
        ):
            return False
        shares = at_most(prod(kernel.extents), SMALL_SIZE)
        for leaf in store.leaves:
            made = self._root_in.get(leaf.definition)
            if made is not None and made[0] is kernel:
                if not self._is_local(kernel, made[1], store, leaf):
                    return False
                shares = True
            elif self.index.get(leaf.definition, -1) == kernel.index:
                return False
        return shares or not kernel.seen.isdisjoint(_identities(store))

    def _is_local(self, kernel: Kernel, made: Store, store: Store, leaf: ValueAt) -> bool:
        """Tell whether `store` reads what its kernel makes only where it has just been made."""
        if made.fold is not None and not kernel.is_local(made):
            return False
        if made.extents == kernel.extents and made.fold is None and store.extents != kernel.extents:
            return False
        return leaf.position == identity_of(leaf.definition.shape, len(store.extents))


def _size(store: Store) -> int:
    """Return how many values a kernel has to work on for a store."""
    apart = sum([_is_apart(node.offset) for node in store.nodes])
    return len(store.nodes) + LANES * (apart + _is_apart(store.offset(len(store.extents))))


def _is_apart(form: AffineForm) -> bool:
    """Tell whether neighbours in the last loop are not neighbours in memory."""
    return len(form) > 1 and form[-1] not in (0, 1)


def _is_passing(store: Store) -> bool:
    """Tell whether a large value is written that is read once, and soon."""
    return not at_most(store.definition.size, SMALL_SIZE) and any(
        map(repeats, store.definition.operands)
    )


RECENT = 16
"""How many steps back a kernel is looked for that counts its rows alike."""


def gathered_from(store: Store) -> list[Definition]:
    """Return what is read at computed positions."""
    return [
        n.definition.source
        for n in store.nodes
        if isinstance(n.definition, Gathered) and not n.leaf
    ]


def _identities(store: Store) -> list[tuple[int, Position]]:
    """Return what tells apart what `store` reads or computes, and where; numbers do not count."""
    return [
        (id(n.definition), n.position) for n in store.nodes if not isinstance(n.definition, Uniform)
    ]
