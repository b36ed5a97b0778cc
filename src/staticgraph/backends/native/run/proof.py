"""Proof: whatever a plan reads has been written, and nothing else has taken its memory since."""

from __future__ import annotations

import itertools
from bisect import bisect_left
from collections.abc import Iterator, Mapping
from math import prod
from typing import NamedTuple

import numpy as np

from oplibrary.values.types import Array
from staticgraph.backends.native.definitions.affine import row_major
from staticgraph.backends.native.definitions.definition import Definition, Uniform
from staticgraph.backends.native.definitions.open_lengths import Lengths, value_at
from staticgraph.backends.native.definitions.selections import Gathered
from staticgraph.backends.native.planning.control import (
    Controlled,
    controls_of,
    in_place,
    scratch_sizes,
)
from staticgraph.backends.native.planning.plan import Location, NativePlan
from staticgraph.backends.native.planning.steps import Call, Kernel, Step, Store, storage_of


class UnprovedPlan(Exception):
    """A plan that reads what was not written, or writes where something else still is."""


def prove(plan: NativePlan, lengths: Lengths | None = None) -> None:
    """Follow a plan step by step, those of its regions included.

    Parameters
    ----------
    plan : NativePlan
    lengths : Lengths, optional
        At which a plan for all lengths is followed.

    Raises
    ------
    UnprovedPlan
        If a step reads what is not there, or two things are to be in one place.
    """
    pending: list[tuple[NativePlan, dict[int, int]]] = [(plan, {})]
    proved = set()
    while pending:
        found, same = pending.pop()
        if (found, tuple(same)) in proved:
            continue
        proved.add((found, tuple(same)))
        _Proof(found, same, lengths or Lengths({})).run()
        for controlled in controls_of(found):
            for number, inner in enumerate(controlled.plans):
                carried = in_place(controlled) if number == 0 and inner.overwritable else set()
                pending.append((inner, {len(inner.sources) + each: each for each in carried}))


class _Span(NamedTuple):
    """Bytes of a slot, and what is there; None for what only one step uses."""

    slot: int
    start: int
    stop: int
    definition: Definition | None

    @property
    def key(self) -> tuple[int, int]:
        return self.slot, self.start


