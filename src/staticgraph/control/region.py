"""Regions: the branches and loop bodies that a control-flow op holds, each a graph of its own."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from typing import Any

from oplibrary.core.op import Kind
from oplibrary.messages.errors import ArgumentError, FeedError
from oplibrary.messages.source import Source
from oplibrary.values.types import Array, TensorType
from staticgraph.declare.autodiff import gradients_onto
from staticgraph.declare.build import full, placeholder, require_graph
from staticgraph.declare.custom_calls import customs_of
from staticgraph.declare.effects import has_effect, silenced
from staticgraph.declare.lower import lower
from staticgraph.declare.node_layouts import layout_of
from staticgraph.graph.graph import Graph, current_graph, leaked
from staticgraph.graph.graph_ops import CONSTANT
from staticgraph.graph.node import Node
from staticgraph.program.layout import strides_unless_row_major
from staticgraph.program.polynomial import is_symbolic
from staticgraph.program.program import Program, Value
from staticgraph.program.tuple_values import row_major
from staticgraph.program.upcall import Upcall

region_runner: Upcall[[Region], BoundRegion] = Upcall("staticgraph.compiler.binding")
"""Compile a region alone."""


Run = Callable[..., Sequence[Array]]


class RegionGraph(Graph):
    """The graph of a region. A node of the graph around it becomes an input, at its first use."""

    def __init__(self, name: str, parent: Graph) -> None:
        super().__init__(name=name)
        self.parent = parent
        around = current_graph()
        self.line = around and around.line  # of the node whose gradient is being declared, if any
        self.captured: dict[Node, Node] = {}
        self.numbers: dict[Node, Node] = {}

    def adopt(self, node: Node) -> Node:
        """Return the node that stands for `node` of a surrounding graph in this one.

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
            known = self.captured.get(outer)
            if known is None:
                if outer.op is CONSTANT:
                    known = self.constant_array(outer.attrs["value"])
                else:
                    known = self.add_input(outer.name, outer.type)
                    self.lay_out_as(outer, known)
                    if outer in outer.graph.weak:  # it acts as a Python number here, too
                        self.weak.add(known)
                    if outer in outer.graph.lengths:
                        self.lengths.add(known)
                    elif known in self.weak:
                        self.numbers[known] = outer
                self.captured[outer] = known
            self.captured[node] = known
        return known

    def stands_for(self, node: Node) -> Node | None:
        """Return the number of the graph around this one that `node` is, if that is still open."""
        outer = self.numbers.get(node)
        return outer if outer is not None and outer.graph.is_open() else None

    def lay_out_as(self, outer: Node, node: Node) -> None:
        """Note that an input lies in memory as `outer` does, the value it always is."""
        value = Value(node.type, node.name)
        layout = replace(layout_of(outer), base=value, offset=0)
        self.layouts[node.sequence] = layout

    def add_input(self, name: str, type: TensorType) -> Node:
        """Declare a further input."""
        with self:
            return placeholder(self._new_name(name), type.shape, type.dtype)


