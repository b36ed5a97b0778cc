"""Packing: where values lie in memory, when it is known how long each is needed."""

from __future__ import annotations

from collections.abc import Sequence
from operator import getitem
from typing import NamedTuple

from staticgraph.backends.native.definitions.open_lengths import (
    Computed,
    apply,
    is_open,
)
from staticgraph.program.memory import Arena, aligned

MOST_SORTED = 300
"""More values are not placed by size, which compares all with all."""
WORTH = 0.95
"""Another way is taken where arena and rooms are then at most that part as large."""


class Life(NamedTuple):
    """A value: its size, and the first and the last step that need it."""

    nbytes: int
    first: int
    last: int


class Room(NamedTuple):
    """Memory that is there in any case, such as a result's, and free before the step `until`."""

    nbytes: int
    until: int


class Allocation(NamedTuple):
    """Where a value is: in a room, by its number, or in the arena, which has none."""

    room: int | None
    offset: int


def pack(lives: Sequence[Life], rooms: Sequence[Room] = ()) -> tuple[list[Allocation], int]:
    """Return the place of each value, and how large the arena must be.

    Values are placed in the order in which they are made, each in the smallest place that was freed
    before and so is likely in a cache. They are placed in the rooms first, or by size, where that
    takes much less memory: what lies in a room is not aligned.
    """
    if is_open(*[life.nbytes for life in lives], *[room.nbytes for room in rooms]):
        return _pack_in_each_run(lives)
    best = _pack_in_order(lives, ())
    there = sum([room.nbytes for room in rooms])
    if WORTH * (best[1] + there) < there:
        return best
    others: list[tuple[list[Allocation], int]] = []
    if rooms:
        others.append(_pack_in_order(lives, rooms))
    if len(lives) <= MOST_SORTED:
        others.append(_pack_by_size(lives, ()))
        if rooms:
            others.append(_pack_by_size(lives, rooms))
    for other in others:
        if other[1] + there < WORTH * (best[1] + there):
            best = other
    return best


def _pack_in_each_run(lives: Sequence[Life]) -> tuple[list[Allocation], int]:
    """Return places in the arena that are found when the sizes are known."""
    spans = tuple([(first, last) for _, first, last in lives])
    sizes = [life.nbytes for life in lives]
    if not is_open(*sizes):
        return pack(lives)
    packed = Computed(_packed, (spans, *sizes))
    offsets = [apply(getitem, packed, i) for i in range(len(lives) + 1)]
    return [Allocation(None, offset) for offset in offsets[:-1]], offsets[-1]


def _packed(spans: Sequence[tuple[int, int]], *sizes: int) -> tuple[int, ...]:
    """Return the offset of each value, and the size of the arena."""
    lives = [Life(nbytes, *span) for nbytes, span in zip(sizes, spans, strict=True)]
    places, arena = pack(lives)
    return (*[place.offset for place in places], arena)


def _pack_in_order(lives: Sequence[Life], rooms: Sequence[Room]) -> tuple[list[Allocation], int]:
    blocks = [Arena() for _ in (*rooms, None)]
    places: dict[int, Allocation] = {}
    ending: dict[int, list[int]] = {}
    done = 0
    for number in sorted(range(len(lives)), key=lambda each: (lives[each].first, each)):
        life = lives[number]
        for step in range(done, life.first):
            for each in ending.pop(step, ()):
                room, offset = places[each]
                blocks[-1 if room is None else room].give_back(offset, lives[each].nbytes)
        done = max(done, life.first)
        place: Allocation | None = None
        for room, (nbytes, until) in enumerate(rooms):
            if life.last < until and blocks[room].size_with(life.nbytes) <= nbytes:
                place = Allocation(room, blocks[room].take(life.nbytes))
                break
        places[number] = place or Allocation(None, blocks[-1].take(life.nbytes))
        ending.setdefault(life.last, []).append(number)
    return [places[number] for number in range(len(lives))], blocks[-1].size


def _pack_by_size(lives: Sequence[Life], rooms: Sequence[Room]) -> tuple[list[Allocation], int]:
    """Place the largest value first, each in the smallest gap between those it lives beside.

    Pisarchyk and Lee, "Efficient memory management for deep neural net inference", 2020.
    """
    blocks: list[list[_Taken]] = [[] for _ in (*rooms, None)]
    places: dict[int, Allocation] = {}
    for number in sorted(range(len(lives)), key=lambda each: (-lives[each].nbytes, each)):
        life = lives[number]
        place = Allocation(None, _gap(blocks[-1], life))
        for room, (nbytes, until) in enumerate(rooms):
            if life.last < until:
                offset = _gap(blocks[room], life)
                if offset + aligned(life.nbytes) <= nbytes:
                    place = Allocation(room, offset)
                    break
        block = blocks[-1 if place.room is None else place.room]
        block.append(_Taken(place.offset, place.offset + aligned(life.nbytes), life))
        places[number] = place
    size = max([taken.stop for taken in blocks[-1]], default=0)
    return [places[number] for number in range(len(lives))], size


class _Taken(NamedTuple):
    start: int
    stop: int
    life: Life


def _gap(block: Sequence[_Taken], life: Life) -> int:
    """Return the start of the smallest gap that is wide enough, or of what is free at the end."""
    need = aligned(life.nbytes)
    best, width, end = -1, 0, 0
    busy = [
        (start, stop)
        for start, stop, other in block
        if other.first <= life.last and life.first <= other.last
    ]
    for start, stop in sorted(busy):
        gap = start - end
        if gap >= need and (best < 0 or gap < width):
            best, width = end, gap
        end = max(end, stop)
    return end if best < 0 else best
