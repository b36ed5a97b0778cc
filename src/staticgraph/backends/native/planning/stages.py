"""Stages: in which pass over a row each value is computed, and what is kept between passes."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from math import prod

from staticgraph.backends.native.definitions.definition import Definition
from staticgraph.backends.native.definitions.open_lengths import at_most
from staticgraph.backends.native.planning.exploration import Box, Part, ValueAt
from staticgraph.backends.native.planning.loops import ROW_BYTES, Nest
from staticgraph.backends.native.planning.recomputation import RECOMPUTED_COST
from staticgraph.backends.native.planning.steps import Store

MOST_SUMS = 4
"""Sums of that many columns at once find room in registers."""
COLUMN_ELEMENTS = 1 << 16
"""Larger matrices are read row by row, as memory likes it, and summed up in memory."""


class Stages:
    """What is known of a nest before anything is written.

    Attributes
    ----------
    full, row_roots : list of Store
        The stores that all loops are needed for, and those that are computed once a row.
    folds : dict of Definition to Store
        The reductions.
    levels : dict of ValueAt to int
        The stage of each value: one more than that of a reduction that it reads.
    root_levels : dict of Store to int
    boxes : list of (list of (int, int), list of Part)
        The ranges of the loops over rows that differ, each with its parts.
    """

    def __init__(self, nest: Nest) -> None:
        self.nest = nest
        self.stores = nest.kernel.stores
        self.depths = len(nest.extents)
        self.folds = {store.definition: store for store in self.stores if store.fold is not None}
        self.full = [store for store in self.stores if store.extents == nest.kernel.extents]
        self.row_roots = [store for store in self.stores if store.extents != nest.kernel.extents]
        self.levels: dict[ValueAt, int] = {}
        self.root_levels: dict[Store, int] = {}
        self.boxes = _outer_boxes(nest)
        self._numbers = {store: number for number, store in enumerate(self.stores)}
        self._depths: dict[ValueAt, int] = {}
        self._find_levels()

    @property
    def count(self) -> int:
        """Number of stages."""
        return max(self.root_levels.values(), default=0) + 1

    @property
    def sums_columns(self) -> bool:
        """Whether the kernel reduces the rows of a matrix, small enough to be read by columns."""
        nest = self.nest
        return (
            len(nest.extents) == 2
            and nest.outer == 0
            and len(nest.parts) == 1
            and len(self.stores) <= MOST_SUMS
            and at_most(prod(nest.extents), COLUMN_ELEMENTS)
            and all(
                store.fold is not None
                and store.extents == nest.kernel.extents
                and nest.reduced(store) == {0}
                for store in self.stores
            )
        )

    def top(self, part: Part, store: Store) -> ValueAt:
        """Return what is computed for a store."""
        return part.tops[self._numbers[store]]

    def is_local(self, store: Store) -> bool:
        """Tell whether a reduction is finished before the row ends."""
        return self.nest.kernel.is_local(store)

    def depth(self, node: ValueAt) -> int:
        """Return how many loops must be entered before a value can be computed."""
        depth = self._depths.get(node)
        if depth is None:
            depth = self._depths[node] = self.nest.depth_of(node)
        return depth

    def _find_levels(self) -> None:
        """Find the stage of every value: one more than that of a reduction that it reads."""
        fold_levels: dict[Definition, int] = {}
        left = [iter(part.nodes) for part in self.nest.parts]
        for number, store in enumerate(self.stores):  # a reduction comes before what reads it
            level = 0
            for part, nodes in zip(self.nest.parts, left, strict=True):
                top = part.tops[number]
                while top not in self.levels:
                    node = next(nodes)
                    self.levels[node] = self._level_of(node, fold_levels)
                level = max(level, self.levels[top])
            self.root_levels[store] = level
            if store.fold is not None and self.is_local(store):
                fold_levels[store.definition] = level + 1

    def _level_of(self, node: ValueAt, fold_levels: dict[Definition, int]) -> int:
        if not node.leaf:
            return max([self.levels[child] for child in node.children], default=0)
        assert node.definition not in self.folds or node.definition in fold_levels
        return fold_levels.get(node.definition, 0)

    # reductions ---------------------------------------------------------------------------------

    def gathers_from(self, store: Store) -> int:
        """Return the first of the innermost loops that a reduction goes over without a break."""
        reduced = self.nest.reduced(store)
        start = self.depths
        while start > self.nest.outer and start - 1 in reduced:
            start -= 1
        return start

    def is_direct(self, store: Store) -> bool:
        """Tell whether each result is finished when it is first known."""
        if store.extents != self.nest.kernel.extents or len(self.boxes[0][1]) > 1:
            return False
        return min(self.nest.reduced(store)) >= self.gathers_from(store)

    def clears_at(self, store: Store) -> int:
        """Return how many loops are entered when the accumulators of a reduction start anew."""
        if self.is_local(store) or self.is_direct(store):
            return -1
        return min(min(self.nest.reduced(store)), self.nest.outer)

    # what is kept between the stages ------------------------------------------------------------

    def find_kept(self, parts: Sequence[Part]) -> dict[ValueAt, int]:
        """Return what later stages read back instead of computing it again, with its stage."""
        kept: dict[ValueAt, int] = {}
        if len(parts) > 1 or self.count == 1:
            return kept
        visited: dict[ValueAt, int] = {}
        size = prod(self.nest.extents[self.nest.outer :])
        left = ROW_BYTES
        for stage in range(self.count):
            stack = [
                self.top(parts[0], store) for store in self.full if self.root_levels[store] == stage
            ]
            seen: set[ValueAt] = set()
            while stack:
                node = stack.pop()
                if node.leaf or node in seen or self.depth(node) <= self.nest.outer:
                    continue
                seen.add(node)
                if node in kept:
                    continue
                nbytes = size * node.definition.dtype.itemsize
                again = visited.get(node, stage) < stage
                if again and node.cost >= RECOMPUTED_COST and at_most(nbytes, left):
                    left -= nbytes
                    kept[node] = visited[node]
                    continue
                visited.setdefault(node, stage)
                stack += node.children
        return kept


def find_needed(
    tops: Sequence[ValueAt], stops: Callable[[ValueAt], bool] = lambda _: False
) -> list[ValueAt]:
    """Return all that `tops` are made of, operands first; nothing behind what `stops`."""
    result: list[ValueAt] = []
    seen: set[ValueAt] = set()
    stack = [(top, False) for top in reversed(tops)]
    while stack:
        node, expanded = stack.pop()
        if expanded:
            result.append(node)
            continue
        if node in seen:
            continue
        seen.add(node)
        stack.append((node, True))
        if not stops(node):
            stack += [(child, False) for child in reversed(node.children) if child not in seen]
    return result


def band_range(box: Box, band: tuple[int, int], extents: Sequence[int]) -> tuple[int, int]:
    """Return the range of a loop that goes over several axes."""
    first, last = band
    scale = prod(extents[first + 1 : last + 1])
    start, stop = box[first]
    return start * scale, stop * scale


def _outer_boxes(nest: Nest) -> list[tuple[list[tuple[int, int]], list[Part]]]:
    """Return the ranges of the loops over rows that differ, each with its parts."""
    extents = nest.kernel.extents
    outer = nest.bands[: nest.outer]
    pending = list(nest.parts)
    for first, _ in outer:
        borders = sorted({border for part in nest.parts for border in part.box[first]})
        refined = []
        for part in pending:
            low, high = part.box[first]
            inside = [b for b in borders if low <= b <= high]
            for start, stop in itertools.pairwise(inside):
                box = (*part.box[:first], (start, stop), *part.box[first + 1 :])
                refined.append(part._replace(box=box))
        pending = refined
    grouped: dict[tuple[tuple[int, int], ...], list[Part]] = {}
    for part in pending:
        key = tuple([band_range(part.box, band, extents) for band in outer])
        grouped.setdefault(key, []).append(part)
    return [(list(key), parts) for key, parts in sorted(grouped.items(), key=lambda kv: kv[0])]