class Region:
    """A part of a program that runs never, once or many times.

    Attributes
    ----------
    graph : Graph
    inputs, outputs : tuple of Node
        An input may be any node of the graph; it is then not computed but passed.
    source : Source or None
        Where the function that declared it stands.
    quiet : bool
        Whether it only computes, and has none of the effects that are declared in it.
    owned : int
        How many of the first inputs a run may overwrite: the caller does not read them again.
    effect : bool
        Whether running it does something besides computing.
    customs : tuple of CustomCall
        The functions in it that have derivatives of their own.
    reached : dict
        To which nodes gradients of outputs come back, as far as `control.carried` was asked.
    """

    def __init__(
        self,
        graph: Graph,
        inputs: Sequence[Node],
        outputs: Sequence[Node],
        source: Source | None = None,
        quiet: bool = False,
        owned: int = 0,
    ) -> None:
        self.graph = graph
        self.inputs = tuple(inputs)
        self.outputs = tuple(outputs)
        self.source = source
        self.quiet = quiet
        self.owned = owned
        # known of those inside, so that asking is no call for each level
        self.effect = not quiet and any(has_effect(node.op, node.attrs) for node in graph)
        self.customs = tuple([each for node in graph for each in customs_of(node.op, node.attrs)])
        self.reached: dict[frozenset[int], set[Node]] = {}
        self._silent: Region | None = None
        self._pullbacks: dict[Any, Pullback] = {}
        self._default: BoundRegion | None = None

    def reads_inputs(self) -> bool:
        """Tell whether an output depends on an input, what was captured left out."""
        wanted, seen, stack = set(self.inputs), set(self.outputs), list(self.outputs)
        while stack:
            node = stack.pop()
            if node in wanted:
                return True
            fresh = [each for each in node.operands if each not in seen]
            seen.update(fresh)
            stack += fresh
        return False

    @property
    def input_types(self) -> tuple[TensorType, ...]:
        """The types of the inputs."""
        return tuple(node.type for node in self.inputs)

    @property
    def output_types(self) -> tuple[TensorType, ...]:
        """The types of the outputs."""
        return tuple(node.type for node in self.outputs)

    @property
    def run(self) -> Callable[..., Sequence[Array]]:
        """What runs the region alone; a compiled program binds its regions instead."""
        return self._bound.run

    @property
    def _bound(self) -> BoundRegion:
        if self._default is None:
            self._default = region_runner(self)
        return self._default

    def given(self, first: int, values: Sequence[Array]) -> tuple[Run, list[Array]]:
        """Return what runs the region on `values`, and these; see `BoundRegion.given`."""
        return self._bound.given(first, values)

    def lower(self) -> Program:
        """Return the region as a program, before any pass; regions in it stay as they are.

        Raises
        ------
        FeedError
            If it assigns a variable.
        """
        program = lower(self.graph, self.outputs, self.inputs, effects=not self.quiet)
        if program.updates:
            raise FeedError(
                "a variable is assigned inside a branch or a loop body",
                cause="assignments are made once, when a run ends",
                fix="carry the value through the loop, and assign the result",
            )
        return replace(program, owned=frozenset(program.inputs[: self.owned]))

    def strides(self) -> dict[int, tuple[int, ...]]:
        """Return how the inputs lie that are known not to be row-major, by position."""
        known = self.graph.layouts
        return {
            position: layout.strides
            for position, node in enumerate(self.inputs)
            if (layout := known.get(node.sequence)) is not None
            and layout.strides is not None
            and not layout.contiguous
            and not is_symbolic(node.type.shape)
        }

    def silent(self) -> Region:
        """Return this region without its effects, for where it is computed once more."""
        if self._silent is None:
            self._silent = Region(self.graph, self.inputs, self.outputs, self.source, quiet=True)
        return self._silent

    def audible(self) -> Region:
        """Return this region with the effects that are declared in it."""
        if not self.quiet:
            return self
        return Region(self.graph, self.inputs, self.outputs, self.source, owned=self.owned)

    def with_outputs(self, more: Sequence[Node]) -> Region:
        """Return a region that gives `more` nodes of its graph, behind its outputs."""
        outputs = (*self.outputs, *more)
        return Region(self.graph, self.inputs, outputs, self.source, self.quiet, self.owned)

    def inline(self, operands: Sequence[Node]) -> list[Node]:
        """Declare this region's nodes again, on `operands`, in the graph that is being declared.

        What it prints or checks is left out: it is computed once more, for a gradient.
        """
        here = self._declare_again(operands)
        return [here[node] for node in self.outputs]

    def _declare_again(self, operands: Sequence[Node]) -> dict[Node, Node]:
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
        return here

    def _needed(self) -> set[Node]:
        given = set(self.inputs)
        seen = set(self.outputs)
        stack = list(seen - given)
        while stack:
            for operand in stack.pop().operands:
                if operand not in seen:
                    seen.add(operand)
                    if operand not in given:
                        stack.append(operand)
        return seen

    def pullback(
        self,
        given: Sequence[bool],
        wanted: Collection[int],
        started: Collection[int] = (),
        absent: float = 0.0,
    ) -> Pullback:
        """Return the region that computes the gradients of this one.

        Parameters
        ----------
        given : sequence of bool
            Which outputs have a gradient.
        wanted : collection of int
            The positions of the inputs whose gradients are asked for.
        started : collection of int, optional
            Those of the inputs to whose gradients others have contributed before. Each contribution
            is added to that sum by itself, as in dyngraph, so that the bits are the same.
        absent : float
            The zero that stands for a gradient where there is none. In a loop other steps are added
            to it, and -0.0 and x make x, also where x is -0.0.

        Returns
        -------
        Pullback
            Its inputs are this region's, the given gradients and the sums; its outputs are the
            gradients of the wanted inputs, in order.
        """
        key = (tuple(given), tuple(sorted(wanted)), tuple(sorted(started)), str(absent))
        known = self._pullbacks.get(key)
        if known is None:
            given, wanted, started, _ = key  # not *key: a call through C, and Python allows fewer
            known = self._pull_back(given, wanted, started, absent)
            self._pullbacks[key] = known
        return known

    def _pull_back(
        self,
        given: tuple[bool, ...],
        wanted: tuple[int, ...],
        started: tuple[int, ...],
        absent: float,
    ) -> Pullback:
        graph = RegionGraph(f"gradient of {self.graph.name}", self.graph)
        with graph:
            inputs = [graph.add_input(f"x{i}", t) for i, t in enumerate(self.input_types)]
            targets = [y for y, is_given in zip(self.outputs, given, strict=True) if is_given]
            for x, node in zip(inputs, self.inputs, strict=True):
                if node.sequence in self.graph.layouts:
                    graph.lay_out_as(node, x)
            cotangents = [graph.add_input(f"g{i}", y.type) for i, y in enumerate(targets)]
            totals = {inputs[i]: graph.add_input(f"sum{i}", inputs[i].type) for i in started}
            here = self._declare_again(inputs)
            graph.captured.update(here)  # what a function's own rule reads from around it
            ys = [here[y] for y in targets]
            xs = [inputs[i] for i in wanted]
            pulled = gradients_onto(ys, xs, cotangents, totals)
            found = [
                full(graph, x.type, absent) if g is None else g
                for x, g in zip(xs, pulled, strict=True)
            ]
        if len(graph.inputs) > len(inputs) + len(cotangents) + len(totals):
            raise self._read_around(graph.inputs[-1])
        primal = {copy: node for node, copy in reversed(here.items())}
        known = Pullback(graph, (*inputs, *cotangents, *totals.values()), found, self.source)
        known.primal = primal
        known.absent = {
            i for i, x, g in zip(wanted, xs, pulled, strict=True) if g is None or g is totals.get(x)
        }
        return known

    def _read_around(self, node: Node) -> ArgumentError:
        return ArgumentError(
            f"the gradient of a branch or a loop reads {node.name}, a value from around it",
            cause="it is a graph of its own, which is given what the branch or the loop reads; a "
            "custom_vjp or custom_jvp has a rule that reads more",
            fix="let forward return that value among what backward needs, or pass it as an "
            "argument of the function",
            related=(("the branch or the loop declared", self.source),),
        )