class _Proof:
    """What is in memory while the steps of a plan are followed.

    Parameters
    ----------
    plan : NativePlan
    same : mapping of int to int
        The slots whose memory is that of another slot.
    lengths : Lengths
    """

    def __init__(self, plan: NativePlan, same: Mapping[int, int], lengths: Lengths) -> None:
        self.plan = plan
        self.same = same
        self.lengths = lengths
        self.there: list[_Span] = []  # what is in memory, by slot and start, without overlaps
        self.whole: set[Definition] = set()  # what is there to its last element
        # which elements of what is made in parts are there, and how many are not
        self.marks: dict[Definition, Array] = {}
        self.missing: dict[Definition, int] = {}
        self.capacity = [self._at(each.nbytes) for each in (*plan.sources, *plan.results)]
        self.capacity.append(self._at(plan.arena_bytes))

    def run(self) -> None:
        """Follow the steps."""
        for source in self.plan.sources:
            self._put(self._span(source))
            self.whole.add(source)
        for number, step in enumerate(self.plan.grouping.steps):
            self._follow(number, step)
        for position, result in enumerate(map(storage_of, self.plan.results)):
            if result.size:
                self._require(result, "the results")
                if self.plan.locations[result].slot != len(self.plan.sources) + position:
                    raise UnprovedPlan(f"{result} is not where result {position} is looked for")

    def _at(self, number: int) -> int:
        """Return a number of the plan as it is at the lengths."""
        return value_at(number, self.lengths)  # type: ignore[no-any-return]

    def _follow(self, number: int, step: Step) -> None:
        name = f"step {number}"
        stores = [] if isinstance(step, Call) else list(self._written_roots(step))
        written = (
            list(step.definition.written)
            if isinstance(step, Call)
            else list(dict.fromkeys([store.storage for store in stores]))
        )
        spans = [self._span(each) for each in written if self._has_place(each)]
        spans += self._scratch(step)
        spans.sort(key=lambda span: span.key)
        for before, after in itertools.pairwise(spans):
            if before.slot == after.slot and after.start < before.stop:
                raise UnprovedPlan(f"{name} writes {before.definition} over {after.definition}")
        for read in dict.fromkeys(_read_by(step, self.plan)):
            if not read.size or isinstance(read, Uniform):
                continue
            self._require(read, name)
            if read in self.plan.held:
                continue
            own = self._span(read)
            for span in spans[slice(*_overlapping(spans, own))]:
                if not self._may_overwrite(step, read, own, span):
                    raise UnprovedPlan(f"{name} overwrites {read} while it is read")
        for span in spans:
            self._put(span)
        self.whole.update(written if isinstance(step, Call) else ())
        for store in stores:
            self._mark(store)

    def _written_roots(self, kernel: Kernel) -> Iterator[Store]:
        nest = self.plan.nests[kernel]
        inside = sum([prod([b - a for a, b in part.box]) for part in nest.parts])
        if self._at(inside) != self._at(prod(kernel.extents)):
            raise UnprovedPlan("the parts of a kernel are not all of it")
        for store in kernel.stores:
            if store.storage is not store.definition or store.definition not in self.plan.unread:
                yield store

    def _has_place(self, definition: Definition) -> bool:
        return bool(definition.size) and definition not in self.plan.held

    def _span(self, definition: Definition) -> _Span:
        location = self.plan.locations.get(definition)
        if location is None:
            raise UnprovedPlan(f"{definition} has no place")
        return self._place(location, definition.nbytes, definition)

    def _place(self, location: Location, nbytes: int, definition: Definition | None) -> _Span:
        start = self._at(location.offset)
        stop = start + self._at(nbytes)
        if start < 0 or stop > self.capacity[location.slot]:
            raise UnprovedPlan(f"{definition} is not inside of its memory")
        slot = self.same.get(location.slot, location.slot)
        return _Span(slot, start, stop, definition)

    def _scratch(self, step: Step) -> list[_Span]:
        """Return what is used by one step alone."""
        if isinstance(step, Kernel):
            nest = self.plan.nests[step]
            found = [(self.plan.partials.get(r.definition), r) for r in nest.partial_roots]
            if any(place is None for place, _ in found):
                raise UnprovedPlan("the chunks of a reduction have no place")
            return [
                self._place(place, store.definition.nbytes * nest.chunks, None)
                for place, store in found
                if place is not None
            ]
        if not isinstance(step.definition, Controlled):
            return []
        sizes = scratch_sizes(step.definition)
        pairs = zip(self.plan.scratch[step.definition], sizes, strict=True)
        return [self._place(place, size, None) for place, size in pairs]

    def _require(self, definition: Definition, reader: str) -> None:
        if definition not in self.whole:
            raise UnprovedPlan(f"{reader} reads {definition}, which is not there")

    def _may_overwrite(self, step: Step, read: Definition, own: _Span, span: _Span) -> bool:
        """Tell whether a value is made in the memory of another one, element by element."""
        if span.definition is None or span.key != own.key or span.definition is read:
            return False
        if isinstance(step, Call):
            addend = step.definition.addend
            if addend is not None and storage_of(addend) is read:
                return True
        return read in self.plan.overwritten.get(span.definition, ())

    def _put(self, span: _Span) -> None:
        """Let something be in memory, and nothing else there."""
        first, last = _overlapping(self.there, span)
        for other in self.there[first:last]:
            if other.definition is span.definition is not None:
                return  # another part of the same value
            assert other.definition is not None
            self.whole.discard(other.definition)
            self.marks.pop(other.definition, None)
        kept = [span] if span.definition is not None and span.start < span.stop else []
        self.there[first:last] = kept

    def _mark(self, store: Store) -> None:
        """Note which elements a store has written."""
        storage, shape = store.storage, store.definition.shape
        if not store.start and store.strides == row_major(storage.shape) and shape == storage.shape:
            self.whole.add(storage)
            return
        marks = self.marks.get(storage)
        size, start = self._at(storage.size), self._at(store.start)
        if marks is None:
            marks = self.marks[storage] = np.zeros(size, bool)
            self.missing[storage] = size
        lengths, strides = tuple(map(self._at, shape)), tuple(map(self._at, store.strides))
        last = start + sum([(n - 1) * s for n, s in zip(lengths, strides, strict=True)])
        if start < 0 or last >= size:
            raise UnprovedPlan(f"a part of {storage} is not inside of it")
        part = np.lib.stride_tricks.as_strided(marks[start:], lengths, strides)
        self.missing[storage] -= part.size - int(np.count_nonzero(part))
        part[...] = True
        if not self.missing[storage]:
            self.whole.add(storage)
            del self.marks[storage]


def _overlapping(spans: list[_Span], own: _Span) -> tuple[int, int]:
    """Return which of `spans`, sorted and apart from each other, have bytes of another one."""
    first = bisect_left(spans, own.key, key=lambda each: each.key)
    if first and spans[first - 1].slot == own.slot and spans[first - 1].stop > own.start:
        first -= 1
    last = first
    while last < len(spans) and spans[last].slot == own.slot and spans[last].start < own.stop:
        last += 1
    return first, last


def _read_by(step: Step, plan: NativePlan) -> Iterator[Definition]:
    """Yield what a step reads from memory."""
    if isinstance(step, Call):
        yield from map(storage_of, step.definition.operands)
        return
    folds = {store.definition: store for store in step.stores if store.fold is not None}
    for part in plan.nests[step].parts:
        for node in part.nodes:
            definition = node.definition
            if isinstance(definition, Gathered) and not node.leaf:
                yield storage_of(definition.source)
            elif node.leaf and definition in folds:
                if not step.is_local(folds[definition]):
                    raise UnprovedPlan(f"{definition} is read before it is finished")
            elif node.leaf:
                yield definition
