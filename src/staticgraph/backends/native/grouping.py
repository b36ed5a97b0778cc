"""Grouping: which values are written to memory, and which are computed in one pass over it.

A value that is not needed in memory is computed where it is read. What is written (a root) joins a
kernel with the same loops where it can: a softmax is one kernel whose rows are gone through three
times, while they are in the first-level cache.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from math import prod

from common.types import Shape
from staticgraph.backends.native.definitions import (
    Definition,
    Elementwise,
    Fold,
    Pieced,
    Reshaped,
    Stored,
    Uniform,
    View,
)
from staticgraph.backends.native.exploration import (
    Demand,
    Node,
    Place,
    explore,
    identity_of,
    squeeze,
)
from staticgraph.backends.native.forms import Form, Position, flatten, identity, row_major
from staticgraph.backends.native.selections import Gathered

LOCAL_SIZE = 1 << 14
"""A reduction of everything to one number is finished before its kernel goes on, if it is of at most
that many elements; a larger one is worth splitting over threads."""
SMALL_SIZE = 4096
"""Kernels of at most that many elements take in whatever has the same loops."""
MAX_NODES = 300
"""Computed values in one kernel."""
SEGMENT = 200
"""Computed values in one stretch of a long program; what others read of it is written to memory."""
RECOMPUTED_COST = 6
"""Up to that cost a value is computed again where another kernel reads it."""


@dataclass(eq=False, slots=True)
class Root:
    """A value that a kernel writes.

    Attributes
    ----------
    definition : Definition
        What is written.
    storage : Definition
        Whose memory it is written to.
    start : int
        The element of the storage that the first element is written to.
    strides : tuple of int
        Elements of the storage between neighbours along each axis of the definition.
    extents : tuple of int
        Of the loops that it needs, those of one round left out.
    rows : int or None
        How many of the loops go over whole results, where it is a reduction that the same kernel
        may go on with.
    nodes, leaves : list of Node
        What is computed for it, if nothing else was in its kernel, and what is read.
    """

    definition: Definition
    storage: Definition
    start: int = 0
    strides: tuple[int, ...] = ()
    extents: Shape = ()
    rows: int | None = None
    nodes: list[Node] = field(default_factory=list)
    leaves: list[Node] = field(default_factory=list)

    @property
    def fold(self) -> Fold | None:
        """The definition, if it is a reduction."""
        return self.definition if isinstance(self.definition, Fold) else None

    @property
    def place(self) -> Place:
        """What the loops compute, and where: the value, or the operand of the reduction."""
        fold = self.fold
        computed = self.definition if fold is None else fold.operand
        return Place(computed, identity_of(computed.shape, len(self.extents)))

    def reduced(self) -> tuple[int, ...]:
        """Return the loops that a reduction goes over."""
        fold = self.fold
        assert fold is not None
        long = [axis for axis, n in enumerate(fold.operand.shape) if n != 1]
        return tuple([long.index(axis) for axis in fold.axes])

    def offset(self, ndim: int) -> Form:
        """Return where an element is written, in `ndim` loops, the first of which are its own."""
        fold = self.fold
        total = [self.start] + [0] * ndim
        if fold is None:
            position = identity_of(self.definition.shape, ndim)
        else:
            position = self.kept_position(ndim)
        for stride, form in zip(self.strides, position, strict=True):
            for at, coefficient in enumerate(form):
                total[at] += stride * coefficient
        return tuple(total)

    def kept_position(self, ndim: int) -> Position:
        """Return the position of a reduction's result in the loops over its operand."""
        reduced = set(self.reduced())
        kept = iter([axis for axis in range(len(self.extents)) if axis not in reduced])
        forms, zero = identity(ndim), (0,) * (ndim + 1)
        return tuple([zero if n == 1 else forms[next(kept)] for n in self.definition.shape])


@dataclass(eq=False, slots=True)
class Kernel:
    """Loops that write some roots.

    Attributes
    ----------
    extents : tuple of int
    rows : int or None
        How many of the loops go over rows: the rest are gone through once a stage for each row.
    roots : list of Root
    index : int
        Its place among the steps.
    """

    extents: Shape
    index: int
    rows: int | None = None
    roots: list[Root] = field(default_factory=list)
    seen: set[int] = field(default_factory=set)
    size: int = 0

    def is_local(self, root: Root) -> bool:
        """Tell whether a reduction in this kernel is finished before the row ends."""
        return root.rows is not None and root.rows == self.rows and root.extents == self.extents