class Pullback(Region):
    """The region that computes the gradients of another one.

    Attributes
    ----------
    primal : dict of Node to Node
        The nodes that only repeat what the other region computes, with the node they repeat.
    absent : set of int
        The positions of the inputs that no given gradient comes back to.
    """

    primal: dict[Node, Node]
    absent: set[int]


class BoundRegion:
    """A region with what runs it, in an instruction's attributes.

    Parameters
    ----------
    region : Region
    build : callable
        Returns what runs it: that takes row-major arrays of its input types, and gives a sequence
        of arrays.
    program : Program, optional
        The region after the passes, its own regions bound.
    build_for : callable, optional
        Returns what runs it on inputs that lie otherwise, given their strides by position. Without
        it they are copied.

    Attributes
    ----------
    region : Region
    program : Program or None
    input_types, output_types : tuple of TensorType
    """

    __slots__ = (
        "_build",
        "_build_for",
        "_run",
        "_runs",
        "input_types",
        "output_types",
        "program",
        "region",
    )

    def __init__(
        self,
        region: Region,
        build: Callable[[], Callable[..., Sequence[Array]]],
        program: Program | None = None,
        build_for: Callable[[dict[int, tuple[int, ...]]], Run] | None = None,
    ) -> None:
        self.region = region
        self.program = program
        self.input_types = region.input_types
        self.output_types = region.output_types
        self._build = build
        self._build_for = build_for
        self._run: Callable[..., Sequence[Array]] | None = None
        self._runs: dict[Any, Run] = {}

    def given(self, first: int, values: Sequence[Array]) -> tuple[Run, list[Array]]:
        """Return what runs the region on inputs that are `values`, and these as that takes them.

        A sum over other strides can round otherwise: values from around the region stay as they
        are, as in dyngraph, where what runs it can be built for that.

        Parameters
        ----------
        first : int
            The position of the first of them.
        values : sequence of numpy.ndarray
        """
        strides = {
            position: each
            for position, x in enumerate(values, first)
            if (each := strides_unless_row_major(x)) is not None
        }
        if not strides:
            return self.run, list(values)
        if self._build_for is None:
            return self.run, list(map(row_major, values))
        key = tuple(strides.items())
        run = self._runs.get(key)
        if run is None:
            run = self._runs[key] = self._build_for(strides)
        return run, list(values)

    @property
    def run(self) -> Callable[..., Sequence[Array]]:
        """What runs the region on row-major arrays; built when it is first asked for."""
        return self._run or self.prepare()

    def prepare(self) -> Callable[..., Sequence[Array]]:
        """Build what runs the region, and return it."""
        self._run = self._build()
        return self._run

    def __repr__(self) -> str:
        return repr(self.region)


def bound_regions(program: Program) -> list[BoundRegion]:
    """Return the bound regions of a program, each once and behind those inside of it."""
    finished: dict[BoundRegion, None] = {}
    stack = [(region, False) for region in _bound_in(program)]
    while stack:
        region, entered = stack.pop()
        if entered:
            finished.setdefault(region)
        elif region not in finished:
            stack.append((region, True))
            if region.program is not None:
                stack += [(each, False) for each in _bound_in(region.program)]
    return list(finished)


def _bound_in(program: Program) -> list[BoundRegion]:
    values = [
        v for i in program.instructions if i.op.kind is Kind.CONTROL for v in i.attrs.values()
    ]
    found: list[BoundRegion] = []
    while values:
        value = values.pop()
        if isinstance(value, BoundRegion):
            found.append(value)
        elif isinstance(value, tuple):
            values += value
    return found
