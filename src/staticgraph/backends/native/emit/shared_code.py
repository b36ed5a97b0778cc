"""Similarity: kernels that differ in nothing but where their values are share one function.

A loop of the user's program that was unrolled makes the same kernels in every round.
"""

from __future__ import annotations

from typing import Any

from oplibrary.values.keys import exact_key
from staticgraph.backends.native.definitions.definition import Definition, Elementwise, Uniform
from staticgraph.backends.native.definitions.selections import Gathered
from staticgraph.backends.native.planning.exploration import ValueAt
from staticgraph.backends.native.planning.loops import Nest
from staticgraph.backends.native.planning.steps import storage_of


class Description:
    """What the code of a kernel depends on.

    Attributes
    ----------
    key : tuple
        Equal for kernels with equal code.
    places : list of (Definition, int)
        The values that it names, with the element that it begins at, in an order that follows from
        the key.
    """

    def __init__(self, nest: Nest, unread: set[Definition]) -> None:
        self.places: list[tuple[Definition, int]] = []
        self._numbers: dict[tuple[Definition, int], int] = {}
        kernel = nest.kernel
        ndim = len(kernel.extents)
        parts = []
        for part in nest.parts:
            places = {node: number for number, node in enumerate(part.nodes)}
            nodes = tuple([self._node(node, places) for node in part.nodes])
            parts.append((part.box, nodes, tuple([places[top] for top in part.tops])))
        stores = []
        for store in kernel.stores:
            fold = store.fold
            reduced = None if fold is None else (fold.combine, store.reduced(), fold.size)
            stores.append(
                (
                    self._number(store.storage, store.start),
                    self._number(store.definition, 0),
                    store.offset(ndim)[1:],
                    store.definition.dtype,
                    reduced,
                    store.extents,
                    store.rows,
                    store.definition in unread,
                )
            )
        self.key: tuple[Any, ...] = (
            kernel.extents,
            kernel.rows,
            tuple(nest.bands),
            nest.outer,
            nest.lanes,
            nest.chunks,
            nest.chunk,
            tuple(parts),
            tuple(stores),
        )

    def _number(self, definition: Definition, start: int) -> int:
        place = (definition, start)
        number = self._numbers.get(place)
        if number is None:
            number = self._numbers[place] = len(self.places)
            self.places.append(place)
        return number

    def _node(self, node: ValueAt, places: dict[ValueAt, int]) -> tuple[Any, ...]:
        definition = node.definition
        if isinstance(definition, Uniform):
            return ("number", exact_key(definition.number), definition.dtype)
        if node.leaf:
            number = self._number(definition, node.offset[0])
            return ("leaf", number, node.offset[1:], node.uses, definition.dtype)
        children = tuple([places[child] for child in node.children])
        if isinstance(definition, Gathered):
            source = self._number(storage_of(definition.source), node.offset[0])
            form, axes = node.offset[1:], definition.axes
            return ("gather", source, form, node.uses, axes, definition.dtype, children)
        assert isinstance(definition, Elementwise)
        return ("compute", definition.expression, definition.dtype, node.uses, node.cost, children)