@dataclass(eq=False, slots=True)
class Call:
    """Something that is computed by a function: by NumPy, or by BLAS.

    Attributes
    ----------
    definition : Stored
    """

    definition: Stored
    index: int


Step = Kernel | Call


def base_of(definition: Definition) -> Definition:
    """Return the value whose memory holds the elements of `definition` in the same order."""
    while isinstance(definition, Reshaped):
        definition = definition.operand
    return definition


@dataclass(slots=True)
class Grouping:
    """The steps of a program.

    Attributes
    ----------
    steps : list of Kernel or Call
        In an order in which everything is written before it is read.
    index : dict of Definition to int
        For each value that is in memory at some time, the step that completes it; -1 for what is
        there from the start.
    """

    steps: list[Step]
    index: dict[Definition, int]


def group(results: Sequence[Definition]) -> Grouping:
    """Return the steps that compute `results`."""
    reachable = _reachable(results)
    wanted = {base_of(result) for result in results}
    for definition in reachable:
        if isinstance(definition, Stored):
            wanted.update(map(base_of, definition.operation))
        elif isinstance(definition, Fold):
            wanted.add(definition)
        elif isinstance(definition, Gathered):
            wanted.add(base_of(definition.source))
    wanted |= _between_segments(reachable)
    for _ in range(MAX_ROUNDS):
        grouper = _Grouper(wanted)
        for definition in reachable:
            grouper.add(definition)
        more = _worth_storing(grouper)
        if more <= wanted:
            break
        wanted |= more
    index = {each: grouper.index.get(each, -1) for each in grouper.available}
    return Grouping(grouper.steps, index)


MAX_ROUNDS = 4
"""How often grouping is repeated because a value turned out to be worth storing."""


def _reachable(results: Iterable[Definition]) -> list[Definition]:
    found = set(results)
    stack = list(found)
    while stack:
        for operand in stack.pop().operands:
            if operand not in found:
                found.add(operand)
                stack.append(operand)
    return sorted(found, key=lambda definition: definition.order)


