"""Schedule: the order of steps that keeps the fewest bytes at once."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from heapq import heappop, heappush

from staticgraph.backends.native.definitions.definition import Definition
from staticgraph.backends.native.planning.grouping import Grouping, gathered_from
from staticgraph.backends.native.planning.steps import Call, Step, changed_by, storage_of
from staticgraph.declare.effects import has_effect

MOST_STEPS = 1000
"""A program of more steps is run as declared: the search takes the square of their number."""
WORTH = 0.95
"""Another order is taken if it needs at most that part of the memory, at its peak or on average."""


def schedule(grouping: Grouping, results: Iterable[Definition]) -> Grouping:
    """Return the steps in an order that needs less memory, if a greedy search finds one.

    At each point the step is taken that leaves the fewest bytes behind. What NumPy computes, and
    what has an effect, stays in the order declared.
    """
    steps = grouping.steps
    if not 0 < len(steps) <= MOST_STEPS:
        return grouping
    flow = _Flow(steps, {storage_of(each) for each in results})
    greedy = flow.greedy()
    order = min(flow.postponed(greedy), greedy, key=flow.memory)
    peak, average = flow.memory(order)
    peak_declared, average_declared = flow.memory(range(len(steps)))
    less_on_average = peak <= peak_declared and average <= WORTH * average_declared
    if peak > WORTH * peak_declared and not less_on_average:
        return grouping
    return _ordered(grouping, flow, order)


def read_before_changed(grouping: Grouping) -> Grouping:
    """Return the steps, what reads a value before the assignment that could change it in its place.

    Without that the assignment has to copy the value for those who read it afterwards.
    """
    steps = grouping.steps
    changed = {number: changed_by(step) for number, step in enumerate(steps)}
    changing = [number for number, value in changed.items() if value is not None]
    if not changing or len(steps) > MOST_STEPS:
        return grouping
    flow = _Flow(steps, set())
    for number in changing:
        later = flow.behind(number)
        for reader, read in enumerate(flow.reads):
            if changed[number] in read and reader not in later:
                flow.after[number].add(reader)
    waiting = [set(after) for after in flow.after]
    then = flow.then()
    ready = [number for number, after in enumerate(waiting) if not after]
    order: list[int] = []
    while ready:
        number = heappop(ready)
        order.append(number)
        for each in then[number]:
            waiting[each].discard(number)
            if not waiting[each]:
                heappush(ready, each)
    return _ordered(grouping, flow, order)


def _ordered(grouping: Grouping, flow: _Flow, order: Sequence[int]) -> Grouping:
    place = {old: new for new, old in enumerate(order)}
    ordered = [grouping.steps[old] for old in order]
    for new, step in enumerate(ordered):
        step.index = new
    index = {each: place.get(old, old) for each, old in grouping.index.items()}
    for written, writers in flow.writers.items():
        # made in parts, by several kernels: the last one completes it
        index[written] = max(place[writer] for writer in writers)
    return Grouping(ordered, index)


class _Flow:
    """Which step writes and reads what.

    Attributes
    ----------
    writes : list of (list of Definition)
    writers : dict of Definition to list of int
    """

    def __init__(self, steps: Sequence[Step], results: set[Definition]) -> None:
        self.writes: list[list[Definition]] = []
        self.writers: dict[Definition, list[int]] = {}
        self.reads: list[set[Definition]] = []
        self.after: list[set[int]] = [set() for _ in steps]
        self.results = results
        fixed = None  # the last step that must stay behind the one before
        for number, step in enumerate(steps):
            written = list(dict.fromkeys(_written(step)))
            self.writes.append(written)
            for each in written:
                self.writers.setdefault(each, []).append(number)
            self.reads.append(_read(step) - set(written))
            if isinstance(step, Call) and _is_fixed(step):
                if fixed is not None:
                    self.after[number].add(fixed)
                fixed = number
        for number, read in enumerate(self.reads):
            for each in read:
                self.after[number].update(self.writers.get(each, ()))

    def then(self) -> list[list[int]]:
        """Return for each step those that come after it."""
        then: list[list[int]] = [[] for _ in self.after]
        for number, after in enumerate(self.after):
            for each in after:
                then[each].append(number)
        return then

    def behind(self, number: int) -> set[int]:
        """Return a step and all that can only come after it."""
        then = self.then()
        found, stack = {number}, [number]
        while stack:
            more = [each for each in then[stack.pop()] if each not in found]
            found.update(more)
            stack += more
        return found

    def _held(self) -> dict[Definition, int]:
        """Return how many steps read each value that is written, results being read for ever."""
        readers = {each: int(each in self.results) for each in self.writers}
        for read in self.reads:
            for each in read:
                if each in readers:
                    readers[each] += 1
        return readers

    def greedy(self) -> list[int]:
        """Return the order in which each step leaves the fewest bytes behind."""
        left = self._held()
        waiting = [len(after) for after in self.after]
        then = self.then()
        ready = [number for number, count in enumerate(waiting) if not count]
        begun: set[Definition] = set()
        order = []
        while ready:
            number = min(ready, key=lambda each: (self._delta(each, left, begun), each))
            ready.remove(number)
            order.append(number)
            begun.update(self.writes[number])
            for read in self.reads[number]:
                if read in left:
                    left[read] -= 1
            for each in then[number]:
                waiting[each] -= 1
                if not waiting[each]:
                    ready.append(each)
        return order

    def postponed(self, order: Sequence[int]) -> list[int]:
        """Return an order in which what only takes memory is not done before it is needed."""
        begun: set[Definition] = set()
        last: dict[Definition, int] = {}
        takes: dict[int, int] = {}
        for number in order:
            takes[number] = sum([e.weight for e in self.writes[number] if e not in begun])
            begun.update(self.writes[number])
            last.update(dict.fromkeys(self.reads[number], number))
        for each, number in last.items():
            if each not in self.results and each in begun:
                takes[number] -= each.weight
        needed_by: dict[int, set[int]] = {}
        for number, after in enumerate(self.after):
            for before in after:
                needed_by.setdefault(before, set()).add(number)
        backwards: list[int] = []
        for number in reversed(order):
            at = len(backwards)
            users = needed_by.get(number)
            if takes[number] > 0 and users:
                while backwards[at - 1] not in users:
                    at -= 1
            backwards.insert(at, number)
        return backwards[::-1]

    def _delta(self, number: int, left: dict[Definition, int], begun: set[Definition]) -> int:
        taken = sum(
            [each.weight for each in self.writes[number] if each not in begun and left[each]]
        )
        freed = sum([each.weight for each in self.reads[number] if left.get(each) == 1])
        return taken - freed

    def memory(self, order: Sequence[int]) -> tuple[int, float]:
        """Return the bytes during the steps: the most, and the average."""
        left = self._held()
        begun: set[Definition] = set()
        now = most = total = 0
        for number in order:
            now += sum([each.weight for each in self.writes[number] if each not in begun])
            begun.update(self.writes[number])
            most = max(most, now)
            total += now
            now -= sum([each.weight for each in self.writes[number] if not left[each]])
            for read in self.reads[number]:
                if read in left:
                    left[read] -= 1
                    now -= 0 if left[read] else read.weight
        return most, total / len(order)


def _written(step: Step) -> list[Definition]:
    if isinstance(step, Call):
        return list(step.definition.written)
    return [store.storage for store in step.stores]


def _read(step: Step) -> set[Definition]:
    if isinstance(step, Call):
        return set(map(storage_of, step.definition.operands))
    found: set[Definition] = set()
    for store in step.stores:
        found.update(storage_of(leaf.definition) for leaf in store.leaves)
        found.update(map(storage_of, gathered_from(store)))
    return found


def _is_fixed(step: Call) -> bool:
    instruction = step.definition.instruction
    effect = instruction is not None and has_effect(instruction.op, instruction.attrs)
    return effect or not step.definition.in_machine_code
