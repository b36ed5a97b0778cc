"""Loops: the nest that a kernel runs as, which of its loops are one, and how it is split up."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod

from oplibrary.core.types import Shape
from oplibrary.machine.elements import stored_element
from oplibrary.machine.register import BITS
from oplibrary.machine.target import Target
from staticgraph.backends.native.definitions.affine import AffineForm, Position
from staticgraph.backends.native.definitions.definition import Definition, Uniform
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
    work : float
        Estimated nanoseconds.
    """

    kernel: Kernel
    parts: list[Part]
    bands: list[tuple[int, int]]
    extents: list[int]
    outer: int
    lanes: int
    chunks: int
    chunk: int
    work: float

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
        return self.chunks > 1 and store.fold is not None and 0 in self.reduced(store)

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
    work = _work(kernel, parts)
    chunks, chunk = 1, extents[0] if extents else 1
    lanes = _lanes(kernel, parts, target, _shortest(kernel, parts, bands[outer:]))
    cut = any(part.box[0] != (0, kernel.extents[0]) for part in parts) if ndim else False
    if work > SPLIT_WORK and extents and not cut and (outer or kernel.rows is None):
        if len(extents) > 1 and not _goes_through(kernel):
            outer = max(outer, 1)
        chunks, chunk = _split(work, extents, lanes if len(extents) == 1 else 1)
        chunks, chunk = _fewer_partials(kernel, chunks, chunk, extents[0])
    return Nest(kernel, parts, bands, extents, outer, lanes, chunks, chunk, work)


def _place(store: Store, ndim: int) -> Position:
    return identity_of(store.place.definition.shape, ndim)


def _bands(kernel: Kernel, parts: list[Part]) -> list[tuple[int, int]]:
    """Return the loops: neighbouring axes that all accesses go through as through one."""
    ndim = len(kernel.extents)
    forms = [node.offset for part in parts for node in part.nodes if node.offset]
    forms += [store.offset(ndim) for store in kernel.stores]
    forms = list(dict.fromkeys(forms))
    reduced = [set(store.reduced()) for store in kernel.stores if store.fold is not None]
    bands: list[tuple[int, int]] = []
    for axis, n in enumerate(kernel.extents):
        joined = (
            bool(bands)
            and axis != kernel.rows
            and all(part.box[axis] == (0, n) for part in parts)
            and all(form[axis] == form[axis + 1] * n for form in forms)
            and all((axis in r) == (axis - 1 in r) for r in reduced)
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


def _shortest(kernel: Kernel, parts: list[Part], bands: list[tuple[int, int]]) -> int:
    """Return the fewest rounds that a part goes through the last loop inside a row."""
    if not bands:
        return 1
    first, last = bands[-1]
    scale = prod(kernel.extents[first + 1 : last + 1])
    return min([(part.box[first][1] - part.box[first][0]) * scale for part in parts])


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


def _work(kernel: Kernel, parts: list[Part]) -> float:
    """Return about how many nanoseconds a kernel takes on one core."""
    elements = prod(kernel.extents)
    cost = 0.0
    for node in parts[0].nodes:
        if node.leaf:
            cost += (
                0.0 if isinstance(node.definition, Uniform) else node.definition.dtype.itemsize / 4
            )
        else:
            cost += max(node.cost - sum(child.cost for child in node.children), 1)
    cost += sum(store.definition.dtype.itemsize / 4 for store in kernel.stores)
    return elements * cost * 0.06


def _split(work: float, extents: list[int], multiple: int) -> tuple[int, int]:
    """Return the number of chunks of the first loop, and the rounds of each but the last."""
    n = extents[0]
    chunks = int(min(max(work // CHUNK_WORK, 1), MAX_CHUNKS, max(n // multiple, 1)))
    chunk = -(-n // chunks)
    chunk = -(-chunk // multiple) * multiple
    # the last chunk is at least as long as the others
    return max(n // chunk, 1), chunk


def _fewer_partials(kernel: Kernel, chunks: int, chunk: int, n: int) -> tuple[int, int]:
    """Return fewer chunks where each would have a large result of its own."""
    largest = max(
        [
            store.definition.size
            for store in kernel.stores
            if store.fold is not None and 0 in store.reduced()
        ],
        default=0,
    )
    most = max(min(chunks, (1 << 18) // max(largest, 1)), 1)
    if most >= chunks:
        return chunks, chunk
    if most < 2:
        return 1, n
    multiple = chunk * -(-chunks // most)
    return max(n // multiple, 1), multiple


def row_shape(nest: Nest) -> Shape:
    """Return the rounds of the loops inside a row."""
    return tuple(nest.extents[nest.outer :])