def _between_segments(reachable: Sequence[Definition]) -> set[Definition]:
    """Return what is computed in one stretch of a long program and read in another."""
    computed = [each for each in reachable if isinstance(each, Elementwise)]
    if len(computed) <= 2 * SEGMENT:
        return set()
    segment = {each: number // SEGMENT for number, each in enumerate(computed)}
    crossing = set()
    current = 0
    for definition in reachable:
        current = segment.get(definition, current)
        for operand in definition.operands:
            through = operand
            while isinstance(through, (View, Reshaped)):
                through = through.operand
            if segment.get(through, current) != current:
                crossing.add(through)
    return crossing


class _Grouper:
    def __init__(self, wanted: set[Definition]) -> None:
        self.wanted = wanted
        self.steps: list[Step] = []
        self.available: set[Definition] = set()
        self.index: dict[Definition, int] = {}
        self._with: dict[Shape, list[Kernel]] = {}
        self._root_in: dict[Definition, tuple[Kernel, Root]] = {}

    def add(self, definition: Definition) -> None:
        """Place what writes a value, if it is wanted."""
        if definition in self.available:
            return
        if not definition.size:
            self.available.add(definition)
        if isinstance(definition, Stored):
            self.available.add(definition)
            if definition.operation:
                self.index[definition] = len(self.steps)
                self.steps.append(Call(definition, len(self.steps)))
        elif definition in self.wanted and definition not in self.available:
            self._store(definition)

    def _store(self, definition: Definition) -> None:
        if isinstance(definition, Reshaped):
            # only where it was demanded; its elements are those of the operand
            definition = base_of(definition)
            if definition in self.available:
                return
        roots = list(_roots_of(definition))
        placed = [self._place(root) for root in roots]
        self.available.add(definition)
        self.index[definition] = max(kernel.index for kernel in placed)
        if len(roots) == 1 and roots[0].definition is definition:
            self._root_in[definition] = (placed[0], roots[0])

    def is_leaf(self, definition: Definition, _: Position) -> bool:
        """Tell whether a value is in memory."""
        return definition in self.available

    def _place(self, root: Root) -> Kernel:
        while True:
            try:
                self._explore(root)
                break
            except Demand as demand:
                wanted = base_of(demand.definition)
                assert wanted is not root.definition and wanted not in self.available
                self.wanted.add(wanted)
                self._store(wanted)
        kernel = self._kernel_for(root)
        kernel.roots.append(root)
        kernel.size += len(root.nodes)
        kernel.seen.update(_identities(root))
        if root.rows is not None and kernel.rows is None and root.extents == kernel.extents:
            kernel.rows = root.rows
        return kernel

    def _explore(self, root: Root) -> None:
        parts = explore(root.extents, [root.place], self.is_leaf)
        known: dict[tuple[int, Position], Node] = {}
        for part in parts:
            for node in part.nodes:
                known.setdefault((id(node.definition), node.position), node)
        root.nodes = list(known.values())
        root.leaves = [
            n for n in root.nodes if n.leaf and not isinstance(n.definition, Uniform)
        ]

    def _kernel_for(self, root: Root) -> Kernel:
        read = [leaf.definition for leaf in root.leaves] + _gathered_from(root)
        earliest = max([self.index.get(base_of(each), -1) for each in read], default=-1)
        same = self._with.get(root.extents, ())[-RECENT:]
        candidates = [*same, *self._rows_kernels(root.extents)]
        best = None
        for kernel in candidates:
            if (
                kernel.index >= earliest
                and (best is None or kernel.index > best.index)
                and self._fits(kernel, root)
            ):
                best = kernel
        if best is not None:
            return best
        kernel = Kernel(root.extents, len(self.steps))
        self.steps.append(kernel)
        self._with.setdefault(root.extents, []).append(kernel)
        return kernel

    def _rows_kernels(self, extents: Shape) -> list[Kernel]:
        """Return the latest kernels whose rows are counted by `extents`."""
        found = []
        for step in self.steps[-RECENT:]:
            if (
                isinstance(step, Kernel)
                and step.rows is not None
                and step.extents != extents
                and step.extents[: step.rows] == extents
            ):
                found.append(step)
        return found

    def _fits(self, kernel: Kernel, root: Root) -> bool:
        if kernel.size + len(root.nodes) > MAX_NODES:
            return False
        if (
            root.extents == kernel.extents
            and root.rows is not None
            and kernel.rows is not None
            and root.rows > kernel.rows
        ):
            # a reduction of more axes can be gathered beside one of fewer, not the other way round
            return False
        if any(self.index.get(base_of(each), -1) == kernel.index for each in _gathered_from(root)):
            return False
        shares = prod(kernel.extents) <= SMALL_SIZE
        for leaf in root.leaves:
            made = self._root_in.get(leaf.definition)
            if made is not None and made[0] is kernel:
                if not self._is_local(kernel, made[1], root, leaf):
                    return False
                shares = True
            elif self.index.get(leaf.definition, -1) == kernel.index:
                return False
        return shares or not kernel.seen.isdisjoint(_identities(root))

    def _is_local(self, kernel: Kernel, made: Root, root: Root, leaf: Node) -> bool:
        """Tell whether `root` reads what its kernel makes only where it has just been made."""
        if made.fold is not None and not kernel.is_local(made):
            return False
        if made.extents == kernel.extents and made.fold is None and root.extents != kernel.extents:
            return False
        return leaf.position == identity_of(leaf.definition.shape, len(root.extents))


RECENT = 16
"""How many steps back a kernel is looked for that counts its rows alike."""


def _gathered_from(root: Root) -> list[Definition]:
    """Return what is read at computed positions."""
    return [n.definition.source for n in root.nodes if isinstance(n.definition, Gathered) and not n.leaf]


def _identities(root: Root) -> list[int]:
    """Return what tells apart the values that `root` reads or computes; numbers do not count."""
    return [id(n.definition) for n in root.nodes if not isinstance(n.definition, Uniform)]


def _roots_of(definition: Definition) -> Iterable[Root]:
    """Return what writes a value: itself, or each rectangle of it."""
    strides = row_major(definition.shape)
    if not isinstance(definition, Pieced):
        yield _root(definition, definition, 0, strides)
        return
    for piece in definition.pieces:
        start = sum(first * stride for (first, _), stride in zip(piece.box, strides, strict=True))
        shape = tuple([stop - first for first, stop in piece.box])
        if piece.operand is None:
            part: Definition = Uniform(shape, definition.dtype, definition.instruction, piece.number)
            yield _root(part, definition, start, strides)
            continue
        source = definition.sources[piece.operand]
        assert piece.steps is not None
        whole = View(shape, definition.dtype, definition.instruction, source, piece.steps)
        if _shows_all(whole) and not isinstance(source, Fold):
            longer = [s for s, n in zip(strides, shape, strict=True) if n != 1]
            own = iter(longer)
            own_strides = tuple([0 if n == 1 else next(own) for n in source.shape])
            yield _root(source, definition, start, own_strides)
        else:
            yield _root(whole, definition, start, strides)


def _shows_all(view: View) -> bool:
    """Tell whether a view is its operand with axes of length 1 added or removed."""
    if squeeze(view.shape) != squeeze(view.operand.shape) or any(view.steps.start):
        return False
    position = [(0, *row) for row in view.steps.steps]
    ndim = len(view.shape)
    flat = flatten(view.operand.shape, tuple(position), ndim + 1)
    expected = flatten(view.shape, identity(ndim), ndim + 1)
    return all(
        a == b for n, a, b in zip(view.shape, flat[1:], expected[1:], strict=True) if n != 1
    )


def _root(
    definition: Definition, storage: Definition, start: int, strides: tuple[int, ...]
) -> Root:
    root = Root(definition, storage, start, strides)
    fold = root.fold
    if fold is None:
        root.extents = squeeze(definition.shape)
        return root
    root.extents = squeeze(fold.operand.shape)
    reduced = root.reduced()
    ndim = len(root.extents)
    if len(reduced) == ndim:
        root.rows = 0 if fold.operand.size <= LOCAL_SIZE else None
    elif reduced == tuple(range(ndim - len(reduced), ndim)):
        root.rows = ndim - len(reduced)
    return root


# what is worth storing ----------------------------------------------------------------------------

_Instance = tuple[int, Position]
"""Where a value is computed: in which kernel, at which position."""


def _worth_storing(grouper: _Grouper) -> set[Definition]:
    """Return the values that would otherwise be computed more than once at some cost.

    Values are looked at from the results backwards: what is only read by something that is itself
    to be stored is computed once already.
    """
    costs: dict[Definition, int] = {}
    tops: dict[Definition, set[_Instance]] = {}
    parents: dict[tuple[Definition, _Instance], list[tuple[Definition, _Instance]]] = {}
    instances: dict[Definition, set[_Instance]] = {}
    repeated: set[tuple[Definition, _Instance]] = set()
    for step in grouper.steps:
        for root in step.roots if isinstance(step, Kernel) else ():
            top = root.place.definition
            for node in root.nodes:
                if node.leaf:
                    continue
                made = (step.index, _canonical(node.position))
                place = (node.definition, made)
                costs[node.definition] = node.cost
                instances.setdefault(node.definition, set()).add(made)
                if node.definition is top:
                    tops.setdefault(top, set()).add(made)
                if _rounds_repeated(node, root) > 1:
                    repeated.add(place)
                for child in node.children:
                    if not child.leaf:
                        below = (child.definition, (step.index, _canonical(child.position)))
                        parents.setdefault(below, []).append(place)
    chosen: set[Definition] = set()
    live: dict[Definition, set[_Instance]] = {}
    for definition in sorted(instances, key=lambda each: -each.order):
        found = set(tops.get(definition, ()))
        for made in instances[definition]:
            above = parents.get((definition, made), ())
            if any(where in live[parent] for parent, where in above):
                found.add(made)
        live[definition] = found
        if definition in grouper.available or costs[definition] < RECOMPUTED_COST:
            continue
        if len(found) > 1 or any((definition, made) in repeated for made in found):
            chosen.add(definition)
            live[definition] = {min(found)}
    return chosen


def _canonical(position: Position) -> Position:
    """Return a position that is the same in loops with further axes behind."""
    result = []
    for form in position:
        last = len(form)
        while last > 1 and not form[last - 1]:
            last -= 1
        result.append(form[:last])
    return tuple(result)


def _rounds_repeated(node: Node, root: Root) -> int:
    """Return how often the loops of `root` compute a value that stays the same."""
    rounds = 1
    depth = node.uses.bit_length()
    for axis in range(depth):
        if not node.uses >> axis & 1:
            rounds *= root.extents[axis]
    return rounds
