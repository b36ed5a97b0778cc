"""Graph: the declaration, a networkx graph whose nodes are values and whose edges are uses."""

from __future__ import annotations

import difflib
import itertools
import math
import sys
import threading
from collections.abc import Callable, Iterable, Mapping
from html import escape
from types import TracebackType
from typing import Any

import networkx as nx
import numpy as np

from oplibrary.core.op import Op
from oplibrary.messages.errors import (
    FinalGraphError,
    GraphError,
    LeakedNodeError,
    NodeBudgetError,
)
from oplibrary.messages.source import Place, Source, is_users, source_of, user_source
from oplibrary.values.types import Array, TensorType
from staticgraph.graph.constants import Constants
from staticgraph.graph.graph_ops import CONSTANT, PLACEHOLDER, VARIABLE
from staticgraph.graph.inference import TypeTable
from staticgraph.graph.node import Node
from staticgraph.graph.number_ranges import NumberRanges
from staticgraph.graph.symbolic import endless_recursion, replaced_error
from staticgraph.graph.user_expression import running_loop
from staticgraph.program.pickled import reduced
from staticgraph.program.program import MOST_DRAWN
from staticgraph.program.upcall import Upcall

graph_as_text: Upcall[[Graph], str] = Upcall("staticgraph.show.printing")
"""Print a graph."""

graph_as_svg: Upcall[[Graph], str] = Upcall("staticgraph.show.drawing")
"""Draw a graph."""

networkx_import: Upcall[[nx.DiGraph, Graph], Graph] = Upcall("staticgraph.declare.networkx_import")
"""Declare into a graph what an ordinary networkx graph describes."""

_numbers = itertools.count(1)
_STATE = ("finalizes", "final", "finalized_at", "sealed", "name_counts", "reserved", "sequence")
"""What a graph knows of its declaration besides its nodes."""


class _Stack(threading.local):
    """The graphs that are being declared in this thread, innermost last."""

    def __init__(self) -> None:
        self.graphs: list[Graph] = []


_stack = _Stack()


def current_graph() -> Graph | None:
    """Return the graph whose ``with`` block is running in this thread, or None."""
    return _stack.graphs[-1] if _stack.graphs else None


