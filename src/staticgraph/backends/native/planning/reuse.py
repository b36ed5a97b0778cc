"""Reuse: which values a kernel may overwrite with what it makes of them, element by element."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from staticgraph.backends.native.definitions.definition import Definition, Uniform
from staticgraph.backends.native.definitions.selections import Gathered
from staticgraph.backends.native.planning.exploration import ValueAt
from staticgraph.backends.native.planning.loops import Nest
from staticgraph.backends.native.planning.stages import Stages, band_range
from staticgraph.backends.native.planning.steps import (
    Call,
    Kernel,
    Step,
    Store,
    changed_by,
    storage_of,
)


def find_overwritten(
    steps: Iterable[Step], nests: Mapping[Kernel, Nest]
) -> dict[Definition, list[Definition]]:
    """Return for each written value what it may take the memory of, as its elements are made.

    That is what is read for the last time by the kernel that writes the value, and only where it
    writes: an element is then read before it is written, and never again. An assignment at
    positions known only in the run changes what nothing reads afterwards, too.
    """
    steps = list(steps)
    last_reader: dict[Definition, int] = {}
    for number, step in enumerate(steps):
        for definition in _read_by(step, nests):
            last_reader[definition] = number
    found: dict[Definition, list[Definition]] = {}
    for number, step in enumerate(steps):
        if isinstance(step, Kernel) and _makes_each_once(nests[step]):
            for written, read in _pairs(step, nests[step]):
                if last_reader[read] == number:
                    found.setdefault(written, []).append(read)
        elif isinstance(step, Call):
            changed = changed_by(step)
            if changed is not None and last_reader[changed] == number:
                found[step.definition] = [changed]
    return found


def _read_by(step: Step, nests: Mapping[Kernel, Nest]) -> Iterator[Definition]:
    if isinstance(step, Call):
        yield from map(storage_of, step.definition.operands)
        return
    for part in nests[step].parts:
        for node in part.nodes:
            if node.leaf:
                yield node.definition
            elif isinstance(node.definition, Gathered):
                yield storage_of(node.definition.source)


def _makes_each_once(nest: Nest) -> bool:
    """Tell whether no element is computed twice, as the last few are where lanes do not fit."""
    if not nest.extents:
        return True
    ranges = [band_range(part.box, nest.bands[-1], nest.kernel.extents) for part in nest.parts]
    return all((stop - start) % nest.lanes == 0 for start, stop in ranges)


def _pairs(kernel: Kernel, nest: Nest) -> Iterator[tuple[Definition, Definition]]:
    """Yield each value written by a kernel with one that it is made of, place by place.

    Others may be made of that one too, where they are at the same place and in the same pass.
    """
    gathered: set[Definition] = set()
    read: dict[Definition, set[tuple[int, ...]]] = {}
    readers: dict[Definition, set[int]] = {}
    for part in nest.parts:
        for node in part.nodes:
            if isinstance(node.definition, Gathered):
                gathered.add(storage_of(node.definition.source))
        for number, top in enumerate(part.tops):
            for definition, offsets in _leaves(top).items():
                read.setdefault(definition, set()).update(offsets)
                readers.setdefault(definition, set()).add(number)
    in_one_pass = Stages(nest).count == 1
    taken: set[Definition] = set()
    for number, store in enumerate(kernel.stores):
        if not _writes_whole(kernel, store):
            continue
        offset = store.offset(len(kernel.extents))
        for definition, by in readers.items():
            if (
                number in by
                and (len(by) == 1 or in_one_pass)
                and (len(nest.parts) == 1 or in_one_pass)
                and definition not in taken
                and read[definition] == {offset}
                and definition.size == store.definition.size
                and definition.dtype.itemsize == store.definition.dtype.itemsize
                and definition not in gathered
                and not isinstance(definition, Uniform)
            ):
                taken.add(definition)
                yield store.storage, definition


def _writes_whole(kernel: Kernel, store: Store) -> bool:
    return (
        store.fold is None
        and store.storage is store.definition
        and store.start == 0
        and store.extents == kernel.extents
    )


def _leaves(top: ValueAt) -> dict[Definition, set[tuple[int, ...]]]:
    """Return what is read for a value, and where."""
    found: dict[Definition, set[tuple[int, ...]]] = {}
    seen = {top}
    stack = [top]
    while stack:
        node = stack.pop()
        if node.leaf:
            found.setdefault(node.definition, set()).add(node.offset)
        for child in node.children:
            if child not in seen:
                seen.add(child)
                stack.append(child)
    return found
