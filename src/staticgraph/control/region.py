"""Regions: the branches and loop bodies that a control-flow op holds, each a graph of its own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from common.errors import BranchTypeError, GraphError, ShapeError
from common.op import Kind
from common.source import Source, defined_at, user_source
from common.tree import Structure, flatten, unflatten
from common.types import Array, TensorType, broadcast_shapes
from staticgraph.build import placeholder, require_graph, to_node
from staticgraph.effects import has_effect, silenced
from staticgraph.graph import Graph, leaked
from staticgraph.node import Node
from staticgraph.roles import CONSTANT


class RegionGraph(Graph):
    """The graph of a region. A node of the graph around it becomes an input, at its first use."""

    def __init__(self, name: str, parent: Graph) -> None:
        super().__init__(name=name)
        self.parent = parent
        self.captured: dict[Node, Node] = {}

    def adopt(self, node: Node) -> Node:
        """Return what stands for `node` of a surrounding graph in this one.

        Raises
        ------
        LeakedNodeError
            If it belongs to no surrounding graph.
        """
        if node.graph is self:
            return node
        known = self.captured.get(node)
        if known is None:
            assert self.parent is not None
            if node.graph is not self.parent and self.parent.parent is None:
                raise leaked(node, self)
            outer = self.parent.adopt(node)
            if outer.op is CONSTANT:
                known = self.constant_array(outer.attrs["value"])
            else:
                known = self._input(outer.name, outer.type)
            self.captured[node] = known
        return known

    def _input(self, name: str, type: TensorType) -> Node:
        with self:
            return placeholder(self._new_name(name), type.shape, type.dtype)


class Region:
    """A part of a program that runs never, once or many times.

    Attributes
    ----------
    graph : Graph
    inputs, outputs : tuple of Node
    source : Source or None
        Where the function that declared it stands.
    quiet : bool
        Whether it only computes, and has none of the effects that are declared in it.
    """

    def __init__(
        self,
        graph: Graph,
        inputs: Sequence[Node],
        outputs: Sequence[Node],
        source: Source | None = None,
        quiet: bool = False,
    ) -> None:
        self.graph = graph
        self.inputs = tuple(inputs)
        self.outputs = tuple(outputs)
        self.source = source
        self.quiet = quiet
        self._silent: Region | None = None
        self._pullbacks: dict[Any, Region] = {}
        self._default: Callable[..., tuple[Array, ...]] | None = None

    @property
    def input_types(self) -> tuple[TensorType, ...]:
        """The types of the inputs."""
        return tuple(node.type for node in self.inputs)

    @property
    def output_types(self) -> tuple[TensorType, ...]:
        """The types of the outputs."""
        return tuple(node.type for node in self.outputs)

    def __call__(self, *arrays: Array) -> tuple[Array, ...]:
        """Run the region alone; a compiled program binds its regions instead."""
        if self._default is None:
            from staticgraph.control.binding import compile_region

            self._default = compile_region(self, "numpy", None)
        return self._default(*arrays)

    @property
    def effect(self) -> bool:
        """Whether running it does something besides computing."""
        return not self.quiet and any(has_effect(node.op, node.attrs) for node in self.graph)

    def silent(self) -> Region:
        """Return this region without its effects, for where it is computed once more."""
        if self._silent is None:
            self._silent = Region(self.graph, self.inputs, self.outputs, self.source, quiet=True)
        return self._silent

    def inline(self, operands: Sequence[Node]) -> list[Node]:
        """Declare this region's nodes again, on `operands`, in the graph that is being declared.

        What it prints or checks is left out: it is computed once more, for a gradient.
        """
        graph = require_graph("inline")
        here: dict[Node, Node] = dict(zip(self.inputs, operands, strict=True))
        for node in sorted(self._needed(), key=lambda node: node.sequence):
            if node in here:
                continue
            if node.op is CONSTANT:
                here[node] = graph.constant_array(node.attrs["value"])
            elif node.op.effect:
                here[node] = here[node.operands[0]]
            else:
                there = tuple(here[x] for x in node.operands)
                attrs = silenced(node.attrs) if node.op.kind is Kind.CONTROL else node.attrs
                here[node] = graph.add_op(node.op, there, attrs, type=node.type)
        return [here[node] for node in self.outputs]

    def _needed(self) -> set[Node]:
        seen = set(self.outputs)
        stack = list(seen)
        while stack:
            for operand in stack.pop().operands:
                if operand not in seen:
                    seen.add(operand)
                    stack.append(operand)
        return seen

    def pullback(self, given: tuple[bool, ...]) -> Region:
        """Return the region that computes the gradients of this one.

        Parameters
        ----------
        given : tuple of bool
            Which outputs have a gradient.

        Returns
        -------
        Region
            Its inputs are this region's, then the given gradients; its outputs are the gradients
            of the floating-point inputs, zeros where there is none.
        """
        known = self._pullbacks.get(given)
        if known is None:
            from staticgraph.autodiff import gradients

            graph = RegionGraph(f"gradient of {self.graph.name}", self.graph)
            with graph:
                inputs = [graph._input(f"x{i}", t) for i, t in enumerate(self.input_types)]
                wanted = [y for y, is_given in zip(self.outputs, given, strict=True) if is_given]
                cotangents = [graph._input(f"g{i}", y.type) for i, y in enumerate(wanted)]
                results = self.inline(inputs)
                ys = [y for y, is_given in zip(results, given, strict=True) if is_given]
                xs = [x for x in inputs if x.dtype.kind == "f"]
                found = gradients(ys, xs, cotangents, unused="zero") if ys and xs else []
                found = [to_node(graph, g) for g in found]
            known = Region(graph, inputs + cotangents, found, self.source)
            self._pullbacks[given] = known
        return known


def region_from(
    name: str, function: Callable[..., Any], types: Sequence[TensorType], structure: Structure
) -> tuple[Region, Structure, dict[Node, Node]]:
    """Trace `function` on inputs of `types`, arranged as its arguments.

    Returns
    -------
    region : Region
        Without inputs for what it captured.
    structure
        Of what the function returned.
    captured : dict of Node to Node
        The nodes of the graph around it that the function used, with what stands for them inside.
    """
    parent = require_graph(name)
    graph = RegionGraph(f"{name} {getattr(function, '__name__', 'function')}", parent)
    with graph:
        inputs = [graph._input(f"x{i}", type) for i, type in enumerate(types)]
        result = function(*unflatten(structure, inputs))
        leaves, found = flatten(result)
        for leaf in leaves:
            if callable(leaf) or isinstance(leaf, str):
                raise GraphError(
                    f"{name}: the function returned a {type(leaf).__name__}",
                    cause="each value it returns is computed by the graph",
                    fix="return nodes, in tuples, lists and dicts if there are several",
                )
        outputs = [to_node(graph, leaf) for leaf in leaves]
    return Region(graph, inputs, outputs, _place_of(function)), found, graph.captured


def _place_of(function: Callable[..., Any]) -> Source | None:
    code = getattr(function, "__code__", None)
    if code is None:
        return user_source()
    return defined_at(code)


def share_captures(
    regions: Sequence[Region], captured: Sequence[dict[Node, Node]]
) -> tuple[list[Region], list[Node]]:
    """Give all regions the same further inputs: what any of them captured.

    Returns
    -------
    regions : list of Region
    outer : list of Node
        What the further inputs stand for, in the graph around the regions.
    """
    parent = require_graph("control flow")
    outer: dict[Node, Node] = {}  # what was captured, with what stands for it here
    for each in captured:
        for node, inner in each.items():
            if inner.op is not CONSTANT:
                outer.setdefault(node, parent.adopt(node))
    shared = []
    for region, known in zip(regions, captured, strict=True):
        graph = region.graph
        assert isinstance(graph, RegionGraph)
        more = [
            known[node] if node in known else graph._input(node.name, node.type) for node in outer
        ]
        shared.append(Region(graph, (*region.inputs, *more), region.outputs, region.source))
    return shared, list(outer.values())


def require_same_types(
    what: str,
    first: tuple[str, Sequence[TensorType], Structure, Source | None],
    second: tuple[str, Sequence[TensorType], Structure, Source | None],
) -> None:
    """Refuse two sides of a control-flow op that give different types.

    Raises
    ------
    BranchTypeError
        Showing what differs, and both lines.
    """
    name, types, structure, source = first
    other, other_types, other_structure, other_source = second
    related = ((f"{name} declared", source), (f"{other} declared", other_source))
    if structure != other_structure:
        raise BranchTypeError(
            f"{what}: {name} gives {len(types)} values and {other} {len(other_types)}, "
            "or arranges them otherwise",
            fix="return the same tuples, lists and dicts from both",
            related=related,
        )
    for position, (a, b) in enumerate(zip(types, other_types, strict=True)):
        if a != b:
            raise BranchTypeError(
                f"{what}: value {position} is {a} from {name} and {b} from {other}",
                fix="cast or broadcast one of them: " + _hint(a, b),
                related=related,
            )


def _hint(a: TensorType, b: TensorType) -> str:
    if a.dtype != b.dtype:
        return f'x.astype("{a.dtype}")'
    try:
        return f"broadcast_to(x, {broadcast_shapes(a.shape, b.shape)})"
    except ShapeError:
        return "reshape or reduce it to the other's shape"