class Graph(nx.MultiDiGraph):  # type: ignore[misc]
    """Declare a computation, to be compiled and run later.

    Every node is a `Node`; every edge is the use of an operand, and its key is the operand's
    position, so ``x * x`` has two edges. Any networkx algorithm works on it. Inside ``with
    graph:`` every op declares a node.

    Parameters
    ----------
    name : str, optional
    finalize : bool
        Whether compiling makes the graph final, so that an op declared by mistake in the loop that
        runs the graph is an error and not a slow leak.
    max_nodes : int, optional
        Refuse to grow beyond that many nodes.
    incoming_graph_data, multigraph_input, **attr
        As in networkx, whose algorithms make graphs of the class they are given.

    Attributes
    ----------
    inputs : list of Node
        The placeholders, as declared.
    outputs : list of Node
        What a traced function returned; empty in a graph declared otherwise.
    output_tree : structure
        How a traced function arranged its outputs; see `oplibrary.values.tree`.
    parent : Graph or None
        The graph around that of a branch or a loop's body.
    line : Source or None
        The line that nodes are declared for, where it is not the user's running line.

    Examples
    --------
    >>> import staticgraph as sg
    >>> graph = sg.Graph(name="square")
    >>> with graph:
    ...     x = sg.placeholder("x", (3,))
    ...     y = x * x
    >>> y
    Node(multiply: float32[3])
    >>> list(graph.edges(keys=True)) == [(x, y, 0), (x, y, 1)]
    True
    """

    def __init__(
        self,
        incoming_graph_data: Any = None,
        multigraph_input: bool | None = None,
        *,
        name: str = "",
        finalize: bool = True,
        max_nodes: int | None = None,
        **attr: Any,
    ) -> None:
        self.parent: Graph | None = None
        self.line: Source | None = None
        self.inputs: list[Node] = []
        self.outputs: list[Node] = []
        self.output_tree: Any = None
        self.max_nodes = max_nodes
        # nodes that stand for Python numbers, and what they were cast to; see operands
        self.weak: set[Node] = set()
        self.lengths: set[Node] = set()  # weak ones that are made of lengths alone
        self.weak_casts: dict[tuple[Node, np.dtype[Any]], Node] = {}
        # what operators made of them, with Python's operator and its operands
        self.made_of_numbers: dict[Node, tuple[Callable[..., Any], tuple[Any, ...]]] = {}
        self.ranges = NumberRanges()
        # what may be written to in place though no op of this graph computes it, and what may not
        # though one does, with the reason
        self.writable: set[Node] = set()
        self.shared: dict[Node, str] = {}
        # where the function that is being differentiated begins in the order of declaration
        self.differentiated_from = math.inf
        self.layouts: dict[float, Any] = {}  # by the place in the order of declaration
        self._finalizes = finalize
        self._final = False
        self._finalized_at: Source | None = None
        self._sealed = False
        self._by_name: dict[str, Node] = {}
        self._name_counts: dict[str, int] = {}
        self._reserved: frozenset[str] = frozenset()
        self._sequence = 0
        self._types = TypeTable()
        self._sources: dict[Place, Source | None] = {}
        self._constants = Constants(self.add_op)
        super().__init__(incoming_graph_data, multigraph_input, **attr)
        self.name = name or f"graph_{next(_numbers)}"
        for node in self:
            if not isinstance(node, Node):
                raise GraphError(
                    f"Graph(...) was given a graph whose node {node!r} is not a Node",
                    cause="an ordinary networkx graph has no types and no operand order yet",
                    fix="write Graph.from_networkx(dag), with an op attribute at each node",
                )

    # declaring ----------------------------------------------------------------------------------

    def __enter__(self) -> Graph:
        _stack.graphs.append(self)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        _stack.graphs.pop()
        better = replaced_error(error, traceback)
        if isinstance(error, RecursionError) and self.parent is None:
            better = endless_recursion(traceback)
        if better is not None:
            raise better from error

    def add_op(
        self,
        op: Op,
        operands: tuple[Node, ...],
        attrs: Mapping[str, Any],
        *,
        type: TensorType | None = None,
        name: str = "",
        late: bool = False,
    ) -> Node:
        """Add a node for `op` on nodes of this graph, and return it.

        Parameters
        ----------
        op : Op
            What the node computes.
        operands : tuple of Node
            What it computes it from.
        attrs : mapping
            Complete, as `Op.bind` gives them.
        type : TensorType, optional
            Of the result; inferred by default.
        name : str, optional
            Must be new in this graph; made from the op's name by default.
        late : bool
            Whether the node was declared before, and is only added now.

        Raises
        ------
        FinalGraphError
            If the graph was compiled already.
        NodeBudgetError
            If the graph would have more than `max_nodes`.
        """
        if self._final and not late:
            self.require_open(op.name)
        if type is None:
            type = self._types.infer(op, operands, attrs)
            if op.refuse is not None:
                values = [x.value if x.op is CONSTANT else None for x in operands]
                op.refuse([x.type for x in operands], values)
        else:
            type = self._types.intern(type)
        sequence = self._sequence
        if self.max_nodes is not None and sequence >= self.max_nodes:
            raise self._budget_error()
        self._sequence = sequence + 1
        if name:
            self._check_name(name)
        else:
            name = self._new_name(op.name)
        node = Node(op, operands, attrs, type, name, self, self._locate(), sequence)
        self._by_name[name] = node
        self.add_node(node, op=op.name, name=name, shape=type.shape, dtype=_dtype_name(type.dtype))
        for position, operand in enumerate(operands):
            self.add_edge(operand, node, position)
        return node

    @property
    def next_sequence(self) -> int:
        """The place of the next node in the order of declaration."""
        return self._sequence

    def _locate(self) -> Source | None:
        """Return the user's running line; one `Source` for each place."""
        if self.line is not None:
            return self.line
        frame: Any = sys._getframe(2)
        while frame is not None and not is_users(frame.f_code):
            frame = frame.f_back
        if frame is None:
            return None
        place = (frame.f_code, frame.f_lasti)
        source = self._sources.get(place)
        if source is None:
            source = self._sources[place] = source_of(place)
        return source

    def _new_name(self, base: str) -> str:
        base = base.lstrip("_")
        while True:
            count = self._name_counts.get(base, 0)
            self._name_counts[base] = count + 1
            name = f"{base}_{count}" if count else base
            if name not in self._by_name and name not in self._reserved:
                return name

    def _check_name(self, name: str) -> None:
        other = self._by_name.get(name)
        if other is not None:
            raise GraphError(
                f"graph {self.name!r} has a node named {name!r} already",
                cause="feeds and fetches go by name, so each name belongs to one node",
                fix="choose another name",
                related=(("declared", other.source),),
            )

    def reserve(self, names: Iterable[str]) -> None:
        """Keep `names` for nodes that will be named explicitly."""
        self._reserved |= set(names)

    def rename(self, node: Node, name: str) -> None:
        """Give a node of this graph another name, which must be new.

        Raises
        ------
        GraphError
            If the name is taken.
        """
        self._check_name(name)
        del self._by_name[node.name]
        self._by_name[name] = node
        self.nodes[node]["name"] = node.name = name

    def note_move(self, node: Node, to: Node) -> None:
        """Let `to` be known wherever `node` was; see `staticgraph.graph.handles.move`."""
        self._by_name[to.name] = to
        if to.op is PLACEHOLDER:
            self.inputs = [to if x is node else x for x in self.inputs]
        if any(x is node for x in self.weak_casts.values()):
            casts = self.weak_casts.items()
            self.weak_casts = {key: to if x is node else x for key, x in casts}

    def adopt(self, node: Node) -> Node:
        """Return the node that stands for `node` here; a graph inside another one makes an input.

        Raises
        ------
        LeakedNodeError
            If it belongs to no graph around this one.
        """
        if node.graph is not self:
            raise leaked(node, self)
        return node

    @staticmethod
    def innermost_around(graphs: Iterable[Graph]) -> Graph | None:
        """Return the innermost of `graphs` if the running one is a part of it, and none of them."""
        wanted = set(graphs)
        graph = current_graph()
        if graph in wanted:
            return None
        while graph is not None and graph not in wanted:
            graph = graph.parent
        return graph if graph is not None and graph.is_open() else None

    def is_open(self) -> bool:
        """Tell whether this graph is being declared in this thread, a part of it perhaps."""
        return self in _stack.graphs

    def stands_for(self, node: Node) -> Node | None:
        """Return the number of a graph around this one that `node` is, or None."""
        return None

    # constants ----------------------------------------------------------------------------------

    def constant_scalar(self, value: Any, dtypes: tuple[np.dtype[Any], ...]) -> Node:
        """Return the constant that Python number `value` acts as beside `dtypes`; one for each."""
        return self._constants.scalar(value, dtypes)

    def constant_array(
        self, value: Array, name: str = "", copy: bool = True, own: bool = False
    ) -> Node:
        """Return the constant node of an array; equal small arrays, or one array, share a node.

        The elements are copied, so that later changes of `value` do not reach the graph. With `own`
        the node is shared with nobody, and may be written to in place.
        """
        node = self._constants.array(value, name, copy, own)
        if own:
            self.writable.add(node)
        return node

    # life cycle ---------------------------------------------------------------------------------

    @property
    def final(self) -> bool:
        """Whether the graph was compiled, and refuses to grow."""
        return self._final

    def finalize(self) -> None:
        """Refuse further nodes from now on, unless the graph was made with ``finalize=False``.

        Compiling the graph, and the first run of a session, call this.
        """
        if self._finalizes and not self._final:
            self._final = True
            self._finalized_at = user_source()

    def unfreeze(self) -> None:
        """Accept further nodes again, until the graph is compiled the next time."""
        self._final = False

    def seal(self) -> None:
        """Accept further nodes inside ``with graph:`` only; a trace does this when it ends."""
        self._sealed = True

    @property
    def sealed(self) -> bool:
        """Whether nodes may be added inside ``with graph:`` only."""
        return self._sealed

    def require_open(self, what: str) -> None:
        """Refuse to declare an op or function called `what` if the graph is final.

        Raises
        ------
        FinalGraphError
        """
        if self._final:
            raise FinalGraphError(
                f"{what} was declared in graph {self.name!r} after it was compiled",
                fix="declare every op before the loop that runs the graph; for a graph that is to "
                "grow, call graph.unfreeze() first or create it with Graph(finalize=False)",
                related=(("compiled", self._finalized_at),),
            )

    def _budget_error(self) -> NodeBudgetError:
        loop = running_loop()
        where = f"the loop at {loop.place} was unrolled" if loop is not None else "it has grown"
        return NodeBudgetError(
            f"graph {self.name!r} reached its budget of {self.max_nodes:,} nodes: {where}",
            fix="declare the loop with scan, fori_loop or while_loop, work on whole arrays in "
            "place of elements, raise the budget with trace(..., max_nodes=...), or run the loop "
            "in dyngraph",
            related=(("loop", loop),),
        )

    # looking up ---------------------------------------------------------------------------------

    @property
    def variables(self) -> list[Node]:
        """The variables, as declared."""
        return [node for node in self if node.op is VARIABLE]

    def node(self, name: str) -> Node:
        """Return the node of that name; TensorFlow's ``"name:0"`` is the same node.

        Raises
        ------
        GraphError
            If there is none, with the closest names.
        """
        node = self._by_name.get(name.removesuffix(":0"))
        if node is None:
            raise GraphError(
                f"graph {self.name!r} has no node named {name!r}",
                cause=_closest(name, self._by_name),
                fix="use the node itself, or its .name",
            )
        return node

    def resolve(self, value: Any) -> Node:
        """Return the node that `value`, a node of this graph or a name, stands for.

        Raises
        ------
        GraphError, LeakedNodeError
        """
        if isinstance(value, str):
            return self.node(value)
        if not isinstance(value, Node):
            raise GraphError(
                f"a {type(value).__name__} was passed where a node is expected",
                cause="values of a graph are nodes, or names of nodes",
                fix="pass what placeholder, variable or an op returned",
            )
        if value.graph is not self:
            raise leaked(value, self)
        return value

    # networkx -----------------------------------------------------------------------------------

    @classmethod
    def from_networkx(cls, dag: nx.DiGraph, name: str = "") -> Graph:
        """Declare the graph that an ordinary networkx graph describes; see `import_networkx`."""
        return networkx_import(dag, cls(name=name))

    def copy(self, as_view: bool = False) -> Any:
        """Return a networkx graph of the same nodes and edges, free to be changed."""
        return super().copy(as_view=True) if as_view else nx.MultiDiGraph(self)

    def __copy__(self) -> Any:
        return self.copy()

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        return self.copy()  # nodes are what they are: one declaration each

    def __reduce__(self) -> Any:
        return reduced(self)

    def declared_state(self) -> dict[str, Any]:
        """Return what else another process needs to go on declaring, in plain Python values."""
        return {
            "max_nodes": self.max_nodes,
            **{name: getattr(self, f"_{name}") for name in _STATE},
        }

    def restore_state(self, state: Mapping[str, Any]) -> None:
        """Go on from what `declared_state` returned."""
        self.max_nodes = state["max_nodes"]
        for name in _STATE:
            setattr(self, f"_{name}", state[name])

    def __repr__(self) -> str:
        return f"Graph({self.name!r}: {len(self)} nodes, {len(self.inputs)} inputs)"

    def __str__(self) -> str:
        return graph_as_text(self)

    def _repr_html_(self) -> str:
        if len(self) <= MOST_DRAWN:
            return graph_as_svg(self)
        return f"<pre>{escape(repr(self))}</pre>"


