"""Similarity: kernels that differ in nothing but where their values are share one function.

A loop of the user's program that was unrolled makes the same kernels in every round.
"""

from __future__ import annotations

from typing import Any

from staticgraph.backends.native.definitions import Definition, Elementwise, Uniform
from staticgraph.backends.native.exploration import Node
from staticgraph.backends.native.grouping import base_of
from staticgraph.backends.native.loops import Nest
from staticgraph.backends.native.selections import Gathered


class Description:
    """What the code of a kernel depends on.

    Attributes
    ----------
    key : tuple
        Equal for kernels with equal code.
    definitions : list of Definition
        The values that it names, in an order that follows from the key.
    """

    def __init__(self, nest: Nest, unread: set[Definition]) -> None:
        self.definitions: list[Definition] = []
        self._numbers: dict[Definition, int] = {}
        kernel = nest.kernel
        ndim = len(kernel.extents)
        parts = []
        for part in nest.parts:
            places = {node: number for number, node in enumerate(part.nodes)}
            nodes = tuple([self._node(node, places) for node in part.nodes])
            parts.append((part.box, nodes, tuple([places[top] for top in part.tops])))
        roots = []
        for root in kernel.roots:
            fold = root.fold
            reduced = None if fold is None else (fold.combine, root.reduced(), fold.size)
            roots.append(
                (
                    self._number(root.storage),
                    self._number(root.definition),
                    root.offset(ndim),
                    root.definition.dtype,
                    reduced,
                    root.extents,
                    root.rows,
                    root.definition in unread,
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
            tuple(roots),
        )

    def _number(self, definition: Definition) -> int:
        number = self._numbers.get(definition)
        if number is None:
            number = self._numbers[definition] = len(self.definitions)
            self.definitions.append(definition)
        return number

    def _node(self, node: Node, places: dict[Node, int]) -> tuple[Any, ...]:
        definition = node.definition
        if isinstance(definition, Uniform):
            # 0.0 == -0.0, and NaN is not even itself
            return ("number", repr(definition.number), definition.dtype)
        if node.leaf:
            return ("leaf", self._number(definition), node.offset, node.uses, definition.dtype)
        children = tuple([places[child] for child in node.children])
        if isinstance(definition, Gathered):
            source = self._number(base_of(definition.source))
            axes = definition.axes
            return ("gather", source, node.offset, node.uses, axes, definition.dtype, children)
        assert isinstance(definition, Elementwise)
        expression = (definition.expression, repr(definition.attrs))
        return ("compute", expression, definition.dtype, node.uses, node.cost, children)
