"""Choose an order of the instructions in which less memory is needed at once."""

from __future__ import annotations

import heapq
from collections.abc import Sequence

from staticgraph.declare.effects import has_effect
from staticgraph.program.layout import find_layouts
from staticgraph.program.program import Instruction, Program, Value

_WORTHWHILE = 99
"""The order is changed only for a peak of at most so many hundredths of the old one."""


def reorder_for_memory(program: Program) -> Program:
    """Schedule greedily what frees most memory first; keep the order if the peak gains nothing.

    List scheduling: of the instructions whose operands are there, the next one is that which
    leaves the fewest bytes in use. O(n log n) in the instructions and their operands.
    """
    needs = _Needs(program)
    before = needs.peak(range(len(program.instructions)))
    order = needs.schedule()
    if 100 * needs.peak(order) > before * _WORTHWHILE:
        return program
    return program.with_instructions([program.instructions[position] for position in order])


class _Needs:
    """What each instruction allocates and which memory it reads."""

    def __init__(self, program: Program) -> None:
        layouts = find_layouts(program)
        self.instructions: tuple[Instruction, ...] = program.instructions
        self.made_at = {each.output: i for i, each in enumerate(self.instructions)}
        # memory is told apart by the position of the instruction that allocates it
        self.allocated: list[int] = []
        self.memory: list[int] = []
        for position, instruction in enumerate(self.instructions):
            base = layouts[instruction.output].base
            own = base is instruction.output
            self.allocated.append(instruction.output.type.nbytes if own else 0)
            self.memory.append(position if own else self._place(base))
        self.reads = [self._memory_of(each.inputs) for each in self.instructions]
        self.pinned = self._memory_of(program.results)
        self.users: list[list[int]] = [[] for _ in self.instructions]
        for position, reads in enumerate(self.reads):
            for memory in reads:
                self.users[memory].append(position)

    def _place(self, base: Value) -> int:
        place = self.made_at.get(base)
        return -1 if place is None else self.memory[place]

    def _memory_of(self, values: Sequence[Value]) -> set[int]:
        places = {self.made_at[value] for value in values if value in self.made_at}
        return {self.memory[place] for place in places} - {-1}

    def peak(self, order: Sequence[int]) -> int:
        """Return the most bytes in use at once when the instructions run in `order`."""
        left = [len(users) for users in self.users]
        for memory in self.pinned:
            left[memory] += 1
        in_use = most = 0
        for position in order:
            in_use += self.allocated[position]
            most = max(most, in_use)
            if not left[position]:
                in_use -= self.allocated[position]
            for memory in self.reads[position]:
                left[memory] -= 1
                if not left[memory]:
                    in_use -= self.allocated[memory]
        return most

    def schedule(self) -> list[int]:
        """Return the order of the greedy schedule."""
        waits = [0] * len(self.instructions)
        dependents: list[list[int]] = [[] for _ in self.instructions]
        effect: int | None = None
        for position, instruction in enumerate(self.instructions):
            operands = {self.made_at[v] for v in instruction.inputs if v in self.made_at}
            waits[position] = len(operands)
            for operand in operands:
                dependents[operand].append(position)
            # effects happen in the order in which they were declared
            if has_effect(instruction.op, instruction.attrs):
                if effect is not None and effect not in operands:
                    waits[position] += 1
                    dependents[effect].append(position)
                effect = position
        left = [len(users) for users in self.users]
        # with one user left, the sum of those left is that user
        sums = [sum(users) for users in self.users]
        freed = [0] * len(self.instructions)
        for memory, users in enumerate(self.users):
            if len(users) == 1 and memory not in self.pinned:
                freed[users[0]] += self.allocated[memory]
        done = [False] * len(self.instructions)
        ready = [(self.allocated[i] - freed[i], i) for i, n in enumerate(waits) if not n]
        heapq.heapify(ready)
        order = []
        while ready:
            _, position = heapq.heappop(ready)
            if done[position]:
                continue
            done[position] = True
            order.append(position)
            for memory in self.reads[position]:
                left[memory] -= 1
                sums[memory] -= position
                if left[memory] == 1 and memory not in self.pinned:
                    last = sums[memory]
                    freed[last] += self.allocated[memory]
                    if not waits[last]:
                        heapq.heappush(ready, (self.allocated[last] - freed[last], last))
            for dependent in dependents[position]:
                waits[dependent] -= 1
                if not waits[dependent]:
                    cost = self.allocated[dependent] - freed[dependent]
                    heapq.heappush(ready, (cost, dependent))
        return order
