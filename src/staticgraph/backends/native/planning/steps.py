"""Stores: what is written to memory, and the kernels and calls that write it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from oplibrary.values.types import Shape
from staticgraph.backends.native.definitions.affine import (
    AffineForm,
    Position,
    flatten,
    identity,
    row_major,
)
from staticgraph.backends.native.definitions.definition import (
    Definition,
    Fold,
    Pieced,
    Reshaped,
    Stored,
    Uniform,
    View,
)
from staticgraph.backends.native.definitions.open_lengths import at_most
from staticgraph.backends.native.definitions.selections import Assigned
from staticgraph.backends.native.planning.exploration import Request, ValueAt, identity_of, squeeze

LOCAL_SIZE = 1 << 14
"""A reduction of everything to one number is finished before its kernel goes on, if it is of at
most that many elements; a larger one is worth splitting over threads."""


@dataclass(eq=False, slots=True)
class Store:
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
    nodes, leaves : list of ValueAt
        What is computed for it, if nothing else was in its kernel, and what is read.
    """

    definition: Definition
    storage: Definition
    start: int = 0
    strides: tuple[int, ...] = ()
    extents: Shape = ()
    rows: int | None = None
    nodes: list[ValueAt] = field(default_factory=list)
    leaves: list[ValueAt] = field(default_factory=list)

    @property
    def fold(self) -> Fold | None:
        """The definition, if it is a reduction."""
        return self.definition if isinstance(self.definition, Fold) else None

    @property
    def place(self) -> Request:
        """What the loops compute, and where: the value, or the operand of the reduction."""
        fold = self.fold
        computed = self.definition if fold is None else fold.operand
        return Request(computed, identity_of(computed.shape, len(self.extents)))

    def reduced(self) -> tuple[int, ...]:
        """Return the loops that a reduction goes over."""
        fold = self.fold
        assert fold is not None
        long = [axis for axis, n in enumerate(fold.operand.shape) if n != 1]
        return tuple([long.index(axis) for axis in fold.axes])

    def offset(self, ndim: int) -> AffineForm:
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
    """Loops that write some stores.

    Attributes
    ----------
    extents : tuple of int
    rows : int or None
        How many of the loops go over rows: the rest are gone through once a stage for each row.
    stores : list of Store
    index : int
        Its place among the steps.
    """

    extents: Shape
    index: int
    rows: int | None = None
    stores: list[Store] = field(default_factory=list)
    seen: set[tuple[int, Position]] = field(default_factory=set)
    size: int = 0

    def is_local(self, store: Store) -> bool:
        """Tell whether a reduction in this kernel is finished before the row ends."""
        return store.rows is not None and store.rows == self.rows and store.extents == self.extents


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


def storage_of(definition: Definition) -> Definition:
    """Return the value whose memory holds the elements of `definition` in the same order."""
    while isinstance(definition, Reshaped):
        definition = definition.operand
    return definition


def changed_by(step: Step) -> Definition | None:
    """Return the value that a step may change in its place, if nothing needs it afterwards."""
    assigned = step.definition if isinstance(step, Call) else None
    if not isinstance(assigned, Assigned):
        return None
    base, start, strides = assigned.into
    changed = storage_of(base)
    if start or strides != row_major(assigned.shape) or changed.size != assigned.size:
        return None
    return None if any(storage_of(p.base) is changed for p in assigned.places) else changed


def stores_of(definition: Definition) -> Iterable[Store]:
    """Return what writes a value: itself, or each rectangle of it."""
    strides = row_major(definition.shape)
    if not isinstance(definition, Pieced):
        yield _store(definition, definition, 0, strides)
        return
    for piece in definition.pieces:
        start = sum(first * stride for (first, _), stride in zip(piece.box, strides, strict=True))
        shape = tuple([stop - first for first, stop in piece.box])
        if piece.operand is None:
            part: Definition = Uniform(
                shape, definition.dtype, definition.instruction, piece.number
            )
            yield _store(part, definition, start, strides)
            continue
        source = definition.sources[piece.operand]
        assert piece.steps is not None
        whole = View(shape, definition.dtype, definition.instruction, source, piece.steps)
        if _shows_all(whole) and not isinstance(source, Fold):
            longer = [s for s, n in zip(strides, shape, strict=True) if n != 1]
            own = iter(longer)
            own_strides = tuple([0 if n == 1 else next(own) for n in source.shape])
            yield _store(source, definition, start, own_strides)
        else:
            yield _store(whole, definition, start, strides)


def _shows_all(view: View) -> bool:
    """Tell whether a view is its operand with axes of length 1 added or removed."""
    if squeeze(view.shape) != squeeze(view.operand.shape) or any(view.steps.start):
        return False
    position = [(0, *row) for row in view.steps.steps]
    ndim = len(view.shape)
    flat = flatten(view.operand.shape, tuple(position), ndim + 1)
    expected = flatten(view.shape, identity(ndim), ndim + 1)
    return all(a == b for n, a, b in zip(view.shape, flat[1:], expected[1:], strict=True) if n != 1)


def _store(
    definition: Definition, storage: Definition, start: int, strides: tuple[int, ...]
) -> Store:
    store = Store(definition, storage, start, strides)
    fold = store.fold
    if fold is None:
        store.extents = squeeze(definition.shape)
        return store
    store.extents = squeeze(fold.operand.shape)
    reduced = store.reduced()
    ndim = len(store.extents)
    if len(reduced) == ndim:
        store.rows = 0 if at_most(fold.operand.size, LOCAL_SIZE) else None
    elif reduced == tuple(range(ndim - len(reduced), ndim)):
        store.rows = ndim - len(reduced)
    return store
