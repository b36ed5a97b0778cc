"""Long programs as blocks in blocks: what repeats step by step, and a few at once."""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from itertools import groupby

MOST = 32
"""What stands at most on one level."""

_FEW = 24
"""So many are shown as they are."""

_LEAST_REPEATED = 8
"""What repeats is made a block from so many nodes on."""

_LEAST_TOGETHER = 4
"""So many nodes between two blocks are a block, where there are too many of both."""

_MOST_PERIODS = 48
"""How many later uses of the same op are tried as the begin of the next step."""


@dataclass(frozen=True)
class Block:
    """Neighbours in the order in which a program runs.

    Attributes
    ----------
    title : str
    members : tuple of int or Block
        Positions in the program, in order.
    """

    title: str
    members: tuple[int | Block, ...]

    @property
    def first(self) -> int:
        """The first position."""
        member = self.members[0]
        return member.first if isinstance(member, Block) else member

    @property
    def count(self) -> int:
        """How many positions it holds."""
        return sum(each.count if isinstance(each, Block) else 1 for each in self.members)


def blocks(
    kinds: Sequence[Hashable], title: Callable[[int, int], str] = lambda first, last: ""
) -> tuple[int | Block, ...]:
    """Return positions arranged in blocks, at most `MOST` on a level.

    Parameters
    ----------
    kinds : sequence of hashable
        What is equal where a program does the same again, in the order in which it runs: a run of
        kinds that comes at least twice in a row is steps.
    title : callable
        ``title(first, last)`` says what neighbours that are no steps have in common.

    Notes
    -----
    Each block is an interval of an order in which operands come first, so the blocks of a level
    depend on each other in one direction only, and can be drawn in layers.

    Examples
    --------
    >>> [each.title for each in blocks("x" + "abcdefghij" * 30 + "y") if isinstance(each, Block)]
    ['30 × 10 nodes']
    """
    numbers: dict[Hashable, int] = {}
    tokens = [numbers.setdefault(kind, len(numbers)) for kind in kinds]
    return _arranged(tokens, 0, len(tokens), title)


def _arranged(
    tokens: list[int], first: int, last: int, title: Callable[[int, int], str]
) -> tuple[int | Block, ...]:
    """Return the positions from `first` to before `last` in blocks."""
    if last - first <= _FEW:
        return tuple(range(first, last))
    later: dict[int, list[int]] = {}
    for position in range(last - 1, first - 1, -1):  # the next use stands last in its list
        later.setdefault(tokens[position], []).append(position)
    found: list[int | Block] = []
    position = first
    while position < last:
        uses = later[tokens[position]]
        uses.pop()
        period, times = _repetition(tokens, position, last, uses[: -_MOST_PERIODS - 1 : -1])
        if not times:
            found.append(position)
            position += 1
            continue
        end = position + period * times
        steps = [
            Block(f"step {step + 1}", _arranged(tokens, begin, begin + period, title))
            for step, begin in enumerate(range(position, end, period))
        ]
        name = f"{times:,} × {period:,} node{'' if period == 1 else 's'}"
        if period == 1:  # a block of each would hold one box
            members = _gathered(list(range(position, end)), title)
        else:
            members = _gathered(list(steps), title)
        found.append(Block(name, members))
        for passed in range(position + 1, end):
            later[tokens[passed]].pop()
        position = end
    return _gathered(found, title)


def _repetition(tokens: list[int], begin: int, last: int, candidates: list[int]) -> tuple[int, int]:
    """Return the period that the most of what follows `begin` has, and how often it comes."""
    best = (0, 0)
    for candidate in candidates:
        period = candidate - begin
        if begin + 2 * period > last:
            break
        step = tokens[begin:candidate]
        end = candidate
        while end + period <= last and tokens[end : end + period] == step:
            end += period
        times = (end - begin) // period
        if times > 1 and end - begin >= max(_LEAST_REPEATED, best[0] * best[1] + 1):
            best = (period, times)
    return best


def _gathered(
    members: list[int | Block], title: Callable[[int, int], str]
) -> tuple[int | Block, ...]:
    """Return neighbours put together until no more than `MOST` are left."""
    if len(members) > MOST and any(isinstance(each, Block) for each in members):
        members = _between_blocks(members, title)
    while len(members) > MOST:
        levels = math.ceil(math.log(len(members), MOST))
        size = math.ceil(len(members) ** (1 / levels))  # all levels about as long
        parts = [members[start : start + size] for start in range(0, len(members), size)]
        members = [part[0] if len(part) == 1 else _together(part, title) for part in parts]
    return tuple(members)


def _between_blocks(
    members: list[int | Block], title: Callable[[int, int], str]
) -> list[int | Block]:
    """Return members with what stands between blocks put together, so that these are seen."""
    found: list[int | Block] = []
    for is_block, run in groupby(members, lambda each: isinstance(each, Block)):
        alike = list(run)
        if is_block or len(alike) < _LEAST_TOGETHER:
            found += alike
            continue
        size = -(-len(alike) // -(-len(alike) // _FEW))
        parts = [alike[start : start + size] for start in range(0, len(alike), size)]
        found += [_together(part, title) for part in parts]
    return found


def _together(part: list[int | Block], title: Callable[[int, int], str]) -> Block:
    ends = part[0], part[-1]
    steps = [each.title for each in ends if isinstance(each, Block)]
    if len(steps) == 2 and all(each.startswith("step") for each in steps):
        first, last = (each.split()[1].split("–") for each in steps)
        return Block(f"steps {first[0]}–{last[-1]}", tuple(part))
    begin, end = (each.first if isinstance(each, Block) else each for each in ends)
    if isinstance(part[-1], Block):
        end += part[-1].count - 1
    return Block(title(begin, end), tuple(part))
