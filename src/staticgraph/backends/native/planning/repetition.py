"""Repetition: which values one pass would compute at several positions, found before exploring.

A step of a stencil reads the step before it at several places, and that one reads the one before at
more of them: written out, the work would grow with a power of the number of steps. Here each value
is looked at once for each value in memory that is made of it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from heapq import heappop, heappush

from staticgraph.backends.native.definitions.affine import Position, bounds, flatten, split
from staticgraph.backends.native.definitions.definition import (
    Definition,
    Elementwise,
    Pieced,
    Reshaped,
    Stored,
    Uniform,
    View,
)
from staticgraph.backends.native.definitions.open_lengths import nominal
from staticgraph.backends.native.definitions.selections import Gathered
from staticgraph.backends.native.planning.exploration import (
    GATHER_COST,
    Request,
    inside_piece,
    moved,
    operand_position,
    trimmed,
)
from staticgraph.backends.native.planning.recomputation import RECOMPUTED_COST
from staticgraph.backends.native.planning.steps import Store, storage_of, stores_of

MOST_MOVES = 32
"""What is moved more often from one place to another is written to memory on the way."""
_MOST_COST = 1 << 20


def find_repeated(
    reachable: Sequence[Definition], wanted: Collection[Definition]
) -> set[Definition]:
    """Return what is to be in memory beside `wanted`, so that nothing is computed over and over.

    Parameters
    ----------
    reachable : sequence of Definition
        Operands first.
    wanted : collection of Definition
        What is to be in memory in any case.
    """
    stored = {*wanted, *_moved_often(reachable, wanted)}
    costs = _costs(reachable, stored)
    counts: dict[Definition, int] = {}
    for definition in reversed(reachable):
        if definition not in stored and definition not in counts:
            continue
        if isinstance(definition, (Stored, Uniform)) or not definition.size:
            continue
        for store in stores_of(storage_of(definition)):
            walk = _Walk(store, definition, stored, costs, counts)
            for found, positions in walk.repeated():
                counts[found] = max(counts.get(found, 0), positions)
    return {*stored.difference(wanted), *_worth(counts, stored)}


def _moved_often(
    reachable: Sequence[Definition], wanted: Collection[Definition]
) -> Iterator[Definition]:
    """Yield what ends a long chain of movements."""
    moves: dict[Definition, int] = {}
    for definition in reachable:
        if isinstance(definition, (View, Reshaped, Pieced)):
            count = 1 + max([moves[operand] for operand in definition.operands], default=0)
            if count > MOST_MOVES and not isinstance(definition, Reshaped):
                yield definition
                count = 0
            moves[definition] = 0 if definition in wanted else count
        else:
            moves[definition] = 0


def _costs(
    reachable: Sequence[Definition], stored: Collection[Definition]
) -> dict[Definition, int]:
    """Return about how many additions an element of each value takes, if all is computed anew."""
    costs: dict[Definition, int] = {}
    for definition in reachable:
        below = [1 if each in stored else costs[each] for each in definition.operands]
        if isinstance(definition, Elementwise):
            cost = definition.cost + sum(below)
        elif isinstance(definition, Gathered):
            cost = GATHER_COST + sum(below[1:])
        elif isinstance(definition, (View, Reshaped, Pieced)):
            cost = max(below, default=0)
        else:
            cost = 0 if isinstance(definition, Uniform) else 1
        costs[definition] = min(cost, _MOST_COST)
    return costs


def _worth(counts: dict[Definition, int], stored: Collection[Definition]) -> Iterator[Definition]:
    """Yield what takes more to compute again, from what is in memory then, than to read."""
    kept: set[Definition] = set()
    for definition in sorted(counts, key=lambda each: each.order):
        cost, seen, stack = 0, {definition}, [definition]
        while stack and cost < RECOMPUTED_COST and len(seen) <= MOST_MOVES:
            made = stack.pop()
            if isinstance(made, Elementwise):
                cost += max(made.cost, 1) * (counts[definition] - 1)
            for operand in made.operands:
                if operand not in seen and operand not in kept and operand not in stored:
                    seen.add(operand)
                    stack.append(operand)
        if cost >= RECOMPUTED_COST or stack:
            kept.add(definition)
            yield definition


class _Walk:
    """The values below a store, from the results backwards, with the positions they are needed at.

    A value comes after all that reads it, since its order is less than theirs.
    """

    def __init__(
        self,
        store: Store,
        made: Definition,
        stored: Collection[Definition],
        costs: dict[Definition, int],
        chosen: Collection[Definition],
    ) -> None:
        self.extents = store.extents
        self.length = len(store.extents) + 1
        self.box = [(0, n) for n in store.extents]
        self.stored = stored
        self.costs = costs
        self.chosen = chosen
        self.made = made
        self.positions: dict[Definition, dict[Position, None]] = {}
        self.through: dict[Definition, set[Definition | None]] = {}
        """The values made of rectangles that show each value; None where it is read otherwise."""
        self.heap: list[tuple[int, Definition]] = []
        self._need(*store.place, {None})

    def repeated(self) -> Iterator[tuple[Definition, int]]:
        """Yield what would be computed more than once, at some cost, and at how many positions."""
        while self.heap:
            _, definition = heappop(self.heap)
            positions = self.positions[definition]
            if isinstance(definition, (Stored, Uniform)):
                continue
            if definition is not self.made and (
                definition in self.stored or definition in self.chosen
            ):
                continue
            if isinstance(definition, (Elementwise, Gathered)):
                if len(positions) > 1 and self.costs[definition] >= RECOMPUTED_COST:
                    yield self._whole(definition), len(positions)
                    continue
                self._compute(definition, positions)
            else:
                for position in positions:
                    self._move(definition, position)

    def _whole(self, definition: Definition) -> Definition:
        """Return what is made of a value and other rectangles, if it is read as part of that only.

        It is then written where it is read, and its reader need not be cut into parts.
        """
        while True:
            (*others, found) = self.through[definition]
            if others or found is None or len(self.positions[found]) < 2:
                return definition
            definition = found

    def _need(
        self, definition: Definition, position: Position, through: set[Definition | None]
    ) -> None:
        position = trimmed(definition.shape, position, self.length)
        positions = self.positions.get(definition)
        if positions is None:
            positions = self.positions[definition] = {}
            self.through[definition] = set()
            heappush(self.heap, (-definition.order, definition))
        positions[position] = None
        self.through[definition] |= through

    def _compute(self, definition: Elementwise | Gathered, positions: Collection[Position]) -> None:
        operands = definition.inputs if isinstance(definition, Elementwise) else definition.indices
        for position in positions:
            place = Request(definition, position)
            for operand in operands:
                self._need(operand, operand_position(place, operand, self.length), {None})

    def _move(self, definition: Definition, position: Position) -> None:
        """Go through what only moves elements."""
        if isinstance(definition, View):
            below = moved(definition.steps, position, self.length)
            self._need(definition.operand, below, self.through[definition])
        elif isinstance(definition, Reshaped):
            operand = definition.operand
            offset = flatten(definition.shape, position, self.length)
            found = split(offset, operand.shape, self.extents)
            if found is not None:  # else it will be demanded
                self._need(operand, found, self.through[definition])
        elif isinstance(definition, Pieced):
            reach = [bounds(form, self.box) for form in position]
            for piece in definition.pieces:
                if piece.operand is not None and all(
                    nominal(low) < nominal(stop) and nominal(start) <= nominal(high)
                    for (start, stop), (low, high) in zip(piece.box, reach, strict=True)
                ):
                    below = inside_piece(piece, position, self.length)
                    self._need(definition.sources[piece.operand], below, {definition})
