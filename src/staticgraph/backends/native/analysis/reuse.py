"""Reuse: which values a kernel may overwrite with what it makes of them, element by element."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from staticgraph.backends.native.analysis.definitions import Definition, Uniform
from staticgraph.backends.native.analysis.exploration import Node, Part
from staticgraph.backends.native.analysis.loops import Nest
from staticgraph.backends.native.analysis.roots import Call, Kernel, Root, Step, base_of
from staticgraph.backends.native.analysis.selections import Gathered


def find_overwritten(
    steps: Iterable[Step], nests: Mapping[Kernel, Nest]
) -> dict[Definition, list[Definition]]:
    """Return for each written value what it may take the memory of, as its elements are made.

    That is what is read for the last time by the kernel that writes the value, for no other value,
    and only where it writes: an element is then read before it is written, and never again.
    """
    steps = list(steps)
    last_reader: dict[Definition, int] = {}
    for number, step in enumerate(steps):
        for definition in _read_by(step, nests):
            last_reader[definition] = number
    found: dict[Definition, list[Definition]] = {}
    for number, step in enumerate(steps):
        if isinstance(step, Kernel) and _makes_each_once(nests[step]):
            for written, read in _pairs(step, nests[step].parts[0]):
                if last_reader[read] == number:
                    found.setdefault(written, []).append(read)
    return found


def _read_by(step: Step, nests: Mapping[Kernel, Nest]) -> Iterator[Definition]:
    if isinstance(step, Call):
        yield from map(base_of, step.definition.operands)
        return
    for part in nests[step].parts:
        for node in part.nodes:
            if node.leaf:
                yield node.definition
            elif isinstance(node.definition, Gathered):
                yield base_of(node.definition.source)


def _makes_each_once(nest: Nest) -> bool:
    """Tell whether no element is computed twice, as the last few are where lanes do not fit."""
    return len(nest.parts) == 1 and (not nest.extents or nest.extents[-1] % nest.lanes == 0)


def _pairs(kernel: Kernel, part: Part) -> Iterator[tuple[Definition, Definition]]:
    """Yield each value written by a kernel with one that only it is made of, place by place."""
    leaves = [_leaves(top) for top in part.tops]
    gathered = {
        base_of(node.definition.source)
        for node in part.nodes
        if isinstance(node.definition, Gathered)
    }
    readers: dict[Definition, int] = {}
    for each in leaves:
        for definition in each:
            readers[definition] = readers.get(definition, 0) + 1
    for root, each in zip(kernel.roots, leaves, strict=True):
        if not _writes_whole(kernel, root):
            continue
        offset = root.offset(len(kernel.extents))
        for definition, offsets in each.items():
            if (
                readers[definition] == 1
                and offsets == {offset}
                and definition.size == root.definition.size
                and definition.dtype.itemsize == root.definition.dtype.itemsize
                and definition not in gathered
                and not isinstance(definition, Uniform)
            ):
                yield root.storage, definition


def _writes_whole(kernel: Kernel, root: Root) -> bool:
    return (
        root.fold is None
        and root.storage is root.definition
        and root.start == 0
        and root.extents == kernel.extents
    )


def _leaves(top: Node) -> dict[Definition, set[tuple[int, ...]]]:
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
