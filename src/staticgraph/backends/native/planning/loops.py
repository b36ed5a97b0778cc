"""Loops: the nest that a kernel runs as, which of its loops are one, and how it is split up."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import prod

from oplibrary.machine.elements import stored_element
from oplibrary.machine.register import BITS
from oplibrary.machine.target import Target
from oplibrary.values.types import Shape
from staticgraph.backends.native.definitions.affine import AffineForm, Position
from staticgraph.backends.native.definitions.definition import Definition, Uniform
from staticgraph.backends.native.definitions.open_lengths import apply, is_open, nominal
from staticgraph.backends.native.planning.exploration import Part, ValueAt, explore, identity_of
from staticgraph.backends.native.planning.steps import Kernel, Store

SPLIT_WORK = 60_000
"""Kernels of more nanoseconds than that are split into chunks, which threads may share."""
CHUNK_WORK = 20_000
"""Nanoseconds of a chunk, about."""
MAX_CHUNKS = 256
ROW_BYTES = 1 << 15
"""What one row of a kernel keeps between its stages, on the stack, is at most that large."""


@dataclass(slots=True)
class Nest:
    """How a kernel runs.

    Attributes
    ----------
    kernel : Kernel
    parts : list of Part
    bands : list of (int, int)
        The loops: each the first and the last axis of the kernel's extents that it goes over.
    extents : list of int
        Rounds of each loop.
    outer : int
        How many loops go over rows.
    lanes : int
        Elements worked on together in the last loop.
    chunks, chunk : int
        Into how many chunks the first loop is split, and rounds of each but the last.
    rate : float
        Estimated nanoseconds of one round of all loops.
    fits : int
        Whether the last loop has as many rounds as `lanes`, where that is not known before a run.
    """

    kernel: Kernel
    parts: list[Part]
    bands: list[tuple[int, int]]
    extents: list[int]
    outer: int
    lanes: int
    chunks: int
    chunk: int
    rate: float
    fits: int = 1

    @property
    def narrow(self) -> Nest | None:
        """How it runs where the last loop is short, if that is not known before."""
        return replace(self, lanes=1, fits=1) if is_open(self.fits) else None

    @property
    def elements(self) -> int:
        """Rounds of all loops."""
        return prod(self.kernel.extents)

    @property
    def is_split(self) -> bool:
        """Whether there is, or may be, more than one chunk."""
        return is_open(self.chunks) or self.chunks > 1

    def depth_of(self, node: ValueAt) -> int:
        """Return how many loops must be entered before a value can be computed."""
        for depth in range(len(self.bands), 0, -1):
            first, last = self.bands[depth - 1]
            if node.uses >> first & ((1 << (last - first + 1)) - 1):
                return depth
        return 0

    def coefficients(self, form: AffineForm) -> list[int]:
        """Return the coefficient of each loop's index."""
        return [form[last + 1] for _, last in self.bands]

    def reduced(self, store: Store) -> set[int]:
        """Return the loops that a reduction goes over."""
        axes = set(store.reduced())
        return {i for i, (first, _) in enumerate(self.bands) if first in axes}

    def is_partial(self, store: Store) -> bool:
        """Tell whether each chunk has a result of its own, to be combined at the end."""
        return self.is_split and store.fold is not None and 0 in self.reduced(store)

    @property
    def partial_roots(self) -> list[Store]:
        """The reductions whose chunks are combined at the end."""
        return [store for store in self.kernel.stores if self.is_partial(store)]


def plan_nest(kernel: Kernel, index: Mapping[Definition, int], target: Target) -> Nest:
    """Return how `kernel` runs.

    Parameters
    ----------
    kernel : Kernel
    index : mapping of Definition to int
        The step that completes each value that is in memory at some time.
    target : Target
    """
    folds = {store.definition for store in kernel.stores if store.fold is not None}
    ndim = len(kernel.extents)

    def is_leaf(definition: Definition, _: Position) -> bool:
        # what this kernel makes itself is still in a register
        return index.get(definition, kernel.index) < kernel.index or definition in folds

    places = [store.place._replace(position=_place(store, ndim)) for store in kernel.stores]
    parts = explore(kernel.extents, places, is_leaf, max_parts=4096)
    bands = _bands(kernel, parts)
    extents = [prod(kernel.extents[first : last + 1]) for first, last in bands]
    outer = 0
    if kernel.rows is not None:
        outer = sum(last < kernel.rows for _, last in bands)
    rate, elements = _rate(kernel, parts), prod(kernel.extents)
    chunks, chunk = 1, extents[0] if extents else 1
    lengths = _lengths(kernel, parts, bands[outer:])
    lanes = _lanes(kernel, parts, target, min([n for n in lengths if not is_open(n)], default=64))
    fits = apply(_have, lanes, *lengths)
    cut = any(part.box[0] != (0, kernel.extents[0]) for part in parts) if ndim else False
    may_be_long = is_open(elements) or elements * rate > SPLIT_WORK
    if may_be_long and extents and not cut and (outer or kernel.rows is None):
        if len(extents) > 1 and not _goes_through(kernel):
            outer = max(outer, 1)
        multiple = lanes if len(extents) == 1 else 1
        chunk = apply(chunk_rounds, elements, rate, extents[0], multiple, _largest_partial(kernel))
        chunks = apply(chunk_count, extents[0], chunk)
    return Nest(kernel, parts, bands, extents, outer, lanes, chunks, chunk, rate, fits)