_dtype_names: dict[np.dtype[Any], str] = {}


def _dtype_name(dtype: np.dtype[Any]) -> str:
    # numpy works the name out anew each time, in a microsecond
    name = _dtype_names.get(dtype)
    if name is None:
        name = _dtype_names[dtype] = dtype.name
    return name


def leaked(node: Node, graph: Graph | None, use: str = "") -> LeakedNodeError:
    """Return the error of `node` used in another graph than its own, or after its trace."""
    home = node.graph
    prefix = f"{use}: " if use else ""
    related = ((f"{node.name} declared", node.source),)
    if graph is None or graph is home:
        return LeakedNodeError(
            f"{prefix}{node!r} was used after the trace of {home.name!r} had ended",
            cause="values of a traced function exist while it is traced; a run computes new ones",
            fix="return the value from the function, and use what the call returns",
            related=related,
        )
    return LeakedNodeError(
        f"{prefix}{node!r} of graph {home.name!r} was used in graph {graph.name!r}",
        cause="a node belongs to the graph it was declared in"
        + ("; it was kept from a trace that has ended" if home.sealed else ""),
        fix="return the value from the traced function and pass it as an argument, or declare it "
        "in the graph that uses it",
        related=related,
    )


def _closest(name: str, names: Iterable[str]) -> str:
    found = difflib.get_close_matches(name.removesuffix(":0"), list(names), n=3, cutoff=0.5)
    return f"the closest names are {', '.join(map(repr, found))}" if found else "no name is close"
