"""Cut groups of elementwise instructions into loops over blocks that stay in the cache.

Over arrays larger than the cache every NumPy call reads and writes main memory. A loop over blocks
runs all instructions of a group on one piece before it goes on to the next one. The results are
the same bits, since each element depends on its own place only.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import groupby, pairwise
from math import prod

from oplibrary.values.types import Shape
from staticgraph.program.layout import Layout
from staticgraph.program.memory import Blocks, PlannedStep
from staticgraph.program.program import Instruction, Program, Value

BLOCKED_BYTES = 1 << 18
"""Results of fewer bytes are computed whole: they stay in the cache anyway, and blocks of them
won nothing."""

CACHE_BYTES = 1 << 20
"""What one block of everything that a loop touches may take: half of a common second-level cache.
A 20-op tanh chain over 16 MB took 15.5 ms so and 24 ms call by call."""

MIN_BLOCK_BYTES, MAX_BLOCK_BYTES = 1 << 15, 1 << 18
"""Smaller blocks lose more to the calls than they save; larger ones leave the cache."""


def form_steps(program: Program, layouts: Mapping[Value, Layout]) -> list[PlannedStep]:
    """Return the steps: a loop for each group that is worth one, else one an instruction."""
    steps: list[PlannedStep] = []
    needed = _read_counts(program)
    for group, members in groupby(program.instructions, lambda each: each.group):
        if not group:
            steps += [PlannedStep((each,)) for each in members]
            continue
        for segment, axes in _segments(members, layouts):
            inner = _inner(segment, needed)
            loop = _cut(segment, axes, inner) if len(segment) > 1 else None
            if loop is None:
                steps += [PlannedStep((each,)) for each in segment]
            else:
                steps.append(PlannedStep(tuple(segment), loop, inner))
    return steps


def _read_counts(program: Program) -> dict[Value, int]:
    """Return how often each value is read; being a result counts as well."""
    reads: dict[Value, int] = {}
    for instruction in program.instructions:
        for value in instruction.inputs:
            reads[value] = reads.get(value, 0) + 1
    for value in program.results:
        reads[value] = reads.get(value, 0) + 1
    return reads


def _inner(segment: list[Instruction], reads: Mapping[Value, int]) -> frozenset[Value]:
    """Return the results of `segment` that nothing outside reads."""
    left = {each.output: reads.get(each.output, 0) for each in segment}
    for instruction in segment:
        for value in instruction.inputs:
            if value in left:
                left[value] -= 1
    return frozenset(value for value, count in left.items() if not count)


def _segments(
    members: Iterator[Instruction], layouts: Mapping[Value, Layout]
) -> Iterator[tuple[list[Instruction], int]]:
    """Yield runs of instructions that can share a loop, with the number of axes that are merged."""
    segment: list[Instruction] = []
    axes = 0
    for instruction in members:
        own = _cut_axes(instruction, layouts)
        shared = min(axes, own) if segment else own
        if segment and not _is_cuttable(instruction, shared):
            yield segment, axes
            segment, shared = [], own
        segment.append(instruction)
        axes = shared
    if segment:
        yield segment, axes


def _cut_axes(instruction: Instruction, layouts: Mapping[Value, Layout]) -> int:
    """Return how many leading axes can be merged and cut; 0 if none.

    Along those an operand has the full lengths and is cut, or only lengths of 1 and is kept whole.
    """
    shape = instruction.output.type.shape
    if not layouts[instruction.output].contiguous:
        return 0
    axes = len(shape)
    for value in instruction.inputs:
        axes = min(axes, _uniform_axes(value.type.shape, shape))
    for value in instruction.inputs:
        if is_cut(value.type.shape, shape, axes):
            axes = min(axes, _mergeable_axes(value.type.shape, layouts[value]))
    return axes


def _uniform_axes(operand: Shape, shape: Shape) -> int:
    padded = (1,) * (len(shape) - len(operand)) + operand
    kinds = set()
    for axis, (n, full) in enumerate(zip(padded, shape, strict=True)):
        if full != 1:
            kinds.add(n == full)
            if len(kinds) > 1:
                return axis
    return len(shape)


def _mergeable_axes(shape: Shape, layout: Layout) -> int:
    """Return how many leading axes can be seen as one without copying."""
    if layout.contiguous:
        return len(shape)
    if layout.strides is None:
        return 0
    step: int | None = None
    for axis, (n, stride) in enumerate(zip(shape, layout.strides, strict=True)):
        if n != 1:
            if step is not None and step != stride * n:
                return axis
            step = stride
    return len(shape)


def is_cut(operand: Shape, shape: Shape, axes: int) -> bool:
    """Tell whether an operand has the full lengths along the leading `axes` of `shape`."""
    padded = (1,) * (len(shape) - len(operand)) + operand
    return prod(padded[:axes]) > 1


def _is_cuttable(instruction: Instruction, axes: int) -> bool:
    output = instruction.output.type
    row_bytes = prod(output.shape[axes:]) * output.dtype.itemsize
    return prod(output.shape[:axes]) > 1 and row_bytes <= MAX_BLOCK_BYTES


def _most_alive(segment: list[Instruction], inner: frozenset[Value]) -> int:
    """Return how many blocks are touched in one round: those read, written, and alive at once."""
    shape = segment[0].output.type.shape
    outside = {v for each in segment for v in (*each.inputs, each.output) if v.type.shape == shape}
    last = {value: at for at, each in enumerate(segment) for value in each.inputs}
    alive = most = 0
    for at, instruction in enumerate(segment):
        alive += instruction.output in inner
        most = max(most, alive)
        alive -= sum(value in inner and last[value] == at for value in {*instruction.inputs})
    return len(outside - inner) + most


def _cut(segment: list[Instruction], axes: int, inner: frozenset[Value]) -> Blocks | None:
    """Return the loop over `segment`, or None if it is better computed whole."""
    shape = segment[0].output.type.shape
    widest = max(each.output.type.dtype.itemsize for each in segment)
    rows, row_shape = prod(shape[:axes]), shape[axes:]
    row_bytes = prod(row_shape) * widest
    if rows * row_bytes < BLOCKED_BYTES or rows < 2 or row_bytes > MAX_BLOCK_BYTES:
        return None
    block = CACHE_BYTES // _most_alive(segment, inner)
    block = min(max(block, MIN_BLOCK_BYTES), MAX_BLOCK_BYTES)
    count = -(-rows * row_bytes // block)
    count = min(count, rows)
    # blocks of nearly one size, so that none is a single element, which NumPy treats apart
    edges = [rows * i // count for i in range(count + 1)]
    return Blocks(rows, row_shape, tuple(pairwise(edges)))