def _place(store: Store, ndim: int) -> Position:
    return identity_of(store.place.definition.shape, ndim)


def _bands(kernel: Kernel, parts: list[Part]) -> list[tuple[int, int]]:
    """Return the loops: neighbouring axes that all accesses go through as through one."""
    ndim = len(kernel.extents)
    forms = [node.offset for part in parts for node in part.nodes if node.offset]
    forms += [store.offset(ndim) for store in kernel.stores]
    forms = list(dict.fromkeys(forms))
    bands: list[tuple[int, int]] = []
    for axis, n in enumerate(kernel.extents):
        joined = (
            bool(bands)
            and axis != kernel.rows
            and all(part.box[axis] == (0, n) for part in parts)
            # no reduction goes over one of the two alone: its result does not move along that one
            and all(form[axis] == form[axis + 1] * n for form in forms)
        )
        if joined:
            bands[-1] = (bands[-1][0], axis)
        else:
            bands.append((axis, axis))
    return bands


def _goes_through(kernel: Kernel) -> bool:
    """Tell whether reductions go over all loops: then what they gather stays in registers."""
    folds = [store for store in kernel.stores if store.fold is not None]
    return (
        kernel.rows is None
        and bool(folds)
        and all(len(store.reduced()) == len(kernel.extents) for store in folds)
    )


def _lengths(kernel: Kernel, parts: list[Part], bands: list[tuple[int, int]]) -> list[int]:
    """Return how often each part goes through the last loop inside a row."""
    if not bands:
        return [1]
    first, last = bands[-1]
    scale = prod(kernel.extents[first + 1 : last + 1])
    return [(part.box[first][1] - part.box[first][0]) * scale for part in parts]


def _have(lanes: int, *lengths: int) -> int:
    """Return 1 if all `lengths` are at least `lanes`, else 0."""
    return int(min(lengths) >= lanes)


def _lanes(kernel: Kernel, parts: list[Part], target: Target, length: int) -> int:
    """Return how many elements are worked on together: a power of two, at most `length`."""
    widest = 1
    for part in parts:
        for node in part.nodes:
            widest = max(widest, BITS[stored_element(node.definition.dtype)] // 8)
    for store in kernel.stores:
        widest = max(widest, store.definition.dtype.itemsize)
    lanes = target.lanes(max(widest, 4))
    while lanes > length:
        lanes //= 2
    return max(lanes, 1)


def _rate(kernel: Kernel, parts: list[Part]) -> float:
    """Return about how many nanoseconds a round of a kernel's loops takes on one core."""
    cost = 0.0
    for node in parts[0].nodes:
        if node.leaf:
            cost += (
                0.0 if isinstance(node.definition, Uniform) else node.definition.dtype.itemsize / 4
            )
        else:
            cost += max(node.cost - sum(child.cost for child in node.children), 1)
    cost += sum(store.definition.dtype.itemsize / 4 for store in kernel.stores)
    return cost * 0.06


def chunk_rounds(elements: int, rate: float, rounds: int, multiple: int, partial: int) -> int:
    """Return how many rounds of the first loop one chunk has, of all but the last.

    Parameters
    ----------
    elements : int
        Rounds of all loops.
    rate : float
        Nanoseconds of one.
    rounds, multiple : int
        Those of the first loop, and what they are counted in.
    partial : int
        Elements of the largest result that each chunk has for itself.
    """
    work = elements * rate
    if work <= SPLIT_WORK:
        return rounds
    chunks = int(min(max(work // CHUNK_WORK, 1), MAX_CHUNKS, max(rounds // multiple, 1)))
    chunk = -(-rounds // chunks)
    chunk = -(-chunk // multiple) * multiple
    chunks = chunk_count(rounds, chunk)
    # fewer where each would have a large result of its own
    most = max(min(chunks, (1 << 18) // max(partial, 1)), 1)
    if most >= chunks:
        return chunk
    return rounds if most < 2 else chunk * -(-chunks // most)


def chunk_count(rounds: int, chunk: int) -> int:
    """Return how many chunks there are; the last one is at least as long as the others."""
    return max(rounds // chunk, 1)


def _largest_partial(kernel: Kernel) -> int:
    """Return the elements of the largest result that each chunk has for itself."""
    return max(
        [
            store.definition.size
            for store in kernel.stores
            if store.fold is not None and 0 in store.reduced()
        ],
        default=0,
        key=nominal,
    )


def row_shape(nest: Nest) -> Shape:
    """Return the rounds of the loops inside a row."""
    return tuple(nest.extents[nest.outer :])
