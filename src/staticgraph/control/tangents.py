"""The tangents of a region: a region that computes what the other one does, and its tangents."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from oplibrary.core.batching import move_axis
from oplibrary.tangents.families import Push
from oplibrary.transforms.batched import Levels, bare, held_by, levels_of, union
from oplibrary.values.types import TensorType
from staticgraph.control.region import Region, RegionGraph
from staticgraph.declare.autodiff import zeros_of
from staticgraph.declare.forward import push_tangents
from staticgraph.graph.node import Node


class TangentGraph:
    """The graph of a region, declared again, in which tangents of some inputs are pushed.

    Attributes
    ----------
    graph : RegionGraph
    inputs, tangents : list of Node
        Those of the region, and the tangents of those that move.
    outputs : list of Node
    moved : list of Node or None
        The tangent of each output.
    """

    def __init__(
        self, region: Region, moving: Sequence[int], levels: Levels, transpose: Callable[..., Any]
    ) -> None:
        sizes = tuple([level.size for level in levels])
        self.region = region
        self.levels = levels
        self.graph = RegionGraph(f"tangent of {region.graph.name}", region.graph)
        with self.graph:
            self.inputs = [
                self.graph.add_input(f"x{i}", type) for i, type in enumerate(region.input_types)
            ]
            types = [self.inputs[i].type for i in moving]
            self.tangents = [
                self.graph.add_input(f"t{i}", TensorType((*sizes, *type.shape), type.dtype))
                for i, type in zip(moving, types, strict=True)
            ]
            self.outputs = region.inline(self.inputs)
            found = push_tangents(
                self.outputs,
                [self.inputs[i] for i in moving],
                [held_by(t, levels) for t in self.tangents],
                transpose,
            )
            self.moved = [None if t is None else bare(t, levels) for t in found]

    def tangent(self, position: int) -> Node:
        """Return the tangent of an output, zeros where it does not move."""
        moved: Node | None = self.moved[position]
        if moved is not None:
            return moved
        type = self.outputs[position].type
        sizes = tuple([level.size for level in self.levels])
        with self.graph:
            return zeros_of(self.graph, TensorType((*sizes, *type.shape), type.dtype))

    def as_region(self, inputs: Sequence[Node], outputs: Sequence[Node], owned: int = 0) -> Region:
        """Return a region of this graph."""
        return Region(self.graph, inputs, outputs, self.region.source, owned=owned)


class TupleTangent(dict[int, Any]):
    """The tangents of those of an op's results that move, by position."""


def moving_operands(push: Push) -> tuple[dict[int, Node], Levels]:
    """Return the tangent of each operand that moves, as one array, and the rows that all have."""
    given = dict(push.moving())
    levels = union(map(levels_of, given.values()))
    return {position: bare(t, levels) for position, t in given.items()}, levels


def axis_first(x: Any, levels: Levels) -> Any:
    """Return an array with the axis behind those of `levels` in front of them."""
    return move_axis(x, len(x.shape), len(levels), 0)


def axis_behind(x: Any, levels: Levels) -> Any:
    """Return an array with its first axis behind those of `levels`."""
    return move_axis(x, len(x.shape), 0, len(levels))


def carries_that_move(
    body: Region,
    carries: int,
    moving: Sequence[int],
    levels: Levels,
    transpose: Callable[..., Any],
) -> tuple[list[int], TangentGraph]:
    """Return the inputs of a loop's body that move in some step, and its tangents with these.

    A carry that starts without a tangent may be given one by a step.
    """
    found = set(moving)
    while True:
        ordered = sorted(found)
        tangents = TangentGraph(body, ordered, levels, transpose)
        more = {i for i in range(carries) if tangents.moved[i] is not None} - found
        if not more:
            return ordered, tangents
        found |= more


def first_tangents(
    graph: Any, given: dict[int, Node], carries: Sequence[int], types: Any, levels: Levels
) -> list[Node]:
    """Return the tangents of the first carries, zeros where they start without one."""
    sizes = tuple([level.size for level in levels])
    return [
        given[i]
        if i in given
        else zeros_of(graph, TensorType((*sizes, *types[i].shape), types[i].dtype))
        for i in carries
    ]
